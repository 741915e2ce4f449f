//! Plays the score: who plays which note when, how strong, into which room.

use throng_core::timeline::SEGMENT_SAMPLES;

use super::instruments::{Chance, Instruments, Note, brush, samples};
use super::room::{around, echo, hall, tone};
use super::score::{
    BARS_PER_SECTION, Bass, Chord, EIGHTHS_PER_BAR, SECTIONS, Section, Vibes, Written,
    frequency_hz, read_line,
};

/// 48 segments: three minutes and four seconds, which are also 64 bars of whole samples.
const LEN: usize = 48 * usize_of(SEGMENT_SAMPLES);
/// 2.88 s.
const BAR: usize = LEN / (SECTIONS.len() * BARS_PER_SECTION);
/// 360 ms.
const EIGHTH: usize = BAR / EIGHTHS_PER_BAR;
/// By how much the second of two eighths comes late: a light swing.
const SWING: usize = EIGHTH / 9;
/// The small irregularities of the players are these on every run.
const SEED: u32 = 0x7468_726f;

/// Plays the whole piece, not yet levelled.
pub(super) fn play() -> Vec<f32> {
    let mut players = Players {
        instruments: Instruments::new(),
        chance: Chance::new(SEED),
        near: vec![0.0; LEN],
        echoed: vec![0.0; LEN],
    };
    for (number, section) in SECTIONS.iter().enumerate() {
        players.play(section, number * BARS_PER_SECTION * BAR);
    }
    let Players {
        near,
        echoed: mut mix,
        ..
    } = players;
    around(&mut mix, echo(EIGHTH * 3, 0.38, 0.3));
    for (mixed, near) in mix.iter_mut().zip(near) {
        *mixed += near;
    }
    around(&mut mix, hall(0.16));
    around(&mut mix, tone());
    mix
}

struct Players {
    instruments: Instruments,
    chance: Chance,
    /// What is heard straight from the players and from the hall.
    near: Vec<f32>,
    /// What also goes through the echo.
    echoed: Vec<f32>,
}

impl Players {
    fn play(&mut self, section: &Section, start: usize) {
        self.play_melody(section, start);
        if let Vibes::Answers(bars) = &section.vibes {
            self.play_answers(bars, start);
        }
        for (bar, chord) in section.chords.iter().enumerate() {
            let at = start + bar * BAR;
            self.play_pad(section, bar, at);
            if section.comping {
                self.stroke_chord(chord, at, 0.065);
                self.stroke_chord(chord, at + eighths(3), 0.045);
            }
            if matches!(section.vibes, Vibes::Broken) {
                self.break_chord(chord, at);
            }
            self.play_bass(section.bass, chord, at);
            if section.brush {
                self.play_brush(at);
            }
        }
    }

    fn play_melody(&mut self, section: &Section, start: usize) {
        for written in read_line(&section.melody) {
            let note = self.by_hand(written, start, 0.2);
            self.instruments.keys(&mut self.echoed, note);
        }
    }

    fn play_answers(&mut self, bars: &[&str; BARS_PER_SECTION], start: usize) {
        for written in read_line(bars) {
            let note = self.by_hand(written, start, 0.075);
            self.instruments.vibes(&mut self.echoed, note);
        }
    }

    /// A tone that the chord before already had is held through instead of being struck again.
    fn play_pad(&mut self, section: &Section, bar: usize, at: usize) {
        for name in section.chords[bar].notes {
            let has = |bar: usize| {
                section
                    .chords
                    .get(bar)
                    .is_some_and(|chord| chord.notes.contains(&name))
            };
            // Pairs of bars, so that nothing is held for so long that it becomes a drone.
            let held_from_before = bar % 2 == 1 && has(bar - 1);
            if held_from_before {
                continue;
            }
            let bars = if bar.is_multiple_of(2) && has(bar + 1) {
                2
            } else {
                1
            };
            let pitch = frequency_hz(name);
            let note = Note {
                start: at,
                len: bars * BAR,
                frequency_hz: pitch,
                strength: 0.034,
            };
            self.instruments
                .pad(&mut self.near, note, self.chance.next());
        }
    }

    /// The four notes of a chord, rolled from below.
    fn stroke_chord(&mut self, chord: &Chord, at: usize, strength: f32) {
        for (place, name) in chord.notes.into_iter().enumerate() {
            let note = Note {
                start: at + place * samples(0.016) + self.late(),
                len: eighths(2),
                frequency_hz: frequency_hz(name),
                strength: strength * (1.0 + 0.2 * self.chance.next_signed()),
            };
            self.instruments.keys(&mut self.near, note);
        }
    }

    /// Up and down through the chord, an octave higher, with gaps.
    fn break_chord(&mut self, chord: &Chord, at: usize) {
        for (eighth, place) in [0, 1, 2, 3, 2, 1, 3, 2].into_iter().enumerate() {
            if eighth > 0 && self.chance.next_signed() > 0.35 {
                continue;
            }
            let written = Written {
                at: eighth,
                eighths: 1,
                frequency_hz: 2.0 * frequency_hz(chord.notes[place]),
            };
            let note = self.by_hand(written, at, 0.05);
            self.instruments.vibes(&mut self.echoed, note);
        }
    }

    fn play_bass(&mut self, bass: Bass, chord: &Chord, at: usize) {
        let frequency_hz = frequency_hz(chord.bass);
        let (first, second) = match bass {
            Bass::Long => (7, None),
            Bass::Pushed => (3, Some((3, 4))),
            Bass::Rests => return,
        };
        let note = Note {
            start: at,
            len: eighths(first),
            frequency_hz,
            strength: 0.15,
        };
        self.instruments.bass(&mut self.near, note);
        if let Some((from, len)) = second {
            let note = Note {
                start: at + eighths(from) + SWING,
                len: eighths(len),
                strength: 0.11,
                ..note
            };
            self.instruments.bass(&mut self.near, note);
        }
    }

    /// Two and four, with a breath before four.
    fn play_brush(&mut self, at: usize) {
        for (eighth, strength) in [(2, 0.12), (5, 0.04), (6, 0.12), (7, 0.05)] {
            let at = at + eighths(eighth) + (eighth % 2) * SWING + self.late();
            brush(&mut self.near, at, strength, &mut self.chance);
        }
    }

    /// A written note as a hand plays it: swung, a little late, never twice as strong as before.
    fn by_hand(&mut self, written: Written, start: usize, strength: f32) -> Note {
        let swing = (written.at % 2) * SWING;
        let accent = if written.at.is_multiple_of(EIGHTHS_PER_BAR) {
            1.1
        } else {
            1.0
        };
        Note {
            start: start + eighths(written.at) + swing + self.late(),
            len: eighths(written.eighths),
            frequency_hz: written.frequency_hz,
            strength: strength * accent * (1.0 + 0.16 * self.chance.next_signed()),
        }
    }

    /// Up to 10 ms.
    fn late(&mut self) -> usize {
        samples(0.005 * (1.0 + self.chance.next_signed()))
    }
}

const fn eighths(count: usize) -> usize {
    count * EIGHTH
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a segment has 184,320 samples"
)]
const fn usize_of(samples: u64) -> usize {
    samples as usize
}

const _: () = assert!(
    LEN.is_multiple_of(SECTIONS.len() * BARS_PER_SECTION * EIGHTHS_PER_BAR),
    "whole samples"
);
