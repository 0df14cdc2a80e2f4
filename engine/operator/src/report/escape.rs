//! Escaping of names that others have chosen, so that they stay plain text in HTML and in Markdown.

use std::fmt::{Result, Write};

use askama::filters::{Escaper, Html};

use crate::plain;

/// The escaper for HTML.
#[derive(Clone, Copy, Default)]
pub(crate) struct Page;

impl Escaper for Page {
    fn write_escaped_str<W: Write>(&self, dest: W, string: &str) -> Result {
        Html.write_escaped_str(dest, &plain(string))
    }
}

/// The escaper for Markdown. A value is always within a line or a table cell. The start of a tag is written as an entity and not with a
/// backslash: a wiki that passes HTML through may not process backslashes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Markdown;

impl Escaper for Markdown {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> Result {
        let string = plain(string);
        let mut before = ' ';
        let mut rest = string.chars().peekable();
        while let Some(c) = rest.next() {
            if let Some(entity) = entity(c) {
                dest.write_str(entity)?;
                before = c;
                continue;
            }
            let next = rest.peek().copied().unwrap_or(' ');
            let marks = match c {
                '\\' | '`' | '*' | '[' | ']' | '|' | '~' | '!' | '@' | '#' => true,
                // Underscores within a word mark nothing, and names often contain them.
                '_' => !(before.is_alphanumeric() && next.is_alphanumeric()),
                // Some programs turn addresses into links.
                ':' => next == '/',
                '.' => string.to_ascii_lowercase().contains("www."),
                _ => false,
            };
            if marks {
                dest.write_char('\\')?;
            }
            dest.write_char(c)?;
            before = c;
        }
        Ok(())
    }
}

/// Returns the entity for a character that an HTML parser could take for the start of a tag or of an entity.
fn entity(c: char) -> Option<&'static str> {
    match c {
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '&' => Some("&amp;"),
        _ => None,
    }
}

/// Returns a command as inline code, between more backticks than it contains in a row. Code would show an entity literally, so a command
/// that needs one becomes plain text.
pub(crate) fn code(command: &str) -> String {
    let command = plain(command);
    if command.chars().any(|c| entity(c).is_some()) {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = Markdown.write_escaped_str(&mut text, &command);
        return text;
    }
    let longest = command
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    if longest == 0 {
        return format!("{fence}{command}{fence}");
    }
    format!("{fence} {command} {fence}")
}
