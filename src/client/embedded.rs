//! The embedded authority: found beside this program, started at most once, spoken to only when it is our own.

use super::config::Config;
use super::error::Error;
use super::places::Places;
use crate::files::{check_trusted, open_lock, own_directory, own_uid, read_trusted, try_lock};
use crate::protocol::display::escaped;
use crate::protocol::messages::ErrorCode;
use rustix::process::{Signal, kill_process};
use serde::Deserialize;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long an authority may take to answer after it was started, the end of one before it included.
const START: Duration = Duration::from_secs(15);

/// What `elevate-authority serve` says on stdout, once.
#[derive(Deserialize)]
struct Said {
    ready: Option<String>,
    error: Option<String>,
}

/// Sees to it that an authority answers, starting one where none does; returns its socket.
///
/// # Errors
/// [`ErrorCode::AuthorityUnreachable`], with what kept it from starting.
pub fn ensure(places: &Places, config: &Config) -> Result<PathBuf, Error> {
    own_directory(&places.run)?;
    if let Some(socket) = running(places)? {
        return Ok(socket);
    }
    // Whoever has the lock starts it; the others find it running when they get the lock.
    let path = places.run.join("start.lock");
    let lock = open_lock(&path)?;
    let until = Instant::now() + START;
    while !try_lock(&lock, &path)? {
        if Instant::now() > until {
            return Err(unreachable("another elevate has been starting the authority for 15 seconds"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    match running(places)? {
        Some(socket) => Ok(socket),
        None => start(places, config, &places.socket()).map(|()| places.socket()),
    }
}

/// The socket of the authority that runs: our own, or the one that the holder of the data directory's lock wrote down,
/// as where it was started in a session with another runtime directory.
///
/// # Errors
/// Where somebody else's answers.
pub fn running(places: &Places) -> Result<Option<PathBuf>, Error> {
    let own = places.socket();
    if answers(&own)? {
        return Ok(Some(own));
    }
    let written = read_trusted(&places.authority.join("authority.lock"), 4096)?.map(PathBuf::from);
    match written.filter(|path| path.is_absolute() && *path != own) {
        Some(path) if answers(&path)? => Ok(Some(path)),
        Some(_) | None => Ok(None),
    }
}

/// Ends the authority of these places, if one runs, and waits until it is gone; whether none is left.
#[must_use]
pub fn stop(places: &Places) -> bool {
    let Ok(Some(socket)) = running(places) else { return true };
    let Ok(stream) = UnixStream::connect(socket) else { return true };
    let Ok(peer) = rustix::net::sockopt::socket_peercred(&stream) else { return false };
    if peer.uid.as_raw() != own_uid() {
        return false;
    }
    drop(stream);
    let _ = kill_process(peer.pid, Signal::TERM);
    let lock = places.authority.join("authority.lock");
    let until = Instant::now() + START;
    // Its lock is free when it is gone.
    while !open_lock(&lock).and_then(|file| try_lock(file, &lock)).unwrap_or(true) {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

fn unreachable(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::AuthorityUnreachable, message)
}

/// Whether somebody answers; an error where it is somebody else (`SO_PEERCRED`).
fn answers(socket: &Path) -> Result<bool, Error> {
    let Ok(stream) = UnixStream::connect(socket) else { return Ok(false) };
    let peer = rustix::net::sockopt::socket_peercred(&stream)
        .map_err(|error| unreachable(format!("the kernel does not say who answers on the socket: {error}")))?;
    if peer.uid.as_raw() == own_uid() {
        return Ok(true);
    }
    Err(unreachable(format!("the socket {} is answered by uid {}, not by you", socket.display(), peer.uid.as_raw()))
        .hint("remove it, and find out who put it there"))
}

/// The program that would be started, where everything is there that it takes.
///
/// # Errors
/// [`ErrorCode::AuthorityUnreachable`], with what is missing.
pub fn startable(places: &Places, config: &Config) -> Result<PathBuf, Error> {
    if !places.config.join("authority.toml").exists() {
        return Err(unreachable("there is no authority on this machine yet").hint("run `elevate init` to set one up"));
    }
    program(config)
}

fn start(places: &Places, config: &Config, socket: &Path) -> Result<(), Error> {
    let program = startable(places, config)?;
    own_directory(&places.authority)?;
    tracing::debug!(program = %program.display(), "starting the authority");
    let log = places.authority.join("authority.log");
    let stderr = std::fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&log)
        .map_err(|error| unreachable(format!("{} can't be written: {error}", log.display())))?;
    let mut command = Command::new(&program);
    command.arg("serve").arg("--config").arg(&places.config).arg("--data").arg(&places.authority);
    command.arg("--socket").arg(socket).args(["--exit-when-idle", "--detach"]);
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "ELEVATE_LOG" || name == "LANG"));
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
    let mut child =
        command.spawn().map_err(|error| unreachable(format!("{} can't be started: {error}", program.display())))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        let _ = BufReader::new(stdout.take(64 << 10)).read_line(&mut line);
    }
    let _ = child.wait();
    match serde_json::from_str(&line) {
        Ok(Said { ready: Some(_), .. }) => Ok(()),
        Ok(Said { error: Some(reason), .. }) => {
            Err(unreachable(format!("the authority does not start: {}", escaped(&reason))))
        }
        Ok(_) | Err(_) => {
            Err(unreachable("the authority ended before it was ready").hint(format!("{} may say why", log.display())))
        }
    }
}

/// `elevate-authority`, as configured or beside this program; never from `PATH`.
///
/// # Errors
/// [`ErrorCode::AuthorityUnreachable`], where there is none or somebody else could have changed it.
pub fn program(config: &Config) -> Result<PathBuf, Error> {
    let beside = || std::env::current_exe().ok()?.parent().map(|directory| directory.join("elevate-authority"));
    let program = config.authority_program.clone().or_else(beside);
    let program = program.ok_or_else(|| unreachable("it can't be told where elevate-authority is"))?;
    if !program.exists() {
        return Err(unreachable(format!("there is no {}", program.display()))
            .hint("install elevate-authority beside elevate, or set authority_program in elevate.toml"));
    }
    check_trusted(&program)?;
    Ok(program)
}
