//! Identity tokens, where no person asks: what is sent, what an authority on a socket says to it, and where it never is.

use super::harness::*;
use elevate::protocol::encoding::base64url;
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
  it knows you by your account: run it without one
";

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
    home.elevate(&["list"]).ok();
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
