//! Boxes over a frame: the keys, and a dialogue.

use ratatui_core::layout::Rect;
use ratatui_core::style::{Modifier, Style};

use super::super::dialogue::{Dialogue, Stage};
use super::super::region::Tone;
use super::canvas::Canvas;
use crate::out::plain;

/// Draws a frame in the middle that fits `lines`; returns its inner area.
fn framed(pen: &mut Canvas, title: &str, lines: usize) -> Rect {
    let width = pen.width.saturating_sub(4).min(100);
    let needed = u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(2);
    let height = needed.min(pen.height);
    let area = Rect {
        x: (pen.width - width) / 2,
        y: (pen.height - height) / 2,
        width,
        height,
    };
    pen.blank(area);
    let bar = "─".repeat(usize::from(width.saturating_sub(2)));
    let bottom = area.bottom() - 1;
    pen.put(area.x, area.y, &format!("┌{bar}┐"), Style::new(), width);
    pen.put(area.x, bottom, &format!("└{bar}┘"), Style::new(), width);
    for y in area.y + 1..bottom {
        pen.put(area.x, y, "│", Style::new(), 1);
        pen.put(area.right() - 1, y, "│", Style::new(), 1);
    }
    let bold = Style::new().add_modifier(Modifier::BOLD);
    pen.put(
        area.x + 2,
        area.y,
        &format!(" {title} "),
        bold,
        width.saturating_sub(4),
    );
    Rect {
        x: area.x + 2,
        y: area.y + 1,
        width: width.saturating_sub(4),
        height: height.saturating_sub(2),
    }
}

const KEYS: &[(&str, &str)] = &[
    ("↑ ↓ PgUp PgDn Home End, k j", "choose a host, or scroll"),
    ("Enter", "open the recovery of the host, or else the host"),
    ("Tab", "choose among the findings, or among the hosts again"),
    ("h", "open the host"),
    ("e", "why it is protected or not, and what to type"),
    ("/", "only hosts whose row or segment contains these words"),
    ("Esc", "back; or show all hosts again"),
    ("f", "freeze the host"),
    ("a", "approve its recovery, which waits for an operator"),
    ("x", "abort its recovery"),
    ("d", "drain the host: empty it by live migrations"),
    ("v", "how to confirm that the host is off"),
    (":", "type a command of tachi"),
    ("q, Ctrl-C", "quit"),
];

const SYMBOLS: &[(&str, &str)] = &[
    (
        "● good  ! warning  ✗ bad",
        "? unknown  … in progress  · not applicable",
    ),
    (
        "flags R F M P N",
        "recovery, frozen, maintenance, needs an operator, excluded",
    ),
];

pub(super) fn help(read_only: bool, pen: &mut Canvas) {
    let acts = |key: &str| ["f", "a", "x", "d", "v"].contains(&key);
    let keys = KEYS.iter().filter(|(key, _)| !(read_only && acts(key)));
    let rows: Vec<&(&str, &str)> = keys.chain(SYMBOLS).collect();
    let inside = framed(pen, "keys", rows.len());
    for (y, (key, what)) in (inside.y..inside.bottom()).zip(rows) {
        pen.put(inside.x, y, key, Style::new().add_modifier(Modifier::BOLD), 28);
        pen.put(
            inside.x + 29,
            y,
            what,
            Style::new(),
            inside.width.saturating_sub(29),
        );
    }
}

pub(super) fn dialogue(one: &Dialogue, pen: &mut Canvas) {
    let width = usize::from(pen.width.saturating_sub(8).min(96));
    let wrap = |text: &str| -> Vec<String> {
        let lines = textwrap::wrap(text, width);
        lines.iter().map(ToString::to_string).collect()
    };
    let plainly = Style::new();
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut lines: Vec<(String, Style)> = Vec::new();
    let bad = pen.style(Tone::Bad).add_modifier(Modifier::BOLD);
    lines.extend(wrap(&plain(&one.what)).into_iter().map(|line| (line, plainly)));
    lines.push((String::new(), plainly));
    lines.extend(wrap(&plain(&one.typed())).into_iter().map(|line| (line, bold)));
    lines.push((String::new(), plainly));
    match &one.stage {
        Stage::Asking => {
            for (place, field) in one.fields.iter().enumerate() {
                let is_current = place == one.at;
                let (sign, cursor) = if is_current { (">", "_") } else { (" ", "") };
                let text = format!("{sign} {:<7} {}{cursor}", field.label, plain(&field.text));
                lines.push((text, if is_current { bold } else { plainly }));
            }
            lines.extend(one.fault.iter().map(|fault| (format!("✗ {}", plain(fault)), bad)));
            let keys = if one.fields.is_empty() {
                "Esc closes"
            } else {
                "Enter goes to the next line, and on the last line runs it; Esc cancels"
            };
            lines.extend(wrap(keys).into_iter().map(|line| (line, plainly)));
        }
        Stage::Running => lines.push(("… running".to_owned(), bold)),
        Stage::Over(output) => {
            for line in output {
                lines.extend(wrap(&plain(line)).into_iter().map(|line| (line, plainly)));
            }
            lines.push(("Enter closes".to_owned(), plainly));
        }
    }
    let inside = framed(pen, "command", lines.len());
    // If not all lines fit, the first ones are cut: question and answer are at the end.
    let first = lines.len().saturating_sub(usize::from(inside.height));
    for (place, (line, style)) in lines.iter().skip(first).enumerate() {
        let y = inside.y + u16::try_from(place).unwrap_or(0);
        pen.put(inside.x, y, line, *style, inside.width);
    }
}
