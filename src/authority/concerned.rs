//! Policies by what they can concern, so that a question is not put to the thousands that are about something else. A policy
//! is left out only where Cedar itself would stop at its scope, or at the first thing that it wants of the resource.

use super::question::{Action, Target, action};
use cedar_policy::{ActionConstraint, EntityUid, Policy, PolicySet, ResourceConstraint};
use serde_json::Value;
use std::collections::HashMap;

/// The policies of a set.
#[derive(Default)]
pub struct Concerned(HashMap<(Action, About), PolicySet>);

/// What a policy is about, as far as that can be told before it is evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum About {
    Anything,
    Named(EntityUid),
    /// It begins with `resource.ATTRIBUTE == "TEXT"`.
    With(&'static str, String),
    /// It begins with `resource.tags.contains("TEXT")`.
    Tagged(String),
}

impl Concerned {
    /// Sorts the policies of a set.
    ///
    /// # Errors
    /// A sentence.
    pub fn of(policies: &PolicySet) -> Result<Self, String> {
        let mut concerned = Self::default();
        for policy in policies.policies() {
            let about = about(policy)?;
            for asked in Action::ALL {
                if !leaves_room(policy, &action(asked)?) {
                    continue;
                }
                let set = concerned.0.entry((asked, about.clone())).or_default();
                set.add(policy.clone()).map_err(|error| error.to_string())?;
            }
        }
        Ok(concerned)
    }

    /// Those that can say something to an action on a resource.
    ///
    /// # Errors
    /// A sentence.
    pub fn with<'a>(
        &'a self,
        action: Action,
        resource: &Target,
    ) -> Result<impl Iterator<Item = &'a PolicySet>, String> {
        let attributes = resource.attributes().map(|(name, value)| About::With(name, value.to_owned()));
        let mut about = vec![About::Anything, About::Named(Target::uid(&resource.name)?)];
        about.extend(attributes);
        about.extend(resource.tags.iter().cloned().map(About::Tagged));
        Ok(about.into_iter().filter_map(move |about| self.0.get(&(action, about))))
    }
}

/// Whether a policy's scope leaves room for an action. A group of actions may hold any.
fn leaves_room(policy: &Policy, action: &EntityUid) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any | ActionConstraint::In(_) => true,
        ActionConstraint::Eq(only) => only == *action,
    }
}

fn about(policy: &Policy) -> Result<About, String> {
    match policy.resource_constraint() {
        ResourceConstraint::Eq(resource) => return Ok(About::Named(resource)),
        ResourceConstraint::Any
        | ResourceConstraint::In(_)
        | ResourceConstraint::Is(_)
        | ResourceConstraint::IsIn(..) => {}
    }
    let json = policy.to_json().map_err(|error| error.to_string())?;
    let first = &json["conditions"][0];
    Ok(if first["kind"] == "when" { wanted_first(&first["body"]).unwrap_or(About::Anything) } else { About::Anything })
}

/// The first thing that an expression looks at, where that is a text of the resource: `&&` goes no further where it differs.
fn wanted_first(expression: &Value) -> Option<About> {
    if let Some(both) = expression.get("&&") {
        return wanted_first(&both["left"]);
    }
    let (operator, operands) = expression.as_object()?.iter().next()?;
    let text = operands["right"]["Value"].as_str()?.to_owned();
    let read = &operands["left"]["."];
    let attribute = read["attr"].as_str().filter(|_| read["left"]["Var"] == "resource")?;
    match operator.as_str() {
        "==" => Target::ATTRIBUTES.into_iter().find(|known| *known == attribute).map(|known| About::With(known, text)),
        "contains" if attribute == "tags" => Some(About::Tagged(text)),
        _ => None,
    }
}
