//! `tachi freeze` and `tachi thaw`: no fencing and no evacuation of an object for a while.
//!
//! An operator who reads that something is frozen switches it off next. So the command reports it only when nothing new can be
//! started on it, and names what was started before.

mod list;

use std::time::Duration;

use serde_json::json;
use tachi_domain::count;
use tachi_domain::freeze::{Freeze, FreezeScope};
use tachi_engine::ports::FreezeTerms;
use tachi_operator::freezes::{ENGINE_WAIT_TIMEOUT, FreezeRequest, InvalidFreeze, frozen};
use tachi_operator::when::duration_text;
use tachi_operator::{Failure, FreezeView, FrozenView, members};

use super::recovery::note_if_no_engine_runs;
use crate::arguments::{FreezeArgs, FreezeCommand, ThawArgs, ThawCommand};
use crate::out;
use crate::out::{View, answer};
use crate::source::{self, Controller};

pub async fn run(command: FreezeCommand, controller: &dyn Controller) -> Result<u8, Failure> {
    let (scope, name, args) = match command {
        FreezeCommand::List(args) => return list::run(args, controller).await,
        FreezeCommand::Region(args) => (FreezeScope::Region, String::new(), args),
        FreezeCommand::Segment(named) => (FreezeScope::Segment, named.name, named.args),
        FreezeCommand::Host(named) => (FreezeScope::Host, named.name, named.args),
        FreezeCommand::Instance(named) => (FreezeScope::Instance, named.name, named.args),
    };
    freeze(scope, name, args, controller).await
}

async fn freeze(
    scope: FreezeScope,
    name: String,
    args: FreezeArgs,
    controller: &dyn Controller,
) -> Result<u8, Failure> {
    answer::accepts(&args.shape, members::<FrozenView>())?;
    let wish = FreezeRequest {
        scope,
        name: name.trim().to_owned(),
        terms: FreezeTerms {
            lasts: args.lasts,
            reason: args.reason,
            unless_worse: args.unless_worse,
        },
        force: args.force,
    };
    let wish = wish.validate("--force").map_err(|why| {
        Failure::usage(match why {
            InvalidFreeze::Lasts(why) => format!("--for: {why}"),
            InvalidFreeze::Reason(why) => format!("--reason: {why}"),
        })
    })?;
    if scope != FreezeScope::Region && wish.name.is_empty() {
        return Err(Failure::usage(format!("name the {scope}, by its id or name")));
    }
    let source = source::open(&args.source, controller).await?;
    let frozen = source.freeze(&wish).await?;
    answer::object(
        &args.shape,
        source.now(),
        || json!(frozen),
        |view| lines(&frozen, view),
    )?;
    note_if_no_engine_runs(source.as_ref()).await;
    for note in &frozen.notes {
        out::note(format!("tachi: {note}"));
    }
    if frozen.heard {
        return Ok(crate::DONE);
    }
    Err(Failure::from_text(format!(
        "it is frozen, but the engines of these recoveries have not applied the freeze within {} s and may still start something until \
         they have, or until another engine has taken them over: {}. Check `tachi status` and freeze it again",
        ENGINE_WAIT_TIMEOUT.as_secs(),
        frozen.unheard.join(", ")
    )))
}

/// Describes the freeze and its consequences.
fn lines(frozen: &FrozenView, view: &View) -> Vec<String> {
    let freeze = Freeze::from(&frozen.freeze);
    let before = frozen.before.as_ref();
    let before =
        before.map(|before| format!("in place of a shorter one: {}", Freeze::from(before).sentence()));
    let mut lines: Vec<String> = before.into_iter().collect();
    lines.push(format!(
        "{} is frozen until {} ({}): no fencing, no evacuation",
        freeze.what(),
        view.time(freeze.until),
        duration_text(left(&frozen.freeze))
    ));
    let bare = match frozen.unprotected {
        None => {
            "the number of instances without HA until then is unknown: no engine has read them".to_owned()
        }
        Some(0) => "no instance loses its protection".to_owned(),
        Some(bare) => format!(
            "{} no HA until then",
            count(bare, "instance has", "instances have")
        ),
    };
    lines.push(format!(
        "{bare}. Failures are queued, and handled if the host is still down when the freeze ends"
    ));
    lines.push(format!(
        "it expires automatically{}, or ends by `{}`",
        if freeze.unless_worse {
            ", or when a second host is out"
        } else {
            ""
        },
        freeze.thaw()
    ));
    lines.extend(frozen.underway.iter().cloned());
    lines
}

fn left(freeze: &FreezeView) -> Duration {
    Duration::from_secs(freeze.left_seconds)
}

pub async fn thaw(command: ThawCommand, controller: &dyn Controller) -> Result<u8, Failure> {
    let (scope, name, args) = match command {
        ThawCommand::Region(args) => (FreezeScope::Region, String::new(), args),
        ThawCommand::Segment(named) => (FreezeScope::Segment, named.name, named.args),
        ThawCommand::Host(named) => (FreezeScope::Host, named.name, named.args),
        ThawCommand::Instance(named) => (FreezeScope::Instance, named.name, named.args),
    };
    end(scope, &name, &args, controller).await
}

async fn end(
    scope: FreezeScope,
    name: &str,
    args: &ThawArgs,
    controller: &dyn Controller,
) -> Result<u8, Failure> {
    answer::accepts(&args.shape, members::<FreezeView>())?;
    let source = source::open(&args.source, controller).await?;
    let listed = source.freezes().await?;
    let requested = frozen(scope, name, &listed)?;
    let thawed = source.thaw(&requested).await?;
    let rest = listed.iter().filter(|one| one.number != thawed.number);
    let above = rest.filter(|one| {
        let same = one.scope == scope && one.id == thawed.id;
        same || (scope != FreezeScope::Region && one.scope == FreezeScope::Region)
    });
    answer::object(
        &args.shape,
        source.now(),
        || json!(thawed),
        |_| {
            let first = format!(
                "{} is thawed, {} early: waiting work resumes within a second or two",
                Freeze::from(&thawed).what(),
                duration_text(left(&thawed))
            );
            let above = above.map(|one| format!("but {}", Freeze::from(one).sentence()));
            std::iter::once(first).chain(above).collect()
        },
    )?;
    note_if_no_engine_runs(source.as_ref()).await;
    Ok(crate::DONE)
}
