//! Standard output and standard error. A closed pipe is a quiet end, never a panic.

pub(crate) mod answer;
mod paint;
mod sheet;
mod view;
mod waiting;

use std::io::Write as _;
use std::process::ExitCode;

#[cfg(test)]
pub(crate) use sheet::at_widths;
pub(crate) use sheet::{Cell, Column, Sheet};
pub(crate) use tachi_operator::plain;
pub(crate) use view::{View, Zone};
pub(crate) use waiting::waiting;

/// Writes a line to standard output.
pub(crate) fn line(text: impl AsRef<str>) {
    if writeln!(std::io::stdout(), "{}", text.as_ref()).is_err() {
        std::process::exit(i32::from(crate::DONE));
    }
}

/// The same of what others may have named: nothing of it moves the cursor, begins a line or turns the direction of writing.
pub(crate) fn told(text: impl AsRef<str>) {
    line(plain(text.as_ref()));
}

/// How wide a line may be: as the terminal, or 80 where there is none.
pub(crate) fn width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(80, |(width, _)| usize::from(width.0).max(40))
}

/// A text in lines that are no wider than the terminal; all but the first begin with `indent` blanks.
pub(crate) fn wrapped(text: &str, indent: usize) -> String {
    let blanks = " ".repeat(indent);
    let options = textwrap::Options::new(width())
        .subsequent_indent(&blanks)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::fill(text, options)
}

/// Writes a line to standard error.
pub(crate) fn note(text: impl AsRef<str>) {
    // Nobody is left to tell if this fails.
    let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
}

/// Says why, and gives the exit code.
pub(crate) fn fail(code: u8, why: &str) -> ExitCode {
    note(format!("tachi: {why}"));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_named_stays_on_its_line_and_in_its_cell() {
        for (text, expected) in [
            ("compute-001 é ✗", "compute-001 é ✗"),
            ("a\u{1b}[2Jb\r\n", "a\\u{1b}[2Jb\\r\\n"),
            ("\u{202e}gnp\u{200b}", "\\u{202e}gnp\\u{200b}"),
            ("\u{9b}31m", "\\u{9b}31m"),
        ] {
            assert_eq!(plain(text), expected);
        }
    }
}
