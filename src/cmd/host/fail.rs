//! `tachi host fail`: a person says that a host is dead. It is the report that a monitor would make, and counts for no more: what
//! proves the host off is the engine's affair.

use serde_json::json;
use tachi_operator::{FailedView, members};

use super::super::Failure;
use super::super::fence::confirmed;
use super::super::recovery::note_if_nobody_works;
use crate::cli::HostFailArgs;
use crate::out::answer;
use crate::{out, source};

/// Reports a host as failed.
pub(super) async fn run(args: HostFailArgs) -> Result<u8, Failure> {
    let reason = args.reason.trim();
    if reason.is_empty() {
        return Err(Failure::usage("--reason: write what was seen"));
    }
    answer::admits(&args.shape, members::<FailedView>())?;
    let source = source::open(&args.source).await?;
    let outlook = source.outlook(&args.host).await?;
    let host = &outlook.host;
    if outlook.against.is_none() {
        // A program reads the answer alone.
        let tell = if args.shape.is_told() {
            out::told
        } else {
            out::note
        };
        outlook.consequences.iter().for_each(tell);
        confirmed(
            (host, args.yes),
            "report as dead",
            "what that does is told above.",
        )?;
    }
    // What speaks against it is refused there, unless this person has said the same already.
    let told = source.fail(host, reason).await?;
    answer::object(
        &args.shape,
        source.now(),
        || json!(told),
        |_| {
            let mut lines = Vec::new();
            if told.already {
                lines.push(format!(
                    "{host} was reported so already by {}: nothing was written",
                    told.by
                ));
            }
            lines.push(format!("notification  {}", told.notification));
            match told.recovery {
                Some(id) => lines.extend([
                    format!("recovery      {id}"),
                    format!("follow it     tachi recovery show {id} --follow"),
                ]),
                None => lines.push(format!(
                    "it has joined what is known of {host}: `tachi recovery list --host {host}`"
                )),
            }
            lines
        },
    )?;
    if told.set_aside {
        return Err(Failure::told(format!(
            "the report of {host} is kept, and nothing begins: this reporter is set aside, because Nova has contradicted it too \
             often; `tachi reporter list`"
        )));
    }
    note_if_nobody_works(source.as_ref()).await;
    Ok(crate::DONE)
}
