//! The starter memory: it is learned from the rules' own cases, it round-trips, it is proposed in new places, and it comes once.

use std::sync::OnceLock;

use codehealer::detect::rule_tests;
use codehealer::fix::pattern::{Request, propose};
use codehealer::model::{Finding, Language, PastFix, Provenance, RepositoryId};
use codehealer::ports::FixMemory as _;
use regex::Regex;

use crate::cli;
use crate::support::world::{World, detector};

async fn all(world: &World) -> Vec<PastFix> {
    world.store.memory().list(None, 10_000).await.unwrap()
}

/// The same problem in another function, further down in another file.
fn elsewhere(text: &str) -> String {
    static NAMES: OnceLock<Regex> = OnceLock::new();
    let names = NAMES.get_or_init(|| Regex::new(r"\b(def|function|func) ([a-z]\w*)\(").unwrap());
    format!("\n\n{}", names.replace_all(text, "$1 another_$2("))
}

fn heals(rule: &rule_tests::Cases, text: &str, finding: &Finding, fixes: &[(PastFix, f64)]) -> bool {
    let detector = detector();
    let repository = RepositoryId("elsewhere".to_owned());
    let count = |text: &str| {
        let found = detector.scan(&repository, &finding.path, text.as_bytes()).findings;
        found.iter().filter(|f| f.rule.id == rule.id).count()
    };
    let language = Language::of(&finding.path).unwrap();
    let request = Request { language, text, finding: finding.span, repository: "acme/shop", similar: fixes };
    propose(&request).iter().any(|proposal| {
        let edits = proposal.edits(language, &finding.path, text);
        codehealer::fix::edit::apply(text, &edits).is_ok_and(|after| count(&after) < count(text))
    })
}

#[tokio::test]
async fn every_starter_fix_round_trips_and_most_places_of_their_rules_are_healed_by_them() {
    let world = World::new().await;
    let report = world.process().worker.healer().learn_starter("acme").await.unwrap();
    let fixes = all(&world).await;
    assert_eq!(fixes.len(), report.fixes());
    assert!(fixes.len() >= 60, "{} of them; refused: {:#?}", fixes.len(), report.refused);
    for fix in &fixes {
        assert!(
            fix.round_trips && !fix.patterns.is_empty() && !fix.vector.is_empty(),
            "{}: {}",
            fix.rule,
            fix.scope_before
        );
        assert_eq!((&fix.provenance, fix.private, fix.organisation.as_str()), (&Provenance::Starter, false, "acme"));
    }
    let (mut healed, mut left) = (0usize, Vec::new());
    for cases in rule_tests::built_in().unwrap().iter().filter(|cases| report.learned.contains_key(&cases.id)) {
        let path = rule_tests::place(detector().rules(), cases).unwrap();
        let of_rule: Vec<(PastFix, f64)> =
            fixes.iter().filter(|fix| fix.rule == cases.id).map(|fix| (fix.clone(), 1.0)).collect();
        for fixed in &cases.fixed {
            let text = elsewhere(&fixed.before);
            let found = detector().scan(&RepositoryId("elsewhere".to_owned()), &path, text.as_bytes()).findings;
            for finding in found.iter().filter(|finding| finding.rule.id == cases.id) {
                match heals(cases, &text, finding, &of_rule) {
                    true => healed += 1,
                    false => left.push(format!("{}: {}", cases.id, finding.normalised)),
                }
            }
        }
    }
    assert!(healed * 10 >= (healed + left.len()) * 8, "{healed} healed, not healed: {left:#?}");
}

#[tokio::test]
async fn it_begins_an_empty_memory_and_no_other_and_comes_once() {
    let world = World::new().await;
    let process = world.process();
    let healer = process.worker.healer();
    let begun = healer.begin_with_starter("acme").await.unwrap().expect("nothing was remembered");
    assert!(begun.fixes() > 0);
    assert_eq!(healer.begin_with_starter("acme").await.unwrap(), None, "something is remembered");
    // Who forgets one of them and asks for all again gets that one; what people said of the others stays.
    let fixes = all(&world).await;
    let mut judged = fixes[0].clone();
    judged.record.rejected = 3;
    world.store.memory().remember(&judged).await.unwrap();
    world.store.memory().forget(&fixes[1].id).await.unwrap();
    assert_eq!(healer.begin_with_starter("acme").await.unwrap(), None);
    let again = healer.learn_starter("acme").await.unwrap();
    // Two cases may teach the same fix: it is one, and the second time it is known.
    assert_eq!((again.fixes(), again.known), (1, fixes.len() - 1 + begun.known));
    assert_eq!(world.store.memory().get(&judged.id).await.unwrap().unwrap().record, judged.record);
}

#[test]
fn the_program_takes_it_in_and_lists_it() {
    let world = cli::World::new();
    let told = world.run(&["memory", "import", "--starter", "--format", "json"]).json();
    let fixes: u64 = told["learned"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert!(fixes > 0, "{told:#}");
    let listed = world.run(&["memory", "list", "--provenance", "starter", "--format", "json"]).json();
    assert_eq!(listed.as_array().unwrap().len() as u64, fixes);
    assert_eq!(world.run(&["memory", "import"]).code, 2);
    assert_eq!(world.run(&["memory", "import", "--starter", "fixes.json"]).code, 2);
}
