//! Pages: templates from `web/`, filled in once for everyone, with a policy that allows exactly their own script.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use throng_air::document::Document;
use throng_air::space_file::PageFile;
use throng_core::space::{Space, State};
use throng_core::time::UnixMillis;

const LISTEN: &str = include_str!("../../../web/listen.html");
const INDEX: &str = include_str!("../../../web/index.html");
const INDEX_ITEM: &str = include_str!("../../../web/index-item.html");
const NOT_FOUND: &str = include_str!("../../../web/not-found.html");
const STUDIO: &str = include_str!("../../../web/desk/studio.html");
const SPACE: &str = include_str!("../../../web/desk/space.html");
const SPEAK: &str = include_str!("../../../web/desk/speak.html");

/// What the desk's pages may load: their own modules and style, and the programme they monitor from the audience's
/// address.
const DESK_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    media-src * blob:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const ONE_SECOND: &str = "public, max-age=1";
/// How long what changes with the program alone is kept.
pub(crate) const ONE_MINUTE: &str = "public, max-age=60";

const CSS: &str = "text/css; charset=utf-8";
const MODULE: &str = "text/javascript; charset=utf-8";

macro_rules! asset_file {
    ($name:literal, $content_type:ident) => {
        (
            $name,
            $content_type,
            include_str!(concat!("../../../web/desk/", $name)),
        )
    };
}

/// The modules and styles of the desk: name, type, text.
const ASSETS: &[(&str, &str, &str)] = &[
    asset_file!("alarms.js", MODULE),
    asset_file!("api.js", MODULE),
    asset_file!("audit.js", MODULE),
    asset_file!("awake.js", MODULE),
    asset_file!("chapters.js", MODULE),
    asset_file!("check.js", MODULE),
    asset_file!("cohosts.js", MODULE),
    asset_file!("confirm.js", MODULE),
    asset_file!("copies.js", MODULE),
    asset_file!("delay.js", MODULE),
    asset_file!("details.js", MODULE),
    asset_file!("fec.js", MODULE),
    asset_file!("hand.js", MODULE),
    asset_file!("hold.js", MODULE),
    asset_file!("keeping.js", MODULE),
    asset_file!("key.js", MODULE),
    asset_file!("keys.js", MODULE),
    asset_file!("lamp.js", MODULE),
    asset_file!("links.js", MODULE),
    asset_file!("microphone.js", MODULE),
    asset_file!("monitor.js", MODULE),
    asset_file!("narrow.js", MODULE),
    asset_file!("place.js", MODULE),
    asset_file!("red.js", MODULE),
    asset_file!("seats.js", MODULE),
    asset_file!("sound.js", MODULE),
    asset_file!("space.js", MODULE),
    asset_file!("speak.js", MODULE),
    asset_file!("studio.js", MODULE),
    asset_file!("style.css", CSS),
    asset_file!("talkback.js", MODULE),
    asset_file!("time.js", MODULE),
    asset_file!("turns.js", MODULE),
    asset_file!("webhooks.js", MODULE),
    asset_file!("whip.js", MODULE),
    asset_file!("words.js", MODULE),
];

/// The page of a space, with the state it is in.
pub(crate) fn listen(space: &Space, state_json: &str) -> Document {
    static TEMPLATE: LazyLock<String> = LazyLock::new(|| lean(LISTEN));
    let text = filled(
        &TEMPLATE,
        &[
            ("title", &escaped(&space.title)),
            // What the host tells stands under the title: in the page, for who loads it, and without a script.
            (
                "message",
                &escaped(space.programme.message.as_deref().unwrap_or_default()),
            ),
            ("slug", space.slug.as_str()),
            ("edition", &EDITION),
            // In a script element only `<` could end it early (HTML section 4.12.1.3).
            ("state", &state_json.replace('<', "\\u003c")),
        ],
    );
    audience_page(text, ONE_SECOND, "'self' ")
}

/// What that page loads besides itself.
pub(crate) fn file(file: PageFile) -> Document {
    let (content_type, text) = of_page(file);
    Document::new(lean(text), content_type, ONE_MINUTE)
}

fn of_page(file: PageFile) -> (&'static str, &'static str) {
    macro_rules! listen_file {
        ($name:literal) => {
            include_str!(concat!("../../../web/listen/", $name))
        };
    }
    match file {
        PageFile::Chapters => (MODULE, listen_file!("chapters.js")),
        PageFile::Controls => (MODULE, listen_file!("controls.js")),
        PageFile::Replay => (MODULE, listen_file!("replay.js")),
        PageFile::StartOver => (MODULE, listen_file!("start-over.js")),
        PageFile::Style => (CSS, listen_file!("controls.css")),
        PageFile::Waiting => (MODULE, listen_file!("waiting.js")),
    }
}

/// Names all of these together, so that no page is joined by files that a browser kept of another version.
static EDITION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = Sha256::new();
    for file in PageFile::ALL {
        hasher.update(of_page(file).1);
    }
    let hash = hasher.finalize();
    let number = hash[..4]
        .iter()
        .fold(0, |sum, byte| (sum << 8) | u32::from(*byte));
    format!("{number:08x}")
});

/// The public list of spaces, newest first.
pub(crate) fn index<'a>(spaces: impl Iterator<Item = &'a Space>) -> Document {
    let items: String = spaces
        .filter(|space| space.state != State::Cancelled)
        .map(item)
        .collect();
    audience_page(filled(INDEX, &[("spaces", &items)]), ONE_SECOND, "")
}

fn item(space: &Space) -> String {
    let when = space.started_at.or(space.scheduled_at);
    filled(
        INDEX_ITEM,
        &[
            ("title", &escaped(&space.title)),
            ("slug", space.slug.as_str()),
            ("state", space.state.name()),
            ("when", &when.map(minute).unwrap_or_default()),
        ],
    )
}

/// A time as people read it: `2026-12-01 20:00 UTC`.
fn minute(time: UnixMillis) -> String {
    let text = time.to_rfc3339();
    let (day, clock) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {} UTC", clock.get(..5).unwrap_or_default())
}

/// The page for what is not here.
pub(crate) fn not_found() -> Document {
    let text = filled(
        NOT_FOUND,
        &[
            ("title", "This page is not here"),
            (
                "detail",
                "No space has this link. It may have been mistyped, or the space was deleted.",
            ),
        ],
    );
    audience_page(text, ONE_SECOND, "")
}

/// The operator's desk: all spaces.
pub(crate) fn studio() -> Document {
    desk_page(STUDIO)
}

/// The desk of one space.
pub(crate) fn space() -> Document {
    desk_page(SPACE)
}

/// The speaker's page.
pub(crate) fn speak() -> Document {
    desk_page(SPEAK)
}

/// A module or style of the desk.
pub(crate) fn asset(name: &str) -> Option<Document> {
    let (_, content_type, text) = ASSETS.iter().find(|(file, ..)| *file == name)?;
    Some(Document::new((*text).to_owned(), content_type, ONE_MINUTE))
}

/// A source as it leaves: remarks and indentation are for who reads it here, and everybody loads it. No text of ours has
/// ` // ` in it.
fn lean(source: &str) -> String {
    let lines = source.lines().map(|line| {
        let code = line.split_once(" // ").map_or(line, |(code, _)| code);
        code.trim()
    });
    let is_code = |line: &&str| {
        let is_remark = line.starts_with("//") || line.starts_with("/*") && line.ends_with("*/");
        !line.is_empty() && !is_remark
    };
    lines
        .filter(is_code)
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// A template with its `{{names}}` filled in, in one pass: what is filled in is never read as a template again.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let mut pieces = template.split("{{");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece
            .split_once("}}")
            .expect("our templates close their names");
        let value = values.iter().find(|(known, _)| *known == name);
        text += value.expect("our templates name what is filled in").1;
        text += rest;
    }
    text
}

fn desk_page(template: &str) -> Document {
    Document::new(template.to_owned(), HTML, ONE_MINUTE)
        .with_policy(HeaderValue::from_static(DESK_POLICY))
}

/// A page that may run its own script and have its own style, and load `more` of both.
fn audience_page(text: String, cache_control: &'static str, more: &str) -> Document {
    let policy = format!(
        "default-src 'none'; script-src {more}{}; style-src {more}{}; connect-src 'self'; media-src 'self' blob:; \
         img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hashes(&text, "<script type=\"module\">", "</script>"),
        hashes(&text, "<style>", "</style>"),
    );
    let policy = HeaderValue::from_str(&policy).expect("a policy of hashes is visible ASCII");
    Document::new(text, HTML, cache_control).with_policy(policy)
}

/// The CSP source of each inline element of a kind, or `'none'`.
fn hashes(page: &str, open: &str, close: &str) -> String {
    let sources: Vec<String> = page
        .split(open)
        .skip(1)
        .filter_map(|rest| rest.split_once(close))
        .map(|(inline, _)| {
            format!(
                "'sha256-{}'",
                BASE64_STANDARD.encode(Sha256::digest(inline))
            )
        })
        .collect();
    if sources.is_empty() {
        "'none'".to_owned()
    } else {
        sources.join(" ")
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
