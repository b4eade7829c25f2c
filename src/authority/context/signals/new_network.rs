//! The user had no grant from this network before, and had some from others.

use super::Kind;

pub(super) const KIND: Kind = Kind {
    name: "new_network",
    meaning: "the address is in a network (IPv4 /24, IPv6 /48) in which this user had no grant within 90 days; a user's very \
              first network is not new",
    from: "the history, by the address of the connection",
    sentence: "you were never seen in this network before",
    seen: |facts| {
        let origin = facts.origin.as_ref()?;
        let is_new = facts.history.is_new_network(&origin.name);
        is_new.then(|| format!("you were never seen in {} before", origin.network))
    },
};
