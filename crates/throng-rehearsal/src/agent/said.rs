//! What an agent says, a line each: its counts each second, and at the end the streams that it kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::Line;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// What one listener received.
    Kept(Kept),
    /// What was counted.
    Line(Box<Line>),
}

/// A stream kept whole, to be listened to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The listener's number.
    pub listener: u32,
    /// In base64.
    stream: String,
}

impl Kept {
    /// A stream that is kept.
    pub fn new(listener: u32, stream: &[u8]) -> Self {
        Self {
            listener,
            stream: STANDARD.encode(stream),
        }
    }

    /// Its bytes; none where they are not what an agent writes.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.stream).ok()
    }
}
