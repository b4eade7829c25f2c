//! A command at a terminal of its own: what a person sees and types there, and how it ends.

use crate::person::Person;
use crate::scenario::Exit;
use crate::screen::{COLUMNS, Screen};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const ROWS: u16 = 24;
const PAUSE: Duration = Duration::from_millis(5);

pub struct Session {
    child: Child,
    /// The person's side of the terminal, until its window is closed.
    window: Option<File>,
    pub screen: Screen,
    /// Of the transcript: what was waited for.
    seen: usize,
    stdout: Option<JoinHandle<Vec<u8>>>,
    status: Option<ExitStatus>,
}

impl Session {
    /// Starts it; its standard output is the terminal too, or else kept apart.
    pub fn start(person: &Person, command: &str, apart: bool) -> Result<Self, String> {
        let failed = |error: io::Error| format!("the terminal: {error}");
        let window =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
        let name = prepare(&window, person).map_err(failed)?;
        let no_control = i32::try_from(OFlags::NOCTTY.bits()).expect("a small flag");
        let line = OpenOptions::new().read(true).write(true).custom_flags(no_control).open(&name).map_err(failed)?;
        let another = || line.try_clone().map(Stdio::from).map_err(failed);
        let mut words = words(command).into_iter();
        let program = words.next().ok_or("there is no command")?;
        // setsid -c: its controlling terminal is what its standard input is.
        let mut command = person.command("setsid");
        command.arg("-c").arg(program).args(words);
        command.stdin(another()?).stderr(another()?);
        command.stdout(if apart { Stdio::piped() } else { another()? });
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        drop(command);
        let stdout = child.stdout.take().map(|mut pipe| {
            std::thread::spawn(move || {
                let mut all = Vec::new();
                let _what_came_counts = pipe.read_to_end(&mut all);
                all
            })
        });
        rustix::io::ioctl_fionbio(&window, true).map_err(|error| failed(error.into()))?;
        Ok(Self { child, window: Some(window.into()), screen: Screen::default(), seen: 0, stdout, status: None })
    }

    /// Takes in what was printed.
    fn look(&mut self) -> Result<(), String> {
        let mut buffer = [0; 4096];
        while let Some(window) = &mut self.window {
            match window.read(&mut buffer) {
                Ok(length @ 1..) => self.screen.feed(&buffer[..length]),
                // EIO: nobody has the terminal open.
                _ => break,
            }
        }
        if self.status.is_none() {
            self.status = self.child.try_wait().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    pub fn wait_for(&mut self, text: &str, limit: Instant) -> Result<(), String> {
        loop {
            let over = self.status.is_some();
            self.look()?;
            if let Some(at) = self.screen.transcript()[self.seen..].find(text) {
                self.seen += at + text.len();
                return Ok(());
            }
            if over {
                return Err(format!("it ended without {text:?}"));
            }
            if Instant::now() > limit {
                return Err(format!("{text:?} did not come"));
            }
            std::thread::sleep(PAUSE);
        }
    }

    pub fn send(&mut self, text: &str) -> Result<(), String> {
        let window = self.window.as_mut().ok_or("the window is closed")?;
        window.write_all(text.as_bytes()).map_err(|error| format!("can't type {text:?}: {error}"))
    }

    pub fn signal(&self, signal: i32) -> Result<(), String> {
        let signal = Signal::from_named_raw(signal).ok_or("no such signal")?;
        rustix::process::kill_process(Pid::from_child(&self.child), signal).map_err(|error| format!("signal: {error}"))
    }

    pub fn hang_up(&mut self) -> Result<(), String> {
        self.look()?;
        self.window = None;
        Ok(())
    }

    /// Looks on for a while.
    pub fn pause(&mut self, pause: Duration) -> Result<(), String> {
        let end = Instant::now() + pause;
        while Instant::now() < end {
            self.look()?;
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// How it ended, and its standard output where that was kept apart.
    pub fn finish(&mut self, limit: Instant) -> Result<(Exit, Option<String>), String> {
        while self.status.is_none() {
            if Instant::now() > limit {
                return Err("it hangs".to_owned());
            }
            self.look()?;
            std::thread::sleep(PAUSE);
        }
        self.look()?;
        let stdout = match self.stdout.take() {
            None => None,
            Some(reader) => {
                while !reader.is_finished() {
                    if Instant::now() > limit {
                        return Err("it ended, and something still holds its standard output".to_owned());
                    }
                    std::thread::sleep(PAUSE);
                }
                let all = reader.join().map_err(|_| "standard output could not be read")?;
                Some(String::from_utf8_lossy(&all).into_owned())
            }
        };
        let status = self.status.expect("the loop above ended");
        let exit = match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Status(code),
            (None, signal) => Exit::Signal(signal.unwrap_or_default()),
        };
        Ok((exit, stdout))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _over_anyway = self.child.kill();
            let _status = self.child.wait();
        }
    }
}

/// Sets the terminal up, and says what it is called.
fn prepare(window: &OwnedFd, person: &Person) -> io::Result<PathBuf> {
    grantpt(window)?;
    unlockpt(window)?;
    let columns = u16::try_from(COLUMNS).expect("80");
    tcsetwinsize(window.as_fd(), Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
    let name = ptsname(window, Vec::new())?.into_string().map_err(|_| io::ErrorKind::InvalidData)?;
    chown(&name, Some(person.user), None)?;
    Ok(name.into())
}

/// Splits a command at blanks; `'…'` keeps a word together.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for character in command.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    #[test]
    fn quotes_keep_a_word_together() {
        assert_eq!(super::words("sh -c 'echo a b' ''"), ["sh", "-c", "echo a b", ""]);
    }
}
