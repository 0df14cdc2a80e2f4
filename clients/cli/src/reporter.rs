//! `tachi monitor list --muted` and `unmute`: reporters that are muted because Nova contradicts what they report.

use serde_json::json;
use tachi_operator::{Failure, LiftedView, ReporterView, members};

use crate::arguments::{MonitorListArgs, MuteArgs, ReporterCommand};
use crate::out::{Cell, Column, TextTable, answer};
use crate::source::{self, Controller};

/// Runs the commands under their old name.
pub async fn of_reporter(command: ReporterCommand, controller: &dyn Controller) -> Result<u8, Failure> {
    match command {
        ReporterCommand::List(args) => list(args.into(), controller).await,
        ReporterCommand::Lift(args) => unmute(args, controller).await,
    }
}

pub(super) async fn list(args: MonitorListArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let listed = source.reporters().await?;
    answer::list(&args.shape, source.now(), &sheet(&listed), "no reporter is muted")?;
    Ok(crate::DONE)
}

fn state(one: &ReporterView) -> &'static str {
    if one.set_aside {
        "muted"
    } else {
        "trusted: muting it would exceed the limit"
    }
}

fn sheet(listed: &[ReporterView]) -> TextTable<6> {
    let columns = [
        Column::new("number"),
        Column::new("reporter"),
        Column::of("state", "set_aside"),
        Column::new("since"),
        Column::new("kept"),
        Column::new("why"),
    ];
    TextTable::new(columns, listed, |one| {
        let cells = [
            Cell::number(&one.number),
            Cell::text(&one.reporter),
            Cell::text(state(one)),
            Cell::Time(one.since.0),
            Cell::number(&one.kept),
            Cell::prose(&one.why),
        ];
        (cells, json!(one))
    })
}

pub(super) async fn unmute(args: MuteArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    answer::accepts(&args.shape, members::<LiftedView>())?;
    let source = source::open(&args.source, controller).await?;
    let unmuted = source.unmute(&args.reporter, args.reason.as_deref()).await?;
    answer::object(
        &args.shape,
        source.now(),
        || json!(unmuted),
        |_| {
            vec![format!(
                "reports of {} are accepted again, by {}; {} of its reports were stored without starting a recovery: openstack \
                 notification list --status ignored shows them",
                unmuted.lifted.reporter, unmuted.by, unmuted.lifted.kept
            )]
        },
    )?;
    Ok(crate::DONE)
}

#[cfg(test)]
mod tests {
    use tachi_domain::Timestamp;
    use tachi_operator::Time;

    use super::*;

    #[test]
    fn nobodys_name_moves_the_cursor() {
        let one = ReporterView {
            number: 7,
            reporter: "cmp1\u{1b}[2J".into(),
            host: None,
            set_aside: true,
            since: Time(Timestamp::from_micros(0)),
            kept: 0,
            why: "contradicted\u{1b}[2J".into(),
        };
        let view = crate::out::View::bare(Timestamp::from_micros(0));
        let table = sheet(&[one]).table(&[], &view).unwrap();
        assert!(!table.contains('\u{1b}'), "{table}");
    }
}
