//! The guest's side: homes, virtual keys, and programs at a pseudo-terminal.

use crate::table::Step;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::Winsize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The person: not root.
const UID: u32 = 1000;
/// What any step may take before the scenario is given up.
const PATIENCE: Duration = Duration::from_secs(25);

/// A home directory with resources to elevate to.
pub struct Home(PathBuf);

const RESOURCES: &str = r#"
allow_software_keys = false
[resource.db]
kind = "jwt"
audience = "https://db.invalid"
sensitivity = "sensitive"
[resource.vault]
kind = "jwt"
audience = "https://vault.invalid"
sensitivity = "critical"
"#;

impl Home {
    /// A fresh one, set up with `elevate init`.
    pub fn new(name: &str) -> Self {
        let path = PathBuf::from("/home").join(name);
        std::fs::create_dir_all(path.join("run")).expect("the guest's memory holds a home");
        for directory in [path.clone(), path.join("run")] {
            std::os::unix::fs::chown(&directory, Some(UID), Some(UID)).expect("root may");
            std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o700)).expect("root may");
        }
        let home = Self(path);
        let status = home.command("elevate init").stdin(Stdio::null()).stdout(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "elevate init");
        let config = home.0.join(".config/elevate/authority.toml");
        std::fs::write(&config, RESOURCES).expect("root may");
        std::fs::write(home.0.join("pin"), "#!/bin/sh\necho 1234\n").expect("root may");
        std::fs::set_permissions(home.0.join("pin"), PermissionsExt::from_mode(0o755)).expect("root may");
        home
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("exec {words}")]).current_dir(&self.0).env_clear();
        command.env("HOME", &self.0).env("XDG_RUNTIME_DIR", self.0.join("run")).env("PATH", "/usr/bin:/bin");
        command.env("TERM", "linux").env("ELEVATE_ASKPASS", self.0.join("pin")).uid(UID).gid(UID);
        command
    }

    /// Nothing of it stays.
    pub fn remove(self) {
        let _ = Command::new("pkill").args(["-u", "1000"]).status();
        let _ = std::fs::remove_dir_all(self.0);
    }
}

/// The virtual keys that are plugged in, by the numbers that scenarios give them.
#[derive(Default)]
pub struct Keys {
    plugged: BTreeMap<u32, Key>,
    /// Those that every scenario of a world begins with, with their options.
    settled: BTreeMap<u32, String>,
}

struct Key {
    process: Option<Child>,
    node: PathBuf,
    options: String,
}

impl Keys {
    /// Plugs one in, with `virtual-key`'s options; a key that was here before still holds its credentials.
    pub fn plug_in(&mut self, number: u32, options: &str) {
        self.unplug(number);
        let before: Vec<PathBuf> = nodes();
        let mut command = Command::new("virtual-key");
        command.args(["--ctl", &control(number), "--log", &log(number), "--serial", &format!("vk-{number}")]);
        command.args(["--name", &format!("Key {number}"), "--state", &format!("/tmp/state-{number}")]);
        let words: Vec<&str> = options.split_whitespace().filter(|word| *word != "forbidden").collect();
        let mut process = command.args(words).stdout(Stdio::piped()).spawn().expect("virtual-key runs");
        let mut ready = [0; 6];
        let _ = process.stdout.as_mut().map(|out| out.read_exact(&mut ready));
        let node = wait_for(|| nodes().into_iter().find(|node| !before.contains(node)));
        let node = node.unwrap_or_else(|| panic!("key {number} does not appear"));
        let mode = if options.contains("forbidden") { 0o600 } else { 0o666 };
        std::fs::set_permissions(&node, PermissionsExt::from_mode(mode)).expect("root may");
        self.plugged.insert(number, Key { process: Some(process), node, options: options.to_owned() });
    }

    /// Pulls one out.
    pub fn unplug(&mut self, number: u32) {
        self.tell(number, "remove");
        if let Some(key) = self.plugged.get_mut(&number) {
            if let Some(mut process) = key.process.take() {
                let _ = process.wait();
            }
            let _ = wait_for(|| (!key.node.exists()).then_some(()));
        }
    }

    pub fn unplug_all(&mut self) {
        let numbers: Vec<u32> = self.plugged.keys().copied().collect();
        for number in numbers {
            self.unplug(number);
            let _ = std::fs::remove_file(format!("/tmp/state-{number}"));
            let _ = std::fs::remove_file(log(number));
        }
        self.plugged.clear();
    }

    /// Tells a key what to do, through its FIFO; waits until its log says that it was heard.
    pub fn tell(&mut self, number: u32, words: &str) {
        if let Some(options) = words.strip_prefix("plug in") {
            return self.plug_in(number, options.trim());
        }
        if words == "unplug" {
            return self.unplug(number);
        }
        if self.plugged.get(&number).is_none_or(|key| key.process.is_none()) {
            return;
        }
        let heard = self.log(number).matches("control ").count();
        if let Ok(mut fifo) = File::options().write(true).open(control(number)) {
            let _ = writeln!(fifo, "{words}");
        }
        let _ = wait_for(|| (self.log(number).matches("control ").count() > heard).then_some(()));
    }

    /// What is plugged in now is what every scenario begins with.
    pub fn settle(&mut self) {
        self.settled = self.plugged.iter().map(|(number, key)| (*number, key.options.clone())).collect();
    }

    /// The keys that are plugged in at the beginning of every scenario, as they are then.
    pub fn as_before(&mut self) {
        let numbers: Vec<u32> = self.plugged.keys().copied().collect();
        for number in numbers {
            let is_plugged_in = self.plugged.get(&number).is_some_and(|key| key.process.is_some());
            match self.settled.get(&number).cloned() {
                None if is_plugged_in => self.unplug(number),
                None => {}
                Some(options) if !is_plugged_in => self.plug_in(number, &options),
                Some(_) => {}
            }
        }
        for number in self.settled.keys().copied().collect::<Vec<_>>() {
            for words in ["touch 150", "keepalive 100", "up-timeout 30000"] {
                self.tell(number, words);
            }
        }
    }

    /// Whether no light is on, or goes out within a second.
    pub fn all_dark(&self) -> Result<(), String> {
        for number in self.plugged.keys() {
            let dark = || {
                let log = self.log(*number);
                (log.matches("blink-start").count() == log.matches("blink-stop").count()).then_some(())
            };
            if wait_for(dark).is_none() {
                return Err(format!("the light of key {number} is still on"));
            }
        }
        Ok(())
    }

    pub fn log(&self, number: u32) -> String {
        String::from_utf8_lossy(&std::fs::read(log(number)).unwrap_or_default()).into_owned()
    }

    pub fn last_lines(&self) -> String {
        let mut lines = Vec::new();
        for number in self.plugged.keys() {
            let log = self.log(*number);
            let all: Vec<&str> = log.lines().collect();
            lines.extend(all.iter().rev().take(12).rev().map(|line| format!("{number}: {line}")));
        }
        lines.join("\n")
    }
}

fn control(number: u32) -> String {
    format!("/tmp/control-{number}")
}

fn log(number: u32) -> String {
    format!("/tmp/log-{number}")
}

fn nodes() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/dev").map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    let entries: Vec<PathBuf> = entries.unwrap_or_default();
    entries.into_iter().filter(|path| path.to_string_lossy().contains("hidraw")).collect()
}

fn wait_for<T>(mut what: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + Duration::from_secs(3);
    loop {
        if let Some(there) = what() {
            return Some(there);
        }
        if Instant::now() >= until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Status(i32),
    Signal(i32),
}

/// What was seen of it.
pub struct Run {
    pub screen: String,
    pub stdout: String,
    pub ended: Ended,
    pub took: Duration,
    pub stuck: Option<String>,
}

/// Runs `words` at a terminal and does what the steps say.
pub fn run(home: &Home, keys: &mut Keys, words: &str, steps: &[Step]) -> Run {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("there are terminals");
    let size = Winsize { ws_row: 40, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let slave_path = ptsname(&master, Vec::new()).expect("there are terminals");
    let slave = File::options().read(true).write(true).open(Path::new(slave_path.to_str().expect("ASCII"))).expect("it opens");
    rustix::termios::tcsetwinsize(&slave, size).expect("it has a size");
    let stdout_path = "/tmp/stdout";
    let stdout = File::create(stdout_path).expect("the guest's memory holds it");
    let started = Instant::now();
    // `setsid --ctty` makes the pseudo-terminal the controlling one, and is then replaced by the program.
    let mut command = home.command(&format!("setsid -c {words}"));
    command.stdin(slave.try_clone().expect("it can be had twice")).stdout(stdout).stderr(slave);
    let mut child = command.spawn().expect("it starts");
    drop(command);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mut reading, writing) = (File::from(master.try_clone().expect("it can be had twice")), seen.clone());
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok(count) = reading.read(&mut bytes) {
            writing.lock().expect("nobody panics").extend_from_slice(&bytes[..count]);
        }
    });
    let mut typing = File::from(master);
    let stuck = follow(steps, keys, &mut child, &mut typing, &seen);
    let ended = wait(&mut child, stuck.is_some());
    let took = started.elapsed();
    drop(typing);
    let _ = reader.join();
    let screen = shown(&seen.lock().expect("nobody panics"));
    let stdout = std::fs::read_to_string(stdout_path).unwrap_or_default();
    let stuck = stuck.or_else(|| ended.is_none().then(|| "it does not end".to_owned()));
    Run { screen, stdout, ended: ended.unwrap_or(Ended::Status(-1)), took, stuck }
}

fn follow(
    steps: &[Step],
    keys: &mut Keys,
    child: &mut Child,
    typing: &mut File,
    seen: &Arc<Mutex<Vec<u8>>>,
) -> Option<String> {
    let mut from = 0;
    for step in steps {
        match step {
            Step::See(text) => {
                let until = Instant::now() + PATIENCE;
                loop {
                    let screen = String::from_utf8_lossy(&seen.lock().expect("nobody panics")).into_owned();
                    if let Some(at) = screen.get(from..).and_then(|rest| rest.find(text)) {
                        from += at + text.len();
                        break;
                    }
                    if Instant::now() >= until || child.try_wait().is_ok_and(|ended| ended.is_some()) {
                        return Some(format!("{text:?} does not come"));
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            Step::Type(text) => {
                let _ = typing.write_all(text.as_bytes());
            }
            Step::Key(number, words) => keys.tell(*number, words),
            Step::Signal(number) => {
                let signal = Signal::from_named_raw(*number).expect("a signal");
                let _ = kill_process(Pid::from_child(child), signal);
            }
            Step::Wait(milliseconds) => std::thread::sleep(Duration::from_millis(*milliseconds)),
            Step::Dark => {
                if let Err(lit) = keys.all_dark() {
                    return Some(lit);
                }
            }
        }
    }
    None
}

fn wait(child: &mut Child, hurry: bool) -> Option<Ended> {
    let until = Instant::now() + if hurry { Duration::ZERO } else { PATIENCE };
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status.signal().map_or_else(|| Ended::Status(status.code().unwrap_or(-1)), Ended::Signal));
        }
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What stands on the screen: a line that was rewritten counts as it was last, and as it was before.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let lines = text.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty());
    let mut shown: Vec<&str> = Vec::new();
    for line in lines {
        if shown.last() != Some(&line) {
            shown.push(line);
        }
    }
    shown.join("\n")
}
