//! `tachi ack`: an operator knows of a finding and lives with it for a while. It is shown all the same, and is no alarm.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tachi_cli::arguments::AckArgs;
use tachi_cli::out::{Cell, Column, TextTable, answer};
use tachi_cli::process_owner;
use tachi_cli::source::Source as _;
use tachi_domain::situation::{Acknowledgement, FindingCode, name_in_command};
use tachi_engine::ports::audit::{AuditPhase, AuditResult};
use tachi_engine::ports::{AuditEntry, Fact, FactStore as _};
use tachi_engine::situation::acknowledged;
use tachi_engine::watcher::kind::ACKNOWLEDGED;
use tachi_operator::when::duration_text;
use tachi_operator::{Failure, Time};

use crate::database::Database;
use crate::wiring;
use crate::wiring::audited::{after, before};

const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(90 * 24);

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

fn key(code: FindingCode, name: Option<&str>) -> String {
    name.map_or_else(|| code.to_string(), |name| format!("{code} {name}"))
}

pub(crate) async fn run(args: AckArgs) -> Result<u8, Failure> {
    let AckArgs {
        config,
        code,
        name,
        lasts,
        reason,
        end,
        list: _,
        shape,
    } = args;
    if let (Some(code), false) = (code, end) {
        check(
            code,
            lasts.unwrap_or_default(),
            reason.as_deref().unwrap_or_default(),
        )?;
    }
    let database = Database::open(&config).await?;
    let now = database.now();
    let facts = database.base.store.facts();
    let wrong = |error| Failure::new("reading the acknowledgements", error);
    let kept = facts.facts(Some(ACKNOWLEDGED)).await.map_err(wrong)?;
    let mut all = acknowledged(&kept);
    all.retain(|one| one.until > now);
    let Some(code) = code else {
        all.sort_by_key(|one| one.until);
        let rows: Vec<AckView> = all.into_iter().map(AckView::from).collect();
        answer::list(&shape, now, &sheet(&rows), "no finding is acknowledged")?;
        return Ok(crate::DONE);
    };
    answer::accepts(&shape, ONE)?;
    let subject = name.map(|name| name_in_command(name.trim()).to_owned());
    let is_same = |known: &Acknowledgement| known.code == code && known.subject == subject;
    let what = key(code, subject.as_deref());
    // Each change also removes the acknowledgements that have ended.
    let valid: Vec<String> = all
        .iter()
        .map(|one| key(one.code, one.subject.as_deref()))
        .filter(|one| !end || *one != what)
        .collect();
    let mut gone = kept;
    gone.retain(|fact| !valid.contains(&fact.subject));
    let audit = wiring::audit(&database.settings, &database.base.clock, "tachi ack")?;
    let by = process_owner::who(None)?;
    let entry = |phase, text: &str| AuditEntry::change(phase, "", &by, text);
    let mut put = None;
    let (view, text) = if end {
        let Some(one) = all.into_iter().find(is_same) else {
            return Err(Failure::from_text(format!(
                "{what} is not acknowledged: nothing was written; `tachi ack --list` shows what is"
            )));
        };
        let intent = entry(AuditPhase::Intent, &format!("ends the acknowledgement of {what}"));
        before(&audit, intent, "nothing was written").await?;
        (one, format!("the acknowledgement of {what} has ended"))
    } else {
        let (lasts, reason) = (lasts.unwrap_or_default(), reason.unwrap_or_default());
        is_found(&database, code, subject.as_deref()).await?;
        let one = Acknowledgement {
            code,
            subject: subject.clone(),
            until: now.plus(lasts),
            by: process_owner::who(Some(reason.trim()))?,
        };
        let intent = format!(
            "acknowledges {what} for {}: {}",
            duration_text(lasts),
            reason.trim()
        );
        before(&audit, entry(AuditPhase::Intent, &intent), "nothing was written").await?;
        let fact = Fact {
            kind: ACKNOWLEDGED.to_owned(),
            subject: what.clone(),
            value: json!(one).to_string(),
            as_of: now,
        };
        put = Some(fact);
        (
            one,
            format!("{what} is acknowledged for {}", duration_text(lasts)),
        )
    };
    // Removed first: a command that fails after it has stored the acknowledgement would report a failure for it.
    let mut written = facts.remove_facts(&gone).await;
    if let (Ok(()), Some(fact)) = (&written, put) {
        written = facts.put_facts(&[fact]).await;
    }
    let mut outcome = entry(AuditPhase::Outcome, &text);
    outcome.result = Some(AuditResult::Ok);
    if let Err(error) = &written {
        outcome.result = Some(AuditResult::Transient);
        outcome.text = format!("{what}: it is unknown if it was written: {error}");
    }
    after(&audit, outcome).await;
    written.map_err(|error| {
        let what = "the acknowledgement may not be written, see `tachi ack --list`: writing it";
        Failure::new(what, error)
    })?;
    answer::object(&shape, now, || json!(AckView::from(view)), |_| vec![text])?;
    Ok(crate::DONE)
}

fn check(code: FindingCode, lasts: Duration, reason: &str) -> Result<(), Failure> {
    if !code.may_be_acknowledged() {
        return Err(Failure::usage(format!(
            "{code} cannot be acknowledged: it stays an alarm until it is resolved"
        )));
    }
    if !(SHORTEST..=LONGEST).contains(&lasts) {
        return Err(Failure::usage(format!(
            "--for: {} is not between 1m and 90d",
            duration_text(lasts)
        )));
    }
    if reason.trim().is_empty() {
        return Err(Failure::usage("--reason: write why, for the record"));
    }
    Ok(())
}

/// Refuses to acknowledge a finding that does not exist: a wrong name would be noticed only when the right one raises an alarm.
async fn is_found(database: &Database, code: FindingCode, name: Option<&str>) -> Result<(), Failure> {
    let situation = database.situation().await?;
    let of_code = situation.findings.iter().filter(|finding| finding.code == code);
    let mut subjects: Vec<&str> = of_code
        .clone()
        .flat_map(|one| one.subjects.iter().map(|subject| name_in_command(subject)))
        .collect();
    let found = name.map_or_else(|| of_code.count() > 0, |name| subjects.contains(&name));
    if found {
        return Ok(());
    }
    subjects.sort_unstable();
    // A host may be frozen twice.
    subjects.dedup();
    let others = if subjects.is_empty() {
        "`tachi status` lists the findings".to_owned()
    } else {
        format!("there is one about {}", subjects.join(", "))
    };
    Err(Failure::from_text(format!(
        "there is no finding {} now: nothing was written; {others}",
        key(code, name)
    )))
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use tachi_cli::arguments::{Cli, Command};

    #[tokio::test]
    async fn wrong_options_are_refused_before_the_database_is_opened() {
        for (code, lasts, reason, part) in [
            ("INSTANCE_DOWN", "1h", "x", "cannot be acknowledged"),
            ("HOST_NOT_IN_SEGMENT", "91d", "x", "not between 1m and 90d"),
            ("HOST_NOT_IN_SEGMENT", "1h", " ", "write why"),
        ] {
            let line = [
                "tachi",
                "ack",
                code,
                "--for",
                lasts,
                "--reason",
                reason,
                "--config-file",
                "/nowhere",
            ];
            let Command::Ack(args) = Cli::try_parse_from(line).unwrap().command else {
                panic!("another command");
            };
            let error = run(args).await.err().map(|error| format!("{error:?}"));
            assert!(
                error.as_ref().is_some_and(|error| error.contains(part)),
                "{error:?}"
            );
        }
    }
}
