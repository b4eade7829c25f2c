//! What an authority stands on: its store, the master key that belongs to it, and its log. Founded once, also where
//! several nodes start on an empty store at the same time: they share the key, and the key names the authority.

use super::OpenError;
use super::audit::{Audit, Entry};
use super::elevation::ElevationId;
use super::signer::{MasterKey, new_signing_key};
use super::store::{Change, Faults, Place, Store};
use crate::clock::Clock;
use crate::files::replace;
use crate::log::leaf::Event;
use crate::protocol::LOCAL_HOST;
use crate::protocol::issuer::Issuer;
use crate::protocol::names::Malformed;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// Says beside the key that its authority was founded. Without it an empty store in the place of the right one would be
/// founded once more, with the same name and the same log's key, and none of its users, keys and revocations.
pub(super) const FOUNDED: &str = "authority.founded";

/// A store and a key that belong together.
pub struct Foundation {
    /// The store.
    pub store: Store,
    /// Its key.
    pub master: Arc<MasterKey>,
    /// Whose log it is; `None` where nothing was founded yet.
    pub issuer: Option<Issuer>,
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
        let issuer = issuer_of(&store).await?;
        let path = data.join("authority.key");
        if issuer.is_none() && data.join(FOUNDED).exists() {
            return Err(OpenError::Other(format!(
                "the store is empty, and the authority in {} was founded before: restore the store, or name the right one in \
                 authority.toml; `elevate-authority reset` begins anew",
                data.display()
            )));
        }
        let master = if issuer.is_some() { MasterKey::load(&path)? } else { MasterKey::load_or_create(&path)? };
        let foundation = Self { store, master: Arc::new(master), issuer };
        foundation.check_key(data).await?;
        Ok(foundation)
    }

    /// The log's writer, and the issuer that signs it; an authority that is not there yet is founded, as the one that is
    /// `configured`.
    ///
    /// # Errors
    /// [`OpenError`]; also where the store was founded as another issuer than the one that is configured.
    pub async fn log(
        &self,
        configured: Option<&Issuer>,
        data: &Path,
        clock: &Clock,
    ) -> Result<(Audit, Issuer), OpenError> {
        let issuer = match (&self.issuer, configured) {
            (Some(known), Some(configured)) if known != configured => return Err(another_issuer(known, configured)),
            (Some(issuer), _) | (None, Some(issuer)) => issuer.clone(),
            (None, None) => local(&self.master.name()?)?,
        };
        let audit = Audit::start(self.store.clone(), self.master.log_signer(issuer.as_str())?, clock.clone());
        if self.issuer.is_none() {
            self.found(&audit, &issuer, data, clock).await?;
        }
        if !data.join(FOUNDED).exists() {
            replace(&data.join(FOUNDED), format!("{issuer}\n").as_bytes())?;
        }
        Ok((audit, issuer))
    }

    async fn found(&self, audit: &Audit, issuer: &Issuer, data: &Path, clock: &Clock) -> Result<(), OpenError> {
        let founding = vec![
            Change::Found { issuer: issuer.clone(), key_id: self.master.id()? },
            Change::AddSigningKey(new_signing_key(&self.master, clock)?),
        ];
        let entry = Entry::new(Event::LogOpened, ElevationId::fresh(), json!({}));
        let Err(error) = audit.record(entry, founding).await else { return Ok(()) };
        // Another node was first. That is as good, if it has the same key and name.
        self.check_key(data).await?;
        if issuer_of(&self.store).await?.as_ref() == Some(issuer) { Ok(()) } else { Err(error.into()) }
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

/// Who the authority of this store has been since it was founded: tokens, keys and the log's name depend on it.
///
/// # Errors
/// [`OpenError`].
pub(super) async fn issuer_of(store: &Store) -> Result<Option<Issuer>, OpenError> {
    if let Some(issuer) = store.meta("issuer").await? {
        return issuer.parse().map(Some).map_err(|error: Malformed| OpenError::Other(error.0));
    }
    // One that was founded before issuers could be configured.
    store.meta("instance").await?.map(|instance| local(&instance)).transpose()
}

fn local(instance: &str) -> Result<Issuer, OpenError> {
    format!("https://{LOCAL_HOST}/{instance}").parse().map_err(|error: Malformed| OpenError::Other(error.0))
}

fn another_issuer(known: &Issuer, configured: &Issuer) -> OpenError {
    OpenError::Other(format!(
        "authority.toml says that the issuer is {configured}, and this store was founded as {known}: tokens, security keys \
         and the log are that one's; write it so, or found a new authority"
    ))
}
