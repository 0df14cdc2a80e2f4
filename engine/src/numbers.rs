//! Prometheus metrics of an engine.
//!
//! Labels have few values: kinds, stages, outcomes and HTTP statuses. Names of hosts, instances or recoveries are never
//! labels.

use std::collections::BTreeSet;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::hooks::HookVerdict;
use tachi_domain::recovery::{
    DISMISSED_STATUS, DecisionTime, Observation, Record, RecoveryKind, shown_status,
};
use tachi_domain::{Elapsed, ServerId, Timestamp, WaitsFor};

use crate::ports::JournalError;
use crate::ports::journal::{ClaimedRecovery, PeerClaim, WriteOutcome};
use tachi_driver::Recovery;

const CLAIMS: &str = "tachi_engine_claims_total";
const CLAIMS_LOST: &str = "tachi_engine_claims_lost_total";
const COMMITS: &str = "tachi_engine_commits_total";
const COMMIT_DURATION: &str = "tachi_engine_commit_duration_seconds";
const CALLS: &str = "tachi_engine_calls_total";
const CALL_DURATION: &str = "tachi_engine_call_duration_seconds";
const RECOVERIES: &str = "tachi_engine_recoveries";
const ENDED: &str = "tachi_engine_recoveries_ended_total";
const RECOVERY_DURATION: &str = "tachi_engine_recovery_duration_seconds";
const STAGE_DURATION: &str = "tachi_engine_stage_duration_seconds";
const HELD: &str = "tachi_engine_recoveries_held";
const HELD_BY: &str = "tachi_fence_held";
const WAITS_FOR: &str = "tachi_fence_waiting";
const ALARMS: &str = "tachi_fence_alarms_total";
const IN_FLIGHT: &str = "tachi_engine_moves_in_flight";
const MOVES: &str = "tachi_engine_moves_total";
const DOWNTIME: &str = "tachi_engine_instance_downtime_seconds";
const SWEEPS_FAILED: &str = "tachi_engine_sweeps_failed_total";
const DOUBTED: &str = "tachi_reporters_set_aside_total";
const FENCES: &str = "tachi_fence_total";
const FENCE_DURATION: &str = "tachi_fence_duration_seconds";
const HEARTBEAT_AGE: &str = "tachi_nova_heartbeat_age_seconds";
const FOREIGN: &str = "tachi_fence_foreign_machines";

/// Registers the description of each metric. Has no effect before the metrics recorder is installed.
pub(crate) fn describe() {
    describe_counter!(CLAIMS, "Recoveries claimed: first, released, again or take_over");
    describe_counter!(
        CLAIMS_LOST,
        "Recoveries that another engine has claimed from this one"
    );
    describe_counter!(COMMITS, "Transactions of the journal, by result");
    describe_histogram!(COMMIT_DURATION, "Duration of transactions of the journal");
    describe_counter!(CALLS, "Calls to Nova and to power controllers, by result");
    describe_histogram!(CALL_DURATION, "Time from the decision to the answer of a call");
    describe_gauge!(RECOVERIES, "Recoveries of this engine, by kind and stage");
    describe_gauge!(HELD, "Recoveries of this engine that wait for an operator");
    describe_gauge!(
        HELD_BY,
        "Recoveries that wait for an operator, by guard or other reason"
    );
    describe_gauge!(WAITS_FOR, "Recoveries that wait for a guard to pass, by guard");
    describe_counter!(ALARMS, "Repeated alarms about waiting recoveries");
    describe_counter!(ENDED, "Finished recoveries, by kind and status");
    describe_histogram!(RECOVERY_DURATION, "Elapsed time of finished recoveries");
    describe_histogram!(STAGE_DURATION, "Duration of the stages of recoveries");
    describe_gauge!(IN_FLIGHT, "Instances whose evacuation Nova has not finished");
    describe_counter!(MOVES, "Finished moves of instances, by the status of their vmove");
    describe_counter!(
        FENCES,
        "Attempts to confirm a host off, by device and result of its level"
    );
    describe_histogram!(
        FENCE_DURATION,
        "Duration of a fencing level, from its first query to proof or failure"
    );
    describe_counter!(
        DOUBTED,
        "Reporters that Nova contradicted too often, muted or not muted because of the limit"
    );
    describe_gauge!(
        HEARTBEAT_AGE,
        "Maximum age of the heartbeats of running hosts in Nova; absent until it is learnt"
    );
    describe_gauge!(
        FOREIGN,
        "Fence devices that answer for another machine than expected"
    );
    describe_histogram!(
        DOWNTIME,
        "Time from the first report until an instance runs again, through all attempts"
    );
    describe_counter!(
        SWEEPS_FAILED,
        "Sweeps that failed because the database did not answer"
    );
    create_counters();
}

/// Creates the counters of alerts at zero: Prometheus detects an increase only in a counter that it has seen before.
fn create_counters() {
    for kind in RecoveryKind::ALL {
        let ends = NotificationStatus::ALL.iter().filter(|status| !status.is_open());
        for status in ends.map(|status| status.as_str()).chain([DISMISSED_STATUS]) {
            counter!(ENDED, "kind" => kind.as_str(), "status" => status).increment(0);
        }
    }
    for status in [VmoveStatus::Ignored, VmoveStatus::Failed, VmoveStatus::Succeeded] {
        counter!(MOVES, "status" => status.as_str()).increment(0);
    }
    for how in ["first", "released", "again", "take_over"] {
        counter!(CLAIMS, "how" => how).increment(0);
    }
    counter!(SWEEPS_FAILED).increment(0);
    for result in ["set_aside", "too_many"] {
        counter!(DOUBTED, "result" => result).increment(0);
    }
    gauge!(FOREIGN).increment(0.0);
    gauge!(HELD).increment(0.0);
}

/// Creates the counters of a device that recoveries may query, so that its results are counted from zero.
pub fn device_known(device: &str) {
    for result in ["off", "failed"] {
        counter!(FENCES, "device" => device.to_owned(), "result" => result).increment(0);
    }
}

/// Counts a reporter that is muted, or would be if the limit allowed it (`is_muted` is false).
pub(crate) fn muted_reporter(is_muted: bool) {
    let result = if is_muted { "set_aside" } else { "too_many" };
    counter!(DOUBTED, "result" => result).increment(1);
}

/// Counts a sweep that failed because the database did not answer.
pub(crate) fn sweep_failed() {
    counter!(SWEEPS_FAILED).increment(1);
}

/// Sets the number of devices with an unexpected machine. The log and `tachi status` show their names.
pub(crate) fn foreign_machines(devices: usize) {
    gauge!(FOREIGN).set(count(devices));
}

/// Sets the learnt age of heartbeats.
pub(crate) fn heartbeat_age(age: Option<Duration>) {
    if let Some(age) = age {
        gauge!(HEARTBEAT_AGE).set(age.as_secs_f64());
    }
}

/// Counts a claim. `view` is the recovery as it was seen before the claim.
pub(crate) fn claimed(view: &PeerClaim, ours: &str) {
    counter!(CLAIMS, "how" => how(view, ours)).increment(1);
}

fn how(view: &PeerClaim, ours: &str) -> &'static str {
    match view.owner.as_deref() {
        None if view.epoch == 0 => "first",
        None => "released",
        Some(owner) if owner == ours => "again",
        Some(_) => "take_over",
    }
}

/// Counts a finished transaction of the journal.
pub(crate) fn committed(outcome: &Result<WriteOutcome, JournalError>, took: Duration) {
    let result = match outcome {
        Ok(WriteOutcome::Written(_)) => "written",
        Ok(WriteOutcome::Lost) => "lost",
        Ok(WriteOutcome::Rewound) => "rewound",
        Ok(
            WriteOutcome::MovesTaken(_)
            | WriteOutcome::HostUnderRecovery
            | WriteOutcome::InstancesUnderRecovery(_)
            | WriteOutcome::MayRunOn(_)
            | WriteOutcome::Joined
            | WriteOutcome::TooManyOrders
            | WriteOutcome::Frozen(_)
            | WriteOutcome::TooLate
            | WriteOutcome::ReserveTaken(_),
        ) => "refused",
        Err(_) => "failed",
    };
    counter!(COMMITS, "result" => result).increment(1);
    histogram!(COMMIT_DURATION).record(took);
    if result == "lost" {
        counter!(CLAIMS_LOST).increment(1);
    }
}

/// Counts a call that was answered or not sent.
pub(crate) fn called(call: &'static str, observation: &Observation, took: Duration) {
    let (result, status) = outcome(observation);
    counter!(CALLS, "call" => call, "result" => result, "status" => status).increment(1);
    if result != "not_sent" {
        histogram!(CALL_DURATION, "call" => call).record(took);
    }
}

fn outcome(observation: &Observation) -> (&'static str, String) {
    if matches!(observation, Observation::NotSent(_)) {
        return ("not_sent", String::new());
    }
    if let Observation::Hook { outcome, .. } = observation {
        let result = match outcome.verdict {
            HookVerdict::GoOn => "ok",
            HookVerdict::Skip => "skip",
            HookVerdict::Failed => "failed",
        };
        return (result, String::new());
    }
    let Some(fault) = fault(observation) else {
        return ("ok", String::new());
    };
    let class = match fault.class {
        FaultClass::Transient => "transient",
        FaultClass::Conflict => "conflict",
        FaultClass::Permanent => "permanent",
        FaultClass::Fatal => "fatal",
    };
    (
        class,
        fault.status.map_or(String::new(), |status| status.to_string()),
    )
}

/// Returns the fault of a failed call.
fn fault(observation: &Observation) -> Option<&Fault> {
    if let Observation::Service(Err(fault))
    | Observation::Power {
        result: Err(fault), ..
    }
    | Observation::PowerOff {
        result: Err(fault), ..
    }
    | Observation::PowerOn {
        result: Err(fault), ..
    }
    | Observation::ServiceUpdated(Err(fault))
    | Observation::Inventory(Err(fault))
    | Observation::Lists(Err(fault))
    | Observation::Conductors(Err(fault))
    | Observation::Server {
        result: Err(fault), ..
    }
    | Observation::ServerCall {
        result: Err(fault), ..
    } = observation
    {
        return Some(fault);
    }
    if let Observation::Reserve(answer) = observation {
        return answer.fault();
    }
    None
}

/// Counts a recovery as on hold until this engine ends, because this version cannot read its state.
pub(crate) fn unreadable() {
    gauge!(HELD).increment(1.0);
    change(HELD_BY, &[WaitsFor::NewerVersion.as_str()], 1.0);
}

/// Counts a reminder of a waiting recovery.
pub(crate) fn alarmed(held_by: &[&'static str]) {
    for guard in held_by {
        counter!(ALARMS, "guard" => *guard).increment(1);
    }
}

/// The metrics of one recovery while an engine drives it. Dropping this resets its gauges.
pub(crate) struct Numbers {
    kind: RecoveryKind,
    /// The opening of the first attempt, from which downtime counts.
    first_reported_at: Timestamp,
    stage: String,
    /// The start of the stage, in the recovery's elapsed time; `None` if another owner started it.
    entered: Option<Elapsed>,
    on_hold: bool,
    held_by: Vec<&'static str>,
    waits_for: Vec<&'static str>,
    in_flight: usize,
    /// The moves that have been counted as done.
    done: BTreeSet<ServerId>,
}

impl Numbers {
    /// Starts the metrics of a recovery that was just claimed.
    pub(crate) fn begin(claimed: &ClaimedRecovery, state: &dyn Recovery) -> Self {
        let kind = claimed.kind;
        let (held_by, waits_for) = state.held_by();
        let numbers = Self {
            held_by,
            waits_for,
            kind,
            first_reported_at: claimed.first_reported_at,
            stage: state.stage(),
            // It had no owner before.
            entered: claimed.state.is_none().then_some(Elapsed::ZERO),
            on_hold: state.is_on_hold(),
            in_flight: state.in_flight(),
            done: state.done_moves().collect(),
        };
        gauge!(RECOVERIES, "kind" => kind.as_str(), "stage" => numbers.stage.clone()).increment(1.0);
        gauge!(HELD).increment(f64::from(u8::from(numbers.on_hold)));
        change(HELD_BY, &numbers.held_by, 1.0);
        change(WAITS_FOR, &numbers.waits_for, 1.0);
        gauge!(IN_FLIGHT).increment(count(numbers.in_flight));
        numbers
    }

    /// Updates the metrics after a decision has been journalled.
    pub(crate) fn decided(&mut self, state: &dyn Recovery, record: &Record, at: DecisionTime) {
        let now = at.elapsed;
        let kind = self.kind.as_str();
        if record.head {
            let entering = state.stage();
            if entering != self.stage {
                if let Some(entered) = self.entered {
                    histogram!(STAGE_DURATION, "kind" => kind, "stage" => self.stage.clone())
                        .record(now.since(entered));
                }
                gauge!(RECOVERIES, "kind" => kind, "stage" => self.stage.clone()).decrement(1.0);
                gauge!(RECOVERIES, "kind" => kind, "stage" => entering.clone()).increment(1.0);
                self.stage = entering;
                self.entered = Some(now);
            }
            let (held_by, waits_for) = state.held_by();
            change(HELD_BY, &self.held_by, -1.0);
            change(HELD_BY, &held_by, 1.0);
            change(WAITS_FOR, &self.waits_for, -1.0);
            change(WAITS_FOR, &waits_for, 1.0);
            (self.held_by, self.waits_for) = (held_by, waits_for);
            let on_hold = state.is_on_hold();
            if on_hold != self.on_hold {
                gauge!(HELD).increment(if on_hold { 1.0 } else { -1.0 });
                self.on_hold = on_hold;
            }
        }
        if !record.moves.is_empty() {
            let in_flight = state.in_flight();
            gauge!(IN_FLIGHT).increment(count(in_flight) - count(self.in_flight));
            self.in_flight = in_flight;
            for server in &record.moves {
                if let Some(instance) = state.one_move(*server).filter(|instance| instance.is_finished())
                    && self.done.insert(*server)
                {
                    counter!(MOVES, "status" => instance.status().as_str()).increment(1);
                    if instance.status() == VmoveStatus::Succeeded {
                        // The lock is removed after the instance is back.
                        let down = downtime(self.first_reported_at, instance.done_at.unwrap_or(at.wall));
                        let marked = if instance.tagged { "true" } else { "false" };
                        histogram!(DOWNTIME, "ha_enabled" => marked).record(down);
                    }
                }
            }
        }
        for fenced in &record.fenced {
            let result = if fenced.off { "off" } else { "failed" };
            counter!(FENCES, "device" => fenced.device.clone(), "result" => result).increment(1);
            histogram!(FENCE_DURATION, "device" => fenced.device.clone(), "result" => result)
                .record(fenced.took);
        }
        if let Some((status, _)) = record
            .notification
            .as_ref()
            .filter(|(status, _)| !status.is_open())
        {
            let status = shown_status(*status, record.dismissed);
            counter!(ENDED, "kind" => kind, "status" => status).increment(1);
            histogram!(RECOVERY_DURATION, "kind" => kind, "status" => status)
                .record(now.since(Elapsed::ZERO));
        }
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        gauge!(RECOVERIES, "kind" => self.kind.as_str(), "stage" => self.stage.clone()).decrement(1.0);
        gauge!(HELD).decrement(f64::from(u8::from(self.on_hold)));
        change(HELD_BY, &self.held_by, -1.0);
        change(WAITS_FOR, &self.waits_for, -1.0);
        gauge!(IN_FLIGHT).decrement(count(self.in_flight));
    }
}

/// Returns the downtime of an instance, from the first report through all attempts, as reports show it.
fn downtime(first_reported_at: Timestamp, back_at: Timestamp) -> Duration {
    // The clocks of two machines may differ.
    let micros = back_at.micros_since(first_reported_at);
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

fn change(gauge: &'static str, guards: &[&'static str], by: f64) {
    for guard in guards {
        gauge!(gauge, "guard" => *guard).increment(by);
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use tachi_domain::RecoveryId;
    use tachi_domain::level::Target;
    use tachi_domain::policy::Policy;
    use tachi_domain::recovery::{Command, Life};
    use uuid::Uuid;

    use tachi_domain::recovery::Messaging;

    use super::*;

    #[test]
    fn a_take_over_differs_from_a_first_claim() {
        let view = |epoch, owner: Option<&str>| PeerClaim {
            id: RecoveryId(Uuid::from_u128(1)),
            epoch,
            seq: 0,
            beat: 0,
            owner: owner.map(Into::into),
            life: Life::Open,
            of_host: true,
        };
        for (epoch, owner, expected) in [
            (0, None, "first"),
            (3, None, "released"),
            (3, Some("me"), "again"),
            (3, Some("other"), "take_over"),
        ] {
            assert_eq!(how(&view(epoch, owner), "me"), expected);
        }
    }

    #[test]
    fn downtime_counts_from_the_first_report_through_all_attempts() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let mut claimed = tachi_testkit::rows::claimed(RecoveryKind::Host, at(150));
        claimed.first_reported_at = at(0);
        let state = tachi_driver::open(&claimed, &Policy::default()).unwrap();
        let numbers = Numbers::begin(&claimed, &*state);
        assert_eq!(
            downtime(numbers.first_reported_at, at(155)),
            Duration::from_secs(155)
        );
        assert_eq!(downtime(at(1), at(0)), Duration::ZERO, "clocks differ");
    }

    #[test]
    fn calls_are_counted_by_result() {
        let fault = |class, status| Fault {
            class,
            status,
            maybe_done: false,
            text: "no".into(),
        };
        let cases = [
            (Observation::Conductors(Ok(Messaging::default())), "ok", ""),
            (
                Observation::Conductors(Err(fault(FaultClass::Transient, Some(503)))),
                "transient",
                "503",
            ),
            (
                Observation::PowerOff {
                    target: Target {
                        device: "bmc".into(),
                        kind: "ipmi".into(),
                        endpoint: "10.0.0.1".into(),
                        plug: None,
                    },
                    result: Err(fault(FaultClass::Permanent, None)),
                },
                "permanent",
                "",
            ),
            (
                Observation::Lists(Err(fault(FaultClass::Fatal, Some(401)))),
                "fatal",
                "401",
            ),
            (
                Observation::Service(Err(fault(FaultClass::Conflict, Some(409)))),
                "conflict",
                "409",
            ),
            (Observation::NotSent(Command::ReadService), "not_sent", ""),
        ];
        for (observation, result, status) in cases {
            assert_eq!(outcome(&observation), (result, status.to_owned()));
        }
    }
}
