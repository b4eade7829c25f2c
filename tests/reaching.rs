//! Authorities that are not the embedded one: over TLS, through proxies, on others' sockets. The real binaries, real TLS;
//! behind it a real authority, which takes the connections of the front for those of this account.

use crate::cli::harness::*;
use crate::tls_front::{Behind, Ca, ConnectProxy, Listening};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// An authority across the network, and a home that asks it.
struct Company {
    /// Where it runs.
    server: Home,
    /// Where it is used.
    home: Home,
    front: Option<Listening>,
    url: String,
}

impl Company {
    fn found() -> Self {
        let (server, ca) = (Home::empty(), Ca::new("Example Corp CA"));
        let behind = Arc::new(Mutex::new(Behind::Socket(server.socket())));
        let front = Listening::tls(ca.certify("localhost"), behind);
        let url = format!("https://localhost:{}/acme", front.port);
        server.found(&format!("issuer = \"{url}\"\n{CATALOGUE}"));
        let home = server.guest();
        home.write_config("company.pem", &ca.pem);
        home.write_config("elevate.toml", &settings(&url, Some("company.pem")));
        Self { server, home, front: Some(front), url }
    }

    /// The software key comes along, as a security key would.
    fn bring_key(&self) {
        let keys = self.home.data().join("device/software-keys");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&keys).unwrap();
        for key in fs::read_dir(self.server.data().join("device/software-keys")).unwrap().flatten() {
            fs::copy(key.path(), keys.join(key.file_name())).unwrap();
        }
    }
}

fn settings(url: &str, ca_file: Option<&str>) -> String {
    let ca_file = ca_file.map_or_else(String::new, |path| format!("ca_file = \"{path}\"\n"));
    format!("authority = \"{url}\"\n[authorities.\"{url}\"]\n{ca_file}")
}

/// A home that asks what is behind this certificate, which its CA file vouches for.
fn home_with(config: impl FnOnce(&Ca) -> rustls::ServerConfig, behind: Behind) -> (Home, Listening, String) {
    let (home, ca) = (Home::empty(), Ca::new("Example Corp CA"));
    let front = Listening::tls(config(&ca), Arc::new(Mutex::new(behind)));
    let url = format!("https://localhost:{}", front.port);
    home.write_config("company.pem", &ca.pem);
    home.write_config("elevate.toml", &settings(&url, Some("company.pem")));
    (home, front, url)
}

fn metadata(issuer: &str, versions: &[u32]) -> Behind {
    Behind::json(&json!({
        "issuer": issuer,
        "elevate_protocol_versions": versions,
        "elevate_log_key": "example+00000000+AAAA",
    }))
}

#[track_caller]
fn refused(ended: &Ended, status: i32, message: &str) {
    assert_eq!(ended.status, Some(status), "{ended:?}");
    assert!(ended.stderr.starts_with(&format!("elevate: {message}")), "{message:?}: {ended:?}");
    assert_eq!(ended.stdout, "");
}

// ----------------------------------------------------------------------------------------------------- across a network

#[test]
fn the_flow_is_the_same_across_a_network_and_a_cached_grant_needs_none() {
    let mut company = Company::found();
    company.bring_key();
    let token = company.home.elevate(&["token", "wiki"]).ok().stdout;
    let stepped_up = company.home.approve(&["token", "prod-api"]).ok().stdout;
    assert!(company.home.elevate(&["list"]).ok().stdout.contains("the production API"));
    company.home.elevate(&["audit", "verify"]).ok();
    let status = company.home.elevate(&["--json", "status"]).ok().json();
    for grant in status["grants"].as_array().unwrap() {
        assert_eq!(grant["authority"], company.url.as_str());
    }
    assert!(!company.home.socket().exists(), "no authority was started here");
    company.front = None;
    assert_eq!(company.home.elevate(&["token", "wiki"]).ok().stdout, token);
    assert_eq!(company.home.elevate(&["token", "prod-api"]).ok().stdout, stepped_up);
    let there = company.url.trim_start_matches("https://").trim_end_matches("/acme");
    refused(
        &company.home.elevate(&["token", "-k", "wiki"]).exits(6),
        6,
        &format!("{there} takes no connection\n  no authority runs there, or a firewall refuses it\n"),
    );
    // What is held goes first, whatever the network does.
    let dropped = company.home.elevate(&["drop", "wiki"]).exits(6);
    assert!(dropped.stderr.contains("wiki is gone from this device, but was not revoked"), "{dropped:?}");
    company.home.elevate(&["status", "wiki"]).exits(1);
}

#[test]
fn what_wins_is_typed_then_in_the_environment_then_in_the_file() {
    let mut home = Home::empty();
    home.write_config("elevate.toml", "authority = \"https://file.invalid\"\n");
    let asked = |home: &Home, words: &[&str], host: &str| {
        refused(&home.elevate(&[words, &["list"]].concat()), 6, &format!("{host} has no address: "));
    };
    asked(&home, &[], "file.invalid");
    home.set("ELEVATE_AUTHORITY", "https://variable.invalid");
    asked(&home, &[], "variable.invalid");
    asked(&home, &["--authority", "https://typed.invalid"], "typed.invalid");
    home.set("ELEVATE_AUTHORITY", "");
    asked(&home, &[], "file.invalid");
    let own = "there is no authority on this machine yet\n  run `elevate init` to set one up\n";
    refused(&home.elevate(&["--authority", "embedded", "list"]), 6, own);
}

#[test]
fn without_tls_nothing_is_sent_over_a_network() {
    let mut home = Home::empty();
    let why = "http:// is for http://localhost[:PORT] alone: over a network it has to be https://";
    for url in ["http://elevate.example.com", "http://127.0.0.1:8080", "http://localhost.example.com"] {
        let typed = home.elevate(&["--authority", url, "list"]).exits(2);
        assert!(typed.stderr.contains(why), "{typed:?}");
        home.set("ELEVATE_AUTHORITY", url);
        refused(&home.elevate(&["list"]), 2, &format!("ELEVATE_AUTHORITY: {why}"));
        home.unset("ELEVATE_AUTHORITY");
        home.write_config("elevate.toml", &format!("\nauthority = \"{url}\"\n"));
        let written = home.elevate(&["list"]).exits(2);
        assert!(written.stderr.contains("elevate.toml:2: ") && written.stderr.contains(why), "{written:?}");
        home.write_config("elevate.toml", "");
    }
    home.elevate(&["--authority", "http://elevate.example.com", "wiki", "--", "true"]).exits(125);
    // On loopback there is nobody on the way; the issuer is written with https all the same.
    let front = Listening::clear(metadata("https://localhost:1", &[1]));
    let url = format!("http://localhost:{}", front.port);
    let other = home.elevate(&["--authority", &url, "list"]);
    refused(&other, 8, &format!("the authority at {url} says that it is https://localhost:1\n"));
}

// ---------------------------------------------------------------------------------------------------------- certificates

#[test]
fn a_certificate_that_nobody_vouches_for() {
    let (home, front, url) = home_with(|ca| ca.certify("localhost"), Behind::Silence);
    home.write_config("elevate.toml", &settings(&url, None));
    let alone = home.elevate(&["list"]);
    refused(&alone, 6, "nobody whom this machine trusts vouches for the certificate of localhost\n");
    assert!(alone.stderr.contains("name its file in elevate.toml: ca_file"), "{alone:?}");

    home.write_config("company.pem", &Ca::new("Another CA").pem);
    home.write_config("elevate.toml", &settings(&url, Some("company.pem")));
    let wrong = home.elevate(&["list"]);
    assert_eq!(wrong.status, Some(6), "{wrong:?}");
    let said = "elevate: neither ~/.config/elevate/company.pem nor this machine's roots vouch for the certificate";
    assert!(home.plain(&wrong.stderr).starts_with(said), "{wrong:?}");
    drop(front);
}

#[test]
fn a_platforms_root_vouches_as_well() {
    let (mut home, _front, url) = home_with(|ca| ca.certify("localhost"), metadata("https://other.example", &[1]));
    home.write_config("elevate.toml", &settings(&url, None));
    let roots = home.config().join("company.pem").display().to_string();
    home.set("SSL_CERT_FILE", &roots);
    refused(&home.elevate(&["list"]), 8, "the authority at ");
}

#[test]
fn a_ca_file_that_can_not_be_used() {
    let (home, _front, url) = home_with(|ca| ca.certify("localhost"), Behind::Silence);
    let complaint = |text: Option<&str>, mode: u32, why: &str| {
        let file = home.config().join("company.pem");
        let _ = fs::remove_file(&file);
        if let Some(text) = text {
            home.write_config("company.pem", text);
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        let ended = home.elevate(&["list"]).exits(11);
        let expected = format!("elevate: ~/.config/elevate/company.pem can't be used: {why}");
        assert!(home.plain(&ended.stderr).starts_with(&expected), "{expected:?}: {ended:?}");
    };
    complaint(None, 0, "there is no such file");
    complaint(Some("no certificate"), 0o600, "there is no certificate in it");
    complaint(Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600, "");
    complaint(Some(&Ca::new("CA").pem), 0o666, "others can write it");
    let absolute = home.beside("ca.pem");
    home.write_config("elevate.toml", &settings(&url, absolute.to_str()));
    let ended = home.elevate(&["list"]).exits(11);
    assert!(ended.stderr.contains(absolute.to_str().unwrap()), "{ended:?}");
}

#[test]
fn a_certificate_that_is_over_or_for_another_name() {
    let (expired, _front, _) = home_with(|ca| ca.certify_expired("localhost"), Behind::Silence);
    let said = expired.elevate(&["list"]);
    refused(
        &said,
        6,
        "the certificate of localhost expired on 2025-02-03T00:00:00Z\n  whoever runs it has to renew it",
    );
    drop(expired);
    let (other, _front, _) = home_with(|ca| ca.certify("elevate.example.com"), Behind::Silence);
    let said = other.elevate(&["list"]);
    refused(&said, 6, "the certificate is not for localhost, but for ");
    assert!(said.stderr.contains("elevate.example.com"), "{said:?}");
    drop(other);
    let soon = |ca: &Ca| ca.certify_saying("localhost", |params| params.not_before = rcgen::date_time_ymd(2099, 1, 1));
    let (early, _front, _) = home_with(soon, Behind::Silence);
    refused(
        &early.elevate(&["list"]),
        6,
        "the certificate of localhost is not good yet\n  look at this machine's clock",
    );
}

#[test]
fn what_speaks_no_tls() {
    let home = Home::empty();
    let front = Listening::clear(Behind::Greets("SSH-2.0-OpenSSH_9.9\r\n"));
    let url = format!("https://localhost:{}", front.port);
    refused(&home.elevate(&["--authority", &url, "list"]), 6, "localhost speaks no TLS that is understood here: ");
    let front = Listening::clear(Behind::Says(String::new()));
    let there = format!("localhost:{}", front.port);
    let ended = home.elevate(&["--authority", &format!("https://{there}"), "list"]);
    refused(&ended, 6, &format!("{there} ended the connection before there was TLS\n"));
}

// --------------------------------------------------------------------------------------------------------- who it is

#[test]
fn a_redirect_is_followed_by_nobody() {
    let elsewhere = Company::found();
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {}/x\r\nContent-Length: 0\r\n\r\n", elsewhere.url);
    let front_ca = Ca::new("CA");
    let front = Listening::tls(front_ca.certify("localhost"), Arc::new(Mutex::new(Behind::Says(answer))));
    let (home, url) = (&elsewhere.home, format!("https://localhost:{}", front.port));
    home.write_config("front.pem", &front_ca.pem);
    home.write_config("elevate.toml", &settings(&url, Some("front.pem")));
    let ended = home.elevate(&["list"]);
    refused(&ended, 6, &format!("{url} is answered by no authority of elevate: HTTP status 302\n"));
    let hint = format!("it redirects to {}/x, which is not followed", elsewhere.url);
    assert!(ended.stderr.contains(&hint), "{ended:?}");
}

#[test]
fn an_authority_under_another_name_is_not_used() {
    let company = Company::found();
    let ca = Ca::new("CA");
    let behind = Arc::new(Mutex::new(Behind::Socket(company.server.socket())));
    let front = Listening::tls(ca.certify("localhost"), behind);
    let (home, url) = (&company.home, format!("https://localhost:{}", front.port));
    home.write_config("front.pem", &ca.pem);
    home.write_config("elevate.toml", &settings(&url, Some("front.pem")));
    refused(&home.elevate(&["token", "wiki"]), 8, &format!("the authority at {url} says that it is {}\n", company.url));
    assert!(!home.data().join("device/authorities").exists(), "nothing of it is remembered");
}

#[test]
fn a_mismatch_of_versions_says_which_side_to_upgrade() {
    let ca = Ca::new("CA");
    let behind = Arc::new(Mutex::new(Behind::Silence));
    let front = Listening::tls(ca.certify("localhost"), behind.clone());
    let url = format!("https://localhost:{}", front.port);
    let home = Home::empty();
    home.write_config("ca.pem", &ca.pem);
    home.write_config("elevate.toml", &settings(&url, Some("ca.pem")));
    let says = |versions: &[u32], said: &str| {
        *behind.lock().unwrap() = metadata(&url, versions);
        refused(&home.elevate(&["list"]), 6, &format!("{url} speaks protocol version {said}\n"));
    };
    says(&[2, 3], "2, 3, this elevate 1\n  upgrade elevate on this machine");
    says(&[0], "0, this elevate 1\n  the authority has to be upgraded");
    says(&[], "none that it names, this elevate 1\n  the authority has to be upgraded");
}

#[test]
fn an_authority_that_was_upgraded_past_us_says_so_at_the_next_answer() {
    let company = Company::found();
    company.home.elevate(&["token", "wiki"]).ok();
    drop(company.front);
    let port = company.url.trim_end_matches("/acme").rsplit(':').next().unwrap().parse().unwrap();
    let known = fs::read_to_string(only_directory(&company.home).join("authority.json")).unwrap();
    let known: Value = serde_json::from_str(&known).unwrap();
    let newer = json!({ "issuer": company.url, "elevate_protocol_versions": [2], "elevate_log_key": known["log_key"] });
    let ca = Ca::new("CA");
    company.home.write_config("company.pem", &ca.pem);
    let behind = Arc::new(Mutex::new(Behind::json(&newer)));
    let _front = Listening::tls_at(port, ca.certify("localhost"), behind);
    let ended = company.home.elevate(&["list"]);
    refused(&ended, 6, &format!("{} speaks protocol version 2, this elevate 1\n  upgrade elevate", company.url));
    company.home.elevate(&["token", "wiki"]).ok();
}

#[test]
fn one_that_says_nothing_is_given_its_time() {
    let (home, _front, url) = home_with(|ca| ca.certify("localhost"), Behind::Silence);
    let began = Instant::now();
    let ended = home.elevate(&["-n", "list"]);
    refused(&ended, 6, &format!("{url} did not answer within 5 seconds\n"));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

// --------------------------------------------------------------------------------------------------------------- proxies

#[test]
fn a_proxy_is_used_where_the_environment_names_one() {
    let ca = Ca::new("CA");
    let url = "https://elevate.example.test";
    let behind = Arc::new(Mutex::new(metadata("https://other.example", &[1])));
    let front = Listening::tls(ca.certify("elevate.example.test"), behind);
    let proxy = ConnectProxy::start(front.port, ESTABLISHED);
    let address = format!("127.0.0.1:{}", proxy.listening.port);
    let mut home = Home::empty();
    home.write_config("ca.pem", &ca.pem);
    home.write_config("elevate.toml", &settings(url, Some("ca.pem")));
    let reached =
        |home: &Home| refused(&home.elevate(&["list"]), 8, "the authority at https://elevate.example.test says");
    for (count, name) in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"].into_iter().enumerate() {
        home.set(name, &format!("http://anna:hunter2@{address}"));
        reached(&home);
        let asked = proxy.asked();
        assert_eq!(asked.len(), count + 1, "{name}");
        assert_eq!(asked[count][0], "CONNECT elevate.example.test:443 HTTP/1.1");
        let credentials = "proxy-authorization: basic yw5uytpodw50zxiy";
        assert!(asked[count].iter().any(|line| line.to_lowercase() == credentials), "{asked:?}");
        home.unset(name);
    }
    home.set("HTTPS_PROXY", &format!("http://{address}"));
    for name in ["NO_PROXY", "no_proxy"] {
        home.set(name, "localhost,.example.test");
        refused(&home.elevate(&["list"]), 6, "elevate.example.test has no address: ");
        home.unset(name);
    }
    assert_eq!(proxy.asked().len(), 3, "it was passed by");
    home.set("HTTP_PROXY", "http://127.0.0.1:1");
    reached(&home);
}

#[test]
fn a_proxy_that_lets_nobody_through() {
    let mut home = Home::empty();
    home.write_config("elevate.toml", "authority = \"https://elevate.example.test\"\n");
    let mut answers = |answer: &'static str, why: &str| {
        let proxy = ConnectProxy::start(1, answer);
        let address = format!("127.0.0.1:{}", proxy.listening.port);
        home.set("HTTPS_PROXY", &format!("http://anna:hunter2@{address}"));
        let ended = home.elevate(&["--debug", "list"]);
        assert_eq!(ended.status, Some(6), "{ended:?}");
        let expected = format!("the proxy http://{address} lets nobody through to elevate.example.test: {why}");
        assert!(ended.stderr.contains(&expected), "{expected:?}: {ended:?}");
        assert!(ended.stderr.contains("HTTPS_PROXY names it"), "{ended:?}");
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
    };
    answers("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "");
    answers("HTTP/1.1 502 Bad Gateway\r\n\r\n", "");
    answers("220 mail.example.com ESMTP\r\n", "");
    home.set("HTTPS_PROXY", "http://127.0.0.1:1");
    refused(&home.elevate(&["list"]), 6, "the proxy http://127.0.0.1:1 takes no connection\n");
    home.set("HTTPS_PROXY", "socks5://127.0.0.1:1");
    refused(&home.elevate(&["list"]), 2, "the proxy socks5://127.0.0.1:1 can't be used: write http://HOST:PORT");
}

#[test]
fn no_proxy_stands_before_what_is_on_this_machine() {
    let mut home = Home::set_up();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        home.set(name, "http://127.0.0.1:1");
    }
    home.elevate(&["list"]).ok();
    let socket = format!("unix:{}", home.socket().display());
    home.elevate(&["--authority", &socket, "list"]).ok();
}

// ------------------------------------------------------------------------------------------------ sockets of others

#[test]
fn an_authority_on_anothers_socket_is_asked_without_starting_one() {
    let server = Home::set_up();
    let home = server.guest();
    let socket = format!("unix:{}", server.socket().display());
    home.write_config("elevate.toml", &format!("authority = \"{socket}\"\n"));
    let token = home.elevate(&["token", "wiki"]).ok().stdout;
    assert!(!home.socket().exists(), "none was started");
    server.stop_authority();
    assert_eq!(home.elevate(&["token", "wiki"]).ok().stdout, token, "what is held needs nobody");
    let gone = home.elevate(&["list"]);
    refused(&gone, 6, "there is no authority at ");
    assert!(gone.stderr.contains("--authority embedded asks your own"), "{gone:?}");
    assert!(server.authorities().is_empty(), "nor was one started there");
}

/// In a mount namespace of one's own, in which this account is root and makes `/run/elevate`.
#[test]
fn the_systems_authority_is_asked_before_ones_own() {
    let home = Home::set_up();
    home.stop_authority();
    // To this namespace what is root's is nobody's.
    let own = home.beside("elevate-authority");
    fs::copy(AUTHORITY_BIN, &own).unwrap();
    home.write_config("elevate.toml", &format!("authority_program = {own:?}\n"));
    let script = r#"
        mount -t tmpfs none /run && mkdir -m 755 /run/elevate && cd "$HOME" || exit 1
        "$0" serve --everybody --config .config/elevate --data system --socket /run/elevate/authority.sock >ready 2>log &
        until grep -q ready ready; do kill -0 $! || { cat log; exit 1; }; sleep 0.05; done
        elevate token wiki >token && elevate status && elevate --json doctor | grep -o '"authority = [^"]*"'
        kill -KILL $!; wait 2>/dev/null
        elevate token wiki | cmp - token && echo the same
        elevate list
        elevate --authority embedded list
        elevate -n -K
        rm /run/elevate/authority.sock && mkdir /run/elevate/authority.sock && elevate list"#;
    let ended =
        finish(spawn(piped(&mut home.program("unshare", &["-Urm", "sh", "-c", script, own.to_str().unwrap()]))), b"");
    let (out, err) = (&ended.stdout, &ended.stderr);
    assert!(out.contains("\"authority = unix:/run/elevate/authority.sock (it is there)\"\nthe same\n"), "{ended:#?}");
    assert_eq!(out.matches("the production API").count(), 1, "only one's own was there to be asked: {ended:#?}");
    assert!(err.contains("elevate: nobody answers on /run/elevate/authority.sock\n"), "{ended:#?}");
    assert!(
        err.ends_with("/run/elevate/authority.sock is not used: /run/elevate/authority.sock is no socket\n"),
        "{ended:#?}"
    );
}

#[test]
fn a_socket_that_somebody_else_could_have_put_there_is_not_used() {
    must_not_be_root();
    let home = Home::empty();
    let at = |path: &Path| home.elevate(&["--authority", &format!("unix:{}", path.display()), "list"]);
    let open = home.beside("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let planted = open.join("authority.sock");
    let listening = std::os::unix::net::UnixListener::bind(&planted).unwrap();
    let said = at(&planted);
    refused(
        &said,
        6,
        &format!(
            "the authority's socket {} is not used: {} can be written by others",
            planted.display(),
            open.display()
        ),
    );

    // A directory of somebody else's, made where everybody may make one.
    let theirs = open.join("theirs");
    as_other_user(&format!("mkdir {0} && chmod 755 {0}", theirs.display()));
    let said = at(&theirs.join("authority.sock"));
    assert_eq!(said.status, Some(6), "{said:?}");
    as_other_user(&format!(
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"{}/s\")'",
        theirs.display()
    ));
    refused(&at(&theirs.join("s")), 6, "the authority's socket ");
    as_other_user(&format!("rm -r {}", theirs.display()));

    let link = home.beside("link");
    std::os::unix::fs::symlink(&open, &link).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o700)).unwrap();
    let said = at(&link.join("authority.sock"));
    assert!(said.stderr.contains("is no directory; write the path without links"), "{said:?}");
    let file = open.join("file");
    fs::write(&file, "").unwrap();
    let said = at(&file);
    assert!(said.stderr.contains("is no socket"), "{said:?}");
    drop(listening);
    refused(&at(&planted), 6, &format!("nobody answers on {}\n", planted.display()));
}

// --------------------------------------------------------------------------------------------------- several at a time

/// The directory of the one authority that is not the embedded one.
fn only_directory(home: &Home) -> std::path::PathBuf {
    let all = fs::read_dir(home.data().join("device/authorities")).unwrap().flatten();
    let mut others: Vec<_> = all.map(|entry| entry.path()).filter(|path| !path.ends_with("embedded")).collect();
    assert_eq!(others.len(), 1, "{others:?}");
    others.remove(0)
}

#[test]
fn two_authorities_keep_what_is_theirs() {
    let server = Home::with(
        "allow_software_keys = true\n[resource.intranet]\nkind = \"jwt\"\ndescription = \"the intranet\"\naudience = \"https://intranet.test.invalid\"\nsensitivity = \"low\"\n\n[resource.wiki]\nkind = \"jwt\"\naudience = \"https://wiki.other.invalid\"\nsensitivity = \"low\"\n",
    );
    let home = server.guest();
    home.found(CATALOGUE);
    let other = format!("--authority=unix:{}", server.socket().display());
    let here = home.elevate(&["token", "wiki"]).ok().stdout;
    let there = home.elevate(&[&other, "token", "wiki"]).ok().stdout;
    home.elevate(&[&other, "intranet"]).ok();
    assert_ne!(here, there);
    assert_eq!(home.elevate(&["token", "wiki"]).ok().stdout, here);
    assert_eq!(home.elevate(&[&other, "token", "wiki"]).ok().stdout, there);
    home.elevate(&["audit", "verify"]).ok();
    home.elevate(&[&other, "audit", "verify"]).ok();
    assert_eq!(home.elevate(&[&other, "key", "list", "--json"]).ok().json()["keys"].as_array().unwrap().len(), 1);

    // All that is held is shown with who gave it; what names a resource is about the one that is asked.
    let status = home.elevate(&["status"]).ok().stdout;
    let header = status.lines().next().unwrap();
    assert!(header.ends_with("AUTHORITY") && status.lines().count() == 4, "{status}");
    assert!(status.contains("embedded") && status.contains("unix:"), "{status}");
    assert_eq!(home.elevate(&[&other, "--json", "status"]).ok().json()["grants"].as_array().unwrap().len(), 3);
    home.elevate(&["status", "intranet", "-q"]).exits(1);
    home.elevate(&[&other, "status", "intranet", "-q"]).ok();
    let completed =
        |variable: &str| home.sh(&format!("{variable} elevate complete-words 2 -- elevate token ''")).ok().stdout;
    assert!(completed("").contains("prod-api") && !completed("").contains("intranet"));
    let variable = other.replace("--authority=", "ELEVATE_AUTHORITY=");
    assert!(completed(&variable).contains("intranet") && !completed(&variable).contains("prod-api"));

    home.elevate(&["drop", "wiki"]).ok();
    assert_eq!(home.elevate(&[&other, "token", "wiki"]).ok().stdout, there);
    home.elevate(&["wiki"]).ok();
    let all = home.elevate(&["-K"]).ok();
    assert_eq!(all.stdout.matches("dropped and revoked").count(), 3, "{all:?}");
    home.elevate(&["status", "-q"]).exits(1);
    assert!(!server.is_active(there.trim()));
}

#[test]
fn what_the_first_release_remembered_is_the_embedded_authoritys() {
    let home = Home::set_up();
    let token = home.elevate(&["token", "wiki"]).ok().stdout;
    let device = home.data().join("device");
    let embedded = device.join("authorities/embedded");
    // What it did not remember yet.
    for later in ["credentials", "keys-seen"] {
        fs::remove_file(embedded.join(later)).unwrap();
    }
    let names = || {
        let mut names: Vec<_> = fs::read_dir(&embedded).unwrap().flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let back = || {
        for name in names() {
            fs::rename(embedded.join(&name), device.join(&name)).unwrap();
        }
        fs::remove_dir_all(device.join("authorities")).unwrap();
        let met = fs::read_to_string(device.join("authority.json")).unwrap();
        let mut met: Value = serde_json::from_str(&met).unwrap();
        met.as_object_mut().unwrap().remove("address");
        fs::write(device.join("authority.json"), met.to_string()).unwrap();
    };
    back();
    home.stop_authority();
    assert_eq!(home.elevate(&["token", "wiki"]).ok().stdout, token, "and nobody is asked");
    assert_eq!(names(), before);
    assert!(!device.join("authority.json").exists() && !device.join("receipts").exists());
    home.elevate(&["audit", "verify"]).ok();
    // Interrupted in the middle, and by many at once.
    back();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&embedded).unwrap();
    fs::rename(device.join("checkpoint"), embedded.join("checkpoint")).unwrap();
    let script = "for i in 1 2 3 4 5 6 7 8; do elevate token wiki & done; wait";
    let all = home.sh(script).ok().stdout;
    assert_eq!(all, token.repeat(8));
    assert_eq!(names(), before);
}

#[test]
fn init_sets_up_this_machine_and_says_who_is_asked() {
    let home = Home::empty();
    home.write_config("elevate.toml", "authority = \"https://elevate.example.test\"\n");
    home.write_config("authority.toml", CATALOGUE);
    let done = home.approve(&["init", "--software-key", "laptop"]).ok();
    let note = "elevate asks https://elevate.example.test; --authority embedded asks the one on this machine";
    assert!(done.stderr.contains(note), "{done:?}");
    home.elevate(&["--authority", "embedded", "token", "wiki"]).ok();
}

// ---------------------------------------------------------------------------------------------------------------- doctor

#[test]
fn doctor_says_how_an_authority_is_reached() {
    let mut company = Company::found();
    let plain = |company: &Company, ended: &Ended| {
        company.home.plain(&ended.stdout.replace(&company.url, "URL").replace("\n          ", " "))
    };
    let before = company.home.prompting(&["doctor"]).end();
    let said = plain(&company, &before);
    for line in [
        "authority = URL (elevate.toml line 1)",
        "ok  authority: URL answers",
        "URL, which this device has not used yet",
    ] {
        assert!(said.contains(line), "{line:?}: {said}");
    }
    assert!(!company.home.data().join("device/authorities").exists(), "it meets nobody");
    company.home.elevate(&["list"]).ok();
    let said = plain(&company, &company.home.prompting(&["doctor"]).end());
    for line in [
        "URL, trusted since TIME",
        "directly, at 127.0.0.1:",
        "its certificate is good until TIME, by",
        "protocol 1",
        "clock: it is",
    ] {
        assert!(said.contains(line), "{line:?}: {said}");
    }
    assert!(!said.contains("rules: "), "{said}");
    company.front = None;
    let said = plain(&company, &company.home.prompting(&["doctor"]).end());
    assert!(said.contains("not ok  authority: localhost:") && said.contains("takes no connection"), "{said}");
    company.home.set("ELEVATE_AUTHORITY", "nonsense");
    let said = plain(&company, &company.home.prompting(&["doctor"]).end());
    assert!(said.contains("not ok  settings: ELEVATE_AUTHORITY: 'nonsense' is no authority"), "{said}");
}
