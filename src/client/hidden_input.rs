//! A secret that a person types or pipes in: at a terminal it is asked for and not shown, else it is stdin to its end.
//! Never from an argument, which everybody on the machine could read.

use super::Device;
use super::error::Error;
use super::patience::Patience;
use super::terminal::{Tty, read_stdin, stdin_is_terminal};
use crate::protocol::messages::ErrorCode;
use crate::protocol::secret::Secret;

/// Reads the secret that is called `what`, of at most `max` bytes, without the last line break. It may be empty.
///
/// # Errors
/// [`ErrorCode::InteractionRequired`] where it had to be typed and nobody may be asked, or did; [`ErrorCode::Usage`] where
/// it is too long, or no text.
pub fn read(device: &Device, what: &str, max: usize) -> Result<Secret, Error> {
    if !stdin_is_terminal() {
        let secret = read_stdin(max, device.patience().stdin())?;
        let text = secret.expose();
        return Ok(Secret::new(text.strip_suffix('\n').unwrap_or(text).to_owned()));
    }
    typed(what, device.non_interactive)
}

/// Reads what is called `what` at the terminal, wherever stdin comes from.
///
/// # Errors
/// [`ErrorCode::InteractionRequired`] where nobody may be asked, or answers; [`ErrorCode::Usage`] as for [`read`].
pub fn typed(what: &str, non_interactive: bool) -> Result<Secret, Error> {
    let required = |message: &str| Error::new(ErrorCode::InteractionRequired, message);
    if non_interactive {
        return Err(required("it has to be typed, and -n forbids to ask for it").hint("pipe it in"));
    }
    let mut tty = Tty::open().ok_or_else(|| required("there is no terminal to ask at"))?;
    let typed = tty.secret(&format!("{what} (not shown): "), Patience::of(non_interactive).stdin())?;
    typed.ok_or_else(|| required("nothing was typed").hint("nothing was changed: run the command again"))
}
