//! List of the instances on hosts, with the operators who dismissed those that are down.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tachi_domain::ServerId;
use tachi_domain::recovery::ResolutionKind;
use tachi_domain::situation::{Finding, FindingCode, InstanceSituation, Protection};
use tachi_engine::ports::operator::RecoveryFilter;
use tachi_engine::ports::{JournalError, OperatorJournal};
use utoipa::ToSchema;

use crate::history::RecoveryHistoryView;
use crate::host_instances::{HostedView, waiting_by_id};
use crate::recovery::MovesView;
use crate::snapshot::RegionSnapshot;

/// Limit of the recoveries of a host that are read: a retry has only the instances that the recovery before it gave up.
const LAST_RECOVERIES: u64 = 3;

/// Limit of the hosts whose recoveries are read. In the outage of more hosts the list is answered in time, without the operators who
/// dismissed instances of the others.
const MAX_HOSTS_READ: usize = 20;

/// An instance in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ListedInstance)]
pub struct ListedInstanceView {
    /// The name of the instance's host.
    pub host: String,
    /// The operator who dismissed the instance, with the reason; null unless it is down and was dismissed.
    #[schema(required)]
    pub dismissed_by: Option<String>,
    /// The reason why it does not run, or may not; null if it runs, or its host is down.
    #[serde(default)]
    #[schema(required)]
    pub why: Option<String>,
    /// The command that starts it, or that shows its recovery; null if there is none.
    #[serde(default)]
    #[schema(required)]
    pub command: Option<String>,
    #[serde(flatten)]
    pub hosted: HostedView,
}

impl ListedInstanceView {
    /// Lists the instances on all hosts or one; with `down` only those that are down, or may be. Empty if no engine has listed Nova's instances yet.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn list(
        snapshot: &RegionSnapshot,
        operator_journal: &dyn OperatorJournal,
        host: Option<&str>,
        down: bool,
    ) -> Result<Vec<Self>, JournalError> {
        let mut on: BTreeMap<&str, Vec<&InstanceSituation>> = BTreeMap::new();
        for one in snapshot.situation.instances.iter().flatten() {
            if !down || may_be_down(one) {
                on.entry(&one.host).or_default().push(one);
            }
        }
        let waiting = waiting_by_id(snapshot);
        let mut listed = Vec::new();
        let mut hosts_read = 0;
        for assessed in &snapshot.situation.hosts {
            let name = assessed.name.as_str();
            let own = on.remove(name).filter(|_| host.is_none_or(|host| host == name));
            let own = own.unwrap_or_default().into_iter();
            let views: Vec<HostedView> = own
                .map(|one| HostedView::of(&waiting, one, &assessed.reasons))
                .collect();
            let mut dismissed_by = BTreeMap::new();
            if hosts_read < MAX_HOSTS_READ && views.iter().any(may_be_dismissed) {
                hosts_read += 1;
                dismissed_by = dismissed(operator_journal, name, &views).await?;
            }
            listed.extend(views.into_iter().map(|hosted| {
                let outage = outage(snapshot, &hosted);
                Self {
                    host: name.to_owned(),
                    dismissed_by: dismissed_by.remove(&hosted.id),
                    why: outage.map(|finding| finding.text.clone()),
                    command: outage.and_then(|finding| command(snapshot, &hosted, name, finding)),
                    hosted,
                }
            }));
        }
        Ok(listed)
    }
}

/// True if the instance is down, or has a finding that it may be. The command of that finding names this list.
fn may_be_down(one: &InstanceSituation) -> bool {
    let has_finding = one.reasons.contains(&FindingCode::InstanceDown);
    one.protection == Protection::Down || (has_finding && one.protection != Protection::NotMeant)
}

/// Returns the finding that the instance is down, or may be.
fn outage<'a>(snapshot: &'a RegionSnapshot, one: &HostedView) -> Option<&'a Finding> {
    if !one.reasons.contains(&FindingCode::InstanceDown) {
        return None;
    }
    let id: ServerId = one.id.parse().ok()?;
    let mut found = snapshot.situation.findings.iter();
    found.find(|finding| finding.code == FindingCode::InstanceDown && finding.servers.contains(&id))
}

/// Returns the command of the finding for this instance: that of a finding about several instances names the first one.
fn command(snapshot: &RegionSnapshot, one: &HostedView, host: &str, finding: &Finding) -> Option<String> {
    let id: ServerId = one.id.parse().ok()?;
    if let Some(open) = snapshot.facts.failed.get(&id).and_then(|failed| failed.open) {
        return Some(format!("tachi recovery show {open}"));
    }
    finding.fix.as_ref()?;
    snapshot.start_command(host, id)
}

/// True if an operator may have dismissed it.
fn may_be_dismissed(one: &HostedView) -> bool {
    one.protection == Protection::Down && one.waits.is_none()
}

/// Returns the operators who dismissed instances of the host that are down, by the instance's id. The last recovery that had the instance
/// decides.
async fn dismissed(
    operator_journal: &dyn OperatorJournal,
    host: &str,
    views: &[HostedView],
) -> Result<BTreeMap<String, String>, JournalError> {
    let open = views.iter().filter(|one| may_be_dismissed(one));
    let mut open: BTreeSet<&str> = open.map(|one| one.id.as_str()).collect();
    let mut dismissed = BTreeMap::new();
    let filter = RecoveryFilter {
        closed: true,
        host: Some(host.to_owned()),
        limit: Some(LAST_RECOVERIES),
        ..RecoveryFilter::default()
    };
    for recovery in operator_journal.find_recoveries(&filter).await? {
        let moves = MovesView::from(recovery.moves);
        if moves.failed + moves.ignored == 0 {
            continue;
        }
        let Some(history) = operator_journal.history(recovery.id).await? else {
            continue;
        };
        let history = RecoveryHistoryView::from(&history);
        for one in history
            .instances
            .iter()
            .filter(|one| open.remove(one.id.as_str()))
        {
            dismissed.extend(dismissed_by(&history, &one.id).map(|by| (one.id.clone(), by)));
        }
        if open.is_empty() {
            break;
        }
    }
    Ok(dismissed)
}

/// Returns the operator who dismissed the instance, with the reason in parentheses, if that was the last action on it.
fn dismissed_by(history: &RecoveryHistoryView, instance: &str) -> Option<String> {
    let mut instances = history.instances.iter();
    let acknowledged = instances.find(|one| one.id == instance)?.seen_to.clone();
    let mut actions = history.instance_words.iter().rev();
    let last = actions.find(|action| action.instance == instance);
    let ignored = last.filter(|action| action.word == ResolutionKind::Ignore.as_str());
    acknowledged.or_else(|| ignored.map(|action| action.by.clone()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tachi_domain::Timestamp;
    use tachi_domain::nova::{Rest, StopReason};
    use tachi_domain::situation::{ComputeService, Instance, Instances, TimedFact, assess_with};
    use uuid::Uuid;

    use super::*;
    use crate::freezes::tests::fine;

    fn instance(number: u128, why: Option<StopReason>, now: Timestamp) -> Instance {
        Instance {
            id: ServerId(Uuid::from_u128(number)),
            name: format!("ha-{number}").into(),
            left: None,
            moving: false,
            local_disk: None,
            marked: true,
            rest: why.map(|why| Rest {
                since: now.minus_seconds(600),
                why,
                stopped: true,
                busy: false,
                may_run: false,
                observed: None,
                judged: None,
            }),
            ended_by_boot: None,
            start_blocker: None,
            needs: None,
        }
    }

    /// A region with these instances on host `a`.
    fn region(instances: impl Into<Vec<Instance>>) -> RegionSnapshot {
        let mut snapshot = fine();
        let as_of = snapshot.now;
        snapshot.facts.instances = Some(TimedFact {
            as_of,
            value: Instances {
                complete: true,
                on: [("a".to_owned(), Arc::new(instances.into()))].into(),
                ..Instances::default()
            },
        });
        let compute = ComputeService {
            host: "a".to_owned(),
            up: true,
            enabled: true,
            cell_down: false,
            ambiguous: false,
            drained: false,
            forced_down: false,
            since: as_of,
        };
        snapshot.facts.computes = Some(TimedFact {
            as_of,
            value: vec![compute],
        });
        snapshot.situation = assess_with(&snapshot.facts, &snapshot.forecast, as_of);
        snapshot
    }

    /// The reason and the command of each instance on host `a`, by name.
    fn outages(snapshot: &RegionSnapshot) -> Vec<Option<(String, Option<String>)>> {
        let hosted = HostedView::on(snapshot, "a").unwrap();
        let of = |one: &HostedView| {
            let finding = outage(snapshot, one)?;
            Some((finding.text.clone(), command(snapshot, one, "a", finding)))
        };
        hosted.iter().map(of).collect()
    }

    #[test]
    fn instances_with_one_name_have_their_own_reasons() {
        let now = fine().now;
        let twin = |number, why| Instance {
            name: "twin".into(),
            ..instance(number, Some(why), now)
        };
        let snapshot = region([twin(1, StopReason::Due), twin(2, StopReason::Unclear)]);
        let whys: Vec<String> = outages(&snapshot)
            .into_iter()
            .flatten()
            .map(|(why, _)| why)
            .collect();
        let [due, unclear] = &whys[..] else {
            panic!("{whys:?}");
        };
        assert!(due.contains("stopped without a request"), "{due}");
        assert!(unclear.contains("name no user who stopped it"), "{unclear}");
    }

    /// Covers R36.
    #[test]
    fn each_instance_that_is_down_has_its_own_reason_and_command() {
        let as_of = fine().now;
        let snapshot = region([
            instance(1, Some(StopReason::Due), as_of),
            instance(2, Some(StopReason::Due), as_of),
            instance(3, None, as_of),
            instance(4, Some(StopReason::Unclear), as_of),
        ]);
        let found = outages(&snapshot);
        let [
            Some((why, first)),
            Some((_, second)),
            None,
            Some((unclear, fourth)),
        ] = &found[..]
        else {
            panic!("{found:?}");
        };
        assert!(unclear.contains("name no user who stopped it"), "{unclear}");
        let all = snapshot.situation.instances.as_ref().unwrap().iter();
        let listed: Vec<&str> = all.filter(|one| may_be_down(one)).map(|one| &*one.name).collect();
        assert_eq!(listed, ["ha-1", "ha-2", "ha-4"]);
        assert_eq!(why, "it should run and does not: stopped without a request");
        for (number, command) in [(1, first), (2, second), (4, fourth)] {
            let id = ServerId(Uuid::from_u128(number));
            assert_eq!(*command, Some(format!("openstack server start {id}")));
        }
    }
}
