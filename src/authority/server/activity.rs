//! Requests under way, and how long there have been none: of one connection, and of them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Requests under way, and when the last one ended.
pub(super) struct Activity {
    started: Instant,
    under_way: AtomicUsize,
    /// Milliseconds after `started`.
    last: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { started: Instant::now(), under_way: AtomicUsize::new(0), last: AtomicU64::new(0) })
    }

    /// Returns when there has been no request for as long as `idle`.
    pub(super) async fn idle_for(&self, idle: Duration) {
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

/// Counts one request for as long as it lasts, also where its caller goes away in the middle.
pub(super) struct UnderWay(Arc<Activity>);

impl UnderWay {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.under_way.fetch_add(1, Ordering::SeqCst);
        Self(activity.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(now, Ordering::SeqCst);
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}
