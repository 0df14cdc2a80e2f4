//! Checks before a recovered host returns to service.

use tachi_domain::count;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::nova::{Migration, MigrationType};
use tachi_domain::recovery::{is_drained, is_marked};

use super::blocking_evacuations::BlockingEvacuations;
use super::facts::ReturnFacts;
use super::steps::nothing_to_clean_up;
use crate::freezes::end_command;
use crate::plans::stop_command;
use crate::progress;

/// Limit of the names in a line; the rest is counted.
const NAMED: usize = 10;

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// The check passed.
    Good,
    /// The check neither blocks nor passes, but should be read.
    Note,
    /// The check blocks the return.
    Bad,
    /// The check could not be made, which blocks the return too.
    Unknown,
}

impl CheckResult {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "WAIT",
            Self::Unknown => "ASK",
        }
    }
}

/// A check and its result.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    pub verdict: CheckResult,
    pub text: String,
}

impl Check {
    pub const fn is_blocker(&self) -> bool {
        matches!(self.verdict, CheckResult::Bad | CheckResult::Unknown)
    }
}

/// Makes all checks. They alone decide whether the host is shown as ready and whether it is returned to service.
pub fn checks(facts: &ReturnFacts) -> Vec<Check> {
    let mut all = Vec::new();
    let mut report = |verdict, text: String| all.push(Check { verdict, text });
    recovery(facts, &mut report);
    withheld(facts, &mut report);
    evacuations(facts, &mut report);
    service(facts, &mut report);
    instances(facts, &mut report);
    all
}

fn recovery(facts: &ReturnFacts, report: &mut impl FnMut(CheckResult, String)) {
    match &facts.open {
        Some(open) if open.kind.is_planned() => report(
            CheckResult::Bad,
            format!(
                "{} {} of the host has not ended: `{}` stops it",
                open.kind,
                open.id,
                stop_command(open.kind, &facts.view.host.name)
            ),
        ),
        Some(open) => {
            let progress = progress(open.moves).unwrap_or_else(|| "no instance is moved yet".into());
            let message = open
                .message
                .as_deref()
                .map_or(String::new(), |text| format!("; {text}"));
            report(
                CheckResult::Bad,
                format!(
                    "recovery {} is open ({progress}{message}): keep the host off",
                    open.id
                ),
            );
        }
        None => report(CheckResult::Good, "no recovery of the host is open".into()),
    }
    if facts.watched {
        let text = if facts.engine_runs {
            "an engine waits for the host's return, and then closes the recovery"
        } else {
            "no engine is running, so forced_down is not cleared when nova-compute is back: start one"
        };
        report(CheckResult::Bad, text.into());
    }
}

/// Checks for a freeze or a maintenance that an operator has started and has to end.
fn withheld(facts: &ReturnFacts, report: &mut impl FnMut(CheckResult, String)) {
    let undrains = facts
        .service()
        .is_some_and(|service| service.enabled || service.disabled_reason.as_deref().is_some_and(is_marked));
    // The end of a drain is refused while an operator's freeze is in force.
    let (of_drains, others): (Vec<_>, Vec<_>) = facts.freezes.iter().partition(|line| line.by_drain);
    for line in others.into_iter().chain(of_drains) {
        let text = format!(
            "{}: `{}` ends it",
            line.freeze.sentence(),
            end_command(line, undrains)
        );
        report(CheckResult::Bad, text);
    }
    // A maintenance from before Tachi has no known reason: it counts as an operator's.
    let host = &facts.view.host;
    if host.on_maintenance && matches!(facts.view.why, Some(MaintenanceReason::Operator) | None) {
        let text = format!(
            "in maintenance, set by an operator; clear it with `openstack segment host update \
             --on_maintenance False {} {}`",
            tachi_domain::freeze::typed(&host.segment.name),
            host.name
        );
        report(CheckResult::Bad, text);
    }
}

fn evacuations(facts: &ReturnFacts, report: &mut impl FnMut(CheckResult, String)) {
    if let Err(error) = &facts.migrations {
        report(
            CheckResult::Unknown,
            format!("Nova's migrations cannot be read: {error}"),
        );
        return;
    }
    let BlockingEvacuations {
        under_way,
        left_over,
        not_closed,
        starts,
    } = BlockingEvacuations::of(facts);
    if under_way.is_empty() && not_closed.is_empty() {
        report(
            CheckResult::Good,
            "every evacuation from the host is closed".into(),
        );
    }
    if !under_way.is_empty() {
        let ids = names(under_way.iter().map(|record| record.server.to_string()));
        report(
            CheckResult::Bad,
            format!(
                "{} evacuations from the host are under way: a nova-compute that starts now destroys what is left of \
                 those instances even if their evacuation fails; keep the host off: {ids}",
                under_way.len()
            ),
        );
    }
    if !left_over.is_empty() {
        let ids = names(left_over.iter().map(|record| record.server.to_string()));
        report(
            CheckResult::Note,
            format!(
                "{} evacuations from the host were never picked up, and others have moved their instances since; a start of \
                 its nova-compute closes them: {ids}",
                left_over.len()
            ),
        );
    }
    if !not_closed.is_empty() {
        let often = if starts > 1 {
            format!(
                "; it closes one of each instance at a time, so forced_down stays refused until it has started {starts} \
                 times"
            )
        } else {
            String::new()
        };
        report(
            CheckResult::Bad,
            format!(
                "{} evacuations from the host are done and not closed: a start of its nova-compute removes the old \
                 copies and closes them{often}",
                not_closed.len()
            ),
        );
    }
    migrations(facts, report);
}

/// Checks migrations that never finished. A migration of an instance that was evacuated later proves nothing about this host: the host was
/// confirmed off, so no guest on it survived.
fn migrations(facts: &ReturnFacts, report: &mut impl FnMut(CheckResult, String)) {
    let all = facts.migrations.as_deref().unwrap_or_default().iter();
    let unfinished =
        all.filter(|record| record.kind != MigrationType::Evacuation && !record.status.is_finished());
    let (over, open): (Vec<_>, Vec<_>) = unfinished.partition(|record| facts.was_overtaken(record));
    let named = |records: &[&Migration]| {
        names(
            records
                .iter()
                .map(|record| format!("{} ({})", record.server, record.status)),
        )
    };
    if !over.is_empty() {
        report(
            CheckResult::Note,
            format!(
                "migrations with the host that never ended, of instances that have been recovered elsewhere since: {}",
                named(&over)
            ),
        );
    }
    if !open.is_empty() {
        report(
            CheckResult::Bad,
            format!(
                "{}: {}: `tachi show` of each shows what to do, or end them in Nova",
                count(
                    open.len(),
                    "other migration with the host is unfinished, so this instance may run on two hosts",
                    "other migrations with the host are unfinished, so these instances may run on two hosts",
                ),
                named(&open)
            ),
        );
    }
}

fn service(facts: &ReturnFacts, report: &mut impl FnMut(CheckResult, String)) {
    let name = &facts.view.host.name;
    let service = match &facts.service {
        Err(error) => {
            let text = format!("Nova's record of the host cannot be read: {error}");
            return report(CheckResult::Unknown, text);
        }
        Ok(None) => {
            return report(
                CheckResult::Bad,
                format!("Nova has no compute service on a host named {name}"),
            );
        }
        Ok(Some(service)) => service,
    };
    if service.forced_down {
        let text = if facts.watched {
            "forced_down is set: an engine clears it once nova-compute is back and its evacuations are closed"
        } else {
            "forced_down is set, and no engine waits for the host: clear it by hand once nova-compute is back"
        };
        report(CheckResult::Bad, text.into());
    } else if service.up {
        report(CheckResult::Good, "nova-compute is up".into());
    } else {
        report(CheckResult::Bad, "nova-compute is not up".into());
    }
    if !service.enabled {
        let reason = service.disabled_reason.as_deref().unwrap_or("no reason given");
        if is_drained(reason) {
            let text = format!("the service is disabled by a drain ({reason}): the return enables it");
            report(CheckResult::Note, text);
        } else if is_marked(reason) {
            let text = format!("the service is disabled by a recovery ({reason}): the last step enables it");
            report(CheckResult::Note, text);
        } else {
            let text = format!(
                "the service was not disabled by Tachi ({reason}): enable it once that reason is gone"
            );
            report(CheckResult::Bad, text);
        }
    }
}

fn instances(facts: &ReturnFacts, report: &mut impl FnMut(CheckResult, String)) {
    match &facts.servers {
        Err(error) => report(
            CheckResult::Unknown,
            format!("the host's instances cannot be read: {error}"),
        ),
        Ok(servers) => {
            let busy: Vec<String> = servers
                .iter()
                .filter_map(|server| {
                    let task = server.task_state.as_deref()?;
                    Some(format!("{} ({}, {task})", server.name, server.id))
                })
                .collect();
            if !busy.is_empty() {
                let count = count(
                    busy.len(),
                    "instance that Nova keeps on the host has",
                    "instances that Nova keeps on the host have",
                );
                // Its nova-compute has run all the time, so nothing waits in its queue.
                let (verdict, queue) = if nothing_to_clean_up(facts) {
                    (CheckResult::Note, "")
                } else {
                    (
                        CheckResult::Bad,
                        "; before nova-compute starts, such tasks wait in the queue of the host, which must be purged",
                    )
                };
                report(
                    verdict,
                    format!("{count} a task under way{queue}: {}", names(busy)),
                );
            }
            if !servers.is_empty() {
                report(
                    CheckResult::Note,
                    format!(
                        "{} still on the host as Nova sees it: {}",
                        count(servers.len(), "instance is", "instances are"),
                        names(
                            servers
                                .iter()
                                .map(|server| format!("{} ({})", server.name, server.id))
                        )
                    ),
                );
            }
        }
    }
    if !facts.waiting.is_empty() {
        let text = format!(
            "{} an operator: {}: `tachi instance list --waiting`",
            count(facts.waiting.len(), "instance waits for", "instances wait for"),
            names(facts.waiting.iter().cloned())
        );
        report(CheckResult::Bad, text);
    }
    let needy: Vec<String> = facts
        .vmoves
        .iter()
        .filter(|vmove| vmove.status == Some(VmoveStatus::Failed))
        .map(|vmove| {
            let why = vmove.message.as_deref().unwrap_or("see the vmove");
            format!("{} ({}): {why}", vmove.instance_name, vmove.instance_uuid)
        })
        .collect();
    if !needy.is_empty() {
        let text = format!(
            "{} an operator: {}",
            count(
                needy.len(),
                "instance of the last recovery needs",
                "instances of the last recovery need",
            ),
            names(needy)
        );
        report(CheckResult::Note, text);
    }
}

fn names(all: impl IntoIterator<Item = String>) -> String {
    let mut all: Vec<String> = all.into_iter().collect();
    let count = all.len();
    if count > NAMED {
        all.truncate(NAMED);
        all.push(format!("and {} more", count - NAMED));
    }
    let joined = all.join(", ");
    joined
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
pub(super) mod tests;
