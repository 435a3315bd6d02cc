//! The data flow of a language as rule files tell it: what is untrusted, where it must not go, what makes it harmless.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regex::Regex;

use super::document::{Argument, FlowDocument, GuardSpec, Level, Names, RuleFlow, SinkSpec, SourceSpec};
use super::pattern::Patterns;
use super::trace::Traces;
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

/// A path that leads neither upwards nor to the root stays where it is put; an address with one slash in front, on its host.
const PAIRS: &[(&str, [&str; 2])] = &[("path", ["dots", "absolute"]), ("redirect", ["rooted", "single"])];

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
    pub only_file: Option<Regex>,
    /// The finding stands where the value comes from.
    pub at_source: bool,
}

/// Where a value must not go.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    pub rule: usize,
    pub arguments: Vec<Argument>,
    /// Arguments or options that must be like this.
    pub conditions: Vec<(String, Regex)>,
    /// Those that must be such texts.
    pub written: Vec<(String, Regex)>,
    /// Arguments or options that must not be given.
    pub absent: Vec<String>,
    /// The number of what it asks of a value.
    pub demand: usize,
    pub constructs: Option<bool>,
    /// The conditions alone make it a finding.
    pub always: bool,
    /// Only in files that hold this: the number of the expression in `FlowRules::files`.
    pub file: Option<usize>,
    pub except: Patterns<()>,
}

/// What a sink asks of a value beyond what its rule does.
#[derive(Debug, Default)]
pub(super) struct Demand {
    /// The constant parts of the text must have the rule's form.
    pub formed: bool,
    /// The value must be no container.
    pub single: bool,
    /// In place of what the rule says.
    pub from: Option<BTreeMap<KindId, Level>>,
    pub unless_prefix: Option<Regex>,
}

/// What is read at a place that is a source.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub kind: KindId,
    pub clean: Mask,
    pub prefix: Option<Arc<str>>,
    /// A call with more arguments is none.
    pub most: Option<usize>,
    pub conditions: Vec<(String, Regex)>,
    /// Arguments that are filled.
    pub into: Vec<Argument>,
    /// Only in files that hold this: the number of the expression in `FlowRules::files`.
    pub file: Option<usize>,
    /// What is calculated from it is one too.
    pub lasting: bool,
}

/// What makes values harmless, and whether that counts only where nothing else does.
#[derive(Debug, Clone)]
pub(super) struct Cleaner {
    pub mask: Mask,
    pub weak: bool,
}

/// What the parameters of a function that is handed over stand for.
#[derive(Debug, Clone)]
pub(super) struct Callback {
    pub conditions: Vec<(String, Regex)>,
    pub names: Vec<String>,
}

/// Uses that the engine knows by name.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Those that only what a text begins with matters for.
    pub leading: Mask,
    /// A use, and two that make a value harmless for it together.
    pub pairs: Vec<(Mask, Mask)>,
    /// A path is not absolute; a path has no parts that lead nowhere.
    pub absolute: Mask,
    pub normal: Mask,
    /// It certainly is one text, not an object.
    pub text: Mask,
}

#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub subject: Vec<Argument>,
    /// Must not be untrusted itself.
    pub fixed: Option<Argument>,
    pub mask: Mask,
    pub when: bool,
    /// The uses that the value must be harmless for already.
    pub needs: Mask,
    /// What the fixed side is like where its text is known.
    pub like: Option<Regex>,
    /// The pattern that the subject is tested against.
    pub pattern: Option<Argument>,
    pub whole: bool,
}

/// What hands its arguments on.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub from: Vec<Argument>,
    /// The number of the argument that is a format; the others are put into it.
    pub format: Option<Argument>,
    /// Every argument becomes a part of one text.
    pub joins: bool,
    /// A part that is absolute stands for all.
    pub overrides: bool,
    pub cleans: Mask,
    /// Arguments that are filled.
    pub into: Vec<Argument>,
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
    pub named: Option<Regex>,
    pub first: Option<Regex>,
    pub function: Option<Regex>,
    pub file: Option<Regex>,
    pub at: Vec<usize>,
}

/// Everything that is known of a language.
#[derive(Debug, Default)]
pub(in crate::detect) struct FlowRules {
    pub(super) rules: Vec<FlowRule>,
    uses: Vec<String>,
    kinds: Vec<String>,
    pub(super) sources: Patterns<Source>,
    /// What files must hold for some of the sources.
    pub(super) files: Vec<Regex>,
    pub(super) parameters: Vec<ParameterSource>,
    pub(super) cleaners: Patterns<Cleaner>,
    pub(super) passes: Patterns<Pass>,
    pub(super) callbacks: Patterns<Callback>,
    pub(super) guards: Patterns<Guard>,
    pub(super) exits: Patterns<()>,
    pub(super) builders: Patterns<()>,
    pub(super) containers: Patterns<()>,
    pub(super) trusted: Vec<(Regex, Mask)>,
    pub(super) plain_types: Vec<Regex>,
    pub(super) calls: Patterns<Sink>,
    pub(super) assigns: Patterns<Sink>,
    /// Containers whose elements are assigned.
    pub(super) elements: Patterns<Sink>,
    pub(super) returns: Vec<(Regex, Sink)>,
    /// Names that say what a value is used for.
    pub(super) named: Vec<(Regex, Sink)>,
    /// The kinds of sources that such names matter for.
    pub(super) named_kinds: Vec<KindId>,
    pub(super) demands: Vec<Demand>,
    pub(super) known: Known,
    pub(super) traces: Traces,
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
        let kinds = |sink: &Sink| flow.rules.get(sink.rule).map(|rule| rule.from.keys().copied().collect::<Vec<_>>());
        flow.named_kinds = flow.named.iter().filter_map(|(_, sink)| kinds(sink)).flatten().collect();
        flow.traces = Traces::of([&flow.calls, &flow.assigns, &flow.elements], &flow.callbacks);
        let rules: BTreeSet<usize> = flow.named.iter().map(|(_, sink)| sink.rule).collect();
        for rule in rules {
            let from = flow.rules.get(rule).map(|rule| &rule.from);
            let counts = |source: &Source| from.is_some_and(|from| from.contains_key(&source.kind));
            flow.traces.begin_at(rule, &flow.sources, counts);
        }
        // The engine tells these by itself, whether a document names them or not.
        flow.mask("", &Names::Some(["dots", "absolute", "bare"].map(str::to_owned).to_vec()))?;
        flow.known = Known {
            leading: flow.mask_of(&["url", "redirect"]),
            pairs: PAIRS.iter().map(|(of, both)| (flow.mask_of(&[*of]), flow.mask_of(both))).collect(),
            absolute: flow.mask_of(&["absolute"]),
            normal: flow.mask_of(&["normal"]),
            text: flow.mask_of(&["nosql"]),
        };
        Ok(flow)
    }

    fn add_rule(&mut self, file: &str, (info, flow): (Arc<RuleInfo>, RuleFlow)) -> Result<(), RuleError> {
        let rule = self.rules.len();
        let use_of = self.mask(file, &Names::Some(vec![flow.use_of]))?;
        let from = self.levels(file, flow.from)?;
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
        let only_file = optional(file, flow.only_file.as_deref())?;
        let shape = 1 << rule;
        let at_source = flow.at_source;
        self.rules.push(FlowRule {
            at_source,
            info,
            use_of,
            from,
            shape,
            form,
            unless_prefix,
            unless_path,
            unless_near,
            unless_file,
            only_file,
        });
        Ok(())
    }

    fn levels(&mut self, file: &str, from: BTreeMap<String, Level>) -> Result<BTreeMap<KindId, Level>, RuleError> {
        from.into_iter().map(|(kind, level)| Ok((self.kind(file, &kind)?, level))).collect()
    }

    fn add_sink(&mut self, file: &str, rule: usize, spec: SinkSpec) -> Result<(), RuleError> {
        let conditions = conditions(file, &spec.whether)?;
        let from = spec.from.map(|from| self.levels(file, from)).transpose()?;
        let unless_prefix = optional(file, spec.unless_prefix.as_deref())?;
        let demand = self.demands.len();
        self.demands.push(Demand { formed: spec.formed, single: spec.single, from, unless_prefix });
        let arguments = spec.argument.map(Into::into).unwrap_or_else(|| vec![Argument::Number(0)]);
        let absent = spec.unless.clone();
        let mut except = Patterns::default();
        spec.except.iter().for_each(|pattern| except.add(pattern, &()));
        let needed = optional(file, spec.only_file.as_deref())?;
        let number = needed.as_ref().map(|_| self.files.len());
        self.files.extend(needed);
        let (always, constructs) = (spec.always, None);
        let written = self::conditions(file, &spec.written)?;
        let sink =
            Sink { rule, arguments, conditions, written, absent, demand, constructs, always, file: number, except };
        for (patterns, constructs) in [(&spec.call, Some(false)), (&spec.new, Some(true))] {
            for pattern in patterns {
                self.calls.add(pattern, &Sink { constructs, ..sink.clone() });
            }
        }
        for pattern in &spec.assign {
            let places = if pattern.ends_with("[]") { &mut self.elements } else { &mut self.assigns };
            places.add(pattern, &sink);
        }
        if let Some(decorated) = &spec.returned_by {
            self.returns.push((regex(file, decorated)?, sink.clone()));
        }
        if let Some(named) = &spec.named {
            self.named.push((regex(file, named)?, sink));
        }
        Ok(())
    }

    fn add_vocabulary(&mut self, file: &str, document: &FlowDocument) -> Result<(), RuleError> {
        for source in &document.sources {
            self.add_source(file, source)?;
        }
        for cleaner in &document.cleaners {
            let mask = self.mask(file, &cleaner.uses)?;
            let meaning = Cleaner { mask, weak: cleaner.weak };
            cleaner.call.iter().for_each(|pattern| self.cleaners.add(pattern, &meaning));
        }
        for pass in &document.passes {
            let from = pass.from.clone().map_or_else(|| vec![Argument::All], Into::into);
            let cleans = pass.cleans.as_ref().map_or(Ok(0), |cleans| self.mask(file, cleans))?;
            let into = pass.into.clone().map_or_else(Vec::new, Into::into);
            let (joins, overrides) = (pass.joins, pass.overrides);
            let meaning = Pass { from, format: pass.format.clone(), joins, overrides, cleans, into };
            pass.call.iter().for_each(|pattern| self.passes.add(pattern, &meaning));
        }
        for callback in &document.callbacks {
            let meaning = Callback { conditions: conditions(file, &callback.whether)?, names: callback.names.clone() };
            callback.call.iter().for_each(|pattern| self.callbacks.add(pattern, &meaning));
        }
        for guard in &document.guards {
            self.add_guard(file, guard)?;
        }
        document.exits.iter().for_each(|pattern| self.exits.add(pattern, &()));
        document.builders.iter().for_each(|pattern| self.builders.add(pattern, &()));
        document.containers.iter().for_each(|pattern| self.containers.add(pattern, &()));
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
        let clean = spec.clean.as_ref().map_or(Ok(0), |clean| self.mask(file, clean))?;
        let into = spec.into.clone().map_or_else(Vec::new, Into::into);
        let needed = optional(file, spec.file.as_deref())?;
        let number = needed.as_ref().map(|_| self.files.len());
        self.files.extend(needed);
        let prefix = spec.prefix.as_deref().map(Arc::from);
        let conditions = conditions(file, &spec.whether)?;
        let source =
            Source { kind, clean, prefix, most: spec.most, conditions, into, file: number, lasting: spec.lasting };
        spec.read.iter().for_each(|pattern| self.sources.add(pattern, &source));
        if let Some(parameters) = &spec.parameters {
            self.parameters.push(ParameterSource {
                kind,
                decorated: optional(file, parameters.decorated.as_deref())?,
                annotated: optional(file, parameters.annotated.as_deref())?,
                typed: optional(file, parameters.typed.as_deref())?,
                except_typed: optional(file, parameters.except_typed.as_deref())?,
                except_decorated: optional(file, parameters.except_decorated.as_deref())?,
                named: optional(file, parameters.named.as_deref())?,
                first: optional(file, parameters.first.as_deref())?,
                function: optional(file, parameters.function.as_deref())?,
                file: optional(file, parameters.file.as_deref())?,
                at: parameters.at.clone(),
            });
        }
        Ok(())
    }

    fn add_guard(&mut self, file: &str, spec: &GuardSpec) -> Result<(), RuleError> {
        let subject = spec.argument.clone().map_or_else(|| vec![Argument::Number(0)], Into::into);
        let mask = self.mask(file, &spec.uses)?;
        let needs = spec.needs.clone().map_or(Ok(0), |needs| self.mask(file, &Names::Some(vec![needs])))?;
        let like = optional(file, spec.like.as_deref())?;
        let (fixed, pattern) = (spec.fixed.clone(), spec.pattern.clone());
        let guard = Guard { subject, fixed, mask, when: spec.when, needs, like, pattern, whole: spec.whole };
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

/// Arguments or options with what each must be as a whole.
fn conditions(file: &str, whether: &BTreeMap<String, String>) -> Result<Vec<(String, Regex)>, RuleError> {
    whether.iter().map(|(place, text)| Ok((place.clone(), regex(file, &format!("^(?:{text})$"))?))).collect()
}

fn optional(file: &str, text: Option<&str>) -> Result<Option<Regex>, RuleError> {
    text.map(|text| regex(file, text)).transpose()
}
