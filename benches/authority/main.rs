//! How fast an authority is: `cargo bench --bench authority`, and what docs/benchmarks.md says of it.
//!
//! Real `elevate-authority serve` processes, on `SQLite` and on a `PostgreSQL` that it starts, beside `OpenBao` in dev
//! mode, which keeps everything in memory; one load generator for all, over the same transport: HTTP/1.1 keep-alive on
//! loopback, without TLS on either side. They take turns within seconds, so that a machine whose speed drifts slows all
//! alike: the ratios are what to read. `--quick` shows that it runs, and measures nothing; `--only TEXT` asks only for the rows
//! whose name holds the text, 256 at once, for as long as a profiler needs.

#![allow(clippy::disallowed_macros, reason = "a program for people at a terminal")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark that can't go on ends")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates")]

mod authority;
mod floor;
mod load;
mod openbao;
mod postgres;
mod processes;

use authority::{Authority, What};
use load::{Item, Run, run};
use openbao::OpenBao;
use postgres::Postgres;
use processes::raise_descriptors;
use std::net::SocketAddr;
use std::time::Duration;

/// How much is measured.
struct Extent {
    callers: &'static [usize],
    rounds: usize,
    each: Duration,
    crowd: usize,
}

const WHOLE: Extent = Extent { callers: &[1, 8, 64, 256], rounds: 3, each: Duration::from_millis(1500), crowd: 2000 };
const QUICK: Extent = Extent { callers: &[1, 8], rounds: 1, each: Duration::from_millis(150), crowd: 32 };

/// One row of a table: what is asked of whom.
struct Row<'a> {
    name: String,
    address: SocketAddr,
    process: u32,
    items: Box<dyn Fn(usize) -> Vec<Item> + 'a>,
    /// Requests a second that it answered last: how many are prepared for the next round.
    pace: f64,
    runs: Vec<Run>,
}

const ONLY: Extent = Extent { callers: &[256], rounds: 5, each: Duration::from_secs(4), crowd: 2000 };

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let only = arguments.iter().skip_while(|argument| *argument != "--only").nth(1);
    let extent = match only {
        _ if arguments.iter().any(|argument| argument == "--quick") => QUICK,
        Some(_) => ONLY,
        None => WHOLE,
    };
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure(&extent, only));
}

async fn measure(extent: &Extent, only: Option<&String>) {
    let home = tempfile::tempdir().unwrap();
    let postgres = Postgres::start(home.path());
    let sqlite = Authority::start(&home.path().join("sqlite"), None, extent.crowd).await;
    let shared = Authority::start(&home.path().join("postgres"), Some(&postgres.url()), extent.crowd).await;
    let bao = OpenBao::start(home.path(), extent.crowd).await;
    println!("Callers over HTTP/1.1 keep-alive, loopback, no TLS on either side; {} cores.", processes::cores());
    if cfg!(debug_assertions) {
        println!("Unoptimised programs: the numbers say nothing.");
    }
    let idle = (sqlite.memory(), shared.memory());

    let mut rows = rows(bao.as_ref(), &sqlite, &shared, postgres.process());
    rows.retain(|row| only.is_none_or(|only| row.name.contains(only)));
    for callers in extent.callers {
        for round in 0..=extent.rounds {
            for row in &mut rows {
                take_turn(row, *callers, extent, round == 0).await;
            }
        }
        table(*callers, &mut rows);
    }
    if only.is_some() {
        return;
    }
    floor::print(home.path());
    drop(rows);
    crowd(extent, &[("SQLite", &sqlite, idle.0), ("PostgreSQL", &shared, idle.1)]).await;
}

fn rows<'a>(bao: Option<&'a OpenBao>, sqlite: &'a Authority, shared: &'a Authority, postgres: u32) -> Vec<Row<'a>> {
    let row =
        |name: String, address, process, items| Row { name, address, process, items, pace: 500.0, runs: Vec::new() };
    let mut rows = Vec::new();
    for kind in ["service", "batch"] {
        let Some(bao) = bao else { continue };
        let items = Box::new(move |count| bao.logins(kind, count));
        rows.push(row(format!("OpenBao: JWT login, {kind} token"), bao.address, bao.process(), items as Box<_>));
    }
    for (store, authority) in [("SQLite", sqlite), ("PostgreSQL", shared)] {
        for what in What::ALL {
            let items = Box::new(move |count| authority.items(what, count));
            rows.push(row(
                format!("{}, {store}", what.name()),
                authority.address,
                authority.process(),
                items as Box<_>,
            ));
        }
    }
    // What PostgreSQL does for an authority is part of the authority's work.
    processes::belongs_to(postgres, shared.process());
    rows
}

/// A short run of one row; the first one only warms up.
async fn take_turn(row: &mut Row<'_>, callers: usize, extent: &Extent, warming_up: bool) {
    let time = if warming_up { extent.each / 3 } else { extent.each };
    let ahead = (row.pace * time.as_secs_f64() * 1.5) as usize + 4 * callers;
    let run = run(row.address, row.process, callers, (row.items)(ahead), time).await;
    row.pace = run.rate();
    if !warming_up {
        row.runs.push(run);
    }
}

/// Ratios first. The rate of a row is the median of its rounds.
fn table(callers: usize, rows: &mut [Row<'_>]) {
    let results: Vec<(&str, Run)> =
        rows.iter_mut().map(|row| (&*row.name, Run::together(std::mem::take(&mut row.runs)))).collect();
    let login = results.first().filter(|(name, _)| name.starts_with("OpenBao")).map(|(_, run)| run.rate());
    println!("\n| {callers} at once | to a login | per second | p50 | p99 | CPU each | generator |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (name, run) in &results {
        let ratio = login.map_or("-".to_owned(), |login| format!("{:.2}", run.rate() / login));
        println!(
            "| {name} | {ratio} | {:.0} | {:.2} ms | {:.2} ms | {:.0} µs | {:.0} % |",
            run.rate(),
            run.percentile(50),
            run.percentile(99),
            run.cpu_each().as_secs_f64() * 1e6,
            run.generator() * 100.0,
        );
    }
}

/// Memory at rest, and with everybody there at once, each with a connection of their own.
async fn crowd(extent: &Extent, authorities: &[(&str, &Authority, u64)]) {
    println!("\n| memory, MiB | at rest | after the above | {} at once, stepped up, at most |", extent.crowd);
    println!("| --- | ---: | ---: | ---: |");
    let mib = |kib: u64| format!("{:.0}", kib as f64 / 1024.0);
    for (store, authority, idle) in authorities {
        let after = authority.memory();
        processes::forget_peak(authority.process());
        let items = authority.items(What::SteppedUp, 2 * extent.crowd);
        run(authority.address, authority.process(), extent.crowd, items, Duration::from_secs(30)).await;
        println!("| {store} | {} | {} | {} |", mib(*idle), mib(after), mib(authority.peak()));
    }
}
