//! Where the agents of a rehearsal run, as the command line says, and whether they can.

use std::net::SocketAddr;

use throng_rehearsal::agent::connections_max;
use throng_rehearsal::crowd::place::{Away, Place, Room};
use throng_rehearsal::host;

use super::RehearseArgs;
use crate::client::{Error, agents};

/// The word for this machine among others.
const HERE: &str = "here";
/// Machines and namespaces of one crowd.
const PLACES_MAX: usize = 100;

/// Places, and what each has.
pub(super) struct Places {
    pub(super) places: Vec<Place>,
    pub(super) rooms: Vec<Room>,
}

impl Places {
    /// Finds them, and asks each whether it will do.
    pub(super) fn find(args: &RehearseArgs, target: SocketAddr) -> Result<Self, Error> {
        let places = places(args)?;
        let rooms = places.iter().map(|place| place.room(connections_max()));
        let rooms = rooms.collect::<Result<Vec<_>, _>>()?;
        let found = Self { places, rooms };
        if target.ip().is_loopback() && !found.all_here() {
            return Err(Error::Usage(format!(
                "{target} is another machine for each agent: give the address by which they reach the server"
            )));
        }
        Ok(found)
    }

    /// Whether some agents run on this machine, whatever the way to them.
    pub(super) fn any_here(&self) -> bool {
        let machine = host::machine();
        self.rooms.iter().any(|room| room.machine == machine)
    }

    fn all_here(&self) -> bool {
        let machine = host::machine();
        self.rooms.iter().all(|room| room.machine == machine)
    }
}

fn places(args: &RehearseArgs) -> Result<Vec<Place>, Error> {
    let mut places: Vec<Place> = args.netns.iter().cloned().map(Place::Netns).collect();
    let here = args.agents_at.is_empty() || args.agents_at.iter().any(|at| at == HERE);
    if here && places.is_empty() {
        places.push(Place::Here);
    }
    let away = args.agents_at.iter().filter(|at| *at != HERE);
    if away.clone().next().is_some() {
        let key = agents::leaders_key(args.agents_key.as_deref())?;
        places.extend(away.map(|at| {
            let (at, key) = (at.clone(), key.clone());
            Place::Away(Away { at, key })
        }));
    }
    if places.len() > PLACES_MAX {
        return Err(Error::Usage(format!(
            "more than {PLACES_MAX} places for one crowd"
        )));
    }
    Ok(places)
}
