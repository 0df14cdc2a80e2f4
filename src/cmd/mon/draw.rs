//! A frame, out of the state alone. Each line is cut to the width, and nothing is told by colour alone.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};
use tachi_domain::count;
use tachi_domain::situation::Grade;
use textwrap::core::display_width;

use super::feed::Want;
use super::page::{Bar, Line};
use super::region::{Region, Sign, Tone};
use super::state::Mon;

mod boxes;

/// Below this nothing can be told.
const LEAST: (u16, u16) = (40, 8);

/// Draws onto `buffer`, as large as it is.
pub(super) fn draw(mon: &mut Mon, buffer: &mut Buffer) {
    let area = buffer.area;
    let mut pen = Pen {
        buffer,
        colours: mon.options.colours,
        width: area.width,
        height: area.height,
    };
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("tachi mon needs {} columns and {} rows", LEAST.0, LEAST.1);
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
    if mon.view == Want::Region {
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

/// Writes on a buffer.
struct Pen<'a> {
    buffer: &'a mut Buffer,
    colours: bool,
    width: u16,
    height: u16,
}

impl Pen<'_> {
    fn style(&self, tone: Tone) -> Style {
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

    /// Writes a text of at most `room` columns, and gives the column after it.
    fn put(&mut self, x: u16, y: u16, text: &str, style: Style, room: u16) -> u16 {
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

    fn line(&mut self, y: u16, text: &str, style: Style) {
        self.put(0, y, text, style, self.width);
    }

    /// In as many lines as it takes, up to `most`; gives the line after them.
    fn wrapped(&mut self, mut y: u16, text: &str, style: Style, most: usize) -> u16 {
        for line in textwrap::wrap(text, usize::from(self.width)).iter().take(most) {
            self.line(y, line, style);
            y += 1;
        }
        y
    }

    /// A line over the whole width with a title in it.
    fn rule(&mut self, y: u16, title: &str) {
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

    fn blank(&mut self, area: Rect) {
        for y in area.top()..area.bottom() {
            let spaces = " ".repeat(usize::from(area.width));
            self.buffer
                .set_stringn(area.x, y, spaces, usize::from(area.width), Style::reset());
        }
    }
}

const fn tone(grade: Grade) -> Tone {
    match grade {
        Grade::Ok => Tone::Good,
        Grade::Info => Tone::Quiet,
        Grade::Warn => Tone::Warn,
        Grade::Unknown => Tone::Unknown,
        Grade::Err => Tone::Bad,
    }
}

/// What it is about and how old; then engines and parts. Gives the line after them.
fn head(mon: &Mon, pen: &mut Pen) -> u16 {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let x = pen.put(0, 0, "tachi mon  ", bold, pen.width);
    let Some(region) = &mon.region else {
        pen.put(x, 0, "asking", Style::new(), pen.width);
        return 1;
    };
    let old = mon.is_stale();
    let age = mon.age().map_or(0, |age| age.as_secs());
    let right = format!(" seen {age} s ago  {}", region.clock);
    let room = u16::try_from(display_width(&right)).unwrap_or(pen.width);
    let from = pen.width.saturating_sub(room);
    let (grade, word) = match region.grade {
        Grade::Ok | Grade::Info if old => (Tone::Unknown, "UNKNOWN".to_owned()),
        Grade::Ok | Grade::Info | Grade::Warn | Grade::Unknown | Grade::Err => {
            (tone(region.grade), region.grade.as_str().to_ascii_uppercase())
        }
    };
    let style = pen.style(grade).add_modifier(Modifier::BOLD);
    let was = if old { "was: " } else { "" };
    let x = pen.put(x, 0, &format!("{word}  "), style, from.saturating_sub(x));
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

fn footer(mon: &Mon, pen: &mut Pen, y: u16) {
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
    let keys = if mon.view == Want::Region {
        format!("⏎ open  / filter  e explain  {acts}: run  ? help  q quit")
    } else {
        format!("Esc back  e explain  {acts}: run  ? help  q quit")
    };
    pen.line(y, &keys, Style::new().add_modifier(Modifier::DIM));
}

/// Findings, then the hosts, then what happened last, each as far as there is room.
fn overview(mon: &mut Mon, pen: &mut Pen, mut y: u16, foot: u16) {
    let few = if pen.height < 30 { 3 } else { 6 };
    let Some(region) = &mon.region else { return };
    let told = region.findings.len().min(few);
    for (grade, text) in &region.findings[..told] {
        pen.line(y, text, pen.style(tone(*grade)));
        y += 1;
    }
    if region.findings.len() > told {
        let more = format!("  {} more: tachi status", region.findings.len() - told);
        pen.line(y, &more, Style::new());
        y += 1;
    }
    let story = region.story.len().min(few);
    let end = foot.saturating_sub(u16::try_from(story).unwrap_or(0));
    if story > 0 {
        let first = region.story.len() - story;
        for (place, text) in region.story[first..].iter().enumerate() {
            pen.line(end + u16::try_from(place).unwrap_or(0), text, Style::new());
        }
    }
    let end = if story > 0 { end.saturating_sub(1) } else { end };
    if story > 0 {
        pen.rule(end, "last steps");
    }
    matrix(mon, pen, y, end);
}

/// Where the columns of the hosts begin.
struct Columns {
    name: u16,
    flags: u16,
    nova: u16,
    fence: u16,
    /// Only where there is room.
    monitors: Option<u16>,
    /// The first of the fence levels: only where there is room for all of them.
    levels: Option<u16>,
    count: u16,
    state: u16,
}

/// So wide a terminal shows monitors, too.
const WIDE: u16 = 100;

/// So much is left for the state.
const STATE: u16 = 30;

/// A fence level takes so much.
const LEVEL: u16 = 4;

impl Columns {
    fn of(region: &Region, width: u16) -> Self {
        let hosts = region.groups.iter().flat_map(|group| &group.hosts);
        let longest = hosts.map(|host| display_width(&host.shown)).max().unwrap_or(0);
        let most = usize::from(width / 4).max(12);
        let name = u16::try_from(longest.clamp(8, most)).unwrap_or(12);
        let flags = 1 + name + 1;
        let nova = flags + 6;
        let fence = nova + 14;
        let mut next = fence + 12;
        let monitors = (width >= WIDE).then_some(next);
        next += monitors.map_or(0, |_| 10);
        let number = u16::try_from(region.levels.len()).unwrap_or(u16::MAX);
        let all = number.saturating_mul(LEVEL);
        let fits = next.saturating_add(all).saturating_add(6 + STATE) <= width;
        let levels = (number > 0 && fits).then_some(next);
        next += levels.map_or(0, |_| all);
        Self {
            name,
            flags,
            nova,
            fence,
            monitors,
            levels,
            count: next,
            state: next + 6,
        }
    }
}

fn matrix(mon: &mut Mon, pen: &mut Pen, y: u16, end: u16) {
    if y + 2 > end {
        return;
    }
    let rows = mon.rows();
    let at = mon.at(&rows);
    let Some(region) = &mon.region else { return };
    // A title before each group takes a row, too: they are counted as the rows are walked.
    let fit = usize::from(end - y - 1);
    let top = window(
        &rows.iter().map(|(group, _)| *group).collect::<Vec<_>>(),
        at,
        mon.top,
        fit,
    );
    let columns = Columns::of(region, pen.width);
    let dim = Style::new().add_modifier(Modifier::DIM);
    for (x, title) in [
        (1, "host"),
        (columns.flags, "flags"),
        (columns.nova, "nova"),
        (columns.fence, "fencing"),
        (columns.count, "inst"),
        (columns.state, "state"),
    ] {
        pen.put(x, y, title, dim, pen.width);
    }
    if let Some(x) = columns.monitors {
        pen.put(x, y, "monitors", dim, pen.width);
    }
    if let Some(first) = columns.levels {
        for (x, number) in (first..).step_by(usize::from(LEVEL)).zip(&region.levels) {
            pen.put(x, y, &format!("L{number}"), dim, LEVEL - 1);
        }
    }
    let filtered = !mon.filter.is_empty();
    if filtered {
        let text = format!("filter {:?}: {}", mon.filter, count(rows.len(), "host", "hosts"));
        let room = u16::try_from(display_width(&text)).unwrap_or(pen.width);
        pen.put(pen.width.saturating_sub(room), y, &text, Style::new(), room);
    }
    let mut line = y + 1;
    let mut last = None;
    for (place, (group, host)) in rows.iter().enumerate().skip(top) {
        if last != Some(*group) {
            if line >= end {
                break;
            }
            pen.rule(line, &region.groups[*group].title);
            line += 1;
            last = Some(*group);
        }
        if line >= end {
            break;
        }
        let chosen = place == at;
        row(mon, pen, line, &columns, host, chosen);
        line += 1;
    }
    if rows.is_empty() && line < end {
        let text = if filtered {
            "no host has these words (Esc shows all)"
        } else {
            "no hosts"
        };
        pen.line(line, text, Style::new());
    }
    mon.top = top;
    mon.fit = fit.saturating_sub(1).max(1);
}

/// The first row so that the chosen one is within `fit` lines with the titles between.
fn window(groups: &[usize], at: usize, before: usize, fit: usize) -> usize {
    let mut top = before.min(at).min(groups.len().saturating_sub(1));
    let lines = |top: usize| {
        let shown = &groups[top.min(groups.len())..groups.len().min(at + 1)];
        let titles = shown.chunk_by(|one, other| one == other).count();
        shown.len() + titles
    };
    // Each row is one line or two, so this many steps are enough.
    if at - top >= fit {
        top = at + 1 - fit;
    }
    while top < at && lines(top) > fit {
        top += 1;
    }
    top
}

fn row(mon: &Mon, pen: &mut Pen, y: u16, columns: &Columns, host: &super::region::Host, chosen: bool) {
    let old = mon.is_stale();
    let base = if chosen {
        Style::new().add_modifier(Modifier::REVERSED)
    } else {
        Style::new()
    };
    if chosen {
        pen.put(0, y, ">", base, 1);
    }
    pen.put(1, y, &host.shown, base, columns.name);
    pen.put(columns.flags, y, &host.flags, Style::new(), 5);
    let sign = |pen: &mut Pen, x: u16, sign: &Sign, room: u16| {
        let (tone, text) = sign.shown(old);
        let style = pen.style(tone);
        pen.put(x, y, &text, style, room)
    };
    sign(pen, columns.nova, &host.nova, 13);
    sign(pen, columns.fence, &host.fence, 11);
    if let Some(x) = columns.monitors {
        sign(pen, x, &host.monitors, 9);
    }
    if let Some(first) = columns.levels {
        for (x, level) in (first..).step_by(usize::from(LEVEL)).zip(&host.levels) {
            // The sign alone: the number stands above it.
            if let Some(level) = level {
                let (tone, text) = level.shown(old);
                let letter: String = text.chars().take(1).collect();
                let style = pen.style(tone);
                pen.put(x, y, &letter, style, 1);
            }
        }
    }
    pen.put(
        columns.count,
        y,
        &format!("{:>4}", host.instances),
        Style::new(),
        5,
    );
    let mut x = columns.state;
    if let Some((back, all)) = host.back {
        x = pen.put(
            x,
            y,
            &format!("{} ", progress(back, all)),
            Style::new(),
            pen.width,
        );
    }
    let room = pen.width.saturating_sub(x);
    sign(pen, x, &host.state, room);
}

/// `[███·····] 12/40`
pub(in crate::cmd) fn progress(back: u64, all: u64) -> String {
    let full = usize::try_from(back.saturating_mul(8) / all.max(1))
        .unwrap_or(8)
        .min(8);
    format!("[{}{}] {back}/{all}", "█".repeat(full), "·".repeat(8 - full))
}

fn page(mon: &mut Mon, pen: &mut Pen, y: u16, foot: u16) {
    let Some(page) = &mon.page else {
        pen.line(y, "asking", Style::new());
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
    let room = (width.saturating_sub(64)).clamp(16, 60);
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

/// A text in just so many columns.
fn padded(text: &str, columns: usize) -> String {
    let mut kept = String::new();
    for letter in text.chars() {
        let with = display_width(&kept) + display_width(letter.encode_utf8(&mut [0; 4]));
        if with > columns {
            break;
        }
        kept.push(letter);
    }
    let blanks = columns.saturating_sub(display_width(&kept));
    kept.extend(std::iter::repeat_n(' ', blanks));
    kept
}

/// A frame as text.
pub(super) fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let (mut line, mut x) = (String::new(), 0);
        while x < buffer.area.width {
            let symbol = buffer.cell((x, y)).map_or(" ", |cell| cell.symbol());
            line.push_str(symbol);
            // What is wide has the cell after it, too.
            x += u16::try_from(display_width(symbol)).unwrap_or(1).max(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
