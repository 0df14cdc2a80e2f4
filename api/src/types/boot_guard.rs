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
            None => "nothing blocks the start of nova-compute on this host".to_owned(),
            Some(BootHold { waits_for, recovery }) => match waits_for {
                BootHeldFor::Recovery => format!(
                    "recovery {recovery} is moving its instances to other hosts; nova-compute starts when that is \
                     done. Progress: tachi recovery show {recovery}"
                ),
                BootHeldFor::PowerOff => format!(
                    "recovery {recovery} has ordered a power-off that may still take effect; nova-compute starts when \
                     it no longer can, within minutes"
                ),
                BootHeldFor::Queue => format!(
                    "recovery {recovery} has moved its instances to other hosts; requests in the queue compute.{host} \
                     of Nova's message broker would affect them, so purge it first: tachi host return {host} shows \
                     how. Then: systemctl kill -s USR1 tachi-boot-guard"
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
