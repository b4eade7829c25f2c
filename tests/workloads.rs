//! Workloads: whose word on them counts, what they get by it, and what they are told where they get nothing.

pub mod issuer;

use crate::harness::{Answer, Ask, CONFIG, TestAuthority, TestKey, claims, operation_body, policy, proof_key};
use crate::sign_in::network::Network;
use crate::sign_in::provider::Key;
use elevate::authority::config::Config;
use elevate::authority::rules::DEFAULT_SCHEMA;
use elevate::protocol::messages::{Catalogue, DecisionName, Explanation, JWT_TYPE, OperationName, TokenRequest};
use elevate::protocol::secret::Secret;
use issuer::{AUDIENCE, Pipeline, for_deploys, trusted};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

// --- what a workload gets ---------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_workload_gets_what_policy_permits_it_on_a_socket_and_over_the_network() {
    let pipeline = Pipeline::start().await;
    let key = proof_key();
    for wire in [&pipeline.authority.wire, &pipeline.network] {
        let grant = wire.token(&pipeline.request("wiki", json!({})), &key).await.grant();
        let claims = claims(&grant.access_token);
        assert_eq!(claims.sub, pipeline.subject(), "the job, not the account that it runs as");
        assert_eq!((claims.cnf.jkt.as_str(), claims.acr.as_str()), (key.jkt(), "urn:elevate:acr:session"));
        assert_eq!((claims.amr.len(), grant.expires_in), (0, 300));
        assert!(wire.token(&pipeline.request("wiki", json!({})), &proof_key()).await.grant().expires_in > 0, "again");
    }
    let grant = pipeline.network.token(&pipeline.request("wiki", json!({})), &key).await.grant();
    let known = &grant.receipt.private.clear["workload"];
    assert_eq!(known["issuer"], "ci");
    assert_eq!(
        (&known["claims"]["run_id"], &known["claims"]["kubernetes.io/namespace"]),
        (&json!("4711"), &json!("prod"))
    );
    assert!(pipeline.authority.faults_of_the_log().await.is_empty());
}

#[tokio::test]
async fn a_workload_has_no_hands_and_is_told_so() {
    let pipeline = Pipeline::start().await;
    let cases = [
        ("prod-db", "a workload can't touch a key, and policy asks for touch", json!(["sensitive"])),
        ("payroll", "a workload can't touch a key, and policy asks for verified", json!(["critical"])),
        ("bunker", "nobody goes there", json!(["closed"])),
    ];
    for (resource, cause, policies) in cases {
        for prompt in [None, Some("none".to_owned())] {
            let request = TokenRequest { prompt, ..pipeline.request(resource, json!({})) };
            let no = pipeline.network.token(&request, &proof_key()).await.no();
            assert_eq!((no.code(), no.says()), ((403, "access_denied"), cause));
            let entry = pipeline.authority.last_entry().await;
            assert_eq!((&entry["event"], &entry["cause"]), (&json!("elevation.denied"), &json!(cause)));
            assert_eq!((&entry["resource"], &entry["policies"]), (&json!(resource), &policies));
        }
    }
    // Another job of the same issuer, which the rules let in and no policy names.
    let other = json!({ "repository": "acme/other" });
    let no = pipeline.network.token(&pipeline.request("wiki", other), &proof_key()).await.no();
    assert_eq!((no.code(), no.says()), ((403, "access_denied"), "no policy permits it to workloads for 'wiki'"));
    assert_eq!(pipeline.authority.count("SELECT count(*) FROM auth_session").await, 0, "no step-up was begun");
}

#[tokio::test]
async fn the_default_policy_permits_workloads_nothing() {
    let pipeline = Pipeline::with("", &policy()).await;
    for resource in ["wiki", "prod-db", "payroll", "bunker"] {
        let no = pipeline.network.token(&pipeline.request(resource, json!({})), &proof_key()).await.no();
        assert_eq!(no.code(), (403, "access_denied"), "{resource}");
    }
    let catalogue: Catalogue = pipeline.look("/resources", json!({})).await.read().unwrap();
    assert!(catalogue.resources.is_empty());
}

#[tokio::test]
async fn a_workload_can_look_at_what_it_gets() {
    let pipeline = Pipeline::start().await;
    let catalogue: Catalogue = pipeline.look("/resources", json!({})).await.read().unwrap();
    let names: Vec<&str> = catalogue.resources.iter().map(|entry| entry.resource.as_str()).collect();
    assert_eq!(names, ["wiki"]);
    let wiki: Explanation = pipeline.look("/explain?resource=wiki", json!({})).await.read().unwrap();
    assert_eq!((wiki.decision, wiki.policies), (DecisionName::Permit, vec!["deploys".to_owned()]));
    let db: Explanation = pipeline.look("/explain?resource=prod-db", json!({})).await.read().unwrap();
    assert_eq!(db.decision, DecisionName::Deny);
    assert_eq!(db.reasons, ["a workload can't touch a key, and policy asks for touch"]);
    let before = pipeline.authority.events().await;
    let no = pipeline.look("/resources", json!({ "aud": "another" })).await.no();
    assert_eq!(no.code(), (401, "invalid_token"), "RFC 6750 section 3.1");
    assert_eq!(pipeline.authority.events().await, before, "who looks leaves nothing");
    // It is nobody's sign-in: keys and log are not for it.
    for path in ["/keys", "/log/entries?from=0"] {
        assert_eq!(pipeline.look(path, json!({})).await.no().says(), "you are not signed in", "{path}");
    }
}

/// Over the network a service has nobody to sign in: it says who it is as workloads do.
#[tokio::test]
async fn a_service_asks_of_a_token_with_an_identity_token() {
    let pipeline = Pipeline::start().await;
    let grant = pipeline.network.token(&pipeline.request("wiki", json!({})), &proof_key()).await.grant();
    let token = &grant.access_token;
    let seen = pipeline.introspects(token, json!({})).await.json.unwrap();
    assert_eq!((&seen["active"], &seen["jti"]), (&true.into(), &grant.grant_id.clone().into()));
    let no = pipeline.introspects(token, json!({ "aud": "another" })).await.no();
    assert_eq!(no.code(), (401, "invalid_token"));
    assert_eq!(pipeline.network.revoke(token).await.status, 200);
    assert_eq!(pipeline.introspects(token, json!({})).await.json.unwrap(), json!({ "active": false }));
}

#[tokio::test]
async fn a_workload_enrols_no_keys_whatever_policy_says() {
    let everything = "@id(\"all\") permit (principal, action, resource);";
    let pipeline = Pipeline::with("", everything).await;
    let body = operation_body(Some("blue"), None);
    let ask = Ask::operation(OperationName::KeyEnroll, Some("blue"), &body);
    let no = pipeline.network.token(&pipeline.with_token(&ask, json!({})), &proof_key()).await.no();
    assert_eq!((no.code(), no.says()), ((403, "access_denied"), "a workload has no security keys"));
}

#[tokio::test]
async fn grants_of_workloads_end_when_they_are_revoked_or_the_workload_is_shut_out() {
    let pipeline = Pipeline::start().await;
    let admin = TestKey::touch_only();
    pipeline.authority.enrol("blue", &admin, None).await.unwrap();
    let take = async || {
        let answer = pipeline.authority.token(&pipeline.request("wiki", json!({})), &proof_key()).await;
        answer.grant().access_token
    };
    let (one, other) = (take().await, take().await);
    assert_eq!(pipeline.authority.revoke(&one).await.status, 200);
    assert!(!pipeline.authority.is_active(&one).await, "whoever holds it may end it, on a socket too");
    assert!(pipeline.authority.is_active(&other).await);
    let subject = pipeline.subject();
    pipeline.authority.operate(OperationName::UserDisable, Some(&subject), None, &admin).await.unwrap();
    assert!(!pipeline.authority.is_active(&other).await);
    let no = pipeline.network.token(&pipeline.request("wiki", json!({})), &proof_key()).await.no();
    assert_eq!((no.code(), no.says()), ((403, "access_denied"), "your account was disabled"));
}

// --- tokens that are not taken -------------------------------------------------------------------------------------

#[tokio::test]
async fn each_token_that_is_not_for_us_is_refused_with_why() {
    let pipeline = Pipeline::with("max_age = \"10m\"\n", &for_deploys()).await;
    let now = pipeline.authority.clock.now().as_second();
    let not = |cause: &str| format!("the identity token of ci is not acceptable: {cause}");
    let rule = |cause: &str| format!("the identity token of ci is none of those that are let in: {cause}");
    let audience = format!("the identity token of ci is for another audience; it has to be for '{AUDIENCE}' alone");
    let cases = [
        (json!({ "exp": now - 60 }), not("it ended 1m ago")),
        (json!({ "exp": null }), not("it has no 'exp'")),
        (json!({ "exp": "tomorrow" }), not("one of its times is no number of seconds")),
        (json!({ "nbf": now + 61 }), not("it is not valid yet")),
        (json!({ "iat": now + 61 }), not("it is from the future")),
        (json!({ "iat": now - 661 }), not("it was issued 11m 1s ago")),
        (json!({ "iat": null }), not("it does not say when it was issued")),
        (json!({ "aud": "https://other.example" }), audience.clone()),
        (json!({ "aud": [AUDIENCE, "https://other.example"] }), audience.clone()),
        (json!({ "aud": format!("{AUDIENCE}/") }), audience.clone()),
        (json!({ "aud": [] }), audience.clone()),
        (json!({ "aud": null }), audience),
        (json!({ "sub": "" }), not("its 'sub' is no name")),
        (json!({ "sub": null }), not("its 'sub' is no name")),
        (json!({ "sub": ["a"] }), not("its signature or claims are wrong")),
        (json!({ "sub": "anna\nuid:0" }), not("its 'sub' is no name")),
        (json!({ "kubernetes.io/namespace": "prod" }), not("two of its claims have one name")),
        (json!({ "repository": "evil/deploy" }), rule("its 'repository' is another")),
        (json!({ "repository": "acme-evil/deploy" }), rule("its 'repository' is another")),
        (json!({ "repository": null }), rule("it has no 'repository'")),
        (json!({ "repository": { "x": "acme/deploy" } }), rule("it has no 'repository'")),
        (json!({ "ref": "refs/heads/topic" }), rule("its 'ref' is another")),
        (json!({ "kubernetes.io": { "namespace": "test" } }), rule("its 'kubernetes.io/namespace' is another")),
        (json!({ "kubernetes.io": {} }), rule("it has no 'kubernetes.io/namespace'")),
        (json!({ "kubernetes.io": { "namespace": { "prod": "prod" } } }), rule("it has no 'kubernetes.io/namespace'")),
    ];
    for (change, says) in cases {
        let no = pipeline.network.token(&pipeline.request("wiki", change.clone()), &proof_key()).await.no();
        assert_eq!((no.code(), no.says()), ((400, "invalid_request"), says.as_str()), "{change}");
        assert!(no.body.elevate_hint.is_some(), "{change}");
        if !["'sub'", "one name", "signature"].iter().any(|unnamed| says.contains(unnamed)) {
            let entry = pipeline.authority.last_entry().await;
            assert_eq!((&entry["event"], &entry["cause"]), (&json!("elevation.denied"), &json!(says)), "{change}");
            assert_eq!(entry["resource"], "wiki");
        }
    }
    let good = [
        json!({ "exp": now - 59 }),
        json!({ "nbf": now + 60 }),
        json!({ "nbf": null }),
        json!({ "aud": [AUDIENCE] }),
        json!({ "ref": "refs/tags/v1.2" }),
    ];
    for change in good {
        pipeline.network.token(&pipeline.request("wiki", change.clone()), &proof_key()).await.grant();
    }
}

#[tokio::test]
async fn one_of_several_entries_for_an_issuer_is_enough() {
    let pipeline = Pipeline::start().await;
    let issuer = &pipeline.issuer.issuer;
    let second = format!(
        "[[trusted_issuer]]\nname = \"releases\"\nissuer = \"{issuer}\"\naudience = \"{AUDIENCE}\"\n\
         claims = {{ repository = \"acme/release\" }}\n"
    );
    pipeline.authority.write_config(&format!("{CONFIG}\n{}\n{second}", trusted(issuer, "")));
    pipeline.authority.write_policy(&format!(
        "{}\n@id(\"releases\") permit (principal, action == Action::\"elevate\", resource)\n\
         when {{ principal.issuer == \"releases\" && resource.sensitivity == \"sensitive\" }};",
        for_deploys()
    ));
    pipeline.network.token(&pipeline.request("wiki", json!({})), &proof_key()).await.grant();
    let release = json!({ "repository": "acme/release", "ref": "refs/heads/x" });
    pipeline.network.token(&pipeline.request("prod-db", release.clone()), &proof_key()).await.grant();
    let no = pipeline.network.token(&pipeline.request("wiki", release), &proof_key()).await.no();
    assert_eq!(no.body.error, "access_denied");
}

#[tokio::test]
async fn sign_ins_and_workloads_are_not_each_other() {
    let network = Network::start().await;
    let workloads = crate::sign_in::provider::Provider::start().await;
    let config = format!("{CONFIG}\n{}\n{}", network.provider.config(), trusted(&workloads.issuer, ""));
    network.authority.write_config(&config);
    let device = network.sign_in().await;
    let now = network.clock.now().as_second();
    let token = |key: &Key, iss: &str, aud: &str| {
        key.sign(&issuer::honest(iss, now, json!({ "aud": aud, "nonce": "x", "name": "Anna" })))
    };
    let as_jwt = |token: String| TokenRequest {
        subject_token: Secret::new(token),
        subject_token_type: JWT_TYPE.into(),
        ..Ask::new("wiki").request()
    };
    // The provider's ID token as an identity token, whatever audience it has.
    let provider = network.provider.issuer.clone();
    let key = network.provider.says.lock().unwrap().keys[0].clone();
    for audience in [crate::sign_in::provider::CLIENT, AUDIENCE] {
        let no = network.token(&as_jwt(token(&key, &provider, audience)), &proof_key()).await.no();
        let says = format!("this authority does not trust the issuer of the identity token: {provider}");
        assert_eq!((no.code(), no.says()), ((400, "invalid_request"), says.as_str()));
    }
    // A workload's token in the place of a sign-in, of an ID token's, and of an access token.
    let key = workloads.says.lock().unwrap().keys[0].clone();
    let identity = token(&key, &workloads.issuer, AUDIENCE);
    let request = TokenRequest { subject_token: Secret::new(identity.clone()), ..device.request(&Ask::new("wiki")) };
    assert_eq!(network.token(&request, &device.key).await.no().says(), "you are not signed in");
    network.token(&as_jwt(identity), &proof_key()).await.no();
    // The token of a sign-in, and our own access token, as identity tokens.
    let no = network.token(&as_jwt(device.token.expose().to_owned()), &device.key).await.no();
    assert_eq!(no.says(), "the identity token can't be read");
    let grant = network.ask_as(&device, &Ask::new("wiki")).await.grant();
    let no = network.token(&as_jwt(grant.access_token.expose().to_owned()), &device.key).await.no();
    assert!(no.says().starts_with("this authority does not trust the issuer of the identity token"), "{no:?}");
}

// --- keys --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_issuer_may_change_its_keys_and_is_not_asked_at_everybodys_bidding() {
    let pipeline = Pipeline::start().await;
    let ask = async |key: &Key| {
        let token = key.sign(&pipeline.claims(json!({})));
        match pipeline.network.token(&Pipeline::with_jwt("wiki", &token), &proof_key()).await {
            Answer::Grant(_) => Ok(()),
            other => Err(other.no().body.error_description),
        }
    };
    let asked = || pipeline.issuer.says.lock().unwrap().asked_for_keys;
    let (old, new) = (pipeline.key(), Key::new("two"));
    ask(&old).await.unwrap();
    pipeline.authority.clock.advance(60);
    pipeline.issuer.change(|says| says.keys = vec![new.clone()]);
    ask(&old).await.unwrap();
    ask(&new).await.unwrap();
    assert_eq!(asked(), 2);
    let no = "the identity token of ci is not acceptable: it is signed with a key that its issuer does not publish";
    assert_eq!(ask(&old).await.unwrap_err(), no, "what is taken out counts no more");
    for _ in 0..3 {
        assert_eq!(ask(&Key::new("three")).await.unwrap_err(), no);
    }
    assert_eq!(asked(), 2, "a made-up key's name makes nobody ask again within ten seconds");
    pipeline.authority.clock.advance(3600);
    pipeline.issuer.change(|says| says.keys = vec![old.clone()]);
    assert_eq!(ask(&new).await.unwrap_err(), no, "after an hour it is asked again anyhow");
    ask(&old).await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_does_not_say_its_keys_lets_nobody_in() {
    let pipeline = Pipeline::start().await;
    let ask = async || pipeline.network.token(&pipeline.request("wiki", json!({})), &proof_key()).await;
    let huge = format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(2 << 20));
    let elsewhere = "http://169.254.169.254/jwks";
    let cases = [
        ((500, "", "{}".to_owned()), "it answered with HTTP status 500"),
        ((302, elsewhere, String::new()), "it answered with HTTP status 302"),
        ((200, "", "hunter2".to_owned()), "its answer can't be read"),
        ((200, "", huge), "its answer is too long"),
    ];
    for (answer, cause) in cases {
        pipeline.issuer.change(|says| says.instead_of_keys = Some(answer.clone()));
        let no = ask().await.no();
        let says = format!("ci can't be asked for the keys that sign its identity tokens: {cause}");
        assert_eq!((no.code(), no.says()), ((503, "temporarily_unavailable"), says.as_str()));
        pipeline.issuer.change(|says| says.instead_of_keys = None);
        assert_eq!(ask().await.no().says(), says, "it is not asked again at once");
        pipeline.authority.clock.advance(5);
    }
    for (metadata, cause) in [
        (json!({ "issuer": "https://other.example" }), "its metadata is another issuer's"),
        (json!({ "jwks_uri": "http://10.0.0.1/jwks" }), "its metadata names an endpoint that is not https"),
        (json!({ "jwks_uri": "file:///etc/passwd" }), "its metadata names an endpoint that is not https"),
    ] {
        pipeline.issuer.change(|says| says.metadata = metadata.clone());
        assert!(ask().await.no().says().ends_with(cause), "{metadata}");
        pipeline.authority.clock.advance(10);
    }
    pipeline.issuer.change(|says| says.metadata = json!({}));
    ask().await.grant();
    // What is known counts while it is young, also where a look for another key fails meanwhile.
    pipeline.authority.clock.advance(60);
    pipeline.issuer.change(|says| says.instead_of_keys = Some((500, "", String::new())));
    let unknown = Key::new("two").sign(&pipeline.claims(json!({})));
    let no = pipeline.network.token(&Pipeline::with_jwt("wiki", &unknown), &proof_key()).await.no();
    assert_eq!(no.code(), (503, "temporarily_unavailable"));
    ask().await.grant();
}

#[tokio::test]
async fn an_issuer_that_is_slow_holds_up_nobody_whose_key_is_known() {
    let pipeline = Pipeline::start().await;
    pipeline.network.token(&pipeline.request("wiki", json!({})), &proof_key()).await.grant();
    pipeline.authority.clock.advance(60);
    pipeline.issuer.change(|says| says.delay = Duration::from_mins(1));
    let unknown = Key::new("two").sign(&pipeline.claims(json!({})));
    let (slow, key) = (Pipeline::with_jwt("wiki", &unknown), proof_key());
    let slow = async {
        let no = pipeline.network.token(&slow, &key).await.no();
        assert!(no.says().ends_with("it did not answer in time"), "{no:?}");
        "slow"
    };
    let request = pipeline.request("wiki", json!({}));
    let known = async {
        pipeline.authority.token(&request, &proof_key()).await.grant();
        "known"
    };
    let mut finished = Vec::new();
    tokio::pin!(slow, known);
    tokio::select! { first = &mut slow => finished.push(first), first = &mut known => finished.push(first) }
    assert_eq!(finished, ["known"]);
    slow.await;
}

#[tokio::test]
async fn keys_in_a_file_need_nobody_to_be_asked_and_are_part_of_the_rules() {
    let (old, new) = (Key::new("one"), Key::new("two"));
    let set = |key: &Key| json!({ "keys": [key.jwk()] }).to_string();
    let config = format!("{CONFIG}\n{}", trusted("https://cluster.example", "jwks_file = \"keys.json\"\n"));
    let authority = TestAuthority::with_files(&config, &for_deploys(), &[("keys.json", &set(&old))]).await;
    let ask = async |key: &Key| {
        let token = key.sign(&issuer::honest("https://cluster.example", authority.clock.now().as_second(), json!({})));
        let request = TokenRequest {
            subject_token: Secret::new(token),
            subject_token_type: JWT_TYPE.into(),
            ..Ask::new("wiki").request()
        };
        authority.token(&request, &proof_key()).await
    };
    ask(&old).await.grant();
    assert_eq!(ask(&new).await.no().code(), (400, "invalid_request"));
    authority.write("keys.json", &set(&new));
    ask(&new).await.grant();
    assert_eq!(ask(&old).await.no().code(), (400, "invalid_request"));
    let events = authority.events().await;
    assert_eq!(events.iter().filter(|event| *event == "rules.loaded").count(), 2, "{events:?}");
    for broken in ["", "{\"keys\": []}", "{\"keys\": 5}"] {
        authority.write("keys.json", broken);
        ask(&new).await.grant();
        assert!(authority.authority.refused_rules().unwrap().to_string().contains("keys.json"), "the set before stays");
    }
}

// --- configuration -----------------------------------------------------------------------------------------------

#[test]
fn what_is_no_sound_trust_is_no_configuration() {
    let parse = |text: &str| Config::parse(Path::new("authority.toml"), text).map_err(|error| error.to_string());
    let with = |more: &str| {
        format!("\n[[trusted_issuer]]\nname = \"ci\"\nissuer = \"https://ci.example\"\naudience = \"a\"\n{more}")
    };
    let claims = "claims = { sub = \"x\" }\n";
    parse(&with(claims)).unwrap();
    parse(&with("claims = { sub = [\"x\", \"y*\"] }\nmax_age = \"5m\"\nalgorithms = [\"RS256\"]\n")).unwrap();
    let bad = [
        (with(""), "missing field `claims`"),
        (with("claims = {}\n"), "claims says which of the issuer's tokens are let in"),
        (with("claims = { sub = [] }\n"), "claims says which of the issuer's tokens are let in"),
        (with(&format!("{claims}algorithms = []\n")), "algorithms are those of public keys"),
        (with(&format!("{claims}algorithms = [\"HS256\"]\n")), "algorithms are those of public keys"),
        (with(&format!("{claims}algorithms = [\"none\"]\n")), "unknown variant"),
        (with(&format!("{claims}jwks_uri = \"http://ci.example/keys\"\n")), "jwks_uri is an https URL"),
        (with(&format!("{claims}jwks_uri = \"https://a/b\"\njwks_file = \"c\"\n")), "not both"),
        (with(&format!("{claims}ca_file = \"a\"\njwks_file = \"c\"\n")), "leave ca_file out"),
        (with(&format!("{claims}{}", with(claims))), "two trusted issuers are called 'ci'"),
        (with(claims).replace("\"ci\"", "\"c i\""), "letters, digits and hyphens"),
        (with(claims).replace("https:", "http:"), "the issuer is an https URL"),
        (with(claims).replace("\"a\"", "\"\""), "audience is what tokens for this authority are for"),
        (format!("issuer = \"https://ci.example\"\n{}", with(claims)), "nor this authority"),
        (
            format!("{}[sign_in]\nissuer = \"https://ci.example\"\nclient_id = \"x\"\nallow = [\"*\"]\n", with(claims)),
            "neither the identity provider of [sign_in]",
        ),
    ];
    for (text, reason) in bad {
        let said = parse(&text).err().unwrap_or_else(|| panic!("it is taken: {text}"));
        assert!(said.contains(reason) && said.starts_with("authority.toml:"), "{text}\n{said}");
    }
}

#[tokio::test]
async fn trust_needs_a_schema_that_tells_workloads_from_people() {
    let authority = TestAuthority::start().await;
    let old =
        DEFAULT_SCHEMA.lines().filter(|line| !line.contains("workload: Bool") && !line.contains("issuer: String"));
    let old = old.collect::<Vec<_>>().join("\n").replace("tags String", "");
    let plain = "@id(\"all\") permit (principal, action, resource) when { resource.sensitivity == \"low\" };";
    authority.write("schema.cedarschema", &old);
    authority.write_policy(plain);
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    assert!(authority.authority.refused_rules().is_none(), "without trusted issuers it is as good as ever");
    authority.write_config(&format!("{CONFIG}\n{}", trusted("https://ci.example", "")));
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    let refused = authority.authority.refused_rules().unwrap().to_string();
    assert!(refused.contains("schema.cedarschema: [[trusted_issuer]] needs a schema"), "{refused}");
}

// --- a real peer -------------------------------------------------------------------------------------------------

/// `PyJWT` makes key, set and token, Python's own server hands them out.
#[tokio::test]
async fn tokens_of_an_issuer_that_is_none_of_ours_are_taken() {
    let peer = issuer::Peer::start();
    let config = format!("{CONFIG}\n{}", trusted(&peer.issuer, ""));
    let authority = TestAuthority::with(&config, &for_deploys()).await;
    let now = authority.clock.now().as_second();
    for algorithm in ["RS256", "PS384", "ES256", "EdDSA"] {
        let token = peer.token(algorithm, &issuer::honest(&peer.issuer, now, json!({})));
        let request = TokenRequest {
            subject_token: Secret::new(token.clone()),
            subject_token_type: JWT_TYPE.into(),
            ..Ask::new("wiki").request()
        };
        let grant = authority.token(&request, &proof_key()).await.grant();
        assert_eq!(claims(&grant.access_token).sub, format!("{}#{}", peer.issuer, issuer::SUB), "{algorithm}");
        let (signed, _) = token.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{}", "A".repeat(86));
        let request = TokenRequest { subject_token: Secret::new(forged), ..request };
        assert_eq!(authority.token(&request, &proof_key()).await.no().code(), (400, "invalid_request"));
    }
}
