//! Tickets of sessions, with which who comes back is spared a full handshake (RFC 8446, section 4.6.1).
//!
//! They are those of all listeners of an agent together: a server cannot tell one ticket from another of its own, and a
//! ticket for each listener would cost more memory than his connection.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// Tickets at once; the oldest make room. More do not come back in the life of one.
const TICKETS_MAX: usize = 4_096;

/// The tickets of one agent, which is one thread: nobody ever waits for the lock.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<Pool>);

#[derive(Debug, Default)]
struct Pool {
    tickets: VecDeque<Tls13ClientSessionValue>,
    group: Option<NamedGroup>,
    /// Whether the connection that begins now may have one.
    is_allowed: bool,
}

impl Tickets {
    /// Whether the next connection may use a ticket.
    pub(super) fn allow(&self, is_allowed: bool) {
        self.pool().is_allowed = is_allowed;
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.pool().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.pool().group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut pool = self.pool();
        if pool.tickets.len() == TICKETS_MAX {
            pool.tickets.pop_front();
        }
        pool.tickets.push_back(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut pool = self.pool();
        if pool.is_allowed {
            pool.tickets.pop_back()
        } else {
            None
        }
    }
}
