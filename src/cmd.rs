//! The commands that need the configuration, the database or the services of a controller; `tachi-cli` has the others.

mod ack;
mod api;
mod audit;
mod config;
mod db;
mod doctor;
mod drill;
mod engine;
mod fence;
pub(crate) mod fence_agent;
mod host;
mod init;
mod local;
mod manage;
mod openapi;
mod policy;
mod schedule;
mod serve;
mod upgrade;

use fence::switched_off;

use tachi_cli::arguments::{
    Cli, Command, ConfigArgs, Format, ShapeArgs, UpgradeCheckArgs, UpgradeCommand, WAY, check_scope,
};
use tachi_cli::out;
use tachi_cli::{
    completions, events, explain, forecast, freeze, instance, mon, monitor, overview, recovery, reporter,
    status,
};
use tachi_demo::region;
use tachi_domain::policy::Policy;
use tachi_operator::Failure;
use tokio::sync::watch;

use crate::database::DatabaseController;
use crate::logging;
use crate::settings::Settings;
use crate::wiring::Process;

/// Runs a command; returns the exit code.
pub(crate) async fn run(cli: Cli) -> Result<u8, Failure> {
    check_scope(&cli.command)?;
    let controller = &DatabaseController;
    match cli.command {
        Command::Demo(args) => {
            if args.command.is_none() {
                logging::start_quietly();
            }
            tachi_demo::run(args, &serve::RegionController).await
        }
        Command::Serve(args) => Box::pin(serve::run(args)).await,
        Command::Api(args) => Box::pin(api::run(&args)).await,
        Command::Engine(args) => engine::run(&args).await,
        Command::Sandbox(args) => {
            logging::start_on_stderr();
            region::run(args, Process::default().run(|| {})).await
        }
        Command::Setup(command) => Box::pin(init::run(command)).await,
        Command::Db(command) => Box::pin(db::run(command)).await,
        Command::Recovery(command) => Box::pin(recovery::run(command, controller)).await,
        Command::Instance(command) => Box::pin(instance::run(command, controller)).await,
        Command::Vmove(command) => Box::pin(instance::of_vmove(command, controller)).await,
        Command::Monitor(command) => Box::pin(monitor::run(command, controller)).await,
        Command::Reporter(command) => Box::pin(reporter::of_reporter(command, controller)).await,
        Command::Events(args) => Box::pin(events::run(args, controller)).await,
        Command::Config(command) => config::run(command),
        Command::Policy(command) => policy::run(command),
        Command::Openapi(args) => openapi::run(&args),
        Command::Fence(command) => Box::pin(fence::run(command)).await,
        Command::Ack(args) => Box::pin(ack::run(args)).await,
        Command::Freeze(command) => Box::pin(freeze::run(command, controller)).await,
        Command::Thaw(command) => Box::pin(freeze::thaw(command, controller)).await,
        Command::Host(command) => Box::pin(host::run(command, controller)).await,
        Command::Audit(command) => Box::pin(audit::run(command)).await,
        Command::Show(args) => Box::pin(explain::run(args, controller)).await,
        Command::Forecast(args) => Box::pin(forecast::run(args, controller)).await,
        Command::Status(args) => Box::pin(status::run(args, controller)).await,
        Command::Mon(args) => Box::pin(mon::run(args, controller)).await,
        Command::Drill(args) => Box::pin(drill::run(args, controller)).await,
        Command::Jobs(command) => Box::pin(schedule::run(command, controller)).await,
        Command::Doctor(args) if args.upgrade => {
            Ok(Box::pin(upgrade::run(&args.source.config, &args.shape)).await)
        }
        Command::Doctor(args) => Box::pin(doctor::run(args, controller)).await,
        Command::Upgrade(UpgradeCommand::Check(UpgradeCheckArgs { config, shape })) => {
            Ok(Box::pin(upgrade::run(&config, &shape)).await)
        }
        Command::Completions { shell } => Ok(completions::run(shell)),
        Command::Night => {
            out::line(WAY);
            Ok(crate::DONE)
        }
        Command::Overview => Ok(Box::pin(overview::run(controller)).await),
        Command::FenceAgent(args) => Box::pin(fence_agent::run(args)).await,
        Command::Manage(config, category) => Box::pin(manage::run(config, category)).await,
        Command::MasakariStatus(config, json) => {
            let shape = ShapeArgs {
                format: if json { Format::Json } else { Format::Table },
                ..ShapeArgs::default()
            };
            Ok(Box::pin(upgrade::run(&config, &shape)).await)
        }
    }
}

/// Returns the configured number of threads; `None` for one per core.
pub(crate) fn worker_threads(cli: &Cli) -> Option<usize> {
    if let Command::Api(args) = &cli.command {
        return Settings::worker_threads(args);
    }
    if let Command::Serve(args) = &cli.command
        && !args.sandbox
    {
        return Settings::worker_threads(&args.config);
    }
    None
}

/// Reads the certificate again on SIGHUP.
fn reload_tls(settings: &Settings) {
    let Some(tls) = &settings.http.tls else { return };
    match tls.reload() {
        Ok(()) => tracing::info!("TLS certificate reloaded"),
        Err(error) => {
            let why = Failure::new("reading the certificate", error).chain();
            tracing::error!(%why, "certificate reload failed; keeping the previous certificate");
        }
    }
}

/// Reads the configuration of the service `name`, starts its log, and logs what looks wrong.
fn service_settings(args: &ConfigArgs, name: &str) -> Result<Settings, Failure> {
    let settings = Settings::load(args).map_err(|errors| Failure::config(&errors))?;
    let name = args.program.map_or(name, |program| program.name());
    logging::start(&settings.log, name, args.program.is_some())
        .map_err(|error| Failure::new("opening the log", error))?;
    for exposed in settings.exposed() {
        tracing::warn!(warning = %exposed, "file with a secret is readable by every user");
    }
    for warning in &settings.report.warnings {
        if warning.is_notice() {
            tracing::debug!(%warning, "configuration warning");
        } else {
            tracing::warn!(%warning, "configuration warning");
        }
    }
    Ok(settings)
}

/// Reads the configuration for an operator command, which has no log of its own.
fn command_settings(args: &ConfigArgs) -> Result<Settings, Failure> {
    Settings::load(args).map_err(|errors| Failure::config(&errors))
}

/// Reads the configuration again on SIGHUP. Its rules apply to recoveries that start from now on, and so does the log level. A
/// configuration with errors changes nothing.
fn reload_rules(args: &ConfigArgs, rules: &watch::Sender<Policy>) {
    match Settings::load(args) {
        Ok(settings) => {
            tachi_log::set_level(settings.log.debug);
            let changed = rules.send_if_modified(|policy| {
                let differs = *policy != settings.policy;
                *policy = settings.policy;
                differs
            });
            tracing::info!(changed, "configuration reloaded");
        }
        Err(errors) => {
            tracing::error!(%errors, "configuration reload failed; keeping the previous configuration");
        }
    }
}
