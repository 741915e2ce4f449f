//! A loop whose system is made up, and whose time is ours.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;

use throng_core::admission::Limits;
use throng_core::network::TrustedProxies;
use throng_core::playlist::HOLD_LIMIT_MS;
use throng_core::rendition::RENDITION_COUNT;
use throng_core::timeline::PartIndex;
use throng_core::window::{Packaged, Part};

use super::*;
use crate::air::Pages;
use crate::document::Document;
use crate::engine::port::Taken;
use crate::hand_over::hand_over;
use crate::on_air::OnAir;
use crate::on_air::tests::on_air;
use crate::space_file::PageFile;

/// What peers have said and were told.
#[derive(Default)]
struct Wires {
    said: BTreeMap<Place, VecDeque<Vec<u8>>>,
    told: BTreeMap<Place, Vec<Bytes>>,
    /// Of whom it was asked where they come from.
    asked: Vec<Place>,
}

impl Port for Wires {
    fn wait(&mut self, _: Duration, _: &mut Vec<Event>) -> io::Result<()> {
        Ok(())
    }

    fn wake_by(&mut self, _: &Arc<OwnedFd>) -> io::Result<()> {
        Ok(())
    }

    fn set_accepting(&mut self, _: bool) {}

    fn take(&mut self, place: Place, into: &mut [u8; READ_MAX_BYTES]) -> Taken {
        let Some(said) = self.said.entry(place).or_default().pop_front() else {
            return Taken::Nothing;
        };
        into[..said.len()].copy_from_slice(&said);
        Taken::Bytes(said.len())
    }

    fn ask_peer(&mut self, place: Place) {
        self.asked.push(place);
    }

    fn watch(&mut self, _: Place, _: Interest) {}

    fn send(&mut self, place: Place, bytes: &Bytes, _: bool) -> Option<Sent> {
        self.told.entry(place).or_default().push(bytes.clone());
        Some(Sent::Whole)
    }

    fn shut_down(&mut self, _: Place) {}

    fn close(&mut self, _: Place) {}

    fn release(&mut self, _: Place) {}
}

impl Shard<Wires> {
    fn hear(&mut self, place: Place, said: &str) {
        let row = self.port.said.entry(place).or_default();
        row.push_back(said.as_bytes().to_vec());
    }

    /// What a peer was told since he was last asked.
    fn told(&mut self, place: Place) -> Vec<Bytes> {
        self.port.told.remove(&place).unwrap_or_default()
    }
}

/// A loop, and a space whose slug is `a`.
fn shard(on_air: &Arc<OnAir>) -> Shard<Wires> {
    let page = |text: &str| Document::new(text.to_owned(), "text/html", "no-store");
    let pages = Pages {
        not_found: page("not here"),
        files: PageFile::ALL.map(|_| page("a file")),
    };
    let air = Air::new(Default::default(), pages, page("the list"));
    air.add("a", Arc::clone(on_air));
    let (hand_over, _handed) = hand_over(1, air.budget());
    let mut shard = Shard::new(presence::Shard(7), Wires::default(), air, hand_over);
    shard.connections_max = 10_000;
    shard
}

fn push(on_air: &OnAir, index: u64) {
    let packaged = |rendition: usize| Packaged {
        cmaf: format!("<{rendition} {index}>").into(),
        stream: Bytes::new(),
    };
    let part = Part {
        index: PartIndex(index),
        renditions: std::array::from_fn::<_, RENDITION_COUNT, _>(packaged),
    };
    on_air.change_window(|window| window.push(Arc::new(part)).unwrap());
}

const PART: &str = "GET /s/a/hls/o48/0.0.m4s HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn thousands_wait_for_one_part_and_are_told_the_same_bytes_at_the_first_look() {
    let on_air = on_air();
    let mut shard = shard(&on_air);
    let waiting = 5_000;
    for place in 0..waiting {
        shard.hear(place, PART);
        shard.react(Event::Arrived(place));
    }
    assert_eq!(shard.seats.held(), 5_000);
    assert!(shard.port.told.is_empty());
    shard.react(Event::Left(17));
    push(&on_air, 0);
    shard.now_ms += files::LOOK_MS;
    shard.look_for_held();
    let first = shard.told(0);
    assert!(first[0].ends_with(b"<0 0>"));
    for place in (1..waiting).filter(|place| *place != 17) {
        let told = shard.told(place);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].as_ptr(), first[0].as_ptr(), "nobody has a copy");
    }
    assert!(shard.told(17).is_empty());
    assert_eq!((shard.seats.held(), shard.has_held), (0, false));
}

#[test]
fn who_waits_too_long_is_told_to_come_again_and_may_ask_on() {
    let on_air = on_air();
    let mut shard = shard(&on_air);
    shard.hear(0, PART);
    shard.react(Event::Arrived(0));
    for _ in 0..GROUPS {
        shard.now_ms = HOLD_LIMIT_MS - 1;
        shard.tick();
    }
    assert!(shard.told(0).is_empty());
    for _ in 0..GROUPS {
        shard.now_ms = HOLD_LIMIT_MS;
        shard.tick();
    }
    let told = shard.told(0);
    assert!(told[0].starts_with(b"HTTP/1.1 503 "), "{told:?}");
    // The window stops; it must be filled anew.
    on_air.set_flowing(false);
    shard.hear(0, &PART.replace("0.0.m4s", "media.m3u8"));
    shard.react(Event::Readable(0));
    assert!(shard.told(0).is_empty());
    push(&on_air, 0);
    on_air.set_flowing(true);
    shard.tick();
    let told = shard.told(0);
    assert!(told[0].ends_with(b"LAST-PART=0\n"), "{told:?}");
}

#[test]
fn what_comes_before_its_turn_is_kept_in_bounds() {
    let on_air = on_air();
    let mut shard = shard(&on_air);
    shard.hear(0, &format!("{PART}{PART}"));
    shard.react(Event::Arrived(0));
    // Whatever he goes on to say is read once, and then not before he was answered.
    shard.hear(0, &PART.repeat(50));
    shard.react(Event::Readable(0));
    assert_eq!(shard.heads[&0].len(), 51 * PART.len());
    push(&on_air, 0);
    shard.tick();
    for answers in 1..=52 {
        assert_eq!(shard.port.told[&0].len(), answers, "one for each turn");
        shard.go_on();
    }
    assert!(shard.heads.is_empty() && shard.again.is_empty());
    assert_eq!(shard.told(0).len(), 52);
}

#[test]
fn three_ticks_visit_every_place_once() {
    for count in [0, 1, 63, 64, 65, 500] {
        let mut visited: Vec<_> = (0..GROUPS)
            .flat_map(|group| {
                places_of(group, count).inspect(move |place| assert_eq!(group_of(*place), group))
            })
            .collect();
        visited.sort_unstable();
        let all: Vec<_> = (0..count)
            .map(|place| Place::try_from(place).unwrap())
            .collect();
        assert_eq!(visited, all);
    }
}

const LIVE: &str = "GET /s/a/live.mp4 HTTP/1.1\r\nhost: a\r\n\r\n";

/// A loop with 300 listeners of a space of some parts.
fn full() -> Shard<Wires> {
    let on_air = on_air();
    (0..20).for_each(|index| push(&on_air, index));
    let mut shard = shard(&on_air);
    for place in 0..300 {
        shard.hear(place, LIVE);
        shard.react(Event::Arrived(place));
        assert!(!shard.told(place).is_empty(), "he listens");
    }
    shard
}

/// The same, and its process is ordered to let them go.
fn drained(successor: Successor) -> Shard<Wires> {
    let shard = full();
    shard.air.drain(successor);
    shard
}

fn listening(shard: &Shard<Wires>) -> usize {
    let slots = shard.slots.iter();
    slots
        .filter(|slot| matches!(slot, Slot::Listening(_)))
        .count()
}

#[test]
fn who_finds_the_house_full_is_told_so_and_his_connection_is_over() {
    let on_air = on_air();
    (0..20).for_each(|index| push(&on_air, index));
    let mut shard = shard(&on_air);
    shard.air.room().limit(Limits {
        slots: Some(10),
        egress_bits: None,
    });
    for place in 0..1_000 {
        shard.hear(place, LIVE);
        shard.react(Event::Arrived(place));
        let status = if place < 10 { "200" } else { "503" };
        let told = shard.told(place).concat();
        assert!(told.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
    }
    assert_eq!((shard.connections, listening(&shard)), (10, 10));
    let rest = &shard.slots[10..];
    assert!(rest.iter().all(|slot| matches!(slot, Slot::Empty)));
}

#[test]
fn listeners_are_sent_away_one_by_one_after_all_that_they_were_sent() {
    let mut shard = drained(Successor::Here);
    let mut left = Vec::new();
    for now_ms in (300..800).step_by(20) {
        shard.now_ms = now_ms;
        (0..GROUPS).for_each(|_| shard.tick());
        left.push(listening(&shard));
    }
    assert_eq!((left[0], *left.last().unwrap()), (300, 0), "{left:?}");
    let most = left.windows(2).map(|pair| pair[0] - pair[1]).max().unwrap();
    assert!(most < 60, "not all at once: {left:?}");
    let lingers = |slot: &Slot| matches!(slot, Slot::Lingering { .. });
    assert!(
        shard.slots.iter().all(lingers),
        "what they were sent is theirs"
    );
    assert_eq!(shard.air.listeners(), 0);
}

#[test]
fn a_process_without_memory_lets_nobody_in_hands_nothing_on_and_goes_on_with_whoever_listens() {
    let mut shard = full();
    shard.air.budget().bound(1);
    shard.air.budget().look(1);
    let hands_on = "GET /s/a/nothing HTTP/1.1\r\nhost: a\r\n\r\n";
    for (place, head) in [(300, LIVE), (301, hands_on)] {
        shard.hear(place, head);
        shard.react(Event::Arrived(place));
        let told = shard.told(place).concat();
        let told = String::from_utf8_lossy(&told);
        assert!(told.starts_with("HTTP/1.1 503 "), "{head}: {told}");
        assert!(told.contains("retry-after: "), "{told}");
    }
    shard.hear(302, "GET /s/a HTTP/1.1\r\nhost: a\r\n\r\n");
    shard.react(Event::Arrived(302));
    let page = shard.told(302).concat();
    let page = String::from_utf8_lossy(&page);
    assert!(
        page.starts_with("HTTP/1.1 200 ") && page.contains("connection: close"),
        "{page}"
    );
    (0..GROUPS).for_each(|_| shard.tick());
    assert_eq!(listening(&shard), 300);
    (0..4).for_each(|place| shard.react(Event::Left(place)));
    shard.hear(303, LIVE);
    shard.react(Event::Arrived(303));
    assert_eq!(
        listening(&shard),
        297,
        "who goes leaves his place to the next"
    );
}

#[test]
fn what_was_held_up_before_it_came_makes_no_span_late() {
    let mut shard = full();
    let mut index = 20;
    let mut round = |shard: &mut Shard<Wires>, parts: u64| {
        let seat = &shard.seats.at(0).on_air;
        (index..index + parts).for_each(|index| push(seat, index));
        index += parts;
        (0..GROUPS).for_each(|_| shard.tick());
        shard.tally.settle(&shard.air, 0);
        shard.air.ladder().strain().end_second().late_spans
    };
    assert_eq!((0..12).map(|_| round(&mut shard, 1)).sum::<u32>(), 0);
    assert_eq!(round(&mut shard, 5), 0, "the origin was away");
    assert_eq!((0..12).map(|_| round(&mut shard, 1)).sum::<u32>(), 0);
    let back = Instant::now().checked_sub(Duration::from_secs(2));
    shard.seats.at(0).looked_at = back.unwrap();
    assert!(round(&mut shard, 5) > 0, "nobody looked");
}

#[test]
fn a_crowd_that_has_just_come_is_not_taken_for_one_that_says_nothing() {
    let mut shard = shard(&on_air());
    let rounds = |shard: &mut Shard<Wires>| (0..2 * GROUPS).for_each(|_| shard.tick());
    (0..5_000).for_each(|place| shard.react(Event::Arrived(place)));
    rounds(&mut shard);
    assert!(shard.port.asked.is_empty(), "they may yet speak");
    shard.now_ms += silent::GRACE_MS;
    rounds(&mut shard);
    assert!(!shard.port.asked.is_empty());
}

#[test]
fn newcomers_are_told_to_come_again_only_where_nobody_takes_over() {
    for (successor, status) in [(Successor::Elsewhere, "503"), (Successor::Here, "200")] {
        let mut shard = drained(successor);
        shard.tick();
        shard.hear(300, LIVE);
        shard.react(Event::Arrived(300));
        let told = shard.told(300).concat();
        let told = String::from_utf8_lossy(&told);
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{told}");
        assert_eq!(told.contains("retry-after: "), status == "503", "{told}");
    }
}

/// What somebody at this address is told, in a full house, who asks without a number for the list of renditions and says
/// that he asks for another; and whether it had to be asked who he is.
fn told_who_asks_for_another(proxies: &[&str], address: &str) -> (String, bool) {
    let mut shard = full();
    shard.air.room().limit(Limits {
        slots: Some(300),
        egress_bits: None,
    });
    let proxies = proxies.iter().map(|network| network.parse().unwrap());
    shard.air.trust(TrustedProxies::new(proxies.collect()));
    let head = "GET /s/a/hls/main.m3u8 HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.9\r\n\r\n";
    shard.hear(300, head);
    shard.react(Event::Arrived(300));
    let is_asked = shard.port.asked == [300];
    if is_asked {
        assert!(shard.told(300).is_empty(), "it is not known who he is");
        shard.react(Event::Peer(300, address.parse().unwrap()));
    }
    let told = shard.told(300).concat();
    let status = String::from_utf8_lossy(&told)[..12].to_owned();
    // On the same connection it is known.
    shard.hear(300, head);
    shard.react(Event::Readable(300));
    shard.go_on();
    assert!(shard.port.asked.len() <= 1);
    (status, is_asked)
}

#[test]
fn only_proxies_of_ours_ask_for_others_once_they_are_named() {
    let ours = ["10.0.0.0/8"];
    let (ok, wait) = ("HTTP/1.1 200".to_owned(), "HTTP/1.1 503".to_owned());
    assert_eq!(
        told_who_asks_for_another(&ours, "10.0.0.1"),
        (ok.clone(), true)
    );
    assert_eq!(
        told_who_asks_for_another(&ours, "::ffff:10.0.0.1"),
        (ok.clone(), true)
    );
    assert_eq!(told_who_asks_for_another(&ours, "192.0.2.1"), (wait, true));
    assert_eq!(told_who_asks_for_another(&[], "192.0.2.1"), (ok, false));
}

#[test]
fn a_proxy_that_has_nothing_to_say_is_not_one_of_too_many() {
    let mut shard = shard(&on_air());
    shard
        .air
        .trust(TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]));
    (0..5_000).for_each(|place| shard.react(Event::Arrived(place)));
    for place in 0..5_000 {
        shard.react(Event::Peer(place, "10.0.0.1".parse().unwrap()));
    }
    assert_eq!(shard.connections, 5_000);
    for place in 0..5_000 {
        shard.react(Event::Peer(place, "192.0.2.1".parse().unwrap()));
    }
    assert!(shard.connections < 5_000, "others are");
}
