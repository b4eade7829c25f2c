//! The identity token of a workload, where one is given: what it says, never the token.

use super::Finding;
use crate::client::error::Error;
use crate::client::identity_token::IdentityToken;
use crate::clock::Clock;
use std::fs::metadata;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// `None`, where there is none, as for people.
pub fn identity_token(named: Option<&Path>) -> Option<Finding> {
    const NAME: &str = "identity token";
    let token = match IdentityToken::given(named) {
        Ok(token) => token?,
        Err(error) => return Some(Finding::bad(NAME, error)),
    };
    let sound = token.jwt(&Clock::system()).and_then(|_| match token.file() {
        Some(file) if others_read(file) => Err(Error::failed(format!("others can read the one in {}", token.place()))
            .hint(format!("chmod 600 {}\nin Kubernetes, `defaultMode: 0400` of its volume", token.place()))),
        Some(_) | None => Ok(()),
    });
    let audience = match token.audience() {
        [] => "nobody: it has no 'aud', and no authority takes it".to_owned(),
        audience => audience.join(", "),
    };
    let ends = token.ends().map_or_else(|| "never, by itself".to_owned(), |end| end.to_string());
    let finding = match sound {
        Ok(()) => Finding::good(NAME, format!("{} is who asks, by the one in {}", token.subject(), token.place())),
        Err(error) => Finding::bad(NAME, error),
    };
    Some(finding.with(vec![format!("made out for: {audience}"), format!("ends: {ends}")]))
}

fn others_read(file: &Path) -> bool {
    metadata(file).is_ok_and(|about| about.permissions().mode() & 0o077 != 0)
}
