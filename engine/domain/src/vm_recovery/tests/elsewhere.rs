//! Instances that may run on another host than Nova shows.

use super::*;

/// An evacuation was recorded as failed and may have left the instance running at the destination (seed
/// 60058290). That recovery may open and close while this one waits, so the journal checks each intent.
/// Covers C1.
#[test]
fn an_instance_that_may_run_on_another_host_is_not_restarted() {
    for stage in [Stage::Activating, Stage::Stopping, Stage::Starting] {
        let mut run = Run::requested(stage);
        let condition = run.record.unless_elsewhere.clone().unwrap();
        assert_eq!(
            (condition.server, condition.host.as_str()),
            (server_id(), HOST),
            "{stage:?}"
        );
        // As the driver does: the call of the refused write was not sent.
        run.observe(Observation::NotSent(call_of(stage).0));
        run.observe(Observation::MayRunOn(["c9".to_owned()].into()));
        run.assert_end(&format!("{stage:?}"), NotificationStatus::Failed, "running on c9");
        assert_eq!(run.calls.len(), 1, "{stage:?}");
    }
}
