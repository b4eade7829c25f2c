//! The user works in two places at once: one of them may be somebody else.

use super::Kind;
use crate::authority::context::facts::Facts;

/// Seconds for which a device is in use after a grant.
const IN_USE: i64 = 1800;

pub(super) const KIND: Kind = Kind {
    name: "several_sessions",
    meaning: "another device of this user had a grant within half an hour, from another network",
    from: "the history, by the proof keys of sign-ins and their addresses",
    sentence: "you are signed in elsewhere, in another network, and had a grant there within half an hour",
    seen: |facts| is_elsewhere(facts).unwrap_or_default().then(|| KIND.sentence.to_owned()),
};

fn is_elsewhere(facts: &Facts) -> Option<bool> {
    let (device, here) = (facts.device.as_ref()?, &facts.origin.as_ref()?.name);
    let mut others = facts.history.other_devices(device);
    Some(others.any(|other| {
        facts.now.as_second() - other.last < IN_USE && other.network.as_ref().is_some_and(|there| there != here)
    }))
}
