//! The arguments by which a host reaches a seat.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use throng_core::space::{GAIN_DB_MAX, GAIN_DB_MIN};

use super::{Slug, in_rfc3339, parse_time};

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

/// A seat, and until when its new link is good.
#[derive(Args, Clone, Debug)]
pub struct Link {
    /// The seat.
    #[command(flatten)]
    pub seat: Seat,
    /// From when on the link opens nothing, such as 2026-12-02T00:00:00Z. Without it, it never expires.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub expires_at: Option<Timestamp>,
}

impl Link {
    /// The call that makes it.
    pub(super) fn renew(&self) -> (&'static str, String, Option<Value>) {
        let expires = self.expires_at.map(in_rfc3339);
        let body = expires.map(|at| json!({ "expires_at": at }));
        ("POST", format!("{}/link", self.seat.path()), body)
    }
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
