//! `docs/runbook.md` and the units: what they say is run.

use super::harness::{Service, Setup};
use crate::cli::harness::{AUTHORITY_BIN, finish, piped, spawn};
use std::path::{Path, PathBuf};
use std::process::Command;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The words after `serve` in the unit's `ExecStart`, but for the directories.
pub fn arguments_of(unit: &str) -> Vec<String> {
    let text = std::fs::read_to_string(docs().join("systemd").join(unit)).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/elevate-authority serve "));
    let words = line.unwrap().replace("--config /etc/elevate --data /var/lib/elevate", "");
    words.split_whitespace().map(str::to_owned).collect()
}

/// Blocks marked `sh`, of the part before "## Start" and of the rest.
fn blocks() -> (Vec<String>, Vec<String>) {
    let text = std::fs::read_to_string(docs().join("runbook.md")).unwrap();
    let of = |part: &str| {
        let blocks = part.split("```sh\n").skip(1);
        blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (before, after) = text.split_once("\n## Start\n").unwrap();
    (of(before), of(after))
}

fn run(setup: &Setup, block: &str, metrics: &str) -> String {
    let script = block
        .replace("/etc/elevate", &setup.config().display().to_string())
        .replace("elevate.example.com", "localhost")
        .replace("127.0.0.1:9464", metrics);
    let bin = Path::new(AUTHORITY_BIN).parent().unwrap().display();
    let mut command = Command::new("sh");
    command.args(["-euc", &script]).env_clear().env("PATH", format!("{bin}:/usr/bin:/bin"));
    finish(spawn(piped(&mut command)), b"").ok().stdout
}

#[tokio::test]
async fn the_runbooks_commands_do_what_it_says() {
    let setup = Setup { arguments: arguments_of("elevate-authority-network.service"), ..Setup::new() };
    let (before, after) = blocks();
    let [check, request, look, replace] = before.as_slice() else { panic!("{} blocks", before.len()) };
    run(&setup, check, "");
    // The key that was asked for is not the one of the certificate that is there: the new one brings its own.
    run(&setup, request, "");
    assert!(setup.config().join("request.pem").exists());
    let (certificate, key) = setup.ca.certify("localhost", 2020, 2119);
    setup.write_certificate(&setup.ca.certify("localhost", 2020, 2118));
    setup.write("new.pem", &certificate);
    setup.write("new-key.pem", &key);
    let said = run(&setup, look, "");
    assert!(said.contains("does match certificate") && said.contains("notAfter=Jan  1"), "{said}");

    let service: Service = setup.start();
    run(&service.setup, replace, "");
    service.says("2119-01-01T00:00:00Z");
    assert_eq!(service.status("/company/jwks").await, 200);
    let metrics = service.metrics.to_string();
    let said: Vec<String> = after.iter().map(|block| run(&service.setup, block, &metrics)).collect();
    assert_eq!(said.len(), 2);
    assert!(said[0].starts_with("ok\n{\"ready\":true"), "{}", said[0]);
    assert!(said[1].starts_with("elevate_log_entries "), "{}", said[1]);
}

#[test]
fn the_units_are_as_tight_as_the_runbook_says() {
    for (unit, tenths) in [("elevate-authority.service", "4"), ("elevate-authority-network.service", "11")] {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--no-pager", "--offline=true", "--threshold", tenths]);
        finish(spawn(piped(command.arg(docs().join("systemd").join(unit)))), b"").ok();
    }
}
