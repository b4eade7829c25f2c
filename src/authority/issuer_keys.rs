//! Other issuers and the keys that they sign with: where they may be asked, how, how often, and whether a token is signed
//! with one of their keys. What a token says is for whoever takes it to judge.

use crate::clock::Clock;
use crate::files::read_trusted;
use crate::protocol::display::escaped;
use crate::protocol::dpop::signature_only;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::{Host, Url};

/// How long an issuer may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that an answer may have.
pub(super) const ANSWER_MAX: usize = 1 << 20;
/// Seconds after which what it publishes is read again.
pub(super) const REFRESHED_AFTER: i64 = 3600;
/// Seconds between two looks for a key that is not known, whoever asks.
pub(super) const NEW_KEYS_AFTER: i64 = 10;
/// Seconds for which one that could not be asked is not asked again: those who wait are told at once.
const AGAIN_AFTER: i64 = 5;

/// Public-key signatures only: with `none` or an HMAC anybody who can read a public key could make one.
pub const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

// --- where it may be asked ------------------------------------------------------------------------------------------

/// Another issuer: an `https` URL, or an `http` one of this machine, as it writes itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OtherIssuer(String);

impl OtherIssuer {
    /// As it is configured, and as it has to call itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where its metadata is (OpenID Connect Discovery 1.0 section 4).
    #[must_use]
    pub(super) fn configuration(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.0.strip_suffix('/').unwrap_or(&self.0))
    }

    /// Whether it may send us there: whoever is reached over `https` sends nobody elsewhere without.
    #[must_use]
    pub(super) fn may_name(&self, endpoint: &Url) -> bool {
        is_safe(endpoint) && (!self.0.starts_with("https:") || endpoint.scheme() == "https")
    }
}

impl TryFrom<String> for OtherIssuer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let url: Url = text.parse().map_err(|error| format!("the issuer is no URL: {error}"))?;
        if !is_safe(&url) || url.query().is_some() || url.fragment().is_some() || text.contains('#') {
            return Err("the issuer is an https URL without query or fragment".into());
        }
        Ok(Self(text))
    }
}

/// Whether a secret may be sent there, and an answer believed: `https`, or this machine itself, and no name or password in
/// the URL.
#[must_use]
pub fn is_safe(url: &Url) -> bool {
    let stays_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let encrypted = url.scheme() == "https" || (url.scheme() == "http" && stays_here);
    encrypted && url.has_host() && url.username().is_empty() && url.password().is_none()
}

// --- how it is asked ------------------------------------------------------------------------------------------------

/// Why it has not said what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// PEM of further certificates that it may be known by.
///
/// # Errors
/// [`Unavailable`], where the file can't be read.
pub(super) fn certificates(file: Option<&Path>) -> Result<Option<String>, Unavailable> {
    let Some(file) = file else { return Ok(None) };
    let text = read_trusted(file, ANSWER_MAX as u64).map_err(|fault| Unavailable(fault.to_string()))?;
    text.map(Some).ok_or_else(|| Unavailable(format!("{} is not there", file.display())))
}

/// What asks it: no redirects, and not for ever.
///
/// # Errors
/// [`Unavailable`], where the certificates are none.
pub(super) fn client(ca: Option<&str>) -> Result<reqwest::Client, Unavailable> {
    let build = || {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .user_agent(concat!("elevate-authority/", env!("CARGO_PKG_VERSION")));
        if let Some(ca) = ca {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(ca.as_bytes())?);
        }
        builder.build()
    };
    build().map_err(|error: reqwest::Error| Unavailable(escaped(&error.to_string())))
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
}

/// Its answer, within limits of size and time.
///
/// # Errors
/// [`Unavailable`].
pub(super) async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Unavailable> {
    let unavailable = |reason: &str| Unavailable(reason.to_owned());
    let unreachable = |error: reqwest::Error| {
        tracing::warn!(%error, "another issuer");
        unavailable(if error.is_timeout() { "it did not answer in time" } else { "it can't be reached" })
    };
    let mut response = request.send().await.map_err(unreachable)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(unavailable("its answer is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    if response.status() != StatusCode::OK {
        let error = serde_json::from_slice::<ErrorAnswer>(&body).map(|answer| answer.error);
        let error =
            error.ok().filter(|error| error.len() < 100).map_or_else(String::new, |error| format!(" ({error})"));
        let status = response.status().as_u16();
        return Err(unavailable(&escaped(&format!("it answered with HTTP status {status}{error}"))));
    }
    serde_json::from_slice(&body).map_err(|_| unavailable("its answer can't be read"))
}

/// The keys at a place. Those of kinds that we do not know are passed over (RFC 7517 section 5).
///
/// # Errors
/// [`Unavailable`].
pub(super) async fn keys(http: &reqwest::Client, place: Url) -> Result<JwkSet, Unavailable> {
    #[derive(Deserialize)]
    struct Keys {
        keys: Vec<serde_json::Value>,
    }
    let Keys { keys } = answer(http.get(place)).await?;
    Ok(JwkSet { keys: keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect() })
}

// --- how often it is asked ------------------------------------------------------------------------------------------

/// What an issuer publishes: read at first use, and again when it is old or may have changed. Whoever needs what is known
/// waits for nobody who asks for more.
pub struct Published<T> {
    last: Mutex<Option<Look<T>>>,
    asking: tokio::sync::Mutex<()>,
}

struct Look<T> {
    /// What it was asked with: where that changes, nothing is known.
    with: String,
    asked_at: i64,
    failure: Option<Unavailable>,
    known: Option<(i64, Arc<T>)>,
}

impl<T> Default for Published<T> {
    fn default() -> Self {
        Self { last: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }
}

impl<T> Published<T> {
    /// What is known that is younger than `age` seconds, else what `read` finds. One asks, the others wait for its answer;
    /// a failure counts for all who come within [`AGAIN_AFTER`] seconds.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub(super) async fn younger_than(
        &self,
        age: i64,
        with: &str,
        clock: &Clock,
        read: impl Future<Output = Result<T, Unavailable>>,
    ) -> Result<Arc<T>, Unavailable> {
        let now = || clock.now().as_second();
        if let Some(known) = self.known(age, with, now()) {
            return known;
        }
        let _alone = self.asking.lock().await;
        if let Some(known) = self.known(age, with, now()) {
            return known;
        }
        let found = read.await.map(Arc::new);
        let now = now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.take().filter(|look| look.with == with).and_then(|look| look.known);
        let known = found.as_ref().map_or(before, |found| Some((now, found.clone())));
        let failure = found.as_ref().err().cloned();
        *last = Some(Look { with: with.to_owned(), asked_at: now, failure, known });
        found
    }

    fn known(&self, age: i64, with: &str, now: i64) -> Option<Result<Arc<T>, Unavailable>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let look = last.as_ref().filter(|look| look.with == with)?;
        let within = |at: i64, seconds: i64| now.abs_diff(at) < seconds.unsigned_abs();
        if let Some((at, known)) = &look.known
            && within(*at, age)
        {
            return Some(Ok(known.clone()));
        }
        let failure = look.failure.clone().filter(|_| within(look.asked_at, AGAIN_AFTER))?;
        Some(Err(failure))
    }
}

// --- what it signed -------------------------------------------------------------------------------------------------

/// Why a token is not the issuer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSigned {
    /// It is signed with a key that is not among those known: they may have been changed.
    UnknownKey,
    /// A check failed.
    Check(&'static str),
}

/// Header and claims of a token, signed by one of these keys with one of these algorithms. The library checks a signature;
/// which algorithm and which key is checked here, and everything else by whoever asks.
///
/// # Errors
/// [`NotSigned`], with the check that failed.
pub fn signed<T: DeserializeOwned>(
    token: &str,
    keys: &JwkSet,
    algorithms: &[Algorithm],
) -> Result<(Header, T), NotSigned> {
    use NotSigned::Check;
    let header =
        jsonwebtoken::decode_header(token).map_err(|_| Check("its header can't be read, or names no algorithm"))?;
    if !algorithms.contains(&header.alg) || header.crit.is_some() {
        return Err(Check("'alg' is none that proves anything, or it has a 'crit' header"));
    }
    let jwk = key_for(keys, header.kid.as_deref())?;
    // A key that says what it is for is for nothing else (RFC 7517 section 4.4).
    if jwk.common.key_algorithm.is_some_and(|algorithm| algorithm != KeyAlgorithm::from(header.alg)) {
        return Err(Check("'alg' is another than its key is for"));
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|_| Check("the key it names can't be used"))?;
    let claims = jsonwebtoken::decode(token, &key, &signature_only(header.alg))
        .map_err(|_| Check("its signature or claims are wrong"))?
        .claims;
    Ok((header, claims))
}

/// The one that it names; where it names none, the only one there is.
fn key_for<'a>(keys: &'a JwkSet, kid: Option<&str>) -> Result<&'a Jwk, NotSigned> {
    let signs = |jwk: &&Jwk| matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let mut usable = keys.keys.iter().filter(signs);
    match kid {
        Some(kid) => usable.find(|jwk| jwk.common.key_id.as_deref() == Some(kid)).ok_or(NotSigned::UnknownKey),
        None => match (usable.next(), usable.next()) {
            (Some(only), None) => Ok(only),
            (None | Some(_), _) => Err(NotSigned::Check("it does not say which key signed it")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{OtherIssuer, Published, Unavailable};
    use crate::clock::Clock;
    use jiff::Timestamp;

    #[test]
    fn another_issuer_is_reached_over_https_or_on_this_machine() {
        let good =
            ["https://idp.example", "https://idp.example/realms/one", "http://localhost:3000", "http://127.0.0.1:1/"];
        for text in good {
            assert!(OtherIssuer::try_from(text.to_owned()).is_ok(), "{text}");
        }
        let bad = [
            "http://idp.example",
            "http://10.0.0.1",
            "http://localhost.example",
            "https://user:secret@idp.example",
            "https://idp.example?x",
            "https://idp.example#x",
            "file:///etc/passwd",
            "idp.example",
        ];
        for text in bad {
            assert!(OtherIssuer::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_failed_look_keeps_what_is_known_and_is_not_repeated_at_once() {
        let published = Published::default();
        let at = |second| Clock::standing_at(Timestamp::from_second(second).unwrap());
        let found = |value: i32| async move { Ok(value) };
        let fails = || async { Err(Unavailable("gone".into())) };
        assert_eq!(*published.younger_than(60, "a", &at(0), found(1)).await.unwrap(), 1);
        assert_eq!(*published.younger_than(60, "a", &at(59), found(2)).await.unwrap(), 1, "it is young");
        published.younger_than(10, "a", &at(20), fails()).await.unwrap_err();
        assert_eq!(*published.younger_than(60, "a", &at(21), found(2)).await.unwrap(), 1, "it is still known");
        published.younger_than(10, "a", &at(24), found(2)).await.unwrap_err();
        assert_eq!(*published.younger_than(10, "a", &at(25), found(2)).await.unwrap(), 2, "it is asked again");
        assert_eq!(*published.younger_than(60, "b", &at(31), found(3)).await.unwrap(), 3, "it is another");
        published.younger_than(60, "b", &at(92), fails()).await.unwrap_err();
    }
}
