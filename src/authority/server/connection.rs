//! Connections: accepted within limits, spoken to over HTTP/1.1 or HTTP/2, and ended without losing a request.
//!
//! What bounds a connection: its handshake has a time; where no request is under way for a while it ends, whether its
//! caller sends nothing, or a head byte by byte, or reads no answer; a request has a time (`requests.rs`); streams, heads
//! and bodies have a size.

use super::activity::{Activity, UnderWay};
use super::limits::{Seat, Seats, Whose};
use super::listen::Listen;
use super::metrics::Metrics;
use super::proxies::address_behind;
use crate::authority::Authority;
use crate::authority::caller::{Caller, Served};
use crate::authority::shares::Full;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use governor::DefaultDirectRateLimiter;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long a connection may be without a request.
const IDLE: Duration = Duration::from_secs(30);
/// How long the end of an idle connection may take.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Bytes a request's head may have.
const HEAD_MAX: usize = 32 << 10;
/// HTTP/2 streams of one connection at a time, and those that were reset before they were taken (CVE-2023-44487).
const STREAMS: u32 = 100;
const RESETS: usize = 20;

/// What connections of every kind share.
#[derive(Clone)]
pub(super) struct House {
    /// What answers.
    pub(super) app: Router,
    pub(super) authority: Arc<Authority>,
    pub(super) activity: Arc<Activity>,
    /// Says when it ends. Whoever holds one is waited for.
    pub(super) ended: watch::Receiver<bool>,
}

/// Until `ended` says so.
pub(super) async fn until(mut ended: watch::Receiver<bool>) {
    let _ = ended.wait_for(|ended| *ended).await;
}

impl House {
    /// Takes connections of accounts of this host: `seats` of them.
    pub(super) async fn serve_socket(self, listener: UnixListener, seats: Arc<Seats>) {
        let nobody = match self.authority.served {
            Served::Only(_) => None,
            Served::Everybody => Some(overflow_uid()),
        };
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = until(self.ended.clone()) => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
                    let caller = Caller::Peer(uid.filter(|uid| Some(*uid) != nobody));
                    match seats.take(Whose::of(caller), false) {
                        Ok(seat) => {
                            tokio::spawn(self.clone().converse(stream, Protocol::Http1, move |_| caller, seat));
                        }
                        Err(full) => self.authority.metrics.refused(reason(full)),
                    }
                }
                Err(error) => could_not_accept(&error).await,
            }
        }
    }

    /// Takes connections over the network.
    pub(super) async fn serve_network(self, listener: TcpListener, door: Arc<Door>) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = until(self.ended.clone()) => return,
            };
            match accepted {
                Ok((stream, peer)) => self.let_in(stream, peer, &door),
                Err(error) => could_not_accept(&error).await,
            }
        }
    }

    /// Whoever finds no place is sent away at once: it costs them as much as us.
    fn let_in(&self, stream: TcpStream, peer: SocketAddr, door: &Arc<Door>) {
        let address = peer.ip().to_canonical();
        let is_proxy = door.listen.as_ref().is_some_and(|listen| listen.trusts(address));
        if door.is_for_proxies() && !is_proxy {
            return door.turn_away(&self.authority.metrics, address, "no_proxy");
        }
        match door.seats.take(Whose::of(Caller::Remote(address)), is_proxy) {
            Ok(seat) => drop(tokio::spawn(self.clone().greet(stream, address, door.clone(), seat))),
            Err(full) => door.turn_away(&self.authority.metrics, address, reason(full)),
        }
    }

    async fn greet(self, stream: TcpStream, address: IpAddr, door: Arc<Door>, seat: Seat) {
        let _ = stream.set_nodelay(true);
        let caller = {
            let door = door.clone();
            move |request: &Request| match &door.listen {
                Some(listen) => Caller::Remote(address_behind(listen, address, request.headers())),
                None => Caller::Remote(address),
            }
        };
        let Some(acceptor) = &door.tls else { return self.converse(stream, Protocol::Http1, caller, seat).await };
        let metrics = &self.authority.metrics;
        let greeted = tokio::select! {
            greeted = timeout(HANDSHAKE_TIME, handshake(stream, acceptor)) => greeted,
            () = until(self.ended.clone()) => return,
        };
        match greeted {
            Ok(Ok((stream, protocol))) => self.converse(stream, protocol, caller, seat).await,
            Ok(Err(error)) => {
                metrics.refused("tls");
                tracing::info!(caller = %address, %error, "no TLS");
            }
            Err(_) => {
                metrics.refused("tls_too_slow");
                tracing::info!(caller = %address, "no TLS: the handshake took too long");
            }
        }
    }

    /// Answers a connection's requests until either side ends it; `caller` says whose each is.
    async fn converse(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        protocol: Protocol,
        caller: impl Fn(&Request) -> Caller,
        _seat: Seat,
    ) {
        let _open = self.authority.metrics.connection();
        let own = Activity::new();
        let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
            let under_way = (UnderWay::begin(&own), UnderWay::begin(&self.activity));
            let mut request = request.map(Body::new);
            let caller = caller(&request);
            request.extensions_mut().insert(ConnectInfo(caller));
            let answer = self.app.clone().oneshot(request);
            async move {
                let _under_way = under_way;
                answer.await
            }
        });
        let builder = protocol.builder();
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
        let time = tokio::select! {
            _ = connection.as_mut() => return,
            () = own.idle_for(IDLE) => LAST_WORDS,
            () = until(self.ended.clone()) => super::LAST_REQUESTS,
        };
        connection.as_mut().graceful_shutdown();
        let _ = timeout(time, connection).await;
    }
}

const fn reason(full: Full) -> &'static str {
    match full {
        Full::InAll => "too_many",
        Full::Each => "too_many_of_one",
    }
}

/// Whom the kernel names where it can't say who it is: in a user namespace, everybody who is not in it
/// (`user_namespaces(7)`).
fn overflow_uid() -> u32 {
    let known = std::fs::read_to_string("/proc/sys/kernel/overflowuid");
    known.ok().and_then(|uid| uid.trim().parse().ok()).unwrap_or(65_534)
}

/// Descriptors or memory ran out: others may give some back.
async fn could_not_accept(error: &std::io::Error) {
    tracing::warn!(%error, "a connection could not be taken");
    sleep(Duration::from_millis(100)).await;
}

/// A way in from the network.
pub(super) struct Door {
    tls: Option<TlsAcceptor>,
    listen: Option<Listen>,
    seats: Arc<Seats>,
    /// Lines about those who are turned away: some are enough.
    lines: DefaultDirectRateLimiter,
}

impl Door {
    /// With the limits of `listen`; without TLS, for its trusted proxies only.
    pub(super) fn new(listen: Listen, tls: Option<TlsAcceptor>, in_all: usize) -> Arc<Self> {
        let seats = Seats::new(in_all, listen.connections.get());
        Arc::new(Self { tls, listen: Some(listen), seats, lines: lines() })
    }

    /// On loopback, for programs of this host.
    pub(super) fn loopback() -> Arc<Self> {
        Arc::new(Self { tls: None, listen: None, seats: Seats::new(256, 256), lines: lines() })
    }

    fn is_for_proxies(&self) -> bool {
        self.listen.is_some() && self.tls.is_none()
    }

    fn turn_away(&self, metrics: &Metrics, address: IpAddr, reason: &'static str) {
        metrics.refused(reason);
        if self.lines.check().is_ok() {
            tracing::warn!(caller = %address, reason, "turned away");
        }
    }
}

fn lines() -> DefaultDirectRateLimiter {
    DefaultDirectRateLimiter::direct(governor::Quota::per_second(std::num::NonZeroU32::MIN))
}

enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    fn builder(self) -> auto::Builder<TokioExecutor> {
        let builder = auto::Builder::new(TokioExecutor::new());
        let mut builder = match self {
            Self::Http1 => builder.http1_only(),
            Self::Http2 => builder.http2_only(),
        };
        builder.http1().max_buf_size(HEAD_MAX);
        let head = u32::try_from(HEAD_MAX).unwrap_or(u32::MAX);
        let mut http2 = builder.http2();
        http2.max_concurrent_streams(STREAMS).max_pending_accept_reset_streams(RESETS).max_header_list_size(head);
        builder
    }
}

/// Which protocol a caller wants, once it is clear that it speaks TLS at all.
async fn handshake(
    mut stream: TcpStream,
    acceptor: &TlsAcceptor,
) -> std::io::Result<(tokio_rustls::server::TlsStream<TcpStream>, Protocol)> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first[0].is_ascii_uppercase() {
        let _ = stream.write_all(NO_TLS).await;
        return Err(std::io::Error::other("it speaks http, and this is https"));
    }
    let stream = acceptor.accept(stream).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((stream, if is_http2 { Protocol::Http2 } else { Protocol::Http1 }))
}

/// For a client that was told `http://`.
const NO_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 33\r\n\r\nthis is https: write it that way\n";
