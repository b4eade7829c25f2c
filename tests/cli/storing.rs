//! `elevate-authority move` and `backup`, and what a client makes of a store that is older than what it saw.

use super::harness::*;
use crate::harness::{TestAuthority, TestKey};
use crate::postgres::Server;
use elevate::authority::config::Config;
use elevate::authority::moving::move_store;
use elevate::authority::store::Faults;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

fn authority(home: &Home, words: &[&str]) -> Ended {
    finish(spawn(piped(&mut home.program(AUTHORITY_BIN, words))), b"")
}

fn said(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap()
}

fn data(home: &Home) -> PathBuf {
    home.data().join("authority")
}

fn move_it(home: &Home) -> Ended {
    authority(home, &["move", "--data", data(home).to_str().unwrap(), "--config", home.config().to_str().unwrap()])
}

/// Has `authority.toml` name this database.
fn name_postgres(home: &Home, database: &str) {
    let text = format!("store = \"{}\"\n{CATALOGUE}", Server::shared().url(database));
    home.write_config("authority.toml", &text);
}

/// Declares a resource in the store.
fn declare(home: &Home) {
    let file = home.beside("new.toml");
    fs::write(&file, "kind = \"jwt\"\naudience = \"https://new.example\"\nsensitivity = \"low\"\n").unwrap();
    home.approve(&["admin", "resource", "set", "new", &file.display().to_string()]).ok();
}

/// What is kept byte for byte: (table, what of a row, in which order), said to SQLite and to PostgreSQL.
const KEPT: [(&str, &str, &str, &str); 8] = [
    ("log_entry", "hex(leaf)", "upper(encode(leaf, 'hex'))", "idx"),
    ("log_hash", "hex(hash)", "upper(encode(hash, 'hex'))", "idx"),
    ("log_private", "salt || clear", "salt || clear", "idx"),
    ("log_checkpoint", "note", "note", "size"),
    ("secret", "hex(sealed)", "upper(encode(sealed, 'hex'))", "resource"),
    ("signing_key", "hex(sealed)", "upper(encode(sealed, 'hex'))", "kid"),
    ("resource", "name || definition || set_at", "name || definition || set_at", "name"),
    ("security_key", "name || credential || software", "name || credential || software", "name"),
];

#[test]
fn a_store_moves_to_postgresql_by_one_command() {
    let home = Home::set_up();
    home.put_secret("prod-db", "hunter2").ok();
    declare(&home);
    let token = home.elevate(&["token", "wiki"]).ok().stdout.trim().to_owned();
    // There is nothing to move to yet; then, an authority runs; then, none is founded beside the one there is.
    home.stop_authority();
    let no = move_it(&home).exits(11);
    assert!(no.stderr.contains("authority.toml names no store to move to"), "{no:?}");
    home.elevate(&["list"]).ok();
    let database = Server::shared().database();
    name_postgres(&home, &database);
    let no = move_it(&home).exits(11);
    assert!(no.stderr.contains("another elevate-authority is running on this data directory"), "{no:?}");
    home.stop_authority();
    let no = home.elevate(&["list"]).exits(6);
    assert!(no.stderr.contains("elevate-authority move"), "{no:?}");
    assert_eq!(Server::shared().sql(&database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");

    let moved = said(&move_it(&home).ok());
    let aside = moved["moved"][0].as_str().unwrap().to_owned();
    assert!(aside.contains("authority.db.moved-") && !data(&home).join("authority.db").exists(), "{moved}");
    for (table, from, to, order) in KEPT {
        let script = "import sqlite3, sys\nfor row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(row[0])";
        let query = format!("SELECT {from} FROM {table} ORDER BY {order}");
        let before = finish(spawn(piped(&mut home.program("python3", &["-c", script, &aside, &query]))), b"").ok();
        let query = format!("SELECT {to} FROM {table} ORDER BY {order}");
        assert_eq!(Server::shared().sql(&database, &query), before.stdout.trim(), "{table}");
        assert!(!before.stdout.trim().is_empty(), "{table}");
    }
    // It is the same authority: keys, grants, secrets, and a log that only grew.
    home.elevate(&["audit", "verify"]).ok();
    assert!(home.is_active(&token));
    home.elevate(&["token", "-k", "wiki"]).ok();
    home.elevate(&["token", "new"]).ok();
    assert_eq!(home.approve(&["prod-db", "--", "printenv", "ELEVATE_SECRET"]).ok().stdout.trim(), "hunter2");
    home.elevate(&["audit", "verify"]).ok();
    let names: Vec<_> = fs::read_dir(data(&home)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name == "authority.db"), "{names:?}");
    // The file came back, as from a backup: what is in PostgreSQL contains it.
    home.stop_authority();
    fs::copy(&aside, data(&home).join("authority.db")).unwrap();
    move_it(&home).ok();
    home.elevate(&["audit", "verify"]).ok();
}

#[test]
fn what_is_not_whole_is_not_moved_nor_to_where_something_is() {
    let home = Home::set_up();
    home.elevate(&["token", "wiki"]).ok();
    home.stop_authority();
    let database = Server::shared().database();
    name_postgres(&home, &database);
    // A hash of the tree that no checkpoint of today needs.
    let whole = fs::read(data(&home).join("authority.db")).unwrap();
    home.sql("UPDATE log_hash SET hash = zeroblob(32) WHERE idx = 0");
    let no = move_it(&home).exits(11);
    assert!(no.stderr.contains("hash 0 of the log is not that of its entries"), "{no:?}");
    assert_eq!(Server::shared().sql(&database, "SELECT count(*) FROM log_entry"), "0");
    assert!(data(&home).join("authority.db").exists());
    fs::write(data(&home).join("authority.db"), whole).unwrap();
    // Somebody else's.
    Server::shared().sql(&database, "INSERT INTO \"user\" (sub, created_at) VALUES ('uid:4242', 0)");
    let no = move_it(&home).exits(11);
    assert!(no.stderr.contains("is not empty, and not this authority's: nothing was moved"), "{no:?}");
    Server::shared().sql(&database, "DELETE FROM \"user\"");
    move_it(&home).ok();
    home.elevate(&["audit", "verify"]).ok();
}

#[tokio::test]
async fn a_move_whose_end_is_not_known_is_done_again() {
    for kept in [false, true] {
        let authority = TestAuthority::start().await;
        let key = TestKey::touch_only();
        authority.enrol("blue", &key, None).await.unwrap();
        let database = Server::shared().database();
        let text = format!("store = \"{}\"\n", Server::shared().url(&database));
        let config = Config::parse(&authority.config().join("authority.toml"), &text).unwrap();
        let faults = Faults::default();
        if kept {
            faults.keep_next_but_report_it_lost();
        } else {
            faults.lose_next();
        }
        let once = async || move_store(&authority.data(), &config, authority.clock.now(), faults.clone()).await;
        let error = once().await.unwrap_err().to_string();
        assert!(error.contains("fault injected"), "{error}");
        assert!(authority.data().join("authority.db").exists());
        let there = Server::shared().sql(&database, "SELECT count(*) FROM security_key");
        assert_eq!(there, if kept { "1" } else { "0" });
        once().await.unwrap();
        assert_eq!(Server::shared().sql(&database, "SELECT count(*) FROM security_key"), "1");
        assert!(!authority.data().join("authority.db").exists());
    }
}

#[test]
fn a_backup_made_while_it_runs_brings_it_back() {
    let home = Home::set_up();
    home.put_secret("prod-db", "hunter2").ok();
    declare(&home);
    let (data, to) = (data(&home), home.beside("backup.db"));
    let words = ["backup", "--data", data.to_str().unwrap(), "--to", to.to_str().unwrap()];
    let made = said(&authority(&home, &words).ok());
    assert!(made["log_entries"].as_u64().unwrap() > 3, "{made}");
    assert_eq!(mode(&to), 0o600);
    let no = authority(&home, &words).exits(11);
    assert!(no.stderr.contains("it is there already"), "{no:?}");
    // The database is lost; nothing was seen since.
    home.stop_authority();
    for name in ["authority.db", "authority.db-wal", "authority.db-shm"] {
        let _ = fs::remove_file(data.join(name));
    }
    fs::copy(&to, data.join("authority.db")).unwrap();
    assert_eq!(home.approve(&["prod-db", "--", "printenv", "ELEVATE_SECRET"]).ok().stdout.trim(), "hunter2");
    home.elevate(&["token", "new"]).ok();
    home.elevate(&["audit", "verify"]).ok();
}

#[test]
fn an_older_state_is_noticed_by_who_saw_a_later_one() {
    let home = Home::set_up();
    home.elevate(&["token", "wiki"]).ok();
    let (data, to) = (data(&home), home.beside("backup.db"));
    authority(&home, &["backup", "--data", data.to_str().unwrap(), "--to", to.to_str().unwrap()]).ok();
    for _ in 0..3 {
        home.elevate(&["token", "-k", "wiki"]).ok();
    }
    home.stop_authority();
    for name in ["authority.db", "authority.db-wal", "authority.db-shm"] {
        let _ = fs::remove_file(data.join(name));
    }
    fs::copy(&to, data.join("authority.db")).unwrap();
    let no = home.elevate(&["token", "-k", "wiki"]).exits(1);
    assert!(no.stdout.is_empty() && no.stderr.contains("it was rolled back"), "{no:?}");
    let no = home.elevate(&["audit", "verify"]);
    assert_ne!(no.status, Some(0), "{no:?}");
}

#[test]
fn a_backup_of_a_log_that_was_changed_is_none() {
    let home = Home::set_up();
    home.elevate(&["token", "wiki"]).ok();
    home.stop_authority();
    home.sql("UPDATE log_hash SET hash = zeroblob(32) WHERE idx = 0");
    let (data, to) = (data(&home), home.beside("backup.db"));
    let no = authority(&home, &["backup", "--data", data.to_str().unwrap(), "--to", to.to_str().unwrap()]).exits(11);
    assert!(no.stderr.contains("hash 0 of the log is not that of its entries"), "{no:?}");
    let beside = fs::read_dir(to.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!beside.into_iter().any(|name| name.to_string_lossy().starts_with("backup.db")));
}

#[test]
fn a_dump_of_postgresql_brings_it_back_and_an_older_one_is_noticed() {
    let server = Server::shared();
    let [first, second] = [server.database(), server.database()];
    let home = Home::empty();
    home.found(&format!("store = \"{}\"\n{CATALOGUE}", server.url(&first)));
    declare(&home);
    let seen = home.elevate(&["token", "wiki"]).ok().stdout;
    server.move_by_dump(&first, &second);
    home.stop_authority();
    name_postgres(&home, &second);
    // Nothing was seen since: it goes on as if it were the first, but for proofs of the epoch before.
    assert!(home.is_active_after_restart(seen.trim()));
    home.elevate(&["token", "-k", "wiki"]).ok();
    home.elevate(&["token", "new"]).ok();
    home.elevate(&["audit", "verify"]).ok();
    // The first is older by now.
    home.stop_authority();
    name_postgres(&home, &first);
    let no = home.elevate(&["token", "-k", "wiki"]).exits(1);
    assert!(no.stdout.is_empty() && no.stderr.contains("it was rolled back"), "{no:?}");
}
