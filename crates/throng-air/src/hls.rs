//! LL-HLS (RFC 8216bis): what is asked for, and what is made of it, for whichever server gives the answer.
//!
//! [`decide`] says from the facts and the window whether a request is answered now, is held until its part is there, or
//! is the archive's; [`compose`] makes the answer. Pure: who calls them waits, reads the disk and sends.

use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use throng_core::admission::Playlist;
use throng_core::caching::{BRIEF, IMMUTABLE, NEVER, WAITED_FOR};
use throng_core::ladder::Rung;
use throng_core::playlist::{self, Form, MediaQuery, QueryError, When};
use throng_core::rendition::Rendition;
use throng_core::space::Space;
use throng_core::timeline::{PART_SAMPLES, PARTS_PER_SEGMENT};
use throng_core::window::{Found, Wanted, Window};

use crate::air::Headers;
use crate::answer::Reply;
use crate::ledger::Door;
use crate::past::Recorded;
use crate::recording;

pub(crate) mod ordinary;

const SEGMENT: &str = "audio/mp4";

/// A name under `hls/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// `main.m3u8`.
    Main,
    /// `{rendition}/event.m3u8`.
    Event(Rendition),
    /// `{rendition}/init.mp4`.
    Init(Rendition),
    /// `{rendition}/media.m3u8`.
    Media(Rendition),
    /// `{rendition}/replay.m3u8`.
    Replay,
    /// `{rendition}/replay/{n}.m4s`.
    ReplaySegment(Rendition, u64),
    /// `{rendition}/{n}.m4s`, `{rendition}/{n}.{p}.m4s`.
    Segment(Rendition, Wanted),
}

impl Name {
    /// Names are parsed strictly, so that one thing has one URL in every cache.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        if path == "main.m3u8" {
            return Some(Self::Main);
        }
        let (rendition, file) = path.split_once('/')?;
        let rendition = Rendition::parse(rendition)?;
        match file {
            "event.m3u8" => Some(Self::Event(rendition)),
            "init.mp4" => Some(Self::Init(rendition)),
            "media.m3u8" => Some(Self::Media(rendition)),
            "replay.m3u8" => Some(Self::Replay),
            other => match other.strip_prefix("replay/") {
                None => Some(Self::Segment(rendition, Wanted::parse(other)?)),
                Some(file) => match Wanted::parse(file)? {
                    Wanted {
                        segment,
                        part: None,
                    } => Some(Self::ReplaySegment(rendition, segment)),
                    Wanted { .. } => None,
                },
            },
        }
    }

    /// What is asked with a query, which only playlists that grow look at, on a rung.
    pub(crate) fn ask(self, query: &str, rung: Rung) -> Result<Ask, QueryError> {
        Ok(match self {
            Self::Main => Ask::Main(rung),
            Self::Event(rendition) => Ask::Event(rendition, MediaQuery::parse(query)?.form),
            Self::Init(rendition) => Ask::Init(rendition),
            Self::Media(rendition) => Ask::Media(rendition, MediaQuery::parse(query)?),
            Self::Replay => Ask::Replay,
            Self::ReplaySegment(rendition, number) => Ask::ReplaySegment(rendition, number),
            Self::Segment(rendition, wanted) => Ask::Segment(rendition, wanted),
        })
    }
}

/// A query that cannot be understood.
pub(crate) fn misunderstood(error: QueryError) -> Reply {
    Reply::refuse(StatusCode::BAD_REQUEST, format!("{error}\n"))
}

/// What somebody asks of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The renditions that this rung lists.
    Main(Rung),
    /// The programme from go-live (or doors) to now, for who starts over.
    Event(Rendition, Form),
    /// What precedes the parts of a rendition.
    Init(Rendition),
    /// The live window, at once or when the part that the query names is there.
    Media(Rendition, MediaQuery),
    /// The recording from 0.
    Replay,
    /// A segment of it.
    ReplaySegment(Rendition, u64),
    /// A segment or part.
    Segment(Rendition, Wanted),
}

impl Ask {
    /// By which playlist somebody listens who asks for this, and in which rendition, as far as it tells.
    pub(crate) fn playlist(self) -> Option<(Playlist, Rendition)> {
        match self {
            // AAC is listed first.
            Self::Main(_) => Some((Playlist::Main, Rendition::A64)),
            // Who is told only what is new has the rest already.
            Self::Media(rendition, _) | Self::Event(rendition, Form::Delta) => {
                Some((Playlist::Media, rendition))
            }
            Self::Event(rendition, Form::Full) => Some((Playlist::FromTheStart, rendition)),
            Self::Init(_) | Self::Replay | Self::ReplaySegment(..) | Self::Segment(..) => None,
        }
    }

    /// The door at which this is asked.
    pub(crate) fn door(self) -> Door {
        match self {
            Self::Main(_) | Self::Event(..) | Self::Media(..) | Self::Replay => Door::Playlist,
            Self::Init(_) | Self::ReplaySegment(..) | Self::Segment(..) => Door::Audio,
        }
    }
}

/// What is to be done for an [`Ask`] now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Wait until the window is filled; then ask again with it.
    Fill,
    /// Wait until the window has moved; then ask again. At most for [`playlist::HOLD_LIMIT_MS`].
    Hold,
    /// Look whether the archive has it.
    Past,
    /// Refuse it.
    Refuse(Reply),
    /// Send this.
    Send(Content),
}

/// What is sent. Everything that changes an answer's bytes is in it, so that all who get the same can share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    /// `event.m3u8`.
    Event(Form),
    /// `init.mp4`.
    Init(Rendition),
    /// `main.m3u8` on a rung.
    Main(Rung),
    /// `media.m3u8`, waited for or not.
    Media(Rendition, Form, bool),
    /// `replay.m3u8`.
    Replay,
    /// A segment or part.
    Segment(Rendition, Wanted),
    /// A segment or part that is not the true one, or not wholly.
    StandIn(Rendition, Wanted),
}

impl Content {
    /// Whether a player is known, and counted, by it. The names of segments are the same for everyone.
    pub(crate) fn counts(self) -> bool {
        matches!(self, Self::Event(_) | Self::Media(..))
    }

    /// Samples of audio that it carries.
    pub(crate) fn samples(self) -> u64 {
        match self {
            Self::Segment(_, wanted) | Self::StandIn(_, wanted) => {
                wanted.part.map_or(PARTS_PER_SEGMENT, |_| 1) * PART_SAMPLES
            }
            _ => 0,
        }
    }
}

/// What is to be done, where the space is thus, and the window, if it is filled.
pub(crate) fn decide(ask: Ask, space: &Space, window: Option<&Window>) -> Decision {
    let of_window = |decide: &dyn Fn(&Window) -> Decision| window.map_or(Decision::Fill, decide);
    let is_sound = !matches!(ask, Ask::Main(_) | Ask::Init(_));
    if let Some(gone) = space.recording_deleted.filter(|_| is_sound) {
        return Decision::Refuse(Reply::refuse(StatusCode::GONE, recording::gone(gone)));
    }
    match ask {
        Ask::Main(rung) => Decision::Send(Content::Main(rung)),
        Ask::Init(rendition) => Decision::Send(Content::Init(rendition)),
        Ask::Event(..) if space.live_part.or(space.doors_part).is_none() => Decision::Refuse(
            absent("Doors are not open yet, so there is nothing to start over.\n"),
        ),
        Ask::Event(_, form) => of_window(&|_| Decision::Send(Content::Event(form))),
        Ask::Replay if space.ended_at.is_none() || space.started_at.is_none() => {
            Decision::Refuse(absent("The replay is here when the space has ended.\n"))
        }
        Ask::Replay => Decision::Send(Content::Replay),
        Ask::ReplaySegment(..) => Decision::Past,
        Ask::Media(rendition, query) => of_window(&|window| media(rendition, query, window)),
        Ask::Segment(_, wanted) if wanted.part.is_some_and(|part| part >= PARTS_PER_SEGMENT) => {
            Decision::Refuse(not_here())
        }
        Ask::Segment(rendition, wanted) => of_window(&|window| match window.find(wanted) {
            Found::Due => Decision::Hold,
            Found::Gone => Decision::Past,
            Found::Ready(_) => Decision::Send(Content::Segment(rendition, wanted)),
            Found::StandIn(_) => Decision::Send(Content::StandIn(rendition, wanted)),
            Found::TooFar => Decision::Refuse(not_here()),
        }),
    }
}

fn media(rendition: Rendition, query: MediaQuery, window: &Window) -> Decision {
    match playlist::answer_when(window, query) {
        When::BadRequest(reason) => {
            Decision::Refuse(Reply::refuse(StatusCode::BAD_REQUEST, reason))
        }
        When::Hold => Decision::Hold,
        When::Now => {
            let waited_for = query.awaited.is_some();
            Decision::Send(Content::Media(rendition, query.form, waited_for))
        }
    }
}

/// `404` for a segment or part.
pub(crate) fn not_here() -> Reply {
    absent("This part of the programme is not here: not yet, or not any more.\n")
}

fn absent(sentence: &'static str) -> Reply {
    Reply::refuse(StatusCode::NOT_FOUND, sentence)
}

/// Who waited for a window that was not filled in time.
pub(crate) fn unfilled() -> Reply {
    Reply::come_again(
        2,
        "The programme is being made ready. Please come again in two seconds.\n",
    )
}

/// Who would start over while that is paused.
pub(crate) fn start_over_paused() -> Reply {
    Reply {
        cache_control: NEVER,
        ..Reply::come_again(
            60,
            "Starting over is paused while so many listen: the programme as it is now is in media.m3u8, and all of it is \
             at this link when it has ended.\n",
        )
    }
}

/// Who was held for too long.
pub(crate) fn held_too_long() -> Reply {
    Reply::come_again(1, "The part that was waited for did not come in time.\n")
}

/// What answers are made from.
pub(crate) struct Source<'s> {
    /// The space.
    pub(crate) space: &'s Space,
    /// Its window, for which [`decide`] said what to send.
    pub(crate) window: &'s Window,
    /// How much of it has been recorded.
    pub(crate) recorded: Recorded,
    /// What precedes parts.
    pub(crate) headers: &'s Headers,
}

/// Makes the answer.
pub(crate) fn compose(content: Content, from: &Source<'_>) -> Reply {
    let Source { space, window, .. } = *from;
    let playlist = |text: String| Reply::ok(text, playlist::CONTENT_TYPE, BRIEF);
    match content {
        Content::Main(rung) => playlist(playlist::main(space.state, rung)),
        Content::Init(rendition) => {
            let init = from.headers.init[rendition.index()].clone();
            Reply::ok(init, SEGMENT, IMMUTABLE)
        }
        Content::Event(form) => {
            let first = space.live_part.or(space.doors_part).unwrap_or_default();
            let (next, ended) = (window.next(), window.is_finished());
            let first = first.segment();
            let shift_ms = space.corrections.shift_ms(first);
            let epoch = space.created_at.shifted_ms(shift_ms);
            playlist(playlist::event(first, next, epoch, ended, form))
        }
        Content::Media(rendition, form, waited_for) => {
            let text = playlist::media(window, space.dates(), rendition, form);
            let caching = if waited_for { WAITED_FOR } else { BRIEF };
            Reply::ok(text, playlist::CONTENT_TYPE, caching)
        }
        Content::Replay => {
            let started_at = space.started_at.unwrap_or_default();
            playlist(playlist::replay(from.recorded.parts, started_at))
        }
        Content::Segment(rendition, wanted) => {
            Reply::ok(segment(window, rendition, wanted), SEGMENT, IMMUTABLE)
        }
        Content::StandIn(rendition, wanted) => {
            Reply::ok(segment(window, rendition, wanted), SEGMENT, NEVER)
        }
    }
}

fn segment(window: &Window, rendition: Rendition, wanted: Wanted) -> Bytes {
    let (Found::Ready(parts) | Found::StandIn(parts)) = window.find(wanted) else {
        return Bytes::new();
    };
    let chunks = || parts.iter().map(|part| &part.packaged(rendition).cmaf);
    if let [only] = &parts[..] {
        return only.packaged(rendition).cmaf.clone();
    }
    let mut all = BytesMut::with_capacity(chunks().map(Bytes::len).sum());
    chunks().for_each(|chunk| all.extend_from_slice(chunk));
    all.freeze()
}
