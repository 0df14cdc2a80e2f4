//! `tachi show HOST|INSTANCE --if-fails`: a simulated failure of the host. The answer combines what the other commands show and reads
//! nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;
use tachi_domain::situation::{FindingCode, Need, Protection};
use tachi_domain::{Timestamp, count};
use tachi_operator::when::ago;
use tachi_operator::{
    ExplanationView, Failure, ForecastView, LandingView, LevelView, OutcomeView, Prediction, one_line,
};

use super::super::forecast::outcome;
use super::need_lines;
use crate::arguments::ShowArgs;
use crate::out::answer;
use crate::prediction::predicted;
use crate::source::Source;

/// Limit of the instances that are named of each class.
const NAMED: usize = 20;

/// Limit of the hosts with capacity that are named.
const ROOMY: usize = 3;

/// The simulated failure of a host, or its effect on one of its instances.
#[derive(Serialize)]
struct IfDies {
    kind: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    host: String,
    protection: Protection,
    /// True if it would be recovered; null if that is unknown, if an operator would decide, or if some may have no room.
    recovered: Option<bool>,
    /// The guards that would put the recovery on hold, each with its reason.
    held: Vec<String>,
    /// The means of confirming the host off, for people.
    proven_off: String,
    /// Instances in the order of their classes; for an instance only itself.
    moved: Vec<EvacuatedInstance>,
    /// Instances that would stay, and why.
    left: Vec<Left>,
    room: Option<OutcomeView>,
    /// Times of earlier recoveries.
    predicted: Option<Prediction>,
    #[serde(skip)]
    expected: ExpectedOutcome,
    #[serde(skip)]
    why: Vec<String>,
    #[serde(skip)]
    room_seen: Option<Timestamp>,
    #[serde(skip)]
    marked_before: usize,
}

/// An instance that would be moved.
#[derive(Clone, Serialize)]
struct EvacuatedInstance {
    id: String,
    name: String,
    /// Hosts where it may land; null while too little is known of what hosts have.
    landing: Option<LandingView>,
}

impl EvacuatedInstance {
    fn is_marked(&self) -> Option<bool> {
        self.landing.as_ref().map(|one| one.ha_enabled)
    }
}

/// An instance that would stay.
#[derive(Clone, Serialize)]
struct Left {
    id: String,
    name: String,
    why: String,
}

/// Shows the simulated failure of every host and instance of that name.
pub(super) async fn run(source: &dyn Source, args: &ShowArgs) -> Result<u8, Failure> {
    let name = args.name.trim();
    let found = source.explanations(name).await?;
    if found.is_empty() {
        return Err(Failure::from_text(format!(
            "no host or instance named {name:?}: --if-fails knows those that engines have read; `tachi status --all-hosts` lists hosts"
        )));
    }
    let predicted = predicted(source).await?;
    let fencing = source.situation().await?;
    // A region whose engine accepts another system's report as proof has no levels of ours.
    let fencing_text = (fencing.fencing_mode != "engine").then_some(fencing.fencing);
    let mut shown = Vec::new();
    for one in found {
        let host = one.host.clone().unwrap_or_else(|| one.name.clone());
        let home = if one.kind == "host" {
            Some(one.clone())
        } else {
            let all = source.explanations(&host).await?;
            all.into_iter().find(|home| home.kind == "host")
        };
        let registered = home.as_ref().is_some_and(|home| home.segment.is_some());
        let forecast = if registered {
            Some(source.forecast(None, std::slice::from_ref(&host)).await?)
        } else {
            None
        };
        let now = source.now();
        shown.push(IfDies::of(
            &one,
            home.as_ref(),
            forecast.as_ref(),
            predicted.as_ref(),
            fencing_text.as_deref(),
            now,
        ));
    }
    let now = source.now();
    answer::object(
        &args.shape,
        now,
        || json!(shown),
        |_| {
            let all: Vec<Vec<String>> = shown.iter().map(|one| one.lines(now)).collect();
            all.join(&String::new())
        },
    )?;
    Ok(crate::DONE)
}

/// The outcome of a simulated failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExpectedOutcome {
    Recovered,
    /// The guards would put the recovery on hold.
    OnHold,
    /// Other hosts may lack capacity.
    NotAll,
    Lost,
    Unknown,
}

impl ExpectedOutcome {
    fn of(protection: Protection, home: Option<&ExplanationView>) -> Self {
        let findings = home.into_iter().flat_map(|home| &home.needs);
        let codes: Vec<FindingCode> = findings
            .flat_map(|need| &need.findings)
            .map(|one| one.code)
            .collect();
        match recovered(protection) {
            Some(true) if codes.contains(&FindingCode::RecoveryWouldHold) => Self::OnHold,
            Some(true) if codes.contains(&FindingCode::NoRoom) => Self::NotAll,
            Some(true) => Self::Recovered,
            Some(false) => Self::Lost,
            None => Self::Unknown,
        }
    }

    const fn recovered(self) -> Option<bool> {
        match self {
            Self::Recovered => Some(true),
            Self::Lost => Some(false),
            Self::OnHold | Self::NotAll | Self::Unknown => None,
        }
    }
}

/// Returns true if something with this protection would be recovered, unless the guards hold it or there is no room; `None` if that is
/// unknown.
const fn recovered(protection: Protection) -> Option<bool> {
    match protection {
        Protection::Protected | Protection::Degraded => Some(true),
        Protection::Unknown => None,
        Protection::Unprotected | Protection::Down | Protection::NotMeant => Some(false),
    }
}

impl IfDies {
    fn of(
        one: &ExplanationView,
        home: Option<&ExplanationView>,
        forecast: Option<&ForecastView>,
        predicted: Option<&Prediction>,
        fencing_text: Option<&str>,
        now: Timestamp,
    ) -> Self {
        let landing = forecast.map(|forecast| forecast.landing.as_slice());
        let landing = landing.unwrap_or_default();
        let levels = home.map(|home| home.levels.as_slice()).unwrap_or_default();
        let mut moved = Vec::new();
        let mut left = Vec::new();
        for hosted in home.and_then(|home| home.hosted.as_ref()).into_iter().flatten() {
            let (id, name) = (hosted.id.clone(), hosted.name.clone());
            if home.is_some_and(|home| hosted.is_moved_with(home.protection)) {
                let landing = landing.iter().find(|one| one.id == id).cloned();
                moved.push(EvacuatedInstance { id, name, landing });
                continue;
            }
            let reasons: Vec<&str> = hosted.reasons.iter().map(|code| code.as_str()).collect();
            let why = match &hosted.left {
                Some(left) => left.clone(),
                None if reasons.is_empty() => format!("host state {}", hosted.protection),
                None => format!("{}: {}", hosted.protection, reasons.join(", ")),
            };
            left.push(Left { id, name, why });
        }
        moved.sort_by(|one, other| {
            let class = |instance: &EvacuatedInstance| instance.is_marked() != Some(true);
            class(one)
                .cmp(&class(other))
                .then_with(|| one.name.cmp(&other.name))
        });
        let marked_before = moved.iter().filter(|one| one.is_marked() == Some(true)).count();
        if let Some(id) = &one.id {
            moved.retain(|other| other.id == *id);
            left.retain(|other| other.id == *id);
        }
        let room = forecast.and_then(|forecast| forecast.lost.clone());
        let expected = ExpectedOutcome::of(one.protection, home);
        let held = if expected == ExpectedOutcome::OnHold {
            reasons(home, room.as_ref())
        } else {
            Vec::new()
        };
        let blockers = one.needs.iter().filter(|need| !need.findings.is_empty());
        Self {
            kind: one.kind.clone(),
            name: one.name.clone(),
            id: one.id.clone(),
            host: one.host.clone().unwrap_or_else(|| one.name.clone()),
            protection: one.protection,
            recovered: expected.recovered(),
            held,
            expected,
            proven_off: fencing_text.map_or_else(|| proven_off(levels, now), str::to_owned),
            moved,
            left,
            room,
            predicted: predicted.cloned(),
            why: blockers
                // An instance that policy excludes has a line of its own.
                .filter(|need| !(need.need == Need::Meant && one.left.is_some()))
                .flat_map(|need| need_lines(one, need, now))
                .collect(),
            room_seen: forecast.and_then(|forecast| forecast.as_of).map(|at| at.0),
            marked_before,
        }
    }

    fn lines(&self, now: Timestamp) -> Vec<String> {
        let mut lines = vec![self.head()];
        lines.extend(self.why.iter().cloned());
        lines.extend(
            self.left
                .iter()
                .take(NAMED)
                .map(|one| format!("  not moved  {}: {}", one_line(&one.name), one.why)),
        );
        if self.left.len() > NAMED {
            lines.push(format!("  not moved  and {} more", self.left.len() - NAMED));
        }
        if matches!(self.expected, ExpectedOutcome::Lost | ExpectedOutcome::Unknown) {
            return lines;
        }
        lines.push(format!("  confirmed off {}", self.proven_off));
        lines.extend(self.order());
        if let (Some(room), "host") = (&self.room, self.kind.as_str()) {
            let room_age = self.room_seen.map_or_else(String::new, |at| {
                format!(" (an estimate; Placement seen {})", ago(at, now))
            });
            lines.push(format!("  room       {}{room_age}", outcome(room)));
        }
        lines.push(match (self.expected, &self.predicted) {
            (ExpectedOutcome::OnHold, _) => "  duration   unknown: until an operator approves it".to_owned(),
            (_, Some(predicted)) => format!("  duration   {}", predicted.sentence()),
            (_, None) => "  duration   unknown (no previous recovery)".to_owned(),
        });
        lines
    }

    fn head(&self) -> String {
        if self.id.is_none() {
            let then = match (self.expected, self.moved.len(), self.left.len()) {
                (ExpectedOutcome::OnHold, 0, _) => "its recovery would wait for an operator".to_owned(),
                (ExpectedOutcome::OnHold, moved, _) => format!(
                    "its recovery, with {}, would wait for an operator",
                    count(moved, "instance", "instances")
                ),
                (ExpectedOutcome::NotAll, moved, left) => {
                    let all = count(moved + left, "instance", "instances");
                    format!("not all of its {all} would be recovered: other hosts lack room")
                }
                (ExpectedOutcome::Recovered, 0, 0) => "there is nothing on it to recover".to_owned(),
                (ExpectedOutcome::Recovered, moved, 0) => {
                    format!("{} would be recovered", count(moved, "instance", "instances"))
                }
                (ExpectedOutcome::Recovered, moved, left) => {
                    format!("{moved} of {} instances would be recovered", moved + left)
                }
                (ExpectedOutcome::Lost, ..) => "nothing of it would be recovered".to_owned(),
                (ExpectedOutcome::Unknown, ..) => "it is not known if anything would be recovered".to_owned(),
            };
            return format!("if {} failed now, {then}", self.name);
        }
        let label = self.protection.label().to_ascii_uppercase();
        let then = match (self.protection, &self.predicted) {
            (Protection::Protected | Protection::Degraded, _) if self.expected == ExpectedOutcome::OnHold => {
                "if that failed now it would wait for an operator".to_owned()
            }
            (Protection::Protected | Protection::Degraded, _) if self.expected == ExpectedOutcome::NotAll => {
                "if that failed now it might stay down: other hosts lack room for all of that host".to_owned()
            }
            (Protection::Protected | Protection::Degraded, Some(predicted)) => format!(
                "if that failed now it would be back in about {:.0} s",
                predicted.median_seconds.max(1.0)
            ),
            (Protection::Protected | Protection::Degraded, None) => {
                "if that failed now it would be recovered; its duration is unknown: no host has been recovered yet".to_owned()
            }
            (Protection::Unknown, _) => "if that failed now the outcome is unknown".to_owned(),
            (Protection::Unprotected, _) => "if that failed now it would stay down".to_owned(),
            (Protection::Down, _) => format!("it is down, or may be, already: tachi show {}", self.name),
            (Protection::NotMeant, _) => "if that failed now it would stay down: policy excludes it".to_owned(),
        };
        format!("{} is {label} on {}; {then}", one_line(&self.name), self.host)
    }

    /// Describes the order of the evacuations, and where each instance may land.
    fn order(&self) -> Vec<String> {
        if let ("instance", [own]) = (self.kind.as_str(), self.moved.as_slice()) {
            let order = match own.is_marked() {
                Some(true) => "it is marked, and moved among the first".to_owned(),
                Some(false) if self.marked_before == 0 => "nothing on its host is marked".to_owned(),
                Some(false) => format!(
                    "after {}",
                    count(self.marked_before, "marked instance", "marked instances")
                ),
                None => return Vec::new(),
            };
            let mut lines = vec![format!("  order      {order}")];
            lines.extend(
                own.landing
                    .as_ref()
                    .map(|one| format!("  room       {}", lands(one))),
            );
            return lines;
        }
        let mut lines = Vec::new();
        for (order, class) in [
            ("first", Some(true)),
            ("then", Some(false)),
            // The class of these instances is unknown.
            ("moved", None),
        ] {
            let all: Vec<&EvacuatedInstance> =
                self.moved.iter().filter(|one| one.is_marked() == class).collect();
            for one in all.iter().take(NAMED) {
                let name = one_line(&one.name);
                let mark = if class == Some(true) { " (marked)" } else { "" };
                let lands = one.landing.as_ref().map(|one| format!(": {}", lands(one)));
                lines.push(format!("  {order:<10} {name}{mark}{}", lands.unwrap_or_default()));
            }
            if all.len() > NAMED {
                lines.push(format!("  {order:<10} and {} more", all.len() - NAMED));
            }
        }
        lines
    }
}

/// Returns the reasons for which the guards would hold the recovery: those of the forecast, else the finding.
fn reasons(home: Option<&ExplanationView>, room: Option<&OutcomeView>) -> Vec<String> {
    let held = room.map(|room| room.held.clone()).unwrap_or_default();
    if !held.is_empty() {
        return held;
    }
    let needs = home.into_iter().flat_map(|home| &home.needs);
    let found = needs.flat_map(|need| &need.findings);
    let found = found.filter(|one| one.code == FindingCode::RecoveryWouldHold);
    found.map(|one| one.text.clone()).collect()
}

/// Describes where an instance may land.
fn lands(landing: &LandingView) -> String {
    if let Some(why) = &landing.not_reckoned {
        return format!("not known where: it requires {why}, which the forecast does not model");
    }
    let fits = landing.fits.unwrap_or_default();
    if fits == 0 {
        return format!(
            "none of {} that may be chosen has room for it",
            count(landing.of, "host", "hosts")
        );
    }
    let named: Vec<&str> = landing.hosts.iter().take(ROOMY).map(String::as_str).collect();
    let more = if usize::try_from(fits).unwrap_or(usize::MAX) > named.len() {
        ", ..."
    } else {
        ""
    };
    let has = if fits == 1 { "has" } else { "have" };
    format!(
        "{fits} of {} {has} room: {}{more}",
        count(landing.of, "host", "hosts"),
        named.join(", ")
    )
}

/// Describes the levels that confirm a host off: each is tried if the ones before it fail.
fn proven_off(levels: &[LevelView], now: Timestamp) -> String {
    if levels.is_empty() {
        return "by no tested fence device (`tachi fence test`)".to_owned();
    }
    let mut by: BTreeMap<u32, Vec<&LevelView>> = BTreeMap::new();
    for level in levels {
        by.entry(level.level).or_default().push(level);
    }
    let mut text = String::new();
    let mut works = false;
    for (number, devices) in by {
        let names: Vec<String> = devices.iter().map(|device| one_line(&device.device)).collect();
        let names = names.join(" with ");
        let outcome = if let Some(bad) = devices.iter().find(|device| !device.good) {
            let why = bad.fault.as_deref().unwrap_or("has no recent test");
            format!("not by level {number}, {names}: {}", one_line(why))
        } else {
            let oldest = devices
                .iter()
                .map(|device| device.tested_at.0)
                .min()
                .unwrap_or(now);
            let before = if works { "if that fails, by" } else { "by" };
            works = true;
            format!(
                "{before} level {number}, {names}, which worked {}",
                ago(oldest, now)
            )
        };
        let join = if text.is_empty() { "" } else { "; " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{join}{outcome}");
    }
    if !works {
        text.push_str("; so by none");
    }
    text
}

#[cfg(test)]
mod tests {
    use tachi_operator::Time;

    use super::super::super::status::common::tests::fine;
    use super::*;

    fn level(number: u32, device: &str, good: bool, fault: Option<&str>) -> LevelView {
        LevelView {
            level: number,
            device: device.to_owned(),
            tested_at: Time(Timestamp::from_micros(0)),
            good,
            power: None,
            fault: fault.map(str::to_owned),
        }
    }

    #[test]
    fn a_level_works_only_with_all_of_its_devices_and_the_next_is_told() {
        let now = Timestamp::from_micros(4_000_000);
        let rendered = |levels: &[LevelView]| proven_off(levels, now);
        assert_eq!(
            rendered(&[level(1, "bmc", true, None), level(2, "pdu", true, None)]),
            "by level 1, bmc, which worked 4 s ago; if that fails, by level 2, pdu, which worked 4 s ago"
        );
        assert_eq!(
            rendered(&[
                level(1, "feed-a", true, None),
                level(1, "feed-b", false, Some("no answer")),
                level(2, "pdu", true, None)
            ]),
            "not by level 1, feed-a with feed-b: no answer; by level 2, pdu, which worked 4 s ago"
        );
        assert_eq!(
            rendered(&[level(1, "bmc", false, None)]),
            "not by level 1, bmc: has no recent test; so by none"
        );
        assert!(rendered(&[]).starts_with("by no tested fence device"));
    }

    /// The guards decide when the host fails, whatever its protection is called.
    /// Covers R24.
    #[test]
    fn a_recovery_that_the_guards_would_hold_or_that_lacks_room_is_not_promised() {
        let why = "G11 protected: it is listed";
        let predicted = Prediction {
            recoveries: 2,
            median_seconds: 8.7,
            worst_seconds: 20.0,
        };
        for (code, head, of_instance, held) in [
            (
                FindingCode::RecoveryWouldHold,
                "if a failed now, its recovery would wait for an operator",
                "vm is DEGRADED on a; if that failed now it would wait for an operator",
                vec![why.to_owned()],
            ),
            (
                FindingCode::NoRoom,
                "if a failed now, not all of its 0 instances would be recovered: other hosts lack room",
                "vm is DEGRADED on a; if that failed now it might stay down: other hosts lack room for all of that host",
                Vec::new(),
            ),
        ] {
            let snapshot = fine();
            let mut home = ExplanationView::of(&snapshot, &snapshot.situation.explain("a")[0]);
            home.protection = Protection::Degraded;
            let finding = json!({
                "code": code, "grade": "warn", "subjects": ["a"], "instances": 1, "since": null, "text": why, "fix": null, "page": "",
            });
            let need = home.needs.iter_mut().find(|need| need.need == code.need());
            need.unwrap()
                .findings
                .push(serde_json::from_value(finding).unwrap());
            let rendered = |view: &ExplanationView| {
                IfDies::of(view, Some(&home), None, Some(&predicted), None, snapshot.now)
            };
            let of_host = rendered(&home);
            assert_eq!(of_host.head(), head);
            assert_eq!((of_host.recovered, of_host.held), (None, held), "{code}");
            let mut instance = home.clone();
            instance.kind = "instance".to_owned();
            instance.name = "vm".to_owned();
            (instance.id, instance.host) = (Some("1".to_owned()), Some("a".to_owned()));
            let of_it = rendered(&instance);
            assert_eq!((of_it.head().as_str(), of_it.recovered), (of_instance, None));
        }
    }

    #[test]
    fn what_would_not_be_recovered_says_so_and_promises_no_time() {
        let snapshot = fine();
        let mut view = ExplanationView::of(&snapshot, &snapshot.situation.explain("a")[0]);
        let predicted = Prediction {
            recoveries: 2,
            median_seconds: 8.7,
            worst_seconds: 20.0,
        };
        let rendered = |view: &ExplanationView| {
            let all = IfDies::of(view, Some(view), None, Some(&predicted), None, snapshot.now);
            all.lines(snapshot.now).join("\n")
        };
        assert!(
            rendered(&view).contains("  duration   the last 2 recoveries"),
            "{}",
            rendered(&view)
        );
        for (protection, head) in [
            (
                Protection::Unprotected,
                "if a failed now, nothing of it would be recovered",
            ),
            (
                Protection::Unknown,
                "if a failed now, it is not known if anything would be recovered",
            ),
        ] {
            view.protection = protection;
            assert!(rendered(&view).starts_with(head), "{}", rendered(&view));
            assert!(!rendered(&view).contains("takes"), "{}", rendered(&view));
        }
        view.kind = "instance".to_owned();
        (view.id, view.host) = (Some("1".to_owned()), Some("b".to_owned()));
        for (protection, head) in [
            (
                Protection::Protected,
                "a is PROTECTED on b; if that failed now it would be back in about 9 s",
            ),
            (
                Protection::Unprotected,
                "a is UNPROTECTED on b; if that failed now it would stay down",
            ),
            (
                Protection::NotMeant,
                "a is EXCLUDED on b; if that failed now it would stay down: policy excludes it",
            ),
            (
                Protection::Down,
                "a is DOWN on b; it is down, or may be, already: tachi show a",
            ),
        ] {
            view.protection = protection;
            assert!(rendered(&view).starts_with(head), "{}", rendered(&view));
        }
    }
}
