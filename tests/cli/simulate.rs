//! `elevate-authority policy simulate`: the log's decisions once more, while the authority goes on.

use super::harness::*;
use elevate::authority::rules::{DEFAULT_POLICY, DEFAULT_SCHEMA};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A directory of rules that are not in force.
fn other_rules(home: &Home, policy: &str) -> PathBuf {
    let directory = home.beside("new");
    let _ = fs::create_dir(&directory);
    let config = fs::read_to_string(home.config().join("authority.toml")).unwrap();
    let files = [("authority.toml", config.as_str()), ("policy.cedar", policy), ("schema.cedarschema", DEFAULT_SCHEMA)];
    for (name, text) in files {
        fs::write(directory.join(name), text).unwrap();
        fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    directory
}

fn simulate(home: &Home, more: &[&str], new: &Path) -> Ended {
    let config = home.config();
    let words = ["policy", "simulate", "--config", config.to_str().unwrap()];
    let words = [&words[..], more, &[new.to_str().unwrap()]].concat();
    finish(spawn(piped(&mut home.program(AUTHORITY_BIN, &words))), b"")
}

#[test]
fn a_new_policy_is_held_against_what_was_decided() {
    let home = Home::set_up();
    home.elevate(&["token", "wiki"]).ok();
    home.elevate(&["token", "-k", "wiki"]).ok();
    home.approve(&["token", "prod-api"]).ok();
    let data = home.data().join("authority");
    let data = data.to_str().unwrap();

    // As it is, nothing would be otherwise; and the log goes on while it is read.
    let same = other_rules(&home, DEFAULT_POLICY);
    let said = simulate(&home, &["--data", data, "--since", "30d"], &same).ok();
    assert!(
        said.stdout.starts_with("0 of ") && said.stdout.contains(" decisions would be others, 0 of them new denials\n"),
        "{}",
        said.stdout
    );

    // Whatever is of low sensitivity takes a touch, and prod-api is shut.
    let (before, low) = DEFAULT_POLICY.split_once("@id(\"low\")").unwrap();
    let (_, after) = low.split_once("};").unwrap();
    let policy = format!(
        "{before}{after}\n@id(\"shut\") @reason(\"closed\") forbid (principal, action, resource == Resource::\"prod-api\");"
    );
    let new = other_rules(&home, &policy);
    let said = simulate(&home, &["--data", data], &new).exits(1);
    let me = format!("uid:{}", rustix::process::getuid().as_raw());
    let expected = format!(
        "tightens\n  session 5m -> touch 5m (policies low -> low-at-risk): 2 decisions\n    wiki 2; by {me}\n  \
         touch 5m -> denied (policies sensitive -> shut): 1 decision\n    prod-api 1; by {me}\n\n3 of "
    );
    assert!(said.stdout.starts_with(&expected), "{}\n{expected}", said.stdout);
    assert!(said.stdout.contains(" decisions would be others, 1 of them new denials\ntouches per person and day: "));
    assert!(said.stdout.ends_with(&format!("  {me}: +1\n")), "{}", said.stdout);
    home.elevate(&["audit", "verify"]).ok();

    // A backup says the same; what it does not have any more is counted.
    home.stop_authority();
    let of_wiki = "SELECT idx FROM log_entry WHERE CAST(leaf AS TEXT) LIKE '%grant.issued%wiki%' ORDER BY idx";
    home.sql(&format!("DELETE FROM log_private WHERE idx = ({of_wiki} LIMIT 1)"));
    home.sql(&format!(
        "UPDATE log_private SET clear = json_remove(clear, '$.question') WHERE idx = ({of_wiki} LIMIT 1 OFFSET 1)"
    ));
    let backup = home.beside("copy.db");
    fs::copy(home.data().join("authority/authority.db"), &backup).unwrap();
    let said = simulate(&home, &["--backup", backup.to_str().unwrap()], &new).exits(1);
    assert!(said.stdout.contains("1 decision\n    prod-api 1") && !said.stdout.contains("wiki"), "{}", said.stdout);
    let lost = "Not replayed: 1 that are erased, 1 that were recorded without their question.\n";
    assert!(said.stdout.ends_with(lost), "{}", said.stdout);
}

#[test]
fn a_log_that_is_not_there_is_not_simulated() {
    let home = Home::set_up();
    let new = other_rules(&home, DEFAULT_POLICY);
    let said = simulate(&home, &[], &new).exits(2);
    assert!(said.stderr.contains("say --data DIR, or --backup FILE"), "{}", said.stderr);
    let said = simulate(&home, &["--backup", "/nonexistent/elevate.db"], &new).exits(2);
    assert!(said.stderr.contains("/nonexistent/elevate.db: "), "{}", said.stderr);
}
