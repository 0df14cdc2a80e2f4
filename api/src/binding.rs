//! Which host a reporter may speak for, as the API asks it: the rules are the domain's.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tachi_domain::Reporter;
use tachi_domain::binding::{BindingMode, BindingOptions};
use tachi_domain::entity::notification::NewNotification;

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::evidence;

/// So many reporters are remembered that were told of in the log.
const MOST_TOLD: usize = 10_000;

/// The rules in force.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) options: BindingOptions,
    told: Mutex<HashSet<String>>,
}

impl Binding {
    pub(crate) fn new(options: BindingOptions) -> Self {
        Self {
            options,
            told: Mutex::default(),
        }
    }

    /// Whether this reporter has not been told of yet.
    fn is_news(&self, reporter: &Reporter) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST_TOLD && told.insert(reporter.to_string())
    }
}

/// Writes down with a report who makes it, and takes out what this reporter may not know.
///
/// # Errors
///
/// 403: it may not make this report at all.
pub(crate) fn judge(app: &App, caller: &Caller, new: &mut NewNotification) -> Result<(), ApiError> {
    let options = &app.binding.options;
    let is_admitted = || app.policy.allows(evidence::RULE, caller);
    options
        .judge(caller.reporter(), is_admitted, new)
        .map_err(|why| {
            let reporter = caller.reporter();
            tracing::warn!(host = %new.hostname, kind = %new.kind, %reporter, "a report is refused: {why}");
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
    if options.mode == BindingMode::Warn && reporter.host.is_none() && app.binding.is_news(reporter) {
        tracing::warn!(
            %reporter,
            "this reporter is bound to no host and may report any: give each host credentials of its own with \
             `tachi setup monitors`, then set [api] reporter_binding = enforce"
        );
    }
    if reporter.unheard.is_some() {
        tracing::warn!(
            host = %new.hostname, %reporter, rule = evidence::RULE,
            "host_status is taken for UNKNOWN: only a control node that the policy admits may say that a host is off"
        );
    }
    Ok(())
}
