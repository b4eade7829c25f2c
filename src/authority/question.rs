//! A question to policy: everything that policy sees, in one value. It is kept with the entry of each decision, so that it
//! can be asked again, of another policy.

use super::caller::Subject;
use super::config::{Resource, Sensitivity};
use super::workloads::Workload;
use crate::protocol::messages::ResourceKind;
use crate::protocol::names::{ResourceName, Ttl};
use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

/// A type of Cedar's, read once: reading one costs as much as a decision.
macro_rules! kind {
    ($name:literal) => {{
        static KIND: LazyLock<Option<EntityTypeName>> = LazyLock::new(|| $name.parse().ok());
        KIND.clone().ok_or_else(|| concat!($name, " is no type").to_owned())
    }};
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What.
    pub action: Action,
    /// Who.
    pub principal: Principal,
    /// Of what.
    pub resource: Target,
    /// The records `observed`, `claimed` and `asked` of the schema.
    pub context: Value,
    /// Seconds asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// Seconds where neither request nor policy names any.
    pub default_ttl: Ttl,
}

/// What sort of thing is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Access to a resource.
    Elevate,
    /// A change of the authority's own state.
    Administer,
    /// A change of one's own keys.
    ManageOwnKeys,
}

/// Who asks: the schema's `User`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The `sub` claim.
    pub sub: String,
    /// Whether they administer.
    pub admin: bool,
    /// The identity provider's.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// Those that the configuration gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Of a pipeline or a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
}

/// What it is asked of: the schema's `Resource`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: ResourceName,
    /// What it gives.
    pub kind: ResourceKind,
    /// How bad it would be.
    pub sensitivity: Sensitivity,
    /// As its owners name them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub environment: String,
    /// For policies.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// Seconds that it allows, whatever policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<u64>,
}

impl Action {
    /// Every one there is.
    pub const ALL: [Self; 3] = [Self::Elevate, Self::Administer, Self::ManageOwnKeys];

    /// The name in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Elevate => "elevate",
            Self::Administer => "administer",
            Self::ManageOwnKeys => "manage_own_keys",
        }
    }
}

impl Principal {
    /// What policy sees of a subject.
    #[must_use]
    pub fn of(subject: &Subject, admin: bool, roles: Vec<String>) -> Self {
        Self {
            sub: subject.sub().to_owned(),
            admin,
            groups: subject.sign_in().map(|signed_in| signed_in.person.groups.clone()).unwrap_or_default(),
            roles,
            workload: subject.workload().map(|workload| Workload::clone(workload)),
        }
    }
}

impl Target {
    /// What policy sees of a resource.
    #[must_use]
    pub fn of(name: &ResourceName, resource: &Resource) -> Self {
        Self {
            name: name.clone(),
            kind: resource.kind,
            sensitivity: resource.sensitivity,
            environment: resource.environment.clone(),
            tags: resource.tags.clone(),
            longest: Some(resource.longest()).filter(|longest| *longest < u64::MAX),
        }
    }
}

/// A question in Cedar's words, but for the rung that is tried.
pub(super) struct Put {
    pub(super) principal: EntityUid,
    pub(super) action: EntityUid,
    pub(super) resource: EntityUid,
    pub(super) context: Vec<(String, RestrictedExpression)>,
    pub(super) entities: Entities,
}

impl Question {
    /// Puts it to Cedar, among the entities that there are already. That it has the schema's shape is a matter of this
    /// file and of [`super::schema`], and is not checked again for each question.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn put(&self, entities: &Entities) -> Result<Put, String> {
        let Value::Object(context) = &self.context else {
            return Err("the context is no record".to_owned());
        };
        let context = context.iter().map(|(name, value)| Ok((name.clone(), expression(value)?)));
        let (principal, resource) = (self.principal.entity()?, self.resource.entity()?);
        Ok(Put {
            principal: principal.uid(),
            action: action(self.action)?,
            resource: resource.uid(),
            context: context.collect::<Result<_, String>>()?,
            entities: entities.clone().add_entities([principal, resource], None).map_err(|error| error.to_string())?,
        })
    }
}

impl Principal {
    fn entity(&self) -> Result<Entity, String> {
        let mut attributes = HashMap::from([
            ("admin".to_owned(), RestrictedExpression::new_bool(self.admin)),
            ("groups".to_owned(), texts(&self.groups)),
            ("roles".to_owned(), texts(&self.roles)),
            ("workload".to_owned(), RestrictedExpression::new_bool(self.workload.is_some())),
        ]);
        let issuer = self.workload.as_ref().map_or("", |workload| workload.issuer.as_str());
        attributes.insert("issuer".to_owned(), text(issuer));
        let claims = self.workload.iter().flat_map(|workload| &workload.claims);
        let claims = claims.map(|(path, value)| (path.clone(), text(value)));
        let uid = EntityUid::from_type_name_and_id(kind!("User")?, EntityId::new(&self.sub));
        Entity::new_with_tags(uid, attributes, [], claims).map_err(|error| error.to_string())
    }
}

impl Target {
    /// What it is called among policies.
    pub(super) fn uid(name: &ResourceName) -> Result<EntityUid, String> {
        Ok(EntityUid::from_type_name_and_id(kind!("Resource")?, EntityId::new(name.as_str())))
    }

    fn entity(&self) -> Result<Entity, String> {
        let attributes = HashMap::from([
            ("kind".to_owned(), text(self.kind.name())),
            ("sensitivity".to_owned(), text(self.sensitivity.name())),
            ("environment".to_owned(), text(&self.environment)),
            ("tags".to_owned(), texts(&self.tags)),
        ]);
        Entity::new(Self::uid(&self.name)?, attributes, HashSet::new()).map_err(|error| error.to_string())
    }
}

pub(super) fn action(action: Action) -> Result<EntityUid, String> {
    Ok(EntityUid::from_type_name_and_id(kind!("Action")?, EntityId::new(action.name())))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn texts<'a>(values: impl IntoIterator<Item = &'a String>) -> RestrictedExpression {
    RestrictedExpression::new_set(values.into_iter().map(|value| text(value)))
}

/// A value of the context, as Cedar writes it.
fn expression(value: &Value) -> Result<RestrictedExpression, String> {
    Ok(match value {
        Value::Bool(value) => RestrictedExpression::new_bool(*value),
        Value::String(value) => text(value),
        Value::Number(number) => {
            RestrictedExpression::new_long(number.as_i64().ok_or_else(|| format!("{number} is no Long"))?)
        }
        Value::Array(values) => {
            RestrictedExpression::new_set(values.iter().map(expression).collect::<Result<Vec<_>, _>>()?)
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| Ok((name.clone(), expression(value)?)));
            let fields = fields.collect::<Result<Vec<_>, String>>()?;
            RestrictedExpression::new_record(fields).map_err(|error| error.to_string())?
        }
        Value::Null => return Err("Cedar has no null".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::Question;
    use crate::authority::cases::Table;
    use crate::authority::config::Config;
    use crate::authority::rules::DEFAULT_SCHEMA;
    use cedar_policy::{Context, Entities, Request, RestrictedExpression, Schema};
    use std::path::Path;

    /// One of each sort of caller, and of each sort of thing that is asked.
    const EVERYBODY: &str = "\
        who      groups  claims               asks        keys  signals               ttl reason command | answer
        -        -       -                    elevate     none  -                     -   no     -       | -
        uid:7    -       -                    elevate     pin   first_use_of_resource 5m  yes    psql    | -
        anna     ops,dba -                    elevate     touch recent_failures       -   no     -       | -
        workload -       issuer=ci,ref=main   elevate     none  -                     -   no     -       | -
        admin    -       -                    user.list   pin   -                     -   no     -       | -
        -        -       -                    key.enroll  none  -                     -   no     -       | -";

    fn questions() -> Vec<Question> {
        let config = Config::parse(Path::new("authority.toml"), "").unwrap();
        let table = Table::parse(Path::new("cases"), EVERYBODY).unwrap();
        table.cases().iter().map(|case| case.question().question(&config)).collect()
    }

    /// It is not checked for each question, so it is checked here.
    #[test]
    fn a_question_has_the_shape_that_the_schema_declares() {
        let (schema, _) = Schema::from_cedarschema_str(DEFAULT_SCHEMA).unwrap();
        for question in questions() {
            let put = question.put(&Entities::empty()).unwrap();
            let rungs = super::super::policy::rungs_below(crate::protocol::assurance::Assurance::Touch).unwrap();
            let context = put.context.into_iter().chain([("assurance".to_owned(), rungs)]);
            let context = Context::from_pairs(context.collect::<Vec<(String, RestrictedExpression)>>()).unwrap();
            Entities::from_entities(put.entities, Some(&schema)).unwrap();
            Request::new(put.principal, put.action, put.resource, context, Some(&schema)).unwrap();
        }
    }

    #[test]
    fn a_question_that_was_kept_is_the_same_question() {
        for question in questions() {
            let kept = serde_json::to_string(&question).unwrap();
            assert_eq!(serde_json::from_str::<Question>(&kept).unwrap(), question, "{kept}");
        }
    }
}
