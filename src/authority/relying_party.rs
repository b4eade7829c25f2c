//! The `WebAuthn` relying party: the library's verification, and the checks it leaves out.

use crate::protocol::encoding::{base64url, from_base64url};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::{
    AuthenticationResult, AuthenticationState, COSEAlgorithm, COSEKeyType, Credential, RegistrationState,
};
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

#[derive(Deserialize)]
struct ClientData {
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

    /// Level 3, section 7.2. The origin is compared byte for byte, not as a parsed URL.
    ///
    /// # Errors
    /// Which check failed.
    pub fn verify_assertion(
        &self,
        assertion: &PublicKeyCredential,
        challenge: &[u8; 32],
        credential: &Credential,
        policy: UserVerificationPolicy,
    ) -> Result<AuthenticationResult, &'static str> {
        self.check_origin(&assertion.response.client_data_json)?;
        if from_base64url(&assertion.id).as_deref() != Some(assertion.raw_id.as_slice())
            || assertion.type_ != "public-key"
        {
            return Err("the assertion names its key in two ways that differ");
        }
        let state = authentication_state(credential, challenge, policy).ok_or("the challenge can't be checked")?;
        self.core.authenticate_credential(assertion, &state).map_err(|error| cause(&error))
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

    fn check_origin(&self, client_data: &[u8]) -> Result<(), &'static str> {
        let data: ClientData =
            serde_json::from_slice(client_data).map_err(|_| "the client data of the assertion can't be read")?;
        if data.origin != self.origin {
            return Err("the assertion was made for another origin");
        }
        if data.cross_origin || data.top_origin.is_some() {
            return Err("the assertion was made across origins");
        }
        Ok(())
    }
}

/// A credential's public key as an uncompressed point (SEC 1 section 2.3.3); `None` where it is not on P-256.
#[must_use]
pub fn public_key(credential: &Credential) -> Option<Vec<u8>> {
    match &credential.cred.key {
        COSEKeyType::EC_EC2(point) => Some([&[4], point.x.as_slice(), point.y.as_slice()].concat()),
        COSEKeyType::EC_OKP(_) | COSEKeyType::RSA(_) => None,
    }
}

/// The state that the library wants; it has no constructor that takes a challenge, so it is built through serde.
fn authentication_state(
    credential: &Credential,
    challenge: &[u8; 32],
    policy: UserVerificationPolicy,
) -> Option<AuthenticationState> {
    // Whether a PIN is needed is what policy says of this request, not what the key was enrolled with: the library would
    // take no mere touch of a key that has one.
    let credential =
        Credential { registration_policy: UserVerificationPolicy::Discouraged_DO_NOT_USE, ..credential.clone() };
    let state = json!({
        "credentials": [credential],
        "policy": policy,
        "challenge": base64url(challenge),
        "appid": null,
        "allow_backup_eligible_upgrade": false,
    });
    serde_json::from_value(state).ok()
}

/// Few words for the library's many errors: a person learns what happened, an attacker nothing new.
const fn cause(error: &WebauthnError) -> &'static str {
    match error {
        WebauthnError::MismatchedChallenge => "the key signed another challenge",
        WebauthnError::InvalidRPOrigin => "the assertion was made for another origin",
        WebauthnError::InvalidRPIDHash => "the key signed for another relying party",
        WebauthnError::UserNotPresent => "the key was not touched",
        WebauthnError::UserNotVerified => "the key did not verify its user (PIN or biometric)",
        WebauthnError::CredentialPossibleCompromise => {
            "the key's counter went back: the key may have been copied; remove it and enrol another"
        }
        WebauthnError::CredentialBackupEligibilityInconsistent => "the key says of itself that it changed its kind",
        WebauthnError::CredentialNotFound => "the key is not enrolled",
        _ => "the key's signature or data are wrong",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The library takes no challenge of ours through its API. Its state goes through serde; if an update renames a
    /// field or stops reading the challenge from there, this fails before any assertion is believed or refused wrongly.
    #[test]
    fn the_library_still_takes_our_challenge() {
        let credential: Credential = serde_json::from_str(include_str!("../../tests/vectors/credential.json")).unwrap();
        let challenge = [7; 32];
        let state = authentication_state(&credential, &challenge, UserVerificationPolicy::Required).unwrap();
        let written = serde_json::to_value(&state).unwrap();
        let mut names: Vec<&str> = written.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["allow_backup_eligible_upgrade", "appid", "challenge", "credentials", "policy"]);
        assert_eq!(written["challenge"], base64url(challenge));
    }
}
