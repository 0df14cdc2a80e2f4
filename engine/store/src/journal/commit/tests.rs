//! Writes that are refused as a whole.

use tachi_domain::Timestamp;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_engine::ports::journal::{Write, WriteOutcome};

use super::super::tests::{contents, one_down};
use crate::clock;
use crate::testing::START;

/// A decision from before the engine's machine was stopped with its clocks is not written; a slow transaction is. A
/// file has the clock of its only machine.
/// Covers R2, C10.
#[tokio::test]
async fn a_write_of_a_machine_whose_clocks_have_stood_still_is_refused() {
    let (bench, _) = one_down().await;
    let claimed = bench.claim_newest("engine").await;
    let now = clock::server_time(bench.store.db.reader()).await.unwrap();
    let latest = now.unwrap_or(Timestamp::from_micros(START));
    for (seconds, refused) in [(-3_600, now.is_some()), (60, false)] {
        let write = Write {
            latest: Some(Timestamp::from_micros(latest.micros() + seconds * 1_000_000)),
            notification: Some((NotificationStatus::Failed, None)),
            ..Write::default()
        };
        let before = contents(&bench).await;
        let committed = bench
            .store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &write)
            .await
            .unwrap();
        assert_eq!(
            committed == WriteOutcome::TooLate,
            refused,
            "{seconds} s: {committed:?}"
        );
        assert_eq!(contents(&bench).await == before, refused);
    }
}
