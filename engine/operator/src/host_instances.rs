//! Details of a host: its fence devices, the instances on it, and the evidence while its recovery is on hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tachi_domain::policy::LocalDisk;
use tachi_domain::power::Power;
use tachi_domain::situation::{DiskPlace, FindingCode, InstanceSituation, Protection};
use tachi_domain::{ServerId, Timestamp};
use tachi_engine::ports::operator::MoveLine;
use utoipa::ToSchema;

use crate::schema;
use crate::situation::CountsView;
use crate::snapshot::RegionSnapshot;
use crate::waits::WaitView;
use crate::when::{Time, age, ago, duration_text};

/// A fence device of a host, and its last test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FenceLevel)]
pub struct LevelView {
    /// The number of the device's level; the lowest is tried first.
    pub level: u32,
    /// The device's name with its plug.
    pub device: String,
    /// When the device was tested.
    pub tested_at: Time,
    /// True if the device works and its test is recent enough to count.
    pub good: bool,
    /// The power state that the test read; null if it read none.
    #[serde(default)]
    #[schema(required, schema_with = schema::power)]
    pub power: Option<Power>,
    /// The fault that makes the device unreliable; null if there is none.
    #[schema(required)]
    pub fault: Option<String>,
}

impl LevelView {
    /// Returns the power state that the device read last, without a judgement: "on" is good for a running host.
    pub const fn reading(&self) -> &'static str {
        match (&self.fault, self.power) {
            (Some(_), _) => "device fails",
            (None, Some(Power::Off)) => "off",
            (None, Some(Power::On)) => "on",
            (None, Some(Power::Unknown) | None) => "no reading",
        }
    }

    /// Returns the devices of one host, in the order in which they are tried.
    pub(crate) fn of(snapshot: &RegionSnapshot, host: &str) -> Vec<Self> {
        let mut all: Vec<_> = snapshot.tests.iter().filter(|test| test.host == host).collect();
        all.sort_by_key(|test| (test.level, &test.target));
        all.into_iter()
            .map(|test| Self {
                level: test.level,
                device: test.target.clone(),
                tested_at: Time(test.as_of),
                good: test.is_good(snapshot.now),
                power: test.power,
                fault: test.fault.clone(),
            })
            .collect()
    }
}

/// The evidence that a host is off, or is not, for the operator who decides on its recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostEvidence)]
pub struct EvidenceView {
    /// True if the host is up in Nova; null if unknown.
    #[schema(required)]
    pub up: Option<bool>,
    /// Since when Nova has shown that state, as far as engines have observed it; null if unknown.
    #[schema(required)]
    pub since: Option<Time>,
    /// The number of the host's instances; null if no engine has listed them yet.
    #[schema(required)]
    pub instances: Option<u64>,
    /// The host's fence devices with their last test, in the order in which they are tried.
    pub levels: Vec<LevelView>,
}

impl EvidenceView {
    /// Describes the evidence in one line, each part with its age. A reading from before the recovery was put on hold may be from before
    /// the failure.
    pub fn summary(&self, now: Timestamp, on_hold_since: Option<Timestamp>) -> String {
        self.text(Some(now), on_hold_since)
    }

    /// Describes the evidence in one line without ages, for a text that stays the same as long as the evidence does.
    pub fn readings(&self) -> String {
        self.text(None, None)
    }

    fn text(&self, now: Option<Timestamp>, on_hold_since: Option<Timestamp>) -> String {
        let state = match self.up {
            Some(true) => "up",
            Some(false) => "down",
            None => "unknown",
        };
        let since = self.since.zip(now);
        let since = since.map_or_else(String::new, |(at, now)| format!(" for {}", age(at.0, now)));
        let reads = |level: &LevelView| {
            let earlier = on_hold_since.is_some_and(|since| level.tested_at.0 < since);
            let earlier = if earlier { ", before the hold" } else { "" };
            let tested = now.map_or_else(String::new, |now| {
                format!(" ({}{earlier})", ago(level.tested_at.0, now))
            });
            format!("{} {}{tested}", level.device, level.reading())
        };
        let power: Vec<String> = self.levels.iter().map(reads).collect();
        let power = if power.is_empty() {
            "no reading".to_owned()
        } else {
            power.join(", ")
        };
        format!("Nova: {state}{since}; power: {power}")
    }

    /// Collects the evidence on one host.
    pub(crate) fn of(snapshot: &RegionSnapshot, host: &str) -> Self {
        let judged = snapshot
            .situation
            .hosts
            .iter()
            .find(|host_situation| host_situation.name == host);
        let mut services = snapshot.facts.computes.iter().flat_map(|known| &known.value);
        let counts = judged
            .and_then(|host_situation| host_situation.counts)
            .map(CountsView::from);
        Self {
            up: judged.and_then(|host_situation| host_situation.up),
            since: services
                .find(|service| service.host == host)
                .map(|service| Time(service.since)),
            instances: counts.map(|counts| counts.included() + counts.not_meant),
            levels: LevelView::of(snapshot, host),
        }
    }
}

/// The disk of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = InstanceDisk)]
pub struct DiskView {
    /// The place, as a monitor bound to the host has last read it: `local` (on the host alone), `shared-or-unknown`, or `not-read` (no
    /// such monitor has read the disks there).
    #[schema(schema_with = schema::disk_place)]
    pub place: DiskPlace,
    /// The treatment of the instance if its host fails and its disk is local: `evacuate` (without the disk), `wait:TIME`, or `leave`.
    #[schema(value_type = String)]
    pub policy: LocalDisk,
}

impl DiskView {
    pub(crate) fn of(instance: &InstanceSituation) -> Option<Self> {
        instance.disk.map(|disk| Self {
            place: disk.place,
            policy: disk.treatment,
        })
    }

    /// Returns a short form of the place, with the policy for a local disk.
    pub fn short(&self) -> String {
        match self.place {
            DiskPlace::Local => format!("local ({})", self.policy),
            DiskPlace::SharedOrUnknown => "shared or unknown".to_owned(),
            DiskPlace::NotRead => "not read".to_owned(),
        }
    }

    /// Returns the place and the treatment as a sentence.
    pub fn sentence(&self) -> String {
        match (self.place, self.policy) {
            (DiskPlace::Local, LocalDisk::Evacuate) => {
                "on this host alone: if the host fails, the instance comes back from its image, without this disk"
                    .to_owned()
            }
            (DiskPlace::Local, LocalDisk::Wait(time)) => format!(
                "on this host alone: if the host fails, it waits {} for the host and is then evacuated without this disk",
                duration_text(time)
            ),
            (DiskPlace::Local, LocalDisk::Leave) => {
                "on this host alone: if the host fails, it stays there until the host has returned".to_owned()
            }
            (DiskPlace::SharedOrUnknown, _) => {
                "not on a local file system of this host, as far as its instance monitor knows".to_owned()
            }
            (DiskPlace::NotRead, _) => {
                "not read: no instance monitor that is bound to this host has reported its disks".to_owned()
            }
        }
    }
}

/// An instance on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostedInstance)]
pub struct HostedView {
    /// The instance's id in Nova.
    pub id: String,
    /// The instance's name.
    pub name: String,
    /// The fate of the instance if its host failed now.
    #[schema(schema_with = schema::protection)]
    pub protection: Protection,
    /// The reasons for that, except those that apply to the host as a whole.
    #[schema(schema_with = schema::codes)]
    pub reasons: Vec<FindingCode>,
    /// The reason why policy excludes the instance from recovery; null if it is included.
    #[schema(required)]
    pub left: Option<String>,
    /// The instance's disk; null if it is not listed.
    #[serde(default)]
    #[schema(required)]
    pub disk: Option<DiskView>,
    /// The wait that the instance is in; null if it does not wait for an operator.
    #[schema(required)]
    pub waits: Option<WaitView>,
}

impl HostedView {
    /// Returns the instances on one host; `None` if no engine has listed them yet.
    pub(crate) fn on(snapshot: &RegionSnapshot, host: &str) -> Option<Vec<Self>> {
        let all = snapshot.situation.instances.as_ref()?;
        let of_host: BTreeSet<FindingCode> = snapshot
            .situation
            .hosts
            .iter()
            .filter(|host_situation| host_situation.name == host)
            .flat_map(|host_situation| host_situation.reasons.iter().copied())
            .collect();
        let listed = all.iter().filter(|instance| *instance.host == *host);
        let waiting = waiting_by_id(snapshot);
        Some(
            listed
                .map(|instance| Self::of(&waiting, instance, &of_host))
                .collect(),
        )
    }

    /// True if a recovery of its host, with this protection, moves the instance: also one that does not run on a running host.
    pub fn is_moved_with(&self, host: Protection) -> bool {
        let is_recovered = |one| matches!(one, Protection::Protected | Protection::Degraded);
        let is_only_down = self.reasons == [FindingCode::InstanceDown] && self.waits.is_none();
        is_recovered(self.protection) || (is_only_down && self.left.is_none() && is_recovered(host))
    }

    /// Builds the view of an instance, without the reasons `of_host` that apply to its host as a whole.
    pub(crate) fn of(
        waiting: &BTreeMap<ServerId, &MoveLine>,
        one: &InstanceSituation,
        of_host: &BTreeSet<FindingCode>,
    ) -> Self {
        let waiting = waiting.get(&one.id);
        Self {
            id: one.id.to_string(),
            name: one.name.to_string(),
            protection: one.protection,
            reasons: one.reasons.difference(of_host).copied().collect(),
            left: one.left.clone(),
            disk: DiskView::of(one),
            waits: waiting.and_then(|line| line.wait.as_ref()).map(WaitView::from),
        }
    }
}

/// Returns the instances that need an operator, by id.
pub(crate) fn waiting_by_id(snapshot: &RegionSnapshot) -> BTreeMap<ServerId, &MoveLine> {
    snapshot.waiting().map(|line| (line.server, line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_from_before_the_hold_says_so() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let level = |device: &str, seconds| LevelView {
            level: 1,
            device: device.to_owned(),
            tested_at: Time(now.minus_seconds(seconds)),
            good: true,
            power: Some(Power::On),
            fault: None,
        };
        let evidence = EvidenceView {
            up: Some(true),
            since: Some(Time(now.minus_seconds(91))),
            instances: None,
            levels: vec![level("bmc", 18), level("pdu", 2)],
        };
        assert_eq!(
            evidence.summary(now, Some(now.minus_seconds(5))),
            "Nova: up for 91 s; power: bmc on (18 s ago, before the hold), pdu on (2 s ago)"
        );
        assert_eq!(evidence.readings(), "Nova: up; power: bmc on, pdu on");
    }

    /// Covers R36.
    #[test]
    fn an_instance_that_does_not_run_on_a_running_host_is_moved_with_it() {
        let view = |protection, reasons: &[FindingCode], left: Option<&str>| HostedView {
            id: "1".to_owned(),
            name: "ha-1".to_owned(),
            protection,
            reasons: reasons.to_vec(),
            left: left.map(str::to_owned),
            disk: None,
            waits: None,
        };
        let down = &[FindingCode::InstanceDown][..];
        for (one, host, expected) in [
            (
                view(Protection::Protected, &[], None),
                Protection::Protected,
                true,
            ),
            (view(Protection::Unknown, down, None), Protection::Degraded, true),
            (view(Protection::Down, down, None), Protection::Protected, true),
            (view(Protection::Down, down, None), Protection::Unprotected, false),
            (
                view(Protection::NotMeant, down, Some("tag")),
                Protection::Protected,
                false,
            ),
            (
                view(Protection::Down, &[FindingCode::MoveFailed], None),
                Protection::Protected,
                false,
            ),
        ] {
            assert_eq!(one.is_moved_with(host), expected, "{one:?} on {host}");
        }
    }
}
