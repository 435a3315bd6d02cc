//! Names that nothing binds, language by language.

use super::*;
use crate::fix::syntax::parse;

#[track_caller]
fn added(language: Language, before: &str, after: &str, names: &[&str]) {
    assert_eq!(
        unbound(language, &parse(language, before).unwrap(), &parse(language, after).unwrap()),
        names,
        "{after}"
    );
}

#[test]
fn every_way_python_binds_a_name_counts() {
    let code = "\
import a.b, c as d
from e import (f, g as h)
X: int = 1
Y, (Z, *W) = d
class K[T](a.Base, metaclass=h):
    attr = T
    def m(self, p, *args, q=X, **kw) -> T:
        global G
        G = self.attr
        return [i for i in args if (n := i)] + [n, p, q, kw, K, f]
with open(X) as fh, d() as (u, v):
    print(fh, u, v)
try:
    pass
except (OSError, ValueError) as err:
    print(err)
for i, j in enumerate(Z): print(i, j, G)
match Y:
    case Point(x=px, y=0) | [px, *rest]: print(px, rest)
    case {'k': val, **more} as whole: print(val, more, whole)
    case d.CONST: pass
    case other: print(other, lambda z, *zs, k=1: (z, zs, k))
def deco(fn): return fn
@deco
async def run(x: 'str'):
    async for y in x: await y
    del y
    return f'{x!r:>{X}} {W}', {k: w for k, w in x.items()}, __name__, __file__
";
    added(Language::Python, "class Point: pass\n", &format!("class Point: pass\n{code}"), &[]);
}

#[test]
fn a_name_that_python_binds_nowhere_around_is_told() {
    added(Language::Python, "", "x = sanitize(y)\n", &["sanitize", "y"]);
    added(
        Language::Python,
        "def f():\n    local = 1\n",
        "def f():\n    local = 1\ndef g():\n    return local\n",
        &["local"],
    );
    added(Language::Python, "import os\nos.x()\n", "os.x()\n", &["os"]);
    added(Language::Python, "f(eval(x))\n", "f(ast.literal_eval(x))\n", &["ast"]);
    added(Language::Python, "", "x = [i for i in ()]\nprint(i)\n", &["i"]);
    added(Language::Python, "", "x.attr.other(key=1)\n", &["x"]);
}

#[test]
fn what_was_free_before_stays_free() {
    added(Language::Python, "inject(a)\n", "inject(a, inject)\n", &[]);
    added(Language::JavaScript, "$jq(el)\n", "$jq(el.id)\n", &[]);
    added(Language::Go, "package a\nfunc f() { g() }\n", "package a\nfunc f() { g(); g() }\n", &[]);
}

#[test]
fn star_imports_make_it_lenient() {
    added(Language::Python, "", "from a import *\nx(y)\n", &[]);
    added(Language::Java, "", "import a.b.*;\nclass C { Foo f = Foo.of(); int n = gone; }\n", &["gone"]);
    added(Language::Java, "", "import static a.B.*;\nclass C { Foo f = of(gone); }\n", &[]);
    added(Language::Go, "", "package a\nimport . \"fmt\"\nfunc f() { Println(1) }\n", &[]);
}

#[test]
fn every_way_javascript_binds_a_name_counts() {
    let code = "\
import def, { a as b, c } from 'm';
import * as ns from 'n';
const { d, e: { f }, g = 1, ...rest } = ns, [h, , i = b] = c;
function fn(p, { q, r: s } = {}, ...t) { return arguments.length + p + q + s + t; }
const arrow = x => x + fn(y => y), k = class Named extends def { m(z) { return Named, z; } [d]() {} static #p = h; };
class C { constructor() { this.v = f; } get w() { return g; } }
for (const o of rest) { for (let n = 0; n < o; n++) console.log(n); }
try { i(); } catch ({ message }) { lab: while (message) break lab; }
export { arrow as default, k }; export * from 'z'; export { zz } from 'y';
const el = { d, key: C, [h]: async function* gen() { yield gen; } };
var late = () => hoisted; function hoisted() { return typeof undefined, `${el.q}`; }
";
    added(Language::JavaScript, "", code, &[]);
    let typed = "\
import type { T } from 't';
enum E { A, B = A }
interface I { [key: string]: T; m(arg: number): void }
type F = (named: string) => typeof E;
namespace N { export const inner = 1; }
abstract class G<P> implements I { constructor(private readonly dep: P, public opt?: Q) { } abstract x(y: Z): void; f(): asserts dep is P { return (this.dep as unknown as (u: number) => void)!; } }
function over(a: string): void; function over(a: any) { return a satisfies T; }
declare const amb: string; export default G; N.inner; amb;
";
    added(Language::TypeScript, "", typed, &[]);
    added(
        Language::Tsx,
        "",
        "import { P } from 'p';\nconst V = (props) => <div a={props.x}><P.Q {...props} /><span>text</span></div>;\n",
        &[],
    );
}

#[test]
fn a_name_that_javascript_binds_nowhere_around_is_told() {
    added(Language::JavaScript, "", "const x = sanitize(y.z, { w, k: v });\n", &["sanitize", "v", "w", "y"]);
    added(Language::JavaScript, "", "function f() { const a = 1; }\nf(a);\n", &["a"]);
    added(Language::TypeScript, "", "const a: T = clean(1) as U;\n", &["clean"]);
    added(Language::Tsx, "", "const a = <Panel title={t} />;\n", &["Panel", "t"]);
}

#[test]
fn every_way_java_binds_a_name_counts() {
    let code = "\
package com.shop;
import java.util.List;
import static java.lang.Math.max;
@Deprecated
public class A<T extends Comparable<T>> {
    private static final List<String> LIST = java.util.Arrays.asList(\"a\");
    enum Color { RED, GREEN; Color next() { return values()[ordinal()]; } }
    record P(int x, int y) { P { if (x < 0) throw new IllegalArgumentException(); } }
    interface S { int apply(int v); }
    @SuppressWarnings(value = \"x\") <U> U m(final U u, int... rest) throws Exception {
        int a = max(rest.length, 1), b[] = rest;
        for (String s : LIST) System.out.println(s + a + b);
        try (AutoCloseable c = open(u)) { c.close(); } catch (RuntimeException | Error e) { throw e; }
        S f = v -> v + 1; S g = (v) -> f.apply(v); S h = Math::abs; S i = this::self;
        Object o = u;
        if (o instanceof String str && str.isEmpty()) { outer: while (true) { break outer; } }
        switch (Color.RED) { case RED: break; default: }
        com.shop.other.Thing.run(new P(1, 2), com.shop.A.class, g, h, i, A.this);
        return u;
    }
    int self(int v) { return this.other + v; }
    AutoCloseable open(Object o) { return null; }
}
";
    added(Language::Java, "", code, &[]);
}

#[test]
fn a_name_that_java_or_go_binds_nowhere_around_is_told() {
    added(
        Language::Java,
        "",
        "class C { void m() { Path p = Files.get(name); clean(p); } }\n",
        &["Files", "Path", "clean", "name"],
    );
    added(Language::Java, "", "class C extends D { void m() { inherited(field); } }\n", &["D"]);
    added(Language::Go, "", "package a\nfunc f(p string) { exec.Command(clean(p), q) }\n", &["clean", "exec", "q"]);
    added(Language::Go, "", "package a\nfunc f() { x := 1; _ = x }\nfunc g() { x() }\nvar v T\n", &["T", "x"]);
}

#[test]
fn every_way_go_binds_a_name_counts() {
    let code = "\
package a

import (
\t\"fmt\"
\tx \"net/http\"
\t\"github.com/go-redis/redis/v8\"
\t\"gopkg.in/yaml.v3\"
\t\"github.com/mattn/go-sqlite3\"
\t_ \"embed\"
)

const A, B = iota, 1

type S struct{ Field, other int; x.Handler }
type G[T any] interface{ M(n int) (r T, err error) }

func (s *S) Do(a, b int, rest ...string) (out []byte, err error) {
\tfor i, v := range rest { fmt.Println(i, v) }
\tif n, ok := any(s).(G[int]); ok { _ = n }
\tswitch t := any(a).(type) { case int: _ = t }
\tselect { case m := <-make(chan int): _ = m }
\tf := func(z int) int { return z + b + A + B }
\tvar c, d = S{Field: f(1), other: s.Field}, map[string]int{\"k\": 1}
outer:
\tfor { break outer }
\tredis.New(c, d); yaml.Load(); sqlite3.Open(); x.Get(\"\")
\treturn append(out, byte(len(rest))), nil
}
";
    added(Language::Go, "", code, &[]);
}

#[test]
fn data_has_no_names_and_broken_code_is_read_leniently() {
    added(Language::Yaml, "a: 1\n", "a: b\n", &[]);
    added(Language::Hcl, "", "a = b\n", &[]);
    added(Language::Python, "def f(:\n  maybe = )(\n", "def f(:\n  maybe = )(\n\nprint(maybe)\n", &[]);
}
