//! Decides whether a success of a fence agent means that the power is off.
//!
//! The engine's devices of type `exec`, the bridge to Pacemaker and `tachi-monitor host explain` use the same table, so
//! that they never disagree. The table holds positive knowledge only, from the makers' metadata: an agent that it does
//! not know proves nothing until an operator declares otherwise. This crate has no input or output and depends on
//! nothing.

#![warn(missing_docs, clippy::missing_errors_doc)]

mod table;

use std::collections::BTreeMap;
use std::fmt;

/// The meaning of an agent's success, by the agent's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The agent switches the power of a machine and confirms it.
    Power(Targeting),
    /// The machine's own watchdog resets it. The agent waits for that, but its `status` reads no power.
    Watchdog,
    /// The power may be on. The text completes "which ...": what the agent does instead.
    NotPower(&'static str),
    /// The table does not know the agent.
    Unknown,
}

/// The way an agent identifies the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Targeting {
    /// By the parameter `plug`, also called `port`.
    Plug,
    /// By its own address: it connects to the power controller of one machine. Agents of fence-agents take the address
    /// from the plug if `port_as_ip` is set.
    Machine,
    /// By the node's name, in a map of its own (agents of cluster-glue).
    List,
}

/// Returns the meaning of an agent's success, by its name in `/usr/sbin` or in a CIB.
pub fn effect(agent: &str) -> Effect {
    if table::PLUG_AGENTS.contains(&agent) {
        Effect::Power(Targeting::Plug)
    } else if table::MACHINE_AGENTS.contains(&agent) {
        Effect::Power(Targeting::Machine)
    } else if let Some((_, targeting, _)) = table::GLUE_AGENTS.iter().find(|(name, ..)| *name == agent) {
        Effect::Power(*targeting)
    } else if table::WATCHDOG.contains(&agent) {
        Effect::Watchdog
    } else {
        table::NON_POWER_AGENTS
            .iter()
            .find(|(_, agents)| agents.contains(&agent))
            .map_or(Effect::Unknown, |(what, _)| Effect::NotPower(what))
    }
}

/// Returns the way in which this agent identifies the machine with these options; `None` if it is not known to switch
/// power.
pub fn targeting(agent: &str, options: &BTreeMap<String, String>) -> Option<Targeting> {
    let Effect::Power(targeting) = effect(agent) else {
        return None;
    };
    let ignores_plug = table::PLUG_OPTIONS.iter().any(|(name, option, values)| {
        *name == agent && !value(options, option).is_some_and(|value| values.contains(&value))
    });
    Some(if ignores_plug {
        Targeting::Machine
    } else {
        targeting
    })
}

/// True if the agent switches only the first of several outlets.
pub fn first_plug_only(agent: &str) -> bool {
    table::FIRST_PLUG_ONLY.contains(&agent)
}

/// A reason why success does not prove that the power is off. Its text follows the agent's name and a comma.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoProofReason {
    /// The agent does something other than switching the power.
    NotPower(&'static str),
    /// The table does not know the agent.
    Unknown,
    /// The agent was run with another action than off.
    Action(String),
    /// The agent reports this action as done without reading that the power is off.
    Accepted(String),
    /// A reboot by a power cycle: nothing confirms that the power was off in between.
    Cycle,
    /// An option makes the agent report success while the power may be on.
    Option {
        /// The option as written.
        name: String,
        /// The effect; completes "with NAME ...".
        why: &'static str,
    },
}

impl fmt::Display for NoProofReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPower(what) => write!(f, "which {what}"),
            Self::Unknown => f.write_str("an agent that is not known to switch the power of a host"),
            Self::Action(action) => write!(f, "which runs the action {action:?}, not off"),
            Self::Accepted(action) => write!(
                f,
                "which reports {action} as done when the device has accepted it: nothing confirms that the power was off"
            ),
            Self::Cycle => {
                f.write_str("which reboots by method=cycle: nothing confirms that the power was off")
            }
            Self::Option { name, why } => write!(f, "which, with {name}, {why}"),
        }
    }
}

/// Judges a success of `agent` that ran `action` with these options.
///
/// `trusted`: an operator has declared that this agent's off means that the power is off. Its options and action are
/// checked nevertheless.
///
/// # Errors
///
/// The reason why the power may be on.
pub fn judge(
    agent: &str,
    action: &str,
    options: &BTreeMap<String, String>,
    trusted: bool,
) -> Result<(), NoProofReason> {
    let effect = effect(agent);
    match effect {
        Effect::Power(_) | Effect::Watchdog => {}
        Effect::NotPower(_) | Effect::Unknown if trusted => {}
        Effect::NotPower(what) => return Err(NoProofReason::NotPower(what)),
        Effect::Unknown => return Err(NoProofReason::Unknown),
    }
    if let Some((_, default)) = table::SNMP_AGENTS
        .iter()
        .find(|(name, _)| *name == agent && !trusted)
    {
        let version = value(options, "snmp_version");
        if version.map_or(!default, |version| version != "1") {
            return Err(NoProofReason::Option {
                name: version.map_or("no snmp_version".to_owned(), |version| {
                    format!("snmp_version={version}")
                }),
                why: "reads an outlet that does not exist as off; snmp_version=1 makes that an error",
            });
        }
    }
    for (name, value) in options {
        if let Some(doubt) = option(name, value) {
            return Err(doubt);
        }
    }
    let plugin = table::GLUE_AGENTS.iter().find(|(name, ..)| *name == agent);
    let confirms = |action| plugin.is_none_or(|(_, _, confirmed)| confirmed.contains(&action));
    // The agents' library compares in lower case.
    match action.to_ascii_lowercase().as_str() {
        "off" if trusted || confirms("off") => Ok(()),
        "reboot" if effect == Effect::Watchdog => Ok(()),
        "reboot" if confirms("reboot") => match value(options, "method") {
            None if table::CYCLE_BY_DEFAULT.contains(&agent) => Err(NoProofReason::Cycle),
            Some(method) if !method.eq_ignore_ascii_case("onoff") => Err(NoProofReason::Cycle),
            None | Some(_) => Ok(()),
        },
        action @ ("off" | "reboot") => Err(NoProofReason::Accepted(action.to_owned())),
        other => Err(NoProofReason::Action(other.to_owned())),
    }
}

/// Judges an off that the `status` of `agent` prints with these options.
///
/// # Errors
///
/// The reason why the power may be on.
pub fn judge_reading(agent: &str, options: &BTreeMap<String, String>) -> Result<(), NoProofReason> {
    match table::UNRELIABLE_STATUS
        .iter()
        .find(|(_, agents)| agents.contains(&agent))
    {
        Some((what, _)) => Err(NoProofReason::NotPower(what)),
        None => judge(agent, "off", options, false),
    }
}

/// Returns the reason if this option makes the success of a power agent prove nothing.
fn option(name: &str, value: &str) -> Option<NoProofReason> {
    let value = value.trim();
    let off = ["", "0", "no", "off", "false"]
        .iter()
        .any(|spelling| value.eq_ignore_ascii_case(spelling));
    let why = match plain(name).as_str() {
        // The agents' library treats a flag as set even where its value is "0".
        "network_fencing" => "cuts only the network of a machine, so its guests may continue to run",
        "missing_as_off" => "treats a missing machine as off",
        "earlyexit" if !off => "returns before the power is off",
        "unknown_are_stopped" if !off => "treats a missing machine as off",
        "vmware_type" if value.eq_ignore_ascii_case("server1") => {
            "sees only machines that run, and treats a missing one as off"
        }
        "reset_method" if value != "power_cycle" => "asks the guest to reboot",
        "warntimeout" => "reports success before the power is off",
        "action" | "option"
            if !["off", "reboot"]
                .iter()
                .any(|spelling| value.eq_ignore_ascii_case(spelling)) =>
        {
            "may do something other than switch the power off"
        }
        _ => return None,
    };
    Some(NoProofReason::Option {
        name: format!("{name}={value}"),
        why,
    })
}

/// Normalizes an option's name as the agents' library does.
fn plain(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace('-', "_")
}

/// Returns the name under which an option is known that may have several in the agents' library.
pub fn canonical(name: &str) -> String {
    let name = plain(name);
    let alias = table::ALIASES.iter().find(|(alias, _)| *alias == name);
    alias.map_or(name, |(_, canonical)| (*canonical).to_owned())
}

/// Returns the trimmed value of an option.
fn value<'o>(options: &'o BTreeMap<String, String>, name: &str) -> Option<&'o str> {
    let mut options = options.iter();
    options
        .find(|(key, _)| plain(key) == name)
        .map(|(_, value)| value.trim())
}

/// True if the agents' library takes this flag as set: with any of its words, also one for no.
pub fn is_set(options: &BTreeMap<String, String>, name: &str) -> bool {
    value(options, name).is_some_and(|value| is_one_of(&YES, value) || is_one_of(&NO, value))
}

/// True if this flag has one of the library's words for no, although the library only asks whether it is there.
pub fn is_set_by_no(options: &BTreeMap<String, String>, name: &str) -> bool {
    value(options, name).is_some_and(|value| is_one_of(&NO, value))
}

const YES: [&str; 4] = ["1", "yes", "on", "true"];
const NO: [&str; 4] = ["0", "no", "off", "false"];

fn is_one_of(spellings: &[&str], value: &str) -> bool {
    spellings
        .iter()
        .any(|spelling| value.eq_ignore_ascii_case(spelling))
}

#[cfg(test)]
mod tests;
