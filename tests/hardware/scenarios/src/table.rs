//! The scenarios, in the order of `docs/hardware.md`.

use crate::scenario::{Exit, Given, SCENARIO, Scenario, Step};
use std::time::Duration;

const LIBFIDO2: Given = Given::File("libfido2.sh", include_str!("libfido2.sh"));
const ENTER_PIN: &[Step] = &[Step::Wait("PIN for"), Step::Secret("1234\r")];
const ENTER_PIN_TWICE: &[Step] =
    &[Step::Wait("PIN for"), Step::Secret("1234\r"), Step::Wait("PIN for"), Step::Secret("1234\r")];

pub const SCENARIOS: &[Scenario] = &[
    // -------------------------------------------------------------------------------------------- elevate, at a terminal
    Scenario {
        name: "nothing is set up yet",
        run: "elevate list",
        expects: &["elevate: there is no authority on this machine yet", "  run `elevate init` to set one up"],
        exit: Exit::Status(6),
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
