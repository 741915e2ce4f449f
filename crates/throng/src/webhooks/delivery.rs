//! One call: a signed `POST`, of whose answer the status is read and nothing else. Redirects are not followed.

use axum::body::Body;
use axum::http::{Request, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use throng_core::network::Network;
use throng_core::time::UnixMillis;
use throng_core::webhook::Secret;
use tokio::task::JoinSet;

use super::line::Lines;

/// Largest head of an answer that is read.
const HEAD_MAX_BYTES: usize = 16 * 1024;
const AGENT: &str = concat!("throng/", env!("CARGO_PKG_VERSION"));

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Failure {
    #[error("it answered {0}")]
    Answered(u16),
    #[error("its name is not known")]
    Name,
    #[error(
        "it is at a private address, which is called only where the operator allows its network (--webhooks-allow)"
    )]
    Private,
    #[error("it answered {0}, and redirects are not followed")]
    Redirected(u16),
    #[error("nobody listens there")]
    Refused,
    #[error("it did not answer within 10 s")]
    Slow,
    #[error("TLS failed: its certificate is not trusted here, or is not of this name")]
    Tls,
    #[error("its answer is no HTTP")]
    Unintelligible,
    #[error("it cannot be reached")]
    Unreachable,
    #[error("its URL cannot be called")]
    Url,
}

/// A message with its signature.
pub(super) struct Signed<'m> {
    id: &'m str,
    body: &'m str,
    timestamp_s: i64,
    signature: String,
}

impl<'m> Signed<'m> {
    /// The same message, sent at another time, has another signature.
    pub(super) fn new(id: &'m str, body: &'m str, secret: &Secret, now: UnixMillis) -> Self {
        let timestamp_s = now.0.div_euclid(1_000);
        Self {
            id,
            body,
            timestamp_s,
            signature: secret.sign(id, timestamp_s, body.as_bytes()),
        }
    }
}

/// Who carries messages to receivers.
pub(crate) struct Courier {
    lines: Lines,
}

impl Courier {
    /// He goes to public addresses, and to these networks.
    pub(crate) fn new(allowed: Vec<Network>) -> Self {
        Self {
            lines: Lines::new(allowed),
        }
    }

    /// Whether a URL names an address outright to which he does not go.
    pub(crate) fn is_forbidden(&self, url: &Uri) -> bool {
        self.lines.is_forbidden(url)
    }

    /// Delivers a message; the status where it was taken.
    pub(super) async fn call(&self, url: &str, message: Signed<'_>) -> Result<u16, Failure> {
        let url: Uri = url.parse().map_err(|_| Failure::Url)?;
        let line = self.lines.connect(&url).await?;
        let mut http = http1::Builder::new();
        http.max_buf_size(HEAD_MAX_BYTES);
        let (mut sender, connection) = http
            .handshake(TokioIo::new(line))
            .await
            .map_err(|_| Failure::Unreachable)?;
        // It ends with this call, whatever is still to come.
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        let request = request(&url, &message).ok_or(Failure::Url)?;
        let answer = sender.send_request(request).await;
        let status = answer.map_err(|_| Failure::Unintelligible)?.status();
        taken(status)
    }
}

fn request(url: &Uri, message: &Signed<'_>) -> Option<Request<Body>> {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::post(path)
        .header(header::HOST, url.authority()?.as_str())
        .header(header::USER_AGENT, AGENT)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .header("webhook-id", message.id)
        .header("webhook-timestamp", message.timestamp_s)
        .header("webhook-signature", &message.signature);
    request.body(Body::from(message.body.to_owned())).ok()
}

fn taken(status: StatusCode) -> Result<u16, Failure> {
    let number = status.as_u16();
    if status.is_success() {
        Ok(number)
    } else if status.is_redirection() {
        Err(Failure::Redirected(number))
    } else {
        Err(Failure::Answered(number))
    }
}
