//! The names of Air's metrics, in one place so that the reference can list them.

/// Progressive joins, by format.
pub(crate) const JOINS: &str = "throng_air_joins_total";
/// Listeners that fell behind the window and were moved to the newest part.
pub(crate) const SKIPS: &str = "throng_air_skips_total";
/// Requests held until their part is there.
pub(crate) const HELD: &str = "throng_air_held_requests";
/// Requests refused because too many were held.
pub(crate) const HELD_REFUSED: &str = "throng_air_held_refused_total";
/// Stand-ins played because parts did not come.
pub(crate) const STAND_INS: &str = "throng_air_stand_ins_total";
/// Consumers of the feed.
pub(crate) const CONSUMERS: &str = "throng_feed_consumers";
/// Consumers cut off because they were too slow.
pub(crate) const CUT_OFF: &str = "throng_feed_cut_off_total";
/// Requests that came, by door and worker.
pub(crate) const DOOR_ARRIVED: &str = "throng_door_arrived_total";
/// Requests answered with what they asked for.
pub(crate) const DOOR_ADMITTED: &str = "throng_door_admitted_total";
/// Requests that we failed.
pub(crate) const DOOR_FAILED: &str = "throng_door_failed_total";
/// Requests refused, by reason.
pub(crate) const DOOR_REFUSED: &str = "throng_door_refused_total";
/// Admissions that came to their close, by reason.
pub(crate) const DOOR_CLOSED: &str = "throng_door_closed_total";
/// Samples of audio delivered.
pub(crate) const DOOR_DELIVERED_SAMPLES: &str = "throng_door_delivered_samples_total";
