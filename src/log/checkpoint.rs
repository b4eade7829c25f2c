//! Signed tree heads: C2SP tlog-checkpoint inside a C2SP signed-note, Ed25519.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signed_note::{Note, Signer, StandardSigner, StandardVerifier, Verifier, VerifierList};
use tlog_tiles::{Checkpoint, Hash};

const ALG_ED25519: u8 = 1;

/// A tree head whose signature was checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TreeHead {
    /// Number of entries.
    pub size: u64,
    /// RFC 6962 root.
    pub root: Hash,
}

/// Why a checkpoint is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCheckpoint {
    /// Not in the format.
    #[error("the log's checkpoint is malformed")]
    Malformed,
    /// Not signed by the known key of this log.
    #[error("the log's checkpoint is not signed by the log's known key")]
    Signature,
    /// The key itself can't be used.
    #[error("the log's key can't be used")]
    Key,
}

/// Signs tree heads for one origin.
pub struct LogSigner {
    signer: StandardSigner,
    verifier_key: String,
}

/// The log's origin: the issuer without its scheme.
#[must_use]
pub fn origin(issuer: &str) -> String {
    format!("{}/log", issuer.trim_start_matches("https://"))
}

impl LogSigner {
    /// From the 32-byte Ed25519 seed.
    ///
    /// # Errors
    /// [`BadCheckpoint::Key`].
    pub fn new(issuer: &str, seed: &[u8; 32]) -> Result<Self, BadCheckpoint> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BadCheckpoint::Key)?;
        let name = origin(issuer);
        let tagged = |key: &[u8]| [&[ALG_ED25519], key].concat();
        let public = tagged(pair.public_key().as_ref());
        let id = signed_note::key_id(&name, &public);
        let private = zeroize::Zeroizing::new(format!("PRIVATE+KEY+{name}+{id:08x}+{}", STANDARD.encode(tagged(seed))));
        Ok(Self {
            signer: StandardSigner::new(&private).map_err(|_| BadCheckpoint::Key)?,
            verifier_key: format!("{name}+{id:08x}+{}", STANDARD.encode(&public)),
        })
    }

    /// The public half, as clients pin it.
    #[must_use]
    pub fn verifier_key(&self) -> &str {
        &self.verifier_key
    }

    /// A signed checkpoint.
    ///
    /// # Errors
    /// [`BadCheckpoint::Malformed`] where the origin can't be written.
    pub fn sign(&self, head: TreeHead) -> Result<String, BadCheckpoint> {
        let checkpoint =
            Checkpoint::new(self.signer.name(), head.size, head.root, "").map_err(|_| BadCheckpoint::Malformed)?;
        let mut note = Note::new(&checkpoint.to_bytes(), &[]).map_err(|_| BadCheckpoint::Malformed)?;
        note.add_sigs(&[&self.signer]).map_err(|_| BadCheckpoint::Key)?;
        String::from_utf8(note.to_bytes()).map_err(|_| BadCheckpoint::Malformed)
    }
}

/// Opens a signed checkpoint of the log that `verifier_key` belongs to.
///
/// # Errors
/// [`BadCheckpoint`].
pub fn open(text: &str, verifier_key: &str) -> Result<TreeHead, BadCheckpoint> {
    let verifier = StandardVerifier::new(verifier_key).map_err(|_| BadCheckpoint::Key)?;
    let origin = verifier.name().to_owned();
    let note = Note::from_bytes(text.as_bytes()).map_err(|_| BadCheckpoint::Malformed)?;
    note.verify(&VerifierList::new(vec![Box::new(verifier)])).map_err(|_| BadCheckpoint::Signature)?;
    let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|_| BadCheckpoint::Malformed)?;
    if checkpoint.origin() != origin {
        return Err(BadCheckpoint::Signature);
    }
    Ok(TreeHead { size: checkpoint.size(), root: *checkpoint.hash() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_opens_with_its_own_key_only() {
        let signer = LogSigner::new("https://localhost/one", &[7; 32]).unwrap();
        let other = LogSigner::new("https://localhost/one", &[8; 32]).unwrap();
        let head = TreeHead { size: 3, root: Hash([9; 32]) };
        let text = signer.sign(head).unwrap();
        assert_eq!(open(&text, signer.verifier_key()), Ok(head));
        assert_eq!(open(&text, other.verifier_key()), Err(BadCheckpoint::Signature));
        assert_eq!(open(&text.replace("\n3\n", "\n4\n"), signer.verifier_key()), Err(BadCheckpoint::Signature));
    }
}
