//! The look-up of past fixes among 100,000: the embedded memory and a real OpenSearch node, on the same fixes and questions,
//! against exact search.
//!
//! The vectors are what our embedder makes of code: lines of Python that rules look at, with other names, arguments and
//! shapes each time. Questions are more of them. Times are those of the whole call for the healer's forty neighbours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use codehealer::local::clock::SystemClock;
use codehealer::local::store::{Options, Store};
use codehealer::model::{
    AuthorKind, Confidence, FixId, IssueType, Language, PastFix, Provenance, RepoPath, RuleId, Severity, Span,
    TrackRecord,
};
use codehealer::opensearch::{Auth, OpenSearchMemory, OpenSearchOptions};
use codehealer::ports::{FixMemory, FixQuery};
use codehealer::recall::embedding::{DIMENSIONS, EMBEDDER, cosine, embed};
use rayon::prelude::*;

use super::{Numbers, report};
use crate::support::servers;

const FIXES: usize = 100_000;
/// Fixes are spread over this many rules, unevenly, as in a real memory; the largest rule holds a fifth of them.
const RULES: usize = 60;
const QUESTIONS: usize = 200;
/// Neighbours that the healer asks for.
const NEIGHBOURS: usize = 40;
/// Of how many of the nearest the recall is measured.
const NEAREST: usize = 5;
/// Cosines that differ by less are equal: which of two equal ones is found says nothing about the search.
const EQUAL: f64 = 1e-9;
const GOAL: (Duration, f64) = (Duration::from_millis(50), 0.95);

const WORDS: [&str; 24] = [
    "user", "order", "query", "config", "path", "token", "item", "report", "cart", "price", "session", "request",
    "body", "name", "key", "value", "row", "cursor", "client", "event", "total", "stamp", "label", "stream",
];

/// Lines that rules look at; `$` stands for another name each time, `#` for an argument.
const LINES: [&str; 20] = [
    "$ = yaml.load(#)",
    "return yaml.load(#, Loader=#)",
    "cursor.execute(\"SELECT * FROM $ WHERE $ = '%s'\" % #)",
    "$.execute(f\"DELETE FROM $ WHERE id = {#}\")",
    "subprocess.call(\"tar xf \" + #, shell=True)",
    "$ = subprocess.run(#, shell=True, check=#)",
    "$ = hashlib.md5(#.encode()).hexdigest()",
    "requests.get(#, verify=False, timeout=#)",
    "$ = requests.post(#, json=#, verify=False)",
    "if $ == None and # is not None:\n        $ = #",
    "for $ in range(len(#)):\n        print(#[$])",
    "$ = open(#).read()\n    return $.strip()",
    "try:\n        $ = #\n    except:\n        pass",
    "assert (#, \"$ is missing\")",
    "$ = pickle.loads(base64.b64decode(#))",
    "$ = eval(#)\n    return $ + #",
    "random.choice(#) if # else random.random()",
    "tempfile.mktemp(prefix=#, dir=#)",
    "app.run(host=#, debug=True, port=#)",
    "$ = jinja2.Environment(loader=#, autoescape=False)",
];

/// A function with a line of the rule, and where the line is.
fn code(rule: usize, numbers: &mut Numbers) -> (String, Span) {
    let mut line = String::new();
    for c in LINES[rule % LINES.len()].chars() {
        match c {
            '$' => line.push_str(&name(numbers)),
            '#' => line.push_str(&argument(numbers, 2)),
            _ => line.push(c),
        }
    }
    let before =
        format!("def {}({}):\n    {} = {}\n    ", name(numbers), name(numbers), name(numbers), argument(numbers, 1));
    let span = Span::new(before.len(), before.len() + line.len());
    (format!("{before}{line}\n"), span)
}

fn word(numbers: &mut Numbers) -> &'static str {
    WORDS[numbers.below(WORDS.len())]
}

fn name(numbers: &mut Numbers) -> String {
    match numbers.below(3) {
        0 => word(numbers).to_owned(),
        1 => format!("{}_{}", word(numbers), word(numbers)),
        _ => format!("{}{}", word(numbers), numbers.below(40)),
    }
}

fn argument(numbers: &mut Numbers, depth: usize) -> String {
    match numbers.below(if depth == 0 { 3 } else { 7 }) {
        0 | 1 => name(numbers),
        2 => numbers.below(1000).to_string(),
        3 => format!("self.{}", name(numbers)),
        4 => format!("{}[\"{}\"]", argument(numbers, depth - 1), word(numbers)),
        5 => format!("{}({})", name(numbers), argument(numbers, depth - 1)),
        _ => format!("{} + {}", argument(numbers, depth - 1), argument(numbers, depth - 1)),
    }
}

fn rule_of(number: usize) -> usize {
    if number.is_multiple_of(5) { 0 } else { number % RULES }
}

fn rule_id(rule: usize) -> RuleId {
    RuleId::new(format!("rule-{rule}")).unwrap()
}

fn fix(number: usize) -> PastFix {
    let rule = rule_of(number);
    let mut numbers = Numbers(number as u64 + 7);
    numbers.below(1);
    let (scope, finding) = code(rule, &mut numbers);
    PastFix {
        id: FixId(format!("{number:08}")),
        schema: PastFix::SCHEMA,
        organisation: "acme".to_owned(),
        language: Language::Python,
        rule: rule_id(rule),
        aliases: Vec::new(),
        issue_type: IssueType::new("LINTING").unwrap(),
        severity: Severity::Low,
        confidence: Confidence::new(60).unwrap(),
        message: String::new(),
        vector: embed(Language::Python, &scope, finding),
        scope_after: scope.to_uppercase(),
        scope_before: scope,
        finding,
        anchor_kind: "call".to_owned(),
        imports_added: Vec::new(),
        patterns: Vec::new(),
        embedder: EMBEDDER.to_owned(),
        repository: "acme/shop".to_owned(),
        private: true,
        path: RepoPath::new("a.py").unwrap(),
        provenance: Provenance::Mined { commit: "c".repeat(40) },
        author: AuthorKind::Member,
        created: 0,
        round_trips: true,
        record: TrackRecord::default(),
        superseded_by: None,
    }
}

/// A question, and the cosines of its nearest by exact search.
struct Question {
    query: FixQuery,
    best: Vec<f64>,
}

fn questions(stored: &[PastFix], rules: impl Fn(usize) -> usize + Sync) -> Vec<Question> {
    let ask = |n: usize| {
        let rule = rules(n);
        let mut numbers = Numbers((FIXES + n) as u64 * 31);
        numbers.below(1);
        let (scope, finding) = code(rule, &mut numbers);
        let vector = embed(Language::Python, &scope, finding);
        let of_rule = stored.iter().enumerate().filter(|(number, _)| rule_of(*number) == rule);
        let mut best: Vec<f64> = of_rule.map(|(_, fix)| cosine(&vector, &fix.vector)).collect();
        best.sort_by(|a, b| b.total_cmp(a));
        best.truncate(NEAREST);
        let query = FixQuery {
            organisation: "acme".to_owned(),
            private: true,
            repository: "acme/shop".to_owned(),
            language: Language::Python,
            rule: rule_id(rule),
            vector,
            embedder: EMBEDDER.to_owned(),
            limit: NEIGHBOURS,
        };
        Question { query, best }
    };
    (0..QUESTIONS).into_par_iter().map(ask).collect()
}

/// Asks all questions one after the other; prints times and recall.
async fn measure(memory: &dyn FixMemory, label: &str, questions: &[Question]) {
    // Caches are filled as they are in a process that works.
    for question in &questions[..20] {
        memory.nearest(&question.query).await.unwrap();
    }
    let (mut times, mut met) = (Vec::new(), 0);
    for question in questions {
        let begun = Instant::now();
        let near = memory.nearest(&question.query).await.unwrap();
        times.push(begun.elapsed());
        assert_eq!(near.len(), NEIGHBOURS);
        let worst = question.best.last().unwrap() - EQUAL;
        met += near.iter().filter(|(_, found)| *found >= worst).count().min(NEAREST);
    }
    report(&format!("memory look-up among {FIXES}, {label}"), &mut times);
    #[allow(clippy::cast_precision_loss)] // A thousand.
    let recall = met as f64 / (questions.len() * NEAREST) as f64;
    let p99 = times[times.len() * 99 / 100];
    let verdict = if p99 <= GOAL.0 && recall >= GOAL.1 { "met" } else { "MISSED" };
    println!(
        "memory look-up among {FIXES}, {label}: recall@{NEAREST} {recall:.4}; goal (p99 ≤ 50 ms, recall ≥ 0.95) {verdict}"
    );
}

pub async fn memory() {
    let begun = Instant::now();
    let stored: Vec<PastFix> = (0..FIXES).into_par_iter().map(fix).collect();
    let largest = questions(&stored, |_| 0);
    let any = questions(&stored, |n| if (n % RULES).is_multiple_of(5) { n % RULES + 1 } else { n % RULES });
    println!("memory: {FIXES} fixes embedded and searched exactly in {:.1} s", begun.elapsed().as_secs_f64());

    let store = Store::in_memory(Options::new(Arc::new(SystemClock))).unwrap();
    let embedded = store.memory();
    let begun = Instant::now();
    for fix in &stored {
        embedded.remember(fix).await.unwrap();
    }
    println!("memory: embedded, {FIXES} fixes stored in {:.1} s", begun.elapsed().as_secs_f64());
    measure(&embedded, "embedded, largest rule", &largest).await;
    measure(&embedded, "embedded, other rules", &any).await;

    let url = servers::large_opensearch().await;
    let at = || {
        OpenSearchMemory::new(OpenSearchOptions {
            url: url.clone(),
            index: "fixes".to_owned(),
            auth: Auth::None,
            clock: Arc::new(SystemClock),
            dimensions: DIMENSIONS,
        })
        .unwrap()
    };
    let begun = Instant::now();
    let writer = at();
    for portion in stored.chunks(1_000) {
        // While it merges its graphs the node may keep a portion waiting for too long; once more does no harm.
        if writer.remember_all(portion).await.is_err() {
            writer.remember_all(portion).await.unwrap();
        }
    }
    println!("memory: OpenSearch, {FIXES} fixes stored in {:.1} s", begun.elapsed().as_secs_f64());
    // Another process, which knows only what the search knows.
    let reader = at();
    while reader.check().await.unwrap().index.unwrap().fixes < FIXES as u64 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    rested(&url).await;
    measure(&reader, "OpenSearch, largest rule", &largest).await;
    measure(&reader, "OpenSearch, other rules", &any).await;
}

/// Waits until the node no longer merges what was stored in one go: a memory that grows fix by fix has no such backlog.
async fn rested(url: &str) {
    loop {
        let stats: serde_json::Value =
            reqwest::get(format!("{url}/fixes/_stats/merge")).await.unwrap().json().await.unwrap();
        if stats["_all"]["total"]["merges"]["current"] == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
