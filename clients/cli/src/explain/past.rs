//! `tachi show HOST --at 03:05`: what happened to a host at that time, and what cannot be known any more.

use chrono::{DateTime, Local, NaiveDateTime, NaiveTime, TimeZone, Utc};
use serde_json::json;
use tachi_domain::Timestamp;
use tachi_domain::count;
use tachi_operator::past::{MAX_SPAN, around};
use tachi_operator::{
    Failure, JobSchedule, PastFreezeView, PastRecoveryView, PastRefusalView, PastReportView, PastView,
    StepView, moment,
};

use crate::arguments::ShowArgs;
use crate::out::{View, answer};
use crate::source::Source;

/// Shows the past of a host.
pub(super) async fn run(source: &dyn Source, args: &ShowArgs, at: &str) -> Result<u8, Failure> {
    let now = source.now();
    let at = if args.shape.utc {
        time(at, now, &Utc)
    } else {
        time(at, now, &Local)
    };
    let at = at.map_err(Failure::usage)?;
    if args.within > MAX_SPAN / 2 {
        return Err(Failure::usage("--within is 12h at most: it is for one incident"));
    }
    let span = around(at, args.within, now);
    let name = args.name.trim();
    let Some(past) = source.past(name, span).await? else {
        return Err(Failure::from_text(format!(
            "there are no records of a host named {name:?}: it is not and was not registered, and has no recovery. --at takes a host; \
             `tachi recovery list --all` lists recoveries"
        )));
    };
    answer::object(&args.shape, now, || json!(past), |view| lines(&past, view))?;
    Ok(crate::DONE)
}

/// Parses a time in the past, in the local time of `zone`.
fn time<Z: TimeZone>(text: &str, now: Timestamp, zone: &Z) -> Result<Timestamp, String> {
    let text = text.trim();
    let wrong = || format!("--at {text:?}: write 03:05, 2026-11-22 03:05, or 2026-11-22T02:05:00Z");
    let found = of_day(text, now, zone).or_else(|| of_date(text, zone));
    let at = found.ok_or_else(wrong)?;
    if at > now {
        return Err(format!("--at {text:?} has not passed yet"));
    }
    Ok(at)
}

/// Returns the last time at which the clock showed this time of day.
fn of_day<Z: TimeZone>(text: &str, now: Timestamp, zone: &Z) -> Option<Timestamp> {
    let mut forms = ["%H:%M", "%H:%M:%S"].iter();
    let time = forms.find_map(|form| NaiveTime::parse_from_str(text, form).ok())?;
    JobSchedule::At(None, time).before(now, zone)
}

fn of_date<Z: TimeZone>(text: &str, zone: &Z) -> Option<Timestamp> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(Timestamp::from_micros(at.timestamp_micros()));
    }
    let text = text.replacen('T', " ", 1);
    let mut forms = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f"].iter();
    let there = forms.find_map(|form| NaiveDateTime::parse_from_str(&text, form).ok())?;
    moment(there, zone)
}

/// Renders the past as lines.
fn lines(past: &PastView, view: &View) -> Vec<String> {
    let mut lines = vec![format!(
        "host {} from {} to {}: {}, {}{}, {}",
        past.host,
        view.time(past.from.0),
        view.time(past.to.0),
        some_or_none(past.reports.len(), "report accepted", "reports accepted"),
        refused(past),
        some_or_none(past.recoveries.len(), "recovery", "recoveries"),
        some_or_none(past.freezes.len(), "freeze", "freezes"),
    )];
    for one in &past.reports {
        lines.extend(report(one, past, view));
    }
    for one in &past.refused {
        lines.extend(refusal(one, view));
    }
    for one in &past.recoveries {
        lines.extend(recovery(one, view));
    }
    lines.extend(past.freezes.iter().map(|one| freeze(one, view)));
    for engine in &past.engines {
        let signed = if engine.signed_since {
            "and has sent heartbeats since"
        } else {
            "and was silent by then: it has sent no heartbeat since"
        };
        let began = view.time(engine.started_at.0);
        lines.push(format!("engine {}: running since {began}, {signed}", engine.name));
    }
    if let Some(why) = past.maintenance {
        lines.push(format!("now: the host is in maintenance ({why})"));
    }
    lines.push("not known:".to_owned());
    lines.extend(past.unknown.iter().map(|one| format!("  ? {one}")));
    lines
}

fn some_or_none(number: usize, one: &str, many: &str) -> String {
    if number == 0 {
        return format!("no {one}");
    }
    count(number, one, many)
}

fn report(one: &PastReportView, past: &PastView, view: &View) -> Vec<String> {
    let payload: Vec<String> = one
        .payload
        .iter()
        .map(|(key, value)| format!("{key} {value}"))
        .collect();
    let by = one.reporter.as_deref().unwrap_or("an unknown reporter");
    let mut lines = vec![format!(
        "{} report of {by}: {} ({})",
        view.time(one.accepted_at.0),
        one.kind,
        payload.join(", ")
    )];
    // Both are compared to the second: Masakari's columns keep no fractions.
    if one.noticed_at.0.micros() / 1_000_000 != one.accepted_at.0.micros() / 1_000_000 {
        lines.push(format!("    noticed at {}", view.time(one.noticed_at.0)));
    }
    lines.push(format!("    {}", one.came_of_it));
    if let Some(id) = one.recovery {
        lines.push(format!("    -> tachi recovery show {id}"));
    } else if one.accepted_at.0 > past.to.0 {
        lines.push(" too late to start a recovery in this time".to_owned());
    }
    lines
}

/// Returns the refused reports for the first line, if there were any.
fn refused(past: &PastView) -> String {
    let times = past.refused.iter().map(|one| one.times).sum::<u64>();
    if times == 0 {
        return String::new();
    }
    let times = usize::try_from(times).unwrap_or(usize::MAX);
    format!("{}, ", count(times, "refused", "refused"))
}

fn refusal(one: &PastRefusalView, view: &View) -> Vec<String> {
    let by = one.reporter.as_deref().unwrap_or("an unknown reporter");
    let when = if one.times == 1 {
        "not accepted".to_owned()
    } else {
        format!(
            "not accepted {} times until {}",
            one.times,
            view.time(one.last_at.0)
        )
    };
    vec![
        format!("{} report of {by}: {}", view.time(one.first_at.0), one.kind),
        format!("    {when}: {}", one.why),
    ]
}

fn recovery(one: &PastRecoveryView, view: &View) -> Vec<String> {
    let head = &one.summary;
    let mut lines = vec![format!(
        "{} recovery {} of {} opened; now: {}, {}",
        view.time(head.opened_at.0),
        head.recovery,
        head.kind,
        head.life,
        head.status
    )];
    if let Some(before) = &one.before {
        lines.push(format!("    before: {}", step(before, view)));
    }
    lines.extend(one.steps.iter().map(|line| format!("    {}", step(line, view))));
    if one.more_steps {
        lines.push(format!("    more: tachi recovery show {}", head.recovery));
    }
    if let Some(word) = &one.word {
        let at = view.time(word.at.0);
        lines.push(format!("    {at} {} by {}", word.label(), word.by));
    }
    if one.steps.is_empty() {
        lines.push("    it was open, and has no entries in this time".to_owned());
    }
    lines
}

fn step(line: &StepView, view: &View) -> String {
    let about = line
        .instance
        .as_ref()
        .map_or_else(String::new, |id| format!(" ({id})"));
    format!("{} {}: {}{about}", view.time(line.at.0), line.kind, line.text)
}

fn freeze(one: &PastFreezeView, view: &View) -> String {
    let end = match (&one.ended_at, &one.ended_by) {
        (Some(at), Some(by)) => format!("ended at {} ({by})", view.time(at.0)),
        _ => format!("until {}", view.time(one.until.0)),
    };
    format!(
        "{} freeze of {}, {end}, by {}: {}",
        view.time(one.since.0),
        one.what,
        one.by,
        one.reason
    )
}

#[cfg(test)]
mod tests;
