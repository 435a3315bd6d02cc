//! Secrets in other clothes: base64, percent encoding, hexadecimal.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use crate::model::Span;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Shorter runs hold no secret that we know.
const MIN_RUN: usize = 20;

/// The runs of encoded text whose plain text satisfies `is_secret`. Percent encoding is looked for outside `known` only: a
/// password in a URL is found by its place, and the rest of the URL may stay.
pub(super) fn find(text: &str, known: &[Span], is_secret: impl Fn(&str) -> bool) -> Vec<Span> {
    let mut spans = Vec::new();
    for run in runs(text, |byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte)) {
        let code = text.get(run.range()).unwrap_or_default();
        // A run may begin with something else: `key=…`, `path/…`.
        let pieces = code.split('=').chain(code.split(['=', '/'])).filter(|piece| piece.len() >= MIN_RUN);
        if pieces.flat_map(|piece| [from_base64(piece), from_hex(piece)]).flatten().any(|plain| is_secret(&plain)) {
            spans.push(run);
        }
    }
    for run in runs(text, |byte| byte.is_ascii_alphanumeric() || b"%._~+-:/@=&?".contains(&byte)) {
        let code = text.get(run.range()).unwrap_or_default();
        if !touches(known, run) && from_percent(code).is_some_and(|plain| is_secret(&plain)) {
            spans.push(run);
        }
    }
    spans
}

/// `known` is in order and its spans are apart.
fn touches(known: &[Span], run: Span) -> bool {
    let first = known.partition_point(|span| span.end <= run.start);
    known.get(first).is_some_and(|span| span.start < run.end)
}

fn runs(text: &str, belongs: impl Fn(u8) -> bool) -> Vec<Span> {
    let mut runs = Vec::new();
    let mut start = 0;
    for (at, byte) in text.bytes().chain(std::iter::once(b' ')).enumerate() {
        if !belongs(byte) {
            if at - start >= MIN_RUN {
                runs.push(Span::new(start, at));
            }
            start = at + 1;
        }
    }
    runs
}

fn from_base64(code: &str) -> Option<String> {
    let engine = if code.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    // A run cut off by a line's end may have a character too many.
    let whole = code.len() - usize::from(code.len() % 4 == 1);
    printable(engine.decode(code.get(..whole)?).ok()?)
}

fn from_hex(code: &str) -> Option<String> {
    let even = code.len() - code.len() % 2;
    printable(hex::decode(code.get(..even)?).ok()?)
}

fn from_percent(code: &str) -> Option<String> {
    if !code.contains('%') {
        return None;
    }
    printable(percent_decode_str(code).collect()).filter(|plain| plain != code)
}

/// Text of which at least nine tenths are printable ASCII: what a token, or a file with one, decodes to.
fn printable(bytes: Vec<u8>) -> Option<String> {
    let readable = bytes.iter().filter(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()).count();
    (bytes.len() >= 8 && readable * 10 >= bytes.len() * 9).then(|| String::from_utf8_lossy(&bytes).into_owned())
}
