//! `tachi freeze` and `tachi thaw`: nothing of something is fenced or moved for a while.
//!
//! Whoever is told that something is frozen switches it off next. So it is said only when nothing can be begun of it any more, and what
//! has begun before is named.

mod heard;
mod list;
mod what;

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::freeze::FreezeScope;
use tachi_domain::situation::Protection;
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::roll::{EngineLine, Roll as _};
use tachi_engine::ports::{AuditEntry, AuditSink, FreezeLine, Freezes as _, Freezing, NewFreeze, freezes};
use tachi_operator::when::lasting;
use tachi_operator::{Seen, is_alive};

use super::recovery::note_unless;
use super::status::seen::instances;
use super::when::time;
use super::who::who;
use super::{Failure, command_settings};
use crate::cli::{FreezeArgs, FreezeCommand, ThawArgs, ThawCommand};
use crate::wiring::{Base, lookout};
use crate::{out, wiring};

use what::What;

/// Longer only by --force.
const LONG: Duration = Duration::from_hours(24);

/// Longer by nothing.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// Shorter than this nobody does anything with a host.
const SHORTEST: Duration = Duration::from_mins(1);

/// The longest reason, in bytes: it stands in a message beside other things.
const REASON: usize = 200;

/// Carries out `tachi freeze`.
pub(crate) async fn run(command: FreezeCommand) -> Result<u8, Failure> {
    let (scope, name, args) = match command {
        FreezeCommand::List(args) => return list::run(args).await,
        FreezeCommand::Region(args) => (FreezeScope::Region, String::new(), args),
        FreezeCommand::Segment(named) => (FreezeScope::Segment, named.name, named.args),
        FreezeCommand::Host(named) => (FreezeScope::Host, named.name, named.args),
        FreezeCommand::Instance(named) => (FreezeScope::Instance, named.name, named.args),
    };
    freeze(scope, &name, &args).await
}

fn admit(args: &FreezeArgs) -> Result<String, Failure> {
    let told = lasting(args.lasts);
    if args.lasts < SHORTEST {
        return Err(Failure::usage(format!(
            "--for: {told} is too short: write 1m or more"
        )));
    }
    if args.lasts > LONGEST {
        return Err(Failure::usage(format!(
            "--for: {told} is too long: 30d at most, and 24h without --force"
        )));
    }
    if args.lasts > LONG && !args.force {
        return Err(Failure::usage(format!(
            "--for: {told} is long for something that is not protected: 24h at most, or --force"
        )));
    }
    let reason = args.reason.trim();
    if reason.is_empty() || reason.len() > REASON || reason.chars().any(char::is_control) {
        return Err(Failure::usage(format!(
            "--reason: write one line of at most {REASON} bytes"
        )));
    }
    Ok(reason.to_owned())
}

async fn freeze(scope: FreezeScope, name: &str, args: &FreezeArgs) -> Result<u8, Failure> {
    let reason = admit(args)?;
    let by = who(None)?;
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let seen = lookout::look(&settings, &base)
        .await
        .map_err(|error| Failure::new("reading the database", error))?;
    let what = What::find(scope, name, &seen)?;
    engines_keep_it(&seen)?;
    let audit = wiring::audit(&settings, &base.clock, "tachi freeze")?;
    let new = NewFreeze {
        scope,
        target: what.target.clone(),
        name: what.name.clone(),
        lasts: args.lasts,
        by,
        reason,
        unless_worse: args.unless_worse,
    };
    let entry = |phase, text: String| {
        let mut entry = AuditEntry::new(AuditAction::Freeze, phase, what.host());
        entry.operator = Some(new.by.clone());
        entry.text = text;
        entry
    };
    let wanted = format!("{what} for {}: {}", lasting(args.lasts), new.reason);
    before(&audit, entry(AuditPhase::Intent, wanted), "nothing was frozen").await?;
    let written = base.store.freezes().freeze(&new).await;
    let mut outcome = entry(AuditPhase::Outcome, String::new());
    outcome.result = Some(match &written {
        Ok(Freezing::Begun { .. }) => AuditResult::Ok,
        Ok(Freezing::Longer(_)) => AuditResult::Permanent,
        Err(_) => AuditResult::Transient,
    });
    outcome.text = match &written {
        Ok(Freezing::Begun { line, .. }) => line.freeze.sentence(),
        Ok(Freezing::Longer(line)) => format!("refused: {}", line.freeze.sentence()),
        Err(error) => format!("{error}: {}", error.source),
    };
    after(&audit, outcome).await;
    let line = match written {
        Ok(Freezing::Begun { line, before }) => {
            if let Some(before) = before {
                out::line(format!("in place of a shorter one: {}", before.freeze.sentence()));
            }
            line
        }
        Ok(Freezing::Longer(line)) => {
            return Err(Failure::told(format!(
                "nothing was written: {}{}, which is more than this. `{}` ends that first",
                line.freeze.sentence(),
                if line.freeze.unless_worse {
                    ""
                } else {
                    ", whatever happens"
                },
                line.freeze.thaw()
            )));
        }
        Err(error) => {
            return Err(Failure::new(
                "writing the freeze (it may have been written: see `tachi freeze list`)",
                error,
            ));
        }
    };
    wiring::socket_poke(&settings)?.poke();
    let heard = heard::wait(&base, &what).await?;
    tell(&line, &what, &seen);
    heard.lines().iter().for_each(out::line);
    note_if_nobody_works(&base).await?;
    for silent in silent(&seen) {
        out::note(format!("tachi: {silent}"));
    }
    match heard.trouble() {
        None => Ok(crate::DONE),
        Some(trouble) => Err(Failure::told(trouble)),
    }
}

/// What is frozen now, and what that means.
fn tell(line: &FreezeLine, what: &What, seen: &Seen) {
    let freeze = &line.freeze;
    out::line(format!(
        "{} is frozen until {} ({}): nothing of it is fenced or moved",
        freeze.what(),
        time(freeze.until),
        lasting(line.left)
    ));
    let bare = match &seen.situation.instances {
        None => "how many instances are unprotected meanwhile is not known, as no engine has listed them"
            .to_owned(),
        Some(all) => {
            let would_be = all.iter().filter(|one| what.has(one)).filter(|one| {
                matches!(
                    one.protection,
                    Protection::Protected | Protection::Degraded | Protection::Unknown
                )
            });
            match would_be.count() {
                0 => "no instance loses its protection by it".to_owned(),
                1 => "1 instance is unprotected meanwhile".to_owned(),
                count => format!("{} are unprotected meanwhile", instances(count)),
            }
        }
    };
    out::line(format!(
        "{bare}. What is reported is kept, and what is dead at the end is recovered then"
    ));
    out::line(format!(
        "it ends by itself{}, or by `{}`",
        if freeze.unless_worse {
            ", or when a second host is out"
        } else {
            ""
        },
        freeze.thaw()
    ));
}

fn keeps_freezes(line: &EngineLine) -> bool {
    line.signature.facts.contains_key(freezes::KEPT)
}

/// Refuses what an engine would not keep.
fn engines_keep_it(seen: &Seen) -> Result<(), Failure> {
    let engines = seen.tables.engines.iter();
    let deaf: Vec<String> = engines
        .filter(|line| is_alive(line, seen.now) && !keeps_freezes(line))
        .map(|line| format!("{} (version {})", line.signature.name, line.signature.version))
        .collect();
    if deaf.is_empty() {
        return Ok(());
    }
    Err(Failure::told(format!(
        "nothing was frozen: {} would not keep it, being older than this program; upgrade every engine first",
        deaf.join(", ")
    )))
}

/// Engines of an older version that have gone without leaving: if one of them runs all the same, it keeps no freeze.
fn silent(seen: &Seen) -> Vec<String> {
    let engines = seen.tables.engines.iter();
    engines
        .filter(|line| !is_alive(line, seen.now) && !keeps_freezes(line))
        .map(|line| {
            format!(
                "engine {} of an older version (signed last {}) keeps no freeze: make sure that it does not run",
                line.signature.name,
                time(line.seen_at)
            )
        })
        .collect()
}

/// Carries out `tachi thaw`.
pub(crate) async fn thaw(command: ThawCommand) -> Result<u8, Failure> {
    let (scope, name, args) = match command {
        ThawCommand::Region(args) => (FreezeScope::Region, String::new(), args),
        ThawCommand::Segment(named) => (FreezeScope::Segment, named.name, named.args),
        ThawCommand::Host(named) => (FreezeScope::Host, named.name, named.args),
        ThawCommand::Instance(named) => (FreezeScope::Instance, named.name, named.args),
    };
    end(scope, &name, &args).await
}

async fn end(scope: FreezeScope, name: &str, args: &ThawArgs) -> Result<u8, Failure> {
    let by = who(None)?;
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let table = base.store.freezes();
    let listed = listed(&base).await?;
    let line = what::frozen(scope, name, &listed)?;
    let audit = wiring::audit(&settings, &base.clock, "tachi thaw")?;
    let host = if scope == FreezeScope::Host {
        line.freeze.name.as_str()
    } else {
        ""
    };
    let entry = |phase, text| {
        let mut entry = AuditEntry::new(AuditAction::Thaw, phase, host);
        entry.operator = Some(by.clone());
        entry.text = text;
        entry
    };
    before(
        &audit,
        entry(AuditPhase::Intent, line.freeze.sentence()),
        "nothing was thawed",
    )
    .await?;
    let thawed = table.thaw(scope, &line.target, &by).await;
    let mut outcome = entry(AuditPhase::Outcome, line.freeze.what());
    outcome.result = Some(match &thawed {
        Ok(Some(_)) => AuditResult::Ok,
        Ok(None) => AuditResult::Permanent,
        Err(_) => AuditResult::Transient,
    });
    after(&audit, outcome).await;
    let thawed = thawed.map_err(|error| {
        Failure::new(
            "ending the freeze (it may have ended: see `tachi freeze list`)",
            error,
        )
    })?;
    let Some(thawed) = thawed else {
        return Err(Failure::told(format!(
            "{} is frozen no more: it has ended meanwhile",
            line.freeze.what()
        )));
    };
    wiring::socket_poke(&settings)?.poke();
    out::line(format!(
        "{} is thawed, {} before its time: what waits for it is looked at anew within a second or two",
        thawed.freeze.what(),
        lasting(thawed.left)
    ));
    let rest = listed
        .iter()
        .filter(|one| one.freeze.number != thawed.freeze.number);
    for one in rest.filter(|one| scope != FreezeScope::Region && one.freeze.scope == FreezeScope::Region) {
        out::line(format!("but {}", one.freeze.sentence()));
    }
    note_if_nobody_works(&base).await?;
    Ok(crate::DONE)
}

/// A freeze is only written; it needs an engine to be heard.
async fn note_if_nobody_works(base: &Base) -> Result<(), Failure> {
    let engines = base.store.roll().engines().await;
    let engines = engines.map_err(|error| Failure::new("reading which engines run", error))?;
    note_unless(engines.iter().any(|line| is_alive(line, base.clock.wall())));
    Ok(())
}

async fn listed(base: &Base) -> Result<Vec<FreezeLine>, Failure> {
    let listed = base.store.freezes().freezes().await;
    listed.map_err(|error| Failure::new("listing freezes", error))
}

/// What is about to be done is on the disk before it is.
pub(super) async fn before(
    audit: &Arc<dyn AuditSink>,
    entry: AuditEntry,
    not_done: &str,
) -> Result<(), Failure> {
    let written = audit.write(entry).await;
    written.map_err(|error| {
        let source = error.source.to_string();
        Failure::told(format!("{not_done}: {error}: {source}"))
    })
}

/// It is done, and must not look as if it were not.
pub(super) async fn after(audit: &Arc<dyn AuditSink>, entry: AuditEntry) {
    if let Err(error) = audit.write(entry).await {
        out::note(format!(
            "tachi: what came of it is not in the audit log: {error}: {}",
            error.source
        ));
    }
}
