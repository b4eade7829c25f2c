//! The system authority. The account that runs the tests is the service's; the second user is one of those it serves.

use super::harness::{ISSUER, wait, write};
use super::runbook::arguments_of;
use crate::cli::harness::{
    AUTHORITY_BIN, DEADLINE, as_other_user, finish, must_not_be_root, other_user, patiently, piped, spawn,
};
use crate::harness::{Ask, TestKey, Wire, claims, me, policy, proof_key};
use elevate::authority::rules::DEFAULT_SCHEMA;
use elevate::clock::Clock;
use elevate::protocol::dpop::{Expected, ProofKey};
use elevate::protocol::secret::Secret;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// What systemd does for a socket unit: keeps the socket, and starts the program where somebody calls and none runs.
const SERVICE_MANAGER: &str = r#"
import os, select, socket, sys
path, count, command = sys.argv[1], sys.argv[2], sys.argv[3:]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path + ".new")
os.chmod(path + ".new", 0o666)
listener.listen(128)
# Whoever sees it can connect to it.
os.rename(path + ".new", path)
while True:
    select.select([listener], [], [])
    with open(count, "a") as file: file.write("started\n")
    child = os.fork()
    if child == 0:
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
        os.execv(command[0], command)
    with open(count + ".pid", "w") as file: file.write(str(child))
    os.waitpid(child, 0)
"#;

struct System {
    dir: TempDir,
    manager: Child,
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = self.manager.kill();
        let _ = self.manager.wait();
        if let Some(service) = self.service() {
            let _ = kill_process(service, Signal::TERM);
        }
    }
}

impl System {
    fn start(config: &str, arguments: &[&str]) -> Self {
        Self::start_within(&[], config, arguments)
    }

    /// Through a program that runs its arguments in some way.
    fn start_within(program: &[&str], config: &str, arguments: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("el").tempdir_in("/tmp").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["config", "run"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let config = format!("issuer = \"{ISSUER}\"\n{config}{}", crate::harness::CONFIG);
        write(&dir.path().join("config/authority.toml"), &config);
        write(&dir.path().join("config/policy.cedar"), &policy());
        write(&dir.path().join("config/schema.cedarschema"), DEFAULT_SCHEMA);
        let mut command = Command::new("python3");
        command
            .args(["-c", SERVICE_MANAGER])
            .arg(dir.path().join("run/authority.sock"))
            .arg(dir.path().join("started"));
        command.args(program).arg(AUTHORITY_BIN).arg("serve").arg("--config").arg(dir.path().join("config"));
        command.arg("--data").arg(dir.path().join("data")).args(arguments).env_clear().env("ELEVATE_LOG", "info");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(dir.path().join("stderr")).unwrap());
        let manager = spawn(&mut command);
        let system = Self { dir, manager };
        patiently(DEADLINE, || system.socket().exists().then_some(())).expect("there is a socket");
        system
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("run/authority.sock")
    }

    fn service(&self) -> Option<Pid> {
        let pid = fs::read_to_string(self.dir.path().join("started.pid")).ok()?;
        Pid::from_raw(pid.parse().ok()?)
    }

    fn times_started(&self) -> usize {
        fs::read_to_string(self.dir.path().join("started")).unwrap_or_default().lines().count()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap()
    }

    /// What the second user hears: status, JSON.
    fn other_user_asks(&self, path: &str, words: &[&str]) -> (u16, Value) {
        let socket = self.socket().display().to_string();
        let url = format!("http://localhost/company{path}");
        let user = other_user();
        let mut command = Command::new("sudo");
        command.args(["-n", "-u", &user, "curl", "--silent", "--show-error", "--unix-socket", &socket]);
        command.args(["-w", "\n%{http_code}"]).args(words).arg(url);
        let answer = finish(spawn(piped(&mut command)), b"").ok();
        let (text, status) = answer.stdout.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), serde_json::from_str(text).unwrap_or_else(|_| panic!("{status} {text}")))
    }

    fn other_user_elevates(&self, wire: &Wire, ask: &Ask, key: &ProofKey) -> (u16, Value) {
        let expected =
            Expected { method: "POST", url: &format!("{ISSUER}/token"), access_token: None, now: wire.clock.now() };
        let proof = format!("DPoP: {}", key.prove(&expected, Some(&wire.nonce())).unwrap());
        let form = reqwest::Client::new().post("http://localhost").form(&ask.request()).build().unwrap();
        let form = String::from_utf8(form.body().unwrap().as_bytes().unwrap().to_vec()).unwrap();
        self.other_user_asks("/token", &["-H", &proof, "-d", &form])
    }
}

fn other_sub() -> String {
    let id = finish(spawn(piped(Command::new("id").args(["-u", &other_user()]))), b"").ok();
    format!("uid:{}", id.stdout.trim())
}

#[tokio::test]
async fn accounts_share_it_and_each_is_who_the_kernel_says() {
    must_not_be_root();
    let system = System::start("", &["--everybody"]);
    let wire = Wire::new(&system.socket(), Clock::system()).await;
    let (laptop, proof) = (TestKey::software(), proof_key());
    wire.enrol("laptop", &laptop, None).await.unwrap();
    let mine = wire.elevate(&Ask::new("prod-db"), &proof, &laptop).await.grant();
    assert_eq!(claims(&mine.access_token).sub, me());

    // The other user is themselves, whatever they claim.
    let their_key = proof_key();
    let their_sub = other_sub();
    let mut ask = Ask::new("wiki");
    let (status, no) = system.other_user_elevates(&wire, &ask, &their_key);
    assert_eq!(status, 400, "{no}");
    assert_eq!(
        no["error_description"],
        format!("the request speaks for {}, and the kernel says it comes from {their_sub}", me())
    );
    ask.subject_token.clone_from(&their_sub);
    let (status, theirs) = system.other_user_elevates(&wire, &ask, &their_key);
    assert_eq!(status, 200, "{theirs}");
    let token = theirs["access_token"].as_str().unwrap().to_owned();
    assert_eq!(claims(&Secret::new(token)).sub, their_sub);

    // What is the first one's, they neither see nor end.
    assert_eq!(system.other_user_asks("/keys", &[]).1, serde_json::json!([]));
    let (_, log) = system.other_user_asks("/log/entries", &[]);
    let text = log.to_string();
    assert!(text.contains(&their_sub) && !text.contains(&me()), "{text}");
    let form = format!("token={}", mine.access_token.expose());
    assert_eq!(system.other_user_asks("/revoke", &["-d", &form]).0, 200);
    assert!(wire.is_active(&mine.access_token).await);

    // Nor does a file say it: data, key and lock are the service's own.
    let data = system.dir.path().join("data");
    as_other_user(&format!("! ls {0} 2>/dev/null && ! cat {0}/authority.key 2>/dev/null", data.display()));
    as_other_user(&format!("! rm {} 2>/dev/null", system.socket().display()));
}

#[test]
fn one_account_takes_no_place_of_another() {
    must_not_be_root();
    let system = System::start("", &["--everybody"]);
    let script = "import socket, sys\n\
                  held = []\n\
                  for _ in range(1000):\n    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); held.append(s)\n\
                  print('held', flush=True)\n\
                  sys.stdin.read()\n";
    let mut command = Command::new("sudo");
    command.args(["-n", "-u", &other_user(), "python3", "-c", script]).arg(system.socket());
    let mut flood = spawn(piped(&mut command));
    let mut line = [0; 5];
    flood.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"held\n");
    let mine = || {
        let mut command = Command::new("curl");
        command.args(["--silent", "--fail", "http://localhost/company/jwks", "--unix-socket"]).arg(system.socket());
        finish(spawn(piped(&mut command)), b"")
    };
    assert!(mine().ok().stdout.contains("keys"));
    // The next one of theirs finds no place; when they have let go, there is room again.
    let mut refused = Command::new("sudo");
    refused.args(["-n", "-u", &other_user(), "curl", "--silent", "http://localhost/company/jwks", "--unix-socket"]);
    assert_ne!(finish(spawn(piped(refused.arg(system.socket()))), b"").status, Some(0));
    finish(flood, b"").ok();
    let again = || (finish(spawn(piped(&mut refused)), b"").status == Some(0)).then_some(());
    patiently(DEADLINE, again).expect("there is room again");
}

#[test]
fn in_a_user_namespace_nobody_is_taken_for_somebody() {
    must_not_be_root();
    let system = System::start_within(&["/usr/bin/unshare", "--user", "--map-current-user"], "", &["--everybody"]);
    let (status, no) = system.other_user_asks("/keys", &[]);
    assert_eq!((status, &no["error_description"]), (400, &"the kernel does not say who is calling".into()), "{no}");
}

#[tokio::test]
async fn only_those_administer_whom_the_configuration_names() {
    must_not_be_root();
    let laptop = TestKey::with_pin();
    let administer = async |config: &str| {
        let system = System::start(config, &["--everybody"]);
        let wire = Wire::new(&system.socket(), Clock::system()).await;
        wire.enrol("laptop", &laptop, None).await.unwrap();
        wire.operate(elevate::protocol::messages::OperationName::UserList, None, None, &laptop).await
    };
    let no = administer("").await.unwrap_err();
    assert_eq!(no.code(), (403, "access_denied"), "the service's own account is not one by itself");
    assert!(administer(&format!("admins = [\"{}\"]\n", me())).await.is_ok());
}

#[tokio::test]
async fn it_ends_when_it_is_idle_and_the_next_call_starts_it_again() {
    must_not_be_root();
    let arguments = arguments_of("elevate-authority.service");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let system = System::start("idle_exit = \"1s\"\n", &arguments);
    assert_eq!(system.times_started(), 0, "nobody called");
    assert_eq!(system.other_user_asks("/jwks", &[]).0, 200);
    assert_eq!(system.times_started(), 1);
    let first = system.service().unwrap();
    let is_gone = || rustix::process::test_kill_process(first).is_err().then_some(());
    patiently(DEADLINE, is_gone).unwrap_or_else(|| panic!("it does not end: {}", system.said()));
    assert!(system.socket().exists(), "the socket is the service manager's");
    assert_eq!(system.other_user_asks("/jwks", &[]).0, 200);
    assert_eq!(system.times_started(), 2);
}

#[test]
fn what_was_handed_over_is_one_unix_socket_or_nothing_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |family: &str, count: &str, more: &[&str]| {
        let script = "import os, socket, sys\n\
                      s = socket.socket(getattr(socket, sys.argv[1]))\n\
                      s.bind(('127.0.0.1', 0) if sys.argv[1] == 'AF_INET' else '')\n\
                      s.listen(1)\n\
                      os.dup2(s.fileno(), 3); os.set_inheritable(3, True)\n\
                      os.dup2(s.fileno(), 4); os.set_inheritable(4, True)\n\
                      os.environ.update(LISTEN_FDS=sys.argv[2], LISTEN_PID=str(os.getpid()))\n\
                      os.execv(sys.argv[3], sys.argv[3:])\n";
        let mut command = Command::new("python3");
        command.args(["-c", script, family, count, AUTHORITY_BIN, "serve", "--config"]).arg(dir.path());
        command.arg("--data").arg(dir.path().join("data")).args(more);
        let mut child = spawn(piped(&mut command));
        assert_eq!(wait(&mut child).code(), Some(11));
        let mut said = String::new();
        child.stderr.as_mut().unwrap().read_to_string(&mut said).unwrap();
        said
    };
    let said = refused("AF_INET", "1", &[]);
    assert!(said.contains("it is no Unix stream socket that listens"), "{said}");
    let said = refused("AF_UNIX", "2", &[]);
    assert!(said.contains("there are 2 sockets, and one is wanted"), "{said}");
}
