//! The atoms of a message: numbers in network order, and bytes behind their length. Reading never trusts a length.

use bytes::{Buf, BufMut, Bytes};
use thiserror::Error;

/// What does not read as the message that it claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a message of the feed is malformed: {0}")]
pub struct Malformed(pub &'static str);

/// A message that is being read.
pub(super) struct Reader(pub(super) Bytes);

impl Reader {
    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.0.try_get_u8().map_err(|_| SHORT)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.0.try_get_u16().map_err(|_| SHORT)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.0.try_get_u32().map_err(|_| SHORT)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.0.try_get_u64().map_err(|_| SHORT)
    }

    pub(super) fn u128(&mut self) -> Result<u128, Malformed> {
        self.0.try_get_u128().map_err(|_| SHORT)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a flag that is neither yes nor no")),
        }
    }

    /// Bytes behind their length, of which there may be so many; a slice of the frame.
    pub(super) fn bytes(&mut self, most: usize) -> Result<Bytes, Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| LONG)?;
        if length > most {
            return Err(LONG);
        }
        if length > self.0.len() {
            return Err(SHORT);
        }
        Ok(self.0.split_to(length))
    }

    pub(super) fn text(&mut self, most: usize) -> Result<String, Malformed> {
        let bytes = self.bytes(most)?;
        String::from_utf8(bytes.into()).map_err(|_| Malformed("a text that is not UTF-8"))
    }

    pub(super) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        self.flag()?.then(|| read(self)).transpose()
    }

    /// A list behind its length, of which there may be so many.
    pub(super) fn list<T>(
        &mut self,
        most: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| LONG)?;
        if length > most {
            return Err(LONG);
        }
        // Grows as it is read: a length alone reserves nothing.
        let mut list = Vec::new();
        for _ in 0..length {
            list.push(read(self)?);
        }
        Ok(list)
    }

    /// The end, after which nothing may come.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed("bytes after its end"))
        }
    }
}

pub(super) fn put_flag(out: &mut Vec<u8>, flag: bool) {
    out.put_u8(u8::from(flag));
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.put_slice(bytes);
}

pub(super) fn put_option<T>(
    out: &mut Vec<u8>,
    value: Option<T>,
    put: impl FnOnce(&mut Vec<u8>, T),
) {
    put_flag(out, value.is_some());
    if let Some(value) = value {
        put(out, value);
    }
}

pub(super) fn put_list<T>(out: &mut Vec<u8>, list: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    put_length(out, list.len());
    for item in list {
        put(out, item);
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.put_u32(u32::try_from(length).expect("what is sent is far smaller than 4 GB"));
}

const SHORT: Malformed = Malformed("it ends early");
const LONG: Malformed = Malformed("a length beyond its bound");
