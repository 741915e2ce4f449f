//! From a certificate to an event: nodes, bits per second, joins per second, with every assumption named. Pure.

use serde::Serialize;

use crate::certificate::Certificate;
use crate::verdict::Limit;

/// A real network card costs about twice the CPU of loopback for each send: interrupts, acknowledgements, no shortcut.
const CARD_FACTOR: u64 = 2;
/// Of the cores, so many per cent are planned with.
const CPU_PERCENT: u64 = 60;
/// Of the link, so many per cent are planned with.
const LINK_PERCENT: u64 = 70;
/// TCP, IP and Ethernet on top of the bytes.
const WIRE_PERCENT: u64 = 106;
/// A TLS handshake with a fresh key exchange, on one core, where none was rehearsed.
const HANDSHAKE_US: u64 = 300;
/// A crowd that waits for a time comes within three minutes.
const ARRIVAL_SECONDS: u64 = 180;
/// Nodes that may be lost without anybody left outside.
const SPARE_NODES: u64 = 1;

/// What is planned for.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Listeners at once.
    pub listeners: u64,
    /// The link of one node, bits per second.
    pub link_bits: u64,
    /// Whether listeners come over TLS to the nodes themselves.
    pub tls: bool,
}

/// What it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Listeners at once.
    pub listeners: u64,
    /// Nodes like the one that was rehearsed, spares included.
    pub nodes: u64,
    /// Listeners of one node.
    pub listeners_per_node: u64,
    /// What bounds a node first.
    pub bound: Bound,
    /// Each bound of one node, in listeners.
    pub bounds: Vec<(Bound, u64)>,
    /// Bits per second to all of them.
    pub egress_bits: u64,
    /// Joins per second, over all nodes.
    pub joins_per_second: u64,
    /// Joins per second that one node takes.
    pub joins_per_second_per_node: u64,
    /// What was assumed, in words.
    pub assumptions: Vec<String>,
}

/// What bounds a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The slots of the certificate.
    Certificate,
    /// Its cores.
    Cpu,
    /// How quickly it lets listeners in.
    Joins,
    /// Its link.
    Link,
}

impl Bound {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Cpu => "cpu",
            Self::Joins => "joins",
            Self::Link => "link",
        }
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// The crowd gave way first.
    #[error(
        "this certificate grants no slots: the crowd itself gave way first (limit: client), so nothing is known of the \
         server; rehearse again with fewer listeners, more agents or another machine for the crowd"
    )]
    Client,
    /// The server held nobody without trouble.
    #[error(
        "this certificate grants no slots: somebody was left without sound from the first second on; rehearse again with \
         fewer listeners"
    )]
    NoSlots,
    /// No sound was delivered.
    #[error("this certificate shows no delivered sound: rehearse longer")]
    Silent,
}

/// Plans for a wish with what a certificate has shown.
pub fn plan(wish: Wish, certificate: &Certificate) -> Result<Plan, NoPlan> {
    let shown = &certificate.shown;
    if certificate.limit == Limit::Client {
        return Err(NoPlan::Client);
    }
    if certificate.slots == 0 {
        return Err(NoPlan::NoSlots);
    }
    let listener_bits = (shown.delivered_bytes * 8)
        .checked_div(shown.delivered_audio_seconds)
        .filter(|bits| *bits > 0)
        .ok_or(NoPlan::Silent)?
        * WIRE_PERCENT
        / 100;
    let cores = certificate.host.cores.max(1);
    let factor = if certificate.run.same_machine {
        CARD_FACTOR
    } else {
        1
    };
    let mut bounds = vec![
        (Bound::Certificate, certificate.slots),
        (
            Bound::Link,
            wish.link_bits / 100 * LINK_PERCENT / listener_bits,
        ),
    ];
    if let Some(cpu_ms) = shown.server_cpu_ms.filter(|cpu_ms| *cpu_ms > 0) {
        // Listeners whose seconds fit into the seconds of the cores.
        let budget_ms = cores * CPU_PERCENT * shown.delivered_audio_seconds * 10 / factor;
        bounds.push((Bound::Cpu, budget_ms / cpu_ms));
    }
    let handshakes = cores * CPU_PERCENT * 10_000 / HANDSHAKE_US;
    let seen = shown.joins_per_second_peak;
    let is_guessed = wish.tls && !certificate.run.tls;
    let joins_per_node = if is_guessed {
        seen.min(handshakes)
    } else {
        seen
    };
    bounds.push((Bound::Joins, joins_per_node * ARRIVAL_SECONDS));
    let (bound, per_node) = bounds
        .iter()
        .copied()
        .min_by_key(|(_, listeners)| *listeners)
        .unwrap_or((Bound::Certificate, certificate.slots));
    let per_node = per_node.max(1);
    Ok(Plan {
        listeners: wish.listeners,
        nodes: wish.listeners.div_ceil(per_node) + SPARE_NODES,
        listeners_per_node: per_node,
        bound,
        bounds,
        egress_bits: wish.listeners * listener_bits,
        joins_per_second: wish.listeners.div_ceil(ARRIVAL_SECONDS),
        joins_per_second_per_node: joins_per_node,
        assumptions: assumptions(wish, certificate, listener_bits, factor),
    })
}

fn assumptions(wish: Wish, certificate: &Certificate, bits: u64, factor: u64) -> Vec<String> {
    let shown = &certificate.shown;
    let mut words = vec![
        format!(
            "every node is as the one rehearsed: {}, {} cores",
            certificate.host.cpu, certificate.host.cores
        ),
        format!(
            "{} kb/s for each listener on the wire, as measured, and {} % for TCP, IP and Ethernet",
            bits / 1_000,
            WIRE_PERCENT - 100
        ),
        format!(
            "links of {} Mb/s, used to {LINK_PERCENT} %; the way from there to the internet carries as much",
            wish.link_bits / 1_000_000
        ),
        format!("cores used to {CPU_PERCENT} %"),
        format!("the whole crowd comes within {ARRIVAL_SECONDS} s"),
        format!("{SPARE_NODES} node may fail"),
    ];
    words.push(if factor > 1 {
        format!("rehearsed on one machine: a real network card costs {factor} times the CPU of loopback for each send")
    } else {
        "rehearsed over a network: its CPU cost is taken as it was measured".to_owned()
    });
    words.push(if certificate.run.tls {
        format!(
            "TLS at the nodes, as rehearsed: its handshakes ({} of {} resumed) and records are in the figures",
            shown.handshakes_resumed, shown.handshakes
        )
    } else if wish.tls {
        format!("TLS at the nodes: {HANDSHAKE_US} us of CPU for each join, {CPU_PERCENT} % of the cores for a flood of them; records cost CPU besides, which is not in this plan")
    } else {
        "no TLS at the nodes: something in front ends it".to_owned()
    });
    if certificate.shown.server_cpu_ms.is_none() {
        words.push("the server's CPU was not seen: it bounds nothing here".to_owned());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::tests::certificate;

    const WISH: Wish = Wish {
        listeners: 8_000_000,
        link_bits: 10_000_000_000,
        tls: false,
    };

    #[test]
    fn the_tightest_bound_counts_the_nodes() {
        // 15,000 slots; 53 kb/s on the wire; 6 us of CPU, twice that on a card.
        let plan = plan(WISH, &certificate()).unwrap();
        assert_eq!(
            (plan.bound, plan.listeners_per_node),
            (Bound::Certificate, 15_000)
        );
        assert_eq!(plan.nodes, 534 + SPARE_NODES);
        assert_eq!(plan.egress_bits, 8_000_000 * 53_000);
        assert_eq!(plan.joins_per_second, 44_445);
        let bound = |wanted| {
            plan.bounds
                .iter()
                .find(|(bound, _)| *bound == wanted)
                .unwrap()
                .1
        };
        assert_eq!(bound(Bound::Link), 132_075);
        assert_eq!(bound(Bound::Cpu), 8 * 600_000 / 12);
        assert_eq!(bound(Bound::Joins), 9_000 * 180);
    }

    #[test]
    fn tls_bounds_joins_and_a_thin_link_bounds_everything() {
        let mut certificate = certificate();
        certificate.host.cores = 1;
        certificate.slots = 1_000_000;
        let tls = Wish {
            tls: true,
            link_bits: u64::MAX / 200,
            ..WISH
        };
        let tls_plan = plan(tls, &certificate).unwrap();
        assert_eq!(tls_plan.joins_per_second_per_node, 2_000);
        certificate.run.tls = true;
        let rehearsed = plan(tls, &certificate).unwrap();
        assert_eq!(
            rehearsed.joins_per_second_per_node, 9_000,
            "what was seen, not what is guessed"
        );
        assert!(
            rehearsed
                .assumptions
                .iter()
                .any(|words| words.contains("as rehearsed"))
        );
        let thin = Wish {
            link_bits: 1_000_000_000,
            ..WISH
        };
        let thin_plan = plan(thin, &certificate).unwrap();
        assert_eq!(
            (thin_plan.bound, thin_plan.listeners_per_node),
            (Bound::Link, 13_207)
        );
    }

    #[test]
    fn a_certificate_without_slots_plans_nothing_and_says_why() {
        let mut client = certificate();
        client.limit = Limit::Client;
        client.slots = 0;
        assert_eq!(plan(WISH, &client), Err(NoPlan::Client));
        let mut none = certificate();
        none.slots = 0;
        assert_eq!(plan(WISH, &none), Err(NoPlan::NoSlots));
        let mut silent = certificate();
        silent.shown.delivered_audio_seconds = 0;
        assert_eq!(plan(WISH, &silent), Err(NoPlan::Silent));
    }
}
