//! What none of it can go below on one processor, each measured alone.

use super::authority::{assertion, credential};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use elevate::authority::caller::Subject;
use elevate::authority::config::Resource;
use elevate::authority::context::{Context, Observed};
use elevate::authority::elevation::ElevationId;
use elevate::authority::policy::{Action, Question};
use elevate::authority::relying_party::RelyingParty;
use elevate::authority::rules::{DEFAULT_POLICY, DEFAULT_SCHEMA, Rules};
use elevate::clock::Clock;
use elevate::log::checkpoint::{LogSigner, TreeHead};
use elevate::protocol::dpop::{self, Expected, ProofKey};
use elevate::protocol::encoding::{base64url, random};
use elevate::protocol::messages::Claimed;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use webauthn_rs_proto::UserVerificationPolicy;

const RULES: &str = "[resource.low]\nkind = \"jwt\"\naudience = \"https://low.invalid\"\nsensitivity = \"low\"\n";

pub fn print(home: &Path) {
    let (decide, decide_touch) = policy(&home.join("floor"));
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

fn policy(directory: &Path) -> (Duration, Duration) {
    std::fs::create_dir(directory).unwrap();
    for (file, text) in
        [("authority.toml", RULES), ("policy.cedar", DEFAULT_POLICY), ("schema.cedarschema", DEFAULT_SCHEMA)]
    {
        std::fs::write(directory.join(file), text).unwrap();
    }
    let rules = Rules::load(directory).unwrap();
    let (name, low) = rules.config.resources.first_key_value().unwrap();
    let sensitive = Resource { sensitivity: elevate::authority::config::Sensitivity::Sensitive, ..low.clone() };
    let subject = Subject::account(1000);
    let observed = Observed { uid: subject.uid(), can_verify: false, ..Observed::plain() };
    let context = Context { observed, claimed: Claimed::default(), has_reason: true, operation: None };
    let scope = low.scope();
    let decide = |resource: &Resource| {
        let question = Question {
            action: Action::Elevate,
            subject: &subject,
            admin: false,
            roles: Vec::new(),
            name,
            resource,
            context: &context,
            ttl: None,
            default_ttl: rules.config.default_ttl,
            scope: &scope,
        };
        let elevation = ElevationId::fresh();
        each(|| drop(black_box(rules.policy.decide(&elevation, &question).unwrap())))
    };
    (decide(low), decide(&sensitive))
}

fn disk(file: &Path) -> Duration {
    let mut file = std::fs::File::create(file).unwrap();
    each(|| {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    })
}
