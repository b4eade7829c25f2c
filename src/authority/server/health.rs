//! For whoever watches: `/livez` (the process answers), `/readyz` (it could decide, record and issue now), `/metrics`.
//!
//! The authority looks by itself, whoever asks: what strangers ask for on the public port costs no write and no read, and
//! they hear yes or no. Which part it is stands in the log and on the metrics address.

use super::connection::until;
use super::metrics::OpenSessions;
use super::requests::around;
use crate::authority::Authority;
use crate::authority::error::Refusal;
use crate::authority::nodes;
use crate::authority::sign_in::sessions;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);
/// How often it proves that the log takes a write, which is one. While something is wrong, at every look.
const PROVE: Duration = Duration::from_secs(5);
/// How long store and log may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The media type of what `prometheus-client` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What `/readyz` says of each part: `ok`, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Readiness {
    ready: bool,
    store: String,
    log: String,
    rules: String,
    /// Whether they are those of the other nodes; a difference keeps nobody out.
    nodes: String,
}

/// What was found at the last look; `None` before the first.
#[derive(Clone)]
pub(super) struct Health {
    found: watch::Receiver<Option<Readiness>>,
    ending: watch::Receiver<bool>,
}

impl Health {
    /// Looks from now on until `ended`; `ending` becomes true when requests should go elsewhere.
    pub(super) fn watch(
        authority: Arc<Authority>,
        ending: watch::Receiver<bool>,
        ended: watch::Receiver<bool>,
    ) -> Self {
        let (tell, found) = watch::channel(None);
        tokio::spawn(async move {
            tokio::select! {
                () = keep_looking(&authority, &tell) => {}
                () = until(ended) => {}
            }
        });
        Self { found, ending }
    }

    async fn now(mut self) -> Option<Readiness> {
        self.found.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// `/livez` and `/readyz` for everybody: within limits, and no more than a status.
    pub(super) fn for_everybody(self, authority: Arc<Authority>) -> Router {
        let app = Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(yes_or_no));
        app.with_state(self).layer(from_fn_with_state(authority, around))
    }

    /// The same for whoever watches, with which part it is, and `/metrics`.
    pub(super) fn for_watchers(self, authority: Arc<Authority>) -> Router {
        let app = Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(details));
        app.with_state(self).merge(Router::new().route("/metrics", get(numbers)).with_state(authority))
    }
}

async fn numbers(State(authority): State<Arc<Authority>>) -> Response {
    let log_size = timeout(PATIENCE, authority.store.log_size()).await.ok().and_then(Result::ok);
    let sessions = timeout(PATIENCE, open_sessions(&authority)).await.ok().and_then(Result::ok);
    authority.metrics.nodes_differ(authority.nodes.differing().len());
    ([(header::CONTENT_TYPE, OPEN_METRICS)], authority.metrics.text(log_size, sessions)).into_response()
}

async fn open_sessions(authority: &Authority) -> Result<OpenSessions, Refusal> {
    let now = authority.clock.now();
    let signed_in = sessions::standing(authority, &authority.rules.current(), now).await?;
    Ok(OpenSessions { step_ups: authority.store.open_sessions(now).await?, sign_ins: signed_in.len() })
}

const fn status(is_ready: bool) -> StatusCode {
    if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn yes_or_no(State(health): State<Health>) -> Response {
    let is_ready = !*health.ending.borrow() && health.now().await.is_some_and(|found| found.ready);
    (status(is_ready), if is_ready { "ready\n" } else { "not ready\n" }).into_response()
}

async fn details(State(health): State<Health>) -> Response {
    if *health.ending.borrow() {
        return (status(false), "ending\n").into_response();
    }
    match health.now().await {
        Some(found) => (status(found.ready), Json(found)).into_response(),
        None => (status(false), "ending\n").into_response(),
    }
}

async fn keep_looking(authority: &Authority, tell: &watch::Sender<Option<Readiness>>) {
    let mut proven: Option<Instant> = None;
    loop {
        let is_proven = proven.is_some_and(|at| at.elapsed() < PROVE);
        let found = look(authority, is_proven).await;
        proven = match (found.ready, is_proven) {
            (false, _) => None,
            (true, true) => proven,
            (true, false) => Some(Instant::now()),
        };
        let was = tell.send_replace(Some(found.clone()));
        if !found.ready && was.as_ref() != Some(&found) {
            let Readiness { store, log, rules, .. } = &found;
            tracing::error!(store, log, rules, "not ready: nobody gets in");
        } else if found.ready && was.is_some_and(|was| !was.ready) {
            tracing::info!("ready again");
        }
        sleep(LOOK).await;
    }
}

async fn look(authority: &Authority, log_is_proven: bool) -> Readiness {
    let log = async {
        if log_is_proven {
            return OK.to_owned();
        }
        said(timeout(PATIENCE, authority.audit.check(&authority.clock)).await)
    };
    let store = async { said(timeout(PATIENCE, authority.store.log_size()).await.map(|size| size.map(drop))) };
    let rules = async { said(timeout(PATIENCE, authority.rules()).await.map(|rules| rules.map(drop))) };
    let (store, log, rules) = tokio::join!(store, log, rules);
    let ready = [&store, &log, &rules].iter().all(|part| *part == OK);
    // The ones before are in force: no reason to send callers away, and one to look.
    let rules = authority.refused_rules().map_or(rules, |error| format!("as before, for {error}"));
    let nodes = match authority.nodes.differing() {
        others if others.is_empty() => OK.to_owned(),
        others => format!("other rules than here: {}", nodes::said(&others)),
    };
    Readiness { ready, store, log, rules, nodes }
}

const OK: &str = "ok";

fn said<E: ToString>(answer: Result<Result<(), E>, tokio::time::error::Elapsed>) -> String {
    match answer {
        Ok(Ok(())) => OK.to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} seconds", PATIENCE.as_secs()),
    }
}
