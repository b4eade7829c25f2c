//! `elevate-authority policy check` and `diff`, as a person and a CI see them.

use crate::cli::harness::{AUTHORITY_BIN, Ended, finish, piped, spawn};
use elevate::authority::rules::{DEFAULT_POLICY, DEFAULT_SCHEMA};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// The three files of a set of rules.
fn rules(config: &str, policy: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("authority.toml", config), ("policy.cedar", policy), ("schema.cedarschema", DEFAULT_SCHEMA)] {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    }
    directory
}

fn run(words: &[&str], paths: &[&Path]) -> Ended {
    let mut command = std::process::Command::new(AUTHORITY_BIN);
    command.args(words).args(paths);
    finish(spawn(piped(&mut command)), b"")
}

fn check(directory: &TempDir, strict: bool) -> Ended {
    let words = ["policy", "check", "--strict", "--config"];
    let said = if strict {
        run(&words, &[directory.path()])
    } else {
        run(&["policy", "check", "--config"], &[directory.path()])
    };
    assert!(said.stdout.lines().all(|line| line.chars().count() <= 80 || !line.contains(' ')), "{}", said.stdout);
    said
}

/// The warnings alone, each on one line and without the directory.
fn warnings(said: &Ended, directory: &TempDir) -> Vec<String> {
    let text = said.stdout.replace("\n  ", " ").replace(&format!("{}/", directory.path().display()), "");
    text.lines()
        .filter(|line| line.starts_with("policy.cedar:") || line.starts_with("authority.toml:"))
        .map(str::to_owned)
        .collect()
}

const RESOURCES: &str = "\
[resource.wiki]\nkind = \"jwt\"\naudience = \"https://wiki.example\"\nsensitivity = \"low\"\n
[resource.prod-db]\nkind = \"secret\"\nsensitivity = \"critical\"\nenvironment = \"prod\"\n
[resource.prod-cache]\nkind = \"secret\"\nsensitivity = \"critical\"\nenvironment = \"prod\"\n";

#[test]
fn of_the_policy_that_is_shipped_there_is_nothing_to_say() {
    let directory = rules("", DEFAULT_POLICY);
    let said = check(&directory, true);
    assert_eq!((said.status, said.stderr.as_str()), (Some(0), ""), "{said:#?}");
    assert!(said.stdout.starts_with("nothing to say of 9 policies and 0 resources\nThis asked "), "{}", said.stdout);
}

#[test]
fn what_does_not_load_is_said_with_its_line() {
    let directory = rules("", "permit (principal, action, resource)\nwhen { resource.sensitivity == 3 };");
    let said = check(&directory, false);
    assert_eq!((said.status, said.stdout.as_str()), (Some(1), ""));
    assert!(said.stderr.contains("/policy.cedar:2: "), "{}", said.stderr);
}

/// A policy that decides nothing, for each reason that there is.
#[test]
fn policies_without_which_nothing_would_change_are_found() {
    let text = "\
@id(\"sensitive\") @reason(\"r\") @max_ttl(\"15m\")
permit (principal, action == Action::\"elevate\", resource)
when { resource.sensitivity == \"sensitive\" && context.assurance.touch };
@id(\"low\") @reason(\"r\") @max_ttl(\"15m\")
permit (principal, action == Action::\"elevate\", resource)
when { resource.sensitivity == \"low\" && context.observed.hour >= 6 };
@id(\"administration\") @reason(\"r\") @max_ttl(\"2m\")
permit (principal, action == Action::\"administer\", resource)
when { principal.admin && context.assurance.touch };
@id(\"never\") @reason(\"r\") @max_ttl(\"1h\")
permit (principal, action == Action::\"elevate\", resource)
when { context.observed.hour > 23 };
@id(\"above\") @reason(\"r\") @max_ttl(\"1h\")
permit (principal, action == Action::\"elevate\", resource)
when { resource.sensitivity == \"sensitive\" && context.assurance.verified };
@id(\"no-ssh\") @reason(\"r\")
forbid (principal, action == Action::\"elevate\", resource) when { context.claimed.ssh };
@id(\"shut-out\") @reason(\"r\") @max_ttl(\"1h\")
permit (principal, action == Action::\"elevate\", resource)
when { resource.sensitivity == \"low\" && context.claimed.ssh };
@id(\"no-ssh-at-night\") @reason(\"r\")
forbid (principal, action == Action::\"elevate\", resource)
when { context.claimed.ssh && context.observed.hour < 6 };
@id(\"no-secrets-of-others\") @reason(\"r\")
forbid (principal, action == Action::\"administer\", resource)
when { context.asked.operation == \"secret.set\" && !principal.admin };
@id(\"sensitive-again\") @reason(\"r\") @max_ttl(\"15m\")
permit (principal, action == Action::\"elevate\", resource)
when { resource.sensitivity == \"sensitive\" && context.assurance.touch };
@id(\"sensitive-in-haste\") @reason(\"r\") @max_ttl(\"1m\")
permit (principal, action == Action::\"elevate\", resource)
when { resource.sensitivity == \"sensitive\" && context.assurance.touch && !context.asked.has_reason };";
    let directory = rules("", text);
    let line = |id: &str| text.lines().position(|line| line.starts_with(&format!("@id(\"{id}\")"))).unwrap() + 1;
    let expected = [
        ("never", "decided none of the questions: what it wants was so in none of them"),
        (
            "above",
            "decided none of the questions: wherever it would permit, 'sensitive', 'sensitive-again' and \
             'sensitive-in-haste' permit the same for less, or 'no-ssh' and 'no-ssh-at-night' forbid it",
        ),
        (
            "shut-out",
            "decided none of the questions: wherever it would permit, 'no-ssh' and 'no-ssh-at-night' forbid it",
        ),
        ("no-ssh-at-night", "changes nothing: whatever it forbids, 'no-ssh' forbids as well"),
        ("no-secrets-of-others", "changes nothing: nobody is permitted what it forbids"),
        ("sensitive-again", "changes nothing: all that it permits, 'sensitive' permits at the same rung for no longer"),
    ];
    let expected: Vec<String> =
        expected.iter().map(|(id, says)| format!("policy.cedar:{}: '{id}' {says}", line(id))).collect();
    let said = check(&directory, false);
    assert_eq!((said.status, warnings(&said, &directory)), (Some(0), expected), "{}", said.stdout);
    assert_eq!(check(&directory, true).status, Some(1));
}

#[test]
fn names_that_nothing_has_and_annotations_that_nothing_reads_are_found() {
    let policy = "\
permit (principal, action == Action::\"elevate\", resource)
when {
    resource.sensitivity == \"hihg\"
    || resource.environment == \"prd\"
    || principal.roles.contains(\"oncal\")
    || principal.groups.contains(\"sre\")
    || principal.issuer == \"gitlab\"
    || resource == Resource::\"prod-bd\"
    || context.observed.signals.contains(\"recent_failure\")
    || context.asked.operation == \"key.enrol\"
};
@id(\"all\")
@reason(\"everything\")
@max_tll(\"1h\")
permit (principal, action, resource);
@id(\"not\") @reason(\"nothing\") @max_ttl(\"1h\")
forbid (principal, action, resource) when { !context.assurance.touch };
";
    let directory = rules(&format!("[roles]\noncall = [\"uid:1\"]\n{RESOURCES}"), policy);
    let said = check(&directory, false);
    let found = warnings(&said, &directory);
    for expected in [
        "policy.cedar:1: this policy has no @id: the log calls it policy0, until one is put before it",
        "policy.cedar:1: 'policy0' has no @reason: nobody is told why it decides",
        "policy.cedar:3: 'policy0' names the sensitivity 'hihg', and there is critical, low, sensitive",
        "policy.cedar:4: 'policy0' names the environment 'prd', and there is prod in authority.toml; the store may have others",
        "policy.cedar:5: 'policy0' names the role 'oncal', and there is oncall under [roles]",
        "policy.cedar:6: 'policy0' names the group 'sre', and without [sign_in] nobody has groups",
        "policy.cedar:7: 'policy0' names the trusted issuer 'gitlab', and there is none under [[trusted_issuer]]",
        "policy.cedar:8: 'policy0' names the resource 'prod-bd', which authority.toml does not declare; the store may",
        "policy.cedar:9: 'policy0' names the signal 'recent_failure', and there are 12 others",
        "policy.cedar:10: 'policy0' names the operation 'key.enrol', and there are 20 others",
        "policy.cedar:14: nothing reads @max_tll of 'all'; there are @id, @reason, @max_ttl",
        "policy.cedar:16: @max_ttl of 'not' does nothing: what is forbidden takes no time",
    ] {
        let at = expected.split(" there are 20").next().unwrap();
        assert!(found.iter().any(|line| line.starts_with(at)), "{expected}\n{}", found.join("\n"));
    }
}

#[test]
fn resources_that_nobody_reaches_are_named_with_the_reason() {
    let policy = "\
@id(\"low\") @reason(\"easy\") permit (principal, action == Action::\"elevate\", resource)
when { resource.sensitivity != \"critical\" };
@id(\"shut\") @reason(\"production is shut\") forbid (principal, action, resource)
when { resource.environment == \"prod\" };
@id(\"hard\") @reason(\"hard\") permit (principal, action == Action::\"elevate\", resource == Resource::\"vault\")
when { context.assurance.verified_hardware };
";
    let more = "[resource.vault]\nkind = \"secret\"\nsensitivity = \"critical\"\n[resource.safe]\nkind = \"secret\"\nsensitivity = \"critical\"\n";
    let directory = rules(&format!("{RESOURCES}{more}"), policy);
    let said = check(&directory, false);
    assert_eq!(
        warnings(&said, &directory),
        [
            "authority.toml:11: nobody can reach 'prod-cache' and 'prod-db': 'shut' (production is shut)",
            "authority.toml:15: nobody can reach 'vault': it takes verified_hardware, and no key is known to be hardware: \
             [attestation] names nobody",
            "authority.toml:18: nobody can reach 'safe': no policy permits it for 'safe'",
        ],
        "{}",
        said.stdout
    );
}

#[test]
fn what_every_workload_gets_is_named() {
    let issuer = "[[trusted_issuer]]\nname = \"ci\"\nissuer = \"https://ci.example\"\naudience = \"a\"\n\
                  jwks_uri = \"https://ci.example/keys\"\nclaims = { ref = \"main\" }\n";
    let policy = "@id(\"low\") @reason(\"easy\") permit (principal, action == Action::\"elevate\", resource)\n\
                  when { resource.sensitivity == \"low\" };\n\
                  @id(\"others\") @reason(\"hard\") permit (principal, action == Action::\"elevate\", resource)\n\
                  when { context.assurance.touch };";
    let directory = rules(&format!("{RESOURCES}{issuer}"), policy);
    let said = check(&directory, false);
    let expected =
        "authority.toml:1: 'wiki' is permitted to workloads of every trusted issuer: name the issuer in the policy";
    assert_eq!((warnings(&said, &directory), said.stderr.as_str()), (vec![expected.to_owned()], ""), "{}", said.stdout);
}

#[test]
fn two_policies_that_answer_the_same_are_no_difference() {
    let renamed = DEFAULT_POLICY.replace("@id(\"low\")", "@id(\"easy\")");
    let (old, new) = (rules(RESOURCES, DEFAULT_POLICY), rules(RESOURCES, &renamed));
    let said = run(&["policy", "diff"], &[old.path(), new.path()]);
    assert_eq!((said.status, said.stderr.as_str()), (Some(0), ""));
    assert!(
        said.stdout.starts_with("all ") && said.stdout.contains(" questions are answered the same\n"),
        "{}",
        said.stdout
    );
}

#[test]
fn a_difference_is_shown_in_groups_what_is_opened_first() {
    let policy = DEFAULT_POLICY.replace("@max_ttl(\"5m\")", "@max_ttl(\"3m\")").replace(
        "resource.sensitivity == \"sensitive\" && context",
        "(resource.sensitivity == \"sensitive\" || resource == Resource::\"prod-db\") && context",
    );
    let policy = format!(
        "{policy}\n@id(\"night\") @reason(\"not at night\")\nforbid (principal, action == Action::\"elevate\", resource)\n\
         when {{ resource.sensitivity == \"low\" && context.observed.hour >= 22 && context.claimed.ssh }};"
    );
    let (old, new) = (
        rules(RESOURCES, DEFAULT_POLICY),
        rules(&format!("{RESOURCES}\n[resource.new]\nkind = \"secret\"\nsensitivity = \"sensitive\"\n"), &policy),
    );
    let said = run(&["policy", "diff"], &[old.path(), new.path()]);
    assert_eq!((said.status, said.stderr.as_str()), (Some(1), ""));
    let expected = "\
opens
  not declared -> touch 15m (policies none -> sensitive): 600 questions
    new
  verified 5m -> touch 15m (policies critical -> sensitive): 600 questions
    prod-db

tightens
  verified 5m -> verified 3m (policy critical): 1,200 questions
    prod-cache and any critical resource
  touch 5m -> denied (policies low-at-risk -> night): 115 questions
    wiki with recent_failures or 6 others, at 22 to 23 h, with SSH
    wiki with a key that checks a PIN or a key without a PIN, with
      recent_failures or 7 others, at 22 to 23 h, with SSH
  session 5m -> denied (policies low -> night): 35 questions
    wiki with no signal or 5 others, at 22 to 23 h, with SSH
    wiki with no key, with no signal or 6 others, at 22 to 23 h, with SSH

2,550 of 5,400 questions are answered otherwise: 1,200 open, 1,350 tighten
This asked 5,400 questions and proves nothing about others. Varied: resources
  and operations (9), who asks (3), keys (3), signals (10), hours (2), SSH (2),
  ages of a sign-in (3).
";
    assert_eq!(said.stdout, expected, "{}", said.stdout);
}

#[test]
fn rules_that_do_not_load_can_not_be_compared() {
    let (good, bad) = (rules(RESOURCES, DEFAULT_POLICY), rules(RESOURCES, "permit;"));
    for paths in [[good.path(), bad.path()], [bad.path(), good.path()]] {
        let said = run(&["policy", "diff"], &paths);
        assert_eq!((said.status, said.stdout.as_str()), (Some(2), ""));
        assert!(said.stderr.contains("/policy.cedar:1: "), "{}", said.stderr);
    }
}
