use std::time::Duration;

use tachi_engine::ports::{FreezeTerms, Freezes as _, Hosts as _, NewFreeze};

use crate::testing::Bench;
use tachi_domain::freeze::FreezeScope;

/// An operator who replaces a host's hardware deletes the host and registers it again.
#[tokio::test]
async fn a_host_that_is_registered_again_under_its_name_stays_frozen() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let before = bench.host(&segment, "cmp1").await;
    let new = NewFreeze {
        scope: FreezeScope::Host,
        target: before.id.to_string(),
        name: before.name.clone(),
        by: "alice".into(),
        terms: FreezeTerms {
            lasts: Duration::from_hours(1),
            reason: "new board".into(),
            unless_worse: false,
        },
    };
    bench.store.freezes().freeze(&new).await.unwrap();
    bench
        .store
        .registry()
        .delete_host(segment.id, before.id)
        .await
        .unwrap();
    let again = bench.host(&segment, "cmp1").await;
    assert_ne!(again.id, before.id);
    bench.stopped(&again).await;
    let claimed = bench.claim_newest("engine").await;
    assert_eq!(claimed.operator_state.frozen.over.len(), 1);
    let other = bench.host(&segment, "cmp2").await;
    bench.stopped(&other).await;
    let claimed = bench.claim_newest("engine").await;
    assert_eq!(claimed.operator_state.frozen.over.len(), 0);
}
