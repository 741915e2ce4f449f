//! Where a crowd is sent: the link taken apart, its server's address, and the requests of a player's way through it.

use std::net::{SocketAddr, ToSocketAddrs};

use throng_core::rendition::{Codec, Rendition};
use throng_rehearsal::orders::Funnel;
use ureq::http::Uri;

use crate::client::Error;
use crate::client::http::Client;
use crate::client::link::{ListenLink, resolve};
use crate::client::listen::state::SpaceState;

/// The listener's page is at most 12 KB compressed; a stranger's may be longer, but not that long.
const PAGE_MAX_BYTES: u64 = 4 << 20;
/// Files that a page names; more are left out.
const ASSETS_MAX: usize = 64;

/// A target.
#[derive(Debug)]
pub(super) struct Target {
    /// Where the server listens.
    pub(super) address: SocketAddr,
    /// The name in its certificate, where it speaks TLS.
    pub(super) tls_name: Option<String>,
    /// What is asked for.
    pub(super) funnel: Funnel,
    /// The codec of what our page plays; none where it is not known.
    pub(super) codec: Option<Codec>,
}

impl Target {
    /// Takes a link apart, and looks at the page that it leads to; over TLS also whether the certificate holds, unless any
    /// will do.
    pub(super) fn find(link: &str, insecure: bool) -> Result<Self, Error> {
        let uri: Uri = link
            .parse()
            .map_err(|cause| Error::Usage(format!("{link:?} is not a URL ({cause})")))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Error::Usage(format!(
                "{link:?} does not begin with http:// or https://"
            )));
        }
        let is_sealed = uri.scheme_str() == Some("https");
        let address = address(&uri)?;
        let client = Client::towards_any(link, insecure);
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut found = match ListenLink::parse(link) {
            Ok(space) if is_page(&uri) => Self::space(&space, &client, address, host)?,
            _ => Self::stream(&uri, address, host),
        };
        if is_sealed {
            found.tls_name = Some(bare(uri.host().unwrap_or_default()).to_owned());
            if found.codec.is_none() {
                // A page was asked for already; a stream is asked for its certificate alone.
                reached(client.get(link))?;
            }
        }
        Ok(found)
    }

    /// The way of a player through a space.
    fn space(
        link: &ListenLink,
        client: &Client,
        address: SocketAddr,
        host: String,
    ) -> Result<Self, Error> {
        let page = client.get(&link.space_url)?.text(PAGE_MAX_BYTES)?;
        let state = SpaceState::fetch(client, &link.space_url)?;
        if state.is_over() {
            let words = format!(
                "{} is {}: there is nothing live",
                link.space_url, state.state
            );
            return Err(Error::Usage(words));
        }
        let path = |url: &str| {
            url.parse::<Uri>()
                .map_or_else(|_| url.to_owned(), |uri| target_of(&uri))
        };
        let base = path(&link.space_url);
        let mut before = vec![base.clone()];
        before.extend(assets(&page, &link.space_url).iter().map(|url| path(url)));
        before.push(format!("{base}/state.json"));
        let rendition = link.rendition.unwrap_or(Rendition::O48);
        let query = link
            .rendition
            .map_or_else(String::new, |asked| format!("?rendition={asked}"));
        Ok(Self {
            address,
            tls_name: None,
            funnel: Funnel {
                host,
                before,
                progressive: format!("{base}/live.mp4{query}"),
                plain: vec![format!("{base}/live.webm"), format!("{base}/live.aac")],
                hls: format!("{base}/hls/main.m3u8"),
                variant: rendition.name().to_owned(),
                sticky: true,
            },
            codec: Some(rendition.codec()),
        })
    }

    /// A stream or playlist of anybody's, asked for as it is.
    fn stream(uri: &Uri, address: SocketAddr, host: String) -> Self {
        let path = target_of(uri);
        Self {
            address,
            tls_name: None,
            funnel: Funnel {
                host,
                before: Vec::new(),
                progressive: path.clone(),
                plain: vec![path.clone()],
                hls: path,
                variant: Rendition::O48.name().to_owned(),
                sticky: false,
            },
            codec: None,
        }
    }
}

/// Whether an address is that of a space's page: `{prefix}/s/{slug}`.
fn is_page(uri: &Uri) -> bool {
    let path = uri.path().trim_end_matches('/');
    let rest = path.rsplit_once("/s/").map(|(_, rest)| rest);
    rest.is_some_and(|slug| !slug.is_empty() && !slug.contains('/'))
}

fn target_of(uri: &Uri) -> String {
    uri.path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned()
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether a server was reached at all, whatever it answered.
fn reached<T>(answered: Result<T, Error>) -> Result<(), Error> {
    match answered {
        Err(error @ Error::Unreachable { .. }) => Err(error),
        _ => Ok(()),
    }
}

fn address(uri: &Uri) -> Result<SocketAddr, Error> {
    let host = uri.host().unwrap_or_default();
    let host = bare(host);
    let default_port = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let unreachable = |reason: String| Error::Unreachable {
        url: uri.to_string(),
        reason,
    };
    let found = (host, uri.port_u16().unwrap_or(default_port)).to_socket_addrs();
    let mut found: Vec<SocketAddr> = found
        .map_err(|error| unreachable(error.to_string()))?
        .collect();
    // Loopback has many addresses in IPv4 and one in IPv6.
    found.sort_by_key(SocketAddr::is_ipv6);
    found
        .first()
        .copied()
        .ok_or_else(|| unreachable("no such host".to_owned()))
}

/// What a page names on its own server: scripts, styles, pictures.
fn assets(page: &str, page_url: &str) -> Vec<String> {
    let origin_end = page_url.find("://").map_or(0, |at| at + 3);
    let origin_end = page_url[origin_end..]
        .find('/')
        .map_or(page_url.len(), |at| origin_end + at);
    let origin = &page_url[..origin_end];
    let mut found: Vec<String> = Vec::new();
    for (tag, attribute) in [("<script", "src"), ("<link", "href"), ("<img", "src")] {
        for (at, _) in page.match_indices(tag) {
            let inside = page[at..].split('>').next().unwrap_or_default();
            let Some(value) = value_of(inside, attribute) else {
                continue;
            };
            let url = resolve(page_url, value);
            let ours = !value.contains(':') && url.starts_with(origin);
            if ours && !found.contains(&url) && found.len() < ASSETS_MAX {
                found.push(url);
            }
        }
    }
    found
}

fn value_of<'a>(tag: &'a str, attribute: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {attribute}="))?;
    let quote = rest
        .chars()
        .next()
        .filter(|quote| matches!(quote, '"' | '\''));
    match quote {
        Some(quote) => rest[1..].split(quote).next(),
        None => rest.split_whitespace().next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_its_files_and_only_those_of_its_server_are_asked_for() {
        let page = "<link rel=\"icon\" href=\"data:image/svg+xml,x\"><link rel=stylesheet href=/a.css>\
            <script src='player.js?v=1'></script><script>let a = '<b src=\"x\">'</script>\
            <img alt=\"\" src=\"https://elsewhere/x.png\"><script type=module src=\"/a.css\"></script>";
        assert_eq!(
            assets(page, "http://h:1/s/a"),
            ["http://h:1/s/player.js?v=1", "http://h:1/a.css"]
        );
    }

    #[test]
    fn a_page_is_told_from_a_stream() {
        let is = |url: &str| is_page(&url.parse().unwrap());
        assert!(is("http://h/s/night") && is("http://h/radio/s/night/?rendition=o24"));
        assert!(
            !is("http://h/s/night/live.aac") && !is("http://h/stream.m3u8") && !is("http://h/s/")
        );
    }

    #[test]
    fn a_stream_of_anybody_is_asked_for_as_it_is() {
        let target = Target::find("http://127.0.0.1:8000/live.aac?x=1", false).unwrap();
        assert_eq!(target.address.port(), 8_000);
        assert_eq!(target.funnel.progressive, "/live.aac?x=1");
        assert!(target.funnel.before.is_empty() && !target.funnel.sticky);
        assert_eq!(
            Target::find("ftp://127.0.0.1/s/a", false)
                .unwrap_err()
                .exit_code(),
            2
        );
    }
}
