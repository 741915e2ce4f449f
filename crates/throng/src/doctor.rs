//! `throng doctor`: what stands in the way of a node with these settings on this machine, and what to do about it.
//!
//! It asks the system and changes nothing but a file that it writes and removes in the data folder. What only somebody
//! elsewhere can find out, it says.

mod addresses;
mod folder;
mod machine;

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use thiserror::Error;
use throng_archive::DataLock;

use crate::config::{Config, ServeArgs};

/// Say what stands in the way of a node with these settings on this machine, and what to do about it.
///
/// Takes the settings of `throng serve`. Its exit status is 1 when a node could not start or nobody could reach it.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// The settings that the node is to have.
    #[command(flatten)]
    pub settings: ServeArgs,
    /// Print the findings as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

/// Something is in the way.
#[derive(Debug, Error)]
#[error("{0} of these keep a node from starting, or people from reaching it")]
pub struct InTheWay(usize);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Grade {
    Fine,
    /// It works, and the operator should know.
    Note,
    /// A node would not start, or nobody would reach it.
    Fault,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    what: &'static str,
    grade: Grade,
    says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn fine(what: &'static str, says: impl Into<String>) -> Self {
        Self {
            what,
            grade: Grade::Fine,
            says: says.into(),
            fix: None,
        }
    }

    fn note(what: &'static str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            grade: Grade::Note,
            fix: Some(fix.into()),
            ..Self::fine(what, says)
        }
    }

    fn fault(what: &'static str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            grade: Grade::Fault,
            ..Self::note(what, says, fix)
        }
    }
}

/// Looks at everything and tells it.
pub fn run(args: DoctorArgs, output: &mut dyn Write) -> anyhow::Result<()> {
    let config = Config::resolve(args.settings)?;
    let findings = examine(&config);
    for finding in &findings {
        if args.json {
            writeln!(output, "{}", serde_json::to_string(finding)?)?;
        } else {
            tell(finding, output)?;
        }
    }
    output.flush()?;
    let faults = findings
        .iter()
        .filter(|finding| finding.grade == Grade::Fault);
    match faults.count() {
        0 => Ok(()),
        count => Err(InTheWay(count).into()),
    }
}

fn examine(config: &Config) -> Vec<Finding> {
    let holder = DataLock::holder(&config.data);
    let mut findings = addresses::findings(config, holder);
    findings.extend(folder::findings(&config.data, holder));
    findings.extend(machine::findings(config));
    findings
}

fn tell(finding: &Finding, output: &mut dyn Write) -> io::Result<()> {
    let grade = match finding.grade {
        Grade::Fine => "ok",
        Grade::Note => "note",
        Grade::Fault => "FAULT",
    };
    writeln!(output, "{grade:<6}{:<14}{}", finding.what, finding.says)?;
    match &finding.fix {
        Some(fix) => writeln!(output, "{:<20}→ {fix}", ""),
        None => Ok(()),
    }
}
