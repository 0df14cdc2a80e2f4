//! Reserved hosts: reserved, prepared, used, and returned unchanged.

mod crashes;

use std::time::Duration;

use uuid::Uuid;

use super::harness::{HOST, Harness, bus, evacuation, fault, id, server, timeout, unavailable};
use crate::entity::notification::NotificationStatus;
use crate::entity::segment::RecoveryMethod;
use crate::fault::{Fault, FaultClass};
use crate::host_recovery::{
    End, Lock, MoveStep, PlacementTarget, ReservationEnd as Outcome, ReservationStep as Step, Stage,
};
use crate::nova::{Server, Service, VmState};
use crate::policy::LocalDisk;
use crate::recovery::{
    Command, JoinResult, Observation, OperatorCommand, ReserveAnswer, ReserveCall, ResolutionKind,
    ServerCall, ServiceStatus,
};
use crate::reserved::{Aggregate, ReservedHost, ReservedHostView, Resources, Survey};
use crate::{HostId, ServiceId};

const REASON: &str = "kept in reserve";

fn host_id(number: u128) -> HostId {
    HostId(Uuid::from_u128(0x100 + number))
}

fn name(number: u128) -> String {
    format!("rh-{number}")
}

fn service(number: u128, enabled: bool) -> Service {
    Service {
        id: ServiceId(Uuid::from_u128(0x200 + number)),
        host: name(number),
        enabled,
        disabled_reason: (!enabled).then(|| REASON.into()),
        up: true,
        forced_down: false,
        last_heartbeat: None,
        nova_now: None,
    }
}

fn conflict() -> Result<(), Fault> {
    Err(fault(Some(409), FaultClass::Conflict, false))
}

fn spare(number: u128, room: Option<u64>) -> ReservedHost {
    ReservedHost {
        id: host_id(number),
        name: name(number),
        busy: false,
        service: Some(service(number, false)),
        room: room.map(cores),
    }
}

fn cores(vcpus: u64) -> Resources {
    Resources {
        vcpus,
        memory_mb: vcpus * 1024,
        disk_gb: 1000,
    }
}

fn sized(number: u128, vcpus: u64) -> Server {
    Server {
        needs: Some(cores(vcpus)).map(|needs| Resources { disk_gb: 1, ..needs }),
        ..server(number)
    }
}

/// Returns a bench with this recovery method and with planned and locked instances.
fn planned(method: RecoveryMethod, servers: Vec<Server>) -> Harness {
    let mut harness = Harness::engine();
    harness.state.method = method;
    harness.planned(servers)
}

impl Harness {
    fn reserve_calls(&self) -> Vec<ReserveCall> {
        self.pending.clone()
    }

    fn in_flight(&self, call: &ReserveCall) -> bool {
        self.reserve_calls().contains(call)
    }

    fn awaits_survey(&self) -> bool {
        self.state.reserve.in_flight.survey.sent().is_some()
    }

    fn surveyed(&mut self, hosts: Vec<ReservedHost>) -> &mut Self {
        self.surveyed_with(hosts, Vec::new())
    }

    fn surveyed_with(&mut self, hosts: Vec<ReservedHost>, aggregates: Vec<Aggregate>) -> &mut Self {
        assert!(self.awaits_survey(), "{:?}", self.commands);
        self.see(Observation::Reserve(ReserveAnswer::Survey(Ok(Survey {
            hosts,
            aggregates,
            placement_error: None,
        }))))
    }

    fn host_listed(&mut self, number: u128, enabled: bool, servers: Option<usize>) -> &mut Self {
        self.shown(service(number, enabled), servers)
    }

    fn shown(&mut self, service: Service, servers: Option<usize>) -> &mut Self {
        let host = service.host.clone();
        let service = Some(service);
        let result = Ok(ReservedHostView { service, servers });
        self.see(Observation::Reserve(ReserveAnswer::ReadHost { host, result }))
    }

    fn status_set(&mut self, number: u128, result: Result<bool, Fault>) -> &mut Self {
        let host = name(number);
        let result = result.map(|enabled| service(number, enabled));
        self.see(Observation::Reserve(ReserveAnswer::StatusSet { host, result }))
    }

    /// Answers all calls about reserved hosts, as Nova would, until none follows.
    fn nova_does_it(&mut self, enabled: &mut [bool]) -> &mut Self {
        while let Some(call) = self.reserve_calls().into_iter().next() {
            let at = |host: &str| host.trim_start_matches("rh-").parse::<u128>().unwrap();
            match call {
                ReserveCall::Survey => return self,
                ReserveCall::ReadHost { host, servers } => {
                    let number = at(&host);
                    let on = enabled[usize::try_from(number).unwrap()];
                    self.host_listed(number, on, servers.then_some(0));
                }
                ReserveCall::SetStatus { host, status, .. } => {
                    let number = at(&host);
                    let on = status == ServiceStatus::Enabled;
                    enabled[usize::try_from(number).unwrap()] = on;
                    self.status_set(number, Ok(on));
                }
                ReserveCall::Join { host, aggregate } => {
                    let result = Ok(JoinResult::Added);
                    self.see(Observation::Reserve(ReserveAnswer::Joined {
                        host,
                        aggregate,
                        result,
                    }));
                }
                ReserveCall::Leave { host, aggregate } => {
                    let result = Ok(());
                    self.see(Observation::Reserve(ReserveAnswer::Left {
                        host,
                        aggregate,
                        result,
                    }));
                }
            }
        }
        self
    }

    fn goes_to(&self, number: u128) -> Option<String> {
        self.commands.iter().find_map(|command| match command {
            Command::Evacuate(it) if it.server() == id(number) => Some(it.target().unwrap_or("any").into()),
            _ => None,
        })
    }

    fn taken(&self, number: u128) -> Option<Step> {
        self.state
            .reserve
            .taken(host_id(number))
            .map(|reservation| reservation.step)
    }

    /// Passes a tick, with an answer to the read of the service.
    fn pass(&mut self, millis: u64) -> &mut Self {
        self.tick(millis).service();
        self
    }
}

/// Returns a bench with one prepared reserved host and the evacuations that fit.
fn ready(method: RecoveryMethod, servers: Vec<Server>, room: Option<u64>) -> Harness {
    let mut harness = planned(method, servers);
    harness.surveyed(vec![spare(1, room)]);
    harness.nova_does_it(&mut [false; 5]);
    harness
}

#[test]
fn a_reserved_host_is_taken_enabled_and_waited_for_before_it_is_named() {
    let mut harness = planned(RecoveryMethod::ReservedHost, vec![server(1)]);
    assert!(!harness.evacuates_any(), "not before there is a host");
    harness.surveyed(vec![spare(1, Some(8))]);
    assert!(
        harness.record.reservations.contains(&host_id(1)),
        "in the journal first"
    );
    assert!(harness.record.head);
    harness.host_listed(1, false, None);
    let enable = ReserveCall::SetStatus {
        host: name(1),
        service: service(1, false).id,
        status: ServiceStatus::Enabled,
    };
    assert!(harness.in_flight(&enable), "whatever its disable reason");
    assert!(harness.record.head, "the intent is journalled");
    let mut down = service(1, true);
    down.up = false;
    harness.see(Observation::Reserve(ReserveAnswer::StatusSet {
        host: name(1),
        result: Ok(down),
    }));
    assert!(!harness.evacuates_any(), "enabled, and not up yet");
    harness.pass(1_000);
    assert!(!harness.record.reservations.contains(&host_id(1)));
    harness.host_listed(1, true, None);
    assert_eq!(harness.goes_to(1).as_deref(), Some("rh-1"));
    assert!(
        harness.record.reservations.contains(&host_id(1)),
        "consumed in the intent's own write"
    );
    assert!(harness.state.reserve.taken(host_id(1)).unwrap().consumed);
    harness.answer(1, ServerCall::Evacuate, Ok(())).tick(1_000);
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("rh-1"))]);
    harness.over(vec![]);
    assert_eq!(harness.taken(1), Some(Step::Done(Outcome::Used)));
    harness.over(vec![]);
    assert_eq!(harness.status, NotificationStatus::Finished);
}

/// Covers EW23.
#[test]
fn one_unevacuable_instance_consumes_one_reserved_host() {
    let mut harness = planned(RecoveryMethod::ReservedHost, vec![server(1), server(2)]);
    harness.surveyed(vec![spare(1, Some(8)), spare(2, Some(8)), spare(3, Some(8))]);
    let mut enabled = [false; 5];
    harness.nova_does_it(&mut enabled);
    assert_eq!(harness.goes_to(1).as_deref(), Some("rh-1"));
    assert_eq!(harness.goes_to(2).as_deref(), Some("rh-1"));
    harness.answer(2, ServerCall::Evacuate, Ok(()));
    let unsupported = fault(Some(400), FaultClass::Permanent, false);
    for _ in 0..3 {
        harness.answer(1, ServerCall::Evacuate, Err(unsupported.clone()));
        harness.reads(1, Some(server(1)));
        harness.pass(10_000).lists(
            vec![server(1), server(2)],
            vec![evacuation(1, 2, "pre-migrating", Some("rh-1"))],
        );
        harness.power(crate::power::Power::Off);
        assert!(!harness.awaits_survey(), "no other host would help");
    }
    harness.lists(vec![server(1)], vec![evacuation(1, 2, "done", Some("rh-1"))]);
    harness.over(vec![server(1)]).over(vec![server(1)]);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Person));
    assert_eq!(harness.step(2), &MoveStep::Done(End::Moved));
    let taken: Vec<_> = harness
        .state
        .reserve
        .hosts
        .iter()
        .map(|reservation| (reservation.name.as_str(), reservation.step))
        .collect();
    assert_eq!(taken, [("rh-1", Step::Done(Outcome::Used))]);
    assert_eq!(harness.status, NotificationStatus::Failed);
}

/// Covers EW23.
#[test]
fn an_instance_that_no_reserved_host_takes_gives_all_of_them_back() {
    let mut harness = planned(RecoveryMethod::ReservedHost, vec![server(1)]);
    let mut enabled = [false; 5];
    let spares = || vec![spare(1, Some(8)), spare(2, Some(8)), spare(3, Some(8))];
    harness.surveyed(spares());
    harness.nova_does_it(&mut enabled);
    let mut requested = Vec::new();
    for record in 1..10 {
        if let Some(host) = harness.goes_to(1) {
            requested.push(host.clone());
            harness.answer(1, ServerCall::Evacuate, Ok(())).tick(1_000);
            let broken = Server {
                vm_state: VmState::Error,
                ..server(1)
            };
            let failed = evacuation(record, 1, "error", None);
            harness.lists(vec![broken], vec![failed]);
        }
        harness.pass(5_000).power(crate::power::Power::Off);
        harness.lists(vec![server(1)], vec![]);
        if harness.awaits_survey() {
            harness.surveyed(spares());
        }
        harness.nova_does_it(&mut enabled);
    }
    assert_eq!(
        requested,
        ["rh-1", "rh-2"],
        "what is peculiar about it does not walk through the whole reserve"
    );
    // They are released once the instance is unlocked.
    harness.over(vec![server(1)]);
    harness.nova_does_it(&mut enabled);
    harness.over(vec![server(1)]);
    assert_eq!(enabled, [false; 5], "all are as they were");
    let back = Step::Done(Outcome::GivenBack);
    assert!(
        harness
            .state
            .reserve
            .hosts
            .iter()
            .all(|reservation| reservation.step == back)
    );
    assert_eq!(harness.status, NotificationStatus::Failed);
    assert!(
        harness.message.as_deref().unwrap().contains("no reserved host"),
        "{:?}",
        harness.message
    );
}

/// Covers R23.
#[test]
fn a_returned_reserved_host_is_disabled_with_its_former_reason() {
    let mut harness = ready(RecoveryMethod::ReservedHost, vec![server(1)], Some(8));
    harness.answer(1, ServerCall::Evacuate, conflict());
    harness.command(OperatorCommand::Reject);
    harness.pass(1_000);
    harness.over(vec![server(1)]);
    let host_read = ReserveCall::ReadHost {
        host: name(1),
        servers: true,
    };
    if !harness.in_flight(&host_read) {
        harness.pass(1_000);
    }
    assert!(harness.in_flight(&host_read), "{:?}", harness.commands);
    assert_ne!(
        harness.status,
        NotificationStatus::Failed,
        "not done while it is on hold"
    );
    harness.host_listed(1, true, Some(0));
    let restore = ReserveCall::SetStatus {
        host: name(1),
        service: service(1, false).id,
        status: ServiceStatus::Disabled {
            reason: Some(REASON.into()),
        },
    };
    assert!(harness.in_flight(&restore));
    harness.status_set(1, Ok(false));
    assert_eq!(harness.taken(1), Some(Step::Done(Outcome::GivenBack)));
    assert!(harness.record.reservations.contains(&host_id(1)));
}

/// Covers R23 and R26.
#[test]
fn a_copy_that_shows_a_reserved_host_from_before_it_was_enabled_does_not_give_it_back() {
    let mut harness = ready(RecoveryMethod::ReservedHost, vec![server(1)], Some(8));
    harness.answer(1, ServerCall::Evacuate, conflict());
    harness.command(OperatorCommand::Reject);
    harness.pass(1_000);
    harness.over(vec![server(1)]);
    harness.pass(1_000);
    let mut before = service(1, false);
    before.disabled_reason = Some(REASON.into());
    harness.shown(before, Some(0));
    assert_eq!(harness.taken(1), Some(Step::Returning));
    let calls = harness.reserve_calls();
    let is_disabled = |call: &ReserveCall| matches!(call, ReserveCall::SetStatus { status: ServiceStatus::Disabled { reason }, .. } if reason.as_deref() == Some(REASON));
    assert!(calls.iter().any(is_disabled), "{calls:?}");
    harness.status_set(1, Ok(false));
    assert_eq!(harness.taken(1), Some(Step::Done(Outcome::GivenBack)));
}

/// Covers R23.
#[test]
fn changes_by_another_client_in_the_meantime_are_kept() {
    // For example, its own recovery enables it again. A host that Nova's scheduler uses is no longer in
    // reserve.
    for (case, disabled, servers) in [
        ("disabled by another client", Some(Some("a process")), 0),
        ("used by another client", None, 2),
    ] {
        let mut harness = ready(RecoveryMethod::ReservedHost, vec![server(1)], Some(8));
        harness.answer(1, ServerCall::Evacuate, conflict());
        harness.command(OperatorCommand::Reject);
        harness.pass(1_000);
        harness.over(vec![server(1)]);
        harness.pass(1_000);
        let mut is = service(1, disabled.is_none());
        is.disabled_reason = disabled.flatten().map(Into::into);
        harness.shown(is, Some(servers));
        assert!(
            !harness.reserve_calls().iter().any(ReserveCall::is_write),
            "{case}: {:?}",
            harness.commands
        );
        assert_eq!(harness.taken(1), Some(Step::Done(Outcome::Used)), "{case}");
    }
}

#[test]
fn several_are_taken_when_one_is_too_small_and_each_gets_what_it_holds() {
    let mut harness = planned(
        RecoveryMethod::ReservedHost,
        vec![sized(1, 4), sized(2, 4), sized(3, 4)],
    );
    harness.surveyed(vec![spare(1, Some(4)), spare(2, Some(8)), spare(3, Some(8))]);
    harness.nova_does_it(&mut [false; 5]);
    let places: Vec<_> = (1..=3)
        .map(|number| harness.one(number).route.target.clone().unwrap())
        .collect();
    assert_eq!(places, ["rh-2", "rh-2", "rh-1"]);
    assert_eq!(harness.taken(3), None, "not more than needed");
}

/// Covers R14.
#[test]
fn no_host_stays_reserved_while_all_that_is_left_waits_for_its_own() {
    let mut harness = Harness::with("UNKNOWN", |policy| {
        policy.local_disk.usual = LocalDisk::Wait(Duration::from_hours(2));
    });
    harness.state.method = RecoveryMethod::ReservedHost;
    harness.local_disks = [id(1)].into();
    let mut harness = harness.planned(vec![server(1), server(2)]);
    harness.surveyed(vec![spare(1, Some(1)), spare(2, Some(1))]);
    assert_eq!(
        (harness.taken(1), harness.taken(2)),
        (Some(Step::Preparing), None),
        "for the other one alone"
    );
    harness.resolve(2, ResolutionKind::Ignore, None);
    let mut enabled = [false; 5];
    harness.nova_does_it(&mut enabled);
    harness.answer(2, ServerCall::Unlock, Ok(()));
    for _ in 0..5 {
        harness.nova_does_it(&mut enabled).pass(1_000);
    }
    assert!(harness.one(2).is_finished(), "{:?}", harness.one(2));
    assert_eq!(harness.taken(1), Some(Step::Done(Outcome::GivenBack)));
    assert!(!enabled[1]);
    assert!(harness.is_waiting(1) && !harness.awaits_survey());
    harness.resolve(1, ResolutionKind::Retry, None);
    harness.pass(1_000);
    assert!(harness.awaits_survey(), "it needs a host now");
}

#[test]
fn a_host_that_another_recovery_has_taken_is_waited_for_and_then_given_up() {
    let mut harness = planned(RecoveryMethod::ReservedHost, vec![server(1)]);
    harness.surveyed(vec![spare(1, Some(8))]);
    let commands: Vec<Observation> = harness.commands.drain(..).map(Observation::NotSent).collect();
    let mut refused = commands;
    refused.push(Observation::ReserveTaken(vec![host_id(1)]));
    harness.see_all(refused);
    assert_eq!(harness.taken(1), None);
    assert!(!harness.evacuates_any());
    let busy = || ReservedHost {
        busy: true,
        service: None,
        ..spare(1, None)
    };
    let mut surveys = 0;
    while harness.is_waiting(1) && surveys < 200 {
        harness.pass(1_000);
        harness.inventory(vec![server(1)], vec![]);
        if harness.awaits_survey() {
            surveys += 1;
            harness.surveyed(vec![busy()]);
        }
    }
    assert!((10..100).contains(&surveys), "{surveys} looks in two minutes");
    assert!(harness.at > 120_000, "waited for {}", harness.at);
    harness.over(vec![server(1)]).over(vec![server(1)]);
    assert_eq!(harness.status, NotificationStatus::Failed);
    let message = harness.message.clone().unwrap();
    assert!(
        message.contains("rh-1 is reserved by another recovery"),
        "{message}"
    );
}

#[test]
fn rh_priority_without_a_reserve_leaves_it_to_the_scheduler_at_once() {
    let mut harness = planned(RecoveryMethod::RhPriority, vec![server(1), server(2)]);
    let busy = ReservedHost {
        busy: true,
        ..spare(1, None)
    };
    harness.surveyed(vec![busy]);
    assert_eq!(harness.goes_to(1).as_deref(), Some("any"));
    assert_eq!(harness.goes_to(2).as_deref(), Some("any"));
    assert!(harness.state.reserve.hosts.is_empty());
}

/// Covers EW1.
#[test]
fn a_move_that_fails_by_one_way_and_succeeds_by_the_other_is_a_success() {
    let mut harness = planned(RecoveryMethod::AutoPriority, vec![server(1), server(2)]);
    assert_eq!(harness.goes_to(1).as_deref(), Some("any"));
    assert!(!harness.awaits_survey(), "no reserved host before it is needed");
    harness
        .answer(1, ServerCall::Evacuate, Ok(()))
        .answer(2, ServerCall::Evacuate, Ok(()));
    harness.tick(1_000);
    let broken = Server {
        vm_state: VmState::Error,
        ..server(1)
    };
    harness.lists(
        vec![broken.clone()],
        vec![
            evacuation(2, 2, "done", Some("b")),
            evacuation(1, 1, "error", None),
        ],
    );
    harness.surveyed(vec![spare(1, Some(8))]);
    harness.nova_does_it(&mut [false; 5]);
    assert_eq!(
        harness.goes_to(1).as_deref(),
        Some("rh-1"),
        "only the one that failed"
    );
    assert_eq!(harness.goes_to(2), None);
    harness.answer(1, ServerCall::Evacuate, Ok(())).tick(1_000);
    harness.lists(
        vec![],
        vec![
            evacuation(3, 1, "done", Some("rh-1")),
            evacuation(1, 1, "error", None),
        ],
    );
    harness.over(vec![]).over(vec![]);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
    assert_eq!(
        harness.status,
        NotificationStatus::Finished,
        "{:?}",
        harness.message
    );
}

/// Covers EW36.
#[test]
fn a_zone_conflict_excludes_the_host_and_the_next_is_taken() {
    let mut harness = planned(RecoveryMethod::ReservedHost, vec![server(1)]);
    harness.state.policy.join_aggregates = true;
    let aggregates = || {
        vec![Aggregate {
            id: 7,
            name: "rack".into(),
            zone: None,
            hosts: [HOST.to_owned()].into(),
            metadata: std::collections::BTreeMap::new(),
        }]
    };
    harness.surveyed_with(vec![spare(1, Some(8)), spare(2, Some(64))], aggregates());
    let join = |number| ReserveCall::Join {
        host: name(number),
        aggregate: 7,
    };
    assert!(harness.in_flight(&join(1)));
    assert!(harness.record.head, "journalled, so that it can be undone");
    harness.see(Observation::Reserve(ReserveAnswer::Joined {
        host: name(1),
        aggregate: 7,
        result: Err(fault(Some(409), FaultClass::Conflict, false)),
    }));
    harness.pass(1_000);
    assert!(harness.awaits_survey(), "{:?}", harness.commands);
    let mut enabled = [false; 5];
    harness.surveyed_with(vec![spare(1, Some(8)), spare(2, Some(64))], aggregates());
    assert!(harness.in_flight(&join(2)), "{:?}", harness.commands);
    harness.nova_does_it(&mut enabled);
    harness.pass(1_000).nova_does_it(&mut enabled);
    assert!(harness.is_asked(1));
    assert_eq!(harness.one(1).route.target.as_deref(), Some("rh-2"));
    assert_eq!(harness.taken(1), Some(Step::Done(Outcome::GivenBack)));
    assert!(!enabled[1], "it never got so far");
}

/// Covers EW36.
#[test]
fn an_aggregate_membership_by_others_is_kept() {
    let with_aggregate = |joined: JoinResult| {
        let mut harness = planned(RecoveryMethod::ReservedHost, vec![server(1)]);
        harness.state.policy.join_aggregates = true;
        let rack = Aggregate {
            id: 7,
            name: "rack".into(),
            zone: None,
            hosts: [HOST.to_owned()].into(),
            metadata: std::collections::BTreeMap::new(),
        };
        harness.surveyed_with(vec![spare(1, Some(8))], vec![rack]);
        harness.see(Observation::Reserve(ReserveAnswer::Joined {
            host: name(1),
            aggregate: 7,
            result: Ok(joined),
        }));
        harness.command(OperatorCommand::Reject);
        harness.over(vec![server(1)]);
        harness.pass(1_000);
        let mut left = false;
        for _ in 0..6 {
            left |= harness
                .reserve_calls()
                .iter()
                .any(|call| matches!(call, ReserveCall::Leave { .. }));
            match harness.reserve_calls().first() {
                Some(ReserveCall::ReadHost { .. }) => {
                    harness.host_listed(1, false, Some(0));
                }
                Some(ReserveCall::Leave { .. }) => {
                    harness.see(Observation::Reserve(ReserveAnswer::Left {
                        host: name(1),
                        aggregate: 7,
                        result: Ok(()),
                    }));
                }
                _ => {
                    harness.pass(1_000);
                }
            }
        }
        assert_eq!(harness.taken(1), Some(Step::Done(Outcome::GivenBack)));
        left
    };
    assert!(with_aggregate(JoinResult::Added));
    assert!(!with_aggregate(JoinResult::Already));
}

/// Covers EW37.
#[test]
fn a_reserved_host_without_nova_compute_is_named_in_the_message() {
    let mut harness = planned(RecoveryMethod::ReservedHost, vec![server(1)]);
    harness.surveyed(vec![ReservedHost {
        service: None,
        ..spare(1, None)
    }]);
    harness.over(vec![server(1)]).over(vec![server(1)]);
    assert_eq!(harness.status, NotificationStatus::Failed);
    let message = harness.message.clone().unwrap();
    assert!(
        message.contains("rh-1 has no nova-compute service of that name"),
        "{message}"
    );
}

/// Covers R20.
#[test]
fn no_reserved_host_is_prepared_while_the_segment_is_disabled() {
    let mut harness = planned(RecoveryMethod::ReservedHost, vec![server(1)]);
    harness.operator_state(false, false);
    let hosts = vec![spare(1, Some(8))];
    let survey = Survey {
        hosts,
        ..Survey::default()
    };
    harness.see(Observation::Reserve(ReserveAnswer::Survey(Ok(survey))));
    harness.pass(2_000);
    assert!(harness.reserve_calls().is_empty(), "{:?}", harness.commands);
    assert!(harness.state.reserve.hosts.is_empty());
}

#[test]
fn a_host_that_does_not_come_up_is_given_back_and_another_taken() {
    let mut harness = planned(RecoveryMethod::ReservedHost, vec![server(1)]);
    harness.surveyed(vec![spare(1, Some(8))]);
    harness.host_listed(1, false, None);
    let down = |enabled| Service {
        up: false,
        ..service(1, enabled)
    };
    harness.see(Observation::Reserve(ReserveAnswer::StatusSet {
        host: name(1),
        result: Ok(down(true)),
    }));
    for _ in 0..70 {
        harness.pass(1_000);
        if harness
            .reserve_calls()
            .iter()
            .any(|call| matches!(call, ReserveCall::ReadHost { servers: false, .. }))
        {
            harness.see(Observation::Reserve(ReserveAnswer::ReadHost {
                host: name(1),
                result: Ok(ReservedHostView {
                    service: Some(down(true)),
                    servers: None,
                }),
            }));
        }
    }
    assert_eq!(harness.taken(1), Some(Step::Returning));
    assert!(harness.state.reserve.unfit["rh-1"].contains("has not come up"));
}

/// Covers R10.
#[test]
fn a_reserved_host_that_dies_before_it_takes_an_instance_up_is_not_named_again() {
    let mut harness = ready(RecoveryMethod::ReservedHost, vec![server(1)], Some(8));
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    let mut rebuilding = server(1);
    rebuilding.task_state = Some("rebuilding".into());
    for _ in 0..80 {
        harness.tick(5_000).see(Observation::Conductors(Ok(bus(true))));
        let accepted = evacuation(1, 1, "accepted", None);
        harness.lists(vec![rebuilding.clone()], vec![accepted]);
        if harness.is_waiting(1) {
            break;
        }
    }
    assert!(harness.is_waiting(1), "given up in the end");
    assert!(harness.one(1).route.tried.contains("rh-1"));
    assert_ne!(harness.goes_to(1).as_deref(), Some("rh-1"));
}

/// Covers R5.
#[test]
fn an_unanswered_enable_is_waited_for_before_the_host_is_given_back() {
    let mut harness = planned(RecoveryMethod::ReservedHost, vec![server(1)]);
    harness.surveyed(vec![spare(1, Some(8))]);
    harness.host_listed(1, false, None);
    let requested_at = harness.at;
    harness.status_set(1, Err(timeout()));
    harness.command(OperatorCommand::Reject);
    harness.over(vec![server(1)]);
    while harness.at < requested_at + 79_000 {
        harness.pass(1_000);
        assert!(harness.reserve_calls().is_empty(), "at {}", harness.at);
        assert_eq!(harness.taken(1), Some(Step::Returning));
    }
    harness.pass(2_000);
    assert!(
        !harness.reserve_calls().is_empty(),
        "read once it can no longer take effect"
    );
}

/// Covers R5.
#[test]
fn an_answer_that_comes_twice_does_not_hide_an_enable_that_is_never_answered() {
    let mut harness = planned(RecoveryMethod::ReservedHost, vec![server(1)]);
    harness.surveyed(vec![spare(1, Some(8))]);
    harness.host_listed(1, false, None);
    // The read that led to the enable arrives again; then one of the two enables in flight is lost.
    harness.host_listed(1, false, None);
    let requested_at = harness.at;
    harness.command(OperatorCommand::Reject);
    harness.status_set(1, Err(unavailable()));
    harness.status_set(1, Err(timeout()));
    harness.over(vec![server(1)]);
    while harness.at < requested_at + 79_000 {
        harness.pass(1_000);
        assert!(harness.reserve_calls().is_empty(), "at {}", harness.at);
        assert_eq!(harness.taken(1), Some(Step::Returning));
    }
}

#[test]
fn a_state_of_the_previous_version_is_read() {
    let mut harness = planned(RecoveryMethod::Auto, vec![server(1)]);
    let mut head: serde_json::Value = serde_json::from_str(&harness.state.head().unwrap()).unwrap();
    let mut row: serde_json::Value = serde_json::from_str(&harness.one(1).to_json().unwrap()).unwrap();
    assert!(head.as_object_mut().unwrap().remove("reserve").is_some());
    let policy = head["policy"].as_object_mut().unwrap();
    for new in [
        "join_aggregates",
        "reserved_wait",
        "reserved_up_limit",
        "enable_after_return",
    ] {
        assert!(policy.remove(new).is_some(), "{new}");
    }
    let service = head["service"].as_object_mut().unwrap();
    assert!(service.remove("back").is_some() && service.remove("enable_asked").is_some());
    assert!(row.as_object_mut().unwrap().remove("route").is_some());
    let read = crate::host_recovery::HostRecovery::restore(&head.to_string(), &[row.to_string()]).unwrap();
    assert!(read.reserve.hosts.is_empty());
    assert_eq!(read.moves[&id(1)].route.way, PlacementTarget::Scheduler);
    harness.tick(1);
}
