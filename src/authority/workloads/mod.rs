//! Workloads: pipelines and pods, which have no hands. Who one is, an issuer says that the configuration trusts, in an
//! identity token (RFC 8693 section 2.1, `subject_token` of type JWT). What it may do, policy says; a key it can't touch.
//!
//! A token is not single use: a job shows the one that it was given for every resource. It is bounded by its `exp`, and each
//! grant by the key of the process that asked.

mod claims;
pub mod config;

use super::Authority;
use super::audit::Entry;
use super::caller::{Caller, Subject};
use super::elevation::ElevationId;
use super::error::Refusal;
use super::issuer_keys::{
    self, NEW_KEYS_AFTER, NotSigned, Published, REFRESHED_AFTER, Unavailable, answer, certificates, client, signed,
};
use super::refusals;
use super::rules::Rules;
use crate::clock::human;
use crate::log::leaf::Event;
use crate::protocol::display::escaped;
use crate::protocol::encoding::from_base64url;
use crate::protocol::messages::TokenRequest;
use crate::protocol::names::ResourceName;
use claims::Claims;
use config::TrustedIssuer;
use jsonwebtoken::Header;
use jsonwebtoken::jwk::JwkSet;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// Seconds that an issuer's clock may be off.
const SLACK: i64 = 60;
/// Bytes a token may have.
const TOKEN_MAX: usize = 16 << 10;
/// Bytes that the name of a subject may have.
const SUB_MAX: usize = 512;

/// What is known of a workload, all of it from a token that was verified. For policies and the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// The trusted issuer's name in the configuration.
    pub issuer: String,
    /// The claims that are one value each, by their paths.
    pub claims: BTreeMap<String, String>,
}

/// Why an identity token names nobody who is let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Nobody is trusted; what was sent is neither looked at nor kept.
    #[error("this authority takes no identity tokens")]
    NobodyIsTrusted,
    /// It is no token.
    #[error("the identity token can't be read")]
    Unreadable,
    /// It is somebody's who is not trusted.
    #[error("this authority does not trust the issuer of the identity token: {}", escaped(.0))]
    Untrusted(String),
    /// It is for somebody else.
    #[error("the identity token of {issuer} is for another audience; it has to be for '{wanted}' alone")]
    Audience {
        /// The trusted issuer's name.
        issuer: String,
        /// The audience that is configured.
        wanted: String,
    },
    /// Another check failed.
    #[error("the identity token of {issuer} is not acceptable: {cause}")]
    Check {
        /// The trusted issuer's name.
        issuer: String,
        /// Which.
        cause: String,
    },
    /// It is good, and a rule of the configuration does not hold.
    #[error("the identity token of {issuer} is none of those that are let in: {cause}")]
    Rule {
        /// The trusted issuer's name.
        issuer: String,
        /// Which rule.
        cause: String,
    },
}

impl NotTaken {
    /// Why, for the log: without what the caller wrote.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Untrusted(_) => "the issuer of the identity token is not trusted".to_owned(),
            Self::NobodyIsTrusted
            | Self::Unreadable
            | Self::Audience { .. }
            | Self::Check { .. }
            | Self::Rule { .. } => self.to_string(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NobodyIsTrusted => "run it without one",
            Self::Unreadable => "it takes one JWT (RFC 7519)",
            Self::Untrusted(_) => "whoever runs the authority names those it trusts as [[trusted_issuer]]",
            Self::Audience { .. } => "ask whoever gives you the token for one with this audience",
            Self::Check { .. } => "get a new one from whoever gave you this one",
            Self::Rule { .. } => "whoever runs the authority has the rules under [[trusted_issuer]]",
        }
    }
}

/// A refused token, and whom it names where its issuer did sign it.
pub struct Rejected {
    /// The answer.
    pub refusal: Refusal,
    subject: Option<String>,
}

impl<E: Into<Refusal>> From<E> for Rejected {
    fn from(refusal: E) -> Self {
        Self { refusal: refusal.into(), subject: None }
    }
}

/// The keys of those who are trusted, as they publish them: by the name of each.
#[derive(Default)]
pub struct KnownIssuers(Mutex<HashMap<String, Arc<Published<JwkSet>>>>);

impl KnownIssuers {
    fn of(&self, name: &str) -> Arc<Published<JwkSet>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().clone()
    }
}

/// Who asks for an elevation with an identity token. A refusal of what a trusted issuer did sign is recorded.
///
/// # Errors
/// [`Refusal::IdentityToken`], with why; [`Refusal::Issuer`], where its keys are not to be had.
pub async fn asking(
    authority: &Authority,
    rules: &Arc<Rules>,
    caller: Caller,
    request: &TokenRequest,
) -> Result<Subject, Refusal> {
    let rejected = match identify(authority, rules, request.subject_token.expose()).await {
        Ok(subject) => return Ok(subject),
        Err(rejected) => rejected,
    };
    if let Some(subject) = rejected.subject {
        let mut entry = Entry::new(Event::ElevationDenied, ElevationId::fresh(), json!({ "sub": subject }));
        // A name that is none of ours is the caller's own text.
        let named = ResourceName::from_indicator(&request.resource).ok();
        let catalogue = authority.catalogue(rules).await?;
        entry.resource = named.filter(|name| catalogue.resource(name).is_ok()).map(|name| name.to_string());
        entry.cause = Some(rejected.refusal.cause());
        let source = match caller {
            Caller::Peer(_) => None,
            Caller::Remote(address) => Some(address),
        };
        refusals::record(authority, source, entry, Vec::new()).await?;
    }
    Err(rejected.refusal)
}

/// Whom an identity token names.
///
/// # Errors
/// [`Rejected`].
pub async fn identify(authority: &Authority, rules: &Rules, token: &str) -> Result<Subject, Rejected> {
    if rules.config.trusted_issuers.is_empty() {
        return Err(NotTaken::NobodyIsTrusted.into());
    }
    // Only a way to find the keys: nothing is believed yet.
    let issuer = names_issuer(token).ok_or(NotTaken::Unreadable)?;
    let mut rejected = Rejected::from(NotTaken::Untrusted(issuer.clone()));
    for trusted in rules.config.trusted_issuers.iter().filter(|trusted| trusted.issuer.as_str() == issuer) {
        match judge(authority, trusted, token).await {
            Ok(subject) => return Ok(subject),
            Err(no) => rejected = no,
        }
    }
    Err(rejected)
}

/// The `iss` that it claims.
fn names_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issued {
        iss: String,
    }
    let payload = token.split('.').nth(1).filter(|_| token.len() <= TOKEN_MAX).and_then(from_base64url)?;
    serde_json::from_slice(&payload).ok().map(|Issued { iss }| iss)
}

/// Signature, then what it says, then the rules.
async fn judge(authority: &Authority, trusted: &TrustedIssuer, token: &str) -> Result<Subject, Rejected> {
    let check = |cause: &str| NotTaken::Check { issuer: trusted.name.clone(), cause: cause.to_owned() };
    let (header, claims) = signed_claims(authority, trusted, token).await?;
    let claims = Claims::flattened(claims).map_err(check)?;
    let sub = claims.text("sub").filter(|sub| is_name(sub)).ok_or_else(|| check("its 'sub' is no name"))?;
    let subject = Subject::of_issuer(trusted.issuer.as_str(), sub);
    match accept(authority, trusted, &header, &claims) {
        Ok(()) => Ok(subject.as_workload(Workload { issuer: trusted.name.clone(), claims: claims.single() })),
        Err(no) => Err(Rejected { refusal: no.into(), subject: Some(subject.sub().to_owned()) }),
    }
}

fn is_name(sub: &str) -> bool {
    !sub.is_empty() && sub.len() <= SUB_MAX && !sub.chars().any(char::is_control)
}

fn accept(authority: &Authority, trusted: &TrustedIssuer, header: &Header, claims: &Claims) -> Result<(), NotTaken> {
    let issuer = || trusted.name.clone();
    let check = |cause: &str| NotTaken::Check { issuer: issuer(), cause: cause.to_owned() };
    // An access token, a logout token or a proof is no word on who somebody is (RFC 8725 section 3.11).
    if !header.typ.as_deref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("JOSE")) {
        return Err(check("its 'typ' is not that of an identity token"));
    }
    if claims.text("iss") != Some(trusted.issuer.as_str()) {
        return Err(check("it is from another issuer"));
    }
    if claims.list("aud") != [trusted.audience.as_str()] {
        return Err(NotTaken::Audience { issuer: issuer(), wanted: trusted.audience.clone() });
    }
    let now = authority.clock.now().as_second();
    let exp = claims.time("exp").map_err(check)?.ok_or_else(|| check("it has no 'exp'"))?;
    if exp <= now.saturating_sub(SLACK) {
        return Err(check(&format!("it ended {} ago", human(now.abs_diff(exp)))));
    }
    if claims.time("nbf").map_err(check)?.is_some_and(|nbf| nbf > now.saturating_add(SLACK)) {
        return Err(check("it is not valid yet"));
    }
    let iat = claims.time("iat").map_err(check)?;
    if iat.is_some_and(|iat| iat > now.saturating_add(SLACK)) {
        return Err(check("it is from the future"));
    }
    if let Some(max_age) = trusted.max_age {
        let iat = iat.ok_or_else(|| check("it does not say when it was issued"))?;
        let oldest = now.saturating_sub(i64::try_from(max_age.seconds()).unwrap_or(i64::MAX)).saturating_sub(SLACK);
        if iat < oldest {
            return Err(check(&format!("it was issued {} ago", human(now.abs_diff(iat)))));
        }
    }
    let broken = trusted.claims.iter().find_map(|(path, allowed)| claims.breaks(path, allowed));
    broken.map_or(Ok(()), |cause| Err(NotTaken::Rule { issuer: issuer(), cause }))
}

type Signed = (Header, serde_json::Map<String, serde_json::Value>);

/// What it says, signed by its issuer: with one more look at the keys where it names one that is not known.
async fn signed_claims(authority: &Authority, trusted: &TrustedIssuer, token: &str) -> Result<Signed, Refusal> {
    let mut result = signed(token, &*keys(authority, trusted, REFRESHED_AFTER).await?, &trusted.algorithms);
    if matches!(result, Err(NotSigned::UnknownKey)) {
        result = signed(token, &*keys(authority, trusted, NEW_KEYS_AFTER).await?, &trusted.algorithms);
    }
    result.map_err(|not| {
        let cause = match not {
            NotSigned::UnknownKey => "it is signed with a key that its issuer does not publish",
            NotSigned::Check(cause) => cause,
        };
        NotTaken::Check { issuer: trusted.name.clone(), cause: cause.to_owned() }.into()
    })
}

async fn keys(authority: &Authority, trusted: &TrustedIssuer, age: i64) -> Result<Arc<JwkSet>, Refusal> {
    if let Some(keys) = &trusted.keys {
        return Ok(keys.clone());
    }
    let unavailable = |why: Unavailable| Refusal::Issuer { name: trusted.name.clone(), cause: why.0 };
    let ca = certificates(trusted.ca_file.as_deref()).map_err(unavailable)?;
    let place = trusted.jwks_uri.as_ref().map_or(trusted.issuer.as_str(), Url::as_str);
    let with = format!("{place}\n{}", ca.as_deref().unwrap_or_default());
    let published = authority.workloads.of(&trusted.name);
    let keys = published.younger_than(age, &with, &authority.clock, fetched(trusted, ca.as_deref()));
    keys.await.map_err(unavailable)
}

/// The keys, from where the configuration says, or else where the issuer's metadata does.
async fn fetched(trusted: &TrustedIssuer, ca: Option<&str>) -> Result<JwkSet, Unavailable> {
    #[derive(Deserialize)]
    struct Metadata {
        issuer: String,
        jwks_uri: Url,
    }
    let http = client(ca)?;
    if let Some(uri) = &trusted.jwks_uri {
        return issuer_keys::keys(&http, uri.clone()).await;
    }
    let metadata: Metadata = answer(http.get(trusted.issuer.configuration())).await?;
    if metadata.issuer != trusted.issuer.as_str() {
        return Err(Unavailable("its metadata is another issuer's".into()));
    }
    if !trusted.issuer.may_name(&metadata.jwks_uri) {
        return Err(Unavailable("its metadata names an endpoint that is not https".into()));
    }
    issuer_keys::keys(&http, metadata.jwks_uri).await
}
