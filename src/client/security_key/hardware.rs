//! Keys that are devices, as an authenticator: what they are asked, and what is made of their answer. Who of them is asked,
//! and what the person reads meanwhile, is `asking.rs`.

use super::asking::{Asking, unreadable};
use super::driver::{Answer, Bytes, KeyInfo};
use super::fleet::Bus;
use super::wish::Wish;
use super::{SecurityKey, check_new_credential, client_data, made_so};
use crate::client::error::Error;
use crate::client::presence::Approval;
use crate::protocol::authenticator_data::{AttestedCredential, of_attestation_object};
use crate::protocol::encoding::{base64url, from_base64url};
use crate::protocol::messages::EnrolledKey;
use webauthn_rs_proto::{
    AuthenticationExtensionsClientOutputs, AuthenticatorAssertionResponseRaw, AuthenticatorAttestationResponseRaw,
    AuthenticatorTransport, HmacGetSecretOutput, PublicKeyCredential, PublicKeyCredentialCreationOptions,
    PublicKeyCredentialRequestOptions, RegisterPublicKeyCredential, UserVerificationPolicy,
};

/// The keys that are, or will be, plugged in.
pub struct HardwareKeys<'a> {
    /// Where.
    pub bus: Bus,
    /// Which of them are enrolled, with their names.
    pub enrolled: &'a [EnrolledKey],
}

impl SecurityKey for HardwareKeys<'_> {
    fn make_credential(
        &self,
        options: &PublicKeyCredentialCreationOptions,
        approval: &Approval<'_>,
    ) -> Result<RegisterPublicKeyCredential, Error> {
        let client_data = client_data("webauthn.create", &options.challenge, &options.rp.id);
        let wish = Wish::Make { options: Box::new(options.clone()), client_data: client_data.clone() };
        let (answer, info) = self.fulfil(wish, approval)?;
        let Answer::Made { object, discoverable } = answer else { return Err(unreadable("the key")) };
        let credential_id = check_made(&object.0, &options.rp.id, info.can_verify())?;
        let transports = info.transports.iter().filter_map(|name| serde_json::from_value(name.as_str().into()).ok());
        Ok(RegisterPublicKeyCredential {
            id: base64url(&credential_id),
            raw_id: credential_id,
            response: AuthenticatorAttestationResponseRaw {
                attestation_object: object.0,
                client_data_json: client_data,
                transports: Some(transports.collect::<Vec<AuthenticatorTransport>>()),
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
        let allow = options.allow_credentials.iter().map(|allowed| Bytes(allowed.id.clone())).collect();
        self.assert(options, allow, false, approval)
    }

    fn get_discoverable_assertion(
        &self,
        options: &PublicKeyCredentialRequestOptions,
        known: &[Vec<u8>],
        approval: &Approval<'_>,
    ) -> Result<PublicKeyCredential, Error> {
        self.assert(options, known.iter().cloned().map(Bytes).collect(), true, approval)
    }
}

impl HardwareKeys<'_> {
    fn assert(
        &self,
        options: &PublicKeyCredentialRequestOptions,
        allow: Vec<Bytes>,
        discoverable: bool,
        approval: &Approval<'_>,
    ) -> Result<PublicKeyCredential, Error> {
        let client_data = client_data("webauthn.get", &options.challenge, &options.rp_id);
        let salt = options.extensions.as_ref().and_then(|extensions| extensions.hmac_get_secret.as_ref());
        let wish = Wish::Assert {
            rp_id: options.rp_id.clone(),
            client_data: client_data.clone(),
            allow,
            discoverable,
            verify: options.user_verification == UserVerificationPolicy::Required,
            salt: salt.map(|salt| salt.output1.clone()),
        };
        let (answer, _) = self.fulfil(wish, approval)?;
        let Answer::Asserted { credential_id, authenticator_data, signature, user_handle, hmac_output } = answer else {
            return Err(unreadable("the key"));
        };
        let output = hmac_output.and_then(|output| from_base64url(output.expose()));
        Ok(PublicKeyCredential {
            id: base64url(&credential_id.0),
            raw_id: credential_id.0,
            response: AuthenticatorAssertionResponseRaw {
                authenticator_data: authenticator_data.0,
                client_data_json: client_data,
                signature: signature.0,
                user_handle: user_handle.map(|handle| handle.0),
            },
            extensions: AuthenticationExtensionsClientOutputs {
                appid: None,
                hmac_get_secret: output.map(|output1| HmacGetSecretOutput { output1, output2: None }),
            },
            type_: "public-key".to_owned(),
        })
    }

    /// Sets the PIN of a key that is plugged in, or changes it.
    ///
    /// # Errors
    /// [`Error`]; then the PIN is what it was.
    pub fn change_pin(&self, approval: &Approval<'_>) -> Result<(), Error> {
        self.fulfil(Wish::ChangePin, approval).map(|_| ())
    }

    fn fulfil(&self, wish: Wish, approval: &Approval<'_>) -> Result<(Answer, KeyInfo), Error> {
        Asking::new(self.bus.clone(), self.enrolled, wish, approval.begin()?).run()
    }
}

/// The id of the new credential, out of an attestation object that passes the checks.
fn check_made(object: &[u8], rp_id: &str, verified: bool) -> Result<Vec<u8>, Error> {
    let data = of_attestation_object(object).ok_or_else(|| unreadable("the key"))?;
    check_new_credential(&data, rp_id, verified)?;
    AttestedCredential::parse(&data).map(|credential| credential.id).ok_or_else(|| unreadable("the key"))
}
