//! What every request goes through: its caller's budget, a time, one count, one line in the log. No line holds anything
//! that a caller wrote: nobody knows what was pasted where.

use super::in_time::in_time;
use crate::authority::Authority;
use crate::authority::caller::Caller;
use crate::authority::error::Refusal;
use crate::authority::routes::Refused;
use crate::protocol::encoding::random;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a request may take, its body included.
pub(super) const REQUEST_TIME: Duration = Duration::from_secs(30);

/// What an answer says for log and metrics, beside its status. Handlers and refusals put it into their answer.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The elevation that it belongs to.
    pub elevation: Option<String>,
    /// The OAuth error code, where it is no success.
    pub error: Option<String>,
    /// Why, in words that are the authority's own.
    pub cause: Option<String>,
}

/// An answer of `/token` to somebody who signs in: no elevation.
#[derive(Debug, Clone, Copy)]
pub struct OfSignIn;

/// Every answer carries a nonce for the next proof and is kept by nobody; no request takes for ever.
pub async fn around(State(authority): State<Arc<Authority>>, request: Request, next: Next) -> Response {
    let seen = Seen::of(&authority, &request);
    // A task of its own: what has begun is finished, also where the caller goes away in the middle.
    let work = tokio::spawn({
        let (authority, seen) = (authority.clone(), seen.clone());
        async move {
            let _under_way = authority.metrics.request();
            let response = answered(&authority, &seen, request, next).await;
            seen.tell(&authority, &response);
            response
        }
    });
    let mut response = work.await.unwrap_or_else(|_| {
        let broken = Refused(Refusal::Broken).into_response();
        seen.tell(&authority, &broken);
        broken
    });
    // Made afterwards: what was just done may have ended all that were made before.
    let nonce = authority.proofs.nonce(authority.clock.now());
    if let Ok(nonce) = HeaderValue::from_str(&nonce) {
        response.headers_mut().insert("dpop-nonce", nonce);
    }
    // Both, by RFC 6749 section 5.1.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

async fn answered(authority: &Authority, seen: &Seen, request: Request, next: Next) -> Response {
    let _place = match seen.caller.map(|caller| authority.limits.take(caller, authority.served)).transpose() {
        Ok(place) => place.flatten(),
        Err(wait) => return Refused(Refusal::Flood(wait)).into_response(),
    };
    let answer = in_time(REQUEST_TIME, request, |request| next.run(request)).await;
    answer.unwrap_or_else(|too_slow| Refused(too_slow).into_response())
}

/// One request, as far as log and metrics may know it.
#[derive(Clone)]
struct Seen {
    id: u64,
    method: &'static str,
    endpoint: String,
    caller: Option<Caller>,
    began: Instant,
}

impl Seen {
    fn of(authority: &Authority, request: &Request) -> Self {
        let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str);
        let endpoint = path.strip_prefix(authority.issuer.path()).filter(|rest| rest.starts_with('/')).unwrap_or(path);
        Self {
            id: u64::from_be_bytes(random::<8>()),
            method: known(request.method()),
            endpoint: endpoint.to_owned(),
            caller: request.extensions().get::<ConnectInfo<Caller>>().map(|ConnectInfo(caller)| *caller),
            began: Instant::now(),
        }
    }

    fn tell(&self, authority: &Authority, response: &Response) {
        let took = self.began.elapsed();
        let status = response.status().as_u16();
        let outcome = response.extensions().get::<Outcome>().cloned().unwrap_or_default();
        authority.metrics.answered(&self.endpoint, status, took);
        if self.endpoint == "/token" {
            let is_sign_in = response.extensions().get::<OfSignIn>().is_some();
            match (is_sign_in, status, outcome.error.as_deref()) {
                (false, 200, _) => authority.metrics.elevation("granted", ""),
                (false, _, Some("insufficient_authorization")) => authority.metrics.elevation("step_up", ""),
                (false, _, error) => authority.metrics.elevation("denied", error.unwrap_or("")),
                (true, 200, _) => authority.metrics.sign_in("done", ""),
                (true, _, Some(error @ ("authorization_pending" | "slow_down"))) => {
                    authority.metrics.sign_in("waiting", error);
                }
                (true, _, error) => authority.metrics.sign_in("refused", error.unwrap_or("")),
            }
        }
        let without = match (self.caller, status) {
            (Some(caller), 429) => match authority.limits.worth_a_line(caller) {
                Some(without) => (without > 0).then_some(without),
                None => return,
            },
            (Some(_) | None, _) => None,
        };
        let caller = match self.caller {
            Some(Caller::Peer(Some(uid))) => Cow::Owned(format!("uid:{uid}")),
            Some(Caller::Remote(address)) => Cow::Owned(address.to_string()),
            Some(Caller::Peer(None)) | None => Cow::Borrowed("unknown"),
        };
        tracing::info!(
            request = format_args!("{:016x}", self.id),
            method = self.method,
            endpoint = self.endpoint,
            status,
            ms = took.as_secs_f64() * 1000.0,
            caller = &*caller,
            elevation = outcome.elevation,
            error = outcome.error,
            cause = outcome.cause,
            refused_before = without,
            "request"
        );
    }
}

/// A method is a word of the caller's.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
