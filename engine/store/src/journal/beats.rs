//! Beats of several recoveries in one transaction.
//!
//! Each begins, as every write does, with a counted update at its own epoch (R1). A claim that is lost matches no row and so
//! writes nothing; those beside it are held all the same.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tachi_domain::Timestamp;
use tachi_engine::ports::journal::{Beat, Committed};

use super::{claim, place, pulse};
use crate::clock;
use crate::convert::signed;
use crate::entity::recovery;
use crate::error::Stop;
use crate::work::{Tx, Verdict, Work};

pub(super) struct Beats<'a> {
    pub(super) beats: &'a [Beat],
    pub(super) now: Timestamp,
}

#[async_trait]
impl Work for Beats<'_> {
    type Output = Vec<Committed>;

    async fn run(&self, tx: &Tx) -> Result<Verdict<Vec<Committed>>, Stop> {
        // In one order for everybody: two engines that beat for the same recoveries must not wait for each other.
        let mut order: Vec<(usize, &Beat)> = self.beats.iter().enumerate().collect();
        order.sort_by_key(|(_, beat)| beat.id);
        let mut outcomes = vec![Committed::Lost; self.beats.len()];
        for (at, beat) in order {
            let uuid = beat.id.to_string();
            let held = recovery::Entity::update_many()
                .col_expr(recovery::Column::Seq, Expr::col(recovery::Column::Seq).add(1))
                .col_expr(recovery::Column::Beat, Expr::col(recovery::Column::Beat).add(1))
                .col_expr(
                    recovery::Column::ElapsedMs,
                    Expr::value(signed("elapsed time", beat.elapsed.millis())?),
                )
                .filter(recovery::Column::Uuid.eq(&uuid))
                .filter(recovery::Column::Epoch.eq(signed("epoch", beat.epoch)?))
                .exec(tx)
                .await?;
            if held.rows_affected == 1 {
                let row = claim::without_state(tx, &uuid).await?;
                let place = place::of(tx, &row.host_uuid).await?;
                let pulse = pulse::read(tx, &row, place.as_ref(), self.now).await?;
                outcomes[at] = Committed::Written(pulse);
            }
        }
        let shown = clock::elsewhere(tx).await?;
        for outcome in &mut outcomes {
            if let Committed::Written(pulse) = outcome {
                pulse.clock = shown;
            }
        }
        Ok(Verdict::Keep(outcomes))
    }
}
