//! The flow: who asks gets what policy allows, for as long as it allows, once, and it is in the log.

mod hardware;
mod sealed;

use crate::harness::{
    Answer, Ask, CONFIG, Reply, TestAuthority, TestKey, claims, me, noon, operation_body, policy, proof_key,
};
use elevate::authority::audit::Entry;
use elevate::authority::elevation::ElevationId;
use elevate::authority::question::Question;
use elevate::log::leaf::Event;
use elevate::protocol::assurance::Assurance;
use elevate::protocol::messages::{GrantResponse, OperationName, ResourceKind};
use serde_json::{Value, json};
use std::sync::Arc;

/// An authority, and its user with one touch key.
async fn with_a_key() -> (TestAuthority, TestKey) {
    let authority = TestAuthority::start().await;
    let key = TestKey::touch_only();
    authority.enrol("blue", &key, None).await.unwrap();
    (authority, key)
}

async fn grant(authority: &TestAuthority, ask: &Ask, key: &TestKey) -> GrantResponse {
    authority.elevate(ask, &proof_key(), key).await.grant()
}

// --- what is granted ---------------------------------------------------------------------------------------------

#[tokio::test]
pub async fn low_risk_is_granted_in_one_exchange() {
    let authority = TestAuthority::start().await;
    let key = proof_key();
    let grant = authority.ask(&Ask::new("wiki"), &key).await.grant();
    assert_eq!(grant.token_type, "DPoP");
    assert_eq!(grant.kind, ResourceKind::Jwt);
    assert!(grant.secret.is_none());
    let token = claims(&grant.access_token);
    assert_eq!(token.iss, authority.issuer);
    assert_eq!(token.aud, "https://wiki.example");
    assert_eq!(token.sub, me());
    assert_eq!(token.cnf.jkt, key.jkt());
    assert_eq!(token.scope, "read write", "no scope asked means all there are");
    assert_eq!(token.jti, grant.grant_id);
    assert_eq!((token.iat, token.exp), (noon().as_second(), grant.expires_at.as_second()));
    assert_eq!(token.exp - token.iat, 300, "a service that can't check DPoP gets five minutes at most");
    assert_eq!((token.acr.as_str(), token.amr.len(), token.auth_time), ("urn:elevate:acr:session", 0, None));
    assert!(authority.is_active(&grant.access_token).await);
}

/// On a socket the kernel says who asks, and what a token is worth stands in the store.
#[tokio::test]
pub async fn introspection_on_a_socket_does_not_look_at_the_files() {
    let authority = TestAuthority::start().await;
    let token = authority.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
    let loaded = async || authority.events().await.iter().filter(|event| *event == "rules.loaded").count();
    authority.write_policy(&format!("{}// another\n", policy()));
    let before = loaded().await;
    assert!(authority.is_active(&token).await);
    assert_eq!(loaded().await, before, "they were looked at");
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    assert_eq!(loaded().await, before + 1, "they did change");
}

#[tokio::test]
pub async fn a_sensitive_resource_takes_a_touch() {
    let (authority, key) = with_a_key().await;
    let proof = proof_key();
    let ask = Ask::new("prod-db").scope("read").ttl("10m").reason("the nightly job hangs");
    let step_up = authority.ask(&ask, &proof).await.step_up();
    assert_eq!(step_up.error, "insufficient_authorization");
    assert_eq!(
        step_up.error_description,
        "sensitive resources need a touch of your key; you have not used this resource before"
    );
    assert_eq!(step_up.elevate_kind, ResourceKind::Jwt);
    assert_eq!(step_up.authn_params_public_key.rp_id, "localhost");
    assert_eq!(step_up.authn_params_public_key.allow_credentials[0].id, key.id);
    assert_eq!(authority.count("SELECT count(*) FROM elevation_grant WHERE resource = 'prod-db'").await, 0);

    authority.clock.advance(20);
    let assertion = key.sign(&step_up.authn_params_public_key);
    let grant = authority.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await.grant();
    let token = claims(&grant.access_token);
    assert_eq!(token.aud, "https://db.example");
    assert_eq!(token.acr, "urn:elevate:acr:touch");
    assert_eq!(token.amr, ["pop", "user"]);
    assert_eq!(token.auth_time, Some(noon().as_second() + 20));
    assert_eq!(token.scope, "read");
    assert_eq!(token.exp - token.iat, 600);
    assert_eq!((grant.acr, grant.expires_in), (token.acr, 600));
}

#[tokio::test]
pub async fn a_critical_resource_takes_a_pin() {
    let authority = TestAuthority::start().await;
    let key = TestKey::with_pin();
    authority.enrol("pin", &key, None).await.unwrap();
    let token = claims(&grant(&authority, &Ask::new("payroll"), &key).await.access_token);
    assert_eq!(token.acr, "phr");
    assert_eq!(token.amr, ["pop", "user", "mfa"]);
    assert_eq!(token.exp - token.iat, 300);
}

#[tokio::test]
pub async fn the_rung_reached_is_the_one_that_was_proved_not_the_one_that_was_asked() {
    let authority = TestAuthority::start().await;
    let key = TestKey::with_pin();
    authority.enrol("pin", &key, None).await.unwrap();
    // A touch is asked, and the key gives more.
    assert_eq!(claims(&grant(&authority, &Ask::new("prod-db"), &key).await.access_token).acr, "phr");
}

#[tokio::test]
pub async fn time_is_the_shortest_of_what_is_asked_and_what_is_allowed() {
    let (authority, key) = with_a_key().await;
    for (resource, asked, granted) in [
        ("prod-db", None, 900),
        ("prod-db", Some("5s"), 5),
        ("prod-db", Some("30d"), 900),
        ("wiki", Some("2m"), 120),
        ("wiki", Some("1h"), 300),
    ] {
        let ask = Ask::new(resource);
        let ask = asked.map_or(ask.clone(), |ttl| ask.ttl(ttl));
        let grant = grant(&authority, &ask, &key).await;
        assert_eq!(grant.expires_in, granted, "{resource}, {asked:?}");
    }
}

#[tokio::test]
pub async fn scope_is_what_was_asked_or_refused_never_more() {
    let (authority, key) = with_a_key().await;
    for (asked, granted) in [("", "read write"), ("read", "read"), ("write read", "read write")] {
        assert_eq!(grant(&authority, &Ask::new("prod-db").scope(asked), &key).await.scope.to_string(), granted);
    }
    for asked in ["admin", "read admin"] {
        let no = authority.ask(&Ask::new("prod-db").scope(asked), &proof_key()).await.no();
        assert_eq!(no.code(), (400, "invalid_scope"));
        assert!(no.says().contains("it has: read write"), "{}", no.says());
    }
}

#[tokio::test]
pub async fn an_unknown_resource_is_an_invalid_target() {
    let authority = TestAuthority::start().await;
    let no = authority.ask(&Ask::new("prod-bd"), &proof_key()).await.no();
    assert_eq!(no.code(), (400, "invalid_target"));
    for malformed in ["Prod", "run", "../x", "a\u{1b}[2Jb"] {
        let ask = Ask { resource: malformed.into(), ..Ask::new("x") };
        let no = authority.ask(&ask, &proof_key()).await.no();
        assert_eq!(no.status, 400, "{malformed:?}");
        assert!(!no.says().contains('\u{1b}'), "{}", no.says());
    }
}

#[tokio::test]
pub async fn a_denial_names_its_policy_and_is_in_the_log() {
    let authority = TestAuthority::start().await;
    let no = authority.ask(&Ask::new("bunker"), &proof_key()).await.no();
    assert_eq!((no.code(), no.says()), ((403, "access_denied"), "nobody goes there"));
    let entry = authority.last_entry().await;
    assert_eq!(entry["event"], "elevation.denied");
    assert_eq!(entry["policies"], json!(["closed"]));
    assert_eq!(entry["elevation"], json!(no.body.elevation.unwrap()));
}

#[tokio::test]
pub async fn without_a_key_that_can_prove_it_nobody_is_asked_to_touch_one() {
    let authority = TestAuthority::start().await;
    let no = authority.ask(&Ask::new("prod-db"), &proof_key()).await.no();
    assert_eq!(no.code(), (403, "access_denied"));
    assert!(no.body.elevate_hint.unwrap().contains("elevate key enroll"));
    authority.enrol("blue", &TestKey::touch_only(), None).await.unwrap();
    authority.ask(&Ask::new("prod-db"), &proof_key()).await.step_up();
    // It has no PIN, and a PIN is what this takes.
    assert_eq!(authority.ask(&Ask::new("payroll"), &proof_key()).await.no().code(), (403, "access_denied"));
}

#[tokio::test]
pub async fn where_nobody_is_there_nobody_is_asked() {
    let (authority, _) = with_a_key().await;
    let ask = |resource| Ask { prompt: Some("none".into()), ..Ask::new(resource) };
    authority.ask(&ask("wiki"), &proof_key()).await.grant();
    let no = authority.ask(&ask("prod-db"), &proof_key()).await.no();
    assert_eq!((no.code(), no.says()), ((400, "interaction_required"), "this takes a touch of your key"));
    assert_eq!(authority.count("SELECT count(*) FROM auth_session WHERE spent_at IS NULL").await, 0);
}

// --- the challenge -----------------------------------------------------------------------------------------------

#[tokio::test]
pub async fn a_challenge_dies_after_two_minutes() {
    let (authority, key) = with_a_key().await;
    for (wait, taken) in [(119, true), (120, false), (3600, false)] {
        let (proof, ask) = (proof_key(), Ask::new("prod-db"));
        let step_up = authority.ask(&ask, &proof).await.step_up();
        let assertion = key.sign(&step_up.authn_params_public_key);
        authority.clock.advance(wait);
        match authority.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await {
            Answer::Grant(_) => assert!(taken, "taken after {wait} s"),
            answer => {
                assert!(!taken, "refused after {wait} s: {answer:?}");
                assert_eq!(answer.no().code(), (400, "invalid_grant"));
            }
        }
    }
}

#[tokio::test]
pub async fn a_failed_answer_ends_the_challenge() {
    let (authority, key) = with_a_key().await;
    let (proof, ask) = (proof_key(), Ask::new("prod-db"));
    let step_up = authority.ask(&ask, &proof).await.step_up();
    let options = &step_up.authn_params_public_key;
    let bad = key.sign_saying(options, |says| says.challenge = vec![0; 32]);
    let no = authority.token(&ask.answer(&step_up.auth_session, &bad), &proof).await.no();
    assert_eq!(
        (no.code(), no.says()),
        ((400, "invalid_grant"), "the step-up failed: the key signed another challenge")
    );
    assert_eq!(authority.last_entry().await["event"], "step_up.failed");
    let good = key.sign(options);
    let no = authority.token(&ask.answer(&step_up.auth_session, &good), &proof).await.no();
    assert!(no.says().contains("this step-up is over"), "{}", no.says());
}

#[tokio::test]
pub async fn three_failures_make_the_next_request_take_a_touch() {
    let (authority, key) = with_a_key().await;
    let ask = Ask::new("prod-db");
    for _ in 0..3 {
        authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
        let proof = proof_key();
        let step_up = authority.ask(&ask, &proof).await.step_up();
        let bad = key.sign_saying(&step_up.authn_params_public_key, |says| says.challenge = vec![0; 32]);
        authority.token(&ask.answer(&step_up.auth_session, &bad), &proof).await.no();
    }
    let step_up = authority.ask(&Ask::new("wiki"), &proof_key()).await.step_up();
    assert!(step_up.error_description.contains("several step-ups failed"), "{}", step_up.error_description);
    authority.clock.advance(601);
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
}

#[tokio::test]
pub async fn twenty_answers_at_once_are_one_grant() {
    let (authority, key) = with_a_key().await;
    let (authority, proof, ask) = (Arc::new(authority), proof_key(), Ask::new("prod-db"));
    let step_up = authority.ask(&ask, &proof).await.step_up();
    let request = ask.answer(&step_up.auth_session, &key.sign(&step_up.authn_params_public_key));
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (authority, proof, request) = (authority.clone(), proof.clone(), request.clone());
        racing.spawn(async move { authority.token(&request, &proof).await });
    }
    let answers = racing.join_all().await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Answer::Grant(_))).count(), 1);
    for answer in answers {
        if !matches!(answer, Answer::Grant(_)) {
            let no = answer.no();
            assert!(matches!(no.status, 400 | 409), "{no:?}");
        }
    }
    assert_eq!(authority.count("SELECT count(*) FROM elevation_grant WHERE resource = 'prod-db'").await, 1);
    assert_eq!(
        authority.events().await.iter().filter(|event| *event == "grant.issued").count(),
        2,
        "the key's, and one"
    );
    assert_eq!(authority.faults_of_the_log().await, []);
}

// --- the end of a grant ------------------------------------------------------------------------------------------

#[tokio::test]
pub async fn a_revoked_token_is_inactive() {
    let authority = TestAuthority::start().await;
    let token = authority.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
    let other = authority.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
    assert!(authority.is_active(&token).await);
    assert_eq!(authority.revoke(&token).await.status, 200);
    assert!(!authority.is_active(&token).await);
    assert!(authority.is_active(&other).await);
    assert_eq!(authority.last_entry().await["event"], "grant.revoked");
    // RFC 7009 section 2.2: what is no token is no error, and nothing happens.
    let entries = authority.log().await.len();
    assert_eq!(authority.revoke(&token).await.status, 200);
    assert_eq!(authority.revoke(&elevate::protocol::secret::Secret::new("no token".into())).await.status, 200);
    assert_eq!(authority.log().await.len(), entries);
}

#[tokio::test]
pub async fn a_grant_ends_at_its_time() {
    let authority = TestAuthority::start().await;
    let token = authority.ask(&Ask::new("wiki").ttl("10s"), &proof_key()).await.grant().access_token;
    authority.clock.advance(9);
    assert!(authority.is_active(&token).await);
    authority.clock.advance(1);
    assert!(!authority.is_active(&token).await);
}

#[tokio::test]
pub async fn a_disabled_user_gets_nothing_and_loses_what_there_is() {
    let authority = TestAuthority::start().await;
    let token = authority.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
    authority.tamper(&format!("UPDATE \"user\" SET disabled_at = 1 WHERE sub = '{}'", me())).await;
    assert!(!authority.is_active(&token).await);
    let no = authority.ask(&Ask::new("wiki"), &proof_key()).await.no();
    assert_eq!((no.code(), no.says()), ((403, "access_denied"), "your account was disabled"));
    assert_eq!(authority.last_entry().await["event"], "elevation.denied");
}

#[tokio::test]
pub async fn an_administrator_shuts_a_user_out_and_lets_them_in_again() {
    let (authority, key) = with_a_key().await;
    authority.tamper("INSERT INTO \"user\" (sub, created_at) VALUES ('uid:4242', 1)").await;
    authority
        .tamper(&format!(
            "INSERT INTO elevation_grant (id, sub, resource, scope, jkt, acr, issued_at, expires_at) \
             VALUES ('theirs', 'uid:4242', 'wiki', '', 'x', 'x', {0}, {0} + 600)",
            noon().as_second()
        ))
        .await;
    let standing = "SELECT count(*) FROM elevation_grant WHERE id = 'theirs' AND revoked_at IS NULL";
    let out = "SELECT count(*) FROM \"user\" WHERE sub = 'uid:4242' AND disabled_at IS NOT NULL";
    assert_eq!((authority.count(standing).await, authority.count(out).await), (1, 0));
    authority.operate(OperationName::UserDisable, Some("uid:4242"), None, &key).await.unwrap();
    assert_eq!((authority.count(standing).await, authority.count(out).await), (0, 1));
    authority.operate(OperationName::UserEnable, Some("uid:4242"), None, &key).await.unwrap();
    assert_eq!(authority.count(out).await, 0);
    let no = authority.operate(OperationName::UserDisable, Some(&me()), None, &key).await.unwrap_err();
    assert_eq!((no.status, no.says()), (409, "you can't shut yourself out"));
}

// --- what services read ------------------------------------------------------------------------------------------

#[tokio::test]
pub async fn metadata_is_rfc_8414_and_names_what_is_there() {
    let authority = TestAuthority::start().await;
    let issuer = &authority.issuer;
    let path = issuer.strip_prefix("https://localhost").unwrap();
    let plain = authority.get("/.well-known/oauth-authorization-server").await;
    let below = authority.get(&format!("/.well-known/oauth-authorization-server{path}")).await;
    assert_eq!(plain.json, below.json);
    let metadata = plain.json.unwrap();
    assert_eq!(metadata["issuer"], **issuer);
    for (endpoint, path) in [
        ("token_endpoint", "/token"),
        ("jwks_uri", "/jwks"),
        ("revocation_endpoint", "/revoke"),
        ("introspection_endpoint", "/introspect"),
    ] {
        assert_eq!(metadata[endpoint], format!("{issuer}{path}"));
    }
    assert_eq!(metadata["grant_types_supported"], json!(["urn:ietf:params:oauth:grant-type:token-exchange"]));
    assert_eq!(metadata["response_types_supported"], json!([]));
    assert_eq!(metadata["dpop_signing_alg_values_supported"], json!(["ES256"]));
    assert_eq!(metadata["authorization_details_types_supported"], json!(["elevate"]));
    assert_eq!(
        metadata["acr_values_supported"],
        json!(["urn:elevate:acr:session", "urn:elevate:acr:touch", "phr", "phrh"])
    );
}

#[tokio::test]
pub async fn jwks_hold_public_keys_only_and_keep_retired_ones() {
    let (authority, key) = with_a_key().await;
    let jwks = async || authority.get(&authority.at("/jwks")).await.json.unwrap()["keys"].as_array().unwrap().clone();
    let before = jwks().await;
    assert_eq!(before.len(), 1);
    let old = authority.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
    authority.operate(OperationName::SigningKeyRotate, None, None, &key).await.unwrap();
    let after = jwks().await;
    assert_eq!(after.len(), 2);
    for jwk in &after {
        assert_eq!(
            (&jwk["kty"], &jwk["crv"], &jwk["alg"], &jwk["use"]),
            (&json!("EC"), &json!("P-256"), &json!("ES256"), &json!("sig"))
        );
        assert!(jwk.get("d").is_none(), "a private key is published");
    }
    let new = authority.ask(&Ask::new("wiki"), &proof_key()).await.grant().access_token;
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    assert_eq!(json!(kid(old.expose())), before[0]["kid"]);
    assert_ne!(kid(old.expose()), kid(new.expose()));
    assert!(authority.is_active(&old).await && authority.is_active(&new).await);
    // The old one stays for as long as a token may live that it signed.
    authority.clock.advance(30 * 86_400);
    assert_eq!(jwks().await, after);
    authority.clock.advance(3600);
    assert_eq!(json!([json!(kid(new.expose()))]), json!([jwks().await[0]["kid"]]));
    assert_eq!(jwks().await.len(), 1);
}

#[tokio::test]
pub async fn the_catalogue_shows_what_the_caller_may_ask_for() {
    let authority = TestAuthority::start().await;
    let catalogue = authority.get(&authority.at("/resources")).await.json.unwrap();
    let rows: Vec<(&str, &str)> = catalogue["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["resource"].as_str().unwrap(), row["assurance"].as_str().unwrap()))
        .collect();
    let expected = [
        ("deploy-key", "touch"),
        ("payroll", "verified"),
        ("prod-db", "touch"),
        ("spare-key", "touch"),
        ("wiki", "session"),
    ];
    assert_eq!(rows, expected, "what nobody may have is not shown");
    let why = authority.get(&authority.at("/explain?resource=bunker")).await.json.unwrap();
    assert_eq!((&why["decision"], &why["policies"]), (&json!("deny"), &json!(["closed"])));
    let why = authority.get(&authority.at("/explain?resource=prod-db")).await.json.unwrap();
    assert_eq!((&why["decision"], &why["assurance"]), (&json!("step_up"), &json!("touch")));
    assert_eq!(why["signals"][0]["name"], "first_use_of_resource");
}

/// Each decision keeps its question, so that it can be put to another policy later.
#[tokio::test]
pub async fn an_entry_of_a_decision_keeps_the_question_and_it_is_answered_the_same_again() {
    let (authority, key) = with_a_key().await;
    for (resource, assurance) in
        [("wiki", Some(Assurance::Session)), ("prod-db", Some(Assurance::Touch)), ("bunker", None)]
    {
        match assurance {
            Some(_) => drop(grant(&authority, &Ask::new(resource), &key).await),
            None => drop(authority.ask(&Ask::new(resource), &proof_key()).await.no()),
        }
        let log = authority.log().await;
        let clear = &log.last().unwrap().private.as_ref().unwrap().clear;
        let kept = &clear["question"];
        let question: Question = serde_json::from_value(kept.clone()).unwrap();
        assert_eq!(question.resource.name.as_str(), resource);
        let rules = authority.authority.rules().await.unwrap();
        assert_eq!(clear["rules"], rules.digest, "under which rules, as `rules.loaded` names them");
        let again = rules.policy.decide(&ElevationId::fresh(), &question);
        assert_eq!(again.ok().map(|permitted| permitted.assurance()), assurance, "{resource}");
    }
}

// --- receipts ----------------------------------------------------------------------------------------------------

#[tokio::test]
pub async fn every_grant_comes_with_a_receipt_and_the_log_only_grows() {
    let (authority, key) = with_a_key().await;
    let mut seen = None;
    for round in 0..40 {
        let resource = if round % 5 == 0 { "prod-db" } else { "wiki" };
        let log_size = seen.map_or(0, |head: elevate::log::checkpoint::TreeHead| head.size);
        let grant = grant(&authority, &Ask { log_size, ..Ask::new(resource) }, &key).await;
        let (leaf, head) = grant.receipt.verify(&authority.log_key, seen).unwrap();
        assert_eq!(leaf.event, Event::GrantIssued);
        assert_eq!(leaf.elevation, claims(&grant.access_token).txn);
        assert_eq!(leaf.resource.as_deref(), Some(resource));
        assert_eq!(leaf.acr.as_deref(), Some(grant.acr.as_str()));
        assert_eq!(grant.receipt.private.clear["grant_id"], grant.grant_id);
        let evidence = &grant.receipt.private.clear["evidence"];
        assert_eq!(evidence.is_null(), resource == "wiki", "a touch leaves its evidence, no touch leaves none");
        assert!(seen.is_none_or(|seen| head.size > seen.size));
        seen = Some(head);
    }
    assert_eq!(authority.faults_of_the_log().await, []);
}

#[tokio::test]
pub async fn grants_at_once_share_a_checkpoint_and_each_has_its_receipt() {
    let authority = Arc::new(TestAuthority::start().await);
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let authority = authority.clone();
        racing.spawn(async move { authority.ask(&Ask::new("wiki"), &proof_key()).await.grant() });
    }
    let grants = racing.join_all().await;
    let mut places = Vec::new();
    for grant in &grants {
        places.push(grant.receipt.verify(&authority.log_key, None).unwrap().0.index);
    }
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 30, "two grants share an entry");
    assert_eq!(authority.faults_of_the_log().await, []);
}

// --- secrets and operations --------------------------------------------------------------------------------------

#[tokio::test]
pub async fn a_secret_is_sealed_at_rest_and_handed_out_to_whom_it_is_granted() {
    let (authority, key) = with_a_key().await;
    let no = authority.ask(&Ask::new("deploy-key"), &proof_key()).await.no();
    assert_eq!((no.status, no.says()), (409, "no secret is stored for 'deploy-key'"), "before anybody touches a key");

    let secret = "correct horse battery staple";
    authority.operate(OperationName::SecretSet, Some("deploy-key"), Some(secret), &key).await.unwrap();
    let grant = grant(&authority, &Ask::new("deploy-key"), &key).await;
    assert_eq!(grant.kind, ResourceKind::Secret);
    assert_eq!(grant.secret.as_ref().unwrap().expose(), secret);
    assert_eq!(claims(&grant.access_token).aud, "urn:elevate:resource:deploy-key");
    assert!(!String::from_utf8_lossy(grant.receipt.leaf.as_bytes()).contains(secret));

    let mut read = 0;
    for file in std::fs::read_dir(authority.data()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        read += bytes.len();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "it is on disk in the clear");
    }
    assert!(read > 10_000, "the database was not read");

    authority.operate(OperationName::SecretRemove, Some("deploy-key"), None, &key).await.unwrap();
    assert_eq!(authority.ask(&Ask::new("deploy-key"), &proof_key()).await.no().status, 409);
}

#[tokio::test]
pub async fn secrets_go_where_secrets_belong() {
    let (authority, key) = with_a_key().await;
    for (target, secret, status) in [
        (Some("wiki"), Some("x"), 400),
        (Some("nowhere"), Some("x"), 400),
        (Some("deploy-key"), Some(""), 400),
        (Some("deploy-key"), None, 400),
        (None, Some("x"), 400),
    ] {
        let no = authority.operate(OperationName::SecretSet, target, secret, &key).await.unwrap_err();
        assert_eq!(no.status, status, "{target:?} {secret:?}: {}", no.says());
    }
    let big = "x".repeat((64 << 10) + 1);
    let no = authority.operate(OperationName::SecretSet, Some("deploy-key"), Some(&big), &key).await.unwrap_err();
    assert!(no.says().contains("64 KiB"), "{}", no.says());
    assert_eq!(authority.count("SELECT count(*) FROM secret").await, 0);
}

#[tokio::test]
pub async fn an_operation_is_carried_out_once_and_only_as_it_was_approved() {
    let (authority, key) = with_a_key().await;
    let approved = operation_body(Some("deploy-key"), Some("s3cret"));
    let proof = proof_key();
    let ask = Ask::operation(OperationName::SecretSet, Some("deploy-key"), &approved);
    let token = authority.elevate(&ask, &proof, &key).await.grant().access_token;

    // Another target, another secret, and the same once more under another salt.
    for (target, secret) in [("spare-key", "s3cret"), ("deploy-key", "another"), ("deploy-key", "s3cret")] {
        let other_body = operation_body(Some(target), Some(secret));
        let reply = authority.carry_out(OperationName::SecretSet, other_body, token.expose(), &proof).await;
        assert_eq!(reply.no().code(), (401, "invalid_token"), "{target} {secret}");
    }
    let reply = authority.carry_out(OperationName::SecretRemove, approved.clone(), token.expose(), &proof).await;
    assert_eq!(reply.no().code(), (401, "invalid_token"));
    let reply = authority.carry_out(OperationName::SecretSet, approved.clone(), token.expose(), &proof_key()).await;
    assert!(reply.no().says().contains("another proof key"));
    assert_eq!(authority.count("SELECT count(*) FROM secret").await, 0);

    let reply = authority.carry_out(OperationName::SecretSet, approved.clone(), token.expose(), &proof).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let entry = authority.last_entry().await;
    assert_eq!((&entry["event"], &entry["resource"]), (&json!("secret.set"), &json!("deploy-key")));
    let reply = authority.carry_out(OperationName::SecretSet, approved, token.expose(), &proof).await;
    assert!(reply.no().says().contains("its grant is over"));
    assert!(!authority.is_active(&token).await);
}

#[tokio::test]
pub async fn an_operation_raced_is_carried_out_once() {
    let (authority, key) = with_a_key().await;
    let body = operation_body(Some("deploy-key"), Some("s3cret"));
    let (authority, proof) = (Arc::new(authority), proof_key());
    let ask = Ask::operation(OperationName::SecretSet, Some("deploy-key"), &body);
    let token = authority.elevate(&ask, &proof, &key).await.grant().access_token;
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (authority, proof, body, token) = (authority.clone(), proof.clone(), body.clone(), token.clone());
        racing.spawn(async move {
            authority.carry_out(OperationName::SecretSet, body, token.expose(), &proof).await.status
        });
    }
    let statuses = racing.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(authority.events().await.iter().filter(|event| *event == "secret.set").count(), 1);
}

#[tokio::test]
pub async fn a_token_for_a_resource_carries_out_nothing() {
    let authority = TestAuthority::start().await;
    let proof = proof_key();
    let token = authority.ask(&Ask::new("wiki"), &proof).await.grant().access_token;
    let reply = authority.carry_out(OperationName::UserList, operation_body(None, None), token.expose(), &proof).await;
    assert_eq!(reply.no().code(), (401, "invalid_token"));
}

#[tokio::test]
pub async fn administration_is_for_administrators() {
    let config = format!("admins = [\"uid:4242\"]\n{CONFIG}");
    let authority = TestAuthority::with(&config, &policy()).await;
    let key = TestKey::touch_only();
    authority.enrol("blue", &key, None).await.unwrap();
    for name in [OperationName::UserList, OperationName::SigningKeyRotate, OperationName::GrantList] {
        let no = authority.operate(name, None, None, &key).await.unwrap_err();
        assert_eq!(no.code(), (403, "access_denied"), "{name}");
    }
    authority.write_config(CONFIG);
    let users = authority.operate(OperationName::UserList, None, None, &key).await.unwrap();
    assert_eq!(users["users"][0]["user"], me());
    assert_eq!(authority.last_entry().await["event"], "admin.read");
}

// --- security keys -----------------------------------------------------------------------------------------------

#[tokio::test]
pub async fn the_first_key_is_free_and_the_next_one_is_vouched_for() {
    let authority = TestAuthority::start().await;
    let (first, second) = (TestKey::touch_only(), TestKey::with_pin());
    let enrolled = authority.enrol("blue", &first, None).await.unwrap();
    assert!(!enrolled.software && !enrolled.verifies_user);

    let body = json!({ "name": "green", "salt": "AA" }).to_string().into_bytes();
    let ask = Ask::operation(OperationName::KeyEnroll, Some("green"), &body);
    authority.ask(&ask, &proof_key()).await.step_up();
    let enrolled = authority.enrol("green", &second, Some(&first)).await.unwrap();
    assert!(enrolled.verifies_user);

    // Now that one of them has a PIN, a touch changes nothing any more.
    let no = authority.enrol("red", &TestKey::touch_only(), Some(&first)).await.unwrap_err();
    assert_eq!(no.status, 400, "{}", no.says());
    authority.operate(OperationName::KeyRemove, Some("blue"), None, &second).await.unwrap();
    let keys = authority.get(&authority.at("/keys")).await.json.unwrap();
    assert_eq!(keys.as_array().unwrap().len(), 1);
    assert_eq!(keys[0]["name"], "green");
    let events = authority.events().await;
    assert_eq!(events.iter().filter(|event| *event == "key.enrolled").count(), 2);
    assert_eq!(events.last().unwrap(), "key.removed");
}

#[tokio::test]
pub async fn a_key_has_a_name_of_its_own_and_is_enrolled_once() {
    let (authority, key) = with_a_key().await;
    let no = authority.enrol("blue", &TestKey::touch_only(), Some(&key)).await.unwrap_err();
    assert!(no.status == 409 && no.says().contains("of that name already"), "{}", no.says());
    let no = authority.enrol("green", &key, Some(&key)).await.unwrap_err();
    assert!(matches!(no.status, 400 | 409), "{}", no.says());
    assert_eq!(authority.count("SELECT count(*) FROM security_key").await, 1);
}

#[tokio::test]
pub async fn two_first_keys_at_once_are_one() {
    let authority = TestAuthority::start().await;
    let (mine, thiefs) = (TestKey::touch_only(), TestKey::touch_only());
    let (proof, other) = (proof_key(), proof_key());
    // Both are begun while there is no key yet: each on the word of the session.
    let first = authority.begin_enrolment("mine", &proof, None).await.unwrap();
    let second = authority.begin_enrolment("thief's", &other, None).await.unwrap();
    let (made, other_made) = (mine.make(&first.public_key), thiefs.make(&second.public_key));
    let (one, two) = tokio::join!(
        authority.finish_enrolment(&first, made, &proof),
        authority.finish_enrolment(&second, other_made, &other)
    );
    let refused = one.err().xor(two.err()).expect("exactly one is enrolled");
    assert_eq!(refused.status, 409, "{}", refused.says());
    assert_eq!(authority.count("SELECT count(*) FROM security_key").await, 1);
}

#[tokio::test]
pub async fn software_keys_need_leave() {
    let config = CONFIG.replace("allow_software_keys = true", "");
    let authority = TestAuthority::with(&config, &policy()).await;
    let software = TestKey::software();
    let no = authority.enrol("file", &software, None).await.unwrap_err();
    assert_eq!((no.code(), no.says()), ((403, "access_denied"), "software keys are not allowed here"));
    assert_eq!(authority.count("SELECT count(*) FROM security_key").await, 0);

    // One that was enrolled while it was allowed is worth nothing once it is not.
    authority.write_config(CONFIG);
    assert!(authority.enrol("file", &software, None).await.unwrap().software);
    let token = claims(&grant(&authority, &Ask::new("prod-db"), &software).await.access_token);
    assert_eq!(token.amr, ["swk", "user"]);
    authority.write_config(&config);
    assert_eq!(authority.ask(&Ask::new("prod-db"), &proof_key()).await.no().code(), (403, "access_denied"));
}

#[tokio::test]
pub async fn an_enrolment_is_finished_once_in_time_by_who_began_it() {
    let authority = TestAuthority::start().await;
    let (key, proof) = (TestKey::touch_only(), proof_key());
    let challenge = authority.begin_enrolment("late", &proof, None).await.unwrap();
    authority.clock.advance(121);
    let no = authority.finish_enrolment(&challenge, key.make(&challenge.public_key), &proof).await.unwrap_err();
    assert_eq!(no.code(), (400, "invalid_grant"));
    let challenge = authority.begin_enrolment("mine", &proof, None).await.unwrap();
    let made = || key.make(&challenge.public_key);
    let no = authority.finish_enrolment(&challenge, made(), &proof_key()).await.unwrap_err();
    assert_eq!(no.code(), (400, "invalid_grant"), "another proof key");
    authority.finish_enrolment(&challenge, made(), &proof).await.unwrap();
    let no = authority.finish_enrolment(&challenge, made(), &proof).await.unwrap_err();
    assert_eq!(no.code(), (400, "invalid_grant"), "a second time");
}

// --- rules that change -------------------------------------------------------------------------------------------

#[tokio::test]
pub async fn a_good_change_of_the_rules_is_taken_up_and_recorded() {
    let authority = TestAuthority::start().await;
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    authority.write_config(&CONFIG.replace("[resource.wiki]", "[resource.wiki]\ndescription = \"ours\""));
    authority.write_policy(&policy().replace("\"closed\"", "\"shut\""));
    authority.ask(&Ask::new("bunker"), &proof_key()).await.grant();
    let events = authority.events().await;
    assert!(events.contains(&"rules.loaded".to_owned()), "{events:?}");
}

#[tokio::test]
pub async fn a_broken_policy_leaves_the_old_one_and_says_file_line_and_reason() {
    let authority = TestAuthority::start().await;
    authority.ask(&Ask::new("bunker"), &proof_key()).await.no();
    authority.write_policy("permit (principal, action, resource);\npermit (principal, action\n");
    let no = authority.ask(&Ask::new("bunker"), &proof_key()).await.no();
    assert_eq!(no.says(), "nobody goes there", "the policy before is in force");
    let refused: Vec<Value> = authority
        .log()
        .await
        .into_iter()
        .map(|entry| serde_json::from_str::<Value>(&entry.leaf.unwrap()).unwrap())
        .filter(|leaf| leaf["event"] == "rules.refused")
        .collect();
    assert_eq!(refused.len(), 1, "said once, not at every request");
    let cause = refused[0]["cause"].as_str().unwrap();
    let file = authority.config().join("policy.cedar");
    assert!(
        cause.starts_with(&format!("{}:2: ", file.display())) || cause.starts_with(&format!("{}:3: ", file.display())),
        "{cause}"
    );
    let why = authority.get(&authority.at("/explain?resource=wiki")).await.json.unwrap();
    assert_eq!(why["stale_rules"], cause);
    // The repair is taken up like any change.
    authority.write_policy(&policy());
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    let why = authority.get(&authority.at("/explain?resource=wiki")).await.json.unwrap();
    assert!(why.get("stale_rules").is_none(), "{why}");
}

#[tokio::test]
pub async fn rules_that_vanish_or_that_others_can_write_are_not_taken_up() {
    use std::os::unix::fs::PermissionsExt as _;
    let authority = TestAuthority::start().await;
    let file = authority.config().join("authority.toml");
    std::fs::remove_file(&file).unwrap();
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    assert!(authority.authority.refused_rules().unwrap().to_string().contains("it does not exist"));
    authority.write_config(&CONFIG.replace("sensitivity = \"critical\"", "sensitivity = \"low\""));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let no = authority.ask(&Ask::new("payroll"), &proof_key()).await.no();
    assert_eq!(no.code(), (403, "access_denied"), "still critical");
    assert!(authority.authority.refused_rules().unwrap().to_string().contains("others can write it"));
}

// --- the clock ---------------------------------------------------------------------------------------------------

#[tokio::test]
pub async fn a_clock_that_went_back_lets_nobody_in_until_it_is_accepted() {
    let mut authority = TestAuthority::start().await;
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    authority.clock.advance(-60);
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    authority.clock.advance(-1);
    let no = authority.ask(&Ask::new("wiki"), &proof_key()).await.no();
    assert_eq!(no.code(), (503, "temporarily_unavailable"));
    assert!(no.says().contains("the clock went back 61 seconds"), "{}", no.says());
    assert!(no.body.elevate_hint.unwrap().contains("accept-clock"));
    authority.restart().await;
    assert_eq!(authority.ask(&Ask::new("wiki"), &proof_key()).await.no().status, 503, "a restart is no way around it");
    accept_clock(&authority).await;
    authority.restart().await;
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    assert_eq!(authority.faults_of_the_log().await, []);
    assert!(authority.events().await.contains(&"clock.accepted".to_owned()));
}

/// What `elevate-authority accept-clock` does, on this test's clock.
async fn accept_clock(authority: &TestAuthority) {
    use elevate::authority::{audit::Audit, signer::MasterKey, store::Faults, store::Store};
    let store = Store::open(&authority.place(), Faults::default()).await.unwrap();
    let master = MasterKey::load_or_create(&authority.data().join("authority.key")).unwrap();
    let audit = Audit::start(store, master.log_signer(&authority.issuer).unwrap(), authority.clock.clone());
    audit.record(Entry::new(Event::ClockAccepted, ElevationId::fresh(), json!({})), vec![]).await.unwrap();
}

#[tokio::test]
pub async fn times_in_the_log_never_go_back() {
    let authority = TestAuthority::start().await;
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    for step in [-30, 10, 5, -20] {
        authority.clock.advance(step);
        authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    }
    let times: Vec<String> = authority
        .log()
        .await
        .into_iter()
        .map(|entry| serde_json::from_str::<Value>(&entry.leaf.unwrap()).unwrap()["time"].as_str().unwrap().to_owned())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}

// --- bad input ---------------------------------------------------------------------------------------------------

/// A refusal as every refusal is: JSON of the one form, with a nonce for the next proof.
#[track_caller]
fn is_a_proper_no(what: &str, reply: &Reply) {
    assert!((400..600).contains(&reply.status), "{what}: {} {}", reply.status, reply.text);
    assert!(reply.nonce.is_some(), "{what}: no DPoP-Nonce");
    let Some(json) = &reply.json else { panic!("{what}: {} is no JSON: {:?}", reply.status, reply.text) };
    for field in ["error", "error_description", "elevate_code"] {
        assert!(json[field].is_string(), "{what}: {json}");
    }
}

#[tokio::test]
pub async fn garbage_is_refused_in_json_with_a_nonce() {
    let authority = TestAuthority::start().await;
    let at = |path: &str| authority.at(path);
    let garbage: [&[u8]; 5] = [b"", b"\0\xff\xfe", b"{", b"a=%ff%00&a=1", b"grant_type=x&grant_type=y"];
    let posts =
        ["/token", "/revoke", "/introspect", "/keys", "/keys/finish", "/operations/user.list", "/operations/%ff"];
    for path in posts {
        for body in garbage {
            for kind in ["application/x-www-form-urlencoded", "application/json", "", "text/\u{7f}"] {
                let mut request = authority.request("POST", &at(path)).body(body.to_vec());
                if !kind.contains('\u{7f}') {
                    request = request.header("Content-Type", kind);
                }
                is_a_proper_no(&format!("POST {path} {body:?} {kind}"), &authority.send(request).await);
            }
        }
    }
    for path in [
        "/",
        "/token",
        "/nothing",
        "/explain",
        "/explain?resource=%00",
        "/explain?resource=%ff",
        "/log/entries?from=-1",
        "/log/entries?from=x",
        "/log/checkpoints?above=99999999999999999999",
        "/operations/%ff",
        "/%ff",
        "/token/",
    ] {
        is_a_proper_no(path, &authority.get(&at(path)).await);
    }
    for path in ["/", "/token", "/.well-known/oauth-authorization-server/other", "/wrong-instance/token"] {
        is_a_proper_no(path, &authority.get(path).await);
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        for path in ["/token", "/jwks", "/keys"] {
            is_a_proper_no(&format!("{method} {path}"), &authority.send(authority.request(method, &at(path))).await);
        }
    }
    // It still works.
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
}

#[tokio::test]
pub async fn ten_megabytes_are_refused_unread() {
    let authority = TestAuthority::start().await;
    let big = vec![b'a'; 10 << 20];
    for path in ["/token", "/revoke", "/introspect"] {
        let request = authority
            .request("POST", &authority.at(path))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(big.clone());
        is_a_proper_no(path, &authority.send(request).await);
    }
    let proof = proof_key();
    let dpop = authority.prove("/keys/finish", &proof, None);
    let request = authority.request("POST", &authority.at("/keys/finish")).header("DPoP", dpop).body(big);
    is_a_proper_no("/keys/finish", &authority.send(request).await);
    authority.ask(&Ask::new("wiki"), &proof).await.grant();
}

#[tokio::test]
pub async fn a_request_that_makes_no_sense_is_told_so() {
    let authority = TestAuthority::start().await;
    let proof = proof_key();
    let good = Ask::new("wiki").request();
    let broken = [
        ("grant_type", {
            let mut r = good.clone();
            r.grant_type = "password".into();
            r
        }),
        ("client_id", {
            let mut r = good.clone();
            r.client_id = "somebody".into();
            r
        }),
        ("subject_token_type", {
            let mut r = good.clone();
            r.subject_token_type = "urn:x".into();
            r
        }),
        ("resource", {
            let mut r = good.clone();
            r.resource = "https://wiki.example".into();
            r
        }),
        ("details", {
            let mut r = good.clone();
            r.authorization_details = "[]".into();
            r
        }),
        ("details", {
            let mut r = good.clone();
            r.authorization_details = "\u{1b}[2J".into();
            r
        }),
        ("details", {
            let mut r = good.clone();
            r.authorization_details = json!([Ask::new("x").detail, Ask::new("x").detail]).to_string();
            r
        }),
        ("details", {
            let mut r = good.clone();
            r.authorization_details =
                r#"[{"type":"elevate","claimed":{"host":"","os":"","tty":true,"ssh":true},"more":1}]"#.into();
            r
        }),
        ("ttl", {
            let mut r = good.clone();
            r.authorization_details =
                r#"[{"type":"elevate","ttl":0,"claimed":{"host":"","os":"","tty":true,"ssh":true}}]"#.into();
            r
        }),
        ("ttl", {
            let mut r = good.clone();
            r.authorization_details =
                r#"[{"type":"elevate","ttl":99999999999,"claimed":{"host":"","os":"","tty":true,"ssh":true}}]"#.into();
            r
        }),
        ("reason", Ask::new("wiki").reason(&"x".repeat(501)).request()),
        ("operation", {
            let mut ask = Ask::operation(OperationName::UserList, None, b"");
            ask.resource = "wiki".into();
            ask.request()
        }),
        ("operation", Ask::new("authority").request()),
    ];
    for (what, request) in broken {
        let no = authority.token(&request, &proof).await.no();
        let error = match what {
            "grant_type" => "unsupported_grant_type",
            "client_id" => "invalid_client",
            "resource" => "invalid_target",
            "details" | "ttl" | "reason" => "invalid_authorization_details",
            _ => "invalid_request",
        };
        assert_eq!(no.code(), (400, error), "{what}");
        assert!(!no.says().chars().any(char::is_control), "{what}: {:?}", no.says());
    }
    // Names with nothing behind them.
    let no = authority
        .token(
            &{
                let mut r = good.clone();
                r.auth_session = Some("made up".into());
                r
            },
            &proof,
        )
        .await
        .no();
    assert_eq!(no.code(), (400, "invalid_grant"));
    // Parameters that are not known are ignored (RFC 6749 section 3.2).
    let mut form: Value = serde_json::to_value(&good).unwrap();
    form["later_extension"] = json!("1");
    let dpop = authority.prove("/token", &proof, None);
    let request = authority.request("POST", &authority.at("/token")).header("DPoP", dpop).form(&form);
    assert_eq!(authority.send(request).await.status, 200);
}
