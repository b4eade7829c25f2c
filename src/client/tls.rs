//! Whose certificates count for a remote authority: those under its `ca_file`, and those under the platform's roots. Says
//! which it was, and why it was none.

use super::error::Error;
use crate::files::read_trusted;
use crate::protocol::display::escaped;
use crate::protocol::messages::ErrorCode;
use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Bytes a `ca_file` may have.
const CA_FILE_MAX: u64 = 4 << 20;

/// The year 10000, which no certificate can name (RFC 5280 section 4.1.2.5).
const NEVER: Duration = Duration::from_hours(70_389_528);

/// What convinced us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// The `ca_file` whose root vouches for it; `None` for the platform's.
    pub by: Option<PathBuf>,
    /// When the certificate ends.
    pub until: Option<Timestamp>,
}

/// Which authority's certificate is judged, by which roots.
#[derive(Debug)]
pub struct Judge {
    host: String,
    configured: Option<(PathBuf, Arc<WebPkiServerVerifier>)>,
    platform: OnceLock<Option<Arc<WebPkiServerVerifier>>>,
    algorithms: WebPkiSupportedAlgorithms,
    provider: Arc<CryptoProvider>,
    certified: OnceLock<Certified>,
}

impl Judge {
    /// One for this host, with the roots in `ca_file` beside the platform's. Those are read only where they are needed.
    ///
    /// # Errors
    /// The file can't be used.
    pub fn new(host: &str, ca_file: Option<PathBuf>) -> Result<Arc<Self>, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let configured = ca_file.map(|path| {
            let roots = roots(&path)?;
            let verifier = verifier(roots, &provider).ok_or_else(|| {
                Error::failed(format!("{} can't be used: there is no certificate in it", shown(&path)))
            })?;
            Ok::<_, Error>((path, verifier))
        });
        Ok(Arc::new(Self {
            host: host.to_owned(),
            configured: configured.transpose()?,
            platform: OnceLock::new(),
            algorithms: provider.signature_verification_algorithms,
            provider,
            certified: OnceLock::new(),
        }))
    }

    /// TLS 1.3 or 1.2, held to this judge.
    ///
    /// # Errors
    /// Where it can't be spoken.
    pub fn configuration(self: &Arc<Self>) -> Result<ClientConfig, Error> {
        let config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::failed(format!("TLS can't be spoken: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(self.clone())
            .with_no_client_auth();
        Ok(config)
    }

    /// What convinced it, once it was convinced.
    #[must_use]
    pub fn certified(&self) -> Option<&Certified> {
        self.certified.get()
    }

    fn platform(&self) -> Option<&Arc<WebPkiServerVerifier>> {
        let load = || {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            verifier(roots, &self.provider)
        };
        self.platform.get_or_init(load).as_ref()
    }

    /// Why there was no TLS, in words that say what to do.
    #[must_use]
    pub fn explain(&self, error: &rustls::Error) -> Error {
        let host = &self.host;
        let unreachable = |message: String| Error::new(ErrorCode::AuthorityUnreachable, message);
        let rustls::Error::InvalidCertificate(fault) = error else {
            let message = format!("{host} speaks no TLS that is understood here: {}", escaped(&error.to_string()));
            return unreachable(message).hint("look whether host and port are the authority's");
        };
        let renew = "whoever runs it has to renew it, unless this machine's clock is wrong";
        match fault {
            CertificateError::ExpiredContext { not_after, .. } => {
                let ended = at(*not_after).map_or_else(String::new, |ended| format!(" on {ended}"));
                unreachable(format!("the certificate of {host} expired{ended}")).hint(renew)
            }
            CertificateError::Expired => unreachable(format!("the certificate of {host} has expired")).hint(renew),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                unreachable(format!("the certificate of {host} is not good yet")).hint("look at this machine's clock")
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                let names = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
                unreachable(format!("the certificate is not for {host}, but for {}", escaped(&names)))
                    .hint("write the name that it is for, unless somebody else answers in the authority's place")
            }
            CertificateError::NotValidForName => unreachable(format!("the certificate is not for {host}")),
            CertificateError::UnknownIssuer => {
                let (message, hint) = match &self.configured {
                    Some((path, _)) => (
                        format!("neither {} nor this machine's roots vouch for the certificate of {host}", shown(path)),
                        "ask whoever runs it for the certificate of its CA",
                    ),
                    None => (
                        format!("nobody whom this machine trusts vouches for the certificate of {host}"),
                        "if it is your own CA's, name its file in elevate.toml: ca_file (elevate.toml(5))",
                    ),
                };
                unreachable(message).hint(hint)
            }
            other => unreachable(format!("the certificate of {host} is not accepted: {}", escaped(&other.to_string()))),
        }
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let by = |verifier: &Arc<WebPkiServerVerifier>| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let vouches = |verifier: &Arc<WebPkiServerVerifier>, path: Option<&PathBuf>| {
            // A proxy may speak TLS as well.
            if server_name.to_str() == self.host {
                let never = UnixTime::since_unix_epoch(NEVER);
                let then = verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, never);
                let _ = self.certified.set(Certified { by: path.cloned(), until: then.err().as_ref().and_then(ended) });
            }
        };
        if let Some((path, configured)) = &self.configured {
            match by(configured) {
                Err(error) if error == unknown() => {}
                verdict => return verdict.inspect(|_| vouches(configured, Some(path))),
            }
        }
        let platform = self.platform().ok_or_else(unknown)?;
        by(platform).inspect(|_| vouches(platform, None))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// `None` where there is no root.
fn verifier(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Option<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok()
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let fault = |reason: String| Error::failed(format!("{} can't be used: {}", shown(path), escaped(&reason)));
    let text = read_trusted(path, CA_FILE_MAX)?.ok_or_else(|| fault("there is no such file".into()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|error| fault(error.to_string()))?;
        roots.add(certificate).map_err(|error| fault(error.to_string()))?;
    }
    Ok(roots)
}

fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

/// When a certificate ends, from why it is not good at a time that no certificate has.
fn ended(error: &rustls::Error) -> Option<Timestamp> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => at(*not_after),
        _ => None,
    }
}

fn at(time: UnixTime) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok()
}
