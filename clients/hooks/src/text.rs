//! What hooks say, made fit for one line of a message.

use std::error::Error;

/// The most of what a hook says that is kept, in bytes.
pub(crate) const KEPT: usize = 2048;

/// The most of it that is shown, in characters.
const SHOWN: usize = 300;

/// How it ended, and what it said if it said anything.
pub(crate) fn told(end: &str, said: &[u8]) -> String {
    let said = one_line(&String::from_utf8_lossy(said));
    if said.is_empty() {
        end.to_owned()
    } else {
        format!("{end}: {said}")
    }
}

/// One line without control characters, cut at a limit.
pub(crate) fn one_line(text: &str) -> String {
    tachi_text::short(text, SHOWN)
}

/// An error and everything below it, as one such line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    one_line(&tachi_text::chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hook_says_is_one_short_line() {
        let cases: [(&[u8], &str); 4] = [
            (b"", "exit 3"),
            (b" \n", "exit 3"),
            (b"a\r\nFAKE log \x1b[31mline\x07", "exit 3: a FAKE log [31mline"),
            (b"\xff\xfe", "exit 3: \u{fffd}\u{fffd}"),
        ];
        for (said, expected) in cases {
            assert_eq!(told("exit 3", said), expected);
        }
        assert_eq!(one_line(&"é".repeat(5000)).chars().count(), SHOWN + 3);
    }
}
