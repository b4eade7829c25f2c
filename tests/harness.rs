//! What tests share: an authority in this process behind a real Unix socket, on a clock that stands still, with a
//! database that fails on demand; someone who talks to it; and security keys that do as they are told, wrong included.

pub mod makers;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use axum::Extension;
use axum::extract::ConnectInfo;
use ciborium::Value as Cbor;
use elevate::authority::Authority;
use elevate::authority::caller::Caller;
use elevate::authority::config::Config;
use elevate::authority::routes::router;
use elevate::authority::rules::{DEFAULT_POLICY, DEFAULT_SCHEMA};
use elevate::authority::store::{Faults, Place};
use elevate::clock::Clock;
use elevate::files::own_uid;
use elevate::log::check::{Fault, LogCheck};
use elevate::log::checkpoint;
use elevate::protocol::access_token::Claims;
use elevate::protocol::authenticator_data::{AT, AuthenticatorData, UP, UV};
use elevate::protocol::challenge::Asked;
use elevate::protocol::dpop::{Expected, ProofKey};
use elevate::protocol::encoding::{base64url, from_base64url, random, sha256};
use elevate::protocol::messages::{
    AuthorizationDetail, Claimed, ElevateType, EnrolledKey, EnrolmentChallenge, EnrolmentRequest, EnrolmentResponse,
    ErrorResponse, GrantResponse, LogCheckpoints, LogPage, Metadata, Operation, OperationName, OperationRequest,
    PEER_TOKEN_TYPE, SealedFor, StepUpResponse, TOKEN_EXCHANGE, TokenRequest,
};
use elevate::protocol::secret::Secret;
use elevate::protocol::{CLIENT_ID, LOCAL_HOST, SOFTWARE_AAGUID};
use jiff::Timestamp;
use makers::{Attestation, Maker};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Executor as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use webauthn_rs_proto::{
    AuthenticationExtensionsClientOutputs, AuthenticatorAssertionResponseRaw, AuthenticatorAttestationResponseRaw,
    AuthenticatorTransport, PublicKeyCredential, PublicKeyCredentialCreationOptions, PublicKeyCredentialRequestOptions,
    RegisterPublicKeyCredential, RegistrationExtensionsClientOutputs,
};

/// Backup eligible: the key may be synced.
pub const BE: u8 = 0x08;
/// Backup state: the key is synced.
pub const BS: u8 = 0x10;

/// Extension data included.
pub const ED: u8 = 0x80;

/// The catalogue of every test: one resource for each answer.
pub const CONFIG: &str = r#"
allow_software_keys = true

[resource.wiki]
kind = "jwt"
audience = "https://wiki.example"
sensitivity = "low"
scopes = ["read", "write"]

[resource.prod-db]
kind = "jwt"
audience = "https://db.example"
sensitivity = "sensitive"
scopes = ["read", "write"]
checks_dpop = true

[resource.payroll]
kind = "jwt"
audience = "https://payroll.example"
sensitivity = "critical"
checks_dpop = true

[resource.deploy-key]
kind = "secret"
sensitivity = "sensitive"

[resource.spare-key]
kind = "secret"
sensitivity = "sensitive"

[resource.bunker]
kind = "jwt"
audience = "https://bunker.example"
sensitivity = "low"
environment = "closed"
"#;

/// The default policy, and one door that never opens.
#[must_use]
pub fn policy() -> String {
    format!(
        "{DEFAULT_POLICY}\n@id(\"closed\")\n@reason(\"nobody goes there\")\n\
         forbid (principal, action, resource) when {{ resource.environment == \"closed\" }};\n"
    )
}

/// New Year 2026, noon: when tests begin.
#[must_use]
pub fn noon() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

/// This process, as the kernel would name it.
#[must_use]
pub fn me() -> String {
    format!("uid:{}", own_uid())
}

// --- the authority -----------------------------------------------------------------------------------------------

/// An authority in this process. Talk to it through the [`Wire`] that it derefs to.
pub struct TestAuthority {
    home: TempDir,
    pub authority: Arc<Authority>,
    pub clock: Clock,
    pub faults: Faults,
    pub wire: Wire,
    serving: JoinHandle<()>,
}

impl std::ops::Deref for TestAuthority {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl Drop for TestAuthority {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl TestAuthority {
    /// With [`CONFIG`] and [`policy`].
    pub async fn start() -> Self {
        Self::with(CONFIG, &policy()).await
    }

    /// With other rules.
    pub async fn with(config: &str, policy: &str) -> Self {
        Self::with_files(config, policy, &[]).await
    }

    /// With other rules, and files that they name.
    pub async fn with_files(config: &str, policy: &str, files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        for directory in ["config", "data"] {
            std::fs::create_dir(home.path().join(directory)).unwrap();
        }
        let store = if crate::postgres::is_wanted() { crate::postgres::store_line() } else { String::new() };
        put(&home.path().join("config/authority.toml"), &format!("{store}{config}"));
        put(&home.path().join("config/policy.cedar"), policy);
        put(&home.path().join("config/schema.cedarschema"), DEFAULT_SCHEMA);
        for (name, text) in files {
            put(&home.path().join("config").join(name), text);
        }
        Self::over(home).await
    }

    /// Over directories that are there.
    pub async fn over(home: TempDir) -> Self {
        let (clock, faults) = (Clock::standing_at(noon()), Faults::default());
        let (authority, wire, serving) = open(home.path(), &clock, &faults).await;
        Self { home, authority, clock, faults, wire, serving }
    }

    /// The same directories, another process: what is not on disk is gone.
    pub async fn restart(&mut self) {
        self.serving.abort();
        let (authority, wire, serving) = open(self.home.path(), &self.clock, &self.faults).await;
        self.authority = authority;
        self.wire = wire;
        self.serving = serving;
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Where its state is.
    pub fn place(&self) -> Place {
        let file = self.config().join("authority.toml");
        let config = Config::parse(&file, &std::fs::read_to_string(&file).unwrap()).unwrap();
        Place::of(&self.data(), config.store.as_ref())
    }

    pub fn config(&self) -> PathBuf {
        self.home.path().join("config")
    }

    pub fn write_config(&self, text: &str) {
        let file = self.config().join("authority.toml");
        let before = std::fs::read_to_string(&file).unwrap_or_default();
        let store = before.split_inclusive('\n').next().filter(|line| line.starts_with("store = "));
        put(&file, &format!("{}{text}", store.unwrap_or_default()));
    }

    pub fn write_policy(&self, text: &str) {
        put(&self.config().join("policy.cedar"), text);
    }

    /// Another file of the configuration.
    pub fn write(&self, name: &str, text: &str) {
        put(&self.config().join(name), text);
    }

    /// The database, as whoever can write the file has it.
    pub async fn database(&self) -> AnyConnection {
        let url = match self.place() {
            Place::File(path) => format!("sqlite://{}", path.display()),
            Place::Postgres(url) => url.to_string(),
        };
        let mut connection = AnyConnection::connect(&url).await.unwrap();
        if url.starts_with("sqlite") {
            connection.execute("PRAGMA foreign_keys = OFF").await.unwrap();
        }
        connection
    }

    /// Runs one statement on the database behind the authority's back; how many rows it touched.
    pub async fn tamper(&self, statement: &str) -> u64 {
        // The one thing in these statements that the two say differently: bytes.
        let bytes = if matches!(self.place(), Place::Postgres(_)) { "= '\\x" } else { "= x'" };
        let statement = sqlx::AssertSqlSafe(statement.replace("= x'", bytes));
        sqlx::query(statement).execute(&mut self.database().await).await.unwrap().rows_affected()
    }

    /// One number from the database.
    pub async fn count(&self, query: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(query.to_owned());
        sqlx::query_scalar(query).fetch_one(&mut self.database().await).await.unwrap()
    }
}

async fn open(home: &Path, clock: &Clock, faults: &Faults) -> (Arc<Authority>, Wire, JoinHandle<()>) {
    let (config, data, socket) = (home.join("config"), home.join("data"), home.join("socket"));
    let authority = Authority::open(&config, &data, clock.clone(), faults.clone()).await.unwrap();
    let authority = Arc::new(authority);
    let _ = std::fs::remove_file(&socket);
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let own = ConnectInfo(Caller::with_uid(own_uid()));
    let app = router(authority.clone()).layer(Extension(own));
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let wire = Wire::new(&socket, clock.clone()).await;
    (authority, wire, serving)
}

/// Writes a file anew: another inode, so that a change within one tick of the clock is seen.
fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

// --- whoever talks to it -----------------------------------------------------------------------------------------

/// The authority's no.
#[derive(Debug)]
pub struct No {
    pub status: u16,
    pub body: ErrorResponse,
}

impl No {
    /// Status and OAuth error code.
    pub fn code(&self) -> (u16, &str) {
        (self.status, &self.body.error)
    }

    pub fn says(&self) -> &str {
        &self.body.error_description
    }
}

/// Any answer, undigested.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub nonce: Option<String>,
    pub json: Option<Value>,
    pub text: String,
}

impl Reply {
    pub fn no(&self) -> No {
        let body =
            serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{} is no error: {}", self.status, self.text));
        No { status: self.status, body }
    }

    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, No> {
        if self.status == 200 { Ok(serde_json::from_str(&self.text).unwrap()) } else { Err(self.no()) }
    }
}

/// What `POST /token` answers.
#[derive(Debug)]
pub enum Answer {
    Grant(Box<GrantResponse>),
    StepUp(Box<StepUpResponse>),
    No(Box<No>),
}

impl Answer {
    #[track_caller]
    pub fn grant(self) -> GrantResponse {
        match self {
            Self::Grant(grant) => *grant,
            other => panic!("no grant: {other:?}"),
        }
    }

    #[track_caller]
    pub fn step_up(self) -> StepUpResponse {
        match self {
            Self::StepUp(step_up) => *step_up,
            other => panic!("no step-up: {other:?}"),
        }
    }

    #[track_caller]
    pub fn no(self) -> No {
        match self {
            Self::No(no) => *no,
            other => panic!("no refusal: {other:?}"),
        }
    }
}

/// HTTP over the socket, with proofs of possession. Nothing of the real client is used but what makes a proof.
pub struct Wire {
    http: reqwest::Client,
    base: String,
    pub issuer: String,
    pub log_key: String,
    pub clock: Clock,
    nonce: Mutex<Option<String>>,
}

impl Wire {
    pub async fn new(socket: &Path, clock: Clock) -> Self {
        let http = reqwest::Client::builder().unix_socket(socket).tls_certs_only([]).build().unwrap();
        Self::over(http, "http://localhost".into(), clock).await
    }

    /// HTTP to any base URL.
    pub async fn over(http: reqwest::Client, base: String, clock: Clock) -> Self {
        let mut wire =
            Self { http, base, issuer: String::new(), log_key: String::new(), clock, nonce: Mutex::default() };
        let metadata: Metadata = wire.get("/.well-known/oauth-authorization-server").await.read().unwrap();
        wire.issuer = metadata.issuer;
        wire.log_key = metadata.elevate_log_key;
        wire
    }

    /// Path of an endpoint of the issuer.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.issuer.strip_prefix("https://localhost").unwrap())
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), format!("{}{path}", self.base))
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let nonce = response.headers().get("dpop-nonce").map(|nonce| nonce.to_str().unwrap().to_owned());
        if nonce.is_some() {
            self.nonce.lock().unwrap().clone_from(&nonce);
        }
        let text = response.text().await.unwrap();
        Reply { status, nonce, json: serde_json::from_str(&text).ok(), text }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request("GET", path)).await
    }

    /// A proof for one POST, with the nonce that came last.
    pub fn prove(&self, path: &str, key: &ProofKey, token: Option<&str>) -> String {
        self.prove_for("POST", path, key, token)
    }

    /// A proof for one request, with the nonce that came last.
    pub fn prove_for(&self, method: &str, path: &str, key: &ProofKey, token: Option<&str>) -> String {
        let url = format!("{}{path}", self.issuer);
        let expected = Expected { method, url: &url, access_token: token, now: self.clock.now() };
        let nonce = self.nonce();
        key.prove(&expected, Some(&nonce)).unwrap()
    }

    pub fn nonce(&self) -> String {
        self.nonce.lock().unwrap().clone().unwrap()
    }

    async fn proven(
        &self,
        path: &str,
        key: &ProofKey,
        token: Option<&str>,
        fill: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Reply {
        let once = || {
            let mut request = self.request("POST", &self.at(path)).header("DPoP", self.prove(path, key, token));
            if let Some(token) = token {
                request = request.header("Authorization", format!("DPoP {token}"));
            }
            self.send(fill(request))
        };
        let reply = once().await;
        let stale = reply.json.as_ref().is_some_and(|json| json["error"] == "use_dpop_nonce");
        if stale { once().await } else { reply }
    }

    /// Any form with a proof.
    pub async fn form(&self, path: &str, key: &ProofKey, form: &[(&str, &str)]) -> Reply {
        self.proven(path, key, None, |builder| builder.form(form)).await
    }

    /// `POST /token`.
    pub async fn token(&self, request: &TokenRequest, key: &ProofKey) -> Answer {
        answer(&self.proven("/token", key, None, |builder| builder.form(request)).await)
    }

    /// Asks, without answering a step-up.
    pub async fn ask(&self, ask: &Ask, key: &ProofKey) -> Answer {
        self.token(&ask.request(), key).await
    }

    /// Asks, and answers the step-up if there is one.
    pub async fn elevate(&self, ask: &Ask, key: &ProofKey, with: &TestKey) -> Answer {
        match self.ask(ask, key).await {
            Answer::StepUp(step_up) => {
                let assertion = with.sign(&step_up.authn_params_public_key);
                self.token(&ask.answer(&step_up.auth_session, &assertion), key).await
            }
            other => other,
        }
    }

    /// One operation on the authority itself, from the elevation to the deed.
    pub async fn operate(
        &self,
        name: OperationName,
        target: Option<&str>,
        secret: Option<&str>,
        with: &TestKey,
    ) -> Result<Value, No> {
        self.operate_with(name, target, operation_body(target, secret), with).await
    }

    /// Puts a secret that is sealed under security keys.
    pub async fn set_sealed(
        &self,
        resource: &str,
        text: &str,
        sealed_for: &SealedFor,
        with: &TestKey,
    ) -> Result<Value, No> {
        let request = OperationRequest {
            target: Some(resource.into()),
            secret: Some(Secret::new(text.to_owned())),
            sealed_for: Some(sealed_for.clone()),
            ttl: None,
            salt: base64url(random::<16>()),
            ..OperationRequest::default()
        };
        let body = serde_json::to_vec(&request).unwrap();
        self.operate_with(OperationName::SecretSet, Some(resource), body, with).await
    }

    async fn operate_with(
        &self,
        name: OperationName,
        target: Option<&str>,
        body: Vec<u8>,
        with: &TestKey,
    ) -> Result<Value, No> {
        let key = ProofKey::generate().unwrap();
        let ask = Ask::operation(name, target, &body);
        match self.elevate(&ask, &key, with).await {
            Answer::No(no) => Err(*no),
            answer => {
                let token = answer.grant().access_token;
                self.carry_out(name, body, token.expose(), &key).await.read()
            }
        }
    }

    /// `POST /operations/NAME`.
    pub async fn carry_out(&self, name: OperationName, body: Vec<u8>, token: &str, key: &ProofKey) -> Reply {
        let fill = |builder: reqwest::RequestBuilder| builder.body(body.clone());
        self.proven(&format!("/operations/{name}"), key, Some(token), fill).await
    }

    /// `POST /keys`, vouched for by `with` where policy asks for it.
    pub async fn begin_enrolment(
        &self,
        name: &str,
        key: &ProofKey,
        with: Option<&TestKey>,
    ) -> Result<EnrolmentChallenge, No> {
        let (body, token) = self.approve_enrolment(name, key, with).await?;
        self.begin_approved_enrolment(&body, &token, key).await
    }

    /// The elevation for one, and the body that it is for.
    pub async fn approve_enrolment(
        &self,
        name: &str,
        key: &ProofKey,
        with: Option<&TestKey>,
    ) -> Result<(Vec<u8>, Secret), No> {
        let request = EnrolmentRequest { name: name.parse().unwrap(), salt: base64url(random::<16>()) };
        let body = serde_json::to_vec(&request).unwrap();
        let ask = Ask::operation(OperationName::KeyEnroll, Some(name), &body);
        let answer = match with {
            Some(with) => self.elevate(&ask, key, with).await,
            None => self.ask(&ask, key).await,
        };
        match answer {
            Answer::No(no) => Err(*no),
            answer => Ok((body, answer.grant().access_token)),
        }
    }

    /// `POST /keys` itself.
    pub async fn begin_approved_enrolment(
        &self,
        body: &[u8],
        token: &Secret,
        key: &ProofKey,
    ) -> Result<EnrolmentChallenge, No> {
        self.proven("/keys", key, Some(token.expose()), |builder| builder.body(body.to_vec())).await.read()
    }

    /// `POST /keys/finish`.
    pub async fn finish_enrolment(
        &self,
        challenge: &EnrolmentChallenge,
        made: RegisterPublicKeyCredential,
        key: &ProofKey,
    ) -> Result<EnrolledKey, No> {
        let response = EnrolmentResponse { enrolment: challenge.enrolment.clone(), credential: made };
        self.proven("/keys/finish", key, None, |builder| builder.json(&response)).await.read()
    }

    /// Enrols a key, the first one or with the help of another.
    pub async fn enrol(&self, name: &str, new: &TestKey, with: Option<&TestKey>) -> Result<EnrolledKey, No> {
        let key = proof_key();
        let challenge = self.begin_enrolment(name, &key, with).await?;
        self.finish_enrolment(&challenge, new.make(&challenge.public_key), &key).await
    }

    pub async fn revoke(&self, token: &Secret) -> Reply {
        self.send(self.request("POST", &self.at("/revoke")).form(&[("token", token.expose())])).await
    }

    /// Whether the authority says that a token is good now.
    pub async fn is_active(&self, token: &Secret) -> bool {
        let request = self.request("POST", &self.at("/introspect")).form(&[("token", token.expose())]);
        self.send(request).await.json.unwrap()["active"].as_bool().unwrap()
    }

    /// Every entry of the log, checked against every checkpoint, as anybody can who may read it.
    pub async fn faults_of_the_log(&self) -> Vec<Fault> {
        let mut heads = Vec::new();
        loop {
            let above = heads.last().map_or(0, |head: &checkpoint::TreeHead| head.size);
            let page: LogCheckpoints =
                self.get(&self.at(&format!("/log/checkpoints?above={above}"))).await.read().unwrap();
            if page.checkpoints.is_empty() {
                break;
            }
            heads.extend(page.checkpoints.iter().map(|note| checkpoint::open(note, &self.log_key).unwrap()));
        }
        let mut check = LogCheck::against(heads);
        for entry in self.log().await {
            let stored = entry.hash.as_deref().and_then(|hash| tlog_tiles::Hash::parse_hash(hash).ok());
            check.push(entry.leaf.as_deref().map(str::as_bytes), stored, entry.private.as_ref());
        }
        check.finish()
    }

    /// Every entry of the log.
    pub async fn log(&self) -> Vec<elevate::protocol::messages::LogEntry> {
        let mut entries = Vec::new();
        loop {
            let page: LogPage =
                self.get(&self.at(&format!("/log/entries?from={}", entries.len()))).await.read().unwrap();
            entries.extend(page.entries);
            if entries.len() as u64 >= page.size {
                return entries;
            }
        }
    }

    /// Names of the events in the log, oldest first.
    pub async fn events(&self) -> Vec<String> {
        let event = |entry: elevate::protocol::messages::LogEntry| {
            let leaf: Value = serde_json::from_str(&entry.leaf.unwrap()).unwrap();
            leaf["event"].as_str().unwrap().to_owned()
        };
        self.log().await.into_iter().map(event).collect()
    }

    /// The last entry of the log.
    pub async fn last_entry(&self) -> Value {
        serde_json::from_str(self.log().await.last().unwrap().leaf.as_deref().unwrap()).unwrap()
    }
}

fn answer(reply: &Reply) -> Answer {
    if reply.status == 200 {
        return Answer::Grant(serde_json::from_str(&reply.text).unwrap());
    }
    match serde_json::from_str(&reply.text) {
        Ok(step_up) => {
            assert_eq!(reply.status, 403, "{}", reply.text);
            Answer::StepUp(step_up)
        }
        Err(_) => Answer::No(Box::new(reply.no())),
    }
}

/// What a token says; its signature is another test's matter.
#[must_use]
pub fn claims(token: &Secret) -> Claims {
    serde_json::from_slice(&from_base64url(token.expose().split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[must_use]
pub fn operation_body(target: Option<&str>, secret: Option<&str>) -> Vec<u8> {
    let request = OperationRequest {
        target: target.map(str::to_owned),
        secret: secret.map(|secret| Secret::new(secret.to_owned())),
        sealed_for: None,
        ttl: None,
        salt: base64url(random::<16>()),
        ..OperationRequest::default()
    };
    serde_json::to_vec(&request).unwrap()
}

#[must_use]
pub fn proof_key() -> ProofKey {
    ProofKey::generate().unwrap()
}

// --- what is asked -----------------------------------------------------------------------------------------------

/// One request, to be changed as a test needs.
#[derive(Debug, Clone)]
pub struct Ask {
    pub resource: String,
    pub scope: String,
    pub detail: AuthorizationDetail,
    pub subject_token: String,
    pub log_size: u64,
    pub prompt: Option<String>,
}

impl Ask {
    #[must_use]
    pub fn new(resource: &str) -> Self {
        let claimed = Claimed { host: "laptop".into(), os: "linux".into(), tty: true, ssh: false, command: None };
        let detail =
            AuthorizationDetail { r#type: ElevateType::Elevate, ttl: None, reason: None, operation: None, claimed };
        Self { resource: resource.into(), scope: String::new(), detail, subject_token: me(), log_size: 0, prompt: None }
    }

    /// For an operation whose body is `body`.
    #[must_use]
    pub fn operation(name: OperationName, target: Option<&str>, body: &[u8]) -> Self {
        let mut ask = Self::new("authority");
        let target = target.map(str::to_owned);
        ask.detail.operation = Some(Operation { name, target, body_sha256: base64url(sha256(&[body])) });
        ask
    }

    #[must_use]
    pub fn scope(self, scope: &str) -> Self {
        Self { scope: scope.into(), ..self }
    }

    #[must_use]
    pub fn ttl(mut self, ttl: &str) -> Self {
        self.detail.ttl = Some(ttl.parse().unwrap());
        self
    }

    #[must_use]
    pub fn reason(mut self, reason: &str) -> Self {
        self.detail.reason = Some(reason.into());
        self
    }

    #[must_use]
    pub fn request(&self) -> TokenRequest {
        TokenRequest {
            grant_type: TOKEN_EXCHANGE.into(),
            client_id: CLIENT_ID.into(),
            subject_token: Secret::new(self.subject_token.clone()),
            subject_token_type: PEER_TOKEN_TYPE.into(),
            resource: format!("urn:elevate:resource:{}", self.resource),
            scope: self.scope.parse().unwrap(),
            authorization_details: json!([self.detail]).to_string(),
            log_size: self.log_size,
            prompt: self.prompt.clone(),
            auth_session: None,
            authn_response: None,
        }
    }

    /// The second round.
    #[must_use]
    pub fn answer(&self, auth_session: &str, assertion: &PublicKeyCredential) -> TokenRequest {
        TokenRequest {
            auth_session: Some(auth_session.into()),
            authn_response: Some(serde_json::to_string(assertion).unwrap()),
            ..self.request()
        }
    }

    /// The same, as the client signs it.
    #[must_use]
    pub fn asked(&self, issuer: &str, key: &ProofKey) -> Asked {
        Asked {
            issuer: issuer.into(),
            subject: me(),
            jkt: key.jkt().into(),
            resource: self.resource.parse().unwrap(),
            scope: self.scope.parse().unwrap(),
            detail: self.detail.clone(),
        }
    }
}

// --- security keys -----------------------------------------------------------------------------------------------

/// What a key brings when it is made (Level 3, section 8).
pub enum Statement {
    /// `none`.
    None,
    /// `packed`, signed by the new key itself.
    SelfSigned,
    /// `packed`, signed by its maker's certificate.
    Packed(Attestation),
    /// `fido-u2f`, signed by its maker's certificate.
    FidoU2f(Attestation),
}

/// A P-256 authenticator.
pub struct TestKey {
    pair: EcdsaKeyPair,
    pub id: Vec<u8>,
    pub aaguid: [u8; 16],
    /// UP, UV, BE, BS, as it reports them.
    pub flags: u8,
    pub counter: AtomicU32,
    pub statement: Statement,
    /// Whether it makes an `hmac-secret` when it is asked to.
    pub hmac_secret: bool,
}

/// What a key says in one answer: honest, until a test changes a part of it. The signature is over what it says.
pub struct Says {
    pub ceremony: String,
    pub challenge: Vec<u8>,
    pub origin: String,
    pub cross_origin: bool,
    pub rp_id: String,
    pub flags: u8,
    pub counter: u32,
    pub credential_id: Vec<u8>,
}

impl TestKey {
    fn new(aaguid: [u8; 16], flags: u8) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self {
            pair,
            id: random::<32>().to_vec(),
            aaguid,
            flags,
            counter: AtomicU32::new(1),
            statement: Statement::None,
            hmac_secret: false,
        }
    }

    /// A device that is touched, and has no PIN.
    #[must_use]
    pub fn touch_only() -> Self {
        Self::new([0x11; 16], UP)
    }

    /// A device with a PIN.
    #[must_use]
    pub fn with_pin() -> Self {
        Self::new([0x22; 16], UP | UV)
    }

    /// A passkey that a cloud account syncs.
    #[must_use]
    pub fn synced() -> Self {
        Self::new([0x33; 16], UP | UV | BE | BS)
    }

    /// A file.
    #[must_use]
    pub fn software() -> Self {
        Self::new(SOFTWARE_AAGUID, UP)
    }

    /// A device with a PIN that its maker vouches for, and under which secrets can be sealed.
    #[must_use]
    pub fn attested(maker: &Maker) -> Self {
        let key = Self::with_pin();
        let statement = Statement::Packed(maker.vouch(key.aaguid));
        Self { statement, ..key }.with_hmac_secret()
    }

    #[must_use]
    pub fn with_hmac_secret(self) -> Self {
        Self { hmac_secret: true, ..self }
    }

    /// As lists have it.
    pub fn credential_id(&self) -> String {
        base64url(&self.id)
    }

    /// Signs honestly.
    #[must_use]
    pub fn sign(&self, options: &PublicKeyCredentialRequestOptions) -> PublicKeyCredential {
        self.sign_saying(options, |_| {})
    }

    /// Signs what `lie` makes of the truth.
    #[must_use]
    pub fn sign_saying(
        &self,
        options: &PublicKeyCredentialRequestOptions,
        lie: impl FnOnce(&mut Says),
    ) -> PublicKeyCredential {
        let mut says = Says {
            ceremony: "webauthn.get".into(),
            challenge: options.challenge.clone(),
            origin: format!("https://{}", options.rp_id),
            cross_origin: false,
            rp_id: options.rp_id.clone(),
            flags: self.flags,
            counter: self.counter.fetch_add(1, Ordering::SeqCst) + 1,
            credential_id: self.id.clone(),
        };
        // Encrypted for the client (CTAP 2.1, section 12.5); part of what is signed.
        let asked = options.extensions.as_ref().and_then(|extensions| extensions.hmac_get_secret.as_ref());
        let output = (self.hmac_secret && asked.is_some()).then(|| Cbor::Bytes(random::<48>().to_vec()));
        says.flags |= if output.is_some() { ED } else { 0 };
        lie(&mut says);
        let client_data_json = says.client_data();
        let mut data = says.authenticator_data();
        data.extend(output.map(extension).unwrap_or_default());
        let signed = [data.as_slice(), &sha256(&[&client_data_json])].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &signed).unwrap().as_ref().to_vec();
        PublicKeyCredential {
            id: base64url(&says.credential_id),
            raw_id: says.credential_id,
            response: AuthenticatorAssertionResponseRaw {
                authenticator_data: data,
                client_data_json,
                signature,
                user_handle: None,
            },
            extensions: AuthenticationExtensionsClientOutputs::default(),
            type_: "public-key".into(),
        }
    }

    /// Makes a credential, honestly.
    #[must_use]
    pub fn make(&self, options: &PublicKeyCredentialCreationOptions) -> RegisterPublicKeyCredential {
        self.make_saying(options, |_| {})
    }

    /// Makes a credential, saying what `lie` makes of the truth.
    #[must_use]
    pub fn make_saying(
        &self,
        options: &PublicKeyCredentialCreationOptions,
        lie: impl FnOnce(&mut Says),
    ) -> RegisterPublicKeyCredential {
        let asked = options.extensions.as_ref().and_then(|extensions| extensions.hmac_create_secret);
        let makes_secret = self.hmac_secret && asked == Some(true);
        let mut says = Says {
            ceremony: "webauthn.create".into(),
            challenge: options.challenge.clone(),
            origin: format!("https://{LOCAL_HOST}"),
            cross_origin: false,
            rp_id: options.rp.id.clone(),
            flags: self.flags | AT | if makes_secret { ED } else { 0 },
            counter: self.counter.load(Ordering::SeqCst),
            credential_id: self.id.clone(),
        };
        lie(&mut says);
        let mut data = says.authenticator_data();
        data.extend(self.aaguid);
        data.extend(u16::try_from(says.credential_id.len()).unwrap().to_be_bytes());
        data.extend(&says.credential_id);
        data.extend(self.cose());
        if makes_secret {
            data.extend(extension(Cbor::Bool(true)));
        }
        let (format, statement) = self.statement(&says, &data);
        let text = |text: &str| Cbor::Text(text.into());
        let attestation = Cbor::Map(vec![
            (text("fmt"), text(format)),
            (text("attStmt"), Cbor::Map(statement)),
            (text("authData"), Cbor::Bytes(data)),
        ]);
        RegisterPublicKeyCredential {
            id: base64url(&says.credential_id),
            response: AuthenticatorAttestationResponseRaw {
                attestation_object: cbor(&attestation),
                client_data_json: says.client_data(),
                transports: Some(vec![AuthenticatorTransport::Usb, AuthenticatorTransport::Nfc]),
            },
            raw_id: says.credential_id,
            type_: "public-key".into(),
            extensions: RegistrationExtensionsClientOutputs::default(),
        }
    }

    fn statement(&self, says: &Says, data: &[u8]) -> (&'static str, Vec<(Cbor, Cbor)>) {
        let hash = sha256(&[&says.client_data()]);
        let sign = |key: &EcdsaKeyPair, message: &[u8]| {
            Cbor::Bytes(key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
        };
        let text = |text: &str| Cbor::Text(text.into());
        let es256 = (text("alg"), Cbor::Integer((-7).into()));
        let packed = [data, &hash].concat();
        let chain = |attestation: &Attestation| {
            (text("x5c"), Cbor::Array(attestation.chain.iter().cloned().map(Cbor::Bytes).collect()))
        };
        match &self.statement {
            Statement::None => ("none", vec![]),
            Statement::SelfSigned => ("packed", vec![es256, (text("sig"), sign(&self.pair, &packed))]),
            Statement::Packed(by) => ("packed", vec![es256, (text("sig"), sign(&by.key, &packed)), chain(by)]),
            Statement::FidoU2f(by) => {
                let rp_id_hash = sha256(&[says.rp_id.as_bytes()]);
                let public = self.pair.public_key().as_ref();
                let signed = [&[0], rp_id_hash.as_slice(), &hash, &says.credential_id, public].concat();
                ("fido-u2f", vec![(text("sig"), sign(&by.key, &signed)), chain(by)])
            }
        }
    }

    /// As somebody would who has only the public key.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), aws_lc_rs::error::Unspecified> {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.pair.public_key().as_ref());
        key.verify(message, signature)
    }

    /// RFC 9053 section 7.1.
    fn cose(&self) -> Vec<u8> {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let int = |number: i64| Cbor::Integer(number.into());
        cbor(&Cbor::Map(vec![
            (int(1), int(2)),
            (int(3), int(-7)),
            (int(-1), int(1)),
            (int(-2), Cbor::Bytes(x.to_vec())),
            (int(-3), Cbor::Bytes(y.to_vec())),
        ]))
    }
}

impl Says {
    fn client_data(&self) -> Vec<u8> {
        json!({
            "type": self.ceremony,
            "challenge": base64url(&self.challenge),
            "origin": self.origin,
            "crossOrigin": self.cross_origin,
        })
        .to_string()
        .into_bytes()
    }

    fn authenticator_data(&self) -> Vec<u8> {
        let rp_id_hash = sha256(&[self.rp_id.as_bytes()]);
        AuthenticatorData { rp_id_hash, flags: self.flags, counter: self.counter }.to_bytes()
    }
}

/// Extension data with one `hmac-secret`.
fn extension(output: Cbor) -> Vec<u8> {
    cbor(&Cbor::Map(vec![(Cbor::Text("hmac-secret".into()), output)]))
}

fn cbor(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

// --- sealed secrets ----------------------------------------------------------------------------------------------

/// Looks like an age file; the authority can't look into one.
pub const AGE: &str = "-----BEGIN AGE ENCRYPTED FILE-----\nYWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBtYWRlIHVw\n-----END AGE ENCRYPTED FILE-----\n";

#[must_use]
pub fn sealed_for(keys: &[&TestKey]) -> SealedFor {
    let credential_ids = keys.iter().map(|key| key.credential_id()).collect();
    SealedFor { salt: base64url(random::<32>()), credential_ids }
}
