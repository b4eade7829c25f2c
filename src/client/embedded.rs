//! The embedded authority: found beside this program, started at most once, spoken to only when it is our own.

use super::config::Config;
use super::descriptors::only_streams;
use super::error::Error;
use super::patience::{Patience, until_there};
use super::places::Places;
use crate::files::{check_trusted, open_lock, own_directory, own_uid, read_trusted, try_lock};
use crate::protocol::display::escaped;
use crate::protocol::messages::ErrorCode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Signal, kill_process};
use serde::Deserialize;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

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
pub fn ensure(places: &Places, config: &Config, patience: Patience) -> Result<PathBuf, Error> {
    own_directory(&places.run)?;
    if let Some(socket) = running(places, patience)? {
        return Ok(socket);
    }
    // Whoever has the lock starts it; the others find it running when they get the lock.
    let path = places.run.join("start.lock");
    let lock = open_lock(&path)?;
    let locked = until_there(patience.start(), || try_lock(&lock, &path).map(|got| got.then_some(())))?;
    locked.ok_or_else(|| {
        let seconds = patience.start().as_secs();
        unreachable(format!("another elevate has been starting the authority for {seconds} seconds"))
            .hint("it may have been stopped: `pgrep -a elevate` shows which there are")
    })?;
    match running(places, patience)? {
        Some(socket) => Ok(socket),
        None => match start(places, config, &places.socket(), patience.start()) {
            Ok(()) => Ok(places.socket()),
            // One that somebody gave up waiting for may have got ready just now.
            Err(error) => running(places, patience)?.ok_or(error),
        },
    }
}

/// The socket of the authority that runs: our own, or the one that the holder of the data directory's lock wrote down,
/// as where it was started in a session with another runtime directory.
///
/// # Errors
/// Where somebody else's answers, or it takes no connection in time.
pub fn running(places: &Places, patience: Patience) -> Result<Option<PathBuf>, Error> {
    let own = places.socket();
    if answers(&own, patience)? {
        return Ok(Some(own));
    }
    let written = read_trusted(&places.authority.join("authority.lock"), 4096)?.map(PathBuf::from);
    match written.filter(|path| path.is_absolute() && *path != own) {
        Some(path) if answers(&path, patience)? => Ok(Some(path)),
        Some(_) | None => Ok(None),
    }
}

/// Ends the authority of these places, if one runs, and waits until it is gone; whether none is left.
#[must_use]
pub fn stop(places: &Places) -> bool {
    let patience = Patience::Somebody;
    let Ok(Some(socket)) = running(places, patience) else { return true };
    let Ok(stream) = UnixStream::connect(socket) else { return true };
    let Ok(peer) = rustix::net::sockopt::socket_peercred(&stream) else { return false };
    if peer.uid.as_raw() != own_uid() {
        return false;
    }
    drop(stream);
    let _ = kill_process(peer.pid, Signal::TERM);
    let lock = places.authority.join("authority.lock");
    // Its lock is free when it is gone.
    let is_free = || open_lock(&lock).and_then(|file| try_lock(file, &lock)).map(|free| free.then_some(()));
    until_there(patience.start(), is_free).is_ok_and(|free| free.is_some())
}

fn unreachable(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::AuthorityUnreachable, message)
}

/// Whether somebody answers; an error where it is somebody else (`SO_PEERCRED`).
fn answers(socket: &Path, patience: Patience) -> Result<bool, Error> {
    let Some(stream) = connect(socket, patience)? else { return Ok(false) };
    let peer = rustix::net::sockopt::socket_peercred(&stream)
        .map_err(|error| unreachable(format!("the kernel does not say who answers on the socket: {error}")))?;
    if peer.uid.as_raw() == own_uid() {
        return Ok(true);
    }
    Err(unreachable(format!("the socket {} is answered by uid {}, not by you", socket.display(), peer.uid.as_raw()))
        .hint("remove it, and find out who put it there"))
}

/// A connection; `None` where nobody listens. One that listens and takes no connections is given its time: the kernel
/// would wait for it for ever.
pub(super) fn connect(socket: &Path, patience: Patience) -> Result<Option<OwnedFd>, Error> {
    let Ok(address) = SocketAddrUnix::new(socket) else { return Ok(None) };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let connected = until_there(patience.answer(), || {
        let stream = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&stream, &address) {
            Ok(()) => Ok(Some(Some(stream))),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(_) => Ok(Some(None)),
        }
    });
    connected.map_err(|error: Errno| unreachable(format!("there can be no socket: {error}")))?.ok_or_else(|| {
        let seconds = patience.answer().as_secs();
        unreachable(format!("the authority took no connection within {seconds} seconds"))
            .hint("it may have been stopped: `pgrep -a elevate-authority` shows it")
    })
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

fn start(places: &Places, config: &Config, socket: &Path, within: Duration) -> Result<(), Error> {
    let program = startable(places, config)?;
    own_directory(&places.authority)?;
    tracing::debug!(program = %program.display(), "starting the authority");
    let log = places.authority.join("authority.log");
    let stderr = std::fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        // Where a pipe lies there, opening it would wait for a reader.
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(&log)
        .map_err(|error| unreachable(format!("{} can't be written: {error}", log.display())))?;
    let mut command = Command::new(&program);
    command.arg("serve").arg("--config").arg(&places.config).arg("--data").arg(&places.authority);
    command.arg("--socket").arg(socket).args(["--exit-when-idle", "--detach"]);
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "ELEVATE_LOG" || name == "LANG"));
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
    only_streams(&mut command);
    let mut child =
        command.spawn().map_err(|error| unreachable(format!("{} can't be started: {error}", program.display())))?;
    let Some(line) = first_line(&mut child, within) else {
        // What it left in the background is its own, and may still get ready for the next call.
        let _ = child.kill();
        let _ = child.wait();
        return Err(unreachable(format!("the authority was not ready within {} seconds", within.as_secs()))
            .hint(format!("{} may say why", log.display())));
    };
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

/// What a program says first, once it has ended or gone into the background; `None` where that takes too long.
fn first_line(child: &mut Child, within: Duration) -> Option<String> {
    let began = Instant::now();
    let stdout = child.stdout.take()?;
    let (send, said) = channel();
    // Left to itself where nothing is ever said: it holds nothing but this pipe.
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(stdout.take(64 << 10)).read_line(&mut line);
        let _ = send.send(line);
    });
    let line = said.recv_timeout(within).ok()?;
    let left = within.saturating_sub(began.elapsed());
    until_there(left, || child.try_wait()).ok()?.map(|_| line)
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
