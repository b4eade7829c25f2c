//! TLS: the certificate in force, and its successor. Files that were replaced by good ones count within a second or so;
//! by bad ones, not at all. TLS 1.3 and 1.2 by rustls on aws-lc-rs, no early data (RFC 8446 section 8 has why).

use super::metrics::Metrics;
use crate::clock::{Clock, human, seconds_between};
use crate::files::{FileFault, FileStamp, file_stamp, read_private, read_trusted};
use jiff::Timestamp;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig, version};
use zeroize::Zeroizing;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Longest file that is read.
const FILE_MAX: u64 = 1 << 20;
/// How long before its end a certificate is worth a warning, in seconds, and how often.
const WARN_BEFORE: u64 = 14 * 86_400;
const WARN_EVERY: i64 = 86_400;

/// Why a certificate is not used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileFault),
    /// It is not there.
    #[error("{} does not exist, and [listen] names it", .0.display())]
    Absent(PathBuf),
    /// What stands in it.
    #[error("{} can't be used: {reason}", .path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// One good certificate and its key.
#[derive(Debug)]
struct Certificate {
    certified: Arc<CertifiedKey>,
    not_after: Timestamp,
}

/// Where the files are, and whose name they have to carry.
#[derive(Debug)]
struct Source {
    certificate: PathBuf,
    key: PathBuf,
    host: String,
    provider: Arc<CryptoProvider>,
}

/// The certificate in force.
#[derive(Debug)]
pub(super) struct LiveCertificate {
    source: Source,
    loaded: Stamp,
    current: RwLock<Certificate>,
}

/// Both files as they stood on disk.
type Stamp = [Option<FileStamp>; 2];

impl Source {
    fn load(&self, now: Timestamp) -> Result<Certificate, CertificateError> {
        let bad = |path: &Path, reason: String| CertificateError::Content { path: path.to_owned(), reason };
        let text = read_trusted(&self.certificate, FILE_MAX)?;
        let text = text.ok_or_else(|| CertificateError::Absent(self.certificate.clone()))?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| bad(&self.certificate, format!("it is no PEM: {error}")))?;
        let Some(leaf) = chain.first() else {
            return Err(bad(&self.certificate, "there is no certificate in it".into()));
        };
        let not_after = self.check(leaf, now).map_err(|reason| bad(&self.certificate, reason))?;
        let key = read_private(&self.key, FILE_MAX)?.ok_or_else(|| CertificateError::Absent(self.key.clone()))?;
        let key = Zeroizing::new(key);
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| bad(&self.key, "there is no private key in it (PEM, without a passphrase)".into()))?;
        let key = self.provider.key_provider.load_private_key(key);
        let key = key.map_err(|_| bad(&self.key, "its kind of key can't be used".into()))?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| bad(&self.key, "it is not the key of the certificate".into()))?;
        Ok(Certificate { certified: Arc::new(certified), not_after })
    }

    /// Whether clients would take it: for this host, and now.
    fn check(&self, leaf: &CertificateDer<'_>, now: Timestamp) -> Result<Timestamp, String> {
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf).map_err(|_| "its certificate can't be read")?;
        let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp());
        let validity = parsed.validity();
        let outside = |_| "its times can't be read".to_owned();
        let (begins, ends) = (time(validity.not_before).map_err(outside)?, time(validity.not_after).map_err(outside)?);
        if ends <= now {
            return Err(format!("its certificate expired at {ends}: get a new one"));
        }
        if begins > now {
            return Err(format!("its certificate is not valid before {begins}: look at the clock"));
        }
        let name = ServerName::try_from(self.host.as_str()).map_err(|_| "the issuer's host is no DNS name")?;
        let certificate = ParsedCertificate::try_from(leaf).map_err(|error| format!("it can't be read: {error}"))?;
        verify_server_name(&certificate, &name)
            .map_err(|_| format!("its certificate is not for {}, the issuer's host", self.host))?;
        Ok(ends)
    }

    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| file_stamp(path))
    }
}

impl LiveCertificate {
    /// Loads the first one.
    ///
    /// # Errors
    /// [`CertificateError`]: an authority that never had a good certificate does not start.
    pub(super) fn load(
        certificate: PathBuf,
        key: PathBuf,
        host: &str,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let source = Source { certificate, key, host: host.to_owned(), provider };
        let loaded = source.stamp();
        let current = RwLock::new(source.load(now)?);
        Ok(Self { source, loaded, current })
    }

    /// Takes up new files for as long as it is polled, once both are the same at two looks: one is replaced before the
    /// other.
    pub(super) async fn follow(&self, clock: &Clock, metrics: &Metrics) {
        let (mut loaded, mut seen) = (self.loaded, self.loaded);
        let mut warned = Timestamp::MIN;
        self.say(metrics);
        loop {
            tokio::time::sleep(LOOK).await;
            let now = clock.now();
            let stamp = self.source.stamp();
            let has_settled = std::mem::replace(&mut seen, stamp) == stamp;
            if has_settled && stamp != loaded {
                loaded = stamp;
                self.take_up(now, metrics);
            }
            let left = seconds_between(now, self.not_after());
            if left < WARN_BEFORE && now.as_second().saturating_sub(warned.as_second()) >= WARN_EVERY {
                warned = now;
                tracing::warn!(left = human(left), "the certificate ends soon: get a new one");
            }
        }
    }

    fn take_up(&self, now: Timestamp, metrics: &Metrics) {
        match self.source.load(now) {
            Ok(new) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
                self.say(metrics);
            }
            Err(error) => {
                metrics.reload_failed("certificate");
                tracing::error!(%error, "the new certificate is not used; the one before stays in force");
            }
        }
    }

    fn say(&self, metrics: &Metrics) {
        let not_after = self.not_after();
        metrics.certificate_ends(not_after);
        tracing::info!(certificate = %self.source.certificate.display(), until = %not_after, "certificate in force");
    }

    fn not_after(&self) -> Timestamp {
        self.current.read().unwrap_or_else(PoisonError::into_inner).not_after
    }
}

/// Hands out the certificate in force.
struct Current(Arc<LiveCertificate>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current.read().unwrap_or_else(PoisonError::into_inner).certified.clone())
    }
}

/// The server's side of TLS.
///
/// # Errors
/// Where the cryptographic library has not what TLS needs.
pub(super) fn server_config(live: Arc<LiveCertificate>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(live.source.provider.clone())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Current(live)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}
