//! The way back for an administrator who lost the key, where nobody is left who could remove it with a proof of their own:
//! whoever may open the store on the machine removes it there. It gives nothing that the lost keys protected, and it is
//! loud: an entry of its own kind, an error in the authority's log, and every administrator is told.
//!
//! Only administrators are recovered so. Everybody else has an administrator, who proves who they are and is named in the
//! log; a way without any proof must not be the convenient one.

use super::OpenError;
use super::audit::Entry;
use super::caller::Subject;
use super::elevation::ElevationId;
use super::founding::Foundation;
use super::rules::Rules;
use super::sign_in::{Person, SignedIn, invitations};
use super::store::{Change, Faults, Place, RECOVERIES, SecurityKeyRow, Store};
use crate::clock::Clock;
use crate::files::own_uid;
use crate::log::leaf::Event;
use crate::protocol::messages::Recovery;
use crate::protocol::secret::Secret;
use serde_json::json;
use std::path::Path;

/// Recoveries of which administrators are told: the log has them all.
const TOLD: usize = 16;

/// An administrator who can be recovered, and what it costs.
pub struct Recoverable {
    foundation: Foundation,
    sub: String,
    keys: Vec<SecurityKeyRow>,
    /// Secrets that are sealed under these keys.
    pub sealed: Vec<String>,
    /// Whether they sign in over the network, which without a key takes an invitation.
    is_invited: bool,
}

impl Recoverable {
    /// Looks at the administrator `sub` of the authority in `data` under the rules in `config`; nothing is changed.
    ///
    /// # Errors
    /// [`OpenError`]; also where there is no such administrator, or they have no key.
    pub async fn look(config: &Path, data: &Path, sub: &str) -> Result<Self, OpenError> {
        let rules = Rules::load(config)?;
        let place = Place::of(data, rules.config.store.as_ref());
        if let Place::File(file) = &place
            && !file.exists()
        {
            return Err(OpenError::Other(format!("there is no authority in {}", data.display())));
        }
        let foundation = Foundation::open(data, &place, Faults::default()).await?;
        let no = |reason: &str| Err(OpenError::Other(format!("{sub} {reason}")));
        if foundation.store.user(sub).await?.is_none() {
            return no("has never asked this authority for anything: `elevate admin user list` shows who has");
        }
        if !administers(&rules, &foundation.store, sub).await? {
            return no("does not administer: an administrator removes their keys, with `elevate admin key remove`");
        }
        let keys = foundation.store.security_keys(sub).await?;
        let is_invited = rules.config.sign_in.is_some() && !sub.starts_with("uid:");
        if keys.is_empty() && !is_invited {
            return no("has no security key: the first one can be enrolled already");
        }
        let sealed = foundation.store.secret_names().await?.into_iter().filter_map(|(resource, _, sealed_for)| {
            let sealed_for = sealed_for?;
            keys.iter().any(|key| sealed_for.contains(&key.credential_id)).then_some(resource)
        });
        Ok(Self { sealed: sealed.collect(), sub: sub.to_owned(), keys, is_invited, foundation })
    }

    /// What their keys are called.
    #[must_use]
    pub fn keys(&self) -> Vec<&str> {
        self.keys.iter().map(|key| key.name.as_str()).collect()
    }

    /// Removes their keys, ends their sign-ins and grants, and records all of it, together; with a code by which they can
    /// sign in and enrol the next key, where they come over the network.
    ///
    /// # Errors
    /// [`OpenError`]; then nothing was changed.
    pub async fn recover(self, data: &Path, clock: &Clock) -> Result<(Recovery, Option<Secret>), OpenError> {
        let (audit, _) = self.foundation.log(None, data, clock).await?;
        let (elevation, at, sub) = (ElevationId::fresh(), clock.now(), self.sub.clone());
        let recovery = Recovery { elevation: elevation.to_string(), user: sub.clone(), at };
        let known = self.foundation.store.meta(RECOVERIES).await?;
        let mut told: Vec<Recovery> = known.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        told.push(recovery.clone());
        let told = &told[told.len().saturating_sub(TOLD)..];
        let told = serde_json::to_string(told).map_err(|error| OpenError::Other(error.to_string()))?;
        // Under "user" and not "sub": everybody who reads the log sees whose keys they were.
        let private = json!({ "user": sub, "keys": self.keys(), "only_one_for": self.sealed, "uid": own_uid() });
        let (code, invitation) = self.is_invited.then(|| invitations::make(&sub, None, at)).unzip();
        let mut changes = vec![
            Change::RemoveSecurityKeysOf { sub: sub.clone() },
            Change::RevokeGrantsOf { sub: sub.clone(), at },
            Change::EndSignInsOf { sub: sub.clone(), at },
            Change::SetMeta { key: RECOVERIES, value: told },
        ];
        changes.extend(invitation);
        audit.record(Entry::new(Event::AdminRecovered, elevation, private), changes).await?;
        tell(&recovery);
        Ok((recovery, code))
    }
}

/// Says it in the log of the program: of the one that recovers, and of every node that sees it in the store.
pub(super) fn tell(recovery: &Recovery) {
    tracing::error!(
        user = recovery.user,
        elevation = recovery.elevation,
        "the keys of an administrator were removed on the authority's machine, without anybody's proof"
    );
}

/// Whether `sub` administers: as configured, or as the account whose own authority this is. Which of the provider's groups
/// somebody is in is what it said when they last signed in.
async fn administers(rules: &Rules, store: &Store, sub: &str) -> Result<bool, OpenError> {
    let admins = &rules.config.admins;
    if admins.is_empty() {
        return Ok(sub == format!("uid:{}", own_uid()));
    }
    let person = store.people().await?.get(sub).and_then(|text| serde_json::from_str::<Person>(text).ok());
    let in_groups = person.is_some_and(|person| {
        let subject = Subject::signed_in(sub.to_owned(), SignedIn { id: String::new(), person });
        admins.iter().any(|entry| subject.is_meant_by(entry))
    });
    Ok(admins.contains(sub) || in_groups)
}
