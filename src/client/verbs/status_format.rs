//! `elevate status --format`: a line a grant, for shell prompts and status bars.

use crate::client::elevation::read_claims;
use crate::client::error::Error;
use crate::client::grant_store::StoredGrant;
use crate::clock::{human, seconds_between};
use crate::protocol::display::escaped;
use crate::protocol::names::Malformed;
use jiff::Timestamp;
use std::str::FromStr;

/// A line with placeholders, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantFormat(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Resource,
    Left,
    ExpiresAt,
    Acr,
    Scope,
}

impl FromStr for GrantFormat {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            parts.push(Part::Text(before.to_owned()));
            // A brace that is meant is written twice.
            if let Some(doubled) = ["{{", "}}"].into_iter().find(|doubled| brace.starts_with(doubled)) {
                parts.push(Part::Text(doubled[1..].to_owned()));
                rest = &brace[2..];
                continue;
            }
            let (name, after) = brace
                .strip_prefix('{')
                .and_then(|named| named.split_once('}'))
                .ok_or_else(|| Malformed("a brace stands alone: write {{ or }} for one that is meant".into()))?;
            parts.push(match name {
                "resource" => Part::Resource,
                "left" => Part::Left,
                "expires_at" => Part::ExpiresAt,
                "acr" => Part::Acr,
                "scope" => Part::Scope,
                _ => {
                    return Err(Malformed(format!(
                        "there is no {{{}}}: write {{resource}}, {{left}}, {{expires_at}}, {{acr}} or {{scope}}",
                        escaped(name)
                    )));
                }
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }
}

impl GrantFormat {
    /// The line of one grant. What the authority said of it is escaped; what the user wrote around it is theirs.
    ///
    /// # Errors
    /// Where its token can't be read.
    pub fn line(&self, grant: &StoredGrant, now: Timestamp) -> Result<String, Error> {
        let claims = read_claims(grant)?;
        let mut line = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Resource => line.push_str(grant.resource.as_str()),
                Part::Left => line.push_str(&human(seconds_between(now, grant.expires_at))),
                Part::ExpiresAt => line.push_str(&grant.expires_at.to_string()),
                Part::Acr => line.push_str(&escaped(&claims.acr)),
                Part::Scope => line.push_str(&escaped(&claims.scope)),
            }
        }
        line.push('\n');
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::GrantFormat;

    #[test]
    fn what_is_no_placeholder_is_refused() {
        for good in
            ["", "plain", "{resource}", "{{literal}}", "{resource}:{left} {acr} {scope} {expires_at}", "{{{left}}}"]
        {
            assert!(good.parse::<GrantFormat>().is_ok(), "{good}");
        }
        for bad in ["{", "}", "{}", "{Resource}", "{left", "left}", "{resource }", "{grant_id}", "{\u{1b}}", "{{left}"]
        {
            assert!(bad.parse::<GrantFormat>().is_err(), "{bad}");
        }
    }
}
