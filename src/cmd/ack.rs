//! `tachi ack`: an operator knows of a finding and lives with it for a while.

use tachi_cli::ack;
use tachi_cli::arguments::AckArgs;
use tachi_cli::out;
use tachi_cli::process_owner;
use tachi_cli::source::Source as _;
use tachi_domain::situation::{Acknowledgement, name_in_command};
use tachi_operator::Failure;
use tachi_operator::acknowledgement::{Acknowledgements, Acknowledger, is_found, validate};

use crate::database::Database;
use crate::wiring;

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
        validate(
            code,
            lasts.unwrap_or_default(),
            reason.as_deref().unwrap_or_default(),
        )?;
    }
    let database = Database::open(&config).await?;
    let now = database.now();
    let facts = database.base.store.facts();
    let known = Acknowledgements::read(facts, now).await?;
    let Some(code) = code else {
        return ack::show_list(&shape, now, known.into_valid());
    };
    ack::accepts(&shape)?;
    let subject = name.map(|name| name_in_command(name.trim()).to_owned());
    let audit = wiring::audit(&database.settings, &database.base.clock, "tachi ack")?;
    let acknowledger = Acknowledger {
        facts,
        audit: audit.as_ref(),
        by: process_owner::who(None)?,
        note: |text| out::note(text),
    };
    let (acknowledgement, text) = if end {
        acknowledger.end(known, code, subject.as_deref()).await?
    } else {
        let (lasts, reason) = (lasts.unwrap_or_default(), reason.unwrap_or_default());
        let reason = reason.trim();
        is_found(&database.situation().await?, code, subject.as_deref())?;
        let new = Acknowledgement {
            code,
            subject,
            until: now.plus(lasts),
            by: process_owner::who(Some(reason))?,
        };
        acknowledger
            .acknowledge(&known, new, (now, lasts, reason))
            .await?
    };
    ack::show_one(&shape, now, acknowledgement, text)
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
