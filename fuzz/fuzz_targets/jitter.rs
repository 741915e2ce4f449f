//! The jitter buffer: any packets at any numbers, at any time that a clock may show, between ticks that may be late.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use throng_core::rendition::Channels;
use throng_fuzz::{Script, VOICE};
use throng_media::SILENCE;
use throng_media::jitter::{JitterBuffer, PacketKind, SpeakerPacket};

const TICK: Duration = Duration::from_millis(20);
/// The whole delay: 1 s is kept, and what waits is bounded by that.
const DELAY_MAX_SAMPLES: u32 = 48_000;
const ACTS_MAX: usize = 300;
const TICKS_MAX: u8 = 8;

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let mut buffer = JitterBuffer::of(Channels::Stereo);
    let mut now = Duration::from_secs(1);
    let (mut sequence, mut timestamp) = (script.short(), script.long());
    for _ in 0..ACTS_MAX {
        if script.is_over() {
            break;
        }
        match script.byte() % 8 {
            0 => {
                for _ in 0..script.byte() % TICKS_MAX {
                    tick(&mut buffer, &mut now);
                }
            }
            1 => {
                sequence = script.short();
                timestamp = script.long();
            }
            2 => {
                sequence = sequence.wrapping_add_signed(i16::from(script.byte().cast_signed()));
                timestamp = timestamp.wrapping_add_signed(i32::from(script.short().cast_signed()));
            }
            3 => buffer.skip(u32::from(script.byte())),
            4 => now += Duration::from_millis(u64::from(script.long())),
            5 => tick(&mut buffer, &mut now),
            act => {
                let (kind, bytes) = payload(&mut script, act);
                buffer.push(
                    now,
                    &SpeakerPacket {
                        sequence,
                        timestamp,
                        kind,
                        bytes,
                    },
                );
                sequence = sequence.wrapping_add(1);
                timestamp = timestamp.wrapping_add(960);
            }
        }
    }
});

fn tick(buffer: &mut JitterBuffer, now: &mut Duration) {
    let frame = buffer.pull_wide(*now);
    let side = frame.side.map_or(SILENCE, |side| *side);
    let mut ears = frame.mid.iter().zip(side);
    assert!(
        ears.all(|(mid, side)| mid.abs() + side.abs() <= 1.001),
        "sound within [-1, 1] in both ears"
    );
    assert!(buffer.counters().target_delay_samples <= DELAY_MAX_SAMPLES);
    *now += TICK;
}

/// A packet of the voice, alone or with copies, or anything.
fn payload(script: &mut Script<'_>, act: u8) -> (PacketKind, Bytes) {
    let choice = script.byte();
    if act == 6 {
        let length = usize::from(script.byte());
        let kind = if choice.is_multiple_of(2) {
            PacketKind::Opus
        } else {
            PacketKind::Red
        };
        return (kind, Bytes::copy_from_slice(script.bytes(length)));
    }
    let place = usize::from(choice) % VOICE.len();
    let Some(before) = place.checked_sub(1).map(|place| &VOICE[place]) else {
        return (PacketKind::Opus, VOICE[place].clone());
    };
    // RFC 2198, section 3: one copy, 960 samples back.
    let length = u32::try_from(before.len()).expect("an Opus packet is short") & 0x3ff;
    let header = 1 << 31 | 111 << 24 | 960 << 10 | length;
    let red = [&header.to_be_bytes()[..], &[111], before, &VOICE[place]].concat();
    (PacketKind::Red, red.into())
}
