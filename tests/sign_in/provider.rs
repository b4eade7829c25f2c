//! An `OpenID` provider in this process that does as it is told, wrong included. The honest one is a real peer.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use elevate::clock::Clock;
use elevate::protocol::encoding::base64url;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub const CLIENT: &str = "elevate-authority";

/// A key that it signs with.
#[derive(Clone)]
pub struct Key {
    kid: String,
    der: Vec<u8>,
}

impl Key {
    pub fn new(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid: kid.into(), der: pair.to_pkcs8v1().unwrap().as_ref().to_vec() }
    }

    pub fn encoding(&self) -> EncodingKey {
        EncodingKey::from_ec_der(&self.der)
    }

    pub fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.encoding(), Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).unwrap()
    }

    /// An honest signature over any claims.
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.encoding()).unwrap()
    }
}

/// What it says next.
pub struct Says {
    /// The time it lives in.
    pub clock: Clock,
    pub keys: Vec<Key>,
    /// Added to, and put in the place of, the honest claims.
    pub claims: Value,
    /// Makes a token of the claims; by default signs with the first key.
    #[allow(clippy::type_complexity, reason = "a closure")]
    pub token: Option<Box<dyn Fn(&Value, &Key) -> String + Send>>,
    /// Added to, and put in the place of, the honest metadata.
    pub metadata: Value,
    /// It takes this long.
    pub delay: Duration,
    /// The status of every answer of the token endpoint.
    pub status: u16,
    pub asked_for_keys: usize,
    /// In the place of its keys: a status, a place to go to, and a text.
    pub instead_of_keys: Option<(u16, &'static str, String)>,
    pub verifier: Option<String>,
    nonce: String,
}

pub struct Provider {
    pub issuer: String,
    pub says: Arc<Mutex<Says>>,
    serving: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct Shared {
    issuer: String,
    says: Arc<Mutex<Says>>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let says = Says {
            clock: Clock::system(),
            keys: vec![Key::new("one")],
            claims: json!({}),
            token: None,
            metadata: json!({}),
            delay: Duration::ZERO,
            status: 200,
            asked_for_keys: 0,
            instead_of_keys: None,
            verifier: None,
            nonce: String::new(),
        };
        let says = Arc::new(Mutex::new(says));
        let shared = Shared { issuer: issuer.clone(), says: says.clone() };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .with_state(shared);
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { issuer, says, serving }
    }

    /// `[sign_in]` for it.
    pub fn config(&self) -> String {
        format!("[sign_in]\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\nallow = [\"*\"]\n", self.issuer)
    }

    pub fn subject(&self, sub: &str) -> String {
        format!("{}#{sub}", self.issuer)
    }

    /// A person signs in there: the nonce of their browser's URL is what the ID token will have.
    pub fn visited(&self, url: &url::Url) {
        let pairs: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert!(url.as_str().starts_with(&self.issuer), "{url}");
        assert_eq!(pairs["client_id"], CLIENT);
        assert_eq!(pairs["code_challenge_method"], "S256");
        self.says.lock().unwrap().nonce.clone_from(&pairs["nonce"]);
    }

    pub fn change(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.says.lock().unwrap());
    }
}

fn merged(mut honest: Value, said: &Value) -> Value {
    for (name, value) in said.as_object().unwrap() {
        if value.is_null() {
            honest.as_object_mut().unwrap().remove(name);
        } else {
            honest[name] = value.clone();
        }
    }
    honest
}

async fn waits(shared: &Shared) {
    let delay = shared.says.lock().unwrap().delay;
    tokio::time::sleep(delay).await;
}

async fn metadata(State(shared): State<Shared>) -> Json<Value> {
    waits(&shared).await;
    let issuer = &shared.issuer;
    let honest = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
    });
    Json(merged(honest, &shared.says.lock().unwrap().metadata))
}

async fn jwks(State(shared): State<Shared>) -> Response {
    let mut says = shared.says.lock().unwrap();
    says.asked_for_keys += 1;
    if let Some((status, location, text)) = says.instead_of_keys.clone() {
        return (axum::http::StatusCode::from_u16(status).unwrap(), [("location", location)], text).into_response();
    }
    Json(json!({ "keys": says.keys.iter().map(Key::jwk).collect::<Vec<_>>() })).into_response()
}

async fn token(
    State(shared): State<Shared>,
    Form(form): Form<HashMap<String, String>>,
) -> (axum::http::StatusCode, Json<Value>) {
    waits(&shared).await;
    let mut says = shared.says.lock().unwrap();
    says.verifier = form.get("code_verifier").cloned();
    let now = says.clock.now().as_second();
    let honest = json!({
        "iss": shared.issuer, "sub": "anna", "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": says.nonce,
        "name": "Anna Example", "groups": ["staff", "sre"], "auth_time": now - 30, "acr": "urn:mace:incommon:iap:silver",
        "amr": ["pwd"],
    });
    let claims = merged(honest, &says.claims);
    let id_token = says.token.as_ref().map_or_else(|| says.keys[0].sign(&claims), |make| make(&claims, &says.keys[0]));
    let answer = if says.status == 200 {
        json!({ "access_token": base64url([7; 16]), "token_type": "Bearer", "id_token": id_token })
    } else {
        json!({ "error": "invalid_client" })
    };
    (says.status.try_into().unwrap(), Json(answer))
}
