//! The authority: decides, records, issues. `elevation.rs` is the flow; read it first.
//!
//! Nothing here prompts, touches a key or knows a terminal.

mod assertion;
pub mod attestation;
pub mod audit;
pub mod authoring;
pub mod backup;
pub mod caller;
pub mod cases;
pub mod cli;
pub mod config;
pub mod context;
pub mod elevation;
pub mod enrolment;
pub mod error;
pub mod explain;
pub mod founding;
pub mod issue;
pub mod issuer_keys;
pub mod moving;
pub mod nodes;
pub mod operations;
pub mod policy;
pub mod proofs;
pub mod question;
pub mod recovery;
pub mod refusals;
pub mod relying_party;
pub mod reset;
pub mod routes;
pub mod rules;
pub mod schema;
pub mod security_key;
pub mod server;
pub mod shares;
pub mod sign_in;
pub mod signer;
pub mod step_up;
pub mod store;
pub mod watched;
pub mod workloads;

use crate::clock::Clock;
use crate::log::leaf::Event;
use crate::protocol::issuer::Issuer;
use crate::protocol::messages::Recovery;
use audit::{Audit, Entry};
use caller::{Served, Subject};
use elevation::ElevationId;
use error::Refusal;
use founding::Foundation;
use nodes::Nodes;
use proofs::Proofs;
use refusals::Refusals;
use relying_party::RelyingParty;
use rules::{LiveRules, Rules, RulesError};
use serde_json::json;
use server::limits::Limits;
use server::metrics::Metrics;
use sign_in::SignIn;
use signer::{KeyError, MasterKey, Signer};
use std::path::Path;
use std::sync::Arc;
use store::{Change, Faults, Place, Store, StoreError};
use watched::{Catalogue, Watched};
use workloads::KnownIssuers;

/// Everything one running authority is made of.
pub struct Authority {
    /// As configured, else `https://localhost/<instance id>`.
    pub issuer: Issuer,
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) audit: Audit,
    pub(crate) signer: Signer,
    pub(crate) master: Arc<MasterKey>,
    pub(crate) served: Served,
    pub(crate) relying_party: RelyingParty,
    pub(crate) proofs: Proofs,
    pub(crate) sign_in: SignIn,
    pub(crate) workloads: KnownIssuers,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) watched: Watched,
    pub(crate) nodes: Nodes,
    refusals: Refusals,
    rules: LiveRules,
    /// Held while changed rules are recorded and taken up, so that it is done once.
    taking_up: tokio::sync::Mutex<()>,
}

/// Why an authority can't start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Configuration, policy or schema.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The log.
    #[error(transparent)]
    Audit(#[from] audit::RecordError),
    /// A file or directory.
    #[error(transparent)]
    File(#[from] crate::files::FileFault),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Authority {
    /// Opens (or founds) the authority whose rules stand in `config` and whose state stands in `data`.
    ///
    /// # Errors
    /// [`OpenError`]; nobody gets in then.
    pub async fn open(config: &Path, data: &Path, clock: Clock, faults: Faults) -> Result<Self, OpenError> {
        let rules = LiveRules::load(config)?;
        let place = Place::of(data, rules.current().config.store.as_ref());
        let foundation = Foundation::open(data, &place, faults).await?;
        let (audit, issuer) = foundation.log(rules.current().config.issuer.as_ref(), data, &clock).await?;
        let Foundation { store, master, .. } = foundation;
        let authority = Self {
            signer: Signer::load(&store, &master).await?,
            relying_party: RelyingParty::new(issuer.host()).map_err(OpenError::Other)?,
            issuer,
            proofs: Proofs::of(&store, &master).await?,
            sign_in: SignIn::default(),
            workloads: KnownIssuers::default(),
            limits: Limits::new(rules.current().config.listen.as_ref()),
            metrics: Metrics::new(),
            refusals: Refusals::default(),
            served: Served::Only(crate::files::own_uid()),
            clock,
            watched: Watched::of(&store).await?,
            nodes: Nodes::of(data),
            store,
            audit,
            master,
            rules,
            taking_up: tokio::sync::Mutex::default(),
        };
        authority.record_rules_at_start().await;
        Ok(authority)
    }

    /// As the system authority: for every account of this host.
    #[must_use]
    pub fn for_everybody(self) -> Self {
        Self { served: Served::Everybody, ..self }
    }

    /// The rules in force, after a look whether they changed on disk; a change is recorded before it counts.
    ///
    /// # Errors
    /// [`Refusal::Audit`], where the change can't be recorded.
    pub async fn rules(&self) -> Result<Arc<Rules>, Refusal> {
        if self.rules.have_changed() {
            self.take_up_rules().await?;
        }
        Ok(self.rules.current())
    }

    /// The catalogue under these rules; what another node changed in the store is known within a second.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn catalogue(&self, rules: &Arc<Rules>) -> Result<Catalogue, Refusal> {
        Ok(Catalogue::of(rules.clone(), self.watched.seen().await?))
    }

    /// Why the files on disk are not what is in force, if they are not.
    #[must_use]
    pub fn refused_rules(&self) -> Option<RulesError> {
        self.rules.refused()
    }

    /// Whether this subject administers: as configured, or as the account whose own authority it is.
    #[must_use]
    pub fn is_admin(&self, rules: &Rules, subject: &Subject) -> bool {
        let admins = &rules.config.admins;
        match self.served {
            Served::Only(owner) if admins.is_empty() => subject.uid() == Some(owner),
            Served::Only(_) | Served::Everybody => admins.iter().any(|entry| subject.is_meant_by(entry)),
        }
    }

    /// Who was recovered on the machine itself, where this subject administers.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn recoveries_for(&self, rules: &Rules, subject: &Subject) -> Result<Vec<Recovery>, Refusal> {
        if !self.is_admin(rules, subject) {
            return Ok(Vec::new());
        }
        Ok(self.watched.seen().await?.recoveries.clone())
    }

    async fn take_up_rules(&self) -> Result<(), Refusal> {
        let _alone = self.taking_up.lock().await;
        let Some(found) = self.rules.look() else { return Ok(()) };
        match &found.outcome {
            Ok(rules) if self.store.meta("rules").await?.as_ref() == Some(&rules.digest) => {}
            Ok(rules) => self.record_rules(rules).await?,
            Err(error) => {
                self.metrics.reload_failed("rules");
                tracing::warn!(%error, "the files on disk are broken; the rules before stay in force");
                let mut entry = Entry::new(Event::RulesRefused, ElevationId::fresh(), json!({}));
                entry.cause = Some(error.to_string());
                self.audit.record(entry, Vec::new()).await?;
            }
        }
        self.rules.take_up(found);
        Ok(())
    }

    /// A log that can't take the entry stops every elevation anyway; the authority still starts, so that the log can be
    /// read and the fault named.
    async fn record_rules_at_start(&self) {
        let rules = self.rules.current();
        let recorded = match self.store.meta("rules").await {
            Ok(Some(digest)) if digest == rules.digest => Ok(()),
            Ok(_) | Err(_) => self.record_rules(&rules).await,
        };
        if let Err(error) = recorded {
            tracing::error!(%error, "nobody gets in");
            self.rules.look_again();
        }
    }

    async fn record_rules(&self, rules: &Rules) -> Result<(), Refusal> {
        let mut entry = Entry::new(Event::RulesLoaded, ElevationId::fresh(), json!({}));
        entry.resource = Some(rules.digest.clone());
        let seen = Change::SetMeta { key: "rules", value: rules.digest.clone() };
        self.audit.record(entry, vec![seen]).await?;
        Ok(())
    }
}
