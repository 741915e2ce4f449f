//! HTTP for the clients: JSON calls, bounded texts and endless streams, with errors in plain words.
//!
//! `https://` trusts what the operating system trusts (platform verifier), so that a house with a certificate
//! authority of its own needs no setting here. Proxies of the environment are used, but never towards this machine.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use serde::Deserialize;
use serde_json::Value;
use ureq::http::request::Builder;
use ureq::http::{Request, Response, StatusCode, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody, ResponseExt};

use super::Error;

/// A client towards one server.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Answer {
    url: String,
    response: Response<ureq::Body>,
}

/// What somebody finds who wants to come in.
#[derive(Debug)]
pub enum Entry<T> {
    /// He is in.
    In(Answer),
    /// He is to wait, with this in his hand.
    Wait(T),
}

impl Client {
    /// A client for the server of `url`.
    pub fn towards(url: &str) -> Self {
        Self::towards_any(url, false)
    }

    /// A client for the server of `url`, whatever certificate it has.
    pub(super) fn towards_any(url: &str, insecure: bool) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("throng/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .timeout_recv_response(Some(READ_TIMEOUT))
            .tls_config(
                TlsConfig::builder()
                    .root_certs(RootCerts::PlatformVerifier)
                    .disable_verification(insecure)
                    .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
                    .build(),
            );
        if is_this_machine(url) {
            config = config.proxy(None);
        }
        Self {
            agent: config.build().into(),
        }
    }

    /// The same with no connection open yet: those of one whose network has changed are dead, and nobody says so.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self {
            agent: Agent::new_with_config(self.agent.config().clone()),
        }
    }

    /// Whether anybody answers there, be it what it may. It changes nothing there.
    pub fn reaches(&self, url: &str, within: Duration) -> bool {
        let Ok(request) = Request::options(url).body(()) else {
            return false;
        };
        self.agent.run(self.within(within, request)).is_ok()
    }

    /// GET; an answer that is not a success is an error that says what the server said.
    pub fn get(&self, url: &str) -> Result<Answer, Error> {
        self.run(url, Request::get(url).body(()))
    }

    /// The same by who has a key.
    pub fn fetch(&self, url: &str, bearer: &str) -> Result<Answer, Error> {
        self.run(url, with_bearer(Request::get(url), Some(bearer)).body(()))
    }

    /// GET of what may be full: the ticket of a queue (`503`) is no error.
    pub fn enter<T: for<'de> Deserialize<'de>>(&self, url: &str) -> Result<Entry<T>, Error> {
        let answer = self.send(url, Request::get(url).body(()))?;
        let status = answer.response.status();
        if status != StatusCode::SERVICE_UNAVAILABLE {
            return answer.successful().map(Entry::In);
        }
        let body = answer.bytes(JSON_MAX).unwrap_or_default();
        match serde_json::from_slice(&body) {
            Ok(ticket) => Ok(Entry::Wait(ticket)),
            Err(_) => Err(refused(url.to_owned(), status, &body)),
        }
    }

    /// Posts a WebRTC offer (WHIP, RFC 9725, section 4.2; WHEP alike).
    pub fn post_offer(
        &self,
        url: &str,
        bearer: Option<&str>,
        offer: String,
    ) -> Result<Answer, Error> {
        let request =
            with_bearer(Request::post(url), bearer).header("content-type", "application/sdp");
        self.run(url, request.body(offer))
    }

    /// DELETE of a resource of ours, answered within so long or not at all.
    pub fn delete(&self, url: &str, bearer: Option<&str>, within: Duration) -> Result<(), Error> {
        let request = with_bearer(Request::delete(url), bearer).body(());
        let request = request.map(|request| self.within(within, request));
        self.run(url, request).map(drop)
    }

    /// PUT of a file; JSON out. The server makes something of it first.
    pub fn put(&self, url: &str, bearer: &str, bytes: &[u8]) -> Result<Value, Error> {
        let request = with_bearer(Request::put(url), Some(bearer))
            .header("content-type", "application/octet-stream")
            .body(bytes)
            .map(|request| {
                let request = self.agent.configure_request(request);
                request.timeout_recv_response(Some(PUT_TIMEOUT)).build()
            });
        self.run(url, request)?.json()
    }

    /// A call of the desk's API: JSON in, JSON out (`null` for an empty answer).
    pub fn call(
        &self,
        method: &str,
        url: &str,
        bearer: &str,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("accept", "application/json");
        let request = with_bearer(request, Some(bearer));
        let answer = match body {
            None => self.run(url, request.body(())),
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.run(url, request.body(body.to_string()))
            }
        };
        let text = answer?.text(JSON_MAX)?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|cause| malformed(url, &cause))
    }

    /// GET of a stream of events, from after the one that was read last.
    pub(super) fn follow(
        &self,
        url: &str,
        bearer: &str,
        last: Option<&str>,
    ) -> Result<Answer, Error> {
        let mut request =
            with_bearer(Request::get(url), Some(bearer)).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        self.run(url, request.body(()))
    }

    /// A call of a protocol that is not ours: whatever the status, and the whole answer.
    pub(crate) fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        let url = request.uri().to_string();
        let answer = self.send(&url, Ok(request))?;
        let (status, headers) = (answer.response.status(), answer.response.headers().clone());
        let mut response = Response::new(answer.bytes(JSON_MAX)?);
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }

    fn within(&self, limit: Duration, request: Request<()>) -> Request<()> {
        let request = self.agent.configure_request(request);
        request.timeout_global(Some(limit)).build()
    }

    fn run<B: AsSendBody>(
        &self,
        url: &str,
        request: ureq::http::Result<Request<B>>,
    ) -> Result<Answer, Error> {
        self.send(url, request)?.successful()
    }

    fn send<B: AsSendBody>(
        &self,
        url: &str,
        request: ureq::http::Result<Request<B>>,
    ) -> Result<Answer, Error> {
        let request = request.map_err(|cause| bad_url(url, &cause))?;
        let response = self
            .agent
            .run(request)
            .map_err(|cause| unreachable(url, &cause))?;
        Ok(Answer {
            url: url.to_owned(),
            response,
        })
    }
}

impl Answer {
    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The path that answered, which after a redirection is not the one that was asked for.
    pub fn path(&self) -> &str {
        self.response.get_uri().path()
    }

    /// The whole body, at most `limit` bytes.
    pub fn bytes(mut self, limit: u64) -> Result<Vec<u8>, Error> {
        self.response
            .body_mut()
            .with_config()
            .limit(limit)
            .read_to_vec()
            .map_err(|cause| match cause {
                ureq::Error::BodyExceedsLimit(limit) => {
                    malformed(&self.url, &format!("more than {limit} bytes"))
                }
                cause => unreachable(&self.url, &cause),
            })
    }

    /// The whole body as UTF-8, at most `limit` bytes.
    pub fn text(self, limit: u64) -> Result<String, Error> {
        let url = self.url.clone();
        String::from_utf8(self.bytes(limit)?).map_err(|cause| malformed(&url, &cause))
    }

    /// The whole body as JSON.
    pub fn json<T: for<'de> Deserialize<'de>>(self) -> Result<T, Error> {
        let url = self.url.clone();
        serde_json::from_str(&self.text(JSON_MAX)?).map_err(|cause| malformed(&url, &cause))
    }

    /// The body as it comes, without an end.
    pub fn stream(self) -> impl Read + Send {
        self.response
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader()
    }

    fn successful(self) -> Result<Self, Error> {
        let status = self.response.status();
        if status.is_success() {
            return Ok(self);
        }
        let url = self.url.clone();
        // A refusal that cannot be read is still a refusal.
        let body = self.bytes(JSON_MAX).unwrap_or_default();
        Err(refused(url, status, &body))
    }
}

fn refused(url: String, status: StatusCode, body: &[u8]) -> Error {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    Error::Refused {
        url,
        status: status.as_u16(),
        kind: problem.kind,
        reason: reason(status, body),
    }
}

/// Whether the host of a URL is this machine, so that both share one clock and need no proxy.
pub fn is_this_machine(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// An answer that breaks its standard.
pub(super) fn malformed(url: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::Malformed {
        url: url.to_owned(),
        reason: cause.to_string(),
    }
}

/// What a refusal says: a problem (RFC 9457), the ticket of a full house, a plain sentence, or the status alone.
fn reason(status: StatusCode, body: &[u8]) -> String {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let title = problem.title.or(problem.reason).or_else(|| sentence(body));
    let title = title.unwrap_or_else(|| {
        status
            .canonical_reason()
            .unwrap_or("no reason given")
            .to_owned()
    });
    let detail = problem.detail.filter(|detail| *detail != title);
    let detail = detail
        .map(|detail| format!(": {detail}"))
        .unwrap_or_default();
    let again = problem
        .ask_again_seconds
        .map(|seconds| format!(" (ask again in {seconds} s)"));
    let reason = format!("{title}{detail}{}", again.unwrap_or_default());
    reason
        .chars()
        .filter(|letter| !letter.is_control())
        .take(REASON_CHARS_MAX)
        .collect()
}

/// A body that is one line of plain words, as Air refuses.
fn sentence(body: &[u8]) -> Option<String> {
    let line = str::from_utf8(body).ok()?.trim_end();
    let plain = line.starts_with(char::is_alphabetic) && !line.contains(char::is_control);
    plain.then(|| line.to_owned())
}

fn with_bearer(request: Builder, bearer: Option<&str>) -> Builder {
    match bearer {
        Some(key) => request.header("authorization", format!("Bearer {key}")),
        None => request,
    }
}

fn bad_url(url: &str, cause: &ureq::http::Error) -> Error {
    Error::Usage(format!("{url} is not a URL that can be asked for: {cause}"))
}

fn unreachable(url: &str, cause: &ureq::Error) -> Error {
    let reason = match cause {
        ureq::Error::Io(cause) => cause.to_string(),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::BadUri(cause) => return Error::Usage(format!("{url} is not a URL: {cause}")),
        cause => cause.to_string(),
    };
    Error::Unreachable {
        url: url.to_owned(),
        reason,
    }
}

/// The members of a refusal that a person wants to read.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: Option<String>,
    title: Option<String>,
    detail: Option<String>,
    reason: Option<String>,
    ask_again_seconds: Option<f64>,
}

/// A server that is up accepts within a round trip; a busy one lets us wait in its backlog.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Playlists and parts are held for at most 12 s, and a span is under 8 s: a longer silence is a dead connection.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// A file of ten minutes is decoded before it is answered, on a busy machine of two cores.
const PUT_TIMEOUT: Duration = Duration::from_mins(2);
/// The longest JSON we accept: `GET /api/spaces` with some thousands of spaces.
const JSON_MAX: u64 = 4 << 20;
/// A person reads no longer reason than this; it is cut.
const REASON_CHARS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::super::test_server::TestServer;
    use super::*;

    #[test]
    fn a_problem_is_told_with_its_title_and_detail() {
        // RFC 9457, section 3.
        let server = TestServer::start(|_| {
            let body = r#"{"type":"about:blank","title":"Already live","status":409,"detail":"It began at 20:00"}"#;
            TestServer::answer("409 Conflict", "application/problem+json", body.as_bytes())
        });
        let client = Client::towards(&server.url);
        let refused = client
            .call("POST", &format!("{}/api", server.url), "key", None)
            .unwrap_err();
        assert_eq!(refused.exit_code(), 1);
        assert!(
            refused
                .to_string()
                .ends_with("/api answered 409: Already live: It began at 20:00"),
            "{refused}"
        );
    }

    #[test]
    fn a_refusal_without_json_is_told_by_its_status() {
        assert_eq!(
            reason(StatusCode::BAD_GATEWAY, b"<html>\x1b[31m"),
            "Bad Gateway"
        );
        let full = br#"{"reason":"The house is full","place":7,"ask_again_seconds":12}"#;
        assert_eq!(
            reason(StatusCode::SERVICE_UNAVAILABLE, full),
            "The house is full (ask again in 12 s)"
        );
        let sentence = b"The programme is being made ready. Try again in a moment.\n";
        assert_eq!(
            reason(StatusCode::SERVICE_UNAVAILABLE, sentence),
            "The programme is being made ready. Try again in a moment."
        );
        assert_eq!(
            reason(StatusCode::FORBIDDEN, br#"{"title":"\u001b[31mNo"}"#),
            "[31mNo"
        );
    }

    #[test]
    fn a_body_beyond_its_limit_is_refused() {
        let server =
            TestServer::start(|_| TestServer::answer("200 OK", "text/plain", &[b'x'; 100]));
        let answer = Client::towards(&server.url).get(&server.url).unwrap();
        assert!(matches!(answer.bytes(99), Err(Error::Malformed { .. })));
    }

    #[test]
    fn only_loopback_hosts_are_this_machine() {
        for url in [
            "http://localhost:8080/s/a",
            "http://127.0.0.2/",
            "http://[::1]:80/",
        ] {
            assert!(is_this_machine(url), "{url}");
        }
        for url in ["http://10.0.0.1/", "https://localhost.example/", "nonsense"] {
            assert!(!is_this_machine(url), "{url}");
        }
    }
}
