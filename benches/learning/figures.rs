//! The figures of all look-ups.

use std::collections::BTreeMap;

use super::trials::{Split, Told};

/// Bins of the expected calibration error.
const BINS: u8 = 10;

pub fn report(told: &[Told]) {
    println!(
        "\n| memory | fixes | look-ups | rule known | verified | exact | exact hunk | shape | p≥.60 cov | exact | p≥.85 cov | exact | Brier | ECE | AUC | ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut groups: BTreeMap<(Split, usize), Vec<&Told>> = BTreeMap::new();
    for one in told {
        groups.entry((one.split, one.size)).or_default().push(one);
    }
    for ((split, size), all) in &groups {
        line(&format!("{split:?} | {size}"), all);
        let seeds: Vec<u64> = all.iter().map(|one| one.seed).collect();
        for seed in 1..=seeds.into_iter().max().unwrap_or(0) {
            let own: Vec<&Told> = all.iter().filter(|one| one.seed == seed).copied().collect();
            line(&format!("{split:?}, seed {seed} | {size}"), &own);
        }
    }
    for ((split, size), all) in &groups {
        if *split == Split::Time && *size == 300 {
            by_rule(all);
        }
    }
}

fn line(name: &str, all: &[&Told]) {
    let share = |of: &dyn Fn(&Told) -> bool| all.iter().filter(|one| of(one)).count() as f64 / all.len().max(1) as f64;
    let sure = |least: u8| {
        let reach: Vec<&&Told> = all.iter().filter(|one| one.confidence >= Some(least)).collect();
        let exact = reach.iter().filter(|one| one.exact).count() as f64 / reach.len().max(1) as f64;
        format!("{:.2} | {exact:.2}", reach.len() as f64 / all.len().max(1) as f64)
    };
    let believed: Vec<(f64, bool)> =
        all.iter().filter_map(|one| Some((f64::from(one.confidence?) / 100.0, one.exact))).collect();
    let mut times: Vec<f64> = all.iter().map(|one| one.milliseconds).collect();
    times.sort_by(f64::total_cmp);
    println!(
        "| {name} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} | {:.3} | {:.3} | {:.2} | {:.0} |",
        all.len(),
        share(&|one| one.known > 0),
        share(&|one| one.confidence.is_some()),
        share(&|one| one.exact),
        share(&|one| one.exact_hunk),
        share(&|one| one.same_shape),
        sure(60),
        sure(85),
        brier(&believed),
        calibration_error(&believed),
        area(&believed),
        times.get(times.len() / 2).copied().unwrap_or(0.0),
    );
}

fn by_rule(all: &[&Told]) {
    println!("\n| rule | look-ups | verified | exact | some patch exact | shape | mean p |");
    println!("|---|---|---|---|---|---|---|");
    let mut rules: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
    for one in all {
        rules.entry(&one.rule).or_default().push(one);
    }
    let mut rules: Vec<_> = rules.into_iter().collect();
    rules.sort_by_key(|(_, own)| std::cmp::Reverse(own.len()));
    for (rule, own) in rules {
        let share = |of: &dyn Fn(&Told) -> bool| own.iter().filter(|one| of(one)).count() as f64 / own.len() as f64;
        let p: Vec<f64> = own.iter().filter_map(|one| Some(f64::from(one.confidence?) / 100.0)).collect();
        println!(
            "| {rule} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            own.len(),
            share(&|one| one.confidence.is_some()),
            share(&|one| one.exact),
            share(&|one| one.any_exact),
            share(&|one| one.same_shape),
            p.iter().sum::<f64>() / p.len().max(1) as f64
        );
    }
}

/// Mean squared distance of what is believed from what came.
fn brier(all: &[(f64, bool)]) -> f64 {
    all.iter().map(|(p, exact)| (p - f64::from(u8::from(*exact))).powi(2)).sum::<f64>() / all.len().max(1) as f64
}

/// Mean distance of belief and outcome over ten bins of equal width, weighted by how many fall into each.
fn calibration_error(all: &[(f64, bool)]) -> f64 {
    let in_bin = |bin: u8| {
        let low = f64::from(bin) / f64::from(BINS);
        all.iter().filter(move |(p, _)| *p >= low && (*p < low + 0.1 || bin + 1 == BINS))
    };
    (0..BINS).map(|bin| in_bin(bin).map(|(p, exact)| p - f64::from(u8::from(*exact))).sum::<f64>().abs()).sum::<f64>()
        / all.len().max(1) as f64
}

/// The chance that an exact patch is believed more than another, ties counted half.
fn area(all: &[(f64, bool)]) -> f64 {
    let (mut wins, mut pairs) = (0.0, 0.0);
    for (p, _) in all.iter().filter(|(_, exact)| *exact) {
        for (q, _) in all.iter().filter(|(_, exact)| !*exact) {
            pairs += 1.0;
            wins += if p > q {
                1.0
            } else if p < q {
                0.0
            } else {
                0.5
            };
        }
    }
    if pairs > 0.0 { wins / pairs } else { f64::NAN }
}
