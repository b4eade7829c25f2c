//! The moment somebody is asked: what they see, what counts as yes, and what is left when they say no.

use super::harness::*;
use rustix::process::Signal;

#[test]
fn the_prompt_shows_everything_that_a_touch_approves() {
    let home = Home::set_up();
    let words = [
        "--ttl",
        "90s",
        "--scope",
        "write",
        "--reason",
        "deploy 7",
        "prod-api",
        "--",
        "/bin/echo",
        "with",
        "arguments",
    ];
    let done = home.approve(&words).ok();
    similar(
        &done.tty,
        "
elevate: approve elevation to prod-api?
  scope    write
  for      1m 30s
  command  echo
  reason   deploy 7
  because  sensitive resources need a touch of your key; you have not used this
           resource before; all of your keys were enrolled less than a day ago
Press Enter to approve with the software key 'laptop', Ctrl-C to refuse: ",
    );
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("with arguments\n", ""));
}

#[test]
fn an_answer_other_than_enter_alone_refuses() {
    let home = Home::set_up();
    for answer in ["y\n", " \n", "yes please\n", "\u{4}"] {
        let mut tty = home.prompting(&["prod-api"]);
        tty.wait_for("Ctrl-C to refuse: ");
        tty.send(answer);
        let refused = tty.end().exits(8);
        assert!(refused.stderr.starts_with("elevate: the touch was refused\n"), "{answer:?}: {refused:?}");
        assert_eq!(refused.stdout, "");
    }
    let mut tty = home.prompting(&["--json", "prod-api"]);
    tty.wait_for("Ctrl-C to refuse: ");
    tty.send("no\n");
    assert_eq!(tty.end().exits(8).error()["code"], "verification_failed");
    let mut tty = home.prompting(&["prod-api", "--", "true"]);
    tty.wait_for("Ctrl-C to refuse: ");
    tty.send("no\n");
    tty.end().exits(125);
    assert_eq!(home.issued("prod-api"), 0);
    home.elevate(&["status"]).ok().says(&home, "no grants\n");
}

#[test]
fn enter_typed_before_the_question_does_not_approve() {
    let home = Home::set_up();
    let mut tty = home.prompting_script(r#"read go; exec elevate "$@" >"$0/stdout" 2>"$0/stderr""#, &["prod-api"]);
    tty.send("\n\n\n");
    tty.wait_for("Ctrl-C to refuse: ");
    // What is really typed now is what counts; the Enters before it are gone.
    tty.send("no\n");
    tty.end().exits(8);
    assert_eq!(home.issued("prod-api"), 0);
}

#[test]
fn ctrl_c_at_the_prompt_kills_by_sigint_and_leaves_nothing() {
    let home = Home::set_up();
    let script = r#"stty -a >"$0/before"; elevate prod-api; echo "status $?"; stty -a >"$0/after"; cmp "$0/before" "$0/after" && echo same modes"#;
    let mut tty = home.prompting_script(&format!("trap : INT; {script}"), &[]);
    tty.wait_for("Ctrl-C to refuse: ");
    tty.send("\u{3}");
    tty.wait_for("status 130");
    tty.wait_for("same modes");
    tty.end().ok();

    let mut tty = home.prompting(&["prod-api"]);
    tty.wait_for("Ctrl-C to refuse: ");
    tty.send("\u{3}");
    let ended = tty.end();
    assert_eq!((ended.status, ended.signal), (None, Some(2)), "it dies of the signal: {ended:?}");
    assert!(ended.tty.ends_with('\n'), "the shell's prompt begins on a line of its own: {ended:?}");

    home.elevate(&["status"]).ok().says(&home, "no grants\n");
    home.elevate(&["audit", "verify"]).ok();
    home.approve(&["prod-api"]).ok();
}

#[test]
fn every_signal_that_ends_a_program_at_the_prompt_is_what_it_dies_of() {
    let home = Home::set_up();
    for signal_sent in [Signal::TERM, Signal::HUP, Signal::QUIT] {
        let mut tty =
            home.prompting_script(r#"ulimit -c 0; exec elevate "$@" >"$0/stdout" 2>"$0/stderr""#, &["prod-api"]);
        tty.wait_for("Ctrl-C to refuse: ");
        signal(tty.pid(), signal_sent);
        let ended = tty.end();
        assert_eq!(ended.signal, Some(signal_sent.as_raw()), "{ended:?}");
    }
    home.approve(&["prod-api"]).ok();
}

#[test]
fn ctrl_c_while_something_is_typed_unseen_restores_the_echo() {
    let home = Home::set_up();
    let script = r#"stty echo; trap : INT; stty -a >"$0/before"; elevate admin secret set prod-db; echo "status $?"; stty -a >"$0/after"; cmp "$0/before" "$0/after" && echo same modes"#;
    let mut tty = home.prompting_script(script, &[]);
    tty.wait_for("Secret of prod-db (not shown)");
    assert!(!tty.echoes(), "nothing is shown from the moment it is asked for");
    tty.send("half a sec");
    tty.send("\u{3}");
    tty.wait_for("status 130");
    tty.wait_for("same modes");
    assert!(!tty.shown().contains("half"), "{}", tty.shown());
    tty.end().ok();
    home.elevate(&["admin", "secret", "list"]).ok().says(&home, "none\n");
}

#[test]
fn a_secret_typed_at_the_prompt_is_not_shown() {
    let home = Home::set_up();
    let mut tty = home.sh_at_terminal("stty echo; exec elevate admin secret set tv");
    tty.wait_for("Secret of tv (not shown)");
    assert!(!tty.echoes(), "nothing is shown from the moment it is asked for");
    tty.send("correct horse\n");
    tty.approve();
    let done = tty.end().ok();
    assert!(!done.tty.contains("horse"), "{}", done.tty);
    assert!(done.tty.ends_with("the secret of tv is stored, sealed\n"), "{}", done.tty);
    assert_eq!(home.elevate(&["tv", "--", "printenv", "ELEVATE_SECRET"]).ok().stdout, "correct horse\n");
    home.sh_at_terminal("exec elevate -n admin secret set tv").end().exits(4);
}

#[test]
fn a_background_job_is_not_stopped_and_asks_nobody() {
    let home = Home::set_up();
    let script = r#"set -m; elevate prod-api >"$0/stdout" 2>"$0/stderr" & wait $!; echo "status $?""#;
    let mut tty = home.prompting_script(script, &[]);
    tty.wait_for("status 4");
    let ended = tty.end().ok();
    assert!(!ended.tty.contains("Press Enter"), "{ended:?}");
    ended.complains(
        &home,
        "elevate: this takes a touch of your key, and there is no terminal to ask at
  run `elevate prod-api` in a terminal first: the grant is then kept for a while
",
    );
}

#[test]
fn without_a_terminal_or_with_n_nobody_is_asked() {
    let mut home = Home::set_up();
    home.elevate(&["prod-api"]).exits(4);
    home.elevate(&["prod-api", "--", "true"]).exits(125);
    let forbidden = home.approve(&["-n", "prod-api"]).exits(4);
    home.elevate(&["admin", "user", "disable", "uid:1"]).exits(4).complains(
        &home,
        "elevate: this takes a touch of your key, and there is no terminal to ask at\n  run it in a terminal\n",
    );
    forbidden.complains(
        &home,
        "elevate: this takes a touch of your key
  run it without -n first: the grant is then kept for a while
",
    );
    assert_eq!(forbidden.tty, "");
    home.approve(&["-n", "prod-api", "--", "true"]).exits(125);
    assert_eq!(home.elevate(&["--json", "-n", "prod-api"]).exits(4).error()["code"], "interaction_required");
    home.set("ELEVATE_NON_INTERACTIVE", "1");
    assert_eq!(home.approve(&["prod-api"]).exits(4).tty, "");
    home.unset("ELEVATE_NON_INTERACTIVE");
    // Once it is held, nobody needs to be asked.
    home.approve(&["prod-api"]).ok();
    home.elevate(&["-n", "prod-api"]).ok();
}

#[test]
fn texts_of_others_are_shown_escaped() {
    let home = Home::set_up();
    let reason = "\u{1b}[2Jok\r\nfor nothing\u{202e}\u{7}";
    let done = home.approve(&["--reason", reason, "prod-api"]).ok();
    assert!(done.tty.contains(r"  reason   \u{1b}[2Jok\u{d}\u{a}for nothing\u{202e}\u{7}"), "{}", done.tty);
    assert!(!done.tty.contains('\u{1b}'), "{:?}", done.tty);
    for word in ["\u{1b}[31mred", "a\u{202e}b", "no\nname"] {
        let refused = home.elevate(&["token", word]).exits(2);
        assert!(refused.stderr.chars().all(|c| c == '\n' || !c.is_control()), "{refused:?}");
        assert!(!refused.stderr.contains('\u{202e}'), "{refused:?}");
        home.elevate(&["status", word]).exits(2);
        home.elevate(&[word]).exits(2);
    }
}

#[test]
fn a_terminal_that_goes_away_approves_nothing() {
    let home = Home::set_up();
    let mut tty = home.prompting(&["prod-api"]);
    tty.wait_for("Ctrl-C to refuse: ");
    let pid = tty.pid();
    tty.hang_up();
    wait_until("it has ended", || matches!(state_of(pid), 'Z'));
    assert_eq!(home.issued("prod-api"), 0);
}
