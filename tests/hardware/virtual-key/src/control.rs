//! How the key behaves, and who may change that: the command line at the start, a FIFO at any time after it. Both take
//! the same words, on the command line with `--` before them.

use crate::attestation::Attestation;
use crate::authenticator::Authenticator;
use crate::client_pin::BuiltInUv;
use crate::pin_protocol::Protocol;
use crate::uhid::Identity;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    After(Duration),
    Never,
    Deny,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freeze {
    No,
    /// Requests and CANCEL are swallowed, and a touch that is waited for goes on without an end and a sign of life.
    Requests,
    /// Even INIT is not answered.
    All,
}

/// How the frames of a long answer come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    No,
    /// With pauses between them.
    Slow,
    /// With frames of another channel between them too.
    Odd,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Settings {
    pub touch: Touch,
    pub keepalive: Duration,
    pub no_keepalive: bool,
    pub up_timeout: Duration,
    /// The key is pulled out so long after it began to wait for a touch.
    pub remove_after: Option<Duration>,
    pub freeze: Freeze,
    /// Another program uses the key.
    pub busy: bool,
    /// Requests of CTAP 2 are not understood.
    pub u2f_only: bool,
    /// An older key: nothing that CTAP 2.1 added.
    pub ctap_2_0: bool,
    /// While a touch is waited for, a whole message on another channel is seen.
    pub foreign: bool,
    /// While a touch is waited for, the answer to another program's INIT is seen.
    pub foreign_init: bool,
    pub split: Split,
    /// So many bytes of an unknown member in getInfo and in assertions.
    pub pad: usize,
    /// Answers are no CBOR.
    pub garbage: bool,
    pub short_auth: bool,
    pub no_up: bool,
    pub wrong_rp: bool,
    pub wrong_credential: bool,
    pub bad_signature: bool,
    pub backup_eligible: bool,
    pub backed_up: bool,
    /// Whether a touch is waited for before `NO_CREDENTIALS`, as CTAP 2.0 allows.
    pub no_credentials_after_touch: bool,
    pub attestation: Attestation,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            touch: Touch::After(Duration::ZERO),
            keepalive: Duration::from_millis(100),
            no_keepalive: false,
            up_timeout: Duration::from_secs(30),
            remove_after: None,
            freeze: Freeze::No,
            busy: false,
            u2f_only: false,
            ctap_2_0: false,
            foreign: false,
            foreign_init: false,
            split: Split::No,
            pad: 0,
            garbage: false,
            short_auth: false,
            no_up: false,
            wrong_rp: false,
            wrong_credential: false,
            bad_signature: false,
            backup_eligible: false,
            backed_up: false,
            no_credentials_after_touch: false,
            attestation: Attestation::SelfSigned,
        }
    }
}

/// Words that the poll loop itself acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Tap,
    Remove,
}

/// Words that are complete without a value, which is then `on`.
const SWITCHES: &[&str] = &[
    "freeze",
    "busy",
    "u2f-only",
    "foreign",
    "foreign-init",
    "garbage",
    "short-auth",
    "no-up",
    "wrong-rp",
    "wrong-credential",
    "bad-signature",
    "backup-eligible",
    "backed-up",
    "no-keepalive",
    "counter-back",
    "force-pin-change",
    "pin-blocked",
    "power-cycle",
];

/// Does what one word says; `Ok(Some(_))` where it is left to the poll loop.
pub fn apply(
    settings: &mut Settings,
    authenticator: &mut Authenticator,
    word: &str,
    value: &str,
) -> Result<Option<Act>, String> {
    let on = value != "off";
    let pin = &mut authenticator.pin;
    match word {
        "tap" => return Ok(Some(Act::Tap)),
        "remove" => return Ok(Some(Act::Remove)),
        "touch" => {
            settings.touch = match value {
                "never" => Touch::Never,
                "deny" => Touch::Deny,
                milliseconds => Touch::After(duration(word, milliseconds)?),
            }
        }
        "keepalive" => settings.keepalive = duration(word, value)?,
        "no-keepalive" => settings.no_keepalive = on,
        "up-timeout" => settings.up_timeout = duration(word, value)?,
        "remove-after" => settings.remove_after = Some(duration(word, value)?),
        "freeze" => {
            settings.freeze = match value {
                "off" => Freeze::No,
                "all" => Freeze::All,
                _ => Freeze::Requests,
            }
        }
        "busy" => settings.busy = on,
        "u2f-only" => settings.u2f_only = on,
        "foreign" => settings.foreign = on,
        "foreign-init" => settings.foreign_init = on,
        "ctap" => settings.ctap_2_0 = one_of(word, value, &[("2.0", true), ("2.1", false)])?,
        "pin-protocols" => {
            let choices: [(&str, &'static [Protocol]); 3] =
                [("1", &[Protocol::One]), ("2", &[Protocol::Two]), ("both", &[Protocol::Two, Protocol::One])];
            pin.protocols = one_of(word, value, &choices)?;
        }
        "split" => {
            settings.split = one_of(word, value, &[("odd", Split::Odd), ("slow", Split::Slow), ("even", Split::No)])?;
        }
        "pad" => settings.pad = number(word, value)?,
        "garbage" => settings.garbage = on,
        "short-auth" => settings.short_auth = on,
        "no-up" => settings.no_up = on,
        "wrong-rp" => settings.wrong_rp = on,
        "wrong-credential" => settings.wrong_credential = on,
        "bad-signature" => settings.bad_signature = on,
        "backup-eligible" => settings.backup_eligible = on,
        "backed-up" => settings.backed_up = on,
        "no-credentials" => {
            settings.no_credentials_after_touch = one_of(word, value, &[("after-touch", true), ("at-once", false)])?;
        }
        "attestation" => {
            let choices =
                [("none", Attestation::None), ("self", Attestation::SelfSigned), ("chain", Attestation::Chain)];
            settings.attestation = one_of(word, value, &choices)?;
        }
        "counter-back" => authenticator.counter_back = on,
        "pin" => pin.set(if value == "unset" { None } else { Some(value) }),
        "pin-retries" => pin.retries = number(word, value)?,
        "pin-blocked" => pin.retries = 0,
        "min-pin" => pin.minimum_length = number(word, value)?,
        "force-pin-change" => pin.force_change = on,
        "uv" => {
            let choices = [("none", BuiltInUv::Absent), ("ok", BuiltInUv::Recognises), ("fail", BuiltInUv::Fails)];
            pin.uv = one_of(word, value, &choices)?;
        }
        "uv-retries" => pin.uv_retries = number(word, value)?,
        "power-cycle" => authenticator.power_cycle(),
        _ => return Err(format!("there is no setting {word}")),
    }
    Ok(None)
}

fn duration(word: &str, value: &str) -> Result<Duration, String> {
    number(word, value).map(Duration::from_millis)
}

fn number<T: std::str::FromStr>(word: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{word} takes a number, not {value:?}"))
}

fn one_of<T: Copy>(word: &str, value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("{word} takes {}, not {value:?}", names.join(" or "))
    })
}

// ---------------------------------------------------------------------------------------------------- the command line

pub struct Arguments {
    pub identity: Identity,
    pub control: Option<PathBuf>,
    pub log: Option<PathBuf>,
    /// Only print the certificate of the attestation's root, and with `print_leaf` the one that it issued.
    pub print_root: bool,
    pub print_leaf: bool,
}

pub fn parse(
    arguments: impl Iterator<Item = String>,
    settings: &mut Settings,
    authenticator: &mut Authenticator,
) -> Result<Arguments, String> {
    let name = "Virtual FIDO2 key".to_owned();
    let serial = "virtual-1".to_owned();
    let mut parsed = Arguments {
        // The vendor is pid.codes, which gives numbers to open hardware; this product is none of theirs.
        identity: Identity { name, serial, vendor: 0x1209, product: 0xf1d0 },
        control: None,
        log: None,
        print_root: false,
        print_leaf: false,
    };
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let word = argument.strip_prefix("--").ok_or_else(|| format!("{argument:?} is no option"))?;
        if word == "print-root" {
            parsed.print_root = true;
            continue;
        }
        if word == "print-leaf" {
            parsed.print_leaf = true;
            continue;
        }
        let is_value = |next: &String| !next.starts_with("--");
        let value = match arguments.next_if(is_value) {
            Some(value) => value,
            None if SWITCHES.contains(&word) => "on".to_owned(),
            None => return Err(format!("--{word} needs a value")),
        };
        match word {
            "name" => parsed.identity.name = value,
            "serial" => parsed.identity.serial = value,
            "vid" => parsed.identity.vendor = hexadecimal(word, &value)?,
            "pid" => parsed.identity.product = hexadecimal(word, &value)?,
            "ctl" => parsed.control = Some(value.into()),
            "log" => parsed.log = Some(value.into()),
            "state" => authenticator.keep_state(value.into()).map_err(|error| format!("--state: {error}"))?,
            "aaguid" => authenticator.aaguid = aaguid(&value)?,
            _ => {
                apply(settings, authenticator, word, &value)?;
            }
        }
    }
    Ok(parsed)
}

fn hexadecimal(word: &str, value: &str) -> Result<u32, String> {
    u32::from_str_radix(value, 16).map_err(|_| format!("--{word} takes a hexadecimal number, not {value:?}"))
}

/// 32 hexadecimal digits, with or without the hyphens of a UUID.
fn aaguid(value: &str) -> Result<[u8; 16], String> {
    let digits = value.replace('-', "");
    match u128::from_str_radix(&digits, 16) {
        Ok(number) if digits.len() == 32 => Ok(number.to_be_bytes()),
        _ => Err(format!("--aaguid takes 32 hexadecimal digits, not {value:?}")),
    }
}

// ------------------------------------------------------------------------------------------------------------ the FIFO

pub struct Fifo {
    file: File,
    unread: String,
}

impl Fifo {
    pub fn create(path: &Path) -> io::Result<Self> {
        let _was_not_there = std::fs::remove_file(path);
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("a small flag");
        // Open for writing too, so that it doesn't end with each writer.
        let file = OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path)?;
        Ok(Self { file, unread: String::new() })
    }

    /// The lines that came.
    pub fn lines(&mut self) -> Vec<String> {
        let mut buffer = [0; 512];
        while let Ok(length @ 1..) = self.file.read(&mut buffer) {
            self.unread.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        let complete = self.unread.rfind('\n').map_or(0, |end| end + 1);
        let lines: String = self.unread.drain(..complete).collect();
        lines.lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl AsFd for Fifo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
