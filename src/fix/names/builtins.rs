//! Names that the languages and their usual environments bind by themselves.

use crate::model::Language;

/// Whether the name needs no binding in the file.
pub(super) fn has(language: Language, name: &str) -> bool {
    let list = match language {
        Language::Python => PYTHON,
        Language::JavaScript | Language::TypeScript | Language::Tsx => JAVASCRIPT,
        Language::Java => JAVA,
        Language::Go => GO,
        Language::CSharp | Language::Dockerfile | Language::Hcl | Language::Php => return true,
        Language::Ruby | Language::Rust | Language::Yaml => return true,
    };
    list.binary_search(&name).is_ok()
}

/// Built-in names of Python 3, those of Python 2 for old files, and what every module has.
#[rustfmt::skip]
const PYTHON: &[&str] = &[
    "ArithmeticError", "AssertionError", "AttributeError", "BaseException", "BaseExceptionGroup", "BlockingIOError",
    "BrokenPipeError", "BufferError", "BytesWarning", "ChildProcessError", "ConnectionAbortedError",
    "ConnectionError", "ConnectionRefusedError", "ConnectionResetError", "DeprecationWarning", "EOFError", "Ellipsis",
    "EncodingWarning", "EnvironmentError", "Exception", "ExceptionGroup", "False", "FileExistsError",
    "FileNotFoundError", "FloatingPointError", "FutureWarning", "GeneratorExit", "IOError", "ImportError",
    "ImportWarning", "IndentationError", "IndexError", "InterruptedError", "IsADirectoryError", "KeyError",
    "KeyboardInterrupt", "LookupError", "MemoryError", "ModuleNotFoundError", "NameError", "None",
    "NotADirectoryError", "NotImplemented", "NotImplementedError", "OSError", "OverflowError",
    "PendingDeprecationWarning", "PermissionError", "ProcessLookupError", "PythonFinalizationError", "RecursionError",
    "ReferenceError", "ResourceWarning", "RuntimeError", "RuntimeWarning", "StopAsyncIteration", "StopIteration",
    "SyntaxError", "SyntaxWarning", "SystemError", "SystemExit", "TabError", "TimeoutError", "True", "TypeError",
    "UnboundLocalError", "UnicodeDecodeError", "UnicodeEncodeError", "UnicodeError", "UnicodeTranslateError",
    "UnicodeWarning", "UserWarning", "ValueError", "Warning", "WindowsError", "ZeroDivisionError", "_", "__all__",
    "__annotations__", "__build_class__", "__builtins__", "__cached__", "__class__", "__debug__", "__dict__",
    "__doc__", "__file__", "__import__", "__loader__", "__module__", "__name__", "__package__", "__path__",
    "__qualname__", "__spec__", "abs", "aiter", "all", "anext", "any", "apply", "ascii", "basestring", "bin", "bool",
    "breakpoint", "buffer", "bytearray", "bytes", "callable", "chr", "classmethod", "cmp", "coerce", "compile",
    "complex", "delattr", "dict", "dir", "divmod", "enumerate", "eval", "exec", "execfile", "exit", "file", "filter",
    "float", "format", "frozenset", "getattr", "globals", "hasattr", "hash", "help", "hex", "id", "input", "int",
    "intern", "isinstance", "issubclass", "iter", "len", "list", "locals", "long", "map", "max", "memoryview", "min",
    "next", "object", "oct", "open", "ord", "pow", "print", "property", "quit", "range", "raw_input", "reduce",
    "repr", "reveal_locals", "reveal_type", "reversed", "round", "set", "setattr", "slice", "sorted", "staticmethod",
    "str", "sum", "super", "tuple", "type", "unichr", "unicode", "vars", "xrange", "zip",
];

/// ECMAScript, Node, browsers and the usual test runners.
#[rustfmt::skip]
const JAVASCRIPT: &[&str] = &[
    "$", "AbortController", "AbortSignal", "AggregateError", "Array", "ArrayBuffer", "AsyncFunction", "Atomics",
    "Audio", "BigInt", "BigInt64Array", "BigUint64Array", "Blob", "Boolean", "BroadcastChannel", "Buffer", "CSS",
    "CSSStyleSheet", "CanvasRenderingContext2D", "Comment", "CompressionStream", "Crypto", "CryptoKey", "CustomEvent",
    "DOMException", "DOMParser", "DataView", "Date", "DecompressionStream", "Document", "DocumentFragment", "Element",
    "Error", "EvalError", "Event", "EventSource", "EventTarget", "File", "FileReader", "FinalizationRegistry",
    "Float16Array", "Float32Array", "Float64Array", "FormData", "Function", "HTMLElement", "HTMLFormElement",
    "HTMLInputElement", "Headers", "Image", "Infinity", "Int16Array", "Int32Array", "Int8Array",
    "IntersectionObserver", "Intl", "Iterator", "JSON", "KeyboardEvent", "Location", "Map", "Math", "MessageChannel",
    "MessageEvent", "MessagePort", "MouseEvent", "MutationObserver", "NaN", "Node", "NodeFilter", "NodeList",
    "Notification", "Number", "Object", "Performance", "PerformanceObserver", "PopStateEvent", "Promise", "Proxy",
    "Range", "RangeError", "ReadableStream", "ReferenceError", "Reflect", "RegExp", "Request", "ResizeObserver",
    "Response", "SVGElement", "Selection", "Set", "ShadowRoot", "SharedArrayBuffer", "Storage", "String",
    "SubtleCrypto", "Symbol", "SyntaxError", "Text", "TextDecoder", "TextEncoder", "TouchEvent", "TransformStream",
    "TypeError", "URIError", "URL", "URLSearchParams", "Uint16Array", "Uint32Array", "Uint8Array",
    "Uint8ClampedArray", "WeakMap", "WeakRef", "WeakSet", "WebAssembly", "WebSocket", "Window", "Worker",
    "WritableStream", "XMLHttpRequest", "XMLSerializer", "XPathResult", "__dirname", "__filename", "addEventListener",
    "afterAll", "afterEach", "alert", "arguments", "atob", "beforeAll", "beforeEach", "btoa", "caches",
    "cancelAnimationFrame", "cancelIdleCallback", "clearImmediate", "clearInterval", "clearTimeout", "close",
    "confirm", "console", "crypto", "customElements", "decodeURI", "decodeURIComponent", "describe", "document",
    "encodeURI", "encodeURIComponent", "escape", "eval", "event", "expect", "exports", "fetch", "focus", "frames",
    "getComputedStyle", "getSelection", "global", "globalThis", "history", "import", "importScripts", "indexedDB",
    "innerHeight", "innerWidth", "isFinite", "isNaN", "isSecureContext", "it", "jQuery", "jest", "localStorage",
    "location", "matchMedia", "module", "name", "navigator", "open", "opener", "origin", "parent", "parseFloat",
    "parseInt", "performance", "postMessage", "print", "process", "prompt", "queueMicrotask", "removeEventListener",
    "requestAnimationFrame", "requestIdleCallback", "require", "screen", "scroll", "scrollTo", "self",
    "sessionStorage", "setImmediate", "setInterval", "setTimeout", "structuredClone", "test", "top", "trustedTypes",
    "undefined", "unescape", "vi", "window",
];

/// `java.lang`, the roots of the platform's packages, and members that every object or enum has.
#[rustfmt::skip]
const JAVA: &[&str] = &[
    "AbstractMethodError", "Appendable", "ArithmeticException", "ArrayIndexOutOfBoundsException",
    "ArrayStoreException", "AssertionError", "AutoCloseable", "Boolean", "BootstrapMethodError", "Byte",
    "CharSequence", "Character", "Class", "ClassCastException", "ClassCircularityError", "ClassFormatError",
    "ClassLoader", "ClassNotFoundException", "ClassValue", "CloneNotSupportedException", "Cloneable", "Comparable",
    "Deprecated", "Double", "Enum", "EnumConstantNotPresentException", "Error", "Exception",
    "ExceptionInInitializerError", "Float", "FunctionalInterface", "IllegalAccessError", "IllegalAccessException",
    "IllegalArgumentException", "IllegalCallerException", "IllegalMonitorStateException", "IllegalStateException",
    "IllegalThreadStateException", "IncompatibleClassChangeError", "IndexOutOfBoundsException",
    "InheritableThreadLocal", "InstantiationError", "InstantiationException", "Integer", "InternalError",
    "InterruptedException", "Iterable", "LinkageError", "Long", "MatchException", "Math", "Module", "ModuleLayer",
    "NegativeArraySizeException", "NoClassDefFoundError", "NoSuchFieldError", "NoSuchFieldException",
    "NoSuchMethodError", "NoSuchMethodException", "NullPointerException", "Number", "NumberFormatException", "Object",
    "OutOfMemoryError", "Override", "Package", "Process", "ProcessBuilder", "ProcessHandle", "Readable", "Record",
    "ReflectiveOperationException", "Runnable", "Runtime", "RuntimeException", "RuntimePermission", "SafeVarargs",
    "ScopedValue", "SecurityException", "SecurityManager", "Short", "StackOverflowError", "StackTraceElement",
    "StackWalker", "StrictMath", "String", "StringBuffer", "StringBuilder", "StringIndexOutOfBoundsException",
    "StringTemplate", "SuppressWarnings", "System", "Thread", "ThreadDeath", "ThreadGroup", "ThreadLocal",
    "Throwable", "TypeNotPresentException", "UnknownError", "UnsatisfiedLinkError", "UnsupportedClassVersionError",
    "UnsupportedOperationException", "VerifyError", "VirtualMachineError", "Void", "_", "clone", "equals", "finalize",
    "getClass", "hashCode", "java", "javax", "notify", "notifyAll", "ordinal", "super", "this",
    "toString", "valueOf", "values", "var", "wait",
];

/// Predeclared identifiers.
#[rustfmt::skip]
const GO: &[&str] = &[
    "_", "any", "append", "bool", "byte", "cap", "clear", "close", "comparable", "complex", "complex128", "complex64",
    "copy", "delete", "error", "false", "float32", "float64", "imag", "init", "int", "int16", "int32", "int64",
    "int8", "iota", "len", "main", "make", "max", "min", "new", "nil", "panic", "print", "println", "real", "recover",
    "rune", "string", "true", "uint", "uint16", "uint32", "uint64", "uint8", "uintptr",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_for_searching() {
        for list in [PYTHON, JAVASCRIPT, JAVA, GO] {
            assert!(list.is_sorted());
        }
    }
}
