//! What holds whatever is known of a request: through the real signals and the real policy.

use elevate::authority::cases::Asked;
use elevate::authority::config::{Config, Sensitivity};
use elevate::authority::context::Signal;
use elevate::authority::context::facts::{Facts, Origin};
use elevate::authority::context::history::{Granted, Happened, History, Name, Spot};
use elevate::authority::context::origin::Network;
use elevate::authority::context::sources::{Fault, Looked, Lost, Place, Source};
use elevate::authority::policy::Policy;
use elevate::authority::rules::{DEFAULT_POLICY, DEFAULT_SCHEMA};
use elevate::protocol::assurance::Assurance;
use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::LazyLock;

static DEFAULT: LazyLock<Policy> = LazyLock::new(|| {
    Policy::parse(Path::new("policy.cedar"), DEFAULT_POLICY, Path::new("schema.cedarschema"), DEFAULT_SCHEMA).unwrap()
});
static CONFIG: LazyLock<Config> = LazyLock::new(|| Config::parse(Path::new("authority.toml"), "").unwrap());

/// Of a few of each kind, so that the known and the new both happen.
fn name(kind: &'static str) -> impl Strategy<Value = Option<Name>> {
    proptest::option::of((0..4).prop_map(move |number| Name::of(&[7; 32], kind, "anna", &format!("{number}"))))
}

prop_compose! {
    fn spots()(latitude in -90.0..90.0, longitude in -180.0..180.0) -> Spot {
        Spot { latitude, longitude }
    }
}

prop_compose! {
    fn grants()(
        touched: bool,
        device in name("device"),
        host in name("host"),
        network in name("network"),
        country in name("country"),
        spot in proptest::option::of(spots()),
    ) -> Granted {
        Granted { touched, device, host, network, country, spot }
    }
}

/// What happened, one thing after the other, until `now`.
fn histories(now: i64) -> impl Strategy<Value = History> {
    let gap = prop_oneof![0_i64..60, 0_i64..7200, 0_i64..10 * 86_400];
    proptest::collection::vec((gap, proptest::option::weighted(0.8, grants())), 0..60).prop_map(move |all| {
        let mut at = now - all.iter().map(|(gap, _)| gap).sum::<i64>();
        all.into_iter().fold(History::default(), |history, (gap, granted)| {
            at += gap;
            history.after(&Happened { at: Timestamp::from_second(at).unwrap(), granted })
        })
    })
}

fn places() -> impl Strategy<Value = Looked<Place>> {
    prop_oneof![
        Just(Looked::NotAsked),
        Just(Looked::Unlisted),
        ("[A-Z]{2}", proptest::option::of(spots())).prop_map(|(country, spot)| Looked::Found(Place { country, spot })),
    ]
}

prop_compose! {
    fn origins()(
        number: u32,
        name in name("network").prop_map(|name| name.unwrap_or_else(|| Name::of(&[7; 32], "network", "anna", "other"))),
        place in places(),
        country in name("country"),
        asn in prop_oneof![Just(Looked::NotAsked), Just(Looked::Unlisted), any::<u32>().prop_map(Looked::Found)],
    ) -> Origin {
        let address = IpAddr::from(number.to_be_bytes());
        let country = if place == Looked::NotAsked { None } else { country };
        Origin { address, network: Network::of(address), name, place, country, asn }
    }
}

const NOW: i64 = 1_767_268_800;

prop_compose! {
    fn facts()(
        used_before: bool,
        recent_failures in 0_i64..6,
        keys in proptest::option::of((0_u64..200_000, 0_u64..200_000)),
        sign_in_age in proptest::option::of(0_u64..100_000),
        signed_in_by_key: bool,
        device in name("device"),
        host in name("host"),
        origin in proptest::option::of(origins()),
        history in histories(NOW),
        hour in 0_i64..24,
    ) -> Facts {
        Facts {
            now: Timestamp::from_second(NOW + hour * 3600).unwrap(),
            used_before,
            recent_failures,
            youngest_key: keys.map(|(one, other)| one.min(other)),
            oldest_key: keys.map(|(one, other)| one.max(other)),
            sign_in_age,
            signed_in_by_key,
            device,
            host,
            origin,
            history,
            lost: Vec::new(),
        }
    }
}

fn faults() -> impl Strategy<Value = Fault> {
    proptest::sample::select(vec![Fault::Missing, Fault::Unreadable, Fault::Damaged, Fault::Old])
}

fn sensitivities() -> impl Strategy<Value = Sensitivity> {
    proptest::sample::select(vec![Sensitivity::Low, Sensitivity::Sensitive, Sensitivity::Critical])
}

/// The rung that is asked for; `None`, which is more than any, where nothing is enough.
fn rung(facts: &Facts, sensitivity: Sensitivity, off: &BTreeSet<Signal>) -> (u8, Option<Assurance>) {
    let mut asked = Asked { sensitivity, ..Asked::plain("thing".parse().unwrap()) };
    asked.context.observed.signals = facts.signals(off);
    let rung = asked.decide(&DEFAULT, &CONFIG).ok().map(|permitted| permitted.assurance());
    (u8::from(rung.is_none()), rung)
}

fn contains_all(more: &Facts, fewer: &Facts) -> bool {
    let more = more.signals(&BTreeSet::new());
    fewer.signals(&BTreeSet::new()).iter().all(|signal| more.contains(signal))
}

proptest! {
    /// A source that can't answer is never better for whoever asks than any answer of its.
    #[test]
    fn a_lost_source_never_lowers_the_rung(
        facts in facts(), fault in faults(), country: bool, asn: bool, on_call: bool, sensitivity in sensitivities(),
    ) {
        let mut lost = facts.clone();
        if let Some(origin) = &mut lost.origin {
            if country && origin.place != Looked::NotAsked {
                let it = Lost { source: Source::Country, fault };
                (origin.place, origin.country) = (Looked::Lost(it), None);
                lost.lost.push(it);
            }
            if asn && origin.asn != Looked::NotAsked {
                origin.asn = Looked::Lost(Lost { source: Source::Asn, fault });
                lost.lost.push(Lost { source: Source::Asn, fault });
            }
        }
        if on_call {
            lost.lost.push(Lost { source: Source::OnCall, fault });
        }
        prop_assert!(contains_all(&lost, &facts), "{facts:?}\n{lost:?}");
        let none = BTreeSet::new();
        prop_assert!(rung(&lost, sensitivity, &none) >= rung(&facts, sensitivity, &none));
    }

    /// What a device says of itself only ever adds.
    #[test]
    fn what_is_claimed_never_lowers_the_rung(facts in facts(), sensitivity in sensitivities()) {
        let silent = Facts { host: None, ..facts.clone() };
        prop_assert!(contains_all(&facts, &silent), "{facts:?}");
        let none = BTreeSet::new();
        prop_assert!(rung(&facts, sensitivity, &none) >= rung(&silent, sensitivity, &none));
    }

    /// One that is on is seen whatever else is off.
    #[test]
    fn a_signal_that_is_off_takes_none_of_the_others_with_it(
        facts in facts(), off in proptest::sample::subsequence(Signal::ALL.to_vec(), 0..=Signal::ALL.len()),
    ) {
        let off: BTreeSet<Signal> = off.into_iter().collect();
        let expected: Vec<Signal> =
            facts.signals(&BTreeSet::new()).into_iter().filter(|signal| !off.contains(signal)).collect();
        prop_assert_eq!(facts.signals(&off), expected);
    }

    /// No black box: the same facts, the same signals, and a sentence for each.
    #[test]
    fn the_same_facts_give_the_same_signals(facts in facts()) {
        let again = facts.clone();
        for signal in Signal::ALL {
            let said = signal.seen(&facts);
            prop_assert_eq!(&said, &signal.seen(&again));
            prop_assert!(said.is_none_or(|said| !said.is_empty() && !said.ends_with('.')));
        }
    }

    /// What was refused makes nothing known: it takes no signal away.
    #[test]
    fn asking_in_vain_takes_no_signal_away(facts in facts(), times in 1_usize..40) {
        let refused = (0..times).fold(facts.history.clone(), |history, _| history.after(&facts.refused()));
        let after = Facts { history: refused, ..facts.clone() };
        for signal in facts.signals(&BTreeSet::new()) {
            prop_assert!(signal.seen(&after).is_some(), "{signal:?}");
        }
    }

    /// After a grant that took a touch, what was new is not any more.
    #[test]
    fn a_touch_makes_known(facts in facts()) {
        let after = Facts { history: facts.history.clone().after(&facts.granted(true)), ..facts.clone() };
        let signals = after.signals(&BTreeSet::new());
        for signal in [Signal::NewDevice, Signal::NewNetwork, Signal::NewCountry, Signal::ImpossibleTravel] {
            prop_assert!(!signals.contains(&signal), "{signal:?}: {after:?}");
        }
    }
}
