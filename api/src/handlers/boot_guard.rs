//! `/boot-guard/{host}`: reports whether nova-compute on a host may start.

use axum::extract::State;

use crate::error::ErrorScope;
use crate::extract::{Answer, AuthorisedRequest, Ids};
use crate::reply;
use crate::state::ApiState;
use crate::types::boot_guard::BootGuardView;

/// Answers the boot guard of a hypervisor.
pub(crate) async fn show(
    State(app): State<ApiState>,
    Ids(host): Ids<String>,
    _: AuthorisedRequest,
) -> Answer {
    let hold = if may_be_recorded(&host) {
        let found = app.registry.boot_hold(&host).await;
        found.map_err(|error| ErrorScope::Nothing.refused(error))?
    } else {
        None
    };
    reply::ok("boot_guard", &BootGuardView::new(&host, hold))
}

/// True if a host can have this name. Not every database accepts a NUL in a query.
fn may_be_recorded(host: &str) -> bool {
    host.chars().count() <= 255 && !host.contains(char::is_control)
}
