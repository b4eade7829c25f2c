//! Several proofs failed lately: somebody tries.

use super::Kind;

/// Failures within ten minutes from which on they are a signal.
const FAILURES: i64 = 3;

pub(super) const KIND: Kind = Kind {
    name: "recent_failures",
    meaning: "three or more step-ups failed within ten minutes",
    from: "the failures of the last ten minutes",
    sentence: "several step-ups failed in the last ten minutes",
    seen: |facts| (facts.recent_failures >= FAILURES).then(|| KIND.sentence.to_owned()),
};
