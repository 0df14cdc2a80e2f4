//! `tachi reporter`: who is set aside because Nova contradicts what he reports.

use std::sync::Arc;

use serde_json::json;
use tachi_engine::ports::audit::{AuditAction, AuditPhase};
use tachi_engine::ports::{AuditEntry, Clock, Doubted, OperatorDesk as _};

use super::when::time;
use super::who::who;
use super::{Failure, command_settings};
use crate::cli::{ReporterCommand, ReporterLiftArgs, ReporterListArgs};
use crate::out::{self, Cell, Column, Sheet, answer};
use crate::wiring;

/// Carries out one of them.
pub(crate) async fn run(command: ReporterCommand) -> Result<u8, Failure> {
    match command {
        ReporterCommand::List(args) => list(args).await,
        ReporterCommand::Lift(args) => lift(args).await,
    }
}

async fn all(base: &wiring::Base) -> Result<Vec<Doubted>, Failure> {
    let listed = base.store.desk().doubted_reporters().await;
    listed.map_err(|error| Failure::new("listing the reporters that are set aside", error))
}

async fn list(args: ReporterListArgs) -> Result<u8, Failure> {
    let base = wiring::existing(&command_settings(&args.config)?).await?;
    let listed = all(&base).await?;
    let now = base.clock.wall();
    answer::list(&args.shape, now, &sheet(&listed), "no reporter is set aside")?;
    Ok(crate::DONE)
}

fn state(one: &Doubted) -> &'static str {
    if one.aside {
        "set aside"
    } else {
        "heard: too many would be set aside"
    }
}

fn sheet(listed: &[Doubted]) -> Sheet<6> {
    let columns = [
        Column::new("number"),
        Column::new("reporter"),
        Column::of("state", "set_aside"),
        Column::new("since"),
        Column::new("kept"),
        Column::new("why"),
    ];
    Sheet::new(columns, listed, |one| {
        let cells = [
            Cell::number(&one.number),
            Cell::text(one.reporter.to_string()),
            Cell::text(state(one)),
            Cell::Time(one.since),
            Cell::number(&one.unheard),
            Cell::prose(&one.why),
        ];
        (cells, as_json(one))
    })
}

fn as_json(one: &Doubted) -> serde_json::Value {
    json!({
        "number": one.number,
        "reporter": one.reporter.to_string(),
        "host": one.reporter.host,
        "set_aside": one.aside,
        "since": time(one.since),
        "kept": one.unheard,
        "why": one.why,
    })
}

async fn lift(args: ReporterLiftArgs) -> Result<u8, Failure> {
    let by = who(args.reason.as_deref())?;
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let number = find(&all(&base).await?, &args.reporter)?;
    let lifted = base.store.desk().lift_reporter(number).await;
    let lifted = lifted.map_err(|error| Failure::new("letting the reporter be heard again", error))?;
    let Some(one) = lifted else {
        return Err(Failure::told("somebody else has lifted it meanwhile"));
    };
    let clock: Arc<dyn Clock> = base.clock.clone();
    let mut entry = AuditEntry::new(AuditAction::Lift, AuditPhase::Outcome, "");
    entry.operator = Some(by);
    entry.reporter = Some(one.reporter.to_string());
    entry.text = format!("is heard again; {} of its reports were kept", one.unheard);
    let written = match wiring::audit(&settings, &clock, "tachi reporter lift") {
        Ok(audit) => audit
            .write(entry)
            .await
            .map_err(|error| format!("{error}: {}", error.source)),
        Err(error) => Err(error.chain()),
    };
    out::line(format!(
        "{} is heard again from now on; {} of its reports were kept and began nothing: openstack notification list --status \
         ignored shows them",
        one.reporter, one.unheard
    ));
    // It is done, and must not look as if it were not.
    if let Err(why) = written {
        out::note(format!("tachi: this is not in the audit log: {why}"));
    }
    Ok(crate::DONE)
}

fn find(listed: &[Doubted], wanted: &str) -> Result<i64, Failure> {
    let is_it = |one: &&Doubted| {
        one.number.to_string() == wanted || one.reporter.host.as_deref().is_some_and(|host| host == wanted)
    };
    // A host may be called by a number: then the host's own is meant only if no list has that number.
    let by_number = listed.iter().find(|one| one.number.to_string() == wanted);
    by_number
        .or_else(|| listed.iter().find(is_it))
        .map(|one| one.number)
        .ok_or_else(|| {
            Failure::told(format!(
                "no reporter {wanted} is set aside: see tachi reporter list"
            ))
        })
}

#[cfg(test)]
mod tests {
    use tachi_domain::{Reporter, Timestamp};

    use super::*;

    #[test]
    fn a_reporter_is_found_by_its_number_or_its_host() {
        let one = |number, host: Option<&str>| Doubted {
            number,
            reporter: Reporter {
                host: host.map(Into::into),
                ..Reporter::default()
            },
            since: Timestamp::from_micros(0),
            why: "contradicted\u{1b}[2J".into(),
            aside: true,
            unheard: 0,
        };
        let listed = [one(7, Some("cmp1")), one(8, None), one(9, Some("8"))];
        for (wanted, expected) in [
            ("7", Some(7)),
            ("cmp1", Some(7)),
            ("8", Some(8)),
            ("cmp2", None),
            ("", None),
        ] {
            assert_eq!(find(&listed, wanted).ok(), expected, "{wanted}");
        }
        let view = crate::out::View::bare(Timestamp::from_micros(0));
        let table = sheet(&listed).table(&[], &view).unwrap();
        assert!(
            !table.contains('\u{1b}'),
            "nobody's names move the cursor: {table}"
        );
    }
}
