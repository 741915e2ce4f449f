//! The names of Air's metrics, in one place so that the reference can list them.

/// Progressive joins, by format.
pub(crate) const JOINS: &str = "throng_air_joins_total";
/// Listeners that fell behind the window and were moved to the newest part.
pub(crate) const SKIPS: &str = "throng_air_skips_total";
/// Requests held until their part is there.
pub(crate) const HELD: &str = "throng_air_held_requests";
/// Requests refused because too many were held.
pub(crate) const HELD_REFUSED: &str = "throng_air_held_refused_total";
