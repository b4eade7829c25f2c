//! What other nodes and `elevate-authority recover` change in the store while this process runs: resources that are
//! declared there, and who was recovered. It is looked at twice a second at most, so no request asks the store for it.

use super::config::Resource;
use super::error::Refusal;
use super::recovery;
use super::rules::Rules;
use super::store::{Store, StoreError};
use crate::protocol::messages::Recovery;
use crate::protocol::names::ResourceName;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long what was read is good before it is looked at again.
const LOOK: Duration = Duration::from_millis(500);
/// How old it may be at most.
const OLDEST: Duration = Duration::from_millis(900);

/// A resource of the store.
pub struct Stored {
    /// JSON, as it was declared.
    pub definition: String,
    /// When.
    pub set_at: Timestamp,
    /// What it says; or why this version can't use it, which denies it alone.
    pub resource: Result<Resource, String>,
}

/// What was seen at one look.
pub struct Seen {
    catalogue: Option<String>,
    /// The resources, by name.
    pub stored: Arc<BTreeMap<ResourceName, Stored>>,
    /// Who was recovered, oldest first.
    pub recoveries: Vec<Recovery>,
}

/// The last look.
pub struct Watched {
    store: Store,
    state: RwLock<(Arc<Seen>, Instant)>,
    /// Held by the one that looks.
    looking: Mutex<()>,
}

impl Watched {
    /// The first look.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn of(store: &Store) -> Result<Self, StoreError> {
        let read = Instant::now();
        let seen = Arc::new(look(store, None).await?);
        Ok(Self { store: store.clone(), state: RwLock::new((seen, read)), looking: Mutex::default() })
    }

    /// What there is. One call looks, and the others go on meanwhile, for as long as what is known is young enough.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn seen(&self) -> Result<Arc<Seen>, StoreError> {
        let (seen, read) = self.known();
        let age = read.elapsed();
        if age < LOOK {
            return Ok(seen);
        }
        match self.looking.try_lock() {
            Ok(_alone) => self.look_again().await,
            Err(_) if age < OLDEST => Ok(seen),
            Err(_) => self.look_again().await,
        }
    }

    /// Looks at once: after a change of our own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look_again(&self) -> Result<Arc<Seen>, StoreError> {
        let read = Instant::now();
        let before = self.known().0;
        let seen = Arc::new(look(&self.store, Some(&before)).await?);
        for recovery in seen.recoveries.iter().filter(|recovery| !before.recoveries.contains(recovery)) {
            recovery::tell(recovery);
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // Another one may have begun later and ended first.
        if state.1 < read {
            *state = (seen.clone(), read);
        }
        Ok(seen)
    }

    fn known(&self) -> (Arc<Seen>, Instant) {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The table is read again only where it changed. What says so is read first: a change in between is then found once more.
async fn look(store: &Store, before: Option<&Seen>) -> Result<Seen, StoreError> {
    let [catalogue, recoveries] = store.watched().await?;
    let recoveries = recoveries.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let stored = match before {
        Some(before) if before.catalogue == catalogue => before.stored.clone(),
        Some(_) | None => Arc::new(read(store).await?),
    };
    Ok(Seen { catalogue, stored, recoveries })
}

async fn read(store: &Store) -> Result<BTreeMap<ResourceName, Stored>, StoreError> {
    let mut stored = BTreeMap::new();
    for row in store.resources().await? {
        let Ok(name) = row.name.parse::<ResourceName>() else {
            tracing::error!("a resource is stored under a name that is none");
            continue;
        };
        let resource = parsed(&name, &row.definition);
        if let Err(reason) = &resource {
            tracing::error!(resource = %name, reason, "a stored resource can't be used");
        }
        stored.insert(name, Stored { definition: row.definition, set_at: row.set_at, resource });
    }
    Ok(stored)
}

/// What a definition says, held to what holds for those of `authority.toml`.
fn parsed(name: &ResourceName, definition: &str) -> Result<Resource, String> {
    let resource: Resource = serde_json::from_str(definition).map_err(|error| error.to_string())?;
    resource.check(name).map(|()| resource)
}

/// The catalogue: what `authority.toml` declares, and beside it what the store does. The file wins.
pub struct Catalogue {
    rules: Arc<Rules>,
    seen: Arc<Seen>,
}

impl Catalogue {
    /// Of rules and a look that hold now.
    #[must_use]
    pub const fn of(rules: Arc<Rules>, seen: Arc<Seen>) -> Self {
        Self { rules, seen }
    }

    /// A resource.
    ///
    /// # Errors
    /// [`Refusal::UnknownResource`]; [`Refusal::BrokenResource`].
    pub fn resource(&self, name: &ResourceName) -> Result<&Resource, Refusal> {
        if let Some(resource) = self.rules.config.resources.get(name) {
            return Ok(resource);
        }
        let stored = self.seen.stored.get(name).ok_or_else(|| Refusal::UnknownResource(name.to_string()))?;
        let broken = |reason: &String| Refusal::BrokenResource { name: name.to_string(), reason: reason.clone() };
        stored.resource.as_ref().map_err(broken)
    }

    /// Every resource that can be used.
    pub fn resources(&self) -> impl Iterator<Item = (&ResourceName, &Resource)> {
        let declared = &self.rules.config.resources;
        let stored = self.seen.stored.iter().filter(|(name, _)| !declared.contains_key(*name));
        declared.iter().chain(stored.filter_map(|(name, stored)| Some((name, stored.resource.as_ref().ok()?))))
    }

    /// Those that the store declares, used or not.
    #[must_use]
    pub fn stored(&self) -> &BTreeMap<ResourceName, Stored> {
        &self.seen.stored
    }

    /// Those that `authority.toml` declares.
    #[must_use]
    pub fn declared(&self) -> &BTreeMap<ResourceName, Resource> {
        &self.rules.config.resources
    }
}
