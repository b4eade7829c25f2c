//! What services need that check tokens: who the authority is (RFC 8414), and its keys (RFC 7517).

use super::{Answered, Shared, ok};
use crate::authority::error::Refusal;
use crate::protocol::assurance::Assurance;
use crate::protocol::messages::{
    AUTHORIZATION_CODE, BrowserMetadata, DEVICE_CODE, Metadata, SignInMetadata, TOKEN_EXCHANGE,
};
use axum::extract::State;

pub(super) async fn jwks(State(authority): Shared) -> Answered {
    ok(&authority.signer.jwks(authority.clock.now()).await.map_err(Refusal::from)?)
}

pub(super) async fn metadata(State(authority): Shared) -> Answered {
    let at = |path: &str| format!("{}{path}", authority.issuer);
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    let rules = authority.rules().await?;
    let sign_in = rules.config.sign_in.as_ref().map(|sign_in| SignInMetadata {
        authorization_challenge_endpoint: at("/authorize-challenge"),
        code_challenge_methods_supported: list(&["S256"]),
        browser: sign_in.provider.as_ref().map(|_| BrowserMetadata {
            authorization_endpoint: at("/authorize"),
            pushed_authorization_request_endpoint: at("/par"),
            require_pushed_authorization_requests: true,
            device_authorization_endpoint: at("/device_authorization"),
            authorization_response_iss_parameter_supported: true,
        }),
    });
    let (grants, responses) = match &sign_in {
        Some(SignInMetadata { browser: Some(_), .. }) => {
            (list(&[TOKEN_EXCHANGE, AUTHORIZATION_CODE, DEVICE_CODE]), list(&["code"]))
        }
        Some(SignInMetadata { browser: None, .. }) => (list(&[TOKEN_EXCHANGE, AUTHORIZATION_CODE]), list(&["code"])),
        None => (list(&[TOKEN_EXCHANGE]), Vec::new()),
    };
    // A person shows a sign-in, a service its identity token.
    let introspecting: &[&str] = if rules.config.trusted_issuers.is_empty() { &["DPoP"] } else { &["DPoP", "Bearer"] };
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
        revocation_endpoint_auth_methods_supported: list(&["none"]),
        introspection_endpoint_auth_methods_supported: list(introspecting),
        dpop_signing_alg_values_supported: list(&["ES256"]),
        authorization_details_types_supported: list(&["elevate"]),
        acr_values_supported: Assurance::LADDER.iter().map(|rung| rung.acr().to_owned()).collect(),
        elevate_protocol_versions: vec![crate::protocol::VERSION],
        elevate_log_key: authority.audit.log_key().to_owned(),
    })
}
