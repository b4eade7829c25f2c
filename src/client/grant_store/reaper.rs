//! Removes grants as they expire, where the keyring doesn't by itself.

use super::{GrantStore, KeyringError};
use crate::clock::{Clock, seconds_between};
use std::time::Duration;

/// Longest sleep: a clock that was moved, or a machine that slept, is noticed after this many seconds.
const LONGEST_SLEEP_S: u64 = 60;
/// After so many failures in a row it gives up.
const FAILURES_MAX: u32 = 5;

/// Removes each grant when it expires; returns when none is left to wait for, at once where the keyring needs no help.
/// Needs no passphrase. Entries that can't be read are left where they are: `all` reports them.
///
/// # Errors
/// [`KeyringError`]: where the keyring is locked or doesn't answer (waiting for it would mean prompting somebody every
/// minute), or fails five times in a row. What has expired by then goes with the next call that looks at it.
pub fn reap(store: &GrantStore, clock: &Clock) -> Result<(), KeyringError> {
    let mut failures = 0;
    loop {
        let now = clock.now();
        let seconds = match store.keyring.remove_expired(now) {
            Ok(None) => return Ok(()),
            Ok(Some(next)) => {
                failures = 0;
                seconds_between(now, next)
            }
            Err(error @ (KeyringError::Locked | KeyringError::TimedOut { .. })) => return Err(error),
            Err(error) if failures == FAILURES_MAX => return Err(error),
            Err(_) => {
                failures += 1;
                LONGEST_SLEEP_S
            }
        };
        std::thread::sleep(Duration::from_secs(seconds.clamp(1, LONGEST_SLEEP_S)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fresh_dir, fresh_id, grant, no_passphrase, now};
    use super::super::{Choice, GrantStore};
    use super::*;
    use crate::protocol::secret::Secret;
    use std::time::Instant;

    #[test]
    fn needs_no_passphrase_and_ends_when_nothing_is_left() {
        let (id, dir, now) = (fresh_id(), fresh_dir(), now());
        let passphrase = Box::new(|| Ok(Secret::new("correct horse".into())));
        let store = GrantStore::open(Choice::File, &id, &dir, passphrase).unwrap();
        store.put(&grant("a", now, 1, 20), now).unwrap();
        store.put(&grant("b", now, 3, 20), now).unwrap();
        let begun = Instant::now();
        let theirs = GrantStore::open(Choice::File, &id, &dir, no_passphrase()).unwrap();
        reap(&theirs, &Clock::system()).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(8));
        assert!(store.all(now).unwrap().is_empty(), "also for a clock that stands still");
        let left: Vec<_> = std::fs::read_dir(dir.join("grants").join(&id)).unwrap().flatten().collect();
        assert_eq!(left.len(), 2, "only salt and lock: {left:?}");
    }

    #[test]
    fn the_kernel_needs_no_help() {
        let (store, now) =
            (GrantStore::open(Choice::Kernel, &fresh_id(), &fresh_dir(), no_passphrase()).unwrap(), now());
        store.put(&grant("a", now, 300, 20), now).unwrap();
        reap(&store, &Clock::system()).unwrap();
        assert_eq!(store.clear().unwrap(), 1);
    }
}
