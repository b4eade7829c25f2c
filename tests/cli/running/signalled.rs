//! Signals while a command runs: each reaches it, once, and the shell above sees one job.

use super::super::harness::*;
use rustix::process::Signal;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::time::{Duration, Instant};

/// Says which signals come, and ends with 9 on SIGUSR2.
const RECORDER: &str = "
import os, signal, sys
def got(number, frame):
    os.write(1, b'got %d .\\n' % number)
    if number == signal.SIGUSR2: os._exit(9)
for number in [1, 2, 3, 10, 12, 14, 15, 18, 20, 23, 26, 27, 28, 29, 40]: signal.signal(number, got)
print('ready', os.getpid(), flush=True)
while True: signal.pause()
";

/// The number that is shown after `ready`.
fn ready(tty: &mut Tty) -> i32 {
    tty.wait_for("ready ");
    tty.wait_for("\n");
    tty.shown().split("ready ").nth(1).unwrap().lines().next().unwrap().trim().parse().unwrap()
}

/// An interactive shell, with job control.
fn bash(home: &Home) -> Tty {
    let mut tty = home.sh_at_terminal("exec env PS1='' bash --norc --noediting -i");
    tty.send("PS1='> '; bind 'set enable-bracketed-paste off' 2>/dev/null; echo at-$((40 + 2))\n");
    tty.wait_for("at-42");
    tty
}

/// The command that this `elevate` runs.
fn command_of(elevate: i32, words: &[&str]) -> i32 {
    let mut found = None;
    wait_until("the command runs", || {
        found = processes(|it| it == words).into_iter().find(|pid| parent_of(*pid) == elevate);
        found.is_some()
    });
    found.unwrap()
}

fn parent_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let parent = stat.rsplit(") ").next().unwrap_or_default().split(' ').nth(1);
    parent.and_then(|it| it.parse().ok()).unwrap_or_default()
}

#[test]
fn what_a_process_sends_to_elevate_alone_reaches_the_command_also_at_a_terminal() {
    let home = Home::set_up();
    let mut tty = home.at_terminal(&["--once", "wiki", "--", "python3", "-c", RECORDER]);
    ready(&mut tty);
    let sent = [1, 2, 3, 10, 14, 15, 18, 20, 23, 26, 27, 28, 29, 40];
    for number in sent {
        home.sh(&format!("kill -{number} {}", tty.pid())).ok();
        tty.wait_for(&format!("got {number} ."));
    }
    signal(tty.pid(), Signal::USR2);
    let ended = tty.end().exits(9);
    for number in sent {
        assert_eq!(ended.tty.matches(&format!("got {number} .")).count(), 1, "signal {number}: {}", ended.tty);
    }
}

#[test]
fn what_the_terminal_sends_reaches_the_command_once() {
    let home = Home::set_up();
    let mut tty = home.at_terminal(&["--once", "wiki", "--", "python3", "-c", RECORDER]);
    ready(&mut tty);
    for (key, number) in [("\u{3}", 2), ("\u{1c}", 3), ("\u{1a}", 20)] {
        tty.send(key);
        tty.wait_for(&format!("got {number} ."));
    }
    tty.resize(100, 30);
    tty.wait_for("got 28 .");
    // What was sent on would be here before this.
    signal(tty.pid(), Signal::USR1);
    tty.wait_for("got 10 .");
    signal(tty.pid(), Signal::USR2);
    let ended = tty.end().exits(9);
    for number in [2, 3, 20, 28] {
        assert_eq!(ended.tty.matches(&format!("got {number} .")).count(), 1, "signal {number}: {}", ended.tty);
    }
}

#[test]
fn a_shell_stops_and_continues_both_as_one_job() {
    let home = Home::set_up();
    let script = "
import os, signal
signal.signal(10, lambda *_: os.write(1, b'got 10 .\\n'))
os.write(1, b'ready %d\\n' % os.getpid())
while True: signal.pause()
";
    fs::write(home.beside("job.py"), script).unwrap();
    let job = format!("elevate --once wiki -- python3 {}", home.beside("job.py").display());
    let mut tty = bash(&home);
    tty.send(&format!("{job}\n"));
    let command = ready(&mut tty);
    let elevate = parent_of(command);
    // The command alone is stopped: the shell must see that too.
    signal(command, Signal::STOP);
    tty.wait_for("Stopped");
    tty.send("bg; echo back-$((1 + 1))\n");
    tty.wait_for("back-2");
    tty.send("fg\n");
    tty.wait_for(&job);
    for _ in 0..2 {
        // Two of them have passed: what continued us is dealt with.
        signal(elevate, Signal::USR1);
        tty.wait_for("got 10 .");
    }
    tty.send("\u{1a}");
    tty.wait_for("Stopped");
    assert_eq!((state_of(command), state_of(elevate)), ('T', 'T'));
    tty.send("jobs -l\n");
    tty.wait_for("Stopped");
    tty.wait_for(&job);
    tty.send("fg\n");
    tty.wait_for(&job);
    wait_until("it goes on", || state_of(command) == 'S');
    tty.send("\u{3}");
    tty.wait_for("KeyboardInterrupt");
    tty.send("echo status-$?\n");
    tty.wait_for("status-130");
    tty.send("exit 0\n");
    tty.end().ok();
}

#[test]
fn a_stop_is_by_the_signal_that_stopped_the_command() {
    let home = Home::set_up();
    let script = "
import os, sys, time
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.execvp('elevate', ['elevate', '--once', 'wiki', '--', 'sh', '-c', 'kill -' + sys.argv[1] + ' $$; exit 6'])
_, status = os.waitpid(pid, os.WUNTRACED)
print('by', os.WSTOPSIG(status) if os.WIFSTOPPED(status) else status, flush=True)
os.kill(pid, 18)
_, status = os.waitpid(pid, 0)
print('then', os.WEXITSTATUS(status), flush=True)
";
    for (name, number) in [("STOP", 19), ("TSTP", 20), ("TTIN", 21), ("TTOU", 22)] {
        let file = home.beside("script.py");
        fs::write(&file, script).unwrap();
        let tty = home.sh_at_terminal(&format!("python3 {} {name}", file.display()));
        let ended = tty.end().ok();
        assert_eq!(ended.tty, format!("by {number}\nthen 6\n"), "{name}");
    }
}

#[test]
fn without_a_terminal_a_stopped_command_does_not_stop_us() {
    let home = Home::set_up();
    let child = spawn(piped(&mut home.command(&["--once", "wiki", "--", "sleep", "655.25"])));
    let elevate = i32::try_from(child.id()).unwrap();
    let sleep = command_of(elevate, &["sleep", "655.25"]);
    signal(sleep, Signal::STOP);
    wait_until("the command stops", || state_of(sleep) == 'T');
    signal(elevate, Signal::CONT);
    wait_until("the command goes on", || state_of(sleep) == 'S');
    signal(elevate, Signal::TERM);
    assert_eq!(finish(child, b"").signal, Some(15));
}

#[test]
fn a_program_that_takes_the_terminal_over_has_it_all() {
    let home = Home::set_up();
    let script = "
import os, sys, termios, tty
before = termios.tcgetattr(0)
tty.setraw(0)
os.write(1, b'ready %d x\\r\\n' % os.getpid())
key = os.read(0, 1)
termios.tcsetattr(0, termios.TCSADRAIN, before)
size = os.get_terminal_size()
print('key', key[0], 'size', size.columns, size.lines, flush=True)
";
    let mut tty = home.at_terminal(&["--once", "wiki", "--", "python3", "-c", script]);
    tty.wait_for("ready ");
    tty.wait_for("\n");
    tty.resize(101, 31);
    tty.send("\u{3}");
    tty.wait_for("key 3 size 101 31");
    tty.end().ok();
}

#[test]
fn a_terminal_that_goes_away_is_told_to_the_command() {
    let home = Home::set_up();
    let seen = home.beside("seen");
    let script = "
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp('elevate', ['elevate', '--once', 'wiki', '--', 'sh', '-c', sys.argv[1]])
while b'ready' not in os.read(terminal, 100): pass
os.close(terminal)
_, status = os.waitpid(pid, 0)
print(status)
";
    let command = format!(
        "trap 'echo hangup >{0}; exit 4' HUP; echo $ELEVATE_TOKEN >{0}.token; echo ready; while :; do sleep 0.05; done",
        seen.display()
    );
    let ended = finish(spawn(piped(&mut home.program("python3", &["-c", script, &command]))), b"").ok();
    assert_eq!(ended.stdout.trim(), (4 << 8).to_string(), "{ended:?}");
    assert_eq!(fs::read_to_string(&seen).unwrap(), "hangup\n");
    let token = fs::read_to_string(format!("{}.token", seen.display())).unwrap();
    assert!(!home.is_active(token.trim()), "and it is revoked");
}

#[test]
fn a_job_in_the_background_needs_no_terminal() {
    let home = Home::set_up();
    let mut tty = bash(&home);
    tty.send("stty tostop; elevate --once wiki -- sh -c 'exit 3' & wait $!; echo status-$?\n");
    tty.wait_for("status-3");
    tty.send("exit 0\n");
    tty.end().ok();
}

#[test]
fn timeout_nohup_setsid_xargs_make_and_pipes_work_as_without() {
    let home = Home::set_up();
    home.sh("timeout 1 elevate --once wiki -- sleep 600").exits(124);
    home.sh("timeout -s KILL 1 elevate --once wiki -- sleep 6 || kill -9 $$");
    let nohup = home.sh("nohup elevate --once wiki -- sh -c 'kill -HUP $$; kill -HUP $PPID; echo still here'").ok();
    assert_eq!(nohup.stdout, "still here\n", "{nohup:?}");
    home.sh("setsid -w elevate --once wiki -- sh -c 'exit 5'").exits(5);
    let xargs = home.sh("seq 12 | xargs -P4 -I{} elevate --once wiki -- echo {} | sort -n | tr '\\n' ' '").ok();
    assert_eq!(xargs.stdout, "1 2 3 4 5 6 7 8 9 10 11 12 ");
    let makefile = home.beside("Makefile");
    fs::write(&makefile, "all: a b c d\na b c d:\n\t@elevate --once wiki -- sh -c 'echo $@'\n").unwrap();
    let make = home.sh(&format!("make -s -j4 -f {} | sort | tr '\\n' ' '", makefile.display())).ok();
    assert_eq!(make.stdout, "a b c d ", "{make:?}");
    for once in ["", "--once"] {
        let piped = home.sh(&format!("bash -c 'elevate {once} wiki -- yes | head -1; echo ${{PIPESTATUS[@]}}'")).ok();
        assert_eq!((piped.stdout.as_str(), piped.stderr.as_str()), ("y\n141 0\n", ""), "{once}");
    }
}

#[test]
fn what_is_ignored_or_blocked_on_entry_is_so_for_the_command() {
    let home = Home::set_up();
    // glibc ignores two signals of its own in what it spawns: they are nobody else's.
    let of_glibc = 0b11 << 31;
    let sets = |status: &str| -> Vec<u64> {
        let values = status.split_whitespace().filter_map(|word| u64::from_str_radix(word, 16).ok());
        values.map(|set| set & !of_glibc).collect()
    };
    let look = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
    for before in ["trap '' HUP INT USR1", "trap '' QUIT TERM TSTP WINCH ALRM", "true"] {
        let plain = home.sh(&format!("{before}; exec sh -c \"{look}\"")).ok().stdout;
        for once in ["", "--once"] {
            let seen = home.sh(&format!("{before}; exec elevate {once} wiki -- sh -c \"{look}\"")).ok().stdout;
            assert_eq!(sets(&seen), sets(&plain), "{before} {once}");
            assert_eq!(sets(&seen).len(), 2);
        }
    }
    // Also after somebody was asked, when signals were caught.
    let script = format!(r#"trap '' HUP QUIT; elevate -k "$1" prod-api -- {look} >"$0/stdout" 2>"$0/stderr""#);
    let plain = home.sh(&format!("trap '' HUP QUIT; {look}")).ok().stdout;
    for option in ["--reason=x", "--once"] {
        let mut tty = home.prompting_script(&script, &[option]);
        tty.approve();
        assert_eq!(sets(&tty.end().ok().stdout), sets(&plain), "{option}");
    }
    let block =
        "import os, signal, sys\nsignal.pthread_sigmask(0, [1, 10, 15, 40])\nos.execvp(sys.argv[1], sys.argv[1:])";
    let blocked = |words: &[&str]| {
        let words = [&["-c", block], words].concat();
        finish(spawn(piped(&mut home.program("python3", &words))), b"").ok().stdout
    };
    let plain = blocked(&["grep", "SigBlk", "/proc/self/status"]);
    assert!(plain.contains("8000004201"), "{plain}");
    for once in [&["elevate", "wiki", "--"][..], &["elevate", "--once", "wiki", "--"]] {
        assert_eq!(blocked(&[once, &["grep", "SigBlk", "/proc/self/status"]].concat()), plain, "{once:?}");
    }
    // Blocked is not lost: the command may want it later.
    let script = "
import os, signal, time
elevate = os.getppid()
signal.signal(10, lambda *_: os._exit(3))
sender = os.fork()
if sender == 0:
    os.kill(elevate, 10)
    os._exit(0)
os.waitpid(sender, 0)
signal.pthread_sigmask(1, [10])
time.sleep(30)
os._exit(4)";
    let words = ["-c", block, "elevate", "--once", "wiki", "--", "python3", "-c", script];
    finish(spawn(piped(&mut home.program("python3", &words))), b"").exits(3);
}

#[test]
fn an_ignored_sigchld_does_not_hide_the_commands_end() {
    let home = Home::set_up();
    let script = "import os, signal, sys\nsignal.signal(17, signal.SIG_IGN)\nos.execvp(sys.argv[1], sys.argv[1:])";
    for once in [&["elevate", "wiki"][..], &["elevate", "--once", "wiki"]] {
        let words = [&["-c", script], once, &["--", "sh", "-c", "exit 7"]].concat();
        finish(spawn(piped(&mut home.program("python3", &words))), b"").exits(7);
    }
}

#[test]
fn what_the_command_itself_sends_to_its_parent_does_not_come_back() {
    let home = Home::set_up();
    let script = "trap 'echo came back' TERM USR1; kill -TERM $PPID; kill -USR1 $PPID; sleep 0.3; exit 0";
    let ended = home.elevate(&["--once", "wiki", "--", "sh", "-c", script]).ok();
    assert_eq!(ended.stdout, "");
}

#[test]
fn open_files_are_passed_through_and_ours_are_not() {
    let home = Home::set_up();
    let file = home.beside("input");
    fs::write(&file, "from nine\n").unwrap();
    let list = "ls /proc/self/fd | tr '\\n' ' '";
    for once in ["", "--once"] {
        let read = home.sh(&format!("exec 9<{}; elevate {once} wiki -- cat <&9", file.display())).ok();
        assert_eq!(read.stdout, "from nine\n");
        let read = home.sh(&format!("exec 9<{}; elevate {once} wiki -- sh -c 'cat <&9'", file.display())).ok();
        assert_eq!(read.stdout, "from nine\n");
        let plain = home.sh(&format!("exec 7<{}; sh -c \"{list}\"", file.display())).ok().stdout;
        let ours = home.sh(&format!("exec 7<{}; elevate {once} wiki -- sh -c \"{list}\"", file.display())).ok().stdout;
        assert_eq!(ours, plain, "{once}");
    }
    // An authority that is started on the way lives on, and must not keep a pipe open that is not its own.
    home.stop_authority();
    let begun = Instant::now();
    home.sh("elevate list 9>&1 >/dev/null | cat").ok();
    assert!(begun.elapsed() < Duration::from_secs(20), "the pipe stayed open");
    home.authority();
}

#[test]
fn one_in_another_replaces_what_the_outer_one_handed_over() {
    let home = Home::set_up();
    home.put_secret("tv", "channel 4").ok();
    let outer_secret = |options: &str| {
        home.sh(&format!("elevate {options} tv -- elevate {options} wiki -- sh -c 'env; ls -l /proc/self/fd'")).ok()
    };
    for options in ["", "--once"] {
        for config in ["variable = \"TV_PASSWORD\"", "file = \"PGPASSFILE\""] {
            home.write_config("elevate.toml", &format!("[resource.tv]\n{config}\n"));
            let seen = outer_secret(options);
            for left in ["channel 4", "TV_PASSWORD", "PGPASSFILE", "ELEVATE_SECRET", "memfd"] {
                assert!(!seen.stdout.contains(left), "{options} {config}: {left} is left: {seen:?}");
            }
            assert!(seen.stdout.contains("ELEVATE_TOKEN=ey") && seen.stdout.contains("ELEVATE_RESOURCE=wiki\n"));
        }
    }
    let same = home.sh("elevate wiki -- elevate wiki -- printenv ELEVATE_TOKEN").ok().stdout;
    assert_eq!(same, home.elevate(&["token", "wiki"]).ok().stdout);
}

#[test]
fn a_command_that_dumps_core_is_told_as_dead_by_that_signal() {
    let home = Home::set_up();
    for number in [4, 6, 8, 11, 16, 30, 31, 40] {
        let mut command =
            home.command(&["--once", "wiki", "--", "sh", "-c", &format!("ulimit -c 0; kill -{number} $$")]);
        let ended = finish(spawn(piped(command.arg0("setsid"))), b"");
        assert_eq!(ended.signal, Some(number), "{ended:?}");
    }
}
