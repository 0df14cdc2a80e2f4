//! `tachi api`.

use tachi_api::PolicyFiles;
use tachi_cli::arguments::ConfigArgs;
use tachi_operator::Failure;
use tokio::sync::watch;

use super::service_settings;
use crate::wiring::{self, Bus, EventSetup, Process};

/// Runs the API until it is stopped.
pub(crate) async fn run(args: &ConfigArgs) -> Result<u8, Failure> {
    let settings = service_settings(args, "tachi-api")?;
    wiring::count(&settings)?;
    wiring::one_region(&settings).await?;
    let base = wiring::base(&settings).await?;
    let rules = PolicyFiles::open(&settings.oslo_policy)?;
    let bus = Bus::open(&settings);
    let notify = bus.notify(wiring::socket_notifier(&settings)?);
    let event_setup = EventSetup::open(&settings, &bus);
    let (recovery, followed) = watch::channel(settings.policy.clone());
    let router = wiring::api(
        &settings,
        &base,
        notify,
        rules.policy(),
        followed,
        event_setup.port(),
    )
    .await?;
    let mut process = Process::catching_signals()?;
    process.metrics(&settings, wiring::Runs::Api).await?;
    event_setup.run(&process);
    bus.publish(&process);
    process.api(wiring::listen::api(&settings).await?, router, &settings);
    process.policy(rules);
    let reload = || {
        super::reload_rules(args, &recovery);
        super::reload_tls(&settings);
    };
    process.run(reload).await?;
    base.close()
        .await
        .map_err(|error| Failure::new("closing the database", error))?;
    Ok(crate::DONE)
}
