//! The data flow of a language as rule files tell it: what is untrusted, where it must not go, what makes it harmless.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;

use super::document::{Argument, FlowDocument, GuardSpec, Level, Names, RuleFlow, SinkSpec, SourceSpec};
use super::pattern::Patterns;
use crate::detect::rule_file::RuleError;
use crate::model::RuleInfo;

/// A kind of source, by number.
pub(super) type KindId = u8;
/// Something of which nothing is known: never a reason for a finding, but not harmless either.
pub(super) const UNKNOWN: KindId = 0;
/// A parameter of the function that is looked at.
pub(super) const PARAMETER: KindId = 1;

/// A set of uses (`sql`, `shell`), or of forms of text.
pub(super) type Mask = u64;

/// Uses that can be told apart in one language.
const MAX_USES: usize = 60;

/// What a rule says of its flow.
#[derive(Debug)]
pub(super) struct FlowRule {
    pub info: Arc<RuleInfo>,
    /// The use that its sinks make of a value.
    pub use_of: Mask,
    /// Which sources count, and whether any value of them does or only one that was built into a longer text.
    pub from: BTreeMap<KindId, Level>,
    /// The form of text that some of its sinks ask for.
    pub shape: Mask,
    pub form: Option<Regex>,
    /// Values whose text certainly begins like this are harmless.
    pub unless_prefix: Option<Regex>,
    pub unless_path: Option<Regex>,
    pub unless_near: Option<Regex>,
    pub unless_file: Option<Regex>,
}

/// Where a value must not go.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    pub rule: usize,
    pub arguments: Vec<Argument>,
    /// Arguments or options that must be like this.
    pub conditions: Vec<(String, Regex)>,
    /// Arguments or options that must not be given.
    pub absent: Vec<String>,
    /// The constant parts of the text must have the rule's form.
    pub formed: bool,
    pub constructs: Option<bool>,
}

#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub subject: Vec<Argument>,
    /// Must not be untrusted itself.
    pub fixed: Option<Argument>,
    pub mask: Mask,
    pub when: bool,
}

/// What hands its arguments on.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub from: Vec<Argument>,
    /// The number of the argument that is a format; the others are put into it.
    pub format: Option<Argument>,
    /// Every argument becomes a part of one text.
    pub joins: bool,
}

/// Parameters that the caller from outside fills.
#[derive(Debug)]
pub(super) struct ParameterSource {
    pub kind: KindId,
    pub decorated: Option<Regex>,
    pub annotated: Option<Regex>,
    pub typed: Option<Regex>,
    pub except_typed: Option<Regex>,
    pub except_decorated: Option<Regex>,
    pub at: Vec<usize>,
}

/// Everything that is known of a language.
#[derive(Debug, Default)]
pub(in crate::detect) struct FlowRules {
    pub(super) rules: Vec<FlowRule>,
    uses: Vec<String>,
    kinds: Vec<String>,
    pub(super) sources: Patterns<KindId>,
    pub(super) parameters: Vec<ParameterSource>,
    pub(super) cleaners: Patterns<Mask>,
    pub(super) passes: Patterns<Pass>,
    pub(super) guards: Patterns<Guard>,
    pub(super) exits: Patterns<()>,
    pub(super) builders: Patterns<()>,
    pub(super) trusted: Vec<(Regex, Mask)>,
    pub(super) plain_types: Vec<Regex>,
    pub(super) calls: Patterns<Sink>,
    pub(super) assigns: Patterns<Sink>,
    pub(super) returns: Vec<(Regex, Sink)>,
    /// The uses that only what a text begins with matters for.
    pub(super) leading: Mask,
    /// Matches the names that a sink may have.
    pub(super) names: Option<Regex>,
}

/// A document of a pack, for error messages with its name.
pub(in crate::detect) struct Named<'d, T> {
    pub file: &'d str,
    pub document: T,
}

impl FlowRules {
    /// Compiles the documents of one language.
    ///
    /// # Errors
    /// Names the document, what is wrong and the remedy.
    pub(in crate::detect) fn compile(
        vocabulary: &[Named<'_, FlowDocument>],
        rules: Vec<Named<'_, (Arc<RuleInfo>, RuleFlow)>>,
    ) -> Result<Self, RuleError> {
        let mut flow = Self { kinds: vec!["unknown".to_owned(), "parameter".to_owned()], ..Self::default() };
        for rule in rules {
            flow.add_rule(rule.file, rule.document)?;
        }
        for named in vocabulary {
            flow.add_vocabulary(named.file, &named.document)?;
        }
        flow.names = flow.sink_names();
        flow.leading = flow.mask_of(&["url", "redirect"]);
        Ok(flow)
    }

    fn add_rule(&mut self, file: &str, (info, flow): (Arc<RuleInfo>, RuleFlow)) -> Result<(), RuleError> {
        let rule = self.rules.len();
        let use_of = self.mask(file, &Names::Some(vec![flow.use_of]))?;
        let mut from = BTreeMap::new();
        for (kind, level) in flow.from {
            from.insert(self.kind(file, &kind)?, level);
        }
        if rule >= 64 {
            return Err(RuleError::new(file, "more than 64 rules follow data in its language", "join some of them"));
        }
        for spec in flow.sinks {
            self.add_sink(file, rule, spec)?;
        }
        let form = optional(file, flow.text.as_deref())?;
        let unless_prefix = optional(file, flow.unless_prefix.as_deref())?;
        let unless_path = optional(file, flow.unless_path.as_deref())?;
        let unless_near = optional(file, flow.unless_near.as_deref())?;
        let unless_file = optional(file, flow.unless_file.as_deref())?;
        let shape = 1 << rule;
        self.rules.push(FlowRule {
            info,
            use_of,
            from,
            shape,
            form,
            unless_prefix,
            unless_path,
            unless_near,
            unless_file,
        });
        Ok(())
    }

    fn add_sink(&mut self, file: &str, rule: usize, spec: SinkSpec) -> Result<(), RuleError> {
        let mut conditions = Vec::new();
        for (place, text) in &spec.whether {
            conditions.push((place.clone(), regex(file, &format!("^(?:{text})$"))?));
        }
        let arguments = spec.argument.map(Into::into).unwrap_or_else(|| vec![Argument::Number(0)]);
        let absent = spec.unless.clone();
        let sink = Sink { rule, arguments, conditions, absent, formed: spec.formed, constructs: None };
        for (patterns, constructs) in [(&spec.call, Some(false)), (&spec.new, Some(true))] {
            for pattern in patterns {
                self.calls.add(pattern, &Sink { constructs, ..sink.clone() });
            }
        }
        for pattern in &spec.assign {
            self.assigns.add(pattern, &sink);
        }
        if let Some(decorated) = &spec.returned_by {
            self.returns.push((regex(file, decorated)?, sink));
        }
        Ok(())
    }

    fn add_vocabulary(&mut self, file: &str, document: &FlowDocument) -> Result<(), RuleError> {
        for source in &document.sources {
            self.add_source(file, source)?;
        }
        for cleaner in &document.cleaners {
            let mask = self.mask(file, &cleaner.uses)?;
            cleaner.call.iter().for_each(|pattern| self.cleaners.add(pattern, &mask));
        }
        for pass in &document.passes {
            let from = pass.from.clone().map_or_else(|| vec![Argument::All], Into::into);
            let meaning = Pass { from, format: pass.format.clone(), joins: pass.joins };
            pass.call.iter().for_each(|pattern| self.passes.add(pattern, &meaning));
        }
        for guard in &document.guards {
            self.add_guard(file, guard)?;
        }
        document.exits.iter().for_each(|pattern| self.exits.add(pattern, &()));
        document.builders.iter().for_each(|pattern| self.builders.add(pattern, &()));
        for trusted in &document.trusted {
            let mask = self.mask(file, &trusted.uses)?;
            self.trusted.push((regex(file, &trusted.name)?, mask));
        }
        if let Some(plain) = &document.plain_types {
            self.plain_types.push(regex(file, plain)?);
        }
        Ok(())
    }

    fn add_source(&mut self, file: &str, spec: &SourceSpec) -> Result<(), RuleError> {
        let kind = self.kind(file, &spec.kind)?;
        spec.read.iter().for_each(|pattern| self.sources.add(pattern, &kind));
        if let Some(parameters) = &spec.parameters {
            self.parameters.push(ParameterSource {
                kind,
                decorated: optional(file, parameters.decorated.as_deref())?,
                annotated: optional(file, parameters.annotated.as_deref())?,
                typed: optional(file, parameters.typed.as_deref())?,
                except_typed: optional(file, parameters.except_typed.as_deref())?,
                except_decorated: optional(file, parameters.except_decorated.as_deref())?,
                at: parameters.at.clone(),
            });
        }
        Ok(())
    }

    fn add_guard(&mut self, file: &str, spec: &GuardSpec) -> Result<(), RuleError> {
        let subject = spec.argument.clone().map_or_else(|| vec![Argument::Number(0)], Into::into);
        let mask = self.mask(file, &spec.uses)?;
        let guard = Guard { subject, fixed: spec.fixed.clone(), mask, when: spec.when };
        spec.call.iter().for_each(|pattern| self.guards.add(pattern, &guard));
        Ok(())
    }

    /// The number of a kind of source.
    fn kind(&mut self, file: &str, name: &str) -> Result<KindId, RuleError> {
        let known = self.kinds.iter().position(|kind| kind == name).unwrap_or(self.kinds.len());
        if known == self.kinds.len() {
            self.kinds.push(name.to_owned());
        }
        let refused = |_| RuleError::new(file, "more than 255 kinds of sources", "use the kinds that are there");
        KindId::try_from(known).map_err(refused)
    }

    fn mask(&mut self, file: &str, names: &Names) -> Result<Mask, RuleError> {
        let Names::Some(names) = names else { return Ok(Mask::MAX) };
        let mut mask = 0;
        for name in names {
            let known = self.uses.iter().position(|one| one == name).unwrap_or(self.uses.len());
            if known == self.uses.len() {
                self.uses.push(name.clone());
            }
            if known >= MAX_USES {
                return Err(RuleError::new(file, format!("more than {MAX_USES} uses"), "use those that are there"));
            }
            mask |= 1 << known;
        }
        Ok(mask)
    }

    /// The uses that a check of the host makes a value harmless for.
    pub(super) fn mask_of(&self, names: &[&str]) -> Mask {
        let set = self.uses.iter().enumerate().filter(|(_, name)| names.contains(&name.as_str()));
        set.fold(0, |mask, (number, _)| mask | 1 << number)
    }

    fn sink_names(&self) -> Option<Regex> {
        let mut names: Vec<String> =
            self.calls.last_parts().chain(self.assigns.last_parts()).map(regex::escape).collect();
        names.sort();
        names.dedup();
        if names.is_empty() && self.returns.is_empty() {
            return None;
        }
        Regex::new(&names.join("|")).ok()
    }

    /// The forms that a constant piece of text has.
    pub(super) fn forms(&self, text: &str) -> Mask {
        let having = |rule: &&FlowRule| rule.form.as_ref().is_some_and(|form| form.is_match(text));
        self.rules.iter().filter(having).fold(0, |mask, rule| mask | rule.shape)
    }

    /// Whether values of a type hold no text.
    pub(super) fn is_plain_type(&self, name: &str) -> bool {
        self.plain_types.iter().any(|plain| plain.is_match(name))
    }

    /// The name of a kind of source.
    pub(super) fn kind_name(&self, kind: KindId) -> &str {
        self.kinds.get(usize::from(kind)).map_or("unknown", String::as_str)
    }
}

fn regex(file: &str, text: &str) -> Result<Regex, RuleError> {
    let refused = |error: regex::Error| {
        let last = error.to_string().lines().last().unwrap_or_default().to_owned();
        RuleError::new(file, format!("{text:?} is no regular expression: {last}"), "correct it")
    };
    Regex::new(text).map_err(refused)
}

fn optional(file: &str, text: Option<&str>) -> Result<Option<Regex>, RuleError> {
    text.map(|text| regex(file, text)).transpose()
}
