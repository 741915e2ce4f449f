//! The client's thread: one connection, one socket, one clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::link::Link;
use super::{CONNECT_LIMIT, ClientState, Heard, LinkReport, Unwrap};
use crate::peer::{Peer, PeerOutput};

/// Everything that the thread owns.
pub(crate) struct Line {
    pub(crate) peer: Peer,
    pub(crate) link: Link,
    pub(crate) ears: mpsc::Sender<Heard>,
    pub(crate) state: watch::Sender<ClientState>,
    /// When the server was heard last.
    pub(crate) read: watch::Sender<Instant>,
    pub(crate) report: watch::Sender<Option<LinkReport>>,
    pub(crate) silence_limit: Duration,
    pub(crate) unwrap: Unwrap,
}

impl Line {
    /// Runs until either end is done.
    pub(crate) async fn run(mut self, mut outbox: mpsc::Receiver<(Arc<[u8]>, u32)>) {
        let mut out = Vec::new();
        // Moved on by everything that is read.
        let mut deadline = Instant::now() + CONNECT_LIMIT;
        self.peer.tick(Instant::now(), &mut out);
        while self.settle(&mut out).await {
            let due = self.peer.due().min(deadline);
            tokio::select! {
                // In this order: what lies in the socket proves the server alive, however late we come to read it.
                biased;
                packet = outbox.recv() => match packet {
                    Some((packet, timestamp)) => {
                        self.peer.send(Instant::now(), timestamp, &packet, &mut out);
                    }
                    None => break,
                },
                datagram = self.link.recv() => {
                    let Ok((source, bytes)) = datagram else { break };
                    let now = Instant::now();
                    let from = (self.link.protocol(), source);
                    let taken = self.peer.receive(now, from, self.link.local(), &bytes, &mut out);
                    if taken.is_ok() && *self.state.borrow() == ClientState::Connected {
                        self.read.send_replace(now);
                        deadline = now + self.silence_limit;
                    }
                }
                () = tokio::time::sleep_until(due.into()) => {
                    let now = Instant::now();
                    if now >= deadline {
                        break;
                    }
                    self.peer.tick(now, &mut out);
                }
            }
        }
        self.peer.close(&mut out);
        self.settle(&mut out).await;
        self.state.send_replace(ClientState::Closed);
    }

    /// Sends and hands on what has come out; false when it is over.
    async fn settle(&mut self, out: &mut Vec<PeerOutput>) -> bool {
        for output in out.drain(..) {
            match output {
                PeerOutput::Transmit(transmit) => {
                    if self.link.send(&transmit).await.is_err() {
                        return false;
                    }
                }
                PeerOutput::Connected => {
                    self.read.send_replace(Instant::now());
                    self.state.send_replace(ClientState::Connected);
                }
                PeerOutput::Audio(packet) => {
                    for heard in self.unwrap.packets(packet, Instant::now()) {
                        // Full: the taker is ten seconds behind; closed: it listens no more but may still speak.
                        let _ = self.ears.try_send(heard);
                    }
                }
                PeerOutput::Reported(report) => drop(self.report.send_replace(Some(report))),
                PeerOutput::Closed | PeerOutput::Faulted => return false,
            }
        }
        true
    }
}
