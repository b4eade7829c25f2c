//! What shells are handed: a line for their prompt, assignments they evaluate, and a shell of one's own. In the real
//! bash, zsh, dash and fish.

use super::harness::*;
use std::fs;

/// Whatever a shell could take for something else.
const HOSTILE: &[&str] = &[
    "plain",
    "two words",
    r#"it's "quoted""#,
    r"\",
    r"ends with \",
    r"\'; touch pwned; '",
    "'; touch pwned; '",
    "$(touch pwned)`touch pwned`${HOME}$HOME",
    "(touch pwned)",
    "a\nb\n\nc",
    "\ttab * ? [a] ~ {a,b} !! # ; & | < > % ^ = ",
    "-n",
    "é 東京 \u{2019}\u{2018}",
];

#[test]
fn what_env_prints_is_text_to_every_shell_whatever_is_in_it() {
    let home = Home::set_up();
    let pwned = home.path.join("pwned");
    for secret in HOSTILE {
        home.put_secret("tv", secret).ok();
        home.elevate(&["drop", "tv"]);
        for shell in ["bash", "dash", "zsh", "fish"] {
            let (syntax, take) = match shell {
                "fish" => ("fish", r"set e (elevate env --shell fish tv | string collect); and eval $e"),
                _ => ("posix", r#"e=$(elevate env tv) && eval "$e""#),
            };
            let script = format!("cd; {take}; printf %s \"$ELEVATE_SECRET\"");
            let seen = finish(spawn(piped(&mut home.program(shell, &["-c", &script]))), b"").ok();
            assert_eq!((seen.stdout.as_str(), seen.stderr.as_str()), (*secret, ""), "{shell}");
            assert!(!pwned.exists(), "{shell} ran {secret:?}");
            // One shell's assignments are the same where it is named.
            let named = home.elevate(&["env", "--shell", syntax, "tv"]).ok().stdout;
            assert!(named.contains("ELEVATE_SECRET"), "{named}");
        }
        let powershell = home.elevate(&["env", "--shell", "powershell", "tv"]).ok().stdout;
        assert!(powershell.contains("$env:ELEVATE_SECRET = '"), "{powershell}");
    }
    home.elevate(&["env", "--shell", "tcsh", "tv"]).exits(2);
}

#[test]
fn a_failure_is_seen_where_fish_evaluates() {
    let home = Home::set_up();
    let script = "set e (elevate env --shell fish nothing | string collect); and eval $e; or echo failed";
    let seen = finish(spawn(piped(&mut home.program("fish", &["-c", script]))), b"").ok();
    assert_eq!(seen.stdout, "failed\n");
    assert!(seen.stderr.contains("there is no resource 'nothing'"), "{seen:?}");
}

#[test]
fn a_prompt_has_a_line_for_each_grant_and_nothing_where_nothing_is_held() {
    let home = Home::empty();
    let nothing = |home: &Home| {
        let said = home.elevate(&["status", "--format", "{resource}"]).exits(1);
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
    };
    nothing(&home);
    assert!(!home.data().exists(), "it makes nothing");
    home.found(CATALOGUE);
    nothing(&home);
    home.elevate(&["wiki"]).ok();
    home.approve(&["prod-api"]).ok();
    // Nobody is asked: it needs no authority that runs.
    home.stop_authority();
    let said = home.elevate(&["status", "--format", "<{resource}> {left}  {acr} {scope} {{{expires_at}}}"]).ok();
    // The two may have been granted in different seconds.
    let mut seen = home.plain(&said.stdout);
    for time in said.stdout.lines().filter_map(|line| line.split(['{', '}']).nth(1)) {
        assert!(is_time(time), "{said:?}");
        seen = seen.replace(time, "TIME");
    }
    similar(
        &seen,
        "<prod-api> LEFT  urn:elevate:acr:touch read write {TIME}\n<wiki> LEFT  urn:elevate:acr:session read write {TIME}\n",
    );
    assert_eq!(home.elevate(&["status", "wiki", "--format", "{resource}"]).ok().stdout, "wiki\n");
    let other = home.elevate(&["status", "tv", "--format", "{resource}"]).exits(1);
    assert_eq!((other.stdout.as_str(), other.stderr.as_str()), ("", ""));
    for wrong in ["{name}", "{", "{resource", "}"] {
        let said = home.elevate(&["status", "--format", wrong]).exits(2);
        assert_eq!(said.stdout, "");
    }
    assert_eq!(home.authorities(), [] as [i32; 0], "none is started");
}

#[test]
fn a_quiet_status_is_a_test_that_prints_nothing() {
    let home = Home::set_up();
    home.elevate(&["wiki"]).ok();
    let test = |words: &[&str], status| {
        let said = home.elevate(words).exits(status);
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""), "{words:?}");
    };
    test(&["status", "wiki", "--quiet"], 0);
    test(&["-q", "status", "wiki"], 0);
    test(&["status", "prod-api", "-q"], 1);
    test(&["status", "-q"], 0);
    home.elevate(&["drop", "wiki"]).ok();
    test(&["status", "wiki", "-q"], 1);
    test(&["status", "-q"], 1);
}

/// A home whose shell is this one, and whose start-up files set a prompt and say that they were read.
fn home_with(shell: &str) -> Home {
    let mut home = Home::set_up();
    home.set("SHELL", shell);
    home.set("TERM", "xterm");
    home.set("NO_COLOR", "1");
    fs::write(home.path.join(".bashrc"), "PS1='mine> '\nread_it=bashrc\n").unwrap();
    fs::write(home.path.join(".zshenv"), "from_env=zshenv\n").unwrap();
    fs::write(home.path.join(".zshrc"), "PROMPT='mine> '\nread_it=$from_env+zshrc\nunsetopt prompt_cr prompt_sp\n")
        .unwrap();
    fs::create_dir_all(home.path.join(".config/fish")).unwrap();
    let fish = "function fish_prompt; printf 'mine> '; end\nset -g fish_greeting\nset -g read_it fish\n";
    fs::write(home.path.join(".config/fish/config.fish"), fish).unwrap();
    home
}

#[test]
fn a_shell_shows_where_it_is_and_reads_the_users_own_files() {
    for (shell, read, status) in [("bash", "bashrc", "$?"), ("zsh", "zshenv+zshrc", "$?"), ("fish", "fish", "$status")]
    {
        let home = home_with(&format!("/usr/bin/{shell}"));
        let mut tty = home.at_terminal(&["shell", "wiki"]);
        tty.wait_for("elevate: a shell with wiki, which ends in ");
        tty.wait_for("(wiki) ");
        tty.wait_for("mine> ");
        tty.send("echo \"read $read_it, $ELEVATE_RESOURCE, $ELEVATE_SHELL, dir=$ZDOTDIR,\"\n");
        tty.wait_for(&format!("read {read}, wiki, wiki, dir=,"));
        tty.wait_for("(wiki) ");
        tty.send(&format!("elevate shell wiki; echo status=\"{status}\"\n"));
        tty.wait_for("elevate: this is a shell of wiki already");
        tty.wait_for("status=2");
        tty.send("exit 7\n");
        tty.end().exits(7);
        home.elevate(&["status", "wiki", "-q"]).ok();
    }
}

#[test]
fn a_prompt_that_is_made_anew_each_time_still_shows_it() {
    let home = home_with("/bin/bash");
    fs::write(home.path.join(".bashrc"), "PROMPT_COMMAND='PS1=\"made> \"'\n").unwrap();
    let mut tty = home.at_terminal(&["shell", "wiki"]);
    tty.wait_for("(wiki) made> ");
    tty.send("true\n");
    tty.wait_for("(wiki) made> ");
    tty.send("exit\n");
    tty.end().ok();
}

#[test]
fn the_users_own_zdotdir_is_where_zsh_goes_on() {
    let mut home = home_with("/usr/bin/zsh");
    let own = home.beside("zsh");
    fs::create_dir(&own).unwrap();
    fs::write(own.join(".zshrc"), "PROMPT='elsewhere> '\n").unwrap();
    home.set("ZDOTDIR", own.to_str().unwrap());
    let mut tty = home.at_terminal(&["shell", "wiki"]);
    tty.wait_for("(wiki) elsewhere> ");
    tty.send("exit\n");
    tty.end().ok();
}

#[test]
fn another_shell_is_told_apart_by_its_variable_and_a_missing_one_is_said() {
    let mut home = home_with("/bin/dash");
    let ran = home.elevate_reading(&["shell", "wiki"], "echo \"$ELEVATE_RESOURCE\"; exit 4\n").exits(4);
    assert_eq!(ran.stdout, "wiki\n");
    assert!(ran.stderr.contains("elevate: the prompt of dash does not show it; ELEVATE_RESOURCE says it\n"), "{ran:?}");
    let quiet = home.elevate_reading(&["-q", "shell", "wiki"], "exit 0\n").ok();
    assert_eq!(quiet.stderr, "");
    home.set("SHELL", "/no/such/shell");
    let missing = home.elevate(&["shell", "wiki"]).exits(11);
    assert!(missing.stderr.contains("SHELL names the shell that is started"), "{missing:?}");
    // Whose shell is none of ours to know: the one in /etc/passwd, or /bin/sh.
    home.unset("SHELL");
    let ran = home.elevate_reading(&["shell", "wiki"], "echo \"$ELEVATE_RESOURCE\"\n").ok();
    assert_eq!(ran.stdout, "wiki\n");
}

#[test]
fn a_shell_of_a_grant_that_is_used_once_ends_it() {
    let home = home_with("/bin/sh");
    let ran = home.elevate_reading(&["shell", "--once", "wiki"], "echo $ELEVATE_TOKEN\n").ok();
    assert!(!home.is_active(ran.stdout.trim()));
    home.elevate(&["status", "wiki", "-q"]).exits(1);
    let kept = home.elevate_reading(&["shell", "wiki"], "echo $ELEVATE_TOKEN\n").ok();
    assert!(home.is_active(kept.stdout.trim()));
}

#[test]
fn a_shell_ends_with_its_grant() {
    for shell in ["/bin/bash", "/usr/bin/zsh", "/usr/bin/fish", "/bin/dash"] {
        let home = home_with(shell);
        let mut tty = home.at_terminal(&["shell", "--ttl", "5s", "wiki"]);
        tty.wait_for("which ends in");
        tty.wait_for("elevate: wiki has ended: the command was told to end");
        let ended = tty.end();
        assert!(ended.signal == Some(1) || ended.status.is_some(), "{shell}: {ended:?}");
    }
}

#[test]
fn before_the_end_it_is_said() {
    let home = home_with("/bin/bash");
    let mut tty = home.at_terminal(&["shell", "--ttl", "20s", "wiki"]);
    tty.wait_for("(wiki) mine> ");
    tty.wait_for("elevate: wiki ends in ");
    tty.send("exit\n");
    tty.end().ok();
}
