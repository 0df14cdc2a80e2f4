//! Faults of the APIs: errors, delays, missing answers, and effects without a matching answer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// The effect on a request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApiEffect {
    /// Answers with this status, without executing the request.
    Status {
        /// HTTP status.
        status: u16,
        /// `Retry-After` in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u32>,
    },
    /// Executes the request, then answers with this status.
    StatusAfterAct {
        /// HTTP status.
        status: u16,
    },
    /// Executes the request, and breaks the connection instead of answering.
    BreakAfterAct,
    /// Breaks the connection, without executing the request.
    Break,
    /// Answers normally after a delay in real time.
    Delay {
        /// Milliseconds.
        millis: u64,
    },
    /// Never answers, and does not execute the request.
    Hang,
    /// A timeout with a later effect: 504 after `answer_millis` (no answer if not given), and the execution after
    /// `act_millis` (real time).
    Late {
        /// Delay of the execution, in milliseconds.
        act_millis: u64,
        /// Delay of the answer 504, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer_millis: Option<u64>,
    },
}

/// The requests that a fault affects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiFault {
    /// The effect.
    #[serde(flatten)]
    pub effect: ApiEffect,
    /// Only routes whose name contains this text, see [`crate::RequestEntry::route`]: `#evacuate`, `GET /compute`,
    /// `/MAAS`. An empty text matches everything except `/admin`.
    #[serde(default)]
    pub route: String,
    /// Number of requests to skip first.
    #[serde(default)]
    pub skip: u32,
    /// Number of requests to affect; `None` is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl ApiFault {
    /// Creates a fault of every request on these routes.
    pub fn always(route: &str, effect: ApiEffect) -> Self {
        Self {
            effect,
            route: route.to_owned(),
            skip: 0,
            times: None,
        }
    }

    /// Creates a fault of the next `times` requests on these routes.
    pub fn next(times: u32, route: &str, effect: ApiEffect) -> Self {
        Self {
            times: Some(times),
            ..Self::always(route, effect)
        }
    }
}

/// The API faults in force.
#[derive(Debug, Default)]
pub struct ApiFaults {
    rules: Mutex<Vec<ApiFault>>,
}

impl ApiFaults {
    fn lock(&self) -> MutexGuard<'_, Vec<ApiFault>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a fault; the first match applies.
    pub fn add(&self, fault: ApiFault) {
        self.lock().push(fault);
    }

    /// Returns the faults in force.
    pub fn list(&self) -> Vec<ApiFault> {
        self.lock().clone()
    }

    /// Removes all.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Returns the fault for a request on this route.
    pub(crate) fn take_fault(&self, route: &str) -> Option<ApiEffect> {
        let mut rules = self.lock();
        let position = rules.iter().position(|rule| route.contains(&rule.route))?;
        let rule = rules.get_mut(position)?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        let effect = rule.effect;
        if let Some(times) = &mut rule.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                rules.remove(position);
            }
        }
        Some(effect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "POST /compute/v2.1/servers/{id}/action#evacuate";

    #[test]
    fn a_fault_strikes_its_route_after_skipping_and_then_ends() {
        let faults = ApiFaults::default();
        let effect = ApiEffect::Status {
            status: 503,
            retry_after: None,
        };
        faults.add(ApiFault {
            skip: 1,
            ..ApiFault::next(2, "#evacuate", effect)
        });
        assert_eq!(faults.take_fault("GET /compute/v2.1/servers/detail"), None);
        let with_fault: Vec<bool> = (0..4).map(|_| faults.take_fault(ROUTE).is_some()).collect();
        assert_eq!(with_fault, [false, true, true, false]);
        assert!(faults.list().is_empty());
    }

    #[test]
    fn faults_are_written_flat() {
        let fault: ApiFault = serde_json::from_str(
            r##"{"effect": "late", "act_millis": 30000, "route": "#evacuate", "times": 1}"##,
        )
        .unwrap();
        assert_eq!(
            fault.effect,
            ApiEffect::Late {
                act_millis: 30_000,
                answer_millis: None
            }
        );
        assert_eq!((fault.times, fault.skip), (Some(1), 0));
    }
}
