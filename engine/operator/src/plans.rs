//! Plans for a running host, on a controller or over the API: draining it, and giving instances back to it. A request is checked first,
//! then recorded in the audit log, then written. An engine carries out the plan, and reads Nova again before each step.

mod away_instances;
mod nova;
mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use tachi_domain::freeze::typed;
use tachi_domain::planned::{MAX_FREEZE_DURATION, MAX_MOVE_LIMIT, MIN_MOVE_LIMIT, PlannedOrder};
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::situation::TimedFact;
use tachi_domain::{RecoveryId, ServerId, Timestamp, count};
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::operator::{HostView, RecoveryFilter};
use tachi_engine::ports::plans::{NewPlan, PLANS_FACT, PlanOutcome};
use tachi_engine::ports::{AuditEntry, FreezeLine, JournalError, OperatorJournal, Plans};

use crate::actions::ActionError;
use crate::audited::AuditedOperator;
use crate::freezes::end_command;
use crate::plain::{check_reason, plain};
use crate::report_host::freezes_host;
use crate::snapshot::{RegionSnapshot, is_alive};
use crate::when::{ago, duration_text};

pub use away_instances::{AwayInstance, MAX_RETURNED, instances_to_return, list_away};
pub use nova::{list_away_now, service_now};
pub use view::{AwayView, GivebackView, PlannedView};

/// The shortest freeze of a host after its drain.
pub const MIN_FREEZE: Duration = Duration::from_mins(1);

/// The maximum length of the reason in bytes: Nova's disable reason contains it beside other text.
pub const MAX_REASON_BYTES: usize = 100;

/// The window in seconds in which an identical request counts as a retry after a lost answer.
const REPEAT_WINDOW_SECONDS: u64 = 60;

/// The number of the host's latest recoveries that are searched for an identical request.
const MAX_RECENT_RECOVERIES: u64 = 5;

/// A request for a plan, without its operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRequest {
    /// `Drain` or `Giveback`.
    pub kind: RecoveryKind,
    /// The reason for a drain.
    pub reason: String,
    /// The duration of the freeze after a drain.
    pub lasts: Duration,
    /// The maximum number of concurrent live migrations.
    pub at_once: u32,
    /// The timeout of one live migration.
    pub limit: Duration,
    /// True if instances that their owners have locked are moved too.
    pub with_locked: bool,
}

/// The invalid part of a request, with a message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidPlan {
    /// The duration of the freeze.
    Lasts(String),
    /// The timeout of a live migration.
    Limit(String),
    Reason(String),
}

impl PlanRequest {
    /// Validates the request and returns it with the reason trimmed, as it is stored.
    ///
    /// # Errors
    ///
    /// A duration is out of bounds, or the reason is empty, too long or not one line.
    pub fn validate(self) -> Result<Self, InvalidPlan> {
        let between = |time: Duration, least: Duration, most: Duration, name: &str| {
            if (least..=most).contains(&time) {
                Ok(())
            } else {
                Err(format!("{} is not between {name}", duration_text(time)))
            }
        };
        between(self.limit, MIN_MOVE_LIMIT, MAX_MOVE_LIMIT, "10s and 24h").map_err(InvalidPlan::Limit)?;
        if self.kind != RecoveryKind::Drain {
            return Ok(self);
        }
        let reason = self.reason.trim();
        if reason.is_empty() {
            return Err(InvalidPlan::Reason("write why, in one line".to_owned()));
        }
        check_reason(reason, MAX_REASON_BYTES).map_err(InvalidPlan::Reason)?;
        between(self.lasts, MIN_FREEZE, MAX_FREEZE_DURATION, "1m and 24h").map_err(InvalidPlan::Lasts)?;
        let reason = reason.to_owned();
        Ok(Self { reason, ..self })
    }

    /// Returns the order as it is stored. For a giveback, `instances` are those that go back, each with the host that it was moved to.
    pub fn order(&self, by: &str, instances: BTreeMap<ServerId, String>) -> PlannedOrder {
        PlannedOrder {
            by: by.to_owned(),
            reason: self.reason.clone(),
            lasts: self.lasts,
            at_once: self.at_once,
            limit: self.limit,
            with_locked: self.with_locked,
            instances,
        }
    }
}

/// A host's compute service in Nova.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostService {
    /// True if Nova shows the service up and it is not forced down.
    pub up: bool,
    /// True if Nova schedules instances to the host.
    pub enabled: bool,
    /// True if `tachi host undrain` would leave it enabled: others have not disabled it.
    pub undrains: bool,
    /// The reason why it is disabled, if known.
    pub why: Option<String>,
    /// The number of instances on the host.
    pub instances: usize,
    /// The age of this data in words; empty if Nova was asked just now.
    pub when: String,
}

/// Returns the host's service as an engine last read it from Nova; `None` if Nova has no such service.
///
/// # Errors
///
/// The data is stale, or the host's cell is down; for people.
pub fn service_in(snapshot: &RegionSnapshot, host: &str) -> Result<Option<HostService>, String> {
    let unknown = || {
        "no engine has read Nova within the last 45 s, so the host's state is unknown: see `tachi status`, or run the command on a \
         controller, where it calls Nova"
            .to_owned()
    };
    let fresh = |as_of: Timestamp| TimedFact { as_of, value: () }.is_fresh(snapshot.now);
    let computes = snapshot
        .facts
        .computes
        .as_ref()
        .filter(|known| fresh(known.as_of));
    let instances = snapshot
        .facts
        .instances
        .as_ref()
        .filter(|known| fresh(known.as_of));
    let (Some(computes), Some(instances)) = (computes, instances) else {
        return Err(unknown());
    };
    let Some(service) = computes.value.iter().find(|service| service.host == host) else {
        return Ok(None);
    };
    if service.cell_down {
        return Err(format!(
            "the cell of {host} does not answer, or Nova has two records of the host, so its state is unknown"
        ));
    }
    Ok(Some(HostService {
        up: service.up,
        enabled: service.enabled,
        undrains: service.enabled || service.drained,
        why: None,
        instances: instances.value.on.get(host).map_or(0, |all| all.len()),
        when: ago(computes.as_of, snapshot.now),
    }))
}

/// Returns the reason that blocks a plan for the host now, for people.
pub fn preconditions(
    kind: RecoveryKind,
    view: &HostView,
    freezes: &[FreezeLine],
    snapshot: &RegionSnapshot,
    service: Option<&HostService>,
) -> Option<String> {
    let host = &view.host.name;
    if let Some((id, life)) = view.recovery {
        return Some(if life == Life::Watching {
            format!("{host}: recovery {id} waits for its return: `tachi host return {host}` shows the steps")
        } else {
            format!("{host}: recovery {id} is running: `tachi recovery show {host} --follow`")
        });
    }
    let in_force = freezes.iter().filter(|line| freezes_host(line, view));
    // The end of a drain is refused while an operator's freeze is in force.
    if let Some(line) = in_force.min_by_key(|line| line.by_drain) {
        return Some(format!(
            "{}, so its instances are not moved; `{}` ends that",
            line.freeze.sentence(),
            end_command(line, service.is_some_and(|service| service.undrains))
        ));
    }
    let engines = snapshot.tables.engines.iter();
    let too_old: Vec<String> = engines
        .filter(|line| is_alive(line, snapshot.now) && !line.heartbeat.facts.contains_key(PLANS_FACT))
        .map(|line| format!("{} (version {})", line.heartbeat.name, line.heartbeat.version))
        .collect();
    if !too_old.is_empty() {
        return Some(format!(
            "{} could not read it, because it is older than this program; upgrade every engine first",
            too_old.join(", ")
        ));
    }
    let Some(service) = service else {
        return Some(format!("Nova has no nova-compute on {host}"));
    };
    if !service.up {
        return Some(format!(
            "{} down{}, and a live migration needs a running host; `tachi host report-down {host}` reports it as down",
            state_in_nova(service, host),
            if_changed(service)
        ));
    }
    if kind == RecoveryKind::Giveback && !service.enabled {
        return Some(format!(
            "{} disabled{}{}: `tachi host return {host}` shows how to return it to service",
            state_in_nova(service, host),
            disabled_why(service),
            if_changed(service)
        ));
    }
    None
}

/// Returns the command that stops a plan.
pub fn stop_command(kind: RecoveryKind, host: &str) -> String {
    let host = typed(host);
    if kind == RecoveryKind::Drain {
        format!("tachi host drain {host} --abort --reason TEXT")
    } else {
        format!("tachi recovery abort {host}")
    }
}

fn state_in_nova(service: &HostService, host: &str) -> String {
    match service.when.as_str() {
        "" => format!("Nova shows {host}"),
        when => format!("{when} Nova showed {host}"),
    }
}

/// Returns when a change since the last reading of Nova is seen; nothing if Nova was asked just now.
fn if_changed(service: &HostService) -> &'static str {
    if service.when.is_empty() {
        ""
    } else {
        " (an engine reads a later change within 15 s: repeat the command)"
    }
}

fn disabled_why(service: &HostService) -> String {
    let why = service.why.as_deref();
    why.map_or_else(String::new, |why| format!(" ({})", plain(why)))
}

/// Describes the consequences of a drain, one sentence each.
pub fn drain_consequences(host: &str, service: &HostService) -> Vec<String> {
    let mut lines = Vec::new();
    if !service.enabled {
        lines.push(format!(
            "{host} is already disabled in Nova{}",
            disabled_why(service)
        ));
    }
    let there = match (service.instances, service.when.as_str()) {
        (0, "") => format!("No instance is on {host}"),
        (0, when) => format!("No instance was on {host} {when}"),
        (some, "") => format!("{} on {host}", count(some, "instance is", "instances are")),
        (some, when) => format!(
            "{} on {host} {when}",
            count(some, "instance was", "instances were")
        ),
    };
    let disable = if service.enabled {
        "will be disabled in Nova"
    } else {
        "stays disabled"
    };
    lines.push(format!(
        "{there}. {host} {disable}, and its instances will be live-migrated away. Once no running instance is left, {host} will be frozen."
    ));
    lines
}

/// An operator who requests a plan, and the ports for it.
pub struct Planner<'a> {
    pub operator_journal: &'a dyn OperatorJournal,
    pub plans: &'a dyn Plans,
    pub operator: AuditedOperator<'a>,
}

/// The result of a request.
#[derive(Debug)]
pub struct BegunPlan {
    pub view: PlannedView,
    /// The reason why the audit log lacks the result, if it does.
    pub unaudited: Option<String>,
}

impl Planner<'_> {
    fn planned(&self, kind: RecoveryKind, host: &str, recovery: RecoveryId, already: bool) -> BegunPlan {
        BegunPlan {
            view: PlannedView {
                host: host.to_owned(),
                kind,
                recovery,
                by: self.operator.by.clone(),
                already,
            },
            unaudited: None,
        }
    }

    /// Returns the plan that the same operator has just requested with the same values. The instances of a giveback are not compared: one
    /// that is on its way is no longer on the host that it was moved to.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn already(
        &self,
        view: &HostView,
        plan_request: &PlanRequest,
        now: Timestamp,
    ) -> Result<Option<BegunPlan>, JournalError> {
        let host = &view.host.name;
        let filter = RecoveryFilter {
            closed: true,
            host: Some(host.clone()),
            limit: Some(MAX_RECENT_RECOVERIES),
            ..RecoveryFilter::default()
        };
        let request_order = plan_request.order(&self.operator.by, BTreeMap::new());
        for row in self.operator_journal.find_recoveries(&filter).await? {
            let age = now.micros_since(row.opened_at).unsigned_abs() / 1_000_000;
            if row.kind != plan_request.kind || age >= REPEAT_WINDOW_SECONDS {
                continue;
            }
            let history = self.operator_journal.history(row.id).await?;
            let Some(begun) = history.and_then(|history| history.notification) else {
                continue;
            };
            let mut order = PlannedOrder::read(&begun.payload);
            order.instances.clear();
            if order == request_order {
                return Ok(Some(self.planned(plan_request.kind, host, row.id, true)));
            }
        }
        Ok(None)
    }

    /// Writes the plan. The caller has checked that no known fact blocks it.
    ///
    /// # Errors
    ///
    /// The host is busy or no longer registered, the audit log cannot be written, or the database failed.
    pub async fn plan(
        &self,
        view: &HostView,
        plan_request: &PlanRequest,
        instances: BTreeMap<ServerId, String>,
    ) -> Result<BegunPlan, ActionError> {
        let (host, kind) = (&view.host.name, plan_request.kind);
        let entry = AuditEntry::new(AuditAction::Word, AuditPhase::Intent, host);
        let attempt = match kind {
            RecoveryKind::Drain => format!(
                "drain for {}: {}",
                duration_text(plan_request.lasts),
                plan_request.reason
            ),
            RecoveryKind::Giveback | RecoveryKind::Host | RecoveryKind::Vm | RecoveryKind::Process => {
                format!("{kind}; instances: {}", instances.len())
            }
        };
        self.operator
            .intend(entry.clone(), &attempt, "nothing was started")
            .await?;
        let new = NewPlan {
            kind,
            host: view.host.id,
            payload: plan_request.order(&self.operator.by, instances).payload(kind),
        };
        let planned = self.plans.plan(&new).await;
        let (result, text) = match &planned {
            Ok(PlanOutcome::Started { recovery, .. }) => (AuditResult::Ok, format!("recovery {recovery}")),
            Ok(PlanOutcome::Busy(id, _) | PlanOutcome::Reserved(id)) => {
                (AuditResult::Permanent, format!("recovery {id} is running"))
            }
            Ok(PlanOutcome::Unknown) => (
                AuditResult::Permanent,
                "the host is no longer registered".to_owned(),
            ),
            Err(error) => (AuditResult::Transient, format!("{error}: {}", error.source)),
        };
        let unaudited = self.operator.conclude(entry, result, text).await;
        match planned? {
            PlanOutcome::Started { recovery, .. } => Ok(BegunPlan {
                unaudited,
                ..self.planned(kind, host, recovery, false)
            }),
            PlanOutcome::Busy(id, of) => Err(refused(&format!(
                "recovery {id} (kind {of}) of {host} is not finished: `tachi recovery show {host} --follow`"
            ))),
            PlanOutcome::Reserved(id) => Err(refused(&format!(
                "recovery {id} uses {host} as its reserved host and has not ended: `tachi recovery show {id} --follow`"
            ))),
            PlanOutcome::Unknown => Err(refused(&format!(
                "{host} has been removed from its segment meanwhile"
            ))),
        }
    }
}

/// Returns the error that nothing was started, with the reason.
pub fn refused(why: &str) -> ActionError {
    ActionError::Refused(format!("nothing was started: {why}"))
}
