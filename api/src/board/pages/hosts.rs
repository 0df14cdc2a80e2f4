//! The page of all hosts, the worst first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::situation::{FindingCode, Protection};
use tachi_operator::{HostView, MonitorView, RegisteredView, SituationView, UnderwayView};

use super::fragments::{Fragment, is_on_hold, link, many, mark, nova, total, watched};

/// The filters above the table: the tag of the rows, and the label.
const CHIPS: [(&str, &str); 4] = [
    ("down", "down"),
    ("held", "on hold"),
    ("frozen", "frozen"),
    ("drained", "drained"),
];

/// The page of all hosts.
#[derive(Template)]
#[template(path = "hosts.html")]
pub(super) struct Hosts<'a> {
    rows: Vec<Row<'a>>,
    /// The numbers of all fence levels in the region.
    levels: Vec<u32>,
    /// Each filter with its tag, its label and its number of hosts.
    chips: Vec<(&'static str, &'static str, usize)>,
}

/// Facts about a host outside its own view.
#[derive(Default)]
struct HostContext<'a> {
    registered: Option<&'a RegisteredView>,
    underway: Option<&'a UnderwayView>,
    monitors: Vec<&'a MonitorView>,
    /// True if the host's recovery or one of its instances needs an operator.
    waits: bool,
}

struct Row<'a> {
    view: &'a HostView,
    /// The text that the search field matches, in lower case.
    search: String,
    /// The filters that the host matches.
    tags: Vec<&'static str>,
    /// The severity; higher is worse.
    rank: u8,
    state: Fragment,
    notes: String,
    monitors: Fragment,
    /// The state of the host's device for each fence level of the region; empty if the host has no such level.
    levels: Vec<(u32, Fragment)>,
    why: String,
    recovery: Fragment,
}

impl<'a> Hosts<'a> {
    pub(super) fn of(situation: &'a SituationView) -> Self {
        let mut about: BTreeMap<&str, HostContext<'_>> = BTreeMap::new();
        for one in situation.segments.iter().flat_map(|segment| &segment.hosts) {
            about.entry(&one.name).or_default().registered = Some(one);
        }
        for monitor in &situation.monitors {
            about.entry(&monitor.host).or_default().monitors.push(monitor);
        }
        for recovery in &situation.recoveries {
            let known = about.entry(&recovery.host).or_default();
            if known.underway.is_none_or(|other| other.life != Life::Open) {
                known.underway = Some(recovery);
            }
        }
        let needs = &situation.needs_person;
        let on_hold = needs.recoveries.iter().map(|recovery| recovery.host.as_str());
        for host in on_hold.chain(needs.instances.iter().map(|instance| instance.host.as_str())) {
            about.entry(host).or_default().waits = true;
        }
        let levels = situation.hosts.iter().flat_map(|host| &host.levels);
        let levels: BTreeSet<u32> = levels.map(|level| level.level).collect();
        let nothing = HostContext::default();
        let row = |view: &'a HostView| {
            let known = about.get(view.name.as_str()).unwrap_or(&nothing);
            Row::of(view, known, &levels)
        };
        let mut rows: Vec<Row<'a>> = situation.hosts.iter().map(row).collect();
        // The hosts arrive sorted by name, and the stable sort keeps that order.
        rows.sort_by_key(|row| Reverse(row.rank));
        let number = |chip: &str| rows.iter().filter(|row| row.tags.contains(&chip)).count();
        Self {
            chips: CHIPS
                .iter()
                .map(|(chip, label)| (*chip, *label, number(chip)))
                .collect(),
            rows,
            levels: levels.iter().copied().collect(),
        }
    }
}

/// Returns the severity and the state of a host.
fn state(view: &HostView, known: &HostContext<'_>) -> (u8, Fragment) {
    let open = known.underway.filter(|row| row.life == Life::Open);
    let open = open.map(|row| (row.kind, is_on_hold(&row.waits)));
    let registered = known.registered.and_then(|one| one.life) == Some(Life::Open);
    let is_up = view.up == Some(true);
    match (open, registered) {
        (Some((RecoveryKind::Host, true)), _) if is_up => (9, mark("err", "reported dead: on hold")),
        (Some((RecoveryKind::Host, true)), _) => (9, mark("down", "dead: on hold")),
        (Some((_, true)), _) => (9, mark("err", "on hold")),
        (Some((RecoveryKind::Drain, false)), _) => (3, mark("busy", "being drained")),
        (Some((RecoveryKind::Giveback, false)), _) => (3, mark("busy", "instances move back")),
        (Some((RecoveryKind::Vm | RecoveryKind::Process, false)), _) => (4, mark("busy", "in recovery")),
        // A report about a host that is up in Nova is examined first.
        (Some((RecoveryKind::Host, false)), _) | (None, true) if is_up => {
            (6, mark("degraded", "reported dead: being checked"))
        }
        (Some((RecoveryKind::Host, false)), _) | (None, true) => (7, mark("down", "dead: being recovered")),
        (None, false) => {
            let rank = match view.protection {
                Protection::Down => 8,
                Protection::Unprotected => 5,
                Protection::Unknown => 4,
                Protection::Degraded => 2,
                Protection::Protected => 1,
                Protection::NotMeant => 0,
            };
            let rank = if view.up == Some(false) { rank.max(6) } else { rank };
            let rank = if known.waits { 8 } else { rank };
            (rank, mark(view.protection.as_str(), ""))
        }
    }
}

impl<'a> Row<'a> {
    fn of(view: &'a HostView, known: &HostContext<'_>, levels: &BTreeSet<u32>) -> Self {
        let (rank, state) = state(view, known);
        let underway = known.underway;
        let on_hold = underway.is_some_and(|row| is_on_hold(&row.waits));
        let is_frozen = view.reasons.contains(&FindingCode::Frozen);
        let drained = view.reasons.contains(&FindingCode::HostDisabled)
            || underway.is_some_and(|row| row.kind == RecoveryKind::Drain);
        let watching =
            underway.is_some_and(|row| row.life.awaits_return(row.waits.as_ref().map(|wait| wait.what)));
        let is_down = view.up == Some(false) || view.protection == Protection::Down;
        let tags = [
            (is_down, "down"),
            (on_hold, "held"),
            (is_frozen, "frozen"),
            (drained, "drained"),
        ];
        let notes = [
            (known.waits && !on_hold, "an instance needs an operator"),
            (watching, "not back yet"),
            (is_frozen, "frozen"),
            (
                known.registered.is_some_and(|one| one.on_maintenance),
                "in maintenance",
            ),
            (view.reserved, "reserved"),
            (
                view.reasons.contains(&FindingCode::SegmentDisabled),
                "segment disabled",
            ),
        ];
        let present = |all: &[(bool, &'static str)]| -> Vec<&'static str> {
            all.iter()
                .filter(|(is_so, _)| *is_so)
                .map(|(_, label)| *label)
                .collect()
        };
        let notes = present(&notes).join(", ");
        // The state shows that it is being recovered, or on hold.
        let reasons = view
            .reasons
            .iter()
            .filter(|code| underway.is_none() || **code != FindingCode::HostUnderRecovery);
        let reasons: Vec<&str> = reasons.map(|code| code.as_str()).collect();
        let why = reasons.join(", ");
        let search = format!(
            "{} {} {} {why} {notes} {}",
            view.name,
            view.segment.as_deref().unwrap_or("no segment"),
            view.protection.as_str(),
            if underway.is_some() { "recovery dead" } else { "" }
        );
        let level = |number: &u32| {
            let own = view.levels.iter().find(|level| level.level == *number);
            let rows = own.map(|one| {
                if one.good {
                    mark("ok", "works")
                } else {
                    mark("err", "fails")
                }
            });
            (*number, rows.unwrap_or_else(Fragment::nothing))
        };
        Self {
            view,
            search: search.to_lowercase(),
            tags: present(&tags),
            rank,
            state,
            notes,
            monitors: watched(&known.monitors, view.up),
            levels: levels.iter().map(level).collect(),
            why,
            recovery: underway.map_or_else(Fragment::nothing, |row| {
                link("recovery", row.id, row.life.as_str())
            }),
        }
    }
}
