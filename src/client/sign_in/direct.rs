//! Signing in without a browser (draft-ietf-oauth-first-party-apps): a security key says who it is, or the person brings
//! an invitation. What comes of it is an authorization code as any other.

use crate::client::Device;
use crate::client::authority_api::{AuthorityApi, Authorization};
use crate::client::error::Error;
use crate::client::hidden_input;
use crate::client::presence::Approval;
use crate::client::security_key::{check_sign_in, for_sign_in};
use crate::clock::seconds_between;
use crate::protocol::CLIENT_ID;
use crate::protocol::display::escaped;
use crate::protocol::dpop::ProofKey;
use crate::protocol::encoding::{base64url, from_base64url, random, sha256};
use crate::protocol::messages::{AUTHORIZATION_CODE, ErrorCode, SignInChallenge, SignInResponse};
use crate::protocol::secret::Secret;
use std::time::Duration;
use webauthn_rs_proto::{
    AuthenticationExtensionsClientOutputs, PublicKeyCredentialRequestOptions, UserVerificationPolicy,
};

/// Bytes of an invitation with whatever is around it.
const INVITATION_MAX: usize = 256;

/// A security key says who it is.
pub(super) fn with_key(
    device: &Device,
    api: &AuthorityApi,
    key: &ProofKey,
    host: &str,
) -> Result<SignInResponse, Error> {
    let flow = Flow::new(api, key, host);
    let Authorization::Challenge(challenge) = flow.ask(&[])? else {
        return Err(Error::failed("the authority asks for no key"));
    };
    let assertion = assert(device, api, key, &challenge)?;
    let answer = [("auth_session", challenge.auth_session.as_str()), ("authn_response", &assertion)];
    match flow.ask(&answer)? {
        Authorization::Code(code) => flow.redeem(&code),
        Authorization::Challenge(_) => Err(Error::failed("the authority asks a second time")),
    }
}

/// An administrator's invitation.
pub(super) fn with_invitation(
    device: &Device,
    api: &AuthorityApi,
    key: &ProofKey,
    host: &str,
) -> Result<SignInResponse, Error> {
    let invitation = read_invitation(device)?;
    let flow = Flow::new(api, key, host);
    match flow.ask(&[("invitation", invitation.expose().trim())])? {
        Authorization::Code(code) => flow.redeem(&code),
        Authorization::Challenge(_) => Err(Error::failed("the authority takes no invitation")),
    }
}

/// One sign-in, from the first question to the token.
struct Flow<'a> {
    api: &'a AuthorityApi,
    key: &'a ProofKey,
    host: &'a str,
    verifier: String,
}

impl<'a> Flow<'a> {
    fn new(api: &'a AuthorityApi, key: &'a ProofKey, host: &'a str) -> Self {
        Self { api, key, host, verifier: base64url(random::<32>()) }
    }

    fn ask(&self, more: &[(&str, &str)]) -> Result<Authorization, Error> {
        let code_challenge = base64url(sha256(&[self.verifier.as_bytes()]));
        let mut form = vec![
            ("client_id", CLIENT_ID),
            ("code_challenge", code_challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("elevate_host", self.host),
        ];
        form.extend(more);
        self.api.authorize(&form, self.key)
    }

    fn redeem(&self, code: &Secret) -> Result<SignInResponse, Error> {
        let form = [
            ("grant_type", AUTHORIZATION_CODE),
            ("client_id", CLIENT_ID),
            ("code", code.expose()),
            ("code_verifier", &self.verifier),
        ];
        self.api.redeem(&form, self.key)
    }
}

/// Rebuilds the challenge from what *we* asked, shows it, and has it signed. If one byte differs nothing is touched.
fn assert(device: &Device, api: &AuthorityApi, key: &ProofKey, challenge: &SignInChallenge) -> Result<String, Error> {
    let SignInChallenge { auth_session, authn_params_public_key: asked, elevate_txn, elevate_nonce, .. } = challenge;
    let issuer = api.known().issuer.as_str();
    let expires = elevate_txn
        .rebuild(issuer, key.jkt(), auth_session, elevate_nonce, &asked.challenge)
        .map_err(|error| Error::new(ErrorCode::VerificationFailed, error.to_string()).hint("nothing was touched"))?;
    let options = &own_options(asked);
    if options.rp_id != api.known().rp_id() {
        return Err(Error::new(ErrorCode::VerificationFailed, "the authority asks for a key of another relying party"));
    }
    let limit = Duration::from_secs(seconds_between(device.clock.now(), expires));
    let shown = format!("\nelevate: sign in to {} on this device?\n", escaped(&device.authority.to_string()));
    let known: Vec<Vec<u8>> = api.names().credentials().iter().filter_map(|(id, _)| from_base64url(id)).collect();
    let security_key = for_sign_in(device, &options.rp_id, &known);
    let assertion = security_key.get_discoverable_assertion(options, &known, &Approval::new(device, shown, limit));
    let mut assertion =
        assertion.map_err(|error| if error.code == ErrorCode::NoSecurityKey { error.hint(NO_KEY) } else { error })?;
    check_sign_in(device, options, &assertion)?;
    assertion.extensions = AuthenticationExtensionsClientOutputs::default();
    serde_json::to_string(&assertion).map_err(|error| Error::failed(error.to_string()))
}

/// What a key is asked for to sign in, whatever the authority writes: who it is, and nothing else. An authority that could ask
/// for `hmac-secret` here would have what secrets are sealed with.
fn own_options(asked: &PublicKeyCredentialRequestOptions) -> PublicKeyCredentialRequestOptions {
    PublicKeyCredentialRequestOptions {
        challenge: asked.challenge.clone(),
        timeout: None,
        rp_id: asked.rp_id.clone(),
        allow_credentials: Vec::new(),
        user_verification: UserVerificationPolicy::Required,
        hints: None,
        extensions: None,
    }
}

const NO_KEY: &str = "a key that was enrolled elsewhere and has no room to know whose it is signs in only where this device \
                      heard of it: sign in another way, then `elevate key list`";

fn read_invitation(device: &Device) -> Result<Secret, Error> {
    let invitation = hidden_input::read(device, "Invitation", INVITATION_MAX)?;
    if invitation.expose().trim().is_empty() {
        return Err(
            Error::usage("the invitation is empty").hint("an administrator makes one with `elevate admin user invite`")
        );
    }
    Ok(invitation)
}

#[cfg(test)]
mod tests {
    use super::own_options;
    use serde_json::json;

    #[test]
    fn an_authority_can_not_ask_a_key_for_more_than_who_it_is() {
        let asked = json!({
            "challenge": "AAAA", "rpId": "localhost", "userVerification": "discouraged",
            "allowCredentials": [{ "type": "public-key", "id": "AAAA" }],
            "extensions": { "hmacGetSecret": { "output1": "AAAA" } },
        });
        let asked = serde_json::from_value(asked).unwrap();
        let options = serde_json::to_value(own_options(&asked)).unwrap();
        let expected = json!({
            "challenge": "AAAA", "rpId": "localhost", "allowCredentials": [], "userVerification": "required",
        });
        assert_eq!(options, expected);
    }
}
