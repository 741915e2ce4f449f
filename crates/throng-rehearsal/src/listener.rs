//! One listener from the link to the last sound: what he asks for, what he makes of the answers, when he comes back.
//! Pure: the shell connects, moves bytes and waits.
//!
//! The way: what precedes the sound (page, assets, state), one after the other on one connection; then an endless answer,
//! or HLS on the same connection. A listener is a slot of some two hundred bytes: nothing that comes in is kept, except
//! that playlists are shared and the shell holds on to an answer that must be read as a whole.

mod hearing;
mod known;
mod leaving;
mod queueing;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;

pub use self::hearing::KEPT_MAX_BYTES;
use self::known::Known;
use self::queueing::{Waiting, counter_beside};
use crate::SECOND_US;
use crate::answer::{Head, Media};
use crate::chance::Chance;
use crate::hls::{PLAYLIST_MAX_BYTES, Playlist, Playlists};
use crate::mix::Via;
use crate::orders::Funnel;
use crate::playback::Playback;
use crate::retry::{Comeback, Retries};
use crate::stream::Reader;
use crate::tally::Tally;

/// A request without an answer, or an endless answer without sound, is given up after this: playlists may be held for
/// 12 s, and spans are below 8 s.
pub const QUIET_MAX_US: u64 = 20 * SECOND_US;

/// One listener.
#[derive(Debug)]
pub struct Listener {
    /// The number that his player made up.
    player: u64,
    via: Via,
    step: Step,
    /// The answer that comes in.
    answer: Option<Head>,
    reader: Reader,
    playback: Playback,
    retries: Retries,
    comeback: Comeback,
    /// His place in the playlist.
    next: (u64, u64),
    playlist: Option<Arc<Playlist>>,
    /// When he has asked for it.
    loaded_us: u64,
    began_us: u64,
    /// When something last came or was asked for.
    last_us: u64,
    state: State,
    had_gap: bool,
    was_queued: bool,
    /// What he holds while he waits for his turn.
    waiting: Option<Box<Waiting>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// One of what precedes the sound.
    Before(u8),
    /// How far the queue has come.
    Queue,
    /// The endless answer.
    Stream,
    /// The first playlist.
    Main,
    /// The playlist of a rendition.
    Media,
    /// The initialisation segment.
    Map,
    /// A part or segment.
    Item,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Joining,
    /// He has sound; whether it is coming now.
    Joined {
        listening: bool,
    },
    Gone,
}

/// What the shell is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Close, and connect again then.
    ComeBack {
        /// When.
        at_us: u64,
    },
    /// Close, for good.
    Leave,
    /// Send what is in [`Scene::out`].
    Send,
    /// Call [`Listener::ask`] then.
    SendAt {
        /// When.
        at_us: u64,
    },
    /// Nothing until more comes.
    Wait,
}

/// All that surrounds a listener while he decides.
pub struct Scene<'a> {
    /// Now.
    pub now_us: u64,
    /// The way through the server.
    pub funnel: &'a Funnel,
    /// What this agent's listeners know together.
    pub shared: &'a mut Shared,
    /// What is counted.
    pub tally: &'a mut Tally,
    /// Chance.
    pub chance: &'a mut Chance,
    /// The request to send.
    pub out: &'a mut Vec<u8>,
    /// Where this listener's stream is kept.
    pub keep: Option<&'a mut Vec<u8>>,
}

/// What an agent's listeners know together, because it is the same for all.
#[derive(Debug, Default)]
pub struct Shared {
    /// Spans that were read.
    known: Known,
    /// Playlists that were read.
    playlists: Playlists,
    /// The path of the rendition's playlist.
    media_path: Option<String>,
    /// Room for an answer that is read as a whole.
    text: Vec<u8>,
}

impl Listener {
    /// A listener who is about to connect; no two have the same number.
    pub fn new(player: u64, via: Via, now_us: u64, funnel: &Funnel) -> Self {
        let mut listener = Self {
            player,
            via,
            step: Step::Before(0),
            answer: None,
            reader: Reader::None,
            playback: Playback::default(),
            retries: Retries::default(),
            comeback: Comeback::default(),
            next: (0, 0),
            playlist: None,
            loaded_us: 0,
            began_us: now_us,
            last_us: now_us,
            state: State::Joining,
            had_gap: false,
            was_queued: false,
            waiting: None,
        };
        if funnel.before.is_empty() {
            listener.step = listener.first_of_sound();
        }
        listener
    }

    /// A connection is begun.
    pub fn connecting(&mut self, now_us: u64) {
        self.last_us = now_us;
        self.answer = None;
    }

    /// Asks for what is next: on a new connection, or when the time has come.
    pub fn ask(&mut self, scene: &mut Scene<'_>) -> Act {
        let Some(path) = self.path(scene) else {
            return self.give_up(scene, "an address elsewhere");
        };
        self.last_us = scene.now_us;
        if self.waiting.is_some() && self.step == self.first_of_sound() {
            // What he waited in the queue is no slowness of the doors.
            self.began_us = scene.now_us;
        }
        if self.step == Step::Media {
            self.loaded_us = scene.now_us;
        }
        self.answer = None;
        scene.out.clear();
        let accept = if matches!(self.step, Step::Before(_)) {
            "Accept-Encoding: gzip, deflate, br\r\n"
        } else {
            ""
        };
        for piece in [
            "GET ",
            &path,
            " HTTP/1.1\r\nHost: ",
            &scene.funnel.host,
            "\r\nUser-Agent: throng-rehearsal\r\nAccept: */*\r\n",
            accept,
            "\r\n",
        ] {
            scene.out.extend_from_slice(piece.as_bytes());
        }
        Act::Send
    }

    /// Takes what came; how much of it was used up, and what to do. The rest belongs to an answer that is not whole
    /// yet: it is to be brought again with what follows.
    pub fn take(&mut self, scene: &mut Scene<'_>, bytes: &[u8]) -> (usize, Act) {
        if self.take_known(scene, bytes) {
            return (bytes.len(), Act::Wait);
        }
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let Some(head) = self.answer else {
                match Head::read(rest) {
                    Ok(Some((length, head))) => {
                        at += length;
                        self.answer = Some(head);
                        if let Some(act) = self.headed(scene, head) {
                            return (bytes.len(), act);
                        }
                        continue;
                    }
                    Ok(None) => return (at, Act::Wait),
                    Err(broken) => return (at, self.lose(scene, &broken.to_string())),
                }
            };
            let taken = if self.is_text(head) {
                self.take_text(scene, head, rest)
            } else {
                self.take_body(scene, head, rest)
            };
            match taken {
                Ok((used, None)) => return (at + used, Act::Wait),
                Ok((used, Some(act))) => return (at + used, act),
                Err(reason) => return (bytes.len(), self.lose(scene, reason)),
            }
        }
    }

    /// Whether nothing has come for too long.
    pub fn is_stuck(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.last_us) > QUIET_MAX_US
    }

    /// Whether he has left for good.
    pub fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// A head came; what to do where it is not the answer that was asked for.
    fn headed(&mut self, scene: &mut Scene<'_>, head: Head) -> Option<Act> {
        self.last_us = scene.now_us;
        match head.status {
            200 | 206 => {}
            // The space has ended: what was live is a recording now.
            302 if self.step == Step::Stream => return Some(self.end(scene)),
            404 | 410 if !matches!(self.step, Step::Item | Step::Media) => {
                scene.tally.note_refused(&format!("status {}", head.status));
                return Some(self.give_up(scene, "not there"));
            }
            status => {
                scene.tally.note_refused(&format!("status {status}"));
                return None;
            }
        }
        match self.step {
            Step::Stream => {
                self.reader = Reader::of(head.media);
                self.join(scene);
            }
            Step::Item | Step::Map => {
                if matches!(self.reader, Reader::None) {
                    self.reader = Reader::of(if head.media == Media::Other {
                        Media::Mp4
                    } else {
                        head.media
                    });
                }
                self.reader.begin_fragment();
                if self.step == Step::Item {
                    self.join(scene);
                }
            }
            Step::Before(_) | Step::Main | Step::Media | Step::Queue => {}
        }
        None
    }

    fn is_text(&self, head: Head) -> bool {
        !matches!(head.status, 200 | 206)
            || matches!(self.step, Step::Main | Step::Media | Step::Queue)
    }

    /// An answer that is read when it is whole.
    fn take_text(
        &mut self,
        scene: &mut Scene<'_>,
        head: Head,
        bytes: &[u8],
    ) -> Result<(usize, Option<Act>), &'static str> {
        let mut text = std::mem::take(&mut scene.shared.text);
        text.clear();
        let mut body = head.body;
        let used = body
            .feed(bytes, &mut |some| text.extend_from_slice(some))
            .map_err(|_| "broken chunks")?;
        let whole = body.is_whole();
        if !whole && text.len() > PLAYLIST_MAX_BYTES {
            return Err("endless text");
        }
        let act = whole.then(|| {
            self.answer = None;
            if matches!(head.status, 200 | 206) {
                if self.step == Step::Queue {
                    self.read_progress(scene, &text)
                } else {
                    self.read_text(scene, &text)
                }
            } else {
                self.refused(scene, head, &text)
            }
        });
        scene.shared.text = text;
        Ok((if whole { used } else { 0 }, act))
    }

    /// An answer that is used up as it comes.
    fn take_body(
        &mut self,
        scene: &mut Scene<'_>,
        mut head: Head,
        bytes: &[u8],
    ) -> Result<(usize, Option<Act>), &'static str> {
        let mut broken = None;
        let is_sound = matches!(self.step, Step::Stream | Step::Map | Step::Item);
        let mut body = head.body;
        let fed = body.feed(bytes, &mut |some| {
            if is_sound {
                self.note_wait(scene);
                broken = broken.or(self.hear(scene, some).err());
            }
        });
        let used = fed.map_err(|_| "broken chunks")?;
        if let Some(reason) = broken {
            return Err(reason);
        }
        if used > 0 {
            self.last_us = scene.now_us;
        }
        head.body = body;
        self.answer = (!body.is_whole()).then_some(head);
        let act = body.is_whole().then(|| self.answered(scene, head));
        Ok((used, act))
    }

    /// An answer is whole, and what it was for is done.
    fn answered(&mut self, scene: &mut Scene<'_>, head: Head) -> Act {
        let act = match self.step {
            // Endless answers end with the programme.
            Step::Stream => return self.end(scene),
            Step::Before(place) => {
                let next = place + 1;
                self.step = if usize::from(next) < scene.funnel.before.len() {
                    Step::Before(next)
                } else {
                    self.first_of_sound()
                };
                self.ask(scene)
            }
            Step::Item => {
                self.pass_item();
                self.next_item(scene, false)
            }
            Step::Main | Step::Media | Step::Map | Step::Queue => self.next_item(scene, false),
        };
        if head.closes && act == Act::Send {
            return Act::ComeBack {
                at_us: scene.now_us,
            };
        }
        act
    }

    fn first_of_sound(&self) -> Step {
        if self.via == Via::Hls {
            Step::Main
        } else {
            Step::Stream
        }
    }

    /// The path of the present step; `None` where it lies elsewhere.
    fn path(&self, scene: &Scene<'_>) -> Option<String> {
        let funnel = scene.funnel;
        let sticky = |path: &str| {
            if !funnel.sticky {
                return path.to_owned();
            }
            let mark = if path.contains('?') { '&' } else { '?' };
            format!("{path}{mark}l={:016x}", self.player)
        };
        Some(match self.step {
            Step::Before(place) => funnel.before.get(usize::from(place))?.clone(),
            Step::Stream if self.via == Via::Plain => {
                let turn = self.player % funnel.plain.len().max(1) as u64;
                self.with_ticket(sticky(funnel.plain.get(usize::try_from(turn).ok()?)?))
            }
            Step::Queue => counter_beside(&funnel.progressive)?,
            Step::Stream => {
                let path = self.with_ticket(sticky(&funnel.progressive));
                // Whoever comes back says where he stopped, so that he misses nothing and gets nothing twice.
                match self.playback.next_part().filter(|_| funnel.sticky) {
                    Some(part) => format!("{path}&from={part}"),
                    None => path,
                }
            }
            Step::Main => self.with_ticket(sticky(&funnel.hls)),
            Step::Media => self.media_path(sticky(scene.shared.media_path.as_ref()?)),
            Step::Map | Step::Item => self.item_path(scene.shared.media_path.as_ref()?)?,
        })
    }
}
