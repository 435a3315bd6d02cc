//! `memory import`: fixes from a file, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use super::incoming::{self, LINE_BYTES};
use super::starter;
use crate::entry::cli::output::plain;
use crate::entry::cli::{Exit, Format, Session, Sources, usage};
use crate::model::Provenance;
use crate::ports::{Embedder, FixMemory};
use crate::wiring::{Backends, Mode};

/// Refused lines that are told one by one.
const TOLD: usize = 20;

#[derive(Args)]
pub struct ImportArgs {
    /// One fix in JSON a line, or what `codehealer memory list --format json` wrote
    #[arg(required_unless_present = "starter")]
    file: Option<PathBuf>,
    /// Take in the starter memory that comes with the rules instead of a file; again changes nothing
    #[arg(long, conflicts_with = "file")]
    starter: bool,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What became of the lines of a file.
#[derive(Default, Serialize)]
struct Imported {
    imported: usize,
    /// Ids that the memory has from elsewhere; what it has stays.
    known: usize,
    /// Line number and reason.
    refused: Vec<(usize, String)>,
}

pub async fn import(session: &Session, args: ImportArgs) -> Result<Exit> {
    let Some(path) = &args.file else { return starter::import(session, args.format).await };
    let config = session.config(&Sources::default())?;
    let file = File::open(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
    let backends = Backends::new(&config, Mode::Record);
    let (memory, embedder) = (backends.memory()?, backends.embedder());
    let mut done = Imported::default();
    let spinner = session.output.spinner("importing");
    let mut lines = Lines { reader: BufReader::new(file), number: 0 };
    while let Some(line) = lines.next().with_context(|| format!("read {}", path.display()))? {
        let (number, text) = line;
        spinner.set_message(format!("importing line {number}"));
        match text {
            Ok(text) => take((&*memory, &*embedder), &text, &config.organisation, (number, &mut done)).await?,
            Err(reason) => done.refused.push((number, reason)),
        }
    }
    spinner.finish_and_clear();
    let exit = if done.refused.is_empty() { Exit::Done } else { Exit::Found };
    if args.format == Format::Json {
        session.output.json(&done)?;
        return Ok(exit);
    }
    for (number, reason) in done.refused.iter().take(TOLD) {
        session.output.note(&format!("{} line {number}: {}", path.display(), plain(reason)));
    }
    let Imported { imported, known, refused } = &done;
    session.output.line(format!("{imported} fix(es) imported, {known} known already, {} refused", refused.len()))?;
    Ok(exit)
}

async fn take(
    (memory, embedder): (&dyn FixMemory, &dyn Embedder),
    line: &str,
    organisation: &str,
    (number, done): (usize, &mut Imported),
) -> Result<()> {
    let mut fix = match incoming::read(line, organisation) {
        Ok(fix) => fix,
        Err(refusal) => {
            done.refused.push((number, refusal.to_string()));
            return Ok(());
        }
    };
    // What people merged here, or what was learned here, is never replaced by what a file says.
    if memory.get(&fix.id).await?.is_some_and(|known| known.provenance != Provenance::Imported) {
        done.known += 1;
        return Ok(());
    }
    fix.vector = embedder.embed(fix.language, &fix.scope_before, fix.finding).await?;
    fix.embedder = embedder.id().to_owned();
    match memory.remember(&fix).await {
        Ok(()) => done.imported += 1,
        Err(error) if error.kind == crate::ports::ErrorKind::Malformed => done.refused.push((number, error.chain())),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The lines of a file that hold a fix, by number from 1; never more than one of them in memory.
struct Lines<R> {
    reader: R,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> std::io::Result<Option<(usize, Result<String, String>)>> {
        loop {
            let mut bytes = Vec::new();
            let limit = LINE_BYTES as u64 + 3;
            let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut bytes)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read as u64 == limit && bytes.last() != Some(&b'\n') {
                self.skip_line()?;
                return Ok(Some((self.number, Err(incoming::Refusal::Size.to_string()))));
            }
            let Ok(text) = String::from_utf8(bytes) else {
                return Ok(Some((self.number, Err("it is not UTF-8".to_owned()))));
            };
            // An export is an array with one fix a line.
            let text = text.trim().trim_start_matches('\u{feff}').trim_end_matches(',');
            if !matches!(text, "" | "[" | "]" | "[]") {
                return Ok(Some((self.number, Ok(text.to_owned()))));
            }
        }
    }

    fn skip_line(&mut self) -> std::io::Result<()> {
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                return Ok(());
            }
            let (length, ended) = match available.iter().position(|b| *b == b'\n') {
                Some(at) => (at + 1, true),
                None => (available.len(), false),
            };
            self.reader.consume(length);
            if ended {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_and_json_lines_are_read_alike() {
        let read = |text: &str| {
            let mut lines = Lines { reader: text.as_bytes(), number: 0 };
            let mut found = Vec::new();
            while let Some((number, line)) = lines.next().unwrap() {
                found.push((number, line.is_ok()));
            }
            found
        };
        assert_eq!(read("[\n{\"a\":1},\n{\"b\":2}\n]\n"), [(2, true), (3, true)]);
        assert_eq!(read("{\"a\":1}\n\n{\"b\":2}"), [(1, true), (3, true)]);
        let long = format!("{}\n{{}}\n", "x".repeat(LINE_BYTES + 100));
        assert_eq!(read(&long), [(1, false), (2, true)]);
    }
}
