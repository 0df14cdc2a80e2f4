//! What `cibadmin --query` prints: the cluster's configuration and its own notes about the nodes.
//!
//! The notes change from version to version (booleans became epochs in 2.1.7), so they are a second witness beside
//! `crm_mon`, never the only one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Error;
use crate::xml::{Element, tail, walk, yes};

const WHAT: &str = "the CIB";

/// The cluster's note about one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeState {
    /// In the membership. `None` if the note does not say.
    pub in_ccm: Option<bool>,
    /// The controller runs; members only.
    pub crmd: Option<bool>,
    /// When the node was fenced, in seconds since the epoch; 0 from the moment it is back. Remotes only.
    pub node_fenced: Option<i64>,
}

/// A fencing device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// The resource's name.
    pub id: String,
    /// The agent, such as `fence_ipmilan` or `external/ipmi`.
    pub agent: String,
    /// Its parameters. May hold passwords: never to be logged.
    pub parameters: BTreeMap<String, String>,
}

/// One level of a fencing topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// The node it is for; `None` if it is given by a pattern or an attribute.
    pub target: Option<String>,
    /// The devices that must all succeed.
    pub devices: Vec<String>,
}

/// One CIB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cib {
    /// The partition that printed this has quorum.
    pub quorate: bool,
    /// Notes by node name.
    pub nodes: BTreeMap<String, NodeState>,
    /// Fencing devices.
    pub devices: Vec<Device>,
    /// Fencing topology.
    pub levels: Vec<Level>,
    /// Resources whose `target-role` is `Stopped`.
    pub stopped: Vec<String>,
    /// The cluster's name, if it has one.
    pub cluster: Option<String>,
    /// How long the cluster takes at most to see that a remote node is gone, by its name: the interval of its connection's monitor and
    /// the time that one may take. A connection that nothing monitors is not there.
    pub remotes: BTreeMap<String, Duration>,
}

/// What a monitor may take unless it is said.
const MONITOR: Duration = Duration::from_secs(20);

impl Cib {
    /// Reads the output of `cibadmin --query`.
    ///
    /// # Errors
    ///
    /// If it is not that, is cut off, or notes a node twice.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let reading = std::cell::RefCell::new(Reading::default());
        walk(
            WHAT,
            text,
            |path, element| reading.borrow_mut().open(path, element),
            |path| reading.borrow_mut().close(path),
        )?;
        Ok(reading.into_inner().cib)
    }
}

fn shape(problem: impl Into<String>) -> Error {
    Error::Shape {
        what: WHAT,
        problem: problem.into(),
    }
}

#[derive(Default)]
struct Reading {
    cib: Cib,
    /// The innermost primitive, and whether it is a fencing device.
    primitive: Option<(Device, bool)>,
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
            self.cib.quorate = element.flag("have-quorum")?;
            return Ok(());
        }
        match tail(path, 1).as_slice() {
            ["status", "node_state"] => self.note(element)?,
            ["configuration", "crm_config", "cluster_property_set", "nvpair"]
                if element.text("name")?.as_deref() == Some("cluster-name") =>
            {
                self.cib.cluster = element.text("value")?.map(Into::into);
            }
            ["configuration", "resources", .., "primitive"] => {
                let device = Device {
                    id: element.need("id")?,
                    agent: element.text("type")?.unwrap_or_default().into_owned(),
                    parameters: BTreeMap::new(),
                };
                let fences = element.text("class")?.as_deref() == Some("stonith");
                self.primitive = Some((device, fences));
            }
            [
                "configuration",
                "resources",
                ..,
                "primitive",
                "instance_attributes",
                "nvpair",
            ] => {
                if let (Some((device, true)), Some(name)) = (&mut self.primitive, element.text("name")?) {
                    let value = element.text("value")?.unwrap_or_default().into_owned();
                    device.parameters.insert(name.into_owned(), value);
                }
            }
            ["configuration", "resources", .., "primitive", "operations", "op"]
                if element.text("name")?.as_deref() == Some("monitor") =>
            {
                let time = |name: &str| Ok::<_, Error>(element.text(name)?.and_then(|text| span(&text)));
                let (interval, timeout) = (time("interval")?, time("timeout")?);
                if let (Some((device, false)), Some(interval)) = (&self.primitive, interval)
                    && device.agent == "remote"
                    && !interval.is_zero()
                {
                    let seen = interval.saturating_add(timeout.unwrap_or(MONITOR));
                    self.cib.remotes.insert(device.id.clone(), seen);
                }
            }
            [
                "configuration",
                "resources",
                ..,
                "primitive",
                "meta_attributes",
                "nvpair",
            ] => {
                let stopped = element.text("name")?.as_deref() == Some("target-role")
                    && element
                        .text("value")?
                        .is_some_and(|value| value.eq_ignore_ascii_case("stopped"));
                if let (Some((device, _)), true) = (&self.primitive, stopped) {
                    self.cib.stopped.push(device.id.clone());
                }
            }
            ["configuration", "fencing-topology", "fencing-level"] => self.cib.levels.push(Level {
                target: element.text("target")?.map(Into::into),
                devices: element
                    .text("devices")?
                    .unwrap_or_default()
                    .split(',')
                    .map(|device| device.trim().to_owned())
                    .filter(|device| !device.is_empty())
                    .collect(),
            }),
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, path: &[String]) {
        if path.last().is_some_and(|name| name == "primitive")
            && let Some((device, true)) = self.primitive.take()
        {
            self.cib.devices.push(device);
        }
    }

    fn note(&mut self, element: &Element<'_>) -> Result<(), Error> {
        let Some(name) = element.text("uname")?.or(element.text("id")?) else {
            return Err(shape("has a <node_state> without uname and id"));
        };
        let state = NodeState {
            in_ccm: element.text("in_ccm")?.map(|value| since(&value)),
            crmd: element.text("crmd")?.map(|value| since(&value)),
            // What is no number is no witness.
            node_fenced: element.text("node_fenced")?.and_then(|value| value.parse().ok()),
        };
        let name = name.into_owned();
        if self.cib.nodes.contains_key(&name) {
            return Err(shape(format!("notes the node {name:?} twice")));
        }
        self.cib.nodes.insert(name, state);
        Ok(())
    }
}

/// A span as Pacemaker writes it: seconds, or a number with a unit.
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

/// `true`, `online` and, since 2.1.7, the second since when.
fn since(value: &str) -> bool {
    yes(value) || value.eq_ignore_ascii_case("online") || value.parse::<i64>().is_ok_and(|second| second > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_soon_a_remote_is_missed_is_its_monitors_interval_and_time() {
        let cib = |op: &str| {
            let text = format!(
                r#"<cib have-quorum="1"><configuration><resources><group><primitive id="cmp1" class="ocf" provider="pacemaker" type="remote">
                <operations>{op}</operations></primitive></group><primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2">
                <operations><op name="monitor" interval="5s"/></operations></primitive></resources></configuration><status/></cib>"#
            );
            Cib::parse(&text)
                .unwrap()
                .remotes
                .get("cmp1")
                .map(Duration::as_millis)
        };
        for (op, expected) in [
            (
                r#"<op name="monitor" interval="30s" timeout="15"/>"#,
                Some(45_000),
            ),
            (r#"<op name="monitor" interval="1m"/>"#, Some(80_000)),
            (
                r#"<op name="monitor" interval="500ms" timeout="1s"/>"#,
                Some(1_500),
            ),
            (r#"<op name="monitor" interval="0"/>"#, None),
            (r#"<op name="monitor" interval="soon"/>"#, None),
            (r#"<op name="start" interval="9" timeout="60"/>"#, None),
            ("", None),
        ] {
            assert_eq!(cib(op), expected, "{op}");
        }
    }
}
