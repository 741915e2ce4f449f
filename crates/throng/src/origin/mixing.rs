//! The mixer's thread: a tick every 20 ms that never waits for disk, database or network.
//!
//! Packets and acts come in over one bounded queue; returns go to the stage, programme frames to the encoder. A tick
//! that comes late is caught up; what a stopped process has missed is left out and counted.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use throng_core::timeline::{FRAMES_PER_PART, PartIndex};
use throng_media::jitter::{Counters, SpeakerPacket};
use throng_media::mixer::{Mixer, Return, SeatId};
use throng_media::programme::Programme;
use throng_media::{Frame, SILENCE};
use throng_stage::{SessionId, Stage};
use tokio::sync::watch;

use super::encoding::Encoding;
use super::reception::{Reception, Trouble};
use super::routing::seat_key;

/// One tick.
const FRAME_MS: u64 = 20;
/// Packets and acts that wait for the next tick: 32 speakers at 50 packets a second for over a second.
const QUEUE_INPUTS: usize = 2_048;
/// A thread that is later than this (a stopped process, a suspended machine) leaves frames out instead of mixing
/// the past.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);
/// Levels are told ten times a second.
const LEVELS_EVERY_FRAMES: u64 = 5;

/// What reaches the mixer.
pub(crate) enum Input {
    /// A speaker's connection is up. It replaces an earlier one of the seat.
    Join { seat: SeatId, session: SessionId },
    /// A connection is gone.
    Leave { seat: SeatId, session: SessionId },
    /// A packet of a speaker.
    Packet {
        seat: SeatId,
        session: SessionId,
        packet: SpeakerPacket,
        arrived: Instant,
    },
    /// The programme begins at a part: hold, or the stage at once where it is resumed in mid-talk.
    Begin {
        first: PartIndex,
        programme: Box<Programme>,
        encoding: Encoding,
    },
    /// The stage is to be heard from a part on.
    GoLive(PartIndex),
    /// The programme ends before a part.
    End(PartIndex),
    /// Everything ends now.
    Stop,
}

/// One speaker as the desk shows him.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SeatLevel {
    pub(crate) seat: u32,
    pub(crate) muted: bool,
    pub(crate) level_dbov: f32,
    pub(crate) talking: bool,
    /// How long his sound waits for late packets, and for copies of lost ones.
    pub(crate) delay_samples: u32,
    pub(crate) trouble: Option<Trouble>,
}

/// The mixer of one space.
#[derive(Clone)]
pub(crate) struct Mixing {
    inputs: SyncSender<Input>,
    levels: watch::Receiver<Vec<SeatLevel>>,
}

impl Mixing {
    /// Starts the thread. `epoch` is the instant at which the space's first sample was due.
    pub(crate) fn start(space_number: u32, epoch: Instant, stage: Stage) -> io::Result<Self> {
        let (inputs, queue) = sync_channel(QUEUE_INPUTS);
        let (levels, watched) = watch::channel(Vec::new());
        thread::Builder::new()
            .name("mixer".to_owned())
            .spawn(move || {
                ask_for_real_time();
                Ticker {
                    space_number,
                    epoch,
                    stage,
                    levels,
                    mixer: Mixer::new(),
                    sessions: BTreeMap::new(),
                    receptions: BTreeMap::new(),
                    on_air: None,
                    frame: frame_at(epoch, Instant::now()),
                }
                .run(&queue);
            })?;
        Ok(Self {
            inputs,
            levels: watched,
        })
    }

    /// A door for packets and acts.
    pub(crate) fn inputs(&self) -> SyncSender<Input> {
        self.inputs.clone()
    }

    /// Who is connected and how loud.
    pub(crate) fn levels(&self) -> Vec<SeatLevel> {
        self.levels.borrow().clone()
    }
}

/// The tick should run before ordinary threads. Without the right to ask for it (`CAP_SYS_NICE`) it runs like them.
fn ask_for_real_time() {
    use thread_priority::{
        RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, unix,
    };
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    let lowest = ThreadPriority::Crossplatform(1_u8.try_into().expect("1 is a priority"));
    if unix::set_thread_priority_and_policy(unix::thread_native_id(), lowest, policy).is_err() {
        tracing::debug!("the mixer runs at ordinary priority");
    }
}

/// The frame that is being mixed at an instant.
fn frame_at(epoch: Instant, now: Instant) -> u64 {
    let elapsed = now.saturating_duration_since(epoch);
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) / FRAME_MS
}

/// The programme while it is on air.
struct OnAir {
    first_frame: u64,
    end: Option<PartIndex>,
    programme: Box<Programme>,
    encoding: Encoding,
}

struct Ticker {
    space_number: u32,
    epoch: Instant,
    stage: Stage,
    levels: watch::Sender<Vec<SeatLevel>>,
    mixer: Mixer,
    /// The connection that each seat is heard from.
    sessions: BTreeMap<SeatId, SessionId>,
    /// How the packets of each arrive, and what was counted of them already.
    receptions: BTreeMap<SeatId, (Reception, Counters)>,
    on_air: Option<OnAir>,
    frame: u64,
}

impl Ticker {
    fn run(mut self, queue: &Receiver<Input>) {
        loop {
            self.sleep_until_due();
            if !self.take_inputs(queue) {
                return;
            }
            self.leave_out_the_past();
            self.tick();
            self.frame += 1;
        }
    }

    fn due(&self) -> Instant {
        self.epoch + Duration::from_millis((self.frame + 1) * FRAME_MS)
    }

    fn sleep_until_due(&self) {
        let wait = self.due().saturating_duration_since(Instant::now());
        if wait.is_zero() {
            metrics::counter!("throng_mixer_late_ticks_total").increment(1);
        } else {
            thread::sleep(wait);
        }
    }

    /// Takes what waits; false when the mixer is to stop.
    fn take_inputs(&mut self, queue: &Receiver<Input>) -> bool {
        loop {
            match queue.try_recv() {
                Ok(Input::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
                Ok(input) => self.take(input),
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Join { seat, session } => {
                self.sessions.insert(seat, session);
                self.receptions.remove(&seat);
                if self.mixer.join(seat).is_err() {
                    tracing::warn!(seat = seat.0, "the stage is full; a speaker is not mixed");
                }
            }
            // What a replaced connection still says, or that it is gone now, concerns nobody.
            Input::Leave { seat, session } if self.sessions.get(&seat) == Some(&session) => {
                self.sessions.remove(&seat);
                self.receptions.remove(&seat);
                self.mixer.leave(seat);
            }
            Input::Packet {
                seat,
                session,
                packet,
                arrived,
            } if self.sessions.get(&seat) == Some(&session) => {
                self.mixer
                    .push(seat, arrived.saturating_duration_since(self.epoch), &packet);
            }
            Input::Leave { .. } | Input::Packet { .. } | Input::Stop => {}
            Input::Begin {
                first,
                programme,
                encoding,
            } => {
                let first_frame = first.0 * FRAMES_PER_PART;
                self.on_air = Some(OnAir {
                    first_frame,
                    end: None,
                    programme,
                    encoding,
                });
            }
            Input::GoLive(part) => {
                if let Some(on_air) = &mut self.on_air {
                    let asked = part.0 * FRAMES_PER_PART;
                    let frame = on_air.programme.go_live(asked);
                    if frame != asked {
                        tracing::warn!(
                            late = frame - asked,
                            "the cut to the talk came frames late"
                        );
                    }
                }
            }
            Input::End(part) => {
                if let Some(on_air) = &mut self.on_air {
                    on_air.end = Some(part);
                }
            }
        }
    }

    fn leave_out_the_past(&mut self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.due()) > CATCH_UP_MAX {
            let present = frame_at(self.epoch, now);
            let missed = present.saturating_sub(self.frame);
            metrics::counter!("throng_mixer_missed_frames_total").increment(missed);
            tracing::warn!(
                missed,
                "the mixer was stopped; silence takes the place of the frames it missed"
            );
            self.mixer.skip(u32::try_from(missed).unwrap_or(u32::MAX));
            // The hold programme keeps its place on the clock.
            for _ in 0..missed {
                self.put_on_air(&SILENCE);
                self.frame += 1;
            }
        }
    }

    fn tick(&mut self) {
        let now = self.due().saturating_duration_since(self.epoch);
        let mixed = self.mixer.tick(now);
        for Return {
            seat,
            packet,
            frames,
        } in mixed.returns
        {
            let first = self.frame + 1 - frames;
            let seat = seat_key(self.space_number, seat);
            self.stage.send_return(seat, first, packet);
        }
        if self.frame.is_multiple_of(LEVELS_EVERY_FRAMES) {
            self.tell_levels();
        }
        self.put_on_air(&mixed.stage);
    }

    fn tell_levels(&mut self) {
        let levels = self.mixer.seats().map(|seat| {
            let (reception, counted) = self.receptions.entry(seat.seat).or_default();
            count(counted, &seat.counters);
            *counted = seat.counters;
            SeatLevel {
                seat: seat.seat.0,
                muted: seat.muted,
                level_dbov: seat.level_dbov,
                talking: seat.heard && !seat.muted,
                delay_samples: seat.counters.delay_samples,
                trouble: reception.look(self.frame, seat.counters),
            }
        });
        self.levels.send_replace(levels.collect());
    }

    fn put_on_air(&mut self, stage: &Frame) {
        let Some(on_air) = &mut self.on_air else {
            return;
        };
        if on_air
            .end
            .is_some_and(|end| self.frame >= end.0 * FRAMES_PER_PART)
        {
            let ended = self.on_air.take().expect("it is on air");
            ended.encoding.end(ended.end.expect("it has an end"));
        } else if self.frame >= on_air.first_frame {
            let frame = on_air.programme.tick(stage);
            on_air.encoding.push(self.frame, &frame);
        }
    }
}

/// Adds what has happened to a speaker's packets since it was counted last.
fn count(before: &Counters, now: &Counters) {
    let add = |name: &'static str, count: fn(&Counters) -> u64| {
        metrics::counter!(name).increment(count(now) - count(before));
    };
    add("throng_speakers_packets_total", |counters| {
        counters.received
    });
    add("throng_speakers_packets_lost_total", |counters| {
        counters.lost
    });
    add("throng_speakers_packets_late_total", |counters| {
        counters.late
    });
    add("throng_speakers_packets_doubled_total", |counters| {
        counters.duplicate
    });
    add("throng_speakers_recovered_by_red_total", |counters| {
        counters.recovered_by_red
    });
    add("throng_speakers_recovered_by_fec_total", |counters| {
        counters.recovered_by_fec
    });
    add("throng_speakers_guessed_samples_total", |counters| {
        counters.concealed_samples
    });
}
