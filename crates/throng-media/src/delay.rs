//! The delay of the programme: what is said on stage goes out some seconds later, so that a host can take it back.
//!
//! One frame goes in and one comes out with every tick: sound is held back, never the clock. Before go-live nothing is
//! held, so that nothing said before can come out. While less is held than is wanted, a *bridge* is heard in its place, the
//! caller's soft music; the stage goes on being held meanwhile, and no word is lost. It begins in a pause of the talk, and
//! in mid-word only where none comes. Where more is held than is wanted, pauses are left out until it is not. A *dump*
//! throws away all that is held: none of it comes out, nor anything that was made of it, and the bridge is heard until
//! enough is held again.

use std::collections::VecDeque;

use throng_core::space::DELAY_SECONDS_MAX;

use crate::{Frame, WideFrame};

/// Samples of a frame, to reckon with.
const FRAME_SAMPLES: f32 = 960.0;
/// Frames in a second.
const FRAMES_PER_SECOND: usize = 50;
/// Most frames that are held, 2 MB: the longest delay, and a second for a cut that came late. Full: the oldest is left out.
pub const HELD_FRAMES_MAX: usize = (DELAY_SECONDS_MAX as usize + 1) * FRAMES_PER_SECOND;
/// A delay that is shorter than wanted by no more than this is full: for a part's length nobody interrupts a talk.
const SHORT_FRAMES_MAX: usize = 16;
/// So long a bridge waits for a pause, 5 s: who talks longer without one is interrupted.
const PAUSE_PATIENCE_FRAMES: u32 = 250;
/// A pause is 20 dB below the talk.
const PAUSE_OF_TALK: f32 = 0.01;
/// And what is below -60 dBov, where the mixer's gate is, is always one.
const PAUSE_POWER: f32 = 1e-6;
/// The loudness of the talk is forgotten by half in 7 s.
const FORGETTING: f32 = 0.998;
/// In so many samples the bridge comes and goes, 500 ms.
const BRIDGE_FADE_SAMPLES: f32 = 24_000.0;

/// The delay line of one programme.
#[derive(Debug)]
pub struct DelayLine {
    /// How many frames are to be held.
    wanted: usize,
    held: VecDeque<Held>,
    mode: Mode,
    /// What was heard last of the stage.
    last: WideFrame,
    /// How far the bridge has come in, 0 to 1.
    bridge: f32,
    /// The power of the talk.
    talk: f32,
    /// Frames that a bridge has waited for a pause.
    waited: u32,
    /// The end is decided: what is held is played out as it is.
    is_ending: bool,
}

#[derive(Debug)]
struct Held {
    frame: WideFrame,
    power: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Held from one frame on, heard from another on; before, it is silent.
    Announced { said_from: u64, heard_from: u64 },
    /// The bridge is heard until enough is held.
    Bridging,
    /// The oldest that is held is heard.
    Playing,
}

/// How a delay stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Frames that a dump would throw away now.
    pub held: usize,
    /// By how many frames what is said now is later than the stage.
    pub behind: usize,
    /// Whether a bridge is heard instead of the stage.
    pub is_bridging: bool,
    /// Whether as much is held as is wanted, or nearly.
    pub is_full: bool,
}

impl DelayLine {
    /// A line of so many frames, for a stage that is not heard yet.
    pub fn new(wanted: u64) -> Self {
        Self {
            wanted: bounded(wanted),
            held: VecDeque::new(),
            mode: Mode::Announced {
                said_from: u64::MAX,
                heard_from: u64::MAX,
            },
            last: WideFrame::SILENCE,
            bridge: 0.0,
            talk: 0.0,
            waited: 0,
            is_ending: false,
        }
    }

    /// A line for a stage that was heard already, as after a restart: the bridge is heard at once.
    pub fn resumed(wanted: u64) -> Self {
        let mode = match wanted {
            0 => Mode::Playing,
            _ => Mode::Bridging,
        };
        Self {
            mode,
            bridge: 1.0,
            ..Self::new(wanted)
        }
    }

    /// Holds so many frames from now on, as far as they are there.
    pub fn want(&mut self, frames: u64) {
        if !self.is_ending {
            self.wanted = bounded(frames);
        }
    }

    /// The stage is held from one frame on, and heard from another.
    pub fn go_live(&mut self, said_from: u64, heard_from: u64) {
        if matches!(self.mode, Mode::Announced { said_from: before, .. } if before == u64::MAX) {
            self.mode = Mode::Announced {
                said_from,
                heard_from,
            };
        }
    }

    /// The end is decided: what is held is played out, and the delay is not changed any more.
    pub fn end(&mut self) {
        self.is_ending = true;
        if !matches!(self.mode, Mode::Announced { .. }) {
            self.wanted = self.held.len();
        }
    }

    /// Throws away what is held, and says how many frames that were.
    pub fn dump(&mut self) -> usize {
        let dumped = self.held.len();
        if dumped > 0 {
            self.held.clear();
            self.mode = Mode::Bridging;
        }
        dumped
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        let held = self.held.len();
        let behind = match self.mode {
            Mode::Announced {
                said_from,
                heard_from,
            } => bounded(heard_from.saturating_sub(said_from)),
            Mode::Bridging | Mode::Playing => held,
        };
        Standing {
            held,
            behind,
            is_bridging: self.mode == Mode::Bridging,
            is_full: self.mode != Mode::Bridging && held + SHORT_FRAMES_MAX >= self.wanted,
        }
    }

    /// Takes the stage's frame of that number, and gives what is heard of it now. `music` is the bridge's frame.
    pub fn tick(
        &mut self,
        number: u64,
        stage: WideFrame,
        music: impl FnOnce() -> Frame,
    ) -> WideFrame {
        if let Mode::Announced {
            said_from,
            heard_from,
        } = self.mode
        {
            if number >= said_from {
                self.hold(stage);
            }
            if number < heard_from {
                return WideFrame::SILENCE;
            }
            self.mode = Mode::Playing;
        } else {
            self.hold(stage);
        }
        let voice = self.voice();
        self.with_bridge(voice, music)
    }

    fn hold(&mut self, stage: WideFrame) {
        if self.held.len() > HELD_FRAMES_MAX {
            self.held.pop_front();
        }
        let power = stage.mid.iter().map(|x| x * x).sum::<f32>() / FRAME_SAMPLES;
        self.talk = (self.talk * FORGETTING).max(power);
        self.held.push_back(Held {
            frame: stage,
            power,
        });
    }

    /// What is heard of the stage now.
    fn voice(&mut self) -> WideFrame {
        if self.mode == Mode::Playing && self.is_time_to_bridge() {
            self.mode = Mode::Bridging;
        }
        if self.mode == Mode::Playing {
            return self.play();
        }
        // Where the bridge is over before it began, what was heard last goes as the new comes.
        let tail = self.fade_out();
        if self.held.len() <= self.wanted {
            return tail;
        }
        self.mode = Mode::Playing;
        let mut voice = self.play();
        ramp(&mut voice, |to_one| to_one);
        voice.add(&tail);
        voice
    }

    /// Whether too little is held, and there is a pause to begin a bridge in, or none was for too long.
    fn is_time_to_bridge(&mut self) -> bool {
        if self.is_ending || self.held.len() + SHORT_FRAMES_MAX > self.wanted {
            self.waited = 0;
            return false;
        }
        self.waited += 1;
        self.is_pause_ahead(1) || self.waited > PAUSE_PATIENCE_FRAMES
    }

    /// The oldest frame; where too much is held and nobody talks, the oldest two in one.
    fn play(&mut self) -> WideFrame {
        let Some(oldest) = self.held.pop_front() else {
            return WideFrame::SILENCE;
        };
        let mut frame = oldest.frame;
        let is_too_much = !self.is_ending && self.held.len() > self.wanted;
        if is_too_much && self.is_pause(oldest.power) && self.is_pause_ahead(1) {
            let mut next = self.held.pop_front().expect("there are more than wanted");
            ramp(&mut frame, |to_one| 1.0 - to_one);
            ramp(&mut next.frame, |to_one| to_one);
            frame.add(&next.frame);
        }
        self.last = frame.clone();
        frame
    }

    /// Leads what was heard last to silence without a click, by itself alone: what follows it may have been dumped.
    fn fade_out(&mut self) -> WideFrame {
        let mut tail = core::mem::replace(&mut self.last, WideFrame::SILENCE);
        tail.reverse();
        ramp(&mut tail, |to_one| 1.0 - to_one);
        tail
    }

    /// Mixes the bridge in as far as it has come.
    fn with_bridge(&mut self, mut voice: WideFrame, music: impl FnOnce() -> Frame) -> WideFrame {
        let goal = if self.mode == Mode::Bridging {
            1.0
        } else {
            0.0
        };
        if self.bridge <= 0.0 && goal <= 0.0 {
            return voice;
        }
        let step = 1.0 / BRIDGE_FADE_SAMPLES;
        for (sample, music) in voice.mid.iter_mut().zip(music()) {
            self.bridge += (goal - self.bridge).clamp(-step, step);
            *sample += music * self.bridge;
        }
        voice
    }

    fn is_pause(&self, power: f32) -> bool {
        power <= (self.talk * PAUSE_OF_TALK).max(PAUSE_POWER)
    }

    fn is_pause_ahead(&self, frames: usize) -> bool {
        let mut ahead = self.held.iter().take(frames);
        ahead.all(|held| self.is_pause(held.power))
    }
}

/// Multiplies with a gain that is made of the way through the frame, 0 to 1.
fn ramp(frame: &mut WideFrame, gain: impl Fn(f32) -> f32) {
    let mut at = 0_u16;
    frame.scale(|| {
        at += 1;
        gain(f32::from(at - 1) / FRAME_SAMPLES)
    });
}

fn bounded(frames: u64) -> usize {
    usize::try_from(frames).map_or(HELD_FRAMES_MAX, |frames| frames.min(HELD_FRAMES_MAX))
}

#[cfg(test)]
mod tests;
