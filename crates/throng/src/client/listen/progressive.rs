//! Progressive listening: one endless answer, taken up again when the connection breaks while the space goes on.

use std::io::Read;
use std::thread;

use throng_core::rendition::Rendition;
use throng_core::timeline::PART_SAMPLES;

use super::cmaf::Reader;
use super::source::{Delivery, Stop};
use super::state::SpaceState;
use super::turn::Turn;
use crate::client::Error;
use crate::client::backoff::Backoff;
use crate::client::http::{Client, malformed};

/// A listener of `live.mp4`.
#[derive(Debug)]
pub struct Progressive {
    /// The client towards the server.
    pub client: Client,
    /// The space: `{listen}/s/{slug}`.
    pub space_url: String,
    /// The rendition; `None` leaves it to the server.
    pub rendition: Rendition,
    /// A random word that lets a full house recognise us when we come back.
    pub listener: String,
}

impl Progressive {
    /// Delivers until the space has ended, or fails when the stream cannot be taken up again.
    pub fn run(&self, delivery: &Delivery) -> Result<(), Stop> {
        let (mut visit, mut backoff) = (Visit::default(), Backoff::default());
        loop {
            let broken = match self.listen_once(delivery, &mut visit) {
                Ok(Ending::Over) => return Ok(()),
                Ok(Ending::Closed) if self.has_ended() => return Ok(()),
                Ok(Ending::Closed) => self.closed_early(),
                Err(Stop::Failed(broken @ Error::Unreachable { .. }))
                    if visit.turn.was_answered =>
                {
                    broken
                }
                Err(stop) => return Err(stop),
            };
            if std::mem::take(&mut visit.had_sound) {
                (visit.fruitless, backoff) = (0, Backoff::default());
            }
            visit.fruitless += 1;
            if visit.fruitless > RECONNECTS_MAX {
                return Err(Error::BrokeOff(Box::new(broken)).into());
            }
            thread::sleep(backoff.next_wait());
        }
    }

    /// One connection, to its end.
    fn listen_once(&self, delivery: &Delivery, visit: &mut Visit) -> Result<Ending, Stop> {
        let url = self.url(visit.next_sample, "");
        let answer = visit
            .turn
            .enter(&self.client, &self.space_url, delivery, |ticket| {
                self.url(visit.next_sample, ticket)
            })?;
        if visit.is_returning && !answer.path().ends_with("/live.mp4") {
            // Sent on to the recording: the space ended while we were away.
            return Ok(Ending::Over);
        }
        visit.is_returning = true;
        let (mut stream, mut reader) = (answer.stream(), Reader::new(self.rendition.codec()));
        let (mut buffer, mut packets) = (vec![0; READ_BYTES], Vec::new());
        loop {
            let read = match stream.read(&mut buffer) {
                Ok(0) => return Ok(Ending::Closed),
                Ok(read) => read,
                Err(cause) => {
                    return Err(Error::Unreachable {
                        url,
                        reason: cause.to_string(),
                    }
                    .into());
                }
            };
            delivery.count_bytes(read);
            reader
                .push(&buffer[..read], &mut packets)
                .map_err(|cause| malformed(&url, &cause))?;
            if let Some(last) = packets.last() {
                visit.had_sound = true;
                visit.next_sample = Some(last.sample + u64::from(last.samples));
            }
            delivery.packets(packets.drain(..))?;
        }
    }

    /// Who comes back says for which part he waits, so that he misses nothing.
    fn url(&self, next_sample: Option<u64>, ticket: &str) -> String {
        let (space, rendition, listener) = (&self.space_url, self.rendition, &self.listener);
        let url = format!("{space}/live.mp4?rendition={rendition}&l={listener}{ticket}");
        match next_sample {
            Some(sample) => format!("{url}&from={}", sample / PART_SAMPLES),
            None => url,
        }
    }

    fn has_ended(&self) -> bool {
        SpaceState::fetch(&self.client, &self.space_url).is_ok_and(|state| state.is_over())
    }

    fn closed_early(&self) -> Error {
        let reason = "the server closed the stream, though the space has not ended".to_owned();
        Error::Unreachable {
            url: self.space_url.clone(),
            reason,
        }
    }
}

/// What a listener remembers from connection to connection.
#[derive(Default)]
struct Visit {
    turn: Turn,
    /// Whether he was inside before.
    is_returning: bool,
    /// Whether sound came since the last try.
    had_sound: bool,
    /// Tries since the last sound.
    fruitless: u32,
    /// Where the last sound ended.
    next_sample: Option<u64>,
}

/// How a connection ended.
enum Ending {
    /// The server closed the stream.
    Closed,
    /// There is nothing live to listen to any more.
    Over,
}

/// A burst of 9 s at 48 kb/s is 54 KB: read it in few pieces, later ones are smaller anyway.
const READ_BYTES: usize = 16 << 10;
/// Tries without any sound before we give up; with their waits they span some 12 s.
const RECONNECTS_MAX: u32 = 8;
