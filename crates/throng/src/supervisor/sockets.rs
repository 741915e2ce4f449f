//! The listening sockets of a node. They are the supervisor's, so that a connection that begins while one process follows
//! another waits for the next instead of being refused.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::config::Config;
use crate::serve::{self, Audience, HAND_OVER_MAX, Plan, ServeError, taken_over};

/// The sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Keeps the audience's port for the workers; it is given no connection.
    port: OwnedFd,
    /// That of the internal address, and that of the desk where it has its own.
    origin: Vec<TcpListener>,
    /// Those of each worker at the audience's port.
    audience: BTreeMap<u32, Vec<TcpListener>>,
}

impl Sockets {
    /// Takes the addresses, and writes those that were chosen by the system into the settings.
    pub(super) async fn bind(config: &mut Config) -> Result<Self, ServeError> {
        let (port, listen) = taken_over(HAND_OVER_MAX, || {
            let port = serve::keep(config.listen)?;
            let listen = port.local_addr()?;
            Ok((port.as_fd().try_clone_to_owned()?, listen))
        })
        .await?;
        let shares_desk = config.shares_desk();
        config.listen = listen;
        if shares_desk {
            config.desk = listen;
        }
        let (internal, desk) = (config.internal, (!shares_desk).then_some(config.desk));
        let origin = taken_over(HAND_OVER_MAX, || {
            let desk = desk.map(|desk| serve::bind_plain("--desk", desk));
            let internal = serve::bind_plain("--internal", internal)?;
            Ok([Some(internal), desk.transpose()?]
                .into_iter()
                .flatten()
                .collect())
        });
        let origin: Vec<TcpListener> = origin.await?;
        config.internal = origin[0].local_addr()?;
        if let Some(desk) = origin.get(1) {
            config.desk = desk.local_addr()?;
        }
        Ok(Self {
            port,
            origin,
            audience: BTreeMap::new(),
        })
    }

    /// The origin's.
    pub(super) fn of_origin(&self) -> &[TcpListener] {
        &self.origin
    }

    /// A worker's, bound if it has none.
    pub(super) fn of_worker(
        &mut self,
        place: u32,
        config: &Config,
    ) -> Result<&[TcpListener], ServeError> {
        Ok(match self.audience.entry(place) {
            Entry::Occupied(bound) => bound.into_mut(),
            Entry::Vacant(none) => {
                none.insert(Audience::sockets(config.listen, Plan::of_worker(config))?)
            }
        })
    }

    /// Lets go of the sockets of a worker that died: what waits to be accepted is broken off and comes to its siblings.
    pub(super) fn let_go(&mut self, place: u32) {
        self.audience.remove(&place);
    }

    /// What [`Sockets::restore`] needs to know: how many sockets each worker has.
    pub(super) fn counts(&self) -> Vec<(u32, usize)> {
        let counts = self.audience.iter();
        counts
            .map(|(place, sockets)| (*place, sockets.len()))
            .collect()
    }

    /// All of them, in an order that [`Sockets::restore`] knows.
    pub(super) fn all(&self) -> Vec<BorrowedFd<'_>> {
        let audience = self.audience.values().flatten();
        let listening = self.origin.iter().chain(audience).map(AsFd::as_fd);
        [self.port.as_fd()].into_iter().chain(listening).collect()
    }

    /// Those of a program whose place this one takes. Where it had more workers, the first gets the sockets of the others.
    pub(super) fn restore(
        given: &mut impl Iterator<Item = OwnedFd>,
        config: &Config,
        counts: &[(u32, usize)],
    ) -> io::Result<Self> {
        let port = given.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut listening = given.map(TcpListener::from);
        let mut some =
            |count: usize| -> Vec<TcpListener> { listening.by_ref().take(count).collect() };
        let origin = some(if config.shares_desk() { 1 } else { 2 });
        let mut audience: BTreeMap<u32, Vec<TcpListener>> = BTreeMap::new();
        for (place, count) in counts {
            let place = if *place > config.air_workers {
                1
            } else {
                *place
            };
            audience.entry(place).or_default().extend(some(*count));
        }
        Ok(Self {
            port,
            origin,
            audience,
        })
    }
}
