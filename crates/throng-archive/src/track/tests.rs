//! What a track is after whatever end, and what it never is.

use super::*;
use crate::sample;

/// The chunk of a place.
fn chunk(place: u64) -> Bytes {
    let sequence = u32::try_from(place + 1).unwrap();
    sample::chunk(
        sequence,
        place * PART_SAMPLES,
        &sample::noise(Rendition::O48, place),
    )
}

fn init() -> Bytes {
    sample::inits()[Rendition::O48.index()].clone()
}

fn written(dir: &Path, places: Range<u64>) -> TrackFile {
    let mut track = TrackFile::open(dir, 3, &init()).unwrap();
    for place in places {
        track.append(&chunk(place)).unwrap();
    }
    track
}

fn downloaded(dir: &Path) -> Vec<u8> {
    let reader = TrackReader::open(dir, 3).unwrap().unwrap();
    let pieces = (0..reader.len()).step_by(1_000);
    let pieces = pieces.flat_map(|from| reader.read(from..from + 1_000).unwrap());
    let bytes: Vec<u8> = pieces.collect();
    assert_eq!(bytes.len() as u64, reader.len());
    bytes
}

fn expected(places: u64) -> Vec<u8> {
    let head = mp4::with_duration(&init(), places * PART_SAMPLES).unwrap();
    head.into_iter()
        .chain((0..places).flat_map(chunk))
        .collect()
}

#[test]
fn a_track_is_its_chunks_with_a_duration_before_them_and_goes_on_after_a_kill() {
    let dir = sample::folder();
    drop(written(dir.path(), 0..20));
    assert_eq!(downloaded(dir.path()), expected(20));
    let again = written(dir.path(), 20..25);
    assert_eq!(again.next(), PartIndex(25));
    assert_eq!(downloaded(dir.path()), expected(25));
    assert_eq!(tracks_kept(dir.path()), [3]);
}

#[test]
fn what_a_crash_leaves_at_the_end_is_neither_played_nor_kept() {
    for torn in [&b"moo"[..], &[0; 900], &chunk(21), &chunk(20)[..500]] {
        let dir = sample::folder();
        drop(written(dir.path(), 0..20));
        let file = path(dir.path(), 3);
        let before = fs::read(&file).unwrap();
        fs::write(&file, [&before[..], torn].concat()).unwrap();
        assert_eq!(downloaded(dir.path()), expected(20));
        drop(written(dir.path(), 20..22));
        assert_eq!(downloaded(dir.path()), expected(22));
    }
}

/// Spoils the length of a part in the file, and gives what is there then.
fn spoil(dir: &Path, place: u64) -> Vec<u8> {
    let file = path(dir, 3);
    let mut bytes = fs::read(&file).unwrap();
    let before: usize = (0..place).map(|place| chunk(place).len()).sum();
    bytes[init().len() + before] = 0xff;
    fs::write(file, &bytes).unwrap();
    bytes
}

#[test]
fn a_track_that_was_spoilt_long_before_its_end_is_set_aside_and_another_begun() {
    let dir = sample::folder();
    drop(written(dir.path(), 0..40));
    let spoilt = spoil(dir.path(), 20);
    let track = written(dir.path(), 0..2);
    let aside = track.set_aside().unwrap();
    assert_eq!(fs::read(aside).unwrap(), spoilt, "not a byte is lost");
    assert_eq!(downloaded(dir.path()), expected(2));
    assert_eq!(tracks_kept(dir.path()), [3]);
    drop(track);
    assert!(written(dir.path(), 2..40).set_aside().is_none());
    let again = spoil(dir.path(), 1);
    assert!(TrackFile::open(dir.path(), 3, &init()).is_err());
    assert_eq!(fs::read(path(dir.path(), 3)).unwrap(), again);
    crate::remove(dir.path()).unwrap();
    assert!(!dir.path().exists(), "a removed recording leaves neither");
}

#[test]
fn what_may_not_have_been_on_the_disk_is_a_torn_end() {
    let dir = sample::folder();
    drop(written(dir.path(), 0..40));
    spoil(dir.path(), 40 - TRACK_UNSYNCED_PARTS_MAX as u64);
    let track = written(dir.path(), 28..30);
    assert!(track.set_aside().is_none());
    assert_eq!(downloaded(dir.path()), expected(30));
}

#[test]
fn an_init_cut_short_is_begun_anew_and_a_foreign_one_is_refused() {
    let dir = sample::folder();
    fs::create_dir_all(folder(dir.path())).unwrap();
    fs::write(path(dir.path(), 3), &init()[..9]).unwrap();
    assert!(TrackReader::open(dir.path(), 3).unwrap().is_none());
    drop(written(dir.path(), 0..2));
    assert_eq!(downloaded(dir.path()), expected(2));
    let other = sample::inits()[Rendition::O16.index()].clone();
    assert!(TrackFile::open(dir.path(), 3, &other).is_err());
}

#[test]
fn a_chunk_that_does_not_follow_is_refused() {
    let dir = sample::folder();
    let mut track = written(dir.path(), 0..2);
    for place in [0, 1, 3] {
        assert!(track.append(&chunk(place)).is_err());
    }
    track.append(&chunk(2)).unwrap();
}

#[test]
fn tags_differ_where_bytes_do() {
    let dir = sample::folder();
    let tag = || {
        TrackReader::open(dir.path(), 3)
            .unwrap()
            .unwrap()
            .etag()
            .to_owned()
    };
    let mut track = written(dir.path(), 0..2);
    let before = tag();
    assert_eq!(before, tag());
    track.append(&chunk(2)).unwrap();
    assert_ne!(before, tag());
}

#[test]
fn a_removed_recording_leaves_no_track() {
    let dir = sample::folder();
    let place = dir.path().join("1");
    drop(written(&place, 0..2));
    crate::remove(&place).unwrap();
    assert!(!place.exists());
}
