//! Standard output and standard error. A closed pipe ends the program quietly, without a panic.

pub mod answer;
mod paint;
mod shape;
mod table;
mod view;
mod waiting;

use std::io::Write as _;
use std::process::ExitCode;

pub use shape::{Format, ShapeArgs};
pub use table::{Cell, Column, TABLE_STYLE, TextTable, at_widths};
pub use tachi_operator::plain;
pub use view::{View, Zone};
pub use waiting::waiting;

/// Writes a line to standard output.
pub fn line(text: impl AsRef<str>) {
    if writeln!(std::io::stdout(), "{}", text.as_ref()).is_err() {
        std::process::exit(i32::from(crate::DONE));
    }
}

/// Writes a line with names from others: it cannot move the cursor, start a new line or change the writing direction.
pub fn print(text: impl AsRef<str>) {
    line(plain(text.as_ref()));
}

/// Returns the maximum width of a line: that of the terminal, or 80 without one.
pub fn width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(80, |(width, _)| usize::from(width.0).max(40))
}

/// Wraps a text to the terminal's width; all lines but the first are indented by `indent` blanks.
pub fn wrapped(text: &str, indent: usize) -> String {
    let blanks = " ".repeat(indent);
    let options = textwrap::Options::new(width())
        .subsequent_indent(&blanks)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::fill(text, options)
}

/// Writes a line to standard error.
pub fn note(text: impl AsRef<str>) {
    // If this fails, there is no other way to report it.
    let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
}

/// Prints the reason, and returns the exit code.
pub fn fail(code: u8, why: &str) -> ExitCode {
    note(format!("tachi: {why}"));
    ExitCode::from(code)
}

/// Renders the progress of a count, as in `[███·····] 12/40`
pub fn progress(back: u64, all: u64) -> String {
    let full = usize::try_from(back.saturating_mul(8) / all.max(1))
        .unwrap_or(8)
        .min(8);
    format!("[{}{}] {back}/{all}", "█".repeat(full), "·".repeat(8 - full))
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
