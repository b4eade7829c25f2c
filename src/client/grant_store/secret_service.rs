//! Grants in the desktop's keyring, through the Secret Service API on the session bus (freedesktop.org, version 0.2).
//!
//! Items are in the default collection under the attributes `service` = `elevate` and `username` = `AUTHORITY:ENTRY`.
//! They don't expire there: every call here removes what has, and so does the reaper. A locked collection waits for a
//! person at a prompt, and a bus can hang, so every call runs in a thread of its own under a deadline.
//!
//! Secrets cross the bus as they are, in a session of algorithm `plain`. The bus is a Unix socket of the user's own; who
//! can listen there, as the same user, can ask the Secret Service itself. Agreeing on a key would keep nothing from them,
//! and take longer than all the rest. What stays in buffers, here and in the bus's daemon, is not wiped.

use super::{Keyring, KeyringError, StoredGrant, read_grant};
use crate::client::session_bus::is_on_this_machine;
use jiff::Timestamp;
use secret_service::blocking::{Item, SecretService as Service};
use secret_service::{EncryptionType, Error};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use zeroize::Zeroizing;

pub(super) const NAME: &str = "Secret Service";
const SERVICE: &str = "elevate";
const CONTENT_TYPE: &str = "application/octet-stream";
const DEADLINE: Duration = Duration::from_secs(5);

/// One authority's items.
pub(super) struct SecretService {
    service: Arc<Service<'static>>,
    user_prefix: String,
    /// Whether a person may be prompted to unlock it.
    may_prompt: bool,
    /// It did not answer, and nobody waits for it again.
    silent: AtomicBool,
}

impl SecretService {
    pub(super) fn open(authority_id: &str) -> Result<Self, KeyringError> {
        find_bus(std::env::var_os("DBUS_SESSION_BUS_ADDRESS"), std::env::var_os("XDG_RUNTIME_DIR"))?;
        let absent = |error: Error| KeyringError::Absent { keyring: NAME, reason: error.to_string() };
        let service = within_deadline(move || Service::connect(EncryptionType::Plain).map_err(absent))?;
        let user_prefix = format!("{authority_id}:");
        Ok(Self { service: Arc::new(service), user_prefix, may_prompt: true, silent: AtomicBool::new(false) })
    }

    /// Does something within the deadline; not at all where nobody waits and it did not answer before.
    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, KeyringError> + Send + 'static,
    ) -> Result<T, KeyringError> {
        if self.silent.load(Ordering::Relaxed) {
            return Err(KeyringError::TimedOut { keyring: NAME, seconds: DEADLINE.as_secs() });
        }
        let result = within_deadline(work);
        if !self.may_prompt && matches!(result, Err(KeyringError::TimedOut { .. })) {
            self.silent.store(true, Ordering::Relaxed);
        }
        result
    }

    fn user(&self, entry: &str) -> String {
        format!("{}{entry}", self.user_prefix)
    }

    /// Does something with all items of an entry: more than one only where two processes made theirs at once, or
    /// somebody put another into a second collection.
    fn with_items<T: Send + 'static>(
        &self,
        entry: &str,
        work: impl FnOnce(Vec<Item>) -> Result<T, KeyringError> + Send + 'static,
    ) -> Result<T, KeyringError> {
        let (service, user, may_prompt) = (self.service.clone(), self.user(entry), self.may_prompt);
        self.call(move || work(search(&service, Some(&user), may_prompt)?))
    }

    /// Does something with all of the authority's items and what they are for.
    fn with_all<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&str, &Item) -> Result<Option<T>, KeyringError> + Send + 'static,
    ) -> Result<Vec<T>, KeyringError> {
        let (service, prefix, may_prompt) = (self.service.clone(), self.user_prefix.clone(), self.may_prompt);
        self.call(move || {
            let mut results = Vec::new();
            for item in search(&service, None, may_prompt)? {
                let Ok(attributes) = item.get_attributes() else { continue };
                let Some(user) = attributes.get("username") else { continue };
                let Some(entry) = user.strip_prefix(&prefix) else { continue };
                results.extend(work(entry, &item)?);
            }
            Ok(results)
        })
    }
}

impl Keyring for SecretService {
    fn name(&self) -> &'static str {
        NAME
    }

    fn ask_nobody(&mut self) {
        self.may_prompt = false;
    }

    fn get(&self, entry: &str, now: Timestamp) -> Result<Option<StoredGrant>, KeyringError> {
        let name = entry.to_owned();
        self.with_items(entry, move |items| {
            let mut newest: Option<StoredGrant> = None;
            for item in items {
                let Some(grant) = live(&name, &item, now)? else { continue };
                if newest.as_ref().is_none_or(|other| other.issued_at <= grant.issued_at) {
                    newest = Some(grant);
                }
            }
            Ok(newest)
        })
    }

    fn put(&self, grant: &StoredGrant, _now: Timestamp) -> Result<(), KeyringError> {
        let json = grant.to_json().map_err(|error| KeyringError::io(NAME, "writing a grant")(error.into()))?;
        let (service, user, may_prompt) = (self.service.clone(), self.user(&grant.entry()), self.may_prompt);
        let label = format!("elevate: grant for {}", grant.resource);
        self.call(move || {
            let items = search(&service, Some(&user), may_prompt)?;
            if let [item] = items.as_slice() {
                return item.set_secret(&json, CONTENT_TYPE).map_err(fault("storing a grant"));
            }
            for other in &items {
                delete(other)?;
            }
            create(&service, &label, &user, &json, may_prompt).map_err(fault("storing a grant"))
        })
    }

    fn remove(&self, entry: &str) -> Result<bool, KeyringError> {
        self.with_items(entry, |items| {
            items.iter().try_for_each(delete)?;
            Ok(!items.is_empty())
        })
    }

    fn all(&self, now: Timestamp) -> Result<Vec<Result<StoredGrant, KeyringError>>, KeyringError> {
        self.with_all(move |entry, item| match live(entry, item, now) {
            Ok(grant) => Ok(grant.map(Ok)),
            Err(damaged @ KeyringError::Damaged { .. }) => Ok(Some(Err(damaged))),
            Err(error) => Err(error),
        })
    }

    fn clear(&self) -> Result<usize, KeyringError> {
        let removed = self.with_all(|_, item| delete(item).map(Some))?;
        Ok(removed.len())
    }

    fn remove_expired(&self, now: Timestamp) -> Result<Option<Timestamp>, KeyringError> {
        // What can't be read has no time to wait for: `all` reports it, `clear` removes it.
        Ok(self.all(now)?.into_iter().flatten().map(|grant| grant.expires_at).min())
    }
}

/// What is found, unlocked: a person may have to do that at a prompt, where one may open.
fn search<'a>(service: &'a Service<'_>, user: Option<&str>, may_prompt: bool) -> Result<Vec<Item<'a>>, KeyringError> {
    let mut attributes = HashMap::from([("service", SERVICE)]);
    attributes.extend(user.map(|user| ("username", user)));
    let mut found = service.search_items(attributes).map_err(fault("searching"))?;
    if !found.locked.is_empty() {
        if !may_prompt {
            return Err(KeyringError::Locked);
        }
        let locked: Vec<_> = found.locked.iter().collect();
        service.unlock_all(&locked).map_err(fault("unlocking"))?;
    }
    found.unlocked.append(&mut found.locked);
    Ok(found.unlocked)
}

fn create(service: &Service, label: &str, user: &str, json: &[u8], may_prompt: bool) -> Result<(), Error> {
    let collection = service.get_default_collection()?;
    if collection.is_locked()? {
        if !may_prompt {
            return Err(Error::Locked);
        }
        collection.unlock()?;
    }
    let attributes = HashMap::from([("service", SERVICE), ("username", user)]);
    collection.create_item(label, attributes, json, true, CONTENT_TYPE)?;
    Ok(())
}

/// The grant in an item, unless it has expired: then it is deleted.
fn live(entry: &str, item: &Item, now: Timestamp) -> Result<Option<StoredGrant>, KeyringError> {
    let json = item.get_secret().map_err(|error| {
        // Whether that was it is asked only now: it takes a round trip.
        let why = item.ensure_unlocked().err().unwrap_or(error);
        fault("reading a grant")(why)
    })?;
    let grant = read_grant(NAME, entry, &Zeroizing::new(json))?;
    if grant.is_expired(now) {
        delete(item)?;
        return Ok(None);
    }
    Ok(Some(grant))
}

fn delete(item: &Item) -> Result<(), KeyringError> {
    item.delete().map_err(fault("removing a grant"))
}

/// Whether there is a session bus to ask. Without one, a library might start one: that would be a keyring nobody has
/// the key to, gone with the process.
fn find_bus(address: Option<std::ffi::OsString>, runtime_dir: Option<std::ffi::OsString>) -> Result<(), KeyringError> {
    let absent = |reason: &str| Err(KeyringError::Absent { keyring: NAME, reason: reason.to_owned() });
    match (address.filter(|it| !it.is_empty()), runtime_dir.filter(|it| !it.is_empty())) {
        (Some(address), _) if address.as_encoded_bytes().starts_with(b"autolaunch:") => {
            absent("DBUS_SESSION_BUS_ADDRESS asks for a bus to be started")
        }
        (Some(address), _) if !is_on_this_machine(&address) => absent("DBUS_SESSION_BUS_ADDRESS is no Unix socket"),
        (Some(_), _) => Ok(()),
        (None, Some(dir)) if std::path::Path::new(&dir).join("bus").exists() => Ok(()),
        (None, _) => absent("there is no session bus"),
    }
}

/// Runs `work` in a thread of its own. One that comes too late is left to itself; what it finds is wiped.
fn within_deadline<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeyringError> + Send + 'static,
) -> Result<T, KeyringError> {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new().name("secret-service".into());
    thread.spawn(move || drop(sender.send(work()))).map_err(KeyringError::io(NAME, "starting a thread"))?;
    match receiver.recv_timeout(DEADLINE) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            Err(KeyringError::TimedOut { keyring: NAME, seconds: DEADLINE.as_secs() })
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(KeyringError::io(NAME, "a call")(std::io::Error::other("its thread ended without an answer")))
        }
    }
}

fn fault(what: &'static str) -> impl FnOnce(Error) -> KeyringError {
    move |error| match error {
        // `NoResult` is a default collection that nobody has made yet: unlocking the desktop's keyring does.
        Error::Locked | Error::Prompt | Error::NoResult => KeyringError::Locked,
        other => KeyringError::io(NAME, what)(std::io::Error::other(other.to_string())),
    }
}

#[cfg(test)]
mod tests;
