//! Names that policies have and nothing else does: most are mistyped.

use super::{POLICY, Statement, Warning};
use crate::authority::config::{Config, Sensitivity};
use crate::authority::context::Signal;
use crate::protocol::messages::{OperationName, ResourceKind};
use std::collections::BTreeSet;

/// Where names of one sort stand in policies, and which of them there are.
struct Sort<'a> {
    path: &'static str,
    is: &'static str,
    known: BTreeSet<&'a str>,
    /// Where one that is not known may come from all the same.
    otherwise: &'static str,
}

/// Names that nothing declares.
pub fn unknown(policy: &Statement, config: &Config) -> Vec<Warning> {
    let seen = &policy.vocabulary;
    let warn = |name: &str, says: String| Warning {
        file: POLICY,
        line: policy.line_of(&format!("\"{name}\"")),
        says: format!("'{}' names {says}", policy.id),
    };
    let mut found = Vec::new();
    for sort in sorts(config) {
        for name in seen.texts(sort.path).filter(|name| !name.is_empty() && !sort.known.contains(name)) {
            let there_are: Vec<&str> = sort.known.iter().copied().filter(|known| !known.is_empty()).collect();
            let there_are = match there_are.as_slice() {
                [] => "there is none".to_owned(),
                names if names.len() > 8 => format!("there are {} others", names.len()),
                names => format!("there is {}", names.join(", ")),
            };
            found.push(warn(name, format!("{} '{name}', and {there_are}{}", sort.is, sort.otherwise)));
        }
    }
    for name in seen.named("Resource").filter(|name| !config.resources.keys().any(|known| known.as_str() == *name)) {
        found.push(warn(name, format!("the resource '{name}', which authority.toml does not declare; the store may")));
    }
    if config.sign_in.is_none() {
        let groups = seen.texts("principal.groups");
        found.extend(
            groups.map(|name| warn(name, format!("the group '{name}', and without [sign_in] nobody has groups"))),
        );
    }
    found
}

fn sorts(config: &Config) -> Vec<Sort<'_>> {
    let resources = || config.resources.values();
    vec![
        Sort {
            path: "principal.roles",
            is: "the role",
            known: config.roles.keys().map(String::as_str).collect(),
            otherwise: " under [roles]",
        },
        Sort {
            path: "principal.issuer",
            is: "the trusted issuer",
            known: config.trusted_issuers.iter().map(|trusted| trusted.name.as_str()).collect(),
            otherwise: " under [[trusted_issuer]]",
        },
        Sort {
            path: "context.observed.signals",
            is: "the signal",
            known: Signal::ALL.iter().map(|signal| signal.name()).collect(),
            otherwise: "",
        },
        Sort {
            path: "context.asked.operation",
            is: "the operation",
            known: OperationName::ALL.iter().map(|operation| operation.name()).chain([""]).collect(),
            otherwise: "",
        },
        Sort {
            path: "resource.sensitivity",
            is: "the sensitivity",
            known: [Sensitivity::Low, Sensitivity::Sensitive, Sensitivity::Critical].map(Sensitivity::name).into(),
            otherwise: "",
        },
        Sort {
            path: "resource.kind",
            is: "the kind",
            known: [ResourceKind::Jwt, ResourceKind::Secret].map(ResourceKind::name).into(),
            otherwise: "",
        },
        Sort {
            path: "resource.environment",
            is: "the environment",
            known: resources().map(|resource| resource.environment.as_str()).collect(),
            otherwise: " in authority.toml; the store may have others",
        },
        Sort {
            path: "resource.tags",
            is: "the tag",
            known: resources().flat_map(|resource| resource.tags.iter().map(String::as_str)).collect(),
            otherwise: " in authority.toml; the store may have others",
        },
    ]
}
