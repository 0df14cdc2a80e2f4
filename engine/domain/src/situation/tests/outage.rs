//! Findings about failed hosts and instances, and about fence devices after the start of an engine.

use super::super::monitors::tests::monitor;
use super::*;
use crate::monitor::MonitorKind;

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn cases() -> Vec<TestCase> {
    vec![
        (
            "what guards would have done a minute ago counts until they are asked again, and no other host is known to be recovered",
            |facts| {
                facts.holds = Some(TimedFact {
                    as_of: ago(60),
                    value: vec![WouldHold {
                        host: "a".into(),
                        why: vec!["G11 protected: it is listed".into()],
                    }],
                });
            },
            &[
                (FindingCode::FactsOld, "", "the guards"),
                (
                    FindingCode::RecoveryWouldHold,
                    "a",
                    "a failure now would put the recovery on hold: G11",
                ),
            ],
            [0, 0, 6, 0, 0, 0],
        ),
        (
            "the guards were asked a minute ago and would have held nothing",
            |facts| {
                facts.holds = Some(TimedFact {
                    as_of: ago(60),
                    value: Vec::new(),
                });
            },
            &[(FindingCode::FactsOld, "", "the guards")],
            [0, 0, 6, 0, 0, 0],
        ),
        (
            "an instance on a host of which Nova shows no service",
            |facts| {
                let on = &mut facts.instances.as_mut().unwrap().value.on;
                on.insert("ghost".into(), vec![instance(50)].into());
            },
            &[(
                FindingCode::HostUnknownToNova,
                "ghost",
                "no compute service of that name",
            )],
            [6, 0, 0, 1, 0, 0],
        ),
        (
            "a hypervisor in no segment is down",
            |facts| {
                facts.segments[0].hosts.remove(2);
                computes(facts)[2].up = false;
            },
            &[(
                FindingCode::HostNotInSegment,
                "c",
                "down in Nova, and in no segment",
            )],
            [4, 0, 0, 0, 2, 0],
        ),
        (
            "none has been tested, and an engine has just started",
            |facts| {
                facts.fencing.tests = None;
                facts.engines[0].started_at = ago(20);
            },
            &[(FindingCode::FenceNotTested, "a,b,c", "an engine has just started")],
            [0, 0, 6, 0, 0, 0],
        ),
        (
            "one of which a muted reporter may have reported the death",
            |facts| {
                facts.muted_reporters.push(MutedReporter {
                    number: 1,
                    reporter: crate::Reporter {
                        user_id: "c9".into(),
                        host: Some("a".into()),
                        ..crate::Reporter::default()
                    },
                    since: ago(60),
                    why: "it lied".into(),
                    is_muted: true,
                    ignored_reports: 1,
                });
            },
            &[(
                FindingCode::ReporterDoubted,
                "reporter c9 (bound to a)",
                "start nothing (1 report so far): it lied",
            )],
            [4, 2, 0, 0, 0, 0],
        ),
        (
            "one that was given up and is in no list since",
            |facts| {
                facts.waiting.push(waiting(77, WaitsFor::GivenUp));
                facts.waiting[0].wait.as_mut().unwrap().since = ago(4);
            },
            &[(FindingCode::MoveFailed, "vm-77", "it was given up")],
            [6, 0, 0, 0, 1, 0],
        ),
        (
            "one that was given up, and that was deleted since",
            |facts| facts.waiting.push(waiting(77, WaitsFor::GivenUp)),
            &[],
            ALL_WELL,
        ),
        (
            "one that was given up, and that runs on another host since",
            |facts| {
                facts.waiting.push(waiting(1, WaitsFor::GivenUp));
                facts.waiting[0].host = "b".into();
            },
            &[],
            ALL_WELL,
        ),
        (
            "one that was given up, and that Nova shows as active on the host that failed",
            |facts| facts.waiting.push(waiting(1, WaitsFor::GivenUp)),
            &[(FindingCode::MoveFailed, "vm-1", "it was given up")],
            [5, 0, 0, 0, 1, 0],
        ),
        (
            "one that was given up, and that is stopped on another host",
            |facts| {
                facts.waiting.push(waiting(1, WaitsFor::GivenUp));
                facts.waiting[0].host = "b".into();
                rest(facts, StopReason::Due, 10);
            },
            &[(FindingCode::MoveFailed, "vm-1", "it was given up")],
            [5, 0, 0, 0, 1, 0],
        ),
        (
            "one that was given up, and that may be in a cell that does not answer",
            |facts| {
                facts.waiting.push(waiting(77, WaitsFor::GivenUp));
                computes(facts)[1].cell_down = true;
            },
            &[
                (FindingCode::MoveFailed, "vm-77", "it was given up"),
                (FindingCode::HostCellDown, "b", "its cell does not answer"),
            ],
            [4, 0, 2, 0, 1, 0],
        ),
        (
            "one that may run elsewhere, and that is not listed",
            |facts| facts.waiting.push(waiting(77, WaitsFor::Absence)),
            &[(
                FindingCode::MoveNeedsPerson,
                "vm-77",
                "it may run on another host",
            )],
            [6, 0, 0, 0, 1, 0],
        ),
    ]
}

/// Covers R36.
#[test]
fn an_instance_that_was_given_up_has_the_reason_of_its_move() {
    let refused = |number: u32| Some(format!("Nova failed the evacuation of vm-{number} (3 attempts)"));
    let cases = [
        (vec![None], "it was given up (b)".to_owned()),
        (
            vec![Some("no reserved host for it".to_owned()); 2],
            "it was given up (b): no reserved host for it".to_owned(),
        ),
        (
            vec![None, refused(71), refused(72)],
            "it was given up (b), vm-71 for example: Nova failed the evacuation of vm-71 (3 attempts)"
                .to_owned(),
        ),
    ];
    for (reasons, text) in cases {
        let mut facts = fine();
        facts.waiting = (70..)
            .zip(&reasons)
            .map(|(number, reason)| {
                let mut line = waiting(number, WaitsFor::GivenUp);
                line.wait.as_mut().unwrap().since = ago(4);
                line.reason.clone_from(reason);
                line
            })
            .collect();
        let situation = assess(&facts, NOW);
        let [finding] = &situation.findings[..] else {
            panic!("{text}: {:?}", situation.findings);
        };
        assert_eq!(finding.text, text);
        assert_eq!(finding.subjects.len(), reasons.len(), "{text}");
    }
}

/// The reason is named until the instance is known to run; Nova may not have noticed yet that it does not.
/// Covers C3, R36.
#[test]
fn an_instance_whose_recovery_gave_up_is_an_error_that_names_the_reason() {
    let budget =
        "the instance has been restarted 3 times within 3600 s, and max_restarts allows 3: left as it is";
    let limit = "not stopped within 180 s";
    let stopped = |why| Some((why, false, true));
    let cases = [
        ("Nova shows it running", budget, None, Some("reboot --hard")),
        (
            "Nova's power synchronisation stopped it",
            budget,
            stopped(StopReason::Due),
            Some("start"),
        ),
        (
            "Nova's record is not read yet",
            budget,
            stopped(StopReason::Unasked),
            Some("start"),
        ),
        (
            "Nova still works on the stop",
            limit,
            Some((StopReason::Due, true, false)),
            Some("reboot --hard"),
        ),
        (
            "a user stopped it afterwards",
            limit,
            stopped(StopReason::Meant),
            None,
        ),
    ];
    for (case, reason, state, command) in cases {
        let mut facts = fine();
        if let Some((why, busy, stopped)) = state {
            rest(&mut facts, why, 10);
            let on = &mut facts.instances.as_mut().unwrap().value.on;
            let rest = Arc::make_mut(on.get_mut("a").unwrap())[0].rest.as_mut().unwrap();
            (rest.busy, rest.stopped) = (busy, stopped);
        }
        let failed = ReportedFailure {
            open: None,
            at: ago(60),
            reason: Some(reason.to_owned()),
        };
        facts.failed.insert(instance(1).id, failed);
        let situation = assess(&facts, NOW);
        let counts = situation.counts.unwrap();
        let Some(command) = command else {
            assert_eq!((situation.findings, counts.protected), (vec![], 6), "{case}");
            continue;
        };
        let [finding] = &situation.findings[..] else {
            panic!("{case}: {:?}", situation.findings);
        };
        assert_eq!(
            (finding.code, finding.grade),
            (FindingCode::InstanceDown, Severity::Err),
            "{case}"
        );
        assert_eq!(finding.subjects, ["vm-1"], "{case}");
        assert_eq!(
            finding.text,
            format!("it should run, and its recovery gave up: {reason}"),
            "{case}"
        );
        assert_eq!(finding.since, Some(ago(60)), "{case}");
        let fix = format!("openstack server {command} {}", instance(1).id);
        assert_eq!(finding.fix.as_deref(), Some(fix.as_str()), "{case}");
        assert_eq!((counts.protected, counts.down), (5, 1), "{case}");
    }
    let mut facts = fine();
    facts.failed.insert(
        instance(77).id,
        ReportedFailure {
            open: None,
            at: ago(60),
            reason: None,
        },
    );
    assert_eq!(assess(&facts, NOW).findings, [], "it was deleted");
}

/// Nova shows an instance as running until it has noticed that its guest is gone.
/// Covers R36.
#[test]
fn an_instance_with_an_open_recovery_is_down_unless_a_user_has_stopped_it() {
    let recovery = RecoveryId(uuid::Uuid::from_u128(7));
    for (case, rest, is_down) in [
        ("Nova shows it active", None, true),
        ("stopped without a request", Some(StopReason::Due), true),
        (
            "stopped, and Nova does not show why",
            Some(StopReason::Unclear),
            true,
        ),
        ("stopped by its user", Some(StopReason::Meant), false),
    ] {
        let mut facts = fine();
        if let Some(why) = rest {
            self::rest(&mut facts, why, 60);
        }
        let open = ReportedFailure {
            open: Some(recovery),
            at: ago(5),
            reason: None,
        };
        facts.failed.insert(instance(1).id, open);
        let situation = assess(&facts, NOW);
        let counts = situation.counts.unwrap();
        if !is_down {
            assert_eq!((situation.findings, counts.down), (vec![], 0), "{case}");
            continue;
        }
        let [finding] = &situation.findings[..] else {
            panic!("{case}: {:?}", situation.findings);
        };
        assert_eq!(
            (finding.code, finding.grade),
            (FindingCode::InstanceDown, Severity::Warn),
            "{case}"
        );
        assert_eq!(finding.text, "reported down, and its recovery is open", "{case}");
        let fix = format!("tachi recovery show {recovery}");
        assert_eq!(finding.fix.as_deref(), Some(fix.as_str()), "{case}");
        assert_eq!((counts.protected, counts.down), (5, 1), "{case}");
    }
}

/// An instance that is down is an error at once, and a warning while Nova has a task for it.
/// Covers R36.
#[test]
fn an_instance_that_is_down_is_an_error_and_one_that_is_being_started_is_a_warning_for_five_minutes() {
    let grade = |busy, seconds| {
        let mut facts = fine();
        rest(&mut facts, StopReason::Due, seconds);
        let on = &mut facts.instances.as_mut().unwrap().value.on;
        let first = &mut Arc::make_mut(on.get_mut("a").unwrap())[0];
        first.rest.as_mut().unwrap().busy = busy;
        assess(&facts, NOW).grade
    };
    assert_eq!(grade(false, 0), Severity::Err);
    assert_eq!(grade(true, 290), Severity::Warn);
    assert_eq!(grade(true, 310), Severity::Err);
}

/// Nova would execute the start when the host returns.
/// Covers R12.
#[test]
fn no_start_is_proposed_on_a_host_that_is_down_or_being_recovered() {
    let proposed = |change: Change| {
        let mut facts = fine();
        rest(&mut facts, StopReason::Due, 60);
        change(&mut facts);
        let mut found = assess(&facts, NOW).findings.into_iter();
        let down = found
            .find(|finding| finding.code == FindingCode::InstanceDown)
            .unwrap();
        assert_eq!(down.grade, Severity::Err);
        assert_eq!(
            down.fix.is_none(),
            down.text.ends_with("so do not start it there"),
            "{down:?}"
        );
        down.fix
    };
    let start = format!("openstack server start {}", instance(1).id);
    assert_eq!(proposed(|_| {}), Some(start));
    assert_eq!(proposed(|facts| computes(facts)[0].up = false), None);
    assert_eq!(
        proposed(|facts| facts.recoveries.push(recovery("a", WaitsFor::Nothing))),
        None
    );
}

/// Nova shows such a guest as running until its power synchronisation.
/// Covers R36.
#[test]
fn an_instance_whose_host_has_booted_is_down_unless_guests_resume_at_boot() {
    use super::super::monitors::tests::monitor;
    use crate::monitor::{Guests, MonitorKind, Resume};
    for (resume, is_down) in [
        (Some(Resume::No), true),
        (Some(Resume::Yes), false),
        (Some(Resume::Unknown), false),
        (None, false),
    ] {
        let mut facts = fine();
        let on = &mut facts.instances.as_mut().unwrap().value.on;
        Arc::make_mut(on.get_mut("a").unwrap())[0].ended_by_boot = Some(ago(60));
        let kinds = [MonitorKind::Host, MonitorKind::Instance, MonitorKind::Process];
        facts
            .monitors
            .extend(["a", "b", "c"].into_iter().flat_map(|host| {
                kinds.map(|kind| {
                    monitor(
                        host,
                        kind,
                        5,
                        if kind == MonitorKind::Host {
                            &["a", "b", "c"]
                        } else {
                            &[]
                        },
                    )
                })
            }));
        for one in facts.monitors.iter_mut().filter(|one| one.heartbeat.host == "a") {
            one.heartbeat.guests = resume.map(|resume| Guests {
                resume,
                by: "nova.conf".into(),
            });
        }
        let situation = assess(&facts, NOW);
        let down = situation
            .findings
            .iter()
            .find(|one| one.code == FindingCode::InstanceDown);
        assert_eq!(down.is_some(), is_down, "{resume:?}");
        assert_eq!(situation.counts.unwrap().down, u64::from(is_down), "{resume:?}");
        if let Some(finding) = down {
            assert_eq!((finding.grade, finding.since), (Severity::Err, Some(ago(60))));
            let fix = format!("openstack server reboot --hard {}", instance(1).id);
            assert_eq!(finding.fix.as_deref(), Some(fix.as_str()));
        }
    }
}

/// The states and tasks are those of `check_instance_state` in `nova/compute/api.py`: `start` and `_hard_reboot`.
/// Covers R36.
#[test]
fn only_a_request_that_nova_accepts_is_proposed() {
    use crate::nova::{InstanceTraits, PowerState, Server, StartBlocker, VmState, at_rest};
    for (vm_state, task, command) in [
        (VmState::Stopped, None, "start"),
        (VmState::Stopped, Some("powering-on"), "event list"),
        (VmState::Active, None, "reboot --hard"),
        (VmState::Active, Some("rebooting_hard"), "reboot --hard"),
        (VmState::Active, Some("powering-off"), "event list"),
        (VmState::Error, None, "reboot --hard"),
        (VmState::Error, Some("rebuilding"), "event list"),
        (VmState::Resized, None, "resize confirm"),
        (VmState::Resized, Some("resize_confirming"), "event list"),
    ] {
        let case = format!("{vm_state} {task:?}");
        let server = Server {
            id: instance(1).id,
            name: String::new(),
            host: Some("a".into()),
            vm_state,
            task_state: task.map(str::to_owned),
            power_state: PowerState::Shutdown,
            locked: false,
            locked_reason: None,
            metadata: BTreeMap::new(),
            volume_backed: true,
            launched: true,
            fault: None,
            about: InstanceTraits::default(),
            needs: None,
            updated: None,
        };
        assert!(at_rest(&server).is_some(), "{case}");
        for is_reported in [false, true] {
            let mut facts = fine();
            rest(&mut facts, StopReason::Due, 600);
            let on = &mut facts.instances.as_mut().unwrap().value.on;
            let one = &mut Arc::make_mut(on.get_mut("a").unwrap())[0];
            one.start_blocker = StartBlocker::of(&server);
            one.rest.as_mut().unwrap().stopped = server.vm_state == VmState::Stopped;
            if is_reported {
                let failed = ReportedFailure {
                    open: None,
                    at: ago(600),
                    reason: None,
                };
                facts.failed.insert(instance(1).id, failed);
            }
            let [finding] = &assess(&facts, NOW).findings[..] else {
                panic!("{case}");
            };
            let fix = format!("openstack server {command} {}", instance(1).id);
            assert_eq!(finding.fix.as_deref(), Some(fix.as_str()), "{case}");
            let is_blocked = finding.text.contains("; Nova refuses to start it before ");
            assert_eq!(is_blocked, StartBlocker::of(&server).is_some(), "{case}");
        }
    }
}

/// Instances that were started on a host after its recovery, or while an operator worked on it, are down with it.
/// Covers R36.
#[test]
fn an_acknowledged_host_is_an_alarm_again_when_it_is_down_with_instances_that_should_run() {
    for (why, code) in [
        (Some(MaintenanceReason::Operator), FindingCode::HostOnMaintenance),
        (Some(MaintenanceReason::Recovery), FindingCode::HostNotBack),
        (None, FindingCode::HostNotInSegment),
    ] {
        let mut facts = fine();
        if why.is_none() {
            facts.segments[0].hosts.remove(0);
        } else {
            facts.segments[0].hosts[0].maintenance = why;
        }
        facts.acknowledged.push(Acknowledgement {
            code,
            subject: Some("a".into()),
            until: ago(-3_600),
            by: "alice: repair".into(),
        });
        assert_eq!(assess(&facts, NOW).grade, Severity::Info, "{code}: it is up");
        computes(&mut facts)[0].up = false;
        assert!(
            assess(&facts, NOW).grade >= Severity::Warn,
            "{code}: two are down"
        );
        let on = &mut facts.instances.as_mut().unwrap().value.on;
        let [first, second] = Arc::make_mut(on.get_mut("a").unwrap()).as_mut_slice() else {
            panic!("two instances");
        };
        first.left = Some("it is not marked".into());
        second.rest = Some(Rest {
            why: StopReason::Meant,
            since: ago(60),
            busy: false,
            stopped: true,
            may_run: false,
            observed: None,
            judged: None,
        });
        assert_eq!(
            assess(&facts, NOW).grade,
            Severity::Info,
            "{code}: none should run"
        );
    }
}

/// Nova has stopped it by itself: it does not know if its guest has died.
/// Covers R36.
#[test]
fn an_instance_that_has_shut_itself_down_is_not_meant_to_run() {
    let with = |kind, host: &str, seconds, why| {
        let mut facts = fine();
        rest(&mut facts, why, 60);
        let mut observer = monitor(host, kind, seconds, &[]);
        observer.heartbeat.shut_down = [instance(1).id].into();
        facts.monitors = vec![observer];
        let counts = assess(&facts, NOW).counts.unwrap();
        (counts.protected, counts.unknown, counts.down)
    };
    let shut_down = (6, 0, 0);
    for (case, kind, host, seconds, why, expected) in [
        (
            "seen",
            MonitorKind::Instance,
            "a",
            5,
            StopReason::Unclear,
            shut_down,
        ),
        (
            "seen, and the monitor is silent since",
            MonitorKind::Instance,
            "a",
            50,
            StopReason::Unclear,
            // Its silence degrades the host.
            (4, 0, 0),
        ),
        (
            "seen before Nova showed it running",
            MonitorKind::Instance,
            "a",
            70,
            StopReason::Unclear,
            (4, 1, 0),
        ),
        (
            "seen on another host",
            MonitorKind::Instance,
            "b",
            5,
            StopReason::Unclear,
            (5, 1, 0),
        ),
        (
            "by another monitor",
            MonitorKind::Process,
            "a",
            5,
            StopReason::Unclear,
            (5, 1, 0),
        ),
        (
            "started since",
            MonitorKind::Instance,
            "a",
            5,
            StopReason::Due,
            (5, 0, 1),
        ),
        (
            "not read yet",
            MonitorKind::Instance,
            "a",
            5,
            StopReason::Unasked,
            (5, 1, 0),
        ),
    ] {
        assert_eq!(with(kind, host, seconds, why), expected, "{case}");
    }
}

/// Nova keeps the last power state of an instance in error.
///
/// Covers R36.
#[test]
fn an_instance_in_error_counts_as_unknown_although_nova_shows_its_guest_running() {
    let mut facts = fine();
    rest(&mut facts, StopReason::Due, 60);
    let on = &mut facts.instances.as_mut().unwrap().value.on;
    let first = &mut Arc::make_mut(on.get_mut("a").unwrap())[0];
    first.rest.as_mut().unwrap().may_run = true;
    let situation = assess(&facts, NOW);
    assert_eq!(situation.grade, Severity::Warn);
    let found = situation
        .findings
        .iter()
        .find(|found| found.code == FindingCode::InstanceDown);
    assert!(found.unwrap().text.starts_with("in error in Nova"), "{found:?}");
    let all = situation.instances.unwrap();
    assert_eq!(all[0].protection, Protection::Unknown);
}

/// A recovery of one of its instances, or of a process there, bears the host's name, too.
#[test]
fn a_hosts_recovery_is_not_mixed_up_with_that_of_its_instance() {
    let mut facts = fine();
    facts.segments[0].hosts[0].recovery = Some((RecoveryId(Uuid::from_u128(9)), Life::Open));
    computes(&mut facts)[0].up = false;
    facts.recoveries.push(Recovery {
        kind: RecoveryKind::Vm,
        message: Some("its start was refused".into()),
        ..recovery("a", WaitsFor::Approval)
    });
    facts.recoveries.push(recovery("a", WaitsFor::Nothing));
    let situation = assess(&facts, NOW);
    let mut found = situation.findings.iter();
    let host = found
        .find(|finding| finding.code == FindingCode::HostUnderRecovery)
        .unwrap();
    assert_eq!(host.text, "it is being recovered: 1/2 instances back");
    facts.recoveries.pop();
    assert_eq!(assess(&facts, NOW).segments[0].under_recovery, [] as [&str; 0]);
}

/// A monitoring check is not green from the first report until the last instance is back.
/// Covers R36.
#[test]
fn a_host_that_is_reported_or_recovered_is_a_warning_and_never_merely_degraded() {
    for up in [true, false] {
        let mut facts = fine();
        facts.segments[0].hosts[0].recovery = Some((RecoveryId(Uuid::from_u128(9)), Life::Open));
        facts.recoveries.push(recovery("a", WaitsFor::Nothing));
        computes(&mut facts)[0].up = up;
        let situation = assess(&facts, NOW);
        assert_eq!(situation.grade, Severity::Warn);
        let expected = if up { Protection::Unknown } else { Protection::Down };
        assert_eq!(situation.hosts[0].protection, expected);
    }
}

/// Covers R36.
#[test]
fn a_living_host_that_is_forced_down_is_set_up_again() {
    for (forced_down, expected) in [
        (false, "tachi host report-down b --reason TEXT"),
        (true, "openstack compute service set --up b nova-compute"),
    ] {
        let mut facts = fine();
        let compute = &mut computes(&mut facts)[1];
        (compute.up, compute.forced_down) = (false, forced_down);
        let situation = assess(&facts, NOW);
        let down = |finding: &&Finding| finding.code == FindingCode::HostDown;
        let finding = situation.findings.iter().find(down).unwrap();
        assert_eq!(finding.fix.as_deref(), Some(expected));
    }
}

#[test]
fn a_recovery_on_hold_of_a_host_that_is_up_is_not_said_to_be_checked() {
    let mut facts = fine();
    facts.segments[0].hosts[0].recovery = Some((RecoveryId(Uuid::from_u128(9)), Life::Open));
    for (wait, expected) in [
        (WaitsFor::Nothing, "the report is being checked"),
        (WaitsFor::Approval, "its recovery waits for an operator"),
    ] {
        facts.recoveries = vec![recovery("a", wait)];
        let situation = assess(&facts, NOW);
        let found = situation
            .findings
            .iter()
            .find(|finding| finding.code == FindingCode::HostUnderRecovery);
        assert!(found.unwrap().text.ends_with(expected), "{found:?}");
    }
}
