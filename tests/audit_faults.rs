//! The log under a store that fails, and under somebody who edits it. Each write is failed twice: lost, and kept but
//! reported lost. Either way no credential comes out, the caller is told, the log verifies, and the next request works.

use crate::harness::{Answer, Ask, TestAuthority, TestKey, proof_key};
use elevate::log::check::Fault;
use elevate::log::checkpoint::{self, TreeHead};
use elevate::log::receipt::BadReceipt;
use elevate::protocol::encoding::base64url;
use elevate::protocol::messages::{GrantResponse, OperationName};
use serde_json::json;
use tlog_tiles::record_hash;

// --- writes that fail --------------------------------------------------------------------------------------------

/// How the next write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    Lost,
    KeptButReportedLost,
}

const BOTH: [Fails; 2] = [Fails::Lost, Fails::KeptButReportedLost];

impl Fails {
    fn next_write_of(self, authority: &TestAuthority) {
        match self {
            Self::Lost => authority.faults.lose_next(),
            Self::KeptButReportedLost => authority.faults.keep_next_but_report_it_lost(),
        }
    }
}

/// An authority that has met its user, who has one key: every write from here on is the one a test is about.
async fn settled() -> (TestAuthority, TestKey) {
    let authority = TestAuthority::start().await;
    let key = TestKey::touch_only();
    authority.enrol("blue", &key, None).await.unwrap();
    (authority, key)
}

/// Told so, and nothing else.
#[track_caller]
fn told(answer: Answer) {
    assert_eq!(answer.no().code(), (503, "temporarily_unavailable"));
}

/// After a failed write: the log is what was signed, in this process and in the next, and requests are answered again.
async fn recovers(authority: &mut TestAuthority, key: &TestKey) {
    assert_eq!(authority.faults_of_the_log().await, []);
    for _ in 0..2 {
        let grant = authority.elevate(&Ask::new("prod-db"), &proof_key(), key).await.grant();
        grant.receipt.verify(&authority.log_key, None).unwrap();
        assert_eq!(authority.faults_of_the_log().await, []);
        authority.restart().await;
    }
}

#[tokio::test]
pub async fn a_grant_that_is_not_recorded_is_not_issued() {
    for fails in BOTH {
        let (mut authority, key) = settled().await;
        let entries = authority.log().await.len();
        fails.next_write_of(&authority);
        told(authority.ask(&Ask::new("wiki"), &proof_key()).await);
        let kept = usize::from(fails == Fails::KeptButReportedLost);
        assert_eq!(authority.log().await.len(), entries + kept);
        // Entry and grant go together: both are there, or neither is.
        let grants = authority.count("SELECT count(*) FROM elevation_grant WHERE resource = 'wiki'").await;
        assert_eq!(grants, i64::try_from(kept).unwrap());
        recovers(&mut authority, &key).await;
    }
}

#[tokio::test]
pub async fn a_stepped_up_grant_that_is_not_recorded_is_not_issued() {
    for fails in BOTH {
        let (mut authority, key) = settled().await;
        let (proof, ask) = (proof_key(), Ask::new("prod-db"));
        let step_up = authority.ask(&ask, &proof).await.step_up();
        let request = ask.answer(&step_up.auth_session, &key.sign(&step_up.authn_params_public_key));
        fails.next_write_of(&authority);
        told(authority.token(&request, &proof).await);
        // The same answer again: good if the write was lost, too late if it was kept.
        match authority.token(&request, &proof).await {
            Answer::Grant(_) => assert_eq!(fails, Fails::Lost),
            answer => {
                assert_eq!(fails, Fails::KeptButReportedLost);
                assert_eq!(answer.no().code(), (400, "invalid_grant"));
            }
        }
        assert_eq!(authority.count("SELECT count(*) FROM elevation_grant WHERE resource = 'prod-db'").await, 1);
        recovers(&mut authority, &key).await;
    }
}

#[tokio::test]
pub async fn a_step_up_that_is_not_kept_is_not_begun() {
    for fails in BOTH {
        let (mut authority, key) = settled().await;
        fails.next_write_of(&authority);
        told(authority.ask(&Ask::new("prod-db"), &proof_key()).await);
        recovers(&mut authority, &key).await;
    }
}

#[tokio::test]
pub async fn a_denial_that_is_not_recorded_is_not_told() {
    for fails in BOTH {
        let (mut authority, key) = settled().await;
        fails.next_write_of(&authority);
        told(authority.ask(&Ask::new("bunker"), &proof_key()).await);
        assert_eq!(authority.ask(&Ask::new("bunker"), &proof_key()).await.no().code(), (403, "access_denied"));
        recovers(&mut authority, &key).await;
    }
}

#[tokio::test]
pub async fn a_failed_step_up_that_is_not_recorded_is_not_told() {
    for fails in BOTH {
        let (mut authority, key) = settled().await;
        let (proof, ask) = (proof_key(), Ask::new("prod-db"));
        let step_up = authority.ask(&ask, &proof).await.step_up();
        let bad = key.sign_saying(&step_up.authn_params_public_key, |says| says.challenge = vec![0; 32]);
        let request = ask.answer(&step_up.auth_session, &bad);
        fails.next_write_of(&authority);
        told(authority.token(&request, &proof).await);
        assert_eq!(authority.token(&request, &proof).await.no().code(), (400, "invalid_grant"));
        // It counts as one failure, whichever way the write went.
        assert_eq!(authority.count("SELECT count(*) FROM failure").await, 1);
        recovers(&mut authority, &key).await;
    }
}

#[tokio::test]
pub async fn a_first_request_whose_user_is_not_recorded_is_refused() {
    for fails in BOTH {
        let mut authority = TestAuthority::start().await;
        fails.next_write_of(&authority);
        told(authority.ask(&Ask::new("wiki"), &proof_key()).await);
        authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
        let key = TestKey::touch_only();
        authority.enrol("blue", &key, None).await.unwrap();
        recovers(&mut authority, &key).await;
    }
}

#[tokio::test]
pub async fn an_enrolment_that_is_not_recorded_is_not_confirmed() {
    for fails in BOTH {
        let (mut authority, key) = settled().await;
        let (proof, new) = (proof_key(), TestKey::touch_only());
        authority.clock.advance(1);
        let challenge = authority.begin_enrolment("green", &proof, Some(&key)).await.unwrap();
        fails.next_write_of(&authority);
        let no = authority.finish_enrolment(&challenge, new.make(&challenge.public_key), &proof).await.unwrap_err();
        assert_eq!(no.status, 503);
        let again = authority.finish_enrolment(&challenge, new.make(&challenge.public_key), &proof).await;
        assert_eq!(again.is_ok(), fails == Fails::Lost);
        assert_eq!(authority.count("SELECT count(*) FROM security_key").await, 2);
        recovers(&mut authority, &key).await;
    }
}

#[tokio::test]
pub async fn an_operation_that_is_not_recorded_is_not_confirmed() {
    for fails in BOTH {
        let (mut authority, key) = settled().await;
        let body = crate::harness::operation_body(Some("deploy-key"), Some("s3cret"));
        let proof = proof_key();
        let ask = Ask::operation(OperationName::SecretSet, Some("deploy-key"), &body);
        let token = authority.elevate(&ask, &proof, &key).await.grant().access_token;
        fails.next_write_of(&authority);
        let reply = authority.carry_out(OperationName::SecretSet, body.clone(), token.expose(), &proof).await;
        assert_eq!(reply.status, 503);
        let kept = fails == Fails::KeptButReportedLost;
        assert_eq!(authority.count("SELECT count(*) FROM secret").await, i64::from(kept));
        let again = authority.carry_out(OperationName::SecretSet, body, token.expose(), &proof).await;
        assert_eq!(again.status, if kept { 401 } else { 200 });
        recovers(&mut authority, &key).await;
    }
}

#[tokio::test]
pub async fn a_rotation_whose_outcome_is_unknown_leaves_tokens_that_verify() {
    for fails in BOTH {
        let (mut authority, key) = settled().await;
        let body = crate::harness::operation_body(None, None);
        let proof = proof_key();
        let ask = Ask::operation(OperationName::SigningKeyRotate, None, &body);
        let token = authority.elevate(&ask, &proof, &key).await.grant().access_token;
        fails.next_write_of(&authority);
        assert_eq!(
            authority.carry_out(OperationName::SigningKeyRotate, body, token.expose(), &proof).await.status,
            503
        );
        let before = authority.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
        assert!(authority.is_active(&before).await);
        recovers(&mut authority, &key).await;
        assert!(authority.is_active(&before).await, "after the restart");
    }
}

#[tokio::test]
pub async fn a_revocation_that_is_not_recorded_is_not_confirmed() {
    for fails in BOTH {
        let (mut authority, key) = settled().await;
        let token = authority.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
        fails.next_write_of(&authority);
        assert_eq!(authority.revoke(&token).await.no().code(), (503, "temporarily_unavailable"));
        assert_eq!(authority.is_active(&token).await, fails == Fails::Lost);
        assert_eq!(authority.revoke(&token).await.status, 200, "revoking twice is no error");
        assert!(!authority.is_active(&token).await);
        recovers(&mut authority, &key).await;
    }
}

#[tokio::test]
pub async fn rules_that_are_not_recorded_decide_nothing() {
    for fails in BOTH {
        let (mut authority, key) = settled().await;
        authority.write_policy(&crate::harness::policy().replace("\"closed\"", "\"shut\""));
        fails.next_write_of(&authority);
        told(authority.ask(&Ask::new("bunker"), &proof_key()).await);
        // They decide once their entry stands before the decision's.
        authority.ask(&Ask::new("bunker"), &proof_key()).await.grant();
        let events = authority.events().await;
        assert!(events.ends_with(&["rules.loaded".into(), "grant.issued".into()]), "{fails:?}: {events:?}");
        recovers(&mut authority, &key).await;
    }
}

#[tokio::test]
pub async fn writes_that_fail_one_after_the_other() {
    let (mut authority, key) = settled().await;
    for round in 0..12 {
        BOTH[round % 2].next_write_of(&authority);
        told(authority.ask(&Ask::new("wiki"), &proof_key()).await);
        if round % 3 == 0 {
            authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
        }
    }
    recovers(&mut authority, &key).await;
}

#[tokio::test]
pub async fn when_a_shared_write_fails_everybody_in_it_is_told() {
    for fails in BOTH {
        let (authority, key) = settled().await;
        let mut authority = std::sync::Arc::new(authority);
        fails.next_write_of(&authority);
        let mut racing = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let authority = authority.clone();
            racing.spawn(async move { authority.ask(&Ask::new("wiki"), &proof_key()).await });
        }
        let answers = racing.join_all().await;
        let granted = answers.iter().filter(|answer| matches!(answer, Answer::Grant(_))).count();
        assert!(granted < 10, "the fault hit nobody");
        for answer in answers {
            match answer {
                Answer::Grant(grant) => drop(grant.receipt.verify(&authority.log_key, None).unwrap()),
                answer => told(answer),
            }
        }
        let rows = authority.count("SELECT count(*) FROM elevation_grant WHERE resource = 'wiki'").await;
        let refused = i64::try_from(10 - granted).unwrap();
        let kept = if fails == Fails::Lost { 0 } else { refused };
        assert_eq!(rows, i64::try_from(granted).unwrap() + kept);
        recovers(std::sync::Arc::get_mut(&mut authority).unwrap(), &key).await;
    }
}

// --- somebody who edits the log ----------------------------------------------------------------------------------

/// Ten entries and more: the founding, the rules, a user, a key, and grants.
async fn with_a_history() -> (TestAuthority, Vec<GrantResponse>) {
    let authority = TestAuthority::start().await;
    let key = TestKey::touch_only();
    authority.enrol("blue", &key, None).await.unwrap();
    let mut grants = Vec::new();
    for _ in 0..6 {
        grants.push(authority.ask(&Ask::new("wiki"), &proof_key()).await.grant());
    }
    assert_eq!(authority.faults_of_the_log().await, []);
    (authority, grants)
}

/// Nobody gets in, in this process' successor either.
async fn stops(authority: &mut TestAuthority) {
    authority.restart().await;
    let no = authority.ask(&Ask::new("wiki"), &proof_key()).await.no();
    assert_eq!(
        (no.code(), no.says()),
        ((503, "temporarily_unavailable"), "the audit log does not match its last signed checkpoint")
    );
    assert!(no.body.elevate_hint.unwrap().contains("elevate audit verify"));
    // It can still be read, by whoever wants to see what happened.
    authority.log().await;
}

const LAST: &str = "(SELECT max(idx) FROM log_entry)";

#[tokio::test]
pub async fn a_changed_entry_is_named() {
    let (authority, _) = with_a_history().await;
    authority
        .tamper("UPDATE log_entry SET leaf = CAST(replace(CAST(leaf AS TEXT), 'wiki', 'wikj') AS BLOB) WHERE idx = 7")
        .await;
    assert_eq!(authority.faults_of_the_log().await, [Fault::Changed(7)]);
    assert_eq!(Fault::Changed(7).to_string(), "entry 7 was changed");
}

#[tokio::test]
pub async fn an_entry_that_is_no_entry_any_more_is_named() {
    let (authority, _) = with_a_history().await;
    authority.tamper("UPDATE log_entry SET leaf = x'00ff' WHERE idx = 3").await;
    assert_eq!(authority.faults_of_the_log().await, [Fault::Changed(3)]);
}

#[tokio::test]
pub async fn a_changed_last_entry_stops_the_authority() {
    let (mut authority, _) = with_a_history().await;
    let last = authority.log().await.len() as u64 - 1;
    // Its time is what the clock is held to.
    let set = "UPDATE log_entry SET leaf = CAST(replace(CAST(leaf AS TEXT), '2026-01-01', '2020-01-01') AS BLOB)";
    assert_eq!(authority.tamper(&format!("{set} WHERE idx = {LAST}")).await, 1);
    assert_eq!(authority.faults_of_the_log().await, [Fault::Changed(last)]);
    stops(&mut authority).await;
}

#[tokio::test]
pub async fn a_removed_entry_is_named() {
    let (authority, _) = with_a_history().await;
    authority.tamper("DELETE FROM log_entry WHERE idx = 5").await;
    assert_eq!(authority.faults_of_the_log().await, [Fault::Missing(5)]);
}

#[tokio::test]
pub async fn swapped_entries_are_named() {
    let (authority, _) = with_a_history().await;
    authority.tamper("UPDATE log_entry SET idx = CASE idx WHEN 6 THEN -8 ELSE -6 END WHERE idx IN (6, 8)").await;
    authority.tamper("UPDATE log_entry SET idx = -idx WHERE idx < 0").await;
    let faults = authority.faults_of_the_log().await;
    assert_eq!(faults, [Fault::Moved { at: 6, belongs: 8 }, Fault::Moved { at: 8, belongs: 6 }]);
}

#[tokio::test]
pub async fn a_changed_private_part_is_named() {
    let (authority, _) = with_a_history().await;
    assert_eq!(
        authority.tamper("UPDATE log_private SET clear = replace(clear, 'laptop', 'server') WHERE idx = 7").await,
        1
    );
    assert_eq!(authority.faults_of_the_log().await, [Fault::Private(7)]);
    authority.tamper("UPDATE log_private SET clear = 'no JSON' WHERE idx = 7").await;
    assert_eq!(authority.faults_of_the_log().await, [Fault::Private(7)]);
}

#[tokio::test]
pub async fn an_erased_private_part_is_no_fault() {
    let (authority, grants) = with_a_history().await;
    authority.tamper("DELETE FROM log_private").await;
    assert_eq!(authority.faults_of_the_log().await, []);
    grants[0].receipt.verify(&authority.log_key, None).unwrap();
}

#[tokio::test]
pub async fn a_changed_hash_is_named() {
    let (authority, _) = with_a_history().await;
    let place = tlog_tiles::stored_hash_index(0, 4);
    authority.tamper(&format!("UPDATE log_hash SET hash = x'{}' WHERE idx = {place}", "00".repeat(32))).await;
    assert_eq!(authority.faults_of_the_log().await, [Fault::Changed(4)]);
}

#[tokio::test]
pub async fn a_removed_hash_does_not_hide_the_log() {
    let (mut authority, _) = with_a_history().await;
    let last = authority.log().await.len() as u64 - 1;
    for statement in ["DELETE FROM log_hash", "UPDATE log_hash SET hash = x'00'"] {
        let place = tlog_tiles::stored_hash_index(0, last);
        assert_eq!(
            authority.tamper(&format!("{statement} WHERE idx = {place}")).await,
            u64::from(statement.starts_with("DELETE"))
        );
        // The entry itself proves what its hash was.
        assert_eq!(authority.faults_of_the_log().await, []);
    }
    stops(&mut authority).await;
}

#[tokio::test]
pub async fn a_changed_hash_inside_the_tree_stops_the_authority() {
    let (mut authority, _) = with_a_history().await;
    // The root of the first eight entries: every tree from there on stands on it.
    let place = tlog_tiles::stored_hash_index(3, 0);
    assert_eq!(
        authority.tamper(&format!("UPDATE log_hash SET hash = x'{}' WHERE idx = {place}", "00".repeat(32))).await,
        1
    );
    stops(&mut authority).await;
}

#[tokio::test]
pub async fn an_entry_rewritten_with_its_hash_is_caught_by_the_checkpoints() {
    let (authority, grants) = with_a_history().await;
    let leaf = authority.log().await[7].leaf.clone().unwrap().replace("\"wiki\"", "\"wikj\"");
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let place = tlog_tiles::stored_hash_index(0, 7);
    let hash = record_hash(leaf.as_bytes());
    authority.tamper(&format!("UPDATE log_entry SET leaf = x'{}' WHERE idx = 7", hex(leaf.as_bytes()))).await;
    authority.tamper(&format!("UPDATE log_hash SET hash = x'{}' WHERE idx = {place}", hex(&hash.0))).await;
    assert_eq!(authority.faults_of_the_log().await, [Fault::Rewritten { from: 7, to: 7 }]);
    // And by whoever holds its receipt.
    let mut forged = grants.iter().find(|grant| grant.receipt.leaf.contains("\"index\":7,")).unwrap().receipt.clone();
    forged.verify(&authority.log_key, None).unwrap();
    forged.leaf = leaf;
    assert_eq!(forged.verify(&authority.log_key, None), Err(BadReceipt::NotIncluded));
}

#[tokio::test]
pub async fn an_entry_nobody_signed_is_named_and_stops_the_authority() {
    let (mut authority, _) = with_a_history().await;
    let size = authority.log().await.len() as u64;
    authority.tamper(&format!("INSERT INTO log_entry SELECT idx + 1, leaf FROM log_entry WHERE idx = {LAST}")).await;
    let faults = authority.faults_of_the_log().await;
    assert_eq!(faults, [Fault::Moved { at: size, belongs: size - 1 }, Fault::Unsigned(size)]);
    stops(&mut authority).await;
}

#[tokio::test]
pub async fn a_dropped_last_checkpoint_is_found_and_stops_the_authority() {
    let (mut authority, _) = with_a_history().await;
    let size = authority.log().await.len() as u64;
    authority.tamper("DELETE FROM log_checkpoint WHERE size = (SELECT max(size) FROM log_checkpoint)").await;
    assert_eq!(authority.faults_of_the_log().await, [Fault::Unsigned(size - 1)]);
    stops(&mut authority).await;
}

#[tokio::test]
pub async fn a_truncated_log_is_found_and_stops_the_authority() {
    let (mut authority, _) = with_a_history().await;
    let size = authority.log().await.len() as u64;
    authority.tamper(&format!("DELETE FROM log_entry WHERE idx >= {}", size - 3)).await;
    assert_eq!(authority.faults_of_the_log().await, [Fault::Short { entries: size - 3, signed: size }]);
    stops(&mut authority).await;
}

#[tokio::test]
pub async fn a_log_without_any_checkpoint_stops_the_authority() {
    let (mut authority, _) = with_a_history().await;
    authority.tamper("DELETE FROM log_checkpoint").await;
    stops(&mut authority).await;
}

#[tokio::test]
pub async fn a_checkpoint_of_another_key_stops_the_authority() {
    let (mut authority, _) = with_a_history().await;
    let size = authority.log().await.len();
    let other = checkpoint::LogSigner::new(&authority.issuer, &[7; 32]).unwrap();
    let forged = other.sign(TreeHead { size: size as u64, root: record_hash(b"mine") }).unwrap();
    authority.tamper(&format!("UPDATE log_checkpoint SET note = '{forged}' WHERE size = {size}")).await;
    stops(&mut authority).await;
}

/// Who takes the last entries, hashes *and* checkpoints leaves a log that is whole in itself: an older one. The
/// authority can't know; whoever saw the newer one can.
#[tokio::test]
pub async fn a_log_rolled_back_whole_is_found_by_whoever_saw_it() {
    let (mut authority, grants) = with_a_history().await;
    let (_, seen) = grants.last().unwrap().receipt.verify(&authority.log_key, None).unwrap();
    let shorter = seen.size - 2;
    let hashes = tlog_tiles::stored_hash_count(shorter);
    for statement in [
        format!("DELETE FROM log_entry WHERE idx >= {shorter}"),
        format!("DELETE FROM log_private WHERE idx >= {shorter}"),
        format!("DELETE FROM log_hash WHERE idx >= {hashes}"),
        format!("DELETE FROM log_checkpoint WHERE size > {shorter}"),
    ] {
        authority.tamper(&statement).await;
    }
    authority.restart().await;
    assert_eq!(authority.faults_of_the_log().await, []);
    let ask = Ask { log_size: seen.size, ..Ask::new("wiki") };
    let first = authority.ask(&ask, &proof_key()).await.grant().receipt.verify(&authority.log_key, Some(seen));
    assert_eq!(first.unwrap_err(), BadReceipt::RolledBack { seen: seen.size, now: shorter + 1 });
    // Grown past what was seen, it is another log.
    authority.ask(&ask, &proof_key()).await.grant();
    let third = authority.ask(&ask, &proof_key()).await.grant().receipt.verify(&authority.log_key, Some(seen));
    assert_eq!(third.unwrap_err(), BadReceipt::Forked);
}

#[tokio::test]
pub async fn a_receipt_convinces_of_its_own_entry_only() {
    let (authority, grants) = with_a_history().await;
    let good = &grants[2].receipt;
    let log_key = authority.log_key.as_str();
    let (_, older) = grants[1].receipt.verify(log_key, None).unwrap();
    let altered = |change: &dyn Fn(&mut elevate::log::receipt::Receipt)| {
        let mut receipt = good.clone();
        change(&mut receipt);
        receipt.verify(log_key, Some(older)).unwrap_err()
    };
    assert_eq!(altered(&|r| r.leaf = r.leaf.replace("wiki", "wikj")), BadReceipt::NotIncluded);
    assert_eq!(altered(&|r| r.private.clear["sub"] = json!("uid:4242")), BadReceipt::Private);
    assert_eq!(altered(&|r| r.private.salt = base64url([0; 32])), BadReceipt::Private);
    assert_eq!(altered(&|r| drop(r.inclusion.pop())), BadReceipt::NotIncluded);
    assert_eq!(altered(&|r| r.inclusion.reverse()), BadReceipt::NotIncluded);
    assert_eq!(altered(&|r| r.inclusion = vec!["?".into()]), BadReceipt::Malformed);
    assert_eq!(altered(&|r| r.leaf.clear()), BadReceipt::Malformed);
    assert_eq!(altered(&|r| r.checkpoint = grants[4].receipt.checkpoint.clone()), BadReceipt::NotIncluded);
    assert!(matches!(altered(&|r| r.checkpoint = r.checkpoint.replace('\n', "\n\n")), BadReceipt::Checkpoint(_)));
    // Asked without saying what was seen: no proof that it is a continuation.
    assert_eq!(good.verify(log_key, Some(older)), Err(BadReceipt::Forked));
    let (_, head) = good.verify(log_key, None).unwrap();
    assert_eq!(checkpoint::open(&good.checkpoint, log_key), Ok(head));
}
