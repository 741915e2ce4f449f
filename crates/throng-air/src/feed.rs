//! The feed: what an origin tells the workers and edges that serve its listeners, and what they tell it.
//!
//! Down goes whatever listeners are answered with: spaces with their pages, parts, the hold loop, counts, decisions.
//! Up go counts, demand and the ledger of the doors. Whoever has an [`Air`](crate::air::Air) can publish it
//! ([`publisher`]), and whoever follows a feed fills an `Air` with it ([`mirror`]): hence an edge behind an edge is
//! nothing new.
//!
//! On the wire both directions are a greeting ([`MAGIC`], [`VERSION`]) and frames; [`decoder`] reads them in pieces of
//! any size, [`message`] says what they hold. HTTP carries them ([`routes`]). Two ends of different versions do not
//! talk: the feed is between machines of one operator, which are upgraded together.

pub mod decoder;
pub mod hold;
pub mod message;
pub mod mirror;
pub mod publisher;
pub mod reporter;
pub mod reports;
pub mod routes;

mod wire;

/// Where a feed is opened.
pub const FEED_PATH: &str = "/feed";
/// Where reports go.
pub const REPORT_PATH: &str = "/feed/report";
/// Under which consumers fetch what their audience asks for and they do not have.
pub const HOUSE_PATH: &str = "/feed/house";
/// What every feed begins with, before its version.
pub const MAGIC: &[u8; 7] = b"THRFEED";
/// The version of the framing, the messages and the init headers; any change of them changes it.
pub const VERSION: u8 = 5;
/// The first bytes in either direction.
pub const GREETING: [u8; 8] = {
    let mut greeting = [VERSION; 8];
    let mut place = 0;
    while place < MAGIC.len() {
        greeting[place] = MAGIC[place];
        place += 1;
    }
    greeting
};

/// Largest frame downwards: the public list of 10,000 spaces whose titles all have their full length. A part takes
/// 16 KB. What would be larger is not sent.
pub const DOWN_FRAME_MAX_BYTES: usize = 16 << 20;
/// Largest frame upwards: 10,000 spaces by name with their numbers. What is larger is refused.
pub const UP_FRAME_MAX_BYTES: usize = 2 << 20;
/// Most spaces in one message, as many as a node has.
pub const SPACES_MAX: usize = 10_000;
/// Longest page, plain or compressed, and longest list.
pub const DOCUMENT_MAX_BYTES: usize = 12 << 20;
/// Longest field of a document's head: a policy with the hash of each script and style takes some 500 bytes.
pub const HEADER_MAX_BYTES: usize = 4 << 10;
/// Longest id, title, reason or message; the longest message has 280 characters.
pub const TEXT_MAX_BYTES: usize = 2 << 10;
/// Longest part in one rendition and form: sixteen packets of 1,500 bytes with their framing.
pub const PACKAGED_MAX_BYTES: usize = 32 << 10;
/// Most parts of a hold loop: its longest file has fewer than 256 segments.
pub const HOLD_PARTS_MAX: usize = 256 * 12;
/// Most seconds of the ledger in one report: what a consumer keeps while its upstream is away. Older ones are added
/// up into the oldest.
pub const SECONDS_MAX: usize = 600;
/// Who publishes says something at least this often, so that a dead line is told from a quiet house.
pub const BEAT_EVERY: std::time::Duration = std::time::Duration::from_secs(1);
/// A line on which nothing came for so long is dead.
pub const SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(4);
