//! What is done with an input: it is scanned, everything found is healed by the fixes written with its rule and by learned ones, and
//! each proposal goes through the real verification. Written down here is what must hold of all of it, whatever the input.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use codehealer::detect::{Detector, FileScan, Limits, LineIndex, RuleSet, SkipReason, parse};
use codehealer::fix::learn::{self, LearnInput, Origin};
use codehealer::fix::pattern::{Request, propose};
use codehealer::fix::verify::{self, NewPackages, VerifiedCandidate, VerifyInput};
use codehealer::fix::{curated, edit, paths};
use codehealer::model::{
    AuthorKind, Candidate, Edit, Evidence, Finding, FixId, Language, PastFix, Provenance, RepoPath, RepositoryId,
    RuleId, Span, TrackRecord,
};

use crate::curated_fixes::all_cases;

/// Findings of one input that are healed.
const HEALED: usize = 6;
/// Of a larger input, bytes, one finding is healed: each is verified by several scans of it.
const LARGE: usize = 64 << 10;
/// Whole examples of a rule's fix that are learned.
const EXAMPLES: usize = 2;

/// A file that is tried.
pub struct Input {
    pub number: u64,
    pub path: RepoPath,
    pub bytes: Vec<u8>,
}

/// What came of inputs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub inputs: u64,
    pub findings: u64,
    /// Candidates of fixes that were written with a rule, and those that passed every check.
    pub curated: u64,
    pub curated_verified: u64,
    pub learned: u64,
    pub learned_verified: u64,
    /// Fixes that were learned from what was verified.
    pub studied: u64,
    /// Inputs that were not scanned, or not to their end.
    pub refused: u64,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.inputs += other.inputs;
        self.findings += other.findings;
        self.curated += other.curated;
        self.curated_verified += other.curated_verified;
        self.learned += other.learned;
        self.learned_verified += other.learned_verified;
        self.studied += other.studied;
        self.refused += other.refused;
    }
}

type Memory = Mutex<BTreeMap<(Language, RuleId), Arc<Vec<(PastFix, f64)>>>>;

/// The product, from a file's bytes to verified changes.
pub struct Pipeline {
    detector: Detector,
    repository: RepositoryId,
    memory: Memory,
}

impl Pipeline {
    pub fn new() -> Self {
        Self {
            detector: Detector::new(RuleSet::built_in(), Limits::default()),
            repository: RepositoryId("1".to_owned()),
            memory: Mutex::default(),
        }
    }

    /// Does all of it.
    ///
    /// # Errors
    /// What must not happen and did.
    pub fn run(&self, input: &Input) -> Result<Tally, String> {
        let mut tally = Tally { inputs: 1, ..Tally::default() };
        let scan = self.detector.scan(&self.repository, &input.path, &input.bytes);
        sound(&scan, &input.bytes)?;
        if scan.skipped.is_some() || scan.cut_off.is_some() {
            tally.refused = 1;
        }
        if input.number.is_multiple_of(16) && scan != self.detector.scan(&self.repository, &input.path, &input.bytes) {
            return Err("a second scan finds something else".to_owned());
        }
        let (Ok(text), Some(language)) = (std::str::from_utf8(&input.bytes), Language::of(&input.path)) else {
            return Ok(tally);
        };
        tally.findings = scan.findings.len() as u64;
        let most = if text.len() > LARGE { 1 } else { HEALED };
        for finding in scan.findings.iter().take(most) {
            self.curated(finding, text, (&input.path, &mut tally, input.number))?;
            // Learned fixes cost many parses; the rest of the way is the same for them.
            if input.number.is_multiple_of(3) {
                self.learned(finding, text, (language, &input.path, &mut tally))?;
            }
        }
        Ok(tally)
    }

    fn curated(
        &self,
        finding: &Finding,
        text: &str,
        (path, tally, number): (&RepoPath, &mut Tally, u64),
    ) -> Result<(), String> {
        let candidates = curated::candidates(self.detector.rules(), finding, text, TrackRecord::default());
        for candidate in candidates.map_err(|error| error.to_string())? {
            tally.curated += 1;
            let title = &candidate.title;
            misplaced(&candidate.edits, finding, text).map_or(Ok(()), |why| Err(format!("fix {title:?}: {why}")))?;
            let Some(verified) = self.verified(finding, text, &candidate, path)? else { continue };
            tally.curated_verified += 1;
            if number % 8 == 0 {
                tally.studied += u64::from(self.study(finding, text, verified.text()).is_some());
            }
        }
        Ok(())
    }

    fn learned(
        &self,
        finding: &Finding,
        text: &str,
        (language, path, tally): (Language, &RepoPath, &mut Tally),
    ) -> Result<(), String> {
        let similar = self.remembered(language, &finding.rule.id);
        let request = Request { language, text, finding: finding.span, repository: "shop", similar: &similar };
        for proposal in propose(&request) {
            tally.learned += 1;
            let place = proposal.application.matched;
            let stays = |span: Span| place.start <= span.start && span.end <= place.end;
            if !place.overlaps(finding.span) || !proposal.application.edits.iter().all(|edit| stays(edit.span)) {
                return Err(format!("learned fix {:?} edits outside of what it matched", proposal.fix));
            }
            let edits = proposal.edits(language, path, text);
            misplaced(&edits, finding, text).map_or(Ok(()), |why| Err(format!("learned fix: {why}")))?;
            let evidence = proposal.evidence("a case".to_owned(), TrackRecord::default());
            let candidate = Candidate { title: "learned".to_owned(), edits, evidence };
            tally.learned_verified += u64::from(self.verified(finding, text, &candidate, path)?.is_some());
        }
        Ok(())
    }

    /// Verifies a candidate and holds what it promises against the texts themselves.
    fn verified(
        &self,
        finding: &Finding,
        text: &str,
        candidate: &Candidate,
        path: &RepoPath,
    ) -> Result<Option<VerifiedCandidate>, String> {
        let input = VerifyInput {
            new_packages: NewPackages::by(&candidate.evidence),
            guarded: !is_curated(&candidate.evidence),
            ..VerifyInput::new(path, text, std::slice::from_ref(finding), &candidate.edits)
        };
        let Ok(verified) = verify::with_detector(&input, &self.detector, &self.repository) else { return Ok(None) };
        let title = &candidate.title;
        if paths::refusal(path).is_some() || verified.path() != path {
            return Err(format!("{title:?} was let through in a file that is never edited, or in another one"));
        }
        let made = |edits: &[Edit]| edit::apply(text, edits).ok();
        if made(&candidate.edits).as_deref() != Some(verified.text())
            || made(verified.edits()).as_deref() != Some(verified.text())
        {
            return Err(format!("{title:?} is not what its edits make"));
        }
        let all = |text: &str| {
            let scan = self.detector.scan(&self.repository, path, text.as_bytes());
            verify::all_findings(scan).map_err(|why| format!("{title:?} was let through unread: {}", why.detail))
        };
        if !learn::is_gone(finding, &all(text)?, &all(verified.text())?) {
            return Err(format!("{title:?} was let through and the finding is still there"));
        }
        Ok(Some(verified))
    }

    /// What a change teaches; any refusal will do, it has to come to an end.
    fn study(&self, finding: &Finding, before: &str, after: &str) -> Option<learn::Learned> {
        let found = |text: &str| self.detector.scan(&self.repository, &finding.path, text.as_bytes()).findings;
        let known = found(before);
        let silent = |patched: &str| learn::is_healed(finding, &known, &found(patched));
        let language = Language::of(&finding.path)?;
        learn::learn(&LearnInput { language, before, after, finding: finding.span, silent: &silent }).ok()
    }

    /// Fixes as the cases of a rule teach them, learned when they are first asked for.
    fn remembered(&self, language: Language, rule: &RuleId) -> Arc<Vec<(PastFix, f64)>> {
        let key = (language, rule.clone());
        let known = |memory: &Memory| memory.lock().ok().and_then(|memory| memory.get(&key).cloned());
        if let Some(known) = known(&self.memory) {
            return known;
        }
        let mut fixes = Vec::new();
        for cases in all_cases().into_iter().filter(|cases| cases.id == *rule) {
            let path = crate::curated_fixes::path_of(&cases, language);
            for fixed in &cases.fixed {
                let found = self.detector.scan(&self.repository, &path, fixed.before.as_bytes()).findings;
                let Some(finding) = found.iter().find(|finding| finding.rule.id == *rule) else { continue };
                let Some(learned) = self.study(finding, &fixed.before, &fixed.after) else { continue };
                let origin = Origin {
                    organisation: "",
                    repository: "shop",
                    private: false,
                    path: &path,
                    provenance: Provenance::Starter,
                    author: AuthorKind::Member,
                    created: 0,
                };
                let id = FixId(format!("{rule}-{}", fixes.len()));
                fixes.push((learned.remembered(id, language, finding, &origin), 0.9));
                if fixes.len() == EXAMPLES {
                    break;
                }
            }
        }
        let fixes = Arc::new(fixes);
        if let Ok(mut memory) = self.memory.lock() {
            memory.insert(key, Arc::clone(&fixes));
        }
        fixes
    }
}

fn is_curated(evidence: &Evidence) -> bool {
    matches!(evidence, Evidence::PastFix { provenance: Provenance::Curated, .. })
}

/// What a scan says must be of the file, and say so when something in it went wrong.
fn sound(scan: &FileScan, bytes: &[u8]) -> Result<(), String> {
    if let Some(why) = scan.cut_off.as_ref().filter(|why| why.contains("error of ours")) {
        return Err(format!("the scan ended in a panic: {why}"));
    }
    if let Some(SkipReason::BrokenRules { error }) = &scan.skipped {
        return Err(format!("the rules do not compile: {error}"));
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let lines = LineIndex::new(text);
    for finding in scan.findings.iter().chain(scan.suppressed.iter().map(|hidden| &hidden.finding)) {
        let steps = finding.flow.iter().map(|step| (step.span, step.start, step.end));
        for (span, start, end) in steps.chain([(finding.span, finding.start, finding.end)]) {
            let inside = text.get(span.range()).is_some();
            if !inside || start > end || lines.position(span.start) != start || lines.position(span.end) != end {
                return Err(format!("{} is said to be at {span:?}, {start:?}, which is no place", finding.rule.id));
            }
        }
    }
    Ok(())
}

/// Why the edits of a candidate change more than the finding's surroundings: the declaration or statement of the file that it
/// stands in, and the assignment before, which may make the text that is used here. Beside that only imports may come, as insertions.
pub fn misplaced(edits: &[Edit], finding: &Finding, text: &str) -> Option<String> {
    let language = Language::of(&finding.path)?;
    if let Some(other) = edits.iter().find(|edit| edit.path != finding.path) {
        return Some(format!("it edits {}", other.path));
    }
    if let Some(edit) = edits.iter().find(|edit| text.get(edit.span.range()).is_none()) {
        return Some(format!("it edits {:?}, which is no part of the file", edit.span));
    }
    let surroundings = surroundings(language, text, finding.span);
    let within = |span: Span| surroundings.start <= span.start && span.end <= surroundings.end;
    let imports = |edit: &Edit| edit.span.start == edit.span.end && edit.text.lines().all(is_import);
    let outside = edits.iter().find(|edit| !within(edit.span) && !imports(edit));
    outside.map(|edit| format!("it edits {:?} outside of {surroundings:?}, where the finding stands", edit.span))
}

/// The statements or declarations of the file that a place touches and an assignment before them, with the white space and signs around.
fn surroundings(language: Language, text: &str, place: Span) -> Span {
    let Ok(tree) = parse(language, text) else { return Span::new(0, text.len()) };
    let all: Vec<Span> =
        tree.root().children().map(|child| Span::new(child.range().start, child.range().end)).collect();
    let touches = |span: &Span| span.overlaps(place);
    let (Some(at), Some(last)) = (all.iter().position(touches), all.iter().rfind(|span| touches(span))) else {
        return Span::new(0, text.len());
    };
    // Without a sign of assignment nothing is made there that could be used here.
    let makes = |span: &&Span| text.get(span.range()).is_some_and(|code| code.contains('='));
    let first = at.checked_sub(1).and_then(|before| all.get(before)).filter(makes).unwrap_or(&all[at]);
    let loose = |c: char| c.is_whitespace() || matches!(c, ';' | ',');
    let start = text.get(..first.start).map_or(first.start, |head| head.trim_end_matches(loose).len());
    let tail = text.get(last.end..).unwrap_or_default();
    Span::new(start, last.end + (tail.len() - tail.trim_start_matches(loose).len()))
}

/// Whether a line can be one of an import statement, or is empty.
fn is_import(line: &str) -> bool {
    // A block of imports in one line goes on behind a semicolon.
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || c == ';').trim_end();
    let begins = ["import ", "from ", "use ", "using ", "require", "const ", "import(", "\"", ")"];
    line.is_empty() || begins.iter().any(|begin| line.starts_with(begin))
}
