//! The command line: asks, shows, touches, stores, delivers. `elevation.rs` is the flow; read it first.
//!
//! Nothing here decides who may do what, and nothing here knows SQL, Cedar or a server.

pub mod address;
pub mod authority_api;
pub mod cli;
pub mod completion;
pub mod config;
pub mod deliver;
pub mod descriptors;
pub mod elevation;
pub mod embedded;
pub mod error;
pub mod examples;
pub mod grant_store;
pub mod hidden_input;
pub mod identity_token;
pub mod introduction;
pub mod known_keys;
pub mod known_names;
pub mod notification;
pub mod operation;
pub mod patience;
pub mod places;
pub mod presence;
pub mod process;
pub mod progress;
pub mod sealing;
pub mod security_key;
pub mod session_bus;
pub mod sign_in;
pub mod signals;
pub mod single_flight;
pub mod stdout_at_start;
pub mod suggestions;
pub mod system;
pub mod terminal;
pub mod tls;
pub mod transport;
pub mod trust;
pub mod verbs;

use crate::clock::Clock;
use crate::files::own_uid;
use crate::protocol::dpop::ProofKey;
use crate::protocol::messages::{Catalogue, Explanation};
use crate::protocol::names::ResourceName;
use crate::protocol::secret::Secret;
use address::Address;
use authority_api::AuthorityApi;
use config::Config;
use descriptors::only_streams;
use error::Error;
use grant_store::{GrantStore, KeyringError};
use identity_token::IdentityToken;
use patience::Patience;
use places::Places;
use presence::Presence;
use security_key::fleet::Bus;
use sign_in::Session;
use std::cell::OnceCell;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use terminal::Terminal;
use trust::{KnownAuthority, Trust};

/// This user on this machine: what every verb works with. Opens things when they are first needed.
pub struct Device {
    /// Where things are.
    pub places: Places,
    /// `elevate.toml`.
    pub config: Config,
    /// Which authority is asked.
    pub authority: Address,
    /// The time.
    pub clock: Clock,
    /// Where output goes.
    pub terminal: Terminal,
    /// `-n`: never wait for a person.
    pub non_interactive: bool,
    /// Who approves.
    pub presence: Presence,
    /// Where security keys are plugged in.
    pub bus: Bus,
    /// The program that is asked for PINs (`-A`).
    pub askpass: Option<PathBuf>,
    /// The file that holds a workload's identity token, where one was named.
    pub identity_token_file: Option<PathBuf>,
    known: OnceCell<KnownAuthority>,
    api: OnceCell<AuthorityApi>,
    /// A keyring that can't be used is not tried again: each try may take its whole time.
    grant_store: OnceCell<Result<GrantStore, Error>>,
    session_store: OnceCell<Result<GrantStore, Error>>,
    session: OnceCell<Option<Session>>,
    /// Asked for once, for both stores.
    passphrase: Arc<OnceLock<Secret>>,
}

impl Device {
    /// A device whose state stands at `places`, with the authority that is named, or else as [`Address::chosen`] has it.
    ///
    /// # Errors
    /// Where `elevate.toml` is broken, or the environment names what is no authority.
    pub fn new(
        places: Places,
        authority: Option<&Address>,
        terminal: Terminal,
        non_interactive: bool,
        presence: Presence,
    ) -> Result<Self, Error> {
        let config = Config::load(&places)?;
        let authority = Address::chosen(authority, &config)?;
        Ok(Self {
            places,
            config,
            authority,
            clock: Clock::system(),
            terminal,
            non_interactive,
            presence,
            bus: Bus::system(),
            askpass: None,
            identity_token_file: None,
            known: OnceCell::new(),
            api: OnceCell::new(),
            grant_store: OnceCell::new(),
            session_store: OnceCell::new(),
            session: OnceCell::new(),
            passphrase: Arc::default(),
        })
    }

    /// The same device with another authority.
    ///
    /// # Errors
    /// As [`Device::new`].
    pub fn with(&self, authority: &Address) -> Result<Self, Error> {
        let places = self.places.clone();
        let other = Self::new(places, Some(authority), self.terminal, self.non_interactive, self.presence)?;
        let (clock, bus, askpass) = (self.clock.clone(), self.bus.clone(), self.askpass.clone());
        Ok(Self { clock, bus, askpass, identity_token_file: self.identity_token_file.clone(), ..other })
    }

    /// This device with each of the other authorities that it has met: for what is about all that it holds.
    ///
    /// # Errors
    /// As [`Device::new`].
    pub fn elsewhere(&self) -> Result<Vec<Self>, Error> {
        let mut others = Trust::met(&self.places);
        others.retain(|address| *address != self.authority);
        others.sort_by_key(ToString::to_string);
        others.iter().map(|address| self.with(address)).collect()
    }

    /// What this device remembers of the authority.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust::of(&self.places, &self.authority)
    }

    /// The authority, connected at first use.
    ///
    /// # Errors
    /// The authority can't be reached, or is another one.
    pub fn api(&self) -> Result<&AuthorityApi, Error> {
        if let Some(api) = self.api.get() {
            return Ok(api);
        }
        let api =
            AuthorityApi::connect(&self.authority, &self.places, &self.config, self.clock.clone(), self.patience())?;
        let api = api.as_signed_in(self.session()?.cloned());
        Ok(self.api.get_or_init(|| api))
    }

    /// The identity token that this call was given, as it is now: platforms renew the file while a job runs.
    ///
    /// # Errors
    /// Where it is none.
    pub fn identity_token(&self) -> Result<Option<IdentityToken>, Error> {
        IdentityToken::given(self.identity_token_file.as_deref())
    }

    /// What this account, or the workload whose identity token was given, may elevate to.
    ///
    /// # Errors
    /// As [`Device::api`] and [`Device::identity_token`]; the authority's refusal.
    pub fn resources(&self) -> Result<Catalogue, Error> {
        let token = self.identity_token()?;
        self.api()?.resources(token.as_ref().map(|token| token.jwt(&self.clock)).transpose()?)
    }

    /// What would happen, and why: as for [`Device::resources`].
    ///
    /// # Errors
    /// As for [`Device::resources`].
    pub fn explain(&self, resource: &ResourceName) -> Result<Explanation, Error> {
        let token = self.identity_token()?;
        self.api()?.explain(token.as_ref().map(|token| token.jwt(&self.clock)).transpose()?, resource)
    }

    /// Whom grants are made out to: whom the identity token names, else who is signed in, else this account.
    ///
    /// # Errors
    /// As [`Device::identity_token`] and [`Device::session`].
    pub fn subject(&self) -> Result<String, Error> {
        if let Some(token) = self.identity_token()? {
            return Ok(token.subject().to_owned());
        }
        Ok(self.session()?.map_or_else(|| format!("uid:{}", own_uid()), |session| session.subject.clone()))
    }

    /// Who is signed in at an authority across a network; on a socket nobody has to be. A keyring that can't be used is
    /// said, and then nobody is.
    ///
    /// # Errors
    /// Where what is remembered of the authority can't be read.
    pub fn session(&self) -> Result<Option<&Session>, Error> {
        if let Some(session) = self.session.get() {
            return Ok(session.as_ref());
        }
        let session = match &self.authority {
            Address::Embedded | Address::Socket(_) => None,
            // A workload is somebody by its token.
            Address::Network(_) | Address::Loopback(_) if matches!(self.identity_token(), Ok(Some(_))) => None,
            Address::Network(_) | Address::Loopback(_) if self.met()?.is_none() => return Ok(None),
            Address::Network(_) | Address::Loopback(_) => {
                let now = self.clock.now();
                let kept = self.session_store().and_then(|store| Ok(store.get(&sign_in::entry()?, now)?));
                kept.unwrap_or_else(|error| {
                    self.terminal.note(&format!("who is signed in can't be told: {error}"));
                    None
                })
            }
        };
        Ok(self.session.get_or_init(|| session.and_then(Session::from_stored)).as_ref())
    }

    /// The key that a new grant is bound to: that of the sign-in, else one of its own.
    ///
    /// # Errors
    /// As [`Device::session`]; where no key can be made.
    pub fn proof_key(&self) -> Result<ProofKey, Error> {
        match self.session()? {
            Some(session) if self.identity_token()?.is_none() => Ok(session.key.clone()),
            Some(_) | None => ProofKey::generate().map_err(|error| Error::failed(error.to_string())),
        }
    }

    /// Where the sign-in is kept: in the same keyring as grants, apart from them.
    ///
    /// # Errors
    /// There is none that can be used.
    pub fn session_store(&self) -> Result<&GrantStore, Error> {
        if let Some(store) = self.session_store.get() {
            return store.as_ref().map_err(Clone::clone);
        }
        let id = sign_in::store_id(self.known()?);
        self.session_store.get_or_init(|| self.open_store(&id)).as_ref().map_err(Clone::clone)
    }

    /// The authority this device has met, if it has met one.
    ///
    /// # Errors
    /// Where what is remembered can't be read.
    pub fn met(&self) -> Result<Option<&KnownAuthority>, Error> {
        if self.known.get().is_none()
            && let Some(known) = self.trust().known()?
        {
            return Ok(Some(self.known.get_or_init(|| known)));
        }
        Ok(self.known.get())
    }

    /// Who the authority is: from memory if it can, by meeting it if it must.
    ///
    /// # Errors
    /// As [`Device::api`].
    pub fn known(&self) -> Result<&KnownAuthority, Error> {
        match self.met()? {
            Some(known) => Ok(known),
            None => Ok(self.api()?.known()),
        }
    }

    /// The keyring, opened at first use; said once where it is not the best one.
    ///
    /// # Errors
    /// There is none that can be used.
    pub fn grant_store(&self) -> Result<&GrantStore, Error> {
        if let Some(store) = self.grant_store.get() {
            return store.as_ref().map_err(Clone::clone);
        }
        let id = self.known()?.id().to_owned();
        let open = || {
            let mut store = self.open_store(&id)?.reaching(self.config.grants_reach()?);
            // One that can't be read is refused where it is needed; what is kept for this account is no matter of its.
            if let Ok(Some(token)) = self.identity_token() {
                store = store.of_workload(token.subject());
            }
            if let Some(why) = store.why_not_better() {
                self.terminal.note(&format!("using the {}: {why}", store.name()));
            }
            Ok(store)
        };
        self.grant_store.get_or_init(open).as_ref().map_err(Clone::clone)
    }

    fn open_store(&self, id: &str) -> Result<GrantStore, Error> {
        let choice = self.config.keyring()?;
        let (may_ask, passphrase) = (!self.non_interactive, self.passphrase.clone());
        let ask = move || match passphrase.get() {
            Some(known) => Ok(known.clone()),
            None => ask_passphrase(may_ask).map(|answer| passphrase.get_or_init(|| answer).clone()),
        };
        let mut store = GrantStore::open(choice, id, &self.places.device, Box::new(ask))?;
        if self.non_interactive {
            store.ask_nobody();
        }
        Ok(store)
    }

    /// How long this call waits for what is no person.
    #[must_use]
    pub const fn patience(&self) -> Patience {
        Patience::of(self.non_interactive)
    }

    /// Starts the process that removes expired grants from a keyring that does not do so itself. It waits for nobody and
    /// nobody waits for it.
    pub fn start_reaper(&self) {
        let Ok(program) = std::env::current_exe() else { return };
        let mut command = Command::new(program);
        command.arg("reap-expired-grants").arg("--authority").arg(self.authority.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.process_group(0).env_remove(identity_token::VARIABLE);
        only_streams(&mut command);
        if let Err(error) = command.spawn() {
            self.terminal.note(&format!("expired grants will be removed at the next use only: {error}"));
        }
    }
}

fn ask_passphrase(may_ask: bool) -> Result<Secret, KeyringError> {
    let passphrase = hidden_input::typed("Passphrase of elevate's encrypted grants", !may_ask);
    passphrase.map_err(|error| KeyringError::NoPassphrase(error.message))
}
