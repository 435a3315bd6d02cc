//! Where in a file a sink can stand at all: by the words that must be written there, before anything is read.

use std::collections::{BTreeMap, BTreeSet};

use super::pattern::Patterns;
use super::spec::{Callback, Sink, Source};

/// What must be written in a file for a sink to be in it.
#[derive(Debug)]
struct Trace {
    rule: usize,
    words: Vec<usize>,
    /// The word that stands where the sink is; none says that it may be anywhere.
    last: Option<usize>,
}

/// The words of all sinks of a language.
#[derive(Debug, Default)]
pub(super) struct Traces {
    words: BTreeMap<String, usize>,
    /// By first byte a bit for each length that a word may have, 63 for longer ones too: most words of a file are none of ours.
    lengths: Vec<u64>,
    traces: Vec<Trace>,
}

impl Traces {
    pub fn of(sinks: [&Patterns<Sink>; 3], callbacks: &Patterns<Callback>) -> Self {
        // These stand for parameters, whatever they are called.
        let given: BTreeSet<&str> =
            callbacks.fixed_parts().flat_map(|(_, one)| one.names.iter().map(String::as_str)).collect();
        let mut all = Self::default();
        for (parts, sink) in sinks.into_iter().flat_map(Patterns::fixed_parts) {
            let needed = parts.iter().flat_map(|part| words_of(part));
            // An element that is written has no name of its own, and a module's dots became something else.
            let needed = needed.filter(|word| *word != "JSX" && !word.contains('_') && !given.contains(word));
            let words: Vec<usize> = needed.map(|word| word.to_owned()).map(|word| all.number(word)).collect();
            let last = parts.last().and_then(|part| words_of(part).last()).map(|word| all.number(word.to_owned()));
            all.traces.push(Trace { rule: sink.rule, words, last });
        }
        all
    }

    /// A rule whose sinks are only names is looked at where what it follows begins.
    pub fn begin_at(&mut self, rule: usize, sources: &Patterns<Source>, counts: impl Fn(&Source) -> bool) {
        for (parts, _) in sources.fixed_parts().filter(|(_, source)| counts(source)) {
            let words: Vec<usize> =
                parts.iter().flat_map(|part| words_of(part)).map(|word| self.number(word.to_owned())).collect();
            self.traces.push(Trace { rule, last: words.last().copied(), words });
        }
    }

    fn number(&mut self, word: String) -> usize {
        self.lengths.resize(256, 0);
        let slot = word.bytes().next().and_then(|first| self.lengths.get_mut(usize::from(first)));
        slot.into_iter().for_each(|slot| *slot |= 1 << word.len().min(63));
        let next = self.words.len();
        *self.words.entry(word).or_insert(next)
    }

    fn number_of(&self, word: &str) -> Option<usize> {
        let lengths = self.lengths.get(usize::from(*word.as_bytes().first()?))?;
        (lengths >> word.len().min(63) & 1 == 1).then(|| self.words.get(word).copied()).flatten()
    }

    pub fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }

    /// The places in order where a sink of a rule that is on may stand.
    pub fn places(&self, source: &str, on: &[bool]) -> Vec<usize> {
        let mut present = vec![false; self.words.len()];
        let mut seen: Vec<(usize, usize)> = Vec::new();
        for (at, word) in words_in(source) {
            if let Some(number) = self.number_of(word) {
                if let Some(present) = present.get_mut(number) {
                    *present = true;
                }
                seen.push((at, number));
            }
        }
        let there = |word: &usize| present.get(*word).copied().unwrap_or(false);
        let possible = |trace: &&Trace| on.get(trace.rule).copied().unwrap_or(false) && trace.words.iter().all(there);
        let mut lasts = vec![false; self.words.len()];
        for trace in self.traces.iter().filter(possible) {
            match trace.last.and_then(|last| lasts.get_mut(last)) {
                Some(last) => *last = true,
                None => return (0..source.len()).step_by(64).collect(),
            }
        }
        seen.retain(|(_, word)| lasts.get(*word).copied().unwrap_or(false));
        seen.into_iter().map(|(place, _)| place).collect()
    }
}

/// The words of a text with their places. No character of several bytes ends a word, so bytes do.
pub(super) fn words_in(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text.as_bytes().get(at..)?.iter().position(of_word)?;
        let rest = text.as_bytes().get(start..)?;
        at = start + rest.iter().position(|byte| !of_word(byte)).unwrap_or(rest.len());
        Some((start, text.get(start..at)?))
    })
}

fn words_of(part: &str) -> impl Iterator<Item = &str> {
    words_in(part).map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(rule: usize) -> Sink {
        let (arguments, conditions, absent, except) = (Vec::new(), Vec::new(), Vec::new(), Patterns::default());
        let (written, constructs, file) = (Vec::new(), None, None);
        Sink { rule, arguments, conditions, written, absent, demand: 0, constructs, always: false, file, except }
    }

    #[test]
    fn a_sink_is_where_all_its_words_are() {
        let (mut calls, mut assigns) = (Patterns::default(), Patterns::default());
        calls.add("requests.get", &sink(0));
        calls.add("*.run", &sink(1));
        calls.add("response.send", &sink(1));
        assigns.add("JSX.href", &sink(1));
        let mut callbacks = Patterns::default();
        callbacks.add("app.get", &Callback { conditions: Vec::new(), names: vec!["response".to_owned()] });
        let traces = Traces::of([&calls, &assigns, &Patterns::default()], &callbacks);
        let on = [true, true];
        assert_eq!(traces.places("d.get('x')", &on), Vec::<usize>::new());
        assert_eq!(traces.places("import requests as r; r.get(u)", &on), vec![24]);
        assert_eq!(traces.places("é.run(); b.rung()", &on), vec![3]);
        assert_eq!(traces.places("a.run()", &[true, false]), Vec::<usize>::new());
        assert_eq!(traces.places("s.send(<a href=x/>)", &on), vec![2, 10]);
    }
}
