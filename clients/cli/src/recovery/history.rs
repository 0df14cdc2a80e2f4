//! Text of a recovery's history.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tachi_domain::count;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_operator::{
    InstanceView, ProofView, RecoveryHistoryView, StepView, Time, one_line, progress_of, stage,
};

use crate::out::{Cell, Column, TextTable, View};

/// Counts the instances that came back on hosts in no segment, where a second failure is not recovered. `None` if there are none.
pub(super) fn unprotected(vmoves: &[InstanceView], registered: &BTreeSet<&str>) -> Option<String> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for one in vmoves
        .iter()
        .filter(|vmove| vmove.status == Some(VmoveStatus::Succeeded))
    {
        if let Some(host) = one.to.as_deref().filter(|host| !registered.contains(host)) {
            *places.entry(host).or_default() += 1;
        }
    }
    let all: usize = places.values().sum();
    let places: Vec<String> = places
        .iter()
        .map(|(host, number)| format!("{host} ({number})"))
        .collect();
    (all > 0).then(|| {
        format!(
            "{} on hosts in no segment, which are not recovered: {}; add these hosts to a segment, or move the instances",
            count(all, "instance runs", "instances run"),
            places.join(", ")
        )
    })
}

/// Returns the lines before the history.
pub(crate) fn heading(history: &RecoveryHistoryView, view: &View) -> Vec<String> {
    let summary = &history.summary;
    // The stored name of the last stage is not the one that people read elsewhere.
    let stage = stage(&history.state).map(|stage| if stage == "over" { "done".to_owned() } else { stage });
    let stage = stage.map_or(String::new(), |stage| format!(", {stage}"));
    let mut lines = vec![
        format!("recovery      {}", summary.recovery),
        format!("host          {}", summary.host),
        format!("notification  {} ({})", summary.notification, summary.status),
    ];
    if let Some(reported) = &history.reported {
        // A retry adds the recovery that it repeats and the time of its first report.
        let payload: Vec<String> = reported
            .payload
            .iter()
            .filter(|(key, _)| !key.starts_with("retry_"))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        lines.push(format!(
            "reported      {} {}, generated {}",
            reported.kind,
            one_line(&payload.join(" ")),
            view.when(reported.generated_at.0)
        ));
    }
    let earlier = history
        .reported
        .as_ref()
        .and_then(|reported| reported.payload.get("retry_of"));
    if let Some(earlier) = earlier {
        lines.push(format!("retry of      {}", one_line(earlier)));
    }
    for reporter in &history.reporters {
        lines.push(format!("reported by   {}", one_line(&reporter.to_string())));
        if let Some(claimed) = &reporter.discarded_status {
            let claimed = one_line(claimed);
            lines.push(format!(
                "              it reported host_status {claimed}, which counts only from a control node: UNKNOWN was stored"
            ));
        }
    }
    lines.push(format!("opened        {}", view.when(summary.opened_at.0)));
    lines.push(format!(
        "life          {}{stage}; {} s elapsed",
        summary.life, history.elapsed_seconds
    ));
    let owner = summary.owner.as_deref().unwrap_or("none");
    lines.push(format!("engine        {owner} (claim {})", history.claim));
    if let Some(word) = &history.word {
        lines.push(format!(
            "last action   {} by {} at {}",
            word.label(),
            one_line(&word.by),
            view.when(word.at.0)
        ));
    }
    if let Some(text) = progress_of(summary.kind, summary.moves) {
        lines.push(format!("instances     {text}"));
    }
    for (name, down) in history.downtime.parts() {
        if let Some(line) = down.line() {
            lines.push(format!("downtime      {name}: {line}"));
        }
    }
    let message = summary.message.as_deref().unwrap_or("none");
    lines.push(format!("message       {}", one_line(message)));
    lines.push(format!("waits for     {}", one_line(&history.waits_for)));
    lines
}

/// Returns the history: steps and proofs in chronological order.
pub(crate) fn lines(history: &RecoveryHistoryView, view: &View) -> Vec<String> {
    let mut events: Vec<(Time, String)> = history
        .steps
        .iter()
        .map(|line| (line.at, step(line, view)))
        .collect();
    for one in &history.proofs {
        // A proof is stored with the step that reports it, so it comes right after that step.
        // Times are from the clocks of different engines, so they need not be in order.
        let before = events.iter().rposition(|(at, _)| *at <= one.at);
        let place = before.map_or(0, |place| place + 1);
        events.insert(place, (one.at, proof(one, view)));
    }
    events.into_iter().map(|(_, line)| line).collect()
}

fn step(line: &StepView, view: &View) -> String {
    let task = line.task.trim_end_matches("Task");
    let server = line
        .instance
        .as_deref()
        .map_or(String::new(), |id| format!(" [{id}]"));
    format!(
        "{}  {:<7} {task}{server}: {}",
        view.exact_time(line.at.0),
        line.kind,
        one_line(&line.text)
    )
}

fn proof(line: &ProofView, view: &View) -> String {
    let detail = line
        .evidence
        .get("detail")
        .map_or(String::new(), |detail| format!(": {detail}"));
    format!(
        "{}  proof {} {} by {}{}",
        view.exact_time(line.at.0),
        line.number,
        one_line(&line.from),
        line.by,
        one_line(&detail)
    )
}

/// Returns the table of the instances; `None` without any.
pub(super) fn instances(history: &RecoveryHistoryView) -> Option<TextTable<8>> {
    if history.instances.is_empty() {
        return None;
    }
    // Instances of a planned move were never down.
    let lasted: (Column, fn(&InstanceView) -> Option<f64>) = if history.summary.kind.is_planned() {
        (Column::of("took (s)", "took_seconds"), took)
    } else {
        (Column::of("down (s)", "down_seconds"), |one| one.down_seconds)
    };
    let columns = [
        Column::new("name"),
        Column::new("id"),
        Column::new("status"),
        Column::new("proof"),
        Column::new("from"),
        Column::new("to"),
        lasted.0,
        Column::new("message"),
    ];
    Some(TextTable::new(columns, &history.instances, |one| {
        let cells = [
            Cell::text(&one.name),
            Cell::id(&one.id),
            Cell::text(one.status.map_or(String::new(), |status| status.to_string())),
            Cell::number(&one.proof.map_or(String::new(), |number| number.to_string())),
            Cell::text(one.from.clone().unwrap_or_default()),
            Cell::text(one.to.clone().unwrap_or_default()),
            Cell::number(&lasted.1(one).map_or_else(String::new, |seconds| format!("{seconds:.1}"))),
            Cell::prose(one.message.clone().unwrap_or_default()),
        ];
        (cells, json!(one))
    }))
}

/// Returns the seconds from the request to the end of the move.
fn took(instance: &InstanceView) -> Option<f64> {
    let took = instance.over_at?.0.micros_since(instance.asked_at?.0);
    Some(Duration::from_micros(u64::try_from(took).ok()?).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tachi_domain::Timestamp;
    use tachi_operator::downtime::DowntimeView;

    use super::*;
    use crate::out::at_widths;

    /// Builds the history of an instance that was requested a minute after the opening, and was back in 0.6 s.
    fn of_kind(kind: &str, down: Option<f64>) -> RecoveryHistoryView {
        let at = |millis: i64| Time(Timestamp::from_micros(1_795_155_308_000_000 + millis * 1_000));
        let id = "00000001-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
        let instance = InstanceView {
            id: id.to_owned(),
            name: "web-1".to_owned(),
            status: Some(VmoveStatus::Succeeded),
            asked_at: Some(at(60_000)),
            over_at: Some(at(60_600)),
            down_seconds: down,
            ..InstanceView::default()
        };
        let rendered = json!({
            "recovery": id, "notification": id, "kind": kind, "host": "c1", "host_id": id, "segment": null, "life": "closed",
            "status": "finished", "waits": null, "message": null, "owner": null, "opened_at": at(0),
            "moves": {"total": 1, "pending": 0, "ongoing": 0, "succeeded": 1, "failed": 0, "ignored": 0},
            "claim": 1, "downtime": DowntimeView::of(&[]), "elapsed_seconds": 61, "waits_for": "nothing", "reported": null,
            "reporters": [], "word": null, "state": Value::Null, "steps": [], "proofs": [], "instances": [instance],
        });
        serde_json::from_value(rendered).unwrap()
    }

    #[test]
    fn downtime_is_told_from_the_report_on_and_of_what_was_planned_how_long_it_took() {
        for (kind, down, title, seconds) in [
            ("host", Some(60.6), "down (s)", "60.6"),
            ("drain", None, "took (s)", "0.6"),
        ] {
            let sheet = instances(&of_kind(kind, down)).unwrap();
            let text = at_widths(&sheet, Timestamp::from_micros(1_795_155_400_000_000));
            let words: Vec<&str> = text.split_whitespace().collect();
            assert!(text.contains(title) && words.contains(&seconds), "{kind}: {text}");
            assert!(
                words.contains(&"name") && words.contains(&"id") && !words.contains(&"instance"),
                "{text}"
            );
        }
    }

    #[test]
    fn instances_that_came_back_to_hosts_in_no_segment_are_shown() {
        use VmoveStatus::{Failed, Succeeded};
        let vmove = |dest: Option<&str>, status| InstanceView {
            status: Some(status),
            to: dest.map(str::to_owned),
            ..InstanceView::default()
        };
        let registered = BTreeSet::from(["c1", "c2"]);
        let known = [
            vmove(Some("c2"), Succeeded),
            vmove(Some("c9"), Failed),
            vmove(None, Succeeded),
        ];
        assert_eq!(unprotected(&known, &registered), None);
        let strange = [
            vmove(Some("c9"), Succeeded),
            vmove(Some("c9"), Succeeded),
            vmove(Some("c8"), Succeeded),
            vmove(Some("c1"), Succeeded),
        ];
        let rendered = unprotected(&strange, &registered).unwrap();
        assert!(
            rendered.starts_with("3 instances run on hosts in no segment"),
            "{rendered}"
        );
        assert!(rendered.contains("c8 (1), c9 (2)"), "{rendered}");
    }
}
