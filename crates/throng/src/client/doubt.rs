//! Whether a speaker's session is lost, or only the network away: nothing is heard in both cases.
//!
//! While nothing is heard we ask the server, whatever it may answer. If it answers and still nothing is heard, the
//! session is lost. If it does not answer, the network is away, and the session goes on when it is back, if that is
//! soon: nobody has to come in anew, and what we have is not thrown away for nothing. A machine without clock or network.

use std::time::{Duration, Instant};

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the server whether it is there, and say so to [`Doubt::answer`].
    Ask,
    /// The session is lost.
    GiveUp,
    /// Nothing.
    Wait,
}

/// The doubts of one session.
#[derive(Debug, Default)]
pub struct Doubt {
    is_asking: bool,
    answered: Option<Instant>,
}

impl Doubt {
    /// What to do at `now`, when nothing was heard for `silence`.
    pub fn look(&mut self, now: Instant, silence: Duration) -> Step {
        if silence < DOUBT_AFTER {
            self.answered = None;
            return Step::Wait;
        }
        match self.answered {
            Some(at) if silence >= LOST_AFTER && now.saturating_duration_since(at) >= GRACE => {
                Step::GiveUp
            }
            None if !self.is_asking => {
                self.is_asking = true;
                Step::Ask
            }
            _ => Step::Wait,
        }
    }

    /// The server has answered what was asked, or it has not in time. An answer before which we heard it counts for
    /// nothing: the next [`Self::look`] forgets it.
    pub fn answer(&mut self, now: Instant, is_there: bool) {
        self.is_asking = false;
        self.answered = is_there.then_some(now);
    }
}

/// 20 missing packets in a row: no loss does that by chance, a busy machine may.
const DOUBT_AFTER: Duration = Duration::from_millis(400);
/// 40 missing packets in a row, and the server answers meanwhile. With an answer of a round trip or two, goodbye, offer
/// and handshakes, the seat is heard again within two seconds.
const LOST_AFTER: Duration = Duration::from_millis(800);
/// Where the network has just come back, the next packet comes about as soon as the answer.
const GRACE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of a session that hears nothing from 0 to `back_ms`, while the server answers from `there_ms` on, a round
    /// trip after it was asked; unanswered questions end after a second. When was it given up, and how often asked?
    fn silent(back_ms: u64, there_ms: u64) -> (Option<u64>, usize) {
        let (start, mut doubt) = (Instant::now(), Doubt::default());
        let (mut asked, mut answers) = (0, Vec::new());
        for ms in (0..12_000).step_by(20) {
            let now = start + Duration::from_millis(ms);
            answers.retain(|&(at, is_there)| {
                if at <= ms {
                    doubt.answer(now, is_there);
                }
                at > ms
            });
            let silence = if ms < back_ms { ms } else { 20 };
            match doubt.look(now, Duration::from_millis(silence)) {
                Step::Ask if ms >= there_ms => answers.push((ms + 80, true)),
                Step::Ask => answers.push((ms + 1_000, false)),
                Step::GiveUp => return (Some(ms), asked),
                Step::Wait => continue,
            }
            asked += 1;
        }
        (None, asked)
    }

    #[test]
    fn a_session_that_is_silent_while_the_server_answers_is_soon_given_up() {
        assert_eq!(silent(u64::MAX, 0), (Some(800), 1));
    }

    #[test]
    fn a_network_that_comes_back_finds_the_session_as_it_was() {
        // Away for five seconds, both the packets and the answers; the last question is answered when it is back.
        assert_eq!(silent(5_000, 5_000).0, None);
        assert_eq!(
            silent(5_100, 4_900).0,
            None,
            "the answer is a little sooner"
        );
    }

    #[test]
    fn a_network_that_comes_back_with_the_session_dead_is_found_out_within_two_seconds() {
        let (lost, _) = silent(u64::MAX, 5_000);
        assert!(
            lost.is_some_and(|ms| (5_000..=7_000).contains(&ms)),
            "{lost:?}"
        );
    }

    #[test]
    fn a_moment_of_silence_asks_nobody() {
        assert_eq!(silent(380, 0), (None, 0));
    }
}
