//! What a scenario is. The table of them is in `table.rs`.

use std::time::Duration;

/// A person with a key at a terminal: what there is before, what they do, and what must come of it.
pub struct Scenario {
    /// A sentence for `docs/hardware.md`, and what `--only` looks for.
    pub name: &'static str,
    /// It goes on with the person, the home and the keys of the one before, so that what takes long is done once. Where it
    /// is played alone, the first one's `given` comes before its own.
    pub continues: bool,
    /// In this order, before anything is looked at.
    pub given: &'static [Given],
    /// The command. Words are split at blanks; '…' keeps a word together. `{key1}` is the device of the first key.
    pub run: &'static str,
    pub types: &'static [Step],
    /// These lines must be on the screen when the command has ended, in this order. `*` stands for anything.
    pub expects: &'static [&'static str],
    /// This must not be anywhere on the screen. What [`Step::Secret`] typed never may.
    pub absent: &'static [&'static str],
    /// Where it is given, standard output is no terminal, and this is all of it.
    pub stdout: Option<&'static str>,
    pub exit: Exit,
    /// Whether each key has stopped to blink once the command has ended.
    pub light_out: bool,
    /// What a key's log must say in this order.
    pub key_log: &'static [(usize, &'static str)],
    /// What no key's log may say.
    pub key_log_absent: &'static [&'static str],
    /// What is done when all was compared, for those that go on from here.
    pub after: &'static [Given],
    /// After so long it hangs.
    pub deadline: Duration,
    /// Whether it has a row in `docs/hardware.md`.
    pub documented: bool,
}

/// To begin each entry of the table with: `Scenario { name: "…", ..SCENARIO }`.
pub const SCENARIO: Scenario = Scenario {
    name: "",
    continues: false,
    given: &[],
    run: "",
    types: &[],
    expects: &[],
    absent: &[],
    stdout: None,
    exit: Exit::Status(0),
    light_out: true,
    key_log: &[],
    key_log_absent: &[],
    after: &[],
    deadline: Duration::from_secs(30),
    documented: true,
};

#[derive(Clone, Copy)]
pub enum Given {
    /// A virtual key of this number is plugged in, with these options.
    Key(usize, &'static str),
    /// The same, but without the udev rule that lets the person use it.
    ForbiddenKey(usize, &'static str),
    /// A word for a key's FIFO.
    Word(usize, &'static str),
    /// A file in the person's home, by its path from there.
    File(&'static str, &'static str),
    /// A command of the person's, which must succeed.
    Run(&'static str),
    /// The same, with somebody at the terminal.
    RunTyping(&'static str, &'static [Step]),
    /// A command of root's that goes on in the background, once its output has this text.
    Service(&'static str, &'static str),
}

#[expect(dead_code, reason = "the words that the table is written in, whether or not an entry uses each today")]
#[derive(Clone, Copy)]
pub enum Step {
    /// Until this was printed, after what the last one waited for.
    Wait(&'static str),
    /// `\r` is Enter, `\x03` is Ctrl-C.
    Type(&'static str),
    /// The same, but it must not be seen.
    Secret(&'static str),
    /// To the command alone.
    Signal(i32),
    /// A word for a key's FIFO: `tap`, `remove`, …
    Word(usize, &'static str),
    /// Until this key blinks, after its light was last waited for.
    WaitLight(usize),
    /// A key is plugged in.
    Plug(usize, &'static str),
    Pause(Duration),
    /// The terminal's window is closed.
    HangUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Status(i32),
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(formatter, "{status}"),
            Self::Signal(signal) => write!(formatter, "signal {signal}"),
        }
    }
}
