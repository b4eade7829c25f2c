//! How often something was done of late, by address: for what nobody has to be signed in to do.

use crate::authority::caller::Caller;
use jiff::Timestamp;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Seconds that count.
const MEMORY: i64 = 600;

/// One kind of deed.
#[derive(Default)]
pub struct Tally(Mutex<HashMap<Option<IpAddr>, Vec<i64>>>);

impl Tally {
    /// Whether this caller did it as often as `own` in the last ten minutes, or all together as often as `all`.
    pub(super) fn is_full(&self, caller: Caller, now: Timestamp, own: usize, all: usize) -> bool {
        let mut deeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        deeds.retain(|_, times| {
            times.retain(|at| *at > now.as_second() - MEMORY);
            !times.is_empty()
        });
        deeds.get(&whose(caller)).is_some_and(|times| times.len() >= own)
            || deeds.values().map(Vec::len).sum::<usize>() >= all
    }

    /// It was done once more.
    pub(super) fn add(&self, caller: Caller, now: Timestamp) {
        let mut deeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        deeds.entry(whose(caller)).or_default().push(now.as_second());
    }
}

/// Whoever has an IPv6 address has a whole network of them.
fn whose(caller: Caller) -> Option<IpAddr> {
    match caller {
        Caller::Peer(_) => None,
        Caller::Remote(IpAddr::V4(address)) => Some(IpAddr::V4(address)),
        Caller::Remote(IpAddr::V6(address)) => {
            Some(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))))
        }
    }
}
