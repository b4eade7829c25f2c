//! This user hardly ever works at this time of the day. Their own history says when they do: a night shift is no risk.

use super::Kind;
use crate::authority::context::facts::Facts;

/// Hours with grants, and days, without which there is no habit.
const ENOUGH: (u32, u32) = (20, 7);
/// Fewer than one in so many of a user's hours is unusual.
const SELDOM: u32 = 30;

pub(super) const KIND: Kind = Kind {
    name: "unusual_hour",
    meaning: "fewer than one in thirty of the hours in which this user had grants were about this hour of the day (UTC); it \
              takes seven days and twenty such hours of history",
    from: "the history, whose memory of an hour fades by half in thirty days",
    sentence: "you are hardly ever here at this time of the day",
    seen: |facts| is_unusual(facts).then(|| KIND.sentence.to_owned()),
};

fn is_unusual(facts: &Facts) -> bool {
    let hour = jiff::tz::TimeZone::UTC.to_datetime(facts.now).hour();
    let (all, about) = facts.history.hours_about(hour);
    let (hours, days) = ENOUGH;
    all >= hours && facts.history.days() >= days && about * SELDOM < all
}
