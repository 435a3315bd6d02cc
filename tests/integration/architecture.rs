//! The rules of the house, checked against the source text: who may know whom, what no file may do, and that every invariant
//! of `docs/ARCHITECTURE.md` has its test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Modules that decide and do nothing else.
const PURE: [&str; 7] = ["webhook", "detect", "fix", "recall", "decide", "report", "state"];
/// Modules that speak to the outside, each for itself.
const BACKENDS: [&str; 5] = ["aws", "github", "local", "opensearch", "slack"];
/// Longest file, lines.
const LINES: usize = 600;

struct Source {
    /// Below `src/`, with `/`.
    name: String,
    text: String,
    /// Without comments, the insides of texts, and what is compiled for tests only.
    code: String,
}

impl Source {
    /// First part of the path: the module of the crate that the file belongs to.
    fn module(&self) -> &str {
        let first = self.name.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_test(&self) -> bool {
        let last = self.name.rsplit('/').next().unwrap_or_default();
        last.starts_with("tests")
    }

    /// Modules of this crate that the code names: `crate::x`.
    fn uses(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for part in self.code.split("crate::").skip(1) {
            match part.strip_prefix('{') {
                Some(list) => found.extend(listed(list)),
                None => drop(found.insert(first_name(part))),
            }
        }
        found
    }
}

/// First names of `a, b::{c, d}, e}`: what stands at the top level of a braced list.
fn listed(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut begin) = (0usize, 0usize);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(first_name(&list[begin..at]));
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    files.sort();
    assert!(files.len() > 50, "the sources are where they are looked for");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
        Source { name, code: product_code(&text), text }
    };
    files.into_iter().map(read).collect()
}

/// Blanks comments and the contents of texts, then drops every item under `#[cfg(test)]`.
fn product_code(text: &str) -> String {
    without_tests(&blanked(text))
}

/// Lengths of what begins at the front of `rest` and is neither code nor white space, if anything does.
fn not_code(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    if let Some(hashes) = rest.strip_prefix('r').map(|r| r.len() - r.trim_start_matches('#').len()) {
        let close = format!("\"{}", "#".repeat(hashes));
        let opened = rest.get(1 + hashes..).and_then(|r| r.strip_prefix('"'));
        return opened.map(|inside| 2 + hashes + inside.find(&close).map_or(inside.len(), |end| end + close.len()));
    }
    if rest.starts_with('"') {
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return Some(at + 1),
                _ => {}
            }
        }
        return Some(rest.len());
    }
    // A character, not a lifetime: closed after one character or one escape.
    let inside = rest.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    let skip = if first == '\\' { inside.get(2..)?.find('\'')? + 2 } else { first.len_utf8() };
    inside.get(skip..)?.starts_with('\'').then_some(skip + 2)
}

fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        // The r of `for"` would be no raw text, but nobody writes that; `br"` and identifiers ending in r are told apart.
        let raw_inside_name = c == 'r' && (before.is_alphanumeric() || before == '_');
        let skipped = if raw_inside_name { None } else { not_code(rest) };
        let length = skipped.unwrap_or(c.len_utf8());
        let (part, tail) = rest.split_at(length);
        match skipped {
            Some(_) => out.extend(part.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => out.push_str(part),
        }
        before = part.chars().last().unwrap_or(' ');
        rest = tail;
    }
    out
}

fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let item = &rest[at..];
        let end = item_end(item);
        rest = &item[end..];
    }
    out + rest
}

/// Where an item ends: at the `;` before any brace, or where its braces close.
fn item_end(item: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    item.len()
}

/// What a module must not name.
fn forbidden(module: &str) -> Vec<&'static str> {
    let outside = ["config", "wiring", "entry", "telemetry"];
    let outer = || ["ports", "healer"].into_iter().chain(BACKENDS).chain(outside);
    match module {
        "model" => PURE.into_iter().chain(outer()).collect(),
        pure if PURE.contains(&pure) => outer().collect(),
        // Ports speak of items and transactions, which are the state's vocabulary, and of nothing else that is pure.
        "ports" => PURE.into_iter().filter(|m| *m != "state").chain(outer().skip(1)).collect(),
        "healer" => BACKENDS.into_iter().chain(outside).collect(),
        backend if BACKENDS.contains(&backend) => {
            let siblings = BACKENDS.into_iter().filter(|sibling| *sibling != backend);
            siblings.chain(["healer"]).chain(outside).collect()
        }
        "config" => BACKENDS.into_iter().chain(["wiring", "entry"]).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test()) {
        let uses = source.uses();
        let bad = forbidden(source.module()).into_iter().filter(|module| uses.contains(*module));
        wrong.extend(bad.map(|module| format!("{} uses crate::{module}", source.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn backends_do_not_know_their_siblings() {
    // The store is one file that holds state, inbox and memory: these three share its connection. The verifier command
    // reads commits as the local forge does.
    let families = [("store", &["inbox", "memory", "store"][..]), ("git", &["git", "verify_command"][..])];
    let all = sources();
    let backend = |name: &str| {
        let name = name.strip_prefix("local/").unwrap_or_default();
        first_name(name)
    };
    let backends: BTreeSet<String> =
        all.iter().map(|s| backend(&s.name)).filter(|name| !name.is_empty() && name != "mod").collect();
    let mut wrong = Vec::new();
    for source in all.iter().filter(|s| s.module() == "local" && !s.is_test()) {
        let own = backend(&source.name);
        for sibling in backends.iter().filter(|sibling| **sibling != own) {
            let together =
                families.iter().any(|(_, family)| family.contains(&own.as_str()) && family.contains(&sibling.as_str()));
            let names = [format!("crate::local::{sibling}"), format!("super::{sibling}")];
            let top = source.name == format!("local/{own}.rs") || source.name == format!("local/{own}/mod.rs");
            let named = source.code.contains(&names[0]) || (top && source.code.contains(&names[1]));
            if named && !together {
                wrong.push(format!("{} knows its sibling {sibling}", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_configuration_reads_the_environment() {
    let readers = ["env::var", "env::vars", "env::var_os", "set_var(", "remove_var("];
    let reads = |s: &Source| readers.iter().any(|reader| s.code.contains(reader));
    let wrong: Vec<String> =
        sources().iter().filter(|s| s.name != "config.rs" && reads(s)).map(|s| s.name.clone()).collect();
    assert!(wrong.is_empty(), "{wrong:?} read the environment");
}

#[test]
fn pure_modules_deny_what_is_not_pure() {
    for module in PURE {
        let text = std::fs::read_to_string(root().join(format!("src/{module}/mod.rs"))).unwrap();
        assert!(text.contains("#![deny(clippy::disallowed_methods, clippy::disallowed_types)]"), "{module}");
    }
    let lifted = |s: &Source| {
        PURE.contains(&s.module()) && s.code.contains("clippy::disallowed") && !s.name.ends_with("/mod.rs")
    };
    let wrong: Vec<String> = sources().iter().filter(|s| lifted(s)).map(|s| s.name.clone()).collect();
    assert!(wrong.is_empty(), "{wrong:?} lift the lints of pure code");
}

#[test]
fn every_file_says_what_it_is_and_stays_readable() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//!") {
            wrong.push(format!("{} does not begin with //!", source.name));
        }
        let lines = source.text.lines().count();
        if lines > LINES {
            wrong.push(format!("{} has {lines} lines", source.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn product_code_does_not_panic_on_purpose() {
    let panics = [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!("];
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test()) {
        let found = panics.iter().filter(|panic| source.code.contains(**panic));
        wrong.extend(found.map(|panic| format!("{} has {panic}", source.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_checks_see_code_and_nothing_else() {
    let text = "// crate::local\nuse crate::{ports, fix::{edit, diff}, report};\nconst A: &str = \"crate::entry \\\" .unwrap()\";\n\
                const R: &str = r#\"panic!(\"#; const C: char = '\"'; fn f<'a>(a: &'a str) {}\n\
                #[cfg(test)]\nmod tests { fn t() { x.unwrap(); } }\nfn g() { y.expect(1) }\n";
    let source = Source { name: "fix/a.rs".into(), text: String::new(), code: product_code(text) };
    assert_eq!(source.uses(), BTreeSet::from(["ports", "fix", "report"].map(str::to_owned)));
    assert!(!source.code.contains(".unwrap()") && !source.code.contains("panic!("));
    assert!(source.code.contains(".expect("), "{}", source.code);
}

/// Rows of the table of invariants: number and the test that guards it.
fn invariants(page: &str) -> Vec<(String, Vec<String>)> {
    let rows = page.lines().filter(|line| {
        let number = line.strip_prefix("| I").and_then(|rest| rest.split(' ').next());
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    });
    let read = |row: &str| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let tests = cells.last().copied().unwrap_or_default().split('`').skip(1).step_by(2);
        (cells[0].trim().to_owned(), tests.map(str::to_owned).collect())
    };
    rows.map(read).collect()
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let page = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let rows = invariants(&page);
    let numbers: Vec<String> = rows.iter().map(|(number, _)| number.clone()).collect();
    let expected: Vec<String> = (1..=rows.len()).map(|n| format!("I{n}")).collect();
    assert!(rows.len() >= 15, "the page lists {} invariants", rows.len());
    assert_eq!(numbers, expected, "numbers run from I1 without gaps");
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    rust_files(&root().join("tests"), &mut files);
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    for (number, tests) in rows {
        assert!(!tests.is_empty(), "{number} names no test");
        for test in tests {
            let name = format!("fn {}(", test.rsplit("::").next().unwrap_or_default());
            assert!(texts.iter().any(|text| text.contains(&name)), "{number} names {test}, which does not exist");
        }
    }
}

/// What is written after `make` where a command can stand: at the start of a line or of a code span.
fn targets(page: &str) -> BTreeSet<&str> {
    page.split(['`', '\n'])
        .filter_map(|part| part.strip_prefix("make "))
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next())
        .filter(|target| !target.is_empty())
        .collect()
}

#[test]
fn every_command_of_make_in_the_documentation_exists() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut seen = 0;
    for path in docs.chain([root().join("README.md")]).filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let page = std::fs::read_to_string(&path).unwrap();
        for target in targets(&page) {
            seen += 1;
            let told = makefile.lines().any(|line| line.starts_with(&format!("{target}:")) && line.contains(" ## "));
            assert!(told, "{}: `make {target}` is not in the Makefile, or not in its list", path.display());
        }
    }
    assert!(seen >= 8, "only {seen} commands were read: the pages are read wrongly");
}
