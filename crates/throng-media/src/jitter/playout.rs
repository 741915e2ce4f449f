//! What is heard next: the decisions of a tick.
//!
//! Either sound is *playing*: the next packet in time is decoded, and what is missing is filled; or the speaker is
//! *pausing*: silence, until a packet is there and its time has come. A packet's time is its timestamp, plus the least
//! transit time, plus the target delay: so every pause sets the delay right without changing any sound.

use super::arrivals::Sound;
use super::stretch::{Repeat, SILENT_REPEAT};
use super::voice::CONCEAL_MAX_SAMPLES;
use super::{FRAME_SAMPLES, JitterBuffer, opus_packet, stretch};
use crate::codec::OpusDecode;

/// Guessed at once while nothing is there, 10 ms: a packet that comes then is heard soon.
const GUESS_SAMPLES: i64 = 480;
/// The frame that in-band FEC gives back.
const FEC_SAMPLES: i64 = FRAME_SAMPLES;
/// How far the delay may be off before sound is changed for it, 15 ms; in silence and pauses 5 ms.
const SLACK_SAMPLES: i64 = 720;
const SILENT_SLACK_SAMPLES: i64 = 240;
/// How far off any joint is better than the delay, 120 ms.
const SLACK_MAX_SAMPLES: i64 = 5_760;
/// Likeness that a joint needs while the delay is hardly off.
const LIKENESS_WANTED: f32 = 0.85;
/// Ticks between two changes of speech, 100 ms: at most about a tenth faster or slower.
const CHANGE_TICKS: u32 = 5;

/// What the speaker is doing, as far as is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Silence until the next packet's time.
    Pausing,
    /// Sound.
    Playing,
}

impl<D: OpusDecode> JitterBuffer<D> {
    /// Makes sure that a frame lies ready.
    pub(super) fn fill(&mut self, now: i64) {
        while self.voice.len() < FRAME_SAMPLES {
            match self.state {
                State::Pausing => self.wait(now),
                State::Playing => self.play(),
            }
        }
    }

    /// Lengthens or shortens the delay by a period of sound, where that is due.
    pub(super) fn adapt(&mut self, now: i64) {
        self.ticks_since_change = self.ticks_since_change.saturating_add(1);
        let (State::Playing, Some(next), Some(least)) =
            (self.state, self.next, self.delay.least_transit())
        else {
            return;
        };
        let delay = now - (next - self.voice.len()) - least;
        self.counters.delay_samples = u32::try_from(delay.max(0)).unwrap_or(u32::MAX);
        if delay > self.delay.most() + SLACK_SAMPLES {
            // A queue on the way has become shorter: what waited in it is the past.
            return self.skip_samples(delay - self.delay.target());
        }
        let excess = delay - self.delay.target();
        let guessing = self.owed > 0 || self.voice.concealed_in_a_row() > 0;
        if excess.abs() < SILENT_SLACK_SAMPLES || guessing || excess > 0 && !self.read_ahead() {
            return;
        }
        let Some(repeat) = self.joint(excess.abs()) else {
            return;
        };
        self.ticks_since_change = 0;
        if excess > 0 {
            self.voice.shrink(repeat.period);
            self.counters.shrunk_samples += repeat.period as u64;
        } else {
            self.voice.stretch(repeat.period);
            self.counters.stretched_samples += repeat.period as u64;
        }
    }

    /// Falls silent without a click.
    pub(super) fn pause(&mut self) {
        self.voice.fade_out();
        self.state = State::Pausing;
        self.owed = 0;
    }

    pub(super) fn skip_samples(&mut self, samples: i64) {
        if self.state == State::Pausing {
            // Nothing is lost: a pause ends by the clock.
            return;
        }
        self.counters.skipped_samples += samples.unsigned_abs();
        let mut left = samples - self.voice.skip(samples);
        while left > 0 {
            let Some(next) = self.next else { break };
            match self.arrivals.take(next) {
                Some(sound) if sound.samples <= left => {
                    self.next = Some(next + sound.samples);
                    self.decoded = Some(sound.sequence);
                    left -= sound.samples;
                }
                Some(sound) => {
                    self.decode(next, &sound);
                    self.voice.skip(left);
                    break;
                }
                None => {
                    self.next = Some(next + left);
                    break;
                }
            }
        }
    }

    /// A tick's share of a pause.
    fn wait(&mut self, now: i64) {
        let missing = FRAME_SAMPLES - self.voice.len();
        let first = self
            .arrivals
            .first()
            .map(|(timestamp, sound)| (timestamp, sound.sequence));
        let (Some((timestamp, sequence)), Some(least)) = (first, self.delay.least_transit()) else {
            self.voice.silence(missing);
            return;
        };
        let due = timestamp + least + self.delay.target();
        let silent = (due - (now + self.voice.len())).clamp(0, missing);
        self.voice.silence(silent);
        if silent < missing {
            self.count_lost(sequence);
            self.next = Some(timestamp);
            self.state = State::Playing;
        }
    }

    /// The next sound while playing.
    fn play(&mut self) {
        let Some(next) = self.next else {
            return self.pause();
        };
        self.counters.late += self.arrivals.drop_before(next);
        if let Some(sound) = self.arrivals.take(next) {
            return self.decode(next, &sound);
        }
        if self.voice.concealed_in_a_row() >= CONCEAL_MAX_SAMPLES {
            return self.pause();
        }
        let Some((timestamp, sound)) = self.arrivals.first() else {
            // Late or lost? If late, it is heard after all, and the delay has grown by what was guessed.
            self.owed += GUESS_SAMPLES;
            return self.conceal(GUESS_SAMPLES);
        };
        let (sequence, bytes) = (sound.sequence, sound.bytes.clone());
        let gap = timestamp - next - self.owed;
        if self.decoded == Some(sequence - 1) && self.owed == 0 {
            // Nothing is missing, so the sender paused.
            return self.pause();
        }
        if gap <= 0 {
            self.owed = 0;
            self.next = Some(timestamp);
            return self.count_lost(sequence);
        }
        self.next = Some(next + std::mem::take(&mut self.owed));
        self.bridge(gap, &bytes);
    }

    /// Fills (a piece of) a gap, knowing the packet after it.
    fn bridge(&mut self, gap: i64, following: &[u8]) {
        let fec = opus_packet::carries_fec(following);
        let step = match gap {
            FEC_SAMPLES if fec => {
                self.counters.recovered_by_fec += u64::from(self.voice.recover(following));
                FEC_SAMPLES
            }
            FEC_SAMPLES.. if fec => (gap - FEC_SAMPLES).min(FEC_SAMPLES),
            _ => gap.min(FEC_SAMPLES),
        };
        if !(fec && gap == FEC_SAMPLES) {
            self.conceal(step);
        }
        self.next = self.next.map(|next| next + step);
    }

    fn decode(&mut self, timestamp: i64, sound: &Sound) {
        self.count_lost(sound.sequence);
        self.decoded = Some(sound.sequence);
        self.next = Some(timestamp + sound.samples);
        self.owed = 0;
        if sound.copy {
            self.counters.recovered_by_red += 1;
        }
        if opus_packet::is_dtx(&sound.bytes) {
            self.pause();
        } else if !self.voice.decode(&sound.bytes, sound.samples) {
            self.counters.refused += 1;
            self.counters.concealed_samples += sound.samples.unsigned_abs();
        }
    }

    fn conceal(&mut self, samples: i64) {
        self.voice.conceal(samples);
        self.counters.concealed_samples += samples.unsigned_abs();
    }

    /// Counts the packets between the one decoded last and this one, and takes it as the last.
    fn count_lost(&mut self, sequence: i64) {
        if let Some(decoded) = self.decoded {
            self.counters.lost += (sequence - decoded - 1).max(0).unsigned_abs();
        }
        self.decoded = Some(sequence - 1);
    }

    /// Decodes what shortening needs, if it is there; says whether enough lies ready.
    fn read_ahead(&mut self) -> bool {
        while self.voice.len() < stretch::SHRINK_SAMPLES {
            let Some(next) = self.next else { return false };
            let Some(sound) = self.arrivals.take(next) else {
                return false;
            };
            self.decode(next, &sound);
            if self.state == State::Pausing {
                return false;
            }
        }
        true
    }

    /// Where time may be taken out or put in: anywhere in a pause. Speech is changed not too often, and the farther off the
    /// delay, the less alike the parts that are joined must be.
    fn joint(&mut self, off: i64) -> Option<Repeat> {
        let pcm = self.voice.pcm();
        if stretch::is_silent(pcm) {
            return Some(SILENT_REPEAT);
        }
        if self.loudness.is_pause(pcm) {
            // No more than is asked for, or the next pause would take it back.
            let most = usize::try_from(off + SILENT_SLACK_SAMPLES).unwrap_or(usize::MAX);
            return stretch::find_repeat(pcm).filter(|repeat| repeat.period <= most);
        }
        if off < SLACK_SAMPLES || self.ticks_since_change < CHANGE_TICKS {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "far below 2^24")]
        let urgency = off as f32 / SLACK_MAX_SAMPLES as f32;
        let wanted = LIKENESS_WANTED - urgency * (1.0 + LIKENESS_WANTED);
        stretch::find_repeat(pcm).filter(|repeat| repeat.likeness >= wanted)
    }
}
