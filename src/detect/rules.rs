//! Sets of rules: those built in, those an operator brings, and both together.
//!
//! Nothing is parsed until it is asked for, rules are read language by language, and a matcher is compiled for the first file that has
//! its words: a process that scans no Java never pays for the Java rules, and one without YAML files not for those about `yaml.load`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use ast_grep_config::RuleConfig;
use ast_grep_core::Matcher as _;
use ast_grep_core::tree_sitter::TSLanguage;
use ast_grep_language::{Language as _, LanguageExt as _};
use globset::GlobSet;

use super::built_in;
use super::flow::{FlowDocument, FlowRules, Named};
use super::grammar::Grammar;
use super::language::grammar;
use super::prefilter::{Needs, Prefilter, Words};
use super::rule_file::{self, CuratedFix, Header, InTests, RuleError, Source};
use super::syntax_rule;
use crate::model::{Language, RepoPath, RuleId, RuleInfo, RuleOrigin};

static BUILT_IN: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
    let files = built_in::FILES.iter().map(|(name, text)| (Cow::Borrowed(*name), Cow::Borrowed(*text)));
    Arc::new(RuleSet::of(vec![Arc::new(Pack::new(files.collect(), RuleOrigin::BuiltIn))]))
});

type FlowSlots = [OnceLock<Result<FlowRules, RuleError>>; Language::ALL.len()];

/// Rules and the fixes that belong to them.
#[derive(Clone)]
pub struct RuleSet {
    packs: Vec<Arc<Pack>>,
    /// What follows data, language by language, of all packs together.
    flows: Arc<FlowSlots>,
}

impl RuleSet {
    fn of(packs: Vec<Arc<Pack>>) -> Self {
        Self { packs, flows: Arc::default() }
    }

    /// The rules of the product. Costs next to nothing; what is needed is parsed when it is first used.
    #[must_use]
    pub fn built_in() -> Arc<Self> {
        Arc::clone(&BUILT_IN)
    }

    /// Rules from files given by name and text: `<id>.yml` holds a rule, `<id>.fix.yml` its fixes, `<id>.test.yml` is
    /// passed over. All of it is parsed and compiled now, so that a mistake shows at once.
    ///
    /// # Errors
    /// Names the first file that cannot be used, the place in it and the remedy.
    pub fn parse(files: Vec<(String, String)>, origin: RuleOrigin) -> Result<Self, RuleError> {
        let files = files.into_iter().map(|(name, text)| (Cow::Owned(name), Cow::Owned(text))).collect();
        let set = Self::of(vec![Arc::new(Pack::new(files, origin))]);
        set.check()?;
        Ok(set)
    }

    /// Compiles every rule and fix.
    ///
    /// # Errors
    /// Names the first file that cannot be used.
    pub fn check(&self) -> Result<(), RuleError> {
        for pack in &self.packs {
            for language in Language::ALL {
                for rule in &pack.language(language)?.rules {
                    rule.matcher()?;
                    rule.fixes()?;
                }
            }
            pack.check_fix_names()?;
        }
        for language in Language::ALL {
            self.flow(language)?;
        }
        Ok(())
    }

    /// These rules together with others.
    ///
    /// # Errors
    /// When both have a rule of the same id.
    pub fn with(&self, other: &Self) -> Result<Self, RuleError> {
        for pack in &other.packs {
            for (id, (file, _)) in pack.index()? {
                if self.header(id)?.is_some() || syntax_rule::is_own(id) {
                    let remedy = "give the rule another id";
                    return Err(RuleError::new(file, format!("rule {id} exists already"), remedy));
                }
            }
        }
        Ok(Self::of(self.packs.iter().chain(&other.packs).cloned().collect()))
    }

    fn header(&self, id: &RuleId) -> Result<Option<&Header>, RuleError> {
        for pack in &self.packs {
            if let Some((_, header)) = pack.index()?.get(id) {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// What is said of the rule `id`, the engine's own rules (`syntax-error`) included.
    ///
    /// # Errors
    /// When a rule file of the set is broken.
    pub fn info(&self, id: &RuleId) -> Result<Option<RuleInfo>, RuleError> {
        let own = || syntax_rule::infos().into_iter().find(|info| info.id == *id);
        Ok(self.header(id)?.map(|header| header.info.clone()).or_else(own))
    }

    /// Every rule, in order of id, the engine's own included; each once, with its main language.
    ///
    /// # Errors
    /// When a rule file of the set is broken.
    pub fn infos(&self) -> Result<Vec<RuleInfo>, RuleError> {
        let mut infos = syntax_rule::infos();
        for pack in &self.packs {
            infos.extend(pack.index()?.values().map(|(_, header)| header.info.clone()));
        }
        infos.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(infos)
    }

    /// Whether what the rule finds in code that tests other code is set aside.
    pub(super) fn ignores_tests(&self, id: &RuleId) -> bool {
        let header = self.header(id).ok().flatten();
        header.is_some_and(|header| header.in_tests == InTests::Ignore)
    }

    /// All languages that the rule is valid for, its main one first; empty when the set has no such rule.
    ///
    /// # Errors
    /// When a rule file of the set is broken.
    pub fn languages(&self, id: &RuleId) -> Result<Vec<Language>, RuleError> {
        Ok(self.header(id)?.map(|header| header.languages.clone()).unwrap_or_default())
    }

    /// The rule document as it was written; none for the engine's own rules.
    ///
    /// # Errors
    /// When a rule file of the set is broken.
    pub fn document(&self, id: &RuleId) -> Result<Option<&str>, RuleError> {
        for pack in &self.packs {
            if let Some((file, _)) = pack.index()?.get(id) {
                return Ok(pack.files.get(file.as_str()).map(Cow::as_ref));
            }
        }
        Ok(None)
    }

    /// The compiled rules of one language, pack by pack.
    pub(super) fn compiled(&self, language: Language) -> Result<Vec<&LanguageRules>, RuleError> {
        self.packs.iter().map(|pack| pack.language(language)).collect()
    }

    /// What follows data in files of one language.
    pub(super) fn flow(&self, language: Language) -> Result<&FlowRules, RuleError> {
        let slot = Language::ALL.iter().zip(self.flows.iter()).find(|(one, _)| **one == language);
        let Some((_, slot)) = slot else {
            return Err(RuleError::new("(none)", format!("{language} is unknown"), "report this"));
        };
        slot.get_or_init(|| self.compile_flow(language)).as_ref().map_err(Clone::clone)
    }

    fn compile_flow(&self, language: Language) -> Result<FlowRules, RuleError> {
        let (mut vocabulary, mut rules) = (Vec::new(), Vec::new());
        for pack in &self.packs {
            vocabulary.extend(pack.vocabulary(language)?);
            for (file, header) in pack.index()?.values().filter(|(_, header)| header.languages.contains(&language)) {
                if let Some(flow) = &header.flow {
                    let info = Arc::new(RuleInfo { language: Some(language), ..header.info.clone() });
                    rules.push(Named { file, document: (info, flow.clone()) });
                }
            }
        }
        FlowRules::compile(&vocabulary, rules)
    }

    /// The fixes written for a rule in a language, most preferred first; none when there is no such rule.
    ///
    /// # Errors
    /// When a rule or fix file is broken.
    pub fn curated_fixes(&self, id: &RuleId, language: Language) -> Result<&[CuratedFix], RuleError> {
        for pack in self.compiled(language)? {
            if let Some(rule) = pack.rules.iter().find(|rule| rule.info.id == *id) {
                return rule.fixes();
            }
        }
        Ok(&[])
    }
}

type Index = BTreeMap<RuleId, (String, Header)>;
type Text = Cow<'static, str>;

/// Rules of one origin.
struct Pack {
    origin: RuleOrigin,
    /// By name.
    files: BTreeMap<Text, Text>,
    index: OnceLock<Result<Index, RuleError>>,
    languages: [OnceLock<Result<LanguageRules, RuleError>>; Language::ALL.len()],
}

impl Pack {
    fn new(files: BTreeMap<Text, Text>, origin: RuleOrigin) -> Self {
        Self { origin, files, index: OnceLock::new(), languages: Default::default() }
    }

    fn index(&self) -> Result<&Index, RuleError> {
        self.index.get_or_init(|| self.read_headers()).as_ref().map_err(Clone::clone)
    }

    fn read_headers(&self) -> Result<Index, RuleError> {
        let mut index = Index::new();
        let special = |name: &str| [".fix.yml", ".test.yml", ".flow.yml"].iter().any(|end| name.ends_with(end));
        for (name, text) in self.files.iter().filter(|(name, _)| name.ends_with(".yml") && !special(name)) {
            let header = rule_file::header(name, text, &self.origin)?;
            let id = header.info.id.clone();
            if let Some((first, _)) = index.insert(id.clone(), (name.to_string(), header)) {
                return Err(RuleError::new(name, format!("rule {id} is in {first} too"), "remove one of them"));
            }
        }
        Ok(index)
    }

    /// What the pack says of the data flow of a language, apart from its rules.
    fn vocabulary(&self, language: Language) -> Result<Vec<Named<'_, FlowDocument>>, RuleError> {
        let mut vocabulary = Vec::new();
        for (file, text) in self.files.iter().filter(|(name, _)| name.ends_with(".flow.yml")) {
            let (document, languages) = rule_file::flow_document(file, text)?;
            if languages.contains(&language) {
                vocabulary.push(Named { file: file.as_ref(), document });
            }
        }
        Ok(vocabulary)
    }

    fn language(&self, language: Language) -> Result<&LanguageRules, RuleError> {
        let slot = Language::ALL.iter().zip(&self.languages).find(|(one, _)| **one == language);
        let Some((_, slot)) = slot else {
            return Err(RuleError::new("(none)", format!("{language} is unknown"), "report this"));
        };
        slot.get_or_init(|| self.compile(language)).as_ref().map_err(Clone::clone)
    }

    fn compile(&self, language: Language) -> Result<LanguageRules, RuleError> {
        let mut rules = Vec::new();
        for (file, header) in self.index()?.values().filter(|(_, header)| header.languages.contains(&language)) {
            let text = self.files.get(file.as_str()).map(Cow::as_ref).unwrap_or_default();
            let fix_file = format!("{}.fix.yml", file.trim_end_matches(".yml"));
            let source = header.matches.then(|| Source::read(file, text)).transpose()?;
            rules.push(CompiledRule {
                info: Arc::new(RuleInfo { language: Some(language), ..header.info.clone() }),
                source,
                file: file.clone(),
                text: self.files.get(file.as_str()).cloned().unwrap_or_default(),
                matcher: OnceLock::new(),
                files: header.files.clone(),
                header: header.clone(),
                fix_text: self.files.get(fix_file.as_str()).cloned(),
                fix_file,
                fixes: OnceLock::new(),
            });
        }
        Ok(LanguageRules::new(rules, language))
    }

    fn check_fix_names(&self) -> Result<(), RuleError> {
        for name in self.files.keys().filter(|name| name.ends_with(".fix.yml")) {
            if !self.files.contains_key(format!("{}.yml", name.trim_end_matches(".fix.yml")).as_str()) {
                return Err(RuleError::new(name, "there is no rule beside it", "name it after its rule"));
            }
        }
        Ok(())
    }
}

/// What finds the nodes of a rule.
pub(super) struct Matcher {
    pub config: RuleConfig<Grammar>,
    /// Ids of the kinds of nodes that it can match.
    pub kinds: Vec<usize>,
    pub repeats: Option<Repeats>,
}

/// What of a node must stand in another one too that the rule may match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    Text,
    /// The text of a field, by its id.
    Field(u16),
}

/// A rule for files of one language.
pub(super) struct CompiledRule {
    pub info: Arc<RuleInfo>,
    /// None when the rule follows data only.
    source: Option<Source>,
    file: String,
    text: Text,
    matcher: OnceLock<Result<Option<Matcher>, RuleError>>,
    files: Option<GlobSet>,
    header: Header,
    fix_file: String,
    fix_text: Option<Text>,
    fixes: OnceLock<Result<Vec<CuratedFix>, RuleError>>,
}

impl CompiledRule {
    /// Whether the rule looks at this path.
    pub fn covers(&self, path: &RepoPath) -> bool {
        self.files.as_ref().is_none_or(|files| files.is_match(path.as_str()))
    }

    /// Compiled when it is first asked for: most rules concern few files. `None` when the rule follows data only.
    ///
    /// # Errors
    /// When the rule document is broken.
    pub fn matcher(&self) -> Result<Option<&Matcher>, RuleError> {
        let compile = || match (&self.source, self.info.language) {
            (Some(source), Some(language)) => {
                let config = source.compile(&self.file, &self.text, language)?;
                let kinds = config.matcher.potential_kinds().iter().flatten().collect();
                let repeats = match self.header.repeats.as_deref() {
                    Some(rule_file::OWN_TEXT) => Some(Repeats::Text),
                    Some(field) => grammar(language).field_to_id(field).map(Repeats::Field),
                    None => None,
                };
                Ok(Some(Matcher { config, kinds, repeats }))
            }
            _ => Ok(None),
        };
        self.matcher.get_or_init(compile).as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    fn fixes(&self) -> Result<&[CuratedFix], RuleError> {
        let compile = || match (&self.fix_text, self.info.language) {
            (Some(text), Some(language)) => rule_file::fixes(&self.fix_file, text, &self.header, language),
            _ => Ok(Vec::new()),
        };
        self.fixes.get_or_init(compile).as_deref().map_err(Clone::clone)
    }
}

/// The rules of one language.
pub(super) struct LanguageRules {
    pub rules: Vec<CompiledRule>,
    prefilter: Prefilter,
    /// Whether a kind is a comment, by kind id.
    comments: Vec<bool>,
}

impl LanguageRules {
    fn new(rules: Vec<CompiledRule>, language: Language) -> Self {
        let grammar: TSLanguage = grammar(language).get_ts_language();
        let kinds = u16::try_from(grammar.node_kind_count()).unwrap_or(u16::MAX);
        let comments = (0..kinds).map(|kind| grammar.node_kind_for_id(kind).is_some_and(|k| k.contains("comment")));
        let needs = |rule: &CompiledRule| match &rule.source {
            Some(source) => source.needs.clone(),
            None => (Needs::Nothing, Needs::Nothing),
        };
        let prefilter = Prefilter::new(&rules.iter().map(needs).collect::<Vec<_>>());
        Self { comments: comments.collect(), rules, prefilter }
    }

    /// Where in a text the words of the rules stand.
    pub fn words(&self, text: &str) -> Words<'_> {
        self.prefilter.look(text)
    }

    /// Number of kinds of nodes that the language has; their ids are below it.
    pub fn kinds(&self) -> usize {
        self.comments.len()
    }

    pub fn is_comment(&self, kind: u16) -> bool {
        self.comments.get(usize::from(kind)).copied().unwrap_or(false)
    }
}
