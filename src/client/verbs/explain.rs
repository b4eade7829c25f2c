//! `elevate explain`: what would happen, and why.

use crate::client::Device;
use crate::client::error::Error;
use crate::client::suggestions;
use crate::client::terminal::width;
use crate::clock::human;
use crate::protocol::display::{escaped, wrapped};
use crate::protocol::messages::{DecisionName, Explanation};
use crate::protocol::names::ResourceName;
use serde_json::json;
use std::fmt::Write as _;

/// Columns before each value.
const INDENT: usize = 11;

pub fn run(device: &Device, resource: &ResourceName) -> Result<u8, Error> {
    let explained = device.explain(resource);
    let explanation = explained.map_err(|error| suggestions::with_nearest(device, resource, error))?;
    let answer = json!({
        "version": 1,
        "resource": explanation.resource,
        "decision": explanation.decision,
        "assurance": explanation.assurance,
        "max_ttl_s": explanation.max_ttl_s,
        "signals": explanation.signals,
        "policies": explanation.policies,
        "reasons": explanation.reasons,
        "ways_out": explanation.ways_out,
        "stale_rules": explanation.stale_rules,
    });
    device.terminal.answer(&answer, || text(&explanation, width()))?;
    Ok(0)
}

fn text(explanation: &Explanation, columns: u16) -> String {
    let room = usize::from(columns).saturating_sub(INDENT);
    let mut text = String::new();
    let takes = explanation.assurance.map_or("", |assurance| assurance.takes());
    let ttl = human(explanation.max_ttl_s);
    let _ = match explanation.decision {
        DecisionName::Permit => writeln!(text, "{}: granted as things are, for {ttl} at most", explanation.resource),
        DecisionName::StepUp => writeln!(text, "{}: takes {takes}, for {ttl} at most", explanation.resource),
        DecisionName::Approval => writeln!(text, "{}: somebody else has to approve", explanation.resource),
        DecisionName::Deny => writeln!(text, "{}: denied", explanation.resource),
    };
    let mut line = |name: &str, value: &str| {
        let lines = wrapped(&escaped(value), room).join(&format!("\n{:INDENT$}", ""));
        let _ = writeln!(text, "  {name:<9}{lines}");
    };
    for reason in &explanation.reasons {
        line("because", reason);
    }
    for policy in &explanation.policies {
        line("policy", policy);
    }
    for signal in &explanation.signals {
        line("signal", &format!("{}: {}", signal.name, signal.sentence));
    }
    for way in &explanation.ways_out {
        line("way out", way);
    }
    if let Some(stale) = &explanation.stale_rules {
        line("warning", &format!("the files on disk are broken, so older rules are in force: {stale}"));
    }
    text
}
