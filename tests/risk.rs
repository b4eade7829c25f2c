//! When a touch is asked that would not be asked otherwise, and why: what is remembered of people, where they come from, and
//! what happens when nobody can say so.

/// Files of addresses.
mod mmdb;
/// What holds whatever is known.
mod properties;
/// Through the real programs.
mod service;

use crate::harness::{Answer, Ask, TestAuthority, TestKey, Wire, noon, policy, proof_key};
use crate::sign_in::network::{Device, Network, get_as};
use elevate::authority::context::Signal;
use elevate::protocol::messages::StepUpResponse;
use mmdb::{city, file, system};
use serde_json::Value;
use std::fs;
use std::path::Path;

const DAY: i64 = 86_400;

/// Where people of these tests are at home, as [`Network`] has it.
const HOME: [u8; 3] = [192, 0, 2];
/// The other side of the world.
const AWAY: [u8; 3] = [203, 0, 113];

/// Writes a file of bytes beside authority.toml, anew.
fn put(directory: &Path, name: &str, bytes: &[u8]) {
    let new = directory.join("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, directory.join(name)).unwrap();
}

fn cities(built: i64) -> Vec<u8> {
    file("Test-City", built, &[(HOME, city("DE", 52.52, 13.40)), (AWAY, city("AU", -33.87, 151.21))])
}

/// Somebody who is signed in and has a key that is a day old.
async fn anna(network: &Network) -> (Device, TestKey) {
    let (device, key) = (network.sign_in().await, TestKey::with_pin());
    network.first_key(&device, "blue", &key).await.unwrap();
    (device, key)
}

async fn ask(wire: &Wire, device: &Device, resource: &str) -> Answer {
    wire.token(&device.request(&Ask::new(resource)), &device.key).await
}

/// Answers the step-up.
async fn touch(wire: &Wire, device: &Device, key: &TestKey, step_up: &StepUpResponse) {
    let assertion = key.sign(&step_up.authn_params_public_key);
    let request = Ask::new("wiki").answer(&step_up.auth_session, &assertion);
    let request = elevate::protocol::messages::TokenRequest {
        subject_token: device.token.clone(),
        subject_token_type: elevate::protocol::messages::ACCESS_TOKEN_TYPE.into(),
        ..request
    };
    wire.token(&request, &device.key).await.grant();
}

/// What `elevate explain wiki` gets: names of the signals, and all of it.
async fn explained(wire: &Wire, device: &Device) -> (Vec<String>, String) {
    let why = get_as(wire, device, "/explain?resource=wiki").await.json.unwrap();
    let names = why["signals"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned());
    (names.collect(), why.to_string())
}

async fn signals(wire: &Wire, device: &Device) -> Vec<String> {
    explained(wire, device).await.0
}

#[track_caller]
fn shows(signals: &[String], expected: &[Signal]) {
    let expected: Vec<&str> = expected.iter().map(|signal| signal.name()).collect();
    assert_eq!(signals, expected);
}

// --- devices and networks ------------------------------------------------------------------------------------------

#[tokio::test]
pub async fn a_second_device_takes_one_touch_and_the_prompt_says_why() {
    let network = Network::start().await;
    let (first, key) = anna(&network).await;
    ask(&network, &first, "wiki").await.grant();

    let second = network.sign_in().await;
    let step_up = ask(&network, &second, "wiki").await.step_up();
    assert!(step_up.error_description.contains("you are on a device that is new"), "{}", step_up.error_description);
    assert!(step_up.error_description.contains("when something is unusual"), "{}", step_up.error_description);
    ask(&network, &first, "wiki").await.grant();
    // What is asked in vain makes nothing known.
    ask(&network, &second, "wiki").await.step_up();
    touch(&network, &second, &key, &step_up).await;
    assert_eq!(network.authority.last_entry().await["signals"], serde_json::json!(["new_device", "new_key"]));
    ask(&network, &second, "wiki").await.grant();
    assert_eq!(network.authority.count("SELECT count(*) FROM history").await, 1);
}

#[tokio::test]
pub async fn another_network_takes_a_touch_and_is_known_then() {
    let network = Network::start().await;
    let (device, key) = anna(&network).await;
    ask(&network, &device, "wiki").await.grant();
    let (away, _serving) = network.from("203.0.113.9").await;
    let step_up = ask(&away, &device, "wiki").await.step_up();
    let said = &step_up.error_description;
    assert!(said.contains("you were never seen in 203.0.113.0/24 before"), "{said}");
    touch(&away, &device, &key, &step_up).await;
    ask(&away, &device, "wiki").await.grant();
    let (neighbour, _serving) = network.from("203.0.113.200").await;
    ask(&neighbour, &device, "wiki").await.grant();
    let (v6, _serving) = network.from("2001:db8:7::1").await;
    let said = ask(&v6, &device, "wiki").await.step_up().error_description;
    assert!(said.contains("2001:db8:7::/48"), "{said}");
    ask(&network, &device, "wiki").await.grant();
}

/// It is the touch that says whose device it is, or time.
#[tokio::test]
async fn a_host_that_a_device_was_not_before_is_another_device() {
    let network = Network::start().await;
    let (device, _) = anna(&network).await;
    ask(&network, &device, "wiki").await.grant();
    let mut elsewhere = Ask::new("wiki");
    elsewhere.detail.claimed.host = "somewhere-else".into();
    let step_up = network.ask_as(&device, &elsewhere).await.step_up();
    assert!(step_up.error_description.contains("a device that is new"), "{}", step_up.error_description);
}

#[tokio::test]
async fn two_places_at_once_and_an_old_sign_in_are_told() {
    let network = Network::with("length = \"30d\"\nidle = \"30d\"\n", &policy()).await;
    let (device, key) = anna(&network).await;
    ask(&network, &device, "wiki").await.grant();
    shows(&signals(&network, &device).await, &[Signal::NewKey]);
    let second = network.sign_in().await;
    let (away, _serving) = network.from("203.0.113.9").await;
    let step_up = ask(&away, &second, "wiki").await.step_up();
    touch(&away, &second, &key, &step_up).await;
    shows(&signals(&network, &device).await, &[Signal::NewKey, Signal::SeveralSessions]);
    network.clock.advance(1800);
    shows(&signals(&network, &device).await, &[Signal::NewKey]);
    network.clock.advance(DAY);
    shows(&signals(&network, &device).await, &[Signal::StaleSession]);
}

// --- habits --------------------------------------------------------------------------------------------------------

#[tokio::test]
pub async fn a_burst_takes_a_touch_until_it_is_over() {
    let authority = TestAuthority::start().await;
    let key = TestKey::touch_only();
    authority.enrol("blue", &key, None).await.unwrap();
    let wiki = Ask::new("wiki");
    let mut grants = 0;
    let step_up = loop {
        match authority.ask(&wiki, &proof_key()).await {
            Answer::StepUp(step_up) => break step_up,
            answer => drop(answer.grant()),
        }
        grants += 1;
        assert!(grants < 100, "no end");
    };
    assert!(step_up.error_description.contains("far more in the last ten minutes"), "{}", step_up.error_description);
    // One of the thirty was the enrolment.
    assert_eq!(grants, 29);
    let elevated = authority.elevate(&wiki, &proof_key(), &key).await.grant();
    assert_eq!(elevated.expires_in, 300);
    authority.clock.advance(1200);
    authority.ask(&wiki, &proof_key()).await.grant();
    // Refusals count as well.
    for _ in 0..30 {
        authority.ask(&Ask::new("bunker"), &proof_key()).await.no();
    }
    authority.ask(&wiki, &proof_key()).await.step_up();
}

/// Many at once are one history: nothing is lost, and nothing is counted twice.
#[tokio::test]
pub async fn what_happens_at_once_is_counted_whole() {
    let authority = TestAuthority::start().await;
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    let (ask, key) = (Ask::new("bunker"), proof_key());
    let once = || authority.ask(&ask, &key);
    drop(tokio::join!(once(), once(), once(), once(), once(), once(), once(), once()));
    let content = history(&authority).await;
    assert_eq!(content["counts"][0], 1 + 8, "{content}");
}

async fn history(authority: &TestAuthority) -> Value {
    let content: String =
        sqlx::query_scalar("SELECT content FROM history").fetch_one(&mut authority.database().await).await.unwrap();
    serde_json::from_str(&content).unwrap()
}

#[tokio::test]
async fn an_unusual_hour_is_unusual_for_this_person() {
    let authority = TestAuthority::start().await;
    let explained = async || {
        let why = authority.get(&authority.at("/explain?resource=wiki")).await.json.unwrap();
        (why["signals"].to_string(), why["decision"].as_str().unwrap().to_owned())
    };
    authority.clock.advance(-15 * 3600);
    let unknown = explained().await.0;
    assert!(!unknown.contains("unusual_hour"), "nobody knows yet: {unknown}");
    authority.clock.advance(15 * 3600);
    for _ in 0..8 {
        for _ in 0..3 {
            authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
            authority.clock.advance(3600);
        }
        authority.clock.advance(DAY - 3 * 3600);
    }
    assert!(!explained().await.0.contains("unusual_hour"), "noon");
    authority.clock.advance(15 * 3600);
    let (signals, decision) = explained().await;
    assert!(signals.contains("unusual_hour"), "three in the morning: {signals}");
    assert_eq!(decision, "permit", "it is told, and the default policy asks for nothing");
}

// --- the history itself --------------------------------------------------------------------------------------------

#[tokio::test]
pub async fn without_history_nobody_gets_in() {
    let authority = TestAuthority::start().await;
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    let before = history(&authority).await.to_string();
    authority.tamper("UPDATE history SET content = '{\"hours\":[]}'").await;
    let no = authority.ask(&Ask::new("wiki"), &proof_key()).await.no();
    assert_eq!(no.status, 503, "{no:?}");
    assert!(no.says().contains("what is remembered of a user can't be read"), "{no:?}");
    authority.tamper(&format!("UPDATE history SET content = '{before}'")).await;
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    authority.tamper("DROP TABLE history").await;
    let no = authority.ask(&Ask::new("wiki"), &proof_key()).await.no();
    assert_eq!(no.status, 503, "{no:?}");
}

/// It commits with the entry of the log, or neither does.
#[tokio::test]
pub async fn what_is_not_recorded_is_not_remembered() {
    let authority = TestAuthority::start().await;
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    let before = history(&authority).await;
    authority.faults.lose_next();
    authority.ask(&Ask::new("wiki"), &proof_key()).await.no();
    assert_eq!(history(&authority).await, before);
    authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    assert_ne!(history(&authority).await, before);
}

/// Nobody who reads the store learns where people are, and two people in one network have no name in common.
#[tokio::test]
async fn no_address_and_no_host_stands_in_the_store() {
    let network = Network::start().await;
    let (device, _) = anna(&network).await;
    ask(&network, &device, "wiki").await.grant();
    let content = history(&network.authority).await.to_string();
    for said in ["192.0.2", "laptop", device.key.jkt()] {
        assert!(!content.contains(said), "{content}");
    }
}

// --- [risk] --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_the_country_file_says_and_that_it_can_not_say_it() {
    let network =
        Network::with("[risk]\ncountry_file = \"cities.mmdb\"\nasn_file = \"systems.mmdb\"\n", &policy()).await;
    let directory = network.authority.config();
    let built = noon().as_second();
    let systems = || file("Test-ASN", built, &[(HOME, system(64_496))]);
    put(&directory, "cities.mmdb", &cities(built));
    put(&directory, "systems.mmdb", &systems());
    let (device, key) = anna(&network).await;
    network.clock.advance(60);
    ask(&network, &device, "wiki").await.grant();
    shows(&signals(&network, &device).await, &[Signal::NewKey]);

    let lost = [Signal::NewCountry, Signal::ImpossibleTravel, Signal::NewKey, Signal::LostSource];
    let is_lost = async |says: &str| {
        let (signals, all) = explained(&network, &device).await;
        shows(&signals, &lost);
        assert!(all.contains(&format!("your country could not be looked up: the country file {says}")), "{all}");
        let step_up = ask(&network, &device, "wiki").await.step_up();
        assert!(step_up.error_description.contains(says), "{}", step_up.error_description);
        // Where there is no address, nothing has to be looked up.
        network.authority.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    };
    fs::remove_file(directory.join("cities.mmdb")).unwrap();
    is_lost("is missing").await;
    put(&directory, "cities.mmdb", b"<html>Please sign in to download</html>");
    is_lost("is damaged").await;
    // A download that ended early.
    put(&directory, "cities.mmdb", &cities(built)[..600]);
    is_lost("is damaged").await;
    put(&directory, "cities.mmdb", &cities(built - 91 * DAY));
    is_lost("is too old").await;
    put(&directory, "cities.mmdb", &cities(built));
    shows(&signals(&network, &device).await, &[Signal::NewKey]);
    put(&directory, "systems.mmdb", b"");
    shows(&signals(&network, &device).await, &[Signal::NewKey, Signal::LostSource]);
    put(&directory, "systems.mmdb", &systems());
    ask(&network, &device, "wiki").await.grant();

    let (away, _serving) = network.from("203.0.113.9").await;
    let (seen, all) = explained(&away, &device).await;
    shows(&seen, &[Signal::NewNetwork, Signal::NewCountry, Signal::ImpossibleTravel, Signal::NewKey]);
    assert!(all.contains("you were never seen in the country AU before"), "{all}");
    assert!(!all.contains("DE"), "where they were is nobody's business: {all}");
    let step_up = ask(&away, &device, "wiki").await.step_up();
    touch(&away, &device, &key, &step_up).await;
    shows(&signals(&away, &device).await, &[Signal::NewKey]);
    // And back, at once; then after a day.
    shows(&signals(&network, &device).await, &[Signal::ImpossibleTravel, Signal::NewKey]);
    let (nowhere, _serving) = network.from("198.51.100.1").await;
    let (seen, all) = explained(&nowhere, &device).await;
    shows(&seen, &[Signal::NewNetwork, Signal::NewCountry, Signal::NewKey]);
    assert!(all.contains("an address of no known country"), "{all}");
}

#[tokio::test]
async fn what_is_looked_up_reaches_policies() {
    let policy = format!(
        "{}\n@id(\"office\")\n@reason(\"from the office\")\npermit (principal, action == Action::\"elevate\", resource == \
         Resource::\"prod-db\") when {{ context.observed has origin && context.observed.origin has country && \
         context.observed.origin has asn && context.observed.origin.country == \"DE\" && context.observed.origin.asn == \
         64496 && context.observed.origin.address.isInRange(ip(\"192.0.2.0/28\")) && context.observed.origin.network == \
         \"192.0.2.0/24\" && context.observed has device_age && context.observed.device_age < 60 && context.observed has \
         oldest_key_age && context.observed.oldest_key_age < 60 }};\n",
        policy()
    );
    let network = Network::with("[risk]\ncountry_file = \"cities.mmdb\"\nasn_file = \"systems.mmdb\"\n", &policy).await;
    let directory = network.authority.config();
    put(&directory, "cities.mmdb", &cities(noon().as_second()));
    put(&directory, "systems.mmdb", &file("Test-ASN", noon().as_second(), &[(HOME, system(64_496))]));
    let (device, _) = anna(&network).await;
    ask(&network, &device, "prod-db").await.grant();
    let (neighbour, _serving) = network.from("192.0.2.200").await;
    ask(&neighbour, &device, "prod-db").await.step_up();
    network.clock.advance(60);
    ask(&network, &device, "prod-db").await.step_up();
}

#[tokio::test]
async fn who_is_on_call_is_known_by_a_file_or_nobody_is() {
    let policy = format!(
        "{}\n@id(\"on-call\")\n@reason(\"whoever is on call\")\npermit (principal, action == Action::\"elevate\", resource == \
         Resource::\"prod-db\") when {{ context.observed.on_call.contains(\"database\") }};\n",
        policy()
    );
    let config = format!("{}\n[risk]\non_call_file = \"on-call.toml\"\n", crate::harness::CONFIG);
    let authority = TestAuthority::with(&config, &policy).await;
    let shift = |who: &str| {
        format!(
            "[[shift]]\nname = \"database\"\nwho = \"{who}\"\nfrom = \"2026-01-01T08:00:00+01:00\"\n\
             until = \"2026-01-01T14:00:00+01:00\"\n"
        )
    };
    let decided = async || {
        let why = authority.get(&authority.at("/explain?resource=prod-db")).await.json.unwrap();
        (why["decision"].as_str().unwrap().to_owned(), why["signals"].to_string())
    };
    let nobody = async |says: &str| {
        let (decision, signals) = decided().await;
        assert_eq!(decision, "step_up");
        assert!(signals.contains("lost_source") && signals.contains(says), "{signals}");
        let no = authority.ask(&Ask::new("wiki"), &proof_key()).await.no();
        assert!(no.says().contains("key"), "{no:?}");
    };
    nobody("the on-call schedule is missing").await;
    let known = authority.events().await.len();
    authority.write("on-call.toml", &shift(&crate::harness::me()));
    assert_eq!(decided().await.0, "permit");
    let recorded = authority.events().await;
    assert_eq!(recorded[known..], ["rules.loaded"], "who is on call is part of the rules");
    authority.ask(&Ask::new("prod-db"), &proof_key()).await.grant();
    authority.write("on-call.toml", &shift("uid:4711"));
    let (decision, signals) = decided().await;
    assert_eq!(decision, "step_up");
    assert!(!signals.contains("lost_source"), "{signals}");
    authority.write("on-call.toml", "[[shift]]\nname = \"database\"\nwho = \"uid:0\"\nfrom = \"tomorrow\"");
    nobody("the on-call schedule is damaged").await;
    authority.write("on-call.toml", &shift(&crate::harness::me()));
    assert_eq!(decided().await.0, "permit");
    authority.clock.advance(3600);
    nobody("the on-call schedule is too old").await;
}

#[tokio::test]
async fn a_signal_can_be_switched_off() {
    let network = Network::with("[risk]\noff = [\"new_network\", \"new_key\"]\n", &policy()).await;
    let (device, _) = anna(&network).await;
    ask(&network, &device, "wiki").await.grant();
    let (away, _serving) = network.from("203.0.113.9").await;
    shows(&signals(&away, &device).await, &[]);
    ask(&away, &device, "wiki").await.grant();
}
