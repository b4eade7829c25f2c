//! Attestation: makers nobody trusts, certificates that are over, models that are not what they say.

use super::*;
use crate::harness::makers::{Attestation, Maker};
use crate::harness::{CONFIG, Statement, policy};
use elevate::protocol::messages::EnrolledKey;
use rcgen::{DnType, IsCa, date_time_ymd};

const MODEL: [u8; 16] = [0x22; 16];

/// Critical resources ask for attested hardware.
fn hardware_policy() -> String {
    policy().replace("context.assurance.verified }", "context.assurance.verified_hardware }")
}

fn config(top: &str, attestation: &str) -> String {
    format!("{top}\n{CONFIG}\n[attestation]\nroots = [\"roots.pem\"]\n{attestation}")
}

async fn authority(top: &str, attestation: &str, maker: &Maker) -> TestAuthority {
    TestAuthority::with_files(&config(top, attestation), &hardware_policy(), &[("roots.pem", &maker.pem)]).await
}

fn key(statement: Statement) -> TestKey {
    let mut key = TestKey::with_pin();
    (key.statement, key.aaguid) = (statement, MODEL);
    key
}

/// Statements that are what they are, and vouch for nothing here.
fn vouching_for_nothing(maker: &Maker) -> Vec<(&'static str, Statement)> {
    let packed = Statement::Packed;
    let over = |attestation: fn(&mut rcgen::CertificateParams)| packed(maker.vouch_saying(MODEL, attestation));
    let mut without_intermediate = Maker::new("Root").through_intermediate().vouch(MODEL);
    without_intermediate.chain.truncate(1);
    let mut grafted = Maker::new("Root").vouch(MODEL);
    grafted.chain.extend(maker.vouch(MODEL).chain);
    vec![
        ("none", Statement::None),
        ("self-attestation", Statement::SelfSigned),
        ("another root of the same name", packed(Maker::new("Root").vouch(MODEL))),
        ("a certificate that is over", over(|params| params.not_after = date_time_ymd(2025, 12, 31))),
        ("a certificate that is not good yet", over(|params| params.not_before = date_time_ymd(2026, 1, 2))),
        ("a chain with a gap", packed(without_intermediate)),
        ("a chain whose parts do not belong together", packed(grafted)),
        // It signs neither model nor flags: whoever has one such key could make it any model's.
        ("fido-u2f", Statement::FidoU2f(maker.vouch(MODEL))),
    ]
}

#[tokio::test]
async fn attestation_that_vouches_for_nothing() {
    let maker = Maker::new("Root");
    let authority = authority("require_attestation = true", "", &maker).await;
    for (what, statement) in vouching_for_nothing(&maker) {
        let no = authority.enrol("new", &key(statement), None).await.unwrap_err();
        assert_eq!(no.code(), (403, "access_denied"), "{what}");
        assert_eq!(no.says(), "nobody whom this authority trusts vouches for this key's model", "{what}");
        assert!(no.body.elevate_hint.unwrap().contains("[attestation]"));
        let entry = authority.last_entry().await;
        assert_eq!(entry["event"], "step_up.failed", "{what}");
        assert_eq!(entry["cause"], "enrolment: nobody trusted vouches for the key", "{what}");
    }
    assert_eq!(authority.count("SELECT count(*) FROM security_key").await, 0);
    // A program is no maker's either.
    let no = authority.enrol("file", &TestKey::software(), None).await.unwrap_err();
    assert_eq!(no.code(), (403, "access_denied"));
    // What is vouched for gets in.
    authority.enrol("real", &key(Statement::Packed(maker.vouch(MODEL))), None).await.unwrap();
}

#[tokio::test]
async fn attestation_that_vouches_for_nothing_where_none_is_required() {
    let maker = Maker::new("Root");
    for (what, statement) in vouching_for_nothing(&maker) {
        let authority = authority("", "", &maker).await;
        let key = key(statement);
        let enrolled: EnrolledKey = authority.enrol("new", &key, None).await.unwrap();
        assert_eq!(enrolled.attested, None, "{what}");
        // It is as good as any key that nobody vouches for.
        let grant = authority.elevate(&Ask::new("prod-db"), &proof_key(), &key).await.grant();
        assert_eq!((grant.acr.as_str(), grant.amr[0].as_str()), ("phr", "pop"), "{what}");
        let no = authority.ask(&Ask::new("payroll"), &proof_key()).await.no();
        assert_eq!(no.body.elevate_code, ErrorCode::NoSecurityKey, "{what}");
        assert_eq!(authority.grants_above_phr().await, 0, "{what}");
    }
}

impl TestAuthority {
    async fn grants_above_phr(&self) -> i64 {
        self.count("SELECT count(*) FROM elevation_grant WHERE acr = 'phrh'").await
    }
}

/// A statement that is false in itself is no new key at all, whatever is required (Level 3, section 7.1).
#[tokio::test]
async fn attestation_that_is_false() {
    let maker = Maker::new("Root");
    let saying = |lie: fn(&mut rcgen::CertificateParams)| maker.vouch_saying(MODEL, lie);
    let mut of_another_key = maker.vouch(MODEL);
    of_another_key.key = maker.vouch(MODEL).key;
    let cases: [(&str, Attestation); 5] = [
        ("another model in the certificate", maker.vouch([0x44; 16])),
        ("signed by another key", of_another_key),
        (
            "a certificate of an authority",
            saying(|params| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained)),
        ),
        (
            "a certificate for something else",
            saying(|params| params.distinguished_name.push(DnType::OrganizationalUnitName, "Web Server")),
        ),
        ("a critical model", saying(|params| params.custom_extensions[0].set_criticality(true))),
    ];
    for top in ["", "require_attestation = true"] {
        let authority = authority(top, "", &maker).await;
        for (what, attestation) in &cases {
            let again = attestation.clone();
            let no = authority.enrol("new", &key(Statement::Packed(again)), None).await.unwrap_err();
            assert_eq!(no.says(), "the step-up failed: the key's signature or data are wrong", "{what}");
        }
        assert_eq!(authority.count("SELECT count(*) FROM security_key").await, 0);
    }
}

/// The makers' certificates are checked by the authority's clock, not the machine's: one of the two ends before today.
#[tokio::test]
async fn attestation_by_the_authoritys_own_clock() {
    let maker = Maker::new("Root");
    let authority = authority("require_attestation = true", "", &maker).await;
    let real = key(Statement::Packed(maker.vouch(MODEL)));
    authority.enrol("on time", &real, None).await.unwrap();
    authority.clock.advance(200 * 86_400);
    let late = key(Statement::Packed(maker.vouch_saying(MODEL, |params| params.not_after = date_time_ymd(2040, 1, 1))));
    let no = authority.enrol("the root is over", &late, Some(&real)).await.unwrap_err();
    assert_eq!(no.code(), (403, "access_denied"));
    // What was vouched for in time still is.
    assert_eq!(authority.elevate(&Ask::new("payroll"), &proof_key(), &real).await.grant().acr, "phrh");
}

/// The lists of the rules in force decide, not those of the day of enrolment.
#[tokio::test]
async fn attestation_that_was_withdrawn() {
    let maker = Maker::new("Root").through_intermediate();
    let authority = authority("", "", &maker).await;
    let real = key(Statement::Packed(maker.vouch(MODEL)));
    authority.enrol("real", &real, None).await.unwrap();
    let grant = || async { authority.elevate(&Ask::new("payroll"), &proof_key(), &real).await };
    assert_eq!(grant().await.grant().acr, "phrh");
    // The model is not on the list.
    let other = "aaguids = [\"44444444-4444-4444-4444-444444444444\"]";
    authority.write_config(&config("", other));
    assert_eq!(grant().await.no().body.elevate_code, ErrorCode::NoSecurityKey);
    authority.write_config(&config("", "aaguids = [\"22222222-2222-2222-2222-222222222222\"]"));
    assert_eq!(grant().await.grant().acr, "phrh");
    // The root is not in the file.
    authority.write("roots.pem", &Maker::new("Root").pem);
    assert_eq!(grant().await.no().body.elevate_code, ErrorCode::NoSecurityKey);
    // Taken out between question and answer.
    authority.write("roots.pem", &maker.pem);
    let (ask, proof) = (Ask::new("payroll"), proof_key());
    let step_up = authority.ask(&ask, &proof).await.step_up();
    authority.write("roots.pem", &Maker::new("Root").pem);
    let assertion = real.sign(&step_up.authn_params_public_key);
    let answer = authority.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await;
    failed_because(answer, "policy asks for more than when the step-up was begun");
}

/// A key that was found without a PIN can be given one by whoever found it.
#[tokio::test]
async fn pin_that_came_after_enrolment() {
    let maker = Maker::new("Root");
    let authority = authority("", "", &maker).await;
    let mut found = key(Statement::Packed(maker.vouch(MODEL)));
    found.flags = UP;
    authority.enrol("found", &found, None).await.unwrap();
    found.flags = UP | UV;
    let grant = authority.elevate(&Ask::new("prod-db"), &proof_key(), &found).await.grant();
    assert_eq!((grant.acr.as_str(), grant.amr), ("urn:elevate:acr:touch", vec!["hwk".to_owned(), "user".into()]));
    assert_eq!(authority.ask(&Ask::new("payroll"), &proof_key()).await.no().code(), (403, "access_denied"));
}

/// A key that says of itself that it can be synced is no bound one, vouched for or not, unless configuration says so.
#[tokio::test]
async fn synced_passkey_with_an_attestation() {
    let maker = Maker::new("Root");
    let authority = authority("", "", &maker).await;
    let mut synced = key(Statement::Packed(maker.vouch(MODEL)));
    synced.flags = UP | UV | BE;
    let enrolled = authority.enrol("cloud", &synced, None).await.unwrap();
    assert!(enrolled.backup_eligible && enrolled.attested.is_some());
    let grant = authority.elevate(&Ask::new("prod-db"), &proof_key(), &synced).await.grant();
    assert_eq!((grant.acr.as_str(), grant.amr[0].as_str()), ("phr", "pop"));
    assert_eq!(authority.ask(&Ask::new("payroll"), &proof_key()).await.no().code(), (403, "access_denied"));
    authority.write_config(&config("backup_eligible = \"allow\"", ""));
    let grant = authority.elevate(&Ask::new("payroll"), &proof_key(), &synced).await.grant();
    assert_eq!((grant.acr.as_str(), grant.amr[0].as_str()), ("phrh", "hwk"));
    // Whether it is synced now stands with the key.
    synced.flags |= BS;
    authority.elevate(&Ask::new("payroll"), &proof_key(), &synced).await.grant();
    let now_synced = "SELECT credential ->> 'backup_state' FROM security_key WHERE name = 'cloud'";
    assert_eq!(authority.count(now_synced).await, 1);
}
