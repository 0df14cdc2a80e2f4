//! Operators' actions on a recovery or on one of its instances, on a controller or over the API. An action is checked first, then written;
//! in between, the caller records it in the audit log.

use tachi_domain::host_recovery::{Move, MoveStep};
use tachi_domain::recovery::{InstanceResolution, Life, OperatorCommand, ResolutionKind};
use tachi_domain::{ApprovedWait, RecoveryId, Wait, WaitsFor};
use tachi_engine::ports::operator::{ActionOutcome, MoveFilter, RecoveryHistory};
use tachi_engine::ports::{AuditError, JournalError, OperatorJournal};

use crate::plain::{check_reason, plain};
use crate::search::{best_matches, several_matches};
use crate::snapshot::RegionSnapshot;
use crate::vmove::VmoveLine;
use crate::waits::{self, WaitView};
use crate::when::ago;

/// The maximum length of an operator's name with the reason, in bytes.
const MAX_SIGNED_BYTES: usize = 250;

/// The maximum length of an operator's name, in characters.
const MAX_NAME: usize = 96;

/// The reason why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// The name or id has no match.
    #[error("{0}")]
    Unknown(String),
    /// Known facts block the action.
    #[error("{0}")]
    Refused(String),
    /// The name or id has several matches.
    #[error("{0}")]
    Ambiguous(String),
    /// The audit log cannot be written, so the action was not done.
    #[error("{not_done}")]
    Unaudited {
        /// The message that names what was not done.
        not_done: &'static str,
        source: AuditError,
    },
    /// The database failed. The action may have been written nevertheless.
    #[error("recording the action")]
    Failed(#[from] JournalError),
}

/// Returns the operator's name, with the reason in parentheses if there is one, as one line that fits its column.
///
/// # Errors
///
/// The reason is too long or not one line; for people.
pub fn signed(name: &str, reason: Option<&str>) -> Result<String, String> {
    let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let Some(reason) = reason.map(str::trim).filter(|reason| !reason.is_empty()) else {
        return Ok(name);
    };
    check_reason(reason, MAX_SIGNED_BYTES.saturating_sub(name.len() + 3))?;
    Ok(format!("{name} ({reason})"))
}

/// True if requesting `word` again adds nothing: no engine has read it yet, or the recovery no longer waits for an action. If an engine has
/// read it and the recovery still waits, the action had no effect.
pub fn is_repeated(history: &RecoveryHistory, word: OperatorCommand) -> bool {
    let wait = history
        .summary
        .wait
        .as_ref()
        .filter(|wait| !wait.what.ended_by().is_empty());
    match wait {
        Some(wait) if history.summary.life == Life::Open => history
            .unread
            .iter()
            .any(|applied_action| applied_action.request.word == word && applied_action.counts_for(wait)),
        Some(_) | None => history
            .word
            .as_ref()
            .is_some_and(|(applied, ..)| applied == word.as_str()),
    }
}

/// Checks that a recovery still accepts an action, which the operator decided on at this wait.
///
/// # Errors
///
/// The recovery is done, or an approval is for another wait.
pub fn accepts(
    history: &RecoveryHistory,
    word: OperatorCommand,
    wait: &ApprovedWait,
) -> Result<(), ActionError> {
    let summary = &history.summary;
    if summary.life != Life::Open {
        return Err(over(summary.id));
    }
    if word == OperatorCommand::Approve && !wait.is_for(summary.wait.as_ref()) {
        return Err(other_wait(summary.id, summary.wait.as_ref()));
    }
    Ok(())
}

fn over(id: RecoveryId) -> ActionError {
    ActionError::Refused(format!("recovery {id} has ended: nothing was written"))
}

fn other_wait(id: RecoveryId, now: Option<&Wait>) -> ActionError {
    let now = now.filter(|wait| wait.what != WaitsFor::Nothing).map_or_else(
        || "no longer waits".to_owned(),
        |wait| format!("now waits for something else: {}", WaitView::from(wait).about()),
    );
    ActionError::Refused(format!(
        "recovery {id} {now}. Nothing was written. Show the recovery again, and approve it if that is right: tachi recovery show {id}"
    ))
}

/// Writes an action on a recovery.
///
/// # Errors
///
/// There is no such recovery, it is done, it waits for something else than was approved, or the database failed.
pub async fn submit(
    operator_journal: &dyn OperatorJournal,
    id: RecoveryId,
    word: OperatorCommand,
    wait: &ApprovedWait,
    by: &str,
) -> Result<(), ActionError> {
    match operator_journal.submit(id, word, wait, by).await? {
        ActionOutcome::Submitted => Ok(()),
        ActionOutcome::Unknown => Err(ActionError::Unknown(format!("no recovery has the id {id}"))),
        ActionOutcome::NotOpen => Err(over(id)),
        ActionOutcome::OlderEngine(engine) => Err(ActionError::Refused(format!(
            "engine {engine} has an older version, which reads only the last of several actions: nothing was written. Upgrade or stop it \
             and repeat this in a minute; an abort is accepted anyway"
        ))),
        ActionOutcome::OtherWait(now) => Err(other_wait(id, now.as_ref())),
        ActionOutcome::TooMany => Err(too_many(id)),
    }
}

fn too_many(id: RecoveryId) -> ActionError {
    ActionError::Refused(format!(
        "too many actions on instances of recovery {id} wait for an engine: nothing was written. Repeat this in two minutes"
    ))
}

/// Finds an instance that is being moved or waits for an operator, by its name, its id or the beginning of its id.
///
/// # Errors
///
/// There is no match, there are several, or the database failed.
pub async fn instance(
    operator_journal: &dyn OperatorJournal,
    instance: &str,
) -> Result<VmoveLine, ActionError> {
    let mut all = operator_journal.moves(MoveFilter::Unsettled).await?;
    let given_up = operator_journal.moves(MoveFilter::NeedsPerson).await?;
    all.extend(given_up.into_iter().filter(|line| line.life == Life::Closed));
    one_of(all.into_iter().map(VmoveLine::from).collect(), instance)
}

fn one_of(lines: Vec<VmoveLine>, instance: &str) -> Result<VmoveLine, ActionError> {
    let called = |line: &VmoveLine| (line.line.server.to_string(), line.line.name.clone());
    let (_, mut found) = best_matches(instance, lines, called);
    // The move may be done in an older recovery and in progress in a newer one.
    let is_finished = |line: &VmoveLine| line.one.as_ref().is_some_and(Move::is_finished);
    if found.iter().any(|line| !is_finished(line)) {
        found.retain(|line| !is_finished(line));
    } else if let Some(server) = found.last().map(|line| line.line.server)
        && found.iter().all(|line| line.line.server == server)
    {
        // The move is done in all of them: the newest shows the current state.
        found.drain(..found.len() - 1);
    }
    if found.len() > 1 {
        let each = found.iter().map(|line| {
            let of = &line.line;
            format!(
                "{} {} of {}, recovery {}",
                of.server,
                plain(&of.name),
                plain(&of.host),
                of.recovery
            )
        });
        return Err(ActionError::Ambiguous(several_matches(
            instance,
            "instances",
            each,
        )));
    }
    found.pop().ok_or_else(|| {
        ActionError::Unknown(format!(
            "no open recovery has an instance {instance:?} (a name, or the beginning of an id), and none has given it up: see `tachi \
             instance list --recovering`"
        ))
    })
}

/// The effect of an action on an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolutionEffect {
    /// The engine of its recovery reads the action.
    Submitted,
    /// An operator has dealt with an instance that the recovery gave up on. No engine needs to read that.
    Acknowledged,
}

impl VmoveLine {
    /// Returns the effect that this action would have now.
    ///
    /// # Errors
    ///
    /// The instance does not accept the action in its present state.
    pub fn accepts(&self, word: ResolutionKind, on: Option<&str>) -> Result<ResolutionEffect, ActionError> {
        let name = &self.line.name;
        if word == ResolutionKind::Ignore && waits::what(self.line.wait.as_ref()) == WaitsFor::GivenUp {
            return Ok(ResolutionEffect::Acknowledged);
        }
        let one = self.one.as_ref().ok_or_else(|| {
            ActionError::Refused(format!(
                "{name}: its state was written by another version of Tachi; use that version"
            ))
        })?;
        one.accepts(word, on)
            .map(|()| ResolutionEffect::Submitted)
            .map_err(|why| ActionError::Refused(format!("nothing was written: {why}")))
    }
}

/// Checks `--running-on` against what engines last read from Nova. The instance's engine checks again when it reads the action, and changes
/// nothing if Nova shows the instance elsewhere. This check refuses such an action before anything is written. Stale data and unlisted
/// instances prove nothing.
///
/// # Errors
///
/// Nova showed the instance on another host; for people.
pub fn is_shown_on(snapshot: &RegionSnapshot, line: &VmoveLine, host: &str) -> Result<(), ActionError> {
    let (id, name) = (line.line.server, &line.line.name);
    let Some(known) = snapshot
        .facts
        .instances
        .as_ref()
        .filter(|known| known.is_fresh(snapshot.now))
    else {
        return Ok(());
    };
    let shown = known.value.on.iter();
    let shown = shown.filter(|(_, all)| all.iter().any(|instance| instance.id == id));
    let shown: Vec<&str> = shown.map(|(host, _)| host.as_str()).collect();
    if shown.is_empty() || shown.contains(&host) {
        return Ok(());
    }
    // A move that was not requested yet would be started next. The engine reads the action and puts the move on hold, so it is accepted.
    let waits = line
        .one
        .as_ref()
        .is_some_and(|instance| matches!(instance.step, MoveStep::Waiting { .. }));
    if waits && shown == [line.line.host.as_str()] {
        return Ok(());
    }
    Err(ActionError::Refused(format!(
        "nothing was written: Nova showed {name} on {} {}, and not on {host}; --running-on is accepted only if Nova shows it there. If \
         Nova shows it there by now, repeat this in a minute; if it never does, see docs/failures/may-run-elsewhere.md",
        shown.join(" and "),
        ago(known.as_of, snapshot.now)
    )))
}

/// Writes an action on an instance that was read before.
///
/// # Errors
///
/// The instance does not accept the action in its present state, or the database failed.
pub async fn resolve_instance(
    operator_journal: &dyn OperatorJournal,
    line: &VmoveLine,
    word: ResolutionKind,
    on: Option<String>,
    by: &str,
) -> Result<ResolutionEffect, ActionError> {
    let effect = line.accepts(word, on.as_deref())?;
    let (recovery, server, name) = (line.line.recovery, line.line.server, &line.line.name);
    if effect == ResolutionEffect::Acknowledged {
        return match operator_journal.acknowledge(recovery, server, by).await? {
            ActionOutcome::Submitted => Ok(effect),
            ActionOutcome::Unknown
            | ActionOutcome::NotOpen
            | ActionOutcome::OlderEngine(_)
            | ActionOutcome::TooMany
            | ActionOutcome::OtherWait(_) => Err(ActionError::Refused(format!(
                "recovery {recovery} has not given up {name}, or another operator has acknowledged it meanwhile: nothing was written"
            ))),
        };
    }
    let resolution = InstanceResolution {
        number: 0,
        server,
        word,
        on,
        by: by.to_owned(),
        at: None,
        is_late: false,
    };
    match operator_journal.resolve_instance(recovery, &resolution).await? {
        ActionOutcome::Submitted => Ok(effect),
        ActionOutcome::TooMany => Err(too_many(recovery)),
        ActionOutcome::Unknown
        | ActionOutcome::NotOpen
        | ActionOutcome::OlderEngine(_)
        | ActionOutcome::OtherWait(_) => Err(over(recovery)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tachi_domain::Timestamp;
    use tachi_engine::ports::operator::MoveLine;
    use uuid::Uuid;

    use super::*;

    fn line(server: &str, name: &str, recovery: u128) -> VmoveLine {
        VmoveLine {
            one: None,
            line: MoveLine {
                recovery: RecoveryId(Uuid::from_u128(recovery)),
                host: "compute-003".to_owned(),
                life: Life::Closed,
                opened_at: Timestamp::from_micros(1),
                server: server.parse().unwrap(),
                name: name.to_owned(),
                rank: 0,
                dest: None,
                wait: None,
                may_run: BTreeSet::new(),
                message: None,
                state: String::new(),
            },
        }
    }

    #[test]
    fn an_instance_is_found_by_name_id_or_prefix() {
        const ONE: &str = "beef0001-0000-4000-8000-000000000001";
        const OTHER: &str = "beef0002-0000-4000-8000-000000000002";
        let all = || {
            vec![
                line(ONE, "ha-1", 1),
                line(OTHER, "twin", 1),
                line("cafe0003-0000-4000-8000-000000000003", "twin", 1),
                line("cafe0004-0000-4000-8000-000000000004", "beef0001", 1),
            ]
        };
        for (name, found) in [
            ("ha-1", ONE),
            (ONE, ONE),
            (&ONE.to_ascii_uppercase(), ONE),
            ("beef0002", OTHER),
            ("beef0001", "cafe0004-0000-4000-8000-000000000004"),
        ] {
            let one = one_of(all(), name).unwrap();
            assert_eq!(one.line.server.to_string(), found, "{name}");
        }
        for (name, part) in [
            (
                "beef",
                "matches several instances; name one by its id:\n  beef0001-",
            ),
            (
                "twin",
                "\n  cafe0003-0000-4000-8000-000000000003 twin of compute-003, recovery ",
            ),
            ("bee", "no open recovery has an instance \"bee\""),
            ("", "no open recovery has an instance \"\""),
        ] {
            let why = one_of(all(), name).map(|line| line.line.server).unwrap_err();
            assert!(why.to_string().contains(part), "{name}: {why}");
        }
    }

    #[test]
    fn operator_and_reason_fit_into_their_column_and_one_line() {
        let long = "x".repeat(MAX_SIGNED_BYTES);
        for (name, reason, expected) in [
            ("alice", None, Some("alice")),
            ("alice", Some("  "), Some("alice")),
            (
                "al\nice",
                Some(" switch replaced "),
                Some("alice (switch replaced)"),
            ),
            ("alice", Some("two\nlines"), None),
            ("alice", Some(long.as_str()), None),
        ] {
            let text = signed(name, reason);
            assert_eq!(text.ok().as_deref(), expected, "{reason:?}");
        }
    }
}
