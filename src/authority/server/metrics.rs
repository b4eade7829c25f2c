//! What is counted, for Prometheus (`OpenMetrics` text). Labels come from short lists: never a user, a resource or
//! anything else that a caller could make up.

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// Upper bounds in seconds: from a cached answer to one that took too long.
const BUCKETS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// What waits for an answer or stands.
pub(super) struct OpenSessions {
    /// Step-ups and enrolments that wait for an answer.
    pub(super) step_ups: i64,
    /// Devices that are signed in.
    pub(super) sign_ins: usize,
}

/// Every number there is.
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    durations: Family<Endpoint, Histogram, Buckets>,
    elevations: Family<Outcome, Counter>,
    sign_ins: Family<Outcome, Counter>,
    sessions: Family<What, Gauge>,
    under_way: Gauge,
    connections: Gauge,
    refused: Family<Refused, Counter>,
    reload_failures: Family<What, Counter>,
    certificate_ends: Gauge,
    log_size: Gauge,
    nodes_differing: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    endpoint: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Endpoint {
    endpoint: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refused {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct What {
    what: &'static str,
}

#[derive(Clone)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

impl Metrics {
    /// All at nought.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("elevate"),
            requests: Family::default(),
            durations: Family::new_with_constructor(Buckets),
            elevations: Family::default(),
            sign_ins: Family::default(),
            sessions: Family::default(),
            under_way: Gauge::default(),
            connections: Gauge::default(),
            refused: Family::default(),
            reload_failures: Family::default(),
            certificate_ends: Gauge::default(),
            log_size: Gauge::default(),
            nodes_differing: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("requests", "Requests answered, by endpoint and status", metrics.requests.clone());
        registry.register(
            "request_duration_seconds",
            "From the head of a request to its answer",
            metrics.durations.clone(),
        );
        let elevations = metrics.elevations.clone();
        registry.register("elevations", "Answers of POST /token to elevations, by outcome and reason", elevations);
        let sign_ins = metrics.sign_ins.clone();
        registry.register("sign_ins", "Answers of POST /token to sign-ins, by outcome and reason", sign_ins);
        let sessions = metrics.sessions.clone();
        registry.register("sessions", "Step-ups that wait for an answer, devices that are signed in", sessions);
        registry.register(
            "requests_under_way",
            "Requests that were taken and not answered yet",
            metrics.under_way.clone(),
        );
        registry.register("connections", "Connections that are open", metrics.connections.clone());
        registry.register("connections_refused", "Connections that got no answer, by reason", metrics.refused.clone());
        registry.register("reload_failures", "Changed files that were not taken up", metrics.reload_failures.clone());
        let ends = metrics.certificate_ends.clone();
        registry.register("certificate_expiry_timestamp_seconds", "When the certificate ends; 0 without one", ends);
        registry.register("log_entries", "Entries of the audit log", metrics.log_size.clone());
        let differing = metrics.nodes_differing.clone();
        registry.register(
            "nodes_with_other_rules",
            "Nodes of this store that go by other rules than this one",
            differing,
        );
        metrics
    }

    /// One request was answered.
    pub(super) fn answered(&self, endpoint: &str, status: u16, took: Duration) {
        self.requests.get_or_create(&Request { endpoint: endpoint.to_owned(), status }).inc();
        self.durations.get_or_create(&Endpoint { endpoint: endpoint.to_owned() }).observe(took.as_secs_f64());
    }

    /// One elevation was answered.
    pub(super) fn elevation(&self, outcome: &'static str, reason: &str) {
        self.elevations.get_or_create(&Outcome { outcome, reason: reason.to_owned() }).inc();
    }

    /// Somebody who signs in was answered.
    pub(super) fn sign_in(&self, outcome: &'static str, reason: &str) {
        self.sign_ins.get_or_create(&Outcome { outcome, reason: reason.to_owned() }).inc();
    }

    /// A connection, counted until it is dropped.
    pub(super) fn connection(&self) -> Counted {
        Counted::one_more(&self.connections)
    }

    /// A request under way, counted until it is dropped.
    pub(super) fn request(&self) -> Counted {
        Counted::one_more(&self.under_way)
    }

    /// A connection got no answer.
    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Refused { reason }).inc();
    }

    /// Changed files were not taken up.
    pub(crate) fn reload_failed(&self, what: &'static str) {
        self.reload_failures.get_or_create(&What { what }).inc();
    }

    pub(super) fn certificate_ends(&self, at: Timestamp) {
        self.certificate_ends.set(at.as_second());
    }

    /// So many nodes go by other rules.
    pub(super) fn nodes_differ(&self, count: usize) {
        self.nodes_differing.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// As text; `log_size` and sessions where the store could say them.
    pub(super) fn text(&self, log_size: Option<u64>, sessions: Option<OpenSessions>) -> String {
        if let Some(OpenSessions { step_ups, sign_ins }) = sessions {
            self.sessions.get_or_create(&What { what: "step_up" }).set(step_ups);
            let sign_ins = i64::try_from(sign_ins).unwrap_or(i64::MAX);
            self.sessions.get_or_create(&What { what: "sign_in" }).set(sign_ins);
        }
        if let Some(size) = log_size {
            self.log_size.set(i64::try_from(size).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// One of those that a gauge counts.
pub(super) struct Counted(Gauge);

impl Counted {
    fn one_more(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
