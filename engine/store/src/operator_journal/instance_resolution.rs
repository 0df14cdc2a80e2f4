//! An operator's resolution for one instance, appended to the earlier ones.

use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use tachi_domain::recovery::{InstanceResolution, Life};
use tachi_domain::{RecoveryId, Timestamp};
use tachi_engine::ports::operator::ActionOutcome;

use crate::clock;
use crate::entity::recovery;
use crate::error::Stop;
use crate::journal::move_words;
use crate::transaction::{Transaction, Tx, TxOutcome};

/// Limits of stored resolutions. The column has room for 65,535 bytes on MariaDB.
const MAX_STORED: usize = 200;
const MAX_STORED_BYTES: usize = 60_000;

pub(super) struct ResolveInstance<'a> {
    pub(super) id: RecoveryId,
    pub(super) word: &'a InstanceResolution,
    pub(super) at: Timestamp,
}

#[async_trait]
impl Transaction for ResolveInstance<'_> {
    type Output = ActionOutcome;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<ActionOutcome>, Stop> {
        let id = self.id.to_string();
        loop {
            let found = recovery::Entity::find()
                .filter(recovery::Column::Uuid.eq(&id))
                .one(tx)
                .await?;
            let Some(row) = found else {
                return Ok(TxOutcome::Undo(ActionOutcome::Unknown));
            };
            // A recovery that waits for its host's return may still move instances that have come to the host since.
            if row.life == Life::Closed.as_str() {
                return Ok(TxOutcome::Undo(ActionOutcome::NotOpen));
            }
            let now = clock::now(tx, self.at).await?;
            let mut resolutions = move_words(&row)?;
            let number = resolutions.last().map_or(0, |updated| updated.number) + 1;
            resolutions.push(InstanceResolution {
                number,
                at: Some(now),
                ..self.word.clone()
            });
            let Some(text) = shortened(resolutions, last_processed(&row), now)? else {
                return Ok(TxOutcome::Undo(ActionOutcome::TooMany));
            };
            // Another operator may have added a resolution in the meantime.
            let unchanged = match &row.move_words {
                Some(before) => recovery::Column::MoveWords.eq(before),
                None => recovery::Column::MoveWords.is_null(),
            };
            let updated = recovery::Entity::update_many()
                .col_expr(recovery::Column::MoveWords, Expr::value(text))
                .filter(recovery::Column::Uuid.eq(&id))
                .filter(recovery::Column::Life.ne(Life::Closed.as_str()))
                .filter(unchanged)
                .exec(tx)
                .await?;
            if updated.rows_affected == 1 {
                return Ok(TxOutcome::Keep(ActionOutcome::Submitted));
            }
        }
    }
}

/// Returns the number of the last resolution that an engine has processed, by the recovery's stored state.
fn last_processed(row: &recovery::Model) -> u64 {
    #[derive(Default, serde::Deserialize)]
    struct Head {
        #[serde(default)]
        heard_moves: u64,
    }
    let state = row.state.as_deref().unwrap_or_default();
    serde_json::from_str::<Head>(state)
        .unwrap_or_default()
        .heard_moves
}

/// Returns the stored text within the limits, without the oldest resolutions if it is too long. Those that an engine may not
/// have read yet stay: `None` if there are too many of them.
fn shortened(
    mut resolutions: Vec<InstanceResolution>,
    processed: u64,
    now: Timestamp,
) -> Result<Option<String>, Stop> {
    loop {
        let text = serde_json::to_string(&resolutions).map_err(|error| DbErr::Json(error.to_string()))?;
        if resolutions.len() <= MAX_STORED && text.len() <= MAX_STORED_BYTES {
            return Ok(Some(text));
        }
        let is_removable = |oldest: &InstanceResolution| {
            oldest.number <= processed || oldest.at.is_none() || oldest.clone().read_at(now).is_late
        };
        if !resolutions.first().is_some_and(is_removable) {
            return Ok(None);
        }
        resolutions.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::ServerId;
    use tachi_domain::recovery::ResolutionKind;
    use tachi_engine::ports::OperatorJournal as _;
    use tachi_engine::ports::journal::{Write, WriteOutcome};
    use uuid::Uuid;

    use super::*;
    use crate::testing::Bench;

    /// Covers C5.
    #[tokio::test]
    async fn resolutions_of_instances_are_stored_in_order_and_read_with_the_claim() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let id = bench.store.operator_journal().recoveries(false).await.unwrap()[0].id;
        for (server, verdict) in [(7, ResolutionKind::Failure), (8, ResolutionKind::Ignore)] {
            let word = InstanceResolution {
                number: 99,
                server: ServerId(Uuid::from_u128(server)),
                word: verdict,
                on: Some("cmp2".into()),
                by: "ada".into(),
                at: None,
                is_late: false,
            };
            assert_eq!(
                bench
                    .store
                    .operator_journal()
                    .resolve_instance(id, &word)
                    .await
                    .unwrap(),
                ActionOutcome::Submitted
            );
        }
        let resolutions = bench.claim_newest("engine").await.operator_state.move_words;
        let stored: Vec<(u64, ResolutionKind)> = resolutions
            .iter()
            .map(|resolution| (resolution.number, resolution.word))
            .collect();
        assert_eq!(
            stored,
            [(1, ResolutionKind::Failure), (2, ResolutionKind::Ignore)]
        );
        let nobody = RecoveryId(Uuid::from_u128(1));
        let outcome = bench
            .store
            .operator_journal()
            .resolve_instance(nobody, &resolutions[0])
            .await
            .unwrap();
        assert_eq!(outcome, ActionOutcome::Unknown);
    }

    async fn resolve(bench: &Bench, id: RecoveryId, server: u128) -> ActionOutcome {
        let word = InstanceResolution {
            number: 0,
            server: ServerId(Uuid::from_u128(server)),
            word: ResolutionKind::Failure,
            on: Some("cmp2".into()),
            by: format!("ada ({})", "r".repeat(200)),
            at: None,
            is_late: false,
        };
        let journal = bench.store.operator_journal();
        journal.resolve_instance(id, &word).await.unwrap()
    }

    /// Covers R26, R32.
    #[tokio::test]
    async fn a_resolution_that_is_read_late_is_marked() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let id = bench.claim_newest("engine").await.id;
        assert_eq!(resolve(&bench, id, 7).await, ActionOutcome::Submitted);
        for (seconds, is_late) in [(119, false), (2, true)] {
            bench.clock.set_wall_on(seconds);
            let claimed = bench.claim_newest("engine").await;
            assert_eq!(claimed.operator_state.move_words[0].is_late, is_late);
        }
    }

    /// Covers R32.
    #[tokio::test]
    async fn no_resolution_is_dropped_that_an_engine_may_not_have_read() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let id = bench.claim_newest("engine").await.id;
        let mut accepted = 0;
        while resolve(&bench, id, accepted).await == ActionOutcome::Submitted {
            accepted += 1;
        }
        assert!((100..=200).contains(&accepted), "{accepted}");
        let stored = bench.claim_newest("engine").await.operator_state.move_words;
        assert_eq!(stored.len() as u128, accepted);
        let claimed = bench.claim_newest("engine").await;
        let processed = Write {
            state: Some("{\"heard_moves\":1}".to_owned()),
            ..Write::default()
        };
        let journal = bench.store.journal();
        let written = journal.commit_at(claimed.id, claimed.epoch, &processed).await;
        assert!(matches!(written, Ok(WriteOutcome::Written(_))), "{written:?}");
        let outcome = resolve(&bench, id, 999).await;
        assert_eq!(outcome, ActionOutcome::Submitted, "one was processed");
        assert_eq!(resolve(&bench, id, 999).await, ActionOutcome::TooMany);
        bench.clock.set_wall_on(121);
        assert_eq!(resolve(&bench, id, 1_000).await, ActionOutcome::Submitted);
        let stored = bench.claim_newest("engine").await.operator_state.move_words;
        let last = stored.last().unwrap();
        assert_eq!((u128::from(last.number), last.is_late), (accepted + 2, false));
    }
}
