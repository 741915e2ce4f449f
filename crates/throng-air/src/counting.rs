//! The doors of the ordinary server write into the ledger: every request and every answer, to its last byte.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::ledger::{Account, Closed, Door, Ledger, Refused};

/// Goes with an answer that carries audio: how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    pub(crate) samples: u64,
}

/// What a status means for the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admitted,
    Failed,
    Refused(Refused),
}

impl Verdict {
    pub(crate) fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::Refused(Refused::Absent),
            // Who is sent on to another house is not served by this one.
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TEMPORARY_REDIRECT => {
                Self::Refused(Refused::Busy)
            }
            StatusCode::GONE => Self::Refused(Refused::Over),
            other if other.is_client_error() => Self::Refused(Refused::Malformed),
            other if other.is_server_error() => Self::Failed,
            _ => Self::Admitted,
        }
    }

    /// Counts a request that had this answer.
    pub(crate) fn write(self, account: &mut Account) {
        match self {
            Self::Admitted => account.admit(),
            Self::Failed => account.fail(),
            Self::Refused(reason) => account.refuse(reason),
        }
    }
}

/// The layer around the routes.
pub(crate) async fn count(
    State(ledger): State<Arc<Ledger>>,
    request: Request,
    next: Next,
) -> Response {
    let door = Door::of(request.uri().path());
    let bodiless = *request.method() == Method::HEAD;
    let arrival = Arrival::new(ledger, door);
    let answer = next.run(request).await;
    let delivered = answer.extensions().get::<Delivered>().copied();
    let Some(admission) = arrival.decide(answer.status()) else {
        return answer;
    };
    if let Some(Delivered { samples }) = delivered {
        admission
            .ledger
            .write(door, |account| account.deliver(samples));
    }
    answer.map(|body| {
        if bodiless || body.is_end_stream() {
            admission.close(Closed::Ended);
            body
        } else {
            Body::new(Counted { body, admission })
        }
    })
}

/// A request that is not decided yet. Who goes away undecided has left, unless a panic took him.
struct Arrival {
    ledger: Arc<Ledger>,
    door: Door,
    decided: bool,
}

impl Arrival {
    fn new(ledger: Arc<Ledger>, door: Door) -> Self {
        ledger.write(door, Account::arrive);
        Self {
            ledger,
            door,
            decided: false,
        }
    }

    fn decide(mut self, status: StatusCode) -> Option<Admission> {
        self.decided = true;
        let verdict = Verdict::of(status);
        self.ledger
            .write(self.door, |account| verdict.write(account));
        (verdict == Verdict::Admitted).then(|| Admission {
            ledger: Arc::clone(&self.ledger),
            door: self.door,
            closed: false,
        })
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if !self.decided {
            self.ledger.write(self.door, |account| {
                if thread::panicking() {
                    account.fail();
                } else {
                    account.refuse(Refused::Left);
                }
            });
        }
    }
}

/// An answer that goes on. One that is dropped was left by its listener.
struct Admission {
    ledger: Arc<Ledger>,
    door: Door,
    closed: bool,
}

impl Admission {
    fn close(mut self, reason: Closed) {
        self.write(reason);
    }

    fn write(&mut self, reason: Closed) {
        if !self.closed {
            self.closed = true;
            self.ledger
                .write(self.door, |account| account.close(reason));
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.write(Closed::Left);
    }
}

struct Counted {
    body: Body,
    admission: Admission,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            None => self.admission.write(Closed::Ended),
            Some(Err(_)) => self.admission.write(Closed::Stopped),
            Some(Ok(_)) if self.body.is_end_stream() => self.admission.write(Closed::Ended),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
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
    use std::convert::Infallible;
    use std::future::pending;
    use std::io;

    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use futures_util::{FutureExt, StreamExt, stream};
    use tower_service::Service;

    use super::*;
    const DOOR: Door = Door::Stream;

    /// Doors whose answers are their names.
    fn doors() -> (Router, Arc<Ledger>) {
        let ledger = Arc::new(Ledger::default());
        let endless = || stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b"sound")));
        let broken = || {
            stream::iter([
                Ok(Bytes::from_static(b"sound")),
                Err(io::ErrorKind::ConnectionAborted),
            ])
            .map(|piece| piece.map_err(io::Error::from))
        };
        let routes = Router::new()
            .route("/short/live.mp4", get(|| async { "all of it" }))
            .route(
                "/endless/live.mp4",
                get(move || async move { Body::from_stream(endless()) }),
            )
            .route(
                "/broken/live.mp4",
                get(move || async move { Body::from_stream(broken()) }),
            )
            .route("/never/live.mp4", get(pending::<()>))
            .route(
                "/full/live.mp4",
                get(|| async { StatusCode::SERVICE_UNAVAILABLE }),
            )
            .route("/wrong/live.mp4", get(|| async { StatusCode::BAD_REQUEST }))
            .route("/over/live.mp4", get(|| async { StatusCode::GONE }))
            .route(
                "/bug/live.mp4",
                get(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
            );
        (
            routes.layer(from_fn_with_state(Arc::clone(&ledger), count)),
            ledger,
        )
    }

    async fn ask(routes: &mut Router, method: Method, name: &str) -> Response {
        let request = Request::builder()
            .method(method)
            .uri(format!("/{name}/live.mp4"))
            .body(Body::empty())
            .unwrap();
        routes.call(request).await.unwrap()
    }

    #[tokio::test]
    async fn every_request_is_in_one_place_of_the_books_at_every_moment() {
        let (mut routes, ledger) = doors();
        let account = || ledger.accounts()[DOOR.index()];
        for name in ["full", "wrong", "over", "bug", "nowhere"] {
            ask(&mut routes, Method::GET, name).await;
        }
        let expected = Account {
            arrived: 5,
            failed: 1,
            refused: [1, 1, 0, 1, 1, 0],
            ..Account::default()
        };
        assert_eq!(account(), expected);

        let waiting = ask(&mut routes, Method::GET, "never");
        let mut waiting = Box::pin(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(account().pending(), Some(1));
        drop(waiting);
        assert_eq!(account().pending(), Some(0));
        assert_eq!(
            account().refused[Refused::Left as usize],
            1,
            "it went unanswered"
        );

        let mut answers = Vec::new();
        for name in ["short", "endless", "broken"] {
            answers.push(
                ask(&mut routes, Method::GET, name)
                    .await
                    .into_body()
                    .into_data_stream(),
            );
        }
        assert_eq!(account().held(), Some(3));
        for answer in &mut answers {
            answer.next().await.unwrap().unwrap();
        }
        assert_eq!(
            (account().held(), account().closed[Closed::Ended as usize]),
            (Some(2), 1)
        );
        assert!(answers[2].next().await.unwrap().is_err());
        drop(answers);
        assert_eq!(account().closed, [1, 1, 1], "ended, left, stopped");
        assert_eq!(account().held(), Some(0));

        drop(ask(&mut routes, Method::HEAD, "endless").await);
        assert_eq!(
            account().closed[Closed::Ended as usize],
            2,
            "a head is a whole answer"
        );
        assert_eq!((account().pending(), account().held()), (Some(0), Some(0)));
    }
}
