//! An operator's resolution for one instance, appended to the earlier ones.

use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use tachi_domain::RecoveryId;
use tachi_domain::recovery::{InstanceResolution, Life};
use tachi_engine::ports::operator::ActionOutcome;

use crate::entity::recovery;
use crate::error::Stop;
use crate::journal::move_words;
use crate::transaction::{Transaction, Tx, TxOutcome};

/// Limit of stored resolutions. An engine processes a resolution within seconds, so older ones are not needed.
const MAX_STORED: usize = 200;

pub(super) struct ResolveInstance<'a> {
    pub(super) id: RecoveryId,
    pub(super) word: &'a InstanceResolution,
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
            let mut resolutions = move_words(&row)?;
            let number = resolutions.last().map_or(0, |updated| updated.number) + 1;
            resolutions.push(InstanceResolution {
                number,
                ..self.word.clone()
            });
            let old = resolutions.len().saturating_sub(MAX_STORED);
            resolutions.drain(..old);
            let text = serde_json::to_string(&resolutions).map_err(|error| DbErr::Json(error.to_string()))?;
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

#[cfg(test)]
mod tests {
    use tachi_domain::ServerId;
    use tachi_domain::recovery::ResolutionKind;
    use tachi_engine::ports::OperatorJournal as _;
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
}
