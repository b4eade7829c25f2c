//! Real keys: what they bring when they are enrolled, the rung they reach, and the files that vouch for them.

use super::*;
use crate::harness::makers::Maker;
use elevate::authority::rules::Rules;
use elevate::authority::store::{Faults, Place, Store};
use elevate::protocol::encoding::base64url;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use webauthn_rs_proto::AuthenticatorTransport;

const MODEL: &str = "22222222-2222-2222-2222-222222222222";

fn hardware_policy() -> String {
    policy().replace("context.assurance.verified }", "context.assurance.verified_hardware }")
}

fn with_roots(top: &str) -> String {
    format!("{top}\n{CONFIG}\n[attestation]\nroots = [\"roots.pem\"]\n")
}

fn with_metadata() -> String {
    format!("{CONFIG}\n[attestation]\nmetadata = \"metadata.json\"\n")
}

fn metadata(model: &str, maker: &Maker) -> String {
    let (line, rest) = maker.base64_der.split_at(64);
    json!({ "legalHeader": "none", "no": 1, "entries": [
        { "attestationCertificateKeyIdentifiers": ["00"], "metadataStatement": { "description": "older than FIDO2" } },
        { "aaguid": model, "statusReports": [], "metadataStatement": {
            "description": "Test Key 5", "attestationRootCertificates": ["bm90IGEgY2VydGlmaWNhdGU=", format!("{line}\n  {rest}")],
        } },
    ] })
    .to_string()
}

#[tokio::test]
async fn an_attested_key_reaches_the_highest_rung() {
    let maker = Maker::new("Root").through_intermediate();
    let files = [("roots.pem", maker.pem.as_str())];
    let authority =
        TestAuthority::with_files(&with_roots("require_attestation = true"), &hardware_policy(), &files).await;
    let key = TestKey::attested(&maker);
    let proof = proof_key();
    let challenge = authority.begin_enrolment("green", &proof, None).await.unwrap();
    let extensions = challenge.public_key.extensions.clone().unwrap();
    assert_eq!((extensions.hmac_create_secret, extensions.cred_props), (Some(true), Some(true)));
    let enrolled = authority.finish_enrolment(&challenge, key.make(&challenge.public_key), &proof).await.unwrap();
    assert_eq!(enrolled.attested.as_deref(), Some(MODEL));
    assert!(enrolled.can_seal && enrolled.verifies_user && !enrolled.backup_eligible && !enrolled.software);
    assert_eq!(enrolled.transports, ["usb", "nfc"]);
    let listed = authority.get(&authority.at("/keys")).await.json.unwrap();
    assert_eq!(listed[0], serde_json::to_value(&enrolled).unwrap());
    let log = authority.log().await;
    let private = log.iter().find_map(|entry| entry.private.as_ref().filter(|it| it.clear["name"] == "green")).unwrap();
    assert_eq!(private.clear["attested"], MODEL);
    assert!(private.clear["attestationObject"].is_string());

    let ask = Ask::new("payroll");
    let explained = authority.get(&authority.at("/explain?resource=payroll")).await.json.unwrap();
    assert_eq!((&explained["assurance"], &explained["ways_out"]), (&json!("verified_hardware"), &json!([])));
    let step_up = authority.ask(&ask, &proof_key()).await.step_up();
    let allowed = &step_up.authn_params_public_key.allow_credentials;
    assert_eq!(allowed[0].transports, Some(vec![AuthenticatorTransport::Usb, AuthenticatorTransport::Nfc]));
    assert!(step_up.authn_params_public_key.extensions.is_none(), "nothing is sealed");
    let grant = authority.elevate(&ask, &proof, &key).await.grant();
    assert_eq!((grant.acr.as_str(), claims(&grant.access_token).acr.as_str()), ("phrh", "phrh"));
    assert_eq!(grant.amr, ["hwk", "user", "mfa"]);
    // What is reached is said, also where less was asked: more by a PIN, no more by a touch.
    let grant = authority.elevate(&Ask::new("prod-db"), &proof, &key).await.grant();
    assert_eq!(grant.acr, "phrh");
    let step_up = authority.ask(&Ask::new("prod-db"), &proof).await.step_up();
    let touch = key.sign_saying(&step_up.authn_params_public_key, |says| says.flags = 1);
    let grant = authority.token(&Ask::new("prod-db").answer(&step_up.auth_session, &touch), &proof).await.grant();
    assert_eq!((grant.acr.as_str(), grant.amr), ("urn:elevate:acr:touch", vec!["hwk".to_owned(), "user".into()]));
}

#[tokio::test]
async fn without_an_attested_key_the_way_out_is_said() {
    let maker = Maker::new("Root");
    let files = [("roots.pem", maker.pem.as_str())];
    let authority = TestAuthority::with_files(&with_roots(""), &hardware_policy(), &files).await;
    let key = TestKey::with_pin();
    let enrolled = authority.enrol("plain", &key, None).await.unwrap();
    assert_eq!((enrolled.attested, enrolled.can_seal), (None, false));
    let explained = authority.get(&authority.at("/explain?resource=payroll")).await.json.unwrap();
    assert_eq!(
        explained["ways_out"][0],
        "it takes your attested hardware key and its PIN or biometric: enrol one with `elevate key enroll`"
    );
    let no = authority.ask(&Ask::new("payroll"), &proof_key()).await.no();
    assert_eq!(
        no.says(),
        "this takes your attested hardware key and its PIN or biometric, and you have no key that can give it"
    );
}

/// Metadata vouches for one model at a time and knows its name, as JSON and as the blob that is downloaded.
#[tokio::test]
async fn metadata_names_models() {
    let maker = Maker::new("Root");
    let payload = metadata(MODEL, &maker);
    let blob = format!("{}.{}.{}\n", base64url(b"{\"alg\":\"RS256\"}"), base64url(&payload), base64url(b"unchecked"));
    for text in [payload, blob] {
        let files = [("metadata.json", text.as_str())];
        let authority = TestAuthority::with_files(&with_metadata(), &hardware_policy(), &files).await;
        let enrolled = authority.enrol("green", &TestKey::attested(&maker), None).await.unwrap();
        assert_eq!(enrolled.attested.as_deref(), Some("Test Key 5"));
    }
    // A model that was found to be broken vouches for nothing, whoever else vouches for it.
    let broken =
        metadata(MODEL, &maker).replace("\"statusReports\":[]", "\"statusReports\":[{\"status\":\"REVOKED\"}]");
    assert!(broken.contains("REVOKED"));
    let files = [("metadata.json", broken.as_str()), ("roots.pem", maker.pem.as_str())];
    let config = format!("{}roots = [\"roots.pem\"]\n", with_metadata());
    let authority = TestAuthority::with_files(&config, &hardware_policy(), &files).await;
    assert_eq!(authority.enrol("green", &TestKey::attested(&maker), None).await.unwrap().attested, None);
    // Not for another model of the same maker.
    let other = metadata("44444444-4444-4444-4444-444444444444", &maker);
    let files = [("metadata.json", other.as_str())];
    let authority = TestAuthority::with_files(&with_metadata(), &hardware_policy(), &files).await;
    assert_eq!(authority.enrol("green", &TestKey::attested(&maker), None).await.unwrap().attested, None);
}

/// Files that vouch are part of the rules: checked with them, recorded with them, and a broken one changes nothing.
#[tokio::test]
async fn files_of_attestation_are_part_of_the_rules() {
    let maker = Maker::new("Root");
    let files = [("roots.pem", maker.pem.as_str())];
    let authority = TestAuthority::with_files(&with_roots(""), &hardware_policy(), &files).await;
    let key = TestKey::attested(&maker);
    authority.enrol("green", &key, None).await.unwrap();
    let stale = async || {
        let explained = authority.get(&authority.at("/explain?resource=payroll")).await.json.unwrap();
        explained["stale_rules"].as_str().map(str::to_owned)
    };
    let check = || Rules::load(&authority.config()).err().map(|error| error.to_string());
    let file = |name: &str| authority.config().join(name).display().to_string();
    let digest = Rules::load(&authority.config()).unwrap().digest;
    for (text, wrong) in [
        ("nothing", ": there is no certificate (PEM) in it"),
        ("# a comment\n-----BEGIN CERTIFICATE-----\nAAAA\n", ":2: the certificate has no end"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ":1: the certificate can't be read"),
    ] {
        authority.write("roots.pem", text);
        let expected = format!("{}{wrong}", file("roots.pem"));
        assert_eq!(check(), Some(expected.clone()));
        assert_eq!(stale().await, Some(expected));
        assert_eq!(authority.last_entry().await["event"], "rules.refused");
        assert_eq!(authority.elevate(&Ask::new("payroll"), &proof_key(), &key).await.grant().acr, "phrh");
    }
    // A second root, before the first: another set, recorded.
    let both = format!("{}\n{}", Maker::new("Other").pem, maker.pem);
    authority.write("roots.pem", &both);
    assert_eq!(stale().await, None);
    assert_eq!(authority.last_entry().await["event"], "rules.loaded");
    assert_ne!(Rules::load(&authority.config()).unwrap().digest, digest);
    assert_eq!(authority.elevate(&Ask::new("payroll"), &proof_key(), &key).await.grant().acr, "phrh");
    // One that others can write, and one that is gone.
    let mode = |mode| std::fs::set_permissions(file("roots.pem"), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o666);
    assert!(check().unwrap().contains("others can write it"));
    mode(0o644);
    std::fs::remove_file(file("roots.pem")).unwrap();
    assert!(stale().await.unwrap().ends_with("it does not exist, and authority.toml names it"));
    // A file that is named anew is watched as soon as it is named, broken as it is.
    authority.write("metadata.json", "{");
    authority.write_config(&with_metadata());
    assert!(stale().await.unwrap().contains("metadata.json: the metadata can't be read"));
    authority.write("metadata.json", "no blob");
    assert!(stale().await.unwrap().ends_with("metadata.json: it is neither JSON nor a metadata blob (JWT)"));
    authority.write("metadata.json", &metadata(MODEL, &maker));
    assert_eq!(stale().await, None);
}

#[tokio::test]
async fn attestation_that_nobody_could_give_is_a_mistake() {
    let authority = TestAuthority::start().await;
    authority.write_config(&format!("\nrequire_attestation = true\n{CONFIG}"));
    let error = Rules::load(&authority.config()).err().unwrap().to_string();
    assert!(error.ends_with(
        "authority.toml:2: require_attestation needs roots or metadata under [attestation]: no key could be enrolled"
    ));
    authority.write_config(&format!("{CONFIG}\n[attestation]\naaguids = [\"yubikey\"]\n"));
    assert!(Rules::load(&authority.config()).is_err());
}

/// Two keys in the same second: what counts is which keys there were, not what time it was.
#[tokio::test]
async fn two_keys_within_one_second() {
    let (authority, blue) = with_a_key().await;
    let red = TestKey::touch_only();
    authority.enrol("red", &red, Some(&blue)).await.unwrap();
    authority.enrol("green", &TestKey::touch_only(), Some(&red)).await.unwrap();
    assert_eq!(authority.clock.now(), noon());
    assert_eq!(authority.count("SELECT count(*) FROM security_key").await, 3);
}

async fn sql(connection: &mut SqliteConnection, statement: String) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(connection).await.unwrap();
}

/// Everything that version 1 knew of `from`, in a database that version 1 made.
async fn as_version_1(from: &Path, to: &Path) {
    let mut connection = SqliteConnectOptions::new().filename(to).create_if_missing(true).connect().await.unwrap();
    sql(&mut connection, include_str!("../../src/authority/store/sqlite/1.sql").to_owned()).await;
    sql(&mut connection, format!("PRAGMA foreign_keys = OFF; ATTACH '{}' AS newer", from.display())).await;
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT m.name, group_concat(c.name) FROM sqlite_master m, pragma_table_info(m.name) c \
         WHERE m.type = 'table' GROUP BY m.name",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(tables.len(), 12);
    for (table, columns) in tables {
        sql(&mut connection, format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}")).await;
    }
    sql(&mut connection, "DETACH newer; PRAGMA user_version = 1".to_owned()).await;
}

/// Keys, secrets and log of the first release are all there, and its keys count as attested once somebody vouches.
#[tokio::test]
async fn a_database_of_version_1_is_brought_up_to_date() {
    let maker = Maker::new("Root");
    let files = [("roots.pem", maker.pem.as_str())];
    let before = TestAuthority::with_files(CONFIG, &hardware_policy(), &files).await;
    let key = TestKey::attested(&maker);
    before.enrol("green", &key, None).await.unwrap();
    before.operate(OperationName::SecretSet, Some("deploy-key"), Some("hunter2"), &key).await.unwrap();

    let home = tempfile::tempdir().unwrap();
    for directory in ["config", "data"] {
        std::fs::create_dir(home.path().join(directory)).unwrap();
    }
    for file in std::fs::read_dir(before.config()).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), home.path().join("config").join(file.file_name())).unwrap();
    }
    std::fs::copy(before.data().join("authority.key"), home.path().join("data/authority.key")).unwrap();
    let database = home.path().join("data/authority.db");
    as_version_1(&before.data().join("authority.db"), &database).await;

    let after = TestAuthority::over(home).await;
    assert_eq!(after.count("PRAGMA user_version").await, 6);
    assert_eq!(after.issuer, before.issuer);
    assert_eq!(after.get(&after.at("/keys")).await.json.unwrap()[0]["name"], "green");
    let secret = grant(&after, &Ask::new("deploy-key"), &key).await;
    assert_eq!((secret.secret.unwrap().expose(), secret.secret_sealed), ("hunter2", false));
    assert!(after.faults_of_the_log().await.is_empty());
    assert_eq!(after.ask(&Ask::new("payroll"), &proof_key()).await.no().code(), (403, "access_denied"));
    after.write_config(&with_roots(""));
    assert_eq!(grant(&after, &Ask::new("payroll"), &key).await.acr, "phrh");
    // Nothing is done twice. A newer program that only added something is no hindrance; one that says so is.
    let open =
        async || Store::open(&Place::File(database.clone()), Faults::default()).await.err().map(|e| e.to_string());
    assert_eq!(open().await, None);
    after.tamper("PRAGMA user_version = 7").await;
    assert_eq!(open().await, None);
    assert_eq!(after.tamper("UPDATE meta SET value = '7' WHERE key = 'schema_needs'").await, 1);
    let error = open().await.unwrap();
    assert!(error.contains("its schema is version 7, and this program knows 6"), "{error}");
}

#[tokio::test]
async fn a_database_that_the_version_before_founded_goes_on() {
    let mut authority = TestAuthority::start().await;
    let key = TestKey::touch_only();
    authority.enrol("green", &key, None).await.unwrap();
    assert_eq!(authority.tamper("DELETE FROM meta WHERE key IN ('key_id', 'schema_needs')").await, 2);
    // It drew its name, and did not derive it.
    let (issuer, log) = (authority.issuer.clone(), authority.log().await.len());
    authority.restart().await;
    assert_eq!(authority.issuer, issuer);
    grant(&authority, &Ask::new("prod-db"), &key).await;
    assert!(authority.log().await.len() > log && authority.faults_of_the_log().await.is_empty());
}
