//! The boot guard's answer.

use serde::Serialize;
use tachi_domain::RecoveryId;
use tachi_domain::host_recovery::BootHeldFor;
use tachi_engine::ports::registry::BootHold;
use utoipa::ToSchema;

/// The decision whether nova-compute on a host may start.
#[derive(Serialize, ToSchema)]
#[schema(as = BootGuard)]
pub(crate) struct BootGuardView<'a> {
    /// The name of the host, as given in the path.
    host: &'a str,
    /// True if nova-compute must not start yet.
    hold: bool,
    /// The reason for the decision, for people.
    reason: String,
    /// The condition that nova-compute waits for: `recovery`, `power_off` or `queue`. Null if it may start.
    #[schema(required)]
    waits_for: Option<&'static str>,
    /// The UUID of the recovery that holds nova-compute back. Null if it may start.
    #[schema(required, value_type = Option<String>, format = "uuid")]
    recovery: Option<RecoveryId>,
}

impl<'a> BootGuardView<'a> {
    pub(crate) fn new(host: &'a str, hold: Option<BootHold>) -> Self {
        let reason = match hold {
            None => "nothing that is known of this host keeps its nova-compute from starting".to_owned(),
            Some(BootHold { waits_for, recovery }) => match waits_for {
                BootHeldFor::Recovery => format!(
                    "recovery {recovery} takes its instances elsewhere: nova-compute starts when that is over; tachi recovery \
                     show {recovery} says how far it is"
                ),
                BootHeldFor::PowerOff => format!(
                    "recovery {recovery} has ordered it off, and the order may still take effect: nova-compute starts when \
                     it cannot any more, within minutes"
                ),
                BootHeldFor::Queue => format!(
                    "recovery {recovery} has taken its instances elsewhere; what waits in the queue compute.{host} of Nova's \
                     message broker would be done to them here, so it has to be emptied first: tachi host return {host} says \
                     how. Then tell the boot guard: systemctl kill -s USR1 tachi-boot-guard"
                ),
            },
        };
        Self {
            host,
            hold: hold.is_some(),
            reason,
            waits_for: hold.map(|hold| hold.waits_for.as_str()),
            recovery: hold.map(|hold| hold.recovery),
        }
    }
}
