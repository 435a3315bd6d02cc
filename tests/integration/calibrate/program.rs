//! The command itself: its words, its picture, its JSON, its exit codes.

use crate::cli::World;

/// A repository in which one proposal was merged, one closed, and one waits.
fn judged() -> World {
    let world = World::new();
    for (name, end) in [("merged", Some(true)), ("closed", Some(false)), ("open", None)] {
        let code = format!("import yaml\n\n\ndef {name}(f):\n    return yaml.load(f)\n");
        world.repo.write(&format!("{name}.py"), code);
        world.run(&["heal"]).ended(0);
        let listed = world.run(&["audit", "list", "--format", "json"]).json();
        let case = listed["runs"][0]["case"].as_str().unwrap().to_owned();
        let branch = format!("codehealer/py-yaml-unsafe-load-{}-g1", &case[..12]);
        match end {
            Some(true) => drop(world.repo.merge(&branch, "main")),
            Some(false) => world.repo.delete_branch(&branch),
            None => {}
        }
    }
    world.run(&["heal"]).ended(0);
    world
}

#[test]
fn the_figures_are_told_with_their_curve_and_a_warning() {
    let world = judged();
    let told = world.run(&["calibrate"]).ended(0);
    assert!(told.contains("mostly chance") && told.contains("left out, for nobody judged them: 1 (1 open)"), "{told}");
    assert!(!told.contains('\u{1b}'), "no colours where nobody sees them");
    for line in
        ["2 proposal(s) were judged, 1 were merged", "Brier score  0.410", "ECE          0.400", "AUC          0.500"]
    {
        assert!(told.contains(line), "{line} in {told}");
    }
    let (row, curve) = ("90 to 100", "┤");
    assert!(told.contains(row) && told.matches(curve).count() == 5 && told.matches('○').count() == 2, "{told}");
}

#[test]
fn machines_get_every_figure_and_every_case() {
    let world = judged();
    let told = world.run(&["calibrate", "--json"]).json();
    let all = &told["calibration"]["all"];
    assert_eq!((all["outcomes"].as_u64(), all["right"].as_u64()), (Some(2), Some(1)));
    assert!((all["brier"].as_f64().unwrap() - (0.01 + 0.81) / 2.0).abs() < 1e-9, "{all}");
    assert!((all["ece"].as_f64().unwrap() - 0.4).abs() < 1e-9 && all["auc"] == 0.5, "{all}");
    assert_eq!(told["calibration"]["bins"].as_array().unwrap().len(), 10);
    let fates: Vec<&str> = told["cases"].as_array().unwrap().iter().map(|c| c["fate"].as_str().unwrap()).collect();
    assert_eq!(fates, ["merged", "closed", "open"]);
    assert_eq!(world.run(&["calibrate", "--format", "json"]).json(), told);
    let elsewhere = world.run(&["calibrate", "--json", "--repo", "acme/other"]).json();
    assert_eq!(
        (elsewhere["cases"].as_array().unwrap().len(), &elsewhere["calibration"]["all"]["brier"].is_null()),
        (0, &true)
    );
}

#[test]
fn other_thresholds_are_tried_beside_todays() {
    let world = judged();
    let told = world.run(&["calibrate", "--backtest", "open=95", "--json"]).json();
    let test = &told["backtest"];
    assert_eq!((&test["today"]["open"]["cases"], &test["tried"]["open"]["cases"]), (&2.into(), &0.into()));
    assert_eq!((&test["tried"]["draft"]["merged"], &test["tried"]["draft"]["refused"]), (&1.into(), &1.into()));
    assert_eq!(test["moved"].as_array().unwrap().len(), 2);
    let text = world.run(&["calibrate", "--backtest", "open=95"]).ended(0);
    assert!(text.contains("2 case(s) would change their tier"), "{text}");
    for wrong in ["open=200", "open=50,draft=60", "shut=1", "80"] {
        let ran = world.run(&["calibrate", "--backtest", wrong]);
        assert_eq!(ran.code, 2, "{wrong}: {}", ran.err);
    }
}

#[test]
fn the_picture_is_one_file_that_needs_nothing_else() {
    let world = judged();
    let file = world.state.path().join("curve.svg");
    world.run(&["calibrate", "--svg", &file.to_string_lossy()]).ended(0);
    let picture = std::fs::read_to_string(&file).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n") && picture.contains("1 of 2"), "{picture}");
    let nowhere = world.run(&["calibrate", "--svg", "/no/such/folder/curve.svg"]);
    assert_eq!(nowhere.code, 3);
    assert!(nowhere.err.contains("a folder that exists"), "{}", nowhere.err);
}

#[test]
fn where_nothing_was_decided_it_says_so_and_makes_no_file() {
    let world = World::new();
    let told = world.run(&["calibrate"]).ended(0);
    assert!(told.contains("codehealer heal"), "{told}");
    assert!(!world.state.path().join("codehealer.db").exists(), "asking makes no file");
}
