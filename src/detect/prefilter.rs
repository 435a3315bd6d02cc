//! Which rules a text can concern at all: what a rule cannot do without is looked for once, in one pass over the text.
//!
//! Most rules speak of a few names (`yaml`, `md5`, `rejectUnauthorized`), and most files have none of them. A rule whose
//! names are missing is not tried on any node, and one whose names stand elsewhere is not tried on a node without them. The idea
//! is that of literal prefilters in searchers of text; here it goes through the whole of a rule, so `all` needs each part and `any`
//! one of them. What cannot be told needs nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use serde_json::Value;

/// How far utilities are followed into each other; they may be recursive.
const MAX_DEPTH: usize = 12;
/// Shortest word worth looking for, bytes.
const MIN_WORD: usize = 3;
/// Places of one word that are remembered; one that stands in more is taken to stand everywhere.
const MAX_PLACES: usize = 4_096;

/// What a text must contain for a rule to match anywhere in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing that could be told.
    Nothing,
    Word(String),
    All(Vec<Needs>),
    Any(Vec<Needs>),
}

/// Where a rule's words are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Text,
    /// In the matched node alone: what is around, before or behind it does not count.
    Node,
}

impl Needs {
    /// What a text must contain for the rule, given as ast-grep serialises it, with its utilities by name.
    pub fn of(rule: &Value, utilities: &Value) -> Self {
        of_rule(rule, utilities, (Scope::Text, MAX_DEPTH))
    }

    /// What the node itself must contain that the rule matches.
    pub fn of_node(rule: &Value, utilities: &Value) -> Self {
        of_rule(rule, utilities, (Scope::Node, MAX_DEPTH))
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

fn of_rule(rule: &Value, utilities: &Value, (scope, depth): (Scope, usize)) -> Needs {
    let (Some(keys), true) = (rule.as_object(), depth > 0) else { return Needs::Nothing };
    let inner = |value: &Value| of_rule(value, utilities, (scope, depth - 1));
    let list = |value: &Value| value.as_array().map(|rules| rules.iter().map(inner).collect()).unwrap_or_default();
    let of_key = |(key, value): (&String, &Value)| match key.as_str() {
        "pattern" => of_pattern(value),
        "regex" => value.as_str().map_or(Needs::Nothing, of_regex),
        "has" => inner(value),
        "inside" | "precedes" | "follows" if scope == Scope::Text => inner(value),
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
    /// Lengths of the words, bytes.
    words: Vec<usize>,
    needs: Vec<Indexed>,
    node_needs: Vec<Indexed>,
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

    fn met(&self, there: &impl Fn(usize) -> bool) -> bool {
        match self {
            Self::Nothing => true,
            Self::Word(number) => there(*number),
            Self::All(parts) => parts.iter().all(|part| part.met(there)),
            Self::Any(parts) => parts.iter().any(|part| part.met(there)),
        }
    }
}

/// Where in a text the words of a set's rules stand.
pub(super) struct Words<'f> {
    filter: &'f Prefilter,
    /// By word the offsets at which it begins, in order.
    places: Vec<Vec<u32>>,
}

impl Prefilter {
    /// For rules in their order: what a text must contain for each, and what a node.
    pub fn new(needs: &[(Needs, Needs)]) -> Self {
        let mut words = BTreeMap::new();
        needs.iter().for_each(|(text, node)| {
            text.words(&mut words);
            node.words(&mut words);
        });
        let mut sorted: Vec<(&str, usize)> = words.iter().map(|(word, number)| (*word, *number)).collect();
        sorted.sort_by_key(|(_, number)| *number);
        // Overlapping matches are wanted. Some languages (PHP) do not mind the case of their words.
        let search = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(sorted.iter().map(|(word, _)| word))
            .ok();
        Self {
            search,
            words: sorted.iter().map(|(word, _)| word.len()).collect(),
            needs: needs.iter().map(|(text, _)| Indexed::of(text, &words)).collect(),
            node_needs: needs.iter().map(|(_, node)| Indexed::of(node, &words)).collect(),
        }
    }

    /// One pass over a text.
    pub fn look(&self, text: &str) -> Words<'_> {
        let mut places = vec![Vec::new(); self.words.len()];
        for found in self.search.iter().flat_map(|search| search.find_overlapping_iter(text)) {
            let (Some(places), Ok(start)) = (places.get_mut(found.pattern().as_usize()), u32::try_from(found.start()))
            else {
                continue;
            };
            if places.len() < MAX_PLACES {
                places.push(start);
            }
        }
        Words { filter: self, places }
    }
}

impl Words<'_> {
    /// Whether the rule of a number may match somewhere in the text.
    pub fn allow(&self, rule: usize) -> bool {
        let there = |word: usize| self.places.get(word).is_none_or(|places| !places.is_empty());
        self.filter.search.is_none() || self.filter.needs.get(rule).is_none_or(|needs| needs.met(&there))
    }

    /// Whether the rule of a number may match a node of these bytes.
    pub fn allow_at(&self, rule: usize, node: Range<usize>) -> bool {
        let there = |word: usize| {
            let Some((places, length)) = self.places.get(word).zip(self.filter.words.get(word)) else { return true };
            let next = places.partition_point(|place| (*place as usize) < node.start);
            let inside = places.get(next).is_some_and(|place| *place as usize + length <= node.end);
            inside || places.len() >= MAX_PLACES
        };
        self.filter.search.is_none() || self.filter.node_needs.get(rule).is_none_or(|needs| needs.met(&there))
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
    fn what_stands_around_a_node_is_needed_in_the_text_and_not_in_the_node() {
        let rule =
            json!({"pattern": "run($A)", "inside": {"pattern": "with open($F): $$$"}, "has": {"regex": "^shell"}});
        let (run, open, shell) = (word("run"), word("open"), word("shell"));
        let with = Needs::All(vec![word("with"), open]);
        assert_eq!(Needs::of(&rule, &json!({})), Needs::All(vec![shell.clone(), with, run.clone()]));
        assert_eq!(Needs::of_node(&rule, &json!({})), Needs::All(vec![shell, run]));
    }

    #[test]
    fn one_pass_tells_for_all_rules() {
        let md5 = Needs::All(vec![word("hashlib"), word("md5")]);
        let loads = Needs::Any(vec![word("load"), word("loads")]);
        let filter = Prefilter::new(&[md5, loads, Needs::Nothing].map(|needs| (needs.clone(), needs)));
        let allowed = |text: &str| [0, 1, 2].map(|rule| filter.look(text).allow(rule));
        assert_eq!(allowed("import hashlib"), [false, false, true]);
        assert_eq!(allowed("import HASHLIB; md5(); downloads"), [true, true, true]);
        assert_eq!(allowed(""), [false, false, true]);
    }

    #[test]
    fn a_node_is_tried_where_the_words_stand_in_it_as_a_whole() {
        let filter = Prefilter::new(&[(word("load"), word("load")), (word("load"), Needs::Nothing)]);
        let words = filter.look("load(a); x(); download(b)");
        let allowed = |rule: usize| [0..7, 1..8, 9..12, 14..25, 18..21].map(|node| words.allow_at(rule, node));
        assert_eq!(allowed(0), [true, false, false, true, false]);
        assert_eq!(allowed(1), [true; 5]);
        // More places than are remembered: the word may be anywhere.
        let many = "load ".repeat(MAX_PLACES + 1);
        assert!(filter.look(&many).allow_at(0, many.len() - 1..many.len()));
    }
}
