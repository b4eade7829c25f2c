//! What is known about a request, in two records that never mix: what the authority saw, and what the client says.
//! Claims can add risk, never remove it. Risk is a set of named signals, each with a sentence.

use super::caller::Subject;
use super::sign_in::How;
use super::store::{SecurityKeyRow, Store, StoreError};
use super::workloads::Workload;
use crate::protocol::messages::{Claimed, OperationName, SignalSeen};
use crate::protocol::names::{ResourceName, Scope, Ttl};
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;

/// Failures within ten minutes from which on they are a signal.
const FAILURES: i64 = 3;

/// A risk signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// This user never had a grant for this resource.
    FirstUseOfResource,
    /// Several proofs failed lately.
    RecentFailures,
}

impl Signal {
    /// Every one there is.
    pub const ALL: [Self; 2] = [Self::FirstUseOfResource, Self::RecentFailures];

    /// The name in policies and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstUseOfResource => "first_use_of_resource",
            Self::RecentFailures => "recent_failures",
        }
    }

    /// For people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::FirstUseOfResource => "you have not used this resource before",
            Self::RecentFailures => "several step-ups failed in the last ten minutes",
        }
    }

    /// Name and sentence, for the wire.
    #[must_use]
    pub fn seen(self) -> SignalSeen {
        SignalSeen { name: self.name().to_owned(), sentence: self.sentence().to_owned() }
    }
}

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
}

impl Observed {
    /// Looks at the caller, the clock and the user's history.
    ///
    /// # Errors
    /// [`StoreError`]: without history nobody gets in.
    pub async fn look(
        store: &Store,
        subject: &Subject,
        resource: &ResourceName,
        keys: &[SecurityKeyRow],
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let sub = subject.sub();
        let mut signals = Vec::new();
        if !store.used_before(sub, resource.as_str()).await? {
            signals.push(Signal::FirstUseOfResource);
        }
        if store.recent_failures(sub, now).await? >= FAILURES {
            signals.push(Signal::RecentFailures);
        }
        Ok(Self {
            uid: subject.uid(),
            hour: jiff::tz::TimeZone::UTC.to_datetime(now).hour(),
            enrolled_keys: keys.len(),
            can_verify: keys.iter().any(|key| key.verifies_user),
            signals,
            workload: subject.workload().cloned(),
            sign_in_age: subject.sign_in().map(|signed_in| match signed_in.person.how {
                How::Provider | How::Key => {
                    u64::try_from(now.as_second().saturating_sub(signed_in.person.auth_time)).unwrap_or_default()
                }
                // It ends by itself after ten minutes, and is for a first key alone.
                How::Invitation => 0,
            }),
        })
    }
}

impl Context {
    /// Names of the signals.
    #[must_use]
    pub fn signal_names(&self) -> Vec<String> {
        self.observed.signals.iter().map(|signal| signal.name().to_owned()).collect()
    }

    /// The records of the schema, but for the rung.
    #[must_use]
    pub fn record(&self, subject: &Subject, ttl: Option<Ttl>, scope: &Scope) -> serde_json::Value {
        let mut observed = json!({
            "hour": self.observed.hour,
            "enrolled_keys": self.observed.enrolled_keys,
            "can_verify": self.observed.can_verify,
            "signals": self.signal_names(),
        });
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
