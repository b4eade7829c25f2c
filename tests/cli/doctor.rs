//! `elevate doctor`: what it says about a home that is well, and about one that is not. Which security keys are plugged in
//! is the machine's own affair: those lines are left out here, and held by the verb's own tests.

use super::harness::*;
use elevate::client::security_key::plugged_in::{UDEV_RULE, UDEV_RULE_FILE};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// Its lines but those of security keys, and without the details of what is well.
fn lines(home: &Home, ended: &Ended) -> String {
    let mut lines = String::new();
    let mut left_out = false;
    for line in home.plain(&ended.stdout).split_inclusive('\n') {
        let detail = line.starts_with("        ");
        left_out = line.contains("security key: ") || (left_out && detail) || (detail && well_before(&lines));
        if !left_out {
            lines.push_str(line);
        }
    }
    let kernel = rustix::system::uname();
    lines.replace(&*kernel.release().to_string_lossy(), "KERNEL").replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

/// Whether what was said last is well.
fn well_before(lines: &str) -> bool {
    lines.lines().rev().find(|line| !line.starts_with("        ")).is_some_and(|line| line.starts_with("ok "))
}

/// With `--json`: each check's verdict, but those of security keys.
fn verdicts(ended: &Ended) -> BTreeMap<String, bool> {
    let report = ended.json();
    assert_eq!(fields(&report), ["checks", "version"]);
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["check"] != "security key");
    let verdict = |check: &serde_json::Value| {
        assert!(
            matches!(fields(check)[..], ["check", "ok", "says"] | ["check", "hint" | "details", "ok", "says"]),
            "{check}"
        );
        (check["check"].as_str().unwrap().to_owned(), check["ok"].as_bool().unwrap())
    };
    checks.map(verdict).collect()
}

fn wrong(ended: &Ended) -> Vec<String> {
    verdicts(ended).into_iter().filter(|(_, ok)| !ok).map(|(check, _)| check).collect()
}

/// Everything below a home, with its content.
fn state(home: &Home) -> Vec<u8> {
    [bytes_below(&home.path), bytes_below(&home.runtime)].concat()
}

const GOOD: &str = "ok  settings: there is no elevate.toml, and there need not be one
ok  directories: none but you can enter them
ok  rules: authority.toml, policy.cedar and schema.cedarschema are good
ok  authority: it runs and answers
ok  clock: it is SKEW the authority's
ok  enrolled keys: one, and on this device is laptop
ok  keyring: grants are kept in the kernel keyring
ok  versions: both programs are VERSION, protocol 1, on Linux KERNEL
ok  terminal: you can be asked here
";

#[test]
fn a_home_that_is_well() {
    let home = Home::set_up();
    let said = home.prompting(&["doctor"]).end();
    let shown = lines(&home, &said);
    let skew = shown.split_once("clock: it is ").unwrap().1.split_once(" the authority's").unwrap().0;
    similar(&shown.replace(skew, "SKEW"), GOOD);
    let details = home.plain(&said.stdout);
    for detail in [
        "        keyring = auto (default)\n",
        ", in ~/.config/elevate/policy.cedar\n",
        "        resources: 5, digest ID\n",
        "        https://localhost/",
        ", trusted since TIME\n",
    ] {
        assert!(details.contains(detail), "{detail:?}: {details}");
    }
    assert_eq!((said.stderr.as_str(), said.tty.as_str()), ("", ""), "nobody is asked");
    let longest = said.stdout.lines().map(str::len).max();
    assert!(longest <= Some(80), "{said:?}");

    let json = home.prompting(&["doctor", "--json"]).end();
    assert_eq!(wrong(&json), Vec::<String>::new());
    assert_eq!(verdicts(&json).len(), 9);
}

#[test]
fn the_exit_status_says_whether_anything_is_wrong() {
    let home = Home::set_up();
    let well = home.prompting(&["doctor"]).end();
    let plugged_in_badly = well.stdout.lines().any(|line| line.starts_with("not ok  security key"));
    well.exits(i32::from(plugged_in_badly));
    let without_terminal = home.elevate(&["doctor"]).exits(1);
    assert!(
        lines(&home, &without_terminal).ends_with(
            "not ok  terminal: this runs in the foreground of none: you can't be asked
        elevate in a terminal first: the grant is then kept for a while
"
        ),
        "{without_terminal:?}"
    );
    assert_eq!(wrong(&home.elevate(&["doctor", "--json"]).exits(1)), ["terminal"]);
}

#[test]
fn before_init_it_says_to_run_it_and_changes_nothing() {
    let home = Home::empty();
    let said = home.elevate(&["doctor"]).exits(1);
    similar(
        &lines(&home, &said),
        "ok  settings: there is no elevate.toml, and there need not be one
ok  directories: none but you can enter them
not ok  authority: there is no authority on this machine yet
        run `elevate init` to set one up
ok  keyring: grants are kept in the kernel keyring
ok  versions: both programs are VERSION, protocol 1, on Linux KERNEL
not ok  terminal: this runs in the foreground of none: you can't be asked
        elevate in a terminal first: the grant is then kept for a while
",
    );
    assert_eq!(state(&home), b"");
    assert!(!home.config().exists() && !home.data().exists() && !home.runtime.join("elevate").exists());
}

#[test]
fn an_authority_that_does_not_run_is_not_started() {
    let home = Home::set_up();
    home.stop_authority();
    let before = state(&home);
    let said = home.elevate(&["doctor"]).exits(1);
    assert!(
        lines(&home, &said).contains("ok  authority: it does not run now, and starts when it is needed\n"),
        "{said:?}"
    );
    assert!(!said.stdout.contains("enrolled keys"), "nobody can be asked for them: {said:?}");
    assert_eq!(home.authorities(), [] as [i32; 0]);
    assert!(state(&home) == before, "something was changed");
}

#[test]
fn broken_files_are_named_each_by_its_own_check() {
    let home = Home::set_up();
    home.write_config("elevate.toml", "keyring = \"kernel\"\nfoo = 1\n");
    home.write_config("policy.cedar", "permit (\n");
    let said = home.elevate(&["doctor"]).exits(1);
    let said = lines(&home, &said);
    assert!(said.contains("not ok  settings: ~/.config/elevate/elevate.toml:2: "), "{said}");
    assert!(said.contains("not ok  rules: ") && said.contains("policy.cedar"), "{said}");
    assert!(said.contains("\n        a running authority keeps to its last good rules\n"), "{said}");
    assert!(said.contains("ok  authority: it runs and answers\n"), "{said}");
    assert_eq!(wrong(&home.elevate(&["doctor", "--json"]).exits(1)), ["rules", "settings", "terminal"]);
}

#[test]
fn a_directory_that_others_can_enter_is_named() {
    let home = Home::set_up();
    fs::set_permissions(home.data().join("device"), fs::Permissions::from_mode(0o755)).unwrap();
    let said = home.elevate(&["doctor"]).exits(1);
    let expected =
        "not ok  directories: ~/.local/share/elevate/device can't be used: others can enter it: run chmod 700";
    assert!(lines(&home, &said).contains(expected), "{said:?}");
    fs::set_permissions(home.data().join("device"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn where_the_kernel_keyring_is_forbidden_it_says_so() {
    let mut home = Home::set_up();
    let said = home.without_keyctl(&["doctor"]).exits(1);
    assert!(
        said.stdout.contains("not ok  keyring: there is no keyring here: the kernel keyring is forbidden"),
        "{said:?}"
    );
    home.set("ELEVATE_KEYRING", "wallet");
    assert_eq!(wrong(&home.elevate(&["doctor", "--json"]).exits(1)), ["keyring", "terminal"]);
}

#[test]
fn keys_that_are_elsewhere_are_no_use_here() {
    let home = Home::set_up();
    fs::remove_dir_all(home.data().join("device/software-keys")).unwrap();
    let said = home.elevate(&["doctor"]).exits(1);
    let expected = "not ok  enrolled keys: one, and none is at hand\n        plug yours in, or enrol another\n";
    assert!(lines(&home, &said).contains(expected), "{said:?}");
}

#[test]
fn over_ssh_it_says_where_a_key_must_be() {
    let mut home = Home::empty();
    assert!(!verdicts(&home.elevate(&["doctor", "--json"]).exits(1)).contains_key("ssh"));
    home.set("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22");
    let said = home.elevate(&["doctor"]).exits(1);
    let expected = "ok  ssh: keys must be plugged in at this side: you are here over SSH\n";
    assert!(lines(&home, &said).contains(expected), "{said:?}");
}

#[test]
fn the_udev_rule_alone_is_printed_for_tee() {
    let home = Home::empty();
    let printed = home.sh("elevate doctor --udev-rule | tee \"$HOME/rules\"").ok();
    assert_eq!((printed.stdout.as_str(), printed.stderr.as_str()), (UDEV_RULE, ""));
    assert_eq!(fs::read_to_string(home.path.join("rules")).unwrap(), UDEV_RULE);
    let json = home.elevate(&["--json", "doctor", "--udev-rule"]).ok().json();
    assert_eq!(fields(&json), ["file", "rule", "version"]);
    assert_eq!((&json["file"], &json["rule"]), (&UDEV_RULE_FILE.into(), &UDEV_RULE.into()));
}

#[test]
fn each_setting_is_shown_with_where_it_comes_from() {
    let mut home = Home::set_up();
    home.write_config("elevate.toml", "# mine\nkeyring = \"kernel\"\n");
    let said = home.elevate(&["doctor"]).exits(1);
    assert!(said.stdout.contains("\n        keyring = kernel (elevate.toml line 2)\n"), "{said:?}");
    home.set("ELEVATE_KEYRING", "auto");
    let said = home.elevate(&["doctor"]).exits(1);
    assert!(said.stdout.contains("\n        keyring = auto (ELEVATE_KEYRING)\n"), "{said:?}");
}

#[test]
fn an_authority_that_hangs_does_not_hang_it() {
    let home = Home::set_up();
    let pid = home.authority();
    signal(pid, rustix::process::Signal::STOP);
    wait_until("it is stopped", || state_of(pid) == 'T');
    let said = home.elevate(&["doctor"]).exits(1);
    signal(pid, rustix::process::Signal::CONT);
    assert!(said.stdout.contains("not ok  authority: the authority did not answer within 5 seconds"), "{said:?}");
    assert!(said.stdout.contains("ok      versions: "), "the others are said: {said:?}");
}
