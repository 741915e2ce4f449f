//! The world: one clock in steps, one dice, all people and all nodes.
//!
//! In each step: faults, those who come, those whose time has come to do something, then each node works as far as its
//! processors reach. [`doors`] is what nodes do, [`people`] what people make of it.

mod doors;
mod people;

use throng_air::ledger::Closed;
use throng_core::timeline::PART_DURATION_MS;
use throng_rehearsal::arrival::{Curve, Point};
use throng_rehearsal::chance::{Chance, mixed};

use crate::cost;
use crate::line::Passed;
use crate::node::{Item, Kind, Node};
use crate::outcome::{Ending, Outcome};
use crate::person::{NEVER, Person, State};
use crate::scenario::{Fault, Scenario, Service};
use crate::tally::Tally;

/// One step of the clock: an eighth of a part.
const STEP_MS: u64 = 40;
const STEPS_PER_SECOND: u32 = 25;
const STEPS_PER_PART: u32 = 8;
/// Arrivals are told in whole people of a shape that may be small, and come evenly between.
const SHAPE_UNIT: u64 = 1_000_000;
const _: () = assert!(STEP_MS * STEPS_PER_PART as u64 == PART_DURATION_MS);

/// All there is.
pub(crate) struct World<'a> {
    scenario: &'a Scenario,
    seed: u64,
    /// People that each individual stands for.
    weight: u64,
    chance: Chance,
    curves: Vec<(Curve, u32)>,
    come: Vec<u32>,
    people: Vec<Person>,
    nodes: Vec<Node>,
    /// Nodes that newcomers are sent to.
    listed: Vec<u16>,
    /// For each step, who does something then.
    wheel: Vec<Vec<u32>>,
    hoarded: Vec<u64>,
    tally: Tally,
    step: u32,
}

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &'a Scenario, seed: u64, individuals: u32) -> Self {
        let weight = scenario.people().div_ceil(individuals.max(1).into()).max(1);
        let line_per_core = match scenario.service {
            Service::Naive => cost::NAIVE_PENDING_PER_CORE,
            Service::Throng => cost::BACKLOG_PER_CORE,
        };
        let node = |number| Node::new(number, &scenario.nodes, weight, line_per_core);
        let curves = scenario.crowd.iter().map(|crowd| {
            let point = |(at_s, people): &(u32, u64)| Point {
                at_us: u64::from(*at_s) * 1_000_000,
                people: *people * SHAPE_UNIT,
            };
            let individuals = u32::try_from(crowd.people / weight).unwrap_or(u32::MAX);
            let points = crowd.arrive.iter().map(point).collect();
            (Curve::Points(points), individuals)
        });
        Self {
            scenario,
            seed,
            weight,
            chance: Chance::new(seed),
            curves: curves.collect(),
            come: vec![0; scenario.crowd.len()],
            people: Vec::new(),
            nodes: (0..scenario.nodes.count).map(node).collect(),
            listed: (0..scenario.nodes.count).collect(),
            wheel: vec![Vec::new(); (scenario.duration_s * STEPS_PER_SECOND) as usize],
            hoarded: vec![0; scenario.hoard.len()],
            tally: Tally::default(),
            step: 0,
        }
    }

    pub(crate) fn run(mut self, passed: &mut dyn FnMut(u32)) -> Outcome {
        for step in 0..self.scenario.duration_s * STEPS_PER_SECOND {
            self.step = step;
            if step % STEPS_PER_SECOND == 0 {
                self.break_and_mend(step / STEPS_PER_SECOND);
                self.list();
            }
            self.bring();
            self.hoard();
            for person in std::mem::take(&mut self.wheel[step as usize]) {
                if self.people[person as usize].wakes == step {
                    self.wake(person);
                }
            }
            self.work();
            if step % STEPS_PER_PART == 0 {
                self.pass_part();
            }
            if (step + 1) % STEPS_PER_SECOND == 0 {
                let second = (step + 1) / STEPS_PER_SECOND;
                self.end_second(second.into());
                passed(second);
            }
        }
        self.finish()
    }

    fn now_ms(&self) -> u64 {
        u64::from(self.step) * STEP_MS
    }

    fn is_live(&self) -> bool {
        self.now_ms() >= u64::from(self.scenario.starts_s) * 1_000
    }

    fn is_naive(&self) -> bool {
        self.scenario.service == Service::Naive
    }

    /// What his player calls itself.
    fn player(&self, person: u32) -> u64 {
        mixed(self.seed ^ mixed(u64::from(person)))
    }

    fn break_and_mend(&mut self, second: u32) {
        for fault in self.scenario.fault.clone() {
            match fault {
                Fault::NodeDies { node, at_s, .. } if at_s == second => self.stop(node, true),
                Fault::NodeDies {
                    node, returns_s, ..
                } if returns_s == Some(second) => {
                    self.nodes[usize::from(node)].start();
                }
                Fault::Outage { at_s, .. } if at_s == second => {
                    (0..self.scenario.nodes.count).for_each(|node| self.stop(node, false));
                }
                Fault::Outage { at_s, for_s } if at_s + for_s == second => {
                    self.nodes.iter_mut().for_each(Node::start);
                }
                _ => {}
            }
        }
    }

    fn stop(&mut self, node: u16, forgets: bool) {
        let now_ms = self.now_ms();
        let (listeners, waiting) = self.nodes[usize::from(node)].stop(now_ms, forgets);
        self.tally.interrupted += listeners.len() as u64;
        for person in listeners {
            self.put_out(person);
        }
        for item in waiting {
            if self.is_asking(item) {
                self.fail(item.person);
            }
        }
    }

    fn list(&mut self) {
        let now_ms = self.now_ms();
        let numbered = (0..self.scenario.nodes.count).zip(&self.nodes);
        let listed = numbered.filter(|(_, node)| node.listed_until_ms > now_ms);
        self.listed = listed.map(|(number, _)| number).collect();
    }

    /// Those who come in this step.
    fn bring(&mut self) {
        let after_us = (self.now_ms() + STEP_MS) * 1_000;
        for crowd in 0..self.curves.len() {
            let (curve, all) = &self.curves[crowd];
            let arrived = curve.arrived(after_us, *all);
            for _ in self.come[crowd]..arrived {
                self.come_one(crowd);
            }
            self.come[crowd] = arrived;
        }
    }

    fn come_one(&mut self, crowd: usize) {
        let number = u32::try_from(self.people.len()).expect("individuals are counted so");
        let now_ms = u32::try_from(self.now_ms()).expect("a day in milliseconds");
        let node = self.any_node();
        let of = &self.scenario.crowd[crowd];
        let crowd = u8::try_from(crowd).expect("crowds are bounded");
        let person = Person::new(crowd, of, node, now_ms, &mut self.chance);
        self.tally.people[person.network as usize] += 1;
        self.tally.wanting += 1;
        self.people.push(person);
        self.dial(number);
    }

    /// Tickets for nobody, evenly over their time and all nodes.
    fn hoard(&mut self) {
        let now_ms = self.now_ms() + STEP_MS;
        for (place, hoard) in self.scenario.hoard.iter().enumerate() {
            let over_ms = u64::from(hoard.over_s.max(1)) * 1_000;
            let since_ms = now_ms
                .saturating_sub(u64::from(hoard.from_s) * 1_000)
                .min(over_ms);
            let asked = hoard.tickets / self.weight * since_ms / over_ms;
            for _ in self.hoarded[place]..asked {
                let node = self.chance.below(self.nodes.len() as u64);
                let item = Item {
                    kind: Kind::Hoard,
                    person: NEVER,
                    attempt: 0,
                    since_ms: u32::try_from(now_ms).unwrap_or(NEVER),
                };
                let node = &mut self.nodes[usize::try_from(node).expect("nodes are few")];
                let is_seen = node.is_up && node.push(item);
                self.tally.unseen += u64::from(!is_seen);
            }
            self.hoarded[place] = asked;
        }
    }

    /// The time of one part has passed on the slow lines.
    fn pass_part(&mut self) {
        let now_ms = self.now_ms();
        for number in 0..self.nodes.len() {
            let node = &mut self.nodes[number];
            let rung = node.rung();
            let (mut closed, mut missed_parts) = (Vec::new(), 0);
            for line in &mut node.lines {
                match line.part(now_ms, rung) {
                    Passed::Closed => closed.push(line.person),
                    Passed::On { missed } => missed_parts += missed,
                }
            }
            let missed_ms = missed_parts * PART_DURATION_MS;
            self.tally.delivered_ms = self.tally.delivered_ms.saturating_sub(missed_ms);
            for person in closed {
                self.tally.closed_too_slow += 1;
                self.take_out(person, Closed::Stopped);
                self.put_out(person);
            }
        }
    }

    fn end_second(&mut self, second: u64) {
        let (weight, admits) = (self.weight, !self.is_naive());
        let mean = |sum: u64, of: usize| sum / (of as u64).max(1);
        let series = &mut self.tally.series;
        let sum = |of: fn(&Node) -> u64| self.nodes.iter().map(of).sum::<u64>();
        series.second.push(second);
        series.wanting.push(self.tally.wanting * weight);
        series.places.push(sum(Node::capacity) * weight);
        series
            .listening
            .push(sum(|node| node.listeners.len() as u64) * weight);
        series.out.push(self.tally.out * weight);
        series.queued.push(sum(|node| node.board.queued()) * weight);
        series
            .cpu_percent
            .push(mean(sum(Node::cpu_percent), self.nodes.len()));
        let deepest = self.nodes.iter().map(|node| node.rung().number()).max();
        series.rung.push(deepest.unwrap_or(0).into());
        series
            .joins
            .push(std::mem::take(&mut self.tally.joins) * weight);
        series
            .refusals
            .push(std::mem::take(&mut self.tally.refusals) * weight);
        for node in &mut self.nodes {
            self.tally.is_unbalanced |= !node.second(weight, admits);
        }
    }

    /// He is no longer among the listeners of his node.
    fn take_out(&mut self, person: u32, why: Closed) {
        let him = &mut self.people[person as usize];
        let (place, bears, remembered) =
            (him.place as usize, him.bears_parts, him.remembered.take());
        let node = &mut self.nodes[usize::from(him.node)];
        node.listeners.swap_remove(place);
        if him.is_slow {
            node.lines.retain(|line| line.person != person);
        }
        node.bear_short -= u64::from(u64::from(bears) == doors::short_parts());
        node.stream.close(why);
        if let Some(moved) = node.listeners.get(place) {
            self.people[*moved as usize].place = u32::try_from(place).unwrap_or(NEVER);
        }
        if !self.is_naive() {
            let node = &mut self.nodes[usize::from(self.people[person as usize].node)];
            node.leave_board(remembered, u64::from(self.step) * STEP_MS);
        }
    }

    fn finish(self) -> Outcome {
        let wants = |person: &&Person| person.is_lost && person.state != State::Listening;
        let ending = Ending {
            seed: self.seed,
            weight: self.weight,
            individuals: self.people.len() as u64,
            not_back: self.people.iter().filter(wants).count() as u64,
            violations: self.nodes.iter().map(|node| node.violations).sum(),
        };
        Outcome::new(self.scenario, &ending, self.tally)
    }
}
