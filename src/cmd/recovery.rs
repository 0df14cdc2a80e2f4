//! `tachi recovery`: what an operator can see and say of recoveries.

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;
use tachi_domain::Timestamp;
use tachi_domain::recovery::Word;
use tachi_engine::ports::OperatorDesk as _;
use tachi_engine::ports::operator::{RecoverySummary, Said};

use super::{Failure, command_settings};
use crate::cli::{Format, RecoveryCommand, WordArgs};
use crate::{out, wiring};

/// Carries out one of them.
pub(crate) async fn run(command: RecoveryCommand) -> Result<u8, Failure> {
    let wrong = |error| Failure::new("reading the recoveries", error);
    match command {
        RecoveryCommand::List { config, all, format } => {
            let base = wiring::existing(&command_settings(&config)?).await?;
            let rows = base.store.recoveries(all).await.map_err(wrong)?;
            match format {
                Format::Table => list(&rows),
                Format::Json => out::line(json!(rows.iter().map(as_json).collect::<Vec<_>>()).to_string()),
            }
        }
        RecoveryCommand::Show { config, recovery } => {
            let base = wiring::existing(&command_settings(&config)?).await?;
            let rows = base.store.recoveries(true).await.map_err(wrong)?;
            let Some(row) = rows.iter().find(|row| row.id == recovery) else {
                return Err(Failure::told(format!("there is no recovery {recovery}")));
            };
            out::line(format!("host          {}", row.host));
            out::line(format!("notification  {} ({})", row.notification, row.status));
            out::line(format!("opened        {}", time(row.opened_at)));
            out::line(format!("life          {}", row.life));
            out::line(format!(
                "engine        {}",
                row.owner.as_deref().unwrap_or("none")
            ));
            out::line(format!(
                "message       {}",
                row.message.as_deref().unwrap_or("none")
            ));
            for step in base.store.steps(recovery).await.map_err(wrong)? {
                let task = step.task.trim_end_matches("Task");
                out::line(format!(
                    "{}  {:<7} {task}: {}",
                    time(step.at),
                    step.kind,
                    step.text
                ));
            }
        }
        RecoveryCommand::Approve(args) => return say(args, Word::Approve).await,
        RecoveryCommand::Reject(args) => return say(args, Word::Reject).await,
    }
    Ok(crate::DONE)
}

async fn say(args: WordArgs, word: Word) -> Result<u8, Failure> {
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let by = std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| format!("uid {}", rustix::process::getuid().as_raw()));
    let said = base
        .store
        .say(args.recovery, word, &by)
        .await
        .map_err(|error| Failure::new("writing the word", error))?;
    match said {
        Said::Heard => {
            wiring::socket_poke(&settings)?.poke();
            out::line(format!(
                "{word}: written; the engine hears it within a second or two"
            ));
            Ok(crate::DONE)
        }
        Said::Unknown => Err(Failure::told(format!("there is no recovery {}", args.recovery))),
        Said::Over => Err(Failure::told(format!(
            "recovery {} is over: nothing to {word}",
            args.recovery
        ))),
    }
}

fn list(rows: &[RecoverySummary]) {
    if rows.is_empty() {
        out::line("no recovery is open");
        return;
    }
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["recovery", "host", "kind", "life", "status", "opened", "message"]);
    for row in rows {
        table.add_row([
            row.id.to_string(),
            row.host.clone(),
            row.kind.to_string(),
            row.life.to_string(),
            row.status.clone(),
            time(row.opened_at),
            row.message.clone().unwrap_or_default(),
        ]);
    }
    out::line(table.to_string());
}

fn as_json(row: &RecoverySummary) -> serde_json::Value {
    json!({
        "recovery": row.id.to_string(),
        "notification": row.notification.to_string(),
        "kind": row.kind.as_str(),
        "host": row.host,
        "life": row.life.as_str(),
        "status": row.status,
        "message": row.message,
        "owner": row.owner,
        "opened_at": time(row.opened_at),
    })
}

fn time(at: Timestamp) -> String {
    DateTime::<Utc>::from_timestamp_micros(at.micros()).map_or_else(
        || "?".into(),
        |at| at.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}
