//! Is this node's clock right? What it records binds every other node, for the log never goes back in time: one whose clock
//! is ahead would shut the others out until its time has come. So each batch asks `PostgreSQL`, which all nodes share, and
//! a node that differs records nothing. `SQLite` is on the same machine and has no other clock.

use super::AuditError;
use crate::authority::store::Batch;
use crate::clock::Clock;

/// Seconds that a clock may be off. Synchronised machines differ by milliseconds, and times here are whole seconds: what is
/// off by more is not synchronised. It is far below what the log allows a clock to go back by, so that no node can record
/// what keeps another one from recording.
const BOUND: i64 = 2;

/// The newest checkpoint, where this node's clock is right. One that was set by hand, for a test, is nobody's to compare.
pub(super) async fn newest_checkpoint(batch: &mut Batch, clock: &Clock) -> Result<Option<String>, AuditError> {
    let before = clock.now();
    let newest = batch.newest().await.map_err(AuditError::Store)?;
    let after = clock.now();
    if let Some(time) = newest.time.filter(|_| clock.is_the_machines()) {
        // It was read some time between the two, however long the answer took.
        let (ahead, behind) = (before.as_second() - time, time - after.as_second());
        if ahead > BOUND {
            return Err(AuditError::NodeClock { node: after, off: ahead, way: "ahead of" });
        }
        if behind > BOUND {
            return Err(AuditError::NodeClock { node: after, off: behind, way: "behind" });
        }
    }
    Ok(newest.checkpoint)
}
