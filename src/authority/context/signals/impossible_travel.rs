//! Nobody gets from where the last grant went to here in the time between.

use super::Kind;
use crate::authority::context::facts::{Facts, Origin};
use crate::authority::context::sources::Looked;

/// Faster than airliners, in km/h.
const FASTEST: f64 = 1000.0;
/// Files of addresses are wrong by as much, in km.
const SLACK: f64 = 200.0;

pub(super) const KIND: Kind = Kind {
    name: "impossible_travel",
    meaning: "the place of the address is further from that of the last grant than 1000 km for each hour since, or the country \
              file can't say where it is; files without places show nothing of it",
    from: "the history and country_file, by the address of the connection",
    sentence: "you can't have come here in the time since you were last seen",
    seen: |facts| {
        let origin = facts.origin.as_ref()?;
        match &origin.place {
            Looked::NotAsked | Looked::Unlisted => None,
            Looked::Lost(lost) => Some(format!("your place could not be looked up: {lost}")),
            Looked::Found(_) => is_too_far(facts, origin).then(|| KIND.sentence.to_owned()),
        }
    },
};

#[allow(clippy::cast_precision_loss, reason = "seconds of a few years")]
fn is_too_far(facts: &Facts, origin: &Origin) -> bool {
    let Some(here) = origin.place.found().and_then(|place| place.spot) else { return false };
    let Some((there, at)) = facts.history.last_spot() else { return false };
    let hours = (facts.now.as_second() - at).max(0) as f64 / 3600.0;
    here.kilometres_to(&there) > SLACK + FASTEST * hours
}
