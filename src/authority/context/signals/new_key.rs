//! Every key of this user was enrolled lately: somebody else may have done it.

use super::Kind;

/// Seconds for which a key is new.
const DAY: u64 = 86_400;

pub(super) const KIND: Kind = Kind {
    name: "new_key",
    meaning: "all of this user's keys were enrolled less than a day ago",
    from: "the keys",
    sentence: "all of your keys were enrolled less than a day ago",
    seen: |facts| facts.oldest_key.is_some_and(|age| age < DAY).then(|| KIND.sentence.to_owned()),
};
