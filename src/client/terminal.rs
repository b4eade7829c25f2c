//! The one writer to stdout, stderr and the terminal. Stdout carries what was asked for and nothing else; prompts go to
//! `/dev/tty`, and only when we are in its foreground.

use super::error::Error;
use super::signals::{self, Duty, OnDuty};
use crate::protocol::display::escaped;
use crate::protocol::messages::ErrorCode;
use crate::protocol::secret::Secret;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, OutputModes, QueueSelector};
use rustix::time::Timespec;
use serde_json::Value;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

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

    /// A line in the middle of what a command shows, and one below it that says what to do; nothing with `--json`. It never waits: nothing is shown where
    /// nothing can be, or where a job in the background would be stopped for it.
    pub fn interject(self, text: &str, hint: Option<&str>) {
        let stderr = std::io::stderr();
        let mode = rustix::termios::tcgetattr(&stderr).ok();
        let has = |local| mode.as_ref().is_some_and(|it| it.local_modes.contains(local));
        let in_front = || rustix::termios::tcgetpgrp(&stderr).is_ok_and(|it| it == rustix::process::getpgrp());
        let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
        let takes_it = poll(&mut ready, Some(&Timespec::default())).is_ok_and(|count| count > 0);
        if self.json || !takes_it || (has(LocalModes::TOSTOP) && !in_front()) {
            return;
        }
        // A terminal in raw mode does not begin a line by itself.
        let raw = mode.is_some_and(|it| !it.output_modes.contains(OutputModes::OPOST));
        let (before, end) = if raw { ("\r\n", "\r\n") } else { ("", "\n") };
        let hint = hint.map(|hint| format!("  {}{end}", escaped(hint))).unwrap_or_default();
        let _ = stderr.lock().write_all(format!("{before}elevate: {}{end}{hint}", escaped(text)).as_bytes());
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
    /// Columns of the line that is rewritten in place, where there is one.
    status: usize,
    _restore: OnDuty,
}

/// What came of waiting for a line.
enum Typed {
    Line(Zeroizing<Vec<u8>>),
    /// End of input.
    End,
    TimedOut,
    /// We were stopped and went on: the question has to be asked again.
    Stopped,
}

impl Tty {
    /// The controlling terminal, ready for questions.
    #[must_use]
    pub fn open() -> Option<Self> {
        let file = foreground_terminal()?;
        let before = rustix::termios::tcgetattr(&file).ok()?;
        let restore = signals::take_up(Duty::Restore(file.try_clone().ok()?, Box::new(before)));
        Some(Self { file, status: 0, _restore: restore })
    }

    /// Shows lines, each already escaped where it holds text from others.
    pub fn show(&mut self, text: &str) {
        self.clear_status();
        let _ = self.file.write_all(text.as_bytes());
    }

    /// Shows one line that the next one replaces, escaped by the caller.
    pub fn status(&mut self, text: &str) {
        let columns = rustix::termios::tcgetwinsize(&self.file).map_or(80, |size| usize::from(size.ws_col.max(20)));
        let text: String = text.chars().take(columns - 1).collect();
        let length = text.chars().count();
        let _ = write!(self.file, "\r{text}{}\r", " ".repeat(self.status.saturating_sub(length)));
        self.status = length;
    }

    /// The line that is rewritten is gone.
    pub fn clear_status(&mut self) {
        if self.status > 0 {
            self.status("");
        }
    }

    /// Asks, and waits for Enter. What was typed before the question does not count.
    ///
    /// # Errors
    /// [`ErrorCode::VerificationFailed`]: refused, or nothing came within `limit`.
    pub fn wait_for_enter(&mut self, question: &str, limit: Duration) -> Result<(), Error> {
        let refused = || Error::new(ErrorCode::VerificationFailed, "the touch was refused");
        let until = Instant::now() + limit;
        let typed = loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.ask(question, left).map_err(|_| refused().hint("the terminal went away"))? {
                Typed::Stopped => {}
                typed => break typed,
            }
        };
        match typed {
            Typed::Line(line) if line.is_empty() => Ok(()),
            Typed::Line(_) => Err(refused().hint("only Enter alone approves")),
            Typed::TimedOut => {
                Err(Error::new(ErrorCode::VerificationFailed, "the touch timed out").hint("run the command again"))
            }
            Typed::End | Typed::Stopped => Err(refused()),
        }
    }

    /// Whether `yes` was typed, in full, within `limit`.
    pub fn yes(&mut self, question: &str, limit: Duration) -> bool {
        matches!(self.ask(question, limit), Ok(Typed::Line(line)) if line.as_slice() == b"yes")
    }

    /// Asks for a PIN, which is not shown; `None` where none came within `limit`, or before we were stopped.
    ///
    /// # Errors
    /// Where the terminal went away.
    pub fn pin(&mut self, prompt: &str, limit: Duration) -> Result<Option<Secret>, Error> {
        let gone = |error: &dyn std::fmt::Display| Error::failed(format!("the terminal can't be read: {error}"));
        let before = rustix::termios::tcgetattr(&self.file).map_err(|error| gone(&error))?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        rustix::termios::tcsetattr(&self.file, OptionalActions::Flush, &silent).map_err(|error| gone(&error))?;
        let typed = self.ask(prompt, limit);
        let _ = rustix::termios::tcsetattr(&self.file, OptionalActions::Now, &before);
        self.show("\n");
        match typed.map_err(|error| gone(&error))? {
            Typed::Line(mut line) => {
                let pin = Secret::from_utf8(std::mem::take(&mut *line));
                Ok(Some(pin.ok_or_else(|| Error::usage("what was typed is no text"))?))
            }
            Typed::End | Typed::TimedOut | Typed::Stopped => Ok(None),
        }
    }

    /// One line, without its end. What was typed before the question does not count.
    fn ask(&mut self, question: &str, limit: Duration) -> std::io::Result<Typed> {
        let _ = rustix::termios::tcflush(&self.file, QueueSelector::IFlush);
        self.show(question);
        let typed = self.typed(Instant::now() + limit)?;
        if matches!(typed, Typed::End | Typed::TimedOut) {
            self.show("\n");
        }
        Ok(typed)
    }

    fn typed(&mut self, until: Instant) -> std::io::Result<Typed> {
        let stops = signals::stops();
        loop {
            if signals::stops() != stops {
                return Ok(Typed::Stopped);
            }
            let left = until.saturating_duration_since(Instant::now()).min(Duration::from_millis(500));
            if left.is_zero() {
                return Ok(Typed::TimedOut);
            }
            let mut ready = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut ready, Timespec::try_from(left).ok().as_ref()) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let mut line = Zeroizing::new(vec![0; 1024]);
            let count = self.file.read(&mut line)?;
            line.truncate(count);
            return Ok(match line.last() {
                None => Typed::End,
                Some(b'\n') => {
                    line.pop();
                    Typed::Line(line)
                }
                Some(_) => Typed::Line(line),
            });
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
