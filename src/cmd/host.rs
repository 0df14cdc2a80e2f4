//! `tachi host`: reporting a host as down, returning one to service, and moving instances away from a running one or back to it.

mod return_host;
mod undrain;

use tachi_cli::arguments::{HostCommand, HostReturnArgs};
use tachi_cli::host::{giveback, list, planned, readiness, report_down};
use tachi_cli::out::waiting;
use tachi_cli::source::{self, Controller, Source as _};
use tachi_operator::Failure;
use tachi_operator::return_to_service::{ReturnFacts, view};

use super::command_settings;
use crate::settings::Settings;
use crate::wiring::{self, Base};

pub(crate) async fn run(command: HostCommand, controller: &dyn Controller) -> Result<u8, Failure> {
    match command {
        HostCommand::List(args) => list::run(args, controller).await,
        HostCommand::ReportDown(args) => Box::pin(report_down::run(args, controller)).await,
        HostCommand::Undrain(args) => Box::pin(undrain::run(args, controller)).await,
        HostCommand::Drain(args) => Box::pin(planned::drain(args, controller)).await,
        HostCommand::Giveback(args) => Box::pin(giveback::run(args, controller)).await,
        HostCommand::Return(args) if args.put_back => Box::pin(return_host::run(args)).await,
        HostCommand::Return(args) => come_back(args).await,
    }
}

/// Shows how to return a recovered host to service, and what blocks it now.
async fn come_back(args: HostReturnArgs) -> Result<u8, Failure> {
    let (steps, now) = if let Some(api) = source::cloud(&args.source)? {
        (api.host_return(&args.host).await?, api.now())
    } else {
        let settings = command_settings(&args.source.config)?;
        let base = wiring::existing(&settings).await?;
        let facts = facts(&settings, &base, &args.host).await?;
        (view(&facts), base.clock.wall())
    };
    readiness::show(&args, &steps, now)
}

/// Reads the facts about a host; shows what it waits for while Nova or the database does not answer.
async fn facts(settings: &Settings, base: &Base, requested: &str) -> Result<ReturnFacts, Failure> {
    let work = async {
        let nova = wiring::nova(settings, &base.clock).await?;
        let read = wiring::return_ports(&base.store, &nova)
            .read(requested, base.clock.wall())
            .await;
        read.map_err(|unsaid| Failure::unsaid("reading the database", unsaid))
    };
    waiting("the database, Keystone and Nova", work).await
}
