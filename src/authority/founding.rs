//! What an authority stands on: its store, the master key that belongs to it, and its log. Founded once, also where
//! several nodes start on an empty store at the same time: they share the key, and the key names the authority.

use super::OpenError;
use super::audit::{Audit, Entry};
use super::elevation::ElevationId;
use super::signer::{MasterKey, new_signing_key};
use super::store::{Change, Faults, Place, Store};
use crate::clock::Clock;
use crate::log::leaf::Event;
use crate::protocol::LOCAL_RP_ID;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// A store and a key that belong together.
pub struct Foundation {
    /// The store.
    pub store: Store,
    /// Its key.
    pub master: Arc<MasterKey>,
    /// Whose log it is; `None` where nothing was founded yet.
    pub instance: Option<String>,
}

impl Foundation {
    /// Opens the store of the authority in `data`, and its key; makes both where there are none.
    ///
    /// # Errors
    /// [`OpenError`]; also where the key is another one than the store was founded with.
    pub async fn open(data: &Path, place: &Place, faults: Faults) -> Result<Self, OpenError> {
        if matches!(place, Place::Postgres(_)) && data.join("authority.db").exists() {
            return Err(OpenError::Other(format!(
                "authority.toml names PostgreSQL, and {} still holds authority.db: take it over with \
                 `elevate-authority move`, or move it aside",
                data.display()
            )));
        }
        let store = Store::open(place, faults).await?;
        let instance = store.meta("instance").await?;
        let path = data.join("authority.key");
        let master = if instance.is_some() { MasterKey::load(&path)? } else { MasterKey::load_or_create(&path)? };
        let foundation = Self { store, master: Arc::new(master), instance };
        foundation.check_key(data).await?;
        Ok(foundation)
    }

    /// The log's writer, and the issuer that signs it; an authority that is not there yet is founded.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn log(&self, data: &Path, clock: &Clock) -> Result<(Audit, String), OpenError> {
        let instance = match &self.instance {
            Some(instance) => instance.clone(),
            None => self.master.name()?,
        };
        let issuer = issuer(&instance);
        let audit = Audit::start(self.store.clone(), self.master.log_signer(&issuer)?, clock.clone());
        if self.instance.is_none() {
            self.found(&audit, instance, data, clock).await?;
        }
        Ok((audit, issuer))
    }

    async fn found(&self, audit: &Audit, instance: String, data: &Path, clock: &Clock) -> Result<(), OpenError> {
        let founding = vec![
            Change::Found { instance: instance.clone(), key_id: self.master.id()? },
            Change::AddSigningKey(new_signing_key(&self.master, clock)?),
        ];
        let entry = Entry::new(Event::LogOpened, ElevationId::fresh(), json!({}));
        let Err(error) = audit.record(entry, founding).await else { return Ok(()) };
        // Another node was first. That is as good, if it has the same key.
        self.check_key(data).await?;
        if self.store.meta("instance").await? == Some(instance) { Ok(()) } else { Err(error.into()) }
    }

    async fn check_key(&self, data: &Path) -> Result<(), OpenError> {
        match self.store.meta("key_id").await? {
            Some(id) if id != self.master.id()? => Err(OpenError::Other(format!(
                "{} is another key than the one that this store was founded with: copy that of a node that runs",
                data.join("authority.key").display()
            ))),
            // Without one, it was founded by a version before: what is sealed opens, or does not.
            Some(_) | None => Ok(()),
        }
    }
}

/// The issuer of an instance.
#[must_use]
pub fn issuer(instance: &str) -> String {
    format!("https://{LOCAL_RP_ID}/{instance}")
}
