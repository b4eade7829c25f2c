//! The one writer to stdout, stderr and the terminal. Stdout carries what was asked for and nothing else; prompts go to
//! `/dev/tty`, and only when we are in its foreground.

pub mod menu;

use super::error::Error;
use super::progress::{self, Event};
use super::signals::{self, Duty, OnDuty};
use super::stdout_at_start;
use crate::protocol::display::escaped;
use crate::protocol::messages::ErrorCode;
use crate::protocol::names::ResourceName;
use crate::protocol::secret::Secret;
use anstyle::{AnsiColor, Style};
use clap::ColorChoice;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, OutputModes, QueueSelector};
use rustix::time::Timespec;
use serde_json::Value;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// What `--color` said, for the life of the process.
static COLOR: OnceLock<ColorChoice> = OnceLock::new();

/// What is ended, refused or asked.
pub const BOLD: Style = Style::new().bold();
/// As it has to be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Not as it has to be.
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// Says once for all when colour is used.
pub fn set_color(when: ColorChoice) {
    let _ = COLOR.set(when);
}

/// Whether what is written there may be coloured.
#[must_use]
pub fn shows_color(stream: &impl std::io::IsTerminal) -> bool {
    match COLOR.get().copied().unwrap_or_default() {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        // https://no-color.org
        ColorChoice::Auto => {
            stream.is_terminal() && !is_dumb() && std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty())
        }
    }
}

/// The cursor is seen again: for whoever ends while a menu is drawn, which hides it.
const SHOW_CURSOR: &str = "\x1b[?25h";

/// Whether the terminal can do nothing but add lines, or somebody has it read out.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// The text in a style, where that is shown.
#[must_use]
pub fn painted(text: &str, style: Style, shown: bool) -> String {
    if shown { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// Where output goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    /// `--json`: one object on stdout, errors as one object on stderr.
    pub json: bool,
    /// `--progress=json`: every line of ours on stderr is an object.
    pub progress: bool,
    /// `-q`: no notes.
    pub quiet: bool,
}

impl Terminal {
    /// What was asked for, on stdout. A reader that went away has what it wanted.
    ///
    /// # Errors
    /// Where stdout can't take it.
    pub fn data(self, text: &str) -> Result<(), Error> {
        stdout_is_open()?;
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

    /// Text for the person, on stderr, escaped by the caller where it holds text from others; nothing with `--json`
    /// or `--progress=json`.
    pub fn text(self, text: &str) {
        if !self.json && !self.progress {
            stderr(text);
        }
    }

    /// What is waited for, or came of it: a line for programs, where they asked for it.
    pub fn progress(self, event: &Event, resource: Option<&ResourceName>) {
        if self.progress {
            stderr(&format!("{}\n", progress::line(event, resource)));
        }
    }

    /// A line for the person, on stderr; nothing with `--json` or `-q`.
    pub fn note(self, text: &str) {
        if !self.quiet {
            self.warning(text);
        }
    }

    /// A line that the person must not miss, on stderr, also with `-q`; nothing with `--json`.
    pub fn warning(self, text: &str) {
        if self.progress {
            self.progress(&Event::Note { message: escaped(text) }, None);
        } else if !self.json {
            stderr(&format!("elevate: {}\n", escaped(text)));
        }
    }

    /// A line in the middle of what a command shows, and one below it that says what to do; nothing with `--json`. It
    /// never waits: nothing is shown where nothing can be, or where a job in the background would be stopped for it.
    pub fn interject(self, text: &str, hint: Option<&str>) {
        if self.progress {
            let message = hint.map_or_else(|| escaped(text), |hint| format!("{}; {}", escaped(text), escaped(hint)));
            return self.progress(&Event::Note { message }, None);
        }
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
        if self.json || self.progress {
            stderr(&format!("{}\n", error.to_json()));
        } else {
            let text = error.to_text();
            let name = painted("elevate:", BOLD, shows_color(&std::io::stderr()));
            stderr(&text.strip_prefix("elevate:").map_or_else(|| text.clone(), |rest| format!("{name}{rest}")));
        }
    }

    /// Help and version, as clap writes them, on stdout.
    ///
    /// # Errors
    /// Where stdout can't take it.
    pub fn help(self, help: &clap::Error) -> Result<(), Error> {
        stdout_is_open()?;
        match help.print() {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Error::failed(format!("stdout can't be written: {error}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn stdout_is_open() -> Result<(), Error> {
    if stdout_at_start::was_closed() { Err(Error::failed("stdout can't be written: it is closed")) } else { Ok(()) }
}

fn stderr(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Columns of the terminal that stdout is; where it is none, lines are not broken.
#[must_use]
pub fn width() -> u16 {
    columns(std::io::stdout()).unwrap_or(u16::MAX)
}

/// Columns of a terminal; `None` where it is none.
fn columns(terminal: impl AsFd) -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(if size.ws_col == 0 { 80 } else { size.ws_col })
}

/// Whether stdin is a terminal.
#[must_use]
pub fn stdin_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// A text from stdin, to its end.
///
/// # Errors
/// Where it can't be read, is no UTF-8 text, is bigger than `max` bytes, or does not end in time.
pub fn read_stdin(max: usize, within: Duration) -> Result<Secret, Error> {
    let fault = |error: std::io::Error| Error::failed(format!("stdin can't be read: {error}"));
    let until = Instant::now() + within;
    let (stdin, mut bytes) = (std::io::stdin(), Zeroizing::new(Vec::with_capacity(max + 1)));
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut ready, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return Err(Error::usage(format!("stdin did not end within {} seconds", within.as_secs()))),
            Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(fault(error.into())),
        }
        let mut part = Zeroizing::new([0; 4096]);
        match rustix::io::read(&stdin, &mut part[..]) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
            Err(error) => return Err(fault(error.into())),
        }
        if bytes.len() > max {
            return Err(Error::usage(format!("stdin is bigger than {max} bytes")));
        }
    }
    Secret::from_utf8(std::mem::take(&mut bytes)).ok_or_else(|| Error::usage("stdin is no UTF-8 text"))
}

/// How often a line that only counts down is said where it can't be rewritten.
const COUNTDOWN: Duration = Duration::from_secs(30);

/// Bytes of a line that can be typed: the kernel drops what is beyond (`N_TTY`).
const LINE_MAX: usize = 4095;

/// The terminal a person is at.
pub struct Tty {
    file: File,
    /// The line that is rewritten in place, where there is one; on a dumb terminal the one that was said last, and when.
    status: Option<(String, Instant)>,
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
        let cursor = if is_dumb() { "" } else { SHOW_CURSOR };
        let restore = signals::take_up(Duty::Restore(file.try_clone().ok()?, Box::new(before), cursor));
        Some(Self { file, status: None, _restore: restore })
    }

    /// Shows lines, each already escaped where it holds text from others.
    pub fn show(&mut self, text: &str) {
        self.clear_status();
        let _ = self.file.write_all(text.as_bytes());
    }

    /// Shows what is to be approved: its first line says so.
    pub fn show_approval(&mut self, text: &str) {
        let begins = text.len() - text.trim_start().len();
        let (before, text) = text.split_at(begins);
        let (headline, rest) = text.split_once('\n').unwrap_or((text, ""));
        let headline = painted(headline, BOLD, shows_color(&self.file));
        self.show(&format!("{before}{headline}\n{rest}"));
    }

    /// Columns of the terminal, as wide as it is now.
    #[must_use]
    pub fn columns(&self) -> u16 {
        columns(&self.file).unwrap_or(80)
    }

    /// Shows one line that the next one replaces, escaped by the caller. Where lines can't be replaced, it is said as one
    /// of its own: at once where it says something new, and now and then where only its numbers change.
    pub fn status(&mut self, text: &str) {
        if is_dumb() {
            let words = text.replace(|c: char| c.is_ascii_digit(), "");
            let said = self.status.as_ref();
            if said.is_none_or(|(said, at)| *said != words || at.elapsed() >= COUNTDOWN) {
                let _ = self.file.write_all(format!("{text}\n").as_bytes());
                self.status = Some((words, Instant::now()));
            }
            return;
        }
        // One column stays free: a line that fills the last one would begin the next.
        let columns = usize::from(self.columns()).saturating_sub(1);
        let text = dialoguer::console::truncate_str(text, columns, "");
        let _ = self.file.write_all(format!("\r{text}\x1b[K\r").as_bytes());
        self.status = Some((text.into_owned(), Instant::now()));
    }

    /// The line that is rewritten is gone.
    pub fn clear_status(&mut self) {
        if !is_dumb() && self.status.take().is_some() {
            let _ = self.file.write_all(b"\r\x1b[K");
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

    /// A line that is typed, without spaces around it; `None` where it is empty or none came within `limit`.
    ///
    /// # Errors
    /// Where the terminal went away.
    pub fn line(&mut self, question: &str, limit: Duration) -> Result<Option<String>, Error> {
        let typed = loop {
            match self.ask(question, limit) {
                Ok(Typed::Stopped) => {}
                Ok(typed) => break typed,
                Err(error) => return Err(Error::failed(format!("the terminal can't be read: {error}"))),
            }
        };
        Ok(match typed {
            Typed::Line(line) => Some(String::from_utf8_lossy(&line).trim().to_owned()).filter(|text| !text.is_empty()),
            Typed::End | Typed::TimedOut | Typed::Stopped => None,
        })
    }

    /// Asks for a text that is not shown: by the time the question stands there, nothing that is typed is. `None` where none
    /// came within `limit`, or before we were stopped.
    ///
    /// # Errors
    /// Where the terminal went away; where what was typed is no text, or longer than a line can be.
    pub fn secret(&mut self, question: &str, limit: Duration) -> Result<Option<Secret>, Error> {
        let gone = |error: &dyn std::fmt::Display| Error::failed(format!("the terminal can't be read: {error}"));
        let before = rustix::termios::tcgetattr(&self.file).map_err(|error| gone(&error))?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        rustix::termios::tcsetattr(&self.file, OptionalActions::Flush, &silent).map_err(|error| gone(&error))?;
        let typed = self.ask(question, limit);
        // What is left half typed is not for the shell.
        let _ = rustix::termios::tcsetattr(&self.file, OptionalActions::Flush, &before);
        self.show("\n");
        match typed.map_err(|error| gone(&error))? {
            Typed::Line(line) if line.len() >= LINE_MAX => {
                Err(Error::usage("that is more than can be typed").hint("pipe it in"))
            }
            Typed::Line(mut line) => {
                let text = Secret::from_utf8(std::mem::take(&mut *line));
                Ok(Some(text.ok_or_else(|| Error::usage("what was typed is no text"))?))
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
            let mut line = Zeroizing::new(vec![0; LINE_MAX + 1]);
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
