//! Coming in, through the queue if the house is full, as [`super::queueing`] decides.

use std::thread;

use super::queueing::{self, Next, Progress, Told};
use super::source::{Delivery, Stop};
use crate::chance;
use crate::client::http::{Answer, Client, Entry};

/// What one who comes in, and comes back, remembers of it.
#[derive(Default)]
pub(super) struct Turn {
    /// Whether the server has ever answered.
    pub(super) was_answered: bool,
    /// The ticket that is to be shown again.
    ticket: Option<String>,
}

impl Turn {
    /// Asks at the URL that goes with the ticket, as a query or as nothing, until the house lets us in. What is dictated
    /// there is obeyed, and spends no tries.
    pub(super) fn enter(
        &mut self,
        client: &Client,
        space_url: &str,
        delivery: &Delivery,
        url: impl Fn(&str) -> String,
    ) -> Result<Answer, Stop> {
        loop {
            let shown = self.ticket.as_ref();
            let ticket = shown.map_or_else(String::new, |ticket| format!("&ticket={ticket}"));
            let entry = client.enter::<Told>(&url(&ticket))?;
            if !std::mem::replace(&mut self.was_answered, true) {
                delivery.connected()?;
            }
            match entry {
                Entry::In(answer) => {
                    if self.ticket.take().is_some() {
                        delivery.queued(None)?;
                    }
                    return Ok(answer);
                }
                Entry::Wait(told) => {
                    self.ticket = Some(told.ticket.clone());
                    wait(client, space_url, delivery, &told)?;
                }
            }
        }
    }
}

/// Waits until the ticket is to be shown again.
fn wait(client: &Client, space_url: &str, delivery: &Delivery, told: &Told) -> Result<(), Stop> {
    let counter = format!("{space_url}/now-serving.json");
    let (mut standing, mut again, mut failed) = (told.standing(), told.again(), 0);
    loop {
        delivery.queued(Some(standing.clone()))?;
        thread::sleep(queueing::spread(again, chance::fraction()));
        if told.is_called() {
            return Ok(());
        }
        let progress = client.get(&counter).and_then(Answer::json::<Progress>);
        let Ok(progress) = progress else {
            failed += 1;
            again = told.after_failure(failed);
            continue;
        };
        failed = 0;
        let (now, next) = told.next(&progress);
        standing = now;
        match next {
            Next::Ask => return Ok(()),
            Next::Look(after) => again = after,
        }
    }
}
