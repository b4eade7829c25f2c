//! Every row of the threat table (docs/threat-model.md) that is built, as an attack. Read a test as: somebody who has
//! this, tries that, and gets nothing; or gets what the comment says, no more.
//!
//! Rows that are the command line's (a planted socket or lock, a poisoned environment, secrets in argv and core dumps)
//! are in tests/cli; login interception (state, PKCE, `iss`, the loopback port) in `sign_in`; edits of the log in
//! `audit_faults`; broken policies in `policy`.

use crate::harness::{
    Answer, Ask, BE, BS, No, Reply, Says, TestAuthority, TestKey, claims, me, noon, operation_body, proof_key,
};
use crate::sign_in::network::{Device, Login, Network};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use elevate::authority::caller::{Caller, Served};
use elevate::authority::elevation::{Answer as Direct, ElevationId, elevate as elevate_directly};
use elevate::authority::error::Refusal;
use elevate::clock::Clock;
use elevate::protocol::SOFTWARE_AAGUID;
use elevate::protocol::access_token;
use elevate::protocol::assurance::Assurance;
use elevate::protocol::authenticator_data::{UP, UV};
use elevate::protocol::challenge::{NotWhatWasAsked, Transaction, rebuild};
use elevate::protocol::display::escaped;
use elevate::protocol::dpop::ProofKey;
use elevate::protocol::encoding::{base64url, from_base64url, random, sha256};
use elevate::protocol::messages::{
    ErrorCode, ErrorResponse, OperationName, OperationRequest, StepUpResponse, TokenParameter, TokenRequest,
};
use elevate::protocol::secret::Secret;
use jsonwebtoken::jwk::JwkSet;
use proptest::prelude::*;
use serde_json::{Value, json};

mod attestation;
mod identity_tokens;
mod sealed;

/// An authority whose user has a key that is touched and one with a PIN.
struct Target {
    authority: TestAuthority,
    touch: TestKey,
    pin: TestKey,
}

impl std::ops::Deref for Target {
    type Target = TestAuthority;

    fn deref(&self) -> &TestAuthority {
        &self.authority
    }
}

impl Target {
    async fn new() -> Self {
        let authority = TestAuthority::start().await;
        let (touch, pin) = (TestKey::touch_only(), TestKey::with_pin());
        authority.enrol("touch", &touch, None).await.unwrap();
        authority.enrol("pin", &pin, Some(&touch)).await.unwrap();
        Self { authority, touch, pin }
    }

    /// A step-up for `ask`, waiting for its answer.
    async fn begin(&self, ask: &Ask) -> (ProofKey, StepUpResponse) {
        let proof = proof_key();
        let step_up = self.ask(ask, &proof).await.step_up();
        (proof, step_up)
    }

    /// Answers a fresh step-up for `resource` with what `key` signs when it says what `lie` makes of the truth.
    async fn answer_saying(&self, resource: &str, key: &TestKey, lie: impl FnOnce(&mut Says)) -> Answer {
        let ask = Ask::new(resource);
        let (proof, step_up) = self.begin(&ask).await;
        let assertion = key.sign_saying(&step_up.authn_params_public_key, lie);
        self.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await
    }

    /// How many grants there are for `resource`: what counts in the end.
    async fn grants(&self, resource: &str) -> i64 {
        self.count(&format!("SELECT count(*) FROM elevation_grant WHERE resource = '{resource}'")).await
    }
}

/// Refused for this reason, and in the log for it.
#[track_caller]
fn failed_because(answer: Answer, cause: &str) {
    let no = answer.no();
    assert_eq!((no.code(), no.says()), ((400, "invalid_grant"), format!("the step-up failed: {cause}").as_str()));
    assert!(no.body.elevation.is_some(), "it is not said where in the log it stands");
}

// --- replayed assertion ------------------------------------------------------------------------------------------

#[tokio::test]
async fn replayed_assertion() {
    let target = Target::new().await;
    let ask = Ask::new("prod-db");
    let (proof, step_up) = target.begin(&ask).await;
    let assertion = target.touch.sign(&step_up.authn_params_public_key);
    let request = ask.answer(&step_up.auth_session, &assertion);
    target.token(&request, &proof).await.grant();

    // The very same request again.
    assert_eq!(target.token(&request, &proof).await.no().code(), (400, "invalid_grant"));
    // The same assertion for another challenge of the same request.
    let (proof, next) = target.begin(&ask).await;
    let answer = target.token(&ask.answer(&next.auth_session, &assertion), &proof).await;
    failed_because(answer, "the key signed another challenge");
    assert_eq!(target.grants("prod-db").await, 1);
}

// --- assertion moved ---------------------------------------------------------------------------------------------

/// The touch was for one request; whoever holds the answer tries it for another one.
#[tokio::test]
async fn assertion_moved_to_another_request() {
    let target = Target::new().await;
    let ask = Ask::new("prod-db").scope("read").ttl("1m").reason("look");
    let others: [(&str, Ask); 7] = [
        ("resource", Ask { resource: "payroll".into(), scope: String::new(), ..ask.clone() }),
        ("scope", ask.clone().scope("read write")),
        ("scope", ask.clone().scope("write")),
        ("scope, all there is", ask.clone().scope("")),
        ("time", ask.clone().ttl("15m")),
        ("reason", ask.clone().reason("look closely")),
        ("command", {
            let mut other = ask.clone();
            other.detail.claimed.command = Some("rm".into());
            other
        }),
    ];
    for (what, other) in others {
        let (proof, step_up) = target.begin(&ask).await;
        let assertion = target.touch.sign(&step_up.authn_params_public_key);
        let no = target.token(&other.answer(&step_up.auth_session, &assertion), &proof).await.no();
        assert_eq!(no.code(), (400, "invalid_request"), "another {what}");
        assert!(no.says().contains("the step-up was begun for another request"), "another {what}: {}", no.says());
    }
    assert_eq!((target.grants("prod-db").await, target.grants("payroll").await), (0, 0));
    // Less than what was approved is another request as well.
    let (proof, step_up) = target.begin(&Ask::new("prod-db").scope("read write")).await;
    let assertion = target.touch.sign(&step_up.authn_params_public_key);
    let less = Ask::new("prod-db").scope("read").answer(&step_up.auth_session, &assertion);
    assert_eq!(target.token(&less, &proof).await.no().code(), (400, "invalid_request"));
}

#[tokio::test]
async fn assertion_moved_to_another_session() {
    let target = Target::new().await;
    let ask = Ask::new("prod-db");
    let proof = proof_key();
    let one = target.ask(&ask, &proof).await.step_up();
    let two = target.ask(&ask, &proof).await.step_up();
    let assertion = target.touch.sign(&one.authn_params_public_key);
    let answer = target.token(&ask.answer(&two.auth_session, &assertion), &proof).await;
    failed_because(answer, "the key signed another challenge");
}

/// A thief of the session handle and the assertion has another proof key: the token would be bound to it.
#[tokio::test]
async fn assertion_moved_to_another_proof_key() {
    let target = Target::new().await;
    let ask = Ask::new("prod-db");
    let (_, step_up) = target.begin(&ask).await;
    let assertion = target.touch.sign(&step_up.authn_params_public_key);
    let no = target.token(&ask.answer(&step_up.auth_session, &assertion), &proof_key()).await.no();
    assert_eq!(
        no.says(),
        "the step-up was begun for another request: the authority's challenge differs from what was asked in 'jkt'"
    );
}

#[tokio::test]
async fn assertion_of_a_key_that_is_not_this_users() {
    let target = Target::new().await;
    let stranger = TestKey::with_pin();
    failed_because(target.answer_saying("prod-db", &stranger, |_| {}).await, "the key is not enrolled");
    // Under the id of an enrolled one.
    let id = target.touch.id.clone();
    let answer = target.answer_saying("prod-db", &stranger, |says| says.credential_id = id).await;
    failed_because(answer, "the key's signature or data are wrong");
    // One that somebody else enrolled.
    target.tamper("INSERT INTO user (sub, created_at) VALUES ('uid:4242', 1)").await;
    target.tamper("UPDATE security_key SET sub = 'uid:4242' WHERE name = 'pin'").await;
    failed_because(target.answer_saying("prod-db", &target.pin, |_| {}).await, "the key is not enrolled");
    assert_eq!(target.grants("prod-db").await, 0);
}

#[tokio::test]
async fn assertion_of_a_key_that_was_removed_meanwhile() {
    let target = Target::new().await;
    let ask = Ask::new("prod-db");
    let (proof, step_up) = target.begin(&ask).await;
    let assertion = target.touch.sign(&step_up.authn_params_public_key);
    target.operate(OperationName::KeyRemove, Some("touch"), None, &target.pin).await.unwrap();
    let answer = target.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await;
    failed_because(answer, "the key is not enrolled");
}

/// Policy got stricter between question and answer: what was signed for the old rung is not enough.
#[tokio::test]
async fn assertion_for_a_rung_that_policy_raised_meanwhile() {
    let target = Target::new().await;
    let ask = Ask::new("prod-db");
    let (proof, step_up) = target.begin(&ask).await;
    let assertion = target.touch.sign(&step_up.authn_params_public_key);
    let stricter = crate::harness::policy().replace(
        "when { resource.sensitivity == \"sensitive\" && context.assurance.touch }",
        "when { resource.sensitivity == \"sensitive\" && context.assurance.verified }",
    );
    assert_ne!(stricter, crate::harness::policy());
    target.write_policy(&stricter);
    let answer = target.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await;
    failed_because(answer, "policy asks for more than when the step-up was begun");
}

// --- challenge not what was shown --------------------------------------------------------------------------------

/// A lying authority: it shows the client one transaction and has the key sign another. The client rebuilds the
/// challenge from what *it* asked; every field of the transaction is altered here in turn.
#[tokio::test]
async fn challenge_not_what_was_shown() {
    let target = Target::new().await;
    let proof = proof_key();
    let ask = Ask::new("prod-db").scope("read").ttl("10m").reason("Wartung für Zoë – 東京");
    let asked = ask.asked(&target.issuer, &proof);
    let step_up = target.ask(&ask, &proof).await.step_up();
    let StepUpResponse { auth_session: session, elevate_txn: honest, elevate_nonce: nonce, .. } = &step_up;
    let challenge = &step_up.authn_params_public_key.challenge;
    rebuild(&asked, session, honest, nonce, challenge).unwrap();

    let whole = serde_json::to_value(honest).unwrap();
    let lies = [
        ("v", json!(2)),
        ("iss", json!("https://localhost/other")),
        ("client_id", json!("other")),
        ("sub", json!("uid:4242")),
        ("jkt", json!("other")),
        ("auth_session_hash", json!("other")),
        ("resource", json!("urn:elevate:resource:payroll")),
        ("scope", json!("read write")),
        ("scope", json!("admin")),
        ("authorization_details", json!([])),
        ("authorization_details", json!([whole["authorization_details"][0], whole["authorization_details"][0]])),
        ("acr_values", json!("nothing at all")),
        ("max_age", json!(3600)),
        ("ttl", json!(601)),
        ("ttl", json!(0)),
        ("ttl", json!(u64::MAX)),
        ("exp", json!(i64::MAX)),
    ];
    let altered = lies.iter().map(|(field, lie)| {
        let mut txn = whole.clone();
        txn[*field] = lie.clone();
        (*field, txn)
    });
    let detail_lies =
        [("ttl", json!(60)), ("reason", json!("other")), ("type", json!("other")), ("claimed", json!({}))];
    let altered_details = detail_lies.iter().map(|(field, lie)| {
        let mut txn = whole.clone();
        txn["authorization_details"][0][*field] = lie.clone();
        ("authorization_details", txn)
    });
    for (field, txn) in altered.chain(altered_details) {
        let Ok(lie) = serde_json::from_value::<Transaction>(txn.clone()) else { continue };
        // The authority signs its lie consistently: the challenge is the hash of the altered transaction.
        let bytes = from_base64url(nonce).unwrap().try_into().unwrap();
        let challenge = lie.challenge(&bytes).unwrap();
        match rebuild(&asked, session, &lie, nonce, &challenge).unwrap_err() {
            NotWhatWasAsked::Differs(named) | NotWhatWasAsked::Widened(named) | NotWhatWasAsked::Malformed(named) => {
                assert_eq!(named, field, "{txn}");
            }
            NotWhatWasAsked::Challenge => panic!("only the hash gave {field} away: {txn}"),
        }
    }
    // What the authority may do is take away; then the key signs the smaller thing, and it is shown.
    let mut less = honest.clone();
    (less.ttl, less.scope, less.acr_values) = (30, "".parse().unwrap(), "phr".into());
    let smaller = less.challenge(&from_base64url(nonce).unwrap().try_into().unwrap()).unwrap();
    let narrowing = rebuild(&asked, session, &less, nonce, &smaller).unwrap();
    assert_eq!((narrowing.ttl, narrowing.assurance), (30, Assurance::Verified));
    // One thing shown, another one to be signed.
    let not_this = NotWhatWasAsked::Challenge;
    assert_eq!(rebuild(&asked, session, honest, nonce, &smaller), Err(not_this.clone()));
    assert_eq!(rebuild(&asked, session, &less, nonce, challenge), Err(not_this.clone()));
    assert_eq!(rebuild(&asked, session, honest, nonce, &challenge[..31]), Err(not_this.clone()));
    assert_eq!(rebuild(&asked, session, honest, nonce, &[]), Err(not_this.clone()));
    assert_eq!(rebuild(&asked, session, honest, &base64url([0; 32]), challenge), Err(not_this));
    assert_eq!(
        rebuild(&asked, session, honest, &base64url([0; 31]), challenge),
        Err(NotWhatWasAsked::Malformed("nonce"))
    );
    let no = rebuild(&asked, "another session", honest, nonce, challenge);
    assert_eq!(no, Err(NotWhatWasAsked::Differs("auth_session_hash")));
}

proptest! {
    /// Whatever is in a request, changing any text of the transaction is noticed.
    #[test]
    fn challenge_not_what_was_shown_whatever_was_asked(
        reason in proptest::option::of(".{0,40}"),
        host in ".{0,12}",
        other in ".{1,12}",
        ttl in proptest::option::of(1_u64..86_400),
        granted in 1_u64..86_400,
        field in 0..7_usize,
    ) {
        let proof = proof_key();
        let mut ask = Ask::new("prod-db");
        ask.detail.reason = reason;
        ask.detail.claimed.host = host;
        ask.detail.ttl = ttl.map(|ttl| ttl.try_into().unwrap());
        let asked = ask.asked("https://localhost/1", &proof);
        let narrowing = elevate::protocol::challenge::Narrowing {
            assurance: Assurance::Touch,
            scope: "read".parse().unwrap(),
            ttl: ttl.map_or(granted, |ttl| ttl.min(granted)),
            expires: noon(),
            policy_id: "p".into(),
        };
        let honest = Transaction::new(&asked, "session", &narrowing);
        let nonce = random::<32>();
        let challenge = honest.challenge(&nonce).unwrap();
        let nonce_text = base64url(nonce);
        prop_assert_eq!(&rebuild(&asked, "session", &honest, &nonce_text, &challenge), &Ok(narrowing));

        let mut lie = honest.clone();
        match field {
            0 => lie.iss.push_str(&other),
            1 => lie.sub.push_str(&other),
            2 => lie.jkt.push_str(&other),
            3 => lie.resource.push_str(&other),
            4 => lie.authorization_details[0].claimed.host.push_str(&other),
            5 => lie.authorization_details[0].reason = Some(format!("{}{other}", lie.authorization_details[0].reason.clone().unwrap_or_default())),
            _ => lie.ttl = ttl.map_or(u64::MAX, |ttl| ttl + 1),
        }
        let lied = lie.challenge(&nonce).unwrap();
        prop_assert!(rebuild(&asked, "session", &lie, &nonce_text, &lied).is_err());
        // Two transactions that differ never have one challenge.
        prop_assert_ne!(lied, challenge);
    }
}

// --- look-alike authority or rpId --------------------------------------------------------------------------------

#[tokio::test]
async fn look_alike_origin() {
    let target = Target::new().await;
    for origin in [
        "https://localhost/",
        "https://LOCALHOST",
        "http://localhost",
        "https://localhost:443",
        "https://localhost.",
        "https://localhost.example",
        "https://evil.localhost",
        "https://localhost@evil.example",
        "https://loca\u{200b}lhost",
        " https://localhost",
        "localhost",
        "null",
        "",
    ] {
        let answer = target.answer_saying("prod-db", &target.touch, |says| says.origin = origin.into()).await;
        failed_because(answer, "the assertion was made for another origin");
    }
    let answer = target.answer_saying("prod-db", &target.touch, |says| says.cross_origin = true).await;
    failed_because(answer, "the assertion was made across origins");
}

#[tokio::test]
async fn look_alike_rp_id() {
    let target = Target::new().await;
    for rp_id in ["LOCALHOST", "localhost.", "evil.example", "https://localhost", ""] {
        let answer = target.answer_saying("prod-db", &target.touch, |says| says.rp_id = rp_id.into()).await;
        failed_because(answer, "the key signed for another relying party");
    }
}

#[tokio::test]
async fn look_alike_ceremony_and_bytes() {
    let target = Target::new().await;
    for ceremony in ["webauthn.create", "payment.get", ""] {
        let answer = target.answer_saying("prod-db", &target.touch, |says| says.ceremony = ceremony.into()).await;
        assert_eq!(answer.no().code(), (400, "invalid_grant"), "{ceremony}");
    }
    // Every byte of what was signed, and of the signature, counts.
    let ask = Ask::new("prod-db");
    for part in 0..3 {
        let (proof, step_up) = target.begin(&ask).await;
        let mut assertion = target.touch.sign(&step_up.authn_params_public_key);
        let bytes = match part {
            0 => &mut assertion.response.authenticator_data,
            1 => &mut assertion.response.client_data_json,
            _ => &mut assertion.response.signature,
        };
        *bytes.last_mut().unwrap() ^= 1;
        let answer = target.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await;
        assert_eq!(answer.no().code(), (400, "invalid_grant"), "part {part}");
    }
    // Two names for one key: the one that is looked up and the one that is checked.
    let (proof, step_up) = target.begin(&ask).await;
    let mut assertion = target.touch.sign(&step_up.authn_params_public_key);
    assertion.id = base64url(&target.pin.id);
    let answer = target.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await;
    failed_because(answer, "the assertion names its key in two ways that differ");
    // No assertion at all.
    for text in ["", "{}", "null", "\u{0}"] {
        let (proof, step_up) = target.begin(&ask).await;
        let request = TokenRequest {
            auth_session: Some(step_up.auth_session),
            authn_response: Some(text.into()),
            ..ask.request()
        };
        failed_because(target.token(&request, &proof).await, "there is no readable assertion in the answer");
    }
    assert_eq!(target.grants("prod-db").await, 0);
}

/// A new key made for somebody else's page, or in answer to another question, is not enrolled.
#[tokio::test]
async fn look_alike_enrolment() {
    let authority = TestAuthority::start().await;
    let lies: [fn(&mut Says); 7] = [
        |says| says.origin = "https://localhost/".into(),
        |says| says.origin = "http://localhost".into(),
        |says| says.rp_id = "evil.example".into(),
        |says| says.challenge = vec![0; 32],
        |says| says.ceremony = "webauthn.get".into(),
        |says| says.flags &= !UP,
        |says| says.cross_origin = true,
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let (key, proof) = (TestKey::with_pin(), proof_key());
        let challenge = authority.begin_enrolment("new", &proof, None).await.unwrap();
        let made = key.make_saying(&challenge.public_key, lie);
        let no = authority.finish_enrolment(&challenge, made, &proof).await.unwrap_err();
        assert_eq!(no.code(), (400, "invalid_grant"), "lie {index}: {}", no.says());
    }
    assert_eq!(authority.count("SELECT count(*) FROM security_key").await, 0);
}

// --- counter going back ------------------------------------------------------------------------------------------

#[tokio::test]
async fn counter_going_back() {
    let target = Target::new().await;
    target.answer_saying("prod-db", &target.touch, |says| says.counter = 100).await.grant();
    for counter in [100, 99, 1, 0] {
        let answer = target.answer_saying("prod-db", &target.touch, |says| says.counter = counter).await;
        let no = answer.no();
        assert_eq!(no.code(), (400, "invalid_grant"), "{counter} after 100");
        assert!(no.says().contains("the key may have been copied"), "{}", no.says());
    }
    // Nothing was granted by it, the log names it, and it counts as what it is.
    assert_eq!(target.grants("prod-db").await, 1);
    let entry = target.last_entry().await;
    let cause = "the key's counter went back: the key may have been copied; remove it and enrol another";
    assert_eq!((entry["event"].as_str(), entry["cause"].as_str()), (Some("step_up.failed"), Some(cause)));
    let explained = target.get(&target.at("/explain?resource=wiki")).await.json.unwrap();
    assert!(explained["signals"].to_string().contains("recent_failures"), "{explained}");
    target.answer_saying("prod-db", &target.touch, |says| says.counter = 101).await.grant();
    // It is kept: a restart does not forget it.
    let mut target = target;
    target.authority.restart().await;
    let answer = target.answer_saying("prod-db", &target.touch, |says| says.counter = 101).await;
    assert_eq!(answer.no().code(), (400, "invalid_grant"));
}

// --- UP passed off as UV, software as hardware, synced passkey as bound --------------------------------------------

#[tokio::test]
async fn up_passed_off_as_uv() {
    let target = Target::new().await;
    // The flag is missing where it is asked for.
    let answer = target.answer_saying("payroll", &target.pin, |says| says.flags = UP).await;
    failed_because(answer, "the key did not verify its user (PIN or biometric)");
    // The flag is set after signing.
    let ask = Ask::new("payroll");
    let (proof, step_up) = target.begin(&ask).await;
    let mut assertion = target.pin.sign_saying(&step_up.authn_params_public_key, |says| says.flags = UP);
    assertion.response.authenticator_data[32] |= UV;
    let answer = target.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await;
    failed_because(answer, "the key's signature or data are wrong");
    // Neither touched nor verified.
    for resource in ["prod-db", "payroll"] {
        let answer = target.answer_saying(resource, &target.pin, |says| says.flags = 0).await;
        failed_because(answer, "the key was not touched");
    }
    assert_eq!((target.grants("prod-db").await, target.grants("payroll").await), (0, 0));
    // A touch is a touch, whatever the key could have done.
    let grant = target.answer_saying("prod-db", &target.pin, |says| says.flags = UP).await.grant();
    assert_eq!(grant.acr, "urn:elevate:acr:touch");
    assert!(!grant.amr.contains(&"mfa".to_owned()));
}

/// A key is only asked for a PIN if it showed one when it was enrolled; the other one is not even offered.
#[tokio::test]
async fn a_touch_key_is_not_offered_where_a_pin_is_asked() {
    let target = Target::new().await;
    let (_, step_up) = target.begin(&Ask::new("payroll")).await;
    let allowed = &step_up.authn_params_public_key.allow_credentials;
    assert_eq!(allowed.iter().map(|key| &key.id).collect::<Vec<_>>(), [&target.pin.id]);
    assert_eq!(step_up.authn_params_public_key.user_verification, webauthn_rs_proto::UserVerificationPolicy::Required);
}

#[tokio::test]
async fn software_passed_off_as_hardware() {
    let policy =
        crate::harness::policy().replace("context.assurance.verified }", "context.assurance.verified_hardware }");
    let authority = TestAuthority::with(crate::harness::CONFIG, &policy).await;
    // It says what it is, and says that it checked a PIN.
    let mut software = TestKey::software();
    software.flags = UP | UV;
    let enrolled = authority.enrol("file", &software, None).await.unwrap();
    assert!(enrolled.software);
    let grant = authority.elevate(&Ask::new("prod-db"), &proof_key(), &software).await.grant();
    assert_eq!(grant.amr[0], "swk", "a token says that it was software");
    assert_ne!(grant.acr, "phrh");
    // It says that it is a device. Nothing attests it, so it gets no further.
    let mut liar = TestKey::software();
    (liar.flags, liar.aaguid) = (UP | UV, [0x77; 16]);
    authority.enrol("liar", &liar, Some(&software)).await.unwrap();
    for key in [&software, &liar] {
        let no = authority.elevate(&Ask::new("payroll"), &proof_key(), key).await.no();
        assert_eq!(no.code(), (403, "access_denied"));
        assert!(no.body.elevate_hint.unwrap().contains("attested hardware key"));
    }
    assert_eq!(authority.count("SELECT count(*) FROM elevation_grant WHERE acr = 'phrh'").await, 0);
    assert_ne!(liar.aaguid, SOFTWARE_AAGUID);
}

#[tokio::test]
async fn synced_passkey_passed_off_as_bound() {
    let target = Target::new().await;
    // Enrolled as bound to its device; later it says that it is in a cloud.
    for flags in [UP | UV | BE, UP | UV | BE | BS] {
        let no = target.answer_saying("payroll", &target.pin, |says| says.flags = flags).await.no();
        assert_eq!(no.says(), "the step-up failed: the key says of itself that it changed its kind");
    }
    // A synced one that says so verifies its user, and is never more than that.
    let synced = TestKey::synced();
    target.enrol("cloud", &synced, Some(&target.pin)).await.unwrap();
    let grant = target.elevate(&Ask::new("payroll"), &proof_key(), &synced).await.grant();
    assert_eq!(grant.acr, "phr");
    // And it can't turn into a bound one.
    let no = target.answer_saying("payroll", &synced, |says| says.flags = UP | UV).await.no();
    assert_eq!(no.code(), (400, "invalid_grant"));
}

// --- step-up's acr on a token that had none ------------------------------------------------------------------------

#[tokio::test]
async fn acr_of_a_step_up_on_a_token_that_had_none() {
    let target = Target::new().await;
    let plain = |grant: &elevate::protocol::messages::GrantResponse| {
        let token = claims(&grant.access_token);
        assert_eq!((token.acr.as_str(), token.amr.len(), token.auth_time), ("urn:elevate:acr:session", 0, None));
        assert_eq!(grant.acr, token.acr);
    };
    // Right after a step-up by the same person with the same proof key.
    let proof = proof_key();
    target.elevate(&Ask::new("payroll"), &proof, &target.pin).await.grant();
    plain(&target.ask(&Ask::new("wiki"), &proof).await.grant());
    // With somebody's step-up session and assertion stapled to it.
    let ask = Ask::new("payroll");
    let (proof, step_up) = target.begin(&ask).await;
    let assertion = target.pin.sign(&step_up.authn_params_public_key);
    let stapled = Ask::new("wiki").answer(&step_up.auth_session, &assertion);
    assert_eq!(target.token(&stapled, &proof).await.no().code(), (400, "invalid_request"));
    // With an assertion but no session: it is not looked at.
    let unasked = TokenRequest { auth_session: None, ..Ask::new("wiki").answer("", &assertion) };
    plain(&target.token(&unasked, &proof).await.grant());
}

// --- another uid on the socket -----------------------------------------------------------------------------------

/// An embedded authority serves the account it runs as. Whoever else gets hold of the socket is told so, and nothing is
/// recorded in their name.
#[tokio::test]
async fn another_uid_on_the_socket() {
    let target = Target::new().await;
    let stranger = elevate::files::own_uid() + 1;
    let entries = target.log().await.len();
    for caller in [stranger, u32::MAX] {
        for subject in [format!("uid:{caller}"), me()] {
            let request = Ask { subject_token: subject, ..Ask::new("wiki") }.request();
            let refused =
                elevate_directly(&target.authority.authority, Caller::with_uid(caller), "jkt", &request).await;
            let Err(refused) = refused else { panic!("uid {caller} was let in") };
            assert!(matches!(refused, Refusal::NotServed { .. }), "{refused}");
            assert_eq!(refused.class().0, 403);
        }
    }
    assert_eq!(target.log().await.len(), entries);
    // The control: the same request, as the owner.
    let request = Ask::new("wiki").request();
    let own = Caller::with_uid(elevate::files::own_uid());
    let granted = elevate_directly(&target.authority.authority, own, "jkt", &request).await.unwrap();
    assert!(matches!(granted, Direct::Grant(..)));
}

#[tokio::test]
async fn subject_token_of_somebody_else() {
    let authority = TestAuthority::start().await;
    for subject in ["uid:4242", "uid:", "root", " ", "uid:00", "uid:4242\u{1b}[2J"] {
        let no = authority.ask(&Ask { subject_token: subject.into(), ..Ask::new("wiki") }, &proof_key()).await.no();
        assert_eq!(no.code(), (400, "invalid_request"), "{subject:?}");
        assert!(!no.says().contains('\u{1b}'));
    }
    assert_eq!(authority.count("SELECT count(*) FROM elevation_grant").await, 0);
}

#[test]
fn a_caller_whom_nobody_vouches_for_is_nobody() {
    assert!(Caller::with_uid(7).subject(Served::Only(8)).is_err());
    assert_eq!(Caller::with_uid(7).subject(Served::Only(7)).unwrap().sub(), "uid:7");
    assert_eq!(Caller::with_uid(7).subject(Served::Everybody).unwrap().uid(), Some(7));
}

/// A step-up session is its user's: under another name it is as if it had never been.
#[tokio::test]
async fn step_up_session_of_somebody_else() {
    let target = Target::new().await;
    let ask = Ask::new("prod-db");
    let (proof, step_up) = target.begin(&ask).await;
    let assertion = target.touch.sign(&step_up.authn_params_public_key);
    target.tamper("UPDATE auth_session SET sub = 'uid:4242'").await;
    let no = target.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await.no();
    assert_eq!(no.code(), (400, "invalid_grant"));
}

/// A token is revoked by whom it was issued to; for anybody else it is no token, and they are not told.
#[tokio::test]
async fn revoking_what_is_somebody_elses() {
    let target = Target::new().await;
    let token = target.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
    let key = signing_key_of(&target).await;
    let mut theirs = claims(&token);
    theirs.sub = "uid:4242".into();
    let theirs = access_token::sign(&theirs, &key.0, &key.1).unwrap();
    assert_eq!(target.revoke(&Secret::new(theirs)).await.status, 200);
    assert!(target.is_active(&token).await);
}

/// The authority's own signing key, as only the authority has it: for tokens that are right but for one thing.
async fn signing_key_of(authority: &TestAuthority) -> (String, jsonwebtoken::EncodingKey) {
    use elevate::authority::signer::MasterKey;
    use elevate::authority::store::{Faults, Store};
    let store = Store::open(&authority.place(), Faults::default()).await.unwrap();
    let master = MasterKey::load_or_create(&authority.data().join("authority.key")).unwrap();
    let row = store.signing_keys().await.unwrap().remove(0);
    let der = master.open(&format!("signing-key:{}", row.kid), &row.sealed).unwrap();
    (row.kid, jsonwebtoken::EncodingKey::from_ec_der(&der))
}

// --- alg, typ, kid, jwk, aud confusion ---------------------------------------------------------------------------

/// A JWT of parts; the signature is whatever is given.
fn jwt(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", base64url(signature))
}

fn hs256(key: &[u8]) -> impl FnOnce(&[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    move |signed| hmac::sign(&key, signed).as_ref().to_vec()
}

fn es256(pair: &EcdsaKeyPair) -> impl FnOnce(&[u8]) -> Vec<u8> {
    move |signed| pair.sign(&aws_lc_rs::rand::SystemRandom::new(), signed).unwrap().as_ref().to_vec()
}

fn jwk_of(pair: &EcdsaKeyPair) -> Value {
    use aws_lc_rs::signature::KeyPair as _;
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) })
}

fn new_pair() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

#[tokio::test]
async fn alg_typ_kid_jwk_aud_confusion_of_access_tokens() {
    let authority = TestAuthority::start().await;
    let token = authority.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
    let keys: JwkSet = authority.get(&authority.at("/jwks")).await.read().unwrap();
    let good = claims(&token);
    let body = serde_json::to_value(&good).unwrap();
    let (kid, own_key) = signing_key_of(&authority).await;
    let now = authority.clock.now();
    let verify = |token: &str, audience: Option<&str>| {
        access_token::verify(token, &keys, &authority.issuer, audience, now).map_err(|error| error.0)
    };
    assert_eq!(verify(token.expose(), Some("https://wiki.example")).unwrap(), good);

    let public_x = from_base64url(serde_json::to_value(&keys).unwrap()["keys"][0]["x"].as_str().unwrap()).unwrap();
    let public_pem = serde_json::to_vec(&keys.keys[0]).unwrap();
    let thief = new_pair();
    let head = |alg: &str, typ: &str, kid: &str| json!({ "alg": alg, "typ": typ, "kid": kid });
    let forged = [
        ("alg none", jwt(&head("none", "at+jwt", &kid), &body, |_| vec![])),
        ("alg None", jwt(&head("None", "at+jwt", &kid), &body, |_| vec![])),
        ("no signature", jwt(&head("ES256", "at+jwt", &kid), &body, |_| vec![])),
        ("zero signature", jwt(&head("ES256", "at+jwt", &kid), &body, |_| vec![0; 64])),
        ("HS256 with the public x", jwt(&head("HS256", "at+jwt", &kid), &body, hs256(&public_x))),
        ("HS256 with the public JWK", jwt(&head("HS256", "at+jwt", &kid), &body, hs256(&public_pem))),
        ("RS256", jwt(&head("RS256", "at+jwt", &kid), &body, |_| vec![1; 256])),
        ("EdDSA", jwt(&head("EdDSA", "at+jwt", &kid), &body, |_| vec![1; 64])),
        ("ES384", jwt(&head("ES384", "at+jwt", &kid), &body, |_| vec![1; 96])),
        ("another key under this kid", jwt(&head("ES256", "at+jwt", &kid), &body, es256(&thief))),
        ("unknown kid", jwt(&head("ES256", "at+jwt", "other"), &body, es256(&thief))),
        ("no kid", jwt(&json!({ "alg": "ES256", "typ": "at+jwt" }), &body, es256(&thief))),
        (
            "its own jwk",
            jwt(&json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid, "jwk": jwk_of(&thief) }), &body, es256(&thief)),
        ),
        (
            "its own jku",
            jwt(
                &json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid, "jku": "https://evil.example" }),
                &body,
                es256(&thief),
            ),
        ),
        ("changed claims", {
            let parts: Vec<&str> = token.expose().split('.').collect();
            let changed = body.to_string().replace("session", "touch");
            format!("{}.{}.{}", parts[0], base64url(changed), parts[2])
        }),
        ("a second payload", format!("{}.e30", token.expose())),
    ];
    for (what, forged) in &forged {
        assert!(verify(forged, None).is_err(), "{what} was taken");
        assert!(!authority.is_active(&Secret::new(forged.clone())).await, "{what} is active");
    }

    // Signed by the authority's own key, and still not an access token for this place and time.
    let sign = |header: Value, claims: &Value| {
        let mut parsed = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        parsed.typ = header["typ"].as_str().map(str::to_owned);
        parsed.kid = header["kid"].as_str().map(str::to_owned);
        jsonwebtoken::encode(&parsed, claims, &own_key).unwrap()
    };
    let with = |field: &str, value: Value| {
        let mut body = body.clone();
        body[field] = value;
        sign(head("ES256", "at+jwt", &kid), &body)
    };
    let now = now.as_second();
    let misused = [
        (sign(head("ES256", "JWT", &kid), &body), "'typ' is not 'at+jwt'"),
        (sign(head("ES256", "dpop+jwt", &kid), &body), "'typ' is not 'at+jwt'"),
        (sign(json!({ "kid": kid }), &body), "'typ' is not 'at+jwt'"),
        (with("iss", json!("https://localhost/other")), "it is from another issuer"),
        (with("iss", json!(format!("{}/", authority.issuer))), "it is from another issuer"),
        (with("aud", json!("https://db.example")), "it is for another audience"),
        (with("aud", json!("https://wiki.example/")), "it is for another audience"),
        (with("exp", json!(now)), "its time is over"),
        (with("iat", json!(now + 61)), "it is from the future"),
        (with("aud", json!(["https://wiki.example"])), "its signature or claims are wrong"),
        (with("cnf", Value::Null), "its signature or claims are wrong"),
    ];
    for (token, reason) in misused {
        assert_eq!(verify(&token, Some("https://wiki.example")), Err(reason));
    }
    assert!(verify(&with("jti", json!("x")), Some("https://wiki.example")).is_ok(), "the control");
    // A token with no grant behind it is inactive, even if it is signed.
    assert!(!authority.is_active(&Secret::new(with("jti", json!("never granted")))).await);
}

/// Sends a low-risk request with exactly these DPoP headers.
async fn with_proofs(authority: &TestAuthority, proofs: &[String]) -> Reply {
    let mut request = authority.request("POST", &authority.at("/token"));
    for proof in proofs {
        request = request.header("DPoP", proof);
    }
    authority.send(request.form(&Ask::new("wiki").request())).await
}

#[tokio::test]
async fn alg_typ_jwk_confusion_and_replay_of_dpop_proofs() {
    let authority = TestAuthority::start().await;
    let key = proof_key();
    let url = format!("{}/token", authority.issuer);
    let pair = new_pair();
    let jwk = jwk_of(&pair);
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "jti": base64url(random::<16>()), "htm": "POST", "htu": url,
            "iat": authority.clock.now().as_second(), "nonce": authority.nonce(),
        });
        change(&mut claims);
        claims
    };
    let head = json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": jwk });
    let good = |change: &dyn Fn(&mut Value)| jwt(&head, &claims(change), es256(&pair));
    // The control.
    assert_eq!(with_proofs(&authority, &[good(&|_| {})]).await.status, 200);

    let headed = |change: &dyn Fn(&mut Value)| {
        let mut head = head.clone();
        change(&mut head);
        head
    };
    let public = from_base64url(jwk["x"].as_str().unwrap()).unwrap();
    let other = new_pair();
    let refused = [
        ("alg none", jwt(&headed(&|h| h["alg"] = json!("none")), &claims(&|_| {}), |_| vec![])),
        ("no signature", jwt(&head, &claims(&|_| {}), |_| vec![])),
        ("HS256 with the public key", jwt(&headed(&|h| h["alg"] = json!("HS256")), &claims(&|_| {}), hs256(&public))),
        (
            "a symmetric jwk",
            jwt(
                &headed(&|h| {
                    h["alg"] = json!("HS256");
                    h["jwk"] = json!({ "kty": "oct", "k": "AAAA" });
                }),
                &claims(&|_| {}),
                hs256(&[0; 3]),
            ),
        ),
        ("RS256", jwt(&headed(&|h| h["alg"] = json!("RS256")), &claims(&|_| {}), es256(&pair))),
        ("typ JWT", jwt(&headed(&|h| h["typ"] = json!("JWT")), &claims(&|_| {}), es256(&pair))),
        ("typ at+jwt", jwt(&headed(&|h| h["typ"] = json!("at+jwt")), &claims(&|_| {}), es256(&pair))),
        ("no typ", jwt(&headed(&|h| drop(h.as_object_mut().unwrap().remove("typ"))), &claims(&|_| {}), es256(&pair))),
        ("no jwk", jwt(&headed(&|h| drop(h.as_object_mut().unwrap().remove("jwk"))), &claims(&|_| {}), es256(&pair))),
        ("somebody else's jwk", jwt(&headed(&|h| h["jwk"] = jwk_of(&other)), &claims(&|_| {}), es256(&pair))),
        ("a private jwk", jwt(&headed(&|h| h["jwk"]["d"] = json!(base64url([1; 32]))), &claims(&|_| {}), es256(&pair))),
        (
            "a point off the curve",
            jwt(&headed(&|h| h["jwk"]["y"] = json!(base64url([1; 32]))), &claims(&|_| {}), es256(&pair)),
        ),
        ("another curve", jwt(&headed(&|h| h["jwk"]["crv"] = json!("P-384")), &claims(&|_| {}), es256(&pair))),
        ("a crit header", jwt(&headed(&|h| h["crit"] = json!(["x"])), &claims(&|_| {}), es256(&pair))),
        ("another method", good(&|c| c["htm"] = json!("GET"))),
        ("another method's case", good(&|c| c["htm"] = json!("post"))),
        ("another path", good(&|c| c["htu"] = json!(format!("{}/revoke", authority.issuer)))),
        ("another issuer", good(&|c| c["htu"] = json!("https://localhost/other/token"))),
        ("the transport's URL", good(&|c| c["htu"] = json!(url.replace("https", "http")))),
        ("too old", good(&|c| c["iat"] = json!(authority.clock.now().as_second() - 61))),
        ("from the future", good(&|c| c["iat"] = json!(authority.clock.now().as_second() + 61))),
        ("an ath where there is no token", good(&|c| c["ath"] = json!(base64url(sha256(&[b"x"]))))),
        ("an empty jti", good(&|c| c["jti"] = json!(""))),
        ("a huge jti", good(&|c| c["jti"] = json!("x".repeat(129)))),
        ("no jti", good(&|c| drop(c.as_object_mut().unwrap().remove("jti")))),
        ("garbage", "a.b.c".into()),
        ("nothing", String::new()),
    ];
    for (what, proof) in refused {
        let reply = with_proofs(&authority, &[proof]).await;
        assert_eq!(reply.status, 400, "{what}");
        assert_eq!(reply.no().code(), (400, "invalid_dpop_proof"), "{what}");
    }
    let nonces = [
        ("no nonce", good(&|c| drop(c.as_object_mut().unwrap().remove("nonce")))),
        ("a made-up nonce", good(&|c| c["nonce"] = json!(base64url([0; 40])))),
        ("an empty nonce", good(&|c| c["nonce"] = json!(""))),
    ];
    for (what, proof) in nonces {
        assert_eq!(with_proofs(&authority, &[proof]).await.no().code(), (400, "use_dpop_nonce"), "{what}");
    }
    // None, and two.
    assert_eq!(with_proofs(&authority, &[]).await.no().code(), (400, "invalid_dpop_proof"));
    let two = [good(&|_| {}), good(&|_| {})];
    assert_eq!(with_proofs(&authority, &two).await.no().code(), (400, "invalid_dpop_proof"));
    // The same proof twice.
    let once = authority.prove("/token", &key, None);
    assert_eq!(with_proofs(&authority, std::slice::from_ref(&once)).await.status, 200);
    let no = with_proofs(&authority, &[once]).await.no();
    assert_eq!(
        (no.code(), no.says()),
        ((400, "invalid_dpop_proof"), "the DPoP proof is not acceptable: it was used before")
    );
    // A nonce is good for five minutes, and by then its proof is too old anyway: one is made for an old nonce.
    let old = authority.nonce();
    authority.clock.advance(301);
    let proof = good(&|c| c["nonce"] = json!(old));
    assert_eq!(with_proofs(&authority, &[proof]).await.no().code(), (400, "use_dpop_nonce"));
}

/// A nonce of the process before, or of another authority, is worth nothing.
#[tokio::test]
async fn nonce_of_another_process() {
    let mut authority = TestAuthority::start().await;
    let key = proof_key();
    let before = authority.prove("/token", &key, None);
    authority.restart().await;
    assert_eq!(with_proofs(&authority, &[before]).await.no().code(), (400, "use_dpop_nonce"));
}

/// A token that was stolen without its key, and a proof that was made for another token.
#[tokio::test]
async fn stolen_access_token() {
    let target = Target::new().await;
    let body = operation_body(None, None);
    let ask = Ask::operation(OperationName::UserList, None, &body);
    let proof = proof_key();
    let token = target.ask(&ask, &proof).await.grant().access_token;
    let post = |dpop: String, scheme: &str, token: &str| {
        let request = target.request("POST", &target.at("/operations/user.list"));
        request.header("DPoP", dpop).header("Authorization", format!("{scheme} {token}")).body(body.clone())
    };
    let thief = proof_key();
    let reply = target
        .send(post(target.prove("/operations/user.list", &thief, Some(token.expose())), "DPoP", token.expose()))
        .await;
    assert_eq!(reply.no().code(), (401, "invalid_token"));
    // The right key, but the proof does not name this token.
    for named in [None, Some("another token")] {
        let reply =
            target.send(post(target.prove("/operations/user.list", &proof, named), "DPoP", token.expose())).await;
        assert_eq!(reply.no().code(), (401, "invalid_dpop_proof"));
    }
    // As a bearer token, or as none.
    for scheme in ["Bearer", ""] {
        let dpop = target.prove("/operations/user.list", &proof, Some(token.expose()));
        assert_eq!(
            target.send(post(dpop, scheme, token.expose())).await.no().code(),
            (401, "invalid_token"),
            "{scheme}"
        );
    }
    let dpop = target.prove("/operations/user.list", &proof, Some(token.expose()));
    assert_eq!(target.send(post(dpop, "DPoP", token.expose())).await.status, 200, "the control");
}

// --- grant used after revocation, drop or user removal -----------------------------------------------------------

#[tokio::test]
async fn grant_used_after_revocation() {
    let target = Target::new().await;
    let body = operation_body(Some("uid:4242"), None);
    let ask = Ask::operation(OperationName::UserEnable, Some("uid:4242"), &body);
    for end in ["revoked", "disabled", "expired"] {
        let proof = proof_key();
        let token = target.elevate(&ask, &proof, &target.pin).await.grant().access_token;
        match end {
            "revoked" => assert_eq!(target.revoke(&token).await.status, 200),
            "disabled" => {
                // As user.disable does it: grants end with the account.
                let at = noon().as_second();
                target.tamper(&format!("UPDATE elevation_grant SET revoked_at = {at} WHERE revoked_at IS NULL")).await;
            }
            _ => target.clock.advance(120),
        }
        assert!(!target.is_active(&token).await, "{end}");
        let reply = target.carry_out(OperationName::UserEnable, body.clone(), token.expose(), &proof).await;
        assert_eq!(reply.no().code(), (401, "invalid_token"), "{end}");
    }
}

/// Somebody was shut out while their step-up was waiting for the touch, or while they held an operation's token.
#[tokio::test]
async fn step_up_answered_after_the_user_was_disabled() {
    let target = Target::new().await;
    let ask = Ask::new("prod-db");
    let (proof, step_up) = target.begin(&ask).await;
    let assertion = target.touch.sign(&step_up.authn_params_public_key);
    let token = target.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
    target.tamper("UPDATE user SET disabled_at = 1").await;
    let no = target.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await.no();
    assert_eq!((no.code(), no.says()), ((403, "access_denied"), "your account was disabled"));
    assert!(!target.is_active(&token).await);
    assert_eq!(target.grants("prod-db").await, 0);
}

/// The enrolment was vouched for, and then the user was shut out: no key gets in.
#[tokio::test]
async fn enrolment_finished_after_the_user_was_disabled() {
    let target = Target::new().await;
    let (new, proof) = (TestKey::with_pin(), proof_key());
    target.clock.advance(1);
    let challenge = target.begin_enrolment("late", &proof, Some(&target.pin)).await.unwrap();
    target.tamper("UPDATE user SET disabled_at = 1").await;
    let no = target.finish_enrolment(&challenge, new.make(&challenge.public_key), &proof).await;
    assert_eq!(no.unwrap_err().code(), (403, "access_denied"));
    assert_eq!(target.count("SELECT count(*) FROM security_key").await, 2);
}

// --- enrolment with a stolen session -----------------------------------------------------------------------------

/// Approved while there was no key, begun once there is one, in the same second: what policy said of none holds for no
/// other set of keys.
#[tokio::test]
async fn enrolment_approved_before_the_first_key() {
    let authority = TestAuthority::start().await;
    let thiefs_proof = proof_key();
    let (body, token) = authority.approve_enrolment("thief's", &thiefs_proof, None).await.unwrap();
    authority.enrol("mine", &TestKey::with_pin(), None).await.unwrap();
    let no = authority.begin_approved_enrolment(&body, &token, &thiefs_proof).await.unwrap_err();
    assert_eq!((no.status, no.says()), (409, "your keys changed since this was approved: begin again"));
}

/// Whoever runs as the user, but has none of the keys, can't add one; what was begun before the first key was enrolled
/// is worth nothing after it.
#[tokio::test]
async fn enrolment_with_a_stolen_session() {
    let authority = TestAuthority::start().await;
    let (thiefs_proof, thiefs_key) = (proof_key(), TestKey::with_pin());
    let begun = authority.begin_enrolment("thief's", &thiefs_proof, None).await.unwrap();
    let key = TestKey::touch_only();
    authority.enrol("mine", &key, None).await.unwrap();
    let made = thiefs_key.make(&begun.public_key);
    let no = authority.finish_enrolment(&begun, made, &thiefs_proof).await.unwrap_err();
    assert_eq!(no.code(), (409, "invalid_request"), "{}", no.says());
    let body = json!({ "name": "thief's", "salt": "AA" }).to_string().into_bytes();
    let ask = Ask::operation(OperationName::KeyEnroll, Some("thief's"), &body);
    let step_up = authority.ask(&ask, &thiefs_proof).await.step_up();
    let assertion = thiefs_key.sign(&step_up.authn_params_public_key);
    let answer = authority.token(&ask.answer(&step_up.auth_session, &assertion), &thiefs_proof).await;
    failed_because(answer, "the key is not enrolled");
    assert_eq!(authority.count("SELECT count(*) FROM security_key").await, 1);
}

/// What a key signed to sign somebody in approves nothing, and what it approved signs nobody in.
#[tokio::test]
async fn sign_in_assertion_used_as_a_step_up_and_the_other_way_round() {
    let network = Network::start().await;
    let key = TestKey::with_pin();
    let device = network.sign_in().await;
    network.first_key(&device, "blue", &key).await.unwrap();
    let ask = Ask::new("prod-db");
    let step_up = network.ask_as(&device, &ask).await.step_up();
    let (login, thief) = (Login::new(), Login::new());
    let asked = network.challenge(&login).await;
    let (signs_in, approves) = (key.sign(&asked.authn_params_public_key), key.sign(&step_up.authn_params_public_key));
    let with_session = |request: TokenRequest| TokenRequest {
        subject_token: device.token.clone(),
        subject_token_type: elevate::protocol::messages::ACCESS_TOKEN_TYPE.into(),
        ..request
    };
    let answer = network.token(&with_session(ask.answer(&step_up.auth_session, &signs_in)), &device.key).await;
    failed_because(answer, "the key signed another challenge");
    let answer = network.token(&with_session(ask.answer(&asked.auth_session, &signs_in)), &device.key).await.no();
    assert_eq!(answer.body.error, "invalid_grant", "the session of a sign-in is none of a step-up: {answer:?}");
    let reply = network.answer(&login, &asked.auth_session, &approves).await.no();
    assert_eq!((reply.code(), reply.says()), ((400, "access_denied"), "the key signed another challenge"));
    let reply = network.answer(&thief, &step_up.auth_session, &approves).await.no();
    assert_eq!(reply.code(), (400, "invalid_session"), "the session of a step-up is none of a sign-in");
}

/// Somebody reads an invitation over a shoulder, or has one of their own.
#[tokio::test]
async fn invitation_replayed_or_for_somebody_else() {
    let network = Network::without_provider().await;
    let admin = TestKey::touch_only();
    network.authority.enrol("admin", &admin, None).await.unwrap();
    let (anna, mallory) = (network.invite(&admin, "anna").await, network.invite(&admin, "mallory").await);
    network.sign_in_by(&anna).await;
    let replayed = network.authorize(&Login::new(), &[("invitation", &anna)]).await.no();
    assert!(replayed.says().starts_with("the invitation was used already: if that was not you"), "{replayed:?}");
    // One's own makes nobody else of one: neither the form nor the enrolment names whose it is.
    let login = Login::new();
    let subject = format!("{}#anna", network.issuer);
    let named = [("invitation", mallory.as_str()), ("subject", &subject), ("login_hint", &subject)];
    let code = network.authorize(&login, &named).await;
    let device = Device::of(login.key.clone(), &network.redeem_direct(&login, &code).await);
    assert_eq!(device.subject, format!("{}#mallory", network.issuer));
    let mut request = device.request(&Ask::new("wiki"));
    request.subject_token = Secret::new(subject);
    assert_eq!(network.token(&request, &device.key).await.no().code(), (400, "invalid_request"));
    // Who is invited administers nothing, whatever their name.
    let body = operation_body(Some("anna"), None);
    let no = network.ask_as(&device, &Ask::operation(OperationName::UserInvite, Some("anna"), &body)).await.no();
    assert_eq!(no.body.error, "access_denied");
}

/// The thief has somebody's only key and its PIN: once it is removed, neither what it signed in nor what it began gets in, and
/// its thief enrols no first key.
#[tokio::test]
async fn first_key_enrolled_with_a_stolen_key_that_was_removed() {
    let network = Network::start().await;
    let key = TestKey::with_pin();
    let owner = network.sign_in().await;
    network.first_key(&owner, "blue", &key).await.unwrap();
    let thief = network.sign_in_with(&key).await;
    let login = Login::new();
    let asked = network.challenge(&login).await;
    let code = network.answer(&login, &asked.auth_session, &key.sign(&asked.authn_params_public_key)).await;
    network.authority.tamper("DELETE FROM security_key").await;
    let no = network.begin_first_key(&thief, "thief's").await.unwrap_err();
    assert!(no.says().starts_with("the key that signed in was removed"), "{no:?}");
    let no = network.redeem_direct(&login, &code).await.no();
    assert_eq!((no.code(), no.says()), ((400, "invalid_grant"), "the key that signed in was removed meanwhile"));
}

/// The thief has the token of somebody's sign-in and its key: no key of theirs gets in, but within the minutes that policy
/// gives a first key; with `first_key = "invitation"` not even then.
#[tokio::test]
async fn first_key_enrolled_with_a_stolen_sign_in() {
    let network = Network::start().await;
    let stolen = network.sign_in().await;
    network.clock.advance(300);
    let no = network.begin_first_key(&stolen, "thief's").await.unwrap_err();
    assert!(no.says().contains("a sign-in of the last five minutes"), "{no:?}");
    let strict = Network::with("first_key = \"invitation\"\n", &crate::harness::policy()).await;
    let stolen = strict.sign_in().await;
    let no = strict.begin_first_key(&stolen, "thief's").await.unwrap_err();
    assert!(no.says().starts_with("a first key takes an invitation here"), "{no:?}");
    assert_eq!(strict.authority.count("SELECT count(*) FROM security_key").await, 0);
}

// --- database written by an attacker -----------------------------------------------------------------------------

/// `secret`, `signing_key`: nothing but the removal of what is there. Every sealed row is bound to its place, so one that is
/// moved, changed or made up does not open.
#[tokio::test]
async fn database_written_by_an_attacker_sealed_rows() {
    let mut target = Target::new().await;
    target.operate(OperationName::SecretSet, Some("deploy-key"), Some("the crown jewels"), &target.pin).await.unwrap();
    target.operate(OperationName::SecretSet, Some("spare-key"), Some("glass beads"), &target.pin).await.unwrap();
    let ask = async |name: &str| target.elevate(&Ask::new(name), &proof_key(), &target.pin).await;
    assert_eq!(ask("spare-key").await.grant().secret.unwrap().expose(), "glass beads", "the control");
    for attack in [
        // The row of the secret one may not have, under the name of the one that one may.
        "UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE resource = 'deploy-key') WHERE resource = 'spare-key'",
        "UPDATE secret SET sealed = x'00' WHERE resource = 'spare-key'",
        "UPDATE secret SET sealed = zeroblob(64) WHERE resource = 'spare-key'",
        "UPDATE secret SET sealed = (SELECT sealed FROM signing_key) WHERE resource = 'spare-key'",
    ] {
        assert_eq!(target.tamper(attack).await, 1);
        let no = ask("spare-key").await.no();
        assert_eq!(no.code(), (503, "temporarily_unavailable"), "{attack}");
        assert!(no.says().contains("does not open"), "{}", no.says());
    }
    // Another key's row under this kid: the authority does not start, rather than sign with what it does not know.
    target.operate(OperationName::SigningKeyRotate, None, None, &target.pin).await.unwrap();
    let kids: Vec<String> =
        sqlx::query_scalar("SELECT kid FROM signing_key").fetch_all(&mut target.database().await).await.unwrap();
    let swap = async || {
        for (from, to) in [(kids[0].as_str(), "aside"), (&kids[1], &kids[0]), ("aside", &kids[1])] {
            let rename = format!("UPDATE signing_key SET kid = '{to}' WHERE kid = '{from}'");
            assert_eq!(target.tamper(&rename).await, 1);
        }
    };
    swap().await;
    let opened = elevate::authority::Authority::open(
        &target.config(),
        &target.data(),
        target.clock.clone(),
        elevate::authority::store::Faults::default(),
    )
    .await;
    let Err(error) = opened else { panic!("it starts") };
    assert!(error.to_string().contains("does not open"), "{error}");
    swap().await;
    target.authority.restart().await;
}

/// `elevation_grant`: who can write it can bring a revoked grant of their own back to life, as long as its token lives,
/// and can point a token for one operation at another one. They gain no token: those are signed by a key that is sealed.
/// So a row alone is worth nothing, and a made-up grant can't be used.
#[tokio::test]
async fn database_written_by_an_attacker_grants() {
    let target = Target::new().await;
    let proof = proof_key();
    let body = operation_body(None, None);
    let looks = Ask::operation(OperationName::UserList, None, &body);
    let token = target.ask(&looks, &proof).await.grant().access_token;
    // Gained: the session's token for looking, made into one for changing. Its log entry is the operation's, and says
    // which elevation it had: one that was reached with nothing more than a session.
    let change = operation_body(None, None);
    let operation = json!({ "name": "signing_key.rotate", "body_sha256": base64url(sha256(&[&change])) });
    target
        .tamper(&format!("UPDATE elevation_grant SET operation = '{operation}' WHERE id = '{}'", claims(&token).jti))
        .await;
    let reply = target.carry_out(OperationName::SigningKeyRotate, change, token.expose(), &proof).await;
    let entry = target.last_entry().await;
    assert_eq!(
        (reply.status, &entry["event"], &entry["elevation"]),
        (200, &json!("signing_key.rotated"), &json!(claims(&token).txn))
    );
    let issued = target.log().await.into_iter().map(|entry| entry.leaf.unwrap());
    let vouched = issued.map(|leaf| serde_json::from_str::<Value>(&leaf).unwrap());
    let vouched =
        vouched.into_iter().find(|leaf| leaf["event"] == "grant.issued" && leaf["elevation"] == entry["elevation"]);
    assert_eq!(vouched.unwrap()["acr"], "urn:elevate:acr:session", "an auditor can see that it did not add up");

    // Not gained: a longer life. The token's own time is signed.
    let token = target.ask(&Ask::new("wiki").ttl("10s"), &proof).await.grant().access_token;
    target.tamper("UPDATE elevation_grant SET expires_at = 9999999999").await;
    target.clock.advance(10);
    assert!(!target.is_active(&token).await);
}

/// `security_key`: who can write it can enrol a key of their own, and so reach any rung: an attestation is checked when a
/// key is enrolled, and believed to have been checked then. It is not in the log as an enrolment. This is why the file is the account's own, and why a system authority has its own account.
/// `user`: can let themselves in again. `auth_session`, `failure`: can begin what they could begin anyway, and be rid of a signal.
#[tokio::test]
async fn database_written_by_an_attacker_keys() {
    let target = Target::new().await;
    let other = TestAuthority::start().await;
    let own = TestKey::with_pin();
    other.enrol("own", &own, None).await.unwrap();
    let row: (String, String) = sqlx::query_as("SELECT credential_id, credential FROM security_key")
        .fetch_one(&mut other.database().await)
        .await
        .unwrap();
    target
        .tamper(&format!(
            "INSERT INTO security_key VALUES ('{}', '{}', 'own', '{}', '', 0, 1, 1, NULL, '[]')",
            row.0,
            me(),
            row.1
        ))
        .await;
    let grant = target.elevate(&Ask::new("payroll"), &proof_key(), &own).await.grant();
    // The touch is in the log with the key's id, and no entry enrolled that key.
    assert_eq!(grant.receipt.private.clear["evidence"]["credential_id"], base64url(&own.id));
    let enrolled = |entry: &elevate::protocol::messages::LogEntry| {
        let private = &entry.private.as_ref().unwrap().clear;
        private.get("credential_id").is_some_and(|id| *id == base64url(&own.id))
    };
    assert!(!target.log().await.iter().any(enrolled));
}

/// `auth_session`: a transaction edited while it waits is not what the key signed.
#[tokio::test]
async fn database_written_by_an_attacker_sessions() {
    let target = Target::new().await;
    let ask = Ask::new("prod-db").scope("read");
    for edit in [
        "replace(content, '\"ttl\":900', '\"ttl\":800')",
        "replace(content, '\"acr_values\":\"urn:elevate:acr:touch\"', '\"acr_values\":\"phr\"')",
        "replace(content, '\"scope\":\"read\"', '\"scope\":\"\"')",
        "replace(content, '\"policy_id\":\"sensitive\"', '\"policy_id\":\"low\"')",
        "'no JSON'",
    ] {
        let (proof, step_up) = target.begin(&ask).await;
        let assertion = target.touch.sign(&step_up.authn_params_public_key);
        let before = target.count("SELECT sum(length(content)) FROM auth_session WHERE spent_at IS NULL").await;
        target.tamper(&format!("UPDATE auth_session SET content = {edit} WHERE spent_at IS NULL")).await;
        let after = target.count("SELECT sum(length(content)) FROM auth_session WHERE spent_at IS NULL").await;
        assert!(before != after || edit.contains("800"), "{edit} edits nothing");
        let answer = target.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await;
        assert_eq!(answer.no().status, 400, "{edit}");
        target.tamper("UPDATE auth_session SET spent_at = 1 WHERE spent_at IS NULL").await;
    }
    assert_eq!(target.grants("prod-db").await, 0);
}

/// `log_*`: see `audit_faults`; every edit is named, and the authority stops where it can see it. `meta`: another name
/// changes the issuer, and with it the log's origin: the last checkpoint is then one of another log.
#[tokio::test]
async fn database_written_by_an_attacker_meta() {
    let mut authority = TestAuthority::start().await;
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    authority.tamper("UPDATE meta SET value = 'https://localhost/00000000deadbeef' WHERE key = 'issuer'").await;
    authority.restart().await;
    assert_eq!(authority.issuer, "https://localhost/00000000deadbeef");
    assert_eq!(authority.ask(&Ask::new("wiki"), &proof_key()).await.no().code(), (503, "temporarily_unavailable"));
}

/// A store belongs to the issuer it was founded as: configured as another one it does not start, and nothing is changed.
#[tokio::test]
async fn authority_configured_as_another_issuer() {
    let authority = TestAuthority::start().await;
    let file = authority.config().join("authority.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    let open = async |issuer: &str| {
        std::fs::write(&file, format!("issuer = \"{issuer}\"\n{before}")).unwrap();
        let clock = Clock::standing_at(noon());
        elevate::authority::Authority::open(
            &authority.config(),
            &authority.data(),
            clock,
            elevate::authority::store::Faults::default(),
        )
        .await
    };
    let error = open("https://elevate.example.com").await.err().unwrap().to_string();
    assert!(error.contains("founded as https://localhost/"), "{error}");
    assert_eq!(open(authority.issuer.as_str()).await.unwrap().issuer.as_str(), authority.issuer);
    assert!(open("https://elevate.example.com/").await.err().unwrap().to_string().contains("authority.toml:1"));
}

/// The key file beside the database: others' eyes on it, or another content, and nobody gets in.
#[tokio::test]
async fn key_file_that_others_can_read_or_that_was_changed() {
    use std::os::unix::fs::PermissionsExt as _;
    let authority = TestAuthority::start().await;
    let file = authority.data().join("authority.key");
    let open = async || {
        let faults = elevate::authority::store::Faults::default();
        let clock = Clock::standing_at(noon());
        elevate::authority::Authority::open(&authority.config(), &authority.data(), clock, faults)
            .await
            .err()
            .map(|error| error.to_string())
    };
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(open().await, None);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(open().await.unwrap().contains("others can read it"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, base64url([1; 32])).unwrap();
    assert!(open().await.unwrap().contains("is another key than the one that this store was founded with"));
    // One that was founded by a version before does not say which key it was.
    authority.tamper("DELETE FROM meta WHERE key = 'key_id'").await;
    assert!(open().await.unwrap().contains("does not open"));
    std::fs::write(&file, "short").unwrap();
    assert!(open().await.unwrap().contains("it does not hold a key"));
}

// --- floods, lockout of others -----------------------------------------------------------------------------------

#[tokio::test]
async fn floods() {
    let target = Target::new().await;
    // Somebody else floods: it is their limit, not ours.
    for open in 0..64 {
        let until = noon().as_second() + 120;
        target
            .tamper(&format!("INSERT INTO auth_session VALUES ('theirs-{open}', 'uid:4242', '', '', {until}, NULL)"))
            .await;
    }
    let mut begun = Vec::new();
    let ask = Ask::new("prod-db");
    for _ in 0..64 {
        begun.push(target.begin(&ask).await);
    }
    let no = target.ask(&ask, &proof_key()).await.no();
    assert_eq!(no.code(), (429, "slow_down"));
    assert_eq!(no.body.elevate_code, ErrorCode::Denied);
    // What needs no step-up is not held up, and those that are open can be answered.
    target.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    let (proof, step_up) = begun.pop().unwrap();
    let assertion = target.touch.sign(&step_up.authn_params_public_key);
    target.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await.grant();
    target.begin(&ask).await;
    assert_eq!(target.ask(&ask, &proof_key()).await.no().code(), (429, "slow_down"));
    // Nobody is locked out for longer than a challenge lives.
    target.clock.advance(120);
    target.begin(&ask).await;
}

/// Failures raise what is asked; they never shut anybody out who has the key.
#[tokio::test]
async fn lockout_by_failures() {
    let target = Target::new().await;
    for _ in 0..20 {
        target.answer_saying("prod-db", &target.touch, |says| says.challenge = vec![1]).await.no();
    }
    target.elevate(&Ask::new("wiki"), &proof_key(), &target.touch).await.grant();
    target.elevate(&Ask::new("payroll"), &proof_key(), &target.pin).await.grant();
}

// --- secret in Debug ---------------------------------------------------------------------------------------------

#[tokio::test]
async fn secret_in_debug() {
    let target = Target::new().await;
    let secret = "hunter2-hunter2";
    target.operate(OperationName::SecretSet, Some("deploy-key"), Some(secret), &target.pin).await.unwrap();
    let proof = proof_key();
    let grant = target.elevate(&Ask::new("deploy-key"), &proof, &target.pin).await.grant();
    let token = grant.access_token.clone();
    let stored = elevate::client::grant_store::StoredGrant {
        resource: "deploy-key".parse().unwrap(),
        kind: grant.kind,
        access_token: token.clone(),
        proof_key: proof.to_stored(),
        secret: grant.secret.clone(),
        whole: true,
        reach: None,
        issued_at: grant.issued_at,
        expires_at: grant.expires_at,
    };
    let operation = OperationRequest {
        target: Some("deploy-key".into()),
        secret: Some(Secret::new(secret.into())),
        sealed_for: None,
        ttl: None,
        salt: String::new(),
        ..OperationRequest::default()
    };
    let held = elevate::client::elevation::Held {
        grant: stored.clone(),
        claims: claims(&token),
        kept_in: None,
        cached: false,
    };
    let debugged = [
        format!("{grant:?}"),
        format!("{grant:#?}"),
        format!("{stored:?}"),
        format!("{held:?}"),
        format!("{operation:?}"),
        format!("{:?}", TokenParameter { token: token.clone() }),
        format!("{:?}", Answer::Grant(Box::new(grant.clone()))),
        format!("{:?}", Direct::Grant(ElevationId::fresh(), Box::new(grant))),
    ];
    let stored_key = proof.to_stored();
    let signature = token.expose().rsplit('.').next().unwrap();
    for text in debugged {
        for hidden in [secret, token.expose(), signature, stored_key.expose()] {
            assert!(!text.contains(hidden), "{hidden} is in {text}");
        }
        assert!(text.contains("[redacted]"), "{text}");
    }
}

// --- escape sequences in any text shown --------------------------------------------------------------------------

/// Clears the screen, sets the title, goes back to the start of the line, turns text around, and hides.
const HOSTILE: &str = "ok\u{1b}[2J\u{1b}]0;root\u{7}\rapproved\u{9b}31m\u{202e}txt\u{200b}\u{feff}\u{e0041}\n";

#[track_caller]
fn harmless(text: &str) {
    for c in text.chars().filter(|c| *c != '\n') {
        assert!(!c.is_control() && !"\u{202e}\u{200b}\u{feff}\u{e0041}".contains(c), "{c:?} in {text:?}");
    }
}

#[tokio::test]
async fn escape_sequences_in_any_text_shown() {
    harmless(&escaped(HOSTILE));
    assert!(!escaped(HOSTILE).contains('\n'), "a line can't be forged either");
    // In the error of a lying authority, as the command line shows it.
    let response = ErrorResponse {
        error: "access_denied".into(),
        error_description: HOSTILE.into(),
        elevate_hint: Some(HOSTILE.into()),
        elevate_code: ErrorCode::Denied,
        elevation: None,
    };
    let shown = elevate::client::error::Error::from(response).to_text();
    harmless(&shown);
    assert_eq!(shown.lines().count(), 2, "{shown:?}");
    // In what the authority repeats of a request.
    let authority = TestAuthority::start().await;
    let mut texts = Vec::new();
    for ask in
        [Ask { resource: HOSTILE.into(), ..Ask::new("x") }, Ask { subject_token: HOSTILE.into(), ..Ask::new("wiki") }]
    {
        texts.push(authority.ask(&ask, &proof_key()).await.no());
    }
    let mut request = Ask::new("wiki").request();
    request.authorization_details = format!("[{HOSTILE}]");
    texts.push(authority.token(&request, &proof_key()).await.no());
    request.authorization_details = json!([{ "type": HOSTILE, "claimed": {} }]).to_string();
    texts.push(authority.token(&request, &proof_key()).await.no());
    for No { body, .. } in texts {
        harmless(&body.error_description);
        harmless(body.elevate_hint.as_deref().unwrap_or_default());
    }
    for path in ["/explain?resource=%1b%5B2J", "/operations/%1b%5B2J", "/%1b%5B2J"] {
        harmless(&authority.get(&authority.at(path)).await.no().body.error_description);
    }
    let key = proof_key();
    let reply = authority.carry_out(OperationName::UserList, b"{\"\x1b[2J\":1}".to_vec(), "x", &key).await;
    harmless(&reply.no().body.error_description);
    // A key's name is shown in lists and prompts: one that commands is no name.
    assert!(HOSTILE.parse::<elevate::protocol::names::KeyName>().is_err());
}

proptest! {
    #[test]
    fn escape_sequences_whatever_the_text(text in "\\PC*|.*") {
        harmless(&escaped(&text));
        prop_assert_eq!(escaped(&escaped(&text)), escaped(&text));
    }
}

// --- proofs, not booleans ----------------------------------------------------------------------------------------

// `issue()` takes `Permitted`, `StepUp` and `Recorded`. None of them can be made here: their fields are private, and
// only policy, the verified assertion and the durable append make them. This does not compile:
//
//     let permitted = elevate::authority::policy::Permitted { .. };
//     // error[E0451]: field `elevation` of struct `Permitted` is private
//     let recorded = elevate::authority::audit::Recorded { .. };
//     // error[E0451]: field `elevation` of struct `Recorded` is private
//
// What can be seen from outside is that the three carry one id: the log's, the token's and the answer's.
#[tokio::test]
async fn one_elevation_from_question_to_token() {
    let target = Target::new().await;
    let grant = target.elevate(&Ask::new("payroll"), &proof_key(), &target.pin).await.grant();
    let (leaf, _) = grant.receipt.verify(&target.log_key, None).unwrap();
    assert_eq!(leaf.elevation, claims(&grant.access_token).txn);
    assert_eq!(leaf.acr.as_deref(), Some("phr"));
    assert_eq!(leaf.policies, ["critical"]);
}

/// The evidence in a receipt convinces somebody who trusts neither authority nor client: the enrolled key signed
/// exactly this transaction.
#[tokio::test]
async fn evidence_can_be_verified_by_anybody_later() {
    let target = Target::new().await;
    let ask = Ask::new("payroll").reason("quarterly audit");
    let grant = target.elevate(&ask, &proof_key(), &target.pin).await.grant();
    let evidence = &grant.receipt.private.clear["evidence"];
    let bytes = |field: &str| from_base64url(evidence[field].as_str().unwrap()).unwrap();
    let txn: Transaction = serde_json::from_value(evidence["txn"].clone()).unwrap();
    assert_eq!(txn.authorization_details[0].reason.as_deref(), Some("quarterly audit"));
    let challenge = txn.challenge(&bytes("nonce").try_into().unwrap()).unwrap();
    let client_data: Value = serde_json::from_slice(&bytes("clientDataJSON")).unwrap();
    assert_eq!(client_data["challenge"], base64url(challenge));
    assert_eq!(client_data["origin"], "https://localhost");
    let signed = [bytes("authenticatorData"), sha256(&[&bytes("clientDataJSON")]).to_vec()].concat();
    target.pin.verify(&signed, &bytes("signature")).unwrap();
}
