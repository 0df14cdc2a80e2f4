//! Standard output and standard error. A closed pipe ends the program quietly, never with a panic.

use std::io::Write as _;
use std::process::ExitCode;

/// Exit code for success.
pub(crate) const DONE: u8 = 0;
/// Exit code for a failure.
pub(crate) const FAILED: u8 = 1;
/// Exit code for an invalid command line or configuration.
pub(crate) const USAGE: u8 = 2;

/// Writes a line to standard output.
pub(crate) fn line(text: impl AsRef<str>) {
    if writeln!(std::io::stdout(), "{}", text.as_ref()).is_err() {
        std::process::exit(i32::from(DONE));
    }
}

/// Fewest columns of a wrapped line. A narrower terminal breaks lines itself.
const MIN_WIDTH: usize = 40;

/// Wraps a text between words to the width of the terminal; all lines but the first are indented by `indent` blanks. Without a terminal it
/// stays on one line, for scripts that search it.
pub(crate) fn wrapped(text: &str, indent: usize) -> String {
    let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map(|size| size.ws_col);
    match columns.ok().and_then(line_width) {
        Some(width) => wrapped_to(text, width, indent),
        None => text.to_owned(),
    }
}

/// Returns the width of a wrapped line on a terminal with this number of columns; `None` for 0, which a serial console reports if its width is
/// unknown.
fn line_width(columns: u16) -> Option<usize> {
    (columns > 0).then(|| usize::from(columns).max(MIN_WIDTH))
}

fn wrapped_to(text: &str, width: usize, indent: usize) -> String {
    let (mut lines, mut length) = (String::new(), 0);
    for word in text.split(' ') {
        let word_length = word.chars().count();
        if length == 0 {
            length = word_length;
        } else if length + 1 + word_length <= width {
            lines.push(' ');
            length += 1 + word_length;
        } else {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            length = indent + word_length;
        }
        lines.push_str(word);
    }
    lines
}

/// Writes a line to standard error.
pub(crate) fn note(text: impl AsRef<str>) {
    // There is no other output for this failure.
    let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
}

/// Prints the reason and returns the exit code.
pub(crate) fn fail(code: u8, why: &str) -> ExitCode {
    note(format!("tachi-monitor: {why}"));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINDING: &str = "WRONG host spool: /var/lib/tachi-monitor/host cannot be written by the user of this check (Permission denied): \
                           check [monitor] state_path, and run the check as the user of the unit";

    #[test]
    fn a_terminal_of_unknown_width_breaks_lines_itself() {
        assert_eq!(
            [0, 1, 39, 40, 200].map(line_width),
            [None, Some(40), Some(40), Some(40), Some(200)]
        );
    }

    #[test]
    fn a_finding_fits_the_terminal_and_loses_no_word() {
        for width in [60, 80, 200] {
            let shown = wrapped_to(FINDING, width, 6);
            assert!(
                shown.lines().all(|line| line.chars().count() <= width),
                "{width}: {shown}"
            );
            assert!(
                shown.lines().skip(1).all(|line| line.starts_with("      ")),
                "{shown}"
            );
            let words: Vec<&str> = shown.split_whitespace().collect();
            assert_eq!(words.join(" "), FINDING);
        }
        assert_eq!(wrapped_to(FINDING, 60, 6).lines().count(), 4);
        // A word that is wider than the terminal stays whole, so that it can be copied.
        assert_eq!(
            wrapped_to("ok    a-very-long-word b", 8, 2),
            "ok   \n  a-very-long-word\n  b"
        );
    }
}
