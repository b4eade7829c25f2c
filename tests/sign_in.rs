//! People who sign in over the network: who they are, for how long, and everything that is tried instead.

pub mod company;
mod direct;
pub mod network;
mod people;
pub mod provider;
mod quickstart;

use crate::harness::{Ask, TestKey, operation_body, policy, proof_key};
use elevate::protocol::CLIENT_ID;
use elevate::protocol::encoding::base64url;
use elevate::protocol::messages::{Catalogue, DeviceResponse, ErrorCode, Explanation, OperationName, PushedResponse};
use network::{Browser, Device, Login, Network, REDIRECT, no, pairs};
use provider::{CLIENT, Key};
use serde_json::{Value, json};
use std::time::Duration;

// --- a session ---------------------------------------------------------------------------------------------------

#[tokio::test]
pub async fn who_signs_in_is_known_by_the_providers_sub() {
    let network = Network::start().await;
    let device = network.sign_in().await;
    assert_eq!(device.subject, network.provider.subject("anna"));
    let grant = network.ask_as(&device, &Ask::new("wiki")).await.grant();
    let claims = crate::harness::claims(&grant.access_token);
    assert_eq!((claims.sub.as_str(), claims.cnf.jkt.as_str()), (device.subject.as_str(), device.key.jkt()));
    let catalogue: Catalogue = network.get_as(&device, "/resources").await.read().unwrap();
    assert!(catalogue.resources.iter().any(|entry| entry.resource.as_str() == "wiki"));
    let explanation: Explanation = network.get_as(&device, "/explain?resource=wiki").await.read().unwrap();
    assert_eq!(explanation.resource, "wiki");
    let events = network.authority.events().await;
    assert_eq!(events[2..], ["user.created", "sign_in.done", "grant.issued"]);

    // Another name for the same person.
    network.provider.change(|says| says.claims = json!({ "name": "Anna Other", "email": "other@example.com" }));
    let again = network.sign_in().await;
    assert_eq!(again.subject, device.subject);
    assert_eq!(network.authority.count("SELECT count(*) FROM \"user\"").await, 1);
}

#[tokio::test]
async fn nobody_is_anybody_without_a_token_and_its_key() {
    let network = Network::start().await;
    let device = network.sign_in().await;
    let path = network.at("/resources");
    let bare = network.get(&path).await.no();
    assert_eq!((bare.code(), bare.says()), ((401, "invalid_token"), "you are not signed in"));
    assert_eq!(bare.body.elevate_hint.as_deref(), Some("run `elevate login`"));
    for scheme in ["DPoP", "Bearer"] {
        let token = format!("{scheme} {}", device.token.expose());
        let stolen = network.send(network.request("GET", &path).header("Authorization", token)).await;
        assert!(stolen.status >= 400, "a token without a proof: {}", stolen.text);
    }
    let thief = Device { key: proof_key(), token: device.token.clone(), subject: String::new() };
    let (looks, asks) =
        (network.get_as(&thief, "/resources").await.no(), network.ask_as(&thief, &Ask::new("wiki")).await.no());
    let says = "the sign-in is another device's";
    assert_eq!((looks.code(), looks.says()), ((401, "invalid_token"), says));
    assert_eq!((asks.code(), asks.says()), ((400, "invalid_request"), says), "RFC 8693 section 2.2.2");
    assert_eq!(asks.body.elevate_code, ErrorCode::NotSignedIn);
    // A proof for a POST, or for another path, is none for this GET.
    for (method, path_of) in [("POST", "/resources"), ("GET", "/keys")] {
        let token = device.token.expose();
        let proof = network.prove_for(method, path_of, &device.key, Some(token));
        let request = network.request("GET", &path).header("DPoP", proof);
        let reply = network.send(request.header("Authorization", format!("DPoP {token}"))).await.no();
        assert_eq!(reply.code(), (401, "invalid_dpop_proof"));
    }
    // What the kernel says holds on a socket only.
    let no = network.ask(&Ask::new("wiki"), &device.key).await.no();
    assert_eq!((no.code(), no.says()), ((400, "invalid_request"), "you are not signed in"));
}

#[tokio::test]
pub async fn a_session_ends_when_it_is_not_used_and_when_it_is_old() {
    let network = Network::with("length = \"3h\"\nidle = \"1h\"\n", &policy()).await;
    let device = network.sign_in().await;
    for _ in 0..5 {
        network.clock.advance(30 * 60);
        network.get_as(&device, "/resources").await.read::<Catalogue>().unwrap();
    }
    network.clock.advance(31 * 60);
    let old = network.get_as(&device, "/resources").await.no();
    assert_eq!((old.code(), old.says()), ((401, "invalid_token"), "this device signed in more than 3h ago"));
    let device = network.sign_in().await;
    network.clock.advance(3600);
    let idle = network.ask_as(&device, &Ask::new("wiki")).await.no();
    assert_eq!(
        (idle.code(), idle.says()),
        ((400, "invalid_request"), "this device was signed in, and not used for 1h")
    );
    assert_eq!(idle.body.elevate_hint.as_deref(), Some("run `elevate login`"));
}

#[tokio::test]
pub async fn signing_out_ends_the_session_and_its_grants_but_no_others() {
    let network = Network::start().await;
    let (device, other) = (network.sign_in().await, network.sign_in().await);
    let grant = network.ask_as(&device, &Ask::new("wiki")).await.grant();
    let kept = network.ask_as(&other, &Ask::new("wiki")).await.grant();
    assert_eq!(network.revoke(&device.token).await.status, 200);
    assert!(!network.authority.is_active(&grant.access_token).await);
    assert!(network.authority.is_active(&kept.access_token).await);
    let over = network.get_as(&device, "/resources").await.no();
    assert_eq!((over.code(), over.says()), ((401, "invalid_token"), "this device was signed out"));
    network.get_as(&other, "/resources").await.read::<Catalogue>().unwrap();
    assert_eq!(network.authority.last_entry().await["event"], "sign_in.left");
    assert_eq!(network.revoke(&device.token).await.status, 200, "once more is no error");
    assert!(network.authority.faults_of_the_log().await.is_empty());
}

#[tokio::test]
pub async fn who_is_shut_out_loses_sessions_and_grants_at_once() {
    let network = Network::start().await;
    let key = TestKey::touch_only();
    network.authority.enrol("blue", &key, None).await.unwrap();
    let device = network.sign_in().await;
    let grant = network.ask_as(&device, &Ask::new("wiki")).await.grant();
    network.authority.operate(OperationName::UserDisable, Some(&device.subject), None, &key).await.unwrap();
    assert!(!network.authority.is_active(&grant.access_token).await);
    let over = network.get_as(&device, "/resources").await.no();
    assert_eq!((over.code(), over.says()), ((401, "invalid_token"), "your account was disabled"));
    // The provider still knows them; the authority does not let them in.
    let login = Login::new();
    let mut browser = Browser::default();
    let url = network.to_provider(&login, &mut browser).await;
    let redirect = network.back(&url, &mut browser).await.redirect();
    assert_eq!((redirect["error"].as_str(), redirect["state"].as_str()), ("access_denied", login.state.as_str()));
    assert_eq!(redirect["error_description"], "your account was disabled");
    let entry = network.authority.last_entry().await;
    assert_eq!((&entry["event"], &entry["cause"]), (&json!("sign_in.failed"), &json!("your account was disabled")));
    // Let in again, the old session stays over.
    network.authority.operate(OperationName::UserEnable, Some(&device.subject), None, &key).await.unwrap();
    assert_eq!(network.get_as(&device, "/resources").await.no().says(), "this device was signed out");
    network.sign_in().await;
}

/// On SQLite another process is the other node, as far as it holds: it knows what is in the store, and nothing else.
#[tokio::test]
pub async fn what_ends_on_one_node_has_ended_on_the_other() {
    let network = Network::start().await;
    let key = TestKey::touch_only();
    network.authority.enrol("blue", &key, None).await.unwrap();
    let (first, second) = (network.sign_in().await, network.sign_in().await);
    let other = network.other_node().await;
    let says = async |device: &Device| other.get_as(device, "/resources").await;
    assert_eq!(says(&first).await.status, 200);
    network.revoke(&first.token).await;
    assert_eq!(says(&first).await.no().says(), "this device was signed out");
    network.authority.operate(OperationName::UserDisable, Some(&second.subject), None, &key).await.unwrap();
    assert_eq!(says(&second).await.no().says(), "your account was disabled");
}

#[tokio::test]
async fn what_the_provider_says_of_strength_is_no_step_up() {
    let network = Network::start().await;
    network.provider.change(|says| {
        says.claims = json!({ "acr": "urn:elevate:acr:verified_hardware", "amr": ["hwk", "pin", "mfa", "user"] });
    });
    let device = network.sign_in().await;
    let no = network.ask_as(&device, &Ask::new("payroll")).await.no();
    assert_eq!(no.body.error, "access_denied", "it takes a key that is enrolled here: {no:?}");
    let grant = network.ask_as(&device, &Ask::new("wiki")).await.grant();
    let claims = crate::harness::claims(&grant.access_token);
    assert_eq!((claims.acr.as_str(), claims.amr.len(), claims.auth_time), ("urn:elevate:acr:session", 0, None));
}

// --- groups and roles ----------------------------------------------------------------------------------------------

#[tokio::test]
async fn groups_and_roles_reach_policies() {
    let policy = format!(
        "{}\n@id(\"staff-only\")\n@reason(\"the wiki is for staff\")\n\
         forbid (principal, action == Action::\"elevate\", resource == Resource::\"wiki\") \
         unless {{ principal.groups.contains(\"staff\") && principal.roles.contains(\"oncall\") }};\n\
         @id(\"fresh\")\n@reason(\"sign in again first\")\n\
         forbid (principal, action, resource == Resource::\"wiki\") \
         when {{ context.observed has sign_in && context.observed.sign_in.age > 3600 }};\n",
        policy()
    );
    let network = Network::with("[roles]\noncall = [\"group:sre\"]\n", &policy).await;
    let device = network.sign_in().await;
    network.ask_as(&device, &Ask::new("wiki")).await.grant();
    network.clock.advance(3600);
    assert_eq!(network.ask_as(&device, &Ask::new("wiki")).await.no().says(), "sign in again first");
    for (groups, says) in [(json!(["sre"]), "the wiki is for staff"), (json!(["staff"]), "the wiki is for staff")] {
        network.provider.change(|says| says.claims = json!({ "groups": groups }));
        let device = network.sign_in().await;
        assert_eq!(network.ask_as(&device, &Ask::new("wiki")).await.no().says(), says);
    }
    network.provider.change(|says| says.claims = json!({ "groups": { "staff": true } }));
    let (login, mut browser) = (Login::new(), Browser::default());
    let url = network.to_provider(&login, &mut browser).await;
    assert_eq!(network.back(&url, &mut browser).await.redirect()["error"], "server_error");
}

#[tokio::test]
async fn administrators_are_named_or_in_a_group() {
    let network = Network::start().await;
    let admins = |entry: &str| {
        let config = format!("admins = [\"{entry}\"]\n{}\n{}", crate::harness::CONFIG, network.provider.config());
        network.authority.write_config(&config);
    };
    let device = network.sign_in().await;
    let body = operation_body(None, None);
    let ask = Ask::operation(OperationName::UserList, None, &body);
    assert_eq!(network.ask_as(&device, &ask).await.no().body.error, "access_denied");
    for entry in ["group:sre", &device.subject] {
        admins(entry);
        network.ask_as(&device, &ask).await.grant();
    }
    // A group is no subject, and a subject no group.
    for entry in ["sre", "anna", &format!("group:{}", device.subject)] {
        admins(entry);
        assert_eq!(network.ask_as(&device, &ask).await.no().body.error, "access_denied", "{entry}");
    }
}

#[tokio::test]
async fn a_schema_from_before_there_were_groups_still_works() {
    let network = Network::start().await;
    let old = elevate::authority::rules::DEFAULT_SCHEMA
        .lines()
        .filter(|line| !line.contains("groups:") && !line.contains("roles:") && !line.contains("sign_in?:"))
        .collect::<Vec<_>>()
        .join("\n");
    network.authority.write("schema.cedarschema", &old);
    let device = network.sign_in().await;
    network.ask_as(&device, &Ask::new("wiki")).await.grant();
}

// --- what a device may push -----------------------------------------------------------------------------------------

#[tokio::test]
async fn only_sound_requests_are_pushed() {
    let network = Network::start().await;
    let login = Login::new();
    let with = |name: &str, value: Option<&'static str>| {
        let mut form: Vec<(&str, &str)> = login.form();
        form.retain(|(known, _)| *known != name);
        form.extend(value.map(|value| (Box::leak(name.to_owned().into_boxed_str()) as &str, value)));
        form
    };
    let cases = [
        ("response_type", Some("token"), "unsupported_response_type"),
        ("client_id", Some("another"), "invalid_client"),
        ("client_id", None, "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge", None, "invalid_request"),
        ("state", Some("short"), "invalid_request"),
        ("state", None, "invalid_request"),
        ("dpop_jkt", Some("another"), "invalid_request"),
        ("request_uri", Some("urn:x"), "invalid_request"),
        ("redirect_uri", Some("https://evil.example/callback"), "invalid_request"),
        ("redirect_uri", Some("http://127.0.0.1/callback"), "invalid_request"),
        ("redirect_uri", Some("http://127.0.0.1:80@evil.example/callback"), "invalid_request"),
        ("redirect_uri", Some("http://127.0.0.1:99999/callback"), "invalid_request"),
        ("redirect_uri", Some("http://localhost:4000/callback"), "invalid_request"),
        ("redirect_uri", Some("http://127.0.0.1:4000/callback?x"), "invalid_request"),
        ("redirect_uri", Some("http://192.0.2.1:4000/callback"), "invalid_request"),
    ];
    for (name, value, error) in cases {
        let no = no(&network.post("/par", &login.key, &with(name, value)).await);
        assert_eq!(no.code(), (400, error), "{name} {value:?}");
    }
    let mut twice = login.form();
    twice.push(("state", "0123456789abcdef0123"));
    assert_eq!(no(&network.post("/par", &login.key, &twice).await).code(), (400, "invalid_request"));
    let bare = async |jkt: Option<&str>| {
        let mut form: Vec<(&str, &str)> = login.form();
        form.extend(jkt.map(|jkt| ("dpop_jkt", jkt)));
        no(&network.send(network.request("POST", &network.at("/par")).form(&form)).await)
    };
    assert_eq!(bare(None).await.code(), (400, "invalid_dpop_proof"), "a code is bound to a key from the start");
    for jkt in ["short", "not base64url, and much too long for what it should be"] {
        assert_eq!(bare(Some(jkt)).await.code(), (400, "invalid_request"), "{jkt}");
    }
}

/// RFC 9449 section 10.1: `dpop_jkt` is enough to push with. The code is bound all the same.
#[tokio::test]
async fn a_code_is_bound_to_the_key_that_is_named() {
    let network = Network::start().await;
    for is_thief in [false, true] {
        let (login, mut browser) = (Login::new(), Browser::default());
        let mut form: Vec<(&str, &str)> = login.form();
        form.push(("dpop_jkt", login.key.jkt()));
        let pushed = network.send(network.request("POST", &network.at("/par")).form(&form)).await;
        assert_eq!(pushed.status, 201, "{}", pushed.text);
        let pushed: PushedResponse = serde_json::from_str(&pushed.text).unwrap();
        let query = format!("client_id={CLIENT_ID}&request_uri={}", pushed.request_uri);
        let url = browser.open(&network, &format!("{}?{query}", network.at("/authorize"))).await.location().unwrap();
        let page = network.back(&url, &mut browser).await;
        let code = browser.confirm(&network, &page, "allow").await.redirect()["code"].clone();
        let login = if is_thief { Login { key: proof_key(), ..login } } else { login };
        let answer = network.redeem(&login, &code).await;
        if is_thief {
            let no = no(&answer);
            assert_eq!((no.code(), no.says()), ((400, "invalid_grant"), "the code is bound to another key"));
        } else {
            Device::of(login.key, &answer);
        }
    }
}

/// RFC 8628 knows no proof at the device endpoint: the sign-in is then bound to the key that takes it.
#[tokio::test]
async fn a_device_without_a_proof_is_bound_when_it_is_signed_in() {
    let network = Network::start().await;
    let request = network.request("POST", &network.at("/device_authorization"));
    let reply = network.send(request.form(&[("client_id", CLIENT_ID)])).await;
    let waiting = Waiting { login: Login::new(), codes: reply.read().unwrap() };
    let mut browser = Browser::default();
    let url = browser.submit(&network, "/device", &[("user_code", &waiting.codes.user_code)]).await.onward();
    let page = network.back(&url, &mut browser).await;
    browser.confirm(&network, &page, "allow").await;
    let device = Device::of(waiting.login.key.clone(), &asks(&network, &waiting).await);
    let thief = Device { key: proof_key(), ..device };
    assert_eq!(network.get_as(&thief, "/resources").await.no().code(), (401, "invalid_token"));
    let device = Device { key: waiting.login.key.clone(), ..thief };
    network.get_as(&device, "/resources").await.read::<Catalogue>().unwrap();
}

#[tokio::test]
async fn nobody_signs_in_where_nobody_may() {
    let authority = crate::harness::TestAuthority::start().await;
    let key = proof_key();
    let login = Login::new();
    let request = authority.request("POST", &authority.at("/par")).header("DPoP", authority.prove("/par", &key, None));
    let reply = authority.send(request.form(&login.form())).await;
    assert_eq!(no(&reply).code(), (400, "unauthorized_client"));
    let metadata = authority.get("/.well-known/oauth-authorization-server").await.json.unwrap();
    assert_eq!(metadata["authorization_endpoint"], Value::Null);
    assert_eq!(metadata["response_types_supported"], json!([]));
}

#[tokio::test]
async fn the_metadata_names_what_there_is() {
    let network = Network::start().await;
    let metadata = network.get("/.well-known/oauth-authorization-server").await.json.unwrap();
    let issuer = &network.issuer;
    assert_eq!(metadata["authorization_endpoint"], format!("{issuer}/authorize"));
    assert_eq!(metadata["pushed_authorization_request_endpoint"], format!("{issuer}/par"));
    assert_eq!(metadata["device_authorization_endpoint"], format!("{issuer}/device_authorization"));
    assert_eq!(metadata["require_pushed_authorization_requests"], true);
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(metadata["response_types_supported"], json!(["code"]));
}

// --- the browser --------------------------------------------------------------------------------------------------

#[tokio::test]
async fn another_browser_can_not_finish_what_one_began() {
    let network = Network::start().await;
    let login = Login::new();
    let mut browser = Browser::default();
    let url = network.to_provider(&login, &mut browser).await;
    for mut other in
        [Browser::default(), Browser { cookie: Some(format!("__Host-elevate-sign-in={}", base64url([7; 32]))) }]
    {
        let page = network.back(&url, &mut other).await;
        assert_eq!(page.status, 403, "{}", page.text);
        assert!(page.text.contains("another browser"), "{}", page.text);
    }
    let page = network.back(&url, &mut browser).await;
    let mut other = Browser::default();
    assert_eq!(other.confirm(&network, &page, "allow").await.status, 400);
    let shown = browser.confirm(&network, &page, "allow").await;
    let code = shown.redirect()["code"].clone();
    assert_eq!(network.redeem(&login, &code).await.status, 200);
}

#[tokio::test]
pub async fn each_step_is_taken_once() {
    let network = Network::start().await;
    let login = Login::new();
    let mut browser = Browser::default();
    let pushed = network.push(&login).await;
    let open = format!("{}?client_id={CLIENT_ID}&request_uri={}", network.at("/authorize"), pushed.request_uri);
    let shown = browser.open(&network, &open).await;
    assert_eq!(shown.status, 303);
    assert_eq!(browser.open(&network, &open).await.status, 400, "a request_uri is used once");
    let url = shown.headers["location"].to_str().unwrap().parse().unwrap();
    let page = network.back(&url, &mut browser).await;
    assert_eq!(network.back(&url, &mut browser).await.status, 400, "a state is used once");
    let done = browser.confirm(&network, &page, "allow").await;
    assert_eq!(browser.confirm(&network, &page, "allow").await.status, 400, "a page is answered once");
    let code = done.redirect()["code"].clone();
    let device = Device::of(login.key.clone(), &network.redeem(&login, &code).await);
    let grant = network.ask_as(&device, &Ask::new("wiki")).await.grant();
    let replayed = no(&network.redeem(&login, &code).await);
    assert_eq!(replayed.code(), (400, "invalid_grant"));
    // A code that comes twice was seen by somebody else: what it gave is taken back.
    assert_eq!(network.get_as(&device, "/resources").await.no().says(), "this device was signed out");
    assert!(!network.authority.is_active(&grant.access_token).await);
    let entry = network.authority.last_entry().await;
    assert_eq!(
        (&entry["event"], &entry["cause"]),
        (&json!("sign_in.ended"), &json!("its authorization code was used twice"))
    );
}

#[tokio::test]
pub async fn a_code_is_for_who_asked_for_it() {
    let network = Network::start().await;
    let form = |code: &str, redirect: &'static str, verifier: &str| {
        [("grant_type", "authorization_code"), ("client_id", CLIENT_ID), ("redirect_uri", redirect)]
            .into_iter()
            .chain([("code", Box::leak(code.to_owned().into_boxed_str()) as &str)])
            .chain([("code_verifier", Box::leak(verifier.to_owned().into_boxed_str()) as &str)])
            .collect::<Vec<_>>()
    };
    for case in ["verifier", "key", "redirect"] {
        let login = Login::new();
        let code = network.redirect(&login).await["code"].clone();
        let (key, form, cause) = match case {
            "verifier" => (
                login.key.clone(),
                form(&code, REDIRECT, &Login::new().verifier),
                "code_verifier does not fit the code",
            ),
            "key" => (proof_key(), form(&code, REDIRECT, &login.verifier), "the code is bound to another key"),
            _ => (
                login.key.clone(),
                form(&code, "http://127.0.0.1:1/callback", &login.verifier),
                "the code was sent elsewhere",
            ),
        };
        let wrong = no(&network.post("/token", &key, &form).await);
        assert_eq!((wrong.code(), wrong.says()), ((400, "invalid_grant"), cause));
        let entry = network.authority.last_entry().await;
        assert_eq!((&entry["event"], &entry["cause"]), (&json!("sign_in.failed"), &json!(cause)));
        assert_eq!(no(&network.redeem(&login, &code).await).code(), (400, "invalid_grant"), "it is over for everybody");
    }
    let login = Login::new();
    let code = network.redirect(&login).await["code"].clone();
    network.clock.advance(61);
    assert_eq!(no(&network.redeem(&login, &code).await).code(), (400, "invalid_grant"));
}

#[tokio::test]
async fn pages_are_safe_to_show() {
    let network = Network::start().await;
    network.provider.change(|says| says.claims = json!({ "name": "<script>\"'&\u{202e}" }));
    let (login, mut browser) = (Login::new(), Browser::default());
    let url = network.to_provider(&login, &mut browser).await;
    let page = network.back(&url, &mut browser).await;
    let header = |name: &str| page.headers[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("x-frame-options"), "DENY");
    assert_eq!(header("cache-control"), "no-store");
    assert!(page.text.contains("&lt;script&gt;&quot;&#39;&amp;\\u{202e}"), "{}", page.text);
    assert!(!page.text.contains("<script"), "{}", page.text);
    for shown in ["laptop", "192.0.2.7", "2026-01-01T12:00:00Z"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    // A form of another site is not taken.
    let request = network.request("POST", &network.at("/sign_in/confirm")).header("Sec-Fetch-Site", "cross-site");
    let shown = browser.show(request.form(&[("name", "x"), ("answer", "allow")])).await;
    assert!(shown.text.contains("another site"), "{}", shown.text);
}

#[tokio::test]
pub async fn a_person_may_refuse() {
    let network = Network::start().await;
    let (login, mut browser) = (Login::new(), Browser::default());
    let url = network.to_provider(&login, &mut browser).await;
    let page = network.back(&url, &mut browser).await;
    let redirect = browser.confirm(&network, &page, "refuse").await.redirect();
    assert_eq!((redirect["error"].as_str(), redirect["state"].as_str()), ("access_denied", login.state.as_str()));
    assert_eq!(redirect["iss"], network.issuer);
    assert_eq!(network.authority.last_entry().await["cause"], "the person refused it");
}

// --- the provider -------------------------------------------------------------------------------------------------

/// What the device is told where the provider says what a test makes it say.
async fn refusal(network: &Network) -> String {
    let (login, mut browser) = (Login::new(), Browser::default());
    let url = network.to_provider(&login, &mut browser).await;
    let redirect = network.back(&url, &mut browser).await.redirect();
    assert_eq!(redirect["error"], "server_error");
    assert_eq!((&redirect["state"], &redirect["iss"]), (&login.state, &network.issuer));
    let cause = redirect["error_description"].clone();
    let entry = network.authority.last_entry().await;
    assert_eq!((entry["event"].as_str(), entry["cause"].as_str()), (Some("sign_in.failed"), Some(cause.as_str())));
    cause.split_once(": ").unwrap().1.to_owned()
}

#[tokio::test]
async fn id_tokens_that_are_not_for_this_sign_in_let_nobody_in() {
    let network = Network::with("max_age = \"10m\"\n", &policy()).await;
    let now = network.clock.now().as_second();
    let issuer = network.provider.issuer.clone();
    let cases = [
        (json!({ "iss": "https://other.example" }), "it is from another issuer"),
        (json!({ "iss": format!("{issuer}/") }), "it is from another issuer"),
        (json!({ "aud": "another" }), "it is for another client"),
        (json!({ "aud": [CLIENT, "another"] }), "it is for several clients, and does not say to which it was issued"),
        (json!({ "aud": [CLIENT, "another"], "azp": "another" }), "it was issued to another client"),
        (json!({ "azp": "another" }), "it was issued to another client"),
        (json!({ "nonce": "another" }), "its nonce is another sign-in's"),
        (json!({ "nonce": null }), "its nonce is another sign-in's"),
        (json!({ "exp": now - 60 }), "its time is over"),
        (json!({ "iat": now + 61 }), "it is from the future"),
        (json!({ "iat": now - 601 }), "it was issued long ago"),
        (json!({ "auth_time": now - 700 }), "the person showed who they are too long ago"),
        (json!({ "auth_time": null }), "it does not say when the person showed who they are"),
        (json!({ "sub": "" }), "its 'sub' is no name"),
        (json!({ "sub": "anna\nuid:0" }), "its 'sub' is no name"),
        (json!({ "sub": null }), "its signature or claims are wrong"),
        (json!({ "groups": [1] }), "its groups can't be read"),
    ];
    for (claims, cause) in cases {
        network.provider.change(|says| says.claims = claims.clone());
        assert_eq!(refusal(&network).await, format!("its ID token is not acceptable: {cause}"), "{claims}");
    }
    network.provider.change(|says| says.claims = json!({ "aud": [CLIENT, "another"], "azp": CLIENT }));
    network.sign_in().await;
}

#[tokio::test]
async fn id_tokens_that_nobody_signed_let_nobody_in() {
    let network = Network::start().await;
    let part = |value: &Value| base64url(value.to_string());
    let unsigned = move |algorithm: &'static str| {
        move |claims: &Value, _: &Key| format!("{}.{}.", part(&json!({ "alg": algorithm, "kid": "one" })), part(claims))
    };
    network.provider.change(|says| says.token = Some(Box::new(unsigned("none"))));
    assert!(refusal(&network).await.starts_with("its ID token is not acceptable: "));
    network.provider.change(|says| says.token = Some(Box::new(unsigned("ES256"))));
    assert_eq!(refusal(&network).await, "its ID token is not acceptable: its signature or claims are wrong");
    // The public key as the secret of an HMAC.
    network.provider.change(|says| {
        says.token = Some(Box::new(|claims, key| {
            let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
            header.kid = Some("one".into());
            let secret = jsonwebtoken::EncodingKey::from_secret(key.jwk().to_string().as_bytes());
            jsonwebtoken::encode(&header, claims, &secret).unwrap()
        }));
    });
    let cause = refusal(&network).await;
    assert_eq!(cause, "its ID token is not acceptable: 'alg' is none that proves anything, or it has a 'crit' header");
    // Another's key under the same name.
    let other = Key::new("one");
    network.provider.change(|says| says.token = Some(Box::new(move |claims, _| other.sign(claims))));
    // One like it within ten minutes is counted, and no entry.
    network.clock.advance(600);
    assert_eq!(refusal(&network).await, "its ID token is not acceptable: its signature or claims are wrong");
    network.provider.change(|says| says.token = None);
    network.sign_in().await;
}

#[tokio::test]
async fn a_provider_may_change_its_keys_and_is_not_asked_at_everybodys_bidding() {
    let network = Network::start().await;
    network.sign_in().await;
    network.clock.advance(60);
    network.provider.change(|says| says.keys = vec![Key::new("two")]);
    network.sign_in().await;
    let asked = |network: &Network| network.provider.says.lock().unwrap().asked_for_keys;
    assert_eq!(asked(&network), 2);
    let unknown = Key::new("three");
    network.provider.change(|says| says.token = Some(Box::new(move |claims, _| unknown.sign(claims))));
    for _ in 0..3 {
        assert_eq!(refusal(&network).await, "its ID token is signed with a key that it does not publish");
    }
    assert_eq!(asked(&network), 2, "a made-up key's name makes nobody ask again within ten seconds");
    network.clock.advance(10);
    refusal(&network).await;
    assert_eq!(asked(&network), 3);
}

#[tokio::test]
async fn a_provider_that_is_gone_lets_nobody_in_and_is_asked_again() {
    let network = Network::start().await;
    network.provider.change(|says| says.status = 401);
    assert_eq!(refusal(&network).await, "it answered with HTTP status 401 (invalid_client)");
    network.provider.change(|says| says.status = 200);
    network.sign_in().await;

    let cases = [
        (json!({ "issuer": "https://other.example" }), "its metadata is another issuer's"),
        (
            json!({ "token_endpoint": "http://169.254.169.254/token" }),
            "its metadata names an endpoint that is not https",
        ),
        (json!({ "jwks_uri": "http://10.0.0.1/jwks" }), "its metadata names an endpoint that is not https"),
        (json!({ "token_endpoint": "file:///etc/passwd" }), "its metadata names an endpoint that is not https"),
        (json!({ "jwks_uri": format!("{}/gone", network.provider.issuer) }), "it answered with HTTP status 404"),
        (json!({ "jwks_uri": null }), "its answer can't be read"),
    ];
    for (metadata, cause) in cases {
        network.clock.advance(3600);
        network.provider.change(|says| says.metadata = metadata.clone());
        let login = Login::new();
        let pushed = network.push(&login).await;
        let open = format!("{}?client_id={CLIENT_ID}&request_uri={}", network.at("/authorize"), pushed.request_uri);
        let redirect = Browser::default().open(&network, &open).await.redirect();
        assert_eq!((redirect["error"].as_str(), &redirect["state"]), ("temporarily_unavailable", &login.state));
        assert_eq!(redirect["error_description"], format!("the identity provider can't say who you are: {cause}"));
    }
    network.provider.change(|says| says.metadata = json!({}));
    network.clock.advance(5);
    network.sign_in().await;
}

#[tokio::test]
async fn nobody_begins_without_end() {
    let network = Network::start().await;
    let login = Login::new();
    for _ in 0..300 {
        network.push(&login).await;
    }
    let flood = no(&network.post("/par", &login.key, &login.form()).await);
    assert_eq!(flood.code(), (429, "slow_down"));
    network.clock.advance(600);
    network.push(&login).await;
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_not_waited_for_for_ever() {
    let network = Network::start().await;
    network.provider.change(|says| says.delay = Duration::from_mins(1));
    let login = Login::new();
    let pushed = network.push(&login).await;
    let open = format!("{}?client_id={CLIENT_ID}&request_uri={}", network.at("/authorize"), pushed.request_uri);
    let redirect = Browser::default().open(&network, &open).await.redirect();
    assert_eq!(redirect["error_description"], "the identity provider can't say who you are: it did not answer in time");
}

#[tokio::test]
async fn answers_of_other_providers_are_told_apart() {
    let network = Network::start().await;
    let said = async |network: &Network, answer: &[(&str, &str)]| {
        let (login, mut browser) = (Login::new(), Browser::default());
        let url = network.to_provider(&login, &mut browser).await;
        network.provider.visited(&url);
        let shown = network.back_saying(&url, answer, &mut browser).await;
        if shown.text.contains("0;url=") { shown.redirect()["error_description"].clone() } else { String::new() }
    };
    let another = "the identity provider can't say who you are: the answer is another provider's";
    assert_eq!(said(&network, &[("code", "x"), ("iss", "https://other.example")]).await, another);
    assert_eq!(said(&network, &[("code", "x")]).await, "", "it does not say that it names itself");
    network.provider.change(|says| says.metadata = json!({ "authorization_response_iss_parameter_supported": true }));
    network.clock.advance(3600);
    assert_eq!(said(&network, &[("code", "x")]).await, another, "it says that it always does");
    assert_eq!(said(&network, &[("code", "x"), ("iss", &network.provider.issuer)]).await, "");
    let denied = said(&network, &[("error", "access_denied"), ("iss", &network.provider.issuer)]).await;
    assert_eq!(denied, "the identity provider says no: access_denied");
}

// --- devices without a browser --------------------------------------------------------------------------------------

struct Waiting {
    login: Login,
    codes: DeviceResponse,
}

async fn device_waits(network: &Network) -> Waiting {
    let login = Login::new();
    let form = [("client_id", CLIENT_ID), ("elevate_host", "server")];
    let codes = network.post("/device_authorization", &login.key, &form).await.read().unwrap();
    Waiting { login, codes }
}

async fn asks(network: &Network, waiting: &Waiting) -> crate::harness::Reply {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", CLIENT_ID),
        ("device_code", &waiting.codes.device_code),
    ];
    network.post("/token", &waiting.login.key, &form).await
}

#[tokio::test]
pub async fn a_device_without_a_browser_is_signed_in_by_another() {
    let network = Network::start().await;
    let waiting = device_waits(&network).await;
    assert_eq!((waiting.codes.expires_in, waiting.codes.interval), (600, 5));
    assert_eq!(waiting.codes.verification_uri, format!("{}/device", network.issuer));
    let code = waiting.codes.user_code.clone();
    assert_eq!(waiting.codes.verification_uri_complete, format!("{}/device?user_code={code}", network.issuer));
    assert_eq!(no(&asks(&network, &waiting).await).code(), (400, "authorization_pending"));
    assert_eq!(no(&asks(&network, &waiting).await).code(), (400, "slow_down"), "within five seconds");
    network.clock.advance(5);
    assert_eq!(no(&asks(&network, &waiting).await).code(), (400, "authorization_pending"));

    let mut browser = Browser::default();
    let page = browser.open(&network, &format!("{}?user_code={code}", network.at("/device"))).await;
    assert!(page.text.contains(&format!("value=\"{code}\"")), "{}", page.text);
    // As people type.
    let typed = code.to_lowercase().replace('-', " ");
    let url = browser.submit(&network, "/device", &[("user_code", &typed)]).await.onward();
    assert_eq!(pairs(&url)["prompt"], "login", "who types a code for a device shows anew who they are");
    let page = network.back(&url, &mut browser).await;
    for shown in ["server", "192.0.2.7", "Anna Example"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    network.clock.advance(5);
    assert_eq!(no(&asks(&network, &waiting).await).code(), (400, "authorization_pending"), "nobody confirmed yet");
    assert!(browser.confirm(&network, &page, "allow").await.text.contains("You may close this window"));
    network.clock.advance(5);
    let device = Device::of(waiting.login.key.clone(), &asks(&network, &waiting).await);
    assert_eq!(device.subject, network.provider.subject("anna"));
    network.ask_as(&device, &Ask::new("wiki")).await.grant();
    assert_eq!(no(&asks(&network, &waiting).await).code(), (400, "invalid_grant"), "once");
    let shown = browser.submit(&network, "/device", &[("user_code", &code)]).await;
    assert!(shown.text.contains("There is no such code"), "{}", shown.text);
}

#[tokio::test]
pub async fn a_device_is_refused_is_too_late_or_is_another() {
    let network = Network::start().await;
    let waiting = device_waits(&network).await;
    let mut browser = Browser::default();
    let url = browser.submit(&network, "/device", &[("user_code", &waiting.codes.user_code)]).await.onward();
    let page = network.back(&url, &mut browser).await;
    browser.confirm(&network, &page, "refuse").await;
    assert_eq!(no(&asks(&network, &waiting).await).code(), (400, "access_denied"));

    let waiting = device_waits(&network).await;
    let thief = Waiting { login: Login::new(), codes: waiting.codes.clone() };
    let stolen = no(&asks(&network, &thief).await);
    assert_eq!((stolen.code(), stolen.says()), ((400, "invalid_grant"), "the device code is bound to another key"));
    network.clock.advance(601);
    assert_eq!(no(&asks(&network, &waiting).await).code(), (400, "expired_token"));
    let shown = browser.submit(&network, "/device", &[("user_code", &waiting.codes.user_code)]).await;
    assert!(shown.text.contains("There is no such code"), "{}", shown.text);
}

#[tokio::test]
async fn codes_are_not_guessed() {
    let network = Network::start().await;
    let waiting = device_waits(&network).await;
    let mut browser = Browser::default();
    for _ in 0..10 {
        let shown = browser.submit(&network, "/device", &[("user_code", "BBBB-BBBB")]).await;
        assert!(shown.text.contains("There is no such code"), "{}", shown.text);
    }
    let right = [("user_code", waiting.codes.user_code.as_str())];
    let shown = browser.submit(&network, "/device", &right).await;
    assert!(shown.text.contains("Too many wrong codes"), "{}", shown.text);
    network.clock.advance(599);
    assert!(browser.submit(&network, "/device", &right).await.text.contains("Too many wrong codes"));
    let waiting = device_waits(&network).await;
    network.clock.advance(1);
    browser.submit(&network, "/device", &[("user_code", &waiting.codes.user_code)]).await.onward();
}
