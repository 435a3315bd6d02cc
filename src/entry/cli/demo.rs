//! `codehealer demo`: a small shop with planted bugs, healed by the real server after a real webhook.
//!
//! Nothing here takes a short cut: the folder is what an operator would set up by hand, the server is this same program
//! started as `codehealer serve`, and the report reads what it left in the state file.

mod report;
mod server;
mod shop;
mod watch;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use super::output::Output;
use super::{Exit, Session, usage};
use crate::config::{Config, Environment, Flags};
use server::Server;
use shop::{Push, Shop};
use watch::Watch;

/// Found in every folder that a demo made; only such a folder is ever replaced.
const MARK: &str = ".codehealer-demo";
const CONFIG: &str = "codehealer.toml";

/// Makes a small shop as a git repository: a history in which its developers fixed some problems by hand, a Slack export in
/// which they talked about another, and a push with four new bugs. Then it learns from the history, starts `codehealer
/// serve`, delivers the signed webhook of that push and shows what became of each bug. The folder stays for a look.
#[derive(Args)]
pub struct DemoArgs {
    /// Where to make it: a new or empty folder [default: a new one for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Delete what an earlier demo left in DIR and begin anew
    #[arg(long, requires = "dir")]
    replace: bool,
}

/// Runs the command.
pub async fn run(session: &Session, args: DemoArgs) -> Result<Exit> {
    let output = &session.output;
    let folder = make_folder(&args)?;
    let story = shop::story()?;
    let shop = Shop::make(&folder.join("shop"), &story.history)?;
    write_operator_files(&folder)?;
    let config = configuration(&folder)?;
    output.line(format!("a shop with {} commits is in {}", story.history.len(), folder.display()))?;

    relay(output, &folder, &["memory", "learn", "shop"]).await?;

    let spinner = output.spinner("the server heals what was pushed");
    let server = Server::start(&folder).await?;
    output.line(format!("codehealer serve listens on {}", server.address()))?;
    let push = shop.push(&story.pushed)?;
    let watch = Watch::open(&config, &push)?;
    deliver(output, &folder, &server, &push).await?;
    watch.until_healed(1).await.context(server.log_hint())?;
    let healed = watch.trails().await?;
    deliver(output, &folder, &server, &push).await?;
    watch.until_healed(2).await.context(server.log_hint())?;
    ensure!(watch.trails().await? == healed, "the second delivery changed something; {}", server.log_hint());
    output.line("the second delivery made nothing new")?;
    spinner.finish_and_clear();
    server.stop().await?;
    output.line("codehealer serve was asked to stop (SIGTERM) and did")?;

    report::print(output, &shop, &watch).await?;
    relay(output, &folder, &["audit", "verify"]).await?;
    next_steps(output, &folder)?;
    Ok(Exit::Done)
}

/// A folder of our own, without symlinks in its path.
fn make_folder(args: &DemoArgs) -> Result<PathBuf> {
    let folder = match &args.dir {
        None => tempfile::Builder::new().prefix("codehealer-demo-").tempdir().context("make a folder")?.keep(),
        Some(folder) => {
            if args.replace && folder.join(MARK).is_file() {
                std::fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
            }
            if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
                let remedy = if folder.join(MARK).is_file() { "add --replace" } else { "name another folder" };
                return Err(usage(format!("{} is not empty; {remedy}", folder.display())));
            }
            std::fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
            folder.clone()
        }
    };
    std::fs::write(folder.join(MARK), "").with_context(|| format!("write into {}", folder.display()))?;
    Ok(folder.canonicalize()?)
}

/// What an operator prepares: the export of the team's chat, the webhook's secret, the configuration.
fn write_operator_files(folder: &Path) -> Result<()> {
    let slack = folder.join("slack");
    std::fs::create_dir_all(slack.join("security"))?;
    for (name, text) in [
        ("users.json", include_str!("demo/slack/users.json")),
        ("channels.json", include_str!("demo/slack/channels.json")),
        ("security/2026-02-17.json", include_str!("demo/slack/2026-02-17.json")),
    ] {
        std::fs::write(slack.join(name), text)?;
    }
    let secret = server::make_secret(folder)?;
    let secret = toml::Value::String(format!("file:{}", secret.display()));
    let text = format!(
        "# Configuration of `codehealer demo`. Paths are seen from this file's folder.\n\
         organisation = \"acme\"\n\
         state = \"state\"\n\n\
         [slack_export]\n\
         path = \"slack\"\n\
         channels = [\"security\"]\n\
         workspace = \"https://acme.slack.com\"\n\n\
         [serve]\n\
         # Port 0: any free one; `codehealer serve` says which.\n\
         listen = \"127.0.0.1:0\"\n\
         webhook_secrets = [{secret}]\n\n\
         [[repository]]\n\
         name = \"{}\"\n\
         path = \"shop\"\n\
         branches = [\"develop\"]\n",
        shop::NAME
    );
    std::fs::write(folder.join(CONFIG), text).context("write the configuration")
}

/// The demo's own configuration: what the person set in the environment must not lead it elsewhere.
fn configuration(folder: &Path) -> Result<Config> {
    let flags = Flags { config: Some(folder.join(CONFIG)), ..Flags::default() };
    Ok(Config::load(&Environment::default(), flags)?)
}

/// Runs a command of this program, as a person would next, and prints what it says.
async fn relay(output: &Output, folder: &Path, arguments: &[&str]) -> Result<()> {
    let name = format!("codehealer {}", arguments.join(" "));
    let spinner = output.spinner(name.clone());
    let ended = server::command(folder)?.current_dir(folder).args(arguments).output().await;
    spinner.finish_and_clear();
    let ended = ended.with_context(|| format!("run {name}"))?;
    let (said, complaint) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    ensure!(ended.status.success(), "{name} failed: {} {}", said.trim(), complaint.trim());
    output.line(format!("{name}:"))?;
    for line in said.lines().filter(|line| !line.trim().is_empty()) {
        output.line(format!("  {line}"))?;
    }
    Ok(())
}

/// Sends the webhook of the push, signed as GitHub signs it, and keeps it for a look.
async fn deliver(output: &Output, folder: &Path, server: &Server, push: &Push) -> Result<()> {
    let body = push.payload().to_string();
    std::fs::write(folder.join("push.json"), &body)?;
    let status = server.deliver("push", &body).await?;
    let short = push.after.short();
    output.line(format!("the signed push webhook of develop at {short} was answered with {status}"))
}

fn next_steps(output: &Output, folder: &Path) -> Result<()> {
    let program = std::env::current_exe().context("find this program's own file")?;
    let codehealer = format!("{} --config {}", program.display(), folder.join(CONFIG).display());
    let (shop, state) = (folder.join("shop"), folder.join("state"));
    output.line(format!("\nEverything is in {}. To go on:", folder.display()))?;
    output.line(format!("  git -C {} log --oneline --graph --all", shop.display()))?;
    output.line(format!("  {codehealer} audit list"))?;
    output.line(format!("  less {}/pulls/*/*.md", state.display()))
}
