//! The instance monitor: reports failed guests of this host, through libvirt.
//!
//! ```text
//! libvirtd -> watch (subscribes, lists) -> judge (pure decisions) -> Reporter
//!                    |
//!                    +-> inventory (on disk: the guests as last seen)
//! ```

mod inventory;
mod judge;
mod local_disk;
mod texts;
mod watch;

use std::time::Duration;

use tachi_instance_ha::RegisteredHost;
use tachi_libvirt::{Address, Keepalive};

use crate::check::{Check, Finding, FindingLevel};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::instance::watch::InstanceMonitor;
use crate::kind::Kind;
use crate::monitor::Monitor;
use crate::settings::Settings;

pub(crate) use judge::Rules;

/// Creates the monitor.
pub(crate) fn monitor(settings: &Settings, clock: &Clock) -> Result<Box<dyn Monitor>, Failure> {
    let address = Address::parse(&settings.instance.uri, true)
        .map_err(|error| Failure::usage(format!("[libvirt] connection_uri: {error}")))?;
    Ok(Box::new(InstanceMonitor {
        hostname: settings.hostname.clone(),
        address,
        rules: settings.instance.rules.clone(),
        folder: settings.folder(Kind::Instance),
        clock: clock.clone(),
        keepalive: Keepalive::default(),
    }))
}

/// Checks of `tachi-monitor check`.
pub(crate) struct Checks;

#[async_trait::async_trait]
impl Check for Checks {
    async fn check(&self, settings: &Settings, _: Option<&[RegisteredHost]>) -> Vec<Finding> {
        const SUBSYSTEM: &str = "instance";
        let libvirt = crate::libvirt::check(SUBSYSTEM, &settings.instance.uri, true).await;
        if libvirt.level == FindingLevel::Wrong {
            // The time is unknown if libvirt does not answer.
            return vec![libvirt];
        }
        let mut findings = vec![libvirt];
        for (failure, max_latency) in [
            // libvirt itself takes up to 2.4 s if dead processes are not reaped at once.
            ("the process of an instance dies", Duration::from_millis(2600)),
            (
                "an instance died while libvirtd was down, from its return",
                Duration::from_secs(5),
            ),
            ("libvirtd is frozen, from its silence", LIBVIRT_TIMEOUT),
        ] {
            findings.push(Finding::reported_within(SUBSYSTEM, failure, max_latency));
        }
        findings
    }
}

/// Time after which the connection to a frozen libvirtd is closed.
const LIBVIRT_TIMEOUT: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_time_is_promised_of_a_libvirt_that_cannot_be_asked() {
        let folder = tempfile::tempdir().unwrap();
        let unreachable = format!("qemu+unix:///system?socket={}/none", folder.path().display());
        for uri in ["qemu+tcp://127.0.0.1/system", "qemu://other/system", &unreachable] {
            let settings = crate::settings::tests::settings(&format!("[libvirt]\nconnection_uri = {uri}\n"));
            let findings = Checks.check(&settings, None).await;
            let levels_and_times: Vec<_> = findings
                .iter()
                .map(|finding| (finding.level, finding.worst_seconds))
                .collect();
            assert_eq!(levels_and_times, [(FindingLevel::Wrong, None)], "{uri}");
        }
    }

    #[test]
    fn reported_times_follow_the_settings() {
        let keepalive = Keepalive::default();
        assert_eq!(keepalive.interval * (keepalive.count + 1), LIBVIRT_TIMEOUT);
    }
}
