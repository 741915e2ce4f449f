//! The supervisor of a node: one origin and N Air workers, each a process of this program.
//!
//! It holds the audience's port, starts the others, and starts again whatever dies, with waits that grow and are
//! bounded. It touches no sound and no request, so that there is little that could end it. When it ends, they do.

pub(crate) mod child;

use std::collections::BTreeMap;
use std::future::pending;
use std::process::ExitStatus;
use std::time::Duration;
use std::{io, process};

use rustix::process::Signal;
use throng_air::room;
use throng_air::room::shared::{QueueSecret, SharedBoard};
use throng_air::tls::tickets::TicketSecret;
use throng_core::admission::Lane;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::child::{OriginOrder, OriginReady, Role, Running, WorkerOrder};
use crate::capacity::Capacity;
use crate::config::Config;
use crate::serve::{self, HAND_OVER_MAX, Links, ServeError, taken_over, wait_for_signal};

/// The first wait before what died is started again.
const RESTART_WAIT_MIN: Duration = Duration::from_millis(50);
/// Waits double up to here: what dies at once, again and again, costs little and comes back soon after it is mended.
const RESTART_WAIT_MAX: Duration = Duration::from_secs(5);
/// What has run for so long has started well; when it dies, the first wait counts again.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// Runs a node until SIGTERM or Ctrl-C; a second signal ends it at once.
pub(crate) async fn run(mut config: Config, json: bool) -> Result<(), ServeError> {
    let kept = taken_over(HAND_OVER_MAX, || serve::keep(config.listen)).await?;
    let audience = kept.local_addr()?;
    if config.shares_desk() {
        config.desk = audience;
    }
    config.listen = audience;
    let capacity = Capacity::of(&config).map_err(ServeError::Capacity)?;
    let mut house = House::new(config, capacity)?;
    let links = house.open().await?;
    serve::announce(&links, json)?;
    house.keep().await
}

/// The processes of a node.
struct House {
    config: Config,
    capacity: Capacity,
    tickets: TicketSecret,
    /// What all doors of the node share.
    board: SharedBoard,
    queue: QueueSecret,
    running: BTreeMap<Role, Running>,
    /// How each ended.
    ended: JoinSet<(Role, io::Result<ExitStatus>)>,
    /// Who is to be started again now.
    due: JoinSet<Role>,
    lives: BTreeMap<Role, Life>,
}

/// How often a process has died since it last ran well, and was started again at all.
#[derive(Clone, Copy)]
struct Life {
    began: Instant,
    deaths: u32,
    restarts: u64,
}

impl House {
    fn new(config: Config, capacity: Capacity) -> io::Result<Self> {
        let board = SharedBoard::create()?;
        board.board().limit(capacity.limits());
        Ok(Self {
            config,
            capacity,
            tickets: TicketSecret::drawn(),
            board,
            queue: QueueSecret::drawn(),
            running: BTreeMap::new(),
            ended: JoinSet::new(),
            due: JoinSet::new(),
            lives: BTreeMap::new(),
        })
    }

    /// Starts everything; the links work when it returns.
    async fn open(&mut self) -> Result<Links, ServeError> {
        self.start(Role::Origin).await?;
        let line = self.first_line(Role::Origin).await?;
        let ready: OriginReady = serde_json::from_str(&line).map_err(|_| ServeError::Order)?;
        // From now on these addresses are given away, so that the next life has to have the same.
        self.config.desk = ready.desk.unwrap_or(self.config.desk);
        self.config.internal = ready.internal;
        self.config.stage_udp = ready.stage;
        let workers: Vec<_> = (1..=self.config.air_workers).map(Role::Worker).collect();
        for worker in &workers {
            self.start(*worker).await?;
        }
        for worker in workers {
            self.first_line(worker).await?;
        }
        Ok(ready.links)
    }

    async fn start(&mut self, role: Role) -> io::Result<()> {
        let config = self.config.clone();
        let restarts = self.lives.get(&role).map_or(0, |life| life.restarts + 1);
        let started = match role {
            Role::Origin => {
                let order = OriginOrder {
                    config,
                    supervisor: process::id(),
                    restarts,
                    capacity: self.capacity,
                    board: self.board.path(),
                    queue: self.queue,
                };
                Running::start(role, &order).await
            }
            Role::Worker(place) => {
                let order = WorkerOrder {
                    config,
                    place,
                    restarts,
                    board: self.board.path(),
                    queue: self.queue,
                    tickets: self.tickets.clone(),
                };
                Running::start(role, &order).await
            }
        };
        let (running, mut child) = started?;
        let deaths = self.lives.get(&role).map_or(0, |life| life.deaths);
        let began = Instant::now();
        self.lives.insert(
            role,
            Life {
                began,
                deaths,
                restarts,
            },
        );
        self.running.insert(role, running);
        self.ended.spawn(async move { (role, child.wait().await) });
        Ok(())
    }

    async fn first_line(&mut self, role: Role) -> Result<String, ServeError> {
        let line: Option<oneshot::Receiver<String>> = self
            .running
            .get_mut(&role)
            .and_then(|running| running.first_line.take());
        let failed = || ServeError::Child(role.to_string());
        line.ok_or_else(failed)?.await.map_err(|_| failed())
    }

    /// Starts again what dies, until it is told to stop.
    async fn keep(mut self) -> Result<(), ServeError> {
        let stop = wait_for_signal();
        tokio::pin!(stop);
        // A hangup asks for the certificate to be read again, by all who show it.
        let has_certificate = self.config.tls.is_some();
        let hangups = has_certificate.then(|| signal(SignalKind::hangup()));
        let mut hangups = hangups.transpose()?;
        loop {
            tokio::select! {
                () = asked_again(&mut hangups) => self.tell(Signal::HUP),
                Some(Ok((role, status))) = self.ended.join_next() => self.mourn(role, &status),
                Some(Ok(role)) = self.due.join_next() => {
                    if let Err(error) = self.start(role).await {
                        tracing::error!(%role, %error, "could not be started");
                        self.start_later(role);
                    }
                }
                stopped = &mut stop => {
                    stopped?;
                    break;
                }
            }
        }
        tracing::info!("stopping; a second signal stops at once");
        self.drain().await
    }

    fn mourn(&mut self, role: Role, status: &io::Result<ExitStatus>) {
        self.running.remove(&role);
        if let Role::Worker(place) = role {
            room::mourn(self.board.board(), Lane::new(place as usize));
        }
        match status {
            Ok(status) => tracing::error!(%role, %status, "died; it is started again"),
            Err(error) => tracing::error!(%role, %error, "was lost; it is started again"),
        }
        self.start_later(role);
    }

    fn start_later(&mut self, role: Role) {
        let now = Instant::now();
        let life = self.lives.entry(role).or_insert(Life {
            began: now,
            deaths: 0,
            restarts: 0,
        });
        if now - life.began >= STEADY_AFTER {
            life.deaths = 0;
        }
        let wait = restart_wait(life.deaths);
        life.deaths = life.deaths.saturating_add(1);
        self.due.spawn(async move {
            sleep(wait).await;
            role
        });
    }

    /// Lets everybody finish; a second signal does not wait for it.
    async fn drain(mut self) -> Result<(), ServeError> {
        self.due.shutdown().await;
        self.tell(Signal::TERM);
        let again = wait_for_signal();
        tokio::pin!(again);
        loop {
            tokio::select! {
                ended = self.ended.join_next() => match ended {
                    None => return Ok(()),
                    Some(Ok((role, _))) => drop(self.running.remove(&role)),
                    Some(Err(_)) => {}
                },
                stopped = &mut again => {
                    stopped?;
                    self.tell(Signal::KILL);
                    return Ok(());
                }
            }
        }
    }

    fn tell(&self, signal: Signal) {
        for running in self.running.values() {
            running.signal(signal);
        }
    }
}

/// The next hangup; never, where nobody waits for one.
async fn asked_again(hangups: &mut Option<unix::Signal>) {
    let heard = match hangups {
        Some(hangups) => hangups.recv().await,
        None => None,
    };
    if heard.is_none() {
        pending::<()>().await;
    }
}

/// How long to wait before what has died so often before is started again.
fn restart_wait(deaths: u32) -> Duration {
    RESTART_WAIT_MAX.min(RESTART_WAIT_MIN.saturating_mul(1 << deaths.min(16)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_limit() {
        let waits: Vec<_> = (0..9)
            .map(|deaths| restart_wait(deaths).as_millis())
            .collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(restart_wait(u32::MAX), RESTART_WAIT_MAX);
    }
}
