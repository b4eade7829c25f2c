//! Every way the command line says no: a fact, then what to do; a class that scripts can rely on.

use super::grant_store::KeyringError;
use crate::files::FileFault;
use crate::protocol::display::escaped;
use crate::protocol::messages::{ErrorCode, ErrorResponse};
use crate::protocol::names::Malformed;
use serde_json::{Value, json};

/// What went wrong, for a person and for a script.
#[derive(Debug, Clone)]
pub struct Error {
    /// The class, which is the exit status.
    pub code: ErrorCode,
    /// What happened: lower case, no full stop.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The elevation in the log, where there is one.
    pub elevation: Option<String>,
}

impl std::error::Error for Error {}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error {
    /// An error of a class.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, elevation: None }
    }

    /// What was typed makes no sense.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Usage, message)
    }

    /// Anything that has no class of its own.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Failed, message)
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Without a command: each class has a status of its own.
    #[must_use]
    pub const fn exit_status(&self) -> u8 {
        match self.code {
            ErrorCode::No => 1,
            ErrorCode::Usage => 2,
            ErrorCode::Denied => 3,
            ErrorCode::InteractionRequired => 4,
            ErrorCode::ApprovalPending => 5,
            ErrorCode::AuthorityUnreachable => 6,
            ErrorCode::NoSecurityKey => 7,
            ErrorCode::VerificationFailed => 8,
            ErrorCode::NoKeyring => 9,
            ErrorCode::NotSignedIn => 10,
            ErrorCode::Failed => 11,
        }
    }

    /// The one object that `--json` puts on stderr.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "version": 1,
            "error": { "code": self.code, "message": self.message, "hint": self.hint, "elevation": self.elevation },
        })
    }

    /// Two lines for a person; texts of others can't command the terminal.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("elevate: {}\n", escaped(&self.message));
        if let Some(hint) = &self.hint {
            text = format!("{text}  {}\n", escaped(hint));
        }
        text
    }
}

impl From<ErrorResponse> for Error {
    fn from(response: ErrorResponse) -> Self {
        Self {
            code: response.elevate_code,
            message: response.error_description,
            hint: response.elevate_hint,
            elevation: response.elevation,
        }
    }
}

impl From<Malformed> for Error {
    fn from(error: Malformed) -> Self {
        Self::usage(error.0)
    }
}

impl From<FileFault> for Error {
    fn from(fault: FileFault) -> Self {
        Self::failed(fault.to_string())
    }
}

impl From<KeyringError> for Error {
    fn from(error: KeyringError) -> Self {
        let hint = error.hint();
        Self { hint, ..Self::new(ErrorCode::NoKeyring, error.to_string()) }
    }
}
