//! Refusals that strangers can cause, in the log without letting them fill it: whoever a provider or an issuer knows and
//! the configuration lets in nowhere, and whoever nobody knows at all.
//!
//! The first of a kind is an entry at once. Those like it within ten minutes are counted, and one more entry says how many
//! there were. A kind is who, why and for what; of somebody whom nobody knows, the network they call from. Of strangers so
//! many kinds are entries of their own, each network no more than its share; the rest is one entry with its count. Of users
//! of this authority each kind is. What a node has counted it writes when it ends; one that crashes loses counts only.

use super::Authority;
use super::audit::{Entry, RecordError};
use super::error::Refusal;
use super::shares::{Shares, caller_network, networks};
use super::store::Change;
use crate::log::leaf::Event;
use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::json;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Seconds in which those like the first are counted.
const WINDOW: i64 = 600;
/// Kinds of strangers' that are entries of their own at a time, and of one caller's.
const KINDS: usize = 400;
const KINDS_OF_ONE: usize = 60;

/// What is one kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    event: Event,
    who: Option<String>,
    resource: Option<String>,
    cause: Option<String>,
}

impl Kind {
    fn of(entry: &Entry, source: Option<IpAddr>) -> Self {
        let sub = entry.private["sub"].as_str().map(str::to_owned);
        let who = sub.or_else(|| source.map(|address| caller_network(address).to_string()));
        Self { event: entry.event, who, resource: entry.resource.clone(), cause: entry.cause.clone() }
    }
}

struct Counted {
    /// The latest of them.
    entry: Entry,
    since: Timestamp,
    /// Without an entry.
    more: u64,
    /// Where a place of strangers is given back.
    source: Option<Vec<IpNet>>,
}

/// What one process has counted.
pub struct Refusals(Mutex<State>);

struct State {
    kinds: HashMap<Kind, Counted>,
    strangers: Shares<IpNet>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(State { kinds: HashMap::new(), strangers: Shares::new(KINDS) }))
    }
}

impl Refusals {
    /// Whether this one is an entry of its own now; else it is counted.
    fn is_first(&self, entry: &Entry, source: Option<IpAddr>, is_user: bool, now: Timestamp) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = Kind::of(entry, source);
        if let Some(counted) = state.kinds.get_mut(&kind) {
            counted.more += 1;
            counted.entry = entry.clone();
            return false;
        }
        let source = (!is_user).then(|| source.map(networks).unwrap_or_default());
        let is_one_too_many = source.as_ref().is_some_and(|it| state.strangers.take(it, KINDS_OF_ONE).is_err());
        if is_one_too_many {
            let rest = Kind { event: entry.event, who: None, resource: None, cause: None };
            let cause = "more strangers were refused than are named here".to_owned();
            let mut of_all = Entry::new(entry.event, entry.elevation.clone(), json!({}));
            of_all.cause = Some(cause);
            let counted = Counted { entry: of_all, since: now, more: 0, source: None };
            state.kinds.entry(rest).or_insert(counted).more += 1;
            return false;
        }
        state.kinds.insert(kind, Counted { entry: entry.clone(), since: now, more: 0, source });
        true
    }

    /// It was not recorded: the next of its kind is the first.
    fn forget(&self, entry: &Entry, source: Option<IpAddr>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = state.kinds.remove(&Kind::of(entry, source));
        if let Some(source) = counted.and_then(|counted| counted.source) {
            state.strangers.give_back(&source);
        }
    }

    /// Those whose time is over at `now`, or all: entries for those that were counted.
    fn take_over(&self, now: Timestamp, all: bool) -> Vec<Entry> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { kinds, strangers } = &mut *state;
        let is_over = |counted: &Counted| all || now.as_second() - counted.since.as_second() >= WINDOW;
        let over = kinds.extract_if(|_, counted| is_over(counted));
        over.filter_map(|(_, Counted { mut entry, since, more, source })| {
            if let Some(source) = source {
                strangers.give_back(&source);
            }
            entry.private["more"] = json!(more);
            entry.private["since"] = json!(since);
            let times = if more == 1 { "once more".to_owned() } else { format!("{more} more times") };
            entry.cause = Some(format!("{} ({times} since {since})", entry.cause.unwrap_or_default()));
            (more > 0).then_some(entry)
        })
        .collect()
    }
}

/// Records a refusal that somebody at `source` caused, or counts it; `changes` are made in any case.
///
/// # Errors
/// [`Refusal`]; then nothing was changed.
pub async fn record(
    authority: &Authority,
    source: Option<IpAddr>,
    entry: Entry,
    changes: Vec<Change>,
) -> Result<(), Refusal> {
    settle(authority, false).await?;
    let is_user = match entry.private["sub"].as_str() {
        Some(sub) => authority.store.user(sub).await?.is_some(),
        None => false,
    };
    if authority.refusals.is_first(&entry, source, is_user, authority.clock.now()) {
        match authority.audit.record(entry.clone(), changes).await {
            Ok(_) => {}
            // Its changes were made by another; that it was refused is still to be said.
            Err(RecordError::Conflict(what)) => {
                authority.audit.record(entry, Vec::new()).await?;
                return Err(Refusal::Conflict(what));
            }
            Err(error) => {
                authority.refusals.forget(&entry, source);
                return Err(error.into());
            }
        }
    } else if !changes.is_empty() {
        authority.store.write(&changes).await?;
    }
    Ok(())
}

/// Writes down what was counted and is over, or `all` of it.
///
/// # Errors
/// [`Refusal`]; the numbers are in the program's own log then.
pub async fn settle(authority: &Authority, all: bool) -> Result<(), Refusal> {
    for entry in authority.refusals.take_over(authority.clock.now(), all) {
        let (cause, more) = (entry.cause.clone(), entry.private["more"].as_u64());
        if let Err(error) = authority.audit.record(entry, Vec::new()).await {
            tracing::error!(%error, cause, more, "refusals that could not be recorded");
            return Err(error.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{KINDS_OF_ONE, Refusals};
    use crate::authority::audit::Entry;
    use crate::authority::elevation::ElevationId;
    use crate::log::leaf::Event;
    use jiff::Timestamp;
    use serde_json::json;

    fn refused(sub: Option<&str>, cause: &str) -> Entry {
        let mut entry = Entry::new(Event::SignInFailed, ElevationId::fresh(), json!({ "sub": sub }));
        entry.cause = Some(cause.to_owned());
        entry
    }

    #[test]
    fn the_first_of_a_kind_is_an_entry_and_the_others_are_counted() {
        let (refusals, source) = (Refusals::default(), Some("192.0.2.7".parse().unwrap()));
        let (begin, end) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(600).unwrap());
        let is_first = |sub, cause| refusals.is_first(&refused(sub, cause), source, sub.is_some(), begin);
        assert!(is_first(None, "a") && !is_first(None, "a") && !is_first(None, "a"));
        assert!(is_first(Some("anna"), "a") && is_first(Some("ben"), "a"), "others are another kind");
        assert!(refusals.take_over(begin, false).is_empty());
        let over = refusals.take_over(end, false);
        let [entry] = over.as_slice() else { panic!("{over:?}") };
        assert_eq!(entry.cause.as_deref(), Some("a (2 more times since 1970-01-01T00:00:00Z)"));
        assert_eq!(entry.private["more"], 2);
        assert!(is_first(None, "a"), "it begins anew");
    }

    #[test]
    fn strangers_do_not_fill_the_log_and_users_are_named_all_the_same() {
        let refusals = Refusals::default();
        let source = Some("192.0.2.7".parse().unwrap());
        let is_first =
            |sub: String, is_user| refusals.is_first(&refused(Some(&sub), "a"), source, is_user, Timestamp::UNIX_EPOCH);
        let entries = (0..10_000).filter(|number| is_first(format!("stranger-{number}"), false)).count();
        assert_eq!(entries, KINDS_OF_ONE);
        assert!((0..100).all(|number| is_first(format!("user-{number}"), true)));
        let over = refusals.take_over(Timestamp::UNIX_EPOCH, true);
        let [rest] = over.as_slice() else { panic!("{over:?}") };
        assert_eq!(rest.private["more"], 10_000 - KINDS_OF_ONE);
    }
}
