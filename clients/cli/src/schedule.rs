//! `tachi jobs list`: the scheduled jobs of engines.

use serde_json::json;
use tachi_domain::situation::Severity;
use tachi_operator::{Failure, JobView, Time};

use crate::arguments::ScheduleListArgs;
use crate::out::{Cell, Column, TextTable, answer};
use crate::source::{self, Controller};

/// Lists the jobs.
pub async fn list(args: ScheduleListArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let rows = source.schedule().await?;
    let none = "nothing is scheduled: write [schedule] doctor = daily 03:00 into the engines' configuration";
    answer::list(&args.shape, source.now(), &sheet(&rows), none)?;
    Ok(crate::DONE)
}

fn sheet(rows: &[JobView]) -> TextTable<7> {
    let columns = [
        Column::new("job"),
        Column::new("when"),
        Column::of("last", "last_at"),
        Column::of("took", "took_seconds"),
        Column::new("grade"),
        Column::new("result"),
        Column::of("next", "next_at"),
    ];
    TextTable::new(columns, rows, |row| {
        let time = |at: Option<Time>| at.map_or_else(|| Cell::text("-"), |Time(at)| Cell::Time(at));
        let took = row.took_seconds.map(|took| format!("{took:.1} s"));
        let cells = [
            Cell::text(&row.job),
            Cell::text(&row.when),
            time(row.last_at),
            Cell::text(took.unwrap_or_else(|| "-".to_owned())),
            Cell::text(row.grade.map_or("-", Severity::as_str)),
            Cell::prose(&row.result),
            time(row.next_at),
        ];
        (cells, json!(row))
    })
}
