//! The child: drives one key through the library, and outlives none of its faults. It prints nothing (its standard output
//! carries events, the library's prints go nowhere), takes no signal from the terminal, and ends when its input does.

use super::relay::{Permissions, Relay, Sign, socket_pair};
use super::{Answer, Assert, Bytes, Command, Event, Fault, KeyInfo, Make, Verification, descriptor, status};
use crate::protocol::encoding::base64url;
use crate::protocol::secret::Secret;
use ciborium::Value;
use ctap_hid_fido2::fidokey::get_assertion::get_assertion_params::Assertion;
use ctap_hid_fido2::fidokey::make_credential::Attestation;
use ctap_hid_fido2::fidokey::{
    AssertionExtension, CredentialExtension, GetAssertionArgsBuilder, MakeCredentialArgsBuilder,
};
use ctap_hid_fido2::public_key_credential_user_entity::PublicKeyCredentialUserEntity;
use ctap_hid_fido2::{FidoKeyHid, HidParam, LibCfg};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// What needs no touch is answered within this time, or the key is taken for dead.
const AT_ONCE: Duration = Duration::from_secs(4);
/// Bytes of a PIN (CTAP 2.1 section 6.5.1); the library panics at more.
pub const PIN_MAX: usize = 63;
const MAKE_CREDENTIAL: u8 = 0x01;
const GET_ASSERTION: u8 = 0x02;

/// Where events go: the standard output that we were started with.
#[derive(Clone)]
struct Events(Arc<Mutex<File>>);

impl Events {
    fn say(&self, event: &Event) {
        let Ok(line) = serde_json::to_vec(event).map(Zeroizing::new) else { return };
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.write_all(&line).and_then(|()| out.write_all(b"\n"));
    }
}

/// Drives the key at `node` until there are no more commands.
///
/// # Errors
/// Where this process has no descriptors to work with; all else is an event.
pub fn run(node: &Path) -> std::io::Result<()> {
    let events = Events(Arc::new(Mutex::new(take_stdout()?)));
    std::panic::set_hook(Box::new(|_| {}));
    match open(node, &events) {
        Err(fault) => events.say(&Event::Failed(fault)),
        Ok((key, relay)) => drive(key, &relay, &events),
    }
    Ok(())
}

/// The library prints, to both streams: there it finds nobody.
fn take_stdout() -> std::io::Result<File> {
    let events = rustix::io::dup(std::io::stdout()).map(File::from)?;
    rustix::io::fcntl_setfd(&events, rustix::io::FdFlags::CLOEXEC)?;
    let nowhere = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    rustix::stdio::dup2_stderr(&nowhere)?;
    Ok(events)
}

fn open(node: &Path, events: &Events) -> Result<(FidoKeyHid, Arc<Relay>), Fault> {
    File::options().read(true).write(true).open(node).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Fault::Forbidden,
        _ => Fault::Gone,
    })?;
    let mut settings = LibCfg::init();
    settings.enable_keep_alive_msg = false;
    let parameters = [HidParam::Path(node.to_string_lossy().into_owned())];
    let opened = catch_unwind(|| FidoKeyHid::new(&parameters, &settings));
    let key = opened.ok().and_then(Result::ok).ok_or(Fault::Gone)?;
    let (library, ours) = socket_pair().map_err(|_| Fault::Gone)?;
    let device = descriptor::replace(node, library).map_err(|_| Fault::Gone)?;
    let signs = events.clone();
    let sign = move |sign| {
        signs.say(&match sign {
            Sign::Light(on) => Event::Light(on),
            Sign::Busy => Event::Busy,
        });
    };
    let relay = Relay::start(device, ours, sign).map_err(|_| Fault::Gone)?;
    Ok((key, relay))
}

/// One command after the other. Whoever waits for a touch is reached through the relay.
fn drive(key: FidoKeyHid, relay: &Arc<Relay>, events: &Events) {
    let commands = commands(relay.clone());
    let driven = Driven { key, relay: relay.clone(), permissions: false };
    let (driven, info) = match driven.introduce() {
        Ok(opened) => opened,
        Err(fault) => return events.say(&Event::Failed(fault)),
    };
    events.say(&Event::Opened(info));
    for (number, command) in commands {
        relay.resume(number);
        let answer = driven.obey(command);
        events.say(&match answer {
            Ok(answer) => Event::Done(Box::new(answer)),
            Err(fault) => Event::Failed(fault),
        });
    }
}

/// Commands as they come; `Cancel`, and the end of them, at once.
fn commands(relay: Arc<Relay>) -> Receiver<(u64, Command)> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut input = BufReader::new(std::io::stdin());
        loop {
            let mut line = Zeroizing::new(String::new());
            let command = match input.read_line(&mut line) {
                Ok(count) if count > 0 => serde_json::from_str(&line).ok(),
                _ => None,
            };
            match command {
                Some(Command::Cancel) => relay.cancel(),
                Some(command) => {
                    let _ = send.send((relay.announce(), command));
                }
                None => return relay.close(),
            }
        }
    });
    receive
}

struct Driven {
    key: FidoKeyHid,
    relay: Arc<Relay>,
    /// Whether it hands out PIN tokens with permissions.
    permissions: bool,
}

impl Driven {
    /// Asks the key what it is, and speaks PIN/UV auth protocol two where it can (CTAP 2.1 section 6.5.7).
    fn introduce(self) -> Result<(Self, KeyInfo), Fault> {
        let info = self.call(AT_ONCE, None, FidoKeyHid::get_info)?;
        let version = if info.pin_uv_auth_protocols.contains(&2) { 2 } else { 1 };
        let option = |name: &str| info.options.iter().find(|(option, _)| option == name).map(|(_, set)| *set);
        let described = KeyInfo {
            pin: option("clientPin"),
            built_in: option("uv"),
            permissions: option("pinUvAuthToken") == Some(true),
            selection: info.versions.iter().any(|version| version == "FIDO_2_1"),
            discoverable: option("rk") == Some(true),
            hmac_secret: info.extensions.iter().any(|extension| extension == "hmac-secret"),
            must_change_pin: info.force_pin_change,
            min_pin: info.min_pin_length.max(4),
            transports: info.transports.clone(),
        };
        let key = self.key.with_pin_protocol_version(version);
        Ok((Self { key, relay: self.relay, permissions: described.permissions }, described))
    }

    /// One call of the library, within its time, whatever becomes of it.
    fn call<T, E>(
        &self,
        within: Duration,
        permissions: Option<Permissions>,
        what: impl FnOnce(&FidoKeyHid) -> Result<T, E>,
    ) -> Result<T, Fault> {
        let permissions = permissions.filter(|_| self.permissions);
        self.relay.begin(within, permissions);
        match catch_unwind(AssertUnwindSafe(|| what(&self.key))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(self.relay.fault()),
            Err(_) => Err(Fault::Garbled),
        }
    }

    fn obey(&self, command: Command) -> Result<Answer, Fault> {
        match command {
            Command::Find { rp_id, credentials } => self.find(&rp_id, &credentials),
            Command::Select { within_ms } => {
                self.call(Duration::from_millis(within_ms), None, FidoKeyHid::selection)?;
                Ok(Answer::Selected)
            }
            Command::Make(make) => match self.make(&make) {
                // Preferred is not required: a key without room makes one that it does not keep.
                Err(Fault::Status(status::KEY_STORE_FULL)) if make.discoverable => {
                    self.make(&Make { discoverable: false, ..*make })
                }
                done => done,
            },
            Command::Assert(assert) => self.assert(&assert),
            Command::Retries => Ok(Answer::Retries {
                pin: self.retries(FidoKeyHid::get_pin_retries)?,
                uv: self.retries(FidoKeyHid::get_uv_retries)?,
            }),
            Command::ChangePin { old, new } => {
                check_length(&new)?;
                self.call(AT_ONCE, None, |key| match &old {
                    Some(old) => key.change_pin(old.expose(), new.expose()),
                    None => key.set_new_pin(new.expose()),
                })?;
                Ok(Answer::PinChanged)
            }
            Command::Cancel => Err(Fault::Cancelled),
        }
    }

    fn retries<E>(&self, count: impl FnOnce(&FidoKeyHid) -> Result<i32, E>) -> Result<Option<u32>, Fault> {
        match self.call(AT_ONCE, None, count) {
            Ok(count) => Ok(u32::try_from(count).ok()),
            Err(Fault::Status(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Silent assertions (CTAP 2.1 section 6.2.2, `up` false), one credential each: a list may be longer than a key takes.
    fn find(&self, rp_id: &str, credentials: &[Bytes]) -> Result<Answer, Fault> {
        let mut found = Vec::new();
        for credential in credentials {
            let arguments = GetAssertionArgsBuilder::new(rp_id, b"which credentials are here")
                .without_pin_and_uv()
                .without_up()
                .credential_id(&credential.0)
                .build();
            match self.call(AT_ONCE, None, |key| key.get_assertion_with_args(&arguments)) {
                Err(Fault::Status(status::NO_CREDENTIALS)) => {}
                // It does not say: it has to be tried.
                Ok(_) | Err(Fault::Status(_)) => found.push(credential.clone()),
                Err(fault) => return Err(fault),
            }
        }
        Ok(Answer::Found(found))
    }

    fn make(&self, make: &Make) -> Result<Answer, Fault> {
        let user =
            PublicKeyCredentialUserEntity::new(Some(&make.user_id.0), Some(&make.user_name), Some(&make.user_name));
        // What the library calls a challenge it hashes and sends as clientDataHash.
        let arguments = MakeCredentialArgsBuilder::new(&make.rp_id, &make.client_data.0).user_entity(&user);
        let mut arguments = match &make.verification {
            Verification::None => arguments.without_pin_and_uv(),
            Verification::BuiltIn => arguments,
            Verification::Pin(pin) => {
                check_length(pin)?;
                arguments.pin(pin.expose())
            }
        };
        for credential in &make.exclude {
            arguments = arguments.exclude_authenticator(&credential.0);
        }
        if make.discoverable {
            arguments = arguments.resident_key();
        }
        if make.hmac_secret {
            arguments = arguments.extensions(&[CredentialExtension::HmacSecret(Some(true))]);
        }
        let arguments = arguments.build();
        let permissions = Permissions { bits: MAKE_CREDENTIAL, rp_id: make.rp_id.clone() };
        let attestation = self.call(Duration::from_millis(make.within_ms), Some(permissions), |key| {
            key.make_credential_with_args(&arguments)
        })?;
        let object = attestation_object(&attestation).map(Bytes).ok_or(Fault::Garbled)?;
        Ok(Answer::Made { object, discoverable: make.discoverable })
    }

    fn assert(&self, assert: &Assert) -> Result<Answer, Fault> {
        let mut arguments = GetAssertionArgsBuilder::new(&assert.rp_id, &assert.client_data.0);
        for credential in &assert.allow {
            arguments = arguments.add_credential_id(&credential.0);
        }
        let mut arguments = match &assert.verification {
            Verification::None => arguments.without_pin_and_uv(),
            Verification::BuiltIn => arguments,
            Verification::Pin(pin) => {
                check_length(pin)?;
                arguments.pin(pin.expose())
            }
        };
        if let Some(salt) = &assert.salt {
            let salt = <[u8; 32]>::try_from(salt.0.as_slice()).map_err(|_| Fault::Garbled)?;
            arguments = arguments.extensions(&[AssertionExtension::HmacSecret(Some(salt))]);
        }
        let arguments = arguments.build();
        let permissions = Permissions { bits: GET_ASSERTION, rp_id: assert.rp_id.clone() };
        let within = Duration::from_millis(assert.within_ms);
        let got = self.call(within, Some(permissions), |key| key.get_assertion_with_args(&arguments))?;
        // Of several that the key knows, the one that was made last comes first (CTAP 2.1 section 6.2.2).
        let assertion = match <[Assertion; 1]>::try_from(got) {
            Ok([assertion]) => assertion,
            Err(several) if assert.allow.is_empty() => several.into_iter().next().ok_or(Fault::Garbled)?,
            Err(_) => return Err(Fault::Garbled),
        };
        let hmac_output = assertion.extensions.iter().find_map(|extension| match extension {
            AssertionExtension::HmacSecret(Some(output)) => Some(Secret::new(base64url(output))),
            _ => None,
        });
        Ok(Answer::Asserted {
            credential_id: Bytes(assertion.credential_id),
            authenticator_data: Bytes(assertion.auth_data),
            signature: Bytes(assertion.signature),
            user_handle: Some(Bytes(assertion.user.id)).filter(|handle| !handle.0.is_empty()),
            hmac_output,
        })
    }
}

/// The library panics on longer ones.
fn check_length(pin: &Secret) -> Result<(), Fault> {
    let fits = (1..=PIN_MAX).contains(&pin.expose().len());
    if fits { Ok(()) } else { Err(Fault::Status(status::PIN_POLICY_VIOLATION)) }
}

/// `WebAuthn` Level 3, section 6.5.4: what the library took apart, put together again.
fn attestation_object(made: &Attestation) -> Option<Vec<u8>> {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut statement = Vec::new();
    if made.fmt != "none" {
        if made.fmt != "fido-u2f" {
            statement.push((text("alg"), Value::Integer(made.attstmt_alg.into())));
        }
        statement.push((text("sig"), Value::Bytes(made.attstmt_sig.clone())));
        if !made.attstmt_x5c.is_empty() {
            let chain = made.attstmt_x5c.iter().cloned().map(Value::Bytes).collect();
            statement.push((text("x5c"), Value::Array(chain)));
        }
    }
    let object = Value::Map(vec![
        (text("fmt"), text(&made.fmt)),
        (text("attStmt"), Value::Map(statement)),
        (text("authData"), Value::Bytes(made.auth_data.clone())),
    ]);
    let mut bytes = Vec::new();
    ciborium::into_writer(&object, &mut bytes).ok()?;
    Some(bytes)
}
