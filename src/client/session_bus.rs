//! The session bus of D-Bus: what passes on it is not encrypted, so that it must not leave this machine.

use std::ffi::OsStr;

/// Whether every address in `DBUS_SESSION_BUS_ADDRESS` is a Unix socket (D-Bus specification, "Server Addresses").
#[must_use]
pub fn is_on_this_machine(addresses: &OsStr) -> bool {
    addresses.to_str().is_some_and(|it| it.split(';').all(|address| address.starts_with("unix:")))
}
