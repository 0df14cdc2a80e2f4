//! How far the tasks of a recovery are, told by its step journal.

use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use tachi_domain::entity::TaskProgress;
use tachi_domain::entity::progress::ProgressDetail;
use tachi_domain::{NotificationId, Timestamp};

use crate::entity::{recovery, recovery_step};
use crate::error::Stop;

pub(super) async fn read(
    db: &impl ConnectionTrait,
    notification: NotificationId,
) -> Result<Vec<TaskProgress>, Stop> {
    let recoveries = Query::select()
        .column(recovery::Column::Id)
        .from(recovery::Entity)
        .and_where(recovery::Column::NotificationUuid.eq(notification.to_string()))
        .take();
    let steps = recovery_step::Entity::find()
        .filter(recovery_step::Column::RecoveryId.in_subquery(recoveries))
        .order_by_asc(recovery_step::Column::Id)
        .all(db)
        .await?;
    Ok(tell(steps))
}

/// One entry per task, in the order in which the tasks first appear. The latest step that ended a task, either way,
/// decides its state: a task that failed and then was done after all is a success.
fn tell(steps: Vec<recovery_step::Model>) -> Vec<TaskProgress> {
    let mut tasks: Vec<TaskProgress> = Vec::new();
    for step in steps {
        if !tasks.iter().any(|task| task.name == step.task) {
            tasks.push(TaskProgress {
                name: step.task.clone(),
                progress: 0.0,
                state: "RUNNING".to_owned(),
                details: Vec::new(),
            });
        }
        let Some(task) = tasks.iter_mut().find(|task| task.name == step.task) else {
            continue;
        };
        task.progress = step.progress;
        if step.failed {
            "FAILURE".clone_into(&mut task.state);
        } else if step.progress >= 1.0 {
            "SUCCESS".clone_into(&mut task.state);
        }
        task.details.push(ProgressDetail {
            at: Timestamp::from_micros(step.at),
            progress: step.progress,
            message: step.text,
        });
    }
    tasks
}

#[cfg(test)]
mod tests {
    use tachi_engine::ports::journal::{Committed, Write};
    use tachi_engine::ports::{Journal as _, Registry as _};
    use uuid::Uuid;

    use super::*;
    use crate::testing::{Bench, step};

    #[tokio::test]
    async fn tasks_are_told_in_the_order_of_their_first_step() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let notification = bench.stopped(&host).await;
        assert_eq!(bench.store.progress(notification.id).await.unwrap(), []);
        let claimed = bench.claim_newest("engine").await;
        let steps = [
            vec![
                step("DisableComputeServiceTask", 0.0, false, "disabling"),
                step("DisableComputeServiceTask", 1.0, false, "disabled"),
                step("PrepareHAEnabledInstancesTask", 1.0, true, "nova failed"),
            ],
            vec![
                step("EvacuateInstancesTask", 0.5, false, "1 of 2"),
                step("PrepareHAEnabledInstancesTask", 0.25, false, "again"),
            ],
        ];
        for steps in steps {
            let write = Write {
                steps,
                ..Write::default()
            };
            let written = bench
                .store
                .commit(claimed.id, claimed.epoch, &write)
                .await
                .unwrap();
            assert!(matches!(written, Committed::Written(_)), "{written:?}");
        }
        let tasks = bench.store.progress(notification.id).await.unwrap();
        let told: Vec<_> = tasks
            .iter()
            .map(|task| {
                (
                    task.name.as_str(),
                    task.progress,
                    task.state.as_str(),
                    task.details.len(),
                )
            })
            .collect();
        let expected = [
            ("DisableComputeServiceTask", 1.0, "SUCCESS", 2),
            ("PrepareHAEnabledInstancesTask", 0.25, "FAILURE", 2),
            ("EvacuateInstancesTask", 0.5, "RUNNING", 1),
        ];
        assert_eq!(told, expected);
        assert_eq!(tasks[0].details[1].message, "disabled");
        assert_eq!(tasks[0].details[1].progress.to_bits(), 1.0_f64.to_bits());
        let unknown = NotificationId(Uuid::nil());
        assert_eq!(bench.store.progress(unknown).await.unwrap(), []);
    }

    #[test]
    fn the_latest_step_that_ended_a_task_decides_its_state() {
        let row = |progress: f64, failed: bool| recovery_step::Model {
            id: 0,
            recovery_id: 0,
            epoch: 1,
            task: "EvacuateInstancesTask".to_owned(),
            instance_uuid: None,
            kind: "note".to_owned(),
            progress,
            failed,
            text: String::new(),
            at: 0,
        };
        let cases = [
            ("begun", vec![row(0.0, false)], "RUNNING"),
            ("done", vec![row(0.0, false), row(1.0, false)], "SUCCESS"),
            ("failed", vec![row(0.5, true)], "FAILURE"),
            ("failed at the end", vec![row(1.0, true)], "FAILURE"),
            (
                "failed, then done",
                vec![row(0.5, true), row(1.0, false)],
                "SUCCESS",
            ),
            (
                "done, then failed",
                vec![row(1.0, false), row(1.0, true)],
                "FAILURE",
            ),
            (
                "failed, then begun again",
                vec![row(0.5, true), row(0.6, false)],
                "FAILURE",
            ),
        ];
        for (case, steps, state) in cases {
            assert_eq!(tell(steps)[0].state, state, "{case}");
        }
    }
}
