//! Upwards: what a consumer has already, and then, every second, who listens there and what its doors counted.

use bytes::{BufMut, Bytes};
use throng_core::ladder::signals::{Decision, Signals};
use throng_core::slug::Slug;
use throng_core::time::UnixMillis;
use throng_core::timeline::PartIndex;

use super::super::decoder::Message;
use super::super::wire::{Malformed, Reader, put_list};
use super::super::{SECONDS_MAX, SPACES_MAX, UP_FRAME_MAX_BYTES};
use super::down::{index, put_slug, slug};
use super::ladder::{decision, put_decision, put_signals, signals};
use super::ledger::{accounts, put_accounts};
use crate::ledger::Accounts;

/// A message upwards; each is the only one of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Up {
    /// Opens a feed.
    Hello(Hello),
    /// What a second brought.
    Report(Report),
}

/// Who asks for a feed, and what he has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The fingerprints of the hold loops that he has, by
    /// [`Channels::index`](throng_core::rendition::Channels::index); 0 for none.
    pub hold: [u64; 2],
    /// What its upstream had last decided about the ladder, if it follows that.
    pub decision: Decision,
    /// The spaces into whose windows parts have come.
    pub here: Vec<Here>,
}

/// The window of a space at a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// The space.
    pub slug: Slug,
    /// Its epoch: another space under the same name has another.
    pub epoch: UnixMillis,
    /// The part for which its window waits, stand-ins not counted.
    pub next: PartIndex,
}

/// What a consumer counted since its last report that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The consumer: a number that it made up when it started.
    pub consumer: u128,
    /// Its place in a node, as people number them; 0 for an edge.
    pub place: u32,
    /// The number of the report. One that comes twice counts once.
    pub number: u64,
    /// Who listens there, and to what.
    pub present: Vec<Present>,
    /// Spaces that somebody there waits for or listens to.
    pub asked: Vec<Asked>,
    /// How much its listeners press it.
    pub signals: Signals,
    /// Its doors, second by second.
    pub seconds: Vec<Second>,
}

/// Who listens to a space at a consumer, and behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The space.
    pub slug: Slug,
    /// Players to which audio was delivered in the last ten seconds.
    pub listening: u64,
    /// Admissions since the last report.
    pub joined: u64,
}

/// A space that somebody wants to hear.
pub type Asked = Slug;

/// What the doors of a consumer counted within one second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Second {
    /// The second, since 1970.
    pub unix_seconds: u64,
    /// By [`Door::index`](crate::ledger::Door::index).
    pub accounts: Accounts,
}

impl Message for Up {
    const FRAME_MAX_BYTES: usize = UP_FRAME_MAX_BYTES;

    fn read(frame: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader(frame);
        let message = match reader.u8()? {
            0 => Self::Hello(Hello {
                hold: [reader.u64()?, reader.u64()?],
                decision: decision(&mut reader)?,
                here: reader.list(SPACES_MAX, here)?,
            }),
            1 => Self::Report(Report {
                consumer: reader.u128()?,
                place: reader.u32()?,
                number: reader.u64()?,
                present: reader.list(SPACES_MAX, present)?,
                asked: reader.list(SPACES_MAX, slug)?,
                signals: signals(&mut reader)?,
                seconds: reader.list(SECONDS_MAX, second)?,
            }),
            _ => return Err(Malformed("a kind that does not exist")),
        };
        reader.end()?;
        Ok(message)
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => {
                out.put_u8(0);
                hello.hold.iter().for_each(|&hold| out.put_u64(hold));
                put_decision(out, hello.decision);
                put_list(out, &hello.here, |out, here| {
                    put_slug(out, &here.slug);
                    out.put_i64(here.epoch.0);
                    out.put_u64(here.next.0);
                });
            }
            Self::Report(report) => {
                out.put_u8(1);
                out.put_u128(report.consumer);
                out.put_u32(report.place);
                out.put_u64(report.number);
                put_list(out, &report.present, |out, present| {
                    put_slug(out, &present.slug);
                    out.put_u64(present.listening);
                    out.put_u64(present.joined);
                });
                put_list(out, &report.asked, put_slug);
                put_signals(out, &report.signals);
                put_list(out, &report.seconds, |out, second| {
                    out.put_u64(second.unix_seconds);
                    put_accounts(out, &second.accounts);
                });
            }
        }
    }
}

fn here(reader: &mut Reader) -> Result<Here, Malformed> {
    Ok(Here {
        slug: slug(reader)?,
        epoch: UnixMillis(reader.u64()?.cast_signed()),
        next: index(reader)?,
    })
}

fn present(reader: &mut Reader) -> Result<Present, Malformed> {
    Ok(Present {
        slug: slug(reader)?,
        listening: count(reader)?,
        joined: count(reader)?,
    })
}

fn second(reader: &mut Reader) -> Result<Second, Malformed> {
    Ok(Second {
        unix_seconds: reader.u64()?,
        accounts: accounts(reader)?,
    })
}

/// Counts are small enough that sums of them never overflow.
pub(super) fn count(reader: &mut Reader) -> Result<u64, Malformed> {
    let count = reader.u64()?;
    if count >> 48 == 0 {
        Ok(count)
    } else {
        Err(Malformed("a count beyond the people on earth"))
    }
}
