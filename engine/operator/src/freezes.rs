//! Freezing and thawing, on a controller or over the API. A request is checked first, then recorded in the audit log, then written.
//!
//! An operator who has frozen a host usually switches it off next. The answer therefore shows if anything can still be started on it, and
//! what was started before.

mod engine_wait;
mod expiry;
mod headroom;
mod target;
mod view;

use std::time::Duration;

use tachi_domain::freeze::FreezeScope;
use tachi_domain::situation::{FindingCode, Protection};
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::engine_registry::EngineRow;
use tachi_engine::ports::freezes::FREEZES_FACT;
use tachi_engine::ports::{AuditEntry, FreezeLine, FreezeOutcome, FreezeTerms, Freezes, NewFreeze};

use crate::actions::ActionError;
use crate::audited::AuditedOperator;
use crate::plain::check_reason;
use crate::snapshot::{RegionSnapshot, is_alive};
use crate::when::{duration_text, time};

pub use engine_wait::{ENGINE_WAIT_TIMEOUT, WaitResult, wait};
pub use expiry::Tender;
pub use target::{FreezeTarget, frozen};
pub use view::{FreezeView, FrozenView, end_command};

/// The longest freeze without `force`.
pub const MAX_UNFORCED_FREEZE: Duration = Duration::from_hours(24);

/// The longest freeze, even with `force`.
pub const MAX_FREEZE: Duration = Duration::from_hours(30 * 24);

/// The shortest freeze: no work on a host takes less time.
pub const MIN_FREEZE: Duration = Duration::from_mins(1);

/// The maximum length of the reason in bytes: messages contain it beside other text.
pub const MAX_REASON_BYTES: usize = 200;

/// The window in which an identical request counts as a retry after a lost answer.
const REPEAT_WINDOW: Duration = Duration::from_mins(1);

/// The tolerance for equal durations: one clock sets both ends of a freeze, and both are stored to the microsecond.
const DURATION_TOLERANCE: Duration = Duration::from_millis(1);

/// A request for a freeze.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeRequest {
    /// The kind of object to freeze.
    pub scope: FreezeScope,
    /// The object's name or id; empty for a region.
    pub name: String,
    pub terms: FreezeTerms,
    /// True if more than a day is intended.
    pub force: bool,
}

/// The invalid part of a request, with a message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidFreeze {
    Lasts(String),
    Reason(String),
}

impl FreezeRequest {
    /// Validates the request and returns it with the reason trimmed, as it is stored. `force` is the caller's name for the option that
    /// allows a longer freeze.
    ///
    /// # Errors
    ///
    /// The duration is out of bounds, or the reason is empty, too long or not one line.
    pub fn validate(self, force: &str) -> Result<Self, InvalidFreeze> {
        let FreezeTerms { lasts, reason, .. } = &self.terms;
        let (lasts, duration) = (*lasts, duration_text(*lasts));
        if lasts < MIN_FREEZE {
            return Err(InvalidFreeze::Lasts(format!(
                "{duration} is too short: the minimum is 1m"
            )));
        }
        if lasts > MAX_FREEZE {
            return Err(InvalidFreeze::Lasts(format!(
                "{duration} is too long: the maximum is 30d, and 24h without {force}"
            )));
        }
        if lasts > MAX_UNFORCED_FREEZE && !self.force {
            return Err(InvalidFreeze::Lasts(format!(
                "{duration} is a long time without protection: the maximum is 24h, or add {force}"
            )));
        }
        let reason = reason.trim();
        if reason.is_empty() {
            return Err(InvalidFreeze::Reason("write why, in one line".to_owned()));
        }
        check_reason(reason, MAX_REASON_BYTES).map_err(InvalidFreeze::Reason)?;
        let reason = reason.to_owned();
        let terms = FreezeTerms { reason, ..self.terms };
        Ok(Self { terms, ..self })
    }
}

/// An operator who freezes or thaws, and the ports for it.
pub struct FreezeOperator<'a> {
    pub freezes: &'a dyn Freezes,
    pub operator: AuditedOperator<'a>,
}

/// The result of a freeze request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The freeze in force.
    pub line: FreezeLine,
    /// The freeze that it replaces.
    pub before: Option<FreezeLine>,
    /// True if it was in force already, so that nothing was written.
    pub already: bool,
    /// The reason why the audit log lacks the result, if it does.
    pub unaudited: Option<String>,
}

impl FreezeOperator<'_> {
    /// Freezes an object that was found in `snapshot`. Writes nothing if the same operator made the same request a moment ago.
    ///
    /// # Errors
    ///
    /// An engine would ignore the freeze, a longer one is in force, the audit log cannot be written, or the database failed.
    pub async fn freeze(
        &self,
        what: &FreezeTarget,
        freeze_request: &FreezeRequest,
        snapshot: &RegionSnapshot,
    ) -> Result<InForce, ActionError> {
        check_engines(snapshot)?;
        let new = NewFreeze {
            scope: what.scope,
            target: what.target.clone(),
            name: what.name.clone(),
            by: self.operator.by.clone(),
            terms: freeze_request.terms.clone(),
        };
        let listed = self.freezes.freezes().await?;
        if let Some(line) = listed.into_iter().find(|line| is_repeated(line, &new)) {
            return Ok(InForce {
                line,
                before: None,
                already: true,
                unaudited: None,
            });
        }
        let entry = AuditEntry::new(AuditAction::Freeze, AuditPhase::Intent, what.host());
        let FreezeTerms { lasts, reason, .. } = &new.terms;
        let attempt = format!("{what} for {}: {reason}", duration_text(*lasts));
        self.operator
            .intend(entry.clone(), &attempt, "nothing was frozen")
            .await?;
        let written = self.freezes.freeze(&new).await;
        let (result, text) = match &written {
            Ok(FreezeOutcome::Started { line, .. }) => (AuditResult::Ok, line.freeze.sentence()),
            Ok(FreezeOutcome::Longer(line)) => (
                AuditResult::Permanent,
                format!("refused: {}", line.freeze.sentence()),
            ),
            Err(error) => (AuditResult::Transient, format!("{error}: {}", error.source)),
        };
        let unaudited = self.operator.conclude(entry, result, text).await;
        match written? {
            FreezeOutcome::Started { line, before } => Ok(InForce {
                line,
                before,
                already: false,
                unaudited,
            }),
            FreezeOutcome::Longer(line) => Err(ActionError::Refused(format!(
                "nothing was written: {}{}, which covers more than this. End that first: `{}`",
                line.freeze.sentence(),
                if line.freeze.unless_worse {
                    ""
                } else {
                    ", unconditionally"
                },
                line.freeze.thaw()
            ))),
        }
    }

    /// Ends this freeze, but not a freeze that has replaced it. Also returns the reason why the audit log lacks the result, if it does.
    ///
    /// # Errors
    ///
    /// The freeze is no longer in force, the audit log cannot be written, or the database failed.
    pub async fn thaw(&self, freeze: &FreezeView) -> Result<(FreezeView, Option<String>), ActionError> {
        let shown = tachi_domain::freeze::Freeze::from(freeze);
        let host = match shown.scope {
            FreezeScope::Host => shown.name.as_str(),
            FreezeScope::Region | FreezeScope::Segment | FreezeScope::Instance => "",
        };
        let entry = AuditEntry::new(AuditAction::Thaw, AuditPhase::Intent, host);
        self.operator
            .intend(entry.clone(), &shown.sentence(), "nothing was thawed")
            .await?;
        let thawed = self.freezes.thaw(shown.number, &self.operator.by).await;
        let result = match &thawed {
            Ok(Some(_)) => AuditResult::Ok,
            Ok(None) => AuditResult::Permanent,
            Err(_) => AuditResult::Transient,
        };
        let unaudited = self.operator.conclude(entry, result, shown.what()).await;
        match thawed? {
            Some(line) => Ok((FreezeView::from(&line), unaudited)),
            None => Err(ActionError::Unknown(format!(
                "{}: this freeze has ended meanwhile, or another freeze has replaced it",
                shown.what()
            ))),
        }
    }
}

/// True if the same operator made the same request a moment ago. Both times of a line come from the database's clock.
fn is_repeated(line: &FreezeLine, new: &NewFreeze) -> bool {
    let freeze = &line.freeze;
    let micros = freeze.until.micros().saturating_sub(line.since.micros());
    let lasts = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let same = !line.by_drain
        && freeze.scope == new.scope
        && line.target == new.target
        && freeze.by == new.by
        && freeze.reason == new.terms.reason
        && freeze.unless_worse == new.terms.unless_worse;
    same && lasts.abs_diff(new.terms.lasts) <= DURATION_TOLERANCE
        && lasts.saturating_sub(line.left) < REPEAT_WINDOW
}

/// Builds the answer to a freeze request.
pub fn render_frozen(
    written: &InForce,
    what: &FreezeTarget,
    waited: &WaitResult,
    snapshot: &RegionSnapshot,
) -> FrozenView {
    let unprotected = snapshot.situation.instances.as_ref().map(|all| {
        let loses = |protection| {
            matches!(
                protection,
                Protection::Protected | Protection::Degraded | Protection::Unknown
            )
        };
        let own = all.iter().filter(|one| what.has(one));
        // After a repeated request, these instances show as frozen already.
        own.filter(|one| {
            loses(one.protection) || (written.already && one.reasons.contains(&FindingCode::Frozen))
        })
        .count() as u64
    });
    let mut notes = silent_engine_warnings(snapshot);
    notes.extend(headroom::headroom_note(what, snapshot));
    notes.extend(written.unaudited.clone());
    FrozenView {
        freeze: FreezeView::from(&written.line),
        before: written.before.as_ref().map(FreezeView::from),
        already: written.already,
        unprotected,
        heard: waited.pending().is_empty(),
        unheard: waited.pending().to_vec(),
        underway: waited.lines(),
        notes,
    }
}

fn keeps_freezes(line: &EngineRow) -> bool {
    line.heartbeat.facts.contains_key(FREEZES_FACT)
}

/// Rejects the freeze if a running engine is too old to observe freezes.
fn check_engines(snapshot: &RegionSnapshot) -> Result<(), ActionError> {
    let engines = snapshot.tables.engines.iter();
    let too_old: Vec<String> = engines
        .filter(|line| is_alive(line, snapshot.now) && !keeps_freezes(line))
        .map(|line| format!("{} (version {})", line.heartbeat.name, line.heartbeat.version))
        .collect();
    if too_old.is_empty() {
        return Ok(());
    }
    Err(ActionError::Refused(format!(
        "nothing was frozen: {} would ignore the freeze, because it is older than this program; upgrade every engine first",
        too_old.join(", ")
    )))
}

/// Returns warnings about dead engines of an older version that did not deregister. If one of them runs after all, it ignores freezes.
fn silent_engine_warnings(snapshot: &RegionSnapshot) -> Vec<String> {
    let engines = snapshot.tables.engines.iter();
    engines
        .filter(|line| !is_alive(line, snapshot.now) && !keeps_freezes(line))
        .map(|line| {
            format!(
                "engine {} of an older version (last heartbeat {}) ignores freezes: make sure that it is not running",
                line.heartbeat.name,
                time(line.seen_at)
            )
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
