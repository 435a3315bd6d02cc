//! Code that tests other code. An attacker does not reach it, and it does on purpose what is wrong elsewhere: it sends a
//! password that everybody knows, skips the check of a certificate, echoes what it was sent.
//!
//! What decides is what the code says: it uses a test framework, declares tests, asserts. The name of a folder alone says
//! nothing (people keep examples, servers and whole products below `test/`); together with that it says that the helpers of
//! the file belong to its tests.

use std::sync::LazyLock;

use regex::Regex;

use super::language::{self, Tree};
use super::redact;
use crate::model::{IssueType, Language, RepoPath, Span};

/// Bytes of a declaration that are read for what it is: its attributes, name and parameters.
const HEAD: usize = 400;

/// How tests look in a language.
struct Signs {
    /// Kinds of nodes that bring a library into the file.
    imports: &'static [&'static str],
    /// Their text when the library is for tests.
    framework: Option<Regex>,
    /// Kinds of nodes that may be a test, or several.
    parts: &'static [&'static str],
    /// How a test begins, to be believed as it stands.
    test: Option<Regex>,
    /// How one begins that counts if the file uses a framework or the part asserts something.
    perhaps: Option<Regex>,
}

/// What in a file tests other code.
#[derive(Debug, Default)]
pub(super) struct TestCode {
    whole: bool,
    data: bool,
    parts: Vec<Span>,
}

impl TestCode {
    /// Reads the whole tree once.
    pub fn of(tree: &Tree, language: Language, path: &RepoPath) -> Self {
        let Some(signs) = signs(language) else { return Self::default() };
        let (framework, mut parts, maybe) = walk(tree, signs);
        let text = language::source(tree);
        // A class that is called `Test…` in Python may test a connection as well.
        let asserts =
            |code: &str| ASSERTS.is_match(code) && !(language == Language::Python && code.starts_with("class"));
        let sure = |part: &Span| framework || text.get(part.range()).is_some_and(asserts);
        parts.extend(maybe.into_iter().filter(sure));
        let whole =
            (framework || !parts.is_empty() || SAYS_SO.is_match(opening(text))) && PLACE.is_match(path.as_str());
        let data = !framework && parts.is_empty() && DATA.is_match(path.as_str());
        Self { whole, data, parts }
    }

    /// Whether the file is what tests read, and no test itself. What is a mistake elsewhere may be what it is there for.
    pub fn is_data(&self) -> bool {
        self.data
    }

    /// Whether a place is part of a test.
    pub fn holds(&self, place: Span) -> bool {
        self.whole || self.parts.iter().any(|part| part.start <= place.start && place.end <= part.end)
    }
}

/// Whether a problem of this kind is none in a test unless its rule says so: everything that needs an attacker.
pub(super) fn needs_an_attacker(kind: &IssueType) -> bool {
    const KINDS: [&str; 15] = [
        "DEBUG_ENABLED",
        "HARDCODED_SECRET",
        "INSECURE_COOKIE",
        "INSECURE_TEMP_FILE",
        "MISCONFIGURATION",
        "OPEN_REDIRECT",
        "PATH_TRAVERSAL",
        "SSRF",
        "TLS_VERIFICATION_DISABLED",
        "UNSAFE_DESERIALIZATION",
        "WEAK_CIPHER",
        "WEAK_FILE_PERMISSIONS",
        "WEAK_HASH",
        "WEAK_RANDOM",
        "XSS",
    ];
    let kind = kind.as_str();
    KINDS.contains(&kind) || kind == "XXE" || kind.ends_with("_INJECTION")
}

/// Whether a finding holds a secret that somebody issued: it opens a door wherever it is written.
pub(super) fn is_live_secret(kind: &IssueType, code: &str) -> bool {
    kind.as_str() == "HARDCODED_SECRET" && redact::holds_issued_secret(code)
}

/// Paths that people give to tests, by folder, by file, and as classes are named.
static PLACE: LazyLock<Pattern> = LazyLock::new(|| {
    Pattern::new(
        r"(?x)(?i: (?:^|/) (?:[\w.-]*[._-])? (?: t | it | e2e | specs? | __tests__ | testdata | testing | testsuites?
            | (?:unit|integration|functional|acceptance|smoke|regression)?_?tests? | bench | benches | benchmarks? | conftest
            | fixtures? | mocks? ) (?:[._-][\w.-]*)? (?:/|$) )
        | (?:^|/) (?: Test[A-Z]\w* | \w*[a-z0-9](?:Tests?|TestCase|IT|Spec|Benchmark) ) \.\w+$
        | [a-z](?:Unit|Functional|Integration)?Tests?/",
    )
});

/// What a file that is there for tests says of itself.
static SAYS_SO: LazyLock<Pattern> =
    LazyLock::new(|| Pattern::new(r"(?i)\b(?:for|in|by) (?:(?:the|our|unit|integration|functional) )*tests\b"));

/// The comment or docstring that a file begins with, as much of it as matters.
fn opening(text: &str) -> &str {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}'));
    let marks = ["\"\"\"", "'''", "/*", "//", "#"];
    let Some(mark) = marks.iter().find(|mark| text.starts_with(**mark)) else { return "" };
    let inner = text.get(mark.len()..).unwrap_or_default();
    let end = match *mark {
        "/*" => inner.find("*/"),
        "//" | "#" => inner.find('\n'),
        _ => inner.find(mark),
    };
    let end = end.unwrap_or(inner.len()).min(HEAD);
    let end = (0..=end).rev().find(|end| inner.is_char_boundary(*end)).unwrap_or(0);
    inner.get(..end).unwrap_or_default()
}

/// Folders for what tests read, below one for tests.
static DATA: LazyLock<Pattern> = LazyLock::new(|| {
    Pattern::new(
        r"(?i)(?:^|/)(?:tests?|specs?|__tests__)/(?:[^/]+/)*(?:(?:test_?)?data|fixtures?|cases|snapshots?|samples?|inputs?|golden|resources)/|(?:^|/)testdata/",
    )
});

/// What checks a result, in any language.
static ASSERTS: LazyLock<Pattern> =
    LazyLock::new(|| Pattern::new(r"\b(?:assert|expect|should)(?:\b|_|[A-Z])|\.(?:should|must|assert)\w*\b"));

/// An expression that fits nothing if it could not be compiled.
struct Pattern(Option<Regex>);

impl Pattern {
    fn new(text: &str) -> Self {
        Self(Regex::new(text).ok())
    }

    fn is_match(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

fn signs(language: Language) -> Option<&'static Signs> {
    static PYTHON: LazyLock<Signs> = LazyLock::new(python);
    static SCRIPT: LazyLock<Signs> = LazyLock::new(script);
    static JAVA: LazyLock<Signs> = LazyLock::new(java);
    static GO: LazyLock<Signs> = LazyLock::new(go);
    static CSHARP: LazyLock<Signs> = LazyLock::new(csharp);
    static RUBY: LazyLock<Signs> = LazyLock::new(ruby);
    static PHP: LazyLock<Signs> = LazyLock::new(php);
    static RUST: LazyLock<Signs> = LazyLock::new(rust);
    match language {
        Language::Python => Some(&*PYTHON),
        Language::JavaScript | Language::TypeScript | Language::Tsx => Some(&*SCRIPT),
        Language::Java => Some(&*JAVA),
        Language::Go => Some(&*GO),
        Language::CSharp => Some(&*CSHARP),
        Language::Ruby => Some(&*RUBY),
        Language::Php => Some(&*PHP),
        Language::Rust => Some(&*RUST),
        Language::Dockerfile | Language::Hcl | Language::Yaml => None,
    }
}

fn python() -> Signs {
    Signs {
        imports: &["import_statement", "import_from_statement"],
        framework: Regex::new(
            r"(?x)\b(?: pytest\w* | unittest2? | nose2? | hypothesis | doctest | testtools | trustme | mockito
                | (?:django|rest_framework|twisted\.trial|tornado|numpy|pandas|torch|flask|click|typer|starlette|fastapi|aiohttp)
                  \.(?:test|testing|testclient|test_utils|pytest_plugin|unittest)
                | (?:\w+\.)*(?:testutils?|test_utils|testing|testcases?) )\b",
        )
        .ok(),
        parts: &["function_definition", "class_definition", "decorated_definition"],
        test: Regex::new(r"^(?:@[^\n]*\n\s*)*@(?:pytest\.|fixture\b|given\(|parametrize)").ok(),
        perhaps: Regex::new(
            r"^(?:@[^\n]*\n\s*)*(?:(?:async\s+)?def\s+(?:test|setUp|tearDown|setup_(?:method|class|module))|class\s+(?:Test|\w+\([^)]*Test(?:Case|s)?\b|\w+Tests?\b))",
        )
        .ok(),
    }
}

fn script() -> Signs {
    Signs {
        imports: &["import_statement", "call_expression"],
        framework: Regex::new(
            r#"(?x)^(?:import\b[^'"]*|require\(\s*)['"](?: (?:@jest|@testing-library|@playwright|@vitest|@open-wc)/[\w/-]+ | vitest\S* | jest\S* | mocha
                | chai\S* | sinon\S* | supertest | should | expect(?:\.js)? | ava | tap | tape | node:test | jasmine\S* | cypress | qunit | uvu(?:/assert)?
                | enzyme | nock | karma\S* | bun:test | chromatic | benchmark | tinybench )['"]"#,
        )
        .ok(),
        parts: &["call_expression"],
        test: Regex::new(
            r#"(?x)^[fx]?(?: describe | context | suite | it | test | specify | QUnit\.(?:test|module) | Deno\.test | bench )(?:\.\w+)*
                (?:\([^()'"`]*\))?\(\s*(?:['"`]|\w+(?:\.name)?\s*,)[^\n]*(?:=>|function|\n)"#,
        )
        .ok(),
        perhaps: Regex::new(r"^(?:before|after)(?:Each|All)?\(\s*(?:async\b|function\b|\()").ok(),
    }
}

fn java() -> Signs {
    Signs {
        imports: &["import_declaration"],
        framework: Regex::new(
            r"\b(?:org\.junit|junit\.framework|org\.testng|org\.mockito|org\.assertj|org\.hamcrest|org\.easymock|org\.powermock|com\.google\.common\.truth|org\.springframework\.(?:boot\.)?test|org\.openjdk\.jmh|io\.restassured|androidx\.test|org\.testcontainers|spock\.lang)\b",
        )
        .ok(),
        parts: &["method_declaration", "class_declaration"],
        test: Regex::new(
            r"(?s)^(?:@\w+(?:\([^)]*\))?\s+)*@(?:Test|ParameterizedTest|RepeatedTest|TestFactory|TestTemplate|BeforeEach|AfterEach|BeforeAll|AfterAll|BeforeClass|AfterClass|BeforeMethod|AfterMethod|DataProvider|Benchmark|SpringBootTest|WebMvcTest|DataJpaTest|RunWith|ExtendWith)\b",
        )
        .ok(),
        perhaps: Regex::new(r"^(?:@\w+(?:\([^)]*\))?\s+|public\s+|final\s+|abstract\s+)*class\s+\w+\s+extends\s+[\w.]*TestCase\b").ok(),
    }
}

fn go() -> Signs {
    Signs {
        imports: &["import_spec"],
        framework: Regex::new(r#""(?:testing|testing/\w+|net/http/httptest|github\.com/(?:stretchr/testify|onsi/(?:ginkgo|gomega))\S*)"$"#).ok(),
        parts: &["function_declaration", "method_declaration"],
        test: Regex::new(r"^func\s[^{]*\*?\btesting\.(?:T|B|TB|F|M|PB)\b").ok(),
        perhaps: None,
    }
}

fn csharp() -> Signs {
    Signs {
        imports: &["using_directive"],
        framework: Regex::new(
            r"\b(?:Xunit|NUnit|Microsoft\.VisualStudio\.TestTools|FluentAssertions|Shouldly|Moq|NSubstitute|BenchmarkDotNet|Microsoft\.AspNetCore\.(?:Mvc\.Testing|TestHost))\b",
        )
        .ok(),
        parts: &["method_declaration", "class_declaration"],
        test: Regex::new(
            r"^(?:\[[^\]]*\]\s*)*\[[^\]]*\b(?:Fact|Theory|Test|TestCase|TestMethod|DataTestMethod|TestClass|TestFixture|SetUp|TearDown|OneTimeSetUp|TestInitialize|TestCleanup|Benchmark|GlobalSetup)\b",
        )
        .ok(),
        perhaps: None,
    }
}

fn ruby() -> Signs {
    Signs {
        imports: &["call"],
        framework: Regex::new(
            r#"^require(?:_relative)?[\s(]+["'][^"']*(?:test_helper|spec_helper|rails_helper|minitest|rspec|test/unit|test_case|test_help|testing/|abstract_unit|capybara|cases/helper|/helper)[^"']*["']"#,
        )
        .ok(),
        parts: &["class", "call"],
        test: Regex::new(
            r#"(?x)^(?: class\s+\S+\s*<\s*[\w:]*(?:TestCase|Minitest::(?:Test|Spec)|IntegrationTest|SystemTestCase|Test::Unit\S*)\b
                | (?:RSpec\.)?[fx]?(?:describe|shared_examples\w*|shared_context)\b[^\n]*\bdo\b
                | (?:it|specify|scenario|test|context|feature)[\s(]+["'][^\n]*\b(?:do\b|\{) )"#,
        )
        .ok(),
        perhaps: Regex::new(r"^class\s+\S*Tests?\b").ok(),
    }
}

fn php() -> Signs {
    Signs {
        imports: &["namespace_use_declaration"],
        framework: Regex::new(r"\b(?:PHPUnit|Mockery|Pest|Codeception|Orchestra\\Testbench|Tests?\\TestCase|Prophecy)\b|\\Test\\").ok(),
        parts: &["class_declaration", "function_call_expression"],
        test: Regex::new(r#"^(?:(?:final|abstract)\s+)?class\s+\w+\s+extends\s+[\w\\]*(?:TestCase|KernelTest\w*)\b|^(?:it|test|describe|beforeEach|afterEach)\([^\n]*\b(?:function|fn)\b"#).ok(),
        perhaps: Regex::new(r"^(?:(?:final|abstract)\s+)?class\s+\w+Test\b").ok(),
    }
}

fn rust() -> Signs {
    Signs {
        imports: &["use_declaration"],
        framework: Regex::new(r"\b(?:criterion|proptest|quickcheck|rstest|pretty_assertions|insta|assert_cmd|snapbox|wiremock|test::Bencher)\b").ok(),
        parts: &["attribute_item"],
        test: Regex::new(r"^#\[\s*(?:cfg\((?:all\(\s*)?test\b|(?:\w+::)*(?:test|rstest|bench|test_case|proptest|cargo_test)\b)").ok(),
        perhaps: None,
    }
}

/// Whether the file uses a framework, the tests in it, and what may be one. Parts of a test are not looked at again.
fn walk(tree: &Tree, signs: &Signs) -> (bool, Vec<Span>, Vec<Span>) {
    let text = language::source(tree);
    let (mut framework, mut parts, mut maybe) = (false, Vec::new(), Vec::new());
    let mut cursor = language::document(tree).raw().walk();
    loop {
        let node = cursor.node();
        let span = Span::new(node.start_byte(), node.end_byte());
        let (kind, mut inside) = (node.kind(), false);
        if node.is_named() && (signs.imports.contains(&kind) || signs.parts.contains(&kind)) {
            let code = head(text, span);
            let fits = |regex: &Option<Regex>| regex.as_ref().is_some_and(|one| one.is_match(code));
            framework = framework || signs.imports.contains(&kind) && fits(&signs.framework);
            let may_be = signs.parts.contains(&kind);
            if may_be && fits(&signs.test) {
                parts.push(with_subject(&node, span));
                inside = true;
            } else if may_be && fits(&signs.perhaps) {
                maybe.push(span);
            }
        }
        if !inside && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return (framework, parts, maybe);
            }
        }
    }
}

/// An attribute together with what it is about, which stands behind it in Rust.
fn with_subject(node: &tree_sitter::Node<'_>, span: Span) -> Span {
    let mut next = (node.kind() == "attribute_item").then(|| node.next_named_sibling()).flatten();
    while let Some(sibling) = next {
        if !matches!(sibling.kind(), "attribute_item" | "line_comment" | "block_comment") {
            return Span::new(span.start, sibling.end_byte());
        }
        next = sibling.next_named_sibling();
    }
    span
}

/// The beginning of a node's text.
fn head(text: &str, span: Span) -> &str {
    let mut end = span.end.min(span.start + HEAD);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(span.start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `mark`, which the text holds once, is part of a test.
    fn is_test(path: &str, text: &str, mark: &str) -> bool {
        let path = RepoPath::new(path).unwrap();
        let language = Language::of(&path).unwrap();
        let tree = language::parse(language, text).unwrap();
        let start = text.find(mark).unwrap();
        TestCode::of(&tree, language, &path).holds(Span::new(start, start + mark.len()))
    }

    #[test]
    fn a_file_that_uses_a_framework_where_tests_are_is_one_with_its_helpers() {
        let cases = [
            ("tests/test_a.py", "import pytest\n\ndef helper():\n    MARK()\n"),
            ("app/tests.py", "from django.test import TestCase\n\ndef helper():\n    MARK()\n"),
            ("t/unit/conftest.py", "import pytest\n\n@pytest.fixture\ndef a():\n    return 1\n\nMARK()\n"),
            ("test/a.js", "const { expect } = require('chai');\nfunction helper() { MARK(); }\n"),
            ("src/a.spec.ts", "import { test } from 'vitest';\nfunction helper() { MARK(); }\n"),
            ("src/test/java/x/ATest.java", "import org.junit.Test;\nclass ATest { void helper() { MARK(); } }\n"),
            ("pkg/a_test.go", "package a\n\nimport \"testing\"\n\nfunc helper() { MARK() }\n"),
            ("src/Shop.Tests/Cart.cs", "using Xunit;\nclass Cart { void Help() { MARK(); } }\n"),
            ("test/models/a_test.rb", "require \"test_helper\"\ndef helper\n  MARK()\nend\n"),
            ("tests/ATest.php", "<?php\nuse PHPUnit\\Framework\\TestCase;\nfunction helper() { MARK(); }\n"),
            ("tests/a.rs", "use rstest::rstest;\nfn helper() { MARK(); }\n"),
        ];
        for (path, text) in cases {
            assert!(is_test(path, text, "MARK()"), "{path}");
        }
    }

    #[test]
    fn a_file_where_tests_are_may_say_that_it_is_there_for_them() {
        let says = "\"\"\"Keys for tests, made once.\"\"\"\nMARK()\n";
        assert!(is_test("t/unit/keys.py", says, "MARK()"));
        assert!(is_test("test/a.js", "/* Used in the unit tests. */\nMARK()\n", "MARK()"));
        assert!(!is_test("app/keys.py", says, "MARK()"));
        assert!(!is_test("t/unit/keys.py", "\"\"\"Keys.\"\"\"\n# for tests\nMARK()\n", "MARK()"));
        assert!(!is_test("test/a.js", "// Tests for the queries of a shop.\nMARK()\n", "MARK()"));
        assert!(!is_test("test/a.js", "'for tests'; MARK()\n", "MARK()"));
    }

    #[test]
    fn a_test_is_one_wherever_it_stands_and_what_stands_beside_it_is_none() {
        let cases = [
            (
                "app/a.py",
                "import unittest\n\ndef product():\n    PRODUCT()\n\nclass ATest(unittest.TestCase):\n    def test(self):\n        MARK()\n",
            ),
            ("app/a.py", "def product():\n    PRODUCT()\n\ndef test_it():\n    MARK()\n    assert product() == 1\n"),
            (
                "src/a.js",
                "function product() { PRODUCT(); }\ndescribe('a', () => {\n  it('works', () => { MARK(); });\n});\n",
            ),
            ("src/main/A.java", "class A { void product() { PRODUCT(); }\n@Test\npublic void works() { MARK(); } }\n"),
            (
                "a.go",
                "package a\nimport \"testing\"\nfunc product() { PRODUCT() }\nfunc Check(t *testing.T) { MARK() }\n",
            ),
            ("A.cs", "class A { void Product() { PRODUCT(); }\n[Fact]\npublic void Works() { MARK(); } }\n"),
            ("a.rb", "def product\n  PRODUCT()\nend\ndescribe \"a\" do\n  MARK()\nend\n"),
            (
                "A.php",
                "<?php\nfunction product() { PRODUCT(); }\nclass A extends TestCase { function works() { MARK(); } }\n",
            ),
            (
                "src/a.rs",
                "fn product() { PRODUCT(); }\n#[cfg(test)]\n#[allow(dead_code)]\nmod tests { fn helper() { MARK(); } }\n",
            ),
        ];
        for (path, text) in cases {
            assert!(is_test(path, text, "MARK()"), "{path}");
            assert!(!is_test(path, text, "PRODUCT()"), "{path}: the product beside it");
        }
    }

    #[test]
    fn a_name_alone_makes_no_test() {
        let cases = [
            ("test/query-tests/Security/CWE-089/app.py", "import flask\n\ndef show():\n    MARK()\n"),
            ("tests/test_app.py", "def test_connection(name):\n    MARK()\n"),
            ("examples/test.py", "class TestServer:\n    def run(self):\n        MARK()\n"),
            ("test/app.js", "const express = require('express');\nfunction test() { MARK(); }\ntest();\n"),
            (
                "src/test/java/testcode/BenchmarkTest00001.java",
                "class BenchmarkTest00001 extends HttpServlet { void doGet() { MARK(); } }\n",
            ),
            ("testdata/a.go", "package a\nfunc TestIt() { MARK() }\n"),
            ("tests/Server.cs", "class Server { void Test() { MARK(); } }\n"),
            ("spec/server.rb", "class Server\n  def test\n    MARK()\n  end\nend\n"),
            ("tests/index.php", "<?php\nclass Test { function test() { MARK(); } }\n"),
            ("tests/a.rs", "fn test() { MARK(); }\n"),
        ];
        for (path, text) in cases {
            assert!(!is_test(path, text, "MARK()"), "{path}");
        }
    }
}
