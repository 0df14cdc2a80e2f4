//! Downtime of instances, and the recoveries of one instance.

use serde_json::Value;
use tachi_domain::entity::vmove::{VmoveStatus, VmoveType};
use tachi_domain::entity::{Stamps, Vmove};
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::{NotificationId, Timestamp, VmoveId};
use uuid::Uuid;

use super::bench::Bench;
use super::operator_journal::{NOW, recovery};

const ONE: &str = "00000000-0000-0000-0000-0000000000aa";
const OTHER: &str = "00000000-0000-0000-0000-0000000000bb";

fn moved(of: u128, instance: &str, status: VmoveStatus, over: Option<i64>) -> Vmove {
    Vmove {
        row: 1,
        id: VmoveId(Uuid::from_u128(of + 100)),
        notification: NotificationId(Uuid::from_u128(of)),
        kind: Some(VmoveType::Evacuation),
        status: Some(status),
        start_time: Some(NOW),
        end_time: over.map(|seconds| Timestamp::from_micros(NOW.micros() + seconds * 1_000_000)),
        stamps: Stamps {
            created_at: NOW,
            updated_at: None,
        },
        instance_uuid: instance.to_owned(),
        instance_name: "web".to_owned(),
        source_host: Some("a".to_owned()),
        dest_host: over.map(|_| "b".to_owned()),
        message: None,
    }
}

#[tokio::test]
async fn operator_api_recoveries_have_the_downtime_of_their_instances() {
    let bench = Bench::new();
    let mut drained = recovery(7, "b");
    (drained.kind, drained.life) = (RecoveryKind::Drain, Life::Closed);
    *bench.operator_journal.recoveries.lock().unwrap() = vec![recovery(9, "a"), drained];
    *bench.operator_journal.moved.lock().unwrap() = vec![
        moved(9, ONE, VmoveStatus::Succeeded, Some(8)),
        moved(9, OTHER, VmoveStatus::Succeeded, Some(4)),
        moved(9, "ff", VmoveStatus::Failed, Some(60)),
        moved(7, ONE, VmoveStatus::Succeeded, Some(3)),
    ];
    let list = async |query: &str| -> Value {
        let path = format!("/operator/v1/recoveries?all=true{query}");
        bench.get(&path).await.root("recoveries")
    };
    let plain = list("").await;
    assert_eq!(plain[0]["down_seconds"], Value::Null, "nobody has asked: {plain}");
    let answer = list("&downtime=true").await;
    assert_eq!(
        answer[0]["down_seconds"], 12.0,
        "what failed is not back: {answer}"
    );
    assert_eq!(
        answer[1]["down_seconds"],
        Value::Null,
        "what was planned was never down: {answer}"
    );
    assert_eq!(answer[0]["instance"], Value::Null);

    let own = list(&format!("&instance={ONE}")).await;
    assert_eq!(own.as_array().unwrap().len(), 2, "{own}");
    assert_eq!(own[0]["instance"]["down_seconds"], 8.0, "{own}");
    assert_eq!(own[0]["instance"]["to"], "b", "{own}");
    assert_eq!(own[1]["instance"]["down_seconds"], Value::Null, "{own}");
    let other = list(&format!("&instance={OTHER}")).await;
    assert_eq!(other.as_array().unwrap().len(), 1, "{other}");
}
