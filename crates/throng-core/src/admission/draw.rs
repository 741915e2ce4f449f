//! What chance decides, so that an outsider can check it: seeds are drawn before the queue opens, their SHA-256 is
//! published, and the seeds themselves afterwards (commit and reveal).
//!
//! Three draws: the order of those who came before the start (arriving a second earlier, as a machine can, is worth
//! nothing), a small sample who go straight through whatever stands before them (what becomes of them says what the
//! crowd is made of), and how long somebody is told to wait (who obeys a number that he could not guess reads answers).

use sha2::{Digest as _, Sha256};

/// Seconds of waiting that are dealt; far enough apart to be told from each other in what comes back.
pub const RETRY_AFTER_S: [u32; 4] = [5, 10, 20, 40];
/// The drawn sample: 1.5 % of the tickets.
const SAMPLE_SHARE: u64 = u64::MAX / 1_000 * 15;
/// Rounds of the shuffle; four make a Feistel network a permutation that cannot be told from a random one
/// (Luby and Rackoff, SIAM J. Comput. 17, 1988).
const ROUNDS: u8 = 4;

/// The draws of one queue.
#[derive(Clone, Copy)]
pub struct Chances {
    order: [u8; 32],
    sample: [u8; 32],
}

impl Chances {
    /// The draws of a queue by its number, from the secret of a node.
    pub fn of(secret: &[u8; 32], queue: u32) -> Self {
        let seed = |purpose: &[u8]| digest(&[purpose, secret, &queue.to_be_bytes()]);
        Self {
            order: seed(b"throng queue order"),
            sample: seed(b"throng queue sample"),
        }
    }

    /// SHA-256 of the seeds: of the order, and of the sample. Published before.
    pub fn commitments(&self) -> [[u8; 32]; 2] {
        [digest(&[&self.order]), digest(&[&self.sample])]
    }

    /// The seeds. Published after.
    pub fn seeds(&self) -> [[u8; 32]; 2] {
        [self.order, self.sample]
    }

    /// The place, among so many who came early, of whom came as this one; each place is one's.
    ///
    /// A Feistel network over the next even power of two, walked until it falls within.
    pub fn place(&self, arrived: u64, early: u64) -> u64 {
        if arrived >= early {
            return arrived;
        }
        let half_bits = (64 - (early - 1).leading_zeros()).div_ceil(2).max(1);
        let mask = (1_u64 << half_bits) - 1;
        let mut place = arrived;
        loop {
            let (mut left, mut right) = (place >> half_bits, place & mask);
            for round in 0..ROUNDS {
                let mixed = digest(&[&self.order, &[round], &right.to_be_bytes()]);
                (left, right) = (right, left ^ first(&mixed) & mask);
            }
            place = left << half_bits | right;
            if place < early {
                return place;
            }
        }
    }

    /// Whether this ticket is of the sample.
    pub fn samples(&self, arrived: u64) -> bool {
        first(&self.drawn(arrived)) < SAMPLE_SHARE
    }

    /// How many seconds the holder of this ticket is told to wait.
    pub fn retry_after_s(&self, arrived: u64) -> u32 {
        RETRY_AFTER_S[usize::from(self.drawn(arrived)[8] % 4)]
    }

    fn drawn(&self, arrived: u64) -> [u8; 32] {
        digest(&[&self.sample, &arrived.to_be_bytes()])
    }
}

pub(super) fn digest(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update(piece);
    }
    hash.finalize().into()
}

fn first(bytes: &[u8; 32]) -> u64 {
    let (first, _) = bytes.split_first_chunk().expect("32 bytes have eight");
    u64::from_be_bytes(*first)
}
