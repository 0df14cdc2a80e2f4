//! The table of hosts.

use ratatui_core::style::{Modifier, Style};
use tachi_domain::count;
use textwrap::core::display_width;

use super::super::region::{Host, Region, StatusMark};
use super::super::state::Mon;
use super::canvas::Canvas;
use crate::out::progress;

/// Positions of the columns of the hosts.
struct Columns {
    name: u16,
    flags: u16,
    nova: u16,
    fence: u16,
    /// The monitors, if they fit.
    monitors: Option<u16>,
    /// The first fence level, if all of them fit.
    levels: Option<u16>,
    count: u16,
    state: u16,
    /// True if Nova's state and fencing are symbols alone: the state of a host is worth more.
    narrow: bool,
}

/// Minimum width of a terminal that shows monitors, too.
pub(super) const WIDE: u16 = 100;

/// Minimum width of a terminal that has Nova's state and fencing in words.
const WORDS: u16 = 72;

/// Minimum width that is left for the state.
const STATE: u16 = 30;

/// Width of a fence level.
const LEVEL: u16 = 4;

impl Columns {
    fn of(region: &Region, width: u16) -> Self {
        let hosts = region.groups.iter().flat_map(|group| &group.hosts);
        let longest = hosts.map(|host| display_width(&host.shown)).max().unwrap_or(0);
        let most = usize::from(width / 4).max(12);
        let name = u16::try_from(longest.clamp(8, most)).unwrap_or(12);
        let flags = 1 + name + 1;
        let narrow = width < WORDS;
        let (nova_width, fence_width) = if narrow { (5, 8) } else { (14, 12) };
        let nova = flags + 6;
        let fence = nova + nova_width;
        let mut next = fence + fence_width;
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
            narrow,
        }
    }
}

/// Draws the hosts, each group below its title.
pub(super) fn matrix(mon: &mut Mon, pen: &mut Canvas, y: u16, end: u16) {
    // The filter is shown above the head of the table, and that line is used for nothing else.
    let filtered = !mon.filter.is_empty();
    let y = if filtered { y + 1 } else { y };
    if y + 2 > end {
        return;
    }
    let rows = mon.rows();
    let at = mon.at(&rows);
    let Some(region) = &mon.region else { return };
    // A title before each group takes a row, too: they are counted while the rows are drawn.
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
    if filtered {
        let text = format!("filter {:?}: {}", mon.filter, count(rows.len(), "host", "hosts"));
        pen.line(y - 1, &text, Style::new().add_modifier(Modifier::BOLD));
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
        let chosen = place == at && mon.finding_at().is_none();
        row(mon, pen, line, &columns, host, chosen);
        line += 1;
    }
    if rows.is_empty() && line < end {
        let text = if filtered {
            "no host contains these words (Esc shows all)"
        } else {
            "no hosts"
        };
        pen.line(line, text, Style::new());
    }
    mon.top = top;
    mon.fit = fit.saturating_sub(1).max(1);
}

/// Returns the first row for which the chosen row is within `fit` lines, titles included.
fn window(groups: &[usize], at: usize, before: usize, fit: usize) -> usize {
    let mut top = before.min(at).min(groups.len().saturating_sub(1));
    let lines = |top: usize| {
        let shown = &groups[top.min(groups.len())..groups.len().min(at + 1)];
        let titles = shown.chunk_by(|one, other| one == other).count();
        shown.len() + titles
    };
    // Each row takes one or two lines, so this number of steps is enough.
    if at - top >= fit {
        top = at + 1 - fit;
    }
    while top < at && lines(top) > fit {
        top += 1;
    }
    top
}

fn row(mon: &Mon, pen: &mut Canvas, y: u16, columns: &Columns, host: &Host, chosen: bool) {
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
    let sign = |pen: &mut Canvas, x: u16, sign: &StatusMark, room: u16| {
        let (tone, text) = sign.shown(old);
        let style = pen.style(tone);
        pen.put(x, y, &text, style, room)
    };
    // Only the symbol: what it is of is in the head above it.
    let symbol = |pen: &mut Canvas, x: u16, sign: &StatusMark| {
        let (tone, text) = sign.shown(old);
        let letter: String = text.chars().take(1).collect();
        let style = pen.style(tone);
        pen.put(x, y, &letter, style, 1);
    };
    if columns.narrow {
        symbol(pen, columns.nova, &host.nova);
        symbol(pen, columns.fence, &host.fence);
    } else {
        sign(pen, columns.nova, &host.nova, 13);
        sign(pen, columns.fence, &host.fence, 11);
    }
    if let Some(x) = columns.monitors {
        sign(pen, x, &host.monitors, 9);
    }
    if let Some(first) = columns.levels {
        for (x, level) in (first..).step_by(usize::from(LEVEL)).zip(&host.levels) {
            if let Some(level) = level {
                symbol(pen, x, level);
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
        let text = if columns.narrow {
            format!("{back}/{all} ")
        } else {
            format!("{} ", progress(back, all))
        };
        x = pen.put(x, y, &text, Style::new(), pen.width);
    }
    let room = pen.width.saturating_sub(x);
    sign(pen, x, &host.state, room);
}
