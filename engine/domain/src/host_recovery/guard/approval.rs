//! The scope of an operator's approval, and its end.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::GuardTrack;
use crate::elapsed::Elapsed;
use crate::guard::{DomainLoss, Guard, Region};
use crate::host_recovery::decision_context::DecisionContext;
use crate::recovery::{StepKind, Task};

/// Time for which an approval still counts after the rate limit has last delayed the recovery.
const APPROVAL_GRACE: Duration = Duration::from_mins(10);

/// Maximum time from an approval to a scan that shows which hosts were out when it was given.
const MAX_SCAN_DELAY: Duration = Duration::from_secs(10);

/// An approval of a storm, limited to its size at that time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Approval {
    /// The hosts that were out or silent when it was given; `None` until the first scan after it.
    pub hosts: Option<BTreeSet<String>>,
    /// The failure domain that it was given for.
    pub domain: Option<String>,
    /// The time at which it was given, or at which G6 last made it wait.
    pub since: Elapsed,
}

impl GuardTrack {
    /// Lifts the guards that hold the recovery or make it wait, as an operator has approved. All other guards are checked
    /// again. `shown`: the failure domain and the hosts that were counted, as the operator was shown the hold. `waited`: the age of the
    /// approval.
    pub(in super::super) fn lift_guards(
        &mut self,
        guards: impl IntoIterator<Item = Guard>,
        (domain, shown): (Option<&DomainLoss>, &BTreeSet<String>),
        waited: Duration,
        ctx: &DecisionContext<'_>,
    ) {
        let lifted = guards.into_iter().filter(|guard| guard.can_be_lifted());
        self.lifted.extend(lifted);
        self.waiting = None;
        let domain = domain.map(|domain| domain.name.clone());
        let approved = self
            .region_probe
            .fresh(ctx.now)
            .filter(|region| region.nova.is_ok());
        // A scan long after it was given shows hosts that were not out then: only those that the hold counted are approved.
        let scanned = approved
            .filter(|_| waited <= MAX_SCAN_DELAY || shown.is_empty())
            .map(|region| hosts_of(&region, domain.as_deref(), ctx));
        let counted = (!shown.is_empty()).then(|| shown.clone());
        let hosts = scanned.or(counted);
        // Without a scan, an earlier approval keeps its limits.
        let before = self.approval.take().and_then(|before| before.hosts);
        self.approval = Some(Approval {
            hosts: hosts.or(before),
            domain,
            since: ctx.now.elapsed,
        });
    }

    /// Ends the approval once more hosts are out than were approved, or long after it was given.
    pub(super) fn recheck_approval(&mut self, region: &Region, ctx: &mut DecisionContext<'_>) {
        // Without Nova nothing continues in any case.
        if self.lifted.is_empty() || region.nova.is_err() {
            return;
        }
        let now = ctx.now.elapsed;
        // An approval that an older version has taken covers the hosts of the first scan.
        let approval = self.approval.get_or_insert_with(|| Approval {
            since: now,
            ..Approval::default()
        });
        let Some(hosts) = &approval.hosts else {
            let hosts = hosts_of(region, approval.domain.as_deref(), ctx);
            approval.hosts = Some(hosts);
            ctx.record.head = true;
            return;
        };
        let further = region
            .out(ctx.policy)
            .find(|host| *host != ctx.host && !hosts.contains(*host));
        if let Some(host) = further {
            self.end_approval(&format!("{host} is also out now"), ctx);
        } else if now.since(approval.since) >= APPROVAL_GRACE {
            let minutes = APPROVAL_GRACE.as_secs() / 60;
            self.end_approval(&format!("it is {minutes} min old"), ctx);
        }
    }

    /// Ends the approval, so that every guard is checked again.
    pub(in super::super) fn end_approval(&mut self, why: &str, ctx: &mut DecisionContext<'_>) {
        self.approval = None;
        if std::mem::take(&mut self.lifted).is_empty() {
            return;
        }
        ctx.record.head = true;
        let text = format!("the approval no longer applies: {why}");
        ctx.record.step(Task::Fence, StepKind::Note, 0.0, text);
    }
}

fn hosts_of(region: &Region, domain: Option<&str>, ctx: &DecisionContext<'_>) -> BTreeSet<String> {
    let silent = region.out_or_silent(ctx.policy).map(str::to_owned);
    let domain = domain.map(|domain| region.hosts_of_domain(domain, ctx.policy));
    silent.chain(domain.into_iter().flatten()).collect()
}
