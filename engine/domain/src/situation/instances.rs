//! Assessment of instances: the fate of each if its host failed now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::freezes::DirectFreeze;
use super::hosts::AssessedHost;
use super::local_disk::{self, HostDisks, InstanceDisk};
use super::{
    AssessContext, Facts, Finding, FindingCode, Findings, Instance, Protection, ProtectionState,
    ReportedFailure, Severity, WaitingInstance, first_listing,
};
use crate::id::ServerId;
use crate::monitor::Resume;
use crate::nova::{Rest, StartBlocker, StopReason};
use crate::recovery::Life;
use crate::timestamp::Timestamp;
use crate::wait::{Wait, WaitsFor};

/// The assessed state of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceSituation {
    pub id: ServerId,
    pub name: Arc<str>,
    /// The host, according to Nova.
    pub host: Arc<str>,
    /// The fate of the instance if that host failed now.
    pub protection: Protection,
    /// The reasons. Shared, because most instances have exactly the reasons of their host.
    pub reasons: Arc<BTreeSet<FindingCode>>,
    /// The reason why policy excludes the instance, if it does.
    pub left: Option<String>,
    /// The state of its disk; `None` if it is not listed.
    pub disk: Option<InstanceDisk>,
}

/// Counts the instances on each host, as last listed.
pub(super) fn instance_counts(facts: &Facts) -> BTreeMap<&str, u64> {
    let on = facts.instances.iter().flat_map(|known| &known.value.on);
    on.map(|(host, all)| (host.as_str(), all.len() as u64)).collect()
}

/// Assesses all instances, by host. Instances that wait for an operator are reported even if no engine has listed any; those that are
/// `resolved` no longer wait.
pub(super) fn assess(
    ctx: &AssessContext<'_>,
    hosts: &[AssessedHost<'_>],
    resolved: &BTreeSet<ServerId>,
    found: &mut Findings,
) -> Option<Vec<InstanceSituation>> {
    waiting(ctx, resolved, found);
    let Some(known) = &ctx.facts.instances else {
        let text = "no engine has listed Nova's instances yet";
        found.note(Finding::new(FindingCode::InstancesNotListed, text));
        return None;
    };
    let mut common = ProtectionState::good();
    if !known.value.complete {
        let text = first_listing::text(ctx.facts, &known.value, ctx.now);
        found.note(Finding::new(FindingCode::InstancesNotListed, text).since(known.value.listing_since));
    } else if !known.is_fresh(ctx.now) {
        let text = "Nova's instances were listed too long ago";
        found.note(Finding::new(FindingCode::FactsOld, text).since(known.as_of));
        common.worsen(Protection::Unknown, FindingCode::FactsOld);
    }
    let of: BTreeMap<&str, &ProtectionState> = hosts
        .iter()
        .map(|host| (host.name, &host.protection_state))
        .collect();
    let waiting: BTreeMap<ServerId, &WaitingInstance> = ctx
        .facts
        .waiting
        .iter()
        .filter(|failure| !resolved.contains(&failure.server))
        .map(|failure| (failure.server, failure))
        .collect();
    let treatments = local_disk::treatments(ctx);
    let mut reported = BTreeSet::new();
    let mut all = Vec::new();
    for (host, instances) in &known.value.on {
        let mut base = common.clone();
        if let Some(own) = of.get(host.as_str()) {
            base.and(own);
        } else {
            // Nova has an instance on a host for which it shows no service.
            base.worsen(Protection::Unprotected, FindingCode::HostUnknownToNova);
            if ctx.facts.computes.is_some() {
                let text = "in no segment, and Nova has instances on it and no compute service of that name";
                found.note(
                    Finding::new(FindingCode::HostUnknownToNova, text)
                        .about(host.as_str(), ctx.instances_on(host))
                        .fix("openstack compute service list"),
                );
            }
        }
        let disks = HostDisks::of(host, ctx, &treatments);
        let host: Arc<str> = host.as_str().into();
        let reasons = Arc::new(base.reasons.clone());
        let first = all.len();
        all.extend(instances.iter().map(|listed| {
            let disk = disks.disk(listed);
            let instance = &*disk.treated(listed);
            let waiting = waiting.get(&instance.id).copied();
            reported.extend(waiting.map(|_| instance.id));
            if let Some(outage) = outage(instance, &host, ctx).filter(|_| waiting.is_none()) {
                found.note(outage.finding(instance, &host, ctx));
            }
            let (protection, reasons) = match own(instance, waiting, &host, &base, ctx) {
                Some(own) => (own.protection, Arc::new(own.reasons)),
                None => (base.protection, Arc::clone(&reasons)),
            };
            InstanceSituation {
                id: instance.id,
                name: Arc::clone(&instance.name),
                host: Arc::clone(&host),
                protection,
                reasons,
                left: instance.left.clone(),
                disk: Some(disk),
            }
        }));
        if let Some(of_host) = all.get_mut(first..) {
            disks.report(of_host, found);
            of_host.sort_by(|one, other| one.name.cmp(&other.name));
        }
    }
    // Instances that Nova shows on no host, or that were not listed since.
    let listed = all.len();
    for waiting_instance in waiting
        .values()
        .filter(|waiting_instance| !reported.contains(&waiting_instance.server))
    {
        let protection_state = down(code(waiting_instance));
        all.push(InstanceSituation {
            id: waiting_instance.server,
            name: waiting_instance.name.as_str().into(),
            host: waiting_instance.host.as_str().into(),
            protection: protection_state.protection,
            reasons: Arc::new(protection_state.reasons),
            left: None,
            disk: None,
        });
    }
    if all.len() > listed {
        all.sort_by(|one, other| (&one.host, &one.name).cmp(&(&other.host, &other.name)));
    }
    Some(all)
}

/// Returns the state of an instance that differs from the other instances on its host; `None` if it does not differ.
fn own(
    instance: &Instance,
    waiting: Option<&WaitingInstance>,
    host: &str,
    base: &ProtectionState,
    ctx: &AssessContext<'_>,
) -> Option<ProtectionState> {
    if let Some(waiting) = waiting {
        return Some(down(code(waiting)));
    }
    if ctx.facts.displaced_instances.contains(&instance.id) {
        return Some(down(FindingCode::HostUnderRecovery));
    }
    let frozen = ctx.ice.servers.contains(&instance.id);
    let outage = outage(instance, host, ctx);
    if !frozen && !instance.moving && instance.left.is_none() && outage.is_none() {
        return None;
    }
    let mut protection_state = base.clone();
    DirectFreeze::hold(&mut protection_state, frozen);
    if instance.moving {
        protection_state.worsen(Protection::Degraded, FindingCode::InstanceMoving);
    }
    match outage {
        Some(Outage::Reported(_) | Outage::HostBooted(_)) => {
            protection_state.worsen(Protection::Down, FindingCode::InstanceDown);
        }
        Some(Outage::Rests(rest)) => {
            let protection = match rest.why {
                StopReason::Due if !rest.may_run => Protection::Down,
                StopReason::Due | StopReason::Unasked | StopReason::Unclear | StopReason::Meant => {
                    Protection::Unknown
                }
            };
            protection_state.worsen(protection, FindingCode::InstanceDown);
        }
        None => {}
    }
    if instance.left.is_some() {
        protection_state.protection = Protection::NotMeant;
    }
    Some(protection_state)
}

/// The reason why an instance counts as down, or may be down.
enum Outage<'a> {
    /// A failure was reported, and the instance is not known to run since. Nova may not have noticed yet that it does not.
    Reported(&'a ReportedFailure),
    /// Nova shows that it does not run.
    Rests(&'a Rest),
    /// The host has booted since Nova started it, and Nova has not noticed yet that its guest is gone.
    HostBooted(Timestamp),
}

/// Returns why an instance is down, if policy includes it, no person is known to have stopped it, and its guest is not known to have shut
/// itself down.
fn outage<'a>(instance: &'a Instance, host: &str, ctx: &AssessContext<'a>) -> Option<Outage<'a>> {
    if instance.left.is_some() {
        return None;
    }
    let failed = ctx.facts.failed.get(&instance.id);
    match (failed, instance.rest.as_ref()) {
        (_, Some(rest)) if rest.why == StopReason::Meant => None,
        (Some(failed), _) if failed.open.is_some() => Some(Outage::Reported(failed)),
        (_, Some(_)) if ctx.is_meant_to_rest(instance, host) => None,
        // A user has started it since, and what stopped it then is unclear.
        (_, Some(rest)) if rest.why == StopReason::Unclear => Some(Outage::Rests(rest)),
        (Some(failed), _) => Some(Outage::Reported(failed)),
        (None, Some(rest)) => Some(Outage::Rests(rest)),
        (None, None) => {
            let booted = instance.ended_by_boot.filter(|_| !may_resume_guests(host, ctx));
            booted.map(Outage::HostBooted)
        }
    }
}

/// True if nova-compute starts the guests at the boot of the host, or if that is not known.
fn may_resume_guests(host: &str, ctx: &AssessContext<'_>) -> bool {
    let monitors = ctx.facts.monitors.iter().filter(|one| one.heartbeat.host == host);
    let guests: Vec<Resume> = monitors
        .filter_map(|one| Some(one.heartbeat.guests.as_ref()?.resume))
        .collect();
    guests.is_empty() || guests.iter().any(|resume| *resume != Resume::No)
}

impl Outage<'_> {
    fn finding(&self, instance: &Instance, host: &str, ctx: &AssessContext<'_>) -> Finding {
        match self {
            Self::Rests(rest) => resting(instance, rest, host, ctx),
            Self::Reported(failed) => reported(instance, failed, host, ctx),
            Self::HostBooted(booted) => {
                let text = "it should run, and its guest ended with the last boot of the host: Nova has not noticed yet";
                let finding = Finding::new(FindingCode::InstanceDown, text)
                    .graded(Severity::Err)
                    .about_instance(instance.id, &*instance.name, host)
                    .since(*booted);
                with_start(finding, instance, host, ctx)
            }
        }
    }
}

/// Describes an instance whose failure was reported. Once its recovery has failed, acting on it is up to an operator.
fn reported(instance: &Instance, failed: &ReportedFailure, host: &str, ctx: &AssessContext<'_>) -> Finding {
    if let Some(recovery) = failed.open {
        return Finding::new(
            FindingCode::InstanceDown,
            "reported down, and its recovery is open",
        )
        .graded(Severity::Warn)
        .about_instance(instance.id, &*instance.name, host)
        .since(failed.at)
        .fix(format!("tachi recovery show {recovery}"));
    }
    let reason = failed
        .reason
        .as_deref()
        .unwrap_or("tachi recovery list --all shows the reason");
    let text = format!("it should run, and its recovery gave up: {reason}");
    let since = instance
        .rest
        .as_ref()
        .map_or(failed.at, |rest| rest.since.min(failed.at));
    let finding = Finding::new(FindingCode::InstanceDown, text)
        .graded(Severity::Err)
        .about_instance(instance.id, &*instance.name, host)
        .since(since);
    with_start(finding, instance, host, ctx)
}

/// Adds the command that starts the instance, or that ends what Nova refuses that for. A host that is down or being recovered gets none: Nova would execute it when the host
/// returns, and the instance may run elsewhere by then (R12).
fn with_start(finding: Finding, instance: &Instance, host: &str, ctx: &AssessContext<'_>) -> Finding {
    if ctx.is_up(host) == Some(false) || ctx.open_host_recovery(host).is_some() {
        let text = format!(
            "{}; its host is down or being recovered, so do not start it there",
            finding.text
        );
        return Finding { text, ..finding };
    }
    let blocker = match instance.start_blocker {
        Some(StartBlocker::Task) => "; Nova refuses to start it before its current task has ended",
        Some(StartBlocker::Resize) => "; Nova refuses to start it before its resize is confirmed or reverted",
        None => "",
    };
    let text = format!("{}{blocker}", finding.text);
    Finding { text, ..finding }.fix(instance.start_command())
}

/// Time that Nova may work on an instance that should run before that is reported as an outage.
const TASK_GRACE: Duration = Duration::from_mins(5);

/// Describes an instance that does not run.
fn resting(instance: &Instance, rest: &Rest, host: &str, ctx: &AssessContext<'_>) -> Finding {
    let age = u128::from(ctx.now.micros_since(rest.since).unsigned_abs());
    let (grade, text, is_startable) = match rest.why {
        StopReason::Due if rest.busy && age < TASK_GRACE.as_micros() => (
            Severity::Warn,
            "it should run and does not: Nova is working on it",
            false,
        ),
        StopReason::Due if rest.may_run => (
            Severity::Warn,
            "in error in Nova, and the guest may still run: check that before you reboot the instance",
            true,
        ),
        StopReason::Due if rest.stopped => (
            Severity::Err,
            "it should run and does not: stopped without a request",
            true,
        ),
        StopReason::Due => (
            Severity::Err,
            "it should run and does not: in error, shut down, halted or crashed without a request",
            true,
        ),
        StopReason::Unclear if rest.stopped => (
            Severity::Info,
            "stopped, and Nova's records name no user who stopped it: its guest may have shut itself down, or died",
            true,
        ),
        StopReason::Unclear => (
            Severity::Info,
            "it does not run, and Nova does not show why",
            true,
        ),
        StopReason::Unasked | StopReason::Meant => (
            Severity::Info,
            "it does not run: the engine is checking if a user has stopped it",
            false,
        ),
    };
    let finding = Finding::new(FindingCode::InstanceDown, text)
        .graded(grade)
        .about_instance(instance.id, &*instance.name, host)
        .since(rest.since);
    let with_start = with_start(finding.clone(), instance, host, ctx);
    if is_startable || with_start.fix.is_none() {
        with_start
    } else {
        finding
    }
}

fn down(code: FindingCode) -> ProtectionState {
    let mut protection_state = ProtectionState::good();
    protection_state.worsen(Protection::Down, code);
    protection_state
}

fn code(waiting: &WaitingInstance) -> FindingCode {
    let what = waiting.wait.as_ref().map_or(WaitsFor::GivenUp, |wait| wait.what);
    if what.is_on_hold() {
        FindingCode::MoveNeedsPerson
    } else {
        FindingCode::MoveFailed
    }
}

/// Describes the condition that is waited for, and the hosts or guards concerned.
fn about(wait: Option<&Wait>) -> String {
    let Some(wait) = wait else {
        return WaitsFor::GivenUp.sentence().to_owned();
    };
    let on: Vec<&str> = wait.on.iter().map(String::as_str).collect();
    if on.is_empty() {
        wait.what.sentence().to_owned()
    } else {
        format!("{} ({})", wait.what.sentence(), on.join(", "))
    }
}

/// Returns the instances that were given up and need no operator any more, by a complete list of all cells that is younger than the end
/// of the move: Nova does not have them, or shows them running on another host that is up. That a guest runs on the host that failed is
/// no proof: Nova shows it as active until it notices that the guest is gone.
pub(super) fn resolved(ctx: &AssessContext<'_>) -> BTreeSet<ServerId> {
    let Some(known) = &ctx.facts.instances else {
        return BTreeSet::new();
    };
    let is_all = known.value.complete && known.is_fresh(ctx.now) && ctx.fresh;
    if !is_all || ctx.computes.values().any(|compute| compute.is_in_down_cell()) {
        return BTreeSet::new();
    }
    let given_up = |wait: &Wait| wait.what == WaitsFor::GivenUp && wait.since < known.as_of;
    let waiting = ctx.facts.waiting.iter();
    let mut found: BTreeMap<ServerId, &str> = waiting
        .filter(|move_line| move_line.wait.as_ref().is_some_and(given_up))
        .map(|move_line| (move_line.server, move_line.host.as_str()))
        .collect();
    if found.is_empty() {
        return BTreeSet::new();
    }
    for (host, all) in &known.value.on {
        for instance in all.iter() {
            let runs_elsewhere = |failed: &str| {
                failed != host && instance.rest.is_none() && !instance.moving && ctx.is_up(host) == Some(true)
            };
            if found
                .get(&instance.id)
                .is_some_and(|failed| !runs_elsewhere(failed))
            {
                found.remove(&instance.id);
            }
        }
    }
    found.into_keys().collect()
}

/// Returns the reason why instances of a host were given up, as the end of a sentence: their common one, or that of one of them.
fn given_up_reason(lines: &[&WaitingInstance]) -> String {
    let Some((line, reason)) = lines
        .iter()
        .find_map(|line| Some((line, line.reason.as_deref()?)))
    else {
        return String::new();
    };
    if lines.iter().all(|line| line.reason.as_deref() == Some(reason)) {
        format!(": {reason}")
    } else {
        format!(", {} for example: {reason}", line.name)
    }
}

/// Reports the instances that wait for an operator, and the recoveries that are on hold.
fn waiting(ctx: &AssessContext<'_>, resolved: &BTreeSet<ServerId>, found: &mut Findings) {
    let is_open = |line: &&WaitingInstance| !resolved.contains(&line.server);
    let lines: Vec<&WaitingInstance> = ctx.facts.waiting.iter().filter(is_open).collect();
    let mut given_up: BTreeMap<&str, Vec<&WaitingInstance>> = BTreeMap::new();
    for line in lines.iter().filter(|line| code(line) == FindingCode::MoveFailed) {
        given_up.entry(&line.host).or_default().push(line);
    }
    // A reason may name its instance, and a finding for each instance of a host would hide the others.
    let reasons: BTreeMap<&str, String> = given_up
        .into_iter()
        .map(|(host, lines)| (host, given_up_reason(&lines)))
        .collect();
    for line in lines {
        let code = code(line);
        let mut text = about(line.wait.as_ref());
        if code == FindingCode::MoveFailed {
            text.extend(reasons.get(line.host.as_str()).map(String::as_str));
        }
        let finding = Finding::new(code, text);
        found.note(
            finding
                .about_instance(line.server, &line.name, &line.host)
                .since(line.wait.as_ref().map(|wait| wait.since))
                .fix("tachi instance list --waiting"),
        );
    }
    let open = ctx
        .facts
        .recoveries
        .iter()
        .filter(|recovery| recovery.life == Life::Open);
    for recovery in open {
        let Some(wait) = recovery.wait.as_ref().filter(|wait| wait.what.is_on_hold()) else {
            continue;
        };
        found.note(
            Finding::new(FindingCode::RecoveryHeld, about(Some(wait)))
                .about(&recovery.host, ctx.instances_on(&recovery.host))
                .since(wait.since)
                .fix(format!("tachi recovery show {}", recovery.host)),
        );
    }
}
