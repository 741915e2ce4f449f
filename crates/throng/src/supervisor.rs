//! The supervisor of a node: one origin and N Air workers, each a process of this program.
//!
//! It holds the listening sockets, starts the others, and starts again whatever dies, with waits that grow and are
//! bounded. It touches no sound and no request, so that there is little that could end it. When it ends, they do. On
//! SIGUSR2 the program that lies in its place by now takes over, and replaces the others one by one ([`succession`]).

pub(crate) mod child;
mod inside;
mod line;
mod queue;
mod signals;
mod sockets;
mod succession;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;
use std::{io, process};

use rustix::process::{Pid, Signal};
use throng_air::drain::DRAIN_MAX;
use throng_air::tls::tickets::TicketSecret;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::child::{OriginOrder, OriginReady, Role, Running, WorkerOrder, signal_to};
use self::queue::Queue;
use self::signals::{Signals, Wish};
use self::sockets::Sockets;
pub use self::succession::SuccessionError;
use self::succession::{Holding, Start};
use crate::capacity::Capacity;
use crate::config::Config;
use crate::serve::{self, DRAIN_TIMEOUT, Links, ServeError};

/// The first wait before what died is started again.
const RESTART_WAIT_MIN: Duration = Duration::from_millis(50);
/// Waits double up to here: what dies at once, again and again, costs little and comes back soon after it is mended.
const RESTART_WAIT_MAX: Duration = Duration::from_secs(5);
/// What has run for so long has started well; when it dies, the first wait counts again.
const STEADY_AFTER: Duration = Duration::from_secs(10);
/// Who has a successor and has not gone by then is ended: all of its listeners were to go before.
const LEAVE_MAX: Duration = DRAIN_MAX
    .saturating_add(DRAIN_TIMEOUT)
    .saturating_add(Duration::from_secs(5));

/// Runs a node until SIGTERM or Ctrl-C; a second signal ends it at once.
pub(crate) async fn run(mut config: Config, json: bool) -> Result<(), ServeError> {
    let mut signals = Signals::listen(config.is_sealed())?;
    let program = succession::program()?;
    let (inheritance, sockets) = match succession::begin(&mut config)? {
        Start::Asked => return Ok(()),
        Start::Anew => (None, Sockets::bind(&mut config).await?),
        Start::Instead(inheritance) => {
            let left = (inheritance.tickets, inheritance.queue, inheritance.children);
            (Some(left), inheritance.sockets)
        }
    };
    signals::release();
    let capacity = Capacity::of(&config).map_err(ServeError::Capacity)?;
    let mut house = House::new(config, capacity, sockets, program)?;
    if let Some((tickets, queue, children)) = inheritance {
        house.take_over(tickets, queue, children)?;
    } else {
        inside::recall(&house.config.data, house.queue.board.board());
        let links = tokio::select! {
            links = house.open() => links?,
            () = signals.stop() => return Ok(()),
        };
        serve::announce(&links, json)?;
    }
    inside::keep(&house.config.data, &house.queue.board.path())?;
    house.keep(signals).await
}

/// The processes of a node.
struct House {
    config: Config,
    capacity: Capacity,
    tickets: TicketSecret,
    queue: Queue,
    sockets: Sockets,
    /// Where this program lay when it was started.
    program: PathBuf,
    running: BTreeMap<Role, Running>,
    /// Processes of the program before, until each has a successor.
    before: Vec<Running>,
    /// What is still to be replaced, in its order; the first is being started.
    to_replace: VecDeque<Role>,
    /// Who has a successor, until it ends.
    leaving: Vec<Running>,
    /// How each ended.
    ended: JoinSet<(Pid, String)>,
    /// What each said when it could serve; nothing, where it ended before.
    ready: JoinSet<(Role, Option<String>)>,
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
    fn new(
        config: Config,
        capacity: Capacity,
        sockets: Sockets,
        program: PathBuf,
    ) -> io::Result<Self> {
        let queue = Queue::new()?;
        queue.board.board().limit(capacity.limits());
        Ok(Self {
            config,
            capacity,
            tickets: TicketSecret::drawn(),
            queue,
            sockets,
            program,
            running: BTreeMap::new(),
            before: Vec::new(),
            to_replace: VecDeque::new(),
            leaving: Vec::new(),
            ended: JoinSet::new(),
            ready: JoinSet::new(),
            due: JoinSet::new(),
            lives: BTreeMap::new(),
        })
    }

    fn workers(&self) -> impl Iterator<Item = Role> + use<> {
        (1..=self.config.air_workers).map(Role::Worker)
    }

    /// Starts everything; the links work when it returns.
    async fn open(&mut self) -> Result<Links, ServeError> {
        self.start(Role::Origin)?;
        let line = self.first_line().await?;
        let ready: OriginReady = serde_json::from_str(&line).map_err(|_| ServeError::Order)?;
        self.config.stage_udp = ready.stage;
        for worker in self.workers() {
            self.start(worker)?;
        }
        for _ in self.workers() {
            self.first_line().await?;
        }
        Ok(ready.links)
    }

    /// What the next one says that can serve.
    async fn first_line(&mut self) -> Result<String, ServeError> {
        match self.ready.join_next().await {
            Some(Ok((_, Some(line)))) => Ok(line),
            Some(Ok((role, None))) => Err(ServeError::Child(role.to_string())),
            _ => Err(ServeError::Order),
        }
    }

    /// Takes over from the program before: its children go on until each has a successor. The origin is the first, so that
    /// the workers of this program have one whose feed they understand.
    fn take_over(
        &mut self,
        tickets: TicketSecret,
        queue: Option<Queue>,
        children: Vec<Running>,
    ) -> io::Result<()> {
        self.tickets = tickets;
        if let Some(queue) = queue {
            queue.board.board().limit(self.capacity.limits());
            self.queue = queue;
        }
        for child in children {
            self.await_end(&child)?;
            self.before.push(child);
        }
        self.to_replace = [Role::Origin].into_iter().chain(self.workers()).collect();
        tracing::info!("this program has taken over; its processes follow");
        self.replace_next();
        Ok(())
    }

    /// Starts the successor of the next process that is of the program before.
    fn replace_next(&mut self) {
        match self.to_replace.front() {
            None => {
                // Workers beyond those that there are to be.
                let rest: Vec<_> = self.before.iter().map(|child| child.role).collect();
                for role in rest {
                    self.dismiss(role);
                }
                tracing::info!("the upgrade is done; who was replaced lets its listeners go");
            }
            Some(&role) => {
                self.start_or_later(role);
                // Two cannot have the data folder: the new one waits for it.
                if role == Role::Origin {
                    self.dismiss(role);
                }
            }
        }
    }

    /// Tells who was this before that its successor is there.
    fn dismiss(&mut self, role: Role) {
        for child in self.before.extract_if(.., |child| child.role == role) {
            child.signal(match role {
                Role::Origin => Signal::TERM,
                Role::Worker(_) => Signal::USR2,
            });
            let handle = child.handle();
            tokio::spawn(async move {
                sleep(LEAVE_MAX).await;
                signal_to(&handle, Signal::KILL);
            });
            self.leaving.push(child);
        }
    }

    fn start(&mut self, role: Role) -> Result<(), ServeError> {
        let config = self.config.clone();
        let restarts = self.lives.get(&role).map_or(0, |life| life.restarts + 1);
        let running = match role {
            Role::Origin => {
                let order = OriginOrder {
                    config,
                    supervisor: process::id(),
                    restarts,
                    capacity: self.capacity,
                    board: self.queue.board.path(),
                    queue: self.queue.secret,
                };
                Running::start(role, &order, self.sockets.of_origin())
            }
            Role::Worker(place) => {
                let order = WorkerOrder {
                    place,
                    restarts,
                    lane: self.queue.free_lane(),
                    board: self.queue.board.path(),
                    queue: self.queue.secret,
                    tickets: self.tickets.clone(),
                    config,
                };
                let sockets = self.sockets.of_worker(place, &self.config)?;
                let running = Running::start(role, &order, sockets)?;
                self.queue.take_lane(running.pid, order.lane);
                Ok(running)
            }
        }?;
        let deaths = self.lives.get(&role).map_or(0, |life| life.deaths);
        let life = Life {
            began: Instant::now(),
            deaths,
            restarts,
        };
        self.lives.insert(role, life);
        self.await_end(&running)?;
        let ready = running.first_line()?;
        self.ready.spawn(async move { (role, ready.await) });
        self.running.insert(role, running);
        Ok(())
    }

    fn await_end(&mut self, running: &Running) -> io::Result<()> {
        let (pid, ended) = (running.pid, running.ended()?);
        let unknown = |_| "unknown".to_owned();
        self.ended
            .spawn(async move { (pid, ended.await.unwrap_or_else(unknown)) });
        Ok(())
    }

    fn start_or_later(&mut self, role: Role) {
        if let Err(error) = self.start(role) {
            tracing::error!(%role, %error, "could not be started");
            self.start_later(role);
        }
    }

    /// Starts again what dies, until it is told to stop.
    async fn keep(mut self, mut signals: Signals) -> Result<(), ServeError> {
        loop {
            tokio::select! {
                Some(Ok((pid, how))) = self.ended.join_next() => self.mourn(pid, &how),
                Some(Ok((role, Some(_)))) = self.ready.join_next() => self.welcome(role),
                Some(Ok(role)) = self.due.join_next() => self.start_or_later(role),
                wish = signals.next() => match wish {
                    Wish::Certificate => self.tell(|_| true, Signal::HUP),
                    Wish::Stop => break,
                    Wish::Upgrade => self.upgrade().await,
                }
            }
        }
        tracing::info!("stopping; a second signal stops at once");
        self.drain(signals).await
    }

    /// A process can serve.
    fn welcome(&mut self, role: Role) {
        self.dismiss(role);
        if self.to_replace.front() == Some(&role) {
            self.to_replace.pop_front();
            self.replace_next();
        }
    }

    /// Lets the program that lies in our place by now take over; returns only if it cannot.
    async fn upgrade(&mut self) {
        let all = self.running.values().chain(&self.before);
        let holding = Holding {
            config: &self.config,
            sockets: &self.sockets,
            tickets: &self.tickets,
            queue: &self.queue,
            children: all.chain(&self.leaving).collect(),
        };
        let error = holding.hand_over(&self.program).await;
        tracing::error!(%error, "no upgrade");
    }

    fn mourn(&mut self, pid: Pid, how: &str) {
        self.queue.forget(pid);
        // Others were to end.
        let Some(role) = self.forget(pid) else { return };
        tracing::error!(%role, how, "died; it is started again");
        if let Role::Worker(place) = role {
            self.sockets.let_go(place);
        }
        self.start_later(role);
    }

    /// Forgets a process that has ended; what it was, unless another has its place.
    fn forget(&mut self, pid: Pid) -> Option<Role> {
        self.before.retain(|child| child.pid != pid);
        self.leaving.retain(|child| child.pid != pid);
        let running = self.running.values().find(|running| running.pid == pid);
        let role = running?.role;
        self.running.remove(&role);
        Some(role)
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

    /// Lets everybody finish, the workers first, so that their listeners hear the programme until each goes. A second
    /// signal does not wait for it.
    async fn drain(mut self, mut signals: Signals) -> Result<(), ServeError> {
        self.due.shutdown().await;
        let is_worker = |role| role != Role::Origin;
        self.tell(is_worker, Signal::TERM);
        let mut is_origin_told = false;
        loop {
            let has_workers = self.everybody().any(|child| is_worker(child.role));
            if !is_origin_told && !has_workers {
                is_origin_told = true;
                self.tell(|role| role == Role::Origin, Signal::TERM);
            }
            if self.everybody().next().is_none() {
                return Ok(());
            }
            tokio::select! {
                ended = self.ended.join_next() => if let Some(Ok((pid, _))) = ended {
                    self.forget(pid);
                },
                () = signals.stop() => {
                    self.tell(|_| true, Signal::KILL);
                    return Ok(());
                }
            }
        }
    }

    fn everybody(&self) -> impl Iterator<Item = &Running> {
        let before = self.before.iter().chain(&self.leaving);
        self.running.values().chain(before)
    }

    fn tell(&self, whom: impl Fn(Role) -> bool, signal: Signal) {
        let all = self.everybody();
        all.filter(|child| whom(child.role))
            .for_each(|child| child.signal(signal));
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
