//! A listener of HLS: from playlist to part to playlist. With blocking reload he asks at once, and the server holds the
//! answer until there is something new; without, he waits as RFC 8216bis, section 6.3.4, says.

use std::sync::Arc;

use super::{Act, Listener, Reader, Scene, Step};
use crate::hls::{Playlist, resolve, variant};

/// A server that answers a blocking reload without anything new is asked again after this.
const UNMOVED_WAIT_US: u64 = 200_000;

impl Listener {
    /// A playlist is there.
    pub(super) fn read_text(&mut self, scene: &mut Scene<'_>, text: &[u8]) -> Act {
        let Ok(text) = std::str::from_utf8(text) else {
            return self.lose(scene, "broken playlist");
        };
        if self.step == Step::Main {
            if let Some(reference) = variant(text, &scene.funnel.variant) {
                scene.shared.media_path = resolve(&scene.funnel.hls, reference);
                self.step = Step::Media;
                return self.ask(scene);
            }
            // The address is that of a rendition already.
            scene.shared.media_path = Some(scene.funnel.hls.clone());
            self.step = Step::Media;
        }
        let Some(playlist) = scene.shared.playlists.read(text) else {
            return self.lose(scene, "broken playlist");
        };
        if self.playlist.is_none() {
            self.next = playlist.begin();
        }
        let has_map = playlist.map.is_some();
        self.playlist = Some(playlist);
        if has_map && matches!(self.reader, Reader::None) {
            self.step = Step::Map;
            return self.ask(scene);
        }
        self.next_item(scene, true)
    }

    /// The part is heard; the next is what follows it.
    pub(super) fn pass_item(&mut self) {
        let item = self.playlist.as_ref().and_then(|list| list.from(self.next));
        if let Some(item) = item {
            self.next = (item.order.0, item.order.1 + 1);
        }
    }

    /// On to the next part, or to the playlist that will have it. `fresh`: the playlist has just come.
    pub(super) fn next_item(&mut self, scene: &mut Scene<'_>, fresh: bool) -> Act {
        let Some(playlist) = self.playlist.clone() else {
            return self.lose(scene, "broken playlist");
        };
        if playlist.from(self.next).is_some() {
            self.step = Step::Item;
            return self.ask(scene);
        }
        if playlist.ended {
            return self.end(scene);
        }
        self.step = Step::Media;
        let at_us = next_load_us(&playlist, self.loaded_us, scene.now_us, fresh);
        if at_us > scene.now_us {
            return Act::SendAt { at_us };
        }
        self.ask(scene)
    }

    /// The path of the playlist, which may ask to wait for what is not there yet.
    pub(super) fn media_path(&self, path: String) -> String {
        let Some(playlist) = self.playlist.as_ref().filter(|playlist| playlist.blocks) else {
            return path;
        };
        let (segment, part) = playlist.next;
        let mark = if path.contains('?') { '&' } else { '?' };
        let skip = if playlist.skips { "&_HLS_skip=YES" } else { "" };
        format!("{path}{mark}_HLS_msn={segment}&_HLS_part={part}{skip}")
    }

    /// The path of the initialisation segment or the next part.
    pub(super) fn item_path(&self, media_path: &str) -> Option<String> {
        let playlist: &Arc<Playlist> = self.playlist.as_ref()?;
        let reference = if self.step == Step::Map {
            playlist.map.as_ref()?
        } else {
            &playlist.from(self.next)?.uri
        };
        resolve(media_path, reference)
    }
}

/// When the playlist is asked for again.
fn next_load_us(playlist: &Playlist, loaded_us: u64, now_us: u64, fresh: bool) -> u64 {
    match (playlist.blocks, fresh) {
        (true, false) => now_us,
        (true, true) => now_us + UNMOVED_WAIT_US,
        (false, false) => loaded_us + playlist.target_us,
        // It has not changed: half the target duration.
        (false, true) => loaded_us + playlist.target_us / 2,
    }
}
