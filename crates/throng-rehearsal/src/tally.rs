//! What is counted: by each agent, second by second, and added up over all of them. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;

/// Different words for one thing at most; later ones are counted as `other`. A server chooses statuses, we the rest.
const REASONS_MAX: usize = 32;

/// Counts since the beginning. Adding two gives what one agent with both crowds would have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Listeners who have set out.
    pub begun: u64,
    /// Connections of theirs that were begun, the first of each among them.
    pub connects: u64,
    /// Who has got sound: the answer that carries it.
    pub joined: u64,
    /// Who gave up before that.
    pub failed: u64,
    /// Who was told to wait with a ticket.
    pub queued: u64,
    /// Who has left as planned.
    pub left: u64,
    /// Who has sound coming now.
    pub listening: u64,
    /// The most of them at once.
    pub held_peak: u64,
    /// Connections that were lost while sound came.
    pub lost: u64,
    /// Who came to the end of the programme.
    pub ended: u64,
    /// Answers that refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// What went wrong on the way, by reason.
    pub troubles: BTreeMap<String, u64>,
    /// Connects that failed for want of something on our own side.
    pub own_limits: u64,
    /// Holes in what was heard.
    pub gaps: u64,
    /// How long the longest was.
    pub longest_gap_us: u64,
    /// Who had any.
    pub gap_listeners: u64,
    /// The longest time between two deliveries to one listener of an endless answer.
    pub longest_wait_us: u64,
    /// Sound that was delivered, each sample once.
    pub delivered_samples: u64,
    /// Bytes received, heads included.
    pub bytes: u64,
    /// From the first connect to the answer that carries sound.
    pub join_us: Histogram,
    /// From the first connect until sound began.
    pub first_sound_us: Histogram,
    /// Connections of badly behaved clients.
    pub misbehaved: u64,
    /// How many of these the server closed.
    pub shown_out: u64,
    /// TLS.
    pub handshakes: Handshakes,
    /// CPU time of the agents.
    pub cpu_us: u64,
    /// The longest time in which an agent looked after nobody.
    pub longest_lag_us: u64,
}

/// TLS handshakes; none without TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshakes {
    /// Those that were done.
    pub made: u64,
    /// How many of them took up an earlier session.
    pub resumed: u64,
    /// Those that came to nothing.
    pub failed: u64,
    /// From the connection to the end of the handshake.
    pub us: Histogram,
}

impl Handshakes {
    fn merge(&mut self, other: &Self) {
        self.made += other.made;
        self.resumed += other.resumed;
        self.failed += other.failed;
        self.us.merge(&other.us);
    }
}

impl Tally {
    /// Sound comes to one more.
    pub fn note_listening(&mut self) {
        self.listening += 1;
        self.held_peak = self.held_peak.max(self.listening);
    }

    /// A hole.
    pub fn note_gap(&mut self, missing_us: u64) {
        self.gaps += 1;
        self.longest_gap_us = self.longest_gap_us.max(missing_us);
    }

    /// A refusal.
    pub fn note_refused(&mut self, reason: &str) {
        note(&mut self.refused, reason, 1);
    }

    /// Something that went wrong.
    pub fn note_trouble(&mut self, reason: &str) {
        note(&mut self.troubles, reason, 1);
    }

    /// Adds another agent's counts of the same moment. `held_peak` of the sum is kept by whoever sums.
    pub fn merge(&mut self, other: &Self) {
        self.begun += other.begun;
        self.connects += other.connects;
        self.joined += other.joined;
        self.failed += other.failed;
        self.queued += other.queued;
        self.left += other.left;
        self.listening += other.listening;
        self.held_peak += other.held_peak;
        self.lost += other.lost;
        self.ended += other.ended;
        for (reason, count) in &other.refused {
            note(&mut self.refused, reason, *count);
        }
        for (reason, count) in &other.troubles {
            note(&mut self.troubles, reason, *count);
        }
        self.own_limits += other.own_limits;
        self.gaps += other.gaps;
        self.longest_gap_us = self.longest_gap_us.max(other.longest_gap_us);
        self.gap_listeners += other.gap_listeners;
        self.longest_wait_us = self.longest_wait_us.max(other.longest_wait_us);
        self.delivered_samples += other.delivered_samples;
        self.bytes += other.bytes;
        self.join_us.merge(&other.join_us);
        self.first_sound_us.merge(&other.first_sound_us);
        self.misbehaved += other.misbehaved;
        self.shown_out += other.shown_out;
        self.handshakes.merge(&other.handshakes);
        self.cpu_us += other.cpu_us;
        self.longest_lag_us = self.longest_lag_us.max(other.longest_lag_us);
    }

    /// Seconds of sound that were delivered.
    pub fn delivered_seconds(&self) -> u64 {
        self.delivered_samples / 48_000
    }
}

fn note(counts: &mut BTreeMap<String, u64>, reason: &str, more: u64) {
    let full = counts.len() >= REASONS_MAX && !counts.contains_key(reason);
    let reason = if full { "other" } else { reason };
    match counts.get_mut(reason) {
        Some(count) => *count += more,
        None => drop(counts.insert(reason.to_owned(), more)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stay_bounded_and_no_count_is_lost() {
        let mut tally = Tally::default();
        for status in 0..1_000 {
            tally.note_refused(&format!("status {status}"));
        }
        assert_eq!(tally.refused.len(), REASONS_MAX + 1);
        assert_eq!(tally.refused.values().sum::<u64>(), 1_000);
    }

    #[test]
    fn longest_is_the_longer_of_two_and_the_rest_adds_up() {
        let (mut one, mut two) = (Tally::default(), Tally::default());
        one.note_gap(5);
        two.note_gap(9);
        two.note_listening();
        one.merge(&two);
        assert_eq!((one.gaps, one.longest_gap_us, one.listening), (2, 9, 1));
    }
}
