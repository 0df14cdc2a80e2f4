//! `tachi drill`: what a drill shows, and the drill on paper.

mod live_result;
mod shadow_result;

use serde_json::json;
use tachi_domain::count;
use tachi_operator::Failure;
use tachi_operator::drill::live::AdmittedHost;
use tachi_operator::drill::unregistered;

use crate::DONE;
use crate::arguments::DrillArgs;
use crate::explain;
use crate::forecast::outcome;
use crate::out::answer;
use crate::prediction::predicted;
use crate::source::{self, Controller};

pub use live_result::{lines as live_lines, object as live_object};
pub use shadow_result::{lines as shadow_lines, object as shadow_object};

/// Shows what is known already: why the host is protected or not, whether its instances fit elsewhere, and how long earlier recoveries
/// took.
pub async fn paper(args: &DrillArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let found = source.explanations(&args.host).await?;
    let host = found
        .into_iter()
        .find(|one| one.kind == "host" && one.name == args.host);
    if host.as_ref().is_none_or(|one| one.segment.is_none()) {
        return Err(unregistered(&args.host));
    }
    let forecast = source.forecast(None, std::slice::from_ref(&args.host)).await?;
    let predicted = predicted(source.as_ref()).await?;
    let now = source.now();
    let object = json!({
        "host": args.host, "kind": "paper", "explanation": host, "forecast": forecast.lost, "predicted": predicted,
    });
    answer::object(
        &args.shape,
        now,
        || object,
        |_| {
            let mut lines = vec![format!(
                "simulated failure of {}: no service is called",
                args.host
            )];
            lines.extend(host.iter().flat_map(|one| explain::lines(one, now)));
            lines.extend(host.iter().flat_map(|one| &one.levels).map(|level| {
                let fault = level.fault.as_deref().unwrap_or("works");
                format!("  level {} {}: {fault}", level.level, level.device)
            }));
            lines.extend(
                forecast
                    .lost
                    .as_ref()
                    .map(|one| format!("room: {}", outcome(one))),
            );
            lines.push(match &predicted {
                Some(predicted) => predicted.sentence(),
                None => "duration unknown: no host has been recovered yet".to_owned(),
            });
            lines
        },
    )?;
    Ok(DONE)
}

/// Returns the failure of a live drill of a host for which an earlier one has left canaries.
pub fn left_behind(host: &str, canaries: usize) -> Failure {
    Failure::from_text(format!(
        "nothing was done: an earlier drill of {host} has left {} in Nova: `tachi drill {host} --clean-up`",
        count(canaries, "canary", "canaries")
    ))
}

/// Describes a live drill to the operator who is to confirm it.
pub fn consequence(host: &AdmittedHost, canaries: u32, image: &str, flavor: &str) -> String {
    let left = match host.headroom {
        1 => format!(
            "segment {} tolerates no other host failure until it is back",
            host.segment
        ),
        more => format!(
            "segment {} tolerates {} more host failures until it is back",
            host.segment,
            more - 1
        ),
    };
    format!(
        "it is empty; the drill builds {} of image {image} and flavor {flavor} on it, lets nothing else in, and then POWERS IT OFF. It \
         stays off until an operator brings it back; {left}.",
        count(canaries, "canary", "canaries")
    )
}

/// Describes the end of a clean-up, which has deleted this many canaries.
pub fn cleaned_up(host: &str, canaries: usize) -> String {
    match canaries {
        0 => format!("no canaries of drills of {host} are left"),
        canaries => format!(
            "{} deleted; `tachi host return {host}` shows what is left to do with {host}",
            count(canaries, "canary", "canaries")
        ),
    }
}
