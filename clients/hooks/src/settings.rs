//! `[taskflow_driver_recovery_flows]` and `[hooks]`: hooks of operators in recoveries.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use tachi_config::{Reader, Refusal, named_lists};
use tachi_domain::hooks::{Defaults, Flow, FlowKind, Flows, HookTarget, OnFailure};

const FLOWS: &str = "taskflow_driver_recovery_flows";
const GROUP: &str = "hooks";

/// Range of the timeout of a hook's run.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);

/// Settings of hooks that are not rules of recoveries.
#[derive(Debug, Default)]
pub struct HookSettings {
    /// Certificate authorities in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Notes about settings that are adapted.
    pub notes: Vec<String>,
}

#[derive(Default)]
struct HookEntry {
    flow: Flow,
    notes: Vec<String>,
    text: String,
}

fn help(kind: FlowKind) -> &'static str {
    match kind {
        FlowKind::HostAuto => {
            "host recovery without a reserved host: Masakari's tasks and your hooks, in order ([hooks.md](hooks.md))"
        }
        FlowKind::HostReserved => "host recovery with a reserved host",
        FlowKind::Instance => "instance recovery",
        FlowKind::Process => "process recovery",
    }
}

/// Reads the workflows.
pub fn flows(r: &mut Reader<'_>) -> (Flows, HookSettings) {
    let own = Defaults::default();
    let timeout = r
        .seconds(GROUP, "timeout")
        .default(own.timeout)
        .range(TIMEOUT)
        .help("timeout of one run of a hook, unless the hook sets its own ([hooks.md](hooks.md))")
        .get();
    let on_failure = r
        .choice(GROUP, "on_failure", &["abort", "continue"])
        .default("abort")
        .help("effect of a failed hook on its recovery, unless the hook sets its own")
        .get();
    let defaults = Defaults {
        timeout,
        on_failure: if on_failure == "continue" {
            OnFailure::Continue
        } else {
            OnFailure::Abort
        },
    };
    let mut hooks = HookSettings {
        ca_file: r
            .string(GROUP, "ca_file")
            .unit("path")
            .help("CA certificates for hooks that are URLs, in addition to the system's")
            .optional()
            .map(PathBuf::from),
        notes: Vec::new(),
    };
    let mut read = |kind: FlowKind| {
        // Templates leave options empty; an empty option counts as missing.
        let written: HookEntry = r
            .parsed(
                FLOWS,
                kind.option(),
                move |text: &str| written(kind, text, defaults),
                |written| written.text.clone(),
            )
            .default_text(kind.default_text())
            .help(help(kind))
            .optional()
            .unwrap_or_default();
        hooks.notes.extend(written.notes);
        written.flow
    };
    let flows = Flows {
        host_auto: read(FlowKind::HostAuto),
        host_reserved: read(FlowKind::HostReserved),
        instance: read(FlowKind::Instance),
        process: read(FlowKind::Process),
    };
    (flows, hooks)
}

fn written(kind: FlowKind, text: &str, defaults: Defaults) -> Result<HookEntry, Refusal> {
    let (flow, notes) = Flow::build(kind, &named_lists(text)?, defaults)
        .map_err(|error| Refusal::new(error.why, error.help))?;
    for hook in [&flow.pre, &flow.main, &flow.post].into_iter().flatten() {
        if let HookTarget::Http { url, .. } = &hook.target
            && let Err(error) = reqwest::Url::parse(url)
        {
            return Err(Refusal::new(
                format!("the address of hook {} is not a URL: {error}", hook.name()),
                "write https://host/path",
            ));
        }
    }
    Ok(HookEntry {
        flow,
        notes,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use tachi_config::{Ini, KnownOptions};
    use tachi_domain::hooks::Phase;

    use super::*;

    fn read(text: &str) -> Result<(Flows, HookSettings), String> {
        let ini = Ini::parse("recovery.conf", text).unwrap();
        let known = KnownOptions::masakari();
        let mut reader = Reader::new(&ini, &known);
        let read = flows(&mut reader);
        reader.finish().map_err(|errors| errors.to_string())?;
        Ok(read)
    }

    #[test]
    fn without_the_options_the_workflows_are_masakaris() {
        for text in [
            "",
            "[taskflow_driver_recovery_flows]\nhost_auto_failure_recovery_tasks =\n",
        ] {
            let (flows, hooks) = read(text).unwrap();
            assert!(flows.is_default() && hooks.notes.is_empty(), "{text}: {hooks:?}");
        }
    }

    #[test]
    fn the_file_that_upstream_ships_is_read() {
        let mut text = vec!["[taskflow_driver_recovery_flows]".to_owned()];
        text.extend(FlowKind::ALL.iter().map(|kind| {
            let steps = kind.default_text().replace("],", "],\n    ");
            format!("{} = {steps}", kind.option())
        }));
        let (flows, hooks) = read(&text.join("\n")).unwrap();
        assert!(flows.is_default() && hooks.notes.is_empty(), "{hooks:?}");
    }

    #[test]
    fn hooks_are_read_with_the_groups_defaults() {
        let (flows, _) = read(
            "[hooks]\ntimeout = 7\non_failure = continue\n[taskflow_driver_recovery_flows]\n\
             host_auto_failure_recovery_tasks = pre:['exec:/bin/x a,b', 'disable_compute_service_task'],\n    \
             main:['prepare_HA_enabled_instances_task','https://h/x?a=b#timeout=2&on_failure=abort'],\n    \
             post:['evacuate_instances_task']\n",
        )
        .unwrap();
        let pre = &flows.host_auto.hooks(Phase::Pre)[0];
        assert_eq!(
            (pre.timeout, pre.on_failure),
            (Duration::from_secs(7), OnFailure::Continue)
        );
        let main = &flows.host_auto.hooks(Phase::Main)[0];
        assert_eq!(
            (main.timeout, main.on_failure),
            (Duration::from_secs(2), OnFailure::Abort)
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_file_line_option_and_what_is_allowed() {
        let section = "[taskflow_driver_recovery_flows]\n";
        let cases = [
            (
                "an unknown step",
                "instance_failure_recovery_tasks = pre:['stop_it'],main:[],post:[]",
                "unknown step \"stop_it\"; write stop_instance_task, start_instance_task, confirm_instance_active_task, no_op, \
                 exec:/path or http(s)://address",
            ),
            (
                "no lists",
                "process_failure_recovery_tasks = disable_compute_node_task",
                "has a list without a name; write for example pre:['a','b'],main:['c'],post:[]",
            ),
            (
                "no address",
                "host_rh_failure_recovery_tasks = pre:['http://[::/']",
                "the address of hook http://[::/ is not a URL",
            ),
        ];
        for (case, line, expected) in cases {
            let message = read(&format!("{section}{line}\n")).unwrap_err();
            let (option, _) = line.split_once(' ').unwrap();
            let place = format!("recovery.conf:2: [taskflow_driver_recovery_flows] {option} = ");
            assert!(
                message.starts_with(&place) && message.contains(expected),
                "{case}: {message}"
            );
        }
    }
}
