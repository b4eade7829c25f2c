//! How far a grant reaches on this device: all of the user's processes, those of one login, or those of one terminal (as
//! sudo's tickets). It keeps a touch from serving more than it was meant for; it is no wall between processes of one
//! user, who can read each other's keyrings.

use crate::client::process::Stat;
use crate::protocol::display::escaped;
use crate::protocol::encoding::{base64url, sha256};
use crate::protocol::names::Malformed;
use std::str::FromStr;

/// Who may use a grant without asking anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// Every process of the user.
    #[default]
    User,
    /// Those of this login (`pam_loginuid(8)`): over SSH, at the console, in the desktop.
    Session,
    /// Those of this terminal, or of this session of processes where there is no terminal.
    Terminal,
}

impl FromStr for Reach {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "user" => Ok(Self::User),
            "session" => Ok(Self::Session),
            "terminal" => Ok(Self::Terminal),
            _ => Err(Malformed(format!("grants can't reach '{}': write user, session or terminal", escaped(text)))),
        }
    }
}

impl Reach {
    /// What tells this login or this terminal from all others, 16 characters; `None` for [`Reach::User`].
    ///
    /// # Errors
    /// What could not be found out: then nothing may be shared.
    pub fn id(self) -> Result<Option<String>, String> {
        let parts = match self {
            Self::User => return Ok(None),
            Self::Session => login()?,
            Self::Terminal => terminal()?,
        };
        let boot = read("/proc/sys/kernel/random/boot_id")?;
        Ok(Some(base64url(&sha256(&[boot.trim().as_bytes(), parts.as_bytes()])[..12])))
    }
}

/// The number that the kernel's audit gave this login; logind names its sessions by the same.
fn login() -> Result<String, String> {
    const NONE: &str = "4294967295";
    match read("/proc/self/sessionid")?.trim() {
        "" | NONE => Err("this process belongs to no login".to_owned()),
        number => Ok(format!("login {number}")),
    }
}

/// The terminal, its session, and when the session's first process started: both numbers may be used again once all
/// of the session's processes have ended.
fn terminal() -> Result<String, String> {
    let own = Stat::own()?;
    let leader =
        Stat::of(own.session).map_err(|_| "the process that opened this terminal's session has ended".to_owned())?;
    Ok(format!("terminal {} {} {}", own.terminal, own.session, leader.started))
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path} can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::Reach;

    #[test]
    fn each_reach_is_told_apart_and_stays_the_same() {
        assert_eq!(Reach::User.id(), Ok(None));
        // Whoever runs this may have left, or have begun no login: what follows from each is tested with the programs.
        match (Reach::Terminal.id(), Reach::Session.id()) {
            (Ok(terminal), Ok(session)) => assert_ne!(session, terminal),
            (Ok(terminal), Err(why)) => {
                assert_eq!((terminal.map(|id| id.len()), why.as_str()), (Some(16), "this process belongs to no login"));
            }
            (Err(why), _) => assert_eq!(why, "the process that opened this terminal's session has ended"),
        }
        assert_eq!(Reach::Terminal.id(), Reach::Terminal.id());
    }

    #[test]
    fn reaches_are_what_may_be_configured() {
        assert_eq!("user".parse(), Ok(Reach::User));
        assert_eq!("session".parse(), Ok(Reach::Session));
        assert_eq!("terminal".parse(), Ok(Reach::Terminal));
        assert!("tty".parse::<Reach>().is_err() && "".parse::<Reach>().is_err());
    }
}
