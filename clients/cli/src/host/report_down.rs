//! `tachi host report-down`: an operator reports a host as down. It has the same effect as a monitor's report:
//! the engine confirms the host off.

use serde_json::json;
use tachi_operator::{FailedView, Failure, members};

use super::super::consent::confirm;
use super::super::recovery::note_if_no_engine_runs;
use crate::arguments::HostReportDownArgs;
use crate::out;
use crate::out::answer;
use crate::source::{self, Controller};

pub async fn run(args: HostReportDownArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    answer::accepts(&args.confirmed.shape, members::<FailedView>())?;
    let source = source::open(&args.source, controller).await?;
    let preview = source.preview(&args.host).await?;
    let host = &preview.host;
    let mut consent = args.confirmed.consent.clone();
    // The source refuses below what is blocked, unless the same operator has just reported the same.
    consent.yes |= preview.against.is_some();
    if preview.against.is_none() {
        // A program reads only the answer on standard output.
        let print_line = if args.confirmed.shape.is_text() {
            out::print
        } else {
            out::note
        };
        preview.consequences.iter().for_each(print_line);
    }
    let reason = confirm(
        host,
        &consent,
        "report a failure of",
        "its effects are listed above.",
    )?;
    let reported = source.fail(host, &reason).await?;
    answer::object(
        &args.confirmed.shape,
        source.now(),
        || json!(reported),
        |_| {
            let mut lines = Vec::new();
            if reported.already {
                lines.push(format!(
                    "{host} was already reported down by {}: nothing was written",
                    reported.by
                ));
            }
            lines.push(format!("notification  {}", reported.notification));
            match reported.recovery {
                Some(id) => lines.extend([
                    format!("recovery      {id}"),
                    format!("follow it     tachi recovery show {host} --follow"),
                ]),
                None => lines.push(format!(
                    "it was added to an earlier report of {host}: `tachi recovery list --host {host}`"
                )),
            }
            lines
        },
    )?;
    if reported.set_aside {
        return Err(Failure::from_text(format!(
            "the report of {host} is stored, but starts no recovery: this reporter is muted, because Nova has contradicted it too often; \
             `tachi monitor list --muted`"
        )));
    }
    note_if_no_engine_runs(source.as_ref()).await;
    Ok(crate::DONE)
}
