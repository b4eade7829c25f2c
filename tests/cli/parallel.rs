//! Many at once, and processes that die in the middle.

use super::harness::*;
use rustix::process::Signal;
use std::time::{Duration, Instant};

#[test]
fn fifty_at_the_same_instant_start_one_authority() {
    let home = Home::empty();
    home.write_config("authority.toml", CATALOGUE);
    home.elevate(&["init"]).ok();
    home.stop_authority();
    std::fs::remove_dir_all(home.data()).unwrap();
    let all: Vec<_> = (0..50).map(|_| spawn(piped(&mut home.command(&["list"])))).collect();
    for child in all {
        finish(child, b"").ok();
    }
    home.authority();
    let count = |wanted: &str| home.events().iter().filter(|(event, _)| event == wanted).count();
    assert_eq!((count("log.opened"), count("rules.loaded")), (1, 1));
    home.elevate(&["audit", "verify"]).ok();
}

#[test]
fn a_hundred_at_once_take_one_touch_and_get_one_token() {
    let home = Home::set_up();
    let script = r#"
        i=0
        while [ $i -lt 100 ]; do
            { elevate token prod-api >"$0/out.$i" 2>"$0/err.$i" || echo "failed: $?" >>"$0/stderr"; } &
            i=$((i + 1))
        done
        wait
        sort "$0"/out.* | uniq -c | awk '{ print $1 }' >"$0/stdout"
        cat "$0"/err.* | grep -v 'another elevate is asking for prod-api; waiting for its answer' >>"$0/stderr""#;
    let mut tty = home.prompting_script(script, &[]);
    tty.approve_all();
    let ended = tty.end();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("100\n", ""), "one token, a hundred times: {ended:?}");
    assert_eq!(ended.tty.matches("Press Enter").count(), 1, "{}", ended.tty);
    assert_eq!(home.issued("prod-api"), 1);
}

#[test]
fn a_refusal_is_shared_by_all_who_wait_for_it() {
    let home = Home::set_up();
    let script = r#"
        i=0
        while [ $i -lt 10 ]; do
            { elevate prod-api; echo "status $?" >>"$0/stdout"; } &
            i=$((i + 1))
        done
        wait"#;
    let mut tty = home.prompting_script(script, &[]);
    tty.wait_for("Ctrl-C to refuse: ");
    wait_until("nine wait", || tty.shown().matches("another elevate is asking for prod-api").count() == 9);
    tty.send("no\n");
    let ended = tty.end().ok();
    assert_eq!(ended.stdout, "status 8\n".repeat(10), "{}", ended.tty);
    assert_eq!(ended.tty.matches("Press Enter").count(), 1, "{}", ended.tty);
    assert_eq!(ended.tty.matches("the touch was refused").count(), 10, "{}", ended.tty);
    // Nobody who comes later is told an old no.
    home.approve(&["prod-api"]).ok();
}

#[test]
fn when_the_one_who_asks_is_killed_the_next_one_asks() {
    let home = Home::set_up();
    let mut first = home.prompting(&["prod-api"]);
    first.wait_for("Ctrl-C to refuse: ");
    let mut second = home.at_terminal(&["token", "prod-api"]);
    second.wait_for("another elevate is asking for prod-api; waiting for its answer");
    signal(first.pid(), Signal::KILL);
    assert_eq!(first.end().signal, Some(9));
    second.approve();
    second.end().ok();
    assert_eq!(home.issued("prod-api"), 1);
}

#[test]
fn who_waits_gets_what_was_granted_to_the_one_before() {
    let home = Home::set_up();
    let mut first = home.prompting(&["token", "prod-api"]);
    first.wait_for("Ctrl-C to refuse: ");
    let mut second = home.at_terminal(&["token", "prod-api"]);
    second.wait_for("another elevate is asking for prod-api; waiting for its answer");
    first.send("\n");
    let (first, second) = (first.end().ok(), second.end().ok());
    assert!(second.tty.ends_with(&first.stdout), "{second:?}");
}

#[test]
fn who_must_not_wait_for_a_person_does_not_wait_for_anothers_either() {
    let home = Home::set_up();
    let mut first = home.prompting(&["prod-api"]);
    first.wait_for("Ctrl-C to refuse: ");
    home.elevate(&["-n", "prod-api"]).exits(4).complains(
        &home,
        "elevate: another elevate is asking for prod-api; waiting for its answer
elevate: another elevate is asking for prod-api, and -n forbids to wait for it
  it may be waiting for a touch
",
    );
    // Another resource is another question.
    home.elevate(&["-n", "wiki"]).ok();
    first.send("\n");
    first.end().ok();
}

#[test]
fn an_authority_that_was_killed_is_started_again() {
    let home = Home::set_up();
    let token = home.elevate(&["token", "wiki"]).ok().stdout;
    let killed = home.authority();
    signal(killed, Signal::KILL);
    wait_until("it is dead", || home.authorities().is_empty());
    assert!(home.socket().exists(), "the socket of the dead is still there");
    assert!(home.is_active_after_restart(&token));
    assert_ne!(home.authority(), killed);
    home.elevate(&["audit", "verify"]).ok();
}

#[test]
fn an_authority_killed_in_the_middle_of_a_request_is_an_error_or_a_success_and_never_a_hang() {
    let home = Home::set_up();
    for words in [&["list"][..], &["token", "-k", "wiki"], &["-n", "explain", "wiki"], &["audit", "verify"]] {
        home.elevate(&["list"]).ok();
        let pid = home.authority();
        signal(pid, Signal::STOP);
        wait_until("it is stopped", || state_of(pid) == 'T');
        let begun = Instant::now();
        let call = spawn(piped(&mut home.command(words)));
        // The kernel takes connections for a stopped listener: one that looks whether somebody answers, one that asks.
        let path = home.socket().display().to_string();
        let asks = || std::fs::read_to_string("/proc/net/unix").unwrap().matches(&path).count() >= 3;
        wait_until("it waits for an answer", asks);
        signal(pid, Signal::KILL);
        let ended = finish(call, b"");
        assert!(matches!(ended.status, Some(0 | 6)), "{words:?}: {ended:?}");
        assert!(begun.elapsed() < Duration::from_secs(40), "{words:?}: {:?}", begun.elapsed());
    }
    home.elevate(&["audit", "verify"]).ok();
}

#[test]
fn an_authority_that_does_not_answer_is_exit_6() {
    let home = Home::set_up();
    let pid = home.authority();
    signal(pid, Signal::STOP);
    wait_until("it is stopped", || state_of(pid) == 'T');
    let begun = Instant::now();
    home.elevate(&["-n", "list"]).exits(6);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    signal(pid, Signal::CONT);
    home.elevate(&["list"]).ok();
    assert_eq!(home.authority(), pid);
}

#[test]
fn no_call_is_lost_around_the_moment_an_idle_authority_ends() {
    let home = Home::with(&format!("idle_exit = \"1s\"\n{CATALOGUE}"));
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..20 {
        let ended = home.elevate(&["-n", "token", "-k", "wiki"]);
        assert_eq!(ended.status, Some(0), "round {round}: {ended:?}");
        seen.extend(home.authorities());
        // The moment itself is what is looked for: before it, at it, after it.
        std::thread::sleep(Duration::from_millis(900 + 25 * round));
    }
    assert!(seen.len() > 1, "it never ended in between");
    wait_until("the last one ends by itself", || home.authorities().is_empty());
    assert!(!home.socket().exists(), "its socket goes with it");
    home.elevate(&["audit", "verify"]).ok();
}

#[test]
fn the_authority_outlives_who_started_it_and_the_terminal_it_was_started_at() {
    let home = Home::set_up();
    home.stop_authority();
    let mut tty = home.sh_at_terminal("elevate list >/dev/null && echo started; exec sleep 600");
    tty.wait_for("started");
    let pid = home.authority();
    let line = format!("/proc/{}/cmdline", tty.pid());
    wait_until("it sleeps", || std::fs::read_to_string(&line).is_ok_and(|it| it.starts_with("sleep")));
    tty.send("\u{3}");
    let _ = tty.end();
    home.elevate(&["list"]).ok();
    assert_eq!(home.authority(), pid, "Ctrl-C and hang-up are not its own");
}

#[test]
fn parallel_grants_of_different_resources_are_all_kept() {
    let home = Home::set_up();
    home.put_secret("tv", "x").ok();
    let all: Vec<_> =
        ["wiki", "tv"].iter().cycle().take(10).map(|name| spawn(piped(&mut home.command(&[name])))).collect();
    for child in all {
        finish(child, b"").ok();
    }
    assert_eq!((home.issued("wiki"), home.issued("tv")), (1, 1));
    assert_eq!(home.elevate(&["--json", "status"]).ok().json()["grants"].as_array().unwrap().len(), 2);
}
