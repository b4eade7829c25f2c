//! `--renew`: a token that stays good as long as the command runs.

use super::super::harness::*;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use tempfile::TempDir;

/// Waits for another token in the file.
const NEXT: &str = r#"next() { while [ "$(cat "$F")" = "$1" ]; do sleep 0.05; done; cat "$F"; }; a=$(cat "$F"); "#;

/// A home whose runtime directory is in memory, as after a login.
fn home() -> (Home, TempDir) {
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::set_permissions(memory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut home = Home::empty();
    home.set("XDG_RUNTIME_DIR", memory.path().to_str().unwrap());
    memory.path().clone_into(&mut home.runtime);
    home.found(CATALOGUE);
    home.write_config(
        "elevate.toml",
        "[resource.wiki]\nfile = \"F\"\n[resource.prod-api]\nfile = \"F\"\n[resource.tv]\nfile = \"F\"\n",
    );
    (home, memory)
}

/// What runs have there.
fn runs(home: &Home) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.runtime.join("elevate")).unwrap().flatten();
    entries.map(|it| it.path()).filter(|it| it.file_name().unwrap().to_string_lossy().starts_with("run-")).collect()
}

#[test]
fn the_file_is_renewed_and_gone_at_the_end() {
    let (home, _memory) = home();
    let script = format!(
        "{NEXT} stat -c '%a %F' \"$F\" \"$(dirname \"$F\")\"; env | grep -c ELEVATE_TOKEN; echo $a; b=$(next $a); echo $b; next $b; exit 7"
    );
    let ended = home.elevate(&["-k", "--renew", "--ttl", "6s", "wiki", "--", "sh", "-c", &script]).exits(7);
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(lines[..3], ["600 regular file", "700 directory", "0"], "{ended:?}");
    let tokens = &lines[3..];
    assert!(tokens.len() == 3 && tokens[0] != tokens[1] && tokens[1] != tokens[2], "{ended:?}");
    assert!(home.is_active(tokens[2]), "the last one is good");
    assert_eq!(ended.stderr, "", "that it works is not said");
    assert!(runs(&home).is_empty());
}

#[test]
fn with_once_the_tokens_end_with_the_command_however_it_ends() {
    let (home, _memory) = home();
    for end in ["exit 0", "kill -9 $$", "kill -TERM $$"] {
        let script = format!("{NEXT} echo $a; next $a; {end}");
        let ended = home.elevate(&["--once", "--renew", "--ttl", "8s", "wiki", "--", "sh", "-c", &script]);
        let tokens: Vec<_> = ended.stdout.lines().collect();
        assert_eq!(tokens.len(), 2, "{ended:?}");
        assert!(!home.is_active(tokens[0]) && !home.is_active(tokens[1]), "{end}: {ended:?}");
        assert!(runs(&home).is_empty(), "{end}");
    }
    home.elevate(&["status", "wiki"]).exits(1);
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_and_what_runs_is_not() {
    let (home, _memory) = home();
    let start = || {
        let before = runs(&home).len();
        let child = spawn(piped(&mut home.command(&["--renew", "wiki", "--", "sh", "-c", "echo $$; exec sleep 656"])));
        wait_until("it runs", || {
            runs(&home).len() > before && runs(&home).iter().all(|run| run.join("token").exists())
        });
        child
    };
    let (mut killed, running) = (start(), start());
    assert_eq!(runs(&home).len(), 2);
    signal(i32::try_from(killed.id()).unwrap(), Signal::KILL);
    killed.wait().unwrap();
    assert_eq!(runs(&home).len(), 2, "nobody was there to remove it");
    home.elevate(&["--renew", "wiki", "--", "true"]).ok();
    assert_eq!(runs(&home).len(), 1, "that of the one that runs");
    signal(i32::try_from(running.id()).unwrap(), Signal::TERM);
    assert_eq!(finish(running, b"").signal, Some(15));
    assert!(runs(&home).is_empty());
    for orphan in processes(|words| words == ["sleep", "656"]) {
        signal(orphan, Signal::KILL);
    }
}

#[test]
fn where_it_takes_a_touch_that_is_said_once_and_one_got_elsewhere_is_taken() {
    let (home, _memory) = home();
    let script = format!("{NEXT} echo ready; next $a >/dev/null; echo 'another one'; sleep 2");
    let mut tty = home.at_terminal(&["--renew", "--ttl", "30s", "prod-api", "--", "sh", "-c", &script]);
    tty.approve();
    tty.wait_for("ready");
    tty.wait_for(", and renewing it takes a touch\r\n  run `elevate -v prod-api` in another terminal\r\n");
    home.approve(&["-v", "prod-api"]).ok();
    tty.wait_for("another one");
    let ended = tty.end().ok();
    assert_eq!(ended.tty.matches("elevate: prod-api").count(), 1, "{}", ended.tty);
    assert!(runs(&home).is_empty());
}

#[test]
fn an_authority_that_is_away_is_said_once_and_asked_again() {
    let (home, _memory) = home();
    let authority_toml = home.config().join("authority.toml");
    let script = format!("{NEXT} echo ready; next $a >/dev/null; echo 'another one'");
    let mut tty = home.at_terminal(&["-k", "--renew", "--ttl", "40s", "wiki", "--", "sh", "-c", &script]);
    tty.wait_for("ready");
    home.stop_authority();
    fs::rename(&authority_toml, home.beside("aside")).unwrap();
    tty.wait_for("and can't be renewed: ");
    fs::rename(home.beside("aside"), &authority_toml).unwrap();
    tty.wait_for("another one");
    let ended = tty.end().ok();
    assert_eq!(ended.tty.matches("elevate: wiki").count(), 1, "{}", ended.tty);
}

#[test]
fn what_cannot_be_renewed_is_refused_before_the_command_starts() {
    let (home, _memory) = home();
    home.put_secret("tv", "channel 4").ok();
    home.elevate(&["--renew", "tv", "--", "echo", "ran"]).exits(125).complains(
        &home,
        "elevate: tv is a secret, which is the same after its grant is renewed\n  leave --renew out\n",
    );
    home.elevate(&["run", "--renew", "vault", "--", "echo", "ran"]).exits(125).complains(
        &home,
        "elevate: vault is handed over in a variable, which can't be renewed\n  \
         write in elevate.toml: [resource.vault] and below it file = \"VARIABLE\"\n",
    );
    let on_disk = Home::set_up();
    on_disk.write_config("elevate.toml", "[resource.wiki]\nfile = \"F\"\n");
    on_disk.elevate(&["--renew", "wiki", "--", "echo", "ran"]).exits(125).complains(
        &on_disk,
        "elevate: --renew keeps the token in a file, and $XDG_RUNTIME_DIR/elevate is on a disk\n  \
         set XDG_RUNTIME_DIR to a directory of yours in memory, as a login does: /run/user/UID\n",
    );
    assert_eq!(on_disk.issued("wiki"), 0);
    home.elevate(&["--renew", "wiki", "--", "no-such-command"]).exits(127);
    assert!(runs(&home).is_empty());
}
