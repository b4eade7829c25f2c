//! Cedar decides. It is asked at rising assurance, lowest first, and the first rung that is permitted is taken:
//! least friction by construction. No match, an evaluation error or a missing attribute is a denial.

use super::caller::Subject;
use super::config::Resource;
use super::context::Context;
use super::elevation::ElevationId;
use super::rules::{RulesError, line_of};
use crate::protocol::assurance::Assurance;
use crate::protocol::names::{ResourceName, Scope, Ttl};
use cedar_policy::{
    Authorizer, Decision as CedarDecision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    Response, RestrictedExpression, Schema, ValidationMode, Validator,
};
use miette::Diagnostic;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::str::FromStr as _;
use std::sync::LazyLock;

/// A policy set that validates against its schema.
pub struct Policy {
    policies: PolicySet,
    schema: Schema,
    /// Whether the schema knows of people who sign in: one that was written before there were any does not.
    knows_sign_in: bool,
    /// The same for workloads.
    knows_workloads: bool,
}

/// What sort of thing is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Access to a resource.
    Elevate,
    /// A change of the authority's own state.
    Administer,
    /// A change of one's own keys.
    ManageOwnKeys,
}

/// One question.
pub struct Question<'a> {
    /// What.
    pub action: Action,
    /// Who.
    pub subject: &'a Subject,
    /// Whether they administer.
    pub admin: bool,
    /// The roles that the configuration gives them.
    pub roles: Vec<String>,
    /// The resource's name.
    pub name: &'a ResourceName,
    /// The resource.
    pub resource: &'a Resource,
    /// Everything else that is known.
    pub context: &'a Context,
    /// Time asked.
    pub ttl: Option<Ttl>,
    /// Time where neither request nor policy names one.
    pub default_ttl: Ttl,
    /// Scope asked, already narrowed to what the resource has.
    pub scope: &'a Scope,
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
        let knows_sign_in = declares(schema, "groups") && declares(schema, "roles") && declares(schema, "sign_in?");
        let has_tags = code(schema).any(|line| line.contains("tags String"));
        let knows_workloads = declares(schema, "workload") && declares(schema, "issuer") && has_tags;
        let set = Self { policies, schema: schema_set, knows_sign_in, knows_workloads };
        set.check_annotations(policy_file, policy)?;
        Ok(set)
    }

    /// Whether its schema tells workloads from people.
    #[must_use]
    pub const fn knows_workloads(&self) -> bool {
        self.knows_workloads
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
    pub fn decide(&self, elevation: &ElevationId, question: &Question<'_>) -> Result<Permitted, NotPermitted> {
        let entities = self.entities(question).map_err(broken)?;
        let mut last = None;
        for assurance in Assurance::LADDER {
            let response = self.ask(question, assurance, &entities).map_err(broken)?;
            if let Some(error) = response.diagnostics().errors().next() {
                return Err(broken(error.to_string()));
            }
            if response.decision() == CedarDecision::Allow {
                return Ok(self.permitted(elevation, question, assurance, &response));
            }
            last = Some(response);
        }
        Err(self.not_permitted(question, last.as_ref()))
    }

    fn permitted(
        &self,
        elevation: &ElevationId,
        question: &Question<'_>,
        assurance: Assurance,
        response: &Response,
    ) -> Permitted {
        let bound = self.annotations(response, "max_ttl").filter_map(|ttl| ttl.parse::<Ttl>().ok()).min();
        let asked = question.ttl.or(bound).unwrap_or(question.default_ttl).seconds();
        let ttl = asked.min(bound.map_or(u64::MAX, Ttl::seconds)).min(question.resource.longest());
        Permitted {
            elevation: elevation.clone(),
            assurance,
            ttl,
            policies: self.ids(response),
            reasons: self.annotations(response, "reason").map(str::to_owned).collect(),
        }
    }

    fn not_permitted(&self, question: &Question<'_>, response: Option<&Response>) -> NotPermitted {
        let policies = response.map(|response| self.ids(response)).unwrap_or_default();
        let reason = response.and_then(|response| self.annotations(response, "reason").next());
        let cause = match (reason, policies.is_empty()) {
            (Some(reason), _) => reason.to_owned(),
            (None, false) => format!("policy forbids it ({})", policies.join(", ")),
            (None, true) if question.subject.workload().is_some() => {
                format!("no policy permits it to workloads for '{}'", question.name)
            }
            (None, true) => format!("no policy permits it for '{}'", question.name),
        };
        NotPermitted { cause, policies }
    }

    fn ids(&self, response: &Response) -> Vec<String> {
        let name = |id| self.policies.annotation(id, "id").map_or_else(|| id.to_string(), str::to_owned);
        let mut ids: Vec<String> = response.diagnostics().reason().map(name).collect();
        ids.sort();
        ids
    }

    fn annotations<'a>(&'a self, response: &'a Response, key: &'a str) -> impl Iterator<Item = &'a str> {
        response.diagnostics().reason().filter_map(move |id| self.policies.annotation(id, key))
    }

    fn ask(&self, question: &Question<'_>, assurance: Assurance, entities: &Entities) -> Result<Response, String> {
        let action = action(question.action)?;
        let context = cedar_policy::Context::from_json_value(
            question.context.to_cedar(question, assurance, self.knows_sign_in),
            Some((&self.schema, &action)),
        )
        .map_err(|error| error.to_string())?;
        let principal = user(question.subject.sub())?;
        let resource = resource_named(question.name)?;
        let request = Request::new(principal, action, resource, context, Some(&self.schema))
            .map_err(|error| error.to_string())?;
        Ok(Authorizer::new().is_authorized(&request, &self.policies, entities))
    }

    fn entities(&self, question: &Question<'_>) -> Result<Entities, String> {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let resource = question.resource;
        let tags = resource.tags.iter().map(|tag| text(tag));
        let attributes = HashMap::from([
            ("kind".to_owned(), text(resource.kind.name())),
            ("sensitivity".to_owned(), text(resource.sensitivity.name())),
            ("environment".to_owned(), text(&resource.environment)),
            ("tags".to_owned(), RestrictedExpression::new_set(tags)),
        ]);
        let mut user = HashMap::from([("admin".to_owned(), RestrictedExpression::new_bool(question.admin))]);
        if self.knows_sign_in {
            let groups = question.subject.sign_in().map(|signed_in| &signed_in.person.groups);
            let groups = groups.into_iter().flatten().map(|group| text(group));
            user.insert("groups".to_owned(), RestrictedExpression::new_set(groups));
            let roles = question.roles.iter().map(|role| text(role));
            user.insert("roles".to_owned(), RestrictedExpression::new_set(roles));
        }
        let mut tags = Vec::new();
        if self.knows_workloads {
            let workload = question.subject.workload();
            user.insert("workload".to_owned(), RestrictedExpression::new_bool(workload.is_some()));
            user.insert("issuer".to_owned(), text(workload.map_or("", |workload| workload.issuer.as_str())));
            let claims = workload.into_iter().flat_map(|workload| &workload.claims);
            tags.extend(claims.map(|(path, value)| (path.clone(), text(value))));
        }
        let entity =
            |uid, attributes, tags| Entity::new_with_tags(uid, attributes, [], tags).map_err(|error| error.to_string());
        let user = entity(self::user(question.subject.sub())?, user, tags)?;
        let resource = entity(resource_named(question.name)?, attributes, Vec::new())?;
        Entities::from_entities([user, resource], Some(&self.schema)).map_err(|error| error.to_string())
    }
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Elevate => "elevate",
            Self::Administer => "administer",
            Self::ManageOwnKeys => "manage_own_keys",
        }
    }
}

/// Whether a schema declares an attribute of this name. What it does not declare is not handed to Cedar, which would refuse
/// it and so everybody.
fn declares(schema: &str, attribute: &str) -> bool {
    code(schema).any(|line| line.split([' ', ',', '{']).any(|word| word.strip_suffix(':') == Some(attribute)))
}

/// Its lines without comments.
fn code(schema: &str) -> impl Iterator<Item = &str> {
    schema.lines().map(|line| line.split("//").next().unwrap_or_default())
}

/// A type of Cedar's, read once: reading one costs as much as a decision.
macro_rules! kind {
    ($name:literal) => {{
        static KIND: LazyLock<Option<EntityTypeName>> = LazyLock::new(|| $name.parse().ok());
        KIND.clone().ok_or_else(|| concat!($name, " is no type").to_owned())
    }};
}

fn user(sub: &str) -> Result<EntityUid, String> {
    Ok(EntityUid::from_type_name_and_id(kind!("User")?, EntityId::new(sub)))
}

fn resource_named(name: &ResourceName) -> Result<EntityUid, String> {
    Ok(EntityUid::from_type_name_and_id(kind!("Resource")?, EntityId::new(name.as_str())))
}

fn action(action: Action) -> Result<EntityUid, String> {
    Ok(EntityUid::from_type_name_and_id(kind!("Action")?, EntityId::new(action.name())))
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
