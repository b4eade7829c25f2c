//! `elevate doctor`: what keeps elevation from working here, a line each. Asks nobody, starts nothing, changes nothing.

use crate::client::authority_api::AuthorityApi;
use crate::client::config::Config;
use crate::client::embedded;
use crate::client::error::Error;
use crate::client::grant_store::{GrantStore, KeyringError};
use crate::client::patience::{self, Patience, until_there};
use crate::client::places::Places;
use crate::client::security_key::fleet::Bus;
use crate::client::security_key::plugged_in::{Access, PluggedIn, UDEV_RULE, UDEV_RULE_FILE};
use crate::client::terminal::{Terminal, person_is_there, width};
use crate::client::trust::Trust;
use crate::clock::Clock;
use crate::files::own_directory;
use crate::protocol::display::escaped;
use crate::protocol::messages::EnrolledKey;
use serde::Serialize;
use serde_json::json;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What was looked at, and whether it is as it has to be.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    ok: bool,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Finding {
    fn good(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, ok: true, says: says.into(), hint: None }
    }

    fn bad(check: &'static str, error: Error) -> Self {
        Self { check, ok: false, says: error.message, hint: error.hint }
    }
}

/// What the others go on from: `Some` where the authority answers.
type Enrolled = Option<Vec<EnrolledKey>>;

/// Exit status 1 where something is wrong.
pub fn run(terminal: Terminal, udev_rule: bool) -> Result<u8, Error> {
    if udev_rule {
        let answer = json!({ "version": 1, "file": UDEV_RULE_FILE, "rule": UDEV_RULE });
        return terminal.answer(&answer, || UDEV_RULE.to_owned()).map(|()| 0);
    }
    let checks = checks(&Places::of_user()?);
    terminal.answer(&json!({ "version": 1, "checks": checks }), || text(&checks, width()))?;
    Ok(u8::from(!checks.iter().all(|check| check.ok)))
}

fn checks(places: &Places) -> Vec<Finding> {
    let (settings, config) = settings(places);
    let (authority, enrolled) = authority(places, &config);
    let plugged_in = Bus::system().plugged_in();
    let mut checks = vec![settings, directories(places)];
    checks.extend(rules(places, &config));
    checks.push(authority);
    checks.extend(enrolled.map(|enrolled| keys(&enrolled, &plugged_in, &places.device)));
    checks.extend(security_keys(&plugged_in, Path::new(UDEV_RULE_FILE).exists()));
    checks.extend(ssh(std::env::var_os("SSH_CONNECTION").is_some()));
    checks.push(keyring(places, &config));
    checks.push(terminal());
    checks
}

fn settings(places: &Places) -> (Finding, Config) {
    const NAME: &str = "settings";
    match Config::load(places) {
        Ok(config) if places.config.join("elevate.toml").exists() => {
            (Finding::good(NAME, "elevate.toml is good"), config)
        }
        Ok(config) => (Finding::good(NAME, "there is no elevate.toml, and there need not be one"), config),
        Err(error) => (Finding::bad(NAME, error), Config::default()),
    }
}

fn directories(places: &Places) -> Finding {
    const NAME: &str = "directories";
    let there = [&places.authority, &places.device, &places.run].into_iter().filter(|path| path.exists());
    match there.map(|path| own_directory(path)).find_map(Result::err) {
        Some(fault) => Finding::bad(NAME, fault.into()),
        None => Finding::good(NAME, "none but you can enter them"),
    }
}

/// The authority's files, as it sees them itself; nothing where there is no authority or no program to ask.
fn rules(places: &Places, config: &Config) -> Option<Finding> {
    const NAME: &str = "rules";
    let mut command = Command::new(embedded::startable(places, config).ok()?);
    command.arg("check-config").arg("--config").arg(&places.config).env_clear().current_dir("/").stdin(Stdio::null());
    let checked = match output(&mut command) {
        Ok((true, _)) => {
            return Some(Finding::good(NAME, "authority.toml, policy.cedar and schema.cedarschema are good"));
        }
        Ok((false, said)) => said.replace("elevate-authority: ", ""),
        Err(error) => format!("they can't be checked: {error}"),
    };
    Some(Finding::bad(NAME, Error::failed(checked.trim()).hint("a running authority keeps to its last good rules")))
}

/// Whether a program succeeds, and what it says on stderr: into a file in memory, so that nobody who holds it open is
/// waited for.
fn output(command: &mut Command) -> std::io::Result<(bool, String)> {
    let said = File::from(rustix::fs::memfd_create("said", rustix::fs::MemfdFlags::CLOEXEC)?);
    let mut child = command.stdout(Stdio::null()).stderr(said.try_clone()?).spawn()?;
    let Some(status) = until_there(patience::CHECK, || child.try_wait())? else {
        child.kill()?;
        child.wait()?;
        let seconds = patience::CHECK.as_secs();
        return Err(std::io::Error::other(format!("elevate-authority did not end within {seconds} seconds")));
    };
    let mut text = vec![0; 64 << 10];
    let count = said.read_at(&mut text, 0)?;
    Ok((status.success(), String::from_utf8_lossy(&text[..count]).into_owned()))
}

fn authority(places: &Places, config: &Config) -> (Finding, Enrolled) {
    const NAME: &str = "authority";
    let look = || {
        if embedded::running(places, Patience::Nobody)?.is_none() {
            embedded::startable(places, config)?;
            return Ok((Finding::good(NAME, "it does not run now, and starts when it is needed"), None));
        }
        if Trust::new(places).known()?.is_none() {
            return Ok((Finding::good(NAME, "it runs; this device has not used it yet"), None));
        }
        let keys = AuthorityApi::connect(places, config, Clock::system(), Patience::Nobody)?.keys()?;
        Ok((Finding::good(NAME, "it runs and answers"), Some(keys)))
    };
    look().unwrap_or_else(|error| (Finding::bad(NAME, error), None))
}

/// Whether one of the enrolled keys is at hand. Which security key is plugged in can't be told without a touch.
fn keys(enrolled: &[EnrolledKey], plugged_in: &[PluggedIn], device: &Path) -> Finding {
    const NAME: &str = "enrolled keys";
    let count = match enrolled.len() {
        0 => return Finding::bad(NAME, Error::failed("there are none").hint("`elevate key enroll NAME` adds one")),
        1 => "one".to_owned(),
        count => count.to_string(),
    };
    let files = device.join("software-keys");
    let is_here = |key: &&EnrolledKey| key.software && files.join(format!("{}.json", key.credential_id)).is_file();
    let here: Vec<&str> = enrolled.iter().filter(is_here).map(|key| key.name.as_str()).collect();
    let hardware = enrolled.iter().any(|key| !key.software);
    if hardware && plugged_in.iter().any(|key| key.access == Access::Allowed) {
        Finding::good(NAME, format!("{count}, and a security key is plugged in"))
    } else if here.is_empty() {
        Finding::bad(
            NAME,
            Error::failed(format!("{count}, and none is at hand")).hint("plug yours in, or enrol another"),
        )
    } else {
        Finding::good(NAME, format!("{count}, and on this device is {}", here.join(", ")))
    }
}

fn security_keys(plugged_in: &[PluggedIn], rule_is_there: bool) -> Vec<Finding> {
    const NAME: &str = "security key";
    const LOAD: &str = "sudo udevadm control --reload\nsudo udevadm trigger --subsystem-match=hidraw";
    if plugged_in.is_empty() {
        return vec![Finding::good(NAME, "none is plugged in")];
    }
    let check = |key: &PluggedIn| {
        let (name, node) = (&key.name, key.node.display());
        match key.access {
            Access::Allowed => Finding::good(NAME, format!("{name} can be used, at {node}")),
            Access::Gone => Finding::bad(
                NAME,
                Error::failed(format!("{name} is plugged in, but {node} can't be opened"))
                    .hint("plug it in again; a container needs the device handed in"),
            ),
            Access::Forbidden => {
                let hint = if rule_is_there {
                    format!(
                        "the rule is there: load it; if you don't sit at this machine, join its group\n\
                         {LOAD}\nsudo usermod -aG plugdev \"$USER\""
                    )
                } else {
                    format!("elevate doctor --udev-rule |\n  sudo tee {UDEV_RULE_FILE}\n{LOAD}")
                };
                Finding::bad(NAME, Error::failed(format!("{name} is at {node}, and you may not open it")).hint(hint))
            }
        }
    };
    plugged_in.iter().map(check).collect()
}

fn ssh(over_ssh: bool) -> Option<Finding> {
    let says = "keys must be plugged in at this side: you are here over SSH";
    over_ssh.then(|| Finding::good("ssh", says))
}

/// Opens it as a verb would, and looks at nothing in it.
fn keyring(places: &Places, config: &Config) -> Finding {
    const NAME: &str = "keyring";
    let known = Trust::new(places).known().ok().flatten();
    let id = known.map_or_else(|| "none".to_owned(), |known| known.id());
    let ask = || Err(KeyringError::NoPassphrase("doctor asks nobody".to_owned()));
    let open = |choice| Ok(GrantStore::open(choice, &id, &places.device, Box::new(ask))?);
    match config.keyring().and_then(open) {
        Ok(store) => {
            let why = store.why_not_better().map_or_else(String::new, |why| format!(": {why}"));
            Finding::good(NAME, format!("grants are kept in the {}{why}", store.name()))
        }
        Err(error) => Finding::bad(NAME, error),
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
fn text(checks: &[Finding], width: u16) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = if check.ok { "ok" } else { "not ok" };
        let line = format!("{mark:<INDENT$}{}: {}", check.check, escaped(&check.says));
        text.push_str(&broken(&line, usize::from(width)));
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
    use super::{Finding, keys, security_keys, ssh, text};
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
        assert_eq!(text(&security_keys(&forbidden, false), 80), expected);
        let expected = "\
not ok  security key: Yubico YubiKey OTP+FIDO+CCID is at /dev/hidraw3, and you
        may not open it
        the rule is there: load it; if you don't sit at this machine, join its group
        sudo udevadm control --reload
        sudo udevadm trigger --subsystem-match=hidraw
        sudo usermod -aG plugdev \"$USER\"
";
        assert_eq!(text(&security_keys(&forbidden, true), 80), expected);
    }

    #[test]
    fn each_key_that_is_plugged_in_has_a_line() {
        let keys = [plugged_in("Solo 2\u{1b}[2J", Access::Allowed), plugged_in("Nitrokey 3", Access::Gone)];
        let expected = r"ok      security key: Solo 2\u{1b}[2J can be used, at /dev/hidraw3
not ok  security key: Nitrokey 3 is plugged in, but /dev/hidraw3 can't be opened
        plug it in again; a container needs the device handed in
";
        assert_eq!(text(&security_keys(&keys, false), 80), expected);
        assert_eq!(text(&security_keys(&[], false), 80), "ok      security key: none is plugged in\n");
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
        let text = text(&[Finding::bad("name", error), ssh(true).unwrap()], 80);
        for line in text.lines().filter(|line| !line.contains("hh")) {
            assert!(line.len() <= 80 && line.trim_end() == line, "{line:?}");
        }
        assert!(text.contains(&format!("        {}\n", "h".repeat(100))));
        assert_eq!(text.matches("word").count(), 30);
    }
}
