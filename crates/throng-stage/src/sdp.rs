//! What we let into the SDP parser, and what we read of SDP ourselves. Pure.
//!
//! An offer is checked for size and shape first; then its candidates are struck out: an ICE-lite agent sends no checks
//! (RFC 8445 section 2.5), so it has no use for them and keeps no table of them.

use std::net::SocketAddr;

use str0m::Candidate;
use str0m::net::Protocol;

use crate::error::{OfferRefusal, StageError};

/// The longest offer. Browsers send 2-6 KB; more is not speech.
pub const OFFER_MAX_BYTES: usize = 32 * 1024;
/// The longest `trickle-ice-sdpfrag`: credentials and a few dozen candidates.
pub const FRAGMENT_MAX_BYTES: usize = 8 * 1024;
/// Audio, and the video that some programs offer along with it and that is answered with port 0.
const MEDIA_MAX: usize = 4;
/// Browsers declare at most four lines for each of two sources; each makes a receive stream.
const SOURCE_LINES_MAX: usize = 32;
/// Ways in that are tried of an answer: a server has a few addresses.
const WAYS_MAX: usize = 8;
/// "ice-ufrag = 4*256ice-char", "ice-pwd = 22*256ice-char" (RFC 8839 section 5.4).
const UFRAG_CHARS: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 22..=256;

/// How SDP names Opus, whatever its channels (RFC 7587 section 7).
const OPUS: &str = "opus/48000/2";

/// What the offer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// WHIP: the peer sends, and may receive.
    Publish,
    /// WHEP: the peer only receives.
    Subscribe,
}

/// The peer's ICE credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) password: String,
}

/// An offer that is worth parsing, without its candidates.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    text: String,
    credentials: Credentials,
}

impl Offer {
    /// Checks limits, media, credentials, fingerprint and direction.
    pub(crate) fn check(text: &str, purpose: Purpose) -> Result<Self, OfferRefusal> {
        if text.len() > OFFER_MAX_BYTES {
            return Err(OfferRefusal::TooLarge {
                limit: OFFER_MAX_BYTES,
            });
        }
        if !text.starts_with("v=0") {
            return Err(OfferRefusal::Unreadable(
                "it does not begin with v=0".to_owned(),
            ));
        }
        check_media(text)?;
        check_direction(text, purpose)?;
        let credentials = read_credentials(text).ok_or(OfferRefusal::NoIce)?;
        if !values(text, "a=fingerprint:").any(|_| true) {
            return Err(OfferRefusal::NoFingerprint);
        }
        let text = without(text, |line| {
            line.starts_with("a=candidate:") || line.starts_with("a=end-of-candidates")
        });
        Ok(Self { text, credentials })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Whether the peer sends a packet again when it is asked for ("generic NACK", RFC 4585 section 4.2).
    pub(crate) fn resends(&self) -> bool {
        values(&self.text, "a=rtcp-fb:").any(|value| {
            let feedback = value.split_once(' ').map_or("", |(_, feedback)| feedback);
            feedback.trim_end() == "nack"
        })
    }

    /// The same offer after the peer has restarted ICE with these.
    pub(crate) fn restarted(&self, credentials: Credentials) -> Self {
        let text = joined(self.text.lines().map(|line| match line.split_once(':') {
            Some(("a=ice-ufrag", _)) => format!("a=ice-ufrag:{}", credentials.ufrag),
            Some(("a=ice-pwd", _)) => format!("a=ice-pwd:{}", credentials.password),
            _ => line.to_owned(),
        }));
        Self { text, credentials }
    }
}

/// A `trickle-ice-sdpfrag` (RFC 8840 section 9).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// The peer's credentials: other than the present ones, they ask for an ICE restart.
    pub(crate) credentials: Option<Credentials>,
}

impl Fragment {
    /// Reads it. Candidates are only looked at for their form.
    pub(crate) fn parse(text: &str) -> Result<Self, StageError> {
        if text.len() > FRAGMENT_MAX_BYTES {
            return Err(StageError::Fragment("too long"));
        }
        let mut names = 0;
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (kind, value) = line
                .split_once('=')
                .ok_or(StageError::Fragment("a line without ="))?;
            match kind {
                "a" => {
                    names += usize::from(
                        value.starts_with("ice-ufrag:") || value.starts_with("ice-pwd:"),
                    );
                    if value.starts_with("candidate:") && value.split(' ').count() < 8 {
                        return Err(StageError::Fragment("a malformed candidate"));
                    }
                }
                "m" => {}
                _ => return Err(StageError::Fragment("a line that is neither a= nor m=")),
            }
        }
        let credentials = read_credentials(text);
        if names > 0 && credentials.is_none() {
            return Err(StageError::Fragment("malformed ice-ufrag or ice-pwd"));
        }
        Ok(Self { credentials })
    }
}

/// The fragment that answers an ICE restart (RFC 9725 section 4.4.3): new credentials and all candidates, cut from the
/// full answer.
pub(crate) fn restart_fragment(answer: &str, ours: &Credentials) -> String {
    let lines = answer.lines().filter_map(|line| {
        if line.starts_with("a=mid:") {
            return Some(format!(
                "{line}\r\na=ice-ufrag:{}\r\na=ice-pwd:{}",
                ours.ufrag, ours.password
            ));
        }
        if line.starts_with("a=candidate:") {
            // The library names its own credentials there, not ours.
            return line.split(" ufrag ").next().map(str::to_owned);
        }
        line.starts_with("m=").then(|| line.to_owned())
    });
    format!("a=ice-lite\r\n{}a=end-of-candidates\r\n", joined(lines))
}

/// The answer of one who wants to hear two channels: without `stereo=1` a sender sends one (RFC 7587 section 6.1).
pub fn asking_for_stereo(answer: &str) -> String {
    let opus = opus_payload(answer).map(|pt| format!("a=fmtp:{pt} "));
    joined(answer.lines().map(|line| match &opus {
        Some(opus) if line.starts_with(opus.as_str()) => format!("{line};stereo=1"),
        _ => line.to_owned(),
    }))
}

/// Whether who answers so wants to hear two channels.
pub fn asks_for_stereo(answer: &str) -> bool {
    let Some(pt) = opus_payload(answer) else {
        return false;
    };
    let parameters = values(answer, "a=fmtp:").filter_map(|value| value.split_once(' '));
    parameters
        .filter(|(of, _)| *of == pt)
        .flat_map(|(_, parameters)| parameters.split(';'))
        .any(|parameter| parameter.trim() == "stereo=1")
}

/// The payload type of Opus.
fn opus_payload(text: &str) -> Option<&str> {
    let mut payloads = values(text, "a=rtpmap:").filter_map(|value| value.split_once(' '));
    payloads
        .find(|(_, codec)| codec.trim_end().eq_ignore_ascii_case(OPUS))
        .map(|(pt, _)| pt)
}

/// The answer with only those candidates that travel by `transport`, and the first of them.
pub(crate) fn narrow(answer: &str, transport: Protocol) -> Option<(String, SocketAddr)> {
    let first = *ways(answer, transport).first()?;
    Some((
        with_candidates(answer, |candidate| candidate.proto() == transport),
        first,
    ))
}

/// Where an answer says that its peer can be met by `transport`, the first ones.
pub(crate) fn ways(answer: &str, transport: Protocol) -> Vec<SocketAddr> {
    let candidates = answer.lines().filter_map(candidate);
    candidates
        .filter(|candidate| candidate.proto() == transport)
        .map(|candidate| candidate.addr())
        .take(WAYS_MAX)
        .collect()
}

/// The answer with that candidate alone.
pub(crate) fn only(answer: &str, transport: Protocol, at: SocketAddr) -> String {
    with_candidates(answer, |candidate| {
        candidate.proto() == transport && candidate.addr() == at
    })
}

fn with_candidates(answer: &str, is_kept: impl Fn(&Candidate) -> bool) -> String {
    without(answer, |line| {
        line.starts_with("a=candidate:") && !candidate(line).as_ref().is_some_and(&is_kept)
    })
}

fn candidate(line: &str) -> Option<Candidate> {
    let line = line.strip_prefix("a=")?;
    line.starts_with("candidate:")
        .then(|| Candidate::from_sdp_string(line).ok())?
}

fn check_media(text: &str) -> Result<(), OfferRefusal> {
    let mut audio = 0;
    for (index, medium) in values(text, "m=").enumerate() {
        if index == MEDIA_MAX {
            return Err(OfferRefusal::TooManyMedia { limit: MEDIA_MAX });
        }
        match medium.split(' ').next().unwrap_or_default() {
            "audio" => audio += 1,
            "video" => {}
            other => return Err(OfferRefusal::Medium(other.chars().take(16).collect())),
        }
    }
    if audio != 1 {
        return Err(OfferRefusal::AudioLines(audio));
    }
    if values(text, "a=ssrc:").count() > SOURCE_LINES_MAX {
        return Err(OfferRefusal::TooManySources {
            limit: SOURCE_LINES_MAX,
        });
    }
    match opus_payload(text) {
        Some(_) => Ok(()),
        None => Err(OfferRefusal::NoOpus),
    }
}

/// "If none of the attributes is present, sendrecv is assumed" (RFC 8866 section 6.7).
fn check_direction(text: &str, purpose: Purpose) -> Result<(), OfferRefusal> {
    let mut found = "sendrecv";
    let mut in_audio = true;
    for line in text.lines() {
        if line.starts_with("m=") {
            in_audio = line.starts_with("m=audio");
        }
        if let (true, Some(direction)) = (in_audio, direction_of(line)) {
            found = direction;
        }
    }
    let (fits, wanted) = match purpose {
        Purpose::Publish => (
            matches!(found, "sendonly" | "sendrecv"),
            "sendonly or sendrecv",
        ),
        Purpose::Subscribe => (found == "recvonly", "recvonly"),
    };
    if fits {
        Ok(())
    } else {
        Err(OfferRefusal::Direction { wanted, found })
    }
}

fn direction_of(line: &str) -> Option<&'static str> {
    ["sendrecv", "sendonly", "recvonly", "inactive"]
        .into_iter()
        .find(|direction| line.strip_prefix("a=") == Some(direction))
}

fn read_credentials(text: &str) -> Option<Credentials> {
    let ufrag = values(text, "a=ice-ufrag:").next()?.trim_end();
    let password = values(text, "a=ice-pwd:").next()?.trim_end();
    let legal = |word: &str| {
        word.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'))
    };
    let fits = UFRAG_CHARS.contains(&ufrag.len()) && PASSWORD_CHARS.contains(&password.len());
    (fits && legal(ufrag) && legal(password)).then(|| Credentials {
        ufrag: ufrag.to_owned(),
        password: password.to_owned(),
    })
}

fn values<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.strip_prefix(name))
}

fn without(text: &str, dropped: impl Fn(&str) -> bool) -> String {
    joined(
        text.lines()
            .filter(|line| !dropped(line))
            .map(str::to_owned),
    )
}

/// "Each line is terminated by CRLF" (RFC 8866 section 5).
fn joined(lines: impl Iterator<Item = String>) -> String {
    lines.flat_map(|line| [line, "\r\n".to_owned()]).collect()
}

#[cfg(test)]
mod tests;
