//! A grant that ends before the command does.

use super::super::harness::*;
use std::time::{Duration, Instant};

#[test]
fn the_end_is_said_before_and_when_it_comes() {
    let home = Home::set_up();
    let ended =
        home.elevate(&["-k", "--ttl", "8s", "--on-expiry", "warn", "wiki", "--", "sh", "-c", "sleep 11; exit 6"]);
    let lines: Vec<_> = ended.stderr.lines().collect();
    let [before, when] = lines[..] else { panic!("{ended:?}") };
    assert!(["elevate: wiki ends in 2s", "elevate: wiki ends in 1s"].contains(&before), "{ended:?}");
    assert_eq!(when, "elevate: wiki has ended, and the command goes on without it");
    ended.exits(6);
    let silent = home.elevate(&["-k", "--json", "--ttl", "2s", "--on-expiry", "warn", "wiki", "--", "sleep", "4"]).ok();
    assert_eq!(silent.stderr, "", "with --json stderr is the command's");
    let never = home.elevate(&["-k", "--ttl", "60s", "--on-expiry", "warn", "wiki", "--", "true"]).ok();
    assert_eq!(never.stderr, "");
}

#[test]
fn the_command_is_ended_with_the_grant_where_that_is_wanted() {
    let home = Home::set_up();
    let begun = Instant::now();
    let ended = home.elevate(&["-k", "--ttl", "3s", "--on-expiry", "term", "wiki", "--", "sleep", "600"]);
    assert_eq!(ended.signal, Some(15), "{ended:?}");
    let told = "elevate: wiki has ended: the command was told to end, and is killed in 10s\n";
    assert!(ended.stderr.ends_with(told), "{ended:?}");
    assert!(begun.elapsed() >= Duration::from_secs(2));
    // One that is stopped ends too.
    let stopped =
        home.elevate(&["-k", "--ttl", "2s", "--on-expiry", "term", "wiki", "--", "sh", "-c", "kill -STOP $$"]);
    assert_eq!(stopped.signal, Some(15), "{stopped:?}");
}

#[test]
fn one_that_does_not_want_to_end_is_killed() {
    let home = Home::set_up();
    let script = "trap '' TERM; while :; do sleep 0.1; done";
    let begun = Instant::now();
    // Nothing reads its stderr, which is full: it is not waited for.
    let run = format!("elevate -k --ttl 2s --on-expiry term wiki -- sh -c \"{script}\"");
    let full = "import os, subprocess, sys\nr, w = os.pipe()\nos.set_blocking(w, False)\ntry:\n    while True: os.write(w, b'x' * 4096)\nexcept BlockingIOError: pass\nos.set_blocking(w, True)\nprint(subprocess.run(['sh', '-c', sys.argv[1]], stderr=w).returncode)";
    let ended = finish(spawn(piped(&mut home.program("python3", &["-c", full, &format!("exec {run}")]))), b"").ok();
    assert_eq!(ended.stdout, "-9\n", "{ended:?}");
    assert!(begun.elapsed() >= Duration::from_secs(11));
}

#[test]
fn what_is_said_begins_a_line_of_its_own_in_a_raw_terminal() {
    let home = Home::set_up();
    let script = "stty raw -echo; printf here; sleep 4; stty sane";
    let mut tty = home.at_terminal(&["-k", "--ttl", "2s", "--on-expiry", "warn", "wiki", "--", "sh", "-c", script]);
    tty.wait_for("here\r\nelevate: wiki has ended, and the command goes on without it\r\n");
    tty.end().ok();
}

#[test]
fn without_a_command_there_is_nothing_to_tell() {
    let home = Home::set_up();
    home.elevate(&["--on-expiry", "warn", "wiki"]).exits(2).complains(
        &home,
        "elevate: --renew and --on-expiry are for a command, and there is none\n  \
         write: elevate --on-expiry WHAT wiki -- COMMAND\n",
    );
    home.elevate(&["--renew", "wiki"]).exits(2);
    home.elevate(&["--renew", "list"]).exits(2);
    home.elevate(&["--on-expiry", "now", "wiki", "--", "true"]).exits(125);
}
