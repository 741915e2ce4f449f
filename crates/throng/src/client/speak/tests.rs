//! A speaker against a real stage on loopback.

use std::sync::Arc;

use throng_media::codec::Content;
use throng_stage::{EndReason, Event};

use super::super::test_stage::{SEAT, TestStage, runtime};
use super::*;
use crate::sound_file::WavWriter;

/// What the stage saw of a speaker who says a file of 50 frames: how many packets, and how sessions ended.
type Seen = (usize, Vec<EndReason>);

/// Speaks while the stage says a tone back; after `closed_after` packets it closes the first session.
fn spoken(
    key: &str,
    frames: usize,
    closed_after: Option<usize>,
) -> (TestStage, Result<Report, Error>, Vec<f32>, Seen) {
    let sessions = 1 + usize::from(closed_after.is_some());
    spoken_at(TestStage::start("{}"), key, frames, closed_after, sessions)
}

/// As [`spoken`], at a stage that is already there and sees so many sessions.
fn spoken_at(
    mut stage: TestStage,
    key: &str,
    frames: usize,
    closed_after: Option<usize>,
    sessions: usize,
) -> (TestStage, Result<Report, Error>, Vec<f32>, Seen) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.wav");
    let mut talk = WavWriter::create(&path).unwrap();
    talk.push(&vec![0.25; frames * 960]).unwrap();
    talk.finish().unwrap();
    let events = std::mem::replace(&mut stage.events, std::sync::mpsc::sync_channel(1).1);
    let behind = Arc::clone(&stage.stage);
    let ears = thread::spawn(move || {
        let mut encoder = opus_encoder(OpusSettings::programme(48_000, Content::Mixed, 0));
        let mut seen: Seen = (0, Vec::new());
        for event in events {
            match event {
                Event::Packet { .. } => {
                    seen.0 += 1;
                    behind.send_return(SEAT, seen.0 as u64, encoder.encode(&[0.1; 960]).unwrap());
                    if Some(seen.0) == closed_after {
                        runtime().block_on(behind.close_seat(SEAT)).unwrap();
                    }
                }
                Event::Left { reason, .. } => seen.1.push(reason),
                Event::Joined { .. } => {}
            }
            if seen.1.len() == sessions {
                break;
            }
        }
        seen
    });
    let url = format!("{}/s/night/speak#key={key}", stage.server.url);
    let args = SpeakArgs {
        url,
        file: Some(path.clone()),
        again: false,
        out: None,
        talkback: None,
        json: true,
    };
    let mut talk = Talk::open(Some(&path), false).unwrap();
    let mut heard = Vec::new();
    let spoken = speak(&args, &Interrupt::default(), &mut talk, &mut |frame| {
        heard.extend_from_slice(frame);
        Ok(())
    });
    let seen = if spoken.is_ok() {
        ears.join().unwrap()
    } else {
        (0, Vec::new())
    };
    (stage, spoken, heard, seen)
}

#[test]
fn a_speaker_says_the_whole_file_hears_the_stage_and_says_goodbye() {
    let (stage, report, heard, (packets, ends)) = spoken("seat-key", 40, None);
    let report = report.unwrap();
    assert_eq!(packets, 40);
    assert!((report.spoke_seconds - 0.8).abs() < 1e-9, "{report:?}");
    assert_eq!(report.reconnects, 0);
    assert!(report.heard_packets > 0, "{report:?}");
    assert!(
        heard.iter().any(|&sample| sample.abs() > 0.01),
        "the stage's return is in what is kept"
    );
    assert_eq!(ends, [EndReason::Gone]);
    // RFC 9725, section 4.2: the session ends with a DELETE of its resource.
    let last = stage.server.asked().pop().unwrap();
    assert_eq!(
        (last.method.as_str(), last.target.as_str()),
        ("DELETE", "/s/night/session/1")
    );
    assert_eq!(last.bearer.as_deref(), Some("seat-key"));
}

#[test]
fn a_speaker_whose_session_is_lost_comes_back_to_the_same_seat() {
    let (stage, report, _, (packets, ends)) = spoken("seat-key", 100, Some(10));
    let report = report.unwrap();
    assert_eq!((report.reconnects, ends.len()), (1, 2), "{report:?}");
    assert!(
        (11..100).contains(&packets),
        "what was said meanwhile is lost, as with a microphone: {packets}"
    );
    assert_eq!(offers(&stage), 2);
}

fn offers(stage: &TestStage) -> usize {
    let asked = stage.server.asked();
    asked.iter().filter(|asked| asked.method == "POST").count()
}

#[test]
fn who_was_put_out_says_by_whom_and_does_not_fight_for_the_seat() {
    let said = |why: &'static str| {
        let stage = TestStage::start_with("{}", ("410 Gone", why), |sdp| sdp);
        let (stage, spoken, ..) = spoken_at(stage, "seat-key", 500, Some(10), 1);
        let put_out = spoken.unwrap_err();
        assert_eq!((put_out.exit_code(), offers(&stage)), (1, 1));
        put_out
    };
    let replaced = said(r#"{"type":"urn:throng:problem:replaced"}"#);
    assert!(matches!(replaced, Error::Replaced), "{replaced}");
    let removed = said(r#"{"type":"urn:throng:problem:removed"}"#);
    assert!(matches!(removed, Error::Removed), "{removed}");
}

#[test]
fn where_no_udp_is_offered_the_talk_goes_over_tcp() {
    let tcp_alone = |sdp: String| {
        let lines = sdp.split_inclusive('\n');
        let is_udp = |line: &str| line.starts_with("a=candidate:") && line.contains(" udp ");
        lines.filter(|line| !is_udp(line)).collect()
    };
    let stage = TestStage::start_with("{}", ("200 OK", ""), tcp_alone);
    let (stage, report, _, (packets, ends)) = spoken_at(stage, "seat-key", 40, None, 2);
    assert!(report.unwrap().heard_packets > 0);
    // The session over UDP that could not be, and the one over TCP.
    assert_eq!((packets, offers(&stage)), (40, 2));
    assert_eq!(ends, [EndReason::Replaced, EndReason::Gone]);
}

#[test]
fn a_bad_key_is_told_plainly() {
    let (_, refused, ..) = spoken("other-key", 1, None);
    let refused = refused.unwrap_err();
    assert!(
        refused
            .to_string()
            .ends_with("401: This key is not valid: Ask the host for a new link"),
        "{refused}"
    );
    assert_eq!(refused.exit_code(), 1);
}
