//! What the recording of a space promises, with a disk that is well, away, or comes back.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use throng_archive::Flags;
use throng_core::rendition::Channels;
use throng_core::space::Space;

use super::*;
use crate::sample;

const FIRST: PartIndex = PartIndex(12);

/// A recording on a disk that takes nothing until it is told to.
struct World {
    folder: tempfile::TempDir,
    is_well: Arc<AtomicBool>,
    reader: Readable,
    standing: Arc<Standing>,
    silence: Arc<Silence>,
    recording: Recording,
}

impl World {
    fn new(is_well: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A folder is made below it, which a file in its place prevents.
        let (place, is_well) = (folder.path().join("1"), Arc::new(AtomicBool::new(is_well)));
        let (reader, standing, silence) = (
            Readable::default(),
            Arc::default(),
            Arc::new(Silence::new(Channels::Mono)),
        );
        let well = Arc::clone(&is_well);
        let (mut recording, tried) = Recording::start(Keeping {
            open: move || {
                let inits = throng_media::package::inits(Channels::Mono);
                let _ = fs::remove_file(&place);
                if !well.load(Ordering::SeqCst) {
                    fs::write(&place, "in the way").unwrap();
                }
                Archive::create(&place, FIRST, &inits)
            },
            reader: reader.clone(),
            standing: Arc::clone(&standing),
            silence: Arc::clone(&silence),
        })
        .unwrap();
        tried.blocking_recv().unwrap();
        recording.begin(FIRST);
        Self {
            folder,
            is_well,
            reader,
            standing,
            silence,
            recording,
        }
    }

    fn append(&mut self, part: u64) {
        self.recording
            .append(&Arc::new(self.silence.part(PartIndex(part))));
    }

    /// Ends it, and gives the flags of what was recorded.
    fn finish(self) -> (Vec<Flags>, Arc<Standing>) {
        self.recording.finish();
        let reader = self.reader.get().unwrap();
        let flags = (FIRST.0..reader.next().0)
            .map(|part| reader.record(PartIndex(part)).unwrap().unwrap().flags)
            .collect();
        drop(self.folder);
        (flags, self.standing)
    }
}

fn space() -> Space {
    sample::announced(sample::MOMENT)
}

#[test]
fn a_part_is_in_the_recording_before_it_goes_on_air() {
    let mut world = World::new(true);
    for part in 12..40 {
        world.append(part);
        let reader = world.reader.get().unwrap();
        assert_eq!(reader.next(), PartIndex(part + 1));
    }
    assert_eq!(world.standing.alarm(&space()), None);
    world.append(42);
    let (flags, standing) = world.finish();
    assert_eq!(flags.len(), 31, "what was missing is silence");
    assert_eq!(
        flags[27..],
        [Flags::NONE, Flags::GAP, Flags::GAP, Flags::NONE]
    );
    assert_eq!(standing.alarm(&space()), None);
}

#[test]
fn what_a_disk_did_not_take_is_recorded_when_it_is_well_again_and_the_host_is_told_meanwhile() {
    let mut world = World::new(false);
    for part in 12..32 {
        world.append(part);
    }
    let alarm = world.standing.alarm(&space()).unwrap();
    assert_eq!(
        (alarm.kind, alarm.since),
        ("recording", space().moment(FIRST))
    );
    assert!(world.reader.get().is_none());
    world.is_well.store(true, Ordering::SeqCst);
    let (flags, standing) = world.finish();
    assert_eq!(flags, [Flags::NONE; 20]);
    assert_eq!(standing.alarm(&space()), None);
}

#[test]
fn what_waits_is_bounded_and_what_is_dropped_is_a_marked_gap() {
    let mut world = World::new(false);
    let given = 2 * QUEUE_PARTS as u64;
    for part in FIRST.0..FIRST.0 + given {
        world.append(part);
    }
    world.is_well.store(true, Ordering::SeqCst);
    // The queue has room again once the archive is open.
    while world.reader.get().is_none() {
        thread::yield_now();
    }
    let last = FIRST.0 + given + 1;
    while world.reader.get().unwrap().next() <= PartIndex(last) {
        world
            .recording
            .append(&Arc::new(world.silence.part(PartIndex(last))));
    }
    let (flags, _) = world.finish();
    let kept = flags.iter().take_while(|flags| !flags.is_gap()).count();
    assert!(
        (QUEUE_PARTS..2 * QUEUE_PARTS).contains(&kept),
        "{kept} kept"
    );
    assert!(
        flags[kept..flags.len() - 1]
            .iter()
            .all(|flags| flags.is_gap())
    );
    assert_eq!(flags.len() as u64, given + 2);
}

#[test]
fn a_recording_that_is_given_up_is_not_begun_when_the_disk_is_well_again() {
    let mut world = World::new(false);
    world.append(12);
    world.standing.give_up();
    world.is_well.store(true, Ordering::SeqCst);
    world.recording.finish();
    assert!(world.reader.get().is_none());
    assert!(!world.folder.path().join("1").is_dir());
}

#[test]
fn a_recording_that_is_given_up_ends_though_the_disk_never_took_it() {
    let mut world = World::new(false);
    world.append(12);
    world.standing.give_up();
    world.recording.finish();
    assert!(world.reader.get().is_none());
}
