//! `throng webhook …`: whom the operator wants to be told what happens in spaces.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Error;
use super::space::DeskArgs;

/// Say which of your programs are told what happens in spaces, by signed messages.
#[derive(Args, Clone, Debug)]
pub struct WebhookArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: WebhookCommand,
    /// Which desk, and with which key.
    #[command(flatten)]
    pub desk: DeskArgs,
}

/// What can be done about webhooks.
#[derive(Clone, Debug, Subcommand)]
pub enum WebhookCommand {
    /// Make a webhook; prints its secret, which is shown this once.
    Create {
        /// What is called, such as `https://hooks.example.org/throng`.
        url: String,
        /// Of which event it is told, such as space.live; one flag each, and without any it is told of all.
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
    },
    /// List all webhooks with what came of their last call.
    List,
    /// Delete a webhook with what was still to be told to it.
    Delete {
        /// Its id, as `list` shows it.
        id: String,
    },
    /// Call a webhook once as a test, and say what came of it.
    Ping {
        /// Its id, as `list` shows it.
        id: String,
    },
}

/// Does what the command says and prints the answer.
pub fn run(args: &WebhookArgs, output: &mut dyn Write) -> Result<(), Error> {
    let (method, path, body) = request(&args.command);
    let answer = args
        .desk
        .call(method, &format!("/api/webhooks{path}"), body.as_ref())?;
    if args.desk.json {
        let answer = if answer.is_null() { json!({}) } else { answer };
        writeln!(output, "{answer}")?;
    } else {
        write!(output, "{}", in_words(&args.command, &answer))?;
    }
    Ok(output.flush()?)
}

fn request(command: &WebhookCommand) -> (&'static str, String, Option<Value>) {
    match command {
        WebhookCommand::Create { url, events } => {
            let body = if events.is_empty() {
                json!({ "url": url })
            } else {
                json!({ "url": url, "events": events })
            };
            ("POST", String::new(), Some(body))
        }
        WebhookCommand::List => ("GET", String::new(), None),
        WebhookCommand::Delete { id } => ("DELETE", format!("/{id}"), None),
        WebhookCommand::Ping { id } => ("POST", format!("/{id}/ping"), None),
    }
}

fn in_words(command: &WebhookCommand, answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().unwrap_or("-");
    match command {
        WebhookCommand::Create { .. } => format!(
            "id          {}\nsecret      {}\nThe secret is shown this once: give it to who checks the signatures.\n",
            text("id"),
            text("secret")
        ),
        WebhookCommand::List => {
            let hooks = answer["webhooks"].as_array();
            let hooks = hooks.map(Vec::as_slice).unwrap_or_default();
            if hooks.is_empty() {
                return "no webhooks yet: throng webhook create URL\n".to_owned();
            }
            hooks.iter().map(line_of_hook).collect()
        }
        WebhookCommand::Delete { id } => format!("deleted {id}\n"),
        WebhookCommand::Ping { .. } => format!("{}\n", words_of_call(answer)),
    }
}

fn line_of_hook(hook: &Value) -> String {
    let text = |name: &str| hook[name].as_str().unwrap_or("-");
    let events: Vec<_> = hook["events"].as_array().into_iter().flatten().collect();
    let events = if events.is_empty() {
        "all events".to_owned()
    } else {
        let events: Vec<_> = events.into_iter().filter_map(Value::as_str).collect();
        events.join(", ")
    };
    format!(
        "{}  {}  ({events}; {} waiting; {})\n",
        text("id"),
        text("url"),
        hook["pending"],
        words_of_call(&hook["last"])
    )
}

fn words_of_call(call: &Value) -> String {
    match (call["delivered"].as_bool(), call["reason"].as_str()) {
        (Some(true), _) => format!("delivered: it answered {}", call["status"]),
        (Some(false), Some(reason)) => format!("not delivered: {reason}"),
        _ => "not called yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_asks_its_own_route() {
        let create = WebhookCommand::Create {
            url: "https://a.example/".to_owned(),
            events: vec!["space.live".to_owned()],
        };
        let body = json!({ "url": "https://a.example/", "events": ["space.live"] });
        assert_eq!(request(&create), ("POST", String::new(), Some(body)));
        let id = || "7".to_owned();
        let ping = request(&WebhookCommand::Ping { id: id() });
        assert_eq!(ping, ("POST", "/7/ping".to_owned(), None));
        let delete = request(&WebhookCommand::Delete { id: id() });
        assert_eq!(delete, ("DELETE", "/7".to_owned(), None));
    }

    #[test]
    fn a_list_tells_what_came_of_the_last_call() {
        let answer = json!({ "webhooks": [
            { "id": "1", "url": "u", "events": [], "pending": 0, "last": null },
            { "id": "2", "url": "v", "events": ["space.live"], "pending": 3,
              "last": { "delivered": false, "reason": "nobody listens there" } },
        ] });
        assert_eq!(
            in_words(&WebhookCommand::List, &answer),
            "1  u  (all events; 0 waiting; not called yet)\n\
             2  v  (space.live; 3 waiting; not delivered: nobody listens there)\n"
        );
    }
}
