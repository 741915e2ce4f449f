//! What the player tests need: programs of the system, Python and JavaScript packages. Only what is missing.
//!
//! Python packages go under `target/`, JavaScript packages to `tests/node_modules`, from where the tests' own page server
//! serves them. The system is touched only by root, with apt.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::{Outcome, is_on_path, must, output, program, root, succeeds, target};

/// Debian packages that the tests need, one in a line; a command behind it shows that it is there in another way.
const PACKAGES: &str = "tests/apt-packages.txt";

/// What we need ourselves to install the rest, in the same form.
const OWN_PACKAGES: &str = "nodejs node\nnpm npm\npython3 python3\n";

/// The interpreter that has the packages of `tests/requirements.txt`.
pub(crate) fn python() -> PathBuf {
    target().join("python/bin/python")
}

/// Installs what is missing.
pub(crate) fn run() -> Outcome {
    let listed = fs::read_to_string(root().join(PACKAGES)).unwrap_or_default();
    let list = format!("{OWN_PACKAGES}{listed}");
    let mut missing = missing(&list, is_there);
    if !succeeds(&mut program("python3", &["-c", "import ensurepip"])) {
        missing.push("python3-venv");
    }
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

/// Installs what one measurement needs besides: the packages of a list, in the same form, if there is such a list.
pub(crate) fn packages_of(list: &str) -> Outcome {
    let listed = fs::read_to_string(root().join(list)).unwrap_or_default();
    match missing(&listed, is_there) {
        missing if missing.is_empty() => Ok(()),
        missing => packages(&missing),
    }
}

/// The packages of a list that are not there.
fn missing(list: &str, is_there: impl Fn(&str, Option<&str>) -> bool) -> Vec<&str> {
    let lines = list
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let needs = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.next()))
    });
    needs
        .filter(|(package, command)| !is_there(package, *command))
        .map(|(package, _)| package)
        .collect()
}

/// Where there is no dpkg, a package without a command is taken to be there: the test that needs it says so.
fn is_there(package: &str, command: Option<&str>) -> bool {
    if command.is_some_and(is_on_path) {
        return true;
    }
    if is_on_path("dpkg") {
        succeeds(&mut program("dpkg", &["--status", package]))
    } else {
        command.is_none()
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
            "this needs more programs; on Debian, as root:\n  {by_hand}"
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
    once(&folder, "tests/requirements.txt", || {
        must(&mut program(python(), &words))
    })
}

fn node_packages() -> Outcome {
    let tests = root().join("tests");
    let words = ["ci", "--no-audit", "--no-fund", "--loglevel", "error"];
    once(
        &tests.join("node_modules"),
        "tests/package-lock.json",
        || must(program("npm", &words).current_dir(&tests)),
    )
}

/// Fills a folder, unless it says that this was done for this very text of `list`.
fn once(folder: &Path, list: &str, fill: impl FnOnce() -> Outcome) -> Outcome {
    let stamp = folder.join(".filled-from");
    let wanted = fs::read(root().join(list)).map_err(|error| format!("{list}: {error}"))?;
    if fs::read(&stamp).is_ok_and(|filled| filled == wanted) {
        return Ok(());
    }
    fill()?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_named() {
        let list = "ffmpeg ffmpeg  # decodes\n\n# players\nmpv mpv\ngstreamer1.0-libav\n";
        let found = missing(list, |package, command| {
            package == "ffmpeg" && command == Some("ffmpeg")
        });
        assert_eq!(found, ["mpv", "gstreamer1.0-libav"]);
    }
}
