//! Attestation statements, WebAuthn Level 3 section 8: none, self (packed), and packed with a certificate that a test
//! root issued. Both keys are fixed, so that the root's certificate can be committed; they protect nothing.

use crate::cbor::{bytes, integer, text};
use crate::pin_protocol::{ES256, sha256};
use ciborium::value::Value;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attestation {
    None,
    SelfSigned,
    Chain,
}

/// The statement's format and the statement, over `authenticator_data` followed by `client_data_hash`.
pub fn statement(
    attestation: Attestation,
    credential_key: &SigningKey,
    aaguid: &[u8; 16],
    signed: &[u8],
) -> (Value, Value) {
    let signature = |key: &SigningKey| {
        let signature: Signature = key.sign(signed);
        (text("sig"), bytes(signature.to_der().as_bytes()))
    };
    let algorithm = (text("alg"), integer(ES256));
    match attestation {
        Attestation::None => (text("none"), Value::Map(Vec::new())),
        Attestation::SelfSigned => (text("packed"), Value::Map(vec![algorithm, signature(credential_key)])),
        Attestation::Chain => {
            let chain = (text("x5c"), Value::Array(vec![bytes(leaf_certificate(aaguid))]));
            (text("packed"), Value::Map(vec![algorithm, signature(&leaf_key()), chain]))
        }
    }
}

/// The root's certificate, as `tests/hardware/attestation-root.pem` has it.
pub fn root_pem() -> String {
    pem(&root_certificate())
}

/// The certificate of `--attestation chain`, for a key with this AAGUID.
pub fn leaf_pem(aaguid: &[u8; 16]) -> String {
    pem(&leaf_certificate(aaguid))
}

fn pem(certificate: &[u8]) -> String {
    pem_rfc7468::encode_string("CERTIFICATE", pem_rfc7468::LineEnding::LF, certificate).expect("a short text")
}

fn fixed_key(name: &str) -> SigningKey {
    SigningKey::from_slice(&sha256(name.as_bytes())).expect("this hash is below the order of the curve")
}

fn root_key() -> SigningKey {
    fixed_key("virtual-key: the root of attestation, for tests only")
}

fn leaf_key() -> SigningKey {
    fixed_key("virtual-key: the key of an attestation certificate, for tests only")
}

// ---------------------------------------------------------------------------------------------- certificates, RFC 5280

/// DER tags.
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const KEY_IDENTIFIER: u8 = 0x80;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// Object identifiers, encoded.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
const ORGANIZATIONAL_UNIT: &[u8] = &[0x55, 0x04, 0x0b];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
/// id-fido-gen-ce-aaguid, 1.3.6.1.4.1.45724.1.1.4.
const FIDO_AAGUID: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xe5, 0x1c, 0x01, 0x01, 0x04];

const ROOT_NAME: &str = "Root of virtual keys (tests only)";
const LEAF_NAME: &str = "Virtual key (tests only)";
const NOT_BEFORE: &str = "240101000000Z";
const NOT_AFTER: &str = "491231235959Z";

fn root_certificate() -> Vec<u8> {
    let extensions = [
        // A CA, and what it issues are no CAs.
        extension(BASIC_CONSTRAINTS, true, &sequence(&[tlv(BOOLEAN, &[0xff]), tlv(INTEGER, &[0])])),
        // keyCertSign and cRLSign: bits 5 and 6, so one bit is unused.
        extension(KEY_USAGE, true, &tlv(BIT_STRING, &[1, 0b0000_0110])),
        extension(SUBJECT_KEY_IDENTIFIER, false, &tlv(OCTET_STRING, &key_identifier(&root_key()))),
    ];
    certificate(1, &name("Authenticator Attestation CA", ROOT_NAME), &root_key(), &extensions)
}

/// As WebAuthn Level 3 section 8.2.1 wants it.
fn leaf_certificate(aaguid: &[u8; 16]) -> Vec<u8> {
    let issuer_key = sequence(&[tlv(KEY_IDENTIFIER, &key_identifier(&root_key()))]);
    let extensions = [
        extension(BASIC_CONSTRAINTS, true, &sequence(&[])),
        extension(AUTHORITY_KEY_IDENTIFIER, false, &issuer_key),
        extension(FIDO_AAGUID, false, &tlv(OCTET_STRING, aaguid)),
    ];
    certificate(2, &name("Authenticator Attestation", LEAF_NAME), &leaf_key(), &extensions)
}

/// Of X.509 version 3, issued by the root.
fn certificate(serial: u8, subject: &[u8], key: &SigningKey, extensions: &[Vec<u8>]) -> Vec<u8> {
    let algorithm = sequence(&[tlv(OBJECT_IDENTIFIER, ECDSA_WITH_SHA256)]);
    let to_be_signed = sequence(&[
        tlv(VERSION, &tlv(INTEGER, &[2])),
        tlv(INTEGER, &[serial]),
        algorithm.clone(),
        name("Authenticator Attestation CA", ROOT_NAME),
        sequence(&[tlv(UTC_TIME, NOT_BEFORE.as_bytes()), tlv(UTC_TIME, NOT_AFTER.as_bytes())]),
        subject.to_vec(),
        sequence(&[
            sequence(&[tlv(OBJECT_IDENTIFIER, EC_PUBLIC_KEY), tlv(OBJECT_IDENTIFIER, PRIME256V1)]),
            bit_string(&point(key)),
        ]),
        tlv(EXTENSIONS, &sequence(extensions)),
    ]);
    let signature: Signature = root_key().sign(&to_be_signed);
    sequence(&[to_be_signed, algorithm, bit_string(signature.to_der().as_bytes())])
}

fn name(unit: &str, common_name: &str) -> Vec<u8> {
    let attribute = |kind: &[u8], tag, value: &str| {
        tlv(SET, &sequence(&[tlv(OBJECT_IDENTIFIER, kind), tlv(tag, value.as_bytes())]))
    };
    sequence(&[
        attribute(COUNTRY, PRINTABLE_STRING, "ZZ"),
        attribute(ORGANIZATION, UTF8_STRING, "elevate"),
        attribute(ORGANIZATIONAL_UNIT, UTF8_STRING, unit),
        attribute(COMMON_NAME, UTF8_STRING, common_name),
    ])
}

fn extension(identifier: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![tlv(OBJECT_IDENTIFIER, identifier)];
    if critical {
        parts.push(tlv(BOOLEAN, &[0xff]));
    }
    parts.push(tlv(OCTET_STRING, value));
    sequence(&parts)
}

fn point(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().as_affine().to_encoded_point(false).as_bytes().to_vec()
}

/// RFC 7093's first method: the leftmost 160 bits of the SHA-256 of the public key.
fn key_identifier(key: &SigningKey) -> Vec<u8> {
    sha256(&point(key))[..20].to_vec()
}

fn bit_string(content: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[0], content].concat())
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut encoded = vec![tag];
    let [.., high, low] = content.len().to_be_bytes();
    match content.len() {
        0..=0x7f => encoded.push(low),
        0x80..=0xff => encoded.extend([0x81, low]),
        _ => encoded.extend([0x82, high, low]),
    }
    encoded.extend_from_slice(content);
    encoded
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_root_is_the_one_that_issues() {
        let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../attestation-root.pem");
        assert_eq!(std::fs::read_to_string(committed).unwrap(), super::root_pem());
    }
}
