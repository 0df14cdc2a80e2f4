//! Analysis of fencing devices: which of them may have turned a node off, and whether their success proves it.
//!
//! Follows the fencer (`daemons/fenced` of Pacemaker): it compares names of nodes ignoring case and names of devices
//! exactly, uses a topology's levels first, and uses each option that starts with `pcmk_` itself.

mod covers;
mod targeting;
#[cfg(test)]
mod tests;

use regex::Regex;
use tachi_agents::{Effect, NoProofReason, effect, judge};

use crate::cib::{Device, Level, Target};
use crate::{Cib, Rules};

pub(crate) use covers::{Coverage, coverage};

/// Name of the device that represents the nodes' watchdogs.
pub(crate) const WATCHDOG: &str = "watchdog";

/// Returns the reason why a fencing of this node by `action` proves nothing: a device that does not switch power may have done it, or no
/// device can.
pub fn proof_gap(cib: &Cib, node: &str, action: &str, rules: &Rules) -> Option<String> {
    Fencing {
        cib,
        node,
        action,
        rules,
    }
    .doubt()
}

/// True if it is unknown whether this agent switches power, and no operator has declared it either.
pub fn is_unknown_agent(agent: &str, rules: &Rules) -> bool {
    let declared = [&rules.power_agents, &rules.null_agents];
    effect(agent) == Effect::Unknown
        && !declared
            .iter()
            .any(|agents| agents.iter().any(|known| known == agent))
}

/// Returns the device that fenced this node, if only one can have done it.
pub(crate) fn only_device<'c>(cib: &'c Cib, node: &str) -> Option<&'c Device> {
    let mut devices = cib
        .devices
        .iter()
        .filter(|device| coverage(device, node) != Coverage::No);
    devices.next().filter(|_| devices.next().is_none())
}

/// True if both name the same node: Pacemaker compares without regard to case.
pub(crate) fn same_node(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// The result of matching a topology's level with the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    No,
    /// The match cannot be decided.
    Maybe,
    Yes,
}

/// A fencing of one node of which only the action is known.
struct Fencing<'f> {
    cib: &'f Cib,
    node: &'f str,
    action: &'f str,
    rules: &'f Rules,
}

impl Fencing<'_> {
    fn doubt(&self) -> Option<String> {
        let levels = self.levels();
        for (level, _) in &levels {
            if let Some(doubt) = self.level(level) {
                return Some(doubt);
            }
        }
        if levels.iter().any(|(_, sure)| *sure == Match::Yes) {
            return None;
        }
        let may = || {
            let all = self.cib.devices.iter();
            all.filter(|device| coverage(device, self.node) != Coverage::No)
        };
        if let Some(doubt) = may().find_map(|device| self.device(device, false, false)) {
            return Some(format!("it may have been reported by {doubt}"));
        }
        let any = may().any(|device| !device.disabled) || self.watchdog();
        (!any).then(|| "no fencing device of the CIB can have done it".to_owned())
    }

    /// Returns the levels that the fencer may have used. Levels under the node's exact name come before all others.
    fn levels(&self) -> Vec<(&Level, Match)> {
        let very = |level: &&Level| match &level.target {
            Target::Name(key) | Target::Pattern(key) => key == self.node,
            Target::Attribute { .. } | Target::Unreadable => false,
        };
        let exact: Vec<_> = self
            .cib
            .levels
            .iter()
            .filter(very)
            .map(|level| (level, Match::Yes))
            .collect();
        if !exact.is_empty() {
            return exact;
        }
        let all = self
            .cib
            .levels
            .iter()
            .map(|level| (level, self.matches(&level.target)));
        all.filter(|(_, sure)| *sure != Match::No).collect()
    }

    fn matches(&self, target: &Target) -> Match {
        let sure = match target {
            Target::Name(name) => same_node(name, self.node),
            Target::Pattern(pattern) => return matches(pattern, self.node),
            Target::Attribute { name, value } => {
                let mut attributes = self.cib.attributes.get(self.node).into_iter().flatten();
                attributes.any(|(key, own)| key == name && own == value)
            }
            Target::Unreadable => return Match::Maybe,
        };
        if sure { Match::Yes } else { Match::No }
    }

    /// Returns the reason why a success of this level proves nothing. All of its devices must succeed, so one that
    /// switches the power is enough.
    fn level(&self, level: &Level) -> Option<String> {
        let many: &[bool] = match level.devices.as_slice() {
            [_, _, ..] => &[true],
            _ if self.has_equal(level) => &[false, true],
            _ => &[false],
        };
        let mut doubts = Vec::new();
        for id in &level.devices {
            let known: Vec<_> = self
                .cib
                .devices
                .iter()
                .filter(|device| device.id == *id)
                .collect();
            if known.is_empty() && id == WATCHDOG && self.watchdog() {
                return None;
            }
            if known.is_empty() {
                doubts.push(format!("{id}, which the CIB does not have"));
            }
            for device in known {
                let unfit = if device.disabled {
                    Some("which is disabled")
                } else if coverage(device, self.node) == Coverage::No {
                    Some("which is for other hosts")
                } else {
                    None
                };
                if let Some(why) = unfit {
                    doubts.push(format!("{} ({}), {why}", device.id, device.agent));
                    continue;
                }
                let alone = self.is_leveled_alone(device);
                let mut each = many.iter();
                doubts.push(each.find_map(|many| self.device(device, *many, alone))?);
            }
        }
        Some(format!(
            "a fencing level of it consists only of {}",
            doubts.join("; ")
        ))
    }

    /// Returns the reason why a success of this device does not prove that the node's power is off. `many` is true in a
    /// level of several devices, `alone` if the configuration shows that the device is this node's only.
    fn device(&self, device: &Device, many: bool, alone: bool) -> Option<String> {
        let each = device.each();
        let mut each = each.iter().map(|device| self.with_one_value(device, many, alone));
        let first = each.next()?;
        if each.all(|other| other == first) {
            return first;
        }
        let names: Vec<_> = device.several.keys().map(String::as_str).collect();
        Some(format!(
            "{} ({}), which has several values of {}",
            device.id,
            device.agent,
            names.join(", ")
        ))
    }

    /// Judges a device that has one value of each parameter.
    fn with_one_value(&self, device: &Device, many: bool, alone: bool) -> Option<String> {
        let named = |why: String| format!("{} ({}), {why}", device.id, device.agent);
        if let Some(why) = &device.unclear {
            return Some(named(format!("which {why}")));
        }
        if self.rules.null_agents.contains(&device.agent) {
            return Some(named("which turns nothing off".to_owned()));
        }
        let trusted = self.rules.power_agents.contains(&device.agent);
        let called_action = called_action(device, self.action, many);
        if let Err(doubt) = judge(&device.agent, called_action, &device.parameters, trusted) {
            let declare = match &doubt {
                NoProofReason::Unknown => ": if it does, add it to [host] power_fence_agents",
                NoProofReason::Accepted(action) if action == "off" => {
                    "; if you know that it was, add it to [host] power_fence_agents"
                }
                NoProofReason::NotPower(_)
                | NoProofReason::Action(_)
                | NoProofReason::Accepted(_)
                | NoProofReason::Cycle
                | NoProofReason::Option { .. } => "",
            };
            return Some(named(format!("{doubt}{declare}")));
        }
        if device.id == WATCHDOG && self.is_remote() && coverage(device, self.node) != Coverage::Yes {
            return Some(named(
                "which does not name this remote node in pcmk_host_list".to_owned(),
            ));
        }
        targeting::doubt(device, self.node, alone)
            .or_else(|| targeting::same_controller(&self.cib.devices, device, self.node))
            .map(named)
    }

    /// True if another level has the same target and index. The fencer adds the devices of such a level to the first
    /// when it is created, and replaces them when it reads the whole topology again.
    fn has_equal(&self, level: &Level) -> bool {
        let same = |other: &&Level| other.index == level.index && other.target.key() == level.target.key();
        self.cib.levels.iter().filter(same).count() > 1
    }

    /// True if every level with this device is under the name of this node: an operator has declared its host.
    fn is_leveled_alone(&self, device: &Device) -> bool {
        let levels = self.cib.levels.iter();
        let mut with = levels.filter(|level| level.devices.contains(&device.id));
        with.all(|level| matches!(&level.target, Target::Name(name) if same_node(name, self.node)))
    }

    fn is_remote(&self) -> bool {
        self.cib.connections.iter().any(|name| same_node(name, self.node))
    }

    /// True if the cluster relies on this node's own watchdog. It is unknown whether a remote node has one, unless the
    /// watchdog's device names it.
    fn watchdog(&self) -> bool {
        let devices = self.cib.devices.iter();
        let mut named = devices.filter(|device| device.id == WATCHDOG);
        self.cib.watchdog
            && if self.is_remote() {
                named.any(|device| coverage(device, self.node) == Coverage::Yes)
            } else {
                named.all(|device| coverage(device, self.node) != Coverage::No)
            }
    }
}

/// Returns the action that the agent was called with. A level of several devices turns them all off and then on again.
fn called_action<'d>(device: &'d Device, action: &'d str, many: bool) -> &'d str {
    let action = if many && action == "reboot" { "off" } else { action };
    let instead = device.parameters.get(&format!("pcmk_{action}_action"));
    instead.map_or(action, String::as_str)
}

/// Matches a pattern of the topology with a node's name. The fencer reads it as a POSIX extended expression, ignoring
/// case; where that and Rust's syntax may differ, the result is `Maybe`.
fn matches(pattern: &str, node: &str) -> Match {
    let mut before = ' ';
    let differs = pattern.chars().any(|c| {
        let special = before == '\\' && c.is_alphanumeric()
            || (before == '[' && matches!(c, '.' | '=' | ':'))
            || !c.is_ascii();
        let lazy = matches!(before, '*' | '+' | '?' | '}') && matches!(c, '?' | '+' | '*' | '{');
        let group = before == '(' && c == '?';
        before = c;
        special || lazy || group
    });
    let mut sets = pattern.split('[').skip(1).filter_map(|set| set.split(']').next());
    let odd_set = sets.any(|set| set.contains(['\\', '&', '~']) || set.contains("--"));
    match Regex::new(pattern).ok().filter(|_| !differs && !odd_set) {
        None => Match::Maybe,
        Some(regex) if regex.is_match(node) => Match::Yes,
        Some(_) => Match::No,
    }
}
