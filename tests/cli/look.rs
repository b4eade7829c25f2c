//! What it looks like: colour where a stream is a terminal that shows it, notes unless quiet, tables that fit, and a list
//! to pick from where no resource is named.

use super::harness::*;
use rustix::process::Signal;

const ESC: char = '\u{1b}';

#[test]
fn colour_goes_to_terminals_that_show_it_and_where_it_is_asked_for() {
    let mut home = Home::set_up();
    let colored = |home: &Home, words: &[&str]| {
        let piped = home.elevate(words);
        (home.at_terminal(words).end().tty.contains(ESC), (piped.stdout + &piped.stderr).contains(ESC))
    };
    for words in [&["doctor"][..], &["--help"], &["status", "nothing"]] {
        let with = |more: &[&'static str]| [more, words].concat();
        home.set("TERM", "xterm");
        home.unset("NO_COLOR");
        assert_eq!(colored(&home, words), (true, false), "{words:?}");
        assert_eq!(colored(&home, &with(&["--color=always"])), (true, true), "{words:?}");
        assert_eq!(colored(&home, &with(&["--color", "never"])), (false, false), "{words:?}");
        home.set("NO_COLOR", "1");
        assert_eq!(colored(&home, words), (false, false), "{words:?}");
        assert_eq!(colored(&home, &with(&["--color", "auto"])), (false, false), "{words:?}");
        home.set("NO_COLOR", "");
        assert_eq!(colored(&home, words), (true, false), "an empty NO_COLOR says nothing: {words:?}");
        home.set("TERM", "dumb");
        assert_eq!(colored(&home, words), (false, false), "{words:?}");
    }
    home.elevate(&["--color=pink", "list"]).exits(2);
    assert!(!home.elevate(&["--json", "--color=always", "status", "nothing"]).exits(1).stderr.contains(ESC));
    let command = home.elevate(&["wiki", "--", "echo", "--color=always"]).ok();
    assert_eq!(command.stdout, "--color=always\n");
}

#[test]
fn the_headline_of_a_prompt_is_bold_where_that_is_shown() {
    let mut home = Home::set_up();
    home.set("TERM", "xterm");
    let done = home.approve(&["prod-api"]).ok();
    assert!(
        done.tty.contains("\n\u{1b}[1melevate: approve elevation to prod-api?\u{1b}[0m\n  scope "),
        "{:?}",
        done.tty
    );
}

#[test]
fn quiet_says_nothing_but_what_was_asked_for_and_errors() {
    let home = Home::set_up();
    let said = home.elevate(&["-q", "wiki"]).ok();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
    assert!(home.elevate(&["list", "--quiet"]).ok().stdout.contains("wiki"));
    assert!(home.elevate(&["-q", "token", "nothing"]).exits(2).stderr.contains("there is no resource"));
}

#[test]
fn what_was_mistyped_comes_with_what_was_meant() {
    let home = Home::set_up();
    for (words, meant) in [
        (&["lst"][..], "`elevate list`"),
        (&["shel"], "`elevate shell`"),
        (&["prod-ap"], "prod-api"),
        (&["token", "wikki"], "wiki"),
        (&["--quite", "list"], "--quiet"),
        (&["status", "--formt", "x"], "--format"),
        (&["key", "lst"], "list"),
    ] {
        let said = home.elevate(words).exits(2);
        assert!(said.stderr.contains(meant), "{words:?}: {}", said.stderr);
    }
}

#[test]
fn what_is_missing_or_too_much_is_named_with_what_to_write() {
    let home = Home::empty();
    let ttl = "'5x' is no length of time: write LEFT, LEFT, 1h30m or LEFT";
    for (words, fact, hint) in [
        (&["key"][..], "`elevate key` needs a verb", "one of: enroll, list, pin, remove"),
        (&["admin", "user"], "`elevate admin user` needs a verb", "one of: list, invite, disable, enable"),
        (&["key", "frob"], "`elevate key` has no verb 'frob'", "one of: enroll, list, pin, remove"),
        (&["audit", "verfy"], "`elevate audit` has no verb 'verfy'", "did you mean `elevate audit verify`?"),
        (&["key", "enroll"], "<NAME> is missing", "write: elevate key enroll <NAME>"),
        (&["run", "wiki"], "<COMMAND>... is missing", "write: elevate run <RESOURCE> -- <COMMAND>..."),
        (&["init", "--yes"], "--remove is missing", "write: elevate init --remove --yes"),
        (&["token", "--once", "wiki"], "unexpected argument '--once' found", "try `elevate token --help`"),
        (&["env", "--once", "wiki"], "unexpected argument '--once' found", "try `elevate env --help`"),
        (
            &["token", "--ttl", "5x"],
            &format!("invalid value '5x' for '--ttl <TIME>': {ttl}"),
            "try `elevate token --help`",
        ),
        (
            &["env", "--shell", "ksh"],
            "invalid value 'ksh' for '--shell <SHELL>'",
            "possible values: posix, fish, powershell",
        ),
    ] {
        home.elevate(words).exits(2).complains(&home, &format!("elevate: {fact}\n  {hint}\n"));
    }
}

#[test]
fn help_is_also_a_verb_and_each_option_stands_under_what_it_is_for() {
    let home = Home::empty();
    for words in [&[][..], &["token"], &["key", "enroll"]] {
        let help = home.elevate(&[words, &["--help"]].concat()).ok().stdout;
        assert_eq!(home.elevate(&[&["help"], words].concat()).ok().stdout, help);
        let (own, every) = help.split_once("Options of every verb:").expect("they have a heading");
        assert!(every.contains("--json") && !every.contains("--ttl") && !own.contains("--json"), "{help}");
        assert!(help.lines().count() < 80, "{help}");
    }
}

#[test]
fn tables_fit_narrow_terminals_also_with_long_and_wide_texts() {
    let catalogue = CATALOGUE
        .replace("the wiki", &"words and more words ".repeat(8))
        .replace("the television", &"東京タワー".repeat(12));
    let home = Home::with(&catalogue);
    home.elevate(&["wiki"]).ok();
    for (columns, verb) in [(80, "list"), (80, "status"), (80, "explain vault"), (40, "list"), (40, "status")] {
        let shown = home.sh_in_window(columns, 24, &format!("elevate {verb}")).end().ok().tty;
        for line in shown.lines() {
            let width = dialoguer::console::measure_text_width(line);
            assert!(width <= usize::from(columns), "{width} of {columns}: {line}");
        }
    }
}

#[test]
fn a_last_column_that_is_broken_goes_on_where_it_began() {
    let home = Home::with(&CATALOGUE.replace("the wiki", &"words and more words ".repeat(8)));
    let shown = home.sh_in_window(80, 24, "elevate list").end().ok().tty;
    let mut lines = shown.lines().skip_while(|line| !line.starts_with("wiki"));
    let begins = lines.next().and_then(|line| line.find("words")).expect("the wiki is listed");
    let next = lines.next().expect("its description is longer than a line");
    assert_eq!(next.find(|c| c != ' '), Some(begins), "{shown}");
}

#[test]
fn where_no_resource_is_named_one_is_picked() {
    let home = Home::set_up();
    let mut tty = home.prompting(&["token"]);
    tty.wait_for("Which? A number up to 5, or part of a name; Enter alone for none: ");
    similar(
        &plain(&tty.shown()),
        "#  RESOURCE  TAKES  DESCRIPTION
1  prod-api  a touch of your key  the production API
2  prod-db  a touch of your key  the production database
3  tv  nothing more  the television
4  vault  your key and its PIN or biometric  what needs a PIN
5  wiki  nothing more  the wiki
Which? A number up to 5, or part of a name; Enter alone for none:",
    );
    tty.send("production\n");
    tty.wait_for("Which? A number up to 2");
    tty.send("nonsense\n");
    tty.wait_for("There is no 'nonsense' in the list.");
    tty.wait_for("Which? A number up to 2");
    tty.send("1\n");
    tty.approve();
    let done = tty.end().ok();
    assert!(done.stdout.starts_with("ey") && done.stdout.ends_with('\n'), "stdout has the token alone: {done:?}");
    assert_eq!(done.stderr, "");

    for words in [&[][..], &["env"], &["run", "--", "true"]] {
        let mut tty = home.prompting(words);
        tty.wait_for("Enter alone for none: ");
        tty.send("wiki\n");
        tty.end().ok();
    }
}

#[test]
fn who_picks_nothing_is_where_they_were() {
    let home = Home::set_up();
    for answer in ["\n", "\u{4}"] {
        let mut tty = home.prompting(&[]);
        tty.wait_for("Enter alone for none: ");
        tty.send(answer);
        tty.end().exits(2).complains(
            &home,
            "elevate: there is no RESOURCE\n  `elevate list` shows what there is, `elevate --help` how\n",
        );
    }
    let script = r#"trap : INT; stty -a >"$0/before"; elevate token; echo "status $?"; stty -a >"$0/after"; cmp "$0/before" "$0/after" && echo same modes"#;
    let mut tty = home.prompting_script(script, &[]);
    tty.wait_for("Enter alone for none: ");
    tty.send("\u{3}");
    tty.wait_for("status 130");
    tty.wait_for("same modes");
    tty.end().ok();
}

/// A home at whose terminal a menu is drawn, and the question that stands over it.
fn with_menu() -> (Home, &'static str) {
    let mut home = Home::set_up();
    home.set("TERM", "xterm");
    (home, "Which? Type part of a name, or move with the arrows; Esc for none: ")
}

/// What a script sees of the terminal before and after.
const SAME_MODES: &str = r#"trap : INT; stty -a >"$0/before"; elevate token >"$0/stdout"; echo "status $?"; stty -a >"$0/after"; cmp "$0/before" "$0/after" && echo same modes"#;
const CURSOR_HIDDEN: &str = "\u{1b}[?25l";
const CURSOR_SHOWN: &str = "\u{1b}[?25h";

#[test]
fn a_terminal_that_can_be_drawn_on_has_a_menu() {
    let (home, question) = with_menu();
    // An arrow up from the first goes to the last.
    for keys in ["wik\r", "\u{1b}[B\u{1b}[B\u{1b}[A\u{1b}[A\u{1b}[A\r", "qq\u{7f}\u{7f}wiki\r"] {
        let mut tty = home.prompting(&[]);
        tty.wait_for(question);
        tty.wait_for("> prod-api  the production API\r\n  prod-db   the production database");
        tty.wait_for("  wiki      the wiki");
        assert!(!tty.echoes());
        tty.send(keys);
        let done = tty.end().ok();
        assert!(done.stderr.starts_with("elevate: wiki "), "{keys:?}: {done:?}");
        assert_eq!(done.stdout, "");
        assert!(done.tty.rfind(CURSOR_SHOWN) > done.tty.rfind(CURSOR_HIDDEN), "{done:?}");
    }
    let mut tty = home.prompting(&["token"]);
    tty.wait_for(question);
    tty.wait_for("the wiki");
    tty.send("prod-api\r");
    tty.approve();
    let done = tty.end().ok();
    assert!(done.stdout.starts_with("ey") && done.stdout.ends_with('\n'), "stdout has the token alone: {done:?}");
    assert_eq!(done.stderr, "");
}

#[test]
fn a_menu_that_is_left_leaves_the_terminal_as_it_was() {
    let (home, question) = with_menu();
    for (key, status) in [("\u{1b}", "status 2"), ("\u{3}", "status 130"), ("\u{4}\u{1a}\u{3}", "status 130")] {
        let mut tty = home.prompting_script(SAME_MODES, &[]);
        tty.wait_for(question);
        tty.wait_for("the wiki");
        tty.send(key);
        tty.wait_for(CURSOR_SHOWN);
        tty.wait_for(status);
        tty.wait_for("same modes");
        let done = tty.end().ok();
        assert_eq!(done.stdout, "", "{key:?}");
        assert!(done.tty.rfind(CURSOR_SHOWN) > done.tty.rfind(CURSOR_HIDDEN), "{key:?}: {done:?}");
    }
    // A signal of somebody else's, and one that was to be ignored.
    let mut tty = home.prompting(&[]);
    tty.wait_for("the wiki");
    tty.send("\u{3}");
    assert_eq!(tty.end().signal, Some(2), "it dies of the signal");
    for sent in [Signal::TERM, Signal::HUP] {
        let mut tty = home.prompting(&[]);
        tty.wait_for("the wiki");
        signal(tty.pid(), sent);
        tty.wait_for(CURSOR_SHOWN);
        let ended = tty.end();
        assert_eq!(ended.signal, Some(sent.as_raw()), "{ended:?}");
    }
    let mut tty = home.prompting_script(&SAME_MODES.replace("trap :", "trap ''"), &[]);
    tty.wait_for("the wiki");
    tty.send("\u{3}");
    tty.wait_for("status 2");
    tty.wait_for("same modes");
    tty.end().ok();
}

#[test]
fn a_menu_survives_any_window_and_what_is_typed_before_it_does_not_count() {
    let catalogue = CATALOGUE.replace("the wiki", r"\u001b[2J東京タワー words without an end");
    let resource =
        |n| format!("\n[resource.more-{n:02}]\nkind = \"secret\"\ndescription = \"more\"\nsensitivity = \"low\"\n");
    let more = (0..40).map(resource).collect::<Vec<String>>().concat();
    let mut home = Home::with(&(catalogue + &more));
    home.set("TERM", "xterm");
    for (columns, rows) in [(80, 24), (40, 10), (1, 1)] {
        let mut tty = home.sh_in_window(columns, rows, "read go; exec elevate");
        tty.send("\n");
        tty.wait_for(CURSOR_HIDDEN);
        tty.wait_for("more-00");
        let shown = tty.shown();
        assert!(!shown.contains("more-39"), "a long list is shown a page at a time: {shown}");
        for (columns, rows) in [(30, 5), (1, 1), (200, 60), (columns, rows)] {
            tty.resize(columns, rows);
            signal(tty.pid(), Signal::WINCH);
            tty.send("\u{1b}[B");
        }
        tty.send("wiki");
        tty.wait_for("wiki|");
        tty.send("\r");
        let done = tty.end().ok();
        assert!(done.tty.contains("elevate: wiki "), "{done:?}");
        let lines = done.tty.lines().filter(|line| line.contains("words") || line.contains("more"));
        for line in lines.filter(|_| columns > 1) {
            let width = dialoguer::console::measure_text_width(line);
            assert!(width < usize::from(columns), "{width} of {columns}: {line}");
        }
        assert!(!done.tty.contains("\u{1b}[2J"), "{done:?}");
    }
    let (home, question) = with_menu();
    let mut tty = home.prompting_script(r#"read go; exec elevate >"$0/stdout" 2>"$0/stderr""#, &[]);
    tty.send("\n\n\n");
    tty.wait_for(question);
    tty.wait_for("the wiki");
    tty.send("\u{1b}");
    tty.end().exits(2);
}

#[test]
fn nobody_is_asked_to_pick_without_a_terminal_with_n_or_for_a_command_alone() {
    let home = Home::set_up();
    for words in [&[][..], &["token"], &["env"], &["shell"]] {
        let refused = home.elevate(words).exits(2);
        assert!(refused.stderr.starts_with("elevate: there is no RESOURCE\n"), "{refused:?}");
        assert_eq!(home.prompting(&[&["-n"], words].concat()).end().exits(2).tty, "");
        home.prompting(&[&["--json"], words].concat()).end().exits(2).error();
    }
    assert_eq!(home.prompting(&["--", "true"]).end().exits(125).tty, "");
    let home = Home::empty();
    assert_eq!(home.prompting(&[]).end().exits(2).tty, "");
    assert!(!home.data().exists());
}

#[test]
fn a_prompt_survives_a_window_that_changes() {
    let home = Home::set_up();
    let mut tty = home.prompting(&["prod-api"]);
    tty.wait_for("Ctrl-C to refuse: ");
    for columns in [40, 10, 120] {
        tty.resize(columns, 24);
        signal(tty.pid(), Signal::WINCH);
    }
    tty.send("\n");
    tty.end().ok();
}
