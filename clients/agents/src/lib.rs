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
    Power(Aim),
    /// The machine's own watchdog resets it. The agent waits for that, but its `status` reads no power.
    Watchdog,
    /// The power may be on. The text completes "which ...": what the agent does instead.
    NotPower(&'static str),
    /// The table does not know the agent.
    Unknown,
}

/// The way an agent identifies the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// By the parameter `plug`, also called `port`.
    Plug,
    /// By its own address: it connects to the power controller of one machine, unless `port_as_ip` is set.
    Machine,
    /// By the node's name, in a list of its own (agents of cluster-glue).
    List,
}

/// Returns the meaning of an agent's success, by its name in `/usr/sbin` or in a CIB.
pub fn effect(agent: &str) -> Effect {
    if table::PLUG.contains(&agent) {
        Effect::Power(Aim::Plug)
    } else if table::MACHINE.contains(&agent) {
        Effect::Power(Aim::Machine)
    } else if table::GLUE.contains(&agent) {
        Effect::Power(Aim::List)
    } else if table::WATCHDOG.contains(&agent) {
        Effect::Watchdog
    } else {
        table::NOT_POWER
            .iter()
            .find(|(_, agents)| agents.contains(&agent))
            .map_or(Effect::Unknown, |(what, _)| Effect::NotPower(what))
    }
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
            Self::Cycle => {
                f.write_str("which reboots by method=cycle: nothing confirms that the power was off")
            }
            Self::Option { name, why } => write!(f, "which, with {name}, {why}"),
        }
    }
}

/// Judges a success of `agent` that ran `action` with these options.
///
/// `trusted`: an operator has declared that this agent switches power. Its options and action are checked
/// nevertheless.
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
    for (name, value) in options {
        if let Some(doubt) = option(name, value) {
            return Err(doubt);
        }
    }
    // The agents' library compares in lower case.
    match action.to_ascii_lowercase().as_str() {
        "off" => Ok(()),
        "reboot" if effect == Effect::Watchdog => Ok(()),
        "reboot" => {
            let method = options
                .iter()
                .find(|(name, _)| plain(name) == "method")
                .map(|(_, value)| value.as_str());
            match method {
                None if table::CYCLE_BY_DEFAULT.contains(&agent) => Err(NoProofReason::Cycle),
                Some(method) if !method.trim().eq_ignore_ascii_case("onoff") => Err(NoProofReason::Cycle),
                None | Some(_) => Ok(()),
            }
        }
        other => Err(NoProofReason::Action(other.to_owned())),
    }
}

/// Returns the reason if this option makes the success of a power agent prove nothing.
fn option(name: &str, value: &str) -> Option<NoProofReason> {
    let value = value.trim();
    let off = ["", "0", "no", "off", "false"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word));
    let why = match plain(name).as_str() {
        // The agents' library treats a flag as set even where its value is "0".
        "network_fencing" => "cuts only the network of a machine, so its guests may continue to run",
        "missing_as_off" => "treats a missing machine as off",
        "earlyexit" if !off => "returns before the power is off",
        "warntimeout" => "reports success before the power is off",
        "action" | "option"
            if !["off", "reboot"]
                .iter()
                .any(|word| value.eq_ignore_ascii_case(word)) =>
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

/// True if this option is set to yes.
pub fn is_set(options: &BTreeMap<String, String>, name: &str) -> bool {
    options.iter().any(|(key, value)| {
        let yes = |word: &&str| value.trim().eq_ignore_ascii_case(word);
        plain(key) == name && ["1", "yes", "on", "true"].iter().any(yes)
    })
}

#[cfg(test)]
mod tests;
