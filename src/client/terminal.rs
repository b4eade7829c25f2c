//! The one writer to stdout, stderr and the terminal. Stdout carries what was asked for and nothing else; prompts go to
//! `/dev/tty`, and only when we are in its foreground.

use super::error::Error;
use super::signals::{self, Duty, OnDuty};
use crate::protocol::display::escaped;
use crate::protocol::messages::ErrorCode;
use crate::protocol::secret::Secret;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::QueueSelector;
use serde_json::Value;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::time::{Duration, Instant};

/// Where output goes.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// `--json`: one object on stdout, errors as one object on stderr.
    pub json: bool,
}

impl Terminal {
    /// What was asked for, on stdout. A reader that went away has what it wanted.
    ///
    /// # Errors
    /// Where stdout can't take it.
    pub fn data(self, text: &str) -> Result<(), Error> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Error::failed(format!("stdout can't be written: {error}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// One JSON object on stdout, or text where JSON was not asked for.
    ///
    /// # Errors
    /// Where stdout can't take it.
    pub fn answer(self, json: &Value, text: impl FnOnce() -> String) -> Result<(), Error> {
        if self.json { self.data(&format!("{json}\n")) } else { self.data(&text()) }
    }

    /// Text for the person, on stderr, escaped by the caller where it holds text from others; nothing with `--json`.
    pub fn text(self, text: &str) {
        if !self.json {
            stderr(text);
        }
    }

    /// A line for the person, on stderr; nothing with `--json`.
    pub fn note(self, text: &str) {
        if !self.json {
            stderr(&format!("elevate: {}\n", escaped(text)));
        }
    }

    /// An error, on stderr.
    pub fn error(self, error: &Error) {
        if self.json {
            stderr(&format!("{}\n", error.to_json()));
        } else {
            stderr(&error.to_text());
        }
    }

    /// Help and version, as clap writes them, on stdout.
    ///
    /// # Errors
    /// Where stdout can't take it.
    pub fn help(self, help: &clap::Error) -> Result<(), Error> {
        match help.print() {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Error::failed(format!("stdout can't be written: {error}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn stderr(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Columns of the terminal that stdout is; where it is none, lines are not broken.
#[must_use]
pub fn width() -> u16 {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or(u16::MAX, |size| if size.ws_col == 0 { 80 } else { size.ws_col })
}

/// Whether stdin is a terminal.
#[must_use]
pub fn stdin_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// A text from stdin, to its end.
///
/// # Errors
/// Where it can't be read, is no UTF-8 text, or is bigger than `max` bytes.
pub fn read_stdin(max: u64) -> Result<Secret, Error> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(max + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::failed(format!("stdin can't be read: {error}")))?;
    if bytes.len() as u64 > max {
        return Err(Error::usage(format!("stdin is bigger than {max} bytes")));
    }
    Secret::from_utf8(bytes).ok_or_else(|| Error::usage("stdin is no UTF-8 text"))
}

/// The terminal a person is at.
pub struct Tty {
    file: File,
    _restore: OnDuty,
}

impl Tty {
    /// The controlling terminal, ready for questions.
    #[must_use]
    pub fn open() -> Option<Self> {
        let file = foreground_terminal()?;
        let before = rustix::termios::tcgetattr(&file).ok()?;
        let restore = signals::take_up(Duty::Restore(file.try_clone().ok()?, Box::new(before)));
        Some(Self { file, _restore: restore })
    }

    /// Shows lines, each already escaped where it holds text from others.
    pub fn show(&mut self, text: &str) {
        let _ = self.file.write_all(text.as_bytes());
    }

    /// Asks, and waits for Enter. What was typed before the question does not count.
    ///
    /// # Errors
    /// [`ErrorCode::VerificationFailed`]: refused, or nothing came within `limit`.
    pub fn wait_for_enter(&mut self, question: &str, limit: Duration) -> Result<(), Error> {
        let _ = rustix::termios::tcflush(&self.file, QueueSelector::IFlush);
        self.show(question);
        let until = Instant::now() + limit;
        let refused = || Error::new(ErrorCode::VerificationFailed, "the touch was refused");
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.show("\n");
                return Err(
                    Error::new(ErrorCode::VerificationFailed, "the touch timed out").hint("run the command again")
                );
            }
            let wait = rustix::time::Timespec {
                tv_sec: left.as_secs().min(1).cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut ready = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut ready, Some(&wait)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(_) => return Err(refused().hint("the terminal went away")),
            }
            let mut line = [0; 256];
            return match self.file.read(&mut line) {
                Ok(count) if line.get(..count) == Some(b"\n") => Ok(()),
                Ok(0) => {
                    self.show("\n");
                    Err(refused())
                }
                Ok(_) => Err(refused().hint("only Enter alone approves")),
                Err(_) => Err(refused().hint("the terminal went away")),
            };
        }
    }

    /// Asks for a text that is not shown.
    ///
    /// # Errors
    /// Where the terminal went away.
    pub fn secret(&mut self, prompt: &str) -> Result<Secret, Error> {
        let gone = |error: &dyn std::fmt::Display| Error::failed(format!("the terminal can't be read: {error}"));
        let (read, write) = (self.file.try_clone(), self.file.try_clone());
        let (read, write) = (read.map_err(|error| gone(&error))?, write.map_err(|error| gone(&error))?);
        let term = dialoguer::console::Term::read_write_pair(read, write);
        let text = dialoguer::Password::new().with_prompt(prompt).report(false).interact_on(&term);
        text.map(Secret::new).map_err(|error| gone(&error))
    }
}

/// The controlling terminal, if there is one and we are in its foreground: a background job must not stop on SIGTTIN while
/// others wait for it.
fn foreground_terminal() -> Option<File> {
    let file = File::options().read(true).write(true).open("/dev/tty").ok()?;
    let foreground = rustix::termios::tcgetpgrp(&file).ok()?;
    (foreground == rustix::process::getpgrp()).then_some(file)
}

/// Whether a person can be asked at a terminal.
#[must_use]
pub fn person_is_there() -> bool {
    foreground_terminal().is_some()
}
