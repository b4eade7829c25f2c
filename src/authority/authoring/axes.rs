//! What is varied: each axis has a choice for everything that the policies tell apart, and one for what they do not name.

use super::source::Statement;
use super::space::{Axis, Choice, Space};
use super::vocabulary::{CLAIMS, Vocabulary};
use crate::authority::cases::Asked;
use crate::authority::config::{Config, Resource, Sensitivity};
use crate::authority::context::Signal;
use crate::clock::human;
use crate::protocol::AUTHORITY_RESOURCE;
use crate::protocol::messages::{OperationName, ResourceKind};
use crate::protocol::names::{ResourceName, Ttl};
use std::collections::{BTreeMap, BTreeSet};

/// An account that nobody means.
const SOMEBODY: u32 = 1000;
/// How long ago somebody signed in, where nothing depends on it.
const AGE: u64 = 60;
const HOUR: i64 = 12;

/// The questions that these policies tell apart, about what these configurations declare.
#[must_use]
pub fn space(statements: &[&Statement], configs: &[&Config]) -> Space {
    let seen = Vocabulary::of(statements.iter().map(|statement| &statement.vocabulary));
    let axes = Axes { seen, configs, somebody: unmeant(configs) };
    let mut all = vec![axes.what(), axes.who(), axes.keys(), axes.signals(), axes.hours()];
    all.extend(axes.asked());
    all.extend(axes.claimed());
    all.extend(axes.sign_in());
    Space::new(all, anything(configs))
}

struct Axes<'a> {
    seen: Vocabulary,
    configs: &'a [&'a Config],
    somebody: u32,
}

fn unmeant(configs: &[&Config]) -> u32 {
    let means = |uid: &u32| {
        let name = format!("uid:{uid}");
        let lists = configs.iter().flat_map(|config| config.roles.values().chain([&config.admins]));
        !lists.into_iter().any(|list| list.contains(&name))
    };
    (SOMEBODY..=u32::MAX).find(means).unwrap_or(SOMEBODY)
}

/// A name that no configuration declares.
fn anything(configs: &[&Config]) -> ResourceName {
    let names = (0..).filter_map(|n| if n == 0 { "anything".parse() } else { format!("anything-{n}").parse() }.ok());
    let mut free = names.filter(|name: &ResourceName| configs.iter().all(|it| !it.resources.contains_key(name)));
    free.next().unwrap_or_else(|| unreachable!("there are more names than any file declares"))
}

impl Axes<'_> {
    fn paths(&self, wanted: &[&str]) -> Vec<String> {
        let is = |path: &&str| wanted.iter().any(|it| it == path || (it.ends_with('.') && path.starts_with(it)));
        self.seen.paths().filter(is).map(str::to_owned).collect()
    }

    /// Resources, those alike as one, and the authority's operations, those alike as one.
    fn what(&self) -> Axis {
        let mut choices = self.declared();
        choices.extend(self.undeclared());
        choices.extend(self.operations());
        let paths = self.paths(&["resource.", "context.asked.operation", "context.asked.only_reads"]);
        Axis { preposition: "", name: "resources and operations", paths, choices, is_main: true }
    }

    /// The catalogues, by what policies can tell apart.
    fn declared(&self) -> Vec<Choice> {
        let mut alike: BTreeMap<String, Vec<&ResourceName>> = BTreeMap::new();
        let names: BTreeSet<&ResourceName> = self.configs.iter().flat_map(|config| config.resources.keys()).collect();
        for name in names {
            let by_name = self.seen.named("Resource").find(|named| *named == name.as_str());
            let versions = self.configs.iter().map(|config| config.resources.get(name).map(kind_of));
            alike.entry(format!("{by_name:?} {:?}", versions.collect::<Vec<_>>())).or_default().push(name);
        }
        let choice = |names: Vec<&ResourceName>| {
            let (name, shown) = (names[0].clone(), names.iter().map(ToString::to_string).collect());
            Choice::alike(shown, move |asked| {
                asked.resource = name.clone();
                true
            })
        };
        alike.into_values().map(choice).collect()
    }

    /// What may be declared in the store, and what policies compare with though no file declares it.
    fn undeclared(&self) -> Vec<Choice> {
        let known: Vec<&Resource> = self.configs.iter().flat_map(|config| config.resources.values()).collect();
        let mut kinds: Vec<Option<String>> = vec![None];
        kinds.extend(self.seen.texts("resource.environment").map(|it| Some(it.to_owned())));
        let mut choices = Vec::new();
        for environment in &kinds {
            for tag in std::iter::once(None).chain(self.seen.texts("resource.tags").map(Some)) {
                for sensitivity in [Sensitivity::Low, Sensitivity::Sensitive, Sensitivity::Critical] {
                    let resource = Resource {
                        kind: ResourceKind::Secret,
                        description: String::new(),
                        audience: None,
                        sensitivity,
                        scopes: Vec::new(),
                        environment: environment.clone().unwrap_or_default(),
                        tags: tag.into_iter().map(str::to_owned).collect(),
                        max_ttl: None,
                        checks_dpop: true,
                    };
                    let is = |it: &&Resource| {
                        (it.sensitivity, &it.environment, &it.tags)
                            == (resource.sensitivity, &resource.environment, &resource.tags)
                    };
                    if known.iter().any(is) {
                        continue;
                    }
                    let mut name = format!("any {} resource", sensitivity.name());
                    if let Some(environment) = environment {
                        name = format!("{name} of {environment}");
                    }
                    if let Some(tag) = tag {
                        name = format!("{name} tagged {tag}");
                    }
                    choices.push(Choice::new(name, move |asked| {
                        asked.undeclared = Some(resource.clone());
                        true
                    }));
                }
            }
        }
        choices
    }

    fn operations(&self) -> Vec<Choice> {
        let mut alike: BTreeMap<(bool, bool, Option<&str>), Vec<OperationName>> = BTreeMap::new();
        for operation in OperationName::ALL {
            let named = self.seen.texts("context.asked.operation").find(|named| *named == operation.name());
            alike.entry((!operation.is_own_keys(), operation.only_reads(), named)).or_default().push(operation);
        }
        let choice = |operations: Vec<OperationName>| {
            let first = operations[0];
            Choice::alike(operations.iter().map(|it| it.name().to_owned()).collect(), move |asked| {
                (asked.operation, asked.context.operation) = (Some(first), Some(first));
                match AUTHORITY_RESOURCE.parse() {
                    Ok(name) => asked.resource = name,
                    Err(_) => return false,
                }
                true
            })
        };
        alike.into_values().map(choice).collect()
    }

    fn who(&self) -> Axis {
        let somebody = self.somebody;
        let account = move |asked: &mut Asked, uid: u32| {
            asked.subject = crate::authority::caller::Subject::account(uid);
            asked.context.observed.uid = Some(uid);
            true
        };
        let mut choices = vec![
            Choice::new("somebody", move |asked| account(asked, somebody)),
            Choice::new("an admin", move |asked| {
                asked.admin = true;
                account(asked, somebody)
            }),
        ];
        let declared = self.configs.iter().flat_map(|config| config.roles.keys().map(String::as_str));
        let roles: BTreeSet<&str> = declared.chain(self.seen.texts("principal.roles")).collect();
        choices.extend(roles.into_iter().map(|role| {
            let role = role.to_owned();
            Choice::new(format!("role {role}"), move |asked| {
                asked.roles = vec![role.clone()];
                account(asked, somebody)
            })
        }));
        if !self.paths(&["context.observed.sign_in", "context.observed.sign_in."]).is_empty() {
            choices.push(signed_in("somebody signed in", "https://login.example#somebody", None));
        }
        let differing = self.differing();
        let groups: BTreeSet<&str> = self
            .seen
            .texts("principal.groups")
            .chain(differing.iter().filter_map(|entry| entry.strip_prefix("group:")))
            .collect();
        choices.extend(groups.into_iter().map(|group| {
            signed_in(&format!("group {group}"), "https://login.example#somebody", Some(group.to_owned()))
        }));
        let named: BTreeSet<&str> = self
            .seen
            .named("User")
            .chain(differing.iter().copied().filter(|entry| !entry.starts_with("group:")))
            .collect();
        choices.extend(named.into_iter().map(|name| match name.strip_prefix("uid:").map(str::parse) {
            Some(Ok(uid)) => Choice::new(name, move |asked| account(asked, uid)),
            Some(Err(_)) | None => signed_in(name, name, None),
        }));
        let uids = self.seen.starts("context.observed.uid").filter_map(|uid| u32::try_from(uid).ok());
        choices.extend(uids.map(|uid| Choice::new(format!("uid:{uid}"), move |asked| account(asked, uid))));
        choices.extend(self.workloads());
        let paths = self.paths(&["principal.", "context.observed.uid", "context.observed.sign_in"]);
        Axis { preposition: "for", name: "who asks", paths, choices, is_main: true }
    }

    /// Who has a role, or administers, by some of the configurations alone.
    fn differing(&self) -> BTreeSet<&str> {
        let lists = |config: &'_ &'_ Config| -> BTreeSet<(String, String)> {
            let roles = config.roles.iter().map(|(role, list)| (role.as_str(), list));
            let lists = roles.chain([("", &config.admins)]);
            lists.flat_map(|(role, list)| list.iter().map(|it| (role.to_owned(), it.clone()))).collect()
        };
        let all: Vec<_> = self.configs.iter().map(lists).collect();
        let everywhere = |entry: &str| {
            let mut with_role = all.iter().flatten().filter(|(_, it)| it == entry);
            with_role.all(|pair| all.iter().all(|list| list.contains(pair)))
        };
        let entries = self.configs.iter().flat_map(|config| config.roles.values().chain([&config.admins]).flatten());
        entries.map(String::as_str).filter(|entry| !everywhere(entry)).collect()
    }

    /// One of each trusted issuer: of whom nothing is known, and for each claim that is compared one of whom it is so.
    fn workloads(&self) -> Vec<Choice> {
        let declared = self.configs.iter().flat_map(|config| config.trusted_issuers.iter().map(|it| it.name.as_str()));
        let issuers: BTreeSet<&str> = declared.chain(self.seen.texts("principal.issuer")).collect();
        let claims: Vec<(&str, Vec<&str>)> = self
            .seen
            .paths()
            .filter_map(|path| Some((path.strip_prefix(CLAIMS)?, self.seen.texts(path).collect())))
            .collect();
        let mut sets: Vec<BTreeMap<String, String>> = vec![BTreeMap::new()];
        for (claim, values) in claims {
            let with = |set: &BTreeMap<String, String>, value: &&str| {
                let mut set = set.clone();
                set.insert(claim.to_owned(), (*value).to_owned());
                set
            };
            let more: Vec<_> = sets.iter().flat_map(|set| values.iter().map(move |value| with(set, value))).collect();
            sets.extend(more);
            sets.truncate(64);
        }
        let choice = |issuer: &str, claims: &BTreeMap<String, String>| {
            let said: Vec<String> = claims.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let said = if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) };
            let (shown, issuer, claims) = (format!("workload of {issuer}{said}"), issuer.to_owned(), claims.clone());
            Choice::new(shown, move |asked| {
                asked.be_workload(&issuer, claims.clone());
                asked.context.observed.enrolled_keys = 0;
                asked.context.observed.can_verify = false;
                true
            })
        };
        issuers.iter().flat_map(|issuer| sets.iter().map(|claims| choice(issuer, claims))).collect()
    }

    fn keys(&self) -> Axis {
        let keys = |name: &str, count: usize, can_verify: bool| {
            Choice::new(name, move |asked| {
                let observed = &mut asked.context.observed;
                if asked.subject.workload().is_some() {
                    return count == 0;
                }
                (observed.enrolled_keys, observed.can_verify) = (count, can_verify);
                true
            })
        };
        let choices = vec![
            keys("a key that checks a PIN", 1, true),
            keys("a key without a PIN", 1, false),
            keys("no key", 0, false),
        ];
        let paths = self.paths(&["context.observed.enrolled_keys", "context.observed.can_verify"]);
        Axis { preposition: "with", name: "keys", paths, choices, is_main: true }
    }

    /// None, each one alone that is named, one that is not, and all.
    fn signals(&self) -> Axis {
        const PATH: &str = "context.observed.signals";
        let named = |signal: &Signal| self.seen.texts(PATH).any(|text| text == signal.name());
        let set = |names: Vec<String>, signals: Vec<Signal>| {
            Choice::alike(names, move |asked| {
                asked.context.observed.signals.clone_from(&signals);
                true
            })
        };
        let mut choices = vec![set(vec!["no signal".into()], Vec::new())];
        if self.seen.looks_at(PATH) {
            let (named, others): (Vec<Signal>, Vec<Signal>) = Signal::ALL.iter().copied().partition(named);
            choices.extend(named.iter().map(|signal| set(vec![signal.name().to_owned()], vec![*signal])));
            if let Some(first) = others.first() {
                choices.push(set(others.iter().map(|signal| signal.name().to_owned()).collect(), vec![*first]));
            }
            choices.push(set(vec!["every signal".into()], Signal::ALL.to_vec()));
        }
        Axis { preposition: "with", name: "signals", paths: self.paths(&[PATH]), choices, is_main: true }
    }

    /// The hours, as far as policies tell them apart.
    fn hours(&self) -> Axis {
        const PATH: &str = "context.observed.hour";
        let starts = starts(self.seen.starts(PATH), 0..24);
        let mut hours: Vec<(i64, i64)> = starts
            .iter()
            .enumerate()
            .map(|(n, start)| (*start, starts.get(n + 1).copied().unwrap_or(24) - 1))
            .collect();
        hours.sort_by_key(|(first, last)| !(*first..=*last).contains(&HOUR));
        let choice = |(first, last): (i64, i64)| {
            let name = if first == last { format!("{first} h") } else { format!("{first} to {last} h") };
            let hour = if (first..=last).contains(&HOUR) { HOUR } else { first };
            Choice::new(name, move |asked| {
                asked.context.observed.hour = i8::try_from(hour).unwrap_or_default();
                true
            })
        };
        let choices = hours.into_iter().map(choice).collect();
        Axis { preposition: "at", name: "hours", paths: self.paths(&[PATH]), choices, is_main: false }
    }

    /// What is asked for.
    fn asked(&self) -> Vec<Axis> {
        let reason = self.flag("context.asked.has_reason", "a reason", |asked, yes| asked.context.has_reason = yes);
        let mut times = vec![Choice::new("no time named", |_| true)];
        times.extend(starts(self.seen.starts("context.asked.ttl"), 1..i64::MAX).into_iter().filter_map(|ttl| {
            let ttl = Ttl::try_from(u64::try_from(ttl).ok()?).ok()?;
            Some(Choice::new(format!("{} asked for", human(ttl.seconds())), move |asked| {
                asked.ttl = Some(ttl);
                true
            }))
        }));
        let scope = self.words("context.asked.scope", "scope", |asked, scope| match scope.parse() {
            Ok(scope) => {
                asked.scope = scope;
                true
            }
            Err(_) => false,
        });
        vec![reason, self.lesser("context.asked.ttl", "with", "times asked for", times), scope]
    }

    /// What the client says of itself.
    fn claimed(&self) -> Vec<Axis> {
        vec![
            self.flag("context.claimed.ssh", "SSH", |asked, yes| asked.context.claimed.ssh = yes),
            self.flag("context.claimed.tty", "a terminal", |asked, yes| asked.context.claimed.tty = yes),
            self.words("context.claimed.command", "command", |asked, command| {
                asked.context.claimed.command = Some(command.to_owned());
                true
            }),
            self.words("context.claimed.host", "host", |asked, host| {
                host.clone_into(&mut asked.context.claimed.host);
                true
            }),
            self.words("context.claimed.os", "system", |asked, os| {
                os.clone_into(&mut asked.context.claimed.os);
                true
            }),
        ]
    }

    /// How long ago somebody signed in, who did.
    fn sign_in(&self) -> Vec<Axis> {
        const PATH: &str = "context.observed.sign_in.age";
        let ages = starts(self.seen.starts(PATH), 0..i64::MAX);
        let choice = |age: u64| {
            Choice::new(format!("a sign-in {} old", human(age)), move |asked| {
                let Some(signed_in) = asked.subject.sign_in() else { return age == AGE };
                let (sub, groups) = (asked.subject.sub().to_owned(), signed_in.person.groups.clone());
                asked.sign_in(&sub, groups, age);
                true
            })
        };
        let others = ages.into_iter().filter_map(|age| u64::try_from(age).ok()).filter(|age| *age != AGE);
        let choices = std::iter::once(AGE).chain(others).map(choice).collect();
        vec![self.lesser(PATH, "with", "ages of a sign-in", choices)]
    }

    fn flag(&self, path: &str, name: &'static str, set: fn(&mut Asked, bool)) -> Axis {
        let choice = |shown: String, yes: bool| {
            Choice::new(shown, move |asked| {
                set(asked, yes);
                true
            })
        };
        self.lesser(
            path,
            "with",
            name,
            vec![choice(format!("no {}", name.trim_start_matches("a ")), false), choice(name.to_owned(), true)],
        )
    }

    fn words(&self, path: &str, name: &'static str, set: fn(&mut Asked, &str) -> bool) -> Axis {
        let choice = |word: &str| {
            let said = word.to_owned();
            Choice::new(format!("{name} {word}"), move |asked| set(asked, &said))
        };
        let usual = Choice::new(format!("no {name} that is named"), |_| true);
        let choices =
            std::iter::once(usual).chain(self.seen.texts(path).filter(|it| !it.is_empty()).map(choice)).collect();
        self.lesser(path, "with", name, choices)
    }

    /// An axis that is there only where policies look at it.
    fn lesser(&self, path: &str, preposition: &'static str, name: &'static str, mut choices: Vec<Choice>) -> Axis {
        if !self.seen.looks_at(path) {
            choices.truncate(1);
        }
        Axis { preposition, name, paths: self.paths(&[path]), choices, is_main: false }
    }
}

/// All that policies see of a resource, and how long it is given at most.
fn kind_of(resource: &Resource) -> String {
    let (kind, sensitivity) = (resource.kind.name(), resource.sensitivity.name());
    format!("{kind} {sensitivity} {:?} {:?} {}", resource.environment, resource.tags, resource.longest())
}

fn signed_in(name: &str, sub: &str, group: Option<String>) -> Choice {
    let sub = sub.to_owned();
    Choice::new(name, move |asked| {
        asked.sign_in(&sub, group.iter().cloned().collect(), AGE);
        true
    })
}

/// Those within a range, which begins with one.
fn starts(numbers: impl Iterator<Item = i64>, within: std::ops::Range<i64>) -> Vec<i64> {
    let starts: BTreeSet<i64> = numbers.chain([within.start]).collect();
    starts.into_iter().filter(|it| within.contains(it)).collect()
}
