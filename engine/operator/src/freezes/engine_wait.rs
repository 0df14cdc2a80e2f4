//! Confirmation that every engine concerned has read a freeze, before the operator gets the answer.
//!
//! An engine reads freezes with each heartbeat of a recovery. A transaction that started before the freeze may still write the intent of a
//! call, and the heartbeat after it may have started before the freeze too. The second heartbeat cannot have. From then on the journal
//! rejects new work, and the work that was started before is visible.

use std::collections::BTreeMap;
use std::time::Duration;

use tachi_domain::count;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::{RecoveryId, WaitsFor};
use tachi_engine::ports::journal::PeerClaim;
use tachi_engine::ports::operator::{MoveFilter, MoveLine, RecoverySummary};
use tachi_engine::ports::{JournalError, OperatorJournal};
use tokio::time::{Instant, sleep};

use super::target::FreezeTarget;
use crate::waits;

/// The maximum time to wait for engines. Taking over a recovery takes less.
pub const ENGINE_WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// The interval between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The delay before the caller learns which recoveries are missing.
const PROGRESS_DELAY: Duration = Duration::from_millis(500);

/// The time within which a recovery stores its wait, once its engine has read the freeze.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum number of recoveries that are listed one by one.
const MAX_LISTED: usize = 20;

/// The state of recoveries and moves after the wait.
#[derive(Debug, Default)]
pub struct WaitResult {
    recoveries: Vec<RecoverySummary>,
    moves: Vec<MoveLine>,
    /// The recoveries whose engine has not read the freeze.
    pending: Vec<String>,
}

/// Waits until the engine of each recovery has read the freeze, for `limit` at most. If that takes a while, calls `waiting` once with the
/// missing recoveries.
///
/// # Errors
///
/// The database failed. The freeze is in force, but it is unknown if engines have read it.
pub async fn wait(
    operator_journal: &dyn OperatorJournal,
    what: &FreezeTarget,
    limit: Duration,
    waiting: impl Fn(&[String]),
) -> Result<WaitResult, JournalError> {
    let may_act = |row: &RecoverySummary| {
        // The recovery of an instance may find it on any host, and the recovery of a host may include any instance.
        what.has_host(&row.host) || row.kind == RecoveryKind::Vm || what.scope == FreezeScope::Instance
    };
    let rows = operator_journal.recoveries(false).await?;
    let rows: BTreeMap<RecoveryId, RecoverySummary> = rows
        .into_iter()
        .filter(may_act)
        .map(|row| (row.id, row))
        .collect();
    let mut claims = operator_journal.claims().await?;
    let before: Vec<PeerClaim> = claims
        .iter()
        .filter(|recovery| rows.contains_key(&recovery.id) && recovery.owner.is_some())
        .cloned()
        .collect();
    let (begun, mut reported) = (Instant::now(), false);
    let pending = loop {
        let missing: Vec<String> = before
            .iter()
            .filter(|recovery| !has_read_freeze(recovery, &claims))
            .map(|recovery| {
                let host = rows
                    .get(&recovery.id)
                    .map(|row| row.host.as_str())
                    .unwrap_or_default();
                let owner = recovery.owner.as_deref().unwrap_or_default();
                format!("{} of {host} ({owner})", recovery.id)
            })
            .collect();
        if missing.is_empty() || begun.elapsed() >= limit {
            break missing;
        }
        if !reported && begun.elapsed() >= PROGRESS_DELAY {
            reported = true;
            waiting(&missing);
        }
        sleep(POLL_INTERVAL).await;
        claims = operator_journal.claims().await?;
    };
    let written = Instant::now() + STORE_TIMEOUT;
    loop {
        let rows = operator_journal.recoveries(false).await?;
        let recoveries: Vec<RecoverySummary> =
            rows.into_iter().filter(|row| what.has_host(&row.host)).collect();
        let moves = if what.scope == FreezeScope::Instance {
            let all = operator_journal.moves(MoveFilter::Unsettled).await?;
            all.into_iter()
                .filter(|row| row.server.to_string() == what.target)
                .collect()
        } else {
            Vec::new()
        };
        let result = WaitResult {
            recoveries,
            moves,
            pending: pending.clone(),
        };
        if result.all_wait() || before.is_empty() || Instant::now() >= written {
            return Ok(result);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// True if the recovery has completed a transaction that started after `before` was read, whichever engine owns it now.
fn has_read_freeze(before: &PeerClaim, claims: &[PeerClaim]) -> bool {
    let now = claims.iter().find(|claim| claim.id == before.id);
    now.is_none_or(|now| now.epoch != before.epoch || now.beat >= before.beat.saturating_add(2))
}

fn waits(row: &RecoverySummary) -> bool {
    waits::what(row.wait.as_ref()) == WaitsFor::Frozen
}

impl WaitResult {
    fn all_wait(&self) -> bool {
        let open = |row: &&RecoverySummary| row.life == Life::Open;
        self.recoveries.iter().filter(open).all(waits)
            && self
                .moves
                .iter()
                .all(|row| waits::what(row.wait.as_ref()) == WaitsFor::Frozen)
    }

    /// Returns the work in progress on the frozen object, one sentence each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for row in &self.recoveries {
            let (id, host, kind) = (row.id, &row.host, row.kind);
            lines.push(match row.life {
                Life::Open if waits(row) => format!("recovery {id} ({kind}) of {host} waits until the freeze ends"),
                // The engine that claims it reads the freeze first.
                Life::Open if row.owner.is_none() => {
                    format!("no engine has started recovery {id} ({kind}) of {host} yet; it waits until the freeze ends")
                }
                Life::Open => format!(
                    "BUT recovery {id} ({kind}) of {host} had started before: it continues to its end, without further power commands; \
                     see `tachi recovery show {id}`"
                ),
                Life::Watching | Life::Closed => format!(
                    "{host} was recovered before ({id}): it is neither powered on nor enabled during the freeze"
                ),
            });
        }
        for one in &self.moves {
            if waits::what(one.wait.as_ref()) != WaitsFor::Frozen {
                lines.push(format!(
                    "BUT recovery {} of {} has started to move it, or is done: see `tachi recovery show {}`",
                    one.recovery, one.host, one.recovery
                ));
            }
        }
        let more = lines.len().saturating_sub(MAX_LISTED);
        lines.truncate(MAX_LISTED);
        if more > 0 {
            lines.push(format!(
                "and {} more: see `tachi recovery list`",
                count(more, "recovery", "recoveries")
            ));
        }
        lines
    }

    /// Returns the recoveries whose engine has not read the freeze: the freeze is not reliable yet.
    pub fn pending(&self) -> &[String] {
        &self.pending
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::{HostId, NotificationId, Timestamp, Wait};
    use tachi_engine::ports::operator::MoveCounts;
    use uuid::Uuid;

    use super::*;

    fn claim(number: u128, epoch: u64, beat: u64) -> PeerClaim {
        PeerClaim {
            id: RecoveryId(Uuid::from_u128(number)),
            epoch,
            seq: 0,
            beat,
            owner: Some("ctl-1:7:x".into()),
            life: Life::Open,
            of_host: true,
        }
    }

    #[test]
    fn one_renewal_may_have_started_before_the_freeze_two_have_not() {
        let before = claim(1, 3, 10);
        for (now, waited) in [
            (vec![claim(1, 3, 10)], false),
            (vec![claim(1, 3, 11)], false),
            (vec![claim(1, 3, 12)], true),
            (vec![claim(1, 4, 0)], true),
            (vec![claim(2, 3, 10)], true),
            (vec![], true),
        ] {
            assert_eq!(has_read_freeze(&before, &now), waited, "{now:?}");
        }
    }

    #[test]
    fn work_in_progress_is_listed_and_engines_that_have_not_read_the_freeze_are_pending() {
        let row = |number, life, wait| RecoverySummary {
            id: RecoveryId(Uuid::from_u128(number)),
            notification: NotificationId(Uuid::from_u128(number)),
            kind: RecoveryKind::Host,
            host: "cmp1".into(),
            host_id: HostId(Uuid::from_u128(1)),
            segment: None,
            moves: MoveCounts::default(),
            life,
            status: "running".into(),
            wait: Some(Wait::bare(wait, Timestamp::from_micros(1))),
            message: None,
            owner: Some("ctl-1:7:x".into()),
            opened_at: Timestamp::from_micros(1),
            first_reported_at: Timestamp::from_micros(1),
        };
        let mut waited = WaitResult {
            recoveries: vec![
                row(1, Life::Open, WaitsFor::Frozen),
                row(2, Life::Open, WaitsFor::Nothing),
                row(3, Life::Watching, WaitsFor::Return),
            ],
            ..WaitResult::default()
        };
        let lines = waited.lines();
        assert!(
            lines[0].ends_with("of cmp1 waits until the freeze ends"),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("BUT recovery") && lines[1].contains("had started before"),
            "{lines:?}"
        );
        assert!(lines[2].contains("neither powered on nor enabled"), "{lines:?}");
        assert!(!waited.all_wait());
        assert_eq!(waited.pending(), [] as [&str; 0]);
        waited.recoveries.remove(1);
        assert!(waited.all_wait());
        waited.pending.push("e1 of cmp1 (ctl-1)".into());
        assert_eq!(waited.pending(), ["e1 of cmp1 (ctl-1)"]);
    }
}
