//! Checks the table of `docs/reference/instance-states.md` against `restoration`.

use super::harness::server;
use crate::host_recovery::OriginalState;
use crate::host_recovery::moves::restoration::{Rest, needs_preparation, remark, rest, target};
use crate::nova::{PowerState, Server, VmState};
use crate::recovery::Restoration;

const PAGE: &str = include_str!("../../../../../docs/reference/instance-states.md");
const TABLE_START: &str = "<!-- table -->\n";
const TABLE_END: &str = "<!-- end -->";

/// Returns the requests to Nova after the instance runs on the new host, and the final state.
fn restorations(was: &OriginalState) -> (String, VmState) {
    let mut now = Server {
        host: Some("b".into()),
        ..server(1)
    };
    let mut restorations = Vec::new();
    while let Rest::Do(restoration) = rest(was, &now) {
        let (label, state) = match restoration {
            Restoration::Stop => ("stop", VmState::Stopped),
            Restoration::Pause => ("pause", VmState::Paused),
            Restoration::Suspend => ("suspend", VmState::Suspended),
            Restoration::MarkError => ("mark in error", VmState::Error),
            Restoration::MarkActive => ("mark active", VmState::Active),
        };
        restorations.push(label);
        now.vm_state = state;
        assert!(restorations.len() < 5, "{was:?}: {restorations:?}");
    }
    let text = if restorations.is_empty() {
        "nothing".into()
    } else {
        restorations.join(", ")
    };
    (text, now.vm_state)
}

/// Returns the columns after the power state.
fn columns(was: &OriginalState) -> String {
    let (calls, end) = restorations(was);
    assert_eq!(end, target(was), "{was:?}: wrong final state");
    let first = if needs_preparation(&was.vm_state) {
        "yes"
    } else {
        "no"
    };
    format!(
        "{first} | {calls} | {end} | {} |",
        remark(was).unwrap_or("nothing")
    )
}

fn rows(name: &str, vm_state: &VmState) -> Vec<String> {
    let of = |power_state| {
        columns(&OriginalState {
            vm_state: vm_state.clone(),
            power_state,
        })
    };
    let (running, off, other) = (
        of(PowerState::Running),
        of(PowerState::Shutdown),
        of(PowerState::Other),
    );
    let row = |power: &str, columns: &str| format!("| {name} | {power} | {columns}");
    if running == off && off == other {
        vec![row("any", &running)]
    } else if off == other {
        vec![row("running", &running), row("other", &off)]
    } else {
        assert_eq!(running, other, "{name}");
        vec![row("shut down", &off), row("other", &running)]
    }
}

/// Covers EW20.
#[test]
fn the_page_about_instances_shows_what_becomes_of_each_state() {
    use VmState::{Active, Error, Paused, Rescued, Resized, Shelved, Stopped, Suspended};
    let mut table = vec![
        "| `vm_state` | power state | set to `error` first | call to Nova if it comes up running | ends as | message of the vmove |"
            .to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    for state in [
        Active, Stopped, Error, Paused, Suspended, Rescued, Shelved, Resized,
    ] {
        table.extend(rows(state.as_nova(), &state));
    }
    let unknown = rows("any other", &VmState::Other("new".into()));
    for state in [VmState::Building, VmState::Deleted, VmState::ShelvedOffloaded] {
        assert_eq!(rows("any other", &state), unknown, "{state}");
    }
    table.extend(unknown);
    let expected = table.join("\n");
    let shown = PAGE
        .split(TABLE_START)
        .nth(1)
        .and_then(|rest| rest.split(TABLE_END).next());
    assert_eq!(
        shown.map(str::trim_end),
        Some(expected.as_str()),
        "the page should show:\n{expected}"
    );
}
