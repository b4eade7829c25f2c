//! `-A`: the PIN comes from the program that `ELEVATE_ASKPASS` names, as with `sudo -A`: it gets the prompt as its one
//! argument, asks the person in its own way, and prints the PIN.

use crate::client::error::Error;
use crate::client::identity_token;
use crate::client::patience::until_there;
use crate::client::security_key::driver::process::PIN_MAX;
use crate::files::check_trusted;
use crate::protocol::messages::ErrorCode;
use crate::protocol::secret::Secret;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The program that the environment names: an absolute path to what only the user or root can change.
///
/// # Errors
/// [`ErrorCode::Usage`].
pub fn program() -> Result<PathBuf, Error> {
    let named = std::env::var_os("ELEVATE_ASKPASS").filter(|path| !path.is_empty());
    let path = named.map(PathBuf::from).ok_or_else(|| {
        Error::usage("-A asks the program in ELEVATE_ASKPASS, and it is not set")
            .hint("set it to the absolute path of a program that prints your PIN")
    })?;
    if !path.is_absolute() {
        return Err(
            Error::usage("ELEVATE_ASKPASS is no absolute path").hint("a relative one could be anybody's program")
        );
    }
    check_trusted(&path)?;
    Ok(path)
}

/// Asks it.
///
/// # Errors
/// [`ErrorCode::VerificationFailed`] where it gives no PIN in time.
pub fn ask(program: &Path, prompt: &str, limit: Duration) -> Result<Secret, Error> {
    let failed = |what: String| {
        let hint = "-A runs the program in ELEVATE_ASKPASS; without -A you are asked at the terminal";
        Error::new(ErrorCode::VerificationFailed, what).hint(hint)
    };
    let until = Instant::now() + limit;
    let mut command = Command::new(program);
    command.env_remove(identity_token::VARIABLE).arg(prompt).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child =
        command.spawn().map_err(|error| failed(format!("{} can't be started: {error}", program.display())))?;
    let (send, receive) = channel();
    let output = child.stdout.take();
    std::thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::with_capacity(PIN_MAX + 3));
        let read = output.map(|output| output.take(PIN_MAX as u64 + 3).read_to_end(&mut bytes));
        let _ = send.send(read.and_then(Result::ok).map(|_| bytes));
    });
    let Ok(Some(mut bytes)) = receive.recv_timeout(limit) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed("the program of -A gave no PIN in time".to_owned()));
    };
    let ended = until_there(until.saturating_duration_since(Instant::now()), || child.try_wait()).ok().flatten();
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    if !ended.is_some_and(|status| status.success()) {
        return Err(failed("the program of -A gave no PIN".to_owned()));
    }
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    let pin = Secret::from_utf8(std::mem::take(&mut *bytes)).filter(|pin| !pin.expose().is_empty());
    pin.ok_or_else(|| failed("the program of -A gave no PIN".to_owned()))
}
