//! Contents of the overview, built once for each answer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tachi_domain::RecoveryId;
use tachi_domain::count;
use tachi_domain::recovery::Life;
use tachi_domain::situation::{FindingCode, Protection, Severity};
use tachi_operator::when::ago;
use tachi_operator::{
    FindingView, Flags, HostView, RecoveryHistoryView, RegisteredView, SituationView, UnderwayView, WaitView,
    counted, one_line,
};

use super::super::status::{findings, tree};
use crate::out::{View, Zone, plain};

/// Severity of a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Quiet,
    Busy,
    Warn,
    Unknown,
    Bad,
}

/// A sign with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StatusMark {
    pub(super) tone: Tone,
    pub(super) label: String,
}

impl StatusMark {
    fn new(tone: Tone, label: impl Into<String>) -> Self {
        Self {
            tone,
            label: label.into(),
        }
    }

    /// Returns the sign as it is drawn. A good sign of stale data is unknown.
    pub(super) fn shown(&self, old: bool) -> (Tone, String) {
        let tone = if old && self.tone == Tone::Good {
            Tone::Unknown
        } else {
            self.tone
        };
        let was = if old && self.tone == Tone::Good {
            "was "
        } else {
            ""
        };
        let sign = match tone {
            Tone::Good => "●",
            Tone::Quiet => "·",
            Tone::Busy => "…",
            Tone::Warn => "!",
            Tone::Unknown => "?",
            Tone::Bad => "✗",
        };
        (tone, format!("{sign} {was}{}", self.label))
    }
}

/// A host in the overview.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// The name in commands.
    pub(super) name: String,
    /// The name on the screen.
    pub(super) shown: String,
    pub(super) flags: String,
    pub(super) nova: StatusMark,
    pub(super) fence: StatusMark,
    /// The monitors on this host that have ever sent a heartbeat.
    pub(super) monitors: StatusMark,
    /// The state of each of the region's levels on this host; `None` if the host has no fence level of that number.
    pub(super) levels: Vec<Option<StatusMark>>,
    pub(super) instances: String,
    pub(super) state: StatusMark,
    /// Returned and total instances, while the host is under recovery.
    pub(super) back: Option<(u64, u64)>,
    /// The host's open recovery.
    pub(super) open: Option<RecoveryId>,
    /// The wait of that recovery.
    pub(super) waits: Option<WaitView>,
    /// The evidence about the host, if its recovery is on hold because of that.
    pub(super) evidence: Option<String>,
    /// Rank of the host: higher is worse.
    rank: u8,
    /// Text that a filter searches.
    search: String,
}

impl Host {
    /// True if the host matches each of these words, in lower case.
    pub(super) fn has(&self, terms: &[String]) -> bool {
        terms.iter().all(|term| self.search.contains(term))
    }
}

/// A finding, in a line.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// Key of the finding.
    pub(super) key: String,
    pub(super) grade: Severity,
    pub(super) text: String,
}

impl Finding {
    /// Returns a key that stays the same for the same finding in later answers.
    pub(super) fn key_of(view: &FindingView) -> String {
        let subject = view.subjects.first().map_or("", String::as_str);
        format!("{} {subject}", view.code)
    }
}

/// The hosts of a segment, or of none.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) title: String,
    pub(super) hosts: Vec<Host>,
}

#[derive(Clone, Debug)]
pub(super) struct Region {
    /// Name of the region, and the time of its assessment, for people.
    pub(super) clock: String,
    pub(super) grade: Severity,
    pub(super) sentence: String,
    pub(super) engines: Vec<StatusMark>,
    pub(super) findings: Vec<Finding>,
    pub(super) groups: Vec<Group>,
    /// The numbers of all fence levels that any host has.
    pub(super) levels: Vec<u32>,
    /// The last steps of the running recovery, or else of the newest.
    pub(super) history: Vec<String>,
}

impl Region {
    pub(super) fn of(situation: &SituationView, newest: Option<&RecoveryHistoryView>, zone: Zone) -> Self {
        let judged: BTreeMap<&str, &HostView> = situation
            .hosts
            .iter()
            .map(|host| (host.name.as_str(), host))
            .collect();
        let open = situation.recoveries.iter().filter(|row| row.life == Life::Open);
        let open: BTreeMap<&str, &UnderwayView> = open.map(|row| (row.host.as_str(), row)).collect();
        let flags = Flags::of(situation);
        let levels: BTreeSet<u32> = situation
            .hosts
            .iter()
            .flat_map(|host| &host.levels)
            .map(|one| one.level)
            .collect();
        let levels: Vec<u32> = levels.into_iter().collect();
        let monitors = monitors(situation);
        let why = HostFindings::of(situation);
        let made = |view: &HostView, registered: Option<&RegisteredView>, segment: &str| {
            let row = open.get(view.name.as_str()).copied();
            let mut host = of_host(view, row, situation, flags.host(view, registered));
            if row.is_none()
                && let Some(text) = view
                    .reasons
                    .first()
                    .and_then(|code| why.finding_text(view, *code))
            {
                host.state.label = plain(&format!("{}: {text}", host.state.label));
            }
            if let Some((good, all)) = monitors.get(view.name.as_str()) {
                // The heartbeats of a host that Nova shows down are from before its failure.
                let tone = match (good == all, view.up) {
                    (true, Some(false)) => Tone::Unknown,
                    (true, Some(true) | None) => Tone::Good,
                    (false, _) => Tone::Bad,
                };
                host.monitors = StatusMark::new(tone, format!("{good}/{all}"));
            }
            host.levels = levels.iter().map(|number| level(view, *number)).collect();
            host.search = search(&host, segment, registered);
            host
        };
        let mut groups: Vec<Group> = situation
            .segments
            .iter()
            .map(|segment| {
                let hosts = segment.hosts.iter().filter_map(|host| {
                    let view = judged.get(host.name.as_str())?;
                    Some(made(view, Some(host), &segment.name))
                });
                let disabled = if segment.enabled { "" } else { " DISABLED" };
                Group {
                    title: plain(&format!(
                        "{} {}{disabled}: {} of {} in service{}, {}",
                        segment.name,
                        segment.recovery_method,
                        segment.working,
                        count(segment.hosts.len(), "host", "hosts"),
                        tree::n_plus(situation, segment),
                        counted(segment.instances, 0)
                    )),
                    hosts: sorted(hosts.collect()),
                }
            })
            .collect();
        let strangers: Vec<Host> = situation
            .hosts
            .iter()
            .filter(|view| view.segment.is_none())
            .map(|view| made(view, None, ""))
            .collect();
        if !strangers.is_empty() {
            groups.push(Group {
                title: "in no segment, so not recovered".to_owned(),
                hosts: sorted(strangers),
            });
        }
        Self {
            clock: clock(situation, zone),
            grade: situation.grade,
            sentence: situation.sentence(),
            engines: engines(situation),
            findings: situation
                .findings
                .iter()
                .map(|finding| Finding {
                    key: Finding::key_of(finding),
                    grade: finding.grade,
                    text: plain(&format!(" {}", findings::line(finding, situation.at.0).trim())),
                })
                .collect(),
            groups,
            levels,
            history: newest.map(|newest| history(newest, zone)).unwrap_or_default(),
        }
    }
}

/// Sorts the worst first; hosts arrive sorted by name, and the stable sort keeps that order.
fn sorted(mut hosts: Vec<Host>) -> Vec<Host> {
    hosts.sort_by_key(|host| Reverse(host.rank));
    hosts
}

/// Returns the rank of a host.
fn rank(view: &HostView, row: Option<&UnderwayView>) -> u8 {
    let is_on_hold = |row: &UnderwayView| row.waits.as_ref().is_some_and(|wait| wait.held);
    let own = match view.protection {
        Protection::Down => 7,
        Protection::Unprotected => 4,
        Protection::Unknown => 3,
        Protection::Degraded => 2,
        Protection::Protected => 1,
        Protection::NotMeant => 0,
    };
    match (row, view.up) {
        (Some(row), _) if is_on_hold(row) => 8,
        (Some(_), _) => 6,
        (None, Some(false)) => own.max(5),
        (None, Some(true) | None) => own,
    }
}

fn clock(situation: &SituationView, zone: Zone) -> String {
    let clock = View::in_zone(zone, situation.at.0).clock(situation.at.0);
    match &situation.region {
        Some(region) => plain(&format!("{region} {clock}")),
        None => clock,
    }
}

/// Returns signs of the number of running engines, the worst state of each part, the age of the Nova data, the queue, and each engine.
fn engines(situation: &SituationView) -> Vec<StatusMark> {
    let alive = situation.engines.iter().filter(|engine| engine.alive).count();
    let tone = match alive {
        0 => Tone::Bad,
        alive if alive < situation.engines.len() => Tone::Warn,
        _ => Tone::Good,
    };
    let mut signs = vec![StatusMark::new(
        tone,
        format!("engines {alive}/{}", situation.engines.len()),
    )];
    signs.extend(room(situation));
    signs.extend(situation.parts().into_iter().map(|(part, is_well)| {
        let tone = if is_well { Tone::Good } else { Tone::Bad };
        StatusMark::new(tone, plain(part))
    }));
    let looked = situation.looked_at.map_or_else(
        || "Nova not read yet".to_owned(),
        |at| format!("Nova read {}", ago(at.0, situation.at.0)),
    );
    signs.push(StatusMark::new(Tone::Quiet, looked));
    for fact in situation.facts.iter().filter(|fact| !fact.fresh) {
        signs.push(StatusMark::new(
            Tone::Unknown,
            format!("{} old", plain(&fact.kind)),
        ));
    }
    let tone = if situation.queue.new == 0 {
        Tone::Quiet
    } else {
        Tone::Busy
    };
    signs.push(StatusMark::new(tone, format!("queue {}", situation.queue.new)));
    signs.extend(situation.engines.iter().map(|engine| {
        let tone = if engine.alive { Tone::Good } else { Tone::Bad };
        let age = situation.at.0.micros_since(engine.signed_at.0).max(0) / 1_000_000;
        StatusMark::new(tone, plain(&format!("{} {age} s ago", engine.name)))
    }));
    signs
}

/// Returns the sign of the segment that tolerates the fewest host failures.
fn room(situation: &SituationView) -> Option<StatusMark> {
    let segments = situation.segments.iter().filter(|segment| segment.enabled);
    let least = segments.min_by_key(|segment| segment.headroom)?;
    let hosts = situation.headroom_of(least)?;
    let is_short = |code| situation.findings.iter().any(|finding| finding.code == code);
    let tone = if is_short(FindingCode::NoRoom) {
        Tone::Warn
    } else if least.headroom.is_none() {
        Tone::Unknown
    } else {
        Tone::Quiet
    };
    Some(StatusMark::new(tone, plain(&format!("{} N+{hosts}", least.name))))
}

const fn tone(protection: Protection) -> Tone {
    match protection {
        Protection::Protected => Tone::Good,
        Protection::Degraded => Tone::Warn,
        Protection::Unknown => Tone::Unknown,
        Protection::Unprotected | Protection::Down => Tone::Bad,
        Protection::NotMeant => Tone::Quiet,
    }
}

/// Returns for each host the number of its good monitors, and of all that have ever sent a heartbeat.
fn monitors(situation: &SituationView) -> BTreeMap<&str, (u32, u32)> {
    let mut by_host: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for monitor in &situation.monitors {
        let (good, all) = by_host.entry(&monitor.host).or_default();
        *good += u32::from(monitor.grade == Severity::Ok);
        *all += 1;
    }
    by_host
}

/// The findings by code and host.
struct HostFindings<'a>(BTreeMap<(FindingCode, &'a str), &'a FindingView>);

impl<'a> HostFindings<'a> {
    fn of(situation: &'a SituationView) -> Self {
        let each = situation.findings.iter().flat_map(|finding| {
            // A finding without subjects is about each host.
            let all = finding.subjects.is_empty().then_some("");
            let subjects = finding.subjects.iter().map(String::as_str).chain(all);
            subjects.map(move |subject| ((finding.code, subject), finding))
        });
        Self(each.collect())
    }

    fn finding_text(&self, host: &HostView, code: FindingCode) -> Option<&'a str> {
        let segment = host.segment.as_ref().map(|name| format!("segment {name}"));
        let subjects = [Some(host.name.as_str()), segment.as_deref(), Some("")];
        let found = subjects
            .into_iter()
            .flatten()
            .find_map(|subject| self.0.get(&(code, subject)));
        found.map(|finding| finding.text.as_str())
    }
}

/// Returns the sign of a host's fence level of this number, from its last test.
fn level(view: &HostView, number: u32) -> Option<StatusMark> {
    let level = view.levels.iter().find(|level| level.level == number)?;
    let tone = if level.good { Tone::Good } else { Tone::Bad };
    Some(StatusMark::new(tone, ""))
}

/// Returns the fencing sign of a host, by the findings: it can be confirmed off or not.
fn fence(view: &HostView, situation: &SituationView) -> StatusMark {
    let has = |codes: &[FindingCode]| view.reasons.iter().any(|code| codes.contains(code));
    if situation.fencing_mode != "engine" {
        return StatusMark::new(Tone::Quiet, plain(&situation.fencing_mode));
    }
    if has(&[
        FindingCode::FencingStopped,
        FindingCode::NoFenceDevice,
        FindingCode::FenceFileUnreadable,
    ]) {
        return StatusMark::new(Tone::Bad, "stopped");
    }
    if has(&[FindingCode::HostWithoutFence]) {
        return StatusMark::new(Tone::Bad, "none");
    }
    if has(&[FindingCode::FenceFailing, FindingCode::FenceForeignMachine]) {
        return StatusMark::new(Tone::Bad, "fails");
    }
    if has(&[FindingCode::FenceLevelFailing]) {
        return StatusMark::new(Tone::Warn, "level");
    }
    if has(&[FindingCode::FenceNotTested]) {
        return StatusMark::new(Tone::Unknown, "untested");
    }
    // A host that is excluded from recovery needs no device.
    if view.segment.is_none() {
        return StatusMark::new(Tone::Quiet, "-");
    }
    StatusMark::new(Tone::Good, "ok")
}

fn of_host(view: &HostView, row: Option<&UnderwayView>, situation: &SituationView, flags: String) -> Host {
    let nova = match view.up {
        Some(true) => StatusMark::new(Tone::Good, "up"),
        Some(false) => StatusMark::new(Tone::Bad, "silent"),
        None => StatusMark::new(Tone::Unknown, "unknown"),
    };
    let instances = view.instances.map_or_else(
        || "?".to_owned(),
        |counts| (counts.included() + counts.not_meant).to_string(),
    );
    let state = if let Some(row) = row {
        let short: String = row.id.to_string().chars().take(4).collect();
        match row.waits.as_ref().filter(|wait| wait.held) {
            Some(wait) => StatusMark::new(Tone::Bad, format!("{short} on hold: {}", wait.about())),
            None => StatusMark::new(Tone::Busy, format!("{short} {}", row.status)),
        }
    } else {
        let protection = view.protection.as_str();
        let why = view
            .reasons
            .first()
            .map_or(String::new(), |code| format!(" {code}"));
        StatusMark::new(tone(view.protection), format!("{protection}{why}"))
    };
    let back = row
        .filter(|row| row.instances > 0)
        .map(|row| (row.back, row.instances));
    Host {
        name: view.name.clone(),
        shown: plain(&view.name),
        flags,
        nova,
        fence: fence(view, situation),
        monitors: StatusMark::new(Tone::Unknown, "none"),
        levels: Vec::new(),
        instances,
        state: StatusMark {
            label: plain(&state.label),
            ..state
        },
        back,
        open: row.map(|row| row.id),
        waits: row.and_then(|row| row.waits.clone()),
        evidence: situation.evidence(&view.name),
        rank: rank(view, row),
        search: String::new(),
    }
}

/// Returns the text that a filter searches: everything that the host's row shows, and its segment.
fn search(host: &Host, segment: &str, registered: Option<&RegisteredView>) -> String {
    let life = registered.and_then(|one| one.life).map_or("", Life::as_str);
    let Host {
        shown,
        flags,
        nova,
        fence,
        monitors,
        state,
        ..
    } = host;
    let signs = [nova, fence, monitors, state]
        .map(|sign| sign.label.as_str())
        .join(" ");
    plain(&format!("{shown} {segment} {signs} {life} {flags}")).to_lowercase()
}

/// Limit of the steps that are kept.
const STEPS: usize = 8;

fn history(history: &RecoveryHistoryView, zone: Zone) -> Vec<String> {
    let host = &history.summary.host;
    let first = history.steps.len().saturating_sub(STEPS);
    let steps = history.steps.iter().skip(first);
    steps
        .map(|step| {
            let at = View::in_zone(zone, step.at.0).clock(step.at.0);
            plain(&format!("{at} {host}: {}", one_line(&step.text)))
        })
        .collect()
}
