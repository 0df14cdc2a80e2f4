//! Why a host or an instance is protected, or not: what has to hold for it, and what speaks against each of that.

use std::collections::BTreeSet;

use super::{Aspect, Code, Finding, HostSituation, InstanceSituation, Protection, Situation};
use crate::words::words;

words! {
    /// What has to hold for a recovery. In the order in which it is told.
    Need {
        /// Somebody wants it recovered.
        Meant = "meant",
        /// Nova hears its host.
        Heard = "heard",
        /// It runs, or a person has stopped it.
        Runs = "runs",
        /// Its host can be proven off.
        Provable = "provable",
        /// There is a host for it.
        Room = "room",
        /// Nothing keeps it where it is: that its recovery is under way does not.
        Movable = "movable",
        /// Monitors report a failure, and are heard.
        Watched = "watched",
        /// An engine works, and reaches what it needs.
        Engine = "engine",
        /// What is known is young enough.
        Known = "known",
    }
}

impl Need {
    /// For people: how it is when nothing speaks against it.
    pub const fn good(self) -> &'static str {
        match self {
            Self::Meant => "it is to be recovered",
            Self::Heard => "Nova hears its host",
            Self::Runs => "it runs, or a person has stopped it",
            Self::Provable => "nothing speaks against proving its host off",
            Self::Room => "there is room on other hosts",
            Self::Movable => "nothing stands in the way of moving it",
            Self::Watched => "monitors at work watch it, and no reporter is doubted",
            Self::Engine => "an engine is at work",
            Self::Known => "what is known is young",
        }
    }

    /// For people: how it is when it does not hold.
    pub const fn bad(self) -> &'static str {
        match self {
            Self::Meant => "it is not to be recovered",
            Self::Heard => "Nova does not hear its host",
            Self::Runs => "it does not run",
            Self::Provable => "its host cannot be proven off",
            Self::Room => "there may be no room for it",
            Self::Movable => "something stands in the way of moving it",
            Self::Watched => "nobody that is sure to be heard watches it",
            Self::Engine => "no engine is at work",
            Self::Known => "what is known is old",
        }
    }

    /// What nobody gathers of it yet.
    pub const fn not_assessed(self) -> Option<Aspect> {
        match self {
            Self::Room => Some(Aspect::Room),
            Self::Watched => Some(Aspect::Monitors),
            Self::Meant
            | Self::Heard
            | Self::Runs
            | Self::Provable
            | Self::Movable
            | Self::Engine
            | Self::Known => None,
        }
    }
}

impl Code {
    /// What it speaks against.
    pub const fn need(self) -> Need {
        match self {
            Self::NoHosts
            | Self::HostNotInSegment
            | Self::SegmentDisabled
            | Self::HostOnMaintenance
            | Self::Frozen
            | Self::HostNotBack => Need::Meant,
            Self::HostDown | Self::HostCellDown | Self::HostUnknownToNova | Self::HostUnderRecovery => {
                Need::Heard
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
            | Self::GuestsResume
            | Self::InstanceMoving => Need::Movable,
            Self::HostNotWatched
            | Self::MonitorUnknown
            | Self::ReporterDoubted
            | Self::MonitorSilent
            | Self::MonitorPart => Need::Watched,
            Self::NoEngine | Self::NovaAway | Self::QueueStalls | Self::EngineSilent | Self::EnginePart => {
                Need::Engine
            }
            Self::FactsOld | Self::InstancesNotListed => Need::Known,
        }
    }
}

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostOrInstance<'a> {
    /// A host.
    Host(&'a HostSituation),
    /// An instance.
    Instance(&'a InstanceSituation),
}

/// How a host or an instance is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// A host or an instance, with its findings.
    pub subject: HostOrInstance<'a>,
    /// Each need with what speaks against it, worst first. A host has none to run.
    pub needs: Vec<(Need, Vec<&'a Finding>)>,
    /// Whether Nova hears the host; `None` if that is not known.
    pub up: Option<bool>,
}

impl Explanation<'_> {
    /// Whether a need holds, by what speaks against it; `None` if that is not known.
    pub fn holds(&self, need: Need, against: &[&Finding]) -> Option<bool> {
        if against.iter().any(|finding| finding.code != Code::RoomUnknown) {
            return Some(false);
        }
        if !against.is_empty() {
            return None;
        }
        match need {
            // Nobody looks for a reason on a host that is on maintenance, or whose instances wait for an operator.
            Need::Heard => self.up,
            // What Nova shows of an instance is of before its host fell silent, or of before it was lost on the way.
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
            | Need::Known => Some(true),
        }
    }
}

/// The beginning of an id is enough if it has so many characters.
pub const SHORTEST_ID: usize = 4;

impl Situation {
    /// The hosts and instances of this name, or whose id begins so; several instances may have one name.
    pub fn explain(&self, name: &str) -> Vec<Explanation<'_>> {
        let hosts = self
            .hosts
            .iter()
            .filter(|host| host.name == name)
            .map(HostOrInstance::Host);
        let of_id = |one: &&InstanceSituation| {
            name.len() >= SHORTEST_ID && one.id.to_string().starts_with(&name.to_ascii_lowercase())
        };
        let all = self.instances.iter().flatten();
        let instances = all
            .filter(|one| *one.name == *name || of_id(one))
            .map(HostOrInstance::Instance);
        hosts
            .chain(instances)
            .map(|subject| self.explained(subject))
            .collect()
    }

    fn explained<'a>(&'a self, subject: HostOrInstance<'a>) -> Explanation<'a> {
        let (host, own, reasons) = match subject {
            HostOrInstance::Host(one) => (one.name.as_str(), one.name.as_str(), &one.reasons),
            HostOrInstance::Instance(one) => (&*one.host, &*one.name, &*one.reasons),
        };
        let home = self.hosts.iter().find(|one| one.name == host);
        let of_host = home.map(|one| &one.reasons);
        let segment = home
            .and_then(|one| one.segment.as_deref())
            .map(|name| format!("segment {name}"));
        let names = |finding: &Finding| {
            let mut subjects = finding.subjects.iter();
            subjects.any(|one| one == host || one == own || Some(one) == segment.as_ref())
        };
        let is_host = matches!(subject, HostOrInstance::Host(_));
        let mut needs: Vec<(Need, Vec<&Finding>)> = Need::ALL
            .iter()
            .filter(|need| !(is_host && **need == Need::Runs))
            .map(|need| (*need, Vec::new()))
            .collect();
        // One that is down for a reason of its own has that alone, and its host its own.
        let reasons: BTreeSet<Code> = reasons
            .iter()
            .chain(of_host.into_iter().flatten())
            .copied()
            .collect();
        for code in &reasons {
            let of_code = || self.findings.iter().filter(|finding| finding.code == *code);
            // What is so of the whole region names engines, or nobody.
            let own: Vec<&Finding> = of_code().filter(|finding| names(finding)).collect();
            let own = if own.is_empty() { of_code().collect() } else { own };
            let Some((_, against)) = needs.iter_mut().find(|(need, _)| *need == code.need()) else {
                continue;
            };
            against.extend(own);
            against.sort_by_key(|finding| std::cmp::Reverse(finding.grade));
        }
        let up = home.and_then(|one| one.up);
        Explanation { subject, needs, up }
    }
}

impl HostOrInstance<'_> {
    /// What would become of it if its host died now.
    pub const fn protection(self) -> Protection {
        match self {
            Self::Host(one) => one.protection,
            Self::Instance(one) => one.protection,
        }
    }

    /// The host that it is, or is on.
    pub fn host(&self) -> &str {
        match self {
            Self::Host(one) => &one.name,
            Self::Instance(one) => &one.host,
        }
    }
}

#[cfg(test)]
mod tests;
