//! A disk that fails in any way and order, held against a model of what it keeps.
//!
//! The files of the test are the page cache: what a process reads back, and what outlives its `kill -9`. Beneath them
//! lies the platter: what was flushed, and of the rest, after a power cut, any beginning of any write. A flush that
//! fails is as bad as Linux allows: what it was to write is on the platter or not, and no later flush writes it.

use std::mem;

use super::*;
use crate::sample::{chunk, noise};

/// What the disk does until something else is said.
#[derive(Clone, Copy, Debug, Default)]
enum Fault {
    #[default]
    Well,
    /// So many bytes, and no more.
    Full(usize),
    /// Of a hundred writes and flushes so many fail, a write after any number of bytes.
    Failing(u64),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Append(usize),
    Behind(usize),
    Sync,
    Disk(Fault),
    Kill,
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..5_usize).prop_map(Step::Append),
        3 => (1..20_usize).prop_map(Step::Behind),
        2 => Just(Step::Sync),
        2 => Just(Step::Disk(Fault::Well)),
        1 => (0..20_000_usize).prop_map(|room| Step::Disk(Fault::Full(room))),
        2 => (1..60_u64).prop_map(|percent| Step::Disk(Fault::Failing(percent))),
        1 => Just(Step::Kill),
        1 => Just(Step::PowerCut),
    ]
}

/// What is not on the platter yet.
#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

#[derive(Debug, Default)]
struct Platter {
    files: BTreeMap<PathBuf, Vec<u8>>,
    pending: BTreeMap<PathBuf, Vec<Change>>,
    fault: Fault,
    chance: u64,
}

impl Platter {
    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % end
    }

    fn fails(&mut self) -> bool {
        match self.fault {
            Fault::Failing(percent) => self.below(100) < percent,
            Fault::Full(_) | Fault::Well => false,
        }
    }

    /// How much of a write is taken.
    fn room(&mut self, len: usize) -> usize {
        if let Fault::Full(room) = &mut self.fault {
            let fits = len.min(*room);
            *room -= fits;
            fits
        } else if self.fails() {
            self.part_of(len)
        } else {
            len
        }
    }

    fn part_of(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64 + 1)).unwrap()
    }

    /// Puts down what waits: all of it, or what chance leaves.
    fn settle(&mut self, path: &Path, whole: bool) {
        for change in self.pending.remove(path).unwrap_or_default() {
            if !whole && self.below(2) == 0 {
                continue;
            }
            let (at, mut bytes) = match change {
                Change::Cut(len) => {
                    self.files.get_mut(path).unwrap().truncate(len);
                    continue;
                }
                Change::Write(at, bytes) => (at, bytes),
            };
            if !whole {
                bytes.truncate(self.part_of(bytes.len()));
            }
            let file = self.files.get_mut(path).unwrap();
            file.resize(file.len().max(at + bytes.len()), 0);
            file[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    /// What the next start finds.
    fn cut_power(&mut self) {
        for path in self.files.keys().cloned().collect::<Vec<_>>() {
            self.settle(&path, false);
            fs::write(&path, &self.files[&path]).unwrap();
        }
    }
}

#[derive(Debug)]
struct Cached {
    path: PathBuf,
    file: Arc<File>,
    platter: Arc<Mutex<Platter>>,
}

impl Cached {
    fn note(platter: &mut Platter, path: &Path, change: Change) {
        let pending = platter.pending.entry(path.to_owned());
        pending.or_default().push(change);
    }
}

impl Disk for Cached {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut platter = self.platter.lock().unwrap();
        let fits = platter.room(bytes.len());
        let at = usize::try_from(offset).unwrap();
        let change = Change::Write(at, bytes[..fits].to_vec());
        Self::note(&mut platter, &self.path, change);
        self.file.write_at(&bytes[..fits], offset)?;
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = self.platter.lock().unwrap();
        let fails = platter.fails();
        platter.settle(&self.path, !fails);
        if fails {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut platter = self.platter.lock().unwrap();
        let change = Change::Cut(usize::try_from(len).unwrap());
        Self::note(&mut platter, &self.path, change);
        self.file.truncate(len)
    }
}

/// A recording over such a disk, and what it was given: the part of a number sounds otherwise in each life.
struct World {
    folder: TempDir,
    platter: Arc<Mutex<Platter>>,
    archive: Option<Archive>,
    life: u64,
    taken: BTreeMap<u64, Part>,
}

impl World {
    fn new(chance: u64) -> Self {
        let folder = folder();
        drop(sample::archive(&folder, FIRST..FIRST));
        let files = (0..=RENDITION_COUNT).map(|file| path_of(folder.path(), file));
        let platter = Platter {
            files: files
                .map(|path| (path.clone(), fs::read(path).unwrap()))
                .collect(),
            chance: chance | 1,
            ..Platter::default()
        };
        let mut world = Self {
            folder,
            platter: Arc::new(Mutex::new(platter)),
            archive: None,
            life: 0,
            taken: BTreeMap::new(),
        };
        world.open();
        world
    }

    fn archive(&mut self) -> &mut Archive {
        self.archive.as_mut().unwrap()
    }

    /// Opens the folder, which a failing disk may refuse some times and a whole one never.
    fn open(&mut self) {
        let disk = |path: &Path, file: &Arc<File>| -> Box<dyn Disk> {
            let (path, file, platter) =
                (path.to_owned(), Arc::clone(file), Arc::clone(&self.platter));
            Box::new(Cached {
                path,
                file,
                platter,
            })
        };
        for attempt in 0_u8.. {
            match Archive::open_on(self.folder.path(), &inits(), &disk) {
                Ok((archive, _)) => {
                    self.archive = Some(archive);
                    break;
                }
                Err(error) => assert!(matches!(error, ArchiveError::Disk { .. }), "{error}"),
            }
            if attempt == 2 {
                self.platter.lock().unwrap().fault = Fault::Well;
            }
        }
        self.life += 1;
        let next = self.archive().next().0;
        self.taken.split_off(&next);
        self.assert_holds(next);
    }

    /// The process ends; what may be missing of what could be read is at most `lost`.
    fn end(&mut self, lost: u64, power: bool) {
        let archive = self.archive.take().unwrap();
        let (readable, next) = (archive.reader().next().0, archive.next().0);
        drop(archive);
        if power {
            self.platter.lock().unwrap().cut_power();
        }
        self.open();
        let found = self.archive().next().0;
        assert!(
            found + lost >= readable,
            "{readable} could be read, {found} is kept"
        );
        // A part that was refused may be whole all the same.
        assert!(found <= next + 1);
    }

    fn give(&mut self, count: usize, behind: bool) {
        for _ in 0..count {
            let index = self.archive().next().0;
            let part = told(index, self.life);
            // Kept even where it is refused: all of it may be there after a kill.
            self.taken.insert(index, part.clone());
            let taken = if behind {
                self.archive()
                    .append_behind(&part, wall(index), Flags::NONE)
            } else {
                self.archive().append(&part, wall(index), Flags::NONE)
            };
            let reader = self.archive().reader();
            if taken.is_ok() && !behind {
                assert_eq!(reader.next(), PartIndex(index + 1));
            }
            assert!(self.archive().unsynced.len() <= BEHIND_PARTS_MAX.max(UNSYNCED_PARTS_MAX));
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(count) => self.give(count, false),
            Step::Behind(count) => self.give(count, true),
            Step::Sync => {
                let synced = self.archive().sync().is_ok();
                let archive = self.archive();
                assert!(!synced || archive.reader().next() == archive.next());
            }
            Step::Disk(fault) => self.platter.lock().unwrap().fault = fault,
            Step::Kill => self.end(0, false),
            Step::PowerCut => self.end(UNSYNCED_PARTS_MAX as u64, true),
        }
        let readable = self.archive().reader().next().0;
        self.assert_holds(readable);
    }

    /// All that can be read is what was given, and nothing else can be.
    fn assert_holds(&mut self, next: u64) {
        let reader = self.archive().reader();
        assert_eq!(reader.next().0, next);
        for (&index, part) in self.taken.range(..next) {
            for rendition in Rendition::ALL {
                let held = reader.part(rendition, PartIndex(index)).unwrap().unwrap();
                assert!(
                    held == part.packaged(rendition).cmaf,
                    "part {index} of {rendition}"
                );
            }
        }
    }
}

fn told(index: u64, life: u64) -> Part {
    let mut part = part(index);
    for rendition in Rendition::ALL {
        let sound = noise(rendition, index + life * 100_000);
        let sequence = u32::try_from(index + 1).unwrap();
        part.renditions[rendition.index()].cmaf = chunk(sequence, index, &sound);
    }
    part
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Full, failing, torn and short, killed and without power: what could be read is there to within 0.96 s, and
    /// nothing that was never given is ever read.
    #[test]
    fn whatever_a_disk_does_what_could_be_read_is_kept(
        chance: u64, steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = World::new(chance);
        for step in steps {
            world.step(step);
        }
        let last = [Step::Disk(Fault::Well), Step::Append(5), Step::Sync, Step::PowerCut];
        for step in last {
            world.step(step);
        }
        drop(mem::take(&mut world.taken));
    }
}
