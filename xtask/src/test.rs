//! `cargo xtask test`: all that must pass, in the order in which it fails soonest. Stops at the first failure.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use crate::shell::{
    Outcome, build_all, build_program, cargo, linting_cargo, must, program, root, target,
};
use crate::{doc, install, tidy};

/// A part of the tests that can be run alone.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Group {
    /// Real players and browsers against the program.
    Players,
    /// Everything that cargo tests.
    Rust,
    /// Format and house rules.
    Tidy,
}

impl Group {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "players" => Some(Self::Players),
            "rust" => Some(Self::Rust),
            "tidy" => Some(Self::Tidy),
            _ => None,
        }
    }
}

struct Step {
    group: Group,
    title: &'static str,
    run: fn() -> Outcome,
}

const STEPS: &[Step] = &[
    Step {
        group: Group::Tidy,
        title: "format",
        run: || must(&mut cargo(&["fmt", "--all", "--check"])),
    },
    Step {
        group: Group::Tidy,
        title: "tidy",
        run: tidy::run,
    },
    Step {
        group: Group::Rust,
        title: "build, with what clippy says",
        run: build_all,
    },
    Step {
        group: Group::Rust,
        title: "cargo test",
        // Not of examples in comments: there are none, and looking for them takes a compiler for each crate.
        run: || {
            must(&mut linting_cargo(&[
                "test",
                "--workspace",
                "--lib",
                "--bins",
                "--tests",
            ]))
        },
    },
    Step {
        group: Group::Rust,
        title: "reference is current",
        run: doc::check,
    },
    Step {
        group: Group::Players,
        title: "program",
        run: build_program,
    },
    Step {
        group: Group::Players,
        title: "install what the player tests need",
        run: install::run,
    },
    Step {
        group: Group::Players,
        title: "player tests",
        run: players,
    },
];

/// Runs one group, or all.
pub(crate) fn run(only: Option<Group>) -> Outcome {
    let started = Instant::now();
    // What players need comes from the network while the processors compile; its step finds it done.
    let mut fetching = only.is_none().then(|| thread::spawn(install::run));
    for step in STEPS
        .iter()
        .filter(|step| only.is_none_or(|group| group == step.group))
    {
        println!("\n=== {}", step.title);
        let begun = Instant::now();
        if step.group == Group::Players
            && let Some(fetching) = fetching.take()
        {
            fetching.join().expect("installing does not panic")?;
        }
        let outcome = (step.run)();
        let (word, seconds) = (
            if outcome.is_ok() { "done" } else { "FAILED" },
            begun.elapsed().as_secs(),
        );
        println!("=== {}: {word} in {seconds} s", step.title);
        outcome?;
    }
    println!("\nall passed in {} s", started.elapsed().as_secs());
    Ok(())
}

fn players() -> Outcome {
    if !root().join("tests").is_dir() {
        println!("no tests/ folder: nothing to run");
        return Ok(());
    }
    // What waits more than it works goes on beside the rest, and is shown when that is over.
    let (rest, aside) = thread::scope(|lanes| {
        let aside = lanes.spawn(|| pytest("aside").stderr(Stdio::inherit()).output());
        let rest = must(&mut pytest("not aside and not alone"));
        (rest, aside.join().expect("a lane does not panic"))
    });
    let aside = aside.map_err(|error| format!("pytest could not be started: {error}"))?;
    println!("--- meanwhile\n{}", String::from_utf8_lossy(&aside.stdout));
    rest?;
    if !aside.status.success() {
        return Err(format!("the tests aside failed ({})", aside.status));
    }
    // What fills the machine by itself comes last.
    must(&mut pytest("alone"))
}

/// The player tests that are so marked.
fn pytest(marks: &str) -> Command {
    let mut pytest = program(install::python(), &["-m", "pytest", "tests", "-q"]);
    pytest
        .args(["-m", marks])
        .env("THRONG_BIN", target().join("debug/throng"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    pytest
}
