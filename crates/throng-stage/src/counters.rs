//! What the stage counts, for the metrics page: relaxed atomics, written by the stage's thread, read by anybody.
//!
//! Every dropped packet has one reason here; nothing is dropped silently.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The live counters. Only the stage's thread writes.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $($(#[doc = $doc])+ pub(crate) $name: AtomicU64,)+ }

        /// All counters at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Snapshot { $($(#[doc = $doc])+ pub $name: u64,)+ }

        impl Counters {
            /// Reads them all.
            pub(crate) fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }

        impl Snapshot {
            /// Name and value of each, in the order of declaration.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Gauge: speakers' sessions now, connected or connecting.
    speakers,
    /// Gauge: listeners' sessions now, connected or connecting.
    listeners,
    /// Gauge: open ICE-TCP connections.
    tcp_connections,
    /// Sessions answered since the start.
    sessions_opened,
    /// Sessions ended since the start.
    sessions_closed,
    /// Sessions that ended because the library failed inside, caught at the session's border.
    sessions_faulted,
    /// Offers refused.
    offers_refused,
    /// Datagrams and frames received.
    datagrams_in,
    /// Datagrams and frames sent.
    datagrams_out,
    /// Speakers' audio packets handed on.
    audio_in,
    /// Audio packets sent to speakers and listeners.
    audio_out,
    /// Dropped: neither STUN, DTLS, RTP nor RTCP, or longer than a datagram may be.
    dropped_malformed,
    /// Dropped: STUN for no session here, or with wrong credentials.
    dropped_stun,
    /// Dropped: media or DTLS from an address that ICE has not validated.
    dropped_unvalidated,
    /// Dropped: a validated peer sent what its session could not read.
    dropped_unreadable,
    /// Dropped: STUN from more addresses than one session may have.
    dropped_addresses,
    /// Dropped: audio that its taker had no room for.
    dropped_sink_full,
    /// Dropped: the oldest audio of an overfull queue towards this thread.
    dropped_outbound,
    /// Dropped: the socket's or connection's send buffer was full.
    dropped_send,
    /// ICE-TCP connections refused or cut for breaking a limit.
    tcp_refused,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// Adds `n`.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// Sets a gauge.
pub(crate) fn set(gauge: &AtomicU64, value: usize) {
    gauge.store(value as u64, Ordering::Relaxed);
}
