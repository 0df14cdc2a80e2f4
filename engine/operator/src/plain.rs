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
