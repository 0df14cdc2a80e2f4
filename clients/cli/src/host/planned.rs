//! `tachi host drain`, and its common parts with `tachi host giveback`: the command writes a plan, an engine carries it out, and the
//! command
//! follows it. The operator may stop following at any time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tachi_domain::RecoveryId;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_engine::ports::operator::RecoveryFilter;
use tachi_operator::plans::{InvalidPlan, PlanRequest, stop_command};
use tachi_operator::when::duration_text;
use tachi_operator::{
    Failure, InstanceView, PlannedView, RecoveryHistoryView, RecoveryView, members, one_line,
};

use super::super::consent::confirmed;
use super::super::recovery;
use super::super::recovery::note_if_no_engine_runs;
use crate::arguments::{ConsentArgs, HostDrainArgs, PlannedArgs};
use crate::out;
use crate::out::answer::{self, ProgressReporter};
use crate::source::{self, Controller, Source};

/// Interval between two polls of a plan that is followed.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Limit of failed polls in a row before the command gives up.
const MAX_ATTEMPTS: u32 = 600;

/// Exit code of an interrupted program, as in shells.
const INTERRUPTED: u8 = 130;

/// Drains a host, or ends its drain.
pub async fn drain(args: HostDrainArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let Some(lasts) = args.lasts else {
        return abort(args, controller).await;
    };
    let wish = wish(RecoveryKind::Drain, &args.planned, args.reason, lasts)?;
    answer::accepts(&args.planned.shape, members::<RecoveryView>())?;
    let source = source::open(&args.source, controller).await?;
    let meanwhile = ProgressReporter::of(&args.planned.shape, source.now());
    let preview = source.drain_outlook(&args.host).await?;
    let host = &preview.host;
    if preview.against.is_none() {
        preview.consequences.iter().for_each(|one| meanwhile.report(one));
        meanwhile.report(format!(
            "At most {} at a time; the freeze lasts {}.",
            wish.at_once,
            duration_text(wish.lasts)
        ));
        confirmed((host, args.planned.yes), "drain", "its effects are listed above.")?;
    }
    // The source refuses what is blocked, unless the same operator has just requested the same.
    let planned = source.plan(host, &wish).await?;
    begun(source.as_ref(), &planned, &args.planned).await
}

/// Ends the running drain of a host.
async fn abort(args: HostDrainArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let of_host = RecoveryFilter {
        host: Some(args.host.clone()),
        ..RecoveryFilter::default()
    };
    let open = source.recoveries(&of_host).await?;
    let drain = open
        .iter()
        .find(|row| row.kind == RecoveryKind::Drain && row.life == Life::Open);
    let Some(drain) = drain else {
        return Err(Failure::from_text(format!(
            "no drain of {} is running",
            args.host
        )));
    };
    let consent = ConsentArgs {
        reason: Some(args.reason),
        yes: args.planned.yes,
    };
    let requested = [drain.recovery.to_string()];
    recovery::act(
        source.as_ref(),
        &requested,
        recovery::ABORT,
        &consent,
        &args.planned.shape,
    )
    .await
}

/// Validates the options of a plan.
pub(super) fn wish(
    kind: RecoveryKind,
    args: &PlannedArgs,
    reason: String,
    lasts: Duration,
) -> Result<PlanRequest, Failure> {
    let wish = PlanRequest {
        kind,
        reason,
        lasts,
        at_once: args.at_once,
        limit: args.limit,
        with_locked: args.with_locked,
    };
    wish.validate().map_err(|why| {
        let (option, why) = match why {
            InvalidPlan::Lasts(why) => ("--for", why),
            InvalidPlan::Limit(why) => ("--limit", why),
            InvalidPlan::Reason(why) => ("--reason", why),
        };
        Failure::usage(format!("{option}: {why}"))
    })
}

/// Shows the plan that has started, and follows it unless `--no-follow` is given. Programs get only the final state.
pub(super) async fn begun(
    source: &dyn Source,
    planned: &PlannedView,
    args: &PlannedArgs,
) -> Result<u8, Failure> {
    let id = planned.recovery;
    let meanwhile = ProgressReporter::of(&args.shape, source.now());
    if planned.already {
        meanwhile.report(format!(
            "{} requested the same within the last minute: this is the result of that request, and nothing new was written. Wait a minute \
             to request it again",
            planned.by
        ));
    }
    meanwhile.report(format!("recovery      {id}"));
    note_if_no_engine_runs(source).await;
    let (history, code) = if args.no_follow {
        meanwhile.report(format!(
            "follow it     tachi recovery show {} --follow",
            planned.host
        ));
        meanwhile.report(format!(
            "stop it       {}",
            stop_command(planned.kind, &planned.host)
        ));
        let history = source.recovery(id).await?;
        (history.ok_or_else(|| gone(id))?, crate::DONE)
    } else {
        tokio::select! {
            followed = follow(source, id, meanwhile) => {
                let history = followed?;
                let code = end(&history);
                (history, code)
            }
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(|error| Failure::new("waiting for Ctrl-C", error))?;
                meanwhile.report("");
                meanwhile.report(format!("The operation continues. Follow: tachi recovery show {} --follow", planned.host));
                meanwhile.report(format!("Stop: {}", stop_command(planned.kind, &planned.host)));
                return Ok(INTERRUPTED);
            }
        }
    };
    // People have read it line by line already.
    answer::object(
        &args.shape,
        source.now(),
        || json!(history.summary),
        |_| Vec::new(),
    )?;
    Ok(code)
}

fn gone(id: RecoveryId) -> Failure {
    Failure::from_text(format!("recovery {id} does not exist any more"))
}

/// Prints news of each instance, until all are done.
async fn follow(
    source: &dyn Source,
    id: RecoveryId,
    meanwhile: ProgressReporter,
) -> Result<RecoveryHistoryView, Failure> {
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    let mut message = None;
    let mut failures = 0;
    loop {
        let history = match source.recovery(id).await {
            Ok(Some(history)) => history,
            Ok(None) => return Err(gone(id)),
            Err(error) if failures < MAX_ATTEMPTS => {
                failures += 1;
                if failures == 1 {
                    out::note(format!("tachi: {}; trying again", error.chain()));
                }
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        failures = 0;
        for instance in &history.instances {
            let line = line(instance);
            if let Some(line) = line
                && shown.get(&instance.id) != Some(&line)
            {
                meanwhile.report(&line);
                shown.insert(instance.id.clone(), line);
            }
        }
        if history.summary.message != message {
            message.clone_from(&history.summary.message);
            if let Some(text) = &message {
                meanwhile.report(one_line(text));
            }
        }
        if history.summary.life != Life::Open {
            return Ok(history);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn end(history: &RecoveryHistoryView) -> u8 {
    if history.summary.status == "finished" {
        crate::DONE
    } else {
        crate::FAILED
    }
}

/// Describes an instance; `None` while it waits for its turn.
fn line(instance: &InstanceView) -> Option<String> {
    let name = one_line(&instance.name);
    let message = instance.message.as_deref().map(one_line);
    let message = message.as_deref().unwrap_or_default();
    let to = instance.to.as_deref().unwrap_or("another host");
    Some(match instance.status? {
        VmoveStatus::Pending => return None,
        VmoveStatus::Ongoing => format!("  {name} … {message}").trim_end().to_owned(),
        VmoveStatus::Succeeded => {
            let took = instance.asked_at.zip(instance.over_at);
            let took = took.map_or(String::new(), |(from, until)| {
                format!(", {} s", until.0.micros_since(from.0) / 1_000_000)
            });
            format!("  {name} ✓ {to}{took}")
        }
        VmoveStatus::Ignored | VmoveStatus::Failed => format!("  {name} ✗ {message}"),
    })
}
