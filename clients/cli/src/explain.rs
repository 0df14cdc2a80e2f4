//! `tachi show`: why a host or an instance is protected or not, what is happening to it, and what to type.

mod past;
mod simulate_failure;

use serde_json::json;
use tachi_domain::Timestamp;
use tachi_domain::count;
use tachi_domain::situation::{Need, Severity};
use tachi_operator::consequence::SuggestedCommand;
use tachi_operator::when::ago;
use tachi_operator::{ExplanationView, Failure, NeedView};

use super::forecast::outcome;
use super::recovery;
use super::status::findings::{mark, times};
use super::status::host;
use crate::arguments::ShowArgs;
use crate::out::answer;
use crate::source::{self, Controller, Source};

/// Explains every host and instance of that name, else the recovery of that id.
pub async fn run(args: ShowArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    if let Some(at) = &args.at {
        return past::run(source.as_ref(), &args, at).await;
    }
    if args.if_fails {
        return Box::pin(simulate_failure::run(source.as_ref(), &args)).await;
    }
    let found = source.explanations(args.name.trim()).await?;
    if found.is_empty() {
        return Box::pin(of_recovery(source.as_ref(), &args)).await;
    }
    let now = source.now();
    let mut all: Vec<Vec<String>> = Vec::new();
    if args.shape.is_text() {
        for one in &found {
            let mut shown = lines(one, now);
            if one.kind == "host" {
                shown.extend(host::parts(source.as_ref(), one).await?);
            }
            all.push(shown);
        }
    }
    answer::object(&args.shape, now, || json!(found), |_| all.join(&String::new()))?;
    Ok(crate::DONE)
}

/// Shows the recovery of that id, for a name of no host and no instance: its history is the explanation.
async fn of_recovery(source: &dyn Source, args: &ShowArgs) -> Result<u8, Failure> {
    if recovery::find(source, &args.name).await?.is_some() {
        return recovery::show(source, &args.name, false, &args.shape).await;
    }
    let situation = source.situation().await?;
    let name = args.name.trim();
    if situation.segments.iter().any(|segment| segment.name == name) {
        return Err(Failure::from_text(format!(
            "no host or instance named {name:?} (it is a segment: tachi status {name})"
        )));
    }
    let listed = match situation.instances {
        Some(_) => "",
        None => " (no engine has read Nova's instances yet)",
    };
    Err(Failure::from_text(format!(
        "no host, instance or recovery named {name:?}{listed}: see `tachi host list`, `tachi instance list` and `tachi recovery list --all`"
    )))
}

fn head(explanation: &ExplanationView) -> String {
    let label = explanation.protection.label().to_ascii_uppercase();
    if let Some(id) = &explanation.id {
        let host = explanation.host.as_deref().unwrap_or_default();
        return format!("instance {} ({id}) on {host}: {label}", explanation.name);
    }
    let segment = explanation.segment.as_ref().map_or_else(
        || "in no segment".to_owned(),
        |name| {
            let reserved = if explanation.reserved == Some(true) {
                ", reserved"
            } else {
                ""
            };
            format!("in segment {name}{reserved}")
        },
    );
    let instances = explanation.instances.map_or_else(String::new, |counts| {
        let included = count(counts.included(), "instance", "instances");
        format!(", {included} to be recovered")
    });
    format!("host {} ({segment}{instances}): {label}", explanation.name)
}

/// Renders the explanation as lines.
pub fn lines(explanation: &ExplanationView, now: Timestamp) -> Vec<String> {
    let mut lines = vec![head(explanation)];
    if let Some(wait) = &explanation.waits {
        lines.push(format!("  action needed: {}", wait.sentence(now)));
        lines.extend(explanation.known.iter().map(|known| format!("  known: {known}")));
    } else if let (Some(id), Some(life)) = (explanation.recovery, explanation.life) {
        let message = explanation.message.as_deref().unwrap_or("under way");
        lines.push(format!("  recovery {id} ({life}): {message}"));
        lines.extend(explanation.known.iter().map(|known| format!("  known: {known}")));
    }
    for way in SuggestedCommand::all(&explanation.commands) {
        lines.extend(way.first.map(|first| format!("      {first}:")));
        lines.push(format!("      -> {}", way.line()));
    }
    lines.extend(
        explanation
            .disk
            .iter()
            .map(|disk| format!("  disk: {}", disk.sentence())),
    );
    for need in &explanation.needs {
        lines.extend(need_lines(explanation, need, now));
        if need.need == Need::Room {
            lines.extend(room(explanation, now));
        }
    }
    lines
}

/// Describes the capacity: the number of hosts that an instance fits on, or the outcome for all instances on a host.
fn room(explanation: &ExplanationView, now: Timestamp) -> Option<String> {
    let room = explanation.room.as_ref()?;
    let text = match (room.hosts, room.of) {
        (Some(hosts), Some(of)) => {
            let of = count(of, "host", "hosts");
            format!("it fits on {hosts} of {of} that Nova may choose, if nothing else moves")
        }
        _ => outcome(room.outcome.as_ref()?),
    };
    Some(format!(
        "      {text} (Placement seen {})",
        ago(room.as_of.0, now)
    ))
}

fn need_lines(explanation: &ExplanationView, view: &NeedView, now: Timestamp) -> Vec<String> {
    let name = format!("{:<10}", view.need.label());
    if let Some((grade, rendered)) = explanation.told_of(view) {
        let sign = if grade == Severity::Ok { "✓" } else { mark(grade) };
        return vec![format!("  {sign} {name} {rendered}")];
    }
    let mut lines = Vec::new();
    for finding in &view.findings {
        lines.push(format!(
            "  {} {name} {}: {}{}",
            mark(finding.grade),
            finding.code,
            finding.text,
            times(finding, now)
        ));
        lines.extend(finding.fix.iter().map(|fix| format!("      -> {fix}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::host::MaintenanceReason;
    use tachi_domain::forecast::Room;
    use tachi_operator::{OutcomeView, RoomView, Time};

    use super::super::status::common::tests::{fine, host, judged};
    use super::*;

    #[test]
    fn room_is_told_of_an_instance_and_of_all_that_is_on_a_host() {
        let snapshot = fine();
        let mut view = ExplanationView::of(&snapshot, &snapshot.situation.explain("a")[0]);
        assert_eq!(view.room, None, "nobody has asked Placement");
        let rendered = |view: &ExplanationView| {
            let lines = lines(view, snapshot.now);
            let at = lines.iter().position(|line| line.contains(" capacity ")).unwrap();
            lines[at..at + 2].join("\n")
        };
        let bare = rendered(&view);
        assert!(
            bare.starts_with("  · capacity   room on other hosts is not assessed\n  ✓ evacuation"),
            "{bare}"
        );
        let room = view.needs.iter_mut().find(|need| need.need == Need::Room);
        room.unwrap().assessed = true;
        let mut room = RoomView {
            as_of: Time(snapshot.now.minus_seconds(12)),
            hosts: Some(2),
            of: Some(3),
            outcome: None,
        };
        view.room = Some(room.clone());
        assert_eq!(
            rendered(&view),
            "  ✓ capacity   other hosts have capacity for it\n      \
             it fits on 2 of 3 hosts that Nova may choose, if nothing else moves (Placement seen 12 s ago)"
        );
        (room.hosts, room.of) = (None, None);
        room.outcome = Some(OutcomeView {
            lost: vec!["a".into()],
            instances: 9,
            room: Room::Short,
            instance: Some("vm-1".into()),
            short_of: Some("14 GiB memory".into()),
            held: Vec::new(),
        });
        view.room = Some(room);
        assert!(
            rendered(&view).ends_with("      NO ROOM: vm-1 lacks 14 GiB memory (Placement seen 12 s ago)")
        );
    }

    /// Two hosts have the same reason, and the command is about one of them.
    #[test]
    fn what_to_type_is_about_the_host_that_was_asked_for() {
        let mut snapshot = fine();
        snapshot.tables.segments[0].hosts = ["a", "b"]
            .map(|name| host(name, false, Some(MaintenanceReason::Operator)))
            .into();
        snapshot.situation = judged(&snapshot.tables);
        for name in ["a", "b"] {
            let view = ExplanationView::of(&snapshot, &snapshot.situation.explain(name)[0]);
            let rendered = lines(&view, snapshot.now).join("\n");
            let (own, other) = if name == "a" { ("a", "b") } else { ("b", "a") };
            assert!(
                rendered.contains(&format!(
                    "-> openstack segment host update --on_maintenance False all {own}"
                )),
                "{rendered}"
            );
            assert!(!rendered.contains(&format!("False all {other}")), "{rendered}");
        }
    }

    #[test]
    fn a_host_is_explained_in_lines_and_for_programs() {
        let mut snapshot = fine();
        snapshot.tables.segments[0].hosts[0] = host("a", false, Some(MaintenanceReason::Operator));
        snapshot.situation = judged(&snapshot.tables);
        let one = &snapshot.situation.explain("a")[0];
        let view = ExplanationView::of(&snapshot, one);
        let rendered = lines(&view, snapshot.now);
        let expected = [
            "host a (in segment all, 0 instances to be recovered): UNPROTECTED",
            "  ! policy     HOST_ON_MAINTENANCE: in maintenance, set by an operator",
            "      -> openstack segment host update --on_maintenance False all a",
            "  ✓ host       Nova shows its host up",
            "  ✓ fencing    nothing blocks confirming its host off",
            "  ! capacity   FEW_HOSTS: only one of its hosts is in service, so its instances may have nowhere to go",
            "  ✓ evacuation nothing blocks its evacuation",
            "  · monitoring no reporter is muted; running monitors are not assessed",
            "  ✓ engine     an engine is running",
            "  ✓ data       the data is current",
        ];
        assert_eq!(rendered.join("\n"), expected.join("\n"));
        let json = json!(view);
        assert_eq!(json["protection"], "unprotected");
        assert_eq!(json["needs"][0]["findings"][0]["code"], "HOST_ON_MAINTENANCE");
        assert_eq!(json["needs"][1]["holds"], true);
        assert_eq!(json["needs"][5]["assessed"], false);
    }
}
