//! Standard output and standard error. A closed pipe is a quiet end, never a panic.

use std::io::Write as _;
use std::process::ExitCode;

/// Writes a line to standard output.
pub(crate) fn line(text: impl AsRef<str>) {
    if writeln!(std::io::stdout(), "{}", text.as_ref()).is_err() {
        std::process::exit(i32::from(crate::DONE));
    }
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
