//! `POST /token`: three grants. A code and a device's code sign a device in, a token exchange elevates.

use super::{Answered, From, Refused, Shared, proven};
use crate::authority::elevation::{Answer, ElevationId, elevate};
use crate::authority::error::Refusal;
use crate::authority::server::requests::{OfSignIn, Outcome};
use crate::authority::sign_in;
use crate::authority::sign_in::authorization::Parameters;
use crate::authority::sign_in::routes::{check_public, parameters};
use crate::protocol::messages::{
    ACCESS_TOKEN_TYPE, AUTHORIZATION_CODE, DEVICE_CODE, SignInResponse, TOKEN_EXCHANGE, TokenRequest,
};
use crate::protocol::names::Scope;
use crate::protocol::secret::Secret;
use axum::Json;
use axum::extract::rejection::RawFormRejection;
use axum::extract::{ConnectInfo, RawForm, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

pub(super) async fn token(
    State(authority): Shared,
    ConnectInfo(caller): From,
    headers: HeaderMap,
    form: Result<RawForm, RawFormRejection>,
) -> Answered {
    let parameters = parameters(&form.map_err(Refusal::from)?.0)?;
    check_public(&headers, &parameters)?;
    let proven = proven(&authority, &headers, ("POST", "/token"), None).await;
    let grant_type = parameters.get("grant_type").cloned();
    let jkt = match (grant_type.as_deref(), proven) {
        (Some(AUTHORIZATION_CODE | DEVICE_CODE), Err(refusal)) => return Ok(of_sign_in(Err(refusal))),
        (_, proven) => proven?,
    };
    match grant_type.as_deref() {
        Some(TOKEN_EXCHANGE) => match elevate(&authority, caller, &jkt, &exchange(parameters)?).await? {
            Answer::Grant(elevation, grant) => Ok(told(Json(grant), &elevation, None)),
            Answer::StepUp(elevation, response) => {
                let error = response.error.clone();
                Ok(told((StatusCode::FORBIDDEN, Json(response)), &elevation, Some(error)))
            }
        },
        Some(AUTHORIZATION_CODE) => Ok(of_sign_in(sign_in::authorization::redeem(&authority, &jkt, &parameters).await)),
        Some(DEVICE_CODE) => Ok(of_sign_in(sign_in::device::redeem(&authority, &jkt, &parameters).await)),
        Some(_) => Err(parameter("unsupported_grant_type", "there is no such grant_type here").into()),
        None => Err(Refusal::Malformed("there is no 'grant_type'".into()).into()),
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

fn parameter(error: &'static str, says: &str) -> Refusal {
    Refusal::Parameter { error, says: says.to_owned() }
}

/// The request of a token exchange (RFC 8693 section 2.1).
fn exchange(mut form: Parameters) -> Result<TokenRequest, Refusal> {
    // Only what is done is promised: one resource, nobody acts for anybody, one type of token.
    if form.contains_key("audience") {
        return Err(parameter("invalid_target", "name what the token is for as 'resource', not as 'audience'"));
    }
    if form.contains_key("actor_token") || form.contains_key("actor_token_type") {
        return Err(Refusal::Malformed("nobody acts for anybody else here: there is no 'actor_token'".into()));
    }
    if form.get("requested_token_type").is_some_and(|wanted| wanted != ACCESS_TOKEN_TYPE) {
        return Err(Refusal::Malformed(format!("requested_token_type is {ACCESS_TOKEN_TYPE}, or left out")));
    }
    let log_size = form.remove("log_size").map(|size| size.parse()).transpose();
    let scope = form.remove("scope").map_or_else(|| Ok(Scope::default()), |scope| scope.parse());
    let mut wanted = |name: &str| form.remove(name).ok_or_else(|| Refusal::Malformed(format!("there is no '{name}'")));
    Ok(TokenRequest {
        grant_type: wanted("grant_type")?,
        client_id: wanted("client_id")?,
        subject_token: Secret::new(wanted("subject_token")?),
        subject_token_type: wanted("subject_token_type")?,
        // RFC 8707 section 2.
        resource: wanted("resource").map_err(|_| parameter("invalid_target", "there is no 'resource'"))?,
        scope: scope.map_err(|malformed| parameter("invalid_scope", &malformed.to_string()))?,
        authorization_details: wanted("authorization_details")?,
        log_size: log_size.map_err(|_| Refusal::Malformed("log_size is a number".into()))?.unwrap_or_default(),
        prompt: form.remove("prompt"),
        auth_session: form.remove("auth_session"),
        authn_response: form.remove("authn_response"),
    })
}

/// An answer about an elevation, which log and metrics name.
fn told(answer: impl IntoResponse, elevation: &ElevationId, error: Option<String>) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(Outcome { elevation: Some(elevation.to_string()), error, cause: None });
    response
}
