//! Progressive listening: one endless answer, taken up again when the connection breaks while the space goes on.

use std::io::Read;
use std::thread;
use std::time::Duration;

use throng_core::rendition::Rendition;
use throng_core::timeline::PART_SAMPLES;

use super::cmaf::Reader;
use super::source::{Delivery, Stop};
use super::state::SpaceState;
use crate::client::Error;
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
        let (mut fruitless, mut next_sample) = (0, None);
        loop {
            let broken = match self.listen_once(delivery, &mut fruitless, &mut next_sample) {
                Ok(Ending::Over) => return Ok(()),
                Ok(Ending::Closed) if self.has_ended() => return Ok(()),
                Ok(Ending::Closed) => self.closed_early(),
                Err(Stop::Failed(broken @ Error::Unreachable { .. })) if fruitless > 0 => broken,
                Err(stop) => return Err(stop),
            };
            if fruitless > RECONNECTS_MAX {
                return Err(Error::BrokeOff(Box::new(broken)).into());
            }
            // Twice as long after each try that brought no sound: 0.25 s to 4 s.
            thread::sleep(RECONNECT_AFTER * (1 << fruitless.saturating_sub(1).min(RECONNECTS_MAX)));
        }
    }

    /// One connection, to its end. `fruitless` counts the connections since the last sound, which ended before
    /// `next_sample`.
    fn listen_once(
        &self,
        delivery: &Delivery,
        fruitless: &mut u32,
        next_sample: &mut Option<u64>,
    ) -> Result<Ending, Stop> {
        let url = self.url(*next_sample);
        let answer = self.client.get(&url)?;
        if *fruitless > 0 && !answer.path().ends_with("/live.mp4") {
            // Sent on to the recording: the space ended while we were away.
            return Ok(Ending::Over);
        }
        delivery.connected()?;
        *fruitless += 1;
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
                *fruitless = 1;
                *next_sample = Some(last.sample + u64::from(last.samples));
            }
            delivery.packets(packets.drain(..))?;
        }
    }

    /// Who comes back says for which part he waits, so that he misses nothing.
    fn url(&self, next_sample: Option<u64>) -> String {
        let (space, rendition, listener) = (&self.space_url, self.rendition, &self.listener);
        let url = format!("{space}/live.mp4?rendition={rendition}&l={listener}");
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

/// How a connection ended.
enum Ending {
    /// The server closed the stream.
    Closed,
    /// There is nothing live to listen to any more.
    Over,
}

/// A burst of 9 s at 48 kb/s is 54 KB: read it in few pieces, later ones are smaller anyway.
const READ_BYTES: usize = 16 << 10;
/// Tries without any sound before we give up; with their waits they span some 8 s.
const RECONNECTS_MAX: u32 = 5;
/// The wait before the first try, well within the cushion of a burst.
const RECONNECT_AFTER: Duration = Duration::from_millis(250);
