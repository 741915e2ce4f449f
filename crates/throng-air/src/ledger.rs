//! The ledger of the doors: what came, what became of it, and how much audio went out.
//!
//! Each door keeps two accounts that balance at every moment: what arrived was admitted, refused, failed or is pending;
//! what was admitted is closed or held. *Pending* and *held* are what is left over, so that a gap shows as a balance
//! that cannot be struck instead of being smoothed away. Accounts are plain sums: those of shards, workers and seconds
//! add up.

use std::mem;
use std::ops::{AddAssign, Sub};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A way in, as a listener meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Segments, parts, `init.mp4`, recordings.
    Audio,
    /// A connection, until it has asked for something: what it asks for is the business of the other doors.
    Connection,
    /// Pages, `state.json`, and every path that is nothing else.
    Page,
    /// Playlists.
    Playlist,
    /// The endless answers, `live.*`.
    Stream,
}

/// How many doors there are.
pub const DOOR_COUNT: usize = 5;

impl Door {
    /// Every door; `ALL[door.index()] == door`.
    pub const ALL: [Self; DOOR_COUNT] = [
        Self::Audio,
        Self::Connection,
        Self::Page,
        Self::Playlist,
        Self::Stream,
    ];

    /// Place in [`Door::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in metrics and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Connection => "connection",
            Self::Page => "page",
            Self::Playlist => "playlist",
            Self::Stream => "stream",
        }
    }

    /// The door that a path leads to.
    pub fn of(path: &str) -> Self {
        let file = path.rsplit('/').next().unwrap_or_default();
        let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
        match (file, extension) {
            ("live.mp4" | "live.webm" | "live.aac", _) => Self::Stream,
            (_, "m3u8") => Self::Playlist,
            (_, "m4s" | "mp4" | "m4a") => Self::Audio,
            _ => Self::Page,
        }
    }
}

/// Why somebody was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nothing has this name, or not yet, or not any more (`404`).
    Absent,
    /// Not now: too many, not ready, or the origin is away (`503`).
    Busy,
    /// He went before he was answered, or before he had asked.
    Left,
    /// The request cannot be understood or granted (other `4xx`).
    Malformed,
    /// The space was cancelled (`410`).
    Over,
    /// He said nothing in time, or not all of it.
    Silent,
}

/// How many reasons to refuse there are.
pub const REFUSED_COUNT: usize = 6;

impl Refused {
    /// Every reason, by its place.
    pub const ALL: [Self; REFUSED_COUNT] = [
        Self::Absent,
        Self::Busy,
        Self::Left,
        Self::Malformed,
        Self::Over,
        Self::Silent,
    ];

    /// The name in metrics and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Busy => "busy",
            Self::Left => "left",
            Self::Malformed => "malformed",
            Self::Over => "over",
            Self::Silent => "silent",
        }
    }
}

/// Why an admission came to its close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// All was delivered: the answer or the programme had its end.
    Ended,
    /// The listener went away.
    Left,
    /// We cut it: the space was deleted, or the process ends.
    Stopped,
}

/// How many reasons to close there are.
pub const CLOSED_COUNT: usize = 3;

impl Closed {
    /// Every reason, by its place.
    pub const ALL: [Self; CLOSED_COUNT] = [Self::Ended, Self::Left, Self::Stopped];

    /// The name in metrics and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Left => "left",
            Self::Stopped => "stopped",
        }
    }
}

/// The account of one door: sums since it was opened, or of one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Requests that came.
    pub arrived: u64,
    /// Requests that are answered with what they asked for.
    pub admitted: u64,
    /// Requests that we failed: no answer, or one that says that it is our fault.
    pub failed: u64,
    /// Requests refused, by the place of the reason.
    pub refused: [u64; REFUSED_COUNT],
    /// Admissions that came to their close, by the place of the reason.
    pub closed: [u64; CLOSED_COUNT],
    /// Samples of audio that were delivered, whatever the rendition.
    pub delivered_samples: u64,
}

impl Account {
    /// A request came.
    pub fn arrive(&mut self) {
        self.arrived += 1;
    }

    /// It is answered with what it asked for.
    pub fn admit(&mut self) {
        self.admitted += 1;
    }

    /// It is refused.
    pub fn refuse(&mut self, reason: Refused) {
        self.refused[reason as usize] += 1;
    }

    /// We failed it.
    pub fn fail(&mut self) {
        self.failed += 1;
    }

    /// An admission came to its close.
    pub fn close(&mut self, reason: Closed) {
        self.closed[reason as usize] += 1;
    }

    /// Audio was delivered.
    pub fn deliver(&mut self, samples: u64) {
        self.delivered_samples += samples;
    }

    /// What arrived and is not decided yet; `None` where more was decided than arrived, which is a gap in the books.
    pub fn pending(&self) -> Option<u64> {
        let decided = self.admitted + self.failed + self.refused.iter().sum::<u64>();
        self.arrived.checked_sub(decided)
    }

    /// What was admitted and goes on; `None` where more was closed than admitted.
    pub fn held(&self) -> Option<u64> {
        self.admitted.checked_sub(self.closed.iter().sum())
    }
}

impl AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        self.arrived += other.arrived;
        self.admitted += other.admitted;
        self.failed += other.failed;
        self.delivered_samples += other.delivered_samples;
        add_each(&mut self.refused, other.refused);
        add_each(&mut self.closed, other.closed);
    }
}

/// What came since an earlier state of the same account.
impl Sub for Account {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        let since = |now: u64, then: u64| now.saturating_sub(then);
        Self {
            arrived: since(self.arrived, earlier.arrived),
            admitted: since(self.admitted, earlier.admitted),
            failed: since(self.failed, earlier.failed),
            refused: std::array::from_fn(|at| since(self.refused[at], earlier.refused[at])),
            closed: std::array::from_fn(|at| since(self.closed[at], earlier.closed[at])),
            delivered_samples: since(self.delivered_samples, earlier.delivered_samples),
        }
    }
}

fn add_each<const LENGTH: usize>(sums: &mut [u64; LENGTH], more: [u64; LENGTH]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

/// The accounts of all doors, by [`Door::index`].
pub type Accounts = [Account; DOOR_COUNT];

/// Adds the accounts of one to those of another.
pub(crate) fn add(sums: &mut Accounts, more: &Accounts) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += *more;
    }
}

/// The doors of one process.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: Mutex<Accounts>,
}

impl Ledger {
    /// Writes into the account of a door.
    pub fn write(&self, door: Door, change: impl FnOnce(&mut Account)) {
        change(&mut self.lock()[door.index()]);
    }

    /// Takes over what a shard has counted for itself; each part of it is whole, so that the sums balance at any time.
    pub(crate) fn settle(&self, counted: &mut Accounts) {
        let counted = mem::take(counted);
        if counted != Accounts::default() {
            add(&mut self.lock(), &counted);
        }
    }

    /// All accounts at one moment.
    pub fn accounts(&self) -> Accounts {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        // A panic in another thread left the sums whole: each change is one step.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_one_door() {
        for (path, door) in [
            ("/", Door::Page),
            ("/s/talk", Door::Page),
            ("/s/talk.m3u8/state.json", Door::Page),
            ("/s/talk/live.webm", Door::Stream),
            ("/s/talk/recording.mp4", Door::Audio),
            ("/s/talk/hls/o48/media.m3u8", Door::Playlist),
            ("/s/talk/hls/o48/7.3.m4s", Door::Audio),
        ] {
            assert_eq!(Door::of(path), door, "{path}");
        }
        assert!(
            Door::ALL
                .iter()
                .enumerate()
                .all(|(place, door)| door.index() == place)
        );
    }

    #[test]
    fn what_is_left_over_is_pending_or_held_and_a_gap_is_shown() {
        let mut account = Account::default();
        for _ in 0..5 {
            account.arrive();
        }
        account.admit();
        account.admit();
        account.refuse(Refused::Busy);
        account.fail();
        account.close(Closed::Left);
        assert_eq!((account.pending(), account.held()), (Some(1), Some(1)));
        account.close(Closed::Ended);
        account.close(Closed::Ended);
        assert_eq!(account.held(), None, "more closed than admitted");
        account.refuse(Refused::Absent);
        account.refuse(Refused::Absent);
        assert_eq!(account.pending(), None, "more decided than arrived");
    }

    #[test]
    fn seconds_add_up_to_the_whole() {
        let (mut whole, mut seconds, mut sum) =
            (Account::default(), Vec::new(), Account::default());
        for second in 0..10_u64 {
            let before = whole;
            for _ in 0..second {
                whole.arrive();
                whole.admit();
                whole.deliver(second);
            }
            seconds.push(whole - before);
        }
        for second in seconds {
            sum += second;
        }
        assert_eq!(sum, whole);
    }
}
