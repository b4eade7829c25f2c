//! Somebody who has other devices comes with one that nobody touched a key on yet, not even to sign in, and that was seen
//! first less than a day ago; or a device says that it is a host which was never seen. What a device says makes it no older.

use super::Kind;
use crate::authority::context::facts::Facts;

/// Seconds for which a device without a touch is new.
const DAY: i64 = 86_400;

pub(super) const KIND: Kind = Kind {
    name: "new_device",
    meaning: "the sign-in is on a device that was first seen less than a day ago and on which no key was touched yet, \
              not even to sign in, or it says that it is another host than those before; a user's very first device is not new",
    from: "the history, by the proof key of the sign-in and the host name that it claims",
    sentence: "you are on a device that is new",
    seen: |facts| (has_new_key(facts) || is_new_host(facts)).then(|| KIND.sentence.to_owned()),
};

fn has_new_key(facts: &Facts) -> bool {
    let Some(device) = facts.device.as_ref().filter(|_| !facts.signed_in_by_key) else { return false };
    let known = facts.history.device(device);
    let is_new = known.is_none_or(|known| !known.touched && facts.now.as_second() - known.first < DAY);
    // The first one does not become new by a second.
    let is_earlier = |first: i64| known.is_none_or(|known| first < known.first);
    is_new && facts.history.other_devices(device).any(|other| is_earlier(other.first))
}

fn is_new_host(facts: &Facts) -> bool {
    facts.host.as_ref().is_some_and(|host| facts.history.is_new_host(host))
}
