//! Security keys as their drivers describe them: who is asked, who wins, and what is said when a key fails. The drivers
//! are scripts; what they sign is signed by a key of the test.

/// Approving without a terminal.
mod desktop;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use elevate::client::Device;
use elevate::client::address::Address;
use elevate::client::error::Error;
use elevate::client::places::Places;
use elevate::client::presence::{Approval, Presence};
use elevate::client::security_key::driver::{Answer, Bytes, Event, Fault, KeyInfo, status};
use elevate::client::security_key::fleet::Bus;
use elevate::client::security_key::hardware::HardwareKeys;
use elevate::client::security_key::{SecurityKey as _, check_assertion, client_data};
use elevate::client::terminal::Terminal;
use elevate::protocol::authenticator_data::{AuthenticatorData, BE, BS, UP, UV};
use elevate::protocol::encoding::{base64url, sha256};
use elevate::protocol::messages::{EnrolledKey, ErrorCode};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use webauthn_rs_proto::{
    AllowCredentials, PublicKeyCredential, PublicKeyCredentialRequestOptions, UserVerificationPolicy,
};

const RP_ID: &str = "authority.example";
const CHALLENGE: &[u8] = b"thirty-two bytes of a challenge.";
/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(15);
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A machine with sockets for keys.
struct Machine {
    home: TempDir,
    device: Device,
    verify: UserVerificationPolicy,
    enrolled: Vec<EnrolledKey>,
}

/// A key of which the test knows the private half.
struct Signer {
    pair: EcdsaKeyPair,
    id: Vec<u8>,
}

impl Signer {
    fn new(id: &[u8]) -> Self {
        Self { pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(), id: id.to_vec() }
    }

    fn enrolled(&self, name: &str) -> EnrolledKey {
        EnrolledKey {
            credential_id: base64url(&self.id),
            name: name.parse().unwrap(),
            public_key: base64url(self.pair.public_key().as_ref()),
            aaguid: "00000000-0000-0000-0000-000000000001".to_owned(),
            software: false,
            verifies_user: true,
            attested: None,
            backup_eligible: false,
            transports: Vec::new(),
            can_seal: true,
            only_one_for: Vec::new(),
            enrolled_at: "2026-01-01T12:00:00Z".parse().unwrap(),
            last_used_at: None,
        }
    }

    fn asserts(&self, rp_id: &str, flags: u8) -> Answer {
        let rp_id_hash = sha256(&[rp_id.as_bytes()]);
        let data = AuthenticatorData { rp_id_hash, flags, counter: 1 }.to_bytes();
        let client_data = client_data("webauthn.get", CHALLENGE, RP_ID);
        let signed = [data.as_slice(), &sha256(&[&client_data])].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &signed).unwrap().as_ref().to_vec();
        Answer::Asserted {
            credential_id: Bytes(self.id.clone()),
            authenticator_data: Bytes(data),
            signature: Bytes(signature),
            user_handle: None,
            hmac_output: None,
        }
    }

    fn is_found(&self) -> Value {
        json!([[say(&done(Answer::Found(vec![Bytes(self.id.clone())])))]])
    }
}

fn say(event: &Event) -> Value {
    json!(["say", event])
}

fn done(answer: Answer) -> Event {
    Event::Done(Box::new(answer))
}

fn failed(code: u8) -> Value {
    say(&Event::Failed(Fault::Status(code)))
}

fn tries(pin: u32) -> Value {
    json!([say(&done(Answer::Retries { pin: Some(pin), uv: None }))])
}

fn opened(pin: bool) -> Value {
    let info = KeyInfo { pin: Some(pin), selection: true, permissions: true, min_pin: 4, ..KeyInfo::default() };
    json!([say(&Event::Opened(info))])
}

/// A key that blinks for a while and is touched then.
fn touched(signer: &Signer, after: f64) -> Value {
    let flags = UP;
    json!({
        "start": opened(false),
        "find": signer.is_found(),
        "assert": [[say(&Event::Light(true)), ["sleep", after], say(&done(signer.asserts(RP_ID, flags)))]],
    })
}

/// A key that blinks until it is told otherwise.
fn untouched(signer: &Signer) -> Value {
    json!({"start": opened(false), "find": signer.is_found(), "assert": [[say(&Event::Light(true)), ["wait"]]]})
}

/// A key with a PIN.
fn with_pin(signer: &Signer, retries: &[u32], asserted: &Value) -> Value {
    let retries: Vec<Value> = retries.iter().map(|left| tries(*left)).collect();
    json!({"start": opened(true), "find": signer.is_found(), "retries": retries, "assert": asserted})
}

impl Machine {
    fn new(signers: &[&Signer]) -> Self {
        let home = tempfile::tempdir().unwrap();
        for directory in ["sys/class/hidraw", "dev", "askpass"] {
            std::fs::create_dir_all(home.path().join(directory)).unwrap();
        }
        let askpass = home.path().join("askpass/askpass");
        std::os::unix::fs::symlink(format!("{ROOT}/tests/python/scripted_askpass.py"), &askpass).unwrap();
        for file in ["askpass/pins", "askpass/prompts"] {
            std::fs::write(home.path().join(file), "").unwrap();
        }
        let at = |name: &str| home.path().join(name);
        let places = Places { config: at("config"), authority: at("authority"), device: at("device"), run: at("run") };
        let mut device = Device::new(
            places,
            Some(&Address::Embedded),
            Terminal { json: true, ..Terminal::default() },
            false,
            Presence::Person,
        )
        .unwrap();
        device.askpass = Some(askpass);
        device.bus = Bus {
            sysfs: at("sys"),
            dev: at("dev"),
            driver: PathBuf::from(format!("{ROOT}/tests/python/scripted_key.py")),
        };
        let enrolled = signers.iter().enumerate().map(|(index, it)| it.enrolled(&format!("key-{index}"))).collect();
        Self { home, device, verify: UserVerificationPolicy::Discouraged_DO_NOT_USE, enrolled }
    }

    fn verifying(mut self) -> Self {
        self.verify = UserVerificationPolicy::Required;
        self
    }

    fn pins(self, pins: &[&str]) -> Self {
        std::fs::write(self.home.path().join("askpass/pins"), pins.join("\n")).unwrap();
        self
    }

    fn node(&self, name: &str) -> PathBuf {
        self.device.bus.dev.join(name)
    }

    fn plug_in(&self, name: &str, script: &Value) {
        plug_in(&self.device.bus, name, script);
    }

    /// What the person was asked by the program of `-A`.
    fn prompts(&self) -> String {
        std::fs::read_to_string(self.home.path().join("askpass/prompts")).unwrap()
    }

    /// What the key was told.
    fn told(&self, name: &str) -> Vec<String> {
        let log = std::fs::read_to_string(self.node(&format!("{name}.log"))).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn times_told(&self, name: &str, what: &str) -> usize {
        self.told(name).iter().filter(|line| line.trim_start_matches('{').starts_with(&format!("\"{what}\""))).count()
    }

    /// The key's light is out, soon.
    fn goes_dark(&self, name: &str) {
        let started = Instant::now();
        while self.told(name).last().is_none_or(|last| last != "dark") {
            assert!(started.elapsed() < Duration::from_secs(3), "{name} stays lit: {:?}", self.told(name));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn options(&self) -> PublicKeyCredentialRequestOptions {
        let allowed = |key: &EnrolledKey| AllowCredentials {
            type_: "public-key".to_owned(),
            id: elevate::protocol::encoding::from_base64url(&key.credential_id).unwrap(),
            transports: None,
        };
        PublicKeyCredentialRequestOptions {
            challenge: CHALLENGE.to_vec(),
            timeout: None,
            rp_id: RP_ID.to_owned(),
            allow_credentials: self.enrolled.iter().map(allowed).collect(),
            user_verification: self.verify,
            hints: None,
            extensions: None,
        }
    }

    fn assert_within(&self, limit: Duration) -> Result<PublicKeyCredential, Error> {
        let keys = HardwareKeys { bus: self.device.bus.clone(), enrolled: &self.enrolled };
        let approval = Approval::new(&self.device, "this is what you approve\n".to_owned(), limit);
        let assertion = keys.get_assertion(&self.options(), &approval)?;
        check_assertion(&self.options(), &assertion, &self.enrolled)?;
        Ok(assertion)
    }

    fn assert(&self) -> Result<PublicKeyCredential, Error> {
        self.assert_within(LIMIT)
    }

    /// The assertion that was got is this one's.
    fn is_answered_by(&self, signer: &Signer) {
        assert_eq!(self.assert().unwrap().raw_id, signer.id);
    }

    fn refuses(&self, code: ErrorCode, words: &str) {
        let error = self.assert().unwrap_err();
        assert_eq!(error.code, code, "{}", error.message);
        assert!(error.message.contains(words), "{:?} does not say {words:?}", error.message);
    }
}

fn plug_in(bus: &Bus, name: &str, script: &Value) {
    std::fs::write(bus.dev.join(name), "").unwrap();
    plug_in_at(bus, name, script);
}

/// Where the device node is there already.
fn plug_in_at(bus: &Bus, name: &str, script: &Value) {
    let node = bus.dev.join(name);
    std::fs::write(node.with_extension("json"), script.to_string()).unwrap();
    let device = bus.sysfs.join("class/hidraw").join(name).join("device");
    std::fs::create_dir_all(&device).unwrap();
    std::fs::write(device.join("uevent"), format!("HID_NAME=Scripted {name}\nHID_UNIQ=\n")).unwrap();
    // FIDO (CTAP 2.1 section 11.2.8.2): usage page 0xf1d0, usage 1, 64 bytes in, 64 bytes out.
    let descriptor = [
        0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01, 0x09, 0x20, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40,
        0x81, 0x02, 0x09, 0x21, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91, 0x02, 0xc0,
    ];
    std::fs::write(device.join("report_descriptor"), descriptor).unwrap();
}

fn unplug(bus: &Bus, name: &str) {
    std::fs::remove_dir_all(bus.sysfs.join("class/hidraw").join(name)).unwrap();
    std::fs::remove_file(bus.dev.join(name)).unwrap();
}

#[test]
fn the_first_touch_wins_and_the_other_goes_dark() {
    let (one, other) = (Signer::new(b"one"), Signer::new(b"other"));
    let machine = Machine::new(&[&one, &other]);
    machine.plug_in("hidraw0", &untouched(&one));
    machine.plug_in("hidraw1", &touched(&other, 0.5));
    machine.is_answered_by(&other);
    assert_eq!((machine.times_told("hidraw0", "assert"), machine.times_told("hidraw1", "assert")), (1, 1));
    machine.goes_dark("hidraw0");
    machine.goes_dark("hidraw1");
}

#[test]
fn plugged_in_late() {
    let signer = Signer::new(b"one");
    let machine = Machine::new(&[&signer]);
    let (bus, script) = (machine.device.bus.clone(), touched(&signer, 0.0));
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        plug_in(&bus, "hidraw3", &script);
    });
    machine.is_answered_by(&signer);
    later.join().unwrap();
}

#[test]
fn unplugged_and_plugged_in_again() {
    let signer = Signer::new(b"one");
    let machine = Machine::new(&[&signer]);
    machine.plug_in("hidraw0", &untouched(&signer));
    let (bus, script) = (machine.device.bus.clone(), touched(&signer, 0.0));
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        unplug(&bus, "hidraw0");
        std::thread::sleep(Duration::from_millis(700));
        plug_in(&bus, "hidraw0", &script);
    });
    machine.is_answered_by(&signer);
    later.join().unwrap();
    assert_eq!(machine.times_told("hidraw0", "assert"), 2);
    assert!(machine.told("hidraw0").contains(&"dark".to_owned()));
}

/// As udev does it: the device is there first, and then it may be opened.
#[test]
fn plugged_in_again_and_allowed_only_then() {
    use std::os::unix::fs::PermissionsExt as _;
    let signer = Signer::new(b"one");
    let machine = Machine::new(&[&signer]);
    machine.plug_in("hidraw0", &untouched(&signer));
    let (bus, script) = (machine.device.bus.clone(), touched(&signer, 0.0));
    let later = std::thread::spawn(move || {
        let node = bus.dev.join("hidraw0");
        let allow = |mode| std::fs::set_permissions(&node, std::fs::Permissions::from_mode(mode)).unwrap();
        std::thread::sleep(Duration::from_millis(700));
        unplug(&bus, "hidraw0");
        std::thread::sleep(Duration::from_millis(700));
        std::fs::write(&node, "").unwrap();
        allow(0o000);
        plug_in_at(&bus, "hidraw0", &script);
        std::thread::sleep(Duration::from_millis(700));
        allow(0o660);
        std::thread::sleep(Duration::from_millis(400));
        allow(0o600);
    });
    machine.is_answered_by(&signer);
    later.join().unwrap();
    assert_eq!(machine.times_told("hidraw0", "assert"), 2, "new permissions make no new key");
}

/// Faster than we look: it is another plugging in all the same.
#[test]
fn plugged_in_again_at_once() {
    let signer = Signer::new(b"one");
    let machine = Machine::new(&[&signer]);
    machine.plug_in("hidraw0", &untouched(&signer));
    let (bus, script) = (machine.device.bus.clone(), touched(&signer, 0.0));
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        unplug(&bus, "hidraw0");
        plug_in(&bus, "hidraw0", &script);
    });
    machine.is_answered_by(&signer);
    later.join().unwrap();
}

#[test]
fn a_wrong_pin_then_the_right_one() {
    let signer = Signer::new(b"one");
    let right = say(&done(signer.asserts(RP_ID, UP | UV)));
    let machine = Machine::new(&[&signer]).verifying().pins(&["0000", "1234"]);
    machine.plug_in("hidraw0", &with_pin(&signer, &[8, 7], &json!([[failed(status::PIN_INVALID)], [right]])));
    machine.is_answered_by(&signer);
    let prompts = machine.prompts();
    assert!(prompts.contains("this is what you approve"), "{prompts}");
    let (first, second) = (prompts.find("8 tries left"), prompts.find("7 tries left"));
    assert!(first.is_some() && first < second, "{prompts}");
}

#[test]
fn the_last_try_needs_a_person_who_says_yes() {
    let signer = Signer::new(b"one");
    let machine = Machine::new(&[&signer]).verifying().pins(&["1234"]);
    machine.plug_in("hidraw0", &with_pin(&signer, &[1], &json!([])));
    machine.refuses(ErrorCode::VerificationFailed, "the last try");
    assert_eq!(machine.prompts(), "");
    assert_eq!(machine.times_told("hidraw0", "assert"), 0);
}

#[test]
fn a_pin_that_can_not_be_costs_no_try() {
    let signer = Signer::new(b"one");
    let right = say(&done(signer.asserts(RP_ID, UP | UV)));
    // 63 bytes in 62 characters fit, 64 bytes in 63 don't.
    let (fits, long, bytes) = ("é".to_owned() + &"1".repeat(61), "1".repeat(64), "é".to_owned() + &"1".repeat(62));
    let machine = Machine::new(&[&signer]).verifying().pins(&["123", "ééé", &long, &bytes, &fits]);
    machine.plug_in("hidraw0", &with_pin(&signer, &[8], &json!([[right]])));
    machine.is_answered_by(&signer);
    assert_eq!(machine.times_told("hidraw0", "assert"), 1);
    assert!(machine.told("hidraw0").iter().any(|line| line.contains(&fits)));
    assert_eq!(machine.prompts().matches("8 tries left").count(), 5);
}

#[test]
fn pins_that_lead_nowhere() {
    let signer = Signer::new(b"one");
    for (code, words) in [
        (status::PIN_BLOCKED, "locked for good"),
        (status::PIN_NOT_SET, "has no PIN"),
        (status::PIN_POLICY_VIOLATION, "does not take this PIN"),
        (status::OPERATION_DENIED, "refused at"),
        (0x7f, "CTAP status 0x7f"),
    ] {
        let machine = Machine::new(&[&signer]).verifying().pins(&["1234"]);
        machine.plug_in("hidraw0", &with_pin(&signer, &[3], &json!([[failed(code)]])));
        machine.refuses(ErrorCode::VerificationFailed, words);
    }
    let machine = Machine::new(&[&signer]).verifying().pins(&["1234"]);
    machine.plug_in("hidraw0", &with_pin(&signer, &[0], &json!([])));
    machine.refuses(ErrorCode::VerificationFailed, "locked for good");
}

/// Two keys that want a PIN and do as `select` says when they are to be told apart. A key that takes longer than 1.5 s to
/// say what it is has no part in that; on a machine with much to do a script may, and then it is tried again.
fn two_with_pins(one: &Signer, other: &Signer, select: [&Value; 2]) -> (Machine, PublicKeyCredential) {
    for _ in 0..5 {
        let machine = Machine::new(&[one, other]).verifying().pins(&["1234"]);
        for (name, signer, left, select) in [("hidraw0", one, 8, select[0]), ("hidraw1", other, 5, select[1])] {
            let mut script = with_pin(signer, &[left], &json!([[say(&done(signer.asserts(RP_ID, UP | UV)))]]));
            script["select"] = json!([select]);
            machine.plug_in(name, &script);
        }
        let assertion = machine.assert().unwrap();
        if machine.times_told("hidraw0", "select") + machine.times_told("hidraw1", "select") == 2 {
            return (machine, assertion);
        }
    }
    panic!("the keys were not told apart");
}

#[test]
fn two_keys_with_pins_are_told_apart_by_a_touch() {
    let (one, other) = (Signer::new(b"one"), Signer::new(b"other"));
    let untouched = json!([say(&Event::Light(true)), ["wait"]]);
    let touched = json!([say(&Event::Light(true)), ["sleep", 0.3], say(&done(Answer::Selected))]);
    let (machine, assertion) = two_with_pins(&one, &other, [&untouched, &touched]);
    assert_eq!(assertion.raw_id, other.id);
    assert!(machine.told("hidraw0").contains(&"\"cancel\"".to_owned()), "{:?}", machine.told("hidraw0"));
    assert_eq!(machine.times_told("hidraw0", "retries"), 0);
    assert!(machine.prompts().contains("key-1") && machine.prompts().contains("5 tries left"));
}

#[test]
fn two_touches_at_once_choose_one() {
    let (one, other) = (Signer::new(b"one"), Signer::new(b"other"));
    let touched = json!([say(&done(Answer::Selected))]);
    let (machine, _) = two_with_pins(&one, &other, [&touched, &touched]);
    assert_eq!(machine.times_told("hidraw0", "retries") + machine.times_told("hidraw1", "retries"), 1);
    assert_eq!(machine.prompts().matches("tries left").count(), 1);
}

#[test]
fn a_frozen_driver_keeps_nobody_from_another_key() {
    let (one, other) = (Signer::new(b"one"), Signer::new(b"other"));
    let machine = Machine::new(&[&one, &other]);
    machine.plug_in("hidraw0", &json!({"start": [["freeze"]]}));
    machine.plug_in("hidraw1", &touched(&other, 0.0));
    machine.is_answered_by(&other);
}

#[test]
fn a_frozen_driver_is_named() {
    let signer = Signer::new(b"one");
    let machine = Machine::new(&[&signer]);
    machine.plug_in("hidraw0", &json!({"start": [["freeze"]]}));
    let started = Instant::now();
    let error = machine.assert_within(Duration::from_secs(2)).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(4));
    assert_eq!(error.code, ErrorCode::NoSecurityKey);
    assert!(error.message.contains("Scripted hidraw0 does not answer"), "{}", error.message);
}

#[test]
fn a_key_that_nobody_touches_has_its_time() {
    let signer = Signer::new(b"one");
    let machine = Machine::new(&[&signer]);
    machine.plug_in("hidraw0", &untouched(&signer));
    let error = machine.assert_within(Duration::from_secs(2)).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::VerificationFailed, "the touch timed out"));
    machine.goes_dark("hidraw0");
}

/// A key gives up after its own time, usually 30 s; the question stands for longer.
#[test]
fn a_key_that_gives_up_is_asked_again() {
    let signer = Signer::new(b"one");
    let machine = Machine::new(&[&signer]);
    let mut script = touched(&signer, 0.0);
    let answer = script["assert"][0].clone();
    script["assert"] = json!([[failed(status::USER_ACTION_TIMEOUT)], [failed(status::ACTION_TIMEOUT)], answer]);
    machine.plug_in("hidraw0", &script);
    machine.is_answered_by(&signer);
    assert_eq!(machine.times_told("hidraw0", "assert"), 3);
}

#[test]
fn drivers_that_die_or_lie() {
    let signer = Signer::new(b"one");
    let start = opened(false)[0].clone();
    let asked = |answer| json!({"start": [start], "find": signer.is_found(), "assert": [[say(&done(answer))]]});
    let cases = [
        ("dies at once", json!({"start": [["die"]]})),
        ("dies when asked", json!({"start": [start], "find": signer.is_found(), "assert": [[["die"]]]})),
        ("dies within a line", json!({"start": [["raw", "{\"opened\":{"], ["die"]]})),
        ("garbled", json!({"start": [start], "find": [[say(&Event::Failed(Fault::Garbled))]]})),
        ("changes no PIN", asked(Answer::PinChanged)),
        ("makes nothing", asked(Answer::Made { object: Bytes(vec![1]), discoverable: false })),
    ];
    for (what, script) in cases {
        let machine = Machine::new(&[&signer]);
        machine.plug_in("hidraw0", &script);
        let error = machine.assert().expect_err(what);
        assert_eq!(error.code, ErrorCode::VerificationFailed, "{what}");
        assert!(error.message.contains("can't be read"), "{what}: {}", error.message);
    }
}

#[test]
fn rubbish_between_events_is_none() {
    let signer = Signer::new(b"one");
    let mut script = touched(&signer, 0.0);
    let start = script["start"][0].clone();
    script["start"] = json!([
        ["raw", "Please touch the sensor\n"],
        ["raw", "{\"opened\":7}\n"],
        ["raw", "\u{ff}\u{fe}\u{0}\n"],
        ["raw", "{\"done\":\"selected\"}\n"],
        say(&Event::Busy),
        say(&Event::Light(false)),
        ["raw", "\n"],
        start,
    ]);
    let machine = Machine::new(&[&signer]);
    machine.plug_in("hidraw0", &script);
    machine.is_answered_by(&signer);
}

#[test]
fn keys_that_can_not_help_are_left_out() {
    let (one, other) = (Signer::new(b"one"), Signer::new(b"other"));
    let start = opened(false)[0].clone();
    let useless = [
        ("not enrolled", json!({"start": [start], "find": [[say(&done(Answer::Found(Vec::new())))]]})),
        ("silent", json!({"start": [say(&Event::Failed(Fault::Silent))]})),
        ("gone", json!({"start": [say(&Event::Failed(Fault::Gone))]})),
        ("forbidden", json!({"start": [say(&Event::Failed(Fault::Forbidden))]})),
        ("U2F", json!({"start": [failed(status::INVALID_COMMAND)]})),
        ("dead", json!({"start": [["die"]]})),
        ("blocked", with_pin(&one, &[3], &json!([[failed(status::PIN_AUTH_BLOCKED)]]))),
    ];
    for (what, script) in useless {
        let machine = Machine::new(&[&one, &other]);
        machine.plug_in("hidraw0", &script);
        machine.plug_in("hidraw1", &touched(&other, 0.5));
        let answered = machine.assert();
        assert_eq!(answered.expect(what).raw_id, other.id, "{what}");
    }
}

#[test]
fn answers_that_are_not_sent() {
    let (signer, stranger) = (Signer::new(b"one"), Signer::new(b"one"));
    let unknown = Signer::new(b"unknown");
    let cases = [
        ("another credential", unknown.asserts(RP_ID, UP | UV), "none of those that were asked"),
        ("no touch", signer.asserts(RP_ID, UV), "without a touch"),
        ("no verification", signer.asserts(RP_ID, UP), "did not verify its user"),
        ("another relying party", signer.asserts("evil.example", UP | UV), "another relying party"),
        ("backed up and can't be", signer.asserts(RP_ID, UP | UV | BS), "can't be"),
        ("changed its kind", signer.asserts(RP_ID, UP | UV | BE), "changed its kind"),
        ("another key's signature", stranger.asserts(RP_ID, UP | UV), "did not sign"),
    ];
    for (what, answer, words) in cases {
        let machine = Machine::new(&[&signer]).verifying().pins(&["1234"]);
        machine.plug_in("hidraw0", &with_pin(&signer, &[8], &json!([[say(&done(answer))]])));
        let error = machine.assert().expect_err(what);
        assert_eq!(error.code, ErrorCode::VerificationFailed, "{what}");
        assert!(error.message.contains(words), "{what}: {}", error.message);
    }
    let short = Answer::Asserted {
        credential_id: Bytes(signer.id.clone()),
        authenticator_data: Bytes(vec![0; 36]),
        signature: Bytes(vec![0; 70]),
        user_handle: None,
        hmac_output: None,
    };
    let machine = Machine::new(&[&signer]).verifying().pins(&["1234"]);
    machine.plug_in("hidraw0", &with_pin(&signer, &[8], &json!([[say(&done(short))]])));
    machine.refuses(ErrorCode::VerificationFailed, "too short");
}

/// A key need not repeat the only credential that it was asked for (CTAP 2.1 section 6.2.2).
#[test]
fn an_answer_without_an_id_is_that_of_the_only_one_asked() {
    let signer = Signer::new(b"one");
    let mut script = touched(&signer, 0.0);
    script["assert"][0][2][1]["done"]["asserted"]["credential_id"] = json!("");
    let machine = Machine::new(&[&signer]);
    machine.plug_in("hidraw0", &script);
    machine.is_answered_by(&signer);
}

/// Programs are told what a person sees: run once more by itself, since it is this process's own stderr that they read.
#[test]
fn what_a_key_waits_for_is_told_to_programs() {
    const MARKER: &str = "ELEVATE_TEST_PROGRESS";
    let signer = Signer::new(b"one");
    if std::env::var_os(MARKER).is_some() {
        let mut machine = Machine::new(&[&signer]).verifying().pins(&["1234"]);
        machine.device.terminal.progress = true;
        let bus = machine.device.bus.clone();
        let answer = say(&done(signer.asserts(RP_ID, UP | UV)));
        let script = with_pin(&signer, &[8], &json!([[say(&Event::Light(true)), ["sleep", 0.5], answer]]));
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(1));
            plug_in(&bus, "hidraw0", &script);
        });
        machine.is_answered_by(&signer);
        return later.join().unwrap();
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--nocapture", "keys::what_a_key_waits_for_is_told_to_programs"]).env(MARKER, "1");
    let ended = child.output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success(), "{stderr}");
    let told: Vec<Value> =
        stderr.lines().filter(|line| line.starts_with('{')).map(crate::cli::progress::documented).collect();
    let events: Vec<_> = told.iter().map(|it| it["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["plug_in", "note", "pin", "touch"], "{stderr}");
    assert_eq!(told[0]["keys"], json!(["'key-0'"]));
    assert!(told[2]["message"].as_str().unwrap().contains("8 tries left"), "{stderr}");
    assert!(!stderr.contains("1234"), "the PIN is told to nobody: {stderr}");
}

/// Also one that has given its PIN has to end in time.
#[test]
fn an_askpass_that_never_ends_is_ended() {
    let signer = Signer::new(b"one");
    let mut machine = Machine::new(&[&signer]).verifying();
    let program = machine.home.path().join("lingers");
    std::fs::write(&program, "#!/bin/sh\necho 1234\nexec >&-\nexec sleep 60\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    machine.device.askpass = Some(program);
    machine.plug_in("hidraw0", &with_pin(&signer, &[8], &json!([])));
    let started = Instant::now();
    let error = machine.assert_within(Duration::from_secs(3)).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::VerificationFailed, "the program of -A gave no PIN"));
}
