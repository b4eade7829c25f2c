//! CBOR as CTAP 2.1 section 8 has it: helpers over `ciborium`, and the canonical order of map keys.

use crate::status::{Failure, Status};
use ciborium::value::Value;

pub type Map = Vec<(Value, Value)>;

pub fn integer(value: impl Into<i64>) -> Value {
    Value::Integer(value.into().into())
}

pub fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub fn bytes(value: impl Into<Vec<u8>>) -> Value {
    Value::Bytes(value.into())
}

/// Encodes in canonical form: shortest lengths, keys in the bytewise order of their encodings.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut encoded = Vec::new();
    ciborium::into_writer(&canonical(value.clone()), &mut encoded).expect("a vector takes everything");
    encoded
}

fn canonical(value: Value) -> Value {
    match value {
        Value::Map(map) => {
            let mut map: Map = map.into_iter().map(|(key, value)| (key, canonical(value))).collect();
            map.sort_by_cached_key(|(key, _)| {
                let mut encoded = Vec::new();
                ciborium::into_writer(key, &mut encoded).expect("a vector takes everything");
                encoded
            });
            Value::Map(map)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        other => other,
    }
}

pub fn decode_map(encoded: &[u8]) -> Failure<Map> {
    if encoded.is_empty() {
        return Ok(Map::new());
    }
    let value: Value = ciborium::from_reader(encoded).map_err(|_| Status::InvalidCbor)?;
    value.into_map().map_err(|_| Status::CborUnexpectedType)
}

pub fn get(map: &Map, key: i64) -> Option<&Value> {
    map.iter().find(|(candidate, _)| *candidate == integer(key)).map(|(_, value)| value)
}

pub fn get_named<'a>(map: &'a Map, name: &str) -> Option<&'a Value> {
    map.iter().find(|(candidate, _)| candidate.as_text() == Some(name)).map(|(_, value)| value)
}

pub fn required(map: &Map, key: i64) -> Failure<&Value> {
    get(map, key).ok_or(Status::MissingParameter)
}

pub fn required_bytes(map: &Map, key: i64) -> Failure<Vec<u8>> {
    required(map, key)?.as_bytes().cloned().ok_or(Status::CborUnexpectedType)
}

pub fn required_text(map: &Map, key: i64) -> Failure<String> {
    required(map, key)?.as_text().map(str::to_owned).ok_or(Status::CborUnexpectedType)
}

pub fn required_map(map: &Map, key: i64) -> Failure<&Map> {
    required(map, key)?.as_map().ok_or(Status::CborUnexpectedType)
}

pub fn required_array(map: &Map, key: i64) -> Failure<&Vec<Value>> {
    required(map, key)?.as_array().ok_or(Status::CborUnexpectedType)
}

pub fn number(map: &Map, key: i64) -> Option<i64> {
    get(map, key).and_then(as_number)
}

pub fn as_number(value: &Value) -> Option<i64> {
    value.as_integer().and_then(|integer| i64::try_from(integer).ok())
}
