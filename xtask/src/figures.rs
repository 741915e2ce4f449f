//! `cargo xtask bench` and `cargo xtask prove`: named programs that measure, and the document that keeps what they saw.
//!
//! A measurement is built in below, or a Python program in the suite's folder. It prints its figures as lines
//! `figure<TAB>value<TAB>limit`: the limit is `-`, or `<= LIMIT` or `>= LIMIT` in the unit of the value, or `target` and
//! words where a time depends on the machine and is not asserted. Other lines pass through to the terminal.

mod built_in;
mod fuzz;
mod row;

use std::fs;
use std::process::Command;

use crate::install;
use crate::shell::{Outcome, must, output, program, root, target};
use row::Row;

/// A family of measurements.
pub(crate) struct Suite {
    folder: &'static str,
    document: &'static str,
    title: &'static str,
    built_in: &'static [(&'static str, Measure)],
}

type Measure = fn(&Call) -> Result<String, String>;

/// Figures that are quick enough to be taken often.
pub(crate) const BENCH: Suite = Suite {
    folder: "tests/bench",
    document: "docs/benchmarks.md",
    title: "bench",
    built_in: &[("build", built_in::cold_build), ("pages", built_in::pages)],
};

/// Suites too long for `cargo xtask test`.
pub(crate) const PROVE: Suite = Suite {
    folder: "tests/prove",
    document: "docs/proofs.md",
    title: "prove",
    built_in: &[("fuzz", fuzz::every_target)],
};

/// What was asked for.
#[derive(Clone)]
pub(crate) struct Call {
    names: Vec<String>,
    /// After the name of a program: those of its cases that are wanted, else all.
    cases: Vec<String>,
    check: bool,
    /// How many listeners are brought, where a measurement brings any.
    listeners: Option<u32>,
    /// How long a measurement is to last, or each of its runs, where that can be chosen.
    seconds: Option<u32>,
    write: bool,
}

impl Call {
    pub(crate) fn read(words: &[&str]) -> Option<Self> {
        let mut call = Self {
            names: Vec::new(),
            cases: Vec::new(),
            check: false,
            listeners: None,
            seconds: None,
            write: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--check" => call.check = true,
                "--listeners" => call.listeners = Some(words.next()?.parse().ok()?),
                "--seconds" => call.seconds = Some(words.next()?.parse().ok()?),
                "--write" => call.write = true,
                flag if flag.starts_with('-') => return None,
                name => call.names.push(name.to_owned()),
            }
        }
        Some(call)
    }
}

impl Call {
    /// What follows the name of one program, and names none itself, are cases of it.
    fn with_cases(&self, known: &[String]) -> Result<Self, String> {
        let mut call = self.clone();
        let (names, cases) = call
            .names
            .into_iter()
            .partition(|name| known.contains(name));
        (call.names, call.cases) = (names, cases);
        match call.cases.first() {
            Some(case) if call.names.len() != 1 => {
                Err(format!("`{case}` is not among: {}", known.join(", ")))
            }
            Some(_) if call.write => Err("one case alone is not written down".to_owned()),
            _ => Ok(call),
        }
    }
}

/// Runs the named measurements, or all.
pub(crate) fn run(suite: &Suite, call: &Call) -> Outcome {
    let known = known(suite);
    // Nothing measured must not look like everything in order.
    if known.is_empty() {
        return Err(format!(
            "there is nothing to {} yet: {} holds no program",
            suite.title, suite.folder
        ));
    }
    let call = &call.with_cases(&known)?;
    let mut over = 0;
    for name in known
        .iter()
        .filter(|name| call.names.is_empty() || call.names.contains(name))
    {
        println!("\n=== {} {name}", suite.title);
        let rows = rows(&measure(suite, name, call)?);
        for row in &rows {
            println!("{row}");
        }
        over += rows.iter().filter(|row| !row.holds()).count();
        if call.write {
            keep(suite, name, &rows)?;
        }
    }
    if call.check && over > 0 {
        return Err(format!("{over} figures are beyond their limits"));
    }
    Ok(())
}

fn known(suite: &Suite) -> Vec<String> {
    let mut names: Vec<String> = suite
        .built_in
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let files = fs::read_dir(root().join(suite.folder))
        .into_iter()
        .flatten()
        .flatten();
    let files = files.map(|file| file.file_name().to_string_lossy().into_owned());
    names.extend(files.filter_map(|file| {
        file.strip_suffix(".py")
            .filter(|name| !name.starts_with('_'))
            .map(str::to_owned)
    }));
    names.sort();
    names
}

fn measure(suite: &Suite, name: &str, call: &Call) -> Result<String, String> {
    if let Some((_, measure)) = suite.built_in.iter().find(|(known, _)| *known == name) {
        return measure(call);
    }
    install::run()?;
    install::packages_of(&format!("{}/{name}.packages", suite.folder))?;
    built_in::release_programs()?;
    let mut python = program_of(&format!("{}/{name}.py", suite.folder));
    python.args(&call.cases);
    if let Some(listeners) = call.listeners {
        python.env("THRONG_BENCH_LISTENERS", listeners.to_string());
    }
    if let Some(seconds) = call.seconds {
        python.env("THRONG_BENCH_SECONDS", seconds.to_string());
    }
    output(&mut python)
}

/// Takes pictures of all pages, for the documents.
pub(crate) fn screenshots() -> Outcome {
    install::run()?;
    built_in::release_programs()?;
    must(&mut program_of("tests/screenshots.py"))
}

/// A Python program that runs our release build.
fn program_of(path: &str) -> Command {
    let mut python = program(install::python(), &[path]);
    python
        .env("THRONG_BIN", target().join("release/throng"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", root().join("tests"));
    python
}

fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for line in text.lines() {
        match Row::read(line) {
            Some(row) => rows.push(row),
            None => println!("{line}"),
        }
    }
    rows
}

/// Puts the table in place of the measurement's last one, with what makes it comparable.
fn keep(suite: &Suite, name: &str, rows: &[Row]) -> Outcome {
    let path = root().join(suite.document);
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let table: String = rows.iter().map(Row::markdown).collect();
    let section = format!(
        "`cargo xtask {} {name}` · {} · {}\n\n| Figure | Seen | Limit |\n|---|---|---|\n{table}",
        suite.title,
        circumstances()?,
        built_in::machine(),
    );
    fs::write(&path, replaced(&kept, name, &section))
        .map_err(|error| format!("{}: {error}", suite.document))
}

fn circumstances() -> Result<String, String> {
    let date = output(&mut program("date", &["-u", "+%Y-%m-%d"]))?;
    let commit = output(&mut program("git", &["rev-parse", "--short", "HEAD"]))?;
    Ok(format!("{} · commit {}", date.trim(), commit.trim()))
}

/// The document with the section between the measurement's marks replaced, or added at its end.
fn replaced(document: &str, name: &str, section: &str) -> String {
    let (opening, closing) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
    let body = format!("{opening}{section}{closing}");
    match (document.find(&opening), document.find(&closing)) {
        (Some(from), Some(to)) if from < to => {
            format!(
                "{}{body}{}",
                &document[..from],
                &document[to + closing.len()..]
            )
        }
        _ => format!("{}\n\n## {name}\n\n{body}", document.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_where_it_stands() {
        let document = "# Figures\n\n## pages\n\n<!-- pages -->\nold\n<!-- /pages -->\nafter\n";
        let expected = "# Figures\n\n## pages\n\n<!-- pages -->\nnew\n<!-- /pages -->\nafter\n";
        assert_eq!(replaced(document, "pages", "new\n"), expected);
    }

    #[test]
    fn a_new_section_goes_to_the_end() {
        assert_eq!(
            replaced("# Figures\n", "build", "new\n"),
            "# Figures\n\n## build\n\n<!-- build -->\nnew\n<!-- /build -->\n"
        );
    }

    #[test]
    fn an_unknown_flag_is_no_call() {
        assert!(Call::read(&["pages", "--fast"]).is_none());
        assert!(Call::read(&["fuzz", "--seconds"]).is_none());
        let call = Call::read(&["--seconds", "5", "fuzz"]).unwrap();
        assert_eq!(
            (call.seconds, call.names),
            (Some(5), vec!["fuzz".to_owned()])
        );
        let call = Call::read(&["air", "--listeners", "3000"]).unwrap();
        assert_eq!(call.listeners, Some(3_000));
        let known = ["faults", "kills"].map(str::to_owned);
        let cases = Call::read(&["faults", "disk-full"])
            .unwrap()
            .with_cases(&known);
        assert_eq!(cases.unwrap().cases, ["disk-full"]);
        for wrong in [
            &["disk-full"][..],
            &["faults", "kills", "disk-full"],
            &["faults", "x", "--write"],
        ] {
            assert!(Call::read(wrong).unwrap().with_cases(&known).is_err());
        }
        assert!(Call::read(&["pages", "--check"]).is_some_and(|call| call.check && !call.write));
    }
}
