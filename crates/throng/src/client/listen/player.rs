//! The player: takes packets as they arrive, lets each sound when its time has come, and remembers how it went.

use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, SystemTime};

use throng_core::rendition::Codec;

use super::cmaf::Packet;
use super::decoder::Decoder;
use super::playout::{Gap, Playout, Sound, samples_in};
use super::queueing::Standing;
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
    queue: Option<Queue>,
    heard_samples: u64,
    /// How the source finished, once it has.
    finished: Option<Result<(), Error>>,
}

/// The first time that the house was full.
struct Queue {
    from: Duration,
    standing: Standing,
    until: Option<Duration>,
}

/// How it is going.
#[derive(Debug)]
pub enum Going<'a> {
    /// So many samples of sound were heard, with so many gaps.
    Heard {
        /// Samples.
        samples: u64,
        /// Gaps.
        gaps: usize,
    },
    /// We wait in the queue.
    Queued(&'a Standing),
}

/// How the listening went.
#[derive(Debug)]
pub struct Heard {
    /// From the start of the connect to the first answer.
    pub connected: Option<Duration>,
    /// From the start of the connect to the first decoded sound.
    pub first_sound: Option<Duration>,
    /// How long the house was full.
    pub queued: Option<Duration>,
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
            queue: None,
            heard_samples: 0,
            finished: None,
        }
    }

    /// Plays until the source is done, the listener has heard `enough`, has waited as long in a queue, or wants to leave.
    /// `progress` hears now and then how it is going.
    pub fn play(
        mut self,
        arrivals: &Arrivals,
        enough: Option<Duration>,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(Going<'_>),
    ) -> Result<Heard, Error> {
        loop {
            self.sound_what_is_due(arrivals)?;
            progress(self.going());
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

    fn going(&self) -> Going<'_> {
        match &self.queue {
            Some(queue) if queue.until.is_none() => Going::Queued(&queue.standing),
            _ => Going::Heard {
                samples: self.heard_samples,
                gaps: self.playout.gaps().len(),
            },
        }
    }

    fn is_over(&self, now: Duration, enough: Option<Duration>) -> Result<bool, Error> {
        if let Some(started) = self.playout.started_at() {
            let all_played = self.finished.is_some() && self.playout.buffered(now).is_zero();
            return Ok(all_played || enough.is_some_and(|enough| now >= started + enough));
        }
        let since = match &self.queue {
            None => Duration::ZERO,
            Some(Queue {
                until: Some(until), ..
            }) => *until,
            Some(queue) => {
                let waited = now.saturating_sub(queue.from);
                return match enough {
                    Some(enough) if waited >= enough => Err(Error::StillQueued {
                        seconds: waited.as_secs(),
                        standing: queue.standing.clone(),
                    }),
                    _ => Ok(self.finished.is_some()),
                };
            }
        };
        if self.finished.is_none() && now > since + NO_SOUND_AFTER {
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
            Ok(Event::Queued(at, standing)) => self.note_queue(at, standing),
            Ok(Event::Packet(at, packet)) => {
                self.playout.push(at, packet.sample, packet.samples, packet);
            }
            Ok(Event::Finished(finished)) => self.finished = Some(finished),
            Err(RecvTimeoutError::Timeout) => {}
            // A source says how it finished before it goes; one that does not has panicked.
            Err(RecvTimeoutError::Disconnected) => self.finished = Some(Ok(())),
        }
    }

    fn note_queue(&mut self, at: Duration, standing: Option<Standing>) {
        match (&mut self.queue, standing) {
            (None, Some(standing)) => {
                self.queue = Some(Queue {
                    from: at,
                    standing,
                    until: None,
                });
            }
            (Some(queue), Some(standing)) => {
                queue.standing = standing;
                queue.until = None;
            }
            (Some(queue), None) => queue.until = Some(at),
            (None, None) => {}
        }
    }

    fn into_heard(self, now: Duration) -> Heard {
        Heard {
            connected: self.connected,
            first_sound: self.first_sound,
            queued: self
                .queue
                .map(|queue| queue.until.unwrap_or(now).saturating_sub(queue.from)),
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
