//! A publisher and a mirror together, over bytes, and what happens when the line between them goes.

use bytes::Bytes;
use throng_core::caching::BRIEF;
use throng_core::rendition::RENDITION_COUNT;
use throng_core::space::{Act, Actor, Announcement, Space};
use throng_core::time::UnixMillis;
use throng_core::window::Packaged;
use tokio::sync::mpsc;
use tokio::time::advance;

use super::super::decoder::Decoder;
use super::super::publisher::publish;
use super::*;
use crate::air::{Headers, Pages};
use crate::document::Document;
use crate::presence::{Counts, Player};
use crate::space_file::PageFile;

fn headers() -> [Headers; 2] {
    [b"header for one", b"header for two"].map(|header| {
        let header = [const { Bytes::new() }; RENDITION_COUNT].map(|_| Bytes::from_static(header));
        Headers {
            init: header.clone(),
            stream: header,
        }
    })
}

fn document(text: &str) -> Document {
    Document::new(text.to_owned(), "text/html", BRIEF)
}

fn house() -> Arc<Air> {
    let pages = Pages {
        not_found: document("not here"),
        files: PageFile::ALL.map(|_| document("a file")),
    };
    Air::new(headers(), pages, document("nothing"))
}

fn part(index: u64, sound: &str) -> Part {
    let packaged = Packaged {
        cmaf: format!("{sound}{index}").into(),
        stream: Bytes::new(),
    };
    Part {
        index: PartIndex(index),
        renditions: std::array::from_fn(|_| packaged.clone()),
    }
}

fn facts(title: &str) -> Facts {
    facts_of(title, Channels::Mono)
}

fn facts_of(title: &str, channels: Channels) -> Facts {
    let announcement = Announcement {
        id: title.to_owned(),
        slug: Slug::parse(title).unwrap(),
        title: title.to_owned(),
        scheduled_at: None,
        speakers: 2,
        expected_listeners: None,
    };
    let mut space = Space::announce(UnixMillis(0), announcement).unwrap();
    space.sound.channels = channels;
    space
        .apply(UnixMillis(0), Actor::Host, Act::GoLive)
        .unwrap();
    Facts {
        space: Arc::new(space),
        page: Arc::new(document(title)),
        chapters: Arc::new(document(title)),
    }
}

/// A space of an origin with parts from 0 on.
fn on_air(title: &str, parts: u64) -> Arc<OnAir> {
    on_air_as(&facts(title), parts)
}

fn on_air_as(facts: &Facts, parts: u64) -> Arc<OnAir> {
    let past = Box::new(KeptElsewhere::nothing());
    let (window, presence) = (Window::new(PartIndex(0)), Presence::default());
    let on_air = OnAir::new(facts.clone(), window, presence, past);
    on_air.declare(facts.clone());
    on_air.set_flowing(true);
    (0..parts).for_each(|index| push(&on_air, index));
    Arc::new(on_air)
}

fn push(on_air: &OnAir, index: u64) {
    on_air.change_window(|window| window.push(Arc::new(part(index, "true "))).unwrap());
}

fn mirror() -> Mirror {
    let stand_in = |channels: Channels, index: PartIndex| {
        part(
            index.0,
            if channels.is_stereo() {
                "wide hold "
            } else {
                "hold "
            },
        )
    };
    Mirror::new(house(), Box::new(stand_in))
}

/// One line between the two.
struct Cable {
    frames: mpsc::Receiver<Bytes>,
    decoder: Decoder<Down>,
}

impl Cable {
    fn plug(origin: &Arc<Air>, mirror: &mut Mirror) -> Self {
        Self {
            frames: publish(origin, mirror.hello()),
            decoder: Decoder::default(),
        }
    }

    /// Carries what is to be told now, and says what kinds of messages were carried.
    async fn carry(&mut self, mirror: &mut Mirror) -> Vec<Down> {
        let mut carried = Vec::new();
        for _ in 0..100 {
            tokio::task::yield_now().await;
            while let Ok(frame) = self.frames.try_recv() {
                self.decoder.push(&frame);
                while let Some(message) = self.decoder.next_message().unwrap() {
                    mirror.apply(message.clone(), Instant::now()).unwrap();
                    carried.push(message);
                }
            }
        }
        carried
    }
}

fn parts_in(carried: &[Down]) -> Vec<u64> {
    let index = |message: &Down| match message {
        Down::Part { part, .. } => Some(part.index.0),
        _ => None,
    };
    carried.iter().filter_map(index).collect()
}

fn sound_of(mirror: &Mirror, slug: &str, index: u64) -> Bytes {
    let window = mirror.air.find(slug).unwrap().window_as_it_stands();
    window.part(PartIndex(index)).unwrap().renditions[0]
        .cmaf
        .clone()
}

#[tokio::test(start_paused = true)]
async fn who_has_not_been_told_what_is_on_air_tells_nobody_that_nothing_is() {
    let pages = Pages {
        not_found: document("not here"),
        files: PageFile::ALL.map(|_| document("a file")),
    };
    let (between, mut mirror) = (Air::new(headers(), pages, None), mirror());
    let mut cable = Cable::plug(&between, &mut mirror);
    cable.carry(&mut mirror).await;
    assert!(!*mirror.listed().borrow());
    between.add("talk", on_air("talk", 1));
    between.set_index(document("a talk"));
    cable.carry(&mut mirror).await;
    assert!(*mirror.listed().borrow());
    assert!(mirror.air.find("talk").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_mirror_holds_what_its_upstream_holds_and_gets_only_what_is_missing() {
    let (origin, talk) = (house(), on_air("talk", 400));
    origin.add("talk", Arc::clone(&talk));
    origin.set_index(document("a talk"));
    let mut mirror = mirror();
    let mut cable = Cable::plug(&origin, &mut mirror);
    cable.carry(&mut mirror).await;
    assert!(*mirror.listed().borrow() && !*mirror.filled().borrow());
    mirror.tick(Instant::now());
    assert!(*mirror.filled().borrow());
    let here = mirror.air.find("talk").unwrap();
    let (window, there) = (here.window_as_it_stands(), talk.window_as_it_stands());
    assert_eq!(
        (window.oldest(), window.next()),
        (there.oldest(), there.next())
    );
    assert_eq!(here.facts().page, talk.facts().page);
    assert_eq!(*mirror.air.index().unwrap(), document("a talk"));

    drop(cable);
    push(&talk, 400);
    origin.add("later", on_air("later", 1));
    let mut cable = Cable::plug(&origin, &mut mirror);
    let carried = cable.carry(&mut mirror).await;
    let mut parts = parts_in(&carried);
    parts.sort_unstable();
    assert_eq!(
        parts,
        [0, 400],
        "one is the first of another space, one new in the talk"
    );
    push(&talk, 401);
    assert_eq!(parts_in(&cable.carry(&mut mirror).await), [401]);
    talk.change_window(Window::finish);
    cable.carry(&mut mirror).await;
    assert!(here.window_as_it_stands().is_finished());
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_while_there_was_no_line_is_gone_with_the_next() {
    let origin = house();
    origin.add("talk", on_air("talk", 1));
    origin.add("other", on_air("other", 1));
    let mut mirror = mirror();
    let mut cable = Cable::plug(&origin, &mut mirror);
    cable.carry(&mut mirror).await;
    let other = mirror.air.find("other").unwrap();
    drop(cable);
    origin.remove("other");
    let mut cable = Cable::plug(&origin, &mut mirror);
    cable.carry(&mut mirror).await;
    assert!(mirror.air.find("other").is_none() && mirror.air.find("talk").is_some());
    assert!(
        other.window().await.is_none(),
        "who waits there is sent away"
    );
    origin.remove("talk");
    cable.carry(&mut mirror).await;
    assert!(mirror.air.find("talk").is_none());
}

#[tokio::test(start_paused = true)]
async fn the_hold_loop_stands_in_from_where_the_parts_stopped_and_the_talk_takes_its_place() {
    let (origin, talk) = (house(), on_air("talk", 10));
    origin.add("talk", Arc::clone(&talk));
    let mut mirror = mirror();
    let mut cable = Cable::plug(&origin, &mut mirror);
    cable.carry(&mut mirror).await;
    drop(cable);
    let here = mirror.air.find("talk").unwrap();
    let next = || here.window_as_it_stands().next().0;

    advance(Duration::from_millis(1_300)).await;
    mirror.tick(Instant::now());
    assert_eq!(next(), 10, "there is patience");
    advance(Duration::from_millis(100)).await;
    mirror.tick(Instant::now());
    assert_eq!(next(), 14, "1.4 s are four parts");
    advance(Duration::from_millis(640)).await;
    mirror.tick(Instant::now());
    assert_eq!(next(), 16, "in real time from here on");
    assert_eq!(sound_of(&mirror, "talk", 10), "hold 10");

    // The origin is back: what was lost is silence there, and the talk goes on ahead of the clock.
    (10..18).for_each(|index| push(&talk, index));
    let mut cable = Cable::plug(&origin, &mut mirror);
    assert_eq!(
        parts_in(&cable.carry(&mut mirror).await),
        (10..18).collect::<Vec<_>>()
    );
    assert_eq!(sound_of(&mirror, "talk", 10), "true 10");
    let window = here.window_as_it_stands();
    assert_eq!((window.next().0, window.true_next().0), (18, 18));
}

#[tokio::test(start_paused = true)]
async fn a_stereo_space_has_headers_and_a_hold_loop_of_its_own() {
    let (origin, talk) = (house(), on_air_as(&facts_of("talk", Channels::Stereo), 10));
    origin.add("talk", Arc::clone(&talk));
    for (channels, sound) in [(Channels::Mono, "one "), (Channels::Stereo, "two ")] {
        origin.set_hold(channels, HoldParts::new(vec![part(0, sound)]));
    }
    let mut mirror = mirror();
    let mut cable = Cable::plug(&origin, &mut mirror);
    cable.carry(&mut mirror).await;
    drop(cable);
    let here = mirror.air.find("talk").unwrap();
    assert_eq!(
        *mirror.air.headers_of(&here),
        headers()[Channels::Stereo.index()]
    );
    for (channels, sound) in [(Channels::Mono, "one 0"), (Channels::Stereo, "two 0")] {
        let hold = mirror.air.hold(channels).borrow().clone().unwrap();
        assert_eq!(hold.parts()[0].renditions[0].cmaf, sound);
    }
    advance(Duration::from_millis(1_400)).await;
    mirror.tick(Instant::now());
    assert_eq!(sound_of(&mirror, "talk", 10), "wide hold 10");
}

/// What a process that stood still has to make up for takes it seconds, and no cushion lasts for the pause and these.
#[tokio::test(start_paused = true)]
async fn the_hold_loop_goes_on_while_an_origin_that_stood_still_catches_up() {
    let (origin, talk) = (house(), on_air("talk", 10));
    origin.add("talk", Arc::clone(&talk));
    let mut mirror = mirror();
    let mut cable = Cable::plug(&origin, &mut mirror);
    cable.carry(&mut mirror).await;
    let here = mirror.air.find("talk").unwrap();
    let next = || here.window_as_it_stands().next().0;
    advance(Duration::from_secs(5)).await;
    mirror.tick(Instant::now());
    assert_eq!(next(), 25);

    (10..14).for_each(|index| push(&talk, index));
    cable.carry(&mut mirror).await;
    advance(Duration::from_millis(640)).await;
    mirror.tick(Instant::now());
    assert_eq!(next(), 27, "in real time, as if nothing had come");
    (14..29).for_each(|index| push(&talk, index));
    cable.carry(&mut mirror).await;
    advance(Duration::from_millis(320)).await;
    mirror.tick(Instant::now());
    assert_eq!(next(), 29, "it has caught up");

    // Whoever's clock stood still, too, never catches up: then he is waited for.
    advance(Duration::from_mins(1)).await;
    mirror.tick(Instant::now());
    for index in 29..70 {
        push(&talk, index);
        cable.carry(&mut mirror).await;
        advance(Duration::from_millis(320)).await;
        mirror.tick(Instant::now());
    }
    let stood_in = next();
    assert!(
        (29 + 187 + 30..29 + 187 + 35).contains(&stood_in),
        "{stood_in}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_stands_in_where_nothing_was_to_be_expected() {
    let (origin, talk) = (house(), on_air("talk", 10));
    origin.add("talk", Arc::clone(&talk));
    let mut mirror = mirror();
    let mut cable = Cable::plug(&origin, &mut mirror);
    cable.carry(&mut mirror).await;
    talk.change_window(Window::finish);
    cable.carry(&mut mirror).await;
    advance(Duration::from_mins(1)).await;
    mirror.tick(Instant::now());
    let window = mirror.air.find("talk").unwrap().window_as_it_stands();
    assert_eq!(
        (window.next().0, window.is_finished()),
        (10, true),
        "it has ended"
    );
}

#[tokio::test(start_paused = true)]
async fn counts_go_up_and_their_sum_comes_down() {
    let (origin, talk) = (house(), on_air("talk", 1));
    origin.add("talk", Arc::clone(&talk));
    talk.delivered(Player::Connection(1));
    talk.report(7, 3, 4);
    let mut mirror = mirror();
    let mut cable = Cable::plug(&origin, &mut mirror);
    cable.carry(&mut mirror).await;
    let expected = Counts {
        listening: 4,
        peak: 4,
        joined: 5,
    };
    assert_eq!(mirror.air.find("talk").unwrap().counts(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_demand_is_told_once_and_lasts_while_somebody_listens() {
    let (origin, quiet) = (house(), on_air("talk", 0));
    quiet.set_flowing(false);
    origin.add("talk", quiet);
    let mut mirror = mirror();
    Cable::plug(&origin, &mut mirror).carry(&mut mirror).await;
    advance(Duration::from_secs(1)).await;
    assert!(mirror.tick(Instant::now()).is_empty(), "nobody has asked");
    assert!(mirror.demanded(Instant::now()).is_empty());
    mirror
        .air
        .find("talk")
        .unwrap()
        .delivered(Player::Connection(1));
    assert_eq!(mirror.tick(Instant::now()), mirror.demanded(Instant::now()));
    assert_eq!(mirror.demanded(Instant::now()).len(), 1);
    assert!(mirror.tick(Instant::now()).is_empty(), "it was told");
    advance(DEMAND_LASTS).await;
    assert!(mirror.demanded(Instant::now()).is_empty());
}
