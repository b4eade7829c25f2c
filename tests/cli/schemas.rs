//! `--json`: each verb answers with exactly one object, as `docs/schemas` says, and complains with one.

use super::harness::{CATALOGUE, Ended, Home};
use crate::manual::{client, root, verbs};
use clap::Command;
use elevate::client::verbs::pin_changed;
use jsonschema::Validator;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Verbs, and the schema of what each answers.
const ANSWERS: &[(&str, &str)] = &[
    ("token", "token"),
    ("env", "env"),
    ("list", "list"),
    ("status", "status"),
    ("drop", "drop"),
    ("explain", "explain"),
    ("login", "login"),
    ("logout", "logout"),
    ("key enroll", "key-enroll"),
    ("key list", "key-list"),
    ("key pin", "key-pin"),
    ("key remove", "key-remove"),
    ("audit verify", "audit-verify"),
    ("audit show", "audit-show"),
    ("init", "init"),
    ("doctor", "doctor"),
    ("admin secret set", "admin-change"),
    ("admin secret remove", "admin-change"),
    ("admin secret list", "admin-secret-list"),
    ("admin user list", "admin-user-list"),
    ("admin user disable", "admin-change"),
    ("admin user enable", "admin-change"),
    ("admin user invite", "admin-user-invite"),
    ("admin session list", "admin-session-list"),
    ("admin session end", "admin-change"),
    ("admin key list", "admin-key-list"),
    ("admin key remove", "admin-change"),
    ("admin resource list", "admin-resource-list"),
    ("admin resource show", "admin-resource-show"),
    ("admin resource set", "admin-change"),
    ("admin resource remove", "admin-change"),
    ("admin grant list", "admin-grant-list"),
    ("admin grant revoke", "admin-change"),
    ("admin signing-key list", "admin-signing-key-list"),
    ("admin signing-key rotate", "admin-change"),
];

/// No verb of its own: `elevate RESOURCE`, an option, and what goes to stderr.
const BESIDE: [&str; 3] = ["grant", "doctor-udev-rule", "error"];

/// What has errors of elevate's own only: stdout is a command's, a shell's or a person's.
const NO_ANSWER: [&str; 4] = ["run", "demo", "shell", "completion"];

/// Of events and not of an answer: tested with what makes them.
const EVENTS: &str = "progress";

struct Schemas(BTreeMap<String, Validator>);

impl Schemas {
    /// All of them, each good in itself.
    fn load() -> Self {
        let mut schemas = BTreeMap::new();
        for entry in std::fs::read_dir(root("docs/schemas")).unwrap().flatten() {
            let file = entry.file_name().into_string().unwrap();
            let name = file.strip_suffix(".schema.json").unwrap_or_else(|| panic!("{file} is no schema"));
            let schema: Value = serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap();
            assert!(jsonschema::meta::is_valid(&schema), "{file}");
            assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{file}");
            let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
            schemas.insert(name.to_owned(), validator);
        }
        Self(schemas)
    }

    #[track_caller]
    fn hold(&self, name: &str, value: &Value) {
        let schema = self.0.get(name).unwrap_or_else(|| panic!("there is no schema {name}"));
        let faults: Vec<String> =
            schema.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert!(faults.is_empty(), "{name}: {faults:#?}\n{value:#}");
    }

    /// Exactly one object on stdout, as the schema says, and nothing on stderr.
    #[track_caller]
    fn answer(&self, name: &str, ended: &Ended) -> Value {
        assert_eq!(ended.stderr, "", "{name}: {ended:#?}");
        let value = ended.json();
        self.hold(name, &value);
        value
    }
}

fn leaves(command: &Command, path: &str, with: &mut Vec<String>) {
    for verb in verbs(command) {
        let path = format!("{path} {}", verb.get_name());
        if verbs(verb).next().is_some() { leaves(verb, &path, with) } else { with.push(path.trim().to_owned()) }
    }
}

#[test]
fn every_verb_has_a_schema_and_every_schema_a_verb() {
    let mut all = Vec::new();
    leaves(&client(), "", &mut all);
    for verb in &all {
        let known = ANSWERS.iter().any(|(known, _)| known == verb) || NO_ANSWER.contains(&verb.as_str());
        assert!(known, "`elevate {verb} --json` has no schema in docs/schemas");
    }
    for (verb, _) in ANSWERS {
        assert!(all.iter().any(|known| known == verb), "there is no verb {verb}");
    }
    let schemas: BTreeSet<String> = Schemas::load().0.into_keys().filter(|name| name != EVENTS).collect();
    let used = ANSWERS.iter().map(|(_, schema)| *schema).chain(BESIDE).map(str::to_owned).collect();
    assert_eq!(schemas, used);
}

#[test]
fn what_schemas_share_is_the_same_in_all_of_them() {
    let mut shared: BTreeMap<String, (Value, String)> = BTreeMap::new();
    for entry in std::fs::read_dir(root("docs/schemas")).unwrap().flatten() {
        let file = entry.file_name().into_string().unwrap();
        let schema: Value = serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap();
        for (name, part) in schema["$defs"].as_object().into_iter().flatten() {
            let (before, of) = shared.entry(name.clone()).or_insert_with(|| (part.clone(), file.clone()));
            assert!(before == part || file.starts_with(EVENTS), "{name} is not the same in {of} and {file}");
        }
    }
}

#[test]
fn schemas_notice_what_is_missing_or_no_time_of_ours() {
    let schemas = Schemas::load();
    let grant = |expires_at: &str| {
        serde_json::json!({ "version": 1, "grants": [{
            "resource": "wiki", "authority": "https://localhost/x", "grant_id": "x", "scope": "", "acr": "phr", "amr": [],
            "issued_at": "2026-01-02T03:04:05Z", "expires_at": expires_at, "keyring": "kernel keyring", "later": 1,
        }]})
    };
    let (good, faulty) = (grant("2026-01-02T03:04:05Z"), ["2026-01-02T03:04:05+01:00", "2026-13-02T03:04:05Z", "soon"]);
    schemas.hold("status", &good);
    for time in faulty {
        assert!(!schemas.0["status"].is_valid(&grant(time)), "{time}");
    }
    for field in ["resource", "expires_at", "keyring", "amr"] {
        let mut less = good.clone();
        less["grants"][0].as_object_mut().unwrap().remove(field);
        assert!(!schemas.0["status"].is_valid(&less), "{field}");
    }
    for (name, schema) in schemas.0.iter().filter(|(name, _)| *name != EVENTS) {
        assert!(!schema.is_valid(&serde_json::json!({})), "{name} takes anything");
    }
}

#[test]
fn what_a_person_does_in_a_day_answers_as_the_schemas_say() {
    let (schemas, home) = (Schemas::load(), Home::empty());
    home.write_config("authority.toml", CATALOGUE);
    let json = |words: &[&str]| home.approve(&[&["--json"], words].concat()).exits(0);
    let written = schemas.answer("init", &json(&["init", "--software-key", "laptop"]));
    assert!(written["changed"].as_array().unwrap().len() > 2, "{written}");
    schemas.answer("init", &json(&["init"]));

    schemas.answer("key-enroll", &json(&["key", "enroll", "--software", "spare"]));
    let keys = schemas.answer("key-list", &json(&["key", "list"]));
    assert!(keys["keys"][0]["last_used_at"].is_string(), "{keys}");
    schemas.answer("key-remove", &json(&["key", "remove", "spare"]));
    // It takes a device; that there is none is an error below.
    schemas.hold("key-pin", &pin_changed());

    let nothing = schemas.answer("status", &json(&["status"]));
    assert_eq!(nothing["grants"], serde_json::json!([]));
    schemas.answer("list", &json(&["list"]));
    schemas.answer("explain", &json(&["explain", "prod-api"]));
    schemas.answer("explain", &json(&["explain", "vault"]));
    schemas.answer("grant", &json(&["--reason", "ticket 7", "prod-api"]));
    schemas.answer("grant", &json(&["wiki"]));
    let token = schemas.answer("token", &json(&["token", "prod-api"]));
    assert!(token["receipt"].is_object(), "{token}");
    home.put_secret("prod-db", "hunter2").ok();
    let env = schemas.answer("env", &json(&["env", "prod-db"]));
    assert_eq!(env["env"]["ELEVATE_SECRET"], "hunter2");
    schemas.answer("env", &json(&["env", "wiki"]));
    let held = schemas.answer("list", &json(&["-l"]));
    assert!(held["resources"].as_array().unwrap().iter().any(|it| it["grant"].is_object()), "{held}");
    let held = schemas.answer("status", &json(&["status"]));
    assert_eq!(held["grants"].as_array().unwrap().len(), 3, "{held}");
    schemas.answer("status", &json(&["status", "wiki"]));
    let dropped = schemas.answer("drop", &json(&["drop", "wiki"]));
    assert_eq!(dropped["dropped"][0]["revoked"], true);
    assert_eq!(schemas.answer("drop", &json(&["-K"]))["dropped"].as_array().unwrap().len(), 2);
    schemas.answer("drop", &json(&["-k"]));

    schemas.answer("audit-verify", &json(&["audit", "verify"]));
    let shown = schemas.answer("audit-show", &json(&["audit", "show", "--last", "1000"]));
    assert!(shown["entries"].as_array().unwrap().len() > 10, "{shown}");
    schemas.answer("doctor", &json(&["doctor"]));
    schemas.answer("doctor-udev-rule", &json(&["doctor", "--udev-rule"]));
}

#[test]
fn what_administrators_do_answers_as_the_schemas_say() {
    let (schemas, home) = (Schemas::load(), Home::set_up());
    let json = |words: &[&str]| home.approve(&[&["--json"], words].concat()).exits(0);
    let stdin = home.beside("secret.stdin");
    std::fs::write(&stdin, "hunter2").unwrap();
    // As with `put_secret`: the terminal must stay open where it is none of the three streams.
    let script = r#"exec elevate --json admin secret set "$1" 9>&1 <"$2" >"$0/stdout" 2>"$0/stderr""#;
    let mut set = home.prompting_script(script, &["prod-db", stdin.to_str().unwrap()]);
    set.approve_all();
    let set = schemas.answer("admin-change", &set.end().ok());
    assert_eq!((&set["operation"], &set["target"]), (&"secret.set".into(), &"prod-db".into()));
    schemas.answer("admin-secret-list", &json(&["admin", "secret", "list"]));
    schemas.answer("admin-change", &json(&["admin", "secret", "remove", "prod-db"]));

    let grant = home.elevate(&["--json", "wiki"]).ok().json()["grant"]["grant_id"].as_str().unwrap().to_owned();
    schemas.answer("admin-grant-list", &json(&["admin", "grant", "list"]));
    let revoked = schemas.answer("admin-change", &json(&["admin", "grant", "revoke", &grant]));
    assert_eq!((&revoked["operation"], &revoked["target"]), (&"grant.revoke".into(), &grant.into()));

    schemas.answer("admin-session-list", &json(&["admin", "session", "list"]));
    let keys = schemas.answer("admin-key-list", &json(&["admin", "key", "list"]));
    assert_eq!(keys["keys"][0]["name"], "laptop", "{keys}");
    let file = home.beside("new.toml").display().to_string();
    std::fs::write(&file, "kind = \"secret\"\nsensitivity = \"low\"\n").unwrap();
    let set = schemas.answer("admin-change", &json(&["admin", "resource", "set", "new", &file]));
    assert_eq!((&set["operation"], &set["target"]), (&"resource.set".into(), &"new".into()));
    let list = schemas.answer("admin-resource-list", &json(&["admin", "resource", "list"]));
    assert!(list["resources"].as_array().unwrap().iter().any(|it| it["set_at"].is_string()), "{list}");
    let shown = schemas.answer("admin-resource-show", &json(&["admin", "resource", "show", "new"]));
    assert_eq!(shown["resource"]["definition"]["kind"], "secret");
    schemas.answer("admin-change", &json(&["admin", "resource", "remove", "new"]));
    schemas.answer("admin-user-list", &json(&["admin", "user", "list"]));
    let me = format!("uid:{}", rustix::process::getuid().as_raw());
    schemas.answer("admin-change", &json(&["admin", "user", "enable", &me]));
    home.write_config("authority.toml", &format!("{CATALOGUE}\n[sign_in]\nallow = [\"*\"]\n"));
    schemas.answer("admin-user-invite", &json(&["admin", "user", "invite", "anna"]));
    let users = schemas.answer("admin-user-list", &json(&["admin", "user", "list"]));
    assert!(users["users"][0]["invited_until"].is_string(), "{users}");
    let rotated = schemas.answer("admin-change", &json(&["admin", "signing-key", "rotate"]));
    assert!(rotated["kid"].is_string() && rotated["target"].is_null(), "{rotated}");
    let keys = schemas.answer("admin-signing-key-list", &json(&["admin", "signing-key", "list"]));
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2, "{keys}");
}

#[test]
fn what_goes_wrong_is_one_object_on_stderr() {
    let (schemas, home) = (Schemas::load(), Home::set_up());
    for (words, status) in [
        (&["status", "wiki"][..], 1),
        (&["token", "prod-api"], 4),
        (&["prod-api"], 4),
        (&["env", "prod-api"], 4),
        (&["run", "prod-api", "--", "true"], 125),
        (&["prod-api", "--", "true"], 125),
        (&["wiki", "--", "/nowhere"], 127),
        (&["explain", "nothing"], 2),
        (&["key", "enroll", "blue"], 4),
        (&["key", "pin"], 4),
        (&["key", "remove", "blue"], 1),
        (&["admin", "user", "disable", "uid:1"], 4),
        (&["demo", "--yes"], 2),
        (&["token"], 2),
        (&["--no-such"], 2),
        (&["audit", "show", "--last", "x"], 2),
    ] {
        let ended = home.elevate(&[&["--json"], words].concat());
        assert_ne!(ended.stderr, "", "{words:?}: {ended:#?}");
        let value: Value = serde_json::from_str(ended.stderr.trim_end()).unwrap_or_else(|_| panic!("{ended:#?}"));
        schemas.hold("error", &value);
        ended.exits(status).error();
    }
    // An answer and an error are on different streams: what was dropped, and what was not held.
    let both = home.elevate(&["--json", "drop", "wiki", "tv"]).exits(1);
    schemas.hold("drop", &both.json());
    assert_eq!(both.json()["dropped"][0]["resource"], "wiki");
    schemas.hold("error", &serde_json::from_str(&both.stderr).unwrap());
    // Nothing is wrong with the answer; that the log is bad stands in it.
    home.stop_authority();
    home.sql("update log_entry set leaf = cast(replace(cast(leaf as text), 'key.enrolled', 'key.removed') as blob) where idx = 4");
    let bad = schemas.answer("audit-verify", &home.elevate(&["--json", "audit", "verify"]).exits(1));
    assert_eq!(bad["good"], false);
}
