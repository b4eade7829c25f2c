//! Who vouches for workloads: an issuer that does as it is told, and one that is another language's.

use crate::harness::{Ask, CONFIG, Reply, TestAuthority, Wire, policy};
use crate::sign_in::network::over_tcp;
use crate::sign_in::provider::{Key, Provider};
use elevate::protocol::messages::{JWT_TYPE, TokenRequest};
use elevate::protocol::secret::Secret;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use tokio::task::JoinHandle;

pub const AUDIENCE: &str = "https://elevate.example";
pub const SUB: &str = "repo:acme/deploy:ref:refs/heads/main";

/// `[[trusted_issuer]]` for an issuer, with more in it.
pub fn trusted(issuer: &str, more: &str) -> String {
    format!(
        "[[trusted_issuer]]\nname = \"ci\"\nissuer = \"{issuer}\"\naudience = \"{AUDIENCE}\"\n{more}\
         [trusted_issuer.claims]\nrepository = \"acme/*\"\nref = [\"refs/heads/main\", \"refs/tags/*\"]\n\
         \"kubernetes.io/namespace\" = \"prod\"\n"
    )
}

/// The tests' policy, and one for a pipeline.
pub fn for_deploys() -> String {
    format!(
        "{}\n@id(\"deploys\")\n@max_ttl(\"10m\")\n\
         permit (principal, action == Action::\"elevate\", resource)\n\
         when {{\n    resource.sensitivity == \"low\" && principal.workload && principal.issuer == \"ci\"\n    \
         && principal.hasTag(\"repository\") && principal.getTag(\"repository\") == \"acme/deploy\"\n}};\n",
        policy()
    )
}

/// What an issuer says of a job, with changes; `null` takes a claim out.
pub fn honest(issuer: &str, now: i64, change: Value) -> Value {
    let mut claims = json!({
        "iss": issuer, "sub": SUB, "aud": AUDIENCE, "iat": now - 5, "nbf": now - 5, "exp": now + 300,
        "repository": "acme/deploy", "ref": "refs/heads/main", "run_id": 4711,
        "kubernetes.io": { "namespace": "prod", "serviceaccount": { "name": "deployer" } },
    });
    let Value::Object(change) = change else { panic!("no object") };
    for (name, value) in change {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(&name);
        } else {
            claims[name] = value;
        }
    }
    claims
}

/// An authority that trusts an issuer, and jobs that come over the network.
pub struct Pipeline {
    pub authority: TestAuthority,
    pub issuer: Provider,
    pub network: Wire,
    serving: JoinHandle<()>,
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Pipeline {
    pub async fn start() -> Self {
        Self::with("", &for_deploys()).await
    }

    /// With more in `[[trusted_issuer]]`, and another policy.
    pub async fn with(more: &str, policy: &str) -> Self {
        let issuer = Provider::start().await;
        let authority = TestAuthority::with(&format!("{CONFIG}\n{}", trusted(&issuer.issuer, more)), policy).await;
        let (network, serving) = over_tcp(authority.authority.clone(), authority.clock.clone()).await;
        Self { authority, issuer, network, serving }
    }

    pub fn key(&self) -> Key {
        self.issuer.says.lock().unwrap().keys[0].clone()
    }

    pub fn subject(&self) -> String {
        self.issuer.subject(SUB)
    }

    pub fn claims(&self, change: Value) -> Value {
        honest(&self.issuer.issuer, self.authority.clock.now().as_second(), change)
    }

    pub fn with_jwt(resource: &str, token: &str) -> TokenRequest {
        TokenRequest {
            subject_token: Secret::new(token.to_owned()),
            subject_token_type: JWT_TYPE.into(),
            ..Ask::new(resource).request()
        }
    }

    /// A job asks, its claims changed.
    pub fn request(&self, resource: &str, change: Value) -> TokenRequest {
        Self::with_jwt(resource, &self.key().sign(&self.claims(change)))
    }

    pub fn with_token(&self, ask: &Ask, change: Value) -> TokenRequest {
        let token = Secret::new(self.key().sign(&self.claims(change)));
        TokenRequest { subject_token: token, subject_token_type: JWT_TYPE.into(), ..ask.request() }
    }

    /// A service asks of a token, as who its identity token says.
    pub async fn introspects(&self, token: &Secret, change: Value) -> Reply {
        let bearer = format!("Bearer {}", self.key().sign(&self.claims(change)));
        let request = self.network.request("POST", &self.network.at("/introspect")).form(&[("token", token.expose())]);
        self.network.send(request.header("Authorization", bearer)).await
    }

    /// A job looks.
    pub async fn look(&self, path: &str, change: Value) -> Reply {
        let bearer = format!("Bearer {}", self.key().sign(&self.claims(change)));
        let request = self.network.request("GET", &self.network.at(path));
        self.network.send(request.header("Authorization", bearer)).await
    }
}

/// An issuer in Python: discovery, keys, and tokens for the asking.
pub struct Peer {
    pub issuer: String,
    process: Mutex<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

impl Peer {
    pub fn start() -> Self {
        let python = std::env::var("ELEVATE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/issue_tokens.py");
        let mut command = Command::new(python);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = crate::cli::harness::spawn(&mut command);
        let (stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut issuer = String::new();
        stdout.read_line(&mut issuer).unwrap();
        assert!(issuer.starts_with("http://127.0.0.1:"), "{issuer}");
        Self { issuer: issuer.trim_end().to_owned(), process: Mutex::new((child, stdin, stdout)) }
    }

    pub fn token(&self, algorithm: &str, claims: &Value) -> String {
        let mut process = self.process.lock().unwrap();
        writeln!(process.1, "{}", json!({ "alg": algorithm, "claims": claims })).unwrap();
        let mut token = String::new();
        process.2.read_line(&mut token).unwrap();
        token.trim_end().to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let (child, _, _) = self.process.get_mut().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}
