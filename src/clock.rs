//! The only reader of time. Everything else is handed a [`Clock`], so that tests can move it.

use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Wall-clock time, in whole seconds: the resolution of every time this project writes or signs.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still until it is moved with [`Clock::advance`].
    #[must_use]
    pub fn standing_at(now: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(now.as_second()))))
    }

    /// The time now, rounded down to a second.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the time")]
    pub fn now(&self) -> Timestamp {
        let seconds = match &self.0 {
            Some(standing) => standing.load(Ordering::SeqCst),
            None => Timestamp::now().as_second(),
        };
        Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Whether it is the machine's own, and not one that stands.
    #[must_use]
    pub const fn is_the_machines(&self) -> bool {
        self.0.is_none()
    }

    /// Nanoseconds since the machine started, asleep or not: orders events of several processes. Never a date.
    #[must_use]
    pub fn since_boot() -> u128 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u128::try_from(time.tv_sec).unwrap_or_default();
        seconds * 1_000_000_000 + u128::try_from(time.tv_nsec).unwrap_or_default()
    }

    /// Moves a standing clock by `seconds`, which may be negative. The system's clock is not moved.
    pub fn advance(&self, seconds: i64) {
        if let Some(standing) = &self.0 {
            standing.fetch_add(seconds, Ordering::SeqCst);
        }
    }
}

/// The time `seconds` after `start`, or the end of time where that can't be written.
#[must_use]
pub fn after(start: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    start.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// So many seconds before a time.
#[must_use]
pub fn before(end: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    end.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN)
}

/// Whole seconds from `start` to `end`; 0 where `end` is not later.
#[must_use]
pub fn seconds_between(start: Timestamp, end: Timestamp) -> u64 {
    u64::try_from(end.as_second() - start.as_second()).unwrap_or(0)
}

/// A length of time as people write it: `15m`, `1h 30m`, `45s`.
#[must_use]
pub fn human(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let parts = [(days, "d"), (rest / 3600, "h"), (rest % 3600 / 60, "m"), (rest % 60, "s")];
    let shown: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).take(2).map(|(n, unit)| format!("{n}{unit}")).collect();
    if shown.is_empty() { "0s".to_owned() } else { shown.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn lengths_read_as_people_write_them() {
        let table = [(0, "0s"), (45, "45s"), (900, "15m"), (5400, "1h 30m"), (90_061, "1d 1h")];
        for (seconds, text) in table {
            assert_eq!(human(seconds), text);
        }
    }
}
