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
