//! Clients that nobody here wrote (`oauth4webapi`, `dpop`, `jose`), against the real program over TLS: every answer that
//! the standards ask for, and every error that they name. `docs/conformance.md` is what they saw.

use crate::cli::harness::spawn;
use crate::generated::hold;
use crate::manual::root;
use crate::serving::harness::{ISSUER, LISTEN, Setup};
use crate::sign_in::company::Company;
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

/// One line of `tests/peers/conformance.mjs`.
#[derive(Deserialize)]
struct Check {
    area: String,
    #[serde(rename = "check")]
    what: String,
    spec: String,
    client: String,
    version: String,
    result: String,
    passed: bool,
}

#[test]
fn clients_of_others_see_what_the_standards_say() {
    let company = Company::found("", "ES256");
    let elsewhere = Setup::listening(&format!("{LISTEN}requests_per_second = 5\n")).start();
    let both = company.home.beside("both-authorities.pem");
    let theirs = fs::read_to_string(company.home.config().join("company.pem")).unwrap();
    fs::write(&both, theirs + &elsewhere.setup.ca.pem).unwrap();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/conformance.mjs");
    let mut command = company.home.program("node", &[script, &company.url, ISSUER, &elsewhere.url("")]);
    let complaints = company.home.beside("complaints");
    command.env("NODE_EXTRA_CA_CERTS", &both).stderr(fs::File::create(&complaints).unwrap());
    let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut checks = Vec::new();
    for line in BufReader::new(output).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if line["please"] == "let ten minutes pass for codes" {
            company.outlast_sign_in_steps();
            input.write_all(b"done\n").unwrap();
        } else {
            checks.push(serde_json::from_value::<Check>(line).unwrap());
        }
    }
    let failed: Vec<String> = checks.iter().filter(|check| !check.passed).map(row).collect();
    let (ended, complaints) = (child.wait().unwrap(), fs::read_to_string(complaints).unwrap());
    assert!(ended.success() && failed.is_empty(), "{ended}\n{complaints}{}", failed.join("\n"));
    hold(&root("docs").join("conformance.md"), table(&checks).as_bytes());
}

fn table(checks: &[Check]) -> String {
    let mut table = String::from(HEAD);
    let mut areas: Vec<&str> = Vec::new();
    for check in checks {
        if !areas.contains(&check.area.as_str()) {
            areas.push(&check.area);
        }
    }
    for area in areas {
        let _ =
            write!(table, "\n## {area}\n\n| check | standard | client | version | result |\n|---|---|---|---|---|\n");
        let rows = checks.iter().filter(|check| check.area == area).map(row);
        table.extend(rows.map(|row| row + "\n"));
    }
    table
}

fn row(check: &Check) -> String {
    let Check { what, spec, client, version, result, .. } = check;
    format!("| {what} | {spec} | {client} | {version} | {result} |")
}

const HEAD: &str = "\
# Conformance

What OAuth clients that nobody here wrote see of an authority: the real `elevate-authority serve` over TLS, people who sign
in through `oidc-provider` with Chromium. Each row is a check of
[tests/peers/conformance.mjs](../tests/peers/conformance.mjs), run by [tests/conformance.rs](../tests/conformance.rs),
which fails where a check does, and where this table is not what it saw
(`ELEVATE_REGENERATE=1 cargo test --test all conformance` writes it anew). A result with a status is the authority's
answer as the client read it. `fetch` is Node.js alone, for what no client of OAuth sends.
";
