//! Instances whose own recovery has failed, and that an operator has seen running. They count as down until they are known to run.

use tachi_domain::recovery::ResolutionKind;
use tachi_domain::{RecoveryId, ServerId, Timestamp};
use tachi_engine::ports::OperatorJournal;
use tachi_engine::ports::operator::ActionOutcome;

use crate::actions::ActionError;
use crate::search::{best_matches, several_matches};
use crate::snapshot::RegionSnapshot;
use crate::when::ago;

/// An instance whose last recovery has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedInstance {
    pub server: ServerId,
    pub name: String,
    /// The host that Nova shows it on.
    pub host: String,
    /// The newest recovery of the instance.
    pub recovery: RecoveryId,
    /// The end of that recovery.
    failed_at: Timestamp,
}

/// Finds such an instance by its name, its id or the beginning of its id, and checks that it accepts the action: `--running-on` the host on
/// which Nova shows it running. `None` if no instance matches.
///
/// # Errors
///
/// There are several matches, the action is refused, or the database failed.
pub async fn find(
    operator_journal: &dyn OperatorJournal,
    snapshot: &RegionSnapshot,
    requested: &str,
    (word, on): (ResolutionKind, Option<&str>),
) -> Result<Option<FailedInstance>, ActionError> {
    let Some(known) = &snapshot.facts.instances else {
        return Ok(None);
    };
    let listed = known.value.on.iter();
    let listed = listed.flat_map(|(host, all)| all.iter().map(move |one| (host, one)));
    let failed = listed.filter_map(|(host, one)| {
        let failed = snapshot.facts.failed.get(&one.id);
        Some((host, one, failed.filter(|failed| failed.open.is_none())?))
    });
    let (_, found) = best_matches(requested, failed, |(_, one, _)| {
        (one.id.to_string(), one.name.to_string())
    });
    let (host, one, failed) = match found[..] {
        [] => return Ok(None),
        [found] => found,
        [..] => {
            let each = found
                .iter()
                .map(|(host, one, _)| format!("{} {} on {host}", one.id, one.name));
            return Err(ActionError::Ambiguous(several_matches(
                requested,
                "instances",
                each,
            )));
        }
    };
    let (id, name) = (one.id, &one.name);
    let refused = |why: String| Err(ActionError::Refused(format!("nothing was written: {why}")));
    let computes = snapshot.facts.computes.iter().flat_map(|known| &known.value);
    let is_up = computes
        .filter(|compute| compute.host == *host)
        .any(|compute| compute.up);
    if word != ResolutionKind::Success {
        return refused(format!(
            "the recovery of {name} has ended. If it runs: tachi instance resolve {id} --running-on {host}. If it should stay down: \
             openstack server stop {id}"
        ));
    }
    if !known.is_fresh(snapshot.now) {
        let read = ago(known.as_of, snapshot.now);
        return refused(format!(
            "Nova's instances were read {read}, which is too long ago"
        ));
    }
    if on != Some(host.as_str()) {
        return refused(format!("Nova shows {name} on {host}"));
    }
    if one.rest.as_ref().is_some_and(|rest| !rest.may_run) || !is_up {
        return refused(format!("Nova does not show {name} running, or its host is down"));
    }
    let Some(recovery) = operator_journal.recovery_of_instance(id).await? else {
        return refused(format!(
            "the recovery of {name} was purged: openstack server reboot --hard {id}"
        ));
    };
    Ok(Some(FailedInstance {
        server: id,
        name: name.to_string(),
        host: host.clone(),
        recovery,
        failed_at: failed.at,
    }))
}

impl FailedInstance {
    /// Records that an operator has seen it running: it no longer counts as down.
    ///
    /// # Errors
    ///
    /// Another recovery of it has failed meanwhile, or the database failed.
    pub async fn runs(&self, operator_journal: &dyn OperatorJournal, by: &str) -> Result<(), ActionError> {
        let outcome = operator_journal
            .dismiss_failure(self.recovery, self.server, self.failed_at, by)
            .await?;
        match outcome {
            ActionOutcome::Submitted => Ok(()),
            ActionOutcome::Unknown
            | ActionOutcome::NotOpen
            | ActionOutcome::OlderEngine(_)
            | ActionOutcome::TooMany
            | ActionOutcome::OtherWait(_) => Err(ActionError::Refused(format!(
                "nothing was written: {} is no longer reported as down, or was reported again meanwhile",
                self.name
            ))),
        }
    }
}
