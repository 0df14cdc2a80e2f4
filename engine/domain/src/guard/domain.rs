//! Failure domains: what fails together, such as the hosts of one rack or one switch.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is left of a failure domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainLoss {
    /// Its name, such as `rack:r7`.
    pub name: String,
    /// Its hosts.
    pub hosts: u64,
    /// Those of them that are out.
    pub lost: u64,
    /// Between the first and the last of their last heartbeats, if Nova tells.
    pub within: Option<Duration>,
}

impl DomainLoss {
    /// All of it, and it is more than one host.
    pub fn is_whole(&self) -> bool {
        self.hosts > 1 && self.lost >= self.hosts
    }

    /// `rack r7: 8 of 8 hosts lost within 12 s`.
    pub fn sentence(&self) -> String {
        let name = self.name.replacen(':', " ", 1);
        let within = self
            .within
            .map(|time| format!(" within {} s", time.as_secs_f64().ceil()))
            .unwrap_or_default();
        format!("{name}: {} of {} hosts lost{within}", self.lost, self.hosts)
    }
}
