//! Who is on the other end of the socket: the kernel's word (`SO_PEERCRED`), never a claim.

use super::error::Refusal;
use crate::protocol::messages::{JWT_TYPE, PEER_TOKEN_TYPE};
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

/// A caller, by peer uid; `None` where the kernel would not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    uid: Option<u32>,
}

impl Caller {
    /// For callers inside this process: tests and start-up.
    #[must_use]
    pub const fn with_uid(uid: u32) -> Self {
        Self { uid: Some(uid) }
    }

    /// The subject that grants are made out to.
    ///
    /// # Errors
    /// Where the kernel would not say who it is, or it is somebody this authority does not serve.
    pub fn subject(self, served: Served) -> Result<Subject, Refusal> {
        let uid = self.uid.ok_or_else(|| Refusal::Malformed("the kernel does not say who is calling".into()))?;
        match served {
            Served::Only(owner) if owner != uid => {
                Err(Refusal::NotTheCaller { claimed: format!("uid:{owner}"), observed: format!("uid:{uid}") })
            }
            Served::Only(_) | Served::Everybody => Ok(Subject { uid }),
        }
    }
}

/// Whom an authority serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// The embedded authority: the account it runs as.
    Only(u32),
    /// The system authority: every account of the host.
    Everybody,
}

/// A subject: an account of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    uid: u32,
}

impl Subject {
    /// The peer's user id.
    #[must_use]
    pub const fn uid(self) -> u32 {
        self.uid
    }

    /// The `sub` claim.
    #[must_use]
    pub fn sub(self) -> String {
        format!("uid:{}", self.uid)
    }

    /// Refuses a subject token that speaks for somebody else (RFC 8693 section 2.1).
    ///
    /// # Errors
    /// [`Refusal::NotTheCaller`]; [`Refusal::IdentityToken`], for what no socket needs.
    pub fn must_be(self, subject_token_type: &str, subject_token: &str) -> Result<(), Refusal> {
        if subject_token_type == JWT_TYPE {
            return Err(Refusal::IdentityToken);
        }
        if subject_token_type != PEER_TOKEN_TYPE {
            return Err(Refusal::Malformed(format!("on a socket, subject_token_type is {PEER_TOKEN_TYPE}")));
        }
        if subject_token == self.sub() {
            return Ok(());
        }
        Err(Refusal::NotTheCaller { claimed: crate::protocol::display::escaped(subject_token), observed: self.sub() })
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|credentials| credentials.uid()) }
    }
}
