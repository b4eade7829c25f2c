//! Secrets sealed under security keys, held against the standard `age` program and against fixed vectors, whose sealed
//! texts that program made. Needs Debian's package `age`.

use crate::cli::harness::spawn;
use elevate::client::sealing::{Identity, KeyOutput, Recipient, seal, unseal};
use elevate::protocol::encoding::from_base64url;
use elevate::protocol::secret::Secret;
use serde::Deserialize;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use zeroize::Zeroizing;

/// One vector of `vectors/seal.json`.
#[derive(Deserialize)]
struct Vector {
    name: String,
    rp_id: String,
    /// base64url.
    credential_id: String,
    /// Hex: what the key computes.
    output: String,
    /// `AGE-SECRET-KEY-1...`.
    identity: String,
    recipient: String,
    secret: String,
    /// By `age --armor --recipient`.
    sealed: String,
}

impl Vector {
    fn all() -> Vec<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/seal.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn identity(&self) -> Identity {
        let mut output = Zeroizing::new([0; 32]);
        assert_eq!(self.output.len(), 64, "{}", self.name);
        for (at, byte) in output.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&self.output[2 * at..2 * at + 2], 16).unwrap();
        }
        let credential_id = from_base64url(&self.credential_id).unwrap();
        Identity::derive(&KeyOutput::new(output), &self.rp_id, &credential_id).unwrap()
    }
}

/// Runs a program of the package `age`.
fn age(program: &str, words: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let found = Command::new(program).arg("--version").output();
    assert!(found.is_ok(), "there is no `{program}`, and this test is about it: apt-get install age");
    let mut child = spawn(&mut command);
    let mut to = child.stdin.take().unwrap();
    let stdin = stdin.to_owned();
    let writing = std::thread::spawn(move || to.write_all(stdin.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writing.join();
    output
}

/// What it wrote to stdout.
#[track_caller]
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn vectors_hold() {
    let vectors = Vector::all();
    assert!(!vectors.is_empty());
    for vector in vectors {
        let identity = vector.identity();
        assert_eq!(identity.recipient().to_string(), vector.recipient, "{}", vector.name);
        assert_eq!(unseal(&vector.sealed, &identity).unwrap().expose(), vector.secret, "{}", vector.name);
    }
}

#[test]
fn a_backup_opens_with_the_age_program_and_nothing_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("backup.txt").display().to_string();
    text(&age("age-keygen", &["-o", &file], ""));
    let backup: Recipient = text(&age("age-keygen", &["-y", &file], "")).parse().unwrap();

    let secret = "correct horse\nbattery staple – 東京\n";
    let key = Vector::all()[0].identity();
    let armored = seal(&Secret::new(secret.into()), &[key.recipient(), backup]).unwrap();
    assert_eq!(text(&age("age", &["--decrypt", "-i", &file], &armored)), secret);
    assert_eq!(unseal(&armored, &key).unwrap().expose(), secret, "the key opens it as before");

    let without = seal(&Secret::new(secret.into()), &[key.recipient()]).unwrap();
    let refused = age("age", &["--decrypt", "-i", &file], &without);
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
}

#[test]
fn the_identity_of_a_key_is_one_for_the_age_program() {
    for vector in Vector::all() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("identity.txt");
        std::fs::write(&file, &vector.identity).unwrap();
        let file = file.display().to_string();
        assert_eq!(text(&age("age-keygen", &["-y", &file], "")).trim(), vector.recipient, "{}", vector.name);
        let ours = seal(&Secret::new(vector.secret.clone()), &[vector.identity().recipient()]).unwrap();
        assert_eq!(text(&age("age", &["--decrypt", "-i", &file], &ours)), vector.secret, "{}", vector.name);
    }
}

#[test]
fn what_age_sealed_opens_under_the_key_also_when_it_is_long() {
    let key = Vector::all()[0].identity();
    // More than one chunk of 64 KiB.
    let secret = "0123456789abcdef".repeat(10_000);
    let armored = text(&age("age", &["--armor", "--recipient", &key.recipient().to_string()], &secret));
    assert_eq!(unseal(&armored, &key).unwrap().expose(), secret);
}
