//! The signals that end us, or stop us: one thread for the life of the process, which does what is due before we die of
//! the signal. What is due changes: put the terminal back while a question stands, put the lights of security keys out,
//! send the signal on while a command runs.

use super::terminal::person_is_there;
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, Termios};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// What a signal leads to.
pub enum Duty {
    /// Death by it.
    Die,
    /// The terminal as it was, then death by it.
    Restore(File, Box<Termios>),
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

/// Where no handler can be had, signals kill as they always do.
fn start() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1, SIGUSR2]) else { return };
    std::thread::spawn(move || {
        for signal in &mut signals {
            obey(signal);
        }
    });
}

fn obey(signal: i32) {
    let mut state = state();
    match &state.duty {
        // A command that stops is stopped by the terminal, or by whoever stopped it; we stop with it.
        Duty::Forward(_) | Duty::GoOn if signal == SIGTSTP => {
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            return;
        }
        Duty::Forward(command) => return forward(signal, *command),
        Duty::GoOn => return,
        Duty::Restore(..) | Duty::Die => {}
    }
    INTERRUPTED.store(true, Ordering::SeqCst);
    if let Some(lights_out) = &state.lights_out {
        lights_out();
    }
    let during = restore(&state.duty);
    if signal == SIGTSTP {
        let _ = signal_hook::low_level::emulate_default_handler(signal);
        // Here we go on.
        if let (Duty::Restore(terminal, _), Some(during)) = (&state.duty, during) {
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
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}

/// Puts the terminal back to what it was before a question; returns what it was during it.
fn restore(duty: &Duty) -> Option<Termios> {
    let Duty::Restore(terminal, before) = duty else { return None };
    let during = rustix::termios::tcgetattr(terminal).ok();
    let _ = rustix::termios::tcsetattr(terminal, OptionalActions::Now, before);
    let mut terminal = terminal;
    let _ = terminal.write_all(b"\n");
    during
}

fn forward(signal: i32, command: Pid) {
    let on = match signal {
        SIGHUP => Signal::HUP,
        SIGTERM => Signal::TERM,
        SIGUSR1 => Signal::USR1,
        SIGUSR2 => Signal::USR2,
        // What the terminal sends, it sends to the command as well.
        _ if person_is_there() => return,
        SIGQUIT => Signal::QUIT,
        _ => Signal::INT,
    };
    let _ = kill_process(command, on);
}
