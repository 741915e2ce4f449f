//! WHEP: the programme over WebRTC, under a second behind. Packets come by UDP and may be lost or swapped on the way.

use std::collections::BTreeMap;

use throng_core::timeline::FRAME_SAMPLES;
use throng_stage::client::{ClientKind, Heard};

use super::cmaf::Packet;
use super::source::{Delivery, Stop};
use crate::client::http::Client;
use crate::client::session::{Door, Session};

/// A listener over WHEP.
#[derive(Debug)]
pub struct Whep {
    /// The client towards the server.
    pub client: Client,
    /// The space: `{listen}/s/{slug}`.
    pub space_url: String,
}

impl Whep {
    /// Delivers until the space has ended or the player has gone; a lost connection is taken up again.
    pub fn run(&self, delivery: &Delivery) -> Result<(), Stop> {
        let url = format!("{}/whep", self.space_url);
        let door = Door {
            client: self.client.clone(),
            url,
            bearer: None,
            kind: ClientKind::Listener,
        };
        let (mut session, mut order) = (door.enter()?, Order::default());
        loop {
            delivery.connected()?;
            if let Err(stop) = deliver(&mut session, &mut order, delivery) {
                session.close();
                return Err(stop);
            }
            match session.resume(|| false)? {
                Some(resumed) => session = resumed,
                None => return Ok(()),
            }
        }
    }
}

/// Delivers until the connection is over. The programme's clock goes on over the next one, so the order does too.
fn deliver(session: &mut Session, order: &mut Order, delivery: &Delivery) -> Result<(), Stop> {
    while let Some(heard) = session.line.blocking_recv() {
        delivery.count_bytes(heard.payload.len());
        delivery.packets(order.push(&heard))?;
    }
    Ok(())
}

/// Puts packets into their order again. Pure.
#[derive(Debug, Default)]
struct Order {
    /// The RTP timestamp, unwrapped, that comes next.
    next: Option<u64>,
    /// Packets that came before their turn.
    early: BTreeMap<u64, Packet>,
}

impl Order {
    /// Takes a packet; gives those whose turn has come. A missing one is waited for while [`EARLY_MAX`] others come.
    fn push(&mut self, heard: &Heard) -> Vec<Packet> {
        let next = *self
            .next
            .get_or_insert(UNWRAP_BASE + u64::from(heard.timestamp));
        #[expect(
            clippy::cast_possible_truncation,
            reason = "RTP timestamps are the low 32 bits"
        )]
        let ahead = heard.timestamp.wrapping_sub(next as u32).cast_signed();
        // What comes too late has been given up for lost.
        let Ok(ahead) = u64::try_from(ahead) else {
            return Vec::new();
        };
        let packet = Packet {
            sample: next + ahead,
            samples: FRAME,
            bytes: heard.payload.to_vec(),
        };
        self.early.insert(packet.sample, packet);
        let mut due = Vec::new();
        while let Some((&sample, _)) = self.early.first_key_value() {
            if self.next != Some(sample) && self.early.len() <= EARLY_MAX {
                break;
            }
            due.extend(self.early.remove(&sample));
            self.next = Some(sample + FRAME_SAMPLES);
        }
        due
    }
}

/// Samples of a packet: the programme is cut into frames of 20 ms.
const FRAME: u32 = 960;
/// Packets that wait for a missing one: 60 ms, in which a retransmission (RFC 4588) or a swapped packet comes. When it
/// does not, the listener hears a gap.
const EARLY_MAX: usize = 3;
/// Room below the first timestamp, so that unwrapping never goes below zero.
const UNWRAP_BASE: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// The frames that come out when packets of these frame numbers come in; the clock wraps between 0 and 1.
    fn ordered(frames: &[u32]) -> Vec<u64> {
        let mut order = Order::default();
        let mut first = None;
        let mut heard = Vec::new();
        for &frame in frames {
            let timestamp = frame.wrapping_mul(FRAME).wrapping_sub(FRAME);
            let payload = bytes::Bytes::from_static(b"x");
            let packet = Heard {
                sequence: 0,
                timestamp,
                payload,
                arrived: Instant::now(),
            };
            heard.extend(order.push(&packet).into_iter().map(|packet| packet.sample));
        }
        let first = *first.get_or_insert(heard[0]);
        heard
            .iter()
            .map(|sample| (sample - first) / FRAME_SAMPLES)
            .collect()
    }

    #[test]
    fn swapped_packets_are_put_in_order_and_copies_dropped() {
        assert_eq!(ordered(&[0, 2, 1, 1, 3, 5, 4]), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_lost_packet_is_waited_for_and_then_given_up() {
        assert_eq!(ordered(&[0, 2, 3, 4]), [0]);
        assert_eq!(ordered(&[0, 2, 3, 4, 5, 1, 6]), [0, 2, 3, 4, 5, 6]);
    }
}
