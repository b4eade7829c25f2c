//! What would be answered, and why, for a person: nothing is recorded, nothing happens.

use super::elevation::Foreseen;
use super::policy::{NotPermitted, Permitted};
use super::rules::RulesError;
use crate::protocol::assurance::Assurance;
use crate::protocol::messages::{DecisionName, Explanation};
use crate::protocol::names::ResourceName;

/// The rung, the policies that decided, each signal, and the ways out.
#[must_use]
pub fn explanation(name: &ResourceName, foreseen: &Foreseen, refused: Option<RulesError>) -> Explanation {
    let base = Explanation {
        resource: name.to_string(),
        decision: DecisionName::Deny,
        assurance: None,
        max_ttl_s: 0,
        signals: foreseen.context.observed.seen(),
        policies: Vec::new(),
        reasons: Vec::new(),
        ways_out: Vec::new(),
        stale_rules: refused.map(|error| error.to_string()),
    };
    match &foreseen.decision {
        Ok(permitted) => permitted_explanation(base, permitted, foreseen),
        Err(no) => denied_explanation(base, no),
    }
}

fn permitted_explanation(base: Explanation, permitted: &Permitted, foreseen: &Foreseen) -> Explanation {
    let assurance = permitted.assurance();
    Explanation {
        decision: if assurance == Assurance::Session { DecisionName::Permit } else { DecisionName::StepUp },
        assurance: Some(assurance),
        max_ttl_s: permitted.ttl(),
        policies: permitted.policies().to_vec(),
        reasons: permitted.reasons().to_vec(),
        ways_out: foreseen.way_out.iter().cloned().collect(),
        ..base
    }
}

fn denied_explanation(base: Explanation, no: &NotPermitted) -> Explanation {
    let way_out = if no.policies.is_empty() {
        "whoever runs the authority can add a `permit` to policy.cedar"
    } else {
        "whoever runs the authority can change the policies named here"
    };
    Explanation {
        policies: no.policies.clone(),
        reasons: vec![no.cause.clone()],
        ways_out: vec![way_out.to_owned()],
        ..base
    }
}
