//! A space as one shard has it: its window, copied part by part, and who listens to it here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use throng_core::timeline::{PART_DURATION_MS, PartIndex};
use throng_core::window::Window;

use super::answer::{self, Framed};
use super::cursor::View;
use super::port::Place;
use crate::air::Headers;
use crate::hls::{self, Content, Source};
use crate::on_air::OnAir;
use crate::presence::{LISTENING_FOR, Player, Shard};

/// Groups of places, of which each tick visits one.
pub(crate) const GROUPS: usize = 3;
/// The time of a part.
const PART: Duration = Duration::from_millis(PART_DURATION_MS);
/// How long somebody counts as listening after the last audio.
const LISTENING_FOR_MS: u64 = LISTENING_FOR.as_secs() * 1_000;

/// The number of a seat.
pub(crate) type SeatIndex = u32;

/// One space.
pub(crate) struct Seat {
    pub(crate) slug: String,
    /// The space.
    pub(crate) on_air: Arc<OnAir>,
    /// Its window, as it was at the last look.
    pub(crate) window: Window,
    /// Whether the window could be served as it stands then.
    pub(crate) flowing: bool,
    /// Whether nothing more comes.
    pub(crate) is_closed: bool,
    /// Connections that are here or wait to be.
    pub(crate) connections: u32,
    /// Who is listening.
    pub(crate) audience: Audience,
    reported: u64,
    pub(crate) looked_at: Instant,
    /// Ticks in which what came late itself is sent: nobody who serves is to blame.
    rush: usize,
    /// Whose requests are held; at most as many as there are connections.
    pub(crate) held: BTreeSet<Place>,
    /// Whether anything has changed since they were looked at.
    is_stirred: bool,
    /// Answers from the window as it is, made once for all who get the same. What a window can be asked for bounds
    /// them, and all go when it moves, and with the next tick.
    answers: HashMap<(Content, bool), Framed>,
    /// Players who were given audio since the last tick.
    delivered: Vec<Player>,
}

impl Seat {
    /// The numbers of the window.
    pub(crate) fn view(&self) -> View {
        View::of(&self.window)
    }

    /// Looks at the window, and says that somebody wants it.
    pub(crate) fn look(&mut self) {
        let (before, looked_at) = (self.shape(), self.looked_at);
        self.looked_at = Instant::now();
        self.flowing = self.on_air.demand();
        self.is_closed = self.on_air.is_closed();
        self.on_air.follow(&mut self.window);
        if self.shape() != before {
            self.is_stirred = true;
            self.answers.clear();
        }
        let came = self.window.next().0.saturating_sub(before.0.next.0);
        let took = Duration::from_millis(came * PART_DURATION_MS);
        if came > 1 && took > self.looked_at - looked_at + PART {
            self.rush = GROUPS;
        }
    }

    /// Whether parts have just come faster than they are made, because they were held up before they were here.
    pub(crate) fn is_rushed(&self) -> bool {
        self.rush > 0
    }

    /// What is to be known to tell whether anything has changed.
    fn shape(&self) -> (View, PartIndex, bool, bool) {
        let true_next = self.window.true_next();
        (self.view(), true_next, self.flowing, self.is_closed)
    }

    /// The answer that this content makes for everyone.
    pub(crate) fn answer(&mut self, content: Content, keeps: bool, headers: &Headers) -> Framed {
        let (on_air, window) = (&self.on_air, &self.window);
        let made = self.answers.entry((content, keeps)).or_insert_with(|| {
            let source = Source {
                space: &on_air.facts().space,
                window,
                recorded: on_air.past().recorded(),
                headers,
            };
            answer::reply(&hls::compose(content, &source), keeps)
        });
        made.clone()
    }

    /// Counts a player who is known by what he was given.
    pub(crate) fn deliver(&mut self, player: Player) {
        self.delivered.push(player);
    }

    /// Tells how many listen, if it has changed, of whom so many have just joined.
    fn report(&mut self, shard: Shard, now_ms: u64, just_joined: u64) {
        if !self.delivered.is_empty() {
            self.on_air.delivered_to(&mut self.delivered);
        }
        let listening = self.audience.listening(now_ms);
        if listening != self.reported || just_joined > 0 {
            self.on_air.counted(shard, listening, just_joined);
            self.reported = listening;
        }
    }
}

/// The spaces that have listeners on this shard; at most as many as are on air.
pub(crate) struct Seats {
    shard: Shard,
    taken: Vec<Option<Seat>>,
    by_slug: BTreeMap<String, SeatIndex>,
}

impl Seats {
    /// No space yet.
    pub(crate) fn new(shard: Shard) -> Self {
        Self {
            shard,
            taken: Vec::new(),
            by_slug: BTreeMap::new(),
        }
    }

    /// The seat of a space, for one connection more.
    pub(crate) fn take(&mut self, slug: &str, on_air: Arc<OnAir>) -> SeatIndex {
        let known = self.by_slug.get(slug).copied();
        let index = known
            .filter(|index| Arc::ptr_eq(&self.at(*index).on_air, &on_air))
            .unwrap_or_else(|| self.add(slug, on_air));
        let seat = self.at(index);
        seat.connections += 1;
        seat.look();
        index
    }

    fn add(&mut self, slug: &str, on_air: Arc<OnAir>) -> SeatIndex {
        let seat = Some(Seat {
            slug: slug.to_owned(),
            window: on_air.window_as_it_stands(),
            on_air,
            flowing: false,
            is_closed: false,
            connections: 0,
            audience: Audience::default(),
            reported: 0,
            looked_at: Instant::now(),
            rush: 0,
            held: BTreeSet::new(),
            is_stirred: false,
            answers: HashMap::new(),
            delivered: Vec::new(),
        });
        let place = self.taken.iter().position(Option::is_none);
        let place = place.unwrap_or_else(|| {
            self.taken.push(None);
            self.taken.len() - 1
        });
        self.taken[place] = seat;
        let index = SeatIndex::try_from(place).expect("fewer spaces than connections");
        self.by_slug.insert(slug.to_owned(), index);
        index
    }

    /// A seat that some connection has taken.
    pub(crate) fn at(&mut self, index: SeatIndex) -> &mut Seat {
        self.taken[index as usize]
            .as_mut()
            .expect("a seat stays while a connection has it")
    }

    /// Looks at all windows, before listeners of this group are visited and counted anew.
    pub(crate) fn look(&mut self, group: usize) {
        for seat in self.taken.iter_mut().flatten() {
            seat.audience.heard[group] = 0;
            // The clock that they carry has moved.
            seat.answers.clear();
            if seat.connections > 0 {
                seat.rush = seat.rush.saturating_sub(1);
                seat.look();
            }
        }
    }

    /// When the newest part came of the space in which most are here.
    pub(crate) fn newest_part_at(&self) -> Option<Instant> {
        let seats = self.taken.iter().flatten();
        let leading = seats.max_by_key(|seat| seat.connections)?;
        (leading.flowing && leading.connections > 0).then(|| leading.on_air.changed_at())
    }

    /// How many requests are held.
    pub(crate) fn held(&self) -> usize {
        let seats = self.taken.iter().flatten();
        seats.map(|seat| seat.held.len()).sum()
    }

    /// Looks at the windows for which requests are held.
    pub(crate) fn look_for_held(&mut self) {
        let seats = self.taken.iter_mut().flatten();
        seats
            .filter(|seat| !seat.held.is_empty())
            .for_each(Seat::look);
    }

    /// A seat of which something has changed since its held requests were looked at, and these.
    pub(crate) fn stirred(&mut self) -> Option<BTreeSet<Place>> {
        let mut seats = self.taken.iter_mut().flatten();
        let seat = seats.find(|seat| seat.is_stirred && !seat.held.is_empty())?;
        seat.is_stirred = false;
        Some(std::mem::take(&mut seat.held))
    }

    /// Tells how many listen; a space that nobody listens to any more is let go.
    pub(crate) fn report(&mut self, now_ms: u64) {
        for (place, here) in self.taken.iter_mut().enumerate() {
            let Some(seat) = here else { continue };
            seat.report(self.shard, now_ms, 0);
            if seat.connections == 0 && seat.reported == 0 {
                let named = self.by_slug.get(&seat.slug);
                if named.is_some_and(|index| *index as usize == place) {
                    self.by_slug.remove(&seat.slug);
                }
                *here = None;
            }
        }
    }

    /// Somebody joined.
    pub(crate) fn joined(&mut self, index: SeatIndex, group: usize, now_ms: u64) {
        let shard = self.shard;
        let seat = self.at(index);
        seat.audience.heard[group] += 1;
        seat.report(shard, now_ms, 1);
    }

    /// A connection has gone; if it listened, it last got audio then.
    pub(crate) fn leave(&mut self, index: SeatIndex, listened: Option<Heard>) {
        let seat = self.at(index);
        seat.connections -= 1;
        if let Some(heard) = listened {
            seat.audience.depart(heard);
        }
    }
}

/// When a listener last got audio, as a connection that has just gone says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    /// The group in which he was counted.
    pub(crate) group: usize,
    /// When he last got audio.
    pub(crate) at_ms: u64,
    /// When he went.
    pub(crate) now_ms: u64,
}

/// How many listen, by the definition of [`LISTENING_FOR`], without an entry for each.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    /// Connected listeners who got audio lately, by group; each group is counted anew when it is visited.
    pub(crate) heard: [u64; GROUPS],
    /// Who left although he got audio lately: until which second he counts, and how many like him.
    departed: BTreeMap<u64, u64>,
}

impl Audience {
    /// Counts one who is connected and last got audio then.
    pub(crate) fn count(&mut self, group: usize, heard_ms: u64, now_ms: u64) {
        self.heard[group] += u64::from(now_ms < heard_ms + LISTENING_FOR_MS);
    }

    fn depart(&mut self, heard: Heard) {
        let until_ms = heard.at_ms + LISTENING_FOR_MS;
        if heard.now_ms < until_ms {
            self.heard[heard.group] = self.heard[heard.group].saturating_sub(1);
            *self.departed.entry(until_ms / 1_000).or_default() += 1;
        }
    }

    fn listening(&mut self, now_ms: u64) -> u64 {
        self.departed = self.departed.split_off(&(now_ms / 1_000 + 1));
        self.heard.iter().sum::<u64>() + self.departed.values().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_left_counts_until_ten_seconds_after_his_last_audio() {
        let mut audience = Audience {
            heard: [0, 2, 0],
            ..Audience::default()
        };
        let heard = Heard {
            group: 1,
            at_ms: 5_000,
            now_ms: 7_000,
        };
        audience.depart(heard);
        audience.depart(Heard {
            at_ms: 1_000,
            now_ms: 12_000,
            ..heard
        });
        assert_eq!(audience.listening(7_000), 2);
        audience.heard[1] = 0;
        audience.count(1, 5_000, 14_000);
        assert_eq!(audience.listening(14_999), 2);
        audience.heard[1] = 0;
        audience.count(1, 5_000, 15_000);
        assert_eq!(audience.listening(15_000), 0);
    }
}
