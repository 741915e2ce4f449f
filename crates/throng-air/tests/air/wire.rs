//! A plain HTTP/1.1 client on one socket, so that tests see what is on the wire.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Wire(BufReader<Box<dyn Both>>);

/// What goes both ways.
pub(crate) trait Both: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Both for S {}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The headers, their names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body; empty until it is read.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header; an empty text where it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

impl Wire {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await;
        Self::over(stream.expect("somebody listens there"))
    }

    /// A connection that is there.
    pub(crate) fn over(stream: impl Both + 'static) -> Self {
        Self(BufReader::new(Box::new(stream)))
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.0.get_mut().write_all(bytes.as_ref()).await;
        sent.expect("the server takes what it is sent");
        let flushed = self.0.get_mut().flush().await;
        flushed.expect("the server takes what it is sent");
    }

    /// Sends a request without a body; each header ends with CRLF.
    pub(crate) async fn ask(&mut self, method: &str, target: &str, headers: &str) {
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nhost: test\r\n{headers}\r\n"
        ))
        .await;
    }

    /// Asks with GET and reads the whole answer.
    pub(crate) async fn get(&mut self, target: &str) -> Answer {
        self.fetch("GET", target, "").await
    }

    /// Asks and reads the whole answer.
    pub(crate) async fn fetch(&mut self, method: &str, target: &str, headers: &str) -> Answer {
        self.ask(method, target, headers).await;
        self.answer(method).await
    }

    /// The head of the next answer.
    pub(crate) async fn head(&mut self) -> io::Result<Answer> {
        let status_line = self.line().await?;
        let status = status_line.split(' ').nth(1).and_then(|s| s.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Ok(Answer {
            status: status.ok_or(io::ErrorKind::InvalidData)?,
            headers,
            body: Vec::new(),
        })
    }

    /// The next answer with its body.
    pub(crate) async fn answer(&mut self, method: &str) -> Answer {
        let mut answer = self.head().await.expect("the server answers");
        if method == "HEAD" || matches!(answer.status, 204 | 304) {
            return answer;
        }
        if answer.header("transfer-encoding") == "chunked" {
            while let Some(chunk) = self.chunk().await.expect("the body is whole") {
                answer.body.extend(chunk);
            }
        } else {
            let length = answer.header("content-length").parse().expect("a length");
            answer.body = vec![0; length];
            let read = self.0.read_exact(&mut answer.body).await;
            read.expect("the body is as long as it says");
        }
        answer
    }

    /// The next chunk of a body without a length; `None` behind the last one. An error where the connection is cut.
    pub(crate) async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line().await?;
        let length = usize::from_str_radix(&line, 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; length];
        self.0.read_exact(&mut chunk).await?;
        self.line().await?;
        Ok((length > 0).then_some(chunk))
    }

    /// So many bytes of a body without a length.
    pub(crate) async fn body(&mut self, length: usize) -> String {
        let mut body = Vec::new();
        while body.len() < length {
            let chunk = self.chunk().await.expect("the body goes on");
            body.extend(chunk.expect("the body has not ended"));
        }
        String::from_utf8(body).expect("the body is text")
    }

    /// Whether the server closes now, without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        matches!(self.0.read_u8().await, Err(error) if error.kind() == io::ErrorKind::UnexpectedEof)
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
