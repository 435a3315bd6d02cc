//! What a check of the model saw, for a person.

use super::check::{Answer, Report};
use crate::report::line::{Line, Tone, plain};
use crate::report::time::{dollars, duration};

/// Lines shown of one text; `--json` has the rest.
const SHOWN_LINES: usize = 60;

pub fn lines(report: &Report) -> Vec<Line> {
    let mut lines = vec![heading(&format!("The question, about a planted {}", report.question.rule))];
    lines.extend(block(&report.question.system));
    lines.extend(block(&report.question.user));
    for (number, answer) in (1..).zip(&report.answers) {
        lines.push(Line::empty());
        lines.extend(answered(number, answer));
    }
    lines.push(Line::empty());
    let (tone, verdict) = match report.passed {
        true => (Tone::Good, "The model answers, and its answer passes the checks."),
        false => (Tone::Bad, "The model answers, but no answer passes the checks."),
    };
    lines.push(Line::new(0, verdict).toned(tone));
    let tokens = &report.tokens;
    let about = if tokens.estimated { "about " } else { "" };
    let took = format!(
        "{}; {about}{} tokens in ({} expected), {about}{} out; {}",
        duration(report.latency_ms),
        tokens.input,
        tokens.expected,
        tokens.output,
        dollars(report.cost_micros)
    );
    lines.push(Line::new(0, &took));
    lines
}

fn heading(text: &str) -> Line {
    Line::new(0, text).toned(Tone::Strong)
}

fn answered(number: usize, answer: &Answer) -> Vec<Line> {
    let mut lines = vec![heading(&format!("Answer {number}, from {}", plain(&answer.model)))];
    lines.extend(block(&answer.text));
    if let Some(diff) = &answer.diff {
        lines.push(Line::new(2, "the edit:"));
        lines.extend(block(diff));
    }
    let claimed = answer.claimed.map_or_else(String::new, |percent| format!(" (it claims {percent} of 100)"));
    let tone = if answer.passed { Tone::Good } else { Tone::Bad };
    lines.push(Line::new(2, &format!("{}{claimed}", plain(&answer.verdict))).toned(tone));
    lines
}

fn block(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> =
        text.lines().take(SHOWN_LINES).map(|line| Line::new(4, &plain(line)).toned(Tone::Quiet)).collect();
    if text.lines().count() > SHOWN_LINES {
        lines.push(Line::new(4, "… (--json has all of it)").toned(Tone::Quiet));
    }
    lines
}
