//! `tachi freeze list`.

use serde_json::json;
use tachi_engine::ports::FreezeLine;
use tachi_operator::FreezeView;
use tachi_operator::when::lasting;

use super::super::{Failure, command_settings};
use crate::cli::FreezeListArgs;
use crate::out::{Cell, Column, Sheet, answer};
use crate::wiring;

pub(super) async fn run(args: FreezeListArgs) -> Result<u8, Failure> {
    let base = wiring::existing(&command_settings(&args.config)?).await?;
    let listed = super::listed(&base).await?;
    let now = base.clock.wall();
    answer::list(&args.shape, now, &sheet(&listed), "nothing is frozen")?;
    Ok(crate::DONE)
}

fn sheet(listed: &[FreezeLine]) -> Sheet<6> {
    let columns = [
        Column::of("frozen", "name"),
        Column::new("until"),
        Column::of("left", "left_seconds"),
        Column::new("by"),
        Column::new("reason"),
        Column::of("ends early", "unless_worse"),
    ];
    Sheet::new(columns, listed, |line| {
        let freeze = &line.freeze;
        let early = if freeze.unless_worse {
            "if a second host is out"
        } else {
            ""
        };
        let cells = [
            Cell::text(freeze.what()),
            Cell::Time(freeze.until),
            Cell::text(lasting(line.left)),
            Cell::text(&freeze.by),
            Cell::prose(&freeze.reason),
            Cell::prose(early),
        ];
        (cells, json!(FreezeView::from(*line)))
    })
}
