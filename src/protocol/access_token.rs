//! The access token: an `at+jwt` (RFC 9068), ES256, for one audience, bound to a proof key.

use super::dpop::signature_only;
use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::{Deserialize, Serialize};

/// The claims of RFC 9068 section 2.2, with `cnf` (RFC 9449 section 6.1) and `txn` (RFC 8417 section 2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// The one audience.
    pub aud: String,
    /// Subject.
    pub sub: String,
    /// OAuth client.
    pub client_id: String,
    /// Issued at, Unix seconds.
    pub iat: i64,
    /// Dies at, Unix seconds.
    pub exp: i64,
    /// The grant's id.
    pub jti: String,
    /// Granted scope.
    pub scope: String,
    /// When the step-up happened; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// The rung really reached.
    pub acr: String,
    /// How it was reached (RFC 8176).
    pub amr: Vec<String>,
    /// What the token is bound to.
    pub cnf: Confirmation,
    /// The elevation this token comes from: the `elevation` of its log entry.
    pub txn: String,
}

/// RFC 7800 confirmation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// RFC 7638 thumbprint of the proof key.
    pub jkt: String,
}

/// Why a token is not taken. One text for callers: which check failed is nobody's business but the log's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the access token is not acceptable: {0}")]
pub struct NotAcceptable(pub &'static str);

/// Signs claims.
///
/// # Errors
/// Where the key can't sign.
pub fn sign(claims: &Claims, kid: &str, key: &EncodingKey) -> Result<String, NotAcceptable> {
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some(kid.to_owned());
    jsonwebtoken::encode(&header, claims, key).map_err(|_| NotAcceptable("signing failed"))
}

/// Checks as a resource server does (RFC 9068 section 4): `typ`, `alg`, `kid` in our own set, signature, issuer,
/// audience, time. Nothing in the token's header but `kid` chooses anything.
///
/// # Errors
/// [`NotAcceptable`], with the check that failed.
pub fn verify(
    token: &str,
    keys: &JwkSet,
    issuer: &str,
    audience: Option<&str>,
    now: Timestamp,
) -> Result<Claims, NotAcceptable> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| NotAcceptable("its header can't be read"))?;
    if !matches!(header.typ.as_deref(), Some("at+jwt" | "application/at+jwt")) {
        return Err(NotAcceptable("'typ' is not 'at+jwt'"));
    }
    if header.alg != Algorithm::ES256 || header.crit.is_some() {
        return Err(NotAcceptable("'alg' is not ES256, or it has a 'crit' header"));
    }
    let kid = header.kid.ok_or(NotAcceptable("it has no 'kid'"))?;
    let jwk = keys.find(&kid).ok_or(NotAcceptable("its 'kid' is unknown"))?;
    let key = DecodingKey::from_jwk(jwk).map_err(|_| NotAcceptable("the key it names can't be used"))?;
    let claims: Claims = jsonwebtoken::decode(token, &key, &signature_only(Algorithm::ES256))
        .map_err(|_| NotAcceptable("its signature or claims are wrong"))?
        .claims;
    if claims.iss != issuer {
        return Err(NotAcceptable("it is from another issuer"));
    }
    if audience.is_some_and(|audience| claims.aud != audience) {
        return Err(NotAcceptable("it is for another audience"));
    }
    if claims.exp <= now.as_second() {
        return Err(NotAcceptable("its time is over"));
    }
    if claims.iat > now.as_second() + 60 {
        return Err(NotAcceptable("it is from the future"));
    }
    Ok(claims)
}
