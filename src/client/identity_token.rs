//! Who a workload is: an identity token (a JWT) that its platform gave it, from a file or a variable, in place of the
//! account it runs as. It is sent as the `subject_token` of RFC 8693 and goes nowhere else: no argument, no log, no
//! error text, and no command that is run, holds it. Whether it is good is the authority's to say.

use super::error::Error;
use crate::clock::Clock;
use crate::files::read_trusted;
use crate::protocol::display::escaped;
use crate::protocol::encoding::from_base64url;
use crate::protocol::messages::ErrorCode;
use crate::protocol::secret::Secret;
use jiff::Timestamp;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The token itself.
pub const VARIABLE: &str = "ELEVATE_IDENTITY_TOKEN";
/// The path of a file that holds it.
pub const FILE_VARIABLE: &str = "ELEVATE_IDENTITY_TOKEN_FILE";
/// Bytes a token may have.
const TOKEN_MAX: usize = 16 << 10;

/// An identity token that reads as one.
#[derive(Debug)]
pub struct IdentityToken {
    jwt: Secret,
    subject: String,
    /// Where it was.
    place: String,
    /// Where that is a file.
    file: Option<PathBuf>,
    ends: Option<Timestamp>,
    audience: Vec<String>,
}

/// What of its claims we need (RFC 7519 section 4.1).
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    #[serde(default)]
    exp: Option<i64>,
    #[serde(default)]
    aud: Audience,
}

/// One or several; whatever else stands there is the authority's to refuse.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
    None(serde::de::IgnoredAny),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl From<Audience> for Vec<String> {
    fn from(audience: Audience) -> Self {
        match audience {
            Audience::One(one) => vec![one],
            Audience::Several(several) => several,
            Audience::None(_) => Self::new(),
        }
    }
}

impl IdentityToken {
    /// The one that this call was given: the file that was named on the command line, else that of
    /// `ELEVATE_IDENTITY_TOKEN_FILE`, else the value of `ELEVATE_IDENTITY_TOKEN`; `None` where there is none of them.
    ///
    /// # Errors
    /// [`ErrorCode::NotSignedIn`], where it is no token. No text of it is quoted.
    pub fn given(file: Option<&Path>) -> Result<Option<Self>, Error> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(path) = file.map(Path::to_owned).or_else(|| set(FILE_VARIABLE).map(PathBuf::from)) {
            let place = escaped(&path.to_string_lossy());
            let text = read_trusted(&path, TOKEN_MAX as u64)?.map(Secret::new);
            let text =
                text.ok_or_else(|| not_signed_in(format!("there is no identity token in {place}: no such file")))?;
            return Ok(Some(Self { file: Some(path), ..Self::parse(&text, &place)? }));
        }
        let Some(value) = set(VARIABLE) else { return Ok(None) };
        let text = Secret::from_utf8(value.into_encoded_bytes()).ok_or_else(|| no_token(VARIABLE, "it is no text"))?;
        Self::parse(&text, VARIABLE).map(Some)
    }

    fn parse(text: &Secret, place: &str) -> Result<Self, Error> {
        let bare = text.expose().strip_suffix('\n').unwrap_or(text.expose());
        let bare = bare.strip_suffix('\r').unwrap_or(bare);
        if bare.len() > TOKEN_MAX {
            return Err(no_token(place, &format!("it is bigger than {TOKEN_MAX} bytes")));
        }
        if bare.contains(['\n', '\r']) {
            return Err(no_token(place, "it has more than one line"));
        }
        let parts: Vec<&str> = bare.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(no_token(place, "it has not three parts with a dot between them"));
        };
        let decoded = [header, payload, signature].map(|part| from_base64url(part).filter(|part| !part.is_empty()));
        let [Some(header), Some(payload), Some(_)] = decoded else {
            return Err(no_token(place, "its parts are not base64url"));
        };
        let is_object = |bytes: &[u8]| serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(bytes).is_ok();
        let claims = serde_json::from_slice(&payload).ok().filter(|_| is_object(&header));
        let Some(Claims { iss, sub, exp, aud }) = claims else {
            return Err(no_token(place, "it has no header, or no 'iss' and 'sub'"));
        };
        if iss.is_empty() || sub.is_empty() || iss.contains('#') {
            return Err(no_token(place, "its 'iss' or 'sub' names nobody"));
        }
        Ok(Self {
            jwt: Secret::new(bare.to_owned()),
            subject: format!("{iss}#{sub}"),
            place: place.to_owned(),
            file: None,
            audience: aud.into(),
            ends: exp.and_then(|exp| Timestamp::from_second(exp).ok()),
        })
    }

    /// The token, for the authority alone. What was granted with one outlives it, so that only here it must not have ended.
    ///
    /// # Errors
    /// [`ErrorCode::NotSignedIn`], where it has ended.
    pub fn jwt(&self, clock: &Clock) -> Result<&Secret, Error> {
        match self.ends.filter(|end| *end <= clock.now()) {
            None => Ok(&self.jwt),
            Some(end) => Err(not_signed_in(format!("the identity token in {} ended at {end}", self.place))
                .hint("get a new one from whoever gave you this one")),
        }
    }

    /// Where it was: a file or the variable.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The file, where it was in one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Until when it is good, where it says.
    #[must_use]
    pub const fn ends(&self) -> Option<Timestamp> {
        self.ends
    }

    /// For whom it was made out.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        &self.audience
    }

    /// Whom grants are made out to: issuer and subject, both, since one subject means another with another issuer. An
    /// issuer has no fragment (`OpenID` Connect Core section 2), so that the two can't run into each other.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

fn not_signed_in(message: String) -> Error {
    Error::new(ErrorCode::NotSignedIn, message)
}

fn no_token(place: &str, why: &str) -> Error {
    not_signed_in(format!("what {place} holds is no identity token: {why}")).hint("it takes one JWT, on one line")
}

#[cfg(test)]
mod tests {
    use super::IdentityToken;
    use crate::clock::Clock;
    use crate::protocol::encoding::base64url;
    use crate::protocol::secret::Secret;

    fn jwt(claims: &str) -> String {
        format!("{}.{}.{}", base64url(r#"{"alg":"ES256"}"#), base64url(claims), base64url("signature"))
    }

    fn clock() -> Clock {
        Clock::standing_at("2026-01-01T12:00:00Z".parse().unwrap())
    }

    fn parsed(text: &str) -> Result<IdentityToken, String> {
        IdentityToken::parse(&Secret::new(text.to_owned()), "FILE").map_err(|error| error.message)
    }

    #[test]
    fn a_token_is_one_line_of_three_parts_that_says_who() {
        let good = jwt(r#"{"iss":"https://ci.example","sub":"repo:x","exp":1893456000}"#);
        for text in [good.clone(), format!("{good}\n"), format!("{good}\r\n")] {
            let token = parsed(&text).unwrap();
            let jwt = token.jwt(&clock()).unwrap();
            assert_eq!((jwt.expose(), token.subject()), (good.as_str(), "https://ci.example#repo:x"));
            assert!(!format!("{token:?}").contains(&good));
        }
        parsed(&jwt(r#"{"iss":"a","sub":"b"}"#)).unwrap();
        let bad = [
            (String::new(), "it has not three parts with a dot between them"),
            ("a.b".to_owned(), "it has not three parts with a dot between them"),
            (format!("{good}.x"), "it has not three parts with a dot between them"),
            (format!("{good}\n{good}"), "it has more than one line"),
            (good.replace('.', ".="), "its parts are not base64url"),
            (format!(" {good}"), "its parts are not base64url"),
            ("..".to_owned(), "its parts are not base64url"),
            ("YQ.YQ.YQ".to_owned(), "it has no header, or no 'iss' and 'sub'"),
            (jwt(r#"{"iss":"a"}"#), "it has no header, or no 'iss' and 'sub'"),
            (jwt(r#"{"iss":"a","sub":5}"#), "it has no header, or no 'iss' and 'sub'"),
            (jwt(r#"{"iss":"","sub":"b"}"#), "its 'iss' or 'sub' names nobody"),
            (jwt(r#"{"iss":"a#b","sub":"c"}"#), "its 'iss' or 'sub' names nobody"),
            (format!("{good}{}", "x".repeat(17 << 10)), "it is bigger than 16384 bytes"),
        ];
        for (text, why) in bad {
            let said = parsed(&text).unwrap_err();
            assert_eq!(said, format!("what FILE holds is no identity token: {why}"), "{text}");
        }
        let ended = parsed(&jwt(r#"{"iss":"a","sub":"b","exp":1767268800}"#)).unwrap();
        assert_eq!(ended.subject(), "a#b", "whose grants are kept it still says");
        let said = ended.jwt(&clock()).unwrap_err().message;
        assert_eq!(said, "the identity token in FILE ended at 2026-01-01T12:00:00Z");
    }
}
