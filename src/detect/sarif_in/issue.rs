//! From what another scanner says about its rule to our issue types.

use super::format::{Properties, Reference, Rule, Run, SarifResult};
use crate::model::{Cwe, IssueType};

/// Our issue types with the CWE numbers that mean them and the hint that fits any finding of the kind.
/// Source of the numbers: MITRE's CWE list; a weakness is listed with its usual parents and children.
const ISSUES: &[(&str, &[u32], &str)] = &[
    ("SQL_INJECTION", &[89, 564, 943], "use a parameterized query"),
    ("COMMAND_INJECTION", &[77, 78, 88], "pass the arguments as a list, without a shell"),
    ("CODE_INJECTION", &[94, 95, 96, 470, 1321], "do not run text as code"),
    ("LDAP_INJECTION", &[90], "escape the values of the filter"),
    ("XPATH_INJECTION", &[91, 643, 652], "pass the values as XPath variables"),
    ("TEMPLATE_INJECTION", &[917, 1336], "pass the values to a fixed template"),
    ("PATH_TRAVERSAL", &[22, 23, 35, 36, 73, 99], "check that the path stays inside its folder"),
    ("XSS", &[79, 80, 83, 116], "escape the value for HTML"),
    ("SSRF", &[918], "allow only known hosts"),
    ("XXE", &[611, 776, 827], "forbid external entities"),
    ("UNSAFE_DESERIALIZATION", &[502, 915], "load the data with a safe format"),
    ("WEAK_HASH", &[328, 759, 760, 916], "use a strong hash"),
    ("WEAK_CIPHER", &[326, 327, 329, 780, 1204], "use an authenticated modern cipher"),
    ("WEAK_RANDOM", &[330, 331, 335, 337, 338, 340], "use the cryptographic random source"),
    ("TLS_VERIFICATION_DISABLED", &[295, 296, 297, 298, 299, 322], "verify the certificate"),
    ("HARDCODED_SECRET", &[259, 321, 522, 798], "read the secret from the environment"),
    ("DEBUG_ENABLED", &[215, 489, 11], "switch debugging off"),
    ("INSECURE_COOKIE", &[614, 1004, 1275], "set Secure, HttpOnly and SameSite"),
    ("INSECURE_TEMP_FILE", &[377, 378, 379], "create the file with a safe function"),
    ("OPEN_REDIRECT", &[601], "redirect to known targets only"),
    ("WEAK_FILE_PERMISSIONS", &[276, 279, 732], "restrict the permissions"),
    ("RESOURCE_LEAK", &[400, 401, 404, 459, 772, 775], "release the resource on every path"),
    ("MISCONFIGURATION", &[16, 284, 306, 311, 319, 352, 605, 693, 862, 863, 942, 1188], "tighten the configuration"),
    ("TYPE_ERROR", &[476, 681, 704, 843], "check the value before it is used"),
    ("LOGIC", &[480, 481, 482, 561, 570, 571, 595, 597, 670, 682, 697, 703, 754, 755, 1164], "correct the condition"),
    ("SYNTAX", &[], "correct the syntax"),
    ("INDENTATION", &[], "indent the line like its block"),
    ("IMPORT", &[], "correct the import"),
    ("LINTING", &[], "follow the rule"),
];

/// Bandit's checks by number (`B608`, and `S608` in ruff), for reports that name no CWE.
const BANDIT: &[(&[u16], &str)] = &[
    (&[102, 307], "CODE_INJECTION"),
    (&[103], "WEAK_FILE_PERMISSIONS"),
    (&[105, 106, 107], "HARDCODED_SECRET"),
    (&[108, 306], "INSECURE_TEMP_FILE"),
    (&[104, 113, 507], "MISCONFIGURATION"),
    (&[201], "DEBUG_ENABLED"),
    (&[202, 310], "PATH_TRAVERSAL"),
    (&[301, 302, 403, 506, 614], "UNSAFE_DESERIALIZATION"),
    (&[303, 324], "WEAK_HASH"),
    (&[304, 305, 505], "WEAK_CIPHER"),
    (&[311], "WEAK_RANDOM"),
    (&[308, 701, 702, 703, 704], "XSS"),
    (&[313, 314, 315, 316, 317, 318, 319, 320], "XXE"),
    (&[323, 501, 502, 503, 504], "TLS_VERIFICATION_DISABLED"),
    (&[602, 603, 604, 605, 606, 607, 609], "COMMAND_INJECTION"),
    (&[608, 610, 611], "SQL_INJECTION"),
];

/// gosec's checks by number (`G201`).
const GOSEC: &[(&[u16], &str)] = &[
    (&[101], "HARDCODED_SECRET"),
    (&[102, 112, 114, 116, 119], "MISCONFIGURATION"),
    (&[106], "TLS_VERIFICATION_DISABLED"),
    (&[107, 704], "SSRF"),
    (&[108], "DEBUG_ENABLED"),
    (&[110, 118], "RESOURCE_LEAK"),
    (&[201, 202, 701], "SQL_INJECTION"),
    (&[203, 705], "XSS"),
    (&[204, 702], "COMMAND_INJECTION"),
    (&[301, 302, 306, 307], "WEAK_FILE_PERMISSIONS"),
    (&[303], "INSECURE_TEMP_FILE"),
    (&[304, 305, 703], "PATH_TRAVERSAL"),
    (&[401, 406, 501, 505], "WEAK_HASH"),
    (&[402], "TLS_VERIFICATION_DISABLED"),
    (&[403, 405, 407, 502, 503, 506, 507], "WEAK_CIPHER"),
    (&[404], "WEAK_RANDOM"),
    (&[109, 115, 601, 602], "LOGIC"),
];

/// Rules of ESLint and its security plug-ins; none of them names a CWE. A plug-in's prefix is left out.
const ESLINT: &[(&[&str], &str)] = &[
    (
        &[
            "no-eval",
            "no-implied-eval",
            "no-new-func",
            "no-script-url",
            "detect-eval-with-expression",
            "detect-unsafe-regex-eval",
        ],
        "CODE_INJECTION",
    ),
    (&["detect-child-process"], "COMMAND_INJECTION"),
    (&["detect-non-literal-fs-filename", "detect-non-literal-require"], "PATH_TRAVERSAL"),
    (
        &[
            "no-danger",
            "no-danger-with-children",
            "no-unsanitized",
            "property",
            "method",
            "detect-disable-mustache-escape",
        ],
        "XSS",
    ),
    (&["detect-pseudoRandomBytes", "detect-insecure-randomness"], "WEAK_RANDOM"),
    (&["detect-no-csrf-before-method-override"], "MISCONFIGURATION"),
    (&["no-debugger"], "DEBUG_ENABLED"),
    (
        &[
            "constructor-super",
            "for-direction",
            "getter-return",
            "no-async-promise-executor",
            "no-class-assign",
            "no-compare-neg-zero",
            "no-cond-assign",
            "no-const-assign",
            "no-constant-binary-expression",
            "no-constant-condition",
            "no-dupe-args",
            "no-dupe-class-members",
            "no-dupe-else-if",
            "no-dupe-keys",
            "no-duplicate-case",
            "no-ex-assign",
            "no-fallthrough",
            "no-func-assign",
            "no-import-assign",
            "no-loss-of-precision",
            "no-misleading-character-class",
            "no-new-native-nonconstructor",
            "no-obj-calls",
            "no-self-assign",
            "no-self-compare",
            "no-setter-return",
            "no-shadow-restricted-names",
            "no-sparse-arrays",
            "no-this-before-super",
            "no-undef",
            "no-unexpected-multiline",
            "no-unreachable",
            "no-unsafe-finally",
            "no-unsafe-negation",
            "no-unsafe-optional-chaining",
            "require-atomic-updates",
            "require-yield",
            "use-isnan",
            "valid-typeof",
            "no-floating-promises",
            "no-misused-promises",
            "await-thenable",
            "array-callback-return",
        ],
        "LOGIC",
    ),
];

/// The CWE numbers that a result or its rule names, each once, in order of mention.
pub(super) fn cwes(run: &Run, rule: Option<&Rule>, result: &SarifResult) -> Vec<Cwe> {
    let mut found = Vec::new();
    for reference in result.taxa.iter().chain(rule.iter().flat_map(|rule| rule.relationships.iter().map(|r| &r.target)))
    {
        found.extend(taxon(run, reference));
    }
    for properties in rule.map(|rule| &rule.properties).into_iter().chain([&result.properties]) {
        found.extend(in_properties(properties));
    }
    let link = rule.and_then(|rule| rule.help_uri.as_deref()).unwrap_or_default();
    found.extend(link.split_once("cwe.mitre.org/data/definitions/").and_then(|(_, rest)| leading_number(rest)));
    let mut once: Vec<Cwe> = Vec::new();
    for number in found.into_iter().filter(|number| *number > 0) {
        if !once.contains(&Cwe(number)) {
            once.push(Cwe(number));
        }
    }
    once
}

fn in_properties(properties: &Properties) -> Vec<u32> {
    let tags = properties.texts("tags");
    let tagged = tags.iter().filter_map(|tag| tagged(tag));
    let keyed = ["cwe", "cwes", "CWE", "cwe_id", "cweId"].iter().flat_map(|key| properties.texts(key));
    let keyed: Vec<u32> = keyed.filter_map(|text| tagged_or_bare(&text)).collect();
    tagged.chain(keyed).collect()
}

/// A taxon of the CWE list, by its id or by its index in the run's taxonomies.
fn taxon(run: &Run, reference: &Reference) -> Option<u32> {
    let component = reference.tool_component.as_ref();
    let listed = component.and_then(|component| run.taxonomies.get(component.index?));
    let name = component.and_then(|component| component.name.as_deref()).or_else(|| listed?.name.as_deref());
    let by_index = || listed?.taxa.get(usize::try_from(reference.index?).ok()?)?.id.as_deref();
    let id = reference.id.as_deref().or_else(by_index)?;
    if name.is_some_and(|name| name.eq_ignore_ascii_case("cwe")) { tagged_or_bare(id) } else { tagged(id) }
}

/// The number in `CWE-89`, `CWE-89: …`, `cwe89`, `external/cwe/cwe-089`.
fn tagged(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let (_, rest) = lower.rsplit_once("cwe")?;
    leading_number(rest.trim_start_matches(['-', '_', ':', ' ']))
}

fn tagged_or_bare(text: &str) -> Option<u32> {
    tagged(text).or_else(|| leading_number(text.trim()))
}

fn leading_number(text: &str) -> Option<u32> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).take(6).collect();
    digits.parse().ok()
}

/// Our issue type for a foreign rule: by its CWE, else by what its id is known to mean, else a matter of style.
///
/// `said` is the rule's own name for people. CWE-327 covers ciphers, hashes and old TLS, and scanners use it for all of them:
/// there the rule's own words decide.
pub(super) fn issue_type(tool: &str, (id, said): (&str, &str), cwes: &[Cwe]) -> Option<IssueType> {
    let by_cwe = cwes.iter().find_map(|Cwe(number)| ISSUES.iter().find(|(_, numbers, _)| numbers.contains(number)));
    let name = match by_cwe.map(|(name, ..)| *name) {
        Some("WEAK_CIPHER") => by_id(tool, id).or_else(|| of_cryptography(id, said)).unwrap_or("WEAK_CIPHER"),
        Some(name) => name,
        None => by_id(tool, id).unwrap_or("LINTING"),
    };
    IssueType::new(name).ok()
}

fn of_cryptography(id: &str, said: &str) -> Option<&'static str> {
    let words = format!("{id} {said}").to_ascii_lowercase();
    let any = |marks: &[&str]| marks.iter().any(|mark| words.contains(mark));
    if any(&["hash", "md5", "sha1", "sha-1", "digest"]) {
        return Some("WEAK_HASH");
    }
    if any(&["certificate", "tls", "ssl"]) {
        return Some("TLS_VERIFICATION_DISABLED");
    }
    any(&["random", "prng"]).then_some("WEAK_RANDOM")
}

fn by_id(tool: &str, id: &str) -> Option<&'static str> {
    let letters = id.trim_end_matches(|c: char| c.is_ascii_digit());
    let number: Option<u16> = id.get(letters.len()..).and_then(|digits| digits.parse().ok());
    let python_linter =
        ["ruff", "flake8", "pycodestyle", "pyflakes", "pylint"].iter().any(|name| tool.starts_with(name));
    if let (true, Some(number)) =
        (tool.starts_with("bandit") && letters == "B" || python_linter && letters == "S", number)
    {
        return BANDIT.iter().find(|(numbers, _)| numbers.contains(&number)).map(|(_, name)| *name);
    }
    if let (true, "G", Some(number)) = (tool.starts_with("gosec") || tool.starts_with("golangci"), letters, number) {
        return GOSEC.iter().find(|(numbers, _)| numbers.contains(&number)).map(|(_, name)| *name);
    }
    if tool.starts_with("eslint") || tool.starts_with("oxlint") {
        let bare = id.rsplit('/').next().unwrap_or(id);
        let known = ESLINT.iter().find(|(rules, _)| rules.contains(&bare));
        return known.map(|(_, name)| *name);
    }
    let lower = id.to_ascii_lowercase();
    if lower.contains("syntax")
        || lower.contains("parse-error")
        || lower.contains("parsing-error")
        || python_linter && id.starts_with("E9")
    {
        return Some("SYNTAX");
    }
    if !python_linter {
        return None;
    }
    match (letters, number?) {
        ("E", 100..=199) | ("W", 191) => Some("INDENTATION"),
        ("F", 401..=411) | ("I", _) => Some("IMPORT"),
        ("F", 821..=823) | ("B", _) | ("PLE", _) => Some("LOGIC"),
        _ => None,
    }
}

/// The hint that fits any finding of the kind.
pub(super) fn hint(issue_type: &IssueType) -> &'static str {
    let known = ISSUES.iter().find(|(name, ..)| *name == issue_type.as_str());
    known.map_or("follow the rule", |(_, _, hint)| hint)
}
