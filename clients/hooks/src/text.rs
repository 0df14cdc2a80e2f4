//! Sanitizes the output of hooks for one line of a message.

use std::error::Error;

/// Limit of a hook's output to keep, in bytes.
pub(crate) const MAX_OUTPUT: usize = 2048;

/// Limit of a hook's output to show, in characters.
const MAX_SHOWN: usize = 300;

/// Renders the result, followed by the output if there is any.
pub(crate) fn with_output(end: &str, output: &[u8]) -> String {
    let output = one_line(&String::from_utf8_lossy(output));
    if output.is_empty() {
        end.to_owned()
    } else {
        format!("{end}: {output}")
    }
}

/// Returns one line without control characters, cut at a limit.
pub(crate) fn one_line(text: &str) -> String {
    tachi_text::short(text, MAX_SHOWN)
}

/// Renders an error and its sources on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    one_line(&tachi_text::chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_a_hook_is_one_short_line() {
        let cases: [(&[u8], &str); 4] = [
            (b"", "exit 3"),
            (b" \n", "exit 3"),
            (b"a\r\nFAKE log \x1b[31mline\x07", "exit 3: a FAKE log [31mline"),
            (b"\xff\xfe", "exit 3: \u{fffd}\u{fffd}"),
        ];
        for (output, expected) in cases {
            assert_eq!(with_output("exit 3", output), expected);
        }
        assert_eq!(one_line(&"é".repeat(5000)).chars().count(), MAX_SHOWN + 3);
    }
}
