//! Splits lines into entries. The rules are those of oslo.config's parser, including its oddities: a value's quotes are
//! removed from its first line only, a comment or a blank line ends a value, and an indented comment is part of the
//! value above.

use crate::error::ConfigError;

/// One assignment as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) section: String,
    pub(crate) name: String,
    pub(crate) value: String,
    /// The line of the name, counted from 1.
    pub(crate) line: usize,
}

/// Reads `text`; bad lines are added to `problems` and skipped, so that one run shows them all.
pub(crate) fn tokens(file: &str, text: &str, problems: &mut Vec<ConfigError>) -> Vec<Token> {
    // Python opens text files with universal newlines, which include old Mac line ends.
    let text = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let mut section: Option<String> = None;
    let mut done = Vec::new();
    let mut open: Option<Token> = None;
    for (number, line) in text.split('\n').enumerate() {
        let line_number = number + 1;
        let line = line.trim_end();
        if line.starts_with([' ', '\t']) {
            if let Some(token) = &mut open {
                token.value.push('\n');
                token.value.push_str(line.trim_start());
            } else {
                problems.push(syntax_error(file, line_number, LineError::Continuation));
            }
            continue;
        }
        done.extend(open.take());
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let read = if line.starts_with('[') {
            header(line).map(|name| section = Some(name))
        } else {
            assignment(line, section.as_deref(), line_number).map(|token| open = Some(token))
        };
        if let Err(bad) = read {
            problems.push(syntax_error(file, line_number, bad));
        }
    }
    done.extend(open);
    done
}

fn header(line: &str) -> Result<String, LineError> {
    let inner = line
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or(LineError::SectionEnd)?;
    if inner.is_empty() {
        Err(LineError::SectionName)
    } else {
        Ok(inner.to_owned())
    }
}

fn assignment(line: &str, section: Option<&str>, number: usize) -> Result<Token, LineError> {
    let (name, value) = line.split_once(['=', ':']).ok_or(LineError::Separator)?;
    let name = name.trim();
    if name.is_empty() {
        return Err(LineError::Name);
    }
    let section = section.ok_or(LineError::NoSection)?;
    Ok(Token {
        section: section.to_owned(),
        name: name.to_owned(),
        value: unquoted(value.trim()).to_owned(),
        line: number,
    })
}

/// Removes one pair of equal quotes. A lone quote becomes an empty value, as in oslo.config.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return match rest.strip_suffix(quote) {
                Some(inner) => inner,
                None if rest.is_empty() => "",
                None => value,
            };
        }
    }
    value
}

#[derive(Clone, Copy)]
enum LineError {
    Continuation,
    SectionEnd,
    SectionName,
    Separator,
    Name,
    NoSection,
}

fn syntax_error(file: &str, line: usize, bad: LineError) -> ConfigError {
    let (why, help) = match bad {
        LineError::Continuation => (
            "an indented line continues a value, but there is no value above it",
            "remove the indentation, or the blank or comment line between it and its value",
        ),
        LineError::SectionEnd => (
            "a section line must end with `]`",
            "put a comment on a line of its own",
        ),
        LineError::SectionName => (
            "the section has no name",
            "write [DEFAULT] for options without a group",
        ),
        LineError::Separator => ("the line contains neither `=` nor `:`", "write `option = value`"),
        LineError::Name => ("the option has no name", "write `option = value`"),
        LineError::NoSection => (
            "the option is outside of any section",
            "add a line [DEFAULT] above it",
        ),
    };
    ConfigError::Syntax {
        file: file.to_owned(),
        line,
        why,
        help,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Token>, Vec<String>) {
        let mut problems = Vec::new();
        let tokens = tokens("f", text, &mut problems);
        (tokens, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_token_has_the_line_of_its_name() {
        let (tokens, problems) = read("# c\n[DEFAULT]\n\na = 1\n  2\n[x]\nb: 3\n");
        let places: Vec<_> = tokens
            .iter()
            .map(|t| (t.section.as_str(), t.name.as_str(), t.line))
            .collect();
        assert_eq!(places, [("DEFAULT", "a", 4), ("x", "b", 7)]);
        assert_eq!(problems, Vec::<String>::new());
    }

    #[test]
    fn all_bad_lines_are_reported_at_once_with_their_numbers() {
        let (tokens, problems) = read("z = 1\n[DEFAULT]\noops\n = 2\na = 3\n\n  stray\n[x # y\n[]\n");
        assert_eq!(tokens.len(), 1);
        let lines: Vec<_> = problems.iter().filter_map(|p| p.split(':').nth(1)).collect();
        assert_eq!(lines, ["1", "3", "4", "7", "8", "9"]);
        assert_eq!(
            problems[1],
            "f:3: the line contains neither `=` nor `:`; write `option = value`"
        );
    }

    #[test]
    fn a_mistyped_line_does_not_show_a_password() {
        for text in [
            "[DEFAULT]\npassword =\ns3cret",
            "password=s3cret",
            "  s3cret=s3cret x",
            "[DEFAULT] s3cret",
        ] {
            let (_, problems) = read(text);
            assert_eq!(problems.len(), 1, "{text}");
            assert!(!problems[0].contains("s3cret"), "{problems:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(read("\u{feff}[DEFAULT]\na = 1").0.len(), 1);
    }
}
