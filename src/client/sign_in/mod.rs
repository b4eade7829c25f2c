//! Being signed in at an authority across a network: what is kept of it, and the ways to get there, in a browser here
//! (RFC 8252), in one elsewhere (RFC 8628), or without one, by a security key or an invitation (`direct.rs`).

mod browser;
mod direct;
mod loopback;

use super::Device;
use super::address::Address;
use super::authority_api::{AuthorityApi, Poll};
use super::error::Error;
use super::grant_store::StoredGrant;
use super::progress::Event;
use super::terminal::{Terminal, Tty};
use super::trust::KnownAuthority;
use crate::clock::after;
use crate::protocol::display::escaped;
use crate::protocol::dpop::ProofKey;
use crate::protocol::encoding::{base64url, random, sha256};
use crate::protocol::messages::{AUTHORIZATION_CODE, DEVICE_CODE, ErrorCode, ResourceKind, SignInResponse};
use crate::protocol::names::{Malformed, ResourceName};
use crate::protocol::secret::Secret;
use crate::protocol::{AUTHORITY_RESOURCE, CLIENT_ID};
use jiff::Timestamp;
use loopback::Listener;
use std::time::Duration;

/// How long a person may take in the browser.
const PATIENCE: Duration = Duration::from_mins(10);

/// Who is signed in on this device, and with what that is shown.
#[derive(Clone)]
pub struct Session {
    /// Who: `ISSUER#SUB` of the identity provider.
    pub subject: String,
    /// What the authority gave this device.
    pub token: Secret,
    /// The key that it is bound to (RFC 9449).
    pub key: ProofKey,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

impl Session {
    /// As keyrings keep it: an entry like a grant's, in a place of its own, so that dropping grants leaves it.
    ///
    /// # Errors
    /// Never, while the authority's own resource has a name.
    pub fn to_stored(&self, now: Timestamp) -> Result<StoredGrant, Malformed> {
        Ok(StoredGrant {
            resource: entry()?,
            kind: ResourceKind::Jwt,
            access_token: self.token.clone(),
            proof_key: self.key.to_stored(),
            secret: Some(Secret::new(self.subject.clone())),
            whole: true,
            reach: None,
            issued_at: now,
            expires_at: self.expires_at,
        })
    }

    /// The one behind [`Session::to_stored`]; `None` where it can't be read.
    #[must_use]
    pub fn from_stored(stored: StoredGrant) -> Option<Self> {
        let key = ProofKey::from_stored(stored.proof_key).ok()?;
        let subject = stored.secret?.expose().to_owned();
        Some(Self { subject, token: stored.access_token, key, expires_at: stored.expires_at })
    }
}

/// The keyring's name for where sign-ins at an authority are kept.
#[must_use]
pub fn store_id(authority: &KnownAuthority) -> String {
    format!("{}_sign-in", authority.id())
}

/// What it is kept under.
///
/// # Errors
/// As for [`Session::to_stored`].
pub fn entry() -> Result<ResourceName, Malformed> {
    AUTHORITY_RESOURCE.parse()
}

/// Where the person signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A browser on this machine, opened where there is a desktop.
    Browser,
    /// A browser on this machine, which the person opens.
    OwnBrowser,
    /// A browser anywhere.
    Elsewhere,
    /// No browser: a security key says who it is.
    Key,
    /// No browser: an administrator's invitation, to enrol a first key.
    Invitation,
}

/// Signs this device in, with a key made for it. Nothing is kept yet.
///
/// # Errors
/// The person or the provider says no, or nobody answers in time; [`ErrorCode::VerificationFailed`], where the answer is
/// not to what was asked.
pub fn sign_in(device: &Device, way: Way) -> Result<(Session, String), Error> {
    let api = device.api()?;
    let offers = api.offers()?;
    match way {
        Way::Browser | Way::OwnBrowser | Way::Elsewhere if offers.browser.is_some() => {}
        Way::Key | Way::Invitation if offers.direct.is_some() => {}
        Way::Browser | Way::OwnBrowser | Way::Elsewhere if offers.direct.is_some() => {
            let what = format!("{} has no identity provider to sign in with", device.authority);
            return Err(
                Error::new(ErrorCode::Denied, what).hint("`elevate login --key` signs in with your security key")
            );
        }
        Way::Browser | Way::OwnBrowser | Way::Elsewhere | Way::Key | Way::Invitation => {
            return Err(Error::new(ErrorCode::Denied, format!("nobody can sign in at {}", device.authority))
                .hint("whoever runs it can add [sign_in] to authority.toml"));
        }
    }
    let key = ProofKey::generate().map_err(|error| Error::failed(error.to_string()))?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let answer = match way {
        Way::Browser | Way::OwnBrowser => with_browser(device, api, &key, &host, way == Way::Browser)?,
        Way::Elsewhere => elsewhere(device, api, &key, &host)?,
        Way::Key => direct::with_key(device, api, &key, &host)?,
        Way::Invitation => direct::with_invitation(device, api, &key, &host)?,
    };
    let SignInResponse { access_token: token, expires_at, subject, name, .. } = answer;
    Ok((Session { subject, token, key, expires_at }, name))
}

/// The code flow with PKCE, pushed, to a port of this machine.
fn with_browser(
    device: &Device,
    api: &AuthorityApi,
    key: &ProofKey,
    host: &str,
    may_open: bool,
) -> Result<SignInResponse, Error> {
    let listener = Listener::bind()?;
    let redirect_uri = listener.redirect_uri();
    let (state, verifier) = (base64url(random::<32>()), base64url(random::<32>()));
    let challenge = base64url(sha256(&[verifier.as_bytes()]));
    let pushed = api.push(
        &[
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", &redirect_uri),
            ("state", &state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("dpop_jkt", key.jkt()),
            ("elevate_host", host),
        ],
        key,
    )?;
    // It holds nothing but the name of what was pushed: others on this machine may see it among the processes.
    let request_uri = escaped(&pushed.request_uri);
    let url = format!("{}/authorize?client_id={CLIENT_ID}&request_uri={request_uri}", device.authority);
    let opened = may_open && browser::open(&url);
    let said = if opened {
        "a browser was opened; where none shows, open"
    } else {
        "to sign in, open in a browser on this machine"
    };
    show(device, &url, None, &format!("{said}\n  {url}\nand confirm there. Ctrl-C stops.\n"))?;
    let note = |text: &str| device.terminal.note(text);
    let code = listener.wait(&state, api.known().issuer.as_str(), PATIENCE, note)?;
    let form = [
        ("grant_type", AUTHORIZATION_CODE),
        ("client_id", CLIENT_ID),
        ("code", &code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", &verifier),
    ];
    api.redeem(&form, key)
}

/// The device flow.
fn elsewhere(device: &Device, api: &AuthorityApi, key: &ProofKey, host: &str) -> Result<SignInResponse, Error> {
    let codes = api.device_authorization(&[("client_id", CLIENT_ID), ("elevate_host", host)], key)?;
    let url = if matches!(device.authority, Address::Loopback(_)) {
        format!("{}/device", device.authority)
    } else {
        escaped(&codes.verification_uri)
    };
    if !url.starts_with(&format!("{}/", api.known().issuer)) && !matches!(device.authority, Address::Loopback(_)) {
        return Err(Error::new(ErrorCode::VerificationFailed, format!("the authority sends you elsewhere, to {url}")));
    }
    let user_code = escaped(&codes.user_code);
    let text = format!("to sign in, open in any browser\n  {url}\nand type there\n  {user_code}\nCtrl-C stops.\n");
    show(device, &url, Some(&user_code), &text)?;
    let form = [("grant_type", DEVICE_CODE), ("client_id", CLIENT_ID), ("device_code", &codes.device_code)];
    let mut interval = codes.interval.clamp(1, 60);
    let until = after(device.clock.now(), codes.expires_in);
    loop {
        std::thread::sleep(Duration::from_secs(interval));
        match api.poll(&form, key)? {
            Poll::Done(answer) => return Ok(*answer),
            Poll::Pending => {}
            // RFC 8628 section 3.5.
            Poll::SlowDown => interval += 5,
        }
        if device.clock.now() > until {
            return Err(Error::new(ErrorCode::InteractionRequired, "nobody typed the code in time").hint(AGAIN));
        }
    }
}

const AGAIN: &str = "run `elevate login` again";

/// Says where to sign in: at the terminal where there is one, never on stdout.
fn show(device: &Device, url: &str, user_code: Option<&str>, text: &str) -> Result<(), Error> {
    let Terminal { json, progress, .. } = device.terminal;
    let event = Event::SignIn { url: url.to_owned(), user_code: user_code.map(str::to_owned) };
    device.terminal.progress(&event, None);
    let text = format!("elevate: {text}");
    if progress {
        return Ok(());
    }
    match Tty::open() {
        Some(mut tty) => tty.show(&text),
        None if json => {
            return Err(Error::new(ErrorCode::InteractionRequired, "there is no terminal to say at where to sign in")
                .hint("--progress=json says it to programs"));
        }
        None => device.terminal.text(&text),
    }
    Ok(())
}
