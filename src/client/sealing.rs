//! Secrets sealed under security keys. The output of a key's `hmac-secret` (CTAP 2.1 section 12.5), evaluated with its user
//! verified over a salt that is kept with the secret, is the seed of an age identity; a sealed secret is an age file
//! (age-encryption.org/v1, ASCII armor) to one recipient per key, and to any number of backups that are kept offline.
//! A backup opens with the `age` program and nothing of ours.

use super::error::Error;
use crate::protocol::messages::ErrorCode;
use crate::protocol::secret::Secret;
use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use aws_lc_rs::hkdf;
use bech32::{ToBase32 as _, Variant};
use std::fmt;
use std::io::{Read as _, Write as _};
use std::str::FromStr as _;
use zeroize::Zeroizing;

/// Bytes a sealed secret may have once it is open.
const SECRET_MAX: u64 = 64 << 10;

/// What a key's `hmac-secret` gave. It stays in this process.
pub struct KeyOutput(Zeroizing<[u8; 32]>);

impl fmt::Debug for KeyOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl KeyOutput {
    /// Takes the bytes over; `None` where they are not 32.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let bytes = Zeroizing::new(bytes);
        <[u8; 32]>::try_from(bytes.as_slice()).ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// The age identity that this key is, for this credential: X25519 over HKDF-SHA-256 (RFC 5869) of the output.
    ///
    /// # Errors
    /// Where the cryptographic library refuses.
    pub fn identity(&self, credential_id: &[u8]) -> Result<Identity, Error> {
        let unusable = || Error::failed("the key's secret can't be used");
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"elevate/seal/v1").extract(self.0.as_slice());
        let info = [credential_id];
        let expanded = extracted.expand(&info, hkdf::HKDF_SHA256).map_err(|_| unusable())?;
        let mut seed = Zeroizing::new([0; 32]);
        expanded.fill(seed.as_mut_slice()).map_err(|_| unusable())?;
        let text = bech32::encode("age-secret-key-", seed.to_base32(), Variant::Bech32).map_err(|_| unusable())?;
        let text = Zeroizing::new(text);
        Identity::from_str(&Zeroizing::new(text.to_uppercase())).map_err(|_| unusable())
    }
}

/// Reads an age recipient for a backup.
///
/// # Errors
/// [`ErrorCode::Usage`]; never with what was given, which may be a secret by mistake.
pub fn backup_recipient(text: &str) -> Result<Recipient, Error> {
    if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        return Err(Error::usage("that is the secret half of an age key; a backup is made to the public half")
            .hint("`age-keygen -y FILE` prints it: it begins with age1"));
    }
    Recipient::from_str(text).map_err(|_| {
        Error::usage("that is no age recipient").hint("one begins with age1; `age-keygen` makes a pair of keys")
    })
}

/// Seals a secret to every recipient.
///
/// # Errors
/// Where there is none.
pub fn seal(secret: &Secret, recipients: &[Recipient]) -> Result<Secret, Error> {
    let fault = |error: &dyn fmt::Display| Error::failed(format!("the secret can't be sealed: {error}"));
    let to = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(to).map_err(|error| fault(&error))?;
    let mut armored = Vec::new();
    let armor = ArmoredWriter::wrap_output(&mut armored, Format::AsciiArmor).map_err(|error| fault(&error))?;
    let mut sealing = encryptor.wrap_output(armor).map_err(|error| fault(&error))?;
    sealing.write_all(secret.expose().as_bytes()).map_err(|error| fault(&error))?;
    sealing.finish().and_then(ArmoredWriter::finish).map_err(|error| fault(&error))?;
    Secret::from_utf8(armored).ok_or_else(|| fault(&"it is no text"))
}

/// Opens what was sealed.
///
/// # Errors
/// [`ErrorCode::VerificationFailed`]: sealed to other keys, or changed since.
pub fn unseal(sealed: &Secret, identity: &Identity) -> Result<Secret, Error> {
    let changed = || {
        Error::new(ErrorCode::VerificationFailed, "the sealed secret was changed or cut off since it was sealed")
            .hint("put it in again with `elevate admin secret set`, from its backup where there is one")
    };
    let other_keys = || {
        Error::new(ErrorCode::VerificationFailed, "the secret is sealed to other keys than the one that was touched")
            .hint("touch one of those that it was sealed to")
    };
    let decryptor = Decryptor::new(ArmoredReader::new(sealed.expose().as_bytes())).map_err(|_| changed())?;
    let opened = decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).map_err(|error| match error {
        DecryptError::NoMatchingKeys => other_keys(),
        _ => changed(),
    })?;
    let mut plain = Zeroizing::new(Vec::new());
    opened.take(SECRET_MAX + 1).read_to_end(&mut plain).map_err(|_| changed())?;
    Secret::from_utf8(std::mem::take(&mut *plain)).ok_or_else(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identity(byte: u8, credential_id: &[u8]) -> Identity {
        KeyOutput::new(vec![byte; 32]).unwrap().identity(credential_id).unwrap()
    }

    fn hint(result: Result<Secret, Error>) -> String {
        result.unwrap_err().message
    }

    #[test]
    fn each_key_opens_it_and_no_other() {
        let (work, spare, other) = (identity(1, b"work"), identity(2, b"spare"), identity(1, b"other"));
        let sealed = seal(&Secret::new("hunter2".into()), &[work.to_public(), spare.to_public()]).unwrap();
        assert_eq!(unseal(&sealed, &work).unwrap().expose(), "hunter2");
        assert_eq!(unseal(&sealed, &spare).unwrap().expose(), "hunter2");
        assert!(hint(unseal(&sealed, &other)).contains("sealed to other keys"));
    }

    #[test]
    fn what_was_changed_or_cut_off_does_not_open() {
        let key = identity(1, b"work");
        let sealed = seal(&Secret::new("hunter2".repeat(40)), &[key.to_public()]).unwrap();
        let text = sealed.expose();
        let cut = format!("{}\n-----END AGE ENCRYPTED FILE-----\n", &text[..text.len() - 100]);
        for wrong in [cut, text.replacen("A", "B", 3), String::new(), "hunter2".to_owned()] {
            assert!(hint(unseal(&Secret::new(wrong), &key)).contains("changed or cut off"));
        }
    }

    #[test]
    fn a_secret_key_is_no_backup_recipient_and_is_not_repeated() {
        let error = backup_recipient("AGE-SECRET-KEY-1QQQ").unwrap_err();
        assert!(error.message.contains("secret half") && !error.to_text().contains("1QQQ"));
        assert!(backup_recipient("age1nonsense").unwrap_err().message.contains("no age recipient"));
    }

    #[test]
    fn output_is_not_shown() {
        assert_eq!(format!("{:?}", KeyOutput::new(vec![7; 32]).unwrap()), "[redacted]");
        assert!(KeyOutput::new(vec![7; 31]).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_sealed_opens(text in ".{1,200}", output: [u8; 32]) {
            let key = KeyOutput::new(output.to_vec()).unwrap().identity(b"id").unwrap();
            let sealed = seal(&Secret::new(text.clone()), &[key.to_public()]).unwrap();
            prop_assert_eq!(unseal(&sealed, &key).unwrap().expose(), text);
        }
    }
}
