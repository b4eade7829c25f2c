//! Between a device's request and its code, in a browser: on to the provider, back, and the person confirms.

use super::authorization::{
    CODE_LIFETIME, Parameters, check_client, parameter, provider_of, record_failure, refused, rules_with_provider,
};
use super::pages::Page;
use super::sessions::Over;
use super::steps::{Answer, Asking, DeviceState, Found, Loopback, Redeemable, Step, find, find_hash, secret_name};
use super::upstream::Way;
use super::{Identity, SignedIn};
use crate::authority::Authority;
use crate::authority::caller::Subject;
use crate::authority::error::Refusal;
use crate::authority::store::Change;
use crate::protocol::challenge::session_hash;
use crate::protocol::encoding::{base64url, random};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use url::Url;

/// Seconds a person has at the provider, and to confirm.
const PERSON_LIFETIME: u64 = 600;
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
    let rules = rules_with_provider(authority).await?;
    // Somebody who types a code for a device may have been talked into it: who they are is asked anew.
    let anew = matches!(answer, Answer::Device(_));
    let way = authority.sign_in.provider.way(provider_of(&rules)?, &callback(authority), anew, &authority.clock).await;
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
    let rules = rules_with_provider(authority).await?;
    let config = provider_of(&rules)?;
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
    let subject = Subject::signed_in(identity.sub.clone(), somebody);
    if !rules.config.sign_in.as_ref().is_some_and(|config| config.lets_in(&subject)) {
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
            failed(authority, &asking, &answer, Some(&identity), "access_denied", "the person refused it").await
        }
        Answer::Loopback(loopback) => {
            let code = secret_name();
            let url = answered(authority, &loopback, &[("code", &code)])?;
            let step = Step::Code(Redeemable {
                asking,
                redirect_uri: Some(loopback.redirect_uri),
                code_challenge: loopback.code_challenge,
                identity,
                sign_in: base64url(random::<16>()),
                evidence: None,
            });
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

/// Records that somebody is not let in, and says so: to the device, by its browser or when it asks, and to the person.
async fn failed(
    authority: &Authority,
    asking: &Asking,
    answer: &Answer,
    identity: Option<&Identity>,
    error: &'static str,
    cause: &str,
) -> Result<Shown, Refusal> {
    record_failure(authority, asking, identity.map(|identity| identity.sub.as_str()), cause, Vec::new()).await?;
    match answer {
        Answer::Loopback(loopback) => {
            let url = answered(authority, loopback, &[("error", error), ("error_description", cause)])?;
            Ok(Shown::Page(Page::onward(&url)))
        }
        Answer::Device(hash) => {
            match answer_device(authority, hash, DeviceState::Refused(cause.to_owned())).await {
                // It was answered already: then this changes nothing for it.
                Ok(()) | Err(Refusal::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
            let text = format!("{cause}. You may close this window.");
            Ok(Shown::Page(Page::said(StatusCode::FORBIDDEN, "The device is not signed in", &text)))
        }
    }
}

fn over() -> Shown {
    Shown::Page(Page::said(
        StatusCode::BAD_REQUEST,
        "This sign-in is over",
        "It was finished already, or its time has passed. Run elevate login again.",
    ))
}
