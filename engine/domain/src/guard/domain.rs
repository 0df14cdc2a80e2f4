//! Failure domains: hosts that fail together, such as those of one rack or one switch.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The losses in a failure domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainLoss {
    /// The name, such as `rack:r7`.
    pub name: String,
    /// The number of its hosts.
    pub hosts: u64,
    /// The number of its hosts that are out.
    pub lost: u64,
    /// The time between the first and the last of their last heartbeats, if Nova shows them.
    pub within: Option<Duration>,
}

impl DomainLoss {
    /// True if all of its hosts are lost, and there are more than one.
    pub fn is_whole(&self) -> bool {
        self.hosts > 1 && self.lost >= self.hosts
    }

    /// Returns a sentence such as `rack r7: 8 of 8 hosts lost within 12 s` or `... at once`.
    pub fn sentence(&self) -> String {
        let name = self.name.replacen(':', " ", 1);
        let within = self
            .within
            .map(|time| {
                if time.is_zero() {
                    " at once".to_owned()
                } else {
                    format!(" within {} s", time.as_secs_f64().ceil())
                }
            })
            .unwrap_or_default();
        format!("{name}: {} of {} hosts lost{within}", self.lost, self.hosts)
    }
}
