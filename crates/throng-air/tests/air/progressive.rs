//! Progressive listening.

use throng_core::admission::Limits;
use throng_core::rendition::Rendition;
use throng_core::space::State;
use throng_core::timeline::PartIndex;
use throng_core::window::Window;

use crate::house::{Front, House, cmaf, plain};
use crate::wire::Wire;

/// A listener who has got his head.
async fn listener(house: &House, file: &str) -> Wire {
    let mut wire = house.connect().await;
    wire.ask("GET", &format!("{}/{file}", house.path), "").await;
    let head = wire.head().await.unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(head.header("cache-control"), "no-store");
    assert_eq!(head.header("access-control-allow-origin"), "*");
    wire
}

async fn expect(wire: &mut Wire, bytes: &str) {
    assert_eq!(wire.body(bytes.len()).await, bytes);
}

#[tokio::test]
async fn a_listener_gets_the_header_four_seconds_at_once_and_then_every_part() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let (o48, o24, a64) = (Rendition::O48, Rendition::O24, Rendition::A64);
        // 4 s are 12.5 parts, so 13.
        let mut mp4 = listener(&house, "live.mp4").await;
        expect(&mut mp4, &format!("init o48;{}", cmaf(o48, 27..40))).await;
        let mut webm = listener(&house, "live.webm?rendition=o24").await;
        expect(&mut webm, &format!("webm o24;{}", plain(o24, 27..40))).await;
        let mut aac = listener(&house, "live.aac").await;
        expect(&mut aac, &plain(a64, 27..40)).await;
        for first in [40, 43] {
            house.push(first..first + 3);
            expect(&mut mp4, &cmaf(o48, first..first + 3)).await;
            expect(&mut webm, &plain(o24, first..first + 3)).await;
            expect(&mut aac, &plain(a64, first..first + 3)).await;
        }
        let mut second = listener(&house, "live.mp4").await;
        expect(&mut second, &format!("init o48;{}", cmaf(o48, 33..46))).await;
        house.push(46..49);
        let next = cmaf(o48, 46..49);
        expect(&mut second, &next).await;
        expect(&mut mp4, &next).await;
    }
}

#[tokio::test]
async fn a_listener_who_fell_behind_goes_on_with_the_newest_sound() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut wire = listener(&house, "live.mp4").await;
        expect(
            &mut wire,
            &format!("init o48;{}", cmaf(Rendition::O48, 27..40)),
        )
        .await;
        // More at once than the window keeps.
        house.push(40..400);
        expect(&mut wire, &cmaf(Rendition::O48, 387..400)).await;
        house.push(400..403);
        expect(&mut wire, &cmaf(Rendition::O48, 400..403)).await;
    }
}

#[tokio::test]
async fn the_stream_ends_cleanly_with_the_last_part() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut wire = listener(&house, "live.aac").await;
        expect(&mut wire, &plain(Rendition::A64, 27..40)).await;
        house.push(40..41);
        house.on_air.change_window(Window::finish);
        expect(&mut wire, &plain(Rendition::A64, 40..41)).await;
        assert_eq!(wire.chunk().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_listener_is_cut_off_when_nothing_more_will_come() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        let mut wire = listener(&house, "live.aac").await;
        expect(&mut wire, &plain(Rendition::A64, 27..40)).await;
        house.close();
        house.on_air.close();
        assert!(wire.chunk().await.is_err(), "not the end of the programme");
        house.closed().await;
    }
}

#[tokio::test]
async fn who_joins_an_empty_house_waits_until_the_hold_programme_flows() {
    for front in Front::all() {
        let house = House::start_on(front, State::Announced, 0).await;
        house.on_air.set_flowing(false);
        let mut wire = house.connect().await;
        wire.ask("GET", &format!("{}/live.aac", house.path), "")
            .await;
        house.on_air.wait_for_demand().await;
        house.push(0..20);
        house.on_air.set_flowing(true);
        assert_eq!(wire.head().await.unwrap().status, 200);
        expect(&mut wire, &plain(Rendition::A64, 7..20)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_programme_that_does_not_come_is_told_when_to_come_again() {
    let house = House::start(State::Announced, 0).await;
    house.on_air.set_flowing(false);
    for file in ["live.webm", "hls/o48/media.m3u8", "hls/o48/0.m4s"] {
        let answer = house.get(file).await;
        assert_eq!(answer.status, 503, "{file}");
        assert_eq!(answer.header("retry-after"), "2");
    }
}

#[tokio::test]
async fn a_look_at_the_head_does_not_join() {
    for front in Front::all() {
        // RFC 9110 section 9.3.2.
        let house = House::start_on(front, State::Doors, 40).await;
        house.on_air.set_flowing(false);
        let head = house.fetch("HEAD", "live.webm", "").await;
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-type"), "audio/webm");
        assert_eq!(head.header("content-length"), "");
        assert_eq!(house.on_air.counts().joined, 0);
    }
}

#[tokio::test]
async fn a_rendition_that_the_container_does_not_carry_is_refused_in_words() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        for file in [
            "live.webm?rendition=a64",
            "live.aac?rendition=o48",
            "live.mp4?rendition=",
            "live.mp4?rendition=best",
        ] {
            let answer = house.get(file).await;
            assert_eq!(answer.status, 400, "{file}");
            assert!(answer.text().starts_with("rendition: "), "{file}");
        }
    }
}

#[tokio::test]
async fn after_the_end_the_stream_leads_to_the_recording() {
    for front in Front::all() {
        let house = House::start_on(front, State::Ended, 40).await;
        for (file, location) in [
            ("live.mp4", "recording.mp4"),
            ("live.webm", "recording.mp4"),
            ("live.aac", "recording.m4a"),
        ] {
            let answer = house.get(file).await;
            assert_eq!((answer.status, answer.header("location")), (302, location));
        }
    }
}

#[tokio::test]
async fn a_cancelled_space_says_so() {
    for front in Front::all() {
        let house = House::start_on(front, State::Cancelled, 0).await;
        let answer = house.get("live.mp4").await;
        assert_eq!(answer.status, 410);
        assert_eq!(answer.text(), "This space was cancelled.\n");
    }
}

#[tokio::test]
async fn the_hold_programme_started_anew_takes_its_listener_along() {
    for front in Front::all() {
        let house = House::start_on(front, State::Announced, 40).await;
        let mut wire = listener(&house, "live.aac").await;
        expect(&mut wire, &plain(Rendition::A64, 27..40)).await;
        house
            .on_air
            .change_window(|window| *window = Window::new(PartIndex(48)));
        house.push(48..60);
        expect(&mut wire, &plain(Rendition::A64, 48..60)).await;
    }
}

#[tokio::test]
async fn a_full_house_keeps_who_is_in_and_tells_others_when_to_come_again() {
    for front in Front::all() {
        let house = House::start_on(front, State::Live, 40).await;
        house.air.room().limit(Limits {
            slots: Some(1),
            egress_bits: None,
        });
        let mut inside = listener(&house, "live.aac").await;
        let a64 = Rendition::A64;
        expect(&mut inside, &plain(a64, 27..40)).await;
        let refused = house.get("live.mp4").await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.header("cache-control"), "no-store");
        let told: serde_json::Value = serde_json::from_str(refused.text()).unwrap();
        assert_eq!(
            refused.header("retry-after"),
            told["ask_again_seconds"].to_string()
        );
        assert!(
            told["reason"]
                .as_str()
                .unwrap()
                .starts_with("The house is full.")
        );
        assert_eq!(
            (told["place"].as_u64(), told["serving"].as_u64()),
            (Some(1), Some(0))
        );
        let again = format!("live.mp4?ticket={}", told["ticket"].as_str().unwrap());
        let again: serde_json::Value =
            serde_json::from_str(house.get(&again).await.text()).unwrap();
        assert_eq!(again["ticket"], told["ticket"], "he keeps his place");
        let serving: serde_json::Value =
            serde_json::from_str(house.get("now-serving.json").await.text()).unwrap();
        assert_eq!(
            (serving["serving"].as_u64(), serving["of"].as_u64()),
            (Some(0), Some(1))
        );
        let state: serde_json::Value =
            serde_json::from_str(house.get("state.json").await.text()).unwrap();
        assert_eq!(state["queued"], 1);
        house.push(40..43);
        expect(&mut inside, &plain(a64, 40..43)).await;
        assert_eq!(house.on_air.counts().joined, 1);
        house.air.room().limit(Limits::default());
        listener(&house, "live.mp4").await;
    }
}
