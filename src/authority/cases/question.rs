//! A question as a table puts it, in words.

use super::{Answer, Columns};
use crate::authority::caller::Subject;
use crate::authority::config::{Config, Resource, Sensitivity};
use crate::authority::context::{Context, Observed, Signal};
use crate::authority::elevation::ElevationId;
use crate::authority::policy::{NotPermitted, Permitted, Policy};
use crate::authority::question::{Action, Principal, Question, Target};
use crate::authority::sign_in::{How, Person, SignedIn};
use crate::authority::workloads::Workload;
use crate::clock::human;
use crate::protocol::display::escaped;
use crate::protocol::messages::{Claimed, OperationName, ResourceKind};
use crate::protocol::names::{ResourceName, Scope, Ttl};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What a question may say, and what is meant where it does not.
pub(super) const COLUMNS: [&str; 17] = [
    "who",         // admin, workload, uid:N or a subject; somebody
    "groups",      // the identity provider's
    "roles",       // beside those of authority.toml
    "claims",      // a workload's, NAME=VALUE
    "asks",        // elevate, or an operation; elevate
    "resource",    // its name in authority.toml, or any
    "sensitivity", // low, sensitive or critical, where authority.toml does not know the resource; low
    "environment", // the same
    "keys",        // none, touch (they check no PIN) or pin; pin
    "signals",     // by their names
    "hour",        // 0 to 23, UTC; 12
    "sign_in_age", // how long ago it was, for somebody with groups; 1m
    "ttl",         // what is asked for
    "scope",       // the same
    "reason",      // yes or no; no
    "ssh",         // yes or no; no
    "command",     // its name
];
/// A question as a table puts it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who.
    pub subject: Subject,
    /// Whether they administer, whatever authority.toml says.
    pub admin: bool,
    /// Roles beside those of authority.toml.
    pub roles: Vec<String>,
    /// On the authority itself.
    pub operation: Option<OperationName>,
    /// Of which resource.
    pub resource: ResourceName,
    /// How sensitive it is where authority.toml does not know it.
    pub sensitivity: Sensitivity,
    /// The same.
    pub environment: String,
    /// Everything else.
    pub context: Context,
    /// For how long.
    pub ttl: Option<Ttl>,
    /// With which scope.
    pub scope: Scope,
    /// The resource, where authority.toml does not declare it and more is known than the above.
    pub undeclared: Option<Resource>,
}

impl Asked {
    /// Somebody with a key that checks a PIN asks for a resource of low sensitivity at noon.
    #[must_use]
    pub fn plain(resource: ResourceName) -> Self {
        let observed = Observed { uid: Some(1000), ..Observed::plain() };
        Self {
            subject: Subject::account(1000),
            admin: false,
            roles: Vec::new(),
            operation: None,
            resource,
            sensitivity: Sensitivity::Low,
            environment: String::new(),
            context: Context { observed, claimed: Claimed::default(), has_reason: false, operation: None },
            ttl: None,
            scope: Scope::default(),
            undeclared: None,
        }
    }

    /// A workload asks, whose issuer is none that any policy names.
    #[must_use]
    pub fn of_unknown_workload(resource: ResourceName) -> Self {
        let mut asked = Self::plain(resource);
        asked.be_workload("an issuer that nobody has heard of", BTreeMap::new());
        (asked.context.observed.enrolled_keys, asked.context.observed.can_verify) = (0, false);
        asked
    }

    /// The same, by somebody who signed in over the network so many seconds ago.
    pub fn sign_in(&mut self, sub: &str, groups: BTreeSet<String>, age: u64) {
        let person =
            Person { name: sub.to_owned(), groups, acr: None, amr: Vec::new(), auth_time: 0, how: How::Provider };
        self.subject = Subject::signed_in(sub.to_owned(), SignedIn { id: "sign-in".to_owned(), person });
        (self.context.observed.uid, self.context.observed.sign_in_age) = (None, Some(age));
    }

    /// The same, by a workload of this issuer.
    pub fn be_workload(&mut self, issuer: &str, claims: BTreeMap<String, String>) {
        let workload = Workload { issuer: issuer.to_owned(), claims };
        self.context.observed.workload = Some(Arc::new(workload.clone()));
        self.context.observed.uid = None;
        self.subject = Subject::of_issuer("https://issuer.example", "workload").as_workload(workload);
    }

    pub(super) fn parse(columns: &Columns) -> Result<Self, String> {
        let said = |wanted: &str| {
            let column = columns.iter().find(|(name, value)| *name == wanted && value != "-");
            column.map(|(_, value)| value.as_str())
        };
        let resource = said("resource").unwrap_or("any").parse().map_err(message)?;
        let mut asked = Self::plain(resource);
        asked.say_who(said("who"), list(said("groups")), said("claims"), said("sign_in_age"))?;
        asked.roles = list(said("roles"));
        if let Some(asks) = said("asks").filter(|asks| *asks != "elevate") {
            asked.operation = Some(operation(asks)?);
            asked.context.operation = asked.operation;
        }
        asked.sensitivity = said("sensitivity").map_or(Ok(asked.sensitivity), sensitivity)?;
        asked.environment = said("environment").map(str::to_owned).unwrap_or_default();
        let observed = &mut asked.context.observed;
        match said("keys") {
            None | Some("pin") => {}
            Some("touch") => observed.can_verify = false,
            Some("none") => (observed.enrolled_keys, observed.can_verify) = (0, false),
            Some(other) => return Err(format!("'{}' is none of the keys none, touch, pin", escaped(other))),
        }
        observed.signals = list(said("signals")).iter().map(|name| Signal::named(name)).collect::<Result<_, _>>()?;
        observed.hour = match said("hour").map(str::parse) {
            None => observed.hour,
            Some(Ok(hour @ 0..=23)) => hour,
            Some(_) => return Err("an hour is 0 to 23".into()),
        };
        asked.ttl = said("ttl").map(str::parse).transpose().map_err(message)?;
        asked.scope = read(said("scope").map(|scope| scope.replace(',', " ")).as_deref(), Scope::default())?;
        asked.context.has_reason = yes(said("reason"))?;
        asked.context.claimed.ssh = yes(said("ssh"))?;
        asked.context.claimed.command = said("command").map(str::to_owned);
        Ok(asked)
    }

    fn say_who(
        &mut self,
        who: Option<&str>,
        groups: Vec<String>,
        claims: Option<&str>,
        age: Option<&str>,
    ) -> Result<(), String> {
        let uid = who.and_then(|who| who.strip_prefix("uid:"));
        let sub = match who {
            Some("admin") => {
                self.admin = true;
                "somebody"
            }
            Some("workload") => {
                let pair =
                    |claim: &String| claim.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
                let claims = list(claims).iter().map(pair).collect::<Option<BTreeMap<_, _>>>();
                let claims = claims.ok_or("claims are written NAME=VALUE")?;
                self.be_workload(&claims.get("issuer").cloned().unwrap_or_default(), claims);
                return Ok(());
            }
            Some(who) => who,
            None => "somebody",
        };
        if let Some(uid) = uid {
            let uid = uid.parse().map_err(|_| "an account is written uid:N")?;
            (self.subject, self.context.observed.uid) = (Subject::account(uid), Some(uid));
        } else if sub != "somebody" || !groups.is_empty() || age.is_some() {
            let age: Ttl = read(age, "1m".parse().map_err(message)?)?;
            self.sign_in(sub, groups.into_iter().collect(), age.seconds());
        }
        Ok(())
    }

    /// What a policy answers, with this configuration.
    #[must_use]
    pub fn answer(&self, policy: &Policy, config: &Config) -> Answer {
        match self.decide(policy, config) {
            Ok(permitted) => Answer {
                words: [permitted.assurance().name().to_owned(), human(permitted.ttl()), or_dash(permitted.policies())],
                because: permitted.reasons().join("; "),
            },
            Err(no) => Answer { words: ["deny".to_owned(), "-".to_owned(), or_dash(&no.policies)], because: no.cause },
        }
    }

    /// The same, as the flow would have it.
    ///
    /// # Errors
    /// Policy's no.
    pub fn decide(&self, policy: &Policy, config: &Config) -> Result<Permitted, NotPermitted> {
        policy.decide(&ElevationId::fresh(), &self.question(config))
    }

    /// What policy would see, with this configuration.
    #[must_use]
    pub fn question(&self, config: &Config) -> Question {
        let action = match self.operation {
            None => Action::Elevate,
            Some(operation) if operation.is_own_keys() => Action::ManageOwnKeys,
            Some(_) => Action::Administer,
        };
        let mut roles = config.roles_of(&self.subject);
        roles.extend(self.roles.iter().cloned());
        let admin = self.admin || config.admins.iter().any(|entry| self.subject.is_meant_by(entry));
        Question {
            action,
            principal: Principal::of(&self.subject, admin, roles),
            resource: Target::of(&self.resource, &self.resource(config)),
            context: self.context.record(&self.subject, self.ttl, &self.scope),
            ttl: self.ttl,
            default_ttl: config.default_ttl,
        }
    }

    fn resource(&self, config: &Config) -> Resource {
        match config.resources.get(&self.resource) {
            Some(resource) => resource.clone(),
            None => self.undeclared.clone().unwrap_or_else(|| Resource {
                kind: ResourceKind::Secret,
                description: String::new(),
                audience: None,
                sensitivity: if self.operation.is_some() { Sensitivity::Critical } else { self.sensitivity },
                scopes: Vec::new(),
                environment: self.environment.clone(),
                tags: BTreeSet::new(),
                max_ttl: None,
                checks_dpop: true,
            }),
        }
    }
}

fn or_dash(words: &[String]) -> String {
    if words.is_empty() { "-".to_owned() } else { words.join(",") }
}

fn list(text: Option<&str>) -> Vec<String> {
    text.into_iter().flat_map(|text| text.split(',')).map(str::to_owned).collect()
}

fn yes(text: Option<&str>) -> Result<bool, String> {
    match text {
        Some("yes") => Ok(true),
        Some("no") | None => Ok(false),
        Some(other) => Err(format!("'{}' is neither yes nor no", escaped(other))),
    }
}

fn read<T: FromStr<Err: fmt::Display>>(text: Option<&str>, absent: T) -> Result<T, String> {
    text.map_or(Ok(absent), |text| text.parse().map_err(message))
}

fn message(error: impl fmt::Display) -> String {
    error.to_string()
}

fn sensitivity(name: &str) -> Result<Sensitivity, String> {
    let all = [Sensitivity::Low, Sensitivity::Sensitive, Sensitivity::Critical];
    let found = all.into_iter().find(|sensitivity| sensitivity.name() == name);
    found.ok_or_else(|| format!("'{}' is none of low, sensitive, critical", escaped(name)))
}

fn operation(name: &str) -> Result<OperationName, String> {
    serde_json::from_value(name.into()).map_err(|_| format!("no operation is called '{}'", escaped(name)))
}
