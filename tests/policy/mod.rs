//! Policies as tables. `default.txt` is the one to read: every question that matters, and what the default answers.

mod tools;

use elevate::authority::caller::Subject;
use elevate::authority::cases::{Asked, Case, Table};
use elevate::authority::config::{Config, Resource, Sensitivity};
use elevate::authority::context::Signal;
use elevate::authority::policy::{NotPermitted, Permitted, Policy};
use elevate::authority::rules::{DEFAULT_POLICY, DEFAULT_SCHEMA, Rules};
use elevate::authority::workloads::Workload;
use elevate::protocol::assurance::Assurance;
use elevate::protocol::messages::{Claimed, OperationName, ResourceKind};
use elevate::protocol::names::Ttl;
use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;

static DEFAULT: LazyLock<Policy> = LazyLock::new(|| policy(DEFAULT_POLICY));

fn policy(text: &str) -> Policy {
    Policy::parse(Path::new("policy.cedar"), text, Path::new("schema.cedarschema"), DEFAULT_SCHEMA).unwrap()
}

static NO_RESOURCES: LazyLock<Config> = LazyLock::new(|| Config::parse(Path::new("authority.toml"), "").unwrap());

trait Answers {
    fn ask(&self, policy: &Policy) -> Result<Permitted, NotPermitted>;
    fn rung(&self, policy: &Policy) -> Rung;
}

impl Answers for Asked {
    fn ask(&self, policy: &Policy) -> Result<Permitted, NotPermitted> {
        self.decide(policy, &NO_RESOURCES)
    }

    /// The rung, or `Never`, which is above every rung: nothing is enough.
    fn rung(&self, policy: &Policy) -> Rung {
        self.ask(policy).map_or(Rung::Never, |permitted| Rung::At(permitted.assurance()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rung {
    At(Assurance),
    Never,
}

fn plain(sensitivity: Sensitivity) -> Asked {
    Asked { sensitivity, ..Asked::plain("thing".parse().unwrap()) }
}

fn table(text: &str) -> Result<Table, String> {
    Table::parse(Path::new("cases.txt"), text).map_err(|error| error.to_string())
}

#[test]
fn the_default_policy_answers_as_its_table_says() {
    let table = table(include_str!("default.txt")).unwrap();
    let differences = table.differences(&DEFAULT, &NO_RESOURCES);
    let lines: Vec<String> = differences.iter().map(|it| format!("default.txt:{}: {it}", it.line())).collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    let asked: std::collections::BTreeSet<_> =
        table.cases().iter().filter_map(|case| case.question().operation).collect();
    assert_eq!(asked.len(), OperationName::ALL.len(), "an operation is not in the table: {asked:?}");
    for signal in Signal::ALL {
        let alone = |case: &Case| case.question().context.observed.signals == [signal];
        assert!(table.cases().iter().any(alone), "{} is not in the table", signal.name());
    }
}

/// What stands in a table is what is asked, and what is not answered so is shown.
#[test]
fn a_table_says_what_is_asked_and_what_is_answered_otherwise() {
    let text = "# a comment\nwho groups asks sensitivity keys signals hour ttl reason ssh | answer policies\n\n\
                uid:7 - - sensitive touch recent_failures 23 5m yes yes | verified critical   # at night\n\
                anna sre,staff secret.set - none - - - no no | deny -\n";
    let table = table(text).unwrap();
    let [first, second] = table.cases() else { panic!("{table:?}") };
    let (first, second) = (first.question(), second.question());
    let observed = &first.context.observed;
    assert_eq!((observed.uid, observed.hour, observed.enrolled_keys, observed.can_verify), (Some(7), 23, 1, false));
    assert_eq!(observed.signals, [Signal::RecentFailures]);
    assert!(first.context.has_reason && first.context.claimed.ssh && !second.context.has_reason);
    assert_eq!((first.ttl, first.sensitivity), ("5m".parse().ok(), Sensitivity::Sensitive));
    assert_eq!(second.operation, Some(OperationName::SecretSet));
    assert!(second.subject.sign_in().unwrap().person.groups.contains("staff"));
    assert_eq!((second.context.observed.uid, second.context.observed.enrolled_keys), (None, 0));

    let differences = table.differences(&DEFAULT, &NO_RESOURCES);
    let [difference] = differences.as_slice() else { panic!("{differences:?}") };
    assert_eq!(difference.line(), 4);
    assert_eq!(
        difference.to_string(),
        "who uid:7, sensitivity sensitive, keys touch, signals recent_failures, hour 23, ttl 5m, reason yes, ssh yes\n  \
         expected  verified  critical\n  answered  touch     sensitive\n  \
         because   sensitive resources need a touch of your key"
    );
}

#[test]
fn a_table_that_is_wrong_says_where_and_why() {
    for (text, says) in [
        ("# nothing\n", "cases.txt: it holds no table"),
        ("\nwho hours | answer\n", "cases.txt:2: no column is called 'hours'; there are who, groups,"),
        ("who who | answer\n", "cases.txt:1: the column who is there twice"),
        ("who keys\n", "cases.txt:1: it names no answer: a '|' stands before it"),
        ("who | answer\nadmin deny\n", "cases.txt:2: it has no answer: a '|' stands before it"),
        ("who keys | answer\nadmin | deny\n", "cases.txt:2: there are 1 words for the 2 columns who, keys"),
        ("keys | answer\nblue | deny\n", "cases.txt:2: 'blue' is none of the keys none, touch, pin"),
        ("signals | answer\nbad | deny\n", "cases.txt:2: no signal is called 'bad'; there are first_use_of_resource"),
        ("hour | answer\n24 | deny\n", "cases.txt:2: an hour is 0 to 23"),
        ("asks | answer\nkey.eat | deny\n", "cases.txt:2: no operation is called 'key.eat'"),
        ("who | answer\nuid:me | deny\n", "cases.txt:2: an account is written uid:N"),
        ("who claims | answer\nworkload ref | deny\n", "cases.txt:2: claims are written NAME=VALUE"),
        ("ssh | answer\n1 | deny\n", "cases.txt:2: '1' is neither yes nor no"),
        ("resource | answer\nrun | deny\n", "is a verb"),
    ] {
        let said = table(text).unwrap_err();
        assert!(said.contains(says), "{text:?}: {said}");
    }
}

#[test]
fn every_policy_of_the_default_has_an_id_a_reason_and_a_time() {
    let permits = DEFAULT_POLICY.matches("\npermit (").count();
    let rules = permits + DEFAULT_POLICY.matches("\nforbid (").count();
    assert!(permits >= 8);
    // What is forbidden takes no time.
    for (annotation, expected) in [("\n@id(\"", rules), ("\n@reason(\"", rules), ("\n@max_ttl(\"", permits)] {
        assert_eq!(DEFAULT_POLICY.matches(annotation).count(), expected, "{annotation}");
    }
}

// --- how answers come to be --------------------------------------------------------------------------------------

#[test]
fn the_shortest_time_wins_and_what_is_asked_never_lengthens_it() {
    let two = policy(
        "@id(\"long\") @max_ttl(\"8h\") permit (principal, action, resource);\n\
         @id(\"short\") @max_ttl(\"7m\") permit (principal, action, resource);",
    );
    let ask = |ttl: Option<&str>| {
        let asked = Asked { ttl: ttl.map(|ttl| ttl.parse().unwrap()), ..plain(Sensitivity::Low) };
        asked.ask(&two).unwrap()
    };
    assert_eq!((ask(None).ttl(), ask(Some("1m")).ttl(), ask(Some("30d")).ttl()), (420, 60, 420));
    assert_eq!(ask(None).policies(), ["long", "short"]);
    let unbounded = policy("permit (principal, action, resource);");
    assert_eq!(plain(Sensitivity::Low).ask(&unbounded).unwrap().ttl(), 900, "the default time");
}

#[test]
fn forbid_wins_and_says_why() {
    let text = format!(
        "{DEFAULT_POLICY}\n@id(\"night\") @reason(\"not at noon\") forbid (principal, action, resource) when {{ context.observed.hour == 12 }};"
    );
    let no = plain(Sensitivity::Low).ask(&policy(&text)).unwrap_err();
    assert_eq!((no.cause.as_str(), no.policies), ("not at noon", vec!["night".to_owned()]));
}

#[test]
fn no_policy_at_all_permits_nothing() {
    for sensitivity in [Sensitivity::Low, Sensitivity::Sensitive, Sensitivity::Critical] {
        let no = plain(sensitivity).ask(&policy("")).unwrap_err();
        assert_eq!(no.cause, "no policy permits it for 'thing'");
    }
}

/// A policy that can't be evaluated permits nothing, and neither do the others beside it.
#[test]
fn an_error_is_a_denial() {
    let overflow = "permit (principal, action, resource) when { context.observed.hour + 9223372036854775807 > 0 };";
    for text in [overflow.to_owned(), format!("{DEFAULT_POLICY}\n{overflow}")] {
        let no = plain(Sensitivity::Low).ask(&policy(&text)).unwrap_err();
        assert!(no.cause.starts_with("the policy could not be evaluated: "), "{}", no.cause);
    }
}

#[test]
fn claims_can_ask_for_more() {
    let text = "permit (principal, action, resource) when { !context.claimed.ssh || context.assurance.verified };";
    let (policy, here) = (policy(text), plain(Sensitivity::Low));
    let mut ssh = here.clone();
    ssh.context.claimed.ssh = true;
    assert_eq!(here.rung(&policy), Rung::At(Assurance::Session));
    assert_eq!(ssh.rung(&policy), Rung::At(Assurance::Verified));
}

#[test]
fn the_ladder_is_climbed_to_its_top() {
    let text = "permit (principal, action, resource) when { context.assurance.verified_hardware };";
    assert_eq!(plain(Sensitivity::Low).rung(&policy(text)), Rung::At(Assurance::VerifiedHardware));
}

// --- what holds for every question -------------------------------------------------------------------------------

prop_compose! {
    fn claims()(host in ".{0,20}", os in ".{0,10}", tty: bool, ssh: bool, command in proptest::option::of(".{0,20}")) -> Claimed {
        Claimed { host, os, tty, ssh, command }
    }
}

prop_compose! {
    fn questions()(
        operation in proptest::option::of(proptest::sample::select(OperationName::ALL.as_slice())),
        sensitivity in proptest::sample::select(vec![Sensitivity::Low, Sensitivity::Sensitive, Sensitivity::Critical]),
        keys in 0_usize..4,
        pin: bool,
        signals in signals(),
        admin: bool,
        workload: bool,
        claimed in claims(),
        ttl in proptest::option::of(1_u64..=30 * 86_400),
    ) -> Asked {
        let mut asked = Asked { operation, admin, ..plain(sensitivity) };
        asked.ttl = ttl.map(|ttl| Ttl::try_from(ttl).unwrap());
        asked.context.operation = operation;
        asked.context.claimed = claimed;
        let observed = &mut asked.context.observed;
        (observed.enrolled_keys, observed.can_verify, observed.signals) = (keys, pin && keys > 0, signals);
        if workload {
            let workload = Workload { issuer: "ci".into(), claims: [("ref".into(), "main".into())].into() };
            asked.subject = Subject::of_issuer("https://ci.example", "job").as_workload(workload);
        }
        asked
    }
}

fn signals() -> impl Strategy<Value = Vec<Signal>> {
    proptest::sample::subsequence(Signal::ALL.to_vec(), 0..=Signal::ALL.len())
}

proptest! {
    #[test]
    fn more_signals_never_lower_the_rung(row in questions(), more in signals()) {
        let mut risky = row.clone();
        risky.context.observed.signals.extend(more);
        prop_assert!(risky.rung(&DEFAULT) >= row.rung(&DEFAULT), "{row:?}");
    }

    #[test]
    fn claims_never_lower_the_rung(row in questions()) {
        let mut silent = row.clone();
        silent.context.claimed = Claimed::default();
        prop_assert!(row.rung(&DEFAULT) >= silent.rung(&DEFAULT), "{row:?}");
    }

    #[test]
    fn a_session_alone_opens_nothing_that_matters(row in questions()) {
        let least = match (row.operation, row.sensitivity) {
            (None, Sensitivity::Low) => Assurance::Session,
            (None, Sensitivity::Critical) => Assurance::Verified,
            (Some(OperationName::KeyEnroll), _) if row.context.observed.enrolled_keys == 0 => Assurance::Session,
            (Some(operation), _) if operation.only_reads() => Assurance::Session,
            (Some(_), _) if row.context.observed.can_verify => Assurance::Verified,
            (None, Sensitivity::Sensitive) | (Some(_), _) => Assurance::Touch,
        };
        prop_assert!(row.rung(&DEFAULT) >= Rung::At(least), "{row:?}");
        if row.subject.workload().is_some() && !row.admin {
            prop_assert!(row.rung(&DEFAULT) > Rung::At(Assurance::Session), "{row:?}");
        }
        if !row.admin && row.operation.is_some_and(|operation| !operation.is_own_keys()) {
            prop_assert_eq!(row.rung(&DEFAULT), Rung::Never);
        }
    }

    #[test]
    fn no_grant_is_longer_than_asked_or_than_an_hour(row in questions()) {
        if let Ok(permitted) = row.ask(&DEFAULT) {
            prop_assert!(permitted.ttl() <= row.ttl.map_or(u64::MAX, Ttl::seconds).min(3600));
            prop_assert!(permitted.ttl() > 0);
        }
    }
}

// --- files that are broken ---------------------------------------------------------------------------------------

/// A file that is broken, the line it is broken at, and a word of the reason.
struct Broken {
    file: &'static str,
    text: &'static str,
    line: usize,
    reason: &'static str,
}

const WIKI: &str = "[resource.wiki]\nkind = \"jwt\"\naudience = \"a\"\nsensitivity = \"low\"\n";

const BROKEN: &[Broken] = &[
    Broken {
        file: "policy.cedar",
        text: "// a comment\n\npermit (principal, action, resource) when { true \n;",
        line: 4,
        reason: "unexpected token",
    },
    Broken {
        file: "policy.cedar",
        text: "permit (principal, action, resource);\n\npermit (principal, action, resource)\nwhen { context.observed.hoor == 3 };",
        line: 4,
        reason: "hoor",
    },
    Broken {
        file: "policy.cedar",
        text: "permit (principal, action, resource)\nwhen { resource.sensitivity == 3 };",
        line: 2,
        reason: "types",
    },
    Broken {
        file: "policy.cedar",
        text: "\npermit (principal, action == Action::\"elevat\", resource);",
        line: 2,
        reason: "elevat",
    },
    Broken {
        file: "policy.cedar",
        text: "@id(\"a\")\n@max_ttl(\"soon\")\npermit (principal, action, resource);",
        line: 2,
        reason: "'soon' is no length of time",
    },
    Broken {
        file: "policy.cedar",
        text: "@max_ttl(\"90d\")\npermit (principal, action, resource);",
        line: 1,
        reason: "between 1 second and 30 days",
    },
    Broken {
        file: "policy.cedar",
        text: "@id(\"a\")\npermit (principal, action, resource);\n@id(\"b\")\npermit (principal, action, resource);\n@id(\"a\")\npermit (principal, action, resource);",
        line: 5,
        reason: "two policies are called 'a'",
    },
    Broken {
        file: "schema.cedarschema",
        text: "entity User;\nentity Resource = {\n  kind: Strng,\n};",
        line: 3,
        reason: "Strng",
    },
    Broken { file: "schema.cedarschema", text: "entity User = {\n  admin: Bool\n", line: 2, reason: "unexpected" },
    Broken { file: "authority.toml", text: "allow_software_keys = maybe\n", line: 1, reason: "" },
    Broken { file: "authority.toml", text: "\n\nallow_softwear_keys = true\n", line: 3, reason: "allow_softwear_keys" },
    Broken { file: "authority.toml", text: "default_ttl = \"a while\"\n", line: 1, reason: "is no length of time" },
    Broken {
        file: "authority.toml",
        text: "[resource.run]\nkind = \"secret\"\nsensitivity = \"low\"\n",
        line: 1,
        reason: "is a verb",
    },
    Broken {
        file: "authority.toml",
        text: "\n[resource.a]\nkind = \"jwt\"\nsensitivity = \"low\"\n",
        line: 2,
        reason: "needs an audience",
    },
    Broken {
        file: "authority.toml",
        text: "[resource.a]\nkind = \"secret\"\naudience = \"x\"\nsensitivity = \"low\"\n",
        line: 1,
        reason: "has no audience",
    },
    Broken {
        file: "authority.toml",
        text: "[resource.a]\nkind = \"secret\"\nsensitivity = \"medium\"\n",
        line: 3,
        reason: "medium",
    },
    Broken {
        file: "authority.toml",
        text: "[resource.authority]\nkind = \"secret\"\nsensitivity = \"low\"\n",
        line: 1,
        reason: "the authority itself",
    },
    Broken {
        file: "authority.toml",
        text: "[resource.a]\nkind = \"secret\"\nscopes = [\"read write\"]\nsensitivity = \"low\"\n",
        line: 1,
        reason: "a scope is one word",
    },
    Broken {
        file: "authority.toml",
        text: "idle_exit = \"1m\"\ndiscovery_listen = \"0.0.0.0:80\"\n",
        line: 2,
        reason: "loopback",
    },
];

#[test]
fn broken_files_do_not_load_and_say_where_and_why() {
    let mut wrong = Vec::new();
    for Broken { file, text, line, reason } in BROKEN {
        let directory = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| std::fs::write(directory.path().join(file), text).unwrap();
        put("authority.toml", WIKI);
        put("policy.cedar", DEFAULT_POLICY);
        put("schema.cedarschema", DEFAULT_SCHEMA);
        Rules::load(directory.path()).map(drop).unwrap();
        put(file, text);
        let Err(error) = Rules::load(directory.path()) else {
            wrong.push(format!("it loads: {text:?}"));
            continue;
        };
        let shown = error.to_string();
        let place = format!("{}:{line}: ", directory.path().join(file).display());
        if !shown.starts_with(&place) || !shown.contains(reason) || shown.contains('\n') {
            wrong.push(format!("expected {file}:{line}: ..{reason}..\n         got {shown}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A file that is gone is no reason to let more through than it did.
#[test]
fn a_missing_file_is_a_broken_one() {
    let files = [("authority.toml", WIKI), ("policy.cedar", DEFAULT_POLICY), ("schema.cedarschema", DEFAULT_SCHEMA)];
    for (missing, _) in files {
        let directory = tempfile::tempdir().unwrap();
        for (file, text) in files.iter().filter(|(file, _)| *file != missing) {
            std::fs::write(directory.path().join(file), text).unwrap();
        }
        let Err(error) = Rules::load(directory.path()) else { panic!("it loads without {missing}") };
        let file = directory.path().join(missing);
        assert!(error.to_string().starts_with(&format!("{}: it does not exist", file.display())), "{error}");
    }
}

/// A token that its service can not check the holder of lasts five minutes at most.
#[test]
fn a_resource_kind_limits_the_time_of_what_can_not_be_bound() {
    let mut resource = Resource::authority(&"https://localhost/1".parse().unwrap());
    assert_eq!(resource.longest(), u64::MAX);
    resource.checks_dpop = false;
    assert_eq!(resource.longest(), 300);
    resource.max_ttl = Some("1m".parse().unwrap());
    assert_eq!(resource.longest(), 60);
    resource.kind = ResourceKind::Secret;
    resource.max_ttl = None;
    assert_eq!(resource.longest(), u64::MAX, "a secret's time is the policy's");
}

/// A question is put to those policies alone that can concern it, by their scope or by what they want of the resource
/// first. That is never another answer: each set is asked as it is, and rewritten so that none of it can be left out.
#[test]
fn policies_that_are_left_out_would_have_said_nothing() {
    let effect = || prop_oneof![3 => Just("permit"), 1 => Just("forbid")];
    let resource = || {
        prop_oneof![Just("resource"), Just("resource == Resource::\"thing\""), Just("resource == Resource::\"other\"")]
    };
    let wants = || {
        prop_oneof![
            Just("resource.sensitivity == \"low\""),
            Just("resource.sensitivity == \"critical\""),
            Just("resource.environment == \"prod\""),
            Just("resource.environment == \"\""),
            Just("resource.kind == \"secret\""),
            Just("resource.tags.contains(\"x\")"),
            Just("context.assurance.touch"),
            Just("\"low\" == resource.sensitivity"),
            Just("resource.sensitivity != \"low\""),
            Just("!(resource.environment == \"prod\")"),
            Just("(resource.environment == \"prod\" || context.assurance.verified)"),
        ]
    };
    let kind = || prop_oneof![4 => Just("when"), 1 => Just("unless")];
    let one = (effect(), resource(), kind(), proptest::collection::vec(wants(), 1..3));
    let sets = proptest::collection::vec(one, 1..6);
    proptest!(ProptestConfig::with_cases(400), |(set in sets, low in any::<bool>(), prod in any::<bool>())| {
        let written = |hidden: bool| {
            let one = |(number, (effect, resource, kind, wants)): (usize, &(&str, &str, &str, Vec<&str>))| {
                let (scope, mut wants) = (if hidden { "resource" } else { resource }, wants.join(" && "));
                // What is named in the scope is wanted in so many words, behind what is always so.
                let always = "(context.assurance.touch || !context.assurance.touch)";
                if hidden && scope != *resource {
                    wants = if *kind == "when" { format!("{resource} && {wants}") } else { format!("!({resource}) || ({wants})") };
                }
                let wants = if hidden && *kind == "when" { format!("{always} && {wants}") } else { wants };
                format!("@id(\"p{number}\") {effect} (principal, action, {scope}) {kind} {{ {wants} }};")
            };
            policy(&set.iter().enumerate().map(one).collect::<Vec<_>>().join("\n"))
        };
        let mut asked = plain(if low { Sensitivity::Low } else { Sensitivity::Critical });
        asked.environment = if prod { "prod".to_owned() } else { String::new() };
        let (as_it_is, hidden) = (asked.ask(&written(false)), asked.ask(&written(true)));
        let said = |answer: Result<Permitted, NotPermitted>| answer.map_or_else(
            |no| (None, no.policies),
            |permitted| (Some(permitted.assurance()), permitted.policies().to_vec()),
        );
        prop_assert_eq!(said(as_it_is), said(hidden));
    });
}
