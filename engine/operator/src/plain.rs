//! Display of names and texts that others have chosen.

/// Returns the text with control and invisible characters written as escapes, such as `\u{1b}`.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        // Direction marks, line separators and zero-width characters, beside the control characters.
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || hidden {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Returns the reasons of guards, separated by semicolons, without the explanations after a colon that an earlier reason has already. Each
/// reason is complete by itself, and several guards against mass failures give the same explanation.
pub fn without_repeats(reasons: &str) -> String {
    let mut shown = String::with_capacity(reasons.len());
    for (place, reason) in reasons.split("; ").enumerate() {
        if place > 0 {
            shown.push_str("; ");
        }
        let is_guard = reason.starts_with('G') && reason.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        let Some((before, why)) = reason.rsplit_once(": ").filter(|_| is_guard) else {
            shown.push_str(reason);
            continue;
        };
        // The whole list may be in parentheses, which end here.
        let is_last = why.matches(')').count() > why.matches('(').count();
        let (why, end) = match why.strip_suffix(')') {
            Some(why) if is_last => (why, ")"),
            Some(_) | None => (why, ""),
        };
        if shown.contains(&format!(": {why}")) {
            shown.push_str(before);
            shown.push_str(end);
        } else {
            shown.push_str(reason);
        }
    }
    shown
}

/// Checks an operator's reason, which is stored and shown in one line.
///
/// # Errors
///
/// The reason contains a control character or is too long; for people.
pub(crate) fn check_reason(reason: &str, most: usize) -> Result<(), String> {
    if let Some(c) = reason.chars().find(|c| c.is_control()) {
        return Err(format!(
            "it contains the control character {}: write one line of text",
            c.escape_default()
        ));
    }
    if reason.len() > most {
        return Err(format!("it has {} bytes: write at most {most}", reason.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_that_two_guards_share_is_shown_once() {
        let why = "a switch or a rack may have failed, not the hosts";
        for (reasons, expected) in [
            (
                format!(
                    "on hold: G4 segment: 2 of 5 hosts: {why} (out of service: a, b); G5 global: 2 of 5 hosts: {why}; G11 protected: it is listed"
                ),
                format!(
                    "on hold: G4 segment: 2 of 5 hosts: {why} (out of service: a, b); G5 global: 2 of 5 hosts; G11 protected: it is listed"
                ),
            ),
            (
                format!("G5 global: 2 of 5 hosts: {why}; G7 cliff: 3 of 5: {why}"),
                format!("G5 global: 2 of 5 hosts: {why}; G7 cliff: 3 of 5"),
            ),
            (
                format!(
                    "on hold: rack r7: 2 of 2 hosts lost (G4 segment: 2 of 5: {why} (out of service: a, b); G5 global: 2 of 5: {why})"
                ),
                format!(
                    "on hold: rack r7: 2 of 2 hosts lost (G4 segment: 2 of 5: {why} (out of service: a, b); G5 global: 2 of 5)"
                ),
            ),
            // Two devices may fail for the same reason.
            (
                "bmc: maas: no answer; pdu: maas: no answer".to_owned(),
                "bmc: maas: no answer; pdu: maas: no answer".to_owned(),
            ),
            ("one; two".to_owned(), "one; two".to_owned()),
            ("one; ".to_owned(), "one; ".to_owned()),
            (String::new(), String::new()),
        ] {
            assert_eq!(without_repeats(&reasons), expected);
        }
    }
}
