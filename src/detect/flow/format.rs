//! Formats and what is put into them.

use super::value::Value;

/// The pieces of a format and what is put between them. What is put in as a number is harmless.
pub(super) fn formatted(format: &Value, others: &[Value]) -> Vec<Value> {
    let Some(text) = format.text.as_deref() else {
        return std::iter::once(format).chain(others).cloned().collect();
    };
    let mut parts = Vec::new();
    let mut rest = text;
    let mut next = others.iter();
    while let Some((before, conversion, behind)) = placeholder(rest) {
        parts.push(Value::constant(before));
        let value = if conversion == 'n' { None } else { next.next() };
        match (conversion, value) {
            ('d', value) => parts.push(Value::calculated(value)),
            (_, Some(value)) => parts.push(value.clone()),
            (_, None) => parts.extend(others.iter().cloned()),
        }
        rest = behind;
    }
    parts.push(Value::constant(rest));
    if parts.len() == 1 {
        parts.extend(next.cloned());
    }
    parts
}

/// The first place of a format that a value is put into: what stands before, `d` for a number, `n` for a place that names
/// its value, `s` for any other, what stands behind.
fn placeholder(format: &str) -> Option<(&str, char, &str)> {
    let mut from = 0;
    loop {
        let at = from + format.get(from..)?.find(['%', '{'])?;
        let (before, tail) = (format.get(..at)?, format.get(at..)?);
        if tail.starts_with("%%") || tail.starts_with("{{") {
            from = at + 2;
            continue;
        }
        if let Some(inner) = tail.strip_prefix('{') {
            let end = inner.find('}')?;
            let name = inner.get(..end)?;
            if name.len() > 60 || name.contains(['"', '\'', '\n', ';']) {
                from = at + 1;
                continue;
            }
            let numeric =
                name.split(':').nth(1).is_some_and(|spec| spec.ends_with(['d', 'f', 'x', 'b', 'o', 'e', '%']));
            let named = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let kind = if numeric {
                'd'
            } else if named {
                'n'
            } else {
                's'
            };
            return Some((before, kind, inner.get(end + 1..)?));
        }
        let spec = tail.get(1..)?;
        let named = spec.starts_with('(');
        let spec_start = if named { spec.find(')')? + 1 } else { 0 };
        let flags = spec.get(spec_start..)?;
        let length = flags.find(|c: char| c.is_ascii_alphabetic())?;
        if length > 8 || flags.get(..length)?.contains(|c: char| !"0123456789.-+# $[]*".contains(c)) {
            from = at + 1;
            continue;
        }
        let letter = flags.get(length..)?.chars().next()?;
        let kind = if "dfFgGeExXiuctpbo".contains(letter) {
            'd'
        } else if named {
            'n'
        } else {
            's'
        };
        return Some((before, kind, flags.get(length + 1..)?));
    }
}
