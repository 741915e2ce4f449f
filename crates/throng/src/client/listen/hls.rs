//! Low-latency HLS (RFC 8216bis): blocking reloads, parts and preload hints while live, the replay once ended.
//!
//! One request at a time: a hinted part is asked for at once (the server holds the answer until it is made), then the
//! playlist that lists it, which is there by then and hints at the next.

use std::thread;
use std::time::Duration;

use throng_core::rendition::Rendition;

use super::cmaf::Reader;
use super::playlist::{MediaPlaylist, Place, Step, variants};
use super::source::{Delivery, Stop};
use super::turn::Turn;
use crate::client::Error;
use crate::client::http::{Client, malformed};
use crate::client::link::resolve;

/// A listener of `hls/main.m3u8`.
#[derive(Debug)]
pub struct Hls {
    /// The client towards the server.
    pub client: Client,
    /// The space: `{listen}/s/{slug}`.
    pub space_url: String,
    /// The rendition.
    pub rendition: Rendition,
    /// A random word by which we are counted once.
    pub listener: String,
}

impl Hls {
    /// Delivers until the playlist ends.
    pub fn run(&self, delivery: &Delivery) -> Result<(), Stop> {
        let main_url = format!("{}/hls/main.m3u8", self.space_url);
        let asked = |ticket: &str| format!("{main_url}?l={}{ticket}", self.listener);
        let answer = Turn::default().enter(&self.client, &self.space_url, delivery, asked)?;
        let main = answer.text(PLAYLIST_BYTES_MAX)?;
        let (url, playlist) = self.open(&self.variant(&main_url, &main)?)?;
        let mut player = Pieces {
            hls: self,
            delivery,
            reader: Reader::new(self.rendition.codec()),
            url,
        };
        player.fetch_init(&playlist)?;
        player.play(playlist)
    }

    /// The media playlist of our rendition.
    fn variant(&self, main_url: &str, main: &str) -> Result<String, Error> {
        let uris = variants(main).map_err(|cause| malformed(main_url, &cause))?;
        // A house with too many lists no better ones.
        let renditions = (0..3).map(|steps| self.rendition.lowered(steps));
        let ours = renditions.into_iter().find_map(|rendition| {
            let folder = format!("{rendition}/");
            let within = format!("/{folder}");
            let is_it = |uri: &&String| uri.starts_with(&folder) || uri.contains(&within);
            uris.iter().find(is_it)
        });
        let ours = ours.ok_or_else(|| {
            malformed(
                main_url,
                &format!("no variant {}, only {}", self.rendition, uris.join(", ")),
            )
        })?;
        Ok(resolve(main_url, ours))
    }

    /// The playlist to play: after the end it is the replay instead of the window that has stopped sliding.
    fn open(&self, url: &str) -> Result<(String, MediaPlaylist), Error> {
        let playlist = self.playlist(url, "")?;
        if !playlist.ended || !url.ends_with("/media.m3u8") {
            return Ok((url.to_owned(), playlist));
        }
        let replay_url = resolve(url, "replay.m3u8");
        match self.playlist(&replay_url, "") {
            Ok(replay) => Ok((replay_url, replay)),
            Err(Error::Refused { status: 404, .. }) => Ok((url.to_owned(), playlist)),
            Err(error) => Err(error),
        }
    }

    fn playlist(&self, url: &str, directives: &str) -> Result<MediaPlaylist, Error> {
        // Our number is at each: by it we keep our place.
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{separator}{directives}l={}", self.listener);
        let text = self.client.get(&url)?.text(PLAYLIST_BYTES_MAX)?;
        MediaPlaylist::parse(&text).map_err(|cause| malformed(&url, &cause))
    }
}

/// The pieces of one media playlist, fetched in their order.
struct Pieces<'a> {
    hls: &'a Hls,
    delivery: &'a Delivery,
    reader: Reader,
    /// The playlist's.
    url: String,
}

impl Pieces<'_> {
    fn fetch_init(&mut self, playlist: &MediaPlaylist) -> Result<(), Stop> {
        match &playlist.map_uri {
            Some(uri) => self.fetch(uri),
            None => Err(malformed(&self.url, &"no EXT-X-MAP, which CMAF needs").into()),
        }
    }

    fn play(&mut self, mut playlist: MediaPlaylist) -> Result<(), Stop> {
        let mut place = playlist.start();
        loop {
            match playlist.step(place) {
                Step::Behind => place = playlist.start(),
                Step::End => return Ok(()),
                Step::Fetch { uri, next } => {
                    if let Some(uri) = uri {
                        self.fetch_or_lose(&uri)?;
                    }
                    place = next;
                }
                Step::Wait { place: awaited } => {
                    let hinted = self.fetch_hinted(&playlist)?;
                    playlist = self.reload(&playlist, awaited)?;
                    place = if hinted {
                        Place {
                            part: awaited.part + 1,
                            ..awaited
                        }
                    } else {
                        awaited
                    };
                }
            }
        }
    }

    /// Fetches the part that the playlist hints at; whether it came. A hint may turn out wrong (section 6.2.6).
    fn fetch_hinted(&mut self, playlist: &MediaPlaylist) -> Result<bool, Stop> {
        let Some(uri) = &playlist.hint_uri else {
            return Ok(false);
        };
        match self.fetch(uri) {
            Ok(()) => Ok(true),
            Err(Stop::Failed(Error::Refused { .. } | Error::Unreachable { .. })) => Ok(false),
            Err(stop) => Err(stop),
        }
    }

    /// The playlist that holds the awaited part, or for a server that does not block, the playlist a while later.
    fn reload(&self, old: &MediaPlaylist, awaited: Place) -> Result<MediaPlaylist, Stop> {
        let directives = if old.can_block_reload {
            format!("_HLS_msn={}&_HLS_part={}&", awaited.segment, awaited.part)
        } else {
            thread::sleep(Duration::from_secs_f64(
                old.reload_seconds.min(RELOAD_SECONDS_MAX),
            ));
            String::new()
        };
        let mut failed = 0;
        loop {
            match self.hls.playlist(&self.url, &directives) {
                // Blocked and yet nothing new: a server that answers at once must not make us spin.
                Ok(new) if old.can_block_reload && !new.ended && new == *old => {
                    failed += 1;
                    if failed > TRIES_MAX {
                        return Err(Error::BrokeOff(Box::new(malformed(
                            &self.url,
                            &"the same playlist over and over",
                        )))
                        .into());
                    }
                }
                Ok(new) => return Ok(new),
                Err(error @ (Error::Refused { status: 500.., .. } | Error::Unreachable { .. })) => {
                    failed += 1;
                    if failed > TRIES_MAX {
                        return Err(Error::BrokeOff(Box::new(error)).into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
            thread::sleep(RETRY_AFTER * failed);
        }
    }

    /// Fetches a listed piece; one that has gone or cannot be had is a hole in what is heard, not the end.
    fn fetch_or_lose(&mut self, uri: &str) -> Result<(), Stop> {
        for tried in 1..=TRIES_MAX {
            match self.fetch(uri) {
                Err(Stop::Failed(Error::Refused {
                    status: 404 | 410, ..
                })) => return Ok(()),
                Err(Stop::Failed(Error::Refused { .. } | Error::Unreachable { .. }))
                    if tried < TRIES_MAX =>
                {
                    thread::sleep(RETRY_AFTER * tried);
                }
                done => return done,
            }
        }
        Ok(())
    }

    fn fetch(&mut self, uri: &str) -> Result<(), Stop> {
        let url = resolve(&self.url, uri);
        let bytes = self.hls.client.get(&url)?.bytes(PIECE_BYTES_MAX)?;
        self.delivery.count_bytes(bytes.len());
        let mut packets = Vec::new();
        self.reader
            .push(&bytes, &mut packets)
            .map_err(|cause| malformed(&url, &cause))?;
        self.delivery.packets(packets)
    }
}

/// A replay of 24 hours lists 22,500 segments at some 100 bytes; longer playlists are refused.
const PLAYLIST_BYTES_MAX: u64 = 8 << 20;
/// A segment of 3.84 s at 510 kb/s is 245 KB; longer ones are refused.
const PIECE_BYTES_MAX: u64 = 4 << 20;
/// Tries for one playlist or piece: with their waits some 3 s, less than a player's patience.
const TRIES_MAX: u32 = 5;
/// The first wait between two tries; each is longer by as much.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// The longest wait between two reloads of a server that cannot block: its window is longer than that.
const RELOAD_SECONDS_MAX: f64 = 4.0;
