//! The places of the instances' disks, and the finding about those that a failure of their host would discard.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{AssessContext, Finding, FindingCode, Findings, Instance, InstanceSituation, Protection};
use crate::id::ServerId;
use crate::policy::LocalDisk;
use crate::string_enum::string_enum;

string_enum! {
    /// The place of an instance's disk, as a monitor that is bound to its host has last read it.
    DiskPlace {
        /// On the host alone.
        Local = "local",
        /// On storage that hosts share, or of a kind that the monitor does not know.
        SharedOrUnknown = "shared-or-unknown",
        /// No such monitor has read the disks on this host.
        NotRead = "not-read",
    }
}

/// The disk of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceDisk {
    pub place: DiskPlace,
    /// The treatment of the instance if its host fails and its disk is there alone.
    pub treatment: LocalDisk,
}

/// The reason why policy excludes an instance.
const DISK_EXCLUDED_REASON: &str = "its disk is on this host alone, and local_disk is leave";

impl InstanceDisk {
    /// Returns the instance with the reason why policy excludes it, if it would be left because of its disk.
    pub(super) fn treated(self, instance: &Instance) -> Cow<'_, Instance> {
        let is_left = self.place == DiskPlace::Local && self.treatment == LocalDisk::Leave;
        if !is_left || instance.left.is_some() {
            return Cow::Borrowed(instance);
        }
        let left = Some(DISK_EXCLUDED_REASON.to_owned());
        Cow::Owned(Instance {
            left,
            ..instance.clone()
        })
    }
}

/// The disks on one host.
pub(super) struct HostDisks<'a> {
    host: &'a str,
    read: Option<&'a BTreeSet<ServerId>>,
    /// The treatment of instances that have none of their own.
    usual: LocalDisk,
}

/// Returns the usual treatment on each registered host.
pub(super) fn treatments<'a>(ctx: &AssessContext<'a>) -> BTreeMap<&'a str, LocalDisk> {
    let segments = ctx.facts.segments.iter();
    let hosts = segments.flat_map(|segment| segment.hosts.iter().map(move |host| (segment, host)));
    hosts
        .map(|(segment, host)| (host.name.as_str(), segment.local_disk))
        .collect()
}

impl<'a> HostDisks<'a> {
    pub(super) fn of(host: &'a str, ctx: &AssessContext<'a>, treatments: &BTreeMap<&str, LocalDisk>) -> Self {
        Self {
            host,
            read: ctx.facts.local_disks.get(host),
            usual: treatments.get(host).copied().unwrap_or_default(),
        }
    }

    pub(super) fn disk(&self, instance: &Instance) -> InstanceDisk {
        InstanceDisk {
            place: match self.read {
                None => DiskPlace::NotRead,
                Some(local) if local.contains(&instance.id) => DiskPlace::Local,
                Some(_) => DiskPlace::SharedOrUnknown,
            },
            treatment: instance.local_disk.unwrap_or(self.usual),
        }
    }

    /// Reports the instances that would come back without their disk. The subject is the host: there may be 50,000 such instances.
    pub(super) fn report(&self, instances: &[InstanceSituation], found: &mut Findings) {
        let loses = |instance: &&InstanceSituation| {
            instance
                .disk
                .is_some_and(|disk| disk.place == DiskPlace::Local && disk.treatment == LocalDisk::Evacuate)
                && matches!(
                    instance.protection,
                    Protection::Protected | Protection::Degraded | Protection::Unknown
                )
        };
        let count = instances.iter().filter(loses).count() as u64;
        if self.read.is_none() || count == 0 {
            return;
        }
        let text = "on the local disk of their host: if the host failed now, they would come back from their image, without that disk";
        found.note(
            Finding::new(FindingCode::LocalDisk, text)
                .about(self.host, count)
                .fix("set [host_failure] local_disk = wait:2h"),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::{NOW, computes, fine};
    use super::super::{Counts, Facts, Severity, assess};
    use super::*;

    /// Instance 1 is on host `a`, instance 3 on host `b`.
    fn read(facts: &mut Facts, host: &str, numbers: &[u128]) {
        let ids = numbers
            .iter()
            .map(|number| ServerId(uuid::Uuid::from_u128(*number)));
        Arc::make_mut(&mut facts.local_disks).insert(host.to_owned(), ids.collect());
    }

    fn reported(facts: &Facts) -> Option<(Vec<String>, u64)> {
        let found = assess(facts, NOW).findings.into_iter();
        let mut found = found.filter(|finding| finding.code == FindingCode::LocalDisk);
        let finding = found.next()?;
        assert_eq!(
            (finding.grade, found.next()),
            (Severity::Info, None),
            "one for all hosts"
        );
        Some((finding.subjects, finding.instances))
    }

    fn set_own(facts: &mut Facts, treatment: LocalDisk) {
        let on = &mut facts.instances.as_mut().unwrap().value.on;
        Arc::make_mut(on.get_mut("a").unwrap())[0].local_disk = Some(treatment);
    }

    /// Covers R14.
    #[test]
    fn instances_that_would_lose_their_disk_are_reported_by_host() {
        let mut facts = fine();
        assert_eq!(reported(&facts), None, "nothing was read");
        read(&mut facts, "a", &[1, 2]);
        read(&mut facts, "b", &[]);
        // A reading of the host that the instance has left.
        read(&mut facts, "c", &[3]);
        assert_eq!(reported(&facts), Some((vec!["a".into()], 2)));
        read(&mut facts, "b", &[3]);
        assert_eq!(reported(&facts), Some((vec!["a".into(), "b".into()], 3)));
        let situation = assess(&facts, NOW);
        assert_eq!(
            situation.counts.map(|counts| counts.protected),
            Some(6),
            "they would be recovered"
        );
        let disks = situation.instances.unwrap();
        let places: Vec<DiskPlace> = disks
            .iter()
            .filter_map(|instance| instance.disk)
            .map(|one| one.place)
            .collect();
        let (local, other) = (DiskPlace::Local, DiskPlace::SharedOrUnknown);
        assert_eq!(places, [local, local, local, other, other, other]);
        set_own(&mut facts, LocalDisk::Leave);
        assert_eq!(reported(&facts), Some((vec!["a".into(), "b".into()], 2)));
        let counts = assess(&facts, NOW).counts.unwrap();
        assert_eq!((counts.protected, counts.not_meant), (5, 1), "it would be left");
        facts.segments[0].local_disk = LocalDisk::Leave;
        assert_eq!(reported(&facts), None, "the segment's policy leaves them");
        set_own(&mut facts, LocalDisk::Evacuate);
        assert_eq!(reported(&facts), Some((vec!["a".into()], 1)));
    }

    /// Covers R14.
    #[test]
    fn what_policy_excludes_or_what_is_down_is_not_reported() {
        let mut facts = fine();
        read(&mut facts, "a", &[1]);
        let on = &mut facts.instances.as_mut().unwrap().value.on;
        Arc::make_mut(on.get_mut("a").unwrap())[0].left = Some("excluded".into());
        assert_eq!(reported(&facts), None);
        let mut facts = fine();
        read(&mut facts, "a", &[1]);
        computes(&mut facts)[0].up = false;
        assert_eq!(Counts::of(&assess(&facts, NOW).instances.unwrap()).down, 2);
        assert_eq!(reported(&facts), None);
    }
}
