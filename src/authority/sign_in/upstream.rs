//! The `OpenID` provider: its metadata and keys (OpenID Connect Discovery 1.0), and a code for an ID token.
//!
//! Only what the configured issuer publishes is asked, over `https`, without redirects, within limits of size and time.

use super::config::{SignInConfig, is_safe};
use super::id_token::{Expected, NotAcceptable, verify};
use super::{Identity, steps};
use crate::authority::error::Refusal;
use crate::clock::Clock;
use crate::files::read_trusted;
use crate::protocol::display::escaped;
use crate::protocol::encoding::{base64url, sha256};
use crate::protocol::secret::Secret;
use jsonwebtoken::jwk::JwkSet;
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use url::Url;

/// How long the provider may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that an answer may have.
const ANSWER_MAX: usize = 1 << 20;
/// Seconds after which its metadata and keys are read again.
const REFRESHED_AFTER: i64 = 3600;
/// Seconds between two looks for a key that is not known, whoever asks.
const NEW_KEYS_AFTER: i64 = 10;

/// Seconds for which a provider that could not be asked is not asked again: those who wait are told at once.
const AGAIN_AFTER: i64 = 5;

/// What is known of the provider.
#[derive(Default)]
pub struct Known(Mutex<State>);

#[derive(Default)]
struct State {
    provider: Option<Arc<Provider>>,
    /// When it could not be asked, and why.
    failed: Option<(i64, String)>,
}

/// RFC 7517 section 5: keys of kinds that we do not know are passed over.
#[derive(Deserialize)]
struct Keys {
    keys: Vec<serde_json::Value>,
}

impl From<Keys> for JwkSet {
    fn from(set: Keys) -> Self {
        Self { keys: set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect() }
    }
}

struct Provider {
    http: reqwest::Client,
    issuer: String,
    ca: Option<String>,
    metadata: Metadata,
    keys: JwkSet,
    read_at: i64,
}

/// OpenID Connect Discovery 1.0 section 3, as far as it is used.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    /// RFC 9207 section 3.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
}

/// The way to the provider, for one sign-in.
pub(super) struct Way {
    pub(super) url: Url,
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
}

impl Known {
    /// Where a browser goes to sign in (OpenID Connect Core section 3.1.2.1), with PKCE and a nonce of its own. `anew`
    /// asks the person to show who they are even where the provider still knows them.
    ///
    /// # Errors
    /// [`Refusal::Provider`].
    pub(super) async fn way(
        &self,
        config: &SignInConfig,
        redirect_uri: &str,
        anew: bool,
        clock: &Clock,
    ) -> Result<Way, Refusal> {
        let provider = self.provider(config, clock).await?;
        let (state, nonce, verifier) = (steps::secret_name(), steps::secret_name(), steps::secret_name());
        let mut url = provider.metadata.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &config.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &config.scopes.join(" "))
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &base64url(sha256(&[verifier.as_bytes()])))
            .append_pair("code_challenge_method", "S256");
        if let Some(max_age) = config.max_age {
            url.query_pairs_mut().append_pair("max_age", &max_age.seconds().to_string());
        }
        if anew {
            url.query_pairs_mut().append_pair("prompt", "login");
        }
        Ok(Way { url, state, nonce, verifier })
    }

    /// RFC 9207: an answer is the configured provider's, and says so where that is its habit.
    ///
    /// # Errors
    /// [`Refusal::Provider`].
    pub(super) async fn check_issuer(
        &self,
        config: &SignInConfig,
        iss: Option<&str>,
        clock: &Clock,
    ) -> Result<(), Refusal> {
        let provider = self.provider(config, clock).await?;
        match iss {
            Some(iss) if iss == provider.issuer => Ok(()),
            None if !provider.metadata.authorization_response_iss_parameter_supported => Ok(()),
            Some(_) | None => Err(Refusal::Provider("the answer is another provider's".into())),
        }
    }

    /// Exchanges a code for an ID token, and says whom that names.
    ///
    /// # Errors
    /// [`Refusal::Provider`].
    pub(super) async fn identity(
        &self,
        config: &SignInConfig,
        redirect_uri: &str,
        code: &str,
        (nonce, verifier): (&str, &str),
        clock: &Clock,
    ) -> Result<Identity, Refusal> {
        let provider = self.provider(config, clock).await?;
        let token = provider.exchange(config, redirect_uri, code, verifier).await?;
        let expected = || Expected {
            issuer: config.issuer.as_str(),
            client_id: &config.client_id,
            nonce,
            groups_claim: &config.groups_claim,
            max_age: config.max_age.map(crate::protocol::names::Ttl::seconds),
            now: clock.now(),
        };
        let mut named = verify(&token, &provider.keys, &expected());
        if named == Err(NotAcceptable::UnknownKey) {
            // It may have changed its keys: one more look, not at everybody's bidding.
            let provider = self.with_new_keys(config, clock).await?;
            named = verify(&token, &provider.keys, &expected());
        }
        let (sub, person) = named.map_err(|error| Refusal::Provider(error.to_string()))?;
        Ok(Identity { sub: format!("{}#{sub}", config.issuer.as_str()), person })
    }

    async fn provider(&self, config: &SignInConfig, clock: &Clock) -> Result<Arc<Provider>, Refusal> {
        self.not_older_than(REFRESHED_AFTER, config, clock).await
    }

    async fn with_new_keys(&self, config: &SignInConfig, clock: &Clock) -> Result<Arc<Provider>, Refusal> {
        self.not_older_than(NEW_KEYS_AFTER, config, clock).await
    }

    async fn not_older_than(&self, age: i64, config: &SignInConfig, clock: &Clock) -> Result<Arc<Provider>, Refusal> {
        // Held while it is asked: it is asked once, however many wait.
        let mut known = self.0.lock().await;
        let now = clock.now().as_second();
        let ca = certificates(config)?;
        if let Some(provider) = &known.provider
            && provider.issuer == config.issuer.as_str()
            && provider.ca == ca
            && now.abs_diff(provider.read_at) < age.unsigned_abs()
        {
            return Ok(provider.clone());
        }
        if let Some((at, reason)) = &known.failed
            && now.abs_diff(*at) < AGAIN_AFTER.unsigned_abs()
        {
            return Err(Refusal::Provider(reason.clone()));
        }
        let read = Provider::read(config, ca, now).await.map(Arc::new);
        known.failed = match &read {
            Err(Refusal::Provider(reason)) => Some((clock.now().as_second(), reason.clone())),
            Ok(_) | Err(_) => None,
        };
        let provider = read?;
        known.provider = Some(provider.clone());
        Ok(provider)
    }
}

fn certificates(config: &SignInConfig) -> Result<Option<String>, Refusal> {
    let Some(file) = &config.ca_file else { return Ok(None) };
    let text = read_trusted(file, ANSWER_MAX as u64).map_err(|fault| Refusal::Provider(fault.to_string()))?;
    text.map(Some).ok_or_else(|| Refusal::Provider(format!("{} is not there", file.display())))
}

impl Provider {
    async fn read(config: &SignInConfig, ca: Option<String>, now: i64) -> Result<Self, Refusal> {
        let http = client(ca.as_deref()).map_err(|error| Refusal::Provider(escaped(&error.to_string())))?;
        let issuer = config.issuer.as_str();
        let url = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
        let metadata: Metadata = answer(http.get(url)).await?;
        if metadata.issuer != issuer {
            return Err(Refusal::Provider("its metadata is another issuer's".into()));
        }
        for endpoint in [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri] {
            // A provider that is reached over https must not send anybody elsewhere without.
            if !is_safe(endpoint) || (issuer.starts_with("https:") && endpoint.scheme() != "https") {
                return Err(Refusal::Provider("its metadata names an endpoint that is not https".into()));
            }
        }
        let keys: Keys = answer(http.get(metadata.jwks_uri.clone())).await?;
        Ok(Self { http, issuer: issuer.to_owned(), ca, metadata, keys: keys.into(), read_at: now })
    }

    /// OpenID Connect Core section 3.1.3.1, with PKCE.
    async fn exchange(
        &self,
        config: &SignInConfig,
        redirect_uri: &str,
        code: &str,
        verifier: &str,
    ) -> Result<String, Refusal> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("client_id", &config.client_id),
            ("code_verifier", verifier),
        ];
        let secret = client_secret(config)?;
        let mut request = self.http.post(self.metadata.token_endpoint.clone());
        if let Some(secret) = &secret {
            let methods = &self.metadata.token_endpoint_auth_methods_supported;
            // Basic is what every provider takes that does not say otherwise (section 9).
            if methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic") {
                request = request.basic_auth(encoded(&config.client_id), Some(encoded(secret.expose())));
            } else {
                form.push(("client_secret", secret.expose()));
            }
        }
        let tokens: Tokens = answer(request.form(&form)).await?;
        Ok(tokens.id_token)
    }
}

/// RFC 6749 section 2.3.1: both are form-encoded before they are Basic credentials.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn client_secret(config: &SignInConfig) -> Result<Option<Secret>, Refusal> {
    let Some(file) = &config.client_secret_file else { return Ok(None) };
    let text = read_trusted(file, 4096).map_err(|fault| Refusal::Provider(fault.to_string()))?;
    let text = text.ok_or_else(|| Refusal::Provider(format!("{} is not there", file.display())))?;
    Ok(Some(Secret::new(text.trim_end().to_owned())))
}

fn client(ca: Option<&str>) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .user_agent(concat!("elevate-authority/", env!("CARGO_PKG_VERSION")));
    if let Some(ca) = ca {
        builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(ca.as_bytes())?);
    }
    builder.build()
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Refusal> {
    let refused = |reason: &str| Refusal::Provider(reason.to_owned());
    let unreachable = |error: reqwest::Error| {
        tracing::warn!(%error, "the identity provider");
        refused(if error.is_timeout() { "it did not answer in time" } else { "it can't be reached" })
    };
    let mut response = request.send().await.map_err(unreachable)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(refused("its answer is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    if response.status() != StatusCode::OK {
        let error = serde_json::from_slice::<ErrorAnswer>(&body).map(|answer| answer.error);
        let error =
            error.ok().filter(|error| error.len() < 100).map_or_else(String::new, |error| format!(" ({error})"));
        let status = response.status().as_u16();
        return Err(refused(&escaped(&format!("it answered with HTTP status {status}{error}"))));
    }
    serde_json::from_slice(&body).map_err(|_| refused("its answer can't be read"))
}
