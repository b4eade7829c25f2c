//! Proof of possession (`DPoP`, RFC 9449): a key per elevation, and a proof per request made with it.

use super::encoding::{base64url, from_base64url, random, sha256};
use super::secret::Secret;
use crate::clock::human;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use url::Url;

/// How far a proof's `iat` may be from the authority's clock, in seconds.
pub const IAT_WINDOW: u64 = 60;

/// A P-256 key made for one elevation. Its private half lives as long as the grant.
#[derive(Clone)]
pub struct ProofKey {
    pkcs8: Secret,
    key: EncodingKey,
    jwk: Jwk,
    jkt: String,
}

/// A key or a proof that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DpopError {
    /// Not a proof at all, or not for this request: `invalid_dpop_proof` (RFC 9449 section 5).
    #[error("the DPoP proof is not acceptable: {0}")]
    Invalid(&'static str),
    /// It was made at another time than it is here: `invalid_dpop_proof` as well.
    #[error("the clock of this machine is {} {} the authority's", human(.ahead.unsigned_abs()), if *.ahead < 0 { "behind" } else { "ahead of" })]
    Clock {
        /// By how many seconds the client's clock is ahead.
        ahead: i64,
    },
    /// The nonce is missing or too old: `use_dpop_nonce` (RFC 9449 section 8).
    #[error("the DPoP proof needs a fresh nonce")]
    NonceNeeded,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
}

/// What one proof must be for.
pub struct Expected<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// The endpoint's URL, without query and fragment.
    pub url: &'a str,
    /// The access token presented with the proof, if one is.
    pub access_token: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

/// A proof that passed.
#[derive(Debug)]
pub struct Proof {
    /// Thumbprint of the key that signed (RFC 7638, SHA-256).
    pub jkt: String,
    /// The proof's id; the caller sees to it that it is used once.
    pub jti: String,
}

impl ProofKey {
    /// A new key.
    ///
    /// # Errors
    /// Where the cryptographic library can't make one.
    pub fn generate() -> Result<Self, DpopError> {
        let unusable = |_| DpopError::Invalid("no key could be made");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(unusable)?;
        let der = pair.to_pkcs8v1().map_err(unusable)?;
        Self::from_stored(Secret::new(base64url(der.as_ref())))
    }

    /// The key behind [`ProofKey::to_stored`].
    ///
    /// # Errors
    /// Where the text is no such key.
    pub fn from_stored(pkcs8: Secret) -> Result<Self, DpopError> {
        let unusable = || DpopError::Invalid("the stored key can't be read");
        let der = zeroize::Zeroizing::new(from_base64url(pkcs8.expose()).ok_or_else(unusable)?);
        let key = EncodingKey::from_ec_der(&der);
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).map_err(|_| unusable())?;
        jwk.common.key_algorithm = None;
        let jkt = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| unusable())?;
        Ok(Self { pkcs8, key, jwk, jkt })
    }

    /// PKCS#8, base64url: for the grant store only.
    #[must_use]
    pub fn to_stored(&self) -> Secret {
        self.pkcs8.clone()
    }

    /// RFC 7638 thumbprint, SHA-256, base64url.
    #[must_use]
    pub fn jkt(&self) -> &str {
        &self.jkt
    }

    /// A proof for one request (RFC 9449 section 4.2).
    ///
    /// # Errors
    /// Where signing fails.
    pub fn prove(&self, expected: &Expected<'_>, nonce: Option<&str>) -> Result<String, DpopError> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("dpop+jwt".to_owned());
        header.jwk = Some(self.jwk.clone());
        let claims = Claims {
            jti: base64url(random::<16>()),
            htm: expected.method.to_owned(),
            htu: expected.url.to_owned(),
            iat: expected.now.as_second(),
            nonce: nonce.map(str::to_owned),
            ath: expected.access_token.map(token_hash),
        };
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(|_| DpopError::Invalid("signing failed"))
    }
}

/// Every check of RFC 9449 section 4.3 but the first (one header; the router's) and the proof's single use (the caller's).
///
/// # Errors
/// [`DpopError`], saying which check failed.
pub fn verify(proof: &str, expected: &Expected<'_>, fresh: impl Fn(&str) -> bool) -> Result<Proof, DpopError> {
    use DpopError::Invalid;
    let raw_header: serde_json::Value = proof
        .split('.')
        .next()
        .and_then(from_base64url)
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or(Invalid("it is no JWT"))?;
    if raw_header.pointer("/jwk/d").is_some() {
        return Err(Invalid("its header carries a private key"));
    }
    let header = jsonwebtoken::decode_header(proof).map_err(|_| Invalid("its header can't be read"))?;
    if header.typ.as_deref() != Some("dpop+jwt") {
        return Err(Invalid("'typ' is not 'dpop+jwt'"));
    }
    if header.alg != Algorithm::ES256 || header.crit.is_some() {
        return Err(Invalid("'alg' is not ES256, or it has a 'crit' header"));
    }
    let jwk = header.jwk.ok_or(Invalid("it has no 'jwk'"))?;
    // The library takes the point and not the curve's name, which the thumbprint is made of.
    let on_p256 = matches!(&jwk.algorithm, AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256);
    let no_key = Invalid("its 'jwk' is no P-256 key");
    let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| on_p256).ok_or(no_key)?;
    let claims: Claims = jsonwebtoken::decode(proof, &key, &signature_only(Algorithm::ES256))
        .map_err(|_| Invalid("its signature or claims are wrong"))?
        .claims;
    if claims.htm != expected.method {
        return Err(Invalid("'htm' is another method"));
    }
    if !is_same_url(&claims.htu, expected.url) {
        return Err(Invalid("'htu' is another URL"));
    }
    let ahead = claims.iat.saturating_sub(expected.now.as_second());
    if ahead.unsigned_abs() > IAT_WINDOW {
        return Err(DpopError::Clock { ahead });
    }
    if claims.ath != expected.access_token.map(token_hash) {
        return Err(Invalid("'ath' is not the hash of the access token"));
    }
    if claims.jti.is_empty() || claims.jti.len() > 128 {
        return Err(Invalid("'jti' is empty or too long"));
    }
    if !claims.nonce.as_deref().is_some_and(fresh) {
        return Err(DpopError::NonceNeeded);
    }
    let jkt = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| Invalid("its 'jwk' has no thumbprint"))?;
    Ok(Proof { jkt, jti: claims.jti })
}

/// RFC 9449 section 4.3, check 9: without query and fragment, and however the same URL may be written (RFC 3986 sections
/// 6.2.2 and 6.2.3).
fn is_same_url(htu: &str, expected: &str) -> bool {
    let written = htu.split(['?', '#']).next().unwrap_or_default();
    written == expected || normal(written).is_some_and(|url| normal(expected) == Some(url))
}

fn normal(url: &str) -> Option<Url> {
    // What a browser mends is no URL.
    let mut url = Url::parse(url).ok().filter(|_| url.chars().all(|c| c.is_ascii_graphic() && c != '\\'))?;
    let path = percent_encoding_normal(url.path())?;
    url.set_path(&path);
    Some(url)
}

/// RFC 3986 sections 6.2.2.1 and 6.2.2.2: hexadecimal digits are upper-case, and what needs no encoding has none.
fn percent_encoding_normal(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut normal = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let byte = u8::from_str_radix(digits, 16).ok()?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            normal.push(char::from(byte));
        } else {
            normal.extend(["%", &digits.to_ascii_uppercase()]);
        }
        normal.push_str(rest);
    }
    Some(normal)
}

/// RFC 9449 section 4.2, `ath`.
fn token_hash(access_token: &str) -> String {
    base64url(sha256(&[access_token.as_bytes()]))
}

/// The library checks the signature; names, audiences and times are checked here, against our own clock.
pub(crate) fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://localhost/x/token";

    fn expected(access_token: Option<&str>) -> Expected<'_> {
        Expected { method: "POST", url: URL, access_token, now: Timestamp::from_second(1_000_000).unwrap() }
    }

    #[test]
    fn a_proof_is_for_its_request_only() {
        let key = ProofKey::generate().unwrap();
        let proof = key.prove(&expected(Some("token")), Some("n")).unwrap();
        let fresh = |nonce: &str| nonce == "n";
        assert_eq!(verify(&proof, &expected(Some("token")), fresh).unwrap().jkt, key.jkt());
        let later = Timestamp::from_second(1_000_000 + 61).unwrap();
        let others = [
            Expected { method: "GET", ..expected(Some("token")) },
            Expected { url: "https://localhost/y/token", ..expected(Some("token")) },
            expected(Some("other")),
            expected(None),
        ];
        for other in others {
            assert!(matches!(verify(&proof, &other, fresh), Err(DpopError::Invalid(_))));
        }
        let clocks = Expected { now: later, ..expected(Some("token")) };
        assert_eq!(verify(&proof, &clocks, fresh).unwrap_err(), DpopError::Clock { ahead: -61 });
        assert_eq!(verify(&proof, &expected(Some("token")), |_| false).unwrap_err(), DpopError::NonceNeeded);
    }

    #[test]
    fn one_url_is_written_in_many_ways() {
        let same = [
            "HTTPS://LOCALHOST/x/token",
            "https://localhost:443/x/token",
            "https://localhost/x/token?a=b",
            "https://localhost/x/token#a",
            "https://localhost/y/../x/./token",
            "https://localhost/%78/tok%65n",
        ];
        for htu in same {
            assert!(is_same_url(htu, URL), "{htu}");
        }
        assert!(is_same_url("https://localhost/a%2fb", "https://localhost/a%2Fb"));
        let others = [
            "http://localhost/x/token",
            "https://localhost:8443/x/token",
            "https://user@localhost/x/token",
            "https://localhost./x/token",
            "https://localhost/X/token",
            "https://localhost/x/token/",
            "https://localhost/x%2Ftoken",
            "https://localhost/x/token%00",
            "https:\\\\localhost\\x\\token",
            " https://localhost/x/token",
            "https://localhost/x/to\nken",
            "/x/token",
            "",
        ];
        for htu in others {
            assert!(!is_same_url(htu, URL), "{htu:?}");
        }
    }

    #[test]
    fn clocks_that_differ_are_named_as_what_is_wrong() {
        let says = |ahead| DpopError::Clock { ahead }.to_string();
        assert_eq!(says(3600), "the clock of this machine is 1h ahead of the authority's");
        assert_eq!(says(-5400), "the clock of this machine is 1h 30m behind the authority's");
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        // RFC 9449 section 6.1: the key of figure 2, its thumbprint in figure 7.
        let jwk: Jwk = serde_json::from_value(serde_json::json!({
            "kty": "EC", "crv": "P-256",
            "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        }))
        .unwrap();
        assert_eq!(jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }
}
