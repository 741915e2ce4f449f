//! Keys, slugs, digests and times as they stand in links, headers, JSON and the store.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_core::key::{Key, KeyDigest};
use throng_core::rendition::Rendition;
use throng_core::slug::Slug;
use throng_core::time::UnixMillis;

fuzz_target!(|text: &str| {
    if let Ok(key) = Key::parse(text) {
        assert_eq!(key.expose(), text, "a key has one spelling");
        assert_eq!(
            KeyDigest::from_hex(&key.digest().to_hex()),
            Ok(key.digest())
        );
    }
    if let Ok(digest) = KeyDigest::from_hex(text) {
        assert_eq!(digest.to_hex(), text, "a digest has one spelling");
    }
    if let Ok(slug) = Slug::parse(text) {
        assert_eq!(slug.as_str(), text);
    }
    let made = Slug::from_title(text, text.len() as u64);
    assert_eq!(Slug::parse(made.as_str()), Ok(made));
    if let Some(rendition) = Rendition::parse(text) {
        assert_eq!(rendition.name(), text);
    }
    if let Ok(time) = UnixMillis::parse_rfc3339(text) {
        assert_eq!(UnixMillis::parse_rfc3339(&time.to_rfc3339()), Ok(time));
    }
});
