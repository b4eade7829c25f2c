//! The `WebAuthn` relying party. Registrations are the library's to verify. What a key signed later is verified here, over
//! `aws-lc-rs`: the library takes no challenge of ours but through a copy in JSON, and its P-256 is several times slower. A
//! test holds the two to the same answer.

use crate::protocol::authenticator_data::{AT, AuthenticatorData, BE, BS, ED, UP, UV};
use crate::protocol::encoding::{from_base64url, sha256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::Deserialize;
use std::time::Duration;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::{COSEAlgorithm, COSEKeyType, Credential, ECDSACurve, RegistrationState};
use webauthn_rs_proto::{
    AttestationConveyancePreference, PublicKeyCredential, PublicKeyCredentialCreationOptions,
    RegisterPublicKeyCredential, RequestRegistrationExtensions, ResidentKeyRequirement, UserVerificationPolicy,
};

/// Who keys sign for.
pub struct RelyingParty {
    /// Its id, a domain.
    pub id: String,
    origin: String,
    core: WebauthnCore,
}

/// What an assertion says that is what it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asserted {
    /// A PIN or biometric was checked.
    pub user_verified: bool,
    /// The credential is backed up now.
    pub backup_state: bool,
    /// The signature counter; 0 where the key has none.
    pub counter: u32,
}

#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    type_: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
    #[serde(default, rename = "topOrigin")]
    top_origin: Option<String>,
}

impl RelyingParty {
    /// The relying party `id`; its one origin is `https://<id>`.
    ///
    /// # Errors
    /// Where the id is no domain.
    pub fn new(id: &str) -> Result<Self, String> {
        let origin = format!("https://{id}");
        let url = url::Url::parse(&origin).map_err(|error| format!("'{id}' can't be a relying party id: {error}"))?;
        let timeout = Duration::from_secs(super::step_up::CHALLENGE_LIFETIME);
        let core = WebauthnCore::new_unsafe_experts_only("elevate", id, vec![url], timeout, None, None);
        Ok(Self { id: id.to_owned(), origin, core })
    }

    /// Level 3, section 7.2. The origin is compared byte for byte, not as a parsed URL. Whether a PIN is needed is what policy
    /// says of this request, not what the key was enrolled with.
    ///
    /// # Errors
    /// Which check failed.
    pub fn verify_assertion(
        &self,
        assertion: &PublicKeyCredential,
        challenge: &[u8; 32],
        credential: &Credential,
        policy: UserVerificationPolicy,
    ) -> Result<Asserted, &'static str> {
        let response = &assertion.response;
        let client_data = self.check_origin(&response.client_data_json)?;
        if from_base64url(&assertion.id).as_deref() != Some(assertion.raw_id.as_slice())
            || assertion.type_ != "public-key"
        {
            return Err("the assertion names its key in two ways that differ");
        }
        if assertion.raw_id.as_slice() != credential.cred_id.as_slice() {
            return Err("the key is not enrolled");
        }
        if client_data.type_ != "webauthn.get" {
            return Err(WRONG);
        }
        if from_base64url(&client_data.challenge).as_deref() != Some(challenge.as_slice()) {
            return Err("the key signed another challenge");
        }
        let asserted = self.check_data(&response.authenticator_data, credential, policy)?;
        let signed = [response.authenticator_data.as_slice(), &sha256(&[&response.client_data_json])].concat();
        let point = public_key(credential).ok_or(WRONG)?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
        key.verify(&signed, &response.signature).map_err(|_| WRONG)?;
        // Only of what the key signed it is worth saying that it was copied.
        if asserted.counter <= credential.counter && (asserted.counter, credential.counter) != (0, 0) {
            return Err(COPIED);
        }
        Ok(asserted)
    }

    /// What the key says of itself and its user. There is nothing behind its counter that its flags don't name.
    fn check_data(
        &self,
        bytes: &[u8],
        credential: &Credential,
        policy: UserVerificationPolicy,
    ) -> Result<Asserted, &'static str> {
        let data = AuthenticatorData::parse(bytes).ok_or(WRONG)?;
        let is = |flag: u8| data.flags & flag != 0;
        if data.rp_id_hash != sha256(&[self.id.as_bytes()]) {
            return Err("the key signed for another relying party");
        }
        if !is(UP) {
            return Err("the key was not touched");
        }
        if policy == UserVerificationPolicy::Required && !is(UV) {
            return Err("the key did not verify its user (PIN or biometric)");
        }
        if is(BE) != credential.backup_eligible {
            return Err(CHANGED);
        }
        if (is(BS) && !is(BE)) || is(AT) || is(ED) != (bytes.len() > FIXED) {
            return Err(WRONG);
        }
        Ok(Asserted { user_verified: is(UV), backup_state: is(BS), counter: data.counter })
    }

    /// Level 3, section 7.1: what a key is asked to make; `discoverable` where it can, it is to know by itself whose it is.
    ///
    /// # Errors
    /// Where the library refuses the user's name.
    pub fn begin_registration(
        &self,
        user_id: &[u8],
        user: &str,
        exclude: Vec<Vec<u8>>,
        discoverable: bool,
    ) -> Result<(PublicKeyCredentialCreationOptions, RegistrationState), &'static str> {
        // Cheap to have, and without it nothing can be sealed under the key later.
        let extensions = RequestRegistrationExtensions {
            cred_protect: None,
            uvm: None,
            cred_props: Some(true),
            min_pin_length: None,
            hmac_create_secret: Some(true),
        };
        let builder = self
            .core
            .new_challenge_register_builder(user_id, user, user)
            .map_err(|error| cause(&error))?
            .attestation(AttestationConveyancePreference::Direct)
            .user_verification_policy(UserVerificationPolicy::Preferred)
            .credential_algorithms(vec![COSEAlgorithm::ES256])
            .exclude_credentials(Some(exclude))
            .extensions(Some(extensions));
        let (response, state) = self.core.generate_challenge_register(builder).map_err(|error| cause(&error))?;
        let mut options = response.public_key;
        // Section 5.4.6; the library has a word for "required" only, and a key without room is a good key still.
        if let (true, Some(selection)) = (discoverable, &mut options.authenticator_selection) {
            selection.resident_key = Some(ResidentKeyRequirement::Preferred);
        }
        Ok((options, state))
    }

    /// Level 3, section 7.1: what a key made.
    ///
    /// # Errors
    /// Which check failed.
    pub fn finish_registration(
        &self,
        credential: &RegisterPublicKeyCredential,
        state: &RegistrationState,
    ) -> Result<Credential, &'static str> {
        self.check_origin(&credential.response.client_data_json)?;
        self.core.register_credential(credential, state, None).map_err(|error| cause(&error))
    }

    fn check_origin(&self, client_data: &[u8]) -> Result<ClientData, &'static str> {
        let data: ClientData =
            serde_json::from_slice(client_data).map_err(|_| "the client data of the assertion can't be read")?;
        if data.origin != self.origin {
            return Err("the assertion was made for another origin");
        }
        if data.cross_origin || data.top_origin.is_some() {
            return Err("the assertion was made across origins");
        }
        Ok(data)
    }
}

/// Bytes of authenticator data that are always there.
const FIXED: usize = 37;
const WRONG: &str = "the key's signature or data are wrong";
const COPIED: &str = "the key's counter went back: the key may have been copied; remove it and enrol another";
const CHANGED: &str = "the key says of itself that it changed its kind";

/// A credential's public key as an uncompressed point (SEC 1 section 2.3.3); `None` where it is not on P-256.
#[must_use]
pub fn public_key(credential: &Credential) -> Option<Vec<u8>> {
    match &credential.cred.key {
        COSEKeyType::EC_EC2(point) if point.curve == ECDSACurve::SECP256R1 => {
            Some([&[4], point.x.as_slice(), point.y.as_slice()].concat())
        }
        COSEKeyType::EC_EC2(_) | COSEKeyType::EC_OKP(_) | COSEKeyType::RSA(_) => None,
    }
}

/// Few words for the library's many errors: a person learns what happened, an attacker nothing new.
const fn cause(error: &WebauthnError) -> &'static str {
    match error {
        WebauthnError::MismatchedChallenge => "the key signed another challenge",
        WebauthnError::InvalidRPOrigin => "the assertion was made for another origin",
        WebauthnError::InvalidRPIDHash => "the key signed for another relying party",
        WebauthnError::UserNotPresent => "the key was not touched",
        WebauthnError::UserNotVerified => "the key did not verify its user (PIN or biometric)",
        WebauthnError::CredentialNotFound => "the key is not enrolled",
        _ => WRONG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::encoding::base64url;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use webauthn_rs_core::proto::AuthenticationState;

    const CHALLENGE: [u8; 32] = [7; 32];

    /// The state that the library wants; it has no constructor that takes a challenge, so it is built through serde.
    fn state_of(credential: &Credential, policy: UserVerificationPolicy) -> AuthenticationState {
        let credential =
            Credential { registration_policy: UserVerificationPolicy::Discouraged_DO_NOT_USE, ..credential.clone() };
        let state = json!({
            "credentials": [credential], "policy": policy, "challenge": base64url(CHALLENGE), "appid": null,
            "allow_backup_eligible_upgrade": false,
        });
        serde_json::from_value(state).unwrap()
    }

    /// The library's answer, with the checks that were always ours.
    fn of_the_library(
        party: &RelyingParty,
        assertion: &PublicKeyCredential,
        credential: &Credential,
        policy: UserVerificationPolicy,
    ) -> Option<Asserted> {
        party.check_origin(&assertion.response.client_data_json).ok()?;
        let result = party.core.authenticate_credential(assertion, &state_of(credential, policy)).ok()?;
        Some(Asserted {
            user_verified: result.user_verified(),
            backup_state: result.backup_state(),
            counter: result.counter(),
        })
    }

    fn credential(pair: &EcdsaKeyPair, counter: u32, backup_eligible: bool) -> Credential {
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let mut known: Value = serde_json::from_str(include_str!("../../tests/vectors/credential.json")).unwrap();
        known["cred_id"] = json!(base64url([1; 16]));
        known["counter"] = json!(counter);
        known["backup_eligible"] = json!(backup_eligible);
        known["cred"]["key"]["EC_EC2"]["x"] = json!(base64url(x));
        known["cred"]["key"]["EC_EC2"]["y"] = json!(base64url(y));
        serde_json::from_value(known).unwrap()
    }

    fn assertion(pair: &EcdsaKeyPair, data: &[u8], client: &str, id: [u8; 16]) -> PublicKeyCredential {
        let signed = [data, &sha256(&[client.as_bytes()])].concat();
        let signature = pair.sign(&SystemRandom::new(), &signed).unwrap();
        let text = json!({
            "id": base64url(id), "rawId": base64url(id), "type": "public-key", "extensions": {},
            "response": {
                "authenticatorData": base64url(data), "clientDataJSON": base64url(client),
                "signature": base64url(signature), "userHandle": null,
            },
        });
        serde_json::from_value(text).unwrap()
    }

    fn pick<T: Clone + std::fmt::Debug + 'static>(usual: T, others: Vec<T>) -> impl Strategy<Value = T> {
        prop_oneof![6 => Just(usual), 1 => prop::sample::select(others)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        /// Whatever a key signs, and however it is changed on the way.
        #[test]
        fn the_library_gives_the_same_answer(
            (kind, challenge, origin) in (
                pick("webauthn.get", vec!["webauthn.create", "payment.get", ""]),
                pick(base64url(CHALLENGE), vec![base64url([8; 32]), base64url([7; 31]), String::new()]),
                pick("https://bench.example", vec!["https://evil.example", "https://bench.example:444", "http://bench.example"]),
            ),
            (host, id) in (pick("bench.example", vec!["evil.example"]), pick([1; 16], vec![[2; 16]])),
            (flags, user, eligible) in (any::<u8>(), any::<bool>(), any::<bool>()),
            (known, counter) in (0_u32..4, 0_u32..4),
            required in any::<bool>(),
            flip in prop::option::weighted(0.2, (0_usize..3, any::<prop::sample::Index>(), 0_u8..8)),
        ) {
            let pkcs8 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap().to_pkcs8v1().unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
            let flags = (flags & (UV | BE | BS)) | if user { UP } else { 0 };
            let data = AuthenticatorData { rp_id_hash: sha256(&[host.as_bytes()]), flags, counter }.to_bytes();
            let client = json!({ "type": kind, "challenge": challenge, "origin": origin }).to_string();
            let mut assertion = assertion(&pair, &data, &client, id);
            if let Some((part, place, bit)) = flip {
                let response = &mut assertion.response;
                let mut parts =
                    [response.authenticator_data.clone(), response.client_data_json.clone(), response.signature.clone()];
                let place = place.index(parts[part].len());
                parts[part][place] ^= 1 << bit;
                let [data, client, signature] = parts;
                response.authenticator_data = data;
                response.client_data_json = client;
                response.signature = signature;
            }
            let credential = credential(&pair, known, eligible);
            let party = RelyingParty::new("bench.example").unwrap();
            let policy =
                if required { UserVerificationPolicy::Required } else { UserVerificationPolicy::Discouraged_DO_NOT_USE };
            let ours = party.verify_assertion(&assertion, &CHALLENGE, &credential, policy).ok();
            prop_assert_eq!(ours, of_the_library(&party, &assertion, &credential, policy));
        }
    }

    #[test]
    fn data_that_no_flag_names_is_refused() {
        let pkcs8 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap().to_pkcs8v1().unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
        let party = RelyingParty::new("bench.example").unwrap();
        let credential = credential(&pair, 0, false);
        let client = json!({ "type": "webauthn.get", "challenge": base64url(CHALLENGE), "origin": party.origin });
        let fixed = |flags| AuthenticatorData { rp_id_hash: sha256(&[b"bench.example"]), flags, counter: 0 }.to_bytes();
        let verify = |data: &[u8]| {
            let assertion = assertion(&pair, data, &client.to_string(), [1; 16]);
            party.verify_assertion(&assertion, &CHALLENGE, &credential, UserVerificationPolicy::Discouraged_DO_NOT_USE)
        };
        verify(&fixed(UP)).unwrap();
        verify(&[fixed(UP | ED).as_slice(), &[0xa0]].concat()).unwrap();
        for wrong in [
            fixed(UP)[..36].to_vec(),
            [fixed(UP).as_slice(), &[0xa0]].concat(),
            fixed(UP | ED),
            [fixed(UP | AT).as_slice(), &[0; 18]].concat(),
        ] {
            assert_eq!(verify(&wrong), Err(WRONG));
        }
    }
}
