//! Vectors that another language reproduces, and vectors that others published.
//!
//! The Python checks need the packages of tests/requirements.txt. `ELEVATE_TEST_PYTHON` names the interpreter that has
//! them; without it `python3` is asked, and if it lacks them the tests fail and say so.

use crate::harness::{Ask, CONFIG, Wire, policy, proof_key};
use elevate::authority::rules::DEFAULT_SCHEMA;
use elevate::clock::Clock;
use elevate::log::check::LogCheck;
use elevate::protocol::CLIENT_ID;
use elevate::protocol::assurance::Assurance;
use elevate::protocol::challenge::{Asked, Narrowing, Transaction};
use elevate::protocol::encoding::{base64url, canonical_json, from_base64url, sha256};
use elevate::protocol::messages::{AuthorizationDetail, Claimed, ElevateType, Operation, OperationName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signed_note::{Note, StandardVerifier, VerifierList};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

// --- the challenge -----------------------------------------------------------------------------------------------

/// One vector of `vectors/challenge.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vector {
    name: String,
    txn: Value,
    /// base64url, 32 bytes.
    nonce: String,
    /// RFC 8785 form of `txn`.
    jcs: String,
    /// Hex.
    txn_sha256: String,
    /// base64url: what a key signs.
    challenge: String,
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn vector(name: &str, transaction: &Transaction, nonce: [u8; 32]) -> Vector {
    Vector {
        name: name.into(),
        txn: serde_json::to_value(transaction).unwrap(),
        nonce: base64url(nonce),
        jcs: String::from_utf8(canonical_json(transaction).unwrap()).unwrap(),
        txn_sha256: hex(&transaction.hash().unwrap()),
        challenge: base64url(transaction.challenge(&nonce).unwrap()),
    }
}

/// What the committed vectors are made of.
fn vectors() -> Vec<Vector> {
    let asked = Asked {
        issuer: "https://localhost/0123456789abcdef".into(),
        subject: "uid:1000".into(),
        jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".into(),
        resource: "prod-db".parse().unwrap(),
        scope: "read write".parse().unwrap(),
        detail: AuthorizationDetail {
            r#type: ElevateType::Elevate,
            ttl: Some("15m".parse().unwrap()),
            reason: Some("the nightly job hangs".into()),
            operation: None,
            claimed: Claimed {
                host: "laptop".into(),
                os: "linux".into(),
                tty: true,
                ssh: false,
                command: Some("psql".into()),
            },
        },
    };
    let narrowing = Narrowing {
        assurance: Assurance::Touch,
        scope: "read".parse().unwrap(),
        ttl: 900,
        expires: "2026-01-01T12:02:00Z".parse().unwrap(),
        policy_id: "sensitive".into(),
    };
    let plain = Transaction::new(&asked, "auth-session-1", &narrowing);

    // Characters outside ASCII, of two and four bytes, and those that JSON escapes.
    let mut detail = asked.detail.clone();
    detail.reason = Some("Wartung für Zoë – 東京 🔑, \"quoted\" \\ and\ttabbed\u{1}\u{7f}\u{2028}".into());
    detail.claimed.host = "büro-1".into();
    let elsewhere = Asked { detail, ..asked.clone() };
    let no_ascii = Transaction::new(&elsewhere, "auth-session-2", &narrowing);

    // As little as there can be, and numbers at their ends.
    let bare = AuthorizationDetail {
        r#type: ElevateType::Elevate,
        ttl: None,
        reason: None,
        operation: None,
        claimed: Claimed::default(),
    };
    let least = Asked { resource: "a".parse().unwrap(), scope: "".parse().unwrap(), detail: bare, ..asked.clone() };
    let longest = Narrowing {
        assurance: Assurance::Verified,
        scope: "".parse().unwrap(),
        ttl: 2_592_000,
        expires: "9999-12-30T22:00:00Z".parse().unwrap(),
        policy_id: String::new(),
    };
    let empty = Transaction::new(&least, "", &longest);

    let mut detail = asked.detail.clone();
    detail.operation = Some(Operation {
        name: OperationName::SecretSet,
        target: Some("deploy-key".into()),
        body_sha256: base64url(sha256(&[b"body"])),
    });
    let administer = Asked { resource: "authority".parse().unwrap(), scope: "".parse().unwrap(), detail, ..asked };
    let two = Narrowing { scope: "".parse().unwrap(), ttl: 1, policy_id: "admin-change,own-keys".into(), ..narrowing };
    let operation = Transaction::new(&administer, "auth-session-4", &two);

    let counting: [u8; 32] = std::array::from_fn(|index| u8::try_from(index).unwrap());
    vec![
        vector("a touch for a database", &plain, counting),
        vector("text that is not ASCII", &no_ascii, [0xa5; 32]),
        vector("empty scope, no reason, numbers at their ends", &empty, [0; 32]),
        vector("an operation on the authority", &operation, [0xff; 32]),
    ]
}

#[test]
fn the_challenge_is_that_of_the_committed_vectors() {
    let file = here("vectors/challenge.json");
    let text = serde_json::to_string_pretty(&vectors()).unwrap() + "\n";
    if std::env::var_os("ELEVATE_REGENERATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    let parsed: Vec<Vector> = serde_json::from_str(&committed).unwrap();
    assert_eq!(parsed, vectors(), "keys that signed old challenges could not be verified any more");
    assert_eq!(committed, text, "ELEVATE_REGENERATE=1 writes it anew");
    // And read back: a transaction from the wire has the hash of the one it was made from.
    for vector in parsed {
        let transaction: Transaction = serde_json::from_value(vector.txn.clone()).unwrap();
        let nonce = from_base64url(&vector.nonce).unwrap().try_into().unwrap();
        assert_eq!(vector, self::vector(&vector.name, &transaction, nonce));
        assert_eq!(transaction.client_id, CLIENT_ID);
    }
}

#[test]
fn another_language_makes_the_same_challenge() {
    let checked = python(&["check_vectors.py"], "").unwrap();
    for vector in vectors() {
        assert!(checked.contains(&format!("{}: ok\n", vector.name)), "{checked}");
    }
}

/// Python notices what it is there to notice.
#[test]
fn another_language_refuses_a_wrong_vector() {
    for (field, value) in [("challenge", "AAAA"), ("txn_sha256", "00"), ("jcs", "{}"), ("nonce", "AAAA")] {
        let mut wrong = serde_json::to_value(vectors()).unwrap();
        wrong[1][field] = value.into();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), wrong.to_string()).unwrap();
        let refused = python(&["check_vectors.py", file.path().to_str().unwrap()], "").unwrap_err();
        assert!(refused.contains("text that is not ASCII"), "{refused}");
    }
}

/// Runs a script of tests/python; its output, or what it said when it failed.
fn python(arguments: &[&str], input: &str) -> Result<String, String> {
    let interpreter = std::env::var("ELEVATE_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let ready = Command::new(&interpreter).args(["-c", "import rfc8785, jwt, cryptography"]).output();
    assert!(
        ready.as_ref().is_ok_and(|output| output.status.success()),
        "{interpreter} lacks what tests/python needs: python3 -m venv V && V/bin/pip install -r tests/requirements.txt, \
         and set ELEVATE_TEST_PYTHON=V/bin/python"
    );
    let mut child = Command::new(&interpreter)
        .arg(here("python").join(arguments[0]))
        .args(&arguments[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that ends early does not read it all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

// --- a token in another language ---------------------------------------------------------------------------------

/// The real program, serving until this is dropped.
struct Serving {
    child: Child,
    home: tempfile::TempDir,
    discovery: u16,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (config, data, run) = (home.path().join("config"), home.path().join("data"), home.path().join("run"));
        for directory in [&config, &data, &run] {
            use std::os::unix::fs::DirBuilderExt as _;
            std::fs::DirBuilder::new().mode(0o700).create(directory).unwrap();
        }
        // A port that was free a moment ago.
        let discovery = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let quick = CONFIG.replace("[resource.wiki]\n", "[resource.wiki]\nmax_ttl = \"2s\"\n");
        let slow = "[resource.slow]\nkind = \"jwt\"\naudience = \"https://slow.example\"\nsensitivity = \"low\"\n";
        let text = format!("discovery_listen = \"127.0.0.1:{discovery}\"\n{quick}\n{slow}");
        std::fs::write(config.join("authority.toml"), text).unwrap();
        std::fs::write(config.join("policy.cedar"), policy()).unwrap();
        std::fs::write(config.join("schema.cedarschema"), DEFAULT_SCHEMA).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_elevate-authority"))
            .arg("serve")
            .args(["--config".as_ref(), config.as_os_str(), "--data".as_ref(), data.as_os_str()])
            .args(["--socket".as_ref(), run.join("socket").as_os_str()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let serving = Self { child, home, discovery };
        assert!(line.contains("ready"), "{line}");
        serving
    }
}

#[tokio::test]
async fn a_token_is_accepted_by_another_language_for_its_audience_and_its_time_only() {
    let serving = Serving::start();
    let wire = Wire::new(&serving.home.path().join("run/socket"), Clock::system()).await;
    let jwks = format!("http://127.0.0.1:{}{}", serving.discovery, wire.at("/jwks"));
    let verify = |token: &str, issuer: &str, audience: &str| {
        python(&["verify_token.py", &jwks, issuer, audience], token)
            .map(|text| serde_json::from_str::<Value>(&text).unwrap())
    };
    let (wiki, slow) = ("https://wiki.example", "https://slow.example");
    let token = wire.ask(&Ask::new("slow"), &proof_key()).await.grant().access_token;
    let accepted = verify(token.expose(), &wire.issuer, slow).unwrap();
    assert_eq!(accepted, serde_json::to_value(crate::harness::claims(&token)).unwrap());
    let refused = |token: &str, issuer: &str, audience: &str, reason: &str| {
        let said = verify(token, issuer, audience).unwrap_err();
        assert!(said.starts_with("refused: ") && said.to_lowercase().contains(reason), "{said}");
    };
    refused(token.expose(), &wire.issuer, wiki, "audience");
    refused(token.expose(), "https://localhost/other", slow, "issuer");
    let mut changed = token.expose().to_owned();
    let last = if changed.ends_with('A') { "BA" } else { "AA" };
    changed.replace_range(changed.len() - 12..changed.len() - 10, last);
    refused(&changed, &wire.issuer, slow, "signature");

    // After its time.
    let short = wire.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
    let deadline = Instant::now() + Duration::from_secs(20);
    let said = loop {
        match verify(short.expose(), &wire.issuer, wiki) {
            Err(said) => break said,
            Ok(_) => assert!(Instant::now() < deadline, "still accepted after twenty seconds"),
        }
    };
    assert!(said.contains("expired"), "{said}");
    assert!(!wire.is_active(&short).await);

    // After it was dropped: the signature still says yes, introspection says no.
    assert!(wire.is_active(&token).await);
    assert_eq!(wire.revoke(&token).await.status, 200);
    assert!(!wire.is_active(&token).await);

    // What services are offered is keys and metadata, and nothing that grants.
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let base = jwks.strip_suffix("/jwks").unwrap();
    for path in ["/token", "/revoke", "/introspect", "/resources", "/keys", "/log/entries"] {
        assert_eq!(http.post(format!("{base}{path}")).body("").send().await.unwrap().status().as_u16(), 404, "{path}");
        assert_eq!(http.get(format!("{base}{path}")).send().await.unwrap().status().as_u16(), 404, "{path}");
    }
}

// --- what others published ---------------------------------------------------------------------------------------

/// RFC 8785 section 3.2.2 and 3.2.3: the sample, and the order of keys by UTF-16.
#[test]
fn canonical_json_is_that_of_rfc_8785() {
    let sample: Value = serde_json::from_str(
        r#"{
          "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
          "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
          "literals": [null, true, false]
        }"#,
    )
    .unwrap();
    let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                    \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
    assert_eq!(String::from_utf8(canonical_json(&sample).unwrap()).unwrap(), expected);

    let keys = json!({
        "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh", "1": "One",
        "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
    });
    let text = String::from_utf8(canonical_json(&keys).unwrap()).unwrap();
    let order = ["Carriage Return", "One", "Control", "Latin Small", "Euro Sign", "Emoji", "Hebrew"];
    let places: Vec<usize> = order.iter().map(|name| text.find(name).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
}

/// RFC 6962 section 2.1, by the inputs and roots of Certificate Transparency's own tests.
#[test]
fn the_tree_is_that_of_rfc_6962() {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    // The root of no entries is SHA-256 of nothing.
    assert_eq!(hex(&tlog_tiles::EMPTY_HASH.0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let mut check = LogCheck::default();
    for (leaf, root) in leaves.iter().zip(roots) {
        check.push(Some(leaf), Some(tlog_tiles::record_hash(leaf)), None);
        assert_eq!(hex(&check.head().root.0), root);
    }
}

/// The note and the key of the documentation of Go's `golang.org/x/mod/sumdb/note`, which C2SP signed-note describes.
#[test]
fn a_signed_note_is_that_of_c2sp() {
    let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let text = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\
                \n\
                — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let verifier = || VerifierList::new(vec![Box::new(StandardVerifier::new(key).unwrap())]);
    Note::from_bytes(text.as_bytes()).unwrap().verify(&verifier()).unwrap();
    let changed = text.replace("answer", "problem");
    assert!(Note::from_bytes(changed.as_bytes()).unwrap().verify(&verifier()).is_err());
}
