//! The `OpenID` provider: its metadata and keys (OpenID Connect Discovery 1.0), and a code for an ID token.
//!
//! Only what the configured issuer publishes is asked, over `https`, without redirects, within limits of size and time.

use super::config::ProviderConfig;
use super::id_token::{Expected, NotAcceptable, verify};
use super::{Identity, steps};
use crate::authority::error::Refusal;
use crate::authority::issuer_keys::{
    NEW_KEYS_AFTER, Published, REFRESHED_AFTER, Unavailable, answer, certificates, client, keys,
};
use crate::clock::Clock;
use crate::files::read_trusted;
use crate::protocol::encoding::{base64url, sha256};
use crate::protocol::secret::Secret;
use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use std::sync::Arc;
use url::Url;

impl From<Unavailable> for Refusal {
    fn from(why: Unavailable) -> Self {
        Self::Provider(why.0)
    }
}

/// What is known of the provider.
#[derive(Default)]
pub struct Known(Published<Provider>);

struct Provider {
    http: reqwest::Client,
    issuer: String,
    metadata: Metadata,
    keys: JwkSet,
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
        config: &ProviderConfig,
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
        config: &ProviderConfig,
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
        config: &ProviderConfig,
        redirect_uri: &str,
        code: &str,
        (nonce, pkce): (&str, &str),
        clock: &Clock,
    ) -> Result<Identity, Refusal> {
        let provider = self.provider(config, clock).await?;
        let token = provider.exchange(config, redirect_uri, code, pkce).await?;
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

    async fn provider(&self, config: &ProviderConfig, clock: &Clock) -> Result<Arc<Provider>, Refusal> {
        self.younger_than(REFRESHED_AFTER, config, clock).await
    }

    async fn with_new_keys(&self, config: &ProviderConfig, clock: &Clock) -> Result<Arc<Provider>, Refusal> {
        self.younger_than(NEW_KEYS_AFTER, config, clock).await
    }

    async fn younger_than(&self, age: i64, config: &ProviderConfig, clock: &Clock) -> Result<Arc<Provider>, Refusal> {
        let ca = certificates(config.ca_file.as_deref())?;
        let with = format!("{}\n{}", config.issuer.as_str(), ca.as_deref().unwrap_or_default());
        Ok(self.0.younger_than(age, &with, clock, Provider::read(config, ca)).await?)
    }
}

impl Provider {
    async fn read(config: &ProviderConfig, ca: Option<String>) -> Result<Self, Unavailable> {
        let http = client(ca.as_deref())?;
        let metadata: Metadata = answer(http.get(config.issuer.configuration())).await?;
        if metadata.issuer != config.issuer.as_str() {
            return Err(Unavailable("its metadata is another issuer's".into()));
        }
        let endpoints = [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
        if !endpoints.into_iter().all(|endpoint| config.issuer.may_name(endpoint)) {
            return Err(Unavailable("its metadata names an endpoint that is not https".into()));
        }
        let keys = keys(&http, metadata.jwks_uri.clone()).await?;
        Ok(Self { http, issuer: metadata.issuer.clone(), metadata, keys })
    }

    /// OpenID Connect Core section 3.1.3.1, with PKCE.
    async fn exchange(
        &self,
        config: &ProviderConfig,
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

fn client_secret(config: &ProviderConfig) -> Result<Option<Secret>, Refusal> {
    let Some(file) = &config.client_secret_file else { return Ok(None) };
    let text = read_trusted(file, 4096).map_err(|fault| Refusal::Provider(fault.to_string()))?;
    let text = text.ok_or_else(|| Refusal::Provider(format!("{} is not there", file.display())))?;
    Ok(Some(Secret::new(text.trim_end().to_owned())))
}
