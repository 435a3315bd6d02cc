//! What replacing characters, or testing for them, makes a text harmless for.

use super::call::Site;
use super::engine::Engine;
use super::spec::Mask;
use super::value::Value;
use crate::model::Language;

/// Which characters a pattern is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Characters {
    /// These, wherever they stand.
    Listed(String),
    /// All but these.
    Except(String),
    /// Two dots.
    Dots,
}

/// A use, and the characters that do harm in it.
const HARMFUL: &[(&str, &str)] = &[
    ("html", "<"),
    ("sql", "'"),
    ("xpath", "'\""),
    ("shell", ";|&$`"),
    ("ldap", "(*"),
    ("regex", "*+"),
    ("log", "\n"),
    ("code", "(`"),
    ("template", "{<"),
];

impl Engine<'_, '_> {
    /// What a replacement of characters makes a text harmless for.
    pub(super) fn replaced(&self, site: &Site<'_>) -> Option<Mask> {
        let method = site.method();
        let by_pattern = matches!(method, "sub" | "replaceAll" | "ReplaceAllString" | "ReplaceAllLiteralString");
        if !by_pattern && !matches!(method, "replace" | "ReplaceAll" | "Replace" | "gsub") {
            return None;
        }
        let receiver = site.receiver().and_then(|receiver| receiver.text.as_deref());
        let texts: Vec<&str> = site.given.iter().filter_map(|given| given.value.text.as_deref()).collect();
        // A compiled pattern is what the method is called on.
        let pattern =
            receiver.filter(|_| method == "sub" || method.starts_with("ReplaceAllS")).or(texts.first().copied())?;
        let regex = self.is_regex(pattern) || by_pattern && self.lower.language != Language::JavaScript;
        if matches!(&*bare(pattern), "^\\/+" | "^/+" | "^\\/*" | "^[\\/\\\\]+" | "^[/\\\\]+") {
            return Some(self.rules.mask_of(&["absolute", "bare"]));
        }
        if self.is_upwards(pattern, site) {
            return Some(self.rules.mask_of(&["dots"]));
        }
        if self.is_script() && method == "replace" && !is_global(pattern) {
            return None;
        }
        match characters(pattern, regex)? {
            Characters::Dots => Some(self.rules.mask_of(&["path", "dots"])),
            Characters::Except(left) => Some(self.without(&left)),
            Characters::Listed(gone) => self.rid_of(&gone),
        }
    }

    /// What a test against a pattern makes a text harmless for, where the test held or did not. `whole` says that the pattern must
    /// fit all of the text anyway. A pattern that is not known is taken for a list of what is allowed.
    pub(super) fn tested(&self, pattern: &Value, whole: bool, held: bool) -> Mask {
        let Some(text) = pattern.text.as_deref() else { return if held { Mask::MAX } else { 0 } };
        let bare = bare(text);
        if !held {
            return match characters(text, true) {
                Some(Characters::Except(left)) => self.without(&left),
                Some(Characters::Listed(gone)) => self.rid_of(&gone).unwrap_or(0),
                Some(Characters::Dots) => self.rules.mask_of(&["path", "dots"]),
                None => 0,
            };
        }
        let begins =
            bare.starts_with('^') || bare.starts_with("\\A") || whole || self.lower.language == Language::Python;
        let ends =
            bare.ends_with('$') && !bare.ends_with("\\$") || bare.ends_with("\\Z") || bare.ends_with("\\z") || whole;
        if let Some(allowed) = allowed(&bare).filter(|_| begins && ends) {
            return self.without(&allowed);
        }
        let host = bare.split_once("//").or_else(|| bare.split_once("\\/\\/")).map(|(_, host)| host);
        let fixed =
            host.is_some_and(|host| host.find('/').is_some_and(|at| at > 1) && !host.starts_with(['.', '[', '(']));
        if begins && fixed { self.rules.known.leading } else { 0 }
    }

    /// What the parts of a text that a pattern finds are harmless for.
    pub(super) fn extracted(&self, site: &Site<'_>) -> Mask {
        if !matches!(site.method(), "match" | "fullmatch" | "search" | "findall" | "exec" | "matchAll" | "FindString") {
            return 0;
        }
        let texts = site.receiver().into_iter().chain(site.given.iter().map(|given| &given.value));
        let pattern = texts.filter_map(|value| value.text.as_deref()).next();
        pattern.and_then(|text| allowed(&bare(text))).map_or(0, |allowed| self.without(&allowed))
    }

    /// What a text is harmless for that no slash stands in front of.
    pub(super) fn trimmed(&self, site: &Site<'_>) -> Mask {
        let cut = match site.method() {
            "strip" | "lstrip" => site.given.first(),
            "Trim" | "TrimLeft" => site.given.get(1),
            _ => return 0,
        };
        let slash = cut.and_then(|cut| cut.value.text.as_deref()).is_some_and(|cut| cut.contains('/'));
        if slash { self.rules.mask_of(&["absolute", "bare"]) } else { 0 }
    }

    /// A path in its normal form that begins with the root has no part left that leads upwards; where it leads from the root is
    /// another matter.
    pub(super) fn below_root(&self, path: &mut Value) {
        let (dots, absolute) = (self.rules.mask_of(&["dots"]), self.rules.known.absolute);
        for atom in path.atoms.iter_mut().filter(|atom| atom.clean & self.rules.mask_of(&["path"]) == 0) {
            atom.clean = (atom.clean | dots) & !absolute;
        }
    }

    fn is_script(&self) -> bool {
        matches!(self.lower.language, Language::JavaScript | Language::TypeScript | Language::Tsx)
    }

    /// Whether the pattern takes all that leads upwards from the beginning of a path in its normal form, where nothing else does.
    fn is_upwards(&self, pattern: &str, site: &Site<'_>) -> bool {
        let normal = self.rules.known.normal;
        let atoms = site.receiver().map(Value::all_atoms).unwrap_or_default();
        let repeated = ["(\\.\\.[\\/\\])", "(\\.\\.\\/)", "(\\.\\.[/\\])", "(\\.\\./)"];
        let bare = bare(pattern);
        let upwards = repeated.iter().any(|one| bare.trim_start_matches('^').starts_with(one));
        upwards && bare.ends_with(['+', '*']) && !atoms.is_empty() && atoms.iter().all(|atom| atom.clean & normal != 0)
    }

    /// Whether a constant is a literal pattern of a script.
    fn is_regex(&self, pattern: &str) -> bool {
        self.is_script() && literal(pattern).is_some()
    }

    /// Harmless for everything that none of the characters that may be left does harm in.
    fn without(&self, left: &str) -> Mask {
        let harmful = HARMFUL.iter().filter(|(_, harmful)| left.contains(|c: char| harmful.contains(c)));
        let mut uses: Vec<&str> = harmful.map(|(name, _)| *name).collect();
        if left.contains('/') && left.contains('.') {
            uses.extend(["path", "dots", "url", "redirect"]);
        }
        Mask::MAX & !self.rules.mask_of(&uses)
    }

    /// Harmless for what cannot do without the characters that are gone.
    fn rid_of(&self, gone: &str) -> Option<Mask> {
        let has = |c: char| gone.contains(c);
        let mut uses: Vec<&str> = Vec::new();
        let mut when = |holds: bool, use_of: &'static str| {
            if holds {
                uses.push(use_of);
            }
        };
        when(has('<'), "html");
        when(has('/') || has('.'), "path");
        when(has('\''), "sql");
        when(has('\'') || has('"'), "xpath");
        when([';', '|', '&', '$', '`'].into_iter().filter(|c| has(*c)).count() >= 2, "shell");
        when(has('(') && has('*'), "ldap");
        when(has('*') && has('+') && has('['), "regex");
        when(has('\n') || has('\r'), "log");
        (!uses.is_empty()).then(|| self.rules.mask_of(&uses))
    }
}

/// What stands between the slashes of a literal pattern, and its flags.
fn literal(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('/')?;
    let end = inner.rfind('/').filter(|end| *end > 0)?;
    let flags = inner.get(end + 1..)?;
    flags.bytes().all(|flag| flag.is_ascii_lowercase()).then_some((inner.get(..end)?, flags))
}

fn is_global(text: &str) -> bool {
    literal(text).is_some_and(|(_, flags)| flags.contains('g'))
}

/// A pattern without its slashes. In a string that is no raw one each backslash is written twice.
fn bare(text: &str) -> String {
    literal(text).map_or(text, |(inner, _)| inner).replace("\\\\", "\\")
}

/// The characters that a pattern replaces or looks for, when it is about single characters.
fn characters(pattern: &str, regex: bool) -> Option<Characters> {
    let bare = bare(pattern);
    if !regex {
        let single = bare.chars().count() == 1 || matches!(&*bare, "\\n" | "\\r" | "\\'" | "\\\"");
        return match &*bare {
            ".." => Some(Characters::Dots),
            _ if single => Some(Characters::Listed(written(&bare))),
            _ => None,
        };
    }
    if bare.contains("\\.\\.") && bare.split('|').any(|one| one == "\\.\\.") {
        return Some(Characters::Dots);
    }
    let one = bare.trim_end_matches(['+', '*']);
    let one = one.strip_prefix('(').and_then(|one| one.strip_suffix(')')).unwrap_or(one);
    let class = one.strip_prefix('[').and_then(|one| one.strip_suffix(']'));
    if let Some(class) = class.filter(|class| !class.replace("\\[", "").replace("\\]", "").contains("][")) {
        return Some(match class.strip_prefix('^') {
            Some(left) => Characters::Except(written(left)),
            None => Characters::Listed(written(class)),
        });
    }
    let pieces: Vec<&str> = one.split('|').collect();
    let single = |piece: &&str| piece.len() == 1 || piece.len() == 2 && piece.starts_with('\\');
    let all = pieces.iter().all(single) && !matches!(one, "." | "\\w" | "\\s" | "\\d" | "$" | "^");
    all.then(|| Characters::Listed(written(&pieces.concat())))
}

/// The characters that a text may have that a pattern fits as a whole, letters and digits left out; `None` when it may have any.
fn allowed(pattern: &str) -> Option<String> {
    let (mut found, mut class) = (String::new(), false);
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next()? {
                'S' | 'W' | 'D' => return None,
                's' => found.push_str("\n\r "),
                c if c.is_ascii_alphanumeric() => {}
                c => found.push(c),
            },
            '[' if !class => {
                class = true;
                if rest.peek() == Some(&'^') {
                    return None;
                }
            }
            ']' if class => class = false,
            '.' if !class => return None,
            '(' if !class && rest.peek() == Some(&'?') => {
                // What kind of group it is.
                while rest.next_if(|c| !matches!(c, ':' | '>' | '=' | '!' | ')')).is_some() {}
                rest.next();
            }
            '^' | '$' | '(' | ')' | '+' | '*' | '?' | '|' | '{' | '}' if !class => {}
            c if c.is_ascii_alphanumeric() => {}
            c => found.push(c),
        }
    }
    Some(found)
}

/// The characters that are written in a pattern, escapes undone; ranges and classes of letters and digits do no harm.
fn written(pattern: &str) -> String {
    let (mut found, mut escaped) = (String::new(), false);
    for c in pattern.chars() {
        let was = std::mem::replace(&mut escaped, false);
        match (was, c) {
            (false, '\\') => escaped = true,
            (true, 'n') => found.push('\n'),
            (true, 'r') => found.push('\r'),
            (true, 's') => found.push_str("\n\r "),
            (true, 'W' | 'D') => found.push_str("<>'\";|&$`()*{}/.\n"),
            (true, c) if c.is_ascii_alphanumeric() => {}
            (_, c) => found.push(c),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_lists_of_characters() {
        let listed = |text: &str| Some(Characters::Listed(text.to_owned()));
        assert_eq!(characters("/[<>]/g", true), listed("<>"));
        assert_eq!(characters("/\\.|\\//g", true), listed("./"));
        assert_eq!(characters("[^a-z/.]", true), Some(Characters::Except("a-z/.".to_owned())));
        assert_eq!(characters("'", false), listed("'"));
        assert_eq!(characters("..", false), Some(Characters::Dots));
        assert_eq!(characters("\\.\\.|x", true), Some(Characters::Dots));
        assert_eq!(characters("/.*\\bfoo=([^;]*).*/", true), None);
        assert_eq!(characters("../", false), None);
        assert_eq!(characters("[a][b]", true), None);
    }

    #[test]
    fn patterns_are_read_as_what_they_allow() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(allowed("^[a-zA-Z0-9_.-]+$"), some("---_.-"));
        assert_eq!(allowed("^(?P<id>\\d+)/(a|b)$"), some("/"));
        assert_eq!(allowed("^.+$"), None);
        assert_eq!(allowed("^[^/]+$"), None);
        assert_eq!(allowed("^\\S+$"), None);
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(written("a\\\\b\\n\\/"), "a\\b\n/");
        assert_eq!(written("\\w.-"), ".-");
    }
}
