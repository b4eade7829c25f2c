//! Where grants are kept on this machine, each until it expires: the kernel's keyring, the desktop's Secret Service, or
//! a sealed file the user chose by name. Never in the clear, never silently somewhere else.
//!
//! Owns what is kept and how it vanishes. Asks no person (the passphrase comes through [`AskPassphrase`]), prints nothing,
//! and reads no clock but the one it is handed.

mod error;
mod file;
mod kernel;
mod reach;
mod reaper;
mod secret_service;

pub use error::KeyringError;
pub use reach::Reach;
pub use reaper::reap;

use crate::clock::seconds_between;
use crate::protocol::encoding::{base64url, sha256};
use crate::protocol::messages::ResourceKind;
use crate::protocol::names::{Malformed, ResourceName};
use crate::protocol::secret::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::str::FromStr;
use zeroize::Zeroizing;

/// What is kept of a grant, and nothing else: a person's kernel keys may hold 20,000 bytes in all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredGrant {
    /// For what.
    pub resource: ResourceName,
    /// What sort of resource it is.
    pub kind: ResourceKind,
    /// The token.
    pub access_token: Secret,
    /// The private key the token is bound to (RFC 9449).
    pub proof_key: Secret,
    /// The secret itself, for kind `secret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Whether it was asked without naming a scope, and so has all that there is.
    pub whole: bool,
    /// Which login, terminal or workload it is for ([`GrantStore::reach_id`]); `None` for all of the account's. Set when it
    /// is put into a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<String>,
    /// When it began.
    pub issued_at: Timestamp,
    /// When it ends: from this second on it is not given out any more.
    pub expires_at: Timestamp,
}

impl StoredGrant {
    /// Whether it has ended at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        seconds_between(now, self.expires_at) == 0
    }

    /// What it is kept under.
    fn entry(&self) -> String {
        entry(&self.resource, self.reach.as_deref())
    }

    fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        // Sized beforehand: a vector that grows leaves copies of the secrets behind, which nobody wipes.
        let secret = self.secret.as_ref().map_or(0, |secret| secret.expose().len());
        let texts = self.access_token.expose().len() + self.proof_key.expose().len() + secret;
        let mut json = Zeroizing::new(Vec::with_capacity(512 + 2 * texts));
        serde_json::to_writer(&mut *json, self)?;
        Ok(json)
    }
}

/// Which keyring is wanted, from the configuration or `ELEVATE_KEYRING`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// The kernel's; where that can't be used the Secret Service. Never the file.
    #[default]
    Auto,
    /// The kernel's, or none.
    Kernel,
    /// The desktop's, or none.
    SecretService,
    /// Files under a passphrase.
    File,
}

impl FromStr for Choice {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "auto" => Ok(Self::Auto),
            "kernel" => Ok(Self::Kernel),
            "secret-service" => Ok(Self::SecretService),
            "file" => Ok(Self::File),
            _ => Err(Malformed(format!(
                "'{}' is no keyring: write auto, kernel, secret-service or file",
                crate::protocol::display::escaped(text)
            ))),
        }
    }
}

/// Asks a person for the passphrase of the encrypted file. Called only when one is needed, and once a store
/// (again only where the salt has changed meanwhile); the answer is not kept.
pub type AskPassphrase = Box<dyn Fn() -> Result<Secret, KeyringError> + Send + Sync>;

/// What a grant is kept under: no resource's name has an `@`.
fn entry(resource: &ResourceName, reach: Option<&str>) -> String {
    reach.map_or_else(|| resource.to_string(), |reach| format!("{resource}@{reach}"))
}

/// What a keyring can do. Each removes by itself what has expired at `now`.
trait Keyring: Send + Sync {
    fn name(&self) -> &'static str;
    /// From now on nobody is prompted, and one that did not answer once is not asked again.
    fn ask_nobody(&mut self) {}
    fn get(&self, entry: &str, now: Timestamp) -> Result<Option<StoredGrant>, KeyringError>;
    fn put(&self, grant: &StoredGrant, now: Timestamp) -> Result<(), KeyringError>;
    fn remove(&self, entry: &str) -> Result<bool, KeyringError>;
    /// Live grants in any order, whomever they reach, and what could not be read.
    fn all(&self, now: Timestamp) -> Result<Vec<Result<StoredGrant, KeyringError>>, KeyringError>;
    fn clear(&self) -> Result<usize, KeyringError>;
    /// When the next one that is left expires; `None` where nothing is left to wait for.
    fn remove_expired(&self, now: Timestamp) -> Result<Option<Timestamp>, KeyringError>;
}

/// The grants of one authority. Who can write to the keyring can remove grants or plant one of their own; to use
/// one that is kept here they have to be able to read it, which is what running as the user means.
pub struct GrantStore {
    keyring: Box<dyn Keyring>,
    reach: Reach,
    /// What tells a workload's grants from those of the account it runs as, and from other workloads'.
    workload: Option<String>,
    why_not_better: Option<String>,
}

impl GrantStore {
    /// Opens the keyring of that choice. Only the one that is used is touched: no D-Bus for the kernel's.
    /// `file_dir` and `ask` are for [`Choice::File`]; the passphrase is asked for when something has to be opened or sealed.
    ///
    /// # Errors
    /// [`KeyringError`]: the one chosen can't be used, or for [`Choice::Auto`] none of the two can.
    pub fn open(choice: Choice, authority_id: &str, file_dir: &Path, ask: AskPassphrase) -> Result<Self, KeyringError> {
        let id_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if !(1..=64).contains(&authority_id.len()) || !authority_id.chars().all(id_char) {
            return Err(KeyringError::AuthorityId);
        }
        let kernel = || kernel::KernelKeyring::open(authority_id).map(|it| Box::new(it) as Box<dyn Keyring>);
        let desktop = || secret_service::SecretService::open(authority_id).map(|it| Box::new(it) as Box<dyn Keyring>);
        let only = |keyring| Self { keyring, reach: Reach::User, workload: None, why_not_better: None };
        match choice {
            Choice::Auto => Self::first_of(kernel, desktop),
            Choice::Kernel => kernel().map(only),
            Choice::SecretService => desktop().map(only),
            Choice::File => Ok(only(Box::new(file::SealedFiles::new(authority_id, file_dir, ask)))),
        }
    }

    fn first_of(
        kernel: impl FnOnce() -> Result<Box<dyn Keyring>, KeyringError>,
        desktop: impl FnOnce() -> Result<Box<dyn Keyring>, KeyringError>,
    ) -> Result<Self, KeyringError> {
        let why_no_kernel = match kernel() {
            Ok(keyring) => {
                return Ok(Self { keyring, reach: Reach::User, workload: None, why_not_better: None });
            }
            Err(why) => why,
        };
        match desktop() {
            Ok(keyring) => {
                let why_not_better = Some(why_no_kernel.to_string());
                Ok(Self { keyring, reach: Reach::User, workload: None, why_not_better })
            }
            Err(why) => Err(KeyringError::Absent { keyring: "keyring", reason: format!("{why_no_kernel}; {why}") }),
        }
    }

    /// `kernel keyring`, `Secret Service` or `encrypted file`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.keyring.name()
    }

    /// For `-n`: from now on no desktop prompt opens, and a keyring that did not answer once is not asked again. A
    /// passphrase is asked for by [`AskPassphrase`] alone, which knows of `-n` itself.
    pub fn ask_nobody(&mut self) {
        self.keyring.ask_nobody();
    }

    /// Why [`Choice::Auto`] had to pass over the kernel's keyring, if it had to: one line the caller prints.
    #[must_use]
    pub fn why_not_better(&self) -> Option<&str> {
        self.why_not_better.as_deref()
    }

    /// Whether grants vanish at expiry without anybody's doing. Where not, [`reap`] has to run.
    #[must_use]
    pub fn expires_by_itself(&self) -> bool {
        self.name() == kernel::NAME
    }

    /// The same store, for grants that reach so far.
    #[must_use]
    pub fn reaching(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// The same store, for the grants of a workload: they are neither this account's nor another workload's.
    #[must_use]
    pub fn of_workload(self, subject: &str) -> Self {
        Self { workload: Some(base64url(&sha256(&[subject.as_bytes()])[..12])), ..self }
    }

    /// Which login, terminal or workload grants are for that are kept here from now on.
    ///
    /// # Errors
    /// [`KeyringError::NoReach`] where that can't be told.
    pub fn reach_id(&self) -> Result<Option<String>, KeyringError> {
        let reach = self.reach.id().map_err(KeyringError::NoReach)?;
        Ok(match (reach, &self.workload) {
            (reach, None) => reach,
            (None, Some(workload)) => Some(workload.clone()),
            (Some(reach), Some(workload)) => Some(format!("{reach}.{workload}")),
        })
    }

    /// The live grant for a resource that reaches here. One that has expired is removed, and there is none.
    ///
    /// # Errors
    /// [`KeyringError`]; [`KeyringError::Damaged`] where there is something that is no grant.
    pub fn get(&self, resource: &ResourceName, now: Timestamp) -> Result<Option<StoredGrant>, KeyringError> {
        self.keyring.get(&entry(resource, self.reach_id()?.as_deref()), now)
    }

    /// Keeps a grant until it expires, in place of any other for its resource that reaches here. One that has expired
    /// already only removes the other.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn put(&self, grant: &StoredGrant, now: Timestamp) -> Result<(), KeyringError> {
        if grant.is_expired(now) {
            return self.remove(&grant.resource).map(|_| ());
        }
        self.keyring.put(&StoredGrant { reach: self.reach_id()?, ..grant.clone() }, now)
    }

    /// Removes what is kept for a resource and reaches here, readable or not; whether there was something.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn remove(&self, resource: &ResourceName) -> Result<bool, KeyringError> {
        self.keyring.remove(&entry(resource, self.reach_id()?.as_deref()))
    }

    /// The live grants that reach here, sorted by resource. Expired ones are removed.
    ///
    /// # Errors
    /// [`KeyringError`]; [`KeyringError::Damaged`] where one of them can't be read, after the expired are gone.
    pub fn all(&self, now: Timestamp) -> Result<Vec<StoredGrant>, KeyringError> {
        let here = self.reach_id()?;
        let mut grants = self.keyring.all(now)?.into_iter().collect::<Result<Vec<_>, _>>()?;
        grants.retain(|grant| grant.reach == here);
        grants.sort_by(|one, other| one.resource.cmp(&other.resource));
        Ok(grants)
    }

    /// The live grants that can be read, whomever they reach, in any order; the others are passed over.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn readable(&self, now: Timestamp) -> Result<Vec<StoredGrant>, KeyringError> {
        Ok(self.keyring.all(now)?.into_iter().flatten().collect())
    }

    /// Removes all of this authority's, readable or not, whomever they reach; how many there were.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn clear(&self) -> Result<usize, KeyringError> {
        self.keyring.clear()
    }
}

/// What one keyring kept under `entry`, which has to be what it says.
fn read_grant(keyring: &'static str, entry: &str, json: &[u8]) -> Result<StoredGrant, KeyringError> {
    let damaged = |reason: &str| KeyringError::Damaged { keyring, entry: entry.to_owned(), reason: reason.to_owned() };
    // The parser's own message may quote what it read: not to be shown.
    let grant: StoredGrant = serde_json::from_slice(json).map_err(|_| damaged("it is no grant"))?;
    if grant.entry() == entry { Ok(grant) } else { Err(damaged("it is a grant for something else")) }
}

#[cfg(test)]
mod tests;
