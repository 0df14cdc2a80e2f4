//! The service of the drilled host: disabled for the drill, and restored only while it still carries the drill's own change.
//!
//! Minutes pass in between. If the host dies by itself meanwhile, its recovery forces it down, and an operator may disable it for another
//! reason: the drill must undo neither.

use std::collections::BTreeSet;

use tachi_domain::RecoveryId;
use tachi_domain::nova::Service;

use super::{Drill, admission};
use crate::failure::Failure;
use crate::plain::plain;

/// The drill's change of the service; set right before each call, because a call without an answer may have taken effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Made {
    /// No change.
    #[default]
    Nothing,
    /// Enabled, to build canaries.
    Opened,
    /// Disabled for this reason.
    Closed(String),
}

/// The handling of the service of a host that was not switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ServiceDecision {
    /// The service is as it was.
    Same,
    /// The service still carries the drill's change.
    PutBack,
    /// The service carries another change: this one.
    Leave(String),
}

/// Describes the state of a service.
fn sentence(service: &Service) -> String {
    if service.forced_down {
        return "it is forced down".to_owned();
    }
    if !service.up {
        return "Nova shows it down".to_owned();
    }
    if service.enabled {
        return "it is enabled".to_owned();
    }
    let reason = service.disabled_reason.as_deref();
    format!("it is disabled ({})", reason.unwrap_or("no reason given"))
}

/// Returns what blocks changing the service now; `None` if it is up, and as expected.
fn unlike(shown: Option<&Service>, enabled: bool, reason: Option<&str>) -> Option<String> {
    let Some(shown) = shown else {
        return Some("Nova has no nova-compute on it".to_owned());
    };
    let same = shown.enabled == enabled && (enabled || shown.disabled_reason.as_deref() == reason);
    (shown.forced_down || !shown.up || !same).then(|| sentence(shown))
}

fn verdict(was: &Service, made: &Made, shown: Option<&Service>) -> ServiceDecision {
    let is = |enabled, reason| unlike(shown, enabled, reason);
    let as_it_was = is(was.enabled, was.disabled_reason.as_deref()).is_none();
    let carries = match made {
        Made::Nothing => return ServiceDecision::Same,
        Made::Opened => is(true, None),
        // The disabling may not have taken effect: then the service is as the drill had enabled it.
        Made::Closed(reason) => is(false, Some(reason)).filter(|_| was.enabled || is(true, None).is_some()),
    };
    match carries {
        _ if as_it_was => ServiceDecision::Same,
        None => ServiceDecision::PutBack,
        Some(other) => ServiceDecision::Leave(other),
    }
}

impl Drill<'_> {
    async fn shown_service(&self) -> Result<Option<Service>, Failure> {
        let shown = self.region.compute().service(&self.host.name).await;
        shown.map_err(|error| Failure::new("reading its service", error))
    }

    /// Changes the service if it is still as the drill left it. No other change is overwritten.
    async fn change(&self, made: &mut Made, next: Made, what: &str) -> Result<(), Failure> {
        let was = &self.host.service;
        let (enabled, reason) = match made {
            Made::Nothing => (was.enabled, was.disabled_reason.as_deref()),
            Made::Opened => (true, None),
            Made::Closed(reason) => (false, Some(reason.as_str())),
        };
        let shown = self.shown_service().await?;
        if let Some(other) = unlike(shown.as_ref(), enabled, reason) {
            return Err(Failure::from_text(format!(
                "another actor has changed its service meanwhile: {other}"
            )));
        }
        *made = next;
        let reason = match &*made {
            Made::Closed(reason) => Some(reason.as_str()),
            Made::Nothing | Made::Opened => None,
        };
        self.region.change(what, was, reason).await
    }

    /// Enables the service of a host that an operator has drained, for the canaries.
    pub(super) async fn open(&self, made: &mut Made) -> Result<(), Failure> {
        if self.host.service.enabled {
            return Ok(());
        }
        self.change(made, Made::Opened, "enables its service, to build canaries")
            .await
    }

    /// Disables the service for this reason.
    pub(super) async fn close(&self, made: &mut Made, reason: &str) -> Result<(), Failure> {
        let what = "disables its service, so that nothing else is placed there";
        self.change(made, Made::Closed(reason.to_owned()), what).await
    }

    /// Restores the service, if it is still as the drill left it. Returns what was done.
    ///
    /// # Errors
    ///
    /// The service carries another change, or its state is unknown.
    pub(super) async fn put_back(
        &self,
        made: &Made,
        before: &BTreeSet<RecoveryId>,
    ) -> Result<String, Failure> {
        if *made == Made::Nothing {
            return Ok("its service was not changed".to_owned());
        }
        let was = &self.host.service;
        // This check comes first: a recovery that starts after it finds the service as it is then, and disables it if it is enabled.
        admission::nobody_has_it(self.ports, self.host, before).await?;
        let shown = self.shown_service().await?;
        match (verdict(was, made, shown.as_ref()), shown) {
            (ServiceDecision::Leave(other), _) => Err(Failure::from_text(format!(
                "another actor has changed it meanwhile: {other}"
            ))),
            (ServiceDecision::Same, _) | (ServiceDecision::PutBack, None) => Ok(format!(
                "its service is as it was (a call that Nova did not answer may still change it for {} s)",
                self.ports.policy.late_effect_window().as_secs()
            )),
            (ServiceDecision::PutBack, Some(shown)) => {
                let reason = (!was.enabled).then(|| was.disabled_reason.clone().unwrap_or_default());
                self.region
                    .change("restores its service", &shown, reason.as_deref())
                    .await?;
                Ok("its service is as it was".to_owned())
            }
        }
    }

    /// Undoes a drill that did not switch its host off: deletes the canaries, and restores the service. Returns the failure, with
    /// what could not be undone.
    pub(super) async fn undo(&self, why: Failure, made: &Made, before: &BTreeSet<RecoveryId>) -> Failure {
        let host = plain(&self.host.name);
        self.region.note(&format!(
            "the host was not powered off: {}; undoing the drill",
            why.chain()
        ));
        let canaries = self.delete_own().await;
        let service = self.put_back(made, before).await;
        let text = format!("{host} was not powered off: {}", why.chain());
        let canaries = match canaries {
            Ok(()) => "the canaries are deleted".to_owned(),
            Err(error) => format!(
                "NOT deleted: {}; `tachi drill {host} --clean-up` deletes the canaries",
                error.chain()
            ),
        };
        let service = service.unwrap_or_else(|error| {
            format!(
                "its service is LEFT AS IT IS: {}; `tachi host return {host}` shows what is left to do with {host} (openstack compute \
                 service list --long shows it)",
                error.chain()
            )
        });
        Failure::from_text(format!("{text}; {canaries}, and {service}"))
    }
}

#[cfg(test)]
mod tests;
