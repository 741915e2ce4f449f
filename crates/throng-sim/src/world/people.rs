//! What people and their players do: come, wait as they are told, come back, give up, leave.

use throng_air::ledger::Closed;
use throng_core::admission::{Reason, Wait};
use throng_rehearsal::SECOND_US;

use super::{STEP_MS, World};
use crate::cost;
use crate::node::{Item, Kind};
use crate::person::{Device, Held, State, about, small};

/// Players come a little before the time that they are told, each another bit, so that they do not come together.
const EARLIER_MS: u64 = 500;

impl World<'_> {
    /// He does something at this time.
    pub(super) fn wake_at(&mut self, person: u32, at_ms: u64) {
        let step = (at_ms / STEP_MS).max(u64::from(self.step) + 1);
        self.people[person as usize].wakes = small(step);
        let slot = usize::try_from(step).ok();
        if let Some(slot) = slot.and_then(|step| self.wheel.get_mut(step)) {
            slot.push(person);
        }
    }

    fn wake_after(&mut self, person: u32, after_ms: u64) {
        self.wake_at(person, self.now_ms() + after_ms);
    }

    /// His time has come.
    pub(super) fn wake(&mut self, person: u32) {
        let him = &self.people[person as usize];
        let is_out_of_patience = self.now_ms() >= him.gives_up_ms.into();
        match him.state {
            State::Gone => {}
            State::Listening => self.leave(person),
            _ if is_out_of_patience => self.go(person),
            State::Away | State::Dialling { .. } => self.dial(person),
            State::InLine => self.fail(person),
            State::Waiting => self.see_counter(person),
        }
    }

    /// Any node that is listed, or any at all.
    pub(super) fn any_node(&mut self) -> u16 {
        let (listed, all) = (self.listed.len() as u64, self.nodes.len() as u64);
        let number = self.chance.below(if listed > 0 { listed } else { all });
        let place = usize::try_from(number).expect("nodes are few");
        let listed = self.listed.get(place).copied();
        listed.unwrap_or(u16::try_from(place).expect("nodes are few"))
    }

    /// He connects and asks.
    pub(super) fn dial(&mut self, person: u32) {
        self.choose_node(person);
        let kind = if self.is_naive() {
            Kind::Call
        } else {
            let him = &self.people[person as usize];
            let is_first =
                !him.has_page && him.device == Device::Page && !self.scenario.nodes.cache;
            let pages = if is_first { cost::PAGES_BEFORE } else { 0 };
            Kind::Ask {
                pages: u8::try_from(pages).unwrap_or(u8::MAX),
            }
        };
        self.send(person, kind);
    }

    fn choose_node(&mut self, person: u32) {
        let home = self.people[person as usize].node;
        let is_listed = self.nodes[usize::from(home)].listed_until_ms > self.now_ms();
        if !is_listed && !self.listed.is_empty() {
            let node = self.any_node();
            let him = &mut self.people[person as usize];
            // Another node knows nothing of his ticket.
            (him.node, him.held) = (node, None);
        }
    }

    fn send(&mut self, person: u32, kind: Kind) {
        let now_ms = self.now_ms();
        let him = &mut self.people[person as usize];
        let tries = match him.state {
            State::Dialling { tries } => tries,
            _ => 0,
        };
        let node = &mut self.nodes[usize::from(him.node)];
        if !node.is_up {
            let is_silent = node.is_silent;
            let found_out_ms = u64::from(is_silent) * cost::UNREACHABLE_MS;
            return self.fail_after(person, found_out_ms, false);
        }
        him.attempt = him.attempt.wrapping_add(1);
        let item = Item {
            kind,
            person,
            attempt: him.attempt,
            since_ms: small(now_ms),
        };
        if node.push(item) {
            him.state = State::InLine;
            him.has_page = true;
            let answer_ms = if kind == Kind::Call {
                cost::NAIVE_ANSWER_MS
            } else {
                cost::ANSWER_MS
            };
            return self.wake_after(person, answer_ms);
        }
        self.tally.unseen += 1;
        match cost::DIAL_AGAIN_MS.get(usize::from(tries)) {
            Some(after_ms) if kind != Kind::Call => {
                him.state = State::Dialling { tries: tries + 1 };
                self.wake_after(person, *after_ms);
            }
            _ => self.fail(person),
        }
    }

    /// No answer, or the connection broke.
    pub(super) fn fail(&mut self, person: u32) {
        self.fail_after(person, 0, false);
    }

    /// `cut`: he was hearing something until now.
    fn fail_after(&mut self, person: u32, found_out_ms: u64, cut: bool) {
        let wait_ms = self.wait_of_player_ms(person, found_out_ms, cut);
        let him = &mut self.people[person as usize];
        him.attempt = him.attempt.wrapping_add(1);
        him.state = State::Away;
        him.calls = 0;
        self.wake_after(person, found_out_ms + wait_ms);
    }

    /// How long his player waits before it tries again, or he before he presses play again.
    fn wait_of_player_ms(&mut self, person: u32, found_out_ms: u64, cut: bool) -> u64 {
        if self.is_naive() {
            return cost::NAIVE_AGAIN_MS;
        }
        let now_us = (self.now_ms() + found_out_ms) * 1_000;
        let him = &mut self.people[person as usize];
        if him.device == Device::Page {
            let wait_us = him.comeback.next_wait_us(now_us, cut, &mut self.chance);
            return wait_us * 1_000 / SECOND_US;
        }
        him.tries += 1;
        if him.tries <= cost::PLAIN_TRIES {
            return cost::PLAIN_AGAIN_MS;
        }
        him.tries = 0;
        cost::PRESS_AGAIN_MS + self.chance.below(cost::PRESS_AGAIN_MS)
    }

    /// He was inside and is not any more; his patience begins anew.
    pub(super) fn put_out(&mut self, person: u32) {
        let now_ms = self.now_ms();
        let him = &mut self.people[person as usize];
        let patience_s = self.scenario.crowd[usize::from(him.crowd)].patience_s;
        let until_ms = small(now_ms).saturating_add(about(patience_s, &mut self.chance));
        him.gives_up_ms = until_ms.min(him.leaves_ms);
        self.tally.out += u64::from(!std::mem::replace(&mut him.is_lost, true));
        him.remembered = None;
        self.fail_after(person, 0, true);
    }

    /// He has been given a ticket, or been told when to try again.
    pub(super) fn queue(&mut self, person: u32, wait: Wait) {
        let told_ms = u64::from(wait.ask_again_s) * 1_000;
        let him = &mut self.people[person as usize];
        if him.device == Device::Plain {
            him.tries += 1;
            him.state = State::Away;
            let is_tired = him.tries > cost::PLAIN_TRIES;
            let wait_ms = if is_tired {
                cost::PRESS_AGAIN_MS
            } else {
                told_ms
            };
            if is_tired {
                him.tries = 0;
            }
            let more_ms = self.chance.below(if is_tired {
                cost::PRESS_AGAIN_MS
            } else {
                1_000
            });
            return self.wake_after(person, wait_ms + more_ms);
        }
        let before = him.held.filter(|held| held.ticket == wait.ticket);
        him.held = Some(Held {
            ticket: wait.ticket,
            place: wait.place,
            boards_lost: self.nodes[usize::from(him.node)].boards_lost,
            is_early: wait.reason == Reason::Early,
            dealt_s: before.map_or(wait.ask_again_s, |held| held.dealt_s),
        });
        him.state = State::Waiting;
        let earlier_ms = self.chance.below(EARLIER_MS);
        self.wake_after(person, told_ms - earlier_ms.min(told_ms));
    }

    /// He wants to know how far the queue has come: a cache says it while the node is there, or the node.
    fn see_counter(&mut self, person: u32) {
        let him = &self.people[person as usize];
        if self.scenario.nodes.cache && self.nodes[usize::from(him.node)].is_up {
            self.look(person);
        } else {
            self.send(person, Kind::Look);
        }
    }

    /// He reads the counter, and asks if it is his turn.
    pub(super) fn look(&mut self, person: u32) {
        let him = &mut self.people[person as usize];
        let node = &self.nodes[usize::from(him.node)];
        let seen = node.seen;
        let is_of_board = |held: &Held| held.boards_lost == node.boards_lost;
        him.held = him.held.filter(is_of_board);
        let Some(held) = him.held else {
            return self.dial(person);
        };
        let is_another = seen.queue != held.ticket.queue;
        let is_drawn_now = held.is_early && seen.is_drawn;
        if is_another || is_drawn_now || held.place <= seen.serving {
            return self.dial(person);
        }
        him.state = State::Waiting;
        let before = held.place - seen.serving;
        let expected_s = (before * 60)
            .checked_div(seen.per_minute)
            .unwrap_or(u64::MAX)
            / 2;
        let most_s = u64::from(held.dealt_s).max(cost::LOOK_MIN_S);
        let wait_ms = expected_s.clamp(cost::LOOK_MIN_S, most_s) * 1_000;
        let earlier_ms = self.chance.below(EARLIER_MS);
        self.wake_after(person, wait_ms - earlier_ms);
    }

    /// He has heard enough, and looks at the page once more where the evening is over.
    fn leave(&mut self, person: u32) {
        self.take_out(person, Closed::Left);
        self.go(person);
        let him = &self.people[person as usize];
        let is_over = self.scenario.crowd[usize::from(him.crowd)].leave.is_some();
        if is_over && him.device == Device::Page && !self.scenario.nodes.cache {
            let item = Item {
                kind: Kind::Page,
                person,
                attempt: him.attempt,
                since_ms: small(self.now_ms()),
            };
            self.nodes[usize::from(him.node)].push(item);
        }
    }

    fn go(&mut self, person: u32) {
        let is_over = self.now_ms() >= self.people[person as usize].leaves_ms.into();
        let him = &mut self.people[person as usize];
        him.state = State::Gone;
        if is_over {
            // He would have left by now, wherever he was.
            self.tally.out -= u64::from(std::mem::take(&mut him.is_lost));
        }
        self.tally.wanting -= 1;
    }
}
