//! The authenticator API, CTAP 2.1 section 6: what each command does before and after the touch.

use crate::attestation;
use crate::cbor::{self, Map, bytes, get, get_named, integer, number, required, text};
use crate::client_pin::{self, BuiltInUv, ClientPin, GET_ASSERTION, MAKE_CREDENTIAL, UvRequest};
use crate::control::Settings;
use crate::credentials::{self, Credential};
use crate::ctaphid::MESSAGE_BYTES;
use crate::extensions::{CRED_PROTECT, ForCredential, HMAC_SECRET, HmacSecret};
use crate::pin_protocol::{ES256, cose_key, random, sha256};
use crate::status::{Failure, Status};
use ciborium::value::Value;
use p256::PublicKey;
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Signer as _;
use std::io;
use std::path::PathBuf;

/// Commands.
const AUTHENTICATOR_MAKE_CREDENTIAL: u8 = 0x01;
const AUTHENTICATOR_GET_ASSERTION: u8 = 0x02;
const AUTHENTICATOR_GET_INFO: u8 = 0x04;
const AUTHENTICATOR_CLIENT_PIN: u8 = 0x06;
const AUTHENTICATOR_RESET: u8 = 0x07;
const AUTHENTICATOR_GET_NEXT_ASSERTION: u8 = 0x08;
const AUTHENTICATOR_CREDENTIAL_MANAGEMENT: u8 = 0x0a;
/// What it was called before CTAP 2.1; libfido2 still calls it so.
const CREDENTIAL_MANAGEMENT_PREVIEW: u8 = 0x41;
const AUTHENTICATOR_SELECTION: u8 = 0x0b;

/// Flags of authenticator data, WebAuthn Level 3 section 6.1.
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const ATTESTED_CREDENTIAL_DATA: u8 = 0x40;
const EXTENSION_DATA: u8 = 0x80;

/// What is cut off authenticator data where `short-auth` is on: half a counter is left.
const SHORT_AUTHENTICATOR_DATA: usize = 33;
const MESSAGE_SIZE: i64 = 1200;
const CREDENTIALS_IN_LIST: i64 = 8;
const CREDENTIAL_ID_LENGTH: i64 = 128;
/// A member of no specification, for `pad`.
const UNKNOWN_MEMBER: i64 = 0x70;

pub enum Outcome {
    Reply(Vec<u8>),
    /// Goes on with [`Authenticator::touched`].
    Touch(Operation),
}

pub enum Operation {
    MakeCredential(Box<MakeCredential>),
    GetAssertion(Box<GetAssertion>),
    UvToken(Box<UvRequest>),
    Selection,
    Reset,
    /// A request with an empty pinUvAuthParam: it selects a key, and finds out whether a PIN is set.
    EmptyPinUvAuthParam,
}

/// How the user was verified.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verification {
    None,
    ByToken,
    ByTouch,
}

pub struct MakeCredential {
    client_data_hash: Vec<u8>,
    rp: Value,
    rp_id: String,
    user: Value,
    discoverable: bool,
    verification: Verification,
    excluded: bool,
    extensions: ForCredential,
}

pub struct GetAssertion {
    client_data_hash: Vec<u8>,
    user_present: bool,
    verification: Verification,
    /// Indices of the credentials, those made last first.
    credentials: Vec<usize>,
    hmac_secret: Option<HmacSecret>,
}

struct Options {
    discoverable: Option<bool>,
    user_presence: bool,
    user_verification: bool,
}

pub struct Authenticator {
    pub pin: ClientPin,
    pub aaguid: [u8; 16],
    /// The next assertion's counter is lower than the last one's.
    pub counter_back: bool,
    state: Option<PathBuf>,
    credentials: Vec<Credential>,
    /// What getNextAssertion goes on with, and where.
    next: Option<(GetAssertion, usize)>,
    management: crate::credential_management::Enumeration,
    described: String,
}

impl Authenticator {
    pub fn new() -> Self {
        Self {
            pin: ClientPin::new(),
            aaguid: *b"virtual-key\0\0\0\0\0",
            counter_back: false,
            state: None,
            credentials: Vec::new(),
            next: None,
            management: crate::credential_management::Enumeration::default(),
            described: String::new(),
        }
    }

    /// Remembers everything in this file from now on, and first of all what is in it.
    pub fn keep_state(&mut self, file: PathBuf) -> io::Result<()> {
        self.credentials = credentials::load(&file, &mut self.pin)?;
        self.state = Some(file);
        Ok(())
    }

    pub fn save_state(&self) -> io::Result<()> {
        match &self.state {
            Some(file) => credentials::save(file, &self.credentials, &self.pin),
            None => Ok(()),
        }
    }

    pub fn power_cycle(&mut self) {
        self.pin.power_cycle();
        self.next = None;
    }

    /// The last command, for the log.
    pub fn described(&self) -> &str {
        &self.described
    }

    pub fn handle(&mut self, message: &[u8], settings: &Settings) -> Outcome {
        self.command(message, settings).unwrap_or_else(|status| Outcome::Reply(vec![status as u8]))
    }

    fn command(&mut self, message: &[u8], settings: &Settings) -> Failure<Outcome> {
        let (&command, parameters) = message.split_first().ok_or(Status::InvalidLength)?;
        self.described = format!("{command:02x}");
        let request = cbor::decode_map(parameters)?;
        if command != AUTHENTICATOR_GET_NEXT_ASSERTION {
            self.next = None;
        }
        match command {
            AUTHENTICATOR_MAKE_CREDENTIAL => self.make_credential(&request, settings),
            AUTHENTICATOR_GET_ASSERTION => self.get_assertion(&request, settings),
            AUTHENTICATOR_GET_INFO => Ok(Outcome::Reply(self.get_info(settings))),
            AUTHENTICATOR_CLIENT_PIN => {
                self.described = format!("{} {}", self.described, ClientPin::describe(&request));
                Ok(match self.pin.handle(&request, !settings.ctap_2_0)? {
                    client_pin::Answer::Reply(reply) => Outcome::Reply(success(reply)),
                    client_pin::Answer::UvTouch(request) => Outcome::Touch(Operation::UvToken(Box::new(request))),
                })
            }
            AUTHENTICATOR_RESET => Ok(Outcome::Touch(Operation::Reset)),
            AUTHENTICATOR_GET_NEXT_ASSERTION => self.get_next_assertion(settings).map(Outcome::Reply),
            AUTHENTICATOR_CREDENTIAL_MANAGEMENT | CREDENTIAL_MANAGEMENT_PREVIEW if !settings.ctap_2_0 => {
                self.described += &format!(" sub {}", number(&request, 1).unwrap_or_default());
                let reply = self.management.handle(&request, &mut self.credentials, &mut self.pin)?;
                Ok(Outcome::Reply(success(reply)))
            }
            AUTHENTICATOR_SELECTION if !settings.ctap_2_0 => Ok(Outcome::Touch(Operation::Selection)),
            _ => Err(Status::InvalidCommand),
        }
    }

    // --------------------------------------------------------------------------------------------------- getInfo, 6.4

    fn get_info(&self, settings: &Settings) -> Vec<u8> {
        let yes = |name| (text(name), Value::Bool(true));
        let mut options = vec![
            yes("rk"),
            yes("up"),
            (text("plat"), Value::Bool(false)),
            (text("clientPin"), Value::Bool(self.pin.stored_pin.is_some())),
        ];
        if self.pin.uv != BuiltInUv::Absent {
            options.push(yes("uv"));
        }
        let mut versions = vec![text("FIDO_2_0")];
        if !settings.ctap_2_0 {
            versions.push(text("FIDO_2_1"));
            options.extend([
                yes("credMgmt"),
                yes("credentialMgmtPreview"),
                yes("pinUvAuthToken"),
                yes("makeCredUvNotRqd"),
            ]);
        }
        let protocols = self.pin.protocols.iter().map(|protocol| integer(*protocol as i64)).collect();
        let algorithm = Value::Map(vec![(text("alg"), integer(ES256)), (text("type"), text("public-key"))]);
        let message_size = if settings.pad > 0 { i64::try_from(MESSAGE_BYTES).expect("7609") } else { MESSAGE_SIZE };
        let mut info = vec![
            (integer(0x01), Value::Array(versions)),
            (integer(0x02), Value::Array(vec![text(CRED_PROTECT), text(HMAC_SECRET)])),
            (integer(0x03), bytes(self.aaguid)),
            (integer(0x04), Value::Map(options)),
            (integer(0x05), integer(message_size)),
            (integer(0x06), Value::Array(protocols)),
        ];
        if !settings.ctap_2_0 {
            info.extend([
                (integer(0x07), integer(CREDENTIALS_IN_LIST)),
                (integer(0x08), integer(CREDENTIAL_ID_LENGTH)),
                (integer(0x09), Value::Array(vec![text("usb")])),
                (integer(0x0a), Value::Array(vec![algorithm])),
                (integer(0x0c), Value::Bool(self.pin.force_change)),
                (integer(0x0d), integer(i64::try_from(self.pin.minimum_length).expect("at most 63"))),
                (integer(0x0e), integer(1)),
            ]);
        }
        pad(&mut info, settings);
        success(Some(Value::Map(info)))
    }

    // -------------------------------------------------------------------------------------------- makeCredential, 6.1

    fn make_credential(&mut self, request: &Map, settings: &Settings) -> Failure<Outcome> {
        let client_data_hash = cbor::required_bytes(request, 1)?;
        let rp = cbor::required_map(request, 2)?;
        let rp_id = get_named(rp, "id").and_then(Value::as_text).ok_or(Status::MissingParameter)?.to_owned();
        let user = required(request, 3)?.clone();
        self.described += &format!(" rp {rp_id}");
        let parameters = cbor::required_array(request, 4)?;
        let is_es256 = |parameter: &Value| {
            parameter.as_map().and_then(|parameter| get_named(parameter, "alg")) == Some(&integer(ES256))
        };
        let options = options(request, 7)?;
        if is_empty(get(request, 8)) {
            return Ok(Outcome::Touch(Operation::EmptyPinUvAuthParam));
        }
        if !parameters.iter().any(is_es256) {
            return Err(Status::UnsupportedAlgorithm);
        }
        if !options.user_presence {
            return Err(Status::InvalidOption);
        }
        let extensions = ForCredential::read(get(request, 6).and_then(Value::as_map))?;
        let verification =
            self.verify(request, (8, 9), &rp_id, MAKE_CREDENTIAL, options.user_verification, &client_data_hash)?;
        let discoverable = options.discoverable.unwrap_or(false);
        let needs_verification = discoverable || settings.ctap_2_0; // makeCredUvNotRqd
        if verification == Verification::None && needs_verification && self.pin.is_protected() {
            return Err(Status::PuatRequired);
        }
        let verified = verification != Verification::None;
        let excluded = listed_ids(get(request, 5)).any(|id| {
            let matches = |held: &&Credential| held.rp_id == rp_id && held.id == *id;
            self.credentials.iter().find(matches).is_some_and(|held| held.is_usable(verified, true))
        });
        let rp = Value::Map(rp.clone());
        let operation = Operation::MakeCredential(Box::new(MakeCredential {
            client_data_hash,
            rp,
            rp_id,
            user,
            discoverable,
            verification,
            excluded,
            extensions,
        }));
        Ok(self.touch_unless_shown(verification, operation, settings))
    }

    fn finish_credential(&mut self, asked: MakeCredential, settings: &Settings) -> Failure<Vec<u8>> {
        if asked.excluded {
            return Err(Status::CredentialExcluded);
        }
        let mut credential = Credential::new(asked.rp, asked.rp_id, asked.user);
        credential.discoverable = asked.discoverable;
        let extensions = asked.extensions.apply(&mut credential);

        let public_key = PublicKey::from(credential.key.verifying_key());
        let mut attested = self.aaguid.to_vec();
        attested.extend(u16::try_from(credential.id.len()).expect("a short id").to_be_bytes());
        attested.extend_from_slice(&credential.id);
        attested.extend(cbor::encode(&cose_key(&public_key, ES256)));

        let verified = asked.verification != Verification::None;
        let flags = settings.flags(true, verified) | ATTESTED_CREDENTIAL_DATA;
        let mut data = authenticator_data(
            &settings.signed_rp_id(&credential.rp_id),
            flags,
            credential.count,
            &attested,
            extensions,
        );
        let signed = [data.as_slice(), &asked.client_data_hash].concat();
        let (format, mut statement) =
            attestation::statement(settings.attestation, &credential.key, &self.aaguid, &signed);
        if settings.bad_signature {
            spoil_signature(&mut statement);
        }
        if settings.short_auth {
            data.truncate(SHORT_AUTHENTICATOR_DATA);
        }
        // One discoverable credential an account: the older one goes.
        if credential.discoverable {
            self.credentials.retain(|held| {
                !(held.discoverable && held.rp_id == credential.rp_id && held.user_id() == credential.user_id())
            });
        }
        self.credentials.push(credential);
        let reply = vec![(integer(1), format), (integer(2), bytes(data)), (integer(3), statement)];
        Ok(success(Some(Value::Map(reply))))
    }

    // ---------------------------------------------------------------------------------------------- getAssertion, 6.2

    fn get_assertion(&mut self, request: &Map, settings: &Settings) -> Failure<Outcome> {
        let rp_id = cbor::required_text(request, 1)?;
        let client_data_hash = cbor::required_bytes(request, 2)?;
        let options = options(request, 5)?;
        self.described += &format!(" rp {rp_id} up {}", options.user_presence);
        if is_empty(get(request, 6)) {
            return Ok(Outcome::Touch(Operation::EmptyPinUvAuthParam));
        }
        if options.discoverable.is_some() {
            return Err(Status::UnsupportedOption);
        }
        let verification =
            self.verify(request, (6, 7), &rp_id, GET_ASSERTION, options.user_verification, &client_data_hash)?;
        let hmac_secret = HmacSecret::read(get(request, 4).and_then(Value::as_map), &self.pin)?;
        if let Some(hmac_secret) = &hmac_secret {
            if !options.user_presence {
                return Err(Status::UnsupportedOption);
            }
            self.described += &format!(" hmac-secret {}", hmac_secret.salts());
        }
        let verified = verification != Verification::None;
        let named: Vec<&Vec<u8>> = listed_ids(get(request, 3)).collect();
        self.described += &format!(" allow {}", named.len());
        let is_asked_for = |held: &Credential| {
            let listed = if named.is_empty() { held.discoverable } else { named.contains(&&held.id) };
            listed && held.rp_id == rp_id && held.is_usable(verified, !named.is_empty())
        };
        let mut credentials: Vec<usize> =
            (0..self.credentials.len()).rev().filter(|&index| is_asked_for(&self.credentials[index])).collect();
        if !named.is_empty() {
            credentials.truncate(1);
        }
        if credentials.is_empty() && (!settings.no_credentials_after_touch || !options.user_presence) {
            return Err(Status::NoCredentials);
        }
        let asked = GetAssertion {
            client_data_hash,
            user_present: options.user_presence,
            verification,
            credentials,
            hmac_secret,
        };
        if !asked.user_present && asked.verification != Verification::ByTouch {
            return Ok(Outcome::Reply(self.first_assertion(asked, settings)?));
        }
        Ok(self.touch_unless_shown(verification, Operation::GetAssertion(Box::new(asked)), settings))
    }

    fn first_assertion(&mut self, asked: GetAssertion, settings: &Settings) -> Failure<Vec<u8>> {
        if asked.credentials.is_empty() {
            return Err(Status::NoCredentials);
        }
        let reply = self.assertion(&asked, 0, settings);
        if asked.credentials.len() > 1 {
            self.next = Some((asked, 1));
        }
        Ok(reply)
    }

    fn get_next_assertion(&mut self, settings: &Settings) -> Failure<Vec<u8>> {
        let (asked, position) = self.next.take().ok_or(Status::NotAllowed)?;
        let reply = self.assertion(&asked, position, settings);
        if position + 1 < asked.credentials.len() {
            self.next = Some((asked, position + 1));
        }
        Ok(reply)
    }

    fn assertion(&mut self, asked: &GetAssertion, position: usize, settings: &Settings) -> Vec<u8> {
        let credential = &mut self.credentials[asked.credentials[position]];
        if std::mem::take(&mut self.counter_back) {
            credential.count /= 2;
        } else {
            credential.count += 1;
        }
        let verified = asked.verification != Verification::None;
        let outputs = asked.hmac_secret.as_ref().map(|secret| secret.output(credential, verified)).unwrap_or_default();
        let flags = settings.flags(asked.user_present, verified);
        let mut data =
            authenticator_data(&settings.signed_rp_id(&credential.rp_id), flags, credential.count, &[], outputs);
        let signature: Signature = credential.key.sign(&[data.as_slice(), &asked.client_data_hash].concat());
        let mut signature = signature.to_der().as_bytes().to_vec();
        if settings.bad_signature {
            spoil(&mut signature);
        }
        if settings.short_auth {
            data.truncate(SHORT_AUTHENTICATOR_DATA);
        }
        let id = if settings.wrong_credential { random::<48>().to_vec() } else { credential.id.clone() };
        let mut reply =
            vec![(integer(1), Credential::descriptor(&id)), (integer(2), bytes(data)), (integer(3), bytes(signature))];
        if credential.discoverable {
            let user = if verified && asked.credentials.len() > 1 {
                credential.user.clone()
            } else {
                Value::Map(vec![(text("id"), credential.user_id())])
            };
            reply.push((integer(4), user));
        }
        if position == 0 && asked.credentials.len() > 1 {
            reply.push((integer(5), integer(i64::try_from(asked.credentials.len()).expect("a few"))));
        }
        pad(&mut reply, settings);
        success(Some(Value::Map(reply)))
    }

    // --------------------------------------------------------------------------------------------------------- touches

    /// A pinUvAuthParam, or built-in user verification where the platform asks for that. `keys` are those of the
    /// parameter and of its protocol.
    fn verify(
        &mut self,
        request: &Map,
        keys: (i64, i64),
        rp_id: &str,
        permission: u8,
        user_verification: bool,
        client_data_hash: &[u8],
    ) -> Failure<Verification> {
        if let Some(parameter) = get(request, keys.0) {
            let parameter = parameter.as_bytes().ok_or(Status::CborUnexpectedType)?;
            let protocol = self.pin.protocol(number(request, keys.1).ok_or(Status::MissingParameter)?)?;
            self.described += " with pinUvAuthParam";
            self.pin.verify_token(protocol, client_data_hash, parameter, permission, Some(rp_id))?;
            return Ok(Verification::ByToken);
        }
        if user_verification {
            self.described += " with uv";
            self.pin.may_verify_by_touch()?;
            return Ok(Verification::ByTouch);
        }
        Ok(Verification::None)
    }

    /// A token got by fingerprint shows the person's presence: section 6.5.2.1.
    fn touch_unless_shown(&mut self, verification: Verification, operation: Operation, settings: &Settings) -> Outcome {
        if verification == Verification::ByToken && self.pin.user_is_present() {
            Outcome::Reply(self.touched(operation, settings))
        } else {
            Outcome::Touch(operation)
        }
    }

    /// The person touched.
    pub fn touched(&mut self, operation: Operation, settings: &Settings) -> Vec<u8> {
        self.finish(operation, settings).unwrap_or_else(|status| vec![status as u8])
    }

    fn finish(&mut self, operation: Operation, settings: &Settings) -> Failure<Vec<u8>> {
        match operation {
            Operation::MakeCredential(asked) => {
                self.verify_by_touch(asked.verification)?;
                self.finish_credential(*asked, settings)
            }
            Operation::GetAssertion(asked) => {
                self.verify_by_touch(asked.verification)?;
                self.first_assertion(*asked, settings)
            }
            Operation::UvToken(request) => self.pin.token_by_uv(*request).map(|token| success(Some(token))),
            Operation::Selection => Ok(success(None)),
            Operation::Reset => {
                self.credentials.clear();
                self.pin.reset();
                Ok(success(None))
            }
            Operation::EmptyPinUvAuthParam => {
                Err(if self.pin.stored_pin.is_some() { Status::PinInvalid } else { Status::PinNotSet })
            }
        }
    }

    fn verify_by_touch(&mut self, verification: Verification) -> Failure<()> {
        self.pin.touched();
        if verification == Verification::ByTouch { self.pin.verify_by_touch() } else { Ok(()) }
    }
}

impl Settings {
    fn flags(&self, user_present: bool, user_verified: bool) -> u8 {
        let mut flags = 0;
        if user_present && !self.no_up {
            flags |= USER_PRESENT;
        }
        if user_verified {
            flags |= USER_VERIFIED;
        }
        if self.backup_eligible || self.backed_up {
            flags |= BACKUP_ELIGIBLE;
        }
        if self.backed_up {
            flags |= BACKED_UP;
        }
        flags
    }

    fn signed_rp_id(&self, rp_id: &str) -> String {
        if self.wrong_rp { format!("not.{rp_id}") } else { rp_id.to_owned() }
    }
}

/// Authenticator data, WebAuthn Level 3 section 6.1.
fn authenticator_data(rp_id: &str, flags: u8, count: u32, attested: &[u8], extensions: Map) -> Vec<u8> {
    let mut data = sha256(rp_id.as_bytes()).to_vec();
    data.push(if extensions.is_empty() { flags } else { flags | EXTENSION_DATA });
    data.extend(count.to_be_bytes());
    data.extend_from_slice(attested);
    if !extensions.is_empty() {
        data.extend(cbor::encode(&Value::Map(extensions)));
    }
    data
}

fn options(request: &Map, key: i64) -> Failure<Options> {
    let none = Map::new();
    let options = match get(request, key) {
        None => &none,
        Some(options) => options.as_map().ok_or(Status::CborUnexpectedType)?,
    };
    let option = |name| get_named(options, name).and_then(Value::as_bool);
    Ok(Options {
        discoverable: option("rk"),
        user_presence: option("up").unwrap_or(true),
        user_verification: option("uv").unwrap_or(false),
    })
}

fn is_empty(parameter: Option<&Value>) -> bool {
    parameter.and_then(Value::as_bytes).is_some_and(Vec::is_empty)
}

/// The ids of a list of credential descriptors.
fn listed_ids(list: Option<&Value>) -> impl Iterator<Item = &Vec<u8>> {
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|descriptor| get_named(descriptor.as_map()?, "id")?.as_bytes())
}

fn success(reply: Option<Value>) -> Vec<u8> {
    let mut message = vec![Status::Ok as u8];
    if let Some(reply) = reply {
        message.extend(cbor::encode(&reply));
    }
    message
}

/// Makes an answer long with a member that nobody knows.
fn pad(reply: &mut Map, settings: &Settings) {
    if settings.pad > 0 {
        reply.push((integer(UNKNOWN_MEMBER), bytes(vec![0xa5; settings.pad])));
    }
}

fn spoil(signature: &mut [u8]) {
    if let Some(last) = signature.last_mut() {
        *last ^= 1;
    }
}

fn spoil_signature(statement: &mut Value) {
    for (key, value) in statement.as_map_mut().into_iter().flatten() {
        if let (Some("sig"), Some(signature)) = (key.as_text(), value.as_bytes_mut()) {
            spoil(signature);
        }
    }
}
