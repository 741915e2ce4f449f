//! What a recording keeps, whatever happens to the disk beneath it.

mod faults;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::sync::Mutex;

use proptest::prelude::*;
use tempfile::TempDir;
use throng_core::timeline::PartIndex;

use super::*;
use crate::CRASH_REACH_PARTS;
use crate::disk::Disk;
use crate::journal::{HEADER_LEN, RECORD_LEN};
use crate::sample::{self, append, folder, inits, part, wall};

const FIRST: u64 = 100;

#[test]
fn what_was_appended_is_read_back_at_once_and_after_reopening() {
    let folder = folder();
    let archive = sample::archive(&folder, FIRST..FIRST + 30);
    assert_holds(&archive.reader(), FIRST + 30);
    drop(archive);
    assert_holds(&Reader::open_ended(folder.path()).unwrap(), FIRST + 30);
    let (archive, recovery) = Archive::open(folder.path(), &inits()).unwrap();
    let (first, next) = (PartIndex(FIRST), PartIndex(FIRST + 30));
    assert_eq!(
        recovery,
        Recovery {
            parts: 30,
            first,
            next,
            dropped_records: 0,
            dropped_bytes: 0
        }
    );
    assert_holds(&archive.reader(), FIRST + 30);
}

#[test]
fn the_files_are_inits_and_chunks_and_nothing_else() {
    let folder = folder();
    sample::archive(&folder, 5..9);
    for rendition in Rendition::ALL {
        let chunks = (5..9).flat_map(|index| part(index).packaged(rendition).cmaf.to_vec());
        let expected: Vec<u8> = inits()[rendition.index()]
            .iter()
            .copied()
            .chain(chunks)
            .collect();
        assert_eq!(
            fs::read(media_path(folder.path(), rendition)).unwrap(),
            expected
        );
    }
}

#[test]
fn a_part_that_does_not_follow_or_is_not_a_chunk_is_refused() {
    let folder = folder();
    let mut archive = sample::archive(&folder, FIRST..FIRST + 2);
    let error = archive
        .append(&part(FIRST + 3), 0, Flags::NONE)
        .unwrap_err();
    assert!(matches!(
        error,
        ArchiveError::NotNext {
            expected: PartIndex(102),
            offered: PartIndex(103)
        }
    ));
    for bytes in [
        vec![],
        vec![0; 40],
        vec![0; PART_BYTES_MAX + 1],
        part(102).renditions[1].cmaf[..90].to_vec(),
    ] {
        let mut broken = part(FIRST + 2);
        broken.renditions[1].cmaf = bytes.into();
        let error = archive.append(&broken, 0, Flags::NONE).unwrap_err();
        assert!(
            matches!(
                error,
                ArchiveError::Malformed {
                    rendition: Rendition::O24,
                    ..
                }
            ),
            "{error}"
        );
    }
    append(&mut archive, FIRST + 2);
}

#[test]
fn a_gap_is_marked_in_the_journal() {
    let folder = folder();
    let mut archive = sample::archive(&folder, FIRST..FIRST);
    archive.append(&part(FIRST), -1, Flags::GAP).unwrap();
    let record = archive.reader().record(PartIndex(FIRST)).unwrap().unwrap();
    assert!(record.flags.is_gap());
    assert_eq!(record.wall_unix_ms, -1);
}

#[test]
fn a_folder_is_begun_once_and_continued_only_with_its_own_inits_and_format() {
    let folder = folder();
    drop(sample::archive(&folder, FIRST..FIRST + 3));
    let again = Archive::create(folder.path(), PartIndex(0), &inits()).unwrap_err();
    assert!(matches!(again, ArchiveError::Exists(_)), "{again}");

    let mut others = inits();
    others[3] = others[4].clone();
    let other = Archive::open(folder.path(), &others).unwrap_err();
    assert!(
        matches!(other, ArchiveError::OtherInit(Rendition::A64)),
        "{other}"
    );

    edit(&journal_path(folder.path()), |bytes| bytes[8] = 9);
    let newer = Archive::open(folder.path(), &inits()).unwrap_err();
    assert!(
        newer
            .to_string()
            .contains("format 9, this program reads format 1"),
        "{newer}"
    );
    let missing = Reader::open_ended(&folder.path().join("nowhere")).unwrap_err();
    assert!(matches!(missing, ArchiveError::Missing(_)), "{missing}");
}

#[test]
fn a_recording_that_was_never_begun_whole_is_begun_anew() {
    let folder = folder();
    fs::write(media_path(folder.path(), Rendition::A64), &inits()[3][..50]).unwrap();
    fs::write(new_journal_path(folder.path()), b"half").unwrap();
    let unbegun = Archive::open(folder.path(), &inits()).unwrap_err();
    assert!(matches!(unbegun, ArchiveError::Missing(_)), "{unbegun}");
    let archive = sample::archive(&folder, FIRST..FIRST + 2);
    assert_holds(&archive.reader(), FIRST + 2);
}

#[test]
fn a_recording_that_lost_its_journal_is_not_overwritten() {
    let folder = folder();
    drop(sample::archive(&folder, FIRST..FIRST + 2));
    fs::remove_file(journal_path(folder.path())).unwrap();
    let before = contents(&folder);
    let error = Archive::create(folder.path(), PartIndex(0), &inits()).unwrap_err();
    assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
    assert_eq!(contents(&folder), before);
}

#[test]
fn damage_farther_back_than_a_crash_reaches_is_refused_and_nothing_is_touched() {
    let parts = CRASH_REACH_PARTS + 40;
    // The file, where in it, and whether a bit flips there or all that follows is gone.
    let in_record = HEADER_LEN + 10 * RECORD_LEN;
    let damages = [
        (5, in_record, false),
        (5, 30, false),
        (2, 8_000, true),
        (4, 20, false),
    ];
    for (file, at, gone) in damages {
        let folder = folder();
        drop(sample::archive(&folder, 0..parts));
        edit(&path_of(folder.path(), file), |bytes| {
            bytes[at] ^= 1;
            bytes.truncate(if gone { at } else { bytes.len() });
        });
        let before = contents(&folder);
        let error = Archive::open(folder.path(), &inits()).unwrap_err();
        assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
        assert_eq!(contents(&folder), before);
    }
}

#[test]
fn removal_takes_the_recording_and_leaves_what_others_put_there() {
    let folder = folder();
    drop(sample::archive(&folder, FIRST..FIRST + 2));
    fs::write(folder.path().join("notes.txt"), "keep").unwrap();
    remove(folder.path()).unwrap();
    assert_eq!(
        contents(&folder).into_keys().collect::<Vec<_>>(),
        ["notes.txt"]
    );
    fs::remove_file(folder.path().join("notes.txt")).unwrap();
    remove(folder.path()).unwrap();
    assert!(!folder.path().exists());
    remove(folder.path()).unwrap();
}

#[test]
fn readers_see_whole_parts_while_the_writer_goes_on() {
    let folder = folder();
    let mut archive = sample::archive(&folder, 0..0);
    let reader = archive.reader();
    std::thread::scope(|threads| {
        let seen = threads.spawn(move || {
            let mut seen = 0;
            while seen < 200 {
                let next = reader.next().0;
                if next > seen {
                    assert_part(&reader, next - 1);
                    seen = next;
                }
            }
        });
        for index in 0..200 {
            append(&mut archive, index);
        }
        seen.join().unwrap();
    });
}

#[test]
fn what_the_disk_gives_back_otherwise_than_it_was_given_is_not_played() {
    let folder = folder();
    let reader = sample::archive(&folder, FIRST..FIRST + 30).reader();
    let spoilt = FIRST + 13;
    let record = reader.record(PartIndex(spoilt)).unwrap().unwrap();
    let extent = &record.extents[Rendition::O48.index()];
    let at = usize::try_from(extent.end - 1).unwrap();
    edit(&media_path(folder.path(), Rendition::O48), |bytes| {
        bytes[at] ^= 1;
    });
    let part = |index| reader.part(Rendition::O48, PartIndex(index));
    let error = part(spoilt).unwrap_err();
    assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
    assert!(part(spoilt - 1).is_ok() && part(spoilt + 1).is_ok());

    let (from, to) = (PartIndex(FIRST), PartIndex(FIRST + 30));
    let sound = crate::Recording::new(reader.clone(), Rendition::O24, from, to).unwrap();
    sound.read(0..sound.len()).unwrap();
    assert_eq!(reader.unsound_parts(), 0);
    let recording = crate::Recording::new(reader.clone(), Rendition::O48, from, to).unwrap();
    let second = recording.replay_segment(1).unwrap().unwrap();
    let before = reader.bytes(Rendition::O48, PartIndex(FIRST + 12), PartIndex(spoilt));
    let in_segment = usize::try_from(before.unwrap()).unwrap();
    let free = &second[in_segment..in_segment + extent.len as usize];
    assert_eq!(free[..4], extent.len.to_be_bytes(), "ISO/IEC 14496-12, 4.2");
    assert_eq!(&free[4..8], b"free", "ISO/IEC 14496-12, 8.1.2");
    assert!(free[8..].iter().all(|&byte| byte == 0));
    let whole = recording.read(0..recording.len()).unwrap();
    assert_eq!(
        whole.len() as u64,
        recording.len(),
        "every byte has its place"
    );
    assert!(whole.ends_with(&recording.replay_segment(2).unwrap().unwrap()));
    assert_eq!(reader.unsound_parts(), 2);
}

/// What a disk under test refuses: it has so much room, and it flushes or does not.
#[derive(Debug, Default)]
struct Faults {
    room: Option<usize>,
    flush_fails: bool,
    /// Bytes written since the last flush, lost if it fails, as Linux may do it.
    unflushed: Vec<(PathBuf, u64, usize)>,
}

#[derive(Debug)]
struct FaultyDisk {
    path: PathBuf,
    file: Arc<File>,
    faults: Arc<Mutex<Faults>>,
}

impl Disk for FaultyDisk {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut faults = self.faults.lock().unwrap();
        let fits = faults
            .room
            .map_or(bytes.len(), |room| room.min(bytes.len()));
        faults.room = faults.room.map(|room| room - fits);
        faults.unflushed.push((self.path.clone(), offset, fits));
        self.file.write_at(&bytes[..fits], offset)?;
        if fits < bytes.len() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut faults = self.faults.lock().unwrap();
        let failed = faults.flush_fails;
        for (path, offset, len) in faults
            .unflushed
            .extract_if(.., |(path, ..)| *path == self.path)
        {
            assert_eq!(path, self.path);
            if failed && offset + len as u64 <= self.file.metadata()?.len() {
                self.file.write_at(&vec![0; len], offset)?;
            }
        }
        if failed {
            Err(io::Error::other("the disk is gone"))
        } else {
            Ok(())
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
}

fn with_faults(archive: &mut Archive) -> Arc<Mutex<Faults>> {
    let faults = Arc::new(Mutex::new(Faults::default()));
    let files = Arc::clone(&archive.files);
    let disks = files.media.iter().chain([&files.journal]);
    for (output, file) in archive
        .media
        .iter_mut()
        .chain([&mut archive.journal])
        .zip(disks)
    {
        let (path, file, faults) = (output.path.clone(), Arc::clone(file), Arc::clone(&faults));
        output.disk = Box::new(FaultyDisk { path, file, faults });
    }
    faults
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The disk is full after any byte of a part: the part is not in the recording, neither for readers nor for who
    /// opens the folder then, and the recording goes on once there is room.
    #[test]
    fn a_full_disk_takes_no_half_part(taken in 0..8_u64, room in 0..9_000_usize, killed: bool) {
        let folder = folder();
        let mut archive = sample::archive(&folder, FIRST..FIRST + taken);
        let faults = with_faults(&mut archive);
        faults.lock().unwrap().room = Some(room);
        let mut next = FIRST + taken;
        while archive.append(&part(next), wall(next), Flags::NONE).is_ok() {
            next += 1;
        }
        assert_holds(&archive.reader(), next);
        if killed {
            drop(archive);
            archive = Archive::open(folder.path(), &inits()).unwrap().0;
        } else {
            prop_assert!(archive.append(&part(next), wall(next), Flags::NONE).is_err());
            faults.lock().unwrap().room = None;
            archive.sync().unwrap();
            for file in 0..=RENDITION_COUNT {
                let len = fs::metadata(path_of(folder.path(), file)).unwrap().len();
                prop_assert_eq!(Some(len), part_ends(&archive, file).pop());
            }
        }
        let resumed = archive.next().0;
        prop_assert_eq!(resumed, next);
        for index in resumed..resumed + 5 {
            append(&mut archive, index);
        }
        drop(archive);
        let (archive, recovery) = Archive::open(folder.path(), &inits()).unwrap();
        prop_assert_eq!(recovery.dropped_bytes, 0);
        assert_holds(&archive.reader(), resumed + 5);
    }

    /// A flush that fails may cost the unflushed pages (as on Linux): they are written again, and no part that was
    /// taken is missing afterwards.
    #[test]
    fn a_failed_flush_costs_nothing_once_the_disk_is_back(taken in 0..8_u64, tries in 1..4_u32) {
        let folder = folder();
        let mut archive = sample::archive(&folder, FIRST..FIRST);
        let faults = with_faults(&mut archive);
        for index in FIRST..FIRST + taken {
            append(&mut archive, index);
        }
        faults.lock().unwrap().flush_fails = true;
        for _ in 0..tries {
            prop_assert_eq!(archive.sync().is_err(), !archive.unsynced.is_empty());
        }
        faults.lock().unwrap().flush_fails = false;
        for index in FIRST + taken..FIRST + taken + 4 {
            append(&mut archive, index);
        }
        assert_holds(&archive.reader(), FIRST + taken + 4);
    }

    /// A power cut keeps what was flushed, and of the rest any length of any file, true bytes or zeros.
    #[test]
    fn a_power_cut_costs_at_most_what_was_not_yet_on_the_disk(
        parts in 0..24_u64, synced: bool, cuts: [(u16, bool); RENDITION_COUNT + 1],
    ) {
        let folder = folder();
        let mut archive = sample::archive(&folder, FIRST..FIRST + parts);
        if synced {
            archive.sync().unwrap();
        }
        let durable = FIRST + parts - archive.unsynced.len() as u64;
        prop_assert!(archive.unsynced.len() <= UNSYNCED_PARTS_MAX);
        cut_power(&archive, PartIndex(durable), &cuts);
        drop(archive);

        let (mut archive, recovery) = Archive::open(folder.path(), &inits()).unwrap();
        let next = recovery.next.0;
        prop_assert!((durable..=FIRST + parts).contains(&next), "{recovery:?}");
        assert_holds(&archive.reader(), next);
        for index in next..next + 4 {
            append(&mut archive, index);
        }
        drop(archive);
        let (archive, recovery) = Archive::open(folder.path(), &inits()).unwrap();
        prop_assert_eq!((recovery.next.0, recovery.dropped_bytes), (next + 4, 0));
        assert_holds(&archive.reader(), next + 4);
    }

    /// Whatever a byte or an end is changed to, what is recovered is a row of true parts up to the change; a spoilt
    /// head is refused.
    #[test]
    fn any_damage_leaves_the_parts_before_it(
        parts in 1..40_u64, file in 0..=RENDITION_COUNT, place: u32, change in 0..3_u8,
    ) {
        let folder = folder();
        let archive = sample::archive(&folder, FIRST..FIRST + parts);
        let ends = part_ends(&archive, file);
        drop(archive);
        let path = path_of(folder.path(), file);
        let at = place as usize % fs::read(&path).unwrap().len();
        edit(&path, |bytes| match change {
            0 => bytes[at] ^= 0x55,
            1 => bytes.truncate(at),
            _ => bytes.extend(vec![0x55; at]),
        });
        let opened = Archive::open(folder.path(), &inits());
        if change < 2 && (at as u64) < ends[0] {
            prop_assert!(opened.is_err());
            return Ok(());
        }
        let (mut archive, recovery) = opened.unwrap();
        let sound = if change < 2 { ends[1..].iter().filter(|&&end| end <= at as u64).count() as u64 } else { parts };
        prop_assert_eq!(recovery.next.0, FIRST + sound);
        assert_holds(&archive.reader(), FIRST + sound);
        append(&mut archive, FIRST + sound);
        drop(archive);
        assert_holds(&Reader::open_ended(folder.path()).unwrap(), FIRST + sound + 1);
    }
}

fn assert_holds(reader: &Reader, next: u64) {
    assert_eq!(reader.next().0, next);
    for index in reader.first().0..next {
        assert_part(reader, index);
    }
    assert_eq!(reader.part(Rendition::O48, PartIndex(next)).unwrap(), None);
    assert_eq!(reader.record(PartIndex(next)).unwrap(), None);
}

fn assert_part(reader: &Reader, index: u64) {
    let part = part(index);
    let record = reader.record(PartIndex(index)).unwrap().unwrap();
    for rendition in Rendition::ALL {
        let held = reader.part(rendition, PartIndex(index)).unwrap().unwrap();
        assert_eq!(
            held,
            part.packaged(rendition).cmaf,
            "part {index} of {rendition}"
        );
        assert_eq!(
            <[u8; 32]>::from(Sha256::digest(&held)),
            record.extents[rendition.index()].sha256
        );
    }
    assert_eq!(record.wall_unix_ms, wall(index));
}

/// The renditions' files, then the journal.
fn path_of(dir: &Path, file: usize) -> PathBuf {
    Rendition::ALL.get(file).map_or_else(
        || journal_path(dir),
        |&rendition| media_path(dir, rendition),
    )
}

/// Where the head of a file ends, and then each part.
fn part_ends(archive: &Archive, file: usize) -> Vec<u64> {
    let files = &archive.files;
    let parts = files.first.0..archive.next().0;
    if file == RENDITION_COUNT {
        return (parts.start..=parts.end)
            .map(|part| Header::record_offset(files.first, PartIndex(part)))
            .collect();
    }
    let end = |part| files.record(PartIndex(part)).unwrap().extents[file].end;
    [files.inits[file].len() as u64]
        .into_iter()
        .chain(parts.map(end))
        .collect()
}

fn cut_power(archive: &Archive, durable: PartIndex, cuts: &[(u16, bool); RENDITION_COUNT + 1]) {
    for (file, &(cut, zeros)) in cuts.iter().enumerate() {
        let path = path_of(&archive.files.dir, file);
        let kept =
            part_ends(archive, file)[usize::try_from(durable.0 - archive.files.first.0).unwrap()];
        let full = fs::metadata(&path).unwrap().len();
        let disk = OpenOptions::new().write(true).open(&path).unwrap();
        disk.set_len(kept + (full - kept) * u64::from(cut) / u64::from(u16::MAX))
            .unwrap();
        if zeros {
            disk.set_len(full).unwrap();
        }
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn contents(folder: &TempDir) -> BTreeMap<OsString, Vec<u8>> {
    let entries = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap()))
        .collect()
}
