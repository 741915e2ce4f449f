//! What the player tests need: programs of the system, Python and JavaScript packages. Only what is missing.
//!
//! Python and JavaScript packages go under `target/`; the system is touched only by root, with apt.

use std::path::PathBuf;
use std::{fs, io};

use crate::shell::{Outcome, is_on_path, must, output, program, root, succeeds, target};

/// A package of Debian, and the command that shows that it is there. Plugins have no command: dpkg is asked.
struct Need {
    package: &'static str,
    command: Option<&'static str>,
}

const NEEDS: &[Need] = &[
    need("ca-certificates", None),
    need("chromium", Some("chromium")),
    need("espeak-ng", Some("espeak-ng")),
    need("ffmpeg", Some("ffmpeg")),
    need("firefox-esr", Some("firefox-esr")),
    need("gstreamer1.0-libav", None),
    need("gstreamer1.0-plugins-bad", None),
    need("gstreamer1.0-plugins-base", None),
    need("gstreamer1.0-plugins-good", None),
    need("gstreamer1.0-tools", Some("gst-launch-1.0")),
    need("mpv", Some("mpv")),
    need("nodejs", Some("node")),
    need("npm", Some("npm")),
    need("python3", Some("python3")),
    need("python3-venv", None),
    need("vlc-bin", Some("cvlc")),
    need("vlc-plugin-base", None),
];

const fn need(package: &'static str, command: Option<&'static str>) -> Need {
    Need { package, command }
}

/// The interpreter that has the packages of `tests/requirements.txt`.
pub(crate) fn python() -> PathBuf {
    target().join("python/bin/python")
}

/// The folder with the packages of `tests/package.json`.
pub(crate) fn node_modules() -> PathBuf {
    target().join("node/node_modules")
}

/// Installs what is missing.
pub(crate) fn run() -> Outcome {
    let missing: Vec<&str> = NEEDS
        .iter()
        .filter(|need| !is_there(need))
        .map(|need| need.package)
        .collect();
    if !missing.is_empty() {
        packages(&missing)?;
    }
    if root().join("tests/requirements.txt").is_file() {
        python_packages()?;
    }
    if root().join("tests/package.json").is_file() {
        node_packages()?;
    }
    Ok(())
}

fn is_there(need: &Need) -> bool {
    match need.command {
        Some(command) => is_on_path(command),
        None => !is_on_path("dpkg") || succeeds(&mut program("dpkg", &["--status", need.package])),
    }
}

fn packages(missing: &[&str]) -> Outcome {
    let by_hand = format!(
        "apt-get update && apt-get install -y --no-install-recommends {}",
        missing.join(" ")
    );
    let is_root = output(&mut program("id", &["-u"])).is_ok_and(|id| id.trim() == "0");
    if !is_root || !is_on_path("apt-get") {
        return Err(format!(
            "the player tests need more programs; on Debian, as root:\n  {by_hand}"
        ));
    }
    println!("{by_hand}");
    must(program("apt-get", &["-qq", "update"]).env("DEBIAN_FRONTEND", "noninteractive"))?;
    must(
        program(
            "apt-get",
            &["-qq", "install", "-y", "--no-install-recommends"],
        )
        .args(missing)
        .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn python_packages() -> Outcome {
    let folder = target().join("python");
    if !python().is_file() {
        must(program("python3", &["-m", "venv"]).arg(&folder))?;
    }
    let words = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        "tests/requirements.txt",
    ];
    once("python/installed", "tests/requirements.txt", || {
        must(&mut program(python(), &words))
    })
}

fn node_packages() -> Outcome {
    let (from, to) = (root().join("tests"), target().join("node"));
    copy(&from.join("package.json"), &to.join("package.json"))
        .map_err(|error| error.to_string())?;
    let lock = from.join("package-lock.json");
    let action = if lock.is_file() {
        copy(&lock, &to.join("package-lock.json")).map_err(|error| error.to_string())?;
        "ci"
    } else {
        "install"
    };
    let words = [action, "--no-audit", "--no-fund", "--loglevel", "error"];
    once("node/installed", "tests/package.json", || {
        must(program("npm", &words).current_dir(&to))
    })
}

/// Runs `work` unless the stamp under `target/` says that it was done for this very text of `source`.
fn once(stamp: &str, source: &str, work: impl FnOnce() -> Outcome) -> Outcome {
    let stamp = target().join(stamp);
    let wanted = fs::read(root().join(source)).map_err(|error| format!("{source}: {error}"))?;
    if fs::read(&stamp).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    work()?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}

fn copy(from: &PathBuf, to: &PathBuf) -> io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::copy(from, to).map(|_| ())
}
