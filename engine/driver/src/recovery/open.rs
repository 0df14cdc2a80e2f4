//! Opens a claimed recovery, as last journalled or as a new one.

use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::host_recovery::HostRecovery;
use tachi_domain::planned::PlannedState;
use tachi_domain::policy::Policy;
use tachi_domain::process_recovery::ProcessRecovery;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::vm_recovery::VmRecovery;
use tachi_domain::{Timestamp, Wait, WaitsFor};

use super::Recovery;
use crate::journal::{ClaimedRecovery, Write};

/// The reason why a claimed recovery cannot be driven.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The state cannot be read. Another version may have written it.
    #[error("reading the recovery's state from the journal")]
    State(#[from] serde_json::Error),
    /// The recovery has not started, and its host is not registered any more.
    #[error("the host of the notification is not registered any more")]
    NoHost,
    /// No operator has requested the plan. A plan moves instances of a running host without proof, so only an operator
    /// may start one.
    #[error(
        "no operator has requested it: its row was inserted into the database by other means than the API"
    )]
    Unasked,
}

impl Unusable {
    /// Returns the write that ends such a recovery. An unreadable state only leaves a message, because a newer version
    /// may read it.
    pub fn write(&self, claimed: &ClaimedRecovery, message: String, now: Timestamp) -> Write {
        let ends = matches!(self, Self::NoHost | Self::Unasked);
        let wait = if ends {
            WaitsFor::Nothing
        } else {
            WaitsFor::NewerVersion
        };
        let status = if ends {
            NotificationStatus::Ignored
        } else {
            NotificationStatus::Running
        };
        Write {
            elapsed: claimed.elapsed,
            wait: Some(Wait::bare(wait, now)),
            life: ends.then_some(Life::Closed),
            notification: (claimed.life == Life::Open).then_some((status, Some(message))),
            ..Write::default()
        }
    }
}

/// Opens the recovery as last journalled, or as a new one.
///
/// # Errors
///
/// This version cannot read the journal's rows, or the recovery cannot be started.
pub fn open(claimed: &ClaimedRecovery, policy: &Policy) -> Result<Box<dyn Recovery>, Unusable> {
    if claimed.kind.is_planned() && claimed.requested_by.is_none() {
        return Err(Unusable::Unasked);
    }
    if let Some(head) = &claimed.state {
        return Ok(match claimed.kind {
            RecoveryKind::Host => {
                let mut state = HostRecovery::restore(head, &claimed.moves)?;
                state.service.watched = policy.watched;
                Box::new(state)
            }
            RecoveryKind::Vm => Box::new(VmRecovery::restore(head)?),
            RecoveryKind::Process => Box::new(ProcessRecovery::restore(head)?),
            RecoveryKind::Drain | RecoveryKind::Giveback => Box::new(PlannedState::restore(head)?),
        });
    }
    let host = claimed.host.as_ref().ok_or(Unusable::NoHost)?;
    let (id, notification, policy) = (claimed.id, &claimed.notification, policy.clone());
    Ok(match claimed.kind {
        RecoveryKind::Host => Box::new(HostRecovery::new(id, notification, host, policy)),
        RecoveryKind::Vm => {
            let begun = VmRecovery::new(id, notification, &host.name, policy);
            Box::new(begun.after(&claimed.restarts))
        }
        RecoveryKind::Process => Box::new(ProcessRecovery::new(id, notification, &host.name, policy)),
        kind @ (RecoveryKind::Drain | RecoveryKind::Giveback) => {
            Box::new(PlannedState::new(id, kind, notification, &host.name, policy))
        }
    })
}
