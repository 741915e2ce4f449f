//! Downwards: everything that listeners are answered with.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use throng_core::ladder::signals::Decision;
use throng_core::rendition::{Channels, RENDITION_COUNT};
use throng_core::slug::{self, Slug};
use throng_core::timeline::PartIndex;
use throng_core::window::{Packaged, Part};

use super::super::decoder::Message;
use super::super::wire::{Malformed, Reader, put_bytes, put_flag, put_option};
use super::super::{
    DOCUMENT_MAX_BYTES, DOWN_FRAME_MAX_BYTES, HEADER_MAX_BYTES, HOLD_PARTS_MAX, PACKAGED_MAX_BYTES,
};
use super::ladder::{decision, put_decision};
use super::space::{put_space, space};
use crate::air::Headers;
use crate::document::{Document, Head};
use crate::on_air::Facts;
use crate::past::Recorded;
use crate::presence::Counts;

/// A message downwards.
#[derive(Clone, Debug)]
pub enum Down {
    /// Nothing has changed; the line is alive.
    Beat,
    /// The counts of a space over all who serve it, and how much is recorded.
    Counts {
        /// The space.
        slug: Slug,
        /// Its counts.
        counts: Counts,
        /// How much is recorded.
        recorded: Recorded,
    },
    /// On which rung of the ladder listeners are served, and why.
    Decided(Decision),
    /// The programme of a space has ended, all its parts are told.
    Finished(Slug),
    /// Whether parts flow into the window of a space, so that it can be served as it stands.
    Flowing {
        /// The space.
        slug: Slug,
        /// Whether they flow.
        flowing: bool,
    },
    /// What precedes the parts of each rendition, by [`Channels::index`]; both ends must have the same.
    Headers(Box<[Headers; 2]>),
    /// One part of the hold loop, numbered from 0, and how many it has in all.
    Hold {
        /// Of which spaces.
        channels: Channels,
        /// How many there are.
        of: u32,
        /// The part.
        part: Part,
    },
    /// The public list of spaces.
    Index(Document),
    /// Every space of this moment has been told; one that was not is no more.
    Listed,
    /// The part that follows in the window of a space.
    Part {
        /// The space.
        slug: Slug,
        /// The part.
        part: Arc<Part>,
    },
    /// A space is no more.
    Removed(Slug),
    /// The window of a space begins anew at a part, and is whole again when it waits for `next`.
    Restart {
        /// The space.
        slug: Slug,
        /// The part that follows now.
        first: PartIndex,
        /// How far it has come at the publisher.
        next: PartIndex,
    },
    /// A space as it is now, with its page and chapters.
    Space(Facts),
}

impl Message for Down {
    const FRAME_MAX_BYTES: usize = DOWN_FRAME_MAX_BYTES;

    fn read(frame: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader(frame);
        let message = match reader.u8()? {
            0 => Self::Beat,
            1 => Self::Counts {
                slug: slug(&mut reader)?,
                counts: Counts {
                    listening: reader.u64()?,
                    peak: reader.u64()?,
                    joined: reader.u64()?,
                },
                recorded: Recorded {
                    parts: reader.u64()?,
                    bytes: reader.u64()?,
                },
            },
            2 => Self::Decided(decision(&mut reader)?),
            3 => Self::Finished(slug(&mut reader)?),
            4 => Self::Flowing {
                slug: slug(&mut reader)?,
                flowing: reader.flag()?,
            },
            5 => Self::Headers(Box::new([headers(&mut reader)?, headers(&mut reader)?])),
            6 => hold(&mut reader)?,
            7 => Self::Index(document(&mut reader)?),
            8 => Self::Listed,
            9 => Self::Part {
                slug: slug(&mut reader)?,
                part: Arc::new(part(&mut reader)?),
            },
            10 => Self::Removed(slug(&mut reader)?),
            11 => Self::Restart {
                slug: slug(&mut reader)?,
                first: index(&mut reader)?,
                next: index(&mut reader)?,
            },
            12 => Self::Space(Facts {
                space: Arc::new(space(&mut reader)?),
                page: Arc::new(document(&mut reader)?),
                chapters: Arc::new(document(&mut reader)?),
            }),
            _ => return Err(Malformed("a kind that does not exist")),
        };
        reader.end()?;
        Ok(message)
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Beat => out.put_u8(0),
            Self::Counts {
                slug,
                counts,
                recorded,
            } => {
                put_kind(out, 1, slug);
                for number in [counts.listening, counts.peak, counts.joined] {
                    out.put_u64(number);
                }
                out.put_u64(recorded.parts);
                out.put_u64(recorded.bytes);
            }
            Self::Decided(decision) => {
                out.put_u8(2);
                put_decision(out, *decision);
            }
            Self::Finished(slug) => put_kind(out, 3, slug),
            Self::Flowing { slug, flowing } => {
                put_kind(out, 4, slug);
                put_flag(out, *flowing);
            }
            Self::Headers(headers) => {
                out.put_u8(5);
                let headers = headers.iter();
                for header in headers.flat_map(|set| set.init.iter().chain(&set.stream)) {
                    put_bytes(out, header);
                }
            }
            Self::Hold { channels, of, part } => {
                out.put_u8(6);
                put_flag(out, channels.is_stereo());
                out.put_u32(*of);
                put_part(out, part);
            }
            Self::Index(index) => {
                out.put_u8(7);
                put_document(out, index);
            }
            Self::Listed => out.put_u8(8),
            Self::Part { slug, part } => {
                put_kind(out, 9, slug);
                put_part(out, part);
            }
            Self::Removed(slug) => put_kind(out, 10, slug),
            Self::Restart { slug, first, next } => {
                put_kind(out, 11, slug);
                out.put_u64(first.0);
                out.put_u64(next.0);
            }
            Self::Space(facts) => {
                out.put_u8(12);
                put_space(out, &facts.space);
                put_document(out, &facts.page);
                put_document(out, &facts.chapters);
            }
        }
    }
}

fn put_kind(out: &mut Vec<u8>, kind: u8, slug: &Slug) {
    out.put_u8(kind);
    put_slug(out, slug);
}

pub(super) fn put_slug(out: &mut Vec<u8>, slug: &Slug) {
    put_bytes(out, slug.as_str().as_bytes());
}

pub(super) fn slug(reader: &mut Reader) -> Result<Slug, Malformed> {
    Slug::parse(&reader.text(slug::LENGTH_MAX)?).map_err(|_| Malformed("a name of no space"))
}

/// Numbers of parts leave room to count in samples: 2^48 parts are three million years.
pub(super) fn index(reader: &mut Reader) -> Result<PartIndex, Malformed> {
    let number = reader.u64()?;
    if number >> 48 == 0 {
        Ok(PartIndex(number))
    } else {
        Err(Malformed("a part after the end of time"))
    }
}

fn headers(reader: &mut Reader) -> Result<Headers, Malformed> {
    Ok(Headers {
        init: five(|| reader.bytes(HEADER_MAX_BYTES))?,
        stream: five(|| reader.bytes(HEADER_MAX_BYTES))?,
    })
}

fn hold(reader: &mut Reader) -> Result<Down, Malformed> {
    let channels = Channels::of(reader.flag()?);
    let of = reader.u32()?;
    let part = part(reader)?;
    if of as usize > HOLD_PARTS_MAX || part.index.0 >= u64::from(of) {
        return Err(Malformed("a part of no hold loop"));
    }
    Ok(Down::Hold { channels, of, part })
}

fn put_part(out: &mut Vec<u8>, part: &Part) {
    out.put_u64(part.index.0);
    for packaged in &part.renditions {
        put_bytes(out, &packaged.cmaf);
        put_bytes(out, &packaged.stream);
    }
}

fn part(reader: &mut Reader) -> Result<Part, Malformed> {
    Ok(Part {
        index: index(reader)?,
        renditions: five(|| {
            Ok(Packaged {
                cmaf: reader.bytes(PACKAGED_MAX_BYTES)?,
                stream: reader.bytes(PACKAGED_MAX_BYTES)?,
            })
        })?,
    })
}

fn five<T>(
    mut read: impl FnMut() -> Result<T, Malformed>,
) -> Result<[T; RENDITION_COUNT], Malformed> {
    Ok([read()?, read()?, read()?, read()?, read()?])
}

fn put_document(out: &mut Vec<u8>, document: &Document) {
    put_bytes(out, document.plain());
    put_bytes(out, document.gzip());
    let head = document.head();
    put_bytes(out, head.content_type.as_bytes());
    put_bytes(out, head.cache_control.as_bytes());
    put_option(out, head.content_security_policy.as_ref(), |out, policy| {
        put_bytes(out, policy.as_bytes());
    });
}

fn document(reader: &mut Reader) -> Result<Document, Malformed> {
    let (plain, gzip) = (
        reader.bytes(DOCUMENT_MAX_BYTES)?,
        reader.bytes(DOCUMENT_MAX_BYTES)?,
    );
    let value = |reader: &mut Reader| {
        let bytes = reader.bytes(HEADER_MAX_BYTES)?;
        axum::http::HeaderValue::from_maybe_shared(bytes)
            .map_err(|_| Malformed("a field that no header has"))
    };
    let head = Head {
        content_type: value(reader)?,
        cache_control: value(reader)?,
        content_security_policy: reader.option(value)?,
    };
    Ok(Document::from_both(plain, gzip, head))
}
