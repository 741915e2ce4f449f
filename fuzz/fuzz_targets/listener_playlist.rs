//! The client's reader of HLS playlists: whatever a server sends, the client moves on or stops.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/throng/src/client/listen/playlist.rs"]
#[allow(dead_code, reason = "the client uses more of it")]
mod playlist;

use playlist::{MediaPlaylist, Place, Step};

const STEPS_MAX: usize = 10_000;

fuzz_target!(|text: &str| {
    let _ = playlist::variants(text);
    let Ok(playlist) = MediaPlaylist::parse(text) else {
        return;
    };
    let mut at = playlist.start();
    for _ in 0..STEPS_MAX {
        match playlist.step(at) {
            Step::Fetch { next, .. } => {
                assert!(next > at, "the client moves on");
                at = next;
            }
            Step::Behind | Step::End | Step::Wait { .. } => break,
        }
    }
    playlist.step(Place {
        segment: u64::MAX,
        part: 0,
    });
});
