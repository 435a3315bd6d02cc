//! Which names inside a tree object are believed.
//!
//! Tree objects are bytes that anybody can make: a name may hold a slash, `..`, `.git` or invalid UTF-8.

use super::RepoPath;

/// The longest path that is followed, bytes; also bounds how deep trees are walked.
pub const MAX_PATH: usize = 4096;

/// A tree path as a [`RepoPath`].
///
/// # Errors
/// The reason why it is passed over, for people.
pub fn believe(path: &[u8]) -> Result<RepoPath, String> {
    let text = std::str::from_utf8(path).map_err(|_| "its name is not valid UTF-8".to_owned())?;
    let path = RepoPath::new(text).map_err(|error| error.reason.to_owned())?;
    if path.as_str().split('/').any(names_git_folder) {
        return Err("it is inside a `.git` folder".to_owned());
    }
    Ok(path)
}

/// Whether a file system (NTFS and HFS+ included) would take this component for `.git`.
fn names_git_folder(component: &str) -> bool {
    let visible: String = component.chars().filter(|c| !matches!(c, '\u{206a}'..='\u{206f}')).collect();
    let name = visible.split(':').next().unwrap_or_default().trim_end_matches([' ', '.']);
    name.eq_ignore_ascii_case(".git") || name.eq_ignore_ascii_case("git~1")
}

/// A tree path for people and logs: control and invisible characters escaped, at most 200 characters.
#[must_use]
pub fn display(path: &[u8]) -> String {
    const SHOWN: usize = 200;
    let text = String::from_utf8_lossy(path);
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_file_systems_take_for_the_git_folder_are_refused() {
        for name in [".git/config", "a/.GIT/hooks/x", ".git./x", ".git /x", "git~1/x", ".git::$INDEX_ALLOCATION/x"] {
            assert!(believe(name.as_bytes()).is_err(), "{name}");
        }
        assert!(believe(".g\u{206b}it/config".as_bytes()).is_err());
        for name in [".gitignore", ".github/workflows/a.yml", "git/x.py", "a.git/x.py"] {
            assert!(believe(name.as_bytes()).is_ok(), "{name}");
        }
    }

    #[test]
    fn names_for_people_are_escaped_and_short() {
        assert_eq!(display(b"a\n\x1b[31m\xffb"), "a\\n\\u{1b}[31m\u{fffd}b");
        assert_eq!(display("x\u{202e}y".as_bytes()), "x\\u{202e}y");
        assert_eq!(display(&[b'x'; 1000]).chars().count(), 201);
    }
}
