//! What a key signed, checked (`WebAuthn` Level 3, section 7.2): the same for a step-up and for signing in.

use super::Authority;
use super::rules::Rules;
use super::store::{Change, SecurityKeyRow};
use crate::protocol::assurance::Assurance;
use crate::protocol::encoding::{Digest, base64url};
use jiff::Timestamp;
use serde_json::{Value, json};
use webauthn_rs_proto::{PublicKeyCredential, UserVerificationPolicy};

/// An assertion that is what it has to be.
pub(super) struct Verified {
    /// The rung that it reaches.
    pub(super) assurance: Assurance,
    /// How (RFC 8176).
    pub(super) amr: Vec<String>,
    /// The key's counter moves with whatever comes of it; refused where another answer was faster.
    pub(super) used: Change,
    /// What anybody needs to verify it again, beside what was challenged.
    pub(super) evidence: Value,
}

/// Checks that `key` signed this challenge; the cause, where it did not.
pub(super) fn verify(
    authority: &Authority,
    rules: &Rules,
    key: &SecurityKeyRow,
    assertion: &PublicKeyCredential,
    challenge: &Digest,
    policy: UserVerificationPolicy,
    now: Timestamp,
) -> Result<Verified, &'static str> {
    let mut credential = key.parsed().ok_or("the enrolled key can't be read")?;
    let result = authority.relying_party.verify_assertion(assertion, challenge, &credential, policy)?;
    let hardware = key.is_hardware(rules);
    let assurance = key.reached(result.user_verified, hardware);
    credential.counter = result.counter;
    credential.backup_state = result.backup_state;
    let credential = serde_json::to_string(&credential).map_err(|_| "the key can't be written")?;
    Ok(Verified {
        assurance,
        amr: amr(key.software, hardware, assurance),
        used: Change::UseSecurityKey { credential_id: key.credential_id.clone(), credential, at: now },
        evidence: json!({
            "credential_id": key.credential_id,
            "clientDataJSON": base64url(&assertion.response.client_data_json),
            "authenticatorData": base64url(&assertion.response.authenticator_data),
            "signature": base64url(&assertion.response.signature),
        }),
    })
}

/// What a key signed, without what it gave out: the output of `hmac-secret` is the client's alone.
pub(super) fn read_assertion(text: &str) -> Result<PublicKeyCredential, &'static str> {
    let unreadable = |_| "there is no readable assertion in the answer";
    let raw: Value = serde_json::from_str(text).map_err(unreadable)?;
    let outputs = ["extensions", "clientExtensionResults"].map(|name| raw[name].as_object());
    if outputs.into_iter().flatten().flat_map(serde_json::Map::values).any(|output| !output.is_null()) {
        return Err("the answer holds what the key gave out to the client alone: the client is broken");
    }
    serde_json::from_value(raw).map_err(unreadable)
}

/// RFC 8176. A key that nobody vouches for is only known to hold a key (`pop`).
fn amr(software: bool, hardware: bool, reached: Assurance) -> Vec<String> {
    let key = match (software, hardware) {
        (true, _) => "swk",
        (false, true) => "hwk",
        (false, false) => "pop",
    };
    let mut methods = vec![key, "user"];
    if reached >= Assurance::Verified {
        methods.push("mfa");
    }
    methods.into_iter().map(str::to_owned).collect()
}
