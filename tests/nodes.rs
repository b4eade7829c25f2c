//! Three real nodes on one real PostgreSQL: whatever is raced across them has one outcome.

/// One that is not like the others.
mod differing;
/// What PostgreSQL does to them.
mod server;

use crate::cli::harness::AUTHORITY_BIN;
use crate::harness::{Answer, Ask, CONFIG, Reply, TestKey, Wire, policy, proof_key};
use crate::postgres::Server;
use crate::sign_in::network::Login;
use elevate::authority::rules::DEFAULT_SCHEMA;
use elevate::clock::Clock;
use elevate::log::receipt::Receipt;
use elevate::protocol::CLIENT_ID;
use elevate::protocol::encoding::{base64url, random};
use elevate::protocol::messages::{OperationName, SignInChallenge};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Nodes that share configuration, key and database.
struct Nodes {
    home: TempDir,
    database: String,
    wires: Vec<Arc<Wire>>,
    running: Vec<Child>,
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in &mut self.running {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

impl Nodes {
    async fn start(server: &Server) -> Self {
        let mut nodes = Self::prepared(server);
        // All at once, on an empty database.
        let starting: Vec<Child> = (0..3).map(|node| nodes.spawn(node)).collect();
        for (node, child) in starting.into_iter().enumerate() {
            nodes.joined(node, child).await;
        }
        nodes
    }

    fn prepared(server: &Server) -> Self {
        let home = tempfile::tempdir().unwrap();
        let database = server.database();
        let config = home.path().join("config");
        std::fs::create_dir(&config).unwrap();
        let store = server.url(&database);
        let text = format!("store = \"{store}\"\n{CONFIG}\n[sign_in]\nallow = [\"*\"]\n[risk]\noff = [\"burst\"]\n");
        std::fs::write(config.join("authority.toml"), text).unwrap();
        std::fs::write(config.join("policy.cedar"), policy()).unwrap();
        std::fs::write(config.join("schema.cedarschema"), DEFAULT_SCHEMA).unwrap();
        let key = base64url(random::<32>());
        for node in 0..3 {
            put_key(&home.path().join(node.to_string()), &key);
        }
        Self { home, database, wires: Vec::new(), running: Vec::new() }
    }

    fn spawn(&self, node: usize) -> Child {
        self.command(node).spawn().unwrap()
    }

    fn command(&self, node: usize) -> Command {
        let home = self.home.path().join(node.to_string());
        let mut command = Command::new(AUTHORITY_BIN);
        // The same for all, unless it has one of its own.
        let config = [home.join("config"), self.home.path().join("config")].into_iter().find(|path| path.exists());
        command.arg("serve").arg("--config").arg(config.unwrap());
        command.arg("--data").arg(home.join("data")).arg("--socket").arg(home.join("run/socket"));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    async fn joined(&mut self, node: usize, mut child: Child) {
        let said = said(&mut child);
        self.running.push(child);
        assert!(said["ready"].is_string(), "{said}");
        let socket = self.home.path().join(node.to_string()).join("run/socket");
        self.wires.push(Arc::new(Wire::new(&socket, Clock::system()).await));
    }

    fn node(&self, number: usize) -> &Wire {
        &self.wires[number]
    }

    /// Has a key enrolled.
    async fn enrolled(&self) -> TestKey {
        let key = TestKey::touch_only();
        self.node(0).enrol("blue", &key, None).await.unwrap();
        key
    }

    async fn log_is_whole(&self) {
        for wire in &self.wires {
            assert_eq!(wire.faults_of_the_log().await, []);
        }
    }
}

fn put_key(home: &Path, key: &str) {
    for directory in ["data", "run"] {
        std::fs::create_dir_all(home.join(directory)).unwrap();
        std::fs::set_permissions(home.join(directory), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let file = home.join("data/authority.key");
    std::fs::write(&file, key).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The one line that a starting authority writes.
fn said(child: &mut Child) -> Value {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("it said {line:?}"))
}

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(so: impl Fn() -> F) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never comes to be");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn three_nodes_found_one_authority() {
    for _ in 0..2 {
        let nodes = Nodes::start(Server::shared()).await;
        for wire in &nodes.wires {
            assert_eq!((&wire.issuer, &wire.log_key), (&nodes.node(0).issuer, &nodes.node(0).log_key));
            assert_eq!(wire.get(&wire.at("/jwks")).await.json.unwrap()["keys"].as_array().unwrap().len(), 1);
        }
        let events = nodes.node(0).events().await;
        assert_eq!(events[0], "log.opened");
        assert_eq!(events.iter().filter(|event| *event == "log.opened").count(), 1);
        nodes.log_is_whole().await;
    }
}

#[tokio::test]
async fn a_node_with_another_key_does_not_start() {
    let mut nodes = Nodes::prepared(Server::shared());
    let first = nodes.spawn(0);
    nodes.joined(0, first).await;
    put_key(&nodes.home.path().join("1"), &base64url(random::<32>()));
    let mut other = nodes.spawn(1);
    let error = said(&mut other)["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("1/data/authority.key is another key than the one that this store was founded with"),
        "{error}"
    );
    assert_eq!(other.wait().unwrap().code(), Some(11));
    // Nor does one that lost it make a new one.
    let key = nodes.home.path().join("2/data/authority.key");
    std::fs::remove_file(&key).unwrap();
    let mut without = nodes.spawn(2);
    let error = said(&mut without)["error"].as_str().unwrap().to_owned();
    assert!(error.contains("it is gone, and the store is sealed under it"), "{error}");
    without.wait().unwrap();
    assert!(!key.exists());
    assert_eq!(nodes.node(0).events().await.iter().filter(|event| *event == "log.opened").count(), 1);
}

#[tokio::test]
async fn one_step_up_answered_at_three_nodes_is_one_grant() {
    let nodes = Nodes::start(Server::shared()).await;
    let key = nodes.enrolled().await;
    for asked_at in 0..3 {
        let (proof, ask) = (proof_key(), Ask::new("prod-db"));
        let step_up = nodes.node(asked_at).ask(&ask, &proof).await.step_up();
        let request = ask.answer(&step_up.auth_session, &key.sign(&step_up.authn_params_public_key));
        let answers = futures(nodes.wires.iter().map(|wire| {
            let (wire, request, proof) = (wire.clone(), request.clone(), proof.clone());
            async move { wire.token(&request, &proof).await }
        }))
        .await;
        let granted = answers.iter().filter(|answer| matches!(answer, Answer::Grant(_))).count();
        assert_eq!(granted, 1, "{answers:?}");
        for answer in answers {
            if !matches!(answer, Answer::Grant(_)) {
                assert!(matches!(answer.no().code(), (400, "invalid_grant") | (409, "invalid_request")));
            }
        }
    }
    let grants = "SELECT count(*) FROM elevation_grant WHERE resource = 'prod-db'";
    assert_eq!(Server::shared().sql(&nodes.database, grants), "3");
    nodes.log_is_whole().await;
}

/// A key's answer and an invitation, brought to three nodes at once, are one code each.
#[tokio::test]
async fn who_signs_in_directly_does_so_once_over_all_nodes() {
    let nodes = Nodes::start(Server::shared()).await;
    let key = TestKey::with_pin();
    nodes.node(0).enrol("blue", &key, None).await.unwrap();
    let invited = nodes.node(1).operate(OperationName::UserInvite, Some("anna"), None, &key).await.unwrap();
    let login = Arc::new(Login::new());
    let codes = async |more: Vec<(&'static str, String)>| {
        let replies = futures(nodes.wires.iter().map(|wire| {
            let (wire, login, more) = (wire.clone(), login.clone(), more.clone());
            async move { authorize(&wire, &login, &more).await }
        }));
        let replies = replies.await;
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            let code = reply.no().body.error;
            assert!(["access_denied", "invalid_session"].contains(&code.as_str()), "{reply:?}");
        }
        replies.iter().filter(|reply| reply.status == 200).count()
    };
    let asked = authorize(nodes.node(2), &login, &[]).await;
    let asked: SignInChallenge = serde_json::from_str(&asked.text).unwrap();
    let assertion = serde_json::to_string(&key.sign(&asked.authn_params_public_key)).unwrap();
    assert_eq!(codes(vec![("auth_session", asked.auth_session), ("authn_response", assertion)]).await, 1);
    let invitation = invited["invitation"].as_str().unwrap().to_owned();
    assert_eq!(codes(vec![("invitation", invitation)]).await, 1);
    nodes.log_is_whole().await;
}

async fn authorize(wire: &Wire, login: &Login, more: &[(&str, String)]) -> Reply {
    let challenge = login.challenge();
    let mut form =
        vec![("client_id", CLIENT_ID), ("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    form.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
    wire.form("/authorize-challenge", &login.key, &form).await
}

#[tokio::test]
async fn nodes_take_each_others_nonces_and_a_proof_once() {
    let nodes = Nodes::start(Server::shared()).await;
    let (proof, ask) = (proof_key(), Ask::new("wiki"));
    nodes.node(0).ask(&ask, &proof).await.grant();
    let once = nodes.node(0).prove("/token", &proof, None);
    let replies = futures(nodes.wires.iter().map(|wire| {
        let request = wire.request("POST", &wire.at("/token")).header("DPoP", &once).form(&ask.request());
        let wire = wire.clone();
        async move { wire.send(request).await }
    }))
    .await;
    let mut outcomes: Vec<(u16, Value)> =
        replies.into_iter().map(|reply| (reply.status, reply.json.unwrap()["error"].clone())).collect();
    outcomes.sort_by_key(|(status, _)| *status);
    let before = (400, json!("invalid_dpop_proof"));
    assert_eq!(outcomes, [(200, Value::Null), before.clone(), before]);
    // What the server forgets, it does not take again: with its memory, the epoch of every nonce ends.
    let server = Server::shared();
    server.sql(&nodes.database, "TRUNCATE proof_epoch, spent_proof");
    let replayed =
        nodes.node(1).request("POST", &nodes.node(1).at("/token")).header("DPoP", &once).form(&ask.request());
    let replayed = nodes.node(1).send(replayed).await;
    assert_eq!(replayed.json.unwrap()["error"], "use_dpop_nonce");
    // And everybody goes on, whichever node they come to with a nonce of whichever.
    for wire in &nodes.wires {
        wire.ask(&ask, &proof).await.grant();
    }
    let fresh = nodes.node(2).prove("/token", &proof, None);
    let request = nodes.node(0).request("POST", &nodes.node(0).at("/token")).header("DPoP", fresh).form(&ask.request());
    assert_eq!(nodes.node(0).send(request).await.status, 200);
}

#[tokio::test]
async fn what_is_taken_back_on_one_node_is_gone_on_every_other() {
    let nodes = Nodes::start(Server::shared()).await;
    let key = nodes.enrolled().await;
    for revoked_at in 0..3 {
        let token = nodes.node(0).ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
        for wire in &nodes.wires {
            assert!(wire.is_active(&token).await);
        }
        assert_eq!(nodes.node(revoked_at).revoke(&token).await.status, 200);
        for wire in &nodes.wires {
            assert!(!wire.is_active(&token).await);
        }
    }
    // A user that is shut out on one.
    let server = Server::shared();
    server.sql(&nodes.database, "INSERT INTO \"user\" (sub, created_at) VALUES ('uid:4242', 0)");
    nodes.node(0).operate(OperationName::UserDisable, Some("uid:4242"), None, &key).await.unwrap();
    let users = nodes.node(1).operate(OperationName::UserList, None, None, &key).await.unwrap();
    let users = users["users"].as_array().unwrap();
    assert!(users.iter().any(|user| user["user"] == "uid:4242" && user["disabled_at"].is_string()), "{users:?}");
    // And the caller's own account, as another administrator would.
    let token = nodes.node(0).ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
    server.sql(&nodes.database, "UPDATE \"user\" SET disabled_at = 1 WHERE sub <> 'uid:4242'");
    for wire in &nodes.wires {
        assert!(!wire.is_active(&token).await);
        assert_eq!(wire.ask(&Ask::new("wiki"), &proof_key()).await.no().code(), (403, "access_denied"));
    }
    nodes.log_is_whole().await;
}

#[tokio::test]
async fn open_step_ups_and_failures_count_over_all_nodes() {
    let nodes = Nodes::start(Server::shared()).await;
    let key = nodes.enrolled().await;
    // Twice as many as may be open, all at once.
    let mut asking = JoinSet::new();
    for number in 0..128 {
        let wire = nodes.wires[number % 3].clone();
        asking.spawn(async move { wire.ask(&Ask::new("prod-db"), &proof_key()).await });
    }
    let answers = asking.join_all().await;
    let opened = answers.iter().filter(|answer| matches!(answer, Answer::StepUp(_))).count();
    assert_eq!(opened, 64);
    assert!(answers.into_iter().all(|answer| match answer {
        Answer::StepUp(_) => true,
        answer => answer.no().code() == (429, "slow_down"),
    }));
    Server::shared().sql(&nodes.database, "DELETE FROM auth_session");
    // Three failures, one on each node, and each node asks for a touch where it did not.
    nodes.node(1).ask(&Ask::new("wiki"), &proof_key()).await.grant();
    for wire in &nodes.wires {
        let (proof, ask) = (proof_key(), Ask::new("prod-db"));
        let step_up = wire.ask(&ask, &proof).await.step_up();
        let bad = key.sign_saying(&step_up.authn_params_public_key, |says| says.challenge = vec![0; 32]);
        wire.token(&ask.answer(&step_up.auth_session, &bad), &proof).await.no();
    }
    for wire in &nodes.wires {
        wire.ask(&Ask::new("wiki"), &proof_key()).await.step_up();
    }
}

#[tokio::test]
async fn a_signing_key_rotated_on_one_node_is_every_nodes() {
    let nodes = Nodes::start(Server::shared()).await;
    let key = nodes.enrolled().await;
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    for rotated_at in [0, 2] {
        let old = nodes.node(1).ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
        let new = nodes.node(rotated_at).operate(OperationName::SigningKeyRotate, None, None, &key).await.unwrap();
        let (new, rotated) = (new["kid"].as_str().unwrap(), Instant::now());
        let token = nodes.node(rotated_at).ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
        assert_eq!(kid(token.expose()), new);
        // Known everywhere at once, and signed with everywhere within a second.
        for wire in &nodes.wires {
            assert!(wire.is_active(&token).await && wire.is_active(&old).await);
        }
        for wire in &nodes.wires {
            loop {
                let asked = rotated.elapsed();
                let token = wire.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
                if kid(token.expose()) == new {
                    break;
                }
                assert!(asked < Duration::from_secs(1), "signed with the old key {asked:?} after the rotation");
            }
            let published = wire.get(&wire.at("/jwks")).await.text;
            assert!(published.contains(new) && published.contains(&kid(old.expose())));
        }
    }
    nodes.log_is_whole().await;
}

#[tokio::test]
async fn an_administrator_is_recovered_while_every_node_runs() {
    let nodes = Nodes::start(Server::shared()).await;
    nodes.enrolled().await;
    let token = nodes.node(1).ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
    let mut recover = Command::new(AUTHORITY_BIN);
    recover.arg("recover").arg("--data").arg(nodes.home.path().join("0/data"));
    recover.arg("--config").arg(nodes.home.path().join("config")).arg("--yes").arg(crate::harness::me());
    let done = recover.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // Nobody proved anything: whatever they held is over, and a first key can be enrolled, on whichever node.
    assert!(!nodes.node(1).is_active(&token).await);
    for wire in &nodes.wires {
        assert_eq!(wire.get(&wire.at("/keys")).await.json.unwrap(), json!([]));
    }
    nodes.node(2).enrol("green", &TestKey::touch_only(), None).await.unwrap();
    for wire in &nodes.wires {
        until(async || {
            let told = wire.get(&wire.at("/recoveries")).await.json.unwrap();
            told.as_array().is_some_and(|told| told.len() == 1)
        })
        .await;
    }
    assert_eq!(nodes.node(1).events().await.iter().filter(|event| *event == "admin.recovered").count(), 1);
    nodes.log_is_whole().await;
}

#[tokio::test]
async fn two_hundred_elevations_over_three_nodes_are_one_log() {
    let nodes = Nodes::start(Server::shared()).await;
    let key = Arc::new(nodes.enrolled().await);
    let mut asking = JoinSet::new();
    for number in 0..200 {
        let (wire, key) = (nodes.wires[number % 3].clone(), key.clone());
        let resource = if number % 5 == 0 { "prod-db" } else { "wiki" };
        asking.spawn(async move { wire.elevate(&Ask::new(resource), &proof_key(), &key).await.grant().receipt });
    }
    let receipts = asking.join_all().await;
    let log = in_the_log(&nodes, &receipts).await;
    assert_eq!(log.iter().filter(|leaf| leaf.contains("\"grant.issued\"")).count() - 1, 200, "one is the enrolment's");
    nodes.log_is_whole().await;
}

#[tokio::test]
async fn a_node_killed_in_the_middle_leaves_the_log_whole() {
    let mut nodes = Nodes::start(Server::shared()).await;
    nodes.enrolled().await;
    let mut asking = JoinSet::new();
    let (tell, mut granted) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..12 {
        let (wire, tell) = (nodes.wires[number % 3].clone(), tell.clone());
        asking.spawn(async move {
            for _ in 0..20 {
                let proof = proof_key();
                let request = wire.request("POST", &wire.at("/token"));
                let request = request.header("DPoP", wire.prove("/token", &proof, None));
                // Its node may be gone by now.
                let Ok(reply) = request.form(&Ask::new("wiki").request()).send().await else { return };
                let Ok(grant) = serde_json::from_str::<Value>(&reply.text().await.unwrap_or_default()) else { return };
                if let Ok(receipt) = serde_json::from_value::<Receipt>(grant["receipt"].clone()) {
                    tell.send(receipt).unwrap();
                }
            }
        });
    }
    drop(tell);
    let mut receipts = Vec::new();
    while let Some(receipt) = granted.recv().await {
        receipts.push(receipt);
        if receipts.len() == 30 {
            nodes.running[1].kill().unwrap();
        }
    }
    assert!(receipts.len() >= 160, "two nodes go on: {}", receipts.len());
    nodes.wires.remove(1);
    in_the_log(&nodes, &receipts).await;
    nodes.log_is_whole().await;
    // It comes back, and goes on.
    nodes.running[1].wait().unwrap();
    let again = nodes.spawn(1);
    nodes.joined(1, again).await;
    nodes.node(2).ask(&Ask::new("wiki"), &proof_key()).await.grant();
    nodes.log_is_whole().await;
}

/// The log's leaves, among which each receipt's stands where it says.
async fn in_the_log(nodes: &Nodes, receipts: &[Receipt]) -> Vec<String> {
    let log: Vec<String> = nodes.node(0).log().await.into_iter().map(|entry| entry.leaf.unwrap()).collect();
    for receipt in receipts {
        let (leaf, head) = receipt.verify(&nodes.node(0).log_key, None).unwrap();
        assert!(head.size <= log.len() as u64);
        assert_eq!(log[usize::try_from(leaf.index).unwrap()], receipt.leaf);
    }
    log
}

async fn futures<T: Send + 'static>(all: impl Iterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    all.collect::<JoinSet<_>>().join_all().await
}
