//! Invitations: a code that an administrator hands to somebody, good once, to enrol a first key. Only its hash is kept.

use super::How;
use super::direct::person;
use crate::authority::Authority;
use crate::authority::caller::Subject;
use crate::authority::elevation::{ElevationId, make_known};
use crate::authority::error::Refusal;
use crate::authority::store::{Change, InvitationRow};
use crate::clock::after;
use crate::protocol::challenge::session_hash;
use crate::protocol::encoding::random;
use crate::protocol::issuer::Issuer;
use crate::protocol::names::Ttl;
use crate::protocol::secret::Secret;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Seconds one may be taken up, where nobody says otherwise.
pub const LIFETIME: u64 = 86_400;
/// Crockford's base 32: without the letters that are mistaken for digits, and without U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Symbols of a code: 130 bits.
const SYMBOLS: usize = 26;
/// Characters of a name that an administrator gives.
const NAME_MAX: usize = 64;

/// A code for `sub`, and the change that makes it good, in the place of the one before. The user has to be known.
#[must_use]
pub fn make(sub: &str, ttl: Option<Ttl>, now: Timestamp) -> (Secret, Change) {
    let symbols: String = random::<SYMBOLS>().iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    let row = InvitationRow {
        sub: sub.to_owned(),
        hash: hash(&symbols),
        expires_at: after(now, ttl.map_or(LIFETIME, Ttl::seconds)),
        spent_at: None,
    };
    let groups = [&symbols[..5], &symbols[5..10], &symbols[10..15], &symbols[15..20], &symbols[20..]];
    (Secret::new(groups.join("-")), Change::PutInvitation(row))
}

/// How the store knows what somebody typed; `None` where it is no code.
#[must_use]
pub fn hash_of(typed: &str) -> Option<String> {
    if typed.len() > 128 {
        return None;
    }
    let symbol = |c: char| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        c => c,
    };
    let symbols: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').map(symbol).collect();
    let good = symbols.len() == SYMBOLS && symbols.bytes().all(|byte| ALPHABET.contains(&byte));
    good.then(|| hash(&symbols))
}

/// Kept apart from the names of steps and sessions.
fn hash(symbols: &str) -> String {
    session_hash(&format!("invitation {symbols}"))
}

/// The subject that an administrator means: one as lists show it, or a plain name, which is this authority's own.
///
/// # Errors
/// [`Refusal::Malformed`].
pub fn subject(issuer: &Issuer, user: &str) -> Result<String, Refusal> {
    let printable = user.bytes().all(|byte| byte.is_ascii_graphic());
    if user.contains([':', '#']) && printable {
        return Ok(user.to_owned());
    }
    if user.is_empty() || user.len() > NAME_MAX || !printable {
        let rule = format!("a name is 1 to {NAME_MAX} printable characters of ASCII without spaces, ':' and '#'");
        return Err(Refusal::Malformed(rule));
    }
    Ok(Subject::of_issuer(issuer.as_str(), user).sub().to_owned())
}

/// The operation: who is invited has no key yet, and is somebody whom `[sign_in]` lets in.
///
/// # Errors
/// [`Refusal`]; then nobody is.
pub(in crate::authority) async fn invite(
    authority: &Authority,
    user: &str,
    ttl: Option<Ttl>,
    now: Timestamp,
) -> Result<(Value, Change), Refusal> {
    let rules = authority.rules().await?;
    let nobody = Refusal::Conflict("nobody can sign in here: authority.toml has no [sign_in]");
    let config = rules.config.sign_in.as_ref().ok_or(nobody)?;
    let sub = subject(&authority.issuer, user)?;
    if person(authority, config, &sub, How::Invitation).await?.is_err() {
        return Err(Refusal::Conflict("[sign_in] of authority.toml does not let them in"));
    }
    if authority.store.user(&sub).await?.is_some_and(|user| user.disabled_at.is_some()) {
        return Err(Refusal::Conflict("they are shut out: let them in again first"));
    }
    if !authority.store.security_keys(&sub).await?.is_empty() {
        return Err(Refusal::Conflict("they have a key, and sign in with it: an invitation is for a first one"));
    }
    make_known(authority, &sub, &ElevationId::fresh(), now).await?;
    let (code, change) = make(&sub, ttl, now);
    let expires_at = after(now, ttl.map_or(LIFETIME, Ttl::seconds));
    Ok((json!({ "user": sub, "invitation": code.expose(), "expires_at": expires_at }), change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_long_and_taken_as_people_type_them() {
        let now = Timestamp::UNIX_EPOCH;
        let (code, change) = make("x#anna", None, now);
        let Change::PutInvitation(row) = change else { panic!("it changes something else") };
        let code = code.expose();
        assert_eq!(code.len(), 30, "{code}");
        for typed in [code.to_owned(), code.to_lowercase(), code.replace('-', " "), code.replace('0', "o")] {
            assert_eq!(hash_of(&typed).as_ref(), Some(&row.hash), "{typed}");
        }
        assert_eq!(row.expires_at.as_second(), 86_400);
        for wrong in ["", "x", &code[1..], &format!("{code}0"), &code.replacen(|c: char| c != '-', "U", 1)] {
            assert_eq!(hash_of(wrong), None, "{wrong}");
        }
        assert_ne!(make("x#anna", None, now).0.expose(), code);
    }

    #[test]
    fn plain_names_are_the_authoritys_own() {
        let issuer: Issuer = "https://elevate.example.com".parse().unwrap();
        assert_eq!(subject(&issuer, "anna").unwrap(), "https://elevate.example.com#anna");
        for whole in ["uid:1000", "https://login.example.com#anna"] {
            assert_eq!(subject(&issuer, whole).unwrap(), whole);
        }
        for bad in ["", "an na", "anna\n", &"a".repeat(65), "a\u{2028}b"] {
            assert!(subject(&issuer, bad).is_err(), "{bad:?}");
        }
    }
}
