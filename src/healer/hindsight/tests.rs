//! Places followed through made-up histories of one file.

use super::place::{Ours, Step};
use super::*;
use crate::detect::{Detector, Limits, RuleSet};
use crate::model::{Edit, RepositoryId};

const BEFORE: &str = "import yaml\n\n\ndef a(f):\n    return yaml.load(f)\n\n\ndef b(f):\n    return yaml.load(f)\n";

fn detector() -> Detector {
    Detector::new(RuleSet::built_in(), Limits::default())
}

fn findings(detector: &Detector, text: &str) -> Vec<Finding> {
    let (path, repository) = (RepoPath::new("a.py").unwrap(), RepositoryId("1".to_owned()));
    detector.scan(&repository, &path, text.as_bytes()).findings
}

/// Follows the second of the two equal findings through a history, our edit being `yaml.safe_load`. The last text it stood in,
/// or how it ended.
fn followed(history: &[&str]) -> Result<usize, Later> {
    let detector = detector();
    let start = findings(&detector, BEFORE).pop().unwrap();
    assert_eq!(start.start.line, 9, "the second one");
    let call = BEFORE.rfind("yaml.load").unwrap();
    let edits = [Edit { path: start.path.clone(), span: Span::new(call, call + 9), text: "yaml.safe_load".to_owned() }];
    let ours = Ours::of(BEFORE, &edits, start.span).unwrap();
    let (mut before, mut place) = (BEFORE, start);
    for after in history {
        let (was, is) = (findings(&detector, before), findings(&detector, after));
        let step = Step { before, after, was: &was, is: &is };
        place = step.follow(&place.rule.id, (place.span, &place.normalised), &ours)?.clone();
        before = after;
    }
    Ok(place.start.line)
}

fn second(code: &str) -> String {
    let at = BEFORE.rfind("    return").unwrap();
    format!("{}{code}", &BEFORE[..at])
}

#[test]
fn the_same_edit_is_known_again_however_it_is_spaced_and_whatever_stands_beside_it() {
    for code in [
        "    return yaml.safe_load(f)\n",
        "    return yaml.safe_load( f )\n",
        "    log(f)\n    return yaml.safe_load(f)\n",
    ] {
        assert_eq!(followed(&[&second(code)]), Err(Later::Same), "{code}");
    }
}

#[test]
fn another_edit_of_the_same_lines_is_not_the_same() {
    assert_eq!(followed(&[&second("    return json.load(f)\n")]), Err(Later::Differently));
    let wrapped = second("    return parsed(f.read())\n");
    assert_eq!(followed(&[&wrapped]), Err(Later::Differently));
}

#[test]
fn the_first_of_two_equal_places_is_not_mistaken_for_the_second() {
    let first = BEFORE.replacen("yaml.load", "yaml.safe_load", 1);
    assert_eq!(followed(&[&first]), Ok(9));
    let both = first.replace("yaml.load", "json.load");
    assert_eq!(followed(&[&first, &both]), Err(Later::Differently));
}

#[test]
fn a_place_is_followed_where_its_lines_move() {
    let moved = format!("# a\n# b\n\n{BEFORE}");
    assert_eq!(followed(&[&moved]), Ok(12));
    assert_eq!(followed(&[&moved, &moved.replace("yaml.load", "yaml.safe_load")]), Err(Later::Same));
    // To another function, as a whole.
    let carried = BEFORE.replace(
        "def b(f):\n    return yaml.load(f)\n",
        "def b(f):\n    return c(f)\n\n\ndef c(f):\n    return yaml.load(f)\n",
    );
    assert_eq!(followed(&[&carried]), Ok(13));
}

#[test]
fn lines_that_changed_and_are_still_wrong_stand() {
    let renamed = second("    return yaml.load(f.read())\n");
    assert_eq!(followed(&[&renamed]), Ok(9));
    let healed = second("    return yaml.safe_load(f.read())\n");
    assert_eq!(followed(&[&renamed, &healed]), Err(Later::Differently), "our very words would not have done");
}

#[test]
fn what_went_with_its_code_is_neither_right_nor_wrong() {
    let at = BEFORE.rfind("\n\ndef b").unwrap();
    assert_eq!(followed(&[&BEFORE[..at]]), Err(Later::Elsewhere));
}
