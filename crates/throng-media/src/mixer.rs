//! The mixer of one space's stage: packets of speakers in, once per tick (20 ms) the stage's mix and every speaker's
//! return out.
//!
//! A seat is heard while he talks, is on stage and is not muted; what lies below the talk threshold is gated, so that sixteen quiet
//! microphones add no noise. Where the host wants it, voices are [levelled](crate::levelling) before they are mixed. A *return* is the mix without the seat himself. Who does not talk is not in the mix, so
//! all of them share one encoding; only who talks gets an encoder of his own, which is primed with what he heard last,
//! so that the change is not heard, and kept for a while after he has gone silent. Who sends lean, in packets of 60 ms, has
//! a link that bears no more, and is answered alike.
//!
//! In a stereo space seats are heard in two channels; what seats hear, returns and talkback, has one.
//!
//! The stage's mix is a plain sum, over full scale where many talk at once: the programme's limiter sees to it. Returns
//! are bent softly into full scale.

mod returns;
mod talkback;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::BTreeMap;

use bytes::Bytes;
use thiserror::Error;
use throng_core::rendition::Channels;

use self::returns::{OwnReturn, SharedReturn};
use self::talkback::Talkbacks;
pub use self::talkback::{Ears, MAX_TALKBACKS, TalkbackState};
use crate::jitter::{Counters, JitterBuffer, SpeakerPacket};
use crate::level::{Meter, Talk, Thresholds};
use crate::levelling::Leveller;
use crate::{Frame, WideFrame};

/// Most seats of a stage. Bounds the decoding, 60 us each: 2 ms of a tick. A further seat is refused.
pub const MAX_SPEAKERS: usize = 32;

/// Most seats that are heard at once. Bounds the encoding, 0.4 ms each: with 32 decoders about 9 ms of a 20 ms tick.
/// If more talk, the loudest are heard; nobody could follow the others.
pub const MAX_TALKING: usize = 16;

/// When a seat is heard: far below speech, as the gate shall cut nothing that anybody would miss.
const GATE: Thresholds = Thresholds {
    open_dbov: -60.0,
    hold_dbov: -66.0,
    hold_frames: 50,
};
/// Most seats that are answered lean. Bounds the encoding: 1.2 ms each for three frames at once. A further one hears what
/// all hear.
const LEAN_MAX: usize = 8;
/// A packet of the sort that is sent where every header counts: 60 ms.
const LEAN_PACKET_SAMPLES: i64 = 2_880;
/// Samples in which a seat comes into the mix or leaves it, 5 ms; and in which its volume moves by as much as that.
const RAMP_SAMPLES: f32 = 240.0;

/// A seat on stage; who sits there is the caller's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeatId(pub u32);

/// The stage is full: a fault of nobody, and worth a retry when somebody has left.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the stage already has {MAX_SPEAKERS} speakers")]
pub struct StageFull;

/// What a tick gives.
#[derive(Clone, Debug)]
pub struct Mixed {
    /// All who are heard, summed; may exceed full scale.
    pub stage: WideFrame,
    /// What the seats hear; equal packets share their bytes.
    pub returns: Vec<Return>,
    /// What each seat sent that is heard, before levelling and gain; where tracks are kept, and without silent ones. One
    /// seat is here twice where somebody leaves it as somebody takes it.
    pub tracks: Vec<(SeatId, Box<WideFrame>)>,
}

/// One Opus packet of a seat's return; it ends with this tick's frame.
#[derive(Clone, Debug)]
pub struct Return {
    /// Whose.
    pub seat: SeatId,
    /// The sound.
    pub packet: Bytes,
    /// Frames in it: one, or on a lean line three.
    pub frames: u64,
}

/// A seat as the desk and the metrics see it.
#[derive(Clone, Copy, Debug)]
pub struct SeatState {
    /// The seat.
    pub seat: SeatId,
    /// His level, also while muted, dBov.
    pub level_dbov: f32,
    /// Whether he is in the mix.
    pub heard: bool,
    /// Whether he is muted.
    pub muted: bool,
    /// Whether he is on stage, and not in the green room.
    pub on_stage: bool,
    /// What happened to his packets.
    pub counters: Counters,
}

/// The mixer.
pub struct Mixer {
    channels: Channels,
    seats: BTreeMap<SeatId, Seat>,
    /// Who has left since the last tick, and is faded out in the next. At most as many as sit; beyond, they are cut.
    leaving: Vec<(SeatId, Seat)>,
    shared: SharedReturn,
    levelling: bool,
    keeps_tracks: bool,
    talkbacks: Talkbacks,
}

struct Seat {
    jitter: JitterBuffer,
    meter: Meter,
    talk: Talk,
    muted: bool,
    on_stage: bool,
    heard: bool,
    /// What he is brought into the mix with.
    volume: f32,
    /// Where he is on the way there, or out of the mix.
    gain: f32,
    /// His part of the mix.
    part: WideFrame,
    leveller: Leveller,
    /// What he sent.
    sent: WideFrame,
    /// Where he is on the way into his track or out of it, which has no volume.
    presence: f32,
    own_return: Option<OwnReturn>,
}

impl Default for Mixer {
    fn default() -> Self {
        Self::new()
    }
}

impl Mixer {
    /// A mixer of an empty stage, of one channel.
    pub fn new() -> Self {
        Self::of(Channels::Mono)
    }

    /// The same of one channel or two.
    pub fn of(channels: Channels) -> Self {
        Self {
            channels,
            seats: BTreeMap::new(),
            leaving: Vec::new(),
            shared: SharedReturn::new(),
            levelling: false,
            keeps_tracks: false,
            talkbacks: Talkbacks::default(),
        }
    }

    /// Levels voices from now on, or no longer.
    pub fn set_levelling(&mut self, levelling: bool) {
        self.levelling = levelling;
    }

    /// Gives what each seat sent beside the mix, or no longer.
    pub fn set_tracks(&mut self, keeps_tracks: bool) {
        self.keeps_tracks = keeps_tracks;
    }

    /// Seats somebody on stage, unmuted and at his own volume. Whoever sat there is replaced, with all that was known of him.
    pub fn join(&mut self, seat: SeatId) -> Result<(), StageFull> {
        if self.seats.len() >= MAX_SPEAKERS && !self.seats.contains_key(&seat) {
            return Err(StageFull);
        }
        self.leave(seat);
        self.seats.insert(seat, Seat::new(self.channels));
        Ok(())
    }

    /// Empties a seat. Who sat there is out of the mix with the next frame, without a click.
    pub fn leave(&mut self, seat: SeatId) {
        if let Some(left) = self.seats.remove(&seat)
            && self.leaving.len() < MAX_SPEAKERS
        {
            let leaving = Seat {
                muted: true,
                ..left
            };
            self.leaving.push((seat, leaving));
        }
    }

    /// Mutes a seat or lets him be heard again.
    pub fn set_muted(&mut self, seat: SeatId, muted: bool) {
        if let Some(seat) = self.seats.get_mut(&seat) {
            seat.muted = muted;
        }
    }

    /// Brings a seat on stage, or into the green room: there he hears the stage, and neither it nor its listeners hear him.
    pub fn set_on_stage(&mut self, seat: SeatId, on_stage: bool) {
        if let Some(seat) = self.seats.get_mut(&seat) {
            seat.on_stage = on_stage;
        }
    }

    /// Makes a seat louder or softer in the mix. The level of a seat stays that of his microphone, and so does whether he is
    /// heard.
    pub fn set_gain(&mut self, seat: SeatId, gain_db: f32) {
        if let Some(seat) = self.seats.get_mut(&seat) {
            seat.volume = 10_f32.powf(gain_db / 20.0);
        }
    }

    /// Opens a line on which a host talks to the stage, off air; or begins it anew. It gets returns like a seat.
    pub fn open_talkback(&mut self, line: SeatId, ears: Ears) {
        self.talkbacks.open(line, ears);
    }

    /// A line is for others from now on.
    pub fn turn_talkback(&mut self, line: SeatId, ears: Ears) {
        self.talkbacks.turn_to(line, ears);
    }

    /// Closes a line.
    pub fn close_talkback(&mut self, line: SeatId) {
        self.talkbacks.close(line);
    }

    /// Takes a packet of a line. One for a line that is closed is dropped.
    pub fn push_talkback(&mut self, line: SeatId, now: Duration, packet: &SpeakerPacket) {
        self.talkbacks.push(line, now, packet);
    }

    /// The lines that are open.
    pub fn talkbacks(&self) -> impl Iterator<Item = TalkbackState> + '_ {
        self.talkbacks.lines()
    }

    /// Takes a packet that came at `now`. One for an empty seat is dropped: it was under way when the seat was left.
    pub fn push(&mut self, seat: SeatId, now: Duration, packet: &SpeakerPacket) {
        if let Some(seat) = self.seats.get_mut(&seat) {
            seat.jitter.push(now, packet);
        }
    }

    /// The next frame; `now` is best its nominal time, on the clock of `push`.
    pub fn tick(&mut self, now: Duration) -> Mixed {
        let levelling = self.levelling;
        let leaving = self.leaving.iter_mut().map(|(_, seat)| seat);
        for seat in self.seats.values_mut().chain(leaving) {
            seat.hear(now, levelling);
        }
        self.hush_beyond_bound();
        let tracks = self.tracks();
        let mut stage = WideFrame::SILENCE;
        let leaving = self.leaving.iter_mut().map(|(_, seat)| seat);
        for seat in self.seats.values_mut().chain(leaving) {
            seat.fade();
            stage.add(&seat.part);
        }
        self.leaving.clear();
        // Only now: the stage is complete, and off air nothing is added to it.
        self.talkbacks.hear(now);
        Mixed {
            returns: self.encode_returns(&stage.mid),
            stage,
            tracks,
        }
    }

    /// Tells that the caller was too late for so many frames and leaves them out: the buffers drop their sound, so that
    /// the delay stays what it was.
    pub fn skip(&mut self, frames: u32) {
        for seat in self.seats.values_mut() {
            seat.jitter.skip(frames);
        }
        self.talkbacks.skip(frames);
    }

    /// All seats, in order.
    pub fn seats(&self) -> impl Iterator<Item = SeatState> + '_ {
        self.seats.iter().map(|(&id, seat)| SeatState {
            seat: id,
            level_dbov: seat.meter.dbov(),
            heard: seat.heard,
            muted: seat.muted,
            on_stage: seat.on_stage,
            counters: seat.jitter.counters(),
        })
    }

    /// Keeps only the loudest in the mix if too many talk.
    fn hush_beyond_bound(&mut self) {
        let mut talking: Vec<&mut Seat> =
            self.seats.values_mut().filter(|seat| seat.heard).collect();
        if talking.len() > MAX_TALKING {
            talking.sort_by(|a, b| b.meter.dbov().total_cmp(&a.meter.dbov()));
            for seat in &mut talking[MAX_TALKING..] {
                seat.heard = false;
            }
        }
    }

    fn tracks(&mut self) -> Vec<(SeatId, Box<WideFrame>)> {
        if !self.keeps_tracks {
            return Vec::new();
        }
        let seats = self.seats.iter_mut().map(|(&id, seat)| (id, seat));
        let leaving = self.leaving.iter_mut().map(|(id, seat)| (*id, seat));
        let tracks = seats.chain(leaving);
        tracks
            .filter_map(|(id, seat)| seat.track().map(|frame| (id, frame)))
            .collect()
    }

    fn encode_returns(&mut self, stage: &Frame) -> Vec<Return> {
        if self.seats.is_empty() && self.talkbacks.lines().next().is_none() {
            return Vec::new();
        }
        self.shared.begin_tick();
        let mut lean_left = LEAN_MAX;
        for (&id, seat) in &mut self.seats {
            let is_apart = seat.in_mix() || self.talkbacks.to_seat(id).is_some();
            let is_lean = lean_left > 0 && seat.jitter.packet_samples() >= LEAN_PACKET_SAMPLES;
            if is_lean {
                lean_left -= 1;
                OwnReturn::keep_lean(&mut seat.own_return);
            } else {
                OwnReturn::keep_while_needed(&mut seat.own_return, is_apart, &mut self.shared);
            }
        }
        let to_all = self.talkbacks.to_all();
        let for_all = to_all.as_ref().map(|whisper| whisper.over(stage));
        let shared = self.shared.encode(for_all.as_ref().unwrap_or(stage));
        let returns = self.seats.iter_mut().map(|(&seat, place)| {
            let (packet, frames) = match &mut place.own_return {
                Some(own) => match self.talkbacks.to_seat(seat).as_ref().or(to_all.as_ref()) {
                    Some(whisper) => {
                        own.encode(&whisper.over(stage), &whisper.of_part(&place.part.mid))?
                    }
                    None => own.encode(stage, &place.part.mid)?,
                },
                None => (shared.clone()?, 1),
            };
            Some(Return {
                seat,
                packet,
                frames,
            })
        });
        let mut returns: Vec<_> = returns.flatten().collect();
        // Who talks back hears that his line is up; he is told nothing more by it.
        returns.extend(self.talkbacks.lines().filter_map(|line| {
            Some(Return {
                seat: line.line,
                packet: shared.clone()?,
                frames: 1,
            })
        }));
        returns
    }
}

impl Seat {
    fn new(channels: Channels) -> Self {
        Self {
            jitter: JitterBuffer::of(channels),
            meter: Meter::default(),
            talk: Talk::new(GATE),
            muted: false,
            on_stage: true,
            heard: false,
            volume: 1.0,
            gain: 0.0,
            part: WideFrame::SILENCE,
            leveller: Leveller::of(channels),
            sent: WideFrame::SILENCE,
            presence: 0.0,
            own_return: None,
        }
    }

    /// Decodes his frame and decides whether he is heard.
    fn hear(&mut self, now: Duration, levelling: bool) {
        self.sent = self.jitter.pull_wide(now);
        self.meter.hear(&self.sent.mid);
        self.heard = self.talk.hear(&self.sent.mid) && !self.muted && self.on_stage;
        self.part = self.sent.clone();
        if levelling {
            self.leveller.level(&mut self.part);
        } else {
            self.leveller.pass(&mut self.part);
        }
    }

    /// What he sent, while he is heard; nothing where that is silence.
    fn track(&mut self) -> Option<Box<WideFrame>> {
        if !self.heard && self.presence <= 0.0 {
            return None;
        }
        let goal = if self.heard { 1.0 } else { 0.0 };
        let mut frame = Box::new(self.sent.clone());
        frame.scale(|| {
            self.presence += (goal - self.presence).clamp(-1.0 / RAMP_SAMPLES, 1.0 / RAMP_SAMPLES);
            self.presence
        });
        (!frame.is_silent()).then_some(frame)
    }

    /// Brings him into the mix, out of it, or to another volume, without a click.
    fn fade(&mut self) {
        let goal = if self.heard { self.volume } else { 0.0 };
        let step = 1.0 / RAMP_SAMPLES;
        self.part.scale(|| {
            self.gain += (goal - self.gain).clamp(-step, step);
            self.gain
        });
    }

    /// Whether this frame of the mix may hold anything of him.
    fn in_mix(&self) -> bool {
        self.heard || !self.part.is_silent()
    }
}
