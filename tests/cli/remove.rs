//! `elevate init --remove`: what goes, what stays, and what is refused before anything is touched.

use super::harness::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// Nothing of elevate is left.
#[track_caller]
fn gone(home: &Home) {
    for path in [home.config(), home.data(), home.runtime.join("elevate")] {
        assert!(fs::symlink_metadata(&path).is_err(), "{} is still there", path.display());
    }
    assert_eq!(home.authorities(), [] as [i32; 0]);
}

#[track_caller]
fn untouched(home: &Home) {
    assert!(home.config().join("authority.toml").exists());
    assert!(home.data().join("authority/authority.db").exists());
    home.elevate(&["status", "wiki", "-q"]).ok();
}

#[test]
fn everything_is_listed_and_a_typed_yes_removes_it() {
    let home = Home::set_up();
    home.elevate(&["wiki"]).ok();
    for answer in ["no\n", "y\n", "\n", "YES\n", "\u{4}"] {
        let mut tty = home.prompting(&["init", "--remove"]);
        tty.wait_for("Type yes to go on: ");
        tty.send(answer);
        tty.end().exits(1).complains(&home, "elevate: nothing was changed\n  only `yes` in full deletes\n");
        untouched(&home);
    }
    let mut tty = home.prompting(&["init", "--remove"]);
    tty.wait_for("Type yes to go on: ");
    tty.send("yes\n");
    let done = tty.end().ok();
    similar(
        &home.plain(&format!("{}\n", done.tty.trim_end_matches(['y', 'e', 's', '\n']))),
        "
elevate: delete all of this, and revoke the grants that are held?
  ~/.config/elevate/authority.toml
  ~/.config/elevate/policy.cedar
  ~/.config/elevate/schema.cedarschema
  ~/.local/share/elevate/authority
    the authority: users, keys, secrets, the log
  ~/.local/share/elevate/device
    what this device remembers, and its software keys
  $XDG_RUNTIME_DIR/elevate
    locks and the socket
Nothing brings it back. Type yes to go on:
",
    );
    done.says(
        &home,
        "removed a grant in the kernel keyring
removed ~/.config/elevate/authority.toml
removed ~/.config/elevate/policy.cedar
removed ~/.config/elevate/schema.cedarschema
removed ~/.local/share/elevate/authority
removed ~/.local/share/elevate/device
removed $XDG_RUNTIME_DIR/elevate
removed ~/.config/elevate
removed ~/.local/share/elevate
",
    );
    gone(&home);
    home.elevate(&["init", "--remove", "--yes"]).ok().says(&home, "there is nothing to remove\n");
    // What is set up anew is another authority, and works.
    home.found(CATALOGUE);
    home.elevate(&["status", "wiki", "-q"]).exits(1);
    home.elevate(&["wiki"]).ok();
}

#[test]
fn ctrl_c_at_the_question_removes_nothing() {
    let home = Home::set_up();
    home.elevate(&["wiki"]).ok();
    let mut tty = home.prompting(&["init", "--remove"]);
    tty.wait_for("Type yes to go on: ");
    tty.send("\u{3}");
    assert_eq!(tty.end().signal, Some(2));
    untouched(&home);
}

#[test]
fn unattended_it_takes_yes_on_the_command_line() {
    let home = Home::set_up();
    home.elevate(&["wiki"]).ok();
    assert_eq!(home.elevate(&["--json", "init", "--remove"]).exits(4).error()["code"], "interaction_required");
    assert_eq!(home.approve(&["-n", "init", "--remove"]).exits(4).tty, "");
    home.elevate(&["init", "--yes"]).exits(2);
    home.elevate(&["init", "--remove", "--software-key", "x"]).exits(2);
    untouched(&home);
    // The grant is revoked before the authority goes.
    let done = home.elevate(&["--json", "-n", "init", "--remove", "--yes"]).ok();
    let said = done.json();
    assert_eq!(fields(&said), ["kept", "left", "removed", "version"]);
    assert_eq!(
        (said["removed"].as_array().unwrap().len(), &said["kept"], &said["left"]),
        (9, &[0; 0].into(), &[0; 0].into())
    );
    assert_eq!(done.stderr, "");
    gone(&home);
}

#[test]
fn a_broken_configuration_and_an_authority_that_does_not_run_are_removed_as_well() {
    let home = Home::set_up();
    home.stop_authority();
    home.write_config("elevate.toml", "nonsense");
    home.elevate(&["init", "--remove", "--yes"]).ok();
    gone(&home);
}

#[test]
fn what_somebody_else_put_there_is_kept_and_named() {
    let home = Home::set_up();
    home.write_config("notes.txt", "mine");
    fs::write(home.data().join("backup.tar"), "mine").unwrap();
    let done = home.elevate(&["init", "--remove", "--yes"]).ok();
    let said = home.plain(&done.stdout);
    assert!(said.contains("kept ~/.config/elevate/notes.txt, which is not elevate's\n"), "{said}");
    assert!(said.contains("kept ~/.local/share/elevate/backup.tar, which is not elevate's\n"), "{said}");
    assert_eq!(fs::read_dir(home.config()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(home.data()).unwrap().count(), 1);
}

#[test]
fn a_directory_that_is_a_link_is_refused_and_nothing_is_deleted() {
    let home = Home::set_up();
    home.elevate(&["wiki"]).ok();
    let elsewhere = home.beside("elsewhere");
    let device = home.data().join("device");
    fs::rename(&device, &elsewhere).unwrap();
    symlink(&elsewhere, &device).unwrap();
    let refused = home.elevate(&["init", "--remove", "--yes"]).exits(11);
    assert!(refused.stderr.contains("device can't be used: it is no directory; nothing was deleted"), "{refused:?}");
    fs::remove_file(&device).unwrap();
    fs::rename(&elsewhere, &device).unwrap();
    untouched(&home);
    // A link inside is deleted, and not followed.
    let outside = home.beside("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "x").unwrap();
    symlink(&outside, home.data().join("authority/link")).unwrap();
    home.elevate(&["init", "--remove", "--yes"]).ok();
    assert!(outside.join("precious").exists());
    gone(&home);
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_nothing_is_deleted() {
    let home = Home::set_up();
    home.elevate(&["wiki"]).ok();
    let run = home.runtime.join("elevate");
    let aside = home.beside("aside");
    home.stop_authority();
    fs::rename(&run, &aside).unwrap();
    fs::set_permissions(&home.runtime, fs::Permissions::from_mode(0o777)).unwrap();
    as_other_user(&format!("mkdir {}", run.display()));
    let refused = home.elevate(&["init", "--remove", "--yes"]).exits(11);
    assert!(refused.stderr.contains("not to you; nothing was deleted"), "{refused:?}");
    as_other_user(&format!("rmdir {}", run.display()));
    fs::set_permissions(&home.runtime, fs::Permissions::from_mode(0o700)).unwrap();
    fs::rename(&aside, &run).unwrap();
    untouched(&home);
}

#[test]
fn what_cannot_be_removed_is_said() {
    must_not_be_root();
    let home = Home::set_up();
    home.elevate(&["list"]).ok();
    let stuck = home.data().join("device/authorities/embedded/receipts");
    fs::create_dir_all(&stuck).unwrap();
    fs::write(stuck.join("x"), "x").unwrap();
    fs::set_permissions(&stuck, fs::Permissions::from_mode(0o500)).unwrap();
    let said = home.elevate(&["init", "--remove", "--yes"]).exits(11);
    assert!(said.stderr.contains("elevate: not all is gone; left is "), "{said:?}");
    assert!(said.stderr.contains("/device: Permission denied"), "{said:?}");
    assert!(said.stdout.contains("/authority\n"), "the rest is gone: {said:?}");
    fs::set_permissions(&stuck, fs::Permissions::from_mode(0o700)).unwrap();
    home.elevate(&["init", "--remove", "--yes"]).ok();
    gone(&home);
}

#[test]
fn an_authority_that_does_not_answer_does_not_keep_it_from_being_removed_when_it_is_gone() {
    let home = Home::set_up();
    home.elevate(&["wiki"]).ok();
    let pid = home.authority();
    signal(pid, rustix::process::Signal::STOP);
    wait_until("it is stopped", || state_of(pid) == 'T');
    let said = home.elevate(&["init", "--remove", "--yes"]).exits(11);
    assert!(said.stderr.contains("the authority does not end, and no file was deleted"), "{said:?}");
    assert!(home.config().join("authority.toml").exists());
    signal(pid, rustix::process::Signal::CONT);
    wait_until("it ends", || home.authorities().is_empty());
    home.elevate(&["init", "--remove", "--yes"]).ok();
    gone(&home);
}
