//! The arguments by which a host reaches a seat.

use clap::Args;
use serde_json::Value;
use throng_core::space::{GAIN_DB_MAX, GAIN_DB_MIN};

use super::Slug;

/// The seat that is meant.
#[derive(Args, Clone, Debug)]
pub struct Seat {
    /// The space.
    #[command(flatten)]
    pub space: Slug,
    /// The number of the seat, from 1.
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub seat: u32,
}

/// A seat and its gain.
#[derive(Args, Clone, Debug)]
pub struct Gain {
    /// The seat.
    #[command(flatten)]
    pub seat: Seat,
    /// From -20 to 12.
    #[arg(
        value_name = "DB",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(i64::from(GAIN_DB_MIN)..=i64::from(GAIN_DB_MAX))
    )]
    pub gain_db: i32,
}

impl Seat {
    fn path(&self) -> String {
        format!("/{}/speakers/{}", self.space.slug, self.seat)
    }

    /// The call that changes something of the seat.
    pub(super) fn change(&self, change: Value) -> (&'static str, String, Option<Value>) {
        ("PATCH", self.path(), Some(change))
    }

    /// The call that ends what the seat has.
    pub(super) fn end(&self, what: &str) -> (&'static str, String, Option<Value>) {
        ("DELETE", format!("{}/{what}", self.path()), None)
    }
}
