//! Resources that nobody can reach, whatever they prove; and those that more can than somebody may have meant.

use super::verdict::{Answered, quoted};
use super::{CONFIG, Warning};
use crate::authority::authoring::answer::Answer;
use crate::authority::authoring::space::{Choice, Space};
use crate::authority::rules::{Rules, line_of};
use crate::protocol::assurance::Assurance;
use crate::protocol::names::ResourceName;
use std::collections::BTreeSet;

/// Those that are alike together, with the reason.
pub fn unreachable(answered: &Answered, space: &Space, rules: &Rules) -> Vec<Warning> {
    let what = space.axes().first().into_iter().flat_map(|axis| &axis.choices).zip(0_u16..);
    let warn = |(choice, number): (&Choice, u16)| {
        let declared = choice.names.iter().filter(|name| rules.config.resources.keys().any(|it| it.as_str() == *name));
        let names: Vec<&str> = declared.map(String::as_str).collect();
        let (first, says) = (names.first()?, why(&answered.about(number), rules)?);
        let says = format!("nobody can reach {}: {says}", quoted(&names));
        Some(Warning { file: CONFIG, line: line(&rules.texts[0], first), says })
    };
    what.filter_map(warn).collect()
}

/// Those that every workload gets, whoever vouches for it.
pub fn open_to_any_workload(rules: &Rules) -> Vec<Warning> {
    if rules.config.trusted_issuers.is_empty() {
        return Vec::new();
    }
    let warn = |name: &ResourceName| Warning {
        file: CONFIG,
        line: line(&rules.texts[0], name.as_str()),
        says: format!("'{name}' is permitted to workloads of every trusted issuer: name the issuer in the policy"),
    };
    rules.open_to_any_workload().map(warn).collect()
}

fn why(answers: &[&Answer], rules: &Rules) -> Option<String> {
    if answers.iter().all(|answer| !answer.is_permitted()) {
        let causes: BTreeSet<String> = answers.iter().filter_map(|answer| cause(answer)).collect();
        return Some(causes.into_iter().take(3).collect::<Vec<_>>().join("; "));
    }
    let lowest = answers.iter().filter_map(|answer| match answer {
        Answer::Permitted { assurance, .. } => Some(*assurance),
        Answer::Denied { .. } | Answer::NotDeclared => None,
    });
    let needs_hardware = lowest.min() == Some(Assurance::VerifiedHardware);
    (needs_hardware && rules.config.attestation.is_empty()).then(|| {
        "it takes verified_hardware, and no key is known to be hardware: [attestation] names nobody".to_owned()
    })
}

fn cause(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Denied { policies, cause } if policies.is_empty() => Some(cause.clone()),
        Answer::Denied { policies, cause } => {
            let ids: Vec<&str> = policies.iter().map(String::as_str).collect();
            Some(format!("{} ({cause})", quoted(&ids)))
        }
        Answer::Permitted { .. } | Answer::NotDeclared => None,
    }
}

fn line(text: &str, name: &str) -> usize {
    let headers = [format!("[resource.{name}]"), format!("[resource.\"{name}\"]")];
    headers.iter().find_map(|header| text.find(header)).map_or(1, |offset| line_of(text, offset))
}
