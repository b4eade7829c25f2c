//! Security keys, and where grants are kept.

use super::{Finding, Here};
use crate::client::error::Error;
use crate::client::grant_store::{GrantStore, KeyringError};
use crate::client::security_key::plugged_in::{Access, PluggedIn, UDEV_RULE_FILE};
use crate::client::trust::Trust;
use crate::protocol::messages::EnrolledKey;
use std::path::Path;

/// Whether one of the enrolled keys is at hand. Which security key is plugged in can't be told without a touch.
pub fn enrolled_keys(enrolled: &[EnrolledKey], plugged_in: &[PluggedIn], device: &Path) -> Finding {
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

pub fn security_keys(plugged_in: &[PluggedIn], rule_is_there: bool) -> Vec<Finding> {
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

pub fn ssh(over_ssh: bool) -> Option<Finding> {
    let says = "keys must be plugged in at this side: you are here over SSH";
    over_ssh.then(|| Finding::good("ssh", says))
}

/// Opens it as a verb would, and looks at nothing in it.
pub fn keyring(here: &Here) -> Finding {
    const NAME: &str = "keyring";
    let Here { places, config, authority } = here;
    let known = Trust::of(places, authority).known().ok().flatten();
    let id = known.map_or_else(|| "none".to_owned(), |known| known.id().to_owned());
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
