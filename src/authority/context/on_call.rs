//! Who is on call, by a file: shifts with a name, a beginning, an end and somebody.

use super::sources::{Fault, read_schedule};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::path::Path;

/// The file.
pub struct Schedule {
    shifts: Vec<Shift>,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    shift: Vec<Shift>,
}

/// One shift.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shift {
    /// What for.
    name: String,
    /// A subject, or a group of the provider as `group:NAME`.
    who: String,
    #[serde(deserialize_with = "moment")]
    from: Timestamp,
    #[serde(deserialize_with = "moment")]
    until: Timestamp,
}

/// RFC 3339 with an offset, as text or as TOML's own.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Moment {
        Text(String),
        Own(toml::value::Datetime),
    }
    let text = match Moment::deserialize(deserializer)? {
        Moment::Text(text) => text,
        Moment::Own(moment) => moment.to_string(),
    };
    text.parse().map_err(|_| serde::de::Error::custom("a time is RFC 3339 with an offset, 2026-01-31T08:00:00+01:00"))
}

impl Schedule {
    /// Reads the file.
    ///
    /// # Errors
    /// Why there is none, and that in words.
    pub(super) fn load(file: &Path) -> Result<Self, (Fault, String)> {
        Self::parse(read_schedule(file)?)
    }

    fn parse(text: String) -> Result<Self, (Fault, String)> {
        let damaged = |reason: String| (Fault::Damaged, crate::protocol::display::escaped(&reason));
        let file: File = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(0, |span| crate::authority::rules::line_of(&text, span.start));
            damaged(format!("line {line}: {}", error.message()))
        })?;
        if let Some(shift) = file.shift.iter().find(|shift| shift.from >= shift.until) {
            return Err(damaged(format!("a shift of '{}' ends before it begins", shift.name)));
        }
        Ok(Self { shifts: file.shift, text })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What somebody is on call for now.
    ///
    /// # Errors
    /// [`Fault::Old`]: its last shift is over, so that nobody knows who is.
    pub(super) fn on_call(&self, is_meant: impl Fn(&str) -> bool, now: Timestamp) -> Result<BTreeSet<String>, Fault> {
        if self.shifts.iter().all(|shift| shift.until <= now) {
            return Err(Fault::Old);
        }
        let shifts = self.shifts.iter().filter(|shift| shift.from <= now && now < shift.until && is_meant(&shift.who));
        Ok(shifts.map(|shift| shift.name.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Schedule};

    const SHIFTS: &str = r#"
        [[shift]]
        name = "database"
        who = "uid:1"
        from = "2026-01-01T08:00:00+01:00"
        until = 2026-01-01T20:00:00+01:00

        [[shift]]
        name = "network"
        who = "group:night"
        from = "2026-01-01T19:00:00Z"
        until = "2026-01-02T07:00:00Z"
    "#;

    #[test]
    fn a_shift_has_a_beginning_and_an_end() {
        let schedule = Schedule::parse(SHIFTS.to_owned()).unwrap();
        let of = |who: &str, now: &str| schedule.on_call(|entry| entry == who, now.parse().unwrap());
        for (who, now, names) in [
            ("uid:1", "2026-01-01T06:59:59Z", vec![]),
            ("uid:1", "2026-01-01T07:00:00Z", vec!["database"]),
            ("uid:2", "2026-01-01T07:00:00Z", vec![]),
            ("uid:1", "2026-01-01T18:59:59Z", vec!["database"]),
            ("uid:1", "2026-01-01T19:00:00Z", vec![]),
            ("group:night", "2026-01-02T06:59:59Z", vec!["network"]),
        ] {
            assert_eq!(of(who, now).unwrap().into_iter().collect::<Vec<_>>(), names, "{who} {now}");
        }
        assert_eq!(of("group:night", "2026-01-02T07:00:00Z"), Err(Fault::Old));
    }

    #[test]
    fn one_that_can_not_be_told_is_damaged_and_says_where() {
        for (text, says) in [
            ("\nshift = 3\n", "line 2: "),
            (
                "[[shift]]\nname = 'a'\nwho = 'b'\nfrom = '2026-01-01T08:00:00'\nuntil = '2026-01-01T09:00:00Z'",
                "line 4: a time is RFC 3339",
            ),
            (
                "[[shift]]\nname = 'a'\nwho = 'b'\nfrom = '2026-01-01T08:00:00Z'\nuntil = '2026-01-01T08:00:00Z'",
                "ends before it begins",
            ),
            ("[[shift]]\nname = 'a'\nwhom = 'b'\n", "line 3: unknown field"),
        ] {
            let Err((fault, reason)) = Schedule::parse(text.to_owned()) else { panic!("{text}") };
            assert_eq!(fault, Fault::Damaged);
            assert!(reason.contains(says), "{reason}");
        }
        let empty = Schedule::parse(String::new()).unwrap();
        assert_eq!(empty.on_call(|_| true, jiff::Timestamp::UNIX_EPOCH), Err(Fault::Old), "nobody knows who is");
    }
}
