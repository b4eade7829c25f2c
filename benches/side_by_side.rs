//! What docs/benchmarks.md claims, measured side by side in one run: `cargo bench`.
//!
//! Whole processes in turn, A B C A B C ..., so that a machine whose speed drifts slows all of them alike; medians,
//! and ratios of medians. It sets up an authority of its own in a temporary home and leaves nothing.

#![allow(clippy::disallowed_macros, reason = "a program for people at a terminal")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark that can't go on ends")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use ciborium::Value;
use elevate::client::Device;
use elevate::client::address::Address;
use elevate::client::elevation::{Cache, Wanted, elevate};
use elevate::client::embedded;
use elevate::client::operation::{operate, request};
use elevate::client::places::Places;
use elevate::client::presence::Presence;
use elevate::client::security_key::driver::{Answer, Bytes, Command as KeyCommand, Event, KeyInfo};
use elevate::client::security_key::fleet::Bus;
use elevate::client::terminal::Terminal;
use elevate::client::verbs::{enroll, enroll_software, write_rules};
use elevate::protocol::assurance::Assurance;
use elevate::protocol::authenticator_data::{AT, AuthenticatorData, UP};
use elevate::protocol::encoding::sha256;
use elevate::protocol::messages::{CatalogueEntry, OperationName, OperationRequest, ResourceKind};
use elevate::protocol::secret::Secret;
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 200;
const RULES: &str = concat!(
    "allow_software_keys = true\n",
    include_str!("resources.toml"),
    "[resource.password]\nkind = \"secret\"\nsensitivity = \"low\"\n"
);

fn main() {
    if std::env::args().nth(1).as_deref() == Some("drive-security-key") {
        return scripted_key(&PathBuf::from(std::env::args().nth(2).unwrap()));
    }
    match std::env::var("ELEVATE_BENCH").as_deref() {
        Ok("kernel") => kernel(),
        Ok("secret-service") => secret_service(),
        _ => in_a_home_of_its_own(),
    }
}

/// Runs this program again, with a home and a runtime directory that are gone afterwards.
fn in_a_home_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    for (name, words) in [("kernel", &[][..]), ("secret-service", &["dbus-run-session", "--"][..])] {
        let own = std::env::current_exe().unwrap();
        let mut words: Vec<_> = words.iter().map(std::ffi::OsString::from).chain([own.into()]).collect();
        let mut command = Command::new(words.remove(0));
        command.args(words).env("ELEVATE_BENCH", name).env("HOME", home.path());
        command.env("XDG_RUNTIME_DIR", home.path()).env_remove("DBUS_SESSION_BUS_ADDRESS");
        for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "ELEVATE_KEYRING", "ELEVATE_NON_INTERACTIVE"] {
            command.env_remove(variable);
        }
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(status) => println!("{name}: NOT MEASURED ({status})"),
            Err(error) => println!("{name}: NOT MEASURED ({error}: is dbus installed?)"),
        }
    }
}

fn device() -> Device {
    let terminal = Terminal { json: true, ..Terminal::default() };
    let mut device =
        Device::new(Places::of_user().unwrap(), Some(&Address::Embedded), terminal, false, Presence::Unattended)
            .unwrap();
    // It stands beside `elevate`, not beside this program.
    device.config.authority_program = Some(env!("CARGO_BIN_EXE_elevate-authority").into());
    device
}

/// The authority of this bench, with a software key and a stored secret; ended when dropped.
struct Founded(Device);

impl Founded {
    fn found() -> Self {
        let founded = Self(device());
        write_rules(&founded.0.places, RULES).unwrap();
        if founded.0.api().unwrap().keys().unwrap().is_empty() {
            enroll_software(&founded.0, "bench".parse().unwrap()).unwrap();
            let secret = Secret::new("x".repeat(32));
            let request = OperationRequest { secret: Some(secret), ..request(Some("password")) };
            operate(&founded.0, OperationName::SecretSet, request, "store it").unwrap();
        }
        founded
    }
}

impl Drop for Founded {
    fn drop(&mut self) {
        let _ = self.0.grant_store().and_then(|store| Ok(store.clear()?));
        let _ = embedded::stop(&self.0.places);
    }
}

fn wanted(resource: &str, cache: Cache) -> Wanted {
    Wanted { cache, ..Wanted::of(resource.parse().unwrap()) }
}

fn kernel() {
    let founded = Founded::found();
    elevate(&founded.0, &wanted("low", Cache::Use)).unwrap();
    let elevate = env!("CARGO_BIN_EXE_elevate");
    ten_thousand_names(&founded.0);
    let complete = |word| [elevate, "complete-words", "1", "--", "elevate", word];
    let rows: &[(&str, &[&str])] = &[
        ("/bin/true", &["/bin/true"]),
        ("elevate token (cached, kernel keyring)", &[elevate, "token", "low"]),
        ("elevate -n status (kernel keyring)", &[elevate, "-n", "status"]),
        (FORMAT, &[elevate, "status", "--format", "{resource} {left}"]),
        (HELP, &[elevate, "--help"]),
        (COMPLETE, &complete("")),
        ("the same, of which 10 begin so", &complete("team-0123")),
        ("doas -n true", &["doas", "-n", "true"]),
        ("sudo -n true", &["sudo", "-n", "true"]),
        ("sudo-rs -n true", &["sudo-rs", "-n", "true"]),
    ];
    let times = side_by_side(rows);
    table(&times);
    for (name, limit) in [(FORMAT, 5), (HELP, 5), (COMPLETE, 10)] {
        let took = times.iter().find(|(row, _)| *row == name).and_then(|(_, time)| *time);
        let in_time = took.is_some_and(|time| time < Duration::from_millis(limit));
        // Unoptimised programs say nothing of it.
        assert!(cfg!(debug_assertions) || in_time, "{name} takes {limit} ms or more");
    }

    println!("\n| in this process, authority running | median |\n| --- | ---: |");
    let fresh = |resource| {
        let (device, wanted) = (device(), wanted(resource, Cache::Ignore));
        let started = Instant::now();
        self::elevate(&device, &wanted).unwrap();
        started.elapsed()
    };
    println!(
        "| cold elevation, low risk: one exchange | {} |",
        ms(median((0..ROUNDS).map(|_| fresh("low")).collect()))
    );
    println!(
        "| cold elevation, stepped up with the software key: two exchanges, audit on disk | {} |",
        ms(median((0..ROUNDS).map(|_| fresh("sensitive")).collect()))
    );
    touch_to_grant();
    let start = || {
        let _ = embedded::stop(&founded.0.places);
        let started = Instant::now();
        embedded::ensure(&founded.0.places, &founded.0.config, elevate::client::patience::Patience::Somebody).unwrap();
        started.elapsed()
    };
    println!("| authority, from nothing running to ready | {} |", ms(median((0..15).map(|_| start()).collect())));
}

const FORMAT: &str = "elevate status --format, for a prompt";
const HELP: &str = "elevate --help";
const COMPLETE: &str = "completion of 10,000 names";

fn ten_thousand_names(device: &Device) {
    let entry = |number| CatalogueEntry {
        resource: format!("team-{:04}/database-{}", number / 10, number % 10).parse().unwrap(),
        description: "one of many".to_owned(),
        kind: ResourceKind::Jwt,
        assurance: Assurance::Touch,
    };
    let entries: Vec<_> = (0..10_000).map(entry).collect();
    device.api().unwrap().names().keep_resources(&entries);
}

fn secret_service() {
    let unlocked = Command::new("sh")
        .args(["-c", "printf bench | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1"])
        .status();
    assert!(unlocked.is_ok_and(|status| status.success()), "gnome-keyring-daemon could not be started");
    let stored = Command::new("sh")
        .args(["-c", "printf secret | secret-tool store --label=bench service elevate-bench user bench"])
        .status();
    assert!(stored.is_ok_and(|status| status.success()), "secret-tool could not store");
    let elevate = env!("CARGO_BIN_EXE_elevate");
    let founded = Founded::found();
    let kept = Command::new(elevate).args(["low"]).env("ELEVATE_KEYRING", "secret-service").status();
    assert!(kept.is_ok_and(|status| status.success()), "the grant could not be kept");
    let lookup: &[&str] = &["secret-tool", "lookup", "service", "elevate-bench", "user", "bench"];
    let token = &["env", "ELEVATE_KEYRING=secret-service", elevate, "token", "low"];
    println!();
    table(&side_by_side(&[("secret-tool lookup", lookup), ("elevate token (cached, Secret Service)", token)]));
    let _ = Command::new(elevate)
        .args(["drop", "low"])
        .env("ELEVATE_KEYRING", "secret-service")
        .stdout(Stdio::null())
        .status();
    drop(founded);
}

/// Each command in turn, `ROUNDS` times; `None` where one can't be run or says no.
fn side_by_side<'a>(rows: &[(&'a str, &[&str])]) -> Vec<(&'a str, Option<Duration>)> {
    let mut times: Vec<Option<Vec<Duration>>> = rows.iter().map(|_| Some(Vec::new())).collect();
    for _ in 0..ROUNDS {
        for ((_, words), times) in rows.iter().zip(&mut times) {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let started = Instant::now();
            let good = command.status().is_ok_and(|status| status.success());
            let took = started.elapsed();
            match times {
                Some(taken) if good => taken.push(took),
                _ => *times = None,
            }
        }
    }
    rows.iter().zip(times).map(|((name, _), times)| (*name, times.map(median))).collect()
}

fn table(rows: &[(&str, Option<Duration>)]) {
    let first = rows.first().and_then(|(_, time)| *time);
    println!("| command | median | ratio |\n| --- | ---: | ---: |");
    for (name, time) in rows {
        match (time, first) {
            (Some(time), Some(first)) => {
                println!("| {name} | {} | {:.2} |", ms(*time), time.as_secs_f64() / first.as_secs_f64());
            }
            _ => println!("| {name} | not measured: it is not installed, or says no | |"),
        }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// From the touch (a scripted key writes that it has signed) to the grant in hand, in turn with the software key.
fn touch_to_grant() {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap()).join("bus");
    let (own, software) = (std::env::current_exe().unwrap(), device());
    let mut with_key = device();
    with_key.bus = Bus { sysfs: home.join("sys"), dev: home.join("dev"), driver: own };
    // There is no terminal to show things at; it is never asked for a PIN.
    with_key.askpass = Some("/bin/false".into());
    let node = plug_in(&with_key.bus);
    enroll(&with_key, "scripted".parse().unwrap()).unwrap();
    let rounds = 50;
    let (mut by_touch, mut by_file) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        elevate(&with_key, &wanted("sensitive", Cache::Ignore)).unwrap();
        let granted = monotonic();
        let touched: u64 = std::fs::read_to_string(node.with_extension("touched")).unwrap().parse().unwrap();
        by_touch.push(Duration::from_nanos(granted - touched));
        let started = Instant::now();
        elevate(&software, &wanted("sensitive", Cache::Ignore)).unwrap();
        by_file.push(started.elapsed());
    }
    let (by_touch, by_file) = (median(by_touch), median(by_file));
    let ratio = by_touch.as_secs_f64() / by_file.as_secs_f64();
    println!("| touch to grant: from a security key's answer to the grant in hand | {} |", ms(by_touch));
    println!("| the same as a ratio to the step-up with the software key, in turn with it | {ratio:.2} |");
    // Unoptimised programs say nothing of it.
    assert!(cfg!(debug_assertions) || by_touch < Duration::from_millis(50), "the touch waits for us");
}

/// Nanoseconds on the clock that all processes share.
fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap()
}

fn plug_in(bus: &Bus) -> PathBuf {
    let (device, node) = (bus.sysfs.join("class/hidraw/hidraw0/device"), bus.dev.join("hidraw0"));
    std::fs::create_dir_all(&device).unwrap();
    std::fs::create_dir_all(&bus.dev).unwrap();
    std::fs::write(device.join("uevent"), "HID_NAME=Scripted key\nHID_UNIQ=\n").unwrap();
    // FIDO (CTAP 2.1 section 11.2.8.2): usage page 0xf1d0, usage 1, 64 bytes in, 64 bytes out.
    let descriptor = b"\x06\xd0\xf1\x09\x01\xa1\x01\x09\x20\x15\x00\x26\xff\x00\x75\x08\x95\x40\x81\x02\
        \x09\x21\x15\x00\x26\xff\x00\x75\x08\x95\x40\x91\x02\xc0";
    std::fs::write(device.join("report_descriptor"), descriptor).unwrap();
    std::fs::write(&node, "").unwrap();
    node
}

/// What `elevate drive-security-key` is to a real key: this program, with a key whose private half is a file.
fn scripted_key(node: &Path) {
    const ID: &[u8] = b"scripted credential";
    let file = node.with_extension("pkcs8");
    if !file.exists() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        std::fs::write(&file, pair.to_pkcs8v1().unwrap()).unwrap();
    }
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &std::fs::read(&file).unwrap()).unwrap();
    let data = |rp_id: &str, flags| {
        AuthenticatorData { rp_id_hash: sha256(&[rp_id.as_bytes()]), flags, counter: 0 }.to_bytes()
    };
    let say = |event: &Event| {
        let mut line = serde_json::to_vec(event).unwrap();
        line.push(b'\n');
        std::io::stdout().write_all(&line).unwrap();
        std::io::stdout().flush().unwrap();
    };
    say(&Event::Opened(KeyInfo { min_pin: 4, selection: true, ..KeyInfo::default() }));
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line.unwrap()).unwrap() {
            KeyCommand::Find { credentials, .. } => {
                Answer::Found(credentials.into_iter().filter(|id| id.0 == ID).collect())
            }
            KeyCommand::Make(make) => {
                let mut data = data(&make.rp_id, UP | AT);
                data.extend([7; 16]);
                data.extend(u16::try_from(ID.len()).unwrap().to_be_bytes());
                data.extend(ID);
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let number = |number: i64| Value::Integer(number.into());
                let cose = [(1, number(2)), (3, number(-7)), (-1, number(1))].into_iter();
                let point = [(-2, Value::Bytes(x.to_vec())), (-3, Value::Bytes(y.to_vec()))];
                let cose = cose.chain(point).map(|(key, value)| (number(key), value)).collect();
                ciborium::into_writer(&Value::Map(cose), &mut data).unwrap();
                let text = |text: &str| Value::Text(text.to_owned());
                let object = Value::Map(vec![
                    (text("fmt"), text("none")),
                    (text("attStmt"), Value::Map(Vec::new())),
                    (text("authData"), Value::Bytes(data)),
                ]);
                let mut bytes = Vec::new();
                ciborium::into_writer(&object, &mut bytes).unwrap();
                Answer::Made { object: Bytes(bytes), discoverable: false }
            }
            KeyCommand::Assert(assert) => {
                let data = data(&assert.rp_id, UP);
                let signed = [data.as_slice(), &sha256(&[&assert.client_data.0])].concat();
                let signature = pair.sign(&SystemRandom::new(), &signed).unwrap().as_ref().to_vec();
                std::fs::write(node.with_extension("touched"), monotonic().to_string()).unwrap();
                Answer::Asserted {
                    credential_id: Bytes(ID.to_vec()),
                    authenticator_data: Bytes(data),
                    signature: Bytes(signature),
                    user_handle: None,
                    hmac_output: None,
                }
            }
            _ => continue,
        };
        say(&Event::Done(Box::new(answer)));
    }
}
