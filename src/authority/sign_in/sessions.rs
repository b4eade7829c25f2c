//! How long a device is signed in. Every use asks the store, so that what ends on one node has ended on all.

use super::config::SignInConfig;
use super::{How, Identity, Person, SignedIn};
use crate::authority::Authority;
use crate::authority::audit::{Entry, RecordError};
use crate::authority::caller::Subject;
use crate::authority::elevation::{ElevationId, make_known};
use crate::authority::error::Refusal;
use crate::authority::refusals;
use crate::authority::rules::Rules;
use crate::authority::store::{Change, SignInRow};
use crate::clock::{after, human, seconds_between};
use crate::log::leaf::Event;
use crate::protocol::challenge::session_hash;
use crate::protocol::encoding::{base64url, random};
use crate::protocol::messages::SignInResponse;
use crate::protocol::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::fmt;

/// Seconds between two notes that a device was used: each is a write.
const NOTED_EVERY: u64 = 60;

/// Seconds that a sign-in by invitation lasts.
const INVITED: u64 = 600;

/// Why a device is not signed in any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// It was signed out, here or by somebody else.
    Ended,
    /// It was not used for so many seconds.
    Idle(u64),
    /// It signed in so many seconds ago.
    Old(u64),
    /// The person is shut out.
    Disabled,
    /// Its token came with a proof of another key.
    OtherKey,
    /// It was there for a first key only, and that is enrolled, or its ten minutes have passed.
    Invited,
    /// It is there for a first key only.
    OnlyToEnrol,
    /// The provider that knew the person is not asked any more.
    OtherProvider,
    /// They are none of those who may sign in.
    NotLetIn,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("this device was signed out"),
            Self::Idle(seconds) => write!(f, "this device was signed in, and not used for {}", human(*seconds)),
            Self::Old(seconds) => write!(f, "this device signed in more than {} ago", human(*seconds)),
            Self::Disabled => f.write_str("your account was disabled"),
            Self::OtherKey => f.write_str("the sign-in is another device's"),
            Self::Invited => f.write_str("the sign-in by invitation is over: it was for enrolling a key"),
            Self::OnlyToEnrol => {
                f.write_str("a sign-in by invitation is for enrolling a first key, and for nothing else")
            }
            Self::NotLetIn => f.write_str("you are none of those who may sign in here"),
            Self::OtherProvider => {
                f.write_str("the authority asks another identity provider than the one you signed in with")
            }
        }
    }
}

/// Who holds this token and the key it is bound to, if they are still signed in.
///
/// # Errors
/// [`Refusal::NotSignedIn`]; [`Refusal::SignInOver`], with why; [`Refusal::Store`].
pub async fn holder(authority: &Authority, rules: &Rules, token: &str, jkt: &str) -> Result<Subject, Refusal> {
    let now = authority.clock.now();
    let row = authority.store.sign_in(&session_hash(token)).await?.ok_or(Refusal::NotSignedIn)?;
    let config = rules.config.sign_in.as_ref().ok_or(Refusal::SignInOver(Over::OtherProvider))?;
    let person = person(&row)?;
    let over = if row.jkt == jkt { over(authority, config, &row, &person, now) } else { Some(Over::OtherKey) };
    if let Some(over) = over {
        // Somebody has a token that is not theirs, or goes on after they were shut out.
        if matches!(over, Over::OtherKey | Over::Disabled) {
            tracing::warn!(sign_in = row.id, cause = %over, "a sign-in was used that must not be");
            let private = json!({ "sub": row.sub, "sign_in": row.id });
            let mut entry = Entry::new(Event::SignInFailed, ElevationId::fresh(), private);
            entry.cause = Some(over.to_string());
            refusals::record(authority, None, entry, Vec::new()).await?;
        }
        return Err(Refusal::SignInOver(over));
    }
    let subject = Subject::signed_in(row.sub, SignedIn { id: row.id.clone(), person });
    authority.limits.take_of_signed_in(subject.sub()).map_err(Refusal::Flood)?;
    if seconds_between(row.last_used_at, now) >= NOTED_EVERY.min(config.idle.seconds() / 2) {
        authority.store.write(&[Change::UseSignIn { id: row.id, at: now }]).await?;
    }
    Ok(subject)
}

/// The sign-ins that a request would be let in with now, and whose they are, newest first.
///
/// # Errors
/// [`Refusal::Store`].
pub(in crate::authority) async fn standing(
    authority: &Authority,
    rules: &Rules,
    now: Timestamp,
) -> Result<Vec<(SignInRow, Person)>, Refusal> {
    let Some(config) = &rules.config.sign_in else { return Ok(Vec::new()) };
    let length = SignedDuration::from_secs(config.length.seconds().cast_signed());
    let rows = authority.store.sign_ins(now - length).await?;
    let known = rows.into_iter().filter_map(|row| person(&row).ok().map(|person| (row, person)));
    Ok(known.filter(|(row, person)| over(authority, config, row, person, now).is_none()).collect())
}

/// Why a sign-in is over, whoever brings it.
fn over(
    authority: &Authority,
    config: &SignInConfig,
    row: &SignInRow,
    person: &Person,
    now: Timestamp,
) -> Option<Over> {
    let (length, idle) = (length(config, person), config.idle.seconds());
    let is_old = seconds_between(row.created_at, now) >= length;
    let subject = || {
        let signed_in = SignedIn { id: row.id.clone(), person: person.clone() };
        Subject::signed_in(row.sub.clone(), signed_in)
    };
    if row.disabled_at.is_some() {
        Some(Over::Disabled)
    } else if person.how == How::Invitation && (row.ended_at.is_some() || is_old) {
        Some(Over::Invited)
    } else if row.ended_at.is_some() {
        Some(Over::Ended)
    } else if is_old {
        Some(Over::Old(length))
    } else if seconds_between(row.last_used_at, now) >= idle {
        Some(Over::Idle(idle))
    } else if KnownBy::of(authority, config, &row.sub).is_none() {
        Some(Over::OtherProvider)
    } else if !config.lets_in(&subject()) {
        Some(Over::NotLetIn)
    } else {
        None
    }
}

/// Whose sign-in it is, as far as is known.
///
/// # Errors
/// Where that can't be read.
pub(in crate::authority) fn person(row: &SignInRow) -> Result<Person, Refusal> {
    serde_json::from_str(&row.person).map_err(|_| Refusal::Keys("a sign-in in the store can't be read"))
}

/// How long it lasts, in seconds.
fn length(config: &SignInConfig, person: &Person) -> u64 {
    match person.how {
        How::Provider | How::Key => config.length.seconds(),
        How::Invitation => config.length.seconds().min(INVITED),
    }
}

/// Who says that there is such a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownBy {
    /// The identity provider that is configured.
    Provider,
    /// This authority: an administrator named them, or they have an account on its host.
    Us,
}

impl KnownBy {
    /// Of this subject; `None` where it is somebody else's, as a workload is, or a person of a provider of before.
    pub(super) fn of(authority: &Authority, config: &SignInConfig, sub: &str) -> Option<Self> {
        let is_of = |issuer: &str| sub.strip_prefix(issuer).is_some_and(|rest| rest.starts_with('#'));
        if config.provider.as_ref().is_some_and(|provider| is_of(provider.issuer.as_str())) {
            return Some(Self::Provider);
        }
        let account = sub.strip_prefix("uid:").is_some_and(|uid| uid.parse::<u32>().is_ok());
        (account || is_of(authority.issuer.as_str())).then_some(Self::Us)
    }
}

/// Whom a device belongs to that is about to be signed in.
pub(super) struct Device<'a> {
    pub(super) jkt: &'a str,
    pub(super) host: &'a str,
    /// Names the sign-in.
    pub(super) id: String,
    /// What a key signed, where one did.
    pub(super) evidence: Option<&'a Value>,
}

/// Signs a device in: recorded, then told.
///
/// # Errors
/// [`Refusal`]; then it is not signed in.
pub(super) async fn begin(
    authority: &Authority,
    identity: Identity,
    device: Device<'_>,
    mut changes: Vec<Change>,
) -> Result<SignInResponse, Refusal> {
    let now = authority.clock.now();
    let rules = authority.rules().await?;
    let config = rules.config.sign_in.as_ref().ok_or(Refusal::NotSignedIn)?;
    let elevation = ElevationId::fresh();
    make_known(authority, &identity.sub, &elevation, now).await?;
    let token = base64url(random::<32>());
    let row = SignInRow {
        id: device.id.clone(),
        hash: session_hash(&token),
        sub: identity.sub.clone(),
        jkt: device.jkt.to_owned(),
        host: device.host.to_owned(),
        person: serde_json::to_string(&identity.person).map_err(|_| Refusal::Broken)?,
        created_at: now,
        last_used_at: now,
        ended_at: None,
        disabled_at: None,
    };
    let mut private = json!({
        "sub": identity.sub, "sign_in": device.id, "host": device.host, "jkt": device.jkt, "person": identity.person,
    });
    if let Some(evidence) = device.evidence {
        private["evidence"] = evidence.clone();
    }
    changes.push(Change::AddSignIn(row));
    authority.audit.record(Entry::new(Event::SignedIn, elevation, private), changes).await?;
    let length = length(config, &identity.person);
    Ok(SignInResponse {
        access_token: Secret::new(token),
        token_type: "DPoP".to_owned(),
        expires_in: length,
        expires_at: after(now, length),
        subject: identity.sub,
        name: identity.person.name,
    })
}

/// Ends the sign-in whose token this is, and its grants. Whoever holds the token may: it is no use to anybody else
/// (RFC 7009 section 2.1). `None` where it is no token of a sign-in.
///
/// # Errors
/// [`Refusal`]; then it has not ended.
pub async fn sign_out(authority: &Authority, token: &str) -> Result<Option<()>, Refusal> {
    let now = authority.clock.now();
    let Some(row) = authority.store.sign_in(&session_hash(token)).await? else { return Ok(None) };
    if row.ended_at.is_none() {
        end(authority, &row.sub, &row.id, Event::SignedOut, None, now).await?;
    }
    Ok(Some(()))
}

/// Ends a sign-in of `sub` and its grants; nothing happens where it has ended.
///
/// # Errors
/// [`Refusal`]; then it has not ended.
pub(in crate::authority) async fn end(
    authority: &Authority,
    sub: &str,
    id: &str,
    event: Event,
    cause: Option<String>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let mut entry = Entry::new(event, ElevationId::fresh(), json!({ "sub": sub, "sign_in": id }));
    entry.cause = cause;
    match authority.audit.record(entry, vec![Change::EndSignIn { id: id.to_owned(), at: now }]).await {
        // Two at once: the other one ended it.
        Ok(_) | Err(RecordError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
