//! `codehealer scan`: what the rules find in a folder, as text, JSON or SARIF. Changes nothing.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use rayon::prelude::*;
use serde::Serialize;

use super::output::{Output, Tone, plain};
use super::{Exit, Session, Sources, usage};
use crate::detect::{Detector, FileScan, SkipReason, Suppressed};
use crate::model::{Finding, RepoPath, RepositoryId, Severity};
use crate::report::sarif;
use crate::report::trail::flow;
use crate::wiring;

/// Looks for problems in a file or folder. Files that git ignores are passed over.
#[derive(Args)]
pub struct ScanArgs {
    /// File or folder to look at
    #[arg(default_value = ".")]
    path: PathBuf,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    format: ScanFormat,
    /// Only findings of at least this severity
    #[arg(long, value_enum, default_value_t = Least::Low, value_name = "SEVERITY")]
    severity: Least,
    /// Look also at files that git ignores and at hidden ones
    #[arg(long)]
    no_ignore: bool,
    /// End with 0 also when something was found
    #[arg(long)]
    exit_zero: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScanFormat {
    Text,
    Json,
    Sarif,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Least {
    Low,
    Medium,
    High,
    Critical,
}

/// What a scan of a folder saw.
#[derive(Default, Serialize)]
struct Seen {
    files: usize,
    findings: Vec<Finding>,
    suppressed: Vec<Suppressed>,
    skipped: Vec<(String, String)>,
    notices: Vec<String>,
}

/// Runs the command.
pub async fn run(session: &Session, args: ScanArgs) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    let detector = wiring::detector(&config)?;
    let ignored = config.policy.ignored()?;
    let spinner = session.output.spinner(format!("scanning {}", args.path.display()));
    let Below { root, mut files, unreadable } = below(&args)?;
    files.retain(|file| !ignored.is_match(file.strip_prefix(&root).unwrap_or(file)));
    let scanned = tokio::task::spawn_blocking(move || scan(&detector, &root, &files)).await;
    spinner.finish_and_clear();
    let mut seen = scanned?;
    seen.skipped.extend(unreadable);
    let least = match args.severity {
        Least::Low => Severity::Low,
        Least::Medium => Severity::Medium,
        Least::High => Severity::High,
        Least::Critical => Severity::Critical,
    };
    seen.findings.retain(|finding| finding.rule.severity >= least);
    match args.format {
        ScanFormat::Text => print(&session.output, &seen)?,
        ScanFormat::Json => session.output.json(&seen)?,
        ScanFormat::Sarif => {
            let named =
                |(path, why): &(String, String)| RepoPath::new(path.clone()).ok().map(|path| (path, why.clone()));
            let skipped: Vec<_> = seen.skipped.iter().filter_map(named).collect();
            let report = sarif::Report { findings: &seen.findings, suppressed: &seen.suppressed, skipped: &skipped };
            session.output.write(&sarif::sarif(&report)?)?;
        }
    }
    Ok(if seen.findings.is_empty() || args.exit_zero { Exit::Done } else { Exit::Found })
}

/// What there is to scan.
struct Below {
    /// The folder that names are relative to.
    root: PathBuf,
    files: Vec<PathBuf>,
    /// Folders and files that could not be looked into, with the reason.
    unreadable: Vec<(String, String)>,
}

/// The files below a path. Symbolic links are not followed.
fn below(args: &ScanArgs) -> Result<Below> {
    let meta = std::fs::metadata(&args.path);
    let meta = meta.map_err(|error| usage(format!("{}: {error}", args.path.display())))?;
    if meta.is_file() {
        let root = args.path.parent().unwrap_or(Path::new("")).to_path_buf();
        return Ok(Below { root, files: vec![args.path.clone()], unreadable: Vec::new() });
    }
    let mut walk = ignore::WalkBuilder::new(&args.path);
    walk.standard_filters(!args.no_ignore).hidden(false).require_git(false).follow_links(false);
    // `.git` is never source code, and hidden folders such as `.github` are.
    walk.filter_entry(|entry| entry.file_name() != ".git");
    let mut below = Below { root: args.path.clone(), files: Vec::new(), unreadable: Vec::new() };
    for entry in walk.build() {
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => below.files.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => below.unreadable.push(unread(&below.root, &error)),
        }
    }
    below.files.sort();
    Ok(below)
}

/// What could not be walked, and why.
fn unread(root: &Path, error: &ignore::Error) -> (String, String) {
    let (mut path, mut error) = (root, error);
    loop {
        error = match error {
            ignore::Error::WithPath { path: at, err } => {
                path = at;
                err
            }
            ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => err,
            _ => break,
        };
    }
    let name = path.strip_prefix(root).ok().filter(|name| !name.as_os_str().is_empty()).unwrap_or(path);
    (name.to_string_lossy().replace('\\', "/"), error.to_string())
}

fn scan(detector: &Detector, root: &Path, files: &[PathBuf]) -> Seen {
    let parts: Vec<(String, Result<FileScan, String>)> = files
        .par_iter()
        .map(|file| {
            let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
            let scanned = scan_file(detector, file, &name);
            (name, scanned)
        })
        .collect();
    let mut seen = Seen::default();
    for (name, scanned) in parts {
        match scanned {
            Err(why) => seen.skipped.push((name, why)),
            Ok(scan) if scan.skipped == Some(SkipReason::NoGrammar) => {}
            Ok(scan) => seen.take(name, scan),
        }
    }
    seen
}

fn scan_file(detector: &Detector, file: &Path, name: &str) -> Result<FileScan, String> {
    // A folder that is no repository still has findings with an identity: the folder itself.
    let here = RepositoryId("folder".to_owned());
    let path = RepoPath::new(name).map_err(|error| error.reason.to_owned())?;
    let size = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if let Some(reason) = detector.refuses(&path, size) {
        return Ok(FileScan::skipped(reason));
    }
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    Ok(detector.scan(&here, &path, &bytes))
}

impl Seen {
    fn take(&mut self, name: String, scan: FileScan) {
        match scan.skipped {
            Some(reason) => self.skipped.push((name.clone(), reason.to_string())),
            None => self.files += 1,
        }
        self.skipped.extend(scan.cut_off.map(|why| (name.clone(), why)));
        self.notices.extend(scan.notices.iter().map(|n| format!("{name}:{}: {}", n.line, n.text)));
        self.findings.extend(scan.findings);
        self.suppressed.extend(scan.suppressed);
    }
}

fn print(output: &Output, seen: &Seen) -> Result<()> {
    for finding in &seen.findings {
        let tone = match finding.rule.severity {
            Severity::Critical | Severity::High => Tone::Bad,
            Severity::Medium => Tone::Careful,
            Severity::Low => Tone::Quiet,
        };
        let place = format!("{}:{}:{}", finding.path, finding.start.line, finding.start.column);
        output.line(format!(
            "{} {} {} → Fix: {}  {}",
            output.paint(Tone::Strong, &place),
            output.paint(tone, &finding.rule.severity.to_string()),
            finding.rule.issue_type,
            plain(&finding.rule.hint),
            output.paint(Tone::Quiet, &format!("[{}]", finding.rule.id)),
        ))?;
        output.line(format!("    {}", plain(&finding.message)))?;
        for line in flow(finding, 4) {
            output.line(output.paint(Tone::Quiet, &format!("{:1$}{2}", "", line.indent, line.text)))?;
        }
    }
    for notice in &seen.notices {
        output.line(output.paint(Tone::Careful, &plain(notice)))?;
    }
    output.skipped(&seen.skipped)?;
    let suppressed = if seen.suppressed.is_empty() {
        String::new()
    } else {
        format!(", {} set aside (comments, tests)", seen.suppressed.len())
    };
    output.line(format!("{} file(s), {} finding(s){suppressed}", seen.files, seen.findings.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_walked_is_named_below_the_root_with_the_bare_reason() {
        let denied = || ignore::Error::Io(std::io::ErrorKind::PermissionDenied.into());
        let at = |path: &str, error| ignore::Error::WithPath { path: path.into(), err: Box::new(error) };
        let deep = ignore::Error::WithDepth { depth: 2, err: Box::new(at("/r/a/b", denied())) };
        let root = Path::new("/r");
        assert_eq!(unread(root, &deep), ("a/b".to_owned(), "permission denied".to_owned()));
        assert_eq!(unread(root, &at("/r", denied())).0, "/r", "the root itself has a name");
    }
}
