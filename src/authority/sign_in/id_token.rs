//! The provider's ID token (OpenID Connect Core 1.0 section 3.1.3.7): every claim is checked here, against our own clock.

use super::{How, Person};
use crate::authority::issuer_keys::{ALGORITHMS, NotSigned, signed};
use crate::protocol::display::escaped;
use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// Seconds that the provider's clock may be off.
const SLACK: i64 = 60;
/// Seconds since it was issued: it was fetched just now.
const AGE_MAX: i64 = 600;
/// Groups of one person.
const GROUPS_MAX: usize = 500;

/// What it has to be for.
pub struct Expected<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// What it calls this authority.
    pub client_id: &'a str,
    /// The one of this sign-in.
    pub nonce: &'a str,
    /// Which claim lists groups.
    pub groups_claim: &'a str,
    /// How long ago the person may have shown who they are, in seconds.
    pub max_age: Option<u64>,
    /// Now.
    pub now: Timestamp,
}

/// Why it is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAcceptable {
    /// It is signed with a key that is not among those known: they may have been changed.
    #[error("its ID token is signed with a key that it does not publish")]
    UnknownKey,
    /// A check failed.
    #[error("its ID token is not acceptable: {0}")]
    Check(&'static str),
}

impl From<NotSigned> for NotAcceptable {
    fn from(not: NotSigned) -> Self {
        match not {
            NotSigned::UnknownKey => Self::UnknownKey,
            NotSigned::Check(cause) => Self::Check(cause),
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: OneOrMany,
    #[serde(default)]
    azp: Option<String>,
    exp: i64,
    iat: i64,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    auth_time: Option<i64>,
    #[serde(default)]
    acr: Option<String>,
    #[serde(default)]
    amr: Option<OneOrMany>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    preferred_username: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(flatten)]
    other: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn list(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// Whom it names, by the provider's own `sub`.
///
/// # Errors
/// [`NotAcceptable`], with the check that failed.
pub fn verify(token: &str, keys: &JwkSet, expected: &Expected<'_>) -> Result<(String, Person), NotAcceptable> {
    let (_, claims): (_, Claims) = signed(token, keys, &ALGORITHMS)?;
    check(claims, expected)
}

fn check(claims: Claims, expected: &Expected<'_>) -> Result<(String, Person), NotAcceptable> {
    use NotAcceptable::Check;
    let now = expected.now.as_second();
    if claims.iss != expected.issuer {
        return Err(Check("it is from another issuer"));
    }
    let audiences = claims.aud.list();
    if !audiences.iter().any(|audience| audience == expected.client_id) {
        return Err(Check("it is for another client"));
    }
    // Several audiences, or an authorized party: then the one it was issued to has to be us (steps 4 and 5).
    if audiences.len() > 1 && claims.azp.is_none() {
        return Err(Check("it is for several clients, and does not say to which it was issued"));
    }
    if claims.azp.is_some_and(|azp| azp != expected.client_id) {
        return Err(Check("it was issued to another client"));
    }
    if claims.exp <= now - SLACK {
        return Err(Check("its time is over"));
    }
    if claims.iat > now + SLACK {
        return Err(Check("it is from the future"));
    }
    if claims.iat < now - AGE_MAX {
        return Err(Check("it was issued long ago"));
    }
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err(Check("its nonce is another sign-in's"));
    }
    if let Some(max_age) = expected.max_age {
        let auth_time = claims.auth_time.ok_or(Check("it does not say when the person showed who they are"))?;
        if now.saturating_sub(auth_time) > i64::try_from(max_age).unwrap_or(i64::MAX).saturating_add(SLACK) {
            return Err(Check("the person showed who they are too long ago"));
        }
    }
    if claims.sub.is_empty() || claims.sub.len() > 255 || !claims.sub.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Check("its 'sub' is no name"));
    }
    // OpenID Connect Core section 5.6.2: the groups would have to be fetched elsewhere, as where they are too many.
    let elsewhere = claims.other.get("_claim_names").is_some_and(|names| names.get(expected.groups_claim).is_some());
    if elsewhere || claims.other.contains_key("hasgroups") {
        return Err(Check("it does not hold the person's groups, only where they are"));
    }
    let groups = groups(claims.other.get(expected.groups_claim))?;
    let name =
        [claims.name, claims.preferred_username, claims.email].into_iter().flatten().find(|name| !name.is_empty());
    let person = Person {
        name: shortened(&name.unwrap_or_else(|| claims.sub.clone())),
        groups,
        acr: claims.acr.map(|acr| shortened(&acr)),
        amr: claims.amr.map(OneOrMany::list).unwrap_or_default().into_iter().take(20).collect(),
        auth_time: claims.auth_time.unwrap_or(claims.iat).min(now),
        how: How::Provider,
    };
    Ok((claims.sub, person))
}

/// A list of names, or one name; anything else is refused, since policies may forbid by it.
fn groups(claim: Option<&Value>) -> Result<BTreeSet<String>, NotAcceptable> {
    let unreadable = NotAcceptable::Check("its groups can't be read");
    let groups: BTreeSet<String> = match claim {
        None | Some(Value::Null) => BTreeSet::new(),
        Some(Value::String(one)) => BTreeSet::from([one.clone()]),
        Some(Value::Array(many)) => {
            let names = many.iter().map(|group| group.as_str().map(str::to_owned));
            names.collect::<Option<_>>().ok_or(unreadable.clone())?
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => return Err(unreadable),
    };
    let short = groups.len() <= GROUPS_MAX && groups.iter().all(|group| group.len() <= 256);
    if short { Ok(groups) } else { Err(unreadable) }
}

fn shortened(text: &str) -> String {
    escaped(&text.chars().take(200).collect::<String>())
}
