//! Places that strangers may take, so many in all. Whoever has many addresses has no more of them than their share: one
//! caller may have so many, and each wider network that they are in four times as many as the next one in it, or half of
//! all. The less others leave, the fewer may one more have: of all places by the fourth power (where half are left, a
//! sixteenth of what else were theirs), within a network in proportion. So there is a place for those who have none, unless
//! somebody has hundreds of providers' networks.

use ipnet::IpNet;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

/// Prefixes of the networks that an address is in: what a registry, a provider and a site hand on, and what a host has.
const IPV4: [u8; 2] = [24, 32];
const IPV6: [u8; 4] = [32, 48, 56, 64];

/// The networks that an address is in, the widest first. The last one is one caller: whoever has an IPv6 address has all
/// of its 64 bits.
#[must_use]
pub fn networks(address: IpAddr) -> Vec<IpNet> {
    let address = address.to_canonical();
    let prefixes = if address.is_ipv4() { &IPV4[..] } else { &IPV6[..] };
    prefixes.iter().filter_map(|prefix| IpNet::new(address, *prefix).ok()).map(|network| network.trunc()).collect()
}

/// The network that counts as one caller.
#[must_use]
pub fn caller_network(address: IpAddr) -> IpAddr {
    networks(address).last().map_or(address, IpNet::network)
}

/// Who already has the places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Everybody together.
    InAll,
    /// The one caller, or a network that they are in.
    Each,
}

/// Places, and who has them.
#[derive(Debug)]
pub struct Shares<K> {
    in_all: usize,
    taken: usize,
    by: HashMap<K, usize>,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// All free.
    #[must_use]
    pub fn new(in_all: usize) -> Self {
        Self { in_all, taken: 0, by: HashMap::new() }
    }

    fn has(&self, group: &K) -> usize {
        self.by.get(group).copied().unwrap_or_default()
    }

    /// Takes one for the last of `groups`, each of which is in the one before, and which may have `own` at most.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take(&mut self, groups: &[K], own: usize) -> Result<(), Full> {
        if self.taken >= self.in_all {
            return Err(Full::InAll);
        }
        let (mut around, mut around_has, mut power) = (self.in_all, self.taken, 4);
        for (inner, group) in (0..groups.len()).rev().zip(groups) {
            let (most, has) = (own.saturating_mul(1 << (2 * inner)).min(around.div_ceil(2)), self.has(group));
            let free = around.saturating_sub(around_has - has);
            if has >= share(most, free, around, power) {
                return Err(Full::Each);
            }
            (around, around_has, power) = (most, has, 1);
        }
        self.take_anyway(groups);
        Ok(())
    }

    fn take_anyway(&mut self, groups: &[K]) {
        self.taken += 1;
        for group in groups {
            *self.by.entry(group.clone()).or_default() += 1;
        }
    }

    /// Gives back one that was taken for these.
    pub fn give_back(&mut self, groups: &[K]) {
        self.taken = self.taken.saturating_sub(1);
        for group in groups {
            match self.by.get_mut(group) {
                Some(count) if *count > 1 => *count -= 1,
                Some(_) | None => drop(self.by.remove(group)),
            }
        }
    }
}

/// How many of `most` one may have where others leave `free` of `all`: never none while there is one.
fn share(most: usize, free: usize, all: usize, power: usize) -> usize {
    let part = |share: u128, _| share * free as u128 / (all as u128).max(1);
    usize::try_from((0..power).fold(most as u128, part)).unwrap_or(usize::MAX).max(free.min(1))
}

#[cfg(test)]
mod tests {
    use super::{Full, Shares, caller_network, networks};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    fn v6(site: u32, network: u16) -> IpAddr {
        let [a, b] = [u16::try_from(site >> 16).unwrap(), u16::try_from(site & 0xffff).unwrap()];
        Ipv6Addr::new(0x2001, 0xdb8 + a, b, network, 0, 0, 0, 1).into()
    }

    #[test]
    fn an_address_is_in_networks() {
        let shown = |address: &str| -> Vec<String> {
            networks(address.parse().unwrap()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(shown("192.0.2.7"), ["192.0.2.0/24", "192.0.2.7/32"]);
        assert_eq!(shown("::ffff:192.0.2.7"), ["192.0.2.0/24", "192.0.2.7/32"]);
        let expected = ["2001:db8::/32", "2001:db8:1::/48", "2001:db8:1:200::/56", "2001:db8:1:2ff::/64"];
        assert_eq!(shown("2001:db8:1:2ff:3:4:5:6"), expected);
        assert_eq!(caller_network("2001:db8:1:2ff:3:4:5:6".parse().unwrap()).to_string(), "2001:db8:1:2ff::");
        assert_eq!(caller_network("::ffff:192.0.2.7".parse().unwrap()).to_string(), "192.0.2.7");
    }

    #[test]
    fn whoever_is_alone_may_have_all_that_is_theirs() {
        for address in [v6(1, 1), Ipv4Addr::new(192, 0, 2, 1).into()] {
            let mut shares = Shares::new(10_000);
            let mut take = || shares.take(&networks(address), 300);
            assert!((0..300).all(|_| take().is_ok()) && take() == Err(Full::Each));
        }
    }

    #[test]
    fn whoever_has_a_site_or_a_hundred_providers_leaves_room_for_others() {
        for providers in [1, 100] {
            let mut shares = Shares::new(40_000);
            let mut take = |address| shares.take(&networks(address), 300);
            // One after the other takes what it can get, with every network of eight sites.
            for provider in 0..providers {
                for network in 0..2048 {
                    while take(v6(provider << 16 | network >> 8, u16::try_from(network & 255).unwrap())).is_ok() {}
                }
            }
            let enough = if providers == 1 { 20 } else { 1 };
            let mut others = vec![v6(200 << 16, 1), Ipv4Addr::new(192, 0, 2, 1).into()];
            // Of the same provider as well, where that alone is not so many times over.
            others.extend((providers == 1).then(|| v6(99, 1)));
            for other in others {
                let got = (0..enough).take_while(|_| take(other).is_ok()).count();
                assert_eq!(got, enough, "{providers} providers leave that to {other}");
            }
        }
    }

    #[test]
    fn places_are_given_back() {
        let mut shares = Shares::new(4);
        let (a, b) = (networks(Ipv4Addr::new(192, 0, 2, 1).into()), networks(Ipv4Addr::new(198, 51, 100, 1).into()));
        assert_eq!(shares.take(&a, 1), Ok(()));
        assert_eq!(shares.take(&a, 1), Err(Full::Each));
        for _ in 0..3 {
            shares.take_anyway(&b);
        }
        assert_eq!(shares.take(&networks(v6(0, 0)), 9), Err(Full::InAll));
        shares.give_back(&a);
        for _ in 0..3 {
            shares.give_back(&b);
        }
        assert!(shares.by.is_empty() && shares.taken == 0);
    }
}
