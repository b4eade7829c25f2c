//! For whoever watches: `/livez` (the process answers), `/readyz` (it could decide, record and issue now), `/metrics`.

use crate::authority::Authority;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

/// How long an answer to `/readyz` is good: many may ask.
const GOOD_FOR: Duration = Duration::from_secs(2);
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
}

/// State of these endpoints.
#[derive(Clone)]
struct Watched {
    authority: Arc<Authority>,
    ending: watch::Receiver<bool>,
    known: Arc<Mutex<Option<(Instant, Readiness)>>>,
}

/// `/livez` and `/readyz`; `ending` becomes true when requests should go elsewhere.
pub(super) fn health(authority: Arc<Authority>, ending: watch::Receiver<bool>) -> Router {
    let watched = Watched { authority, ending, known: Arc::default() };
    Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(readyz)).with_state(watched)
}

/// `/metrics`.
pub(super) fn metrics(authority: Arc<Authority>) -> Router {
    Router::new().route("/metrics", get(numbers)).with_state(authority)
}

async fn numbers(State(authority): State<Arc<Authority>>) -> Response {
    let log_size = timeout(PATIENCE, authority.store.log_size()).await.ok().and_then(Result::ok);
    ([(header::CONTENT_TYPE, OPEN_METRICS)], authority.metrics.text(log_size)).into_response()
}

async fn readyz(State(watched): State<Watched>) -> Response {
    if *watched.ending.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "ending\n").into_response();
    }
    let mut known = watched.known.lock().await;
    let readiness = match &*known {
        Some((when, readiness)) if when.elapsed() < GOOD_FOR => readiness.clone(),
        Some(_) | None => {
            let readiness = look(&watched.authority).await;
            if !readiness.ready {
                let Readiness { store, log, rules, .. } = &readiness;
                tracing::error!(store, log, rules, "not ready: nobody gets in");
            }
            *known = Some((Instant::now(), readiness.clone()));
            readiness
        }
    };
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn look(authority: &Authority) -> Readiness {
    let store = said(timeout(PATIENCE, authority.store.log_size()).await.map(|size| size.map(drop)));
    let log = said(timeout(PATIENCE, authority.audit.check(authority.clock.now())).await);
    let rules = said(timeout(PATIENCE, authority.rules()).await.map(|rules| rules.map(drop)));
    let ready = [&store, &log, &rules].iter().all(|part| *part == OK);
    // The ones before are in force: no reason to send callers away, and one to look.
    let rules = authority.refused_rules().map_or(rules, |error| format!("as before, for {error}"));
    Readiness { ready, store, log, rules }
}

const OK: &str = "ok";

fn said<E: ToString>(answer: Result<Result<(), E>, tokio::time::error::Elapsed>) -> String {
    match answer {
        Ok(Ok(())) => OK.to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} seconds", PATIENCE.as_secs()),
    }
}
