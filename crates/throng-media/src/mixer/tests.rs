//! Whole stages: Opus packets in, the mix and decoded returns out.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "numbers of a simulation, small or meant to wrap as on the wire"
)]

use core::f32::consts::TAU;

use super::*;
use crate::FRAME_LEN;
use crate::codec::{
    OpusDecode, OpusDecoder, OpusEncode, OpusEncoder, OpusSettings, opus_decoder, opus_encoder,
};
use crate::jitter::PacketKind;

/// A speaker of one pure tone, with a decoder for what he hears.
struct Speaker {
    seat: SeatId,
    hertz: f32,
    encoder: OpusEncoder,
    decoder: OpusDecoder,
    heard: Vec<f32>,
}

/// A stage in simulated time, on a perfect network.
struct Stage {
    mixer: Mixer,
    speakers: Vec<Speaker>,
    mix: Vec<f32>,
    frame: u64,
    /// Per tick, whether seats 0 and 1 got the same bytes, not merely equal ones.
    shared: Vec<bool>,
}

impl Stage {
    fn of(hertz: &[f32]) -> Self {
        let mut mixer = Mixer::new();
        let speakers = (0..).zip(hertz).map(|(seat, &hertz)| {
            mixer.join(SeatId(seat)).unwrap();
            let encoder = opus_encoder(OpusSettings {
                bit_rate: 64_000,
                ..OpusSettings::conversation()
            });
            Speaker {
                seat: SeatId(seat),
                hertz,
                encoder,
                decoder: opus_decoder(),
                heard: Vec::new(),
            }
        });
        let speakers = speakers.collect();
        Self {
            mixer,
            speakers,
            mix: Vec::new(),
            frame: 0,
            shared: Vec::new(),
        }
    }

    /// One frame, in which the speakers talk for whom `talks` says so.
    fn tick(&mut self, talks: impl Fn(u32) -> bool) {
        self.tick_beside(talks, 0);
    }

    /// The same, where so many hosts have a line to the stage.
    fn tick_beside(&mut self, talks: impl Fn(u32) -> bool, hosts: usize) {
        let now = Duration::from_millis(self.frame * 20);
        for speaker in &mut self.speakers {
            let amplitude = if talks(speaker.seat.0) { 0.2 } else { 0.0 };
            let sound = std::array::from_fn(|i| {
                let at = (self.frame * 960 + i as u64) % 48_000;
                (at as f32 / 48_000.0 * speaker.hertz * TAU).sin() * amplitude
            });
            let packet = SpeakerPacket {
                sequence: self.frame as u16,
                timestamp: self.frame as u32 * 960,
                kind: PacketKind::Opus,
                bytes: speaker.encoder.encode(&sound).unwrap(),
            };
            self.mixer.push(speaker.seat, now, &packet);
        }
        let mixed = self.mixer.tick(now);
        self.mix.extend(mixed.stage.mid);
        assert_eq!(
            mixed.returns.len(),
            self.speakers.len() + hosts,
            "a packet for every seat and line"
        );
        self.shared.push(
            mixed.returns.len() > 1
                && mixed.returns[0].packet.as_ptr() == mixed.returns[1].packet.as_ptr(),
        );
        for (speaker, Return { seat, packet, .. }) in self.speakers.iter_mut().zip(&mixed.returns) {
            assert_eq!(speaker.seat, *seat);
            speaker
                .heard
                .extend_from_slice(speaker.decoder.decode(packet).unwrap());
        }
        self.frame += 1;
    }

    /// Amplitude of a speaker's tone in the last second of a sound.
    fn amplitude(&self, sound: &[f32], speaker: usize) -> f32 {
        amplitude(&sound[sound.len() - 48_000..], self.speakers[speaker].hertz)
    }
}

fn amplitude(sound: &[f32], hertz: f32) -> f32 {
    let (mut re, mut im) = (0.0, 0.0);
    for (i, sample) in sound.iter().enumerate() {
        let angle = (i % 48_000) as f32 / 48_000.0 * hertz * TAU;
        re += sample * angle.cos();
        im += sample * angle.sin();
    }
    2.0 * re.hypot(im) / sound.len() as f32
}

#[test]
fn a_speaker_hears_all_others_at_unity_and_never_himself() {
    let mut stage = Stage::of(&[250.0, 410.0, 730.0, 1_130.0]);
    for _ in 0..150 {
        stage.tick(|seat| seat < 3);
    }
    for listener in 0..4 {
        for speaker in 0..3 {
            let heard = stage.amplitude(&stage.speakers[listener].heard, speaker);
            if listener == speaker {
                assert!(
                    heard < 0.002,
                    "40 dB below, the noise of the codec: {heard}"
                );
            } else {
                assert!(
                    (0.18..0.22).contains(&heard),
                    "seat {listener} hears {speaker} at {heard}"
                );
            }
        }
    }
    for speaker in 0..3 {
        let in_mix = stage.amplitude(&stage.mix, speaker);
        assert!(
            (0.19..0.21).contains(&in_mix),
            "the stage has everybody: {in_mix}"
        );
    }
}

#[test]
fn from_the_first_syllable_to_the_last_nobody_hears_himself() {
    // Alone on stage with a silent other: whatever seat 0 hears would be himself.
    let mut stage = Stage::of(&[310.0, 500.0]);
    for frame in 0..400 {
        stage.tick(|seat| seat == 0 && (frame / 40) % 2 == 0);
    }
    let loudest = stage.speakers[0]
        .heard
        .iter()
        .fold(0.0_f32, |loudest, sample| loudest.max(sample.abs()));
    assert!(loudest < 0.001, "{loudest}");
    assert!(
        stage.amplitude(&stage.speakers[1].heard, 0) > 0.05,
        "the other hears him"
    );
}

#[test]
fn who_is_silent_shares_one_encoding_and_who_talks_has_an_own_one() {
    let mut stage = Stage::of(&[300.0, 400.0, 500.0]);
    for frame in 0..200 {
        stage.tick(|seat| seat == 2 || seat == 0 && (50..60).contains(&frame));
    }
    assert!(stage.shared[..50].iter().all(|&shared| shared));
    assert!(
        stage.shared[60..110].iter().all(|&shared| !shared),
        "an own one, and for a second more"
    );
    assert!(
        stage.shared[150..].iter().all(|&shared| shared),
        "shared again"
    );
}

#[test]
fn the_change_between_shared_and_own_encoding_is_not_heard() {
    // Seat 2 sings throughout; seat 1 is silent; seat 0 says something now and then, and is changed over every time.
    let mut stage = Stage::of(&[350.0, 550.0, 440.0]);
    for frame in 0..1_000 {
        stage.tick(|seat| seat == 2 || seat == 0 && frame % 150 == 100);
    }
    let changes = stage
        .shared
        .windows(2)
        .filter(|pair| pair[0] != pair[1])
        .count();
    assert!(changes >= 10, "{changes}");
    // In every 20 ms the tone is there, and no step is higher than a tone of this amplitude makes.
    let heard = &stage.speakers[0].heard[48_000..];
    for (n, window) in heard.chunks_exact(48_000 / 44 * 2).enumerate() {
        let level = amplitude(window, 440.0);
        assert!((0.15..0.25).contains(&level), "{n}: {level}");
    }
    let step = heard
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .fold(0.0, f32::max);
    assert!(step < 0.2 * 440.0 * TAU / 48_000.0 * 1.5, "{step}");
}

#[test]
fn a_muted_seat_contributes_nothing() {
    let mut stage = Stage::of(&[300.0, 400.0]);
    stage.mixer.set_muted(SeatId(0), true);
    for _ in 0..150 {
        stage.tick(|_| true);
    }
    // What is left there is the coding noise of the other voice.
    assert!(stage.amplitude(&stage.mix, 0) < 1e-3);
    assert!(stage.amplitude(&stage.speakers[1].heard, 0) < 1e-3);
    let muted = stage.mixer.seats().next().unwrap();
    assert!(
        muted.muted && !muted.heard && muted.level_dbov > -20.0,
        "his meter still moves: {muted:?}"
    );
    stage.mixer.set_muted(SeatId(0), false);
    for _ in 0..100 {
        stage.tick(|_| true);
    }
    assert!(stage.amplitude(&stage.mix, 0) > 0.18);
}

#[test]
fn a_mute_is_complete_within_two_frames_and_makes_no_click() {
    let mut stage = Stage::of(&[300.0]);
    let ticks = |stage: &mut Stage, muted, count| {
        stage.mixer.set_muted(SeatId(0), muted);
        for _ in 0..count {
            stage.tick(|_| true);
        }
        stage.mix.len()
    };
    let muted_at = ticks(&mut stage, false, 100);
    let lifted_at = ticks(&mut stage, true, 20);
    ticks(&mut stage, false, 20);
    let silence = &stage.mix[muted_at + 2 * FRAME_LEN..lifted_at];
    assert!(silence.iter().all(|&sample| sample == 0.0));
    let steepest = steepest(&stage.mix[muted_at - FRAME_LEN..]);
    assert!(steepest < STEEPEST_OF_300_HZ, "{steepest}");
    let back = amplitude(&stage.mix[lifted_at + 9 * FRAME_LEN..], 300.0);
    assert!((back - 0.2).abs() < 0.02, "{back}");
}

#[test]
fn who_is_in_the_green_room_hears_the_stage_and_is_heard_by_nobody() {
    let mut stage = Stage::of(&[300.0, 410.0, 530.0]);
    let ticks = |stage: &mut Stage, on_stage| {
        stage.mixer.set_on_stage(SeatId(0), on_stage);
        for _ in 0..100 {
            stage.tick(|_| true);
        }
        stage.mix.len()
    };
    let moved_at = ticks(&mut stage, true);
    ticks(&mut stage, false);
    assert!(stage.amplitude(&stage.mix, 0) < 1e-3, "neither listeners");
    for speaker in &stage.speakers[1..] {
        assert!(stage.amplitude(&speaker.heard, 0) < 1e-2, "nor the stage");
    }
    for other in [1, 2] {
        let tone = stage.amplitude(&stage.speakers[0].heard, other);
        assert!((tone - 0.2).abs() < 0.02, "he hears {other}: {tone}");
    }
    let waiting = stage.mixer.seats().next().unwrap();
    assert!(!waiting.heard && !waiting.on_stage && waiting.level_dbov > -20.0);
    let gone = &stage.mix[moved_at + 2 * FRAME_LEN..moved_at + 2 * FRAME_LEN + 48_000];
    assert!(amplitude(gone, 300.0) < 1e-3, "within two frames");
    ticks(&mut stage, true);
    assert!(stage.amplitude(&stage.mix, 0) > 0.18, "he is back");
    let steepest = steepest(&stage.mix[moved_at - FRAME_LEN..moved_at + 2 * FRAME_LEN]);
    let all = STEEPEST_OF_300_HZ * (300.0 + 410.0 + 530.0) / 300.0;
    assert!(steepest < all, "without a click: {steepest}");
}

#[test]
fn thirteen_on_stage_each_hear_the_other_twelve_and_not_themselves() {
    let hertz: [f32; 13] = core::array::from_fn(|seat| 300.0 + 150.0 * seat as f32);
    let mut stage = Stage::of(&hertz);
    for seat in 0..13 {
        // Together below the knee of the returns, which would mix their tones.
        stage.mixer.set_gain(SeatId(seat), -14.0);
    }
    for _ in 0..120 {
        stage.tick(|_| true);
    }
    assert_eq!(stage.mixer.seats().filter(|seat| seat.heard).count(), 13);
    for listener in 0..13 {
        let heard = &stage.speakers[listener].heard;
        let tones: Vec<_> = (0..13).map(|of| stage.amplitude(heard, of)).collect();
        let softest_other = (0..13)
            .filter(|&of| of != listener)
            .map(|of| tones[of])
            .fold(f32::MAX, f32::min);
        assert!(
            softest_other > 0.02 && tones[listener] < softest_other / 3.0,
            "{listener}: {tones:?}"
        );
        let in_mix = stage.amplitude(&stage.mix, listener);
        assert!((in_mix - 0.04).abs() < 0.004, "{listener}: {in_mix}");
    }
}

#[test]
fn who_leaves_or_is_replaced_fades_within_a_frame() {
    for gain_db in [0.0, 12.0] {
        for replaced in [false, true] {
            let mut stage = Stage::of(&[300.0]);
            stage.mixer.set_gain(SeatId(0), gain_db);
            for _ in 0..50 {
                stage.tick(|_| true);
            }
            if replaced {
                stage.mixer.join(SeatId(0)).unwrap();
            } else {
                stage.mixer.leave(SeatId(0));
            }
            let fading = stage.mixer.tick(Duration::from_secs(1)).stage.mid;
            let after = stage.mixer.tick(Duration::from_millis(1_020)).stage.mid;
            assert!(after.iter().all(|&sample| sample == 0.0));
            stage.mix.extend(fading);
            stage.mix.extend(after);
            let steepest = steepest(&stage.mix[40 * FRAME_LEN..]);
            let factor = 10_f32.powf(gain_db / 20.0);
            assert!(steepest < STEEPEST_OF_300_HZ * factor, "{steepest}");
        }
    }
}

/// A tone of 300 Hz at 0.2, and half as much again for ramp and codec.
const STEEPEST_OF_300_HZ: f32 = 0.2 * 300.0 * TAU / 48_000.0 * 1.5;

fn steepest(sound: &[f32]) -> f32 {
    let steps = sound.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    steps.fold(0.0, f32::max)
}

#[test]
fn a_gain_is_heard_by_all_but_the_speaker_and_the_programme_stays_within_full_scale() {
    for (gain_db, factor) in [(-20.0, 0.1), (-6.0, 0.501), (0.0, 1.0), (12.0, 3.981)] {
        let mut stage = Stage::of(&[300.0, 410.0]);
        let mut programme = crate::programme::Programme::resume_live(Channels::Mono, 0);
        let mut loudest = 0.0_f32;
        for frame in 0..150 {
            if frame == 75 {
                stage.mixer.set_gain(SeatId(0), gain_db);
                stage.mixer.set_gain(SeatId(1), gain_db);
            }
            stage.tick(|_| true);
            let mixed: Frame = stage.mix[stage.mix.len() - FRAME_LEN..].try_into().unwrap();
            for sample in programme.tick(mixed.into()).mid {
                loudest = loudest.max(sample.abs());
            }
        }
        let expected = 0.2 * factor;
        for sound in [&stage.mix, &stage.speakers[1].heard] {
            let tone = amplitude(&sound[sound.len() - 48_000..], 300.0);
            assert!((tone / expected - 1.0).abs() < 0.1, "{gain_db}: {tone}");
        }
        assert!(loudest <= 1.0, "{gain_db}: {loudest}");
        let steepest = steepest(&stage.mix[48_000..]);
        let both = STEEPEST_OF_300_HZ * (300.0 + 410.0) / 300.0;
        assert!(steepest < both * factor.max(1.0), "{gain_db}: {steepest}");
        let level = stage.mixer.seats().next().unwrap().level_dbov;
        assert!((-18.0..-16.0).contains(&level), "his own: {level}");
    }
}

#[test]
fn a_full_stage_refuses_and_a_second_join_replaces_the_first() {
    let mut stage = Stage::of(&[300.0; MAX_SPEAKERS]);
    assert_eq!(stage.mixer.join(SeatId(99)), Err(StageFull));
    for _ in 0..20 {
        stage.tick(|seat| seat < 20);
    }
    assert_eq!(
        stage.mixer.seats().filter(|seat| seat.heard).count(),
        MAX_TALKING
    );
    assert_eq!(stage.mixer.join(SeatId(5)), Ok(()));
    assert_eq!(
        stage.mixer.seats().nth(5).unwrap().counters,
        Counters::default()
    );
    stage.mixer.leave(SeatId(5));
    assert_eq!(stage.mixer.join(SeatId(99)), Ok(()));
}

#[test]
fn who_sends_packets_of_60_ms_hears_such_packets_and_hears_the_others() {
    let mut mixer = Mixer::new();
    mixer.join(SeatId(0)).unwrap();
    mixer.join(SeatId(1)).unwrap();
    let mut usual = opus_encoder(OpusSettings::conversation());
    let mut lean = opus_encoder(OpusSettings::lean());
    let (mut decoder, mut heard) = (opus_decoder(), Vec::new());
    for frame in 0..300_u64 {
        let now = Duration::from_millis(frame * 20);
        let tone = |i: usize| {
            let at = (frame * 960 + i as u64) % 48_000;
            (at as f32 / 48_000.0 * 410.0 * TAU).sin() * 0.2
        };
        let packet = |sequence, timestamp: u64, bytes| SpeakerPacket {
            sequence,
            timestamp: timestamp as u32,
            kind: PacketKind::Opus,
            bytes,
        };
        let bytes = usual.encode(&std::array::from_fn(tone)).unwrap();
        mixer.push(SeatId(0), now, &packet(frame as u16, frame * 960, bytes));
        if frame % 3 == 2 {
            let bytes = lean.encode_long(&[0.0; 2_880]).unwrap();
            let timestamp = (frame - 2) * 960;
            mixer.push(SeatId(1), now, &packet(frame as u16 / 3, timestamp, bytes));
        }
        let mixed = mixer.tick(now);
        for part in mixed.returns.iter().filter(|part| part.seat == SeatId(1)) {
            let pcm = decoder.decode(&part.packet).unwrap();
            assert_eq!(pcm.len() as u64, part.frames * 960);
            if frame > 10 {
                assert_eq!(part.frames, 3);
                heard.extend_from_slice(pcm);
            }
        }
    }
    assert!(
        heard.len() >= 285 * 960,
        "as long as it lasted: {}",
        heard.len()
    );
    let tone = amplitude(&heard[heard.len() - 48_000..], 410.0);
    assert!((tone - 0.2).abs() < 0.02, "{tone}");
}

/// What a stage of so many channels hears of a seat that sends a tone in the left ear alone, and of one that sends the same in
/// both; and what a third hears of them.
fn left_and_middle(channels: Channels) -> (Vec<WideFrame>, Vec<f32>) {
    let mut mixer = Mixer::of(channels);
    let mut encoders = [Channels::Stereo, Channels::Mono]
        .map(|channels| opus_encoder(OpusSettings::conversation().of(channels)));
    for seat in 0..3 {
        mixer.join(SeatId(seat)).unwrap();
    }
    let (mut decoder, mut stage, mut heard) = (opus_decoder(), Vec::new(), Vec::new());
    for frame in 0..150_u64 {
        let now = Duration::from_millis(frame * 20);
        let tone = |hertz: f32| {
            move |i: usize| {
                let at = (frame * 960 + i as u64) % 48_000;
                (at as f32 / 48_000.0 * hertz * TAU).sin() * 0.2
            }
        };
        let left: Frame = std::array::from_fn(tone(410.0));
        let half = left.map(|sample| sample / 2.0);
        let packets = [
            encoders[0].encode_wide(&half, &half).unwrap(),
            encoders[1]
                .encode(&std::array::from_fn(tone(930.0)))
                .unwrap(),
        ];
        for (seat, bytes) in (0..).zip(packets) {
            let packet = SpeakerPacket {
                sequence: frame as u16,
                timestamp: frame as u32 * 960,
                kind: PacketKind::Opus,
                bytes,
            };
            mixer.push(SeatId(seat), now, &packet);
        }
        let mixed = mixer.tick(now);
        heard.extend_from_slice(decoder.decode(&mixed.returns[2].packet).unwrap());
        stage.push(mixed.stage);
    }
    (stage, heard)
}

#[test]
fn in_stereo_a_seat_is_heard_where_it_sends_and_who_sends_one_channel_is_in_the_middle() {
    let (stage, heard) = left_and_middle(Channels::Stereo);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for frame in &stage[100..] {
        let side = frame.side.as_deref().expect("somebody sends two channels");
        left.extend(frame.mid.iter().zip(side).map(|(mid, side)| mid + side));
        right.extend(frame.mid.iter().zip(side).map(|(mid, side)| mid - side));
    }
    assert!((amplitude(&left, 410.0) - 0.2).abs() < 0.03);
    assert!(amplitude(&right, 410.0) < 0.02);
    for ear in [&left, &right] {
        assert!((amplitude(ear, 930.0) - 0.2).abs() < 0.03);
    }
    let returned = &heard[heard.len() - 48_000..];
    assert!(
        (amplitude(returned, 410.0) - 0.1).abs() < 0.02,
        "returns have one channel"
    );
    assert!((amplitude(returned, 930.0) - 0.2).abs() < 0.03);
}

#[test]
fn in_mono_two_channels_are_one() {
    let (stage, _) = left_and_middle(Channels::Mono);
    assert!(stage.iter().all(|frame| frame.side.is_none()));
    let mix: Vec<f32> = stage[100..].iter().flat_map(|frame| frame.mid).collect();
    assert!((amplitude(&mix, 410.0) - 0.1).abs() < 0.02);
}

#[test]
fn a_mixer_may_live_on_a_thread_of_its_own() {
    const fn sent<T: Send>() {}
    const { sent::<Mixer>() };
}

#[test]
fn an_empty_stage_is_silence_for_nobody() {
    let mixed = Mixer::new().tick(Duration::ZERO);
    assert_eq!((mixed.stage, mixed.returns.len()), (WideFrame::SILENCE, 0));
}

/// A host with a tone of his own, who talks to the stage off air.
struct Host {
    encoder: OpusEncoder,
    line: SeatId,
}

impl Host {
    const HERTZ: f32 = 1_930.0;

    fn of(stage: &mut Stage, ears: Ears) -> Self {
        let line = SeatId(1_000);
        stage.mixer.open_talkback(line, ears);
        Self {
            encoder: opus_encoder(OpusSettings::conversation()),
            line,
        }
    }

    /// Says a frame; the tick that follows is his.
    fn say(&mut self, stage: &mut Stage) {
        let sound = std::array::from_fn(|i| {
            let at = (stage.frame * 960 + i as u64) % 48_000;
            (at as f32 / 48_000.0 * Self::HERTZ * TAU).sin() * 0.2
        });
        let packet = SpeakerPacket {
            sequence: stage.frame as u16,
            timestamp: stage.frame as u32 * 960,
            kind: PacketKind::Opus,
            bytes: self.encoder.encode(&sound).unwrap(),
        };
        let now = Duration::from_millis(stage.frame * 20);
        stage.mixer.push_talkback(self.line, now, &packet);
    }
}

/// Two seconds of a stage on which seat 0 talks, with a host who talks to somebody, or without.
fn talked_to(ears: Option<Ears>) -> Stage {
    let mut stage = Stage::of(&[250.0, 410.0, 730.0]);
    let mut host = ears.map(|ears| Host::of(&mut stage, ears));
    for _ in 0..120 {
        if let Some(host) = &mut host {
            host.say(&mut stage);
        }
        stage.tick_beside(|seat| seat == 0, usize::from(host.is_some()));
    }
    stage
}

#[test]
fn talkback_is_off_air_to_the_last_bit_whomever_it_is_for() {
    let plain = talked_to(None);
    for ears in [Ears::All, Ears::Seat(SeatId(0)), Ears::Seat(SeatId(1))] {
        assert_eq!(talked_to(Some(ears)).mix, plain.mix, "{ears:?}");
    }
}

#[test]
fn who_is_talked_to_hears_it_over_the_others_who_are_turned_down() {
    for (ears, hearing) in [
        (Ears::All, vec![0, 1, 2]),
        (Ears::Seat(SeatId(0)), vec![0]),
        (Ears::Seat(SeatId(1)), vec![1]),
    ] {
        let stage = talked_to(Some(ears));
        for seat in 0..3 {
            let heard = &stage.speakers[seat].heard;
            let host = amplitude(&heard[heard.len() - 48_000..], Host::HERTZ);
            let talker = stage.amplitude(heard, 0);
            let is_meant = hearing.contains(&seat);
            assert_eq!(host > 0.15, is_meant, "{ears:?}: seat {seat} hears {host}");
            assert!(is_meant || host < 0.002, "{ears:?}: seat {seat}: {host}");
            match (seat, is_meant) {
                (0, _) => assert!(talker < 0.002, "never himself: {talker}"),
                (_, true) => assert!((0.03..0.07).contains(&talker), "12 dB down: {talker}"),
                (_, false) => assert!((0.17..0.23).contains(&talker), "as ever: {talker}"),
            }
        }
    }
}

#[test]
fn a_fifth_line_is_not_opened_and_a_closed_one_is_silent() {
    let mut mixer = Mixer::new();
    for line in 1_000..1_005 {
        mixer.open_talkback(SeatId(line), Ears::All);
    }
    assert_eq!(mixer.talkbacks().count(), MAX_TALKBACKS);
    let answered = mixer.tick(Duration::ZERO).returns;
    assert_eq!(
        answered.len(),
        MAX_TALKBACKS,
        "each hears that its line is up"
    );
    for line in 1_000..1_005 {
        mixer.close_talkback(SeatId(line));
    }
    assert!(mixer.tick(Duration::from_millis(20)).returns.is_empty());
}
