//! The pages: their policy, their weight, and that a title is never more than text.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::house::House;
use crate::wire::Wire;

/// A title that tries to be markup, script, attribute and template.
const TITLE: &str = r#"</script><script>alert("1")</script>'&{{state}}{{slug}}"#;
const ESCAPED: &str =
    "&lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;{{state}}{{slug}}";

/// What stands between two marks, wherever they stand.
fn between<'p>(page: &'p str, open: &str, close: &str) -> Vec<&'p str> {
    let rests = page.split(open).skip(1);
    rests
        .filter_map(|rest| Some(rest.split_once(close)?.0))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_allows_exactly_the_script_and_style_of_the_page() {
    let house = House::start().await;
    let space = house.announce(TITLE).await;
    for path in ["/", &format!("/s/{}", space.slug), "/s/nobody"] {
        let answer = house.get(path).await;
        let policy = answer.header("content-security-policy");
        let page = answer.text();
        for (open, close) in [
            ("<script type=\"module\">", "</script>"),
            ("<style>", "</style>"),
        ] {
            for inline in between(page, open, close) {
                let hash = BASE64_STANDARD.encode(Sha256::digest(inline));
                assert!(
                    policy.contains(&format!("'sha256-{hash}'")),
                    "{path}: {open}"
                );
            }
        }
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("set-cookie"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_is_shown_and_does_nothing() {
    let house = House::start().await;
    let space = house.announce(TITLE).await;
    let page = house.get(&format!("/s/{}", space.slug)).await;
    let page = page.text();
    assert_eq!(between(page, "<title>", "</title>"), [ESCAPED]);
    assert!(!page.contains("<script>"), "no script but ours");
    let state = between(
        page,
        "<script type=\"application/json\" id=\"state\">",
        "</script>",
    );
    let state: serde_json::Value = serde_json::from_str(state[0]).unwrap();
    assert_eq!(state["title"], TITLE);
    let list = house.get("/").await;
    assert!(list.text().contains(ESCAPED));
    assert!(!list.text().contains("<script>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_light() {
    // All compressed bodies before the first sound fit one initial TCP window, 14 KB; init and headers need the rest.
    let house = House::start().await;
    let space = house.announce(&"x".repeat(200)).await;
    let mut wire = Wire::connect(house.listen).await;
    let gzip = "accept-encoding: gzip\r\n";
    let page = wire.fetch("GET", &format!("/s/{}", space.slug), gzip).await;
    assert_eq!(page.header("content-encoding"), "gzip");
    assert_eq!(page.header("vary"), "accept-encoding");
    assert_eq!(page.header("cache-control"), "public, max-age=1");
    assert!(page.body.len() <= 12 * 1024, "{} bytes", page.body.len());
}

/// A body on the wire.
async fn weighed(house: &House, path: &str) -> usize {
    let mut wire = Wire::connect(house.listen).await;
    let answer = wire.fetch("GET", path, "accept-encoding: gzip\r\n").await;
    assert_eq!(answer.status, 200, "{path}");
    assert_eq!(answer.header("content-encoding"), "gzip", "{path}");
    answer.body.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replay_needs_before_its_first_sound_is_light_too() {
    let house = House::start().await;
    let path = format!("/s/{}", house.announce(&"x".repeat(200)).await.slug);
    let mut bytes = weighed(&house, &path).await;
    for file in ["replay.js", "controls.css"] {
        bytes += weighed(&house, &format!("{path}/{file}")).await;
    }
    assert!(bytes <= 14 * 1024, "{bytes} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_that_the_page_loads_besides_itself_is_there() {
    let house = House::start().await;
    let path = format!("/s/{}", house.announce("A space").await.slug);
    let page = house.get(&path).await;
    let (edition, _) = page
        .text()
        .split_once("controls.css?")
        .unwrap()
        .1
        .split_at(8);
    assert!(edition.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let mut sources = vec![page.text().to_owned()];
    let mut known = std::collections::BTreeSet::new();
    while let Some(source) = sources.pop() {
        for name in between(&source, "more('", "')") {
            let file = house.get(&format!("{path}/{name}.js?{edition}")).await;
            assert_eq!(file.status, 200, "{name}");
            assert!(file.header("content-type").starts_with("text/javascript"));
            assert_eq!(file.header("cache-control"), "public, max-age=60");
            assert!(!file.text().contains(" // "), "{name}: remarks stay here");
            if known.insert(name.to_owned()) {
                sources.push(file.text().to_owned());
            }
        }
    }
    let all = ["chapters", "controls", "replay", "start-over", "waiting"];
    assert!(known.iter().eq(all), "{known:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_that_a_page_of_the_desk_names_is_there() {
    let house = House::start().await;
    let slug = house.announce("A space").await.slug;
    let (studio, speak) = (format!("/studio/{slug}"), format!("/s/{slug}/speak"));
    for path in ["/studio", &studio, &speak] {
        let mut wire = Wire::connect(house.desk).await;
        let page = wire.get(path).await;
        let assets = between(page.text(), "\"/assets/", "\"");
        assert!(!assets.is_empty(), "{path}");
        for name in assets {
            let asset = wire.get(&format!("/assets/{name}")).await;
            assert_eq!(asset.status, 200, "{path} names {name}");
        }
    }
}
