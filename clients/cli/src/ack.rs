//! Output of `tachi ack`.

use serde::Serialize;
use serde_json::json;
use tachi_domain::Timestamp;
use tachi_domain::situation::{Acknowledgement, FindingCode};
use tachi_operator::{Failure, Time};

use crate::out::{Cell, Column, ShapeArgs, TextTable, answer};

/// Output fields of one acknowledgement.
const ONE: [&str; 4] = ["code", "name", "until", "by"];

#[derive(Serialize)]
struct AckView {
    code: FindingCode,
    name: Option<String>,
    until: Time,
    by: String,
}

impl From<Acknowledgement> for AckView {
    fn from(acknowledgement: Acknowledgement) -> Self {
        Self {
            code: acknowledgement.code,
            name: acknowledgement.subject,
            until: Time(acknowledgement.until),
            by: acknowledgement.by,
        }
    }
}

/// Refuses a column that the answer about one acknowledgement will not have.
pub fn accepts(shape: &ShapeArgs) -> Result<(), Failure> {
    answer::accepts(shape, ONE)
}

/// Prints the acknowledgements.
pub fn show_list(shape: &ShapeArgs, now: Timestamp, all: Vec<Acknowledgement>) -> Result<u8, Failure> {
    let rows: Vec<AckView> = all.into_iter().map(AckView::from).collect();
    answer::list(shape, now, &sheet(&rows), "no finding is acknowledged")?;
    Ok(crate::DONE)
}

/// Prints the acknowledgement that was written or ended; `text` is what was done.
pub fn show_one(
    shape: &ShapeArgs,
    now: Timestamp,
    acknowledgement: Acknowledgement,
    text: String,
) -> Result<u8, Failure> {
    answer::object(
        shape,
        now,
        || json!(AckView::from(acknowledgement)),
        |_| vec![text],
    )?;
    Ok(crate::DONE)
}

fn sheet(rows: &[AckView]) -> TextTable<4> {
    let columns = ONE.map(Column::new);
    TextTable::new(columns, rows, |one| {
        let cells = [
            Cell::text(one.code.to_string()),
            Cell::text(one.name.as_deref().unwrap_or_default()),
            Cell::Time(one.until.0),
            Cell::prose(&one.by),
        ];
        (cells, json!(one))
    })
}
