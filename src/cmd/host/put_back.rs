//! `tachi host return --do`: the steps home that are ours, once nothing speaks against them.
//!
//! Clearing `forced_down` is none of them: only the engine that watches the host knows whether an order of a fence device may still take
//! effect (R5, R22). A service that somebody else has disabled stays disabled (R23), and a host that an operator has put on maintenance
//! stays there. Each step is looked at first, written into the audit log before it is done, and skipped if it is done already: after a
//! death in between the command is run again.

use axum::http::Method;
use serde_json::json;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::nova::Service;
use tachi_domain::recovery::is_marked;
use tachi_engine::SystemClock;
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::compute::ServiceChange;
use tachi_engine::ports::operator::{MoveFilter, MoveLine};
use tachi_engine::ports::{
    AuditEntry, Clock as _, CloudLists as _, Compute as _, Freezes as _, OperatorDesk as _,
};

use super::super::consent::confirmed;
use super::super::freeze::{after, before};
use super::super::local::{Desk, Doing};
use super::super::who::who;
use super::super::{Failure, command_settings};
use super::checks::{Verdict, checks};
use super::facts::Facts;
use super::{facts, is_ready};
use crate::cli::HostReturnArgs;
use crate::out::answer::{self, Meanwhile};
use crate::settings::Settings;
use crate::wiring::{self, Base};
use crate::{out, wiring::audit};

/// As the audit log names us.
const COMMAND: &str = "tachi host return";

/// What is told to programs: which of the steps were done now.
const PUT_BACK: [&str; 4] = ["host", "enabled", "off_maintenance", "by"];

/// What is asked before anything is done; nobody can see it from here.
const ASKED: &str = "its instances will be placed there again. You have seen that no old guest runs on it (virsh list --all), and that \
                     its queue was emptied before nova-compute started.";

/// What was done of it.
pub(super) struct PutBack {
    host: String,
    enabled: bool,
    off_maintenance: bool,
    by: String,
}

/// Puts a host to work again.
pub(super) async fn run(args: HostReturnArgs) -> Result<u8, Failure> {
    answer::admits(&args.shape, PUT_BACK)?;
    let now = SystemClock.wall();
    let done = Box::pin(put_back(&args, Meanwhile::of(&args.shape, now))).await?;
    let object = || json!({"host": done.host, "enabled": done.enabled, "off_maintenance": done.off_maintenance, "by": done.by});
    answer::object(&args.shape, now, object, |_| Vec::new())?;
    Ok(crate::DONE)
}

/// The same without an answer.
pub(super) async fn put_back(args: &HostReturnArgs, meanwhile: Meanwhile) -> Result<PutBack, Failure> {
    let reason = args.reason.as_deref().unwrap_or_default().trim();
    if reason.is_empty() {
        return Err(Failure::usage(
            "--reason: write what was looked at, such as `no old guest runs, its queue was empty`",
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
        meanwhile.say(format!(
            "{host}: nothing to do: it is enabled and not in maintenance"
        ));
        return done(false, false);
    }
    confirmed((&host, args.yes), "put to work again", ASKED)?;
    // Whoever was asked has taken his time.
    let facts = admitted(&settings, &base, &args.host).await?;
    let (mut enabled, mut off) = (false, false);
    if let Some(service) = facts.service().filter(|service| !service.enabled) {
        enable(&settings, &base, service, &by).await?;
        enabled = true;
        meanwhile.say(format!("{host}: its service is enabled"));
        // A failure that was reported in between has disabled it again, or will.
        admitted(&settings, &base, &args.host)
            .await
            .map_err(|error| error.below(&format!("{host} is enabled, and not taken off maintenance")))?;
    }
    if facts.view.host.on_maintenance {
        off_maintenance(settings, &base, &facts, &by).await?;
        off = true;
        meanwhile.say(format!(
            "{host}: maintenance cleared, HA active (shown within 15 s)"
        ));
    }
    done(enabled, off)
}

/// What is known of the host, unless it speaks against its work.
async fn admitted(settings: &Settings, base: &Base, wanted: &str) -> Result<Facts, Failure> {
    let facts = facts(settings, base, wanted).await?;
    let host = &facts.view.host;
    let frozen = base.store.freezes().freezes().await;
    let frozen = frozen.map_err(|error| Failure::new("listing freezes", error))?;
    let its = |scope, target: &str| match scope {
        FreezeScope::Region => true,
        FreezeScope::Segment => target == host.segment.id.to_string(),
        FreezeScope::Host => target == host.id.to_string(),
        FreezeScope::Instance => false,
    };
    let frozen = frozen.iter().find(|line| its(line.freeze.scope, &line.target));
    let why = frozen.map(|line| line.freeze.sentence()).into_iter();
    let mut why: Vec<String> = why.chain(speaks_against(&facts)).collect();
    let needy = base.store.desk().moves(MoveFilter::NeedsPerson).await;
    let needy = needy.map_err(|error| Failure::new("reading which instances wait for a person", error))?;
    let is_of_it = |line: &&MoveLine| line.host == host.name || line.may_run.contains(&host.name);
    why.extend(needy.iter().filter(is_of_it).map(|line| {
        format!(
            "instance {} ({}) waits for a person: tachi show {}",
            line.name, line.server, line.server
        )
    }));
    if why.is_empty() {
        return Ok(facts);
    }
    Err(Failure::told(format!(
        "nothing was done, {} is not ready to return to service:\n  {}",
        out::plain(&host.name),
        why.iter()
            .map(|one| out::plain(one))
            .collect::<Vec<_>>()
            .join("\n  ")
    )))
}

/// What has to be looked at by a person first, or is another's to undo.
fn speaks_against(facts: &Facts) -> Vec<String> {
    let checked = checks(facts);
    let mut why: Vec<String> = Vec::new();
    if !is_ready(&checked) {
        let bad = checked.iter();
        let bad = bad.filter(|check| !matches!(check.verdict, Verdict::Good | Verdict::Note));
        why.extend(bad.map(|check| check.text.clone()));
    }
    let host = &facts.view.host;
    if facts.watched {
        why.push("an engine watches for its return, and has not ended that yet".into());
    }
    // No reason is known of a maintenance from before Tachi: then it is somebody's.
    if host.on_maintenance && matches!(facts.view.why, Some(MaintenanceReason::Operator) | None) {
        why.push(
            "an operator has put it on maintenance: who has done so ends it, with openstack segment host update --on_maintenance False"
                .into(),
        );
    }
    if let Some(service) = facts
        .service()
        .filter(|service| !service.enabled && !is_ours(service))
    {
        let reason = service.disabled_reason.as_deref().unwrap_or("no reason given");
        why.push(format!(
            "somebody else has disabled its service ({reason}): who has done so enables it"
        ));
    }
    let tasks = facts.servers.iter().flatten();
    for server in tasks.filter(|server| server.task_state.is_some()) {
        let task = server.task_state.as_deref().unwrap_or_default();
        why.push(format!(
            "instance {} ({}) has a task under way on it: {task}",
            server.name, server.id
        ));
    }
    why
}

/// Whether a recovery has disabled it.
fn is_ours(service: &Service) -> bool {
    service.disabled_reason.as_deref().is_some_and(is_marked)
}

async fn enable(settings: &Settings, base: &Base, service: &Service, by: &str) -> Result<(), Failure> {
    let audit = audit(settings, &base.clock, COMMAND)?;
    let nova = wiring::nova(settings, &base.clock).await?;
    // A slow login between the intent and the call would make the intent too old to act on (R4).
    let ready = nova.make_ready().await;
    ready.map_err(|error| Failure::new("nothing was done: getting ready to enable its service", error))?;
    let entry = |phase, text: &str| {
        let mut entry = AuditEntry::new(AuditAction::Change, phase, &service.host);
        entry.operator = Some(by.to_owned());
        text.clone_into(&mut entry.text);
        entry
    };
    let intent = entry(AuditPhase::Intent, "enables its service at Nova");
    before(&audit, intent, "nothing was done").await?;
    let change = ServiceChange {
        disable: Some(None),
        forced_down: None,
    };
    let changed = nova.update_service(service.id, &change).await;
    let mut outcome = entry(AuditPhase::Outcome, "its service is enabled");
    outcome.result = Some(AuditResult::Ok);
    if let Err(error) = &changed {
        outcome.result = Some(AuditResult::Transient);
        outcome.text = error.to_string();
    }
    after(&audit, outcome).await;
    changed.map(|_| ()).map_err(|error| {
        let what = if error.fault.maybe_done {
            "enabling its service (it may have taken effect: run this again)"
        } else {
            "enabling its service (nothing was done)"
        };
        Failure::new(what, error)
    })
}

async fn off_maintenance(settings: Settings, base: &Base, facts: &Facts, by: &str) -> Result<(), Failure> {
    let host = &facts.view.host;
    let doing = Doing {
        by,
        command: COMMAND,
        host: &host.name,
        intent: "takes it off maintenance",
        not_done: "it is still on maintenance",
    };
    let desk = Desk::open(settings, base, &doing).await?;
    let path = format!("/v1/segments/{}/hosts/{}", host.segment.id, host.id);
    let body = json!({"host": {"on_maintenance": false}});
    let ended = desk.ask(Method::PUT, &path, &body).await;
    let text = match &ended {
        Ok(_) => "it is off maintenance".to_owned(),
        Err(why) => why.clone(),
    };
    desk.close(&text, ended.is_err()).await;
    ended
        .map(|_| ())
        .map_err(|why| Failure::told(format!("taking it off maintenance: {why}; run this again")))
}

#[cfg(test)]
mod tests {
    use tachi_domain::nova::Service;

    use super::super::checks::tests::{back, evacuation, server};
    use super::*;

    fn service(facts: &mut Facts, change: impl FnOnce(&mut Service)) {
        if let Ok(Some(service)) = &mut facts.service {
            change(service);
        }
    }

    type Change = fn(&mut Facts);

    #[test]
    fn r23_a_host_is_put_to_work_only_where_all_of_it_is_ours_and_looked_at() {
        assert_eq!(speaks_against(&back()), Vec::<String>::new());
        let cases: &[(&str, Change, &str)] = &[
            (
                "forced down",
                |facts| service(facts, |service| service.forced_down = true),
                "forced_down",
            ),
            ("watched", |facts| facts.watched = true, "an engine watches"),
            (
                "not closed",
                |facts| facts.migrations = Ok(vec![evacuation("done")]),
                "not closed",
            ),
            (
                "an operator's maintenance",
                |facts| facts.view.why = Some(MaintenanceReason::Operator),
                "an operator",
            ),
            ("nobody's", |facts| facts.view.why = None, "an operator"),
            (
                "another has disabled it",
                |facts| {
                    service(facts, |service| {
                        service.disabled_reason = Some("disk errors".into());
                    });
                },
                "disk errors",
            ),
            (
                "without a reason",
                |facts| service(facts, |service| service.disabled_reason = None),
                "no reason given",
            ),
            (
                "a task",
                |facts| facts.servers = Ok(vec![server(Some("powering-on"))]),
                "powering-on",
            ),
            ("Nova away", |facts| facts.servers = Err("503".into()), "503"),
        ];
        for (case, change, part) in cases {
            let mut facts = back();
            change(&mut facts);
            let why = speaks_against(&facts).join("; ");
            assert!(why.contains(part), "{case}: {why}");
        }
        let mut enabled = back();
        service(&mut enabled, |service| {
            service.enabled = true;
            service.disabled_reason = None;
        });
        assert_eq!(speaks_against(&enabled), Vec::<String>::new());
    }
}
