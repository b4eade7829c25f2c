use super::super::tests::{behaves, fresh_dir, fresh_id, grant, no_passphrase, now};
use super::super::{Choice, GrantStore};
use super::*;
use crate::protocol::names::ResourceName;
use crate::protocol::secret::Secret;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn store(id: &str, dir: &Path, passphrase: &str) -> GrantStore {
    let passphrase = Secret::new(passphrase.into());
    GrantStore::open(Choice::File, id, dir, Box::new(move || Ok(passphrase.clone()))).unwrap()
}

#[test]
fn behaves_as_a_keyring_has_to() {
    let dir = fresh_dir();
    behaves(&|id| store(id, &dir, "correct horse"));
}

#[test]
fn nothing_in_the_clear_and_nothing_for_others() {
    let (id, dir, now) = (fresh_id(), fresh_dir(), now());
    store(&id, &dir, "p").put(&grant("prod-db", now, 300, 40), now).unwrap();
    for path in [dir.join("grants"), dir.join("grants").join(&id)] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o700);
    }
    let mut files = 0;
    for file in fs::read_dir(dir.join("grants").join(&id)).unwrap().flatten() {
        files += 1;
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600, "{file:?}");
        let bytes = fs::read(file.path()).unwrap();
        for clear in ["prod-db", "hunter2", "tttt"] {
            assert!(!bytes.windows(clear.len()).any(|window| window == clear.as_bytes()), "{clear} in {file:?}");
        }
    }
    assert_eq!(files, 3);
}

#[test]
fn a_wrong_passphrase_is_said_and_loses_nothing() {
    let (id, dir, now, a) = (fresh_id(), fresh_dir(), now(), "a".parse().unwrap());
    store(&id, &dir, "right").put(&grant("a", now, 300, 20), now).unwrap();
    let wrong = store(&id, &dir, "wrong");
    assert!(matches!(wrong.get(&a, now), Err(KeyringError::WrongPassphrase)));
    assert!(matches!(wrong.all(now), Err(KeyringError::WrongPassphrase)));
    assert!(matches!(wrong.put(&grant("a", now, 600, 20), now), Err(KeyringError::WrongPassphrase)));
    assert!(store(&id, &dir, "right").get(&a, now).unwrap().is_some());
    // Lost for good: a fresh start, under another.
    assert_eq!(wrong.clear().unwrap(), 1);
    wrong.put(&grant("a", now, 300, 20), now).unwrap();
    assert!(matches!(store(&id, &dir, "right").get(&a, now), Err(KeyringError::WrongPassphrase)));
}

#[test]
fn nobody_is_asked_where_there_is_nothing_to_open() {
    let (id, dir, now, a) = (fresh_id(), fresh_dir(), now(), "a".parse().unwrap());
    let silent = GrantStore::open(Choice::File, &id, &dir, no_passphrase()).unwrap();
    assert!(silent.get(&a, now).unwrap().is_none());
    assert!(silent.all(now).unwrap().is_empty());
    assert_eq!(fs::read_dir(&*dir).unwrap().count(), 0, "and nothing is made");
    store(&id, &dir, "p").put(&grant("a", now, 300, 20), now).unwrap();
    assert!(matches!(silent.get(&a, now), Err(KeyringError::NoPassphrase(_))));
    assert!(silent.remove(&a).unwrap());
}

#[test]
fn what_was_changed_moved_or_renamed_is_damaged() {
    let (id, dir, now, a): (_, _, _, ResourceName) = (fresh_id(), fresh_dir(), now(), "a".parse().unwrap());
    let store = store(&id, &dir, "p");
    store.put(&grant("a", now, 300, 20), now).unwrap();
    let files = dir.join("grants").join(&id);
    let name = |resource: &str, ttl| format!("{}.{}", hash(resource), now.as_second() + ttl);
    let good = fs::read(files.join(name("a", 300))).unwrap();
    let mut changed = good.clone();
    changed[20] ^= 1;
    for garbage in [&changed[..], &good[..good.len() - 1], &good[..5], &[]] {
        fs::write(files.join(name("a", 300)), garbage).unwrap();
        let error = store.get(&a, now).unwrap_err();
        assert!(matches!(&error, KeyringError::Damaged { entry, .. } if entry == "a"), "{error:?}");
        let error = store.all(now).unwrap_err();
        assert!(error.hint().unwrap().starts_with("remove /"), "{error:?}");
    }
    // A longer life, or another resource, by another name.
    for forged in [name("a", 9_000), name("b", 300)] {
        fs::write(files.join(name("a", 300)), &good).unwrap();
        fs::rename(files.join(name("a", 300)), files.join(&forged)).unwrap();
        assert!(matches!(store.all(now), Err(KeyringError::Damaged { .. })));
        fs::remove_file(files.join(forged)).unwrap();
    }
    fs::write(files.join("notes.txt"), "").unwrap();
    assert!(matches!(store.all(now), Err(KeyringError::Damaged { .. })));
    fs::remove_file(files.join("notes.txt")).unwrap();
    assert!(store.all(now).unwrap().is_empty());
}

#[test]
fn a_salt_that_is_damaged_or_gone_is_said() {
    let (id, dir, now, a): (_, _, _, ResourceName) = (fresh_id(), fresh_dir(), now(), "a".parse().unwrap());
    store(&id, &dir, "p").put(&grant("a", now, 300, 20), now).unwrap();
    let salt = dir.join("grants").join(&id).join(".salt");
    for garbage in [b"".as_slice(), b"\x01short", b"\x09and something of a later version"] {
        fs::write(&salt, garbage).unwrap();
        assert!(matches!(store(&id, &dir, "p").get(&a, now), Err(KeyringError::Damaged { .. })));
    }
    fs::remove_file(&salt).unwrap();
    assert!(matches!(store(&id, &dir, "p").get(&a, now), Err(KeyringError::Damaged { .. })));
}

#[test]
fn of_what_a_crash_left_the_newer_counts() {
    let (id, dir, now, a) = (fresh_id(), fresh_dir(), now(), "a".parse::<ResourceName>().unwrap());
    let store = store(&id, &dir, "p");
    let files = dir.join("grants").join(&id);
    store.put(&grant("a", now, 900, 1), now).unwrap();
    let older = format!("{}.{}", hash(a.as_str()), now.as_second() + 900);
    let bytes = fs::read(files.join(&older)).unwrap();
    store.put(&grant("a", crate::clock::after(now, 1), 300, 2), now).unwrap();
    fs::write(files.join(&older), bytes).unwrap();
    fs::write(files.join(".unfinished"), "half").unwrap();
    assert_eq!(store.get(&a, now).unwrap().unwrap().access_token.expose(), "tt");
    assert_eq!(store.all(now).unwrap().len(), 1);
    store.put(&grant("a", now, 300, 3), now).unwrap();
    assert!(!files.join(older).exists() && !files.join(".unfinished").exists());
}

#[test]
fn two_that_write_at_once_leave_one_of_the_two() {
    let (id, dir, now, a) = (fresh_id(), fresh_dir(), now(), "a".parse().unwrap());
    let stores: Vec<_> = (0..2).map(|_| store(&id, &dir, "p")).collect();
    std::thread::scope(|scope| {
        for (number, store) in stores.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..20 {
                    let ttl = 300 + 2 * round + u64::try_from(number).unwrap();
                    store.put(&grant("a", now, ttl, 20), now).unwrap();
                }
            });
        }
    });
    assert!(stores[0].get(&a, now).unwrap().is_some());
    assert_eq!(stores[0].clear().unwrap(), 1);
}

#[test]
fn a_directory_others_can_look_into_is_refused() {
    let (id, dir, now) = (fresh_id(), fresh_dir(), now());
    let store = store(&id, &dir, "p");
    store.put(&grant("a", now, 300, 20), now).unwrap();
    fs::set_permissions(dir.join("grants").join(&id), fs::Permissions::from_mode(0o755)).unwrap();
    let error = store.all(now).unwrap_err();
    assert!(error.to_string().contains("run chmod 700"), "{error}");
}
