//! `tachi setup import`: segments and hosts from Nova. The command creates them with the requests that a client would send, to the API's
//! own router in this process: with the same checks, events and audit log lines.

use axum::http::Method;
use serde_json::json;
use tachi_cli::arguments::{FromNovaArgs, Method as RecoveryMethod};
use tachi_cli::from_nova::{lines, print_made, print_plan};
use tachi_cli::out::answer::{self, ProgressReporter};
use tachi_cli::process_owner::who;
use tachi_cli::source;
use tachi_cli::source::Source as _;
use tachi_domain::count;
use tachi_operator::from_nova::{DEFAULT_ZONE, KnownHosts, SegmentPlan, SegmentRule};
use tachi_operator::{Failure, FromNovaView, members};

use crate::cmd::command_settings;
use crate::cmd::local::{LocalController, LocalOperation};
use crate::settings::Settings;
use crate::wiring;
use crate::wiring::Base;
use crate::wiring::from_nova::{racks, without_level};

pub(super) async fn run(args: FromNovaArgs) -> Result<u8, Failure> {
    let made = ["made".to_owned()];
    answer::accepts(&args.shape, members::<FromNovaView>().into_iter().chain(made))?;
    if let Some(api) = source::cloud(&args.source)? {
        let view = api.proposal(args.by, &args.default_zone).await?;
        let not_made = "nothing was created: run `tachi setup import --apply` on a controller";
        return print_plan(&view, &args, not_made, api.now());
    }
    let settings = command_settings(&args.source.config)?;
    let base = wiring::existing(&settings).await?;
    let racks = match args.by {
        SegmentRule::Rack => Some(racks(settings.surroundings.domains_file.as_deref())?),
        SegmentRule::Zone | SegmentRule::Aggregate => None,
    };
    let known = known(&settings, &base).await?.by(racks);
    let plan = known.plan(args.by, &args.default_zone);
    let view = plan.view(without_level(&settings.fencing, known.hosts())?);
    let now = base.clock.wall();
    if plan.is_empty() || !args.apply {
        return print_plan(&view, &args, "nothing was created: add --apply", now);
    }
    let meanwhile = ProgressReporter::of(&args.shape, now);
    for line in lines(&view, args.method) {
        meanwhile.report(line);
    }
    let made = carry_out(settings, &base, &plan, args.method, COMMAND).await?;
    print_made(&view, &args, made, now)
}

/// Plans segments for hosts that are in none.
pub(in crate::cmd) async fn missing(settings: &Settings, base: &Base) -> Result<MissingHosts, Failure> {
    Ok(MissingHosts(known(settings, base).await?.missing()))
}

/// Hosts that are in no segment, with their planned segments.
pub(in crate::cmd) struct MissingHosts(SegmentPlan);

impl MissingHosts {
    pub(in crate::cmd) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::cmd) fn lines(&self) -> Vec<String> {
        lines(&self.0.view(None), RecoveryMethod::Auto)
    }

    /// Puts them into their segments; returns their number.
    pub(in crate::cmd) async fn put(
        &self,
        settings: Settings,
        base: &Base,
        command: &str,
    ) -> Result<usize, Failure> {
        carry_out(settings, base, &self.0, RecoveryMethod::Auto, command).await
    }
}

/// Name of `tachi setup import` in the audit log.
const COMMAND: &str = "tachi setup import";

/// Does the same as `--apply`, without output, for our own region; returns the number of created hosts.
pub(in crate::cmd) async fn protect_all(settings: Settings, base: &Base) -> Result<usize, Failure> {
    let plan = known(&settings, base)
        .await?
        .plan(SegmentRule::Zone, DEFAULT_ZONE);
    if plan.is_empty() {
        return Ok(0);
    }
    carry_out(settings, base, &plan, RecoveryMethod::Auto, COMMAND).await
}

/// Reads Nova's hosts and the existing segments.
async fn known(settings: &Settings, base: &Base) -> Result<KnownHosts, Failure> {
    let nova = wiring::nova(settings, &base.clock).await?;
    Ok(KnownHosts::read(base.store.operator_journal(), nova.as_ref()).await?)
}

/// Creates the planned objects; returns the number of created hosts.
async fn carry_out(
    settings: Settings,
    base: &Base,
    plan: &SegmentPlan,
    method: RecoveryMethod,
    command: &str,
) -> Result<usize, Failure> {
    let doing = LocalOperation {
        by: &who(None)?,
        command,
        host: "",
        intent: "creates segments and hosts from Nova",
        not_done: "nothing was created",
    };
    let operator_journal = LocalController::open(settings, base, &doing).await?;
    let mut made = 0;
    let ended = make(&operator_journal, plan, method.as_str(), &mut made).await;
    let done = count(made, "host was created", "hosts were created");
    operator_journal.close(&done, ended.is_err()).await;
    ended.map_err(|error| error.below(&format!("{done}, and the command can be run again for the rest")))?;
    Ok(made)
}

/// Creates the planned objects and counts the hosts.
async fn make(
    operator_journal: &LocalController,
    plan: &SegmentPlan,
    method: &str,
    count: &mut usize,
) -> Result<(), Failure> {
    for segment in &plan.segments {
        let id = if let Some(id) = &segment.id {
            id.to_string()
        } else {
            let body = json!({"segment": {
                "name": segment.name, "recovery_method": method, "service_type": "COMPUTE",
            }});
            let made = operator_journal.ask(Method::POST, "/v1/segments", &body).await;
            let made =
                made.map_err(|why| Failure::from_text(format!("creating segment {}: {why}", segment.name)))?;
            let id = made["segment"]["uuid"].as_str().map(str::to_owned);
            id.ok_or_else(|| Failure::from_text("the API has created a segment but did not return its id"))?
        };
        for host in &segment.hosts {
            let body = json!({"host": {"name": host, "type": "COMPUTE", "control_attributes": "SSH"}});
            let made = operator_journal
                .ask(Method::POST, &format!("/v1/segments/{id}/hosts"), &body)
                .await;
            made.map_err(|why| Failure::from_text(format!("creating host {host}: {why}")))?;
            *count += 1;
        }
    }
    Ok(())
}
