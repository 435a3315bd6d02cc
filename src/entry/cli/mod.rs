//! The command line: what it offers, what it returns, and the way of errors to a person.

mod audit;
mod calibrate;
mod config;
mod demo;
mod doctor;
mod heal;
mod inbox;
mod memory;
mod model;
mod output;
mod ping;
mod replay;
mod rules;
mod scan;
mod setup;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::config::{Config, Environment, Flags};
use crate::telemetry;
use output::Output;

/// How a command ended, for scripts. `--help` lists the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; nothing is wrong.
    Done = 0,
    /// Done, and there is something to look at: findings, failing rule cases, a broken trail.
    Found = 1,
    /// The call or the configuration is wrong.
    Usage = 2,
    /// Something outside failed: the disk, the repository, a service.
    Failed = 3,
    /// Some work could not be finished and waits to be tried again.
    Waits = 4,
    /// Interrupted by Ctrl-C; what was recorded stays.
    Interrupted = 130,
}

const AFTER_HELP: &str = "\
Exit codes:
  0    done, nothing is wrong
  1    done, and there is something to look at (findings, failing cases, a broken trail)
  2    the call or the configuration is wrong
  3    something outside failed: the disk, the repository, a service
  4    some work waits to be tried again
  130  interrupted; what was recorded stays, the same command goes on from there

Environment: CODEHEALER_CONFIG, CODEHEALER_STATE, CODEHEALER_MODEL_URL, CODEHEALER_MODEL, CODEHEALER_SLACK_EXPORT,
CODEHEALER_VERIFY_COMMAND, CODEHEALER_LOG, CODEHEALER_WEBHOOK_SECRET, NO_COLOR.
First steps:
  codehealer demo                    see it heal a small shop, in a minute
  codehealer heal --dry-run          what it would do about the last push of this repository
  codehealer heal --all              heal what is in the repository today; proposals are branches, your work tree is not touched";

/// Finds the bugs a push brings in and proposes the verified fix.
#[derive(Parser)]
#[command(name = "codehealer", version, after_help = AFTER_HELP, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// Configuration file [default: ./codehealer.toml, else the user's configuration folder]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for state, local pull requests and notices [default: $XDG_STATE_HOME/codehealer]
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Folder with further rules; may be repeated
    #[arg(long, global = true, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// DynamoDB table with the state and the audit trail, over aws.table in the configuration
    #[arg(long, global = true, value_name = "NAME")]
    table: Option<String>,
    /// Named profile of the AWS configuration
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// Say more (-v, -vv)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    color: Colour,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Heal what a range of commits brought in, or the whole repository with --all
    Heal(heal::HealArgs),
    /// Look for problems in a folder; changes nothing
    Scan(scan::ScanArgs),
    /// Receive GitHub's webhooks and heal local clones
    Serve(ServeArgs),
    /// Ask why something was proposed, and why not
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Hold every confidence against what people did with the proposal
    ///
    /// A confidence of 80 is worth its number when 80 of 100 such proposals were merged. Brier score and ECE say how far off the
    /// numbers are, AUC whether higher ones are really better. The curve shows where: above the diagonal proposals were better than we
    /// said, below it worse. Proposals that still wait, and findings that were only told to a person, have no outcome; they are left out
    /// and counted. Below 30 outcomes the figures are mostly chance, and that is said.
    Calibrate(calibrate::CalibrateArgs),
    /// Remembered fixes
    #[command(subcommand)]
    Memory(memory::MemoryCommand),
    /// Heal the last pushes of a branch in the shadow and compare with what people did
    ///
    /// No branch, no pull request, no notice, and nothing is written to the state. Each proposal is compared with what people later did
    /// to the same lines in the same history. A push is one step of the branch's first-parent line: a merge with all that it brought, or
    /// a commit put there directly. Before each push the memory holds the fixes of the history before it and nothing else, so no answer is
    /// copied from the future. The model and the team's chat are asked only when you say so: a model costs money, and the chat may know
    /// what came later.
    Replay(replay::ReplayArgs),
    /// Whether the configured model can do what is asked of it
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Tasks that wait or were put aside
    #[command(subcommand)]
    Inbox(inbox::InboxCommand),
    /// What can be recognised
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Show, check or describe the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Register the GitHub App, store its secrets, check its permissions and its webhook
    Setup(setup::SetupArgs),
    /// Check that everything needed is there, with the remedy where it is not
    Doctor(doctor::DoctorArgs),
    /// Make a small shop with planted bugs and heal it: the real path, in a folder of its own
    Demo(demo::DemoArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Listens for webhooks; repositories, branches and secrets come from the configuration file.
#[derive(Args)]
struct ServeArgs {
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    sources: Sources,
}

/// Where knowledge comes from; over the configuration file and the environment.
#[derive(Args, Clone, Default)]
struct Sources {
    /// Folder with a Slack export to search for answers of the team
    #[arg(long, value_name = "DIR")]
    slack_export: Option<PathBuf>,
    /// Base address of an OpenAI-compatible model server, for example http://127.0.0.1:8000/v1
    #[arg(long, value_name = "URL")]
    model_url: Option<String>,
    /// Name of the model, as its server knows it
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Command that prints SARIF, to re-check findings of other scanners; run in a scratch copy
    #[arg(long, value_name = "CMD")]
    verify_command: Option<String>,
}

/// What every command gets.
struct Session {
    environment: Environment,
    global: Global,
    output: Output,
}

impl Session {
    /// The configuration under the command's own flags.
    fn config(&self, sources: &Sources) -> Result<Config> {
        self.config_with(sources, None)
    }

    fn config_with(&self, sources: &Sources, listen: Option<SocketAddr>) -> Result<Config> {
        let flags = self.flags(sources, listen);
        Config::load(&self.environment, flags).map_err(|error| UsageError(error.into()).into())
    }

    fn flags(&self, sources: &Sources, listen: Option<SocketAddr>) -> Flags {
        Flags {
            config: self.global.config.clone(),
            state: self.global.state.clone(),
            rules: self.global.rules.clone(),
            model_url: sources.model_url.clone(),
            model_name: sources.model.clone(),
            slack_export: sources.slack_export.clone(),
            verify_command: sources.verify_command.clone(),
            listen,
            aws_profile: self.global.profile.clone(),
            table: self.global.table.clone(),
        }
    }
}

/// A mistake in the call or the configuration, apart from what failed outside.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct UsageError(anyhow::Error);

/// Marks an error as the caller's.
fn usage(message: impl std::fmt::Display) -> anyhow::Error {
    UsageError(anyhow::anyhow!("{message}")).into()
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let help = !error.use_stderr();
            // Nothing can be done about a closed standard error.
            let _ = error.print();
            return ExitCode::from(if help { Exit::Done } else { Exit::Usage } as u8);
        }
    };
    let environment = Environment::read();
    let output = Output::new(cli.global.color, environment.no_color);
    let default = match (&cli.command, cli.global.verbose) {
        (Command::Serve(_), 0) => "info",
        (_, 0) => "error",
        (_, 1) => "info",
        _ => "debug",
    };
    telemetry::begin(environment.log.as_deref(), default, output.coloured_errors());
    let session = Session { environment, global: cli.global, output };
    let exit = match start(&session, cli.command) {
        Ok(exit) => exit,
        Err(error) => session.output.error(&error),
    };
    ExitCode::from(exit as u8)
}

fn start(session: &Session, command: Command) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let exit = runtime.block_on(async {
        let graceful = matches!(command, Command::Serve(_) | Command::Replay(_));
        let run = dispatch(session, command);
        if graceful {
            return run.await;
        }
        tokio::select! {
            done = run => done,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                session.output.note("interrupted; what was recorded stays, run the same command again to go on");
                Ok(Exit::Interrupted)
            }
        }
    });
    // A blocking step that is still under way (a scan, a read) has no effect that could be half done.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    exit
}

async fn dispatch(session: &Session, command: Command) -> Result<Exit> {
    match command {
        Command::Heal(args) => heal::run(session, args).await,
        Command::Scan(args) => scan::run(session, args).await,
        Command::Serve(args) => serve(session, args).await,
        Command::Audit(command) => audit::run(session, command).await,
        Command::Calibrate(args) => calibrate::run(session, args).await,
        Command::Memory(command) => memory::run(session, command).await,
        Command::Replay(args) => replay::run(session, args).await,
        Command::Model(command) => model::run(session, command).await,
        Command::Inbox(command) => inbox::run(session, command).await,
        Command::Rules(command) => rules::run(session, command).await,
        Command::Config(command) => config::run(session, command),
        Command::Setup(args) => setup::run(session, args).await,
        Command::Doctor(args) => doctor::run(session, args).await,
        Command::Demo(args) => demo::run(session, args).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "codehealer", &mut script);
            session.output.write(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Done)
        }
    }
}

async fn serve(session: &Session, args: ServeArgs) -> Result<Exit> {
    let config = session.config_with(&args.sources, args.listen)?;
    super::serve::serve(&config, |address| {
        tracing::info!("listening on http://{address}");
        // For programs that start this one; with nobody reading there is nobody to tell.
        let _ = session.output.line(format!("listening on http://{address}"));
    })
    .await?;
    Ok(Exit::Done)
}
