//! The timeline of a recovery: a line for each task with the proofs between, and one for each instance.

use std::collections::BTreeMap;

use askama::Template;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::recovery::Life;
use tachi_operator::{InstanceView, RecoveryHistoryView};

use super::fragments::span;

/// Maximum number of instances in the timeline. More would be unreadable, and the table below the timeline lists all.
const MAX_BARS: usize = 150;
/// Height of a line, in pixels.
const ROW_HEIGHT_PX: i64 = 32;
/// Space left of the first time, and space on both sides together, in pixels.
const LEFT_MARGIN_PX: i64 = 10;
const SIDE_MARGINS_PX: i64 = 50;
/// Approximate width of a letter, and of a time on the axis, in pixels.
const LETTER_WIDTH_PX: i64 = 7;
const TICK_WIDTH_PX: i64 = 130;

/// A line, in milliseconds of Unix time; `to` is `None` while the work is in progress.
struct Lane {
    label: String,
    kind: &'static str,
    from: i64,
    to: Option<i64>,
}

/// A line as drawn, in pixels.
struct Bar {
    label: String,
    /// The tooltip, with the times.
    title: String,
    kind: &'static str,
    x: i64,
    y: i64,
    width: i64,
    /// The position of the label's start, or of its end if the label is at the right.
    at: i64,
    at_right: bool,
}

/// The timeline.
#[derive(Template)]
#[template(path = "timeline.html")]
pub(super) struct Timeline {
    width: i64,
    height: i64,
    lasts: String,
    /// The positions and texts of the times on the axis.
    ticks: Vec<(i64, String)>,
    bars: Vec<Bar>,
}

impl Timeline {
    /// Lays out the timeline of a recovery, `width` pixels wide.
    pub(super) fn of(history: &RecoveryHistoryView, width: u16) -> Option<Self> {
        let lanes = lanes(history);
        let millis = |micros: i64| micros / 1_000;
        let opened = millis(history.summary.opened_at.0.micros());
        let begin = lanes.iter().map(|lane| lane.from).min()?.min(opened);
        let now = match history.summary.life {
            Life::Open => {
                begin.saturating_add(i64::try_from(history.elapsed_seconds).ok()?.saturating_mul(1_000))
            }
            Life::Watching | Life::Closed => begin,
        };
        let ends = lanes.iter().map(|lane| lane.to.unwrap_or(lane.from)).max()?;
        let end = ends.max(now).max(begin + 1_000);
        let width = i64::from(width.clamp(300, 1_150));
        let x = |at: i64| LEFT_MARGIN_PX + (at - begin) * (width - SIDE_MARGINS_PX) / (end - begin);
        let label = |at: i64| {
            let after = at - begin;
            if end - begin < 20_000 {
                format!("{}.{} s", after / 1_000, after % 1_000 / 100)
            } else {
                span(u64::try_from(after / 1_000).unwrap_or_default())
            }
        };
        let parts = (width / TICK_WIDTH_PX).clamp(2, 8);
        let ticks = (0..=parts).map(|part| begin + (end - begin) * part / parts);
        let bars = (0..).zip(&lanes).map(|(place, lane): (i64, &Lane)| {
            let (from, to) = (x(lane.from), x(lane.to.unwrap_or(end)));
            let long = (to - from).max(4);
            let at_right = from > width / 2;
            let room = if at_right { from + long } else { width - from };
            Bar {
                label: truncate(
                    &lane.label,
                    usize::try_from(room / LETTER_WIDTH_PX)
                        .unwrap_or_default()
                        .max(12),
                ),
                title: match lane.to {
                    Some(to) => format!("{}: from {} to {}", lane.label, label(lane.from), label(to)),
                    None => format!("{}: from {}, under way", lane.label, label(lane.from)),
                },
                kind: lane.kind,
                x: from,
                y: 24 + place * ROW_HEIGHT_PX,
                width: long,
                at: if at_right { from + long } else { from },
                at_right,
            }
        });
        Some(Self {
            width,
            height: i64::try_from(lanes.len()).ok()? * ROW_HEIGHT_PX + 34,
            lasts: span(u64::try_from((end - begin) / 1_000).unwrap_or_default()),
            ticks: ticks.map(|at| (x(at), label(at))).collect(),
            bars: bars.collect(),
        })
    }
}

fn lanes(history: &RecoveryHistoryView) -> Vec<Lane> {
    let millis = |at: &tachi_operator::Time| at.0.micros() / 1_000;
    let mut tasks: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for step in &history.steps {
        let at = millis(&step.at);
        let (from, to) = tasks.entry(&step.task).or_insert((at, at));
        (*from, *to) = ((*from).min(at), (*to).max(at));
    }
    let tasks = tasks.into_iter().map(|(task, (from, to))| Lane {
        label: task.replace('_', " "),
        kind: "",
        from,
        to: Some(to),
    });
    let proofs = history.proofs.iter().map(|one| Lane {
        label: format!("◆ proof {}: {}", one.number, one.from),
        kind: "proof",
        from: millis(&one.at),
        to: Some(millis(&one.at)),
    });
    let moves = history.instances.iter().filter_map(|instance| {
        let (sign, kind) = outcome(instance);
        let to = instance
            .to
            .as_ref()
            .map_or(String::new(), |to| format!(" → {to}"));
        Some(Lane {
            label: format!("{sign} {}{to}", instance.name),
            kind,
            from: millis(instance.asked_at.as_ref()?),
            to: instance.over_at.as_ref().map(millis),
        })
    });
    let mut all: Vec<Lane> = tasks.chain(proofs).chain(moves.take(MAX_BARS)).collect();
    all.sort_by_key(|lane| lane.from);
    all
}

const fn outcome(instance: &InstanceView) -> (&'static str, &'static str) {
    match instance.status {
        Some(VmoveStatus::Succeeded) => ("●", "ok"),
        Some(VmoveStatus::Failed) => ("✗", "err"),
        Some(VmoveStatus::Pending | VmoveStatus::Ongoing | VmoveStatus::Ignored) | None => ("…", "busy"),
    }
}

/// Shortens a text to at most `most` characters.
fn truncate(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let shortened: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{shortened}…")
}
