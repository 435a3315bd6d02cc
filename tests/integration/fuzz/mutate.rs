//! New inputs from the corpus: pieces of syntax put where others of their kind stand, deleted, doubled, nested and repeated, and
//! noise of bytes that no grammar knows of. The first kind reaches deep into rules and fixes because most of it parses, the second
//! one tries what stands before them.

use codehealer::model::Span;

use super::corpus::{Corpus, Piece, pieces};
use super::random::Random;

/// Most changes of one input.
const MOST_CHANGES: usize = 6;
/// Inputs grow no further than this, bytes; one in some hundreds may have [`LARGE`].
const USUAL: usize = 24 << 10;
const LARGE: usize = 1_200_000;

/// Characters that programs trip over: of several bytes, invisible, of no width, ends of lines and of texts.
const ODD: [&str; 22] = [
    "é",
    "ß",
    "😀",
    "\u{feff}",
    "\u{200b}",
    "\u{202e}",
    "\u{2028}",
    "\u{0301}",
    "\u{00a0}",
    "\0",
    "\r",
    "\r\n",
    "\u{85}",
    "\u{1f}",
    "\u{fffd}",
    "\u{10ffff}",
    "\\",
    "`",
    "\"\"\"",
    "'",
    "/*",
    "*/",
];
/// Bytes that are no text.
const BROKEN: [&[u8]; 5] = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80"];

/// The input of a number.
pub fn input(corpus: &Corpus, random: &mut Random) -> (String, Vec<u8>) {
    let Some(first) = random.pick(&corpus.texts) else { return (String::new(), Vec::new()) };
    let most = if random.one_in(400) { LARGE } else { USUAL };
    let mut text = first.text.clone();
    for _ in 0..random.below(MOST_CHANGES) {
        let changed = of_syntax(corpus, random, &text, most);
        if changed.len() <= most {
            text = changed;
        }
    }
    let mut bytes = text.into_bytes();
    if random.one_in(4) {
        for _ in 0..=random.below(3) {
            of_bytes(random, &mut bytes, most);
        }
    }
    (first.path.as_str().to_owned(), bytes)
}

fn of_syntax(corpus: &Corpus, random: &mut Random, text: &str, most: usize) -> String {
    let all = pieces(corpus.language, text);
    let Some(piece) = random.pick(&all).cloned() else {
        return random.pick(&corpus.texts).map(|other| other.text.clone()).unwrap_or_default();
    };
    let own = text.get(piece.span.range()).unwrap_or_default();
    match random.below(16) {
        0..6 => match random.pick(corpus.of_kind(&piece.kind)) {
            Some(other) => replaced(text, piece.span, corpus.slice(*other)),
            None => replaced(text, piece.span, ""),
        },
        6 => replaced(text, piece.span, &foreign(corpus, random)),
        7 => replaced(text, piece.span, ""),
        8 => replaced(text, piece.span, &format!("{own}{}{own}", between(random))),
        9 => swapped(text, &piece, &all, random),
        10 => nested(text, &piece, &all, most, random),
        11 => {
            let times = 2 + random.times(12);
            let mark = between(random);
            let fitting = times.min(most / (own.len() + mark.len() + 1)).max(1);
            replaced(text, piece.span, &vec![own; fitting].join(mark))
        }
        12 => {
            let other = random.pick(&corpus.texts).map(|other| other.text.as_str()).unwrap_or_default();
            if random.one_in(2) { format!("{text}\n{other}") } else { format!("{other}\n{text}") }
        }
        13 => renamed(text, &all, random),
        14 => inserted(text, &piece, random),
        _ => laid_out(text, random),
    }
}

fn replaced(text: &str, span: Span, by: &str) -> String {
    let (head, tail) = (text.get(..span.start).unwrap_or_default(), text.get(span.end..).unwrap_or_default());
    format!("{head}{by}{tail}")
}

/// Any piece of any text.
fn foreign(corpus: &Corpus, random: &mut Random) -> String {
    let Some(other) = random.pick(&corpus.texts) else { return String::new() };
    let all = pieces(corpus.language, &other.text);
    random.pick(&all).and_then(|piece| other.text.get(piece.span.range())).unwrap_or_default().to_owned()
}

fn between(random: &mut Random) -> &'static str {
    ["", " ", "\n", ", ", ";\n", "\n\n", " + ", "."].get(random.below(8)).copied().unwrap_or_default()
}

fn swapped(text: &str, piece: &Piece, all: &[Piece], random: &mut Random) -> String {
    let apart = |other: &&Piece| other.span.end <= piece.span.start || piece.span.end <= other.span.start;
    let others: Vec<&Piece> = all.iter().filter(apart).collect();
    let Some(other) = random.pick(&others) else { return text.to_owned() };
    let (first, then) = if other.span < piece.span { (other.span, piece.span) } else { (piece.span, other.span) };
    let slice = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    [
        slice(0, first.start),
        slice(then.start, then.end),
        slice(first.end, then.start),
        slice(first.start, first.end),
        slice(then.end, text.len()),
    ]
    .concat()
}

/// The piece put into itself where a smaller one of its kind stands, again and again.
fn nested(text: &str, piece: &Piece, all: &[Piece], most: usize, random: &mut Random) -> String {
    let inside = |other: &&Piece| {
        other.kind == piece.kind
            && piece.span.start <= other.span.start
            && other.span.end <= piece.span.end
            && other.span != piece.span
    };
    let own = text.get(piece.span.range()).unwrap_or_default();
    let candidates: Vec<&Piece> = all.iter().filter(inside).collect();
    let (head, tail) = match random.pick(&candidates) {
        Some(inner) => {
            let (from, to) = (inner.span.start - piece.span.start, inner.span.end - piece.span.start);
            (own.get(..from).unwrap_or_default(), own.get(to..).unwrap_or_default())
        }
        None => *random.pick(&[("(", ")"), ("[", "]"), ("{", "}"), ("f(", ")"), ("!", "")]).unwrap_or(&("", "")),
    };
    let times = 1 + random.times(12);
    let fitting = times.min(most / (head.len() + tail.len() + 1));
    replaced(text, piece.span, &format!("{}{own}{}", head.repeat(fitting), tail.repeat(fitting)))
}

/// A name becomes another one of the text, or none that anybody expects.
fn renamed(text: &str, all: &[Piece], random: &mut Random) -> String {
    let names: Vec<&Piece> = all.iter().filter(|piece| piece.kind.contains("identifier")).collect();
    let Some(name) = random.pick(&names).map(|piece| piece.span) else { return text.to_owned() };
    let other = random.pick(&names).and_then(|piece| text.get(piece.span.range())).unwrap_or_default();
    let by = match random.below(4) {
        0 => "ñame_é".to_owned(),
        1 => "x".repeat(1 + random.below(3_000)),
        _ => other.to_owned(),
    };
    replaced(text, name, &by)
}

fn inserted(text: &str, piece: &Piece, random: &mut Random) -> String {
    let odd = random.pick(&ODD).copied().unwrap_or_default();
    let at = if random.one_in(2) { piece.span.start } else { piece.span.end };
    replaced(text, Span::new(at, at), odd)
}

/// Other ends of lines, other indentation, a line more or less.
fn laid_out(text: &str, random: &mut Random) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    match random.below(6) {
        0 => return text.replace('\n', "\r\n"),
        1 => return text.replace("    ", "\t"),
        2 => return format!("\u{feff}{text}"),
        3 => return text.trim_end().to_owned(),
        4 => {
            let at = random.below(lines.len());
            if !lines.is_empty() {
                lines.remove(at);
            }
        }
        _ => {
            let (from, to) = (random.below(lines.len()), random.below(lines.len()));
            if let Some(line) = lines.get(from).copied() {
                lines.insert(to, line);
            }
        }
    }
    lines.concat()
}

fn of_bytes(random: &mut Random, bytes: &mut Vec<u8>, most: usize) {
    let at = random.below(bytes.len() + 1);
    match random.below(8) {
        0 => bytes.truncate(at),
        1 => {
            let to = (at + random.below(200)).min(bytes.len());
            bytes.drain(at..to);
        }
        2 => {
            let broken = random.pick(&BROKEN).copied().unwrap_or_default();
            bytes.splice(at..at, broken.iter().copied());
        }
        3 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        4 => {
            let odd = random.pick(&ODD).copied().unwrap_or_default();
            bytes.splice(at..at, odd.bytes());
        }
        5 => {
            let from = at.saturating_sub(random.below(40));
            let part = bytes.get(from..at).unwrap_or_default().to_vec();
            let times = random.times(12).min(most / (part.len() + 1));
            bytes.splice(at..at, part.repeat(times));
        }
        6 => {
            const SIGNS: &[u8] = b"()[]{}<>\"'`\\/#%$&;:,.!?=+-*|^~@ \n\t";
            let noise: Vec<u8> = (0..random.below(30)).filter_map(|_| random.pick(SIGNS).copied()).collect();
            bytes.splice(at..at, noise);
        }
        _ => {
            if let Some(byte) = bytes.get(at).copied() {
                let times = random.times(15).min(most);
                bytes.splice(at..at, std::iter::repeat_n(byte, times));
            }
        }
    }
}
