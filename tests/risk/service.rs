//! Through the real programs.

use super::{HOME, city, file, put};
use crate::harness::{Answer, Ask, TestKey, Wire};
use crate::serving::harness::{LISTEN, Service, Setup};
use crate::sign_in::company::{Company, desktop};
use crate::sign_in::network::{Device, Login, get_as};
use elevate::clock::Clock;
use elevate::protocol::CLIENT_ID;
use elevate::protocol::messages::SignInChallenge;
use reqwest::header::{HeaderMap, HeaderValue};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::DirBuilderExt as _;

/// A person with two devices: the prompt on the second one says what it is asked for.
#[test]
fn the_prompt_on_a_new_device_says_that_it_is_one() {
    let mut company = Company::found("", "ES256");
    company.sign_in("anna");
    let home = &company.home;
    home.approve(&["key", "enroll", "--software", "laptop"]).ok();
    home.elevate(&["token", "wiki"]).ok();
    let mut other = home.guest();
    for name in ["elevate.toml", "company.pem"] {
        other.write_config(name, &fs::read_to_string(home.config().join(name)).unwrap());
    }
    let keys = [home, &other].map(|home| home.data().join("device/software-keys"));
    fs::DirBuilder::new().mode(0o700).recursive(true).create(keys[1].parent().unwrap()).unwrap();
    assert!(std::process::Command::new("cp").arg("-a").args(&keys).status().unwrap().success());
    other.set("ELEVATE_TEST_NODE", &crate::sign_in::company::node_packages());
    desktop(&mut other, "anna", "allow");
    other.elevate(&["login"]).ok();
    let alone = other.elevate(&["token", "wiki"]).exits(4);
    assert_eq!(alone.stdout, "", "{alone:#?}");
    let why = other.elevate(&["explain", "wiki"]).ok();
    assert!(why.stdout.contains("new_device: you are on a device that is new"), "{why:#?}");
    let mut tty = other.at_terminal(&["token", "wiki"]);
    tty.wait_for("you are on a device that is new");
    tty.approve();
    tty.end().ok();
    let why = other.elevate(&["explain", "wiki"]).ok();
    assert!(!why.stdout.contains("new_device"), "{why:#?}");
}

/// Somebody behind the trusted proxy, at this address; but for the proxy, whoever says so is nobody.
async fn behind(service: &Service, proxy: u8, address: &'static str) -> Wire {
    let ca = reqwest::Certificate::from_pem(service.setup.ca.pem.as_bytes()).unwrap();
    let headers = HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), HeaderValue::from_static(address))]);
    let builder = reqwest::Client::builder().tls_certs_only([ca]).resolve("localhost", service.address);
    let builder = builder.local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, proxy))).default_headers(headers);
    let base = service.url("").trim_end_matches('/').to_owned();
    Wire::over(builder.build().unwrap(), base, Clock::system()).await
}

async fn signed_in(wire: &Wire, key: &TestKey) -> Device {
    let login = Login::new();
    let challenge = login.challenge();
    let form =
        vec![("client_id", CLIENT_ID), ("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    let asked = wire.form("/authorize-challenge", &login.key, &form).await;
    let asked: SignInChallenge = serde_json::from_str(&asked.text).unwrap();
    let assertion = serde_json::to_string(&key.sign(&asked.authn_params_public_key)).unwrap();
    let answer = [form, vec![("auth_session", &asked.auth_session), ("authn_response", &assertion)]].concat();
    let code = wire.form("/authorize-challenge", &login.key, &answer).await;
    let code = code.json.unwrap()["authorization_code"].as_str().unwrap().to_owned();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT_ID),
        ("code", &code),
        ("code_verifier", &login.verifier),
    ];
    let token = wire.form("/token", &login.key, &form).await;
    Device::of(login.key, &token)
}

async fn ask(wire: &Wire, device: &Device) -> Answer {
    wire.token(&device.request(&Ask::new("wiki")), &device.key).await
}

/// Where somebody is, a trusted proxy says and nobody else; the file that says in which country may come and go meanwhile.
#[tokio::test]
async fn a_service_knows_where_people_are_behind_its_proxy() {
    let listen = format!(
        "{LISTEN}trusted_proxies = [\"127.0.0.7/32\"]\n[sign_in]\nallow = [\"*\"]\n[risk]\ncountry_file = \"cities.mmdb\"\n"
    );
    let service = Setup::listening(&listen).with_socket().start();
    let cities = |built| file("Test-City", built, &[(HOME, city("DE", 52.52, 13.40))]);
    let now = Clock::system().now().as_second();
    put(&service.setup.config(), "cities.mmdb", &cities(now));

    let key = TestKey::with_pin();
    let socket = Wire::new(&service.setup.socket(), Clock::system()).await;
    socket.enrol("blue", &key, None).await.unwrap();
    let home = behind(&service, 7, "192.0.2.77").await;
    let device = signed_in(&home, &key).await;
    ask(&home, &device).await.grant();
    let away = behind(&service, 7, "198.51.100.1").await;
    let said = ask(&away, &device).await.step_up().error_description;
    assert!(said.contains("you were never seen in 198.51.100.0/24 before"), "{said}");
    let liar = behind(&service, 8, "192.0.2.77").await;
    let said = ask(&liar, &device).await.step_up().error_description;
    assert!(said.contains("you were never seen in 127.0.0.0/24 before"), "a neighbour of the proxy is nobody: {said}");

    put(&service.setup.config(), "cities.mmdb", b"gone wrong");
    let said = ask(&home, &device).await.step_up().error_description;
    assert!(said.contains("the country file is damaged"), "{said}");
    let line = service.says("what it would have said is taken for the worse");
    assert_eq!(line["level"], "WARN");
    assert!(line["file"].as_str().unwrap().ends_with("cities.mmdb"), "{line}");
    let said = || service.lines().iter().filter(|line| line.to_string().contains("taken for the worse")).count();
    let before = said();
    ask(&home, &device).await.step_up();
    assert_eq!(said(), before, "it is said once");
    put(&service.setup.config(), "cities.mmdb", &cities(now));
    ask(&home, &device).await.grant();
    let why = get_as(&home, &device, "/explain?resource=wiki").await.json.unwrap();
    assert!(!why["signals"].to_string().contains("country"), "{why}");
}
