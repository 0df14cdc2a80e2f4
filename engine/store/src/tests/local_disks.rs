//! The readings of local disks, from the heartbeat to the recovery.

use tachi_domain::ServerId;
use tachi_domain::monitor::{MonitorHeartbeat, MonitorKind};
use tachi_engine::ports::{Journal as _, Monitors as _};

use crate::monitors::tests::{heartbeat, received};
use crate::testing::Bench;

/// Covers R14.
#[tokio::test]
async fn readings_of_local_disks_are_kept_by_host_until_the_next_one() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    bench.host(&segment, "cmp1").await;
    bench.host(&segment, "cmp2").await;
    let table = bench.store.monitors();
    let id = |number| ServerId(uuid::Uuid::from_u128(number));
    let reads = async |host: &str, disks: Option<&[u128]>| {
        let heartbeat = MonitorHeartbeat {
            local_disks: disks.map(|all| all.iter().map(|number| id(*number)).collect()),
            ..heartbeat(host, MonitorKind::Instance, &[])
        };
        table.store_heartbeats(&received(&[heartbeat])).await.unwrap();
    };
    let stored = async |host: &str| bench.store.journal().local_disks(host).await.unwrap();
    assert!(stored("cmp1").await.is_empty());
    reads("cmp1", Some(&[1, 2])).await;
    reads("cmp2", Some(&[3])).await;
    reads("nobody", Some(&[4])).await;
    assert_eq!(stored("cmp1").await, [id(1), id(2)].into());
    assert_eq!(stored("cmp2").await, [id(3)].into());
    assert!(stored("nobody").await.is_empty(), "a host in no segment");
    reads("cmp1", None).await;
    assert_eq!(stored("cmp1").await.len(), 2, "a heartbeat without a reading");
    assert!(table.forget_monitor("cmp1", MonitorKind::Instance).await.unwrap());
    assert_eq!(stored("cmp1").await.len(), 2, "kept after the host's death");
    reads("cmp1", Some(&[2])).await;
    assert_eq!(stored("cmp1").await, [id(2)].into());
    reads("cmp1", Some(&[])).await;
    assert!(stored("cmp1").await.is_empty());
}
