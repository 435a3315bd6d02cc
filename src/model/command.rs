//! What people may ask for in a comment on one of our pull requests.

/// A command, after `/codehealer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Never propose a fix for these findings again.
    Ignore { reason: String },
    /// Take this proposal back and judge its findings anew.
    Retry,
    /// Tell the walk that led here.
    Explain,
    /// Stop all work in this repository.
    Pause,
    /// Go on.
    Resume,
    /// What was written is none of these; tells what can be.
    Unknown { word: String },
}

impl Command {
    /// Reads the first line of a comment that begins with `/codehealer`.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace().skip(1);
        let word = words.next().unwrap_or_default().to_lowercase();
        let rest: Vec<&str> = words.collect();
        match word.as_str() {
            "ignore" => Self::Ignore { reason: rest.join(" ") },
            "retry" => Self::Retry,
            "explain" => Self::Explain,
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            _ => Self::Unknown { word: word.chars().take(40).collect() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_whatever_their_spacing_and_case() {
        assert_eq!(
            Command::parse("/codehealer  Ignore  it is  generated"),
            Command::Ignore { reason: "it is generated".to_owned() }
        );
        assert_eq!(Command::parse("/codehealer retry please"), Command::Retry);
        assert_eq!(Command::parse("/codehealer"), Command::Unknown { word: String::new() });
        assert_eq!(Command::parse("/codehealer delete"), Command::Unknown { word: "delete".to_owned() });
    }
}
