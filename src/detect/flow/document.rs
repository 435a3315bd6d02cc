//! The documents that tell the data flow, as people write them: `flow` in a rule, and `<name>.flow.yml` beside the rules.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `<name>.flow.yml`: what holds for all rules of some languages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::detect) struct FlowDocument {
    pub languages: Vec<String>,
    #[serde(default)]
    pub sources: Vec<SourceSpec>,
    #[serde(default)]
    pub cleaners: Vec<CleanerSpec>,
    #[serde(default)]
    pub passes: Vec<PassSpec>,
    #[serde(default)]
    pub callbacks: Vec<CallbackSpec>,
    #[serde(default)]
    pub guards: Vec<GuardSpec>,
    /// Calls that do not return.
    #[serde(default)]
    pub exits: Vec<String>,
    /// Types whose `append`, `write` and the like lengthen a text.
    #[serde(default)]
    pub builders: Vec<String>,
    /// What makes an empty list or map.
    #[serde(default)]
    pub containers: Vec<String>,
    #[serde(default)]
    pub trusted: Vec<TrustedSpec>,
    /// Types that hold no text: a regular expression.
    #[serde(default)]
    pub plain_types: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::detect) struct SourceSpec {
    pub kind: String,
    /// Places that are read; with `()` at the end, what a call gives.
    #[serde(default)]
    pub read: Vec<String>,
    #[serde(default)]
    pub parameters: Option<ParameterSpec>,
    /// The uses that values from there are harmless for.
    #[serde(default)]
    pub clean: Option<Names>,
    /// What the text of such a value begins with.
    #[serde(default)]
    pub prefix: Option<String>,
    /// A text that the file must hold.
    #[serde(default)]
    pub file: Option<String>,
    /// A call with more arguments does something else.
    #[serde(default)]
    pub most: Option<usize>,
    /// Arguments of a call that must be like this.
    #[serde(default, rename = "where")]
    pub whether: BTreeMap<String, String>,
    /// The arguments of a call that it fills, in place of what it gives.
    #[serde(default)]
    pub into: Option<Arguments>,
    /// Whatever is calculated from such a value is one too: a number, a digest, an element that it chooses.
    #[serde(default)]
    pub lasting: bool,
}

/// What a function gets that is handed to a call: names that its parameters stand for, in order; an empty one says nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::detect) struct CallbackSpec {
    pub call: Vec<String>,
    #[serde(default, rename = "where")]
    pub whether: BTreeMap<String, String>,
    pub names: Vec<String>,
}

/// Regular expressions over what is written at a function or parameter; those that are given must all hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::detect) struct ParameterSpec {
    #[serde(default)]
    pub decorated: Option<String>,
    #[serde(default)]
    pub annotated: Option<String>,
    #[serde(default)]
    pub typed: Option<String>,
    #[serde(default)]
    pub except_typed: Option<String>,
    /// With `NAME` for the parameter's name: a decorator that says the parameter is harmless.
    #[serde(default)]
    pub except_decorated: Option<String>,
    /// The parameter's own name.
    #[serde(default)]
    pub named: Option<String>,
    /// The name of the function's first parameter.
    #[serde(default)]
    pub first: Option<String>,
    /// The name of the function.
    #[serde(default)]
    pub function: Option<String>,
    /// Something in the text of the file.
    #[serde(default)]
    pub file: Option<String>,
    /// Only the parameters at these places, from 0; all when there are none.
    #[serde(default)]
    pub at: Vec<usize>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::detect) struct CleanerSpec {
    pub call: Vec<String>,
    /// Counts only where no other one does.
    #[serde(default)]
    pub weak: bool,
    #[serde(rename = "for")]
    pub uses: Names,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::detect) struct PassSpec {
    pub call: Vec<String>,
    #[serde(default)]
    pub from: Option<Arguments>,
    #[serde(default)]
    pub format: Option<Argument>,
    #[serde(default)]
    pub joins: bool,
    /// The last part that is absolute stands for all, as in Python's `os.path.join`.
    #[serde(default)]
    pub overrides: bool,
    /// The uses that what is handed on is harmless for.
    #[serde(default)]
    pub cleans: Option<Names>,
    /// The arguments that are filled, in place of what the call gives.
    #[serde(default)]
    pub into: Option<Arguments>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::detect) struct GuardSpec {
    pub call: Vec<String>,
    /// Counts only for a value that is harmless for this use already.
    #[serde(default)]
    pub needs: Option<String>,
    /// A text that the other side must fit where it is known.
    #[serde(default)]
    pub like: Option<String>,
    /// A regular expression of the program that the argument is tested against, and whether it must fit all of it anyway.
    #[serde(default)]
    pub pattern: Option<Argument>,
    #[serde(default)]
    pub whole: bool,
    #[serde(default)]
    pub argument: Option<Arguments>,
    #[serde(default)]
    pub fixed: Option<Argument>,
    #[serde(rename = "for", default = "every")]
    pub uses: Names,
    #[serde(default = "yes")]
    pub when: bool,
}

fn yes() -> bool {
    true
}

fn every() -> Names {
    Names::All(AllName::All)
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::detect) struct TrustedSpec {
    pub name: String,
    #[serde(rename = "for")]
    pub uses: Names,
}

/// `flow` in a rule document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::detect) struct RuleFlow {
    #[serde(rename = "use")]
    pub use_of: String,
    pub from: BTreeMap<String, Level>,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub unless_prefix: Option<String>,
    /// Values that are at a path like this as a whole are harmless.
    #[serde(default)]
    pub unless_path: Option<String>,
    /// Nothing is found in a function whose text holds this.
    #[serde(default)]
    pub unless_near: Option<String>,
    /// Nothing is found in a file whose text holds this.
    #[serde(default)]
    pub unless_file: Option<String>,
    /// Only in a file whose text holds this.
    #[serde(default)]
    pub only_file: Option<String>,
    /// What is to be changed is the source: the finding stands there.
    #[serde(default)]
    pub at_source: bool,
    pub sinks: Vec<SinkSpec>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::detect) enum Level {
    /// Whatever comes from there.
    Any,
    /// Only when it became a part of a longer text.
    Built,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::detect) struct SinkSpec {
    #[serde(default)]
    pub call: Vec<String>,
    #[serde(default)]
    pub new: Vec<String>,
    #[serde(default)]
    pub assign: Vec<String>,
    /// A regular expression over the decorators of the function whose returned value is meant.
    #[serde(default)]
    pub returned_by: Option<String>,
    /// A regular expression over the name that a value gets: of a variable, a field, a key, an argument, or of the function that
    /// gives it back.
    #[serde(default)]
    pub named: Option<String>,
    #[serde(default)]
    pub argument: Option<Arguments>,
    #[serde(default, rename = "where")]
    pub whether: BTreeMap<String, String>,
    /// Arguments or options that must be texts of the program itself, like this.
    #[serde(default)]
    pub written: BTreeMap<String, String>,
    /// Arguments or options that must not be given.
    #[serde(default)]
    pub unless: Vec<String>,
    /// Only text whose constant parts have the form that the rule's `text` describes.
    #[serde(default)]
    pub formed: bool,
    /// Only a value that is no list or map.
    #[serde(default)]
    pub single: bool,
    /// Whatever the values come from: that the conditions hold is what is wrong.
    #[serde(default)]
    pub always: bool,
    /// Only in a file whose text holds this.
    #[serde(default)]
    pub only_file: Option<String>,
    /// Calls that are meant by the patterns and are something else.
    #[serde(default)]
    pub except: Vec<String>,
    /// The sources that count here, in place of the rule's.
    #[serde(default)]
    pub from: Option<BTreeMap<String, Level>>,
    /// Harmless here when the text certainly begins like this.
    #[serde(default)]
    pub unless_prefix: Option<String>,
}

/// `all`, or some by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(in crate::detect) enum Names {
    Some(Vec<String>),
    All(AllName),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::detect) enum AllName {
    All,
}

/// One argument of a call: its number from 0, its name, `receiver` for what a method is called on, `all`, or `0.2` for a
/// part of one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "ArgumentText")]
pub(in crate::detect) enum Argument {
    Number(usize),
    Named(String),
    Receiver,
    All,
    /// From this number on.
    From(usize),
    Part(usize, String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum ArgumentText {
    Number(usize),
    Text(String),
}

impl From<ArgumentText> for Argument {
    fn from(text: ArgumentText) -> Self {
        match text {
            ArgumentText::Number(number) => Self::Number(number),
            ArgumentText::Text(text) => Self::read(&text),
        }
    }
}

impl Argument {
    pub fn read(text: &str) -> Self {
        if let Some(number) = text.strip_suffix('+').and_then(|number| number.parse().ok()) {
            return Self::From(number);
        }
        if let Some((number, part)) = text.split_once('.')
            && let Ok(number) = number.parse()
        {
            return Self::Part(number, part.to_owned());
        }
        match text {
            "receiver" => Self::Receiver,
            "all" => Self::All,
            _ => text.parse().map_or_else(|_| Self::Named(text.to_owned()), Self::Number),
        }
    }
}

/// One argument, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(in crate::detect) enum Arguments {
    Several(Vec<Argument>),
    One(Argument),
}

impl From<Arguments> for Vec<Argument> {
    fn from(arguments: Arguments) -> Self {
        match arguments {
            Arguments::Several(several) => several,
            Arguments::One(one) => vec![one],
        }
    }
}
