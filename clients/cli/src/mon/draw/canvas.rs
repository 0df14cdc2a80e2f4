//! Writer of texts to the cells of a frame, cut to its width.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};
use textwrap::core::display_width;

use super::super::region::Tone;

/// A writer to a buffer.
pub(super) struct Canvas<'a> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) colours: bool,
    pub(super) width: u16,
    pub(super) height: u16,
}

impl Canvas<'_> {
    pub(super) fn style(&self, tone: Tone) -> Style {
        let colour = match tone {
            Tone::Good => Color::Green,
            Tone::Quiet => return Style::new(),
            Tone::Busy => Color::Cyan,
            Tone::Warn => Color::Yellow,
            Tone::Unknown => Color::Magenta,
            Tone::Bad => Color::Red,
        };
        if self.colours {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    /// Writes a text of at most `room` columns, and returns the next free column.
    pub(super) fn put(&mut self, x: u16, y: u16, text: &str, style: Style, room: u16) -> u16 {
        if y >= self.height || x >= self.width {
            return x;
        }
        let room = room.min(self.width - x);
        if display_width(text) <= usize::from(room) {
            return self.buffer.set_stringn(x, y, text, usize::from(room), style).0;
        }
        let (end, _) = self
            .buffer
            .set_stringn(x, y, text, usize::from(room.saturating_sub(1)), style);
        self.buffer.set_stringn(end, y, "…", 1, style).0
    }

    pub(super) fn line(&mut self, y: u16, text: &str, style: Style) {
        self.put(0, y, text, style, self.width);
    }

    /// Writes a text wrapped into at most `most` lines; returns the next free line.
    pub(super) fn wrapped(&mut self, mut y: u16, text: &str, style: Style, most: usize) -> u16 {
        for line in textwrap::wrap(text, usize::from(self.width)).iter().take(most) {
            self.line(y, line, style);
            y += 1;
        }
        y
    }

    /// Draws a line over the whole width with a title in it.
    pub(super) fn rule(&mut self, y: u16, title: &str) {
        self.line(y, &"─".repeat(usize::from(self.width)), Style::new());
        let title = format!(" {title} ");
        self.put(
            1,
            y,
            &title,
            Style::new().add_modifier(Modifier::BOLD),
            self.width.saturating_sub(2),
        );
    }

    pub(super) fn blank(&mut self, area: Rect) {
        for y in area.top()..area.bottom() {
            let spaces = " ".repeat(usize::from(area.width));
            self.buffer
                .set_stringn(area.x, y, spaces, usize::from(area.width), Style::reset());
        }
    }
}
