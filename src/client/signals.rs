//! The signals that end us, or stop us: one thread for the life of the process, which does what is due before we die of
//! the signal. What is due changes: put the terminal back while a question stands, put the lights of security keys out,
//! send the signal on while a command runs.

mod disposition;

use super::process::Stat;
use rustix::process::{Pid, getpid};
use rustix::termios::{OptionalActions, Termios};
use signal_hook::consts::{
    SIGABRT, SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGTSTP, SIGURG, SIGUSR1, SIGUSR2,
    SIGVTALRM, SIGWINCH,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::{Origin, WithOrigin};
use signal_hook::low_level::siginfo::Cause;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// What one process sends to another, beside the real-time signals. Those that tell of a fault are not among them.
const CAUGHT: [i32; 15] = [
    SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGCONT, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGWINCH,
    SIGURG, SIGIO, SIGABRT,
];

/// What a signal leads to.
pub enum Duty {
    /// Death by it.
    Die,
    /// The terminal as it was, with what shows its cursor, then death by it.
    Restore(File, Box<Termios>, &'static str),
    /// The command gets it; we go on.
    Forward(Pid),
    /// Nothing: the command it was meant for is over, and what follows is short.
    GoOn,
}

struct State {
    duty: Duty,
    /// What has to be undone before any death: for `elevate demo`.
    last_will: Option<Box<dyn FnOnce() + Send>>,
    /// Puts out the lights of the security keys that wait for a touch.
    lights_out: Option<Box<dyn Fn() + Send>>,
    /// Takes away the notification that says so.
    notice: Option<Box<dyn FnOnce() + Send>>,
}

static STATE: Mutex<State> = Mutex::new(State { duty: Duty::Die, last_will: None, lights_out: None, notice: None });
/// How often we were stopped and went on.
static STOPS: AtomicUsize = AtomicUsize::new(0);
/// Whether a signal is being obeyed, and lights go out because of it.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static START: Once = Once::new();

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A duty, until it is dropped.
pub struct OnDuty(());

/// Takes up a duty in place of plain death.
pub fn take_up(duty: Duty) -> OnDuty {
    START.call_once(start);
    state().duty = duty;
    OnDuty(())
}

/// Starts a command that is sent what is sent to us from its first moment on: a signal that comes while it is started
/// waits until it is known who gets it.
///
/// # Errors
/// Those of `spawn`; then signals lead to what they led to before.
pub fn forwarding<T, E>(spawn: impl FnOnce() -> Result<(T, Pid), E>) -> Result<(T, OnDuty), E> {
    START.call_once(start);
    disposition::children_are_told();
    let mut state = state();
    let (child, pid) = spawn()?;
    state.duty = Duty::Forward(pid);
    Ok((child, OnDuty(())))
}

impl OnDuty {
    /// The command is over. A signal that was meant for it and comes late does not keep us from what is still to do.
    pub fn go_on(&self) {
        state().duty = Duty::GoOn;
    }
}

/// Sets (or with `None` takes back) what is done before a signal ends us.
pub fn set_last_will(will: Option<Box<dyn FnOnce() + Send>>) {
    START.call_once(start);
    state().last_will = will;
}

/// Sets (or with `None` takes back) what puts the lights of security keys out, before a signal ends or stops us.
pub fn set_lights_out(lights_out: Option<Box<dyn Fn() + Send>>) {
    START.call_once(start);
    state().lights_out = lights_out;
}

/// Sets (or with `None` takes back) what takes a notification away, before a signal ends us.
pub fn set_notice(close: Option<Box<dyn FnOnce() + Send>>) {
    START.call_once(start);
    state().notice = close;
}

/// How often this process was stopped (SIGTSTP) and went on: whoever waits for a key or a line begins again then.
#[must_use]
pub fn stops() -> usize {
    STOPS.load(Ordering::SeqCst)
}

/// Whether lights go out because a signal came: what keys say meanwhile is its doing.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

impl Drop for OnDuty {
    fn drop(&mut self) {
        state().duty = Duty::Die;
    }
}

/// Where no handler can be had, signals kill as they always do. What whoever started us had ignored stays ignored, for us
/// and for the command: to catch it would end that.
fn start() {
    let caught: Vec<i32> = CAUGHT.into_iter().chain(disposition::real_time()).collect();
    let caught: Vec<i32> = caught.into_iter().filter(|signal| !disposition::is_ignored(*signal)).collect();
    let Ok(mut signals) = SignalsInfo::<WithOrigin>::new(&caught) else { return };
    std::thread::spawn(move || {
        disposition::unblock(&caught);
        for origin in &mut signals {
            obey(&origin);
        }
    });
}

fn obey(origin: &Origin) {
    let signal = origin.signal;
    let mut state = state();
    match &state.duty {
        Duty::Forward(command) => return forward(origin, *command),
        Duty::GoOn if signal == SIGTSTP => return disposition::stop_by(signal),
        Duty::GoOn => return,
        Duty::Restore(..) | Duty::Die => {}
    }
    if matches!(signal, SIGCONT | SIGWINCH | SIGURG) {
        return;
    }
    INTERRUPTED.store(true, Ordering::SeqCst);
    if let Some(lights_out) = &state.lights_out {
        lights_out();
    }
    let during = restore(&state.duty);
    if signal == SIGTSTP {
        disposition::stop_by(signal);
        // Here we go on.
        if let (Duty::Restore(terminal, ..), Some(during)) = (&state.duty, during) {
            let _ = rustix::termios::tcsetattr(terminal, OptionalActions::Now, &during);
        }
        STOPS.fetch_add(1, Ordering::SeqCst);
        INTERRUPTED.store(false, Ordering::SeqCst);
        return;
    }
    let (will, notice) = (state.last_will.take(), state.notice.take());
    drop(state);
    if let Some(close) = notice {
        close();
    }
    if let Some(will) = will {
        will();
    }
    die_of(signal);
}

/// Signals that are caught go to other threads: nothing that this one waits for is interrupted.
pub fn keep_from_this_thread() {
    disposition::block(&CAUGHT);
}

/// Dies of a signal, as the command did that we ran; returns where the signal does not kill.
pub fn die_of(signal: i32) {
    disposition::die_of(signal);
}

/// The command has stopped: we stop as well, by the same signal, so that the shell above sees it. Returns when we go on.
/// Where no shell waits, nobody would continue us, and we go on waiting.
pub fn stop_with_the_command(signal: i32) {
    let shell_waits = Stat::own().is_ok_and(|own| Stat::of(own.parent).is_ok_and(|above| above.session == own.session));
    if shell_waits && File::options().read(true).write(true).open("/dev/tty").is_ok() {
        disposition::stop_by(signal);
    }
}

/// Puts the terminal back to what it was before a question; returns what it was during it.
fn restore(duty: &Duty) -> Option<Termios> {
    let Duty::Restore(terminal, before, cursor) = duty else { return None };
    let during = rustix::termios::tcgetattr(terminal).ok();
    let _ = rustix::termios::tcsetattr(terminal, OptionalActions::Now, before);
    let mut terminal = terminal;
    let _ = terminal.write_all(format!("{cursor}\n").as_bytes());
    during
}

/// What the terminal sends, it sends to all in its foreground, the command among them; of the end of the terminal it tells
/// only the session's leader, which we may be. What the command itself sends to us it does not mean for itself.
fn forward(origin: &Origin, command: Pid) {
    let sender = origin.process.as_ref().map(|process| process.pid);
    let own = [command, getpid()].iter().any(|pid| sender == Some(pid.as_raw_pid()));
    let by_kernel = matches!(origin.cause, Cause::Kernel) && !matches!(origin.signal, SIGHUP | SIGCONT);
    if !own && !by_kernel {
        disposition::send(command, origin.signal);
    }
}
