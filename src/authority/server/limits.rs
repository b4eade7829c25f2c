//! Who may ask how much. Each caller has a budget of its own, so that one who floods uses up nobody else's.

use super::listen::{CONNECTIONS, Listen, REQUESTS};
use crate::authority::caller::{Caller, Served};
use crate::authority::shares::{Full, Shares, caller_network, networks};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How many seconds' worth of requests may come at once.
const BURST: NonZeroU32 = NonZeroU32::new(4).unwrap();
/// How often one caller who is refused has a line in the log.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Budgets that are kept before full ones are thrown away.
const BUDGETS: usize = 4096;

/// Whose budget it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// An account of this host.
    Account(Option<u32>),
    /// Somebody who is signed in, wherever they call from.
    SignedIn(String),
    /// An address: of IPv6 the first 64 bits, the rest is the caller's to choose.
    Address(IpAddr),
}

impl Whose {
    pub(super) fn of(caller: Caller) -> Self {
        match caller {
            Caller::Peer(uid) => Self::Account(uid),
            Caller::Remote(address) => Self::Address(caller_network(address)),
        }
    }
}

/// Requests: so many a second, and so many at a time.
pub struct Limits {
    subjects: DefaultKeyedRateLimiter<Whose>,
    addresses: DefaultKeyedRateLimiter<Whose>,
    at_a_time: Arc<Seats>,
    clock: DefaultClock,
    /// When each who is refused last had a line in the log, and how often they were refused since, that time included.
    refused: Mutex<HashMap<Whose, (Instant, u64)>>,
    /// Requests since full budgets were last thrown away.
    unswept: AtomicUsize,
}

impl Limits {
    /// As configured.
    #[must_use]
    pub fn new(listen: Option<&Listen>) -> Self {
        let limiter =
            |each: NonZeroU32| RateLimiter::keyed(Quota::per_second(each).allow_burst(each.saturating_mul(BURST)));
        Self {
            subjects: limiter(REQUESTS),
            addresses: limiter(listen.map_or(REQUESTS, |listen| listen.requests_per_second)),
            at_a_time: Seats::new(usize::MAX, listen.map_or(CONNECTIONS, |listen| listen.connections).get()),
            clock: DefaultClock::default(),
            unswept: AtomicUsize::default(),
            refused: Mutex::default(),
        }
    }

    /// Takes one request out of the caller's budget; its place is to be kept until the answer.
    ///
    /// # Errors
    /// In how many seconds it is worth trying again.
    pub(super) fn take(&self, caller: Caller, served: Served) -> Result<Option<Seat>, u64> {
        let limiter = match (caller, served) {
            // Whoever floods an authority of their own is alone with it.
            (Caller::Peer(_), Served::Only(_)) => return Ok(None),
            (Caller::Peer(_), Served::Everybody) => &self.subjects,
            (Caller::Remote(_), _) => &self.addresses,
        };
        let whose = Whose::of(caller);
        self.take_one(limiter, &whose)?;
        self.at_a_time.take(whose, false).map(Some).map_err(|_| 1)
    }

    /// Takes one request out of the budget of somebody who is signed in, wherever they call from.
    ///
    /// # Errors
    /// In how many seconds it is worth trying again.
    pub fn take_of_signed_in(&self, sub: &str) -> Result<(), u64> {
        self.take_one(&self.subjects, &Whose::SignedIn(sub.to_owned()))
    }

    /// Whether one more refusal is worth a line in the log, which one caller has once a second: how many had none before it.
    pub(super) fn worth_a_line(&self, caller: Caller) -> Option<u64> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_old = |at: Instant| now.duration_since(at) >= LINE_EVERY;
        if refused.len() >= BUDGETS {
            refused.retain(|_, (at, _)| !is_old(*at));
        }
        let (at, without) = refused.entry(Whose::of(caller)).or_insert((now, 0));
        if *without > 0 && !is_old(*at) {
            *without += 1;
            return None;
        }
        *at = now;
        Some(std::mem::replace(without, 1).saturating_sub(1))
    }

    fn take_one(&self, limiter: &DefaultKeyedRateLimiter<Whose>, whose: &Whose) -> Result<(), u64> {
        // One look at each for every one: whoever has many addresses makes nobody's request a long one.
        if self.unswept.fetch_add(1, Ordering::Relaxed) >= limiter.len().max(BUDGETS) {
            self.unswept.store(0, Ordering::Relaxed);
            self.subjects.retain_recent();
            self.addresses.retain_recent();
        }
        limiter.check_key(whose).map_err(|not_yet| not_yet.wait_time_from(self.clock.now()).as_secs() + 1)
    }
}

/// Places: so many in all, so many for each, and none for whoever has their share ([`Shares`]).
pub(super) struct Seats {
    taken: Mutex<Shares<Group>>,
    each: usize,
}

/// Whom a place is counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Group {
    Whose(Whose),
    Network(IpNet),
}

/// One place, given back when it is dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    groups: Vec<Group>,
}

impl Seats {
    pub(super) fn new(in_all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::new(Shares::new(in_all)), each })
    }

    /// A place; `exempt` of limits of their own where many stand behind them.
    pub(super) fn take(self: &Arc<Self>, whose: Whose, exempt: bool) -> Result<Seat, Full> {
        let groups: Vec<Group> = match whose {
            _ if exempt => Vec::new(),
            Whose::Address(address) => networks(address).into_iter().map(Group::Network).collect(),
            whose @ (Whose::Account(_) | Whose::SignedIn(_)) => vec![Group::Whose(whose)],
        };
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).take(&groups, self.each)?;
        Ok(Seat { seats: self.clone(), groups })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner).give_back(&self.groups);
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Seats, Whose};
    use crate::authority::caller::{Caller, Served};
    use crate::authority::shares::Full;

    fn remote(address: &str) -> Caller {
        Caller::Remote(address.parse().unwrap())
    }

    #[test]
    fn one_caller_uses_up_nobody_elses_budget() {
        let limits = Limits::new(None);
        let flood = |caller| (0..10_000).find_map(|_| limits.take(caller, Served::Everybody).err());
        assert!(flood(remote("2001:db8::1")).is_some_and(|wait| wait >= 1), "it has an end");
        assert!(limits.take(remote("2001:db8::2"), Served::Everybody).is_err(), "the same network");
        assert!(limits.take(remote("2001:db8:0:1::1"), Served::Everybody).is_ok(), "another network");
        assert!(limits.take(remote("192.0.2.1"), Served::Everybody).is_ok());
        assert!(flood(Caller::with_uid(7)).is_some());
        assert!(limits.take(Caller::with_uid(8), Served::Everybody).is_ok());
        assert!(flood(Caller::with_uid(8)).is_some());
        assert!((0..10_000).any(|_| limits.take_of_signed_in("https://idp.example#a").is_err()));
        assert!(limits.take_of_signed_in("https://idp.example#b").is_ok());
        let own = |_| limits.take(Caller::with_uid(7), Served::Only(7)).is_ok();
        assert!((0..10_000).all(own), "one's own authority has no such limit");
    }

    #[test]
    fn places_are_given_back() {
        let seats = Seats::new(12, 2);
        let (a, b) = (Whose::of(remote("192.0.2.1")), Whose::of(remote("198.51.100.2")));
        let first = seats.take(a.clone(), false).ok();
        let second = seats.take(a.clone(), false).ok();
        assert!(matches!(seats.take(a.clone(), false), Err(Full::Each)));
        let many: Vec<_> = (0..10).map(|_| seats.take(b.clone(), true).ok()).collect();
        assert!(first.is_some() && second.is_some() && many.iter().all(Option::is_some));
        assert!(matches!(seats.take(b.clone(), false), Err(Full::InAll)));
        drop((first, many));
        assert!(seats.take(a.clone(), false).is_ok());
    }

    #[test]
    fn one_who_has_a_site_leaves_places_for_others() {
        let seats = Seats::new(1000, 256);
        let site = |network: u16| Whose::of(remote(&format!("2001:db8:1:{network:x}::1")));
        let held: Vec<_> = (0..2000).filter_map(|network| seats.take(site(network), false).ok()).collect();
        assert!((200..=700).contains(&held.len()), "{}", held.len());
        let other: Vec<_> = (0..50).map_while(|_| seats.take(Whose::of(remote("192.0.2.1")), false).ok()).collect();
        assert!(other.len() >= 8, "{}", other.len());
    }
}
