//! It may run on another host than Nova shows.

use super::*;

/// Its evacuation was recorded as failed, and may have left it running at the destination (seed 60058290).
#[test]
fn c1_an_instance_that_may_run_on_another_host_is_not_restarted() {
    for (on, restarted) in [("c9", false), (HOST, true)] {
        let id = server_id().to_string();
        let mut run = Run::new("LIFECYCLE", "STOPPED_FAILED", Some(&id), Policy::default());
        run.state.may_run = [on.to_owned()].into();
        run.tell(Observation::Claimed(quiet()));
        run.tell(is(VmState::Active));
        assert_eq!(run.state.stage == Stage::Stopping, restarted, "{on}");
        if !restarted {
            let (status, why) = run.shown.clone().unwrap();
            assert_eq!(status, NotificationStatus::Failed);
            assert!(
                why.is_some_and(|why| why.contains("running on c9")),
                "{:?}",
                run.shown
            );
        }
    }
}
