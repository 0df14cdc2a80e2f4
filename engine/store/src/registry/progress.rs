//! The progress of a recovery's tasks, from its step journal.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use tachi_domain::entity::TaskProgress;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::progress::ProgressDetail;
use tachi_domain::recovery::{Life, workflow};
use tachi_domain::{NotificationId, Timestamp};

use crate::entity::{notification as notification_row, recovery, recovery_step};
use crate::error::Stop;

pub(super) async fn read(
    db: &impl ConnectionTrait,
    notification: NotificationId,
) -> Result<Vec<TaskProgress>, Stop> {
    let recoveries: Vec<(i64, String)> = recovery::Entity::find()
        .select_only()
        .columns([recovery::Column::Id, recovery::Column::Life])
        .filter(recovery::Column::NotificationUuid.eq(notification.to_string()))
        .into_tuple()
        .all(db)
        .await?;
    let steps = recovery_step::Entity::find()
        .filter(recovery_step::Column::RecoveryId.is_in(recoveries.iter().map(|(id, _)| *id)))
        .order_by_asc(recovery_step::Column::Id)
        .all(db)
        .await?;
    let mut tasks = progress_of(steps);
    let closed = recoveries.iter().all(|(_, life)| life == Life::Closed.as_str());
    if closed && tasks.iter().any(|task| task.state == RUNNING) {
        let row = notification_row::Entity::find()
            .filter(notification_row::Column::NotificationUuid.eq(notification.to_string()))
            .one(db)
            .await?;
        let failed = row.is_some_and(|row| row.status == NotificationStatus::Failed.as_str());
        cut_short(&mut tasks, failed);
    }
    Ok(tasks)
}

const RUNNING: &str = "RUNNING";

/// Returns an entry per task in the order of the workflow, which may differ from the order of the first steps. The
/// latest step that ended a task decides its state, so a task that failed and succeeded later is a success. The times
/// never decrease, whatever the engines' clocks show.
fn progress_of(steps: Vec<recovery_step::Model>) -> Vec<TaskProgress> {
    let mut tasks: Vec<TaskProgress> = Vec::new();
    let mut latest = i64::MIN;
    for step in steps {
        latest = latest.max(step.at);
        if !tasks.iter().any(|task| task.name == step.task) {
            tasks.push(TaskProgress {
                name: step.task.clone(),
                progress: 0.0,
                state: RUNNING.to_owned(),
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
            at: Timestamp::from_micros(latest),
            progress: step.progress,
            message: step.text,
        });
    }
    in_order(tasks)
}

/// Sorts the tasks. A task without a fixed position stays behind the one it followed.
fn in_order(tasks: Vec<TaskProgress>) -> Vec<TaskProgress> {
    let mut place = 0;
    let mut placed: Vec<(usize, TaskProgress)> = Vec::with_capacity(tasks.len());
    for task in tasks {
        place = workflow::place(&task.name).unwrap_or(place);
        placed.push((place, task));
    }
    // The sort is stable, and hooks of one phase start in the order of their numbers.
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, task)| task).collect()
}

/// Ends the tasks that were still running when the recovery finished: they have failed with it, or were not needed any
/// more.
fn cut_short(tasks: &mut [TaskProgress], failed: bool) {
    let state = if failed { "FAILURE" } else { "IGNORE" };
    for task in tasks.iter_mut().filter(|task| task.state == RUNNING) {
        state.clone_into(&mut task.state);
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::hooks::Phase;
    use tachi_domain::recovery::Task;
    use tachi_engine::ports::Notifications as _;
    use tachi_engine::ports::journal::{Write, WriteOutcome};
    use uuid::Uuid;

    use super::*;
    use crate::testing::{Bench, step};

    #[tokio::test]
    async fn tasks_are_listed_in_the_order_of_their_first_step() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let notification = bench.stopped(&host).await;
        assert_eq!(
            bench.store.registry().progress(notification.id).await.unwrap(),
            []
        );
        let claimed = bench.claim_newest("engine").await;
        let steps = [
            vec![
                step(Task::DisableService, 0.0, false, "disabling"),
                step(Task::DisableService, 1.0, false, "disabled"),
                step(Task::Prepare, 1.0, true, "nova failed"),
            ],
            vec![
                step(Task::Evacuate, 0.5, false, "1 of 2"),
                step(Task::Prepare, 0.25, false, "again"),
            ],
        ];
        for steps in steps {
            let write = Write {
                steps,
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
        let tasks = bench.store.registry().progress(notification.id).await.unwrap();
        let rendered: Vec<_> = tasks
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
        assert_eq!(rendered, expected);
        assert_eq!(tasks[0].details[1].message, "disabled");
        assert_eq!(tasks[0].details[1].progress.to_bits(), 1.0_f64.to_bits());
        let unknown = NotificationId(Uuid::nil());
        assert_eq!(bench.store.registry().progress(unknown).await.unwrap(), []);
    }

    fn line(task: &str, at: i64) -> recovery_step::Model {
        recovery_step::Model {
            id: 0,
            recovery_id: 0,
            epoch: 1,
            task: task.to_owned(),
            instance_uuid: None,
            kind: "note".to_owned(),
            progress: 0.5,
            failed: false,
            text: String::new(),
            at,
        }
    }

    #[test]
    fn tasks_and_hooks_are_listed_in_workflow_order() {
        let spoken_of = [
            "FenceHostTask",
            "PreHook1Task",
            "PreHook2Task",
            "DisableComputeServiceTask",
            "PrepareHAEnabledInstancesTask",
            "EvacuateInstancesTask",
            "MainHook1Task",
            "TaskOfALaterVersion",
            "ReturnHostTask",
            "PostHook1Task",
        ];
        let rendered: Vec<String> = progress_of(spoken_of.iter().map(|task| line(task, 0)).collect())
            .into_iter()
            .map(|task| task.name)
            .collect();
        let expected = [
            "PreHook1Task",
            "PreHook2Task",
            "FenceHostTask",
            "DisableComputeServiceTask",
            "PrepareHAEnabledInstancesTask",
            "MainHook1Task",
            "TaskOfALaterVersion",
            "EvacuateInstancesTask",
            "PostHook1Task",
            "ReturnHostTask",
        ];
        assert_eq!(rendered, expected);
    }

    #[test]
    fn times_never_go_back() {
        let steps = vec![line("A", 10), line("B", 4), line("A", 7), line("A", 12)];
        let times: Vec<Vec<i64>> = progress_of(steps)
            .iter()
            .map(|task| task.details.iter().map(|detail| detail.at.micros()).collect())
            .collect();
        assert_eq!(times, [vec![10, 10, 12], vec![10]]);
    }

    /// Covers EW34.
    #[tokio::test]
    async fn tasks_are_listed_without_an_engine_and_none_runs_after_the_end() {
        for (status, state) in [
            (NotificationStatus::Failed, "FAILURE"),
            (NotificationStatus::Ignored, "IGNORE"),
            (NotificationStatus::Finished, "IGNORE"),
        ] {
            let bench = Bench::new().await;
            let segment = bench.segment("s1").await;
            let host = bench.host(&segment, "cmp1").await;
            let notification = bench.stopped(&host).await;
            let claimed = bench.claim_newest("engine").await;
            let hook = Task::Hook {
                phase: Phase::Pre,
                number: 0,
            };
            let mut write = Write {
                steps: vec![
                    step(hook, 0.0, false, "running hook exec:/x"),
                    step(Task::Fence, 1.0, false, "off"),
                ],
                ..Write::default()
            };
            let written = bench
                .store
                .journal()
                .commit_at(claimed.id, claimed.epoch, &write)
                .await
                .unwrap();
            assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
            let running = bench.store.registry().progress(notification.id).await.unwrap();
            assert_eq!(running[0].state, "RUNNING");
            write.steps.clear();
            write.life = Some(Life::Closed);
            write.notification = Some((status, None));
            let written = bench
                .store
                .journal()
                .commit_at(claimed.id, claimed.epoch, &write)
                .await
                .unwrap();
            assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
            let over = bench.store.registry().progress(notification.id).await.unwrap();
            let states: Vec<&str> = over.iter().map(|task| task.state.as_str()).collect();
            assert_eq!(states, [state, "SUCCESS"], "{status}");
        }
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
            assert_eq!(progress_of(steps)[0].state, state, "{case}");
        }
    }
}
