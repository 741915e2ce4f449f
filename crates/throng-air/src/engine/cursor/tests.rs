//! Cursors against a shadow model: listeners whose lines take what chance gives them, in a programme that moves on,
//! changes its rung, starts anew and ends. A failure names its seed.

use super::*;

mod walks;

/// Chance from a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What a listener was sent, judged without the cursor's own code.
struct Shadow {
    next: u64,
    rendition: Rendition,
    cushion_parts: u64,
    ended: bool,
    /// Bytes on his line, in thousandths of a second of o48, and what his line takes of them per part.
    queued: u64,
    line: u64,
    /// Whether his last span did not fit.
    blocked: bool,
}

/// What the send buffer holds, in thousandths of a second of o48: ten seconds.
const BUFFER: u64 = 10_000;

impl Shadow {
    /// The longest span that he may be made to wait for.
    fn bearable(&self, rung: Rung) -> u64 {
        let of_rung = [3, 3, 6, 12, 24][usize::from(rung.number())];
        let fits = |span: &u64| *span <= of_rung && span * 320 + 500 <= self.cushion_parts * 320;
        [24, 12, 6, 3].into_iter().find(fits).unwrap_or(1)
    }

    fn take(&mut self, span: Span, missed: u64, view: View, rung: Rung) {
        assert!(!self.ended, "nothing follows the end");
        assert_eq!(
            span.from.0,
            self.next + missed,
            "in order, once, and what is left out is counted"
        );
        assert!(span.parts == 0 || span.from >= view.oldest);
        assert!(
            span.parts > 0 || span.last,
            "an empty span would end the stream"
        );
        let end = span.from.0 + span.parts;
        assert!(span.parts == 0 || end <= view.next.0);
        if missed > 0 {
            self.cushion_parts = span.parts;
        } else {
            assert!(
                span.parts <= self.bearable(rung).max(13),
                "{span:?} of a cushion of {} parts at {rung:?}",
                self.cushion_parts
            );
            let begins = span.from.0.is_multiple_of(12);
            assert!(begins || span.rendition == self.rendition, "{span:?}");
        }
        assert!(rung.cap(span.rendition) == span.rendition || missed == 0);
        assert_eq!(span.last, view.finished && end >= view.next.0);
        self.next = end;
        self.rendition = span.rendition;
        self.ended = span.last;
        self.queued += span.parts * 320 * u64::from(span.rendition.bit_rate()) / 48_000;
    }
}

struct World {
    chance: Chance,
    view: View,
    rung: Rung,
    cursor: Cursor,
    shadow: Shadow,
    closed: bool,
    skips: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let oldest = chance.below(1_000);
        let view = View {
            oldest: PartIndex(oldest),
            next: PartIndex(oldest + 5 + chance.below(296)),
            finished: false,
        };
        let rung = Rung::new(u8::try_from(chance.below(5)).unwrap()).unwrap();
        let asked = Rendition::ALL[usize::try_from(chance.below(5)).unwrap()];
        let (cursor, span) = Cursor::join(Format::Mp4, asked, view, rung);
        assert_eq!(span.from.0 + span.parts, view.next.0);
        let seconds = if rung.number() < 2 { 4 } else { 9 };
        let held = view.next.0 - view.oldest.0;
        assert_eq!(
            span.parts,
            (seconds * 48_000_u64).div_ceil(15_360).min(held)
        );
        assert_eq!(span.rendition, rung.cap(asked));
        let shadow = Shadow {
            next: view.next.0,
            rendition: span.rendition,
            cushion_parts: span.parts,
            ended: false,
            queued: span.parts * 320,
            blocked: false,
            line: [60, 200, 310, 2_000][usize::try_from(chance.below(4)).unwrap()],
        };
        Self {
            chance,
            view,
            rung,
            cursor,
            shadow,
            closed: false,
            skips: 0,
        }
    }

    /// The time of one part, in which chance may act.
    fn part(&mut self) {
        match self.chance.below(400) {
            0 => self.view.finished = true,
            1 => self.start_window_anew(),
            2 => {
                let number = u8::try_from(self.chance.below(5)).unwrap();
                self.rung = Rung::new(number).unwrap();
            }
            3 => self.shadow.line = self.chance.below(3_000),
            // The shard or the origin was stopped for a while.
            4 => {
                let parts = 2 + self.chance.below(100);
                self.come(parts);
            }
            _ => self.come(1),
        }
        self.shadow.queued = self.shadow.queued.saturating_sub(self.shadow.line);
        self.visit();
    }

    fn come(&mut self, parts: u64) {
        if !self.view.finished {
            self.view.next.0 += parts;
            let oldest = self.view.next.0.saturating_sub(300);
            self.view.oldest = self.view.oldest.max(PartIndex(oldest));
        }
    }

    fn start_window_anew(&mut self) {
        if !self.view.finished {
            let first = PartIndex(self.view.next.0 + self.chance.below(50));
            (self.view.oldest, self.view.next) = (first, first);
        }
    }

    /// What the shard does: nothing while he is blocked, else one step.
    fn visit(&mut self) {
        if self.shadow.queued > BUFFER || self.closed || self.shadow.ended {
            return;
        }
        let before = self.shadow.next;
        let gone = before < self.view.oldest.0;
        match self.cursor.step(self.view, self.rung) {
            Step::Close => {
                assert!(self.skips >= 3, "three chances");
                self.closed = true;
            }
            Step::Send { span, missed, .. } => {
                assert!(missed == 0 || gone || self.is_far_behind(before));
                self.skips += u64::from(missed > 0);
                self.shadow.take(span, missed, self.view, self.rung);
                self.shadow.blocked = self.shadow.queued > BUFFER;
                if self.shadow.blocked {
                    self.cursor.set_blocked();
                }
            }
            Step::Wait => self.nothing_is_due(gone),
        }
        self.cursor.check();
    }

    /// Who is skipped could not keep up for long, and not because of us.
    fn is_far_behind(&self, next: u64) -> bool {
        self.shadow.blocked && self.view.next.0 - next >= 48
    }

    fn nothing_is_due(&self, gone: bool) {
        assert!(!self.view.finished, "the end is due");
        let held = self.view.next.0 - self.view.oldest.0;
        let lag = self.view.next.0 - self.shadow.next;
        let bearable = self.shadow.bearable(self.rung);
        assert!(
            lag < bearable || gone && held < 5,
            "{lag} parts wait at {:?}",
            self.rung
        );
    }
}

impl Cursor {
    fn check(&self) {
        assert!(u64::from(self.alignment) < ALIGNMENTS);
        assert!(self.lowered <= 2);
        assert_eq!(self.rendition.codec(), self.asked.codec());
        assert!(self.rendition.bit_rate() <= self.asked.bit_rate());
    }
}

#[test]
fn nobody_hears_a_part_twice_and_none_is_missing_without_a_mark() {
    let (mut closed, mut ended, mut skipped) = (0, 0, 0);
    for seed in 0..3_000 {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..1_500 {
                world.part();
            }
            world
        });
        let Ok(world) = outcome else {
            panic!("the seed is {seed}");
        };
        closed += u32::from(world.closed);
        ended += u32::from(world.shadow.ended);
        skipped += u32::from(world.skips > 0);
    }
    // The world is worth nothing unless all of this happens in it.
    assert!(
        closed > 100 && ended > 100 && skipped > 100,
        "{closed} {ended} {skipped}"
    );
}

const fn view(oldest: u64, next: u64) -> View {
    View {
        oldest: PartIndex(oldest),
        next: PartIndex(next),
        finished: false,
    }
}

fn rung(number: u8) -> Rung {
    Rung::new(number).unwrap()
}

/// The spans of a listener who keeps up, until a part.
fn spans(cursor: &mut Cursor, from: u64, until: u64, rung: Rung) -> Vec<Span> {
    let steps = (from..=until).map(|next| cursor.step(view(0, next), rung));
    let spans = steps.filter_map(|step| match step {
        Step::Send {
            span,
            missed: 0,
            is_late: false,
        } => Some(span),
        Step::Wait => None,
        other => panic!("{other:?}"),
    });
    spans.collect()
}

fn lengths(spans: &[Span]) -> Vec<u64> {
    spans.iter().map(|span| span.parts).collect()
}

#[test]
fn a_span_grows_with_the_rung_as_far_as_the_cushion_bears_it() {
    // No rung lowers it, so that no segment cuts a span.
    let o16 = Rendition::O16;
    let (mut short, burst) = Cursor::join(Format::Mp4, o16, view(0, 100), rung(0));
    assert_eq!((burst.from.0, burst.parts), (87, 13));
    assert_eq!(lengths(&spans(&mut short, 101, 109, rung(0))), [3, 3, 3]);
    // 13 parts are 4.16 s, so that 1.92 s fit and 3.84 s do not.
    let grown = spans(&mut short, 110, 160, rung(4));
    assert!(grown[1..].iter().all(|span| span.parts == 6), "{grown:?}");

    let (mut long, burst) = Cursor::join(Format::Mp4, o16, view(0, 96), rung(2));
    assert_eq!(burst.parts, 29);
    assert_eq!(lengths(&spans(&mut long, 97, 108, rung(2))), [6, 6]);
    let grown = spans(&mut long, 109, 200, rung(4));
    assert!(grown[2..].iter().all(|span| span.parts == 24), "{grown:?}");

    let (mut poor, _) = Cursor::join(Format::Mp4, o16, view(97, 100), rung(0));
    assert_eq!(lengths(&spans(&mut poor, 101, 103, rung(0))), [1, 1, 1]);
}

#[test]
fn the_longest_spans_are_due_in_nine_phases_as_far_apart_as_parts_allow() {
    let mut due: Vec<u64> = [96, 104, 112]
        .into_iter()
        .flat_map(|joined| {
            (0..GROUPS).map(move |group| {
                let (mut cursor, _) =
                    Cursor::join(Format::Mp4, Rendition::O16, view(0, joined), rung(4));
                cursor.set_group(group);
                (joined..=joined + 24)
                    .find(|next| matches!(cursor.step(view(0, *next), rung(4)), Step::Send { .. }))
                    .map(|next| next % 24)
                    .unwrap()
            })
        })
        .collect();
    due.sort_unstable();
    assert_eq!(due, [0, 2, 5, 8, 10, 13, 16, 18, 21]);
}

#[test]
fn listeners_of_all_alignments_are_due_apart() {
    for number in 0..=4 {
        let mut due = std::collections::BTreeSet::new();
        for joined in 100..124 {
            let (mut cursor, _) =
                Cursor::join(Format::Mp4, Rendition::O48, view(0, joined), rung(2));
            let settled = spans(&mut cursor, joined, 220, rung(number));
            let last = settled.last().unwrap();
            due.insert((last.from.0 + last.parts) % rung(number).span_parts());
        }
        assert_eq!(due.len(), 3, "at rung {number}");
    }
}

#[test]
fn a_rendition_changes_where_a_segment_begins() {
    let (mut cursor, _) = Cursor::join(Format::Webm, Rendition::O48, view(0, 100), rung(0));
    let changed = spans(&mut cursor, 101, 118, rung(3));
    let first = changed.iter().find(|span| span.rendition == Rendition::O24);
    assert_eq!(first.unwrap().from, PartIndex(108));
    let back = spans(&mut cursor, 119, 140, rung(0));
    let first = back.iter().find(|span| span.rendition == Rendition::O48);
    assert_eq!(first.unwrap().from, PartIndex(120));
}

#[test]
fn who_is_slow_is_moved_down_then_skipped_then_closed() {
    let (mut cursor, _) = Cursor::join(Format::Mp4, Rendition::O48, view(0, 96), rung(0));
    let mut next = 96;
    let mut story = Vec::new();
    let mut late_by = |cursor: &mut Cursor, parts| {
        cursor.set_blocked();
        next += parts;
        cursor.step(view(next - 300.min(next), next), rung(0))
    };
    for parts in [12, 12, 60, 60, 60, 60] {
        story.push(match late_by(&mut cursor, parts) {
            Step::Send { span, missed, .. } => Some((span.rendition, missed > 0)),
            Step::Close => None,
            Step::Wait => panic!("something is due"),
        });
    }
    let (o24, o16) = (Rendition::O24, Rendition::O16);
    assert_eq!(
        story,
        [
            Some((o24, false)),
            Some((o16, false)),
            Some((o16, true)),
            Some((o16, true)),
            Some((o16, true)),
            None
        ]
    );
}

#[test]
fn who_was_calm_for_two_minutes_gets_his_rendition_back() {
    let (mut cursor, _) = Cursor::join(Format::Aac, Rendition::A64, view(0, 96), rung(0));
    cursor.set_blocked();
    let Step::Send { span, .. } = cursor.step(view(0, 108), rung(0)) else {
        panic!("something is due");
    };
    assert_eq!(span.rendition, Rendition::A32);
    let later = spans(&mut cursor, 109, 500, rung(0));
    let back = later.iter().find(|span| span.rendition == Rendition::A64);
    let back = back.unwrap().from.0;
    assert!((480..=495).contains(&back), "{back}");
}

#[test]
fn the_end_is_said_once_with_the_last_part_or_alone() {
    for rest in 0..=13 {
        let (mut cursor, _) = Cursor::join(Format::Mp4, Rendition::O48, view(0, 100), rung(0));
        let finished = View {
            finished: true,
            ..view(0, 100 + rest)
        };
        let mut given = 0;
        // The first step ends it, or the second after parts of the first.
        let ended = (0..2).any(|_| {
            let Step::Send {
                span, missed: 0, ..
            } = cursor.step(finished, rung(0))
            else {
                panic!("the end is due");
            };
            given += span.parts;
            span.last
        });
        assert!(ended);
        assert_eq!(given, rest);
    }
}

#[test]
fn who_was_elsewhere_goes_on_where_he_stopped_and_misses_nothing() {
    for from in 70..=112 {
        let (mut cursor, burst) = Cursor::join(Format::Mp4, Rendition::O48, view(0, 100), rung(0));
        let first = cursor.go_on(PartIndex(from), burst, view(0, 100));
        assert_eq!(
            (first.from.0, first.parts),
            (from, 100_u64.saturating_sub(from))
        );
        let mut next = from.max(100);
        for span in spans(&mut cursor, 101, 130, rung(0)) {
            assert_eq!(span.from.0, next, "in order, and none twice");
            next += span.parts;
        }
        assert!(next >= 128, "the cushion of a join is his still: {next}");
    }
    for deep in 0..=4 {
        let (mut cursor, burst) =
            Cursor::join(Format::Mp4, Rendition::O48, view(0, 100), rung(deep));
        cursor.go_on(PartIndex(98), burst, view(0, 100));
        let sent = spans(&mut cursor, 101, 300, rung(deep));
        let longest = sent.iter().map(|span| span.parts).max();
        assert!(
            longest <= Some(6),
            "he may have come with 4 s: {longest:?} on rung {deep}"
        );
    }
    for elsewhere in [0, 69, 113, u64::MAX] {
        let (mut cursor, burst) = Cursor::join(Format::Mp4, Rendition::O48, view(0, 100), rung(0));
        assert_eq!(
            cursor.go_on(PartIndex(elsewhere), burst, view(0, 100)),
            burst
        );
    }
}
