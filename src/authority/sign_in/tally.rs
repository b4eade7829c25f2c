//! How often something was done of late, by address: for what nobody has to be signed in to do. Looking and counting are
//! one step.
//!
//! Each node counts for itself. That is enough: with N nodes somebody may do it N times as often, and what they may do is
//! bounded far below what would harm. 40,000 beginnings in ten minutes are 40 MB of rows a node; 2,000 wrong device codes in
//! ten minutes, of 20^8, hit one of a hundred that wait once in a hundred thousand times.

use crate::authority::caller::Caller;
use crate::authority::shares::{Shares, networks};
use ipnet::IpNet;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Seconds that count.
const MEMORY: i64 = 600;

/// One kind of deed.
pub struct Tally(Mutex<Deeds>);

struct Deeds {
    shares: Shares<IpNet>,
    /// Whose and when, the oldest first.
    done: VecDeque<(IpAddr, i64)>,
}

impl Tally {
    /// Everybody together may do it so often in ten minutes.
    pub(super) fn new(in_all: usize) -> Self {
        Self(Mutex::new(Deeds { shares: Shares::new(in_all), done: VecDeque::new() }))
    }

    /// Whether this caller, who may do it `own` times in ten minutes and has no more than a share, may do it once more. If
    /// so it is done.
    pub(super) fn take(&self, caller: Caller, now: Timestamp, own: usize) -> bool {
        let mut deeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((address, at)) = deeds.done.front().copied()
            && at <= now.as_second() - MEMORY
        {
            deeds.done.pop_front();
            deeds.shares.give_back(&networks(address));
        }
        let address = address_of(caller);
        let is_free = deeds.shares.take(&networks(address), own).is_ok();
        if is_free {
            deeds.done.push_back((address, now.as_second()));
        }
        is_free
    }

    /// What was taken last by this caller was nothing to count.
    pub(super) fn give_back(&self, caller: Caller) {
        let mut deeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = address_of(caller);
        if let Some(last) = deeds.done.iter().rposition(|(whose, _)| *whose == address) {
            deeds.done.remove(last);
            deeds.shares.give_back(&networks(address));
        }
    }
}

/// Each account on a socket has a network of its own.
fn address_of(caller: Caller) -> IpAddr {
    match caller {
        Caller::Peer(uid) => IpAddr::V6(Ipv6Addr::from_bits(0xfd << 120 | u128::from(uid.unwrap_or(u32::MAX)) << 80)),
        Caller::Remote(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use crate::authority::caller::Caller;
    use jiff::Timestamp;

    #[test]
    fn what_was_done_counts_for_ten_minutes() {
        let tally = Tally::new(1000);
        let caller = |address: &str| Caller::Remote(address.parse().unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(tally.take(caller("192.0.2.7"), at(0), 2) && tally.take(caller("192.0.2.7"), at(1), 2));
        assert!(!tally.take(caller("192.0.2.7"), at(2), 2) && tally.take(caller("198.51.100.8"), at(2), 2));
        tally.give_back(caller("192.0.2.7"));
        assert!(tally.take(caller("192.0.2.7"), at(3), 2) && !tally.take(caller("192.0.2.7"), at(599), 2));
        assert!(tally.take(caller("192.0.2.7"), at(600), 2));
    }

    #[test]
    fn a_whole_site_leaves_room_for_others() {
        let tally = Tally::new(1000);
        let now = Timestamp::UNIX_EPOCH;
        let taken = (0..65_536_u32).filter(|network| {
            let address = format!("2001:db8:1:{network:x}::1").parse().unwrap();
            tally.take(Caller::Remote(address), now, 10)
        });
        assert!(taken.count() <= 160, "sixteen times what one may");
        for other in ["2001:db8:2::1", "2001:db9::1", "192.0.2.7"] {
            let other = Caller::Remote(other.parse().unwrap());
            assert!(tally.take(other, now, 10));
        }
    }
}
