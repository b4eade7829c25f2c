//! What is known about a request, in two records that never mix: what the authority saw, and what the client says.
//! Claims can add risk, never remove it. Risk is a set of named signals, each with a sentence.

pub mod facts;
pub mod history;
pub mod on_call;
pub mod origin;
pub mod signals;
pub mod sources;

use super::Authority;
use super::caller::Subject;
use super::error::Refusal;
use super::rules::Rules;
use super::sign_in::How;
use super::store::{Change, SecurityKeyRow};
use super::workloads::Workload;
use crate::clock::seconds_between;
use crate::protocol::messages::{Claimed, OperationName, SignalSeen};
use crate::protocol::names::{ResourceName, Scope, Ttl};
use facts::{Facts, Origin};
use history::{Happened, Name};
use jiff::Timestamp;
use origin::Network;
use serde_json::{Value, json};
pub use signals::Signal;
use sources::{Looked, Lost};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Both records.
#[derive(Debug, Clone)]
pub struct Context {
    /// What the authority saw.
    pub observed: Observed,
    /// What the client says.
    pub claimed: Claimed,
    /// Whether a reason was given.
    pub has_reason: bool,
    /// The operation, on the authority itself.
    pub operation: Option<OperationName>,
}

/// What the authority saw.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The peer's uid, where the caller is an account of this host.
    pub uid: Option<u32>,
    /// Hour of the day, UTC.
    pub hour: i8,
    /// How many keys the user has.
    pub enrolled_keys: usize,
    /// Whether one of them checks a PIN or biometric.
    pub can_verify: bool,
    /// Risk.
    pub signals: Vec<Signal>,
    /// How long ago the person showed the provider who they are, in seconds; `None` on a socket.
    pub sign_in_age: Option<u64>,
    /// What the token of a workload says of it.
    pub workload: Option<Arc<Workload>>,
    /// What they are on call for.
    pub on_call: BTreeSet<String>,
    /// What the signals are of; `None` where they were made up, in tables.
    pub facts: Option<Arc<Facts>>,
}

impl Observed {
    /// Somebody with a key that checks a PIN, on a socket, at noon.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            uid: None,
            hour: 12,
            enrolled_keys: 1,
            can_verify: true,
            signals: Vec::new(),
            sign_in_age: None,
            workload: None,
            on_call: BTreeSet::new(),
            facts: None,
        }
    }

    /// Looks at the caller, the clock, the user's history and whatever `[risk]` names. The history is one statement.
    ///
    /// # Errors
    /// [`Refusal`]: without history nobody gets in.
    pub async fn look(
        authority: &Authority,
        rules: &Rules,
        subject: &Subject,
        resource: &ResourceName,
        claimed: &Claimed,
        keys: &[SecurityKeyRow],
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let sub = subject.sub();
        let past = authority.store.past(sub, resource.as_str(), now).await?;
        let key = authority.master.derive("history")?;
        let name = |kind, value: &str| Name::of(&key, kind, sub, value);
        let mut lost = Vec::new();
        let origin = subject.origin().map(|address| look_at(address, rules, name, now));
        lost.extend(origin.iter().flat_map(Origin::lost));
        let on_call = rules.sources.on_call(|entry| subject.is_meant_by(entry), now).unwrap_or_else(|fault| {
            lost.push(fault);
            BTreeSet::new()
        });
        let sign_in_age = sign_in_age(subject, now);
        let ages = || keys.iter().map(|key| seconds_between(key.enrolled_at, now));
        let facts = Facts {
            now,
            used_before: past.used_before,
            recent_failures: past.recent_failures,
            youngest_key: ages().min(),
            oldest_key: ages().max(),
            sign_in_age,
            signed_in_by_key: subject.sign_in().is_some_and(|signed_in| signed_in.person.how == How::Key),
            device: subject.device().map(|jkt| name("device", jkt)),
            host: origin
                .is_some()
                .then_some(&claimed.host)
                .filter(|host| !host.is_empty())
                .map(|host| name("host", host)),
            origin,
            history: past.history,
            lost,
        };
        Ok(Self {
            uid: subject.uid(),
            hour: jiff::tz::TimeZone::UTC.to_datetime(now).hour(),
            enrolled_keys: keys.len(),
            can_verify: keys.iter().any(|key| key.verifies_user),
            signals: facts.signals(&rules.config.risk.off),
            sign_in_age,
            workload: subject.workload().cloned(),
            on_call,
            facts: Some(Arc::new(facts)),
        })
    }

    /// The signals with what people are told of each.
    #[must_use]
    pub fn seen(&self) -> Vec<SignalSeen> {
        let sentence = |signal: Signal| {
            let seen = self.facts.as_ref().and_then(|facts| signal.seen(facts));
            seen.unwrap_or_else(|| signal.sentence().to_owned())
        };
        let seen = |signal: &Signal| SignalSeen { name: signal.name().to_owned(), sentence: sentence(*signal) };
        self.signals.iter().map(seen).collect()
    }

    /// What is known of the address, the device and the keys. What there is not is left out.
    fn add_facts(&self, observed: &mut Value) {
        let Some(facts) = &self.facts else { return };
        if let Some(origin) = &facts.origin {
            observed["origin"] = json!({
                "address": { "__extn": { "fn": "ip", "arg": origin.address.to_string() } },
                "network": origin.network.to_string(),
            });
            if let Some(place) = origin.place.found() {
                observed["origin"]["country"] = json!(place.country);
            }
            if let Some(asn) = origin.asn.found() {
                observed["origin"]["asn"] = json!(asn);
            }
        }
        let ages = [
            ("device_age", facts.device_age()),
            ("oldest_key_age", facts.oldest_key),
            ("youngest_key_age", facts.youngest_key),
        ];
        for (name, age) in ages {
            if let Some(age) = age {
                observed[name] = json!(age);
            }
        }
    }
}

impl Facts {
    /// What they show, but for what is switched off.
    #[must_use]
    pub fn signals(&self, off: &BTreeSet<Signal>) -> Vec<Signal> {
        let on = Signal::ALL.into_iter().filter(|signal| !off.contains(signal));
        on.filter(|signal| signal.seen(self).is_some()).collect()
    }
}

impl Origin {
    fn lost(&self) -> impl Iterator<Item = Lost> {
        self.place.lost().into_iter().chain(self.asn.lost())
    }
}

fn look_at(address: IpAddr, rules: &Rules, name: impl Fn(&'static str, &str) -> Name, now: Timestamp) -> Origin {
    let network = Network::of(address);
    let place = rules.sources.place(address, now);
    let country = match &place {
        Looked::NotAsked | Looked::Lost(_) => None,
        Looked::Unlisted => Some(name("country", "")),
        Looked::Found(place) => Some(name("country", &place.country)),
    };
    let name = name("network", &network.to_string());
    Origin { address, network, name, place, country, asn: rules.sources.asn(address, now) }
}

fn sign_in_age(subject: &Subject, now: Timestamp) -> Option<u64> {
    let person = &subject.sign_in()?.person;
    Some(match person.how {
        How::Provider | How::Key => u64::try_from(now.as_second().saturating_sub(person.auth_time)).unwrap_or_default(),
        // It ends by itself after ten minutes, and is for a first key alone.
        How::Invitation => 0,
    })
}

impl Context {
    /// Names of the signals.
    #[must_use]
    pub fn signal_names(&self) -> Vec<String> {
        self.observed.signals.iter().map(|signal| signal.name().to_owned()).collect()
    }

    /// What the history of `sub` becomes by a grant, by the touch of a key or without.
    #[must_use]
    pub fn granted(&self, sub: &str, touched: bool) -> Option<Change> {
        self.remember(sub, |facts| facts.granted(touched))
    }

    /// What it becomes by a refusal.
    #[must_use]
    pub fn refused(&self, sub: &str) -> Option<Change> {
        self.remember(sub, Facts::refused)
    }

    fn remember(&self, sub: &str, happened: impl Fn(&Facts) -> Happened) -> Option<Change> {
        let facts = self.observed.facts.as_ref()?;
        Some(Change::Remember { sub: sub.to_owned(), happened: happened(facts) })
    }

    /// The records of the schema, but for the rung.
    #[must_use]
    pub fn record(&self, subject: &Subject, ttl: Option<Ttl>, scope: &Scope) -> Value {
        let mut observed = json!({
            "hour": self.observed.hour,
            "enrolled_keys": self.observed.enrolled_keys,
            "can_verify": self.observed.can_verify,
            "signals": self.signal_names(),
            "on_call": self.observed.on_call,
        });
        self.observed.add_facts(&mut observed);
        // What there is not is left out: a policy that needs it then denies.
        if let Some(uid) = self.observed.uid {
            observed["uid"] = json!(uid);
        }
        if let Some(signed_in) = subject.sign_in() {
            let person = &signed_in.person;
            observed["sign_in"] = json!({
                "age": self.observed.sign_in_age.unwrap_or_default(),
                "acr": person.acr.as_deref().unwrap_or_default(),
                "amr": person.amr,
            });
        }
        json!({
            "observed": observed,
            "claimed": {
                "host": self.claimed.host,
                "os": self.claimed.os,
                "tty": self.claimed.tty,
                "ssh": self.claimed.ssh,
                "command": self.claimed.command.as_deref().unwrap_or_default(),
            },
            "asked": {
                "ttl": ttl.map_or(0, Ttl::seconds),
                "scope": scope.tokens().collect::<Vec<_>>(),
                "has_reason": self.has_reason,
                "operation": self.operation.map_or("", OperationName::name),
                "only_reads": self.operation.is_some_and(OperationName::only_reads),
            },
        })
    }
}
