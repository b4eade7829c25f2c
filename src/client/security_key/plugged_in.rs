//! Which security keys are plugged in, and whether this process may open them: read from sysfs, where each HID device says
//! of itself what it is for (HID 1.11, section 6.2.2). Sends nothing to any of them.

use rustix::fs::Access as Allowed;
use rustix::io::Errno;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Where [`UDEV_RULE`] belongs: before 73-seat-late.rules, which acts on the tag.
pub const UDEV_RULE_FILE: &str = "/etc/udev/rules.d/70-elevate-security-keys.rules";

/// Lets people open security keys, by what a device says it is and not by a list of vendors. systemd does the same for
/// whoever sits at the machine, from version 244 on and where logind runs; the group is for all others, over SSH for example.
pub const UDEV_RULE: &str = r#"# Security keys may be opened by whoever sits at this machine, and by group plugdev.
# Printed by `elevate doctor --udev-rule`.
ACTION=="remove", GOTO="elevate_security_keys_end"
SUBSYSTEM!="hidraw", GOTO="elevate_security_keys_end"
ENV{ID_SECURITY_TOKEN}!="1", IMPORT{program}="fido_id"
ENV{ID_SECURITY_TOKEN}=="1", TAG+="uaccess", GROUP="plugdev", MODE="0660"
LABEL="elevate_security_keys_end"
"#;

/// CTAP 2.2 section 11.2.8.2: usage page and usage of a security key.
const FIDO: (u32, u32) = (0xf1d0, 0x01);
/// Bytes read of a file in sysfs; the kernel takes no longer descriptor, and a page holds every other file.
const FILE_MAX: u64 = 64 << 10;

/// A security key that is plugged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluggedIn {
    /// Its device node, `/dev/hidrawN`.
    pub node: PathBuf,
    /// What it calls itself: to be escaped where it is shown.
    pub name: String,
    /// Its serial number, where it tells one.
    pub serial: Option<String>,
    /// Whether this process may open it.
    pub access: Access,
}

/// Whether a device may be opened for reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// This user may.
    Allowed,
    /// This user may not.
    Forbidden,
    /// There is nothing to open: unplugged meanwhile, broken, or not handed to this container.
    Gone,
}

/// The security keys that are plugged in, in the order of their device numbers; `sysfs` is `/sys`, `dev` is `/dev`. None
/// where there is no HID at all. What is unplugged while we look is passed over.
#[must_use]
pub fn list_below(sysfs: &Path, dev: &Path) -> Vec<PluggedIn> {
    let entries = std::fs::read_dir(sysfs.join("class/hidraw")).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("hidraw")?.parse().ok());
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    let keys = numbers.into_iter().filter_map(|number| {
        let device = sysfs.join(format!("class/hidraw/hidraw{number}/device"));
        if !is_security_key(&read(&device.join("report_descriptor"))?) {
            return None;
        }
        let about = read(&device.join("uevent")).unwrap_or_default();
        let about = String::from_utf8_lossy(&about);
        let value = |name: &str| {
            let mut lines = about.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            lines.next().map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let node = dev.join(format!("hidraw{number}"));
        let access = access(&node);
        let name = value("HID_NAME").unwrap_or_else(|| "a security key without a name".to_owned());
        Some(PluggedIn { node, name, serial: value("HID_UNIQ"), access })
    });
    keys.collect()
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(FILE_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Asked of the file system: opening a device to see whether it opens would wake it.
fn access(node: &Path) -> Access {
    match rustix::fs::access(node, Allowed::READ_OK | Allowed::WRITE_OK) {
        Ok(()) => Access::Allowed,
        Err(Errno::ACCESS | Errno::PERM) => Access::Forbidden,
        Err(_) => Access::Gone,
    }
}

/// Whether a report descriptor declares the usage of a security key. What follows after an item that is cut off is not
/// looked at.
fn is_security_key(descriptor: &[u8]) -> bool {
    let mut rest = descriptor;
    let mut page = 0;
    let mut pushed = Vec::new();
    while let Some((item, after)) = Item::first_of(rest) {
        rest = after;
        match item {
            Item::UsagePage(named) => page = named,
            Item::Usage(usage) if (page, usage) == FIDO => return true,
            Item::ExtendedUsage(of_page, usage) if (of_page, usage) == FIDO => return true,
            Item::Push => pushed.push(page),
            Item::Pop => page = pushed.pop().unwrap_or(page),
            Item::Usage(_) | Item::ExtendedUsage(..) | Item::Other => {}
        }
    }
    false
}

/// An item of a report descriptor, as far as it matters here (HID 1.11, sections 6.2.2.2 to 6.2.2.8).
enum Item {
    UsagePage(u32),
    /// On the page that stands.
    Usage(u32),
    /// Four bytes: its own page, and the usage on it.
    ExtendedUsage(u32, u32),
    Push,
    Pop,
    Other,
}

/// First byte of a long item.
const LONG: u8 = 0xfe;
/// Types of short items.
const GLOBAL: u8 = 1;
const LOCAL: u8 = 2;

impl Item {
    /// The item at the beginning, and what comes after it; `None` where nothing whole is left.
    fn first_of(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&prefix, rest) = bytes.split_first()?;
        if prefix == LONG {
            let (&size, rest) = rest.split_first()?;
            return Some((Self::Other, rest.get(1 + usize::from(size)..)?));
        }
        let size = [0, 1, 2, 4][usize::from(prefix & 0b11)];
        let (data, rest) = rest.split_at_checked(size)?;
        let value = data.iter().rev().fold(0, |value, byte| (value << 8) | u32::from(*byte));
        let (tag, scope) = (prefix >> 4, (prefix >> 2) & 0b11);
        let item = match (scope, tag, size) {
            (GLOBAL, 0x0, _) => Self::UsagePage(value),
            (GLOBAL, 0xa, _) => Self::Push,
            (GLOBAL, 0xb, _) => Self::Pop,
            (LOCAL, 0x0, 4) => Self::ExtendedUsage(value >> 16, value & 0xffff),
            (LOCAL, 0x0, _) => Self::Usage(value),
            _ => Self::Other,
        };
        Some((item, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, PluggedIn, is_security_key, list_below};
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    /// As in CTAP 2.2 section 11.2.8.2.
    const KEY: &[u8] = &[
        0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01, 0x09, 0x20, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40,
        0x81, 0x02, 0x09, 0x21, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91, 0x02, 0xc0,
    ];
    const MOUSE: &[u8] = &[0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, 0xc0, 0xc0];

    #[test]
    fn a_security_key_is_known_by_its_usage() {
        assert!(is_security_key(KEY));
        assert!(!is_security_key(MOUSE));
        assert!(is_security_key(&[MOUSE, KEY].concat()), "one device, two collections");
        assert!(!is_security_key(&[]));
        assert!(!is_security_key(&[0x06, 0xd0, 0xf1, 0x09, 0x20]), "another usage on the page");
        assert!(!is_security_key(&[0x09, 0x01, 0x06, 0xd0, 0xf1]), "the page comes first");
        assert!(is_security_key(&[0x0b, 0x01, 0x00, 0xd0, 0xf1]), "page and usage in one");
        assert!(is_security_key(&[0x07, 0xd0, 0xf1, 0x00, 0x00, 0x0a, 0x01, 0x00]), "in more bytes than it takes");
    }

    #[test]
    fn pushed_pages_come_back() {
        assert!(is_security_key(&[0x06, 0xd0, 0xf1, 0xa4, 0x05, 0x01, 0xb4, 0x09, 0x01]));
        assert!(!is_security_key(&[0x06, 0xd0, 0xf1, 0xa4, 0x05, 0x01, 0x09, 0x01, 0xb4]));
        assert!(is_security_key(&[0xb4, 0x06, 0xd0, 0xf1, 0x09, 0x01]), "popped from nothing");
    }

    #[test]
    fn data_are_not_taken_for_items() {
        assert!(!is_security_key(&[0xfe, 5, 0, 0x06, 0xd0, 0xf1, 0x09, 0x01]), "a long item's data");
        assert!(is_security_key(&[&[0xfe, 2, 0, 0x06, 0xd0], KEY].concat()), "after a long item");
        assert!(!is_security_key(&[0x27, 0x06, 0xd0, 0xf1, 0x09, 0x01]), "a short item's data");
        assert!(!is_security_key(&[0xfe]) && !is_security_key(&[0xfe, 9, 0]) && !is_security_key(&[0x06, 0xd0]));
    }

    proptest! {
        #[test]
        fn garbage_is_only_no_key(bytes in any::<Vec<u8>>()) {
            let _ = is_security_key(&bytes);
        }
    }

    fn plug_in(root: &Path, number: u32, descriptor: &[u8], uevent: &[u8]) {
        let device = root.join(format!("sys/class/hidraw/hidraw{number}/device"));
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("report_descriptor"), descriptor).unwrap();
        fs::write(device.join("uevent"), uevent).unwrap();
        fs::create_dir_all(root.join("dev")).unwrap();
        fs::write(root.join(format!("dev/hidraw{number}")), "").unwrap();
    }

    fn listed(root: &Path) -> Vec<PluggedIn> {
        list_below(&root.join("sys"), &root.join("dev"))
    }

    #[test]
    fn keys_are_listed_by_number_and_nothing_else_is() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(listed(root.path()), [], "no HID at all");
        plug_in(root.path(), 10, KEY, b"DRIVER=hid-generic\nHID_NAME=Yubico YubiKey\nHID_UNIQ=\n");
        plug_in(root.path(), 2, KEY, b"HID_ID=1\nHID_NAME=So\xff\x1b[2Jlo\nHID_UNIQ=206A\n");
        plug_in(root.path(), 3, MOUSE, b"HID_NAME=a mouse\n");
        fs::create_dir_all(root.path().join("sys/class/hidraw/hidraw4")).unwrap();
        fs::create_dir_all(root.path().join("sys/class/hidraw/hidrawx/device")).unwrap();
        plug_in(root.path(), 11, KEY, b"");
        fs::remove_file(root.path().join("dev/hidraw11")).unwrap();
        fs::remove_file(root.path().join("sys/class/hidraw/hidraw11/device/uevent")).unwrap();

        let key = |number: u32, name: &str, serial: Option<&str>, access| PluggedIn {
            node: root.path().join(format!("dev/hidraw{number}")),
            name: name.to_owned(),
            serial: serial.map(str::to_owned),
            access,
        };
        let expected = [
            key(2, "So\u{fffd}\u{1b}[2Jlo", Some("206A"), Access::Allowed),
            key(10, "Yubico YubiKey", None, Access::Allowed),
            key(11, "a security key without a name", None, Access::Gone),
        ];
        assert_eq!(listed(root.path()), expected);
    }

    #[test]
    fn a_key_of_others_is_forbidden() {
        assert!(!rustix::process::geteuid().is_root(), "root may open everything: run the tests as somebody else");
        let root = tempfile::tempdir().unwrap();
        plug_in(root.path(), 0, KEY, b"HID_NAME=mine\n");
        fs::set_permissions(root.path().join("dev/hidraw0"), fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(listed(root.path())[0].access, Access::Forbidden, "reading alone is not enough");
    }
}
