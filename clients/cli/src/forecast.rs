//! `tachi forecast`: capacity for the instances of failed hosts.

use std::collections::BTreeMap;

use serde_json::json;
use tachi_domain::count;
use tachi_domain::forecast::Room;
use tachi_operator::when::ago;
use tachi_operator::{Failure, ForecastView, OutcomeView, SegmentForecastView, headroom, without_repeats};

use crate::arguments::ForecastArgs;
use crate::out::answer;
use crate::source::{self, Controller};

/// Shows the forecast.
pub async fn run(args: ForecastArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let lose: Vec<String> = args.lose.iter().map(|name| name.trim().to_owned()).collect();
    let forecast = source.forecast(args.segment.as_deref(), &lose).await?;
    answer::object(
        &args.shape,
        source.now(),
        || json!(forecast),
        |_| lines(&forecast),
    )?;
    Ok(crate::DONE)
}

fn lines(forecast: &ForecastView) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(trouble) = &forecast.trouble {
        lines.push(format!("no forecast: {trouble}"));
    }
    if let Some(one) = &forecast.lost {
        lines.push(format!("if {} failed now: {}", one.lost.join(", "), outcome(one)));
        lines.extend(
            forecast
                .blocked
                .iter()
                .map(|why| format!("nothing of it would be recovered: {why}")),
        );
        if !one.held.is_empty() {
            lines.push(format!("the recovery would be on hold: {}", reasons(&one.held)));
        }
        return lines;
    }
    if forecast.segments.is_empty() {
        lines.push("no segment is enabled, so nothing is recovered: tachi setup import".to_owned());
        return lines;
    }
    let rows: Vec<[String; 4]> = forecast.segments.iter().map(row).collect();
    let head = ["segment", "N+k", "worst host", "then"].map(str::to_owned);
    let all: Vec<&[String; 4]> = std::iter::once(&head).chain(&rows).collect();
    let wide = |at: usize| all.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let (first, second, third) = (wide(0), wide(1), wide(2));
    for [segment, headroom, worst, then] in all {
        lines.push(format!(
            "{segment:<first$}  {headroom:<second$}  {worst:<third$}  {then}"
        ));
    }
    lines.extend(holds(forecast));
    if forecast.unread > 0 {
        lines.push(format!(
            "the capacity of {} is not known yet and not counted",
            count(forecast.unread, "host", "hosts")
        ));
    }
    if let Some(as_of) = forecast.as_of {
        lines.push(format!(
            "conservative estimate from data of {}",
            ago(as_of.0, forecast.at.0)
        ));
    }
    lines
}

/// Renders the reasons of guards, each explanation once.
fn reasons(held: &[String]) -> String {
    without_repeats(&held.join("; "))
}

/// Lists the losses whose recovery would be on hold.
fn holds(forecast: &ForecastView) -> Vec<String> {
    let mut lines = Vec::new();
    let mut alone: BTreeMap<&[String], Vec<&str>> = BTreeMap::new();
    for one in forecast.segments.iter().flat_map(|segment| &segment.hosts) {
        if !one.held.is_empty() {
            let hosts = one.lost.iter().map(String::as_str);
            alone.entry(&one.held).or_default().extend(hosts);
        }
    }
    for (why, hosts) in alone {
        let some: Vec<&str> = hosts.iter().copied().take(MAX_NAMED_HOSTS).collect();
        let more = match hosts.len().saturating_sub(some.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        lines.push(format!(
            "on hold if {}{more} failed alone: {}",
            some.join(", "),
            reasons(why)
        ));
    }
    for segment in &forecast.segments {
        if let Some(from) = segment.held_from {
            lines.push(format!(
                "on hold if {from} hosts of segment {} failed at once: {}",
                segment.segment,
                reasons(&segment.held_why)
            ));
        }
    }
    for one in forecast.domains.iter().filter(|domain| !domain.held.is_empty()) {
        let hosts = count(one.hosts, "host", "hosts");
        lines.push(format!(
            "on hold if {} failed ({hosts}): {}",
            one.domain,
            reasons(&one.held)
        ));
    }
    lines
}

/// The maximum number of hosts that a line names.
const MAX_NAMED_HOSTS: usize = 5;

fn row(one: &SegmentForecastView) -> [String; 4] {
    let headroom = headroom(one.headroom, one.exact, one.room_headroom);
    let (worst, then) = one.worst.as_ref().map_or_else(
        || ("-".to_owned(), "it has no host to lose".to_owned()),
        |worst| {
            let name = worst.lost.join(", ");
            (format!("{name} ({} inst)", worst.instances), outcome(worst))
        },
    );
    [one.segment.clone(), headroom, worst, then]
}

/// Describes an outcome in a few words.
pub fn outcome(one: &OutcomeView) -> String {
    let then = one.then();
    match one.room {
        Room::Enough => then,
        Room::Tight => format!("no promise: {then}"),
        Room::Unknown => format!("not known: {then}"),
        Room::Short => format!("NO ROOM: {then}"),
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::Timestamp;
    use tachi_operator::{DomainView, Time};

    use super::*;

    #[test]
    fn each_answer_is_told_in_words() {
        let outcome = |host: &str, instances, room, short: Option<(&str, &str)>| OutcomeView {
            lost: vec![host.to_owned()],
            instances,
            room,
            instance: short.map(|(instance, _)| instance.to_owned()),
            short_of: short.map(|(_, text)| text.to_owned()),
            held: Vec::new(),
        };
        let segment = |name: &str, headroom, exact, worst| SegmentForecastView {
            segment: name.to_owned(),
            headroom,
            exact,
            hosts: Vec::new(),
            worst,
            held_from: None,
            held_why: Vec::new(),
            room_headroom: headroom,
        };
        let at = Timestamp::from_micros(1_700_000_000_000_000);
        let mut view = ForecastView {
            at: Time(at),
            as_of: Some(Time(at.minus_seconds(12))),
            trouble: None,
            unread: 3,
            segments: vec![
                segment(
                    "S1",
                    Some(0),
                    true,
                    Some(outcome("c-3", 9, Room::Short, Some(("vm-1", "14 GiB memory")))),
                ),
                segment(
                    "S2",
                    Some(3),
                    false,
                    Some(outcome("c-17", 31, Room::Enough, None)),
                ),
                segment("S3", None, true, None),
            ],
            domains: vec![DomainView {
                domain: "rack:r1".to_owned(),
                hosts: 3,
                held: vec!["G5 global: too many".to_owned()],
            }],
            lost: None,
            landing: Vec::new(),
            blocked: Vec::new(),
        };
        let held = [
            "G4 segment: 2 of the segment's 5 hosts are out at once: a switch or a rack may have failed",
            "G5 global: 2 of all 5 hosts failed: a switch or a rack may have failed",
        ];
        let held = held.map(str::to_owned).to_vec();
        (view.segments[0].held_from, view.segments[0].held_why) = (Some(2), held);
        let mut listed = outcome("c-4", 1, Room::Enough, None);
        listed.held = vec!["G11 protected: it is listed".to_owned()];
        view.segments[0].hosts = vec![listed.clone(), outcome("c-5", 1, Room::Enough, None)];
        assert_eq!(
            lines(&view),
            [
                "segment  N+k  worst host      then",
                "S1       0    c-3 (9 inst)    NO ROOM: vm-1 lacks 14 GiB memory",
                "S2       3+   c-17 (31 inst)  all 31 instances fit",
                "S3       ?    -               it has no host to lose",
                "on hold if c-4 failed alone: G11 protected: it is listed",
                "on hold if 2 hosts of segment S1 failed at once: G4 segment: 2 of the segment's 5 hosts are out at once: a switch or a \
                 rack may have failed; G5 global: 2 of all 5 hosts failed",
                "on hold if rack:r1 failed (3 hosts): G5 global: too many",
                "the capacity of 3 hosts is not known yet and not counted",
                "conservative estimate from data of 12 s ago",
            ]
        );
        view.lost = Some(outcome("c-1", 2, Room::Tight, Some(("vm-2", "it fits"))));
        view.lost.as_mut().unwrap().held = listed.held;
        view.blocked = vec!["FROZEN: frozen for 2 h".to_owned()];
        view.trouble = Some("Placement refuses".into());
        assert_eq!(
            lines(&view),
            [
                "no forecast: Placement refuses",
                "if c-1 failed now: no promise: vm-2: it fits",
                "nothing of it would be recovered: FROZEN: frozen for 2 h",
                "the recovery would be on hold: G11 protected: it is listed"
            ]
        );
    }
}
