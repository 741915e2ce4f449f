//! The window: the newest parts of the programme, held for the listeners who come now.
//!
//! One owner pushes parts in their order; readers hold clones, which share the bytes. What has left the window is
//! the archive's to serve.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use crate::rendition::{RENDITION_COUNT, Rendition};
use crate::timeline::{PART_SAMPLES, PARTS_PER_SEGMENT, PartIndex};

/// The parts that a window holds, 96 s. A segment must stay for its own length and the longest playlist that listed
/// it (RFC 8216bis, 6.2.2: 54 s here); the rest is for edges that catch up. All renditions together, a part takes
/// some 16 KB, so that a space's window stays under 5 MB. When it is full, the oldest part goes.
pub const PARTS_KEPT: usize = 300;

/// The bytes of one part in one rendition, framed once for everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packaged {
    /// `moof` and `mdat`: what HLS and `live.mp4` carry (ISO/IEC 23000-19, CMAF chunk).
    pub cmaf: Bytes,
    /// The same audio for plain players: a `WebM` cluster (Opus) or ADTS frames (AAC).
    pub stream: Bytes,
}

/// One part of the programme in all renditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number.
    pub index: PartIndex,
    /// Its bytes by [`Rendition::index`].
    pub renditions: [Packaged; RENDITION_COUNT],
}

impl Part {
    /// The bytes of the part in one rendition.
    pub fn packaged(&self, rendition: Rendition) -> &Packaged {
        &self.renditions[rendition.index()]
    }
}

/// The newest [`PARTS_KEPT`] parts, one after the other without a hole.
///
/// Away from the origin the newest of them may be *stand-ins*: parts of the hold loop that are played where the true
/// ones have not come. A part is never changed, but a stand-in is none: the true part takes its place when it comes,
/// so that no cache may keep a stand-in under the name of the part.
#[derive(Clone, Debug)]
pub struct Window {
    parts: VecDeque<Arc<Part>>,
    next: PartIndex,
    /// The first part that has not truly come; what is held from there on stands in.
    true_next: PartIndex,
    finished: bool,
}

/// A part that does not continue the window, or comes after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("part {pushed} does not follow: the window {}", if *finished { "is finished".to_owned() } else { format!("waits for part {expected}") })]
pub struct OutOfOrder {
    /// The part that was pushed.
    pub pushed: PartIndex,
    /// The part that the window waits for.
    pub expected: PartIndex,
    /// Whether the window takes no more parts at all.
    pub finished: bool,
}

/// A segment or one part of it, as a player names it: `{segment}.m4s` or `{segment}.{part}.m4s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The number of the segment.
    pub segment: u64,
    /// The place of the part in the segment; the whole segment if absent.
    pub part: Option<u64>,
}

impl Wanted {
    /// Reads a file name, in the one spelling that playlists use.
    pub fn parse(file_name: &str) -> Option<Self> {
        let stem = file_name.strip_suffix(".m4s")?;
        match stem.split_once('.') {
            Some((segment, part)) => Some(Self {
                segment: parse_number(segment)?,
                part: Some(parse_number(part)?),
            }),
            None => Some(Self {
                segment: parse_number(stem)?,
                part: None,
            }),
        }
    }
}

/// The file name.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Some(part) => write!(f, "{}.{part}.m4s", self.segment),
            None => write!(f, "{}.m4s", self.segment),
        }
    }
}

/// A number of a segment or part in its shortest decimal spelling; fifteen digits are a hundred million years of
/// segments, and leave room to count in parts.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let plain = text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = text.len() == 1 || !text.starts_with('0');
    if plain && shortest {
        text.parse().ok()
    } else {
        None
    }
}

/// Where what somebody wants is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// In the segment in progress or the next: worth waiting for.
    Due,
    /// Not here: older than what is kept, after the end, or never to be.
    Gone,
    /// Here: the parts, in their order.
    Ready(Vec<Arc<Part>>),
    /// Here, but not all are the true parts, so that no cache may keep them.
    StandIn(Vec<Arc<Part>>),
    /// Farther ahead than a request may wait for.
    TooFar,
}

impl Window {
    /// A window without parts that waits for `first`. Playlists list whole segments only, so begin with the first
    /// part of a segment where the choice is free.
    pub fn new(first: PartIndex) -> Self {
        Self {
            parts: VecDeque::with_capacity(PARTS_KEPT),
            next: first,
            true_next: first,
            finished: false,
        }
    }

    /// Adds the part that follows the true ones, in the place of its stand-in where there is one; the oldest goes when
    /// there are more than [`PARTS_KEPT`].
    pub fn push(&mut self, part: Arc<Part>) -> Result<(), OutOfOrder> {
        self.expect(&part, self.true_next)?;
        self.true_next = self.true_next.next();
        let stands_in = part.index < self.next;
        match self.place(part.index) {
            Some(place) => self.parts[place] = part,
            // A stand-in that was played so long ago that it has left the window already.
            None if stands_in => {}
            None => self.append(part),
        }
        Ok(())
    }

    /// Adds a part that stands in for the one that follows and has not come.
    pub fn push_stand_in(&mut self, part: Arc<Part>) -> Result<(), OutOfOrder> {
        self.expect(&part, self.next)?;
        self.append(part);
        Ok(())
    }

    fn expect(&self, part: &Part, expected: PartIndex) -> Result<(), OutOfOrder> {
        if self.finished || part.index != expected {
            return Err(OutOfOrder {
                pushed: part.index,
                expected,
                finished: self.finished,
            });
        }
        Ok(())
    }

    fn append(&mut self, part: Arc<Part>) {
        if self.parts.len() == PARTS_KEPT {
            self.parts.pop_front();
        }
        self.next = part.index.next();
        self.parts.push_back(part);
    }

    /// Marks the end of the programme: no part follows. What stands in after it was never part of it.
    pub fn finish(&mut self) {
        self.finished = true;
        while self
            .parts
            .back()
            .is_some_and(|part| part.index >= self.true_next)
        {
            self.parts.pop_back();
        }
        self.next = self.true_next;
    }

    /// Whether the programme has ended.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The oldest part that is here; [`Window::next`] when there is none.
    pub fn oldest(&self) -> PartIndex {
        self.parts.front().map_or(self.next, |part| part.index)
    }

    /// The part that comes next: one more than the newest.
    pub fn next(&self) -> PartIndex {
        self.next
    }

    /// The part that truly comes next: what is held from here on are stand-ins. The same as [`Window::next`] at the
    /// origin.
    pub fn true_next(&self) -> PartIndex {
        self.true_next
    }

    /// The part of a number, if it is here.
    pub fn part(&self, index: PartIndex) -> Option<&Arc<Part>> {
        self.parts.get(self.place(index)?)
    }

    fn place(&self, index: PartIndex) -> Option<usize> {
        let place = usize::try_from(index.0.checked_sub(self.oldest().0)?).ok()?;
        (place < self.parts.len()).then_some(place)
    }

    /// The parts from one number on, in their order; from the oldest if that number has gone.
    pub fn since(&self, from: PartIndex) -> impl Iterator<Item = &Arc<Part>> {
        let place = from.0.saturating_sub(self.oldest().0);
        self.parts
            .iter()
            .skip(usize::try_from(place).unwrap_or(usize::MAX))
    }

    /// The newest segment of which all parts have come, held or not.
    pub fn newest_segment(&self) -> Option<u64> {
        self.next.segment().checked_sub(1)
    }

    /// Where a joiner begins who is to have so many samples at once: never before the oldest part, never after the
    /// next.
    pub fn burst(&self, samples: u64) -> PartIndex {
        let parts = samples.div_ceil(PART_SAMPLES);
        PartIndex(self.next.0.saturating_sub(parts)).max(self.oldest())
    }

    /// Where a segment or part is. The last segment of a finished programme may be short.
    pub fn find(&self, wanted: Wanted) -> Found {
        if wanted.part.is_some_and(|part| part >= PARTS_PER_SEGMENT) {
            return Found::Gone;
        }
        if wanted.segment > self.next.segment() + 1 {
            return if self.finished {
                Found::Gone
            } else {
                Found::TooFar
            };
        }
        let segment = PartIndex::first_of_segment(wanted.segment);
        let (first, end) = match wanted.part {
            Some(part) => (PartIndex(segment.0 + part), PartIndex(segment.0 + part + 1)),
            None => (segment, PartIndex(segment.0 + PARTS_PER_SEGMENT)),
        };
        let end = if self.finished {
            end.min(self.next)
        } else {
            end
        };
        if first >= end || first < self.oldest() {
            Found::Gone
        } else if end > self.next {
            Found::Due
        } else {
            let parts = (first.0..end.0)
                .filter_map(|index| self.part(PartIndex(index)).cloned())
                .collect();
            if end > self.true_next {
                Found::StandIn(parts)
            } else {
                Found::Ready(parts)
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
