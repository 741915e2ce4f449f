//! What one listener has read need not be read again: the same bytes from the same place in a stream mean the same.
//!
//! A server that frames a span once sends thousands the same bytes. Each listener's bytes are compared, every one of
//! them, with those that were read lately; where they are equal, what they meant is known. Comparing costs a tenth of
//! reading.

use std::collections::VecDeque;

use super::Scene;
use crate::answer::{Body, Chunk};
use crate::stream::{Reader, Stretch};

/// Readings that are known: spans end in nine phases, and a rendition or two.
const KNOWN_MAX: usize = 24;
/// The longest: a span of 7.68 s at the richest rendition. Longer ones are read by each.
const BYTES_MAX: usize = 64 << 10;

/// Readings of late, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Known {
    readings: VecDeque<Reading>,
}

/// Where in an endless answer somebody is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) body: Body,
    pub(super) reader: Reader,
}

/// Bytes, and what they meant to whoever was there.
#[derive(Debug)]
pub(super) struct Reading {
    from: Mark,
    bytes: Vec<u8>,
    pub(super) to: Mark,
    /// One stretch for all that follow each other.
    pub(super) stretches: Vec<Stretch>,
}

impl Known {
    /// What these bytes mean to somebody who is there, if that is known.
    pub(super) fn find(&self, from: &Mark, bytes: &[u8]) -> Option<&Reading> {
        let newest_first = self.readings.iter().rev();
        newest_first
            .filter(|reading| reading.bytes.len() == bytes.len() && reading.from == *from)
            .find(|reading| reading.bytes == bytes)
    }

    /// Reads whole chunks of an endless answer, and keeps what they mean; `None` where they are not whole, or broken.
    pub(super) fn read(&mut self, from: Mark, bytes: &[u8]) -> Option<&Reading> {
        if !is_between_chunks(from.body) || bytes.len() > BYTES_MAX {
            return None;
        }
        let mut to = from.clone();
        let (mut stretches, mut broken) = (Vec::<Stretch>::new(), false);
        let (body, reader) = (&mut to.body, &mut to.reader);
        let used = body.feed(bytes, &mut |some| {
            let read = reader.feed(some, &mut |stretch| match stretches.last_mut() {
                Some(last) if stretch.follows(last) => last.samples += stretch.samples,
                _ => stretches.push(stretch),
            });
            broken |= read.is_err();
        });
        if broken || used != Ok(bytes.len()) || !is_between_chunks(to.body) {
            return None;
        }
        if self.readings.len() == KNOWN_MAX {
            self.readings.pop_front();
        }
        self.readings.push_back(Reading {
            from,
            bytes: bytes.to_vec(),
            to,
            stretches,
        });
        self.readings.back()
    }
}

fn is_between_chunks(body: Body) -> bool {
    matches!(body, Body::Chunked(Chunk::Size { size: 0, digits: 0 }))
}

impl super::Listener {
    /// Takes whole chunks of the endless answer, if that is what they are; whether they were.
    pub(super) fn take_known(&mut self, scene: &mut Scene<'_>, bytes: &[u8]) -> bool {
        let Some(head) = self.answer.filter(|_| self.is_sounding_stream(scene)) else {
            return false;
        };
        let mark = Mark {
            body: head.body,
            reader: self.reader.clone(),
        };
        let mut known = std::mem::take(&mut scene.shared.known);
        let reading = match known.find(&mark, bytes) {
            Some(reading) => Some(reading),
            None => known.read(mark, bytes),
        };
        if let Some(reading) = reading {
            self.note_wait(scene);
            self.last_us = scene.now_us;
            self.reader.clone_from(&reading.to.reader);
            for stretch in &reading.stretches {
                self.deliver(scene, *stretch);
            }
        }
        let is_taken = reading.is_some();
        scene.shared.known = known;
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Media;

    fn mark() -> Mark {
        Mark {
            body: Body::Chunked(Chunk::Size { size: 0, digits: 0 }),
            reader: Reader::of(Media::Mp4),
        }
    }

    /// A fragment of one part in a chunk of its own.
    fn chunk(sequence: u32, byte: u8) -> Vec<u8> {
        let boxed = |kind: &[u8], content: &[u8]| {
            let length = u32::try_from(content.len() + 8).unwrap();
            [&length.to_be_bytes(), kind, content].concat()
        };
        let number = [&[0; 4][..], &sequence.to_be_bytes()].concat();
        let time = [
            &[1, 0, 0, 0][..],
            &(u64::from(sequence) * 15_360).to_be_bytes(),
        ]
        .concat();
        let header = [&[0, 0, 0, 8][..], &[0; 4], &960_u32.to_be_bytes()].concat();
        let run = [&[0; 4][..], &16_u32.to_be_bytes()].concat();
        let track = [
            boxed(b"tfhd", &header),
            boxed(b"tfdt", &time),
            boxed(b"trun", &run),
        ]
        .concat();
        let moof = boxed(
            b"moof",
            &[boxed(b"mfhd", &number), boxed(b"traf", &track)].concat(),
        );
        let fragment = [moof, boxed(b"mdat", &[byte; 9])].concat();
        [
            format!("{:x}\r\n", fragment.len()).as_bytes(),
            &fragment,
            b"\r\n",
        ]
        .concat()
    }

    #[test]
    fn the_same_bytes_at_the_same_place_are_read_once_and_any_other_byte_is_seen() {
        let mut known = Known::default();
        let first = [chunk(7, 1), chunk(8, 1)].concat();
        let reading = known.read(mark(), &first).unwrap();
        let stretch = Stretch {
            sample: Some(7 * 15_360),
            samples: 2 * 15_360,
            in_sequence: true,
        };
        assert_eq!(reading.stretches, [stretch]);
        let after = reading.to.clone();
        assert!(known.find(&mark(), &first).is_some());
        assert!(known.find(&after, &first).is_none(), "it was sent twice");
        let other = [chunk(7, 1), chunk(8, 2)].concat();
        assert!(known.find(&mark(), &other).is_none());
        let reading = known.read(after, &chunk(10, 1)).unwrap();
        assert!(!reading.stretches[0].in_sequence, "9 is missing");
    }

    #[test]
    fn what_is_not_whole_or_broken_is_left_to_who_reads_it_piece_by_piece() {
        let mut known = Known::default();
        let whole = chunk(1, 1);
        assert!(known.read(mark(), &whole[..whole.len() - 1]).is_none());
        assert!(known.read(mark(), b"zz\r\n").is_none());
        assert!(
            known
                .read(mark(), b"1a\r\n0123456789abcdef0123456789\r\n")
                .is_none()
        );
        for sequence in 0..100 {
            known.read(mark(), &chunk(sequence, 1)).unwrap();
        }
        assert_eq!(known.readings.len(), KNOWN_MAX);
    }
}
