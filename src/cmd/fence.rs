//! `tachi fence`: what an operator can see of fence devices, and do with them.

mod check;
mod machines;
mod switch;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

pub(crate) use switch::{switched_off, what_runs};
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock;
use tachi_fence::Fencers;

use super::{Failure, command_settings};
use crate::cli::{ConfigArgs, FenceCommand};
use crate::out;
use crate::settings::Settings;

/// Carries out one of them.
pub(crate) async fn run(command: FenceCommand) -> Result<u8, Failure> {
    match command {
        FenceCommand::Status(args) => check::status(args).await,
        FenceCommand::Test(args) => check::test(args).await,
        FenceCommand::Check(args) => check::check(args).await,
        FenceCommand::Off(args) => switch::off(args).await,
        FenceCommand::On(args) => switch::on(args).await,
        FenceCommand::Confirm(args) => Box::pin(machines::confirm(args)).await,
    }
}

/// Asks for the host's name, unless `yes`.
pub(crate) fn confirmed((host, yes): (&str, bool), what: &str, consequence: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "nobody can be asked whether to {what} {host}: say --yes"
        )));
    }
    let mut to = std::io::stderr();
    // If the question cannot be shown, nobody answers it.
    let _ = write!(
        to,
        "{what} {host}: {consequence}\nType {} to go on: ",
        out::plain(host)
    );
    let _ = to.flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && answer.trim() == host {
        return Ok(());
    }
    Err(Failure::told("nothing was done"))
}

/// The settings, and the devices that are configured.
fn devices(config: &ConfigArgs) -> Result<(Settings, Arc<Fencers>), Failure> {
    let settings = command_settings(config)?;
    if !settings.fencing.is_configured() {
        return Err(Failure::usage(
            "no fence device is configured: write /etc/tachi/fencing.toml, or [fencing] maas_url",
        ));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let topology = settings.fencing.topology()?;
    let fencers = Fencers::new(topology, clock).at_once(settings.fencing.at_once);
    Ok((settings, Arc::new(fencers)))
}
