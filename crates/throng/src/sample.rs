//! A space for tests.

use std::num::NonZeroU32;

use throng_core::slug::Slug;
use throng_core::space::{Announcement, Space};
use throng_core::time::UnixMillis;

/// When nothing depends on the clock.
pub(crate) const MOMENT: UnixMillis = UnixMillis(1_790_000_000_000);

/// A space of two speakers, just announced.
pub(crate) fn announced(at: UnixMillis) -> Space {
    let announcement = Announcement {
        id: "1".to_owned(),
        slug: Slug::from_title("A talk", 7),
        title: "A talk".to_owned(),
        scheduled_at: None,
        speakers: 2,
        expected_listeners: NonZeroU32::new(5),
    };
    Space::announce(at, announcement).expect("the announcement is sound")
}
