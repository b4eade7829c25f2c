//! `docs/quickstart-team.md`, command by command, from nothing, by somebody at a terminal: a real PostgreSQL, a provider
//! that nobody here wrote, nginx, two nodes, a browser. What is changed is where things listen.

use super::company::{desktop, node_packages};
use crate::cli::harness::{Home, wait_until};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

const PAGE: &str = include_str!("../../docs/quickstart-team.md");

/// The blocks marked `sh`, by the headings they stand under.
fn blocks(heading: &str) -> Vec<String> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Ports that are free, in the place of those that the page names.
struct Ports(Vec<(&'static str, String)>);

impl Ports {
    fn new() -> Self {
        let names = ["8443", "9000", "9001", "9002", "9101", "9102", "5433"];
        let listeners = names.map(|name| (name, TcpListener::bind("127.0.0.1:0").unwrap()));
        Self(listeners.iter().map(|(name, on)| (*name, on.local_addr().unwrap().port().to_string())).collect())
    }

    fn of(&self, name: &str) -> &str {
        &self.0.iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn put(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, port)| text.replace(name, port))
    }
}

/// Ends what the page began, also where the test ends before it.
struct Team(PathBuf);

impl Drop for Team {
    fn drop(&mut self) {
        for name in ["node-1.pid", "node-2.pid", "provider.pid", "nginx.pid", "db/postmaster.pid"] {
            let text = fs::read_to_string(self.0.join(name)).unwrap_or_default();
            let pid = text.lines().next().and_then(|line| line.parse().ok()).and_then(rustix::process::Pid::from_raw);
            pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::QUIT));
        }
    }
}

/// How many requests for lists of grants a node has answered.
async fn lists_answered_by(metrics: &str) -> u64 {
    let url = format!("http://127.0.0.1:{metrics}/metrics");
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let line = |line: &&str| line.starts_with("elevate_requests_total") && line.contains("/operations");
    text.lines().filter(line).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[tokio::test]
async fn a_team_is_up_and_running_and_a_node_dies() {
    let mut home = Home::empty();
    let shown = desktop(&mut home, "anna", "allow");
    home.set("ELEVATE_TEST_NODE", &node_packages());
    let ports = Ports::new();
    let team = Team(home.path.join("team"));

    let begins = ["A database", "An identity provider", "The rules", "Two nodes", "Sign in"].into_iter();
    let [touch, gone] = blocks("A touch").try_into().unwrap();
    let [waits, kill, after] = blocks("A node dies").try_into().unwrap();
    let all = begins.fold(blocks("What it takes"), |all, heading| [all, blocks(heading)].concat());
    let pause = |name: &str| format!("echo {name}; read -r _\n");
    let end = blocks("The end").concat();
    let all = [all, vec![touch, pause("TOUCHED"), gone, pause("GONE"), waits, after, end]].concat();
    let root = env!("CARGO_MANIFEST_DIR");
    let script = format!("set -e\ncd {root}\n{}echo THE END\n", ports.put(&all.concat()));
    let mut terminal = home.sh_at_terminal(&script);

    for expected in ["signed in to https://localhost:", "laptop enrolled: a software key", "TOUCHED"] {
        terminal.approve_until(expected);
    }
    let said = terminal.shown();
    for expected in ["reason   look who I am", "because  sensitive resources need a touch", " app\n", "(1 row)"] {
        assert!(said.contains(expected), "{expected:?} is not in:\n{said}");
    }
    let page = fs::read_to_string(shown).unwrap();
    assert!(page.contains("Anna Example"), "{page}");

    // What ends on one node is over on the other with its next answer.
    let grants = || home.elevate(&["--json", "admin", "grant", "list"]).ok().stdout;
    assert!(grants().contains("prod-db"));
    terminal.send("\n");
    terminal.wait_for("GONE");
    let nodes = [ports.of("9101"), ports.of("9102")];
    let lists = async || [lists_answered_by(nodes[0]).await, lists_answered_by(nodes[1]).await];
    let before = lists().await;
    while lists().await.iter().zip(before).any(|(now, before)| *now == before) {
        assert!(!grants().contains("prod-db"));
    }

    terminal.send("\n");
    terminal.wait_for("reason   while a node dies");
    terminal.wait_for("Ctrl-C to refuse: ");
    home.sh(&ports.put(&kill)).ok();
    let dead = || TcpStream::connect(format!("127.0.0.1:{}", ports.of("9001"))).is_err();
    wait_until("the node is dead", dead);
    terminal.send("\n");
    terminal.approve_all();
    let ended = terminal.end();
    assert_eq!(ended.status, Some(0), "{}", ended.tty);
    for expected in [" one \n", "the log is good", "THE END"] {
        assert!(ended.tty.contains(expected), "{expected:?} is not in:\n{}", ended.tty);
    }
    assert!(!team.0.exists());
}
