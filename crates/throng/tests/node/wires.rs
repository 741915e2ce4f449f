//! Network namespaces of this machine, each joined to it by a wire of its own. Laying them takes root.

use std::process::Command;

/// Namespaces, taken away with their wires at the end.
pub(crate) struct Wires {
    /// An address of this machine that all of them reach.
    pub(crate) server: String,
    /// The namespaces.
    pub(crate) names: Vec<String>,
}

impl Wires {
    /// Lays so many; why it cannot be done otherwise.
    pub(crate) fn lay(count: usize) -> Result<Self, String> {
        // Others may test on this machine at the same time.
        let own = std::process::id() % 16_384;
        let subnet = |place: usize| format!("10.{}.{}.{}", 128 + own / 256, own % 256, 4 * place);
        let at = |place: usize, host: usize| {
            let base = subnet(place);
            let (head, last) = base.rsplit_once('.').unwrap();
            format!("{head}.{}", last.parse::<usize>().unwrap() + host)
        };
        let mut wires = Self {
            server: at(0, 1),
            names: Vec::new(),
        };
        for place in 0..count {
            let name = format!("throng{own}-{place}");
            let (near, far, server) = (at(place, 1), at(place, 2), &wires.server.clone());
            ip(&format!("netns add {name}"))?;
            wires.names.push(name.clone());
            ip(&format!(
                "link add {name} type veth peer name wire netns {name}"
            ))?;
            ip(&format!("addr add {near}/30 dev {name}"))?;
            ip(&format!("link set {name} up"))?;
            ip(&format!("-n {name} addr add {far}/30 dev wire"))?;
            ip(&format!("-n {name} link set wire up"))?;
            ip(&format!("-n {name} route replace {server}/32 via {near}"))?;
        }
        Ok(wires)
    }

    /// What has gone over each towards its namespace.
    pub(crate) fn bytes(&self) -> Vec<u64> {
        let read = |name: &String| {
            std::fs::read_to_string(format!("/sys/class/net/{name}/statistics/tx_bytes")).unwrap()
        };
        self.names
            .iter()
            .map(|name| read(name).trim().parse().unwrap())
            .collect()
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        for name in &self.names {
            // A wire goes with the namespace of its far end.
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

fn ip(words: &str) -> Result<(), String> {
    let ran = Command::new("ip").args(words.split(' ')).output();
    let ran = ran.map_err(|error| format!("ip: {error}"))?;
    if ran.status.success() {
        return Ok(());
    }
    Err(format!(
        "ip {words}: {}",
        String::from_utf8_lossy(&ran.stderr).trim()
    ))
}
