//! The piece that plays while people wait, as written: eight sections of eight bars in F major, at 83 beats a minute.
//!
//! A melody is a line of eighths, eight to the bar: a note begins it, `-` holds it, `.` is a rest. The sections share
//! three progressions and differ in who plays, so that three minutes pass without a bar that merely repeats.

/// Bars of a section.
pub(super) const BARS_PER_SECTION: usize = 8;
/// Eighths of a bar.
pub(super) const EIGHTHS_PER_BAR: usize = 8;

/// What sounds under one bar.
#[derive(Clone, Copy)]
pub(super) struct Chord {
    /// The bass note.
    pub(super) bass: &'static str,
    /// Four notes, low to high, led so that most stay where they were.
    pub(super) notes: [&'static str; 4],
}

/// Eight bars and who plays in them.
pub(super) struct Section {
    pub(super) chords: [Chord; BARS_PER_SECTION],
    /// The electric piano's line.
    pub(super) melody: [&'static str; BARS_PER_SECTION],
    /// What the vibraphone does.
    pub(super) vibes: Vibes,
    /// Whether the electric piano also strokes the chords.
    pub(super) comping: bool,
    /// How the bass plays.
    pub(super) bass: Bass,
    /// Whether the brush plays the pulse.
    pub(super) brush: bool,
}

/// What the vibraphone does in a section.
pub(super) enum Vibes {
    /// Answers in the gaps of the melody.
    Answers([&'static str; BARS_PER_SECTION]),
    /// Broken chords.
    Broken,
    /// Nothing.
    Rests,
}

/// How the bass plays in a section.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Bass {
    /// One long note a bar.
    Long,
    /// The root, then a push into the second half of the bar.
    Pushed,
    /// Nothing.
    Rests,
}

const fn chord(bass: &'static str, notes: [&'static str; 4]) -> Chord {
    Chord { bass, notes }
}

const F_MAJOR_9: Chord = chord("F2", ["A3", "C4", "E4", "G4"]);
const F_SIX_NINE: Chord = chord("F2", ["A3", "C4", "D4", "G4"]);
const A_MINOR_7: Chord = chord("A2", ["G3", "C4", "E4", "A4"]);
const D_MINOR_9: Chord = chord("D2", ["A3", "C4", "E4", "F4"]);
const B_FLAT_MAJOR_9: Chord = chord("Bb2", ["A3", "C4", "D4", "F4"]);
const G_MINOR_9: Chord = chord("G2", ["Bb3", "D4", "F4", "A4"]);
const C_NINE_SUS: Chord = chord("C2", ["Bb3", "D4", "F4", "G4"]);
const C_SIX_NINE: Chord = chord("C2", ["G3", "A3", "D4", "E4"]);
const E_FLAT_MAJOR_9: Chord = chord("Eb2", ["G3", "Bb3", "D4", "F4"]);

/// Home.
const VERSE: [Chord; BARS_PER_SECTION] = [
    F_MAJOR_9,
    A_MINOR_7,
    D_MINOR_9,
    B_FLAT_MAJOR_9,
    F_MAJOR_9,
    A_MINOR_7,
    G_MINOR_9,
    C_NINE_SUS,
];
/// The lift.
const CHORUS: [Chord; BARS_PER_SECTION] = [
    B_FLAT_MAJOR_9,
    C_SIX_NINE,
    A_MINOR_7,
    D_MINOR_9,
    G_MINOR_9,
    C_NINE_SUS,
    F_MAJOR_9,
    F_SIX_NINE,
];
/// The view from farther off.
const BRIDGE: [Chord; BARS_PER_SECTION] = [
    D_MINOR_9,
    D_MINOR_9,
    B_FLAT_MAJOR_9,
    F_SIX_NINE,
    G_MINOR_9,
    E_FLAT_MAJOR_9,
    B_FLAT_MAJOR_9,
    C_NINE_SUS,
];

const FIRST_LIGHT: [&str; BARS_PER_SECTION] = [
    ". . . . . . . .",
    ". . . . E5 - G5 -",
    "F5 - - - - - . .",
    ". . . . D5 - F5 -",
    "E5 - - - C5 - - -",
    ". . . . . . . .",
    ". . . . A4 - Bb4 -",
    "D5 - - - C5 - - -",
];
const THEME: [&str; BARS_PER_SECTION] = [
    "A4 - - C5 - - G5 -",
    "E5 - - - - - . .",
    "D5 - - F5 - - A5 -",
    "G5 - F5 - D5 - - .",
    "C5 - - E5 - - A5 -",
    "G5 - E5 - C5 - - -",
    "D5 - - F5 - A4 Bb4 -",
    "C5 - - - - - . .",
];
const THEME_ANSWERED: [&str; BARS_PER_SECTION] = [
    ". . A5 G5 - E5 - C5",
    "- - - . E5 - G5 -",
    "F5 - - E5 - - D5 -",
    "- - - . C5 - D5 -",
    "E5 - - G5 - - C6 -",
    "A5 - G5 - E5 - - -",
    "F5 - D5 - A4 - - Bb4",
    "C5 - - - D5 - - .",
];
const LIFT: [&str; BARS_PER_SECTION] = [
    "D5 - - F5 - - A5 -",
    "G5 - - E5 - - D5 -",
    "C5 - E5 - G5 - A5 -",
    "F5 - - - - - E5 -",
    "D5 - - F5 - - Bb5 -",
    "A5 - G5 - F5 - D5 -",
    "C5 - - - A4 - C5 -",
    "G5 - - - - - - .",
];
const LIFT_ROCKING: [&str; BARS_PER_SECTION] = [
    "F5 - D5 - F5 - A5 -",
    "- - G5 - E5 - - .",
    "E5 - C5 - E5 - G5 -",
    "- - F5 - D5 - - .",
    "Bb4 - D5 - F5 - A5 -",
    "- - G5 - F5 - D5 -",
    "E5 - - C5 - - A4 -",
    "G4 - - - - - . .",
];
const FAR_OFF: [&str; BARS_PER_SECTION] = [
    ". . . . A5 - E5 -",
    "- - - - . . . .",
    ". . . . F5 - D5 -",
    "- - C5 - - - . .",
    ". . . . D5 - F5 -",
    "G5 - - - Bb5 - - -",
    "A5 - - F5 - - D5 -",
    "C5 - - - - - . .",
];
const EVENING: [&str; BARS_PER_SECTION] = [
    "A4 - - C5 - - E5 -",
    "- - - - . . . .",
    ". . . . F5 - C5 -",
    "D5 - - - - - . .",
    "Bb4 - - D5 - - F5 -",
    "G5 - - - F5 - D5 -",
    "C5 - - - - - . .",
    ". . . . . . . .",
];

const ANSWERS: [&str; BARS_PER_SECTION] = [
    ". . . . . . . .",
    ". . . . . . C6 G5",
    ". . . . . . . .",
    ". . . . . . A5 F5",
    ". . . . . . . .",
    ". . . . . . . G5",
    ". . . . . . . .",
    ". . . . F5 G5 A5 C6",
];
const SECOND_ANSWERS: [&str; BARS_PER_SECTION] = [
    ". . . . . . . .",
    ". . . . C6 - A5 -",
    ". . . . . . . .",
    ". . . . . . . C6",
    ". . . . . . . .",
    ". . . . . . . A5",
    ". . . . . . . .",
    ". . . . D6 - C6 G5",
];

/// The whole piece.
pub(super) const SECTIONS: [Section; 8] = [
    Section {
        chords: VERSE,
        melody: FIRST_LIGHT,
        vibes: Vibes::Rests,
        comping: false,
        bass: Bass::Long,
        brush: false,
    },
    Section {
        chords: VERSE,
        melody: THEME,
        vibes: Vibes::Rests,
        comping: true,
        bass: Bass::Long,
        brush: true,
    },
    Section {
        chords: VERSE,
        melody: THEME_ANSWERED,
        vibes: Vibes::Answers(ANSWERS),
        comping: true,
        bass: Bass::Pushed,
        brush: true,
    },
    Section {
        chords: CHORUS,
        melody: LIFT,
        vibes: Vibes::Rests,
        comping: true,
        bass: Bass::Pushed,
        brush: true,
    },
    Section {
        chords: BRIDGE,
        melody: FAR_OFF,
        vibes: Vibes::Broken,
        comping: false,
        bass: Bass::Rests,
        brush: false,
    },
    Section {
        chords: VERSE,
        melody: THEME,
        vibes: Vibes::Answers(SECOND_ANSWERS),
        comping: true,
        bass: Bass::Pushed,
        brush: true,
    },
    Section {
        chords: CHORUS,
        melody: LIFT_ROCKING,
        vibes: Vibes::Broken,
        comping: true,
        bass: Bass::Pushed,
        brush: true,
    },
    Section {
        chords: BRIDGE,
        melody: EVENING,
        vibes: Vibes::Broken,
        comping: false,
        bass: Bass::Long,
        brush: false,
    },
];

/// A note of a line: where it begins and how long it lasts, in eighths from the beginning of the section.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Written {
    pub(super) at: usize,
    pub(super) eighths: usize,
    pub(super) frequency_hz: f32,
}

/// Reads eight bars of a line.
pub(super) fn read_line(bars: &[&str; BARS_PER_SECTION]) -> Vec<Written> {
    let mut notes: Vec<Written> = Vec::new();
    let mut sounding = false;
    for (at, token) in bars.iter().flat_map(|bar| bar.split(' ')).enumerate() {
        match token {
            "." => sounding = false,
            "-" if sounding => {
                let sounding = notes.last_mut().expect("a sounding note was pushed");
                sounding.eighths += 1;
            }
            "-" => unreachable!("a hold follows a note; a test reads every line"),
            name => {
                notes.push(Written {
                    at,
                    eighths: 1,
                    frequency_hz: frequency_hz(name),
                });
                sounding = true;
            }
        }
    }
    notes
}

/// The pitch of a note's name, A4 = 440 Hz.
pub(super) fn frequency_hz(name: &str) -> f32 {
    let (letter, rest) = name.split_at(1);
    let (flat, octave) = rest
        .strip_prefix('b')
        .map_or((0, rest), |octave| (1, octave));
    let above_c = match letter {
        "C" => 0_i16,
        "D" => 2,
        "E" => 4,
        "F" => 5,
        "G" => 7,
        "A" => 9,
        _ => 11,
    };
    let octave: i16 = octave
        .parse()
        .expect("the score names octaves by digits; a test reads every line");
    let from_a4 = 12 * (octave - 4) + above_c - flat - 9;
    440.0 * (f32::from(from_a4) / 12.0).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_fills_its_bars() {
        for section in &SECTIONS {
            let answers = match section.vibes {
                Vibes::Answers(bars) => bars,
                Vibes::Broken | Vibes::Rests => FIRST_LIGHT,
            };
            for bars in [section.melody, answers] {
                assert!(
                    bars.iter()
                        .all(|bar| bar.split(' ').count() == EIGHTHS_PER_BAR)
                );
                assert!(
                    read_line(&bars)
                        .iter()
                        .all(|note| (300.0..1_300.0).contains(&note.frequency_hz))
                );
            }
        }
    }

    #[test]
    fn names_are_pitches_of_equal_temperament() {
        assert!((frequency_hz("A4") - 440.0).abs() < 0.01);
        assert!((frequency_hz("C4") - 261.626).abs() < 0.01);
        assert!((frequency_hz("Bb2") - 116.541).abs() < 0.01);
    }
}
