//! Whom a grant reaches on its device: all of the user's processes, one login's, one terminal's.

use super::harness::*;

const TERMINAL: &str = "grants_reach = \"terminal\"\n";

fn reaching(elevate_toml: &str) -> Home {
    let home = Home::set_up();
    home.write_config("elevate.toml", elevate_toml);
    home
}

/// Two of make's jobs, a subshell, a pipe and a job in the background.
const EVERYWHERE: &str = r#"
    (elevate -n token prod-api; sh -c 'elevate -n token prod-api; :') >>"$0/stdout" 2>>"$0/stderr"
    printf 'all: a b\na b:\n\t@elevate -n token prod-api\n' | make -s -j2 -f - >>"$0/stdout" 2>>"$0/stderr"
    elevate -n token prod-api 2>>"$0/stderr" | cat >>"$0/stdout"
    elevate -n token prod-api >>"$0/stdout" 2>>"$0/stderr" & wait"#;

#[track_caller]
fn one_token(ended: &Ended, times: usize) {
    let tokens: Vec<&str> = ended.stdout.lines().collect();
    assert!(tokens.len() == times && tokens.windows(2).all(|pair| pair[0] == pair[1]), "{ended:#?}");
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.tty.matches("Press Enter").count(), 1, "{}", ended.tty);
}

#[test]
fn by_default_a_touch_serves_every_terminal_of_the_user() {
    let home = Home::set_up();
    let mut tty =
        home.prompting_script(&format!(r#"elevate token prod-api >"$0/stdout" 2>"$0/stderr"; {EVERYWHERE}"#), &[]);
    tty.approve_all();
    let ended = tty.end().ok();
    one_token(&ended, 7);
    let token = ended.stdout.lines().next().unwrap();

    let pane = home.beside("pane");
    let script = format!(
        "tmux -L elevate-test-$$ -f /dev/null new-session -d 'elevate -n token prod-api >{0}.new; mv {0}.new {0}'",
        pane.display()
    );
    home.sh(&script).ok();
    wait_until("the pane has its token", || pane.exists());
    assert_eq!(std::fs::read_to_string(pane).unwrap().trim(), token);
    assert_eq!(home.elevate(&["-n", "token", "prod-api"]).ok().stdout.trim(), token, "nor is a terminal needed");
    assert_eq!(home.issued("prod-api"), 1);
}

#[test]
fn a_terminals_grant_serves_that_terminal_alone() {
    let home = reaching(TERMINAL);
    let script = format!(
        r#"elevate token prod-api >"$0/stdout" 2>"$0/stderr"; {EVERYWHERE}; echo; read line; elevate -n token prod-api >>"$0/stdout""#
    );
    let mut first = home.prompting_script(&script, &[]);
    first.approve();
    wait_until("the first has its token", || home.issued("prod-api") == 1);

    // Elsewhere nothing is held, and nothing of the first's is ended.
    home.elevate(&["-n", "token", "prod-api"]).exits(4);
    home.elevate(&["status", "prod-api"]).exits(1);
    assert_eq!(home.elevate(&["status"]).ok().stdout, "no grants\n");
    home.elevate(&["drop", "prod-api"]).exits(1);
    home.elevate(&["-k"]).ok();
    let mut second = home.prompting_script(r#"elevate token prod-api >"$0/stdout"; elevate -k"#, &[]);
    second.approve();
    let second = second.end().ok();

    first.send("\n");
    let first = first.end().ok();
    one_token(&first, 8);
    let [first, second] = [&first, &second].map(|ended| ended.stdout.lines().next().unwrap().to_owned());
    assert_ne!(first, second);
    assert!(home.is_active(&first) && !home.is_active(&second), "-k ends what its own terminal holds");

    // What a device holds is ended from anywhere.
    home.elevate(&["-K"]).ok();
    assert!(!home.is_active(&first));
}

#[test]
fn two_terminals_do_not_wait_for_each_others_touch() {
    let home = reaching(TERMINAL);
    let mut first = home.prompting(&["token", "prod-api"]);
    first.wait_for("Ctrl-C to refuse: ");
    home.approve(&["token", "prod-api"]).ok();
    first.send("\n");
    first.end().ok();
    assert_eq!(home.issued("prod-api"), 2);
}

#[test]
fn parallel_calls_of_one_terminal_take_one_touch() {
    let home = reaching(TERMINAL);
    let script = r#"
        for i in 1 2 3 4 5 6 7 8; do elevate token prod-api >"$0/out.$i" 2>"$0/stderr" & done
        wait
        cat "$0"/out.* >"$0/stdout"; : >"$0/stderr""#;
    let mut tty = home.prompting_script(script, &[]);
    tty.approve_all();
    one_token(&tty.end().ok(), 8);
    assert_eq!(home.issued("prod-api"), 1);
}

/// A number that a process had is given to another: the session it leads is another all the same.
#[test]
fn a_reused_process_number_reaches_no_old_grant() {
    // In a user namespace of one's own, to which files of others belong to nobody.
    let home = Home::set_up();
    home.stop_authority();
    let authority = home.beside("elevate-authority");
    std::fs::copy(AUTHORITY_BIN, &authority).unwrap();
    home.write_config("elevate.toml", &format!("{TERMINAL}authority_program = {authority:?}\n"));
    let directory = home.path.display().to_string();
    let script = r#"
        session() { setsid sh -c "echo \$\$ >$1.number; $2 elevate status wiki >/dev/null; echo \$? >$1.status" 2>/dev/null; }
        cd "$0"
        session first "elevate wiki;"
        echo $(($(cat first.number) - 1)) >next
        cat next >/proc/sys/kernel/ns_last_pid
        session second
        cmp first.number second.number && cat first.status second.status
        elevate -K"#;
    let ended = finish(
        spawn(piped(&mut home.program("unshare", &["-Urpf", "--mount-proc", "sh", "-c", script, &directory]))),
        b"",
    );
    assert_eq!((ended.stdout.as_str(), ended.status), ("0\n1\nwiki dropped and revoked\n", Some(0)), "{ended:#?}");
}

#[test]
fn a_logins_grant_serves_that_login_alone() {
    let home = reaching("grants_reach = \"session\"\n");
    // Whoever belongs to no login yet may begin one, as PAM does.
    let login = "echo $(id -u) >/proc/self/loginuid";
    let script = format!(
        r"{login} && setsid elevate wiki && setsid elevate status wiki >/dev/null && echo held
           sh -c 'setsid elevate -n status wiki >/dev/null 2>&1; echo $?'"
    );
    let unset = std::fs::read_to_string("/proc/self/sessionid").unwrap().trim() == "4294967295";
    assert!(unset, "this runs inside a login, and no second can be begun: run it as .ci/run does, with `runuser`");
    let ended = home.sh(&script).ok();
    assert_eq!(ended.stdout, "held\n0\n", "{ended:#?}");
    let ended = home.sh(&format!("{login} && elevate status wiki")).exits(1);
    ended.complains(&home, "elevate: wiki is not held\n  `elevate wiki` asks for it\n");

    // Where there is no login nothing is shared, and that is said.
    let why = "it can't be told whom grants may reach: this process belongs to no login";
    let hint = "  grants_reach = \"user\" in elevate.toml shares them among all your processes\n";
    home.elevate(&["wiki"]).exits(9).complains(&home, &format!("elevate: {why}\n{hint}"));
    let ended = home.elevate(&["token", "wiki"]).ok();
    ended.complains(&home, &format!("elevate: the grant is not kept: {why}\n"));
    home.elevate(&["-K"]).ok();
}

#[test]
fn a_word_that_is_no_reach_is_refused() {
    let home = reaching("grants_reach = \"tty\"\n");
    home.elevate(&["status"]).exits(11).complains(
        &home,
        "elevate: ~/.config/elevate/elevate.toml: grants can't reach 'tty': write user, session or terminal\n",
    );
}

/// It is only not revoked: nobody can tell what it was.
#[test]
fn what_can_not_be_read_goes_with_the_rest() {
    let home = Home::set_up();
    home.elevate(&["list"]).ok();
    home.elevate(&["wiki"]).ok();
    let names = std::fs::read_to_string(home.data().join("device/authorities/embedded/names-of-resources")).unwrap();
    let id = names.lines().next().unwrap();
    let key = format!("elevate:{id}:tv");
    home.sh(&format!("printf 'elevate-grant 1 {id} tv\\nnonsense' | keyctl padd user {key} @u")).ok();
    home.elevate(&["status"]).exits(9);
    home.elevate(&["-k"]).ok();
    assert_ne!(home.sh(&format!("keyctl search @u user {key}")).status, Some(0), "-k left it");
    assert_eq!(home.elevate(&["status"]).ok().stdout, "no grants\n");
}
