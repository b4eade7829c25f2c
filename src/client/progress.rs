//! `--progress=json`: what is waited for, an object a line on stderr, for programs that show it to somebody. Documented in
//! `docs/schemas/progress.schema.json`; fields are only ever added. Holds no secret: no token, no PIN.

use crate::clock::Clock;
use crate::protocol::assurance::Assurance;
use crate::protocol::names::{ResourceName, Scope};
use jiff::Timestamp;
use serde::Serialize;

/// What happens now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Another elevate asks for the same; its answer will be ours.
    WaitingForFlight,
    /// The authority is asked.
    Asking,
    /// It wants a stronger proof.
    StepUp {
        /// Which.
        assurance: Assurance,
        /// Until when.
        expires_at: Timestamp,
    },
    /// No key that could answer is plugged in.
    PlugIn {
        /// What the person calls those that could, where that is known.
        keys: Vec<String>,
    },
    /// These blink.
    Touch {
        /// What the person calls them.
        keys: Vec<String>,
    },
    /// A PIN is asked for.
    Pin {
        /// In these words.
        message: String,
    },
    /// A software key waits for Enter.
    Enter {
        /// What the person calls it.
        keys: Vec<String>,
    },
    /// A person is to sign in there.
    SignIn {
        /// In a browser, here.
        url: String,
        /// What to type there, where that is needed.
        user_code: Option<String>,
    },
    /// There is a grant.
    Granted {
        /// What it covers.
        scope: Scope,
        /// Until when.
        expires_at: Timestamp,
        /// Whether it was there already.
        cached: bool,
    },
    /// What a person would read beside all this.
    Note {
        /// The words.
        message: String,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    version: u8,
    #[serde(flatten)]
    event: &'a Event,
    time: Timestamp,
    resource: Option<&'a ResourceName>,
}

/// An event as one line; `resource` is what it is about.
#[must_use]
pub fn line(event: &Event, resource: Option<&ResourceName>) -> String {
    let line = Line { version: 1, event, time: Clock::system().now(), resource };
    serde_json::to_string(&line).unwrap_or_default()
}
