//! It may run on another host than Nova shows.

use super::*;

/// Its evacuation was recorded as failed, and may have left it running at the destination (seed 60058290). The recovery that did so
/// may come and go while this one waits, so the journal is asked with every intent.
/// Covers C1.
#[test]
fn an_instance_that_may_run_on_another_host_is_not_restarted() {
    for stage in [Stage::Activating, Stage::Stopping, Stage::Starting] {
        let mut run = Run::asked(stage);
        let asked = run.record.unless_elsewhere.clone().unwrap();
        assert_eq!(
            (asked.server, asked.host.as_str()),
            (server_id(), HOST),
            "{stage:?}"
        );
        // As the driver does it: the refused write's call was not sent.
        run.tell(Observation::NotSent(call_of(stage).0));
        run.tell(Observation::MayRunOn(["c9".to_owned()].into()));
        run.assert_end(&format!("{stage:?}"), NotificationStatus::Failed, "running on c9");
        assert_eq!(run.calls.len(), 1, "{stage:?}");
    }
}
