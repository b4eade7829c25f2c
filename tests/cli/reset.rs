//! `elevate-authority reset`: the way back after losing every key, and what does not come back by it.

use super::harness::*;
use std::fs;
use std::path::Path;

fn data(home: &Home) -> String {
    home.data().join("authority").display().to_string()
}

fn reset(home: &Home, words: &[&str]) -> Ended {
    let data = data(home);
    let words = [&["reset", "--data", &data], words].concat();
    finish(spawn(piped(&mut home.program(AUTHORITY_BIN, &words))), b"")
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_reset_authority_begins_anew_and_keeps_what_was() {
    let home = Home::set_up();
    home.put_secret("prod-db", "hunter2").ok();
    let places = home.data().join("authority");
    // Not under a running authority, and not by accident.
    let no = reset(&home, &["--lose-everything-sealed"]).exits(11);
    assert!(no.stderr.contains("an elevate-authority is running on this data directory: end it first"), "{no:?}");
    home.stop_authority();
    let before = names(&places);
    let no = reset(&home, &[]).exits(1);
    assert!(no.stderr.contains("--lose-everything-sealed"), "{no:?}");
    let mut tty = home.sh_at_terminal(&format!("elevate-authority reset --data {}", places.display()));
    tty.wait_for("Type 'lose everything sealed' to go on: ");
    tty.send("yes\n");
    let refused = tty.end();
    assert_eq!(refused.status, Some(1), "{refused:?}");
    assert_eq!(names(&places), before, "nothing was changed");

    let mut tty = home.sh_at_terminal(&format!("elevate-authority reset --data {}", places.display()));
    tty.wait_for("to go on: ");
    tty.send("lose everything sealed\n");
    let done = tty.end();
    assert_eq!(done.status, Some(0), "{done:?}");
    let left = names(&places);
    assert!(!left.contains(&"authority.db".to_owned()) && !left.contains(&"authority.key".to_owned()), "{left:?}");
    let aside = |part: &str| {
        let name = left.iter().find(|name| name.starts_with(&format!("{part}.before-reset-"))).cloned();
        places.join(name.unwrap_or_else(|| panic!("{part} is gone: {left:?}")))
    };
    let (database, key) = (aside("authority.db"), aside("authority.key"));
    assert_eq!((mode(&database), mode(&key)), (0o600, 0o600));

    // A device that knew the one before does not take the new one for it.
    let other = home.elevate(&["list"]).exits(8);
    assert!(other.stderr.contains("another authority answers than the one this device knows"), "{other:?}");
    fs::rename(home.data().join("device"), home.beside("device-before")).unwrap();
    let keys = home.elevate(&["--json", "key", "list"]).ok().json();
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(0), "{keys}");
    let no = home.elevate(&["-n", "prod-db"]);
    assert!(no.stderr.contains("no secret is stored for 'prod-db'"), "{no:?}");

    // The one before is whole: put back, it is as it was.
    home.stop_authority();
    for name in names(&places).iter().filter(|name| name.starts_with("authority.db") && !name.contains("before")) {
        fs::remove_file(places.join(name)).unwrap();
    }
    fs::rename(database, places.join("authority.db")).unwrap();
    fs::rename(key, places.join("authority.key")).unwrap();
    fs::remove_dir_all(home.data().join("device")).unwrap();
    fs::rename(home.beside("device-before"), home.data().join("device")).unwrap();
    home.elevate(&["audit", "verify"]).ok();
}

#[test]
fn there_has_to_be_an_authority_to_reset() {
    let home = Home::empty();
    let no = reset(&home, &["--lose-everything-sealed"]).exits(11);
    assert!(no.stderr.contains("there is no authority in"), "{no:?}");
}
