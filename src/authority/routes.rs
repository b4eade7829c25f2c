//! HTTP: which path leads where, and how an answer or a refusal looks. No decision is made here.

mod discovery;
mod grants;
mod log;
mod token;

use super::Authority;
use super::caller::{Caller, Subject};
use super::elevation::foresee;
use super::enrolment;
use super::error::Refusal;
use super::explain::explanation;
use super::operations;
use super::rules::Rules;
use super::server::requests::{Outcome, around};
use super::sign_in;
use crate::protocol::display::escaped;
use crate::protocol::dpop;
use crate::protocol::messages::{Catalogue, CatalogueEntry, EnrolmentResponse, OperationName};
use crate::protocol::names::ResourceName;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FormRejection, PathRejection, QueryRejection, RawFormRejection};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::future::ready;
use std::sync::Arc;

/// Bytes a request may have.
const BODY_MAX: usize = 256 << 10;
/// Bytes a form may have: a token, a proof, an assertion.
const FORM_MAX: usize = 64 << 10;

pub(super) type Shared = State<Arc<Authority>>;
pub(super) type From = ConnectInfo<Caller>;
pub(super) type Answered = Result<Response, Refused>;

/// Everything, for the socket.
pub fn router(authority: Arc<Authority>) -> Router {
    let api = Router::new()
        .route("/token", post(token::token).layer(DefaultBodyLimit::max(FORM_MAX)))
        .route("/revoke", post(grants::revoke).layer(DefaultBodyLimit::max(FORM_MAX)))
        .route("/introspect", post(grants::introspect).layer(DefaultBodyLimit::max(FORM_MAX)))
        .route("/resources", get(resources))
        .route("/explain", get(explain))
        .route("/keys", get(keys).post(begin_enrolment))
        .route("/recoveries", get(recoveries))
        .route("/keys/finish", post(finish_enrolment))
        .route("/operations/{name}", post(operation))
        .route("/log/entries", get(log::entries))
        .route("/log/checkpoints", get(log::checkpoints))
        .merge(sign_in::routes::endpoints())
        .merge(public_endpoints());
    mounted(api, authority)
}

/// What services need that check tokens: metadata and keys, nothing else.
pub fn discovery_router(authority: Arc<Authority>) -> Router {
    mounted(public_endpoints(), authority)
}

fn public_endpoints() -> Router<Arc<Authority>> {
    Router::new().route("/jwks", get(discovery::jwks))
}

fn mounted(api: Router<Arc<Authority>>, authority: Arc<Authority>) -> Router {
    let path = authority.issuer.path();
    let well_known = "/.well-known/oauth-authorization-server";
    let app = Router::new().route(well_known, get(discovery::metadata));
    // RFC 8414 section 3.1: the issuer's path comes after the well-known part.
    let app = match path {
        "" => app.merge(api),
        path => app.nest(path, api).route(&format!("{well_known}{path}"), get(discovery::metadata)),
    };
    app.fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(authority.clone(), around))
        .with_state(authority)
}

/// A refusal on its way out.
pub(super) struct Refused(pub(super) Refusal);

impl<E: Into<Refusal>> std::convert::From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, body) = self.0.to_response();
        let outcome =
            Outcome { elevation: body.elevation.clone(), error: Some(body.error.clone()), cause: Some(self.0.cause()) };
        let challenge = self.0.challenge().and_then(|challenge| HeaderValue::from_str(&challenge).ok());
        let mut response =
            (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(body)).into_response();
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Refusal::Flood(seconds) = self.0 {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(outcome);
        response
    }
}

#[allow(clippy::unnecessary_wraps, reason = "the last line of every handler")]
pub(super) fn ok(body: &impl Serialize) -> Answered {
    Ok(Json(body).into_response())
}

macro_rules! malformed_from {
    ($($rejection:ty),*) => {$(
        impl std::convert::From<$rejection> for Refusal {
            fn from(rejection: $rejection) -> Self {
                match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
                    _ => Self::Malformed(escaped(&rejection.body_text())),
                }
            }
        }
    )*};
}
malformed_from!(BytesRejection, FormRejection, PathRejection, QueryRejection, RawFormRejection);

async fn no_such_path(request: Request) -> Refused {
    Refused(Refusal::NoSuchPath(format!("{} {}", request.method(), request.uri().path())))
}

async fn wrong_method(request: Request) -> Refused {
    Refused(Refusal::WrongMethod(format!("{} {}", request.method(), request.uri().path())))
}

/// RFC 9449 section 4.3: the one proof of a request, checked; returns its key's thumbprint.
pub(super) async fn proven(
    authority: &Authority,
    headers: &HeaderMap,
    (method, path): (&str, &str),
    access_token: Option<&str>,
) -> Result<String, Refusal> {
    let mut proofs = headers.get_all("dpop").iter();
    let (Some(proof), None) = (proofs.next(), proofs.next()) else {
        return Err(dpop::DpopError::Invalid("there must be exactly one DPoP header").into());
    };
    let proof = proof.to_str().map_err(|_| dpop::DpopError::Invalid("it is no text"))?;
    let now = authority.clock.now();
    let url = format!("{}{path}", authority.issuer);
    let expected = dpop::Expected { method, url: &url, access_token, now };
    Ok(authority.proofs.accept(proof, &expected).await?.jkt)
}

/// The access token of an `Authorization: DPoP` header (RFC 9449 section 7.1).
fn authorization(headers: &HeaderMap) -> Option<&str> {
    authorization_of("DPoP", headers)
}

/// The credentials of an `Authorization` header; the scheme's case does not matter.
fn authorization_of<'a>(scheme: &str, headers: &'a HeaderMap) -> Option<&'a str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (named, token) = value.split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then_some(token)
}

/// The token that a request shows, and the thumbprint that proves it.
async fn shown<'a>(
    authority: &Authority,
    headers: &'a HeaderMap,
    endpoint: (&str, &str),
) -> Result<(&'a str, String), Refusal> {
    let token = authorization(headers).ok_or(Refusal::Anonymous)?;
    Ok((token, proven(authority, headers, endpoint, Some(token)).await?))
}

/// The same of the token of a grant, for an endpoint that takes nothing else.
async fn presented<'a>(
    authority: &Authority,
    headers: &'a HeaderMap,
    path: &str,
) -> Result<(&'a str, String), Refusal> {
    authorization(headers).ok_or(Refusal::Token("there is no 'Authorization: DPoP' header"))?;
    shown(authority, headers, ("POST", path)).await.map_err(Refusal::of_authorization)
}

/// Who makes a request that names nobody itself.
async fn asker(
    authority: &Authority,
    caller: Caller,
    headers: &HeaderMap,
    endpoint: (&str, &str),
) -> Result<Subject, Refusal> {
    let shown = shown(authority, headers, endpoint);
    caller.of_request(authority, authority.rules(), shown).await.map_err(Refusal::of_authorization)
}

/// The same for who only looks at what there is, which a workload may: its identity token is bound to no key, and so is a
/// bearer's (RFC 6750 section 2.1).
async fn onlooker(
    authority: &Authority,
    rules: impl Future<Output = Result<Arc<Rules>, Refusal>>,
    caller: Caller,
    headers: &HeaderMap,
    endpoint: (&str, &str),
) -> Result<Subject, Refusal> {
    let identity_token = authorization_of("Bearer", headers);
    let shown = shown(authority, headers, endpoint);
    caller.looking(authority, rules, identity_token, shown).await.map_err(Refusal::of_authorization)
}

async fn resources(State(authority): Shared, ConnectInfo(caller): From, headers: HeaderMap) -> Answered {
    let rules = authority.rules().await?;
    let subject = onlooker(&authority, ready(Ok(rules.clone())), caller, &headers, ("GET", "/resources")).await?;
    let mut entries = Vec::new();
    let catalogue = authority.catalogue(&rules).await?;
    for (name, resource) in catalogue.resources() {
        if let Ok(permitted) = foresee(&authority, &subject, name, resource, &rules).await?.decision {
            entries.push(CatalogueEntry {
                resource: name.clone(),
                description: resource.description.clone(),
                kind: resource.kind,
                assurance: permitted.assurance(),
            });
        }
    }
    ok(&Catalogue { resources: entries })
}

#[derive(Deserialize)]
struct ExplainQuery {
    resource: String,
}

async fn explain(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    query: Result<Query<ExplainQuery>, QueryRejection>,
) -> Answered {
    let Query(query) = query.map_err(Refusal::from)?;
    let name: ResourceName = query.resource.parse().map_err(Refusal::from)?;
    let rules = authority.rules().await?;
    let subject = onlooker(&authority, ready(Ok(rules.clone())), caller, &headers, ("GET", "/explain")).await?;
    let catalogue = authority.catalogue(&rules).await?;
    let foreseen = foresee(&authority, &subject, &name, catalogue.resource(&name)?, &rules).await?;
    ok(&explanation(&name, &foreseen, authority.refused_rules()))
}

/// Who was recovered on the machine itself: administrators hear of it.
async fn recoveries(State(authority): Shared, ConnectInfo(caller): From, headers: HeaderMap) -> Answered {
    let subject = asker(&authority, caller, &headers, ("GET", "/recoveries")).await?;
    let rules = authority.rules().await?;
    ok(&authority.recoveries_for(&rules, &subject).await?)
}

async fn keys(State(authority): Shared, ConnectInfo(caller): From, headers: HeaderMap) -> Answered {
    let subject = asker(&authority, caller, &headers, ("GET", "/keys")).await?;
    ok(&enrolment::list(&authority, &subject).await?)
}

async fn begin_enrolment(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let (token, jkt) = presented(&authority, &headers, "/keys").await?;
    ok(&enrolment::begin(&authority, caller, &jkt, token, &body.map_err(Refusal::from)?).await?)
}

async fn finish_enrolment(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let jkt = proven(&authority, &headers, ("POST", "/keys/finish"), None).await?;
    let response: EnrolmentResponse = serde_json::from_slice(&body.map_err(Refusal::from)?)
        .map_err(|error| Refusal::Malformed(format!("the new key can't be read: {}", escaped(&error.to_string()))))?;
    ok(&enrolment::finish(&authority, caller, &jkt, &response).await?)
}

async fn operation(
    State(authority): Shared,
    ConnectInfo(caller): From,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let Path(name) = name.map_err(Refusal::from)?;
    let parsed: OperationName = serde_json::from_value(json!(name))
        .map_err(|_| Refusal::Malformed(format!("there is no operation '{}'", escaped(&name))))?;
    let (token, jkt) = presented(&authority, &headers, &format!("/operations/{parsed}")).await?;
    let body = body.map_err(Refusal::from)?;
    ok(&operations::carry_out(&authority, caller, &jkt, token, parsed, &body).await?)
}
