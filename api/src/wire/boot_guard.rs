//! The boot guard's answer on the wire.

use serde::Serialize;
use tachi_domain::RecoveryId;
use tachi_domain::host_recovery::BootHeldFor;
use tachi_engine::ports::registry::BootHold;
use utoipa::ToSchema;

/// Whether nova-compute of a host may start.
#[derive(Serialize, ToSchema)]
#[schema(as = BootGuard)]
pub(crate) struct BootGuardView<'a> {
    /// As it was asked for.
    host: &'a str,
    /// Whether it has to wait.
    hold: bool,
    /// In words.
    reason: String,
    /// What it waits for: `recovery`, `power_off` or `queue`; null if it need not wait.
    #[schema(required)]
    waits_for: Option<&'static str>,
    /// The recovery that says so.
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
