//! One authority per data directory: the lock, the socket, readiness, and an end that loses no request.

use super::routes::{discovery_router, router};
use super::store::Faults;
use super::{Authority, OpenError};
use crate::authority::caller::Caller;
use crate::clock::Clock;
use crate::files::{FileFault, open_lock, own_directory, try_lock};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use rustix::fs::Mode;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long a starting authority waits for one that is ending.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// After the socket is gone from its directory, how long connections that found it before are still taken.
const LAST_CALLS: Duration = Duration::from_millis(250);

/// Where an authority lives.
#[derive(Debug, Clone)]
pub struct Places {
    /// Configuration, policy, schema.
    pub config: PathBuf,
    /// Database, key, lock.
    pub data: PathBuf,
    /// The socket.
    pub socket: PathBuf,
}

/// Serves until it is told to end, or is idle for as long as the configuration says, if `exit_when_idle`.
/// `ready` is called once, when the socket answers.
///
/// # Errors
/// [`OpenError`]: what kept it from starting.
pub async fn serve(places: &Places, exit_when_idle: bool, ready: impl FnOnce(&str)) -> Result<(), OpenError> {
    own_directory(&places.data)?;
    let _lock = lock(places).await?;
    let authority = Arc::new(Authority::open(&places.config, &places.data, Clock::system(), Faults::default()).await?);
    let listener = bind(&places.socket)?;
    let rules = authority.rules.current();
    let discovery = match rules.config.discovery_listen {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|error| OpenError::Other(format!("can't listen on discovery_listen {address}: {error}")))?,
        ),
        None => None,
    };
    let activity = Arc::new(Activity::new());
    let (end, ended) = watch::channel(false);
    if let Some(discovery) = discovery {
        let ended = ended.clone();
        let service = discovery_router(authority.clone());
        tokio::spawn(async move { axum::serve(discovery, service).with_graceful_shutdown(until(ended)).await });
    }
    let app: Router = router(authority.clone()).layer(from_fn_with_state(activity.clone(), counted));
    let service = app.into_make_service_with_connect_info::<Caller>();
    let serving =
        tokio::spawn(async move { axum::serve(listener, service).with_graceful_shutdown(until(ended)).await });
    ready(authority.issuer.as_str());

    let idle = exit_when_idle.then(|| Duration::from_secs(rules.config.idle_exit.seconds()));
    wait_for_the_end(&activity, idle).await?;
    // New callers start the next authority, which waits for our lock; those that found the socket before are served.
    let _ = std::fs::remove_file(&places.socket);
    sleep(LAST_CALLS).await;
    let _ = end.send(true);
    let _ = tokio::time::timeout(LOCK_WAIT / 2, serving).await;
    authority.store.close().await;
    Ok(())
}

async fn until(mut ended: watch::Receiver<bool>) {
    let _ = ended.wait_for(|ended| *ended).await;
}

async fn wait_for_the_end(activity: &Activity, idle: Option<Duration>) -> Result<(), OpenError> {
    let fault = |error: std::io::Error| OpenError::Other(format!("signals can't be handled: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(fault)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fault)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = activity.idle_for(idle) => {}
    }
    Ok(())
}

/// Requests under way, and when the last one ended.
struct Activity {
    started: Instant,
    under_way: AtomicUsize,
    /// Milliseconds after `started`.
    last: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self { started: Instant::now(), under_way: AtomicUsize::new(0), last: AtomicU64::new(0) }
    }

    async fn idle_for(&self, idle: Option<Duration>) {
        let Some(idle) = idle else { return std::future::pending().await };
        loop {
            let last = self.started + Duration::from_millis(self.last.load(Ordering::SeqCst));
            let quiet = Instant::now().duration_since(last);
            if self.under_way.load(Ordering::SeqCst) == 0 && quiet >= idle {
                return;
            }
            sleep(idle.saturating_sub(quiet).max(Duration::from_millis(50))).await;
        }
    }
}

async fn counted(State(activity): State<Arc<Activity>>, request: Request, next: Next) -> Response {
    let _under_way = UnderWay::begin(activity);
    next.run(request).await
}

/// Counts one request for as long as it lasts, also where its caller goes away in the middle.
struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn begin(activity: Arc<Activity>) -> Self {
        activity.under_way.fetch_add(1, Ordering::SeqCst);
        Self(activity)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(now, Ordering::SeqCst);
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The kernel's lock: gone with its holder, however that ends.
pub(super) async fn lock(places: &Places) -> Result<OwnedFd, OpenError> {
    let path = places.data.join("authority.lock");
    let file = open_lock(&path)?;
    let deadline = Instant::now() + LOCK_WAIT;
    while !try_lock(&file, &path)? {
        if Instant::now() >= deadline || answers(&places.socket) {
            let reason = "another elevate-authority is running on this data directory".to_owned();
            return Err(FileFault { path, reason }.into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    // For clients of a session with another runtime directory.
    let socket = places.socket.as_os_str().as_encoded_bytes();
    let noted = rustix::fs::ftruncate(&file, 0).and_then(|()| rustix::io::pwrite(&file, socket, 0));
    noted.map_err(|error| FileFault { path, reason: error.to_string() })?;
    Ok(file)
}

fn answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// Binds the socket, mode 0600, in a directory of ours. Whoever holds the lock may take away a socket that was left.
fn bind(socket: &Path) -> Result<UnixListener, OpenError> {
    let fault = |reason: String| OpenError::Other(format!("the socket {} can't be used: {reason}", socket.display()));
    let directory = socket.parent().ok_or_else(|| fault("it has no directory".into()))?;
    own_directory(directory)?;
    match std::fs::remove_file(socket) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(fault(error.to_string())),
    }
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(socket);
    rustix::process::umask(before);
    bound.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => {
            fault("its path is longer than 107 bytes; set XDG_RUNTIME_DIR to a shorter one".into())
        }
        _ => fault(error.to_string()),
    })
}
