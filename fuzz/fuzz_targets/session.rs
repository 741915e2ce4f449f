//! A whole session with its real peer, while the network and strangers do what they like: STUN, DTLS, SRTP and SRTCP
//! spoilt on their way, datagrams out of nowhere, hostile sound from who has the keys, patches, and time.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use throng_fuzz::{Script, VOICE};
use throng_stage::fuzzing::{Sender, Wire};

/// How many sound steps come first: none, into ICE, into DTLS, until sound flows.
const STEPS_BEFORE: [usize; 4] = [0, 8, 16, 120];
const ACTS_MAX: usize = 100;

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let mut wire = Wire::new();
    let steps = STEPS_BEFORE[usize::from(script.byte() % 4)];
    for _ in 0..steps {
        wire.step(|datagram| vec![(Sender::Caller, datagram.to_vec())]);
    }
    assert!(
        steps < 120 || wire.is_connected(),
        "nobody has disturbed it"
    );
    for _ in 0..ACTS_MAX {
        if script.is_over() {
            break;
        }
        match script.byte() % 8 {
            0..=2 => wire.step(|datagram| spoil(&mut script, datagram)),
            3 => {
                let sender = sender(script.byte());
                let length = usize::from(script.short() % 1_600);
                wire.deliver(sender, script.bytes(length));
            }
            4 => say(&mut script, &mut wire),
            5 => wire.wait(Duration::from_millis(u64::from(script.short() % 16_000))),
            6 => wire.knock(),
            _ => {
                let length = usize::from(script.byte());
                wire.patch(&String::from_utf8_lossy(script.bytes(length)));
            }
        }
    }
    wire.finish();
});

fn sender(choice: u8) -> Sender {
    [Sender::Caller, Sender::Roamed, Sender::Stranger][usize::from(choice % 3)]
}

/// What becomes of a datagram on its way. Strangers do not overhear: a copy from elsewhere is the caller's own.
fn spoil(script: &mut Script<'_>, datagram: &[u8]) -> Vec<(Sender, Vec<u8>)> {
    let mut bytes = datagram.to_vec();
    let sent = match script.byte() % 8 {
        0 => return Vec::new(),
        1 => return vec![(Sender::Caller, bytes.clone()), (Sender::Caller, bytes)],
        2 => return vec![(Sender::Roamed, bytes)],
        3 | 4 => {
            for _ in 0..=script.byte() % 4 {
                let at = usize::from(script.short()) % bytes.len();
                bytes[at] ^= script.byte();
            }
            bytes
        }
        5 => {
            bytes.truncate(usize::from(script.short()) % (bytes.len() + 1));
            bytes
        }
        6 => {
            let at = usize::from(script.short()) % bytes.len();
            let length = usize::from(script.byte());
            bytes.splice(at..at, script.bytes(length).iter().copied());
            bytes
        }
        _ => bytes,
    };
    vec![(Sender::Caller, sent)]
}

fn say(script: &mut Script<'_>, wire: &mut Wire) {
    let choice = script.byte();
    let (sequence, timestamp) = (u64::from(script.short()), script.long());
    let length = usize::from(script.byte()) * 4;
    let payload = match choice % 3 {
        0 => &VOICE[usize::from(choice / 3) % VOICE.len()],
        _ => script.bytes(length),
    };
    wire.say(choice % 2 == 1, sequence, timestamp, payload);
}
