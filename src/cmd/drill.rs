//! `tachi drill`: what would happen if a host died now.

use serde_json::json;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;

use super::explain;
use super::forecast::outcome;
use super::status::code;
use super::who::who;
use super::{Failure, command_settings};
use crate::cli::DrillArgs;
use crate::drill::{self, Asked};
use crate::out::{answer, waiting};
use crate::schedule::by_hand;
use crate::source::{Database, Source as _};
use crate::wiring;

/// Carries it out.
pub(crate) async fn run(args: DrillArgs) -> Result<u8, Failure> {
    if args.paper {
        paper(&args).await
    } else {
        shadow(&args).await
    }
}

/// What is known already: why it is protected or not, whether there is room, and how long it took before.
async fn paper(args: &DrillArgs) -> Result<u8, Failure> {
    let source = Database::open(&args.config).await?;
    drill::registered(&source.base, &args.host).await?;
    let found = source.explanations(&args.host).await?;
    let host = found
        .into_iter()
        .find(|one| one.kind == "host" && one.name == args.host);
    let forecast = source.forecast(None, std::slice::from_ref(&args.host)).await?;
    let predicted = drill::predicted(&source.base).await?;
    let now = source.now();
    let object = json!({
        "host": args.host, "kind": "paper", "explanation": host, "forecast": forecast.lost, "predicted": predicted,
    });
    answer::object(&args.shape, now, &object, |_| {
        let mut lines = vec![format!("paper drill of {}: nobody is asked", args.host)];
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
            None => "no host was recovered yet, so nothing tells how long it would take".to_owned(),
        });
        lines
    })?;
    Ok(crate::DONE)
}

async fn shadow(args: &DrillArgs) -> Result<u8, Failure> {
    let by = who(None)?;
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let asked = Asked::open(&settings, &base).await?;
    let work = Box::pin(asked.shadow(&args.host, &by, by_hand::ctrl_c()?));
    let shadow = waiting("Keystone, Nova, Placement and fence devices", work).await?;
    let predicted = drill::predicted(&base).await?;
    let object = drill::object(&shadow, predicted.as_ref());
    answer::object(&args.shape, SystemClock.wall(), &object, |_| {
        drill::lines(&shadow, predicted.as_ref())
    })?;
    Ok(code(shadow.grade()))
}
