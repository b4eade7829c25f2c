use super::super::tests::{behaves, fresh_id, grant, no_passphrase, now};
use super::super::{Choice, GrantStore};
use super::*;

fn open(id: &str) -> KernelKeyring {
    KernelKeyring::open(id).unwrap()
}

fn store(id: &str) -> GrantStore {
    GrantStore::open(Choice::Kernel, id, std::path::Path::new("/nowhere"), no_passphrase()).unwrap()
}

/// The line of `/proc/keys` about a key: serial, flags, usage, timeout, permissions, uid, gid, type, description.
fn line_of(description: &str) -> Option<String> {
    let keys = std::fs::read_to_string("/proc/keys").unwrap();
    keys.lines().find(|line| line.contains(&format!(" {description}:"))).map(str::to_owned)
}

/// A key as another program would make it, or an attacker: with the default permissions and no timeout.
fn plant(ring: KeyRing, description: &str, payload: &[u8]) -> Key {
    possessing(|| ring.add_key(description, payload)).unwrap()
}

#[test]
fn behaves_as_a_keyring_has_to() {
    behaves(&store);
}

#[test]
fn a_key_has_a_timeout_and_no_permissions_beyond_its_owner() {
    let (ring, now, a) = (open(&fresh_id()), now(), "a");
    ring.put(&grant("a", now, 300, 20), now).unwrap();
    let line = line_of(&ring.description(a)).unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert!(["4m", "5m"].contains(&fields[3]), "timeout: {line}");
    assert_eq!(fields[4], "1b0b0000", "permissions: {line}");
    let key = ring.find(a).unwrap().unwrap();
    assert!(key.set_timeout(0).is_err(), "the timeout was lifted");
    assert!(key.update(&b"other").is_err(), "the payload was changed");
    assert!(ring.remove(a).unwrap());
}

#[test]
fn the_kernel_itself_ends_it() {
    let (ring, now, a) = (open(&fresh_id()), now(), "a");
    ring.put(&grant("a", now, 2, 20), now).unwrap();
    let key = ring.find(a).unwrap().unwrap();
    std::thread::sleep(Duration::from_millis(3200));
    // Asked with a clock that stands still: it is not our own check that ends it.
    assert!(ring.get(a, now).unwrap().is_none());
    assert!(ring.all(now).unwrap().is_empty());
    assert!(!ring.remove(a).unwrap());
    assert!(read(key).is_err());
}

#[test]
fn garbage_is_reported_by_name_and_can_be_removed() {
    let (id, now) = (fresh_id(), now());
    let (ring, a) = (open(&id), "a");
    let header = ring.header("a");
    let mut foreign = header.clone().into_bytes();
    foreign.extend_from_slice(&grant("b", now, 300, 20).to_json().unwrap());
    let payloads: [&[u8]; 5] = [b"\0", &[0xff; 5000], b"elevate-grant 9 x\n{}", header.as_bytes(), &foreign];
    for payload in payloads {
        plant(ring.user, &ring.description(a), payload);
        match ring.get(a, now) {
            Err(KeyringError::Damaged { entry, .. }) => assert_eq!(entry, "a"),
            other => panic!("{other:?}"),
        }
        let _ = ring.all(now).unwrap();
        assert!(ring.remove(a).unwrap());
        assert!(ring.get(a, now).unwrap().is_none());
    }
    plant(ring.user, &ring.description(a), header.as_bytes());
    match store(&id).all(now) {
        Err(KeyringError::Damaged { entry, .. }) => assert_eq!(entry, "a"),
        other => panic!("{other:?}"),
    }
    assert_eq!(store(&id).clear().unwrap(), 1);
    assert!(store(&id).all(now).unwrap().is_empty());
}

#[test]
fn a_list_bears_what_others_keep_there() {
    let (ring, now) = (open(&fresh_id()), now());
    // A description of more than 512 bytes makes linux-keyutils panic where it is described.
    let long = plant(ring.user, &format!("other:{}:{}", fresh_id(), "x".repeat(2000)), b"theirs");
    ring.put(&grant("a", now, 300, 20), now).unwrap();
    assert_eq!(ring.all(now).unwrap().len(), 1);
    assert_eq!(ring.clear().unwrap(), 1);
    assert_eq!(read(long).unwrap().as_slice(), b"theirs");
    long.invalidate().unwrap();
}

#[test]
fn more_than_a_key_holds_is_refused_and_leaves_the_older_one() {
    let (ring, now, a) = (open(&fresh_id()), now(), "a");
    ring.put(&grant("a", now, 300, 20), now).unwrap();
    assert!(matches!(ring.put(&grant("a", now, 300, 33_000), now), Err(KeyringError::TooLarge { .. })));
    assert!(ring.get(a, now).unwrap().is_some());
    ring.remove(a).unwrap();
}

#[test]
fn over_quota_expired_keys_make_room_and_else_it_is_said() {
    let id = fresh_id();
    let (ring, now) = (open(&id), now());
    let setting = if rustix::process::getuid().is_root() { "root_maxbytes" } else { "maxbytes" };
    let quota = std::fs::read_to_string(format!("/proc/sys/kernel/keys/{setting}")).unwrap();
    let quota: usize = quota.trim().parse().unwrap();
    let put = |name: &str, ttl, size| ring.put(&grant(name, now, ttl, size), now);
    let too_much = put("a", 300, 25_000);
    if quota < 25_000 {
        assert!(matches!(too_much, Err(KeyringError::OverQuota { .. })), "{too_much:?}");
    }
    for round in 0..quota.min(20_000) / 4_000 - 1 {
        put(&format!("short-{round}"), 1, 3_500).unwrap();
    }
    std::thread::sleep(Duration::from_millis(2200));
    put("b", 300, quota.min(20_000) / 2).unwrap();
    put("b", 300, quota.min(20_000) / 2).unwrap();
    assert_eq!(ring.clear().unwrap(), 1 + usize::from(too_much.is_ok()));
}
