//! The operators who dismissed instances that are down, with their reasons.

use std::collections::{BTreeMap, BTreeSet};

use tachi_domain::recovery::ResolutionKind;
use tachi_domain::situation::Protection;
use tachi_engine::ports::operator::RecoveryFilter;
use tachi_operator::{HostedView, RecoveryHistoryView, RecoveryView};

use crate::failure::Failure;
use crate::source::Source;

/// Limit of the recoveries of a host that are read: a retry has only the instances that the recovery before it gave up.
const LAST_RECOVERIES: u64 = 3;

/// Returns the operator of each instance that is down and was dismissed, by the instance's id. The last recovery that had the instance
/// decides.
pub(super) async fn of(
    source: &dyn Source,
    found: &[(String, HostedView)],
) -> Result<BTreeMap<String, String>, Failure> {
    let mut down: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (host, one) in found {
        if one.protection == Protection::Down && one.waits.is_none() {
            down.entry(host).or_default().insert(&one.id);
        }
    }
    let mut dismissed = BTreeMap::new();
    for (host, mut open) in down {
        let filter = RecoveryFilter {
            closed: true,
            host: Some(host.to_owned()),
            limit: Some(LAST_RECOVERIES),
            ..RecoveryFilter::default()
        };
        let may_have = |one: &RecoveryView| one.moves.failed + one.moves.ignored > 0;
        for recovery in source.recoveries(&filter).await?.into_iter().filter(may_have) {
            let Some(history) = source.recovery(recovery.recovery).await? else {
                continue;
            };
            for one in history
                .instances
                .iter()
                .filter(|one| open.remove(one.id.as_str()))
            {
                if let Some(by) = by(&history, &one.id) {
                    dismissed.insert(one.id.clone(), by);
                }
            }
            if open.is_empty() {
                break;
            }
        }
    }
    Ok(dismissed)
}

/// Returns the operator who dismissed the instance, with the reason in parentheses, if that was the last action on it.
fn by(history: &RecoveryHistoryView, instance: &str) -> Option<String> {
    let acknowledged = history
        .instances
        .iter()
        .find(|one| one.id == instance)?
        .seen_to
        .clone();
    let last = history
        .instance_words
        .iter()
        .rev()
        .find(|said| said.instance == instance);
    let ignored = last.filter(|said| said.word == ResolutionKind::Ignore.as_str());
    acknowledged.or_else(|| ignored.map(|said| said.by.clone()))
}
