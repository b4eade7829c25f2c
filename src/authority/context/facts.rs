//! Everything that signals look at, looked up before: a signal asks nobody. The same facts give the same signals.

use super::history::{Granted, Happened, History, Name};
use super::origin::Network;
use super::signals::Signal;
use super::sources::{Looked, Lost, Place};
use jiff::Timestamp;
use std::net::IpAddr;

/// The facts of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// When it came.
    pub now: Timestamp,
    /// Whether the user ever had a grant for the resource.
    pub used_before: bool,
    /// How many proofs of the user failed within ten minutes.
    pub recent_failures: i64,
    /// How many seconds ago each of the user's keys was enrolled: the one that was last.
    pub youngest_key: Option<u64>,
    /// The same of the first.
    pub oldest_key: Option<u64>,
    /// How long ago the person showed the provider who they are, in seconds; `None` on a socket.
    pub sign_in_age: Option<u64>,
    /// Whether they signed in with a key of theirs, on this device.
    pub signed_in_by_key: bool,
    /// The device's proof key; `None` on a socket.
    pub device: Option<Name>,
    /// What the device says that it is called; `None` where it says nothing, or on a socket.
    pub host: Option<Name>,
    /// Where it comes from; `None` on a socket.
    pub origin: Option<Origin>,
    /// The user's history before it.
    pub history: History,
    /// Sources that can't answer, of those that matter to it.
    pub lost: Vec<Lost>,
}

/// An address, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// As the connection has it, or a trusted proxy.
    pub address: IpAddr,
    /// Its network.
    pub network: Network,
    /// The same, as the history names it.
    pub name: Name,
    /// Where it is.
    pub place: Looked<Place>,
    /// Its country, as the history names it; also that none is listed.
    pub country: Option<Name>,
    /// Its autonomous system.
    pub asn: Looked<u32>,
}

impl Facts {
    /// Of somebody who was never seen, on a socket, with a key that is a year old.
    #[must_use]
    pub fn plain(now: Timestamp) -> Self {
        Self {
            now,
            used_before: true,
            recent_failures: 0,
            youngest_key: Some(365 * 86_400),
            oldest_key: Some(365 * 86_400),
            sign_in_age: None,
            signed_in_by_key: false,
            device: None,
            host: None,
            origin: None,
            history: History::default(),
            lost: Vec::new(),
        }
    }

    /// How many seconds ago the device was seen first; 0 for one that was not.
    #[must_use]
    pub fn device_age(&self) -> Option<u64> {
        let known = self.history.device(self.device.as_ref()?);
        Some(known.map_or(0, |known| u64::try_from(self.now.as_second() - known.first).unwrap_or_default()))
    }

    /// What the history becomes by a grant. Where it came from becomes known by a touch, or where nothing about it was
    /// unusual: else whoever has a session would make themselves known by the first grant that takes no touch.
    #[must_use]
    pub fn granted(&self, touched: bool) -> Happened {
        let unusual = [Signal::NewNetwork, Signal::NewCountry, Signal::ImpossibleTravel];
        let is_usual = unusual.iter().all(|signal| signal.seen(self).is_none());
        let origin = self.origin.as_ref().filter(|_| touched || is_usual);
        Happened {
            at: self.now,
            granted: Some(Granted {
                touched,
                device: self.device.clone(),
                host: self.host.clone(),
                network: origin.map(|origin| origin.name.clone()),
                country: origin.and_then(|origin| origin.country.clone()),
                spot: origin.and_then(|origin| origin.place.found()?.spot),
            }),
        }
    }

    /// What it becomes by a refusal.
    #[must_use]
    pub const fn refused(&self) -> Happened {
        Happened { at: self.now, granted: None }
    }
}
