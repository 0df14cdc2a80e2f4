//! A recovery's story in words.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use tachi_domain::Timestamp;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_engine::ports::operator::{ProofLine, StepLine, Story};
use tachi_operator::{down, head, one_line, progress, proofs_of, stage, waits_for};

use super::super::downtime;
use super::super::when::time;

/// What has come back to hosts that are in no segment: nobody recovers it from there. `None` if nothing has.
pub(super) fn unprotected(vmoves: &[Vmove], registered: &BTreeSet<&str>) -> Option<String> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for one in vmoves
        .iter()
        .filter(|one| one.status == Some(VmoveStatus::Succeeded))
    {
        if let Some(host) = one.dest_host.as_deref().filter(|host| !registered.contains(host)) {
            *places.entry(host).or_default() += 1;
        }
    }
    let count: usize = places.values().sum();
    let places: Vec<String> = places
        .iter()
        .map(|(host, count)| format!("{host} ({count})"))
        .collect();
    (count > 0).then(|| {
        format!(
            "{count} instances run on hosts in no segment, from which nothing is recovered: {}; add these hosts to a segment, or \
             move the instances",
            places.join(", ")
        )
    })
}

/// The lines before the story.
pub(super) fn heading(story: &Story) -> Vec<String> {
    let summary = &story.summary;
    let head = head(story);
    let stage = stage(&head).map_or(String::new(), |stage| format!(", {stage}"));
    let mut lines = vec![
        format!("recovery      {}", summary.id),
        format!("host          {}", summary.host),
        format!("notification  {} ({})", summary.notification, summary.status),
    ];
    if let Some(notification) = &story.notification {
        let payload: Vec<String> = notification
            .payload
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        lines.push(format!(
            "reported      {} {}, generated {}",
            notification.kind,
            one_line(&payload.join(" ")),
            time(notification.generated_time)
        ));
    }
    for reporter in &story.reporters {
        lines.push(format!("reported by   {}", one_line(&reporter.to_string())));
        if let Some(said) = &reporter.unheard {
            let said = one_line(said);
            lines.push(format!(
                "              it said host_status {said}: that counts from a control node only, so UNKNOWN was kept"
            ));
        }
    }
    lines.push(format!("opened        {}", time(summary.opened_at)));
    lines.push(format!(
        "life          {}{stage}; {} s of its own time",
        summary.life,
        story.elapsed.millis() / 1_000
    ));
    let owner = summary.owner.as_deref().unwrap_or("none");
    lines.push(format!("engine        {owner} (claim {})", story.epoch));
    if let Some((word, by, at)) = &story.word {
        lines.push(format!(
            "last word     {word} by {} at {}",
            one_line(by),
            time(*at)
        ));
    }
    if let Some(text) = progress(summary.moves) {
        lines.push(format!("instances     {text}"));
    }
    for (name, down) in downtime::parts(down(story)) {
        if let Some(line) = downtime::line(&down) {
            lines.push(format!("downtime      {name}: {line}"));
        }
    }
    let message = summary.message.as_deref().unwrap_or("none");
    lines.push(format!("message       {}", one_line(message)));
    lines.push(format!("waits for     {}", one_line(&waits_for(story))));
    lines
}

/// The story: steps and proofs in the order of time.
pub(super) fn lines(story: &Story) -> Vec<String> {
    let mut told: Vec<(Timestamp, String)> = story.steps.iter().map(|line| (line.at, step(line))).collect();
    for (number, one) in (1..).zip(&story.proofs) {
        // A proof is written with the step that tells of it: it comes right after that.
        // Times are those of the engines' clocks, so they need not be in order.
        let before = told.iter().rposition(|(at, _)| *at <= one.at);
        let place = before.map_or(0, |place| place + 1);
        told.insert(place, (one.at, proof(number, one)));
    }
    told.into_iter().map(|(_, line)| line).collect()
}

fn step(line: &StepLine) -> String {
    let task = line.task.trim_end_matches("Task");
    let server = line
        .server
        .as_deref()
        .map_or(String::new(), |id| format!(" [{id}]"));
    format!(
        "{}  {:<7} {task}{server}: {}",
        time(line.at),
        line.kind,
        one_line(&line.text)
    )
}

fn proof(number: u32, line: &ProofLine) -> String {
    let evidence: Value = serde_json::from_str(&line.evidence).unwrap_or(Value::Null);
    let detail = evidence
        .get("detail")
        .map_or(String::new(), |detail| format!(": {detail}"));
    format!(
        "{}  proof {number} {} by {}{}",
        time(line.at),
        one_line(&line.from),
        line.by,
        one_line(&detail)
    )
}

/// The instances, if there are any.
pub(super) fn instances(story: &Story) -> Option<String> {
    if story.vmoves.is_empty() {
        return None;
    }
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "instance", "id", "status", "proof", "from", "to", "seconds", "message",
    ]);
    let proofs = proofs_of(story);
    for one in &story.vmoves {
        table.add_row([
            one.instance_name.clone(),
            one.instance_uuid.clone(),
            one.status.map_or(String::new(), |status| status.to_string()),
            proofs
                .get(&one.id.to_string())
                .map_or(String::new(), ToString::to_string),
            one.source_host.clone().unwrap_or_default(),
            one.dest_host.clone().unwrap_or_default(),
            seconds(one).unwrap_or_default(),
            one.message.clone().unwrap_or_default(),
        ]);
    }
    Some(table.to_string())
}

fn seconds(one: &Vmove) -> Option<String> {
    let took = one.end_time?.micros() - one.start_time?.micros();
    Some(format!("{}.{}", took / 1_000_000, took / 100_000 % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operator_row10_instances_that_came_back_to_hosts_in_no_segment_are_told() {
        use VmoveStatus::{Failed, Succeeded};
        let vmove = |dest: Option<&str>, status| Vmove {
            row: 1,
            id: tachi_domain::VmoveId(uuid::Uuid::nil()),
            notification: tachi_domain::NotificationId(uuid::Uuid::nil()),
            kind: None,
            status: Some(status),
            start_time: None,
            end_time: None,
            stamps: tachi_domain::entity::Stamps {
                created_at: Timestamp::from_micros(0),
                updated_at: None,
            },
            instance_uuid: String::new(),
            instance_name: String::new(),
            source_host: None,
            dest_host: dest.map(str::to_owned),
            message: None,
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
        let told = unprotected(&strange, &registered).unwrap();
        assert!(
            told.starts_with("3 instances run on hosts in no segment"),
            "{told}"
        );
        assert!(told.contains("c8 (1), c9 (2)"), "{told}");
    }
}
