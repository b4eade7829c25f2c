//! Who is asking. On a socket that is the kernel's word (`SO_PEERCRED`), never a claim; over the network it is nobody,
//! until a token says who.

use super::Authority;
use super::error::Refusal;
use super::rules::Rules;
use super::sign_in::sessions::{self, Over};
use super::sign_in::{How, SignedIn};
use super::workloads::{self, Workload};
use crate::protocol::messages::{ACCESS_TOKEN_TYPE, JWT_TYPE, PEER_TOKEN_TYPE, TokenRequest};
use std::net::IpAddr;
use std::sync::Arc;

/// The other end of a connection, as far as the transport knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// An account of this host, by the kernel; `None` where it would not say.
    Peer(Option<u32>),
    /// An address, behind which anybody may be.
    Remote(IpAddr),
}

impl Caller {
    /// For callers inside this process: tests and start-up.
    #[must_use]
    pub const fn with_uid(uid: u32) -> Self {
        Self::Peer(Some(uid))
    }

    /// The account that the transport itself vouches for; `None` where it vouches for nobody.
    ///
    /// # Errors
    /// Where the kernel would not say who it is, or it is somebody this authority does not serve.
    pub fn account(self, served: Served) -> Result<Option<Subject>, Refusal> {
        let uid = match self {
            Self::Remote(_) => return Ok(None),
            Self::Peer(uid) => {
                uid.ok_or_else(|| Refusal::Malformed("the kernel does not say who is calling".into()))?
            }
        };
        match served {
            Served::Only(owner) if owner != uid => {
                Err(Refusal::NotServed { owner: format!("uid:{owner}"), observed: format!("uid:{uid}") })
            }
            Served::Only(_) | Served::Everybody => Ok(Some(Subject::account(uid))),
        }
    }

    /// The account behind a socket.
    ///
    /// # Errors
    /// As for [`Caller::account`]; [`Refusal::NotSignedIn`] over the network.
    pub fn subject(self, served: Served) -> Result<Subject, Refusal> {
        self.account(served)?.ok_or(Refusal::NotSignedIn)
    }

    /// Whom a token request speaks for (RFC 8693 section 2.1): the workload that its identity token names; else on a socket
    /// whom the kernel says, over the network whoever is signed in on the device whose proof key has the thumbprint `jkt`.
    ///
    /// # Errors
    /// As for [`Caller::subject`] and [`Subject::must_be`]; [`Refusal::SignInOver`]; [`Refusal::IdentityToken`].
    pub async fn of_token_request(
        self,
        authority: &Authority,
        rules: &Arc<Rules>,
        jkt: &str,
        request: &TokenRequest,
    ) -> Result<Subject, Refusal> {
        let (kind, token) = (&request.subject_token_type, request.subject_token.expose());
        let account = self.account(authority.served)?;
        if kind == JWT_TYPE {
            return workloads::asking(authority, rules, self, request).await;
        }
        if let Some(subject) = account {
            subject.must_be(kind, token)?;
            return Ok(subject);
        }
        match kind.as_str() {
            ACCESS_TOKEN_TYPE => sessions::holder(authority, rules, token, jkt).await,
            PEER_TOKEN_TYPE => Err(Refusal::NotSignedIn),
            _ => Err(Refusal::Malformed(format!("over the network, subject_token_type is {ACCESS_TOKEN_TYPE}"))),
        }
    }

    /// Who makes any other request: on a socket whom the kernel says, over the network whoever is signed in with the
    /// token of its `Authorization` header, which `proven` checks with its proof. Only there `rules` are looked at.
    ///
    /// # Errors
    /// As for [`Caller::account`]; [`Refusal::NotSignedIn`]; [`Refusal::SignInOver`]; those of `proven`.
    pub async fn of_request<'a>(
        self,
        authority: &Authority,
        rules: impl Future<Output = Result<Arc<Rules>, Refusal>>,
        proven: impl Future<Output = Result<(&'a str, String), Refusal>>,
    ) -> Result<Subject, Refusal> {
        if let Some(subject) = self.account(authority.served)? {
            return Ok(subject);
        }
        let (token, jkt) = proven.await?;
        let subject = sessions::holder(authority, &*rules.await?, token, &jkt).await?;
        if subject.sign_in().is_some_and(|signed_in| signed_in.person.how == How::Invitation) {
            return Err(Refusal::SignInOver(Over::OnlyToEnrol));
        }
        Ok(subject)
    }

    /// Who only looks: the workload that the identity token names, where there is one, else as for [`Caller::of_request`].
    /// `rules` are looked at only for an identity token or over the network.
    ///
    /// # Errors
    /// As for [`Caller::of_request`]; [`Refusal::IdentityToken`].
    pub async fn looking<'a>(
        self,
        authority: &Authority,
        rules: impl Future<Output = Result<Arc<Rules>, Refusal>>,
        identity_token: Option<&str>,
        proven: impl Future<Output = Result<(&'a str, String), Refusal>>,
    ) -> Result<Subject, Refusal> {
        let Some(token) = identity_token else {
            return self.of_request(authority, rules, proven).await;
        };
        self.account(authority.served)?;
        workloads::identify(authority, &*rules.await?, token).await.map_err(|rejected| rejected.refusal)
    }

    /// Refuses a token that speaks for somebody other than whom the transport vouches for. Over the network the token
    /// itself is all there is.
    ///
    /// # Errors
    /// [`Refusal::Token`]; as for [`Caller::account`].
    pub fn may_speak_for(self, sub: &str, served: Served) -> Result<(), Refusal> {
        match self.account(served)? {
            Some(subject) if subject.sub() != sub => Err(Refusal::Token("it was issued to somebody else")),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whom an authority serves on its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// The embedded authority: the account it runs as.
    Only(u32),
    /// The system authority: every account of the host.
    Everybody,
}

/// A subject: an account of this host, or whoever a trusted issuer says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    sub: String,
    uid: Option<u32>,
    signed_in: Option<Arc<SignedIn>>,
    workload: Option<Arc<Workload>>,
}

impl Subject {
    /// An account of this host.
    #[must_use]
    pub fn account(uid: u32) -> Self {
        Self { sub: format!("uid:{uid}"), uid: Some(uid), signed_in: None, workload: None }
    }

    /// `sub` as `issuer` calls it: written `ISSUER#SUB`, so that two issuers never mean the same subject.
    #[must_use]
    pub fn of_issuer(issuer: &str, sub: &str) -> Self {
        Self { sub: format!("{issuer}#{sub}"), uid: None, signed_in: None, workload: None }
    }

    /// The same, a workload that its issuer's token says this of.
    #[must_use]
    pub fn as_workload(self, workload: Workload) -> Self {
        Self { workload: Some(Arc::new(workload)), ..self }
    }

    /// What is known of it, where it is a workload: it has no hands and no keys.
    #[must_use]
    pub fn workload(&self) -> Option<&Arc<Workload>> {
        self.workload.as_ref()
    }

    /// A person who signed in on a device: `sub` is `ISSUER#SUB` of the provider.
    #[must_use]
    pub fn signed_in(sub: String, signed_in: SignedIn) -> Self {
        Self { sub, uid: None, signed_in: Some(Arc::new(signed_in)), workload: None }
    }

    /// How they signed in, and what the provider says of them.
    #[must_use]
    pub fn sign_in(&self) -> Option<&SignedIn> {
        self.signed_in.as_deref()
    }

    /// Whether an entry of `admins` or of a role means them: a subject, or one of the provider's groups as `group:NAME`.
    #[must_use]
    pub fn is_meant_by(&self, entry: &str) -> bool {
        match entry.strip_prefix("group:") {
            Some(group) => self.sign_in().is_some_and(|signed_in| signed_in.person.groups.contains(group)),
            None => self.sub == entry,
        }
    }

    /// The user id, of an account of this host.
    #[must_use]
    pub const fn uid(&self) -> Option<u32> {
        self.uid
    }

    /// The `sub` claim.
    #[must_use]
    pub fn sub(&self) -> &str {
        &self.sub
    }

    /// Refuses a subject token that speaks for somebody else (RFC 8693 section 2.1).
    ///
    /// # Errors
    /// [`Refusal::NotTheCaller`].
    pub fn must_be(&self, subject_token_type: &str, subject_token: &str) -> Result<(), Refusal> {
        if subject_token_type != PEER_TOKEN_TYPE {
            return Err(Refusal::Malformed(format!("on a socket, subject_token_type is {PEER_TOKEN_TYPE}")));
        }
        if subject_token == self.sub() {
            return Ok(());
        }
        let claimed = crate::protocol::display::escaped(subject_token);
        Err(Refusal::NotTheCaller { claimed, observed: self.sub.clone() })
    }
}
