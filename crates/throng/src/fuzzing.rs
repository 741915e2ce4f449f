//! The door for the fuzz targets, and for nobody else (`cfg(fuzzing)`): hostile JSON to the desk.

use std::collections::BTreeSet;

use throng_air::past::Recorded;
use throng_air::presence::Counts;
use throng_air::state::of_page;
use throng_core::slug::Slug;
use throng_core::space::{Actor, Announcement, Space};
use throng_core::time::UnixMillis;

use crate::{api, pages};

/// When all of it happens.
const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// The space that the body of a creation asks for, if it is one that can be.
pub fn announced(body: &[u8]) -> Option<Space> {
    let wish = api::wish(body).ok()?;
    let announcement = Announcement {
        id: "1".to_owned(),
        slug: Slug::from_title(&wish.title, 7),
        title: wish.title,
        scheduled_at: wish.scheduled_at,
        speakers: wish.speakers,
        expected_listeners: wish.expected_listeners,
    };
    let mut space = Space::announce(NOW, announcement).ok()?;
    space.sound = wish.sound;
    Some(space)
}

/// The space after what the body of an edit asks for, if it may be done.
pub fn edited(space: &Space, body: &[u8]) -> Option<Space> {
    let mut trial = space.clone();
    for act in api::edits(body, space, BTreeSet::new()).ok()? {
        trial.apply(NOW, Actor::Host, act).ok()?;
    }
    Some(trial)
}

/// `state.json` and the listener's page.
pub fn shown(space: &Space) -> (String, String) {
    let state = of_page(space, Counts::default(), Recorded::default());
    let page = pages::listen(space, &state);
    let page = String::from_utf8(page.plain().to_vec()).expect("a page is text");
    (state, page)
}
