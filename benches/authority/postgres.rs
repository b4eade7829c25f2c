//! A `PostgreSQL` of its own, with its usual settings but for the number of connections: what it confirms is on disk.

use super::processes::Running;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub struct Postgres {
    running: Running,
    directory: PathBuf,
}

impl Postgres {
    pub fn start(home: &Path) -> Self {
        let directory = home.join("server");
        fs::create_dir(&directory).unwrap();
        // It does not run as root.
        if elevate::files::own_uid() == 0 {
            let account = |path: &Path| Command::new("chown").arg("postgres").arg(path).status().unwrap();
            assert!(account(&directory).success());
            let mut mode = fs::metadata(home).unwrap().permissions();
            std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o711);
            fs::set_permissions(home, mode).unwrap();
        }
        let made = tool("initdb")
            .args(["--no-sync", "--no-locale", "-E", "UTF8", "-A", "trust", "-U", "elevate", "-D"])
            .arg(directory.join("data"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let log = File::create(home.join("postgres.log")).unwrap();
        let mut command = tool("postgres");
        command.arg("-D").arg(directory.join("data")).arg("-k").arg(&directory);
        command.args(["-c", "listen_addresses="]).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let server = Self { running: Running::start(&mut command), directory };
        server.ready();
        server
    }

    fn ready(&self) {
        for _ in 0..600 {
            let made =
                tool("createdb").args(["-U", "elevate", "-h"]).arg(&self.directory).arg("bench").output().unwrap();
            if made.status.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("PostgreSQL does not start");
    }

    pub fn process(&self) -> u32 {
        let file = fs::read_to_string(self.directory.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }

    /// How `authority.toml` names it.
    pub fn url(&self) -> String {
        format!("postgres://elevate@localhost/bench?host={}", self.directory.display())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once: its directory goes with it.
        let _ = Command::new("kill").args(["-s", "QUIT", &self.process().to_string()]).status();
        let _ = self.running.child().wait();
    }
}

/// Debian keeps what only servers need off the path.
fn tool(name: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).max();
    let found = found.unwrap_or_else(|| panic!("PostgreSQL is not installed: apt-get install postgresql"));
    if elevate::files::own_uid() != 0 {
        return Command::new(found);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(found).current_dir("/");
    command
}
