//! Which modules surely exist: the language's own library, and packages that the file already uses.

use std::collections::BTreeSet;

use super::{Binding, Tree, bindings};
use crate::model::Language;

/// Modules that `after` imports and `before` did not, and of which nothing here proves that they exist: neither the standard library
/// has them nor does `before` import anything else of the same package.
#[must_use]
pub fn unknown_modules(language: Language, before: &Tree, after: &Tree) -> Vec<String> {
    let used = bindings(language, before);
    let modules: BTreeSet<&str> = used.iter().map(|binding| binding.module.as_str()).collect();
    let packages: BTreeSet<String> = used.iter().map(|binding| package(language, binding)).collect();
    let added = bindings(language, after).into_iter().filter(|binding| !modules.contains(binding.module.as_str()));
    let unknown = added
        .filter(|binding| !is_standard(language, &binding.module) && !packages.contains(&package(language, binding)));
    let unknown: BTreeSet<String> = unknown.map(|binding| binding.module).collect();
    unknown.into_iter().collect()
}

/// What is installed together with the module: the first part of its name, by the habits of the language.
fn package(language: Language, binding: &Binding) -> String {
    let module = binding.module.as_str();
    let parts = |count: usize, separator: &str| module.split(separator).take(count).collect::<Vec<_>>().join(separator);
    match language {
        // Relative modules are files: each proves only itself.
        Language::Python | Language::JavaScript | Language::TypeScript | Language::Tsx if module.starts_with('.') => {
            module.to_owned()
        }
        Language::Python => parts(1, "."),
        Language::Java => parts(3, "."),
        Language::Go => parts(3, "/"),
        Language::CSharp => parts(2, "."),
        Language::Php => parts(2, "\\"),
        Language::Rust => parts(1, "::"),
        _ if module.starts_with('@') => parts(2, "/"),
        _ => parts(1, "/"),
    }
}

/// Whether the module belongs to the language's standard library.
#[must_use]
pub fn is_standard(language: Language, module: &str) -> bool {
    let first = |separator: char| module.split(separator).next().unwrap_or_default();
    match language {
        Language::Python => PYTHON.binary_search(&first('.')).is_ok(),
        Language::JavaScript | Language::TypeScript | Language::Tsx => NODE.binary_search(&first('/')).is_ok(),
        Language::Java => JAVA.iter().any(|prefix| module.starts_with(prefix)),
        Language::Go => GO.binary_search(&first('/')).is_ok(),
        Language::CSharp => first('.') == "System",
        // A class of no namespace is PHP's own.
        Language::Php => !module.contains('\\'),
        Language::Ruby => RUBY.binary_search(&first('/')).is_ok(),
        Language::Rust => {
            matches!(module.split("::").next(), Some("std" | "core" | "alloc" | "crate" | "self" | "super"))
        }
        Language::Dockerfile | Language::Hcl | Language::Yaml => true,
    }
}

/// Libraries that come with Ruby 3, default gems included.
#[rustfmt::skip]
const RUBY: &[&str] = &[
    "English", "base64", "benchmark", "bigdecimal", "bundler", "cgi", "coverage", "csv", "date", "delegate", "did_you_mean",
    "digest", "erb", "etc", "fiddle", "fileutils", "find", "forwardable", "io", "ipaddr", "irb", "json", "logger", "monitor",
    "net", "objspace", "observer", "open-uri", "open3", "openssl", "optparse", "ostruct", "pathname", "pp", "prettyprint",
    "pstore", "psych", "pty", "random", "rbconfig", "readline", "reline", "resolv", "ripper", "securerandom", "set", "shellwords",
    "singleton", "socket", "stringio", "strscan", "syslog", "tempfile", "time", "timeout", "tmpdir", "tsort", "un", "uri",
    "weakref", "yaml", "zlib",
];

const JAVA: &[&str] = &["java.", "javax.", "jdk.", "org.w3c.dom", "org.xml.sax", "org.ietf.jgss"];

/// First elements of the import paths of Go's standard library.
#[rustfmt::skip]
const GO: &[&str] = &[
    "archive", "arena", "bufio", "builtin", "bytes", "cmp", "compress", "container", "context", "crypto", "database", "debug",
    "embed", "encoding", "errors", "expvar", "flag", "fmt", "go", "hash", "html", "image", "index", "io", "iter", "log", "maps",
    "math", "mime", "net", "os", "path", "plugin", "reflect", "regexp", "runtime", "slices", "sort", "strconv", "strings",
    "structs", "sync", "syscall", "testing", "text", "time", "unicode", "unique", "unsafe", "weak",
];

/// Modules built into Node.
#[rustfmt::skip]
const NODE: &[&str] = &[
    "assert", "async_hooks", "buffer", "child_process", "cluster", "console", "constants", "crypto", "dgram", "diagnostics_channel",
    "dns", "domain", "events", "fs", "http", "http2", "https", "inspector", "module", "net", "os", "path", "perf_hooks", "process",
    "punycode", "querystring", "readline", "repl", "sea", "sqlite", "stream", "string_decoder", "sys", "test", "timers", "tls",
    "trace_events", "tty", "url", "util", "v8", "vm", "wasi", "worker_threads", "zlib",
];

/// Top-level modules of Python's standard library, 3.8 to 3.14.
#[rustfmt::skip]
const PYTHON: &[&str] = &[
    "__future__", "abc", "aifc", "annotationlib", "argparse", "array", "ast", "asynchat", "asyncio", "asyncore",
    "atexit", "audioop", "base64", "bdb", "binascii", "bisect", "builtins", "bz2", "cProfile", "calendar", "cgi",
    "cgitb", "chunk", "cmath", "cmd", "code", "codecs", "codeop", "collections", "colorsys", "compileall",
    "compression", "concurrent", "configparser", "contextlib", "contextvars", "copy", "copyreg", "crypt", "csv",
    "ctypes", "curses", "dataclasses", "datetime", "dbm", "decimal", "difflib", "dis", "distutils", "doctest",
    "email", "encodings", "ensurepip", "enum", "errno", "faulthandler", "fcntl", "filecmp", "fileinput", "fnmatch",
    "fractions", "ftplib", "functools", "gc", "genericpath", "getopt", "getpass", "gettext", "glob", "graphlib",
    "grp", "gzip", "hashlib", "heapq", "hmac", "html", "http", "imaplib", "imghdr", "imp", "importlib", "inspect",
    "io", "ipaddress", "itertools", "json", "keyword", "lib2to3", "linecache", "locale", "logging", "lzma", "mailbox",
    "mailcap", "marshal", "math", "mimetypes", "mmap", "modulefinder", "msilib", "msvcrt", "multiprocessing", "netrc",
    "nis", "nntplib", "nt", "ntpath", "nturl2path", "numbers", "opcode", "operator", "optparse", "os", "ossaudiodev",
    "pathlib", "pdb", "pickle", "pickletools", "pipes", "pkgutil", "platform", "plistlib", "poplib", "posix",
    "posixpath", "pprint", "profile", "pstats", "pty", "pwd", "py_compile", "pyclbr", "pydoc", "pydoc_data",
    "pyexpat", "queue", "quopri", "random", "re", "readline", "reprlib", "resource", "rlcompleter", "runpy", "sched",
    "secrets", "select", "selectors", "shelve", "shlex", "shutil", "signal", "site", "smtpd", "smtplib", "sndhdr",
    "socket", "socketserver", "spwd", "sqlite3", "sre_compile", "sre_constants", "sre_parse", "ssl", "stat",
    "statistics", "string", "stringprep", "struct", "subprocess", "sunau", "symtable", "sys", "sysconfig", "syslog",
    "tabnanny", "tarfile", "telnetlib", "tempfile", "termios", "textwrap", "threading", "time", "timeit", "tkinter",
    "token", "tokenize", "tomllib", "trace", "traceback", "tracemalloc", "tty", "turtle", "types", "typing",
    "unicodedata", "unittest", "urllib", "uu", "uuid", "venv", "warnings", "wave", "weakref", "webbrowser", "winreg",
    "winsound", "wsgiref", "xdrlib", "xml", "xmlrpc", "zipapp", "zipfile", "zipimport", "zlib", "zoneinfo",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fix::syntax::parse;

    fn unknown(language: Language, before: &str, after: &str) -> Vec<String> {
        unknown_modules(language, &parse(language, before).unwrap(), &parse(language, after).unwrap())
    }

    #[test]
    fn the_lists_are_sorted_for_searching() {
        assert!(PYTHON.is_sorted() && NODE.is_sorted() && GO.is_sorted());
    }

    #[test]
    fn an_invented_package_is_unknown_and_a_sibling_of_a_used_one_is_not() {
        let before = "import flask\nfrom app.db import connect\n";
        let after = "import flask\nimport shlex\nimport flask_sanitizer.sql\nfrom flask.helpers import safe_join\nfrom app.util import q\nfrom . import x\n";
        assert_eq!(unknown(Language::Python, before, after), [".", "flask_sanitizer.sql"]);
        let before = "import a from '@scope/kit';\n";
        let after = "import a from '@scope/kit';\nimport b from '@scope/kit/b';\nimport c from '@scope/other';\nimport fs from 'node:fs/promises';\nimport s from './s';\n";
        assert_eq!(unknown(Language::TypeScript, before, after), ["./s", "@scope/other"]);
        let after = "package a\nimport (\n\t\"os/exec\"\n\t\"github.com/x/y\"\n)\n";
        assert_eq!(unknown(Language::Go, "package a\n", after), ["github.com/x/y"]);
        let after = "import java.util.List;\nimport com.evil.Sanitizer;\n";
        assert_eq!(unknown(Language::Java, "", after), ["com.evil"]);
    }
}
