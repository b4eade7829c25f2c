//! What administrators change, seen from the node beside it: sign-ins, other people's keys, the catalogue. And what is
//! tried by those who are none.

use crate::harness::{Answer, Ask, TestKey, Wire, operation_body, proof_key};
use crate::sign_in::network::{Device, Network};
use elevate::protocol::encoding::{base64url, random};
use elevate::protocol::messages::{EnrolledKey, EnrolmentRequest, OperationName, OperationRequest, Recovery};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The administrator on the socket, with a key.
async fn administrator(network: &Network) -> TestKey {
    let key = TestKey::touch_only();
    network.authority.enrol("admins", &key, None).await.unwrap();
    key
}

/// A key of a person who is signed in.
async fn enrol_as(network: &Network, device: &Device, name: &str) -> EnrolledKey {
    let request = EnrolmentRequest { name: name.parse().unwrap(), salt: base64url(random::<16>()) };
    let body = serde_json::to_vec(&request).unwrap();
    let token = network.ask_as(device, &Ask::operation(OperationName::KeyEnroll, Some(name), &body)).await.grant();
    let challenge = network.begin_approved_enrolment(&body, &token.access_token, &device.key).await.unwrap();
    let made = TestKey::touch_only().make(&challenge.public_key);
    network.finish_enrolment(&challenge, made, &device.key).await.unwrap()
}

fn definition(target: &str, definition: Value) -> Vec<u8> {
    let request = OperationRequest {
        target: Some(target.into()),
        definition: Some(definition),
        salt: base64url(random::<16>()),
        ..OperationRequest::default()
    };
    serde_json::to_vec(&request).unwrap()
}

/// One operation with this body, from the elevation to the deed.
async fn carry_out(
    wire: &Wire,
    name: OperationName,
    target: &str,
    body: Vec<u8>,
    with: &TestKey,
) -> crate::harness::Reply {
    let proof = proof_key();
    let grant = wire.elevate(&Ask::operation(name, Some(target), &body), &proof, with).await.grant();
    wire.carry_out(name, body, grant.access_token.expose(), &proof).await
}

#[tokio::test]
pub async fn a_sign_in_that_an_administrator_ends_is_over_on_every_node_at_once() {
    let network = Network::start().await;
    let other = network.other_node().await;
    let admin = administrator(&network).await;
    let (lost, stays) = (network.sign_in().await, network.sign_in().await);
    let grant = network.ask_as(&lost, &Ask::new("wiki")).await.grant();
    assert_eq!(other.get_as(&lost, "/resources").await.status, 200);

    let standing = network.authority.operate(OperationName::SessionList, None, None, &admin).await.unwrap();
    let sessions = standing["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{standing}");
    for session in sessions {
        assert_eq!((&session["user"], &session["host"]), (&json!(lost.subject), &json!("laptop")), "{session}");
        assert!(session["created_at"].is_string() && session["last_used_at"].is_string(), "{session}");
    }
    // Which of the two is which: the one that the grant is tied to.
    let entry = network.authority.log().await;
    let of_grant = entry.iter().rev().find_map(|entry| {
        let clear = &entry.private.as_ref()?.clear;
        (clear["grant_id"] == json!(grant.grant_id)).then(|| clear["sign_in"].as_str().map(str::to_owned))?
    });
    let id = match of_grant {
        Some(id) => id,
        // The private part is the person's alone.
        None => person_sees(&network, &lost, &grant.grant_id).await,
    };
    network.authority.operate(OperationName::SessionEnd, Some(&id), None, &admin).await.unwrap();
    assert_eq!(network.authority.last_entry().await["event"], "sign_in.ended");
    for reply in [network.get_as(&lost, "/resources").await, other.get_as(&lost, "/resources").await] {
        assert_eq!(reply.status, 401, "{}", reply.text);
        assert!(reply.text.contains("this device was signed out"), "{}", reply.text);
    }
    assert!(!network.authority.is_active(&grant.access_token).await, "its grants end with it");
    assert_eq!(other.get_as(&stays, "/resources").await.status, 200, "the person's other device stays in");
    let again = network.authority.operate(OperationName::SessionEnd, Some(&id), None, &admin).await.unwrap_err();
    assert_eq!(again.code(), (409, "invalid_request"));
}

async fn person_sees(network: &Network, device: &Device, grant_id: &str) -> String {
    let page = network.get_as(device, "/log/entries?from=0").await.json.unwrap();
    let entries = page["entries"].as_array().unwrap();
    let found = entries.iter().find(|entry| entry["private"]["clear"]["grant_id"] == grant_id);
    found.unwrap()["private"]["clear"]["sign_in"].as_str().unwrap().to_owned()
}

#[tokio::test]
pub async fn whoever_does_not_administer_ends_removes_and_declares_nothing() {
    let network = Network::start().await;
    let admin = administrator(&network).await;
    let device = network.sign_in().await;
    let me = crate::harness::me();
    for (name, target) in [
        (OperationName::SessionList, None),
        (OperationName::SessionEnd, Some("x")),
        (OperationName::UserKeyList, None),
        (OperationName::UserKeyRemove, Some(me.as_str())),
        (OperationName::ResourceList, None),
        (OperationName::ResourceSet, Some("new")),
        (OperationName::ResourceRemove, Some("new")),
    ] {
        let ask = Ask::operation(name, target, &operation_body(target, None));
        let no = network.ask_as(&device, &ask).await.no();
        assert_eq!(no.code(), (403, "access_denied"), "{name}");
    }
    // What an administrator approved is for that target, that body, and once.
    let proof = proof_key();
    let body = definition("new", json!({ "kind": "secret", "sensitivity": "low" }));
    let ask = Ask::operation(OperationName::ResourceSet, Some("new"), &body);
    let grant = network.authority.elevate(&ask, &proof, &admin).await.grant().access_token;
    let set = async |name, body: Vec<u8>| network.authority.carry_out(name, body, grant.expose(), &proof).await;
    let other_target = definition("newer", json!({ "kind": "secret", "sensitivity": "low" }));
    assert_eq!(set(OperationName::ResourceSet, other_target).await.no().code(), (401, "invalid_token"));
    let weaker = definition("new", json!({ "kind": "jwt", "sensitivity": "low", "audience": "https://x.example" }));
    assert_eq!(set(OperationName::ResourceSet, weaker).await.no().code(), (401, "invalid_token"));
    let another = set(OperationName::ResourceRemove, body.clone()).await.no();
    assert_eq!(another.code(), (401, "invalid_token"));
    assert_eq!(set(OperationName::ResourceSet, body.clone()).await.status, 200);
    assert_eq!(set(OperationName::ResourceSet, body).await.no().code(), (401, "invalid_token"), "it is spent");
    // One that was approved for a target which the body does not name.
    let body = definition("other", json!({ "kind": "secret", "sensitivity": "low" }));
    let reply = carry_out(&network.authority, OperationName::ResourceSet, "new", body, &admin).await;
    assert_eq!(reply.no().code(), (401, "invalid_token"));
}

#[tokio::test]
pub async fn a_key_of_somebody_elses_is_removed_with_a_proof_of_the_administrators_own() {
    let network = Network::start().await;
    let admin = administrator(&network).await;
    let device = network.sign_in().await;
    let key = enrol_as(&network, &device, "blue").await;
    let list = network.authority.operate(OperationName::UserKeyList, None, None, &admin).await.unwrap();
    let keys = list["keys"].as_array().unwrap();
    assert!(keys.iter().any(|it| it["user"] == device.subject && it["credential_id"] == key.credential_id), "{list}");
    assert_eq!(keys.len(), 2, "{list}");
    let one = network.authority.operate(OperationName::UserKeyList, Some(&device.subject), None, &admin).await.unwrap();
    assert_eq!(one["keys"].as_array().unwrap().len(), 1, "{one}");
    network.authority.operate(OperationName::UserKeyList, Some("uid:4242"), None, &admin).await.unwrap_err();

    let remove = async |user: &str, key: &str| {
        let (target, key) = (Some(user.into()), Some(key.parse().unwrap()));
        let request = OperationRequest { target, key, salt: base64url(random::<16>()), ..OperationRequest::default() };
        let body = serde_json::to_vec(&request).unwrap();
        carry_out(&network.authority, OperationName::UserKeyRemove, user, body, &admin).await
    };
    let own = remove(&crate::harness::me(), "admins").await.no();
    assert!(own.says().contains("`elevate key remove`"), "{}", own.says());
    assert_eq!(remove(&device.subject, "green").await.no().code(), (409, "invalid_request"));
    let none = network.authority.operate(OperationName::UserKeyRemove, Some(&device.subject), None, &admin).await;
    assert_eq!(none.unwrap_err().code(), (400, "invalid_request"));
    assert_eq!(remove(&device.subject, "blue").await.status, 200);
    assert_eq!(network.authority.last_entry().await["event"], "key.removed");
    let log = network.authority.log().await;
    let entry = &log.last().unwrap().private.as_ref().unwrap().clear;
    assert_eq!((&entry["user"], &entry["name"]), (&json!(device.subject), &json!("blue")), "{entry}");
    // What the key may have got is over with it.
    assert_eq!(network.get_as(&device, "/keys").await.no().code(), (401, "invalid_token"));
    let left = network.authority.count("SELECT count(*) FROM security_key").await;
    assert_eq!(left, 1, "the administrator's own");
}

#[tokio::test]
pub async fn what_the_file_protects_is_not_declared_anew_for_less() {
    let network = Network::start().await;
    let admin = administrator(&network).await;
    let taken = network.authority.authority.rules().await.unwrap().config.resources.clone();
    let taken = taken.values().find_map(|resource| resource.audience.clone()).unwrap();
    for audience in [taken, network.issuer.clone()] {
        let weaker = definition("new", json!({ "kind": "jwt", "audience": audience, "sensitivity": "low" }));
        let no = carry_out(&network.authority, OperationName::ResourceSet, "new", weaker, &admin).await.no();
        assert!(no.says().ends_with("is the audience of another, which asks for what its tokens take"), "{no:?}");
    }
}

#[tokio::test]
pub async fn a_resource_that_is_declared_on_one_node_is_known_to_every_node_within_a_second() {
    let network = Network::start().await;
    let other = network.other_node().await;
    let admin = administrator(&network).await;
    let device = network.sign_in().await;
    let ask = async |name: &str| other.wire().token(&device.request(&Ask::new(name)), &device.key).await;
    assert_eq!(ask("new").await.no().code(), (400, "invalid_target"));
    let set = async |text: Value| {
        carry_out(&network.authority, OperationName::ResourceSet, "new", definition("new", text), &admin).await
    };
    let low = json!({ "kind": "jwt", "audience": "https://new.example", "sensitivity": "low", "max_ttl": "1m30s" });
    assert_eq!(set(low.clone()).await.status, 200);
    network.ask_as(&device, &Ask::new("new")).await.grant();
    let begun = Instant::now();
    let grant = loop {
        let asked = begun.elapsed();
        match ask("new").await {
            Answer::Grant(grant) => break grant,
            answer => assert!(asked < Duration::from_secs(1), "{asked:?}: {answer:?}"),
        }
    };
    assert!(grant.expires_in <= 90, "{grant:?}");
    // Declared anew: from now on it takes more. The log keeps both.
    let critical = json!({ "kind": "jwt", "audience": "https://new.example", "sensitivity": "critical" });
    assert_eq!(set(critical).await.status, 200);
    let log = network.authority.log().await;
    let entry = &log.last().unwrap().private.as_ref().unwrap().clear;
    assert_eq!(entry["before"]["definition"]["sensitivity"], "low", "{entry}");
    assert_eq!(entry["before"]["definition"]["max_ttl"], "90s", "{entry}");
    assert_eq!(entry["after"]["definition"]["sensitivity"], "critical", "{entry}");
    assert_ne!(entry["before"]["digest"], entry["after"]["digest"], "{entry}");
    assert_eq!(network.authority.last_entry().await["resource"], "new");
    let begun = Instant::now();
    loop {
        let asked = begun.elapsed();
        if !matches!(ask("new").await, Answer::Grant(_)) {
            break;
        }
        assert!(asked < Duration::from_secs(1), "{asked:?}");
    }
    // Taken out, it is gone everywhere.
    network.authority.operate(OperationName::ResourceRemove, Some("new"), None, &admin).await.unwrap();
    let begun = Instant::now();
    while ask("new").await.no().code() != (400, "invalid_target") {
        assert!(begun.elapsed() < Duration::from_secs(2), "it is still there");
    }
    let gone = network.authority.operate(OperationName::ResourceRemove, Some("new"), None, &admin).await.unwrap_err();
    assert_eq!(gone.code(), (409, "invalid_request"));
}

#[tokio::test]
pub async fn what_is_no_resource_is_not_declared_and_the_file_wins() {
    let network = Network::start().await;
    let admin = administrator(&network).await;
    let set = async |name: &str, text: Value| {
        carry_out(&network.authority, OperationName::ResourceSet, name, definition(name, text), &admin).await
    };
    let good = json!({ "kind": "secret", "sensitivity": "low" });
    let taken = set("wiki", good.clone()).await.no();
    assert!(
        taken.says().contains("authority.toml declares a resource of that name, and the file wins"),
        "{}",
        taken.says()
    );
    for (name, text, says) in [
        ("new", json!({ "kind": "jwt", "sensitivity": "low" }), "needs an audience"),
        ("new", json!({ "kind": "secret", "sensitivity": "low", "audience": "x" }), "has no audience"),
        ("new", json!({ "kind": "secret" }), "sensitivity"),
        ("new", json!({ "kind": "secret", "sensitivity": "low", "colour": 1 }), "colour"),
        (
            "new",
            json!({ "kind": "jwt", "sensitivity": "low", "audience": "x", "scopes": ["a b"] }),
            "a scope is one word",
        ),
        ("authority", good.clone(), "is the authority itself"),
        ("new", json!("x"), "invalid type"),
    ] {
        let no = set(name, text).await.no();
        assert_eq!(no.code(), (400, "invalid_request"));
        assert!(no.says().contains(says), "{}", no.says());
    }
    assert_eq!(network.authority.count("SELECT count(*) FROM resource").await, 0, "nothing is half set");

    // One that this version can't read denies itself alone, and is said; a name that the file takes later is the file's.
    for name in ["strange", "later"] {
        assert_eq!(set(name, good.clone()).await.status, 200);
    }
    network
        .authority
        .tamper("UPDATE resource SET definition = '{\"kind\":\"certificate\"}' WHERE name = 'strange'")
        .await;
    network.authority.tamper("UPDATE meta SET value = 'x' WHERE key = 'catalogue'").await;
    let declared = "[resource.later]\nkind = \"jwt\"\naudience = \"https://later.example\"\nsensitivity = \"low\"\n";
    network.authority.write_config(&format!("{}\n{declared}{}", crate::harness::CONFIG, network.provider.config()));
    let list = network.authority.operate(OperationName::ResourceList, None, None, &admin).await.unwrap();
    let fault = |name: &str| {
        let found = list["resources"]
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["resource"] == name && it["declared_in"] == "store");
        found.unwrap()["fault"].as_str().unwrap_or_default().to_owned()
    };
    assert!(fault("strange").contains("certificate"), "{list}");
    assert!(fault("later").contains("the file wins"), "{list}");
    let no = network.authority.ask(&Ask::new("strange"), &proof_key()).await.no();
    assert_eq!(no.code(), (503, "temporarily_unavailable"));
    assert!(no.says().contains("'strange' is stored, and can't be used"), "{}", no.says());
    network.authority.ask(&Ask::new("later"), &proof_key()).await.grant();
    network.authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
}

#[tokio::test]
pub async fn only_administrators_hear_who_was_recovered() {
    let network = Network::start().await;
    let admin = administrator(&network).await;
    let device = network.sign_in().await;
    let recovered = json!([{ "elevation": "e", "user": "uid:1", "at": "2026-01-02T03:04:05Z" }]);
    let value = recovered.to_string();
    network.authority.tamper(&format!("INSERT INTO meta (key, value) VALUES ('recoveries', '{value}')")).await;
    let begun = Instant::now();
    let step_up = loop {
        let body = operation_body(Some("x"), None);
        let ask = Ask::operation(OperationName::GrantRevoke, Some("x"), &body);
        let step_up = network.authority.ask(&ask, &proof_key()).await.step_up();
        if !step_up.elevate_recoveries.is_empty() {
            break step_up;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody is told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(json!(step_up.elevate_recoveries), recovered);
    assert_eq!(step_up.elevate_enrolled.len(), 1, "and which keys they have");
    let heard: Vec<Recovery> = network.get_as(&device, "/recoveries").await.read().unwrap();
    assert!(heard.is_empty(), "{heard:?}");
    let heard: Vec<Recovery> = network.authority.get(&network.authority.at("/recoveries")).await.read().unwrap();
    assert_eq!(json!(heard), recovered);
    drop(admin);
}
