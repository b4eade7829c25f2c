//! Grants as sealed files, for who has no other keyring and chose this one by name.
//!
//! In `DIR/grants/AUTHORITY/`, all of it 0700 and 0600: a file a grant, named `SHA-256(entry).EXPIRY` (hex; Unix
//! seconds), so that one that has expired can be removed by who has no passphrase; `.salt`; `.lock`, held by who writes.
//! The seal is AES-256-GCM under PBKDF2-HMAC-SHA-256 of the passphrase, with authority and file name bound to it.
//! Whoever reads the directory learns when grants end and, by trying names, for what; whoever writes it can remove
//! grants or put back an older copy, which ends when it always did.

mod directory;
mod seal;

use super::{AskPassphrase, Keyring, KeyringError, StoredGrant, read_grant};
use crate::protocol::encoding::sha256;
use directory::{Directory, Entry, SALT, UNFINISHED, fault};
use jiff::Timestamp;
use seal::Seal;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) const NAME: &str = "encrypted file";
/// One authority's directory of sealed grants.
pub(super) struct SealedFiles {
    dir: Directory,
    authority_id: String,
    ask: AskPassphrase,
    seal: Mutex<Option<Arc<Seal>>>,
}

impl SealedFiles {
    /// Touches nothing yet.
    pub(super) fn new(authority_id: &str, file_dir: &Path, ask: AskPassphrase) -> Self {
        let dir = Directory::new(file_dir.join("grants").join(authority_id));
        Self { dir, authority_id: authority_id.to_owned(), ask, seal: Mutex::new(None) }
    }

    /// The seal for the salt that lies there now; the passphrase is asked for where that is another than last time.
    /// Where none lies there, one is made if `create`. The lock is not held while somebody is asked.
    fn seal(&self, create: bool) -> Result<Arc<Seal>, KeyringError> {
        let salt = self.dir.read(SALT)?;
        let mut known = self.seal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seal) = known.as_ref().filter(|seal| Some(seal.salt()) == salt.as_deref()) {
            return Ok(seal.clone());
        }
        if salt.is_none() && !create {
            return Err(self.dir.damaged(SALT, "it is missing, so the grants beside it can't be opened"));
        }
        let passphrase = (self.ask)()?;
        let seal = if let Some(salt) = salt {
            Seal::open(&passphrase, &salt)
                .map_err(|error| error.into_keyring_error(|reason| self.dir.damaged(SALT, reason)))?
        } else {
            let new = Seal::create(&passphrase)?;
            let _lock = self.dir.lock()?;
            match self.dir.read(SALT)? {
                None => self.dir.write(SALT, new.salt()).map(|()| new)?,
                // Another process was faster.
                Some(salt) => Seal::open(&passphrase, &salt)
                    .map_err(|error| error.into_keyring_error(|reason| self.dir.damaged(SALT, reason)))?,
            }
        };
        Ok(known.insert(Arc::new(seal)).clone())
    }

    fn associated_data(&self, name: &str) -> String {
        format!("elevate/grants/v1/{}/{name}", self.authority_id)
    }

    /// What is in a file, unless it is gone by now. `named` is the entry it has to be, where that is known.
    fn open(&self, file: &Entry, named: Option<&str>) -> Result<Option<StoredGrant>, KeyringError> {
        let Some(sealed) = self.dir.read(&file.name)? else { return Ok(None) };
        let damaged = |reason: &str| match named {
            Some(entry) => KeyringError::Damaged { keyring: NAME, entry: entry.to_owned(), reason: reason.to_owned() },
            None => self.dir.damaged(&file.name, reason),
        };
        let seal = self.seal(false)?;
        let json = seal.unseal(&self.associated_data(&file.name), sealed);
        let json = json.ok_or_else(|| damaged("it was changed, moved or cut off"))?;
        // The name is sealed in, so for whom it is has been decided by who sealed it.
        let named = named.map(str::to_owned);
        let named = named.or_else(|| serde_json::from_slice(&json).ok().map(|grant: StoredGrant| grant.entry()));
        let grant = read_grant(NAME, &named.ok_or_else(|| damaged("it is no grant"))?, &json)?;
        Ok(Some(grant))
    }

    /// The files of one entry: two where a process died between writing the new and removing the old.
    fn files_of(&self, entry: &str) -> Result<Vec<Entry>, KeyringError> {
        let prefix = hash(entry);
        let (mut entries, _) = self.dir.list()?;
        entries.retain(|entry| entry.name.starts_with(&prefix));
        Ok(entries)
    }

    /// Removes what has expired; what is left.
    fn live(&self, entries: Vec<Entry>, now: Timestamp) -> Result<Vec<Entry>, KeyringError> {
        let (expired, live): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.is_expired(now));
        for entry in expired {
            self.dir.delete(&entry.name)?;
        }
        Ok(live)
    }
}

impl Keyring for SealedFiles {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get(&self, entry: &str, now: Timestamp) -> Result<Option<StoredGrant>, KeyringError> {
        let mut newest: Option<StoredGrant> = None;
        for file in self.live(self.files_of(entry)?, now)? {
            let Some(grant) = self.open(&file, Some(entry))? else { continue };
            if newest.as_ref().is_none_or(|other| other.issued_at <= grant.issued_at) {
                newest = Some(grant);
            }
        }
        Ok(newest)
    }

    fn put(&self, grant: &StoredGrant, _now: Timestamp) -> Result<(), KeyringError> {
        let json = grant.to_json().map_err(|error| fault("writing a grant")(error.into()))?;
        let entry = grant.entry();
        let name = format!("{}.{}", hash(&entry), grant.expires_at.as_second());
        loop {
            let seal = self.seal(true)?;
            let _lock = self.dir.lock()?;
            // Another process may have cleared everything, salt and all, since.
            if self.dir.read(SALT)?.as_deref() != Some(seal.salt()) {
                continue;
            }
            self.dir.write(&name, &seal.seal(&self.associated_data(&name), &json)?)?;
            for older in self.files_of(&entry)?.iter().filter(|entry| entry.name != name) {
                self.dir.delete(&older.name)?;
            }
            return Ok(());
        }
    }

    fn remove(&self, entry: &str) -> Result<bool, KeyringError> {
        if self.files_of(entry)?.is_empty() {
            return Ok(false);
        }
        let _lock = self.dir.lock()?;
        let mut removed = false;
        for file in self.files_of(entry)? {
            removed |= self.dir.delete(&file.name)?;
        }
        Ok(removed)
    }

    fn all(&self, now: Timestamp) -> Result<Vec<Result<StoredGrant, KeyringError>>, KeyringError> {
        let (entries, others) = self.dir.list()?;
        let mut grants = std::collections::BTreeMap::<String, StoredGrant>::new();
        let strangers = others.iter().filter(|name| !Directory::is_own(name));
        let mut found: Vec<_> = strangers.map(|name| Err(self.dir.damaged(name, "it is none of elevate's"))).collect();
        for entry in self.live(entries, now)? {
            match self.open(&entry, None) {
                Ok(None) => {}
                Ok(Some(grant)) => {
                    let newer = grants.get(&grant.entry()).is_none_or(|other| other.issued_at <= grant.issued_at);
                    if newer {
                        grants.insert(grant.entry(), grant);
                    }
                }
                Err(damaged @ KeyringError::Damaged { .. }) => found.push(Err(damaged)),
                Err(error) => return Err(error),
            }
        }
        found.extend(grants.into_values().map(Ok));
        Ok(found)
    }

    /// The salt goes with the grants: the next one may be sealed under another passphrase.
    fn clear(&self) -> Result<usize, KeyringError> {
        if !self.dir.exists() {
            return Ok(0);
        }
        let _lock = self.dir.lock()?;
        let mut removed = 0;
        for entry in self.dir.list()?.0 {
            removed += usize::from(self.dir.delete(&entry.name)?);
        }
        self.dir.delete(UNFINISHED)?;
        self.dir.delete(SALT)?;
        Ok(removed)
    }

    fn remove_expired(&self, now: Timestamp) -> Result<Option<Timestamp>, KeyringError> {
        let (entries, _) = self.dir.list()?;
        let next = self.live(entries, now)?.iter().map(|entry| entry.expires_at).min();
        Ok(next.map(|seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)))
    }
}

fn hash(entry: &str) -> String {
    let digest = sha256(&[entry.as_bytes()]);
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests;
