//! Where imports go, language by language.

use super::*;
use crate::fix::edit;

fn with(file: &str, text: &str, statements: &[&str]) -> String {
    let path = RepoPath::new(file).unwrap();
    let statements: Vec<String> = statements.iter().map(|s| (*s).to_owned()).collect();
    let edits = insert(Language::of(&path).unwrap(), &path, text, &statements);
    let after = edit::apply(text, &edits).unwrap();
    let again = insert(Language::of(&path).unwrap(), &path, &after, &statements);
    assert_eq!(again, [], "inserting twice must change nothing");
    after
}

#[test]
fn a_statement_goes_after_the_last_import() {
    assert_eq!(with("a.py", "import os\n\n\nx = 1\n", &["import re"]), "import os\nimport re\n\n\nx = 1\n");
    assert_eq!(with("a.py", "import os # x\n", &["import re", "import ast"]), "import os # x\nimport re\nimport ast\n");
    assert_eq!(with("a.py", "from a import (\n    b,\n)", &["import re"]), "from a import (\n    b,\n)\nimport re");
    assert_eq!(with("a.py", "import os\r\n\r\nx\r\n", &["import re"]), "import os\r\nimport re\r\n\r\nx\r\n");
    let java = "package a;\n\nimport b.C;\n\nclass D {}\n";
    assert_eq!(with("D.java", java, &["import e.F;"]), "package a;\n\nimport b.C;\nimport e.F;\n\nclass D {}\n");
    assert_eq!(
        with("a.go", "package a\n\nimport \"os\"\n", &["import \"fmt\""]),
        "package a\n\nimport \"os\"\nimport \"fmt\"\n"
    );
}

#[test]
fn languages_without_names_have_imports_too() {
    assert_eq!(
        with("a.rb", "# frozen_string_literal: true\n\nrequire 'json'\n\nclass A\nend\n", &["require \"shellwords\""]),
        "# frozen_string_literal: true\n\nrequire 'json'\nrequire \"shellwords\"\n\nclass A\nend\n"
    );
    assert_eq!(
        with("A.cs", "using System;\n\nnamespace A;\n\nclass B { }\n", &["using System.IO;"]),
        "using System;\nusing System.IO;\n\nnamespace A;\n\nclass B { }\n"
    );
    assert_eq!(
        with("a.php", "<?php\n\nnamespace App;\n\nuse App\\Models\\User;\n\nclass A {}\n", &["use App\\Models\\Team;"]),
        "<?php\n\nnamespace App;\n\nuse App\\Models\\User;\nuse App\\Models\\Team;\n\nclass A {}\n"
    );
    assert_eq!(
        with("a.rs", "//! A.\n\nuse std::fs;\n\nfn f() {}\n", &["use std::io;"]),
        "//! A.\n\nuse std::fs;\nuse std::io;\n\nfn f() {}\n"
    );
    let same = "require 'json'\nputs 1\n";
    assert_eq!(with("a.rb", same, &["require \"json\""]), same, "quotes do not make another library");
    assert_eq!(with("a.rb", same, &["system('ls')", "require name"]), same, "no statement but an import is taken");
}

#[test]
fn late_imports_are_not_where_more_go() {
    let text = "import os\n\ndef f():\n    pass\n\nfrom late import g\n";
    assert!(with("a.py", text, &["import re"]).starts_with("import os\nimport re\n\ndef"));
}

#[test]
fn what_must_stay_first_stays_first() {
    assert_eq!(with("a.py", "def f(): pass\n", &["import re"]), "import re\n\ndef f(): pass\n");
    assert_eq!(
        with("a.py", "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\nx = 1\n", &["import re"]),
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\nimport re\n\nx = 1\n"
    );
    assert_eq!(
        with("a.py", "# Licence\n\n\"\"\"Doc.\"\"\"\n\n\ndef f(): pass\n", &["import re"]),
        "# Licence\n\n\"\"\"Doc.\"\"\"\n\nimport re\n\n\ndef f(): pass\n"
    );
    assert_eq!(
        with("a.py", "from __future__ import annotations\n\nx = 1\n", &["import re"]),
        "from __future__ import annotations\n\nimport re\n\nx = 1\n"
    );
    assert_eq!(
        with("a.py", "\"\"\"Doc.\"\"\"\nfrom __future__ import annotations\nimport os\n", &["import re"]),
        "\"\"\"Doc.\"\"\"\nfrom __future__ import annotations\nimport os\nimport re\n"
    );
    assert_eq!(
        with("a.js", "'use strict';\nf();\n", &["const a = require('a');"]),
        "'use strict';\n\nconst a = require('a');\n\nf();\n"
    );
    assert_eq!(
        with("A.java", "package a;\n\nclass A {}\n", &["import b.C;"]),
        "package a;\n\nimport b.C;\n\nclass A {}\n"
    );
    assert_eq!(
        with("A.java", "/** Doc. */\nclass A {}\n", &["import b.C;"]),
        "import b.C;\n\n/** Doc. */\nclass A {}\n"
    );
    assert_eq!(
        with("a.go", "// Licence.\n\n// Package a.\npackage a\n\nvar x = 1\n", &["import \"fmt\""]),
        "// Licence.\n\n// Package a.\npackage a\n\nimport \"fmt\"\n\nvar x = 1\n"
    );
}

#[test]
fn go_blocks_take_further_lines() {
    assert_eq!(
        with(
            "a.go",
            "package a\n\nimport (\n\t\"fmt\"\n\n\t\"x.org/y\"\n)\n",
            &["import \"os\"", "import t \"text/template\""]
        ),
        "package a\n\nimport (\n\t\"fmt\"\n\n\t\"x.org/y\"\n\t\"os\"\n\tt \"text/template\"\n)\n"
    );
    assert_eq!(
        with("a.go", "package a\nimport (\"fmt\")\n", &["import \"os\""]),
        "package a\nimport (\"fmt\"; \"os\")\n"
    );
    assert_eq!(with("a.go", "package a\nimport ()\n", &["import \"os\""]), "package a\nimport (\"os\")\n");
}

#[test]
fn what_is_bound_already_is_not_added() {
    for (file, text, statement) in [
        ("a.py", "import os.path\n", "import os"),
        ("a.py", "import a.b, c\n", "import c"),
        ("a.py", "from a import (b as x, c)\n", "from a import c"),
        ("a.py", "import numpy as np\n", "import numpy as np"),
        ("a.js", "const crypto = require('crypto')\n", "import crypto from 'node:crypto';"),
        ("a.ts", "import * as crypto from 'crypto';\n", "import crypto from 'node:crypto';"),
        (
            "a.js",
            "const { execFile: run, exec } = require('child_process');\n",
            "const { exec } = require('node:child_process');",
        ),
        ("A.java", "import java.util.*;\n", "import java.util.List;"),
        ("a.go", "package a\nimport (\n\t\"fmt\"\n)\n", "import \"fmt\""),
    ] {
        assert_eq!(with(file, text, &[statement]), text);
    }
}

#[test]
fn what_only_looks_bound_is_added() {
    for (file, text, statement) in [
        ("a.py", "import os as o\n", "import os"),
        ("a.py", "from a import b as x\n", "from a import b"),
        ("a.py", "def f():\n    import os\n", "import os"),
        ("a.py", "import ldap\n", "import ldap.filter"),
        ("a.ts", "import type { X } from 'm';\n", "import { X } from 'm';"),
        ("a.ts", "import { type X } from 'm';\n", "import { X } from 'm';"),
        ("A.java", "import java.util.*;\n", "import java.util.regex.Pattern;"),
        ("a.go", "package a\nimport f \"fmt\"\n", "import \"fmt\""),
    ] {
        let after = with(file, text, &[statement]);
        assert!(after.contains(statement) && after.len() > text.len(), "{after}");
    }
}

#[test]
fn statements_follow_the_module_system_and_semicolons_of_the_file() {
    let es = &["import { a, b as c } from 'node:m';"];
    assert_eq!(
        with("a.js", "const x = require('x');\n", es),
        "const x = require('x');\nconst { a, b: c } = require('node:m');\n"
    );
    assert_eq!(with("a.js", "import x from 'x'\n", es), "import x from 'x'\nimport { a, b as c } from 'node:m'\n");
    assert_eq!(with("a.cjs", "f();\n", &["import m from 'm';"]), "const m = require('m');\n\nf();\n");
    assert_eq!(with("a.mjs", "f();\n", &["const { a: b } = require('m');"]), "import { a as b } from 'm';\n\nf();\n");
    assert_eq!(with("a.ts", "f();\n", &["const m = require('m');"]), "import m from 'm';\n\nf();\n");
}

#[test]
fn strings_that_are_not_imports_are_passed_over() {
    for statement in [
        "import os; os.system('x')",
        "os.system('x')",
        "import",
        "from a import",
        "",
        "# import os",
        "import os\nx = 1",
    ] {
        assert_eq!(with("a.py", "x = 1\n", &[statement]), "x = 1\n", "{statement}");
    }
    for statement in
        ["const a = require('a'), b = steal();", "const { a, b = steal() } = require('a');", "steal(require('a'));"]
    {
        assert_eq!(with("a.js", "f();\n", &[statement]), "f();\n", "{statement}");
    }
    assert_eq!(with("a.yml", "a: b\n", &["import os"]), "a: b\n");
}
