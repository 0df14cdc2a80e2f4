//! `tachi drill`: a rehearsal of a host failure.

use async_trait::async_trait;
use tachi_cli::arguments::{CanaryNetwork, ConfigArgs, DrillArgs};
use tachi_cli::consent::confirmed;
use tachi_cli::drill;
use tachi_cli::interruption::ctrl_c;
use tachi_cli::out::{self, answer, waiting};
use tachi_cli::prediction::predicted;
use tachi_cli::process_owner::who;
use tachi_cli::source::{Controller, Source as _};
use tachi_cli::status::code;
use tachi_domain::RecoveryId;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_engine::ports::canaries::Networks;
use tachi_openstack::CanaryCalls;
use tachi_operator::drill::live::canaries::{self, Make};
use tachi_operator::drill::live::{self, AdmittedHost, DrillRequest, LiveController, LivePorts, validate};
use tachi_operator::{Failure, ForecastView, Prediction, RecoveryHistoryView};

use super::{command_settings, switched_off};
use crate::database::Database;
use crate::wiring;

/// This controller, for a live drill.
struct DrillController<'a> {
    database: &'a Database,
    /// The configuration, with which the host is switched off as by `tachi fence off`.
    config: &'a ConfigArgs,
}

#[async_trait]
impl LiveController for DrillController<'_> {
    async fn forecast(&self, host: &str) -> Result<ForecastView, Failure> {
        self.database.forecast(None, &[host.to_owned()]).await
    }

    async fn recovery(&self, id: RecoveryId) -> Result<Option<RecoveryHistoryView>, Failure> {
        self.database.recovery(id).await
    }

    async fn predicted(&self) -> Result<Option<Prediction>, Failure> {
        predicted(self.database).await
    }

    async fn report_down(&self, host: &str, reason: &str) -> Result<(), Failure> {
        self.database.fail(host, reason).await.map(|_| ())
    }

    async fn power_off(&self, host: &str, reason: &str) -> Result<String, Failure> {
        switched_off(self.config, host, reason).await
    }
}

/// Runs the drill that the options ask for.
pub(crate) async fn run(args: DrillArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    if args.paper {
        drill::paper(&args, controller).await
    } else if args.live {
        Box::pin(switch_off(&args)).await
    } else if args.clean_up {
        clean_up(&args).await
    } else {
        shadow(&args).await
    }
}

/// Switches the host off, with only canaries on it.
async fn switch_off(args: &DrillArgs) -> Result<u8, Failure> {
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
    let ports = wiring::drill::ports(&database.settings, &database.base).await?;
    let controller = DrillController {
        database: &database,
        config: &args.source.config,
    };
    let admitted_host = async || -> Result<AdmittedHost, Failure> {
        let work = Box::pin(ports.shadow(&args.host, &by, ctrl_c()?));
        let shadow = waiting("Keystone, Nova, Placement and fence devices", work).await?;
        validate(&ports, &controller, &shadow).await
    };
    let nova = wiring::nova(&database.settings, &database.base.clock).await?;
    let leftover = waiting(
        "Keystone and Nova",
        canaries::found(&CanaryCalls::of(nova.clone()), &args.host, None),
    )
    .await?;
    if !leftover.is_empty() {
        return Err(drill::left_behind(&args.host, leftover.len()));
    }
    let host = admitted_host().await?;
    let consequence = drill::consequence(&host, count, image, flavor);
    let host = if args.yes {
        host
    } else {
        confirmed((&host.name, false), "run a live drill of", &consequence)?;
        // The operator may have taken a while to answer, so everything is checked again.
        admitted_host().await?
    };
    let ports = LivePorts {
        drill: &ports,
        canaries: wiring::drill::canaries(&database.settings, &database.base, nova)?,
        controller: &controller,
    };
    let done = live::live(ports, &host, &wish, &by, ctrl_c()?);
    let live = Box::pin(done).await?;
    let now = SystemClock.wall();
    answer::object(
        &args.shape,
        now,
        || drill::live_object(&live),
        |_| drill::live_lines(&live),
    )?;
    Ok(code(live.grade()))
}

/// Deletes the canaries that a live drill has left.
async fn clean_up(args: &DrillArgs) -> Result<u8, Failure> {
    let by = who(None)?;
    let database = Database::open(&args.source.config).await?;
    let nova = wiring::nova(&database.settings, &database.base.clock).await?;
    let found = waiting(
        "Keystone and Nova",
        canaries::found(&CanaryCalls::of(nova.clone()), &args.host, None),
    )
    .await?;
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
    let canaries = wiring::drill::canaries(&database.settings, &database.base, nova)?;
    live::clean_up(database.base.store.jobs(), canaries, &args.host, &ids, &by).await?;
    out::print(drill::cleaned_up(&args.host, ids.len()));
    Ok(crate::DONE)
}

async fn shadow(args: &DrillArgs) -> Result<u8, Failure> {
    let by = who(None)?;
    let settings = command_settings(&args.source.config)?;
    let base = wiring::existing(&settings).await?;
    let database = Database::of(settings, base);
    let ports = wiring::drill::ports(&database.settings, &database.base).await?;
    let work = Box::pin(ports.shadow(&args.host, &by, ctrl_c()?));
    let shadow = waiting("Keystone, Nova, Placement and fence devices", work).await?;
    let predicted = predicted(&database).await?;
    let object = drill::shadow_object(&shadow, predicted.as_ref());
    answer::object(
        &args.shape,
        SystemClock.wall(),
        || object,
        |_| drill::shadow_lines(&shadow, predicted.as_ref()),
    )?;
    Ok(code(shadow.grade()))
}
