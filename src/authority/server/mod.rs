//! One authority per data directory: the ways in, readiness, and an end that loses no request.

mod activity;
mod connection;
mod health;
mod in_time;
pub mod limits;
pub mod listen;
pub mod metrics;
mod proxies;
pub mod requests;
mod socket;
mod tls;

use super::caller::Served;
use super::refusals;
use super::routes::{discovery_router, router};
use super::store::Faults;
use super::{Authority, OpenError};
use crate::clock::Clock;
use crate::files::own_directory;
use activity::Activity;
use connection::{Door, House, until};
use health::Health;
use limits::Seats;
use listen::{CONNECTIONS, Tls};
use rustix::process::{Resource, getrlimit, setrlimit};
pub use socket::handed_over;
pub(super) use socket::lock;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tls::LiveCertificate;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// After the socket is gone from its directory, how long connections that found it before are still taken.
const LAST_CALLS: Duration = Duration::from_millis(250);
/// How long requests under way may take to their end: longer than any request may.
const LAST_REQUESTS: Duration = Duration::from_secs(35);
/// The same of an account's own, where the next one waits for this one's lock.
const LAST_REQUESTS_EMBEDDED: Duration = Duration::from_secs(5);

/// How often refusals that were counted are looked at.
const SETTLE: Duration = Duration::from_mins(1);

/// Where an authority lives.
#[derive(Debug, Clone)]
pub struct Places {
    /// Configuration, policy, schema.
    pub config: PathBuf,
    /// Database, key, lock.
    pub data: PathBuf,
    /// The socket, where it makes one.
    pub socket: Option<PathBuf>,
}

/// How it serves.
#[derive(Debug)]
pub struct Manner {
    /// A socket that a service manager made and keeps.
    pub handed_over: Option<std::os::unix::net::UnixListener>,
    /// Every account of this host, and not only the one it runs as.
    pub everybody: bool,
    /// Whether it ends when it is idle for as long as the configuration says.
    pub exit_when_idle: bool,
}

/// Serves until it is told to end, or is idle. `ready` is called once, when it answers.
///
/// # Errors
/// [`OpenError`]: what kept it from starting.
pub async fn serve(places: &Places, manner: Manner, ready: impl FnOnce(&str)) -> Result<(), OpenError> {
    own_directory(&places.data)?;
    let _lock = lock(places).await?;
    let authority = Authority::open(&places.config, &places.data, Clock::system(), Faults::default()).await?;
    let authority = Arc::new(if manner.everybody { authority.for_everybody() } else { authority });
    let idle = manner.exit_when_idle.then(|| authority.rules.current().config.idle_exit.seconds());
    let ways_in = WaysIn::open(places, manner, &authority).await?;

    let (ending, is_ending) = watch::channel(false);
    let (end, ended) = watch::channel(false);
    let app = router(authority.clone());
    let house = House { app, authority: authority.clone(), activity: Activity::new(), ended };
    let activity = house.activity.clone();
    ways_in.serve(house, is_ending);
    ready(authority.issuer.as_str());
    tell_service_manager("READY=1");

    let settling = tokio::spawn({
        let authority = authority.clone();
        async move {
            loop {
                sleep(SETTLE).await;
                let _ = refusals::settle(&authority, false).await;
            }
        }
    });
    wait_for_the_end(&activity, idle.map(Duration::from_secs)).await?;
    settling.abort();
    tell_service_manager("STOPPING=1");
    let _ = ending.send(true);
    // New callers start the next authority, which waits for our lock; those that found the socket before are served.
    if let Some(socket) = &places.socket {
        let _ = std::fs::remove_file(socket);
    }
    sleep(LAST_CALLS).await;
    let _ = end.send(true);
    let last = match authority.served {
        Served::Only(_) if idle.is_some() => LAST_REQUESTS_EMBEDDED,
        Served::Only(_) | Served::Everybody => LAST_REQUESTS,
    };
    let _ = timeout(last, end.closed()).await;
    // What fails is in our own log.
    let _ = refusals::settle(&authority, true).await;
    authority.nodes.leave(&authority).await;
    authority.store.close().await;
    Ok(())
}

/// Everything that is listened on.
struct WaysIn {
    socket: Option<UnixListener>,
    network: Option<(TcpListener, Arc<Door>)>,
    certificate: Option<Arc<LiveCertificate>>,
    metrics: Option<TcpListener>,
    discovery: Option<TcpListener>,
}

impl WaysIn {
    async fn open(places: &Places, manner: Manner, authority: &Authority) -> Result<Self, OpenError> {
        let rules = authority.rules.current();
        let mut ways_in = Self {
            socket: socket(places, manner.handed_over, authority.served)?,
            network: None,
            certificate: None,
            metrics: None,
            discovery: listener("discovery_listen", rules.config.discovery_listen).await?,
        };
        let Some(listen) = rules.config.listen.clone() else {
            return match ways_in.socket {
                Some(_) => Ok(ways_in),
                None => Err(OpenError::Other(
                    "there is nothing to listen on: give --socket PATH, or write [listen] into authority.toml".into(),
                )),
            };
        };
        let acceptor = match listen.tls(&places.config) {
            Tls::Here { certificate, key } => {
                let (host, now) = (authority.issuer.host(), authority.clock.now());
                let live = LiveCertificate::load(certificate, key, host, now);
                let live = Arc::new(live.map_err(|error| OpenError::Other(error.to_string()))?);
                let config = tls::server_config(live.clone());
                let config = config.map_err(|error| OpenError::Other(format!("TLS can't be used: {error}")))?;
                ways_in.certificate = Some(live);
                Some(TlsAcceptor::from(Arc::new(config)))
            }
            Tls::AtProxy => None,
        };
        ways_in.metrics = listener("metrics", listen.metrics).await?;
        let network = listener("address", Some(listen.address)).await?;
        ways_in.network = network.map(|network| (network, Door::new(listen, acceptor, most_connections())));
        Ok(ways_in)
    }

    fn serve(self, house: House, is_ending: watch::Receiver<bool>) {
        let authority = &house.authority;
        if let Some(certificate) = self.certificate {
            let (authority, ended) = (authority.clone(), house.ended.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = certificate.follow(&authority.clock, &authority.metrics) => {}
                    () = until(ended) => {}
                }
            });
        }
        let (node, ended) = (authority.clone(), house.ended.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = node.nodes.keep_looking(&node) => {}
                () = until(ended) => {}
            }
        });
        if let Some(discovery) = self.discovery {
            let app = discovery_router(authority.clone());
            tokio::spawn(House { app, ..house.clone() }.serve_network(discovery, Door::loopback()));
        }
        if let Some((listener, door)) = self.network {
            let health = Health::watch(authority.clone(), is_ending, house.ended.clone());
            if let Some(metrics) = self.metrics {
                let app = health.clone().for_watchers(authority.clone());
                let house = House { app, activity: Activity::new(), ..house.clone() };
                tokio::spawn(house.serve_network(metrics, Door::loopback()));
            }
            let app = house.app.clone().merge(health.for_everybody(authority.clone()));
            tokio::spawn(House { app, ..house.clone() }.serve_network(listener, door));
        }
        if let Some(socket) = self.socket {
            let each = match house.authority.served {
                Served::Only(_) => usize::MAX,
                Served::Everybody => CONNECTIONS.get(),
            };
            tokio::spawn(house.serve_socket(socket, Seats::new(most_connections(), each)));
        }
    }
}

fn socket(
    places: &Places,
    handed_over: Option<std::os::unix::net::UnixListener>,
    served: Served,
) -> Result<Option<UnixListener>, OpenError> {
    let fault =
        |error: std::io::Error| OpenError::Other(format!("the socket that was handed over can't be used: {error}"));
    match (handed_over, &places.socket) {
        (Some(_), Some(_)) => Err(OpenError::Other("a socket was handed over, and --socket names another".into())),
        (Some(socket), None) => {
            socket.set_nonblocking(true).map_err(fault)?;
            UnixListener::from_std(socket).map_err(fault).map(Some)
        }
        (None, Some(path)) => socket::bind(path, served).map(Some),
        (None, None) => Ok(None),
    }
}

async fn listener(what: &str, address: Option<SocketAddr>) -> Result<Option<TcpListener>, OpenError> {
    let Some(address) = address else { return Ok(None) };
    let fault = |error: std::io::Error| OpenError::Other(format!("can't listen on {what} {address}: {error}"));
    let bound = TcpListener::bind(address).await.map_err(fault)?;
    tracing::info!(what, address = %bound.local_addr().map_err(fault)?, "listening");
    Ok(Some(bound))
}

/// As many as descriptors allow, with some left for the store; it takes what it may have.
fn most_connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).min(20_000);
    usize::try_from(files / 2).unwrap_or(usize::MAX)
}

/// `sd_notify(3)`: whoever started it may want to know.
fn tell_service_manager(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let told = UnixDatagram::unbound().and_then(|socket| socket.send_to(state.as_bytes(), path));
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

async fn wait_for_the_end(activity: &Activity, idle: Option<Duration>) -> Result<(), OpenError> {
    let fault = |error: std::io::Error| OpenError::Other(format!("signals can't be handled: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(fault)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fault)?;
    let idle = async {
        match idle {
            Some(idle) => activity.idle_for(idle).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = idle => {}
    }
    Ok(())
}
