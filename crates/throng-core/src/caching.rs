//! How long caches may keep an answer: the values of `Cache-Control` (RFC 9111), the same for everyone.

/// What never changes under its name: parts, segments, init, versioned assets.
pub const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// What changes by itself: pages, state, playlists that were not waited for; and failures that may be over soon.
pub const BRIEF: &str = "public, max-age=1";
/// A playlist that was waited for. Its URL names the part that it must hold, so that nobody needs it anew; six target
/// durations, as RFC 8216bis recommends for blocking requests.
pub const WAITED_FOR: &str = "public, max-age=24";
/// What belongs to one listener or to now: progressive streams, tickets, answers of the desk.
pub const NEVER: &str = "no-store";
