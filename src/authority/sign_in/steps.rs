//! The steps of signing in, as they wait in the store: any node can take the next one, and each is taken once.

use super::Identity;
use crate::authority::Authority;
use crate::authority::caller::Caller;
use crate::authority::error::Refusal;
use crate::authority::store::{Change, StepRow};
use crate::clock::after;
use crate::protocol::challenge::{SignInTransaction, session_hash};
use crate::protocol::encoding::{base64url, random};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How often everybody together may begin in ten minutes, at one node: nobody has to be signed in to do so, and each is a
/// row or two.
pub(super) const BEGUN_MAX_OF_ALL: usize = 40_000;
/// How often one address may begin in ten minutes: many people may be behind it.
const BEGUN_MAX: usize = 300;

/// The device that wants to be signed in, as far as the person is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asking {
    /// Its proof key, where it has shown or named one.
    pub(super) jkt: Option<String>,
    /// What it says that it is called.
    pub(super) host: String,
    /// Where it called from.
    pub(super) address: String,
    /// When.
    pub(super) at: Timestamp,
}

/// A redirect on the device itself (RFC 8252 section 7.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Loopback {
    pub(super) redirect_uri: String,
    pub(super) state: String,
    pub(super) code_challenge: String,
}

/// How the device hears the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// Its browser brings it.
    Loopback(Loopback),
    /// It asks for it, with the code that has this hash.
    Device(String),
}

/// What waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub(super) enum Step {
    /// A pushed request (RFC 9126), named by its `request_uri`.
    Pushed { asking: Asking, loopback: Loopback },
    /// A browser that is at the provider, named by `state`.
    AtProvider { asking: Asking, answer: Answer, browser: String, nonce: String, verifier: String },
    /// A person who is asked whether they want it.
    Confirm { asking: Asking, answer: Answer, browser: String, identity: Identity },
    /// An authorization code, and the sign-in that it will become.
    Code(Redeemable),
    /// A key that is to say who it is, named by `auth_session`.
    Challenge { asking: Asking, code_challenge: String, transaction: SignInTransaction, nonce: String },
    /// The code that a person types, for a device.
    UserCode { device: String },
    /// A device that asks again and again.
    Device { asking: Asking, state: DeviceState },
}

/// What a code stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Redeemable {
    pub(super) asking: Asking,
    /// Where a browser brought it; `None` where it was answered to the device itself.
    pub(super) redirect_uri: Option<String>,
    pub(super) code_challenge: String,
    pub(super) identity: Identity,
    /// Names the sign-in that it will become.
    pub(super) sign_in: String,
    /// What a key signed, for the log.
    pub(super) evidence: Option<Value>,
}

/// What a device will hear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeviceState {
    /// Nobody answered yet.
    Waiting,
    /// Somebody signed in and wants it.
    Allowed(Identity),
    /// It is not let in, and why.
    Refused(String),
}

impl Step {
    /// The change that makes it wait under this name for so many seconds.
    pub(super) fn waiting(&self, name: &str, now: Timestamp, seconds: u64) -> Result<Change, Refusal> {
        let content = serde_json::to_string(self).map_err(|_| Refusal::Broken)?;
        let expires_at = after(now, seconds);
        Ok(Change::AddSignInStep(StepRow {
            hash: session_hash(name),
            content,
            expires_at,
            spent_at: None,
            asked_at: None,
        }))
    }
}

/// A name that nobody guesses.
pub(super) fn secret_name() -> String {
    base64url(random::<32>())
}

/// Refuses to begin where the caller, or a network that they are in, began too often.
///
/// # Errors
/// [`Refusal::Flood`].
pub(super) fn room(authority: &Authority, caller: Caller) -> Result<(), Refusal> {
    let is_free = authority.sign_in.begun.take(caller, authority.clock.now(), BEGUN_MAX);
    if is_free { Ok(()) } else { Err(Refusal::Flood(60)) }
}

/// A step as it stands in the store.
pub(super) struct Found {
    pub(super) row: StepRow,
    pub(super) step: Step,
}

impl Found {
    /// Whether it can still be taken.
    pub(super) fn stands(&self, now: Timestamp) -> bool {
        self.row.spent_at.is_none() && now < self.row.expires_at
    }

    /// The change that takes it.
    pub(super) fn taken(&self, at: Timestamp) -> Change {
        Change::SpendSignInStep { hash: self.row.hash.clone(), at }
    }
}

/// The step of this name, taken or not.
///
/// # Errors
/// [`Refusal::Store`].
pub(super) async fn find(authority: &Authority, name: &str) -> Result<Option<Found>, Refusal> {
    find_hash(authority, &session_hash(name)).await
}

/// The step whose name has this hash.
///
/// # Errors
/// [`Refusal::Store`].
pub(super) async fn find_hash(authority: &Authority, hash: &str) -> Result<Option<Found>, Refusal> {
    let Some(row) = authority.store.sign_in_step(hash).await? else { return Ok(None) };
    let step = serde_json::from_str(&row.content).map_err(|_| Refusal::Keys("a step in the store can't be read"))?;
    Ok(Some(Found { row, step }))
}
