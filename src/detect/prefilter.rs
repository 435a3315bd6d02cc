//! Which rules a text can concern at all: what a rule cannot do without is looked for once, in one pass over the text.
//!
//! Most rules speak of a few names (`yaml`, `md5`, `rejectUnauthorized`), and most files have none of them. A rule whose
//! names are missing is not tried on any node. The idea is that of literal prefilters in searchers of text; here it goes
//! through the whole of a rule, so `all` needs each part and `any` one of them. What cannot be told needs nothing.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use serde_json::Value;

/// How far utilities are followed into each other; they may be recursive.
const MAX_DEPTH: usize = 12;
/// Shortest word worth looking for, bytes.
const MIN_WORD: usize = 3;

/// What a text must contain for a rule to match anywhere in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing that could be told.
    Nothing,
    Word(String),
    All(Vec<Needs>),
    Any(Vec<Needs>),
}

impl Needs {
    /// The needs of a rule, given as ast-grep serialises it, with its utilities by name.
    pub fn of(rule: &Value, utilities: &Value) -> Self {
        of_rule(rule, utilities, MAX_DEPTH)
    }

    fn all(parts: Vec<Self>) -> Self {
        let mut parts: Vec<Self> = parts.into_iter().filter(|part| *part != Self::Nothing).collect();
        if parts.len() > 1 {
            return Self::All(parts);
        }
        parts.pop().unwrap_or(Self::Nothing)
    }

    fn any(mut parts: Vec<Self>) -> Self {
        if parts.is_empty() || parts.contains(&Self::Nothing) {
            return Self::Nothing;
        }
        if parts.len() > 1 { Self::Any(parts) } else { parts.pop().unwrap_or(Self::Nothing) }
    }

    fn words<'n>(&'n self, into: &mut BTreeMap<&'n str, usize>) {
        match self {
            Self::Nothing => {}
            Self::Word(word) => {
                let next = into.len();
                into.entry(word).or_insert(next);
            }
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.words(into)),
        }
    }
}

fn of_rule(rule: &Value, utilities: &Value, depth: usize) -> Needs {
    let (Some(keys), true) = (rule.as_object(), depth > 0) else { return Needs::Nothing };
    let inner = |value: &Value| of_rule(value, utilities, depth - 1);
    let list = |value: &Value| value.as_array().map(|rules| rules.iter().map(inner).collect()).unwrap_or_default();
    let of_key = |(key, value): (&String, &Value)| match key.as_str() {
        "pattern" => of_pattern(value),
        "regex" => value.as_str().map_or(Needs::Nothing, of_regex),
        "has" | "inside" | "precedes" | "follows" => inner(value),
        "all" => Needs::all(list(value)),
        "any" => Needs::any(list(value)),
        "matches" => value.as_str().and_then(|name| utilities.get(name)).map_or(Needs::Nothing, inner),
        _ => Needs::Nothing,
    };
    Needs::all(keys.iter().map(of_key).collect())
}

/// The names in a pattern. Of one with a selector only a part is matched, and a loose one is matched by its shape.
fn of_pattern(pattern: &Value) -> Needs {
    let exact = |strictness: Option<&Value>| {
        strictness.is_none_or(|strictness| strictness.is_null() || matches!(strictness.as_str(), Some("smart" | "cst")))
    };
    let code = match pattern {
        Value::String(code) => code.as_str(),
        Value::Object(keys) if keys.get("selector").is_none_or(Value::is_null) && exact(keys.get("strictness")) => {
            keys.get("context").and_then(Value::as_str).unwrap_or_default()
        }
        _ => "",
    };
    Needs::all(names(code).map(Needs::Word).collect())
}

/// The words of ASCII letters, digits and `_` that are no metavariable.
fn names(code: &str) -> impl Iterator<Item = String> + '_ {
    let mut rest = code;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(is_of_word)?;
            let end = rest.get(start..)?.find(|c| !is_of_word(c)).map_or(rest.len(), |length| start + length);
            let outside = |c: Option<char>| c.is_none_or(|c| c.is_ascii() && c != '$');
            let free = outside(rest.get(..start)?.chars().next_back()) && outside(rest.get(end..)?.chars().next());
            let word = rest.get(start..end)?;
            rest = rest.get(end..)?;
            if free && word.len() >= MIN_WORD {
                return Some(word.to_owned());
            }
        }
    })
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// One of the texts that every match of the expression begins or ends with.
fn of_regex(expression: &str) -> Needs {
    let Ok(parsed) = regex_syntax::parse(expression) else { return Needs::Nothing };
    let extract = |kind| Extractor::new().kind(kind).limit_total(256).limit_class(16).extract(&parsed);
    match of_literals(&extract(ExtractKind::Prefix)) {
        Needs::Nothing => of_literals(&extract(ExtractKind::Suffix)),
        needs => needs,
    }
}

fn of_literals(literals: &Seq) -> Needs {
    let Some(literals) = literals.literals() else { return Needs::Nothing };
    let mut words = Vec::new();
    for literal in literals {
        // The search does not mind the case of ASCII letters, so neither do the words.
        match std::str::from_utf8(literal.as_bytes()).map(str::to_ascii_lowercase) {
            Ok(word) if word.len() >= MIN_WORD => {
                if !words.contains(&Needs::Word(word.clone())) {
                    words.push(Needs::Word(word));
                }
            }
            _ => return Needs::Nothing,
        }
    }
    Needs::any(words)
}

/// Looks for everything that the rules of a set need.
pub(super) struct Prefilter {
    /// None when the search cannot be built: then every rule may match.
    search: Option<AhoCorasick>,
    words: usize,
    needs: Vec<Indexed>,
}

/// [`Needs`] with words by their number in the search.
enum Indexed {
    Nothing,
    Word(usize),
    All(Vec<Indexed>),
    Any(Vec<Indexed>),
}

impl Indexed {
    fn of(needs: &Needs, words: &BTreeMap<&str, usize>) -> Self {
        let list = |parts: &[Needs]| parts.iter().map(|part| Self::of(part, words)).collect();
        match needs {
            Needs::Nothing => Self::Nothing,
            Needs::Word(word) => words.get(word.as_str()).map_or(Self::Nothing, |number| Self::Word(*number)),
            Needs::All(parts) => Self::All(list(parts)),
            Needs::Any(parts) => Self::Any(list(parts)),
        }
    }

    fn met(&self, present: &[bool]) -> bool {
        match self {
            Self::Nothing => true,
            Self::Word(number) => present.get(*number).copied().unwrap_or(true),
            Self::All(parts) => parts.iter().all(|part| part.met(present)),
            Self::Any(parts) => parts.iter().any(|part| part.met(present)),
        }
    }
}

impl Prefilter {
    /// For rules in their order.
    pub fn new(needs: &[Needs]) -> Self {
        let mut words = BTreeMap::new();
        needs.iter().for_each(|needs| needs.words(&mut words));
        let mut sorted: Vec<(&str, usize)> = words.iter().map(|(word, number)| (*word, *number)).collect();
        sorted.sort_by_key(|(_, number)| *number);
        // Overlapping matches are wanted. Some languages (PHP) do not mind the case of their words.
        let search = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(sorted.iter().map(|(word, _)| word))
            .ok();
        Self { search, words: words.len(), needs: needs.iter().map(|needs| Indexed::of(needs, &words)).collect() }
    }

    /// For each rule whether it may match somewhere in the text.
    pub fn may_match(&self, text: &str) -> Vec<bool> {
        let Some(search) = &self.search else { return vec![true; self.needs.len()] };
        let mut present = vec![false; self.words];
        for found in search.find_overlapping_iter(text) {
            if let Some(slot) = present.get_mut(found.pattern().as_usize()) {
                *slot = true;
            }
        }
        self.needs.iter().map(|needs| needs.met(&present)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn word(text: &str) -> Needs {
        Needs::Word(text.to_owned())
    }

    #[test]
    fn a_rule_needs_what_each_of_its_matches_holds() {
        let utilities = json!({
            "loader": {"any": [{"pattern": "yaml.load($A)"}, {"regex": "^(unsafe_load|full_load)$"}]},
            "loops": {"has": {"matches": "loops"}},
        });
        let needs = |rule: Value| Needs::of(&rule, &utilities);
        assert_eq!(needs(json!({"pattern": "hashlib.md5($$$ARGS)"})), Needs::All(vec![word("hashlib"), word("md5")]));
        assert_eq!(needs(json!({"pattern": "$A.$METHOD($$$)"})), Needs::Nothing);
        assert_eq!(needs(json!({"pattern": "f($X)", "has": {"regex": "^secret"}})), word("secret"));
        assert_eq!(
            needs(json!({"matches": "loader"})),
            Needs::Any(vec![
                Needs::All(vec![word("yaml"), word("load")]),
                Needs::Any(vec![word("unsafe_load"), word("full_load")]),
            ])
        );
        assert_eq!(needs(json!({"any": [{"pattern": "yaml.load($A)"}, {"kind": "call"}]})), Needs::Nothing);
        assert_eq!(needs(json!({"not": {"pattern": "yaml.load($A)"}})), Needs::Nothing);
        assert_eq!(needs(json!({"matches": "loops"})), Needs::Nothing);
        assert_eq!(needs(json!({"regex": ".*Password$"})), word("password"));
        assert_eq!(needs(json!({"regex": "."})), Needs::Nothing);
        let selected = json!({"pattern": {"context": "class A { int field; }", "selector": "field_declaration"}});
        assert_eq!(needs(selected), Needs::Nothing);
        let loose = json!({"pattern": {"context": "eval($A)", "strictness": "signature"}});
        assert_eq!(needs(loose), Needs::Nothing);
    }

    #[test]
    fn one_pass_tells_for_all_rules() {
        let md5 = Needs::All(vec![word("hashlib"), word("md5")]);
        let loads = Needs::Any(vec![word("load"), word("loads")]);
        let filter = Prefilter::new(&[md5, loads, Needs::Nothing]);
        assert_eq!(filter.may_match("import hashlib"), [false, false, true]);
        assert_eq!(filter.may_match("import HASHLIB; md5(); downloads"), [true, true, true]);
        assert_eq!(filter.may_match(""), [false, false, true]);
    }
}
