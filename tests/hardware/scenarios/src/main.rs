//! Runs every scenario of `table.rs` inside the guest: a real `elevate`, at a pseudo-terminal, as a person who is not
//! root, against virtual keys on real `/dev/hidraw` devices. `scenarios --table` writes docs/hardware.md instead.

mod guest;
mod table;

use guest::{Ended, Home, Keys, Run};
use std::process::ExitCode;
use table::{Exit, Scenario};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--table") {
        print!("{}", table::document());
        return ExitCode::SUCCESS;
    }
    let started = std::time::Instant::now();
    let (mut passed, mut failed) = (0, 0);
    for world in table::worlds() {
        let mut keys = Keys::default();
        let home = Home::new(world.name);
        for step in &world.begin {
            let run = guest::run(&home, &mut keys, step.command, step.steps);
            if run.ended != Ended::Status(0) {
                println!("FAILED world {}: {}\n{}", world.name, step.command, run.screen);
                failed += 1;
            }
        }
        keys.settle();
        for scenario in world.scenarios.iter().filter(|it| words.is_empty() || words.iter().any(|word| it.name.contains(word.as_str()))) {
            for (key, word) in scenario.given {
                keys.tell(*key, word);
            }
            let run = guest::run(&home, &mut keys, scenario.command, scenario.steps);
            match verdict(scenario, &run, &keys) {
                Ok(()) => {
                    passed += 1;
                    println!("ok {} ({:.1} s)", scenario.name, run.took.as_secs_f64());
                }
                Err(why) => {
                    failed += 1;
                    println!("FAILED {}: {why}", scenario.name);
                    indented("screen", &run.screen);
                    indented("key", &keys.last_lines());
                }
            }
            for (key, word) in scenario.after {
                keys.tell(*key, word);
            }
            keys.as_before();
        }
        keys.unplug_all();
        home.remove();
    }
    println!("SCENARIOS {passed} passed, {failed} failed, in {:.0} s", started.elapsed().as_secs_f64());
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn indented(what: &str, text: &str) {
    for line in text.lines() {
        println!("   {what}| {line}");
    }
}

/// What was seen, held against what the table says.
fn verdict(scenario: &Scenario, run: &Run, keys: &Keys) -> Result<(), String> {
    if let Some(stuck) = &run.stuck {
        return Err(stuck.clone());
    }
    let mut rest = run.screen.as_str();
    for line in scenario.reads {
        match rest.find(line) {
            Some(at) => rest = &rest[at + line.len()..],
            None => return Err(format!("the person does not read {line:?}")),
        }
    }
    let as_told = match (scenario.exit, run.ended) {
        (Exit::Status(told), Ended::Status(seen)) => told == seen,
        (Exit::Signal(told), Ended::Signal(seen)) => told == seen,
        _ => false,
    };
    if !as_told {
        return Err(format!("ended with {:?}", run.ended));
    }
    if !run.stdout.is_empty() {
        return Err(format!("stdout holds {:?}", run.stdout));
    }
    if run.screen.contains("panicked") {
        return Err("something panicked".to_owned());
    }
    // The error at the end is one line however wide the terminal is, for whoever searches it.
    let before_the_end = run.screen.rfind("elevate: ").and_then(|end| run.screen.get(..end)).unwrap_or(&run.screen);
    if let Some(line) = before_the_end.lines().find(|line| line.chars().count() > 80) {
        return Err(format!("a line is longer than the terminal: {line:?}"));
    }
    if run.took > scenario.within {
        return Err(format!("it took {:.1} s", run.took.as_secs_f64()));
    }
    keys.all_dark()?;
    for (key, words) in scenario.key_log {
        if !keys.log(*key).contains(words) {
            return Err(format!("key {key} does not log {words:?}"));
        }
    }
    Ok(())
}

