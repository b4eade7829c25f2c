//! The keys that are plugged in, each driven by a child process of its own. Children are started as keys appear, told
//! what to do, and dropped as keys go; a child whose input we close puts its key's light out and ends.

use super::driver::{Command, Event};
use super::plugged_in::{self, Access, PluggedIn};
use crate::client::error::Error;
use crate::client::identity_token;
use crate::client::signals;
use crate::protocol::messages::ErrorCode;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use zeroize::Zeroizing;

/// How long a child may take to put its key's light out, before it is killed.
const DARK_WAIT: Duration = Duration::from_millis(1200);
/// How often we look for keys that came or went.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long udev may take to let us open a key that is plugged in while we look.
const RULES_WAIT: Duration = Duration::from_secs(3);

/// Where keys are plugged in, and what drives them.
#[derive(Debug, Clone)]
pub struct Bus {
    /// Usually `/sys`.
    pub sysfs: PathBuf,
    /// Usually `/dev`.
    pub dev: PathBuf,
    /// Driven by `PROGRAM drive-security-key NODE`: this program.
    pub driver: PathBuf,
}

impl Bus {
    /// This machine's.
    #[must_use]
    pub fn system() -> Self {
        let driver = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
        Self { sysfs: PathBuf::from("/sys"), dev: PathBuf::from("/dev"), driver }
    }

    /// What is plugged in now.
    #[must_use]
    pub fn plugged_in(&self) -> Vec<PluggedIn> {
        plugged_in::list_below(&self.sysfs, &self.dev)
    }
}

/// One plugging in of one key: a key that was pulled and put back is another, one whose permissions changed is not.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plug {
    node: PathBuf,
    made: Option<(u64, Option<SystemTime>)>,
}

impl Plug {
    fn of(node: &Path) -> Self {
        let metadata = std::fs::metadata(node).ok();
        Self { node: node.to_owned(), made: metadata.map(|it| (it.ino(), it.created().ok())) }
    }
}

/// Names a key while it is plugged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(usize);

/// News of a key.
#[derive(Debug)]
pub enum News {
    /// It appeared; its child is opening it.
    Came {
        /// As the device calls itself.
        name: String,
    },
    /// It may not be opened by us; said again while that is so.
    Forbidden {
        /// As the device calls itself.
        name: String,
    },
    /// What its child says.
    Said(Event),
    /// Its child ended.
    Ended,
    /// It was unplugged.
    Went,
}

struct Key {
    id: KeyId,
    plug: Plug,
}

/// What is needed to put a light out from anywhere.
struct Driver {
    id: KeyId,
    commands: Option<ChildStdin>,
    pid: Pid,
}

type Drivers = Arc<Mutex<Vec<Driver>>>;

fn lock(drivers: &Drivers) -> MutexGuard<'_, Vec<Driver>> {
    drivers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All of them.
pub struct Fleet {
    bus: Bus,
    keys: Vec<Key>,
    /// Those that may not be opened, and until when that may change by itself.
    forbidden: Vec<(Plug, Instant)>,
    next: usize,
    drivers: Drivers,
    events: Receiver<(KeyId, Option<Event>)>,
    sender: Sender<(KeyId, Option<Event>)>,
    looked: Option<Instant>,
    pending: Vec<(KeyId, News)>,
}

impl Fleet {
    /// No keys yet: the first look finds them. From now on a signal puts lights out before it ends us.
    #[must_use]
    pub fn new(bus: Bus) -> Self {
        let (sender, events) = channel();
        let drivers = Drivers::default();
        let seen = drivers.clone();
        signals::set_lights_out(Some(Box::new(move || go_dark(&seen))));
        Self {
            bus,
            keys: Vec::new(),
            forbidden: Vec::new(),
            next: 0,
            drivers,
            events,
            sender,
            looked: None,
            pending: Vec::new(),
        }
    }

    /// The next news, if there is any within a time.
    ///
    /// # Errors
    /// Where no child can be started.
    pub fn news(&mut self, within: Duration) -> Result<Option<(KeyId, News)>, Error> {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            // What was there before us has been let through by udev, or won't be.
            let rules_wait = if self.looked.is_some() { RULES_WAIT } else { Duration::ZERO };
            self.look(rules_wait)?;
            self.looked = Some(Instant::now());
        }
        if !self.pending.is_empty() {
            return Ok(Some(self.pending.remove(0)));
        }
        match self.events.recv_timeout(within.min(LOOK_EVERY)) {
            Ok((id, Some(event))) => Ok(Some((id, News::Said(event)))),
            Ok((id, None)) => Ok(Some((id, News::Ended))),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    /// Tells a key's child what to do. A child that is gone says so by itself.
    pub fn tell(&self, id: KeyId, command: &Command) {
        let Ok(line) = serde_json::to_vec(command).map(Zeroizing::new) else { return };
        let mut drivers = lock(&self.drivers);
        let commands = drivers.iter_mut().find(|it| it.id == id).and_then(|driver| driver.commands.as_mut());
        if let Some(commands) = commands {
            let _ = commands.write_all(&line).and_then(|()| commands.write_all(b"\n"));
        }
    }

    /// Lets a key be, until it is plugged in anew.
    pub fn leave_alone(&self, id: KeyId) {
        lock(&self.drivers).retain(|driver| driver.id != id);
    }

    /// Begins with every key anew: for after we were stopped, when all lights went out.
    pub fn start_again(&mut self) {
        lock(&self.drivers).clear();
        self.keys.clear();
        self.pending.clear();
        self.looked = None;
    }

    fn look(&mut self, rules_wait: Duration) -> Result<(), Error> {
        let there: Vec<(Plug, PluggedIn)> =
            self.bus.plugged_in().into_iter().map(|key| (Plug::of(&key.node), key)).collect();
        let (stayed, went): (Vec<Key>, Vec<Key>) =
            std::mem::take(&mut self.keys).into_iter().partition(|key| there.iter().any(|(plug, _)| *plug == key.plug));
        self.keys = stayed;
        for key in went {
            self.leave_alone(key.id);
            self.pending.push((key.id, News::Went));
        }
        for (plug, key) in there {
            if self.keys.iter().any(|known| known.plug == plug) {
                continue;
            }
            let id = KeyId(self.next);
            match key.access {
                Access::Allowed => {
                    self.start(id, &plug.node)?;
                    self.pending.push((id, News::Came { name: key.name }));
                }
                Access::Forbidden => {
                    if self.is_kept_from_us(plug, rules_wait) {
                        self.pending.push((id, News::Forbidden { name: key.name }));
                    }
                    continue;
                }
                Access::Gone => continue,
            }
            self.next += 1;
            self.keys.push(Key { id, plug });
        }
        Ok(())
    }

    /// Whether a key that may not be opened has been so for long enough.
    fn is_kept_from_us(&mut self, plug: Plug, rules_wait: Duration) -> bool {
        let known = self.forbidden.iter().find(|(known, _)| *known == plug).map(|(_, until)| *until);
        let until = known.unwrap_or_else(|| {
            let until = Instant::now() + rules_wait;
            self.forbidden.push((plug, until));
            until
        });
        Instant::now() >= until
    }

    /// A process group of its own: what the terminal sends to us reaches it through us, by its input's end.
    fn start(&self, id: KeyId, node: &Path) -> Result<(), Error> {
        let fault = |error: std::io::Error| {
            Error::new(ErrorCode::NoSecurityKey, format!("the key's driver can't be started: {error}"))
        };
        let mut command = std::process::Command::new(&self.bus.driver);
        command.arg("drive-security-key").arg(node).process_group(0).env_remove(identity_token::VARIABLE);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(fault)?;
        let pid = Pid::from_child(&child);
        lock(&self.drivers).push(Driver { id, commands: child.stdin.take(), pid });
        let (sender, drivers) = (self.sender.clone(), self.drivers.clone());
        std::thread::spawn(move || {
            hear(&mut child, id, &sender);
            let _ = child.wait();
            lock(&drivers).retain(|driver| driver.id != id);
        });
        Ok(())
    }
}

fn hear(child: &mut Child, id: KeyId, sender: &Sender<(KeyId, Option<Event>)>) {
    let Some(output) = child.stdout.take() else { return };
    let mut output = BufReader::new(output);
    loop {
        let mut line = Zeroizing::new(Vec::new());
        match output.read_until(b'\n', &mut line) {
            Ok(count) if count > 0 => {}
            _ => break,
        }
        // A line that is no event is none of ours.
        if let Ok(event) = serde_json::from_slice(&line)
            && sender.send((id, Some(event))).is_err()
        {
            break;
        }
    }
    let _ = sender.send((id, None));
}

/// Closes every child's input and waits until they have put their lights out and ended.
fn go_dark(drivers: &Drivers) {
    for driver in lock(drivers).iter_mut() {
        driver.commands = None;
    }
    let until = Instant::now() + DARK_WAIT;
    while Instant::now() < until {
        if lock(drivers).is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    for driver in lock(drivers).drain(..) {
        let _ = kill_process(driver.pid, Signal::KILL);
    }
}

impl Drop for Fleet {
    /// Whoever is still there gets dark by itself, at once; nobody waits for it.
    fn drop(&mut self) {
        for driver in lock(&self.drivers).iter_mut() {
            driver.commands = None;
        }
        signals::set_lights_out(None);
    }
}
