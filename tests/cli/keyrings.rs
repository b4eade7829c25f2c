//! Where grants are kept: each keyring for real, and what happens where there is none.

use super::harness::*;
use std::fs;

/// The name of a grant's key in the kernel's user keyring.
fn description(home: &Home, resource: &str) -> String {
    let known = fs::read_to_string(home.data().join("device/authorities/embedded/authority.json")).unwrap();
    let known: elevate::client::trust::KnownAuthority = serde_json::from_str(&known).unwrap();
    format!("elevate:{}:{resource}", known.id())
}

fn kernel_has(home: &Home, resource: &str) -> bool {
    home.sh(&format!("keyctl search @u user '{}'", description(home, resource))).status == Some(0)
}

const BLINK: &str = "
[resource.blink]
kind = \"jwt\"
audience = \"https://blink.test.invalid\"
sensitivity = \"low\"
max_ttl = \"2s\"
";

// ------------------------------------------------------------------------------------------------------------- kernel

#[test]
fn the_kernel_keyring_is_the_default_and_forgets_by_itself() {
    let home = Home::with(&format!("{CATALOGUE}{BLINK}"));
    home.elevate(&["wiki"]).ok();
    home.elevate(&["blink"]).ok();
    assert!(kernel_has(&home, "wiki") && kernel_has(&home, "blink"));
    let status = home.elevate(&["--json", "status", "wiki"]).ok().json();
    assert_eq!(status["grants"][0]["keyring"], "kernel keyring");
    // Nobody looks at it by elevate: the kernel ends it.
    wait_until("the kernel removes it", || !kernel_has(&home, "blink"));
    assert!(kernel_has(&home, "wiki"));
    home.elevate(&["status", "blink"]).exits(1);
    home.elevate(&["drop"]).ok();
    assert!(!kernel_has(&home, "wiki"));
}

#[test]
fn forbidden_by_seccomp_the_credential_is_still_delivered() {
    let home = Home::set_up();
    home.elevate(&["list"]).ok();
    let token = home.without_keyctl(&["token", "wiki"]).ok();
    assert_eq!(token.stdout.matches('.').count(), 2, "{token:?}");
    assert_eq!(token.stderr.lines().count(), 1, "one line: {token:?}");
    let start = "elevate: the grant is not kept: there is no keyring here: the kernel keyring is forbidden to this process (EPERM)";
    assert!(token.stderr.starts_with(start), "{token:?}");
    assert_ne!(home.without_keyctl(&["token", "wiki"]).ok().stdout, token.stdout, "nothing was kept");
    home.without_keyctl(&["wiki", "--", "printenv", "ELEVATE_TOKEN"]).ok();
    home.without_keyctl(&["env", "wiki"]).ok();
    home.without_keyctl(&["list"]).ok();

    let bare = home.without_keyctl(&["wiki"]).exits(9);
    assert!(bare.stderr.contains("the kernel keyring is forbidden to this process (EPERM)"), "{bare:?}");
    assert_eq!(home.without_keyctl(&["--json", "wiki"]).exits(9).error()["code"], "no_keyring");
    assert_eq!(home.issued("wiki"), 4, "the bare one asked for nothing");
}

#[test]
fn over_quota_the_credential_is_still_delivered() {
    let home = Home::alone();
    home.found(CATALOGUE);
    home.elevate(&["list"]).ok();
    let fill = r#"
        i=0
        for size in 1000 100 1; do
            while head -c $size /dev/zero | keyctl padd user "elevate-test-fill-$$-$i" @u >/dev/null 2>"$0.err"; do
                i=$((i + 1)); [ $i -lt 300 ] || break
            done
        done
        grep -q 'quota' "$0.err" && echo full"#;
    let err = home.beside("fill");
    let fill = || finish(spawn(piped(&mut home.program("sh", &["-c", fill, err.to_str().unwrap()]))), b"");
    let mut filled = fill();
    let mut token = home.elevate(&["token", "wiki"]);
    // The kernel gives back what expired minutes ago, in other tests, whenever it likes: then there is room once more.
    for _ in 0..10 {
        if token.stderr.is_empty() {
            home.elevate(&["drop", "wiki"]).ok();
            filled = fill();
            token = home.elevate(&["token", "wiki"]);
        }
    }
    let bare = home.elevate(&["wiki"]);
    // Whatever was seen, other tests need the room.
    let emptied = home.sh(r#"for key in $(keyctl rlist @u); do
               case $(keyctl rdescribe "$key" 2>/dev/null) in *elevate-test-fill-*) keyctl invalidate "$key";; esac
           done"#);
    assert_eq!(filled.stdout, "full\n", "{filled:?}");
    let token = token.ok();
    assert_eq!(token.stdout.matches('.').count(), 2);
    assert!(token.stderr.contains("does not fit into this user's quota of kernel keys"), "{token:?}");
    assert_eq!(token.stderr.lines().count(), 1, "one line: {token:?}");
    bare.exits(9);
    emptied.ok();
    wait_until("there is room again", || home.elevate(&["wiki"]).status == Some(0));
}

// ----------------------------------------------------------------------------------------------------- Secret Service

/// Runs a script in a desktop session of its own, whose keyring is unlocked.
pub fn in_desktop_session(home: &Home, script: &str) -> Ended {
    let script = format!(
        "printf pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1 || exit 90
        # Until it answers, the bus would start another one, which is locked.
        until dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
            string:org.freedesktop.secrets 2>/dev/null | grep -q 'boolean true'; do sleep 0.05; done
        {script}"
    );
    let mut session = home.program("dbus-run-session", &["--", "sh", "-c", &script]);
    finish(spawn(piped(&mut session)), b"")
}

#[test]
fn the_secret_service_keeps_a_grant_until_it_is_dropped() {
    let mut home = Home::alone();
    home.found(CATALOGUE);
    home.set("ELEVATE_KEYRING", "secret-service");
    let script = r"
        elevate wiki && elevate --json status && elevate token wiki && elevate token wiki
        secret-tool search --all service elevate 2>/dev/null | grep -c '^label = elevate: grant for wiki$'
        elevate drop wiki
        secret-tool search --all service elevate 2>/dev/null | wc -l
        elevate status";
    let done = in_desktop_session(&home, script).ok();
    assert_eq!(home.plain(&done.stderr), "elevate: wiki granted, LEFT left, in the Secret Service\n");
    let lines: Vec<_> = done.stdout.lines().collect();
    assert!(lines[0].contains(r#""keyring":"Secret Service""#), "{done:?}");
    assert!(lines[1].starts_with("ey") && lines[1] == lines[2], "kept and read back: {done:?}");
    assert_eq!(lines[3..], ["1", "wiki dropped and revoked", "0", "no grants"], "{done:?}");
    assert!(!kernel_has(&home, "wiki"), "and nowhere else");
    assert_eq!(home.issued("wiki"), 1);
}

#[test]
fn a_grant_in_the_secret_service_is_removed_when_it_expires() {
    let mut home = Home::alone();
    home.found(&format!("{CATALOGUE}{BLINK}"));
    home.set("ELEVATE_KEYRING", "secret-service");
    let script = r"
        elevate blink || exit 91
        tries=0
        while secret-tool search --all service elevate 2>/dev/null | grep -q 'grant for blink'; do
            tries=$((tries + 1)); [ $tries -lt 300 ] || exit 92; sleep 0.1
        done
        echo gone";
    let done = in_desktop_session(&home, script).ok();
    assert_eq!(done.stdout, "gone\n", "nobody but the reaper looked: {done:?}");
}

#[test]
fn without_the_secret_service_only_what_is_to_be_kept_fails() {
    let mut home = Home::set_up();
    home.set("ELEVATE_KEYRING", "secret-service");
    home.elevate(&["wiki"]).exits(9).complains(
        &home,
        "elevate: there is no Secret Service here: there is no session bus
  choose another keyring with ELEVATE_KEYRING (kernel, secret-service or file), or go on without: grants are then not kept
",
    );
    let token = home.elevate(&["token", "wiki"]).ok();
    token
        .complains(&home, "elevate: the grant is not kept: there is no Secret Service here: there is no session bus\n");
    assert_eq!(token.stdout.matches('.').count(), 2);
    home.elevate(&["wiki", "--", "true"]).ok();
    home.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    home.elevate(&["wiki"]).exits(9);
    home.elevate(&["token", "wiki"]).ok();
    home.set("ELEVATE_KEYRING", "cloud");
    let refused = home.elevate(&["status"]).exits(2);
    assert!(
        refused.stderr.contains("'cloud' is no keyring: write auto, kernel, secret-service or file"),
        "{refused:?}"
    );
}

#[test]
fn where_seccomp_forbids_the_kernel_keyring_the_desktops_is_used_and_that_is_said() {
    let home = Home::alone();
    home.found(CATALOGUE);
    home.elevate(&["list"]).ok();
    let filter = home.seccomp_script();
    let done =
        in_desktop_session(&home, &format!("python3 {0} elevate wiki && python3 {0} elevate status", filter.display()))
            .ok();
    let note = "elevate: using the Secret Service: the kernel keyring is forbidden to this process (EPERM)\n";
    assert_eq!(
        home.plain(&done.stderr),
        format!("{note}elevate: wiki granted, LEFT left, in the Secret Service\n{note}")
    );
    assert!(done.stdout.contains("Secret Service"), "{done:?}");
}

// --------------------------------------------------------------------------------------------------------------- file

const ASKED: &str = "Passphrase of elevate's encrypted grants";

fn with_passphrase(home: &Home, words: &[&str], passphrase: &str) -> Ended {
    let mut tty = home.prompting_script(r#"stty echo; exec elevate "$@" >"$0/stdout" 2>"$0/stderr""#, words);
    tty.wait_for(ASKED);
    wait_until("the echo is off", || !tty.echoes());
    tty.send(&format!("{passphrase}\n"));
    tty.end()
}

#[test]
fn the_encrypted_file_takes_a_passphrase_and_holds_nothing_in_the_clear() {
    let mut home = Home::alone();
    home.found(CATALOGUE);
    home.set("ELEVATE_KEYRING", "file");
    let kept = with_passphrase(&home, &["wiki"], "correct horse").ok();
    kept.complains(&home, "elevate: wiki granted, LEFT left, in the encrypted file\n");
    assert!(!kept.tty.contains("horse"), "{}", kept.tty);
    let token = with_passphrase(&home, &["token", "wiki"], "correct horse").ok().stdout;
    assert_eq!(token.matches('.').count(), 2);
    assert_eq!(home.issued("wiki"), 1, "it was read back");
    let grants = bytes_below(&home.data().join("device/grants"));
    for part in token.trim().split('.').chain(["access_token", "wiki", "correct horse"]) {
        assert!(!contains(&grants, part), "{part} is in the file");
    }
    for word in ["correct horse", token.trim()] {
        assert!(!contains(&bytes_below(&home.path), word), "{word} is on the disk");
    }

    let wrong = with_passphrase(&home, &["status"], "wrong horse").exits(9);
    wrong.complains(
        &home,
        "elevate: that is not the passphrase of the encrypted file
  type the passphrase the file was made with; if it is lost, 'elevate -K' removes the file's grants
",
    );
    assert!(with_passphrase(&home, &["status"], "correct horse").ok().stdout.contains("encrypted file"));
    home.elevate(&["status"]).exits(9);
    let undelivered = home.elevate(&["-n", "token", "-k", "wiki"]).ok();
    assert_eq!(undelivered.stdout.matches('.').count(), 2, "without a passphrase it is delivered, and not kept");
    // Without the passphrase they can still be removed, as the hint says; which ones to revoke nobody knows.
    home.elevate(&["-K"]).exits(9).complains(
        &home,
        "elevate: what was kept is gone from this device, but was not revoked: there is no passphrase for the encrypted \
         file: there is no terminal to ask at\n  each grant ends by itself in a while\n",
    );
    let left = fs::read_dir(home.data().join("device/grants"))
        .unwrap()
        .flatten()
        .flat_map(|it| fs::read_dir(it.path()).unwrap());
    assert!(left.flatten().all(|it| it.file_name() == ".lock"));
}
