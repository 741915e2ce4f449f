//! How a speaker's packets arrive, as far as a host should know: well, badly, or not at all. Pure.
//!
//! What is lost is filled, and up to a point nobody hears it; beyond, somebody has to act, and only the host can ask a
//! speaker to. So this judges by what listeners may hear. A trouble is over when half of what raised it is left.

use std::collections::VecDeque;

use serde::Serialize;
use throng_core::space::Space;
use throng_core::timeline::{FRAMES_PER_PART, PartIndex};
use throng_media::jitter::Counters;

use super::mixing::SeatLevel;
use crate::alarm::Alarm;

/// What is judged at once, 10 s: a burst of three lost packets alone is no trouble.
const WINDOW_FRAMES: u64 = 500;
/// Looks kept: the window's, at ten a second. Full, the oldest goes, which the window no longer holds.
const LOOKS_MAX: usize = 101;
/// Nothing came for 2 s. A sender in silence sends two packets a second at least (RFC 6716, section 2.1.9).
const SILENT_FRAMES: u64 = 100;
/// From here on copies no longer fill everything.
const LOST_PERCENT_MAX: u64 = 15;
/// 200 ms in ten seconds are guessed: a word may be spoilt.
const GUESSED_PERMILLE_MAX: u64 = 20;
/// Less is too little to judge: a second.
const PACKETS_MIN: u64 = 50;
/// Samples of a frame of 20 ms.
const FRAME_SAMPLES: u64 = 960;

/// What is wrong with a speaker's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Fault {
    /// So many packets of a hundred do not come in time.
    Lossy { lost_percent: u64 },
    /// What comes, comes so unevenly that so much of a thousand is guessed meanwhile.
    Uneven { guessed_permille: u64 },
    /// Nothing comes.
    Silent,
}

/// A fault and the frame of the programme since which it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) fault: Fault,
    pub(crate) since_frame: u64,
}

/// One look at the counters.
#[derive(Clone, Copy, Debug)]
struct Look {
    frame: u64,
    counters: Counters,
}

/// What is known of one speaker's packets.
#[derive(Debug, Default)]
pub(crate) struct Reception {
    looks: VecDeque<Look>,
    came_frame: u64,
    since_frame: Option<u64>,
}

impl Reception {
    /// Looks at the counters of a seat, ten times a second.
    pub(crate) fn look(&mut self, frame: u64, counters: Counters) -> Option<Trouble> {
        let before = self.looks.back().map_or(0, |look| look.counters.received);
        if counters.received > before || self.looks.is_empty() {
            self.came_frame = frame;
        }
        self.looks.push_back(Look { frame, counters });
        while self.looks.len() > LOOKS_MAX
            || self
                .looks
                .front()
                .is_some_and(|look| look.frame + WINDOW_FRAMES < frame)
        {
            self.looks.pop_front();
        }
        let Some(fault) = self.fault(frame) else {
            self.since_frame = None;
            return None;
        };
        let since_frame = *self.since_frame.get_or_insert(match fault {
            Fault::Silent => self.came_frame,
            Fault::Lossy { .. } | Fault::Uneven { .. } => frame,
        });
        Some(Trouble { fault, since_frame })
    }

    fn fault(&self, frame: u64) -> Option<Fault> {
        if frame - self.came_frame >= SILENT_FRAMES {
            return Some(Fault::Silent);
        }
        let (first, last) = (self.looks.front()?, self.looks.back()?);
        let since = |count: fn(&Counters) -> u64| count(&last.counters) - count(&first.counters);
        let lost = since(|counters| counters.lost + counters.recovered_by_red);
        let packets = since(|counters| counters.received) + lost;
        let samples = (last.frame - first.frame) * FRAME_SAMPLES;
        if packets < PACKETS_MIN || samples == 0 {
            return None;
        }
        let lost_percent = lost * 100 / packets;
        let guessed_permille = since(|counters| counters.concealed_samples) * 1_000 / samples;
        let lasts = if self.since_frame.is_some() { 2 } else { 1 };
        let guesses = guessed_permille * lasts >= GUESSED_PERMILLE_MAX;
        // Guessed because of what is lost, unless what is lost is less than what is guessed.
        if lost_percent * lasts >= LOST_PERCENT_MAX
            || guesses && lost_percent * 10 >= guessed_permille
        {
            return Some(Fault::Lossy { lost_percent });
        }
        guesses.then_some(Fault::Uneven { guessed_permille })
    }
}

/// What the host of a space must know of its speakers' connections.
pub(crate) fn alarm(space: &Space, levels: &[SeatLevel]) -> Option<Alarm> {
    let troubled = || {
        levels
            .iter()
            .filter_map(|level| Some((level.seat, level.trouble?)))
    };
    let since = troubled().map(|(_, trouble)| trouble.since_frame).min()?;
    let what = troubled().map(|(seat, trouble)| match trouble.fault {
        Fault::Lossy { lost_percent } => {
            let share = share_in_words(lost_percent);
            format!("Speaker {seat}: {share} of the sound is lost on the way.")
        }
        Fault::Uneven { guessed_permille } => {
            let share = share_in_words(guessed_permille / 10);
            format!(
                "Speaker {seat}: the sound comes in fits and starts, and {share} of it is made up."
            )
        }
        Fault::Silent => format!("Speaker {seat}: nothing arrives any more."),
    });
    let what: Vec<_> = what.collect();
    Some(Alarm {
        kind: "speaker",
        title: "A speaker's connection is bad.",
        detail: format!(
            "{} Ask them to come nearer to their router, to use a cable or another network, or to join from another \
             device. Their seat is kept.",
            what.join(" ")
        ),
        since: space.moment(PartIndex(since / FRAMES_PER_PART)),
    })
}

/// In tens: words that change every second are read to nobody.
fn share_in_words(percent: u64) -> String {
    match percent {
        0..10 => "a few per cent".to_owned(),
        _ => format!("about {} %", (percent + 5) / 10 * 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks from a second to another, while of each second's 50 packets so many are lost; the last trouble.
    fn looks(
        reception: &mut Reception,
        counters: &mut Counters,
        seconds: std::ops::Range<u64>,
        lost: u64,
    ) -> Option<Trouble> {
        let mut trouble = None;
        for frame in (seconds.start * 50..seconds.end * 50).filter(|frame| frame % 5 == 0) {
            // Rounded so that each second has its full count.
            let share = |count: u64| (frame % 50 + 5) * count / 50 - frame % 50 * count / 50;
            counters.received += share(50 - lost);
            counters.recovered_by_red += share(lost);
            trouble = reception.look(frame, *counters);
        }
        trouble
    }

    #[test]
    fn a_line_is_bad_while_much_is_lost_and_good_again_when_it_is_calm() {
        let (mut reception, mut counters) = (Reception::default(), Counters::default());
        assert_eq!(
            looks(&mut reception, &mut counters, 0..20, 5),
            None,
            "a tenth is filled"
        );
        let bad = looks(&mut reception, &mut counters, 20..40, 15).unwrap();
        assert_eq!(bad.fault, Fault::Lossy { lost_percent: 30 });
        assert!((20 * 50..30 * 50).contains(&bad.since_frame), "{bad:?}");
        let lasts = looks(&mut reception, &mut counters, 40..60, 5).unwrap();
        assert_eq!(
            lasts.since_frame, bad.since_frame,
            "a tenth is no end of it"
        );
        assert_eq!(looks(&mut reception, &mut counters, 60..80, 1), None);
    }

    #[test]
    fn guessed_sound_is_trouble_however_few_packets_it_was() {
        let (mut reception, mut counters) = (Reception::default(), Counters::default());
        looks(&mut reception, &mut counters, 0..10, 1);
        counters.concealed_samples += 9_600;
        let trouble = looks(&mut reception, &mut counters, 10..11, 1).unwrap();
        assert_eq!(
            trouble.fault,
            Fault::Lossy { lost_percent: 2 },
            "guessed because it was lost"
        );
    }

    #[test]
    fn what_comes_too_late_is_not_called_lost() {
        let (mut reception, mut counters) = (Reception::default(), Counters::default());
        looks(&mut reception, &mut counters, 0..10, 0);
        counters.concealed_samples += 14_400;
        let trouble = looks(&mut reception, &mut counters, 10..11, 0).unwrap();
        assert!(matches!(
            trouble.fault,
            Fault::Uneven {
                guessed_permille: 30..
            }
        ));
        assert_eq!(share_in_words(3), "a few per cent");
        assert_eq!(share_in_words(17), "about 20 %");
    }

    #[test]
    fn who_is_not_heard_of_is_told_after_two_seconds_and_not_before() {
        let (mut reception, mut counters) = (Reception::default(), Counters::default());
        looks(&mut reception, &mut counters, 0..10, 0);
        let silent = (500..700)
            .step_by(5)
            .find_map(|frame| reception.look(frame, counters));
        let silent = silent.unwrap();
        assert_eq!((silent.fault, silent.since_frame), (Fault::Silent, 495));
        assert_eq!(
            looks(&mut reception, &mut counters, 14..26, 0),
            None,
            "and no longer when he is back"
        );
    }
}
