//! Preconditions for any action on an instance.

use super::*;

#[test]
fn gates_that_need_nothing_but_the_notification() {
    use NotificationStatus::Ignored;
    let id = server_id().to_string();
    let id = Some(id.as_str());
    let cases = [
        (
            "a shutdown",
            "LIFECYCLE",
            "STOPPED_DESTROYED",
            OperatorState::DEFAULT,
            id,
            "not a failure",
        ),
        (
            "a reboot",
            "REBOOT",
            "UNKNOWN",
            OperatorState::DEFAULT,
            id,
            "not a failure",
        ),
        (
            "a mixed pair",
            "IO_ERROR",
            "STOPPED_FAILED",
            OperatorState::DEFAULT,
            id,
            "not a failure",
        ),
        ("no event", "", "", OperatorState::DEFAULT, id, "not a failure"),
        (
            "noise in a disabled segment",
            "REBOOT",
            "X",
            operator_state(false, false),
            id,
            "not a failure",
        ),
        (
            "a host in maintenance",
            "LIFECYCLE",
            "STOPPED_FAILED",
            operator_state(true, true),
            id,
            "maintenance",
        ),
        (
            "no instance",
            "LIFECYCLE",
            "STOPPED_FAILED",
            OperatorState::DEFAULT,
            None,
            "names no instance",
        ),
        (
            "no id",
            "LIFECYCLE",
            "STOPPED_FAILED",
            OperatorState::DEFAULT,
            Some("web-1"),
            "names no instance",
        ),
    ];
    for (case, event, detail, operator_state, instance, part) in cases {
        let mut run = Run::new(event, detail, instance, Policy::default());
        run.observe(Observation::Claimed(operator_state));
        assert!(run.commands.is_empty(), "{case}: {:?}", run.commands);
        run.assert_end(case, Ignored, part);
    }
}

/// Covers R36.
#[test]
fn a_guest_that_has_ended_and_is_not_restarted_counts_as_down() {
    let id = server_id().to_string();
    let disabled = OperatorState {
        segment_enabled: false,
        ..OperatorState::DEFAULT
    };
    for (event, ended) in [
        ("LIFECYCLE", true),
        ("lifecycle", true),
        ("QEMU_GUEST_AGENT_ERROR", false),
    ] {
        for (vm_state, host, here) in [
            (VmState::Active, HOST, true),
            (VmState::Stopped, HOST, true),
            (VmState::Paused, HOST, false),
            (VmState::Active, "c2", false),
        ] {
            let mut run = Run::new(event, "STOPPED_FAILED", Some(&id), Policy::default());
            run.observe(Observation::Claimed(OperatorState::DEFAULT));
            run.observe(shown(Server {
                metadata: BTreeMap::new(),
                host: Some(host.into()),
                ..server(vm_state.clone(), None)
            }));
            run.assert_end(event, NotificationStatus::Finished, "Skipped");
            let case = format!("{event}: {vm_state:?} on {host}");
            assert_eq!(run.record.unrepaired, ended && here, "{case}");
            let mut run = Run::new(event, "STOPPED_FAILED", Some(&id), Policy::default());
            run.observe(Observation::Claimed(disabled.clone()));
            if ended {
                run.observe(shown(Server {
                    host: Some(host.into()),
                    ..server(vm_state, None)
                }));
            }
            run.assert_end(event, NotificationStatus::Ignored, "the segment HA is disabled");
            assert_eq!(run.record.unrepaired, ended && here, "{case}");
        }
    }
}

#[test]
fn the_three_pairs_that_are_failures_in_any_case() {
    let id = server_id().to_string();
    for (event, detail) in [
        ("LIFECYCLE", "STOPPED_FAILED"),
        ("QEMU_GUEST_AGENT_ERROR", "STOPPED_FAILED"),
        ("IO_ERROR", "IO_ERROR_REPORT"),
        ("lifecycle", "stopped_failed"),
    ] {
        let mut run = Run::new(event, detail, Some(&id), Policy::default());
        run.observe(Observation::Tick);
        assert!(run.commands.is_empty(), "nothing before the first pulse");
        run.observe(Observation::Claimed(OperatorState::DEFAULT));
        assert_eq!(
            run.commands,
            [Command::ReadServer(server_id())],
            "{event}/{detail}"
        );
    }
}

#[test]
fn gates_that_need_the_instance() {
    use NotificationStatus::{Finished, Ignored};
    let tagged = |value: &str| [("HA_Enabled".to_owned(), value.to_owned())].into();
    let with = |metadata: BTreeMap<String, String>, host: Option<&str>| Server {
        metadata,
        host: host.map(Into::into),
        ..server(VmState::Active, None)
    };
    let cases = [
        (
            "no mark",
            with(BTreeMap::new(), Some(HOST)),
            Some((Finished, "Skipped")),
        ),
        (
            "mark off",
            with(tagged("False"), Some(HOST)),
            Some((Finished, "Skipped")),
        ),
        ("mark on", with(tagged("yes"), Some(HOST)), None),
        (
            "no mark, elsewhere",
            with(BTreeMap::new(), Some("c2")),
            Some((Finished, "Skipped")),
        ),
        ("elsewhere", with(tagged("1"), Some("c2")), None),
        (
            "nowhere",
            with(tagged("1"), None),
            Some((Ignored, "is on no host")),
        ),
    ];
    for (case, server, expected) in cases {
        let mut run = Run::begun();
        run.observe(shown(server.clone()));
        for later in [5_000, 30_000] {
            if run.state.stage == Stage::Begin {
                run.at(later, shown(server.clone()));
            }
        }
        match expected {
            Some((status, part)) => run.assert_end(case, status, part),
            None => assert_eq!(run.state.stage, Stage::Stopping, "{case}"),
        }
        assert!(run.calls.is_empty(), "{case}");
    }
    let id = server_id().to_string();
    let policy = Policy {
        process_all_instances: true,
        ..Policy::default()
    };
    let mut run = Run::new("LIFECYCLE", "STOPPED_FAILED", Some(&id), policy);
    run.observe(Observation::Claimed(OperatorState::DEFAULT));
    run.observe(shown(with(BTreeMap::new(), Some(HOST))));
    assert_eq!(
        run.state.stage,
        Stage::Stopping,
        "process_all_instances needs no mark"
    );
}

/// Covers C15, T5.
#[test]
fn an_instance_counts_wherever_nova_shows_it_and_a_bound_reporter_for_its_own_host_only() {
    let elsewhere = || Server {
        host: Some("c2".into()),
        ..server(VmState::Active, None)
    };
    let id = server_id().to_string();
    for (case, bound, expected) in [
        ("as Masakari", None, None),
        ("bound", Some(HOST), Some("not on the reporting host")),
    ] {
        let mut notification = notification("LIFECYCLE", "STOPPED_FAILED", Some(&id));
        notification.reporter = bound.map(|bound: &str| {
            Box::new(crate::Reporter {
                host: Some(bound.into()),
                ..crate::Reporter::default()
            })
        });
        let mut run = Run::of(&notification, Policy::default());
        run.observe(Observation::Claimed(OperatorState::DEFAULT));
        run.observe(shown(elsewhere()));
        if let Some(part) = expected {
            assert_eq!(
                run.state.stage,
                Stage::Begin,
                "a copy that lags behind shows it there too"
            );
            run.at(5_000, shown(elsewhere()));
            run.assert_end(case, NotificationStatus::Ignored, part);
            continue;
        }
        run.at(29_000, shown(elsewhere()));
        assert_eq!(
            run.state.host, HOST,
            "{case}: seed 955196844: a copy showed it where it had been"
        );
        run.at(30_000, shown(elsewhere()));
        assert_eq!(run.state.host, "c2", "{case}: its host is read from now on");
        run.observe(up());
        assert_eq!(run.record.unless_host_recovery.as_deref(), Some("c2"), "R12");
    }
}
