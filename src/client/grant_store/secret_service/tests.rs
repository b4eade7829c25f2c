//! On a bus of their own: the test starts itself again under `dbus-run-session`, with a keyring in an empty directory.

use super::super::tests::{behaves, fresh_dir, fresh_id, grant, no_passphrase, now};
use super::super::{Choice, GrantStore};
use super::*;
use crate::protocol::names::ResourceName;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A session bus: what may be started on it takes the place of SERVICES.
const BUS_CONFIG: &str = r#"<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth>SERVICES
    <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>"#;
/// None: nobody is started by being asked for.
const NO_SERVICES: &str = "";
/// The machine's own: the prompt among them.
const SERVICES: &str = "<standard_session_servicedirs/>";
const MARKER: &str = "ELEVATE_TEST_OWN_BUS";

/// Whether this process is the one on the bus of its own. If not, it has just waited for that one to pass.
fn on_own_bus(test: &str, services: &str, prepare: &str) -> bool {
    if std::env::var_os(MARKER).is_some() {
        return true;
    }
    for (program, package) in [("dbus-run-session", "dbus-daemon"), ("gnome-keyring-daemon", "gnome-keyring")] {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|dir| dir.join(program).exists());
        assert!(found, "this test needs {program}: apt-get install {package}");
    }
    let dir = fresh_dir();
    let config = dir.join("bus.conf");
    std::fs::write(&config, BUS_CONFIG.replace("SERVICES", services)).unwrap();
    let name = module_path!().split_once("::").unwrap().1;
    let status = Command::new("dbus-run-session")
        .arg(format!("--config-file={}", config.display()))
        .args(["--", "sh", "-c", &format!("{prepare}\nexec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("{name}::{test}")])
        .env(MARKER, "1")
        .env("HOME", &*dir)
        .env("XDG_DATA_HOME", &*dir)
        .env("XDG_RUNTIME_DIR", &*dir)
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null())
        .process_group(0)
        .status()
        .unwrap();
    assert!(status.success(), "on its own bus: {status}");
    false
}

/// The daemon says it is ready before it has its name on the bus.
const UNLOCKED: &str = "printf pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null
    for _ in $(seq 100); do
        dbus-send --session --print-reply --dest=org.freedesktop.DBus / \
            org.freedesktop.DBus.GetNameOwner string:org.freedesktop.secrets >/dev/null 2>&1 && break
        sleep 0.05
    done";

fn store(id: &str) -> GrantStore {
    GrantStore::open(Choice::SecretService, id, std::path::Path::new("/nowhere"), no_passphrase()).unwrap()
}

#[test]
fn behaves_as_a_keyring_has_to() {
    if on_own_bus("behaves_as_a_keyring_has_to", NO_SERVICES, UNLOCKED) {
        behaves(&store);
    }
}

#[test]
fn garbage_and_doubles_are_borne() {
    if !on_own_bus("garbage_and_doubles_are_borne", NO_SERVICES, UNLOCKED) {
        return;
    }
    let (id, now, a) = (fresh_id(), now(), "a".parse::<ResourceName>().unwrap());
    let ours = SecretService::open(&id).unwrap();
    let plant = |user: &str, secret: &[u8], more: Option<(&str, &str)>| {
        let mut attributes = HashMap::from([("service", SERVICE), ("username", user)]);
        attributes.extend(more);
        let collection = ours.service.get_default_collection().unwrap();
        collection.create_item("planted", attributes, secret, true, CONTENT_TYPE).unwrap();
    };
    for garbage in [b"".as_slice(), b"\xff\xfe", b"{}", &grant("b", now, 300, 20).to_json().unwrap()] {
        plant(&ours.user(a.as_str()), garbage, None);
        for error in [store(&id).get(&a, now).err(), store(&id).all(now).err()] {
            assert!(matches!(error, Some(KeyringError::Damaged { ref entry, .. }) if entry == "a"), "{error:?}");
        }
        assert_eq!(ours.remove_expired(now).unwrap(), None);
    }
    assert_eq!(store(&id).clear().unwrap(), 1);

    // Two for one resource, which an attribute more makes possible: the newer one counts, the next put leaves one.
    store(&id).put(&grant("a", crate::clock::after(now, 1), 300, 8), now).unwrap();
    plant(&ours.user(a.as_str()), &grant("a", now, 300, 7).to_json().unwrap(), Some(("more", "x")));
    assert_eq!(store(&id).all(now).unwrap().len(), 2);
    assert_eq!(store(&id).get(&a, now).unwrap().unwrap().access_token.expose().len(), 8);
    store(&id).put(&grant("a", now, 300, 9), now).unwrap();
    assert_eq!(store(&id).get(&a, now).unwrap().unwrap().access_token.expose().len(), 9);
    assert_eq!(store(&id).all(now).unwrap().len(), 1);
    store(&id).clear().unwrap();
}

#[test]
fn a_locked_one_answers_within_the_deadline() {
    let prepare = format!(
        "{UNLOCKED}\n\
         dbus-send --session --print-reply --dest=org.freedesktop.secrets /org/freedesktop/secrets \
         org.freedesktop.Secret.Service.Lock array:objpath:/org/freedesktop/secrets/collection/login >/dev/null"
    );
    if !on_own_bus("a_locked_one_answers_within_the_deadline", SERVICES, &prepare) {
        return;
    }
    let (store, now, begun) = (store(&fresh_id()), now(), Instant::now());
    let error = store.put(&grant("a", now, 300, 20), now).unwrap_err();
    assert!(matches!(error, KeyringError::Locked | KeyringError::TimedOut { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("unlock"));
    assert!(begun.elapsed() < DEADLINE + Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn a_bus_without_a_secret_service_is_absent() {
    if on_own_bus("a_bus_without_a_secret_service_is_absent", NO_SERVICES, "true") {
        let error = SecretService::open(&fresh_id()).err().unwrap();
        assert!(matches!(error, KeyringError::Absent { .. }), "{error:?}");
    }
}

#[test]
fn without_a_bus_it_is_absent_at_once() {
    let dir = fresh_dir();
    assert!(matches!(find_bus(None, None), Err(KeyringError::Absent { .. })));
    assert!(matches!(find_bus(Some("".into()), Some(dir.as_os_str().into())), Err(KeyringError::Absent { .. })));
    assert!(matches!(find_bus(Some("autolaunch:".into()), None), Err(KeyringError::Absent { .. })));
    assert!(find_bus(Some("unix:path=/x".into()), None).is_ok());
    std::fs::write(dir.join("bus"), "").unwrap();
    assert!(find_bus(None, Some(dir.as_os_str().into())).is_ok());
}

#[test]
fn what_hangs_is_left_behind() {
    let begun = Instant::now();
    let hung = within_deadline(|| {
        std::thread::sleep(DEADLINE * 2);
        Ok(())
    });
    assert!(matches!(hung, Err(KeyringError::TimedOut { seconds: 5, .. })));
    assert!(begun.elapsed() < DEADLINE + Duration::from_secs(1));
}
