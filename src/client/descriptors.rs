//! Which open files the programs that we start get: those that were handed to us are the command's, and nobody else's.
#![allow(unsafe_code, reason = "close_range(2) and fcntl(2), for descriptors known by number only")]

use std::os::fd::RawFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// A program of ours gets its three streams and nothing beside them. It may live longer than we do, and would keep a
/// lock or a pipe of whoever started us open.
pub fn only_streams(command: &mut Command) -> &mut Command {
    let close = || {
        // SAFETY: this only marks descriptors, in the child; one system call, which may be made after `fork`. Where the
        // kernel does not know it (before 5.11), they stay open as they always did.
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        Ok(())
    };
    // SAFETY: see above; nothing is allocated and no lock is taken.
    unsafe { command.pre_exec(close) }
}

/// No program that we start or become gets this open file.
pub fn keep_back(number: RawFd) {
    // SAFETY: this only marks a descriptor, which stays open; of one that is not open the kernel says so.
    unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
}
