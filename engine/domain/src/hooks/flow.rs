//! A recovery's workflow as it is written in the configuration: built-in steps and hooks in three phases.

use serde::{Deserialize, Serialize};

use super::{Defaults, EntryError, Hook, MAX_HOOKS_PER_PHASE, Phase};

/// The kind of recovery that one of the four options is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowKind {
    /// A host whose instances go to the hosts that Nova's scheduler chooses.
    HostAuto,
    /// A host whose instances go to a reserved host.
    HostReserved,
    Instance,
    Process,
}

const DISABLE_SERVICE: &str = "disable_compute_service_task";
const PREPARE: &str = "prepare_HA_enabled_instances_task";
const EVACUATE: &str = "evacuate_instances_task";
const STOP: &str = "stop_instance_task";
const START: &str = "start_instance_task";
const CONFIRM_ACTIVE: &str = "confirm_instance_active_task";
const DISABLE_NODE: &str = "disable_compute_node_task";
const CONFIRM_DISABLED: &str = "confirm_compute_node_disabled_task";
const NO_OP: &str = "no_op";

impl FlowKind {
    pub const ALL: [Self; 4] = [Self::HostAuto, Self::HostReserved, Self::Instance, Self::Process];

    /// Returns the option's name.
    pub const fn option(self) -> &'static str {
        match self {
            Self::HostAuto => "host_auto_failure_recovery_tasks",
            Self::HostReserved => "host_rh_failure_recovery_tasks",
            Self::Instance => "instance_failure_recovery_tasks",
            Self::Process => "process_failure_recovery_tasks",
        }
    }

    /// Returns the built-in steps in the order in which they run, whatever the option contains.
    const fn steps(self) -> &'static [&'static str] {
        match self {
            Self::HostAuto | Self::HostReserved => &[DISABLE_SERVICE, PREPARE, EVACUATE],
            Self::Instance => &[STOP, START, CONFIRM_ACTIVE],
            Self::Process => &[DISABLE_NODE, CONFIRM_DISABLED],
        }
    }

    /// Returns Masakari's default value of the option.
    pub const fn default_text(self) -> &'static str {
        match self {
            Self::HostAuto => {
                "pre:['disable_compute_service_task'],main:['prepare_HA_enabled_instances_task'],post:['evacuate_instances_task']"
            }
            Self::HostReserved => {
                "pre:['disable_compute_service_task'],main:['prepare_HA_enabled_instances_task','evacuate_instances_task'],post:[]"
            }
            Self::Instance => {
                "pre:['stop_instance_task'],main:['start_instance_task'],post:['confirm_instance_active_task']"
            }
            Self::Process => {
                "pre:['disable_compute_node_task'],main:['confirm_compute_node_disabled_task'],post:[]"
            }
        }
    }
}

/// The hooks of one kind of recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// True if the engine's own steps run: evacuation, restart or disabling of the service. Otherwise only the hooks run.
    pub acts: bool,
    pub pre: Vec<Hook>,
    pub main: Vec<Hook>,
    pub post: Vec<Hook>,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            acts: true,
            pre: Vec::new(),
            main: Vec::new(),
            post: Vec::new(),
        }
    }
}

/// The hooks of all kinds of recoveries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flows {
    pub host_auto: Flow,
    pub host_reserved: Flow,
    pub instance: Flow,
    pub process: Flow,
}

impl Flows {
    /// True if all flows are the default, so nothing has to be stored.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns all hooks of all flows.
    pub fn hooks(&self) -> impl Iterator<Item = &Hook> {
        [
            &self.host_auto,
            &self.host_reserved,
            &self.instance,
            &self.process,
        ]
        .into_iter()
        .flat_map(|flow| [&flow.pre, &flow.main, &flow.post])
        .flatten()
    }
}

/// The reason why an option is invalid.
pub type FlowError = EntryError;

/// A note for operators on a flow that does not run as written.
pub type Note = String;

impl Flow {
    /// Returns the hooks of a phase.
    pub fn hooks(&self, phase: Phase) -> &[Hook] {
        match phase {
            Phase::Pre => &self.pre,
            Phase::Main => &self.main,
            Phase::Post => &self.post,
        }
    }

    /// Builds a flow from the configured entries of each phase, in their order.
    ///
    /// # Errors
    ///
    /// Fails for an unknown phase or step, an invalid hook, or half of a restart.
    pub fn build(
        kind: FlowKind,
        written: &[(String, Vec<String>)],
        defaults: Defaults,
    ) -> Result<(Self, Vec<Note>), FlowError> {
        let mut flow = Self::default();
        let mut named: Vec<&str> = Vec::new();
        for phase in Phase::ALL {
            for entry in written
                .iter()
                .filter(|(name, _)| name == phase.as_str())
                .flat_map(|(_, entries)| entries)
            {
                if Hook::is_hook(entry) {
                    let hook = Hook::parse(entry, defaults)?;
                    flow.add(phase, hook)?;
                } else if let Some(step) = kind.steps().iter().find(|step| *step == entry) {
                    named.push(step);
                } else if entry != NO_OP {
                    return Err(unknown_step(kind, entry));
                }
            }
        }
        if let Some((name, _)) = written
            .iter()
            .find(|(name, _)| Phase::ALL.iter().all(|phase| phase.as_str() != name))
        {
            return Err(FlowError::new(
                format!("unknown phase {name:?}"),
                "write pre, main and post",
            ));
        }
        let notes = flow.judge(kind, &named)?;
        Ok((flow, notes))
    }

    fn add(&mut self, phase: Phase, hook: Hook) -> Result<(), FlowError> {
        let hooks = match phase {
            Phase::Pre => &mut self.pre,
            Phase::Main => &mut self.main,
            Phase::Post => &mut self.post,
        };
        if hooks.len() >= MAX_HOOKS_PER_PHASE {
            return Err(FlowError::new(
                format!("{} has more than {MAX_HOOKS_PER_PHASE} hooks", phase.as_str()),
                "let one hook do the work of several",
            ));
        }
        hooks.push(hook);
        Ok(())
    }

    /// Sets what the flow enables, and returns notes on steps that are missing or in another order. The order of fence,
    /// proof, `forced_down` and evacuation makes a recovery safe, and no option changes it.
    fn judge(&mut self, kind: FlowKind, named: &[&str]) -> Result<Vec<Note>, FlowError> {
        let has = |step: &str| named.contains(&step);
        self.acts = match kind {
            FlowKind::HostAuto | FlowKind::HostReserved => has(EVACUATE),
            FlowKind::Instance if has(STOP) != has(START) => {
                return Err(FlowError::new(
                    "only one of stop_instance_task and start_instance_task is listed",
                    "write both, or neither if only hooks are to handle the instance",
                ));
            }
            FlowKind::Instance => has(STOP),
            FlowKind::Process => has(DISABLE_NODE),
        };
        let mut notes = Vec::new();
        let option = kind.option();
        if !self.acts {
            notes.push(match kind {
                FlowKind::HostAuto | FlowKind::HostReserved => format!(
                    "{option} omits {EVACUATE}: hosts are fenced and disabled, and no instance is evacuated"
                ),
                FlowKind::Instance => {
                    format!("{option} omits {STOP} and {START}: failed instances are left to the hooks")
                }
                FlowKind::Process => {
                    format!(
                        "{option} omits {DISABLE_NODE}: the service of a failed nova-compute stays enabled"
                    )
                }
            });
        }
        let always: &[&str] = match kind {
            FlowKind::HostAuto | FlowKind::HostReserved => &[DISABLE_SERVICE, PREPARE],
            FlowKind::Instance if self.acts => &[CONFIRM_ACTIVE],
            FlowKind::Process if self.acts => &[CONFIRM_DISABLED],
            FlowKind::Instance | FlowKind::Process => &[],
        };
        for step in always.iter().filter(|step| !has(step)) {
            notes.push(format!(
                "{option} omits {step}; the engine runs it anyway, because no recovery is safe without it"
            ));
        }
        let mut order = Vec::new();
        for step in named {
            order.extend(kind.steps().iter().position(|known| known == step));
        }
        if !order.is_sorted_by(|a, b| a < b) {
            notes.push(format!(
                "{option} lists its steps in another order; the engine runs each built-in step once, in the order {}",
                kind.steps().join(", ")
            ));
        }
        Ok(notes)
    }
}

fn unknown_step(kind: FlowKind, entry: &str) -> FlowError {
    let shown: String = entry.chars().take(60).collect();
    FlowError::new(
        format!("unknown step {shown:?}"),
        format!(
            "write {}, {NO_OP}, exec:/path or http(s)://address",
            kind.steps().join(", ")
        ),
    )
}

#[cfg(test)]
mod tests;
