//! Texts that a grammar's own scanner cannot keep its state of.
//!
//! Scanners keep what is open (indentations, heredocs) in a buffer of 1,024 bytes, and some end the process when it does not fit or when they
//! cannot read back what they wrote. `scanners.c` keeps the process alive whatever comes; but what a scanner forgets is missing from
//! the tree, so texts that are made for it are refused beforehand, and that is said.

use ast_grep_language::SupportLang;

use super::grammar::Grammar;

/// Indentations inside of each other in languages that are read by them. Python itself refuses a hundred.
const MAX_INDENTATIONS: usize = 100;

/// Characters of the word that ends a heredoc in Ruby. The scanner writes their number as one byte.
const MAX_WORD: usize = 250;

/// Whether the scanner can keep what is open in the text at once.
pub(super) fn fits(language: Grammar, text: &str) -> bool {
    match language {
        Grammar::Shared(SupportLang::Python) => indentations(python_columns(text)) <= MAX_INDENTATIONS,
        Grammar::Shared(SupportLang::Yaml) => indentations(yaml_columns(text)) <= MAX_INDENTATIONS,
        Grammar::Shared(SupportLang::Ruby) => heredoc_words(text).all(|word| word.chars().nth(MAX_WORD).is_none()),
        _ => true,
    }
}

/// Most columns that are open at once: each closes those that are not left of it.
fn indentations(columns: impl Iterator<Item = usize>) -> usize {
    let (mut open, mut deepest): (Vec<usize>, usize) = (Vec::new(), 0);
    for column in columns {
        open.truncate(open.partition_point(|one| *one < column));
        open.push(column);
        deepest = deepest.max(open.len());
    }
    deepest
}

/// The columns at which lines begin, as the grammar's scanner counts them: eight for a tab, from nothing again behind a carriage
/// return or a form feed, and on from the line before where that has nothing but a backslash.
fn python_columns(text: &str) -> impl Iterator<Item = usize> + '_ {
    let mut before = 0;
    text.split('\n').filter_map(move |line| {
        let (mut column, mut rest) = (before, line.as_bytes());
        while let [first @ (b' ' | b'\t' | b'\r' | b'\x0c'), tail @ ..] = rest {
            column = match first {
                b' ' => column + 1,
                b'\t' => column + 8,
                _ => 0,
            };
            rest = tail;
        }
        let continued = matches!(rest, b"\\" | b"\\\r");
        before = if continued { column } else { 0 };
        (!rest.is_empty() && !continued).then_some(column)
    })
}

/// The columns at which lines begin, and those at which a line goes on behind `- `, `? ` and `: ` (`- - a`).
fn yaml_columns(text: &str) -> impl Iterator<Item = usize> + '_ {
    let blank = [' ', '\t'];
    text.split(['\n', '\r']).flat_map(move |line| {
        let mut rest = line.trim_start_matches(blank);
        let mut next = (!rest.is_empty()).then(|| line.len() - rest.len());
        std::iter::from_fn(move || {
            let column = next.take()?;
            if let Some(inner) = rest.strip_prefix(['-', '?', ':']).filter(|inner| inner.starts_with(blank)) {
                rest = inner.trim_start_matches(blank);
                next = Some(line.len() - rest.len());
            }
            Some(column)
        })
    })
}

/// What the scanner takes for the word behind `<<`, `<<-` and `<<~`: a name, or whatever stands between quotes.
fn heredoc_words(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("<<").map(|(at, _)| {
        let behind = text.get(at + 2..).unwrap_or_default();
        let behind = behind.strip_prefix(['-', '~']).unwrap_or(behind);
        let word = |quote: char| behind.get(1..).and_then(|inside| inside.split(quote).next());
        match behind.chars().next() {
            Some(quote @ ('"' | '\'' | '`')) => word(quote).unwrap_or_default(),
            _ => behind.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::language::grammar;
    use crate::model::Language;

    fn fits_in(language: Language, text: &str) -> bool {
        fits(grammar(language), text)
    }

    fn ladder(line: impl Fn(usize) -> String) -> String {
        (0..300).map(line).collect()
    }

    #[test]
    fn indentations_are_counted_as_the_scanners_count_them() {
        let spaces = |n: usize| " ".repeat(n);
        for (language, text) in [
            (Language::Yaml, format!("{}a\n", "- ".repeat(400))),
            (Language::Yaml, ladder(|n| format!("{}a:\n", spaces(n)))),
            (Language::Yaml, ladder(|n| format!("{}a:\r", spaces(n)))),
            (Language::Python, ladder(|n| format!("{}if a:\n", spaces(n)))),
            // All of the same length in bytes.
            (Language::Python, ladder(|n| format!("{}{}if a:\n", "\t".repeat(n), spaces(300 - n)))),
            (Language::Python, ladder(|n| format!("{}\x0c{}if a:\n", spaces(300), spaces(n)))),
            (Language::Python, ladder(|n| format!("{}if a:\n", " \\\n".repeat(n)))),
        ] {
            assert!(!fits_in(language, &text), "{language}: {}", text.get(..60).unwrap_or(&text));
        }
        for (language, text) in [
            (Language::Yaml, "a:\n  - b: 1\n    c: 2\n".repeat(400)),
            (Language::Python, ladder(|n| format!("if a:\n{}b()\n", spaces(n + 1)))),
            (Language::Python, "x = [\n    1,  \\\n    2]\n".repeat(400)),
            (Language::Go, ladder(|n| format!("{}a()\n", spaces(n)))),
        ] {
            assert!(fits_in(language, &text), "{language}");
        }
    }

    #[test]
    fn heredocs_whose_word_is_too_long_are_refused() {
        let long = "A".repeat(300);
        for text in [
            format!("x = <<{long}\n{long}\n"),
            format!("x = <<~'{long}'\n"),
            format!("x << y <<\"{long}"),
            format!("f(<<-A, <<{long})\nA\n"),
        ] {
            assert!(!fits_in(Language::Ruby, &text));
        }
        assert!(fits_in(Language::Ruby, &format!("x = <<~SQL\n  {long}\nSQL\nlist << '{long}'\nlist <<'short'\n")));
    }

    /// What each scanner does with a text that nothing refused: the parser has to come back.
    #[cfg(target_os = "linux")]
    fn parsed(language: Language, text: &str) -> usize {
        use ast_grep_language::LanguageExt as _;
        let mut parser = tree_sitter::Parser::new();
        parser.set_language(&grammar(language).get_ts_language()).unwrap();
        parser.parse(text, None).unwrap().root_node().end_byte()
    }

    /// Without `scanners.c` each of them ends the process that runs the tests.
    #[cfg(target_os = "linux")]
    #[test]
    fn no_state_that_a_scanner_cannot_keep_ends_the_process() {
        let long = |letter: &str, length: usize| letter.repeat(length);
        let full = [long("A", 251), long("B", 251), long("C", 251), long("D", 254)];
        // A word whose length is read back as 44, and in what follows of it a header that makes the sum right but the next word empty.
        let forged = format!("{}AAA\0{}", long("A", 44), long("A", 252));
        for (language, text) in [
            (Language::Ruby, format!("x = <<{}\ny\n", long("A", 300))),
            (Language::Ruby, format!("x = <<{}\ny\n", long("A", 256))),
            (Language::Ruby, format!("f(<<{})\n", full.join(", <<"))),
            (Language::Ruby, format!("f(<<'{forged}', <<A)\nb\nA\n")),
            (Language::Ruby, format!("x = <<RUBY, )\n) ] }} {}\n", "\"a ".repeat(400))),
            (Language::Yaml, format!("{}a\n", "- ".repeat(400))),
            (Language::Yaml, ladder(|n| format!("{}a:\r", " ".repeat(n)))),
            (Language::Python, (0..600).map(|n| format!("{}if a:\n", " ".repeat(n))).collect::<String>() + "'x'"),
            (Language::Python, (0..600).map(|n| format!("{}if 'a':\n", " ".repeat(n))).collect()),
            (Language::CSharp, format!("var a = {};", "$\"{".repeat(400))),
            (Language::Hcl, format!("a = {}", "\"${".repeat(400))),
            (Language::Php, format!("<?php f({});", "<<<A\n{$a}".repeat(400))),
            (Language::Dockerfile, format!("FROM a\nRUN {}\n", format!("<<{} ", long("A", 500)).repeat(12))),
        ] {
            assert!(parsed(language, &text) > 0, "{language}");
        }
    }
}
