//! The body of a request, which fails when it does not come in time.

use std::error::Error;
use std::io;
use std::iter::successors;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{self, Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// Time for a whole request body that nobody has asked for. The largest of those is some 30 KB.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the body of a request may take: an extension of the request. Whoever answers it, and knows who asks, may
/// wait longer than anybody is waited for.
#[derive(Clone, Debug, Default)]
pub struct Patience(Arc<OnceLock<Duration>>);

impl Patience {
    /// The body may take so long in all, counted from its head. What was said first holds.
    pub fn extend(&self, time: Duration) {
        // Somebody in front has said it already.
        let _ = self.0.set(time);
    }
}

/// Whether a body was given up because it did not come in time.
pub fn came_late(error: &axum::Error) -> bool {
    let first: &(dyn Error + 'static) = error;
    successors(Some(first), |&cause| cause.source())
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

/// A request whose body has a deadline, and its [`Patience`], where it has a body.
pub(super) fn timely(request: Request<Incoming>) -> Request<Body> {
    if request.body().is_end_stream() {
        return request.map(|_| Body::empty());
    }
    let patience = Patience::default();
    let mut request = request.map(|body| {
        Body::new(Timely {
            body,
            patience: Some(patience.clone()),
            since: Instant::now(),
            deadline: Box::pin(sleep(BODY_TIMEOUT)),
        })
    });
    request.extensions_mut().insert(patience);
    request
}

struct Timely {
    body: Incoming,
    /// Until somebody has extended it.
    patience: Option<Patience>,
    since: Instant,
    deadline: Pin<Box<Sleep>>,
}

impl Timely {
    fn heed_patience(&mut self) {
        let extended = self.patience.as_ref().and_then(|patience| patience.0.get());
        if let Some(time) = extended.copied() {
            self.deadline.as_mut().reset(self.since + time);
            self.patience = None;
        }
    }
}

impl hyper::body::Body for Timely {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.heed_patience();
        if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new(io::Error::from(
                io::ErrorKind::TimedOut,
            )))));
        }
        let frame = task::ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
