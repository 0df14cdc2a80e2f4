//! `tachi host return --do`: our own steps of a host's return to service, once nothing blocks them.
//!
//! Clearing `forced_down` is not one of them: only the engine that watches the host knows whether a fence device's command may still take
//! effect. A service that was disabled by others stays disabled, and a host that an operator has put in maintenance
//! stays there. Each step is checked first, written into the audit log before it is done, and skipped if it is done already: after a
//! crash in between, the command can be run again.

use axum::http::Method;
use serde_json::json;
use tachi_cli::arguments::{HostReturnArgs, SourceArgs};
use tachi_cli::consent::confirmed;
use tachi_cli::out;
use tachi_cli::out::answer::{self, ProgressReporter};
use tachi_cli::process_owner::who;
use tachi_domain::entity::Host;
use tachi_domain::nova::Service;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_operator::Failure;
use tachi_operator::return_to_service::{ReturnFacts, enable, ready};

use super::super::command_settings;
use super::super::local::{LocalController, LocalOperation};
use super::facts;
use crate::settings::Settings;
use crate::wiring::audit;
use crate::wiring::{self, Base};

/// Name of this command in the audit log.
const COMMAND: &str = "tachi host return";

/// Output fields for programs: which of the steps were done now.
const PUT_BACK: [&str; 4] = ["host", "enabled", "off_maintenance", "by"];

/// The confirmation before anything is done; the command itself cannot check these facts.
const CONFIRMATION_TEXT: &str = "Nova will place instances there again. You have checked that no old guest runs on it (virsh list --all), \
    and that its queue was purged before nova-compute started.";

/// The steps that were done.
pub(super) struct PutBack {
    host: String,
    enabled: bool,
    off_maintenance: bool,
    by: String,
}

/// Returns a host to service and prints the result.
pub(super) async fn run(args: HostReturnArgs) -> Result<u8, Failure> {
    answer::accepts(&args.shape, PUT_BACK)?;
    let now = SystemClock.wall();
    let done = Box::pin(put_back(&args, ProgressReporter::of(&args.shape, now))).await?;
    let object = || json!({"host": done.host, "enabled": done.enabled, "off_maintenance": done.off_maintenance, "by": done.by});
    answer::object(&args.shape, now, object, |_| Vec::new())?;
    Ok(crate::DONE)
}

/// Returns a host to service without printing the result.
pub(super) async fn put_back(args: &HostReturnArgs, meanwhile: ProgressReporter) -> Result<PutBack, Failure> {
    let reason = args.reason.as_deref().unwrap_or_default().trim();
    if reason.is_empty() {
        return Err(Failure::usage(
            "--reason: write what was checked, such as `no old guest runs, its queue was empty`",
        ));
    }
    let by = who(Some(reason))?;
    let settings = command_settings(&args.source.config)?;
    let base = wiring::existing(&settings).await?;
    let facts = admitted(&settings, &base, &args.host).await?;
    let host = facts.view.host.name.clone();
    let is_enabled = facts.service().is_some_and(|service| service.enabled);
    let done = |enabled: bool, off_maintenance: bool| {
        Ok(PutBack {
            host: host.clone(),
            enabled,
            off_maintenance,
            by: by.clone(),
        })
    };
    if is_enabled && !facts.view.host.on_maintenance {
        meanwhile.report(format!(
            "{host}: nothing to do: it is enabled and not in maintenance"
        ));
        return done(false, false);
    }
    confirmed((&host, args.yes), "return", CONFIRMATION_TEXT)?;
    // The operator may have taken a while to answer, so the facts are read again.
    let facts = admitted(&settings, &base, &args.host).await?;
    let (mut enabled, mut off) = (false, false);
    if let Some(service) = facts.service().filter(|service| !service.enabled) {
        enable_service(&settings, &base, service, &by).await?;
        enabled = true;
        meanwhile.report(format!(
            "{host}: its service is enabled (`tachi status` shows that within 15 s, as soon as an engine has read Nova again)"
        ));
        // A failure that was reported in between has disabled the service again, or will.
        admitted(&settings, &base, &args.host)
            .await
            .map_err(|error| error.below(&format!("{host} is enabled, but still in maintenance")))?;
    }
    if facts.view.host.on_maintenance {
        off_maintenance(settings, &base, &facts, &by).await?;
        off = true;
        meanwhile.report(format!("{host}: maintenance cleared, HA active"));
    }
    done(enabled, off)
}

/// Fails if anything but the drain's freeze blocks the return of a drained host. Returns the host.
pub(super) async fn validate_undrain(args: &SourceArgs, requested: &str) -> Result<Host, Failure> {
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let mut facts = facts(&settings, &base, requested).await?;
    facts.freezes.retain(|line| !line.by_drain);
    ready(facts).map(|facts| facts.view.host)
}

/// Reads the facts about the host; fails if they block its return.
async fn admitted(settings: &Settings, base: &Base, requested: &str) -> Result<ReturnFacts, Failure> {
    ready(facts(settings, base, requested).await?)
}

async fn enable_service(
    settings: &Settings,
    base: &Base,
    service: &Service,
    by: &str,
) -> Result<(), Failure> {
    let audit = audit(settings, &base.clock, COMMAND)?;
    let nova = wiring::nova(settings, &base.clock).await?;
    let note: fn(&str) = |text| out::note(text);
    enable(nova.as_ref(), audit.as_ref(), (service, by), note).await
}

async fn off_maintenance(
    settings: Settings,
    base: &Base,
    facts: &ReturnFacts,
    by: &str,
) -> Result<(), Failure> {
    let host = &facts.view.host;
    let doing = LocalOperation {
        by,
        command: COMMAND,
        host: &host.name,
        intent: "clears its maintenance",
        not_done: "it is still in maintenance",
    };
    let controller = LocalController::open(settings, base, &doing).await?;
    let path = format!("/v1/segments/{}/hosts/{}", host.segment.id, host.id);
    let body = json!({"host": {"on_maintenance": false}});
    let ended = controller.ask(Method::PUT, &path, &body).await;
    let text = match &ended {
        Ok(_) => "its maintenance is cleared".to_owned(),
        Err(why) => why.clone(),
    };
    controller.close(&text, ended.is_err()).await;
    ended
        .map(|_| ())
        .map_err(|why| Failure::from_text(format!("clearing its maintenance: {why}; run this again")))
}
