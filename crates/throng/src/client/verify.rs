//! `throng verify`: checks a signed file, without asking anybody. Certificates of capacity so far.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use throng_rehearsal::certificate::{self, CERTIFICATE_MAX_BYTES, Certificate, Verification};

use super::Error;

/// Check a capacity certificate: format, signature, and whether its figures agree.
///
/// A valid signature says that the holder of the key vouches for these figures. Whose key it is must be known from
/// elsewhere: give it with --key. Exit status 1 when something does not hold.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The public key that must have signed it, in base64.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Print the checks as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Checks and prints.
pub fn run(args: &VerifyArgs, output: &mut dyn Write) -> Result<(), Error> {
    let found = check(&args.file, args.key.as_deref())?;
    if args.json {
        let line = serde_json::to_string(&found).map_err(io::Error::from)?;
        writeln!(output, "{line}")?;
    } else {
        for check in &found.checks {
            let mark = if check.ok { "ok" } else { "WRONG" };
            writeln!(output, "{mark:<8}{:<12}{}", check.name, check.detail)?;
        }
        if let Some(certificate) = &found.certificate {
            writeln!(
                output,
                "\n{} slots, issued {}",
                certificate.slots, certificate.issued_at
            )?;
        }
    }
    output.flush()?;
    if found.valid {
        Ok(())
    } else {
        Err(invalid(&args.file, &found))
    }
}

/// Reads and checks a file.
pub(super) fn check(path: &Path, key: Option<&str>) -> Result<Verification, Error> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(failed)?
        .take(CERTIFICATE_MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(certificate::verify(&String::from_utf8_lossy(&bytes), key))
}

/// A certificate that holds and grants slots.
pub(crate) fn granting(path: &Path) -> Result<Certificate, Error> {
    let found = check(path, None)?;
    let valid = found.valid;
    match found.certificate {
        Some(ref certificate) if valid && certificate.slots == 0 => Err(Error::Invalid {
            path: path.to_owned(),
            reason:
                "it grants no slots; rehearse again until nobody, or the server, gives way first"
                    .to_owned(),
        }),
        Some(certificate) if valid => Ok(certificate),
        _ => Err(invalid(path, &found)),
    }
}

/// What does not hold, as an error.
pub(super) fn invalid(path: &Path, found: &Verification) -> Error {
    let wrong: Vec<String> = found
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect();
    Error::Invalid {
        path: path.to_owned(),
        reason: wrong.join("; "),
    }
}
