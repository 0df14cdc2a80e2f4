//! The storm brake: when many hosts are gone at once, the cause is more probably the network or the cluster than the
//! hosts.

use std::time::Duration;

/// The conditions under which reports of lost hosts are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brake {
    /// The share of the hosts, in percent, above which reports are held back. 100 never holds.
    pub percent: u8,
    /// Number of lost hosts up to which reports are never held back.
    pub floor: usize,
    /// Window in which failures count as concurrent.
    pub window: Duration,
    /// Time after which held reports are sent nevertheless: a rack may have failed.
    pub hold: Duration,
}

impl Default for Brake {
    fn default() -> Self {
        Self {
            percent: 50,
            floor: 2,
            window: Duration::from_secs(60),
            hold: Duration::from_secs(120),
        }
    }
}

impl Brake {
    /// True if `gone` of `hosts` hosts at once are too many.
    pub fn holds(&self, gone: usize, hosts: usize) -> bool {
        let share = hosts.saturating_mul(usize::from(self.percent.min(100))) / 100;
        gone > share.max(self.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers MW9.
    #[test]
    fn how_many_are_a_storm() {
        for (name, percent, floor, gone, hosts, expected) in [
            ("one of many", 50, 2, 1, 100, false),
            ("exactly half", 50, 2, 50, 100, false),
            ("more than half", 50, 2, 51, 100, true),
            ("both of two", 50, 2, 2, 2, false),
            ("three of three", 50, 2, 3, 3, true),
            ("all, but never holds", 100, 2, 100, 100, false),
            ("nonsense percent", 255, 2, 100, 100, false),
            ("floor above share", 10, 3, 3, 10, false),
            ("none at all", 0, 0, 0, 0, false),
        ] {
            let brake = Brake {
                percent,
                floor,
                ..Brake::default()
            };
            assert_eq!(brake.holds(gone, hosts), expected, "{name}");
        }
    }
}
