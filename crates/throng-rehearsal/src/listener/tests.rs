//! A listener against a server of text: what he asks, what he counts, when he comes back.

use bytes::Bytes;
use throng_core::rendition::{Channels, Rendition};
use throng_core::timeline::PartIndex;
use throng_media::package::{init, package, stream_header};

use super::*;
use crate::orders::{Funnel, sample};

/// A listener with all that surrounds him, and a clock.
struct World {
    funnel: Funnel,
    shared: Shared,
    tally: Tally,
    chance: Chance,
    out: Vec<u8>,
    now_us: u64,
    listener: Listener,
}

impl World {
    fn new(via: Via) -> Self {
        let funnel = sample().funnel;
        Self {
            listener: Listener::new(7, via, 0, &funnel),
            funnel,
            shared: Shared::default(),
            tally: Tally::default(),
            chance: Chance::new(3),
            out: Vec::new(),
            now_us: 0,
        }
    }

    fn with<T>(&mut self, call: impl FnOnce(&mut Listener, &mut Scene<'_>) -> T) -> T {
        let mut scene = Scene {
            now_us: self.now_us,
            funnel: &self.funnel,
            shared: &mut self.shared,
            tally: &mut self.tally,
            chance: &mut self.chance,
            out: &mut self.out,
            keep: None,
        };
        call(&mut self.listener, &mut scene)
    }

    fn ask(&mut self) -> String {
        assert_eq!(self.with(Listener::ask), Act::Send);
        self.asked()
    }

    /// The target of the request that is to be sent.
    fn asked(&self) -> String {
        let text = std::str::from_utf8(&self.out).unwrap();
        text.split(' ').nth(1).unwrap().to_owned()
    }

    fn take(&mut self, bytes: &[u8]) -> Act {
        let (used, act) = self.with(|listener, scene| listener.take(scene, bytes));
        assert!(used == bytes.len() || act == Act::Wait);
        act
    }

    /// Answers with a whole body, and gives the next request.
    fn answer(&mut self, media: &str, body: &[u8]) -> String {
        assert_eq!(self.take(&answer(media, body)), Act::Send);
        self.asked()
    }

    /// On to the endless answer of `live.mp4`, with its head read.
    fn join(&mut self) {
        assert_eq!(self.ask(), "/s/a");
        assert_eq!(self.answer("text/html", b"<html>"), "/s/a/state.json");
        assert!(
            self.answer("application/json", b"{}")
                .starts_with("/s/a/live.mp4?l=")
        );
        self.take(
            b"HTTP/1.1 200 OK\r\nContent-Type: audio/mp4\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        self.chunk(&init(Rendition::O48, Channels::Mono, None));
    }

    fn chunk(&mut self, bytes: &[u8]) -> Act {
        self.take(&[format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
    }

    fn counts(&self) -> (u64, u64, u64, u64) {
        let tally = &self.tally;
        (tally.joined, tally.listening, tally.failed, tally.gaps)
    }
}

fn answer(media: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn part(number: u64) -> Bytes {
    let packets = vec![Bytes::from_static(&[8, 1, 2, 3]); 16];
    package(Rendition::O48, PartIndex(number), &packets).cmaf
}

const PART_US: u64 = 320_000;

#[test]
fn the_funnel_is_walked_on_one_connection_and_sound_is_counted_when_it_is_there() {
    let mut world = World::new(Via::Progressive);
    world.now_us = 1_000;
    world.join();
    assert_eq!(world.counts(), (1, 1, 0, 0));
    world.now_us = 5_000;
    let burst: Vec<u8> = (10..23).flat_map(|number| part(number).to_vec()).collect();
    assert_eq!(world.chunk(&burst), Act::Wait);
    assert_eq!(world.tally.first_sound_us.max(), 5_000);
    assert_eq!(world.tally.join_us.max(), 1_000);
    assert_eq!(world.tally.delivered_samples, 13 * 15_360);
    // A span each 0.96 s, for as long as the cushion lasts; then one comes 2 s late.
    for span in 0..3 {
        world.now_us += 3 * PART_US;
        let first = 23 + span * 3;
        let bytes: Vec<u8> = (first..first + 3)
            .flat_map(|number| part(number).to_vec())
            .collect();
        world.chunk(&bytes);
    }
    assert_eq!(
        (world.tally.gaps, world.tally.longest_wait_us),
        (0, 3 * PART_US)
    );
    world.now_us += 13 * PART_US + 2_000_000;
    world.chunk(&part(32));
    assert_eq!(
        (world.tally.gaps, world.tally.longest_gap_us),
        (1, 2_000_000)
    );
    assert_eq!(world.tally.troubles.len(), 0);
}

#[test]
fn a_lost_connection_comes_back_for_sound_alone_and_its_burst_is_not_counted_twice() {
    let mut world = World::new(Via::Progressive);
    world.join();
    let burst: Vec<u8> = (0..13).flat_map(|number| part(number).to_vec()).collect();
    world.chunk(&burst);
    world.now_us = 500_000;
    let Act::ComeBack { at_us } = world.with(Listener::closed) else {
        panic!("he comes back");
    };
    assert_eq!(at_us, 500_000, "the first time at once");
    assert_eq!((world.counts(), world.tally.lost), ((1, 0, 0, 0), 1));
    world.now_us = at_us;
    assert!(world.ask().starts_with("/s/a/live.mp4?l="));
    world.take(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mp4\r\nTransfer-Encoding: chunked\r\n\r\n");
    let again: Vec<u8> = (2..15).flat_map(|number| part(number).to_vec()).collect();
    world.chunk(&[&init(Rendition::O48, Channels::Mono, None)[..], &again].concat());
    assert_eq!(world.tally.delivered_samples, 15 * 15_360);
    assert_eq!(world.counts(), (1, 1, 0, 0));
    world.with(|listener, scene| listener.leave(scene.now_us, scene.tally));
    assert_eq!((world.tally.left, world.tally.listening), (1, 0));
}

#[test]
fn who_was_inside_when_his_server_vanished_comes_back_until_it_is_there_again() {
    let mut world = World::new(Via::Progressive);
    world.join();
    world.chunk(&part(0));
    let mut act = world.with(Listener::closed);
    for _ in 0..100 {
        let Act::ComeBack { at_us } = act else {
            panic!("he gave up");
        };
        assert!(at_us <= world.now_us + 10_000_000);
        world.now_us = at_us;
        act = world.with(|listener, scene| listener.unreached(scene, "connection refused"));
    }
    assert_eq!((world.counts(), world.tally.lost), ((1, 0, 0, 0), 1));
    let back = world.ask();
    assert!(
        back.starts_with("/s/a/live.mp4?l=") && back.ends_with("&from=1"),
        "{back}"
    );
    world.take(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mp4\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!((world.tally.listening, world.tally.failed), (1, 0));
    let told = b"HTTP/1.1 503 Busy\r\nRetry-After: 4\r\nContent-Length: 0\r\n\r\n";
    world.with(Listener::closed);
    world.ask();
    let Act::ComeBack { at_us } = world.take(told) else {
        panic!("he gave up");
    };
    let waited_us = at_us - world.now_us;
    assert!(
        (4_000_000..5_000_000).contains(&waited_us),
        "as he was told, and spread"
    );
}

#[test]
fn a_programme_that_ends_is_left_in_peace() {
    let mut world = World::new(Via::Progressive);
    world.join();
    world.chunk(&part(0));
    assert_eq!(world.take(b"0\r\n\r\n"), Act::Leave);
    assert_eq!(
        (world.tally.ended, world.tally.failed, world.tally.listening),
        (1, 0, 0)
    );
    assert!(world.listener.is_gone());
}

#[test]
fn a_refusal_is_counted_by_its_reason_and_waits_as_told() {
    let mut world = World::new(Via::Progressive);
    world.listener.step = Step::Stream;
    world.ask();
    let refusal = b"HTTP/1.1 503 No\r\nRetry-After: 5\r\nContent-Length: 2\r\n\r\nno";
    let Act::ComeBack { at_us } = world.take(refusal) else {
        panic!("he comes back");
    };
    assert!((5_000_000..6_000_000).contains(&at_us));
    assert_eq!(
        (world.tally.queued, world.tally.refused["status 503"]),
        (0, 1)
    );
    world.ask();
    let gone = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(world.take(gone), Act::Leave);
    assert_eq!(world.counts(), (0, 0, 1, 0));
}

#[test]
fn who_is_still_silent_at_the_end_has_a_gap() {
    let mut world = World::new(Via::Progressive);
    world.join();
    world.chunk(&part(0));
    world.now_us = PART_US + 700_000;
    world.with(|listener, scene| listener.leave(scene.now_us, scene.tally));
    assert_eq!((world.tally.gaps, world.tally.longest_gap_us), (1, 700_000));
    assert_eq!(world.tally.gap_listeners, 1);
}

#[test]
fn plain_players_get_what_the_answer_says_it_is() {
    let mut world = World::new(Via::Plain);
    world.listener.step = Step::Stream;
    assert!(world.ask().starts_with("/s/a/live."));
    world.take(b"HTTP/1.0 200 OK\r\nContent-Type: audio/webm\r\n\r\n");
    let packets = vec![Bytes::from_static(&[8, 1, 2, 3]); 16];
    let mut bytes = stream_header(Rendition::O48, Channels::Mono).to_vec();
    for number in 5..9 {
        bytes.extend(package(Rendition::O48, PartIndex(number), &packets).stream);
    }
    world.take(&bytes);
    assert_eq!(world.tally.delivered_samples, 4 * 15_360);
    assert_eq!(
        world.tally.first_sound_us.count(),
        1,
        "1.28 s is more than he gathers"
    );
    assert_eq!(
        world.take(b"\0\0"),
        Act::ComeBack {
            at_us: world.now_us
        }
    );
}

#[test]
fn low_latency_hls_goes_from_playlist_to_part_and_waits_for_the_next() {
    let mut world = World::new(Via::Hls);
    world.listener.step = Step::Main;
    let id = world.ask().split_once("l=").unwrap().1.to_owned();
    let main = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na64/media.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\no48/media.m3u8\n";
    let media = format!("/s/a/hls/o48/media.m3u8?l={id}");
    assert_eq!(world.answer("x", main), media);
    let list = |parts: u64| {
        let line = |part| format!("#EXT-X-PART:DURATION=0.32,URI=\"3.{part}.m4s\"\n");
        let lines = (0..parts).map(line).collect::<Vec<_>>().concat();
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0\n\
             #EXT-X-MEDIA-SEQUENCE:3\n#EXT-X-MAP:URI=\"init.mp4\"\n{lines}"
        )
    };
    assert_eq!(
        world.answer("x", list(5).as_bytes()),
        "/s/a/hls/o48/init.mp4"
    );
    assert_eq!(
        world.answer("video/mp4", &init(Rendition::O48, Channels::Mono, None)),
        "/s/a/hls/o48/3.2.m4s"
    );
    assert_eq!(world.counts(), (0, 0, 0, 0));
    assert_eq!(world.answer("video/mp4", &part(38)), "/s/a/hls/o48/3.3.m4s");
    assert_eq!(world.counts(), (1, 1, 0, 0));
    assert_eq!(world.answer("video/mp4", &part(39)), "/s/a/hls/o48/3.4.m4s");
    let reload = format!("{media}&_HLS_msn=3&_HLS_part=5&_HLS_skip=YES");
    assert_eq!(world.answer("video/mp4", &part(40)), reload);
    let stale = world.take(&answer("x", list(5).as_bytes()));
    assert_eq!(
        stale,
        Act::SendAt { at_us: 200_000 },
        "not in a circle without a pause"
    );
    world.ask();
    assert_eq!(
        world.answer("x", list(6).as_bytes()),
        "/s/a/hls/o48/3.5.m4s"
    );
    assert_eq!(
        (world.tally.delivered_samples, world.tally.gaps),
        (3 * 15_360, 0)
    );
}

#[test]
fn ordinary_hls_is_asked_for_again_after_the_target_duration() {
    let mut world = World::new(Via::Hls);
    world.listener.step = Step::Main;
    world.ask();
    let list = |last: u64| {
        let line = |number| format!("#EXTINF:2.0,\n{number}.aac\n");
        let lines = (last - 3..=last).map(line).collect::<Vec<_>>().concat();
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n{lines}",
            last - 3
        )
    };
    assert_eq!(world.answer("x", list(9).as_bytes()), "/s/a/hls/7.aac");
    world.answer("audio/aac", b"");
    assert_eq!(world.answer("audio/aac", b""), "/s/a/hls/9.aac");
    let wait = world.take(&answer("audio/aac", b""));
    assert_eq!(wait, Act::SendAt { at_us: 2_000_000 });
    world.now_us = 2_000_000;
    assert!(
        world.ask().starts_with("/s/a/hls/main.m3u8"),
        "it is the playlist itself"
    );
    assert_eq!(
        world.take(&answer("x", list(9).as_bytes())),
        Act::SendAt { at_us: 3_000_000 }
    );
    world.now_us = 3_000_000;
    world.ask();
    assert_eq!(world.answer("x", list(10).as_bytes()), "/s/a/hls/10.aac");
}

#[test]
fn an_answer_in_two_pieces_is_brought_again_until_it_is_whole() {
    let mut world = World::new(Via::Hls);
    world.listener.step = Step::Main;
    world.ask();
    let whole = answer("x", b"#EXTM3U\n#EXT-X-STREAM-INF:B=1\no48/media.m3u8\n");
    let (used, act) = world.with(|listener, scene| listener.take(scene, &whole[..20]));
    assert_eq!((used, act), (0, Act::Wait));
    let (used, act) = world.with(|listener, scene| listener.take(scene, &whole[..whole.len() - 5]));
    assert_eq!(act, Act::Wait);
    assert!(
        used > 0 && used < whole.len() - 5,
        "the head is used up, the text is not"
    );
    let act = world.take(&whole[used..]);
    assert_eq!(act, Act::Send);
    assert!(world.asked().starts_with("/s/a/hls/o48/media.m3u8"));
}

#[test]
fn who_is_given_a_ticket_waits_as_told_and_goes_in_with_it_when_his_turn_comes() {
    let mut world = World::new(Via::Progressive);
    world.listener.step = Step::Stream;
    world.ask();
    let full = r#"{"ticket":"T","place":40,"serving":7,"ask_again_seconds":20,"reason":"full"}"#;
    let expect_back = |act: Act, from: u64, to: u64| {
        let Act::ComeBack { at_us } = act else {
            panic!("he comes back");
        };
        assert!(
            (from * 1_000_000..=to * 1_000_000).contains(&at_us),
            "{at_us}"
        );
        at_us
    };
    world.now_us = expect_back(world.take(&told("503 No", full)), 20, 21);
    for (progress, from, to) in [
        (r#"{"serving":9,"of":90,"per_minute":60}"#, 40, 42),
        (r#"{"serving":20,"of":90,"per_minute":60}"#, 42, 45),
    ] {
        assert_eq!(world.ask(), "/s/a/now-serving.json");
        world.now_us = expect_back(world.take(&told("200 OK", progress)), from, to);
    }
    assert_eq!(world.ask(), "/s/a/now-serving.json");
    assert_eq!(
        world.take(&told("200 OK", r#"{"serving":40,"of":90}"#)),
        Act::Send
    );
    let out = world.ask();
    assert!(
        out.starts_with("/s/a/live.mp4?l=") && out.ends_with("&ticket=T"),
        "{out}"
    );
    world.take(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mp4\r\nTransfer-Encoding: chunked\r\n\r\n");
    world.chunk(&[&init(Rendition::O48, Channels::Mono, None)[..], &part(0)].concat());
    assert_eq!((world.tally.queued, world.counts()), (1, (1, 1, 0, 0)));
    assert!(
        world.tally.join_us.max() < 1_000_000,
        "the queue is no slowness of the doors"
    );
}

#[test]
fn who_came_early_shows_his_ticket_again_when_the_order_is_drawn() {
    let mut world = World::new(Via::Progressive);
    world.listener.step = Step::Stream;
    world.ask();
    let early = r#"{"ticket":"T","place":4,"serving":0,"drawn":false,"ask_again_seconds":5}"#;
    assert!(matches!(
        world.take(&told("503 No", early)),
        Act::ComeBack { .. }
    ));
    assert_eq!(world.ask(), "/s/a/now-serving.json");
    let before = told("200 OK", r#"{"serving":0,"of":9,"drawn":false}"#);
    assert!(matches!(world.take(&before), Act::ComeBack { .. }));
    assert_eq!(world.ask(), "/s/a/now-serving.json");
    let after = told("200 OK", r#"{"serving":2,"of":9,"drawn":true}"#);
    assert_eq!(world.take(&after), Act::Send);
    assert!(world.ask().ends_with("&ticket=T"));
}

#[test]
fn who_leaves_the_queue_has_not_failed() {
    let mut world = World::new(Via::Progressive);
    world.listener.step = Step::Stream;
    world.ask();
    let body = r#"{"ticket":"T","place":4,"serving":0,"ask_again_seconds":5}"#;
    assert!(matches!(
        world.take(&told("503 No", body)),
        Act::ComeBack { .. }
    ));
    world.with(|listener, scene| listener.leave(scene.now_us, scene.tally));
    assert_eq!((world.tally.queued, world.counts()), (1, (0, 0, 0, 0)));
}

/// An answer with a body.
fn told(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}
