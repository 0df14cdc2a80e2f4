//! What was seen, as a tree.

use std::collections::BTreeMap;

use tachi_domain::count;
use tachi_domain::recovery::Life;
use tachi_domain::situation::Protection;
use tachi_operator::waits::explained;
use tachi_operator::{
    HostView, RegisteredView, SegmentView, SituationView, UnderwayView, WaitView, progress_of,
};

use super::super::when::ago;
use super::findings;
use super::seen::{host_is_out, instances};

/// Lines for people; hosts there is nothing to say of are counted only, unless `all_hosts`.
pub(super) fn lines(seen: &SituationView, all_hosts: bool) -> Vec<String> {
    let mut lines = for_a_person(seen);
    lines.push(format!("fencing    {}", seen.fencing));
    lines.push(format!("database   {}", seen.database));
    if seen.engines.is_empty() {
        lines.push("engines    none".into());
    }
    for (place, line) in seen.engines.iter().enumerate() {
        let head = if place == 0 { "engines    " } else { "           " };
        let silent = if line.alive { "" } else { "SILENT, " };
        let facts: Vec<String> = line
            .facts
            .iter()
            .map(|(part, how)| format!("; {part} {how}"))
            .collect();
        lines.push(format!(
            "{head}{}: {silent}signed {}, version {}{}",
            line.name,
            ago(line.signed_at.0, seen.at.0),
            line.version,
            facts.concat()
        ));
    }
    let open = seen.recoveries.iter().filter(|row| row.life == Life::Open);
    let (open, all) = (open.count(), seen.recoveries.len());
    lines.push(format!(
        "recoveries {open} open, {} return",
        count(all - open, "host watched for its", "hosts watched for their")
    ));
    for row in seen.recoveries.iter().filter(|row| row.life == Life::Open) {
        lines.push(format!("  {} {}: {}", row.id, row.host, state(row)));
    }
    let judged: BTreeMap<&str, &HostView> =
        seen.hosts.iter().map(|host| (host.name.as_str(), host)).collect();
    for view in &seen.segments {
        let disabled = if view.enabled { "" } else { ", DISABLED" };
        lines.push(format!(
            "segment {} ({}{disabled}, {}{})",
            view.name,
            view.recovery_method,
            count(view.hosts.len(), "host", "hosts"),
            n_plus(seen, view)
        ));
        let shown: Vec<String> = view
            .hosts
            .iter()
            .filter_map(
                |host| match note(seen, host).or_else(|| standing(judged.get(host.name.as_str())?)) {
                    Some(note) => Some(format!("{}: {note}", host.name)),
                    None => all_hosts.then(|| format!("{}: protected", host.name)),
                },
            )
            .collect();
        let quiet = view.hosts.len() - shown.len();
        let more = (quiet > 0).then(|| format!("{} with nothing to say of", count(quiet, "host", "hosts")));
        let entries: Vec<String> = shown.into_iter().chain(more).collect();
        for (place, entry) in entries.iter().enumerate() {
            let branch = if place + 1 == entries.len() {
                "└─"
            } else {
                "├─"
            };
            lines.push(format!("  {branch} {entry}"));
        }
    }
    lines.extend(findings::lines(seen));
    lines
}

/// How many hosts of a segment may be lost, after a comma.
pub(in crate::cmd) fn n_plus(seen: &SituationView, segment: &SegmentView) -> String {
    seen.headroom_of(segment)
        .map_or_else(String::new, |hosts| format!(", N+{hosts}"))
}

/// So many instances are told one by one.
const TOLD: usize = 10;

/// What is down or held until somebody sees to it, and what to type: said first.
pub(super) fn for_a_person(seen: &SituationView) -> Vec<String> {
    let (held, down) = (&seen.needs_person.recoveries, &seen.needs_person.instances);
    if held.is_empty() && down.is_empty() {
        return Vec::new();
    }
    let recoveries = count(held.len(), "recovery is", "recoveries are");
    let waits = |wait: &Option<WaitView>| {
        let wait = wait.as_ref().map(|wait| wait.sentence(seen.at.0));
        wait.unwrap_or_default()
    };
    let down_ones = count(down.len(), "instance is", "instances are");
    let mut lines = vec![match (down.is_empty(), held.is_empty()) {
        (false, true) => format!("WAITS FOR YOU: {down_ones} down"),
        (true, _) => format!("WAITS FOR YOU: {recoveries} held"),
        (false, false) => format!("WAITS FOR YOU: {down_ones} down, {recoveries} held"),
    }];
    for one in down.iter().take(TOLD) {
        lines.push(format!(
            "  - instance {} of {}: {}",
            one.name,
            one.host,
            waits(&one.waits)
        ));
        let ways = one.commands.iter().map(|way| explained(way));
        lines.extend(ways.map(|way| format!("      {way}")));
    }
    if down.len() > TOLD {
        let more = instances(down.len() - TOLD);
        lines.push(format!("  - and {more} more: tachi vmove list --needs-person"));
    }
    for one in held {
        lines.push(format!(
            "  - recovery {} of {}: {}",
            one.recovery,
            one.host,
            waits(&one.waits)
        ));
        lines.extend(one.commands.iter().map(|way| format!("      {way}")));
    }
    lines
}

fn state(row: &UnderwayView) -> String {
    let message = row.message.clone();
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

/// What there is to say of a host.
pub(super) fn note(seen: &SituationView, view: &RegisteredView) -> Option<String> {
    let mut notes = Vec::new();
    if view.reserved {
        notes.push("reserved".to_owned());
    }
    match view.life {
        Some(Life::Open) => {
            let of_it = seen.recoveries.iter().find(|row| Some(row.id) == view.recovery);
            let state = of_it.map_or_else(|| "under way".into(), state);
            notes.push(format!("under recovery: {state}"));
        }
        Some(Life::Watching | Life::Closed) | None => {
            notes.extend(host_is_out(view).map(str::to_owned));
        }
    }
    if view.life == Some(Life::Watching) {
        notes.push(format!(
            "watched for its return (`tachi host return {}`)",
            view.name
        ));
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// How a host stands of which there is nothing else to say; `None` if it is well.
fn standing(host: &HostView) -> Option<String> {
    let reasons: Vec<&str> = host.reasons.iter().map(|code| code.as_str()).collect();
    let is_well = host.protection == Protection::Protected;
    (!is_well).then(|| format!("{} ({})", host.protection, reasons.join(", ")))
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::host::MaintenanceReason;
    use tachi_domain::recovery::RecoveryKind;
    use tachi_domain::{HostId, NotificationId, RecoveryId, Timestamp, Wait, WaitsFor};
    use tachi_engine::ports::operator::{MoveCounts, RecoverySummary};
    use uuid::Uuid;

    use super::super::seen::tests::{fine, host, judged};
    use super::*;

    #[test]
    fn hosts_with_nothing_to_say_of_are_counted() {
        let mut seen = fine();
        seen.tables.segments[0].hosts.push(host("r", true, None));
        let text = lines(&SituationView::from(&seen), false).join("\n");
        assert!(text.contains("├─ r: reserved"), "{text}");
        assert!(text.contains("└─ 2 hosts with nothing to say of"), "{text}");
        let text = lines(&SituationView::from(&seen), true).join("\n");
        assert!(
            text.contains("a: protected") && text.contains("└─ r: reserved"),
            "{text}"
        );
    }

    #[test]
    fn a_recovery_is_told_with_its_progress_where_its_host_is() {
        let mut seen = fine();
        let id = RecoveryId(Uuid::from_u128(9));
        seen.tables.recoveries.push(RecoverySummary {
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
            message: Some("whatever is told of it".into()),
            owner: None,
            opened_at: Timestamp::from_micros(1),
        });
        seen.tables.segments[0].hosts[0] = host("a", false, Some(MaintenanceReason::Recovery));
        seen.tables.segments[0].hosts[0].recovery = Some((id, Life::Open));
        seen.situation = judged(&seen.tables);
        let text = lines(&SituationView::from(&seen), false).join("\n");
        let wanted =
            "a: under recovery: 12/40 instances back, 3 in flight, 25 to come; whatever is told of it";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("recoveries 1 open, 0 hosts watched"), "{text}");
        assert!(
            text.contains("✗ RECOVERY_HELD  a: the host was seen alive after its proof"),
            "{text}"
        );
        assert!(text.starts_with("WAITS FOR YOU: 1 recovery is held\n"), "{text}");
        assert!(
            text.contains(&format!("      tachi recovery approve {id}\n")),
            "{text}"
        );
        let json = serde_json::to_value(SituationView::from(&seen)).unwrap();
        assert_eq!(json["needs_person"]["recoveries"][0]["waits"]["for"], "alive");
        assert_eq!(json["recoveries"][0]["back"], 12);
        assert_eq!(json["segments"][0]["hosts"][0]["why"], "recovery");
        assert_eq!(json["fencing_mode"], "external");
        assert_eq!(json["findings"][0]["code"], "RECOVERY_HELD");
        assert_eq!(json["grade"], "err");
    }
}
