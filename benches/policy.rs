//! What a decision costs: `cargo bench --bench policy`. With `--quick` it shows that it runs, and measures nothing.

#![allow(clippy::disallowed_macros, reason = "a program for people at a terminal")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark that can't go on ends")]
#![allow(clippy::cast_precision_loss, reason = "rates")]

use elevate::authority::caller::Subject;
use elevate::authority::cases::Asked;
use elevate::authority::config::{Config, Sensitivity};
use elevate::authority::elevation::ElevationId;
use elevate::authority::policy::Policy;
use elevate::authority::question::Question;
use elevate::authority::rules::{DEFAULT_POLICY, DEFAULT_SCHEMA};
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let decisions = if quick { 20 } else { 20_000 };
    println!("| one decision, one processor | p50 | p99 | each |\n| --- | ---: | ---: | ---: |");
    let default = policy(DEFAULT_POLICY);
    let of = |sensitivity| vec![question(0, sensitivity)];
    row("the default policy, permitted at once", &default, &of(Sensitivity::Low), decisions);
    row("the same, permitted with a touch", &default, &of(Sensitivity::Sensitive), decisions);
    row("the same, with a PIN", &default, &of(Sensitivity::Critical), decisions);
    let resources: Vec<Question> = (0..10_000).map(|number| question(number, Sensitivity::Sensitive)).collect();
    let own = own_policies();
    let began = Instant::now();
    let named = policy(&own);
    println!("<!-- 1,000 policies were read and checked in {:?} -->", began.elapsed());
    row("1,000 policies, each of one resource, 10,000 resources", &named, &resources, decisions);
    let general = policy(&general_policies());
    row("1,000 policies, each of every resource, 10,000 resources", &general, &resources, decisions / 20);
    println!("\nAt most {} MiB of memory.", memory());
}

fn policy(text: &str) -> Policy {
    Policy::parse(Path::new("policy.cedar"), text, Path::new("schema.cedarschema"), DEFAULT_SCHEMA).unwrap()
}

fn question(number: usize, sensitivity: Sensitivity) -> Question {
    let config = Config::parse(Path::new("authority.toml"), "").unwrap();
    let mut asked = Asked::plain(format!("resource-{number}").parse().unwrap());
    asked.sensitivity = sensitivity;
    asked.environment = format!("environment-{}", number % 50);
    asked.subject = Subject::account(1000);
    asked.question(&config)
}

/// Beside the default ones, a thousand of which each is about one resource.
fn own_policies() -> String {
    (0..1000).fold(DEFAULT_POLICY.to_owned(), |mut text, number| {
        let _ = write!(
            text,
            "@id(\"own-{number}\") permit (principal, action == Action::\"elevate\", resource == \
             Resource::\"resource-{number}\") when {{ context.assurance.touch && principal.roles.contains(\"r{number}\") }};"
        );
        text
    })
}

/// A thousand that are about every resource: none of them can be left out.
fn general_policies() -> String {
    (0..1000).fold(DEFAULT_POLICY.to_owned(), |mut text, number| {
        let _ = write!(
            text,
            "@id(\"general-{number}\") permit (principal, action == Action::\"elevate\", resource) when {{ \
             resource.environment == \"team-{number}\" && context.assurance.touch }};"
        );
        text
    })
}

fn row(what: &str, policy: &Policy, questions: &[Question], decisions: usize) {
    let elevation = ElevationId::fresh();
    let mut took: Vec<Duration> = questions
        .iter()
        .cycle()
        .take(decisions)
        .map(|question| {
            let began = Instant::now();
            let _ = black_box(policy.decide(&elevation, question));
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let each = micros(took.iter().sum::<Duration>()) / took.len() as f64;
    let [p50, p99] = [took.len() / 2, took.len() * 99 / 100].map(|at| micros(took[at]));
    println!("| {what} | {p50:.0} µs | {p99:.0} µs | {each:.0} µs |");
}

/// Resident, at its peak.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}
