//! A company: an authority over TLS, an identity provider that nobody here wrote, and people with browsers and terminals.

use crate::cli::harness::*;
use elevate::authority::rules::{DEFAULT_POLICY, DEFAULT_SCHEMA};
use elevate::authority::store::Place;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers");

/// Where `npm ci` put what `tests/peers/package.json` names.
pub fn node_packages() -> String {
    std::env::var("ELEVATE_TEST_NODE").unwrap_or_else(|_| {
        panic!(
            "this test needs the packages of tests/peers/package.json: copy it and package-lock.json to a directory, run \
             `npm ci --ignore-scripts` there, and set ELEVATE_TEST_NODE to it; it also needs Debian's chromium"
        )
    })
}

/// Ends with its value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Company {
    _provider: Option<Running>,
    authority: Option<Running>,
    server: Home,
    /// Where somebody works.
    pub home: Home,
    /// The authority's.
    pub url: String,
    /// The provider's.
    pub issuer: String,
}

impl Company {
    /// With more in `[sign_in]`, and ID tokens signed so.
    pub fn found(more: &str, algorithm: &str) -> Self {
        Self::found_at(Home::empty(), more, algorithm)
    }

    /// Nobody else has a home meanwhile.
    pub fn alone() -> Self {
        Self::found_at(Home::alone(), "", "ES256")
    }

    fn found_at(server: Home, more: &str, algorithm: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("https://localhost:{port}");
        let (provider, issuer) = provider(&format!("{url}/sign_in/callback"), algorithm);
        let sign_in = format!(
            "issuer = \"{issuer}\"\nclient_id = \"elevate-authority\"\nallow = [\"*\"]\n\
             client_secret_file = \"client-secret\"\n{more}"
        );
        Self::founded(server, port, Some(provider), issuer, &sign_in)
    }

    /// Without an identity provider.
    pub fn without_provider() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::founded(Home::empty(), port, None, String::new(), "allow = [\"*\"]\n")
    }

    fn founded(server: Home, port: u16, provider: Option<Running>, issuer: String, sign_in: &str) -> Self {
        let url = format!("https://localhost:{port}");
        let ca = certify(&server);
        let config = format!(
            "issuer = \"{url}\"\n{CATALOGUE}\n[listen]\naddress = \"127.0.0.1:{port}\"\ncertificate = \"tls.pem\"\n\
             key = \"tls-key.pem\"\n[sign_in]\n{sign_in}"
        );
        server.write_config("authority.toml", &config);
        server.write_config("policy.cedar", DEFAULT_POLICY);
        server.write_config("schema.cedarschema", DEFAULT_SCHEMA);
        server.write_config("client-secret", "correct horse battery staple: 100% + more\n");
        let mut home = server.guest();
        home.write_config("company.pem", &ca);
        let settings = format!("authority = \"{url}\"\n[authorities.\"{url}\"]\nca_file = \"company.pem\"\n");
        home.write_config("elevate.toml", &settings);
        if provider.is_some() {
            home.set("ELEVATE_TEST_NODE", &node_packages());
        }
        let mut company = Self { _provider: provider, authority: None, server, home, url, issuer };
        company.start();
        company
    }

    /// Somebody at the machine that the authority runs on, where a person presses Enter.
    pub fn at_the_machine(&self, words: &[&str]) -> Ended {
        let socket = format!("unix:{}", self.server.socket().display());
        self.server.approve(&[&["--authority", &socket], words].concat()).ok()
    }

    /// The machine of the authority, where its owner administers.
    pub const fn machine(&self) -> &Home {
        &self.server
    }

    /// The authority begins to serve.
    pub fn start(&mut self) {
        let mut command = Command::new(AUTHORITY_BIN);
        command.arg("serve").arg("--config").arg(self.server.config());
        command.arg("--data").arg(self.server.data().join("authority")).arg("--socket").arg(self.server.socket());
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        fs::create_dir_all(self.server.data()).unwrap();
        self.authority = Some(Running(spawn(&mut command)));
        let address = self.url.strip_prefix("https://").unwrap().to_owned();
        wait_until("the authority serves", || TcpStream::connect(&address).is_ok());
    }

    /// Ten minutes pass, for every step of signing in that waits.
    pub fn outlast_sign_in_steps(&self) {
        let Place::File(path) = Place::of(&self.server.data().join("authority"), None) else { panic!("it has a file") };
        let outlast = async {
            let mut database = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
            let query = "UPDATE sign_in_step SET expires_at = unixepoch() - 1 WHERE spent_at IS NULL";
            database.execute(query).await.unwrap();
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(outlast);
    }

    /// The authority ends.
    pub fn stop(&mut self) {
        self.authority = None;
    }

    /// As [`desktop`].
    pub fn desktop(&mut self, login: &str, answer: &str) -> PathBuf {
        desktop(&mut self.home, login, answer)
    }

    /// Somebody elsewhere types a code.
    pub fn browse(&self, url: &str, login: &str, answer: &str, user_code: &str) -> Ended {
        let script = format!("{PEERS}/browser.mjs");
        finish(spawn(piped(&mut self.home.program("node", &[&script, url, login, answer, user_code]))), b"")
    }

    /// Somebody signs in with the desktop's browser.
    pub fn sign_in(&mut self, login: &str) -> Ended {
        let shown = self.desktop(login, "allow");
        let ended = self.home.elevate(&["login"]);
        let browser = fs::read_to_string(shown).unwrap_or_default();
        assert_eq!(ended.status, Some(0), "{ended:#?}\nthe browser: {browser}");
        ended
    }
}

/// A desktop whose browser is somebody who signs in and answers so; what it showed goes to the file.
pub fn desktop(home: &mut Home, login: &str, answer: &str) -> PathBuf {
    let (bin, shown) = (home.beside("desktop"), home.beside("browser.out"));
    fs::create_dir_all(&bin).unwrap();
    let opener = bin.join("xdg-open");
    let script =
        format!("#!/bin/sh\nexec node {PEERS}/browser.mjs \"$1\" {login} {answer} >{} 2>&1\n", shown.display());
    fs::write(&opener, script).unwrap();
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    let path = home.variable("PATH");
    if !path.starts_with(&*bin.to_string_lossy()) {
        home.set("PATH", &format!("{}:{path}", bin.display()));
    }
    home.set("DISPLAY", ":0");
    shown
}

fn provider(redirect_uri: &str, algorithm: &str) -> (Running, String) {
    let mut command = Command::new("node");
    command.arg(format!("{PEERS}/oidc_provider.mjs")).args([redirect_uri, algorithm]);
    command.env("ELEVATE_TEST_NODE", node_packages());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = spawn(&mut command);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let running = Running(child);
    let ready = lines.find_map(|line| serde_json::from_str::<Value>(&line.ok()?).ok()).expect("the provider starts");
    // It writes no more that matters; its pipe stays open.
    std::thread::spawn(move || lines.for_each(drop));
    (running, ready["issuer"].as_str().unwrap().to_owned())
}

/// A certificate for `localhost`; returns who vouches for it.
fn certify(server: &Home) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Not the name of what it certifies, which would then be its own issuer.
    params.distinguished_name.push(rcgen::DnType::CommonName, "whoever vouches for localhost");
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let ca = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    server.write_config("tls.pem", &certificate.pem());
    server.write_config("tls-key.pem", &key.serialize_pem());
    pem
}

/// The port on which an `elevate login` waits, where no other does. Its own `/proc` entries are closed to others, so that
/// each port of this user is asked.
pub fn login_port() -> u16 {
    let uid = rustix::process::getuid().as_raw().to_string();
    let is_login = |port: &u16| {
        let answer = TcpStream::connect(("127.0.0.1", *port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(b"GET /favicon.ico HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        });
        answer.is_ok_and(|answer| answer.contains("There is nothing here."))
    };
    let listening = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        let is_ours = address == "0100007F" && fields.get(3) == Some(&"0A") && fields.get(7) == Some(&uid.as_str());
        is_ours.then(|| u16::from_str_radix(port, 16).ok()).flatten()
    };
    let look = || fs::read_to_string("/proc/net/tcp").unwrap().lines().filter_map(listening).find(is_login);
    patiently(DEADLINE, look).expect("a login waits")
}
