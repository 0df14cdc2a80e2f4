//! Drawing of a frame, from the state alone. Each line is cut to the width, and colour never carries information alone.

use ratatui_core::buffer::Buffer;
use ratatui_core::style::{Modifier, Style};
use tachi_domain::situation::Severity;
use textwrap::core::display_width;

use super::feed::Subject;
use super::page::{Bar, Line};
use super::region::Tone;
use super::state::Mon;

mod boxes;
mod canvas;
mod hosts;

use canvas::Canvas;
use hosts::{WIDE, matrix};

/// Minimum size of a frame.
const MIN_SIZE: (u16, u16) = (40, 8);

/// Draws onto `buffer`, in its whole area.
pub(super) fn draw(mon: &mut Mon, buffer: &mut Buffer) {
    let area = buffer.area;
    let mut pen = Canvas {
        buffer,
        colours: mon.options.colours,
        width: area.width,
        height: area.height,
    };
    if area.width < MIN_SIZE.0 || area.height < MIN_SIZE.1 {
        let text = format!("tachi mon needs {} columns and {} rows", MIN_SIZE.0, MIN_SIZE.1);
        pen.put(0, 0, &text, Style::new(), area.width);
        return;
    }
    let mut y = head(mon, &mut pen);
    if let Some(alarm) = mon.alarm() {
        let style = pen.style(Tone::Bad).add_modifier(Modifier::BOLD);
        y = pen.wrapped(y, &alarm, style, 3);
    }
    let foot = area.height - 1;
    footer(mon, &mut pen, foot);
    if mon.view == Subject::Region {
        overview(mon, &mut pen, y, foot);
    } else {
        page(mon, &mut pen, y, foot);
    }
    if mon.helps {
        boxes::help(mon.options.read_only, &mut pen);
    }
    if let Some(dialogue) = &mon.dialogue {
        boxes::dialogue(dialogue, &mut pen);
    }
}

const fn tone(grade: Severity) -> Tone {
    match grade {
        Severity::Ok => Tone::Good,
        Severity::Info => Tone::Quiet,
        Severity::Warn => Tone::Warn,
        Severity::Unknown => Tone::Unknown,
        Severity::Err => Tone::Bad,
    }
}

/// Draws the region and the age of the data, then engines and their parts. Returns the next free line.
fn head(mon: &Mon, pen: &mut Canvas) -> u16 {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let x = pen.put(0, 0, "tachi mon  ", bold, pen.width);
    let Some(region) = &mon.region else {
        pen.put(x, 0, "loading", Style::new(), pen.width);
        return 1;
    };
    let old = mon.is_stale();
    let age = mon.age().map_or(0, |age| age.as_secs());
    let right = format!(" seen {age} s ago  {}", region.clock);
    let room = u16::try_from(display_width(&right)).unwrap_or(pen.width);
    let from = pen.width.saturating_sub(room);
    let (grade, label) = match region.grade {
        Severity::Ok | Severity::Info if old => (Tone::Unknown, "UNKNOWN".to_owned()),
        Severity::Ok | Severity::Info | Severity::Warn | Severity::Unknown | Severity::Err => {
            (tone(region.grade), region.grade.as_str().to_ascii_uppercase())
        }
    };
    let style = pen.style(grade).add_modifier(Modifier::BOLD);
    let was = if old { "was: " } else { "" };
    let x = pen.put(x, 0, &format!("{label}  "), style, from.saturating_sub(x));
    pen.put(
        x,
        0,
        &format!("{was}{}", region.sentence),
        Style::new(),
        from.saturating_sub(x),
    );
    let style = if old { pen.style(Tone::Bad) } else { Style::new() };
    pen.put(from, 0, &right, style, room);
    let mut x = 0;
    for sign in &region.engines {
        let (tone, text) = sign.shown(old);
        let style = pen.style(tone);
        x = pen.put(x, 1, &text, style, pen.width) + 2;
    }
    2
}

fn footer(mon: &Mon, pen: &mut Canvas, y: u16) {
    let reversed = Style::new().add_modifier(Modifier::REVERSED);
    if let Some(hint) = &mon.hint {
        pen.line(y, hint, pen.style(Tone::Warn).add_modifier(Modifier::BOLD));
        return;
    }
    if mon.is_filtering {
        let x = pen.put(0, y, &format!("/{}", mon.filter), Style::new(), pen.width);
        pen.put(x, y, " ", reversed, 1);
        return;
    }
    let acts = match (mon.options.read_only, pen.width >= WIDE) {
        (true, _) => "READ-ONLY  ",
        (false, true) => "f freeze  d drain  a approve  x abort  ",
        (false, false) => "f freeze  a approve  x abort  ",
    };
    let tab = if pen.width >= WIDE { "Tab findings  " } else { "" };
    let keys = if mon.view == Subject::Region {
        format!("⏎ open  {tab}/ filter  e show  {acts}: run  ? help  q quit")
    } else {
        format!("Esc back  e show  {acts}: run  ? help  q quit")
    };
    pen.line(y, &keys, Style::new().add_modifier(Modifier::DIM));
}

/// Draws findings, then the hosts, then the last events, as far as they fit.
fn overview(mon: &mut Mon, pen: &mut Canvas, mut y: u16, foot: u16) {
    let few = if pen.height < 30 { 3 } else { 6 };
    let Some(region) = &mon.region else { return };
    let at = mon.finding_at();
    let shown = region.findings.len().min(few);
    // The chosen finding is always among those that are shown.
    let first = at.map_or(0, |at| (at + 1).saturating_sub(shown));
    for (place, finding) in region.findings.iter().enumerate().skip(first).take(shown) {
        let chosen = at == Some(place);
        let style = pen.style(tone(finding.grade));
        let style = if chosen {
            style.add_modifier(Modifier::REVERSED)
        } else {
            style
        };
        pen.line(y, &finding.text, style);
        if chosen {
            pen.put(0, y, ">", style, 1);
        }
        y += 1;
    }
    if region.findings.len() > shown {
        let more = format!("  {} more: Tab, then ↓", region.findings.len() - shown);
        pen.line(y, &more, Style::new());
        y += 1;
    }
    let history = region.history.len().min(few);
    let end = foot.saturating_sub(u16::try_from(history).unwrap_or(0));
    if history > 0 {
        let first = region.history.len() - history;
        for (place, text) in region.history[first..].iter().enumerate() {
            pen.line(end + u16::try_from(place).unwrap_or(0), text, Style::new());
        }
    }
    let end = if history > 0 { end.saturating_sub(1) } else { end };
    if history > 0 {
        pen.rule(end, "last steps");
    }
    matrix(mon, pen, y, end);
}

fn page(mon: &mut Mon, pen: &mut Canvas, y: u16, foot: u16) {
    let Some(page) = &mon.page else {
        pen.line(y, "loading", Style::new());
        return;
    };
    pen.rule(y, &page.title);
    let mut lines: Vec<String> = Vec::new();
    let width = usize::from(pen.width);
    let options = textwrap::Options::new(width).subsequent_indent("      ");
    for line in &page.lines {
        match line {
            Line::Text(text) => lines.extend(textwrap::wrap(text, &options).iter().map(ToString::to_string)),
            Line::Bar(bar) => lines.push(drawn(bar, width)),
        }
    }
    let fit = usize::from(foot - y - 1);
    let most = lines.len().saturating_sub(fit);
    let scroll = mon.scroll.min(most);
    for (place, line) in lines.iter().skip(scroll).take(fit).enumerate() {
        let y = y + 1 + u16::try_from(place).unwrap_or(0);
        pen.line(y, line, Style::new());
    }
    mon.scroll = scroll;
}

/// `web-1  ● succeeded  |··███····|  2.5 s -> compute-002`
fn drawn(bar: &Bar, width: usize) -> String {
    let name = padded(&bar.name, (width / 5).clamp(8, 24));
    let state = padded(&bar.state, 11);
    let room = track_width(width);
    let column = |part: u32| usize::try_from(part).unwrap_or(1_000).min(1_000) * room / 1_000;
    let track: String = match bar.way {
        None => " ".repeat(room),
        Some((from, to)) => {
            let from = column(from).min(room - 1);
            let to = column(to).clamp(from + 1, room);
            format!(
                "{}{}{}",
                "·".repeat(from),
                "█".repeat(to - from),
                "·".repeat(room - to)
            )
        }
    };
    format!("{name} {state} |{track}| {}", bar.end)
}

/// Width of the track of a bar: the end of its line, `12.5 s -> compute-002`, fits behind it.
fn track_width(width: usize) -> usize {
    let narrow = width.saturating_sub(49).clamp(6, 16);
    width.saturating_sub(64).clamp(narrow, 60)
}

/// Pads or cuts a text to this number of columns.
fn padded(text: &str, columns: usize) -> String {
    let mut fitting = String::new();
    for letter in text.chars() {
        let with = display_width(&fitting) + display_width(letter.encode_utf8(&mut [0; 4]));
        if with > columns {
            break;
        }
        fitting.push(letter);
    }
    let blanks = columns.saturating_sub(display_width(&fitting));
    fitting.extend(std::iter::repeat_n(' ', blanks));
    fitting
}

/// Returns a frame as text.
pub(super) fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let (mut line, mut x) = (String::new(), 0);
        while x < buffer.area.width {
            let symbol = buffer.cell((x, y)).map_or(" ", |cell| cell.symbol());
            line.push_str(symbol);
            // A wide character takes the next cell, too.
            x += u16::try_from(display_width(symbol)).unwrap_or(1).max(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
