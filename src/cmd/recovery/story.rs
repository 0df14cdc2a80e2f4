//! A recovery's story in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};
use tachi_domain::Timestamp;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_engine::ports::operator::{MoveCounts, ProofLine, StepLine, Story};

use super::super::when::time;
use super::super::{downtime, waits};

/// How far the instances are, such as `12/40 instances back, 3 in flight`; `None` if there are none.
pub(crate) fn progress(counts: MoveCounts) -> Option<String> {
    if counts.total() == 0 {
        return None;
    }
    let mut text = format!("{}/{} instances back", counts.succeeded, counts.total());
    for (count, words) in [
        (counts.ongoing, "in flight"),
        (counts.pending, "to come"),
        (counts.ignored, "left by policy"),
        (counts.failed, "need a person"),
    ] {
        if count > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, ", {count} {words}");
        }
    }
    Some(text)
}

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

/// A word of the state's head, which other versions may write otherwise: nothing but the screen depends on it.
fn head(story: &Story) -> Value {
    let state = story.state.as_deref();
    state
        .and_then(|state| serde_json::from_str(state).ok())
        .unwrap_or(Value::Null)
}

fn stage(head: &Value) -> Option<String> {
    let stage = head.get("stage")?;
    let word = stage.as_str().or_else(|| {
        let tagged = stage.get("at").and_then(Value::as_str);
        tagged.or_else(|| stage.as_object()?.keys().next().map(String::as_str))
    });
    word.map(str::to_owned)
}

/// What has to happen before it goes on.
pub(super) fn waits_for(story: &Story) -> String {
    let summary = &story.summary;
    let head = head(story);
    match summary.life {
        Life::Closed if summary.status == "failed" => {
            return format!(
                "nothing: it is over; `tachi recovery retry {}` tries again",
                summary.id
            );
        }
        Life::Closed => return "nothing: it is over".into(),
        Life::Watching => {
            return format!(
                "the host's nova-compute to be back: `tachi host return {}` says how",
                summary.host
            );
        }
        Life::Open => {}
    }
    if summary.owner.is_none() {
        return "an engine to claim it".into();
    }
    if let Some(wait) = summary.wait.as_ref().filter(|wait| wait.what.is_held()) {
        let mut ways = waits::to_end_recovery(summary);
        let vouched = ways.iter().any(|way| way.contains(" vouch "));
        if summary.kind == RecoveryKind::Host && stage(&head).as_deref() == Some("fencing") && !vouched {
            let host = &summary.host;
            ways.push(format!(
                "tachi recovery vouch {} --off {host} --reason ...",
                summary.id
            ));
        }
        return format!(
            "a person, because {}: `{}`",
            waits::about(wait),
            ways.join("`, or `")
        );
    }
    let counts = summary.moves;
    match (summary.kind, stage(&head).as_deref()) {
        (RecoveryKind::Host, Some("begin")) => "the guards".into(),
        (RecoveryKind::Host, Some("fencing")) => "a proof that the host is off".into(),
        (RecoveryKind::Host, Some("disabling")) => "Nova to show the host disabled and forced down".into(),
        (RecoveryKind::Host, Some("listing")) => "Nova's lists of instances and migrations".into(),
        (RecoveryKind::Host, Some("moving")) => format!(
            "{} instances to be over, {} of them in flight",
            counts.pending + counts.ongoing,
            counts.ongoing
        ),
        (_, Some(stage)) => format!("the end of what is under way: {}", stage.replace('_', " ")),
        (_, None) => "the end of what is under way".into(),
    }
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

/// The number of the proof that each instance was asked for on, by its vmove.
fn proofs_of(story: &Story) -> BTreeMap<String, u64> {
    let states = story.moves.iter();
    let states = states.filter_map(|state| serde_json::from_str::<Value>(state).ok());
    states
        .filter_map(|state| Some((state["vmove"].as_str()?.to_owned(), state["proof"].as_u64()?)))
        .collect()
}

/// For how long each instance that is back was down, counted from the opening of the recovery, and whether it is marked.
fn down(story: &Story) -> Vec<(bool, Duration)> {
    let marked: BTreeSet<String> = story
        .moves
        .iter()
        .filter_map(|state| serde_json::from_str::<Value>(state).ok())
        .filter(|state| state["tagged"].as_bool() == Some(true))
        .filter_map(|state| Some(state["vmove"].as_str()?.to_owned()))
        .collect();
    let back = story
        .vmoves
        .iter()
        .filter(|one| one.status == Some(VmoveStatus::Succeeded));
    back.filter_map(|one| {
        let lasted = one.end_time?.micros_since(story.summary.opened_at);
        let lasted = Duration::from_micros(u64::try_from(lasted).unwrap_or_default());
        Some((marked.contains(&one.id.to_string()), lasted))
    })
    .collect()
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

/// Everything, for programs.
pub(super) fn as_json(story: &Story) -> Value {
    let mut object = super::list::as_json(&story.summary);
    let proofs = proofs_of(story);
    let more = json!({
        "claim": story.epoch,
        "downtime": downtime::as_json(&down(story)),
        "elapsed_seconds": story.elapsed.millis() / 1_000,
        "waits_for": waits_for(story),
        "reporters": story.reporters,
        "word": story.word.as_ref().map(|(word, by, at)| json!({"word": word, "by": by, "at": time(*at)})),
        "state": head(story),
        "steps": story.steps.iter().map(|line| json!({
            "at": time(line.at), "claim": line.epoch, "task": line.task, "kind": line.kind,
            "instance": line.server, "text": line.text,
        })).collect::<Vec<_>>(),
        "proofs": (1..).zip(&story.proofs).map(|(number, line): (u32, _)| json!({
            "number": number, "at": time(line.at), "claim": line.epoch, "kind": line.kind, "by": line.by, "from": line.from,
            "evidence": serde_json::from_str::<Value>(&line.evidence).unwrap_or(Value::Null),
        })).collect::<Vec<_>>(),
        "instances": story.vmoves.iter().map(|one| json!({
            "id": one.instance_uuid, "name": one.instance_name,
            "status": one.status.map(tachi_domain::entity::vmove::VmoveStatus::as_str),
            "from": one.source_host, "to": one.dest_host, "message": one.message,
            "proof": proofs.get(&one.id.to_string()),
            "asked_at": one.start_time.map(time), "over_at": one.end_time.map(time),
        })).collect::<Vec<_>>(),
    });
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

/// What somebody else has written must not pass for lines of ours, nor move the cursor.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_what_there_is_and_nothing_else() {
        let counts = |pending, ongoing, succeeded, failed, ignored| MoveCounts {
            pending,
            ongoing,
            succeeded,
            failed,
            ignored,
        };
        for (counts, expected) in [
            (counts(0, 0, 0, 0, 0), None),
            (
                counts(25, 3, 12, 0, 0),
                Some("12/40 instances back, 3 in flight, 25 to come"),
            ),
            (counts(0, 0, 40, 0, 0), Some("40/40 instances back")),
            (
                counts(0, 0, 1, 1, 2),
                Some("1/4 instances back, 2 left by policy, 1 need a person"),
            ),
        ] {
            assert_eq!(progress(counts).as_deref(), expected);
        }
    }

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

    #[test]
    fn a_stage_is_read_however_it_is_written() {
        for (state, expected) in [
            (json!({"stage": "moving"}), Some("moving")),
            (json!({"stage": {"at": "waiting", "since": 3}}), Some("waiting")),
            (json!({"stage": {"stopping": {"since": 3}}}), Some("stopping")),
            (json!({"stage": 7}), None),
            (json!({}), None),
            (Value::Null, None),
        ] {
            assert_eq!(stage(&state).as_deref(), expected, "{state}");
        }
    }

    #[test]
    fn foreign_text_stays_on_its_line() {
        assert_eq!(one_line("a\nb\u{1b}[2Jc"), "a b [2Jc");
    }
}
