//! The walk as people read it.

use super::*;
use crate::model::{
    Candidate, CaseId, CaseOutcome, Check, CommitId, Confidence, Evidence, Fingerprint, FixId, Generation, IssueType,
    Level, Provenance, RepoPath, Repository, RepositoryId, RuleId, RunState, ScoreLine, Scored, Severity, Source, Span,
    Thresholds, TrackRecord,
};
use crate::state::run::Summary;

const START: u64 = 1_767_225_600_000;

fn head() -> RunHead {
    RunHead {
        case: CaseId::from_stored("1a2b3c4d5e6f7890"),
        generation: Generation(1),
        state: RunState::Done,
        sequence: 4,
        head_hash: String::new(),
        fence: 1,
        owner: None,
        lease_until: 0,
        attempts: 2,
        due: None,
        detected_at: START,
        updated_at: START,
        summary: Summary {
            repository: Repository {
                id: RepositoryId("7".to_owned()),
                name: "acme/shop".to_owned(),
                organisation: "acme".to_owned(),
                private: true,
            },
            reference: "refs/heads/develop".to_owned(),
            rule: RuleId::new("py-yaml-unsafe-load").unwrap(),
            path: RepoPath::new("app.py").unwrap(),
            issue_type: IssueType::new("UNSAFE_DESERIALIZATION").unwrap(),
            severity: Severity::High,
            cwes: vec![crate::model::Cwe(502)],
            headline: "UNSAFE_DESERIALIZATION in app.py line 3 → Fix: use yaml.safe_load".to_owned(),
            pusher: Some("eve\u{1b}[2J".to_owned()),
            outcome: CaseOutcome::Open,
            decision: Some(Decision::Draft),
            confidence: Some(Confidence::new(84).unwrap()),
            source: Some(Source::PastFix),
            fix: None,
            fix_applied: true,
            pull_request: None,
            execution_ms: 1234,
            input_tokens: 0,
            output_tokens: 0,
            cost_micros: 0,
        },
    }
}

fn candidate() -> Candidate {
    let path = RepoPath::new("app.py").unwrap();
    Candidate {
        title: "use yaml.safe_load".to_owned(),
        edits: vec![Edit { path, span: Span::new(10, 19), text: "yaml.safe_load".to_owned() }],
        evidence: Evidence::PastFix {
            fix: FixId("f".repeat(64)),
            origin: "commit 1a2b in shop".to_owned(),
            provenance: Provenance::Mined { commit: "c".repeat(40) },
            level: Level::L1,
            similarity: 0.91,
            supports: 3.0,
            contradictions: 0.0,
            record: TrackRecord::default(),
            foreign_tokens: Vec::new(),
            donors: 3,
            new_imports: 0,
            caution: None,
        },
    }
}

fn judged_both_ways() -> Vec<CandidateJudged> {
    let finding = Fingerprint::of(
        &RepositoryId("7".to_owned()),
        &RuleId::new("r").unwrap(),
        &RepoPath::new("app.py").unwrap(),
        "yaml.load ( f )",
        0,
    );
    let scored = Scored {
        confidence: Confidence::new(84).unwrap(),
        lines: vec![ScoreLine { reason: "mined fixes stop at the draft tier".to_owned(), percent: 84.0 }],
    };
    let refused =
        Rejection { check: RejectionKind::Failed(Check::NamesBound), detail: "`safe_load` is not bound".to_owned() };
    vec![
        CandidateJudged {
            finding: finding.clone(),
            candidate: candidate(),
            verdict: Verdict::Verified(vec![Check::ParsesCleanly, Check::FindingGone]),
            scored: Some(scored),
        },
        CandidateJudged { finding, candidate: candidate(), verdict: Verdict::Rejected(refused), scored: None },
    ]
}

fn events() -> Vec<AuditEvent> {
    let consulted = |source, outcome, answers| {
        EventKind::Consulted(Consultation {
            source,
            outcome,
            question: "fixes of py-yaml-unsafe-load".to_owned(),
            answers,
            candidates: Vec::new(),
            context: Vec::new(),
            millis: 12,
            input_tokens: 0,
            output_tokens: 0,
            calls: Vec::new(),
            reviews: Vec::new(),
        })
    };
    let candidates = judged_both_ways();
    let made = Decided {
        decision: Decision::Draft,
        confidence: Confidence::new(84).unwrap(),
        thresholds: Thresholds::default(),
        edits: candidate().edits,
        chosen: candidates.iter().take(1).cloned().collect(),
        unhealed: Vec::new(),
        reason: "84 is below 85".to_owned(),
    };
    let kinds = vec![
        EventKind::Detected {
            findings: Vec::new(),
            commit: CommitId::new("a".repeat(40)).unwrap(),
            blob: String::new(),
            reference: "refs/heads/develop".to_owned(),
            pusher: None,
        },
        consulted(
            Source::TeamKnowledge,
            ConsultOutcome::Unavailable { error: "connection refused".to_owned() },
            Vec::new(),
        ),
        consulted(Source::PastFix, ConsultOutcome::Answered, vec!["two\nlines \u{202e}of a hostile answer".to_owned()]),
        EventKind::Judged { source: Source::PastFix, candidates },
        EventKind::Decided(Box::new(made)),
        EventKind::Feedback(Feedback::Ignored { by: "ann".to_owned(), reason: "generated".to_owned() }),
    ];
    let event = |(number, kind)| AuditEvent {
        case: CaseId::from_stored("1a2b3c4d5e6f7890"),
        generation: Generation(1),
        sequence: number,
        at: START + number * 20,
        kind,
        previous: String::new(),
        hash: String::new(),
    };
    (0u64..).zip(kinds).map(event).collect()
}

#[test]
fn the_walk_tells_why_each_proposal_was_taken_or_refused() {
    let (head, events) = (head(), events());
    let lines = walk(&Run { head: &head, events: &events, findings: &[], generations: 2 });
    let text: Vec<String> = lines.iter().map(|line| format!("{}{}", " ".repeat(line.indent), line.text)).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn nothing_stored_reaches_the_terminal_as_a_control_character() {
    let (head, events) = (head(), events());
    for line in walk(&Run { head: &head, events: &events, findings: &[], generations: 1 }) {
        assert!(!line.text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{:?}", line.text);
    }
}

#[test]
fn a_long_answer_is_cut_and_says_so() {
    let lines = quoted("answer", &"line\n".repeat(40));
    assert_eq!(lines.len(), SHOWN_LINES + 1);
    assert!(lines.last().unwrap().text.contains("--format json"));
}
