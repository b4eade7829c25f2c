//! What none of it can go below on one processor, each measured alone.

use super::authority::{assertion, credential};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use elevate::authority::cases::Asked;
use elevate::authority::config::{Config, Sensitivity};
use elevate::authority::elevation::ElevationId;
use elevate::authority::policy::Policy;
use elevate::authority::relying_party::RelyingParty;
use elevate::authority::rules::{DEFAULT_POLICY, DEFAULT_SCHEMA};
use elevate::clock::Clock;
use elevate::log::checkpoint::{LogSigner, TreeHead};
use elevate::protocol::dpop::{self, Expected, ProofKey};
use elevate::protocol::encoding::{base64url, random};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use webauthn_rs_proto::UserVerificationPolicy;

pub fn print(home: &Path) {
    let (decide, decide_touch) = policy();
    let (assert, prove, sign) = signatures();
    let disk = disk(&home.join("floor.bytes"));
    println!("\n| floor, one processor | each |\n| --- | ---: |");
    for (what, took) in [
        ("signing an access token (ES256)", sign),
        ("signing a checkpoint (Ed25519), shared by a batch", checkpoint()),
        ("one policy evaluation, permitted at once", decide),
        ("the same, permitted with a touch", decide_touch),
        ("checking a DPoP proof (RFC 9449)", prove),
        ("checking an assertion (WebAuthn)", assert),
        ("4 KiB on disk, shared by a batch", disk),
    ] {
        println!("| {what} | {:.0} µs |", took.as_secs_f64() * 1e6);
    }
}

/// The mean of a tenth of a second.
fn each(mut work: impl FnMut()) -> Duration {
    let (began, mut times) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(100) {
        work();
        times += 1;
    }
    began.elapsed() / times
}

fn signatures() -> (Duration, Duration, Duration) {
    let pkcs8 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap().to_pkcs8v1().unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
    let (id, challenge) = (random::<16>(), random::<32>());
    let enrolled = serde_json::from_value(credential(&id, &pair)).unwrap();
    let answer = assertion(&pair, &base64url(id), &base64url(challenge));
    let relying_party = RelyingParty::new("bench.example").unwrap();
    let assertion = each(|| {
        let answer = serde_json::from_str(&answer).unwrap();
        let policy = UserVerificationPolicy::Discouraged_DO_NOT_USE;
        black_box(relying_party.verify_assertion(&answer, &challenge, &enrolled, policy).unwrap());
    });
    let key = ProofKey::generate().unwrap();
    let now = Clock::system().now();
    let expected = Expected { method: "POST", url: "https://bench.example/token", access_token: None, now };
    let proof = key.prove(&expected, Some("nonce")).unwrap();
    let proof = each(|| drop(black_box(dpop::verify(&proof, &expected, |_| true).unwrap())));
    let token = [7; 400];
    (assertion, proof, each(|| _ = black_box(pair.sign(&SystemRandom::new(), &token).unwrap())))
}

fn checkpoint() -> Duration {
    let signer = LogSigner::new("https://bench.example", &random::<32>()).unwrap();
    let head = TreeHead { size: 1000, root: tlog_tiles::Hash(random()) };
    each(|| drop(black_box(signer.sign(head).unwrap())))
}

fn policy() -> (Duration, Duration) {
    let (policy, schema) = (Path::new("policy.cedar"), Path::new("schema.cedarschema"));
    let policy = Policy::parse(policy, DEFAULT_POLICY, schema, DEFAULT_SCHEMA).unwrap();
    let config = Config::parse(Path::new("authority.toml"), "").unwrap();
    let decide = |sensitivity| {
        let question = Asked { sensitivity, ..Asked::plain("bench".parse().unwrap()) }.question(&config);
        let elevation = ElevationId::fresh();
        each(|| drop(black_box(policy.decide(&elevation, &question).unwrap())))
    };
    (decide(Sensitivity::Low), decide(Sensitivity::Sensitive))
}

fn disk(file: &Path) -> Duration {
    let mut file = std::fs::File::create(file).unwrap();
    each(|| {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    })
}
