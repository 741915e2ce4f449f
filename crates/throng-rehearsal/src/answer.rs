//! HTTP/1.1 answers as they come in, in pieces of any size (RFC 9112): the head, and where the body ends. Pure.
//!
//! A head is read when it is whole; a body is handed on as it comes, without the framing of chunks. Nothing is kept.

/// Longest head that we read; a server that sends more is broken.
pub const HEAD_MAX_BYTES: usize = 16 << 10;
/// Headers of an answer; more is broken.
const HEADERS_MAX: usize = 64;

/// What a head says, as far as a listener needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// How the body ends.
    pub body: Body,
    /// Whether the server closes behind it.
    pub closes: bool,
    /// `Retry-After` in seconds.
    pub retry_after_seconds: Option<u32>,
    /// What the body is.
    pub media: Media,
}

/// What kind of body an answer says that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// ADTS AAC.
    Adts,
    /// Fragmented MP4.
    Mp4,
    /// Anything else.
    Other,
    /// `WebM`.
    Webm,
}

/// Why an answer cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The framing of chunks (RFC 9112, section 7.1).
    #[error("broken chunks")]
    Chunks,
    /// The head.
    #[error("a broken head")]
    Head,
}

impl Head {
    /// Reads a head without a body that HEAD or 304 would leave away: we only ask with GET. The length of the head
    /// comes with it; `None` while it is not whole.
    pub fn read(bytes: &[u8]) -> Result<Option<(usize, Self)>, Broken> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        // Icecast answers as HTTP/1.0; the older ICY line is none of ours.
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX_BYTES => return Ok(None),
            _ => return Err(Broken::Head),
        };
        let status = response.code.ok_or(Broken::Head)?;
        let mut head = Self {
            status,
            body: Body::UntilClose,
            closes: response.version == Some(0),
            retry_after_seconds: None,
            media: Media::Other,
        };
        for header in response.headers.iter() {
            head.note(header.name, header.value)?;
        }
        if matches!(status, 204 | 304) {
            head.body = Body::Length(0);
        }
        if head.body == Body::UntilClose {
            head.closes = true;
        }
        Ok(Some((length, head)))
    }

    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), Broken> {
        let text = std::str::from_utf8(value).unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("content-length") {
            let length = text.parse().map_err(|_| Broken::Head)?;
            // Chunks win over a length (RFC 9112, section 6.3).
            if self.body == Body::UntilClose {
                self.body = Body::Length(length);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !text.eq_ignore_ascii_case("chunked") {
                return Err(Broken::Head);
            }
            self.body = Body::Chunked(Chunk::Size { size: 0, digits: 0 });
        } else if name.eq_ignore_ascii_case("connection") {
            self.closes |= text.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("retry-after") {
            self.retry_after_seconds = text.parse().ok();
        } else if name.eq_ignore_ascii_case("content-type") {
            self.media = match text.split(';').next().unwrap_or_default().trim() {
                "audio/aac" | "audio/aacp" | "audio/x-aac" => Media::Adts,
                "audio/mp4" | "video/mp4" => Media::Mp4,
                "audio/webm" | "video/webm" => Media::Webm,
                _ => Media::Other,
            };
        }
        Ok(())
    }
}

/// Where in its body an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// In chunks.
    Chunked(Chunk),
    /// So many bytes are still to come.
    Length(u64),
    /// Until the connection closes.
    UntilClose,
}

/// Where in its chunks a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// After the last chunk's line end.
    End,
    /// In what follows the size, up to the line's end.
    Extension {
        /// The size.
        size: u32,
    },
    /// In the line end behind the bytes of a chunk.
    Line,
    /// So many bytes are left.
    Payload {
        /// How many.
        left: u32,
    },
    /// In the digits of a size.
    Size {
        /// What they say so far.
        size: u32,
        /// How many there were.
        digits: u8,
    },
    /// In the lines behind the last chunk; whether the present one is empty so far.
    Trailer {
        /// Whether it is.
        empty: bool,
    },
}

impl Body {
    /// Takes the next bytes, hands on what belongs to the body, and says how many belong to this answer.
    pub fn feed(&mut self, bytes: &[u8], hand_on: &mut impl FnMut(&[u8])) -> Result<usize, Broken> {
        match self {
            Self::UntilClose => {
                hand_on(bytes);
                Ok(bytes.len())
            }
            Self::Length(left) => {
                let here = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                *left -= here as u64;
                if here > 0 {
                    hand_on(&bytes[..here]);
                }
                Ok(here)
            }
            Self::Chunked(chunk) => {
                let mut at = 0;
                while at < bytes.len() && *chunk != Chunk::End {
                    at += chunk.step(&bytes[at..], hand_on)?;
                }
                Ok(at)
            }
        }
    }

    /// Whether all of it has come.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::End))
    }
}

impl Chunk {
    /// Takes at least one of some bytes.
    fn step(&mut self, bytes: &[u8], hand_on: &mut impl FnMut(&[u8])) -> Result<usize, Broken> {
        let byte = bytes[0];
        *self = match *self {
            Self::Payload { left } => {
                let here = bytes.len().min(left as usize);
                hand_on(&bytes[..here]);
                let taken = u32::try_from(here).expect("not more than is left");
                *self = match left - taken {
                    0 => Self::Line,
                    left => Self::Payload { left },
                };
                return Ok(here);
            }
            Self::Size { size, digits } => match (byte as char).to_digit(16) {
                Some(digit) if digits < SIZE_DIGITS_MAX => Self::Size {
                    size: size << 4 | digit,
                    digits: digits + 1,
                },
                None if digits > 0 && matches!(byte, b'\r' | b';' | b' ' | b'\t') => {
                    Self::Extension { size }
                }
                _ => return Err(Broken::Chunks),
            },
            Self::Extension { size: 0 } if byte == b'\n' => Self::Trailer { empty: true },
            Self::Extension { size } if byte == b'\n' => Self::Payload { left: size },
            Self::Extension { size } => Self::Extension { size },
            Self::Line if byte == b'\r' => Self::Line,
            Self::Line if byte == b'\n' => Self::Size { size: 0, digits: 0 },
            Self::Line => return Err(Broken::Chunks),
            Self::Trailer { empty: true } if byte == b'\n' => Self::End,
            Self::Trailer { empty } => Self::Trailer {
                empty: byte == b'\n' || (empty && byte == b'\r'),
            },
            Self::End => Self::End,
        };
        Ok(1)
    }
}

/// Chunks of up to 256 MB; a longer size is broken.
const SIZE_DIGITS_MAX: u8 = 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], pieces: &[usize]) -> Result<(Vec<u8>, bool, usize), Broken> {
        let (length, head) = Head::read(bytes)?.expect("the head is whole");
        let (mut body, mut out, mut rest, mut taken) = (head.body, Vec::new(), &bytes[length..], 0);
        for piece in pieces.iter().copied().chain(std::iter::repeat(usize::MAX)) {
            let here = &rest[..piece.min(rest.len())];
            let used = body.feed(here, &mut |some| out.extend_from_slice(some))?;
            taken += used;
            rest = &rest[used..];
            if used < here.len() || rest.is_empty() {
                break;
            }
        }
        Ok((out, body.is_whole(), taken))
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let bytes = b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Type: audio/mp4; x=1\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(Head::read(&bytes[..40]), Ok(None));
        let (length, head) = Head::read(bytes).unwrap().unwrap();
        assert_eq!(&bytes[length..], b"abc");
        assert_eq!((head.status, head.retry_after_seconds), (503, Some(7)));
        assert_eq!((head.body, head.media), (Body::Length(3), Media::Mp4));
        assert_eq!(Head::read(b"ICY 200 OK\r\n\r\n"), Err(Broken::Head));
        assert_eq!(Head::read(&[b'H'; HEAD_MAX_BYTES]), Err(Broken::Head));
    }

    #[test]
    fn what_follows_an_answer_is_left_for_the_next() {
        // RFC 9112, section 9.3.2: answers follow each other on a connection.
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n0\r\nA: b\r\n\r\nHTTP/1.1";
        let (body, whole, taken) = read(bytes, &[]).unwrap();
        assert_eq!((body.as_slice(), whole), (b"abc".as_slice(), true));
        assert!(bytes.len() - 49 > taken && bytes.ends_with(b"HTTP/1.1"));
    }

    #[test]
    fn broken_chunks_are_an_error() {
        for chunks in ["x\r\n", "\r\n", "3\r\nabcd\r\n", "123456789\r\n"] {
            let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            assert_eq!(
                read(bytes.as_bytes(), &[]),
                Err(Broken::Chunks),
                "{chunks:?}"
            );
        }
    }

    proptest! {
        /// RFC 9112, section 7.1: however a body was cut into chunks and the chunks into packets.
        #[test]
        fn chunks_become_the_body_that_they_carry(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..20),
            pieces in proptest::collection::vec(1_usize..40, 0..60),
        ) {
            let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for chunk in &chunks {
                bytes.extend(format!("{:X}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            let (body, whole, _) = read(&bytes, &pieces).unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert!(whole);
        }
    }
}
