//! Running the command: in our place where nothing must follow, else as a child whose end we wait for.
//!
//! The child stays in our process group. What the terminal sends (Ctrl-C, Ctrl-Z, a new size) reaches it by itself, and
//! a shell's job control sees the two as one job; what a process sends to us alone is sent on.

use super::Environment;
use super::inherited;
use crate::client::error::Error;
use crate::client::identity_token;
use crate::client::signals::{self, OnDuty};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};

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
    // What an elevate around us handed over is not this command's, nor is what we signed in with.
    for name in inherited::take_back() {
        command.env_remove(name);
    }
    command.env_remove(identity_token::VARIABLE);
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

/// A command that runs as our child, and gets the signals that are sent to us.
pub struct Running {
    child: Child,
    pid: Pid,
    on_duty: OnDuty,
}

/// Starts the command. The files it was given are its own from here on: no process that we start later has them.
///
/// # Errors
/// [`NotStarted`].
pub fn start(words: &[OsString], environment: Environment) -> Result<Running, NotStarted> {
    let (child, on_duty) = signals::forwarding(|| {
        let child = command(words, &environment).ok_or(ErrorKind::NotFound)?.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(ErrorKind::InvalidData)?;
        Ok(((child, pid), pid))
    })
    .map_err(|error: std::io::Error| not_started(words, &error))?;
    drop(environment);
    Ok(Running { child: child.0, pid: child.1, on_duty })
}

/// A command that has ended, and is still there to be looked at: its number is nobody else's.
pub struct Over {
    child: Child,
    _on_duty: OnDuty,
}

impl Running {
    /// Its number.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for its end, and stops when it stops. No signal that was meant for it and comes late keeps us from what is
    /// still to be done.
    #[must_use]
    pub fn to_its_end(self) -> Over {
        let news = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        loop {
            match waitid(WaitId::Pid(self.pid), news) {
                Ok(Some(status)) if status.stopped() => {
                    let seen = waitid(WaitId::Pid(self.pid), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG);
                    if let Some(signal) = seen.ok().flatten().and_then(|status| status.stopping_signal()) {
                        signals::stop_with_the_command(signal);
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => break,
            }
        }
        self.on_duty.go_on();
        Over { child: self.child, _on_duty: self.on_duty }
    }
}

impl Over {
    /// How it ended.
    ///
    /// # Errors
    /// Where the kernel does not say.
    pub fn status(mut self) -> Result<ExitStatus, Error> {
        self.child.wait().map_err(|error| Error::failed(format!("how the command ended can't be told: {error}")))
    }
}

/// How a finished command's end is ours: its status, or death by the signal it died of.
#[must_use]
pub fn end_like(status: ExitStatus) -> u8 {
    if let Some(signal) = status.signal() {
        signals::die_of(signal);
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
