//! The names of Air's metrics, in one place so that the reference can list them.

use metrics::Counter;

/// Progressive joins, by format.
pub(crate) const JOINS: &str = "throng_air_joins_total";
/// People let in, by the right by which they came.
pub(crate) const ADMISSIONS: &str = "throng_air_admissions_total";
/// People told to come again, by reason; each counts every time that he asks.
pub(crate) const WAITS: &str = "throng_air_waits_total";
/// Plain players sent to another house with room.
pub(crate) const SENT_ON: &str = "throng_air_sent_on_total";
/// Places called.
pub(crate) const QUEUE_CALLED: &str = "throng_queue_called_total";
/// Places that were called and to which nobody came.
pub(crate) const QUEUE_LAPSED: &str = "throng_queue_lapsed_total";
/// Tickets of the node that are neither served nor over.
pub(crate) const QUEUED: &str = "throng_queue_waiting";
/// Listeners that the node holds.
pub(crate) const SLOTS_HELD: &str = "throng_slots_held";
/// Listeners that it has room for besides.
pub(crate) const SLOTS_FREE: &str = "throng_slots_free";
/// Bits per second that its listeners take.
pub(crate) const EGRESS_BITS: &str = "throng_egress_bits_per_second";
/// Listeners that fell behind and were moved to the newest part.
pub(crate) const SKIPS: &str = "throng_air_skips_total";
/// Connections of a shard now.
pub(crate) const SHARD_CONNECTIONS: &str = "throng_air_shard_connections";
/// Listeners of a shard now.
pub(crate) const SHARD_LISTENERS: &str = "throng_air_shard_listeners";
/// Connections accepted by a shard.
pub(crate) const ACCEPTED: &str = "throng_air_accepted_total";
/// Connections that a shard handed to the ordinary server.
pub(crate) const HANDED_ON: &str = "throng_air_handed_on_total";
/// Networks that are at a door of the ordinary server now.
pub(crate) const GUEST_NETWORKS: &str = "throng_guest_networks";
/// Who was refused there because his network had enough places.
pub(crate) const GUESTS_REFUSED: &str = "throng_guests_refused_total";
/// Answers in one piece given by a shard: pages, `state.json`, playlists, parts.
pub(crate) const ANSWERS: &str = "throng_air_answers_total";
/// Connections that ended after such answers, wanting no more.
pub(crate) const CONTENT: &str = "throng_air_content_total";
/// Requests that a shard refused, by reason.
pub(crate) const REFUSED: &str = "throng_air_refused_total";
/// Listeners that a shard closed or lost, by reason.
pub(crate) const CLOSED: &str = "throng_air_closed_total";
/// Spans sent.
pub(crate) const SENDS: &str = "throng_air_sends_total";
/// Bytes sent.
pub(crate) const SENT_BYTES: &str = "throng_air_sent_bytes_total";
/// Spans that did not fit into the listener's send buffer.
pub(crate) const BLOCKED: &str = "throng_air_blocked_sends_total";
/// Parts that were left out for listeners who fell behind.
pub(crate) const MISSED_PARTS: &str = "throng_air_missed_parts_total";
/// Spans sent more than a part's time after their last part had come, for want of time.
pub(crate) const LATE_SPANS: &str = "throng_air_late_spans_total";
/// Ticks that began too late.
pub(crate) const LATE_TICKS: &str = "throng_air_late_ticks_total";
/// How late the latest tick of the last second began.
pub(crate) const LAG_SECONDS: &str = "throng_air_shard_lag_seconds";
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
/// The rung of the ladder.
pub(crate) const LADDER_RUNG: &str = "throng_ladder_rung";
/// The rung to which the last second would have moved it.
pub(crate) const LADDER_WANTED: &str = "throng_ladder_wanted_rung";
/// Moves along the ladder, by reason.
pub(crate) const LADDER_MOVES: &str = "throng_ladder_moves_total";
/// What the ladder is decided by: shares from 0 to 1, the lag in seconds.
pub(crate) const LADDER_SIGNAL: &str = "throng_ladder_signal";
/// Handshakes done, full or resumed.
pub(crate) const HANDSHAKES: &str = "throng_air_handshakes_total";
/// Handshakes that came to nothing, by reason.
pub(crate) const HANDSHAKES_FAILED: &str = "throng_air_handshakes_failed_total";
/// Connections of a shard in their handshake now.
pub(crate) const SHARD_HANDSHAKES: &str = "throng_air_shard_handshakes";

/// Counts one under this key, which has a counter in the list.
pub(crate) fn count<K: Copy + PartialEq>(counters: &[(K, Counter)], key: K) {
    let found = counters.iter().find(|(of, _)| *of == key);
    let (_, counter) = found.expect("every key has its counter");
    counter.increment(1);
}
