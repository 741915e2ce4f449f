//! Bytes become messages, in pieces of any size: a greeting, then frames (`u32` length, then so many bytes).

use std::marker::PhantomData;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use super::wire::Malformed;
use super::{GREETING, MAGIC, VERSION};

/// Something that travels in a frame.
pub trait Message: Sized {
    /// Its largest frame.
    const FRAME_MAX_BYTES: usize;

    /// Reads the bytes of one frame.
    fn read(frame: Bytes) -> Result<Self, Malformed>;

    /// Appends what [`Message::read`] reads.
    fn write(&self, out: &mut Vec<u8>);

    /// The message as a frame; `None` when it is larger than its reader takes.
    fn to_frame(&self) -> Option<Bytes> {
        let mut out = vec![0; LENGTH_BYTES];
        self.write(&mut out);
        let length = out.len() - LENGTH_BYTES;
        let prefix = u32::try_from(length).ok()?;
        out[..LENGTH_BYTES].copy_from_slice(&prefix.to_be_bytes());
        (length <= Self::FRAME_MAX_BYTES).then(|| out.into())
    }
}

/// Why a line cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FeedError {
    /// A frame is longer than any message.
    #[error("a frame of {0} bytes is longer than any message of the feed")]
    FrameTooLong(u32),
    /// A frame is no message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Something else than a feed.
    #[error("what came is no feed of Throng")]
    NotAFeed,
    /// The other end speaks another version.
    #[error(
        "the other end speaks version {0} of the feed, this one {VERSION}: run the same version of throng at both"
    )]
    Version(u8),
}

/// Reads one direction of a feed. After an error nothing more comes of it.
#[derive(Debug)]
pub struct Decoder<M> {
    buffer: BytesMut,
    greeted: bool,
    message: PhantomData<M>,
}

impl<M: Message> Default for Decoder<M> {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            greeted: false,
            message: PhantomData,
        }
    }
}

impl<M: Message> Decoder<M> {
    /// Takes bytes as they came. Whoever takes every message before he gives more holds one frame at most.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message; `None` until more bytes come.
    pub fn next_message(&mut self) -> Result<Option<M>, FeedError> {
        if !self.greeted {
            self.greeted = self.take_greeting()?;
            if !self.greeted {
                return Ok(None);
            }
        }
        let Some(prefix) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let announced = u32::from_be_bytes(*prefix);
        let length = usize::try_from(announced)
            .ok()
            .filter(|length| *length <= M::FRAME_MAX_BYTES)
            .ok_or(FeedError::FrameTooLong(announced))?;
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        let frame = self.buffer.split_to(length).freeze();
        Ok(Some(M::read(frame)?))
    }

    fn take_greeting(&mut self) -> Result<bool, FeedError> {
        let known = self.buffer.len().min(MAGIC.len());
        if self.buffer[..known] != MAGIC[..known] {
            return Err(FeedError::NotAFeed);
        }
        let Some(&version) = self.buffer.get(MAGIC.len()) else {
            return Ok(false);
        };
        if version != VERSION {
            return Err(FeedError::Version(version));
        }
        self.buffer.advance(GREETING.len());
        Ok(true)
    }
}

/// Bytes of the length before each frame.
const LENGTH_BYTES: usize = 4;

/// The messages of a line that comes in pieces of so many bytes, and what is wrong with the next: for tests and fuzz
/// targets.
#[cfg(any(test, fuzzing))]
pub fn read_in_pieces<M: Message>(line: &[u8], piece: usize) -> (Vec<M>, Option<FeedError>) {
    let (mut decoder, mut messages) = (Decoder::default(), Vec::new());
    for piece in line.chunks(piece) {
        decoder.push(piece);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}
