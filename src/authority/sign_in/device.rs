//! The device flow (RFC 8628), for hosts without a browser: the person types a short code in one that they have.

use super::authorization::{Parameters, asking, check_client, parameter, record_failure, refused, rules_with_provider};
use super::browser::{Shown, to_provider};
use super::pages::Page;
use super::sessions;
use super::steps::{Answer, DeviceState, Found, Step, find, find_hash, room, secret_name};
use crate::authority::Authority;
use crate::authority::caller::Caller;
use crate::authority::error::Refusal;
use crate::authority::store::Change;
use crate::clock::seconds_between;
use crate::protocol::challenge::session_hash;
use crate::protocol::encoding::{base64url, random};
use crate::protocol::messages::{DeviceResponse, SignInResponse};

/// Seconds a person has to type the code.
const LIFETIME: u64 = 600;
/// Seconds between two questions of a device (RFC 8628 section 3.2).
const INTERVAL: u64 = 5;
/// Letters that are hard to mistake and spell nothing (RFC 8628 section 6.1): 20^8 codes.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a code.
const LETTERS: usize = 8;
/// Wrong codes that one address may type in ten minutes (RFC 8628 section 5.1).
const WRONG_MAX: usize = 10;
/// Wrong codes that everybody together may, at one node.
pub(super) const WRONG_MAX_OF_ALL: usize = 2000;

/// `BCDF-GHJK`.
fn user_code() -> String {
    let mut letters = Vec::with_capacity(LETTERS);
    while letters.len() < LETTERS {
        // 240 is the last multiple of 20: no letter is likelier than another.
        letters
            .extend(random::<16>().into_iter().filter(|byte| *byte < 240).map(|byte| ALPHABET[usize::from(byte % 20)]));
    }
    let text: String = letters.into_iter().take(LETTERS).map(char::from).collect();
    format!("{}-{}", &text[..4], &text[4..])
}

/// What was typed, as the code is written.
fn normal(typed: &str) -> Option<String> {
    let text: String = typed.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_uppercase();
    (text.len() == LETTERS && typed.len() <= 64).then(|| format!("{}-{}", &text[..4], &text[4..]))
}

/// RFC 8628 section 3.1: a device asks for its two codes. Where it has a proof, its code is bound to that key, thumbprint
/// `jkt`; else the sign-in is bound to the key that takes it.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn authorize(
    authority: &Authority,
    caller: Caller,
    jkt: Option<String>,
    form: &Parameters,
) -> Result<DeviceResponse, Refusal> {
    rules_with_provider(authority).await?;
    check_client(form)?;
    room(authority, caller)?;
    let now = authority.clock.now();
    let (device_code, user_code) = (secret_name(), user_code());
    let device = Step::Device { asking: asking(authority, caller, jkt, form), state: DeviceState::Waiting };
    let typed = Step::UserCode { device: session_hash(&device_code) };
    let changes = [device.waiting(&device_code, now, LIFETIME)?, typed.waiting(&named(&user_code), now, LIFETIME)?];
    authority.store.write(&changes).await?;
    let verification_uri = format!("{}/device", authority.issuer);
    Ok(DeviceResponse {
        verification_uri_complete: format!("{verification_uri}?user_code={user_code}"),
        verification_uri,
        device_code,
        user_code,
        expires_in: LIFETIME,
        interval: INTERVAL,
    })
}

/// A user code is short: as a name it is kept apart from the long ones.
fn named(user_code: &str) -> String {
    format!("user-code {user_code}")
}

/// The page that asks for a code.
pub(super) fn ask(authority: &Authority, query: &Parameters) -> Shown {
    let typed = query.get("user_code").and_then(|typed| normal(typed)).unwrap_or_default();
    Shown::Page(Page::user_code(&action(authority), &typed, None))
}

fn action(authority: &Authority) -> String {
    format!("{}/device", authority.issuer.path())
}

/// A code was typed: whose browser it is, the provider is asked first, then the person.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn typed(
    authority: &Authority,
    caller: Caller,
    form: &Parameters,
    browser: Option<&str>,
) -> Result<Shown, Refusal> {
    let now = authority.clock.now();
    let again = |typed: &str, wrong| Ok(Shown::Page(Page::user_code(&action(authority), typed, Some(wrong))));
    // Wrong until it is found: many at once count as many.
    if !authority.sign_in.mistyped.take(caller, now, WRONG_MAX) {
        return again("", "Too many wrong codes were typed. Wait ten minutes.");
    }
    let typed = form.get("user_code").map_or("", String::as_str);
    let found = match normal(typed) {
        Some(code) => {
            let found = find(authority, &named(&code)).await;
            found.inspect_err(|_| authority.sign_in.mistyped.give_back(caller))?.filter(|found| found.stands(now))
        }
        None => None,
    };
    let Some(Found { step: Step::UserCode { device }, row }) = found else {
        return again("", "There is no such code, or its ten minutes have passed.");
    };
    authority.sign_in.mistyped.give_back(caller);
    let taken = Change::SpendSignInStep { hash: row.hash, at: now };
    match find_hash(authority, &device).await?.map(|found| found.step) {
        Some(Step::Device { asking, state: DeviceState::Waiting }) => {
            to_provider(authority, asking, Answer::Device(device), taken, browser).await
        }
        _ => again("", "This device was answered already."),
    }
}

/// RFC 8628 section 3.4: the device asks whether it is in.
///
/// # Errors
/// [`Refusal::SignIn`], with the error codes of section 3.5.
pub(in crate::authority) async fn redeem(
    authority: &Authority,
    jkt: &str,
    form: &Parameters,
) -> Result<SignInResponse, Refusal> {
    rules_with_provider(authority).await?;
    check_client(form)?;
    let now = authority.clock.now();
    let gone = || refused("invalid_grant", "there is no such device code, or it was used already");
    let found = find(authority, parameter(form, "device_code")?).await?.ok_or_else(gone)?;
    let (stands, taken) = (found.stands(now), found.taken(now));
    let Found { row, step: Step::Device { asking, state } } = found else { return Err(gone()) };
    if asking.jkt.as_deref().is_some_and(|bound| bound != jkt) {
        return Err(refused("invalid_grant", "the device code is bound to another key"));
    }
    if row.spent_at.is_some() {
        return Err(gone());
    }
    if !stands {
        return Err(refused("expired_token", "nobody typed the code in time"));
    }
    match state {
        DeviceState::Waiting => {
            let too_soon = row.asked_at.is_some_and(|asked| seconds_between(asked, now) < INTERVAL);
            authority.store.write(&[Change::AskedForSignInStep { hash: row.hash, at: now }]).await?;
            let error = if too_soon { "slow_down" } else { "authorization_pending" };
            Err(refused(error, "nobody has answered yet"))
        }
        DeviceState::Refused(cause) => {
            authority.store.write(&[taken]).await?;
            Err(refused("access_denied", cause))
        }
        DeviceState::Allowed(identity) => {
            let device = sessions::Device { jkt, host: &asking.host, id: base64url(random::<16>()), evidence: None };
            let done = sessions::begin(authority, identity.clone(), device, vec![taken]).await;
            if let Err(Refusal::Conflict(cause)) = done {
                record_failure(authority, &asking, Some(&identity.sub), cause, Vec::new()).await?;
                return Err(refused("access_denied", cause));
            }
            done
        }
    }
}
