//! `tachi serve`: API and engine in one process, optionally with a simulated region.

use std::time::Duration;

use async_trait::async_trait;
use tachi_api::PolicyFiles;
use tachi_cli::arguments::{ConfigArgs, ServeArgs, UpstreamArgs};
use tachi_cli::out;
use tachi_demo::region::{Region, print_addresses};
use tachi_demo::{Controller, Monitors, RunningController};
use tachi_domain::count;
use tachi_domain::policy::Policy;
use tachi_engine::ports::OperatorJournal;
use tachi_operator::Failure;
use tokio::sync::watch;

use super::init::protect_all;
use super::service_settings;
use crate::logging;
use crate::settings::Settings;
use crate::wiring::{self, Base, Bus, Devices, EventSetup, Process};

/// Schedule of the jobs in a simulated region.
const SCHEDULE: &str = "\n[schedule]\ndoctor = daily 03:00\ndrill = weekly sun 04:00\npurge = daily 03:30\n";

/// Number of instances in a region for demonstration.
const DEFAULT_INSTANCES: u32 = 20;

/// Runs API and engine until they are stopped.
pub(crate) async fn run(args: ServeArgs) -> Result<u8, Failure> {
    if args.sandbox {
        return Box::pin(with_region(args)).await;
    }
    let settings = service_settings(&args.config, "tachi")?;
    let (rules, policy) = watch::channel(settings.policy.clone());
    let (process, base) = start(&settings, policy, &args.upstream).await?;
    super::schedule::keep(&process, &args.config, &settings, &base);
    let reload = || {
        super::reload_rules(&args.config, &rules);
        super::reload_tls(&settings);
    };
    process.run(reload).await?;
    base.close()
        .await
        .map_err(|error| Failure::new("closing the database", error))?;
    Ok(crate::DONE)
}

async fn with_region(args: ServeArgs) -> Result<u8, Failure> {
    if !args.config.config_file.is_empty() || !args.config.config_dir.is_empty() {
        return Err(Failure::usage(
            "--sandbox writes its own configuration: omit --config-file and --config-dir",
        ));
    }
    logging::start_on_stderr();
    let instances = if args.bare { 0 } else { DEFAULT_INSTANCES };
    let region = Region::of_command(&args.region, SCHEDULE, instances).await?;
    let settings = of_region(&region)?;
    let made = if args.bare {
        0
    } else {
        // The hosts are registered before the engine starts: it tests the fence devices of all hosts at its start, those of new
        // hosts only at its next poll.
        let base = wiring::base(&settings).await?;
        let made = Box::pin(protect_all(of_region(&region)?, &base)).await?;
        let closed = base.close().await;
        closed.map_err(|error| Failure::new("closing the database", error))?;
        made
    };
    let (_rules, policy) = watch::channel(settings.policy.clone());
    let (process, base) = start(&settings, policy, &args.upstream).await?;
    let config = ConfigArgs {
        config_file: vec![region.conf_file()],
        ..ConfigArgs::default()
    };
    super::schedule::keep(&process, &config, &settings, &base);
    if !args.bare {
        let monitors = Monitors::of(&region)?;
        process.task(|stop| monitors.run(stop));
    }
    print_addresses(&region, &args.region)?;
    if made > 0 {
        out::line(format!(
            "segments    {} of their zones, as by `tachi setup import --apply`",
            count(made, "host is in the segment", "hosts are in segments")
        ));
    }
    region.print_commands(&args.region, !args.bare);
    out::line("ready; try `openstack --os-cloud tachi-sandbox segment list`. Stop with Ctrl-C");
    process.run(|| {}).await?;
    base.close()
        .await
        .map_err(|error| Failure::new("closing the database", error))?;
    region.stop().await?;
    Ok(crate::DONE)
}

/// Returns the configuration of a simulated region.
fn of_region(region: &Region) -> Result<Settings, Failure> {
    let settings = Settings::parse("tachi.conf of the region", &region.conf);
    settings.map_err(|errors| Failure::config(&errors))
}

/// Starts API and engine; the API is listening when this returns.
async fn start(
    settings: &Settings,
    policy: watch::Receiver<Policy>,
    upstream: &UpstreamArgs,
) -> Result<(Process, Base), Failure> {
    wiring::count(settings)?;
    let bus = Bus::open(settings);
    bus.refuse_beside_upstream(upstream).await?;
    wiring::one_region(settings).await?;
    let base = wiring::base(settings).await?;
    let (notify, wake) = wiring::both_ends(settings)?;
    let event_setup = EventSetup::open(settings, &bus);
    let devices = Devices::open(settings, &base.clock)?;
    let (engine, nova) = wiring::engine(settings, &base, bus.wake(wake), policy.clone(), &devices).await?;
    let engine = engine.with_events(event_setup.port());
    let rules = PolicyFiles::open(&settings.oslo_policy)?;
    let router = wiring::api(
        settings,
        &base,
        bus.notify(notify),
        rules.policy(),
        policy,
        event_setup.port(),
    )
    .await?;
    let listener = wiring::listen::api(settings).await?;
    let mut process = Process::catching_signals()?;
    process.metrics(settings, wiring::Runs::Engine).await?;
    let events = event_setup.port();
    event_setup.run(&process);
    bus.listen(&mut process, settings, &base, upstream);
    process.engine((engine, nova), settings, &base, devices, events);
    process.api(listener, router, settings);
    process.policy(rules);
    Ok((process, base))
}

/// Starts API and engine of a simulated region, for the demo.
pub(super) struct RegionController;

#[async_trait]
impl Controller for RegionController {
    async fn start(&self, region: &Region) -> Result<Box<dyn RunningController>, Failure> {
        let settings = of_region(region)?;
        let (_, policy) = watch::channel(settings.policy.clone());
        let (process, base) = start(&settings, policy, &UpstreamArgs::default()).await?;
        Ok(Box::new(ProcessOfRegion { process, base }))
    }
}

struct ProcessOfRegion {
    process: Process,
    base: Base,
}

#[async_trait]
impl RunningController for ProcessOfRegion {
    fn operator_journal(&self) -> &dyn OperatorJournal {
        self.base.store.operator_journal()
    }

    async fn stop(self: Box<Self>) {
        self.process.end(Duration::from_secs(8)).await;
        if let Err(error) = self.base.close().await {
            tracing::warn!(%error, "failed to close the database");
        }
    }
}
