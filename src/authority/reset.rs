//! The way back for somebody who lost every key: a new authority in the same place. It gives nothing that the lost keys
//! protected: no key and no secret comes over. Nothing is deleted either, so the log before can still be checked.

use super::OpenError;
use super::founding::FOUNDED;
use crate::files::{FileFault, open_lock, own_directory, try_lock};
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// What an authority is made of. The database goes first: a key beside no database is made use of by nobody.
const PARTS: [(&str, &str); 5] = [DATABASE[0], DATABASE[1], DATABASE[2], ("authority.key", ""), (FOUNDED, "")];
/// The files of the database.
pub(super) const DATABASE: [(&str, &str); 3] =
    [("authority.db", ""), ("authority.db", "-wal"), ("authority.db", "-shm")];

/// Moves the database and the key in `data` aside; what they are called now.
///
/// # Errors
/// [`OpenError`]: an authority runs there, there is none, or a file can't be moved.
pub fn reset(data: &Path, at: Timestamp) -> Result<Vec<PathBuf>, OpenError> {
    if !data.join("authority.db").exists() && !data.join("authority.key").exists() {
        return Err(OpenError::Other(format!("there is no authority in {}", data.display())));
    }
    own_directory(data)?;
    let lock = data.join("authority.lock");
    let held = open_lock(&lock)?;
    if !try_lock(&held, &lock)? {
        let reason = "an elevate-authority is running on this data directory: end it first".to_owned();
        return Err(FileFault { path: lock, reason }.into());
    }
    move_aside(data, &PARTS, "before-reset", at)
}

/// Renames what is there of these parts, beside where it was; what they are called now.
pub(super) fn move_aside(
    data: &Path,
    parts: &[(&str, &str)],
    why: &str,
    at: Timestamp,
) -> Result<Vec<PathBuf>, OpenError> {
    let suffix = format!("{why}-{}", at.strftime("%Y%m%dT%H%M%SZ"));
    let mut moved = Vec::new();
    for (name, rest) in parts {
        let from = data.join(format!("{name}{rest}"));
        // SQLite finds its write-ahead log by the name of the database.
        let to = data.join(format!("{name}.{suffix}{rest}"));
        if !from.exists() {
            continue;
        }
        if to.exists() {
            return Err(FileFault { path: to, reason: "it is there already: wait a second".to_owned() }.into());
        }
        std::fs::rename(&from, &to).map_err(|error| FileFault { path: from, reason: error.to_string() })?;
        moved.push(to);
    }
    let durable = std::fs::File::open(data).and_then(|directory| directory.sync_all());
    durable.map_err(|error| FileFault { path: data.to_owned(), reason: error.to_string() })?;
    Ok(moved)
}
