//! The authority's endpoints, as functions. Knows HTTP, `DPoP` nonces and retries; decides nothing.

use super::config::Config;
use super::embedded;
use super::error::Error;
use super::known_names::KnownNames;
use super::patience::Patience;
use super::places::Places;
use super::trust::{KnownAuthority, Trust};
use crate::clock::Clock;
use crate::protocol::dpop::{Expected, ProofKey};
use crate::protocol::messages::{
    Catalogue, EnrolledKey, EnrolmentChallenge, EnrolmentResponse, ErrorCode, ErrorResponse, Explanation,
    GrantResponse, Introspection, LogCheckpoints, LogPage, Metadata, OperationName, StepUpResponse, TokenParameter,
    TokenRequest,
};
use crate::protocol::names::ResourceName;
use crate::protocol::secret::Secret;
use jiff::Timestamp;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use std::cell::{Cell, RefCell};

/// RFC 8414 section 3.
const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";
/// Bytes an answer may have.
const ANSWER_MAX: usize = 16 << 20;

/// What `POST /token` answers when it does not refuse.
pub enum TokenAnswer {
    /// A credential.
    Grant(Box<GrantResponse>),
    /// A stronger proof is needed.
    StepUp(Box<StepUpResponse>),
}

/// A connection to the authority this device knows.
pub struct AuthorityApi {
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    known: KnownAuthority,
    trust: Trust,
    clock: Clock,
    nonce: RefCell<Option<String>>,
    /// The last answer's `Date`.
    date: RefCell<Option<String>>,
    places: Places,
    config: Config,
    patience: Patience,
    /// It did not answer in time: every further request would take its whole time again.
    silent: Cell<bool>,
}

struct Reply {
    status: StatusCode,
    body: Vec<u8>,
}

impl AuthorityApi {
    /// Connects, starting the embedded authority where it does not run, and meets it for the first time where it is
    /// not known yet.
    ///
    /// # Errors
    /// [`ErrorCode::AuthorityUnreachable`]; [`ErrorCode::VerificationFailed`] where it is another one than before.
    pub fn connect(places: &Places, config: &Config, clock: Clock, patience: Patience) -> Result<Self, Error> {
        let socket = embedded::ensure(places, config, patience)?;
        let trust = Trust::new(places);
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(patience.answer())
            .build()
            .map_err(|error| Error::failed(format!("HTTP can't be spoken: {error}")))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::failed(format!("no requests can be made: {error}")))?;
        let known = trust.known()?;
        let first_contact = known.is_none();
        let known = known.unwrap_or_else(KnownAuthority::nobody);
        let nonce = RefCell::new(trust.nonce());
        let (places, config) = (places.clone(), config.clone());
        let (date, silent) = (RefCell::default(), Cell::new(false));
        let mut api = Self { http, runtime, known, trust, clock, nonce, date, places, config, patience, silent };
        if first_contact {
            let metadata: Metadata = api.get(WELL_KNOWN)?;
            api.known = api.trust.check(&metadata)?;
        }
        Ok(api)
    }

    /// Who answers.
    #[must_use]
    pub const fn known(&self) -> &KnownAuthority {
        &self.known
    }

    /// What the authority's clock said in its last answer (RFC 9110, section 6.6.1).
    #[must_use]
    pub fn date(&self) -> Option<Timestamp> {
        let date = self.date.borrow();
        let date = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", date.as_deref()?).ok()?;
        jiff::tz::Offset::UTC.to_timestamp(date).ok()
    }

    /// `POST /token`.
    ///
    /// # Errors
    /// The authority's refusal, or that it can't be reached.
    pub fn token(&self, request: &TokenRequest, key: &ProofKey) -> Result<TokenAnswer, Error> {
        let reply = self.proven("/token", key, None, |builder| builder.form(request))?;
        if reply.status == StatusCode::FORBIDDEN
            && let Ok(step_up) = serde_json::from_slice(&reply.body)
        {
            return Ok(TokenAnswer::StepUp(step_up));
        }
        self.read(&reply).map(TokenAnswer::Grant)
    }

    /// `POST /revoke` (RFC 7009).
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn revoke(&self, access_token: &Secret) -> Result<(), Error> {
        let form = TokenParameter { token: access_token.clone() };
        let path = self.at("/revoke");
        let reply = self.send(&|| self.http.request(Method::POST, self.url(&path)).form(&form))?;
        self.read::<serde_json::Value>(&reply).map(|_| ())
    }

    /// `POST /introspect` (RFC 7662).
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn introspect(&self, access_token: &Secret) -> Result<Introspection, Error> {
        let form = TokenParameter { token: access_token.clone() };
        let path = self.at("/introspect");
        self.read(&self.send(&|| self.http.request(Method::POST, self.url(&path)).form(&form))?)
    }

    /// `GET /jwks` (RFC 7517).
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn jwks(&self) -> Result<jsonwebtoken::jwk::JwkSet, Error> {
        self.get(&self.at("/jwks"))
    }

    /// `GET /resources`.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn resources(&self) -> Result<Catalogue, Error> {
        let catalogue: Catalogue = self.get(&self.at("/resources"))?;
        self.names().keep_resources(&self.known, &catalogue.resources);
        Ok(catalogue)
    }

    /// What this device remembers of names, for completion.
    #[must_use]
    pub fn names(&self) -> KnownNames {
        KnownNames::of(&self.places)
    }

    /// `GET /explain`.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn explain(&self, resource: &ResourceName) -> Result<Explanation, Error> {
        self.get(&self.at(&format!("/explain?resource={resource}")))
    }

    /// `GET /keys`.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn keys(&self) -> Result<Vec<EnrolledKey>, Error> {
        let keys: Vec<EnrolledKey> = self.get(&self.at("/keys"))?;
        self.names().keep_keys(&self.known, &keys);
        Ok(keys)
    }

    /// `POST /keys`: spends the elevation that vouches for the new key.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn begin_enrolment(&self, body: &[u8], token: &Secret, key: &ProofKey) -> Result<EnrolmentChallenge, Error> {
        self.read(&self.proven("/keys", key, Some(token), |builder| builder.body(body.to_vec()))?)
    }

    /// `POST /keys/finish`.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn finish_enrolment(&self, response: &EnrolmentResponse, key: &ProofKey) -> Result<EnrolledKey, Error> {
        self.read(&self.proven("/keys/finish", key, None, |builder| builder.json(response))?)
    }

    /// `POST /operations/NAME`: spends the elevation that was made for this very body.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn operation(
        &self,
        name: OperationName,
        body: &[u8],
        token: &Secret,
        key: &ProofKey,
    ) -> Result<serde_json::Value, Error> {
        let path = format!("/operations/{name}");
        self.read(&self.proven(&path, key, Some(token), |builder| builder.body(body.to_vec()))?)
    }

    /// `GET /log/entries`.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn log_entries(&self, from: u64) -> Result<LogPage, Error> {
        self.get(&self.at(&format!("/log/entries?from={from}")))
    }

    /// `GET /log/checkpoints`.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn log_checkpoints(&self, above: u64) -> Result<LogCheckpoints, Error> {
        self.get(&self.at(&format!("/log/checkpoints?above={above}")))
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.known.path())
    }

    /// The transport's URL; the socket decides where it goes, and `DPoP` signs the issuer's.
    #[allow(clippy::unused_self, reason = "a remote authority has its own")]
    fn url(&self, path: &str) -> String {
        format!("http://localhost{path}")
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.read(&self.send(&|| self.http.request(Method::GET, self.url(path)))?)
    }

    /// A POST with a `DPoP` proof (RFC 9449); once more where the nonce was too old (section 8).
    fn proven(
        &self,
        path: &str,
        key: &ProofKey,
        access_token: Option<&Secret>,
        fill: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Reply, Error> {
        let url = format!("{}{path}", self.known.issuer);
        let access_token = access_token.map(Secret::expose);
        let mut reply = self.prove_and_send(path, &url, key, access_token, &fill)?;
        if self.error(&reply).is_some_and(|error| error.error == "use_dpop_nonce") {
            reply = self.prove_and_send(path, &url, key, access_token, &fill)?;
        }
        Ok(reply)
    }

    fn prove_and_send(
        &self,
        path: &str,
        url: &str,
        key: &ProofKey,
        access_token: Option<&str>,
        fill: &impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Reply, Error> {
        let expected = Expected { method: "POST", url, access_token, now: self.clock.now() };
        // A request that is sent again needs a proof of its own: the first one may have arrived.
        let proof = || key.prove(&expected, self.nonce.borrow().as_deref());
        proof().map_err(|error| Error::failed(error.to_string()))?;
        self.send(&|| {
            let mut builder = self.http.request(Method::POST, self.url(&self.at(path)));
            builder = builder.header("DPoP", proof().unwrap_or_default());
            if let Some(token) = access_token {
                builder = builder.header("Authorization", format!("DPoP {token}"));
            }
            fill(builder)
        })
    }

    /// Sends; once more where the connection was closed without a word, as by an authority that was just ending.
    fn send(&self, request: &dyn Fn() -> RequestBuilder) -> Result<Reply, Error> {
        if self.silent.get() {
            return Err(self.did_not_answer());
        }
        let first = self.runtime.block_on(self.exchange(request()));
        let reply = match first {
            Err(error) if error.is_timeout() || error.is_builder() => Err(error),
            Err(_) => {
                embedded::ensure(&self.places, &self.config, self.patience)?;
                self.runtime.block_on(self.exchange(request()))
            }
            Ok(reply) => Ok(reply),
        };
        reply.map_err(|error| {
            if error.is_timeout() {
                self.silent.set(true);
                return self.did_not_answer();
            }
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            Error::new(ErrorCode::AuthorityUnreachable, format!("the authority can't be reached{cause}"))
        })
    }

    fn did_not_answer(&self) -> Error {
        let seconds = self.patience.answer().as_secs();
        let message = format!("the authority did not answer within {seconds} seconds");
        Error::new(ErrorCode::AuthorityUnreachable, message)
            .hint("it may be busy, or have been stopped: `pgrep -a elevate-authority` shows it")
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Reply, reqwest::Error> {
        let request = request.build()?;
        let what = format!("{} {}", request.method(), request.url().path());
        let mut response = self.http.execute(request).await?;
        tracing::debug!(what, status = response.status().as_u16(), "the authority answered");
        if let Some(nonce) = response.headers().get("dpop-nonce").and_then(|nonce| nonce.to_str().ok()) {
            *self.nonce.borrow_mut() = Some(nonce.to_owned());
        }
        let date = response.headers().get("date").and_then(|date| date.to_str().ok());
        *self.date.borrow_mut() = date.map(str::to_owned);
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_MAX {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, body })
    }

    fn read<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, Error> {
        if reply.status == StatusCode::NOT_FOUND && self.known != KnownAuthority::nobody() {
            // Another authority has its endpoints elsewhere.
            let metadata = self.send(&|| self.http.request(Method::GET, self.url(WELL_KNOWN)))?;
            if let Ok(metadata) = serde_json::from_slice(&metadata.body) {
                self.trust.check(&metadata)?;
            }
        }
        if reply.status.is_success() {
            return serde_json::from_slice(&reply.body)
                .map_err(|error| Error::failed(format!("the authority's answer can't be read: {error}")));
        }
        let unreadable = || Error::failed(format!("the authority answered with HTTP status {}", reply.status.as_u16()));
        Err(self.error(reply).map_or_else(unreadable, Error::from))
    }

    #[allow(clippy::unused_self, reason = "reads one of its replies")]
    fn error(&self, reply: &Reply) -> Option<ErrorResponse> {
        if reply.status.is_success() { None } else { serde_json::from_slice(&reply.body).ok() }
    }
}

impl Drop for AuthorityApi {
    fn drop(&mut self) {
        if let Some(nonce) = self.nonce.borrow().as_deref() {
            self.trust.keep_nonce(nonce);
        }
    }
}
