//! Code that stays and does less than it did: a weaker algorithm, a wider handler, operands or connectives exchanged.

use std::collections::BTreeMap;

use super::change::Change;
use crate::fix::pattern::kinds;
use crate::fix::pattern::tree::{NodeId, Tree};

/// Algorithms, modes and protocol versions that are broken, in lower case, letters and digits only.
const WEAK: [&str; 24] = [
    "md2",
    "md4",
    "md5",
    "sha1",
    "des",
    "desede",
    "3des",
    "tripledes",
    "rc2",
    "rc4",
    "arc4",
    "arcfour",
    "blowfish",
    "ecb",
    "modeecb",
    "sslv2",
    "sslv3",
    "tlsv1",
    "tlsv11",
    "versionssl30",
    "versiontls10",
    "versiontls11",
    "protocoltlsv1",
    "protocolsslv3",
];

/// Handlers of these types take whatever comes.
const WIDE: [&str; 4] = ["Exception", "BaseException", "StandardError", "Throwable"];

/// Whether a broken algorithm, or an unencrypted address, is used where none was.
pub fn algorithm(change: &Change) -> Option<String> {
    let weak = |tree: &Tree, id: NodeId| {
        let text = tree.text_of(id);
        let plain =
            |word: &str| word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        let named = |word: &str| WEAK.contains(&plain(word).as_str());
        let value = kinds::is_literal(tree, id);
        tree.is_leaf(id)
            && text.len() <= 60
            && ((kinds::is_name(tree.node(id).kind) && named(text))
                || (value && (named(text) || text.split(['/', ':', ' ', '"', '\'']).any(named))))
    };
    let open = |tree: &Tree, id: NodeId| {
        tree.is_leaf(id) && kinds::is_literal(tree, id) && tree.text_of(id).contains("http://")
    };
    let sealed = |tree: &Tree, id: NodeId| {
        tree.is_leaf(id) && kinds::is_literal(tree, id) && tree.text_of(id).contains("https://")
    };
    let (gone, come) = (change.balance(sealed), change.balance(open));
    let unsealed = gone.0 > gone.1 && come.1 > come.0;
    (change.more(weak) || unsealed).then(|| "it uses a weaker algorithm or protocol".to_owned())
}

/// Whether a handler of certain errors now takes any.
pub fn handler(change: &Change) -> Option<String> {
    let count = |tree: &Tree| {
        let (mut wide, mut narrow) = (0, 0);
        for id in tree.ids() {
            let types = caught(tree, id);
            let any = types.iter().any(|name| WIDE.contains(name));
            wide += usize::from(any);
            narrow += usize::from(!any && !types.is_empty());
        }
        (wide, narrow)
    };
    let (before, after) = (count(&change.old), count(&change.new));
    (after.0 > before.0 && after.1 < before.1).then(|| "it handles any error where it handled certain ones".to_owned())
}

/// The last names of the types that a handler names.
fn caught(tree: &Tree, clause: NodeId) -> Vec<&str> {
    if !matches!(tree.node(clause).kind, "except_clause" | "catch_clause") {
        return Vec::new();
    }
    let body = tree.node(clause).children.iter().copied().find(|child| kinds::is_block(tree.node(*child).kind));
    let end = body.unwrap_or(tree.subtree(clause).end);
    let name = |id: &NodeId| tree.is_leaf(*id) && kinds::is_name(tree.node(*id).kind);
    let alias = |id: &NodeId| {
        let mut up = std::iter::once(*id).chain(tree.ancestors(*id)).take(3);
        matches!(tree.node(*id).field, Some("alias" | "name" | "parameter"))
            || up.any(|up| tree.node(up).kind == "as_pattern_target")
    };
    // In JavaScript the one name is what the error is called.
    let script =
        tree.node(clause).kind == "catch_clause" && !tree.subtree(clause).any(|id| tree.node(id).kind == "catch_type");
    if script {
        return Vec::new();
    }
    (clause..end).filter(name).filter(|id| !alias(id)).map(|id| tree.text_of(id)).collect()
}

/// Whether the operands of an operator whose order counts have changed places.
pub fn swapped(change: &Change) -> Option<String> {
    let mut balance: BTreeMap<(u64, &str, u64), i64> = BTreeMap::new();
    for (tree, step) in [(&*change.old, -1), (&change.new, 1)] {
        for id in tree.ids() {
            if !matches!(tree.node(id).kind, "binary_operator" | "binary_expression" | "comparison_operator") {
                continue;
            }
            for three in tree.node(id).children.windows(3) {
                let [left, operator, right] = three else { continue };
                let text = tree.text_of(*operator);
                let ordered = matches!(text, "-" | "/" | "//" | "%" | "**" | "<<" | ">>" | "<" | ">" | "<=" | ">=");
                if ordered {
                    *balance.entry((tree.node(*left).hash, text, tree.node(*right).hash)).or_default() += step;
                }
            }
        }
    }
    let reversed = |(key, sum): (&(u64, &str, u64), &i64)| {
        *sum > 0 && key.0 != key.2 && balance.get(&(key.2, key.1, key.0)).is_some_and(|other| *other < 0)
    };
    balance.iter().any(reversed).then(|| "it exchanges the operands of an operator whose order counts".to_owned())
}

/// Whether `and` became `or` or the other way round, with no negation to make up for it.
pub fn connective(change: &Change) -> Option<String> {
    let count = |tree: &Tree, texts: [&str; 2]| {
        tree.ids().filter(|id| tree.is_leaf(*id) && !tree.node(*id).named && texts.contains(&tree.text_of(*id))).count()
    };
    let moved = |texts: [&str; 2]| count(&change.new, texts).cast_signed() - count(&change.old, texts).cast_signed();
    let (both, either, negated) = (moved(["and", "&&"]), moved(["or", "||"]), moved(["not", "!"]));
    (negated == 0 && both + either == 0 && both != 0).then(|| "it exchanges `and` and `or`".to_owned())
}
