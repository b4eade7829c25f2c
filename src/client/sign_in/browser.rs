//! Opening the desktop's browser.

use crate::client::descriptors::only_streams;
use crate::client::identity_token;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// Whether the desktop was asked to open a URL. What comes of it nobody knows: some openers stay until the browser ends.
pub(super) fn open(url: &str) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !is_set("DISPLAY") && !is_set("WAYLAND_DISPLAY") {
        return false;
    }
    let mut command = Command::new("xdg-open");
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Ctrl-C at our terminal is not for a browser.
    command.process_group(0).env_remove(identity_token::VARIABLE);
    only_streams(&mut command);
    command.spawn().is_ok()
}
