//! A silent scanner is no proof: patches that silence one and are wrong, beside patches that a reviewer would merge.
//!
//! Each is judged as every candidate is, by verification and score, with the best evidence that a candidate can have. The
//! scanner that found the place is silent after each of them: what is refused here is refused for what it does to the code.

use std::sync::Arc;

use codehealer::fix::edit;
use codehealer::fix::score::{CaseFacts, score};
use codehealer::fix::verify::{self, NewPackages, VerifyInput};
use codehealer::model::{
    AuthorKind, Evidence, Finding, Fingerprint, FixId, IssueType, Level, Position, Provenance, RepoPath, RepositoryId,
    RuleId, RuleInfo, RuleOrigin, Severity, Span, TrackRecord,
};

/// A file of patches: `=== wrong: name` or `=== right: name`, then `--- before` with the finding between « and »,
/// then `--- after`.
const FILES: [(&str, &str); 4] = [
    ("src/shop.py", include_str!("traps/python.txt")),
    ("src/shop.js", include_str!("traps/javascript.txt")),
    ("src/Shop.java", include_str!("traps/java.txt")),
    ("src/shop.go", include_str!("traps/go.txt")),
];

/// The least confidence that opens a draft, percent.
const DRAFT: u8 = 60;

struct Patch {
    path: RepoPath,
    name: String,
    right: bool,
    before: String,
    finding: Span,
    after: String,
}

fn patches() -> Vec<Patch> {
    FILES.iter().flat_map(|(path, text)| text.split("\n=== ").skip(1).map(|block| patch(path, block))).collect()
}

fn patch(path: &str, block: &str) -> Patch {
    let (title, rest) = block.split_once("\n--- before\n").expect("a patch has a before");
    let (before, after) = rest.split_once("\n--- after\n").expect("a patch has an after");
    let (kind, name) = title.split_once(": ").expect("a title says right or wrong");
    let (head, rest) = before.split_once('«').expect("the finding begins with «");
    let (code, tail) = rest.split_once('»').expect("the finding ends with »");
    Patch {
        path: RepoPath::new(path).unwrap(),
        name: format!("{path}, {name}"),
        right: match kind {
            "right" => true,
            "wrong" => false,
            other => panic!("{other}: a patch is right or wrong"),
        },
        finding: Span::new(head.len(), head.len() + code.len()),
        before: format!("{head}{code}{tail}\n"),
        after: format!("{}\n", after.trim_end()),
    }
}

/// As an external scanner reports it, so that no rule of ours decides.
fn finding(patch: &Patch) -> Finding {
    let id = RuleId::new("scanner/rule").unwrap();
    let code = &patch.before[patch.finding.range()];
    let repository = RepositoryId("1".to_owned());
    let line = patch.before[..patch.finding.start].matches('\n').count() + 1;
    Finding {
        fingerprint: Fingerprint::of(&repository, &id, &patch.path, code, 0),
        rule: Arc::new(RuleInfo {
            id,
            issue_type: IssueType::new("LOGIC").unwrap(),
            severity: Severity::High,
            hint: "follow the rule".to_owned(),
            message: "a finding".to_owned(),
            note: String::new(),
            references: Vec::new(),
            cwes: Vec::new(),
            language: None,
            origin: RuleOrigin::External { tool: "scanner".to_owned() },
        }),
        path: patch.path.clone(),
        span: patch.finding,
        start: Position { line, column: 1 },
        end: Position { line, column: 2 },
        normalised: code.to_owned(),
        message: "a finding".to_owned(),
        flow: Vec::new(),
    }
}

/// A fix that twenty others agree with, an answer that a teammate confirmed, and a sure model whose samples all agree.
fn best_evidence() -> [Evidence; 3] {
    let record = TrackRecord { accepted: 20, ..TrackRecord::default() };
    [
        Evidence::PastFix {
            fix: FixId("1".to_owned()),
            origin: String::new(),
            provenance: Provenance::Merged { pull_request: "1".to_owned(), commit: "1".to_owned() },
            level: Level::L2,
            similarity: 1.0,
            supports: 20.0,
            contradictions: 0.0,
            record,
            foreign_tokens: Vec::new(),
            donors: 9,
            new_imports: 0,
            caution: None,
        },
        Evidence::TeamKnowledge {
            permalink: String::new(),
            channel: "dev".to_owned(),
            author: AuthorKind::Member,
            confirmed: true,
            channel_configured: true,
            has_code: true,
        },
        Evidence::Model {
            model: "llama".to_owned(),
            claimed: Some(97),
            agreeing: 3,
            samples: 3,
            past_fix_agrees: true,
            of_its_own: None,
            truncated: false,
            record,
            input_tokens: 0,
            output_tokens: 0,
        },
    ]
}

/// The confidence of the patch, percent, or why it is refused.
fn judge(patch: &Patch, evidence: &Evidence) -> Result<u8, String> {
    let finding = finding(patch);
    let targets = std::slice::from_ref(&finding);
    let edits = edit::minimal(&patch.before, &patch.after, &patch.path);
    let input = VerifyInput {
        new_packages: NewPackages::by(evidence),
        ..VerifyInput::new(&patch.path, &patch.before, targets, &edits)
    };
    let patched = verify::check_edits(&input).map_err(|rejection| rejection.detail)?;
    assert_eq!(patched.text(), patch.after, "{}", patch.name);
    let verified = verify::check_findings(patched, targets, &[]).map_err(|rejection| rejection.detail)?;
    Ok(score(evidence, &verified, &CaseFacts::of(&finding)).confidence.percent())
}

#[test]
fn no_patch_that_silences_and_is_wrong_reaches_a_draft() {
    let wrong: Vec<Patch> = patches().into_iter().filter(|patch| !patch.right).collect();
    assert!(wrong.len() >= 40, "{} traps", wrong.len());
    let believed: Vec<String> = wrong
        .iter()
        .flat_map(|patch| best_evidence().map(|evidence| (patch, judge(patch, &evidence))))
        .filter_map(|(patch, judged)| Some((patch, judged.ok().filter(|percent| *percent >= DRAFT)?)))
        .map(|(patch, percent)| format!("{percent} {}", patch.name))
        .collect();
    assert!(believed.is_empty(), "{} believed:\n{}", believed.len(), believed.join("\n"));
}

#[test]
fn patches_that_a_reviewer_would_merge_reach_a_draft() {
    let right: Vec<Patch> = patches().into_iter().filter(|patch| patch.right).collect();
    assert!(right.len() >= 40, "{} right patches", right.len());
    for evidence in best_evidence() {
        let refused: Vec<String> = right
            .iter()
            .map(|patch| (patch, judge(patch, &evidence)))
            .filter(|(_, judged)| !judged.as_ref().is_ok_and(|percent| *percent >= DRAFT))
            .map(|(patch, judged)| format!("{judged:?} {}", patch.name))
            .collect();
        // Seven of eight, as 35 of 40.
        assert!(refused.len() * 8 <= right.len(), "{} refused:\n{}", refused.len(), refused.join("\n"));
    }
}

#[test]
fn every_patch_is_new_code_that_its_language_reads() {
    for patch in patches() {
        assert_ne!(patch.before, patch.after, "{}", patch.name);
        let detail = best_evidence().map(|evidence| judge(&patch, &evidence).err().unwrap_or_default()).concat();
        for unfit in ["does not parse", "outside the file", "could not"] {
            assert!(!detail.contains(unfit), "{}: {detail}", patch.name);
        }
    }
}
