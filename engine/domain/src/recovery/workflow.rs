//! The order in which the tasks of a workflow are shown.

use crate::hooks::Phase;

/// One name for each possible hook. The first line shown for a hook names its program or address.
const PRE: [&str; 8] = [
    "PreHook1Task",
    "PreHook2Task",
    "PreHook3Task",
    "PreHook4Task",
    "PreHook5Task",
    "PreHook6Task",
    "PreHook7Task",
    "PreHook8Task",
];
const MAIN: [&str; 8] = [
    "MainHook1Task",
    "MainHook2Task",
    "MainHook3Task",
    "MainHook4Task",
    "MainHook5Task",
    "MainHook6Task",
    "MainHook7Task",
    "MainHook8Task",
];
const POST: [&str; 8] = [
    "PostHook1Task",
    "PostHook2Task",
    "PostHook3Task",
    "PostHook4Task",
    "PostHook5Task",
    "PostHook6Task",
    "PostHook7Task",
    "PostHook8Task",
];

/// The positions in a workflow, for any kind of recovery, in order. A position that ends in a star stands for hooks.
const PLACES: [&str; 16] = [
    "PreHook*",
    "FenceHostTask",
    "DisableComputeServiceTask",
    "DisableComputeNodeTask",
    "ConfirmComputeNodeDisabledTask",
    "PrepareHAEnabledInstancesTask",
    "StopInstanceTask",
    "MainHook*",
    "ReserveHostTask",
    "EvacuateInstancesTask",
    "LiveMigrateInstancesTask",
    "MigrateInstanceTask",
    "StartInstanceTask",
    "ConfirmInstanceActiveTask",
    "PostHook*",
    "ReturnHostTask",
];

/// Returns the name of a hook's task.
pub(super) fn hook_name(phase: Phase, number: u8) -> &'static str {
    let names = match phase {
        Phase::Pre => &PRE,
        Phase::Main => &MAIN,
        Phase::Post => &POST,
    };
    names
        .get(usize::from(number))
        .copied()
        .unwrap_or("FurtherHookTask")
}

/// Returns the position of a task in a workflow; `None` for a task without a fixed position. Hooks of one phase are ordered by
/// name.
pub fn place(task: &str) -> Option<usize> {
    PLACES.iter().position(|place| match place.strip_suffix('*') {
        Some(beginning) => task.starts_with(beginning),
        None => task == *place,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::MAX_HOOKS_PER_PHASE;
    use crate::recovery::Task;

    #[test]
    fn every_hook_has_a_unique_name_and_position() {
        let mut names = Vec::new();
        for phase in Phase::ALL {
            for number in 0..u8::try_from(MAX_HOOKS_PER_PHASE).unwrap() {
                let name = Task::Hook { phase, number }.name();
                assert!(place(name).is_some(), "{name}");
                assert!(!names.contains(&name), "{name}");
                names.push(name);
            }
        }
        assert!(names.is_sorted_by_key(|name| place(name)), "{names:?}");
    }

    #[test]
    fn every_task_has_a_position() {
        let tasks = [
            Task::Fence,
            Task::DisableService,
            Task::Prepare,
            Task::Evacuate,
            Task::Return,
            Task::StopInstance,
            Task::StartInstance,
            Task::MigrateInstance,
            Task::ConfirmActive,
            Task::DisableNode,
            Task::LiveMigrate,
        ];
        for task in tasks {
            assert!(place(task.name()).is_some(), "{}", task.name());
        }
    }
}
