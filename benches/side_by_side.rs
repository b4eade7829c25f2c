//! What docs/benchmarks.md claims, measured side by side in one run: `cargo bench`.
//!
//! Whole processes in turn, A B C A B C ..., so that a machine whose speed drifts slows all of them alike; medians,
//! and ratios of medians. It sets up an authority of its own in a temporary home and leaves nothing.

#![allow(clippy::disallowed_macros, reason = "a program for people at a terminal")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark that can't go on ends")]

use elevate::client::Device;
use elevate::client::elevation::{Cache, Wanted, elevate};
use elevate::client::embedded;
use elevate::client::operation::operate;
use elevate::client::places::Places;
use elevate::client::presence::Presence;
use elevate::client::terminal::Terminal;
use elevate::client::verbs::{enroll_software, write_rules};
use elevate::protocol::messages::OperationName;
use elevate::protocol::secret::Secret;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 200;
const RULES: &str = r#"
allow_software_keys = true
[resource.low]
kind = "jwt"
audience = "https://low.invalid"
sensitivity = "low"
[resource.sensitive]
kind = "jwt"
audience = "https://sensitive.invalid"
sensitivity = "sensitive"
[resource.password]
kind = "secret"
sensitivity = "low"
"#;

fn main() {
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
    let terminal = Terminal { json: true };
    let mut device = Device::new(Places::of_user().unwrap(), terminal, false, Presence::Unattended).unwrap();
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
            operate(&founded.0, OperationName::SecretSet, Some("password".into()), Some(secret)).unwrap();
        }
        founded
    }
}

impl Drop for Founded {
    fn drop(&mut self) {
        let _ = self.0.grant_store().and_then(|store| Ok(store.clear()?));
        embedded::stop(&self.0.places);
    }
}

fn wanted(resource: &str, cache: Cache) -> Wanted {
    Wanted { cache, ..Wanted::of(resource.parse().unwrap()) }
}

fn kernel() {
    let founded = Founded::found();
    elevate(&founded.0, &wanted("low", Cache::Use)).unwrap();
    let elevate = env!("CARGO_BIN_EXE_elevate");
    let rows: &[(&str, &[&str])] = &[
        ("/bin/true", &["/bin/true"]),
        ("elevate token (cached, kernel keyring)", &[elevate, "token", "low"]),
        ("elevate status (kernel keyring)", &[elevate, "status"]),
        ("elevate --help", &[elevate, "--help"]),
        ("doas -n true", &["doas", "-n", "true"]),
        ("sudo -n true", &["sudo", "-n", "true"]),
    ];
    table(&side_by_side(rows));

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
    let start = || {
        embedded::stop(&founded.0.places);
        let started = Instant::now();
        embedded::ensure(&founded.0.places, &founded.0.config).unwrap();
        started.elapsed()
    };
    println!("| authority, from nothing running to ready | {} |", ms(median((0..15).map(|_| start()).collect())));
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
