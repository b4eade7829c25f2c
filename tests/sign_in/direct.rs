//! Signing in without a browser: with a security key, or by an invitation to enrol one.

use super::network::{Browser, Login, Network, no, pairs};
use crate::harness::{Ask, Reply, Says, TestKey, policy};
use elevate::protocol::authenticator_data::UV;
use elevate::protocol::messages::{Catalogue, Metadata, OperationName};
use serde_json::{Value, json};
use webauthn_rs_proto::ResidentKeyRequirement;

/// The administrator, on the machine.
async fn admin(network: &Network) -> TestKey {
    let key = TestKey::touch_only();
    network.authority.enrol("admin", &key, None).await.unwrap();
    key
}

/// Anna signs in with the provider, and enrols a key.
async fn annas_key(network: &Network) -> TestKey {
    let key = TestKey::with_pin();
    let device = network.sign_in().await;
    network.first_key(&device, "blue", &key).await.unwrap();
    key
}

fn says(reply: &Reply) -> String {
    let no = no(reply);
    assert_eq!(no.code(), (400, "access_denied"), "{no:?}");
    no.says().to_owned()
}

type Lie = fn(&mut Says);

// --- with a key ----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_key_signs_in_whose_it_is() {
    let network = Network::start().await;
    let first = network.sign_in().await;
    let key = TestKey::with_pin();
    let challenge = network.begin_first_key(&first, "blue").await.unwrap();
    let selection = challenge.public_key.authenticator_selection.as_ref().unwrap();
    assert!(matches!(selection.resident_key, Some(ResidentKeyRequirement::Preferred)), "{selection:?}");
    network.finish_enrolment(&challenge, key.make(&challenge.public_key), &first.key).await.unwrap();

    let login = Login::new();
    let asked = network.challenge(&login).await;
    assert!(asked.authn_params_public_key.allow_credentials.is_empty(), "nobody is named to strangers");
    let code = network.answer(&login, &asked.auth_session, &key.sign(&asked.authn_params_public_key)).await;
    let device = super::network::Device::of(login.key.clone(), &network.redeem_direct(&login, &code).await);
    assert_eq!(device.subject, first.subject);
    let entry = network.authority.last_entry().await;
    assert_eq!(entry["event"], "sign_in.done");
    // It is a sign-in as any other, and no step-up.
    let grant = network.ask_as(&device, &Ask::new("wiki")).await.grant();
    let claims = crate::harness::claims(&grant.access_token);
    assert_eq!((claims.acr.as_str(), claims.amr.len()), ("urn:elevate:acr:session", 0));
    network.ask_as(&device, &Ask::new("prod-db")).await.step_up();
    assert!(network.authority.faults_of_the_log().await.is_empty());
}

/// On a socket nobody signs in with it, and the room on a key is small.
#[tokio::test]
async fn a_key_that_is_enrolled_on_a_socket_is_asked_to_keep_nothing() {
    let network = Network::start().await;
    let challenge = network.authority.begin_enrolment("blue", &crate::harness::proof_key(), None).await.unwrap();
    let selection = challenge.public_key.authenticator_selection.unwrap();
    assert!(matches!(selection.resident_key, Some(ResidentKeyRequirement::Discouraged)), "{selection:?}");
}

#[tokio::test]
async fn what_a_key_signs_is_this_sign_in_and_nothing_else() {
    let network = Network::start().await;
    let key = annas_key(&network).await;
    let lies: [(&str, Lie); 6] = [
        ("the key signed another challenge", |says| says.challenge[0] ^= 1),
        ("the assertion was made for another origin", |says| says.origin = "https://evil.example".into()),
        ("the assertion was made across origins", |says| says.cross_origin = true),
        ("the key signed for another relying party", |says| says.rp_id = "evil.example".into()),
        ("the key did not verify its user (PIN or biometric)", |says| says.flags &= !UV),
        ("the key's counter went back: the key may have been copied; remove it and enrol another", |says| {
            says.counter = 1;
        }),
    ];
    // So that its counter is above one.
    network.sign_in_with(&key).await;
    for (cause, lie) in lies {
        let login = Login::new();
        let asked = network.challenge(&login).await;
        let signed = key.sign_saying(&asked.authn_params_public_key, lie);
        assert_eq!(says(&network.answer(&login, &asked.auth_session, &signed).await), cause);
        let entry = network.authority.last_entry().await;
        assert_eq!((&entry["event"], &entry["cause"]), (&json!("sign_in.failed"), &json!(cause)));
        // It is over by it.
        let honest = key.sign(&asked.authn_params_public_key);
        let again = no(&network.answer(&login, &asked.auth_session, &honest).await);
        assert_eq!(again.code(), (400, "invalid_session"), "{cause}");
    }
    let stranger = TestKey::with_pin();
    let login = Login::new();
    let asked = network.challenge(&login).await;
    let signed = stranger.sign(&asked.authn_params_public_key);
    assert_eq!(says(&network.answer(&login, &asked.auth_session, &signed).await), "the key is not enrolled");
    let asked = network.challenge(&login).await;
    let reply = network.authorize(&login, &[("auth_session", &asked.auth_session), ("authn_response", "{}")]).await;
    assert_eq!(says(&reply), "there is no readable assertion in the answer");
    network.sign_in_with(&key).await;
}

#[tokio::test]
async fn a_sign_in_is_one_devices_once_and_for_two_minutes() {
    let network = Network::start().await;
    let key = annas_key(&network).await;
    let (login, thief) = (Login::new(), Login::new());
    let asked = network.challenge(&login).await;
    let signed = key.sign(&asked.authn_params_public_key);
    // Another device, and another session of the same.
    let stolen = no(&network.answer(&thief, &asked.auth_session, &signed).await);
    assert_eq!(stolen.code(), (400, "invalid_session"));
    let other = network.challenge(&login).await;
    let reply = network.answer(&login, &other.auth_session, &signed).await;
    assert_eq!(says(&reply), "the key signed another challenge");
    // Twice at once: one code.
    let (one, two) = tokio::join!(
        network.answer(&login, &asked.auth_session, &signed),
        network.answer(&login, &asked.auth_session, &signed)
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400], "{} {}", one.text, two.text);
    let code = if one.status == 200 { one } else { two };
    let again = no(&network.answer(&login, &asked.auth_session, &signed).await);
    assert_eq!(again.code(), (400, "invalid_session"));
    // The code is bound as any other.
    let reply = no(&network.redeem_direct(&thief, &code).await);
    assert_eq!((reply.code(), reply.says()), ((400, "invalid_grant"), "the code is bound to another key"));
    assert_eq!(no(&network.redeem_direct(&login, &code).await).code(), (400, "invalid_grant"), "it is over by that");

    let asked = network.challenge(&login).await;
    network.clock.advance(120);
    let late = no(&network.answer(&login, &asked.auth_session, &key.sign(&asked.authn_params_public_key)).await);
    assert_eq!(late.says(), "this sign-in is over: it was answered already, or its two minutes have passed");
}

#[tokio::test]
async fn only_sound_questions_are_answered() {
    let network = Network::start().await;
    let login = Login::new();
    let challenge = login.challenge();
    let good = [("client_id", "elevate-cli"), ("code_challenge", &challenge), ("code_challenge_method", "S256")];
    for (name, value, error) in [
        ("client_id", "another", "invalid_client"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
    ] {
        let form: Vec<_> = good.iter().map(|(known, is)| (*known, if *known == name { value } else { *is })).collect();
        let no = no(&network.post("/authorize-challenge", &login.key, &form).await);
        assert_eq!(no.code(), (400, error), "{name}");
        let form: Vec<_> = good.iter().filter(|(known, _)| *known != name).copied().collect();
        assert_eq!(no2(&network, &login, &form).await, (400, "invalid_request".to_owned()), "without {name}");
    }
    let bare = network.send(network.request("POST", &network.at("/authorize-challenge")).form(&good)).await;
    assert_eq!(no(&bare).code(), (400, "invalid_dpop_proof"));
    let form = [("client_id", "elevate-cli"), ("auth_session", "made-up")];
    assert_eq!(no2(&network, &login, &form).await.1, "invalid_request", "without an answer");
}

/// RFC 6749 section 2.3, and the same at each endpoint of a device.
#[tokio::test]
async fn a_client_that_shows_credentials_is_refused_and_not_taken_for_another() {
    let network = Network::start().await;
    for path in ["/par", "/authorize-challenge", "/device_authorization"] {
        let login = Login::new();
        for (name, value) in [("client_secret", "hunter2"), ("client_assertion", "e30.e30.x")] {
            let mut form = login.form();
            form.push((name, value));
            let no = no(&network.post(path, &login.key, &form).await);
            assert_eq!(no.code(), (400, "invalid_client"), "{path} {name}: {no:?}");
        }
        let request = network.request("POST", &network.at(path)).header("DPoP", network.prove(path, &login.key, None));
        let reply = network.send(request.basic_auth("elevate-cli", Some("hunter2")).form(&login.form())).await;
        assert_eq!(no(&reply).code(), (401, "invalid_client"), "{path}: {reply:?}");
        let reply = network.post(path, &login.key, &login.form()).await;
        assert!([200, 201, 403].contains(&reply.status), "{path}: {reply:?}");
    }
}

/// The trigger removes the key where nothing can be looked at any more: within the write that signs in.
#[tokio::test]
async fn a_key_that_is_removed_while_its_code_is_exchanged_signs_nobody_in() {
    let network = Network::start().await;
    let key = annas_key(&network).await;
    let login = Login::new();
    let asked = network.challenge(&login).await;
    let code = network.answer(&login, &asked.auth_session, &key.sign(&asked.authn_params_public_key)).await;
    let removes = "CREATE TRIGGER removal BEFORE UPDATE OF spent_at ON sign_in_step \
                   BEGIN DELETE FROM security_key WHERE name = 'blue'; END";
    network.authority.tamper(removes).await;
    let no = no(&network.redeem_direct(&login, &code).await);
    assert_eq!((no.code(), no.says()), ((400, "invalid_grant"), "the key that signed in was removed meanwhile"));
    let own = network.authority.count("SELECT count(*) FROM sign_in WHERE person LIKE '%\"key\"%'").await;
    assert_eq!(own, 0, "nobody is signed in");
}

async fn no2(network: &Network, login: &Login, form: &[(&str, &str)]) -> (u16, String) {
    let no = no(&network.post("/authorize-challenge", &login.key, form).await);
    (no.status, no.body.error)
}

#[tokio::test]
async fn who_may_not_sign_in_may_not_with_a_key_either() {
    let network = Network::start().await;
    let (admin, key) = (admin(&network).await, annas_key(&network).await);
    let subject = network.provider.subject("anna");
    let signs_in = async || {
        let login = Login::new();
        let asked = network.challenge(&login).await;
        network.answer(&login, &asked.auth_session, &key.sign(&asked.authn_params_public_key)).await
    };
    network.authority.operate(OperationName::UserDisable, Some(&subject), None, &admin).await.unwrap();
    assert_eq!(says(&signs_in().await), "your account was disabled");
    network.authority.operate(OperationName::UserEnable, Some(&subject), None, &admin).await.unwrap();
    assert_eq!(signs_in().await.status, 200);
    let allow = |who: &str| {
        let table = network.provider.config().replace("[\"*\"]", &format!("[\"{who}\"]"));
        network.authority.write_config(&format!("{}\n{table}", crate::harness::CONFIG));
    };
    allow("group:nobody");
    assert_eq!(says(&signs_in().await), "you are none of those who may sign in here");
    // The provider named her groups when she last signed in there.
    allow("group:sre");
    assert_eq!(signs_in().await.status, 200);
}

/// Whom the provider removed goes on with a key for `max_age` at most.
#[tokio::test]
async fn the_providers_word_must_not_be_older_than_max_age() {
    let network = Network::with("max_age = \"8h\"\n", &policy()).await;
    let key = annas_key(&network).await;
    network.clock.advance(7 * 3600);
    network.sign_in_with(&key).await;
    network.clock.advance(3600);
    let login = Login::new();
    let asked = network.challenge(&login).await;
    let reply = network.answer(&login, &asked.auth_session, &key.sign(&asked.authn_params_public_key)).await;
    assert!(says(&reply).starts_with("the identity provider has not said of late who you are"));
    network.sign_in().await;
    network.sign_in_with(&key).await;
}

#[tokio::test]
async fn a_key_without_a_pin_is_not_enough_and_a_file_only_where_files_are_allowed() {
    let network = Network::start().await;
    let bare = TestKey::touch_only();
    let device = network.sign_in().await;
    network.first_key(&device, "bare", &bare).await.unwrap();
    let answered = async |key: &TestKey, flags: u8| {
        let login = Login::new();
        let asked = network.challenge(&login).await;
        let signed = key.sign_saying(&asked.authn_params_public_key, |says| says.flags |= flags);
        network.answer(&login, &asked.auth_session, &signed).await
    };
    assert_eq!(says(&answered(&bare, 0).await), "the key did not verify its user (PIN or biometric)");
    let found = answered(&bare, UV).await;
    let cause = "the key did not check a PIN or biometric when it was enrolled: enrol it anew with one";
    assert_eq!(says(&found), cause, "whoever finds a key can give it a PIN");

    network.provider.change(|says| says.claims = json!({ "sub": "ben" }));
    let (ben, file) = (network.sign_in().await, TestKey::software());
    network.first_key(&ben, "file", &file).await.unwrap();
    assert_eq!(network.sign_in_with(&file).await.subject, ben.subject);
    let config = format!("{}\n{}", crate::harness::CONFIG, network.provider.config());
    network.authority.write_config(&config.replace("allow_software_keys = true", ""));
    assert_eq!(says(&answered(&file, 0).await), "software keys are not allowed here");
}

// --- without a provider ----------------------------------------------------------------------------------------------

#[tokio::test]
async fn without_a_provider_people_have_keys_and_invitations() {
    let network = Network::without_provider().await;
    let metadata = network.get("/.well-known/oauth-authorization-server").await.json.unwrap();
    assert_eq!(metadata["authorization_challenge_endpoint"], format!("{}/authorize-challenge", network.issuer));
    assert_eq!(metadata["pushed_authorization_request_endpoint"], Value::Null);
    assert_eq!(metadata["authorization_endpoint"], Value::Null);
    serde_json::from_value::<Metadata>(metadata).unwrap();
    let login = Login::new();
    let pushed = no(&network.post("/par", &login.key, &login.form()).await);
    let cause = "there is no identity provider here: `elevate login --key`";
    assert_eq!((pushed.code(), pushed.says()), ((400, "unauthorized_client"), cause));

    let admin = admin(&network).await;
    let invitation = network.invite(&admin, "anna").await;
    let subject = format!("{}#anna", network.issuer);
    let invited = network.sign_in_by(&invitation).await;
    assert_eq!(invited.subject, subject);
    let key = TestKey::with_pin();
    network.first_key(&invited, "blue", &key).await.unwrap();
    let device = network.sign_in_with(&key).await;
    assert_eq!(device.subject, subject);
    network.ask_as(&device, &Ask::new("wiki")).await.grant();
    let events = network.authority.events().await;
    for event in ["user.invited", "key.enrolled", "sign_in.done"] {
        assert!(events.iter().any(|known| known == event), "{event}: {events:?}");
    }
    // Whoever is here on the machine may be invited to the network as well.
    let uid = network.invite_fails(&admin, &crate::harness::me()).await;
    assert_eq!(uid, "they have a key, and sign in with it: an invitation is for a first one");
    assert!(network.authority.faults_of_the_log().await.is_empty());
}

// --- by an invitation ------------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_invitation_is_for_a_first_key_and_for_nothing_else() {
    let network = Network::without_provider().await;
    let admin = admin(&network).await;
    let device = network.sign_in_by(&network.invite(&admin, "anna").await).await;
    let only = "a sign-in by invitation is for enrolling a first key, and for nothing else";
    for resource in ["wiki", "prod-db"] {
        let no = network.ask_as(&device, &Ask::new(resource)).await.no();
        assert_eq!((no.body.error.as_str(), no.says()), ("access_denied", only), "{resource}");
    }
    for path in ["/resources", "/keys", "/explain?resource=wiki", "/log/entries"] {
        let no = network.get_as(&device, path).await.no();
        assert_eq!((no.code(), no.says()), ((401, "invalid_token"), only), "{path}");
        assert_eq!(no.body.elevate_hint.as_deref(), Some("run `elevate key enroll NAME`, then `elevate login --key`"));
    }
    // It ends with the enrolment.
    let begun = network.begin_first_key(&device, "second").await.unwrap();
    let key = TestKey::with_pin();
    network.first_key(&device, "blue", &key).await.unwrap();
    let late = TestKey::with_pin();
    let no = network.finish_enrolment(&begun, late.make(&begun.public_key), &device.key).await.unwrap_err();
    assert_eq!(no.status, 409, "{no:?}");
    let over = network.ask_as(&device, &Ask::new("wiki")).await.no();
    assert_eq!(over.says(), "the sign-in by invitation is over: it was for enrolling a key");
    assert_eq!(over.body.elevate_hint.as_deref(), Some("run `elevate login --key`"));
    // Or after ten minutes.
    let device = network.sign_in_by(&network.invite(&admin, "ben").await).await;
    network.clock.advance(599);
    network.begin_first_key(&device, "blue").await.unwrap();
    network.clock.advance(1);
    let over = network.begin_first_key(&device, "blue").await.unwrap_err();
    assert_eq!(over.says(), "the sign-in by invitation is over: it was for enrolling a key");
}

/// Whatever the policy says.
#[tokio::test]
async fn what_an_invitation_is_for_is_no_matter_of_policy() {
    let everything = "@id(\"all\")\n@max_ttl(\"1h\")\npermit (principal, action, resource);\n";
    let network = Network::with("first_key = \"invitation\"\n", everything).await;
    let provided = network.sign_in().await;
    let no = network.begin_first_key(&provided, "blue").await.unwrap_err();
    assert!(no.says().starts_with("a first key takes an invitation here"), "{no:?}");
    // Everything else is as it was.
    network.ask_as(&provided, &Ask::new("payroll")).await.grant();
    let admin = admin(&network).await;
    let device = network.sign_in_by(&network.invite(&admin, &provided.subject).await).await;
    assert_eq!(device.subject, provided.subject);
    assert_eq!(network.ask_as(&device, &Ask::new("wiki")).await.no().body.error, "access_denied");
    let key = TestKey::with_pin();
    network.first_key(&device, "blue", &key).await.unwrap();
    assert_eq!(network.sign_in_with(&key).await.subject, provided.subject);
}

#[tokio::test]
async fn an_invitation_is_taken_up_once_in_time_and_replaced_by_the_next() {
    let network = Network::without_provider().await;
    let admin = admin(&network).await;
    let brought = async |invitation: &str| network.authorize(&Login::new(), &[("invitation", invitation)]).await;
    let (first, second) = (network.invite(&admin, "anna").await, network.invite(&admin, "anna").await);
    assert_eq!(says(&brought(&first).await), "there is no such invitation", "the second one is in its place");
    let shown = network.authority.operate(OperationName::UserList, None, None, &admin).await.unwrap();
    let anna = |shown: &Value| {
        let users = shown["users"].as_array().unwrap();
        users.iter().find(|user| user["user"].as_str().unwrap().ends_with("#anna")).unwrap()["invited_until"].clone()
    };
    assert_eq!(anna(&shown), "2026-01-02T12:00:00Z");
    let (one, two) = tokio::join!(brought(&second), brought(&second));
    let used = "the invitation was used already: if that was not you, tell an administrator at once";
    let loser = if one.status == 200 { &two } else { &one };
    assert_eq!([one.status, two.status].iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(says(loser), used);
    assert_eq!(says(&brought(&second).await), used);
    let shown = network.authority.operate(OperationName::UserList, None, None, &admin).await.unwrap();
    assert_eq!(anna(&shown), Value::Null);

    let third = network.invite(&admin, "anna").await;
    network.clock.advance(86_400);
    assert_eq!(says(&brought(&third).await), "the invitation's time is over");
    assert_eq!(network.authority.last_entry().await["cause"], "the invitation's time is over");
    // The store knows no code.
    let fourth = network.invite(&admin, "anna").await;
    for shown in [fourth.clone(), fourth.replace('-', "")] {
        assert_eq!(
            network.authority.count(&format!("SELECT count(*) FROM invitation WHERE hash = '{shown}'")).await,
            0
        );
    }
    network
        .authority
        .operate(OperationName::UserDisable, Some(&format!("{}#anna", network.issuer)), None, &admin)
        .await
        .unwrap();
    assert_eq!(says(&brought(&fourth).await), "there is no such invitation", "it ended with that");
}

#[tokio::test]
async fn invitations_are_not_guessed_and_guessing_locks_nobody_else_out() {
    let network = Network::without_provider().await;
    let admin = admin(&network).await;
    let invitation = network.invite(&admin, "anna").await;
    let brought = async |invitation: &str| network.authorize(&Login::new(), &[("invitation", invitation)]).await;
    for guess in 0..10 {
        assert_eq!(says(&brought(&format!("{guess:0>26}")).await), "there is no such invitation");
    }
    let flood = no(&brought(&invitation).await);
    assert_eq!(flood.code(), (429, "slow_down"), "also the right one, from there");
    // From another address it is taken.
    let (elsewhere, _serving) = network.from("198.51.100.9").await;
    let login = Login::new();
    let challenge = login.challenge();
    let form = [
        ("client_id", "elevate-cli"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("invitation", invitation.as_str()),
    ];
    let reply = elsewhere.send(
        elsewhere
            .request("POST", &elsewhere.at("/authorize-challenge"))
            .header("DPoP", elsewhere.prove("/authorize-challenge", &login.key, None))
            .form(&form),
    );
    assert_eq!(reply.await.status, 200);
}

/// The first of a network is an entry, those like it are one more with their number, whoever guesses how often.
#[tokio::test]
async fn refusals_of_strangers_are_counted_and_not_each_written() {
    let network = Network::without_provider().await;
    let (elsewhere, _serving) = network.from("198.51.100.9").await;
    let login = Login::new();
    let challenge = login.challenge();
    let brought = async |wire: &crate::harness::Wire, guess: u32| {
        let guess = format!("{guess:0>26}");
        let form = [
            ("client_id", "elevate-cli"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("invitation", guess.as_str()),
        ];
        let once = async || {
            let request = wire.request("POST", &wire.at("/authorize-challenge"));
            wire.send(request.header("DPoP", wire.prove("/authorize-challenge", &login.key, None)).form(&form)).await
        };
        // A nonce is over by the time that the first refusals are.
        let reply = once().await;
        let is_stale = reply.json.as_ref().is_some_and(|json| json["error"] == "use_dpop_nonce");
        let reply = if is_stale { once().await } else { reply };
        assert_eq!(says(&reply), "there is no such invitation");
    };
    let causes = async || -> Vec<String> {
        let leaves = network.authority.log().await.into_iter().map(|entry| entry.leaf.unwrap());
        let leaves = leaves.map(|leaf| serde_json::from_str::<Value>(&leaf).unwrap());
        let failed = leaves.filter(|leaf| leaf["event"] == "sign_in.failed");
        failed.map(|leaf| leaf["cause"].as_str().unwrap().to_owned()).collect()
    };
    let one = "there is no such invitation";
    for guess in 0..5 {
        brought(&network, guess).await;
    }
    assert_eq!(causes().await, [one]);
    brought(&elsewhere, 5).await;
    assert_eq!(causes().await, [one, one], "another network is another stranger");
    network.clock.advance(599);
    brought(&network, 6).await;
    assert_eq!(causes().await, [one, one]);
    network.clock.advance(1);
    brought(&network, 7).await;
    let counted = format!("{one} (5 more times since 2026-01-01T12:00:00Z)");
    assert_eq!(causes().await, [one, one, &counted, one]);
    assert!(network.authority.faults_of_the_log().await.is_empty());
}

#[tokio::test]
async fn who_is_invited_is_somebody() {
    let network = Network::start().await;
    let admin = admin(&network).await;
    for (user, says) in [
        ("https://ci.example#job", "[sign_in] of authority.toml does not let them in"),
        ("uid:many", "[sign_in] of authority.toml does not let them in"),
        ("an na", "a name is 1 to 64 printable characters of ASCII without spaces, ':' and '#'"),
    ] {
        assert_eq!(network.invite_fails(&admin, user).await, says, "{user}");
    }
    let bare = crate::harness::TestAuthority::start().await;
    let key = TestKey::touch_only();
    bare.enrol("blue", &key, None).await.unwrap();
    let no = bare.operate(OperationName::UserInvite, Some("anna"), None, &key).await.unwrap_err();
    assert_eq!(no.says(), "nobody can sign in here: authority.toml has no [sign_in]");
}

// --- what hangs on a sign-in -----------------------------------------------------------------------------------------

#[tokio::test]
async fn an_enrolment_ends_with_the_sign_in_that_it_was_begun_in() {
    let network = Network::start().await;
    let device = network.sign_in().await;
    let begun = network.begin_first_key(&device, "blue").await.unwrap();
    network.revoke(&device.token).await;
    let made = TestKey::with_pin().make(&begun.public_key);
    let no = network.finish_enrolment(&begun, made, &device.key).await.unwrap_err();
    assert_eq!((no.status, no.says()), (409, "you were signed out meanwhile"));
    assert_eq!(network.authority.count("SELECT count(*) FROM security_key").await, 0);
}

/// The person sees it in the browser; the device, which waits elsewhere, is told as well.
#[tokio::test]
async fn a_waiting_device_is_told_why_not() {
    let network = Network::start().await;
    for (answer, cause) in [
        (vec![("error", "access_denied")], "the identity provider says no: access_denied"),
        (
            vec![("code", "x"), ("iss", "https://other.example")],
            "the identity provider can't say who you are: the answer is another provider's",
        ),
    ] {
        let waiting = super::device_waits(&network).await;
        let mut browser = Browser::default();
        let url = browser.submit(&network, "/device", &[("user_code", &waiting.codes.user_code)]).await.onward();
        assert!(pairs(&url).contains_key("state"));
        network.back_saying(&url, &answer, &mut browser).await;
        let no = no(&super::asks(&network, &waiting).await);
        assert_eq!((no.code(), no.says()), ((400, "access_denied"), cause));
        assert_eq!(super::no(&super::asks(&network, &waiting).await).code(), (400, "invalid_grant"), "once");
    }
}

#[tokio::test]
async fn the_catalogue_is_a_key_sign_ins_as_well() {
    let network = Network::start().await;
    let key = annas_key(&network).await;
    let device = network.sign_in_with(&key).await;
    let catalogue: Catalogue = network.get_as(&device, "/resources").await.read().unwrap();
    assert!(catalogue.resources.iter().any(|entry| entry.resource.as_str() == "payroll"));
}
