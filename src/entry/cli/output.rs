//! Writing for people and for machines: colours only on a terminal, progress on standard error, results on standard output.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Colour, Exit, UsageError};
use crate::report::line::Line;
pub use crate::report::line::{Tone, plain};
pub use crate::report::trail::tone;

/// Files that were not looked at and are named one by one.
const SKIPPED: usize = 20;

/// Where and how a command writes.
pub struct Output {
    colour: bool,
    colour_errors: bool,
    progress: bool,
}

impl Output {
    pub fn new(colour: Colour, no_color: bool) -> Self {
        let wanted = |terminal: bool| match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !no_color,
        };
        Self {
            colour: wanted(io::stdout().is_terminal()),
            colour_errors: wanted(io::stderr().is_terminal()),
            progress: io::stderr().is_terminal(),
        }
    }

    pub fn coloured_errors(&self) -> bool {
        self.colour_errors
    }

    /// Writes to standard output as it is. A reader that went away (`| head`) ends the command quietly.
    pub fn write(&self, text: &str) -> Result<()> {
        match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
            other => Ok(other?),
        }
    }

    /// Writes one line to standard output.
    pub fn line(&self, text: impl std::fmt::Display) -> Result<()> {
        self.write(&format!("{text}\n"))
    }

    /// Writes lines, coloured where the terminal takes it.
    pub fn lines(&self, lines: &[Line]) -> Result<()> {
        let mut text = String::new();
        for line in lines {
            let painted = line.tone.map_or_else(|| line.text.clone(), |tone| self.paint(tone, &line.text));
            text.push_str(&" ".repeat(if line.text.is_empty() { 0 } else { line.indent }));
            text.push_str(&painted);
            text.push('\n');
        }
        self.write(&text)
    }

    /// Files that were not looked at, with the reason; of many the first ones.
    pub fn skipped(&self, files: &[(String, String)]) -> Result<()> {
        for (path, why) in files.iter().take(SKIPPED) {
            self.line(self.paint(Tone::Quiet, &format!("skipped {}: {}", plain(path), plain(why))))?;
        }
        match files.len().saturating_sub(SKIPPED) {
            0 => Ok(()),
            more => self.line(self.paint(Tone::Quiet, &format!("… and {more} more; --format json lists them"))),
        }
    }

    /// Writes a value as one JSON document.
    pub fn json(&self, value: &impl serde::Serialize) -> Result<()> {
        self.line(serde_json::to_string_pretty(value)?)
    }

    /// Says something on standard error that is no result.
    pub fn note(&self, text: &str) {
        // Nothing can be done about a closed standard error.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Colours a piece of text for standard output.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.colour, tone, text)
    }

    /// A spinner on a terminal, nothing elsewhere.
    pub fn spinner(&self, message: impl Into<String>) -> ProgressBar {
        if !self.progress {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner().with_message(message.into());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// Tells a person what went wrong, with every cause, and which exit code says so.
    pub fn error(&self, error: &anyhow::Error) -> Exit {
        if error.is::<Closed>() {
            return Exit::Done;
        }
        let mut text = format!("{} {error}", paint(self.colour_errors, Tone::Bad, "error:"));
        let mut said = error.to_string();
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            // Some errors repeat their cause in their own text.
            if !said.contains(&cause) {
                text.push_str(&format!("\n  because: {cause}"));
                said.push_str(&cause);
            }
        }
        self.note(&text);
        if error.chain().any(|cause| cause.is::<UsageError>()) { Exit::Usage } else { Exit::Failed }
    }
}

/// Standard output was closed by its reader.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
struct Closed;

fn paint(on: bool, tone: Tone, text: &str) -> String {
    if !on {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Careful => "33",
        Tone::Bad => "31",
        Tone::Strong => "1",
        Tone::Quiet => "2",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
