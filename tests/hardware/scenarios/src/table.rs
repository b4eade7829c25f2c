//! The scenarios, in the order of `docs/hardware.md`.

use crate::scenario::{Exit, Given, SCENARIO, Scenario, Step};
use std::time::Duration;

const RESOURCES: Given = Given::File(".config/elevate/authority.toml", include_str!("authority.toml"));
const LIBFIDO2: Given = Given::File("libfido2.sh", include_str!("libfido2.sh"));
const ENTER_PIN: &[Step] = &[Step::Wait("PIN for"), Step::Secret("1234\r")];
const ENTER_PIN_TWICE: &[Step] =
    &[Step::Wait("PIN for"), Step::Secret("1234\r"), Step::Wait("PIN for"), Step::Secret("1234\r")];

pub const SCENARIOS: &[Scenario] = &[
    // -------------------------------------------------------------------------------------------- elevate, at a terminal
    Scenario {
        name: "a touch",
        given: &[
            Given::Run("elevate init"),
            RESOURCES,
            Given::Key(1, "--state /run/keys/1.state --touch 150"),
            Given::Run("elevate key enroll work"),
            Given::Word(1, "touch 1500"),
        ],
        run: "elevate db",
        types: &[Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve")],
        expects: &[
            "elevate: approve elevation to db?",
            "  for      5m",
            "  because  sensitive resources need a touch of your key; you have not used this",
            "           resource before; all of your keys were enrolled less than a day ago",
            "elevate: db granted*",
        ],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "nothing happens for 5 s",
        continues: true,
        given: &[Given::Word(1, "touch 5600")],
        run: "elevate -v db",
        types: &[Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve")],
        expects: &[
            "Nothing yet: touch the metal or glass of the key that blinks. If none does,",
            "unplug it and plug it in again. Ctrl-C refuses.",
            "elevate: db granted*",
        ],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "denied at the key",
        continues: true,
        given: &[Given::Word(1, "touch deny")],
        run: "elevate -v db",
        expects: &["elevate: refused at 'work' (Virtual key 1)", "  nothing was approved"],
        stdout: Some(""),
        exit: Exit::Status(8),
        ..SCENARIO
    },
    Scenario {
        name: "the key gives up waiting, and is asked again",
        continues: true,
        given: &[Given::Word(1, "touch never"), Given::Word(1, "up-timeout 1000")],
        run: "elevate -v db",
        types: &[
            Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve"),
            Step::Pause(Duration::from_secs(2)),
            Step::Word(1, "touch 300"),
        ],
        expects: &["elevate: db granted*"],
        stdout: Some(""),
        after: &[Given::Word(1, "up-timeout 30000")],
        ..SCENARIO
    },
    Scenario {
        name: "SIGINT while it blinks",
        continues: true,
        given: &[Given::Word(1, "touch never")],
        run: "elevate -v db",
        types: &[Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve"), Step::Signal(2)],
        expects: &["elevate: approve elevation to db?"],
        stdout: Some(""),
        exit: Exit::Signal(2),
        ..SCENARIO
    },
    Scenario {
        name: "SIGTERM while it blinks",
        continues: true,
        given: &[Given::Word(1, "touch never")],
        run: "elevate -v db",
        types: &[Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve"), Step::Signal(15)],
        expects: &["elevate: approve elevation to db?"],
        stdout: Some(""),
        exit: Exit::Signal(15),
        ..SCENARIO
    },
    Scenario {
        name: "SIGHUP while it blinks",
        continues: true,
        given: &[Given::Word(1, "touch never")],
        run: "elevate -v db",
        types: &[Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve"), Step::Signal(1)],
        expects: &["elevate: approve elevation to db?"],
        stdout: Some(""),
        exit: Exit::Signal(1),
        ..SCENARIO
    },
    Scenario {
        name: "Ctrl-C while it blinks",
        continues: true,
        given: &[Given::Word(1, "touch never")],
        run: "elevate -v db",
        types: &[Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve"), Step::Type("\x03")],
        expects: &["elevate: approve elevation to db?"],
        stdout: Some(""),
        exit: Exit::Signal(2),
        ..SCENARIO
    },
    Scenario {
        name: "stopped (SIGTSTP) while it blinks, then continued",
        continues: true,
        given: &[Given::Word(1, "touch never")],
        run: "elevate -v db",
        types: &[
            Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve"),
            Step::Signal(20),
            Step::Pause(Duration::from_secs(1)),
            Step::Signal(18),
            Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve"),
            Step::Word(1, "tap"),
        ],
        expects: &["elevate: db granted*"],
        stdout: Some(""),
        key_log: &[(1, "blink-stop cancel"), (1, "blink-start"), (1, "blink-stop touch")],
        ..SCENARIO
    },
    Scenario {
        name: "unplugged while it blinks, plugged in again",
        continues: true,
        given: &[Given::Word(1, "touch never")],
        run: "elevate -v db",
        types: &[
            Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve"),
            Step::Word(1, "remove"),
            Step::Wait("Plug in your security key"),
            Step::Plug(1, "--state /run/keys/1.state --touch 500"),
        ],
        expects: &["'work' (Virtual key 1) was unplugged", "Plug in your security key: 'work'", "elevate: db granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "unplugged while it is asked what it is",
        continues: true,
        given: &[Given::Word(1, "freeze on")],
        run: "elevate -v db",
        types: &[
            Step::Wait("Asking your key"),
            Step::Word(1, "remove"),
            Step::Wait("was unplugged"),
            Step::Plug(1, "--state /run/keys/1.state --touch 500"),
        ],
        expects: &["Virtual key 1 was unplugged", "elevate: db granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "plugged in only now",
        continues: true,
        given: &[Given::Word(1, "remove")],
        run: "elevate -v db",
        types: &[
            Step::Wait("Plug in your security key"),
            Step::Wait("Waiting for a key"),
            Step::Plug(1, "--state /run/keys/1.state --touch 500"),
            Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve"),
        ],
        expects: &["Plug in your security key: 'work'", "elevate: db granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "plugged in only now, over SSH",
        continues: true,
        given: &[Given::Word(1, "remove")],
        run: "env SSH_CONNECTION=x elevate -v db",
        types: &[Step::Wait("You are here over SSH"), Step::Plug(1, "--state /run/keys/1.state --touch 500")],
        expects: &[
            "Plug in your security key: 'work'",
            "You are here over SSH: it must be plugged into *",
            "elevate: db granted*",
        ],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "no key is plugged in, given up",
        continues: true,
        given: &[Given::Word(1, "remove")],
        run: "elevate -v db",
        types: &[Step::Wait("Waiting for a key"), Step::Type("\x03")],
        expects: &["Plug in your security key: 'work'"],
        stdout: Some(""),
        exit: Exit::Signal(2),
        after: &[Given::Key(1, "--state /run/keys/1.state --touch 500")],
        ..SCENARIO
    },
    Scenario {
        name: "frozen, plugged in again",
        continues: true,
        given: &[Given::Word(1, "freeze on")],
        run: "elevate -v db",
        types: &[
            Step::Wait("does not answer"),
            Step::Word(1, "remove"),
            Step::Plug(1, "--state /run/keys/1.state --touch 500"),
        ],
        expects: &["Virtual key 1 does not answer: unplug it and plug it in again", "elevate: db granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "frames of another channel",
        continues: true,
        given: &[Given::Word(1, "foreign on"), Given::Word(1, "touch 900")],
        run: "elevate -v db",
        types: &[Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve")],
        expects: &["elevate: db granted*"],
        stdout: Some(""),
        after: &[Given::Word(1, "foreign off")],
        ..SCENARIO
    },
    Scenario {
        name: "the answer to another program's INIT",
        continues: true,
        given: &[Given::Word(1, "foreign-init on"), Given::Word(1, "touch 900")],
        run: "elevate -v db",
        types: &[Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve")],
        expects: &["elevate: db granted*"],
        stdout: Some(""),
        after: &[Given::Word(1, "foreign-init off"), Given::Word(1, "touch 150")],
        ..SCENARIO
    },
    Scenario {
        name: "authenticator data too short",
        continues: true,
        given: &[Given::Word(1, "short-auth on")],
        run: "elevate -v db",
        expects: &[
            "elevate: what Virtual key 1 answers can't be read",
            "  unplug it and plug it in again, then run the command again; nothing was*",
        ],
        stdout: Some(""),
        exit: Exit::Status(8),
        after: &[Given::Word(1, "short-auth off")],
        ..SCENARIO
    },
    Scenario {
        name: "answers that are no CBOR",
        continues: true,
        given: &[Given::Word(1, "garbage on")],
        run: "elevate -v db",
        expects: &["elevate: what Virtual key 1 answers can't be read"],
        stdout: Some(""),
        exit: Exit::Status(8),
        after: &[Given::Word(1, "garbage off")],
        ..SCENARIO
    },
    Scenario {
        name: "keepalives every 25 ms",
        continues: true,
        given: &[Given::Word(1, "keepalive 25"), Given::Word(1, "touch 1500")],
        run: "elevate -v db",
        types: &[Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve")],
        expects: &["elevate: db granted*"],
        stdout: Some(""),
        deadline: Duration::from_secs(12),
        ..SCENARIO
    },
    Scenario {
        name: "keepalives every 500 ms",
        continues: true,
        given: &[Given::Word(1, "keepalive 500")],
        run: "elevate -v db",
        types: &[Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve")],
        expects: &["elevate: db granted*"],
        stdout: Some(""),
        after: &[Given::Word(1, "keepalive 100")],
        deadline: Duration::from_secs(12),
        ..SCENARIO
    },
    Scenario {
        name: "no keepalives",
        continues: true,
        given: &[Given::Word(1, "no-keepalive on"), Given::Word(1, "touch 500")],
        run: "elevate -v db",
        expects: &["elevate: db granted*"],
        stdout: Some(""),
        after: &[Given::Word(1, "no-keepalive off"), Given::Word(1, "touch 150")],
        ..SCENARIO
    },
    Scenario {
        name: "long answers in oddly split frames",
        continues: true,
        given: &[Given::Word(1, "pad 3000"), Given::Word(1, "split odd")],
        run: "elevate -v db",
        expects: &["elevate: db granted*"],
        stdout: Some(""),
        after: &[Given::Word(1, "pad 0"), Given::Word(1, "split off")],
        ..SCENARIO
    },
    Scenario {
        name: "another program uses the key",
        continues: true,
        given: &[Given::Word(1, "busy on")],
        run: "elevate -v db",
        types: &[Step::Wait("in use by another program"), Step::Word(1, "busy off")],
        expects: &["Virtual key 1 is in use by another program; waiting for it", "elevate: db granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "an answer without a touch",
        continues: true,
        given: &[Given::Word(1, "no-up on")],
        run: "elevate -v db",
        expects: &["elevate: the security key's answer is wrong: it signed for another relying party*"],
        stdout: Some(""),
        exit: Exit::Status(8),
        after: &[Given::Word(1, "no-up off")],
        ..SCENARIO
    },
    Scenario {
        name: "an answer for another relying party",
        continues: true,
        given: &[Given::Word(1, "wrong-rp on")],
        run: "elevate -v db",
        expects: &["elevate: the security key's answer is wrong: it signed for another relying party*"],
        stdout: Some(""),
        exit: Exit::Status(8),
        after: &[Given::Word(1, "wrong-rp off")],
        ..SCENARIO
    },
    Scenario {
        name: "an answer of another credential",
        continues: true,
        given: &[Given::Word(1, "wrong-credential on")],
        run: "elevate -v db",
        expects: &["elevate: the security key's answer is wrong: it is none of those that were asked"],
        stdout: Some(""),
        exit: Exit::Status(8),
        after: &[Given::Word(1, "wrong-credential off")],
        ..SCENARIO
    },
    Scenario {
        name: "a signature that is wrong",
        continues: true,
        given: &[Given::Word(1, "bad-signature on")],
        run: "elevate -v db",
        expects: &["elevate: the security key's answer is wrong: it did not sign what was shown"],
        stdout: Some(""),
        exit: Exit::Status(8),
        after: &[Given::Word(1, "bad-signature off")],
        ..SCENARIO
    },
    Scenario {
        name: "a key that speaks only U2F",
        continues: true,
        given: &[Given::Word(1, "u2f-only on")],
        run: "elevate -v db",
        types: &[
            Step::Wait("speaks only U2F"),
            Step::Word(1, "remove"),
            Step::Plug(1, "--state /run/keys/1.state --touch 500"),
        ],
        expects: &["Virtual key 1 speaks only U2F, which is too old", "elevate: db granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "nobody may be asked (-n)",
        continues: true,
        run: "elevate -n -v db",
        expects: &["elevate: this takes a touch of your key*"],
        stdout: Some(""),
        exit: Exit::Status(4),
        ..SCENARIO
    },
    Scenario {
        name: "a PIN is needed, and the key has none",
        continues: true,
        run: "elevate -v vault",
        expects: &["elevate: this takes your key and its PIN or biometric, and you have no key that*"],
        stdout: Some(""),
        exit: Exit::Status(7),
        ..SCENARIO
    },
    Scenario {
        name: "a key that is enrolled elsewhere",
        continues: true,
        given: &[Given::Word(1, "remove"), Given::Key(3, "--touch 150")],
        run: "elevate -v db",
        types: &[Step::Wait("is not enrolled here"), Step::Plug(1, "--state /run/keys/1.state --touch 500")],
        expects: &["Virtual key 3 is not enrolled here", "elevate: db granted*"],
        stdout: Some(""),
        after: &[Given::Word(3, "remove")],
        ..SCENARIO
    },
    Scenario {
        name: "swapped for another key while it blinks",
        continues: true,
        given: &[Given::Word(1, "touch never")],
        run: "elevate -v db",
        types: &[
            Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve"),
            Step::Word(1, "remove"),
            Step::Plug(3, "--touch 150"),
            Step::Wait("is not enrolled here"),
            Step::Word(3, "remove"),
            Step::Plug(1, "--state /run/keys/1.state --touch 500"),
        ],
        expects: &[
            "'work' (Virtual key 1) was unplugged",
            "Virtual key 3 is not enrolled here",
            "elevate: db granted*",
        ],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "the key is enrolled already",
        continues: true,
        given: &[Given::Word(1, "touch 150")],
        run: "elevate key enroll again",
        expects: &["elevate: Virtual key 1 is enrolled already"],
        stdout: Some(""),
        exit: Exit::Status(1),
        ..SCENARIO
    },
    Scenario {
        name: "the signature counter goes back",
        continues: true,
        given: &[Given::Word(1, "counter-back on")],
        run: "elevate -v db",
        expects: &["elevate: the step-up failed: the key's counter went back: the key may have been*"],
        stdout: Some(""),
        exit: Exit::Status(8),
        after: &[Given::Word(1, "counter-back off")],
        ..SCENARIO
    },
    Scenario {
        name: "PIN and touch",
        given: &[
            Given::Run("elevate init"),
            RESOURCES,
            Given::Key(1, "--state /run/keys/1.state --touch 150 --pin 1234"),
            Given::RunTyping("elevate key enroll work", &[Step::Wait("PIN of Virtual key 1"), Step::Secret("1234\r")]),
        ],
        run: "elevate -v vault",
        types: &[Step::Wait("PIN of 'work' (Virtual key 1), 8 tries left"), Step::Secret("1234\r")],
        expects: &[
            "elevate: approve elevation to vault?",
            "  takes    your key and its PIN or biometric",
            "PIN of 'work' (Virtual key 1), 8 tries left:*",
            "elevate: vault granted*",
        ],
        stdout: Some(""),
        key_log: &[(1, "sub 9"), (1, "permissions 02 rp localhost")],
        ..SCENARIO
    },
    Scenario {
        name: "a touch alone, of a key that has a PIN",
        continues: true,
        run: "elevate -v db",
        expects: &["elevate: db granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "a wrong PIN, then the right one",
        continues: true,
        run: "elevate -v vault",
        types: &[
            Step::Wait("PIN of 'work' (Virtual key 1), 8 tries left"),
            Step::Secret("9999\r"),
            Step::Wait("7 tries left"),
            Step::Secret("1234\r"),
        ],
        expects: &["wrong PIN", "PIN of 'work' (Virtual key 1), 7 tries left:*", "elevate: vault granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "three wrong PINs, then plugged in again",
        continues: true,
        run: "elevate -v vault",
        types: &[
            Step::Wait("8 tries left"),
            Step::Secret("9999\r"),
            Step::Wait("7 tries left"),
            Step::Secret("9999\r"),
            Step::Wait("6 tries left"),
            Step::Secret("9999\r"),
            Step::Wait("unplug it and plug it in again"),
            Step::Word(1, "remove"),
            Step::Plug(1, "--state /run/keys/1.state --touch 150 --pin 1234"),
            Step::Wait("tries left"),
            Step::Secret("1234\r"),
        ],
        expects: &[
            "'work' (Virtual key 1) takes no more tries for now: three in a row were wrong:*",
            "elevate: vault granted*",
        ],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "the last try, not made",
        continues: true,
        given: &[Given::Word(1, "pin-retries 1")],
        run: "elevate -v vault",
        types: &[Step::Wait("Type yes to try:"), Step::Type("no\r")],
        expects: &[
            "This is the last try: a wrong PIN locks the key for good, and what is on it is*",
            "elevate: the last try of 'work' (Virtual key 1) was not made",
        ],
        stdout: Some(""),
        exit: Exit::Status(8),
        ..SCENARIO
    },
    Scenario {
        name: "the last try, wrong",
        continues: true,
        given: &[Given::Word(1, "pin-retries 1")],
        run: "elevate -v vault",
        types: &[Step::Wait("Type yes to try:"), Step::Type("yes\r"), Step::Wait("1 try left"), Step::Secret("9999\r")],
        expects: &[
            "This is the last try: a wrong PIN locks the key for good, and what is on it is*",
            "elevate: 'work' (Virtual key 1) is locked for good: its PIN was wrong too often",
        ],
        stdout: Some(""),
        exit: Exit::Status(8),
        after: &[Given::Word(1, "pin 1234")],
        ..SCENARIO
    },
    Scenario {
        name: "locked for good",
        continues: true,
        given: &[Given::Word(1, "pin-blocked")],
        run: "elevate -v vault",
        expects: &["elevate: 'work' (Virtual key 1) is locked for good: its PIN was wrong too often"],
        stdout: Some(""),
        exit: Exit::Status(8),
        after: &[Given::Word(1, "pin 1234")],
        ..SCENARIO
    },
    Scenario {
        name: "a PIN that is too short",
        continues: true,
        run: "elevate -v vault",
        types: &[
            Step::Wait("PIN of 'work' (Virtual key 1), 8 tries left"),
            Step::Type("ab\r"),
            Step::Wait("nothing was tried"),
            Step::Secret("1234\r"),
        ],
        expects: &["a PIN of this key has at least 4 characters; nothing was tried", "elevate: vault granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "a PIN that is too long",
        continues: true,
        run: "elevate -v vault",
        types: &[
            Step::Wait("PIN of 'work' (Virtual key 1), 8 tries left"),
            Step::Secret("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r"),
            Step::Wait("nothing was tried"),
            Step::Secret("1234\r"),
        ],
        expects: &["a PIN has at most 63 bytes; nothing was tried", "elevate: vault granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "the PIN must be changed",
        continues: true,
        given: &[Given::Word(1, "force-pin-change on")],
        run: "elevate -v vault",
        expects: &[
            "elevate: the PIN of 'work' (Virtual key 1) must be changed before it can be used",
            "  `elevate key pin` changes it",
        ],
        stdout: Some(""),
        exit: Exit::Status(8),
        after: &[Given::Word(1, "force-pin-change off")],
        ..SCENARIO
    },
    Scenario {
        name: "the PIN comes from a program (-A)",
        continues: true,
        given: &[Given::File("pin", "#!/bin/sh\necho 1234\n"), Given::Run("chmod 700 pin")],
        run: "env ELEVATE_ASKPASS=/home/person/pin elevate -A -v vault",
        expects: &["elevate: vault granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "Ctrl-C at the PIN",
        continues: true,
        run: "elevate -v vault",
        types: &[Step::Wait("PIN of 'work' (Virtual key 1), 8 tries left"), Step::Type("\x03")],
        expects: &["elevate: approve elevation to vault?"],
        stdout: Some(""),
        exit: Exit::Signal(2),
        ..SCENARIO
    },
    Scenario {
        name: "stopped (SIGTSTP) at the PIN, then continued",
        continues: true,
        run: "elevate -v vault",
        types: &[
            Step::Wait("PIN of 'work' (Virtual key 1), 8 tries left"),
            Step::Signal(20),
            Step::Pause(Duration::from_secs(1)),
            Step::Signal(18),
            Step::Wait("PIN of 'work' (Virtual key 1), 8 tries left"),
            Step::Secret("1234\r"),
        ],
        expects: &["elevate: vault granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "unplugged while the PIN is typed",
        continues: true,
        run: "elevate -v vault",
        types: &[
            Step::Wait("PIN of 'work' (Virtual key 1), 8 tries left"),
            Step::Word(1, "remove"),
            Step::Secret("1234\r"),
            Step::Wait("was unplugged"),
            Step::Plug(1, "--state /run/keys/1.state --touch 150 --pin 1234"),
            Step::Wait("tries left"),
            Step::Secret("1234\r"),
        ],
        expects: &["'work' (Virtual key 1) was unplugged", "elevate: vault granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "SIGTERM while it blinks after the PIN",
        continues: true,
        given: &[Given::Word(1, "touch never")],
        run: "elevate -v vault",
        types: &[
            Step::Wait("PIN of 'work' (Virtual key 1), 8 tries left"),
            Step::Secret("1234\r"),
            Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve"),
            Step::Signal(15),
        ],
        expects: &["elevate: approve elevation to vault?"],
        stdout: Some(""),
        exit: Exit::Signal(15),
        after: &[Given::Word(1, "touch 150")],
        ..SCENARIO
    },
    Scenario {
        name: "the PIN is changed",
        continues: true,
        run: "elevate key pin",
        types: &[
            Step::Wait("PIN of Virtual key 1"),
            Step::Secret("1234\r"),
            Step::Wait("New PIN"),
            Step::Secret("5678\r"),
            Step::Wait("The same again"),
            Step::Secret("5678\r"),
        ],
        expects: &["the PIN is the new one"],
        after: &[Given::Word(1, "pin 1234")],
        ..SCENARIO
    },
    Scenario {
        name: "a fingerprint",
        given: &[
            Given::Run("elevate init"),
            RESOURCES,
            Given::Key(1, "--state /run/keys/1.state --touch 150 --uv ok"),
            Given::Run("elevate key enroll work"),
        ],
        run: "elevate -v vault",
        expects: &["  takes    your key and its PIN or biometric", "elevate: vault granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "a fingerprint not recognised, then recognised",
        continues: true,
        given: &[Given::Word(1, "uv fail")],
        run: "elevate -v vault",
        types: &[Step::Wait("not recognised"), Step::Word(1, "uv ok")],
        expects: &["not recognised, * tries left", "elevate: vault granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "no more fingerprints, and no PIN",
        continues: true,
        given: &[Given::Word(1, "uv-retries 1"), Given::Word(1, "uv fail")],
        run: "elevate -v vault",
        expects: &["elevate: 'work' (Virtual key 1) no longer takes fingerprints, and it has no PIN"],
        stdout: Some(""),
        exit: Exit::Status(8),
        after: &[Given::Word(1, "uv-retries 3"), Given::Word(1, "uv ok")],
        ..SCENARIO
    },
    Scenario {
        name: "no more fingerprints, the PIN instead",
        continues: true,
        given: &[Given::Word(1, "pin 1234"), Given::Word(1, "uv-retries 1"), Given::Word(1, "uv fail")],
        run: "elevate -v vault",
        types: &[Step::Wait("PIN of"), Step::Secret("1234\r")],
        expects: &[
            "'work' (Virtual key 1) no longer takes fingerprints; its PIN does it as well",
            "elevate: vault granted*",
        ],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "two keys: the first touch wins, the other goes dark",
        given: &[
            Given::Run("elevate init"),
            RESOURCES,
            Given::Key(1, "--state /run/keys/1.state --touch 150"),
            Given::Run("elevate key enroll work"),
            Given::Word(1, "touch never"),
            Given::Key(2, "--state /run/keys/2.state --touch never"),
            Given::RunTyping(
                "elevate key enroll spare",
                &[
                    Step::Wait("which blinks, to approve"),
                    Step::Word(1, "tap"),
                    Step::Wait("to use it"),
                    Step::Word(2, "tap"),
                    Step::Wait("Touch Virtual key 2, which blinks, to approve"),
                    Step::Word(2, "tap"),
                ],
            ),
        ],
        run: "elevate -v db",
        types: &[
            Step::Wait("Touch 'work' (Virtual key 1) or 'spare' (Virtual key 2), which blinks"),
            Step::Word(2, "tap"),
        ],
        expects: &["elevate: db granted*"],
        stdout: Some(""),
        key_log: &[(1, "blink-stop cancel"), (2, "blink-stop touch")],
        ..SCENARIO
    },
    Scenario {
        name: "two keys, SIGINT: both go dark",
        continues: true,
        run: "elevate -v db",
        types: &[Step::Wait("Touch 'work' (Virtual key 1) or 'spare' (Virtual key 2), which blinks"), Step::Signal(2)],
        expects: &["elevate: approve elevation to db?"],
        stdout: Some(""),
        exit: Exit::Signal(2),
        key_log: &[(1, "blink-stop cancel"), (2, "blink-stop cancel")],
        ..SCENARIO
    },
    Scenario {
        name: "two keys, one is unplugged: the other goes on",
        continues: true,
        run: "elevate -v db",
        types: &[
            Step::Wait("Touch 'work' (Virtual key 1) or 'spare' (Virtual key 2), which blinks"),
            Step::Word(2, "remove"),
            Step::Wait("was unplugged"),
            Step::Wait("Touch 'work' (Virtual key 1), which blinks, to approve"),
            Step::Word(1, "tap"),
        ],
        expects: &["'spare' (Virtual key 2) was unplugged", "elevate: db granted*"],
        stdout: Some(""),
        after: &[Given::Key(2, "--state /run/keys/2.state --touch never")],
        ..SCENARIO
    },
    Scenario {
        name: "two keys, one is frozen",
        continues: true,
        given: &[Given::Word(2, "freeze on"), Given::Word(1, "touch 6500")],
        run: "elevate -v db",
        expects: &["Virtual key 2 does not answer: unplug it and plug it in again", "elevate: db granted*"],
        stdout: Some(""),
        after: &[Given::Key(2, "--state /run/keys/2.state --touch never"), Given::Word(1, "touch never")],
        ..SCENARIO
    },
    Scenario {
        name: "two keys, one answers rubbish",
        continues: true,
        given: &[Given::Word(2, "garbage on"), Given::Word(1, "touch 1500")],
        run: "elevate -v db",
        expects: &["what Virtual key 2 answers can't be read: it is left out", "elevate: db granted*"],
        stdout: Some(""),
        ..SCENARIO
    },
    Scenario {
        name: "the device may not be opened",
        given: &[Given::Run("elevate init"), Given::ForbiddenKey(1, "--touch 150")],
        run: "elevate key enroll work",
        expects: &[
            "elevate: Virtual key 1 is plugged in, but you may not open it",
            "  `elevate doctor` shows the rule that lets you",
        ],
        stdout: Some(""),
        exit: Exit::Status(7),
        ..SCENARIO
    },
    Scenario {
        name: "`elevate doctor` with the key plugged in",
        given: &[
            Given::Run("elevate init"),
            RESOURCES,
            Given::Key(1, "--state /run/keys/1.state --touch 150 --pin 1234"),
            Given::RunTyping("elevate key enroll work", &[Step::Wait("PIN of Virtual key 1"), Step::Secret("1234\r")]),
        ],
        run: "elevate doctor",
        expects: &["ok      security key: Virtual key 1 *"],
        ..SCENARIO
    },
    Scenario {
        name: "a secret sealed under the key: one touch approves and unseals",
        continues: true,
        given: &[Given::RunTyping(
            "sh -c 'printf %s hunter2 | elevate admin secret set example --seal-to work --backup age1sanyfhahl2u3f7qq3vsu0nuv6xrwn8uqcjtrf2wetezxfsg5rq8ql2fn8p'",
            &[Step::Wait("PIN of"), Step::Secret("1234\r"), Step::Wait("PIN of"), Step::Secret("1234\r")],
        )],
        run: "sh -c 'elevate example -- sh -c \"echo the secret is \\$ELEVATE_SECRET\"'",
        types: &[Step::Wait("PIN of"), Step::Secret("1234\r")],
        expects: &[
            "elevate: approve elevation to example?",
            "  takes    your key and its PIN or biometric",
            "the secret is hunter2",
        ],
        ..SCENARIO
    },
    Scenario {
        name: "the main job of README, with a device in place of the file",
        continues: true,
        given: &[Given::RunTyping(
            "sh -c 'printf %s hunter2 | elevate admin secret set example --seal-to work --backup age1sanyfhahl2u3f7qq3vsu0nuv6xrwn8uqcjtrf2wetezxfsg5rq8ql2fn8p'",
            &[Step::Wait("PIN of"), Step::Secret("1234\r"), Step::Wait("PIN of"), Step::Secret("1234\r")],
        )],
        run: "sh -c 'elevate -v --reason 4711 example -- env && elevate drop example && elevate audit verify'",
        types: &[Step::Wait("PIN of"), Step::Secret("1234\r")],
        expects: &[
            "elevate: approve elevation to example?",
            "  command  env",
            "  reason   4711",
            "ELEVATE_SECRET=hunter2",
            "example dropped and revoked*",
            "the log is good*",
        ],
        ..SCENARIO
    },
    Scenario {
        name: "a key whose model the authority's roots vouch for",
        given: &[
            Given::Run("elevate init"),
            Given::File(".config/elevate/authority.toml", include_str!("attested.toml")),
            Given::Run("cp /etc/attestation-root.pem .config/elevate/roots.pem"),
            Given::Key(1, "--state /run/keys/1.state --touch 150 --pin 1234 --attestation chain"),
            Given::RunTyping("elevate key enroll work", &[Step::Wait("PIN of Virtual key 1"), Step::Secret("1234\r")]),
        ],
        run: "sh -c 'elevate top && elevate status'",
        types: &[Step::Wait("PIN of"), Step::Secret("1234\r")],
        expects: &["elevate: approve elevation to top?", "elevate: top granted*"],
        ..SCENARIO
    },
    Scenario {
        name: "a model that nobody vouches for, where somebody must",
        given: &[
            Given::Run("elevate init"),
            Given::File(".config/elevate/authority.toml", include_str!("attested.toml")),
            Given::Run("cp /etc/attestation-root.pem .config/elevate/roots.pem"),
            Given::Key(1, "--touch 150 --attestation self"),
        ],
        run: "elevate key enroll work",
        expects: &["elevate: nobody whom this authority trusts vouches for this key's model"],
        stdout: Some(""),
        exit: Exit::Status(3),
        ..SCENARIO
    },
    Scenario {
        name: "signing in with the key, which knows by itself whose it is",
        given: &[
            Given::File("direct.sh", include_str!("direct.sh")),
            Given::Service("sh /home/person/direct.sh", "the person is invited"),
            Given::File(".config/elevate/elevate.toml", "authority = \"http://localhost:8470\"\n"),
            Given::Run("sh -c 'elevate login --invitation </run/invitation'"),
            Given::Key(1, "--state /run/keys/1.state --touch 150 --pin 1234"),
            Given::RunTyping("elevate key enroll work", &[Step::Wait("PIN of Virtual key 1"), Step::Secret("1234\r")]),
            // As on a device that never heard of it.
            Given::Run("sh -c 'rm $(find .local/share/elevate -name credentials)'"),
        ],
        run: "elevate login --key",
        types: &[Step::Wait("PIN of"), Step::Secret("1234\r")],
        expects: &[
            "elevate: sign in to http://localhost:8470 on this device?",
            "signed in to http://localhost:8470 as person, until *",
        ],
        ..SCENARIO
    },
    Scenario {
        name: "signing in with a key that is nobody's",
        continues: true,
        given: &[Given::Key(1, "--touch 150 --pin 1234")],
        run: "elevate login --key",
        types: &[Step::Wait("PIN of"), Step::Secret("1234\r"), Step::Wait("is not enrolled here"), Step::Type("\x03")],
        expects: &["Virtual key 1 is not enrolled here"],
        exit: Exit::Signal(2),
        ..SCENARIO
    },
    // ------------------------------------------------------------------- the virtual key, as libfido2's tools find it
    Scenario {
        name: "libfido2: what the key says of itself",
        given: &[Given::Key(1, "--pin 1234 --aaguid 00112233445566778899aabbccddeeff")],
        run: "fido2-token -I {key1}",
        expects: &[
            "version strings: FIDO_2_0, FIDO_2_1",
            "extension strings: credProtect, hmac-secret",
            "aaguid: 00112233445566778899aabbccddeeff",
            "options: *clientPin*pinUvAuthToken*",
            "pin protocols: 2, 1",
            "pin retries: 8",
        ],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: self attestation",
        given: &[Given::Key(1, "--touch 50"), LIBFIDO2],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; make a; assert a; assert a'",
        expects: &["made a: packed, certificates: 0", "asserted a", "asserted a"],
        key_log: &[(1, "blink-start"), (1, "blink-stop touch")],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: attestation with a certificate",
        given: &[Given::Key(1, "--attestation chain"), LIBFIDO2],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; make a; assert a'",
        expects: &["made a: packed, certificates: 1", "asserted a"],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: no attestation",
        given: &[Given::Key(1, "--attestation none"), LIBFIDO2],
        // The key answers, but fido2-cred has no signature to print then.
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; fails make a'",
        expects: &["fido2-cred: output error"],
        key_log: &[(1, "blink-stop touch after"), (1, "-> 00")],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: PIN with protocol 1",
        given: &[Given::Key(1, "--pin 1234 --pin-protocols 1"), LIBFIDO2],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; make a -v; assert a -v'",
        types: ENTER_PIN_TWICE,
        expects: &["made a: *", "asserted a"],
        key_log: &[
            (1, "CBOR 06 sub 9 permissions 01 rp localhost protocol 1 -> 00"),
            (1, "CBOR 06 sub 9 permissions 02 rp localhost protocol 1 -> 00"),
        ],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: PIN with protocol 2",
        given: &[Given::Key(1, "--pin 1234 --pin-protocols 2"), LIBFIDO2],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; make a -v; assert a -v'",
        types: ENTER_PIN_TWICE,
        expects: &["made a: *", "asserted a"],
        key_log: &[
            (1, "CBOR 06 sub 9 permissions 01 rp localhost protocol 2 -> 00"),
            (1, "CBOR 06 sub 9 permissions 02 rp localhost protocol 2 -> 00"),
        ],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: PIN of a CTAP 2.0 key",
        given: &[Given::Key(1, "--pin 1234 --pin-protocols 1 --ctap 2.0"), LIBFIDO2],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; make a; assert a -t pin=true'",
        types: ENTER_PIN_TWICE,
        expects: &["made a: *", "asserted a"],
        key_log: &[(1, "CBOR 06 sub 5 protocol 1 -> 00")],
        key_log_absent: &["sub 9"],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: a wrong PIN",
        given: &[Given::Key(1, "--pin 4321"), LIBFIDO2],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; fails make a -v; fido2-token -I $KEY | grep retries'",
        types: ENTER_PIN,
        expects: &["*FIDO_ERR_PIN_INVALID*", "pin retries: 7"],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: a PIN is set and changed, and the key reset",
        given: &[Given::Key(1, ""), LIBFIDO2],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; fido2-token -S $KEY; fido2-token -C $KEY; make a -v; fido2-token -R $KEY; fido2-token -I $KEY'",
        types: &[
            Step::Wait("new PIN for"),
            Step::Secret("1234\r"),
            Step::Wait("again"),
            Step::Secret("1234\r"),
            Step::Wait("current PIN for"),
            Step::Secret("1234\r"),
            Step::Wait("new PIN for"),
            Step::Secret("56789\r"),
            Step::Wait("again"),
            Step::Secret("56789\r"),
            Step::Wait("PIN for"),
            Step::Secret("56789\r"),
        ],
        expects: &["made a: *", "options: *noclientPin*"],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: built-in user verification",
        given: &[Given::Key(1, "--uv ok"), LIBFIDO2],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; make a; assert a -t uv=true; fido2-assert -V -v -i a.got a.pem'",
        expects: &["made a: *", "asserted a"],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: hmac-secret with protocol 1",
        given: &[Given::Key(1, "--pin 1234 --pin-protocols 1"), LIBFIDO2, Given::File("hmac.sh", HMAC_SECRET)],
        run: "sh hmac.sh {key1}",
        types: ENTER_PIN,
        expects: HMAC_SECRET_SHOWN,
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: hmac-secret with protocol 2",
        given: &[Given::Key(1, "--pin 1234 --pin-protocols 2"), LIBFIDO2, Given::File("hmac.sh", HMAC_SECRET)],
        run: "sh hmac.sh {key1}",
        types: ENTER_PIN,
        expects: HMAC_SECRET_SHOWN,
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: credProtect 1, 2 and 3",
        given: &[Given::Key(1, "--uv ok"), LIBFIDO2, Given::File("protect.sh", CRED_PROTECT)],
        run: "sh protect.sh {key1}",
        expects: &[
            "made one: *",
            "made two: *",
            "made three: *",
            "without: 1",
            "with: 3",
            "asserted two",
            "asserted three",
        ],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: discoverable credentials are listed and deleted",
        given: &[Given::Key(1, "--pin 1234"), LIBFIDO2, Given::File("resident.sh", RESIDENT)],
        run: "sh resident.sh {key1}",
        types: &[
            Step::Wait("PIN for"),
            Step::Secret("1234\r"),
            Step::Wait("PIN for"),
            Step::Secret("1234\r"),
            Step::Wait("PIN for"),
            Step::Secret("1234\r"),
            Step::Wait("PIN for"),
            Step::Secret("1234\r"),
            Step::Wait("PIN for"),
            Step::Secret("1234\r"),
            Step::Wait("PIN for"),
            Step::Secret("1234\r"),
        ],
        expects: &["*localhost", "*es256 uvopt", "*es256 uvopt", "left: 1"],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: two keys at once",
        given: &[Given::Key(1, "--touch never"), Given::Key(2, "--aaguid 00112233445566778899aabbccddeeff"), LIBFIDO2],
        run: "sh -c 'KEY={key2}; . ./libfido2.sh; fido2-token -L; make a; assert a'",
        expects: &["*hidraw*", "*hidraw*", "made a: *", "asserted a"],
        key_log_absent: &["blink-stop timeout"],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: long answers in slow frames",
        // Not `odd`: libfido2 gives up where it reads a frame of another channel.
        given: &[Given::Key(1, "--pad 1500 --split slow --touch 300"), LIBFIDO2],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; make a; assert a'",
        expects: &["made a: *", "asserted a"],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: a key keeps its credentials while it is unplugged",
        given: &[
            Given::Key(1, "--state /run/state-1"),
            LIBFIDO2,
            Given::Run("sh -c 'KEY={key1}; . ./libfido2.sh; make a'"),
            Given::Word(1, "remove"),
            Given::Key(1, "--state /run/state-1"),
        ],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; assert a'",
        expects: &["asserted a"],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: a bad signature is found",
        given: &[Given::Key(1, ""), LIBFIDO2],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; make a; read _; fails assert a'",
        types: &[Step::Wait("made a"), Step::Word(1, "bad-signature on"), Step::Type("\r")],
        expects: &["*FIDO_ERR_INVALID_SIG*"],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: pulled out while it blinks",
        given: &[Given::Key(1, "--touch never"), LIBFIDO2],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; make a'",
        types: &[Step::WaitLight(1), Step::Word(1, "remove")],
        expects: &["fido2-cred: *"],
        exit: Exit::Status(1),
        key_log: &[(1, "blink-start"), (1, "blink-stop removed")],
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: nobody may use the key",
        given: &[Given::ForbiddenKey(1, "")],
        run: "fido2-token -I {key1}",
        expects: &["fido2-token: fido_dev_open*"],
        exit: Exit::Status(1),
        documented: false,
        ..SCENARIO
    },
    Scenario {
        name: "libfido2: Ctrl-C leaves the light on",
        given: &[Given::Key(1, "--touch never"), LIBFIDO2],
        run: "sh -c 'KEY={key1}; . ./libfido2.sh; make a'",
        types: &[Step::WaitLight(1), Step::Pause(Duration::from_millis(100)), Step::Type("\x03")],
        exit: Exit::Signal(2),
        light_out: false,
        documented: false,
        ..SCENARIO
    },
];

/// The same salt gives the same secret, another one another, and so does user verification.
const HMAC_SECRET: &str = "
KEY=$1
. ./libfido2.sh
make a -h
SALT=$(random 32); assert a -h; first=$SECRET
assert a -h; [ \"$SECRET\" = \"$first\" ] && echo 'the same salt: the same'
one=$SALT; SALT=$(random 32); assert a -h; [ \"$SECRET\" != \"$first\" ] && echo 'another salt: another'
SALT=$(echo \"$one$SALT\" | base64 -d | base64 -w 0)
SALT=$({ echo $one | base64 -d; random 32 | base64 -d; } | base64 -w 0); assert a -h
echo \"two salts: $(echo $SECRET | base64 -d | wc -c) bytes\"
[ \"$(echo $SECRET | base64 -d | head -c 32 | base64)\" = \"$first\" ] && echo 'the first of two: the same'
SALT=$one; assert a -h -v; [ \"$SECRET\" != \"$first\" ] && echo 'with user verification: another'
";
const HMAC_SECRET_SHOWN: &[&str] = &[
    "the same salt: the same",
    "another salt: another",
    "two salts: 64 bytes",
    "the first of two: the same",
    "with user verification: another",
];

const CRED_PROTECT: &str = "
KEY=$1
. ./libfido2.sh
make one -rv -c 1
make two -rv -c 2
make three -rv -c 3
{ random; echo localhost; } >found
echo \"without: $(fido2-assert -G -r -i found $KEY | grep -c localhost)\"
echo \"with: $(fido2-assert -G -r -t uv=true -i found $KEY | grep -c localhost)\"
assert two
fails assert three
assert three -t uv=true
";

const RESIDENT: &str = "
KEY=$1
. ./libfido2.sh
make one -r
make two -r
fido2-token -L -r $KEY
fido2-token -L -k localhost $KEY
fido2-token -D -i \"$(sed -n 1p one.cred)\" $KEY
echo \"left: $(fido2-token -L -k localhost $KEY | grep -c es256)\"
";
