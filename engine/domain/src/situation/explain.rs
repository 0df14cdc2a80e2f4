//! Explanation of the protection of a host or an instance: the requirements of a recovery, and the findings that block each of them.

use std::collections::BTreeSet;

use super::{Aspect, Finding, FindingCode, HostSituation, InstanceSituation, Protection, Situation};
use crate::string_enum::string_enum;

string_enum! {
    /// A requirement of a recovery, in display order.
    Need {
        /// The instance is included in HA.
        Meant = "meant",
        /// Nova shows its host up.
        HostUp = "heard",
        /// The instance runs, or a person has stopped it.
        Runs = "runs",
        /// The host can be confirmed off.
        Provable = "provable",
        /// Another host has capacity for it.
        Room = "room",
        /// The instance can be moved; an ongoing recovery of it does not block that.
        Movable = "movable",
        /// Monitors report a failure, and their reports are trusted.
        Watched = "watched",
        /// An engine runs and reaches what it needs.
        Engine = "engine",
        /// The data is current.
        CurrentData = "known",
    }
}

impl Need {
    /// Returns the label of the requirement for people. The stored value may differ.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Meant => "policy",
            Self::HostUp => "host",
            Self::Runs => "running",
            Self::Provable => "fencing",
            Self::Room => "capacity",
            Self::Movable => "evacuation",
            Self::Watched => "monitoring",
            Self::Engine => "engine",
            Self::CurrentData => "data",
        }
    }

    /// Returns the text for people if nothing blocks the requirement.
    pub const fn good(self) -> &'static str {
        match self {
            Self::Meant => "it is included in HA",
            Self::HostUp => "Nova shows its host up",
            Self::Runs => "it runs, or a user has stopped it",
            Self::Provable => "nothing blocks confirming its host off",
            Self::Room => "other hosts have capacity for it",
            Self::Movable => "nothing blocks its evacuation",
            Self::Watched => "running monitors watch it, and no reporter is muted",
            Self::Engine => "an engine is running",
            Self::CurrentData => "the data is current",
        }
    }

    /// Returns the text for people if the requirement is not met.
    pub const fn bad(self) -> &'static str {
        match self {
            Self::Meant => "it is excluded from HA",
            Self::HostUp => "its host is not up in Nova",
            Self::Runs => "it does not run",
            Self::Provable => "its host cannot be confirmed off",
            Self::Room => "other hosts may lack capacity for it",
            Self::Movable => "something blocks its evacuation",
            Self::Watched => "no running monitor with trusted reports watches it",
            Self::Engine => "no engine is running",
            Self::CurrentData => "the data is stale",
        }
    }

    /// Returns the part of the assessment that this requirement depends on, if that part may be left out.
    pub const fn not_assessed(self) -> Option<Aspect> {
        match self {
            Self::Room => Some(Aspect::Room),
            Self::Watched => Some(Aspect::Monitors),
            Self::Meant
            | Self::HostUp
            | Self::Runs
            | Self::Provable
            | Self::Movable
            | Self::Engine
            | Self::CurrentData => None,
        }
    }
}

impl FindingCode {
    /// True if nothing of the host would be recovered because of the finding.
    pub const fn blocks_recovery(self) -> bool {
        matches!(
            self,
            Self::HostOnMaintenance
                | Self::HostNotBack
                | Self::SegmentDisabled
                | Self::Frozen
                | Self::FencingStopped
                | Self::FencingDryRun
        )
    }

    /// Returns the requirement that the finding blocks.
    pub const fn need(self) -> Need {
        match self {
            Self::NoHosts
            | Self::HostNotInSegment
            | Self::SegmentDisabled
            | Self::HostOnMaintenance
            | Self::Frozen
            | Self::HostNotBack => Need::Meant,
            Self::HostDown | Self::HostCellDown | Self::HostUnknownToNova | Self::HostUnderRecovery => {
                Need::HostUp
            }
            Self::InstanceDown => Need::Runs,
            Self::FencingStopped
            | Self::FencingDryRun
            | Self::NoFenceDevice
            | Self::FenceFileUnreadable
            | Self::HostWithoutFence
            | Self::FenceForeignMachine
            | Self::FenceFailing
            | Self::FenceNotTested
            | Self::FenceLevelFailing => Need::Provable,
            Self::NoReservedHost
            | Self::FewHosts
            | Self::NoRoom
            | Self::RoomTight
            | Self::RoomUnknown
            | Self::ProcessDown
            | Self::HostDisabled => Need::Room,
            Self::MoveNeedsPerson
            | Self::MoveFailed
            | Self::RecoveryHeld
            | Self::RecoveryWouldHold
            | Self::PlaneLost
            | Self::GuestsResume
            | Self::LocalDisk
            | Self::InstanceMoving => Need::Movable,
            Self::HostNotWatched
            | Self::MonitorUnknown
            | Self::ReporterDoubted
            | Self::MonitorSilent
            | Self::MonitorPart => Need::Watched,
            Self::NoEngine | Self::NovaAway | Self::QueueStalls | Self::EngineSilent | Self::EnginePart => {
                Need::Engine
            }
            Self::FactsOld | Self::InstancesNotListed => Need::CurrentData,
        }
    }
}

/// The subject of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostOrInstance<'a> {
    Host(&'a HostSituation),
    Instance(&'a InstanceSituation),
}

/// The state of a host or an instance, with the reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// The host or instance, with its assessment.
    pub subject: HostOrInstance<'a>,
    /// Each requirement with the findings that block it, most severe first. A host has no [`Need::Runs`].
    pub needs: Vec<(Need, Vec<&'a Finding>)>,
    /// True if Nova shows the host up; `None` if that is not known.
    pub up: Option<bool>,
}

impl Explanation<'_> {
    /// Returns whether a requirement is met, given the findings that block it; `None` if that is not known.
    pub fn holds(&self, need: Need, blockers: &[&Finding]) -> Option<bool> {
        if blockers
            .iter()
            .any(|finding| finding.code != FindingCode::RoomUnknown)
        {
            return Some(false);
        }
        if !blockers.is_empty() {
            return None;
        }
        match need {
            // A host in maintenance, or one whose instances wait for an operator, gets no such finding, so Nova's state decides.
            Need::HostUp => self.up,
            // The state of an instance in Nova is stale if its host went down, or if the instance was lost during a move.
            Need::Runs => {
                let is_seen = self.up == Some(true) && self.subject.protection() != Protection::Down;
                is_seen.then_some(true)
            }
            Need::Meant
            | Need::Provable
            | Need::Room
            | Need::Movable
            | Need::Watched
            | Need::Engine
            | Need::CurrentData => Some(true),
        }
    }
}

/// Minimum length of an id prefix that identifies an instance.
pub const MIN_ID_PREFIX_LENGTH: usize = 4;

impl Situation {
    /// Returns the hosts and instances with this name or id prefix; several instances may have one name.
    pub fn explain(&self, name: &str) -> Vec<Explanation<'_>> {
        let hosts = self
            .hosts
            .iter()
            .filter(|host| host.name == name)
            .map(HostOrInstance::Host);
        let of_id = |instance: &&InstanceSituation| {
            name.len() >= MIN_ID_PREFIX_LENGTH
                && instance.id.to_string().starts_with(&name.to_ascii_lowercase())
        };
        let all = self.instances.iter().flatten();
        let instances = all
            .filter(|instance| *instance.name == *name || of_id(instance))
            .map(HostOrInstance::Instance);
        hosts
            .chain(instances)
            .map(|subject| self.explained(subject))
            .collect()
    }

    /// Returns the findings because of which nothing of the host would be recovered, whatever its services answer.
    pub fn recovery_blockers(&self, host: &str) -> Vec<&Finding> {
        let explained = self.explain(host);
        let of_host = explained
            .into_iter()
            .filter(|one| matches!(one.subject, HostOrInstance::Host(_)));
        let findings = of_host
            .flat_map(|one| one.needs)
            .flat_map(|(_, findings)| findings);
        findings
            .filter(|finding| finding.code.blocks_recovery())
            .collect()
    }

    fn explained<'a>(&'a self, subject: HostOrInstance<'a>) -> Explanation<'a> {
        let (host, own, reasons) = match subject {
            HostOrInstance::Host(host) => (host.name.as_str(), host.name.as_str(), &host.reasons),
            HostOrInstance::Instance(instance) => (&*instance.host, &*instance.name, &*instance.reasons),
        };
        let home = self
            .hosts
            .iter()
            .find(|host_situation| host_situation.name == host);
        let of_host = home.map(|host_situation| &host_situation.reasons);
        let segment = home
            .and_then(|host_situation| host_situation.segment.as_deref())
            .map(|name| format!("segment {name}"));
        let names = |finding: &Finding| {
            let mut subjects = finding.subjects.iter();
            subjects.any(|subject| subject == host || subject == own || Some(subject) == segment.as_ref())
        };
        let is_host = matches!(subject, HostOrInstance::Host(_));
        let mut needs: Vec<(Need, Vec<&Finding>)> = Need::ALL
            .iter()
            .filter(|need| !(is_host && **need == Need::Runs))
            .map(|need| (*need, Vec::new()))
            .collect();
        // A hold is a finding of the host's recovery, and lowers no protection beside that.
        let is_held = self.findings.iter().any(|finding| {
            finding.code == FindingCode::RecoveryHeld && finding.subjects.iter().any(|name| name == host)
        });
        // An instance that is down for its own reason carries only that reason, so the reasons of its host are added.
        let reasons: BTreeSet<FindingCode> = reasons
            .iter()
            .chain(of_host.into_iter().flatten())
            .chain(is_held.then_some(&FindingCode::RecoveryHeld))
            .copied()
            .collect();
        for code in &reasons {
            let of_code = || self.findings.iter().filter(|finding| finding.code == *code);
            // Findings about the whole region name engines, or no subject at all.
            let own: Vec<&Finding> = of_code().filter(|finding| names(finding)).collect();
            let own = if own.is_empty() { of_code().collect() } else { own };
            let Some((_, blockers)) = needs.iter_mut().find(|(need, _)| *need == code.need()) else {
                continue;
            };
            blockers.extend(own);
            blockers.sort_by_key(|finding| std::cmp::Reverse(finding.grade));
        }
        let up = home.and_then(|host_situation| host_situation.up);
        Explanation { subject, needs, up }
    }
}

impl HostOrInstance<'_> {
    /// Returns the fate of the subject if its host failed now.
    pub const fn protection(self) -> Protection {
        match self {
            Self::Host(host) => host.protection,
            Self::Instance(instance) => instance.protection,
        }
    }

    /// Returns the name of the host, or of the instance's host.
    pub fn host(&self) -> &str {
        match self {
            Self::Host(host) => &host.name,
            Self::Instance(instance) => &instance.host,
        }
    }
}

#[cfg(test)]
mod tests;
