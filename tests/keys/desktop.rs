//! Without a terminal and with a desktop: a notification has the words, the key is touched, and the notification goes.
//! The bus is a real one of the test's own, the desktop a script; whoever is asked is this program once more, in a session
//! without a terminal.

use super::*;
use crate::cli::harness::{CATALOGUE, Home, patiently, pid_of, wait_until};
use elevate::client::presence::Approval;
use rustix::process::{Signal, kill_process};
use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::zvariant::OwnedValue;

const NAME: &str = "org.freedesktop.Notifications";
const BUS: &str = r#"<busconfig><type>session</type><listen>unix:path=PATH</listen><auth>EXTERNAL</auth>
    <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>"#;

#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Shown { id: u32, title: String, body: String },
    Closed(u32),
}

struct Notifications(Arc<Mutex<Vec<Seen>>>);

#[zbus::interface(name = "org.freedesktop.Notifications")]
#[allow(clippy::too_many_arguments, clippy::needless_pass_by_value, reason = "the specification's")]
impl Notifications {
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: Vec<String>,
        hints: HashMap<String, OwnedValue>,
        expire_timeout: i32,
    ) -> u32 {
        assert_eq!((app_name, app_icon, actions.len()), ("elevate", "dialog-password", 0));
        assert!(hints.contains_key("urgency") && expire_timeout > 0);
        let mut seen = self.0.lock().unwrap();
        let id = if replaces_id == 0 { 7 + u32::try_from(seen.len()).unwrap() } else { replaces_id };
        seen.push(Seen::Shown { id, title: summary.to_owned(), body: body.to_owned() });
        id
    }

    fn close_notification(&self, id: u32) {
        self.0.lock().unwrap().push(Seen::Closed(id));
    }
}

/// A desktop session: its bus, and who shows notifications on it.
struct Desktop {
    bus: Child,
    directory: TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
    _shows: Option<Connection>,
}

/// Who shows notifications.
#[derive(Clone, Copy)]
enum Shows {
    Somebody,
    /// It has the name, and never answers.
    Silent,
    Nobody,
}

impl Desktop {
    fn new(shows: Shows) -> Self {
        let directory = tempfile::Builder::new().prefix("bus").tempdir_in("/tmp").unwrap();
        let (config, path) = (directory.path().join("conf"), directory.path().join("bus"));
        std::fs::write(&config, BUS.replace("PATH", path.to_str().unwrap())).unwrap();
        let mut daemon = Command::new("dbus-daemon");
        daemon.args(["--nofork", "--nopidfile"]).arg(format!("--config-file={}", config.display()));
        let bus =
            daemon.stdout(Stdio::null()).spawn().expect("this test needs dbus-daemon: apt-get install dbus-daemon");
        wait_until("the bus listens", || std::os::unix::net::UnixStream::connect(&path).is_ok());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let builder =
            || Builder::address(format!("unix:path={}", path.display()).as_str()).unwrap().name(NAME).unwrap();
        let server = Notifications(seen.clone());
        let shows = match shows {
            Shows::Somebody => {
                Some(builder().serve_at("/org/freedesktop/Notifications", server).unwrap().build().unwrap())
            }
            Shows::Silent => Some(builder().build().unwrap()),
            Shows::Nobody => None,
        };
        Self { bus, directory, seen, _shows: shows }
    }

    fn address(&self) -> String {
        format!("unix:path={}", self.directory.path().join("bus").display())
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Starts the person of this scenario in it.
    fn start(&self, scenario: &str) -> Child {
        let mut child = Command::new("setsid");
        child.arg(std::env::current_exe().unwrap());
        child.args(["--exact", "--nocapture", "keys::desktop::whoever_is_asked_in_a_session_without_a_terminal"]);
        child.env(SCENARIO, scenario).env("DBUS_SESSION_BUS_ADDRESS", self.address()).env("DISPLAY", ":0");
        child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What came of it.
    fn play(&self, scenario: &str) -> String {
        let ended = self.start(scenario).wait_with_output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert!(ended.status.success(), "{stdout}{stderr}");
        let line = stdout.lines().find_map(|line| line.split_once("CAME OF IT: "));
        line.unwrap_or_else(|| panic!("{stdout}{stderr}")).1.to_owned()
    }

    /// What was shown first, and that all of it was closed.
    fn shown_and_closed(&self) -> (String, String) {
        let seen = self.seen();
        let Some(Seen::Shown { id, title, body }) = seen.first() else { panic!("{seen:?}") };
        assert_eq!(seen.last(), Some(&Seen::Closed(*id)), "{seen:?}");
        assert!(seen.iter().all(|it| matches!(it, Seen::Shown { id: other, .. } | Seen::Closed(other) if other == id)));
        (title.clone(), body.clone())
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

const SCENARIO: &str = "ELEVATE_TEST_DESKTOP";
const SHOWN: &str = "\nelevate: approve elevation to <b>prod</b>?\n  reason   R&D <a href=\"x\">now</a>\n";

/// Not a test of its own: the tests below start it, with what it has to play.
#[test]
fn whoever_is_asked_in_a_session_without_a_terminal() {
    let Ok(scenario) = std::env::var(SCENARIO) else { return };
    let signer = Signer::new(b"one");
    let mut machine = Machine::new(&[&signer]);
    machine.device.askpass = None;
    machine.device.non_interactive = scenario == "-n";
    let mut limit = LIMIT;
    match scenario.as_str() {
        "pin" => {
            machine = machine.verifying();
            machine.plug_in("hidraw0", &with_pin(&signer, &[8], &json!([])));
        }
        "refused" => {
            let script = json!({"start": opened(false), "find": signer.is_found(),
                "assert": [[failed(status::OPERATION_DENIED)]]});
            machine.plug_in("hidraw0", &script);
        }
        "untouched" => machine.plug_in("hidraw0", &untouched(&signer)),
        "timed out" => {
            limit = Duration::from_secs(2);
            machine.plug_in("hidraw0", &untouched(&signer));
        }
        "touched" | "-n" => machine.plug_in("hidraw0", &touched(&signer, 0.5)),
        "no key" => limit = Duration::from_secs(2),
        other => panic!("nobody plays {other}"),
    }
    let keys = HardwareKeys { bus: machine.device.bus.clone(), enrolled: &machine.enrolled };
    let approval = Approval::new(&machine.device, SHOWN.to_owned(), limit);
    match keys.get_assertion(&machine.options(), &approval) {
        Ok(assertion) => println!("CAME OF IT: touched {}", assertion.id),
        Err(error) => println!("CAME OF IT: {:?} {}", error.code, error.message),
    }
}

#[test]
fn a_notification_has_the_words_while_the_key_is_touched() {
    let desktop = Desktop::new(Shows::Somebody);
    assert_eq!(desktop.play("touched"), format!("touched {}", base64url(b"one")));
    let (title, body) = desktop.shown_and_closed();
    assert_eq!(title, "elevate: approve elevation to <b>prod</b>?", "a title is no markup");
    assert_eq!(body, "  reason   R&amp;D &lt;a href=\"x\"&gt;now&lt;/a&gt;");
    let says = |it: &Seen| matches!(it, Seen::Shown { body, .. } if body.ends_with("\nTouch 'key-0' (Scripted hidraw0), which blinks."));
    assert!(desktop.seen().iter().any(says), "{:?}", desktop.seen());
}

#[test]
fn a_notification_goes_whatever_comes_of_it() {
    for (scenario, came_of_it) in [
        ("refused", "VerificationFailed refused at 'key-0' (Scripted hidraw0)"),
        ("timed out", "VerificationFailed the touch timed out"),
        ("pin", "InteractionRequired a PIN has to be typed, and there is no terminal to type it at"),
        ("no key", "NoSecurityKey no security key was plugged in"),
    ] {
        let desktop = Desktop::new(Shows::Somebody);
        assert_eq!(desktop.play(scenario), came_of_it);
        desktop.shown_and_closed();
    }
}

#[test]
fn a_notification_goes_when_a_signal_ends_us() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let desktop = Desktop::new(Shows::Somebody);
        let mut child = desktop.start("untouched");
        wait_until("it blinks", || desktop.seen().len() > 1);
        kill_process(pid_of(child.id().try_into().unwrap()), signal).unwrap();
        let ended = patiently(Duration::from_secs(20), || child.try_wait().unwrap()).expect("it ends");
        assert_eq!(ended.signal(), Some(signal.as_raw()));
        desktop.shown_and_closed();
    }
}

#[test]
fn where_nobody_shows_notifications_somebody_has_to_be_at_a_terminal() {
    for shows in [Shows::Nobody, Shows::Silent] {
        let desktop = Desktop::new(shows);
        let begun = Instant::now();
        let nobody = "InteractionRequired this takes a touch of your key, and there is no terminal to ask at";
        assert_eq!(desktop.play("touched"), nobody);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}

#[test]
fn minus_n_notifies_nobody_and_a_software_key_says_what_it_takes() {
    let desktop = Desktop::new(Shows::Somebody);
    let forbidden = "InteractionRequired this takes a touch of your key, and -n forbids to wait for one";
    assert_eq!(desktop.play("-n"), forbidden);

    let mut home = Home::with(CATALOGUE);
    home.set("DBUS_SESSION_BUS_ADDRESS", &desktop.address());
    home.set("WAYLAND_DISPLAY", "wayland-0");
    home.elevate(&["prod-api"]).exits(4).complains(
        &home,
        "elevate: the software key 'laptop' takes Enter at a terminal, and there is none
  run `elevate prod-api` in a terminal first: the grant is then kept for a while
",
    );
    home.elevate(&["-n", "prod-api"]).exits(4);
    // At a terminal it is asked at the terminal.
    home.approve(&["prod-api"]).ok();
    assert_eq!(desktop.seen(), []);
}
