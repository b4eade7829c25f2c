//! Cedar decides. It is asked at rising assurance, lowest first, and the first rung that is permitted is taken:
//! least friction by construction. No match, an evaluation error or a missing attribute is a denial.

use super::elevation::ElevationId;
use super::question::{Action, Put, Question, action};
use super::rules::{RulesError, line_of};
use super::schema::Declared;
use crate::protocol::assurance::Assurance;
use crate::protocol::names::Ttl;
use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision as CedarDecision, Entities, EntityUid, Policy as CedarPolicy,
    PolicyId, PolicySet, Request, ResourceConstraint, Response, RestrictedExpression, Schema, ValidationMode,
    Validator,
};
use miette::Diagnostic;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::str::FromStr as _;

/// A policy set that validates against its schema.
pub struct Policy {
    policies: PolicySet,
    concerned: Concerned,
    /// What there is beside those who ask and what they ask of: the schema's actions and their groups.
    entities: Entities,
    declared: Declared,
}

/// Policy's yes: at which rung, for how long, by which policies. Only [`Policy::decide`] makes one.
#[derive(Debug, Clone)]
pub struct Permitted {
    elevation: ElevationId,
    assurance: Assurance,
    ttl: u64,
    policies: Vec<String>,
    reasons: Vec<String>,
}

impl Permitted {
    /// The elevation it was decided for.
    #[must_use]
    pub const fn elevation(&self) -> &ElevationId {
        &self.elevation
    }

    /// The same at this rung or above; where that is more than policy asks, the reason is given as well.
    pub(super) fn at_least(mut self, assurance: Assurance, reason: &str) -> Self {
        if self.assurance < assurance {
            self.assurance = assurance;
            self.reasons.push(reason.to_owned());
        }
        self
    }

    /// The rung that has to be reached.
    #[must_use]
    pub const fn assurance(&self) -> Assurance {
        self.assurance
    }

    /// Seconds the grant may last.
    #[must_use]
    pub const fn ttl(&self) -> u64 {
        self.ttl
    }

    /// Ids of the policies that decided.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// Their sentences.
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }
}

/// Policy's no.
#[derive(Debug, Clone)]
pub struct NotPermitted {
    /// Why, one sentence.
    pub cause: String,
    /// Ids of the policies that forbade; empty where simply none permits.
    pub policies: Vec<String>,
}

impl Policy {
    /// Parses and validates (strictly) a policy set and its schema.
    ///
    /// # Errors
    /// [`RulesError`], with file, line and reason.
    pub fn parse(policy_file: &Path, policy: &str, schema_file: &Path, schema: &str) -> Result<Self, RulesError> {
        let (schema_set, _) =
            Schema::from_cedarschema_str(schema).map_err(|error| fault(schema_file, schema, &error, &error))?;
        let policies = PolicySet::from_str(policy).map_err(|error| fault(policy_file, policy, &error, &error))?;
        let result = Validator::new(schema_set.clone()).validate(&policies, ValidationMode::Strict);
        if let Some(error) = result.validation_errors().next() {
            return Err(fault(policy_file, policy, error, error));
        }
        let at_schema = |reason| RulesError::at(schema_file, None, reason);
        let declared = Declared::read(schema).map_err(at_schema)?;
        declared.check().map_err(at_schema)?;
        let entities = schema_set.action_entities().map_err(|error| at_schema(error.to_string()))?;
        let concerned = Concerned::of(&policies).map_err(|reason| RulesError::at(policy_file, None, reason))?;
        let set = Self { policies, concerned, entities, declared };
        set.check_annotations(policy_file, policy)?;
        Ok(set)
    }

    /// Whether its schema tells workloads from people.
    #[must_use]
    pub fn knows_workloads(&self) -> bool {
        ["User.workload", "User.issuer", "User.tags of any name"].iter().all(|path| self.declared.has(path))
    }

    /// How many policies there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.policies.policies().count()
    }

    fn check_annotations(&self, file: &Path, text: &str) -> Result<(), RulesError> {
        let mut ids = HashSet::new();
        for policy in self.policies.policies() {
            let at = |needle: &str| text.find(needle).map(|offset| line_of(text, offset));
            if let Some(ttl) = policy.annotation("max_ttl")
                && let Err(error) = ttl.parse::<Ttl>()
            {
                return Err(RulesError::at(file, at(&format!("@max_ttl(\"{ttl}\")")), error.0));
            }
            match policy.annotation("id") {
                Some(id) if !ids.insert(id.to_owned()) => {
                    return Err(RulesError::at(
                        file,
                        text.rfind(&format!("@id(\"{id}\")")).map(|offset| line_of(text, offset)),
                        format!("two policies are called '{id}'"),
                    ));
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// The lowest rung at which the question is permitted.
    ///
    /// # Errors
    /// [`NotPermitted`], where it is at none.
    pub fn decide(&self, elevation: &ElevationId, question: &Question) -> Result<Permitted, NotPermitted> {
        let put = question.put(&self.entities).map_err(broken)?;
        let mut last = None;
        for assurance in Assurance::LADDER {
            let said = self.ask(question, &put, assurance).map_err(broken)?;
            if said.allows {
                return Ok(self.permitted(elevation, question, assurance, &said));
            }
            last = Some(said);
        }
        Err(self.not_permitted(question, last.as_ref()))
    }

    /// What those policies say at one rung that can concern the question: the ones of its action, and the ones of its
    /// action that are about its resource alone. A `forbid` of either wins.
    fn ask(&self, question: &Question, put: &Put, assurance: Assurance) -> Result<Said, String> {
        let mut said = Said { allows: false, forbids: false, policies: Vec::new() };
        let context = put.context.iter().cloned().chain([("assurance".to_owned(), rungs_below(assurance)?)]);
        let context = Context::from_pairs(context).map_err(|error| error.to_string())?;
        let request = Request::new(put.principal.clone(), put.action.clone(), put.resource.clone(), context, None);
        let request = request.map_err(|error| error.to_string())?;
        for policies in self.concerned.with(question.action, &put.resource) {
            let response = Authorizer::new().is_authorized(&request, policies, &put.entities);
            said.hear(&response)?;
        }
        Ok(said)
    }

    fn permitted(&self, elevation: &ElevationId, question: &Question, assurance: Assurance, said: &Said) -> Permitted {
        let bound = self.annotations(said, "max_ttl").filter_map(|ttl| ttl.parse::<Ttl>().ok()).min();
        let asked = question.ttl.or(bound).unwrap_or(question.default_ttl).seconds();
        let ttl = asked.min(bound.map_or(u64::MAX, Ttl::seconds)).min(question.resource.longest.unwrap_or(u64::MAX));
        Permitted {
            elevation: elevation.clone(),
            assurance,
            ttl,
            policies: self.ids(said),
            reasons: self.annotations(said, "reason").map(str::to_owned).collect(),
        }
    }

    fn not_permitted(&self, question: &Question, said: Option<&Said>) -> NotPermitted {
        let policies = said.map(|said| self.ids(said)).unwrap_or_default();
        let reason = said.and_then(|said| self.annotations(said, "reason").next());
        let name = &question.resource.name;
        let cause = match (reason, policies.is_empty()) {
            (Some(reason), _) => reason.to_owned(),
            (None, false) => format!("policy forbids it ({})", policies.join(", ")),
            (None, true) if question.principal.workload.is_some() => {
                format!("no policy permits it to workloads for '{name}'")
            }
            (None, true) => format!("no policy permits it for '{name}'"),
        };
        NotPermitted { cause, policies }
    }

    fn ids(&self, said: &Said) -> Vec<String> {
        let name = |id| self.policies.annotation(id, "id").map_or_else(|| id.to_string(), str::to_owned);
        let mut ids: Vec<String> = said.policies.iter().map(name).collect();
        ids.sort();
        ids
    }

    fn annotations<'a>(&'a self, said: &'a Said, key: &'a str) -> impl Iterator<Item = &'a str> {
        said.policies.iter().filter_map(move |id| self.policies.annotation(id, key))
    }
}

/// What policies say to a question at one rung.
struct Said {
    allows: bool,
    forbids: bool,
    /// Those that decide.
    policies: Vec<PolicyId>,
}

impl Said {
    /// Adds what further policies say. One that fails to be evaluated decides nothing, and lets nobody decide.
    fn hear(&mut self, response: &Response) -> Result<(), String> {
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(error.to_string());
        }
        let mut deciding = response.diagnostics().reason().cloned().peekable();
        let forbids = response.decision() == CedarDecision::Deny && deciding.peek().is_some();
        if forbids && !self.forbids {
            self.policies.clear();
        }
        self.forbids |= forbids;
        if forbids || !self.forbids {
            self.policies.extend(deciding);
        }
        self.allows = !self.forbids && !self.policies.is_empty();
        Ok(())
    }
}

/// Policies by what they can concern, so that a question is not put to the thousands that are about other resources.
struct Concerned {
    any: HashMap<Action, PolicySet>,
    named: HashMap<(Action, EntityUid), PolicySet>,
}

impl Concerned {
    fn of(policies: &PolicySet) -> Result<Self, String> {
        let mut concerned = Self { any: HashMap::new(), named: HashMap::new() };
        for asked in Action::ALL {
            let uid = action(asked)?;
            for policy in policies.policies().filter(|policy| can_concern(policy, &uid)) {
                let set = match policy.resource_constraint() {
                    ResourceConstraint::Eq(resource) => concerned.named.entry((asked, resource)).or_default(),
                    ResourceConstraint::Any
                    | ResourceConstraint::In(_)
                    | ResourceConstraint::Is(_)
                    | ResourceConstraint::IsIn(..) => concerned.any.entry(asked).or_default(),
                };
                set.add(policy.clone()).map_err(|error| error.to_string())?;
            }
        }
        Ok(concerned)
    }

    fn with(&self, action: Action, resource: &EntityUid) -> impl Iterator<Item = &PolicySet> {
        self.any.get(&action).into_iter().chain(self.named.get(&(action, resource.clone())))
    }
}

/// Whether a policy's scope leaves room for an action. A group of actions may hold any.
fn can_concern(policy: &CedarPolicy, action: &EntityUid) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any | ActionConstraint::In(_) => true,
        ActionConstraint::Eq(only) => only == *action,
    }
}

/// The record that says which rungs are reached at one.
pub(super) fn rungs_below(assurance: Assurance) -> Result<RestrictedExpression, String> {
    let reached = |rung| RestrictedExpression::new_bool(assurance >= rung);
    let rungs = [
        ("touch".to_owned(), reached(Assurance::Touch)),
        ("verified".to_owned(), reached(Assurance::Verified)),
        ("verified_hardware".to_owned(), reached(Assurance::VerifiedHardware)),
    ];
    RestrictedExpression::new_record(rungs).map_err(|error| error.to_string())
}

fn broken(error: impl Into<String>) -> NotPermitted {
    NotPermitted { cause: format!("the policy could not be evaluated: {}", error.into()), policies: Vec::new() }
}

/// Where a Cedar error points, and all it says.
fn fault(file: &Path, text: &str, error: &dyn Diagnostic, shown: &dyn std::fmt::Display) -> RulesError {
    let first =
        |error: &dyn Diagnostic| error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    let offset = first(error).or_else(|| error.related().and_then(|mut more| more.next().and_then(first)));
    let mut reason = shown.to_string();
    if let Some(help) = error.help() {
        reason = format!("{reason} ({help})");
    }
    RulesError::at(file, offset.map(|offset| line_of(text, offset)), crate::protocol::display::escaped(&reason))
}
