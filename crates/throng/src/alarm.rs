//! What somebody must know now: told to hosts in the studio, and to operators as the metric `throng_alarms`.

use schemars::JsonSchema;
use serde::Serialize;
use throng_core::time::UnixMillis;

/// One trouble that lasts, in plain words. It goes away by itself when the trouble does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Alarm {
    /// What is in trouble: `clock`, `dead_air`, `host_away`, `ladder`, `recording`, `speaker` or `store`.
    pub(crate) kind: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub(crate) since: UnixMillis,
}
