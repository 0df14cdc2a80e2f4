//! Parser of `crm_mon --output-as=xml`, and of the older `crm_mon -X`.

use serde::{Deserialize, Serialize};

use crate::device::same_node;
use crate::xml::{Element, tail, walk, yes};
use crate::{Cib, Error, Time, parse_time};

const OUTPUT_NAME: &str = "the output of crm_mon";

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A node that runs corosync and pacemakerd.
    Member,
    /// A node that runs only `pacemaker-remoted`.
    Remote,
    /// A container or virtual machine that a resource of the cluster runs: not a machine that can be fenced.
    Guest,
    /// A `ping` node, or a kind of a later version.
    Other,
}

/// One entry of the list of nodes. Field names are Pacemaker's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Pacemaker's attributes, each independent of the others"
)]
pub struct Node {
    /// The name in the cluster.
    pub name: String,
    pub kind: Kind,
    /// True if the cluster considers the node reachable. Stays `true` for seconds while a dead remote is being
    /// reconnected.
    pub online: bool,
    /// True if the state is unknown and the fencing is pending.
    pub unclean: bool,
    /// True if the node is joining.
    pub pending: bool,
    /// True if an operator has put the node in maintenance.
    pub maintenance: bool,
    /// True if the node is shutting down in order.
    pub shutdown: bool,
}

/// A resource, at any depth of groups, clones and bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The name; for a remote's connection, the remote's name.
    pub id: String,
    /// The role: `Started`, `Stopped`, `Starting`, ...
    pub role: String,
    /// The role that an operator has set.
    pub target_role: Option<String>,
    /// True if Pacemaker may start and stop the resource.
    pub managed: bool,
    /// True if the last operation failed. A dead remote's connection can be `Started` and failed.
    pub failed: bool,
    /// The nodes that run the resource; for a remote's connection, those that hold it.
    pub nodes: Vec<String>,
}

/// The result of a fencing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FenceStatus {
    /// The device reports success.
    Success,
    /// The device refused or did not answer.
    Failed,
    /// The fencing is not finished. Also used for every unknown word of later versions.
    Pending,
}

/// One entry of the fencing history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceEvent {
    /// The action: `off`, `reboot` or `on`.
    pub action: String,
    /// The node's name.
    pub target: String,
    /// The result.
    pub status: FenceStatus,
    /// The node whose fencer executed it; `a human` if an operator confirmed it by hand.
    pub delegate: Option<String>,
    /// The requesting program.
    pub client: Option<String>,
    /// The requesting node.
    pub origin: Option<String>,
    /// The end of the fencing, by the cluster's clock; `None` while pending.
    pub completed: Option<Time>,
}

/// One output of `crm_mon`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one statement of the output, independent of the others"
)]
pub struct CrmMon {
    /// True if there is a DC and its partition has quorum.
    pub quorate: bool,
    /// True if the output does not state whether the partition has quorum.
    pub quorum_unstated: bool,
    /// The DC's name.
    pub dc: Option<String>,
    /// The state of pacemakerd; `None` on a remote.
    pub pacemakerd: Option<String>,
    /// True if fencing is enabled in the cluster; `None` if the output does not state it.
    pub stonith_enabled: Option<bool>,
    /// True if the whole cluster is in maintenance; `None` if the output does not state it.
    pub maintenance: Option<bool>,
    /// The time of the output, if stated.
    pub at: Option<Time>,
    pub nodes: Vec<Node>,
    pub resources: Vec<Resource>,
    /// True if the output lists resources.
    pub lists_resources: bool,
    /// The fencing history, newest first, as far as the cluster still has it.
    pub fences: Vec<FenceEvent>,
    /// True if the output contains a fencing history. `crm_mon` prints none if there was never a fencing, and none if
    /// it was not requested.
    pub history: bool,
}

impl CrmMon {
    /// Parses the output of `crm_mon --output-as=xml` or of `crm_mon -X`.
    ///
    /// # Errors
    ///
    /// The text is another output, is cut off, reports an error of its own, or contains a node twice.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut read = Reading::default();
        read.output.quorum_unstated = true;
        walk(
            OUTPUT_NAME,
            text,
            |path, element| read.open(path, element),
            |_| (),
        )?;
        read.finish()
    }

    /// Returns the fencing history of a node. The fencer keeps a name as the caller wrote it, and compares ignoring
    /// case.
    pub fn fences_of<'m>(&'m self, node: &'m str) -> impl Iterator<Item = &'m FenceEvent> {
        self.fences
            .iter()
            .filter(move |fence| same_node(&fence.target, node))
    }

    /// True if fencing is known to be disabled, by the output or else by the CIB.
    pub fn is_fencing_disabled(&self, cib: Option<&Cib>) -> bool {
        let disabled = self.stonith_enabled.map(|enabled| !enabled);
        disabled
            .or(cib.map(|cib| cib.is_fencing_disabled))
            .unwrap_or(false)
    }

    /// Returns a resource by its name.
    pub fn resource(&self, id: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.id == id)
    }
}

fn shape(problem: impl Into<String>) -> Error {
    Error::Shape {
        what: OUTPUT_NAME,
        problem: problem.into(),
    }
}

/// The output as far as it has been parsed.
#[derive(Default)]
struct Reading {
    output: CrmMon,
    /// The time of the output to the microsecond; only later versions print it.
    exact: Option<Time>,
    listed: bool,
    /// The bundle around the current element, and the nodes that bundles create.
    bundle: String,
    guests: Vec<String>,
}

impl Reading {
    fn open(&mut self, path: &[String], element: &Element<'_>) -> Result<(), Error> {
        if let [root] = path {
            return match root.as_str() {
                "pacemaker-result" | "crm_mon" => Ok(()),
                other => Err(shape(format!(
                    "begins with <{}>",
                    other.chars().take(64).collect::<String>()
                ))),
            };
        }
        match tail(path, 1).as_slice() {
            ["pacemakerd"] => {
                self.output.pacemakerd = element.text("state")?.map(Into::into);
                self.exact = time(element, "last_updated")?;
            }
            ["summary", "current_dc"] => {
                let present = element.flag("present")?;
                self.output.quorum_unstated = present && element.text("with_quorum")?.is_none();
                self.output.quorate = present && element.flag("with_quorum")?;
                self.output.dc = element.text("name")?.filter(|_| present).map(Into::into);
            }
            ["summary", "last_update"] => self.output.at = time(element, "time")?,
            ["summary", "cluster_options"] => {
                let flag = |name: &str| Ok::<_, Error>(element.text(name)?.map(|value| yes(&value)));
                // The second name is deprecated since 3.0.2.
                self.output.stonith_enabled = flag("fencing-enabled")?.or(flag("stonith-enabled")?);
                self.output.maintenance = flag("maintenance-mode")?;
            }
            ["nodes"] => self.listed = true,
            ["nodes", "node"] => self.output.nodes.push(node(element)?),
            ["resources"] => self.output.lists_resources = true,
            ["resources", .., "resource"] => self.output.resources.push(resource(element)?),
            ["resources", .., "resource", "node"] => {
                if let (Some(resource), Some(name)) =
                    (self.output.resources.last_mut(), element.text("name")?)
                {
                    resource.nodes.push(name.into_owned());
                }
            }
            ["resources", .., "bundle"] => self.bundle = element.text("id")?.unwrap_or_default().into_owned(),
            ["resources", .., "bundle", "replica"] => {
                let number = element.text("id")?.unwrap_or_default();
                self.guests.push(format!("{}-{number}", self.bundle));
            }
            ["fence_history"] => {
                self.output.history = element.text("status")?.is_none_or(|status| status == "0");
            }
            // Failed attempts are separate since version 2.0 of the schema; later versions nest them.
            ["fence_history", .., "fence_event"] => self.output.fences.push(fence(element)?),
            ["status"] => {
                let code = element.text("code")?.unwrap_or_default();
                if code != "0" {
                    let message = element.text("message")?.unwrap_or_default();
                    return Err(shape(format!("is an error: {code} {message}")));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<CrmMon, Error> {
        if !self.listed {
            return Err(shape("lists no nodes"));
        }
        for node in &mut self.output.nodes {
            if node.kind == Kind::Remote && self.guests.iter().any(|guest| same_node(guest, &node.name)) {
                node.kind = Kind::Guest;
            }
        }
        let mut names: Vec<String> = self
            .output
            .nodes
            .iter()
            .map(|node| node.name.to_ascii_lowercase())
            .collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair.first() == pair.last()) {
            return Err(shape(format!(
                "names the node {:?} twice",
                pair.first().map_or("", String::as_str)
            )));
        }
        // Sorted newest first, whatever the printed order: pending ones are the newest of all.
        self.output
            .fences
            .sort_by_key(|fence| std::cmp::Reverse((fence.completed.is_none(), fence.completed)));
        self.output.at = self.output.at.max(self.exact);
        Ok(self.output)
    }
}

/// Parses a time attribute. An invalid time is an error: any substitute would be earlier or later than the real one.
fn time(element: &Element<'_>, name: &str) -> Result<Option<Time>, Error> {
    element
        .text(name)?
        .filter(|text| !text.is_empty())
        .map(|text| parse_time(&text))
        .transpose()
}

fn node(element: &Element<'_>) -> Result<Node, Error> {
    let kind = match element.text("type")?.as_deref() {
        Some("member") => Kind::Member,
        Some("remote") if element.text("id_as_resource")?.is_some() => Kind::Guest,
        Some("remote") => Kind::Remote,
        _ => Kind::Other,
    };
    Ok(Node {
        name: element.need("name")?,
        kind,
        online: element.flag("online")?,
        unclean: element.flag("unclean")?,
        pending: element.flag("pending")?,
        maintenance: element.flag("maintenance")?,
        shutdown: element.flag("shutdown")?,
    })
}

fn resource(element: &Element<'_>) -> Result<Resource, Error> {
    Ok(Resource {
        id: element.need("id")?,
        role: element.text("role")?.unwrap_or_default().into_owned(),
        target_role: element.text("target_role")?.map(Into::into),
        managed: element.text("managed")?.is_none_or(|value| yes(&value)),
        failed: element.flag("failed")?,
        nodes: Vec::new(),
    })
}

fn fence(element: &Element<'_>) -> Result<FenceEvent, Error> {
    let completed = time(element, "completed")?;
    let status = match element.need("status")?.as_str() {
        // A success without a time proves nothing about when it happened.
        "success" if completed.is_some() => FenceStatus::Success,
        "failed" => FenceStatus::Failed,
        _ => FenceStatus::Pending,
    };
    let optional = |name: &str| -> Result<Option<String>, Error> { Ok(element.text(name)?.map(Into::into)) };
    Ok(FenceEvent {
        action: element.need("action")?,
        target: element.need("target")?,
        status,
        delegate: optional("delegate")?,
        client: optional("client")?,
        origin: optional("origin")?,
        completed,
    })
}
