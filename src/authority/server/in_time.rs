//! No request takes for ever, and it is said whose fault that was.

use crate::authority::error::Refusal;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// The answer of `run`, where it is there within `time`.
///
/// # Errors
/// [`Refusal::TooSlow`], where the request's body is not: its sender's fault. [`Refusal::Overdue`] else: ours.
pub(super) async fn in_time<F: Future>(
    time: Duration,
    request: Request,
    run: impl FnOnce(Request) -> F,
) -> Result<F::Output, Refusal> {
    let arrived = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let request = request.map(|body| Body::new(Arriving { body, arrived: arrived.clone() }));
    timeout(time, run(request))
        .await
        .map_err(|_| if arrived.load(Ordering::Relaxed) { Refusal::Overdue } else { Refusal::TooSlow })
}

/// A body that says when it is all there.
struct Arriving {
    body: Body,
    arrived: Arc<AtomicBool>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.arrived.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use std::convert::Infallible;
    use std::future::pending;

    /// Sends its first part and no other.
    struct Stuck(bool);

    impl HttpBody for Stuck {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"token=")))))
        }
    }

    async fn whose_fault(body: Body) -> Refusal {
        let hangs = async |request: Request| {
            let _ = to_bytes(request.into_body(), 1024).await;
            pending::<()>().await;
        };
        in_time(Duration::from_millis(20), Request::new(body), hangs).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_its_senders_fault_and_an_answer_is_ours() {
        assert_eq!(whose_fault(Body::new(Stuck(false))).await.class().0, 408);
        for whole in [Body::empty(), Body::from("token=x")] {
            let fault = whose_fault(whole).await;
            assert_eq!((fault.class().0, fault.class().1), (503, "temporarily_unavailable"));
        }
        let answered = in_time(Duration::from_mins(1), Request::new(Body::empty()), async |_| 7).await;
        assert_eq!(answered.unwrap(), 7);
    }
}
