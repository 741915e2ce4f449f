//! What the line carries, as the system tells it.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// The part of a link's speed that listeners may take; speakers, hosts, recordings and retransmissions have the rest.
const PERCENT: u64 = 70;
const MEGABIT: u64 = 1_000_000;
/// Where the system keeps its links.
const LINKS: &str = "/sys/class/net";

/// What listeners who come by this address may take in bits per second, if the system knows the speed of a link. Which
/// link leads to this address it does not say, so that the fastest is taken; to oneself there is none.
pub(super) fn egress_bits(listen: IpAddr) -> Option<u64> {
    if listen.is_loopback() {
        return None;
    }
    fastest(Path::new(LINKS)).map(|megabits| megabits * MEGABIT * PERCENT / 100)
}

/// Megabits per second of the fastest link that is up.
fn fastest(links: &Path) -> Option<u64> {
    let speed = |link: &Path| {
        let is_up = fs::read_to_string(link.join("operstate")).ok()?.trim() == "up";
        // Links that are none say -1, or nothing.
        let speed: u64 = fs::read_to_string(link.join("speed"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        (is_up && speed > 0).then_some(speed)
    };
    let links = fs::read_dir(links).ok()?;
    links.flatten().filter_map(|link| speed(&link.path())).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_link_that_is_up_counts() {
        let folder = tempfile::tempdir().unwrap();
        for (name, state, speed) in [
            ("a", "up", "1000"),
            ("b", "down", "10000"),
            ("c", "up", "-1"),
        ] {
            let link = folder.path().join(name);
            fs::create_dir(&link).unwrap();
            fs::write(link.join("operstate"), format!("{state}\n")).unwrap();
            fs::write(link.join("speed"), format!("{speed}\n")).unwrap();
        }
        assert_eq!(fastest(folder.path()), Some(1_000));
        assert_eq!(fastest(&folder.path().join("c")), None);
        assert_eq!(egress_bits([127, 0, 0, 1].into()), None);
    }
}
