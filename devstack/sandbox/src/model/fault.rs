//! Faults of moves: between the acceptance of an evacuation or live migration and its end.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The effect of a fault on an evacuation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MoveFault {
    /// The conductor never receives the order: the record stays `accepted`.
    LostCast,
    /// The scheduler finds no host: migration `error`, instance `error`.
    NoValidHost,
    /// The destination's late claim fails: migration `failed`, instance as before.
    LateFailure,
    /// The rebuild fails on the destination: migration `failed`, instance `error`.
    Error,
    /// The rebuild never ends: the record stays `pre-migrating`.
    Hang,
    /// The rebuild takes this much longer.
    Slow {
        /// Extra region time in milliseconds.
        millis: u64,
    },
    /// Nova refuses the live migration at once, as it does for an instance with a device of the host.
    LiveRefused,
    /// The source gives up the live migration: migration `error`, instance as before.
    LiveError,
    /// The live migration copies until it is aborted.
    LiveHang,
    /// The start of an instance fails on the host named as destination: the instance stays stopped.
    StartFails,
    /// The destination loses power this long after the start of the rebuild.
    DestinationDies {
        /// Region time in milliseconds.
        millis: u64,
    },
}

impl MoveFault {
    fn is_conductor_fault(self) -> bool {
        matches!(
            self,
            Self::LostCast | Self::NoValidHost | Self::LiveRefused | Self::LiveError | Self::LiveHang
        )
    }

    pub(crate) fn extra(self) -> Duration {
        match self {
            Self::Slow { millis } => Duration::from_millis(millis),
            Self::LostCast
            | Self::NoValidHost
            | Self::LateFailure
            | Self::Error
            | Self::Hang
            | Self::LiveRefused
            | Self::LiveError
            | Self::LiveHang
            | Self::StartFails
            | Self::DestinationDies { .. } => Duration::ZERO,
        }
    }
}

/// The evacuations that a fault affects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MoveFaultRule {
    /// The effect.
    #[serde(flatten)]
    pub fault: MoveFault,
    /// Only this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Uuid>,
    /// Only this destination; without effect for faults of the conductor, which occur before there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dest: Option<String>,
    /// The number of uses; `None` is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl MoveFaultRule {
    /// Creates a rule for every evacuation.
    pub fn always(fault: MoveFault) -> Self {
        Self {
            fault,
            server: None,
            dest: None,
            times: None,
        }
    }

    /// Creates a rule for one evacuation.
    pub fn once(fault: MoveFault) -> Self {
        Self {
            times: Some(1),
            ..Self::always(fault)
        }
    }

    /// Limits the rule to one instance.
    #[must_use]
    pub fn server(mut self, server: Uuid) -> Self {
        self.server = Some(server);
        self
    }

    /// Limits the rule to one destination.
    #[must_use]
    pub fn dest(mut self, dest: &str) -> Self {
        self.dest = Some(dest.to_owned());
        self
    }
}

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct MoveFaults {
    rules: Vec<MoveFaultRule>,
}

impl MoveFaults {
    pub(crate) fn add(&mut self, rule: MoveFaultRule) {
        self.rules.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn rules(&self) -> &[MoveFaultRule] {
        &self.rules
    }

    /// Returns true if this fault affects the evacuation at the API or the conductor.
    pub(crate) fn at_conductor(&mut self, server: Uuid, fault: MoveFault) -> bool {
        self.take_fault(server, None, |candidate| candidate == fault)
            .is_some()
    }

    /// Returns the fault that affects this evacuation on its destination.
    pub(crate) fn at_dest(&mut self, server: Uuid, dest: &str) -> Option<MoveFault> {
        self.take_fault(server, Some(dest), |fault| {
            !fault.is_conductor_fault() && fault != MoveFault::StartFails
        })
    }

    /// True if the start of this instance fails on this host.
    pub(crate) fn at_start(&mut self, server: Uuid, host: &str) -> bool {
        self.take_fault(server, Some(host), |fault| fault == MoveFault::StartFails)
            .is_some()
    }

    fn take_fault(
        &mut self,
        server: Uuid,
        dest: Option<&str>,
        fits: impl Fn(MoveFault) -> bool,
    ) -> Option<MoveFault> {
        let position = self.rules.iter().position(|rule| {
            fits(rule.fault)
                && rule.server.is_none_or(|expected| expected == server)
                && rule.dest.as_deref().is_none_or(|expected| Some(expected) == dest)
        })?;
        let rule = self.rules.get_mut(position)?;
        let fault = rule.fault;
        if let Some(times) = &mut rule.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.rules.remove(position);
            }
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_strikes_what_it_names_and_as_often_as_it_says() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut faults = MoveFaults::default();
        faults.add(MoveFaultRule::once(MoveFault::Error).server(one).dest("b"));
        faults.add(MoveFaultRule::always(MoveFault::LostCast).server(two));
        assert_eq!(faults.at_dest(two, "b"), None, "another server");
        assert_eq!(faults.at_dest(one, "c"), None, "another destination");
        assert_eq!(faults.at_dest(one, "b"), Some(MoveFault::Error));
        assert_eq!(faults.at_dest(one, "b"), None, "used up");
        assert!(faults.at_conductor(two, MoveFault::LostCast));
        assert!(
            faults.at_conductor(two, MoveFault::LostCast),
            "always means always"
        );
        assert!(!faults.at_conductor(one, MoveFault::LostCast));
    }

    #[test]
    fn rules_are_written_flat() {
        let rule: MoveFaultRule =
            serde_json::from_str(r#"{"kind": "slow", "millis": 5, "times": 2, "dest": "compute-002"}"#)
                .unwrap();
        assert_eq!(rule.fault, MoveFault::Slow { millis: 5 });
        assert_eq!((rule.times, rule.dest.as_deref()), (Some(2), Some("compute-002")));
    }
}
