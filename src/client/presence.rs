//! How a person shows that they are there, for a key that is a file: Enter at the terminal. `elevate demo --yes` has
//! nobody there, and says so.

use super::Device;
use super::error::Error;
use super::terminal::Tty;
use crate::protocol::display::escaped;
use crate::protocol::messages::ErrorCode;
use std::time::Duration;

/// Who approves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The person at the terminal.
    Person,
    /// Nobody: `elevate demo --yes` approves what it shows by itself.
    Unattended,
}

impl Presence {
    /// Shows what is approved and waits for the touch.
    ///
    /// # Errors
    /// [`ErrorCode::InteractionRequired`] where nobody can be asked; [`ErrorCode::VerificationFailed`] where they refuse.
    pub fn touch(self, device: &Device, shown: &str, key: &str, limit: Duration) -> Result<(), Error> {
        match self {
            Self::Unattended if device.terminal.json => Ok(()),
            Self::Unattended => {
                device.terminal.data(&format!("{shown}  (approved unattended, with {})\n\n", escaped(key)))
            }
            Self::Person if device.non_interactive => Err(Error::new(
                ErrorCode::InteractionRequired,
                "this takes a touch of your key, and -n forbids to wait for one",
            )
            .hint("run it without -n first: the grant is then kept for a while")),
            Self::Person => {
                let mut tty = Tty::open().ok_or_else(|| {
                    Error::new(
                        ErrorCode::InteractionRequired,
                        "this takes a touch of your key, and there is no terminal to ask at",
                    )
                    .hint("run `elevate RESOURCE` in a terminal first: the grant is then kept for a while")
                })?;
                tty.show(shown);
                let question = format!("Press Enter to approve with {}, Ctrl-C to refuse: ", escaped(key));
                tty.wait_for_enter(&question, limit)
            }
        }
    }
}
