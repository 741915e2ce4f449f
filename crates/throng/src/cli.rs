//! The command line: what each command is called, and where it goes.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::client::interrupt::Interrupt;
use crate::client::{
    self, agents, ladder, listen, plan, rehearse, simulate, space, speak, verify, webhook,
};
use crate::config::{Config, ServeArgs};
use crate::demo::{self, DemoArgs};
use crate::doctor::{self, DoctorArgs};
use crate::worker::{self, EdgeArgs};
use crate::{plane, serve, tls};

/// Live-audio Spaces that start on time, whoever shows up.
///
/// Without a command it serves with defaults: the audience at 127.0.0.1:8080, hosts and speakers at 127.0.0.1:8081.
#[derive(Debug, Parser)]
#[command(
    name = "throng",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeCommand,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node.
    Serve(ServeCommand),
    /// Show what this is: a node with one live space in which two voices talk.
    Demo(DemoArgs),
    Edge(EdgeArgs),
    /// The origin of a node, started by its supervisor.
    #[command(hide = true)]
    Origin,
    /// An Air worker of a node, started by its supervisor.
    #[command(hide = true)]
    AirWorker,
    Space(space::SpaceArgs),
    Webhook(webhook::WebhookArgs),
    Ladder(ladder::LadderArgs),
    Speak(speak::SpeakArgs),
    Listen(listen::ListenArgs),
    Rehearse(rehearse::RehearseArgs),
    Agents(agents::AgentsArgs),
    /// Be an agent of a rehearsal, which is started by `rehearse`.
    #[command(name = rehearse::AGENT, hide = true)]
    RehearseAgent,
    Doctor(DoctorArgs),
    Plan(plan::PlanArgs),
    Simulate(simulate::SimulateArgs),
    Verify(verify::VerifyArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct ServeCommand {
    #[command(flatten)]
    settings: ServeArgs,
    /// Print the links as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = tls::install_provider() {
        return failed(&error.into());
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(command) => {
            serve::start_logging();
            let config = Config::resolve(command.settings)?;
            runtime()?.block_on(serve::run(config, command.json))?;
        }
        Command::Demo(args) => {
            serve::start_logging();
            runtime()?.block_on(demo::run(args))?;
        }
        Command::Edge(args) => {
            serve::start_logging();
            runtime()?.block_on(worker::edge(args))?;
        }
        Command::Origin => {
            serve::start_logging();
            runtime()?.block_on(serve::run_origin())?;
        }
        Command::AirWorker => {
            serve::start_logging();
            plane::keep_apart();
            runtime()?.block_on(worker::local())?;
        }
        Command::Space(args) => space::run(&args, &mut io::stdout().lock())?,
        Command::Webhook(args) => webhook::run(&args, &mut io::stdout().lock())?,
        Command::Ladder(args) => ladder::run(&args, &mut io::stdout().lock())?,
        Command::Speak(args) => speak::run(&args, &Interrupt::watch()?, &mut io::stdout().lock())?,
        Command::Listen(args) => {
            listen::run(&args, &Interrupt::watch()?, &mut io::stdout().lock())?;
        }
        Command::Rehearse(args) => {
            rehearse::run(&args, &Interrupt::watch()?, &mut io::stdout().lock())?;
        }
        Command::Agents(args) => {
            agents::run(&args, &Interrupt::watch()?, &mut io::stdout().lock())?;
        }
        Command::RehearseAgent => rehearse::run_agent()?,
        Command::Doctor(args) => doctor::run(args, &mut io::stdout().lock())?,
        Command::Plan(args) => plan::run(&args, &mut io::stdout().lock())?,
        Command::Simulate(args) => simulate::run(&args, &mut io::stdout().lock())?,
        Command::Verify(args) => verify::run(&args, &mut io::stdout().lock())?,
    }
    Ok(())
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(serve::worker_threads())
        .enable_all()
        .build()
}

/// Says what went wrong, and answers with the status of the command.
fn failed(error: &anyhow::Error) -> ExitCode {
    // Standard error that is gone leaves the exit status to say it.
    let _ = writeln!(io::stderr(), "throng: {error}");
    ExitCode::from(
        error
            .downcast_ref::<client::Error>()
            .map_or(1, client::Error::exit_code),
    )
}
