//! `tachi freeze list`.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;
use tachi_engine::ports::FreezeLine;
use tachi_operator::FreezeView;
use tachi_operator::when::lasting;

use super::super::when::time;
use super::super::{Failure, command_settings};
use crate::cli::{FreezeListArgs, ListFormat};
use crate::{out, wiring};

pub(super) async fn run(args: FreezeListArgs) -> Result<u8, Failure> {
    let base = wiring::existing(&command_settings(&args.config)?).await?;
    let listed = super::listed(&base).await?;
    match args.format {
        ListFormat::Table if listed.is_empty() => out::line("nothing is frozen"),
        ListFormat::Table => out::line(table(&listed)),
        ListFormat::Json => {
            let rows: Vec<_> = listed.iter().map(FreezeView::from).collect();
            out::line(json!(rows).to_string());
        }
        ListFormat::Value => listed.iter().for_each(|line| {
            let freeze = &line.freeze;
            out::line(format!(
                "{}\t{}\t{}\t{}\t{}\t{}\t{}",
                freeze.scope,
                line.target,
                freeze.name,
                time(freeze.until),
                line.left.as_secs(),
                freeze.by,
                freeze.reason
            ));
        }),
    }
    Ok(crate::DONE)
}

fn table(listed: &[FreezeLine]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["frozen", "until", "left", "by", "reason", "ends early"]);
    for line in listed {
        let freeze = &line.freeze;
        table.add_row([
            freeze.what(),
            time(freeze.until),
            lasting(line.left),
            freeze.by.clone(),
            freeze.reason.clone(),
            if freeze.unless_worse {
                "if a second host is out"
            } else {
                ""
            }
            .to_owned(),
        ]);
    }
    table.to_string()
}
