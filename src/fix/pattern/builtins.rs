//! Names that each language brings without an import.

use crate::model::Language;

const PYTHON: &str = "ArithmeticError AssertionError AttributeError BaseException BlockingIOError BrokenPipeError BufferError \
BytesWarning ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError ConnectionResetError \
DeprecationWarning EOFError Ellipsis EnvironmentError Exception ExceptionGroup FileExistsError FileNotFoundError \
FloatingPointError FutureWarning GeneratorExit IOError ImportError ImportWarning IndentationError IndexError \
InterruptedError IsADirectoryError KeyError KeyboardInterrupt LookupError MemoryError ModuleNotFoundError NameError \
NotADirectoryError NotImplemented NotImplementedError OSError OverflowError PendingDeprecationWarning PermissionError \
ProcessLookupError RecursionError ReferenceError ResourceWarning RuntimeError RuntimeWarning StopAsyncIteration \
StopIteration SyntaxError SyntaxWarning SystemError SystemExit TabError TimeoutError TypeError UnboundLocalError \
UnicodeDecodeError UnicodeEncodeError UnicodeError UnicodeTranslateError UnicodeWarning UserWarning ValueError Warning \
ZeroDivisionError __file__ __name__ abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr \
classmethod cls compile complex delattr dict dir divmod enumerate eval exec exit filter float format frozenset getattr \
globals hasattr hash help hex id input int isinstance issubclass iter len list locals map max memoryview min next \
object oct open ord pow print property range repr reversed round self set setattr slice sorted staticmethod str sum \
super tuple type vars zip __import__ _";

const SCRIPT: &str = "AbortController AbortSignal Array ArrayBuffer BigInt Blob Boolean Buffer DOMParser DataView Date Error \
EvalError Event FormData Function Headers Infinity Int32Array JSON Map Math NaN Number Object Promise Proxy RangeError \
ReferenceError Reflect RegExp Request Response Set String Symbol SyntaxError TextDecoder TextEncoder TypeError URIError \
URL URLSearchParams Uint8Array Uint32Array WeakMap WeakSet Worker __dirname __filename alert arguments atob btoa \
clearInterval clearTimeout console crypto decodeURI decodeURIComponent document encodeURI encodeURIComponent escape eval \
exports fetch global globalThis history isFinite isNaN localStorage location module navigator parseFloat parseInt \
performance process queueMicrotask require self sessionStorage setImmediate setInterval setTimeout structuredClone \
undefined unescape window string number boolean unknown any void never";

const JAVA: &str = "ArithmeticException ArrayIndexOutOfBoundsException AssertionError AutoCloseable Boolean Byte CharSequence \
Character Class ClassCastException ClassNotFoundException CloneNotSupportedException Comparable Deprecated Double Enum \
Error Exception Float FunctionalInterface IllegalArgumentException IllegalStateException IndexOutOfBoundsException \
InheritableThreadLocal Integer InterruptedException Iterable Long Math NegativeArraySizeException NullPointerException \
Number NumberFormatException Object Override Process ProcessBuilder Record Runnable Runtime RuntimeException SafeVarargs \
SecurityException Short StackTraceElement StrictMath String StringBuffer StringBuilder SuppressWarnings System Thread \
ThreadLocal Throwable UnsupportedOperationException Void var";

const GO: &str = "any append bool byte cap clear close comparable complex complex128 complex64 copy delete error false float32 \
float64 imag int int16 int32 int64 int8 iota len make max min new nil panic print println real recover rune string true \
uint uint16 uint32 uint64 uint8 uintptr _";

/// Types of `System` that nearly every file uses by their bare names, and what a body may always name.
const CSHARP: &str = "Action Array ArgumentException ArgumentNullException Console Convert DateTime DateTimeOffset Encoding \
Enumerable Environment Exception File Func Guid IDisposable InvalidOperationException Math NotImplementedException \
NotSupportedException Path Random String StringBuilder StringComparison Task TimeSpan Type Uri args nameof value var";

/// PHP's variables have a `$` of their own; its functions and constants need no import.
const PHP: &str = "$_COOKIE $_ENV $_FILES $_GET $_POST $_REQUEST $_SERVER $_SESSION $GLOBALS $argc $argv $this";

const RUBY: &str = "__FILE__ __dir__ __method__ abort at_exit binding block_given? caller catch eval exit fail format gets lambda \
load loop open p pp print printf proc putc puts raise rand require require_relative select sleep sprintf srand system tap \
then throw warn self attr_accessor attr_reader attr_writer include extend private protected public";

const RUST: &str = "AsMut AsRef Box Clone Copy Default Drop Eq Err Extend Fn FnMut FnOnce From FromIterator Hash Into \
IntoIterator Iterator None Ok Option Ord PartialEq PartialOrd Result Self Send Sized Some String Sync ToOwned ToString \
TryFrom TryInto Vec assert assert_eq assert_ne bool char crate dbg debug_assert drop eprintln f32 f64 format i128 i16 i32 \
i64 i8 isize matches panic print println self std str super todo u128 u16 u32 u64 u8 unimplemented unreachable usize vec \
write writeln _";

/// Whether `name` is bound by the language itself.
#[must_use]
pub fn contains(language: Language, name: &str) -> bool {
    let list = match language {
        Language::Python => PYTHON,
        Language::JavaScript | Language::TypeScript | Language::Tsx => SCRIPT,
        Language::Java => JAVA,
        Language::Go => GO,
        Language::CSharp => CSHARP,
        Language::Php => PHP,
        Language::Ruby => RUBY,
        Language::Rust => RUST,
        Language::Dockerfile | Language::Hcl | Language::Yaml => return false,
    };
    list.split(' ').any(|known| known == name)
}
