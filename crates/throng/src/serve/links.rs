//! Where a running node is reached, and the first lines that say so.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use throng_core::key::Key;

use super::Addresses;
use crate::config::Config;

/// Where a running node is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Links {
    /// The audience's address as a URL.
    pub listen: String,
    /// The desk's address as a URL.
    pub desk: String,
    /// The studio, with the operator's key in its fragment.
    pub studio: String,
    /// The internal address as a URL.
    pub internal: String,
    /// Where the stage receives media.
    pub stage: String,
    /// The data folder.
    pub data: PathBuf,
}

/// The first line a stranger sees.
pub(crate) fn announce(links: &Links, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, links)?;
        writeln!(out)?;
    } else {
        writeln!(out, "listening on {}", links.listen)?;
        writeln!(out, "studio       {}", links.studio)?;
        writeln!(out, "data         {}", links.data.display())?;
    }
    out.flush()
}

/// The links of a node whose addresses were bound.
pub(super) fn links(
    config: &Config,
    listen: SocketAddr,
    addresses: &Addresses,
    operator: &Key,
) -> Links {
    let scheme = if config.is_sealed() { "https" } else { "http" };
    let url = |public: &Option<String>, address: SocketAddr| {
        let bound = || match (&config.acme, address.port()) {
            (Some(acme), 443) => format!("{scheme}://{}", acme.domain),
            (Some(acme), port) => format!("{scheme}://{}:{port}", acme.domain),
            (None, _) => format!("{scheme}://{address}"),
        };
        public.clone().unwrap_or_else(bound)
    };
    let desk = url(&config.desk_url, addresses.desk.unwrap_or(listen));
    Links {
        studio: format!("{desk}/studio#key={}", operator.expose()),
        listen: url(&config.public_url, listen),
        desk,
        internal: format!("http://{}", addresses.internal),
        stage: addresses.stage.to_string(),
        data: config.data.clone(),
    }
}
