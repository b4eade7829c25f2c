//! The user had no grant from this country before, and had some from others.

use super::Kind;
use crate::authority::context::sources::Looked;

pub(super) const KIND: Kind = Kind {
    name: "new_country",
    meaning: "the address is in a country in which this user had no grant within 90 days, or the country file can't say in \
              which; addresses that it does not list are a country of their own",
    from: "the history and country_file, by the address of the connection",
    sentence: "you were never seen in this country before",
    seen: |facts| {
        let origin = facts.origin.as_ref()?;
        let is_new = || origin.country.as_ref().is_some_and(|country| facts.history.is_new_country(country));
        match &origin.place {
            Looked::NotAsked => None,
            Looked::Lost(lost) => Some(format!("your country could not be looked up: {lost}")),
            Looked::Unlisted => {
                is_new().then(|| "you were never seen at an address of no known country before".to_owned())
            }
            Looked::Found(place) => {
                is_new().then(|| format!("you were never seen in the country {} before", place.country))
            }
        }
    },
};
