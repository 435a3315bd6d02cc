//! What a rewritten region reaches for that the code before did not: the environment, a process, the network, code made of
//! text, an address. A defect in one region is repaired with what is there and what its rule names; whatever else an
//! answer reaches for, somebody talked the model into it, or it guessed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

use crate::model::RuleInfo;

/// Something that a repair has to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    Environment,
    Process,
    Network,
    CodeFromText,
    /// A host that the region names more often than before.
    Address(String),
    /// A new name with letters of two alphabets, which look alike.
    TwoAlphabets(String),
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("it reads the environment"),
            Self::Process => f.write_str("it starts a process"),
            Self::Network => f.write_str("it opens a connection"),
            Self::CodeFromText => f.write_str("it runs code made of text"),
            Self::Address(host) => write!(f, "it names an address at {host}"),
            Self::TwoAlphabets(name) => write!(f, "the name {} has letters of two alphabets", name.escape_unicode()),
        }
    }
}

struct Kind {
    reach: Reach,
    pattern: LazyLock<Option<Regex>>,
    /// Weaknesses whose repair may need it.
    cwes: &'static [u32],
    /// Words of a rule's hint that ask for it.
    words: &'static [&'static str],
}

static KINDS: [Kind; 4] = [
    Kind {
        reach: Reach::Environment,
        pattern: LazyLock::new(|| {
            Regex::new(concat!(
                r"\bos\s*\.\s*(environ|getenv|Getenv|Environ|LookupEnv)|\bgetenv\b|\bprocess\s*\.\s*env\b|\bSystem\s*\.\s*getenv\b",
                r#"|\bstd::env\b|\$_ENV\b|\bENV\[|\bGetEnvironmentVariables?\b|\bDeno\.env\b|/proc/self/environ|\bimport\.meta\.env\b"#
            ))
            .ok()
        }),
        cwes: &[256, 259, 260, 312, 321, 522, 547, 798],
        words: &["environment", "secret store"],
    },
    Kind {
        reach: Reach::Process,
        pattern: LazyLock::new(|| {
            Regex::new(concat!(
                r"\bos\s*\.\s*(system|popen|exec[lv]\w*|spawn\w*|posix_spawn\w*|StartProcess)\b|\bsubprocess\b|\bchild_process\b",
                r"|\bexec\s*\.\s*Command|\bRuntime\s*\.\s*getRuntime|\bProcessBuilder\b|\bpty\s*\.\s*spawn|\b(exec|spawn)(File)?Sync\b",
                r"|\bshell_exec\b|\bpassthru\b|\bproc_open\b|\bProcess\s*\.\s*Start\b|\bCommand::new\b|\bKernel\.(system|exec)\b|\bsyscall\b"
            ))
            .ok()
        }),
        cwes: &[77, 78, 88],
        words: &["subprocess", "execfile", "child_process", "command.exec", "exec.command"],
    },
    Kind {
        reach: Reach::Network,
        pattern: LazyLock::new(|| {
            Regex::new(concat!(
                r"\brequests\s*\.\s*(get|post|put|patch|delete|request|head|Session)\b|\burlopen\b|\burlretrieve\b|\bhttpx\s*\.|\baiohttp\b",
                r"|\bsocket\s*\.\s*(socket|create_connection)|\bfetch\s*\(|\bXMLHttpRequest\b|\baxios\b|\bhttps?\s*\.\s*(get|request|Get|Post|Head|NewRequest)\w*\s*\(",
                r"|\bnet\s*\.\s*(connect|createConnection|Dial\w*)|\bsmtplib\b|\bWebSocket\b|\bsendBeacon\b|\bHttpClient\b|\bopenConnection\s*\(|\bcurl_exec\b"
            ))
            .ok()
        }),
        cwes: &[295, 297, 319, 400, 611, 918],
        words: &["timeout=", "a timeout", "requests."],
    },
    Kind {
        reach: Reach::CodeFromText,
        pattern: LazyLock::new(|| {
            Regex::new(concat!(
                r"(^|[^.\w])(eval|exec|compile|execfile|setattr|globals|locals)\s*\(|\b__import__\b|\b__(builtins|globals|subclasses)__\b|\bimport_module\b",
                r"|\bnew\s+Function\b|\b(pickle|marshal|dill|cloudpickle)\s*\.\s*loads?\b|\bScriptEngine\b|\bvm\s*\.\s*(run\w+|Script)\b|\bdlopen\b|\bctypes\b",
                r"|\bplugin\s*\.\s*Open\b|\bClass\s*\.\s*forName\b|\b(instance|class|module)_eval\b|\bunserialize\s*\(|\bassert_options\b|\bReflect\s*\.\s*construct\b"
            ))
            .ok()
        }),
        cwes: &[],
        words: &["compile once", "importlib"],
    },
];

static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)(?:\b(?:https?|wss?|ftp|file|data|javascript|ldap|jdbc|ssh|git):/{0,2}|["'=]//)([a-z0-9_-]+(?:\.[a-z0-9_-]+)+|localhost|\d{1,3}(?:\.\d{1,3}){3})"#).ok()
});

/// The first thing that `after` reaches for and `before` did not. Both are the region; `file` is the whole text before.
#[must_use]
pub fn new_reach(rule: &RuleInfo, before: &str, file: &str, after: &str) -> Option<Reach> {
    let hint = rule.hint.to_lowercase();
    let asked = |kind: &Kind| {
        rule.cwes.iter().any(|cwe| kind.cwes.contains(&cwe.0)) || kind.words.iter().any(|word| hint.contains(word))
    };
    let count = |kind: &Kind, text: &str| kind.pattern.as_ref().map_or(0, |pattern| pattern.find_iter(text).count());
    let kind = KINDS.iter().find(|kind| !asked(kind) && count(kind, after) > count(kind, before));
    kind.map(|kind| kind.reach.clone()).or_else(|| new_address(before, after)).or_else(|| two_alphabets(file, after))
}

/// Counted, since whoever wants an address in the code may have put it there before.
fn new_address(before: &str, after: &str) -> Option<Reach> {
    let pattern = ADDRESS.as_ref()?;
    let hosts = |text: &str| -> Vec<String> {
        pattern.captures_iter(text).filter_map(|found| Some(found.get(1)?.as_str().to_lowercase())).collect()
    };
    let (had, has) = (hosts(before), hosts(after));
    let count = |all: &[String], of: &String| all.iter().filter(|host| *host == of).count();
    let host = has.iter().find(|host| count(&has, host) > count(&had, host))?;
    Some(Reach::Address(host.chars().take(80).collect()))
}

/// Latin letters beside Greek, Cyrillic, Armenian, Cherokee or full-width ones in one new name.
fn two_alphabets(file: &str, after: &str) -> Option<Reach> {
    let names = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|n| !n.is_ascii()).map(str::to_owned).collect()
    };
    let looks_latin = |c: char| {
        matches!(c, '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}' | '\u{530}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}'
            | '\u{1d400}'..='\u{1d7ff}' | '\u{ff21}'..='\u{ff5a}')
    };
    let known = names(file);
    let mixed = |name: &String| name.chars().any(|c| c.is_ascii_alphabetic()) && name.chars().any(looks_latin);
    names(after).into_iter().filter(|name| !known.contains(name)).find(mixed).map(Reach::TwoAlphabets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cwe, IssueType, RuleId, RuleOrigin, Severity};

    fn rule(cwe: u32, hint: &str) -> RuleInfo {
        RuleInfo {
            id: RuleId::new("x-y").unwrap(),
            issue_type: IssueType::new("LOGIC").unwrap(),
            cwes: vec![Cwe(cwe)],
            severity: Severity::Low,
            language: None,
            message: String::new(),
            note: String::new(),
            hint: hint.to_owned(),
            references: Vec::new(),
            origin: RuleOrigin::BuiltIn,
        }
    }

    fn reached(before: &str, after: &str) -> Option<Reach> {
        new_reach(&rule(570, "compare otherwise"), before, before, after)
    }

    #[test]
    fn what_the_code_did_not_do_before_is_named() {
        for (code, reach) in [
            ("print(os.environ)", Reach::Environment),
            ("say(process.env)", Reach::Environment),
            ("os.system('id')", Reach::Process),
            ("require('child_process').exec('id')", Reach::Process),
            ("exec.Command(\"id\").Run()", Reach::Process),
            ("fetch(x)", Reach::Network),
            ("http.Get(u)", Reach::Network),
            ("eval(x)", Reach::CodeFromText),
            ("__import__('os')", Reach::CodeFromText),
            ("new Function(x)()", Reach::CodeFromText),
            ("go('https://evil.example/x')", Reach::Address("evil.example".to_owned())),
            ("tag('<script src=//evil.example>')", Reach::Address("evil.example".to_owned())),
            ("n\u{430}me = 1", Reach::TwoAlphabets("n\u{430}me".to_owned())),
        ] {
            assert_eq!(reached("x = 1", code), Some(reach), "{code}");
            assert_eq!(reached(code, code), None, "it was there: {code}");
        }
    }

    #[test]
    fn plain_repairs_reach_for_nothing() {
        for code in [
            "ast.literal_eval(x)",
            "re.compile(x)",
            "pattern.exec(x)",
            "yaml.safe_load(f)",
            "hashlib.sha256(x) // as it should",
            "имя = 1",
            "a //b.c",
            "cursor.execute(q, (x,))",
        ] {
            let found = reached("x = 1", code);
            assert!(found.is_none(), "{code}: {found:?}");
        }
    }

    #[test]
    fn an_address_may_change_its_scheme_and_not_its_number() {
        let before = "get('http://shop.example/a')";
        assert_eq!(reached(before, "get('https://shop.example/a')"), None);
        let twice = "get('https://shop.example/a') # https://shop.example/b";
        assert_eq!(reached(before, twice), Some(Reach::Address("shop.example".to_owned())));
    }

    #[test]
    fn a_rule_may_ask_for_it() {
        let free = |cwe, hint, code: &str| new_reach(&rule(cwe, hint), "x = 1", "x = 1", code).is_none();
        assert!(free(798, "read it from the environment", "os.environ['KEY']"));
        assert!(free(78, "pass a list of arguments", "subprocess.run([x])"));
        assert!(!free(78, "pass a list of arguments", "os.environ['KEY']"));
        assert!(!free(798, "read it from the environment", "os.system(x)"));
    }
}
