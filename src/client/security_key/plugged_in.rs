//! placeholder
use std::path::{Path, PathBuf};
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Granted,
    Forbidden,
    Gone,
}
pub struct PluggedIn {
    pub node: PathBuf,
    pub name: String,
    pub serial: Option<String>,
    pub access: Access,
}
pub fn list_below(sysfs: &Path, dev: &Path) -> Vec<PluggedIn> {
    let mut out = Vec::new();
    let Ok(dir) = std::fs::read_dir(sysfs.join("class/hidraw")) else { return out };
    for e in dir.flatten() {
        let Ok(d) = std::fs::read(e.path().join("device/report_descriptor")) else { continue };
        if !d.starts_with(&[6, 0xd0, 0xf1]) {
            continue;
        }
        let u = std::fs::read_to_string(e.path().join("device/uevent")).unwrap_or_default();
        let name = u.lines().find_map(|l| l.strip_prefix("HID_NAME=")).unwrap_or("security key").to_owned();
        let node = dev.join(e.file_name());
        let access = match std::fs::File::options().read(true).write(true).open(&node) {
            Ok(_) => Access::Granted,
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => Access::Forbidden,
            Err(_) => Access::Gone,
        };
        out.push(PluggedIn { node, name, serial: None, access });
    }
    out.sort_by(|a, b| a.node.cmp(&b.node));
    out
}
