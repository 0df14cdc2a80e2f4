//! The "Now" page: each subject that needs attention once, then the recoveries that need no operator.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use askama::Template;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::recovery::Life;
use tachi_domain::situation::{FindingCode, Severity};
use tachi_operator::{
    FactView, FindingView, FreezeView, MonitorView, SegmentView, SituationView, Time, UnderwayView,
    WaitingInstanceView, WaitingRecoveryView, progress_of,
};

use super::buttons::{approve_all, freeze, of_recovery, thaw};
use super::fragments::{
    Fragment, ago, commands, day, escaped, is_on_hold, link, many, mark, n_plus, nova, power, tiles, until,
    watched, ways, with_code,
};

/// Maximum number of subjects listed for a finding.
const MAX_SUBJECTS: usize = 12;

/// Maximum number of hosts in the head of a group of recoveries: the table below it has all.
const MAX_NAMED: usize = 6;

/// The "Now" page.
#[derive(Template)]
#[template(path = "now.html")]
pub(super) struct NowPage<'a> {
    situation: &'a SituationView,
    /// Recoveries and instances that need an operator, then findings, the worst first.
    attention: Vec<Item>,
    /// The recoveries in progress that need no operator.
    recoveries: Vec<&'a UnderwayView>,
    /// Findings that need no attention.
    notes: Vec<Item>,
    may: bool,
}

/// A subject that needs attention.
struct Item {
    grade: Severity,
    code: &'static str,
    subject: Fragment,
    instances: u64,
    since: Option<Time>,
    ends_by: Option<Time>,
    why: String,
    /// The evidence, and the actions with their consequences.
    rest: Fragment,
}

impl<'a> NowPage<'a> {
    pub(super) fn of(situation: &'a SituationView, freezes: &[FreezeView], may: bool) -> Self {
        let needs = &situation.needs_person;
        let mut attention: Vec<Item> = groups(&needs.recoveries)
            .into_iter()
            .map(|group| on_hold(situation, &group, may))
            .collect();
        attention.extend(needs.instances.iter().map(waiting));
        let items = ShownItems::of(situation);
        let hosts = situation.hosts.iter().map(|host| host.name.as_str()).collect();
        let (mut notes, mut not_back) = (Vec::new(), BTreeSet::new());
        for finding in situation.findings.iter().filter(|finding| !items.covers(finding)) {
            let is_note = matches!(finding.grade, Severity::Ok | Severity::Info);
            if finding.code == FindingCode::HostNotBack {
                not_back.extend(finding.subjects.iter().map(String::as_str));
            }
            let item = found(finding, &hosts, freezes, may);
            if is_note {
                notes.push(item);
            } else {
                attention.push(item);
            }
        }
        let is_there = |row: &&UnderwayView| {
            let is_on_hold = needs.recoveries.iter().any(|on_hold| on_hold.recovery == row.id);
            let is_found = row.life.awaits_return(row.waits.as_ref().map(|wait| wait.what))
                && not_back.contains(row.host.as_str());
            !is_on_hold && !is_found
        };
        let mut recoveries: Vec<&UnderwayView> = situation.recoveries.iter().filter(is_there).collect();
        recoveries.sort_by(|one, other| one.host.cmp(&other.host));
        Self {
            situation,
            attention,
            recoveries,
            notes,
            may,
        }
    }

    /// True if the summary reports a good state. The browser stops marking it as good when the API is silent for too long.
    const fn is_good(&self) -> bool {
        matches!(self.situation.grade, Severity::Ok | Severity::Info)
    }
}

/// The subjects that other items of the page already cover.
struct ShownItems<'a> {
    on_hold: BTreeSet<&'a str>,
    open: BTreeSet<&'a str>,
    instances: BTreeSet<&'a str>,
}

impl<'a> ShownItems<'a> {
    fn of(situation: &'a SituationView) -> Self {
        let needs = &situation.needs_person;
        let open = situation.recoveries.iter().filter(|row| row.life == Life::Open);
        Self {
            on_hold: needs
                .recoveries
                .iter()
                .map(|recovery| recovery.host.as_str())
                .collect(),
            open: open.map(|row| row.host.as_str()).collect(),
            instances: needs
                .instances
                .iter()
                .map(|instance| instance.name.as_str())
                .collect(),
        }
    }

    fn covers(&self, finding: &FindingView) -> bool {
        let own = if finding.code == FindingCode::RecoveryHeld {
            &self.on_hold
        } else if finding.code == FindingCode::HostUnderRecovery {
            &self.open
        } else if [FindingCode::MoveNeedsPerson, FindingCode::MoveFailed].contains(&finding.code) {
            &self.instances
        } else {
            return false;
        };
        !finding.subjects.is_empty() && finding.subjects.iter().all(|one| own.contains(one.as_str()))
    }
}

/// Groups the recoveries on hold by cause.
fn groups(all: &[WaitingRecoveryView]) -> Vec<Vec<&WaitingRecoveryView>> {
    let mut groups: Vec<Vec<&WaitingRecoveryView>> = Vec::new();
    for one in all {
        match groups
            .iter_mut()
            .find(|group| group.first().is_some_and(|first| first.cause() == one.cause()))
        {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    for group in &mut groups {
        group.sort_by(|one, other| one.host.cmp(&other.host));
    }
    groups
}

/// Renders the recoveries with one cause as one item: a row for each host, with the evidence that it is off.
fn on_hold(situation: &SituationView, group: &[&WaitingRecoveryView], may: bool) -> Item {
    let since = group.iter().filter_map(|one| Some(one.waits.as_ref()?.since));
    let why = group
        .first()
        .map_or_else(String::new, |one| situation.reason(one));
    let named = group.iter().take(MAX_NAMED);
    let hosts: Vec<String> = named.map(|one| link("host", &one.host, "").0).collect();
    let subject = match hosts.as_slice() {
        [one] => format!("recovery of {one}"),
        all if group.len() > all.len() => format!(
            "{} recoveries: {} and {} more",
            group.len(),
            all.join(", "),
            group.len() - all.len()
        ),
        all => format!("{} recoveries: {}", all.len(), all.join(", ")),
    };
    let mut rest = evidence(situation, group, &why, may).0;
    if may && group.len() > 1 {
        let all = approve_all(group).0;
        // Below a long table nobody would find it.
        let at = if group.len() > MAX_SUBJECTS { 0 } else { rest.len() };
        rest.insert_str(at, &all);
    }
    match group {
        [] => {}
        [one] => rest += &ways(&one.commands).0,
        [first, ..] => {
            let each: String = group.iter().map(|one| ways(&one.commands).0).collect();
            let key = first.recovery;
            // Writing to a string cannot fail.
            let _ = write!(
                rest,
                "<details data-key=\"ways {key}\"><summary>Commands</summary>{each}</details>"
            );
        }
    }
    Item {
        grade: Severity::Err,
        code: "on hold",
        subject: Fragment(subject),
        instances: group.iter().filter_map(|one| one.evidence.instances).sum(),
        since: since.min_by_key(|at| at.0),
        ends_by: None,
        // The label of the item has these words already.
        why: why.strip_prefix("on hold: ").unwrap_or(&why).to_owned(),
        rest: Fragment(rest),
    }
}

/// Renders the known facts about the hosts that need a decision.
fn evidence(situation: &SituationView, group: &[&WaitingRecoveryView], why: &str, may: bool) -> Fragment {
    let mut monitors: BTreeMap<&str, Vec<&MonitorView>> = BTreeMap::new();
    for monitor in &situation.monitors {
        monitors.entry(&monitor.host).or_default().push(monitor);
    }
    let row = |recovery: &&WaitingRecoveryView| {
        let (host, known) = (recovery.host.as_str(), &recovery.evidence);
        let since = known.since.map_or_else(String::new, |at| {
            format!(" <span class=\"whole\">for {}</span>", super::fragments::age(&at))
        });
        let read: Vec<String> = known.levels.iter().map(|level| power(level).0).collect();
        let read = if read.is_empty() {
            mark("unknown", "no reading").0
        } else {
            read.concat()
        };
        let of_host = monitors.get(host).map_or(&[][..], Vec::as_slice);
        let own = situation.reason(recovery);
        let own = if own == why {
            String::new()
        } else {
            format!("<div class=\"soft\">{}</div>", escaped(&own))
        };
        let buttons = if may {
            of_recovery(&recovery.recovery, host, Life::Open, &recovery.waits)
        } else {
            Fragment::nothing()
        };
        format!(
            "<tr><td data-head=\"host\">{}{own}</td><td data-head=\"instances\">{}</td><td data-head=\"Nova\">{}{since}</td>\
             <td data-head=\"power\">{read}</td><td data-head=\"monitors\">{}</td>\
             <td data-head=\"recovery\"><a href=\"#/recovery/{}\">open</a></td><td data-head=\"\">{buttons}</td></tr>",
            link("host", host, ""),
            known
                .instances
                .map_or_else(|| "?".to_owned(), |number| number.to_string()),
            nova(&known.up),
            watched(of_host, known.up),
            recovery.recovery,
        )
    };
    let rows: Vec<String> = group.iter().map(row).collect();
    Fragment(format!(
        "<div class=\"wide\"><table class=\"fold\"><thead><tr><th>host</th><th>instances</th><th>Nova</th><th>power, as read last</th>\
         <th>monitors</th><th>recovery</th><th></th></tr></thead><tbody>{}</tbody></table></div>",
        rows.concat()
    ))
}

/// Renders an instance that needs an operator.
fn waiting(one: &WaitingInstanceView) -> Item {
    Item {
        grade: Severity::Err,
        code: "needs an operator",
        subject: Fragment(format!(
            "instance {} <span class=\"soft\">of {}</span>",
            link("instance", &one.instance, &one.name),
            link("host", &one.host, "")
        )),
        instances: 0,
        since: one.waits.as_ref().map(|wait| wait.since),
        ends_by: None,
        why: one
            .waits
            .as_ref()
            .map_or_else(String::new, tachi_operator::WaitView::about),
        rest: ways(&one.commands),
    }
}

/// Renders a finding with its subjects.
fn found(finding: &FindingView, hosts: &BTreeSet<&str>, freezes: &[FreezeView], may: bool) -> Item {
    let subjects = finding.subjects.iter().take(MAX_SUBJECTS).map(|name| {
        if hosts.contains(name.as_str()) {
            link("host", name, "").0
        } else {
            escaped(name)
        }
    });
    let mut subject = subjects.collect::<Vec<_>>().join(", ");
    if finding.subjects.len() > MAX_SUBJECTS {
        let _ = write!(subject, " and {} more", finding.subjects.len() - MAX_SUBJECTS);
    }
    let mut rest = commands(finding.typed().as_ref()).0;
    if may {
        rest.push_str(&thaw(finding, freezes).0);
    }
    Item {
        grade: finding.grade,
        code: finding.code.as_str(),
        subject: Fragment(subject),
        instances: finding.instances,
        since: finding.since,
        ends_by: finding.ends_by,
        why: finding.text.clone(),
        rest: Fragment(rest),
    }
}

fn under_way(recovery: &UnderwayView) -> Fragment {
    if is_on_hold(&recovery.waits) {
        mark("err", "on hold")
    } else if recovery.life == Life::Watching {
        mark("busy", "watching")
    } else {
        mark("busy", "running")
    }
}

fn progress(recovery: &UnderwayView) -> String {
    let progress = progress_of(recovery.kind, recovery.moves);
    progress.unwrap_or_else(|| {
        let known = if recovery.life == Life::Watching {
            "no instances"
        } else {
            "instances not read yet"
        };
        known.to_owned()
    })
}

fn protected(segment: &SegmentView) -> Fragment {
    segment.instances.map_or_else(
        || mark("unknown", ""),
        |counts| {
            let (good, all) = (counts.protected, counts.included());
            Fragment(format!("<span class=\"good\">{good} of {all}</span>"))
        },
    )
}

fn fact(one: &FactView) -> String {
    let what = match one.kind.as_str() {
        "computes" => "Nova's services",
        "instances" => "Nova's instances",
        "tests" => "fence devices",
        "rooms" => "room on hosts",
        other => other,
    };
    what.to_owned()
}
