//! A key that is a file: for trying things out, for tests, and where no hardware is at hand. It says so of itself by its
//! AAGUID, proves presence by Enter, never verifies a user, and is no protection from whoever can read the file.

use super::{SecurityKey, client_data, is_discoverable, made_so};
use crate::client::error::Error;
use crate::client::presence::Approval;
use crate::files::{own_directory, read_trusted, replace};
use crate::protocol::SOFTWARE_AAGUID;
use crate::protocol::authenticator_data::{AT, AuthenticatorData, UP};
use crate::protocol::encoding::{base64url, from_base64url, random, sha256};
use crate::protocol::messages::ErrorCode;
use crate::protocol::names::KeyName;
use crate::protocol::secret::Secret;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use ciborium::Value;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use webauthn_rs_proto::{
    AuthenticationExtensionsClientOutputs, AuthenticatorAssertionResponseRaw, AuthenticatorAttestationResponseRaw,
    PublicKeyCredential, PublicKeyCredentialCreationOptions, PublicKeyCredentialRequestOptions,
    RegisterPublicKeyCredential,
};

const FILE_MAX: u64 = 64 << 10;

/// The software key of one device: one file per credential.
pub struct SoftwareKey {
    directory: PathBuf,
    /// Which name a new credential gets.
    name: Option<KeyName>,
}

#[derive(Serialize, Deserialize)]
struct Credential {
    name: KeyName,
    id: String,
    rp_id: String,
    /// base64url user handle, where it is discoverable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_handle: Option<String>,
    /// PKCS#8, base64url.
    private_key: Secret,
}

impl SoftwareKey {
    /// The credentials that stand in the device's directory.
    #[must_use]
    pub fn on(device: &Path) -> Self {
        Self { directory: device.join("software-keys"), name: None }
    }

    /// To make one of this name.
    #[must_use]
    pub fn named(device: &Path, name: KeyName) -> Self {
        Self { name: Some(name), ..Self::on(device) }
    }

    /// Removes the credential of this id, if it is here.
    ///
    /// # Errors
    /// Where its file can't be removed.
    pub fn forget(&self, credential_id: &str) -> Result<(), Error> {
        match std::fs::remove_file(self.path(credential_id)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::failed(format!("the key's file can't be removed: {error}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether the credential of this id is here.
    #[must_use]
    pub fn holds(&self, credential_id: &[u8]) -> bool {
        self.path(&base64url(credential_id)).exists()
    }

    /// Whether a credential here signs somebody in at this relying party.
    #[must_use]
    pub fn can_sign_in(&self, rp_id: &str, known: &[Vec<u8>]) -> bool {
        matches!(self.discover(rp_id, known), Ok(Some(_)))
    }

    /// A known one, else the one that was made last of those that know whose they are.
    fn discover(&self, rp_id: &str, known: &[Vec<u8>]) -> Result<Option<Credential>, Error> {
        for id in known {
            if let Some(credential) = self.load(id)?.filter(|credential| credential.rp_id == rp_id) {
                return Ok(Some(credential));
            }
        }
        let files = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut made: Vec<_> = files
            .filter_map(|file| {
                let id = from_base64url(file.file_name().to_str()?.strip_suffix(".json")?)?;
                Some((file.metadata().ok()?.modified().ok()?, id))
            })
            .collect();
        made.sort_unstable();
        for (_, id) in made.iter().rev() {
            let credential = self.load(id)?;
            let fits = |it: &Credential| it.rp_id == rp_id && it.user_handle.is_some();
            if let Some(credential) = credential.filter(fits) {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    fn path(&self, credential_id: &str) -> PathBuf {
        self.directory.join(format!("{credential_id}.json"))
    }

    fn load(&self, credential_id: &[u8]) -> Result<Option<Credential>, Error> {
        let path = self.path(&base64url(credential_id));
        let Some(text) = read_trusted(&path, FILE_MAX)? else { return Ok(None) };
        let credential = serde_json::from_str(&text);
        credential.map(Some).map_err(|_| Error::failed(format!("the software key {} can't be read", path.display())))
    }

    fn save(&self, credential: &Credential) -> Result<(), Error> {
        own_directory(&self.directory)?;
        let text = serde_json::to_vec(credential).map_err(|error| Error::failed(error.to_string()))?;
        Ok(replace(&self.path(&credential.id), &zeroize::Zeroizing::new(text))?)
    }
}

impl SecurityKey for SoftwareKey {
    fn make_credential(
        &self,
        options: &PublicKeyCredentialCreationOptions,
        approval: &Approval<'_>,
    ) -> Result<RegisterPublicKeyCredential, Error> {
        let name = self.name.clone().ok_or_else(|| Error::usage("a new software key needs a name"))?;
        approval.press_enter(&format!("the new software key '{name}'"))?;
        let unusable = |_| Error::failed("no key could be made");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(unusable)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(unusable)?;
        let id = random::<32>();
        let discoverable = is_discoverable(options);
        let credential = Credential {
            name,
            id: base64url(id),
            rp_id: options.rp.id.clone(),
            user_handle: discoverable.then(|| base64url(&options.user.id)),
            private_key: Secret::new(base64url(pkcs8.as_ref())),
        };
        let mut data = authenticator_data(&credential, UP | AT);
        data.extend(SOFTWARE_AAGUID);
        data.extend([0, 32]);
        data.extend(id);
        data.extend(cose_key(pair.public_key().as_ref())?);
        self.save(&credential)?;
        Ok(RegisterPublicKeyCredential {
            id: credential.id.clone(),
            raw_id: id.to_vec(),
            response: AuthenticatorAttestationResponseRaw {
                attestation_object: attestation_object(data)?,
                client_data_json: client_data("webauthn.create", &options.challenge, &options.rp.id),
                transports: None,
            },
            type_: "public-key".to_owned(),
            extensions: made_so(options, discoverable),
        })
    }

    fn get_assertion(
        &self,
        options: &PublicKeyCredentialRequestOptions,
        approval: &Approval<'_>,
    ) -> Result<PublicKeyCredential, Error> {
        let mut found = None;
        for allowed in &options.allow_credentials {
            found = self.load(&allowed.id)?.filter(|credential| credential.rp_id == options.rp_id);
            if found.is_some() {
                break;
            }
        }
        let Some(credential) = found else {
            return Err(Error::new(ErrorCode::NoSecurityKey, "none of your enrolled keys is on this device")
                .hint("`elevate key list` shows which there are"));
        };
        assert(credential, options, approval)
    }

    fn get_discoverable_assertion(
        &self,
        options: &PublicKeyCredentialRequestOptions,
        known: &[Vec<u8>],
        approval: &Approval<'_>,
    ) -> Result<PublicKeyCredential, Error> {
        let credential = self.discover(&options.rp_id, known)?.ok_or_else(|| {
            Error::new(ErrorCode::NoSecurityKey, format!("no software key here signs in at {}", options.rp_id))
        })?;
        assert(credential, options, approval)
    }
}

fn assert(
    credential: Credential,
    options: &PublicKeyCredentialRequestOptions,
    approval: &Approval<'_>,
) -> Result<PublicKeyCredential, Error> {
    approval.press_enter(&format!("the software key '{}'", credential.name))?;
    let data = authenticator_data(&credential, UP);
    let client_data_json = client_data("webauthn.get", &options.challenge, &options.rp_id);
    let signature = sign(&credential, &[data.as_slice(), &sha256(&[&client_data_json])].concat())?;
    Ok(PublicKeyCredential {
        raw_id: from_base64url(&credential.id).unwrap_or_default(),
        id: credential.id,
        response: AuthenticatorAssertionResponseRaw {
            authenticator_data: data,
            client_data_json,
            signature,
            user_handle: credential.user_handle.as_deref().and_then(from_base64url),
        },
        extensions: AuthenticationExtensionsClientOutputs::default(),
        type_: "public-key".to_owned(),
    })
}

/// Signature counter 0, which is "none" (Level 3, section 6.1.1): a file can be copied, so counting would prove nothing.
fn authenticator_data(credential: &Credential, flags: u8) -> Vec<u8> {
    let rp_id_hash = sha256(&[credential.rp_id.as_bytes()]);
    AuthenticatorData { rp_id_hash, flags, counter: 0 }.to_bytes()
}

fn sign(credential: &Credential, message: &[u8]) -> Result<Vec<u8>, Error> {
    let unusable = || Error::failed("the software key can't sign");
    let der = zeroize::Zeroizing::new(from_base64url(credential.private_key.expose()).ok_or_else(unusable)?);
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).map_err(|_| unusable())?;
    let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| unusable())?;
    Ok(signature.as_ref().to_vec())
}

/// RFC 9053 section 7.1: EC2, ES256, P-256, from an uncompressed point.
fn cose_key(point: &[u8]) -> Result<Vec<u8>, Error> {
    let (x, y) =
        point.get(1..).map(|both| both.split_at(32)).ok_or_else(|| Error::failed("the new key has no point"))?;
    let int = |number: i64| Value::Integer(number.into());
    cbor(&Value::Map(vec![
        (int(1), int(2)),
        (int(3), int(-7)),
        (int(-1), int(1)),
        (int(-2), Value::Bytes(x.to_vec())),
        (int(-3), Value::Bytes(y.to_vec())),
    ]))
}

/// Attestation `none`: a file has nothing to attest.
fn attestation_object(authenticator_data: Vec<u8>) -> Result<Vec<u8>, Error> {
    let text = |text: &str| Value::Text(text.to_owned());
    cbor(&Value::Map(vec![
        (text("fmt"), text("none")),
        (text("attStmt"), Value::Map(Vec::new())),
        (text("authData"), Value::Bytes(authenticator_data)),
    ]))
}

fn cbor(value: &Value) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| Error::failed(error.to_string()))?;
    Ok(bytes)
}
