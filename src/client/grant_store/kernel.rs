//! Grants in the kernel's user keyring `@u` (user-keyring(7)): all sessions of a user see them, no daemon is needed, and
//! the kernel itself ends each at its timeout.
//!
//! A key is made in the *process* keyring, gets its timeout and its permissions there, and only then is linked into `@u`,
//! which displaces an older one of the same description in the same step. So nobody can ever see a key that doesn't
//! expire, and a process that dies on the way leaves nothing: its process keyring dies with it.
//!
//! Permissions: the owner may view, read and find it, whether or not `@u` hangs in their session's keyring (in an
//! anonymous session it does not, and a key with the default permissions can't be read there). Nobody may write it or,
//! once it is made, lift its timeout. Group and others have nothing.

use super::{Keyring, KeyringError, StoredGrant, read_grant};
use crate::clock::seconds_between;
use jiff::Timestamp;
use linux_keyutils::{Key, KeyError, KeyPermissionsBuilder, KeyRing, KeyRingIdentifier, KeySerialId, Permission};
use std::time::Duration;
use zeroize::Zeroizing;

pub(super) const NAME: &str = "kernel keyring";
/// What a key of type `user` holds at most (`add_key(2)`), bytes.
const PAYLOAD_MAX: usize = 32_767;
/// Enough for nearly every grant at the first try, bytes.
const PAYLOAD_USUAL: usize = 4096;
/// The quota of a key that is gone is given back a moment later (an RCU grace period), so it is tried again for 200 ms.
const QUOTA_TRIES: u32 = 20;
const QUOTA_PAUSE: Duration = Duration::from_millis(10);

/// Wiped when dropped.
type Payload = Zeroizing<Vec<u8>>;

/// One authority's keys in `@u`.
pub(super) struct KernelKeyring {
    user: KeyRing,
    description_prefix: String,
    /// How each payload begins; entry, newline and JSON follow. A list of all goes by this, not by descriptions:
    /// `linux-keyutils` panics where one is longer than 512 bytes, and `@u` is not ours alone.
    payload_prefix: String,
}

impl KernelKeyring {
    /// One system call, which fails where keyrings are forbidden.
    pub(super) fn open(authority_id: &str) -> Result<Self, KeyringError> {
        Ok(Self {
            user: KeyRing::from_special_id(KeyRingIdentifier::User, true).map_err(fault("opening @u"))?,
            description_prefix: format!("elevate:{authority_id}:"),
            payload_prefix: format!("elevate-grant 1 {authority_id} "),
        })
    }

    fn description(&self, entry: &str) -> String {
        format!("{}{entry}", self.description_prefix)
    }

    /// The key of an entry: its payload may be garbage.
    fn find(&self, entry: &str) -> Result<Option<Key>, KeyringError> {
        let description = self.description(entry);
        absent_is_none(possessing(|| self.user.search(&description))).map_err(fault("searching @u"))
    }

    fn header(&self, entry: &str) -> String {
        format!("{}{entry}\n", self.payload_prefix)
    }

    fn parse(&self, entry: &str, payload: &[u8]) -> Result<StoredGrant, KeyringError> {
        let json = payload.strip_prefix(self.header(entry).as_bytes()).ok_or_else(|| KeyringError::Damaged {
            keyring: NAME,
            entry: entry.to_owned(),
            reason: "it was not written by this version of elevate".into(),
        })?;
        read_grant(NAME, entry, json)
    }

    /// All of `@u`'s keys of this authority, with their payloads.
    fn payloads(&self) -> Result<Vec<(Key, Payload)>, KeyringError> {
        let mut found = Vec::new();
        for key in links()? {
            // What can't be read is another's, and so is what is longer than any of ours.
            let Ok(Some(payload)) = absent_is_none(possessing(|| read(key))) else { continue };
            if payload.starts_with(self.payload_prefix.as_bytes()) {
                found.push((key, payload));
            }
        }
        Ok(found)
    }

    /// A new key, complete but seen only by this process, then put in the place of an older one.
    fn publish(&self, description: &str, payload: &[u8], seconds: usize) -> Result<(), KeyError> {
        let process = KeyRing::from_special_id(KeyRingIdentifier::Process, true)?;
        let key = process.add_key(description, payload)?;
        let usable = || Permission::VIEW | Permission::READ | Permission::SEARCH;
        let permissions = KeyPermissionsBuilder::builder().posessor(usable() | Permission::LINK).user(usable()).build();
        let published =
            key.set_timeout(seconds).and_then(|()| key.set_perms(permissions)).and_then(|()| self.user.link_key(key));
        // Held by @u alone from here on, or by nobody.
        let _ = process.unlink_key(key);
        published
    }

    /// Makes room: what has expired (the kernel may leave it standing for five minutes), and what is to be replaced,
    /// which would not outlive this call if there had been room.
    fn make_room(&self, entry: &str, now: Timestamp) -> Result<(), KeyringError> {
        for key in links()? {
            if matches!(read(key), Err(KeyError::KeyExpired | KeyError::KeyRevoked)) {
                // Nothing and nobody can use such a key any more, whosever it was.
                let _ = self.user.unlink_key(key);
            }
        }
        self.all(now)?;
        self.remove(entry).map(|_| ())
    }
}

impl Keyring for KernelKeyring {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get(&self, entry: &str, now: Timestamp) -> Result<Option<StoredGrant>, KeyringError> {
        // Twice, as it can be replaced between being found and being read.
        for _ in 0..2 {
            let Some(key) = self.find(entry)? else { return Ok(None) };
            let Some(payload) = absent_is_none(possessing(|| read(key))).map_err(fault("reading a key"))? else {
                continue;
            };
            let grant = self.parse(entry, &payload)?;
            if grant.is_expired(now) {
                drop_key(key)?;
                return Ok(None);
            }
            return Ok(Some(grant));
        }
        Ok(None)
    }

    fn put(&self, grant: &StoredGrant, now: Timestamp) -> Result<(), KeyringError> {
        let entry = grant.entry();
        let json = grant.to_json().map_err(|error| fault_io("writing a grant", error.into()))?;
        let payload = Zeroizing::new([self.header(&entry).as_bytes(), &json].concat());
        if payload.len() > PAYLOAD_MAX {
            return Err(KeyringError::TooLarge { bytes: payload.len(), max: PAYLOAD_MAX });
        }
        let description = self.description(&entry);
        // 0 would be no timeout at all, and what does not fit 32 bits would be cut off.
        let seconds = seconds_between(now, grant.expires_at).clamp(1, u64::from(u32::MAX));
        let seconds = usize::try_from(seconds).unwrap_or(u32::MAX as usize);
        let publish = || self.publish(&description, &payload, seconds);
        match publish() {
            Err(KeyError::QuotaExceeded) => {}
            done => return done.map_err(fault("adding a key")),
        }
        self.make_room(&entry, now)?;
        for _ in 0..QUOTA_TRIES {
            match publish() {
                Err(KeyError::QuotaExceeded) => std::thread::sleep(QUOTA_PAUSE),
                done => return done.map_err(fault("adding a key")),
            }
        }
        Err(KeyringError::OverQuota { bytes: payload.len() })
    }

    fn remove(&self, entry: &str) -> Result<bool, KeyringError> {
        self.find(entry)?.map_or(Ok(false), drop_key)
    }

    fn all(&self, now: Timestamp) -> Result<Vec<Result<StoredGrant, KeyringError>>, KeyringError> {
        let mut grants = Vec::new();
        for (key, payload) in self.payloads()? {
            let named = payload[self.payload_prefix.len()..].split(|byte| *byte == b'\n').next().unwrap_or_default();
            // Names have been checked before they were written: what is none is shown escaped.
            let entry = named.escape_ascii().to_string();
            match self.parse(&entry, &payload) {
                Ok(grant) if grant.is_expired(now) => drop(drop_key(key)?),
                parsed => grants.push(parsed),
            }
        }
        Ok(grants)
    }

    fn clear(&self) -> Result<usize, KeyringError> {
        let mut removed = 0;
        for (key, _) in self.payloads()? {
            removed += usize::from(drop_key(key)?);
        }
        Ok(removed)
    }

    /// The kernel does it.
    fn remove_expired(&self, _now: Timestamp) -> Result<Option<Timestamp>, KeyringError> {
        Ok(None)
    }
}

/// Whether it was there. Invalidated, not unlinked: it is gone at once, also for a process that holds it by its number.
fn drop_key(key: Key) -> Result<bool, KeyringError> {
    let gone = absent_is_none(possessing(|| key.invalidate())).map_err(fault("removing a key"))?;
    Ok(gone.is_some())
}

/// The keys linked into `@u`. `linux-keyutils` has `get_links`, but that describes each (see `payload_prefix`).
fn links() -> Result<Vec<Key>, KeyringError> {
    let user = Key::from_id(KeySerialId::new(KeyRingIdentifier::User as i32));
    let bytes = read_whole(user, 1024, usize::MAX).map_err(fault("listing @u"))?;
    let serials = bytes.as_chunks::<4>().0.iter().map(|bytes| i32::from_ne_bytes(*bytes));
    Ok(serials.map(|serial| Key::from_id(KeySerialId::new(serial))).collect())
}

fn read(key: Key) -> Result<Payload, KeyError> {
    read_whole(key, PAYLOAD_USUAL, PAYLOAD_MAX)
}

/// A read into a buffer that is too small gives the size that is needed.
fn read_whole(key: Key, first_try: usize, max: usize) -> Result<Payload, KeyError> {
    let mut size = first_try;
    loop {
        let mut buffer = Zeroizing::new(vec![0; size]);
        let length = key.read(&mut *buffer)?;
        if length <= size {
            buffer.truncate(length);
            return Ok(buffer);
        }
        if length > max {
            return Err(KeyError::InvalidArguments);
        }
        size = length;
    }
}

/// Tries; where that is denied, links `@u` into the process keyring, which makes this process a possessor of what is
/// in it, and tries once more. Only keys that somebody else laid there need it.
fn possessing<T>(attempt: impl Fn() -> Result<T, KeyError>) -> Result<T, KeyError> {
    match attempt() {
        Err(KeyError::AccessDenied) => {
            KeyRing::from_special_id(KeyRingIdentifier::Process, true)?.link_keyring_id(KeyRingIdentifier::User)?;
            attempt()
        }
        done => done,
    }
}

/// An expired, revoked or missing key is none.
fn absent_is_none<T>(result: Result<T, KeyError>) -> Result<Option<T>, KeyError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(
            KeyError::KeyDoesNotExist | KeyError::KeyExpired | KeyError::KeyRevoked | KeyError::KeyringDoesNotExist,
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

fn fault(what: &'static str) -> impl FnOnce(KeyError) -> KeyringError {
    use rustix::io::Errno;
    move |error| match error {
        KeyError::PermissionDenied => KeyringError::Forbidden { errno: "EPERM" },
        KeyError::AccessDenied => KeyringError::Forbidden { errno: "EACCES" },
        KeyError::Unknown(errno) if errno == Errno::NOSYS.raw_os_error() => KeyringError::Forbidden { errno: "ENOSYS" },
        KeyError::Unknown(errno) => fault_io(what, std::io::Error::from_raw_os_error(errno)),
        KeyError::OperationNotSupported => KeyringError::Forbidden { errno: "EOPNOTSUPP" },
        named => fault_io(what, std::io::Error::other(named.to_string())),
    }
}

fn fault_io(what: &str, source: std::io::Error) -> KeyringError {
    KeyringError::io(NAME, what)(source)
}

#[cfg(test)]
mod tests;
