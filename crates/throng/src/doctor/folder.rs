//! Whether recordings can be kept in the data folder, for how long, and how fast.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use throng_core::rendition::Rendition;

use super::Finding;

const FILE: &str = "doctor";
/// As much as is written of a space in half a minute, and how often.
const BYTES: usize = 1 << 20;
const TIMES: usize = 3;
/// The recorder asks for it several times a second; slower than this, parts wait in memory.
const SLOW: Duration = Duration::from_millis(250);
/// The recording of one space in an hour: every rendition, and a tenth for containers and journal.
const HOUR_BYTES: u64 = {
    let (mut bits, mut index) = (0, 0);
    while index < Rendition::ALL.len() {
        bits += Rendition::ALL[index].bit_rate() as u64;
        index += 1;
    }
    bits / 8 * 3_600 * 11 / 10
};
/// An evening.
const HOURS_MIN: u64 = 12;

/// `holder`: the process of a node that has the folder.
pub(super) fn findings(data: &Path, holder: Option<u32>) -> Vec<Finding> {
    // It is looked at without being made: the nearest folder that is there will hold it.
    let here = data.ancestors().find(|folder| folder.is_dir());
    let here = here.unwrap_or(Path::new("."));
    match write(here) {
        Err(error) => vec![Finding::fault(
            "data",
            format!("{} cannot be written: {error}", data.display()),
            "another folder with --data, or the rights to this one",
        )],
        Ok(took) => {
            let mut findings = vec![speed(data, took, holder)];
            findings.extend(space(here));
            findings
        }
    }
}

/// How long the disk takes to have what it was given, at the worst of some times.
fn write(folder: &Path) -> io::Result<Duration> {
    let path = folder.join(format!(".{FILE}-{}", std::process::id()));
    let tried = try_file(&path);
    // What could not be made need not go.
    let _ = fs::remove_file(&path);
    tried
}

fn try_file(path: &Path) -> io::Result<Duration> {
    let mut file = File::create_new(path)?;
    let bytes = vec![0x55; BYTES];
    let mut worst = Duration::ZERO;
    for _ in 0..TIMES {
        file.write_all(&bytes)?;
        let began = Instant::now();
        file.sync_data()?;
        worst = worst.max(began.elapsed());
    }
    Ok(worst)
}

fn speed(data: &Path, took: Duration, holder: Option<u32>) -> Finding {
    let runs = holder.map_or_else(String::new, |pid| {
        format!("; a node has it (process {pid})")
    });
    let says = format!(
        "{}: a megabyte is safe after {} ms{runs}",
        data.display(),
        took.as_millis()
    );
    if took > SLOW {
        return Finding::note(
            "data",
            says,
            "the live programme does not wait for it, and up to 96 s of a recording do, in memory: a faster disk, or one that does less besides",
        );
    }
    Finding::fine("data", says)
}

fn space(folder: &Path) -> Option<Finding> {
    let disk = statvfs(folder).ok()?;
    let free = disk.f_bavail * disk.f_frsize;
    Some(judge_space(free))
}

fn judge_space(free: u64) -> Finding {
    let (hours, gigabytes) = (free / HOUR_BYTES, free / 1_000_000_000);
    let says = format!("{gigabytes} GB are free: {hours} hours of one space");
    if hours < HOURS_MIN {
        let fix = "live sound goes on without a disk, and is not recorded then: make room, or another --data";
        return Finding::note("disk", says, fix);
    }
    Finding::fine("disk", says)
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn an_hour_is_what_the_renditions_take() {
        assert_eq!(HOUR_BYTES, 91_080_000, "184 kbit/s, and a tenth");
        assert_eq!(judge_space(11 * HOUR_BYTES + 5).grade, Grade::Note);
        let fine = judge_space(1_100_000_000_000);
        assert_eq!(fine.grade, Grade::Fine);
        assert!(
            fine.says.starts_with("1100 GB are free: 12077 hours"),
            "{}",
            fine.says
        );
    }

    #[test]
    fn nothing_is_left_behind_and_a_folder_to_come_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("to/come");
        let findings = findings(&data, None);
        assert!(
            findings.iter().all(|finding| finding.grade != Grade::Fault),
            "{findings:?}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
