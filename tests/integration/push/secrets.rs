//! Secrets in code, chat, answers, errors and commits: none reaches a pull request, notice, trail, memory, log or prompt.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use codehealer::model::CaseOutcome;
use codehealer::ports::{ErrorKind, PortError};

use crate::support::log::Log;
use crate::support::slack::Chat;
use crate::support::stores::{Storage, everything, on_both_stores};
use crate::support::world::{Push, ScriptedModel, World, files, rewrite};

on_both_stores! {
    no_secret_reaches_any_sink,
    a_fix_beside_a_secret_is_proposed_without_showing_it,
    what_is_told_in_prose_or_lies_around_the_place_reaches_no_sink,
    a_secret_that_the_model_makes_up_is_dropped_with_its_proposal,
    a_key_that_begins_above_the_diff_is_not_shown_in_it,
}

/// Characters that look random, the same each time. Put together here, so that no literal looks like a real secret.
fn noise(alphabet: &str, count: usize, seed: usize) -> String {
    let letters: Vec<char> = alphabet.chars().collect();
    let mut state = 0x2545_f491_u32.wrapping_add(u32::try_from(seed).unwrap().wrapping_mul(0x9e37_79b9));
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        letters[state as usize % letters.len()]
    };
    (0..count).map(|_| next()).collect()
}

const MIXED: &str = "aB3dE5fG7hJ9kLmN1pQrS2tUvWxYz4";
const HEX: &str = "0123456789abcdef";
const UPPER: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ234567";

fn secrets(seed: usize) -> Vec<String> {
    let mixed = |n| noise(MIXED, n, seed);
    let hex = |n| noise(HEX, n, seed);
    let upper = |n| noise(UPPER, n, seed);
    let shapes: Vec<Vec<String>> = vec![
        vec!["AK".into(), "IA".into(), upper(16)],
        vec!["AS".into(), "IA".into(), upper(16)],
        vec!["gh".into(), "p_".into(), mixed(36)],
        vec!["gh".into(), "s_".into(), mixed(36)],
        vec!["github".into(), "_pat_".into(), mixed(22), "_".into(), mixed(59)],
        vec!["gl".into(), "pat-".into(), mixed(20)],
        vec!["xox".into(), "b-123456789012-123456789012-".into(), mixed(24)],
        vec!["sk".into(), "_live_".into(), mixed(24)],
        vec!["AI".into(), "za".into(), mixed(35)],
        vec!["ya".into(), "29.".into(), mixed(60)],
        vec!["GOC".into(), "SPX-".into(), mixed(28)],
        vec!["np".into(), "m_".into(), mixed(36)],
        vec!["py".into(), "pi-AgEIcHlwaS5vcmc".into(), mixed(70)],
        vec!["S".into(), "G.".into(), mixed(22), ".".into(), mixed(43)],
        vec!["s".into(), "k-proj-".into(), mixed(48)],
        vec!["sk-".into(), "ant-api03-".into(), mixed(90)],
        vec!["h".into(), "f_".into(), mixed(34)],
        vec!["hv".into(), "s.".into(), mixed(90)],
        vec!["dop".into(), "_v1_".into(), hex(64)],
        vec!["da".into(), "pi".into(), hex(32)],
        vec!["dckr".into(), "_pat_".into(), mixed(27)],
        vec!["gl".into(), "sa_".into(), mixed(32), "_".into(), hex(8)],
        vec!["ey".into(), "J".into(), mixed(33), ".ey".into(), "J".into(), mixed(50), ".".into(), mixed(43)],
        vec!["lin".into(), "_api_".into(), mixed(40)],
        vec!["NR".into(), "AK-".into(), upper(27)],
        vec!["PM".into(), "AK-".into(), hex(24), "-".into(), hex(34)],
        vec!["pu".into(), "l-".into(), hex(40)],
        vec!["ruby".into(), "gems_".into(), hex(48)],
        vec!["shp".into(), "at_".into(), hex(32)],
        vec!["sq0".into(), "atp-".into(), mixed(22)],
        vec!["whs".into(), "ec_".into(), mixed(32)],
        vec!["123456789".into(), ":AA".into(), mixed(33)],
        vec!["SK".into(), hex(32)],
        vec!["AGE-SECRET".into(), "-KEY-1".into(), upper(58)],
    ];
    shapes.into_iter().map(|parts| parts.concat()).collect()
}

/// What a line of the finding's function, its chat and its answer look like with a secret in them.
struct Told {
    code: String,
    question: String,
    answer: String,
}

fn told(number: usize, secret: &str) -> Told {
    let pem = ["-----BEGIN RSA PRIVATE", " KEY-----\n"].concat();
    let key = format!(
        "KEY = \"\"\"{pem}{}\n{}\n-----END RSA PRIVATE KEY-----\n\"\"\"\n\n",
        noise(MIXED, 64, 901),
        noise(MIXED, 64, 902)
    );
    let code = format!(
        "{key}def tell(name):\n    url = \"https://bob:{secret}@example.org/\"\n    connect(\"{secret}\", \"%s has %s\" % (name,))\n    \
         return url, \"{secret} %s has %s\" % (name,)\n"
    );
    // Once the secret lies just where long texts are cut.
    let padding = if number.is_multiple_of(2) { "x ".repeat(955) } else { String::new() };
    let question = format!("py-format-arguments {padding} {secret} and {}", STANDARD.encode(secret));
    let answer = format!(
        "instead of\n```\nf(\"{secret}\", \"%s has %s\" % (name,))\n```\nuse\n```\nf(\"{secret}\", \"%s has\" % (name,))\n```"
    );
    Told { code, question, answer }
}

/// Every place where text of ours can be read, by name.
pub(super) async fn sinks(world: &World, log: &Log, model: &ScriptedModel) -> Vec<(&'static str, String)> {
    let read = |folder: &str| -> String {
        let all = files(&world.folder().join(folder));
        all.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    };
    let messages: String = world
        .branches()
        .into_values()
        .map(|tip| world.git.repo.find_commit(tip.parse().unwrap()).unwrap().message().unwrap().to_owned())
        .collect();
    let shown = format!("{:?}", world.shown.lock().unwrap());
    let prompts: String = model.prompts.lock().unwrap().iter().map(|p| format!("{}\n{}", p.system, p.user)).collect();
    vec![
        ("pull requests", read("pulls")),
        ("notices", read("notices")),
        ("notices as sent", shown),
        ("commit messages", messages),
        ("stores", everything(world).await),
        ("memory", serde_json::to_string(&world.memories().await).unwrap()),
        ("log", log.text()),
        ("prompts", prompts),
    ]
}

pub(super) fn assert_absent(sinks: &[(&'static str, String)], secret: &str) {
    let tail = &secret[secret.len() - 12..];
    let forms = [
        tail.to_owned(),
        STANDARD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        hex::encode(secret),
        secret.bytes().map(|b| format!("%{b:02X}")).collect(),
    ];
    for (name, text) in sinks {
        for form in &forms {
            assert!(!text.contains(form.as_str()), "{form} is in the {name}: …{}…", around(text, form));
        }
    }
}

fn around<'a>(text: &'a str, found: &str) -> &'a str {
    let at = text.find(found).unwrap_or(0);
    let start = (0..=at.saturating_sub(120)).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let end = (at + 160..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(text.len());
    &text[start..end]
}

async fn no_secret_reaches_any_sink(at: Storage) {
    let log = Log::default();
    let _guard = log.listen();
    let shapes = secrets(0);
    assert!(shapes.len() >= 30);
    for (number, secret) in shapes.iter().enumerate() {
        let Told { code, question, answer } = told(number, secret);
        let (_folder, team) = Chat { messages: &[("U1", &question), ("U2", &answer)], confirmed: true }.open();
        let leaked = secret.clone();
        let model = match number % 3 {
            0 => ScriptedModel::answering(move |_| {
                let error = PortError::new("model", format!("log in with {leaked}"), ErrorKind::Unavailable);
                Err(error.caused_by(format!("401 for Bearer {leaked}")))
            }),
            1 => ScriptedModel::answering(move |prompt| {
                Ok(rewrite(prompt, "90", |region| region.replace("has %s", &format!("has {leaked}"))))
            }),
            _ => ScriptedModel::answering(move |prompt| {
                Ok(rewrite(prompt, "90", |region| region.replace("has %s", "has")))
            }),
        };
        let mut world = at.readable().unseen().await.with_model(&model);
        world.team = Some(team);
        let first = world.git.on("develop").file("README.md", "a shop\n").commit("begin");
        let after = world.git.on("develop").file("src/tell.py", &code).commit(&format!("log in with {secret}"));
        world.deliver(&Push { before: Some(first), after }).await;
        world.process().drain().await.unwrap();
        world.pass(std::time::Duration::from_secs(26 * 3600 * u64::from(number == 0))).await;
        assert!(!world.runs().await.is_empty(), "{secret}: nothing was found");
        let sinks = sinks(&world, &log, &model).await;
        assert_absent(&sinks, secret);
        for part in [noise(MIXED, 64, 901), noise(MIXED, 64, 902)] {
            assert_absent(&sinks, &part);
        }
    }
}

async fn a_fix_beside_a_secret_is_proposed_without_showing_it(at: Storage) {
    for secret in secrets(1) {
        let world = at.readable().unseen().await;
        let first = world.git.on("develop").file("README.md", "a shop\n").commit("begin");
        let code = format!(
            "import yaml\n\n\ndef load(f):\n    login(\"{secret}\")\n    return yaml.load(f, Loader=yaml.Loader)\n    # {secret}\n"
        );
        let after = world.git.on("develop").file("src/config.py", &code).commit("config");
        world.deliver(&Push { before: Some(first), after }).await;
        world.process().drain().await.unwrap();
        assert!(world.branches().len() == 1 && world.pull_requests() >= 1, "{secret}");
        let model = ScriptedModel::answering(|_| Ok(String::new()));
        let sinks = sinks(&world, &Log::default(), &model).await;
        assert_absent(&sinks, &secret);
        let tip = world.branches().into_values().next().unwrap();
        let fixed = world.git.file_at(&codehealer::model::CommitId::new(tip).unwrap(), "src/config.py");
        let fixed = String::from_utf8(fixed).unwrap();
        assert_eq!(
            fixed,
            code.replace("yaml.load(f, Loader=yaml.Loader)", "yaml.safe_load(f)"),
            "the code keeps what it has"
        );
    }
}

/// Lines of a private key that only its first and last line tell from other letters.
fn key_lines() -> Vec<String> {
    (0..25).map(|line| noise(MIXED, 64, 2_000 + line)).collect()
}

/// A long function: the key begins above the lines that a model is shown, and ends among them.
fn long_function(secret: &str) -> String {
    let pem = ["-----BEGIN RSA PRIVATE", " KEY-----"].concat();
    let lines = |name: &str, count: usize| (0..count).map(|n| format!("    {name}_{n} = {n}\n")).collect::<String>();
    format!(
        "import shop  # {secret}\n\n\ndef tell(name):\n    key = \"\"\"{pem}\n{}\n-----END RSA PRIVATE KEY-----\n\"\"\"\n{}    \
         return \"%s has %s\" % (name,)\n{}",
        key_lines().join("\n"),
        lines("before", 12),
        lines("after", 40),
    )
}

async fn what_is_told_in_prose_or_lies_around_the_place_reaches_no_sink(at: Storage) {
    let log = Log::default();
    let _guard = log.listen();
    for secret in secrets(2).iter().step_by(5) {
        // No code, so that the thread itself is what the model gets to read.
        let encoded = [STANDARD.encode(format!("login with {secret} please")), hex::encode(secret)];
        let prose = format!("py-format-arguments: marmalade {secret}, or {} or {}", encoded[0], encoded[1]);
        let (_folder, team) = Chat { messages: &[("U1", &prose), ("U2", &prose)], confirmed: false }.open();
        let model = ScriptedModel::answering(|_| Ok("CANNOT".to_owned()));
        let mut world = at.readable().world().await.with_model(&model);
        world.team = Some(team);
        world.pushed("src/tell.py", long_function(secret)).await;
        world.process().drain().await.unwrap();
        let sinks = sinks(&world, &log, &model).await;
        let prompts = &sinks.iter().find(|(name, _)| *name == "prompts").unwrap().1;
        for shown in ["marmalade", "import shop", "before_0", "[redacted]"] {
            assert!(prompts.contains(shown), "{shown} is not in {prompts}");
        }
        assert_absent(&sinks, secret);
        for (name, text) in &sinks {
            for form in encoded.iter().chain(&key_lines()) {
                assert!(!text.contains(&form[..24]), "{form} is in the {name}: …{}…", around(text, &form[..24]));
            }
        }
    }
}

async fn a_secret_that_the_model_makes_up_is_dropped_with_its_proposal(at: Storage) {
    let log = Log::default();
    let _guard = log.listen();
    for secret in secrets(3).iter().step_by(5) {
        let leaked = secret.clone();
        let model = ScriptedModel::answering(move |prompt| {
            Ok(rewrite(prompt, "90", |region| region.replace("has %s", &format!("has {leaked}"))))
        });
        let world = at.readable().world().await.with_model(&model);
        world.pushed("src/tell.py", crate::support::world::UNKNOWN).await;
        world.process().drain().await.unwrap();
        let run = world.run().await;
        // Once more with the reason, then no more.
        assert_eq!((model.asked(), run.summary.outcome, world.branches().len()), (2, CaseOutcome::Escalated, 0));
        assert_absent(&sinks(&world, &log, &model).await, secret);
        let said = format!("{:?}", world.events(&run).await);
        assert!(said.contains("a proposal with a secret in it was dropped"), "{said}");
    }
}

/// The lines around a change show the end of a key, without what tells that it is one.
async fn a_key_that_begins_above_the_diff_is_not_shown_in_it(at: Storage) {
    let world = at.readable().world().await;
    let pem = ["-----BEGIN RSA PRIVATE", " KEY-----"].concat();
    let lines = key_lines();
    let code = format!(
        "import yaml\n\n\ndef load(f):\n    key = \"\"\"{pem}\n{}\n-----END RSA PRIVATE KEY-----\"\"\"\n    return key, \
         yaml.load(f, Loader=yaml.Loader)\n",
        lines.join("\n")
    );
    world.pushed("src/config.py", &code).await;
    world.process().drain().await.unwrap();
    assert!(world.pull_requests() >= 1 && world.notices() >= 1);
    let model = ScriptedModel::answering(|_| Ok(String::new()));
    let sinks = sinks(&world, &Log::default(), &model).await;
    for (name, text) in &sinks {
        for line in &lines {
            assert!(!text.contains(line.as_str()), "{line} is in the {name}: …{}…", around(text, line));
        }
    }
    let shown = &sinks.iter().find(|(name, _)| *name == "pull requests").unwrap().1;
    assert!(shown.contains("safe_load") && shown.contains("[redacted]"), "the change and what is around it: {shown}");
}
