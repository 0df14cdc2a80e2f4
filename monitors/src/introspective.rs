//! The introspective monitor: checks if the agent in each guest answers.
//!
//! ```text
//! libvirtd <- ask (pings, a few at once) -> roster, agent_state (pure: each guest's answers) -> Reporter
//! ```

mod agent_state;
mod channel;
mod poll;
mod roster;

use std::collections::BTreeSet;
use std::time::Duration;

use tachi_instance_ha::RegisteredHost;
use tachi_libvirt::{AGENT_SYNC_TIMEOUT, Address, Keepalive};

use crate::check::{Check, Finding, FindingLevel};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::introspective::poll::IntrospectiveMonitor;
use crate::kind::Kind;
use crate::monitor::Monitor;
use crate::settings::Settings;

/// Creates the monitor.
pub(crate) fn monitor(settings: &Settings, clock: &Clock) -> Result<Box<dyn Monitor>, Failure> {
    // libvirt passes commands to an agent only on a connection with write access.
    let address = Address::parse(&settings.instance.uri, false)
        .map_err(|error| Failure::usage(format!("[libvirt] connection_uri: {error}")))?;
    let socket = channel::pattern(&settings.guest.socket).map_err(|error| {
        Failure::usage(format!(
            "[introspectiveinstancemonitor] qemu_guest_agent_sock_path: {error}"
        ))
    })?;
    Ok(Box::new(IntrospectiveMonitor {
        hostname: settings.hostname.clone(),
        address,
        socket,
        interval: settings.guest.interval,
        timeout: settings.guest.timeout,
        threshold: settings.guest.threshold,
        at_once: settings.guest.at_once,
        file: settings.folder(Kind::Introspective).join("guests.json"),
        clock: clock.clone(),
        keepalive: Keepalive::default(),
    }))
}

/// Checks of `tachi-monitor check`.
pub(crate) struct Checks;

#[async_trait::async_trait]
impl Check for Checks {
    async fn check(&self, settings: &Settings, _: Option<&[RegisteredHost]>) -> Vec<Finding> {
        const SUBSYSTEM: &str = "introspective";
        let guest = &settings.guest;
        let libvirt = crate::libvirt::check(SUBSYSTEM, &settings.instance.uri, false).await;
        let unasked = libvirt.level == FindingLevel::Wrong;
        let mut findings = vec![libvirt];
        if let Err(error) = channel::pattern(&guest.socket) {
            findings.push(Finding::wrong(
                SUBSYSTEM,
                format!("qemu_guest_agent_sock_path: {error}"),
            ));
        }
        if unasked {
            // The time is unknown if libvirt does not answer.
            return findings;
        }
        let at_once = u32::try_from(guest.at_once).unwrap_or(u32::MAX);
        for hung in BTreeSet::from([1, at_once]) {
            findings.push(Finding::reported_within(
                SUBSYSTEM,
                format!("the agents of {hung} guests hang, to the last"),
                max_latency(guest.interval, guest.timeout, guest.threshold, hung),
            ));
        }
        findings
    }
}

/// Returns the longest time until the last of `hung` guests that hang at once is reported.
fn max_latency(interval: Duration, timeout: Duration, threshold: u32, hung: u32) -> Duration {
    let at_once = u32::try_from(poll::MAX_CALLS).unwrap_or(u32::MAX);
    let round = timeout.max(AGENT_SYNC_TIMEOUT) * hung.div_ceil(at_once);
    interval.max(round) * agent_state::needed(threshold) + round
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_libvirt_that_cannot_be_reached_is_wrong_and_gets_no_time() {
        let folder = tempfile::tempdir().unwrap();
        let unreachable = format!("qemu+unix:///system?socket={}/none", folder.path().display());
        for uri in ["qemu+tcp://127.0.0.1/system", "qemu://other/system", &unreachable] {
            let settings = crate::settings::tests::settings(&format!("[libvirt]\nconnection_uri = {uri}\n"));
            let findings = Checks.check(&settings, None).await;
            let shown: Vec<_> = findings
                .iter()
                .map(|finding| (finding.level, finding.worst_seconds))
                .collect();
            assert_eq!(shown, [(FindingLevel::Wrong, None)], "{uri}");
        }
    }

    /// Covers MW19.
    #[test]
    fn guests_that_hang_are_reported_within_a_minute() {
        let seconds = Duration::from_secs;
        assert_eq!(max_latency(seconds(10), seconds(2), 3, 1), seconds(55));
        assert_eq!(max_latency(seconds(10), seconds(2), 3, 3), seconds(55));
        // More guests than one round can poll within an interval make the rounds longer.
        assert_eq!(max_latency(seconds(10), seconds(2), 3, 20), seconds(150));
    }
}
