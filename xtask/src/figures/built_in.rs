//! Measurements that need no other language.

use std::fmt::Write;
use std::fs;
use std::thread::available_parallelism;
use std::time::Instant;

use super::Call;
use crate::shell::{Outcome, cargo, must, root, target};
use crate::tidy::page;

/// Bytes of each page after `gzip -9`. The listener's page has all that it needs inside.
pub(super) fn pages(_: &Call) -> Result<String, String> {
    let mut text = String::new();
    let mut paths = vec!["web/index.html".to_owned(), page::PAGE.to_owned()];
    let desk =
        fs::read_dir(root().join("web/desk")).map_err(|error| format!("web/desk: {error}"))?;
    paths.extend(
        desk.flatten()
            .map(|file| format!("web/desk/{}", file.file_name().to_string_lossy())),
    );
    paths.sort();
    for path in paths {
        let body = fs::read(root().join(&path)).map_err(|error| format!("{path}: {error}"))?;
        let bytes = page::compressed(&body).map_err(|error| format!("gzip: {error}"))?;
        let limit = if path == page::PAGE {
            format!("<= {} bytes", page::PAGE_BYTES_MAX)
        } else {
            "-".to_owned()
        };
        writeln!(text, "{path}, compressed\t{bytes} bytes\t{limit}")
            .expect("writing to a string does not fail");
    }
    Ok(text)
}

/// Seconds of `cargo build --release` into an empty folder, dependencies already downloaded.
pub(super) fn cold_build(_: &Call) -> Result<String, String> {
    must(&mut cargo(&["fetch", "--quiet"]))?;
    let folder = target().join("cold-build");
    let _ = fs::remove_dir_all(&folder);
    let begun = Instant::now();
    must(
        cargo(&["build", "--quiet", "--release", "--package", "throng"])
            .env("CARGO_TARGET_DIR", &folder),
    )?;
    let seconds = begun.elapsed().as_secs();
    let program_bytes =
        fs::metadata(folder.join("release/throng")).map_or(0, |program| program.len());
    fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let lock = fs::read_to_string(root().join("Cargo.lock"))
        .map_err(|error| format!("Cargo.lock: {error}"))?;
    let packages = lock.matches("[[package]]").count();
    Ok(format!(
        "cold release build\t{seconds} s\t-\nprogram\t{} MB\t-\npackages in Cargo.lock, tests included\t{packages}\t-\n",
        program_bytes / 1_000_000,
    ))
}

/// The program that Python measurements run, and the examples that measure where Python is too slow.
pub(super) fn release_programs() -> Outcome {
    let packages = ["throng", "throng-media", "throng-rehearsal"];
    let packages = packages.iter().flat_map(|name| ["--package", *name]);
    let examples = EXAMPLES.iter().flat_map(|name| ["--example", *name]);
    must(
        cargo(&["build", "--quiet", "--release", "--bin", "throng"])
            .args(packages)
            .args(examples),
    )
}

const EXAMPLES: &[&str] = &[
    "floor",
    "lossy_speech",
    "loudness",
    "speaker_delay",
    "stage_cost",
    "two_hours",
];

/// Processor and cores.
pub(super) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| {
        line.strip_prefix("model name")
            .and_then(|rest| rest.split(": ").nth(1))
    });
    let cores = available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{}, {cores} cores", model.unwrap_or("unknown processor"))
}
