//! What an agent does once a second and at the end: looks for connections that are stuck, says what it has counted, and
//! tells the streams that it kept.

use std::io::{self, Write};

use super::time::{cpu_us, now_us};
use super::{Agent, Kept, Line, Said};
use crate::SECOND_US;
use crate::listener::Listener;

impl Agent {
    /// Once a second: whoever has heard nothing for too long, a part of the slots each time.
    fn look_for_stuck(&mut self, now: u64) {
        let count = self.guests.slots.len();
        let share = count / 8 + 1;
        for _ in 0..share.min(count) {
            self.looked_at = (self.looked_at + 1) % count;
            let slot = &self.guests.slots[self.looked_at];
            if slot.is_connected && !slot.listener.is_gone() && slot.listener.is_stuck(now) {
                let own = u32::try_from(self.looked_at).expect("slots are counted in 32 bits");
                let act = self.guests.with(own, now, Listener::stuck);
                self.act(own, act);
            }
        }
    }

    pub(super) fn write_line(&mut self, output: &mut dyn Write, done: bool) -> io::Result<()> {
        let now = now_us();
        if done {
            for own in self.left..self.guests.count() {
                self.let_go(own, now);
            }
            self.write_kept(output)?;
        } else {
            self.look_for_stuck(now);
            let guests = &mut self.guests;
            self.misbehaving.tick(&mut guests.tally);
        }
        let tally = &mut self.guests.tally;
        tally.cpu_us = cpu_us();
        if let Some(handshakes) = self.port.handshakes() {
            tally.handshakes = handshakes.clone();
        }
        let wait_us = std::mem::take(&mut tally.longest_wait_us);
        let lag_us = std::mem::take(&mut self.lag_us);
        tally.longest_lag_us = tally.longest_lag_us.max(lag_us);
        let line = Line {
            tally: tally.clone(),
            wait_us,
            lag_us,
            done,
        };
        write_said(output, &Said::Line(Box::new(line)))?;
        output.flush()?;
        while self.next_line_us <= now {
            self.next_line_us += SECOND_US;
        }
        Ok(())
    }

    fn write_kept(&self, output: &mut dyn Write) -> io::Result<()> {
        let guests = &self.guests;
        for (own, bytes) in guests.kept.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            let kept = Kept::new(guests.orders.number_of(*own), bytes);
            write_said(output, &Said::Kept(kept))?;
        }
        Ok(())
    }
}

fn write_said(output: &mut dyn Write, said: &Said) -> io::Result<()> {
    writeln!(output, "{}", serde_json::to_string(said)?)
}
