//! The device's side of the flow, read top to bottom: it pushes what it wants, and later exchanges the code that the
//! browser brought, or that its person's key or invitation got, for its sign-in. Between the two is `browser.rs`.

use super::steps::{Asking, Loopback, Redeemable, Step, find, room, secret_name};
use super::{config::ProviderConfig, sessions};
use crate::authority::Authority;
use crate::authority::audit::Entry;
use crate::authority::caller::Caller;
use crate::authority::elevation::ElevationId;
use crate::authority::error::Refusal;
use crate::authority::refusals;
use crate::authority::rules::Rules;
use crate::authority::store::{Change, KEY_REMOVED};
use crate::log::leaf::Event;
use crate::protocol::CLIENT_ID;
use crate::protocol::display::escaped;
use crate::protocol::dpop::DpopError;
use crate::protocol::encoding::{base64url, from_base64url, sha256};
use crate::protocol::messages::{PushedResponse, REQUEST_URI, SignInResponse};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Seconds from pushing a request to opening it in a browser.
const PUSHED_LIFETIME: u64 = 300;
/// Seconds a device has to exchange its code.
pub(super) const CODE_LIFETIME: u64 = 60;

/// The parameters of a request, each once (RFC 6749 section 3.1).
pub(in crate::authority) type Parameters = BTreeMap<String, String>;

/// The rules in force, where they let anybody sign in.
pub(super) async fn rules_for_sign_in(authority: &Authority) -> Result<Arc<Rules>, Refusal> {
    let rules = authority.rules().await?;
    if rules.config.sign_in.is_some() {
        return Ok(rules);
    }
    Err(refused("unauthorized_client", "nobody can sign in here: authority.toml has no [sign_in]"))
}

/// The rules in force, where they name an identity provider.
pub(super) async fn rules_with_provider(authority: &Authority) -> Result<Arc<Rules>, Refusal> {
    let rules = rules_for_sign_in(authority).await?;
    provider_of(&rules)?;
    Ok(rules)
}

pub(super) fn provider_of(rules: &Rules) -> Result<&ProviderConfig, Refusal> {
    let provider = rules.config.sign_in.as_ref().and_then(|sign_in| sign_in.provider.as_ref());
    provider.ok_or_else(|| refused("unauthorized_client", "there is no identity provider here: `elevate login --key`"))
}

pub(super) fn refused(error: &'static str, cause: impl Into<String>) -> Refusal {
    Refusal::SignIn { error, cause: cause.into() }
}

/// A parameter that has to be there.
pub(super) fn parameter<'a>(form: &'a Parameters, name: &str) -> Result<&'a str, Refusal> {
    form.get(name).map(String::as_str).ok_or_else(|| refused("invalid_request", format!("there is no '{name}'")))
}

pub(super) fn check_client(form: &Parameters) -> Result<(), Refusal> {
    if parameter(form, "client_id")? == CLIENT_ID {
        Ok(())
    } else {
        Err(refused("invalid_client", format!("client_id must be {CLIENT_ID}")))
    }
}

/// RFC 7636 section 4.3.
pub(super) fn code_challenge(form: &Parameters) -> Result<String, Refusal> {
    if parameter(form, "code_challenge_method")? != "S256" {
        return Err(refused("invalid_request", "code_challenge_method must be S256"));
    }
    let code_challenge = parameter(form, "code_challenge")?;
    if from_base64url(code_challenge).is_none_or(|hash| hash.len() != 32) {
        return Err(refused("invalid_request", "code_challenge is base64url of a SHA-256"));
    }
    Ok(code_challenge.to_owned())
}

/// What a device says of itself, for the person who confirms.
pub(super) fn asking(authority: &Authority, caller: Caller, jkt: Option<String>, form: &Parameters) -> Asking {
    let host = form.get("elevate_host").map_or("a device without a name", String::as_str);
    let address = match caller {
        Caller::Peer(_) => "this machine".to_owned(),
        Caller::Remote(address) => address.to_string(),
    };
    Asking { jkt, host: escaped(&host.chars().take(64).collect::<String>()), address, at: authority.clock.now() }
}

/// RFC 9126 section 2.1: the request, pushed by the device, whose proof has the thumbprint `jkt`.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn push(
    authority: &Authority,
    caller: Caller,
    jkt: Option<String>,
    form: &Parameters,
) -> Result<PushedResponse, Refusal> {
    rules_with_provider(authority).await?;
    check_client(form)?;
    if form.contains_key("request_uri") {
        return Err(refused("invalid_request", "a pushed request names no other"));
    }
    if parameter(form, "response_type")? != "code" {
        return Err(refused("unsupported_response_type", "response_type must be code"));
    }
    let code_challenge = code_challenge(form)?;
    let jkt = bound_to(jkt, form.get("dpop_jkt"))?;
    let redirect_uri = parameter(form, "redirect_uri")?;
    if !is_loopback(redirect_uri) {
        return Err(refused("invalid_request", "redirect_uri must be http://127.0.0.1:PORT/callback"));
    }
    let state = parameter(form, "state")?;
    if !(16..=128).contains(&state.len()) {
        return Err(refused("invalid_request", "state has 16 to 128 characters"));
    }
    room(authority, caller)?;
    let loopback = Loopback { redirect_uri: redirect_uri.to_owned(), state: state.to_owned(), code_challenge };
    let step = Step::Pushed { asking: asking(authority, caller, Some(jkt), form), loopback };
    let request_uri = format!("{REQUEST_URI}{}", secret_name());
    authority.store.write(&[step.waiting(&request_uri, authority.clock.now(), PUSHED_LIFETIME)?]).await?;
    Ok(PushedResponse { request_uri, expires_in: PUSHED_LIFETIME })
}

/// RFC 9449 section 10.1: the key that the code will be bound to, by a proof of it or by its thumbprint.
fn bound_to(proven: Option<String>, named: Option<&String>) -> Result<String, Refusal> {
    let is_thumbprint = |jkt: &&String| from_base64url(jkt).is_some_and(|hash| hash.len() == 32);
    match (proven, named) {
        (Some(proven), Some(named)) if proven != *named => {
            Err(refused("invalid_request", "dpop_jkt names another key than the proof's"))
        }
        (Some(proven), _) => Ok(proven),
        (None, Some(named)) => Some(named)
            .filter(is_thumbprint)
            .cloned()
            .ok_or_else(|| refused("invalid_request", "dpop_jkt is base64url of a SHA-256")),
        (None, None) => Err(DpopError::Invalid("there is none, and no 'dpop_jkt'").into()),
    }
}

/// RFC 8252 section 7.3: the address by number, any port, one path.
fn is_loopback(redirect_uri: &str) -> bool {
    let port = redirect_uri.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix("/callback"));
    port.is_some_and(|port| !port.starts_with(['0', '+']) && port.parse::<u16>().is_ok())
}

pub(super) async fn record_failure(
    authority: &Authority,
    asking: &Asking,
    sub: Option<&str>,
    cause: &str,
    changes: Vec<Change>,
) -> Result<(), Refusal> {
    // Without a name it is nobody's to read: `sub` is there all the same.
    let private = json!({
        "sub": sub, "host": asking.host, "address": asking.address, "jkt": asking.jkt,
    });
    let mut entry = Entry::new(Event::SignInFailed, ElevationId::fresh(), private);
    entry.cause = Some(cause.to_owned());
    refusals::record(authority, asking.address.parse().ok(), entry, changes).await
}

/// RFC 6749 section 4.1.3: the device exchanges its code, which is bound to its key (RFC 9449 section 10), for its sign-in.
///
/// # Errors
/// [`Refusal`]; a code that is used wrongly is over, and one that is used twice ends what it became.
pub(in crate::authority) async fn redeem(
    authority: &Authority,
    jkt: &str,
    form: &Parameters,
) -> Result<SignInResponse, Refusal> {
    rules_for_sign_in(authority).await?;
    check_client(form)?;
    let now = authority.clock.now();
    let gone = || refused("invalid_grant", "the code is over: it was used already, or its minute has passed");
    let found = find(authority, parameter(form, "code")?).await?.ok_or_else(gone)?;
    let (stands, taken, was_taken) = (found.stands(now), found.taken(now), found.row.spent_at.is_some());
    let Step::Code(code) = found.step else { return Err(gone()) };
    let Redeemable { asking, identity, sign_in, .. } = &code;
    // Somebody else saw it: what it became ends (RFC 6749 section 4.1.2).
    let stolen = async || {
        let cause = "its authorization code was used twice".to_owned();
        sessions::end(authority, &identity.sub, sign_in, Event::SignInEnded, Some(cause), now).await
    };
    if was_taken {
        stolen().await?;
    }
    if !stands {
        return Err(gone());
    }
    let verifier = parameter(form, "code_verifier")?;
    let wrong = if asking.jkt.as_deref() != Some(jkt) {
        Some("the code is bound to another key")
    } else if form.get("redirect_uri") != code.redirect_uri.as_ref() {
        Some("the code was sent elsewhere")
    } else if !(43..=128).contains(&verifier.len()) || base64url(sha256(&[verifier.as_bytes()])) != code.code_challenge
    {
        Some("code_verifier does not fit the code")
    } else {
        None
    };
    if let Some(cause) = wrong {
        record_failure(authority, asking, Some(&identity.sub), cause, vec![taken]).await?;
        return Err(refused("invalid_grant", cause));
    }
    let key = code.evidence.as_ref().and_then(|evidence| evidence["credential_id"].as_str());
    let key = key.map(|id| Change::HoldSecurityKey { sub: identity.sub.clone(), credential_id: id.to_owned() });
    let device = sessions::Device { jkt, host: &asking.host, id: sign_in.clone(), evidence: code.evidence.as_ref() };
    match sessions::begin(authority, identity.clone(), device, std::iter::once(taken).chain(key).collect()).await {
        Err(Refusal::Conflict(KEY_REMOVED)) => Err(refused("invalid_grant", KEY_REMOVED)),
        // Two at once: only one device has the key, so somebody copies requests.
        Err(Refusal::Conflict(_)) => {
            stolen().await?;
            Err(gone())
        }
        done => done,
    }
}
