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
    pub(super) words: String,
}

impl StatusMark {
    fn new(tone: Tone, words: impl Into<String>) -> Self {
        Self {
            tone,
            words: words.into(),
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
        (tone, format!("{sign} {was}{}", self.words))
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
    pub(super) fn has(&self, words: &[String]) -> bool {
        words.iter().all(|word| self.search.contains(word))
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
    pub(super) fn of(seen: &SituationView, newest: Option<&RecoveryHistoryView>, zone: Zone) -> Self {
        let judged: BTreeMap<&str, &HostView> =
            seen.hosts.iter().map(|host| (host.name.as_str(), host)).collect();
        let open = seen.recoveries.iter().filter(|row| row.life == Life::Open);
        let open: BTreeMap<&str, &UnderwayView> = open.map(|row| (row.host.as_str(), row)).collect();
        let flags = Flags::of(seen);
        let levels: BTreeSet<u32> = seen
            .hosts
            .iter()
            .flat_map(|host| &host.levels)
            .map(|one| one.level)
            .collect();
        let levels: Vec<u32> = levels.into_iter().collect();
        let monitors = monitors(seen);
        let why = HostFindings::of(seen);
        let made = |view: &HostView, registered: Option<&RegisteredView>, segment: &str| {
            let row = open.get(view.name.as_str()).copied();
            let mut host = of_host(view, row, seen, flags.host(view, registered));
            if row.is_none()
                && let Some(text) = view
                    .reasons
                    .first()
                    .and_then(|code| why.finding_text(view, *code))
            {
                host.state.words = plain(&format!("{}: {text}", host.state.words));
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
        let mut groups: Vec<Group> = seen
            .segments
            .iter()
            .map(|segment| {
                let hosts = segment.hosts.iter().filter_map(|one| {
                    let view = judged.get(one.name.as_str())?;
                    Some(made(view, Some(one), &segment.name))
                });
                let disabled = if segment.enabled { "" } else { " DISABLED" };
                Group {
                    title: plain(&format!(
                        "{} {}{disabled}: {} of {} in service{}, {}",
                        segment.name,
                        segment.recovery_method,
                        segment.working,
                        count(segment.hosts.len(), "host", "hosts"),
                        tree::n_plus(seen, segment),
                        counted(segment.instances, 0)
                    )),
                    hosts: sorted(hosts.collect()),
                }
            })
            .collect();
        let strangers: Vec<Host> = seen
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
            clock: clock(seen, zone),
            grade: seen.grade,
            sentence: seen.sentence(),
            engines: engines(seen),
            findings: seen
                .findings
                .iter()
                .map(|finding| Finding {
                    key: Finding::key_of(finding),
                    grade: finding.grade,
                    text: plain(&format!(" {}", findings::line(finding, seen.at.0).trim())),
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
    let held = |row: &UnderwayView| row.waits.as_ref().is_some_and(|wait| wait.held);
    let own = match view.protection {
        Protection::Down => 7,
        Protection::Unprotected => 4,
        Protection::Unknown => 3,
        Protection::Degraded => 2,
        Protection::Protected => 1,
        Protection::NotMeant => 0,
    };
    match (row, view.up) {
        (Some(row), _) if held(row) => 8,
        (Some(_), _) => 6,
        (None, Some(false)) => own.max(5),
        (None, Some(true) | None) => own,
    }
}

fn clock(seen: &SituationView, zone: Zone) -> String {
    let clock = View::in_zone(zone, seen.at.0).clock(seen.at.0);
    match &seen.region {
        Some(region) => plain(&format!("{region} {clock}")),
        None => clock,
    }
}

/// Returns signs of the number of running engines, the worst state of each part, the age of the Nova data, the queue, and each engine.
fn engines(seen: &SituationView) -> Vec<StatusMark> {
    let alive = seen.engines.iter().filter(|one| one.alive).count();
    let tone = match alive {
        0 => Tone::Bad,
        alive if alive < seen.engines.len() => Tone::Warn,
        _ => Tone::Good,
    };
    let mut signs = vec![StatusMark::new(
        tone,
        format!("engines {alive}/{}", seen.engines.len()),
    )];
    signs.extend(room(seen));
    signs.extend(seen.parts().into_iter().map(|(part, is_well)| {
        let tone = if is_well { Tone::Good } else { Tone::Bad };
        StatusMark::new(tone, plain(part))
    }));
    let looked = seen.looked_at.map_or_else(
        || "Nova not read yet".to_owned(),
        |at| format!("Nova read {}", ago(at.0, seen.at.0)),
    );
    signs.push(StatusMark::new(Tone::Quiet, looked));
    for fact in seen.facts.iter().filter(|fact| !fact.fresh) {
        signs.push(StatusMark::new(
            Tone::Unknown,
            format!("{} old", plain(&fact.kind)),
        ));
    }
    let tone = if seen.queue.new == 0 {
        Tone::Quiet
    } else {
        Tone::Busy
    };
    signs.push(StatusMark::new(tone, format!("queue {}", seen.queue.new)));
    signs.extend(seen.engines.iter().map(|one| {
        let tone = if one.alive { Tone::Good } else { Tone::Bad };
        let age = seen.at.0.micros_since(one.signed_at.0).max(0) / 1_000_000;
        StatusMark::new(tone, plain(&format!("{} {age} s ago", one.name)))
    }));
    signs
}

/// Returns the sign of the segment that tolerates the fewest host failures.
fn room(seen: &SituationView) -> Option<StatusMark> {
    let segments = seen.segments.iter().filter(|one| one.enabled);
    let least = segments.min_by_key(|one| one.headroom)?;
    let hosts = seen.headroom_of(least)?;
    let is_short = |code| seen.findings.iter().any(|finding| finding.code == code);
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
fn monitors(seen: &SituationView) -> BTreeMap<&str, (u32, u32)> {
    let mut by_host: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for one in &seen.monitors {
        let (good, all) = by_host.entry(&one.host).or_default();
        *good += u32::from(one.grade == Severity::Ok);
        *all += 1;
    }
    by_host
}

/// The findings by code and host.
struct HostFindings<'a>(BTreeMap<(FindingCode, &'a str), &'a FindingView>);

impl<'a> HostFindings<'a> {
    fn of(seen: &'a SituationView) -> Self {
        let each = seen.findings.iter().flat_map(|finding| {
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
    let level = view.levels.iter().find(|one| one.level == number)?;
    let tone = if level.good { Tone::Good } else { Tone::Bad };
    Some(StatusMark::new(tone, ""))
}

/// Returns the fencing sign of a host, by the findings: it can be confirmed off or not.
fn fence(view: &HostView, seen: &SituationView) -> StatusMark {
    let has = |codes: &[FindingCode]| view.reasons.iter().any(|code| codes.contains(code));
    if seen.fencing_mode != "engine" {
        return StatusMark::new(Tone::Quiet, plain(&seen.fencing_mode));
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

fn of_host(view: &HostView, row: Option<&UnderwayView>, seen: &SituationView, flags: String) -> Host {
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
        let word = view.protection.as_str();
        let why = view
            .reasons
            .first()
            .map_or(String::new(), |code| format!(" {code}"));
        StatusMark::new(tone(view.protection), format!("{word}{why}"))
    };
    let back = row
        .filter(|row| row.instances > 0)
        .map(|row| (row.back, row.instances));
    Host {
        name: view.name.clone(),
        shown: plain(&view.name),
        flags,
        nova,
        fence: fence(view, seen),
        monitors: StatusMark::new(Tone::Unknown, "none"),
        levels: Vec::new(),
        instances,
        state: StatusMark {
            words: plain(&state.words),
            ..state
        },
        back,
        open: row.map(|row| row.id),
        waits: row.and_then(|row| row.waits.clone()),
        evidence: seen.evidence(&view.name),
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
        .map(|sign| sign.words.as_str())
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
