//! One system call: putting another open file in the place of one that a library holds.
#![allow(unsafe_code, reason = "a descriptor that a library opened is known by its number only")]

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

/// Finds the descriptor by which this process holds the device `node`, puts `other` in its place, and returns the device.
///
/// # Errors
/// Where not exactly one descriptor of this process is that device.
pub fn replace(node: &Path, other: impl AsFd) -> io::Result<File> {
    let mut held = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        if std::fs::read_link(entry.path()).is_ok_and(|target| target == node) {
            held.extend(entry.file_name().to_str().and_then(|number| number.parse::<RawFd>().ok()));
        }
    }
    let [number] = held[..] else {
        return Err(io::Error::other("the library does not hold the device by one descriptor"));
    };
    // SAFETY: the number was just listed as open, and its owner, the library, is idle: nobody closes it meanwhile. It is
    // never dropped here, so it is closed once, by the library.
    let mut held = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
    let device = held.try_clone()?;
    rustix::io::dup2(other, &mut held)?;
    Ok(File::from(device))
}
