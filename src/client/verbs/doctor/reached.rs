//! An authority that others see to: how it is reached, what vouches for it, whether it is the one that is trusted, and
//! who is signed in there.

use super::authority::skew;
use super::{Enrolled, Finding, Here};
use crate::client::Device;
use crate::client::error::Error;
use crate::client::introduction;
use crate::client::patience::Patience;
use crate::client::presence::Presence;
use crate::client::terminal::Terminal;
use crate::client::transport::Transport;
use crate::client::trust::Trust;
use crate::clock::Clock;
use crate::protocol::messages::{EnrolledKey, ErrorCode};
use reqwest::Method;

const SIGN_IN: &str = "sign-in";

/// The way to it, who answers, its clock; then which keys are enrolled. First contact is left to those who use it.
pub fn authority(here: &Here) -> (Vec<Finding>, Enrolled) {
    const NAME: &str = "authority";
    let (clock, patience) = (Clock::system(), Patience::Nobody);
    let mut findings = Vec::new();
    let mut look = || {
        let trust = Trust::of(&here.places, &here.authority);
        let transport = Transport::open(&here.authority, &here.places, &here.config, patience, None)?;
        let path = introduction::path(&here.authority);
        let seen = introduction::read(&here.authority, &transport.send(&|| transport.request(Method::GET, &path))?)?;
        let known = trust.known()?.is_some();
        let mut details = vec![match trust.since() {
            Some(since) if known => format!("{}, trusted since {since}", seen.issuer),
            Some(_) | None => format!("{}, which this device has not used yet", seen.issuer),
        }];
        if known {
            trust.check(seen)?;
        }
        details.extend(way(&transport));
        findings.push(Finding::good(NAME, format!("{} answers", here.authority)).with(details));
        findings.extend(transport.date().map(|date| skew(date, clock.now())));
        if known { signed_in(here, &mut findings).map(Some) } else { Ok(None) }
    };
    let enrolled = look().unwrap_or_else(|error: Error| {
        let name = if error.code == ErrorCode::NotSignedIn { SIGN_IN } else { NAME };
        findings.push(Finding::bad(name, error));
        None
    });
    (findings, enrolled)
}

/// The keys of whoever is signed in, or else of this account, which on a socket is who asks.
fn signed_in(here: &Here, findings: &mut Vec<Finding>) -> Result<Vec<EnrolledKey>, Error> {
    let silent = Terminal { json: true, quiet: true, ..Terminal::default() };
    let device = Device::new(here.places.clone(), Some(&here.authority), silent, true, Presence::Person)?;
    let keys = device.api()?.keys()?;
    findings.extend(device.session()?.map(|session| {
        Finding::good(SIGN_IN, format!("you are {}", session.subject))
            .with(vec![format!("until {} at the latest", session.expires_at)])
    }));
    Ok(keys)
}

/// What lies between, and what vouches for the other end.
fn way(transport: &Transport) -> Vec<String> {
    let mut lines = Vec::new();
    match (transport.proxy(), transport.peer()) {
        (Some(proxy), _) => lines.push(format!("through the proxy {proxy}")),
        (None, Some(peer)) => lines.push(format!("directly, at {peer}")),
        // A socket's other end has no address.
        (None, None) => {}
    }
    if let Some(certified) = transport.certified() {
        let by = match &certified.by {
            Some(path) => path.display().to_string(),
            None => "this machine's roots".to_owned(),
        };
        let until = certified.until.map_or_else(String::new, |until| format!(" until {until}"));
        lines.push(format!("its certificate is good{until}, by {by}"));
    }
    lines.push(format!("protocol {}", crate::protocol::VERSION));
    lines
}
