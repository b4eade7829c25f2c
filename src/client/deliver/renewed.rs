//! The file of `run --renew`: in memory, of this account alone, replaced whole as the token is renewed, gone when the
//! command ends.
//!
//! Each run has a directory of its own and holds the kernel's lock on it. What a killed run left is not locked, and the
//! next one that makes a directory removes it. Who can write here runs as the user, and can have the token anyway.

use crate::client::error::Error;
use crate::client::signals;
use crate::files::{open_lock, own_directory, replace, try_lock};
use crate::protocol::encoding::{base64url, random};
use crate::protocol::secret::Secret;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// What directories of runs begin with.
const PREFIX: &str = "run-";
const FILE: &str = "token";
/// `tmpfs` and `ramfs` (linux/magic.h).
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// The file, until it is dropped.
#[derive(Debug)]
pub struct RenewedFile {
    directory: PathBuf,
    _lock: OwnedFd,
}

impl RenewedFile {
    /// Makes the file below `run`.
    ///
    /// # Errors
    /// Where there is no place for it, as [`check_place`] says, or it can't be written.
    pub fn make(run: &Path, credential: &Secret) -> Result<Self, Error> {
        check_place(run)?;
        // Between its making and its locking a directory looks like one that was left: nobody else looks meanwhile.
        let gate = open_lock(&run.join("runs.lock"))?;
        flock(&gate, FlockOperation::LockExclusive).map_err(|error| cannot(run, &error))?;
        remove_left(run);
        let directory = run.join(format!("{PREFIX}{}-{}", std::process::id(), base64url(random::<9>())));
        std::fs::DirBuilder::new().mode(0o700).create(&directory).map_err(|error| cannot(&directory, &error))?;
        let lock = locked(&directory).ok_or_else(|| cannot(&directory, &"it can't be locked"))?;
        let file = Self { directory: directory.clone(), _lock: lock };
        signals::set_last_will(Some(Box::new(move || drop(std::fs::remove_dir_all(directory)))));
        file.put(credential)?;
        Ok(file)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Replaces what it holds: whoever opens it reads the old one or the new one, whole.
    ///
    /// # Errors
    /// Where it can't be written; then the old one stands.
    pub fn put(&self, credential: &Secret) -> Result<(), Error> {
        Ok(replace(&self.path(), credential.expose().as_bytes())?)
    }
}

impl Drop for RenewedFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
        signals::set_last_will(None);
    }
}

/// Whether files below `run` are in memory only: a token is never written to a disk.
///
/// # Errors
/// With what to do.
pub fn check_place(run: &Path) -> Result<(), Error> {
    own_directory(run)?;
    let kind = rustix::fs::statfs(run).map_err(|error| cannot(run, &error))?.f_type;
    if u64::try_from(kind).is_ok_and(|kind| IN_MEMORY.contains(&kind)) {
        return Ok(());
    }
    Err(Error::failed(format!("--renew keeps the token in a file, and {} is on a disk", run.display()))
        .hint("set XDG_RUNTIME_DIR to a directory of yours in memory, as a login does: /run/user/UID"))
}

/// Whether a path is one that an elevate gave to a command.
pub fn is_one(path: &Path) -> bool {
    let directory = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
    path.is_absolute()
        && path.file_name().is_some_and(|it| it == FILE)
        && directory.is_some_and(|it| it.starts_with(PREFIX))
}

fn cannot(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::failed(format!("{} can't be used for the token: {error}", path.display()))
}

fn locked(directory: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = open(directory, flags, Mode::empty()).ok()?;
    try_lock(&opened, directory).is_ok_and(|free| free).then_some(opened)
}

/// Removes what runs left that were killed.
fn remove_left(run: &Path) {
    for entry in std::fs::read_dir(run).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && locked(&entry.path()).is_some() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
