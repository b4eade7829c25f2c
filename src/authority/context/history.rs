//! What is remembered of a user: a bounded number of devices and networks, and counters that decay. One small row each,
//! whatever they do and for however long. Pure: it is read with the request, and written with the entry of the log.

use crate::protocol::encoding::{base64url, sha256};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Entries of each list. One more, and the one that was not used for longest is forgotten.
const MOST: usize = 16;
/// Seconds after which an entry that was not used is forgotten.
const MEMORY: i64 = 90 * 86_400;
/// Days in which the habit of an hour loses half its weight.
const HALF_LIFE: f64 = 30.0;
/// What an hour of a day in which there was a grant weighs. Decay takes thousandths.
const HOUR: u32 = 1000;
/// Requests are counted by so many seconds.
pub const WINDOW: i64 = 600;
/// How slowly the habit follows: by one part in so many.
const SLOWNESS: i64 = 8;

/// Names a device, a host or a network in a history: without the key of the authority nobody tells which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name(String);

impl Name {
    /// Of a `value` of this `kind` that belongs to `sub`; another user's has another name.
    #[must_use]
    pub fn of(key: &[u8; 32], kind: &str, sub: &str, value: &str) -> Self {
        let mut name = base64url(sha256(&[key, kind.as_bytes(), &[0], sub.as_bytes(), &[0], value.as_bytes()]));
        name.truncate(16);
        Self(name)
    }
}

/// Something that was seen before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    #[serde(rename = "n")]
    name: Name,
    /// When it was seen first, Unix seconds.
    #[serde(rename = "f")]
    pub first: i64,
    /// When it was seen last.
    #[serde(rename = "l")]
    pub last: i64,
    /// Whether a security key was touched there.
    #[serde(rename = "t", default, skip_serializing_if = "std::ops::Not::not")]
    pub touched: bool,
    /// The network that it was last seen in.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Name>,
}

/// Where somebody was, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spot {
    /// North.
    pub latitude: f64,
    /// East.
    pub longitude: f64,
}

impl Spot {
    /// Whether there is such a place.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.latitude.abs() <= 90.0 && self.longitude.abs() <= 180.0
    }

    /// Kilometres to another one, over the great circle (haversine).
    #[must_use]
    pub fn kilometres_to(&self, other: &Self) -> f64 {
        const EARTH: f64 = 6371.0;
        let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
        let along = self.latitude.to_radians().cos() * other.latitude.to_radians().cos();
        let chord = half(self.latitude, other.latitude) + along * half(self.longitude, other.longitude);
        2.0 * EARTH * chord.clamp(0.0, 1.0).sqrt().asin()
    }
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    devices: Vec<Known>,
    hosts: Vec<Known>,
    networks: Vec<Known>,
    countries: Vec<Known>,
    /// How much each hour of the day, UTC, is one with grants.
    hours: [u32; 24],
    /// The last hour that was counted, in hours since 1970.
    hour: i64,
    /// On how many days there was a grant.
    days: u32,
    /// The window that is counted now, in windows since 1970.
    window: i64,
    /// Requests in it, and in the one before.
    counts: [u32; 2],
    /// Of those in it, the ones that were granted.
    granted: u32,
    /// How many are granted in a window that has any, in thousandths.
    habit: i64,
    /// Where the last grant went, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    spot: Option<(Spot, i64)>,
}

/// What one request adds to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// What was seen of it, where it was granted; nothing of what was refused becomes known.
    pub granted: Option<Granted>,
}

/// Where a grant went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Granted {
    /// By the touch of a key.
    pub touched: bool,
    /// The device's proof key.
    pub device: Option<Name>,
    /// What the device says that it is called.
    pub host: Option<Name>,
    /// Its network.
    pub network: Option<Name>,
    /// Its country; also that the file lists none for it.
    pub country: Option<Name>,
    /// Its place.
    pub spot: Option<Spot>,
}

impl History {
    /// The one that this happened to.
    #[must_use]
    pub fn after(mut self, happened: &Happened) -> Self {
        let now = happened.at.as_second();
        self.count(now, happened.granted.is_some());
        if let Some(granted) = &happened.granted {
            self.count_hour(now);
            let network = granted.network.as_ref();
            add(&mut self.devices, granted.device.as_ref(), network, granted.touched, now);
            add(&mut self.hosts, granted.host.as_ref(), None, granted.touched, now);
            add(&mut self.networks, network, None, granted.touched, now);
            add(&mut self.countries, granted.country.as_ref(), None, granted.touched, now);
            self.spot = granted.spot.map(|spot| (spot, now)).or(self.spot);
        }
        self
    }

    /// What was refused counts, and is nobody's habit.
    fn count(&mut self, now: i64, granted: bool) {
        let window = now.div_euclid(WINDOW);
        if window > self.window {
            if self.granted > 0 {
                self.habit += (i64::from(self.granted) * 1000 - self.habit) / SLOWNESS;
            }
            self.counts = [0, if window == self.window + 1 { self.counts[0] } else { 0 }];
            (self.window, self.granted) = (window, 0);
        }
        self.granted = self.granted.saturating_add(u32::from(granted));
        self.counts[0] = self.counts[0].saturating_add(1);
    }

    /// Each hour of each day counts once, so that one night's script is no habit.
    fn count_hour(&mut self, now: i64) {
        let hour = now.div_euclid(3600);
        if hour <= self.hour {
            return;
        }
        let (day, before) = (hour.div_euclid(24), self.hour.div_euclid(24));
        if day > before {
            self.days = self.days.saturating_add(1);
            self.decay(day - before);
        }
        self.hour = hour;
        let slot = &mut self.hours[usize::try_from(hour.rem_euclid(24)).unwrap_or_default()];
        *slot = slot.saturating_add(HOUR);
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "weights")]
    fn decay(&mut self, days: i64) {
        let left = 0.5_f64.powf(days as f64 / HALF_LIFE);
        for weight in &mut self.hours {
            *weight = (f64::from(*weight) * left) as u32;
        }
    }

    /// What is known of a device.
    #[must_use]
    pub fn device(&self, name: &Name) -> Option<&Known> {
        find(&self.devices, name)
    }

    /// The other devices.
    pub fn other_devices(&self, name: &Name) -> impl Iterator<Item = &Known> {
        self.devices.iter().filter(move |known| known.name != *name)
    }

    /// Whether a host that a device says it is was not seen, and others were.
    #[must_use]
    pub fn is_new_host(&self, name: &Name) -> bool {
        is_new(&self.hosts, name)
    }

    /// Whether a network was not seen, and others were.
    #[must_use]
    pub fn is_new_network(&self, name: &Name) -> bool {
        is_new(&self.networks, name)
    }

    /// Whether a country was not seen, and others were.
    #[must_use]
    pub fn is_new_country(&self, name: &Name) -> bool {
        is_new(&self.countries, name)
    }

    /// Where the last grant went whose place is known, and when.
    #[must_use]
    pub const fn last_spot(&self) -> Option<(Spot, i64)> {
        self.spot
    }

    /// On how many days there was a grant.
    #[must_use]
    pub const fn days(&self) -> u32 {
        self.days
    }

    /// How many hours with grants are remembered, and how many of them were about this hour of the day.
    #[must_use]
    pub fn hours_about(&self, hour: i8) -> (u32, u32) {
        let all: u32 = self.hours.iter().fold(0, |sum, weight| sum.saturating_add(*weight));
        let about = [23, 0, 1].map(|offset| self.hours[usize::try_from(hour + offset).unwrap_or_default() % 24]);
        (all / HOUR, about.iter().fold(0_u32, |sum, weight| sum.saturating_add(*weight)) / HOUR)
    }

    /// How many requests there were within the last window.
    #[must_use]
    pub fn recent(&self, now: Timestamp) -> i64 {
        let now = now.as_second();
        let left = WINDOW - now.rem_euclid(WINDOW);
        match now.div_euclid(WINDOW) - self.window {
            ..=0 => i64::from(self.counts[0]) + i64::from(self.counts[1]) * left / WINDOW,
            1 => i64::from(self.counts[0]) * left / WINDOW,
            2.. => 0,
        }
    }

    /// How many there are in a window that has any.
    #[must_use]
    pub const fn habit(&self) -> i64 {
        self.habit / 1000
    }
}

fn find<'a>(list: &'a [Known], name: &Name) -> Option<&'a Known> {
    list.iter().find(|known| known.name == *name)
}

fn is_new(list: &[Known], name: &Name) -> bool {
    !list.is_empty() && find(list, name).is_none()
}

fn add(list: &mut Vec<Known>, name: Option<&Name>, network: Option<&Name>, touched: bool, now: i64) {
    let Some(name) = name else { return };
    list.retain(|known| known.last > now - MEMORY);
    if let Some(known) = list.iter_mut().find(|known| known.name == *name) {
        known.last = known.last.max(now);
        known.touched |= touched;
        known.network = network.cloned().or(known.network.take());
        return;
    }
    if list.len() >= MOST
        && let Some(oldest) = (0..list.len()).min_by_key(|place| list[*place].last)
    {
        list.remove(oldest);
    }
    list.push(Known { name: name.clone(), first: now, last: now, touched, network: network.cloned() });
}

#[cfg(test)]
mod tests {
    use super::{Granted, Happened, History, MOST, Name, Spot};
    use jiff::Timestamp;

    fn name(value: &str) -> Name {
        Name::of(&[7; 32], "test", "uid:1", value)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn granted(second: i64, network: &str) -> Happened {
        let granted = Granted {
            touched: true,
            device: Some(name(network)),
            host: Some(name(network)),
            network: Some(name(network)),
            country: Some(name(network)),
            spot: Some(Spot { latitude: -33.123_456, longitude: 151.123_456 }),
        };
        Happened { at: at(second), granted: Some(granted) }
    }

    #[test]
    fn it_stays_small_whatever_happens() {
        let mut history = History::default();
        for number in 0..10_000 {
            history = history.after(&granted(1_700_000_000 + number * 977, &format!("network {number}")));
        }
        let text = serde_json::to_string(&history).unwrap();
        assert!(text.len() < 8192, "{}", text.len());
        assert_eq!(history.networks.len(), MOST);
        assert!(!history.is_new_network(&name("network 9999")) && history.is_new_network(&name("network 0")));
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
    }

    #[test]
    fn what_is_not_used_is_forgotten() {
        let history = History::default().after(&granted(0, "a")).after(&granted(91 * 86_400, "b"));
        assert!(history.is_new_network(&name("a")));
        assert!(history.device(&name("b")).is_some_and(|known| known.touched));
    }

    #[test]
    fn what_is_refused_is_counted_and_makes_nothing_known() {
        let mut history = History::default();
        for second in 0..30 {
            history = history.after(&Happened { at: at(6000 + second), granted: None });
        }
        assert_eq!(history.recent(at(6030)), 30);
        assert_eq!(history.recent(at(6900)), 15, "half of the window before has left");
        assert_eq!(history.recent(at(7200)), 0);
        assert_eq!(History { counts: [0; 2], window: 0, ..history }, History::default());
    }

    #[test]
    fn an_hour_of_a_day_counts_once_and_fades() {
        let mut history = History::default();
        for day in 0..20 {
            for minute in 0..30 {
                history = history.after(&granted((20_000 + day) * 86_400 + 9 * 3600 + minute * 60, "a"));
            }
        }
        let (all, about) = history.hours_about(10);
        assert!((14..20).contains(&all), "{all}");
        assert_eq!(all, about);
        assert_eq!(history.hours_about(23).1, 0);
        assert_eq!(history.days(), 20);
        let later = history.after(&granted(20_100 * 86_400 + 12 * 3600, "a"));
        assert!(later.hours_about(9).1 < 5);
    }
}
