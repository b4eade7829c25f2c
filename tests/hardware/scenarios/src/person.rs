//! The unprivileged person of a scenario: a user id that nobody had before, so that no process, no kernel key and no
//! file of an earlier scenario is theirs, and an empty home.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

pub const HOME: &str = "/home/person";
const FIRST_USER: u32 = 1000;

pub struct Person {
    pub user: u32,
    runtime: String,
}

impl Person {
    /// The one of the scenario with this index.
    pub fn new(index: usize) -> io::Result<Self> {
        let user = FIRST_USER + u32::try_from(index).expect("a short table");
        let runtime = format!("/run/user/{user}");
        let _was_not_there = fs::remove_dir_all(HOME);
        for (directory, mode) in [(HOME, 0o755), (&runtime, 0o700)] {
            fs::create_dir_all(directory)?;
            fs::set_permissions(directory, fs::Permissions::from_mode(mode))?;
            chown(directory, Some(user), Some(user))?;
        }
        // Only root and this one are anybody, and both have a name.
        let passwd = format!("root:x:0:0:root:/root:/bin/sh\nperson:x:{user}:{user}:A person:{HOME}:/bin/sh\n");
        fs::write("/etc/passwd", passwd)?;
        fs::write("/etc/group", format!("root:x:0:\nperson:x:{user}:\n"))?;
        Ok(Self { user, runtime })
    }

    /// A command of theirs with nothing of this program's environment.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(Path::new("/bin").join(program));
        command.env_clear().current_dir(HOME).uid(self.user).gid(self.user);
        command.envs([("HOME", HOME), ("USER", "person"), ("LOGNAME", "person"), ("SHELL", "/bin/sh")]);
        command.envs([("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("TERM", "xterm-256color")]);
        command.env("XDG_RUNTIME_DIR", &self.runtime);
        command
    }

    pub fn write(&self, path: &str, content: &str) -> io::Result<()> {
        let mut directory = HOME.to_owned();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let entry = format!("{directory}/{part}");
            if parts.peek().is_some() {
                fs::create_dir_all(&entry)?;
            } else {
                fs::write(&entry, content)?;
            }
            chown(&entry, Some(self.user), Some(self.user))?;
            directory = entry;
        }
        Ok(())
    }
}

/// Ends what they left running.
impl Drop for Person {
    fn drop(&mut self) {
        let Ok(processes) = fs::read_dir("/proc") else {
            return;
        };
        for process in processes.flatten() {
            let Some(id) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let status = fs::read_to_string(process.path().join("status")).unwrap_or_default();
            let is_theirs = status.lines().any(|line| line.starts_with(&format!("Uid:\t{}\t", self.user)));
            if let Some(id) = rustix::process::Pid::from_raw(id).filter(|_| is_theirs) {
                let _over_anyway = rustix::process::kill_process(id, rustix::process::Signal::KILL);
            }
        }
    }
}
