//! The authority's endpoints, as functions. Knows what is asked and with which proof; decides nothing.

use super::address::Address;
use super::config::Config;
use super::error::Error;
use super::introduction;
use super::known_names::KnownNames;
use super::patience::Patience;
use super::places::Places;
use super::sign_in::Session;
use super::transport::{Reply, Transport};
use super::trust::{KnownAuthority, Trust};
use crate::clock::Clock;
use crate::protocol::dpop::{Expected, ProofKey};
use crate::protocol::messages::{
    Catalogue, CodeResponse, DeviceResponse, EnrolledKey, EnrolmentChallenge, EnrolmentResponse, ErrorResponse,
    Explanation, GrantResponse, Introspection, LogCheckpoints, LogPage, OperationName, PushedResponse, Recovery,
    SignInChallenge, SignInResponse, StepUpResponse, TokenParameter, TokenRequest,
};
use crate::protocol::names::ResourceName;
use crate::protocol::secret::Secret;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;

/// What `POST /token` answers when it does not refuse.
pub enum TokenAnswer {
    /// A credential.
    Grant(Box<GrantResponse>),
    /// A stronger proof is needed.
    StepUp(Box<StepUpResponse>),
}

/// What an authority offers to whoever wants to sign in, as its metadata says.
#[derive(serde::Deserialize)]
pub struct Offers {
    /// With a browser: it has an identity provider.
    #[serde(default, rename = "pushed_authorization_request_endpoint")]
    pub browser: Option<String>,
    /// With a security key, or by an invitation.
    #[serde(default, rename = "authorization_challenge_endpoint")]
    pub direct: Option<String>,
}

/// What comes of asking for a code directly.
pub enum Authorization {
    /// It is known who it is.
    Code(Secret),
    /// A key has to say.
    Challenge(Box<SignInChallenge>),
}

/// What a device hears that waits for somebody to type its code (RFC 8628 section 3.5).
pub enum Poll {
    /// It is signed in.
    Done(Box<SignInResponse>),
    /// Nobody answered yet.
    Pending,
    /// The same, and it asks too often.
    SlowDown,
}

/// A connection to the authority this device knows.
pub struct AuthorityApi {
    transport: Transport,
    known: KnownAuthority,
    trust: Trust,
    clock: Clock,
    session: Option<Session>,
}

impl AuthorityApi {
    /// Connects, and meets the authority for the first time where it is not known yet.
    ///
    /// # Errors
    /// It can't be reached, or is another one than before or than was asked for.
    pub fn connect(
        address: &Address,
        places: &Places,
        config: &Config,
        clock: Clock,
        patience: Patience,
    ) -> Result<Self, Error> {
        let trust = Trust::of(places, address);
        let transport = Transport::open(address, places, config, patience, trust.nonce())?;
        let known = match trust.known()? {
            Some(known) => known,
            None => meet(&transport, &trust)?,
        };
        Ok(Self { transport, known, trust, clock, session: None })
    }

    /// The same for somebody who is signed in: what names nobody itself is asked in their name.
    #[must_use]
    pub fn as_signed_in(mut self, session: Option<Session>) -> Self {
        self.session = session;
        self
    }

    /// Who answers.
    #[must_use]
    pub const fn known(&self) -> &KnownAuthority {
        &self.known
    }

    /// The way to it.
    #[must_use]
    pub const fn transport(&self) -> &Transport {
        &self.transport
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

    /// How people can sign in there.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn offers(&self) -> Result<Offers, Error> {
        let path = introduction::path(self.transport.address());
        let reply = self.transport.send(&|| self.transport.request(Method::GET, &path))?;
        self.read(&reply)
    }

    /// `POST /authorize-challenge` (draft-ietf-oauth-first-party-apps).
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn authorize(&self, form: &[(&str, &str)], key: &ProofKey) -> Result<Authorization, Error> {
        let reply = self.proven("/authorize-challenge", key, None, |builder| builder.form(form))?;
        if reply.status == StatusCode::FORBIDDEN
            && let Ok(challenge) = serde_json::from_slice(&reply.body)
        {
            return Ok(Authorization::Challenge(challenge));
        }
        self.read::<CodeResponse>(&reply).map(|response| Authorization::Code(response.authorization_code))
    }

    /// `POST /par` (RFC 9126).
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn push(&self, form: &[(&str, &str)], key: &ProofKey) -> Result<PushedResponse, Error> {
        self.read(&self.proven("/par", key, None, |builder| builder.form(form))?)
    }

    /// `POST /token` with a code (RFC 6749 section 4.1.3).
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn redeem(&self, form: &[(&str, &str)], key: &ProofKey) -> Result<SignInResponse, Error> {
        self.read(&self.proven("/token", key, None, |builder| builder.form(form))?)
    }

    /// `POST /device_authorization` (RFC 8628).
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn device_authorization(&self, form: &[(&str, &str)], key: &ProofKey) -> Result<DeviceResponse, Error> {
        self.read(&self.proven("/device_authorization", key, None, |builder| builder.form(form))?)
    }

    /// `POST /token` with a device's code (RFC 8628 section 3.4).
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn poll(&self, form: &[(&str, &str)], key: &ProofKey) -> Result<Poll, Error> {
        let reply = self.proven("/token", key, None, |builder| builder.form(form))?;
        match self.error(&reply).as_ref().map(|refusal| refusal.error.as_str()) {
            Some("authorization_pending") => Ok(Poll::Pending),
            Some("slow_down") => Ok(Poll::SlowDown),
            Some(_) | None => self.read(&reply).map(Poll::Done),
        }
    }

    /// `POST /revoke` (RFC 7009).
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn revoke(&self, access_token: &Secret) -> Result<(), Error> {
        let form = TokenParameter { token: access_token.clone() };
        let path = self.at("/revoke");
        let reply = self.transport.send(&|| self.transport.request(Method::POST, &path).form(&form))?;
        self.read::<serde_json::Value>(&reply).map(|_| ())
    }

    /// `POST /introspect` (RFC 7662).
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn introspect(&self, access_token: &Secret) -> Result<Introspection, Error> {
        let form = TokenParameter { token: access_token.clone() };
        if let Some(session) = &self.session {
            let fill = |builder: RequestBuilder| builder.form(&form);
            return self.read(&self.proven("/introspect", &session.key, Some(&session.token), fill)?);
        }
        let path = self.at("/introspect");
        self.read(&self.transport.send(&|| self.transport.request(Method::POST, &path).form(&form))?)
    }

    /// `GET /jwks` (RFC 7517).
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn jwks(&self) -> Result<jsonwebtoken::jwk::JwkSet, Error> {
        self.get(&self.at("/jwks"))
    }

    /// `GET /resources`, of this account or of a workload.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn resources(&self, identity_token: Option<&Secret>) -> Result<Catalogue, Error> {
        let catalogue: Catalogue = self.get_as(identity_token, &self.at("/resources"))?;
        // Completion is for people.
        if identity_token.is_none() {
            self.names().keep_resources(&catalogue.resources);
        }
        Ok(catalogue)
    }

    /// What this device remembers of names, for completion.
    #[must_use]
    pub fn names(&self) -> KnownNames {
        KnownNames::of(self.trust.clone())
    }

    /// `GET /explain`, of this account or of a workload.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn explain(&self, identity_token: Option<&Secret>, resource: &ResourceName) -> Result<Explanation, Error> {
        self.get_as(identity_token, &self.at(&format!("/explain?resource={resource}")))
    }

    /// `GET /keys`.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn keys(&self) -> Result<Vec<EnrolledKey>, Error> {
        let keys: Vec<EnrolledKey> = self.get(&self.at("/keys"))?;
        self.names().keep_keys(&keys);
        Ok(keys)
    }

    /// `GET /recoveries`: for administrators; nobody else is told of any.
    ///
    /// # Errors
    /// As [`AuthorityApi::token`].
    pub fn recoveries(&self) -> Result<Vec<Recovery>, Error> {
        self.get(&self.at("/recoveries"))
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
        let enrolled = self.read(&self.proven("/keys/finish", key, None, |builder| builder.json(response))?)?;
        self.names().add_credential(&enrolled);
        Ok(enrolled)
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

    /// In the name of whoever is signed in, where somebody is.
    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let Some(session) = &self.session else {
            return self.read(&self.transport.send(&|| self.transport.request(Method::GET, path))?);
        };
        let path = path.strip_prefix(self.known.path()).unwrap_or(path);
        self.read(&self.proven_as(&Method::GET, path, &session.key, Some(&session.token), |builder| builder)?)
    }

    /// An identity token is its bearer's (RFC 6750): it is bound to no key.
    fn get_as<T: DeserializeOwned>(&self, identity_token: Option<&Secret>, path: &str) -> Result<T, Error> {
        let Some(token) = identity_token else { return self.get(path) };
        let bearer = || format!("Bearer {}", token.expose());
        let request = || self.transport.request(Method::GET, path).header("Authorization", bearer());
        self.read(&self.transport.send(&request)?)
    }

    /// A POST with a `DPoP` proof.
    fn proven(
        &self,
        path: &str,
        key: &ProofKey,
        access_token: Option<&Secret>,
        fill: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Reply, Error> {
        self.proven_as(&Method::POST, path, key, access_token, fill)
    }

    /// A request with a `DPoP` proof (RFC 9449); once more where the nonce was too old (section 8).
    fn proven_as(
        &self,
        method: &Method,
        path: &str,
        key: &ProofKey,
        access_token: Option<&Secret>,
        fill: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Reply, Error> {
        let access_token = access_token.map(Secret::expose);
        let mut reply = self.prove_and_send(method, path, key, access_token, &fill)?;
        if self.error(&reply).is_some_and(|error| error.error == "use_dpop_nonce") {
            reply = self.prove_and_send(method, path, key, access_token, &fill)?;
        }
        Ok(reply)
    }

    fn prove_and_send(
        &self,
        method: &Method,
        path: &str,
        key: &ProofKey,
        access_token: Option<&str>,
        fill: &impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Reply, Error> {
        // Without query (section 4.2).
        let url = format!("{}{}", self.known.issuer, path.split('?').next().unwrap_or(path));
        let expected = Expected { method: method.as_str(), url: &url, access_token, now: self.clock.now() };
        // A request that is sent again needs a proof of its own: the first one may have arrived.
        let proof = || key.prove(&expected, self.transport.nonce().as_deref());
        proof().map_err(|error| Error::failed(error.to_string()))?;
        self.transport.send(&|| {
            let mut builder = self.transport.request(method.clone(), &self.at(path));
            builder = builder.header("DPoP", proof().unwrap_or_default());
            if let Some(token) = access_token {
                builder = builder.header("Authorization", format!("DPoP {token}"));
            }
            fill(builder)
        })
    }

    fn read<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, Error> {
        if reply.status.is_success() {
            let understood = serde_json::from_slice(&reply.body);
            return understood.or_else(|error| {
                self.still_the_same()?;
                Err(Error::failed(format!("the authority's answer can't be read: {error}")))
            });
        }
        let refusal = self.error(reply);
        // Another authority has its endpoints elsewhere, and one of another version says no in another way.
        if reply.status == StatusCode::NOT_FOUND || refusal.is_none() {
            self.still_the_same()?;
        }
        let unreadable = || Error::failed(format!("the authority answered with HTTP status {}", reply.status.as_u16()));
        Err(refusal.map_or_else(unreadable, Error::from))
    }

    /// Whether whoever answers is the authority that is known, and speaks our version.
    fn still_the_same(&self) -> Result<(), Error> {
        meet(&self.transport, &self.trust).map(|_| ())
    }

    #[allow(clippy::unused_self, reason = "reads one of its replies")]
    fn error(&self, reply: &Reply) -> Option<ErrorResponse> {
        if reply.status.is_success() { None } else { serde_json::from_slice(&reply.body).ok() }
    }
}

/// Asks who answers, and holds it to what is known.
fn meet(transport: &Transport, trust: &Trust) -> Result<KnownAuthority, Error> {
    let path = introduction::path(transport.address());
    let reply = transport.send(&|| transport.request(Method::GET, &path))?;
    trust.check(introduction::read(transport.address(), &reply)?)
}

impl Drop for AuthorityApi {
    fn drop(&mut self) {
        if let Some(nonce) = self.transport.nonce() {
            self.trust.keep_nonce(&nonce);
        }
    }
}
