//! The life of a space as one listener hears it: from the hold programme to the replay.

use serde_json::Value;

use crate::house::{House, json};
use crate::wire::Wire;

/// A listener to `live.mp4`, who reads one part after the other.
struct Listener {
    wire: Wire,
    read: Vec<u8>,
}

/// One `moof` with its `mdat`.
struct Part {
    number: u64,
    bytes: Vec<u8>,
}

impl Listener {
    async fn join(house: &House, slug: &str) -> Self {
        let mut wire = Wire::connect(house.listen).await;
        wire.ask("GET", &format!("/s/{slug}/live.mp4"), "").await;
        assert_eq!(wire.head().await.unwrap().status, 200);
        let mut listener = Self {
            wire,
            read: Vec::new(),
        };
        for kind in [b"ftyp", b"moov"] {
            assert_eq!(&listener.next_box().await.unwrap()[4..8], kind);
        }
        listener
    }

    /// The next part; `None` at the clean end of the stream.
    async fn part(&mut self) -> Option<Part> {
        let mut bytes = self.next_box().await?;
        assert_eq!(&bytes[4..8], b"moof");
        assert_eq!(&bytes[12..16], b"mfhd");
        let number = u32::from_be_bytes(bytes[20..24].try_into().unwrap());
        bytes.extend(self.next_box().await.unwrap());
        Some(Part {
            number: u64::from(number) - 1,
            bytes,
        })
    }

    /// Reads until a part, which follows the ones before without a hole.
    async fn follow(&mut self, from: u64, to: u64) {
        for number in from..to {
            assert_eq!(self.part().await.unwrap().number, number);
        }
    }

    /// Reads to the end, which is a cut and not the end of the programme.
    async fn is_cut(&mut self) {
        while let Ok(chunk) = self.wire.chunk().await {
            assert!(chunk.is_some(), "ended, not cut");
        }
    }

    async fn next_box(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(length) = self.read.first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if self.read.len() >= length {
                    return Some(self.read.drain(..length).collect());
                }
            }
            self.read.extend(self.wire.chunk().await.unwrap()?);
        }
    }
}

fn millis(document: &Value, field: &str) -> i64 {
    let text = document[field].as_str().unwrap();
    throng_core::time::UnixMillis::parse_rfc3339(text)
        .unwrap()
        .0
}

/// The number of the part that begins at a time of the document.
fn part_at(document: &Value, field: &str) -> u64 {
    let since = millis(document, field) - millis(document, "epoch");
    assert_eq!(since % 320, 0);
    (since / 320).try_into().unwrap()
}

/// What the page itself says of the recording, so that it offers the replay at once.
async fn page_recording(house: &House, path: &str) -> Value {
    let page = house.get(path).await;
    let (_, state) = page.text().split_once("id=\"state\">").unwrap();
    let state: Value = serde_json::from_str(state.split('<').next().unwrap()).unwrap();
    state["recording"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_goes_from_the_announcement_to_the_end_without_a_hole() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let mut listener = Listener::join(&house, &space.slug).await;
    let first = listener.part().await.unwrap().number;
    assert_eq!(house.step(&space, "open-doors").await.status, 200);
    // Doors take effect after a second; four parts later they have.
    listener.follow(first + 1, first + 6).await;
    let live = json(&house.step(&space, "go-live").await);
    let live_part = part_at(&live, "started_at");
    listener.follow(first + 6, live_part + 2).await;
    let ended = json(&house.step(&space, "end").await);
    let end_part = part_at(&ended, "ended_at");
    listener.follow(live_part + 2, end_part).await;
    assert!(
        listener.part().await.is_none(),
        "it ends with its last part"
    );

    // The replay is there when the act is answered.
    assert_eq!(ended["state"], "ended");
    let parts = u32::try_from(end_part - live_part).unwrap();
    let seconds = f64::from(parts) * 0.32;
    let recorded = ended["recording"]["seconds"].as_f64().unwrap();
    assert!(
        (recorded - seconds).abs() < 0.001,
        "{recorded} of {seconds} s"
    );
    let path = format!("/s/{}", space.slug);
    let state = json(&house.get(&format!("{path}/state.json")).await);
    assert_eq!(state["state"], "ended");
    assert_eq!(state["joined"], 1);
    assert_eq!(page_recording(&house, &path).await, state["recording"]);
    let replay = house.get(&format!("{path}/hls/o48/replay.m3u8")).await;
    assert!(replay.text().contains("replay/0.m4s"));
    for file in [
        "hls/o48/replay/0.m4s",
        "hls/a64/replay/0.m4s",
        "recording.mp4",
        "recording.m4a",
    ] {
        let answer = house.get(&format!("{path}/{file}")).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.body.len() > 1_000, "{file}");
    }
    let live = house.get(&format!("{path}/live.mp4")).await;
    assert_eq!(
        (live.status, live.header("location")),
        (302, "recording.mp4")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_with_the_same_parts_and_keys() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let path = format!("/s/{}", space.slug);
    let live = json(&house.step(&space, "go-live").await);
    let live_part = part_at(&live, "started_at");
    let mut listener = Listener::join(&house, &space.slug).await;
    let mut last = listener.part().await.unwrap();
    while last.number < live_part + 3 {
        last = listener.part().await.unwrap();
    }
    let house = house.restart().await;
    listener.is_cut().await;

    let state = json(&house.get(&format!("{path}/state.json")).await);
    assert_eq!(state["state"], "live");
    assert_eq!(part_at(&state, "started_at"), live_part);
    // What was heard before is the same after: it may lie in caches for ever.
    let (segment, part) = (last.number / 12, last.number % 12);
    let again = house
        .get(&format!("{path}/hls/o48/{segment}.{part}.m4s"))
        .await;
    assert_eq!(again.status, 200);
    assert!(again.body == last.bytes, "part {} has changed", last.number);
    let mut listener = Listener::join(&house, &space.slug).await;
    let next = listener.part().await.unwrap().number;
    // The burst is there at once; what follows it comes as time passes, in which the lost time is recorded as silence.
    listener.follow(next + 1, next + 18).await;
    let ended = json(&house.step(&space, "end").await);
    let parts = u32::try_from(part_at(&ended, "ended_at") - live_part).unwrap();
    let recorded = ended["recording"]["seconds"].as_f64().unwrap();
    assert!(
        (recorded - f64::from(parts) * 0.32).abs() < 0.001,
        "{recorded} s of {parts} parts"
    );

    let house = house.restart().await;
    assert_eq!(page_recording(&house, &path).await, ended["recording"]);
    let recording = house.get(&format!("{path}/recording.mp4")).await;
    assert_eq!(recording.status, 200);
    let replay = house.get(&format!("{path}/hls/o48/replay.m3u8")).await;
    assert!(replay.text().contains("replay/0.m4s"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_space_lets_its_listeners_go() {
    let house = House::start().await;
    let announced = house.announce("Announced").await;
    let live = house.announce("Live").await;
    assert_eq!(house.step(&live, "go-live").await.status, 200);
    let archive = house.config.data.join("archive");
    for space in [&announced, &live] {
        let mut listener = Listener::join(&house, &space.slug).await;
        listener.part().await.unwrap();
        let path = format!("/api/spaces/{}", space.slug);
        let deleted = house.call("DELETE", &path, &space.host, "").await;
        assert_eq!(deleted.status, 204);
        listener.is_cut().await;
    }
    let left = std::fs::read_dir(archive).map_or(0, Iterator::count);
    assert_eq!(left, 0, "the recording is deleted with its space");
    assert!(!house.get("/").await.text().contains(&live.slug));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_space_ends_its_stream_and_stays_cancelled() {
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let mut listener = Listener::join(&house, &space.slug).await;
    listener.part().await.unwrap();
    assert_eq!(house.step(&space, "cancel").await.status, 200);
    while listener.part().await.is_some() {}
    let gone = house.get(&format!("/s/{}/live.mp4", space.slug)).await;
    assert_eq!(gone.status, 410);
    let house = house.restart().await;
    let gone = house.get(&format!("/s/{}/live.mp4", space.slug)).await;
    assert_eq!(gone.status, 410);
    // What was never on air is not made for who names it.
    for never in ["5000000.m4s", "999999999999998.0.m4s"] {
        let path = format!("/s/{}/hls/o48/{never}", space.slug);
        let answer = house.get(&path).await;
        assert_eq!(answer.status, 404, "{never}");
        assert_eq!(answer.header("cache-control"), "public, max-age=1");
    }
}
