//! The mixer's thread: a tick every 20 ms that never waits for disk, database or network.
//!
//! Packets and acts come in over one bounded queue; returns go to the stage, programme frames to the encoder. A tick
//! that comes late is caught up; what a stopped process has missed is left out and counted.

mod levels;
mod on_air;
pub(crate) mod talkback;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use throng_core::key::SeatNumber;
use throng_core::space::{Place, Space, State};
use throng_core::timeline::{FRAMES_PER_PART, PartIndex};
use throng_media::WideFrame;
use throng_media::hold::HoldLoop;
use throng_media::jitter::{Counters, SpeakerPacket};
use throng_media::mixer::{Ears, Mixer, Return, SeatId};
use throng_stage::{SessionId, Stage};
use tokio::sync::{oneshot, watch};

use self::levels::count;
pub(crate) use self::levels::{Levels, SeatLevel};
pub(crate) use self::on_air::OnAir;
use self::talkback::TalkbackLevel;
use super::dead_air::{Look, Watch};
use super::reception::Reception;
use super::routing::seat_key;
use super::tracks::Tracks;

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
    /// A talkback line is for these from now on.
    TalkTo { line: SeatId, ears: Ears },
    /// A speaker has muted himself, or no longer, as his page tells.
    OwnMute { seat: SeatId, muted: bool },
    /// The programme begins.
    Begin(Box<OnAir>),
    /// What is said from a frame on is to be heard from a part on.
    GoLive {
        said_from: u64,
        heard_from: PartIndex,
    },
    /// What each seat sends is kept, too.
    KeepTracks(Tracks),
    /// What is said and not heard yet is thrown away; answered with how many frames that were.
    Dump(oneshot::Sender<usize>),
    /// Another hold programme is to be heard.
    Hold(HoldLoop),
    /// The programme ends before a part.
    End(PartIndex),
    /// Everything ends now.
    Stop,
}

/// The mixer of one space.
#[derive(Clone)]
pub(crate) struct Mixing {
    inputs: SyncSender<Input>,
    levels: watch::Receiver<Levels>,
}

impl Mixing {
    /// Starts the thread. `epoch` is the instant at which the space's first sample was due. What the host sets of the stage
    /// is followed from frame to frame.
    pub(crate) fn start(
        space_number: u32,
        epoch: Instant,
        stage: Stage,
        mut space: watch::Receiver<Arc<Space>>,
    ) -> io::Result<Self> {
        let (inputs, queue) = sync_channel(QUEUE_INPUTS);
        let (levels, watched) = watch::channel(Levels::default());
        let known = Arc::clone(&space.borrow_and_update());
        let mut mixer = Mixer::of(known.sound.channels);
        mixer.set_levelling(known.sound.levelling);
        thread::Builder::new()
            .name("mixer".to_owned())
            .spawn(move || {
                ask_for_real_time();
                Ticker {
                    space_number,
                    epoch,
                    stage,
                    levels,
                    mixer,
                    sessions: BTreeMap::new(),
                    receptions: BTreeMap::new(),
                    ears: BTreeMap::new(),
                    own_mutes: BTreeSet::new(),
                    space,
                    known,
                    dead_air: Watch::default(),
                    on_air: None,
                    tracks: None,
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

    /// The same, look by look, until the mixer stops.
    pub(super) fn watch_levels(&self) -> watch::Receiver<Levels> {
        self.levels.clone()
    }

    /// Who is connected and how loud, and whether anybody is heard.
    pub(crate) fn levels(&self) -> Levels {
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

struct Ticker {
    space_number: u32,
    epoch: Instant,
    stage: Stage,
    levels: watch::Sender<Levels>,
    mixer: Mixer,
    /// The connection that each seat is heard from.
    sessions: BTreeMap<SeatId, SessionId>,
    /// How the packets of each arrive, and what was counted of them already.
    receptions: BTreeMap<SeatId, (Reception, Counters)>,
    /// Whom each talkback line is for; at most as many as there are lines.
    ears: BTreeMap<SeatId, Ears>,
    /// Who says that he has muted himself; of those who are connected.
    own_mutes: BTreeSet<SeatId>,
    space: watch::Receiver<Arc<Space>>,
    /// As it was at the last look.
    known: Arc<Space>,
    dead_air: Watch,
    on_air: Option<Box<OnAir>>,
    tracks: Option<Tracks>,
    frame: u64,
}

impl Ticker {
    fn run(mut self, queue: &Receiver<Input>) {
        loop {
            self.sleep_until_due();
            if !self.take_inputs(queue) {
                return;
            }
            self.follow_space();
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

    /// Does what the host has set meanwhile.
    fn follow_space(&mut self) {
        // Without its sender the space is being closed.
        if self.space.has_changed().unwrap_or(false) {
            self.known = Arc::clone(&self.space.borrow_and_update());
            self.mixer.set_levelling(self.known.sound.levelling);
            let seats: Vec<_> = self.sessions.keys().copied().collect();
            for seat in seats {
                self.set(seat);
            }
        }
    }

    fn set(&mut self, seat: SeatId) {
        let number = SeatNumber(seat.0);
        let setting = self.known.stage.seat(number);
        self.mixer.set_muted(seat, setting.muted);
        let place = self.known.stage.green_room.place(number);
        self.mixer.set_on_stage(seat, place == Place::Stage);
        #[allow(clippy::cast_precision_loss, reason = "a few dB")]
        self.mixer.set_gain(seat, setting.gain_db as f32);
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Join { seat, .. } | Input::Leave { seat, .. } | Input::Packet { seat, .. }
                if talkback::is_line(seat) =>
            {
                self.take_talkback(input);
            }
            Input::TalkTo { .. } => self.take_talkback(input),
            Input::Join { seat, session } => {
                self.sessions.insert(seat, session);
                self.receptions.remove(&seat);
                if self.mixer.join(seat).is_err() {
                    tracing::warn!(seat = seat.0, "the stage is full; a speaker is not mixed");
                }
                self.set(seat);
            }
            // What a replaced connection still says, or that it is gone now, concerns nobody.
            Input::Leave { seat, session } if self.sessions.get(&seat) == Some(&session) => {
                self.sessions.remove(&seat);
                self.receptions.remove(&seat);
                self.own_mutes.remove(&seat);
                self.mixer.leave(seat);
            }
            Input::OwnMute { seat, muted: true } if self.sessions.contains_key(&seat) => {
                self.own_mutes.insert(seat);
            }
            Input::OwnMute { seat, .. } => {
                self.own_mutes.remove(&seat);
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
            Input::Begin(on_air) => self.on_air = Some(on_air),
            Input::GoLive {
                said_from,
                heard_from,
            } => {
                if let Some(on_air) = &mut self.on_air {
                    on_air.go_live(said_from, heard_from);
                }
            }
            Input::KeepTracks(tracks) => {
                self.mixer.set_tracks(true);
                self.tracks = Some(tracks);
            }
            Input::Dump(reply) => {
                let frames = self.on_air.as_mut().map_or(0, |on_air| on_air.dump());
                // Who asked may have gone; it is done all the same.
                let _ = reply.send(frames);
            }
            Input::Hold(sound) => {
                if let Some(on_air) = &mut self.on_air {
                    on_air.change_hold(sound);
                }
            }
            Input::End(part) => {
                if let Some(on_air) = &mut self.on_air {
                    on_air.end(part);
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
                self.put_on_air(WideFrame::SILENCE);
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
        if let Some(tracks) = &self.tracks {
            tracks.push(self.frame, mixed.tracks);
        }
        self.put_on_air(mixed.stage);
    }

    fn tell_levels(&mut self) {
        let seats = self.mixer.seats().map(|seat| {
            let (reception, counted) = self.receptions.entry(seat.seat).or_default();
            count(counted, &seat.counters);
            *counted = seat.counters;
            let talking = seat.heard && !seat.muted;
            SeatLevel {
                seat: seat.seat.0,
                place: if seat.on_stage {
                    Place::Stage
                } else {
                    Place::GreenRoom
                },
                muted_by_host: seat.muted,
                muted_by_self: self.own_mutes.contains(&seat.seat) && !talking,
                level_dbov: seat.level_dbov,
                talking,
                delay_samples: seat.counters.delay_samples,
                trouble: reception.look(self.frame, seat.counters),
            }
        });
        let seats: Vec<_> = seats.collect();
        let is_live = self.is_live();
        let dead_air = self
            .dead_air
            .look(self.frame, is_live.then(|| Look::at(&seats)));
        let heard_at = self.frame + self.known.programme.delay_frames();
        let delay = self.on_air.as_ref().map(|on_air| on_air.standing());
        self.levels.send_replace(Levels {
            seats,
            dead_air,
            live_part: is_live.then_some(PartIndex(heard_at / FRAMES_PER_PART)),
            delay: delay.unwrap_or_default(),
            talkbacks: TalkbackLevel::all(&self.mixer),
        });
    }

    /// Whether listeners are to hear what is said on the stage in this frame, now or after the delay.
    fn is_live(&self) -> bool {
        let from = self
            .known
            .live_part
            .filter(|_| self.known.state == State::Live);
        let heard_at = self.frame + self.known.programme.delay_frames();
        from.is_some_and(|from| from.0 * FRAMES_PER_PART <= heard_at)
            && self
                .on_air
                .as_ref()
                .is_some_and(|on_air| on_air.has_begun(self.frame))
    }

    fn put_on_air(&mut self, stage: WideFrame) {
        if let Some(over) = self.on_air.take_if(|on_air| on_air.is_over(self.frame)) {
            let end = over.finish();
            self.mixer.set_tracks(false);
            if let Some(tracks) = self.tracks.take() {
                tracks.end(end);
            }
        }
        if let Some(on_air) = &mut self.on_air {
            on_air.put_out(self.frame, stage, self.known.programme.delay_frames());
        }
    }
}
