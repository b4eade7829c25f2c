//! The virtual keys that are plugged in: each a process, a FIFO and a log.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = "/usr/bin/virtual-key";
const DIRECTORY: &str = "/run/keys";
const LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

pub struct Key {
    pub number: usize,
    child: Child,
    /// Of the log: what [`Key::wait_for_light`] has seen.
    seen: usize,
}

impl Key {
    /// Plugs it in. The device belongs to `person`, as a udev rule would have it, or to root alone.
    pub fn plug(number: usize, options: &str, person: Option<u32>) -> Result<Self, String> {
        fs::create_dir_all(DIRECTORY).map_err(|error| format!("{DIRECTORY}: {error}"))?;
        let serial = serial(number);
        let mut child = Command::new(PROGRAM)
            .args(["--serial", &serial, "--name", &format!("Virtual key {number}")])
            .args(["--ctl", &fifo(number).to_string_lossy(), "--log", &log_file(number).to_string_lossy()])
            .args(options.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{PROGRAM}: {error}"))?;
        let seen = log(number).len();
        let device = wait_until(|| {
            if !matches!(child.try_wait(), Ok(None)) {
                return Some(None);
            }
            let device = device(number)?;
            device.exists().then_some(Some(device))
        });
        let Some(Some(device)) = device else {
            let _over_anyway = child.kill();
            return Err(format!("key {number} with {options:?} did not come up"));
        };
        let mode = if person.is_some() { 0o660 } else { 0o600 };
        fs::set_permissions(&device, fs::Permissions::from_mode(mode))
            .and_then(|()| chown(&device, person, None))
            .map_err(|error| format!("{}: {error}", device.display()))?;
        Ok(Self { number, child, seen })
    }

    pub fn word(&mut self, word: &str) -> Result<(), String> {
        let failed = |error| format!("key {} can't be told {word:?}: {error}", self.number);
        let control = format!("ctl {word}");
        let told = count(self.number, &control);
        let mut fifo = fs::OpenOptions::new().write(true).open(fifo(self.number)).map_err(failed)?;
        writeln!(fifo, "{word}").map_err(failed)?;
        drop(fifo);
        // Its log says when it has taken the word in.
        wait_until(|| (count(self.number, &control) > told).then_some(()))
            .ok_or_else(|| format!("key {} did not take {word:?}", self.number))?;
        if word == "remove" {
            let _status = self.child.wait();
        }
        Ok(())
    }

    pub fn wait_for_light(&mut self, limit: Instant) -> Result<(), String> {
        loop {
            let log = log(self.number);
            if let Some(at) = log[self.seen..].find("blink-start") {
                self.seen += at + 1;
                return Ok(());
            }
            if Instant::now() > limit {
                return Err(format!("key {} does not blink", self.number));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Pulls it out.
impl Drop for Key {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _over_anyway = self.child.kill();
        }
        let _status = self.child.wait();
        let _gone = wait_until(|| device(self.number).is_none().then_some(()));
    }
}

/// What was plugged in before is forgotten.
pub fn forget_all() {
    let _was_not_there = fs::remove_dir_all(DIRECTORY);
}

/// What the keys have logged, by number, since [`forget_all`].
pub fn logs() -> Vec<(usize, String)> {
    (1..10).map(|number| (number, log(number))).filter(|(_, log)| !log.is_empty()).collect()
}

pub fn log(number: usize) -> String {
    fs::read_to_string(log_file(number)).unwrap_or_default()
}

/// Whether the light is out, by its log.
pub fn is_dark(log: &str) -> bool {
    let last = log.lines().rev().find(|line| line.contains("blink-"));
    last.is_none_or(|line| line.contains("blink-stop"))
}

/// `/dev/hidrawN` of a key, by the serial number that sysfs has of it.
pub fn device(number: usize) -> Option<PathBuf> {
    let wanted = format!("HID_UNIQ={}", serial(number));
    let devices = fs::read_dir("/sys/class/hidraw").ok()?;
    devices.flatten().find_map(|entry| {
        let described = fs::read_to_string(entry.path().join("device/uevent")).ok()?;
        let found = described.lines().any(|line| line == wanted);
        found.then(|| Path::new("/dev").join(entry.file_name()))
    })
}

fn serial(number: usize) -> String {
    format!("virtual-{number}")
}

fn fifo(number: usize) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{number}.fifo"))
}

fn log_file(number: usize) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{number}.log"))
}

fn count(number: usize, text: &str) -> usize {
    log(number).lines().filter(|line| line.ends_with(text)).count()
}

fn wait_until<T>(mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let limit = Instant::now() + LIMIT;
    loop {
        if let Some(found) = found() {
            return Some(found);
        }
        if Instant::now() > limit {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}
