//! Who answers: an authority's metadata (RFC 8414), held to the address that was asked and to what we can speak.

use super::address::Address;
use super::error::Error;
use super::transport::Reply;
use super::trust::KnownAuthority;
use crate::protocol::VERSION;
use crate::protocol::display::escaped;
use crate::protocol::issuer::Issuer;
use crate::protocol::messages::ErrorCode;
use serde::Deserialize;

/// RFC 8414 section 3.
const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// What of the metadata every version of the protocol has.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    #[serde(default)]
    elevate_protocol_versions: Vec<u32>,
    #[serde(default)]
    elevate_log_key: String,
}

/// Where the metadata stands: the issuer's path comes after the well-known part (RFC 8414 section 3.1).
#[must_use]
pub fn path(address: &Address) -> String {
    format!("{WELL_KNOWN}{}", address.issuer().map_or("", Issuer::path))
}

/// Who answered at this address.
///
/// # Errors
/// [`ErrorCode::VerificationFailed`], where it is another issuer than was asked for (section 3.3);
/// [`ErrorCode::AuthorityUnreachable`], where it is no authority, or one that speaks another version, with whose side is
/// older.
pub fn read(address: &Address, reply: &Reply) -> Result<KnownAuthority, Error> {
    let failed = |message: String| Error::new(ErrorCode::VerificationFailed, message);
    let metadata: Option<Metadata> =
        reply.status.is_success().then(|| serde_json::from_slice(&reply.body).ok()).flatten();
    let Some(metadata) = metadata else { return Err(no_authority(address, reply)) };
    if let Some(expected) = address.issuer()
        && expected.as_str() != metadata.issuer
    {
        let message = format!("the authority at {address} says that it is {}", escaped(&metadata.issuer));
        return Err(failed(message).hint("it is used under the name it has itself; somebody else's is not"));
    }
    let issuer: Issuer = metadata
        .issuer
        .parse()
        .map_err(|_| failed(format!("the authority's issuer is none: {}", escaped(&metadata.issuer))))?;
    speaks(&issuer, &metadata.elevate_protocol_versions)?;
    Ok(KnownAuthority::at(address, issuer, metadata.elevate_log_key))
}

fn speaks(issuer: &Issuer, versions: &[u32]) -> Result<(), Error> {
    if versions.contains(&VERSION) {
        return Ok(());
    }
    let theirs: Vec<String> = versions.iter().map(u32::to_string).collect();
    let theirs = if theirs.is_empty() { "none that it names".to_owned() } else { theirs.join(", ") };
    let we_are_older = versions.iter().all(|version| *version > VERSION) && !versions.is_empty();
    let hint = if we_are_older { "upgrade elevate on this machine" } else { "the authority has to be upgraded" };
    let message = format!("{issuer} speaks protocol version {theirs}, this elevate {VERSION}");
    Err(Error::new(ErrorCode::AuthorityUnreachable, message).hint(hint))
}

fn no_authority(address: &Address, reply: &Reply) -> Error {
    let message = format!("{address} is answered by no authority of elevate: HTTP status {}", reply.status.as_u16());
    let error = Error::new(ErrorCode::AuthorityUnreachable, message);
    match &reply.location {
        Some(location) if reply.status.is_redirection() => error
            .hint(format!("it redirects to {}, which is not followed: write where it is itself", escaped(location))),
        Some(_) | None => error.hint("look whether host, port and path are the authority's"),
    }
}

#[cfg(test)]
mod tests {
    use super::{path, read};
    use crate::client::address::Address;
    use crate::client::error::Error;
    use crate::client::transport::Reply;
    use crate::client::trust::KnownAuthority;
    use crate::protocol::messages::ErrorCode;
    use serde_json::{Value, json};

    const ADDRESS: &str = "https://elevate.example.com/team";

    fn answered(status: u16, body: &Value) -> Result<KnownAuthority, Error> {
        let (status, body) = (status.try_into().unwrap(), body.to_string().into_bytes());
        read(&ADDRESS.parse().unwrap(), &Reply { status, body, location: None })
    }

    fn metadata(issuer: &str, versions: &[u32]) -> Value {
        json!({ "issuer": issuer, "elevate_protocol_versions": versions, "elevate_log_key": "key" })
    }

    #[test]
    fn the_issuer_is_the_address_byte_for_byte() {
        assert_eq!(answered(200, &metadata(ADDRESS, &[1])).unwrap().issuer.as_str(), ADDRESS);
        for other in
            ["https://elevate.example.com", "https://elevate.example.com/team/", "https://evil.example/team", ""]
        {
            assert_eq!(
                answered(200, &metadata(other, &[1])).unwrap_err().code,
                ErrorCode::VerificationFailed,
                "{other}"
            );
        }
        let embedded =
            Reply { status: 200.try_into().unwrap(), body: metadata("none", &[1]).to_string().into(), location: None };
        assert_eq!(read(&Address::Embedded, &embedded).unwrap_err().code, ErrorCode::VerificationFailed);
    }

    #[test]
    fn a_mismatch_of_versions_names_the_older_side() {
        for (versions, hint) in [
            (&[2, 3][..], "upgrade elevate on this machine"),
            (&[0], "the authority has to be upgraded"),
            (&[], "the authority has to be upgraded"),
        ] {
            let error = answered(200, &metadata(ADDRESS, versions)).unwrap_err();
            assert_eq!(
                (error.code, error.hint.as_deref()),
                (ErrorCode::AuthorityUnreachable, Some(hint)),
                "{versions:?}"
            );
        }
        assert!(answered(200, &metadata(ADDRESS, &[0, 1, 2])).is_ok());
    }

    #[test]
    fn what_is_no_authority_is_said_with_its_status() {
        let error = answered(502, &json!("bad gateway")).unwrap_err();
        assert_eq!(error.message, format!("{ADDRESS} is answered by no authority of elevate: HTTP status 502"));
        assert!(answered(200, &json!({ "hello": "world" })).is_err());
    }

    #[test]
    fn the_path_of_the_metadata_ends_with_the_issuers() {
        assert_eq!(path(&ADDRESS.parse().unwrap()), "/.well-known/oauth-authorization-server/team");
        assert_eq!(path(&Address::Embedded), "/.well-known/oauth-authorization-server");
    }
}
