//! The hold music as a file for those who wait (RFC 9110 sections 13 and 14).

use throng_air::feed::hold::HoldParts;
use throng_air::space_file::SpaceFile;
use throng_core::rendition::{Channels, Rendition};
use throng_core::space::State;

use crate::house::{Front, House, cmaf, part};
use crate::wire::Answer;

/// Long enough for many pieces.
const PARTS: u64 = 40;
const PADDING: usize = 10_000;

async fn house(front: Front) -> (House, String) {
    let house = House::start_on(front, State::Live, 40).await;
    assert_eq!(house.get("hold.mp4").await.status, 503, "it is being made");
    let parts = (0..PARTS).map(|index| (*part(index, PADDING)).clone());
    house
        .air
        .set_hold(Channels::Mono, HoldParts::new(parts.collect()));
    let spaces = " ".repeat(PADDING);
    let chunks = (0..PARTS).map(|index| cmaf(Rendition::A32, index..index + 1) + &spaces);
    let whole = format!("init a32;{}", chunks.collect::<String>());
    (house, whole)
}

fn assert_kept(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), "public, max-age=86400");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let etag = answer.header("etag");
    assert!(etag.starts_with('"'), "{etag} is strong");
}

#[tokio::test]
async fn the_hold_music_is_one_file_from_its_beginning() {
    for front in Front::all() {
        let (house, whole) = house(front).await;
        let mut wire = house.connect().await;
        let target = format!("{}/hold.mp4", house.path);
        // Browsers begin with this range; the connection serves the next as well.
        for headers in ["", "range: bytes=0-\r\n", ""] {
            let answer = wire.fetch("GET", &target, headers).await;
            assert!([200, 206].contains(&answer.status), "{front:?}");
            assert!(answer.text() == whole, "{front:?} {headers:?}");
            assert_eq!(answer.header("content-type"), "audio/mp4");
            assert_kept(&answer);
        }
        let head = wire.fetch("HEAD", &target, "").await;
        assert_eq!(head.header("content-length"), whole.len().to_string());
        assert_eq!(house.on_air.counts().joined, 0, "who waits is not inside");
    }
}

#[tokio::test]
async fn who_has_the_hold_music_is_not_sent_it_again_until_it_changes() {
    for front in Front::all() {
        let (house, _) = house(front).await;
        let etag = house.get("hold.mp4").await.header("etag").to_owned();
        let tags = format!("if-none-match: {etag}\r\n");
        let known = house.fetch("GET", "hold.mp4", &tags).await;
        assert_eq!((known.status, known.body.len()), (304, 0), "{front:?}");
        assert_kept(&known);
        let other = vec![(*part(7, 0)).clone()];
        house.air.set_hold(Channels::Mono, HoldParts::new(other));
        let changed = house.fetch("GET", "hold.mp4", &tags).await;
        assert_eq!(changed.text(), "init a32;<a32 7>", "{front:?}");
        assert_ne!(changed.header("etag"), etag);
    }
}

#[tokio::test]
async fn a_piece_of_the_hold_music_is_cut_out() {
    for front in Front::all() {
        let (house, whole) = house(front).await;
        let piece = house
            .fetch("GET", "hold.mp4", "range: bytes=9-16\r\n")
            .await;
        assert_eq!((piece.status, piece.text()), (206, &whole[9..17]));
        assert_kept(&piece);
    }
}

#[tokio::test]
async fn who_does_not_read_the_hold_music_holds_nobody_up() {
    for front in Front::engines() {
        let (house, whole) = house(front).await;
        let target = format!("{}/hold.mp4", house.path);
        let mut narrow = house.connect_narrow().await;
        narrow.ask("GET", &target, "").await;
        assert!(house.get("hold.mp4").await.text() == whole, "{front:?}");
        assert!(narrow.answer("GET").await.text() == whole, "{front:?}");
    }
}

#[tokio::test]
async fn what_the_page_loads_besides_itself_lies_beside_it() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        for (name, file) in SpaceFile::ALL {
            let SpaceFile::OfPage(file) = file else {
                continue;
            };
            let answer = house.get(&format!("{name}?1")).await;
            assert_eq!((answer.status, answer.text()), (200, &*format!("{file:?}")));
        }
    }
}
