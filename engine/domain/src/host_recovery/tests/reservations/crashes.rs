//! An owner that dies between two steps of a reservation.

use super::*;

/// Kills the owner after the n-th decision: its calls take effect, and their answers are lost.
#[test]
fn a_crash_between_any_two_steps_leaves_no_host_behind() {
    for crash in 0..14 {
        let mut harness = planned(RecoveryMethod::ReservedHost, vec![server(1)]);
        harness.state.policy.join_aggregates = true;
        let mut enabled = false;
        let mut joined = false;
        let mut over = false;
        for step in 0..400 {
            if step == crash + 1 {
                harness.take_over().service();
            }
            if harness.state.rejected.is_none() && step == 12 {
                harness.command(OperatorCommand::Reject);
            }
            if harness
                .state
                .moves
                .values()
                .any(|instance| instance.lock == Lock::Asked)
            {
                harness.answer(1, ServerCall::Lock, Ok(()));
            }
            let Some(call) = harness.reserve_calls().into_iter().next() else {
                if matches!(harness.state.stage, Stage::Returning | Stage::Done) {
                    over = true;
                    break;
                }
                harness.at += 1_000;
                match step % 3 {
                    0 => harness.service(),
                    1 => harness.over(vec![server(1)]),
                    _ => harness.tick(500),
                };
                continue;
            };
            // The call always takes effect; its answer arrives only while the owner lives.
            let answer = match call {
                ReserveCall::Survey => ReserveAnswer::Survey(Ok(Survey {
                    hosts: vec![ReservedHost {
                        service: Some(service(1, enabled)),
                        ..spare(1, Some(8))
                    }],
                    aggregates: vec![Aggregate {
                        id: 7,
                        name: "rack".into(),
                        zone: None,
                        hosts: [HOST.to_owned()].into(),
                        metadata: std::collections::BTreeMap::new(),
                    }],
                    placement_error: None,
                })),
                ReserveCall::ReadHost { host, servers } => ReserveAnswer::ReadHost {
                    host,
                    result: Ok(ReservedHostView {
                        service: Some(service(1, enabled)),
                        servers: servers.then_some(0),
                    }),
                },
                ReserveCall::SetStatus { host, status, .. } => {
                    enabled = status == ServiceStatus::Enabled;
                    ReserveAnswer::StatusSet {
                        host,
                        result: Ok(service(1, enabled)),
                    }
                }
                ReserveCall::Join { host, aggregate } => {
                    let result = [JoinResult::Added, JoinResult::Already][usize::from(joined)];
                    joined = true;
                    ReserveAnswer::Joined {
                        host,
                        aggregate,
                        result: Ok(result),
                    }
                }
                ReserveCall::Leave { host, aggregate } => {
                    joined = false;
                    ReserveAnswer::Left {
                        host,
                        aggregate,
                        result: Ok(()),
                    }
                }
            };
            if step != crash {
                harness.see(Observation::Reserve(answer));
            }
            if harness.evacuates(1) {
                let refusal = fault(Some(409), FaultClass::Conflict, false);
                harness.answer(1, ServerCall::Evacuate, Err(refusal));
            }
        }
        assert!(
            over,
            "crash {crash}: {:?} {:?}",
            harness.state.stage, harness.state.reserve
        );
        assert!(!enabled, "crash {crash}: left enabled");
        assert!(!joined, "crash {crash}: left in the aggregate");
        assert!(harness.state.reserve.is_settled(), "crash {crash}");
    }
}
