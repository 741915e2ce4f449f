//! What nodes do in a step: serve listeners, then whoever stands in the backlog, in his turn.

use throng_air::ledger::{Closed, Refused};
use throng_core::admission::{Entered, Standing, Verdict, Wait};
use throng_core::ladder::Rung;

use super::{STEP_MS, World};
use crate::cost;
use crate::line::Line;
use crate::node::{Guest, Item, Kind};
use crate::person::{Device, NEVER, State, about, small};

/// Parts of the span that the cushion of an ordinary join bears.
pub(super) fn short_parts() -> u64 {
    cost::bearable_parts(Rung::default().burst_samples())
}

impl World<'_> {
    /// Each node works as far as its processors reach.
    pub(super) fn work(&mut self) {
        let (now_ms, is_live, admits) = (self.now_ms(), self.is_live(), !self.is_naive());
        let mut places = 0;
        for number in 0..self.nodes.len() {
            let node = &mut self.nodes[number];
            places += node.capacity();
            if !node.is_up {
                continue;
            }
            if admits {
                node.call(now_ms, is_live);
            }
            let (had_us, in_time) = node.serve_listeners(STEP_MS, self.weight);
            self.tally.delivered_ms += node.listeners.len() as u64 * STEP_MS * in_time / 1_000;
            if in_time < 1_000 {
                self.stall(number, in_time);
            }
            let left_us = self.work_off(number, had_us);
            self.nodes[number].settle(had_us, left_us);
        }
        self.tally.possible_ms += self.tally.wanting.min(places) * STEP_MS;
    }

    /// Those who hear nothing for too long press play again.
    fn stall(&mut self, number: usize, in_time: u64) {
        let listeners = self.nodes[number].listeners.len() as u64;
        let stalled = listeners * (1_000 - in_time) * STEP_MS / (1_000 * cost::STALL_MS);
        for _ in 0..stalled {
            let listeners = &self.nodes[number].listeners;
            let place = self.chance.below(listeners.len() as u64);
            let person = listeners[usize::try_from(place).expect("a place in a list")];
            self.tally.evicted += 1;
            self.take_out(person, Closed::Stopped);
            self.put_out(person);
        }
    }

    /// The backlog, while there is time; what is left of it, or owed.
    fn work_off(&mut self, number: usize, had_us: i64) -> i64 {
        let mut left_us = had_us;
        while left_us > 0 {
            let Some(item) = self.nodes[number].pop() else {
                return left_us;
            };
            let cost_us = self.serve(number, item) * self.weight;
            left_us -= i64::try_from(cost_us).unwrap_or(i64::MAX);
        }
        left_us
    }

    fn serve(&mut self, number: usize, item: Item) -> u64 {
        let handshake_us = u64::from(self.scenario.nodes.tls) * cost::HANDSHAKE_US;
        let cost_us = match item.kind {
            Kind::Call => return self.serve_call(number, item),
            Kind::Hoard => self.serve_hoard(number, item),
            Kind::Ask { pages } if self.is_asking(item) => {
                u64::from(pages) * cost::PAGE_US + self.serve_ask(number, item)
            }
            Kind::Look if self.is_asking(item) => {
                self.served_page(number);
                self.look(item.person);
                cost::PAGE_US
            }
            Kind::Page => {
                self.served_page(number);
                cost::PAGE_US
            }
            Kind::Look => {
                self.nodes[number].page.refuse(Refused::Left);
                cost::GONE_US
            }
            Kind::Ask { .. } => {
                self.nodes[number].stream.refuse(Refused::Left);
                cost::GONE_US
            }
        };
        handshake_us + cost_us
    }

    fn served_page(&mut self, number: usize) {
        let page = &mut self.nodes[number].page;
        page.admit();
        page.close(Closed::Ended);
    }

    /// Whether whoever sent this still waits for the answer.
    pub(super) fn is_asking(&self, item: Item) -> bool {
        let person = self.people.get(item.person as usize);
        person.is_some_and(|him| him.attempt == item.attempt && him.state == State::InLine)
    }

    fn serve_ask(&mut self, number: usize, item: Item) -> u64 {
        let now_ms = self.now_ms();
        let him = &mut self.people[item.person as usize];
        // Another machine knows nothing of the tickets of the one before.
        let boards_lost = self.nodes[number].boards_lost;
        him.held = him.held.filter(|held| held.boards_lost == boards_lost);
        let him = &self.people[item.person as usize];
        let guest = Guest {
            player: (him.device == Device::Page).then(|| self.player(item.person)),
            ticket: him.held.map(|held| held.ticket),
            waited_ms: self.waited_ms(number, item),
            chance: self.chance.number(),
        };
        match self.nodes[number].ask(guest, now_ms) {
            Verdict::Enter(entered) => {
                self.enter(item.person, entered);
                cost::JOIN_US
            }
            Verdict::Wait(wait) => {
                self.told_to_wait(item.person, wait);
                cost::REFUSAL_US
            }
        }
    }

    /// What the judge of joins is told: how late the node's loops are, and where the scenario says so what was waited in
    /// the kernel before.
    fn waited_ms(&self, number: usize, item: Item) -> u64 {
        let in_backlog_ms = self.now_ms().saturating_sub(item.since_ms.into());
        let judged = u64::from(self.scenario.nodes.judges_backlog);
        self.nodes[number].lag_ms() + judged * in_backlog_ms
    }

    /// Somebody asks for a ticket whom nobody is.
    fn serve_hoard(&mut self, number: usize, item: Item) -> u64 {
        let now_ms = self.now_ms();
        let guest = Guest {
            player: None,
            ticket: None,
            waited_ms: self.waited_ms(number, item),
            chance: self.chance.number(),
        };
        self.tally.hoarded += 1;
        let node = &mut self.nodes[number];
        match node.ask(guest, now_ms) {
            Verdict::Enter(entered) => {
                node.leave_board(entered.remembered, now_ms);
                node.stream.close(Closed::Left);
                cost::JOIN_US
            }
            Verdict::Wait(_) => cost::REFUSAL_US,
        }
    }

    /// One of the calls of a service without a plan, which computes the answer whether or not anybody still waits for it.
    fn serve_call(&mut self, number: usize, item: Item) -> u64 {
        let cost_us = cost::NAIVE_CALL_US + self.chance.below(cost::NAIVE_CALL_MORE_US);
        if !self.is_asking(item) {
            self.nodes[number].stream.refuse(Refused::Left);
            return cost_us;
        }
        let him = &mut self.people[item.person as usize];
        him.calls += 1;
        self.nodes[number].stream.admit();
        if him.calls == cost::NAIVE_CALLS {
            let entered = Entered {
                remembered: None,
                standing: Standing::Room,
            };
            self.enter(item.person, entered);
        } else {
            self.nodes[number].stream.close(Closed::Ended);
            self.dial(item.person);
        }
        cost_us
    }

    /// He is in.
    fn enter(&mut self, person: u32, entered: Entered) {
        let now_ms = self.now_ms();
        self.tally.joins += 1;
        let him = &mut self.people[person as usize];
        let node = &mut self.nodes[usize::from(him.node)];
        // What he was told before the order was drawn is not his place any more.
        if let Some(held) = him.held.take().filter(|held| !held.is_early) {
            node.check_order(held.place, entered.standing, now_ms);
        }
        let bears = cost::bearable_parts(node.rung().burst_samples());
        him.bears_parts = u8::try_from(bears).unwrap_or(u8::MAX);
        him.remembered = entered.remembered;
        him.place = small(node.listeners.len() as u64);
        him.state = State::Listening;
        self.tally.out -= u64::from(std::mem::take(&mut him.is_lost));
        him.tries = 0;
        node.listeners.push(person);
        node.bear_short += u64::from(bears == short_parts());
        if him.is_slow {
            let line = Line::new(person, him.format(), now_ms, node.rung(), &mut self.chance);
            node.lines.push(line);
        }
        if him.heard_ms == NEVER {
            self.hear_first(person);
        }
        let leaves_ms = self.people[person as usize].leaves_ms;
        self.wake_at(person, leaves_ms.into());
    }

    /// His first sound.
    fn hear_first(&mut self, person: u32) {
        let now_ms = self.now_ms();
        let him = &mut self.people[person as usize];
        let round_trips = cost::ROUND_TRIPS + u64::from(self.scenario.nodes.tls);
        let round_trip_ms = cost::ROUND_TRIP_MS[him.network as usize];
        him.heard_ms = small(now_ms + round_trips * round_trip_ms + cost::DECODE_MS);
        let stay_ms = about(
            self.scenario.crowd[usize::from(him.crowd)].stay_s,
            &mut self.chance,
        );
        him.leaves_ms = him.leaves_ms.min(him.heard_ms.saturating_add(stay_ms));
        let waited_ms = him.heard_ms - him.wanted_ms;
        let before_start = him.heard_ms <= self.scenario.starts_s * 1_000;
        self.tally.heard_in_time += u64::from(before_start || waited_ms <= IN_TIME_MS);
        self.tally.waits_ms.push(waited_ms);
    }

    fn told_to_wait(&mut self, person: u32, wait: Wait) {
        let him = &self.people[person as usize];
        self.tally.refusals += 1;
        self.tally.refused[him.network as usize] += 1;
        self.queue(person, wait);
    }
}

/// Sound that comes so soon after it was wanted comes in time.
const IN_TIME_MS: u32 = 10_000;
