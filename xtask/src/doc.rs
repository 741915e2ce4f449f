//! `cargo xtask doc`: the reference that the program writes about itself.

use std::fs;

use crate::shell::{Outcome, build_program, output, program, root, target};

/// A file of the reference, and the word for which `examples/reference.rs` prints it.
const GENERATED: &[(&str, &str)] = &[
    ("docs/reference/cli.md", "cli"),
    ("docs/reference/throng.toml", "config"),
];

/// Writes them.
pub(crate) fn write() -> Outcome {
    for (path, what) in GENERATED {
        fs::write(root().join(path), generate(what)?)
            .map_err(|error| format!("{path}: {error}"))?;
        println!("{path}");
    }
    Ok(())
}

/// Fails when a file is not what the program says now.
pub(crate) fn check() -> Outcome {
    for (path, what) in GENERATED {
        let kept =
            fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))?;
        if kept != generate(what)? {
            return Err(format!("{path} is stale: run `cargo xtask doc`"));
        }
    }
    Ok(())
}

fn generate(what: &str) -> Result<String, String> {
    build_program()?;
    let mut print = program(target().join("debug/examples/reference"), &[what]);
    // Help shows what the environment sets; the reference is the same everywhere.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("THRONG_") {
            print.env_remove(name);
        }
    }
    output(&mut print)
}
