//! The links that people pass around, taken apart: where the server is, which space, what else the link says.

use throng_core::rendition::Rendition;
use ureq::http::Uri;

use super::Error;

/// A listen link: `{listen}/s/{slug}`, with `?rendition=` where somebody wants another than the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenLink {
    /// The space: `{listen}/s/{slug}`.
    pub space_url: String,
    /// The rendition that the link names.
    pub rendition: Option<Rendition>,
}

impl ListenLink {
    /// Takes a link apart.
    pub fn parse(link: &str) -> Result<Self, Error> {
        let (uri, space_url) = space_of(link, "http://127.0.0.1:8080/s/SLUG")?;
        let query = uri.query().unwrap_or_default();
        let named = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("rendition="));
        let rendition =
            named.map(|name| Rendition::parse(name).ok_or_else(|| unknown_rendition(name)));
        Ok(Self {
            space_url,
            rendition: rendition.transpose()?,
        })
    }
}

/// A speaker link: `{desk}/s/{slug}/speak#key=KEY`.
#[derive(Clone, PartialEq, Eq)]
pub struct SpeakerLink {
    /// The space at the desk: `{desk}/s/{slug}`.
    pub space_url: String,
    /// The key of the seat, a secret.
    pub key: String,
}

impl SpeakerLink {
    /// The same of a host's link, `{desk}/studio/{slug}#key=KEY`.
    pub fn parse_host(link: &str) -> Result<Self, Error> {
        match link.split_once("/studio/") {
            Some((desk, rest)) => Self::parse(&format!("{desk}/s/{rest}")),
            None => Err(Error::Usage(format!(
                "{} is no host link; one looks like 'http://127.0.0.1:8081/studio/SLUG#key=KEY'",
                link.split('#').next().unwrap_or_default()
            ))),
        }
    }

    /// Takes a link apart.
    pub fn parse(link: &str) -> Result<Self, Error> {
        let (page, fragment) = link.split_once('#').unwrap_or((link, ""));
        let (_, space_url) = space_of(page, "'http://127.0.0.1:8081/s/SLUG/speak#key=KEY'")?;
        let key = fragment
            .split('&')
            .find_map(|pair| pair.strip_prefix("key="))
            .unwrap_or_default();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let hint = "the link ends with #key=KEY, and a shell needs quotes around it";
            return Err(Error::Usage(format!(
                "{page} carries no speaker key; {hint}"
            )));
        }
        Ok(Self {
            space_url,
            key: key.to_owned(),
        })
    }
}

/// Resolves a reference of a playlist against the playlist's own URL (RFC 3986, section 5.2, for `http` and `https`).
pub fn resolve(base: &str, reference: &str) -> String {
    if reference.starts_with("http://") || reference.starts_with("https://") {
        return reference.to_owned();
    }
    let scheme_end = base.find("://").map_or(0, |at| at + 3);
    if let Some(authority) = reference.strip_prefix("//") {
        return format!("{}{authority}", &base[..scheme_end]);
    }
    let path_start = base[scheme_end..]
        .find('/')
        .map_or(base.len(), |at| scheme_end + at);
    let path_end = base.find(['?', '#']).unwrap_or(base.len()).max(path_start);
    if reference.starts_with('?') {
        return format!("{}{reference}", &base[..path_end]);
    }
    let base_path = &base[path_start..path_end];
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    let folder = if path.starts_with('/') {
        ""
    } else {
        base_path.rsplit_once('/').map_or("", |(folder, _)| folder)
    };
    let mut kept: Vec<&str> = Vec::new();
    for step in folder
        .split('/')
        .chain(path.split('/'))
        .filter(|step| !step.is_empty())
    {
        match step {
            "." => {}
            ".." => drop(kept.pop()),
            step => kept.push(step),
        }
    }
    format!("{}/{}{query}", &base[..path_start], kept.join("/"))
}

/// The link as a URI, and the part of it that names the space: everything up to the slug.
fn space_of(link: &str, example: &str) -> Result<(Uri, String), Error> {
    let wrong = |why: &str| Error::Usage(format!("{link:?} {why}; a link looks like {example}"));
    let uri: Uri = link
        .parse()
        .map_err(|cause| wrong(&format!("is not a URL ({cause})")))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("does not begin with http:// or https://"));
    }
    let authority = uri.authority().ok_or_else(|| wrong("names no server"))?;
    let (prefix, rest) = uri
        .path()
        .split_once("/s/")
        .ok_or_else(|| wrong("does not name a space"))?;
    let slug = rest.split('/').next().unwrap_or_default();
    if slug.is_empty() {
        return Err(wrong("does not name a space"));
    }
    let space_url = format!(
        "{}://{authority}{prefix}/s/{slug}",
        uri.scheme_str().unwrap_or("http")
    );
    Ok((uri, space_url))
}

fn unknown_rendition(name: &str) -> Error {
    let known: Vec<_> = Rendition::ALL.into_iter().map(Rendition::name).collect();
    Error::Usage(format!(
        "there is no rendition {name:?}; there are {}",
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_link_says_space_and_rendition() {
        let link =
            ListenLink::parse("http://127.0.0.1:8080/s/first-night?l=1&rendition=o24#x").unwrap();
        assert_eq!(link.space_url, "http://127.0.0.1:8080/s/first-night");
        assert_eq!(link.rendition, Some(Rendition::O24));
        let behind_a_prefix = ListenLink::parse("https://radio.example/live/s/a/").unwrap();
        assert_eq!(behind_a_prefix.space_url, "https://radio.example/live/s/a");
    }

    #[test]
    fn a_speaker_link_carries_its_key_in_the_fragment() {
        let link = SpeakerLink::parse("http://127.0.0.1:8081/s/night/speak#key=k-1_x").unwrap();
        assert_eq!(
            (link.space_url.as_str(), link.key.as_str()),
            ("http://127.0.0.1:8081/s/night", "k-1_x")
        );
        for link in [
            "http://h/s/night/speak",
            "http://h/s/night/speak#key=",
            "http://h/s/n/speak#key=a%20 b",
        ] {
            let refused = SpeakerLink::parse(link).map(|_| ()).unwrap_err();
            assert_eq!(refused.exit_code(), 2);
        }
    }

    #[test]
    fn what_is_no_link_is_wrong_usage() {
        for link in [
            "",
            "first-night",
            "ftp://a/s/b",
            "http://a/",
            "http://a/s/",
            "http://a/s/b?rendition=o99",
        ] {
            assert_eq!(
                ListenLink::parse(link).unwrap_err().exit_code(),
                2,
                "{link}"
            );
        }
    }

    #[test]
    fn references_resolve_as_rfc_3986_says() {
        let base = "http://h:1/s/a/hls/main.m3u8?l=2";
        for (reference, url) in [
            ("o48/media.m3u8", "http://h:1/s/a/hls/o48/media.m3u8"),
            ("./3.2.m4s?x=1", "http://h:1/s/a/hls/3.2.m4s?x=1"),
            ("../live.mp4", "http://h:1/s/a/live.mp4"),
            ("../../../../x", "http://h:1/x"),
            ("/x/y", "http://h:1/x/y"),
            ("//other/x", "http://other/x"),
            ("?m=1", "http://h:1/s/a/hls/main.m3u8?m=1"),
            ("https://cdn/x", "https://cdn/x"),
        ] {
            assert_eq!(resolve(base, reference), url);
        }
        assert_eq!(resolve("http://h", "x"), "http://h/x");
    }
}
