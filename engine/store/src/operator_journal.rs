//! Recoveries for operators: queries, and actions on recoveries.

mod back;
mod failure;
mod find;
mod history;
mod instance_resolution;
mod moves;
mod past;
mod region;
mod retry;
mod submit;

use std::collections::BTreeMap;

use async_trait::async_trait;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use tachi_domain::entity::Vmove;
use tachi_domain::recovery::{InstanceResolution, OperatorCommand};
use tachi_domain::situation::{MutedReporter, ReportedFailure};
use tachi_domain::{ApprovedWait, HostId, NotificationId, RecoveryId, ServerId, Timestamp};
use tachi_engine::ports::journal::PeerClaim;
use tachi_engine::ports::operator::{
    ActionOutcome, MoveFilter, MoveLine, RecoveryFilter, RecoveryHistory, RecoverySummary, RetryOutcome,
    SegmentView, StepLine,
};
use tachi_engine::ports::past::{Past, Span};
use tachi_engine::ports::{JournalError, OperatorJournal};
use tracing::instrument;

use crate::convert::Cell;
use crate::database::Database;
use crate::entity::{recovery, recovery_step};
use crate::error::{Failure, Stop};
use crate::journal::{failed_instances, unsettled};
use crate::registry::RegistryTables;
use crate::reporters;

/// The recoveries as operators read them, and the operators' actions.
#[derive(Clone)]
pub struct OperatorJournalTables {
    db: Database,
    /// Creates the notification for another attempt.
    registry: RegistryTables,
}

impl OperatorJournalTables {
    pub(crate) fn of(registry: &RegistryTables) -> Self {
        Self {
            db: registry.db.clone(),
            registry: registry.clone(),
        }
    }
}

#[async_trait]
impl OperatorJournal for OperatorJournalTables {
    #[instrument(name = "store::recoveries", level = "debug", skip_all)]
    async fn find_recoveries(&self, filter: &RecoveryFilter) -> Result<Vec<RecoverySummary>, JournalError> {
        let listed = find::recoveries(&self.db, filter).await;
        listed.map_err(|stop| stop.journal("listing recoveries"))
    }

    #[instrument(name = "store::recoveries_of_host", level = "debug", skip_all)]
    async fn recoveries_of_host(
        &self,
        id: HostId,
        name: &str,
        closed: u64,
    ) -> Result<Vec<RecoverySummary>, JournalError> {
        let listed = find::of_host(&self.db, (id, name), closed).await;
        listed.map_err(|stop| stop.journal("listing the recoveries of a host"))
    }

    #[instrument(name = "store::claims", level = "debug", skip_all)]
    async fn claims(&self) -> Result<Vec<PeerClaim>, JournalError> {
        let read = unsettled(&self.db).await;
        read.map_err(|stop| stop.journal("reading the claims of recoveries"))
    }

    #[instrument(name = "store::moves", level = "debug", skip_all)]
    async fn moves(&self, filter: MoveFilter) -> Result<Vec<MoveLine>, JournalError> {
        let listed = moves::moves(&self.db, filter).await;
        listed.map_err(|stop| stop.journal("listing instances"))
    }

    #[instrument(name = "store::moved", level = "debug", skip_all)]
    async fn moved(&self, notifications: &[NotificationId]) -> Result<Vec<Vmove>, JournalError> {
        let listed = moves::moved(&self.db, notifications).await;
        listed.map_err(|stop| stop.journal("listing the results of instances"))
    }

    #[instrument(name = "store::see_to", level = "debug", skip_all, fields(recovery = %id, %server))]
    async fn acknowledge(
        &self,
        id: RecoveryId,
        server: ServerId,
        by: &str,
    ) -> Result<ActionOutcome, JournalError> {
        let acknowledge = moves::Acknowledge {
            id,
            server,
            by,
            at: self.db.now(),
        };
        let outcome = self.db.write(&acknowledge).await;
        outcome.map_err(|stop| stop.journal("acknowledging an instance"))
    }

    #[instrument(name = "store::recovery_of_instance", level = "debug", skip_all, fields(%server))]
    async fn recovery_of_instance(&self, server: ServerId) -> Result<Option<RecoveryId>, JournalError> {
        let found = failure::recovery_of(&self.db, server).await;
        found.map_err(|stop| stop.journal("reading the recovery of an instance"))
    }

    #[instrument(name = "store::dismiss_failure", level = "debug", skip_all, fields(recovery = %id, %server))]
    async fn dismiss_failure(
        &self,
        id: RecoveryId,
        server: ServerId,
        failed_at: Timestamp,
        by: &str,
    ) -> Result<ActionOutcome, JournalError> {
        let dismiss = failure::DismissFailure {
            id,
            server,
            failed_at,
            by,
            at: self.db.now(),
        };
        let outcome = self.db.write(&dismiss).await;
        outcome.map_err(|stop| stop.journal("recording that an instance runs"))
    }

    #[instrument(name = "store::story", level = "debug", skip_all, fields(recovery = %id))]
    async fn history(&self, id: RecoveryId) -> Result<Option<RecoveryHistory>, JournalError> {
        let history = history::history(&self.db, id).await;
        history.map_err(|stop| stop.journal("reading a recovery"))
    }

    #[instrument(name = "store::past", level = "debug", skip_all)]
    async fn past(&self, host: &str, span: Span) -> Result<Option<Past>, JournalError> {
        let read = past::past(&self.db, host, span).await;
        read.map_err(|stop| stop.journal("reading the past of a host"))
    }

    #[instrument(name = "store::region", level = "debug", skip_all)]
    async fn region(&self) -> Result<Vec<SegmentView>, JournalError> {
        let read = region::region(&self.db).await;
        read.map_err(|stop| stop.journal("reading segments and hosts"))
    }

    #[instrument(name = "store::retry", level = "debug", skip_all, fields(recovery = %id))]
    async fn retry(&self, id: RecoveryId, by: &str) -> Result<RetryOutcome, JournalError> {
        let retried = retry::retry(&self.registry, id, by).await;
        retried.map_err(|stop| stop.journal("requesting another attempt"))
    }

    #[instrument(name = "store::steps", level = "debug", skip_all, fields(recovery = %id))]
    async fn steps(&self, id: RecoveryId) -> Result<Vec<StepLine>, JournalError> {
        let read = steps(&self.db, id).await;
        read.map_err(|stop| stop.journal("reading the steps of a recovery"))
    }

    #[instrument(name = "store::say", level = "debug", skip_all, fields(recovery = %id, word = word.as_str()))]
    async fn submit(
        &self,
        id: RecoveryId,
        word: OperatorCommand,
        wait: &ApprovedWait,
        by: &str,
    ) -> Result<ActionOutcome, JournalError> {
        let submit = submit::SubmitAction {
            id,
            word,
            wait,
            by,
            at: self.db.now(),
        };
        let outcome = self.db.write(&submit).await;
        outcome.map_err(|stop| stop.journal("recording an action on a recovery"))
    }

    #[instrument(name = "store::say_of", level = "debug", skip_all, fields(recovery = %id, server = %word.server))]
    async fn resolve_instance(
        &self,
        id: RecoveryId,
        word: &InstanceResolution,
    ) -> Result<ActionOutcome, JournalError> {
        let resolve = instance_resolution::ResolveInstance {
            id,
            word,
            at: self.db.now(),
        };
        let outcome = self.db.write(&resolve).await;
        outcome.map_err(|stop| stop.journal("recording the resolution of an instance"))
    }

    #[instrument(name = "store::reported_failures", level = "debug", skip_all)]
    async fn reported_failures(&self) -> Result<BTreeMap<ServerId, ReportedFailure>, JournalError> {
        let read = failed_instances::failures(self.db.reader()).await;
        read.map_err(|stop| stop.journal("reading the instances whose recovery has failed"))
    }

    #[instrument(name = "store::muted_reporters", level = "debug", skip_all)]
    async fn muted_reporters(&self) -> Result<Vec<MutedReporter>, JournalError> {
        let listed = reporters::list(&self.db).await;
        listed.map_err(|stop| stop.journal("listing the muted reporters"))
    }

    #[instrument(name = "store::unmute_reporter", level = "debug", skip_all, fields(number))]
    async fn unmute_reporter(&self, number: i64) -> Result<Option<MutedReporter>, JournalError> {
        let lifted = self.db.write(&reporters::Lift { number }).await;
        self.registry.muted_reporters.clear();
        lifted.map_err(|stop| stop.journal("unmuting a reporter"))
    }
}

async fn steps(db: &Database, id: RecoveryId) -> Result<Vec<StepLine>, Stop> {
    let Some(row) = recovery::Entity::find()
        .filter(recovery::Column::Uuid.eq(id.to_string()))
        .one(db.reader())
        .await?
    else {
        return Ok(Vec::new());
    };
    steps_of(db, row.id).await
}

async fn steps_of(db: &Database, recovery: i64) -> Result<Vec<StepLine>, Stop> {
    let steps = recovery_step::Entity::find()
        .filter(recovery_step::Column::RecoveryId.eq(recovery))
        .order_by_asc(recovery_step::Column::Id)
        .all(db.reader())
        .await?;
    Ok(steps.into_iter().map(step_line).collect::<Result<_, _>>()?)
}

fn step_line(row: recovery_step::Model) -> Result<StepLine, Failure> {
    let id = row.id.to_string();
    let cell = Cell {
        table: "recovery_step",
        row: &id,
        column: "epoch",
    };
    Ok(StepLine {
        at: Timestamp::from_micros(row.at),
        epoch: cell.count(row.epoch)?,
        task: row.task,
        kind: row.kind,
        server: row.instance_uuid,
        text: row.text,
    })
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::notification::NotificationStatus;
    use tachi_domain::recovery::{Life, StepKind, Task};
    use tachi_engine::ports::journal::{Write, WriteOutcome};
    use tachi_engine::ports::operator::RecoveryState;
    use uuid::Uuid;

    use super::*;
    use crate::testing::{Bench, step};

    #[tokio::test]
    async fn a_false_alarm_is_listed_as_dismissed_and_not_as_failed() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        for (name, dismissed) in [("down", false), ("up", true)] {
            let host = bench.host(&segment, name).await;
            bench.stopped(&host).await;
            let claimed = bench.claim_newest("engine").await;
            let close = Write {
                life: Some(Life::Closed),
                notification: Some((NotificationStatus::Failed, Some("nothing was done".to_owned()))),
                dismissed,
                ..Write::default()
            };
            let journal = bench.store.journal();
            let written = journal
                .commit_at(claimed.id, claimed.epoch, &close)
                .await
                .unwrap();
            assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
        }
        for (state, host, status) in [
            (
                RecoveryState::Status(NotificationStatus::Failed),
                "down",
                "failed",
            ),
            (RecoveryState::Dismissed, "up", "dismissed"),
        ] {
            let filter = RecoveryFilter {
                state: Some(state),
                ..RecoveryFilter::default()
            };
            let found = bench
                .store
                .operator_journal()
                .find_recoveries(&filter)
                .await
                .unwrap();
            let shown: Vec<_> = found
                .iter()
                .map(|row| (row.host.as_str(), row.status.as_str()))
                .collect();
            assert_eq!(shown, [(host, status)]);
        }
    }

    #[tokio::test]
    async fn recoveries_are_listed_newest_first_and_closed_ones_only_if_asked_for() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        for name in ["cmp1", "cmp2"] {
            let host = bench.host(&segment, name).await;
            bench.stopped(&host).await;
        }
        let claimed = bench.claim_newest("engine").await;
        let close = Write {
            life: Some(Life::Closed),
            notification: Some((NotificationStatus::Failed, Some("nothing left".to_owned()))),
            ..Write::default()
        };
        let written = bench
            .store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &close)
            .await
            .unwrap();
        assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
        let hosts = |listed: &[RecoverySummary]| -> Vec<String> {
            listed.iter().map(|summary| summary.host.clone()).collect()
        };
        assert_eq!(
            hosts(&bench.store.operator_journal().recoveries(false).await.unwrap()),
            ["cmp1"]
        );
        let all = bench.store.operator_journal().recoveries(true).await.unwrap();
        assert_eq!(hosts(&all), ["cmp2", "cmp1"]);
        assert_eq!(all[0].status, "failed");
        assert_eq!(all[0].message.as_deref(), Some("nothing left"));
        assert_eq!(all[0].owner.as_deref(), Some("engine"));
        assert_eq!((all[1].status.as_str(), all[1].life), ("new", Life::Open));
    }

    #[tokio::test]
    async fn steps_are_listed_oldest_first_with_their_epoch() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let server = tachi_domain::ServerId(Uuid::from_u128(7));
        for text in ["first", "second"] {
            let claimed = bench.claim_newest("engine").await;
            let mut step = step(Task::Evacuate, 0.0, false, text);
            step.step.kind = StepKind::Intent;
            step.step.server = Some(server);
            let write = Write {
                steps: vec![step],
                ..Write::default()
            };
            let written = bench
                .store
                .journal()
                .commit_at(claimed.id, claimed.epoch, &write)
                .await
                .unwrap();
            assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
        }
        let lines = bench
            .store
            .operator_journal()
            .steps(bench.newest().await)
            .await
            .unwrap();
        let numbered: Vec<_> = lines
            .iter()
            .map(|line| (line.epoch, line.text.as_str()))
            .collect();
        assert_eq!(numbered, [(1, "first"), (2, "second")]);
        assert_eq!(lines[0].kind, "intent");
        assert_eq!(lines[0].server, Some(server.to_string()));
        assert_eq!(
            bench
                .store
                .operator_journal()
                .steps(RecoveryId(Uuid::nil()))
                .await
                .unwrap(),
            []
        );
    }

    #[tokio::test]
    async fn an_action_is_accepted_only_while_the_recovery_is_open() {
        for (life, outcome) in [
            (Life::Open, ActionOutcome::Submitted),
            (Life::Watching, ActionOutcome::NotOpen),
            (Life::Closed, ActionOutcome::NotOpen),
        ] {
            let bench = Bench::new().await;
            let segment = bench.segment("s1").await;
            let host = bench.host(&segment, "cmp1").await;
            bench.stopped(&host).await;
            let claimed = bench.claim_newest("engine").await;
            let write = Write {
                life: Some(life),
                ..Write::default()
            };
            let written = bench
                .store
                .journal()
                .commit_at(claimed.id, claimed.epoch, &write)
                .await
                .unwrap();
            assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
            let submitted = bench
                .store
                .operator_journal()
                .submit(
                    claimed.id,
                    OperatorCommand::Approve,
                    &ApprovedWait::Current,
                    "alice",
                )
                .await
                .unwrap();
            assert_eq!(submitted, outcome, "{life}");
            let unknown = bench
                .store
                .operator_journal()
                .submit(
                    RecoveryId(Uuid::nil()),
                    OperatorCommand::Approve,
                    &ApprovedWait::Current,
                    "alice",
                )
                .await;
            assert_eq!(unknown.unwrap(), ActionOutcome::Unknown);
        }
    }
}
