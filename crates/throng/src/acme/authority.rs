//! HTTP towards the authority: what [`instant_acme`] asks goes the way of all our clients.

use std::future::Future;
use std::pin::Pin;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use bytes::Bytes;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::task::spawn_blocking;

use crate::client::http::Client;

/// Longest request of ours: a signed order with a request for a certificate is a few kilobytes.
const REQUEST_MAX: usize = 64 * 1024;

/// The authority of a directory.
pub(super) struct Authority(Client);

impl Authority {
    pub(super) fn new(directory: &str) -> Self {
        Self(Client::towards(directory))
    }
}

impl HttpClient for Authority {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = to_bytes(Body::new(body), REQUEST_MAX).await;
            let request = Request::from_parts(head, body.map_err(other)?.to_vec());
            let asked = spawn_blocking(move || client.exchange(request)).await;
            let answer = asked.map_err(other)?.map_err(other)?;
            Ok(answer.map(Body::from).into())
        })
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}
