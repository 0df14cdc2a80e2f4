//! Tree of the region: the findings, its segments, and the services that keep them protected.

use std::collections::{BTreeMap, BTreeSet};

use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::recovery::Life;
use tachi_domain::situation::Protection;
use tachi_domain::{Timestamp, count};
use tachi_operator::when::ago;
use tachi_operator::{
    HostView, RegisteredView, SegmentView, SituationView, UnderwayView, counted, progress_of,
};

use super::common::host_is_out;
use super::findings;
use crate::out::{View, progress};

/// Limit of the hosts of a segment that are listed one by one, unless `--all-hosts` is given.
const HOSTS: usize = 10;

/// Returns the lines for people: findings and the commands to type; then the segments; then the services behind them.
pub(super) fn lines(situation: &SituationView, all_hosts: bool, view: &View) -> Vec<String> {
    let mut lines = vec![headline(situation, view)];
    lines.extend(waits(situation));
    lines.extend(findings::each(situation));
    lines.push(String::new());
    lines.extend(segments(situation, all_hosts));
    lines.push(String::new());
    lines.extend(services(situation));
    lines
}

/// Returns the grade and the counts, with the time of the data at the right.
fn headline(situation: &SituationView, view: &View) -> String {
    let grade = situation.grade.as_str().to_ascii_uppercase();
    let left = format!(
        "{grade}  {}",
        counted(situation.instances, situation.being_recovered())
    );
    let clock = view.clock(situation.at.0);
    let clock = match &situation.region {
        Some(region) => format!("{region} {clock}"),
        None => clock,
    };
    let right = format!("{clock}, {}", findings::looked(situation));
    let used = left.chars().count() + right.chars().count();
    let between = view.width.map_or(2, |width| width.saturating_sub(used).max(2));
    format!("{left}{}{right}", " ".repeat(between))
}

/// Joins the cells of each row, each as wide as the widest of its column.
fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn segments(situation: &SituationView, all_hosts: bool) -> Vec<String> {
    if situation.segments.is_empty() {
        return vec!["no segment is registered".to_owned()];
    }
    let judged: BTreeMap<&str, &HostView> = situation
        .hosts
        .iter()
        .map(|host| (host.name.as_str(), host))
        .collect();
    let head = ["segment", "method", "in service", "protected", "N+k", "recovery"].map(str::to_owned);
    let mut rows = vec![head];
    // The lines below each row.
    let mut below: Vec<Vec<String>> = vec![Vec::new()];
    for segment in &situation.segments {
        let mut running = running(situation, segment).into_iter();
        let method = segment.recovery_method.as_str();
        let disabled = if segment.enabled { "" } else { ", DISABLED" };
        let protected = segment.instances.map_or_else(
            || "?".to_owned(),
            |counts| format!("{}/{} inst", counts.protected, counts.included()),
        );
        rows.push([
            segment.name.clone(),
            format!("{method}{disabled}"),
            format!("{}/{}", segment.working, segment.hosts.len()),
            protected,
            situation.headroom_of(segment).unwrap_or_else(|| "?".to_owned()),
            running.next().unwrap_or_else(|| "-".to_owned()),
        ]);
        below.push(Vec::new());
        for another in running {
            let mut row: [String; 6] = std::array::from_fn(|_| String::new());
            row[5] = another;
            rows.push(row);
            below.push(Vec::new());
        }
        if let Some(last) = below.last_mut() {
            *last = hosts(situation, segment, &judged, all_hosts);
        }
    }
    let lines = columns(&rows).into_iter().zip(below);
    lines
        .flat_map(|(line, below)| std::iter::once(line).chain(below))
        .collect()
}

/// Returns the recoveries of a segment's hosts, in a few words each.
fn running(situation: &SituationView, segment: &SegmentView) -> Vec<String> {
    let hosts: BTreeSet<&str> = segment.hosts.iter().map(|host| host.name.as_str()).collect();
    let open = situation.recoveries.iter().filter(|row| row.life == Life::Open);
    let own = open.filter(|row| hosts.contains(row.host.as_str()));
    own.map(|row| {
        let id = row.id.to_string();
        let done = match row.moves.total {
            0 => String::new(),
            all => format!(" {}", progress(row.moves.succeeded, all)),
        };
        format!("{} {}{done}", id.get(..8).unwrap_or(&id), row.host)
    })
    .collect()
}

/// Returns the hosts of a segment that have notes; with `all_hosts` all of them, with their state.
fn hosts(
    situation: &SituationView,
    segment: &SegmentView,
    judged: &BTreeMap<&str, &HostView>,
    all_hosts: bool,
) -> Vec<String> {
    let note_text = segment.hosts.iter().filter_map(|host| {
        let note = note_with(situation, host, |row| short_message(situation, row));
        let how = || {
            judged
                .get(host.name.as_str())
                .and_then(|one| protection_note(one))
        };
        let note_text = match (note, all_hosts) {
            (Some(note), _) => Some(note),
            (None, true) => Some(how().unwrap_or_else(|| "protected".to_owned())),
            (None, false) => None,
        };
        note_text.map(|note_text| format!("{}: {note_text}", host.name))
    });
    let mut entries: Vec<String> = note_text.collect();
    let more = entries.len().saturating_sub(HOSTS);
    if more > 0 && !all_hosts {
        entries.truncate(HOSTS);
        entries.push(format!("and {more} more: tachi status {}", segment.name));
    }
    let last = entries.len().saturating_sub(1);
    let branch = |(place, entry): (usize, String)| {
        let branch = if place == last { "└─" } else { "├─" };
        format!("  {branch} {entry}")
    };
    entries.into_iter().enumerate().map(branch).collect()
}

/// Describes the services that protection depends on.
fn services(situation: &SituationView) -> Vec<String> {
    let now = situation.at.0;
    let mut lines = engines(situation, now);
    let levels = || situation.hosts.iter().flat_map(|host| &host.levels);
    if levels().next().is_some() {
        let good = levels().filter(|level| level.good).count();
        lines.push(format!(
            "devices    {good} of {} fence levels good",
            levels().count()
        ));
    }
    let queue = situation.queue.oldest_new.map_or_else(String::new, |at| {
        format!(", the oldest accepted {}", ago(at.0, now))
    });
    lines.push(format!("queue      {} new{queue}", situation.queue.new));
    let open = situation
        .recoveries
        .iter()
        .filter(|row| row.life == Life::Open)
        .count();
    lines.push(format!(
        "recoveries {open} open, {} not back yet",
        count(situation.recoveries.len() - open, "host", "hosts")
    ));
    lines.push(format!("fencing    {}", situation.fencing));
    lines.push(format!("database   {}", situation.database));
    lines.extend(findings::not_assessed(situation));
    lines
}

/// Returns the number of running engines and the state of their parts, with a line for each silent engine and each bad part.
fn engines(situation: &SituationView, now: Timestamp) -> Vec<String> {
    let alive = situation.engines.iter().filter(|engine| engine.alive).count();
    let Some(latest) = situation.engines.iter().map(|engine| engine.signed_at.0).max() else {
        return vec!["engines    none".to_owned()];
    };
    let parts = situation.parts().into_iter();
    let parts = parts.map(|(part, is_well)| format!("  {part} {}", if is_well { "●" } else { "✗" }));
    let mut lines = vec![format!(
        "engines    {} of {} running, last heartbeat {}{}",
        alive,
        situation.engines.len(),
        ago(latest, now),
        parts.collect::<String>()
    )];
    for engine in &situation.engines {
        let at = ago(engine.signed_at.0, now);
        if !engine.alive {
            lines.push(format!(
                "           {}: SILENT, last heartbeat {at}, version {}",
                engine.name, engine.version
            ));
            continue;
        }
        let unhealthy_parts = engine.unhealthy_parts();
        lines.extend(unhealthy_parts.map(|(part, how)| format!("           {}: {part} {how}", engine.name)));
    }
    lines
}

/// Returns the number of host failures that a segment tolerates, after a comma.
pub(crate) fn n_plus(situation: &SituationView, segment: &SegmentView) -> String {
    situation
        .headroom_of(segment)
        .map_or_else(String::new, |hosts| format!(", N+{hosts}"))
}

/// Counts what is down or on hold and waits for an operator; `None` if nothing does.
pub(super) fn waits(situation: &SituationView) -> Option<String> {
    let (on_hold, down) = (
        &situation.needs_person.recoveries,
        &situation.needs_person.instances,
    );
    let recoveries = count(on_hold.len(), "recovery is", "recoveries are");
    let instances = count(down.len(), "instance is", "instances are");
    match (down.is_empty(), on_hold.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!("ACTION NEEDED: {instances} down")),
        (true, false) => Some(format!("ACTION NEEDED: {recoveries} on hold")),
        (false, false) => Some(format!("ACTION NEEDED: {instances} down, {recoveries} on hold")),
    }
}

/// Returns the message of a recovery. The reason of a hold is above, with the finding.
fn short_message(situation: &SituationView, row: &UnderwayView) -> Option<String> {
    let mut on_hold = situation.needs_person.recoveries.iter();
    if on_hold.any(|one| one.recovery == row.id && one.is_about_host()) {
        Some("on hold".to_owned())
    } else {
        row.message.clone()
    }
}

fn state(row: &UnderwayView, message: Option<String>) -> String {
    let parts: Vec<String> = progress_of(row.kind, row.moves)
        .into_iter()
        .chain(message)
        .collect();
    if parts.is_empty() {
        "under way".into()
    } else {
        parts.join("; ")
    }
}

/// Returns the notes about a host.
pub(super) fn note(situation: &SituationView, view: &RegisteredView) -> Option<String> {
    note_with(situation, view, |row| row.message.clone())
}

fn note_with(
    situation: &SituationView,
    view: &RegisteredView,
    message: impl FnOnce(&UnderwayView) -> Option<String>,
) -> Option<String> {
    let mut notes = Vec::new();
    if view.reserved {
        notes.push("reserved".to_owned());
    }
    match view.life {
        Some(Life::Open) => {
            let of_it = situation
                .recoveries
                .iter()
                .find(|row| Some(row.id) == view.recovery);
            let state = of_it.map_or_else(|| "under way".into(), |row| state(row, message(row)));
            notes.push(format!("under recovery: {state}"));
        }
        Some(Life::Watching | Life::Closed) | None => {
            notes.extend(host_is_out(view).map(str::to_owned));
        }
    }
    if view.life == Some(Life::Watching) {
        let command = format!("(`tachi host return {}`)", view.name);
        match notes.last_mut() {
            // This note already says that the host is not back.
            Some(note) if view.why == Some(MaintenanceReason::Recovery) => {
                *note = format!("{note} {command}");
            }
            Some(_) | None => notes.push(format!("not back yet {command}")),
        }
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// Returns the state of a host without notes; `None` if it is protected.
fn protection_note(host: &HostView) -> Option<String> {
    let reasons: Vec<&str> = host.reasons.iter().map(|code| code.as_str()).collect();
    let is_well = host.protection == Protection::Protected;
    (!is_well).then(|| format!("{} ({})", host.protection, reasons.join(", ")))
}

#[cfg(test)]
mod tests {
    use tachi_domain::recovery::RecoveryKind;
    use tachi_domain::{HostId, NotificationId, RecoveryId, Timestamp, Wait, WaitsFor};
    use tachi_engine::ports::operator::{MoveCounts, RecoverySummary};
    use tachi_operator::RegionSnapshot;
    use uuid::Uuid;

    use super::super::common::tests::{engine, fine, host, judged};
    use super::*;

    fn bare(snapshot: &SituationView) -> View {
        View::bare(snapshot.at.0)
    }

    #[test]
    fn hosts_that_there_is_something_to_say_of_stand_below_their_segment() {
        let mut snapshot = fine();
        snapshot.tables.segments[0].hosts.push(host("r", true, None));
        let view = SituationView::from(&snapshot);
        let text = lines(&view, false, &bare(&view)).join("\n");
        assert!(text.contains("└─ r: reserved"), "{text}");
        assert!(!text.contains("a: "), "{text}");
        let text = lines(&view, true, &bare(&view)).join("\n");
        assert!(
            text.contains("├─ a: protected") && text.contains("└─ r: reserved"),
            "{text}"
        );
    }

    #[test]
    fn no_more_than_a_screen_of_hosts_is_told_one_by_one() {
        let mut snapshot = fine();
        let many = (0..40).map(|number| host(&format!("r{number:02}"), true, None));
        snapshot.tables.segments[0].hosts.extend(many);
        let view = SituationView::from(&snapshot);
        let text = lines(&view, false, &bare(&view)).join("\n");
        assert!(text.contains("├─ r09: reserved"), "{text}");
        assert!(text.contains("└─ and 30 more: tachi status all"), "{text}");
        let text = lines(&view, true, &bare(&view)).join("\n");
        assert!(text.contains("└─ r39: reserved"), "{text}");
    }

    /// Builds a region where half of a host's instances are back, and one needs an operator.
    fn night() -> RegionSnapshot {
        let mut snapshot = fine();
        let id = RecoveryId(Uuid::from_u128(9 << 96));
        snapshot.tables.recoveries.push(RecoverySummary {
            id,
            notification: NotificationId(Uuid::from_u128(8)),
            kind: RecoveryKind::Host,
            host: "a".into(),
            host_id: HostId(Uuid::from_u128(1)),
            segment: None,
            moves: MoveCounts {
                pending: 25,
                ongoing: 3,
                succeeded: 12,
                ..MoveCounts::default()
            },
            life: Life::Open,
            status: "running".into(),
            wait: Some(Wait::bare(WaitsFor::Alive, Timestamp::from_micros(1))),
            message: Some("any message".into()),
            owner: None,
            opened_at: Timestamp::from_micros(1),
            first_reported_at: Timestamp::from_micros(1),
        });
        snapshot.tables.segments[0].hosts[0] = host("a", false, Some(MaintenanceReason::Recovery));
        snapshot.tables.segments[0].hosts[0].recovery = Some((id, Life::Open));
        let silent = engine("e2", 700, &[("broker", "ok: connected")]);
        let unhealthy_parts = engine(
            "e3",
            2,
            &[("broker", "down: \"no route\""), ("nova", "ok: answered 2 s ago")],
        );
        snapshot.tables.engines.extend([silent, unhealthy_parts]);
        snapshot.situation = judged(&snapshot.tables);
        snapshot
    }

    #[test]
    fn a_host_that_is_not_back_is_called_so_once() {
        for (why, expected) in [
            (
                Some(MaintenanceReason::Recovery),
                "in maintenance: recovered, not yet returned to service (`tachi host return a`)",
            ),
            (
                Some(MaintenanceReason::Operator),
                "in maintenance, set by an operator; not back yet (`tachi host return a`)",
            ),
            (None, "not back yet (`tachi host return a`)"),
        ] {
            let mut snapshot = night();
            let one = &mut snapshot.tables.segments[0].hosts[0];
            *one = host("a", false, why);
            one.recovery = Some((RecoveryId(Uuid::from_u128(9)), Life::Watching));
            let view = SituationView::from(&snapshot);
            let shown = note(&view, &view.segments[0].hosts[0]);
            assert_eq!(shown.as_deref(), Some(expected), "{why:?}");
        }
    }

    /// Problems come first, each once, with the command to type below.
    #[test]
    fn a_recovery_is_told_with_its_progress_where_its_host_is() {
        let view = SituationView::from(&night());
        let text = lines(&view, false, &bare(&view)).join("\n");
        assert!(text.contains("00000009 a [██······] 12/40\n"), "{text}");
        assert!(text.contains("recoveries 1 open, 0 hosts not back yet"), "{text}");
        assert!(
            text.contains("✗ RECOVERY_HELD  a: the host was seen alive after its proof"),
            "{text}"
        );
        assert!(
            text.contains("\nACTION NEEDED: 1 recovery is on hold\n"),
            "{text}"
        );
        let approval = format!(
            "      -> tachi recovery approve a    # {}\n",
            tachi_operator::consequence::APPROVE
        );
        assert!(text.contains(&approval), "{text}");
        assert!(
            text.contains("      a: Nova: "),
            "what is known of the host: {text}"
        );
        assert_eq!(text.matches("seen alive after its proof").count(), 1, "{text}");
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["needs_person"]["recoveries"][0]["waits"]["for"], "alive");
        assert_eq!(json["recoveries"][0]["back"], 12);
        assert_eq!(json["segments"][0]["hosts"][0]["why"], "recovery");
        assert_eq!(json["fencing_mode"], "external");
        assert_eq!(json["findings"][0]["code"], "RECOVERY_HELD");
        assert_eq!(json["grade"], "err");
    }

    #[test]
    fn all_recoveries_on_hold_are_approved_at_once_only_if_the_same_guards_ask() {
        let mut view = SituationView::from(&night());
        let mut offers = |causes: [WaitsFor; 2]| {
            let mut all = vec![view.needs_person.recoveries[0].clone(); 2];
            for (one, cause) in all.iter_mut().zip(causes) {
                one.waits.as_mut().unwrap().what = cause;
            }
            view.needs_person.recoveries = all;
            lines(&view, false, &bare(&view))
                .join("\n")
                .contains("--all-held")
        };
        assert!(offers([WaitsFor::Approval; 2]));
        assert!(!offers([WaitsFor::Approval, WaitsFor::Alive]));
        assert!(!offers([WaitsFor::Alive; 2]), "each host has to be looked at");
    }

    #[test]
    fn status_fits_the_terminals_that_people_have() {
        let view = SituationView::from(&night());
        let mut rendered = String::new();
        for width in [80, 100, 160] {
            let at = View {
                width: Some(width),
                ..bare(&view)
            };
            let all = at.lines(&lines(&view, false, &at));
            for line in &all {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            rendered.extend(["--- ", &width.to_string(), "\n", &all.join("\n"), "\n"]);
        }
        insta::assert_snapshot!(rendered);
    }
}
