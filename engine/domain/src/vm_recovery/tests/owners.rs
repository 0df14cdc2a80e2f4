//! Actions of an instance's owner.

use super::*;

#[test]
fn an_instance_that_its_owner_has_paused_meanwhile_is_left_alone() {
    for stage in CALL_STAGES {
        let mut run = Run::requested(stage);
        run.observe(is(VmState::Paused));
        run.assert_end(
            &format!("{stage:?}"),
            NotificationStatus::Ignored,
            "left to its owner",
        );
    }
}

/// Tasks of the owner are waited for: a slow stop, a rebuild, a reboot.
/// Covers F8.
#[test]
fn an_owners_task_is_waited_for_before_a_running_instance_is_restarted() {
    let id = server_id().to_string();
    let begun = |event: &str, detail: &str| {
        let mut run = Run::new(event, detail, Some(&id), Policy::default());
        run.observe(Observation::Claimed(OperatorState::DEFAULT));
        run
    };
    let busy = |task: &str| shown(server(VmState::Active, Some(task)));
    for (event, detail) in [
        ("QEMU_GUEST_AGENT_ERROR", "STOPPED_FAILED"),
        ("IO_ERROR", "IO_ERROR_REPORT"),
    ] {
        let mut stopped = begun(event, detail);
        stopped.goes_on(120_000, &busy("powering-off"));
        assert_eq!(stopped.state.stage, Stage::Begin, "{event}");
        stopped.observe(is(VmState::Stopped));
        assert_eq!(stopped.state.stage, Stage::Begin, "{event}: shown once");
        stopped.at(125_000, is(VmState::Stopped));
        stopped.assert_end(event, NotificationStatus::Ignored, "left to its owner");
        assert!(stopped.calls.is_empty(), "{event}");

        let mut reboots = begun(event, detail);
        reboots.goes_on(20_000, &busy("rebooting"));
        reboots.observe(is(VmState::Active));
        assert_eq!(
            reboots.state.stage,
            Stage::Stopping,
            "{event}: it continues after the task"
        );

        let mut stuck = begun(event, detail);
        stuck.goes_on(STOP_LIMIT + 1000, &busy("powering-off"));
        stuck.assert_end(
            event,
            NotificationStatus::Ignored,
            "powering-off has not ended within 180 s",
        );
    }
    // After a crash Nova stops the instance, with the same task state.
    let mut crashed = begun("LIFECYCLE", "STOPPED_FAILED");
    crashed.observe(busy("powering-off"));
    assert_eq!(crashed.state.stage, Stage::Stopping);
    crashed.at(1100, is(VmState::Stopped));
    assert_eq!(crashed.state.stage, Stage::Starting);
}

/// No other client stops an instance during a restart, so the journal has lost that call.
/// Covers R33.
#[test]
fn an_instance_that_a_lost_call_may_have_stopped_is_started() {
    let id = server_id().to_string();
    let mut run = Run::new("IO_ERROR", "IO_ERROR_REPORT", Some(&id), Policy::default());
    run.observe(Observation::Rewound);
    run.observe(Observation::Claimed(OperatorState::DEFAULT));
    run.observe(is(VmState::Stopped));
    assert_eq!(run.state.stage, Stage::Starting);
}
