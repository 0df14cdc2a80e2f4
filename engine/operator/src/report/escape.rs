//! What others have named stays text, in a page and in Markdown.

use std::fmt::{Result, Write};

use askama::filters::{Escaper, Html};

use crate::plain;

/// HTML.
#[derive(Clone, Copy, Default)]
pub(crate) struct Page;

impl Escaper for Page {
    fn write_escaped_str<W: Write>(&self, dest: W, string: &str) -> Result {
        Html.write_escaped_str(dest, &plain(string))
    }
}

/// Markdown. A value is always inside of a line or of a cell of a table. What could begin a tag is an entity and not a character
/// behind a backslash: a wiki that passes HTML through may not read backslashes.
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
                // Names have such in their middle, where it marks nothing.
                '_' => !(before.is_alphanumeric() && next.is_alphanumeric()),
                // Some programs make links of addresses.
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

/// What a program that reads HTML could take for the beginning of a tag or of an entity.
fn entity(c: char) -> Option<&'static str> {
    match c {
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '&' => Some("&amp;"),
        _ => None,
    }
}

/// A command, between more backticks than it has in a row. In code an entity would be shown as it is written, so a command that
/// needs one is text.
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
