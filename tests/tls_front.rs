//! What stands between a client and an authority on a network: certificates right and wrong, a server that speaks TLS for
//! whatever is behind it, and a proxy.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A company's own certificate authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Ca {
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for a name, good now.
    #[must_use]
    pub fn certify(&self, name: &str) -> ServerConfig {
        self.certify_saying(name, |_| {})
    }

    /// One that ended.
    #[must_use]
    pub fn certify_expired(&self, name: &str) -> ServerConfig {
        self.certify_saying(name, |params| {
            (params.not_before, params.not_after) = (date_time_ymd(2024, 1, 1), date_time_ymd(2025, 2, 3));
        })
    }

    /// One that says what `lie` makes of the truth.
    #[must_use]
    pub fn certify_saying(&self, name: &str, lie: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        lie(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateDer::from(params.signed_by(&key, &self.issuer).unwrap().der().to_vec());
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap()
    }
}

/// What is behind a front.
#[derive(Clone)]
pub enum Behind {
    /// An authority's socket.
    Socket(PathBuf),
    /// One answer to everything, as it goes over the wire.
    Says(String),
    /// What it says before it is asked.
    Greets(&'static str),
    /// Nothing is ever said.
    Silence,
}

impl Behind {
    /// One JSON object, whatever is asked.
    #[must_use]
    pub fn json(body: &serde_json::Value) -> Self {
        let body = body.to_string();
        Self::Says(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
    }

    async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        match self {
            Self::Socket(path) => {
                let mut socket = UnixStream::connect(path).await?;
                tokio::io::copy_bidirectional(&mut stream, &mut socket).await.map(|_| ())
            }
            Self::Says(answer) => {
                head(&mut stream).await?;
                stream.write_all(answer.as_bytes()).await?;
                stream.shutdown().await
            }
            Self::Greets(text) => {
                stream.write_all(text.as_bytes()).await?;
                stream.read_to_end(&mut Vec::new()).await.map(|_| ())
            }
            Self::Silence => stream.read_to_end(&mut Vec::new()).await.map(|_| ()),
        }
    }
}

/// The lines before a body.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<String>> {
    let mut lines = BufReader::new(stream).lines();
    let mut head = Vec::new();
    while let Some(line) = lines.next_line().await?.filter(|line| !line.is_empty()) {
        head.push(line);
    }
    Ok(head)
}

/// Listens on a port of this machine until it is dropped; then its connections are closed as well.
pub struct Listening {
    pub port: u16,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    fn start<F: Future<Output = ()> + Send + 'static>(
        port: u16,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let (end, ended) = oneshot::channel();
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let accepting = async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream));
                }
            };
            runtime.block_on(async move {
                tokio::select! { () = accepting => {}, _ = ended => {} }
            });
        });
        Self { port, end: Some(end), thread: Some(thread) }
    }

    /// TLS in front of what `behind` says at the time of each connection.
    #[must_use]
    pub fn tls(config: ServerConfig, behind: Arc<Mutex<Behind>>) -> Self {
        Self::tls_at(0, config, behind)
    }

    /// The same on a port that was another's.
    #[must_use]
    pub fn tls_at(port: u16, config: ServerConfig, behind: Arc<Mutex<Behind>>) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::start(port, move |stream| {
            let (acceptor, behind) = (acceptor.clone(), behind.lock().unwrap().clone());
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = behind.serve(stream).await;
                }
            }
        })
    }

    /// The same without TLS.
    #[must_use]
    pub fn clear(behind: Behind) -> Self {
        Self::start(0, move |stream| {
            let behind = behind.clone();
            async move { drop(behind.serve(stream).await) }
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// An HTTP proxy that leads every CONNECT to one port of this machine, whatever name was asked for.
pub struct ConnectProxy {
    pub listening: Listening,
    heads: Arc<Mutex<Vec<Vec<String>>>>,
}

impl ConnectProxy {
    /// Says `answer` to each CONNECT, and is a tunnel from then on.
    #[must_use]
    pub fn start(to: u16, answer: &'static str) -> Self {
        let heads = Arc::<Mutex<Vec<Vec<String>>>>::default();
        let seen = heads.clone();
        let listening = Listening::start(0, move |mut stream| {
            let seen = seen.clone();
            async move {
                let mut asked = Vec::new();
                // Byte by byte: what follows the empty line is TLS.
                while !asked.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => asked.push(byte),
                        Err(_) => return,
                    }
                }
                let asked = String::from_utf8_lossy(&asked).into_owned();
                seen.lock().unwrap().push(asked.lines().map(str::to_owned).collect());
                let _ = stream.write_all(answer.as_bytes()).await;
                if answer.starts_with("HTTP/1.1 200 ")
                    && let Ok(mut there) = TcpStream::connect(("127.0.0.1", to)).await
                {
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
                }
            }
        });
        Self { listening, heads }
    }

    /// The heads of what was asked of it.
    #[must_use]
    pub fn asked(&self) -> Vec<Vec<String>> {
        self.heads.lock().unwrap().clone()
    }
}
