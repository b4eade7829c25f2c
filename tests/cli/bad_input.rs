//! What is typed, written or planted wrong: a clear error, its exit status, and nothing lost.

use super::harness::*;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

// ------------------------------------------------------------------------------------------------------ what is typed

#[test]
fn unknown_resources_come_with_the_nearest_names() {
    let home = Home::set_up();
    let none = "elevate: there is no resource 'prod-ap' for you\n  did you mean prod-api or prod-db?\n";
    home.elevate(&["prod-ap"]).exits(2).complains(&home, none);
    home.elevate(&["token", "prod-ap"]).exits(2).complains(&home, none);
    home.elevate(&["explain", "prod-ap"]).exits(2).complains(&home, none);
    home.elevate(&["wik"])
        .exits(2)
        .complains(&home, "elevate: there is no resource 'wik' for you\n  did you mean wiki?\n");
    home.elevate(&["nothing-like-it"]).exits(2).complains(
        &home,
        "elevate: there is no resource 'nothing-like-it' for you\n  `elevate list` shows what there is\n",
    );
    let error = home.elevate(&["--json", "prod-ap"]).exits(2).error();
    assert_eq!(
        (error["code"].as_str(), error["hint"].as_str()),
        (Some("usage"), Some("did you mean prod-api or prod-db?"))
    );
    home.elevate(&["status", "prod-ap"]).exits(1);
}

#[test]
fn reserved_and_malformed_names_are_refused() {
    let home = Home::set_up();
    let before = home.events();
    for verb in ["list", "login", "doctor", "shell", "help", "run"] {
        let refused = home.elevate(&["token", verb]).exits(2);
        assert!(refused.stderr.contains("is a verb of elevate and can't name a resource"), "{refused:?}");
    }
    let long = "a".repeat(65);
    for name in ["", "Prod", "../etc", "a//b", "-", "a b", "a/", ".a", "é", "a\u{0661}", &long] {
        let refused = home.elevate(&["token", name]).exits(2);
        assert!(refused.stderr.contains("can't name a resource") || name == "-", "{refused:?}");
    }
    // A verb that is planned and not built is no resource, and nobody is asked about it.
    for verb in ["login", "shell", "version"] {
        home.elevate(&[verb]).exits(2);
    }
    assert_eq!(home.events(), before);
}

#[test]
fn absurd_times_are_refused() {
    let home = Home::set_up();
    for ttl in
        ["0", "0s", "-5m", "31d", "5x", "", "m", "1.5h", "99999999999999999999d", "18446744073709551615d", "1h 30m"]
    {
        for option in ["--ttl", "--min-ttl"] {
            let typed = format!("{option}={ttl}");
            let refused = home.elevate(&["token", &typed, "wiki"]).exits(2);
            assert!(refused.stderr.starts_with("elevate: "), "{refused:?}");
            home.elevate(&[&typed, "wiki", "--", "true"]).exits(125);
        }
    }
    assert_eq!(home.issued("wiki"), 0);
    let most = home.elevate(&["--json", "--ttl", "30d", "wiki"]).ok().json();
    let seconds = |field: &str| most["grant"][field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(seconds("expires_at") - seconds("issued_at"), 300, "policy and resource bound it");
}

#[test]
fn a_scope_that_the_resource_has_not_is_refused() {
    let home = Home::set_up();
    let refused = home.elevate(&["--scope", "admin", "wiki"]);
    assert!(matches!(refused.status, Some(2 | 3)) && refused.stderr.contains("admin"), "{refused:?}");
    home.elevate(&["--scope", "\"quoted\"", "wiki"]).exits(2);
    assert_eq!(home.issued("wiki"), 0);
}

#[test]
fn texts_that_are_too_long_are_refused() {
    let home = Home::set_up();
    let long = "x".repeat(100_000);
    let refused = home.elevate(&["--reason", &long, "wiki"]).exits(2);
    assert!(refused.stderr.len() < 1000, "{}", refused.stderr.len());
    home.elevate(&["--scope", &long, "wiki"]).exits(2);
    assert_eq!(home.issued("wiki"), 0);
}

#[test]
fn wrong_options_are_exit_2_and_125_with_a_command() {
    let home = Home::set_up();
    for words in
        [&["--bogus"][..], &[], &["token"], &["run", "wiki"], &["--ttl"], &["key"], &["admin"], &["status", "a", "b"]]
    {
        let refused = home.elevate(words).exits(2);
        assert!(refused.stderr.starts_with("elevate: "), "{refused:?}");
        assert_eq!(home.elevate(&[&["--json"], words].concat()).exits(2).error()["code"], "usage");
    }
    home.elevate(&["--bogus", "wiki", "--", "true"]).exits(125);
    home.elevate(&["--ttl", "5m", "token", "wiki"]).exits(2);
}

#[test]
fn garbage_and_ten_megabytes_are_answered_and_do_no_harm() {
    let home = Home::set_up();
    let body = home.beside("body");
    let (socket, file) = (home.socket().display().to_string(), format!("@{}", body.display()));
    let issuer = fs::read_to_string(home.data().join("device/authorities/embedded/authority.json")).unwrap();
    let instance = issuer.split("https://localhost/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for (content, paths) in
        [(vec![b'x'; 10 << 20], ["/token", "/operations/secret.set"]), (vec![0xff; 1000], ["/token", "/revoke"])]
    {
        fs::write(&body, content).unwrap();
        for path in paths {
            let url = format!("http://localhost/{instance}{path}");
            let words = [
                "-sS",
                "--max-time",
                "30",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "--unix-socket",
                &socket,
                "--data-binary",
                &file,
                &url,
            ];
            let answer = finish(spawn(piped(&mut home.program("curl", &words))), b"");
            assert!(answer.stdout.starts_with('4') || answer.status == Some(55), "{path}: {answer:?}");
        }
    }
    home.elevate(&["wiki"]).ok();
}

// ------------------------------------------------------------------------------------------------------ broken files

#[test]
fn a_broken_authority_toml_is_named_with_its_line() {
    let home = Home::set_up();
    let table = [
        ("allow_software_keys = maybe\n", 1),
        ("allow_software_keys = true\n\nsurprise = 1\n", 3),
        ("[resource.a]\nkind = \"jwt\"\naudience = \"x\"\nsensitivity = \"extreme\"\n", 4),
        ("\n[resource.\"Bad Name\"]\nkind = \"secret\"\nsensitivity = \"low\"\n", 2),
        ("[resource.authority]\nkind = \"secret\"\nsensitivity = \"low\"\n", 1),
        ("idle_exit = \"never\"\n", 1),
        ("discovery_listen = \"0.0.0.0:80\"\n", 1),
    ];
    for (text, line) in table {
        home.stop_authority();
        home.write_config("authority.toml", text);
        let refused = home.elevate(&["list"]).exits(6);
        let place = format!("elevate: the authority does not start: ~/.config/elevate/authority.toml:{line}: ");
        assert!(home.plain(&refused.stderr).starts_with(&place), "{text}: {refused:?}");
    }
}

#[test]
fn a_running_authority_keeps_the_files_that_were_good() {
    let home = Home::set_up();
    for (name, broken) in
        [("authority.toml", "oops\n"), ("policy.cedar", "permit (principal, action, resource) when { oops };\n")]
    {
        let good = fs::read_to_string(home.config().join(name)).unwrap();
        home.write_config(name, broken);
        let explained = home.elevate(&["explain", "wiki"]).ok();
        let warning = format!(
            "  warning  the files on disk are broken, so older rules are in force: ~/.config/elevate/{name}:1: "
        );
        assert!(home.plain(&explained.stdout).contains(&warning), "{explained:?}");
        let json = home.elevate(&["--json", "explain", "wiki"]).ok().json();
        assert!(json["stale_rules"].as_str().unwrap().contains(name), "{json}");
        home.elevate(&["token", "-k", "wiki"]).ok();
        assert!(home.events().iter().any(|(event, _)| event == "rules.refused"), "it is in the log");
        home.write_config(name, &good);
        let explained = home.elevate(&["explain", "wiki"]).ok();
        assert!(!explained.stdout.contains("warning"), "{explained:?}");
    }
}

#[test]
fn a_broken_policy_is_named_with_its_line() {
    let home = Home::set_up();
    home.stop_authority();
    home.write_config(
        "policy.cedar",
        "// a comment\npermit (principal, action, resource)\nwhen { resource.nothing };\n",
    );
    let refused = home.elevate(&["list"]).exits(6);
    assert!(home.plain(&refused.stderr).contains("~/.config/elevate/policy.cedar:3: "), "{refused:?}");
    home.write_config("policy.cedar", "permit (principal, action\n");
    let refused = home.elevate(&["list"]).exits(6);
    assert!(home.plain(&refused.stderr).contains("~/.config/elevate/policy.cedar:"), "{refused:?}");
}

#[test]
fn a_broken_elevate_toml_is_named_with_its_line() {
    let home = Home::set_up();
    for (text, place) in [
        ("keyring = 5\n", ":1: "),
        ("\nsurprise = true\n", ":2: "),
        ("[resource.tv]\nfil = \"X\"\n", ":2: "),
        ("[resource.tv]\nfile = \"LD_PRELOAD\"\n", ": 'LD_PRELOAD' of resource tv can't name a variable"),
        ("[resource.tv]\nvariable = \"A=B\"\n", ": 'A=B' of resource tv can't name a variable"),
        ("authority_program = \"elevate-authority\"\n", ": authority_program must be an absolute path"),
    ] {
        home.write_config("elevate.toml", text);
        let refused = home.elevate(&["status"]).exits(11);
        let start = format!("elevate: ~/.config/elevate/elevate.toml{place}");
        assert!(home.plain(&refused.stderr).starts_with(&start), "{text}: {refused:?}");
    }
    home.write_config("elevate.toml", "keyring = \"cloud\"\n");
    let refused = home.elevate(&["status"]);
    assert!(
        refused.stderr.contains("'cloud' is no keyring: write auto, kernel, secret-service or file"),
        "{refused:?}"
    );
    home.write_config("elevate.toml", "");
    home.elevate(&["status"]).ok();
}

// -------------------------------------------------------------------------------------------- who else could have written

#[test]
fn what_others_could_write_is_not_used() {
    must_not_be_root();
    let home = Home::set_up();
    let data = home.data();
    let others_write = "others can write it: run chmod go-w on it";
    let others_enter = "others can enter it: run chmod 700 on it";
    for (path, loose, tight, status, why) in [
        (home.config().join("authority.toml"), 0o602, 0o600, 6, others_write),
        (home.config().join("policy.cedar"), 0o620, 0o600, 6, others_write),
        (home.config().join("schema.cedarschema"), 0o666, 0o600, 6, others_write),
        (home.config(), 0o777, 0o700, 6, others_write),
        (data.join("authority"), 0o777, 0o700, 11, others_enter),
        (home.runtime.join("elevate"), 0o711, 0o700, 11, others_enter),
        (data.join("device/authorities/embedded/authority.json"), 0o666, 0o600, 11, others_write),
    ] {
        home.stop_authority();
        chmod(&path, loose);
        let refused = home.elevate(&["list"]).exits(status);
        let named = home.plain(&path.to_string_lossy());
        let seen = home.plain(&refused.stderr);
        assert!(seen.contains(why) && seen.contains(&named), "{named}: {refused:?}");
        chmod(&path, tight);
        home.elevate(&["list"]).ok();
    }
    home.write_config("elevate.toml", "");
    chmod(&home.config().join("elevate.toml"), 0o666);
    let refused = home.elevate(&["status"]).exits(11);
    assert!(refused.stderr.contains(others_write), "{refused:?}");
}

#[test]
fn a_running_authority_does_not_take_up_files_that_others_could_write() {
    must_not_be_root();
    let home = Home::set_up();
    let path = home.config().join("policy.cedar");
    fs::write(&path, "@id(\"open\")\npermit (principal, action, resource);\n").unwrap();
    chmod(&path, 0o666);
    let explained = home.elevate(&["explain", "prod-api"]).ok();
    assert!(explained.stdout.starts_with("prod-api: takes a touch"), "{explained:?}");
    assert!(explained.stdout.contains("others can write it"), "{explained:?}");
}

#[test]
fn a_directory_or_lock_planted_by_another_user_is_not_used() {
    must_not_be_root();
    let home = Home::set_up();
    home.stop_authority();
    let run = home.runtime.join("elevate");
    fs::remove_dir_all(&run).unwrap();
    chmod(&home.runtime, 0o777);
    as_other_user(&format!("mkdir -m 777 {}", run.display()));
    let refused = home.elevate(&["list"]).exits(11);
    assert!(refused.stderr.contains("it belongs to uid "), "{refused:?}");
    as_other_user(&format!("rmdir {}", run.display()));

    fs::create_dir(&run).unwrap();
    chmod(&run, 0o777);
    as_other_user(&format!("touch {0}/start.lock && chmod 666 {0}/start.lock", run.display()));
    chmod(&run, 0o700);
    let refused = home.elevate(&["list"]).exits(11);
    assert!(refused.stderr.contains("start.lock can't be used: it belongs to uid "), "{refused:?}");
    fs::remove_file(run.join("start.lock")).unwrap();
    symlink(home.beside("elsewhere"), run.join("start.lock")).unwrap();
    home.elevate(&["list"]).exits(11);
    assert!(!home.beside("elsewhere").exists(), "the link was not followed");
    fs::remove_file(run.join("start.lock")).unwrap();
    home.elevate(&["list"]).ok();
}

#[test]
fn a_socket_answered_by_another_user_is_not_spoken_to() {
    must_not_be_root();
    let home = Home::set_up();
    home.stop_authority();
    let run = home.runtime.join("elevate");
    chmod(&home.runtime, 0o755);
    chmod(&run, 0o777);
    let script = format!(
        "import os, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.bind('{0}')\nos.chmod('{0}', 0o666)\ns.listen()\n\
         print('listening', flush=True)\nsys.stdin.read()\n",
        home.socket().display()
    );
    let mut command = std::process::Command::new("sudo");
    let mut planted = spawn(piped(command.args(["-n", "-u", &other_user(), "/usr/bin/python3", "-c", &script])));
    let mut said = [0; 10];
    std::io::Read::read_exact(planted.stdout.as_mut().unwrap(), &mut said).unwrap();
    chmod(&run, 0o700);
    let refused = home.elevate(&["list"]).exits(6);
    assert!(refused.stderr.contains("is answered by uid ") && refused.stderr.contains(", not by you"), "{refused:?}");
    assert!(refused.stderr.contains("find out who put it there"), "{refused:?}");
    home.elevate(&["token", "wiki"]).exits(6);
    finish(planted, b"");
    // Nobody answers any more: it is replaced.
    home.elevate(&["list"]).ok();
}

#[test]
fn a_runtime_directory_of_somebody_else_is_not_used() {
    must_not_be_root();
    let mut home = Home::set_up();
    home.stop_authority();
    home.set("XDG_RUNTIME_DIR", "/usr");
    home.elevate(&["wiki"]).ok();
    assert!(home.data().join("run/authority.sock").exists());
}

#[test]
fn without_a_runtime_directory_it_works_in_the_data_directory() {
    let mut home = Home::set_up();
    home.stop_authority();
    for value in [None, Some(""), Some("relative/path"), Some("/nonexistent")] {
        match value {
            None => home.unset("XDG_RUNTIME_DIR"),
            Some(value) => home.set("XDG_RUNTIME_DIR", value),
        }
        home.elevate(&["wiki"]).ok();
        home.elevate(&["list"]).ok();
        assert!(home.data().join("run/authority.sock").exists());
    }
    assert_eq!(mode(&home.data().join("run")), 0o700);
}

#[test]
fn a_socket_path_that_is_too_long_says_what_to_set() {
    let mut home = Home::set_up();
    home.stop_authority();
    let deep = home.beside(&"d".repeat(100));
    fs::create_dir(&deep).unwrap();
    chmod(&deep, 0o700);
    home.set("XDG_RUNTIME_DIR", deep.to_str().unwrap());
    let refused = home.elevate(&["list"]).exits(6);
    assert!(refused.stderr.contains("set XDG_RUNTIME_DIR to a shorter one"), "{refused:?}");
}

#[test]
fn without_home_the_xdg_directories_do_and_a_home_that_cannot_be_written_is_said() {
    must_not_be_root();
    let mut home = Home::set_up();
    let (config, data) = (home.config(), home.data());
    home.set("XDG_CONFIG_HOME", config.parent().unwrap().to_str().unwrap());
    home.set("XDG_DATA_HOME", data.parent().unwrap().to_str().unwrap());
    home.unset("HOME");
    home.elevate(&["wiki"]).ok();
    home.elevate(&["status", "wiki"]).ok();

    let mut other = Home::empty();
    other.set("HOME", "/proc");
    let refused = other.elevate(&["init"]).exits(11);
    assert!(refused.stderr.contains("/proc/.config/elevate can't be used"), "{refused:?}");
    other.elevate(&["list"]).exits(6);
}

#[test]
fn a_read_only_home_is_said_and_nothing_is_half_made() {
    must_not_be_root();
    let home = Home::empty();
    chmod(&home.path, 0o500);
    let refused = home.elevate(&["init"]).exits(11);
    assert!(home.plain(&refused.stderr).starts_with("elevate: ~/.config/elevate can't be used: "), "{refused:?}");
    home.elevate(&["status"]).ok().says(&home, "no grants\n");
    home.elevate(&["list"]).exits(6);
    chmod(&home.path, 0o700);
    assert_eq!(fs::read_dir(&home.path).unwrap().count(), 0);
    home.found(CATALOGUE);
    let device = home.data().join("device");
    chmod(&device, 0o500);
    let refused = home.elevate(&["token", "wiki"]);
    assert!(refused.status == Some(11) && refused.stdout.is_empty(), "no receipt, no token: {refused:?}");
    chmod(&device, 0o700);
    home.elevate(&["token", "wiki"]).ok();
}

// -------------------------------------------------------------------------------------------------------------- store

#[test]
fn a_corrupt_database_lets_nobody_in_and_is_left_as_it_is() {
    let home = Home::set_up();
    home.elevate(&["wiki"]).ok();
    home.elevate(&["drop"]).ok();
    home.stop_authority();
    let database = home.data().join("authority/authority.db");
    let whole = fs::read(&database).unwrap();
    let garbage = vec![0xa5; whole.len()];
    let half = [&whole[..4096], &vec![0xa5; whole.len() - 4096]].concat();
    for damaged in [garbage, half] {
        fs::write(&database, &damaged).unwrap();
        for words in [&["wiki"][..], &["token", "wiki"], &["prod-api"], &["key", "list"]] {
            let refused = home.elevate(words);
            assert!(matches!(refused.status, Some(6 | 11)), "{words:?}: {refused:?}");
            assert!(refused.stdout.is_empty() && refused.stderr.starts_with("elevate: "), "{refused:?}");
        }
        home.stop_authority();
        assert!(fs::read(&database).unwrap().len() >= damaged.len(), "what is damaged is kept");
        for name in ["authority.db-wal", "authority.db-shm"] {
            let _ = fs::remove_file(home.data().join("authority").join(name));
        }
    }
    fs::write(&database, whole).unwrap();
    home.elevate(&["wiki"]).ok();
    home.elevate(&["audit", "verify"]).ok();
}

#[test]
fn a_locked_database_is_said_in_time_and_works_when_it_is_free() {
    let home = Home::set_up();
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\nc.execute('begin exclusive')\n\
                  print('locked', flush=True)\nsys.stdin.read()\n";
    let database = home.data().join("authority/authority.db").display().to_string();
    let mut holder = spawn(piped(&mut home.program("python3", &["-c", script, &database])));
    let mut said = [0; 7];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
    let begun = Instant::now();
    let refused = home.elevate(&["token", "wiki"]).exits(11);
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_eq!(refused.stdout, "");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    home.elevate(&["token", "wiki"]).ok();
    home.elevate(&["audit", "verify"]).ok();
}

#[test]
fn a_full_disk_issues_nothing_and_loses_nothing() {
    let home = Home::set_up();
    home.stop_authority();
    // The authority inherits a limit for files: the log's next write does not fit. The signal would kill, so it is off.
    home.sh("trap '' XFSZ; ulimit -f 600; exec elevate list").ok();
    let refused = (0..200).map(|_| home.elevate(&["token", "-k", "wiki"])).find(|ended| ended.status != Some(0));
    let refused = refused.expect("the limit is never reached").exits(11);
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains("nobody gets in") || refused.stderr.contains("disk"), "{refused:?}");
    // What did not fit is dropped whole, and may make room for what comes next.
    let next = home.elevate(&["token", "-k", "wiki"]);
    assert_eq!(
        (next.status == Some(0), next.stdout.is_empty()),
        (next.status != Some(11), next.status == Some(11)),
        "{next:?}"
    );
    home.stop_authority();
    home.elevate(&["token", "-k", "wiki"]).ok();
    home.elevate(&["audit", "verify"]).ok();
}

#[test]
fn a_file_of_ours_that_is_garbage_is_named() {
    let home = Home::set_up();
    let known = home.data().join("device/authorities/embedded/authority.json");
    let whole = fs::read(&known).unwrap();
    fs::write(&known, "not JSON").unwrap();
    let refused = home.elevate(&["list"]).exits(11);
    assert!(
        refused.stderr.contains("authority.json can't be read\n  remove it to trust the authority anew"),
        "{refused:?}"
    );
    fs::write(&known, &whole).unwrap();

    let checkpoint = home.data().join("device/authorities/embedded/checkpoint");
    fs::OpenOptions::new().append(true).open(&checkpoint).unwrap().write_all(b"x\n").unwrap();
    let refused = home.elevate(&["wiki"]).exits(1);
    assert!(
        home.plain(&refused.stderr).contains("~/.local/share/elevate/device/authorities/embedded/checkpoint"),
        "{refused:?}"
    );
    fs::remove_file(&checkpoint).unwrap();
    home.elevate(&["wiki"]).ok();
}

#[test]
fn another_authority_than_the_one_known_is_not_believed() {
    let home = Home::set_up();
    home.stop_authority();
    fs::remove_dir_all(home.data().join("authority")).unwrap();
    let refused = home.elevate(&["token", "wiki"]);
    assert!(refused.status != Some(0) && refused.stdout.is_empty(), "{refused:?}");
}

// ---------------------------------------------------------------------------------------------------------- the clock

#[test]
fn a_clock_an_hour_off_is_named_and_nobody_gets_in() {
    let home = Home::set_up();
    home.elevate(&["wiki"]).ok();
    for (offset, said) in [("+1h", "1h ahead of"), ("-1h", "1h behind")] {
        let off = |words: &str| home.sh(&format!("exec faketime -f {offset} elevate {words}"));
        let refused = off("token wiki").exits(11);
        assert_eq!(refused.stdout, "");
        assert!(refused.stderr.contains(&format!("the clock of this machine is {said}")), "{refused:?}");
        assert!(refused.stderr.contains("timedatectl"), "{refused:?}");
        // A grant that is over by this clock, or not begun, is not shown as held.
        off("status wiki").exits(1);
        let doctor = off("doctor").exits(1);
        assert!(doctor.stdout.contains(&format!("clock: it is {said}")), "{doctor:?}");
    }
    home.elevate(&["wiki"]).ok();
}
