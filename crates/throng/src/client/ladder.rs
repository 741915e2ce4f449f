//! `throng ladder …`: how cheaply listeners are served, and the operator's hand on it, over the desk's API.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Error;
use super::space::DeskArgs;

/// See on which rung of the ladder listeners are served, and keep or release one.
#[derive(Args, Clone, Debug)]
pub struct LadderArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LadderCommand,
    /// Which desk, and with which key.
    #[command(flatten)]
    pub desk: DeskArgs,
}

/// What can be done with the ladder.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum LadderCommand {
    /// Show the rung, why it is that one, and what it is decided by.
    Show,
    /// Keep a rung, whatever is measured, until `auto` or the next start of the node.
    Set {
        /// 0 (as usual) to 4 (as cheap as can be).
        #[arg(value_name = "RUNG", value_parser = clap::value_parser!(u8).range(0..=4))]
        rung: u8,
    },
    /// Go by what is measured again.
    Auto,
}

/// Does what the command says and prints the answer.
pub fn run(args: &LadderArgs, output: &mut dyn Write) -> Result<(), Error> {
    let (method, body) = match args.command {
        LadderCommand::Show => ("GET", None),
        LadderCommand::Set { rung } => ("PUT", Some(json!({ "locked": true, "rung": rung }))),
        LadderCommand::Auto => ("PUT", Some(json!({ "locked": false }))),
    };
    let answer = args.desk.call(method, "/api/ladder", body.as_ref())?;
    if args.desk.json {
        writeln!(output, "{answer}")?;
    } else {
        write!(output, "{}", in_words(&answer))?;
    }
    Ok(output.flush()?)
}

/// The answer for a person's eyes.
fn in_words(answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().unwrap_or("-").to_owned();
    let mode = if answer["locked"] == true {
        "kept by the operator"
    } else {
        "by what is measured"
    };
    let line = |label: &str, text: String| format!("{label:<20}{text}\n");
    let standing = [
        line("rung", format!("{} ({mode})", answer["rung"])),
        line("means", text("meaning")),
        line("because", text("rung_reason")),
        line("wanted", answer["wanted"].to_string()),
        line("since", text("since")),
    ];
    let signals = answer["signals"].as_object().into_iter().flatten();
    let signals = signals.map(|(name, value)| line(name, value.to_string()));
    standing.into_iter().chain(signals).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::test_server::TestServer;
    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: LadderArgs,
    }

    #[test]
    fn a_rung_is_kept_and_released_with_the_operator_key_and_told_in_words() {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("operator.key"), "op-key\n").unwrap();
        let answer = br#"{"rung":3,"meaning":"m","wanted":4,"locked":true,"reasons":[],"rung_reason":"r","since":"s","signals":{"lag_ms":7}}"#;
        let server =
            TestServer::start(|_| TestServer::answer("200 OK", "application/json", answer));
        let place = [
            "--server",
            &server.url,
            "--data",
            data.path().to_str().unwrap(),
        ];
        let mut output = Vec::new();
        for command in [&["set", "3"][..], &["auto"], &["show"]] {
            let all = [&["ladder"], command, &place].concat();
            output.clear();
            run(&Cli::try_parse_from(all).unwrap().args, &mut output).unwrap();
        }
        let asked: Vec<_> = server
            .asked()
            .iter()
            .map(|asked| {
                (
                    asked.method.clone(),
                    asked.target.clone(),
                    asked.body.clone(),
                )
            })
            .collect();
        let path = || "/api/ladder".to_owned();
        let locked = r#"{"locked":true,"rung":3}"#.to_owned();
        let expected = [
            ("PUT".to_owned(), path(), locked),
            ("PUT".to_owned(), path(), r#"{"locked":false}"#.to_owned()),
            ("GET".to_owned(), path(), String::new()),
        ];
        assert_eq!(asked, expected);
        assert_eq!(server.asked()[0].bearer.as_deref(), Some("op-key"));
        let words = String::from_utf8(output).unwrap();
        assert!(
            words.starts_with("rung                3 (kept by the operator)\n"),
            "{words}"
        );
        assert!(words.ends_with("lag_ms              7\n"), "{words}");
        assert!(Cli::try_parse_from(["ladder", "set", "5"]).is_err());
    }
}
