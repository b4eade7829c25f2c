//! `[risk]` of `authority.toml`: the files that say where an address is and who is on call. One that can't answer stops
//! nobody from starting, but what it would have said is taken for the worse, and it is said so.

use super::history::Spot;
use super::on_call::Schedule;
use super::signals::Signal;
use crate::files::{check_trusted, read_trusted_bytes};
use jiff::Timestamp;
use maxminddb::Reader;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The biggest files of addresses there are take some hundred megabytes.
const ADDRESSES_MAX: u64 = 512 << 20;
/// A schedule of more than this is none.
const SCHEDULE_MAX: u64 = 1 << 20;
/// Seconds after which a file of addresses says nothing any more: networks move.
const ADDRESSES_AGE: i64 = 90 * 86_400;

/// The table of the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskConfig {
    /// Signals that nobody is told of, and no policy.
    #[serde(default)]
    pub off: BTreeSet<Signal>,
    /// An MMDB with countries, and with places where it has them; relative to `authority.toml`.
    #[serde(default)]
    pub country_file: Option<PathBuf>,
    /// An MMDB with autonomous systems; relative to `authority.toml`.
    #[serde(default)]
    pub asn_file: Option<PathBuf>,
    /// Who is on call and when; relative to `authority.toml`.
    #[serde(default)]
    pub on_call_file: Option<PathBuf>,
}

impl RiskConfig {
    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.country_file, &self.asn_file, &self.on_call_file].into_iter().flatten()
    }
}

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// `country_file`.
    Country,
    /// `asn_file`.
    Asn,
    /// `on_call_file`.
    OnCall,
}

impl Source {
    const fn key(self) -> &'static str {
        match self {
            Self::Country => "country_file",
            Self::Asn => "asn_file",
            Self::OnCall => "on_call_file",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Country => "the country file",
            Self::Asn => "the file of autonomous systems",
            Self::OnCall => "the on-call schedule",
        }
    }
}

/// Why a source can't answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// There is no such file.
    Missing,
    /// It can't be read, or others could have written it.
    Unreadable,
    /// It holds something else than it should.
    Damaged,
    /// It is of another time.
    Old,
}

/// A source that can't answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lost {
    /// Which.
    pub source: Source,
    /// Why.
    pub fault: Fault,
}

/// For the person whose request it is: no path, and nothing of what is in it.
impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self.fault {
            Fault::Missing => "is missing",
            Fault::Unreadable => "can't be read",
            Fault::Damaged => "is damaged",
            Fault::Old => "is too old",
        };
        write!(f, "{} {fault}", self.source.name())
    }
}

/// What a source says.
#[derive(Debug, Clone, PartialEq)]
pub enum Looked<T> {
    /// It was not asked: none is configured, or there is no address.
    NotAsked,
    /// It lists nothing.
    Unlisted,
    /// This.
    Found(T),
    /// It can't answer.
    Lost(Lost),
}

impl<T> Looked<T> {
    /// What was found.
    pub const fn found(&self) -> Option<&T> {
        match self {
            Self::Found(found) => Some(found),
            Self::NotAsked | Self::Unlisted | Self::Lost(_) => None,
        }
    }

    /// Why it can't answer.
    pub const fn lost(&self) -> Option<Lost> {
        match self {
            Self::Lost(lost) => Some(*lost),
            Self::NotAsked | Self::Unlisted | Self::Found(_) => None,
        }
    }
}

/// Where an address is.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// ISO 3166-1, two letters.
    pub country: String,
    /// Where about, if the file has it.
    pub spot: Option<Spot>,
}

/// The files, as they were when the rules were read.
#[derive(Default)]
pub struct Sources {
    country: Option<Result<Addresses, Fault>>,
    asn: Option<Result<Addresses, Fault>>,
    on_call: Option<Result<Schedule, Fault>>,
}

impl Sources {
    /// Reads what `config` names below `directory`; what can't be read is said, and lost.
    #[must_use]
    pub fn load(directory: &Path, config: &RiskConfig) -> Self {
        let addresses = |source: Source, file: &Option<PathBuf>| {
            let file = directory.join(file.as_ref()?);
            Some(said(source, &file, Addresses::load(&file)))
        };
        let on_call = config.on_call_file.as_ref().map(|file| {
            let file = directory.join(file);
            said(Source::OnCall, &file, Schedule::load(&file))
        });
        Self {
            country: addresses(Source::Country, &config.country_file),
            asn: addresses(Source::Asn, &config.asn_file),
            on_call,
        }
    }

    /// The text of the schedule: part of what the rules are.
    #[must_use]
    pub fn schedule(&self) -> &str {
        self.on_call.as_ref().and_then(|schedule| schedule.as_ref().ok()).map_or("", Schedule::text)
    }

    /// In which country an address is.
    #[must_use]
    pub fn place(&self, address: IpAddr, now: Timestamp) -> Looked<Place> {
        ask(Source::Country, self.country.as_ref(), address, now, |found: CountryRecord| {
            let country = found.country.or(found.registered_country)?.iso_code?;
            let spot = found.location.and_then(|location| {
                Some(Spot { latitude: location.latitude?, longitude: location.longitude? }).filter(Spot::is_one)
            });
            Some(Place { country, spot })
        })
    }

    /// Of which autonomous system it is.
    #[must_use]
    pub fn asn(&self, address: IpAddr, now: Timestamp) -> Looked<u32> {
        ask(Source::Asn, self.asn.as_ref(), address, now, |found: AsnRecord| found.autonomous_system_number)
    }

    /// What somebody is on call for, whom `is_meant` knows; nobody is, where that can't be told.
    ///
    /// # Errors
    /// [`Lost`].
    pub fn on_call(&self, is_meant: impl Fn(&str) -> bool, now: Timestamp) -> Result<BTreeSet<String>, Lost> {
        let lost = |fault| Lost { source: Source::OnCall, fault };
        match &self.on_call {
            None => Ok(BTreeSet::new()),
            Some(Err(fault)) => Err(lost(*fault)),
            Some(Ok(schedule)) => schedule.on_call(is_meant, now).map_err(lost),
        }
    }

    /// Every one that can't answer now.
    #[must_use]
    pub fn lost(&self, now: Timestamp) -> Vec<Lost> {
        let of = |source, addresses: Option<&Result<Addresses, Fault>>| {
            let fault =
                addresses.and_then(|addresses| addresses.as_ref().map_or_else(|it| Some(*it), |it| it.age(now)));
            fault.map(|fault| Lost { source, fault })
        };
        let on_call = self.on_call(|_| false, now).err();
        [of(Source::Country, self.country.as_ref()), of(Source::Asn, self.asn.as_ref()), on_call]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// One line for whoever runs the authority, once for each time that the files are read.
fn said<T>(source: Source, file: &Path, loaded: Result<T, (Fault, String)>) -> Result<T, Fault> {
    loaded.map_err(|(fault, reason)| {
        let lost = Lost { source, fault };
        let (key, file) = (source.key(), file.display());
        tracing::warn!(key, %file, reason, "{lost}: what it would have said is taken for the worse");
        fault
    })
}

fn ask<'a, R: Deserialize<'a>, T>(
    source: Source,
    addresses: Option<&'a Result<Addresses, Fault>>,
    address: IpAddr,
    now: Timestamp,
    found: impl FnOnce(R) -> Option<T>,
) -> Looked<T> {
    let answer = match addresses {
        None => return Looked::NotAsked,
        Some(Err(fault)) => Err(*fault),
        Some(Ok(addresses)) => addresses.look(address, now),
    };
    match answer {
        Ok(record) => record.and_then(found).map_or(Looked::Unlisted, Looked::Found),
        Err(fault) => Looked::Lost(Lost { source, fault }),
    }
}

/// A file in the format of `MaxMind`'s databases.
struct Addresses {
    reader: Reader<Vec<u8>>,
    /// Whether its age was said.
    old: AtomicBool,
}

impl Addresses {
    fn load(file: &Path) -> Result<Self, (Fault, String)> {
        let bytes = read(file, ADDRESSES_MAX)?;
        let damaged = |error: maxminddb::MaxMindDbError| (Fault::Damaged, error.to_string());
        let reader = Reader::from_source(bytes).map_err(damaged)?;
        Ok(Self { reader, old: AtomicBool::new(false) })
    }

    fn age(&self, now: Timestamp) -> Option<Fault> {
        let built = i64::try_from(self.reader.metadata().build_epoch).unwrap_or(i64::MAX);
        (now.as_second().saturating_sub(built) > ADDRESSES_AGE).then_some(Fault::Old)
    }

    fn look<'a, R: Deserialize<'a>>(&'a self, address: IpAddr, now: Timestamp) -> Result<Option<R>, Fault> {
        if let Some(old) = self.age(now) {
            if !self.old.swap(true, Ordering::Relaxed) {
                let kind = &self.reader.metadata().database_type;
                tracing::warn!(kind, "a file of addresses is too old: what it would have said is taken for the worse");
            }
            return Err(old);
        }
        // A file for IPv4 alone does not know where an IPv6 address is, and says so by an error.
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(None);
        }
        let found = self.reader.lookup(address).and_then(|found| found.decode());
        found.map_err(|_| Fault::Damaged)
    }
}

#[derive(Deserialize)]
struct CountryRecord {
    country: Option<CountryName>,
    registered_country: Option<CountryName>,
    location: Option<Location>,
}

#[derive(Deserialize)]
struct CountryName {
    iso_code: Option<String>,
}

#[derive(Deserialize)]
struct Location {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

#[derive(Deserialize)]
struct AsnRecord {
    autonomous_system_number: Option<u32>,
}

/// The bytes of a file that nobody else could have written.
pub(super) fn read(file: &Path, max: u64) -> Result<Vec<u8>, (Fault, String)> {
    let unreadable = |fault: crate::files::FileFault| (Fault::Unreadable, fault.reason);
    let missing = || (Fault::Missing, "it does not exist".to_owned());
    match file.parent() {
        Some(directory) if !directory.exists() => return Err(missing()),
        Some(directory) => check_trusted(directory).map_err(unreadable)?,
        None => {}
    }
    read_trusted_bytes(file, max).map_err(unreadable)?.ok_or_else(missing)
}

/// The text of a schedule.
pub(super) fn read_schedule(file: &Path) -> Result<String, (Fault, String)> {
    String::from_utf8(read(file, SCHEDULE_MAX)?).map_err(|_| (Fault::Damaged, "it is no UTF-8".to_owned()))
}
