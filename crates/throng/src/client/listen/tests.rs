//! The whole listener against canned servers.

use std::sync::mpsc::RecvTimeoutError;

use throng_core::rendition::Channels;
use throng_core::timeline::PartIndex;
use throng_media::codec::{AacEncode, aac_encoder};
use throng_media::package;

use super::fixture::{init, tone_packets, tone_parts};
use super::*;
use crate::client::test_server::{Asked, TestServer};
use crate::client::test_stage::{PROGRAMME, TestStage, runtime};

const FIRST_PART: u64 = 1_000;
const STATE: &str = r#"{"state":"ended","epoch":"2026-12-01T20:00:00.000Z"}"#;

/// Everything heard of a space that `respond` serves, as samples, with the report.
fn heard_of(
    via: Via,
    query: &str,
    respond: impl Fn(&Asked) -> Vec<u8> + Send + 'static,
) -> (TestServer, Vec<f32>, Result<Listened, Error>) {
    let server = TestServer::start(respond);
    let url = format!("{}/s/night{query}", server.url);
    let args = ListenArgs {
        url,
        via,
        duration: None,
        out: None,
        json: true,
    };
    let mut samples = Vec::new();
    let heard = listen(&args, &Interrupt::default(), &mut |sound| {
        samples.extend_from_slice(sound);
        Ok(())
    });
    (server, samples, heard)
}

fn mp4(bytes: &[u8]) -> Vec<u8> {
    TestServer::answer("200 OK", "audio/mp4", bytes)
}

fn m3u8(text: &str) -> Vec<u8> {
    TestServer::answer("200 OK", "application/vnd.apple.mpegurl", text.as_bytes())
}

fn not_found() -> Vec<u8> {
    TestServer::answer("404 Not Found", "text/html", b"")
}

fn state() -> Vec<u8> {
    TestServer::answer("200 OK", "application/json", STATE.as_bytes())
}

/// How strongly a tone of 440 Hz stands out of what was heard: 1 when there is nothing else.
fn tone_share(samples: &[f32]) -> f32 {
    let (mut cosine, mut sine, mut energy, mut phase) = (0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32);
    for sample in samples {
        phase = (phase + 440.0 / 48_000.0).fract();
        cosine += sample * (phase * std::f32::consts::TAU).cos();
        sine += sample * (phase * std::f32::consts::TAU).sin();
        energy += sample * sample;
    }
    #[expect(clippy::cast_precision_loss, reason = "a second of samples")]
    let length = samples.len() as f32;
    2.0 * (cosine * cosine + sine * sine) / (energy * length)
}

#[test]
fn a_progressive_listener_hears_the_whole_stream_without_a_gap() {
    let parts = tone_parts(FIRST_PART * 15_360, 3).concat();
    let (server, samples, heard) =
        heard_of(Via::Progressive, "", move |asked| match asked.path() {
            "/s/night/live.mp4" => mp4(&[init("Opus", 48_000), parts.clone()].concat()),
            "/s/night/state.json" => state(),
            _ => not_found(),
        });
    let (report, finished) = heard.unwrap();
    finished.unwrap();
    assert!(report.gaps.is_empty(), "{report:?}");
    assert!((report.heard_seconds - 0.96).abs() < 1e-9, "{report:?}");
    assert_eq!((report.rendition, samples.len()), ("o48", 3 * 15_360));
    assert!(tone_share(&samples[4_800..]) > 0.9);
    assert!(report.connected_ms <= report.first_sound_ms);
    let asked = &server.asked()[0].target;
    assert!(
        asked.starts_with("/s/night/live.mp4?rendition=o48&l="),
        "{asked}"
    );
}

#[test]
fn aac_is_heard_as_another_decoder_hears_it() {
    let mut encoder = aac_encoder(Channels::Mono, 64_000);
    let mut phase = 0.0_f32;
    let coded: Vec<_> = (0..4 * 15)
        .map(|_| {
            let frame = std::array::from_fn(|_| {
                phase = (phase + 440.0 / 48_000.0).fract();
                0.2 * (phase * std::f32::consts::TAU).sin()
            });
            encoder.encode(&frame).unwrap()
        })
        .collect();
    let mut stream = package::init(Rendition::A64, Channels::Mono, None).to_vec();
    for (index, packets) in (FIRST_PART..).zip(coded.chunks(15)) {
        let part = package::package(Rendition::A64, PartIndex(index), packets);
        stream.extend_from_slice(&part.cmaf);
    }
    let (_, samples, heard) = heard_of(
        Via::Progressive,
        "?rendition=a64",
        move |asked| match asked.path() {
            "/s/night/live.mp4" => mp4(&stream),
            _ => state(),
        },
    );
    let (report, finished) = heard.unwrap();
    finished.unwrap();
    assert!(report.gaps.is_empty(), "{report:?}");
    assert!((report.heard_seconds - 1.28).abs() < 1e-9, "{report:?}");
    assert_eq!((report.rendition, samples.len()), ("a64", 4 * 15_360));
    assert!(tone_share(&samples[4_800..]) > 0.9);
}

#[test]
fn a_hole_in_the_stream_is_reported_and_kept_as_silence() {
    let mut parts = tone_parts(0, 3);
    parts.remove(1);
    let stream = [init("Opus", 48_000), parts.concat()].concat();
    let (_, samples, heard) = heard_of(
        Via::Progressive,
        "?rendition=o16",
        move |asked| match asked.path() {
            "/s/night/live.mp4" => mp4(&stream),
            _ => state(),
        },
    );
    let (report, _) = heard.unwrap();
    assert_eq!(report.gaps.len(), 1, "{report:?}");
    assert!((report.gaps[0].at_seconds - 0.32).abs() < 1e-9);
    assert!((report.gaps[0].missing_ms - 320.0).abs() < 1e-9);
    assert_eq!((samples.len(), report.rendition), (3 * 15_360, "o16"));
    assert!(samples[15_360..30_720].iter().all(|&sample| sample == 0.0));
}

#[test]
fn a_connection_that_breaks_is_taken_up_again_within_the_cushion() {
    let parts = tone_parts(0, 6);
    let live = r#"{"state":"live","epoch":"2026-12-01T20:00:00.000Z"}"#;
    let (connections, states) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let (.., heard) = heard_of(Via::Progressive, "", move |asked| match asked.path() {
        "/s/night/live.mp4" => {
            connections.set(connections.get() + 1);
            let held = if connections.get() == 1 {
                &parts[..4]
            } else {
                &parts[2..]
            };
            mp4(&[init("Opus", 48_000), held.concat()].concat())
        }
        "/s/night/state.json" => {
            states.set(states.get() + 1);
            let json = if states.get() == 1 { live } else { STATE };
            TestServer::answer("200 OK", "application/json", json.as_bytes())
        }
        _ => not_found(),
    });
    let (report, finished) = heard.unwrap();
    finished.unwrap();
    assert!((report.heard_seconds - 1.92).abs() < 1e-9, "{report:?}");
}

#[test]
fn who_comes_back_after_the_end_does_not_hear_the_recording_instead() {
    let parts = tone_parts(100 * 15_360, 2).concat();
    let connections = std::cell::Cell::new(0);
    let live = r#"{"state":"live","epoch":"2026-12-01T20:00:00.000Z"}"#;
    let (server, _, heard) = heard_of(Via::Progressive, "", move |asked| match asked.path() {
        "/s/night/live.mp4" if connections.replace(1) == 0 => {
            mp4(&[init("Opus", 48_000), parts.clone()].concat())
        }
        "/s/night/live.mp4" => {
            TestServer::answer("302 Found\r\nlocation: recording.mp4", "text/plain", b"")
        }
        "/s/night/recording.mp4" => {
            mp4(&[init("Opus", 48_000), tone_parts(0, 1).concat()].concat())
        }
        _ => TestServer::answer("200 OK", "application/json", live.as_bytes()),
    });
    let (report, finished) = heard.unwrap();
    finished.unwrap();
    assert!((report.heard_seconds - 0.64).abs() < 1e-9, "{report:?}");
    let recordings = server
        .asked()
        .into_iter()
        .filter(|asked| asked.path().ends_with("recording.mp4"));
    assert_eq!(recordings.count(), 1);
}

#[test]
fn an_hls_listener_plays_parts_as_they_are_made() {
    let parts = tone_parts(0, 6);
    let (server, samples, heard) = heard_of(Via::Hls, "?rendition=o24", move |asked| {
        match asked.path() {
            "/s/night/hls/main.m3u8" => m3u8(MAIN),
            "/s/night/hls/o24/media.m3u8" => m3u8(&media_playlist(&asked.target)),
            "/s/night/hls/o24/init.mp4" => mp4(&init("Opus", 48_000)),
            "/s/night/state.json" => state(),
            path => match path
                .strip_prefix("/s/night/hls/o24/0.")
                .and_then(|part| part.split('.').next())
            {
                Some(part) => part
                    .parse()
                    .ok()
                    .and_then(|part: usize| parts.get(part))
                    .map_or_else(not_found, |part| mp4(part)),
                None => not_found(),
            },
        }
    });
    let (report, finished) = heard.unwrap();
    finished.unwrap();
    // Four parts were there, three of them the hold-back; one is hinted at, one only listed at the end.
    assert!((report.heard_seconds - 1.60).abs() < 1e-9, "{report:?}");
    assert!(tone_share(&samples[4_800..]) > 0.9);
    let asked: Vec<_> = server
        .asked()
        .into_iter()
        .map(|asked| asked.target)
        .collect();
    let reload = asked
        .iter()
        .find(|target| target.contains("_HLS_msn"))
        .unwrap();
    assert!(
        reload.starts_with("/s/night/hls/o24/media.m3u8?_HLS_msn=0&_HLS_part=4&l="),
        "{reload}"
    );
    assert!(asked.iter().any(|target| target.ends_with("/0.4.m4s")));
}

#[test]
fn an_hls_listener_of_an_ended_space_plays_the_replay_from_its_beginning() {
    let segments = tone_parts(0, 3);
    let (.., heard) = heard_of(Via::Hls, "", move |asked| match asked.path() {
        "/s/night/hls/main.m3u8" => m3u8(MAIN),
        "/s/night/hls/o48/media.m3u8" => m3u8(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:1,\n9.m4s\n#EXT-X-ENDLIST\n",
        ),
        "/s/night/hls/o48/replay.m3u8" => m3u8(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:0.64,\n0.m4s\n\
             #EXTINF:0.32,\n1.m4s\n#EXT-X-ENDLIST\n",
        ),
        "/s/night/hls/o48/init.mp4" => mp4(&init("Opus", 48_000)),
        "/s/night/hls/o48/0.m4s" => mp4(&segments[..2].concat()),
        "/s/night/hls/o48/1.m4s" => mp4(&segments[2]),
        "/s/night/state.json" => state(),
        _ => not_found(),
    });
    let (report, finished) = heard.unwrap();
    finished.unwrap();
    assert!(report.behind_playhead_ms.is_none(), "{report:?}");
    assert!((report.heard_seconds - 0.96).abs() < 1e-9, "{report:?}");
}

#[test]
fn a_whep_listener_hears_the_programme_and_says_goodbye() {
    let stage = TestStage::start(r#"{"state":"live","epoch":"2026-12-01T20:00:00.000Z"}"#);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let air = std::sync::Arc::clone(&stage.stage);
    let programme = std::thread::spawn(move || {
        // Frames at real time until the listener has left.
        let (packets, mut frames) = (tone_packets(500), 0..);
        for (packet, frame) in packets.into_iter().zip(&mut frames) {
            air.send_programme(PROGRAMME, frame, packet);
            if stopped.recv_timeout(Duration::from_millis(20)) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
    });
    let args = ListenArgs {
        url: format!("{}/s/night", stage.server.url),
        via: Via::Whep,
        duration: Some(Duration::from_millis(500)),
        out: None,
        json: true,
    };
    let mut samples = Vec::new();
    let heard = listen(&args, &Interrupt::default(), &mut |sound| {
        samples.extend_from_slice(sound);
        Ok(())
    });
    drop(stop);
    programme.join().unwrap();
    let (report, finished) = heard.unwrap();
    finished.unwrap();
    assert!(
        report.heard_seconds > 0.0 && report.first_sound_ms > report.connected_ms,
        "{report:?}"
    );
    assert!(
        samples.iter().any(|&sample| sample.abs() > 0.1),
        "the tone is heard"
    );
    assert_eq!(
        stage
            .server
            .asked()
            .pop()
            .map(|asked| asked.method)
            .as_deref(),
        Some("DELETE")
    );
}

#[test]
fn a_whep_listener_whose_session_is_lost_comes_back_to_the_same_clock() {
    let stage = TestStage::start(r#"{"state":"live","epoch":"2026-12-01T20:00:00.000Z"}"#);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let air = std::sync::Arc::clone(&stage.stage);
    let programme = std::thread::spawn(move || {
        let mut lost = false;
        for (packet, frame) in tone_packets(1_500).into_iter().zip(1_000..) {
            air.send_programme(PROGRAMME, frame, packet);
            if !lost && air.counters().audio_out > 30 {
                lost = true;
                runtime().block_on(air.close_programme(PROGRAMME)).unwrap();
            }
            if stopped.recv_timeout(Duration::from_millis(20)) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
    });
    let args = ListenArgs {
        url: format!("{}/s/night", stage.server.url),
        via: Via::Whep,
        duration: Some(Duration::from_secs(5)),
        out: None,
        json: true,
    };
    let heard = listen(&args, &Interrupt::default(), &mut |_| Ok(()));
    drop(stop);
    programme.join().unwrap();
    let (report, finished) = heard.unwrap();
    finished.unwrap();
    assert!(report.heard_seconds > 1.0, "{report:?}");
    assert!(!report.gaps.is_empty(), "{report:?}");
    let asked = stage.server.asked();
    let offers = asked.iter().filter(|asked| asked.method == "POST");
    assert_eq!(offers.count(), 2);
}

#[test]
fn an_unknown_space_and_aac_are_told_plainly() {
    let unknown = heard_of(Via::Progressive, "", |_| not_found())
        .2
        .unwrap_err();
    assert!(unknown.to_string().contains("404: Not Found"), "{unknown}");
    let aac = heard_of(Via::Whep, "?rendition=a64", |_| not_found())
        .2
        .unwrap_err();
    assert_eq!(aac.exit_code(), 2);
    let html = heard_of(Via::Progressive, "", |_| {
        mp4(b"<html><body>This is no sound</body></html>")
    })
    .2;
    assert_eq!(html.unwrap_err().exit_code(), 1);
}

/// What a full house tells who is to ask again at once.
fn full(place: u64) -> Vec<u8> {
    let told = format!(
        r#"{{"ticket":"t{place}","place":{place},"serving":1,"drawn":true,"ask_again_seconds":0,"reason":"Full."}}"#
    );
    TestServer::answer(
        "503 Service Unavailable",
        "application/json",
        told.as_bytes(),
    )
}

#[test]
fn who_finds_the_house_full_goes_in_with_his_ticket_when_it_is_his_turn() {
    let parts = tone_parts(0, 3).concat();
    let looks = std::cell::Cell::new(0);
    let (server, _, heard) = heard_of(Via::Progressive, "", move |asked| match asked.path() {
        "/s/night/live.mp4" if asked.target.ends_with("&ticket=t4") => {
            mp4(&[init("Opus", 48_000), parts.clone()].concat())
        }
        "/s/night/live.mp4" => full(4),
        "/s/night/now-serving.json" => {
            looks.set(looks.get() + 1);
            let serving = looks.get() + 1;
            let told = format!(r#"{{"serving":{serving},"of":9,"per_minute":0,"drawn":true}}"#);
            TestServer::answer("200 OK", "application/json", told.as_bytes())
        }
        _ => state(),
    });
    let (report, finished) = heard.unwrap();
    finished.unwrap();
    assert!((report.heard_seconds - 0.96).abs() < 1e-9, "{report:?}");
    assert!(report.queued_ms <= report.first_sound_ms, "{report:?}");
    assert!(report.queued_ms.is_some());
    let asked = server.asked();
    let entries = asked
        .iter()
        .filter(|asked| asked.path().ends_with("/live.mp4"));
    assert_eq!(
        entries.count(),
        2,
        "he asks when it is his turn, not before"
    );
}

#[test]
fn who_waits_in_vain_gives_up_and_says_where_he_stood() {
    let server = TestServer::start(|_| full(4));
    let args = ListenArgs {
        url: format!("{}/s/night", server.url),
        via: Via::Progressive,
        duration: Some(Duration::from_millis(1)),
        out: None,
        json: true,
    };
    let gave_up = listen(&args, &Interrupt::default(), &mut |_| Ok(())).unwrap_err();
    assert!(
        gave_up
            .to_string()
            .contains("(2 before us; nobody has been let in"),
        "{gave_up}"
    );
}

#[test]
fn the_report_has_the_names_of_the_contract() {
    let report = Report {
        via: Via::Hls,
        connected_ms: Some(3),
        first_sound_ms: Some(40),
        queued_ms: None,
        heard_seconds: 30.0,
        gaps: vec![ReportedGap {
            at_seconds: 1.5,
            missing_ms: 320.0,
        }],
        behind_playhead_ms: Some(1_200.0),
        bytes: 180_000,
        rendition: "o48",
    };
    let json = serde_json::to_string(&report).unwrap();
    let contract = r#"{"via":"hls","connected_ms":3,"first_sound_ms":40,"heard_seconds":30.0,"gaps":[{"at_seconds":1.5,"missing_ms":320.0}],"behind_playhead_ms":1200.0,"bytes":180000,"rendition":"o48"}"#;
    assert_eq!(json, contract);
    assert_eq!(
        report.in_words(),
        "heard 30.0 s of o48 (180 KB): first sound after 40 ms, 1.2 s behind the playhead, one gap\n  320 ms missing at 1.5 s"
    );
}

#[test]
fn a_length_of_listening_needs_its_unit() {
    assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
    assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
    for wrong in ["30", "-5s", "0s", "99999999h", "soon"] {
        assert!(parse_duration(wrong).is_err(), "{wrong}");
    }
}

const MAIN: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS=\"opus\"\no48/media.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=32000,CODECS=\"opus\"\no24/media.m3u8\n";

/// A live playlist of parts 0 to 3 with a hint at 4; once 4 is asked for, parts to 5 and the end.
fn media_playlist(target: &str) -> String {
    let parts = if target.contains("_HLS_part=4") { 6 } else { 4 };
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PART-INF:PART-TARGET=0.32\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.96\n#EXT-X-MAP:URI=\"init.mp4\"\n"
        .to_owned();
    let listed = (0..parts).map(|part| {
        format!(
            "#EXT-X-PART:DURATION=0.32,URI=\"0.{part}.m4s\"
"
        )
    });
    text.extend(listed);
    text.push_str(if parts == 6 {
        "#EXT-X-ENDLIST\n"
    } else {
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"0.4.m4s\"\n"
    });
    text
}
