//! Networks that hosts have lost while their management network works.
//!
//! Such a host is running, so it is not reported as stopped: Nova would contradict that while its nova-compute sends heartbeats. The
//! monitor's own heartbeat names it instead. If the API does not accept that, or Nova shows the host down, the monitor reports it as
//! stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// Timeout for the API's first answer, from the first judgement. Without the wait a monitor that has just started would report running
/// hosts as stopped.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Limit of reported hosts.
const MAX_HOSTS: usize = 1_000;

/// The lost planes by host, each with the time since when.
pub(crate) type LostPlanes = BTreeMap<String, BTreeMap<String, Instant>>;

/// The lost planes as a monitor sees them, and the API's answer to them.
#[derive(Debug, Default)]
pub(crate) struct Planes {
    /// `None` until the monitor has judged the planes.
    lost: Option<LostPlanes>,
    /// The time of the first call of `heartbeat_suffices`.
    first_query_at: Option<Instant>,
    /// True if the API has accepted the last report of planes; `None` before its first answer.
    accepted: Option<bool>,
    /// The hosts that Nova shows down.
    down_in_nova: BTreeSet<String>,
}

impl Planes {
    /// Records the planes that are lost now.
    pub(crate) fn observe(&mut self, lost: LostPlanes) {
        self.lost = Some(lost);
    }

    /// Returns the lost planes with their ages in seconds, as a heartbeat contains them.
    pub(crate) fn report(&self) -> Option<BTreeMap<String, BTreeMap<String, u64>>> {
        let now = Instant::now();
        let ages = |planes: &BTreeMap<String, Instant>| {
            let each = planes.iter();
            each.map(|(plane, since)| (plane.clone(), (now - *since).as_secs()))
                .collect()
        };
        let hosts = self.lost.as_ref()?.iter().take(MAX_HOSTS);
        Some(hosts.map(|(host, planes)| (host.clone(), ages(planes))).collect())
    }

    /// Records the API's answer: the hosts that Nova shows down, or `None` if the API does not accept planes.
    pub(crate) fn answered(&mut self, down_in_nova: Option<Vec<String>>) {
        self.accepted = Some(down_in_nova.is_some());
        self.down_in_nova = down_in_nova.unwrap_or_default().into_iter().collect();
    }

    /// True if the heartbeat replaces a report of this host: the API accepts planes, and Nova does not show the host down. `None` while
    /// waiting for the API's first answer.
    pub(crate) fn heartbeat_suffices(&mut self, host: &str) -> Option<bool> {
        let first_query_at = *self.first_query_at.get_or_insert_with(Instant::now);
        match self.accepted {
            None if first_query_at.elapsed() < FIRST_ANSWER_TIMEOUT => None,
            accepted => Some(accepted == Some(true) && !self.down_in_nova.contains(host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_suffices_while_the_api_takes_it_and_nova_does_not_show_the_host_down() {
        let mut planes = Planes::default();
        assert_eq!(planes.report(), None);
        let storage = BTreeMap::from([("storage".to_owned(), Instant::now())]);
        planes.observe(LostPlanes::from([("cmp1".to_owned(), storage)]));
        tokio::time::advance(Duration::from_secs(70)).await;
        assert_eq!(planes.report().unwrap()["cmp1"]["storage"], 70);
        assert_eq!(planes.heartbeat_suffices("cmp1"), None, "no answer yet");
        tokio::time::advance(FIRST_ANSWER_TIMEOUT).await;
        assert_eq!(planes.heartbeat_suffices("cmp1"), Some(false), "no answer at all");
        planes.answered(Some(Vec::new()));
        assert_eq!(planes.heartbeat_suffices("cmp1"), Some(true));
        planes.answered(Some(vec!["cmp1".to_owned()]));
        assert_eq!(
            (
                planes.heartbeat_suffices("cmp1"),
                planes.heartbeat_suffices("cmp2")
            ),
            (Some(false), Some(true))
        );
        planes.answered(None);
        assert_eq!(planes.heartbeat_suffices("cmp2"), Some(false));
    }
}
