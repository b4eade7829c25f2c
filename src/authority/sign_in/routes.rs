//! HTTP of signing in: which path leads where. What a browser asks for is answered with a page, also where it is a no.

use super::authorization::{self, Parameters, refused};
use super::browser::{self, COOKIE, Shown};
use super::pages::Page;
use super::{device, direct};
use crate::authority::Authority;
use crate::authority::error::Refusal;
use crate::authority::routes::{Answered, From, Shared, ok, proven};
use crate::authority::server::requests::Outcome;
use crate::protocol::dpop::DpopError;
use axum::Router;
use axum::extract::rejection::RawFormRejection;
use axum::extract::{ConnectInfo, RawForm, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;

/// For the public: devices and browsers.
pub(in crate::authority) fn endpoints() -> Router<Arc<Authority>> {
    Router::new()
        .route("/par", post(push))
        .route("/authorize-challenge", post(challenge))
        .route("/device_authorization", post(authorize_device))
        .route("/authorize", get(authorize))
        .route("/sign_in/callback", get(callback))
        .route("/sign_in/confirm", post(confirm))
        .route("/device", get(device_page).post(device_typed))
}

/// The parameters, where none is there twice; one without a value is none (RFC 6749 section 3.1).
///
/// # Errors
/// [`Refusal::SignIn`].
pub(in crate::authority) fn parameters(text: &[u8]) -> Result<Parameters, Refusal> {
    let mut parameters = Parameters::new();
    for (name, value) in url::form_urlencoded::parse(text).filter(|(_, value)| !value.is_empty()) {
        // RFC 8707 section 2 allows several, and lets us say that they are too many.
        if name == "resource" && parameters.contains_key("resource") {
            let says = "a token is for one resource".to_owned();
            return Err(Refusal::Parameter { error: "invalid_target", says });
        }
        if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(refused("invalid_request", "a parameter is there twice"));
        }
    }
    Ok(parameters)
}

/// RFC 6749 section 2.3: clients are public, and one that shows credentials is told that it is taken for another.
///
/// # Errors
/// [`Refusal::ClientAuthentication`]; [`Refusal::Parameter`].
pub(in crate::authority) fn check_public(headers: &HeaderMap, form: &Parameters) -> Result<(), Refusal> {
    if headers.contains_key(header::AUTHORIZATION) {
        return Err(Refusal::ClientAuthentication);
    }
    if ["client_secret", "client_assertion"].into_iter().any(|name| form.contains_key(name)) {
        let says = Refusal::ClientAuthentication.to_string();
        return Err(Refusal::Parameter { error: "invalid_client", says });
    }
    Ok(())
}

/// How every question of a device begins: its parameters, from a public client, and the thumbprint of the proof that it
/// has, if it has one (RFC 9449 section 4.3).
async fn begun(
    authority: &Authority,
    headers: &HeaderMap,
    form: Result<RawForm, RawFormRejection>,
    path: &str,
) -> Result<(Parameters, Option<String>), Refusal> {
    let form = parameters(&form?.0)?;
    check_public(headers, &form)?;
    if !headers.contains_key("dpop") {
        return Ok((form, None));
    }
    let jkt = proven(authority, headers, ("POST", path), None).await?;
    Ok((form, Some(jkt)))
}

async fn push(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    form: Result<RawForm, RawFormRejection>,
) -> Answered {
    let (form, jkt) = begun(&authority, &headers, form, "/par").await?;
    let pushed = authorization::push(&authority, caller, jkt, &form).await?;
    Ok((StatusCode::CREATED, axum::Json(pushed)).into_response())
}

/// draft-ietf-oauth-first-party-apps, section 5.
async fn challenge(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    form: Result<RawForm, RawFormRejection>,
) -> Answered {
    let (form, jkt) = begun(&authority, &headers, form, "/authorize-challenge").await?;
    let jkt = jkt.ok_or(DpopError::Invalid("there must be exactly one DPoP header"))?;
    match direct::answer(&authority, caller, jkt, &form).await? {
        direct::Answer::Code(code) => ok(&code),
        direct::Answer::Challenge(challenge) => Ok((StatusCode::FORBIDDEN, axum::Json(challenge)).into_response()),
    }
}

async fn authorize_device(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    form: Result<RawForm, RawFormRejection>,
) -> Answered {
    let (form, jkt) = begun(&authority, &headers, form, "/device_authorization").await?;
    ok(&device::authorize(&authority, caller, jkt, &form).await?)
}

async fn authorize(State(authority): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let shown = async {
        browser::begin(&authority, &parameters(query.unwrap_or_default().as_bytes())?, known_by(&headers)).await
    };
    page(shown.await)
}

async fn callback(State(authority): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let shown = async {
        browser::back(&authority, &parameters(query.unwrap_or_default().as_bytes())?, known_by(&headers)).await
    };
    page(shown.await)
}

async fn confirm(State(authority): Shared, headers: HeaderMap, form: Result<RawForm, RawFormRejection>) -> Response {
    let shown = async {
        same_site(&headers)?;
        let form = parameters(&form.map_err(Refusal::from)?.0)?;
        browser::decide(&authority, &form, known_by(&headers)).await
    };
    page(shown.await)
}

async fn device_page(State(authority): Shared, RawQuery(query): RawQuery) -> Response {
    page(parameters(query.unwrap_or_default().as_bytes()).map(|query| device::ask(&authority, &query)))
}

async fn device_typed(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    form: Result<RawForm, RawFormRejection>,
) -> Response {
    let shown = async {
        same_site(&headers)?;
        let form = parameters(&form.map_err(Refusal::from)?.0)?;
        match device::typed(&authority, caller, &form, known_by(&headers)).await? {
            // `form-action` would hold a redirect up.
            Shown::Provider(url, browser) => {
                Ok(([browser::cookie(&browser)], Page::onward(url.as_str())).into_response())
            }
            shown @ Shown::Page(_) => Ok(shown.into_response()),
        }
    };
    shown.await.unwrap_or_else(no)
}

/// Pages of others send no forms here. Browsers say where a request comes from (Fetch Metadata); others have no cookies.
fn same_site(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get("sec-fetch-site").and_then(|site| site.to_str().ok()) {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(refused("invalid_request", "the form came from another site")),
    }
}

/// What this browser is known by.
fn known_by(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split("; ")).filter_map(|cookie| cookie.split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE && value.len() == 43).then_some(value))
}

fn page(shown: Result<Shown, Refusal>) -> Response {
    shown.map_or_else(no, Shown::into_response)
}

#[allow(clippy::needless_pass_by_value, reason = "it is shown, and over")]
fn no(refusal: Refusal) -> Response {
    let (status, error, _) = refusal.class();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = Page::said(status, "That did not work", &format!("{refusal}.")).into_response();
    response.extensions_mut().insert(Outcome {
        elevation: None,
        error: Some(error.to_owned()),
        cause: Some(refusal.cause()),
    });
    response
}
