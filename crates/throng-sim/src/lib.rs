//! A world of its own: people with patience, devices and networks, nodes with processors, and faults, all by one clock
//! that is only counted and chance from one seed. In it the code that decides is the real one: admission and its queue,
//! the ladder, the listener's cursor, the books of the doors, and the retries of a player.
//!
//! What it is not: a network. Packets, kernels and caches are times and costs here ([`cost`]), so that what comes out is
//! of a model, and says what the decisions make of a crowd, not how fast a machine is.

pub mod cost;
pub mod outcome;
pub mod plot;
pub mod scenario;

mod line;
mod node;
mod person;
mod tally;
mod world;

pub use self::outcome::Outcome;
pub use self::scenario::Scenario;

/// People that are simulated one by one, if nobody says otherwise; where more come, each stands for several.
pub const INDIVIDUALS: u32 = 1_000_000;

/// Runs a scenario to its end. At most so many `individuals` are simulated one by one: where more people come, each
/// stands for the same number, and nodes are as much smaller. Each second that has passed is told to `passed`.
pub fn run(
    scenario: &Scenario,
    seed: u64,
    individuals: u32,
    passed: &mut dyn FnMut(u32),
) -> Outcome {
    world::World::new(scenario, seed, individuals).run(passed)
}
