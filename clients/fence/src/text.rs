//! Remote text made fit for one line of a log.

/// Longest remote text that is kept, in characters.
const LIMIT: usize = 400;

/// One line without control characters, cut at a limit, with `secret` blotted out.
pub(crate) fn one_line(text: &str, secret: &str) -> String {
    let clean = if secret.is_empty() {
        text.to_owned()
    } else {
        text.replace(secret, "***")
    };
    let clean: String = clean
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let joined = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if joined.chars().count() <= LIMIT {
        return joined;
    }
    joined.chars().take(LIMIT).chain("...".chars()).collect()
}

/// An error and everything below it.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        below = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_short_clean_and_without_the_secret() {
        assert_eq!(one_line("a\r\nFAKE log\tline \u{7}", ""), "a FAKE log line");
        assert_eq!(
            one_line("key hunter2 was refused", "hunter2"),
            "key *** was refused"
        );
        assert_eq!(one_line(&"é".repeat(5000), "").chars().count(), LIMIT + 3);
    }
}
