//! What the kernel does with a signal that comes to this process, and sending one by its number: system calls that have
//! no safe form.
#![allow(
    unsafe_code,
    reason = "sigaction(2), pthread_sigmask(3), raise(3) and kill(2), for signals known by number only"
)]

use rustix::process::Pid;
use std::mem::zeroed;
use std::ptr::{null, null_mut};

/// Whether a signal is ignored: by whoever started us, as `nohup` does with SIGHUP.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: an all-zero `sigaction` is a valid one, and with a null second argument the call only reads.
    let mut action: libc::sigaction = unsafe { zeroed() };
    // SAFETY: as above.
    let read = unsafe { libc::sigaction(signal, null(), &raw mut action) };
    read == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// A signal leads to what it leads to by default; returns what it led to before.
fn set_default(signal: i32) -> libc::sigaction {
    // SAFETY: an all-zero `sigaction` is a valid one: the default, with no flags and an empty mask.
    let (default, mut before): (libc::sigaction, libc::sigaction) = unsafe { (zeroed(), zeroed()) };
    // SAFETY: both point to valid structures; no handler is installed.
    unsafe { libc::sigaction(signal, &raw const default, &raw mut before) };
    before
}

/// The end of a child is told, also where whoever started us had this ignored: then nobody could wait for one.
pub fn children_are_told() {
    if is_ignored(libc::SIGCHLD) {
        set_default(libc::SIGCHLD);
    }
}

/// Signals come to this thread, also where whoever started us had them blocked. Other threads are left as they are.
pub fn unblock(signals: &[i32]) {
    let _ = mask(libc::SIG_UNBLOCK, signals);
}

/// Signals go to other threads than this one.
pub fn block(signals: &[i32]) {
    let _ = mask(libc::SIG_BLOCK, signals);
}

fn mask(how: i32, signals: &[i32]) -> libc::sigset_t {
    // SAFETY: `sigset_t` is plain data that `sigemptyset` initialises; all pointers are to locals.
    unsafe {
        let (mut set, mut before): (libc::sigset_t, libc::sigset_t) = (zeroed(), zeroed());
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::pthread_sigmask(how, &raw const set, &raw mut before);
        before
    }
}

/// Stops this process by a signal, as if it were not caught; returns when the process goes on.
pub fn stop_by(signal: i32) {
    if signal == libc::SIGSTOP {
        // SAFETY: no memory is involved.
        unsafe { libc::raise(signal) };
        return;
    }
    let before = set_default(signal);
    let blocked = mask(libc::SIG_UNBLOCK, &[signal]);
    // SAFETY: no memory is involved; what is put back is what the kernel and libc gave out just before.
    unsafe {
        libc::raise(signal);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const blocked, null_mut());
        libc::sigaction(signal, &raw const before, null_mut());
    }
}

/// Dies of a signal. Returns where its default is not death.
pub fn die_of(signal: i32) {
    set_default(signal);
    unblock(&[signal]);
    // SAFETY: no memory is involved.
    unsafe { libc::raise(signal) };
}

/// Sends a signal by its number, real-time ones included.
pub fn send(to: Pid, signal: i32) {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(to.as_raw_pid(), signal) };
}

/// The real-time signals that libc leaves to programs.
#[must_use]
pub fn real_time() -> std::ops::RangeInclusive<i32> {
    libc::SIGRTMIN()..=libc::SIGRTMAX()
}
