//! `elevate login` and `elevate logout`, as people use them: the real programs, a real provider, a browser that signs in.

use super::company::{Company, login_port};
use crate::cli::harness::{AUTHORITY_BIN, finish, piped, spawn, wait_until};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;

#[test]
fn a_person_signs_in_with_a_browser_and_out_again() {
    let mut company = Company::found("", "ES256");
    let before = company.home.elevate(&["token", "wiki"]).exits(10);
    assert_eq!(before.stderr, "elevate: you are not signed in\n  run `elevate login`\n");
    let shown = company.desktop("anna", "allow");
    let ended = company.sign_in("anna");
    let said = format!("signed in to {} as Anna Example, until ", company.url);
    assert!(ended.stdout.starts_with(&said) && ended.stdout.lines().count() == 1, "{ended:#?}");
    let link =
        format!("{}/authorize?client_id=elevate-cli&request_uri=urn:ietf:params:oauth:request_uri:", company.url);
    assert!(ended.stderr.contains(&link), "{ended:#?}");
    let page = || fs::read_to_string(&shown).unwrap();
    wait_until("the browser shows that it is over", || page().contains("You may close this window"));
    let page = page();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for text in ["Sign in on this device?", "Anna Example", &host, "127.0.0.1"] {
        assert!(page.contains(text), "{text}: {page}");
    }

    let home = &company.home;
    let token = home.elevate(&["token", "wiki"]).ok().stdout;
    let payload = token.split('.').nth(1).unwrap().to_owned();
    let claims: serde_json::Value =
        serde_json::from_slice(&elevate::protocol::encoding::from_base64url(&payload).unwrap()).unwrap();
    assert_eq!(claims["sub"], format!("{}#anna", company.issuer));
    assert!(home.elevate(&["list"]).ok().stdout.contains("the production API"));
    home.elevate(&["explain", "prod-api"]).ok();
    home.approve(&["key", "enroll", "--software", "laptop"]).ok();
    assert!(home.elevate(&["key", "list"]).ok().stdout.contains("laptop"));
    home.approve(&["token", "prod-api"]).ok();
    home.elevate(&["audit", "verify"]).ok();
    // Grants are dropped; who is signed in stays so.
    home.elevate(&["-K"]).ok();
    home.elevate(&["token", "wiki"]).ok();

    let out = home.elevate(&["logout"]).ok();
    assert_eq!(out.stdout, format!("signed out of {}\n", company.url));
    home.elevate(&["status", "wiki"]).exits(1);
    home.elevate(&["token", "wiki"]).exits(10);
    let again = home.elevate(&["logout"]).exits(1);
    assert_eq!(again.stderr, format!("elevate: you are not signed in to {}\n", company.url));
}

#[test]
fn an_administrator_signs_a_lost_device_out_and_removes_its_key() {
    let mut company = Company::found("", "ES256");
    company.sign_in("anna");
    company.home.approve(&["key", "enroll", "--software", "laptop"]).ok();
    company.home.elevate(&["token", "wiki"]).ok();
    let (admin, anna) = (company.machine(), format!("{}#anna", company.issuer));
    admin.approve(&["key", "enroll", "--software", "own"]).ok();
    let list = admin.elevate(&["--json", "admin", "session", "list"]).ok().json();
    let session = &list["sessions"][0];
    assert_eq!((&session["user"], &session["name"]), (&anna.as_str().into(), &"Anna Example".into()), "{list}");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let ended = admin.approve(&["admin", "session", "end", session["id"].as_str().unwrap()]).ok();
    let host = session["host"].as_str().unwrap();
    let asked = format!("to end the session of Anna Example ({anna}) on host {host} target");
    assert!(words(&ended.tty).contains(&asked), "{ended:#?}");
    let out = company.home.elevate(&["token", "-k", "wiki"]).exits(10);
    assert!(out.stderr.contains("this device was signed out"), "{out:#?}");

    let listed = admin.elevate(&["admin", "key", "list", &anna]).ok().stdout;
    assert!(listed.contains("laptop") && !listed.contains("own"), "{listed}");
    let removed = admin.approve(&["admin", "key", "remove", &anna, "laptop"]).ok();
    assert!(words(&removed.tty).contains(&format!("remove the security key 'laptop' of {anna}")), "{removed:#?}");
    // Anna hears of it when this device is next signed in, and once.
    let again = company.sign_in("anna");
    assert!(again.stderr.contains("elevate: your security key 'laptop' was removed since this device"), "{again:#?}");
    let list = company.home.elevate(&["key", "list"]).ok();
    assert_eq!((list.stderr.as_str(), list.stdout.contains("no keys")), ("", true), "{list:#?}");
}

#[test]
fn the_last_administrator_is_recovered_on_the_machine_and_invited() {
    let mut company = Company::found("", "ES256");
    company.sign_in("anna");
    company.home.approve(&["key", "enroll", "--software", "laptop"]).ok();
    company.home.elevate(&["token", "wiki"]).ok();
    let (machine, anna) = (company.machine(), format!("{}#anna", company.issuer));
    let config = fs::read_to_string(machine.config().join("authority.toml")).unwrap();
    machine.write_config("authority.toml", &format!("admins = [\"{anna}\"]\n{config}"));
    let (data, rules) =
        (machine.data().join("authority").display().to_string(), machine.config().display().to_string());
    let words = ["recover", "--data", &data, "--config", &rules, "--yes", &anna];
    let done = finish(spawn(piped(&mut machine.program(AUTHORITY_BIN, &words))), b"").ok();
    let answer: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(answer["recovered"], anna, "{done:#?}");
    // A code for the next key, where there is no key to sign in with.
    assert_eq!(answer["invitation"].as_str().unwrap().len(), 30, "{done:#?}");
    company.home.elevate(&["token", "-k", "wiki"]).exits(10);
    let again = company.sign_in("anna").stderr;
    assert!(
        again.contains(&format!("elevate: the security keys of {anna} were removed on the authority's machine")),
        "{again}"
    );
    assert!(again.contains("your security key 'laptop' was removed"), "{again}");
}

#[test]
fn a_device_without_a_browser_shows_a_code() {
    let company = Company::found("", "RS256");
    let mut tty = company.home.at_terminal(&["login", "--device"]);
    tty.wait_for("Ctrl-C stops.");
    let shown = tty.shown();
    assert!(shown.contains(&format!("{}/device\n", company.url)), "{shown}");
    let code = shown.split("type there\n").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let browser = company.browse(&format!("{}/device", company.url), "ben", "allow", &code).ok();
    assert!(browser.stdout.contains("Ben Example"), "{browser:#?}");
    let ended = tty.end();
    assert_eq!(ended.status, Some(0), "{ended:#?}");
    assert!(ended.tty.contains("as Ben Example"), "{ended:#?}");
    company.home.elevate(&["token", "wiki"]).ok();
}

#[test]
fn who_refuses_in_the_browser_is_not_signed_in() {
    let mut company = Company::found("", "ES256");
    company.desktop("anna", "refuse");
    let ended = company.home.elevate(&["login"]).exits(3);
    assert!(ended.stderr.contains("elevate: you are not signed in: the person refused it\n"), "{ended:#?}");
    company.home.elevate(&["token", "wiki"]).exits(10);
}

#[test]
fn signing_out_works_where_the_authority_does_not() {
    let mut company = Company::found("", "ES256");
    company.sign_in("anna");
    company.home.elevate(&["token", "wiki"]).ok();
    company.stop();
    let ended = company.home.elevate(&["logout"]).exits(6);
    assert!(
        ended.stderr.starts_with("elevate: this device is signed out, but the authority was not told: "),
        "{ended:#?}"
    );
    company.start();
    company.home.elevate(&["token", "wiki"]).exits(10);
}

#[test]
fn what_can_not_be_signed_in_to_says_so() {
    let mut company = Company::found("", "ES256");
    let alone = company.home.elevate(&["-n", "login"]).exits(4);
    assert_eq!(alone.stderr, "elevate: signing in takes a person, and -n forbids to ask one\n");
    let own = company.home.elevate(&["--authority", "embedded", "login"]).exits(2);
    assert!(own.stderr.contains("knows you by your account"), "{own:#?}");
    company.home.elevate(&["--authority", "embedded", "logout"]).exits(2);
    company.stop();
    company.home.elevate(&["login"]).exits(6);
}

/// The threat table's row "login interception": the port of this machine.
#[test]
fn a_login_that_waits_is_answered_by_nobody_else() {
    let company = Company::alone();
    let mut tty = company.home.at_terminal(&["login", "--no-browser"]);
    tty.wait_for("Ctrl-C stops.");
    let port = login_port();
    // Nobody else gets the port while it is waited for.
    assert!(TcpListener::bind(("127.0.0.1", port)).is_err());
    let ask = |text: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    // Nobody on it holds up anybody.
    let _silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let wrong = ask("GET /callback?code=stolen&state=guessed&iss=https://localhost HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(wrong.starts_with("HTTP/1.1 400 ") && wrong.contains("not the answer"), "{wrong}");
    assert!(wrong.contains("Content-Security-Policy: default-src 'none'; frame-ancestors 'none'"), "{wrong}");
    assert!(wrong.contains("Referrer-Policy: no-referrer"), "{wrong}");
    for other in
        ["GET / HTTP/1.1\r\n\r\n", "POST /callback?state=x HTTP/1.1\r\n\r\n", "GET /favicon.ico HTTP/1.1\r\n\r\n"]
    {
        assert!(ask(other).starts_with("HTTP/1.1 404 "), "{other}");
    }
    tty.wait_for("an answer that is not to this sign-in was ignored");
    tty.send("\u{3}");
    let ended = tty.end();
    assert!(ended.signal == Some(2) || ended.status == Some(130), "{ended:#?}");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the port is closed");
    company.home.elevate(&["token", "wiki"]).exits(10);
}

#[test]
fn a_person_signs_in_with_a_key_and_no_browser() {
    let mut company = Company::found("", "ES256");
    company.sign_in("anna");
    let home = &company.home;
    let enrolled = home.approve(&["key", "enroll", "--software", "laptop"]).ok();
    assert!(enrolled.stderr.contains("`elevate login --key` signs in with this key, on any device"), "{enrolled:#?}");
    home.elevate(&["logout"]).ok();
    home.elevate(&["token", "wiki"]).exits(10);
    let alone = home.elevate(&["login", "--key"]).exits(4);
    assert_eq!(alone.stdout, "", "nobody is there to approve: {alone:#?}");
    let mut tty = home.at_terminal(&["login", "--key"]);
    tty.wait_for(&format!("elevate: sign in to {} on this device?", company.url));
    tty.wait_for("Press Enter to approve with the software key 'laptop', Ctrl-C to refuse: ");
    tty.send("\r");
    let ended = tty.end().ok();
    assert!(ended.tty.contains(&format!("signed in to {} as Anna Example, until ", company.url)), "{ended:#?}");
    home.elevate(&["token", "wiki"]).ok();
    home.approve(&["token", "prod-api"]).ok();
    home.elevate(&["audit", "verify"]).ok();
    // A device that knows of no key.
    let other = home.guest();
    let settings = fs::read_to_string(home.config().join("elevate.toml")).unwrap();
    other.write_config("elevate.toml", &settings);
    other.write_config("company.pem", &fs::read_to_string(home.config().join("company.pem")).unwrap());
    let files = home.data().join("device/software-keys");
    let carried = other.data().join("device/software-keys");
    let mut private = fs::DirBuilder::new();
    private.mode(0o700).recursive(true).create(carried.parent().unwrap()).unwrap();
    assert!(std::process::Command::new("cp").arg("-a").args([&files, &carried]).status().unwrap().success());
    other.approve(&["login", "--key"]).ok();
    other.elevate(&["token", "wiki"]).ok();
}

#[test]
fn an_invited_person_enrols_a_key_and_signs_in_with_it() {
    let company = Company::without_provider();
    company.at_the_machine(&["key", "enroll", "--software", "admin"]);
    let invited = company.at_the_machine(&["admin", "user", "invite", "anna"]);
    let invitation = invited.stdout.trim_end();
    assert_eq!((invited.stdout.lines().count(), invitation.len()), (1, 30), "{invited:#?}");
    assert!(
        invited.stderr.contains(&format!("elevate: hand this to {}#anna, who enrols", company.url)),
        "{invited:#?}"
    );
    let home = &company.home;
    let browser = home.elevate(&["login"]).exits(3);
    assert!(browser.stderr.contains("`elevate login --key` signs in with your security key"), "{browser:#?}");
    let wrong = home.elevate_reading(&["login", "--invitation"], "00000-00000-00000-00000-000000\n").exits(3);
    assert_eq!(wrong.stderr, "elevate: there is no such invitation\n  run `elevate login` again\n");
    let ended = home.elevate_reading(&["login", "--invitation"], &format!("{}\n", invitation.to_lowercase())).ok();
    assert!(ended.stdout.contains("`elevate key enroll NAME`, then `elevate login --key`"), "{ended:#?}");
    home.elevate(&["token", "wiki"]).exits(3);
    home.approve(&["key", "enroll", "--software", "laptop"]).ok();
    let over = home.elevate(&["token", "wiki"]).exits(10);
    let expected =
        "elevate: the sign-in by invitation is over: it was for enrolling a key\n  run `elevate login --key`\n";
    assert_eq!(over.stderr, expected);
    let ended = home.approve(&["login", "--key"]).ok();
    assert!(ended.stdout.contains(&format!("signed in to {} as anna, until ", company.url)), "{ended:#?}");
    home.elevate(&["token", "wiki"]).ok();
    let again = home.elevate_reading(&["login", "--invitation"], invitation).exits(3);
    assert!(again.stderr.contains("the invitation was used already"), "{again:#?}");
    let shown = company.at_the_machine(&["admin", "user", "list"]);
    assert!(shown.stdout.contains("#anna"), "{shown:#?}");
}

/// At a prompt it is not shown, and never stands in an argument.
#[test]
fn an_invitation_is_typed_at_a_prompt() {
    let company = Company::without_provider();
    company.at_the_machine(&["key", "enroll", "--software", "admin"]);
    let invited = company.at_the_machine(&["admin", "user", "invite", "--ttl", "1h", "ben"]);
    let mut tty = company.home.at_terminal(&["login", "--invitation"]);
    tty.wait_for("Invitation (not shown)");
    assert!(!tty.echoes(), "nothing is shown from the moment it is asked for");
    tty.send(&format!("{}\r", invited.stdout.trim_end()));
    let ended = tty.end().ok();
    assert!(!ended.tty.contains(invited.stdout.trim_end()) && ended.tty.contains("as ben, until "), "{ended:#?}");
    company.home.elevate_reading(&["login", "--invitation", "--key"], "").exits(2);
}
