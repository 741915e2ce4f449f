//! What a host finds who wants each speaker alone.

use std::path::Path;

use throng_archive::TrackReader;
use throng_core::rendition::Channels;
use throng_media::codec::{OpusDecode, opus_decoder};
use throng_media::rendering::TRACK_RENDITION;
use throng_media::{FRAME_LEN, Frame, package};

use super::*;

const LIVE: PartIndex = PartIndex(100);

fn keeping(folder: &Path) -> Keeping {
    Keeping {
        folder: folder.to_owned(),
        live: LIVE,
        channels: Channels::Mono,
        init: package::init(TRACK_RENDITION, Channels::Mono, None),
        silence: Arc::new(Silence::new(Channels::Mono)),
        kept: KeptTracks::default(),
    }
}

/// A tone that is another for each seat.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a tone"
)]
fn tone(seat: u32, frame: u64) -> Box<WideFrame> {
    let step = f64::from(seat) * 300.0 / 48_000.0 * core::f64::consts::TAU;
    let frame: Frame =
        std::array::from_fn(|i| (((frame * 960 + i as u64) as f64 * step).sin() * 0.2) as f32);
    Box::new(frame.into())
}

/// Parts of a recording, counted from go-live, in which seats talk.
fn talk(tracks: &Tracks, parts: std::ops::Range<u64>, seats: &[u32]) {
    for frame in parts.start * 16..parts.end * 16 {
        let sounds = seats.iter().map(|&seat| (SeatId(seat), tone(seat, frame)));
        let mut input = Input {
            number: LIVE.0 * 16 + frame,
            sounds: sounds.collect(),
        };
        // The mixer would leave it out; here all of it is to be heard.
        while let Err(std::sync::mpsc::TrySendError::Full(back)) = tracks.inputs.try_send(input) {
            input = back;
            thread::yield_now();
        }
    }
}

/// Whether each part of a seat's track sounds.
fn sounding(folder: &Path, seat: u32) -> Vec<bool> {
    let reader = TrackReader::open(folder, seat).unwrap().unwrap();
    let file = (0..reader.len()).step_by(4_096);
    let file: Vec<u8> = file
        .flat_map(|from| reader.read(from..from + 4_096).unwrap())
        .collect();
    // The `mehd` with the duration has 20 bytes.
    let mut at = package::init(TRACK_RENDITION, Channels::Mono, None).len() + 20;
    let size = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let mut decoder = opus_decoder();
    let mut sounding = Vec::new();
    while at < file.len() {
        let moof = size(at);
        let end = at + moof + size(at + moof);
        let packets = package::packets(&Bytes::copy_from_slice(&file[at..end])).unwrap();
        let samples = packets
            .iter()
            .flat_map(|packet| decoder.decode(packet).unwrap().to_vec());
        sounding.push(samples.skip(FRAME_LEN).any(|sample| sample.abs() > 0.1));
        at = end;
    }
    sounding
}

fn ended(tracks: Tracks, done: oneshot::Receiver<()>, parts: u64) {
    tracks.end(PartIndex(LIVE.0 + parts));
    done.blocking_recv().unwrap();
}

/// Of so many parts those are true.
fn parts(of: usize, are: impl Fn(usize) -> bool) -> Vec<bool> {
    (0..of).map(are).collect()
}

#[test]
fn every_seat_that_was_heard_has_a_track_as_long_as_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    let keeping = keeping(folder.path());
    let kept = keeping.kept.clone();
    let (tracks, done) = Tracks::start(keeping).unwrap();
    talk(&tracks, 0..4, &[]);
    talk(&tracks, 4..9, &[1]);
    talk(&tracks, 12..15, &[1, 2]);
    ended(tracks, done, 20);
    assert_eq!(
        sounding(folder.path(), 1),
        parts(20, |part| (4..9).contains(&part)
            || (12..15).contains(&part))
    );
    assert_eq!(
        sounding(folder.path(), 2),
        parts(20, |part| (12..15).contains(&part))
    );
    assert!(kept.has(1) && kept.has(2) && !kept.has(3));
    assert!(TrackReader::open(folder.path(), 3).unwrap().is_none());
}

#[test]
fn after_a_restart_tracks_go_on_in_step_though_a_seat_stays_silent() {
    let folder = tempfile::tempdir().unwrap();
    let (tracks, done) = Tracks::start(keeping(folder.path())).unwrap();
    talk(&tracks, 0..5, &[1, 2]);
    // As a process that stops: nothing says where the end is.
    drop(tracks);
    done.blocking_recv().unwrap();
    assert!(sounding(folder.path(), 1).len() <= 5);

    let (tracks, done) = Tracks::start(keeping(folder.path())).unwrap();
    talk(&tracks, 10..13, &[2]);
    ended(tracks, done, 16);
    let [one, two] = [1, 2].map(|seat| sounding(folder.path(), seat));
    assert_eq!((one.len(), two.len()), (16, 16));
    assert!(one[..4].iter().all(|&sounds| sounds) && !one[5..].contains(&true));
    assert_eq!(two[10..], parts(6, |part| part < 3));
}

#[test]
fn what_a_disk_did_not_take_is_silence_and_nothing_is_shifted() {
    let folder = tempfile::tempdir().unwrap();
    // A file in the place of the folder of tracks.
    let way = folder.path().join("tracks");
    std::fs::write(&way, "in the way").unwrap();
    let mut keeper = Keeper::new(keeping(folder.path()));
    let mut take = |parts: std::ops::Range<u64>| {
        for frame in parts.start * 16..parts.end * 16 {
            keeper.take(frame, &[(SeatId(1), tone(1, frame))]);
        }
    };
    take(0..4);
    std::fs::remove_file(&way).unwrap();
    take(4..8);
    keeper.finish(Some(PartIndex(LIVE.0 + 8)));
    let sounding = sounding(folder.path(), 1);
    assert_eq!(sounding.len(), 8);
    assert_eq!((sounding[0], sounding[7]), (false, true), "{sounding:?}");
}

#[test]
fn the_mixer_waits_for_nobody() {
    let (inputs, _nobody_takes) = sync_channel(QUEUE_FRAMES);
    let tracks = Tracks {
        inputs,
        first_frame: LIVE.0 * 16,
        end: Arc::default(),
    };
    for frame in 0..10 * QUEUE_FRAMES as u64 {
        tracks.push(LIVE.0 * 16 + frame, vec![(SeatId(1), tone(1, frame))]);
    }
    tracks.end(LIVE.next());
}
