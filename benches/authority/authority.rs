//! An authority as it is served, people who are signed in on devices, each with a security key, and what they ask.

use super::load::{Connection, Item, free_address, header, request};
use super::processes::{self, Running};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use elevate::authority::rules::{DEFAULT_POLICY, DEFAULT_SCHEMA};
use elevate::authority::store::{Change, Faults, Place, PostgresUrl, SecurityKeyRow, SignInRow, Store};
use elevate::clock::Clock;
use elevate::files::own_directory;
use elevate::protocol::CLIENT_ID;
use elevate::protocol::authenticator_data::{AuthenticatorData, UP};
use elevate::protocol::challenge::session_hash;
use elevate::protocol::dpop::{Expected, ProofKey};
use elevate::protocol::encoding::{base64url, random, sha256};
use elevate::protocol::messages::{ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE};
use elevate::protocol::names::ResourceName;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use url::form_urlencoded;

const HOST: &str = "bench.example";
const ISSUER: &str = "https://bench.example";
const PROVIDER: &str = "https://idp.invalid";
/// What policy and catalogue say is usual. Who calls is behind a proxy, so that each has an address of their own.
const CONFIG: &str = concat!(
    r#"
issuer = "https://bench.example"
[listen]
plain_http = true
trusted_proxies = ["127.0.0.0/8"]
requests_per_second = 1000000
connections = 100000
[sign_in]
issuer = "https://idp.invalid"
client_id = "bench"
allow = ["*"]
"#,
    include_str!("../resources.toml")
);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Low,
    SteppedUp,
    Introspection,
}

impl What {
    pub const ALL: [Self; 3] = [Self::Low, Self::SteppedUp, Self::Introspection];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low risk: one exchange, on disk",
            Self::SteppedUp => "stepped up: two exchanges, on disk",
            Self::Introspection => "introspection",
        }
    }
}

/// A person on a device: a proof key that the sign-in is bound to, and a security key.
struct Device {
    proof: ProofKey,
    token: String,
    credential: [u8; 16],
    address: String,
}

pub struct Authority {
    pub address: SocketAddr,
    running: Running,
    devices: Vec<Device>,
    security_key: Arc<EcdsaKeyPair>,
    nonce: String,
    /// One grant that stands.
    grant: String,
}

impl Authority {
    /// With so many people signed in.
    pub async fn start(home: &Path, store: Option<&str>, people: usize) -> Self {
        let (config, data, address) = (home.join("config"), home.join("data"), free_address());
        own_directory(&data).unwrap();
        fs::create_dir(&config).unwrap();
        let line = store.map(|url| format!("store = \"{url}\"\n")).unwrap_or_default();
        let text = format!("{line}{}", CONFIG.replace("[listen]", &format!("[listen]\naddress = \"{address}\"")));
        fs::write(config.join("authority.toml"), text).unwrap();
        fs::write(config.join("policy.cedar"), DEFAULT_POLICY).unwrap();
        fs::write(config.join("schema.cedarschema"), DEFAULT_SCHEMA).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_elevate-authority"));
        command.arg("serve").arg("--config").arg(&config).arg("--data").arg(&data).env_remove("ELEVATE_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(home.join("log")).unwrap());
        let mut running = Running::start(&mut command);
        let mut said = String::new();
        BufReader::new(running.child().stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("ready"), "{said}");

        let url = store.map(|url| PostgresUrl::try_from(url.to_owned()).unwrap());
        let pkcs8 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap().to_pkcs8v1().unwrap();
        let security_key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
        let devices = sign_in(&Place::of(&data, url.as_ref()), people, &security_key).await;
        let mut authority = Self {
            address,
            running,
            devices,
            security_key: Arc::new(security_key),
            nonce: String::new(),
            grant: String::new(),
        };
        authority.meet().await;
        authority
    }

    /// A nonce, and a grant to ask about.
    async fn meet(&mut self) {
        let mut connection = Connection::open(self.address).await;
        let (head, _) = connection.exchange(&request("GET", "/jwks", &[], "")).await;
        header(&head, "dpop-nonce").unwrap().clone_into(&mut self.nonce);
        let item = self.items(What::Low, 1).pop().unwrap();
        let grant: Value = serde_json::from_slice(connection.ask(&item.request, 200).await).unwrap();
        grant["access_token"].as_str().unwrap().clone_into(&mut self.grant);
    }

    pub fn process(&self) -> u32 {
        self.running.id()
    }

    /// KiB now.
    pub fn memory(&self) -> u64 {
        processes::memory(self.process(), "VmRSS")
    }

    /// KiB at most.
    pub fn peak(&self) -> u64 {
        processes::memory(self.process(), "VmHWM")
    }

    /// What one device after the other asks, with proofs of now.
    pub fn items(&self, what: What, count: usize) -> Vec<Item> {
        let item = |device: &Device| match what {
            What::Low => Item { request: self.token(device, &exchange(device, "low")), then: None },
            What::SteppedUp => self.step_up(device),
            What::Introspection => Item { request: self.introspect(device), then: None },
        };
        self.devices.iter().cycle().take(count).map(item).collect()
    }

    fn token(&self, device: &Device, form: &str) -> Vec<u8> {
        let proof = self.prove(device, "/token", None);
        request("POST", "/token", &[FORM, ("dpop", &proof), ("x-forwarded-for", &device.address)], form)
    }

    fn introspect(&self, device: &Device) -> Vec<u8> {
        let proof = self.prove(device, "/introspect", Some(&device.token));
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("token", &self.grant).finish();
        let authorization = format!("DPoP {}", device.token);
        let headers = [FORM, ("dpop", &proof), ("x-forwarded-for", &device.address), ("authorization", &authorization)];
        request("POST", "/introspect", &headers, &form)
    }

    fn prove(&self, device: &Device, path: &str, access_token: Option<&str>) -> String {
        let url = format!("{ISSUER}{path}");
        let expected = Expected { method: "POST", url: &url, access_token, now: Clock::system().now() };
        device.proof.prove(&expected, Some(&self.nonce)).unwrap()
    }

    fn step_up(&self, device: &Device) -> Item {
        #[derive(Deserialize)]
        struct Asked {
            auth_session: String,
            authn_params_public_key: Options,
        }
        #[derive(Deserialize)]
        struct Options {
            challenge: String,
        }
        let form = exchange(device, "sensitive");
        let (proof, address) = (self.prove(device, "/token", None), device.address.clone());
        let (key, credential) = (self.security_key.clone(), base64url(device.credential));
        let first = self.token(device, &form);
        let then = move |answer: &[u8]| {
            let asked: Asked = serde_json::from_slice(answer).unwrap();
            let assertion = assertion(&key, &credential, &asked.authn_params_public_key.challenge);
            let form = form_urlencoded::Serializer::new(form.clone())
                .append_pair("auth_session", &asked.auth_session)
                .append_pair("authn_response", &assertion)
                .finish();
            request("POST", "/token", &[FORM, ("dpop", &proof), ("x-forwarded-for", &address)], &form)
        };
        Item { request: first, then: Some(Box::new(then)) }
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn exchange(device: &Device, resource: &str) -> String {
    let name: ResourceName = resource.parse().unwrap();
    let details = json!([{
        "type": "elevate", "ttl": 300, "reason": "a benchmark",
        "claimed": { "host": "bench", "os": "linux", "tty": true, "ssh": false, "command": "psql" },
    }]);
    form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", TOKEN_EXCHANGE)
        .append_pair("client_id", CLIENT_ID)
        .append_pair("subject_token", &device.token)
        .append_pair("subject_token_type", ACCESS_TOKEN_TYPE)
        .append_pair("resource", &name.indicator())
        .append_pair("authorization_details", &details.to_string())
        .finish()
}

/// What a touched key answers (`WebAuthn` Level 3, section 6.3.3).
pub fn assertion(key: &EcdsaKeyPair, credential: &str, challenge: &str) -> String {
    let data = AuthenticatorData { rp_id_hash: sha256(&[HOST.as_bytes()]), flags: UP, counter: 0 }.to_bytes();
    let client = json!({ "type": "webauthn.get", "challenge": challenge, "origin": ISSUER, "crossOrigin": false });
    let client = client.to_string();
    let signed = [data.as_slice(), &sha256(&[client.as_bytes()])].concat();
    let signature = key.sign(&SystemRandom::new(), &signed).unwrap();
    json!({
        "id": credential, "rawId": credential, "type": "public-key", "extensions": {},
        "response": {
            "authenticatorData": base64url(data), "clientDataJSON": base64url(client),
            "signature": base64url(signature), "userHandle": null,
        },
    })
    .to_string()
}

/// The library's form of a credential of this key.
pub fn credential(id: &[u8], key: &EcdsaKeyPair) -> Value {
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    let mut credential: Value = serde_json::from_str(include_str!("../../tests/vectors/credential.json")).unwrap();
    credential["cred_id"] = json!(base64url(id));
    credential["counter"] = json!(0);
    credential["cred"]["key"]["EC_EC2"]["x"] = json!(base64url(x));
    credential["cred"]["key"]["EC_EC2"]["y"] = json!(base64url(y));
    credential
}

/// Has people signed in, straight in the store: signing in is not what is measured.
async fn sign_in(place: &Place, count: usize, key: &EcdsaKeyPair) -> Vec<Device> {
    let store = Store::open(place, Faults::default()).await.unwrap();
    let now = Clock::system().now();
    let person = json!({ "name": "Somebody", "groups": ["staff"], "auth_time": now.as_second() }).to_string();
    let mut devices = Vec::new();
    let mut changes = Vec::new();
    for number in 0..count {
        let sub = format!("{PROVIDER}#person-{number}");
        let device = Device {
            proof: ProofKey::generate().unwrap(),
            token: base64url(random::<32>()),
            credential: random(),
            address: format!("10.0.{}.{}", number / 250, number % 250 + 1),
        };
        changes.push(Change::CreateUser { sub: sub.clone(), at: now });
        changes.push(Change::AddSecurityKey {
            among: elevate::authority::store::set_of_keys([]),
            row: SecurityKeyRow {
                credential_id: base64url(device.credential),
                sub: sub.clone(),
                name: "blue".to_owned(),
                credential: credential(&device.credential, key).to_string(),
                aaguid: "00000000-0000-0000-0000-000000000000".to_owned(),
                software: false,
                verifies_user: false,
                transports: "[]".to_owned(),
                enrolled_at: now,
                last_used_at: None,
            },
        });
        changes.push(Change::AddSignIn(SignInRow {
            id: base64url(random::<16>()),
            hash: session_hash(&device.token),
            sub,
            jkt: device.proof.jkt().to_owned(),
            host: "bench".to_owned(),
            person: person.clone(),
            created_at: now,
            last_used_at: now,
            ended_at: None,
            disabled_at: None,
        }));
        devices.push(device);
    }
    store.write(&changes).await.unwrap();
    store.close().await;
    devices
}
