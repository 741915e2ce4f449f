//! The hold loop as every worker and edge has it.

use std::hash::{DefaultHasher, Hash, Hasher};

use throng_core::timeline::PartIndex;
use throng_core::window::Part;

/// The hold loop as parts, numbered from 0: what a worker plays when parts stop.
#[derive(Debug)]
pub struct HoldParts {
    fingerprint: u64,
    parts: Vec<Part>,
}

impl HoldParts {
    /// The parts of a whole loop, in their order.
    pub fn new(parts: Vec<Part>) -> Self {
        let mut hasher = DefaultHasher::new();
        for part in &parts {
            for packaged in &part.renditions {
                packaged.cmaf.hash(&mut hasher);
            }
        }
        // 0 says that there is none.
        let fingerprint = hasher.finish().max(1);
        Self { fingerprint, parts }
    }

    /// Tells this loop from another.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Its parts.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part whose sound belongs at a place of any programme; it is still to be numbered.
    pub fn at(&self, index: PartIndex) -> Option<&Part> {
        let length = self.parts.len() as u64;
        let place = usize::try_from(index.0.checked_rem(length)?).ok()?;
        self.parts.get(place)
    }
}
