//! What every keyring has to do, and how one is chosen.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A grant that lives `ttl` seconds from `now`, its token `size` bytes long.
pub(super) fn grant(resource: &str, now: Timestamp, ttl: u64, size: usize) -> StoredGrant {
    StoredGrant {
        resource: resource.parse().unwrap(),
        kind: ResourceKind::Secret,
        access_token: Secret::new("t".repeat(size)),
        proof_key: Secret::new("proof".into()),
        secret: Some(Secret::new("hunter2".into())),
        whole: true,
        reach: None,
        issued_at: now,
        expires_at: crate::clock::after(now, ttl),
    }
}

/// An authority no other test has.
pub(super) fn fresh_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst))
}

/// The system's time, whole seconds.
pub(super) fn now() -> Timestamp {
    crate::clock::Clock::system().now()
}

/// An empty directory no other test has; removed when dropped.
pub(super) struct FreshDir(std::path::PathBuf);

pub(super) fn fresh_dir() -> FreshDir {
    let dir = std::env::temp_dir().join(format!("elevate-{}", fresh_id()));
    std::fs::create_dir_all(&dir).unwrap();
    FreshDir(dir)
}

impl std::ops::Deref for FreshDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for FreshDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn no_passphrase() -> AskPassphrase {
    Box::new(|| Err(KeyringError::NoPassphrase("nobody is to be asked".into())))
}

/// What every keyring has to do; `open` gives a store for an authority, as another process would open it.
pub(super) fn behaves(open: &dyn Fn(&str) -> GrantStore) {
    let id = fresh_id();
    let (store, now) = (open(&id), now());
    let a: ResourceName = "team/a".parse().unwrap();
    assert!(store.get(&a, now).unwrap().is_none());
    assert!(!store.remove(&a).unwrap());
    assert_eq!(store.clear().unwrap(), 0);

    store.put(&grant("team/b", now, 300, 20), now).unwrap();
    store.put(&grant("team/a", now, 300, 20), now).unwrap();
    store.put(&grant("team/a", now, 600, 900), now).unwrap();
    let other_process = open(&id);
    let kept = other_process.get(&a, now).unwrap().unwrap();
    assert_eq!((kept.access_token.expose().len(), kept.secret.as_ref().unwrap().expose()), (900, "hunter2"));
    assert_eq!(kept.expires_at, crate::clock::after(now, 600));
    assert!(!format!("{kept:?}").contains("hunter2"));
    let names =
        |grants: Vec<StoredGrant>| grants.into_iter().map(|grant| grant.resource.to_string()).collect::<Vec<_>>();
    assert_eq!(names(other_process.all(now).unwrap()), ["team/a", "team/b"]);

    let other_authority = open(&fresh_id());
    assert!(other_authority.get(&a, now).unwrap().is_none());
    assert!(other_authority.all(now).unwrap().is_empty());
    assert_eq!(other_authority.clear().unwrap(), 0);

    // At its very second it is over, and what is over is gone even for a clock that goes back.
    let later = crate::clock::after(now, 300);
    assert_eq!(names(store.all(later).unwrap()), ["team/a"]);
    assert_eq!(names(store.all(now).unwrap()), ["team/a"]);
    assert!(store.get(&a, crate::clock::after(now, 600)).unwrap().is_none());
    assert!(store.get(&a, now).unwrap().is_none());

    store.put(&grant("team/a", now, 300, 20), now).unwrap();
    store.put(&grant("team/a", now, 0, 20), now).unwrap();
    assert!(store.get(&a, now).unwrap().is_none(), "an expired grant leaves nothing of the one before");
    store.put(&grant("team/a", now, 300, 20), now).unwrap();
    store.put(&grant("team/c", now, 300, 20), now).unwrap();
    assert!(other_process.remove(&a).unwrap());
    assert!(store.get(&a, now).unwrap().is_none());
    assert_eq!(store.clear().unwrap(), 1);
    assert!(store.all(now).unwrap().is_empty());
}

#[test]
fn choices_are_what_may_be_configured() {
    for (text, choice) in [
        ("auto", Choice::Auto),
        ("kernel", Choice::Kernel),
        ("secret-service", Choice::SecretService),
        ("file", Choice::File),
    ] {
        assert_eq!(text.parse(), Ok(choice));
    }
    for bad in ["", "Kernel", "plaintext"] {
        assert!(bad.parse::<Choice>().is_err());
    }
}

#[test]
fn an_authority_id_can_be_no_path() {
    for bad in ["", "..", "a/b", "a:b", &"a".repeat(65)] {
        let opened = GrantStore::open(Choice::Kernel, bad, Path::new("/nowhere"), no_passphrase());
        assert!(matches!(opened.err(), Some(KeyringError::AuthorityId)), "{bad:?} was taken");
    }
}

#[test]
fn auto_takes_the_kernel_and_never_falls_back_silently_nor_to_the_file() {
    let dir = fresh_dir();
    let store = GrantStore::open(Choice::Auto, &fresh_id(), &dir, no_passphrase()).unwrap();
    assert_eq!((store.name(), store.why_not_better(), store.expires_by_itself()), ("kernel keyring", None, true));
    assert_eq!(std::fs::read_dir(&*dir).unwrap().count(), 0);

    let forbidden = || Err(KeyringError::Forbidden { errno: "EPERM" });
    let other = || Ok(Box::new(file::SealedFiles::new("x", &dir, no_passphrase())) as Box<dyn Keyring>);
    let store = GrantStore::first_of(forbidden, other).unwrap();
    assert_eq!(store.why_not_better(), Some("the kernel keyring is forbidden to this process (EPERM)"));
    assert!(!store.expires_by_itself());

    let none = GrantStore::first_of(forbidden, || Err(KeyringError::Locked)).err().unwrap();
    assert_eq!(
        none.to_string(),
        "there is no keyring here: the kernel keyring is forbidden to this process (EPERM); the Secret Service is locked"
    );
}
