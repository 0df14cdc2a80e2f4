//! Measurements of a live drill, beside the expected values.

use std::time::Duration;

use serde::Serialize;
use tachi_domain::nova::{Server, VmState};
use tachi_domain::situation::Severity;
use tachi_domain::{RecoveryId, ServerId, Timestamp};

use crate::history::RecoveryHistoryView;
use crate::plain::plain;
use crate::prediction::Prediction;

/// The result for a canary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Canary {
    pub id: ServerId,
    pub name: String,
    /// The host where it runs now; `None` if it does not run, or is still on the old host.
    pub to: Option<String>,
    /// Seconds from the power-off command until it was back.
    pub down_seconds: Option<f64>,
}

/// The result of a live drill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Live {
    pub host: String,
    pub recovery: RecoveryId,
    /// Final status of the recovery.
    pub status: String,
    /// Seconds from the power-off command until the recovery was opened.
    pub noticed_seconds: f64,
    /// Seconds that the drill waited for monitors, if none reported the host and the drill had to.
    pub unnoticed_for_seconds: Option<u64>,
    pub canaries: Vec<Canary>,
    /// Instances that the recovery has moved and that are no canaries.
    pub others: Vec<String>,
    /// Times of earlier recoveries, counted from their opening.
    pub predicted: Option<Prediction>,
    /// The same times of this recovery.
    pub median_seconds: Option<f64>,
    pub last_seconds: Option<f64>,
}

/// Assembles the result. `shown` is each canary as Nova shows it after the recovery.
pub(super) fn measured(
    host: &str,
    killed: Timestamp,
    unnoticed: Option<Duration>,
    history: &RecoveryHistoryView,
    shown: &[(ServerId, Option<Server>)],
    predicted: Option<Prediction>,
) -> Live {
    let seconds =
        |at: Timestamp| Duration::from_micros(at.micros_since(killed).try_into().unwrap_or(0)).as_secs_f64();
    let canary = |(id, server): &(ServerId, Option<Server>)| {
        let moved = history
            .instances
            .iter()
            .find(|instance| instance.id == id.to_string());
        let runs = server
            .as_ref()
            .filter(|server| server.vm_state == VmState::Active);
        let to = runs
            .and_then(|server| server.host.clone())
            .filter(|on| on != host);
        let back = moved.filter(|one| one.down_seconds.is_some() && to.is_some());
        Canary {
            id: *id,
            name: server
                .as_ref()
                .map_or_else(|| id.to_string(), |server| server.name.clone()),
            down_seconds: back.and_then(|one| one.over_at).map(|at| seconds(at.0)),
            to,
        }
    };
    let is_other = |id: &str| shown.iter().all(|(canary, _)| canary.to_string() != id);
    Live {
        host: host.to_owned(),
        recovery: history.summary.recovery,
        status: history.summary.status.clone(),
        noticed_seconds: seconds(history.summary.opened_at.0),
        unnoticed_for_seconds: unnoticed.map(|unnoticed| unnoticed.as_secs()),
        canaries: shown.iter().map(canary).collect(),
        others: history
            .instances
            .iter()
            .filter(|instance| is_other(&instance.id))
            .map(|instance| instance.name.clone())
            .collect(),
        predicted,
        median_seconds: history.downtime.all.median,
        last_seconds: history.downtime.all.last,
    }
}

impl Live {
    /// True if every canary runs elsewhere, by the recovery and by Nova.
    pub fn all_back(&self) -> bool {
        self.canaries
            .iter()
            .all(|one| one.to.is_some() && one.down_seconds.is_some())
    }

    /// Returns the grade of the result.
    pub fn grade(&self) -> Severity {
        if !self.all_back() || self.status != "finished" || !self.others.is_empty() {
            Severity::Err
        } else if self.unnoticed_for_seconds.is_some() {
            Severity::Warn
        } else {
            Severity::Ok
        }
    }

    /// Describes the result in a line.
    pub fn sentence(&self) -> String {
        let host = plain(&self.host);
        let back = self.canaries.iter().filter(|one| one.down_seconds.is_some());
        let (back, all) = (back.count(), self.canaries.len());
        let downs = self.canaries.iter().filter_map(|one| one.down_seconds);
        let last = downs.fold(0.0, f64::max);
        let noticed = match self.unnoticed_for_seconds {
            None => format!("reported after {:.1} s", self.noticed_seconds),
            Some(waited) => format!("NO MONITOR reported it within {waited} s"),
        };
        let others = match self.others.as_slice() {
            [] => String::new(),
            others => format!("; ALSO MOVED: {}", plain(&others.join(", "))),
        };
        if back == all {
            return format!(
                "{host}: {back} of {all} canaries back {last:.1} s after the power-off; {noticed}{others}"
            );
        }
        format!(
            "{host} FAILED: {back} of {all} canaries back; recovery {} is {}; {noticed}{others}",
            self.recovery, self.status
        )
    }
}
