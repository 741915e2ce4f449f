//! A recording whose files were damaged in any way: opened or refused, never a panic, and never sound that was not
//! recorded. What was opened goes on: it takes the next part and is whole when it is opened again.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use throng_archive::fuzzing::FORM_BYTES;
use throng_archive::{Archive, Flags, READ_BYTES_MAX, Reader, Recording};
use throng_core::rendition::Rendition;
use throng_core::timeline::PartIndex;
use throng_fuzz::{Script, inits, sealed, small_part};

const PARTS: u64 = 3;
const FIRST: u64 = 40;
const ACTS_MAX: usize = 12;
/// The sealed forms of the journal: its header, then its records.
const HEADER_BYTES: usize = FORM_BYTES[0];
const RECORD_BYTES: usize = FORM_BYTES[1];

/// Name and bytes of every file of a sound recording; the journal is the first.
static FILES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let folder = folder();
    let mut archive =
        Archive::create(folder.path(), PartIndex(FIRST), &inits()).expect("a new folder");
    for index in FIRST..FIRST + PARTS {
        append(&mut archive, PartIndex(index)).expect("parts follow one another");
    }
    drop(archive);
    let media = Rendition::ALL.map(|rendition| format!("{rendition}.mp4"));
    let names = std::iter::once("journal".to_owned()).chain(media);
    names
        .map(|name| {
            (
                name.clone(),
                fs::read(folder.path().join(name)).expect("it was made"),
            )
        })
        .collect()
});

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let mut files = FILES.clone();
    let mut sealed = false;
    for _ in 0..ACTS_MAX {
        if script.is_over() {
            break;
        }
        sealed |= damage(&mut script, &mut files);
    }
    let folder = folder();
    for (name, bytes) in &files {
        fs::write(folder.path().join(name), bytes).expect("room for a few KB");
    }
    if let Ok(reader) = Reader::open_ended(folder.path()) {
        listen(&reader, sealed);
    }
    go_on(folder.path(), sealed);
});

/// One act of damage; says whether it forged a seal.
fn damage(script: &mut Script<'_>, files: &mut [(String, Vec<u8>)]) -> bool {
    let act = script.byte();
    let bytes = &mut files[usize::from(act >> 3) % files.len()].1;
    let at = usize::from(script.short()) % (bytes.len() + 1);
    match act % 6 {
        0 => {
            let length = usize::from(script.byte() % 16);
            let with = script.bytes(length);
            for (byte, with) in bytes.iter_mut().skip(at).zip(with) {
                *byte ^= with;
            }
        }
        1 => bytes.truncate(at),
        2 => {
            let length = usize::from(script.byte());
            bytes.extend(script.bytes(length));
        }
        3 => drop(bytes.splice(at..at, [0; 3])),
        4 => {
            let length = usize::from(script.byte());
            bytes.drain(at..(at + length).min(bytes.len()));
        }
        _ => {
            seal(&mut files[0].1);
            return true;
        }
    }
    false
}

/// Makes every form of the journal carry its right CRC, as no accident does.
fn seal(journal: &mut [u8]) {
    let (header, records) = journal.split_at_mut(journal.len().min(HEADER_BYTES));
    for form in std::iter::once(header).chain(records.chunks_mut(RECORD_BYTES)) {
        form.copy_from_slice(&sealed(form.to_vec()));
    }
}

/// Everything that a listener can ask of what is held.
fn listen(reader: &Reader, sealed: bool) {
    let (first, next) = (reader.first(), reader.next());
    for rendition in Rendition::ALL {
        for index in first.0..next.0 {
            let part = reader
                .part(rendition, PartIndex(index))
                .expect("it is held");
            let was = small_part(PartIndex(index));
            if !sealed {
                assert_eq!(
                    part.as_ref(),
                    Some(&was.packaged(rendition).cmaf),
                    "sound that was not recorded"
                );
            }
        }
        let Ok(recording) = Recording::new(reader.clone(), rendition, first, next) else {
            assert!(sealed, "parts that are held make a file");
            continue;
        };
        let (mut at, length) = (0, recording.len());
        while at < length {
            let Ok(piece) = recording.read(at..at + READ_BYTES_MAX) else {
                assert!(sealed, "every byte of the file can be read");
                break;
            };
            assert!(!piece.is_empty());
            at += piece.len() as u64;
        }
        let _ = recording.replay_segment(0);
    }
}

fn go_on(folder: &Path, sealed: bool) {
    let Ok((mut archive, found)) = Archive::open(folder, &inits()) else {
        return;
    };
    assert_eq!(found.first.0 + found.parts, found.next.0);
    assert_eq!(archive.next(), found.next);
    assert!(sealed || found.parts <= PARTS);
    listen(&archive.reader(), sealed);
    append(&mut archive, found.next).expect("a recording that was opened goes on");
    drop(archive);
    let (_, again) = Archive::open(folder, &inits()).expect("it was whole a moment ago");
    assert_eq!(
        (again.parts, again.dropped_bytes, again.dropped_records),
        (found.parts + 1, 0, 0)
    );
}

fn append(archive: &mut Archive, index: PartIndex) -> Result<(), throng_archive::ArchiveError> {
    archive.append(&small_part(index), 1_790_000_000_000, Flags::NONE)
}

/// In memory where there is such a place: thousands a second are made and flushed.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder for a moment")
}
