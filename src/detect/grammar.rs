//! The grammars behind the languages, as ast-grep wants to see them.
//!
//! ast-grep knows most of ours by name. It has none for Dockerfiles, and reads PHP without the markup around it; both are
//! added here, so that their rules are data like all others.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use ast_grep_core::matcher::{Pattern, PatternBuilder, PatternError};
use ast_grep_core::meta_var::MetaVariable;
use ast_grep_core::source::{Doc, Edit};
use ast_grep_core::tree_sitter::{LanguageExt, StrDoc, TSLanguage};
use ast_grep_language::{Language, SupportLang};
use serde::{Deserialize, Deserializer};

/// A grammar that is linked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// One that ast-grep brings. It panics on those that are not linked: only [`super::language::grammar`] makes these.
    Shared(SupportLang),
    /// PHP as files hold it: markup, with code between `<?php` and `?>`.
    Php,
    Dockerfile,
}

impl Grammar {
    /// The language of ast-grep whose way of writing variables in patterns is followed.
    fn manner(self) -> SupportLang {
        match self {
            Self::Shared(language) => language,
            Self::Php => SupportLang::Php,
            // `$NAME` means something in a Dockerfile; as in Nix, an underscore may begin a name of any kind.
            Self::Dockerfile => SupportLang::Nix,
        }
    }
}

impl fmt::Display for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(language) => write!(f, "{language}"),
            Self::Php => f.write_str("Php"),
            Self::Dockerfile => f.write_str("Dockerfile"),
        }
    }
}

/// No grammar of this name is known.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not supported")]
pub struct UnknownGrammar(String);

impl FromStr for Grammar {
    type Err = UnknownGrammar;

    fn from_str(name: &str) -> Result<Self, UnknownGrammar> {
        if ["dockerfile", "containerfile"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
            return Ok(Self::Dockerfile);
        }
        match name.parse() {
            Ok(SupportLang::Php) => Ok(Self::Php),
            Ok(language) => Ok(Self::Shared(language)),
            Err(_) => Err(UnknownGrammar(name.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for Grammar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Language for Grammar {
    fn pre_process_pattern<'q>(&self, query: &'q str) -> Cow<'q, str> {
        self.manner().pre_process_pattern(query)
    }

    fn meta_var_char(&self) -> char {
        self.manner().meta_var_char()
    }

    fn expando_char(&self) -> char {
        self.manner().expando_char()
    }

    fn extract_meta_var(&self, source: &str) -> Option<MetaVariable> {
        self.manner().extract_meta_var(source)
    }

    fn kind_to_id(&self, kind: &str) -> u16 {
        self.get_ts_language().id_for_node_kind(kind, true)
    }

    fn field_to_id(&self, field: &str) -> Option<u16> {
        self.get_ts_language().field_id_for_name(field).map(|id| id.get())
    }

    fn build_pattern(&self, builder: &PatternBuilder<'_>) -> Result<Pattern, PatternError> {
        match self {
            Self::Shared(language) => language.build_pattern(builder),
            Self::Php => builder.build(PhpPattern::parse),
            Self::Dockerfile => builder.build(|code| StrDoc::try_new(code, *self)),
        }
    }
}

impl LanguageExt for Grammar {
    fn get_ts_language(&self) -> TSLanguage {
        match self {
            Self::Shared(language) => language.get_ts_language(),
            Self::Php => tree_sitter_php::LANGUAGE_PHP.into(),
            Self::Dockerfile => tree_sitter_containerfile::LANGUAGE.into(),
        }
    }
}

/// A pattern in PHP: code without `<?php` before it, which the grammar would take for markup.
#[derive(Clone)]
struct PhpPattern(StrDoc<Grammar>);

impl PhpPattern {
    fn parse(code: &str) -> Result<Self, String> {
        let tagged = if code.starts_with("<?") { code.to_owned() } else { format!("<?php {code}") };
        StrDoc::try_new(&tagged, Grammar::Php).map(Self)
    }
}

impl Doc for PhpPattern {
    type Source = String;
    type Lang = Grammar;
    type Node<'r> = tree_sitter::Node<'r>;

    fn get_lang(&self) -> &Grammar {
        self.0.get_lang()
    }

    fn get_source(&self) -> &String {
        self.0.get_source()
    }

    fn do_edit(&mut self, edit: &Edit<String>) -> Result<(), String> {
        self.0.do_edit(edit)
    }

    /// The statement when there is one alone, so that the tag is no part of the pattern.
    fn root_node(&self) -> tree_sitter::Node<'_> {
        let root = self.0.tree.root_node();
        let mut cursor = root.walk();
        let mut statements = root.children(&mut cursor).filter(|node| node.kind() != "php_tag");
        match (statements.next(), statements.next()) {
            (Some(alone), None) => alone,
            _ => root,
        }
    }

    fn get_node_text<'a>(&'a self, node: &tree_sitter::Node<'a>) -> Cow<'a, str> {
        self.0.get_node_text(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(grammar: &str, pattern: &str, code: &str) -> Vec<String> {
        let grammar: Grammar = grammar.parse().unwrap();
        let tree = grammar.ast_grep(code);
        tree.root().find_all(pattern).map(|found| found.text().into_owned()).collect()
    }

    #[test]
    fn a_pattern_in_php_is_code_and_a_file_is_markup_with_code() {
        let page = "<h1>eval(1)</h1>\n<?php if ($a) { eval($b); } ?>\n<p><?= eval($c) ?></p>\n";
        assert_eq!(finds("php", "eval($A)", page), ["eval($b)", "eval($c)"]);
    }

    #[test]
    fn a_dockerfile_is_read_by_its_instructions() {
        let file = "FROM alpine:3\nRUN apk add \\\n  # comment\n  curl\nENV TOKEN=$SECRET\n";
        assert_eq!(finds("Dockerfile", "FROM $IMAGE", file), ["FROM alpine:3"]);
        assert!("Cobol".parse::<Grammar>().is_err());
    }
}
