//! `tachi engine`.

use tachi_cli::arguments::EngineArgs;
use tachi_operator::Failure;
use tokio::sync::watch;

use super::service_settings;
use crate::wiring::{self, Bus, Devices, EventSetup, Process};

/// Runs the engine until it is stopped.
pub(crate) async fn run(args: &EngineArgs) -> Result<u8, Failure> {
    let settings = service_settings(&args.config, "tachi-engine")?;
    wiring::count(&settings)?;
    let bus = Bus::open(&settings);
    bus.refuse_beside_upstream(&args.upstream).await?;
    wiring::one_region(&settings).await?;
    let base = wiring::base(&settings).await?;
    let (rules, policy) = watch::channel(settings.policy.clone());
    let devices = Devices::open(&settings, &base.clock)?;
    let wake = bus.wake(wiring::socket_wake(&settings)?);
    let (engine, nova) = wiring::engine(&settings, &base, wake, policy, &devices).await?;
    let event_setup = EventSetup::open(&settings, &bus);
    let engine = engine.with_events(event_setup.port());
    let mut process = Process::catching_signals()?;
    process.metrics(&settings, wiring::Runs::Engine).await?;
    let events = event_setup.port();
    event_setup.run(&process);
    bus.listen(&mut process, &settings, &base, &args.upstream);
    process.engine((engine, nova), &settings, &base, devices, events);
    super::schedule::keep(&process, &args.config, &settings, &base);
    process.run(|| super::reload_rules(&args.config, &rules)).await?;
    base.store
        .close()
        .await
        .map_err(|error| Failure::new("closing the database", error))?;
    Ok(crate::DONE)
}
