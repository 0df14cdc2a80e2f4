//! Colours, in addition to symbols and words that carry the same information.

/// Escape sequence that ends a colour.
const PLAIN: &str = "\u{1b}[0m";

/// Returns the colour of a symbol that stands alone, or of a word at the start of a line.
fn colour(word: &str, begins: bool) -> Option<&'static str> {
    Some(match word {
        "✗" => "\u{1b}[31m",
        "!" => "\u{1b}[33m",
        "?" => "\u{1b}[35m",
        "●" | "✓" => "\u{1b}[32m",
        "❄" => "\u{1b}[36m",
        _ if !begins => return None,
        "ERR" | "WAIT" => "\u{1b}[1;31m",
        "WARN" => "\u{1b}[1;33m",
        "UNKNOWN" | "ASK" => "\u{1b}[1;35m",
        "OK" | "ok" => "\u{1b}[32m",
        _ => return None,
    })
}

/// Adds colours to a line and changes nothing else.
pub(super) fn painted(line: &str) -> String {
    let mut painted = String::with_capacity(line.len() + 16);
    let mut begins = true;
    for part in line.split_inclusive(' ') {
        let word = part.trim_end_matches(' ');
        match colour(word, begins) {
            Some(colour) => {
                painted.extend([colour, word, PLAIN, &part[word.len()..]]);
            }
            None => painted.push_str(part),
        }
        begins &= word.is_empty();
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_add_nothing_but_themselves() {
        for line in [
            "ERR  3 of 4 down",
            "  ✗ MOVE_FAILED  ha-1: no ERR here!",
            "  ├─ nova ● heard  ? unknown",
            "what is it?",
            "",
            "   ",
        ] {
            let rendered = painted(line);
            let bare = ["31", "32", "33", "35", "36", "1;31", "1;33", "1;35", "0"]
                .iter()
                .fold(rendered.clone(), |text, code| {
                    text.replace(&format!("\u{1b}[{code}m"), "")
                });
            assert_eq!(bare, line);
        }
        assert_eq!(painted("ERR  a"), "\u{1b}[1;31mERR\u{1b}[0m  a");
        assert_eq!(painted("  ✗ ERR"), "  \u{1b}[31m✗\u{1b}[0m ERR");
        assert_eq!(painted("what is it?"), "what is it?");
    }
}
