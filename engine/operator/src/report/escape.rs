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

/// Markdown. A value is always inside of a line or of a cell of a table.
#[derive(Clone, Copy, Default)]
pub(crate) struct Markdown;

impl Escaper for Markdown {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> Result {
        let string = plain(string);
        let mut before = ' ';
        let mut rest = string.chars().peekable();
        while let Some(c) = rest.next() {
            let next = rest.peek().copied().unwrap_or(' ');
            let marks = match c {
                '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '&' | '|' | '~' | '!' | '@' | '#' => true,
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

/// A command, between more backticks than it has in a row.
pub(crate) fn code(command: &str) -> String {
    let command = plain(command);
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
