//! What an instance's next recovery is told.

use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::recovery::Life;
use tachi_domain::{Timestamp, Wait, WaitsFor};
use tachi_engine::ports::journal::{Committed, MoveWrite, Write};
use tachi_engine::ports::operator::Said;
use tachi_engine::ports::{Journal as _, OperatorDesk as _};
use uuid::Uuid;

use super::*;
use crate::testing::{Bench, START, notification, pending_move};

/// A host recovery has ended, and one of its instances may run at a destination: a report about that instance alone knows it, until
/// a person has seen to it.
#[tokio::test]
async fn c1_the_recovery_of_an_instance_knows_where_it_may_run() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    let claimed = bench.claim_newest("engine").await;
    let [left, other] = [1, 2].map(|number| ServerId(Uuid::from_u128(number)));
    let given_up = MoveWrite {
        may_run: ["cmp3".to_owned()].into(),
        wait: Some(Wait::bare(WaitsFor::GivenUp, Timestamp::from_micros(START))),
        open: false,
        ..pending_move(left, 0)
    };
    let write = Write {
        moves: vec![given_up],
        life: Some(Life::Closed),
        notification: Some((NotificationStatus::Failed, None)),
        ..Write::default()
    };
    let committed = bench
        .store
        .commit(claimed.id, claimed.epoch, &write)
        .await
        .unwrap();
    assert!(matches!(committed, Committed::Written(_)), "{committed:?}");

    let reported = async |server: ServerId| {
        bench.clock.advance(200);
        let id = server.to_string();
        let payload = [
            ("instance_uuid", id.as_str()),
            ("event", "LIFECYCLE"),
            ("vir_domain_event", "STOPPED_FAILED"),
        ];
        let report = notification(NotificationType::Vm, "cmp1", bench.clock_wall(), &payload);
        bench.accept(&report).await.unwrap();
        bench.claim_newest("engine").await
    };
    assert_eq!(reported(other).await.may_run, BTreeSet::new());
    let told = reported(left).await;
    assert_eq!(told.may_run, BTreeSet::from(["cmp3".to_owned()]));
    let said = bench.store.see_to(claimed.id, left, "alice").await.unwrap();
    assert_eq!(said, Said::Heard);
    let again = bench.store.claim(told.id, told.epoch, "engine2").await.unwrap();
    assert_eq!(again.unwrap().may_run, BTreeSet::new());
}
