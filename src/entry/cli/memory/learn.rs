//! `memory learn`: mines a repository's own history for edits that made findings go away.
//!
//! Commits are read in one thread and compared in as many as there are processors. What was looked at is recorded every
//! few seconds, so an interrupted call loses next to nothing; learning the same commit twice changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::Args;
use futures_util::{StreamExt as _, stream};
use globset::GlobSet;
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::campaign::Campaigns;
use super::position::{Position, UnderWay};
use super::tally::Tally;
use crate::entry::cli::audit::filter::When;
use crate::entry::cli::{Exit, Format, Session, Sources, usage};
use crate::healer::{Healer, HistoricalChange, LearnReport, Studied};
use crate::local::clock::SystemClock;
use crate::local::git::history::{self, HistoryCommit, ModifiedFile, Options, Report};
use crate::local::git::open::{LocalRepository, open};
use crate::local::git::range;
use crate::model::{CommitId, Provenance, Repository, UnixMillis};
use crate::ports::Clock as _;
use crate::wiring::{self, Clone, Mode};

/// Commits read ahead of those that are compared.
const AHEAD: usize = 64;
/// Commits whose files are compared together; how far has been come is recorded between two such groups.
const GROUP: usize = 32;
/// Why a fix was not taken in that is there already.
const DUPLICATE: &str = "the same fix of the same code was learned from another place";
/// How often it is recorded.
const RECORD: Duration = Duration::from_secs(2);

#[derive(Args)]
pub struct LearnArgs {
    /// The repository, or a folder inside it
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Only commits since: a revision, a date, or 30d
    #[arg(long, value_name = "REV|DATE")]
    since: Option<String>,
    /// Look at no more than this many commits; the next call goes on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit_commits: Option<u32>,
    /// Pass over commits that change more files and folders than this
    #[arg(long, default_value_t = 100, value_name = "N")]
    max_files: usize,
    /// Look again at commits that were looked at before, for example with new rules
    #[arg(long)]
    again: bool,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub async fn learn(session: &Session, args: LearnArgs) -> Result<Exit> {
    let began = Instant::now();
    let config = session.config(&Sources::default())?;
    let local = open(&args.path).map_err(usage)?;
    let Some(head) = local.head.commit().cloned() else { return Err(usage(history::HistoryError::NoCommits)) };
    let since = args.since.as_deref().map(|text| Since::read(&local, text)).transpose()?.unwrap_or_default();
    let clone = Clone::of(&config, local);
    let wired = wiring::wire(&config, std::slice::from_ref(&clone), Mode::Record, Arc::new(|_| {}))?;
    let options = Options { since: since.time, max_files: args.max_files, ..Options::default() };
    let mut miner = Miner::new(session, wired.healer, clone, options)?;
    miner.hidden = since.revision;
    miner.at_most(args.limit_commits.map(|limit| limit as usize));
    miner.take_up(args.again).await?;
    miner.mine(head).await?;
    miner.tally.seconds = began.elapsed().as_secs_f64();
    match args.format {
        Format::Json => session.output.json(&miner.tally)?,
        Format::Text => session.output.lines(&miner.tally.lines())?,
    }
    Ok(Exit::Done)
}

/// Where a person wants the history to begin.
#[derive(Default)]
struct Since {
    time: Option<UnixMillis>,
    revision: Option<CommitId>,
}

impl Since {
    fn read(local: &LocalRepository, text: &str) -> Result<Self> {
        let like_an_id = text.len() >= 7 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match When::read(text) {
            Ok(when) if !like_an_id => Ok(Self { time: Some(when.begin(SystemClock.now())), revision: None }),
            _ => {
                let range = range::resolve(local, Some(text), None).map_err(usage)?;
                Ok(Self { time: None, revision: range.base })
            }
        }
    }
}

/// A call at work.
pub struct Miner<'a> {
    session: &'a Session,
    healer: Healer,
    clone: Clone,
    ignored: Arc<GlobSet>,
    options: Options,
    /// Left out together with all its ancestors.
    hidden: Option<CommitId>,
    position: Position,
    campaigns: Campaigns,
    /// Commits that may still be looked at.
    budget: usize,
    /// Whether nobody is shown how far it has come.
    pub quiet: bool,
    pub tally: Tally,
}

impl<'a> Miner<'a> {
    /// One that has looked at nothing yet.
    pub fn new(session: &'a Session, healer: Healer, clone: Clone, options: Options) -> Result<Self> {
        let ignored = Arc::new(healer.policy().ignored()?);
        let (position, tally) = (Position::default(), Tally::default());
        let (hidden, budget, quiet, campaigns) = (None, usize::MAX, false, Campaigns::default());
        Ok(Self { session, healer, clone, ignored, options, hidden, position, campaigns, budget, quiet, tally })
    }

    /// Goes on where an earlier call ended, or from the beginning `again`. What it counted counts no more once everything is forgotten.
    async fn take_up(&mut self, again: bool) -> Result<()> {
        let (ports, repository) = (self.healer.ports(), &self.clone.repository.id);
        if !again {
            self.position = Position::load(&*ports.state, repository).await?;
        }
        if !ports.memory.list(None, 1).await?.is_empty() {
            self.campaigns = Campaigns::load(&*ports.state, repository).await?;
        }
        Ok(())
    }

    /// Looks at no more than this many commits; `None` for all.
    pub fn at_most(&mut self, commits: Option<usize>) {
        self.budget = commits.unwrap_or(usize::MAX);
    }

    /// Passes over what a limit left of the history up to `head`, for good.
    pub fn leave_rest(&mut self, head: &CommitId) {
        self.position = Position { done: Some(head.clone()), under_way: None };
        self.budget = usize::MAX;
    }
}

impl Miner<'_> {
    /// First what an earlier call left, then what is new since.
    pub async fn mine(&mut self, head: CommitId) -> Result<()> {
        if let Some(left) = self.position.under_way.clone() {
            self.walk(left.from, Some(left.after)).await?;
        }
        if self.position.under_way.is_none() && self.position.done.as_ref() != Some(&head) && self.budget > 0 {
            self.walk(head.clone(), None).await?;
        }
        self.tally.finished = self.position.under_way.is_none() && self.position.done.as_ref() == Some(&head);
        Ok(())
    }

    async fn walk(&mut self, from: CommitId, after: Option<CommitId>) -> Result<()> {
        let options = Options {
            from: Some(from.clone()),
            seen: self.position.done.iter().chain(&self.hidden).cloned().collect(),
            resume_after: after,
            max_commits: self.budget,
            ..self.options.clone()
        };
        let (sender, receiver) = mpsc::channel(AHEAD);
        let local = self.clone.local.clone();
        let reader = tokio::task::spawn_blocking(move || read(&local, options, &sender));
        self.compare(&from, receiver).await?;
        let walked = reader.await??;
        self.tally.add_walk(&walked.report);
        self.budget = self.budget.saturating_sub(walked.report.commits);
        self.position = match walked.last {
            Some(after) if walked.cut_short => {
                Position { under_way: Some(UnderWay { from, after }), ..self.position.clone() }
            }
            _ => Position { done: Some(from), under_way: None },
        };
        self.save().await
    }

    /// Compares commits as they are read, until the reader has no more.
    async fn compare(&mut self, from: &CommitId, mut commits: mpsc::Receiver<Read>) -> Result<()> {
        let began = Instant::now();
        let mut recorded = Instant::now();
        let output = &self.session.output;
        let spinner = if self.quiet { ProgressBar::hidden() } else { output.spinner("reading the history") };
        let mut group = Vec::with_capacity(GROUP);
        while commits.recv_many(&mut group, GROUP).await > 0 {
            let Some(Read { commit, looked_at, total }) = group.last() else { break };
            let (after, looked_at, total) = (commit.id.clone(), *looked_at, *total);
            self.compare_group(std::mem::take(&mut group)).await?;
            let rate = looked_at as f64 / began.elapsed().as_secs_f64().max(0.001);
            let fixes = self.tally.fixes();
            spinner.set_message(format!("{looked_at} of {total} commits, {rate:.0} a second, {fixes} fix(es) learned"));
            if recorded.elapsed() >= RECORD {
                self.position.under_way = Some(UnderWay { from: from.clone(), after });
                self.save().await?;
                recorded = Instant::now();
            }
        }
        spinner.finish_and_clear();
        Ok(())
    }

    /// Studies the files in as many threads as there are processors, and takes what they teach in the order of the history, so that
    /// the same call learns the same.
    async fn compare_group(&mut self, group: Vec<Read>) -> Result<()> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let (healer, repository, ignored) = (self.healer.clone(), self.clone.repository.clone(), self.ignored.clone());
        let files = group.into_iter().flat_map(|Read { commit, .. }| {
            let HistoryCommit { id, time, author, files, .. } = commit;
            files.into_iter().map(move |file| (id.clone(), time, author.clone(), file))
        });
        let wanted = files.filter(|(.., file)| !ignored.is_match(file.path.as_str()));
        let study = |(id, time, author, file): (CommitId, UnixMillis, String, ModifiedFile)| {
            let (healer, repository) = (healer.clone(), repository.clone());
            let runtime = tokio::runtime::Handle::current();
            let studied = tokio::task::spawn_blocking(move || {
                let studied = runtime.block_on(study_file(&healer, &repository, (&id, time), file));
                studied.map(|studied| (id, author, studied))
            });
            async move { anyhow::Ok(studied.await??) }
        };
        let mut studied = stream::iter(wanted).map(study).buffered(threads);
        while let Some(one) = studied.next().await {
            let (commit, author, studied) = one?;
            match studied {
                Some(studied) => self.take((&commit, author.as_str()), studied).await?,
                None => self.tally.not_text += 1,
            }
        }
        Ok(())
    }

    /// Remembers what a file taught, within the measure of its commit and its author.
    async fn take(&mut self, of: (&CommitId, &str), studied: Studied) -> Result<()> {
        let mut report = LearnReport { learned: Vec::new(), refused: studied.refused };
        for fix in studied.fixes {
            let known = self.healer.ports().memory.get(&fix.id).await?;
            // What a file brought in counts for nothing; the history's own word replaces it.
            let known = known.filter(|known| matches!(known.provenance, Provenance::Mined { .. }));
            let admitted = match known {
                Some(known) if known.provenance != fix.provenance || known.path != fix.path => Err(DUPLICATE),
                // Looked at again: it has its place, and was counted then.
                Some(_) => Ok(()),
                None => self.campaigns.admit(of, &fix),
            };
            let (rule, id) = (fix.rule.clone(), fix.id.clone());
            match admitted {
                Ok(()) => {
                    self.healer.remember_mined(fix).await?;
                    report.learned.push((rule, id));
                }
                Err(reason) => report.refused.push((rule, reason.to_owned())),
            }
        }
        self.tally.add(report);
        Ok(())
    }

    /// The counts first: a call that is broken off in between counts some fixes twice rather than never.
    async fn save(&mut self) -> Result<()> {
        let (state, repository) = (&*self.healer.ports().state, &self.clone.repository.id);
        self.campaigns.save(state, repository).await?;
        self.position.save(state, repository).await
    }
}

/// A commit on its way from the reader.
struct Read {
    commit: HistoryCommit,
    looked_at: usize,
    total: usize,
}

/// How a walk ended.
struct Walked {
    report: Report,
    last: Option<CommitId>,
    /// Whether the limit, and not the history, ended it.
    cut_short: bool,
}

fn read(local: &LocalRepository, options: Options, sender: &mpsc::Sender<Read>) -> Result<Walked> {
    let limit = options.max_commits;
    let mut history = history::walk(local, options).map_err(|error| anyhow!(error))?;
    let total = history.remaining();
    while let Some(commit) = history.next() {
        let looked_at = total - history.remaining();
        if sender.blocking_send(Read { commit, looked_at, total }).is_err() {
            break;
        }
    }
    Ok(Walked { report: history.report().clone(), last: history.reached(), cut_short: total == limit })
}

/// `None` when the file is not text.
async fn study_file(
    healer: &Healer,
    repository: &Repository,
    (commit, at): (&CommitId, UnixMillis),
    file: ModifiedFile,
) -> Result<Option<Studied>> {
    let (Ok(before), Ok(after)) = (String::from_utf8(file.before), String::from_utf8(file.after)) else {
        return Ok(None);
    };
    let change =
        HistoricalChange { repository, path: &file.path, commit: commit.as_str(), at, before: &before, after: &after };
    Ok(Some(healer.study_change(&change).await?))
}
