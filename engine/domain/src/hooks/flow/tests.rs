use super::*;

fn build(kind: FlowKind, phases: &[(&str, &[&str])]) -> Result<(Flow, Vec<Note>), FlowError> {
    let written: Vec<(String, Vec<String>)> = phases
        .iter()
        .map(|(name, entries)| {
            let entries = entries.iter().map(|entry| (*entry).to_owned()).collect();
            ((*name).to_owned(), entries)
        })
        .collect();
    Flow::build(kind, &written, Defaults::default())
}

/// Returns whether the engine does its work, the number of hooks per phase and the remarks; or the error.
fn summary(kind: FlowKind, phases: &[(&str, &[&str])]) -> String {
    match build(kind, phases) {
        Ok((flow, notes)) => {
            let counts = Phase::ALL.map(|phase| flow.hooks(phase).len());
            let notes: Vec<&str> = notes
                .iter()
                .map(|note| note.split_once(' ').unwrap().1.split(':').next().unwrap())
                .collect();
            format!("{} {counts:?} {}", flow.acts, notes.join("; "))
        }
        Err(error) => format!("! {}", error.why),
    }
}

#[test]
#[expect(clippy::too_many_lines, clippy::type_complexity, reason = "a table of cases")]
fn built_in_steps_may_be_omitted_where_that_is_safe() {
    use FlowKind::{HostAuto, HostReserved, Instance, Process};
    const HOST: &[&str] = &[DISABLE_SERVICE, PREPARE, EVACUATE];
    let cases: &[(&str, FlowKind, &[(&str, &[&str])], &str)] = &[
        ("upstream's own", HostAuto, &[("pre", HOST)], "true [0, 0, 0] "),
        (
            "nothing is done",
            HostAuto,
            &[("main", &[DISABLE_SERVICE, PREPARE])],
            "false [0, 0, 0] omits evacuate_instances_task",
        ),
        (
            "what cannot be left out",
            HostReserved,
            &[("main", &[EVACUATE])],
            "true [0, 0, 0] omits disable_compute_service_task; the engine runs it anyway, because no recovery is safe without it; \
             omits prepare_HA_enabled_instances_task; the engine runs it anyway, because no recovery is safe without it",
        ),
        (
            "another order",
            HostAuto,
            &[("pre", &[EVACUATE]), ("main", &[PREPARE, DISABLE_SERVICE])],
            "true [0, 0, 0] lists its steps in another order; the engine runs each built-in step once, in the order \
             disable_compute_service_task, prepare_HA_enabled_instances_task, evacuate_instances_task",
        ),
        (
            "one twice",
            HostAuto,
            &[("pre", HOST), ("post", &[EVACUATE])],
            "true [0, 0, 0] lists its steps in another order; the engine runs each built-in step once, in the order \
             disable_compute_service_task, prepare_HA_enabled_instances_task, evacuate_instances_task",
        ),
        (
            "no_op is nothing",
            HostAuto,
            &[("pre", &[NO_OP]), ("main", HOST), ("post", &[NO_OP])],
            "true [0, 0, 0] ",
        ),
        (
            "hooks in between",
            HostAuto,
            &[
                ("pre", &["exec:/a", DISABLE_SERVICE]),
                ("main", &[PREPARE, "https://h", "exec:/b"]),
                ("post", &[EVACUATE, "exec:/c"]),
            ],
            "true [1, 2, 1] ",
        ),
        (
            "hooks alone",
            Instance,
            &[("main", &["exec:/a"])],
            "false [0, 1, 0] omits stop_instance_task and start_instance_task",
        ),
        (
            "half a restart",
            Instance,
            &[("main", &[START, CONFIRM_ACTIVE])],
            "! only one of stop_instance_task and start_instance_task is listed",
        ),
        (
            "without looking at the end",
            Instance,
            &[("main", &[STOP, START])],
            "true [0, 0, 0] omits confirm_instance_active_task; the engine runs it anyway, because no recovery is safe \
             without it",
        ),
        (
            "stays enabled",
            Process,
            &[("pre", &["exec:/a"])],
            "false [1, 0, 0] omits disable_compute_node_task",
        ),
        (
            "a step of another kind",
            Process,
            &[("pre", &[STOP])],
            "! unknown step \"stop_instance_task\"",
        ),
        (
            "an unknown step",
            HostAuto,
            &[("pre", &["noop"])],
            "! unknown step \"noop\"",
        ),
        (
            "a custom Python task",
            HostAuto,
            &[("pre", &["custom_pre_task"])],
            "! unknown step \"custom_pre_task\"",
        ),
        (
            "an unknown phase",
            HostAuto,
            &[("pre", HOST), ("during", &[])],
            "! unknown phase \"during\"",
        ),
        (
            "a hook that is none",
            HostAuto,
            &[("pre", &["exec:a"])],
            "! an exec hook needs the absolute path of a program",
        ),
        (
            "too many",
            HostAuto,
            &[("pre", &["exec:/a"; 9])],
            "! pre has more than 8 hooks",
        ),
    ];
    for (case, kind, phases, expected) in cases {
        assert_eq!(summary(*kind, phases), *expected, "{case}");
    }
}

#[test]
fn unknown_entries_are_refused_with_the_valid_ones() {
    let error = build(FlowKind::Instance, &[("pre", &["stop"])]).unwrap_err();
    for part in [STOP, START, CONFIRM_ACTIVE, NO_OP, "exec:/path", "http(s)://"] {
        assert!(error.help.contains(part), "{part} is missing in {}", error.help);
    }
    assert!(!error.help.contains(EVACUATE));
}

#[test]
fn all_nine_names_of_upstream_are_known() {
    let mut known: Vec<&str> = FlowKind::ALL
        .iter()
        .flat_map(|kind| kind.steps())
        .copied()
        .collect();
    known.push(NO_OP);
    known.sort_unstable();
    known.dedup();
    assert_eq!(known.len(), 9);
}
