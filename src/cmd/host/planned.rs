//! `tachi host drain`, and what it has in common with `tachi host giveback`: it is written, an engine carries it out, and it is
//! followed. The one who follows may go away.

use std::collections::BTreeMap;
use std::time::Duration;

use tachi_domain::RecoveryId;
use tachi_domain::count;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::nova::Service;
use tachi_domain::planned::{LONGEST_FREEZE, LONGEST_LIMIT, PlannedOrder, SHORTEST_LIMIT};
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::operator::HostView;
use tachi_engine::ports::plans::{self, NewPlan, Planning};
use tachi_engine::ports::{AuditEntry, Compute, Freezes as _, Plans as _, Roll as _};
use tachi_operator::when::lasting;
use tachi_operator::{InstanceView, StoryView, is_alive, one_line};

use super::super::Failure;
use super::super::fence::confirmed;
use super::super::freeze::{after, before};
use super::super::recovery::note_if_nobody_works;
use super::super::who::who;
use super::find;
use crate::cli::{HostDrainArgs, PlannedArgs};
use crate::out::waiting;
use crate::source::{Database, Source as _};
use crate::{out, wiring};

/// Between two looks at what is followed.
const LOOK: Duration = Duration::from_millis(500);

/// A database that does not answer is asked so often before it is given up.
const PATIENCE: u32 = 600;

/// What a shell says of a program that was interrupted.
const INTERRUPTED: u8 = 130;

const SHORTEST: Duration = Duration::from_mins(1);

/// The longest reason, in bytes: it stands in Nova's disable reason beside other things.
const REASON: usize = 100;

/// Empties a host.
pub(super) async fn drain(args: HostDrainArgs) -> Result<u8, Failure> {
    let reason = args.reason.trim();
    if reason.is_empty() || reason.len() > REASON || reason.chars().any(char::is_control) {
        return Err(Failure::usage(format!(
            "--reason: write one line of at most {REASON} bytes"
        )));
    }
    if !(SHORTEST..=LONGEST_FREEZE).contains(&args.lasts) {
        return Err(Failure::usage(format!(
            "--for: {} is not between 1m and 24h",
            lasting(args.lasts)
        )));
    }
    admit(&args.planned)?;
    let order = PlannedOrder {
        by: who(None)?,
        reason: reason.to_owned(),
        lasts: args.lasts,
        at_once: args.planned.at_once,
        limit: args.planned.limit,
        with_locked: args.planned.with_locked,
        instances: BTreeMap::new(),
    };
    let database = Database::open(&args.config).await?;
    let view = ready(&database, &args.host).await?;
    let host = &view.host.name;
    let nova = wiring::nova(&database.settings, &database.base.clock).await?;
    let (service, count) = waiting("Keystone and Nova", async {
        let service = living(nova.as_ref(), host).await?;
        let servers = nova.servers_on(host).await;
        let servers = servers.map_err(|error| Failure::new("listing the instances of the host", error))?;
        Ok::<_, Failure>((service, servers.len()))
    })
    .await?;
    if !service.enabled {
        let why = service.disabled_reason.as_deref().unwrap_or("no reason given");
        out::told(format!(
            "{host} is disabled in Nova already ({}), which stays",
            one_line(why)
        ));
    }
    out::told(format!(
        "{} on {host}. Nova places nothing new there, and what can be live-migrated is, {} at a time. Once nothing that runs is left, \
         {host} is frozen for {}.",
        are(count),
        order.at_once,
        lasting(order.lasts)
    ));
    confirmed((host, args.planned.yes), "drain", "see above.")?;
    begin(
        &database,
        &view,
        RecoveryKind::Drain,
        &order,
        args.planned.no_follow,
    )
    .await
}

fn are(some: usize) -> String {
    count(some, "instance is", "instances are")
}

/// What no engine could be asked for.
pub(super) fn admit(args: &PlannedArgs) -> Result<(), Failure> {
    if (SHORTEST_LIMIT..=LONGEST_LIMIT).contains(&args.limit) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--limit: {} is not between 10s and 24h",
        lasting(args.limit)
    )))
}

/// The host, unless something speaks against planning anything for it.
pub(super) async fn ready(database: &Database, wanted: &str) -> Result<HostView, Failure> {
    let base = &database.base;
    let view = find(base, wanted).await?;
    let host = &view.host;
    if let Some((id, life)) = view.recovery {
        let what = if life == Life::Watching {
            format!(
                "recovery {id} watches for its return: `tachi host return {}` tells how",
                host.name
            )
        } else {
            format!("recovery {id} is at work: `tachi recovery show {id} --follow`")
        };
        return Err(nothing(&format!("{}: {what}", host.name)));
    }
    let freezes = base.store.freezes().freezes().await;
    let freezes = freezes.map_err(|error| Failure::new("listing freezes", error))?;
    let holds = |scope, target: &str| match scope {
        FreezeScope::Region => true,
        FreezeScope::Segment => target == host.segment.id.to_string(),
        FreezeScope::Host => target == host.id.to_string(),
        FreezeScope::Instance => false,
    };
    if let Some(line) = freezes.iter().find(|line| holds(line.freeze.scope, &line.target)) {
        return Err(nothing(&format!(
            "{}, so nothing of it is moved; `{}` ends that",
            line.freeze.sentence(),
            line.freeze.thaw()
        )));
    }
    let engines = base.store.roll().engines().await;
    let engines = engines.map_err(|error| Failure::new("reading which engines run", error))?;
    let now = base.clock.wall();
    let deaf: Vec<String> = engines
        .iter()
        .filter(|line| is_alive(line, now) && !line.signature.facts.contains_key(plans::KEPT))
        .map(|line| format!("{} (version {})", line.signature.name, line.signature.version))
        .collect();
    if !deaf.is_empty() {
        return Err(nothing(&format!(
            "{} could not read it, being older than this program; upgrade every engine first",
            deaf.join(", ")
        )));
    }
    Ok(view)
}

pub(super) fn nothing(why: &str) -> Failure {
    Failure::told(format!("nothing was begun: {why}"))
}

/// The host's service, if it lives.
pub(super) async fn living(nova: &impl Compute, host: &str) -> Result<Service, Failure> {
    let service = nova.service(host).await;
    let service = service.map_err(|error| Failure::new("reading the host's service", error))?;
    let Some(service) = service else {
        return Err(nothing(&format!("Nova knows no nova-compute on {host}")));
    };
    if !service.up || service.forced_down {
        return Err(nothing(&format!(
            "Nova shows {host} down, and only what lives is live-migrated; `tachi host fail {host}` reports it as dead"
        )));
    }
    Ok(service)
}

/// Writes it, and follows it unless that is not wanted.
pub(super) async fn begin(
    database: &Database,
    view: &HostView,
    kind: RecoveryKind,
    order: &PlannedOrder,
    no_follow: bool,
) -> Result<u8, Failure> {
    let Database { settings, base } = database;
    let host = &view.host.name;
    let command = format!("tachi host {kind}");
    let audit = wiring::audit(settings, &base.clock, &command)?;
    let entry = |phase, text: String| {
        let mut entry = AuditEntry::new(AuditAction::Word, phase, host);
        entry.operator = Some(order.by.clone());
        entry.text = text;
        entry
    };
    let wanted = match kind {
        RecoveryKind::Drain => format!("drain for {}: {}", lasting(order.lasts), order.reason),
        RecoveryKind::Giveback | RecoveryKind::Host | RecoveryKind::Vm | RecoveryKind::Process => {
            format!("{kind}; instances: {}", order.instances.len())
        }
    };
    before(&audit, entry(AuditPhase::Intent, wanted), "nothing was begun").await?;
    let new = NewPlan {
        kind,
        host: view.host.id,
        payload: order.payload(kind),
    };
    let planned = base.store.plans().plan(&new).await;
    let mut outcome = entry(AuditPhase::Outcome, String::new());
    (outcome.result, outcome.text) = match &planned {
        Ok(Planning::Begun { recovery, .. }) => (Some(AuditResult::Ok), format!("recovery {recovery}")),
        Ok(Planning::Busy(id, _)) => (Some(AuditResult::Permanent), format!("recovery {id} is at work")),
        Ok(Planning::Unknown) => (
            Some(AuditResult::Permanent),
            "the host is registered no more".to_owned(),
        ),
        Err(error) => (Some(AuditResult::Transient), format!("{error}: {}", error.source)),
    };
    after(&audit, outcome).await;
    let id = match planned {
        Ok(Planning::Begun { recovery, .. }) => recovery,
        Ok(Planning::Busy(id, of)) => {
            return Err(nothing(&format!(
                "recovery {id} (kind {of}) of {host} is not over: `tachi recovery show {id} --follow`"
            )));
        }
        Ok(Planning::Unknown) => {
            return Err(nothing(&format!(
                "{host} has been taken out of its segment meanwhile"
            )));
        }
        Err(error) => {
            return Err(Failure::new(
                "writing it (it may have been written: see `tachi recovery list`)",
                error,
            ));
        }
    };
    wiring::socket_poke(settings)?.poke();
    out::line(format!("recovery      {id}"));
    note_if_nobody_works(database).await;
    if no_follow {
        out::line(format!("follow it     tachi recovery show {id} --follow"));
        out::line(format!("end it        tachi recovery abort {id}"));
        return Ok(crate::DONE);
    }
    tokio::select! {
        followed = follow(database, id) => followed,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(|error| Failure::new("waiting for Ctrl-C", error))?;
            out::line("");
            out::line(format!("it goes on: tachi recovery show {id} --follow"));
            out::line(format!("end it:     tachi recovery abort {id}"));
            Ok(INTERRUPTED)
        }
    }
}

/// Tells each instance when there is news of it, until all is over.
async fn follow(database: &Database, id: RecoveryId) -> Result<u8, Failure> {
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    let mut message = None;
    let mut failures = 0;
    loop {
        let story = match database.recovery(id).await {
            Ok(Some(story)) => story,
            Ok(None) => return Err(Failure::told(format!("there is no recovery {id} any more"))),
            Err(error) if failures < PATIENCE => {
                failures += 1;
                if failures == 1 {
                    out::note(format!("tachi: {}; trying again", error.chain()));
                }
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        failures = 0;
        for one in &story.instances {
            let line = line(one);
            if let Some(line) = line
                && told.get(&one.id) != Some(&line)
            {
                out::line(&line);
                told.insert(one.id.clone(), line);
            }
        }
        if story.summary.message != message {
            message.clone_from(&story.summary.message);
            if let Some(text) = &message {
                out::line(one_line(text));
            }
        }
        if story.summary.life != Life::Open {
            return Ok(end(&story));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn end(story: &StoryView) -> u8 {
    if story.summary.status == "finished" {
        crate::DONE
    } else {
        crate::FAILED
    }
}

/// What there is to say of an instance; nothing while it waits for its turn.
fn line(one: &InstanceView) -> Option<String> {
    let name = one_line(&one.name);
    let message = one.message.as_deref().map(one_line);
    let message = message.as_deref().unwrap_or_default();
    let to = one.to.as_deref().unwrap_or("another host");
    Some(match one.status? {
        VmoveStatus::Pending => return None,
        VmoveStatus::Ongoing => format!("  {name} … {message}").trim_end().to_owned(),
        VmoveStatus::Succeeded => {
            let took = one.asked_at.zip(one.over_at);
            let took = took.map_or(String::new(), |(from, until)| {
                format!(", {} s", until.0.micros_since(from.0) / 1_000_000)
            });
            format!("  {name} ✓ {to}{took}")
        }
        VmoveStatus::Ignored | VmoveStatus::Failed => format!("  {name} ✗ {message}"),
    })
}
