//! How long we wait for what is not a person: one length for each kind of thing. Whatever does not answer in its time is
//! named in an error. With `-n` nobody waits, so the times are short: a call ends within seconds whatever is wrong.

use std::time::{Duration, Instant};

/// For a lock that is held only while a file is written.
pub const LOCK: Duration = Duration::from_secs(5);
/// For a program that only looks at files.
pub const CHECK: Duration = Duration::from_secs(10);

/// Whether somebody waits for us who would rather wait than do it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A person.
    Somebody,
    /// `-n`: nobody does.
    Nobody,
}

impl Patience {
    /// What `-n` says of it.
    #[must_use]
    pub const fn of(non_interactive: bool) -> Self {
        if non_interactive { Self::Nobody } else { Self::Somebody }
    }

    /// For the authority's answer to one request, and for it to take a connection.
    #[must_use]
    pub const fn answer(self) -> Duration {
        match self {
            Self::Somebody => Duration::from_secs(35),
            Self::Nobody => Duration::from_secs(5),
        }
    }

    /// For an authority to start, the end of one before it included.
    #[must_use]
    pub const fn start(self) -> Duration {
        match self {
            Self::Somebody => Duration::from_secs(15),
            Self::Nobody => Duration::from_secs(10),
        }
    }

    /// For whoever asks for the same: a person may have to find their key first, and there may be several before us.
    #[must_use]
    pub const fn turn(self) -> Duration {
        match self {
            Self::Somebody => Duration::from_mins(10),
            Self::Nobody => Duration::from_secs(2),
        }
    }

    /// For the end of what is read from stdin.
    #[must_use]
    pub const fn stdin(self) -> Duration {
        match self {
            Self::Somebody => Duration::from_mins(10),
            Self::Nobody => Duration::from_secs(10),
        }
    }
}

/// Looks every few milliseconds whether something is there; `None` where it is not there in time.
///
/// # Errors
/// Those of `look`.
pub fn until_there<T, E>(within: Duration, mut look: impl FnMut() -> Result<Option<T>, E>) -> Result<Option<T>, E> {
    let until = Instant::now() + within;
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
