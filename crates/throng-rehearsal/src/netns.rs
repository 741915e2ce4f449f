//! Named network namespaces, as `ip netns add` makes them: a crowd in one reaches the server over a veth or a bridge, with
//! all that the kernel does for it, rather than over loopback.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where `ip netns` keeps them.
const FOLDER: &str = "/run/netns";

/// Why a namespace cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// Not allowed.
    #[error(
        "entering the network namespace {0} takes root (CAP_SYS_ADMIN): run this as root, or without --netns"
    )]
    Forbidden(String),
    /// Something else.
    #[error("the network namespace {name} cannot be entered: {source}")]
    Failed {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Not there.
    #[error("there is no network namespace {0}: make it with `ip netns add {0}`")]
    Missing(String),
    /// Not a name.
    #[error("{0:?} is no name of a network namespace")]
    Name(String),
}

/// Moves the calling thread, and what it starts, into a namespace.
pub fn enter(name: &str) -> Result<(), NetnsError> {
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(NetnsError::Name(name.to_owned()));
    }
    enter_file(name, &Path::new(FOLDER).join(name))
}

fn enter_file(name: &str, path: &Path) -> Result<(), NetnsError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => NetnsError::Missing(name.to_owned()),
        io::ErrorKind::PermissionDenied => NetnsError::Forbidden(name.to_owned()),
        _ => NetnsError::Failed {
            name: name.to_owned(),
            source,
        },
    };
    let file = File::open(path).map_err(failed)?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| failed(errno.into()))
}

/// Whether an agent could; our own threads stay where they are.
pub fn can_be_entered(name: &str) -> Result<(), NetnsError> {
    thread::scope(|scope| {
        let tried = scope.spawn(|| enter(name)).join();
        tried.expect("entering does not panic")
    })
}

#[cfg(test)]
mod tests {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

    use super::*;

    #[test]
    fn names_lead_nowhere_else_and_what_is_missing_is_named() {
        for name in ["", "..", "../../proc/1/ns/net", "a/b", ".hidden"] {
            assert!(matches!(enter(name), Err(NetnsError::Name(_))), "{name}");
        }
        let missing = can_be_entered("throng-none-such").unwrap_err();
        assert!(matches!(missing, NetnsError::Missing(_)));
        assert!(
            missing
                .to_string()
                .contains("ip netns add throng-none-such")
        );
    }

    #[test]
    fn who_may_not_enter_is_told_what_it_takes() {
        // Of a thread of its own, since that is what gives its rights away.
        let tried = thread::spawn(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::SYS_ADMIN);
            set_capabilities(None, sets).unwrap();
            enter_file("rehearsal", Path::new("/proc/self/ns/net"))
        });
        let refused = tried.join().unwrap().unwrap_err().to_string();
        assert!(
            refused.contains("rehearsal takes root (CAP_SYS_ADMIN)"),
            "{refused}"
        );
    }
}
