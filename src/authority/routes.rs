//! HTTP: which path leads where, and how an answer or a refusal looks. No decision is made here.

use super::Authority;
use super::caller::{Caller, Subject};
use super::elevation::{Answer, ElevationId, elevate, foresee};
use super::enrolment;
use super::error::Refusal;
use super::explain::explanation;
use super::operations;
use super::server::requests::{OfSignIn, Outcome, around};
use super::sign_in;
use crate::authority::audit::{Entry, RecordError};
use crate::authority::store::Change;
use crate::log::leaf::{Event, Private};
use crate::protocol::access_token::{self, Claims};
use crate::protocol::assurance::Assurance;
use crate::protocol::display::escaped;
use crate::protocol::dpop;
use crate::protocol::messages::{
    AUTHORIZATION_CODE, Catalogue, CatalogueEntry, DEVICE_CODE, EnrolmentResponse, Introspection, LogCheckpoints,
    LogEntry, LogPage, Metadata, OperationName, SignInMetadata, SignInResponse, TOKEN_EXCHANGE, TokenParameter,
    TokenRequest,
};
use crate::protocol::names::ResourceName;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, FormRejection, PathRejection, QueryRejection, RawFormRejection};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest as _, Path, Query, RawForm, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// Bytes a request may have.
const BODY_MAX: usize = 256 << 10;
/// Bytes a form may have: a token, a proof, an assertion.
const FORM_MAX: usize = 64 << 10;
/// Entries of the log in one page.
const PAGE: u64 = 500;

pub(super) type Shared = State<Arc<Authority>>;
pub(super) type From = ConnectInfo<Caller>;
pub(super) type Answered = Result<Response, Refused>;

/// Everything, for the socket.
pub fn router(authority: Arc<Authority>) -> Router {
    let api = Router::new()
        .route("/token", post(token).layer(DefaultBodyLimit::max(FORM_MAX)))
        .route("/revoke", post(revoke).layer(DefaultBodyLimit::max(FORM_MAX)))
        .route("/introspect", post(introspect).layer(DefaultBodyLimit::max(FORM_MAX)))
        .route("/resources", get(resources))
        .route("/explain", get(explain))
        .route("/keys", get(keys).post(begin_enrolment))
        .route("/keys/finish", post(finish_enrolment))
        .route("/operations/{name}", post(operation))
        .route("/log/entries", get(log_entries))
        .route("/log/checkpoints", get(log_checkpoints))
        .merge(sign_in::routes::endpoints())
        .merge(public_endpoints());
    mounted(api, authority)
}

/// What services need that check tokens: metadata and keys, nothing else.
pub fn discovery_router(authority: Arc<Authority>) -> Router {
    mounted(public_endpoints(), authority)
}

fn public_endpoints() -> Router<Arc<Authority>> {
    Router::new().route("/jwks", get(jwks))
}

fn mounted(api: Router<Arc<Authority>>, authority: Arc<Authority>) -> Router {
    let path = authority.issuer.path();
    let well_known = "/.well-known/oauth-authorization-server";
    let app = Router::new().route(well_known, get(metadata));
    // RFC 8414 section 3.1: the issuer's path comes after the well-known part.
    let app = match path {
        "" => app.merge(api),
        path => app.nest(path, api).route(&format!("{well_known}{path}"), get(metadata)),
    };
    app.fallback(no_such_path)
        .method_not_allowed_fallback(no_such_path)
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
        let challenge = format!("DPoP error=\"{}\", algs=\"ES256\"", body.error);
        let mut response =
            (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(body)).into_response();
        // RFC 9449 section 7.1.
        if status == 401
            && let Ok(challenge) = HeaderValue::from_str(&challenge)
        {
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
                Self::Malformed(escaped(&rejection.body_text()))
            }
        }
    )*};
}
malformed_from!(BytesRejection, FormRejection, PathRejection, QueryRejection, RawFormRejection);

async fn no_such_path(request: Request) -> Refused {
    Refused(Refusal::NoSuchPath(format!("{} {}", request.method(), request.uri().path())))
}

/// Three grants: a code and a device's code sign a device in, a token exchange elevates.
async fn token(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    form: Result<RawForm, RawFormRejection>,
) -> Answered {
    let RawForm(form) = form.map_err(Refusal::from)?;
    let parameters = sign_in::routes::parameters(&form)?;
    let proven = proven(&authority, &headers, ("POST", "/token"), None).await;
    let jkt = match (parameters.get("grant_type").map(String::as_str), proven) {
        (Some(AUTHORIZATION_CODE | DEVICE_CODE), Err(refusal)) => return Ok(of_sign_in(Err(refusal))),
        (_, proven) => proven?,
    };
    match parameters.get("grant_type").map(String::as_str) {
        Some(AUTHORIZATION_CODE) => Ok(of_sign_in(sign_in::authorization::redeem(&authority, &jkt, &parameters).await)),
        Some(DEVICE_CODE) => Ok(of_sign_in(sign_in::device::redeem(&authority, &jkt, &parameters).await)),
        Some(_) | None => match elevate(&authority, caller, &jkt, &token_request(form).await?).await? {
            Answer::Grant(elevation, grant) => Ok(told(Json(grant), &elevation, None)),
            Answer::StepUp(elevation, response) => {
                let error = response.error.clone();
                Ok(told((StatusCode::FORBIDDEN, Json(response)), &elevation, Some(error)))
            }
        },
    }
}

/// An answer about a sign-in, which is counted as such.
fn of_sign_in(answer: Result<SignInResponse, Refusal>) -> Response {
    let mut response = match answer {
        Ok(signed_in) => Json(signed_in).into_response(),
        Err(refusal) => Refused(refusal).into_response(),
    };
    response.extensions_mut().insert(OfSignIn);
    response
}

async fn token_request(form: Bytes) -> Result<TokenRequest, Refusal> {
    let mut request = Request::new(Body::from(form));
    *request.method_mut() = Method::POST;
    let urlencoded = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, urlencoded);
    let Form(request) = Form::from_request(request, &()).await.map_err(|error: FormRejection| Refusal::from(error))?;
    Ok(request)
}

/// An answer about an elevation, which log and metrics name.
fn told(answer: impl IntoResponse, elevation: &ElevationId, error: Option<String>) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(Outcome { elevation: Some(elevation.to_string()), error, cause: None });
    response
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

/// That token, and the thumbprint that proves it.
async fn presented<'a>(
    authority: &Authority,
    headers: &'a HeaderMap,
    path: &str,
) -> Result<(&'a str, String), Refusal> {
    let token = authorization(headers).ok_or(Refusal::Token("there is no 'Authorization: DPoP' header"))?;
    Ok((token, proven(authority, headers, ("POST", path), Some(token)).await?))
}

/// Who makes a request that names nobody itself.
async fn asker(
    authority: &Authority,
    caller: Caller,
    headers: &HeaderMap,
    endpoint: (&str, &str),
) -> Result<Subject, Refusal> {
    caller.of_request(authority, shown(authority, headers, endpoint)).await
}

/// The same for who only looks at what there is, which a workload may: its identity token is bound to no key, and so is a
/// bearer's (RFC 6750 section 2.1).
async fn onlooker(
    authority: &Authority,
    caller: Caller,
    headers: &HeaderMap,
    endpoint: (&str, &str),
) -> Result<Subject, Refusal> {
    let identity_token = authorization_of("Bearer", headers);
    caller.looking(authority, identity_token, shown(authority, headers, endpoint)).await
}

/// The token that a request shows, and the thumbprint that proves it.
async fn shown<'a>(
    authority: &Authority,
    headers: &'a HeaderMap,
    endpoint: (&str, &str),
) -> Result<(&'a str, String), Refusal> {
    let token = authorization(headers).ok_or(Refusal::NotSignedIn)?;
    Ok((token, proven(authority, headers, endpoint, Some(token)).await?))
}

/// RFC 7009: 200 whether or not there was something to revoke.
async fn revoke(
    State(authority): Shared,
    ConnectInfo(caller): From,
    form: Result<Form<TokenParameter>, FormRejection>,
) -> Answered {
    let Form(request) = form.map_err(Refusal::from)?;
    let account = caller.account(authority.served)?;
    if sign_in::sessions::sign_out(&authority, request.token.expose()).await?.is_some() {
        return ok(&json!({}));
    }
    let Some(claims) = own_claims(&authority, account.as_ref(), &request).await? else { return ok(&json!({})) };
    let now = authority.clock.now();
    let private = json!({ "sub": claims.sub, "grant_id": claims.jti });
    let entry = Entry::new(Event::GrantRevoked, ElevationId::stored(claims.txn), private);
    let grant_id = claims.jti.clone();
    match authority.audit.record(entry, vec![Change::RevokeGrant { id: claims.jti, at: now }]).await {
        Ok(_) => ok(&json!({})),
        // Over already, or somebody else's revocation is under way: then that one has to be on disk as well.
        Err(RecordError::Conflict(what)) => match authority.store.grant(&grant_id).await? {
            Some(grant) if grant.stands(now) => Err(Refusal::Conflict(what).into()),
            Some(_) | None => ok(&json!({})),
        },
        Err(error) => Err(error.into()),
    }
}

/// What a token of ours says. On a socket it has to be the account's own, or of somebody who is no account, as a workload;
/// over the network whoever holds one may revoke it (RFC 7009 section 2.1: the client is public).
async fn own_claims(
    authority: &Authority,
    account: Option<&Subject>,
    request: &TokenParameter,
) -> Result<Option<Claims>, Refusal> {
    let now = authority.clock.now();
    let keys = authority.signer.keys_for(request.token.expose(), now).await?;
    let claims = access_token::verify(request.token.expose(), &keys, authority.issuer.as_str(), None, now);
    let is_account = |sub: &str| sub.starts_with("uid:");
    let may = |sub: &str| account.is_none_or(|subject| sub == subject.sub() || !is_account(sub));
    Ok(claims.ok().filter(|claims| may(&claims.sub)))
}

/// RFC 7662. The one place that knows of revocation at once.
async fn introspect(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    form: Result<Form<TokenParameter>, FormRejection>,
) -> Answered {
    let Form(request) = form.map_err(Refusal::from)?;
    asker(&authority, caller, &headers, ("POST", "/introspect")).await?;
    let now = authority.clock.now();
    let keys = authority.signer.keys_for(request.token.expose(), now).await?;
    let inactive = Introspection { active: false, claims: None };
    let Ok(claims) = access_token::verify(request.token.expose(), &keys, authority.issuer.as_str(), None, now) else {
        return ok(&inactive);
    };
    let grant = authority.store.grant(&claims.jti).await?;
    let user = authority.store.user(&claims.sub).await?;
    let active = grant.is_some_and(|grant| grant.stands(now)) && user.is_some_and(|user| user.disabled_at.is_none());
    if active { ok(&Introspection { active, claims: Some(claims) }) } else { ok(&inactive) }
}

async fn resources(State(authority): Shared, ConnectInfo(caller): From, headers: HeaderMap) -> Answered {
    let subject = onlooker(&authority, caller, &headers, ("GET", "/resources")).await?;
    let rules = authority.rules().await?;
    let mut entries = Vec::new();
    for (name, resource) in &rules.config.resources {
        if let Ok(permitted) = foresee(&authority, &subject, name, &rules).await?.decision {
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
    let subject = onlooker(&authority, caller, &headers, ("GET", "/explain")).await?;
    let rules = authority.rules().await?;
    let foreseen = foresee(&authority, &subject, &name, &rules).await?;
    ok(&explanation(&name, &foreseen, authority.refused_rules()))
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

#[derive(Deserialize)]
struct EntriesQuery {
    #[serde(default)]
    from: u64,
}

/// The log as it is stored, so that a fault in it can be seen and named. Private parts go to their owners only.
async fn log_entries(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    query: Result<Query<EntriesQuery>, QueryRejection>,
) -> Answered {
    let Query(EntriesQuery { from }) = query.map_err(Refusal::from)?;
    let subject = asker(&authority, caller, &headers, ("GET", "/log/entries")).await?;
    let sub = subject.sub();
    let size = authority.store.log_size().await?;
    let to = from.saturating_add(PAGE).min(size);
    let rows = authority.store.log_rows(from, to).await?;
    let mut private = authority.store.log_private(from, to).await?;
    let places: Vec<u64> = (from..to).map(|index| tlog_tiles::stored_hash_index(0, index)).collect();
    let hashes = authority.store.log_hashes_left(&places).await?;
    let entries = (from..to).zip(rows.leaves).zip(places).map(|((index, leaf), place)| LogEntry {
        leaf: leaf.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        hash: hashes.get(&place).map(ToString::to_string),
        private: private.remove(&index).and_then(|private| shown_to(sub, private)),
    });
    ok(&LogPage { entries: entries.collect(), size })
}

/// A private part that is this subject's, or nobody's. Of one that can't be read any more, which may be anybody's, nothing
/// is shown but that it is none.
fn shown_to(sub: &str, private: Private) -> Option<Private> {
    match private.clear.as_object() {
        Some(members) => members.get("sub").is_none_or(|of| of == sub).then_some(private),
        None => Some(Private { salt: String::new(), clear: serde_json::Value::Null }),
    }
}

#[derive(Deserialize)]
struct CheckpointsQuery {
    #[serde(default)]
    above: u64,
}

async fn log_checkpoints(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    query: Result<Query<CheckpointsQuery>, QueryRejection>,
) -> Answered {
    let Query(CheckpointsQuery { above }) = query.map_err(Refusal::from)?;
    asker(&authority, caller, &headers, ("GET", "/log/checkpoints")).await?;
    ok(&LogCheckpoints { checkpoints: authority.store.checkpoints(above).await? })
}

async fn jwks(State(authority): Shared) -> Answered {
    ok(&authority.signer.jwks(authority.clock.now()).await.map_err(Refusal::from)?)
}

async fn metadata(State(authority): Shared) -> Answered {
    let at = |path: &str| format!("{}{path}", authority.issuer);
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    let sign_in = authority.rules().await?.config.sign_in.is_some().then(|| SignInMetadata {
        authorization_endpoint: at("/authorize"),
        pushed_authorization_request_endpoint: at("/par"),
        require_pushed_authorization_requests: true,
        device_authorization_endpoint: at("/device_authorization"),
        code_challenge_methods_supported: list(&["S256"]),
        authorization_response_iss_parameter_supported: true,
    });
    let (grants, responses) = match sign_in {
        Some(_) => (list(&[TOKEN_EXCHANGE, AUTHORIZATION_CODE, DEVICE_CODE]), list(&["code"])),
        None => (list(&[TOKEN_EXCHANGE]), Vec::new()),
    };
    ok(&Metadata {
        issuer: authority.issuer.to_string(),
        token_endpoint: at("/token"),
        jwks_uri: at("/jwks"),
        revocation_endpoint: at("/revoke"),
        introspection_endpoint: at("/introspect"),
        grant_types_supported: grants,
        response_types_supported: responses,
        sign_in,
        token_endpoint_auth_methods_supported: list(&["none"]),
        dpop_signing_alg_values_supported: list(&["ES256"]),
        authorization_details_types_supported: list(&["elevate"]),
        acr_values_supported: Assurance::LADDER.iter().map(|rung| rung.acr().to_owned()).collect(),
        elevate_protocol_versions: vec![crate::protocol::VERSION],
        elevate_log_key: authority.audit.log_key().to_owned(),
    })
}
