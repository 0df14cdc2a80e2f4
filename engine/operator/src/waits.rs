//! Waits of recoveries and instances, in words: the reason, the duration, and the commands that end them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tachi_domain::recovery::RecoveryKind;
use tachi_domain::{EndedBy, RecoveryId, Timestamp, Wait, WaitsFor};
use tachi_engine::ports::operator::{MoveLine, RecoverySummary};
use utoipa::ToSchema;

use crate::schema;
use crate::when::{Time, age};

/// Returns the reason for a wait.
pub fn what(wait: Option<&Wait>) -> WaitsFor {
    wait.map_or(WaitsFor::Nothing, |wait| wait.what)
}

/// A wait of a recovery or of one of its instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Wait)]
pub struct WaitView {
    /// The reason for the wait.
    #[serde(rename = "for")]
    #[schema(schema_with = schema::waits_for)]
    pub what: WaitsFor,
    /// The names of the guards or hosts that the wait is about; for `local-disk` its end, in ISO 8601. Empty if there are none.
    #[schema(value_type = Vec<String>)]
    pub on: BTreeSet<String>,
    /// When the wait began.
    pub since: Time,
    /// True if it is on hold: only an operator's action is certain to end the wait.
    pub held: bool,
    /// True if the wait needs an operator: it is on hold, or the recovery has given up.
    pub needs_person: bool,
    /// The actions of an operator that can end the wait.
    #[schema(schema_with = schema::ended_by)]
    pub ended_by: Vec<EndedBy>,
}

/// The identity of a wait: three members of the `waits` object of a recovery, whose others are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownWait {
    #[serde(rename = "for")]
    pub what: WaitsFor,
    #[serde(default)]
    pub on: BTreeSet<String>,
    pub since: Time,
}

impl From<ShownWait> for Wait {
    fn from(shown: ShownWait) -> Self {
        Self {
            what: shown.what,
            on: shown.on,
            since: shown.since.0,
        }
    }
}

impl From<&WaitView> for ShownWait {
    fn from(view: &WaitView) -> Self {
        Self {
            what: view.what,
            on: view.on.clone(),
            since: view.since,
        }
    }
}

impl From<&Wait> for WaitView {
    fn from(wait: &Wait) -> Self {
        Self {
            what: wait.what,
            on: wait.on.clone(),
            since: Time(wait.since),
            held: wait.what.is_on_hold(),
            needs_person: wait.what.needs_person(),
            ended_by: wait.what.ended_by().to_vec(),
        }
    }
}

impl WaitView {
    /// Returns the reason, followed by the guards or hosts in parentheses if there are any.
    pub fn about(&self) -> String {
        let on: Vec<&str> = self.on.iter().map(String::as_str).collect();
        if let (WaitsFor::LocalDisk, Some(end)) = (self.what, on.first()) {
            return format!("{}, until {end}", self.what.sentence());
        }
        if on.is_empty() {
            self.what.sentence().to_owned()
        } else {
            format!("{} ({})", self.what.sentence(), on.join(", "))
        }
    }

    /// Returns the same text with the duration of the wait.
    pub fn sentence(&self, now: Timestamp) -> String {
        format!("{}; for {}", self.about(), age(self.since.0, now))
    }
}

/// Returns the commands with which an operator can end a recovery's wait.
pub fn to_end_recovery(row: &RecoverySummary) -> Vec<String> {
    let (id, host) = (row.id, &row.host);
    // A host has one open recovery of its own, but there may be several of its instances and processes: those are named by their ids.
    let name = match row.kind {
        RecoveryKind::Host | RecoveryKind::Drain | RecoveryKind::Giveback => host.clone(),
        RecoveryKind::Vm | RecoveryKind::Process => id.to_string(),
    };
    // Its instances need no operator, so they are not among those that wait for one.
    if what(row.wait.as_ref()) == WaitsFor::LocalDisk {
        return vec!["tachi instance list --recovering".to_owned()];
    }
    let segment = row
        .segment
        .map_or_else(|| "SEGMENT".to_owned(), |id| id.to_string());
    let actions = what(row.wait.as_ref()).ended_by().iter();
    actions
        .map(|by| match by {
            EndedBy::Approve => format!("tachi recovery approve {name}"),
            EndedBy::Abort => format!("tachi recovery abort {name}"),
            EndedBy::ConfirmOff => format!("tachi recovery confirm-off {host} --reason ..."),
            EndedBy::EnableFencing => "set [fencing] enabled = true".to_owned(),
            EndedBy::EnableSegment => format!("openstack segment update --is_enabled True {segment}"),
            EndedBy::EndMaintenance => {
                format!("openstack segment host update --on_maintenance False {segment} {host}")
            }
            EndedBy::Thaw => "tachi freeze list, then tachi thaw".to_owned(),
            EndedBy::Upgrade => "start an engine of the version that wrote it".to_owned(),
            EndedBy::RetryRecovery => format!("tachi recovery retry {id}"),
            EndedBy::ResolveInstances
            | EndedBy::Success
            | EndedBy::Failure
            | EndedBy::Retry
            | EndedBy::Ignore => "tachi instance list --waiting".to_owned(),
        })
        .collect()
}

/// Returns the commands with which an operator can end an instance's wait.
pub fn to_end_move(line: &MoveLine) -> Vec<String> {
    let Some(wait) = &line.wait else {
        return Vec::new();
    };
    of_move(wait, &line.server.to_string(), line.recovery)
}

/// Returns the same commands for an instance given by its id.
pub(crate) fn of_move(wait: &Wait, instance: &str, recovery: RecoveryId) -> Vec<String> {
    let command = |options: &str| format!("tachi instance resolve {instance} {options}");
    let on_each = |option: &str| {
        let hosts = wait.on.iter();
        hosts.map(|host| command(&format!("{option} {host}"))).collect()
    };
    let mut actions = wait.what.ended_by().to_vec();
    // The action that destroys a disk if it is wrong never comes first.
    actions.sort_by_key(|by| *by == EndedBy::Failure);
    let actions = actions.iter();
    actions
        .flat_map(|by| match by {
            EndedBy::Success if wait.on.is_empty() => vec![command("--running-on HOST")],
            EndedBy::Failure if wait.on.is_empty() && wait.what == WaitsFor::Progress => {
                vec![command("--not-running")]
            }
            EndedBy::Failure if wait.on.is_empty() => vec![command("--not-running-on HOST")],
            // Each of these hosts has to be looked at.
            EndedBy::Success => on_each("--running-on"),
            EndedBy::Failure => on_each("--not-running-on"),
            EndedBy::Retry => vec![command("--retry")],
            EndedBy::Ignore => vec![command("--dismiss")],
            EndedBy::RetryRecovery => vec![format!("tachi recovery retry {recovery}")],
            EndedBy::Thaw => vec![format!("tachi thaw instance {instance}")],
            EndedBy::Approve
            | EndedBy::Abort
            | EndedBy::ConfirmOff
            | EndedBy::EnableFencing
            | EndedBy::EnableSegment
            | EndedBy::EndMaintenance
            | EndedBy::ResolveInstances
            | EndedBy::Upgrade => vec![format!("tachi recovery show {recovery}")],
        })
        .collect()
}

/// Appends the meaning to a command, as a shell comment: an operator on call does not know the options by heart.
pub fn explained(way: &str) -> String {
    let says = [
        (
            " --running-on ",
            "it runs there; accepted once Nova shows it there",
        ),
        (
            " --not-running-on ",
            "it is not there, as you have checked: it is started elsewhere",
        ),
        (" --retry", "the evacuation is requested again"),
        (" --dismiss", "it stays as it is, and is no longer listed"),
    ];
    let effect = says.iter().find(|(verb, _)| way.contains(verb));
    effect.map_or_else(|| way.to_owned(), |(_, says)| format!("{way}    # {says}"))
}

#[cfg(test)]
mod tests {
    use tachi_domain::ServerId;
    use tachi_domain::recovery::Life;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn commands_name_the_instance_and_the_host() {
        let at = Timestamp::from_micros(1_700_000_000_000_000);
        let line = |what, on: &[&str]| MoveLine {
            recovery: RecoveryId(Uuid::from_u128(1)),
            host: "compute-001".into(),
            life: Life::Open,
            opened_at: at,
            server: ServerId(Uuid::from_u128(2)),
            name: "web".into(),
            rank: 0,
            dest: None,
            wait: Some(Wait {
                what,
                on: on.iter().map(|name| (*name).to_owned()).collect(),
                since: at,
            }),
            may_run: [].into(),
            message: None,
            state: "{}".into(),
        };
        let absence = to_end_move(&line(WaitsFor::Absence, &["compute-002"]));
        let id = Uuid::from_u128(2);
        assert_eq!(
            absence,
            [
                format!("tachi instance resolve {id} --running-on compute-002"),
                format!("tachi instance resolve {id} --dismiss"),
                format!("tachi instance resolve {id} --not-running-on compute-002"),
            ]
        );
        let mut explanations = absence.iter().map(|way| explained(way));
        assert!(
            explanations
                .next_back()
                .unwrap()
                .ends_with("    # it is not there, as you have checked: it is started elsewhere")
        );
        assert_eq!(explained("tachi recovery show x"), "tachi recovery show x");
        let given_up = to_end_move(&line(WaitsFor::GivenUp, &[]));
        assert_eq!(
            given_up[0],
            format!("tachi recovery retry {}", Uuid::from_u128(1))
        );
        assert!(to_end_move(&line(WaitsFor::Nothing, &[])).is_empty());
    }

    #[test]
    fn commands_name_the_segment_of_the_recovery() {
        let id = Uuid::from_u128(7);
        let mut row = RecoverySummary {
            id: RecoveryId(id),
            notification: tachi_domain::NotificationId(id),
            kind: RecoveryKind::Host,
            host: "compute-001".into(),
            host_id: tachi_domain::HostId(id),
            segment: Some(tachi_domain::SegmentId(id)),
            moves: tachi_engine::ports::operator::MoveCounts::default(),
            life: Life::Open,
            status: "running".into(),
            wait: None,
            message: None,
            owner: None,
            opened_at: Timestamp::from_micros(0),
            first_reported_at: Timestamp::from_micros(0),
        };
        for what in WaitsFor::ALL {
            row.wait = Some(Wait {
                what: *what,
                on: BTreeSet::new(),
                since: Timestamp::from_micros(0),
            });
            for way in to_end_recovery(&row) {
                assert!(!way.contains("SEGMENT"), "{what}: {way}");
            }
        }
    }
}
