//! Why a keyring can't be used: a fact each, and a hint what to do.

use std::io;

/// Why grants can't be kept or read. The message is a fact, [`KeyringError::hint`] is what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// There is no such keyring on this machine or in this session.
    #[error("there is no {keyring} here: {reason}")]
    Absent {
        /// Which one.
        keyring: &'static str,
        /// How that was seen.
        reason: String,
    },
    /// The kernel refuses its keyring to this process: a seccomp filter or a security module.
    #[error("the kernel keyring is forbidden to this process ({errno})")]
    Forbidden {
        /// The symbol of the error number.
        errno: &'static str,
    },
    /// The user's quota of kernel keys is used up, and nothing of it could be freed.
    #[error("a grant of {bytes} bytes does not fit into this user's quota of kernel keys")]
    OverQuota {
        /// Size of what was to be kept, bytes.
        bytes: usize,
    },
    /// More than a kernel key can hold, whatever the quota.
    #[error("a grant of {bytes} bytes is more than the {max} a kernel key can hold")]
    TooLarge {
        /// Size of what was to be kept, bytes.
        bytes: usize,
        /// The most there can be, bytes.
        max: usize,
    },
    /// The Secret Service is locked and was not unlocked.
    #[error("the Secret Service is locked")]
    Locked,
    /// No answer in time; a locked Secret Service that waits for its prompt looks like this as well.
    #[error("the {keyring} did not answer within {seconds} s")]
    TimedOut {
        /// Which one.
        keyring: &'static str,
        /// How long was waited, seconds.
        seconds: u64,
    },
    /// The passphrase is not the one the file was made with. Nothing was changed.
    #[error("that is not the passphrase of the encrypted file")]
    WrongPassphrase,
    /// No passphrase was given, so nothing could be opened.
    #[error("there is no passphrase for the encrypted file: {0}")]
    NoPassphrase(String),
    /// What is kept can't be read.
    #[error("what is kept of {entry} in the {keyring} can't be read: {reason}")]
    Damaged {
        /// Which keyring.
        keyring: &'static str,
        /// The resource, or the file's absolute path where it can't be known whose it is.
        entry: String,
        /// Why.
        reason: String,
    },
    /// Anything else the operating system said.
    #[error("the {keyring} can't be used: {what}")]
    Io {
        /// Which one.
        keyring: &'static str,
        /// What was tried.
        what: String,
        /// What came of it.
        #[source]
        source: io::Error,
    },
    /// It can't be told which login or terminal a grant would be for.
    #[error("it can't be told whom grants may reach: {0}")]
    NoReach(String),
    /// The name an authority has in keyrings would be taken for something else.
    #[error("an authority's id in a keyring is 1 to 64 of a-z A-Z 0-9 _ -")]
    AuthorityId,
}

impl KeyringError {
    /// What to do about it, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Absent { .. } => {
                "choose another keyring with ELEVATE_KEYRING (kernel, secret-service or file), or go on without: grants are then not kept"
            }
            Self::Forbidden { .. } => {
                "allow keyctl and add_key in the container's seccomp profile, or set ELEVATE_KEYRING to secret-service or file"
            }
            Self::OverQuota { .. } => {
                "look at 'keyctl show @u' for what fills it, 'elevate drop' what you don't need, or raise kernel.keys.maxbytes and kernel.keys.maxkeys with sysctl"
            }
            Self::TooLarge { .. } => "set ELEVATE_KEYRING to secret-service or file",
            Self::Locked => "unlock the desktop's keyring and try again",
            Self::TimedOut { .. } => "unlock the desktop's keyring if it asks for it, and try again",
            Self::WrongPassphrase => {
                "type the passphrase the file was made with; if it is lost, 'elevate -K' removes the file's grants"
            }
            Self::NoPassphrase(_) => "run it where there is a terminal, or choose another keyring with ELEVATE_KEYRING",
            // Without its salt nothing beside it can be opened, so one goes with the other.
            Self::Damaged { entry, .. } if entry.ends_with("/.salt") => {
                "'elevate -K' removes the file's grants; the next one is kept under a new passphrase"
            }
            // No resource's name begins with a slash.
            Self::Damaged { entry, .. } if entry.starts_with('/') => return Some(format!("remove {entry}")),
            Self::Damaged { entry, .. } => {
                let resource = entry.split('@').next().unwrap_or_default();
                return Some(format!("'elevate drop {resource}' removes it"));
            }
            Self::NoReach(_) => "grants_reach = \"user\" in elevate.toml shares them among all your processes",
            Self::Io { .. } | Self::AuthorityId => return None,
        };
        Some(hint.to_owned())
    }

    /// For `map_err`: an [`KeyringError::Io`] about `what`.
    pub(super) fn io(keyring: &'static str, what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { keyring, what: format!("{what}: {source}"), source }
    }
}

#[cfg(test)]
mod tests {
    use super::KeyringError;

    #[test]
    fn facts_are_lower_case_without_a_full_stop_and_hints_differ_from_them() {
        let all = [
            KeyringError::Absent { keyring: "Secret Service", reason: "there is no session bus".into() },
            KeyringError::Forbidden { errno: "EPERM" },
            KeyringError::OverQuota { bytes: 1 },
            KeyringError::TooLarge { bytes: 40_000, max: 32_767 },
            KeyringError::Locked,
            KeyringError::TimedOut { keyring: "Secret Service", seconds: 5 },
            KeyringError::WrongPassphrase,
            KeyringError::NoPassphrase("there is no terminal".into()),
            KeyringError::Damaged { keyring: "kernel keyring", entry: "db".into(), reason: "it is empty".into() },
            KeyringError::AuthorityId,
        ];
        for error in all {
            let fact = error.to_string();
            assert!(fact.starts_with(|c: char| c.is_ascii_lowercase()) && !fact.ends_with('.'), "{fact}");
            assert_ne!(error.hint(), Some(fact));
        }
    }
}
