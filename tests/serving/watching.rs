use super::harness::{ISSUER, LISTEN, Service, Setup};
use crate::cli::harness::{DEADLINE, patiently};
use crate::harness::{Ask, TestKey, Wire, claims, proof_key};
use elevate::clock::Clock;
use elevate::protocol::dpop::Expected;
use elevate::protocol::messages::OperationName;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};

async fn database(service: &Service) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(service.setup.dir.path().join("data/authority.db"));
    options.foreign_keys(false).connect().await.unwrap()
}

async fn execute(service: &Service, statement: &str) {
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    sqlx::query(statement).execute(&mut database(service).await).await.unwrap();
}

/// What `/readyz` says, once that is so.
async fn readiness(service: &Service, is_so: impl Fn(u16, &Value) -> bool) -> Value {
    let began = std::time::Instant::now();
    loop {
        let (status, text) = service.watched("/readyz").await;
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} {text}"));
        if is_so(status, &json) {
            return json;
        }
        assert!(began.elapsed() < DEADLINE, "{status} {text}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn readiness_says_which_part_keeps_everybody_out_and_when_it_is_over() {
    let service = Setup::new().with_socket().start();
    assert_eq!(service.watched("/livez").await, (200, "ok\n".to_owned()));
    let ready = readiness(&service, |status, _| status == 200).await;
    assert_eq!(ready, serde_json::json!({ "ready": true, "store": "ok", "log": "ok", "rules": "ok", "nodes": "ok" }));

    // Somebody else's hand in the log.
    execute(&service, "UPDATE log_checkpoint SET note = note || ' '").await;
    let not = readiness(&service, |status, _| status == 503).await;
    assert_eq!(not["log"], "the audit log does not match its last signed checkpoint");
    assert_eq!(not["store"], "ok");
    assert_eq!(service.watched("/livez").await.0, 200, "a restart would not help");
    service.says("not ready: nobody gets in");
    execute(&service, "UPDATE log_checkpoint SET note = rtrim(note, ' ')").await;
    readiness(&service, |status, _| status == 200).await;

    // A writer that never ends.
    let mut other = database(&service).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let not = readiness(&service, |status, _| status == 503).await;
    assert_eq!(not["log"], "no answer within 2 seconds");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    readiness(&service, |status, _| status == 200).await;

    // Broken rules change nothing, and are said.
    service.setup.write("policy.cedar", "permit (");
    let ready = readiness(&service, |_, json| json["rules"] != "ok").await;
    assert!(ready["rules"].as_str().unwrap().starts_with("as before, for "), "{ready}");
    assert!(ready["rules"].as_str().unwrap().contains("policy.cedar"), "{ready}");
    assert_eq!(ready["ready"], true);
    assert!(service.number("elevate_reload_failures_total{what=\"rules\"}").await >= 1.0);
    assert_eq!(service.status("/metrics").await, 404, "numbers are not for everybody");
}

/// Whoever balances load hears yes or no on the public port. So does everybody else: no more than that, and it costs nothing.
#[tokio::test]
async fn strangers_who_ask_whether_it_is_ready_are_told_no_more_and_make_it_do_nothing() {
    let service = Setup::listening(&format!("{LISTEN}requests_per_second = 5\n")).start();
    let client = service.client();
    let ask = async |path: &str| {
        let answer = client.get(service.url(path)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ask("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(ask("/livez").await, (200, "ok\n".to_owned()));
    service.line("a request", |line| line["endpoint"] == "/readyz" && line["status"] == 200);
    // Nothing is written on their account.
    let checked = async || -> String {
        let mut database = database(&service).await;
        sqlx::query_scalar("SELECT value FROM meta WHERE key = 'checked'").fetch_one(&mut database).await.unwrap()
    };
    let mut written = std::collections::HashSet::from([checked().await]);
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(6) {
        assert!(matches!(ask("/readyz").await.0, 200 | 429));
        written.insert(checked().await);
    }
    assert!(written.len() <= 3, "{written:?}");
    assert!(service.number("elevate_requests_total{endpoint=\"/readyz\",status=\"429\"}").await >= 1.0, "no limit");

    execute(&service, "UPDATE log_checkpoint SET note = note || ' '").await;
    readiness(&service, |status, json| status == 503 && json["log"] != "ok").await;
    let other = service.client_at(2);
    let answer = other.get(service.url("/readyz")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (503, "not ready\n"));
}

/// A store put back to an older state, in which every signature is good.
#[tokio::test]
async fn readiness_notices_that_the_log_went_back() {
    let service = Setup::new().with_socket().start();
    let wire = Wire::new(&service.setup.socket(), Clock::system()).await;
    wire.elevate(&Ask::new("wiki"), &proof_key(), &TestKey::software()).await.grant();
    readiness(&service, |status, _| status == 200).await;
    let size = "(SELECT max(size) FROM log_checkpoint)";
    let size: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {size}")))
        .fetch_one(&mut database(&service).await)
        .await
        .unwrap();
    wire.elevate(&Ask::new("wiki"), &proof_key(), &TestKey::software()).await.grant();
    for statement in [
        format!("DELETE FROM log_checkpoint WHERE size > {size}"),
        format!("DELETE FROM log_entry WHERE idx >= {size}"),
        format!("DELETE FROM log_private WHERE idx >= {size}"),
        format!("DELETE FROM log_hash WHERE idx >= {}", tlog_tiles::stored_hash_index(0, size.cast_unsigned())),
    ] {
        execute(&service, &statement).await;
    }
    let not = readiness(&service, |status, _| status == 503).await;
    assert_eq!(not["log"], "the audit log does not match its last signed checkpoint");
}

#[tokio::test]
async fn numbers_count_what_happened_and_name_nobody() {
    let service = Setup::new().with_socket().start();
    let wire = Wire::new(&service.setup.socket(), Clock::system()).await;
    let (laptop, proof) = (TestKey::software(), proof_key());
    wire.enrol("laptop", &laptop, None).await.unwrap();
    let before = service.number("elevate_elevations_total{outcome=\"granted\",reason=\"\"}").await;
    wire.elevate(&Ask::new("wiki"), &proof, &laptop).await.grant();
    wire.elevate(&Ask::new("prod-db"), &proof, &laptop).await.grant();
    wire.ask(&Ask::new("bunker"), &proof).await.no();
    wire.ask(&Ask::new("no-such-thing"), &proof).await.no();
    assert_eq!(service.status("/company/no-such-path-4711").await, 404);

    let count = async |name: &str| service.number(name).await;
    let is = |number: f64, expected: f64| assert!((number - expected).abs() < 0.1, "{number}, not {expected}");
    is(count("elevate_elevations_total{outcome=\"granted\",reason=\"\"}").await, before + 2.0);
    is(count("elevate_elevations_total{outcome=\"step_up\",reason=\"\"}").await, 1.0);
    is(count("elevate_elevations_total{outcome=\"denied\",reason=\"access_denied\"}").await, 1.0);
    is(count("elevate_elevations_total{outcome=\"denied\",reason=\"invalid_target\"}").await, 1.0);
    // Who signs in, asks at the same place, and for something else.
    let form = [("grant_type", "authorization_code"), ("client_id", "elevate-cli"), ("code", "made-up")];
    let asked = service.client().post(service.url("/company/token")).form(&form).send().await.unwrap();
    assert_eq!(asked.status(), 400);
    is(count("elevate_elevations_total{outcome=\"denied\",reason=\"invalid_dpop_proof\"}").await, 0.0);
    is(count("elevate_sign_ins_total{outcome=\"refused\",reason=\"invalid_dpop_proof\"}").await, 1.0);
    wire.ask(&Ask::new("prod-db"), &proof).await.step_up();
    is(count("elevate_sessions{what=\"step_up\"}").await, 1.0);
    is(count("elevate_sessions{what=\"sign_in\"}").await, 0.0);
    is(count("elevate_requests_total{endpoint=\"other\",status=\"404\"}").await, 1.0);
    assert!(count("elevate_request_duration_seconds_count{endpoint=\"/token\"}").await >= 5.0);
    is(count("elevate_log_entries").await, f64::from(u32::try_from(wire.log().await.len()).unwrap()));
    is(count("elevate_requests_under_way").await, 0.0);
    // 2120, as it stands in the certificate.
    is(count("elevate_certificate_expiry_timestamp_seconds").await, 4_733_510_400.0);
    let (status, text) = service.watched("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    for label in ["wiki", "prod-db", "bunker", "no-such", "uid:", "127.0.0.1", "laptop", "4711"] {
        assert!(!text.contains(label), "'{label}' is in the metrics: {text}");
    }
}

/// Those that a request would be let in with, and no others.
#[tokio::test]
async fn devices_that_are_signed_in_are_counted_while_their_sign_in_is_good() {
    let setup = Setup::listening(&format!("{LISTEN}[sign_in]\nallow = [\"*\"]\nlength = \"10h\"\nidle = \"1h\"\n"));
    let service = setup.start();
    let signed_in = async || service.number("elevate_sessions{what=\"sign_in\"}").await;
    assert!(signed_in().await.abs() < 0.1);
    let now = Clock::system().now().as_second();
    let row = async |id: &str, sub: &str, how: &str, [began, used]: [i64; 2], ended: &str| {
        let person = format!("{{\"name\":\"x\",\"groups\":[],\"auth_time\":{now},\"how\":\"{how}\"}}");
        let (began, used) = (now - began, now - used);
        execute(&service, &format!("INSERT OR IGNORE INTO \"user\" (sub, created_at) VALUES ('{sub}', 0)")).await;
        let row = format!("'{id}', '{id}', '{sub}', 'jkt', 'host', '{person}', {began}, {used}, {ended}");
        execute(&service, &format!("INSERT INTO sign_in VALUES ({row})")).await;
    };
    let anna = format!("{ISSUER}#anna");
    row("good", &anna, "key", [36_000 - 300, 0], "NULL").await;
    row("idle", &anna, "key", [7200, 3600], "NULL").await;
    row("old", &anna, "key", [36_000, 0], "NULL").await;
    row("ended", &anna, "key", [60, 60], "1").await;
    row("over", &anna, "invitation", [600, 0], "NULL").await;
    row("disabled", &format!("{ISSUER}#ben"), "key", [60, 0], "NULL").await;
    row("of-a-provider-of-before", "https://idp.example#anna", "provider", [60, 0], "NULL").await;
    execute(&service, &format!("UPDATE \"user\" SET disabled_at = 1 WHERE sub = '{ISSUER}#ben'")).await;
    assert!((signed_in().await - 1.0).abs() < 0.1, "{}", signed_in().await);
}

#[tokio::test]
async fn a_request_is_a_line_and_no_line_holds_a_secret() {
    let mut setup = Setup::new().with_socket();
    setup.variables.push(("ELEVATE_LOG", "trace".into()));
    let service = setup.start();
    let wire = Wire::new(&service.setup.socket(), Clock::system()).await;
    let (laptop, proof) = (TestKey::software(), proof_key());
    wire.enrol("laptop", &laptop, None).await.unwrap();
    wire.operate(OperationName::SecretSet, Some("deploy-key"), Some("hunter2-deploy-key"), &laptop).await.unwrap();
    let secret = wire.elevate(&Ask::new("deploy-key"), &proof, &laptop).await.grant();
    assert_eq!(secret.secret.as_ref().unwrap().expose(), "hunter2-deploy-key");
    let reason = "hunter2-as-a-reason";
    let granted = wire.elevate(&Ask::new("prod-db").reason(reason), &proof, &laptop).await.grant();
    let step_up = wire.ask(&Ask::new("payroll"), &proof).await;
    let token = granted.access_token.expose().to_owned();
    assert!(wire.is_active(&granted.access_token).await);

    // What somebody pasted into the wrong place, over the network as well.
    let expected =
        Expected { method: "POST", url: &format!("{ISSUER}/token"), access_token: None, now: wire.clock.now() };
    let dpop = proof.prove(&expected, Some(&wire.nonce())).unwrap();
    let client = service.client();
    let url = |path: &str| service.url(&format!("/company{path}"));
    let wrong = [
        client.get(url(&format!("/{token}"))),
        client.get(url(&format!("/jwks?token={token}"))),
        client.get(url("/explain")).query(&[("resource", &token)]),
        client.get(url("/log/entries")).query(&[("from", &token)]),
        client.post(url(&format!("/operations/{token}"))).bearer_auth(&token),
        client.post(url("/token")).header("DPoP", &dpop).form(&[("log_size", &token), ("grant_type", &token)]),
        client.post(url("/token")).header("DPoP", &token).form(&Ask::new("wiki").request()),
        client.post(url("/token")).header("DPoP", &dpop).form(&Ask::new("wiki").request()),
        client.post(url("/revoke")).form(&[("token", &token)]).header("X-Forwarded-For", &token),
        client.post(url("/introspect")).form(&[("token_type_hint", &token)]).header("User-Agent", &token),
        client.request(token.replace('.', "").parse().unwrap(), url("/jwks")),
    ];
    let asked = wrong.len();
    for request in wrong {
        let _ = request.send().await.unwrap().bytes().await.unwrap();
    }
    drop(step_up);

    let over_tls =
        || service.lines().into_iter().filter(|line| line["caller"] == "127.0.0.1" && line["endpoint"].is_string());
    patiently(DEADLINE, || (over_tls().count() == asked).then_some(())).expect("a line each");
    let elevation = claims(&granted.access_token).txn;
    let line = service.line("the grant", |line| line["elevation"] == elevation && line["status"] == 200);
    let caller = format!("uid:{}", elevate::files::own_uid());
    assert_eq!(
        (&line["endpoint"], &line["method"], &line["caller"]),
        (&"/token".into(), &"POST".into(), &caller.into())
    );
    assert!(line["ms"].as_f64().unwrap() > 0.0 && line["request"].as_str().unwrap().len() == 16, "{line}");

    let said = service.said();
    let signature = token.rsplit('.').next().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let stored = proof.to_stored();
    let secrets = [&token, signature, payload, "hunter2", &dpop, dpop.rsplit('.').next().unwrap(), stored.expose()];
    let key = std::fs::read_to_string(service.setup.dir.path().join("data/authority.key")).unwrap();
    let tls = std::fs::read_to_string(service.setup.config().join("tls-key.pem")).unwrap();
    for hidden in secrets.into_iter().chain([key.trim(), tls.lines().nth(1).unwrap()]) {
        assert!(!said.contains(hidden), "{hidden} is in the log: {said}");
    }
}

#[test]
fn lines_are_for_people_where_that_is_asked_for() {
    let mut setup = Setup::new();
    setup.variables.push(("ELEVATE_LOG_FORMAT", "text".into()));
    setup.write("tls.pem", "garbage");
    setup.arguments.clear();
    let said = setup.refused();
    assert!(said.contains("elevate-authority: "), "{said}");
    assert!(!said.contains("{\"timestamp\""), "{said}");
}
