//! The authority over the network: a device that signs in, and the browser of its owner.

use super::provider::Provider;
use crate::harness::{Answer, Ask, No, Reply, TestAuthority, TestKey, Wire, policy, proof_key};
use axum::Extension;
use axum::extract::ConnectInfo;
use elevate::authority::Authority;
use elevate::authority::caller::Caller;
use elevate::authority::routes::router;
use elevate::authority::store::Faults;
use elevate::clock::Clock;
use elevate::protocol::CLIENT_ID;
use elevate::protocol::dpop::ProofKey;
use elevate::protocol::encoding::{base64url, random, sha256};
use elevate::protocol::messages::{
    ACCESS_TOKEN_TYPE, EnrolledKey, EnrolmentChallenge, EnrolmentRequest, OperationName, PushedResponse,
    SignInChallenge, SignInResponse, TokenRequest,
};
use elevate::protocol::secret::Secret;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;
use webauthn_rs_proto::PublicKeyCredential;

/// Where the device listens.
pub const REDIRECT: &str = "http://127.0.0.1:49152/callback";

/// An authority that is reached over TCP, whose provider is in this process as well.
pub struct Network {
    pub authority: TestAuthority,
    pub provider: Provider,
    /// For whoever is on a socket, use `authority`; this is an address.
    pub wire: Wire,
    serving: JoinHandle<()>,
}

impl std::ops::Deref for Network {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Network {
    pub async fn start() -> Self {
        Self::with("", &policy()).await
    }

    /// With more in `[sign_in]` and after it, and another policy.
    pub async fn with(more: &str, policy: &str) -> Self {
        let provider = Provider::start().await;
        let config = format!("{}\n{}{more}", crate::harness::CONFIG, provider.config());
        let authority = TestAuthority::with(&config, policy).await;
        provider.change(|says| says.clock = authority.clock.clone());
        let (wire, serving) = over_tcp(authority.authority.clone(), authority.clock.clone()).await;
        Self { authority, provider, wire, serving }
    }

    /// Without an identity provider: people have keys and invitations.
    pub async fn without_provider() -> Self {
        let provider = Provider::start().await;
        let config = format!("{}\n[sign_in]\nallow = [\"*\"]\n", crate::harness::CONFIG);
        let authority = TestAuthority::with(&config, &policy()).await;
        let (wire, serving) = over_tcp(authority.authority.clone(), authority.clock.clone()).await;
        Self { authority, provider, wire, serving }
    }

    /// Another authority on the same store.
    pub async fn other_node(&self) -> OtherNode {
        let (config, data) = (self.authority.config(), self.authority.data());
        let authority = Authority::open(&config, &data, self.clock.clone(), Faults::default()).await.unwrap();
        let (wire, serving) = over_tcp(Arc::new(authority), self.clock.clone()).await;
        OtherNode { wire, serving }
    }

    /// A POST with a proof.
    pub async fn post(&self, path: &str, key: &ProofKey, form: &[(&str, &str)]) -> Reply {
        let once = async || {
            let request = self.request("POST", &self.at(path)).header("DPoP", self.prove(path, key, None));
            self.send(request.form(form)).await
        };
        let reply = once().await;
        if reply.json.as_ref().is_some_and(|json| json["error"] == "use_dpop_nonce") { once().await } else { reply }
    }

    /// A GET of somebody who is signed in.
    pub async fn get_as(&self, device: &Device, path: &str) -> Reply {
        get_as(&self.wire, device, path).await
    }

    /// `POST /token` of somebody who is signed in.
    pub async fn ask_as(&self, device: &Device, ask: &Ask) -> Answer {
        self.token(&device.request(ask), &device.key).await
    }

    /// Pushes what a device wants.
    pub async fn push(&self, login: &Login) -> PushedResponse {
        let reply = self.post("/par", &login.key, &login.form()).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        serde_json::from_str(&reply.text).unwrap()
    }

    /// From the device's request to the URL of the provider.
    pub async fn to_provider(&self, login: &Login, browser: &mut Browser) -> Url {
        let pushed = self.push(login).await;
        let mut url: Url = "http://unused/authorize".parse().unwrap();
        url.query_pairs_mut().append_pair("client_id", CLIENT_ID).append_pair("request_uri", &pushed.request_uri);
        let shown = browser.open(self, &format!("{}?{}", self.at("/authorize"), url.query().unwrap())).await;
        shown.location().unwrap_or_else(|| panic!("no way to the provider: {}", shown.text))
    }

    /// The browser comes back from the provider with `answer` instead of the honest one.
    pub async fn back_saying(&self, url: &Url, answer: &[(&str, &str)], browser: &mut Browser) -> Shown {
        let state = pairs(url)["state"].clone();
        let mut back: Url = "http://unused/".parse().unwrap();
        back.query_pairs_mut().append_pair("state", &state).extend_pairs(answer);
        browser.open(self, &format!("{}?{}", self.at("/sign_in/callback"), back.query().unwrap())).await
    }

    /// The person signs in at the provider and comes back.
    pub async fn back(&self, url: &Url, browser: &mut Browser) -> Shown {
        self.provider.visited(url);
        self.back_saying(url, &[("code", "of-the-provider")], browser).await
    }

    /// From the device's request to the redirect that reaches it.
    pub async fn redirect(&self, login: &Login) -> HashMap<String, String> {
        let mut browser = Browser::default();
        let url = self.to_provider(login, &mut browser).await;
        let page = self.back(&url, &mut browser).await;
        let shown = browser.confirm(self, &page, "allow").await;
        shown.redirect()
    }

    pub async fn redeem(&self, login: &Login, code: &str) -> Reply {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT_ID),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", &login.verifier),
        ];
        self.post("/token", &login.key, &form).await
    }

    /// Asks for a code directly.
    pub async fn authorize(&self, login: &Login, more: &[(&str, &str)]) -> Reply {
        let challenge = login.challenge();
        let mut form = vec![
            ("client_id", CLIENT_ID),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("elevate_host", "laptop"),
        ];
        form.extend(more);
        self.post("/authorize-challenge", &login.key, &form).await
    }

    /// What a key is asked, to sign in.
    pub async fn challenge(&self, login: &Login) -> SignInChallenge {
        let reply = self.authorize(login, &[]).await;
        assert_eq!(reply.status, 403, "{}", reply.text);
        serde_json::from_str(&reply.text).unwrap()
    }

    /// A key answers.
    pub async fn answer(&self, login: &Login, auth_session: &str, assertion: &PublicKeyCredential) -> Reply {
        let assertion = serde_json::to_string(assertion).unwrap();
        self.authorize(login, &[("auth_session", auth_session), ("authn_response", &assertion)]).await
    }

    /// The token for a code that was answered to the device itself.
    pub async fn redeem_direct(&self, login: &Login, reply: &Reply) -> Reply {
        assert_eq!(reply.status, 200, "{}", reply.text);
        let code = reply.json.as_ref().unwrap()["authorization_code"].as_str().unwrap();
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT_ID),
            ("code", code),
            ("code_verifier", &login.verifier),
        ];
        self.post("/token", &login.key, &form).await
    }

    /// Signs a device in with a security key, honestly.
    pub async fn sign_in_with(&self, key: &TestKey) -> Device {
        let login = Login::new();
        let challenge = self.challenge(&login).await;
        let code = self.answer(&login, &challenge.auth_session, &key.sign(&challenge.authn_params_public_key)).await;
        let answer = self.redeem_direct(&login, &code).await;
        Device::of(login.key, &answer)
    }

    /// Signs a device in by an invitation.
    pub async fn sign_in_by(&self, invitation: &str) -> Device {
        let login = Login::new();
        let code = self.authorize(&login, &[("invitation", invitation)]).await;
        let answer = self.redeem_direct(&login, &code).await;
        Device::of(login.key, &answer)
    }

    /// First round of an enrolment of somebody who is signed in and has no key.
    pub async fn begin_first_key(&self, device: &Device, name: &str) -> Result<EnrolmentChallenge, No> {
        let request = EnrolmentRequest { name: name.parse().unwrap(), salt: base64url(random::<16>()) };
        let body = serde_json::to_vec(&request).unwrap();
        let ask = Ask::operation(OperationName::KeyEnroll, Some(name), &body);
        match self.ask_as(device, &ask).await {
            Answer::No(no) => Err(*no),
            answer => self.begin_approved_enrolment(&body, &answer.grant().access_token, &device.key).await,
        }
    }

    /// Enrols the first key of somebody who is signed in.
    pub async fn first_key(&self, device: &Device, name: &str, key: &TestKey) -> Result<EnrolledKey, No> {
        let challenge = self.begin_first_key(device, name).await?;
        self.finish_enrolment(&challenge, key.make(&challenge.public_key), &device.key).await
    }

    /// An administrator on the machine invites somebody.
    pub async fn invite(&self, admin: &TestKey, user: &str) -> String {
        let answer = self.authority.operate(OperationName::UserInvite, Some(user), None, admin).await.unwrap();
        answer["invitation"].as_str().unwrap().to_owned()
    }

    /// Why somebody is not invited.
    pub async fn invite_fails(&self, admin: &TestKey, user: &str) -> String {
        let no = self.authority.operate(OperationName::UserInvite, Some(user), None, admin).await.unwrap_err();
        no.says().to_owned()
    }

    /// The same authority, for whoever has another address.
    pub async fn from(&self, address: &str) -> (Wire, JoinHandle<()>) {
        serve_to(address, self.authority.authority.clone(), self.clock.clone()).await
    }

    /// Signs a device in, honestly.
    pub async fn sign_in(&self) -> Device {
        let login = Login::new();
        let redirect = self.redirect(&login).await;
        assert_eq!(redirect["state"], login.state);
        assert_eq!(redirect["iss"], self.issuer);
        let answer = self.redeem(&login, &redirect["code"]).await;
        Device::of(login.key, &answer)
    }
}

pub async fn get_as(wire: &Wire, device: &Device, path: &str) -> Reply {
    let endpoint = path.split('?').next().unwrap();
    let token = device.token.expose();
    let once = async || {
        let proof = wire.prove_for("GET", endpoint, &device.key, Some(token));
        let request = wire.request("GET", &wire.at(path)).header("DPoP", proof);
        wire.send(request.header("Authorization", format!("DPoP {token}"))).await
    };
    let reply = once().await;
    if reply.json.as_ref().is_some_and(|json| json["error"] == "use_dpop_nonce") { once().await } else { reply }
}

/// See [`Network::other_node`].
pub struct OtherNode {
    wire: Wire,
    serving: JoinHandle<()>,
}

impl OtherNode {
    pub const fn wire(&self) -> &Wire {
        &self.wire
    }

    pub async fn get_as(&self, device: &Device, path: &str) -> Reply {
        get_as(&self.wire, device, path).await
    }
}

impl Drop for OtherNode {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The same authority, for whoever comes over the network.
pub async fn over_tcp(authority: Arc<Authority>, clock: Clock) -> (Wire, JoinHandle<()>) {
    serve_to("192.0.2.7", authority, clock).await
}

async fn serve_to(address: &str, authority: Arc<Authority>, clock: Clock) -> (Wire, JoinHandle<()>) {
    let caller = ConnectInfo(Caller::Remote(address.parse().unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = router(authority).layer(Extension(caller));
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let wire = Wire::over(http, format!("http://{address}"), clock).await;
    (wire, serving)
}

/// A device that is about to sign in.
pub struct Login {
    pub key: ProofKey,
    pub state: String,
    pub verifier: String,
}

impl Login {
    pub fn new() -> Self {
        Self { key: proof_key(), state: base64url(random::<32>()), verifier: base64url(random::<32>()) }
    }

    pub fn challenge(&self) -> String {
        base64url(sha256(&[self.verifier.as_bytes()]))
    }

    /// What it pushes. Leaked, as forms want references.
    pub fn form(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", REDIRECT),
            ("state", &self.state),
            ("code_challenge", Box::leak(self.challenge().into_boxed_str())),
            ("code_challenge_method", "S256"),
            ("elevate_host", "laptop"),
        ]
    }
}

/// A device that is signed in.
pub struct Device {
    pub key: ProofKey,
    pub token: Secret,
    pub subject: String,
}

impl Device {
    pub fn of(key: ProofKey, answer: &Reply) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let response: SignInResponse = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(response.token_type, "DPoP");
        Self { key, token: response.access_token, subject: response.subject }
    }

    pub fn request(&self, ask: &Ask) -> TokenRequest {
        TokenRequest {
            subject_token: self.token.clone(),
            subject_token_type: ACCESS_TOKEN_TYPE.into(),
            ..ask.request()
        }
    }
}

/// What a browser shows.
pub struct Shown {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Shown {
    pub fn location(&self) -> Option<Url> {
        self.headers.get("location").map(|url| url.to_str().unwrap().parse().unwrap())
    }

    /// Where the page goes on to by itself.
    pub fn onward(&self) -> Url {
        let rest = self.text.split("content=\"0;url=").nth(1).unwrap_or_else(|| panic!("it stays: {}", self.text));
        rest.split('"').next().unwrap().replace("&amp;", "&").parse().unwrap()
    }

    /// The parameters with which the device is reached.
    pub fn redirect(&self) -> HashMap<String, String> {
        let url = self.onward();
        assert!(url.as_str().starts_with(REDIRECT), "{url}");
        pairs(&url)
    }

    fn hidden(&self, name: &str) -> String {
        let rest = self.text.split(&format!("name=\"{name}\" value=\"")).nth(1);
        let rest = rest.unwrap_or_else(|| panic!("no {name}: {}", self.text));
        rest.split('"').next().unwrap().to_owned()
    }
}

pub fn pairs(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// A browser: it keeps the one cookie.
#[derive(Default, Clone)]
pub struct Browser {
    pub cookie: Option<String>,
}

impl Browser {
    pub async fn open(&mut self, network: &Network, path: &str) -> Shown {
        self.show(network.request("GET", path)).await
    }

    pub async fn submit(&mut self, network: &Network, path: &str, form: &[(&str, &str)]) -> Shown {
        self.show(network.request("POST", &network.at(path)).form(form)).await
    }

    /// The person answers the page that asks them.
    pub async fn confirm(&mut self, network: &Network, page: &Shown, answer: &str) -> Shown {
        self.submit(network, "/sign_in/confirm", &[("name", &page.hidden("name")), ("answer", answer)]).await
    }

    pub async fn show(&mut self, request: reqwest::RequestBuilder) -> Shown {
        let request = match &self.cookie {
            Some(cookie) => request.header("Cookie", cookie.clone()),
            None => request,
        };
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if let Some(cookie) = headers.get("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"), "{cookie}");
            self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        }
        Shown { status, headers, text: response.text().await.unwrap() }
    }
}

/// The authority's no to a token request.
#[track_caller]
pub fn no(reply: &Reply) -> No {
    assert_ne!(reply.status, 200, "{}", reply.text);
    reply.no()
}
