//! Running the command: in our place where nothing must follow, else as a child whose end we wait for.

use super::Environment;
use crate::client::error::Error;
use crate::client::identity_token;
use crate::client::signals;
use rustix::process::Pid;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus};

/// How a command could not be started, as a shell would say it.
#[derive(Debug)]
pub struct NotStarted {
    /// 126 not executable, 127 not found.
    pub status: u8,
    /// What to tell.
    pub error: Error,
}

fn command(words: &[OsString], environment: &Environment) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments);
    // One that an elevate around us handed over is not this command's.
    command.env_remove("ELEVATE_TOKEN").env_remove("ELEVATE_SECRET").env_remove(identity_token::VARIABLE);
    command.envs(environment.variables.iter().map(|(name, value)| (name, value.expose())));
    Some(command)
}

fn not_started(words: &[OsString], error: &std::io::Error) -> NotStarted {
    let program = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let (status, what) = match error.kind() {
        ErrorKind::NotFound => (127, "was not found"),
        _ => (126, "can't be executed"),
    };
    NotStarted { status, error: Error::failed(format!("the command '{program}' {what}: {error}")) }
}

/// Becomes the command; returns only where it can't.
#[must_use]
pub fn become_command(words: &[OsString], environment: &Environment) -> NotStarted {
    let error = match command(words, environment) {
        Some(mut command) => command.exec(),
        None => ErrorKind::NotFound.into(),
    };
    not_started(words, &error)
}

/// Runs the command to its end, and then `afterwards`, which no signal that was meant for the command keeps from being
/// done. What is sent to us is sent on to it; what the terminal sends it gets by itself.
///
/// # Errors
/// [`NotStarted`].
pub fn supervise(
    words: &[OsString],
    environment: &Environment,
    afterwards: impl FnOnce(),
) -> Result<ExitStatus, NotStarted> {
    let (mut child, on_duty) = signals::forwarding(|| {
        let child = command(words, environment).ok_or(ErrorKind::NotFound)?.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(ErrorKind::InvalidData)?;
        Ok((child, pid))
    })
    .map_err(|error: std::io::Error| not_started(words, &error))?;
    let status = child.wait();
    on_duty.go_on();
    afterwards();
    status.map_err(|error| not_started(words, &error))
}

/// How a finished command's end is ours: its status, or death by the signal it died of.
#[must_use]
pub fn end_like(status: ExitStatus) -> u8 {
    if let Some(signal) = status.signal() {
        // Returns only where the signal does not kill.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
