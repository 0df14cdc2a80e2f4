//! `tachi drill`: a rehearsal of a host failure.

use serde_json::json;
use tachi_cli::arguments::{CanaryNetwork, DrillArgs};
use tachi_cli::consent::confirmed;
use tachi_cli::explain;
use tachi_cli::forecast::outcome;
use tachi_cli::out::{self, answer, waiting};
use tachi_cli::prediction::predicted;
use tachi_cli::process_owner::who;
use tachi_cli::source::{self, Controller};
use tachi_cli::status::code;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_openstack::Networks;
use tachi_operator::Failure;

use super::command_settings;
use crate::database::Database;
use crate::drill::live::DrillRequest;
use crate::drill::live::admission::{AdmittedHost, validate};
use crate::drill::live::canaries::{self, Make};
use crate::drill::{self, DrillSources};
use crate::schedule::manual;
use crate::wiring;

/// Runs the drill that the options ask for.
pub(crate) async fn run(args: DrillArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    if args.paper {
        paper(&args, controller).await
    } else if args.live {
        Box::pin(live(&args)).await
    } else if args.clean_up {
        clean_up(&args).await
    } else {
        shadow(&args).await
    }
}

/// Switches the host off, with only canaries on it.
async fn live(args: &DrillArgs) -> Result<u8, Failure> {
    // Options that block the drill are refused before the operator is asked to confirm it.
    let by = who(None)?;
    let (Some(count), Some(image), Some(flavor)) =
        (args.canaries.canary, &args.canaries.image, &args.canaries.flavor)
    else {
        return Err(Failure::usage("--live needs --canary, --image and --flavor"));
    };
    let database = Database::open(&args.source.config).await?;
    let wish = DrillRequest {
        make: Make {
            count,
            image: image.clone(),
            flavor: flavor.clone(),
            networks: match args.canaries.network.clone() {
                CanaryNetwork::None => Networks::None,
                CanaryNetwork::Auto => Networks::Auto,
                CanaryNetwork::Of(id) => Networks::Of(id),
            },
            ha_key: database.settings.policy.ha_key.clone(),
        },
        notice: args.canaries.notice,
    };
    let sources = DrillSources::open(&database.settings, &database.base).await?;
    let admitted_host = async || -> Result<AdmittedHost, Failure> {
        let work = Box::pin(sources.shadow(&args.host, &by, manual::ctrl_c()?));
        let shadow = waiting("Keystone, Nova, Placement and fence devices", work).await?;
        validate(&database, &sources.nova, &shadow, &args.source.config).await
    };
    let leftover = waiting(
        "Keystone and Nova",
        canaries::found(&sources.nova, &args.host, None),
    )
    .await?;
    if !leftover.is_empty() {
        return Err(Failure::from_text(format!(
            "nothing was done: an earlier drill of {} has left {} in Nova: `tachi drill {} --clean-up`",
            args.host,
            tachi_domain::count(leftover.len(), "canary", "canaries"),
            args.host
        )));
    }
    let host = admitted_host().await?;
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
    let consequence = format!(
        "it is empty; the drill builds {} of image {image} and flavor {flavor} on it, lets nothing else in, and then POWERS IT OFF. It \
         stays off until an operator brings it back; {left}.",
        tachi_domain::count(count, "canary", "canaries")
    );
    let host = if args.yes {
        host
    } else {
        confirmed((&host.name, false), "run a live drill of", &consequence)?;
        // The operator may have taken a while to answer, so everything is checked again.
        admitted_host().await?
    };
    let done = drill::live::live(&database, &host, &wish, &by, manual::ctrl_c()?);
    let live = Box::pin(done).await?;
    let now = SystemClock.wall();
    answer::object(
        &args.shape,
        now,
        || drill::live::object(&live),
        |_| drill::live::lines(&live),
    )?;
    Ok(code(live.grade()))
}

/// Deletes the canaries that a live drill has left.
async fn clean_up(args: &DrillArgs) -> Result<u8, Failure> {
    let by = who(None)?;
    let database = Database::open(&args.source.config).await?;
    let nova = wiring::nova(&database.settings, &database.base.clock).await?;
    let found = waiting("Keystone and Nova", canaries::found(&nova, &args.host, None)).await?;
    for one in &found {
        let on = one.host.as_deref().unwrap_or("no host");
        out::print(format!("{} ({}) on {on}", one.name, one.id));
    }
    if !found.is_empty() {
        confirmed(
            (&args.host, args.yes),
            "delete the canaries of drills of",
            "those above. A drill that is still running fails.",
        )?;
    }
    let ids: Vec<_> = found.iter().map(|one| one.id).collect();
    drill::live::clean_up(&database, &args.host, &ids, &by).await?;
    out::print(match ids.len() {
        0 => format!("no canaries of drills of {} are left", args.host),
        count => format!(
            "{} deleted; `tachi host return {}` shows what is left to do with {}",
            tachi_domain::count(count, "canary", "canaries"),
            args.host,
            args.host
        ),
    });
    Ok(crate::DONE)
}

/// Shows what is known already: why the host is protected or not, whether its instances fit elsewhere, and how long earlier recoveries
/// took.
async fn paper(args: &DrillArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let found = source.explanations(&args.host).await?;
    let host = found
        .into_iter()
        .find(|one| one.kind == "host" && one.name == args.host);
    if host.as_ref().is_none_or(|one| one.segment.is_none()) {
        return Err(drill::unregistered(&args.host));
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
    Ok(crate::DONE)
}

async fn shadow(args: &DrillArgs) -> Result<u8, Failure> {
    let by = who(None)?;
    let settings = command_settings(&args.source.config)?;
    let base = wiring::existing(&settings).await?;
    let database = Database::of(settings, base);
    let sources = DrillSources::open(&database.settings, &database.base).await?;
    let work = Box::pin(sources.shadow(&args.host, &by, manual::ctrl_c()?));
    let shadow = waiting("Keystone, Nova, Placement and fence devices", work).await?;
    let predicted = predicted(&database).await?;
    let object = drill::object(&shadow, predicted.as_ref());
    answer::object(
        &args.shape,
        SystemClock.wall(),
        || object,
        |_| drill::lines(&shadow, predicted.as_ref()),
    )?;
    Ok(code(shadow.grade()))
}
