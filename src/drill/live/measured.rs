//! What a live drill has measured, beside what was to be expected.

use serde::Serialize;
use std::time::Duration;

use tachi_domain::nova::{Server, VmState};
use tachi_domain::situation::Grade;
use tachi_domain::{RecoveryId, ServerId, Timestamp};
use tachi_operator::StoryView;

use crate::drill::Predicted;
use crate::out::plain;

/// What came of a canary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Canary {
    pub(crate) id: ServerId,
    pub(crate) name: String,
    /// Where it runs now; `None` if it does not, or still stands where it was.
    pub(crate) to: Option<String>,
    /// From the order to switch the host off until it was back.
    pub(crate) down_seconds: Option<f64>,
}

/// What came of a live drill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Live {
    pub(crate) host: String,
    pub(crate) recovery: RecoveryId,
    /// How the recovery ended.
    pub(crate) status: String,
    /// From the order to switch the host off until the recovery was opened.
    pub(crate) noticed_seconds: f64,
    /// So long monitors were waited for, if none has reported the host and the drill had to.
    pub(crate) unnoticed_for_seconds: Option<u64>,
    pub(crate) canaries: Vec<Canary>,
    /// What the recovery has moved that was no canary.
    pub(crate) others: Vec<String>,
    /// What recoveries before it took, counted from their opening.
    pub(crate) predicted: Option<Predicted>,
    /// The same of this one.
    pub(crate) median_seconds: Option<f64>,
    pub(crate) last_seconds: Option<f64>,
}

/// Puts it together. `shown` is each canary as Nova shows it when the recovery is over.
pub(super) fn measured(
    host: &str,
    killed: Timestamp,
    unnoticed: Option<Duration>,
    story: &StoryView,
    shown: &[(ServerId, Option<Server>)],
    predicted: Option<Predicted>,
) -> Live {
    let seconds =
        |at: Timestamp| Duration::from_micros(at.micros_since(killed).try_into().unwrap_or(0)).as_secs_f64();
    let canary = |(id, server): &(ServerId, Option<Server>)| {
        let moved = story.instances.iter().find(|one| one.id == id.to_string());
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
        recovery: story.summary.recovery,
        status: story.summary.status.clone(),
        noticed_seconds: seconds(story.summary.opened_at.0),
        unnoticed_for_seconds: unnoticed.map(|unnoticed| unnoticed.as_secs()),
        canaries: shown.iter().map(canary).collect(),
        others: story
            .instances
            .iter()
            .filter(|one| is_other(&one.id))
            .map(|one| one.name.clone())
            .collect(),
        predicted,
        median_seconds: story.downtime.all.median,
        last_seconds: story.downtime.all.last,
    }
}

impl Live {
    /// Whether every canary runs elsewhere, by the recovery and by Nova.
    pub(crate) fn all_back(&self) -> bool {
        self.canaries
            .iter()
            .all(|one| one.to.is_some() && one.down_seconds.is_some())
    }

    /// How good that is.
    pub(crate) fn grade(&self) -> Grade {
        if !self.all_back() || self.status != "finished" || !self.others.is_empty() {
            Grade::Err
        } else if self.unnoticed_for_seconds.is_some() {
            Grade::Warn
        } else {
            Grade::Ok
        }
    }

    /// In a line.
    pub(crate) fn sentence(&self) -> String {
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
            others => format!("; MOVED BESIDES: {}", plain(&others.join(", "))),
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
