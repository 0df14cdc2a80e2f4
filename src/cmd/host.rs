//! `tachi host`: reporting a host as down, returning one to service, and moving instances away from a running one or back to it.

mod blocking_evacuations;
mod checks;
mod facts;
mod return_host;
mod steps;
mod undrain;

use serde_json::json;
use tachi_cli::arguments::{HostCommand, HostReturnArgs};
use tachi_cli::failure::Failure;
use tachi_cli::host::{giveback, list, planned, report_down};
use tachi_cli::out::{answer, waiting};
use tachi_cli::source::{self, Controller, Source as _};
use tachi_domain::Timestamp;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_engine::ports::operator::{MoveFilter, MoveLine, RecoverySummary};
use tachi_engine::ports::{
    Compute as _, EngineRegistry as _, FreezeLine, Freezes as _, OperatorJournal as _,
};
use tachi_openstack::Nova;
use tachi_operator::actions::ActionError;
use tachi_operator::{ReturnCheckView, ReturnView, is_alive, report_host};
use tachi_store::Store;

use self::checks::{Check, checks};
use self::facts::Facts;
use super::command_settings;
use crate::settings::Settings;
use crate::wiring::{self, Base};

/// Number of the host's last closed recoveries of each kind that are checked for instances that still need an operator.
const CHECKED_RECOVERIES: u64 = 5;

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
    answer::object(
        &args.shape,
        now,
        || json!(steps),
        |_| {
            let mut lines: Vec<String> = steps
                .checks
                .iter()
                .map(|check| format!("{:<5} {}", check.verdict, check.text))
                .collect();
            if !args.check {
                lines.push(String::new());
                lines.extend(steps::lines(&steps.steps));
            }
            lines.push(String::new());
            lines.push(if steps.ready {
                format!("{}: ready to return to service", steps.host)
            } else {
                format!("{}: not ready to return to service", steps.host)
            });
            lines
        },
    )?;
    Ok(if args.check && !steps.ready {
        crate::FAILED
    } else {
        crate::DONE
    })
}

/// Returns the checks and steps of a host's return to service, for the API.
pub(crate) async fn host_return(
    store: &Store,
    nova: &Nova,
    now: Timestamp,
    wanted: &str,
) -> Result<ReturnView, ActionError> {
    Ok(view(&read(store, nova, now, wanted).await?))
}

fn view(facts: &Facts) -> ReturnView {
    let checked = checks(facts);
    let host = &facts.view.host;
    ReturnView {
        host: host.name.clone(),
        segment: host.segment.name.clone(),
        ready: is_ready(&checked),
        checks: checked
            .into_iter()
            .map(|check| ReturnCheckView {
                verdict: check.verdict.as_str().to_owned(),
                text: check.text,
            })
            .collect(),
        steps: steps::steps(facts).into_iter().map(steps::Step::view).collect(),
    }
}

/// True if nothing blocks the host's return to service.
fn is_ready(checked: &[Check]) -> bool {
    !checked.iter().any(Check::is_against)
}

/// Reads the facts about a host; shows what it waits for while Nova or the database does not answer.
async fn facts(settings: &Settings, base: &Base, wanted: &str) -> Result<Facts, Failure> {
    let work = async {
        let nova = wiring::nova(settings, &base.clock).await?;
        let read = read(&base.store, &nova, base.clock.wall(), wanted).await;
        read.map_err(|unsaid| Failure::unsaid("reading the database", unsaid))
    };
    waiting("the database, Keystone and Nova", work).await
}

async fn read(store: &Store, nova: &Nova, now: Timestamp, wanted: &str) -> Result<Facts, ActionError> {
    let view = report_host::named(store.desk(), wanted).await?;
    let name = view.host.name.clone();
    let recoveries = store
        .desk()
        .recoveries_of_host(view.host.id, &name, CHECKED_RECOVERIES)
        .await?;
    let mut of_each = Vec::new();
    for row in recoveries.iter().filter(|row| row.moves.total() > 0) {
        of_each.extend(store.desk().story(row.id).await?.map(|story| story.vmoves));
    }
    let vmoves = of_each.first().cloned().unwrap_or_default();
    let engines = store.roll().engines().await?;
    let host = &view.host;
    let holds = |line: &FreezeLine| match line.freeze.scope {
        FreezeScope::Region => true,
        FreezeScope::Segment => line.target == host.segment.id.to_string(),
        FreezeScope::Host => line.target == host.id.to_string(),
        FreezeScope::Instance => false,
    };
    let mut freezes = store.freezes().freezes().await?;
    freezes.retain(holds);
    let moves = store.desk().moves(MoveFilter::NeedsPerson).await?;
    let is_of_it = |line: &&MoveLine| line.host == name || line.may_run.contains(&name);
    let waiting = moves.iter().filter(is_of_it);
    let waiting = waiting.map(|line| format!("{} ({})", line.name, line.server));
    let waiting = waiting.collect();
    let text = |error: tachi_engine::ports::CallError| error.to_string();
    Ok(Facts {
        engine_runs: engines.iter().any(|line| is_alive(line, now)),
        service: nova.service(&name).await.map_err(text),
        migrations: nova.migrations_touching(&name).await.map_err(text),
        servers: nova.servers_on(&name).await.map_err(text),
        vmoves,
        moved: of_each.into_iter().flatten().collect(),
        freezes,
        waiting,
        open: weightiest(&recoveries).cloned(),
        watched: recoveries
            .iter()
            .any(|row| row.life.awaits_return(row.wait.as_ref().map(|wait| wait.what))),
        view,
    })
}

/// Returns the open recovery that decides about the host: its own, else a drain or giveback, else one of an instance or process.
fn weightiest(recoveries: &[RecoverySummary]) -> Option<&RecoverySummary> {
    let rank = |row: &&RecoverySummary| match row.kind {
        RecoveryKind::Host => 0,
        RecoveryKind::Drain | RecoveryKind::Giveback => 1,
        RecoveryKind::Vm | RecoveryKind::Process => 2,
    };
    let open = recoveries.iter().filter(|row| row.life == Life::Open);
    open.min_by_key(rank)
}
