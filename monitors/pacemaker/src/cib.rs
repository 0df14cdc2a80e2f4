//! Parser of `cibadmin --query`: the cluster's configuration and its own records of the nodes.
//!
//! The records change from version to version (booleans became epochs in 2.1.7), so they are a second witness beside
//! `crm_mon`, never the only one.

mod read;
mod tree;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::Error;
use crate::xml::{Element, tail, walk, yes};
use tree::Tag;

const OUTPUT_NAME: &str = "the CIB";

/// The cluster's record of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeState {
    /// True if it is in the membership; `None` if the CIB does not state it.
    pub in_ccm: Option<bool>,
    /// True if the controller is running; members only.
    pub crmd: Option<bool>,
    /// The time of the node's fencing, in seconds since the epoch; 0 from the moment it is back. Remotes only.
    pub node_fenced: Option<i64>,
}

/// A fencing device, with the settings of all its templates, references and sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// The name of the resource.
    pub id: String,
    /// The agent, such as `fence_ipmilan` or `external/ipmi`.
    pub agent: String,
    /// The parameters. They may contain passwords: never log them.
    pub parameters: BTreeMap<String, String>,
    /// All values of the parameters that have several, as where a primitive sets one of its template's: Pacemaker takes
    /// one by score and order, and `parameters` has the first.
    pub several: BTreeMap<String, BTreeSet<String>>,
    /// The reason why some parameters are unknown; completes "which ...".
    pub unclear: Option<String>,
    /// True if the fencer does not use the device: the `target-role` is `Stopped`, or it is a watchdog's device that
    /// the fencer ignores.
    pub disabled: bool,
}

/// Limit of the devices that one with several values of its parameters may be.
const MAX_EACH: usize = 64;

impl Device {
    /// Returns the device with each of its values, where parameters have several.
    pub fn each(&self) -> Vec<Self> {
        let plain = Self {
            several: BTreeMap::new(),
            ..self.clone()
        };
        let mut all = vec![plain.clone()];
        for (name, values) in &self.several {
            if all.len().saturating_mul(values.len()) > MAX_EACH {
                let unclear = Some(format!("has several values of {name}"));
                return vec![Self { unclear, ..plain }];
            }
            let with = |device: &Self, value: &String| {
                let mut device = device.clone();
                device.parameters.insert(name.clone(), value.clone());
                device
            };
            let each = all
                .iter()
                .flat_map(|device| values.iter().map(|value| with(device, value)));
            all = each.collect();
        }
        all
    }
}

/// The nodes that a level of a fencing topology is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A node.
    Name(String),
    /// The nodes whose names match this regular expression (POSIX, extended).
    Pattern(String),
    /// The nodes with this attribute.
    Attribute { name: String, value: String },
    /// The level uses an unknown form.
    Unreadable,
}

impl Target {
    /// Returns the key of the target's levels in the fencer's table.
    pub(crate) fn key(&self) -> Option<String> {
        match self {
            Self::Name(key) | Self::Pattern(key) => Some(key.clone()),
            Self::Attribute { name, value } => Some(format!("{name}={value}")),
            Self::Unreadable => None,
        }
    }
}

/// One level of a fencing topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// The nodes that the level is for.
    pub target: Target,
    /// The order in which the levels of a target are tried, from 1 to 9.
    pub index: u8,
    /// The devices that must all succeed.
    pub devices: Vec<String>,
}

/// A parsed CIB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one statement of the CIB, independent of the others"
)]
pub struct Cib {
    /// True if the partition that printed this has quorum.
    pub quorate: bool,
    /// True if the CIB does not state whether the partition has quorum.
    pub quorum_unstated: bool,
    /// Records by node name, in lower case: see [`Cib::note`].
    pub nodes: BTreeMap<String, NodeState>,
    pub devices: Vec<Device>,
    pub levels: Vec<Level>,
    /// The node attributes in the configuration, by node name.
    pub attributes: BTreeMap<String, Vec<(String, String)>>,
    /// Resources whose `target-role` is `Stopped`.
    pub stopped: Vec<String>,
    /// Nodes that a resource of the cluster runs (`remote-node`); they are not separate machines.
    pub guests: Vec<String>,
    /// The connections of remote nodes, by the nodes' names.
    pub connections: Vec<String>,
    /// True if the cluster's configuration puts all of it in maintenance.
    pub maintenance: bool,
    /// True if the cluster's configuration disables fencing.
    pub is_fencing_disabled: bool,
    /// The cluster's name, if it has one.
    pub cluster: Option<String>,
    /// The action that the cluster fences with: `off` or `reboot`.
    pub fences_by: &'static str,
    /// True if the cluster relies on the watchdog of a node that no device can reach.
    pub watchdog: bool,
    /// Longest time until the cluster detects the loss of a remote node, by its name: interval plus timeout of its
    /// connection's monitor. A connection without a monitor is missing.
    pub remotes: BTreeMap<String, Duration>,
}

/// Default timeout of a monitor.
const MONITOR_TIMEOUT: Duration = Duration::from_secs(20);

impl Cib {
    /// Parses the output of `cibadmin --query`.
    ///
    /// # Errors
    ///
    /// The text is another output, is cut off, or has two records of a node.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let reading = RefCell::new(Reading::default());
        walk(
            OUTPUT_NAME,
            text,
            |path, element| reading.borrow_mut().open(path, element),
            |path| reading.borrow_mut().close(path),
        )?;
        let Reading {
            mut cib,
            configuration,
            ..
        } = reading.into_inner();
        read::configuration(&configuration, &mut cib);
        Ok(cib)
    }

    /// Returns the record of a node. Pacemaker compares names of nodes ignoring case.
    pub fn note(&self, name: &str) -> Option<&NodeState> {
        self.nodes.get(&name.to_ascii_lowercase())
    }
}

fn shape(problem: impl Into<String>) -> Error {
    Error::Shape {
        what: OUTPUT_NAME,
        problem: problem.into(),
    }
}

#[derive(Default)]
struct Reading {
    cib: Cib,
    configuration: Tag,
    /// The configuration's elements around the current one, from the outside in.
    ancestors: Vec<Tag>,
}

impl Reading {
    fn open(&mut self, path: &[String], element: &Element<'_>) -> Result<(), Error> {
        if let [root] = path {
            if root != "cib" {
                return Err(shape(format!(
                    "begins with <{}>",
                    root.chars().take(64).collect::<String>()
                )));
            }
            self.cib.quorum_unstated = element.text("have-quorum")?.is_none();
            self.cib.quorate = element.flag("have-quorum")?;
            return Ok(());
        }
        match tail(path, 1).as_slice() {
            ["status", "node_state"] => self.note(element)?,
            ["configuration", ..] => {
                let name = path.last().map(String::as_str).unwrap_or_default();
                self.ancestors.push(Tag::new(name, element.all()?));
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, path: &[String]) {
        if path.get(1).is_none_or(|section| section != "configuration") {
            return;
        }
        if let Some(tag) = self.ancestors.pop() {
            match self.ancestors.last_mut() {
                Some(outer) => outer.children.push(tag),
                // Pacemaker never prints more than one; if there are several, all of them are read.
                None => self.configuration.children.extend(tag.children),
            }
        }
    }

    fn note(&mut self, element: &Element<'_>) -> Result<(), Error> {
        let Some(name) = element.text("uname")?.or(element.text("id")?) else {
            return Err(shape("has a <node_state> without uname and id"));
        };
        let state = NodeState {
            in_ccm: element.text("in_ccm")?.map(|value| since(&value)),
            crmd: element.text("crmd")?.map(|value| since(&value)),
            // A value that is not a number is no evidence.
            node_fenced: element.text("node_fenced")?.and_then(|value| value.parse().ok()),
        };
        if self.cib.nodes.insert(name.to_ascii_lowercase(), state).is_some() {
            return Err(shape(format!("records the node {name:?} twice")));
        }
        Ok(())
    }
}

/// Parses a duration in Pacemaker's format: seconds, or a number with a unit.
fn span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number: u64 = number.parse().ok()?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match unit.trim() {
        "" | "s" | "sec" => seconds(1),
        "m" | "min" => seconds(60),
        "h" | "hr" => seconds(3_600),
        "ms" | "msec" => Some(Duration::from_millis(number)),
        "us" | "usec" => Some(Duration::from_micros(number)),
        _ => None,
    }
}

/// True for `true`, `online` and, since 2.1.7, the second of the change.
fn since(value: &str) -> bool {
    yes(value) || value.eq_ignore_ascii_case("online") || value.parse::<i64>().is_ok_and(|second| second > 0)
}

#[cfg(test)]
mod tests;
