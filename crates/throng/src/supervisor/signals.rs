//! The signals by which an operator speaks to a node, and how none is lost, or ends the process, between two programs.
#![allow(
    unsafe_code,
    reason = "which signals wait is a thing of the C library, of which no crate of ours has a safe form"
)]

use std::future::pending;
use std::io;

use tokio::signal::unix::{self, SignalKind, signal};

/// What an operator asks of a node that runs.
pub(super) enum Wish {
    /// To read the certificate again.
    Certificate,
    Stop,
    /// To let the program that lies in our place by now take over.
    Upgrade,
}

/// The signals of an operator.
pub(super) struct Signals {
    hangup: Option<unix::Signal>,
    interrupt: unix::Signal,
    terminate: unix::Signal,
    upgrade: unix::Signal,
}

impl Signals {
    /// From now on none of them is lost. A hangup means something only where there is a certificate.
    pub(super) fn listen(has_certificate: bool) -> io::Result<Self> {
        let hangup = has_certificate.then(|| signal(SignalKind::hangup()));
        Ok(Self {
            hangup: hangup.transpose()?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next of them.
    pub(super) async fn next(&mut self) -> Wish {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => pending().await,
            }
        };
        tokio::select! {
            () = hangup => Wish::Certificate,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.upgrade.recv() => Wish::Upgrade,
        }
    }

    /// Waits until the node is to stop.
    pub(super) async fn stop(&mut self) {
        while !matches!(self.next().await, Wish::Stop) {}
    }
}

/// Signals that operators send: while nobody can hear them, between two programs, they would end the process.
const OF_OPERATORS: [libc::c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGUSR2];

/// From now on they wait.
pub(super) fn hold() {
    change(libc::SIG_BLOCK);
}

/// From now on they come, and those that waited come now.
pub(super) fn release() {
    change(libc::SIG_UNBLOCK);
}

fn change(how: libc::c_int) {
    // SAFETY: `sigemptyset` makes a set of what was only zeros, and none of these keeps a pointer.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in OF_OPERATORS {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut());
    }
}
