//! `elevate doctor`: what keeps elevation from working here, a line each. Asks nobody, starts no authority, changes nothing
//! but the names that completion remembers, and waits for no check longer than [`LIMIT`].

mod authority;
mod keys;
mod reached;
mod settings;
mod workload;

use crate::client::address::Address;
use crate::client::config::Config;
use crate::client::error::Error;
use crate::client::places::Places;
use crate::client::security_key::fleet::Bus;
use crate::client::security_key::plugged_in::{UDEV_RULE, UDEV_RULE_FILE};
use crate::client::terminal::{BAD, GOOD, Terminal, painted, person_is_there, shows_color, width};
use crate::protocol::display::escaped;
use crate::protocol::messages::EnrolledKey;
use serde::Serialize;
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long one check may take: what hangs is given up a little earlier where it is started or asked.
const LIMIT: Duration = Duration::from_secs(15);

/// What was looked at, and whether it is as it has to be.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    ok: bool,
    says: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Finding {
    fn good(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, ok: true, says: says.into(), details: Vec::new(), hint: None }
    }

    fn bad(check: &'static str, error: Error) -> Self {
        Self { check, ok: false, says: error.message, details: Vec::new(), hint: error.hint }
    }

    /// With lines of its own, for whoever wants to know.
    fn with(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }
}

/// What the others go on from: `Some` where the authority answers.
type Enrolled = Option<Vec<EnrolledKey>>;

/// What is looked at.
#[derive(Clone)]
struct Here {
    places: Places,
    config: Config,
    authority: Address,
}

/// Exit status 1 where something is wrong.
pub fn run(
    terminal: Terminal,
    authority: Option<&Address>,
    identity_token: Option<&Path>,
    udev_rule: bool,
) -> Result<u8, Error> {
    if udev_rule {
        let answer = json!({ "version": 1, "file": UDEV_RULE_FILE, "rule": UDEV_RULE });
        return terminal.answer(&answer, || UDEV_RULE.to_owned()).map(|()| 0);
    }
    let checks = checks(Places::of_user()?, authority, identity_token);
    let color = shows_color(&std::io::stdout());
    terminal.answer(&json!({ "version": 1, "checks": checks }), || text(&checks, width(), color))?;
    Ok(u8::from(!checks.iter().all(|check| check.ok)))
}

fn checks(places: Places, typed: Option<&Address>, identity_token: Option<&Path>) -> Vec<Finding> {
    let (settings, config, authority) = settings::settings(&places, typed);
    let here = Here { places, config, authority };
    // Those that could hang go side by side.
    let rules = begin(&here, authority::rules);
    let authority = begin(&here, authority::authority);
    let versions = begin(&here, authority::versions);
    let keyring = begin(&here, keys::keyring);
    let plugged_in = Bus::system().plugged_in();
    let mut checks = vec![settings, settings::directories(&here.places)];
    checks.extend(rules().unwrap_or_else(|hangs| Some(Finding::bad("rules", hangs))));
    let (authority, enrolled) = authority().unwrap_or_else(|hangs| (vec![Finding::bad("authority", hangs)], None));
    checks.extend(authority);
    checks.extend(workload::identity_token(identity_token));
    checks.extend(enrolled.map(|enrolled| keys::enrolled_keys(&enrolled, &plugged_in, &here.places.device)));
    checks.extend(keys::security_keys(&plugged_in, Path::new(UDEV_RULE_FILE).exists()));
    checks.extend(keys::ssh(std::env::var_os("SSH_CONNECTION").is_some()));
    checks.push(keyring().unwrap_or_else(|hangs| Finding::bad("keyring", hangs)));
    checks.push(versions().unwrap_or_else(|hangs| Finding::bad("versions", hangs)));
    checks.push(terminal());
    checks
}

/// Begins a check; what is returned waits for what it found.
fn begin<T: Send + 'static>(
    here: &Here,
    check: impl FnOnce(&Here) -> T + Send + 'static,
) -> impl FnOnce() -> Result<T, Error> {
    let (send, receive) = channel();
    let here = here.clone();
    std::thread::spawn(move || send.send(check(&here)));
    move || {
        let seconds = LIMIT.as_secs();
        receive.recv_timeout(LIMIT).map_err(|_| {
            Error::failed(format!("there was no answer within {seconds} s")).hint("look at what hangs there")
        })
    }
}

fn terminal() -> Finding {
    const NAME: &str = "terminal";
    if person_is_there() {
        return Finding::good(NAME, "you can be asked here");
    }
    Finding::bad(
        NAME,
        Error::failed("this runs in the foreground of none: you can't be asked")
            .hint("elevate in a terminal first: the grant is then kept for a while"),
    )
}

/// Each check behind a mark that reads without colour; what to type stands below it, unbroken.
fn text(checks: &[Finding], width: u16, color: bool) -> String {
    let mut text = String::new();
    for check in checks {
        let (mark, style) = if check.ok { ("ok", GOOD) } else { ("not ok", BAD) };
        let line = format!("{:INDENT$}{}: {}", "", check.check, escaped(&check.says));
        let line = broken(&line, usize::from(width));
        let gap = " ".repeat(INDENT - mark.len());
        let _ = write!(text, "{}{gap}{}", painted(mark, style, color), &line[INDENT..]);
        for line in &check.details {
            text.push_str(&broken(&format!("{:INDENT$}{}", "", escaped(line)), usize::from(width)));
        }
        for line in check.hint.iter().flat_map(|hint| hint.lines()) {
            let _ = writeln!(text, "{:INDENT$}{}", "", escaped(line));
        }
    }
    text
}

/// Columns before what is said.
const INDENT: usize = 8;

/// The words of a line on lines that are no longer than `width`, as far as words allow.
fn broken(line: &str, width: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in line.split_inclusive(' ') {
        let length = word.trim_end().chars().count();
        if column + length > width && column > INDENT {
            text.truncate(text.trim_end().len());
            let _ = write!(text, "\n{:INDENT$}", "");
            column = INDENT;
        }
        text.push_str(word);
        column += word.chars().count();
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::keys::{enrolled_keys as keys, security_keys, ssh};
    use super::{Finding, text as shown};
    use crate::client::error::Error;
    use crate::client::security_key::plugged_in::{Access, PluggedIn};
    use crate::protocol::messages::EnrolledKey;

    fn plugged_in(name: &str, access: Access) -> PluggedIn {
        PluggedIn { node: "/dev/hidraw3".into(), name: name.to_owned(), serial: None, access }
    }

    fn enrolled(name: &str, software: bool) -> EnrolledKey {
        EnrolledKey {
            credential_id: format!("id-of-{name}"),
            name: name.parse().unwrap(),
            public_key: String::new(),
            aaguid: String::new(),
            software,
            verifies_user: !software,
            attested: None,
            backup_eligible: false,
            transports: Vec::new(),
            can_seal: false,
            only_one_for: Vec::new(),
            enrolled_at: jiff::Timestamp::UNIX_EPOCH,
            last_used_at: None,
        }
    }

    #[test]
    fn a_key_that_may_not_be_opened_comes_with_the_way_to_open_it() {
        let forbidden = [plugged_in("Yubico YubiKey OTP+FIDO+CCID", Access::Forbidden)];
        let expected = "\
not ok  security key: Yubico YubiKey OTP+FIDO+CCID is at /dev/hidraw3, and you
        may not open it
        elevate doctor --udev-rule |
          sudo tee /etc/udev/rules.d/70-elevate-security-keys.rules
        sudo udevadm control --reload
        sudo udevadm trigger --subsystem-match=hidraw
";
        assert_eq!(shown(&security_keys(&forbidden, false), 80, false), expected);
        let expected = "\
not ok  security key: Yubico YubiKey OTP+FIDO+CCID is at /dev/hidraw3, and you
        may not open it
        the rule is there: load it; if you don't sit at this machine, join its group
        sudo udevadm control --reload
        sudo udevadm trigger --subsystem-match=hidraw
        sudo usermod -aG plugdev \"$USER\"
";
        assert_eq!(shown(&security_keys(&forbidden, true), 80, false), expected);
    }

    #[test]
    fn each_key_that_is_plugged_in_has_a_line() {
        let keys = [plugged_in("Solo 2\u{1b}[2J", Access::Allowed), plugged_in("Nitrokey 3", Access::Gone)];
        let expected = r"ok      security key: Solo 2\u{1b}[2J can be used, at /dev/hidraw3
not ok  security key: Nitrokey 3 is plugged in, but /dev/hidraw3 can't be opened
        plug it in again; a container needs the device handed in
";
        assert_eq!(shown(&security_keys(&keys, false), 80, false), expected);
        assert_eq!(shown(&security_keys(&[], false), 80, false), "ok      security key: none is plugged in\n");
    }

    #[test]
    fn whether_an_enrolled_key_is_at_hand() {
        let device = tempfile::tempdir().unwrap();
        std::fs::create_dir(device.path().join("software-keys")).unwrap();
        std::fs::write(device.path().join("software-keys/id-of-laptop.json"), "").unwrap();
        let says = |enrolled: &[EnrolledKey], plugged_in: &[PluggedIn]| {
            let check = keys(enrolled, plugged_in, device.path());
            (check.ok, check.says)
        };
        let (laptop, other, blue) = (enrolled("laptop", true), enrolled("other", true), enrolled("blue", false));
        let key = plugged_in("Nitrokey 3", Access::Allowed);
        assert_eq!(says(&[], std::slice::from_ref(&key)), (false, "there are none".into()));
        assert_eq!(says(&[laptop.clone(), other.clone()], &[]), (true, "2, and on this device is laptop".into()));
        assert_eq!(says(&[other], std::slice::from_ref(&key)), (false, "one, and none is at hand".into()));
        assert_eq!(says(std::slice::from_ref(&blue), &[key]), (true, "one, and a security key is plugged in".into()));
        let forbidden = plugged_in("Nitrokey 3", Access::Forbidden);
        assert_eq!(says(&[blue, laptop], &[forbidden]), (true, "2, and on this device is laptop".into()));
    }

    #[test]
    fn long_lines_are_broken_between_words_and_hints_are_not() {
        let error = Error::failed("word ".repeat(30).trim_end()).hint("h".repeat(100));
        let text = shown(&[Finding::bad("name", error), ssh(true).unwrap()], 80, false);
        for line in text.lines().filter(|line| !line.contains("hh")) {
            assert!(line.len() <= 80 && line.trim_end() == line, "{line:?}");
        }
        assert!(text.contains(&format!("        {}\n", "h".repeat(100))));
        assert_eq!(text.matches("word").count(), 30);
    }
}
