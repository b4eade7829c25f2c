//! The scenarios: what is given, what is done, what the person reads, how it ends. docs/hardware.md is this table.

use std::fmt::Write as _;
use std::time::Duration;

/// What happens while the program runs.
pub enum Step {
    /// Waits until this stands on the screen, after what was waited for before.
    See(&'static str),
    /// The person types.
    Type(&'static str),
    /// A key is told something, plugged in (`plug in OPTIONS`) or pulled (`unplug`).
    Key(u32, &'static str),
    /// A signal is sent.
    Signal(i32),
    /// Milliseconds pass.
    Wait(u64),
    /// No light is on now.
    Dark,
}

/// How it ends.
#[derive(Debug, Clone, Copy)]
pub enum Exit {
    Status(i32),
    Signal(i32),
}

pub struct Scenario {
    pub name: &'static str,
    /// What keys are told before.
    pub given: &'static [(u32, &'static str)],
    pub command: &'static str,
    pub steps: &'static [Step],
    /// On the screen, in this order.
    pub reads: &'static [&'static str],
    pub exit: Exit,
    pub within: Duration,
    /// What a key's log holds.
    pub key_log: &'static [(u32, &'static str)],
    /// What keys are told afterwards.
    pub after: &'static [(u32, &'static str)],
}

/// A command that has to work before a world's scenarios begin.
pub struct Begin {
    pub command: &'static str,
    pub steps: &'static [Step],
}

/// One home, its keys, and the scenarios that share them.
pub struct World {
    pub name: &'static str,
    pub begin: Vec<Begin>,
    pub scenarios: Vec<Scenario>,
}

use Exit::{Signal as Dies, Status};
use Step::{Dark, Key, See, Signal, Type, Wait};

const INT: i32 = 2;
const HUP: i32 = 1;
const TERM: i32 = 15;
const TSTP: i32 = 20;
const CONT: i32 = 18;

const fn scenario(
    name: &'static str,
    given: &'static [(u32, &'static str)],
    command: &'static str,
    steps: &'static [Step],
    reads: &'static [&'static str],
    exit: Exit,
) -> Scenario {
    Scenario { name, given, command, steps, reads, exit, within: Duration::from_secs(20), key_log: &[], after: &[] }
}

impl Scenario {
    const fn then(mut self, after: &'static [(u32, &'static str)]) -> Self {
        self.after = after;
        self
    }

    const fn logged(mut self, key_log: &'static [(u32, &'static str)]) -> Self {
        self.key_log = key_log;
        self
    }

    const fn within(mut self, seconds: u64) -> Self {
        self.within = Duration::from_secs(seconds);
        self
    }
}

const DB: &str = "elevate -v db";
const VAULT: &str = "elevate -v vault";
const BLINKS: &str = "Touch 'work' (Key 1), which blinks, to approve";

pub fn worlds() -> Vec<World> {
    vec![touch(), pin(), fingerprint(), two_keys(), forbidden()]
}

fn touch() -> World {
    World {
        name: "touch",
        begin: vec![Begin { command: "true", steps: &[Key(1, "plug in --touch 150")] }, Begin { command: "elevate key enroll work", steps: &[] }],
        scenarios: vec![
            scenario("a touch", &[(1, "touch 1500")], DB, &[], &["elevate: approve elevation to db?", "because  sensitive resources need a touch of your key", BLINKS, "elevate: db granted"], Status(0)),
            scenario("nothing happens for 5 s", &[(1, "touch 6500")], DB, &[], &[BLINKS, "Nothing yet: touch the metal or glass of the key that blinks. If none does,", "unplug it and plug it in again. Ctrl-C refuses.", "elevate: db granted"], Status(0)),
            scenario("denied at the key", &[(1, "touch deny")], DB, &[], &["elevate: refused at 'work' (Key 1)", "nothing was approved"], Status(8)),
            scenario("the key gives up waiting", &[(1, "touch never"), (1, "up-timeout 1500")], DB, &[See(BLINKS), Wait(2500), Key(1, "touch 300")], &["elevate: db granted"], Status(0)),
            scenario("SIGINT while it blinks", &[(1, "touch never")], DB, &[See(BLINKS), Signal(INT)], &[BLINKS], Dies(INT)),
            scenario("Ctrl-C while it blinks", &[(1, "touch never")], DB, &[See(BLINKS), Type("\x03")], &[BLINKS], Dies(INT)),
            scenario("SIGTERM while it blinks", &[(1, "touch never")], DB, &[See(BLINKS), Signal(TERM)], &[BLINKS], Dies(TERM)),
            scenario("SIGHUP while it blinks", &[(1, "touch never")], DB, &[See(BLINKS), Signal(HUP)], &[BLINKS], Dies(HUP)),
            scenario("SIGTSTP while it blinks, then on", &[(1, "touch never")], DB, &[See(BLINKS), Signal(TSTP), Wait(1500), Dark, Signal(CONT), See(BLINKS), Key(1, "tap")], &[BLINKS, "elevate: db granted"], Status(0)),
            scenario("unplugged while it blinks, plugged in again", &[(1, "touch never")], DB, &[See(BLINKS), Key(1, "unplug"), See("Plug in your security key"), Key(1, "plug in --touch 500")], &["'work' (Key 1) was unplugged", "Plug in your security key: 'work'", "elevate: db granted"], Status(0)),
            scenario("unplugged while it is asked what it is", &[(1, "freeze on")], DB, &[See("Asking your key"), Key(1, "unplug"), See("was unplugged"), Key(1, "plug in --touch 500")], &["Key 1 was unplugged", "elevate: db granted"], Status(0)),
            scenario("plugged in only now", &[(1, "unplug")], DB, &[See("Plug in your security key"), Key(1, "plug in --touch 500")], &["Plug in your security key: 'work'", "Waiting for a key", BLINKS, "elevate: db granted"], Status(0)),
            scenario("plugged in only now, over SSH", &[(1, "unplug")], "env SSH_CONNECTION=x elevate -v db", &[See("You are here over SSH"), Key(1, "plug in --touch 500")], &["Plug in your security key: 'work'", "You are here over SSH: it must be plugged into", "elevate: db granted"], Status(0)),
            scenario("no key, given up", &[(1, "unplug")], DB, &[See("Waiting for a key"), Type("\x03")], &["Plug in your security key: 'work'", "Waiting for a key"], Dies(INT)),
            scenario("frozen, plugged in again", &[(1, "freeze on")], DB, &[See("does not answer"), Key(1, "unplug"), Key(1, "plug in --touch 500")], &["Key 1 does not answer: unplug it and plug it in again", "elevate: db granted"], Status(0)),
            scenario("frames of another channel", &[(1, "foreign on"), (1, "touch 1500")], DB, &[], &[BLINKS, "elevate: db granted"], Status(0)).then(&[(1, "foreign off")]),
            scenario("another program's INIT", &[(1, "foreign-init on"), (1, "touch 1500")], DB, &[], &[BLINKS, "elevate: db granted"], Status(0)).then(&[(1, "foreign-init off")]),
            scenario("authenticator data too short", &[(1, "short-auth on")], DB, &[], &["elevate: what Key 1 answers can't be read", "unplug it and plug it in again"], Status(8)).then(&[(1, "short-auth off")]),
            scenario("answers that are no CBOR", &[(1, "garbage on")], DB, &[], &["elevate: what Key 1 answers can't be read"], Status(8)).then(&[(1, "garbage off")]),
            scenario("keepalives every 25 ms", &[(1, "keepalive 25"), (1, "touch 3000")], DB, &[], &[BLINKS, "elevate: db granted"], Status(0)).within(9),
            scenario("keepalives every 500 ms", &[(1, "keepalive 500"), (1, "touch 3000")], DB, &[], &[BLINKS, "elevate: db granted"], Status(0)).within(9),
            scenario("no keepalives", &[(1, "no-keepalive on"), (1, "touch 1500")], DB, &[], &["elevate: db granted"], Status(0)).then(&[(1, "no-keepalive off")]),
            scenario("long answers in oddly split frames", &[(1, "pad 3000"), (1, "split odd")], DB, &[], &["elevate: db granted"], Status(0)).then(&[(1, "pad 0"), (1, "split off")]),
            scenario("another program uses the key", &[(1, "busy on")], DB, &[See("in use by another program"), Key(1, "busy off")], &["Key 1 is in use by another program; waiting for it", "elevate: db granted"], Status(0)),
            scenario("an answer without a touch", &[(1, "no-up on")], DB, &[], &["answer is wrong", "without a touch", "nothing was sent"], Status(8)).then(&[(1, "no-up off")]),
            scenario("an answer for another relying party", &[(1, "wrong-rp on")], DB, &[], &["answer is wrong", "another relying party"], Status(8)).then(&[(1, "wrong-rp off")]),
            scenario("an answer of another credential", &[(1, "wrong-credential on")], DB, &[], &["answer is wrong", "none of those that were asked"], Status(8)).then(&[(1, "wrong-credential off")]),
            scenario("a signature that is wrong", &[(1, "bad-signature on")], DB, &[], &["answer is wrong", "it did not sign what was shown"], Status(8)).then(&[(1, "bad-signature off")]),
            scenario("a key that speaks only U2F", &[(1, "u2f-only on")], DB, &[See("speaks only U2F"), Key(1, "u2f-only off"), Key(1, "unplug"), Key(1, "plug in --touch 500")], &["Key 1 speaks only U2F, which is too old", "elevate: db granted"], Status(0)),
            scenario("nobody may be asked (-n)", &[], "elevate -n -v db", &[], &["elevate: this takes a touch of your key"], Status(4)),
            scenario("a PIN is needed, the key has none", &[], VAULT, &[], &["elevate: this takes your key and its PIN or biometric"], Status(7)),
            scenario("a key that is enrolled elsewhere", &[(1, "unplug"), (3, "plug in --touch 150")], DB, &[See("is not enrolled here"), Key(1, "plug in --touch 500")], &["Key 3 is not enrolled here", "elevate: db granted"], Status(0)).then(&[(3, "unplug")]),
            scenario("swapped for another key while it blinks", &[(1, "touch never")], DB, &[See(BLINKS), Key(1, "unplug"), Key(3, "plug in --touch 150"), See("is not enrolled here"), Key(3, "unplug"), Key(1, "plug in --touch 500")], &["'work' (Key 1) was unplugged", "Key 3 is not enrolled here", "elevate: db granted"], Status(0)),
            scenario("the signature counter goes back", &[(1, "counter-back on")], DB, &[], &["counter went back"], Status(8)).then(&[(1, "counter-back off")]),
        ],
    }
}

fn pin() -> World {
    const PROMPT: &str = "PIN of 'work' (Key 1), 8 tries left";
    World {
        name: "pin",
        begin: vec![
            Begin { command: "true", steps: &[Key(1, "plug in --touch 150 --pin 1234")] },
            Begin { command: "elevate key enroll work", steps: &[See("PIN of Key 1"), Type("1234\n")] },
        ],
        scenarios: vec![
            scenario("PIN and touch", &[], VAULT, &[See(PROMPT), Type("1234\n")], &["takes    your key and its PIN or biometric", PROMPT, "elevate: vault granted"], Status(0)).logged(&[(1, "sub 9 permissions 02 rp localhost")]),
            scenario("a touch alone, of a key with a PIN", &[], DB, &[], &["elevate: db granted"], Status(0)),
            scenario("wrong PIN, then right", &[], VAULT, &[See(PROMPT), Type("9999\n"), See("7 tries left"), Type("1234\n")], &["wrong PIN", "PIN of 'work' (Key 1), 7 tries left", "elevate: vault granted"], Status(0)),
            scenario("three wrong PINs, plugged in again", &[], VAULT, &[See("8 tries left"), Type("9999\n"), See("7 tries left"), Type("9999\n"), See("6 tries left"), Type("9999\n"), See("takes no more tries"), Key(1, "unplug"), Key(1, "plug in --touch 150 --pin 1234"), See("tries left"), Type("1234\n")], &["takes no more tries for now: three in a row were wrong", "elevate: vault granted"], Status(0)),
            scenario("the last try, not made", &[(1, "pin-retries 1")], VAULT, &[See("Type yes to try:"), Type("no\n")], &["This is the last try: a wrong PIN locks the key for good", "elevate: the last try of 'work' (Key 1) was not made"], Status(8)).then(&[(1, "pin 1234")]),
            scenario("the last try, wrong", &[(1, "pin-retries 1")], VAULT, &[See("Type yes to try:"), Type("yes\n"), See("1 try left"), Type("9999\n")], &["This is the last try", "elevate: 'work' (Key 1) is locked for good: its PIN was wrong too often", "use another key of yours"], Status(8)).then(&[(1, "pin 1234")]),
            scenario("locked for good", &[(1, "pin-blocked")], VAULT, &[], &["elevate: 'work' (Key 1) is locked for good: its PIN was wrong too often"], Status(8)).then(&[(1, "pin 1234")]),
            scenario("a PIN too short", &[], VAULT, &[See(PROMPT), Type("12\n"), See("nothing was tried"), Type("1234\n")], &["a PIN of this key has at least 4 characters; nothing was tried", "elevate: vault granted"], Status(0)),
            scenario("a PIN too long", &[], VAULT, &[See(PROMPT), Type("1234567890123456789012345678901234567890123456789012345678901234\n"), See("nothing was tried"), Type("1234\n")], &["a PIN has at most 63 bytes; nothing was tried", "elevate: vault granted"], Status(0)),
            scenario("the PIN must be changed", &[(1, "force-pin-change on")], VAULT, &[], &["elevate: the PIN of 'work' (Key 1) must be changed before it can be used", "`elevate key pin` changes it"], Status(8)).then(&[(1, "force-pin-change off")]),
            scenario("the PIN from a program (-A)", &[], "elevate -A -v vault", &[], &["elevate: vault granted"], Status(0)),
            scenario("Ctrl-C at the PIN", &[], VAULT, &[See(PROMPT), Type("\x03")], &[PROMPT], Dies(INT)),
            scenario("SIGTSTP at the PIN, then on", &[], VAULT, &[See(PROMPT), Signal(TSTP), Wait(1000), Signal(CONT), See(PROMPT), Type("1234\n")], &[PROMPT, "elevate: vault granted"], Status(0)),
            scenario("unplugged while the PIN is typed", &[], VAULT, &[See(PROMPT), Key(1, "unplug"), Type("1234\n"), See("was unplugged"), Key(1, "plug in --touch 150 --pin 1234"), See("tries left"), Type("1234\n")], &["'work' (Key 1) was unplugged", "elevate: vault granted"], Status(0)),
            scenario("SIGTERM while it blinks after the PIN", &[(1, "touch never")], VAULT, &[See(PROMPT), Type("1234\n"), See(BLINKS), Signal(TERM)], &[BLINKS], Dies(TERM)),
            scenario("the PIN was removed", &[(1, "pin unset")], VAULT, &[See("has no PIN"), Key(1, "pin 1234"), Key(1, "unplug"), Key(1, "plug in --touch 150 --pin 1234"), See("tries left"), Type("1234\n")], &["'work' (Key 1) has no PIN, and this takes one", "elevate: vault granted"], Status(0)),
        ],
    }
}

fn fingerprint() -> World {
    World {
        name: "fingerprint",
        begin: vec![
            Begin { command: "true", steps: &[Key(1, "plug in --touch 150 --uv ok")] },
            Begin { command: "elevate key enroll work", steps: &[] },
        ],
        scenarios: vec![
            scenario("a fingerprint", &[], VAULT, &[], &["elevate: vault granted"], Status(0)),
            scenario("a fingerprint not recognised, then recognised", &[(1, "uv fail")], VAULT, &[See("not recognised"), Key(1, "uv ok")], &["not recognised, ", " tries left", "elevate: vault granted"], Status(0)),
            scenario("no more fingerprints, and no PIN", &[(1, "uv fail"), (1, "uv-retries 1")], VAULT, &[], &["elevate: 'work' (Key 1) no longer takes fingerprints, and it has no PIN"], Status(8)).then(&[(1, "uv ok"), (1, "uv-retries 3")]),
            scenario("no more fingerprints, the PIN instead", &[(1, "pin 1234"), (1, "uv fail"), (1, "uv-retries 1")], VAULT, &[See("PIN of"), Type("1234\n")], &["no longer takes fingerprints; its PIN does it as well", "elevate: vault granted"], Status(0)).then(&[(1, "pin unset"), (1, "uv ok"), (1, "uv-retries 3")]),
        ],
    }
}

fn two_keys() -> World {
    const BOTH: &str = "Touch 'work' (Key 1) or 'spare' (Key 2), which blinks, to approve";
    World {
        name: "two",
        begin: vec![
            Begin { command: "true", steps: &[Key(1, "plug in --touch 150")] },
            Begin { command: "elevate key enroll work", steps: &[] },
            Begin {
                command: "elevate key enroll spare",
                steps: &[Key(1, "touch never"), Key(2, "plug in --touch never"), See(BLINKS), Key(1, "tap"), See("enrol a security key as 'spare'"), See("to use it"), Key(2, "tap"), See("Key 2"), Wait(300), Key(2, "touch 100")],
            },
        ],
        scenarios: vec![
            scenario("two keys: the first touch wins, the other goes dark", &[(1, "touch never"), (2, "touch 2500")], DB, &[], &[BOTH, "elevate: db granted"], Status(0)),
            scenario("two keys, SIGINT: both go dark", &[(1, "touch never"), (2, "touch never")], DB, &[See(BOTH), Signal(INT)], &[BOTH], Dies(INT)),
            scenario("two keys, one is unplugged: the other goes on", &[(1, "touch never"), (2, "touch never")], DB, &[See(BOTH), Key(2, "unplug"), See("was unplugged"), Key(1, "tap")], &["'spare' (Key 2) was unplugged", BLINKS, "elevate: db granted"], Status(0)),
            scenario("two keys, one is frozen", &[(2, "freeze on"), (1, "touch 6000")], DB, &[], &[BLINKS, "Key 2 does not answer: unplug it and plug it in again", "elevate: db granted"], Status(0)).then(&[(2, "unplug")]),
            scenario("two keys, one answers rubbish", &[(2, "garbage on"), (1, "touch 1500")], DB, &[], &["what Key 2 answers can't be read: it is left out", "elevate: db granted"], Status(0)).then(&[(2, "garbage off")]),
            scenario("a key is enrolled twice", &[(2, "unplug")], "elevate key enroll again", &[], &["elevate: 'work' (Key 1) is enrolled already"], Status(1)),
        ],
    }
}

fn forbidden() -> World {
    World {
        name: "forbidden",
        begin: vec![Begin { command: "true", steps: &[Key(1, "plug in --touch 150 forbidden")] }],
        scenarios: vec![scenario("the device may not be opened", &[], "elevate key enroll work", &[], &["elevate: Key 1 is plugged in, but you may not open it", "`elevate doctor` shows the rule that lets you"], Status(7))],
    }
}

/// docs/hardware.md.
pub fn document() -> String {
    let mut text = String::from(
        "# What a person sees of their key\n\nEach row is a scenario of `tests/hardware`, run with a virtual key on a real `/dev/hidraw` device: the words are on the\n\
         screen in this order, the exit status is as said (or the signal it dies of), stdout is empty, nothing panics, every light is\n\
         out within a second of the end, and it is over within 20 s. This page is made from the table that the suite checks:\n\
         `tests/hardware/scenarios/src/table.rs`.\n\n| # | scenario | what is done | what the person reads | exit | light |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let mut number = 0;
    for world in worlds() {
        for it in &world.scenarios {
            number += 1;
            let reads: Vec<String> = it.reads.iter().map(|line| format!("`{}`", line.replace('`', "'").replace('|', "\\|"))).collect();
            let exit = match it.exit {
                Status(status) => status.to_string(),
                Dies(INT) => "SIGINT".to_owned(),
                Dies(TERM) => "SIGTERM".to_owned(),
                Dies(HUP) => "SIGHUP".to_owned(),
                Dies(other) => format!("signal {other}"),
            };
            let _ = writeln!(text, "| {number} | {} | `{}` | {} | {exit} | out |", it.name, it.command, reads.join("<br>"));
        }
    }
    text
}
