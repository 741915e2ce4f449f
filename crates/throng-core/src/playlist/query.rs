//! The delivery directives of a playlist request, and whether to answer it now (RFC 8216bis, 6.2.5).

use thiserror::Error;

use crate::timeline::{PARTS_PER_SEGMENT, PartIndex};
use crate::window::{Window, parse_number};

/// The Advance Part Limit: three seconds of parts (RFC 8216bis, 6.2.5.2).
const PARTS_AHEAD_MAX: u64 = 9;

/// What a player asks of `media.m3u8`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaQuery {
    /// What the playlist must hold before it is answered.
    pub awaited: Option<Awaited>,
    /// How it is to be written.
    pub form: Form,
}

/// What the playlist must hold before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A part, or a later one.
    Part(PartIndex),
    /// A whole segment, or a later one.
    Segment(u64),
}

/// How a media playlist is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// Without the segments that the player knows already.
    Delta,
    /// With all segments.
    #[default]
    Full,
}

/// The query cannot be understood: `400`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QueryError {
    /// A part of no segment (RFC 8216bis, 6.2.5.2, forbids it).
    #[error("_HLS_part needs _HLS_msn beside it")]
    PartWithoutSegment,
    /// A directive twice.
    #[error("{0} is given twice")]
    Repeated(&'static str),
    /// A value that the directive does not have.
    #[error("{0} has a value that does not exist")]
    Value(&'static str),
}

impl MediaQuery {
    /// Reads a query string, without its question mark. Parameters that are not directives are ignored.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        let segment =
            directive(query, MSN)?.map(|text| parse_number(text).ok_or(QueryError::Value(MSN)));
        let part =
            directive(query, PART)?.map(|text| parse_number(text).ok_or(QueryError::Value(PART)));
        let form = match directive(query, SKIP)? {
            None => Form::Full,
            // v2 would skip date ranges as well, of which we have none.
            Some("YES" | "v2") => Form::Delta,
            Some(_) => return Err(QueryError::Value(SKIP)),
        };
        let awaited = match (segment.transpose()?, part.transpose()?) {
            (None, None) => None,
            (None, Some(_)) => return Err(QueryError::PartWithoutSegment),
            (Some(segment), None) => Some(Awaited::Segment(segment)),
            // "If the Client requests a Part Index greater than that of the final Partial Segment of the Parent
            // Segment, the Server MUST treat the request as one for Part Index 0 of the following Parent Segment."
            (Some(segment), Some(part)) => Some(Awaited::Part(PartIndex(
                segment * PARTS_PER_SEGMENT + part.min(PARTS_PER_SEGMENT),
            ))),
        };
        Ok(Self { awaited, form })
    }
}

const MSN: &str = "_HLS_msn";
const PART: &str = "_HLS_part";
const SKIP: &str = "_HLS_skip";

/// The value of a directive, if it is there.
fn directive<'a>(query: &'a str, name: &'static str) -> Result<Option<&'a str>, QueryError> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    });
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(QueryError::Repeated(name)),
    }
}

/// When a playlist request is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Never: `400`, and why.
    BadRequest(&'static str),
    /// Once the window has moved; ask again then. At most for [`super::HOLD_LIMIT_MS`].
    Hold,
    /// At once.
    Now,
}

/// Whether a request is answered with the window as it is.
pub fn answer_when(window: &Window, query: MediaQuery) -> When {
    let next = window.next();
    // "A Server MUST ignore _HLS_msn and _HLS_part if the Playlist contains an EXT-X-ENDLIST tag."
    let Some(awaited) = query.awaited.filter(|_| !window.is_finished()) else {
        return When::Now;
    };
    let last_needed = match awaited {
        Awaited::Part(part) => part,
        Awaited::Segment(segment) => PartIndex(segment * PARTS_PER_SEGMENT + PARTS_PER_SEGMENT - 1),
    };
    if last_needed < next {
        return When::Now;
    }
    // "... greater than the Media Sequence Number of the last Media Segment in the current Playlist plus two, or if
    // the _HLS_part exceeds the last Partial Segment in the current Playlist by the Advance Part Limit, then the
    // server SHOULD immediately return Bad Request".
    if last_needed.segment() > next.segment() + 1 {
        return When::BadRequest("_HLS_msn lies more than two segments ahead of the programme");
    }
    if matches!(awaited, Awaited::Part(part) if part.0 - next.0 >= PARTS_AHEAD_MAX) {
        return When::BadRequest("_HLS_part lies more than three seconds ahead of the programme");
    }
    When::Hold
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::tests::window;

    fn parse(query: &str) -> Result<Option<Awaited>, QueryError> {
        MediaQuery::parse(query).map(|query| query.awaited)
    }

    #[test]
    fn directives_are_read_strictly_and_strangers_ignored() {
        assert_eq!(MediaQuery::parse(""), Ok(MediaQuery::default()));
        assert_eq!(
            MediaQuery::parse("l=abc&_HLS_skip=YES&x").unwrap().form,
            Form::Delta
        );
        assert_eq!(MediaQuery::parse("_HLS_skip=v2").unwrap().form, Form::Delta);
        assert_eq!(parse("_HLS_msn=7"), Ok(Some(Awaited::Segment(7))));
        assert_eq!(
            parse("_HLS_part=3&_HLS_msn=7"),
            Ok(Some(Awaited::Part(PartIndex(87))))
        );
        assert_eq!(
            parse("_HLS_msn=7&_HLS_part=12"),
            Ok(Some(Awaited::Part(PartIndex(96)))),
            "part 0 of segment 8"
        );
        assert_eq!(
            parse("_HLS_msn=7&_HLS_part=999"),
            Ok(Some(Awaited::Part(PartIndex(96))))
        );
        assert_eq!(parse("_HLS_part=3"), Err(QueryError::PartWithoutSegment));
        assert_eq!(
            parse("_HLS_msn=7&_HLS_msn=7"),
            Err(QueryError::Repeated("_HLS_msn"))
        );
        for query in [
            "_HLS_msn",
            "_HLS_msn=",
            "_HLS_msn=-1",
            "_HLS_msn=%37",
            "_HLS_msn=99999999999999999999",
        ] {
            assert_eq!(parse(query), Err(QueryError::Value("_HLS_msn")), "{query}");
        }
        assert_eq!(
            parse("_HLS_msn=1&_HLS_part=x"),
            Err(QueryError::Value("_HLS_part"))
        );
        assert_eq!(parse("_HLS_skip=NO"), Err(QueryError::Value("_HLS_skip")));
    }

    #[test]
    fn a_request_is_held_for_what_comes_soon_and_refused_for_what_does_not() {
        // RFC 8216bis, 6.2.5.2. Segment 2 is the last whole one, part 3 of segment 3 the last part.
        let mut window = window(0, 40);
        let when = |window: &Window, query| answer_when(window, MediaQuery::parse(query).unwrap());
        assert_eq!(when(&window, ""), When::Now);
        assert_eq!(when(&window, "_HLS_msn=2"), When::Now);
        assert_eq!(
            when(&window, "_HLS_msn=0&_HLS_part=0"),
            When::Now,
            "no longer in the playlist or not"
        );
        assert_eq!(when(&window, "_HLS_msn=3&_HLS_part=3"), When::Now);
        assert_eq!(when(&window, "_HLS_msn=3&_HLS_part=4"), When::Hold);
        assert_eq!(
            when(&window, "_HLS_msn=4&_HLS_part=0"),
            When::Hold,
            "nine parts ahead"
        );
        assert!(
            matches!(when(&window, "_HLS_msn=4&_HLS_part=1"), When::BadRequest(_)),
            "ten parts ahead"
        );
        assert_eq!(when(&window, "_HLS_msn=3"), When::Hold);
        assert_eq!(
            when(&window, "_HLS_msn=4"),
            When::Hold,
            "the last segment plus two"
        );
        assert!(matches!(when(&window, "_HLS_msn=5"), When::BadRequest(_)));
        assert!(matches!(
            when(&window, "_HLS_msn=999999999999999"),
            When::BadRequest(_)
        ));
        window.finish();
        assert_eq!(
            when(&window, "_HLS_msn=999999999999999"),
            When::Now,
            "the end is known"
        );
    }
}
