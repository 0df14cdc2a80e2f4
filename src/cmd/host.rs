//! `tachi host`: saying that one is dead, bringing one back, and moving instances away from a living one or back to it.

mod checks;
mod closing;
mod facts;
mod fail;
mod giveback;
mod planned;
mod put_back;
mod steps;

use serde_json::json;
use tachi_domain::recovery::Life;
use tachi_engine::ports::operator::{HostView, RecoveryFilter};
use tachi_engine::ports::{Compute as _, OperatorDesk as _, Roll as _};
use tachi_operator::{failing, is_alive};

use self::checks::{Check, Verdict, checks};
use self::facts::Facts;
use super::{Failure, command_settings};
use crate::cli::{HostCommand, HostReturnArgs};
use crate::out::{answer, waiting};
use crate::settings::Settings;
use crate::wiring::{self, Base};

/// How many of the host's last recoveries are looked at for instances that still need a person.
const LOOKED_AT: u64 = 5;

/// Carries out one of them.
pub(crate) async fn run(command: HostCommand) -> Result<u8, Failure> {
    match command {
        HostCommand::Fail(args) => Box::pin(fail::run(args)).await,
        HostCommand::Drain(args) => Box::pin(planned::drain(args)).await,
        HostCommand::Giveback(args) => Box::pin(giveback::run(args)).await,
        HostCommand::Return(args) if args.put_back => Box::pin(put_back::run(args)).await,
        HostCommand::Return(args) => come_back(args).await,
    }
}

/// Says how to bring a recovered host back, and what speaks against it now.
async fn come_back(args: HostReturnArgs) -> Result<u8, Failure> {
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let facts = facts(&settings, &base, &args.host).await?;
    let checked = checks(&facts);
    let ready = is_ready(&checked);
    let steps = steps::steps(&facts);
    let told: Vec<_> = checked
        .iter()
        .map(|check| json!({"verdict": check.verdict.as_str(), "text": check.text}))
        .collect();
    let to_do: Vec<_> = steps
        .iter()
        .map(|step| json!({"done": step.known.done(), "text": step.text, "commands": step.commands}))
        .collect();
    let host = &facts.view.host;
    let object = json!({
        "host": host.name, "segment": host.segment.name, "ready": ready, "checks": told, "steps": to_do,
    });
    answer::object(&args.shape, base.clock.wall(), &object, |_| {
        let mut lines: Vec<String> = checked
            .iter()
            .map(|check| format!("{:<5} {}", check.verdict.as_str(), check.text))
            .collect();
        if !args.check {
            lines.push(String::new());
            lines.extend(steps::lines(&steps));
        }
        lines.push(String::new());
        lines.push(if ready {
            format!("{}: nothing speaks against putting it to work again", host.name)
        } else {
            format!("{}: not ready to be put to work again", host.name)
        });
        lines
    })?;
    Ok(if args.check && !ready {
        crate::FAILED
    } else {
        crate::DONE
    })
}

/// Whether nothing speaks against the host's work.
fn is_ready(checked: &[Check]) -> bool {
    checked
        .iter()
        .all(|check| matches!(check.verdict, Verdict::Good | Verdict::Note))
}

/// What is known of a host; says what is waited for while Nova or the database does not answer.
async fn facts(settings: &Settings, base: &Base, wanted: &str) -> Result<Facts, Failure> {
    waiting("the database, Keystone and Nova", read(settings, base, wanted)).await
}

async fn read(settings: &Settings, base: &Base, wanted: &str) -> Result<Facts, Failure> {
    let wrong = |error| Failure::new("reading the database", error);
    let view = find(base, wanted).await?;
    let name = view.host.name.clone();
    let filter = RecoveryFilter {
        closed: true,
        host: Some(view.host.id.to_string()),
        limit: Some(LOOKED_AT),
        ..RecoveryFilter::default()
    };
    let recoveries = base.store.desk().find_recoveries(&filter).await.map_err(wrong)?;
    let mut needy = Vec::new();
    if let Some(last) = recoveries.iter().find(|row| row.moves.total() > 0)
        && let Some(story) = base.store.desk().story(last.id).await.map_err(wrong)?
    {
        needy = story.vmoves;
    }
    let engines = base.store.roll().engines().await.map_err(wrong)?;
    let nova = wiring::nova(settings, &base.clock).await?;
    let text = |error: tachi_engine::ports::CallError| error.to_string();
    Ok(Facts {
        engine_runs: engines.iter().any(|line| is_alive(line, base.clock.wall())),
        service: nova.service(&name).await.map_err(text),
        migrations: nova.migrations_touching(&name).await.map_err(text),
        servers: nova.servers_on(&name).await.map_err(text),
        vmoves: needy,
        open: recoveries.iter().find(|row| row.life == Life::Open).cloned(),
        watched: recoveries.iter().any(|row| row.life == Life::Watching),
        view,
    })
}

async fn find(base: &Base, wanted: &str) -> Result<HostView, Failure> {
    let found = failing::named(base.store.desk(), wanted).await;
    found.map_err(|unsaid| Failure::unsaid("reading the database", unsaid))
}
