//! The Unix socket: made in a directory of ours, or handed over by a service manager; and the lock that says whose data
//! directory it is.

use super::Places;
use crate::authority::OpenError;
use crate::authority::caller::Served;
use crate::files::{FileFault, check_trusted, open_lock, own_directory, try_lock};
use rustix::fs::Mode;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::time::{Instant, sleep};

/// How long a starting authority waits for one that is ending.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// The kernel's lock: gone with its holder, however that ends.
pub(in crate::authority) async fn lock(places: &Places) -> Result<OwnedFd, OpenError> {
    let path = places.data.join("authority.lock");
    let file = open_lock(&path)?;
    let deadline = Instant::now() + LOCK_WAIT;
    while !try_lock(&file, &path)? {
        if Instant::now() >= deadline || places.socket.as_deref().is_some_and(answers) {
            let reason = "another elevate-authority is running on this data directory".to_owned();
            return Err(FileFault { path, reason }.into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    // For clients of a session with another runtime directory.
    let socket = places.socket.as_deref().unwrap_or(Path::new("")).as_os_str().as_encoded_bytes();
    let noted = rustix::fs::ftruncate(&file, 0).and_then(|()| rustix::io::pwrite(&file, socket, 0));
    noted.map_err(|error| FileFault { path, reason: error.to_string() })?;
    Ok(file)
}

fn answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// Binds the socket: for our own account, mode 0600 in a directory that nobody else can enter; for everybody, mode 0666 in
/// one that nobody else can change. Whoever holds the lock may take away a socket that was left.
pub(super) fn bind(socket: &Path, served: Served) -> Result<UnixListener, OpenError> {
    let fault = |reason: String| OpenError::Other(format!("the socket {} can't be used: {reason}", socket.display()));
    let directory = socket.parent().ok_or_else(|| fault("it has no directory".into()))?;
    let mask = match served {
        Served::Only(_) => {
            own_directory(directory)?;
            0o177
        }
        Served::Everybody => {
            check_trusted(directory)?;
            0o111
        }
    };
    match std::fs::remove_file(socket) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(fault(error.to_string())),
    }
    let before = rustix::process::umask(Mode::from_raw_mode(mask));
    let bound = UnixListener::bind(socket);
    rustix::process::umask(before);
    bound.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => {
            fault("its path is longer than 107 bytes; set XDG_RUNTIME_DIR to a shorter one".into())
        }
        _ => fault(error.to_string()),
    })
}

/// The socket that a service manager handed over (`sd_listen_fds(3)`), if one did. To be called before any thread begins.
///
/// # Errors
/// Where it handed over something else.
pub fn handed_over() -> Result<Option<std::os::unix::net::UnixListener>, OpenError> {
    let mut descriptors = listenfd::ListenFd::from_env();
    let fault =
        |reason: String| OpenError::Other(format!("what the service manager handed over can't be used: {reason}"));
    match descriptors.len() {
        0 => Ok(None),
        1 => descriptors
            .take_unix_listener(0)
            .map_err(|error| fault(format!("it is no Unix stream socket that listens ({error})"))),
        count => Err(fault(format!("there are {count} sockets, and one is wanted"))),
    }
}
