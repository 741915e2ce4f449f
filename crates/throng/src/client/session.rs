//! A WebRTC session as its client sees it: offer and answer over HTTP (WHIP, RFC 9725; WHEP), packets by the stage's
//! client, and a goodbye at the end.

use throng_stage::client::{Client as Line, ClientError, ClientKind, Transport};

use super::Error;
use super::http::Client;
use super::link::resolve;

/// A session that is up.
pub struct Session {
    /// Where packets come and go.
    pub line: Line,
    resource: Resource,
}

/// Where and how to ask for a session.
#[derive(Clone, Debug)]
pub struct Door {
    /// The client towards the server.
    pub client: Client,
    /// The WHIP or WHEP endpoint.
    pub url: String,
    /// The speaker's key; WHEP needs none.
    pub bearer: Option<String>,
    /// What we want there.
    pub kind: ClientKind,
}

/// The session's own URL: DELETE ends it (RFC 9725, section 4.2).
struct Resource {
    door: Door,
    url: Option<String>,
}

impl Door {
    /// Asks for a session and waits until packets can flow: over UDP, or where that does not get through, over TCP.
    pub fn enter(&self) -> Result<Session, Error> {
        match self.enter_by(Transport::Udp) {
            Err(Error::Unreachable { url, .. }) if url == self.url => self.enter_by(Transport::Tcp),
            entered => entered,
        }
    }

    fn enter_by(&self, transport: Transport) -> Result<Session, Error> {
        let (pending, offer) = Line::offer(self.kind, transport);
        let answer = self
            .client
            .post_offer(&self.url, self.bearer.as_deref(), offer)?;
        let url = answer
            .header("location")
            .map(|location| resolve(&self.url, location));
        let resource = Resource {
            door: self.clone(),
            url,
        };
        let line = pending
            .connect(&answer.text(ANSWER_BYTES_MAX)?)
            .and_then(until_connected);
        match line {
            Ok(line) => Ok(Session { line, resource }),
            Err(cause) => {
                resource.delete();
                Err(self.failed(&cause))
            }
        }
    }

    fn failed(&self, cause: &ClientError) -> Error {
        let (url, reason) = (self.url.clone(), cause.to_string());
        match cause {
            ClientError::Answer(_) => Error::Malformed { url, reason },
            _ => Error::Unreachable {
                url,
                reason: format!("the media connection did not come up ({reason})"),
            },
        }
    }
}

impl Session {
    /// Says goodbye, on the media connection and over HTTP.
    pub fn close(self) {
        self.line.close();
        self.resource.delete();
    }
}

impl Resource {
    /// Ends the session at the server. One that cannot be told finds out by our silence.
    fn delete(self) {
        if let Some(url) = self.url {
            let _ = self.door.client.delete(&url, self.door.bearer.as_deref());
        }
    }
}

/// Waits for ICE and DTLS; the line itself gives up after a while.
fn until_connected(mut line: Line) -> Result<Line, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(line.connected())?;
    Ok(line)
}

/// As long an SDP as the other side takes from us; a longer answer is refused.
const ANSWER_BYTES_MAX: u64 = 32 << 10;
