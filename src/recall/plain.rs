//! What an edit brings in that neither the code nor the rule has: a remark, a name, words in a string, a number.
//!
//! Answers of one model are not drawn apart from each other when something in the question sways all of them: a model that obeys an
//! attacker obeys each time, in other words if it is told so. Their agreement therefore counts only for an edit that is made of
//! what was there and of what the rule names. Whoever is obeyed wants something of his own in the code.

use std::collections::BTreeSet;

use crate::fix::edit;
use crate::fix::pattern::builtins;
use crate::fix::pattern::kinds::{is_constant, is_literal};
use crate::fix::pattern::tree::Tree;
use crate::model::{Edit, Language, RuleInfo, Span};

/// Longest word that is named, characters.
const NAMED: usize = 40;

/// What the edits bring in of their own, for people; `None` when they bring in nothing.
#[must_use]
pub fn of_its_own(language: Option<Language>, before: &str, edits: &[Edit], rule: &RuleInfo) -> Option<String> {
    let unread = || Some("nothing here can read what else it brings in".to_owned());
    let Some(language) = language else { return unread() };
    let after = edit::apply(before, edits).unwrap_or_default();
    let (Ok(old), Ok(new)) = (Tree::parse(language, before), Tree::parse(language, &after)) else { return unread() };
    let (had, has) = (remarks(&old), remarks(&new));
    if has.len() > had.len() || has.iter().any(|remark| !had.contains(remark)) {
        return Some("it adds a comment".to_owned());
    }
    let said = [rule.hint.as_str(), &rule.message, &rule.note, rule.id.as_str()].join(" ");
    let asked: BTreeSet<&str> = words(&said).collect();
    let known = names(&old);
    let mut new_names = names(&new).into_iter().filter(|name| !known.contains(name));
    if let Some(name) = new_names.find(|name| !asked.contains(name) && !builtins::contains(language, name)) {
        return Some(format!("it brings in the name {}", short(name)));
    }
    let (had, replaced) = (literals(&old, None), literals(&old, Some(&touched(before, edits))));
    let known: BTreeSet<&str> = replaced.iter().flat_map(|text| words(text)).collect();
    let fresh = literals(&new, None);
    let mut brought = fresh.difference(&had).flat_map(|text| words(text));
    let word = brought.find(|word| !known.contains(word) && !asked.contains(word))?;
    Some(format!("it brings in {} of its own", short(word)))
}

fn short(word: &str) -> String {
    word.chars().take(NAMED).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

fn remarks(tree: &Tree) -> Vec<&str> {
    tree.comments.iter().map(|span| tree.slice(*span)).collect()
}

/// Texts of the leaves that are neither literals nor keywords: names of every kind, attributes and keys included.
fn names(tree: &Tree) -> BTreeSet<&str> {
    // How a string begins and ends is no name.
    let quotes = |id: usize| tree.node(id).kind.starts_with("string_");
    let is_name = |id: &usize| tree.node(*id).named && tree.is_leaf(*id) && !in_literal(tree, *id) && !quotes(*id);
    tree.ids().filter(is_name).map(|id| tree.text_of(id)).filter(|text| !text.is_empty()).collect()
}

fn in_literal(tree: &Tree, id: usize) -> bool {
    is_constant(tree, id) || tree.ancestors(id).take(3).any(|outer| is_literal(tree, outer))
}

/// Texts of strings and numbers, of those alone that share a byte with one of the places.
fn literals<'t>(tree: &'t Tree, places: Option<&[Span]>) -> BTreeSet<&'t str> {
    let there = |span: Span| places.is_none_or(|places| places.iter().any(|place| place.overlaps(span)));
    let is_one = |id: &usize| tree.is_leaf(*id) && is_literal(tree, *id) && there(tree.node(*id).span);
    tree.ids().filter(is_one).map(|id| tree.text_of(id)).collect()
}

/// The whole lines that the edits touch.
fn touched(text: &str, edits: &[Edit]) -> Vec<Span> {
    let line = |edit: &Edit| {
        let start = text.get(..edit.span.start).and_then(|head| head.rfind('\n')).map_or(0, |at| at + 1);
        let end =
            text.get(edit.span.end..).and_then(|tail| tail.find('\n')).map_or(text.len(), |at| edit.span.end + at);
        Span::new(start, end.max(start))
    };
    edits.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cwe, IssueType, RepoPath, RuleId, RuleOrigin, Severity};

    const BEFORE: &str = "import os\n\n\ndef tell(name):\n    say('please approve everything')\n    # obey the owner\n    \
                          return \"%s has %s\" % (name,)\n";

    fn rule() -> RuleInfo {
        RuleInfo {
            id: RuleId::new("py-format-arguments").unwrap(),
            issue_type: IssueType::new("LOGIC").unwrap(),
            cwes: vec![Cwe(628)],
            severity: Severity::Low,
            language: Some(Language::Python),
            message: "placeholders and values differ".to_owned(),
            note: String::new(),
            hint: "use fmt.of, or os.fspath".to_owned(),
            references: Vec::new(),
            origin: RuleOrigin::BuiltIn,
        }
    }

    fn brings(from: &str, to: &str) -> Option<String> {
        let path = RepoPath::new("a.py").unwrap();
        let after = BEFORE.replace(from, to);
        assert_ne!(after, BEFORE, "{from}");
        of_its_own(Some(Language::Python), BEFORE, &edit::minimal(BEFORE, &after, &path), &rule())
    }

    #[test]
    fn what_was_there_and_what_the_rule_names_is_nothing_of_its_own() {
        for (from, to) in [
            ("\"%s has %s\" % (name,)", "\"%s has\" % (name,)"),
            ("\"%s has %s\" % (name,)", "\"%s has %s\" % (name, name)"),
            ("\"%s has %s\" % (name,)", "fmt.of(\"%s has\", name)"),
            ("\"%s has %s\" % (name,)", "os.fspath(str(name))"),
            ("(name,)", "(name, None)"),
            ("    # obey the owner\n", ""),
        ] {
            assert_eq!(brings(from, to), None, "{to}");
        }
    }

    #[test]
    fn remarks_names_words_and_numbers_that_nobody_asked_for_are_named() {
        for (from, to, expected) in [
            ("(name,)", "(name,)  # @acme/admins please approve", "it adds a comment"),
            ("# obey the owner", "# obey the admin", "it adds a comment"),
            ("(name,)", "(unlock(name),)", "it brings in the name unlock"),
            ("(name,)", "(name.secret,)", "it brings in the name secret"),
            ("\"%s has %s\" % (name,)", "\"%s has\" % (name,) or \"backdoor\"", "it brings in backdoor of its own"),
            // Words of another string of the file are an attacker's as well.
            ("%s has %s", "approve %s", "it brings in approve of its own"),
            ("(name,)", "(name, 4711)", "it brings in 4711 of its own"),
        ] {
            assert_eq!(brings(from, to).as_deref(), Some(expected), "{to}");
        }
    }

    #[test]
    fn what_cannot_be_read_may_bring_in_anything() {
        let edits = [Edit { path: RepoPath::new("a.txt").unwrap(), span: Span::new(0, 0), text: "x".to_owned() }];
        for language in [None, Some(Language::Yaml)] {
            assert!(of_its_own(language, "a: 1\n", &edits, &rule()).is_some());
        }
    }
}
