//! The flow, read top to bottom: a device pushes what it wants, its browser is sent to the provider and comes back, the
//! person confirms, and the device exchanges a code for its sign-in.

use super::pages::Page;
use super::sessions::{self, Over};
use super::steps::{Answer, Asking, DeviceState, Found, Loopback, Step, find, find_hash, room, secret_name};
use super::upstream::Way;
use super::{Identity, SignedIn, config::SignInConfig};
use crate::authority::Authority;
use crate::authority::audit::Entry;
use crate::authority::caller::{Caller, Subject};
use crate::authority::elevation::ElevationId;
use crate::authority::error::Refusal;
use crate::authority::refusals;
use crate::authority::rules::Rules;
use crate::authority::store::Change;
use crate::log::leaf::Event;
use crate::protocol::CLIENT_ID;
use crate::protocol::challenge::session_hash;
use crate::protocol::display::escaped;
use crate::protocol::encoding::{base64url, random, sha256};
use crate::protocol::messages::{PushedResponse, REQUEST_URI, SignInResponse};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use url::Url;

/// Seconds from pushing a request to opening it in a browser.
const PUSHED_LIFETIME: u64 = 300;
/// Seconds a person has at the provider, and to confirm.
const PERSON_LIFETIME: u64 = 600;
/// Seconds a device has to exchange its code.
const CODE_LIFETIME: u64 = 60;

/// RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6.
const ERRORS: [&str; 11] = [
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "invalid_request",
    "invalid_scope",
    "login_required",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_response_type",
];

/// The parameters of a request, each once (RFC 6749 section 3.1).
pub(in crate::authority) type Parameters = BTreeMap<String, String>;

/// What the browser is told.
pub(super) enum Shown {
    /// A page.
    Page(Page),
    /// On to the provider, with the cookie that knows this browser again.
    Provider(Url, String),
}

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        match self {
            Self::Page(page) => page.into_response(),
            Self::Provider(url, browser) => ([cookie(&browser)], Redirect::to(url.as_str())).into_response(),
        }
    }
}

/// The cookie that knows a browser again for as long as a person may take.
pub(super) fn cookie(browser: &str) -> (axum::http::HeaderName, String) {
    let attributes = format!("Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={PERSON_LIFETIME}");
    (axum::http::header::SET_COOKIE, format!("{COOKIE}={browser}; {attributes}"))
}

/// Its name: only this host can have set it, over TLS (RFC 6265bis section 4.1.3.2).
pub(super) const COOKIE: &str = "__Host-elevate-sign-in";

/// The rules in force, where they let anybody sign in.
pub(super) async fn rules_for_sign_in(authority: &Authority) -> Result<Arc<Rules>, Refusal> {
    let rules = authority.rules().await?;
    if rules.config.sign_in.is_some() {
        return Ok(rules);
    }
    Err(refused("unauthorized_client", "nobody can sign in here: authority.toml has no [sign_in]"))
}

pub(super) fn config_of(rules: &Rules) -> Result<&SignInConfig, Refusal> {
    rules.config.sign_in.as_ref().ok_or(Refusal::NotSignedIn)
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

/// What a device says of itself, for the person who confirms.
pub(super) fn asking(authority: &Authority, caller: Caller, jkt: String, form: &Parameters) -> Asking {
    let host = form.get("elevate_host").map_or("a device without a name", String::as_str);
    let address = match caller {
        Caller::Peer(_) => "this machine".to_owned(),
        Caller::Remote(address) => address.to_string(),
    };
    Asking { jkt, host: escaped(&host.chars().take(64).collect::<String>()), address, at: authority.clock.now() }
}

/// RFC 9126 section 2.1: the request, pushed by the device, whose proof (RFC 9449 section 10.1) has the thumbprint `jkt`.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn push(
    authority: &Authority,
    caller: Caller,
    jkt: String,
    form: &Parameters,
) -> Result<PushedResponse, Refusal> {
    rules_for_sign_in(authority).await?;
    check_client(form)?;
    if form.contains_key("request_uri") {
        return Err(refused("invalid_request", "a pushed request names no other"));
    }
    if parameter(form, "response_type")? != "code" {
        return Err(refused("unsupported_response_type", "response_type must be code"));
    }
    if parameter(form, "code_challenge_method")? != "S256" {
        return Err(refused("invalid_request", "code_challenge_method must be S256"));
    }
    let code_challenge = parameter(form, "code_challenge")?;
    if crate::protocol::encoding::from_base64url(code_challenge).is_none_or(|hash| hash.len() != 32) {
        return Err(refused("invalid_request", "code_challenge is base64url of a SHA-256"));
    }
    if form.get("dpop_jkt").is_some_and(|named| *named != jkt) {
        return Err(refused("invalid_request", "dpop_jkt names another key than the proof's"));
    }
    let redirect_uri = parameter(form, "redirect_uri")?;
    if !is_loopback(redirect_uri) {
        return Err(refused("invalid_request", "redirect_uri must be http://127.0.0.1:PORT/callback"));
    }
    let state = parameter(form, "state")?;
    if !(16..=128).contains(&state.len()) {
        return Err(refused("invalid_request", "state has 16 to 128 characters"));
    }
    room(authority, caller)?;
    let loopback = Loopback {
        redirect_uri: redirect_uri.to_owned(),
        state: state.to_owned(),
        code_challenge: code_challenge.to_owned(),
    };
    let step = Step::Pushed { asking: asking(authority, caller, jkt, form), loopback };
    let request_uri = format!("{REQUEST_URI}{}", secret_name());
    authority.store.write(&[step.waiting(&request_uri, authority.clock.now(), PUSHED_LIFETIME)?]).await?;
    Ok(PushedResponse { request_uri, expires_in: PUSHED_LIFETIME })
}

/// RFC 8252 section 7.3: the address by number, any port, one path.
fn is_loopback(redirect_uri: &str) -> bool {
    let port = redirect_uri.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix("/callback"));
    port.is_some_and(|port| !port.starts_with(['0', '+']) && port.parse::<u16>().is_ok())
}

/// The device's browser begins: it is sent on to the provider. `browser` is what it is known by, if it was here before.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn begin(authority: &Authority, query: &Parameters, browser: Option<&str>) -> Result<Shown, Refusal> {
    check_client(query)?;
    let found = find(authority, parameter(query, "request_uri")?).await?;
    let now = authority.clock.now();
    let Some(Found { step: Step::Pushed { asking, loopback }, row }) = found.filter(|found| found.stands(now)) else {
        return Ok(over());
    };
    let taken = Change::SpendSignInStep { hash: row.hash, at: now };
    to_provider(authority, asking, Answer::Loopback(loopback), taken, browser).await
}

/// Sends a browser on to the provider; where that can't be reached, back with the reason.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn to_provider(
    authority: &Authority,
    asking: Asking,
    answer: Answer,
    taken: Change,
    browser: Option<&str>,
) -> Result<Shown, Refusal> {
    let rules = rules_for_sign_in(authority).await?;
    // Somebody who types a code for a device may have been talked into it: who they are is asked anew.
    let anew = matches!(answer, Answer::Device(_));
    let way = authority.sign_in.provider.way(config_of(&rules)?, &callback(authority), anew, &authority.clock).await;
    let Way { url, state, nonce, verifier } = match way {
        Ok(way) => way,
        Err(Refusal::Provider(reason)) => {
            authority.store.write(&[taken]).await?;
            let cause = Refusal::Provider(reason).to_string();
            return failed(authority, &asking, &answer, None, "temporarily_unavailable", &cause).await;
        }
        Err(error) => return Err(error),
    };
    let browser = browser.map_or_else(secret_name, str::to_owned);
    let step = Step::AtProvider { asking, answer, browser: session_hash(&browser), nonce, verifier };
    authority.store.write(&[taken, step.waiting(&state, authority.clock.now(), PERSON_LIFETIME)?]).await?;
    Ok(Shown::Provider(url, browser))
}

fn callback(authority: &Authority) -> String {
    format!("{}/sign_in/callback", authority.issuer)
}

/// The browser is back from the provider: who it is is established, and the person asked whether they want it.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn back(authority: &Authority, query: &Parameters, browser: Option<&str>) -> Result<Shown, Refusal> {
    let rules = rules_for_sign_in(authority).await?;
    let config = config_of(&rules)?;
    let now = authority.clock.now();
    let Some(state) = query.get("state") else { return Ok(over()) };
    let Some(found) = find(authority, state).await?.filter(|found| found.stands(now)) else { return Ok(over()) };
    let taken = found.taken(now);
    let Step::AtProvider { asking, answer, browser: begun_in, nonce, verifier } = found.step else {
        return Ok(over());
    };
    if browser.map(session_hash).as_ref() != Some(&begun_in) {
        return Ok(Shown::Page(Page::said(
            StatusCode::FORBIDDEN,
            "This sign-in was begun in another browser",
            "Nothing was signed in. Run elevate login again, and open its link here.",
        )));
    }
    authority.store.write(&[taken]).await?;
    let provider = &authority.sign_in.provider;
    let identity = async {
        provider.check_issuer(config, query.get("iss").map(String::as_str), &authority.clock).await?;
        if let Some(error) = query.get("error") {
            // What is written in a URL goes into the log only where it is a word that the standards know.
            let error = ERRORS.iter().find(|known| **known == error).unwrap_or(&"for a reason of its own");
            return Err(refused("access_denied", format!("the identity provider says no: {error}")));
        }
        let code = parameter(query, "code")?;
        provider.identity(config, &callback(authority), code, (&nonce, &verifier), &authority.clock).await
    };
    let identity = match identity.await {
        Ok(identity) => identity,
        Err(error) => {
            let code = if matches!(error, Refusal::SignIn { .. }) { "access_denied" } else { "server_error" };
            return failed(authority, &asking, &answer, None, code, &error.to_string()).await;
        }
    };
    let somebody = SignedIn { id: String::new(), person: identity.person.clone() };
    if !config.lets_in(&Subject::signed_in(identity.sub.clone(), somebody)) {
        let cause = Over::NotLetIn.to_string();
        return failed(authority, &asking, &answer, Some(&identity), "access_denied", &cause).await;
    }
    if authority.store.user(&identity.sub).await?.is_some_and(|user| user.disabled_at.is_some()) {
        let cause = Over::Disabled.to_string();
        return failed(authority, &asking, &answer, Some(&identity), "access_denied", &cause).await;
    }
    confirm(authority, asking, answer, begun_in, identity).await
}

async fn confirm(
    authority: &Authority,
    asking: Asking,
    answer: Answer,
    browser: String,
    identity: Identity,
) -> Result<Shown, Refusal> {
    let name = secret_name();
    let action = format!("{}/sign_in/confirm", authority.issuer.path());
    let page = Page::confirm(&action, &name, &identity, &asking);
    let step = Step::Confirm { asking, answer, browser, identity };
    authority.store.write(&[step.waiting(&name, authority.clock.now(), PERSON_LIFETIME)?]).await?;
    Ok(Shown::Page(page))
}

/// The person answered.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn decide(authority: &Authority, form: &Parameters, browser: Option<&str>) -> Result<Shown, Refusal> {
    let now = authority.clock.now();
    let found = find(authority, parameter(form, "name")?).await?;
    let Some(found) = found.filter(|found| found.stands(now)) else { return Ok(over()) };
    let taken = found.taken(now);
    let Step::Confirm { asking, answer, browser: begun_in, identity } = found.step else { return Ok(over()) };
    if browser.map(session_hash) != Some(begun_in) {
        return Ok(over());
    }
    let allowed = form.get("answer").map(String::as_str) == Some("allow");
    match answer {
        Answer::Loopback(_) | Answer::Device(_) if !allowed => {
            authority.store.write(&[taken]).await?;
            if let Answer::Device(hash) = &answer {
                answer_device(authority, hash, DeviceState::Refused).await?;
            }
            failed(authority, &asking, &answer, Some(&identity), "access_denied", "the person refused it").await
        }
        Answer::Loopback(loopback) => {
            let code = secret_name();
            let url = answered(authority, &loopback, &[("code", &code)])?;
            let step = Step::Code { asking, loopback, identity, sign_in: base64url(random::<16>()) };
            authority.store.write(&[taken, step.waiting(&code, now, CODE_LIFETIME)?]).await?;
            Ok(Shown::Page(Page::onward(&url)))
        }
        Answer::Device(hash) => {
            authority.store.write(&[taken]).await?;
            answer_device(authority, &hash, DeviceState::Allowed(identity)).await?;
            let text = "The device is being signed in. You may close this window.";
            Ok(Shown::Page(Page::said(StatusCode::OK, "Done", text)))
        }
    }
}

async fn answer_device(authority: &Authority, hash: &str, state: DeviceState) -> Result<(), Refusal> {
    let Some(Found { row, step: Step::Device { asking, .. } }) = find_hash(authority, hash).await? else {
        return Ok(());
    };
    let content = serde_json::to_string(&Step::Device { asking, state }).map_err(|_| Refusal::Broken)?;
    let change = Change::AnswerSignInStep { hash: row.hash, before: row.content, content };
    Ok(authority.store.write(&[change]).await?)
}

/// RFC 6749 section 4.1.2, with the issuer (RFC 9207 section 2).
fn answered(authority: &Authority, loopback: &Loopback, parameters: &[(&str, &str)]) -> Result<String, Refusal> {
    let mut url: Url = loopback.redirect_uri.parse().map_err(|_| Refusal::Broken)?;
    url.query_pairs_mut()
        .extend_pairs(parameters)
        .append_pair("state", &loopback.state)
        .append_pair("iss", authority.issuer.as_str());
    Ok(url.into())
}

/// Records that somebody is not let in, and says so: to the device where its browser can, else to the person.
async fn failed(
    authority: &Authority,
    asking: &Asking,
    answer: &Answer,
    identity: Option<&Identity>,
    error: &'static str,
    cause: &str,
) -> Result<Shown, Refusal> {
    record_failure(authority, asking, identity, cause, Vec::new()).await?;
    match answer {
        Answer::Loopback(loopback) => {
            let url = answered(authority, loopback, &[("error", error), ("error_description", cause)])?;
            Ok(Shown::Page(Page::onward(&url)))
        }
        Answer::Device(_) => {
            let text = format!("{cause}. You may close this window.");
            Ok(Shown::Page(Page::said(StatusCode::FORBIDDEN, "The device is not signed in", &text)))
        }
    }
}

pub(super) async fn record_failure(
    authority: &Authority,
    asking: &Asking,
    identity: Option<&Identity>,
    cause: &str,
    changes: Vec<Change>,
) -> Result<(), Refusal> {
    // Without a name it is nobody's to read: `sub` is there all the same.
    let private = json!({
        "sub": identity.map(|identity| &identity.sub), "host": asking.host, "address": asking.address, "jkt": asking.jkt,
    });
    let mut entry = Entry::new(Event::SignInFailed, ElevationId::fresh(), private);
    entry.cause = Some(cause.to_owned());
    refusals::record(authority, asking.address.parse().ok(), entry, changes).await
}

fn over() -> Shown {
    Shown::Page(Page::said(
        StatusCode::BAD_REQUEST,
        "This sign-in is over",
        "It was finished already, or its time has passed. Run elevate login again.",
    ))
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
    check_client(form)?;
    let now = authority.clock.now();
    let gone = || refused("invalid_grant", "the code is over: it was used already, or its minute has passed");
    let found = find(authority, parameter(form, "code")?).await?.ok_or_else(gone)?;
    let (stands, taken, was_taken) = (found.stands(now), found.taken(now), found.row.spent_at.is_some());
    let Step::Code { asking, loopback, identity, sign_in } = found.step else { return Err(gone()) };
    if was_taken {
        end_stolen(authority, &identity, &sign_in).await?;
    }
    if !stands {
        return Err(gone());
    }
    let verifier = parameter(form, "code_verifier")?;
    let wrong = if asking.jkt != jkt {
        Some("the code is bound to another key")
    } else if parameter(form, "redirect_uri")? != loopback.redirect_uri {
        Some("the code was sent elsewhere")
    } else if !(43..=128).contains(&verifier.len())
        || base64url(sha256(&[verifier.as_bytes()])) != loopback.code_challenge
    {
        Some("code_verifier does not fit the code")
    } else {
        None
    };
    if let Some(cause) = wrong {
        record_failure(authority, &asking, Some(&identity), cause, vec![taken]).await?;
        return Err(refused("invalid_grant", cause));
    }
    let device = sessions::Device { jkt, host: &asking.host, id: sign_in.clone() };
    match sessions::begin(authority, identity.clone(), device, vec![taken]).await {
        // Two at once: only one device has the key, so somebody copies requests.
        Err(Refusal::Conflict(_)) => {
            end_stolen(authority, &identity, &sign_in).await?;
            Err(gone())
        }
        done => done,
    }
}

/// A code that comes twice was seen by somebody else: what it became ends (RFC 6749 section 4.1.2).
async fn end_stolen(authority: &Authority, identity: &Identity, sign_in: &str) -> Result<(), Refusal> {
    let mut entry =
        Entry::new(Event::SignInEnded, ElevationId::fresh(), json!({ "sub": identity.sub, "sign_in": sign_in }));
    entry.cause = Some("its authorization code was used twice".to_owned());
    let change = Change::EndSignIn { id: sign_in.to_owned(), at: authority.clock.now() };
    match authority.audit.record(entry, vec![change]).await {
        Ok(_) | Err(crate::authority::audit::RecordError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
