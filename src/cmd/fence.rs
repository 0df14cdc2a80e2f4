//! `tachi fence`: commands that read fence devices and use them.

mod check;
mod machines;
mod switch;

use std::sync::Arc;

pub(crate) use switch::switched_off;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock;
use tachi_fence::Fencers;
use tachi_operator::Failure;

use super::command_settings;
use crate::settings::Settings;
use tachi_cli::arguments::{ConfigArgs, FenceCommand};

pub(crate) async fn run(command: FenceCommand) -> Result<u8, Failure> {
    match command {
        FenceCommand::Status(args) => check::status(args).await,
        FenceCommand::Test(args) => check::test(args, true).await,
        FenceCommand::Check(args) => check::test(args, false).await,
        FenceCommand::Off(args) => switch::off(args).await,
        FenceCommand::On(args) => switch::on(args).await,
        FenceCommand::Trust(args) => Box::pin(machines::confirm(args)).await,
    }
}

/// Returns the settings, and the configured devices.
fn devices(config: &ConfigArgs) -> Result<(Settings, Arc<Fencers>), Failure> {
    let settings = command_settings(config)?;
    if !settings.fencing.is_configured() {
        return Err(Failure::usage(
            "no fence device is configured: write /etc/tachi/fencing.toml, or [fencing] maas_url",
        ));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let topology = settings.fencing.topology()?;
    let fencers = Fencers::new(topology, clock).max_power_commands(settings.fencing.max_power_commands);
    Ok((settings, Arc::new(fencers)))
}
