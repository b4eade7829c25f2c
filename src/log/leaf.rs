//! One entry: a public part that stands in the tree, and a private part that the tree only commits to, so that
//! who it was can be erased and the proof that an entry stood there survives.

use crate::protocol::encoding::{base64url, canonical_json, from_base64url, random, sha256};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// The log's first entry.
    #[serde(rename = "log.opened")]
    LogOpened,
    /// A grant was decided; it is issued only after this entry is durable.
    #[serde(rename = "grant.issued")]
    GrantIssued,
    /// A grant ended before its time.
    #[serde(rename = "grant.revoked")]
    GrantRevoked,
    /// Policy said no.
    #[serde(rename = "elevation.denied")]
    ElevationDenied,
    /// A step-up was answered with something that does not prove it.
    #[serde(rename = "step_up.failed")]
    StepUpFailed,
    /// A security key was enrolled.
    #[serde(rename = "key.enrolled")]
    KeyEnrolled,
    /// A security key was removed.
    #[serde(rename = "key.removed")]
    KeyRemoved,
    /// A secret was put or replaced.
    #[serde(rename = "secret.set")]
    SecretSet,
    /// A secret was removed.
    #[serde(rename = "secret.removed")]
    SecretRemoved,
    /// A user asked for the first time.
    #[serde(rename = "user.created")]
    UserCreated,
    /// A user was shut out.
    #[serde(rename = "user.disabled")]
    UserDisabled,
    /// A user was let in again.
    #[serde(rename = "user.enabled")]
    UserEnabled,
    /// A user was invited to enrol a first key.
    #[serde(rename = "user.invited")]
    UserInvited,
    /// A person signed in on a device.
    #[serde(rename = "sign_in.done")]
    SignedIn,
    /// Somebody tried to, and is not let in.
    #[serde(rename = "sign_in.failed")]
    SignInFailed,
    /// A person signed out on a device.
    #[serde(rename = "sign_in.left")]
    SignedOut,
    /// A device was signed out by somebody else.
    #[serde(rename = "sign_in.ended")]
    SignInEnded,
    /// A new signing key took over.
    #[serde(rename = "signing_key.rotated")]
    SigningKeyRotated,
    /// Configuration and policy were loaded.
    #[serde(rename = "rules.loaded")]
    RulesLoaded,
    /// Configuration or policy on disk was broken and not loaded.
    #[serde(rename = "rules.refused")]
    RulesRefused,
    /// A clock that had gone back was accepted by whoever runs the machine.
    #[serde(rename = "clock.accepted")]
    ClockAccepted,
    /// The keys of an administrator were removed on the machine itself, without anybody's proof.
    #[serde(rename = "admin.recovered")]
    AdminRecovered,
    /// A resource was declared in the store, or declared anew.
    #[serde(rename = "resource.set")]
    ResourceSet,
    /// A resource was taken out of the store.
    #[serde(rename = "resource.removed")]
    ResourceRemoved,
    /// An administrator read something.
    #[serde(rename = "admin.read")]
    AdminRead,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The serde name is the one name there is.
        match serde_json::to_value(self) {
            Ok(Value::String(name)) => f.write_str(&name),
            _ => Err(fmt::Error),
        }
    }
}

/// The public part of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// Version of this object; 1.
    pub v: u8,
    /// Its own place in the log, so that a moved entry says so itself.
    pub index: u64,
    /// When.
    pub time: Timestamp,
    /// What.
    pub event: Event,
    /// Which elevation it belongs to.
    pub elevation: String,
    /// The resource, or the thing that was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The rung that was reached or asked for, as its `acr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// The policies that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Risk signals that were seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<String>,
    /// Why, where it was no success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// base64url SHA-256 of salt ‖ JCS(private part).
    pub private: String,
}

/// The private part: who, with what, and the evidence of the touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Private {
    /// base64url, 32 random bytes.
    pub salt: String,
    /// The clear text.
    pub clear: Value,
}

impl Private {
    /// With a fresh salt.
    #[must_use]
    pub fn new(clear: Value) -> Self {
        Self { salt: base64url(random::<32>()), clear }
    }

    /// What the leaf holds of it; `None` where the salt or the text can't be read.
    #[must_use]
    pub fn commitment(&self) -> Option<String> {
        let salt = from_base64url(&self.salt)?;
        let clear = canonical_json(&self.clear).ok()?;
        Some(base64url(sha256(&[&salt, &clear])))
    }
}

impl Leaf {
    /// The bytes that stand in the tree: RFC 8785.
    ///
    /// # Errors
    /// Where a leaf has no JSON form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        canonical_json(self)
    }
}
