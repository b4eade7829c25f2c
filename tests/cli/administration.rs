//! Administration with the real programs: what is asked before a change, what a person is told of their keys, and the way
//! back for an administrator who lost the key.

use super::harness::*;
use std::fs;
use std::path::Path;

fn me() -> String {
    format!("uid:{}", rustix::process::getuid().as_raw())
}

/// Another device of the same account, at the same authority, with a copy of its software keys.
fn other_device(home: &Home) -> Home {
    let mut other = home.guest();
    other.set("ELEVATE_AUTHORITY", &format!("unix:{}", home.socket().display()));
    other.write_config("elevate.toml", "");
    copy(&home.data().join("device/software-keys"), &other.data().join("device/software-keys"));
    other
}

fn copy(from: &Path, to: &Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn a_key_that_another_device_enrolled_or_removed_is_told_once() {
    let home = Home::set_up();
    let quiet = |ended: Ended| assert_eq!(ended.ok().stderr, "", "what this device did is no news to it");
    quiet(home.approve(&["-k", "prod-api", "--", "true"]));
    let other = other_device(&home);
    quiet(other.approve(&["-k", "prod-api", "--", "true"]));
    quiet(other.approve(&["key", "enroll", "--software", "spare"]));
    quiet(other.approve(&["-k", "prod-api", "--", "true"]));

    // A program hears nothing of it, and the person still does.
    home.approve(&["--json", "token", "-k", "prod-api"]).ok();
    let told = home.approve(&["-k", "prod-api", "--", "true"]).ok().stderr;
    assert!(
        told.starts_with("elevate: a security key was enrolled for you since this device last asked: 'spare', at "),
        "{told}"
    );
    assert!(told.contains("`elevate key remove spare`") && told.lines().count() == 1, "{told}");
    quiet(home.approve(&["-k", "prod-api", "--", "true"]));
    assert_eq!(home.elevate(&["key", "list"]).ok().stderr, "");

    quiet(other.approve(&["key", "remove", "spare"]));
    let told = home.elevate(&["-q", "key", "list"]).ok().stderr;
    assert!(
        told.starts_with("elevate: your security key 'spare' was removed since this device last asked; if "),
        "{told}"
    );
    assert_eq!(home.elevate(&["key", "list"]).ok().stderr, "");
    quiet(home.approve(&["-k", "prod-api", "--", "true"]));
}

#[test]
fn an_operation_says_what_it_does_before_it_is_approved() {
    let home = Home::set_up();
    let rotated = home.approve(&["admin", "signing-key", "rotate"]).ok();
    assert!(rotated.tty.contains("  to       sign tokens with a new key\n"), "{}", rotated.tty);
    let disabled = home.approve(&["admin", "user", "enable", &me()]).ok();
    assert!(disabled.tty.contains(&format!("  to       let {} in again\n", me())), "{}", disabled.tty);
    // Nothing is kept of an operation.
    let no = home.elevate(&["-n", "admin", "signing-key", "rotate"]).exits(4);
    assert!(no.stderr.ends_with("\n  run it without -n\n"), "{no:?}");
    let no = home.elevate(&["-n", "prod-api"]).exits(4);
    assert!(no.stderr.contains("the grant is then kept for a while"), "{no:?}");
    home.elevate(&["admin", "session", "list"]).ok().says(&home, "nobody is signed in\n");
    home.elevate(&["admin", "session", "end", "x"])
        .exits(1)
        .complains(&home, "elevate: there is no sign-in 'x'\n  `elevate admin session list` shows which there are\n");
    assert!(home.elevate(&["admin", "key", "list", &me()]).ok().stdout.contains("laptop"));
    home.elevate(&["admin", "key", "remove", &me(), "none"]).exits(1);
    home.elevate(&["admin", "key", "list", "uid:4242"]).exits(1).complains(&home, "elevate: there is no such user\n");
    let own = home.approve(&["admin", "key", "remove", &me(), "laptop"]).exits(1);
    assert!(own.stderr.contains("this key is yours: `elevate key remove` removes it"), "{own:?}");
    assert!(own.stderr.contains("it is the only key of"), "{own:?}");
    assert!(own.tty.contains(&format!("remove the security key 'laptop' of {}", me())), "{}", own.tty);
}

#[test]
fn a_resource_is_declared_shown_edited_and_taken_out() {
    let home = Home::set_up();
    let file = home.beside("new.toml");
    fs::write(&file, "kind = \"jwt\"\naudience = \"https://new.example\"\nsensitivity = \"low\"\nmax_ttl = \"2m\"\n")
        .unwrap();
    let path = file.display().to_string();
    let set = home.approve(&["admin", "resource", "set", "new", &path]).ok();
    set.says(&home, "new is declared\n");
    assert!(set.tty.contains("declare the resource new as") && set.tty.contains("https://new.example"), "{}", set.tty);
    home.elevate(&["token", "new"]).ok();
    assert!(home.elevate(&["list"]).ok().stdout.contains("new"));

    // What is shown can be set again.
    let shown = home.elevate(&["admin", "resource", "show", "new"]).ok().stdout;
    fs::write(&file, shown.replace("low", "critical")).unwrap();
    home.approve(&["admin", "resource", "set", "new", &path]).ok();
    home.elevate(&["-n", "token", "-k", "new"]).exits(4);
    assert!(home.elevate(&["admin", "resource", "list"]).ok().stdout.contains("authority.toml"));
    let declared = home.elevate(&["admin", "resource", "show", "prod-api"]).ok().stdout;
    assert!(declared.starts_with("# prod-api, declared in authority.toml\n"), "{declared}");
    home.elevate(&["admin", "resource", "show", "none"]).exits(1);

    fs::write(&file, "{\"kind\": \"secret\", \"sensitivity\": \"low\"}").unwrap();
    home.approve(&["admin", "resource", "set", "new", &path]).ok();
    home.approve(&["admin", "resource", "remove", "new"]).ok().says(&home, "new is removed\n");
    home.elevate(&["token", "-k", "new"]).exits(2);
    for (text, says) in [("kind = ", "this declares no resource"), ("", "it is empty"), ("x", "declares no resource")] {
        fs::write(&file, text).unwrap();
        let no = home.elevate(&["admin", "resource", "set", "new", &path]).exits(2);
        assert!(no.stderr.contains(says), "{text}: {no:?}");
    }
    home.elevate(&["admin", "resource", "set", "new", "/nowhere"]).exits(2);
    fs::write(&file, "kind = \"secret\"\nsensitivity = \"low\"\n").unwrap();
    let taken = home.approve(&["admin", "resource", "set", "wiki", &path]).exits(1);
    assert!(taken.stderr.contains("the file wins"), "{taken:?}");
    let events: Vec<_> =
        home.events().into_iter().map(|(event, _)| event).filter(|it| it.starts_with("resource.")).collect();
    assert_eq!(events, ["resource.set", "resource.set", "resource.set", "resource.removed"]);
}

#[test]
fn the_log_shows_which_grant_was_revoked() {
    let home = Home::set_up();
    let grant = home.elevate(&["--json", "wiki"]).ok().json()["grant"]["grant_id"].as_str().unwrap().to_owned();
    home.approve(&["admin", "grant", "revoke", &grant]).ok();
    let shown = home.elevate(&["audit", "show", "--last", "1"]).ok().stdout;
    assert!(shown.contains("grant.revoked") && shown.contains(&grant), "{shown}");
    home.elevate(&["wiki"]).ok();
    home.elevate(&["drop", "wiki"]).ok();
    let shown = home.elevate(&["audit", "show", "--last", "1"]).ok().stdout;
    let what = shown.lines().last().unwrap().split_whitespace().last().unwrap().to_owned();
    assert!(shown.contains("grant.revoked") && what.len() == 22, "{shown}");
}

fn recover(home: &Home, words: &[&str]) -> Ended {
    let (data, config) = (home.data().join("authority").display().to_string(), home.config().display().to_string());
    let words = [&["recover", "--data", &data, "--config", &config], words].concat();
    finish(spawn(piped(&mut home.program(AUTHORITY_BIN, &words))), b"")
}

#[test]
fn an_administrator_who_lost_the_key_is_recovered_on_the_machine_and_loudly() {
    let home = Home::set_up();
    home.approve(&["prod-api"]).ok();
    let token = home.elevate(&["token", "prod-api"]).ok().stdout;
    let authority = home.authority();
    // Only administrators, only with a word for it.
    let no = recover(&home, &["--yes", "uid:4242"]).exits(11);
    assert!(no.stderr.contains("has never asked this authority"), "{no:?}");
    let no = recover(&home, &[&me()]).exits(1);
    assert!(no.stderr.contains("The security keys of ") && no.stderr.contains("laptop"), "{no:?}");
    assert!(no.stderr.contains("nothing was changed"), "{no:?}");
    assert!(home.elevate(&["key", "list"]).ok().stdout.contains("laptop"));

    // While it runs.
    let done = recover(&home, &["--yes", &me()]).ok();
    let answer: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(answer["recovered"], me());
    assert!(done.stderr.contains("ERROR") && done.stderr.contains("without anybody's proof"), "{done:?}");
    assert!(!home.is_active(token.trim()), "what they held is over");
    let told = patiently(DEADLINE, || {
        let told = home.elevate(&["key", "list"]).ok();
        told.stderr.contains("on the authority's machine itself").then_some(told)
    });
    told.unwrap_or_else(|| panic!("nobody is told"));
    assert_eq!(home.elevate(&["key", "list"]).ok().stderr, "", "it is told once");
    assert_eq!(home.authority(), authority, "it ran all the time");
    let shown = home.elevate(&["audit", "show"]).ok().stdout;
    assert!(shown.contains("admin.recovered") && shown.contains(&me()), "{shown}");
    home.approve(&["key", "enroll", "--software", "new"]).ok();
    home.approve(&["-k", "prod-api", "--", "true"]).ok();
    home.elevate(&["audit", "verify"]).ok();

    // And while it does not.
    home.stop_authority();
    let mut tty = home.sh_at_terminal(&format!(
        "elevate-authority recover --data {} --config {} {}",
        home.data().join("authority").display(),
        home.config().display(),
        me()
    ));
    tty.wait_for("Type 'recover' to go on: ");
    tty.send("recover\n");
    assert_eq!(tty.end().status, Some(0));
    assert!(home.elevate(&["key", "list"]).ok().stdout.contains("no keys"));
    let no = recover(&home, &["--yes", &me()]).exits(11);
    assert!(no.stderr.contains("has no security key"), "{no:?}");
    home.elevate(&["audit", "verify"]).ok();
    // Somebody who does not administer has an administrator.
    let config = fs::read_to_string(home.config().join("authority.toml")).unwrap();
    home.write_config("authority.toml", &format!("admins = [\"uid:4242\"]\n{config}"));
    let no = recover(&home, &["--yes", &me()]).exits(11);
    assert!(no.stderr.contains("does not administer"), "{no:?}");
}
