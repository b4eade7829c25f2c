//! One process per (authority, resource, subject, whom the grant reaches) asks; the others wait for what it gets. The kernel's
//! lock says who it is, so a holder that dies lets the next one go on; a denial it left is shared by those who waited for
//! it, and by nobody later.

use super::Device;
use super::elevation::Wanted;
use super::error::Error;
use super::patience::Patience;
use super::trust::KnownAuthority;
use crate::clock::{Clock, human};
use crate::files::{open_lock, own_directory, try_lock};
use crate::protocol::encoding::{base64url, sha256};
use crate::protocol::messages::ErrorCode;
use crate::protocol::names::{ResourceName, Ttl};
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Seek as _, Write as _};
use std::time::{Duration, Instant};

/// How often a waiter looks whether it is its turn.
const LOOK: Duration = Duration::from_millis(10);

/// The right to ask, held until it is dropped.
pub struct Flight {
    file: std::fs::File,
    /// When this process began to wait.
    began: u128,
    /// What it asks.
    question: String,
}

/// What is asked, beyond the resource: a no to one question is none to another.
fn question(wanted: &Wanted) -> String {
    let ttl = wanted.ttl.map(Ttl::seconds);
    format!("{:?}", (&wanted.scope, ttl, &wanted.reason, &wanted.command))
}

/// What the last holder was told.
#[derive(Serialize, Deserialize)]
struct Outcome {
    at: u128,
    question: String,
    code: ErrorCode,
    message: String,
    hint: Option<String>,
    elevation: Option<String>,
}

/// Waits for the right to ask. `note` is called once, if it takes longer than a second.
///
/// # Errors
/// What the holder before was told, where that was no and we were waiting by then;
/// [`ErrorCode::InteractionRequired`] where the holder waits for a touch and this caller must not, or it never ends.
pub fn enter(device: &Device, known: &KnownAuthority, wanted: &Wanted, note: impl FnOnce()) -> Result<Flight, Error> {
    let patience = device.patience();
    let began = Clock::since_boot();
    let directory = device.places.device.join("flights");
    own_directory(&device.places.device)?;
    own_directory(&directory)?;
    // Those whom the grant would not reach have to ask for themselves, and need not wait.
    let reach = device.grant_store().ok().and_then(|store| store.reach_id().ok().flatten()).unwrap_or_default();
    let parts = [known.issuer.as_str(), wanted.resource.as_str(), &reach, &device.subject()?];
    let name = base64url(sha256(&[parts.join("\0").as_bytes()]));
    let path = directory.join(name);
    let file = open_lock(&path)?;
    let waiting = Instant::now();
    let mut note = Some(note);
    while !try_lock(&file, &path)? {
        if waiting.elapsed() > patience.turn() {
            return Err(waited_in_vain(&wanted.resource, patience));
        }
        if waiting.elapsed() > Duration::from_secs(1)
            && let Some(note) = note.take()
        {
            note();
        }
        std::thread::sleep(LOOK);
    }
    let mut flight = Flight { file: file.into(), began, question: question(wanted) };
    match flight.outcome() {
        Some(outcome) if outcome.at >= began && outcome.question == flight.question => Err(Error {
            code: outcome.code,
            message: outcome.message,
            hint: outcome.hint,
            elevation: outcome.elevation,
        }),
        Some(_) | None => Ok(flight),
    }
}

fn waited_in_vain(resource: &ResourceName, patience: Patience) -> Error {
    let (message, hint) = match patience {
        Patience::Nobody => (
            format!("another elevate is asking for {resource}, and -n forbids to wait for it"),
            "it may be waiting for a touch",
        ),
        Patience::Somebody => (
            format!("another elevate has been asking for {resource} for {}", human(patience.turn().as_secs())),
            "it may have been stopped: `pgrep -a elevate` shows which there are",
        ),
    };
    Error::new(ErrorCode::InteractionRequired, message).hint(hint)
}

impl Flight {
    /// Leaves an answer for those who wait, where it would be theirs as well: policy's or the person's no.
    pub fn leave(&mut self, error: &Error) {
        match error.code {
            ErrorCode::Denied | ErrorCode::VerificationFailed | ErrorCode::NoSecurityKey => {}
            ErrorCode::No
            | ErrorCode::Usage
            | ErrorCode::InteractionRequired
            | ErrorCode::ApprovalPending
            | ErrorCode::AuthorityUnreachable
            | ErrorCode::NoKeyring
            | ErrorCode::NotSignedIn
            | ErrorCode::Failed => return,
        }
        let outcome = Outcome {
            at: Clock::since_boot().max(self.began),
            question: self.question.clone(),
            code: error.code,
            message: error.message.clone(),
            hint: error.hint.clone(),
            elevation: error.elevation.clone(),
        };
        // Where it can't be written the others ask for themselves.
        let _ = serde_json::to_vec(&outcome).map(|text| {
            self.file.set_len(0).and_then(|()| self.file.rewind()).and_then(|()| self.file.write_all(&text))
        });
    }

    fn outcome(&mut self) -> Option<Outcome> {
        let mut text = Vec::new();
        self.file.rewind().ok()?;
        (&self.file).take(64 << 10).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}
