//! Which security keys are plugged in, out of sysfs.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Whether we may open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    Granted,
    /// No.
    Forbidden,
    /// It is no longer there.
    Gone,
}

/// A key.
#[derive(Debug, Clone)]
pub struct PluggedIn {
    /// `/dev/hidrawN`.
    pub node: PathBuf,
    /// As it calls itself.
    pub name: String,
    /// Serial number.
    pub serial: Option<String>,
    /// Whether we may open it.
    pub access: Access,
}

/// Those whose report descriptor begins with the usage page FIDO.
#[must_use]
pub fn list_below(sysfs: &Path, dev: &Path) -> Vec<PluggedIn> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(sysfs.join("class/hidraw")).into_iter().flatten().flatten() {
        let device = entry.path().join("device");
        let fido = std::fs::read(device.join("report_descriptor")).is_ok_and(|it| it.starts_with(&[6, 0xd0, 0xf1]));
        if !fido {
            continue;
        }
        let uevent = std::fs::read_to_string(device.join("uevent")).unwrap_or_default();
        let value = |name: &str| uevent.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let node = dev.join(entry.file_name());
        let access = match std::fs::File::options().read(true).write(true).open(&node) {
            Ok(_) => Access::Granted,
            Err(error) if error.kind() == ErrorKind::NotFound => Access::Gone,
            Err(_) => Access::Forbidden,
        };
        let name = value("HID_NAME").unwrap_or("security key").to_owned();
        let serial = value("HID_UNIQ").filter(|serial| !serial.is_empty()).map(str::to_owned);
        found.push(PluggedIn { node, name, serial, access });
    }
    found.sort_by(|one, other| one.node.cmp(&other.node));
    found
}
