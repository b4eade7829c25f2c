//! A node whose clock is off, or whose files are others than those of the nodes beside it.

use super::{Nodes, until};
use crate::cli::harness::{DEADLINE, patiently};
use crate::harness::{Answer, Ask, policy, proof_key};
use crate::postgres::Server;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// So that somebody can be told whether a node is ready.
const LISTEN: &str = "[listen]\naddress = \"127.0.0.1:0\"\nplain_http = true\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
                      metrics = \"127.0.0.1:0\"\n";

/// Nodes that listen, and what each wrote.
fn listening(server: &Server) -> Nodes {
    let nodes = Nodes::prepared(server);
    let file = nodes.home.path().join("config/authority.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("issuer = \"https://localhost/company\"\n{text}{LISTEN}")).unwrap();
    nodes
}

fn log(nodes: &Nodes, node: usize) -> PathBuf {
    nodes.home.path().join(format!("{node}.log"))
}

async fn start(nodes: &mut Nodes, node: usize, change: impl FnOnce(&mut Command)) {
    let mut command = nodes.command(node);
    command.stderr(fs::File::create(log(nodes, node)).unwrap());
    change(&mut command);
    let child = command.spawn().unwrap();
    nodes.joined(node, child).await;
}

/// Lines that a node wrote.
fn lines(nodes: &Nodes, node: usize) -> Vec<Value> {
    let said = fs::read_to_string(log(nodes, node)).unwrap();
    let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn watched(nodes: &Nodes, node: usize, path: &str) -> (u16, String) {
    let is_it = |line: &Value| line["message"] == "listening" && line["what"] == "metrics";
    let line = patiently(DEADLINE, || lines(nodes, node).into_iter().find(is_it)).unwrap();
    let url = format!("http://{}{path}", line["address"].as_str().unwrap());
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn readiness(nodes: &Nodes, node: usize) -> (u16, Value) {
    let (status, text) = watched(nodes, node, "/readyz").await;
    (status, serde_json::from_str(&text).unwrap())
}

/// What the program takes for its clock, from now on.
fn set(clock: &Path, seconds: i64) {
    let new = clock.with_extension("new");
    fs::write(&new, format!("{seconds:+}\n")).unwrap();
    fs::rename(new, clock).unwrap();
}

#[tokio::test]
async fn a_node_whose_clock_is_off_lets_nobody_in_and_the_others_go_on() {
    let mut nodes = listening(Server::shared());
    let clock = nodes.home.path().join("clock");
    set(&clock, 0);
    let library =
        Command::new("faketime").args(["-f", "+0", "sh", "-c", "printf %s \"$LD_PRELOAD\""]).output().unwrap();
    let library = String::from_utf8(library.stdout).unwrap();
    for node in 0..3 {
        start(&mut nodes, node, |command| {
            if node == 2 {
                command.env("LD_PRELOAD", &library).env("FAKETIME_TIMESTAMP_FILE", &clock);
                command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            }
        })
        .await;
    }
    let nodes = &nodes;
    let ask = async |node: usize| nodes.node(node).ask(&Ask::new("wiki"), &proof_key()).await;
    ask(2).await.grant();
    for (seconds, way) in [(20, "ahead of"), (-20, "behind")] {
        set(&clock, seconds);
        until(async || !matches!(ask(2).await, Answer::Grant(_))).await;
        let no = ask(2).await.no();
        assert_eq!(no.code(), (503, "temporarily_unavailable"));
        let expected = format!(" s {way} PostgreSQL's");
        assert!(no.says().starts_with("the clock of this node says 20") && no.says().ends_with(&expected), "{no:?}");
        assert!(no.body.elevate_hint.unwrap().starts_with("nobody gets in at this node until its clock is right"));
        until(async || readiness(nodes, 2).await.0 == 503).await;
        let (_, found) = readiness(nodes, 2).await;
        assert!(found["log"].as_str().unwrap().contains(&expected), "{found}");
        // It is that node's alone.
        for node in [0, 1] {
            ask(node).await.grant();
            assert_eq!(readiness(nodes, node).await.0, 200);
        }
        set(&clock, 0);
        until(async || matches!(ask(2).await, Answer::Grant(_))).await;
        until(async || readiness(nodes, 2).await.0 == 200).await;
    }
    nodes.log_is_whole().await;
}

#[tokio::test]
async fn nodes_that_go_by_other_files_are_told_of_each_other_until_they_agree() {
    let mut nodes = listening(Server::shared());
    let other = nodes.home.path().join("1/config");
    let copied = Command::new("cp").arg("-a").arg(nodes.home.path().join("config")).arg(&other).status().unwrap();
    assert!(copied.success());
    let changed = other.join("policy.cedar");
    let put = |text: &str| {
        fs::write(changed.with_extension("new"), text).unwrap();
        fs::rename(changed.with_extension("new"), &changed).unwrap();
    };
    put(&format!("{}// another\n", policy()));
    start(&mut nodes, 0, |_| {}).await;
    until(async || watched(&nodes, 0, "/readyz").await.0 == 200).await;
    assert_eq!(readiness(&nodes, 0).await.1["nodes"], "ok");
    start(&mut nodes, 1, |_| {}).await;
    let nodes = &nodes;
    let number = async |node| {
        let (_, text) = watched(nodes, node, "/metrics").await;
        text.lines().find_map(|line| line.strip_prefix("elevate_nodes_with_other_rules ")).unwrap().to_owned()
    };
    let warnings = |node| {
        lines(nodes, node).iter().filter(|line| line["message"] == "nodes of this store go by different rules").count()
    };
    for (node, beside) in [(0, "1/data"), (1, "0/data")] {
        until(async || readiness(nodes, node).await.1["nodes"] != "ok").await;
        let (status, found) = readiness(nodes, node).await;
        assert_eq!((status, &found["ready"]), (200, &true.into()), "{found}");
        let said = found["nodes"].as_str().unwrap();
        assert!(said.starts_with("other rules than here: ") && said.contains(beside), "{found}");
        until(async || number(node).await == "1").await;
        assert_eq!(warnings(node), 1);
    }
    put(&policy());
    for node in [0, 1] {
        until(async || readiness(nodes, node).await.1["nodes"] == "ok").await;
        until(async || number(node).await == "0").await;
        assert_eq!(warnings(node), 1, "one for each time");
    }
}
