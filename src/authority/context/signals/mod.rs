//! Risk: named signals, no weights, each with a sentence that a person can be told. **A new signal is one file** beside this
//! one, and a line in the table below; lists, tables of cases, the manual and the schema have it from there.

mod burst;
mod first_use_of_resource;
mod impossible_travel;
mod lost_source;
mod new_country;
mod new_device;
mod new_key;
mod new_network;
mod recent_failures;
mod several_sessions;
mod stale_session;
mod unusual_hour;

use super::facts::Facts;
use crate::protocol::display::escaped;
use serde::{Deserialize, Deserializer};

/// What a signal is made of.
pub(super) struct Kind {
    /// The name in policies and in the log.
    name: &'static str,
    /// When it is seen, for the manual.
    meaning: &'static str,
    /// What it is seen by, for the manual.
    from: &'static str,
    /// For people, where nothing more is known. It may tell them of themselves, and nothing else: they may be somebody else.
    sentence: &'static str,
    /// Whether it is seen, and what people are told then. Nothing is asked here that is not in the facts.
    seen: fn(&Facts) -> Option<String>,
}

macro_rules! table {
    ($($signal:ident = $file:ident;)*) => {
        /// A risk signal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each is described in its file")]
        pub enum Signal {
            $($signal,)*
        }

        impl Signal {
            /// Every one there is.
            pub const ALL: [Self; [$(stringify!($signal)),*].len()] = [$(Self::$signal),*];

            const fn kind(self) -> &'static Kind {
                match self {
                    $(Self::$signal => &$file::KIND,)*
                }
            }
        }
    };
}

table! {
    FirstUseOfResource = first_use_of_resource;
    RecentFailures = recent_failures;
    NewDevice = new_device;
    NewNetwork = new_network;
    NewCountry = new_country;
    ImpossibleTravel = impossible_travel;
    UnusualHour = unusual_hour;
    Burst = burst;
    StaleSession = stale_session;
    NewKey = new_key;
    SeveralSessions = several_sessions;
    LostSource = lost_source;
}

impl Signal {
    /// The name in policies and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.kind().name
    }

    /// The one of this name.
    ///
    /// # Errors
    /// A sentence with those that there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|signal| signal.name() == name);
        found.ok_or_else(|| format!("no signal is called '{}'; there are {}", escaped(name), names()))
    }

    /// For people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.kind().sentence
    }

    /// When it is seen.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.kind().meaning
    }

    /// What it is seen by.
    #[must_use]
    pub const fn from(self) -> &'static str {
        self.kind().from
    }

    /// What people are told, where these facts show it.
    #[must_use]
    pub fn seen(self, facts: &Facts) -> Option<String> {
        (self.kind().seen)(facts)
    }
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::named(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
