//! The recording over HTTP (RFC 9110 sections 13 and 14).

use throng_core::space::State;

use crate::house::{House, RECORDING};
use crate::wire::Answer;

async fn fetch(method: &str, headers: &str) -> Answer {
    let house = House::start(State::Ended, 40).await;
    let answer = house.fetch(method, "recording.mp4", headers).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    answer
}

async fn get(headers: &str) -> Answer {
    fetch("GET", headers).await
}

#[tokio::test]
async fn the_whole_file_says_its_length_and_that_it_has_ranges() {
    let answer = get("").await;
    assert_eq!((answer.status, &answer.body[..]), (200, RECORDING));
    assert_eq!(answer.header("content-length"), "20");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("etag"), "\"tag\"");
    assert_eq!(answer.header("cache-control"), "public, max-age=3600");
    let head = fetch("HEAD", "").await;
    assert_eq!((head.status, head.header("content-length")), (200, "20"));
}

#[tokio::test]
async fn a_range_is_cut_out() {
    for (range, bytes, content_range) in [
        ("bytes=0-9", "0123456789", "bytes 0-9/20"),
        ("bytes=15-", "fghij", "bytes 15-19/20"),
        ("bytes=-2", "ij", "bytes 18-19/20"),
    ] {
        let answer = get(&format!("range: {range}\r\n")).await;
        assert_eq!((answer.status, answer.text()), (206, bytes), "{range}");
        assert_eq!(answer.header("content-range"), content_range);
        assert_eq!(answer.header("etag"), "\"tag\"");
    }
    let beyond = get("range: bytes=20-\r\n").await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), "bytes */20");
}

#[tokio::test]
async fn a_range_of_another_version_gets_the_whole_file() {
    let same = get("range: bytes=0-3\r\nif-range: \"tag\"\r\n").await;
    assert_eq!((same.status, same.text()), (206, "0123"));
    for other in ["\"other\"", "W/\"tag\"", "Thu, 01 Jan 2026 00:00:00 GMT"] {
        let answer = get(&format!("range: bytes=0-3\r\nif-range: {other}\r\n")).await;
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, RECORDING),
            "{other}"
        );
    }
}

#[tokio::test]
async fn who_has_it_already_does_not_get_it_again() {
    for tags in ["\"tag\"", "\"a\", W/\"tag\"", "*"] {
        let answer = get(&format!("if-none-match: {tags}\r\n")).await;
        assert_eq!((answer.status, answer.header("etag")), (304, "\"tag\""));
        // RFC 9110 section 8.6: the length of the file, or none.
        assert_eq!(answer.header("content-length"), "");
        assert_eq!(answer.header("cache-control"), "public, max-age=3600");
    }
    assert_eq!(get("if-none-match: \"b\"\r\n").await.status, 200);
}

#[tokio::test]
async fn while_it_grows_it_is_asked_for_anew() {
    let house = House::start(State::Live, 40).await;
    let answer = house.get("recording.mp4").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=1");
    let nothing_yet = house.get("recording.m4a").await;
    assert_eq!(nothing_yet.status, 404);
}
