//! A person's home, terminal and programs: what every test of the command line is written in.

use expectrl::process::Process as _;
use expectrl::process::unix::{UnixProcess, WaitStatus};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Nothing here takes so long on the slowest machine; what does, hangs.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// One resource of each sort.
pub const CATALOGUE: &str = r#"allow_software_keys = true

[resource.wiki]
kind = "jwt"
description = "the wiki"
audience = "https://wiki.test.invalid"
sensitivity = "low"
scopes = ["read", "write"]

[resource.prod-api]
kind = "jwt"
description = "the production API"
audience = "https://api.test.invalid"
sensitivity = "sensitive"
scopes = ["read", "write"]

[resource.prod-db]
kind = "secret"
description = "the production database"
sensitivity = "sensitive"

[resource.tv]
kind = "secret"
description = "the television"
sensitivity = "low"

[resource.vault]
kind = "jwt"
description = "what needs a PIN"
audience = "https://vault.test.invalid"
sensitivity = "critical"
"#;

const BIN: &str = env!("CARGO_BIN_EXE_elevate");
pub const AUTHORITY_BIN: &str = env!("CARGO_BIN_EXE_elevate-authority");

// -------------------------------------------------------------------------------------------------- who runs beside whom

/// Kernel keys are counted per user, not per home: about fifteen grants fit. So only a few homes exist at a time, and
/// a test that fills the quota has it alone.
const HOMES: usize = 4;
static FREE: (Mutex<usize>, Condvar) = (Mutex::new(HOMES), Condvar::new());

struct Permit(usize);

impl Permit {
    fn take(count: usize) -> Self {
        let mut free = locked(&FREE.0);
        while *free < count {
            free = FREE.1.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= count;
        Self(count)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *locked(&FREE.0) += self.0;
        FREE.1.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pty library's pipes are not close-on-exec for a moment: no other process may be started in it.
static SPAWNING: RwLock<()> = RwLock::new(());

pub fn spawn(command: &mut Command) -> Child {
    let _guard = SPAWNING.read().unwrap_or_else(PoisonError::into_inner);
    command.spawn().unwrap_or_else(|error| panic!("{} can't be started: {error}", command.get_program().display()))
}

/// To root no file is forbidden: a test of permissions would pass for nothing.
pub fn must_not_be_root() {
    assert!(
        !rustix::process::geteuid().is_root(),
        "this test is about permissions, and root has them all: run the tests as an unprivileged user (.ci/run does)"
    );
}

/// The second user, who plays the attacker.
pub fn other_user() -> String {
    std::env::var("ELEVATE_TEST_OTHER_USER").unwrap_or_else(|_| {
        panic!(
            "this test needs a second user: make one (`useradd --system elevate-attacker`), allow yourself to act as it \
             (`echo \"$USER ALL=(elevate-attacker) NOPASSWD: ALL\" >/etc/sudoers.d/elevate-test`), and set \
             ELEVATE_TEST_OTHER_USER=elevate-attacker"
        )
    })
}

/// The hidden verb of the process that removes what has expired.
const REAPER: &str = "reap-expired-grants";

/// Runs a shell script as the second user.
pub fn as_other_user(script: &str) {
    let user = other_user();
    let done = finish(spawn(piped(Command::new("sudo").args(["-n", "-u", &user, "sh", "-c", script]))), b"");
    assert_eq!(done.status, Some(0), "sudo -n -u {user} sh -c '{script}': {}", done.stderr);
}

// -------------------------------------------------------------------------------------------------------------- a home

/// A home of one's own: directories, an environment, an authority once one is started. All of it ends with this value.
pub struct Home {
    dir: TempDir,
    pub path: PathBuf,
    pub runtime: PathBuf,
    variables: Vec<(String, String)>,
    permit: Permit,
}

impl Home {
    /// An empty one.
    pub fn empty() -> Self {
        Self::with_permit(Permit::take(1))
    }

    /// An empty one, and no other exists beside it.
    pub fn alone() -> Self {
        Self::with_permit(Permit::take(HOMES))
    }

    /// Another empty one, within this one's share of kernel keys.
    #[allow(clippy::unused_self, reason = "there has to be one")]
    pub fn guest(&self) -> Self {
        Self::with_permit(Permit(0))
    }

    fn with_permit(permit: Permit) -> Self {
        let dir = tempfile::Builder::new().prefix("el").tempdir_in("/tmp").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (home, runtime) = (dir.path().join("home"), dir.path().join("run"));
        for path in [&home, &runtime] {
            fs::DirBuilder::new().mode(0o700).create(path).unwrap();
        }
        let bin = Path::new(BIN).parent().unwrap().display();
        let variables = [
            ("HOME", home.display().to_string()),
            ("XDG_RUNTIME_DIR", runtime.display().to_string()),
            ("PATH", format!("{bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")),
            ("LANG", "C.UTF-8".to_owned()),
            ("TERM", "dumb".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Self { dir, path: home, runtime, variables, permit }
    }

    /// One with [`CATALOGUE`] and the software key `laptop`.
    pub fn set_up() -> Self {
        Self::with(CATALOGUE)
    }

    /// One with this `authority.toml` and the software key `laptop`.
    pub fn with(authority_toml: &str) -> Self {
        let home = Self::empty();
        home.found(authority_toml);
        home
    }

    /// Founds the authority of an empty home.
    pub fn found(&self, authority_toml: &str) {
        self.write_config("authority.toml", authority_toml);
        self.approve(&["init", "--software-key", "laptop"]).ok();
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub fn variable(&self, name: &str) -> String {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    /// A path beside home and runtime directory, gone with them.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path.join(".config/elevate")
    }

    pub fn data(&self) -> PathBuf {
        self.path.join(".local/share/elevate")
    }

    pub fn socket(&self) -> PathBuf {
        self.runtime.join("elevate/authority.sock")
    }

    pub fn write_config(&self, name: &str, text: &str) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.config()).unwrap();
        fs::write(self.config().join(name), text).unwrap();
        fs::set_permissions(self.config().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// `elevate`, at no terminal.
    pub fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        self.program(BIN, words)
    }

    /// Any program with this home's environment, in a session without a terminal.
    pub fn program<S: AsRef<OsStr>>(&self, program: &str, words: &[S]) -> Command {
        let mut command = Command::new("setsid");
        command.arg(program).args(words).env_clear().envs(self.variables.iter().cloned()).current_dir("/");
        command
    }

    /// Runs `elevate` at no terminal.
    pub fn elevate(&self, words: &[&str]) -> Ended {
        finish(spawn(piped(&mut self.command(words))), b"")
    }

    /// Runs `elevate` at no terminal, with this on stdin.
    pub fn elevate_reading(&self, words: &[&str], stdin: &str) -> Ended {
        finish(spawn(piped(&mut self.command(words))), stdin.as_bytes())
    }

    /// Runs a shell script at no terminal; `elevate` is on its `PATH`.
    pub fn sh(&self, script: &str) -> Ended {
        finish(spawn(piped(&mut self.program("sh", &["-c", script]))), b"")
    }

    /// Starts `elevate` at a terminal, which shows its stdout and stderr as well.
    pub fn at_terminal(&self, words: &[&str]) -> Tty {
        let mut command = Command::new(BIN);
        command.args(words);
        self.start_at_terminal(command)
    }

    /// Starts a shell script at a terminal.
    pub fn sh_at_terminal(&self, script: &str) -> Tty {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        self.start_at_terminal(command)
    }

    /// Starts a shell script at a terminal of another size. The pty library sets its own once more after a program has
    /// begun: the script waits until that is done.
    pub fn sh_in_window(&self, columns: u16, rows: u16, script: &str) -> Tty {
        let mut tty = self.sh_at_terminal(&format!("read go; {script}"));
        tty.resize(columns, rows);
        tty.send("\n");
        tty
    }

    /// Starts any program at a terminal.
    pub fn program_at_terminal(&self, words: &[&str]) -> Tty {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        self.start_at_terminal(command)
    }

    fn start_at_terminal(&self, mut command: Command) -> Tty {
        command.env_clear().envs(self.variables.iter().cloned()).current_dir("/");
        Tty::start(command, None)
    }

    /// Starts `elevate` at a terminal, with stdout and stderr elsewhere: the terminal shows what is written to it.
    pub fn prompting(&self, words: &[&str]) -> Tty {
        self.prompting_script(r#"exec elevate "$@" >"$0/stdout" 2>"$0/stderr""#, words)
    }

    /// The same for a shell script, whose `$0` is the directory for `stdout` and `stderr`, and may hold a `stdin`.
    pub fn prompting_script(&self, script: &str, words: &[&str]) -> Tty {
        let outputs = tempfile::tempdir_in(self.dir.path()).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(outputs.path()).args(words);
        command.env_clear().envs(self.variables.iter().cloned()).current_dir("/");
        Tty::start(command, Some(outputs))
    }

    /// Runs `elevate` at a terminal where somebody presses Enter each time they are asked.
    pub fn approve(&self, words: &[&str]) -> Ended {
        let mut tty = self.prompting(words);
        tty.approve_all();
        tty.end()
    }

    /// Whether a token is good, asked of an authority that may have to be started.
    pub fn is_active_after_restart(&self, token: &str) -> bool {
        self.elevate(&["list"]).ok();
        self.is_active(token.trim())
    }

    /// A program that runs its arguments where `keyctl` and its like are forbidden, as in many containers.
    pub fn seccomp_script(&self) -> PathBuf {
        self.script_without("keyctl")
    }

    /// A program that runs its arguments where `keyctl` or `flock` does not work.
    pub fn script_without(&self, what: &str) -> PathBuf {
        let path = self.beside(&format!("without-{what}.py"));
        fs::write(&path, include_str!("without.py")).unwrap();
        path
    }

    /// Runs `elevate` there.
    pub fn without_keyctl(&self, words: &[&str]) -> Ended {
        let script = self.seccomp_script().display().to_string();
        finish(spawn(piped(&mut self.program("python3", &[&[script.as_str(), BIN], words].concat()))), b"")
    }

    /// Changes the database behind the authority's back; it should not run.
    pub fn sql(&self, statement: &str) {
        let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nn = c.execute(sys.argv[2]).rowcount\n\
                      c.commit()\nprint(n)\n";
        let database = self.data().join("authority/authority.db").display().to_string();
        let mut python = self.program("python3", &["-c", script, &database, statement]);
        let done = finish(spawn(piped(&mut python)), b"").ok();
        assert_eq!(done.stdout, "1\n", "one row was to be changed: {done:?}");
    }

    /// Stores a secret, from stdin.
    pub fn put_secret(&self, resource: &str, secret: &str) -> Ended {
        let stdin = self.beside("secret.stdin");
        fs::write(&stdin, secret).unwrap();
        // The terminal stays open where it is none of the three streams: otherwise it would have ended for us.
        let script = r#"exec elevate admin secret set "$1" 9>&1 <"$2" >"$0/stdout" 2>"$0/stderr""#;
        let mut tty = self.prompting_script(script, &[resource, stdin.to_str().unwrap()]);
        tty.approve_all();
        let ended = tty.end();
        fs::remove_file(stdin).unwrap();
        ended
    }

    /// Asks the authority over its socket, as a service would: the answer's JSON.
    pub fn http(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let known: Value =
            serde_json::from_slice(&fs::read(self.data().join("device/authorities/embedded/authority.json")).unwrap())
                .unwrap();
        let issuer = known["issuer"].as_str().unwrap().replace("https://", "http://");
        let (socket, url) = (self.socket().display().to_string(), format!("{issuer}{path}"));
        let mut curl = self.program("curl", &["-sS", "--max-time", "30", "--unix-socket", &socket, &url]);
        for (name, value) in form {
            curl.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        let answer = finish(spawn(piped(&mut curl)), b"").ok();
        serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }

    /// Whether the authority says that a token is good.
    pub fn is_active(&self, token: &str) -> bool {
        self.http("/introspect", &[("token", token)])["active"].as_bool().unwrap()
    }

    /// The log's events, oldest first, each with its resource.
    pub fn events(&self) -> Vec<(String, String)> {
        let shown = self.elevate(&["--json", "audit", "show", "--last", "100000"]).ok().json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entries = shown["entries"].as_array().unwrap().iter();
        entries.map(|it| (text(&it["entry"]["event"]), text(&it["entry"]["resource"]))).collect()
    }

    /// How many grants the log says were issued for a resource.
    pub fn issued(&self, resource: &str) -> usize {
        self.events().iter().filter(|(event, of)| event == "grant.issued" && of == resource).count()
    }

    /// The processes that serve this home's authority.
    pub fn authorities(&self) -> Vec<i32> {
        let own = self.dir.path().to_string_lossy().into_owned();
        processes(|words| {
            words.iter().any(|word| word == "serve")
                && words.iter().any(|word| word.starts_with(&own))
                && !words.iter().any(|word| word == "--detach")
        })
    }

    /// The one process that serves.
    pub fn authority(&self) -> i32 {
        let running = self.authorities();
        assert_eq!(running.len(), 1, "authorities: {running:?}");
        running[0]
    }

    /// Ends the authority and waits until it is gone.
    pub fn stop_authority(&self) {
        for pid in self.authorities() {
            signal(pid, rustix::process::Signal::TERM);
        }
        wait_until("the authority ends", || self.authorities().is_empty());
    }

    /// Text as it would be in another home at another time.
    pub fn plain(&self, text: &str) -> String {
        plain(
            &text
                .replace(&*self.path.to_string_lossy(), "~")
                .replace(&*self.runtime.to_string_lossy(), "$XDG_RUNTIME_DIR"),
        )
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let pids = self.authorities();
        for pid in &pids {
            let _ = rustix::process::kill_process(pid_of(*pid), rustix::process::Signal::CONT);
        }
        if self.data().join("device/authorities").exists() {
            let mut drop_all = self.command(&["-n", "-K"]);
            drop_all.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if let Ok(mut child) = drop_all.env("ELEVATE_KEYRING", "kernel").spawn() {
                let _ = patiently(Duration::from_secs(20), || child.try_wait().ok().flatten());
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        let _ = fs::set_permissions(&self.path, fs::Permissions::from_mode(0o700));
        // A reaper would wait for grants that are gone. Homes that have one are alone, so that it is theirs.
        for pid in processes(|words| self.permit.0 == HOMES && words.len() > 1 && words[0] == BIN && words[1] == REAPER)
        {
            let _ = rustix::process::kill_process(pid_of(pid), rustix::process::Signal::KILL);
        }
        for _ in 0..3 {
            for pid in self.authorities() {
                let _ = rustix::process::kill_process(pid_of(pid), rustix::process::Signal::KILL);
            }
            let _ = patiently(Duration::from_secs(2), || self.authorities().is_empty().then_some(()));
        }
    }
}

/// Everything in the files below a directory, concatenated.
pub fn bytes_below(directory: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            bytes.extend(bytes_below(&entry.path()));
        } else if kind.is_file() {
            bytes.extend(fs::read(entry.path()).unwrap());
        }
    }
    bytes
}

pub fn contains(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Lower permission bits of what stands at `path`.
pub fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).mode() & 0o7777
}

// ----------------------------------------------------------------------------------------------------------- processes

pub fn pid_of(pid: i32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(pid).unwrap()
}

pub fn signal(pid: i32, signal: rustix::process::Signal) {
    let _ = rustix::process::kill_process(pid_of(pid), signal);
}

/// The living processes with such a command line.
pub fn processes(wanted: impl Fn(&[String]) -> bool) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line);
        let words: Vec<String> = line.split_terminator('\0').map(str::to_owned).collect();
        if wanted(&words) {
            found.push(pid);
        }
    }
    found
}

/// Looks until there is an answer; `None` after the deadline.
pub fn patiently<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() > until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    assert!(patiently(DEADLINE, || is_so().then_some(())).is_some(), "waited in vain until {what}");
}

/// Waits until the authority's process `pid` is asleep in the middle of nothing: `T` is stopped, `Z` dead.
pub fn state_of(pid: i32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('Z')
}

pub fn piped(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

/// How a program ended, and what it wrote where.
#[derive(Debug, Clone)]
pub struct Ended {
    pub status: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub tty: String,
}

impl Ended {
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub fn exits(self, status: i32) -> Self {
        assert_eq!((self.status, self.signal), (Some(status), None), "{self:#?}");
        self
    }

    /// Exactly one object, on one line, with nothing beside it.
    #[track_caller]
    pub fn json(&self) -> Value {
        one_object(&self.stdout)
    }

    /// The one object on stderr that says what went wrong; nothing on stdout.
    #[track_caller]
    pub fn error(&self) -> Value {
        assert_eq!(self.stdout, "", "{self:#?}");
        let object = one_object(&self.stderr);
        assert_eq!(fields(&object), ["error", "version"]);
        assert_eq!(fields(&object["error"]), ["code", "elevation", "hint", "message"]);
        object["error"].clone()
    }

    /// Its stdout is this, but for homes and times.
    #[track_caller]
    pub fn says(&self, home: &Home, expected: &str) {
        similar(&home.plain(&self.stdout), expected);
    }

    /// Its stderr is this, but for homes and times.
    #[track_caller]
    pub fn complains(&self, home: &Home, expected: &str) {
        similar(&home.plain(&self.stderr), expected);
    }
}

#[track_caller]
pub fn similar(seen: &str, expected: &str) {
    assert!(seen == expected, "\n--- expected\n{expected}\n--- seen\n{seen}\n---");
}

#[track_caller]
pub fn one_object(text: &str) -> Value {
    assert_eq!(text.matches('\n').count(), 1, "not one line: {text:?}");
    assert!(text.ends_with('\n'), "not one line: {text:?}");
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    assert_eq!(value["version"], 1, "{value}");
    value
}

/// The names of an object's fields, sorted.
#[track_caller]
pub fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Hands over stdin and waits for the end.
pub fn finish(mut child: Child, stdin: &[u8]) -> Ended {
    let mut to = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // A program that does not read may be gone by now.
    let writing = std::thread::spawn(move || drop(to.write_all(&stdin)));
    let read = |mut from: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = child.stdout.take().map(|it| read(Box::new(it)));
    let stderr = child.stderr.take().map(|it| read(Box::new(it)));
    let ended = patiently(DEADLINE, || child.try_wait().unwrap());
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let text = |it: Option<std::thread::JoinHandle<String>>| it.map(|it| it.join().unwrap()).unwrap_or_default();
    let (stdout, stderr) = (text(stdout), text(stderr));
    let ended = ended.unwrap_or_else(|| panic!("it hangs\nstdout: {stdout}\nstderr: {stderr}"));
    let _ = writing.join();
    Ended { status: ended.code(), signal: ended.signal(), stdout, stderr, tty: String::new() }
}

// ------------------------------------------------------------------------------------------------------------ terminal

/// A program at a terminal of 80 columns: its leader, in the foreground.
pub struct Tty {
    process: UnixProcess,
    keyboard: fs::File,
    screen: Arc<(Mutex<Screen>, Condvar)>,
    /// How much of the screen has been waited for.
    read: usize,
    outputs: Option<TempDir>,
}

#[derive(Default)]
struct Screen {
    bytes: Vec<u8>,
    over: bool,
}

impl Tty {
    fn start(command: Command, outputs: Option<TempDir>) -> Self {
        let process = {
            let _guard = SPAWNING.write().unwrap_or_else(PoisonError::into_inner);
            UnixProcess::spawn_command(command).unwrap()
        };
        let (keyboard, mut from) = (process.get_raw_handle().unwrap(), process.get_raw_handle().unwrap());
        let screen = Arc::new((Mutex::new(Screen::default()), Condvar::new()));
        let shown = screen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                let count = from.read(&mut bytes).unwrap_or(0);
                let mut screen = locked(&shown.0);
                screen.bytes.extend_from_slice(&bytes[..count]);
                screen.over |= count == 0;
                shown.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Self { process, keyboard, screen, read: 0, outputs }
    }

    pub fn pid(&self) -> i32 {
        self.process.pid().as_raw()
    }

    /// Everything that was shown.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&locked(&self.screen.0).bytes).replace("\r\n", "\n")
    }

    pub fn send(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until this is shown, after what was waited for before.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        assert!(self.wait_for_or_end(text), "it ended without {text:?}: {}", self.shown());
    }

    /// Whether it is shown; not, where the program ends before.
    #[track_caller]
    fn wait_for_or_end(&mut self, text: &str) -> bool {
        self.wait_for_first(&[text]).is_some()
    }

    /// Waits until one of these is shown; which. None, where the program ends before.
    #[track_caller]
    fn wait_for_first(&mut self, texts: &[&str]) -> Option<usize> {
        let until = Instant::now() + DEADLINE;
        let mut screen = locked(&self.screen.0);
        loop {
            let unread = &screen.bytes[self.read..];
            let end = |text: &str| {
                Some(unread.windows(text.len()).position(|window| window == text.as_bytes())? + text.len())
            };
            let found = texts.iter().enumerate().filter_map(|(index, text)| Some((end(text)?, index))).min();
            if let Some((end, index)) = found {
                self.read += end;
                return Some(index);
            }
            if screen.over {
                return None;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{texts:?} is never shown: {}", String::from_utf8_lossy(&screen.bytes));
            screen = self.screen.1.wait_timeout(screen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for one question and approves.
    #[track_caller]
    pub fn approve(&mut self) {
        self.wait_for("Ctrl-C to refuse: ");
        self.send("\n");
    }

    /// Approves each time it is asked, to the end.
    #[track_caller]
    pub fn approve_all(&mut self) {
        while self.wait_for_or_end("Ctrl-C to refuse: ") {
            self.send("\n");
        }
    }

    /// Approves each time it is asked, until this is shown.
    #[track_caller]
    pub fn approve_until(&mut self, text: &str) {
        while self.wait_for_first(&[text, "Ctrl-C to refuse: "]).unwrap_or_else(|| panic!("it ended: {}", self.shown()))
            == 1
        {
            self.send("\n");
        }
    }

    /// Waits for the end.
    #[track_caller]
    pub fn end(self) -> Ended {
        let mut status = None;
        wait_until("the program at the terminal ends", || {
            match self.process.status().unwrap() {
                WaitStatus::Exited(_, code) => status = Some((Some(code), None)),
                WaitStatus::Signaled(_, signal, _) => status = Some((None, Some(signal as i32))),
                _ => {}
            }
            status.is_some()
        });
        let (status, signal) = status.unwrap();
        // What it wrote last may still be on its way.
        let _ = patiently(Duration::from_secs(5), || locked(&self.screen.0).over.then_some(()));
        let output = |name: &str| {
            let path = self.outputs.as_ref().map(|outputs| outputs.path().join(name));
            path.map(|path| fs::read_to_string(path).unwrap_or_default()).unwrap_or_default()
        };
        Ended { status, signal, stdout: output("stdout"), stderr: output("stderr"), tty: self.shown() }
    }

    /// Its window is given another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = rustix::termios::Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.keyboard, size).unwrap();
    }

    /// Whether what is typed is shown.
    pub fn echoes(&self) -> bool {
        self.process.get_echo().unwrap()
    }

    /// The terminal goes away, as when its window is closed.
    pub fn hang_up(self) {
        signal(self.pid(), rustix::process::Signal::HUP);
    }
}

// ------------------------------------------------------------------------------------------------------------ transcripts

/// Times, identifiers and remaining times as fixed words; columns two spaces apart.
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
        let indent = body.len() - body.trim_start_matches(' ').len();
        let cells: Vec<String> =
            body[indent..].split("  ").filter(|cell| !cell.is_empty()).map(|cell| plain_cell(cell.trim())).collect();
        out.push_str(&body[..indent]);
        out.push_str(&cells.join("  "));
        out.push_str(end);
    }
    out
}

fn plain_cell(cell: &str) -> String {
    let words: Vec<&str> = cell.split(' ').collect();
    let mut shown: Vec<String> = Vec::new();
    for word in words {
        let core = word.trim_end_matches([',', ':', ';', ')']);
        let rest = &word[core.len()..];
        let word = if is_time(core) {
            format!("TIME{rest}")
        } else if is_id(core) {
            format!("ID{rest}")
        } else if is_length(core) {
            if shown.last().is_some_and(|last| last == "LEFT") {
                continue;
            }
            format!("LEFT{rest}")
        } else {
            word.to_owned()
        };
        shown.push(word);
    }
    shown.join(" ")
}

/// `2026-01-02T03:04:05Z`.
pub fn is_time(word: &str) -> bool {
    let pattern = "0000-00-00T00:00:00Z";
    word.len() == pattern.len()
        && word.chars().zip(pattern.chars()).all(|(c, p)| if p == '0' { c.is_ascii_digit() } else { c == p })
}

fn is_id(word: &str) -> bool {
    let long = word.len() >= 20 && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    long && word.chars().any(|c| c.is_ascii_digit()) && word.chars().any(|c| c.is_ascii_alphabetic())
}

/// `14m` or `59s`.
fn is_length(word: &str) -> bool {
    let Some(number) = word.strip_suffix(['d', 'h', 'm', 's']) else { return false };
    !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
}
