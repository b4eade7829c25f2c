//! The directory of sealed files: what lies in it, the lock, and writes that happen whole or not at all.

use super::super::KeyringError;
use super::NAME;
use crate::client::patience::LOCK as LOCK_DEADLINE;
use jiff::Timestamp;
use rustix::fs::OFlags;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// No grant is longer, bytes.
const SIZE_MAX: u64 = 1 << 20;
pub(super) const SALT: &str = ".salt";
const LOCK: &str = ".lock";
pub(super) const UNFINISHED: &str = ".unfinished";

/// One directory, 0700; its files are 0600.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn exists(&self) -> bool {
        self.0.exists()
    }

    /// What may lie beside the grants.
    pub(super) fn is_own(name: &str) -> bool {
        [SALT, LOCK, UNFINISHED].contains(&name)
    }

    pub(super) fn damaged(&self, name: &str, reason: &str) -> KeyringError {
        let entry = std::path::absolute(self.0.join(name)).unwrap_or_default().display().to_string();
        KeyringError::Damaged { keyring: NAME, entry, reason: reason.to_owned() }
    }

    /// The grants' files, and the names of what else lies there. Nothing where there is no directory.
    pub(super) fn list(&self) -> Result<(Vec<Entry>, Vec<String>), KeyringError> {
        let (mut entries, mut others) = (Vec::new(), Vec::new());
        let listing = match fs::read_dir(&self.0) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((entries, others)),
            Err(error) => return Err(fault("listing the grants")(error)),
        };
        self.check_owner()?;
        for item in listing {
            let item = item.map_err(fault("listing the grants"))?;
            let name = item.file_name().to_string_lossy().into_owned();
            let is_file = item.file_type().is_ok_and(|kind| kind.is_file());
            match Entry::parse(&name) {
                Some(entry) if is_file => entries.push(entry),
                _ => others.push(name),
            }
        }
        Ok((entries, others))
    }

    fn check_owner(&self) -> Result<(), KeyringError> {
        let about = fs::symlink_metadata(&self.0).map_err(fault("looking at the directory"))?;
        let refuse =
            |reason: &str| Err(fault("its directory")(io::Error::other(format!("{} {reason}", self.0.display()))));
        if !about.is_dir() || about.uid() != rustix::process::geteuid().as_raw() {
            return refuse("is no directory of your own");
        }
        if about.mode() & 0o077 != 0 {
            return refuse("is open to others: run chmod 700 on it");
        }
        Ok(())
    }

    /// The right to write, until it is dropped. Makes the directory.
    pub(super) fn lock(&self) -> Result<File, KeyringError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(fault("making the directory"))?;
        self.check_owner()?;
        let mut options = OpenOptions::new();
        // Where a pipe lies there, opening it would wait for a reader.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let lock = lock.open(self.0.join(LOCK));
        let lock = lock.map_err(fault("opening the lock"))?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::Error(error)) => return Err(fault("locking")(error)),
                Err(TryLockError::WouldBlock) if begun.elapsed() > LOCK_DEADLINE => {
                    return Err(KeyringError::TimedOut { keyring: NAME, seconds: LOCK_DEADLINE.as_secs() });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Writes all of a file or, as far as a crash can tell, nothing. Only under the lock.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), KeyringError> {
        let unfinished = self.0.join(UNFINISHED);
        let write = || {
            // Whoever left one behind died: the lock is ours.
            let _ = fs::remove_file(&unfinished);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, self.0.join(name))?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(fault("writing a file"))
    }

    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, KeyringError> {
        let mut bytes = Vec::new();
        // A link is refused, and a pipe ends at once where opening it would wait.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(self.0.join(name));
        match opened.and_then(|file| file.take(SIZE_MAX).read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault("reading a file")(error)),
        }
    }

    /// Whether it was there to be removed.
    pub(super) fn delete(&self, name: &str) -> Result<bool, KeyringError> {
        match fs::remove_file(self.0.join(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(fault("removing a file")(error)),
        }
    }
}

/// A grant's file, as far as its name tells.
pub(super) struct Entry {
    pub(super) name: String,
    /// Unix seconds.
    pub(super) expires_at: i64,
}

impl Entry {
    fn parse(name: &str) -> Option<Self> {
        let (hash, expiry) = name.split_once('.')?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let expires_at = expiry.parse().ok().filter(|_| is_hash)?;
        Some(Self { name: name.to_owned(), expires_at })
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now.as_second()
    }
}

pub(super) fn fault(what: &'static str) -> impl FnOnce(io::Error) -> KeyringError {
    KeyringError::io(NAME, what)
}
