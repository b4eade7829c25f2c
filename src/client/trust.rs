//! What this device remembers of an authority: who it is, the key of its log, the last checkpoint seen, and receipts.
//! Each has a directory of its own. Whoever can write these files runs as the user; the authority can't.

use super::address::Address;
use super::error::Error;
use super::patience;
use super::places::Places;
use crate::files::{open_lock, own_directory, read_trusted, replace, try_lock};
use crate::log::checkpoint::{self, TreeHead};
use crate::log::leaf::Event;
use crate::log::receipt::Receipt;
use crate::protocol::encoding::{base64url, from_base64url, sha256};
use crate::protocol::issuer::Issuer;
use crate::protocol::messages::ErrorCode;
use jiff::Timestamp;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const FILE_MAX: u64 = 64 << 10;

/// An authority as first seen, and held to ever after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownAuthority {
    /// Its issuer (RFC 8414).
    pub issuer: Issuer,
    /// Its log's verifier key (C2SP signed-note).
    pub log_key: String,
    /// The name it has in keyrings.
    #[serde(default)]
    keyring: String,
}

impl KnownAuthority {
    /// Whoever answered at `address`. Its keyrings are that address's alone: another one may say that it is the same issuer.
    #[must_use]
    pub fn at(address: &Address, issuer: Issuer, log_key: String) -> Self {
        let keyring = keyring_of(&format!("{issuer}\n{address}"));
        Self { issuer, log_key, keyring }
    }

    /// The name it has in keyrings.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.keyring
    }

    fn is(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.log_key == other.log_key
    }

    /// The relying party id of every security key that is enrolled there.
    #[must_use]
    pub fn rp_id(&self) -> &str {
        self.issuer.host()
    }

    /// The path below which its endpoints are: an issuer has one.
    #[must_use]
    pub fn path(&self) -> &str {
        self.issuer.path()
    }
}

fn keyring_of(whose: &str) -> String {
    base64url(&sha256(&[whose.as_bytes()])[..12])
}

/// The file that says who answers at an address.
#[derive(Serialize, Deserialize)]
struct Met {
    #[serde(flatten)]
    authority: KnownAuthority,
    /// Where it was met; a file of the first release has none, and is of the embedded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

const MET: &str = "authority.json";

/// What was remembered before there could be several authorities, in the order in which it moves: what says that all has
/// moved comes last.
const BEFORE: [&str; 7] =
    ["checkpoint", "checkpoint.lock", "receipts", "dpop-nonce", "names-of-resources", "names-of-keys", MET];

/// The files about whoever answers at one address.
#[derive(Debug, Clone)]
pub struct Trust {
    address: Address,
    directory: PathBuf,
    /// The device's directory, where the embedded authority's files once stood.
    device: PathBuf,
}

impl Trust {
    /// In the user's data directory.
    #[must_use]
    pub fn of(places: &Places, address: &Address) -> Self {
        let directory = authorities(places).join(address.id());
        Self { address: address.clone(), directory, device: places.device.clone() }
    }

    /// The addresses whose authorities this device has met, in no order. What can't be read is passed over.
    #[must_use]
    pub fn met(places: &Places) -> Vec<Address> {
        // What the first release left becomes one of them.
        let _ = Self::of(places, &Address::Embedded).known();
        let entries = std::fs::read_dir(authorities(places)).into_iter().flatten().flatten();
        let address = |path: PathBuf| {
            let text = read_trusted(&path.join(MET), FILE_MAX).ok()??;
            let met: Met = serde_json::from_str(&text).ok()?;
            let address = met.address.map_or(Some(Address::Embedded), |address| address.parse().ok())?;
            // A directory of another name is no address's.
            (path.file_name()?.to_str()? == address.id()).then_some(address)
        };
        entries.filter_map(|entry| address(entry.path())).collect()
    }

    /// Where these files stand.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The authority that is trusted; `None` before first contact.
    ///
    /// # Errors
    /// Where the file can't be used.
    pub fn known(&self) -> Result<Option<KnownAuthority>, Error> {
        let path = self.file(MET);
        let text = match read_trusted(&path, FILE_MAX)? {
            None if self.roll_forward()? => read_trusted(&path, FILE_MAX)?,
            read => read,
        };
        let Some(text) = text else { return Ok(None) };
        let met: Met = serde_json::from_str(&text).map_err(|_| {
            Error::failed(format!("{} can't be read", path.display())).hint("remove it to trust the authority anew")
        })?;
        Ok(Some(self.with_keyring(met.authority)))
    }

    /// One that was met before its keyrings had the address in their name goes on with those that it has. Where two had the
    /// same, they are those of whoever the issuer's own URL leads to.
    fn with_keyring(&self, mut known: KnownAuthority) -> KnownAuthority {
        if !known.keyring.is_empty() {
            return known;
        }
        let url = Address::Network(known.issuer.clone());
        let is_shared = self.address != url && self.directory.with_file_name(url.id()).join(MET).exists();
        if is_shared {
            return KnownAuthority::at(&self.address, known.issuer, known.log_key);
        }
        known.keyring = keyring_of(known.issuer.as_str());
        known
    }

    /// Moves the embedded authority's files from where the first release had them; whether there were any. Where this is
    /// interrupted or done by two at once, the rest is moved by the other or the next.
    fn roll_forward(&self) -> Result<bool, Error> {
        if self.address != Address::Embedded || !self.device.join(MET).exists() {
            return Ok(false);
        }
        own_directory(&self.directory)?;
        for name in BEFORE {
            match std::fs::rename(self.device.join(name), self.file(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::failed(format!("{} can't be moved: {error}", self.device.join(name).display())));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(true)
    }

    /// Since when it is trusted: the time of the file that says so.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        let modified = std::fs::metadata(self.file(MET)).ok()?.modified().ok()?;
        let since = Timestamp::try_from(modified).ok()?;
        Timestamp::from_second(since.as_second()).ok()
    }

    /// Holds whoever answers to what is known, or takes it as known at first contact.
    ///
    /// # Errors
    /// [`ErrorCode::VerificationFailed`], where it is another authority.
    pub fn check(&self, seen: KnownAuthority) -> Result<KnownAuthority, Error> {
        match self.known()? {
            Some(known) if known.is(&seen) => Ok(known),
            Some(_) => Err(Error::new(
                ErrorCode::VerificationFailed,
                "another authority answers than the one this device knows",
            )
            .hint(format!("if it was founded anew on purpose, remove {}", self.directory.display()))),
            None => {
                own_directory(&self.device)?;
                own_directory(&self.directory)?;
                let met = Met { authority: seen, address: Some(self.address.to_string()) };
                let text = serde_json::to_vec(&met).map_err(|error| Error::failed(error.to_string()))?;
                replace(&self.file(MET), &text)?;
                Ok(met.authority)
            }
        }
    }

    /// The head of the last checkpoint seen.
    ///
    /// # Errors
    /// Where the file is not one that the log signed.
    pub fn seen(&self, known: &KnownAuthority) -> Result<Option<TreeHead>, Error> {
        let path = self.file("checkpoint");
        let Some(note) = read_trusted(&path, FILE_MAX)? else { return Ok(None) };
        checkpoint::open(&note, &known.log_key).map(Some).map_err(|error| {
            Error::new(ErrorCode::No, format!("{}: {error}", path.display()))
                .hint("remove it, and say so to whoever reads the log")
        })
    }

    /// Checks a receipt against the log's key and the last checkpoint seen, and keeps both.
    ///
    /// # Errors
    /// [`ErrorCode::No`]: the log is at fault.
    pub fn keep(
        &self,
        known: &KnownAuthority,
        receipt: &Receipt,
        seen: Option<TreeHead>,
        elevation: &str,
        grant_id: &str,
    ) -> Result<(), Error> {
        let fault = |message: String| {
            Error::new(ErrorCode::No, message)
                .hint("the grant is not used; `elevate audit verify` says what is wrong with the log")
        };
        let (leaf, head) = receipt.verify(&known.log_key, seen).map_err(|error| fault(error.to_string()))?;
        if leaf.event != Event::GrantIssued || leaf.elevation != elevation {
            return Err(fault("the receipt is of another log entry".into()));
        }
        if receipt.private.clear.get("grant_id").and_then(|id| id.as_str()) != Some(grant_id) {
            return Err(fault("the receipt is of another grant".into()));
        }
        if from_base64url(grant_id).is_none_or(|id| id.len() != 16) {
            return Err(fault("the grant's id is no id".into()));
        }
        let receipts = self.file("receipts");
        own_directory(&receipts)?;
        let text = serde_json::to_vec(receipt).map_err(|error| Error::failed(error.to_string()))?;
        replace(&receipts.join(format!("{grant_id}.json")), &text)?;
        self.saw(known, head, &receipt.checkpoint)
    }

    /// Remembers a checkpoint that was checked, where it is the newest.
    fn saw(&self, known: &KnownAuthority, head: TreeHead, note: &str) -> Result<(), Error> {
        let path = self.file("checkpoint.lock");
        let lock = open_lock(&path)?;
        let locked = patience::until_there(patience::LOCK, || try_lock(&lock, &path).map(|got| got.then_some(())))?;
        locked.ok_or_else(|| {
            let seconds = patience::LOCK.as_secs();
            Error::failed(format!("{} has been locked by another process for {seconds} s", path.display()))
                .hint("an elevate that was stopped may hold it: `pgrep -a elevate` shows which there are")
        })?;
        if self.seen(known)?.is_none_or(|seen| seen.size < head.size) {
            replace(&self.file("checkpoint"), note.as_bytes())?;
        }
        Ok(())
    }

    /// The receipt of a grant.
    #[must_use]
    pub fn receipt(&self, grant_id: &str) -> Option<Receipt> {
        let path = self.file("receipts").join(format!("{grant_id}.json"));
        let text = read_trusted(&path, 1 << 20).ok()??;
        serde_json::from_str(&text).ok()
    }

    /// The last `DPoP` nonce that the authority handed out; a stale one costs one more round, nothing else.
    #[must_use]
    pub fn nonce(&self) -> Option<String> {
        read_trusted(&self.file("dpop-nonce"), 1024).ok()?
    }

    /// Keeps it for the next process.
    pub fn keep_nonce(&self, nonce: &str) {
        let mut options = std::fs::OpenOptions::new();
        // Where a pipe lies there, opening it would wait for a reader.
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let _ = options.open(self.file("dpop-nonce")).and_then(|mut file| file.write_all(nonce.as_bytes()));
    }
}

fn authorities(places: &Places) -> PathBuf {
    places.device.join("authorities")
}

#[cfg(test)]
mod tests {
    use super::{KnownAuthority, MET, Trust, keyring_of};
    use crate::client::address::Address;
    use std::path::Path;

    const URL: &str = "https://elevate.example.com";

    fn trust(device: &Path, address: &str) -> Trust {
        let address: Address = address.parse().unwrap();
        let device = device.join("device");
        Trust { directory: device.join("authorities").join(address.id()), address, device }
    }

    fn seen(trust: &Trust) -> KnownAuthority {
        KnownAuthority::at(&trust.address, URL.parse().unwrap(), "key".into())
    }

    /// As releases before wrote it.
    fn met_before(trust: &Trust) {
        std::fs::create_dir_all(&trust.directory).unwrap();
        let text = format!("{{\"issuer\":\"{URL}\",\"log_key\":\"key\",\"address\":\"{}\"}}", trust.address);
        std::fs::write(trust.file(MET), text).unwrap();
    }

    #[test]
    fn an_issuer_that_is_claimed_at_another_address_has_keyrings_of_its_own() {
        let device = tempfile::tempdir().unwrap();
        let (network, socket) = (trust(device.path(), URL), trust(device.path(), "unix:/run/other/authority.sock"));
        let (one, other) = (network.check(seen(&network)).unwrap(), socket.check(seen(&socket)).unwrap());
        assert_ne!(one.id(), other.id());
        assert_eq!(network.known().unwrap().unwrap().id(), one.id(), "also the next time");
        assert_eq!(socket.check(seen(&socket)).unwrap().id(), other.id());
    }

    #[test]
    fn what_was_known_before_keeps_its_keyrings() {
        for address in ["embedded", "unix:/run/elevate/authority.sock", URL, "http://localhost:8080"] {
            let device = tempfile::tempdir().unwrap();
            let known = trust(device.path(), address);
            met_before(&known);
            assert_eq!(known.known().unwrap().unwrap().id(), keyring_of(URL), "{address}");
            assert_eq!(known.check(seen(&known)).unwrap().id(), keyring_of(URL), "{address}");
        }
        // Two that shared one: the URL's own goes on with it.
        let device = tempfile::tempdir().unwrap();
        let (network, socket) = (trust(device.path(), URL), trust(device.path(), "unix:/run/elevate/authority.sock"));
        met_before(&network);
        met_before(&socket);
        assert_eq!(network.known().unwrap().unwrap().id(), keyring_of(URL));
        assert_eq!(socket.known().unwrap().unwrap().id(), seen(&socket).id());
    }
}
