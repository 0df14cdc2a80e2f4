//! Reporter binding: the host that a reporter may report about. The rules are in the domain crate.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tachi_domain::Reporter;
use tachi_domain::binding::{BindingMode, BindingOptions};
use tachi_domain::entity::notification::NewNotification;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::evidence;
use crate::state::ApiState;

/// Maximum number of reporters that are remembered as logged.
const MAX_LOGGED: usize = 10_000;

/// The options in force and the reporters that were logged.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) options: BindingOptions,
    logged: Mutex<HashSet<String>>,
}

impl Binding {
    pub(crate) fn new(options: BindingOptions) -> Self {
        Self {
            options,
            logged: Mutex::default(),
        }
    }

    /// True if this reporter has not been logged yet.
    fn is_unlogged(&self, reporter: &Reporter) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        logged.len() < MAX_LOGGED && logged.insert(reporter.to_string())
    }
}

/// Records the reporter in its report, and removes claims that this reporter may not make.
///
/// # Errors
///
/// 403: the reporter may not make this report at all.
pub(crate) fn judge(app: &ApiState, caller: &Caller, new: &mut NewNotification) -> Result<(), ApiError> {
    let options = &app.binding.options;
    let is_admitted = || app.policy.allows(evidence::RULE, caller);
    options
        .judge(caller.reporter(), is_admitted, new)
        .map_err(|why| {
            let reporter = caller.reporter();
            tracing::warn!(host = %new.hostname, kind = %new.kind, %reporter, %why, "report refused");
            ApiError::NotYours {
                message: format!(
                    "This reporter may not report {} of {}: {why}.",
                    new.kind, new.hostname
                ),
            }
        })?;
    let Some(reporter) = new.reporter.as_deref() else {
        return Ok(());
    };
    if options.mode == BindingMode::Warn && reporter.host.is_none() && app.binding.is_unlogged(reporter) {
        tracing::warn!(
            %reporter,
            "reporter is bound to no host and may report any host; give each host its own credentials with \
             `tachi setup monitors`, then set [api] reporter_binding = enforce"
        );
    }
    if reporter.discarded_status.is_some() {
        tracing::warn!(
            host = %new.hostname, %reporter, rule = evidence::RULE,
            "treating host_status as UNKNOWN; only a control node that the policy admits may report a host as off"
        );
    }
    Ok(())
}
