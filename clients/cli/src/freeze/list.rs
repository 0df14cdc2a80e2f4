//! `tachi freeze list`.

use std::time::Duration;

use serde_json::json;
use tachi_domain::freeze::Freeze;
use tachi_operator::when::duration_text;
use tachi_operator::{Failure, FreezeView};

use crate::arguments::FreezeListArgs;
use crate::out::{Cell, Column, TextTable, answer};
use crate::source::{self, Controller};

pub(super) async fn run(args: FreezeListArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let listed = source.freezes().await?;
    answer::list(&args.shape, source.now(), &sheet(&listed), "nothing is frozen")?;
    Ok(crate::DONE)
}

fn sheet(listed: &[FreezeView]) -> TextTable<6> {
    let columns = [
        Column::of("frozen", "name"),
        Column::new("until"),
        Column::of("left", "left_seconds"),
        Column::new("by"),
        Column::new("reason"),
        Column::of("ends early", "unless_worse"),
    ];
    TextTable::new(columns, listed, |view| {
        let early = if view.unless_worse {
            "if a second host is out"
        } else {
            ""
        };
        let what = Freeze::from(*view).what();
        let cells = [
            Cell::text(if view.by_drain {
                format!("{what} (by its drain)")
            } else {
                what
            }),
            Cell::Time(view.until.0),
            Cell::text(duration_text(Duration::from_secs(view.left_seconds))),
            Cell::text(&view.by),
            Cell::prose(&view.reason),
            Cell::prose(early),
        ];
        (cells, json!(view))
    })
}
