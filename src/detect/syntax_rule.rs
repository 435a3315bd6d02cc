//! The engine's own rules: files that do not parse (`syntax-error`) and Python that is indented as Python itself
//! refuses (`py-indentation`).
//!
//! Grammars lag behind languages, so an error node alone is weak evidence. It counts where the grammar is known to be
//! complete, or together with evidence that holds in every dialect: brackets that do not match.

use super::indentation;
use super::language::{Node, SyntaxError, Tree, source, syntax_errors};
use super::lines::LineIndex;
use crate::model::{Cwe, IssueType, Language, RuleId, RuleInfo, RuleOrigin, Severity, Span};

/// Id of the rule for files that do not parse.
pub const SYNTAX_ERROR: &str = "syntax-error";

/// Id of the rule for Python's indentation.
pub const INDENTATION: &str = "py-indentation";

/// More separate errors than this look like a dialect that the grammar does not know.
const FEW: usize = 3;

/// Longest file that is parsed again to see whether a word was misread, bytes, and how many words of it are tried.
const READ_AGAIN: usize = 1024 * 1024;
const WORDS: usize = 4;

/// What is wrong with a file as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// [`SYNTAX_ERROR`] or [`INDENTATION`].
    pub rule: &'static str,
    /// The line to look at, without its indentation.
    pub span: Span,
    /// The probable cause, one line.
    pub cause: String,
}

/// Whether the id is of a rule that the engine brings itself.
#[must_use]
pub fn is_own(id: &RuleId) -> bool {
    matches!(id.as_str(), SYNTAX_ERROR | INDENTATION)
}

/// What is said of the engine's own rules.
#[must_use]
pub fn infos() -> Vec<RuleInfo> {
    let rows = [
        (
            SYNTAX_ERROR,
            "SYNTAX",
            None,
            "The file does not parse",
            "No part of a file that does not parse can run. The place is where the parser stopped; the cause may stand before it.",
            "correct the syntax",
        ),
        (
            INDENTATION,
            "INDENTATION",
            Some(Language::Python),
            "Python refuses this indentation",
            "Python reads blocks from indentation and stops at a line that fits no block, or that mixes tabs and spaces.",
            "indent the line like its block",
        ),
    ];
    let info = |(id, kind, language, message, note, hint): (&str, &str, _, &str, &str, &str)| {
        Some(RuleInfo {
            id: RuleId::new(id).ok()?,
            issue_type: IssueType::new(kind).ok()?,
            cwes: Vec::<Cwe>::new(),
            severity: Severity::High,
            language,
            message: message.to_owned(),
            note: note.to_owned(),
            hint: hint.to_owned(),
            references: Vec::new(),
            origin: RuleOrigin::BuiltIn,
        })
    };
    rows.into_iter().filter_map(info).collect()
}

/// The first thing that keeps the file from being read by its language, if that is certain enough.
#[must_use]
pub fn check(tree: &Tree, language: Language, lines: &LineIndex<'_>) -> Option<Broken> {
    let text = source(tree);
    if for_another_interpreter(text, language) {
        return None;
    }
    if language == Language::Python
        && let Some(problem) = indentation::check(text)
    {
        let span = trimmed_line(text, lines, problem.offset);
        return Some(Broken { rule: INDENTATION, span, cause: problem.cause.to_owned() });
    }
    let errors = syntax_errors(tree, FEW + 1);
    if errors.is_empty() || !brackets_tell(language) || other_dialect(text, language) {
        return None;
    }
    let newer = |error: &SyntaxError| {
        newer_than_the_grammar(lines.text(lines.line(error.span.start.min(text.len()))), language)
    };
    if errors.iter().any(newer) {
        return None;
    }
    let bracket = unbalanced(tree);
    let certain = bracket.is_some() || errors.iter().any(|error| error.missing.as_deref().is_some_and(closes));
    let complete = matches!(language, Language::Go | Language::Java | Language::JavaScript | Language::Python);
    let telling = certain || complete && errors.len() <= FEW;
    if !telling || parses_with_plain_names(text, language) {
        return None;
    }
    let (offset, cause) = bracket.unwrap_or_else(|| place(tree, &errors));
    Some(Broken { rule: SYNTAX_ERROR, span: trimmed_line(text, lines, offset), cause })
}

/// Whether the first line asks for a program that reads another language, whatever the file is called.
fn for_another_interpreter(text: &str, language: Language) -> bool {
    let own: &[&str] = match language {
        Language::Python => &["py", "uv", "sage"],
        Language::JavaScript | Language::TypeScript | Language::Tsx => {
            &["node", "deno", "bun", "zx", "tsx", "qjs", "osascript"]
        }
        Language::Php => &["php"],
        _ => return false,
    };
    let program = text.strip_prefix("#!").and_then(|rest| rest.lines().next());
    program.is_some_and(|program| !own.iter().any(|name| program.contains(name)))
}

/// Syntax that the language has by now and its grammar does not: Go 1.26 lets `new` take a value, Python 3.13 lets type
/// parameters have defaults.
fn newer_than_the_grammar(line: &str, language: Language) -> bool {
    match language {
        Language::Go => line.contains("new("),
        Language::Python => {
            let line = line.trim_start().trim_start_matches("async ");
            ["class ", "def ", "type "].iter().any(|word| line.starts_with(word)) && line.contains('[')
        }
        _ => false,
    }
}

/// Words that are keywords in some places and names in others, of which grammars get some wrong.
fn words_of_two_kinds(language: Language) -> &'static [&'static str] {
    match language {
        Language::JavaScript => &["using", "await", "async", "yield", "let", "static", "get", "set", "of"],
        Language::Java => {
            &["record", "yield", "sealed", "permits", "when", "var", "module", "exports", "opens", "with"]
        }
        Language::Python => &["match", "case", "type", "print", "exec"],
        _ => &[],
    }
}

/// Whether the file parses once one of these words is a plain name wherever it stands: then the grammar is wrong, not the file.
fn parses_with_plain_names(text: &str, language: Language) -> bool {
    text.len() <= READ_AGAIN
        && words_of_two_kinds(language)
            .iter()
            .filter_map(|word| with_plain_name(text, word))
            .take(WORDS)
            .any(|text| super::language::parse(language, &text).is_ok_and(|tree| syntax_errors(&tree, 1).is_empty()))
}

/// The text with another name of the same length for a word; `None` where it does not stand.
fn with_plain_name(text: &str, word: &str) -> Option<String> {
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let stands = |at: usize| {
        let (before, after) = (text.get(..at)?.chars().next_back(), text.get(at + word.len()..)?.chars().next());
        (!before.is_some_and(in_name) && !after.is_some_and(in_name)).then_some(at)
    };
    let mut places = text.match_indices(word).filter_map(|(at, _)| stands(at)).peekable();
    places.peek()?;
    let (mut out, mut from, name) = (String::with_capacity(text.len()), 0, "_".repeat(word.len()));
    for at in places {
        out.push_str(text.get(from..at)?);
        out.push_str(&name);
        from = at + word.len();
    }
    out.push_str(text.get(from..)?);
    Some(out)
}

fn trimmed_line(text: &str, lines: &LineIndex<'_>, offset: usize) -> Span {
    let span = lines.span(lines.line(offset.min(text.len())));
    let line = text.get(span.range()).unwrap_or_default();
    let start = span.start + (line.len() - line.trim_start().len());
    Span::new(start.min(span.start + line.trim_end().len()), span.start + line.trim_end().len())
}

/// Text that is no plain program of the language: templates, typed dialects, Python 2.
fn other_dialect(text: &str, language: Language) -> bool {
    match language {
        Language::Yaml | Language::Hcl => ["{{", "{%", "<%"].iter().any(|mark| text.contains(mark)),
        Language::JavaScript => text.contains("@flow") || text.contains("{{") && text.contains("{%"),
        Language::Python => text.lines().any(is_python_2),
        // Code under `#if` may open what code under another `#if` closes.
        Language::CSharp => text.contains("#if"),
        Language::Php => text.contains("{{") || text.contains("{%"),
        Language::Dockerfile | Language::Go | Language::Java | Language::Ruby | Language::Rust => false,
        Language::Tsx | Language::TypeScript => false,
    }
}

/// Whether a bracket without a partner is a mistake in the language. In Ruby they end texts (`%w[a b]`), and a Dockerfile's
/// commands are any shell's: of these two nothing is said.
fn brackets_tell(language: Language) -> bool {
    !matches!(language, Language::Dockerfile | Language::Ruby)
}

fn is_python_2(line: &str) -> bool {
    let line = line.trim_start();
    let except = line.strip_prefix("except ").is_some_and(|rest| !rest.contains('(') && rest.contains(','));
    let raise = line.strip_prefix("raise ").is_some_and(|rest| !rest.contains(['(', '"', '\'']) && rest.contains(", "));
    let print = line.strip_prefix("print ").is_some_and(|rest| !rest.trim_start().starts_with(['(', '=', '.', ',']));
    except || raise || print || line.starts_with("exec \"") || line.starts_with("{%") || line.starts_with("{{")
}

fn closes(token: &str) -> bool {
    matches!(token, ")" | "]" | "}" | "\"" | "'" | "`" | "\"\"\"" | "string_end" | ":")
}

/// Where the parser stumbled first, and what it says.
fn place(tree: &Tree, errors: &[SyntaxError]) -> (usize, String) {
    let Some(first) = errors.first() else { return (0, String::new()) };
    if let Some(token) = &first.missing {
        return (first.span.start.saturating_sub(1), format!("`{token}` is missing"));
    }
    let text = source(tree);
    let code = text.get(first.span.range()).unwrap_or_default();
    let offset = first.span.start + (code.len() - code.trim_start().len());
    let line = code.trim_start().lines().next().unwrap_or_default().trim_end();
    let quotes = ["\"", "'", "`"].iter().any(|quote| line.matches(quote).count() % 2 == 1);
    let token: String = line.chars().take_while(|c| !c.is_whitespace()).take(30).collect();
    let cause = if quotes {
        "a string is not closed".to_owned()
    } else if token.is_empty() {
        "the parser stops here".to_owned()
    } else {
        format!("`{token}` does not belong here")
    };
    (offset, cause)
}

/// The first bracket without a partner. Brackets are told by the parser's own tokens, so those inside strings, comments
/// and regular expressions do not count.
fn unbalanced(tree: &Tree) -> Option<(usize, String)> {
    let mut open: Vec<(usize, char)> = Vec::new();
    for node in tree.root().dfs().filter(|node| node.is_leaf() && !node.is_missing()) {
        let Some(bracket) = bracket(&node) else { continue };
        let at = node.range().start;
        let Some(partner) = opening(bracket) else {
            open.push((at, bracket));
            continue;
        };
        match open.pop() {
            Some((_, opened)) if opened == partner => {}
            Some((opened_at, opened)) => return Some((opened_at, format!("`{opened}` is closed by `{bracket}`"))),
            None => return Some((at, format!("`{bracket}` closes nothing"))),
        }
    }
    open.last().map(|(at, bracket)| (*at, format!("`{bracket}` is never closed")))
}

fn bracket(node: &Node<'_>) -> Option<char> {
    match &*node.kind() {
        "(" => Some('('),
        ")" => Some(')'),
        "[" | "?.[" => Some('['),
        "]" => Some(']'),
        "{" | "${" | "block_start" | "object_start" | "template_interpolation_start" => Some('{'),
        "}" | "block_end" | "object_end" | "template_interpolation_end" => Some('}'),
        _ => None,
    }
}

fn opening(bracket: char) -> Option<char> {
    match bracket {
        ')' => Some('('),
        ']' => Some('['),
        '}' => Some('{'),
        _ => None,
    }
}
