//! Whoever signed in may have left the device since.

use super::Kind;

/// Seconds after which a sign-in is old.
const OLD: u64 = 12 * 3600;

pub(super) const KIND: Kind = Kind {
    name: "stale_session",
    meaning: "the person showed the provider, or their key, who they are more than twelve hours ago",
    from: "the sign-in",
    sentence: "you signed in more than twelve hours ago",
    seen: |facts| facts.sign_in_age.is_some_and(|age| age > OLD).then(|| KIND.sentence.to_owned()),
};
