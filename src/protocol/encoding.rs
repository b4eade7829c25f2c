//! base64url without padding (RFC 4648 section 5), SHA-256 and RFC 8785 JSON: the three encodings
//! that everything signed or hashed here goes through.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// base64url, no padding.
#[must_use]
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes behind [`base64url`]; `None` where the text is not exactly that.
#[must_use]
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// SHA-256 over the parts, one after the other.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// RFC 8785 (JCS) bytes of a value.
///
/// # Errors
/// Where the value has no JSON form (a map with non-string keys, a NaN).
pub fn canonical_json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json_canonicalizer::to_vec(value)
}

/// `N` bytes from the system's random source.
///
/// # Panics
/// Where the kernel has no randomness to give: there is nothing safe to do then.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[allow(clippy::expect_used, reason = "without randomness nothing safe can be done")]
    aws_lc_rs::rand::fill(&mut bytes).expect("the kernel gives randomness");
    bytes
}
