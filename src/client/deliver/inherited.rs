//! What an elevate around us handed to us, and not to the command that we run: its credential is taken back before ours is
//! given.

use super::{MEMORY_FILE, renewed};
use crate::client::descriptors::keep_back;
use std::ffi::OsString;
use std::path::Path;

/// Names of the variables by which an elevate around us handed over a credential: the fixed ones, those that hold the same,
/// and those that point at its file, which the command does not get either.
pub fn take_back() -> Vec<OsString> {
    let fixed = ["ELEVATE_TOKEN", "ELEVATE_SECRET"];
    let around = std::env::var_os("ELEVATE_GRANT_ID").is_some();
    let credentials: Vec<OsString> = fixed.iter().filter_map(std::env::var_os).filter(|it| !it.is_empty()).collect();
    let mut names = Vec::new();
    for (name, value) in std::env::vars_os() {
        let file = if around { descriptor(Path::new(&value)) } else { None };
        file.inspect(|number| keep_back(*number));
        let handed_over = around && (credentials.contains(&value) || renewed::is_one(Path::new(&value)));
        if handed_over || file.is_some() || fixed.iter().any(|it| name == *it) {
            names.push(name);
        }
    }
    names
}

/// The number of the open file with a credential that this path names.
fn descriptor(path: &Path) -> Option<i32> {
    let number = path.strip_prefix("/proc/self/fd").ok()?.to_str()?.parse().ok()?;
    let target = std::fs::read_link(path).ok()?;
    (target == Path::new(&format!("/memfd:{MEMORY_FILE} (deleted)"))).then_some(number)
}
