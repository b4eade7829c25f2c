//! Secrets that are sealed under security keys: set, shown, opened, and what is said where they can't be.

use super::*;
use crate::harness::{AGE, sealed_for};
use elevate::protocol::messages::{ErrorCode, SealedFor};
use elevate::protocol::secret::Secret;

/// Two keys that seal, and one with a PIN that has no `hmac-secret`.
async fn with_sealing_keys() -> (TestAuthority, [TestKey; 3]) {
    let config = format!("{CONFIG}\n[resource.open-key]\nkind = \"secret\"\nsensitivity = \"low\"\n");
    let authority = TestAuthority::with(&config, &policy()).await;
    let plain = TestKey::with_pin();
    authority.enrol("plain", &plain, None).await.unwrap();
    let keys = [TestKey::with_pin().with_hmac_secret(), TestKey::with_pin().with_hmac_secret(), plain];
    authority.enrol("one", &keys[0], Some(&keys[2])).await.unwrap();
    authority.enrol("two", &keys[1], Some(&keys[2])).await.unwrap();
    (authority, keys)
}

#[tokio::test]
async fn a_sealed_secret_is_handed_out_as_it_is_after_the_step_up() {
    let (authority, [one, two, plain]) = with_sealing_keys().await;
    let sealing = sealed_for(&[&one, &two]);
    authority.set_sealed("open-key", AGE, &sealing, &plain).await.unwrap();

    // Everything that foretells says the rung that it will take.
    let catalogue = authority.get(&authority.at("/resources")).await.json.unwrap();
    let listed =
        catalogue["resources"].as_array().unwrap().iter().find(|entry| entry["resource"] == "open-key").unwrap();
    assert_eq!(listed["assurance"], "verified");
    let explained = authority.get(&authority.at("/explain?resource=open-key")).await.json.unwrap();
    assert_eq!((&explained["decision"], &explained["assurance"]), (&json!("step_up"), &json!("verified")));
    assert!(explained["reasons"].to_string().contains("the secret is sealed under your security keys"));
    assert_eq!(explained["ways_out"], json!([]));

    let ask = Ask::new("open-key");
    let proof = proof_key();
    let step_up = authority.ask(&ask, &proof).await.step_up();
    let options = &step_up.authn_params_public_key;
    let mut offered: Vec<&[u8]> = options.allow_credentials.iter().map(|key| key.id.as_slice()).collect();
    let mut expected = [one.id.as_slice(), two.id.as_slice()];
    offered.sort_unstable();
    expected.sort_unstable();
    assert_eq!(offered, expected);
    let hmac = options.extensions.clone().unwrap().hmac_get_secret.unwrap();
    assert_eq!((elevate::protocol::encoding::base64url(hmac.output1), hmac.output2), (sealing.salt.clone(), None));
    assert_eq!(step_up.elevate_txn.acr_values, "phr");
    assert!(step_up.error_description.contains("the secret is sealed under your security keys"));
    // The real key's answer has extension data, which is signed and encrypted for the client.
    for key in [&one, &two] {
        let grant = authority.elevate(&ask, &proof, key).await.grant();
        assert_eq!((grant.secret.unwrap().expose(), grant.secret_sealed, grant.acr.as_str()), (AGE, true, "phr"));
    }
    // Set in the clear, it is as policy has it.
    authority.operate(OperationName::SecretSet, Some("open-key"), Some("hunter2"), &plain).await.unwrap();
    let grant = authority.ask(&ask, &proof).await.grant();
    assert_eq!((grant.secret.as_ref().map(Secret::expose), grant.secret_sealed), (Some("hunter2"), false));
    assert!(serde_json::to_value(&grant).unwrap().get("secret_sealed").is_none());
}

/// Above what sealing needs, policy decides.
#[tokio::test]
async fn sealing_lowers_nothing() {
    let (authority, [one, _, plain]) = with_sealing_keys().await;
    authority.set_sealed("open-key", AGE, &sealed_for(&[&one]), &plain).await.unwrap();
    authority.write_policy(&format!(
        "{}\nforbid (principal, action == Action::\"elevate\", resource) unless {{ context.assurance.verified_hardware }};",
        policy()
    ));
    let explained = authority.get(&authority.at("/explain?resource=open-key")).await.json.unwrap();
    assert_eq!(explained["assurance"], "verified_hardware");
}

#[tokio::test]
async fn a_secret_is_sealed_for_keys_that_can_unseal_it() {
    let (authority, [one, _, plain]) = with_sealing_keys().await;
    let touch = TestKey::touch_only().with_hmac_secret();
    authority.enrol("touch", &touch, Some(&one)).await.unwrap();
    let stranger = TestKey::with_pin().with_hmac_secret();
    let refused = async |text: &str, sealing: SealedFor, status: u16, why: &str| {
        let no = authority.set_sealed("open-key", text, &sealing, &plain).await.unwrap_err();
        assert_eq!(no.status, status, "{}", no.says());
        assert!(no.says().contains(why), "{} is not {why}", no.says());
    };
    refused(AGE, sealed_for(&[&one, &stranger]), 409, "a key that is not one of yours").await;
    refused(AGE, sealed_for(&[&plain]), 409, "has no hmac-secret").await;
    refused(AGE, sealed_for(&[&touch]), 409, "did not check a PIN or biometric when it was enrolled").await;
    refused(AGE, sealed_for(&[]), 400, "one key or more").await;
    refused(AGE, sealed_for(&[&one, &one]), 400, "each named once").await;
    let short = SealedFor { salt: "c2hvcnQ".into(), ..sealed_for(&[&one]) };
    refused(AGE, short, 400, "base64url of 32 bytes").await;
    refused("hunter2", sealed_for(&[&one]), 400, "an age file in ASCII armor").await;
    refused(&format!("{AGE}{}", "A".repeat(128 << 10)), sealed_for(&[&one]), 400, "128 KiB at most").await;
    assert_eq!(authority.count("SELECT count(*) FROM secret").await, 0);
    // Sealing makes a text longer than it was.
    let long = format!("{AGE}{}", "A".repeat(100 << 10));
    authority.set_sealed("open-key", &long, &sealed_for(&[&one]), &plain).await.unwrap();
}

#[tokio::test]
async fn the_last_key_of_a_secret_is_named_before_it_goes_and_missed_after() {
    let (authority, [one, two, plain]) = with_sealing_keys().await;
    authority.set_sealed("open-key", AGE, &sealed_for(&[&one]), &plain).await.unwrap();
    authority.set_sealed("deploy-key", AGE, &sealed_for(&[&one, &two]), &plain).await.unwrap();
    let only = async |name: &str| {
        let keys = authority.get(&authority.at("/keys")).await.json.unwrap();
        keys.as_array().unwrap().iter().find(|key| key["name"] == name).unwrap()["only_one_for"].clone()
    };
    assert_eq!(
        (only("one").await, only("two").await, only("plain").await),
        (json!(["open-key"]), json!([]), json!([]))
    );
    let sealed = async || {
        let listed = authority.operate(OperationName::SecretList, None, None, &plain).await.unwrap();
        let of = |row: &Value| (row["resource"].as_str().unwrap().to_owned(), row["sealed_for"].clone());
        listed["secrets"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    authority.operate(OperationName::SecretSet, Some("spare-key"), Some("plain"), &plain).await.unwrap();
    let expected = [("deploy-key", json!(["one", "two"])), ("open-key", json!(["one"])), ("spare-key", Value::Null)];
    assert_eq!(sealed().await, expected.map(|(name, keys)| (name.to_owned(), keys)));

    authority.operate(OperationName::KeyRemove, Some("one"), None, &plain).await.unwrap();
    assert_eq!(only("two").await, json!(["deploy-key"]));
    assert_eq!(sealed().await[1], ("open-key".to_owned(), json!([])));
    let no = authority.ask(&Ask::new("open-key"), &proof_key()).await.no();
    assert_eq!((no.code(), no.body.elevate_code), ((403, "access_denied"), ErrorCode::NoSecurityKey));
    assert_eq!(no.says(), "its secret is sealed for security keys, and you have none of them");
    let way_out = "open your offline backup of it, and put it in again with `elevate admin secret set open-key`";
    assert_eq!(no.body.elevate_hint.as_deref(), Some(way_out));
    let entry = authority.last_entry().await;
    assert_eq!(
        (&entry["event"], &entry["cause"]),
        (&json!("elevation.denied"), &json!("no security key unseals the secret"))
    );
    let explained = authority.get(&authority.at("/explain?resource=open-key")).await.json.unwrap();
    assert_eq!(explained["ways_out"][0], format!("it is sealed for security keys that you don't have: {way_out}"));
    grant(&authority, &Ask::new("deploy-key"), &two).await;
}
