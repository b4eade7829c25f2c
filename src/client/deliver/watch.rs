//! The time while a command runs: a grant that ends is said before and when it does, renewed where that is wanted, and the
//! command is ended with it where that is.
//!
//! Time is the wall clock's, looked at every second: a machine that slept knows on waking.

use super::renewed::RenewedFile;
use crate::client::Device;
use crate::client::cli::OnExpiry;
use crate::client::elevation::{self, Cache, Held, Wanted};
use crate::client::error::Error;
use crate::client::grant_store::Reach;
use crate::client::terminal::Terminal;
use crate::clock::{Clock, human, seconds_between};
use crate::protocol::messages::ErrorCode;
use crate::protocol::names::ResourceName;
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often we look.
const LOOK: Duration = Duration::from_secs(1);
/// Seconds before the end at which a grant is renewed or its end is said, at the earliest.
const AHEAD_S: u64 = 60;
/// Seconds that a command has to end by itself.
const GRACE_S: u64 = 10;
/// Longest time between two tries, in seconds.
const PAUSE_MAX_S: u64 = 30;
const SECOND: u128 = 1_000_000_000;

/// Someone who looks at the time until the command is over.
pub struct Watch {
    over: Sender<()>,
    thread: JoinHandle<Vec<Held>>,
}

impl Watch {
    /// Looks from now on. `command` has to be there to be signalled until [`Watch::end`].
    #[must_use]
    pub fn start(
        command: Pid,
        held: &Held,
        on_expiry: Option<OnExpiry>,
        renewal: Option<Renewal>,
        clock: Clock,
        terminal: Terminal,
    ) -> Self {
        let (over, is_over) = channel();
        let grant = &held.grant;
        let mut watched = Watched {
            command,
            resource: grant.resource.clone(),
            clock,
            terminal,
            on_expiry,
            renewal,
            period: Period { ends: grant.expires_at, lasts: seconds_between(grant.issued_at, grant.expires_at) },
            warned: false,
            ended_at: None,
            killed: false,
        };
        let thread = std::thread::spawn(move || {
            while is_over.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                watched.look();
            }
            watched.renewal.map(|renewal| renewal.own).unwrap_or_default()
        });
        Self { over, thread }
    }

    /// Looks no more; returns the grants that were made meanwhile.
    #[must_use]
    pub fn end(self) -> Vec<Held> {
        let _ = self.over.send(());
        self.thread.join().unwrap_or_default()
    }
}

/// When the credential in use ends, and how long it lasts in all.
#[derive(Clone, Copy)]
struct Period {
    ends: Timestamp,
    lasts: u64,
}

struct Watched {
    command: Pid,
    resource: ResourceName,
    clock: Clock,
    terminal: Terminal,
    on_expiry: Option<OnExpiry>,
    renewal: Option<Renewal>,
    period: Period,
    warned: bool,
    /// When the end was noticed, in time since boot.
    ended_at: Option<u128>,
    killed: bool,
}

impl Watched {
    fn look(&mut self) {
        let now = self.clock.now();
        if let Some(renewal) = &mut self.renewal
            && let Some(period) = renewal.look(now, self.period, self.terminal)
        {
            self.period = period;
            self.warned = false;
            // A command that was told to end goes on ending.
            if self.ends_with().is_none() {
                self.ended_at = None;
            }
        }
        let left = seconds_between(now, self.period.ends);
        match self.ended_at {
            None if left == 0 => self.tell_end(),
            // Where it is renewed, that is what is said if it fails.
            None if self.renewal.is_none() && !self.warned && left <= AHEAD_S.min(self.period.lasts / 4) => {
                self.warned = true;
                self.terminal.interject(&format!("{} ends in {}", self.resource, human(left)), None);
            }
            None => {}
            Some(at) => self.kill_after(at),
        }
    }

    /// How the command is told to end with its grant, where it has to.
    fn ends_with(&self) -> Option<Signal> {
        match self.on_expiry {
            None | Some(OnExpiry::Warn) => None,
            Some(OnExpiry::Term) => Some(Signal::TERM),
            Some(OnExpiry::HangUp) => Some(Signal::HUP),
        }
    }

    fn tell_end(&mut self) {
        self.ended_at = Some(Clock::since_boot());
        if let Some(signal) = self.ends_with() {
            // First what has to be done: a terminal may take no line.
            let _ = kill_process(self.command, signal);
            let _ = kill_process(self.command, Signal::CONT);
            let line = format!("{} has ended: the command was told to end, and is killed in {GRACE_S}s", self.resource);
            self.terminal.interject(&line, None);
        } else {
            self.terminal.interject(&format!("{} has ended, and the command goes on without it", self.resource), None);
        }
    }

    fn kill_after(&mut self, ended_at: u128) {
        let is_due = Clock::since_boot() >= ended_at + u128::from(GRACE_S) * SECOND;
        if self.ends_with().is_some() && is_due && !self.killed {
            self.killed = true;
            let _ = kill_process(self.command, Signal::KILL);
        }
    }
}

/// How a credential is renewed while the command runs: without a person, into the file that the command reads.
pub struct Renewal {
    device: Device,
    wanted: Wanted,
    file: RenewedFile,
    /// Grants that were made here.
    own: Vec<Held>,
    asking: Asking,
    /// Whether it was said that it does not work.
    said: bool,
}

/// Whether the authority is asked for the next grant.
enum Asking {
    /// Not before this time since boot, and so many seconds later again where that fails.
    From(u128, u64),
    /// It said no, or that it takes a person: only a grant that somebody else gets will do.
    NoMore,
}

impl Renewal {
    /// Renews what was `wanted`, on a `device` that prompts nobody and says nothing.
    #[must_use]
    pub fn new(device: Device, wanted: &Wanted, file: RenewedFile) -> Self {
        let cache = match wanted.cache {
            Cache::Ignore => Cache::Ignore,
            Cache::Use | Cache::Renew => Cache::Renew,
        };
        let wanted = Wanted { min_ttl: None, cache, ..wanted.clone() };
        Self { device, wanted, file, own: Vec::new(), asking: Asking::From(0, 1), said: false }
    }

    /// Renews what ends soon; the new period, where there is one.
    fn look(&mut self, now: Timestamp, period: Period, terminal: Terminal) -> Option<Period> {
        let left = seconds_between(now, period.ends);
        if left > AHEAD_S.min(period.lasts / 3).max(1) {
            return None;
        }
        if let Some(held) = self.kept_by_somebody_else(period.ends) {
            return self.put(held, terminal);
        }
        let Asking::From(time, pause) = self.asking else { return None };
        if left == 0 || Clock::since_boot() < time {
            return None;
        }
        let resource = self.wanted.resource.clone();
        let why = match elevation::elevate(&self.device, &self.wanted) {
            Ok(held) if held.grant.expires_at > period.ends => {
                self.remember(held.clone());
                return self.put(held, terminal);
            }
            Ok(held) => {
                self.remember(held);
                Error::failed("the authority gives it for no longer")
            }
            Err(error) => error,
        };
        self.asking = match why.code {
            ErrorCode::AuthorityUnreachable | ErrorCode::Failed | ErrorCode::NoKeyring => {
                Asking::From(Clock::since_boot() + u128::from(pause) * SECOND, (2 * pause).min(PAUSE_MAX_S))
            }
            ErrorCode::InteractionRequired
            | ErrorCode::No
            | ErrorCode::Usage
            | ErrorCode::Denied
            | ErrorCode::ApprovalPending
            | ErrorCode::NoSecurityKey
            | ErrorCode::VerificationFailed
            | ErrorCode::NotSignedIn => Asking::NoMore,
        };
        if !self.said {
            self.said = true;
            let left = human(left);
            if why.code == ErrorCode::InteractionRequired {
                let hint = match self.device.config.grants_reach() {
                    Ok(Reach::User) => format!("run `elevate -v {resource}` in another terminal"),
                    Ok(Reach::Session) => format!("run `elevate -v {resource}` in another terminal of this login"),
                    // No other terminal's grant reaches the command.
                    Ok(Reach::Terminal) | Err(_) => "end the command before, and run it again".to_owned(),
                };
                let fact = format!("{resource} ends in {left}, and renewing it takes a touch");
                terminal.interject(&fact, Some(&hint));
            } else {
                terminal
                    .interject(&format!("{resource} ends in {left} and can't be renewed: {why}"), why.hint.as_deref());
            }
        }
        None
    }

    /// A grant that is in no keyring is the command's own, and ends with it.
    fn remember(&mut self, held: Held) {
        if self.wanted.cache == Cache::Ignore {
            self.own.push(held);
        }
    }

    /// One that `elevate -v` got in another terminal.
    fn kept_by_somebody_else(&self, ends: Timestamp) -> Option<Held> {
        let wanted = Wanted { cache: Cache::Use, ..self.wanted.clone() };
        let held = elevation::cached(&self.device, &wanted).ok().flatten();
        held.filter(|held| held.grant.expires_at > ends)
    }

    fn put(&mut self, held: Held, terminal: Terminal) -> Option<Period> {
        if let Err(error) = self.file.put(&held.grant.access_token) {
            if !self.said {
                self.said = true;
                terminal.interject(&error.message, error.hint.as_deref());
            }
            return None;
        }
        self.said = false;
        self.asking = Asking::From(0, 1);
        let grant = held.grant;
        Some(Period { ends: grant.expires_at, lasts: seconds_between(grant.issued_at, grant.expires_at) })
    }
}
