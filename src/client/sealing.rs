//! Secrets sealed under security keys. What a key computes for one credential (`hmac-secret`, CTAP 2.2 section 12.7) becomes
//! an X25519 identity of the age format (C2SP age), and a secret is an age file to one such identity per key. A backup is
//! an age recipient like any other: it opens with the standard `age` program and nothing of ours.
//!
//! Owns the derivation and the file's form. Talks to no key and keeps nothing. A key computes another output with user
//! verification than without (section 12.7): whoever asks it fixes which, and the salt that is stored beside the file.
//! Who can write a sealed file can replace the secret by one of their own: age does not say who sealed it.

use super::error::Error;
use crate::protocol::messages::ErrorCode;
use crate::protocol::secret::Secret;
use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor, x25519};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use bech32::{Bech32Writer, ToBase32 as _, Variant};
use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::str::FromStr;
use webauthn_rs_proto::PublicKeyCredential;
use zeroize::Zeroizing;

/// HKDF's salt (RFC 5869 section 3.1): no other use of the key's output gives the same identity.
const DOMAIN: &[u8] = b"elevate/seal/v1";
/// Human-readable part of an age identity; lower case while it is encoded, upper case when it is written (BIP 173).
const IDENTITY_PREFIX: &str = "age-secret-key-";
const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";

/// What a security key computed by `hmac-secret`, with its user verified: whoever has it opens what is sealed under it.
pub struct KeyOutput(Zeroizing<[u8; 32]>);

impl KeyOutput {
    /// Takes it over.
    #[must_use]
    pub const fn new(output: Zeroizing<[u8; 32]>) -> Self {
        Self(output)
    }
}

impl fmt::Debug for KeyOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What opens a sealed secret. It lives as long as the secret is being opened.
pub struct Identity(x25519::Identity);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Identity {
    /// The identity that a key gave along with an assertion, taken out of it: it goes nowhere else. `None` where the key
    /// was not asked, or gave none.
    ///
    /// # Errors
    /// As [`Identity::derive`].
    pub fn of(assertion: &mut PublicKeyCredential, rp_id: &str) -> Result<Option<Self>, Error> {
        let output = assertion.extensions.hmac_get_secret.take().map(|output| Zeroizing::new(output.output1));
        let output = output.and_then(|output| <[u8; 32]>::try_from(output.as_slice()).ok());
        let output = output.map(|output| KeyOutput::new(Zeroizing::new(output)));
        output.map(|output| Self::derive(&output, rp_id, &assertion.raw_id)).transpose()
    }

    /// The identity of one credential: HKDF-SHA-256 (RFC 5869) over the key's output, with the relying party's id, a zero
    /// byte and the credential's id as its info.
    ///
    /// # Errors
    /// Where the cryptographic library refuses; it has no reason to.
    pub fn derive(output: &KeyOutput, rp_id: &str, credential_id: &[u8]) -> Result<Self, Error> {
        let refused = || Error::failed("no identity could be made of the security key's output");
        let mut secret = Zeroizing::new([0; 32]);
        let pseudorandom = Salt::new(HKDF_SHA256, DOMAIN).extract(output.0.as_slice());
        let info = [rp_id.as_bytes(), &[0], credential_id];
        let expanded = pseudorandom.expand(&info, Length).map_err(|_| refused())?;
        expanded.fill(secret.as_mut_slice()).map_err(|_| refused())?;
        text_of(&secret).and_then(|text| text.parse().ok()).map(Self).ok_or_else(refused)
    }

    /// To whom a secret is sealed so that this identity opens it.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }
}

/// Bytes of an X25519 secret key.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

/// `AGE-SECRET-KEY-1...`: the one way to an identity that age offers. Written in place, so that no copy stays behind.
fn text_of(secret: &[u8; 32]) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(128));
    let mut writer = Bech32Writer::new(IDENTITY_PREFIX, Variant::Bech32, &mut *text).ok()?;
    secret.write_base32(&mut writer).ok()?;
    writer.finalize().ok()?;
    text.make_ascii_uppercase();
    Some(text)
}

/// To whom a secret is sealed: a security key, or a backup that is kept offline. Public; written `age1...`.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Recipient {
    type Err = Error;

    /// Never says what was typed: it may be the secret half, whole or mangled.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.to_ascii_lowercase().contains(IDENTITY_PREFIX) {
            return Err(Error::usage("that is the secret half of an age key, and whoever sees it can open the backup")
                .hint("give the public half, age1...: `age-keygen -y FILE` prints it"));
        }
        let recipient = text.parse().map_err(|reason| {
            let reason = match reason {
                "incorrect HRP" => "it is of a kind that can't be used here",
                _ => "it is mistyped or cut off",
            };
            Error::usage(format!("that is no age recipient: {reason}"))
                .hint("give the public half of an X25519 key, age1... and 58 more characters: `age-keygen` makes one")
        });
        recipient.map(Self)
    }
}

/// Seals a secret to each of the recipients, as an age file in ASCII armor.
///
/// # Errors
/// Where there is no recipient; it would be lost.
pub fn seal(secret: &Secret, recipients: &[Recipient]) -> Result<String, Error> {
    if recipients.is_empty() {
        return Err(Error::usage("a secret that is sealed to nobody can't be opened again"));
    }
    let refused = |reason: &dyn fmt::Display| Error::failed(format!("the secret can't be sealed: {reason}"));
    let recipients = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(recipients).map_err(|error| refused(&error))?;
    let write = || {
        let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armor)?;
        writer.write_all(secret.expose().as_bytes())?;
        writer.finish()?.finish()
    };
    let file = write().map_err(|error| refused(&error))?;
    String::from_utf8(file).map_err(|error| refused(&error))
}

/// Opens what [`seal`] sealed to this identity, among others.
///
/// # Errors
/// [`ErrorCode::NoSecurityKey`] where it is sealed to others; [`ErrorCode::VerificationFailed`] where it was cut off or
/// changed, or is something else.
pub fn unseal(armored: &str, identity: &Identity) -> Result<Secret, Error> {
    let armored = armored.trim();
    if !armored.starts_with(BEGIN) {
        return Err(damaged("it is no age file in ASCII armor"));
    }
    if !armored.ends_with(END) {
        return Err(damaged(CUT_OFF));
    }
    let decryptor = Decryptor::new(ArmoredReader::new(armored.as_bytes())).map_err(|error| not_opened(&error))?;
    let identities = std::iter::once(&identity.0 as &dyn age::Identity);
    let mut reader = decryptor.decrypt(identities).map_err(|error| not_opened(&error))?;
    // The file is longer than what is in it: a vector that grows leaves copies behind, which nobody wipes.
    let mut secret = Zeroizing::new(Vec::with_capacity(armored.len()));
    reader.read_to_end(&mut secret).map_err(|error| not_opened(&DecryptError::Io(error)))?;
    Secret::from_utf8(std::mem::take(&mut *secret))
        .ok_or_else(|| Error::new(ErrorCode::VerificationFailed, "what is sealed there is no UTF-8 text"))
}

const CUT_OFF: &str = "it was cut off";

fn damaged(reason: &str) -> Error {
    Error::new(ErrorCode::VerificationFailed, format!("the sealed secret can't be opened: {reason}"))
        .hint("put the secret in anew, or take the file from a backup")
}

fn not_opened(error: &DecryptError) -> Error {
    match error {
        DecryptError::NoMatchingKeys => {
            Error::new(ErrorCode::NoSecurityKey, "the secret is not sealed to this security key")
                .hint("use a key that it was sealed to, or its backup: age --decrypt -i BACKUP FILE")
        }
        DecryptError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => damaged(CUT_OFF),
        DecryptError::UnknownFormat => damaged("it was changed, or is of a version of age that is not known here"),
        _ => damaged("it was changed"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, KeyOutput, Recipient, seal, text_of, unseal};
    use crate::protocol::messages::ErrorCode;
    use crate::protocol::secret::Secret;
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    fn identity(byte: u8, credential: &[u8]) -> Identity {
        Identity::derive(&KeyOutput::new(Zeroizing::new([byte; 32])), "localhost", credential).unwrap()
    }

    fn sealed(text: &str) -> String {
        seal(&Secret::new(text.to_owned()), &[identity(1, b"one").recipient()]).unwrap()
    }

    #[test]
    fn each_of_the_keys_opens_it_and_no_other() {
        let (one, other) = (identity(1, b"one"), identity(2, b"other"));
        let armored = seal(&Secret::new("hunter2".into()), &[one.recipient(), other.recipient()]).unwrap();
        assert_eq!(unseal(&armored, &one).unwrap().expose(), "hunter2");
        assert_eq!(unseal(&armored, &other).unwrap().expose(), "hunter2");
        let refused = unseal(&armored, &identity(3, b"one")).unwrap_err();
        assert_eq!(refused.code, ErrorCode::NoSecurityKey);
        assert_eq!(refused.message, "the secret is not sealed to this security key");
    }

    #[test]
    fn output_relying_party_and_credential_each_make_another_identity() {
        let of = |byte, rp_id: &str, credential: &[u8]| {
            let output = KeyOutput::new(Zeroizing::new([byte; 32]));
            Identity::derive(&output, rp_id, credential).unwrap().recipient().to_string()
        };
        let one = of(1, "localhost", b"one");
        assert_eq!(one, of(1, "localhost", b"one"));
        let others = [
            of(2, "localhost", b"one"),
            of(1, "localhostone", b""),
            of(1, "local", b"hostone"),
            of(1, "localhost", b""),
        ];
        assert!(!others.contains(&one), "{others:?}");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let armored = sealed("hunter2");
        let key = identity(1, b"one");
        let wrong = |text: &str| {
            let error = unseal(text, &key).unwrap_err();
            (error.code, error.message.replace("the sealed secret can't be opened: ", ""))
        };
        let damaged = |reason: &str| (ErrorCode::VerificationFailed, reason.to_owned());
        assert_eq!(wrong(""), damaged("it is no age file in ASCII armor"));
        assert_eq!(wrong("age-encryption.org/v1\n"), damaged("it is no age file in ASCII armor"));
        assert_eq!(wrong(&armored[..armored.len() / 2]), damaged("it was cut off"));
        // The secret's own end, by one character, and the last line as a whole. How long it is differs: age adds a
        // recipient of random length that is none.
        let lines: Vec<&str> = armored.lines().collect();
        let (last, end) = (lines[lines.len() - 2], lines[lines.len() - 1]);
        let (kept, turned) = last.split_at(last.len() - 4);
        let turned = turned.replacen(&turned[..1], if turned.starts_with('A') { "B" } else { "A" }, 1);
        assert_eq!(wrong(&armored.replace(last, &format!("{kept}{turned}"))), damaged("it was changed"));
        assert_eq!(wrong(&armored.replace(&format!("{last}\n{end}"), end)).0, ErrorCode::VerificationFailed);
        // A first line of another version; `v1` that can't be read looks the same to age.
        let first = lines[1].replacen("YWdlLWVuY3J5cHRpb24ub3JnL3Yx", "YWdlLWVuY3J5cHRpb24ub3JnL3Yy", 1);
        let later = "it was changed, or is of a version of age that is not known here";
        assert_eq!(wrong(&armored.replace(lines[1], &first)), damaged(later));
        assert_eq!(unseal(&format!("\n{armored}\n\n"), &key).unwrap().expose(), "hunter2", "blank lines are nothing");
    }

    #[test]
    fn nothing_but_text_comes_out() {
        let key = identity(1, b"one");
        let recipient = key.recipient().0;
        let armored = age::encrypt_and_armor(&recipient, &[0xff, 0xfe]).unwrap();
        assert_eq!(unseal(&armored, &key).unwrap_err().message, "what is sealed there is no UTF-8 text");
    }

    #[test]
    fn a_secret_key_given_as_recipient_is_refused_and_not_shown() {
        let secret = text_of(&[7; 32]).unwrap();
        for text in
            [secret.to_string(), secret.to_lowercase(), format!("# my key\n{}", *secret), secret[..40].to_owned()]
        {
            let error = text.parse::<Recipient>().unwrap_err();
            assert!(error.message.starts_with("that is the secret half of an age key"), "{error:?}");
            assert!(!format!("{error:?}").contains(&secret[20..30]), "{error:?}");
        }
    }

    #[test]
    fn a_recipient_is_read_back_and_anything_else_is_explained() {
        let recipient = identity(1, b"one").recipient();
        let text = recipient.to_string();
        assert!(text.starts_with("age1") && text.len() == 62, "{text}");
        assert_eq!(format!(" {text}\n").parse::<Recipient>().unwrap(), recipient);
        let wrong = |text: &str| text.parse::<Recipient>().unwrap_err().message;
        assert_eq!(wrong(&text[..61]), "that is no age recipient: it is mistyped or cut off");
        assert_eq!(wrong(""), "that is no age recipient: it is mistyped or cut off");
        assert_eq!(wrong("ssh-ed25519 AAAA"), "that is no age recipient: it is mistyped or cut off");
        let hrp = bech32::encode("age1yubikey", bech32::ToBase32::to_base32(&[1; 33]), bech32::Variant::Bech32);
        assert_eq!(wrong(&hrp.unwrap()), "that is no age recipient: it is of a kind that can't be used here");
    }

    #[test]
    fn sealing_to_nobody_is_refused() {
        assert_eq!(seal(&Secret::new("x".into()), &[]).unwrap_err().code, ErrorCode::Usage);
    }

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?}", KeyOutput::new(Zeroizing::new([1; 32]))), "[redacted]");
        assert_eq!(format!("{:?}", identity(1, b"one")), "[redacted]");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_sealed_comes_out_as_it_was(text in any::<String>(), output in any::<[u8; 32]>(), id in any::<Vec<u8>>()) {
            let key = Identity::derive(&KeyOutput::new(Zeroizing::new(output)), "localhost", &id).unwrap();
            let armored = seal(&Secret::new(text.clone()), &[key.recipient()]).unwrap();
            let opened = unseal(&armored, &key).unwrap();
            prop_assert_eq!(opened.expose(), text);
        }

        #[test]
        fn a_changed_file_never_opens_to_something_else(at in any::<prop::sample::Index>(), byte in 0x20..0x7f_u8) {
            let armored = sealed("hunter2");
            let mut bytes = armored.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            match unseal(&changed, &identity(1, b"one")) {
                Ok(secret) => prop_assert!(secret.expose() == "hunter2" && changed.trim() == armored.trim()),
                Err(error) => prop_assert!(!error.message.is_empty()),
            }
        }
    }
}
