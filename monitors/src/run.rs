//! The process: one monitor, its reports, its health, and its shutdown.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use tachi_daemon::{NotifyState, Signals, notify};
use tachi_instance_ha::Client;
use tachi_spool::Spool;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::{Cli, Command, ConfigArgs, HostArgs, InitCommand};
use crate::clock::Clock;
use crate::delivery::{DeliveryTask, Store};
use crate::failure::Failure;
use crate::health::Health;
use crate::heartbeat::{HeartbeatSink, HeartbeatSource};
use crate::kind::Kind;
use crate::monitor::Monitor;
use crate::reporter::SpoolWriter;
use crate::settings::Settings;
use crate::{
    boot_guard, check, drop_in, guests, host, instance, introspective, logging, out, process, status_server,
};

/// Time for a finished monitor's tasks to report.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the `tachi-monitor` program.
pub fn main() -> ExitCode {
    // The alert agent runs before anything else, because a cluster waits for it.
    if host::is_alert_agent() {
        return host::alert();
    }
    // Two TLS providers would make rustls panic at run time, so the only one is installed explicitly.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return out::fail(out::FAILED, "a TLS provider is already installed");
    }
    let given: Vec<OsString> = std::env::args_os().collect();
    let drop_in = drop_in::started(&given);
    let requested =
        match drop_in.map(|(kind, arguments)| drop_in::parse(kind, arguments).map(|args| (kind, args))) {
            Some(Ok((kind, args))) => ParsedCommand::Watch(kind, args),
            Some(Err(code)) => return ExitCode::from(code),
            None => ParsedCommand::Command(Cli::parse_from(&given).command),
        };
    // One thread is enough, and each thread costs memory on every hypervisor.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(16)
        .thread_stack_size(1 << 20)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return out::fail(out::FAILED, &format!("starting the runtime: {error}")),
    };
    let outcome = runtime.block_on(Box::pin(async {
        match requested {
            ParsedCommand::Watch(kind, args) => monitor(kind, &args).await,
            ParsedCommand::Command(requested) => command(requested).await,
        }
    }));
    // A running name lookup cannot be interrupted, and no work is left that must be done.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            // Masakari's programs exit with 1 on an invalid configuration.
            let code = if failure.is_usage() && drop_in.is_none() {
                out::USAGE
            } else {
                out::FAILED
            };
            out::fail(code, &failure.chain())
        }
    }
}

/// The requested action.
enum ParsedCommand {
    /// A monitor, started under a name of Masakari's.
    Watch(Kind, ConfigArgs),
    /// A command, started under our own name.
    Command(Command),
}

async fn command(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Host(HostArgs {
            command: Some(command),
            ..
        }) => host::command(&command),
        Command::Host(args) => monitor(Kind::Host, &args.config).await,
        Command::Process(args) => monitor(Kind::Process, &args).await,
        Command::Instance(args) => monitor(Kind::Instance, &args).await,
        Command::Introspective(args) => monitor(Kind::Introspective, &args).await,
        Command::BootGuard(args) => boot_guard::run(&args).await,
        Command::Check(args) => check::run(&args).await,
        Command::Init(InitCommand::Polkit(args)) => process::polkit_rule(&args),
        Command::Sample => {
            out::line(tachi_config::sample(&Settings::declared()?).trim_end());
            Ok(out::DONE)
        }
        Command::Completions { shell } => Ok(completions(shell)),
    }
}

fn completions(shell: clap_complete::Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tachi-monitor", &mut script);
    out::line(String::from_utf8_lossy(&script).trim_end());
    out::DONE
}

/// Creates the monitor of a kind. Changes nothing on this machine: `check` does the same beside a running monitor.
pub(crate) fn made(kind: Kind, settings: &Settings, clock: &Clock) -> Result<Box<dyn Monitor>, Failure> {
    match kind {
        Kind::Host => host::monitor(settings, clock),
        Kind::Process => Ok(process::monitor(settings, clock)),
        Kind::Instance => instance::monitor(settings, clock),
        Kind::Introspective => introspective::monitor(settings, clock),
    }
}

async fn monitor(kind: Kind, args: &ConfigArgs) -> Result<u8, Failure> {
    let settings = Settings::load(args)?;
    logging::start(&settings.log, kind, args.program.is_some());
    for warning in &settings.report.warnings {
        if warning.is_notice() {
            tracing::debug!(%warning, "configuration warning");
        } else {
            tracing::warn!(%warning, "configuration warning");
        }
    }
    for exposed in settings.exposed() {
        tracing::warn!(warning = %exposed, "file with a secret is readable by every user");
    }
    settings.check_tempdir()?;
    let clock = Clock::new();
    let monitor = made(kind, &settings, &clock)?;
    let client = Client::new(settings.api.clone()).map_err(|error| Failure::new("[api]", error))?;
    let folder = settings.folder(kind).join("spool");
    let (spool, opened) = Spool::open(&folder, settings.delivery.limits)
        .map_err(|error| Failure::new("opening the spool", error))?;
    if opened.torn {
        tracing::info!("last line of the spool was incomplete after a kill; no caller relied on it");
    }
    if let Some(damaged) = &opened.kept {
        tracing::error!(lines = opened.damaged, damaged = %damaged.display(), "spool has damaged lines, which are not delivered");
    }
    tracing::info!(
        monitor = kind.name(), hostname = %settings.hostname, waiting = opened.records,
        version = crate::VERSION, "monitor starts"
    );
    let reread = || reread(args);
    serve(
        kind,
        (&settings, &reread),
        clock,
        monitor,
        client,
        (spool, opened.unusable),
    )
    .await?;
    Ok(out::DONE)
}

async fn serve(
    kind: Kind,
    (settings, reread): (&Settings, &dyn Fn()),
    clock: Clock,
    monitor: Box<dyn Monitor>,
    client: Client,
    (spool, unusable): (Spool, Option<String>),
) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let finished = CancellationToken::new();
    let tasks = TaskTracker::new();
    let health = Health::new(sd_notify::watchdog_enabled());
    if let Some(why) = unusable {
        health.bad("spool", format!("reports are held only in memory: {why}"));
    }
    let numbers = status_server::count().map_err(|error| Failure::new("setting up metrics", error))?;
    if let Some(address) = settings.listen(kind) {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!(%address, "serving /healthz and /metrics");
                tasks.spawn(status_server::serve(
                    listener,
                    health.clone(),
                    numbers,
                    finished.clone(),
                ));
            }
            // Watching is more important than serving the health.
            Err(error) => {
                tracing::error!(%error, monitor = kind.name(), %address, "failed to listen for health requests");
            }
        }
    }
    let store = Store::new(spool);
    let fresh = Arc::new(Notify::new());
    let (keeper, reporter) =
        SpoolWriter::new(store.clone(), Arc::clone(&fresh), health.clone(), clock.clone());
    let client = Arc::new(client);
    let delivery_task = DeliveryTask {
        store,
        post: client.clone(),
        fresh,
        health: health.clone(),
        clock: clock.clone(),
        settings: settings.delivery.clone(),
        jitter: rand::random::<f64>,
    };
    let nova = settings.nova.clone();
    let heartbeats = HeartbeatSource {
        sink: Arc::clone(&client) as Arc<dyn HeartbeatSink>,
        host: settings.hostname.clone(),
        kind,
        health: health.clone(),
        clock,
        read_guests: Arc::new(move || guests::read_guests(&nova)),
        report_latency: (kind == Kind::Host).then(|| host::report_latency(settings)),
        jitter: rand::random::<f64>,
    };
    tasks.spawn(heartbeats.run(stop.clone()));
    let keeping = tasks.spawn(keeper.run());
    let stop = CancellationToken::new();
    let delivering = tasks.spawn(delivery_task.run(stop.clone()));
    let mut watching = tasks.spawn(monitor.run(reporter, health.clone(), stop.clone()));
    let mut signals = Signals::catch().map_err(|error| Failure::new("listening for signals", error))?;
    notify(&[NotifyState::Ready]);
    let ended = loop {
        // A signal that is not taken now is taken the next time, and the other branches only wait.
        tokio::select! {
            stopping = signals.next() => if stopping { break None } else { reread() },
            ended = &mut watching => break Some(ended),
        }
    };
    tracing::info!("monitor is stopping; delivering pending reports if the API answers");
    notify(&[NotifyState::Stopping]);
    stop.cancel();
    let ending = async {
        let ended = match ended {
            Some(ended) => ended,
            None => watching.await,
        };
        // No further reports are possible; the existing ones are written, then delivered.
        // A task that a monitor has left behind is not awaited.
        if tokio::time::timeout(END_TIMEOUT, keeping).await.is_err() {
            tracing::warn!("a task of the monitor did not stop in time");
        }
        stop.cancel();
        let _ = delivering.await;
        ended.map_err(|error| Failure::new("watching", error))?
    };
    tokio::pin!(ending);
    tokio::select! {
        ended = &mut ending => { finished.cancel(); ended }
        () = signals.stop() => Err(Failure::from_text("stopped at once by a second signal")),
    }
}

/// Handles SIGHUP: reopens the log, and reads the log level.
fn reread(args: &ConfigArgs) {
    tachi_log::reopen();
    match Settings::load(args) {
        Ok(settings) => tachi_log::set_level(settings.log.debug),
        Err(failure) => tracing::error!(
            why = failure.chain(),
            "configuration reload failed; keeping the previous configuration"
        ),
    }
}
