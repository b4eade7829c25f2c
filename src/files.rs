//! Files and directories that decide something: made so that only this account can change them, and refused where
//! somebody else could have.

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Why a file or directory is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// Which one.
    pub path: PathBuf,
    /// Why, and what to do where something can be done.
    pub reason: String,
}

impl std::error::Error for FileFault {}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} can't be used: {}", crate::protocol::display::escaped(&self.path.to_string_lossy()), self.reason)
    }
}

fn fault(path: &Path, reason: impl fmt::Display) -> FileFault {
    FileFault { path: path.to_owned(), reason: reason.to_string() }
}

/// How a file stood on disk: time of change, of its rights as well, length and inode.
#[cfg(feature = "authority")]
pub type FileStamp = (i64, i64, u64, u64);

/// The stamp of a file; `None` where it is not there.
#[cfg(feature = "authority")]
#[must_use]
pub fn file_stamp(file: &Path) -> Option<FileStamp> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.ctime(), metadata.ctime_nsec(), metadata.len(), metadata.ino()))
}

/// Reads a text file that only this account or root can change; `None` where there is none.
///
/// # Errors
/// [`FileFault`]: somebody else could have written it, it is bigger than `max` bytes, or it can't be read.
pub fn read_trusted(path: &Path, max: u64) -> Result<Option<String>, FileFault> {
    read(path, max, trusted)
}

/// The same, of any bytes.
///
/// # Errors
/// [`FileFault`].
#[cfg(feature = "authority")]
pub fn read_trusted_bytes(path: &Path, max: u64) -> Result<Option<Vec<u8>>, FileFault> {
    read_bytes(path, max, trusted)
}

/// The same for a secret, which nobody else can read either.
///
/// # Errors
/// [`FileFault`].
pub fn read_private(path: &Path, max: u64) -> Result<Option<String>, FileFault> {
    read(path, max, |opened, path| {
        trusted(opened, path)?;
        let status = rustix::fs::fstat(opened).map_err(|error| fault(path, error))?;
        if status.st_mode & 0o077 != 0 {
            return Err(fault(path, "others can read it: run chmod 600 on it"));
        }
        Ok(())
    })
}

fn read(
    path: &Path,
    max: u64,
    acceptable: impl Fn(&OwnedFd, &Path) -> Result<(), FileFault>,
) -> Result<Option<String>, FileFault> {
    let text = read_bytes(path, max, acceptable)?.map(String::from_utf8).transpose();
    text.map_err(|_| fault(path, "it is no UTF-8"))
}

fn read_bytes(
    path: &Path,
    max: u64,
    acceptable: impl Fn(&OwnedFd, &Path) -> Result<(), FileFault>,
) -> Result<Option<Vec<u8>>, FileFault> {
    let opened = match rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(fault(path, error)),
    };
    acceptable(&opened, path)?;
    regular(&opened, path)?;
    let mut bytes = Vec::new();
    let read = std::fs::File::from(opened).take(max + 1).read_to_end(&mut bytes);
    read.map_err(|error| fault(path, error))?;
    if bytes.len() as u64 > max {
        return Err(fault(path, format_args!("it is bigger than {max} bytes")));
    }
    Ok(Some(bytes))
}

/// Whether only this account or root can change what stands at `path`.
///
/// # Errors
/// [`FileFault`].
pub fn check_trusted(path: &Path) -> Result<(), FileFault> {
    let opened = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    trusted(&opened.map_err(|error| fault(path, error))?, path)
}

fn trusted(opened: &OwnedFd, path: &Path) -> Result<(), FileFault> {
    let status = rustix::fs::fstat(opened).map_err(|error| fault(path, error))?;
    if status.st_uid != own_uid() && status.st_uid != 0 {
        let reason = format_args!("it belongs to uid {}, not to you: take it over with chown", status.st_uid);
        return Err(fault(path, reason));
    }
    if status.st_mode & 0o022 != 0 {
        return Err(fault(path, "others can write it: run chmod go-w on it"));
    }
    Ok(())
}

/// A pipe or a device may never end, or be empty where somebody means it not to be.
fn regular(opened: &OwnedFd, path: &Path) -> Result<(), FileFault> {
    let status = rustix::fs::fstat(opened).map_err(|error| fault(path, error))?;
    let is_file = rustix::fs::FileType::from_raw_mode(status.st_mode).is_file();
    if is_file { Ok(()) } else { Err(fault(path, "it is no file")) }
}

/// This process's effective user.
#[must_use]
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether this program was given the rights of its file (setuid, setgid): then whoever started it is not who it acts for.
#[must_use]
pub fn has_rights_of_its_file() -> bool {
    use rustix::process::{getegid, geteuid, getgid, getuid};
    getuid() != geteuid() || getgid() != getegid()
}

/// Makes a directory that only this account can enter, or checks that one is so.
///
/// # Errors
/// [`FileFault`].
pub fn own_directory(path: &Path) -> Result<(), FileFault> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| fault(path, error))?;
    let status = rustix::fs::lstat(path).map_err(|error| fault(path, error))?;
    if !rustix::fs::FileType::from_raw_mode(status.st_mode).is_dir() {
        return Err(fault(path, "it is no directory"));
    }
    if status.st_uid != own_uid() {
        return Err(fault(path, format_args!("it belongs to uid {}, not to you", status.st_uid)));
    }
    if status.st_mode & 0o077 != 0 {
        return Err(fault(path, "others can enter it: run chmod 700 on it"));
    }
    Ok(())
}

/// Replaces a file, mode 0600, whole or not at all: a crash leaves the old one or the new one.
///
/// # Errors
/// [`FileFault`]; then the old one stands.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), FileFault> {
    let directory = path.parent().ok_or_else(|| fault(path, "it has no directory"))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    let write = || {
        // One that a crashed process of the same number left is nobody's.
        let _ = std::fs::remove_file(&temporary);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        std::fs::File::open(directory)?.sync_all()
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        fault(path, error)
    })
}

/// Opens (or makes) a lock file of ours.
///
/// # Errors
/// [`FileFault`]; also where it is a link or somebody else's.
pub fn open_lock(path: &Path) -> Result<OwnedFd, FileFault> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| fault(path, error))?;
    regular(&file, path)?;
    let owner = rustix::fs::fstat(&file).map_err(|error| fault(path, error))?.st_uid;
    if owner == own_uid() { Ok(file) } else { Err(fault(path, format_args!("it belongs to uid {owner}, not to you"))) }
}

/// Takes the kernel's lock on an open file if it is free; the kernel frees it with its last holder, however that ends.
///
/// # Errors
/// [`FileFault`], where the file system knows no locks.
pub fn try_lock(file: impl AsFd, path: &Path) -> Result<bool, FileFault> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error @ (Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS)) => {
            let reason = "its file system has no locks, as some network file systems: keep it on a local disk";
            Err(fault(path, format_args!("{reason} ({error})")))
        }
        Err(error) => Err(fault(path, format_args!("it can't be locked: {error}"))),
    }
}

/// No core dump, and no other process of this user looks into this one's memory (`prctl(PR_SET_DUMPABLE)`). A command
/// that this process becomes is as it would be without.
pub fn keep_memory_private() {
    // Where a kernel has it not, there is nothing else to be done.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
