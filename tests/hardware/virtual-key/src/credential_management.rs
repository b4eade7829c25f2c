//! authenticatorCredentialManagement, CTAP 2.1 section 6.8: which discoverable credentials there are.

use crate::cbor::{self, Map, bytes, get, get_named, integer, number};
use crate::client_pin::{CREDENTIAL_MANAGEMENT, ClientPin};
use crate::credentials::Credential;
use crate::pin_protocol::{ES256, cose_key, sha256};
use crate::status::{Failure, Status};
use ciborium::value::Value;
use p256::PublicKey;

const ROOM: usize = 32;

/// Subcommands.
const GET_CREDS_METADATA: u8 = 0x01;
const ENUMERATE_RPS_BEGIN: u8 = 0x02;
const ENUMERATE_RPS_GET_NEXT: u8 = 0x03;
const ENUMERATE_CREDENTIALS_BEGIN: u8 = 0x04;
const ENUMERATE_CREDENTIALS_GET_NEXT: u8 = 0x05;
const DELETE_CREDENTIAL: u8 = 0x06;

/// What the "get next" subcommands have still to give.
#[derive(Default)]
pub struct Enumeration {
    rps: Vec<Value>,
    credentials: Vec<Value>,
}

impl Enumeration {
    pub fn handle(
        &mut self,
        request: &Map,
        credentials: &mut Vec<Credential>,
        pin: &mut ClientPin,
    ) -> Failure<Option<Value>> {
        let subcommand = number(request, 1).and_then(|number| u8::try_from(number).ok());
        let subcommand = subcommand.ok_or(Status::MissingParameter)?;
        match subcommand {
            ENUMERATE_RPS_GET_NEXT => return self.rps.pop().map(Some).ok_or(Status::NotAllowed),
            ENUMERATE_CREDENTIALS_GET_NEXT => return self.credentials.pop().map(Some).ok_or(Status::NotAllowed),
            _ => {}
        }
        let parameters = get(request, 2).and_then(Value::as_map);
        verify(request, subcommand, parameters, pin)?;
        let discoverable = || credentials.iter().filter(|held| held.discoverable);
        match subcommand {
            GET_CREDS_METADATA => {
                let existing = discoverable().count();
                Ok(Some(Value::Map(vec![
                    (integer(1), count(existing)),
                    (integer(2), count(ROOM - existing.min(ROOM))),
                ])))
            }
            ENUMERATE_RPS_BEGIN => {
                self.rps.clear();
                let mut seen = Vec::new();
                for held in discoverable() {
                    if !seen.contains(&&held.rp_id) {
                        seen.push(&held.rp_id);
                        let hash = bytes(sha256(held.rp_id.as_bytes()));
                        self.rps.push(Value::Map(vec![(integer(3), held.rp.clone()), (integer(4), hash)]));
                    }
                }
                first(&mut self.rps, 5)
            }
            ENUMERATE_CREDENTIALS_BEGIN => {
                let hash = cbor::required_bytes(parameters.ok_or(Status::MissingParameter)?, 1)?;
                let of_rp = discoverable().filter(|held| sha256(held.rp_id.as_bytes()).as_slice() == hash);
                self.credentials = of_rp.map(described).collect();
                first(&mut self.credentials, 9)
            }
            DELETE_CREDENTIAL => {
                let descriptor = cbor::required_map(parameters.ok_or(Status::MissingParameter)?, 2)?;
                let id = get_named(descriptor, "id").and_then(Value::as_bytes).ok_or(Status::MissingParameter)?;
                let position = credentials.iter().position(|held| held.id == *id).ok_or(Status::NoCredentials)?;
                credentials.remove(position);
                Ok(None)
            }
            _ => Err(Status::InvalidSubcommand),
        }
    }
}

/// The pinUvAuthParam is over the subcommand and its parameters.
fn verify(request: &Map, subcommand: u8, parameters: Option<&Map>, pin: &mut ClientPin) -> Failure<()> {
    let tag = get(request, 4).and_then(Value::as_bytes).ok_or(Status::PuatRequired)?;
    let protocol = pin.protocol(number(request, 3).ok_or(Status::MissingParameter)?)?;
    let mut message = vec![subcommand];
    if let Some(parameters) = parameters {
        message.extend(cbor::encode(&Value::Map(parameters.clone())));
    }
    pin.verify_token(protocol, &message, tag, CREDENTIAL_MANAGEMENT, None)
}

/// The last of what is to be enumerated, and under `total` how many there are.
fn first(items: &mut Vec<Value>, total: i64) -> Failure<Option<Value>> {
    let all = items.len();
    let mut item = items.pop().ok_or(Status::NoCredentials)?;
    if let Some(members) = item.as_map_mut() {
        members.push((integer(total), count(all)));
    }
    Ok(Some(item))
}

fn described(held: &Credential) -> Value {
    Value::Map(vec![
        (integer(6), held.user.clone()),
        (integer(7), Credential::descriptor(&held.id)),
        (integer(8), cose_key(&PublicKey::from(held.key.verifying_key()), ES256)),
        (integer(10), integer(held.protection as u8)),
    ])
}

fn count(items: usize) -> Value {
    integer(i64::try_from(items).expect("a few"))
}
