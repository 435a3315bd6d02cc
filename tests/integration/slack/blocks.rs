//! How notices look in Slack.

use std::fmt::Write as _;

use codehealer::model::{Notice, NoticeKind};
use codehealer::report::markdown::{block, text};
use codehealer::slack::Rendered;

use crate::contract::notifier::notice;
use crate::support::slack_api::check_blocks;

fn shown(notice: &Notice, mention: Option<&str>) -> String {
    let rendered = Rendered::new(notice, mention);
    let blocks = serde_json::to_value(&rendered.blocks).unwrap();
    assert_eq!(check_blocks(&blocks), Ok(()), "Slack refuses it");
    format!("{}\n\n{}", rendered.text, serde_json::to_string_pretty(&blocks).unwrap())
}

#[test]
fn a_pull_request_is_told_with_its_link() {
    let body = "SQL\\_INJECTION in src/auth.py line 15 → Fix: use a parameterized query\n\n\
                Pull request: https://github.com/acme/shop/pull/7\n\nThe whole walk: `codehealer audit show 1a2b3c4d5e6f`\n";
    insta::assert_snapshot!(shown(&Notice { for_senior: false, ..notice("k", body) }, None));
}

#[test]
fn a_draft_calls_the_senior() {
    let body = "WEAK\\_HASH in src/a.py line 3 → Fix: use SHA-256\n\nDraft pull request, please look: https://github.com/acme/shop/pull/8\n";
    let draft = Notice {
        kind: NoticeKind::Draft,
        headline: "Draft: WEAK_HASH in src/a.py line 3 → Fix: use SHA-256".into(),
        link: Some("https://github.com/acme/shop/pull/8".into()),
        ..notice("k", body)
    };
    insta::assert_snapshot!(shown(&draft, Some("<@U3>")));
}

#[test]
fn an_escalation_shows_what_was_tried_and_keeps_hostile_text_quiet() {
    let mut body = format!("{}\n\n", text("XSS in <!here>/__init__.py line 1 → Fix: escape it"));
    let _ = writeln!(body, "No pull request was made: {}.\n", text("the edit touches `@team` & <b>more</b>"));
    body.push_str("- refused: a *first* try\n\nThe unproven proposal, for a person to judge:\n\n");
    body.push_str(&block("diff", "-old(\"```\")\n+new(\"<@U2>\")\n", 6_000));
    let escalation = Notice {
        kind: NoticeKind::Escalation,
        headline: "Needs a person: XSS in <!here>/__init__.py line 1 → Fix: escape it".into(),
        link: None,
        ..notice("k", &body)
    };
    insta::assert_snapshot!(shown(&escalation, Some("<!subteam^S9>")));
}
