//! Where agents run: here, in a network namespace of this machine, or on other machines; and how many at each place.

use std::fmt;
use std::thread;

use super::agents_for;
use crate::away::leader::{Call, CallError};
use crate::away::seal::Key;
use crate::host;
use crate::netns::{self, NetnsError};

/// One place.
#[derive(Clone, Debug)]
pub enum Place {
    /// On a machine that lends agents.
    Away(Away),
    /// On this machine, as the leader is.
    Here,
    /// On this machine, in a named network namespace.
    Netns(String),
}

/// A machine that lends agents.
#[derive(Clone, Debug)]
pub struct Away {
    /// Its address, as it was written.
    pub at: String,
    /// What we have in common.
    pub key: Key,
}

/// What a place has.
#[derive(Clone, Debug)]
pub struct Room {
    /// The machine's name for this boot of it.
    pub machine: String,
    cores: u32,
    connections_max: u32,
}

/// Why nobody can be sent to a place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The machine does not lend.
    #[error(transparent)]
    Away(#[from] CallError),
    /// The namespace cannot be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
}

impl Place {
    /// Looks whether agents can run there, and what the place has; `connections_max` is what one agent can have here.
    pub fn room(&self, connections_max: u32) -> Result<Room, PlaceError> {
        if let Self::Away(away) = self {
            let welcome = Call::to(&away.at, &away.key)?.welcome;
            return Ok(Room {
                machine: welcome.machine,
                cores: welcome.cores,
                connections_max: welcome.connections_max,
            });
        }
        if let Self::Netns(name) = self {
            netns::can_be_entered(name)?;
        }
        Ok(Room {
            machine: host::machine(),
            cores: thread::available_parallelism()
                .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
            connections_max,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(away) => f.write_str(&away.at),
            Self::Here => f.write_str("here"),
            Self::Netns(name) => write!(f, "netns {name}"),
        }
    }
}

/// How many agents each place has. All agents have equal shares of the crowd, and all places equally many agents: as many
/// as the narrowest of them needs.
pub fn agents_each(connections: u32, rooms: &[Room]) -> u32 {
    let places = u32::try_from(rooms.len()).unwrap_or(u32::MAX).max(1);
    let share = connections.div_ceil(places);
    let needed = rooms
        .iter()
        .map(|room| agents_for(share, room.connections_max, room.cores));
    needed.max().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_place_says_how_many_agents_each_has() {
        let room = |cores, connections_max| Room {
            machine: String::new(),
            cores,
            connections_max,
        };
        let (wide, narrow) = (room(8, 1_000_000), room(2, 10_000));
        assert_eq!(agents_each(60_000, std::slice::from_ref(&wide)), 2);
        assert_eq!(agents_each(60_000, &[wide.clone(), wide.clone()]), 1);
        assert_eq!(agents_each(60_000, &[wide, narrow]), 3);
        assert_eq!(agents_each(0, &[]), 1);
    }
}
