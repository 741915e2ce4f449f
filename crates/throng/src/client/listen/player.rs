//! The player: takes packets as they arrive, lets each sound when its time has come, and remembers how it went.

use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, SystemTime};

use throng_core::rendition::Codec;

use super::cmaf::Packet;
use super::decoder::Decoder;
use super::playout::{Gap, Playout, Sound, samples_in};
use super::source::{Arrivals, Event};
use crate::client::Error;
use crate::client::interrupt::Interrupt;

/// Takes what is heard, in real time: sound and the silence between.
pub type Keep<'a> = dyn FnMut(&[f32]) -> Result<(), Error> + 'a;

/// One listener's player.
pub struct Player<'a> {
    playout: Playout<Packet>,
    decoder: Decoder,
    keep: &'a mut Keep<'a>,
    connected: Option<Duration>,
    first_sound: Option<Duration>,
    heard_samples: u64,
    /// How the source finished, once it has.
    finished: Option<Result<(), Error>>,
}

/// How the listening went.
#[derive(Debug)]
pub struct Heard {
    /// From the start of the connect to the first answer.
    pub connected: Option<Duration>,
    /// From the start of the connect to the first decoded sound.
    pub first_sound: Option<Duration>,
    /// Samples of decoded sound; silence in gaps is none.
    pub samples: u64,
    /// The holes.
    pub gaps: Vec<Gap>,
    /// The sample that was heard at the end, and when that was.
    pub last: Option<(u64, SystemTime)>,
    /// How the source finished; the listener may have left before.
    pub finished: Result<(), Error>,
}

impl<'a> Player<'a> {
    /// A player whose first sound waits for `cushion`.
    pub fn new(codec: Codec, cushion: Duration, keep: &'a mut Keep<'a>) -> Self {
        Self {
            playout: Playout::new(cushion),
            decoder: Decoder::new(codec),
            keep,
            connected: None,
            first_sound: None,
            heard_samples: 0,
            finished: None,
        }
    }

    /// Plays until the source is done, the listener has heard `enough` or wants to leave. `progress` hears now and then
    /// how much sound there was and how many gaps.
    pub fn play(
        mut self,
        arrivals: &Arrivals,
        enough: Option<Duration>,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(u64, usize),
    ) -> Result<Heard, Error> {
        loop {
            self.sound_what_is_due(arrivals)?;
            progress(self.heard_samples, self.playout.gaps().len());
            let now = arrivals.since.elapsed();
            if self.is_over(now, enough)? || interrupt.is_raised() {
                return Ok(self.into_heard(now));
            }
            self.wait(arrivals, now);
        }
    }

    fn sound_what_is_due(&mut self, arrivals: &Arrivals) -> Result<(), Error> {
        while let Some(sound) = self.playout.pop(arrivals.since.elapsed()) {
            match sound {
                Sound::Silence(silence) => self.keep_silence(samples_in(silence))?,
                Sound::Packet(packet) => {
                    let samples = self.decoder.decode(&packet.bytes)?;
                    self.first_sound
                        .get_or_insert_with(|| arrivals.since.elapsed());
                    self.heard_samples += samples.len() as u64;
                    (self.keep)(samples)?;
                }
            }
        }
        Ok(())
    }

    fn keep_silence(&mut self, mut samples: u64) -> Result<(), Error> {
        while samples > 0 {
            let now = samples.min(throng_media::FRAME_LEN as u64);
            (self.keep)(&throng_media::SILENCE[..usize::try_from(now).unwrap_or_default()])?;
            samples -= now;
        }
        Ok(())
    }

    fn is_over(&self, now: Duration, enough: Option<Duration>) -> Result<bool, Error> {
        if let Some(started) = self.playout.started_at() {
            let all_played = self.finished.is_some() && self.playout.buffered(now).is_zero();
            return Ok(all_played || enough.is_some_and(|enough| now >= started + enough));
        }
        if self.finished.is_none() && now > NO_SOUND_AFTER {
            return Err(Error::NoSound {
                seconds: NO_SOUND_AFTER.as_secs(),
            });
        }
        Ok(self.finished.is_some())
    }

    /// Waits for the next packet, but not beyond the moment at which something is due to sound.
    fn wait(&mut self, arrivals: &Arrivals, now: Duration) {
        let due_in = self
            .playout
            .next_at()
            .map_or(TICK, |at| at.saturating_sub(now).min(TICK));
        if self.finished.is_some() || self.playout.buffered(now) > BUFFER_MAX {
            thread::sleep(due_in);
            return;
        }
        match arrivals.events.recv_timeout(due_in) {
            Ok(Event::Connected(at)) => {
                self.connected.get_or_insert(at);
            }
            Ok(Event::Packet(at, packet)) => {
                self.playout.push(at, packet.sample, packet.samples, packet);
            }
            Ok(Event::Finished(finished)) => self.finished = Some(finished),
            Err(RecvTimeoutError::Timeout) => {}
            // A source says how it finished before it goes; one that does not has panicked.
            Err(RecvTimeoutError::Disconnected) => self.finished = Some(Ok(())),
        }
    }

    fn into_heard(self, now: Duration) -> Heard {
        Heard {
            connected: self.connected,
            first_sound: self.first_sound,
            samples: self.heard_samples,
            gaps: self.playout.gaps().to_vec(),
            last: self
                .playout
                .position(now)
                .map(|sample| (sample, SystemTime::now())),
            finished: self.finished.unwrap_or(Ok(())),
        }
    }
}

/// How long a listener waits for the first sound: a hold of 12 s and the way there.
const NO_SOUND_AFTER: Duration = Duration::from_secs(15);
/// How often the player looks whether it should end.
const TICK: Duration = Duration::from_millis(50);
/// Sound that is taken ahead of time (a replay comes as fast as the line allows); beyond it the source waits.
const BUFFER_MAX: Duration = Duration::from_secs(20);
