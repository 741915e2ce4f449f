//! `throng agents`: lends this machine to rehearsals that are led elsewhere; and the key that leader and lenders have in
//! common.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use throng_core::key;
use throng_rehearsal::away::lender::{self, Event, Program};
use throng_rehearsal::away::seal::Key;

use super::Error;
use super::interrupt::Interrupt;
use super::rehearse::AGENT;
use crate::{chance, secret_file};

/// Where the key stands that is in no file.
const KEY_VARIABLE: &str = "THRONG_AGENTS_KEY";

/// Lend this machine to rehearsals that are led elsewhere, with `throng rehearse --agents-at`.
///
/// Whoever has the key can send crowds from here to any address: pass it on as you would a password. It never travels, and
/// nothing is done without it. The key is that of --key-file, else of the environment variable `THRONG_AGENTS_KEY`, else a
/// new one that is printed. Agents end with their leader, and with this command.
#[derive(Args, Clone, Debug)]
pub struct AgentsArgs {
    /// Where to wait for leaders.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7464")]
    pub listen: SocketAddr,
    /// The file with the key, made where there is none.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Print the address, and the key where it is new, as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// Waits for leaders until Ctrl-C.
pub fn run(args: &AgentsArgs, interrupt: &Interrupt, output: &mut dyn Write) -> Result<(), Error> {
    let listener = TcpListener::bind(args.listen).map_err(Error::Crowd)?;
    let at = listener.local_addr().map_err(Error::Crowd)?;
    let (text, is_new) = match known_key(args.key_file.as_deref(), from_environment())? {
        Some(text) => (text, false),
        None => (new_key(args.key_file.as_deref())?, true),
    };
    let shown = (is_new && args.key_file.is_none()).then_some(&text);
    if args.json {
        writeln!(
            output,
            "{}",
            json!({"listen": at.to_string(), "key": shown})
        )?;
    } else {
        writeln!(output, "waiting for leaders at {at}")?;
        if let Some(key) = shown {
            writeln!(output, "{KEY_VARIABLE}={key}")?;
        }
    }
    output.flush()?;
    let program = agent_program()?;
    let stop = || interrupt.is_raised();
    lender::serve(&listener, &Key::of(&text), &program, &stop, note).map_err(Error::Crowd)
}

/// This program as an agent.
pub(super) fn agent_program() -> Result<Program, Error> {
    Ok(Program {
        path: env::current_exe().map_err(Error::Crowd)?,
        arguments: vec![OsString::from(AGENT)],
    })
}

/// The key of a leader, who must have been given one.
pub(super) fn leaders_key(file: Option<&Path>) -> Result<Key, Error> {
    match known_key(file, from_environment())? {
        Some(text) => Ok(Key::of(&text)),
        None => Err(Error::Usage(format!(
            "the key of the agents is missing: give it in {KEY_VARIABLE} or with --agents-key FILE"
        ))),
    }
}

fn from_environment() -> Option<String> {
    env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty())
}

/// What the file holds, else the environment; `None` where neither does.
fn known_key(file: Option<&Path>, variable: Option<String>) -> Result<Option<String>, Error> {
    let text = match file.map(|path| (path, fs::read_to_string(path))) {
        Some((_, Ok(text))) => text,
        Some((_, Err(error))) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Some((path, Err(source))) => {
            let path = path.to_owned();
            return Err(Error::File { path, source });
        }
        None => match variable {
            Some(text) => text,
            None => return Ok(None),
        },
    };
    let text = text.trim();
    match key::Key::parse(text) {
        Ok(_) => Ok(Some(text.to_owned())),
        Err(_) => Err(Error::Usage(
            "that is not a key as `throng agents` makes it: 43 letters, digits, - and _".to_owned(),
        )),
    }
}

/// Draws a key, and writes it into its file where there is to be one.
fn new_key(file: Option<&Path>) -> Result<String, Error> {
    let text = chance::key().expose();
    if let Some(path) = file {
        secret_file::write_new(path, &text).map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(text)
}

/// The log, on standard error.
fn note(event: Event) {
    let words = match event {
        Event::Asked(from) => format!("{from} has the key and asked for room"),
        Event::Began(from) => format!("an agent works for {from}"),
        Event::Ended(from) => format!("the agent of {from} has ended"),
        Event::Refused(from) => format!("refused {from}: without the key"),
    };
    // A log that nobody reads stops nothing.
    let _ = writeln!(io::stderr(), "{words}");
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_comes_from_its_file_before_the_environment_and_is_made_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents.key");
        let variable = Some(chance::key().expose());
        assert_eq!(known_key(None, variable.clone()).unwrap(), variable);
        assert_eq!(known_key(Some(&path), variable.clone()).unwrap(), None);
        let made = new_key(Some(&path)).unwrap();
        assert_eq!(known_key(Some(&path), variable).unwrap(), Some(made));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(new_key(Some(&path)).is_err(), "nothing is written over");
    }

    #[test]
    fn what_somebody_could_guess_is_no_key() {
        for weak in ["", "secret", "0123456789"] {
            assert!(known_key(None, Some(weak.to_owned())).is_err(), "{weak}");
        }
        assert_eq!(
            leaders_key(Some(Path::new("/nowhere/key")))
                .unwrap_err()
                .exit_code(),
            2
        );
    }
}
