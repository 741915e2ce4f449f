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
#[derive(Clone, Debug)]
pub struct Window {
    parts: VecDeque<Arc<Part>>,
    next: PartIndex,
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
            finished: false,
        }
    }

    /// Adds the part that follows; the oldest goes when there are more than [`PARTS_KEPT`].
    pub fn push(&mut self, part: Arc<Part>) -> Result<(), OutOfOrder> {
        if self.finished || part.index != self.next {
            return Err(OutOfOrder {
                pushed: part.index,
                expected: self.next,
                finished: self.finished,
            });
        }
        if self.parts.len() == PARTS_KEPT {
            self.parts.pop_front();
        }
        self.next = self.next.next();
        self.parts.push_back(part);
        Ok(())
    }

    /// Marks the end of the programme: no part follows.
    pub fn finish(&mut self) {
        self.finished = true;
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

    /// The part of a number, if it is here.
    pub fn part(&self, index: PartIndex) -> Option<&Arc<Part>> {
        let place = index.0.checked_sub(self.oldest().0)?;
        self.parts.get(usize::try_from(place).ok()?)
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
            Found::Ready(
                (first.0..end.0)
                    .filter_map(|index| self.part(PartIndex(index)).cloned())
                    .collect(),
            )
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A part without sound.
    pub(crate) fn part(index: PartIndex) -> Arc<Part> {
        let packaged = Packaged {
            cmaf: Bytes::new(),
            stream: Bytes::new(),
        };
        Arc::new(Part {
            index,
            renditions: std::array::from_fn(|_| packaged.clone()),
        })
    }

    /// A window that waited for `first` and got parts until it waits for `next`.
    pub(crate) fn window(first: u64, next: u64) -> Window {
        let mut window = Window::new(PartIndex(first));
        for index in first..next {
            window.push(part(PartIndex(index))).unwrap();
        }
        window
    }

    fn numbers(found: &Found) -> Vec<u64> {
        match found {
            Found::Ready(parts) => parts.iter().map(|part| part.index.0).collect(),
            other => panic!("{other:?} is not ready"),
        }
    }

    const fn whole(segment: u64) -> Wanted {
        Wanted {
            segment,
            part: None,
        }
    }

    #[test]
    fn only_the_part_that_follows_is_taken() {
        let mut window = window(24, 30);
        for index in [0, 29, 31] {
            let refused = window.push(part(PartIndex(index))).unwrap_err();
            assert_eq!(
                (refused.pushed, refused.expected),
                (PartIndex(index), PartIndex(30))
            );
        }
        window.finish();
        assert!(window.push(part(PartIndex(30))).unwrap_err().finished);
    }

    #[test]
    fn what_is_in_progress_or_next_is_due_and_what_lies_beyond_is_too_far() {
        let window = window(24, 40);
        assert_eq!(
            numbers(&window.find(whole(2))),
            (24..36).collect::<Vec<_>>()
        );
        assert_eq!(
            numbers(&window.find(Wanted {
                segment: 3,
                part: Some(3)
            })),
            [39]
        );
        assert_eq!(
            window.find(Wanted {
                segment: 3,
                part: Some(4)
            }),
            Found::Due
        );
        assert_eq!(window.find(whole(3)), Found::Due);
        assert_eq!(
            window.find(Wanted {
                segment: 4,
                part: Some(11)
            }),
            Found::Due
        );
        assert_eq!(window.find(whole(5)), Found::TooFar);
        assert_eq!(window.find(whole(u64::MAX)), Found::TooFar);
        assert_eq!(
            window.find(Wanted {
                segment: 3,
                part: Some(12)
            }),
            Found::Gone
        );
        assert_eq!(window.find(whole(1)), Found::Gone);
    }

    #[test]
    fn a_finished_programme_has_a_short_last_segment_and_nothing_after_it() {
        let mut window = window(24, 40);
        window.finish();
        assert_eq!(numbers(&window.find(whole(3))), [36, 37, 38, 39]);
        assert_eq!(
            window.find(Wanted {
                segment: 3,
                part: Some(4)
            }),
            Found::Gone
        );
        assert_eq!(window.find(whole(4)), Found::Gone);
        assert_eq!(window.find(whole(9)), Found::Gone);
    }

    #[test]
    fn a_file_has_one_name() {
        for name in ["0.m4s", "17.m4s", "17.0.m4s", "3.11.m4s"] {
            assert_eq!(Wanted::parse(name).unwrap().to_string(), name);
        }
        for name in [
            "",
            ".m4s",
            "01.m4s",
            "+1.m4s",
            "1",
            "1.2.3.m4s",
            "1..m4s",
            "-1.m4s",
            "1.m4s.m4s",
            "9999999999999999.m4s",
        ] {
            assert_eq!(Wanted::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_joiner_gets_the_newest_sound_that_is_here() {
        let window = window(24, 40);
        assert_eq!(
            window.burst(4 * 48_000),
            PartIndex(27),
            "4 s need 12.5 parts, so 13"
        );
        assert_eq!(window.burst(u64::MAX), PartIndex(24));
        assert_eq!(window.burst(0), PartIndex(40));
        assert_eq!(Window::new(PartIndex(7)).burst(48_000), PartIndex(7));
    }

    proptest! {
        /// The shadow is the plain arithmetic over "which numbers are held", without the window's own code.
        #[test]
        fn the_window_holds_exactly_the_newest_parts(first in 0_u64..50, count in 0_u64..700, segment in 0_u64..70) {
            let window = window(first, first + count);
            let (next, oldest) = (first + count, first + count.saturating_sub(PARTS_KEPT as u64));
            prop_assert_eq!(window.oldest(), PartIndex(oldest));
            prop_assert_eq!(window.since(PartIndex(0)).map(|part| part.index.0).collect::<Vec<_>>(), (oldest..next).collect::<Vec<_>>());
            prop_assert!((oldest..next).all(|index| window.part(PartIndex(index)).is_some_and(|part| part.index.0 == index)));
            prop_assert!(window.part(PartIndex(next)).is_none());
            let range = segment * 12..segment * 12 + 12;
            let held = range.clone().all(|index| (oldest..next).contains(&index));
            let found = window.find(whole(segment));
            prop_assert_eq!(matches!(found, Found::Ready(_)), held);
            prop_assert_eq!(found == Found::Gone, range.start < oldest);
        }
    }
}
