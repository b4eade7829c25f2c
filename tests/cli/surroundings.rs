//! What it is started in: streams that are full or closed, terminals of one column, texts that are no text, rights and
//! homes of others. Each is said, with its exit status, and harms nothing.

use super::harness::*;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Every verb that prints, and needs nobody.
const PRINTING: [&str; 22] = [
    "token wiki",
    "--json token wiki",
    "env wiki",
    "--json env wiki",
    "--json wiki",
    "list",
    "-l",
    "--json list",
    "status",
    "--json status",
    "key list",
    "explain wiki",
    "audit show",
    "audit verify",
    "admin user list",
    "admin grant list",
    "init",
    "doctor",
    "doctor --udev-rule",
    "drop wiki",
    "--version",
    "token --help",
];

#[test]
fn a_full_and_a_closed_stdout_are_said_by_every_verb_that_prints() {
    let home = Home::set_up();
    for words in PRINTING {
        let full = home.sh(&format!("elevate {words} >/dev/full")).exits(11);
        assert!(full.stderr.contains("stdout can't be written: No space left on device"), "{words}: {full:?}");
        let closed = home.sh(&format!("elevate {words} >&-")).exits(11);
        assert!(closed.stderr.contains("stdout can't be written: it is closed"), "{words}: {closed:?}");
    }
    // Nothing goes to stdout, so nothing is lost.
    home.sh("elevate wiki >&-").ok();
    home.sh("elevate wiki >/dev/full").ok();
    home.sh("elevate wiki -- true >&-").ok();
    home.sh("elevate wiki -- sh -c 'exit 3' >/dev/full").exits(3);
}

#[test]
fn a_full_and_a_closed_stderr_change_no_exit_status() {
    let home = Home::set_up();
    for stderr in ["2>/dev/full", "2>&-", "2>&- <&-"] {
        for (words, status) in
            [("nothing", 2), ("wiki", 0), ("token wiki", 0), ("list", 0), ("-n prod-api", 4), ("--bogus", 2)]
        {
            let ended = home.sh(&format!("elevate {words} {stderr}")).exits(status);
            assert_eq!(ended.stderr, "");
        }
        home.sh(&format!("elevate -n prod-api -- true {stderr}")).exits(125);
        home.sh(&format!("elevate --json --progress=json token wiki {stderr}")).ok();
    }
}

#[test]
fn without_any_terminal_or_stdin_it_says_what_to_do() {
    let home = Home::set_up();
    let nobody = "elevate: this takes a touch of your key, and there is no terminal to ask at\n  \
                  run `elevate prod-api` in a terminal first: the grant is then kept for a while\n";
    for stdin in ["</dev/null", "<&-"] {
        home.sh(&format!("elevate prod-api {stdin}")).exits(4).complains(&home, nobody);
        home.sh(&format!("elevate token wiki {stdin}")).ok();
        let empty = home.sh(&format!("elevate admin secret set tv {stdin}")).exits(2);
        assert_eq!(empty.stderr, "elevate: the secret is empty\n  nothing was changed\n");
    }
    home.sh("true | elevate prod-api").exits(4).complains(&home, nobody);
    home.sh("true | elevate admin secret set tv").exits(2);
    home.sh("elevate admin secret set tv </").exits(11);
}

#[test]
fn a_terminal_of_one_column_and_one_row() {
    let home = Home::set_up();
    for words in ["list", "status", "doctor", "key list", "audit show", "explain wiki", "--help"] {
        let ended = home.sh_in_window(1, 1, &format!("elevate {words}; echo ended $?")).end().ok();
        assert!(ended.tty.contains("ended 0") || (words == "doctor" && ended.tty.contains("ended 1")), "{ended:?}");
        assert!(!ended.tty.contains("panicked"), "{ended:?}");
    }
    for (columns, rows) in [(1, 1), (0, 0), (2, 1), (65535, 65535)] {
        let script = "elevate list && elevate token -k prod-api >/dev/null";
        let mut tty = home.sh_in_window(columns, rows, script);
        tty.approve();
        tty.end().ok();
    }
}

#[test]
fn a_terminal_of_no_known_kind_in_a_plain_locale() {
    let mut home = Home::set_up();
    home.unset("TERM");
    home.unset("LANG");
    for locale in [None, Some("C"), Some("POSIX"), Some("xx_YY.nonsense")] {
        if let Some(locale) = locale {
            home.set("LC_ALL", locale);
        }
        let listed = home.elevate(&["list"]).ok();
        assert!(listed.stdout.is_ascii() && listed.stdout.contains("the production API"), "{listed:?}");
        let asked = home.approve(&["token", "-k", "prod-api"]).ok();
        assert!(!asked.tty.contains('\u{1b}'), "{asked:?}");
    }
}

// --------------------------------------------------------------------------------------------------- no text at all

const NO_TEXT: &[u8] = b"a\xffb";

fn no_text(prefix: &str) -> std::ffi::OsString {
    OsStr::from_bytes(&[prefix.as_bytes(), NO_TEXT].concat()).to_owned()
}

#[test]
fn arguments_that_are_no_text() {
    let home = Home::set_up();
    let run = |words: &[&OsStr]| finish(spawn(piped(&mut home.command(words))), b"");
    let (bad, word) = (no_text(""), OsStr::new);
    for words in [
        &[bad.as_os_str()][..],
        &[word("token"), &bad],
        &[word("explain"), &bad],
        &[word("drop"), &bad],
        &[word("--reason"), &bad, word("wiki")],
        &[word("--scope"), &bad, word("wiki")],
        &[&no_text("--ttl="), word("wiki")],
        &[&no_text("--")],
        &[word("wiki"), &bad],
    ] {
        let refused = run(words).exits(2);
        assert!(refused.stderr.starts_with("elevate: ") && refused.stdout.is_empty(), "{words:?}: {refused:?}");
        let json = [&[word("--json")], words].concat();
        assert_eq!(run(&json).exits(2).error()["code"], "usage", "{words:?}");
    }
    run(&[&bad, word("--"), word("true")]).exits(125);
    assert_eq!(home.issued("wiki"), 0);
    // What is the command's is handed to it as it is.
    let printed =
        home.program("elevate", &[word("wiki"), word("--"), word("printf"), word("%s"), &bad]).output().unwrap();
    assert_eq!(printed.stdout, NO_TEXT);
    run(&[word("wiki"), word("--"), &bad]).exits(127);
}

#[test]
fn an_environment_that_is_no_text() {
    let home = Home::set_up();
    let with =
        |name: &str, value: &OsStr, words: &[&str]| finish(spawn(piped(home.command(words).env(name, value))), b"");
    let bad = no_text("");
    let refused = with("ELEVATE_KEYRING", &bad, &["status"]).exits(2);
    assert!(refused.stderr.contains("is no keyring: write auto, kernel, secret-service or file"), "{refused:?}");
    with("ELEVATE_ASKPASS", &bad, &["-A", "status"]).exits(2);
    with("ELEVATE_NON_INTERACTIVE", &bad, &["status"]).exits(2);
    for name in
        ["ELEVATE_LOG", "SSH_CONNECTION", "TERM", "LANG", "LC_ALL", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "FOO"]
    {
        with(name, &bad, &["wiki"]).ok();
        with(name, &bad, &["wiki", "--", "true"]).ok();
    }
    // It is a path like any other.
    let beside = no_text(&format!("{}/", home.path.display()));
    fs::create_dir(&beside).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o700)).unwrap();
    for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
        let ended = with(name, &beside, &["--json", "status"]).ok();
        ended.json();
    }
    let refused = with("HOME", &beside, &["list"]);
    assert!(matches!(refused.status, Some(0 | 6)), "{refused:?}");
}

// ---------------------------------------------------------------------------------------------------- rights of others

#[test]
fn with_the_rights_of_its_file_it_does_nothing() {
    must_not_be_root();
    let home = Home::set_up();
    let shared = home.beside("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    for mode in ["4755", "2755"] {
        let copy = shared.join(mode);
        as_other_user(&format!("cp {} {} && chmod {mode} {1}", env!("CARGO_BIN_EXE_elevate"), copy.display()));
        let copy = copy.display().to_string();
        for (words, status) in [(&["list"][..], 11), (&["--help"], 11), (&["wiki", "--", "true"], 125)] {
            let refused = finish(spawn(piped(&mut home.program(&copy, words))), b"").exits(status);
            assert_eq!(
                (refused.stdout.as_str(), refused.stderr.as_str()),
                (
                    "",
                    "elevate: elevate is installed with setuid or setgid, and does nothing so\n  \
                     take them away with chmod u-s,g-s: it needs no rights but yours\n"
                ),
            );
        }
        as_other_user(&format!("rm {copy}"));
    }
}

#[test]
fn a_home_whose_file_system_has_no_locks_is_said() {
    let home = Home::set_up();
    let script = home.script_without("flock").display().to_string();
    let run = |words: &[&str]| {
        let mut command = home.program("python3", &[&[script.as_str(), "elevate"], words].concat());
        finish(spawn(piped(&mut command)), b"")
    };
    let no_locks = "can't be used: its file system has no locks, as some network file systems: keep it on a local disk \
                    (No locks available (os error 37))";
    // What needs no lock works.
    run(&["list"]).ok();
    run(&["status"]).ok();
    let refused = run(&["token", "wiki"]).exits(11);
    assert!(refused.stderr.contains(no_locks) && refused.stderr.contains("device/flights/"), "{refused:?}");
    assert!(refused.stdout.is_empty());
    home.stop_authority();
    let refused = run(&["list"]).exits(11);
    assert!(refused.stderr.contains("start.lock ") && refused.stderr.contains(no_locks), "{refused:?}");
    assert_eq!(home.issued("wiki"), 0);
}

#[test]
fn a_home_that_is_a_file_or_another_users() {
    must_not_be_root();
    let mut home = Home::empty();
    let file = home.beside("file");
    fs::write(&file, "").unwrap();
    home.set("HOME", file.to_str().unwrap());
    let refused = home.elevate(&["init"]).exits(11);
    assert!(refused.stderr.contains("can't be used: Not a directory"), "{refused:?}");
    let theirs = Path::new("/root");
    home.set("HOME", theirs.to_str().unwrap());
    let refused = home.elevate(&["init"]).exits(11);
    assert!(
        refused.stderr.contains("/root/.config/elevate") && refused.stderr.contains("Permission denied"),
        "{refused:?}"
    );
}
