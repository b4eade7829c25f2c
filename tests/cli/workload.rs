//! Identity tokens, where no person asks: what is sent, what an authority says to it, whose grants are kept, and where it
//! never is.

use super::harness::*;
use crate::sign_in::provider::Key;
use crate::workloads::issuer::{AUDIENCE, for_deploys, honest, trusted};
use elevate::clock::Clock;
use elevate::protocol::encoding::base64url;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

const VARIABLE: &str = "ELEVATE_IDENTITY_TOKEN";
const FILE: &str = "ELEVATE_IDENTITY_TOKEN_FILE";

fn token() -> String {
    let claims = r#"{"iss":"https://ci.example","sub":"repo:shop/site","exp":4102444800}"#;
    format!("{}.{}.{}", base64url(r#"{"alg":"ES256","typ":"JWT"}"#), base64url(claims), base64url("no real signature"))
}

fn token_file(home: &Home) -> PathBuf {
    let path = home.beside("identity");
    fs::write(&path, format!("{}\n", token())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

const REFUSED: &str = "elevate: this authority takes no identity tokens
  run it without one
";

#[test]
fn the_doctor_says_what_a_token_is_and_never_shows_it() {
    let mut home = Home::set_up();
    let file = token_file(&home);
    let look = |home: &Home, words: &[&str]| -> Value {
        let ended = home.elevate(&[&["--json", "doctor"], words].concat()).exits(1);
        for part in token().split('.') {
            assert!(!ended.stdout.contains(part) && !ended.stderr.contains(part), "{ended:?}");
        }
        let report = ended.json();
        let found = report["checks"].as_array().unwrap().iter().find(|check| check["check"] == "identity token");
        found.cloned().unwrap_or_default()
    };
    assert_eq!(look(&home, &[]), Value::Null, "a person needs none");
    let named = format!("--identity-token-file={}", file.display());
    let good = look(&home, &[&named]);
    let says = format!("https://ci.example#repo:shop/site is who asks, by the one in {}", file.display());
    assert_eq!((&good["ok"], &good["says"]), (&json!(true), &json!(says)));
    let nobody = "made out for: nobody: it has no 'aud', and no authority takes it";
    assert_eq!(good["details"], json!([nobody, "ends: 2100-01-01T00:00:00Z"]));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let open = look(&home, &[&named]);
    assert_eq!(
        (&open["ok"], &open["says"]),
        (&json!(false), &json!(format!("others can read the one in {}", file.display())))
    );
    assert!(open["hint"].as_str().unwrap().starts_with(&format!("chmod 600 {}", file.display())));
    home.set(FILE, "/nowhere");
    assert_eq!(look(&home, &[])["says"], "there is no identity token in /nowhere: no such file");
    home.unset(FILE);
    let made = |claims: &str| format!("{}.{}.{}", base64url("{}"), base64url(claims), base64url("x"));
    home.set(VARIABLE, &made(r#"{"iss":"https://ci.example","sub":"x","exp":1,"aud":["a","b"]}"#));
    let ended = look(&home, &[]);
    assert_eq!(ended["says"], "the identity token in ELEVATE_IDENTITY_TOKEN ended at 1970-01-01T00:00:01Z");
    assert_eq!((&ended["ok"], &ended["details"][0]), (&json!(false), &json!("made out for: a, b")));
    home.set(VARIABLE, "hunter2");
    let none = look(&home, &[]);
    assert_eq!(none["ok"], false);
    assert!(none["says"].as_str().unwrap().contains("is no identity token") && !none.to_string().contains("hunter2"));
    home.unset(VARIABLE);
}

#[test]
fn an_authority_on_a_socket_takes_none_and_keeps_nothing_of_it() {
    let mut home = Home::set_up();
    home.elevate(&["wiki"]).ok();
    let before = home.events();
    let file = token_file(&home);
    let named = format!("--identity-token-file={}", file.display());
    let all = [
        home.elevate(&[&named, "token", "wiki"]).exits(10),
        home.elevate(&["token", &named, "wiki"]).exits(10),
        home.elevate(&[&named, "-n", "prod-api"]).exits(10),
        home.elevate(&[&named, "wiki", "--", "true"]).exits(125),
    ];
    for refused in &all {
        assert_eq!(refused.stderr, REFUSED, "what this account holds is not the workload's");
        assert_eq!(refused.stdout, "");
    }
    home.set(FILE, file.to_str().unwrap());
    home.elevate(&["token", "wiki"]).exits(10);
    home.unset(FILE);
    home.set(VARIABLE, &token());
    assert_eq!(home.elevate(&["--json", "token", "wiki"]).exits(10).error()["code"], "not_signed_in");
    let loud = home.elevate(&["--debug", "--progress=json", "token", "wiki"]).exits(10);
    home.unset(VARIABLE);

    assert_eq!(home.events(), before, "nothing is recorded");
    home.stop_authority();
    fs::remove_file(file).unwrap();
    let (written, token) = (bytes_below(&home.path), token());
    for part in token.split('.').chain(["repo:shop/site"]) {
        assert!(!contains(&written, part), "{part} is on the disk");
        assert!(!loud.stderr.contains(part), "{part} is told: {loud:?}");
    }
    home.elevate(&["token", "wiki"]).ok();
}

#[test]
fn it_is_sent_as_the_subject_of_a_token_exchange() {
    let mut home = Home::set_up();
    home.stop_authority();
    let listener = UnixListener::bind(home.socket()).unwrap();
    let seen = std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut request, mut part) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = stream.read(&mut part) {
                request.extend_from_slice(&part[..count]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() == length.parse::<usize>().unwrap() {
                    let _ = stream.write_all(b"HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n");
                    return body.to_owned();
                }
            }
        }
        String::new()
    });
    home.set(VARIABLE, &token());
    home.elevate(&["-n", "token", "wiki"]).exits(11);
    let body = seen.join().unwrap();
    let field = |name: &str| {
        let mut fields = body.split('&').filter_map(|field| field.split_once('='));
        fields.find(|field| field.0 == name).map(|field| field.1.replace("%3A", ":")).unwrap_or_default()
    };
    assert_eq!(field("grant_type"), "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(field("subject_token_type"), "urn:ietf:params:oauth:token-type:jwt");
    assert_eq!(field("subject_token"), token());
}

#[test]
fn what_is_no_token_is_named_and_not_quoted() {
    let mut home = Home::set_up();
    let file = token_file(&home);
    let named = format!("--identity-token-file={}", file.display());
    let run = || home.elevate(&["-n", &named, "token", "wiki"]);
    for (text, why) in [
        ("hunter2 hunter2", "it has not three parts with a dot between them"),
        ("hunter22.hunter22.hunter22", "it has no header, or no 'iss' and 'sub'"),
        ("", "it has not three parts with a dot between them"),
    ] {
        fs::write(&file, text).unwrap();
        let refused = run().exits(10);
        let line = format!("elevate: what {} holds is no identity token: {why}\n", file.display());
        assert_eq!(refused.stderr, format!("{line}  it takes one JWT, on one line\n"));
    }
    fs::write(&file, vec![b'a'; 1 << 20]).unwrap();
    assert!(run().exits(11).stderr.contains("it is bigger than 16384 bytes"));
    fs::write(&file, token()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(run().exits(11).stderr.contains("others can write it"));
    fs::remove_file(&file).unwrap();
    assert!(run().exits(10).stderr.contains("no such file"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    assert!(run().exits(11).stderr.contains("it is no file"), "and nobody waits for it");

    home.set(VARIABLE, "hunter2");
    let refused = home.elevate(&["-n", "token", "wiki"]).exits(10);
    let line = "elevate: what ELEVATE_IDENTITY_TOKEN holds is no identity token: ";
    assert!(refused.stderr.starts_with(line) && !refused.stderr.contains("hunter2"), "{refused:?}");
    // What needs nobody's word works.
    home.elevate(&["status"]).ok();
    assert!(home.elevate(&["list"]).exits(10).stderr.starts_with(line), "whose list?");
}

#[test]
fn no_command_inherits_it() {
    let mut home = Home::set_up();
    home.set(VARIABLE, "");
    let ran = home.elevate(&["wiki", "--", "env"]).ok();
    assert!(ran.stdout.contains("ELEVATE_TOKEN=") && !ran.stdout.contains(VARIABLE), "{ran:?}");
    let ran = home.elevate(&["--once", "wiki", "--", "env"]).ok();
    assert!(!ran.stdout.contains(VARIABLE), "{ran:?}");
}

// ------------------------------------------------------------------------------------------------ an issuer is trusted

const ISSUER: &str = "https://cluster.example";

/// A home whose authority trusts a cluster.
struct Cluster {
    home: Home,
    key: Key,
}

impl Cluster {
    fn new() -> Self {
        let (home, key) = (Home::empty(), Key::new("one"));
        home.write_config("keys.json", &json!({ "keys": [key.jwk()] }).to_string());
        let config = format!("{CATALOGUE}\n{}", trusted(ISSUER, "jwks_file = \"keys.json\"\n"));
        home.write_config("policy.cedar", &for_deploys());
        home.found(&config);
        Self { home, key }
    }

    /// A file with a token for a job.
    fn job(&self, name: &str, change: Value) -> String {
        let token = self.key.sign(&honest(ISSUER, Clock::system().now().as_second(), change));
        let path = self.home.beside(name);
        fs::write(&path, token).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        format!("--identity-token-file={}", path.display())
    }
}

#[test]
fn a_job_elevates_and_its_grants_are_its_own() {
    let cluster = Cluster::new();
    let home = &cluster.home;
    let (one, other) = (cluster.job("one", json!({})), cluster.job("other", json!({ "sub": "other" })));
    let token = home.elevate(&["-n", &one, "token", "wiki"]).ok().stdout;
    assert_eq!(home.elevate(&["-n", &one, "token", "wiki"]).ok().stdout, token, "it is kept");
    assert_eq!(home.issued("wiki"), 1);
    // Neither this account nor another job has it, and the other way round.
    let own = home.elevate(&["token", "wiki"]).ok().stdout;
    let others = home.elevate(&["-n", &other, "token", "wiki"]).ok().stdout;
    assert_eq!(home.issued("wiki"), 3);
    assert!(token != own && token != others && own != others);
    assert_eq!(home.elevate(&["-n", &one, "token", "wiki"]).ok().stdout, token);
    assert_eq!(home.elevate(&["token", "wiki"]).ok().stdout, own);
    assert_eq!(home.issued("wiki"), 3);
    let ran = home.elevate(&["-n", &other, "wiki", "--", "sh", "-c", "printf %s \"$ELEVATE_TOKEN\""]).ok();
    assert_eq!(format!("{}\n", ran.stdout), others);

    // What it holds outlives its token.
    let now = Clock::system().now().as_second();
    let ended = cluster.job("one", json!({ "exp": now - 1 }));
    assert_eq!(home.elevate(&["-n", &ended, "token", "wiki"]).ok().stdout, token);
    let said = home.elevate(&["-n", &ended, "-v", "wiki"]).exits(10).stderr;
    assert!(said.starts_with("elevate: the identity token in ") && said.contains(" ended at "), "{said}");

    // Each drops its own.
    assert!(home.is_active(token.trim()));
    home.elevate(&[&one, "drop", "wiki"]).ok();
    assert!(!home.is_active(token.trim()));
    assert!(home.is_active(own.trim()) && home.is_active(others.trim()));
    home.elevate(&[&one, "status", "wiki"]).exits(1);
    home.elevate(&[&other, "status", "wiki"]).ok();
    home.elevate(&["status", "wiki"]).ok();
    home.elevate(&["-n", &other, "--once", "-v", "wiki", "--", "true"]).ok();
}

#[test]
fn a_job_is_told_why_it_gets_nothing() {
    let cluster = Cluster::new();
    let home = &cluster.home;
    let job = |change: Value| cluster.job("job", change);
    let refused = |change: Value, resource: &str, status: i32| {
        home.elevate(&["-n", &job(change), "token", resource]).exits(status).stderr
    };
    let said = refused(json!({}), "prod-api", 3);
    assert!(said.starts_with("elevate: a workload can't touch a key, and policy asks for touch\n"), "{said}");
    let said = refused(json!({ "repository": "acme/other" }), "wiki", 3);
    assert!(said.starts_with("elevate: no policy permits it to workloads for 'wiki'\n"), "{said}");
    let said = refused(json!({ "aud": "https://other.example" }), "wiki", 10);
    let wanted = format!(
        "elevate: the identity token of ci is for another audience; it has to be for '{AUDIENCE}' alone\n  \
         ask whoever gives you the token for one with this audience\n"
    );
    assert_eq!(said, wanted);
    let said = refused(json!({ "iss": "https://other.example" }), "wiki", 10);
    let wanted = "elevate: this authority does not trust the issuer of the identity token: https://other.example\n";
    assert!(said.starts_with(wanted), "{said}");
    let said = refused(json!({ "ref": "refs/heads/topic" }), "wiki", 10);
    assert!(said.contains("none of those that are let in: its 'ref' is another"), "{said}");

    let listed = home.elevate(&["--json", &job(json!({})), "list"]).ok().json();
    let names: Vec<&str> =
        listed["resources"].as_array().unwrap().iter().map(|it| it["resource"].as_str().unwrap()).collect();
    assert_eq!(names, ["tv", "wiki"]);
    let explained = home.elevate(&["--json", &job(json!({})), "explain", "prod-api"]).ok().json();
    assert_eq!(explained["decision"], "deny");
    assert_eq!(explained["reasons"][0], "a workload can't touch a key, and policy asks for touch");
    let mine = home.elevate(&["--json", "explain", "prod-api"]).ok().json();
    assert_eq!(mine["decision"], "step_up", "a person has hands");
}
