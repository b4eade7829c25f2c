//! Completion, in the shells themselves: each at a terminal, with none of its user's files.

use super::harness::*;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

const HOSTILE: &str = r#"
[resource.trap]
kind = "jwt"
description = "$(touch pwned) `touch pwned` '; touch pwned; ' \u001b[31mred\u0007 a\ttab"
audience = "https://trap.test.invalid"
sensitivity = "low"
"#;

/// A home whose names were heard of, and whose authority is gone: nobody is there to be asked.
fn heard() -> Home {
    let home = Home::with(&format!("{CATALOGUE}{HOSTILE}"));
    home.elevate(&["list"]).ok();
    home.elevate(&["key", "list"]).ok();
    home.elevate(&["wiki"]).ok();
    home.stop_authority();
    home
}

fn offered(home: &Home, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    let ended = home.elevate(&[&["complete-words", &index, "--"], words].concat()).ok();
    assert_eq!(ended.stderr, "");
    ended.stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn what_is_offered_where() {
    let home = heard();
    let table: &[(&[&str], &[&str])] = &[
        (&["elevate", "prod"], &["prod-api", "prod-db"]),
        (&["elevate", "w"], &["wiki"]),
        (&["elevate", "token", ""], &["prod-api", "prod-db", "trap", "tv", "vault", "wiki"]),
        (&["elevate", "run", "--ttl", "5m", "prod-d"], &["prod-db"]),
        (&["elevate", "-n", "explain", "v"], &["vault"]),
        (&["elevate", "drop", ""], &["wiki"]),
        (&["elevate", "status", ""], &["wiki"]),
        (&["elevate", "drop", "prod"], &[]),
        (&["elevate", "key", "remove", ""], &["laptop"]),
        (&["elevate", "admin", "secret", "set", "--seal-to", "l"], &["laptop"]),
        (&["elevate", "--color=n"], &["--color=never"]),
        (&["elevate", "completion", "z"], &["zsh"]),
        (&["elevate", "audit", ""], &["verify", "show"]),
        (&["elevate", "reap"], &[]),
    ];
    for (words, expected) in table {
        assert_eq!(offered(&home, words), *expected, "{words:?}");
    }
    let first = offered(&home, &["elevate", ""]);
    assert_eq!(first[..7], ["prod-api", "prod-db", "trap", "tv", "vault", "wiki", "run"], "names, then verbs");
    assert!(!first.iter().any(|word| word.starts_with('-')), "{first:?}");
    assert!(offered(&home, &["elevate", "--"]).contains(&"--reason".to_owned()));
    assert!(home.authorities().is_empty(), "it asks nobody");
}

#[test]
fn descriptions_of_others_are_one_plain_line() {
    let home = heard();
    let ended = home.elevate(&["complete-words", "1", "--", "elevate", "trap"]).ok();
    let expected = "trap\t$(touch pwned) `touch pwned` '; touch pwned; ' \\u{1b}[31mred\\u{7} a\\u{9}tab\n";
    assert_eq!(ended.stdout, expected);
}

/// Neither an error text nor a wait, whatever is missing or broken.
#[test]
fn where_something_is_wrong_less_is_offered() {
    let mut home = heard();
    let names = home.data().join("device/authorities/embedded/names-of-resources");
    let good = std::fs::read(&names).unwrap();
    let mut others = good.clone();
    others[0] ^= 1;
    for what in ["cut off", "another authority's", "gone", "no elevate.toml", "no home"] {
        match what {
            "cut off" => std::fs::write(&names, "b\0\nprod").unwrap(),
            "another authority's" => std::fs::write(&names, &others).unwrap(),
            "gone" => std::fs::remove_file(&names).unwrap(),
            "no elevate.toml" => home.write_config("elevate.toml", "keyring = 7 oops"),
            _ => home.set("HOME", "/nowhere"),
        }
        let begun = Instant::now();
        assert!(!offered(&home, &["elevate", "pro"]).contains(&"prod-api".to_owned()), "{what}");
        assert!(offered(&home, &["elevate", "do"]).contains(&"doctor".to_owned()), "{what}");
        offered(&home, &["elevate", "drop", ""]);
        assert!(begun.elapsed() < Duration::from_secs(5), "{what}");
    }
    assert_eq!(home.elevate(&["complete-words", "99", "--", "elevate"]).ok().stdout, "");
}

/// The keyring of a desktop may ask somebody to unlock it: it is not looked into.
#[test]
fn a_keyring_that_may_prompt_is_left_alone() {
    let mut home = heard();
    home.set("ELEVATE_KEYRING", "secret-service");
    home.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere");
    assert_eq!(offered(&home, &["elevate", "drop", "prod"]), ["prod-api", "prod-db"]);
}

#[test]
fn names_are_heard_of_on_the_way() {
    let home = Home::set_up();
    let names = home.data().join("device/authorities/embedded/names-of-resources");
    let _ = std::fs::remove_file(&names);
    home.elevate(&["token", "wiki"]).ok();
    assert_eq!(offered(&home, &["elevate", "prod"]), ["prod-api", "prod-db"]);
    assert_eq!(mode(&names), 0o600);
}

struct Shell {
    words: &'static [&'static str],
    setup: &'static str,
    prompt: &'static str,
    /// Whether it asks the command's own completion after `--`.
    commands: bool,
}

const SHELLS: &[Shell] = &[
    Shell {
        words: &["bash", "--norc", "--noprofile"],
        setup: "source /usr/share/bash-completion/bash_completion; source <(elevate completion bash); PS1='ready> '\n",
        prompt: "ready> ",
        commands: true,
    },
    Shell {
        words: &["bash", "--norc", "--noprofile"],
        setup: "source <(elevate completion bash); PS1='ready> '\n",
        prompt: "ready> ",
        commands: true,
    },
    Shell {
        words: &["zsh", "-f"],
        setup: "autoload -U compinit; compinit -u; source <(elevate completion zsh); PS1='ready> '\n",
        prompt: "ready> ",
        commands: true,
    },
    Shell {
        words: &["fish"],
        setup: "elevate completion fish | source; function fish_prompt; echo -n 'ready> '; end\n",
        prompt: "ready> ",
        commands: true,
    },
    Shell {
        words: &["elvish", "-norc"],
        setup: "eval (elevate completion elvish | slurp); set edit:prompt = { put 'ready> ' }\n",
        prompt: "ready> ",
        commands: false,
    },
];

/// In the place of `elevate`: completes as it does, and writes down what else it is called with.
const WRITES_DOWN: &str = r#"#!/bin/sh
case $1 in complete-words|completion) exec "$ELEVATE_ITSELF" "$@";; esac
printf '%s\n' "$*" >"$HOME/ran.new" && mv "$HOME/ran.new" "$HOME/ran"
"#;

fn program(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What is run where a line is typed, then Tab, then Enter.
fn completed(home: &Home, shell: &Shell, line: &str) -> String {
    let ran = home.path.join("ran");
    let _ = std::fs::remove_file(&ran);
    let mut tty = home.program_at_terminal(shell.words);
    tty.send(shell.setup);
    tty.wait_for(shell.prompt);
    tty.send(&format!("{line}\t\r\r"));
    wait_until(&format!("{:?} has run {line:?}; it shows {}", shell.words, tty.shown()), || ran.exists());
    let shown = tty.shown();
    assert!(!shown.contains("elevate: "), "an error text: {:?}: {shown}", shell.words);
    std::fs::read_to_string(ran).unwrap().trim_end().to_owned()
}

#[test]
fn real_shells_complete_names_options_and_commands() {
    let mut home = heard();
    let bin = home.beside("bin");
    std::fs::create_dir(&bin).unwrap();
    program(&bin.join("elevate"), WRITES_DOWN);
    program(&bin.join("zz-only-command"), "");
    let path = home.variable("PATH");
    let itself = path.split(':').next().map(|bin| format!("{bin}/elevate")).unwrap();
    home.set("ELEVATE_ITSELF", &itself);
    home.set("PATH", &format!("{}:{path}", bin.display()));
    home.set("TERM", "xterm");
    for shell in SHELLS {
        let mut table = vec![
            ("elevate token prod-d", "token prod-db"),
            ("elevate drop w", "drop wiki"),
            ("elevate tra", "trap"),
            ("elevate --reas", "--reason"),
            ("elevate --color=al", "--color=always"),
        ];
        if shell.commands {
            table.push(("elevate wiki -- zz-on", "wiki -- zz-only-command"));
            table.push(("elevate run wiki -- zz-on", "run wiki -- zz-only-command"));
        }
        for (typed, expected) in table {
            assert_eq!(completed(&home, shell, typed), expected, "{:?}", shell.words);
        }
    }
    let is_there = |directory: &Path| directory.join("pwned").exists();
    assert!(!is_there(&home.path) && !is_there(Path::new("/")), "a description was run");
}

#[test]
fn without_a_shell_it_says_which_there_are() {
    let home = Home::empty();
    let ended = home.elevate(&["completion"]).exits(2);
    assert!(ended.stderr.contains("<SHELL>"), "{}", ended.stderr);
    let ended = home.elevate(&["completion", "tcsh"]).exits(2);
    assert!(ended.stderr.contains("bash, zsh, fish, elvish, powershell"), "{}", ended.stderr);
}
