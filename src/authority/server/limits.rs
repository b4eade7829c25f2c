//! Who may ask how much. Each caller has a budget of its own, so that one who floods uses up nobody else's.

use super::listen::Listen;
use crate::authority::caller::{Caller, Served};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

/// Requests a second of one account of this host, on a socket that serves all of them, and of one who is signed in.
const SUBJECT: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// How many seconds' worth may come at once.
const BURST: u32 = 4;
/// Budgets that are kept before full ones are thrown away.
const BUDGETS: usize = 4096;

/// Whose budget it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whose {
    Account(u32),
    SignedIn(String),
    Address(IpAddr),
}

/// The part of an address that one caller can't choose: of IPv6 the first 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

/// Requests.
pub struct Limits {
    subjects: DefaultKeyedRateLimiter<Whose>,
    addresses: DefaultKeyedRateLimiter<Whose>,
    clock: DefaultClock,
}

impl Limits {
    /// As configured.
    #[must_use]
    pub fn new(listen: Option<&Listen>) -> Self {
        let limiter =
            |each: NonZeroU32| RateLimiter::keyed(Quota::per_second(each).allow_burst(each.saturating_mul(burst())));
        Self {
            subjects: limiter(SUBJECT),
            addresses: limiter(listen.map_or(SUBJECT, |listen| listen.requests_per_second)),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one request out of the caller's budget.
    ///
    /// # Errors
    /// In how many seconds it is worth trying again.
    pub fn take(&self, caller: Caller, served: Served) -> Result<(), u64> {
        match (caller, served) {
            // Whoever floods an authority of their own is alone with it.
            (Caller::Peer(_), Served::Only(_)) | (Caller::Peer(None), Served::Everybody) => Ok(()),
            (Caller::Peer(Some(uid)), Served::Everybody) => self.take_of(&self.subjects, Whose::Account(uid)),
            (Caller::Remote(address), _) => self.take_of(&self.addresses, Whose::Address(network(address))),
        }
    }

    /// Takes one request out of the budget of somebody who is signed in, wherever they call from.
    ///
    /// # Errors
    /// In how many seconds it is worth trying again.
    pub fn take_of_signed_in(&self, sub: &str) -> Result<(), u64> {
        self.take_of(&self.subjects, Whose::SignedIn(sub.to_owned()))
    }

    fn take_of(&self, limiter: &DefaultKeyedRateLimiter<Whose>, whose: Whose) -> Result<(), u64> {
        if limiter.len() > BUDGETS {
            limiter.retain_recent();
        }
        limiter.check_key(&whose).map_err(|not_yet| not_yet.wait_time_from(self.clock.now()).as_secs() + 1)
    }
}

const fn burst() -> NonZeroU32 {
    NonZeroU32::new(BURST).unwrap()
}

/// Connections: so many in all, and so many of one address.
pub(super) struct Seats {
    taken: Mutex<Taken>,
    in_all: usize,
    each: usize,
}

#[derive(Default)]
struct Taken {
    in_all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place, given back with it.
pub(super) struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

/// Who already has all the places.
#[derive(Debug, Clone, Copy)]
pub(super) enum Full {
    /// Everybody together.
    House,
    /// The one address.
    Address,
}

impl Seats {
    pub(super) fn new(in_all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), in_all, each })
    }

    /// A place for a connection from `address`; `exempt` of its own limit where many callers stand behind it.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, exempt: bool) -> Result<Seat, Full> {
        let address = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.in_all >= self.in_all {
            return Err(Full::House);
        }
        let count = taken.by_address.get(&address).copied().unwrap_or_default();
        if count >= self.each && !exempt {
            return Err(Full::Address);
        }
        taken.in_all += 1;
        taken.by_address.insert(address, count + 1);
        Ok(Seat { seats: self.clone(), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.in_all -= 1;
        match taken.by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(taken.by_address.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Full, Limits, Seats};
    use crate::authority::caller::{Caller, Served};

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
        let seats = Seats::new(3, 2);
        let (a, b) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = seats.take(a, false).ok();
        let second = seats.take(a, false).ok();
        assert!(matches!(seats.take(a, false), Err(Full::Address)));
        let third = seats.take(b, false).ok();
        assert!(first.is_some() && second.is_some() && third.is_some());
        assert!(matches!(seats.take(b, false), Err(Full::House)));
        drop((first, third));
        assert!(seats.take(a, false).is_ok());
        drop(second);
        assert!(seats.taken.lock().unwrap().by_address.is_empty());
    }
}
