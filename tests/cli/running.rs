//! Running a command with a credential: what it gets, how its end is ours, and where nothing may leak.

/// A grant that ends before the command.
mod expiry;
/// A token that is renewed while the command runs.
mod renewal;
/// Signals, jobs, open files.
mod signalled;

use super::harness::*;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

#[test]
fn a_command_gets_the_credential_and_stdout_is_its_own() {
    let home = Home::set_up();
    home.put_secret("tv", "channel 4").ok();
    let run = home.elevate(&["tv", "--", "sh", "-c", "env | grep ^ELEVATE_ | sort; echo done"]).ok();
    let lines: Vec<_> = run.stdout.lines().collect();
    let names: Vec<_> = lines.iter().map(|line| line.split('=').next().unwrap()).collect();
    let expected = ["ELEVATE_EXPIRES_AT", "ELEVATE_GRANT_ID", "ELEVATE_RESOURCE", "ELEVATE_SECRET", "done"];
    assert_eq!(names, expected);
    assert_eq!((lines[2], lines[3], run.stderr.as_str()), ("ELEVATE_RESOURCE=tv", "ELEVATE_SECRET=channel 4", ""));
    assert!(is_time(lines[0].strip_prefix("ELEVATE_EXPIRES_AT=").unwrap()));

    let token = home.elevate(&["token", "wiki"]).ok().stdout;
    let run = home.elevate(&["run", "wiki", "--", "printenv", "ELEVATE_TOKEN"]).ok();
    assert_eq!(run.stdout, token, "the grant that is kept is used");
    home.elevate(&["wiki", "--", "printenv", "ELEVATE_SECRET"]).exits(1);
    let touched = home.approve(&["--json", "prod-api", "--", "echo", "mine"]).ok();
    assert_eq!((touched.stdout.as_str(), touched.stderr.as_str()), ("mine\n", ""), "--json leaves its output alone");
}

#[test]
fn the_commands_arguments_are_passed_on_as_they_are() {
    let home = Home::set_up();
    let words = ["wiki", "--", "printf", "%s|", "a b", "--json", "-n", "--", "", "é\n"];
    assert_eq!(home.elevate(&words).ok().stdout, "a b|--json|-n|--||é\n|");
    let stdin = home.elevate_reading(&["wiki", "--", "cat"], "what was piped in");
    assert_eq!(stdin.ok().stdout, "what was piped in");
}

#[test]
fn its_exit_status_is_ours() {
    let home = Home::set_up();
    for once in [&["wiki"][..], &["--once", "wiki"]] {
        for status in [0, 1, 7, 125, 126, 127, 255] {
            home.elevate(&[once, &["--", "sh", "-c", &format!("exit {status}")]].concat()).exits(status);
        }
        for number in [1, 2, 9, 15] {
            let ended = home.elevate(&[once, &["--", "sh", "-c", &format!("kill -{number} $$")]].concat());
            assert_eq!((ended.status, ended.signal), (None, Some(number)), "{once:?}: {ended:?}");
        }
    }
}

#[test]
fn a_command_that_cannot_be_started_is_126_or_127() {
    let home = Home::set_up();
    let not_executable = home.beside("plain-file");
    fs::write(&not_executable, "x").unwrap();
    for once in [&["wiki"][..], &["--once", "wiki"]] {
        let missing = home.elevate(&[once, &["--", "no-such-command"]].concat()).exits(127);
        assert!(missing.stderr.starts_with("elevate: the command 'no-such-command' was not found"), "{missing:?}");
        let file = home.elevate(&[once, &["--", not_executable.to_str().unwrap()]].concat()).exits(126);
        assert!(file.stderr.contains("can't be executed"), "{file:?}");
        home.elevate(&[once, &["--", "/"]].concat()).exits(126);
        let error = home.elevate(&[&["--json"], once, &["--", "no-such-command"]].concat()).exits(127).error();
        assert_eq!(error["code"], "failed");
    }
    home.elevate(&["nothing", "--", "true"]).exits(125);
    home.elevate(&["Bad Name", "--", "true"]).exits(125);
    home.elevate(&["vault", "--", "true"]).exits(125);
    assert_eq!(home.elevate(&["--json", "vault", "--", "true"]).exits(125).error()["code"], "no_security_key");
}

#[test]
fn once_revokes_when_the_command_ends_however_it_ends() {
    let home = Home::set_up();
    let kept = home.elevate(&["token", "wiki"]).ok().stdout;
    for end in ["exit 0", "exit 3", "kill -9 $$"] {
        let run = home.elevate(&["--once", "wiki", "--", "sh", "-c", &format!("echo $ELEVATE_TOKEN; {end}")]);
        let own = run.stdout.trim();
        assert_ne!(own, kept.trim(), "it has a grant of its own");
        assert!(!home.is_active(own), "{end}");
    }
    assert!(home.is_active(kept.trim()));
    assert_eq!(home.elevate(&["token", "wiki"]).ok().stdout, kept, "what was kept before is still kept");

    let pid_file = home.beside("pid");
    let script = format!("echo $$ >{}; echo $ELEVATE_TOKEN; exec sleep 600", pid_file.display());
    let child = spawn(piped(&mut home.command(&["--once", "wiki", "--", "sh", "-c", &script])));
    wait_until("the command runs", || fs::read_to_string(&pid_file).is_ok_and(|pid| pid.ends_with('\n')));
    signal(i32::try_from(child.id()).unwrap(), Signal::TERM);
    let ended = finish(child, b"");
    assert_eq!(ended.signal, Some(15), "the signal is passed on, and ours as well: {ended:?}");
    assert!(!home.is_active(ended.stdout.trim()));

    home.elevate(&["--once", "wiki"]).exits(2).complains(
        &home,
        "elevate: --once and -k keep nothing, and there is no command\n  write: elevate --once wiki -- COMMAND\n",
    );
    home.elevate(&["token", "--once", "wiki"]).exits(2);
}

#[test]
fn ctrl_c_reaches_the_command_and_once_still_revokes() {
    let home = Home::set_up();
    let script = "echo $ELEVATE_TOKEN; trap 'exit 5' INT; echo ready; read line";
    let mut tty = home.at_terminal(&["--once", "wiki", "--", "sh", "-c", script]);
    tty.wait_for("ready");
    tty.send("\u{3}");
    let ended = tty.end().exits(5);
    let token = ended.tty.lines().find(|line| line.starts_with("ey")).unwrap();
    assert!(!home.is_active(token));
}

#[test]
fn a_signal_in_the_moment_the_command_starts_is_not_lost_and_once_still_revokes() {
    let home = Home::set_up();
    let before = home.issued("wiki");
    for round in 0..10 {
        // `sh` says that it runs before `elevate` has heard that it does.
        let mut tty = home.at_terminal(&["--once", "wiki", "--", "sh", "-c", "echo $ELEVATE_TOKEN; exec sleep 600"]);
        tty.wait_for("\r\n");
        signal(tty.pid(), Signal::TERM);
        let ended = tty.end();
        assert_eq!(ended.signal, Some(15), "round {round}: {ended:?}");
        assert!(!home.is_active(ended.tty.trim()), "round {round}");
    }
    assert_eq!(home.issued("wiki"), before + 10);
}

#[test]
fn without_once_elevate_becomes_the_command() {
    let home = Home::set_up();
    let mut child = spawn(piped(&mut home.command(&["wiki", "--", "sleep", "600"])));
    let line = format!("/proc/{}/cmdline", child.id());
    wait_until("it is the command", || fs::read_to_string(&line).is_ok_and(|it| it == "sleep\u{0}600\u{0}"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_private_file_holds_the_credential_and_no_variable_does() {
    let home = Home::set_up();
    let secret = "db.test:5432:*:app:very-secret-pass";
    home.put_secret("tv", secret).ok();
    home.write_config("elevate.toml", "[resource.tv]\nfile = \"PGPASSFILE\"\n");
    let script = r#"cat "$PGPASSFILE"; echo; stat -L -c '%a %F' "$PGPASSFILE"; env"#;
    for once in [&["tv"][..], &["--once", "tv"]] {
        let run = home.elevate(&[once, &["--", "sh", "-c", script]].concat()).ok();
        let mut lines = run.stdout.lines();
        assert_eq!((lines.next(), lines.next()), (Some(secret), Some("600 regular file")), "{run:?}");
        assert!(lines.all(|line| !line.contains("very-secret-pass")), "no variable holds it: {run:?}");
        assert!(run.stdout.contains("\nPGPASSFILE=/proc/self/fd/") && !run.stdout.contains("ELEVATE_SECRET"));
    }
    for place in [home.path.clone(), home.runtime.clone()] {
        assert!(!contains(&bytes_below(&place), "very-secret-pass"), "{}", place.display());
    }
    home.elevate(&["env", "tv"]).exits(2).complains(
        &home,
        "elevate: tv is handed over as a private file, which needs a command\n  write: elevate tv -- COMMAND\n",
    );
}

#[test]
fn a_variable_of_ones_own_is_set_beside_the_fixed_one() {
    let home = Home::set_up();
    home.put_secret("tv", "channel 4").ok();
    home.write_config("elevate.toml", "[resource.tv]\nvariable = \"TV_PASSWORD\"\n");
    let run = home.elevate(&["tv", "--", "sh", "-c", r#"echo "$TV_PASSWORD, $ELEVATE_SECRET""#]).ok();
    assert_eq!(run.stdout, "channel 4, channel 4\n");
}

#[test]
fn the_secret_is_in_no_command_line_log_or_file() {
    let home = Home::set_up();
    let secret = "xyzzy-never-written-down";
    home.put_secret("tv", secret).ok();
    let mut child =
        spawn(piped(&mut home.command(&["--once", "--debug", "tv", "--", "sh", "-c", "echo go; exec sleep 600"])));
    let mut go = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut go).unwrap();
    let telling = processes(|words| words.iter().any(|word| word.contains(secret)));
    assert!(telling.is_empty(), "command lines: {telling:?}");
    signal(i32::try_from(child.id()).unwrap(), Signal::TERM);
    let ended = finish(child, b"");
    assert!(!ended.stderr.contains(secret), "{ended:?}");
    home.stop_authority();
    for place in [home.path.clone(), home.runtime.clone()] {
        assert!(!contains(&bytes_below(&place), secret), "{}", place.display());
    }
    assert!(home.data().join("authority/authority.log").exists());
}

#[test]
fn debug_output_holds_no_credential() {
    let mut home = Home::set_up();
    home.put_secret("tv", "plugh-plugh").ok();
    home.set("ELEVATE_LOG", "trace");
    let token = home.elevate(&["--debug", "token", "-k", "wiki"]).ok();
    let payload = token.stdout.split('.').nth(2).unwrap().trim();
    assert!(!token.stderr.contains(payload), "the token's signature is on stderr: {token:?}");
    let run = home.elevate(&["--debug", "-k", "tv", "--", "true"]).ok();
    assert!(!run.stderr.contains("plugh"), "{run:?}");
    home.stop_authority();
    home.elevate(&["--debug", "-k", "tv", "--", "true"]).ok();
    home.stop_authority();
    let log = fs::read_to_string(home.data().join("authority/authority.log")).unwrap();
    assert!(!log.contains("plugh"), "{log}");
}

#[test]
fn the_authority_gets_nothing_of_the_callers_environment() {
    let mut home = Home::set_up();
    home.stop_authority();
    let names = [
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "SSLKEYLOGFILE",
        "HTTP_PROXY",
        "SQLITE_TMPDIR",
        "RUST_BACKTRACE",
        "SECRET_OF_MINE",
    ];
    for name in names {
        home.set(name, "/nonexistent");
    }
    // A program in between, which looks at what it is given: the authority itself lets nobody look.
    let (between, seen) = (home.beside("between"), home.beside("seen"));
    let script = format!("#!/bin/sh\n{{ pwd; env; }} >{}\nexec {AUTHORITY_BIN} \"$@\"\n", seen.display());
    fs::write(&between, script).unwrap();
    fs::set_permissions(&between, fs::Permissions::from_mode(0o755)).unwrap();
    home.write_config("elevate.toml", &format!("authority_program = \"{}\"\n", between.display()));
    home.elevate(&["list"]).ok();
    let seen = fs::read_to_string(seen).unwrap();
    let mut lines = seen.lines();
    assert_eq!(lines.next(), Some("/"), "its directory");
    // `PWD` and `_` are the shell's own.
    let foreign: Vec<_> =
        lines.filter(|line| !["LANG=", "PWD=", "_="].iter().any(|own| line.starts_with(own))).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    let environment = fs::read(format!("/proc/{}/environ", home.authority()));
    assert!(environment.is_err(), "its memory is nobody's to look at");
}

#[test]
fn closed_or_full_stdout_is_said_and_a_reader_that_went_away_is_no_error() {
    let home = Home::set_up();
    let full = home.sh("elevate token wiki >/dev/full").exits(11);
    assert!(full.stderr.starts_with("elevate: stdout can't be written"), "{full:?}");
    home.sh("elevate list >/dev/full").exits(11);
    home.sh("elevate --help >/dev/full").exits(11);
    // What is written goes nowhere, above all not into a file that took its number.
    let token = home.elevate(&["token", "wiki"]).ok().stdout;
    for words in ["token wiki", "list", "--json status", "--help", "--version"] {
        let closed = home.sh(&format!("elevate {words} >&-")).exits(11);
        assert!(closed.stderr.contains("stdout can't be written: it is closed"), "{closed:?}");
    }
    home.sh("elevate token -k wiki >&- 2>&- <&-").exits(11);
    home.stop_authority();
    for part in token.trim().split('.').skip(1) {
        assert!(!contains(&bytes_below(&home.path), part), "{part} is in a file");
    }
    let gone = home.sh("{ elevate token wiki; echo $? >&2; } | true").ok();
    assert_eq!(gone.stderr, "0\n");
    let all_closed = home.sh("elevate wiki <&- >&- 2>&-");
    assert_eq!(all_closed.status, Some(0));
    home.sh("elevate nothing 2>&-").exits(2);
}

#[test]
fn a_command_without_dashes_is_corrected_and_not_run() {
    let home = Home::set_up();
    let ran = home.beside("ran");
    let touch = format!("elevate wiki touch {}", ran.display());
    let refused = home.sh(&touch).exits(2);
    assert_eq!(
        refused.stderr,
        format!("elevate: a command stands after `--`\n  write: elevate wiki -- touch {}\n", ran.display())
    );
    assert!(!ran.exists());
    home.elevate(&["wiki", "env"])
        .exits(2)
        .complains(&home, "elevate: a command stands after `--`\n  write: elevate wiki -- env\n");
    home.elevate(&["--reason", "why not", "wiki", "psql", "-c", "select 1"]).exits(2);
    assert_eq!(home.issued("wiki"), 0);
}

#[test]
fn a_mistyped_verb_is_sent_nowhere() {
    let home = Home::set_up();
    let before = home.events();
    for (typed, verb) in [("lst", "list"), ("staus", "status"), ("tokn", "token"), ("drp", "drop"), ("audti", "audit")]
    {
        home.elevate(&[typed])
            .exits(2)
            .complains(&home, &format!("elevate: there is no resource '{typed}'\n  did you mean `elevate {verb}`?\n"));
        home.elevate(&[typed, "--", "true"]).exits(125);
    }
    assert_eq!(home.events(), before, "nothing of it is in the log");
}

#[test]
fn nothing_hangs_where_the_command_reads_the_terminal() {
    let home = Home::set_up();
    let begun = Instant::now();
    let mut tty = home.at_terminal(&["prod-api", "--", "sh", "-c", "read line; echo \"got $line\""]);
    tty.approve();
    tty.send("hello\n");
    tty.wait_for("got hello");
    tty.end().ok();
    assert!(begun.elapsed() < Duration::from_mins(1));
}

#[test]
fn an_authority_elsewhere_is_found_only_where_it_is_configured() {
    must_not_be_root();
    let home = Home::set_up();
    home.stop_authority();
    let copy = home.beside("bin");
    fs::create_dir(&copy).unwrap();
    let elevate = copy.join("elevate");
    fs::copy(env!("CARGO_BIN_EXE_elevate"), &elevate).unwrap();
    // `elevate-authority` is on PATH, and not beside this `elevate`.
    let alone = finish(spawn(piped(&mut home.program(elevate.to_str().unwrap(), &["list"]))), b"").exits(6);
    assert!(alone.stderr.contains("install elevate-authority beside elevate"), "{alone:?}");
    home.write_config("elevate.toml", &format!("authority_program = \"{AUTHORITY_BIN}\"\n"));
    finish(spawn(piped(&mut home.program(elevate.to_str().unwrap(), &["list"]))), b"").ok();
    home.stop_authority();
    let writable = copy.join("elevate-authority");
    fs::copy(AUTHORITY_BIN, &writable).unwrap();
    fs::set_permissions(&writable, fs::Permissions::from_mode(0o777)).unwrap();
    home.write_config("elevate.toml", &format!("authority_program = \"{}\"\n", writable.display()));
    let refused = home.elevate(&["list"]).exits(11);
    assert!(refused.stderr.contains("others can write it: run chmod go-w on it"), "{refused:?}");
}
