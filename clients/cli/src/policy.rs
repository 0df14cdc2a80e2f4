//! Output of `tachi policy`.

use std::fmt::Display;

use serde_json::json;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_operator::Failure;

use crate::out::{self, Cell, Column, ShapeArgs, TextTable, answer};

/// Prints rules, each with its name, its text and where it is from.
pub fn show_rules<'a>(
    shape: &ShapeArgs,
    rules: impl Iterator<Item = (&'a str, &'a str, String)>,
    warnings: &[impl Display],
) -> Result<(), Failure> {
    let columns = [Column::new("name"), Column::new("rule"), Column::new("from")];
    let sheet = TextTable::new(columns, rules, |(name, text, place)| {
        let object = json!({"name": name, "rule": text, "from": place});
        let cells = [Cell::text(*name), Cell::prose(*text), Cell::prose(place)];
        (cells, object)
    });
    answer::list(shape, SystemClock.wall(), &sheet, "there are no rules")?;
    note_warnings(warnings);
    Ok(())
}

/// Prints what is doubtful about the files of rules.
pub fn note_warnings(warnings: &[impl Display]) {
    for warning in warnings {
        out::note(format!("tachi: policy: {warning}"));
    }
}

/// Prints which of the rules allow a request.
pub fn show_answers(shape: &ShapeArgs, answers: &[(&str, bool)]) -> Result<(), Failure> {
    let objects = answers
        .iter()
        .map(|(rule, allowed)| json!({"rule": rule, "allowed": allowed}));
    let objects = objects.collect();
    answer::print(shape, SystemClock.wall(), ["rule", "allowed"], objects, || {
        let decision = |allowed: bool| if allowed { "allowed" } else { "denied " };
        let lines = answers
            .iter()
            .map(|(rule, allowed)| format!("{} {rule}", decision(*allowed)));
        lines.collect()
    })
}
