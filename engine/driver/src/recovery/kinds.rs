//! The kinds of recovery.

use std::time::Duration;

use serde_json::Value;
use tachi_domain::host_recovery::{self, HostRecovery};
use tachi_domain::pace::{Demand, EvacuationProgress};
use tachi_domain::planned::{self, PlannedState};
use tachi_domain::policy::Policy;
use tachi_domain::process_recovery::{self, ProcessRecovery};
use tachi_domain::recovery::{Decision, DecisionTime, Observation};
use tachi_domain::vm_recovery::{self, VmRecovery};
use tachi_domain::{Wait, WaitsFor};

use super::Recovery;

/// The methods with identical code for all kinds that a trait's default cannot provide, because they read fields.
macro_rules! common {
    () => {
        fn head(&self) -> Result<String, serde_json::Error> {
            self.head()
        }

        fn host(&self) -> &str {
            &self.host
        }

        fn policy(&self) -> &Policy {
            &self.policy
        }

        fn wait(&self) -> Option<&Wait> {
            self.wait()
        }
    };
}

impl Recovery for HostRecovery {
    fn decide(&mut self, observations: Vec<Observation>, now: DecisionTime) -> Decision {
        host_recovery::decide(self, observations, now)
    }

    common!();

    fn stage(&self) -> String {
        stage_name(serde_json::to_value(self.stage))
    }

    fn is_finished(&self) -> bool {
        self.stage == host_recovery::Stage::Done
    }

    fn why(&self, what: WaitsFor) -> Option<&str> {
        if what == WaitsFor::Guards {
            self.guarded().map(|waiting| waiting.reason.as_str())
        } else {
            self.hold.as_ref().map(|hold| hold.reason.as_str())
        }
    }

    fn next_poll(&self, now: DecisionTime) -> Duration {
        self.next_poll(now)
    }

    fn demand(&mut self) -> Option<(Demand, EvacuationProgress)> {
        let sight = self.sight();
        Some((HostRecovery::demand(self), sight))
    }

    fn of_host(&self) -> Option<&HostRecovery> {
        Some(self)
    }
}

impl Recovery for VmRecovery {
    fn decide(&mut self, observations: Vec<Observation>, now: DecisionTime) -> Decision {
        one_by_one(observations, |observation| {
            vm_recovery::decide(self, observation, now)
        })
    }

    common!();

    fn stage(&self) -> String {
        stage_name(serde_json::to_value(self.stage))
    }

    fn is_finished(&self) -> bool {
        self.stage == vm_recovery::Stage::Done
    }
}

impl Recovery for ProcessRecovery {
    fn decide(&mut self, observations: Vec<Observation>, now: DecisionTime) -> Decision {
        one_by_one(observations, |observation| {
            process_recovery::decide(self, observation, now)
        })
    }

    common!();

    fn stage(&self) -> String {
        if self.over { "over" } else { "disabling" }.to_owned()
    }

    fn is_finished(&self) -> bool {
        self.over
    }

    fn why(&self, _what: WaitsFor) -> Option<&str> {
        self.message.as_deref()
    }
}

impl Recovery for PlannedState {
    fn decide(&mut self, observations: Vec<Observation>, now: DecisionTime) -> Decision {
        planned::decide(self, observations, now)
    }

    common!();

    fn stage(&self) -> String {
        stage_name(serde_json::to_value(self.stage))
    }

    fn is_finished(&self) -> bool {
        self.stage == planned::PlannedStage::Done
    }

    fn plan(&self) -> Option<&PlannedState> {
        Some(self)
    }
}

/// Decides on one observation after the other, for the kinds that make one call at a time.
fn one_by_one(observations: Vec<Observation>, mut decide: impl FnMut(Observation) -> Decision) -> Decision {
    let mut observations = observations.into_iter();
    let mut all = observations.next().map(&mut decide).unwrap_or_default();
    for observation in observations {
        let one = decide(observation);
        all.record.merge(one.record);
        all.commands.extend(one.commands);
    }
    all
}

/// Returns the journalled name of a stage; for a stage with data, its tag.
fn stage_name(stage: serde_json::Result<Value>) -> String {
    match stage {
        Ok(Value::String(text)) => text,
        Ok(Value::Object(fields)) => fields.into_iter().next().map_or_else(String::new, |(key, _)| key),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | Err(_) => String::new(),
    }
}
