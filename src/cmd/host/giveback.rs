//! `tachi host giveback`: what recoveries and drains have moved away from a host goes back to it, if it is still where they put it.

use std::collections::{BTreeMap, BTreeSet};

use tachi_domain::ServerId;
use tachi_domain::nova::{Server, VmState};
use tachi_domain::planned::PlannedOrder;
use tachi_domain::recovery::RecoveryKind;
use tachi_engine::ports::operator::MoveFilter;
use tachi_engine::ports::plans::MovedAway;
use tachi_engine::ports::{Compute, OperatorDesk as _, Plans as _};
use tachi_operator::one_line;

use super::super::Failure;
use super::super::fence::confirmed;
use super::super::who::who;
use super::planned::{admit, begin, living, nothing, ready};
use crate::cli::HostGivebackArgs;
use crate::out::waiting;
use crate::source::Database;
use crate::{out, wiring};

/// So many go back at a time: their list is written into one row.
const MOST: usize = 500;

/// Gives back to a host, or says what would be given back.
pub(super) async fn run(args: HostGivebackArgs) -> Result<u8, Failure> {
    admit(&args.planned)?;
    let by = who(None)?;
    let database = Database::open(&args.config).await?;
    let view = ready(&database, &args.host).await?;
    let host = &view.host.name;
    let nova = wiring::nova(&database.settings, &database.base.clock).await?;
    let judged = waiting("the database, Keystone and Nova", async {
        let service = living(nova.as_ref(), host).await?;
        if !service.enabled && !args.dry_run {
            let why = service.disabled_reason.as_deref().unwrap_or("no reason given");
            return Err(nothing(&format!(
                "{host} is disabled in Nova ({}): `tachi host return {host}` tells how to put it to work again",
                one_line(why)
            )));
        }
        judge_all(&database, nova.as_ref(), host, args.planned.with_locked).await
    })
    .await?;
    let (back, stay): (Vec<_>, Vec<_>) = judged.into_iter().partition(|one| one.why.is_none());
    for line in told(host, &back, &stay) {
        out::line(line);
    }
    if args.dry_run || back.is_empty() {
        return Ok(crate::DONE);
    }
    if back.len() > MOST {
        out::told(format!(
            "the first {MOST} of them go back now: give the same command again for the rest"
        ));
    }
    confirmed(
        (host, args.planned.yes),
        "give back to",
        "they are live-migrated there.",
    )?;
    let instances: BTreeMap<ServerId, String> = back
        .into_iter()
        .take(MOST)
        .map(|one| (one.moved.server, one.moved.dest))
        .collect();
    let order = PlannedOrder {
        by,
        reason: String::new(),
        lasts: std::time::Duration::ZERO,
        at_once: args.planned.at_once,
        limit: args.planned.limit,
        with_locked: args.planned.with_locked,
        instances,
    };
    begin(
        &database,
        &view,
        RecoveryKind::Giveback,
        &order,
        args.planned.no_follow,
    )
    .await
}

/// An instance that was moved away, and why it stays where it is.
struct Judged {
    moved: MovedAway,
    name: String,
    why: Option<String>,
}

async fn judge_all(
    database: &Database,
    nova: &impl Compute,
    host: &str,
    with_locked: bool,
) -> Result<Vec<Judged>, Failure> {
    let wrong = |error| Failure::new("reading the database", error);
    let store = &database.base.store;
    let away = store.plans().moved_away(host).await.map_err(wrong)?;
    let needy = store.desk().moves(MoveFilter::NeedsPerson).await.map_err(wrong)?;
    let needy: BTreeSet<ServerId> = needy.into_iter().map(|line| line.server).collect();
    let mut all = Vec::with_capacity(away.len());
    for moved in away {
        let server = nova.server(moved.server).await;
        let server = server.map_err(|error| Failure::new("reading an instance", error))?;
        // What is gone, and what has come home, is no concern of anybody any more.
        let Some(server) = server.filter(|server| server.host.as_deref() != Some(host)) else {
            continue;
        };
        let why = if needy.contains(&moved.server) {
            Some(format!("waits for a person: `tachi explain {}`", moved.server))
        } else {
            stays(&server, &moved, with_locked)
        };
        all.push(Judged {
            name: server.name,
            moved,
            why,
        });
    }
    Ok(all)
}

/// Why it stays where it is, by what Nova shows now. The engine looks again before it asks.
fn stays(server: &Server, moved: &MovedAway, with_locked: bool) -> Option<String> {
    if server.host.as_deref() != Some(moved.dest.as_str()) {
        return Some("was moved since".to_owned());
    }
    if let Some(task) = &server.task_state {
        return Some(format!("has a task under way ({task})"));
    }
    if server.locked && !with_locked {
        return Some("is locked, --with-locked moves it too".to_owned());
    }
    if !matches!(server.vm_state, VmState::Active | VmState::Paused) {
        return Some(format!("is {}", server.vm_state));
    }
    None
}

fn told(host: &str, back: &[Judged], stay: &[Judged]) -> Vec<String> {
    let total = back.len() + stay.len();
    if total == 0 {
        return vec![format!("nothing that was moved away from {host} is elsewhere")];
    }
    let mut lines = vec![format!(
        "{} of {total} {} moved away from {host} can go back",
        back.len(),
        if total == 1 { "instance" } else { "instances" }
    )];
    for one in back {
        lines.push(format!(
            "  {} is still on {}, where recovery {} put it",
            one_line(&one.name),
            one.moved.dest,
            one.moved.recovery
        ));
    }
    for one in stay {
        let why = one.why.as_deref().unwrap_or_default();
        lines.push(format!("  {} {why}: stays", one_line(&one.name)));
    }
    lines
}
