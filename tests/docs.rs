//! Docs tell the truth: what README shows is run here, line by line, by a person at a terminal who presses Enter.

use crate::cli::harness::Home;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

const README: &str = include_str!("../README.md");
const CI: &str = include_str!("../.ci/run");

/// The shell blocks of a page, in order.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default().trim()).collect()
}

#[test]
fn the_first_command_builds_both_programs_and_ends_in_the_demo() {
    let first = blocks(README)[0];
    let (packages, rest) = first.strip_prefix("sudo apt-get install -y ").unwrap().split_once(" && ").unwrap();
    assert!(CI.contains(&format!("    {packages} ")), ".ci/run installs other packages to build than README");
    assert_eq!(rest, "cargo build --locked --bins && target/debug/elevate demo");
}

#[test]
fn the_second_command_is_the_one_that_ci_runs() {
    assert_eq!(blocks(README)[1], "sudo -E bash .ci/run");
    assert!(README.contains("`cargo test --locked` alone runs the tests"));
    assert!(CI.contains("as_ci cargo test --locked"));
}

#[test]
fn a_real_secret_the_same_day() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", api.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in api.incoming().flatten() {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let seen: Vec<String> = lines.filter(|line| line.starts_with("Authorization")).collect();
            let body = seen.concat();
            let _ =
                write!(&stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    let home = Home::empty();
    let script =
        format!("set -e\nexport API_KEY=hunter2 API_URL={url}\n{}\n{}\n", blocks(README)[2], blocks(README)[3]);
    let mut terminal = home.sh_at_terminal(&script);
    terminal.approve_all();
    let ended = terminal.end();
    assert_eq!(ended.status, Some(0), "{}", ended.tty);
    for expected in [
        "enrolled laptop: a software key, a file on this device",
        "the secret of example is stored, sealed",
        "elevate: approve elevation to example?\n  for      15m\n  command  sh\n  reason   ticket 4711\n  because  sensitive resources need a touch of your key",
        "Authorization: Bearer hunter2",
        "kernel keyring",
        "example dropped and revoked",
        "the log is good",
    ] {
        assert!(ended.tty.contains(expected), "{expected:?} is not in:\n{}", ended.tty);
    }
}

/// What takes a security key is run with a virtual one, in a VM: `tests/hardware`.
#[test]
fn what_takes_a_key_is_a_scenario() {
    let scenarios = include_str!("hardware/scenarios/src/table.rs");
    for line in blocks(README)[4].lines() {
        let command = line.split('#').next().unwrap_or_default();
        let command = command.split('|').next_back().unwrap_or_default().trim();
        let command = command.split(" age1").next().unwrap_or_default();
        assert!(scenarios.contains(command), "no scenario runs {command:?}");
    }
}

#[test]
fn links_lead_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in [
        "README.md",
        "docs/design.md",
        "docs/threat-model.md",
        "docs/benchmarks.md",
        "docs/hardware.md",
        "docs/quickstart-team.md",
        "docs/runbook.md",
        "docs/runbook-store.md",
        "tests/hardware/README.md",
    ] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let target = root.join(page).parent().unwrap().join(link);
            assert!(target.exists(), "{page} links to {link}, which is not there");
        }
    }
}
