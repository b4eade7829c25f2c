//! The person who approves: what is approved is shown to them, then a key wants a touch, a PIN, or (a key that is a file)
//! Enter. `elevate demo --yes` has nobody there, and says so.

use super::Device;
use super::error::Error;
use super::notification::{Notification, desktop_session};
use super::progress::Event;
use super::security_key::askpass;
use super::signals;
use super::terminal::{Terminal, Tty};
use crate::protocol::AUTHORITY_RESOURCE;
use crate::protocol::display::escaped;
use crate::protocol::messages::ErrorCode;
use crate::protocol::names::ResourceName;
use crate::protocol::secret::Secret;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Who approves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The person at the terminal.
    Person,
    /// Nobody: `elevate demo --yes` approves what it shows by itself.
    Unattended,
}

/// One question to a person: what they are shown, and until when they may answer.
pub struct Approval<'a> {
    device: &'a Device,
    shown: String,
    until: Instant,
    resource: Option<ResourceName>,
}

impl<'a> Approval<'a> {
    /// A question that stands for `limit`. `shown` is escaped where it holds text from others.
    #[must_use]
    pub fn new(device: &'a Device, shown: String, limit: Duration) -> Self {
        Self { device, shown, until: Instant::now() + limit, resource: None }
    }

    /// It is about this resource.
    #[must_use]
    pub fn of(self, resource: &ResourceName) -> Self {
        Self { resource: Some(resource.clone()), ..self }
    }

    /// For a key that is a file: Enter at the terminal.
    ///
    /// # Errors
    /// [`ErrorCode::InteractionRequired`] where nobody can be asked; [`ErrorCode::VerificationFailed`] where they refuse.
    pub fn press_enter(&self, key: &str) -> Result<(), Error> {
        match self.device.presence {
            Presence::Unattended if self.device.terminal.json => Ok(()),
            Presence::Unattended => {
                self.device.terminal.data(&format!("{}  (approved unattended, with {})\n", self.shown, escaped(key)))
            }
            Presence::Person => {
                let mut tty = self.tty().map_err(|error| self.needs_enter(error, key))?;
                tty.show_approval(&self.shown);
                self.device.terminal.progress(&Event::Enter { keys: vec![escaped(key)] }, self.resource.as_ref());
                let question = format!("Press Enter to approve with {}, Ctrl-C to refuse: ", escaped(key));
                tty.wait_for_enter(&question, self.left())
            }
        }
    }

    /// Shows what is approved, and stays with the person while a key is asked.
    ///
    /// # Errors
    /// [`ErrorCode::InteractionRequired`] where nobody can be asked.
    pub fn begin(&self) -> Result<Person, Error> {
        let askpass = if self.device.non_interactive { None } else { self.device.askpass.clone() };
        let (tty, notice) = match self.tty() {
            Ok(tty) => (Some(tty), None),
            Err(error) => {
                let notice = if self.device.non_interactive { None } else { Notice::show(&self.shown, self.left()) };
                if notice.is_none() && askpass.is_none() {
                    return Err(error);
                }
                (None, notice)
            }
        };
        let shown = self.shown.clone();
        let (terminal, resource, until) = (self.device.terminal, self.resource.clone(), self.until);
        let mut person = Person { tty, notice, terminal, askpass, shown, until, resource, said: None };
        match &mut person.tty {
            Some(tty) => tty.show_approval(&self.shown),
            None => person.show(&self.shown),
        }
        Ok(person)
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// A desktop can show what is approved, and not take the Enter that approves it.
    fn needs_enter(&self, error: Error, key: &str) -> Error {
        if self.device.non_interactive || !desktop_session(|name| std::env::var_os(name)) {
            return error;
        }
        Error { message: format!("{key} takes Enter at a terminal, and there is none"), ..error }
    }

    fn tty(&self) -> Result<Tty, Error> {
        let nobody = |message: &str| Error::new(ErrorCode::InteractionRequired, message);
        // An operation on the authority is approved each time.
        let kept = self.resource.as_ref().filter(|name| name.as_str() != AUTHORITY_RESOURCE);
        if self.device.non_interactive {
            let forbidden = nobody("this takes a touch of your key, and -n forbids to wait for one");
            return Err(forbidden.hint(match kept {
                Some(_) => "run it without -n first: the grant is then kept for a while",
                None => "run it without -n",
            }));
        }
        Tty::open().ok_or_else(|| {
            nobody("this takes a touch of your key, and there is no terminal to ask at").hint(match kept {
                Some(name) => format!("run `elevate {name}` in a terminal first: the grant is then kept for a while"),
                None => "run it in a terminal".to_owned(),
            })
        })
    }
}

/// A notification, and the lines that were told since it was shown.
struct Notice {
    notification: Notification,
    told: String,
}

impl Notice {
    fn show(shown: &str, left: Duration) -> Option<Self> {
        let notification = Notification::show(shown, left)?;
        signals::set_notice(Some(Box::new(notification.closer())));
        Some(Self { notification, told: shown.to_owned() })
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        signals::set_notice(None);
    }
}

/// Whoever is asked, while they are asked: at the terminal, by a notification, or by the program of `-A`.
pub struct Person {
    tty: Option<Tty>,
    notice: Option<Notice>,
    terminal: Terminal,
    askpass: Option<PathBuf>,
    shown: String,
    until: Instant,
    resource: Option<ResourceName>,
    /// What programs were told last.
    said: Option<Event>,
}

impl Person {
    /// How long the question still stands.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Tells something, a line; texts of others can't command the terminal.
    pub fn tell(&mut self, text: &str) {
        self.terminal.progress(&Event::Note { message: escaped(text) }, self.resource.as_ref());
        if let Some(notice) = &mut self.notice {
            notice.told.push_str(&escaped(text));
            notice.told.push('\n');
            notice.notification.say(&notice.told);
        }
        self.show(&format!("{}\n", escaped(text)));
    }

    /// Shows a line that the next one replaces.
    pub fn status(&mut self, text: &str) {
        if let Some(tty) = &mut self.tty {
            tty.status(&escaped(text));
        }
    }

    /// Tells programs what is waited for, where that is something else than before.
    pub fn waits_for(&mut self, event: Event) {
        if self.said.as_ref() != Some(&event) {
            self.terminal.progress(&event, self.resource.as_ref());
            if let (Some(notice), Event::Touch { keys }) = (&self.notice, &event) {
                notice.notification.say(&format!("{}Touch {}, which blinks.\n", notice.told, keys.join(" or ")));
            }
            self.said = Some(event);
        }
    }

    /// The line that is replaced is gone.
    pub fn clear_status(&mut self) {
        if let Some(tty) = &mut self.tty {
            tty.clear_status();
        }
    }

    /// A PIN, from the program of `-A` or from the terminal.
    ///
    /// # Errors
    /// [`ErrorCode::VerificationFailed`] where none is given.
    pub fn pin(&mut self, prompt: &str) -> Result<Secret, Error> {
        let left = self.left();
        // Asked again, it is told again.
        self.said = None;
        self.waits_for(Event::Pin { message: escaped(prompt) });
        let none = || Error::new(ErrorCode::VerificationFailed, "no PIN was given").hint("run the command again");
        if let Some(program) = &self.askpass {
            let prompt = format!("{}{}", self.shown, escaped(prompt));
            return askpass::ask(program, &prompt, left);
        }
        let tty = self.tty.as_mut().ok_or_else(|| {
            Error::new(ErrorCode::InteractionRequired, "a PIN has to be typed, and there is no terminal to type it at")
                .hint("run it in a terminal, or with -A and a program in ELEVATE_ASKPASS that asks for it")
        })?;
        tty.secret(&format!("{}: ", escaped(prompt)), left)?.filter(|pin| !pin.expose().is_empty()).ok_or_else(none)
    }

    /// Whether `yes` is typed in full: for what can't be undone. Nobody but a person at a terminal can.
    pub fn says_yes(&mut self, question: &str) -> bool {
        let left = self.left();
        self.tty.as_mut().is_some_and(|tty| tty.yes(&format!("{} ", escaped(question)), left))
    }

    fn show(&mut self, text: &str) {
        match &mut self.tty {
            Some(tty) => tty.show(text),
            None => self.terminal.text(text),
        }
    }
}
