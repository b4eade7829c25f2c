//! What does not answer: with `-n` each call ends in its time, says which part it was, and has that part's exit status.

use super::harness::*;
use super::keyrings::in_desktop_session;
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::process::Signal;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// `-n` promises ten seconds for any one part; a busy machine gets as much again.
const PROMISED: Duration = Duration::from_secs(20);

/// Runs `elevate -n`: it ends in time.
#[track_caller]
fn hurried(home: &Home, words: &[&str]) -> Ended {
    let begun = Instant::now();
    let ended = home.elevate(&[&["-n"], words].concat());
    assert!(begun.elapsed() < PROMISED, "{words:?} took {:?}: {ended:?}", begun.elapsed());
    ended
}

/// Whoever listens at the authority's socket in its place, and does this with each connection.
fn in_its_place(home: &Home, with_each: fn(&mut UnixStream)) {
    home.stop_authority();
    let listener = UnixListener::bind(home.socket()).unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            with_each(&mut stream);
            kept.push(stream);
        }
    });
}

const NO_ANSWER: &str = "elevate: the authority did not answer within 5 seconds
  it may be busy, or have been stopped: `pgrep -a elevate-authority` shows it
";

#[test]
fn a_socket_that_is_listened_at_and_never_answered() {
    let home = Home::set_up();
    in_its_place(&home, |_| {});
    for words in
        [&["list"][..], &["token", "wiki"], &["wiki"], &["explain", "wiki"], &["key", "list"], &["audit", "verify"]]
    {
        hurried(&home, words).exits(6).complains(&home, NO_ANSWER);
    }
    hurried(&home, &["wiki", "--", "true"]).exits(125).complains(&home, NO_ANSWER);
    let error = hurried(&home, &["--json", "token", "wiki"]).exits(6).error();
    assert_eq!(error["code"], "authority_unreachable");
    let doctor = hurried(&home, &["doctor"]).exits(1);
    assert!(doctor.stdout.contains("authority: the authority did not answer within 5 seconds"), "{doctor:?}");
}

#[test]
fn an_answer_that_stops_in_its_header_or_in_its_body() {
    let home = Home::set_up();
    in_its_place(&home, |stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-ty");
    });
    hurried(&home, &["list"]).exits(6).complains(&home, NO_ANSWER);
    fs::remove_file(home.socket()).unwrap();
    in_its_place(&home, |stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"resources\":[");
    });
    hurried(&home, &["list"]).exits(6).complains(&home, NO_ANSWER);
}

#[test]
fn a_socket_whose_queue_is_full() {
    let home = Home::set_up();
    home.stop_authority();
    let listener = UnixListener::bind(home.socket()).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let mut queue = Vec::new();
    let flags = rustix::net::SocketFlags::NONBLOCK;
    let address = rustix::net::SocketAddrUnix::new(home.socket()).unwrap();
    loop {
        let (family, kind) = (rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM);
        let stream = rustix::net::socket_with(family, kind, flags, None).unwrap();
        if rustix::net::connect(&stream, &address).is_err() {
            break;
        }
        queue.push(stream);
    }
    hurried(&home, &["list"]).exits(6).complains(
        &home,
        "elevate: the authority took no connection within 5 seconds
  it may have been stopped: `pgrep -a elevate-authority` shows it
",
    );
}

#[test]
fn several_grants_are_dropped_from_an_authority_that_stands_still_in_the_time_of_one() {
    let home = Home::set_up();
    home.put_secret("tv", "x").ok();
    home.elevate(&["wiki"]).ok();
    home.elevate(&["tv"]).ok();
    home.approve(&["prod-api"]).ok();
    let pid = home.authority();
    signal(pid, Signal::STOP);
    wait_until("it is stopped", || state_of(pid) == 'T');
    let begun = Instant::now();
    let dropped = home.elevate(&["-n", "drop"]).exits(6);
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}: {dropped:?}", begun.elapsed());
    assert!(dropped.stderr.contains("is gone from this device, but was not revoked"), "{dropped:?}");
    signal(pid, Signal::CONT);
    home.elevate(&["status"]).ok().says(&home, "no grants\n");
}

// ------------------------------------------------------------------------------------------------- a program that hangs

/// An `elevate-authority` that is this script.
fn authority_is(home: &Home, script: &str) {
    home.stop_authority();
    let program = home.beside("authority");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    home.write_config("elevate.toml", &format!("authority_program = \"{}\"\n", program.display()));
}

#[test]
fn an_authority_that_never_gets_ready() {
    let home = Home::set_up();
    let not_ready = "elevate: the authority was not ready within 10 seconds
  ~/.local/share/elevate/authority/authority.log may say why
";
    for script in ["exec sleep 297", "echo '{\"ready\":\"x\"}'; exec sleep 297", "sleep 297 & exit 0"] {
        authority_is(&home, script);
        hurried(&home, &["list"]).exits(6).complains(&home, not_ready);
    }
    authority_is(&home, "yes");
    hurried(&home, &["list"]).exits(6);
    authority_is(&home, "exec sleep 297");
    let doctor = hurried(&home, &["doctor"]).exits(1);
    assert!(doctor.stdout.contains("elevate-authority did not end within 10 seconds"), "{doctor:?}");
    // What the script left in the background is the test's to end: nobody else sleeps for just so long.
    for pid in processes(|words| words == ["sleep", "297"]) {
        signal(pid, Signal::KILL);
    }
}

// ------------------------------------------------------------------------------------------------------------- locks

fn held(path: &Path) -> rustix::fd::OwnedFd {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CREATE | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

#[test]
fn locks_that_somebody_holds() {
    let mut home = Home::set_up();
    let lock = held(&home.data().join("device/authorities/embedded/checkpoint.lock"));
    hurried(&home, &["token", "wiki"]).exits(11).complains(
        &home,
        "elevate: ~/.local/share/elevate/device/authorities/embedded/checkpoint.lock has been locked by another process for 5 s
  an elevate that was stopped may hold it: `pgrep -a elevate` shows which there are
",
    );
    drop(lock);
    hurried(&home, &["token", "wiki"]).ok();

    home.stop_authority();
    let lock = held(&home.runtime.join("elevate/start.lock"));
    hurried(&home, &["list"]).exits(6).complains(
        &home,
        "elevate: another elevate has been starting the authority for 10 seconds
  it may have been stopped: `pgrep -a elevate` shows which there are
",
    );
    drop(lock);

    let lock = held(&home.data().join("authority/authority.lock"));
    let refused = hurried(&home, &["list"]).exits(6);
    assert!(refused.stderr.contains("another elevate-authority is running") || refused.stderr.contains("not ready"));
    drop(lock);
    home.elevate(&["list"]).ok();

    // What waits for a person holds the one lock that is waited for without `-n`.
    let flights = home.data().join("device/flights");
    let lock = held(&fs::read_dir(flights).unwrap().next().unwrap().unwrap().path());
    let refused = hurried(&home, &["token", "-k", "wiki"]).exits(4);
    assert!(
        refused.stderr.contains("another elevate is asking for wiki, and -n forbids to wait for it"),
        "{refused:?}"
    );
    drop(lock);

    home.set("ELEVATE_KEYRING", "file");
    hurried(&home, &["wiki"]).exits(9);
}

#[test]
fn an_elevate_that_was_stopped_holds_up_nobody_with_n() {
    let home = Home::set_up();
    let mut first = home.prompting(&["prod-api"]);
    first.wait_for("Ctrl-C to refuse: ");
    signal(first.pid(), Signal::STOP);
    wait_until("it is stopped", || state_of(first.pid()) == 'T');
    hurried(&home, &["token", "prod-api"]).exits(4);
    hurried(&home, &["prod-api", "--", "true"]).exits(125);
    hurried(&home, &["token", "wiki"]).ok();
    signal(first.pid(), Signal::KILL);
    first.end();
}

// -------------------------------------------------------------------------------------------- what should be a file

fn pipe_at(path: &Path) {
    let _ = fs::remove_file(path);
    rustix::fs::mkfifoat(rustix::fs::CWD, path, Mode::RUSR | Mode::WUSR).unwrap();
}

#[test]
fn a_pipe_in_place_of_a_file() {
    let mut home = Home::set_up();
    home.elevate(&["wiki"]).ok();
    let device = home.data().join("device");
    let flight = fs::read_dir(device.join("flights")).unwrap().next().unwrap().unwrap().path();
    let restored = |path: &Path, run: &dyn Fn()| {
        let before = fs::read(path).ok();
        pipe_at(path);
        run();
        fs::remove_file(path).unwrap();
        if let Some(bytes) = before {
            fs::write(path, bytes).unwrap();
        }
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    };
    let refused = |path: &Path, words: &[&str]| {
        restored(path, &|| {
            let refused = hurried(&home, words).exits(11);
            let line = format!("elevate: {} can't be used: it is no file\n", home.plain(&path.to_string_lossy()));
            assert!(home.plain(&refused.stderr).starts_with(&line), "{refused:?}");
        });
    };
    refused(&home.config().join("elevate.toml"), &["status"]);
    refused(&device.join("authorities/embedded/authority.json"), &["list"]);
    refused(&device.join("authorities/embedded/checkpoint"), &["token", "-k", "wiki"]);
    refused(&device.join("authorities/embedded/checkpoint.lock"), &["token", "-k", "wiki"]);
    refused(&flight, &["token", "-k", "wiki"]);
    // Nothing hangs on a nonce or a receipt.
    restored(&device.join("authorities/embedded/dpop-nonce"), &|| drop(hurried(&home, &["token", "-k", "wiki"]).ok()));

    home.stop_authority();
    refused(&home.runtime.join("elevate/start.lock"), &["list"]);
    restored(&home.data().join("authority/authority.log"), &|| drop(hurried(&home, &["list"]).exits(6)));
    for name in ["authority.toml", "policy.cedar"] {
        home.stop_authority();
        restored(&home.config().join(name), &|| {
            let refused = hurried(&home, &["list"]).exits(6);
            assert!(refused.stderr.contains(name) && refused.stderr.contains("it is no file"), "{refused:?}");
        });
    }
    home.elevate(&["list"]).ok();

    home.set("ELEVATE_KEYRING", "file");
    let grants = device.join("grants");
    let known: elevate::client::trust::KnownAuthority =
        serde_json::from_slice(&fs::read(device.join("authorities/embedded/authority.json")).unwrap()).unwrap();
    let own = grants.join(known.id());
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(&own).unwrap();
    pipe_at(&own.join(".lock"));
    hurried(&home, &["drop", "wiki"]);
    hurried(&home, &["-K"]);
}

#[test]
fn stdin_that_never_ends() {
    let home = Home::set_up();
    let begun = Instant::now();
    let mut command = home.command(&["-n", "admin", "secret", "set", "tv"]);
    let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let stdin = child.stdin.take();
    child.stdin = spawn(std::process::Command::new("true").stdin(Stdio::piped())).stdin.take();
    let ended = finish(child, b"").exits(2);
    drop(stdin);
    assert!(begun.elapsed() < PROMISED, "{:?}", begun.elapsed());
    ended.complains(&home, "elevate: stdin did not end within 10 seconds\n");
    // Who does not read stdin does not wait for it.
    for words in [&["list"][..], &["token", "wiki"], &["status"], &["wiki", "--", "true"]] {
        let mut child = spawn(piped(&mut home.command(words)));
        let stdin = child.stdin.take();
        child.stdin = spawn(std::process::Command::new("true").stdin(Stdio::piped())).stdin.take();
        finish(child, b"").ok();
        drop(stdin);
    }
    let endless = home.sh("yes | elevate -n admin secret set tv").exits(2);
    assert!(endless.stderr.starts_with("elevate: stdin is bigger than 65536 bytes"), "{endless:?}");
}

// ----------------------------------------------------------------------------------------------------------- keyrings

#[test]
fn a_bus_that_does_not_answer() {
    let mut home = Home::set_up();
    home.set("ELEVATE_KEYRING", "secret-service");
    let bus = home.beside("bus");
    let _listener = UnixListener::bind(&bus).unwrap();
    home.set("DBUS_SESSION_BUS_ADDRESS", &format!("unix:path={}", bus.display()));
    let begun = Instant::now();
    hurried(&home, &["wiki"]).exits(9).complains(
        &home,
        "elevate: the Secret Service did not answer within 5 s
  unlock the desktop's keyring if it asks for it, and try again
",
    );
    let token = hurried(&home, &["token", "wiki"]).ok();
    token.complains(&home, "elevate: the grant is not kept: the Secret Service did not answer within 5 s\n");
    assert!(begun.elapsed() < Duration::from_secs(19), "it is asked once a call: {:?}", begun.elapsed());
}

#[test]
fn a_secret_service_that_stands_still_and_one_that_is_locked() {
    let mut home = Home::alone();
    home.found(CATALOGUE);
    home.set("ELEVATE_KEYRING", "secret-service");
    let script = r#"
        elevate wiki || exit 91
        dbus-send --session --print-reply --dest=org.freedesktop.secrets /org/freedesktop/secrets \
            org.freedesktop.Secret.Service.Lock array:objpath:/org/freedesktop/secrets/collection/login >/dev/null || exit 92
        dbus-monitor --session "interface='org.freedesktop.Secret.Service',member='Unlock'" >"$HOME/unlocks" &
        monitor=$!
        until grep -q NameAcquired "$HOME/unlocks"; do sleep 0.05; done
        elevate -n wiki; echo "locked $?"
        dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId >/dev/null
        echo "prompts $(grep -c 'member=Unlock' "$HOME/unlocks")"
        elevate wiki 2>/dev/null
        until grep -q 'member=Unlock' "$HOME/unlocks"; do sleep 0.05; done
        kill $monitor
        pid=$(dbus-send --session --print-reply --dest=org.freedesktop.DBus / \
            org.freedesktop.DBus.GetConnectionUnixProcessID string:org.freedesktop.secrets | sed -n 's/.*uint32 //p')
        kill -STOP "$pid"
        began=$(date +%s)
        elevate -n wiki; echo "stopped $?"
        elevate -n token wiki | wc -l
        echo $(($(date +%s) - began < 30))
        kill -KILL "$pid""#;
    let done = in_desktop_session(&home, script).ok();
    assert_eq!(done.stdout, "locked 9\nprompts 0\nstopped 9\n1\n1\n", "{done:?}");
    assert!(done.stderr.contains("elevate: the Secret Service is locked\n"), "nobody was prompted: {done:?}");
    assert!(done.stderr.contains("elevate: the Secret Service did not answer within 5 s\n"), "{done:?}");
}

#[test]
fn a_passphrase_that_would_have_to_be_typed() {
    let mut home = Home::alone();
    home.found(CATALOGUE);
    home.set("ELEVATE_KEYRING", "file");
    hurried(&home, &["wiki"]).exits(9);
    let forbidden = "there is no passphrase for the encrypted file: it has to be typed, and -n forbids to ask for it";
    let token = hurried(&home, &["token", "wiki"]).ok();
    token.complains(&home, &format!("elevate: the grant is not kept: {forbidden}\n"));
    // At a terminal as well.
    let ended = home.prompting(&["-n", "token", "wiki"]).end().ok();
    assert!(ended.stderr.contains(forbidden) && ended.tty.is_empty(), "{ended:?}");
}
