//! Listeners are served: one window of parts in, bytes out.
//!
//! The origin hands each space over as an [`OnAir`](on_air::OnAir): the window of the newest parts, the facts of the
//! space, its page, and a door to what is older ([`Past`](past::Past)). Everything a listener asks for is answered
//! from there with bytes that are the same for everyone: live streams by the [`engine`], everything else by the routes
//! of [`Air`](air::Air), to which the engine hands the connection over.
//!
//! Not here: codecs (parts arrive framed), speakers, the decisions about a space's life.

pub mod accept;
pub mod air;
pub mod budget;
pub mod document;
pub mod drain;
pub mod engine;
pub mod feed;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod guests;
pub mod hand_over;
pub mod ladder;
pub mod ledger;
pub mod on_air;
pub mod past;
pub mod presence;
pub mod recording;
pub mod room;
pub mod space_file;
pub mod state;
pub mod tls;

mod answer;
mod behind;
mod counting;
mod format;
mod hls;
mod hold_file;
mod metric;
mod progressive;
