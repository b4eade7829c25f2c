//! More at once than this user ever does: a program has their session.

use super::Kind;
use crate::authority::context::facts::Facts;

/// Fewer in ten minutes are nobody's burst.
const FEWEST: i64 = 30;
/// So many times the habit is above it.
const TIMES: i64 = 4;

pub(super) const KIND: Kind = Kind {
    name: "burst",
    meaning: "this user had thirty or more grants and refusals within ten minutes, and four times as many as they usually have \
              in ten minutes in which they have any",
    from: "the history, which counts them by ten minutes",
    sentence: "you asked for far more in the last ten minutes than you usually do",
    seen: |facts| is_burst(facts).then(|| KIND.sentence.to_owned()),
};

fn is_burst(facts: &Facts) -> bool {
    facts.history.recent(facts.now) >= FEWEST.max(TIMES * facts.history.habit())
}
