//! Freezing and thawing, on a controller or over the API: looked at first, then the audit log is told, then it is written.
//!
//! Whoever is told that something is frozen switches it off next. So it is told whether anything can still be begun of it, and what has
//! begun before.

mod headroom;
mod heard;
mod view;
mod what;

use std::time::Duration;

use tachi_domain::freeze::FreezeScope;
use tachi_domain::situation::{Code, Protection};
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::freezes::KEPT;
use tachi_engine::ports::roll::EngineLine;
use tachi_engine::ports::{AuditEntry, AuditSink, FreezeLine, Freezes, Freezing, NewFreeze};

use crate::seen::{Seen, is_alive};
use crate::when::{lasting, time};
use crate::words::Unsaid;

pub use heard::{Heard, LIMIT, wait};
pub use view::{FreezeView, FrozenView};
pub use what::{What, frozen};

/// Longer only by force.
pub const LONG: Duration = Duration::from_hours(24);

/// Longer by nothing.
pub const LONGEST: Duration = Duration::from_hours(30 * 24);

/// Shorter than this nobody does anything with a host.
pub const SHORTEST: Duration = Duration::from_mins(1);

/// The longest reason, in bytes: it stands in a message beside other things.
pub const REASON: usize = 200;

/// For so long the same that is said again is taken for something whose answer was lost.
const SAID_LATELY: Duration = Duration::from_mins(1);

/// Until and since are told by one clock, and kept to the microsecond.
const SAME: Duration = Duration::from_millis(1);

/// What somebody wants to be frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeWish {
    /// How much.
    pub scope: FreezeScope,
    /// Its name or id; empty for everything.
    pub name: String,
    /// For how long.
    pub lasts: Duration,
    /// Why.
    pub reason: String,
    /// It ends early if a second host of a segment dies.
    pub unless_worse: bool,
    /// Longer than a day is meant.
    pub force: bool,
}

/// What is wrong with a wish, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// How long it lasts.
    Lasts(String),
    /// Why.
    Reason(String),
}

impl FreezeWish {
    /// Whether it can be wanted at all; `force` is how longer ones are asked for there. The reason is then as it is kept.
    ///
    /// # Errors
    ///
    /// It lasts too long or is too short, or the reason is none.
    pub fn admit(self, force: &str) -> Result<Self, Unfit> {
        let told = lasting(self.lasts);
        if self.lasts < SHORTEST {
            return Err(Unfit::Lasts(format!("{told} is too short: write 1m or more")));
        }
        if self.lasts > LONGEST {
            return Err(Unfit::Lasts(format!(
                "{told} is too long: 30d at most, and 24h without {force}"
            )));
        }
        if self.lasts > LONG && !self.force {
            return Err(Unfit::Lasts(format!(
                "{told} is long for something that is not protected: 24h at most, or {force}"
            )));
        }
        let reason = self.reason.trim();
        if reason.is_empty() || reason.len() > REASON || reason.chars().any(char::is_control) {
            return Err(Unfit::Reason(format!("write one line of at most {REASON} bytes")));
        }
        let reason = reason.to_owned();
        Ok(Self { reason, ..self })
    }
}

/// Who freezes or thaws, and with what.
pub struct Hand<'a> {
    /// What is frozen.
    pub freezes: &'a dyn Freezes,
    /// Where it is written down beforehand.
    pub audit: &'a dyn AuditSink,
    /// Who it is.
    pub by: String,
    /// The id of the request, if it came by one.
    pub request: Option<String>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// In force now.
    pub line: FreezeLine,
    /// The one that it takes the place of.
    pub before: Option<FreezeLine>,
    /// It was in force already, and nothing was written.
    pub already: bool,
    /// Why the audit log does not have what came of it.
    pub unaudited: Option<String>,
}

impl Hand<'_> {
    fn entry(&self, action: AuditAction, phase: AuditPhase, host: &str, text: String) -> AuditEntry {
        let mut entry = AuditEntry::new(action, phase, host);
        entry.operator = Some(self.by.clone());
        entry.text = match &self.request {
            Some(request) if phase == AuditPhase::Intent => format!("{text} ({request})"),
            Some(_) | None => text,
        };
        entry
    }

    /// On the disk before it is done.
    async fn before(&self, entry: AuditEntry, not_done: &'static str) -> Result<(), Unsaid> {
        let written = self.audit.write(entry).await;
        written.map_err(|source| Unsaid::Unaudited { not_done, source })
    }

    /// It is done, and must not look as if it were not.
    async fn after(&self, entry: AuditEntry) -> Option<String> {
        let error = self.audit.write(entry).await.err()?;
        Some(format!(
            "what came of it is not in the audit log: {error}: {}",
            error.source
        ))
    }

    /// Freezes something that was found in `seen`. What the same person has said a moment ago is not written a second time.
    ///
    /// # Errors
    ///
    /// An engine would not keep it, a longer freeze is in force, the audit log takes nothing, or the database failed.
    pub async fn freeze(&self, what: &What, wish: &FreezeWish, seen: &Seen) -> Result<InForce, Unsaid> {
        engines_keep_it(seen)?;
        let new = NewFreeze {
            scope: what.scope,
            target: what.target.clone(),
            name: what.name.clone(),
            lasts: wish.lasts,
            by: self.by.clone(),
            reason: wish.reason.clone(),
            unless_worse: wish.unless_worse,
        };
        let listed = self.freezes.freezes().await?;
        if let Some(line) = listed.into_iter().find(|line| is_said(line, &new)) {
            return Ok(InForce {
                line,
                before: None,
                already: true,
                unaudited: None,
            });
        }
        let entry = |phase, text| self.entry(AuditAction::Freeze, phase, what.host(), text);
        let wanted = format!("{what} for {}: {}", lasting(new.lasts), new.reason);
        self.before(entry(AuditPhase::Intent, wanted), "nothing was frozen")
            .await?;
        let written = self.freezes.freeze(&new).await;
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
        let unaudited = self.after(outcome).await;
        match written? {
            Freezing::Begun { line, before } => Ok(InForce {
                line,
                before,
                already: false,
                unaudited,
            }),
            Freezing::Longer(line) => Err(Unsaid::Refused(format!(
                "nothing was written: {}{}, which is more than this. `{}` ends that first",
                line.freeze.sentence(),
                if line.freeze.unless_worse {
                    ""
                } else {
                    ", whatever happens"
                },
                line.freeze.thaw()
            ))),
        }
    }

    /// Ends a freeze, and no other that has taken its place. Says too why the audit log does not have what came of it.
    ///
    /// # Errors
    ///
    /// It is in force no more, the audit log takes nothing, or the database failed.
    pub async fn thaw(&self, freeze: &FreezeView) -> Result<(FreezeView, Option<String>), Unsaid> {
        let told = tachi_domain::freeze::Freeze::from(freeze);
        let host = match told.scope {
            FreezeScope::Host => told.name.as_str(),
            FreezeScope::Region | FreezeScope::Segment | FreezeScope::Instance => "",
        };
        let entry = |phase, text| self.entry(AuditAction::Thaw, phase, host, text);
        self.before(entry(AuditPhase::Intent, told.sentence()), "nothing was thawed")
            .await?;
        let thawed = self.freezes.thaw(told.number, &self.by).await;
        let mut outcome = entry(AuditPhase::Outcome, told.what());
        outcome.result = Some(match &thawed {
            Ok(Some(_)) => AuditResult::Ok,
            Ok(None) => AuditResult::Permanent,
            Err(_) => AuditResult::Transient,
        });
        let unaudited = self.after(outcome).await;
        match thawed? {
            Some(line) => Ok((FreezeView::from(&line), unaudited)),
            None => Err(Unsaid::Unknown(format!(
                "{} is frozen no more by what you saw: that has ended meanwhile, or another freeze has taken its place",
                told.what()
            ))),
        }
    }
}

/// Whether this was said a moment ago, by the same person, in the same words. Both ends of a line are told by the database's clock.
fn is_said(line: &FreezeLine, new: &NewFreeze) -> bool {
    let freeze = &line.freeze;
    let micros = freeze.until.micros().saturating_sub(line.since.micros());
    let lasts = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let same = freeze.scope == new.scope
        && line.target == new.target
        && freeze.by == new.by
        && freeze.reason == new.reason
        && freeze.unless_worse == new.unless_worse;
    same && lasts.abs_diff(new.lasts) <= SAME && lasts.saturating_sub(line.left) < SAID_LATELY
}

/// What is told of it.
pub fn told(written: &InForce, what: &What, heard: &Heard, seen: &Seen) -> FrozenView {
    let unprotected = seen.situation.instances.as_ref().map(|all| {
        let loses = |protection| {
            matches!(
                protection,
                Protection::Protected | Protection::Degraded | Protection::Unknown
            )
        };
        let own = all.iter().filter(|one| what.has(one));
        // Said again, it shows already.
        own.filter(|one| loses(one.protection) || (written.already && one.reasons.contains(&Code::Frozen)))
            .count() as u64
    });
    let mut notes = silent(seen);
    notes.extend(headroom::falls(what, seen));
    notes.extend(written.unaudited.clone());
    FrozenView {
        freeze: FreezeView::from(&written.line),
        before: written.before.as_ref().map(FreezeView::from),
        already: written.already,
        unprotected,
        heard: heard.unheard().is_empty(),
        unheard: heard.unheard().to_vec(),
        underway: heard.lines(),
        notes,
    }
}

fn keeps_freezes(line: &EngineLine) -> bool {
    line.signature.facts.contains_key(KEPT)
}

/// Refuses what an engine would not keep.
fn engines_keep_it(seen: &Seen) -> Result<(), Unsaid> {
    let engines = seen.tables.engines.iter();
    let deaf: Vec<String> = engines
        .filter(|line| is_alive(line, seen.now) && !keeps_freezes(line))
        .map(|line| format!("{} (version {})", line.signature.name, line.signature.version))
        .collect();
    if deaf.is_empty() {
        return Ok(());
    }
    Err(Unsaid::Refused(format!(
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

#[cfg(test)]
pub(crate) mod tests;
